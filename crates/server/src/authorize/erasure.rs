//! Decisions on `ErasureService`. That a second person approves is decided on the log, where the first one stands.

use satgas_domain::policy::Rpc;
use satgas_proto::v1::{self, erasure_service_server::ErasureService};
use tonic::{Request, Response, Status};

use super::Authorized;

macro_rules! erasures {
    ($($name:ident: $rpc:ident, $request:ident -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl<S: ErasureService> ErasureService for Authorized<S> {
            $(async fn $name(&self, request: Request<v1::$request>) -> Result<Response<v1::$response>, Status> {
                let pass = self.gate.pass(&request, Rpc::$rpc);
                pass.permit().await?;
                let case_id = request.get_ref().case_id.clone();
                pass.told(&case_id, pass.writes(1, self.inner.$name(request)).await).await
            })*
        }
    };
}

erasures! {
    request_erasure: RequestErasure, RequestErasureRequest -> RequestErasureResponse;
    approve_erasure: ApproveErasure, ApproveErasureRequest -> ApproveErasureResponse;
    decline_erasure: DeclineErasure, DeclineErasureRequest -> DeclineErasureResponse;
    place_hold: PlaceHold, PlaceHoldRequest -> PlaceHoldResponse;
    lift_hold: LiftHold, LiftHoldRequest -> LiftHoldResponse;
}
