//! Reports of the public on the real binary: sent from a phone on a bad network, followed up by a code, read, decided on, over a restart; and
//! what whoever guesses, floods or looks into the files gets. All invented.

mod door;
mod process;

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};
use satgas_proto::{
    follow_up::Code,
    v1::{
        self, PublicReportStatus, Role, audit_service_client::AuditServiceClient,
        case_service_client::CaseServiceClient, erasure_service_client::ErasureServiceClient, event::Body,
        event_service_client::EventServiceClient, public_report_service_client::PublicReportServiceClient,
        submission::Content, submission::Reporter, triage_report_request::Decision,
    },
};
use tonic::Status;
use tonic_types::StatusExt as _;

use door::Door;
use process::Served;

const AREA: &str = "53.71.04.1001";
const TEXT: &str = "Seorang anak di Gang Melati Contoh diancam lewat pesan.";
const NAME: &str = "Kenanga Contohwati";
const PHONE: &str = "0812-0000-0000-contoh";
const MORE: &str = "Pesannya datang lagi tadi malam, Contohlagi.";
const ANSWER: &str = "Kami sudah membaca laporanmu. Kamu tidak sendiri.";
const PURPOSE: &str = "Telaah laporan masyarakat yang masuk";
/// A midnight in UTC, in milliseconds.
const MIDNIGHT_MS: u64 = 1_773_100_800_000;

