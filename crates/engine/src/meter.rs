//! What the engine counts about itself: numbers only, of nobody in particular. The writer adds to atomics and never waits for whoever reads.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use satgas_domain::time::Instant;
use satgas_journal::{AppendError, Histogram};

use crate::{
    Engine,
    writer::{Outcome, Reply},
};

/// Bounds of the times that a commit takes, in nanoseconds.
const COMMIT_BOUNDS_NS: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
];
/// Bounds of the number of records in a commit.
const RECORDS_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096];

/// What may become of a record that is handed in, by the names under which it is counted.
const OUTCOMES: [&str; 7] = [
    "accepted",
    "already_known",
    "conflict",
    "rejected",
    "quarantined",
    "quarantine_refused",
    // The commit of the whole message failed.
    "not_written",
];
/// Why a commit may not be written, likewise.
const FAILURES: [&str; 3] = ["disk_full", "too_large", "failed"];

/// Counts since the engine was opened.
#[derive(Debug)]
pub struct Meter {
    commits: Histogram,
    records: Histogram,
    outcomes: [AtomicU64; OUTCOMES.len()],
    failures: [AtomicU64; FAILURES.len()],
    /// Nanoseconds since 1970.
    recorded_at: AtomicI64,
}

impl Meter {
    pub(crate) fn new(recorded_at: Option<Instant>) -> Self {
        Self {
            commits: Histogram::new(COMMIT_BOUNDS_NS),
            records: Histogram::new(RECORDS_BOUNDS),
            outcomes: Default::default(),
            failures: Default::default(),
            recorded_at: AtomicI64::new(recorded_at.map_or(0, |at| at.0)),
        }
    }

    /// Counts a commit that is durable.
    pub(crate) fn committed(&self, records: usize, took: Duration, recorded_at: Instant) {
        self.commits.observe_time(took);
        self.records.observe(records as u64);
        self.recorded_at.store(recorded_at.0, Ordering::Relaxed);
    }

    /// Counts a commit that was not written.
    pub(crate) fn failed(&self, error: &AppendError) {
        let why = match error {
            AppendError::DiskFull { .. } => 0,
            AppendError::TooLarge { .. } => 1,
            AppendError::WrongPosition { .. } | AppendError::Failed { .. } | AppendError::Poisoned { .. } => 2,
        };
        self.failures[why].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what became of the records of a message, which its sender is about to be told.
    pub(crate) fn answered(&self, reply: &Reply<Vec<Outcome>>) {
        let Ok(outcomes) = reply else {
            self.outcomes[6].fetch_add(1, Ordering::Relaxed);
            return;
        };
        for outcome in outcomes {
            let index = match outcome {
                Outcome::Accepted(_) => 0,
                Outcome::Known(_) => 1,
                Outcome::Conflict { .. } => 2,
                Outcome::Rejected(_) | Outcome::SamePerson => 3,
                Outcome::Quarantined(_) => 4,
                Outcome::QuarantineRefused(..) | Outcome::QuarantineFull => 5,
            };
            self.outcomes[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long commits took, from the decision to durable, in nanoseconds.
    #[must_use]
    pub fn commits(&self) -> &Histogram {
        &self.commits
    }

    /// How many records each commit had.
    #[must_use]
    pub fn records(&self) -> &Histogram {
        &self.records
    }

    /// What became of records that were handed in: its name, and how often. A message that could not be written counts once.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.outcomes.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Why commits were not written: its name, and how often.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAILURES.into_iter().zip(self.failures.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// When the last event was recorded, in nanoseconds since 1970; 0 when nothing was.
    #[must_use]
    pub fn recorded_at_ns(&self) -> i64 {
        self.recorded_at.load(Ordering::Relaxed)
    }
}

/// What waits in the queue before the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Messages and commands.
    pub jobs: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// Bytes that there is room for.
    pub bytes_max: usize,
}

impl Engine {
    /// What the engine counts about itself.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// What waits for the writer.
    #[must_use]
    pub fn queued(&self) -> Queued {
        let bytes_max = self.shared.queue_bytes_max as usize;
        let bytes = bytes_max.saturating_sub(self.shared.room.available_permits());
        Queued { jobs: self.shared.jobs.len(), bytes, bytes_max }
    }
}
