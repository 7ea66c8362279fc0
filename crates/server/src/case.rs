//! `CaseService`: the life of cases.

use satgas_domain::id::SubmissionId;
use satgas_engine::Engine;
use satgas_proto::v1::{self, case_service_server::CaseService, event::Body, submission::Content};
use tonic::{Request, Response, Status};

use crate::{
    look::{look, look_within, not_given_out},
    sealed,
    sight::OwnInstitution,
    status,
    stream::Streams,
    submission::{known_code, page_size, submit},
};

pub(crate) struct CaseApi {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

#[tonic::async_trait]
impl CaseService for CaseApi {
    async fn open_case(&self, request: Request<v1::OpenCaseRequest>) -> Result<Response<v1::OpenCaseResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = sealed::caller(&request);
        let v1::OpenCaseRequest { submission, identities } = request.into_inner();
        let submission = submission.ok_or_else(|| status::invalid_field("submission", "is missing"))?;
        let identities = sealed::WithCase::of(&submission.submission_id, identities)?;
        if !matches!(submission.content, Some(Content::CaseReport(_))) {
            return Err(status::invalid_field("submission.content", "is not a case report"));
        }
        let id = submission.submission_id.clone();
        let receipt = submit(&self.engine, submission).await?;
        // Under an id that stands for another report, these would be sealed with a case that is not theirs; a report that a supervisor
        // refused is no case.
        let is_new = receipt.status() == v1::ReceiptStatus::Accepted;
        if is_new || receipt.status() == v1::ReceiptStatus::AlreadyKnown {
            identities.record(&self.engine, &by, is_new).await?;
        }
        let case = self.get(&id, self.engine.head().position.max(receipt.position), None).await?;
        Ok(Response::new(v1::OpenCaseResponse { receipt: Some(receipt), case }))
    }

    async fn advance_case(
        &self,
        request: Request<v1::AdvanceCaseRequest>,
    ) -> Result<Response<v1::AdvanceCaseResponse>, Status> {
        let _call = self.streams.tasks.token();
        let command = request.into_inner().command.ok_or_else(|| status::invalid_field("command", "is missing"))?;
        let (receipt, case) = self.engine.advance(command).await.map_err(status::case)?;
        Ok(Response::new(v1::AdvanceCaseResponse { receipt: Some(receipt), case: Some(case) }))
    }

    async fn get_case(&self, request: Request<v1::GetCaseRequest>) -> Result<Response<v1::GetCaseResponse>, Status> {
        let r = request.into_inner();
        let case = self.get(&r.case_id, r.min_position, r.as_of).await?.ok_or_else(|| status::not_found("case"))?;
        Ok(Response::new(v1::GetCaseResponse { case: Some(case) }))
    }

    async fn list_cases(
        &self,
        request: Request<v1::ListCasesRequest>,
    ) -> Result<Response<v1::ListCasesResponse>, Status> {
        let own = OwnInstitution::beside(&request)?;
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        let after = match r.page_token.as_str() {
            "" => None,
            token => Some(SubmissionId::parse(token).map_err(|_| not_given_out())?),
        };
        known_code::<v1::CaseStatus>("status", r.status)?;
        let wanted = match r.status() {
            v1::CaseStatus::Unspecified => None,
            wanted => Some(wanted),
        };
        let is_own = |case: &v1::Case| own.has(Some(&case.institution_id));
        let asked = |case: &v1::Case| {
            r.assigned_to.is_empty() || case.assignees.iter().any(|to| to.subject.eq_ignore_ascii_case(&r.assigned_to))
        };
        let cases: Option<Vec<v1::Case>> =
            look_within(&self.engine, r.min_position, r.as_of, &r.area_prefix, |known| {
                // A token of somebody else's case is as wrong as one of no case.
                if after.is_some_and(|id| !known.case_within(id, &r.area_prefix).is_some_and(|case| is_own(&case))) {
                    return None;
                }
                let cases = known.cases_after(after, &r.area_prefix, wanted);
                Some(cases.filter(|case| is_own(case) && asked(case)).take(size + 1).collect())
            })
            .await?;
        let mut cases = cases.ok_or_else(not_given_out)?;
        let more = cases.len() > size;
        cases.truncate(size);
        let next_page_token = cases.last().filter(|_| more).map(|last| last.case_id.clone()).unwrap_or_default();
        Ok(Response::new(v1::ListCasesResponse { cases, next_page_token }))
    }

    async fn record_identity(
        &self,
        request: Request<v1::RecordIdentityRequest>,
    ) -> Result<Response<v1::RecordIdentityResponse>, Status> {
        let _call = self.streams.tasks.token();
        sealed::record(&self.engine, request).await.map(Response::new)
    }

    async fn assign_case(
        &self,
        request: Request<v1::AssignCaseRequest>,
    ) -> Result<Response<v1::AssignCaseResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(sealed::caller(&request));
        let v1::AssignCaseRequest { command_id, case_id, subject, instead_of, until, reason } = request.into_inner();
        let assigned =
            v1::CaseAssigned { command_id, case_id: case_id.clone(), subject, instead_of, until, reason, by };
        let receipt = self.engine.record_about_seals(Body::CaseAssigned(assigned)).await.map_err(status::sealed)?;
        let assignees = self.engine.assignees(&case_id).await.map_err(status::sealed)?;
        Ok(Response::new(v1::AssignCaseResponse { receipt: Some(receipt), assignees }))
    }

    async fn unassign_case(
        &self,
        request: Request<v1::UnassignCaseRequest>,
    ) -> Result<Response<v1::UnassignCaseResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(sealed::caller(&request));
        let v1::UnassignCaseRequest { command_id, case_id, subject, reason } = request.into_inner();
        let ended = v1::CaseUnassigned { command_id, case_id: case_id.clone(), subject, reason, by };
        let receipt = self.engine.record_about_seals(Body::CaseUnassigned(ended)).await.map_err(status::sealed)?;
        let assignees = self.engine.assignees(&case_id).await.map_err(status::sealed)?;
        Ok(Response::new(v1::UnassignCaseResponse { receipt: Some(receipt), assignees }))
    }

    async fn unseal_identity(
        &self,
        request: Request<v1::UnsealIdentityRequest>,
    ) -> Result<Response<v1::UnsealIdentityResponse>, Status> {
        let _call = self.streams.tasks.token();
        sealed::unseal(&self.engine, request).await.map(Response::new)
    }
}

impl CaseApi {
    async fn get(&self, id: &str, min_position: u64, as_of: Option<v1::AsOf>) -> Result<Option<v1::Case>, Status> {
        let id = SubmissionId::parse(id).map_err(|reason| status::invalid_field("case_id", reason))?;
        look(&self.engine, min_position, as_of, |known| known.case(id)).await
    }
}