/// A data folder, and the server's own log beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// Starts a server whose own log, at its most talkative, goes on in the same file.
    async fn serve(&self, settings: &[(&str, &str)]) -> anyhow::Result<Served> {
        let log = File::options().create(true).append(true).open(self.0.path().join("server.log"))?;
        let settings: Vec<_> = [("RUST_LOG", "trace")].into_iter().chain(settings.iter().copied()).collect();
        let is_new = !self.data().exists();
        let served = Served::start_logging(&self.data(), &["--sample-data"], &settings, log)?;
        if is_new {
            register(&served.connect().await?).await?;
        }
        Ok(served)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

async fn register(door: &Door) -> anyhow::Result<()> {
    door::register(door, ["53.71", "53.71.04", AREA].map(door::town_area).into()).await
}

fn timeless_id() -> String {
    uuid::Builder::from_unix_timestamp_millis(MIDNIGHT_MS, &rand::random()).into_uuid().to_string()
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A child's report, and the code that its phone has made.
fn report() -> (v1::SendReportRequest, Code) {
    let code = Code::of_random(rand::random());
    let person = v1::PersonIdentity { full_name: NAME.into(), ..Default::default() };
    let request = v1::SendReportRequest {
        report_id: timeless_id(),
        code_hash: code.hash().to_vec().into(),
        area_code: AREA.into(),
        categories: Some(v1::CaseReport { violence: vec![v1::Violence::Seksual.into()], ..Default::default() }),
        content: Some(v1::PublicReportText {
            text: TEXT.into(),
            contact: PHONE.into(),
            victim: Some(person),
            ..Default::default()
        }),
    };
    (request, code)
}

/// The case that a report becomes.
fn case_of(report_id: &str) -> v1::Submission {
    v1::Submission {
        submission_id: report_id.to_owned(),
        device_id: "meja-contoh".into(),
        device_sequence: 1,
        occurred_at: Some(pbjson_types::Timestamp { seconds: 1_773_100_800, nanos: 0 }),
        reporter: Some(Reporter::AreaCode(AREA.into())),
        content: Some(Content::CaseReport(v1::CaseReport {
            violence: vec![v1::Violence::Seksual.into()],
            place: v1::Place::Daring.into(),
            victim_age: v1::AgeGroup::AgeGroup1317.into(),
            victim_sex: v1::Sex::Perempuan.into(),
            offender: v1::Offender::TidakDiketahui.into(),
            ..Default::default()
        })),
    }
}

/// Whoever has no token.
async fn anybody(served: &Served) -> anyhow::Result<PublicReportServiceClient<Door>> {
    Ok(PublicReportServiceClient::new(Door::with(served.channel().await?, "")))
}

async fn staff(served: &Served) -> anyhow::Result<PublicReportServiceClient<Door>> {
    Ok(PublicReportServiceClient::new(served.connect().await?))
}

async fn follow(served: &Served, code: &str) -> Result<v1::FollowUpResponse, Status> {
    let mut client = anybody(served).await.map_err(|error| Status::unknown(error.to_string()))?;
    Ok(client.follow_up(v1::FollowUpRequest { code: code.to_owned(), ..Default::default() }).await?.into_inner())
}

async fn read(served: &Served, report_id: &str) -> anyhow::Result<v1::ReadPublicReportResponse> {
    let request = v1::ReadPublicReportRequest { report_id: report_id.to_owned(), purpose: PURPOSE.into() };
    Ok(staff(served).await?.read_public_report(request).await?.into_inner())
}

fn triage(report_id: &str, expected_version: u64, decision: Decision) -> v1::TriageReportRequest {
    let answer = Some(v1::PublicMessageText { text: ANSWER.into() });
    let (command_id, report_id, decision) = (new_id(), report_id.to_owned(), Some(decision));
    v1::TriageReportRequest { command_id, report_id, expected_version, decision, answer }
}

async fn log(door: &Door) -> anyhow::Result<Vec<v1::Event>> {
    let request = v1::ReadRequest { after_position: 0, filter: None, page_size: 10_000 };
    Ok(EventServiceClient::new(door.clone()).read(request).await?.into_inner().events)
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn wait(status: &Status) -> Option<std::time::Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_reports_over_a_bad_network_and_reads_what_became_of_it() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[]).await?;
    let (request, code) = report();
    let id = request.report_id.clone();
    // Twice the answer is lost on its way: the phone sends the same again.
    for _ in 0..3 {
        let answer = anybody(&served).await?.send_report(request.clone()).await?.into_inner();
        ensure!(answer.report_id == id && answer.status() == PublicReportStatus::Received);
    }
    let events = log(&served.connect().await?).await?;
    let received = |event: &&v1::Event| matches!(event.body, Some(Body::PublicReportReceived(_)));
    ensure!(events.iter().filter(received).count() == 1, "one report");
    // Something else under its id is refused, and says nothing of it.
    let other = v1::SendReportRequest { area_code: String::new(), ..request.clone() };
    let taken = anybody(&served).await?.send_report(other).await.unwrap_err();
    ensure!(reason(&taken) == "ID_TAKEN" && !taken.message().contains("position"), "{taken:?}");

    let spoken = code.to_string().to_lowercase().replace('-', " ");
    ensure!(follow(&served, &spoken).await?.status() == PublicReportStatus::Received);
    let reports = staff(&served).await?.list_public_reports(v1::ListPublicReportsRequest::default()).await?;
    let listed = reports.into_inner().reports;
    ensure!(listed.len() == 1 && listed[0].report_id == id && listed[0].version == 1, "{listed:?}");

    let answer = read(&served, &id).await?;
    let content = answer.content.context("what it says")?;
    ensure!(content.text == TEXT && content.victim.unwrap_or_default().full_name == NAME);
    ensure!(follow(&served, &spoken).await?.status() == PublicReportStatus::LookedAt);
    let message = Some(v1::PublicMessageText { text: MORE.into() });
    let added = v1::FollowUpRequest { code: code.to_string(), message, message_id: timeless_id() };
    for _ in 0..2 {
        ensure!(anybody(&served).await?.follow_up(added.clone()).await?.into_inner().messages == 1, "added once");
    }

    // Decided on what was there before the message: looked at again.
    let mut decide = triage(&id, 1, Decision::OpenCase(case_of(&id)));
    let stale = staff(&served).await?.triage_report(decide.clone()).await.unwrap_err();
    ensure!(reason(&stale) == "STALE_VERSION", "{stale:?}");
    decide.expected_version = 2;
    for expected in [v1::ReceiptStatus::Accepted, v1::ReceiptStatus::AlreadyKnown] {
        let answer = staff(&served).await?.triage_report(decide.clone()).await?.into_inner();
        ensure!(answer.receipt.unwrap_or_default().status() == expected);
    }
    ensure!(served.terminate()? == Some(0));

    let served = place.serve(&[]).await?;
    let stands = follow(&served, &spoken).await?;
    ensure!(stands.status() == PublicReportStatus::TakenUp && stands.messages == 1, "{stands:?}");
    ensure!(stands.answers.iter().map(|answer| answer.text.as_str()).eq([ANSWER]));
    let again = anybody(&served).await?.send_report(request).await?.into_inner();
    ensure!(again.report_id == id, "the same report, a restart later");
    // It is a case now: who has it reads it, and nobody else.
    let refused = read(&served, &id).await.unwrap_err();
    ensure!(reason(refused.downcast_ref().context("a status")?) == "NOT_ASSIGNED", "{refused:?}");
    served.ask(&["case", "take", &id])?.good()?;
    let answer = read(&served, &id).await?;
    let texts: Vec<String> = answer.messages.into_iter().filter_map(|m| m.message).map(|m| m.text).collect();
    ensure!(texts == [MORE, ANSWER], "{texts:?}");
    let get = v1::GetCaseRequest { case_id: id.clone(), ..Default::default() };
    let case = CaseServiceClient::new(served.connect().await?).get_case(get).await?.into_inner().case;
    ensure!(case.unwrap_or_default().sealing.unwrap_or_default().identities.len() == 1, "its report is sealed with it");
    ensure!(served.terminate()? == Some(0));

    // Nothing of it lies anywhere in the clear: not in the logs, the keys, the checkpoints or what the server said of itself.
    let written = code.to_string();
    for text in [TEXT, NAME, PHONE, MORE, ANSWER, &written, &written.replace('-', "")] {
        let found = process::holding(place.0.path(), text.as_bytes())?;
        ensure!(found.is_empty(), "`{text}` is in {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guessed_code_is_told_nothing_and_soon_nothing_at_all() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[("SATGAS_REFUSALS_PER_MINUTE", "40")]).await?;
    let (request, code) = report();
    anybody(&served).await?.send_report(request).await?;
    let mut told = Vec::new();
    let unknown = Code::of_random(rand::random()).to_string();
    for guess in [unknown.as_str(), "", "7Q2MX", "UUUUU-UUUUU-UUUUU-UUUUU"] {
        let refused = follow(&served, guess).await.unwrap_err();
        told.push((refused.code(), refused.message().to_owned(), reason(&refused)));
    }
    ensure!(told.iter().all(|one| one == &told[0]) && told[0].2 == "BAD_CODE", "{told:?}");
    let refused = async |_| follow(&served, &unknown).await.unwrap_err();
    let mut last = refused(0).await;
    for n in 0..60 {
        last = refused(n).await;
    }
    ensure!(reason(&last) == "TOO_MANY_REFUSALS" && wait(&last).is_some(), "{last:?}");
    let right = follow(&served, &code.to_string()).await.unwrap_err();
    ensure!(reason(&right) == "TOO_MANY_REFUSALS", "beyond the limit a right code is no more than a wrong one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_guess_keeps_no_child_from_its_own_report() -> anyhow::Result<()> {
    let place = Place::new()?;
    // Each source has its own limit; here one stands for many.
    let served = place.serve(&[("SATGAS_REFUSALS_PER_MINUTE", "100000")]).await?;
    let (request, code) = report();
    anybody(&served).await?.send_report(request).await?;
    let strangers = anybody(&served).await?;
    for _ in 0..22 {
        let guesses = (0..32).map(|_| {
            let (mut stranger, code) = (strangers.clone(), Code::of_random(rand::random()).to_string());
            tokio::spawn(async move { stranger.follow_up(v1::FollowUpRequest { code, ..Default::default() }).await })
        });
        for guess in guesses.collect::<Vec<_>>() {
            let refused = guess.await?.err().context("nobody finds a code by guessing")?;
            ensure!(reason(&refused) == "BAD_CODE", "{refused:?}");
        }
    }
    ensure!(follow(&served, &code.to_string()).await?.status() == PublicReportStatus::Received);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_not_guessed_by_sending_reports_nor_unseen_after_a_report_without_one() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[("SATGAS_REFUSALS_PER_MINUTE", "30")]).await?;
    let (first, code) = report();
    anybody(&served).await?.send_report(first.clone()).await?;
    // Whoever sends a report with a hash is told whether it is a report's: counted like a wrong code.
    let guess = || v1::SendReportRequest { report_id: timeless_id(), ..first.clone() };
    let mut last = anybody(&served).await?.send_report(guess()).await.unwrap_err();
    ensure!(last.code() == tonic::Code::InvalidArgument, "{last:?}");
    for _ in 0..40 {
        last = anybody(&served).await?.send_report(guess()).await.unwrap_err();
    }
    ensure!(reason(&last) == "TOO_MANY_REFUSALS", "{last:?}");
    served.terminate()?;

    // A report whose hash is that of no code does not make what is no code a right one, which nobody would count.
    let served = place.serve(&[("SATGAS_REFUSALS_PER_MINUTE", "30")]).await?;
    let nothing = v1::SendReportRequest { code_hash: vec![0; 32].into(), ..report().0 };
    anybody(&served).await?.send_report(nothing).await?;
    let mut last = follow(&served, "7Q2MX").await.unwrap_err();
    ensure!(reason(&last) == "BAD_CODE", "{last:?}");
    for _ in 0..40 {
        last = follow(&served, "7Q2MX").await.unwrap_err();
    }
    ensure!(reason(&last) == "TOO_MANY_REFUSALS", "{last:?}");
    ensure!(reason(&follow(&served, &code.to_string()).await.unwrap_err()) == "TOO_MANY_REFUSALS");
    Ok(())
}

/// Reports that a phone sends one after the other until the server is gone; each that was acknowledged is told.
async fn send_until_it_is_gone(
    served: &Served,
    told: tokio::sync::mpsc::UnboundedSender<(String, Code, String)>,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let mut phone = anybody(served).await?;
    Ok(tokio::spawn(async move {
        loop {
            let (request, code) = report();
            let (id, message_id) = (request.report_id.clone(), timeless_id());
            if phone.send_report(request).await.is_err() {
                return;
            }
            let message = Some(v1::PublicMessageText { text: MORE.into() });
            let added = v1::FollowUpRequest { code: code.to_string(), message, message_id: message_id.clone() };
            let added = if phone.follow_up(added).await.is_ok() { message_id } else { String::new() };
            if told.send((id, code, added)).is_err() {
                return;
            }
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kills_every_acknowledged_report_is_there_once_opens_and_is_followed_by_its_code() -> anyhow::Result<()> {
    let place = Place::new()?;
    let any = [("SATGAS_PUBLIC_REPORTS_PER_SOURCE_PER_HOUR", "0"), ("SATGAS_PUBLIC_REPORTS_PER_HOUR", "0")];
    let mut acknowledged = Vec::new();
    for round in 1..=4 {
        let served = place.serve(&any).await?;
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let mut phones = Vec::new();
        for _ in 0..4 {
            phones.push(send_until_it_is_gone(&served, told.clone()).await?);
        }
        drop(told);
        for _ in 0..10 * round {
            acknowledged.push(heard.recv().await.context("the phones send")?);
        }
        served.kill()?;
        // What was acknowledged while it was killed counts, too.
        while let Some(report) = heard.recv().await {
            acknowledged.push(report);
        }
        for phone in phones {
            phone.await?;
        }
    }

    let served = place.serve(&any).await?;
    let request = v1::ListPublicReportsRequest { page_size: 1_000, ..Default::default() };
    let listed = staff(&served).await?.list_public_reports(request).await?.into_inner().reports;
    let mut client = anybody(&served).await?;
    for (id, code, added) in &acknowledged {
        ensure!(listed.iter().filter(|report| report.report_id == *id).count() == 1, "{id} is there once");
        let request = v1::FollowUpRequest { code: code.to_string(), ..Default::default() };
        let stands = client.follow_up(request).await?.into_inner();
        ensure!(stands.status() == PublicReportStatus::Received, "{stands:?}");
        ensure!(added.is_empty() || stands.messages == 1, "what was added and acknowledged is there");
    }
    ensure!(acknowledged.len() >= 100, "{} reports", acknowledged.len());
    // Its key is as durable as the report. The first and the last of all rounds stand for the others.
    for (id, ..) in acknowledged.iter().step_by(acknowledged.len() / 12) {
        ensure!(read(&served, id).await?.content.context("what it says")?.text == TEXT);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_sends_a_few_reports_and_what_it_sent_may_still_be_sent_again() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[("SATGAS_PUBLIC_REPORTS_PER_SOURCE_PER_HOUR", "3")]).await?;
    let (first, code) = report();
    anybody(&served).await?.send_report(first.clone()).await?;
    let (mut bad, _) = report();
    bad.area_code = "53.71.04".into();
    let refused = anybody(&served).await?.send_report(bad).await.unwrap_err();
    ensure!(refused.code() == tonic::Code::InvalidArgument, "what was refused does not count: {refused:?}");
    for _ in 0..2 {
        anybody(&served).await?.send_report(report().0).await?;
    }
    let refused = anybody(&served).await?.send_report(report().0).await.unwrap_err();
    ensure!(reason(&refused) == "TOO_MUCH" && wait(&refused).is_some(), "{refused:?}");
    anybody(&served).await?.send_report(first).await?;
    ensure!(follow(&served, &code.to_string()).await?.status() == PublicReportStatus::Received);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_does_not_keep_the_next_report_out_for_an_hour() -> anyhow::Result<()> {
    let place = Place::new()?;
    let limits = [("SATGAS_PUBLIC_REPORTS_PER_SOURCE_PER_HOUR", "0"), ("SATGAS_PUBLIC_REPORTS_PER_HOUR", "20")];
    let served = place.serve(&limits).await?;
    let mut taken = 0;
    let refused = loop {
        match anybody(&served).await?.send_report(report().0).await {
            Ok(_) if taken < 40 => taken += 1,
            Ok(_) => anyhow::bail!("nothing is refused"),
            Err(refused) => break refused,
        }
    };
    ensure!(taken == 10, "{taken}: half of it is kept for who has sent nothing");
    let wait = wait(&refused).context("when to try again")?;
    ensure!(reason(&refused) == "TOO_MUCH" && wait.as_secs() <= 180, "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_tell_the_time_and_schools_in_the_clear_are_refused() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[]).await?;
    let (mut request, _) = report();
    request.report_id = new_id();
    request.code_hash = vec![1; 5].into();
    request.categories = Some(v1::CaseReport { school_id: "99900001".into(), ..Default::default() });
    request.content = Some(v1::PublicReportText { text: "x".repeat(4_001), ..Default::default() });
    let refused = anybody(&served).await?.send_report(request).await.unwrap_err();
    let fields: Vec<String> = refused
        .get_details_bad_request()
        .map(|bad| bad.field_violations.into_iter().map(|violation| violation.field).collect())
        .unwrap_or_default();
    ensure!(fields == ["report_id", "code_hash", "categories.school_id", "content.text"], "{fields:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_dismissed_held_and_erased_and_its_reporter_is_told_one_word() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[]).await?;
    let (request, code) = report();
    let id = request.report_id.clone();
    anybody(&served).await?.send_report(request.clone()).await?;
    let reason_given = "Laporan uji coba tanpa isi".to_owned();
    staff(&served).await?.triage_report(triage(&id, 1, Decision::Dismiss(reason_given))).await?;
    let stands = follow(&served, &code.to_string()).await?;
    ensure!(stands.status() == PublicReportStatus::Closed && stands.answers.len() == 1, "{stands:?}");
    ensure!(read(&served, &id).await?.content.is_some(), "what was dismissed can be looked at again");

    let channel = served.connect().await?;
    let mut erasures = ErasureServiceClient::new(channel.clone());
    let why = "Permintaan tertulis keluarga".to_owned();
    let hold = v1::PlaceHoldRequest { command_id: new_id(), case_id: id.clone(), reason: why.clone(), until: None };
    let hold_id = hold.command_id.clone();
    erasures.place_hold(hold).await?;
    let ask = v1::RequestErasureRequest { command_id: new_id(), case_id: id.clone(), reason: why.clone() };
    ensure!(reason(&erasures.request_erasure(ask.clone()).await.unwrap_err()) == "HELD");
    let lift = v1::LiftHoldRequest { command_id: new_id(), case_id: id.clone(), hold_id, reason: why };
    erasures.lift_hold(lift).await?;
    erasures.request_erasure(ask).await?;
    let assignment = v1::Assignment { role: Role::Supervisor.into(), own: None };
    let (_, second) = door::issue(&served.channel().await?, &served.operator()?, assignment, 3_600).await?;
    let approve = v1::ApproveErasureRequest { command_id: new_id(), case_id: id.clone() };
    ErasureServiceClient::new(Door::with(served.channel().await?, &second)).approve_erasure(approve).await?;

    let refused = read(&served, &id).await.unwrap_err();
    ensure!(reason(refused.downcast_ref().context("a status")?) == "ERASED", "{refused:?}");
    let stands = follow(&served, &code.to_string()).await?;
    ensure!(stands.status() == PublicReportStatus::Closed && stands.answers.is_empty(), "{stands:?}");
    let resent = anybody(&served).await?.send_report(request).await.unwrap_err();
    ensure!(reason(&resent) == "ID_TAKEN", "{resent:?}");
    ensure!(served.terminate()? == Some(0));
    let verify = process::satgas(&["verify", "--erased", &id, "--data"]).arg(place.data()).output()?;
    ensure!(verify.status.success(), "{verify:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn task_forces_see_nothing_of_reports_and_every_reading_is_found_by_the_audit() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[]).await?;
    let (request, _) = report();
    let id = request.report_id.clone();
    anybody(&served).await?.send_report(request).await?;
    let channel = served.channel().await?;
    let own = Some(v1::assignment::Own::AreaCode(AREA.into()));
    let issue = async |role: Role, own| {
        let assignment = v1::Assignment { role: role.into(), own };
        door::issue(&channel, &served.operator()?, assignment, 3_600).await
    };
    let (worker_id, secret) = issue(Role::CaseWorker, None).await?;
    let mut worker = PublicReportServiceClient::new(Door::with(channel.clone(), &secret));
    let read = v1::ReadPublicReportRequest { report_id: id.clone(), purpose: PURPOSE.into() };
    worker.read_public_report(read).await?;
    worker.triage_report(triage(&id, 1, Decision::OpenCase(case_of(&id)))).await?;

    for (role, own) in [(Role::Satgas, own.clone()), (Role::Dashboard, None)] {
        let (_, secret) = issue(role, own).await?;
        for event in log(&Door::with(channel.clone(), &secret)).await? {
            let kind = event.kind();
            let told = matches!(
                kind,
                v1::EventKind::PublicReportReceived
                    | v1::EventKind::PublicReportTriaged
                    | v1::EventKind::PublicReportMessage
                    | v1::EventKind::IdentityRead
            );
            ensure!(!told, "{role:?} is told of {kind:?}");
        }
    }
    let (_, secret) = issue(Role::Satgas, own).await?;
    let get = v1::GetCaseRequest { case_id: id.clone(), ..Default::default() };
    let case = CaseServiceClient::new(Door::with(channel.clone(), &secret)).get_case(get).await?.into_inner().case;
    let sealing = case.context("its own case")?.sealing.unwrap_or_default();
    ensure!(sealing.identities.is_empty(), "that it began with a report of the public is not told: {sealing:?}");

    let request = v1::ListAccessRequest { token_id: worker_id, ..Default::default() };
    let seen = AuditServiceClient::new(served.connect().await?).list_access(request).await?.into_inner().cases;
    ensure!(seen.iter().any(|case| case.case_id == id), "{seen:?}");
    let events = log(&served.connect().await?).await?;
    let is_reading = |event: &v1::Event| matches!(&event.body, Some(Body::IdentityRead(read)) if read.case_id == id);
    ensure!(events.iter().any(is_reading), "and it stands in the log");
    Ok(())
}

/// From a shell: the code is printed once, and a typing error is told without asking the server.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_sends_and_follows_a_report() -> anyhow::Result<()> {
    let place = Place::new()?;
    let served = place.serve(&[]).await?;
    let file = place.0.path().join("laporan.json");
    fs::write(&file, format!(r#"{{"text": "{TEXT}", "victim": {{"fullName": "{NAME}"}}}}"#))?;
    let sent =
        process::ask(&served.url, "", &["report", "send", "--area", AREA, "--file", &file.display().to_string()])?;
    let printed = sent.good()?;
    let code = printed.lines().find_map(|line| line.strip_prefix("code  ")).context("a code")?.to_owned();
    let followed = process::ask(&served.url, "", &["report", "follow", &code])?.good()?;
    ensure!(followed.contains("received"), "{followed}");
    let mistyped = if code.starts_with('7') { code.replacen('7', "8", 1) } else { format!("7{}", &code[1..]) };
    let answer = process::ask("http://127.0.0.1:9", "", &["report", "follow", &mistyped])?;
    ensure!(answer.code == Some(1) && answer.error.contains("mistyped"), "{}", answer.error);
    let listed = served.ask(&["report", "list", "--format", "json"])?.good()?;
    let reports: Vec<v1::PublicReport> = serde_json::from_str(&listed)?;
    let id = &reports.first().context("a report")?.report_id;
    let told = served.ask(&["report", "read", id, "--purpose", PURPOSE])?.good()?;
    ensure!(told.contains(TEXT) && told.contains("CONTOH"), "{told}");
    let why = "Laporan uji coba tanpa isi";
    let done = served.ask(&["report", "triage", id, "--expect", "1", "--dismiss", why])?.good()?;
    ensure!(done.contains("closed"), "{done}");
    Ok(())
}
