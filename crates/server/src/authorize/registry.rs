//! Decisions on `RegistryService`.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, registry_service_server::RegistryService};
use tonic::{Request, Response, Status};

use super::Authorized;
use crate::sight::OwnInstitution;

#[tonic::async_trait]
impl<S: RegistryService> RegistryService for Authorized<S> {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        self.gate.pass(&request, Rpc::Register).permit().await?;
        self.inner.register(request).await
    }

    async fn import_csv(
        &self,
        request: Request<v1::ImportCsvRequest>,
    ) -> Result<Response<v1::ImportCsvResponse>, Status> {
        self.gate.pass(&request, Rpc::ImportCsv).permit().await?;
        self.inner.import_csv(request).await
    }

    async fn list_areas(
        &self,
        mut request: Request<v1::ListAreasRequest>,
    ) -> Result<Response<v1::ListAreasResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListAreas);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        self.inner.list_areas(request).await
    }

    async fn list_institutions(
        &self,
        mut request: Request<v1::ListInstitutionsRequest>,
    ) -> Result<Response<v1::ListInstitutionsResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListInstitutions);
        pass.narrow(&mut request.get_mut().area_prefix).await?;
        self.inner.list_institutions(request).await
    }

    async fn list_task_forces(
        &self,
        mut request: Request<v1::ListTaskForcesRequest>,
    ) -> Result<Response<v1::ListTaskForcesResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListTaskForces);
        let own = OwnInstitution::of(pass.narrow(&mut request.get_mut().area_prefix).await?);
        request.extensions_mut().insert(own);
        self.inner.list_task_forces(request).await
    }

    async fn list_members(
        &self,
        mut request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListMembers);
        let own = OwnInstitution::of(pass.narrow(&mut request.get_mut().area_prefix).await?);
        request.extensions_mut().insert(own);
        self.inner.list_members(request).await
    }
}
