//! The views as they stood at a moment of the past: from the nearest checkpoint before it, folded forward.
//!
//! One caller at a time has pasts, from working them out until it has answered, and few wait for their turn. The last one is kept, since
//! whoever asks once asks again. So memory holds the live views, and three times as much at most when two moments are compared.

use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message as _;
use satgas_domain::{event, time::Instant, views::Views};
use satgas_journal::{Hash, Head, Journal};
use satgas_proto::v1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Engine, Folded, QueryError, checkpoint::Checkpoints, open::CHUNK_BYTES};

/// A moment of the log's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// When the event at this position had just been recorded.
    Position(u64),
    /// This time, with everything recorded up to it.
    Time(Instant),
}

/// The views at moments, each with the time by which deadlines are judged. Others wait until this is dropped.
pub struct Past {
    /// As many as were asked for, in that order.
    pub moments: Vec<(Arc<Folded>, Instant)>,
    _turn: OwnedSemaphorePermit,
}

/// Callers that may wait for their turn.
const WAITING_MAX: usize = 32;

/// What pasts are worked out from.
pub(crate) struct Pasts {
    checkpoints: Option<Checkpoints>,
    time_zone: String,
    last: Mutex<Option<Arc<Folded>>>,
    /// Held while a caller has pasts.
    turn: Arc<Semaphore>,
    /// One for each caller that waits.
    waiting: Semaphore,
}

impl Pasts {
    pub(crate) fn new(checkpoints: Option<Checkpoints>, time_zone: String) -> Self {
        Self {
            checkpoints,
            time_zone,
            last: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING_MAX),
        }
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
    /// The views as they stood at moments, which must have come and must not lie before the log's first event.
    pub async fn as_of(&self, moments: &[AsOf]) -> Result<Past, QueryError> {
        let head = self.head().position;
        for at in moments {
            match *at {
                AsOf::Position(position) if position > head => return Err(QueryError::BeyondHead { position, head }),
                AsOf::Position(0) => return Err(QueryError::BeforeLog),
                AsOf::Time(time) if time > self.now() => return Err(QueryError::Future),
                AsOf::Position(_) | AsOf::Time(_) => {}
            }
        }
        let pasts = &self.shared.pasts;
        let waits = pasts.waiting.try_acquire().map_err(|_| QueryError::Busy)?;
        let turn = Arc::clone(&pasts.turn).acquire_owned().await.map_err(|_| QueryError::Closed)?;
        drop(waits);
        let (engine, moments) = (self.clone(), moments.to_vec());
        let work = move || {
            let worked_out = moments.into_iter().map(|at| engine.past(at, head));
            Ok(Past { moments: worked_out.collect::<Result<_, QueryError>>()?, _turn: turn })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| QueryError::Unreadable)?
    }

    fn past(&self, at: AsOf, head: u64) -> Result<(Arc<Folded>, Instant), QueryError> {
        // Whoever waited for its turn until the engine stopped is not worked for any more.
        let stopped = || self.shared.jobs.is_closed();
        if stopped() {
            return Err(QueryError::Closed);
        }
        let journal = self.shared.journal.as_ref();
        let (position, now) = match at {
            AsOf::Position(position) => (position, recorded_at(journal, position)?),
            AsOf::Time(time) => (last_recorded(journal, head, time)?, time),
        };
        Ok((self.shared.pasts.fold(journal, position, stopped)?, now))
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
