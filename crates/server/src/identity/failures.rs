//! How many refused calls one source may make: guessing gets slower, and the access log is not filled by one loop.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use parking_lot::Mutex;
use satgas_domain::time::Instant;

/// Sources that are remembered; more than that at once, and all are forgotten rather than memory growing.
const SOURCES_MAX: usize = 65_536;
const WINDOW_NS: i64 = 60_000_000_000;

/// Refused calls of the last minute, by source.
pub(crate) struct Failures {
    per_minute_max: u32,
    sources: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Failures {
    pub(crate) fn new(per_minute_max: u32) -> Self {
        Self { per_minute_max, sources: Mutex::default() }
    }

    /// Counts a refused call. False when the source has had too many in this minute.
    pub(crate) fn note(&self, source: IpAddr, now: Instant) -> bool {
        let mut sources = self.sources.lock();
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, (since, _)| now.0 - since.0 < WINDOW_NS);
            if sources.len() >= SOURCES_MAX {
                sources.clear();
            }
        }
        let (since, count) = sources.entry(network(source)).or_insert((now, 0));
        if now.0 - since.0 >= WINDOW_NS {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= self.per_minute_max
    }

    /// Whether a source has had too many refused calls in this minute.
    pub(crate) fn is_over(&self, source: IpAddr, now: Instant) -> bool {
        let sources = self.sources.lock();
        let of_source = sources.get(&network(source));
        of_source.is_some_and(|(since, count)| *count >= self.per_minute_max && now.0 - since.0 < WINDOW_NS)
    }
}

/// Who has one address of an IPv6 network has all of them.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_so_many_failures_a_minute_and_others_are_not_touched() {
        let failures = Failures::new(2);
        let [one, other]: [IpAddr; 2] = ["2001:db8::1", "2001:db8:0:1::1"].map(|a| a.parse().unwrap());
        let now = Instant(1_000 * WINDOW_NS);
        assert!(failures.note(one, now) && failures.note(one, now));
        assert!(!failures.note("2001:db8::2".parse().unwrap(), now), "the same network");
        assert!(failures.is_over(one, now) && !failures.is_over(other, now));
        assert!(failures.note(one, now.plus_ns(WINDOW_NS)), "a minute later");
    }
}
