//! Decisions on `CaseService`. To a task force, a case of others is one that is not there.

use satgas_domain::{
    id::SubmissionId,
    policy::{Reach, Rpc},
};
use satgas_engine::Folded;
use satgas_proto::v1::{self, AccessRefusal, case_service_server::CaseService};
use tonic::{Code, Request, Response, Status};

use super::{Authorized, CaseIds, Gate, Pass};
use crate::{
    access::State, identity::Metered, sealed::check_count, sight::OwnInstitution, status, submission::recorded,
};

#[tonic::async_trait]
impl<S: CaseService> CaseService for Authorized<S> {
    async fn open_case(&self, request: Request<v1::OpenCaseRequest>) -> Result<Response<v1::OpenCaseResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::OpenCase);
        check_count(&request.get_ref().identities)?;
        let submission = request.get_ref().submission.clone().unwrap_or_default();
        // Identities are sealed for cases only, so that a report that is kept apart cannot come this way.
        if pass.reports(&submission).await?.is_some() {
            return Err(pass.refuse(AccessRefusal::NotOwn).await);
        }
        let identities = request.get_ref().identities.len();
        let reserved = pass.reserve(1 + identities).await?;
        let mut response = match self.inner.open_case(request).await {
            Ok(response) => response,
            refused => {
                // Of what does not fit nothing was written. What else went wrong may have come after the report.
                if refused.as_ref().is_err_and(|refused| refused.code() == Code::InvalidArgument) {
                    reserved.used(0);
                }
                return sealed(&pass, &submission.submission_id, refused).await;
            }
        };
        let answer = response.get_mut();
        let written = recorded(&answer.receipt, 0) + u32::try_from(identities).unwrap_or(u32::MAX);
        reserved.used(written);
        // Under an id that was taken the answer would hold the case that stands, whoever reported it.
        answer.case.take_if(|case| !pass.reaches(&case.area_code, &case.institution_id));
        answer.case.iter_mut().for_each(|case| pass.sight().case(case));
        pass.was_told(CaseIds::of(answer.case.iter().map(|case| case.case_id.as_str()))).await?;
        Ok(response)
    }

    async fn advance_case(
        &self,
        request: Request<v1::AdvanceCaseRequest>,
    ) -> Result<Response<v1::AdvanceCaseResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::AdvanceCase);
        pass.permit().await?;
        let case_id = request.get_ref().command.as_ref().map(|command| command.case_id.clone()).unwrap_or_default();
        pass.told(&case_id, pass.writes(1, self.inner.advance_case(request)).await).await
    }

    async fn get_case(&self, request: Request<v1::GetCaseRequest>) -> Result<Response<v1::GetCaseResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::GetCase);
        let reach = pass.permit().await?.reach;
        match self.inner.get_case(request).await {
            Ok(mut response) => {
                let case = response.get_mut().case.get_or_insert_default();
                if !pass.reaches(&case.area_code, &case.institution_id) {
                    return Err(not_there(&pass).await);
                }
                pass.sight().case(case);
                pass.saw(CaseIds::of([case.case_id.as_str()])).await?;
                Ok(response)
            }
            // Recorded as well, or the time that it takes would tell the two apart.
            Err(refused) if refused.code() == Code::NotFound && *reach != Reach::Everywhere => {
                Err(not_there(&pass).await)
            }
            Err(refused) => Err(refused),
        }
    }

    async fn record_identity(
        &self,
        request: Request<v1::RecordIdentityRequest>,
    ) -> Result<Response<v1::RecordIdentityResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::RecordIdentity);
        let case_id = request.get_ref().case_id.clone();
        if *pass.permit().await?.reach != Reach::Everywhere && !self.gate.is_own(&pass, &case_id).await? {
            return Err(not_there(&pass).await);
        }
        let mut outcome = pass.writes(1, self.inner.record_identity(request)).await;
        if let Ok(response) = &mut outcome {
            response.get_mut().sealing.iter_mut().for_each(|sealing| pass.sight().sealing(sealing));
        }
        sealed(&pass, &case_id, outcome).await
    }

    async fn unseal_identity(
        &self,
        request: Request<v1::UnsealIdentityRequest>,
    ) -> Result<Response<v1::UnsealIdentityResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::UnsealIdentity);
        let case_id = request.get_ref().case_id.clone();
        pass.permit().await?;
        if !self.gate.is_assigned(&pass, &case_id).await? {
            return Err(pass.refuse_as(AccessRefusal::NotOwn, status::not_assigned()).await);
        }
        pass.meter(Metered::Reading).await?;
        // The service records the reading in the log of records before it opens the seal; this is the breach's list.
        pass.was_told(CaseIds::of([case_id.as_str()])).await?;
        self.inner.unseal_identity(request).await
    }

    async fn assign_case(
        &self,
        request: Request<v1::AssignCaseRequest>,
    ) -> Result<Response<v1::AssignCaseResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::AssignCase);
        pass.permit().await?;
        // A mistyped subject must not look as if somebody had the case.
        if !self.gate.is_case_worker(&pass, &request.get_ref().subject) {
            let reason = "is the subject of no valid case worker's token: `satgas token list` shows them";
            return Err(status::invalid_field("subject", reason));
        }
        let case_id = request.get_ref().case_id.clone();
        pass.told(&case_id, pass.writes(1, self.inner.assign_case(request)).await).await
    }

    async fn unassign_case(
        &self,
        request: Request<v1::UnassignCaseRequest>,
    ) -> Result<Response<v1::UnassignCaseResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::UnassignCase);
        pass.permit().await?;
        let case_id = request.get_ref().case_id.clone();
        pass.told(&case_id, pass.writes(1, self.inner.unassign_case(request)).await).await
    }

    async fn list_cases(
        &self,
        mut request: Request<v1::ListCasesRequest>,
    ) -> Result<Response<v1::ListCasesResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListCases);
        // Who leads a case is not shown to a task force, so it cannot ask for it either.
        if !request.get_ref().assigned_to.is_empty() && *pass.permit().await?.reach != Reach::Everywhere {
            return Err(pass.refuse(AccessRefusal::NotOwn).await);
        }
        let own = OwnInstitution::of(pass.narrow(&mut request.get_mut().area_prefix).await?);
        request.extensions_mut().insert(own);
        let mut response = self.inner.list_cases(request).await?;
        let answer = response.get_mut();
        answer.cases.retain(|case| pass.reaches(&case.area_code, &case.institution_id));
        answer.cases.iter_mut().for_each(|case| pass.sight().case(case));
        pass.saw(CaseIds::of(answer.cases.iter().map(|case| case.case_id.as_str()))).await?;
        Ok(response)
    }
}

