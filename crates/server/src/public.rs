//! `PublicReportService`: reports of the public.
//!
//! What a report says is taken out of a request at once and is wiped when it is done with. Nothing here logs a request.

use satgas_engine::{Engine, vault::Clear};
use satgas_proto::{
    follow_up::Code,
    v1::{self, public_report_service_server::PublicReportService},
};
use tonic::{Request, Response, Status};

use crate::{
    sealed::caller,
    status,
    stream::Streams,
    submission::{page, page_size},
};

/// `PublicReportService`.
pub(crate) struct PublicReports {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

#[tonic::async_trait]
impl PublicReportService for PublicReports {
    async fn send_report(
        &self,
        request: Request<v1::SendReportRequest>,
    ) -> Result<Response<v1::SendReportResponse>, Status> {
        let _call = self.streams.tasks.token();
        let mut request = request.into_inner();
        let content = Clear::from(request.content.take().unwrap_or_default());
        let report_id = request.report_id.clone();
        let status = self.engine.receive_report(request, content).await.map_err(status::public)?;
        Ok(Response::new(v1::SendReportResponse { report_id, status: status.into() }))
    }

    async fn follow_up(&self, request: Request<v1::FollowUpRequest>) -> Result<Response<v1::FollowUpResponse>, Status> {
        let _call = self.streams.tasks.token();
        let v1::FollowUpRequest { code, message, message_id } = request.into_inner();
        let hash = code.parse::<Code>().map(|code| code.hash()).map_err(|_| status::no_such_code())?;
        let find =
            || async { self.engine.follow_up(hash).await.map_err(status::public)?.ok_or_else(status::no_such_code) };
        let mut found = find().await?;
        if let Some(message) = message {
            self.engine.add_message(found.report_id, message_id, message.into()).await.map_err(status::public)?;
            found = find().await?;
        }
        let received = found.received;
        let day = |folded: &satgas_engine::Folded| folded.views.calendar().day(received).text();
        let received_on = self.engine.query(0, day).await.map_err(status::query)?;
        Ok(Response::new(v1::FollowUpResponse {
            status: found.status.into(),
            received_on,
            answers: found.answers.into_iter().map(Clear::show).collect(),
            messages: u32::try_from(found.messages).unwrap_or(u32::MAX),
        }))
    }

    async fn list_public_reports(
        &self,
        request: Request<v1::ListPublicReportsRequest>,
    ) -> Result<Response<v1::ListPublicReportsResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        let now = self.engine.now();
        let look = |folded: &satgas_engine::Folded| {
            let reports = folded.views.public_reports().after(r.after_position);
            let wanted = reports.filter(|report| satgas_domain::id::is_within(report.area_code(), &r.area_prefix));
            let wanted = wanted.filter(|report| r.include_triaged || report.waits());
            wanted.take(size + 1).map(|report| folded.views.report_shown(report, now)).collect::<Vec<_>>()
        };
        let reports = self.engine.query(r.min_position, look).await.map_err(status::query)?;
        let (reports, next_after_position) = page(reports, size, |report| report.position);
        Ok(Response::new(v1::ListPublicReportsResponse { reports, next_after_position }))
    }

    async fn read_public_report(
        &self,
        request: Request<v1::ReadPublicReportRequest>,
    ) -> Result<Response<v1::ReadPublicReportResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = caller(&request);
        let read = self.engine.read_report(request.into_inner(), by).await.map_err(status::sealed)?;
        let messages = read.messages.into_iter().map(|read| v1::PublicMessage {
            message: Some(read.message.show()),
            added_at: read.added_at,
            by: read.by,
        });
        Ok(Response::new(v1::ReadPublicReportResponse {
            report: Some(read.report),
            content: Some(read.content.show()),
            messages: messages.collect(),
            read_position: read.read_position,
        }))
    }

    async fn triage_report(
        &self,
        request: Request<v1::TriageReportRequest>,
    ) -> Result<Response<v1::TriageReportResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = caller(&request);
        let mut request = request.into_inner();
        let (report_id, answer) = (request.report_id.clone(), request.answer.take().map(Clear::from));
        let receipt = self.engine.triage_report(request, answer, by).await.map_err(status::sealed)?;
        let report = self.engine.report_shown(&report_id).await.map_err(status::sealed)?;
        Ok(Response::new(v1::TriageReportResponse { receipt: Some(receipt), report: Some(report) }))
    }

    async fn answer_report(
        &self,
        request: Request<v1::AnswerReportRequest>,
    ) -> Result<Response<v1::AnswerReportResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = caller(&request);
        let mut request = request.into_inner();
        let (report_id, answer) = (request.report_id.clone(), Clear::from(request.answer.take().unwrap_or_default()));
        let receipt = self.engine.answer_report(request, answer, by).await.map_err(status::sealed)?;
        let report = self.engine.report_shown(&report_id).await.map_err(status::sealed)?;
        Ok(Response::new(v1::AnswerReportResponse { receipt: Some(receipt), report: Some(report) }))
    }
}
