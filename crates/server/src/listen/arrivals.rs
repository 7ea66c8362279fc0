//! Connections that arrive, in the order in which they came: where there is no room, the one that has been silent longest makes it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// Those that arrive. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    limits: Limits,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_order: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// One of them; it has left when this is dropped.
#[derive(Debug)]
pub(super) struct Arrival {
    order: u64,
    pushed_out: CancellationToken,
    waiting: Arc<Mutex<Waiting>>,
}

impl Arrivals {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, waiting: Arc::default() }
    }

    /// Lets one in, and says whether another was pushed out for it.
    pub(super) fn enter(&self, source: IpAddr) -> (Arrival, bool) {
        let mut waiting = self.waiting.lock();
        let goes = if waiting.of(source).count() >= self.limits.of_source {
            waiting.of(source).next()
        } else if waiting.by_order.len() >= self.limits.all {
            // Whoever has the most of them has the least reason to complain.
            waiting.busiest().and_then(|busiest| waiting.of(busiest).next())
        } else {
            None
        };
        let pushed_out = goes.and_then(|order| waiting.by_order.remove(&order));
        if let Some((_, gone)) = &pushed_out {
            gone.cancel();
        }
        let (order, gone) = (waiting.next, CancellationToken::new());
        waiting.next += 1;
        waiting.by_order.insert(order, (source, gone.clone()));
        (Arrival { order, pushed_out: gone, waiting: Arc::clone(&self.waiting) }, pushed_out.is_some())
    }
}

impl Waiting {
    /// Those of a source, the first one first. There are few of them in all.
    fn of(&self, source: IpAddr) -> impl Iterator<Item = u64> {
        self.by_order.iter().filter(move |(_, (other, _))| *other == source).map(|(order, _)| *order)
    }

    fn busiest(&self) -> Option<IpAddr> {
        self.by_order.values().map(|(source, _)| *source).max_by_key(|source| self.of(*source).count())
    }
}

impl Arrival {
    /// Waits until this one has to make room.
    pub(super) async fn pushed_out(&self) {
        self.pushed_out.cancelled().await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.waiting.lock().by_order.remove(&self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn is_out(arrival: &Arrival) -> bool {
        arrival.pushed_out.is_cancelled()
    }

    #[test]
    fn who_has_been_silent_longest_of_the_same_source_makes_room() {
        let arrivals = Arrivals::new(Limits { all: 10, of_source: 2 });
        let [first, second, other, third] = [1, 1, 2, 1].map(|last| arrivals.enter(source(last)).0);
        assert!(is_out(&first) && !is_out(&second) && !is_out(&other) && !is_out(&third));
        drop(second);
        let (fourth, pushed_out) = arrivals.enter(source(1));
        assert!(!pushed_out && !is_out(&third) && !is_out(&fourth), "who has arrived or gone makes room by itself");
    }

    #[test]
    fn when_all_is_full_the_source_with_the_most_makes_room() {
        let arrivals = Arrivals::new(Limits { all: 4, of_source: 3 });
        let [first, crowd, second, third] = [1, 2, 2, 2].map(|last| arrivals.enter(source(last)).0);
        let (newest, pushed_out) = arrivals.enter(source(3));
        assert!(pushed_out && is_out(&crowd));
        assert!([&first, &second, &third, &newest].into_iter().all(|arrival| !is_out(arrival)));
        drop(crowd);
        assert_eq!(arrivals.waiting.lock().by_order.len(), 4, "who was pushed out is taken off once");
    }
}
