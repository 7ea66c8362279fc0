//! Phones that come back when their token has ended: what they kept is kept here, too, and somebody decides.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, QuarantineVerdict, ReceiptStatus, Role, assignment::Own, audit_service_client::AuditServiceClient,
    case_service_client::CaseServiceClient, evaluation_service_client::EvaluationServiceClient,
    event_service_client::EventServiceClient, get_evaluation_request::Subject,
    identity_service_client::IdentityServiceClient, submission_service_client::SubmissionServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    door::Door,
    house::{House, NEIGHBOUR, OWN, area, case_report, ensure_code, refused, submit, visit},
    process::{self, Served},
    recovery::recover,
};

const REASON: &str = "Keputusan contoh";

#[expect(clippy::disallowed_methods, reason = "the server is another process, which reads the wall clock")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A record of this very moment.
pub(crate) fn of_now(submission: v1::Submission) -> v1::Submission {
    let now = now();
    let occurred_at = pbjson_types::Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() };
    v1::Submission { occurred_at: Some(occurred_at), ..submission }
}

pub(crate) async fn revoke(house: &House, token_id: String) -> anyhow::Result<()> {
    let request = v1::RevokeTokenRequest { token_id, reason: "pindah tugas".to_owned() };
    IdentityServiceClient::new(house.with(&house.served.operator()?).await?).revoke_token(request).await?;
    Ok(())
}

/// The task force's token, and records that were written while it was good; then it is revoked.
pub(crate) async fn ended(house: &House) -> anyhow::Result<(String, Door, v1::Submission, v1::Submission)> {
    let (id, secret) = house.token(Role::Satgas, Some(Own::AreaCode(OWN.to_owned())), 3_600).await?;
    let records = (of_now(visit(&area(OWN))), of_now(case_report(&area(OWN))));
    revoke(house, id.clone()).await?;
    Ok((id, house.with(&secret).await?, records.0, records.1))
}

async fn quarantined(door: &Door) -> Result<Vec<v1::QuarantinedRecord>, Status> {
    let request = v1::ListQuarantinedRequest::default();
    Ok(SubmissionServiceClient::new(door.clone()).list_quarantined(request).await?.into_inner().records)
}

async fn decide(door: &Door, position: u64, verdict: QuarantineVerdict) -> Result<v1::Receipt, Status> {
    let decision = v1::QuarantineDecision {
        command_id: uuid::Uuid::now_v7().to_string(),
        quarantined_position: position,
        verdict: verdict.into(),
        reason: REASON.to_owned(),
    };
    let request = v1::DecideQuarantinedRequest { decision: Some(decision) };
    let answer = SubmissionServiceClient::new(door.clone()).decide_quarantined(request).await?.into_inner();
    Ok(answer.receipt.unwrap_or_default())
}

