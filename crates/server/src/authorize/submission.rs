//! Decisions on `SubmissionService`.

use futures_util::StreamExt as _;
use satgas_domain::policy::Rpc;
use satgas_engine::Handed;
use satgas_proto::v1::{self, submission::Content, submission_service_server::SubmissionService};
use tonic::{Request, Response, Status, Streaming};

use super::{Authorized, CaseIds};
use crate::{
    identity::Underway,
    sight::OwnInstitution,
    status,
    stream::BoxStream,
    submission::{Submissions, check_count, receipts, recorded},
    trace::{Inside, Part},
};

#[tonic::async_trait]
impl SubmissionService for Authorized<Submissions> {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::Submit);
        let inside = request.extensions().get::<Inside>().cloned();
        let Some(submission) = request.into_inner().submission else {
            return Err(status::invalid_field("submission", "is missing"));
        };
        let ended = pass.reports(&submission).await?;
        let reserved = pass.reserve(1).await?;
        let mut part = Part::of(inside.as_ref(), "commit");
        let before = self.gate.engine.head().position;
        let outcome = self.inner.take(Handed { submission, ended }).await;
        if let Ok(receipt) = &outcome {
            part.wrote(1, receipt.position);
        }
        drop(part);
        reserved.used(outcome.as_ref().map_or(0, |receipt| recorded([receipt], before)));
        let receipt = outcome?;
        Ok(Response::new(v1::SubmitResponse { receipt: Some(receipt) }))
    }

    type SubmitBatchStream = BoxStream<v1::SubmitBatchResponse>;

    /// Each message is decided when it comes. One with a record that is not the caller's to make ends the stream: what came before it has
    /// its receipts. So does the end of the token, after which the same records are sent again and kept apart.
    async fn submit_batch(
        &self,
        request: Request<Streaming<v1::SubmitBatchRequest>>,
    ) -> Result<Response<Self::SubmitBatchStream>, Status> {
        let pass = std::sync::Arc::new(self.gate.pass(&request, Rpc::SubmitBatch));
        pass.permit().await?;
        let deciding = std::sync::Arc::clone(&pass);
        let underway = Underway::default();
        let decided = request.into_inner().then(move |message| {
            let (pass, underway) = (std::sync::Arc::clone(&deciding), underway.clone());
            async move {
                let message: v1::SubmitBatchRequest = message?;
                check_count(&message.submissions)?;
                let mut handed = Vec::with_capacity(message.submissions.len());
                for submission in message.submissions {
                    let ended = pass.reports(&submission).await?;
                    handed.push(Handed { submission, ended });
                }
                let reserved = pass.reserve_behind(handed.len(), &underway).await?;
                Ok((handed, reserved))
            }
        });
        let receipts = receipts(self.inner.engine.clone(), &self.inner.streams, decided);
        if !pass.holder.ended {
            return Ok(Response::new(pass.until_end(receipts.map(|answer| answer.map(|(answer, _)| answer)))));
        }
        // What is kept is bounded by what may wait. A message of which nothing is kept, or something is refused, is work for nothing, and counts
        // like another call.
        let counted = receipts.then(move |answer| {
            let pass = std::sync::Arc::clone(&pass);
            async move {
                let (answer, recorded) = answer?;
                let is_refused = |receipt: &v1::Receipt| receipt.status() == v1::ReceiptStatus::Rejected;
                if recorded == 0 || answer.receipts.iter().any(is_refused) {
                    pass.comes_late().await?;
                }
                Ok(answer)
            }
        });
        Ok(Response::new(Box::pin(counted)))
    }

    async fn list_quarantined(
        &self,
        mut request: Request<v1::ListQuarantinedRequest>,
    ) -> Result<Response<v1::ListQuarantinedResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListQuarantined);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        let response = self.inner.list_quarantined(request).await?;
        let records = response.get_ref().records.iter().filter_map(|record| record.submission.as_ref());
        pass.saw(CaseIds::of(records.flat_map(cases_in))).await?;
        Ok(response)
    }

    async fn decide_quarantined(
        &self,
        request: Request<v1::DecideQuarantinedRequest>,
    ) -> Result<Response<v1::DecideQuarantinedResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::DecideQuarantined);
        pass.permit().await?;
        pass.writes(1, self.inner.decide_quarantined(request)).await
    }

    async fn list_conflicts(
        &self,
        mut request: Request<v1::ListConflictsRequest>,
    ) -> Result<Response<v1::ListConflictsResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListConflicts);
        let own = OwnInstitution::of(pass.narrow(&mut request.get_mut().area_prefix).await?);
        request.extensions_mut().insert(own);
        let response = self.inner.list_conflicts(request).await?;
        let conflicts = &response.get_ref().conflicts;
        pass.saw(CaseIds::of(conflicts.iter().filter_map(|conflict| conflict.submission.as_ref()).flat_map(cases_in)))
            .await?;
        Ok(response)
    }

    async fn resolve_conflict(
        &self,
        request: Request<v1::ResolveConflictRequest>,
    ) -> Result<Response<v1::ResolveConflictResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ResolveConflict);
        pass.permit().await?;
        pass.writes(1, self.inner.resolve_conflict(request)).await
    }

    async fn list_held(
        &self,
        mut request: Request<v1::ListHeldRequest>,
    ) -> Result<Response<v1::ListHeldResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListHeld);
        let own = OwnInstitution::of(pass.narrow(&mut request.get_mut().area_prefix).await?);
        request.extensions_mut().insert(own);
        let response = self.inner.list_held(request).await?;
        let held = &response.get_ref().held;
        pass.saw(CaseIds::of(held.iter().filter_map(|held| held.submission.as_ref()).flat_map(cases_in))).await?;
        Ok(response)
    }
}

/// Ids of cases that a record tells something of, and ids that may be such.
fn cases_in(submission: &v1::Submission) -> Vec<&str> {
    use v1::amendment::Replacement;
    match &submission.content {
        Some(Content::CaseReport(_)) => vec![&submission.submission_id],
        Some(Content::Amendment(a)) if matches!(a.replacement, Some(Replacement::CaseReport(_))) => {
            vec![&a.corrects_id]
        }
        Some(Content::Retraction(r)) => vec![&r.retracts_id],
        _ => Vec::new(),
    }
}
