//! Decisions on `StatisticsService`.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, statistics_service_server::StatisticsService};
use tonic::{Request, Response, Status};

use super::Authorized;

#[tonic::async_trait]
impl<S: StatisticsService> StatisticsService for Authorized<S> {
    async fn cross_table(
        &self,
        mut request: Request<v1::CrossTableRequest>,
    ) -> Result<Response<v1::CrossTableResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::CrossTable);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        self.inner.cross_table(request).await
    }
}
