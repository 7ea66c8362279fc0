//! Asks a server everything that the model compares, in small pages.

use crate::door::Door;
use anyhow::Context as _;
use satgas_proto::v1::{
    self, evaluation_service_client::EvaluationServiceClient, submission_service_client::SubmissionServiceClient,
    warning_service_client::WarningServiceClient,
};

use crate::reference::Subject;

/// Which moment is asked about: now, with everything up to a position taken in, or one of the past.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moment {
    pub(crate) min_position: u64,
    pub(crate) as_of: Option<v1::AsOf>,
}

impl Moment {
    /// Now, with everything up to a position.
    pub(crate) fn now(min_position: u64) -> Self {
        Self { min_position, as_of: None }
    }
}

/// One evaluation.
pub(crate) async fn evaluation(
    channel: &Door,
    subject: &Subject,
    period: &str,
    moment: &Moment,
) -> anyhow::Result<v1::Evaluation> {
    use v1::get_evaluation_request::Subject as Asked;
    let subject = match subject {
        Subject::Area(code) => Asked::AreaCode(code.clone()),
        Subject::Institution(id) => Asked::InstitutionId(id.clone()),
    };
    let request = v1::GetEvaluationRequest {
        subject: Some(subject),
        period: period.to_owned(),
        min_position: moment.min_position,
        as_of: moment.as_of,
        ..Default::default()
    };
    let response = EvaluationServiceClient::new(channel.clone()).get_evaluation(request).await?;
    response.into_inner().evaluation.context("an answer without an evaluation")
}

/// All evaluations that a request asks for, in pages of its size.
pub(crate) async fn evaluations(
    channel: &Door,
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
pub(crate) async fn warnings(channel: &Door, moment: &Moment) -> anyhow::Result<Vec<v1::Warning>> {
    let mut client = WarningServiceClient::new(channel.clone());
    let mut request = v1::ListWarningsRequest {
        page_size: 5,
        min_position: moment.min_position,
        as_of: moment.as_of,
        ..v1::ListWarningsRequest::default()
    };
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
pub(crate) async fn conflicts(channel: &Door, moment: &Moment) -> anyhow::Result<Vec<v1::Conflict>> {
    let mut client = SubmissionServiceClient::new(channel.clone());
    let mut request = v1::ListConflictsRequest {
        page_size: 4,
        min_position: moment.min_position,
        as_of: moment.as_of,
        ..v1::ListConflictsRequest::default()
    };
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
pub(crate) async fn held(channel: &Door, moment: &Moment) -> anyhow::Result<Vec<v1::Held>> {
    let mut client = SubmissionServiceClient::new(channel.clone());
    let mut request = v1::ListHeldRequest {
        page_size: 4,
        min_position: moment.min_position,
        as_of: moment.as_of,
        ..v1::ListHeldRequest::default()
    };
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

/// The explanation of an indicator, in pages of three items.
pub(crate) async fn explanation(
    channel: &Door,
    subject: &Subject,
    period: &str,
    indicator: v1::IndicatorKind,
    moment: &Moment,
) -> anyhow::Result<v1::ExplainIndicatorResponse> {
    use v1::explain_indicator_request::Subject as Asked;
    let mut request = v1::ExplainIndicatorRequest {
        subject: Some(match subject {
            Subject::Area(code) => Asked::AreaCode(code.clone()),
            Subject::Institution(id) => Asked::InstitutionId(id.clone()),
        }),
        period: period.to_owned(),
        indicator: indicator.into(),
        page_size: 3,
        page_token: String::new(),
        min_position: moment.min_position,
        as_of: moment.as_of,
        ..Default::default()
    };
    let mut client = EvaluationServiceClient::new(channel.clone());
    let mut whole = client.explain_indicator(request.clone()).await?.into_inner();
    while !whole.next_page_token.is_empty() {
        request.page_token = std::mem::take(&mut whole.next_page_token);
        let page = client.explain_indicator(request.clone()).await?.into_inner();
        whole.items.extend(page.items);
        whole.next_page_token = page.next_page_token;
    }
    Ok(whole)
}
