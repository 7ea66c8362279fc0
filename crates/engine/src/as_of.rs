//! Moments that questions are asked as of: found in the log, answered from the views, which forget nothing.

use satgas_domain::{
    event,
    time::Instant,
    views::{Known, Moment},
};
use satgas_journal::{Hash, Head, Journal};
use tokio::sync::oneshot;

use crate::{Engine, Folded, QueryError, blocking, writer::Job};

/// A moment of the log's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// When the event at this position had just been recorded.
    Position(u64),
    /// This time, with everything recorded up to it.
    Time(Instant),
}

impl Folded {
    /// What is known now: everything folded so far.
    #[must_use]
    pub fn known(&self, now: Instant) -> Known<'_> {
        self.views.at(Moment { position: self.head.position, now, head_hash: self.head.hash })
    }
}

impl Engine {
    /// Looks at what is known, now or as of a moment of the past, once the views have reached `min_position`. `look` runs under a read
    /// lock: it must not block or be slow. What takes long takes a moment and looks at a part at a time with [`Engine::look_at`].
    pub async fn look<R>(
        &self,
        min_position: u64,
        as_of: Option<AsOf>,
        look: impl FnOnce(Known<'_>) -> R,
    ) -> Result<R, QueryError> {
        match as_of {
            None => self.query(min_position, |folded| look(folded.known(self.now()))).await,
            Some(at) => {
                let moment = self.moment(at).await?;
                self.query(min_position.max(moment.position), |folded| look(folded.views.at(moment))).await
            }
        }
    }

    /// Looks at what was known at a moment that was found before.
    pub async fn look_at<R>(&self, moment: Moment, look: impl FnOnce(Known<'_>) -> R) -> Result<R, QueryError> {
        self.query(moment.position, |folded| look(folded.views.at(moment))).await
    }

    /// Finds a moment, which must have come and must not lie before the log's first event.
    pub async fn moment(&self, at: AsOf) -> Result<Moment, QueryError> {
        if let AsOf::Time(time) = at {
            if time > self.now() {
                return Err(QueryError::Future);
            }
            self.settle().await?;
        }
        let engine = self.clone();
        // Reading the log may wait for the disk.
        let found = blocking::run(move || find(engine.shared.journal.as_ref(), at)).await;
        found.ok_or(QueryError::Unreadable)?
    }

    /// The last durable record and a time: everything that was recorded before that time lies before that record.
    pub async fn settled_head(&self) -> Result<(Instant, Head), QueryError> {
        let at = self.now();
        self.settle().await?;
        Ok((at, self.head()))
    }

    /// Waits until every commit that was begun is in the log or refused: what is recorded from here on is recorded later than now.
    pub(crate) async fn settle(&self) -> Result<(), QueryError> {
        let (answer, settled) = oneshot::channel();
        self.shared.jobs.push(Job::Settle { answer }).map_err(|_| QueryError::Closed)?;
        settled.await.map_err(|_| QueryError::Closed)
    }
}

fn find(journal: &dyn Journal, at: AsOf) -> Result<Moment, QueryError> {
    let head = journal.head().position;
    let (position, now) = match at {
        AsOf::Position(0) => return Err(QueryError::BeforeLog),
        AsOf::Position(position) if position > head => return Err(QueryError::BeyondHead { position, head }),
        AsOf::Position(position) => (position, recorded_at(journal, position)?),
        AsOf::Time(time) => (last_recorded(journal, head, time)?, time),
    };
    Ok(Moment { position, now, head_hash: covering_hash(journal, position)? })
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

pub(crate) fn recorded_at(journal: &dyn Journal, position: u64) -> Result<Instant, QueryError> {
    let bytes = journal.record(position).map_err(unreadable)?.ok_or(QueryError::Unreadable)?;
    let (head, ..) = event::Head::split(&bytes).map_err(unreadable)?;
    Instant::from_proto(&head.recorded_at).ok_or(QueryError::Unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> QueryError {
    tracing::error!(%error, "the log cannot be read for a question about the past");
    QueryError::Unreadable
}
