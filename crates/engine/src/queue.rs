//! The queue before the writer. It is emptied in lots: one lot becomes one commit.
//!
//! Callers that wait for their receipt send their next record only after a commit has ended. A writer that began the next commit at
//! once would find few of them back, and sync for few. So [`Receiver::take`] waits, for a moment, until as many are there as lately
//! came together; and it is woken once for all of them. A single caller never waits: it is all that is expected.
//!
//! What the queue holds is bounded by the bytes that its jobs have room for; see [`crate::Options::queue_bytes_max`].

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::writer::Job;

/// Gathering ends when nothing came for this long,
const QUIET: Duration = Duration::from_micros(200);
/// or when it has taken this long.
const GATHER_MAX: Duration = Duration::from_millis(4);

/// The queue no longer takes jobs: the engine stops.
#[derive(Debug)]
pub(crate) struct Closed;

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Number of jobs at which the receiver wants to be woken; 0 while it is busy.
    wanted: usize,
    closed: bool,
}

/// The callers' end. Dropping it closes the queue.
pub(crate) struct Sender(Arc<Queue>);

/// The writer's end. Dropping it closes the queue and drops what stands in it, so that its callers are told.
pub(crate) struct Receiver {
    queue: Arc<Queue>,
    /// Jobs that may be expected to come together.
    expected: usize,
}

pub(crate) fn queue() -> (Sender, Receiver) {
    let queue = Arc::new(Queue::default());
    (Sender(Arc::clone(&queue)), Receiver { queue, expected: 1 })
}

impl Sender {
    pub(crate) fn push(&self, job: Job) -> Result<(), Closed> {
        let mut waiting = self.0.waiting.lock();
        if waiting.closed {
            return Err(Closed);
        }
        waiting.jobs.push_back(job);
        let wake = waiting.jobs.len() == waiting.wanted;
        drop(waiting);
        if wake {
            self.0.changed.notify_one();
        }
        Ok(())
    }

    /// Jobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.waiting.lock().jobs.len()
    }

    /// Takes no more jobs; those that stand in the queue are still received.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

impl Queue {
    fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close();
    }
}

impl Receiver {
    /// The next lot, in the order in which its jobs came. `None` when the queue is closed and empty.
    pub(crate) fn take(&mut self) -> Option<VecDeque<Job>> {
        let mut waiting = self.queue.waiting.lock();
        waiting.wanted = 1;
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            self.queue.changed.wait(&mut waiting);
        }
        waiting.wanted = self.expected;
        let (until, mut seen) = (Instant::now() + GATHER_MAX, 0);
        while waiting.jobs.len() < self.expected && !waiting.closed {
            if waiting.jobs.len() == seen || Instant::now() >= until {
                break;
            }
            seen = waiting.jobs.len();
            self.queue.changed.wait_for(&mut waiting, QUIET);
        }
        waiting.wanted = 0;
        Some(std::mem::take(&mut waiting.jobs))
    }

    /// What waits now, without waiting for more. `None` when that is nothing.
    pub(crate) fn try_take(&mut self) -> Option<VecDeque<Job>> {
        let jobs = std::mem::take(&mut self.queue.waiting.lock().jobs);
        (!jobs.is_empty()).then_some(jobs)
    }

    /// Says that so many callers are about to be answered: they may come back beside those that wait now.
    pub(crate) fn answering(&mut self, callers: usize) {
        self.expected = callers + self.queue.waiting.lock().jobs.len();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.queue.close();
        self.queue.waiting.lock().jobs.clear();
    }
}
