//! How far subscribers are behind, all of them together: never who is.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The subscribers that are connected. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Subscribers(Arc<All>);

#[derive(Debug)]
struct All {
    since: Instant,
    next: AtomicU64,
    /// Subscribers that were disconnected since they took nothing.
    stalled: AtomicU64,
    connected: Mutex<HashMap<u64, Arc<Progress>>>,
}

#[derive(Debug)]
struct Progress {
    position: AtomicU64,
    /// Milliseconds from `since`.
    moved: AtomicU64,
}

/// A subscriber's place; it has gone when this is dropped.
pub(crate) struct Subscriber {
    id: u64,
    progress: Arc<Progress>,
    all: Arc<All>,
}

/// How the subscribers do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) connected: usize,
    /// Events that the one furthest behind has before it.
    pub(super) lag_max: u64,
    /// How long ago the one that has been behind longest last took something.
    pub(super) behind_max: Duration,
    pub(super) stalled: u64,
}

impl Default for Subscribers {
    fn default() -> Self {
        Self(Arc::new(All {
            since: Instant::now(),
            next: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            connected: Mutex::default(),
        }))
    }
}

impl All {
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Subscribers {
    /// A subscriber that has everything up to a position.
    pub(crate) fn enter(&self, position: u64) -> Subscriber {
        let all = Arc::clone(&self.0);
        let id = all.next.fetch_add(1, Ordering::Relaxed);
        let progress = Arc::new(Progress { position: AtomicU64::new(position), moved: AtomicU64::new(all.now()) });
        all.connected.lock().insert(id, Arc::clone(&progress));
        Subscriber { id, progress, all }
    }

    /// How they do when the log ends at `head`.
    pub(super) fn seen(&self, head: u64) -> Seen {
        let now = self.0.now();
        let connected = self.0.connected.lock();
        let stalled = self.0.stalled.load(Ordering::Relaxed);
        let mut seen = Seen { connected: connected.len(), stalled, ..Seen::default() };
        for progress in connected.values() {
            let lag = head.saturating_sub(progress.position.load(Ordering::Relaxed));
            if lag > 0 {
                let behind = now.saturating_sub(progress.moved.load(Ordering::Relaxed));
                seen.lag_max = seen.lag_max.max(lag);
                seen.behind_max = seen.behind_max.max(Duration::from_millis(behind));
            }
        }
        seen
    }
}

impl Subscriber {
    /// It has everything up to a position now.
    pub(crate) fn has(&self, position: u64) {
        self.progress.position.store(position, Ordering::Relaxed);
        self.progress.moved.store(self.all.now(), Ordering::Relaxed);
    }

    /// It is disconnected since it took nothing.
    pub(crate) fn stalled(&self) {
        self.all.stalled.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.all.connected.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_furthest_behind_is_told_and_one_that_has_gone_is_not() {
        let subscribers = Subscribers::default();
        let (quick, slow) = (subscribers.enter(0), subscribers.enter(0));
        quick.has(10);
        slow.has(3);
        let seen = subscribers.seen(10);
        assert_eq!((seen.connected, seen.lag_max), (2, 7));
        slow.stalled();
        drop(slow);
        assert_eq!(subscribers.seen(10), Seen { connected: 1, stalled: 1, ..Seen::default() });
    }
}
