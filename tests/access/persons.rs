//! Who holds a token: that one person is known as one, however their tokens were named.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, IdentityKind, Role, case_service_client::CaseServiceClient, erasure_service_client::ErasureServiceClient,
    identity_service_client::IdentityServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    door::{self, Door},
    house::{House, OWN, area, case_report, refused},
};

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn supervisors() -> v1::Assignment {
    v1::Assignment { role: Role::Supervisor.into(), own: None }
}

/// A supervisor's token for a subject: its id and a channel with it.
async fn issued(house: &House, subject: &str) -> anyhow::Result<(String, Door)> {
    let channel = house.served.channel().await?;
    let (id, secret) = door::issue_to(subject, &channel, &house.served.operator()?, supervisors(), 3_600).await?;
    Ok((id, Door::with(channel, &secret)))
}

/// The same by a code that a phone exchanges.
async fn enrolled(house: &House, subject: &str) -> anyhow::Result<(String, Door)> {
    let mut operator = IdentityServiceClient::new(house.with(&house.served.operator()?).await?);
    let request = v1::CreateEnrolmentRequest {
        assignment: Some(supervisors()),
        purpose: "telepon contoh".to_owned(),
        subject: subject.to_owned(),
        ..Default::default()
    };
    let code = operator.create_enrolment(request).await?.into_inner().code;
    let enrolled = operator.enrol(v1::EnrolRequest { code }).await?.into_inner();
    Ok((enrolled.token.context("a token")?.token_id, house.with(&enrolled.secret).await?))
}

/// A case with a sealed identity.
async fn sealed_case(house: &House) -> anyhow::Result<String> {
    let submission = case_report(&area(OWN));
    let identity = Some(v1::PersonIdentity { full_name: "Anak Contoh".to_owned(), ..Default::default() });
    let identity = v1::IdentityToSeal { command_id: new_id(), kind: IdentityKind::Victim.into(), identity };
    let case_id = submission.submission_id.clone();
    let request = v1::OpenCaseRequest { submission: Some(submission), identities: vec![identity] };
    CaseServiceClient::new(house.satgas().await?).open_case(request).await?;
    Ok(case_id)
}

/// What becomes of an erasure that one asks for and the other approves.
async fn erased_by(house: &House, asks: &Door, approves: &Door) -> anyhow::Result<Result<(), Status>> {
    let case_id = sealed_case(house).await?;
    let reason = "Permintaan tertulis keluarga".to_owned();
    let request = v1::RequestErasureRequest { command_id: new_id(), case_id: case_id.clone(), reason };
    ErasureServiceClient::new(asks.clone()).request_erasure(request).await?;
    let request = v1::ApproveErasureRequest { command_id: new_id(), case_id };
    Ok(ErasureServiceClient::new(approves.clone()).approve_erasure(request).await.map(|_| ()))
}

async fn subject_of(door: &Door) -> anyhow::Result<String> {
    Ok(IdentityServiceClient::new(door.clone()).who_am_i(v1::WhoAmIRequest {}).await?.into_inner().subject)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_name_one_another_are_one_persons_however_long_the_chain() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (first_id, first) = issued(&house, "").await?;
    let (second_id, second) = issued(&house, &first_id).await?;
    let (third_id, third) = issued(&house, &second_id).await?;
    let (fourth_id, fourth) = enrolled(&house, &third_id).await?;
    let (_, fifth) = enrolled(&house, &fourth_id).await?;
    let (named_id, named) = enrolled(&house, "kadis").await?;
    let (second_named_id, _) = issued(&house, &named_id).await?;
    let (_, third_named) = enrolled(&house, &second_named_id).await?;
    for door in [&first, &second, &third, &fourth, &fifth] {
        ensure!(subject_of(door).await? == first_id);
    }
    ensure!(subject_of(&third_named).await? == "kadis");
    let mine = IdentityServiceClient::new(first.clone()).who_am_i(v1::WhoAmIRequest {}).await?.into_inner().tokens;
    ensure!(mine.len() == 5, "a person sees all tokens of their own: {mine:?}");

    for (asks, approves) in [(&first, &third), (&second, &third), (&fifth, &first), (&named, &third_named)] {
        let alone = refused(erased_by(&house, asks, approves).await?)?;
        let reason = alone.get_details_error_info().map(|info| info.reason);
        ensure!(alone.code() == Code::PermissionDenied && reason.as_deref() == Some("SAME_PERSON"), "{alone:?}");
    }
    erased_by(&house, &third, &third_named).await?.context("two persons")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capital_letter_does_not_make_another_person() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (_, small) = issued(&house, "petugas-17").await?;
    let (capital_id, capital) = issued(&house, "Petugas-17").await?;
    let (_, shouted) = enrolled(&house, &capital_id.to_uppercase()).await?;
    for door in [&capital, &shouted] {
        ensure!(subject_of(door).await? == "petugas-17");
        let alone = refused(erased_by(&house, &small, door).await?)?;
        let reason = alone.get_details_error_info().map(|info| info.reason);
        ensure!(alone.code() == Code::PermissionDenied && reason.as_deref() == Some("SAME_PERSON"), "{alone:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_assigned_to_somebody_who_can_be_there() -> anyhow::Result<()> {
    let house = House::open().await?;
    let channel = house.served.channel().await?;
    let worker = v1::Assignment { role: Role::CaseWorker.into(), own: None };
    door::issue_to("pendamping-1", &channel, &house.served.operator()?, worker, 3_600).await?;
    let (_, supervisor) = issued(&house, "").await?;
    let assign = async |subject: &str| {
        let request = v1::AssignCaseRequest {
            command_id: new_id(),
            case_id: house.own_case.clone(),
            subject: subject.to_owned(),
            reason: "Petugas jaga malam".to_owned(),
            ..Default::default()
        };
        CaseServiceClient::new(supervisor.clone()).assign_case(request).await
    };
    // No issuer is configured that could have such an account.
    for nobody in ["oidc-contoh", &format!("oidc-{}", "0".repeat(32)), "pendamping-2"] {
        let refused = refused(assign(nobody).await)?;
        ensure!(refused.code() == Code::InvalidArgument, "{nobody}: {refused:?}");
    }
    assign("Pendamping-1").await.context("however it is written")?;
    Ok(())
}
