//! What each role is shown of the same log: planted words, places and ids come through where the tables say so, and nowhere else.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, EventKind, Role, StreamNotice, case_command::Step, case_service_client::CaseServiceClient,
    erasure_service_client::ErasureServiceClient, evaluation_service_client::EvaluationServiceClient, event::Body,
    event_service_client::EventServiceClient, get_evaluation_request::Subject, submission::Content,
    submission_service_client::SubmissionServiceClient, subscribe_request::Start,
    warning_service_client::WarningServiceClient,
};

use crate::{
    door::Door,
    house::{House, NEIGHBOUR, OTHER_SCHOOL, OWN, SCHOOL, area, case_report, submission, visit},
};

const KECAMATAN: &str = "53.71.03";
const KOTA: &str = "53.71";
/// Words that were written somewhere in the log.
const WORDS: [&str; 5] = ["rahasia-catatan", "rahasia-lemari", "rahasia-alasan", "rahasia-perkara", "rahasia-jadwal"];

fn fingerprint() -> String {
    "ab".repeat(32)
}

/// A house in which much has happened: to `own_case` above all.
struct Told {
    house: House,
    /// Ids of records and commands.
    ids: Vec<String>,
}

async fn told() -> anyhow::Result<Told> {
    let house = House::open().await?;
    let door = house.served.connect().await?;
    let mut records = vec![small_visit(), signal(OWN, SCHOOL), signal(NEIGHBOUR, OTHER_SCHOOL)];
    let amendment = v1::Amendment {
        corrects_id: house.own_case.clone(),
        reason: "rahasia-alasan".to_owned(),
        occurred_at: None,
        replacement: Some(v1::amendment::Replacement::CaseReport(report_at_school())),
    };
    records.push(submission(&area(OWN), Content::Amendment(amendment)));
    let retraction = v1::Retraction { retracts_id: house.own_case.clone(), reason: "rahasia-alasan".to_owned() };
    records.push(submission(&area(OWN), Content::Retraction(retraction)));
    // Other content under a known id: a conflict.
    records.push(v1::Submission { submission_id: records[0].submission_id.clone(), ..visit(&area(OWN)) });
    let mut ids = vec![house.own_case.clone(), house.neighbours_case.clone()];
    for record in records {
        ids.push(record.submission_id.clone());
        let request = v1::SubmitRequest { submission: Some(record) };
        let receipt = SubmissionServiceClient::new(door.clone()).submit(request).await?.into_inner().receipt;
        let receipt = receipt.context("a receipt")?;
        ensure!(receipt.status() != v1::ReceiptStatus::Rejected, "{receipt:?}");
    }
    for (version, step) in (1..).zip(steps()) {
        let command = v1::CaseCommand {
            command_id: uuid::Uuid::now_v7().to_string(),
            case_id: house.own_case.clone(),
            expected_version: version,
            occurred_at: Some(pbjson_types::Timestamp { seconds: 1_773_200_000, nanos: 0 }),
            step: Some(step),
        };
        ids.push(command.command_id.clone());
        CaseServiceClient::new(door.clone()).advance_case(v1::AdvanceCaseRequest { command: Some(command) }).await?;
    }
    ids.push(uuid::Uuid::now_v7().to_string());
    let hold = v1::PlaceHoldRequest {
        command_id: ids.last().cloned().unwrap_or_default(),
        case_id: house.own_case.clone(),
        reason: "rahasia-perkara".to_owned(),
        until: None,
    };
    ErasureServiceClient::new(door).place_hold(hold).await?;
    Ok(Told { house, ids })
}

fn small_visit() -> v1::Submission {
    let visit = v1::SchoolVisit {
        school_id: SCHOOL.to_owned(),
        purpose: v1::VisitPurpose::Pendampingan.into(),
        topics: vec![v1::Topic::Ksbe.into()],
        reach: Some(v1::Reach { pupils_female: 3, pupils_male: 12, ..Default::default() }),
        risk_signals: vec![v1::RiskSignal::Grooming.into()],
        notes: "rahasia-catatan".to_owned(),
        ..Default::default()
    };
    submission(&area(OWN), Content::SchoolVisit(visit))
}

