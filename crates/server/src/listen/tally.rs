//! Connections that were turned away: counted, and told to the operator once a minute at most, without any address.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two lines in the log.
const PAUSE: Duration = Duration::from_secs(60);

/// Why a connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// Its TLS handshake failed.
    Handshake,
    /// It said too little for too long, or went before it said anything.
    Silent,
    /// It had not arrived when others came.
    PushedOut,
    /// As many are served as may be.
    Full,
}

/// What is counted, since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    handshake: u64,
    silent: u64,
    pushed_out: u64,
    full: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<(Counts, Option<Instant>)>);

impl Tally {
    pub(super) fn note(&self, turned: Turned) {
        let Some(Counts { handshake, silent, pushed_out, full }) = self.count(turned, Instant::now()) else { return };
        tracing::warn!(
            handshake,
            silent,
            pushed_out,
            full,
            "connections were turned away since the start: failed handshakes, silent ones, silent ones that made room, more than may be open"
        );
    }

    /// Why connections were turned away: its name, and how often.
    pub(super) fn counts(&self) -> [(&'static str, u64); 4] {
        let Counts { handshake, silent, pushed_out, full } = self.0.lock().0;
        [("handshake", handshake), ("silent", silent), ("pushed_out", pushed_out), ("full", full)]
    }

    /// Counts one; the counts when it is time to tell them.
    fn count(&self, turned: Turned, now: Instant) -> Option<Counts> {
        let (counts, told) = &mut *self.0.lock();
        let count = match turned {
            Turned::Handshake => &mut counts.handshake,
            Turned::Silent => &mut counts.silent,
            Turned::PushedOut => &mut counts.pushed_out,
            Turned::Full => &mut counts.full,
        };
        *count += 1;
        if told.is_some_and(|told| now.duration_since(told) < PAUSE) {
            return None;
        }
        *told = Some(now);
        Some(*counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_that_was_turned_away_is_counted_and_a_flood_makes_one_line_a_minute() {
        let (tally, start) = (Tally::default(), Instant::now());
        assert_eq!(tally.count(Turned::Handshake, start), Some(Counts { handshake: 1, ..Counts::default() }));
        for _ in 0..1_000 {
            assert_eq!(tally.count(Turned::Silent, start + PAUSE / 2), None);
        }
        let counts = Counts { handshake: 1, silent: 1_000, pushed_out: 0, full: 1 };
        assert_eq!(tally.count(Turned::Full, start + PAUSE), Some(counts));
    }
}
