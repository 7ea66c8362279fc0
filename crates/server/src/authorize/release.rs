//! Decisions on `ReleaseService`.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, release_service_server::ReleaseService};
use tonic::{Request, Response, Status};

use super::Authorized;

#[tonic::async_trait]
impl<S: ReleaseService> ReleaseService for Authorized<S> {
    async fn preview_release(
        &self,
        request: Request<v1::PreviewReleaseRequest>,
    ) -> Result<Response<v1::PreviewReleaseResponse>, Status> {
        self.gate.pass(&request, Rpc::PreviewRelease).permit().await?;
        self.inner.preview_release(request).await
    }

    async fn publish_release(
        &self,
        request: Request<v1::PublishReleaseRequest>,
    ) -> Result<Response<v1::PublishReleaseResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::PublishRelease);
        pass.permit().await?;
        pass.writes(1, self.inner.publish_release(request)).await
    }

    async fn list_releases(
        &self,
        request: Request<v1::ListReleasesRequest>,
    ) -> Result<Response<v1::ListReleasesResponse>, Status> {
        self.gate.pass(&request, Rpc::ListReleases).permit().await?;
        self.inner.list_releases(request).await
    }

    async fn get_release(
        &self,
        request: Request<v1::GetReleaseRequest>,
    ) -> Result<Response<v1::GetReleaseResponse>, Status> {
        self.gate.pass(&request, Rpc::GetRelease).permit().await?;
        self.inner.get_release(request).await
    }
}
