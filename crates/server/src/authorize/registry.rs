//! Decisions on `RegistryService`.

use satgas_domain::{
    policy::{Reach, Rpc},
    registry::Scope,
};
use satgas_engine::Folded;
use satgas_proto::v1::{self, registry_service_server::RegistryService, task_force::Home};
use tonic::{Request, Response, Status};

use super::Authorized;
use crate::status;

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
        let reach = pass.narrow(&mut request.get_mut().area_prefix).await?;
        let mut response = self.inner.list_task_forces(request).await?;
        if let Reach::Institution(own) = reach {
            let is_own = |t: &v1::TaskForce| matches!(&t.home, Some(Home::InstitutionId(id)) if id == own);
            response.get_mut().task_forces.retain(is_own);
        }
        Ok(response)
    }

    async fn list_members(
        &self,
        mut request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::ListMembers);
        let reach = pass.narrow(&mut request.get_mut().area_prefix).await?;
        let mut response = self.inner.list_members(request).await?;
        if let Reach::Institution(own) = reach {
            let members = &mut response.get_mut().members;
            let keep = |folded: &Folded| {
                let registry = folded.views.registry();
                members.retain(|member| {
                    let home = registry.find_task_force(&member.task_force_id).map(|t| registry.task_force(t).home);
                    matches!(home, Some(Scope::Institution(i)) if registry.institution(i).id == *own)
                });
            };
            self.gate.engine.query(0, keep).await.map_err(status::query)?;
        }
        Ok(response)
    }
}
