//! Deadlines that pass unmet become events.
//!
//! The fold has no clock. Somebody outside asks from time to time whether a deadline has passed, and the answer is written into the log: so
//! a replay knows what was missed, and when that was found, without asking a clock again.

use satgas_domain::time::Instant;
use tokio::sync::oneshot;

use crate::{Engine, WriteError, as_of::recorded_at, writer::Job};

/// Missed deadlines that one commit takes.
const COMMIT_MAX: usize = 2_000;

/// Up to when deadlines have been judged.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    up_to: Option<Instant>,
}

impl Engine {
    /// Records the deadlines that have passed unmet since it was asked last, and how many. Cheap while none has passed.
    pub async fn judge_deadlines(&self) -> Result<usize, WriteError> {
        // Who judges holds this until all is written, so nothing is judged twice.
        let mut judged = self.shared.judged.lock().await;
        let from = match judged.up_to {
            Some(from) => from,
            None => self.judged_before().await?,
        };
        let ahead = if mutated!("deadlines are judged before they are due") { 86_400_000_000_000 } else { 0 };
        let now = self.now().plus_ns(ahead);
        if now <= from {
            return Ok(0);
        }
        // What is still being written was recorded before now: it is to be known.
        self.settle().await?;
        let head = self.head().position;
        if self.query(head, |folded| folded.views.next_deadline(from)).await? > now {
            // Nothing fell due: what is moved into this time later did not either.
            judged.up_to = Some(now);
            return Ok(0);
        }
        let missed = self.query(head, |folded| folded.known(now).missed_since(from)).await?;
        let mut position = 0;
        for missed in missed.chunks(COMMIT_MAX) {
            let (answer, written) = oneshot::channel();
            self.send(Job::RecordMissed { missed: missed.to_vec(), answer })?;
            position = written.await.map_err(|_| WriteError::Closed)??;
        }
        self.reach(position).await?;
        judged.up_to = Some(now);
        Ok(missed.len())
    }

    /// Up to when deadlines had been judged when the log was opened: they are written in the order in which they were due.
    async fn judged_before(&self) -> Result<Instant, WriteError> {
        let last_due = self.query(0, |folded| folded.views.last_missed()).await?;
        match last_due {
            Some(due) => Ok(due.plus_ns(-1)),
            // What was due before the log was opened was never known in time.
            None => Ok(recorded_at(self.shared.journal.as_ref(), 1)?),
        }
    }
}