/// An exposure signal of an hour ago, so that it makes a warning now.
fn signal(code: &str, school: &str) -> v1::Submission {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let signal = v1::ExposureSignal {
        platform: v1::Platform::Whatsapp.into(),
        group_fingerprint: fingerprint(),
        school_ids: vec![school.to_owned()],
        estimated_members: 250,
        contents: vec![v1::ContentKind::Gambar.into()],
        evidence: vec![v1::Evidence {
            sha256: "cd".repeat(32),
            media_type: "image/jpeg".to_owned(),
            custody_place: "rahasia-lemari".to_owned(),
            ..Default::default()
        }],
    };
    let occurred_at = Some(pbjson_types::Timestamp { seconds: i64::try_from(now).unwrap_or(0) - 3_600, nanos: 0 });
    v1::Submission { occurred_at, ..submission(&area(code), Content::ExposureSignal(signal)) }
}

fn report_at_school() -> v1::CaseReport {
    v1::CaseReport {
        violence: vec![v1::Violence::Fisik.into()],
        place: v1::Place::Sekolah.into(),
        victim_age: v1::AgeGroup::AgeGroup612.into(),
        victim_sex: v1::Sex::LakiLaki.into(),
        offender: v1::Offender::Guru.into(),
        school_id: SCHOOL.to_owned(),
        ..Default::default()
    }
}

fn steps() -> [Step; 4] {
    let follow_up = v1::FollowUp { number: 1, action: "rahasia-jadwal".to_owned(), due_on: "2026-04-01".to_owned() };
    [
        Step::Assess(v1::AssessCase { risk: v1::Risk::Tinggi.into() }),
        Step::RecordService(v1::RecordService { service: v1::Service::Psikologis.into() }),
        Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up) }),
        Step::AdmitToShelter(v1::AdmitToShelter {}),
    ]
}

/// All events that a subscriber gets after a position until it has caught up.
async fn events(door: &Door, after: u64, filter: v1::EventFilter) -> anyhow::Result<Vec<v1::Event>> {
    let start = Some(Start::AfterPosition(after));
    let request = v1::SubscribeRequest { start, filter: Some(filter), heartbeat_interval: None };
    let mut stream = EventServiceClient::new(door.clone()).subscribe(request).await?.into_inner();
    let mut events = Vec::new();
    while let Some(message) = stream.message().await? {
        events.extend(message.events.clone());
        if message.notice() == StreamNotice::CaughtUp {
            break;
        }
    }
    Ok(events)
}

fn of_kind(events: &[v1::Event], kind: EventKind) -> Vec<&v1::Event> {
    events.iter().filter(|event| event.kind() == kind).collect()
}

/// Everything that a message says, as text.
fn text(message: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(message)?)
}

