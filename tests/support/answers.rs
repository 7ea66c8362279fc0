//! Asks a server everything that the model compares, in small pages.

use crate::door::Door;
use anyhow::Context as _;
use satgas_proto::v1::{
    self, EvaluatedBody, evaluation_service_client::EvaluationServiceClient,
    registry_service_client::RegistryServiceClient, statistics_service_client::StatisticsServiceClient,
    submission_service_client::SubmissionServiceClient, warning_service_client::WarningServiceClient,
};
use tonic::Status;

use crate::reference::{Subject, tables::Asked};

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

/// Whose figures of an area are asked for.
fn body(subject: &Subject) -> EvaluatedBody {
    match subject {
        Subject::InstitutionsIn(_) => EvaluatedBody::Institution,
        Subject::Area(_) | Subject::Institution(_) => EvaluatedBody::Unspecified,
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
    let asked = match subject {
        Subject::Area(code) | Subject::InstitutionsIn(code) => Asked::AreaCode(code.clone()),
        Subject::Institution(id) => Asked::InstitutionId(id.clone()),
    };
    let request = v1::GetEvaluationRequest {
        subject: Some(asked),
        body: body(subject).into(),
        period: period.to_owned(),
        min_position: moment.min_position,
        as_of: moment.as_of,
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
            Subject::Area(code) | Subject::InstitutionsIn(code) => Asked::AreaCode(code.clone()),
            Subject::Institution(id) => Asked::InstitutionId(id.clone()),
        }),
        body: body(subject).into(),
        period: period.to_owned(),
        indicator: indicator.into(),
        page_size: 3,
        page_token: String::new(),
        min_position: moment.min_position,
        as_of: moment.as_of,
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

/// All trends that a request asks for, in pages of its size.
pub(crate) async fn trends(channel: &Door, mut request: v1::ListTrendsRequest) -> anyhow::Result<Vec<v1::Trend>> {
    let mut client = EvaluationServiceClient::new(channel.clone());
    let mut trends = Vec::new();
    loop {
        let page = client.list_trends(request.clone()).await?.into_inner();
        trends.extend(page.trends);
        if page.next_page_token.is_empty() {
            return Ok(trends);
        }
        request.page_token = page.next_page_token;
    }
}

/// All changes that a comparison finds, in pages of its size.
pub(crate) async fn changes(
    channel: &Door,
    mut request: v1::CompareEvaluationsRequest,
) -> anyhow::Result<Vec<v1::EvaluationChange>> {
    let mut client = EvaluationServiceClient::new(channel.clone());
    let mut changes = Vec::new();
    loop {
        let page = client.compare_evaluations(request.clone()).await?.into_inner();
        changes.extend(page.changes);
        if page.next_page_token.is_empty() {
            return Ok(changes);
        }
        request.page_token = page.next_page_token;
    }
}

/// A cross table.
pub(crate) async fn cross_table(
    channel: &Door,
    asked: &Asked,
    moment: &Moment,
) -> anyhow::Result<v1::CrossTableResponse> {
    let request = v1::CrossTableRequest {
        first_period: asked.first_period.clone(),
        last_period: asked.last_period.clone(),
        area_prefix: asked.area_prefix.clone(),
        dimensions: asked.dimensions.iter().map(|dimension| (*dimension).into()).collect(),
        min_position: moment.min_position,
        as_of: moment.as_of,
    };
    Ok(StatisticsServiceClient::new(channel.clone()).cross_table(request).await?.into_inner())
}

/// Decides a conflict.
pub(crate) async fn decision(channel: &Door, resolution: v1::ConflictResolution) -> Result<v1::Receipt, Status> {
    let request = v1::ResolveConflictRequest { resolution: Some(resolution) };
    let answered = SubmissionServiceClient::new(channel.clone()).resolve_conflict(request).await?;
    Ok(answered.into_inner().receipt.unwrap_or_default())
}

/// All areas and all institutions that the registry lists, in small pages.
pub(crate) async fn registry(channel: &Door, moment: &Moment) -> anyhow::Result<(Vec<v1::Area>, Vec<v1::Institution>)> {
    let mut client = RegistryServiceClient::new(channel.clone());
    let (min_position, as_of) = (moment.min_position, moment.as_of);
    let mut areas = Vec::new();
    let mut request = v1::ListAreasRequest { page_size: 4, min_position, as_of, ..Default::default() };
    loop {
        let page = client.list_areas(request.clone()).await?.into_inner();
        areas.extend(page.areas);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let mut institutions = Vec::new();
    let mut request = v1::ListInstitutionsRequest { page_size: 3, min_position, as_of, ..Default::default() };
    loop {
        let page = client.list_institutions(request.clone()).await?.into_inner();
        institutions.extend(page.institutions);
        if page.next_page_token.is_empty() {
            return Ok((areas, institutions));
        }
        request.page_token = page.next_page_token;
    }
}
