//! Decisions on `EvaluationService`.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, evaluation_service_server::EvaluationService};
use tonic::{Request, Response, Status};

use super::{Authorized, CaseIds};
use crate::stream::BoxStream;

#[tonic::async_trait]
impl<S> EvaluationService for Authorized<S>
where
    S: EvaluationService<WatchEvaluationsStream = BoxStream<v1::WatchEvaluationsResponse>>,
{
    async fn get_evaluation(
        &self,
        mut request: Request<v1::GetEvaluationRequest>,
    ) -> Result<Response<v1::GetEvaluationResponse>, Status> {
        use v1::get_evaluation_request::Subject;
        let pass = self.gate.pass(&request, Rpc::GetEvaluation);
        match &request.get_ref().subject {
            Some(Subject::AreaCode(area)) => pass.names(Some(area), None).await?,
            Some(Subject::InstitutionId(institution)) => pass.names(None, Some(institution)).await?,
            None => pass.names(None, None).await?,
        };
        request.extensions_mut().insert(pass.sight());
        self.inner.get_evaluation(request).await
    }

    async fn list_evaluations(
        &self,
        mut request: Request<v1::ListEvaluationsRequest>,
    ) -> Result<Response<v1::ListEvaluationsResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListEvaluations);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        request.extensions_mut().insert(pass.sight());
        self.inner.list_evaluations(request).await
    }

    async fn explain_indicator(
        &self,
        mut request: Request<v1::ExplainIndicatorRequest>,
    ) -> Result<Response<v1::ExplainIndicatorResponse>, Status> {
        use v1::explain_indicator_request::Subject;
        let pass = self.gate.pass(&request, Rpc::ExplainIndicator);
        match &request.get_ref().subject {
            Some(Subject::AreaCode(area)) => pass.names(Some(area), None).await?,
            Some(Subject::InstitutionId(institution)) => pass.names(None, Some(institution)).await?,
            None => pass.names(None, None).await?,
        };
        request.extensions_mut().insert(pass.sight());
        let response = self.inner.explain_indicator(request).await?;
        pass.saw(CaseIds::of(response.get_ref().items.iter().map(|item| item.item_id.as_str()))).await?;
        Ok(response)
    }

    async fn list_trends(
        &self,
        mut request: Request<v1::ListTrendsRequest>,
    ) -> Result<Response<v1::ListTrendsResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListTrends);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        request.extensions_mut().insert(pass.sight());
        self.inner.list_trends(request).await
    }

    async fn compare_evaluations(
        &self,
        mut request: Request<v1::CompareEvaluationsRequest>,
    ) -> Result<Response<v1::CompareEvaluationsResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::CompareEvaluations);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        request.extensions_mut().insert(pass.sight());
        let response = self.inner.compare_evaluations(request).await?;
        let items = response.get_ref().changes.iter().flat_map(|change| &change.items);
        pass.saw(CaseIds::of(
            items.flat_map(|item| [&item.then, &item.now]).flatten().map(|item| item.item_id.as_str()),
        ))
        .await?;
        Ok(response)
    }

    type WatchEvaluationsStream = BoxStream<v1::WatchEvaluationsResponse>;

    async fn watch_evaluations(
        &self,
        mut request: Request<v1::WatchEvaluationsRequest>,
    ) -> Result<Response<Self::WatchEvaluationsStream>, Status> {
        let pass = self.gate.pass(&request, Rpc::WatchEvaluations);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        request.extensions_mut().insert(pass.sight());
        let inner = self.inner.watch_evaluations(request).await?.into_inner();
        Ok(Response::new(pass.until_end(inner)))
    }
}
