//! What every command asks first, answered by a server that is none: how the log was opened, and where it ends.

use satgas_proto::v1::{
    self,
    identity_service_server::{IdentityService, IdentityServiceServer},
};
use tonic::{Request, Response, Status};

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) sample_data: bool,
    pub(crate) head_position: u64,
}

impl Opened {
    pub(crate) fn service(self) -> IdentityServiceServer<Self> {
        IdentityServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl IdentityService for Opened {
    async fn who_am_i(&self, _: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let Self { sample_data, head_position } = *self;
        let time_zone = "Asia/Makassar".to_owned();
        Ok(Response::new(v1::WhoAmIResponse { sample_data, time_zone, head_position, ..Default::default() }))
    }

    async fn issue_token(&self, _: Request<v1::IssueTokenRequest>) -> Result<Response<v1::IssueTokenResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn list_tokens(&self, _: Request<v1::ListTokensRequest>) -> Result<Response<v1::ListTokensResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn end_own_token(
        &self,
        _: Request<v1::EndOwnTokenRequest>,
    ) -> Result<Response<v1::EndOwnTokenResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn revoke_token(
        &self,
        _: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn create_enrolment(
        &self,
        _: Request<v1::CreateEnrolmentRequest>,
    ) -> Result<Response<v1::CreateEnrolmentResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn enrol(&self, _: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}
