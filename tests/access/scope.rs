//! Tricks with what is one's own: prefixes, neighbours' cases, other people's names, streams.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, EventKind, Role, StreamNotice, assignment::Own, case_service_client::CaseServiceClient,
    evaluation_service_client::EvaluationServiceClient, event_service_client::EventServiceClient,
    registry_service_client::RegistryServiceClient, submission::Reporter,
    submission_service_client::SubmissionServiceClient,
};
use tonic::{Code, Status};

use crate::{
    door::Door,
    house::{House, NEIGHBOUR, OTHER_SCHOOL, OWN, SCHOOL, area, case_report, ensure_code, refused, visit},
};

async fn get(door: &Door, id: &str) -> Result<v1::Case, Status> {
    let request = v1::GetCaseRequest { case_id: id.to_owned(), ..Default::default() };
    let answer = CaseServiceClient::new(door.clone()).get_case(request).await?.into_inner();
    Ok(answer.case.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_case_is_as_unknown_as_one_that_is_not_there() -> anyhow::Result<()> {
    let house = House::open().await?;
    let school = house.door(Role::Institution, Some(Own::InstitutionId(SCHOOL.to_owned()))).await?;
    for (door, own) in [(house.satgas().await?, true), (school, false)] {
        let neighbours = refused(get(&door, &house.neighbours_case).await)?;
        let nobodys = refused(get(&door, &uuid::Uuid::now_v7().to_string()).await)?;
        let told = |status: &Status| (status.code(), status.message().to_owned(), status.details().to_vec());
        ensure!(
            told(&neighbours) == told(&nobodys) && neighbours.code() == Code::NotFound,
            "{neighbours:?} {nobodys:?}"
        );
        ensure!(get(&door, &house.own_case).await.is_ok() == own);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_case_under_a_neighbours_id_shows_nothing_of_it() -> anyhow::Result<()> {
    let house = House::open().await?;
    let stolen = v1::Submission { submission_id: house.neighbours_case.clone(), ..case_report(&area(OWN)) };
    let request = v1::OpenCaseRequest { submission: Some(stolen), identities: Vec::new() };
    let answer = CaseServiceClient::new(house.satgas().await?).open_case(request).await?.into_inner();
    ensure!(answer.case.is_none(), "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_hold_what_is_ones_own_and_a_prefix_beyond_it_is_refused() -> anyhow::Result<()> {
    let house = House::open().await?;
    let mut cases = CaseServiceClient::new(house.satgas().await?);
    let mut list = async |prefix: &str| {
        let request = v1::ListCasesRequest { area_prefix: prefix.to_owned(), ..Default::default() };
        let answer = cases.list_cases(request).await?.into_inner();
        Ok::<_, Status>(answer.cases.into_iter().map(|case| case.case_id).collect::<Vec<_>>())
    };
    for prefix in ["", OWN] {
        ensure!(list(prefix).await? == std::slice::from_ref(&house.own_case));
    }
    for trick in ["53.71", "53.71.03", "53.71.0", "53.71.03.101", NEIGHBOUR, "53.71.99", "53.71.03.1010.1x"] {
        let status = refused(list(trick).await)?;
        let mistyped = trick.starts_with(OWN) && status.code() == Code::InvalidArgument;
        ensure!(status.code() == Code::PermissionDenied || mistyped, "{trick}: {status:?}");
    }
    let of_somebody = v1::ListCasesRequest { assigned_to: "petugas-17".to_owned(), ..Default::default() };
    ensure_code(&cases.list_cases(of_somebody).await, Code::PermissionDenied).context("who leads cases")?;
    let mut evaluations = EvaluationServiceClient::new(house.satgas().await?);
    let listed = evaluations.list_evaluations(v1::ListEvaluationsRequest::default()).await?.into_inner().evaluations;
    ensure!(listed.len() == 1, "{listed:?}");
    for code in [NEIGHBOUR, "53.71.03", "53.71.03.9999"] {
        let subject = Some(v1::get_evaluation_request::Subject::AreaCode(code.to_owned()));
        let request = v1::GetEvaluationRequest { subject, ..Default::default() };
        ensure_code(&evaluations.get_evaluation(request).await, Code::PermissionDenied).context(code)?;
    }
    for id in [OTHER_SCHOOL, "99999999"] {
        let subject = Some(v1::get_evaluation_request::Subject::InstitutionId(id.to_owned()));
        let request = v1::GetEvaluationRequest { subject, ..Default::default() };
        ensure_code(&evaluations.get_evaluation(request).await, Code::PermissionDenied).context(id)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reports_in_anothers_name() -> anyhow::Result<()> {
    let house = House::open().await?;
    let school = |id: &str| Reporter::InstitutionId(id.to_owned());
    let satgas = house.satgas().await?;
    for reporter in [area(NEIGHBOUR), area("53.71.03"), school(SCHOOL), school(OTHER_SCHOOL), school("99999999")] {
        let request = v1::SubmitRequest { submission: Some(visit(&reporter)) };
        let answer = SubmissionServiceClient::new(satgas.clone()).submit(request).await;
        ensure_code(&answer, Code::PermissionDenied).with_context(|| format!("{reporter:?}"))?;
    }
    let team = house.door(Role::Institution, Some(Own::InstitutionId(SCHOOL.to_owned()))).await?;
    for (reporter, right) in [(school(SCHOOL), true), (school(OTHER_SCHOOL), false), (area(OWN), false)] {
        let request = v1::SubmitRequest { submission: Some(visit(&reporter)) };
        let answer = SubmissionServiceClient::new(team.clone()).submit(request).await;
        ensure!(answer.is_ok() == right, "{reporter:?}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_ends_at_the_message_that_holds_a_record_in_anothers_name() -> anyhow::Result<()> {
    let house = House::open().await?;
    let message =
        |codes: &[&str]| v1::SubmitBatchRequest { submissions: codes.iter().map(|code| visit(&area(code))).collect() };
    let batch = tokio_stream::iter([message(&[OWN, OWN]), message(&[OWN, NEIGHBOUR]), message(&[OWN])]);
    let mut client = SubmissionServiceClient::new(house.satgas().await?);
    let mut answers = client.submit_batch(batch).await?.into_inner();
    let first = answers.message().await?.context("receipts of the first message")?;
    ensure!(first.receipts.len() == 2 && first.receipts.iter().all(|r| r.status() == v1::ReceiptStatus::Accepted));
    let end = refused(answers.message().await)?;
    ensure!(end.code() == Code::PermissionDenied, "{end:?}");
    Ok(())
}

/// Everything that a subscriber gets until it has caught up.
async fn events(door: Door, filter: v1::EventFilter) -> Result<Vec<v1::Event>, Status> {
    let request = v1::SubscribeRequest { filter: Some(filter), ..Default::default() };
    let mut stream = EventServiceClient::new(door).subscribe(request).await?.into_inner();
    let mut events = Vec::new();
    while let Some(message) = stream.message().await? {
        let caught_up = message.notice() == StreamNotice::CaughtUp;
        events.extend(message.events);
        if caught_up {
            break;
        }
    }
    Ok(events)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_holds_what_the_role_may_see_whatever_is_asked_for() -> anyhow::Result<()> {
    let house = House::open().await?;
    let kinds = |events: &[v1::Event]| events.iter().map(v1::Event::kind).collect::<std::collections::BTreeSet<_>>();
    let all = v1::EventFilter::default();
    let of_cases = v1::EventFilter { kinds: vec![EventKind::CaseReport.into()], ..Default::default() };

    let own = events(house.satgas().await?, all.clone()).await?;
    ensure!(own.iter().all(|event| event.area_code == OWN) && kinds(&own).contains(&EventKind::CaseReport));
    let beyond = v1::EventFilter { area_prefix: "53.71.03".to_owned(), ..Default::default() };
    ensure!(refused(events(house.satgas().await?, beyond).await)?.code() == Code::PermissionDenied);

    let school = Some(Own::InstitutionId(SCHOOL.to_owned()));
    let team = events(house.door(Role::Institution, school.clone()).await?, all.clone()).await?;
    ensure!(!team.is_empty() && team.iter().all(|event| event.institution_id == SCHOOL));
    let other = v1::EventFilter { institution_id: OTHER_SCHOOL.to_owned(), ..Default::default() };
    ensure!(
        refused(events(house.door(Role::Institution, school).await?, other).await)?.code() == Code::PermissionDenied
    );

    let board = house.door(Role::Dashboard, None).await?;
    let seen = events(board.clone(), all.clone()).await?;
    ensure!(kinds(&seen).contains(&EventKind::Area) && !kinds(&seen).contains(&EventKind::Member));
    let facts = events(board.clone(), of_cases.clone()).await?;
    ensure!(facts.len() == 2 && facts.iter().all(|event| event.body.is_none() && event.area_code == "53.71"));
    let page = v1::ReadRequest { filter: Some(of_cases.clone()), ..Default::default() };
    ensure!(EventServiceClient::new(board).read(page).await?.into_inner().events == facts, "a page is shaped alike");

    let worker = events(house.door(Role::CaseWorker, None).await?, all).await?;
    ensure!(kinds(&worker).into_iter().eq([EventKind::CaseReport]) && worker.len() == 2, "{worker:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn schools_are_public_and_task_forces_are_ones_own() -> anyhow::Result<()> {
    let house = House::open().await?;
    let mut registry = RegistryServiceClient::new(house.satgas().await?);
    let schools = registry.list_institutions(v1::ListInstitutionsRequest::default()).await?.into_inner().institutions;
    ensure!(schools.len() == 2);
    let neighbours = v1::ListTaskForcesRequest { area_prefix: NEIGHBOUR.to_owned(), ..Default::default() };
    ensure_code(&registry.list_task_forces(neighbours).await, Code::PermissionDenied)
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_pages_nor_their_tokens_tell_how_much_there_is_of_others() -> anyhow::Result<()> {
    let house = House::open().await?;
    let school = Reporter::InstitutionId(SCHOOL.to_owned());
    let team = house.door(Role::Institution, Some(Own::InstitutionId(SCHOOL.to_owned()))).await?;
    let (satgas, entry) = (house.satgas().await?, house.served.connect().await?);
    // Those of others lie before, between and after one's own.
    let mut own = Vec::new();
    for reporter in [area(NEIGHBOUR), school.clone(), area(OWN), area(NEIGHBOUR), school.clone(), area(OWN)] {
        let record = case_report(&reporter);
        if reporter == school {
            own.push(record.submission_id.clone());
        }
        let door = if reporter == school { &team } else { &entry };
        let request = v1::SubmitRequest { submission: Some(record.clone()) };
        SubmissionServiceClient::new(door.clone()).submit(request).await?;
        // Other content under its id: a conflict.
        let other = v1::Submission { submission_id: record.submission_id, device_sequence: 2, ..record };
        let request = v1::SubmitRequest { submission: Some(other) };
        SubmissionServiceClient::new(door.clone()).submit(request).await?;
    }
    let pages = async |door: &Door, prefix: &str| {
        let (mut pages, mut page_token) = (Vec::new(), String::new());
        loop {
            let area_prefix = prefix.to_owned();
            let request = v1::ListCasesRequest { area_prefix, page_size: 1, page_token, ..Default::default() };
            let page = CaseServiceClient::new(door.clone()).list_cases(request).await?.into_inner();
            pages.push(page.cases.into_iter().map(|case| case.case_id).collect::<Vec<_>>());
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return anyhow::Ok(pages);
            }
            ensure!(pages.last().and_then(|page| page.first()) == Some(&page_token), "{page_token}");
        }
    };
    for prefix in ["", "53.71", OWN] {
        ensure!(pages(&team, prefix).await? == [[own[0].clone()], [own[1].clone()]], "{prefix}");
    }
    ensure!(pages(&team, NEIGHBOUR).await? == [Vec::<String>::new()]);
    ensure!(pages(&satgas, "").await?.concat().len() == 5, "what is in the own area, and the school in it");
    // A token of a case of others is as wrong as one of no case.
    let wrong = async |door: &Door, page_token: &str| {
        let request = v1::ListCasesRequest { page_token: page_token.to_owned(), ..Default::default() };
        refused(CaseServiceClient::new(door.clone()).list_cases(request).await)
    };
    for door in [&team, &satgas] {
        let nobodys = wrong(door, &uuid::Uuid::now_v7().to_string()).await?;
        let neighbours = wrong(door, &house.neighbours_case).await?;
        ensure!(neighbours.code() == Code::InvalidArgument && neighbours.message() == nobodys.message());
    }
    let request = v1::ListConflictsRequest { page_size: 1, ..Default::default() };
    let first = SubmissionServiceClient::new(team.clone()).list_conflicts(request.clone()).await?.into_inner();
    let request = v1::ListConflictsRequest { after_position: first.next_after_position, ..request };
    let second = SubmissionServiceClient::new(team).list_conflicts(request).await?.into_inner();
    ensure!(first.conflicts.len() == 1 && second.conflicts.len() == 1 && second.next_after_position == 0);
    Ok(())
}
