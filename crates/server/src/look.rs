//! How queries look at the views: as they stand, or as they stood at a moment of the past.

use satgas_domain::time::Instant;
use satgas_engine::{AsOf, Engine, Folded};
use satgas_proto::v1::{self, as_of::At};
use tonic::Status;

use crate::status;

/// Looks at the views, and tells the time by which deadlines are judged: now and once they have reached `min_position`, or as of a moment
/// of the past. `look` must not block or be slow.
pub(crate) async fn look<R>(
    engine: &Engine,
    min_position: u64,
    as_of: Option<v1::AsOf>,
    look: impl FnOnce(&Folded, Instant) -> R,
) -> Result<R, Status> {
    match parse(as_of, "as_of")? {
        None => engine.query(min_position, |folded| look(folded, engine.now())).await.map_err(status::query),
        Some(at) => {
            let past = engine.as_of(at).await.map_err(status::query)?;
            Ok(look(&past.folded, past.now))
        }
    }
}

/// Looks at what lies within an area prefix. A prefix in which no area lies is refused: no figures would look like no incidents.
pub(crate) async fn look_within<R>(
    engine: &Engine,
    min_position: u64,
    as_of: Option<v1::AsOf>,
    prefix: &str,
    within: impl FnOnce(&Folded, Instant) -> R,
) -> Result<R, Status> {
    let within =
        |folded: &Folded, now: Instant| folded.views.registry().has_within(prefix).then(|| within(folded, now));
    look(engine, min_position, as_of, within).await?.ok_or_else(|| status::no_area_within(prefix))
}

/// The moment that a field of a request names.
pub(crate) fn parse(as_of: Option<v1::AsOf>, field: &str) -> Result<Option<AsOf>, Status> {
    let Some(as_of) = as_of else { return Ok(None) };
    match as_of.at {
        None => Err(status::invalid_field(field, "names no moment: give position or time")),
        Some(At::Position(position)) => Ok(Some(AsOf::Position(position))),
        Some(At::Time(time)) => match Instant::from_proto(&time) {
            Some(time) => Ok(Some(AsOf::Time(time))),
            None => Err(status::invalid_field(&format!("{field}.time"), "is not a time")),
        },
    }
}
