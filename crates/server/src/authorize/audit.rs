//! Decisions on `AuditService`.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

use super::Authorized;

#[tonic::async_trait]
impl<S: AuditService> AuditService for Authorized<S> {
    async fn list_access(
        &self,
        request: Request<v1::ListAccessRequest>,
    ) -> Result<Response<v1::ListAccessResponse>, Status> {
        self.gate.pass(&request, Rpc::ListAccess).permit().await?;
        self.inner.list_access(request).await
    }
}
