//! A journal that can be watched and held.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use satgas_journal::{AppendError, Chunk, Fault, Hash, Head, Journal, ReadError, Records, Verified};

/// Longest that a story waits for what must come: only a broken engine ever takes it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Holds appends, and tells what was appended and read.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    held: bool,
    appends: Vec<usize>,
    reads: Vec<(u64, usize)>,
}

impl Gate {
    /// Appends wait from now on.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// Appends go on.
    pub(crate) fn open(&self) {
        self.state.lock().closed = false;
        self.changed.notify_all();
    }

    /// Waits until an append stands before the closed gate.
    pub(crate) async fn wait_for_append(self: &Arc<Self>) {
        let gate = Arc::clone(self);
        let waited = tokio::task::spawn_blocking(move || {
            let mut state = gate.state.lock();
            while !state.held {
                assert!(!gate.changed.wait_for(&mut state, PATIENCE).timed_out(), "no append came");
            }
        });
        waited.await.expect("an append comes");
    }

    /// Number of records of each append that was let through, in order; and forgets them.
    pub(crate) fn appends(&self) -> Vec<usize> {
        std::mem::take(&mut self.state.lock().appends)
    }

    /// Position and limit of each read, in order; and forgets them.
    pub(crate) fn reads(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.state.lock().reads)
    }

    fn pass(&self, records: usize) {
        let mut state = self.state.lock();
        while state.closed {
            state.held = true;
            self.changed.notify_all();
            assert!(!self.changed.wait_for(&mut state, PATIENCE).timed_out(), "the gate was never opened");
        }
        state.held = false;
        state.appends.push(records);
    }
}

/// A journal behind a gate.
pub(crate) struct Watched {
    inner: Arc<dyn Journal>,
    gate: Arc<Gate>,
    /// Whether the gate stands after the append and not before it.
    late: bool,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn Journal>) -> (Arc<Self>, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        (Arc::new(Self { inner, gate: Arc::clone(&gate), late: false }), gate)
    }

    /// A journal whose gate holds what is appended already before the writer hears of it.
    pub(crate) fn late(inner: Arc<dyn Journal>) -> (Arc<Self>, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        (Arc::new(Self { inner, gate: Arc::clone(&gate), late: true }), gate)
    }
}

impl Journal for Watched {
    fn head(&self) -> Head {
        self.inner.head()
    }

    fn append(&self, expected: u64, records: &Records) -> Result<Head, AppendError> {
        if !self.late {
            self.gate.pass(records.len());
        }
        let appended = self.inner.append(expected, records);
        if self.late {
            self.gate.pass(records.len());
        }
        appended
    }

    fn read(&self, after: u64, max_bytes: usize) -> Result<Chunk, ReadError> {
        self.gate.state.lock().reads.push((after, max_bytes));
        self.inner.read(after, max_bytes)
    }

    fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        self.inner.copy(after, last, max_bytes)
    }

    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        self.inner.frame_hash(position)
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault> {
        self.inner.verify(progress)
    }
}
