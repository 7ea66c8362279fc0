//! A histogram that whoever observes never waits for: a few atomic additions, no lock, no memory of its own after it was made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often values fell below each of a few bounds, and their sum. Values are whole numbers: nanoseconds, records, bytes.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is beyond the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Nothing yet. `bounds` rise; each counts what is not greater.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time, in nanoseconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Each bound with how many values were not greater, and how many there were in all. Whoever observes meanwhile may be counted or not.
    #[must_use]
    pub fn counts(&self) -> (Vec<(u64, u64)>, u64) {
        let mut all = 0;
        let mut up_to = |count: &AtomicU64| {
            all += count.load(Ordering::Relaxed);
            all
        };
        let (beyond, within) = self.counts.split_last().expect("there is one more than bounds");
        let counts = self.bounds.iter().zip(within).map(|(bound, count)| (*bound, up_to(count))).collect();
        (counts, up_to(beyond))
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_under_its_bound_and_every_greater_one() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21] {
            histogram.observe(value);
        }
        assert_eq!(histogram.counts(), (vec![(10, 2), (20, 4)], 5));
        assert_eq!(histogram.sum(), 62);
    }
}