/// Visits of the own kelurahan in the present year, as known at a position or now.
async fn visits(door: &Door, position: Option<u64>) -> anyhow::Result<u64> {
    let zone = jiff::tz::TimeZone::get("Asia/Makassar")?;
    let period = zone.to_datetime(now()).year().to_string();
    let as_of = position.map(|position| v1::AsOf { at: Some(v1::as_of::At::Position(position)) });
    let subject = Some(Subject::AreaCode(OWN.to_owned()));
    let request = v1::GetEvaluationRequest { subject, period, as_of, ..Default::default() };
    let answer = EvaluationServiceClient::new(door.clone()).get_evaluation(request).await?.into_inner();
    Ok(answer.evaluation.and_then(|evaluation| evaluation.activity).context("its activity")?.visits)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_whose_token_was_revoked_hands_in_what_it_has_and_a_supervisor_admits_it() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (token_id, phone, visit, report) = ended(&house).await?;
    let kept = submit(&phone, &visit).await?;
    ensure!(kept.status() == ReceiptStatus::Quarantined && kept.position > 0, "{kept:?}");
    let batch = v1::SubmitBatchRequest { submissions: vec![visit.clone(), report.clone()] };
    let mut stream =
        SubmissionServiceClient::new(phone.clone()).submit_batch(tokio_stream::once(batch)).await?.into_inner();
    let receipts = stream.message().await?.context("receipts")?.receipts;
    ensure!(receipts.len() == 2 && receipts[0].position == kept.position, "{receipts:?}");
    ensure!(receipts[1].status() == ReceiptStatus::Quarantined && stream.message().await?.is_none());

    let (reading, secret) = house.token(Role::Supervisor, None, 3_600).await?;
    let supervisor = house.with(&secret).await?;
    let records = quarantined(&supervisor).await?;
    let right = records[0].right.clone().context("the right")?;
    ensure!(records.len() == 2 && right.token_id == token_id && right.end() == v1::RightEnd::Revoked, "{records:?}");
    ensure!(records[0].submission.as_ref() == Some(&visit) && records[1].submission.as_ref() == Some(&report));
    let request = v1::ListAccessRequest { token_id: reading, ..Default::default() };
    let seen = AuditServiceClient::new(supervisor.clone()).list_access(request).await?.into_inner();
    ensure!(seen.cases.iter().any(|case| case.case_id == report.submission_id), "a case report was read: {seen:?}");

    ensure!(visits(&supervisor, None).await? == 0);
    let admitted = decide(&supervisor, kept.position, QuarantineVerdict::Admit).await?;
    decide(&supervisor, receipts[1].position, QuarantineVerdict::Admit).await?;
    ensure!(visits(&supervisor, None).await? == 1 && visits(&supervisor, Some(kept.position)).await? == 0);
    let get = v1::GetCaseRequest { case_id: report.submission_id.clone(), ..Default::default() };
    CaseServiceClient::new(supervisor.clone()).get_case(get).await.context("the case is there")?;
    let again = submit(&phone, &visit).await?;
    ensure!(again.status() == ReceiptStatus::AlreadyKnown && again.position == admitted.position + 1, "{again:?}");
    ensure!(quarantined(&supervisor).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_never_counts_and_the_receipt_says_why() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (_, phone, visit, _) = ended(&house).await?;
    let kept = submit(&phone, &visit).await?;
    let supervisor = house.door(Role::Supervisor, None).await?;
    decide(&supervisor, kept.position, QuarantineVerdict::Refuse).await?;
    let again = submit(&phone, &visit).await?;
    ensure!(again.status() == ReceiptStatus::QuarantineRefused && again.refused_because == REASON, "{again:?}");
    ensure!(visits(&supervisor, None).await? == 0);
    let twice = refused(decide(&supervisor, kept.position, QuarantineVerdict::Admit).await)?;
    ensure!(twice.code() == Code::InvalidArgument && twice.message().contains("already"), "{twice:?}");
    // Who has the right hears the same, also with an identity, which is not sealed for a case that there is not.
    let (_, phone, _, report) = ended(&house).await?;
    let kept = submit(&phone, &report).await?;
    decide(&supervisor, kept.position, QuarantineVerdict::Refuse).await?;
    let identity = Some(v1::PersonIdentity { full_name: "Anak Contoh".to_owned(), ..Default::default() });
    let (command_id, kind) = (uuid::Uuid::now_v7().to_string(), v1::IdentityKind::Victim.into());
    let identities = vec![v1::IdentityToSeal { command_id, kind, identity }];
    let open = v1::OpenCaseRequest { submission: Some(report), identities };
    let opened = CaseServiceClient::new(house.satgas().await?).open_case(open).await?.into_inner();
    let receipt = opened.receipt.unwrap_or_default();
    ensure!(receipt.status() == ReceiptStatus::QuarantineRefused && opened.case.is_none(), "{receipt:?}");
    ensure!(receipt.refused_because == REASON, "{receipt:?}");
    let no_verdict = decide(&supervisor, kept.position, QuarantineVerdict::Resent).await;
    ensure_code(&no_verdict, Code::InvalidArgument)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_token_opens_nothing_else_and_speaks_for_nobody_else() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (_, phone, visit, report) = ended(&house).await?;
    let get = v1::GetCaseRequest { case_id: house.own_case.clone(), ..Default::default() };
    ensure_code(&CaseServiceClient::new(phone.clone()).get_case(get).await, Code::Unauthenticated)?;
    let open = v1::OpenCaseRequest { submission: Some(report), identities: Vec::new() };
    ensure_code(&CaseServiceClient::new(phone.clone()).open_case(open).await, Code::Unauthenticated)?;
    let read = EventServiceClient::new(phone.clone()).read(v1::ReadRequest::default()).await;
    ensure_code(&read, Code::Unauthenticated)?;
    let held = v1::ListHeldRequest::default();
    ensure_code(&SubmissionServiceClient::new(phone.clone()).list_held(held).await, Code::Unauthenticated)?;
    ensure_code(&quarantined(&phone).await, Code::Unauthenticated)?;

    let stranger = v1::Submission { reporter: Some(area(NEIGHBOUR)), ..visit.clone() };
    ensure_code(&submit(&phone, &stranger).await, Code::PermissionDenied)?;
    let nobody = v1::Submission { reporter: None, ..visit.clone() };
    ensure_code(&submit(&phone, &nobody).await, Code::InvalidArgument)?;
    let after = refused(submit(&phone, &of_now(visit.clone())).await)?;
    ensure!(after.code() == Code::InvalidArgument && after.message().contains("after"), "{after:?}");
    let before = v1::Submission { occurred_at: crate::house::visit(&area(OWN)).occurred_at, ..visit };
    let before = refused(submit(&phone, &before).await)?;
    ensure!(before.code() == Code::InvalidArgument && before.message().contains("before"), "{before:?}");
    let supervisor = house.door(Role::Supervisor, None).await?;
    ensure!(quarantined(&supervisor).await?.is_empty());

    let told = IdentityServiceClient::new(phone).who_am_i(v1::WhoAmIRequest {}).await?.into_inner();
    ensure!(told.ended_at.is_some() && told.head_position == 0, "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_who_moved_hands_in_records_of_the_former_area_with_the_new_token() -> anyhow::Result<()> {
    let house = House::open().await?;
    let operator = house.served.operator()?;
    let channel = house.served.channel().await?;
    let token = async |code: &str, subject: &str| {
        let assignment = v1::Assignment { role: Role::Satgas.into(), own: Some(Own::AreaCode(code.to_owned())) };
        crate::door::issue_to(subject, &channel, &operator, assignment, 3_600).await
    };
    let (former, _) = token(OWN, "petugas-17").await?;
    let record = of_now(visit(&area(OWN)));
    revoke(&house, former.clone()).await?;
    let moved = house.with(&token(NEIGHBOUR, "petugas-17").await?.1).await?;
    let another = house.with(&token(NEIGHBOUR, "petugas-18").await?.1).await?;
    ensure_code(&submit(&another, &record).await, Code::PermissionDenied).context("another person")?;
    let kept = submit(&moved, &record).await?;
    ensure!(kept.status() == ReceiptStatus::Quarantined, "{kept:?}");
    let supervisor = house.door(Role::Supervisor, None).await?;
    let right = quarantined(&supervisor).await?.pop().and_then(|record| record.right).context("a right")?;
    ensure!(right.token_id == former && right.by.as_ref().is_some_and(|by| by.subject == "petugas-17"), "{right:?}");
    let report = v1::OpenCaseRequest { submission: Some(of_now(case_report(&area(OWN)))), identities: Vec::new() };
    ensure_code(&CaseServiceClient::new(moved).open_case(report).await, Code::PermissionDenied)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_ended_with_the_key_that_signs_ended_when_that_was_exchanged() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open().await?;
    let data = folder.path().join("data");
    let token = async |served: &Served, code: &str| {
        let assignment = v1::Assignment { role: Role::Satgas.into(), own: Some(Own::AreaCode(code.to_owned())) };
        crate::door::issue_to("petugas-17", &served.channel().await?, &served.operator()?, assignment, 3_600).await
    };
    let (former, _) = token(&served, OWN).await?;
    let record = of_now(visit(&area(OWN)));
    ensure!(served.terminate()? == Some(0));
    let (code, error) = recover(&data, &["--new-key"])?;
    ensure!(code == Some(0), "{error}");
    let exchanged = now();

    let served = Served::start(&data, &[])?;
    let moved = Door::with(served.channel().await?, &token(&served, NEIGHBOUR).await?.1);
    let after = refused(submit(&moved, &of_now(visit(&area(OWN)))).await)?;
    ensure!(after.code() == Code::InvalidArgument && after.message().contains("after"), "{after:?}");
    let kept = submit(&moved, &record).await?;
    ensure!(kept.status() == ReceiptStatus::Quarantined, "{kept:?}");
    let records = quarantined(&served.connect().await?).await?;
    let right = records[0].right.clone().context("a right")?;
    ensure!(records.len() == 1 && right.token_id == former, "{records:?}");
    let ended_at = right.ended_at.context("its end")?;
    ensure!(right.end() == v1::RightEnd::KeyExchanged && ended_at.seconds <= exchanged.as_second(), "{right:?}");
    let listed = served.ask(&["quarantine", "list"])?.good()?;
    ensure!(listed.contains("key exchanged"), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_does_not_admit_what_they_handed_in_themselves() -> anyhow::Result<()> {
    let house = House::open().await?;
    let operator = house.served.operator()?;
    let channel = house.served.channel().await?;
    let token = async |role: Role, own: Option<Own>| {
        let assignment = v1::Assignment { role: role.into(), own };
        crate::door::issue_to("petugas-17", &channel, &operator, assignment, 3_600).await
    };
    let (former, phone) = token(Role::Satgas, Some(Own::AreaCode(OWN.to_owned()))).await?;
    let record = of_now(visit(&area(OWN)));
    revoke(&house, former).await?;
    let kept = submit(&house.with(&phone).await?, &record).await?;
    let own = house.with(&token(Role::Supervisor, None).await?.1).await?;
    let alone = refused(decide(&own, kept.position, QuarantineVerdict::Admit).await)?;
    let reason = alone.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    ensure!(alone.code() == Code::PermissionDenied && reason == "SAME_PERSON", "{alone:?}");
    ensure!(visits(&own, None).await? == 0);
    let another = house.door(Role::Supervisor, None).await?;
    decide(&another, kept.position, QuarantineVerdict::Admit).await?;
    ensure!(visits(&another, None).await? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_tokens_of_others_and_forged_ones_hand_in_nothing() -> anyhow::Result<()> {
    let house = House::open().await?;
    let record = of_now(visit(&area(OWN)));
    for role in [Role::Supervisor, Role::CaseWorker, Role::Operator] {
        let (id, secret) = house.token(role, None, 3_600).await?;
        revoke(&house, id).await?;
        ensure_code(&submit(&house.with(&secret).await?, &record).await, Code::Unauthenticated)?;
    }
    let (id, secret) = house.token(Role::Satgas, Some(Own::AreaCode(OWN.to_owned())), 3_600).await?;
    revoke(&house, id).await?;
    let (signed, _) = secret.rsplit_once('.').context("a signature")?;
    let forged = house.with(&format!("{signed}.{}", "A".repeat(86))).await?;
    ensure_code(&submit(&forged, &record).await, Code::Unauthenticated)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_comes_with_ended_tokens_too_often_is_told_to_wait() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let limit = [("SATGAS_REFUSALS_PER_MINUTE", "3")];
    let served = Served::start_with(&folder.path().join("data"), &["--sample-data"], &limit)?;
    let operator = served.operator()?;
    let assignment = v1::Assignment { role: Role::Satgas.into(), own: Some(Own::AreaCode(OWN.to_owned())) };
    let (token_id, secret) = crate::door::issue(&served.channel().await?, &operator, assignment, 3_600).await?;
    let request = v1::RevokeTokenRequest { token_id, reason: "contoh".to_owned() };
    let door = Door::with(served.channel().await?, &operator);
    IdentityServiceClient::new(door).revoke_token(request).await?;
    let phone = Door::with(served.channel().await?, &secret);
    let ask = async || IdentityServiceClient::new(phone.clone()).who_am_i(v1::WhoAmIRequest {}).await;
    for _ in 0..3 {
        ask().await?;
    }
    let told = refused(ask().await)?;
    let reason = told.get_details_error_info().map(|info| info.reason);
    ensure!(told.code() == Code::ResourceExhausted && reason.as_deref() == Some("TOO_MANY_REFUSALS"), "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_that_records_wait_and_lists_and_decides_them() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (token_id, secret) = house.token(Role::Satgas, Some(Own::AreaCode(OWN.to_owned())), 3_600).await?;
    let records = [of_now(visit(&area(OWN))), of_now(visit(&area(OWN)))];
    revoke(&house, token_id.clone()).await?;
    let file = house.folder.path().join("visits.jsonl").display().to_string();
    let lines: Result<Vec<String>, _> = records.iter().map(serde_json::to_string).collect();
    std::fs::write(&file, lines?.join("\n"))?;
    let send = ["submit", "--file", file.as_str()];
    let answer = process::ask(&house.served.url, &secret, &send)?;
    ensure!(answer.code == Some(2) && answer.out.contains("quarantined            2"), "{answer:?}");
    ensure!(answer.error.contains("the token has ended") && answer.error.contains("supervisor"), "{answer:?}");

    let listed = house.served.ask(&["quarantine", "list", "--token", &token_id])?.good()?;
    ensure!(listed.contains("school visit") && listed.contains("revoked") && listed.contains(OWN), "{listed}");
    let positions: Vec<v1::QuarantinedRecord> =
        serde_json::from_str(&house.served.ask(&["quarantine", "list", "--format", "json"])?.good()?)?;
    let first = positions[0].position.to_string();
    let refusal = ["quarantine", "refuse", "--position", &first, "--reason", REASON];
    ensure!(house.served.ask(&refusal)?.good()?.contains("never counts"));
    let admission = ["quarantine", "admit", "--token", &token_id, "--reason", REASON];
    ensure!(house.served.ask(&admission)?.good()?.contains("admitted, counts from position"));
    ensure!(house.served.ask(&admission)?.good()?.contains("nothing waits"));
    let again = process::ask(&house.served.url, &secret, &send)?;
    ensure!(
        again.out.contains("already known          1") && again.out.contains("refused                1"),
        "{again:?}"
    );
    ensure!(again.out.contains(REASON), "{again:?}");
    let all = house.served.ask(&["quarantine", "list", "--all"])?.good()?;
    ensure!(all.contains("admit #") && all.contains("refuse #"), "{all}");
    Ok(())
}
