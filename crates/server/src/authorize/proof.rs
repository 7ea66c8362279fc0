//! Decisions on `ProofService`: hashes tell of no case, so nothing is recorded of who was given some.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, proof_service_server::ProofService};
use tonic::{Request, Response, Status};

use super::Authorized;

#[tonic::async_trait]
impl<S: ProofService> ProofService for Authorized<S> {
    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        self.gate.pass(&request, Rpc::GetCheckpoint).permit().await?;
        self.inner.get_checkpoint(request).await
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::GetInclusionProofResponse>, Status> {
        self.gate.pass(&request, Rpc::GetInclusionProof).permit().await?;
        self.inner.get_inclusion_proof(request).await
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        self.gate.pass(&request, Rpc::GetConsistencyProof).permit().await?;
        self.inner.get_consistency_proof(request).await
    }
}
