//! The views as they stood at a moment of the past: from the nearest checkpoint before it, folded forward.
//!
//! One past is worked out at a time and the last one is kept, since whoever asks once asks again. Memory is that of the live views once
//! more for each, so twice at most.

use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message as _;
use satgas_domain::{event, time::Instant, views::Views};
use satgas_journal::{Hash, Head, Journal};
use satgas_proto::v1;
use tokio::sync::Semaphore;

use crate::{Engine, Folded, QueryError, checkpoint::Checkpoints, open::CHUNK_BYTES};

/// A moment of the log's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// When the event at this position had just been recorded.
    Position(u64),
    /// This time, with everything recorded up to it.
    Time(Instant),
}

/// The views at a moment, and its time.
pub struct Past {
    /// The views.
    pub folded: Arc<Folded>,
    /// The time by which deadlines are judged.
    pub now: Instant,
}

/// What pasts are worked out from.
pub(crate) struct Pasts {
    checkpoints: Option<Checkpoints>,
    time_zone: String,
    last: Mutex<Option<Arc<Folded>>>,
    /// Held while a past is worked out.
    turn: Arc<Semaphore>,
}

impl Pasts {
    pub(crate) fn new(checkpoints: Option<Checkpoints>, time_zone: String) -> Self {
        Self { checkpoints, time_zone, last: Mutex::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    fn kept(&self, position: u64) -> Option<Arc<Folded>> {
        self.last.lock().clone().filter(|kept| kept.head.position == position)
    }

    /// The views at a position. Blocks; gives up when `stopped`.
    fn fold(
        &self,
        journal: &dyn Journal,
        position: u64,
        stopped: impl Fn() -> bool,
    ) -> Result<Arc<Folded>, QueryError> {
        if let Some(kept) = self.kept(position) {
            return Ok(kept);
        }
        // What was kept makes room before its successor grows.
        *self.last.lock() = None;
        let nearest = self.checkpoints.as_ref().and_then(|c| c.newest::<Views>(journal, position));
        let restored = nearest.and_then(|(head, views)| Some((head.position, views.restored().ok()?)));
        let (mut after, mut views) = match restored {
            Some(restored) => restored,
            None => (0, Views::new(&self.time_zone).map_err(|_| QueryError::Unreadable)?),
        };
        while after < position {
            if stopped() {
                return Err(QueryError::Closed);
            }
            let chunk = journal.read(after, CHUNK_BYTES).map_err(unreadable)?;
            for (at, bytes) in chunk.records().take_while(|(at, _)| *at <= position) {
                let event = v1::Event::decode(bytes.as_ref()).map_err(unreadable)?;
                views.apply(&event);
                after = at;
            }
        }
        let head = Head { position, hash: covering_hash(journal, position)? };
        let folded = Arc::new(Folded { views, head });
        *self.last.lock() = Some(Arc::clone(&folded));
        Ok(folded)
    }
}

impl Engine {
    /// The views as they stood at a moment, which must have come and must not lie before the log's first event.
    pub async fn as_of(&self, at: AsOf) -> Result<Past, QueryError> {
        let head = self.head().position;
        match at {
            AsOf::Position(position) if position > head => return Err(QueryError::BeyondHead { position, head }),
            AsOf::Position(0) => return Err(QueryError::BeforeLog),
            AsOf::Time(time) if time > self.now() => return Err(QueryError::Future),
            AsOf::Position(_) | AsOf::Time(_) => {}
        }
        let turn = self.shared.pasts.turn.clone().acquire_owned().await.map_err(|_| QueryError::Closed)?;
        let engine = self.clone();
        let work = move || {
            let _turn = turn;
            // Whoever waited for its turn until the engine stopped is not worked for any more.
            if engine.shared.jobs.is_closed() {
                return Err(QueryError::Closed);
            }
            let journal = engine.shared.journal.as_ref();
            let (position, now) = match at {
                AsOf::Position(position) => (position, recorded_at(journal, position)?),
                AsOf::Time(time) => (last_recorded(journal, head, time)?, time),
            };
            let folded = engine.shared.pasts.fold(journal, position, || engine.shared.jobs.is_closed())?;
            Ok(Past { folded, now })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| QueryError::Unreadable)?
    }
}

/// Position of the last event that was recorded up to a time; the log's times never go back.
fn last_recorded(journal: &dyn Journal, head: u64, time: Instant) -> Result<u64, QueryError> {
    let (mut known, mut beyond) = (0, head + 1);
    while beyond - known > 1 {
        let middle = known + (beyond - known) / 2;
        if recorded_at(journal, middle)? <= time { known = middle } else { beyond = middle }
    }
    if known == 0 { Err(QueryError::BeforeLog) } else { Ok(known) }
}

/// Hash of the chain at the end of the frame that holds a position.
fn covering_hash(journal: &dyn Journal, position: u64) -> Result<Hash, QueryError> {
    for end in position..=journal.head().position {
        if let Some(hash) = journal.frame_hash(end).map_err(unreadable)? {
            return Ok(hash);
        }
    }
    Err(QueryError::Unreadable)
}

fn recorded_at(journal: &dyn Journal, position: u64) -> Result<Instant, QueryError> {
    let chunk = journal.read(position - 1, 0).map_err(unreadable)?;
    let (_, bytes) = chunk.records().next().ok_or(QueryError::Unreadable)?;
    let (head, ..) = event::Head::split(&bytes).map_err(unreadable)?;
    Instant::from_proto(&head.recorded_at).ok_or(QueryError::Unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> QueryError {
    tracing::error!(%error, "the log cannot be read for a question about the past");
    QueryError::Unreadable
}
