//! How queries look at what is known: now, or as of a moment of the past.

use std::str::FromStr;

use satgas_domain::{
    registry::Scope,
    time::Instant,
    views::{Known, Moment},
};
use satgas_engine::{AsOf, Engine};
use satgas_proto::v1::{self, as_of::At};
use tonic::Status;

use crate::status;

/// Subjects that are looked at in one go. Between two goes the views take in what has come meanwhile.
const PART: usize = 16;

/// Looks at what is known: now and once the views have reached `min_position`, or as of a moment of the past. `look` must not block or be
/// slow.
pub(crate) async fn look<R>(
    engine: &Engine,
    min_position: u64,
    as_of: Option<v1::AsOf>,
    look: impl FnOnce(Known<'_>) -> R,
) -> Result<R, Status> {
    engine.look(min_position, parse(as_of, "as_of")?, look).await.map_err(status::query)
}

/// Looks at what lies within an area prefix. A prefix in which no area lies is refused: no figures would look like no incidents.
pub(crate) async fn look_within<R>(
    engine: &Engine,
    min_position: u64,
    as_of: Option<v1::AsOf>,
    prefix: &str,
    within: impl FnOnce(Known<'_>) -> R,
) -> Result<R, Status> {
    let within = |known: Known<'_>| known.has_within(prefix).then(|| within(known));
    look(engine, min_position, as_of, within).await?.ok_or_else(status::no_area_within)
}

/// The moment that a question is about: that of the past which it names, or the present once the views have reached `min_position`.
pub(crate) async fn moment(engine: &Engine, min_position: u64, as_of: Option<AsOf>) -> Result<Moment, Status> {
    engine.look(min_position, as_of, |known| known.moment()).await.map_err(status::query)
}

/// Looks at a moment of before.
pub(crate) async fn look_at<R>(
    engine: &Engine,
    moment: Moment,
    look: impl FnOnce(Known<'_>) -> R,
) -> Result<R, Status> {
    engine.look_at(moment, look).await.map_err(status::query)
}

/// Looks at many subjects of a moment, a few at a time, so that neither the fold nor this thread's other tasks wait for long.
pub(crate) async fn each<T>(
    engine: &Engine,
    moment: Moment,
    subjects: &[Scope],
    look: impl Fn(Known<'_>, &[Scope]) -> Vec<T>,
) -> Result<Vec<T>, Status> {
    let mut all = Vec::with_capacity(subjects.len());
    for part in subjects.chunks(PART) {
        all.extend(look_at(engine, moment, |known| look(known, part)).await?);
        tokio::task::consume_budget().await;
    }
    Ok(all)
}

/// A page of an answer that must be of one moment: what its token says, or the first page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Items before this page, given out or passed over.
    first: usize,
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
        made.ok_or_else(not_given_out)
    }

    /// The moment that all pages are of: that of the first page, or the one that is asked for.
    pub(crate) async fn moment(
        self,
        engine: &Engine,
        min_position: u64,
        as_of: Option<v1::AsOf>,
    ) -> Result<Moment, Status> {
        match self.made_at {
            None => moment(engine, min_position, parse(as_of, "as_of")?).await,
            Some((position, now)) => {
                let made_at = moment(engine, 0, Some(AsOf::Position(position))).await?;
                // A token made by hand must not ask about the future, which every other question is refused.
                if now > engine.now() { Err(not_given_out()) } else { Ok(Moment { now, ..made_at }) }
            }
        }
    }

    /// Items that come before this page.
    pub(crate) fn first(self) -> usize {
        self.first
    }

    /// The token of a page that begins after `first` items and is made at a moment.
    pub(crate) fn token(first: usize, moment: Moment) -> String {
        format!("{first}.{}.{}", moment.position, moment.now.0)
    }

    /// Cuts the page out of all items; the token of the next, which is made at the same moment.
    pub(crate) fn cut<T>(self, all: Vec<T>, size: usize, moment: Moment) -> (Vec<T>, String) {
        let next = self.first.saturating_add(size);
        let token = if next < all.len() { Self::token(next, moment) } else { String::new() };
        (all.into_iter().skip(self.first).take(size).collect(), token)
    }
}

/// The index that a page begins at, where indexes never change and the token is one; none is the first.
pub(crate) fn first_index<T: Default + FromStr>(page_token: &str) -> Result<T, Status> {
    if page_token.is_empty() { Ok(T::default()) } else { page_token.parse().map_err(|_| not_given_out()) }
}

/// The refusal of a page token.
pub(crate) fn not_given_out() -> Status {
    status::invalid_field("page_token", "is not a token that was given out")
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

    const MOMENT: Moment = Moment { position: 7, now: Instant(-3), head_hash: [0; 32] };

    #[test]
    fn a_page_token_is_taken_as_it_was_given_out() {
        let page = Page { first: 20, made_at: Some((7, Instant(-3))) };
        assert_eq!(Page::parse("20.7.-3").ok(), Some(page));
        assert_eq!(Page::parse("").ok(), Some(Page::default()));
        assert!(["20", "20.7", "20.7.-3.1", "x.7.3"].iter().all(|token| Page::parse(token).is_err()));
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = |token| Page::parse(token).map(|page| page.cut(vec![1, 2, 3], 2, MOMENT)).ok();
        assert_eq!(page(""), Some((vec![1, 2], "2.7.-3".to_owned())));
        assert_eq!(page("2.7.-3"), Some((vec![3], String::new())));
    }
}
