//! What the holder of a good token may not do: hand in or read without end, whichever of its tokens it uses. And what it may: end them itself.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, IdentityKind, ReceiptStatus, Role, assignment::Own, case_service_client::CaseServiceClient,
    identity_service_client::IdentityServiceClient, submission_service_client::SubmissionServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    audit::seen,
    door::{self, Door},
    house::{House, OWN, area, case_report, ensure_code, refused, submit, visit},
    process::ask,
};

/// The longest that a limit may make somebody wait.
const HOUR_S: u64 = 3_600;

fn satgas() -> v1::Assignment {
    v1::Assignment { role: Role::Satgas.into(), own: Some(Own::AreaCode(OWN.to_owned())) }
}

/// A token of a subject: its id, and a channel with it.
async fn token_of(house: &House, subject: &str, assignment: v1::Assignment) -> anyhow::Result<(String, Door)> {
    let channel = house.served.channel().await?;
    let (id, secret) = door::issue_to(subject, &channel, &house.served.operator()?, assignment, 3_600).await?;
    Ok((id, house.with(&secret).await?))
}

async fn batch(door: &Door, submissions: Vec<v1::Submission>) -> Result<Vec<v1::Receipt>, Status> {
    let requests = tokio_stream::iter([v1::SubmitBatchRequest { submissions }]);
    let mut answers = SubmissionServiceClient::new(door.clone()).submit_batch(requests).await?.into_inner();
    let mut receipts = Vec::new();
    while let Some(answer) = answers.message().await? {
        receipts.extend(answer.receipts);
    }
    Ok(receipts)
}

/// That a call was refused for having done as much as one holder may, and when it may go on.
fn ensure_too_much<T>(answer: Result<T, Status>) -> anyhow::Result<()> {
    let status = refused(answer)?;
    let reason = status.get_details_error_info().map(|info| info.reason);
    ensure!(status.code() == Code::ResourceExhausted && reason.as_deref() == Some("TOO_MUCH"), "{status:?}");
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).context("when to go on")?;
    ensure!((1..=HOUR_S).contains(&wait.as_secs()), "{wait:?}");
    Ok(())
}

