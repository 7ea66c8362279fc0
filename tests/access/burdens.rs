//! What a token, good or ended, may not lay on the server and on others.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, ReceiptStatus, Role, assignment::Own, case_service_client::CaseServiceClient,
    submission_service_client::SubmissionServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    door::{self, Door},
    house::{House, OWN, area, case_report, ensure_code, refused, submit, visit},
    quarantine::{ended, of_now, revoke},
    raw::call,
};

/// The most memory that the server ever had, in MiB.
fn peak_mib(house: &House) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.served.child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the peak")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_millions_of_empty_records_costs_no_more_than_its_bytes() -> anyhow::Result<()> {
    let house = House::open().await?;
    let good = house.satgas().await?;
    let (_, phone, ..) = ended(&house).await?;
    let before = peak_mib(&house)?;
    let empty = |tag: u8| [tag, 0].repeat(2_000_000);
    // Follow-ups without anything in one visit.
    let mut nested = Vec::new();
    let visit = empty(0x32);
    for (tag, length) in [(0x0a_u8, visit.len() + 5), (0x5a, visit.len())] {
        nested.push(tag);
        prost::encoding::encode_varint(length as u64, &mut nested);
    }
    nested.extend(visit);
    for (what, door, path, message) in [
        ("of a good token", &good, "SubmissionService/SubmitBatch", empty(0x0a)),
        ("of an ended token", &phone, "SubmissionService/SubmitBatch", empty(0x0a)),
        ("follow-ups", &good, "SubmissionService/Submit", nested),
        ("identities", &good, "CaseService/OpenCase", empty(0x12)),
    ] {
        let answer = call(door, &format!("/satgas.v1.{path}"), message).await;
        ensure!(refused(answer)?.code() == Code::InvalidArgument, "{what}");
    }
    let taken = peak_mib(&house)? - before;
    ensure!(taken < 100, "{taken} MiB");
    Ok(())
}

async fn batch(door: &Door, messages: Vec<Vec<v1::Submission>>) -> (Vec<v1::Receipt>, Option<Status>) {
    let requests = messages.into_iter().map(|submissions| v1::SubmitBatchRequest { submissions });
    let requests = tokio_stream::iter(requests.collect::<Vec<_>>());
    let mut receipts = Vec::new();
    let mut answers = match SubmissionServiceClient::new(door.clone()).submit_batch(requests).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return (receipts, Some(status)),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => receipts.extend(answer.receipts),
            Ok(None) => return (receipts, None),
            Err(status) => return (receipts, Some(status)),
        }
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_records_or_identities_and_a_refused_report_use_up_nothing() -> anyhow::Result<()> {
    let house = House::open_with(&[("SATGAS_RECORDS_PER_HOUR", "5")]).await?;
    let satgas = house.satgas().await?;
    let (receipts, status) = batch(&satgas, vec![vec![visit(&area(OWN)); 1_001]]).await;
    ensure!(receipts.is_empty() && status.context("refused")?.code() == Code::InvalidArgument);
    let mut cases = CaseServiceClient::new(satgas.clone());
    let report = v1::OpenCaseRequest { submission: Some(case_report(&area(OWN))), ..Default::default() };
    let identities = vec![v1::IdentityToSeal::default(); 11];
    let crowded = v1::OpenCaseRequest { identities, ..report.clone() };
    ensure_code(&cases.open_case(crowded).await, Code::InvalidArgument)?;
    let no_case = v1::OpenCaseRequest { submission: Some(visit(&area(OWN))), ..Default::default() };
    for _ in 0..5 {
        ensure_code(&cases.open_case(no_case.clone()).await, Code::InvalidArgument)?;
    }
    cases.open_case(report).await.context("nothing was used up")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_token_hands_in_is_not_counted_for_the_persons_new_one() -> anyhow::Result<()> {
    let house = House::open_with(&[("SATGAS_RECORDS_PER_HOUR", "2")]).await?;
    let channel = house.served.channel().await?;
    let satgas = || v1::Assignment { role: Role::Satgas.into(), own: Some(Own::AreaCode(OWN.to_owned())) };
    let operator = house.served.operator()?;
    let (lost_id, lost) = door::issue_to("petugas-7", &channel, &operator, satgas(), 3_600).await?;
    let (_, new) = door::issue_to("petugas-7", &channel, &operator, satgas(), 3_600).await?;
    let records = [(); 3].map(|()| of_now(visit(&area(OWN))));
    revoke(&house, lost_id).await?;
    let (lost, new) = (house.with(&lost).await?, house.with(&new).await?);
    for record in &records[..2] {
        ensure!(submit(&lost, record).await?.status() == ReceiptStatus::Quarantined);
    }
    let status = refused(submit(&lost, &records[2]).await)?;
    ensure!(reason(&status) == "TOO_MUCH", "it has a limit of its own: {status:?}");
    ensure!(submit(&new, &records[2]).await?.status() == ReceiptStatus::Accepted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_ended_token_that_hands_in_nothing_worth_keeping_is_cut_off() -> anyhow::Result<()> {
    let house = House::open_with(&[("SATGAS_REFUSALS_PER_MINUTE", "4")]).await?;
    let (_, phone, worth_keeping, _) = ended(&house).await?;
    // Of long before the token was issued.
    let worthless = (0..200).map(|_| vec![visit(&area(OWN))]);
    let messages = std::iter::once(vec![worth_keeping]).chain(worthless).collect();
    let (receipts, status) = batch(&phone, messages).await;
    let status = status.context("it went on to its end")?;
    ensure!(status.code() == Code::ResourceExhausted && reason(&status) == "TOO_MANY_REFUSALS", "{status:?}");
    ensure!(receipts.len() <= 4 && receipts[0].status() == ReceiptStatus::Quarantined, "{receipts:?}");
    Ok(())
}
