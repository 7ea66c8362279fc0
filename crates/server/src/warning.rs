//! `WarningService`: early warnings.

use satgas_domain::views::Known;
use satgas_engine::Engine;
use satgas_proto::v1::{self, warning_service_server::WarningService};
use tonic::{Request, Response, Status};

use crate::{
    look::{Page, look_at},
    status,
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
        let page = Page::parse(&r.page_token)?;
        let moment = page.moment(&self.engine, r.min_position, r.as_of).await?;
        let within = |known: Known<'_>| {
            let warnings = || (known.warnings(&r.area_prefix), known.basis(known.rules_now()));
            known.has_within(&r.area_prefix).then(warnings)
        };
        let found = look_at(&self.engine, moment, within).await?;
        let (mut warnings, basis) = found.ok_or_else(status::no_area_within)?;
        warnings.retain(|w| r.kinds.is_empty() || r.kinds.contains(&w.kind));
        let (warnings, next_page_token) = page.cut(warnings, size, moment);
        Ok(Response::new(v1::ListWarningsResponse { warnings, next_page_token, basis: Some(basis) }))
    }
}
