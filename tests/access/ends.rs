//! Calls that began while their token was good and whose message came when it was not.

use anyhow::{Context as _, ensure};
use prost::Message as _;
use satgas_proto::v1::{self, ReceiptStatus, Role, assignment::Own, identity_service_client::IdentityServiceClient};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    door::Door,
    house::{House, OWN, area, case_report, refused, visit},
    quarantine::of_now,
    raw::Begun,
};

/// A role's token, and what it calls with it when it is good no more.
struct Late {
    role: Role,
    calls: Vec<(&'static str, Vec<u8>)>,
}

fn calls(house: &House) -> Vec<Late> {
    let supervisor = || Some(v1::Assignment { role: Role::Supervisor.into(), own: None });
    let purpose = "contoh".to_owned();
    let issue = v1::IssueTokenRequest { assignment: supervisor(), purpose: purpose.clone(), ..Default::default() };
    let enrol = v1::CreateEnrolmentRequest { assignment: supervisor(), purpose, ..Default::default() };
    let revoke = v1::RevokeTokenRequest { token_id: "oidc-contoh".to_owned(), reason: "contoh".to_owned() };
    let get = v1::GetCaseRequest { case_id: house.own_case.clone(), ..Default::default() };
    let open = v1::OpenCaseRequest { submission: Some(of_now(case_report(&area(OWN)))), ..Default::default() };
    let operator = vec![
        ("IdentityService/IssueToken", issue.encode_to_vec()),
        ("IdentityService/CreateEnrolment", enrol.encode_to_vec()),
        ("IdentityService/RevokeToken", revoke.encode_to_vec()),
        ("IdentityService/WhoAmI", Vec::new()),
    ];
    let supervisor = vec![
        ("CaseService/ListCases", Vec::new()),
        ("CaseService/GetCase", get.encode_to_vec()),
        ("EventService/Read", Vec::new()),
        ("EvaluationService/ExplainIndicator", Vec::new()),
    ];
    vec![
        Late { role: Role::Operator, calls: operator },
        Late { role: Role::Supervisor, calls: supervisor },
        Late { role: Role::Satgas, calls: vec![("CaseService/OpenCase", open.encode_to_vec())] },
    ]
}

/// Ends a token over the very connection that calls were begun on, so that their headers were there before.
async fn revoke(door: &Door, operator: &str, token_id: &str) -> anyhow::Result<()> {
    let request = v1::RevokeTokenRequest { token_id: token_id.to_owned(), reason: "contoh".to_owned() };
    let operator = door.clone().instead(operator);
    IdentityServiceClient::new(operator.clone()).who_am_i(v1::WhoAmIRequest {}).await?;
    IdentityServiceClient::new(operator).revoke_token(request).await?;
    Ok(())
}

/// The reason that only who was let in by the door is told.
fn ensure_ended(what: &str, status: &Status) -> anyhow::Result<()> {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    ensure!(status.code() == Code::Unauthenticated && reason == "TOKEN_ENDED", "{what}: {status:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_token_ends_before_its_message_comes_is_refused() -> anyhow::Result<()> {
    let house = House::open().await?;
    let operator = house.served.operator()?;
    let head = house.head().await?;
    for Late { role, calls } in calls(&house) {
        let own = (role == Role::Satgas).then(|| Own::AreaCode(OWN.to_owned()));
        let (id, secret) = house.token(role, own, 3_600).await?;
        let door = house.with(&secret).await?;
        let mut begun = Vec::new();
        for (path, message) in calls {
            begun.push((path, Begun::call(&door, &format!("/satgas.v1.{path}")).await?, message));
        }
        revoke(&door, &operator, &id).await?;
        for (path, call, message) in begun {
            ensure_ended(path, &refused(call.send(message).await?).context(path)?)?;
        }
    }
    ensure!(house.head().await? == head, "nothing was written");
    let mut identity = IdentityServiceClient::new(house.with(&operator).await?);
    let tokens = identity.list_tokens(v1::ListTokensRequest::default()).await?.into_inner().tokens;
    let ours =
        tokens.iter().filter(|token| token.assignment.as_ref().map(v1::Assignment::role) == Some(Role::Supervisor));
    ensure!(ours.count() == 1, "the one of the house itself: {tokens:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_token_ends_on_its_way_is_kept_apart() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (id, secret) = house.token(Role::Satgas, Some(Own::AreaCode(OWN.to_owned())), 3_600).await?;
    let door = house.with(&secret).await?;
    let record = of_now(visit(&area(OWN)));
    let submit = Begun::call(&door, "/satgas.v1.SubmissionService/Submit").await?;
    let batch = Begun::call(&door, "/satgas.v1.SubmissionService/SubmitBatch").await?;
    revoke(&door, &house.served.operator()?, &id).await?;
    let message = v1::SubmitRequest { submission: Some(record.clone()) }.encode_to_vec();
    let answer = v1::SubmitResponse::decode(submit.send(message).await??.as_slice())?;
    ensure!(answer.receipt.as_ref().map(v1::Receipt::status) == Some(ReceiptStatus::Quarantined), "{answer:?}");
    // A batch ends with its token, and is sent again.
    let message = v1::SubmitBatchRequest { submissions: vec![record] }.encode_to_vec();
    ensure_ended("a batch", &refused(batch.send(message).await?)?)
}