fn ensure_none(of: &str, planted: impl IntoIterator<Item = impl AsRef<str>>) -> anyhow::Result<()> {
    for word in planted {
        ensure!(!of.contains(word.as_ref()), "{} in {of}", word.as_ref());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_sees_what_the_city_does_and_of_its_cases_that_there_are_some() -> anyhow::Result<()> {
    let told = told().await?;
    let board = told.house.door(Role::Dashboard, None).await?;
    let seen = events(&board, 0, v1::EventFilter::default()).await?;
    let all = text(&seen)?;
    ensure_none(&all, WORDS)?;
    ensure_none(&all, &told.ids)?;
    ensure_none(&all, [fingerprint(), "cd".repeat(32), "hp-contoh".to_owned()])?;
    ensure_none(&all, ["PENDAMPINGAN", "GROOMING", "FISIK", "GURU", "TINGGI", "PSIKOLOGIS"])?;
    let about_cases = [EventKind::CaseReport, EventKind::CaseStep, EventKind::Amendment, EventKind::Conflict];
    for kind in about_cases {
        let facts = of_kind(&seen, kind);
        ensure!(!facts.is_empty(), "{kind:?}");
        for fact in facts {
            ensure!(fact.body.is_none() && fact.area_code == KOTA && fact.institution_id.is_empty(), "{fact:?}");
            ensure_none(&text(fact)?, [OWN, NEIGHBOUR, SCHOOL, OTHER_SCHOOL])?;
            ensure!(fact.recorded_at.is_some_and(|at| at.nanos == 0 && at.seconds % 3_600 == 0), "the day: {fact:?}");
        }
    }
    for signal in of_kind(&seen, EventKind::ExposureSignal) {
        ensure!(signal.area_code == KECAMATAN, "{signal:?}");
        ensure_none(&text(signal)?, [OWN, NEIGHBOUR, SCHOOL, OTHER_SCHOOL])?;
        ensure!(text(signal)?.contains("WHATSAPP") && text(signal)?.contains("250"));
    }
    let [visit] = of_kind(&seen, EventKind::SchoolVisit)[..] else { anyhow::bail!("one visit: {seen:?}") };
    ensure!(visit.area_code == OWN && text(visit)?.contains(SCHOOL) && text(visit)?.contains("KSBE"));
    let shaping = visit.shaping.clone().unwrap_or_default();
    ensure!(shaping.few == ["submitted.school_visit.reach.pupils_female"], "{shaping:?}");
    ensure!(shaping.withheld.iter().any(|field| field == "submitted.school_visit.notes"), "{shaping:?}");
    for kind in [EventKind::HoldPlaced, EventKind::Member, EventKind::IdentitySealed] {
        ensure!(of_kind(&seen, kind).is_empty(), "{kind:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_matches_what_is_shown_and_a_late_subscriber_sees_the_same() -> anyhow::Result<()> {
    let told = told().await?;
    let board = told.house.door(Role::Dashboard, None).await?;
    let seen = events(&board, 0, v1::EventFilter::default()).await?;
    for (area_prefix, institution_id) in [(OWN, ""), (NEIGHBOUR, ""), (KECAMATAN, ""), (KOTA, ""), ("", SCHOOL)] {
        let filter = |kinds| v1::EventFilter {
            area_prefix: area_prefix.to_owned(),
            institution_id: institution_id.to_owned(),
            kinds,
        };
        let matched = events(&board, 0, filter(Vec::new())).await?;
        let within = |event: &&v1::Event| {
            let code = event.area_code.as_str();
            let area = code == area_prefix || code.starts_with(&format!("{area_prefix}."));
            (area_prefix.is_empty() || area) && (institution_id.is_empty() || event.institution_id == institution_id)
        };
        let shown: Vec<v1::Event> = seen.iter().filter(within).cloned().collect();
        ensure!(matched == shown, "{area_prefix}{institution_id}: a filter tells no more than what is shown");
        let cases = events(&board, 0, filter(vec![EventKind::CaseReport.into()])).await?;
        ensure!(cases.len() == if area_prefix == KOTA { 2 } else { 0 }, "{area_prefix}{institution_id}: {cases:?}");
    }
    let last = seen.last().map(|event| event.position).context("events")?;
    for after in 0..=last {
        let rest: Vec<_> = seen.iter().filter(|event| event.position > after).cloned().collect();
        ensure!(events(&board, after, v1::EventFilter::default()).await? == rest, "after {after}");
        let page = v1::ReadRequest { after_position: after, ..Default::default() };
        ensure!(EventServiceClient::new(board.clone()).read(page).await?.into_inner().events == rest);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_force_sees_its_records_as_they_are_and_of_its_case_that_it_goes_on() -> anyhow::Result<()> {
    let told = told().await?;
    let satgas = told.house.satgas().await?;
    let seen = events(&satgas, 0, v1::EventFilter::default()).await?;
    let all = text(&seen)?;
    ensure!(all.contains("rahasia-catatan") && all.contains("rahasia-lemari") && all.contains(&fingerprint()));
    ensure_none(&all, ["rahasia-perkara", "rahasia-jadwal", "PSIKOLOGIS", NEIGHBOUR])?;
    let steps = of_kind(&seen, EventKind::CaseStep);
    ensure!(steps.len() == 4, "{steps:?}");
    let step = |event: &v1::Event| match &event.body {
        Some(Body::CaseAdvanced(advanced)) => advanced.command.as_ref().and_then(|command| command.step.clone()),
        _ => None,
    };
    ensure!(step(steps[1]) == Some(Step::RecordService(v1::RecordService::default())));
    ensure!(step(steps[3]).is_none(), "of the shelter not even which step it was");
    ensure!(of_kind(&seen, EventKind::HoldPlaced).is_empty());

    let request = v1::GetCaseRequest { case_id: told.house.own_case.clone(), ..Default::default() };
    let get = async |door: Door| -> anyhow::Result<v1::Case> {
        let answer = CaseServiceClient::new(door).get_case(request.clone()).await?.into_inner();
        answer.case.context("the case")
    };
    let (own, whole) = (get(satgas).await?, get(told.house.door(Role::Supervisor, None).await?).await?);
    ensure!(whole.in_shelter && whole.shaping.is_none() && text(&whole)?.contains("PSIKOLOGIS"));
    ensure_none(&text(&own)?, ["rahasia-perkara", "rahasia-jadwal", "PSIKOLOGIS", "discharge"])?;
    ensure!(!own.in_shelter && own.status() == v1::CaseStatus::DalamLayanan && own.services.len() == 1);
    ensure!(own.first_response_at == whole.first_response_at && own.report == whole.report);
    ensure!(own.shaping.unwrap_or_default().withheld.iter().any(|field| field == "in_shelter"), "and it says so");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_force_does_not_learn_from_figures_that_a_child_is_in_the_shelter() -> anyhow::Result<()> {
    let told = told().await?;
    let (satgas, supervisor) = (told.house.satgas().await?, told.house.door(Role::Supervisor, None).await?);
    let period = "2026-03".to_owned();
    let hides = |evaluation: &Option<v1::Evaluation>| {
        let (cases, shaping) = evaluation.as_ref().map(|e| (e.cases, e.shaping.clone())).unwrap_or_default();
        cases.is_some_and(|cases| cases.in_shelter == 0) && shaping.unwrap_or_default().withheld == ["cases.in_shelter"]
    };
    let whole = evaluation(&supervisor, OWN, &period).await?;
    ensure!(whole.cases.is_some_and(|cases| cases.in_shelter == 1) && whole.shaping.is_none(), "{whole:?}");
    let own = evaluation(&satgas, OWN, &period).await?;
    ensure!(own.score == whole.score && own.indicators == whole.indicators, "nothing else is missing");
    ensure!(hides(&Some(own)));
    let mut client = EvaluationServiceClient::new(satgas.clone());
    let list = v1::ListEvaluationsRequest { period: period.clone(), ..Default::default() };
    let listed = client.list_evaluations(list).await?.into_inner().evaluations;
    ensure!(listed.len() == 1 && listed.into_iter().map(Some).all(|evaluation| hides(&evaluation)));
    let trends = v1::ListTrendsRequest { period: period.clone(), ..Default::default() };
    let trends = client.list_trends(trends).await?.into_inner().trends;
    ensure!(trends.len() == 1 && [&trends[0].evaluation, &trends[0].previous].into_iter().all(hides), "{trends:?}");
    ensure!(trends[0].rank_in_kota.is_some());
    let watch = v1::WatchEvaluationsRequest { period: period.clone(), ..Default::default() };
    let mut watch = client.watch_evaluations(watch).await?.into_inner();
    ensure!(hides(&watch.message().await?.context("the first picture")?.evaluation));

    let explain = v1::ExplainIndicatorRequest {
        subject: Some(v1::explain_indicator_request::Subject::AreaCode(OWN.to_owned())),
        period: period.clone(),
        indicator: v1::IndicatorKind::ResponseWithinTarget.into(),
        ..Default::default()
    };
    ensure!(hides(&client.explain_indicator(explain).await?.into_inner().evaluation));

    // Nor from what changed when it left the shelter, and that nothing else did.
    let head = told.house.head().await?;
    let discharge = v1::CaseCommand {
        command_id: uuid::Uuid::now_v7().to_string(),
        case_id: told.house.own_case.clone(),
        expected_version: 5,
        occurred_at: Some(pbjson_types::Timestamp { seconds: 1_773_200_100, nanos: 0 }),
        step: Some(Step::DischargeFromShelter(v1::DischargeFromShelter {})),
    };
    let door = told.house.served.connect().await?;
    CaseServiceClient::new(door).advance_case(v1::AdvanceCaseRequest { command: Some(discharge) }).await?;
    let compare = async |door: &Door, position: u64| {
        let then = Some(v1::AsOf { at: Some(v1::as_of::At::Position(position)) });
        let request = v1::CompareEvaluationsRequest {
            then,
            period: period.clone(),
            area_prefix: OWN.to_owned(),
            ..Default::default()
        };
        let answer = EvaluationServiceClient::new(door.clone()).compare_evaluations(request).await?;
        anyhow::Ok(answer.into_inner().changes)
    };
    ensure!(compare(&supervisor, head).await?.len() == 1);
    ensure!(compare(&satgas, head).await?.is_empty());
    let since_the_beginning = compare(&satgas, 10).await?;
    ensure!(since_the_beginning.len() == 1 && hides(&since_the_beginning[0].now), "{since_the_beginning:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_and_a_case_worker_get_what_is_stored() -> anyhow::Result<()> {
    let told = told().await?;
    let supervisor = told.house.door(Role::Supervisor, None).await?;
    let seen = events(&supervisor, 0, v1::EventFilter::default()).await?;
    ensure!((1..).zip(&seen).all(|(position, event)| event.position == position && event.shaping.is_none()));
    let all = text(&seen)?;
    ensure!(WORDS.iter().all(|word| all.contains(word)), "{all}");
    let worker = events(&told.house.door(Role::CaseWorker, None).await?, 0, v1::EventFilter::default()).await?;
    ensure!(worker.iter().all(|event| seen.contains(event)) && !of_kind(&worker, EventKind::CaseStep).is_empty());
    Ok(())
}

async fn evaluation(door: &Door, code: &str, period: &str) -> anyhow::Result<v1::Evaluation> {
    let subject = Some(Subject::AreaCode(code.to_owned()));
    let request = v1::GetEvaluationRequest { subject, period: period.to_owned(), ..Default::default() };
    let answer = EvaluationServiceClient::new(door.clone()).get_evaluation(request).await?.into_inner();
    answer.evaluation.context("an evaluation")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_gets_case_figures_of_the_kota_only_and_no_small_ones() -> anyhow::Result<()> {
    let told = told().await?;
    let (board, supervisor) =
        (told.house.door(Role::Dashboard, None).await?, told.house.door(Role::Supervisor, None).await?);
    for code in [OWN, NEIGHBOUR, KECAMATAN] {
        let (shown, whole) =
            (evaluation(&board, code, "2026-03").await?, evaluation(&supervisor, code, "2026-03").await?);
        ensure!(whole.cases.is_some_and(|cases| cases.reported > 0) && whole.shaping.is_none(), "{whole:?}");
        ensure!(shown.cases.is_none() && shown.open_conflicts == 0, "{shown:?}");
        let shaping = shown.shaping.clone().unwrap_or_default();
        for field in ["cases", "open_conflicts", "indicators.response_within_target", "missed.responses"] {
            ensure!(shaping.withheld.iter().any(|withheld| withheld == field), "{code}: {field} in {shaping:?}");
        }
        ensure!(
            shown
                .indicators
                .iter()
                .filter(|i| i.kind() == v1::IndicatorKind::ResponseWithinTarget)
                .all(|i| !i.applicable)
        );
        let visits = |evaluation: &v1::Evaluation| evaluation.activity.map(|activity| activity.visits);
        ensure!(visits(&shown) == visits(&whole));
        // The score is that of what is shown: nothing is left to be solved for.
        let schools = shown.indicators.iter().find(|i| i.kind() == v1::IndicatorKind::SchoolCoverage);
        ensure!(
            schools.is_some_and(|i| shown.score
                == Some(if i.numerator == i.denominator {
                    100.0
                } else if i.numerator == 0 {
                    0.0
                } else {
                    50.0
                })),
            "{shown:?}"
        );
    }
    let kota = evaluation(&board, KOTA, "2026-03").await?;
    let shaping = kota.shaping.clone().unwrap_or_default();
    ensure!(kota.cases.is_some_and(|cases| cases.reported == 0 && cases.in_shelter == 0), "{kota:?}");
    for field in ["cases.reported", "cases.open", "cases.in_shelter", "indicators.response_within_target"] {
        ensure!(shaping.few.iter().any(|few| few == field), "{field} in {shaping:?}");
    }
    let request = v1::ListTrendsRequest { period: "2026-03".to_owned(), ..Default::default() };
    let trends = EvaluationServiceClient::new(board).list_trends(request).await?.into_inner().trends;
    ensure!(trends.len() == 2 && trends.iter().all(|trend| trend.rank_in_kota.is_none()), "{trends:?}");
    ensure!(trends.iter().all(|t| {
        [&t.evaluation, &t.previous, &t.year_before].iter().all(|e| e.as_ref().is_some_and(|e| e.cases.is_none()))
    }));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_watches_a_kelurahan_does_not_learn_where_a_case_came_from() -> anyhow::Result<()> {
    let house = House::open().await?;
    let board = house.door(Role::Dashboard, None).await?;
    let request = v1::WatchEvaluationsRequest { period: "2026-03".to_owned(), ..Default::default() };
    let mut watch = EvaluationServiceClient::new(board).watch_evaluations(request).await?.into_inner();
    for _ in 0..2 {
        let first = watch.message().await?.context("the first picture")?;
        ensure!(first.cause_position == 0, "{first:?}");
    }
    let door = house.served.connect().await?;
    let request = v1::OpenCaseRequest { submission: Some(case_report(&area(OWN))), identities: Vec::new() };
    CaseServiceClient::new(door.clone()).open_case(request).await?;
    let visited = v1::SchoolVisit {
        school_id: OTHER_SCHOOL.to_owned(),
        purpose: v1::VisitPurpose::Sosialisasi.into(),
        reach: Some(v1::Reach { pupils_female: 20, ..Default::default() }),
        ..Default::default()
    };
    let visited = submission(&area(NEIGHBOUR), Content::SchoolVisit(visited));
    let visited = v1::SubmitRequest { submission: Some(visited) };
    SubmissionServiceClient::new(door).submit(visited).await?;
    let next = watch.message().await?.context("a change")?;
    let evaluation = next.evaluation.context("an evaluation")?;
    ensure!(text(&evaluation)?.contains(NEIGHBOUR), "the case changed nothing that is shown: {evaluation:?}");
    ensure!(next.cause_position == evaluation.basis.map_or(0, |basis| basis.position), "and no event is named");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_warnings_are_cut_out_of_what_their_reader_may_see() -> anyhow::Result<()> {
    let told = told().await?;
    let pages = async |door: Door| -> anyhow::Result<Vec<usize>> {
        let (mut pages, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListWarningsRequest { page_size: 1, page_token, ..Default::default() };
            let page = WarningServiceClient::new(door.clone()).list_warnings(request).await?.into_inner();
            pages.push(page.warnings.len());
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(pages);
            }
        }
    };
    let all = pages(told.house.door(Role::Supervisor, None).await?).await?;
    let school = Some(v1::assignment::Own::InstitutionId(SCHOOL.to_owned()));
    for (role, own) in [(Role::Dashboard, None), (Role::Institution, school)] {
        let seen = pages(told.house.door(role, own).await?).await?;
        ensure!(seen.len() < all.len(), "nothing is kept from {role:?}: {seen:?} of {all:?}");
        ensure!(seen == [0] || seen.iter().all(|warnings| *warnings == 1), "{role:?}: {seen:?} of {all:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_of_a_cases_overdue_follow_up_is_a_reading_of_that_case() -> anyhow::Result<()> {
    let told = told().await?;
    let (id, secret) = told.house.token(Role::CaseWorker, None, 600).await?;
    let kinds = vec![v1::WarningKind::FollowUpOverdue.into()];
    let request = v1::ListWarningsRequest { kinds, ..Default::default() };
    let mut client = WarningServiceClient::new(told.house.with(&secret).await?);
    let warnings = client.list_warnings(request).await?.into_inner().warnings;
    ensure!(warnings.iter().any(|warning| warning.subject_id == format!("{}#1", told.house.own_case)), "{warnings:?}");
    let seen = crate::audit::seen(&told.house, &id).await?;
    ensure!(seen.cases.iter().any(|case| case.case_id == told.house.own_case), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_of_a_group_names_to_a_dashboard_the_kecamatan_and_no_school() -> anyhow::Result<()> {
    let told = told().await?;
    let list = async |role: Role, prefix: &str| -> anyhow::Result<Vec<v1::Warning>> {
        let request = v1::ListWarningsRequest { area_prefix: prefix.to_owned(), ..Default::default() };
        let door = told.house.door(role, None).await?;
        Ok(WarningServiceClient::new(door).list_warnings(request).await?.into_inner().warnings)
    };
    let of_group = |warnings: Vec<v1::Warning>| {
        warnings.into_iter().filter(|w| w.kind() == v1::WarningKind::GroupSpreads).collect::<Vec<_>>()
    };
    for prefix in ["", KOTA, KECAMATAN] {
        let shown = of_group(list(Role::Dashboard, prefix).await?);
        ensure!(shown.len() == 1 && shown[0].area_codes == [KECAMATAN], "{shown:?}");
        ensure_none(&text(&shown[0])?, [OWN, NEIGHBOUR, SCHOOL, OTHER_SCHOOL, &fingerprint()])?;
    }
    ensure!(of_group(list(Role::Supervisor, OWN).await?).len() == 1);
    ensure!(of_group(list(Role::Dashboard, OWN).await?).is_empty(), "a kelurahan that matched would be told by that");
    ensure!(list(Role::Dashboard, "53.71.03.9999").await.is_err(), "no such kelurahan");
    Ok(())
}