/// Refusals that the access log has of a token.
async fn refusals(house: &House, token_id: &str) -> anyhow::Result<u64> {
    Ok(seen(house, token_id).await?.rpcs.iter().map(|access| access.refused).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_hands_in_so_many_records_an_hour_and_is_told_when_to_go_on() -> anyhow::Result<()> {
    let house = House::open_with(&[("SATGAS_RECORDS_PER_HOUR", "3"), ("SATGAS_REFUSALS_PER_MINUTE", "3")]).await?;
    let (first_id, first) = token_of(&house, "petugas-7", satgas()).await?;
    let (second_id, second) = token_of(&house, "petugas-7", satgas()).await?;
    let (_, colleague) = token_of(&house, "petugas-8", satgas()).await?;

    submit(&first, &visit(&area(OWN))).await?;
    let request = v1::OpenCaseRequest { submission: Some(case_report(&area(OWN))), identities: Vec::new() };
    CaseServiceClient::new(first.clone()).open_case(request.clone()).await?;
    // A batch that begins below the limit is taken whole: a phone need not know how much is left.
    let receipts = batch(&second, vec![visit(&area(OWN)), visit(&area(OWN))]).await?;
    ensure!(receipts.iter().all(|receipt| receipt.status() == ReceiptStatus::Accepted) && receipts.len() == 2);

    let next = visit(&area(OWN));
    ensure_too_much(submit(&first, &next).await)?;
    ensure_too_much(submit(&second, &next).await)?;
    ensure_too_much(batch(&second, vec![next.clone()]).await)?;
    ensure_too_much(CaseServiceClient::new(first.clone()).open_case(request).await)?;
    // However often it tries: one record a minute of the holder, and its address goes on.
    ensure!(refusals(&house, &first_id).await? + refusals(&house, &second_id).await? == 1);
    ensure!(submit(&colleague, &next).await?.status() == ReceiptStatus::Accepted, "nobody else is held up");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_longer_than_the_limit_is_told_when_to_go_on_and_what_is_known_costs_nothing()
-> anyhow::Result<()> {
    let house = House::open_with(&[("SATGAS_RECORDS_PER_HOUR", "70")]).await?;
    let (_, secret) = house.token(Role::Satgas, Some(Own::AreaCode(OWN.to_owned())), 3_600).await?;
    let file = house.folder.path().join("visits.jsonl");
    let lines = |count: usize| -> anyhow::Result<String> {
        let records = (0..count).map(|_| Ok(serde_json::to_string(&visit(&area(OWN)))? + "\n"));
        records.collect()
    };
    let submit = || ask(&house.served.url, &secret, &["submit", "--file", file.to_str().context("UTF-8")?]);
    // Three times 60 records, and 60 went into the log.
    std::fs::write(&file, lines(60)?)?;
    for _ in 0..3 {
        submit()?.good()?;
    }
    std::fs::write(&file, lines(10)?)?;
    submit()?.good()?;
    std::fs::write(&file, lines(1)?)?;
    let answer = submit()?;
    ensure!(answer.code == Some(1) && answer.error.contains("go on later"), "{answer:?}");
    ensure!(!answer.error.contains("trying again"), "an hour is longer than its patience: {answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_broken_off_and_messages_on_their_way_count() -> anyhow::Result<()> {
    let house = House::open_with(&[("SATGAS_RECORDS_PER_HOUR", "40")]).await?;
    let (_, door) = token_of(&house, "petugas-7", satgas()).await?;
    let before = house.head().await?;
    let visits = |count: usize| (0..count).map(|_| visit(&area(OWN))).collect::<Vec<_>>();
    // Sent, and gone before the receipts: until the limit holds, whatever of them was written.
    let mut tries = 0;
    while submit(&door, &visit(&area(OWN))).await.is_ok() {
        let sent = batch(&door, visits(10));
        drop(tokio::time::timeout(Duration::from_millis(2), sent).await);
        tries += 1;
        ensure!(tries <= 40, "the limit was never reached");
    }
    ensure!(house.head().await? - before <= 40 + 10, "one message may go beyond the limit");

    let (_, door) = token_of(&house, "petugas-8", satgas()).await?;
    let before = house.head().await?;
    let messages = (0..50).map(|_| v1::SubmitBatchRequest { submissions: visits(10) }).collect::<Vec<_>>();
    let answers = SubmissionServiceClient::new(door).submit_batch(tokio_stream::iter(messages)).await;
    let mut answers = answers?.into_inner();
    while let Ok(Some(_)) = answers.message().await {}
    ensure!(house.head().await? - before <= 40 + 10, "fifty messages at once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_and_identities_are_records_too_and_answers_with_cases_have_a_limit_of_their_own() -> anyhow::Result<()> {
    let limits = [("SATGAS_RECORDS_PER_HOUR", "3"), ("SATGAS_CASE_ANSWERS_PER_HOUR", "4")];
    let house = House::open_with(&limits).await?;
    let (_, door) =
        token_of(&house, "pendamping-1", v1::Assignment { role: Role::CaseWorker.into(), own: None }).await?;
    let mut cases = CaseServiceClient::new(door);
    let assess = |expected_version| v1::AdvanceCaseRequest {
        command: Some(v1::CaseCommand {
            command_id: uuid::Uuid::now_v7().to_string(),
            case_id: house.own_case.clone(),
            expected_version,
            occurred_at: visit(&area(OWN)).occurred_at,
            step: Some(v1::case_command::Step::Assess(v1::AssessCase { risk: v1::Risk::Tinggi.into() })),
        }),
    };
    // One that is refused writes nothing.
    ensure_code(&cases.advance_case(assess(7)).await, Code::Aborted)?;
    for version in 1..=3 {
        cases.advance_case(assess(version)).await?;
    }
    ensure_too_much(cases.advance_case(assess(4)).await)?;

    let get = v1::GetCaseRequest { case_id: house.own_case.clone(), ..Default::default() };
    for _ in 0..4 {
        cases.get_case(get.clone()).await?;
    }
    ensure_too_much(cases.get_case(get).await)?;
    ensure_too_much(cases.list_cases(v1::ListCasesRequest::default()).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_reads_so_many_identities_an_hour() -> anyhow::Result<()> {
    let house = House::open_with(&[("SATGAS_READINGS_PER_HOUR", "2")]).await?;
    let worker = v1::Assignment { role: Role::CaseWorker.into(), own: None };
    let (id, door) = token_of(&house, "pendamping-1", worker).await?;
    let mut cases = CaseServiceClient::new(door);
    let case_id = house.own_case.clone();
    let command_id = uuid::Uuid::now_v7().to_string();
    let subject = "pendamping-1".to_owned();
    let take = v1::AssignCaseRequest { command_id, case_id: case_id.clone(), subject, ..Default::default() };
    cases.assign_case(take).await?;
    let kind = IdentityKind::Victim.into();
    let reading = v1::UnsealIdentityRequest {
        case_id,
        kind,
        purpose: "Pendampingan di rumah sakit".to_owned(),
        ..Default::default()
    };
    // That nothing is sealed is told to the same holder only so often.
    for _ in 0..2 {
        ensure_code(&cases.unseal_identity(reading.clone()).await, Code::NotFound)?;
    }
    ensure_too_much(cases.unseal_identity(reading).await)?;
    ensure!(refusals(&house, &id).await? == 1);
    Ok(())
}

async fn end(door: &Door, token_id: &str) -> Result<(), Status> {
    let request = v1::EndOwnTokenRequest { token_id: token_id.to_owned() };
    IdentityServiceClient::new(door.clone()).end_own_token(request).await.map(|_| ())
}

async fn who_am_i(door: &Door) -> Result<v1::WhoAmIResponse, Status> {
    IdentityServiceClient::new(door.clone()).who_am_i(v1::WhoAmIRequest {}).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_sees_and_ends_its_own_tokens_and_nobody_elses() -> anyhow::Result<()> {
    let house = House::open().await?;
    let viewer = v1::Assignment { role: Role::Dashboard.into(), own: None };
    let (lost_id, lost) = token_of(&house, "petugas-7", viewer.clone()).await?;
    let (kept_id, kept) = token_of(&house, "petugas-7", viewer.clone()).await?;
    let (strangers_id, stranger) = token_of(&house, "petugas-8", viewer).await?;
    let own = async || {
        let tokens = who_am_i(&kept).await?.tokens;
        anyhow::Ok(tokens.into_iter().map(|token| token.token_id).collect::<Vec<_>>())
    };
    ensure!(own().await? == [lost_id.clone(), kept_id.clone()]);

    // The same answer for one that is another's and for one that was never issued.
    let never = uuid::Uuid::now_v7().to_string();
    let [others, unknown] = [end(&kept, &strangers_id).await, end(&kept, &never).await].map(refused);
    ensure!(others?.message() == unknown?.message());
    who_am_i(&stranger).await?;

    end(&kept, &lost_id).await?;
    ensure_code(&who_am_i(&lost).await, Code::Unauthenticated)?;
    ensure!(own().await? == [kept_id]);
    ensure_code(&end(&kept, &lost_id).await, Code::NotFound)?;
    end(&kept, "").await?;
    ensure_code(&who_am_i(&kept).await, Code::Unauthenticated)?;

    let listed = house.served.ask(&["token", "list", "--all"])?.good()?;
    ensure!(listed.matches("ended by its holder").count() == 2, "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_and_ends_ones_own_tokens() -> anyhow::Result<()> {
    let house = House::open().await?;
    let channel = house.served.channel().await?;
    let issue = async || door::issue_to("petugas-7", &channel, &house.served.operator()?, satgas(), 3_600).await;
    let (lost, (_, secret)) = (issue().await?.0, issue().await?);
    let shown = ask(&house.served.url, &secret, &["token", "whoami"])?.good()?;
    ensure!(shown.contains("all of this subject") && shown.contains(&lost), "{shown}");
    ask(&house.served.url, &secret, &["token", "end", &lost])?.good()?;
    let shown = ask(&house.served.url, &secret, &["token", "whoami"])?.good()?;
    ensure!(!shown.contains(&lost), "{shown}");
    ask(&house.served.url, &secret, &["token", "end"])?.good()?;
    let shown = ask(&house.served.url, &secret, &["token", "whoami"])?.good()?;
    ensure!(shown.contains("ended"), "{shown}");
    Ok(())
}
