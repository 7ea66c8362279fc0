//! Decisions on `PublicReportService`. What comes from anybody is counted by a hash of where it comes from, and nothing of that is kept.

use satgas_domain::policy::Rpc;
use satgas_proto::{
    follow_up,
    v1::{self, AccessRefusal, public_report_service_server::PublicReportService, triage_report_request::Decision},
};
use tonic::{Code, Request, Response, Status};

use super::{Authorized, CaseIds, Pass};
use crate::{identity::Metered, status};

#[tonic::async_trait]
impl<S: PublicReportService> PublicReportService for Authorized<S> {
    async fn send_report(
        &self,
        request: Request<v1::SendReportRequest>,
    ) -> Result<Response<v1::SendReportResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::SendReport);
        pass.permit().await?;
        // Whoever did not get the answer sends it again, however much was sent meanwhile.
        if self.gate.engine.has_report(&request.get_ref().report_id).await.map_err(status::public)? {
            pass.repeats_for_public()?;
            return match self.inner.send_report(request).await {
                Err(taken) if taken.code() == Code::AlreadyExists => {
                    Err(pass.refuse_as(AccessRefusal::IdTaken, taken).await)
                }
                answer => answer,
            };
        }
        // A report with a guessed code would be told whether it is one: that is a guess like any other.
        let hash = request.get_ref().code_hash.as_ref().try_into().unwrap_or_default();
        let is_used = self.gate.engine.has_code(hash).await.map_err(status::public)?;
        pass.takes_from_public()?;
        let answer = self.inner.send_report(request).await;
        if answer.is_err() {
            pass.gate.publics.give_back(pass.source);
        }
        match answer {
            Err(refused) if is_used => Err(pass.refuse_as(AccessRefusal::BadCode, refused).await),
            answer => answer,
        }
    }

    async fn follow_up(&self, request: Request<v1::FollowUpRequest>) -> Result<Response<v1::FollowUpResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::FollowUp);
        pass.permit().await?;
        // Before anything is looked up: beyond the limit a right code is as little told as a wrong one.
        if pass.is_suspect() {
            return Err(status::too_many_refusals());
        }
        let hash = request.get_ref().code.parse::<follow_up::Code>().map(|code| code.hash()).ok();
        // What is no code is looked for all the same, and is none whatever hashes people sent with their reports.
        let found = self.gate.engine.has_code(hash.unwrap_or_default()).await.map_err(status::public)?;
        if hash.is_none() || !found {
            return Err(pass.refuse_as(AccessRefusal::BadCode, status::no_such_code()).await);
        }
        pass.repeats_for_public()?;
        let adds = request.get_ref().message.is_some();
        if adds {
            pass.takes_from_public()?;
        }
        let answer = self.inner.follow_up(request).await;
        if adds && answer.is_err() {
            pass.gate.publics.give_back(pass.source);
        }
        answer
    }

    async fn list_public_reports(
        &self,
        mut request: Request<v1::ListPublicReportsRequest>,
    ) -> Result<Response<v1::ListPublicReportsResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListPublicReports);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        let response = self.inner.list_public_reports(request).await?;
        let reports = &response.get_ref().reports;
        pass.saw(CaseIds::of(reports.iter().map(|report| report.report_id.as_str()))).await?;
        Ok(response)
    }

    async fn read_public_report(
        &self,
        request: Request<v1::ReadPublicReportRequest>,
    ) -> Result<Response<v1::ReadPublicReportResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ReadPublicReport);
        pass.permit().await?;
        let report_id = request.get_ref().report_id.clone();
        let may = self.gate.engine.may_read_report(&report_id, &pass.holder.subject).await.map_err(status::sealed)?;
        if !may {
            return Err(pass.refuse_as(AccessRefusal::NotOwn, status::not_assigned()).await);
        }
        pass.meter(Metered::Reading).await?;
        // The service records the reading in the log of records before it opens the seal; this is the breach's list.
        pass.was_told(CaseIds::of([report_id.as_str()])).await?;
        self.inner.read_public_report(request).await
    }

    async fn triage_report(
        &self,
        request: Request<v1::TriageReportRequest>,
    ) -> Result<Response<v1::TriageReportResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::TriageReport);
        pass.permit().await?;
        let v1::TriageReportRequest { report_id, decision, answer, .. } = request.get_ref();
        let opens = matches!(decision, Some(Decision::OpenCase(_)));
        let (report_id, count) = (report_id.clone(), 1 + usize::from(opens) + usize::from(answer.is_some()));
        pass.told(&report_id, pass.writes(count, self.inner.triage_report(request)).await).await
    }

    async fn answer_report(
        &self,
        request: Request<v1::AnswerReportRequest>,
    ) -> Result<Response<v1::AnswerReportResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::AnswerReport);
        pass.permit().await?;
        let report_id = request.get_ref().report_id.clone();
        pass.told(&report_id, pass.writes(1, self.inner.answer_report(request)).await).await
    }
}

impl Pass {
    /// Counts what somebody asks for once more, or says how long to wait.
    fn repeats_for_public(&self) -> Result<(), Status> {
        let taken = self.gate.publics.repeat(self.source, std::time::Instant::now());
        taken.map_err(status::too_many_reports)
    }

    /// Counts what comes from the public, or says when there is room for it.
    fn takes_from_public(&self) -> Result<(), Status> {
        let taken = self.gate.publics.take(self.source, std::time::Instant::now());
        taken.map_err(status::too_many_reports)
    }
}
