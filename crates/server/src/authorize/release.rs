//! Decisions on `ReleaseService`.

use satgas_domain::policy::Rpc;
use satgas_proto::{
    encoded::{Encoded, release_service_server::ReleaseService},
    v1,
};
use tonic::{Request, Response, Status};

use super::{Authorized, Pass};
use crate::status;

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
        let pass = self.gate.pass(&request, Rpc::ListReleases);
        pass.permit().await?;
        pass.reads_what_is_public()?;
        self.inner.list_releases(request).await
    }

    async fn get_release(&self, request: Request<v1::GetReleaseRequest>) -> Result<Response<Encoded>, Status> {
        let pass = self.gate.pass(&request, Rpc::GetRelease);
        pass.permit().await?;
        pass.reads_what_is_public()?;
        self.inner.get_release(request).await
    }
}

impl Pass {
    /// Counts what somebody without a token reads, or says how long to wait.
    fn reads_what_is_public(&self) -> Result<(), Status> {
        if !self.holder.token_id.is_empty() {
            return Ok(());
        }
        let taken = self.gate.publics.read(self.source, std::time::Instant::now());
        taken.map_err(status::too_many_readings)
    }
}
