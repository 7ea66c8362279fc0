//! How many refused calls one source may make: guessing gets slower, and the access log is not filled by one loop.
//!
//! Time is that of a clock that nobody can set.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::listen::Peer;

/// Sources that are remembered. Beyond that those with the fewest refused calls are forgotten, of them the oldest: who comes from many
/// addresses does not wipe out what is known of who guesses from one.
const SOURCES_MAX: usize = 65_536;
/// How many of them are forgotten at once, so that a flood does not look through all of them for each call.
const FORGOTTEN: usize = SOURCES_MAX / 8;
const WINDOW: Duration = Duration::from_secs(60);

/// Refused calls of the last minute, by source.
pub(crate) struct Failures {
    per_minute_max: u32,
    sources: Mutex<HashMap<IpAddr, Refused>>,
}

#[derive(Clone, Copy)]
struct Refused {
    since: Instant,
    count: u32,
}

impl Refused {
    fn is_past(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= WINDOW
    }
}

impl Failures {
    pub(crate) fn new(per_minute_max: u32) -> Self {
        Self { per_minute_max, sources: Mutex::default() }
    }

    /// Counts a refused call. False when the source has had too many in this minute.
    pub(crate) fn note(&self, source: IpAddr, now: Instant) -> bool {
        let mut sources = self.sources.lock();
        let network = Peer(source).network();
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&network) {
            make_room(&mut sources, now);
        }
        let refused = sources.entry(network).or_insert(Refused { since: now, count: 0 });
        if refused.is_past(now) {
            *refused = Refused { since: now, count: 0 };
        }
        refused.count = refused.count.saturating_add(1);
        refused.count <= self.per_minute_max
    }

    /// Whether a source has had too many refused calls in this minute.
    pub(crate) fn is_over(&self, source: IpAddr, now: Instant) -> bool {
        let sources = self.sources.lock();
        let of_source = sources.get(&Peer(source).network());
        of_source.is_some_and(|refused| refused.count >= self.per_minute_max && !refused.is_past(now))
    }
}

fn make_room(sources: &mut HashMap<IpAddr, Refused>, now: Instant) {
    sources.retain(|_, refused| !refused.is_past(now));
    if sources.len() < SOURCES_MAX {
        return;
    }
    let mut all: Vec<(u32, Instant, IpAddr)> =
        sources.iter().map(|(source, refused)| (refused.count, refused.since, *source)).collect();
    let (least, ..) = all.select_nth_unstable(FORGOTTEN);
    for (.., source) in least {
        sources.remove(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_so_many_failures_a_minute_and_others_are_not_touched() {
        let failures = Failures::new(2);
        let [one, other]: [IpAddr; 2] = ["2001:db8::1", "2001:db8:0:1::1"].map(|a| a.parse().unwrap());
        let now = Instant::now();
        assert!(failures.note(one, now) && failures.note(one, now));
        assert!(!failures.note("2001:db8::2".parse().unwrap(), now), "the same network");
        assert!(failures.is_over(one, now) && !failures.is_over(other, now));
        assert!(failures.note(one, now + WINDOW), "a minute later");
    }

    #[test]
    fn a_flood_from_many_addresses_does_not_make_a_guesser_forgotten() {
        let failures = Failures::new(2);
        let (guesser, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 0..3 {
            failures.note(guesser, now);
        }
        for address in 0..u32::try_from(2 * SOURCES_MAX).unwrap() {
            failures.note(IpAddr::from(address.to_be_bytes()), now);
        }
        assert!(failures.is_over(guesser, now));
        assert!(failures.sources.lock().len() <= SOURCES_MAX, "and memory does not grow");
    }
}
