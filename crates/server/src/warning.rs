//! `WarningService`: early warnings.
//!
//! A page is cut out of what its caller may see: the number of pages, and their tokens, would else tell how much there is that it may not.

use satgas_domain::views::{Known, Moment};
use satgas_engine::Engine;
use satgas_proto::v1;
use tonic::{Response, Status};

use crate::{
    look::{Page, look_at},
    status,
    submission::{known_code, page_size},
};

pub(crate) struct Warnings {
    pub(crate) engine: Engine,
}

/// All warnings that were asked for, before anything is taken out of them, and the page that is wanted.
pub(crate) struct Found {
    pub(crate) warnings: Vec<v1::Warning>,
    basis: v1::Basis,
    page: Page,
    size: usize,
    moment: Moment,
}

impl Found {
    /// The page of what is left.
    pub(crate) fn page(self) -> Response<v1::ListWarningsResponse> {
        let Self { warnings, basis, page, size, moment } = self;
        let (warnings, next_page_token) = page.cut(warnings, size, moment);
        Response::new(v1::ListWarningsResponse { warnings, next_page_token, basis: Some(basis) })
    }
}

impl Warnings {
    /// Finds what is asked for; for who must not learn of cases, whose silence they break or not.
    pub(crate) async fn find(&self, r: v1::ListWarningsRequest, beside_cases: bool) -> Result<Found, Status> {
        let size = page_size(r.page_size, 100, 1_000)?;
        for kind in &r.kinds {
            known_code::<v1::WarningKind>("kinds", *kind)?;
        }
        let page = Page::parse(&r.page_token)?;
        let moment = page.moment(&self.engine, r.min_position, r.as_of).await?;
        let within = |known: Known<'_>| {
            let found =
                |prefix| if beside_cases { known.warnings_beside_cases(prefix) } else { known.warnings(prefix) };
            let warnings = || (found(&r.area_prefix), known.basis(known.rules_now()));
            known.has_within(&r.area_prefix).then(warnings)
        };
        let found = look_at(&self.engine, moment, within).await?;
        let (mut warnings, basis) = found.ok_or_else(status::no_area_within)?;
        warnings.retain(|w| r.kinds.is_empty() || r.kinds.contains(&w.kind));
        Ok(Found { warnings, basis, page, size, moment })
    }
}
