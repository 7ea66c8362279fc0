//! `WarningService`: early warnings.

use satgas_domain::time::Instant;
use satgas_engine::{Engine, Folded};
use satgas_proto::v1::{self, warning_service_server::WarningService};
use tonic::{Request, Response, Status};

use crate::{
    evaluation::{basis, offset_page},
    look::look_within,
    submission::{known_code, page_size},
};

pub(crate) struct Warnings {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl WarningService for Warnings {
    async fn list_warnings(
        &self,
        request: Request<v1::ListWarningsRequest>,
    ) -> Result<Response<v1::ListWarningsResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        for kind in &r.kinds {
            known_code::<v1::WarningKind>("kinds", *kind)?;
        }
        let within = |folded: &Folded, now: Instant| {
            (folded.views.warnings(&r.area_prefix, now), basis(folded, now, folded.views.rules_now(now)))
        };
        let (mut warnings, basis) = look_within(&self.engine, r.min_position, r.as_of, &r.area_prefix, within).await?;
        warnings.retain(|w| r.kinds.is_empty() || r.kinds.contains(&w.kind));
        let (warnings, next_page_token) = offset_page(warnings, &r.page_token, size)?;
        Ok(Response::new(v1::ListWarningsResponse { warnings, next_page_token, basis: Some(basis) }))
    }
}