impl Gate {
    /// Whether a case is the caller's own; one that is not there is nobody's.
    async fn is_own(&self, pass: &Pass, case_id: &str) -> Result<bool, Status> {
        let Ok(id) = SubmissionId::parse(case_id) else { return Ok(false) };
        let look = |folded: &Folded| folded.known(self.engine.now()).case(id);
        let case = self.engine.query(self.engine.head().position, look).await.map_err(status::query)?;
        Ok(case.is_some_and(|case| pass.reaches(&case.area_code, &case.institution_id)))
    }

    /// Whether a case is assigned to who calls; one that is not there is assigned to nobody. What is no case's id is for the service to refuse.
    async fn is_assigned(&self, pass: &Pass, case_id: &str) -> Result<bool, Status> {
        let Ok(id) = SubmissionId::parse(case_id) else { return Ok(true) };
        self.engine.is_assigned(id, &pass.holder.subject).await.map_err(status::query)
    }

    /// Whether a subject is known as a case worker's: by a valid token of this server, or as the caller's own. Those of another issuer are not
    /// known before they call; where there is one, an id of their form is taken.
    fn is_case_worker(&self, pass: &Pass, subject: &str) -> bool {
        let now = self.engine.now();
        let is_one = |token: &v1::Token| token.assignment.as_ref().is_some_and(|a| a.role() == v1::Role::CaseWorker);
        let subject = subject.to_ascii_lowercase();
        let known = |state: &State| state.tokens_of(&subject).any(|token| is_one(token) && state.is_valid(token, now));
        let own = pass.holder.caller.role == v1::Role::CaseWorker && *pass.holder.subject == subject;
        own || self.identity.may_be_foreign(&subject) || self.access.look(known)
    }
}

/// Hands on what became of sealing. An id that was taken is recorded and counted as a refusal, so that whoever tries names on somebody
/// else's command is slowed down and found.
async fn sealed<T>(pass: &Pass, case_id: &str, outcome: Result<T, Status>) -> Result<T, Status> {
    match outcome {
        Err(taken) if taken.code() == Code::AlreadyExists => Err(pass.refuse_as(AccessRefusal::IdTaken, taken).await),
        outcome => pass.told(case_id, outcome).await,
    }
}

async fn not_there(pass: &Pass) -> Status {
    pass.refuse_as(AccessRefusal::NotOwn, status::not_found("case")).await
}
