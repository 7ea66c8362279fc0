//! A journal that fails on purpose, for tests of what stands on it.

use std::ops::RangeInclusive;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{AppendError, Chunk, Fault, Hash, Head, Journal, ReadError, Records, Verified};

/// What fails and when. Appends and reads are counted from 1, each for itself; nothing fails by default.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// This append fails and its records are not durable. The journal is poisoned.
    pub lost_append: Option<u64>,
    /// This append is durable, but its caller is told that it failed. The journal is poisoned, and the records become
    /// visible only when the inner journal is used again, as after a restart.
    pub lost_answer: Option<u64>,
    /// These appends find the disk full. Nothing is poisoned.
    pub disk_full: Option<RangeInclusive<u64>>,
    /// These reads fail.
    pub lost_reads: Option<RangeInclusive<u64>>,
}

/// Wraps a journal and fails as planned. [`Journal::verify`] looks at the inner journal, a commit with a lost answer included.
#[derive(Debug)]
pub struct FaultyJournal<J> {
    inner: J,
    plan: Plan,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    appends: u64,
    reads: u64,
    poisoned: Option<&'static str>,
    head: Head,
}

impl<J: Journal> FaultyJournal<J> {
    /// Wraps `inner`.
    pub fn new(inner: J, plan: Plan) -> Self {
        let state = State { appends: 0, reads: 0, poisoned: None, head: inner.head() };
        FaultyJournal { inner, plan, state: Mutex::new(state) }
    }

    /// The journal inside, as a restart would find it.
    pub fn into_inner(self) -> J {
        self.inner
    }
}

impl<J: Journal> Journal for FaultyJournal<J> {
    fn head(&self) -> Head {
        self.state.lock().head
    }

    fn append(&self, expected: u64, records: &Records) -> Result<Head, AppendError> {
        let mut state = self.state.lock();
        if let Some(cause) = state.poisoned {
            return Err(AppendError::Poisoned { cause: cause.into() });
        }
        state.appends += 1;
        let now = state.appends;
        if self.plan.disk_full.as_ref().is_some_and(|when| when.contains(&now)) {
            return Err(AppendError::DiskFull { free: 0, needed: 1 });
        }
        let mut fail = |what| {
            state.poisoned = Some(what);
            Err(AppendError::Failed { what, cause: "planned".into() })
        };
        if self.plan.lost_append == Some(now) {
            return fail("writing the commit");
        }
        let head = self.inner.append(expected, records)?;
        if self.plan.lost_answer == Some(now) {
            return fail("syncing the commit");
        }
        state.head = head;
        Ok(head)
    }

    fn read(&self, after: u64, max_bytes: usize) -> Result<Chunk, ReadError> {
        let head = {
            let mut state = self.state.lock();
            state.reads += 1;
            if self.plan.lost_reads.as_ref().is_some_and(|when| when.contains(&state.reads)) {
                return Err(ReadError::Storage { after, cause: "planned".into() });
            }
            state.head.position
        };
        if after > head {
            return Err(ReadError::BeyondHead { after, head });
        }
        if after == head {
            return Ok(Chunk::empty(after));
        }
        self.inner.read(after, max_bytes).map(|chunk| chunk.up_to(head))
    }

    fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        self.inner.copy(after, last.min(self.head().position), max_bytes)
    }

    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        if position > self.head().position { Ok(None) } else { self.inner.frame_hash(position) }
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault> {
        self.inner.verify(progress)
    }
}
