//! How queries look at the views.

use satgas_engine::{Engine, Folded};
use tonic::Status;

use crate::status;

/// Looks at the views once they have reached `min_position`. `look` must not block or be slow.
pub(crate) async fn look<R>(engine: &Engine, min_position: u64, look: impl FnOnce(&Folded) -> R) -> Result<R, Status> {
    engine.query(min_position, look).await.map_err(status::query)
}

/// Looks at what lies within an area prefix. A prefix in which no area lies is refused: no figures would look like no incidents.
pub(crate) async fn look_within<R>(
    engine: &Engine,
    min_position: u64,
    prefix: &str,
    within: impl FnOnce(&Folded) -> R,
) -> Result<R, Status> {
    let within = |folded: &Folded| folded.views.registry().has_within(prefix).then(|| within(folded));
    look(engine, min_position, within).await?.ok_or_else(|| status::no_area_within(prefix))
}
