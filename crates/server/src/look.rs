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
            let past = engine.as_of(&[at]).await.map_err(status::query)?;
            let (folded, now) = past.moments.first().ok_or_else(status::stopping)?;
            Ok(look(folded, *now))
        }
    }
}

/// A page of an answer that must be of one moment: what its token says, or the first page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Items that were given out.
    pub(crate) first: usize,
    /// Position and time that the first page was made at; none for the first page.
    made_at: Option<(u64, Instant)>,
}

impl Page {
    pub(crate) fn parse(token: &str) -> Result<Self, Status> {
        if token.is_empty() {
            return Ok(Self::default());
        }
        let mut parts = token.split('.');
        let made = (|| {
            let first = parts.next()?.parse().ok()?;
            let made_at = (parts.next()?.parse().ok()?, Instant(parts.next()?.parse().ok()?));
            parts.next().is_none().then_some(Self { first, made_at: Some(made_at) })
        })();
        made.ok_or_else(|| status::invalid_field("page_token", "is not a token that was given out"))
    }

    /// Position and time of the first page, for the others.
    pub(crate) fn made_at(self) -> Option<(u64, Instant)> {
        self.made_at
    }

    /// Cuts the page out of all items; the token of the next, which is made at the same moment.
    pub(crate) fn cut<T>(self, all: Vec<T>, size: usize, folded: &Folded, now: Instant) -> (Vec<T>, String) {
        let next = self.first.saturating_add(size);
        let token =
            if next < all.len() { format!("{next}.{}.{}", folded.views.position(), now.0) } else { String::new() };
        (all.into_iter().skip(self.first).take(size).collect(), token)
    }

    /// Looks at the views for this page: the first one as [`look`] does, the others at the moment of the first.
    pub(crate) async fn look<R>(
        self,
        engine: &Engine,
        min_position: u64,
        as_of: Option<v1::AsOf>,
        within: impl FnOnce(&Folded, Instant) -> R,
    ) -> Result<R, Status> {
        let Some((position, now)) = self.made_at else { return look(engine, min_position, as_of, within).await };
        let at = v1::AsOf { at: Some(At::Position(position)) };
        look(engine, 0, Some(at), |folded, _| within(folded, now)).await
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
    look(engine, min_position, as_of, within).await?.ok_or_else(status::no_area_within)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_is_taken_as_it_was_given_out() {
        let page = Page { first: 20, made_at: Some((7, Instant(-3))) };
        assert_eq!(Page::parse("20.7.-3").ok(), Some(page));
        assert_eq!(Page::parse("").ok(), Some(Page::default()));
        assert!(["20", "20.7", "20.7.-3.1", "x.7.3"].iter().all(|token| Page::parse(token).is_err()));
    }
}
