//! Decisions on `IdentityService`.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, AccessRefusal, identity_service_server::IdentityService};
use tonic::{Code, Request, Response, Status};

use super::Authorized;
use crate::status;

#[tonic::async_trait]
impl<S: IdentityService> IdentityService for Authorized<S> {
    async fn issue_token(
        &self,
        request: Request<v1::IssueTokenRequest>,
    ) -> Result<Response<v1::IssueTokenResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::IssueToken);
        pass.permit().await?;
        pass.unless_ended(self.inner.issue_token(request).await).await
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        self.gate.pass(&request, Rpc::ListTokens).permit().await?;
        self.inner.list_tokens(request).await
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::RevokeToken);
        pass.permit().await?;
        pass.unless_ended(self.inner.revoke_token(request).await).await
    }

    async fn end_own_token(
        &self,
        request: Request<v1::EndOwnTokenRequest>,
    ) -> Result<Response<v1::EndOwnTokenResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::EndOwnToken);
        pass.permit().await?;
        pass.unless_ended(self.inner.end_own_token(request).await).await
    }

    async fn create_enrolment(
        &self,
        request: Request<v1::CreateEnrolmentRequest>,
    ) -> Result<Response<v1::CreateEnrolmentResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::CreateEnrolment);
        pass.permit().await?;
        pass.unless_ended(self.inner.create_enrolment(request).await).await
    }

    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolResponse>, Status> {
        let pass = self.gate.pass(&request, Rpc::Enrol);
        pass.permit().await?;
        // Codes are short: a source that guessed too often is not even told that the next guess is wrong.
        if pass.is_suspect() {
            return Err(status::too_many_refusals());
        }
        match self.inner.enrol(request).await {
            Err(refused) if refused.code() == Code::Unauthenticated => Err(pass.refuse(AccessRefusal::BadCode).await),
            answered => answered,
        }
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        self.gate.pass(&request, Rpc::WhoAmI).permit().await?;
        self.inner.who_am_i(request).await
    }
}
