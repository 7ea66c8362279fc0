//! Asks a server everything that the model compares, in small pages.

use anyhow::Context as _;
use satgas_proto::v1::{
    self, evaluation_service_client::EvaluationServiceClient, submission_service_client::SubmissionServiceClient,
    warning_service_client::WarningServiceClient,
};
use tonic::transport::Channel;

use crate::reference::Subject;

/// One evaluation as of `min_position` or later.
pub(crate) async fn evaluation(
    channel: &Channel,
    subject: &Subject,
    period: &str,
    min_position: u64,
) -> anyhow::Result<v1::Evaluation> {
    use v1::get_evaluation_request::Subject as Asked;
    let subject = match subject {
        Subject::Area(code) => Asked::AreaCode(code.clone()),
        Subject::Institution(id) => Asked::InstitutionId(id.clone()),
    };
    let request = v1::GetEvaluationRequest { subject: Some(subject), period: period.to_owned(), min_position };
    let response = EvaluationServiceClient::new(channel.clone()).get_evaluation(request).await?;
    response.into_inner().evaluation.context("an answer without an evaluation")
}

/// All evaluations that a request asks for, in pages of its size.
pub(crate) async fn evaluations(
    channel: &Channel,
    mut request: v1::ListEvaluationsRequest,
) -> anyhow::Result<Vec<v1::Evaluation>> {
    let mut client = EvaluationServiceClient::new(channel.clone());
    let mut evaluations = Vec::new();
    loop {
        let page = client.list_evaluations(request.clone()).await?.into_inner();
        evaluations.extend(page.evaluations);
        if page.next_page_token.is_empty() {
            return Ok(evaluations);
        }
        request.page_token = page.next_page_token;
    }
}

/// All warnings.
pub(crate) async fn warnings(channel: &Channel, min_position: u64) -> anyhow::Result<Vec<v1::Warning>> {
    let mut client = WarningServiceClient::new(channel.clone());
    let mut request = v1::ListWarningsRequest { page_size: 5, min_position, ..v1::ListWarningsRequest::default() };
    let mut warnings = Vec::new();
    loop {
        let page = client.list_warnings(request.clone()).await?.into_inner();
        warnings.extend(page.warnings);
        if page.next_page_token.is_empty() {
            return Ok(warnings);
        }
        request.page_token = page.next_page_token;
    }
}

/// All open conflicts.
pub(crate) async fn conflicts(channel: &Channel, min_position: u64) -> anyhow::Result<Vec<v1::Conflict>> {
    let mut client = SubmissionServiceClient::new(channel.clone());
    let mut request = v1::ListConflictsRequest { page_size: 4, min_position, ..v1::ListConflictsRequest::default() };
    let mut conflicts = Vec::new();
    loop {
        let page = client.list_conflicts(request.clone()).await?.into_inner();
        conflicts.extend(page.conflicts);
        if page.next_after_position == 0 {
            return Ok(conflicts);
        }
        request.after_position = page.next_after_position;
    }
}

/// All that waits.
pub(crate) async fn held(channel: &Channel, min_position: u64) -> anyhow::Result<Vec<v1::Held>> {
    let mut client = SubmissionServiceClient::new(channel.clone());
    let mut request = v1::ListHeldRequest { page_size: 4, min_position, ..v1::ListHeldRequest::default() };
    let mut held = Vec::new();
    loop {
        let page = client.list_held(request.clone()).await?.into_inner();
        held.extend(page.held);
        if page.next_after_position == 0 {
            return Ok(held);
        }
        request.after_position = page.next_after_position;
    }
}
