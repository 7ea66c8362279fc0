//! Connections that are served, by source.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use super::Limits;

/// How many of them there are. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Places {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// The place of a connection; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    source: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// A place for a connection of a source; none when it has as many as it may, or all have.
    pub(super) fn take(&self, source: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock();
        let of_source = taken.of.get(&source).copied().unwrap_or_default();
        if taken.all >= self.limits.all || of_source >= self.limits.of_source {
            return None;
        }
        taken.all += 1;
        taken.of.insert(source, of_source + 1);
        Some(Place { source, taken: Arc::clone(&self.taken) })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().all
    }

    /// How many there are.
    pub(super) fn all(&self) -> usize {
        self.limits.all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all -= 1;
        if let Some(of_source) = taken.of.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                taken.of.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_so_many_places_all_have_so_many_and_a_freed_one_is_taken_again() {
        let places = Places::new(Limits { all: 3, of_source: 2 });
        let [one, two, three] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let first = places.take(one);
        let second = places.take(one);
        assert!(first.is_some() && second.is_some() && places.take(one).is_none());
        let third = places.take(two);
        assert!(third.is_some() && places.take(three).is_none());
        drop((first, second));
        assert!(places.take(three).is_some());
        drop(third);
        let taken = places.taken.lock();
        assert!(taken.all == 0 && taken.of.is_empty(), "no source is remembered that has gone");
    }
}
