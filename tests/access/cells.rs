//! The table, cell by cell: every RPC in every role, on what would be the caller's own.

use anyhow::ensure;
use prost::Message as _;
use satgas_domain::policy::{Grant, ROLES, Rpc, grant};
use satgas_proto::v1::{self, Role, assignment::Own};
use tonic::Code;

use crate::{
    door::Door,
    house::{House, OWN, SCHOOL, area, case_report, visit},
    raw::call,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_is_refused_to_every_role_that_the_table_does_not_grant_it_and_to_no_other() -> anyhow::Result<()> {
    let house = House::open().await?;
    let mut wrong = Vec::new();
    for role in ROLES {
        let own = match role {
            Role::Satgas => Some(Own::AreaCode(OWN.to_owned())),
            Role::Institution => Some(Own::InstitutionId(SCHOOL.to_owned())),
            _ => None,
        };
        let door = match role {
            Role::Public => house.with("").await?,
            _ => house.door(role, own).await?,
        };
        for rpc in Rpc::ALL {
            let expected = match (grant(*rpc, role), role) {
                (Grant::No, Role::Public) => Some(Code::Unauthenticated),
                (Grant::No, _) => Some(Code::PermissionDenied),
                _ => None,
            };
            let path = format!("/satgas.v1.{}", rpc.path());
            let code = call(&door, &path, request(*rpc, role, &house)).await.err().map(|status| status.code());
            let denied = code.filter(|code| matches!(code, Code::Unauthenticated | Code::PermissionDenied));
            // A code that is none is the one thing that is refused so to everybody.
            let expected = if *rpc == Rpc::Enrol { Some(Code::Unauthenticated) } else { expected };
            if denied != expected {
                wrong.push(format!("{} as {role:?}: {code:?}, and not {expected:?}", rpc.path()));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A request that names what is the role's own.
fn request(rpc: Rpc, role: Role, house: &House) -> Vec<u8> {
    use v1::{explain_indicator_request, get_evaluation_request};
    let reporter = match role {
        Role::Institution => v1::submission::Reporter::InstitutionId(SCHOOL.to_owned()),
        _ => area(OWN),
    };
    let case_id = house.own_case.clone();
    match rpc {
        Rpc::Submit => v1::SubmitRequest { submission: Some(visit(&reporter)) }.encode_to_vec(),
        Rpc::SubmitBatch => v1::SubmitBatchRequest { submissions: vec![visit(&reporter)] }.encode_to_vec(),
        Rpc::OpenCase => {
            v1::OpenCaseRequest { submission: Some(case_report(&reporter)), ..Default::default() }.encode_to_vec()
        }
        Rpc::RecordIdentity => v1::RecordIdentityRequest { case_id, ..Default::default() }.encode_to_vec(),
        Rpc::ReadPublicReport => {
            let purpose = "Telaah laporan yang masuk".to_owned();
            v1::ReadPublicReportRequest { report_id: String::new(), purpose }.encode_to_vec()
        }
        Rpc::GetCase => v1::GetCaseRequest { case_id, ..Default::default() }.encode_to_vec(),
        Rpc::GetEvaluation => {
            let subject = match role {
                Role::Institution => get_evaluation_request::Subject::InstitutionId(SCHOOL.to_owned()),
                _ => get_evaluation_request::Subject::AreaCode(OWN.to_owned()),
            };
            v1::GetEvaluationRequest { subject: Some(subject), ..Default::default() }.encode_to_vec()
        }
        Rpc::ExplainIndicator => {
            let subject = match role {
                Role::Institution => explain_indicator_request::Subject::InstitutionId(SCHOOL.to_owned()),
                _ => explain_indicator_request::Subject::AreaCode(OWN.to_owned()),
            };
            let indicator = v1::IndicatorKind::SchoolCoverage.into();
            v1::ExplainIndicatorRequest { subject: Some(subject), indicator, ..Default::default() }.encode_to_vec()
        }
        // Its own token would have ended for what comes after.
        Rpc::EndOwnToken => v1::EndOwnTokenRequest { token_id: house.own_case.clone() }.encode_to_vec(),
        // Nothing named: where a role has its own, that is what is meant.
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_vocabulary_does_not_know_is_refused_at_the_door() -> anyhow::Result<()> {
    let house = House::open().await?;
    let door: Door = house.door(Role::Supervisor, None).await?;
    for path in
        ["/satgas.v1.CaseService/Unseal", "/satgas.v2.CaseService/GetCase", "/", "/satgas.v1.CaseService/GetCase/"]
    {
        let code = call(&door, path, Vec::new()).await.err().map(|status| status.code());
        ensure!(code == Some(Code::Unimplemented), "{path}: {code:?}");
    }
    Ok(())
}
