//! How much the public may send, of one source and in all, and how much one source may read.
//!
//! - Sources are networks. What is kept of one is a hash under a random key, in memory, and within the hour the key is thrown away with all that
//!   was counted under it: no address is kept, and who gets the memory later finds none.
//! - A few of one source, so that one phone or one loop does not use up what is for all.
//! - In all, a budget that fills evenly: what an attack has used up comes back within seconds, bit by bit, and not at the end of the hour. Half
//!   of it is for sources that have sent nothing in this hour, so that who sends again and again leaves room for the one who sends once.
//! - Guessed codes are counted of each source, see [`Failures`](super::Failures), and never of all together: what strangers guess must not
//!   keep a child from its own report, and nobody finds one of 2^95 codes, from however many sources.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::limits::Limit;
use crate::listen::Peer;

const HOUR: Duration = Duration::from_secs(3_600);
/// Times in an hour that one source follows up a report, or sends one again that was received: cheap, but not for nothing.
const REPEATS_MAX: u32 = 600;

/// A source, as it is kept within an hour.
type Source = [u8; 16];

/// What the public may send and read.
pub(crate) struct Anonymous {
    of_source: u32,
    /// How long it takes for one more; none for any number.
    every: Option<Duration>,
    readings: u32,
    state: Mutex<State>,
}

struct State {
    since: Option<Instant>,
    key: Zeroizing<[u8; 32]>,
    sources: Limit<Source>,
    repeats: Limit<Source>,
    readings: Limit<Source>,
    /// When the budget will be full again.
    full_at: Option<Instant>,
}

impl Anonymous {
    /// So many reports in an hour of one source, and of all, and so many readings of one source; 0 for any number.
    pub(crate) fn new(of_source: u32, of_all: u32, readings: u32) -> Self {
        let every = (of_all > 0).then(|| HOUR / of_all);
        let or_any = |max: u32| if max == 0 { u32::MAX } else { max };
        let (of_source, readings) = (or_any(of_source), or_any(readings));
        let state = State {
            since: None,
            key: Zeroizing::default(),
            sources: Limit::new(of_source, HOUR),
            repeats: Limit::new(REPEATS_MAX, HOUR),
            readings: Limit::new(readings, HOUR),
            full_at: None,
        };
        Self { of_source, every, readings, state: Mutex::new(state) }
    }

    /// Counts one of a source, or says how long to wait.
    pub(crate) fn take(&self, source: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        self.begin_hour(&mut state, now);
        let source = state.hash(source);
        let is_first = state.sources.count(&source, now) == 0;
        state.sources.take(&source, 1, now).map_err(|wait| wait.time)?;
        let Some(every) = self.every else { return Ok(()) };
        let used = state.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        let budget = if is_first { HOUR } else { HOUR / 2 };
        if used + every > budget {
            state.sources.give_back(&source, 1);
            return Err(used + every - budget);
        }
        state.full_at = Some(now + used + every);
        Ok(())
    }

    /// Counts what a source asks for once more, or says how long to wait.
    pub(crate) fn repeat(&self, source: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        self.begin_hour(&mut state, now);
        let source = state.hash(source);
        state.repeats.take(&source, 1, now).map_err(|wait| wait.time)
    }

    /// Takes back one that was not written.
    pub(crate) fn give_back(&self, source: IpAddr) {
        let mut state = self.state.lock();
        let source = state.hash(source);
        state.sources.give_back(&source, 1);
        if let (Some(every), Some(full_at)) = (self.every, state.full_at) {
            state.full_at = full_at.checked_sub(every);
        }
    }

    /// Counts what a source reads of what is public, or says how long to wait.
    pub(crate) fn read(&self, source: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        self.begin_hour(&mut state, now);
        let source = state.hash(source);
        state.readings.take(&source, 1, now).map_err(|wait| wait.time)
    }

    /// Begins another hour when one is over: with a key of its own, and nothing that was counted.
    fn begin_hour(&self, state: &mut State, now: Instant) {
        if state.since.is_none_or(|since| now.duration_since(since) >= HOUR) {
            state.since = Some(now);
            state.key = Zeroizing::new(rand::random());
            state.sources = Limit::new(self.of_source, HOUR);
            state.repeats = Limit::new(REPEATS_MAX, HOUR);
            state.readings = Limit::new(self.readings, HOUR);
        }
    }
}

impl State {
    /// A network under this hour's key. Of IPv6 it is what a household or a company gets: it has 65,536 networks of those that other limits
    /// count by.
    fn hash(&self, source: IpAddr) -> Source {
        let hash = match Peer(source).network() {
            IpAddr::V4(v4) => blake3::keyed_hash(&self.key, &v4.octets()),
            IpAddr::V6(v6) => blake3::keyed_hash(&self.key, &v6.octets()[..6]),
        };
        *hash.as_bytes().first_chunk().expect("32 bytes hold 16")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[test]
    fn a_source_sends_a_few_an_hour_and_another_is_not_touched() {
        let publics = Anonymous::new(2, 0, 0);
        let now = Instant::now();
        assert!(publics.take(address(1), now).is_ok() && publics.take(address(1), now).is_ok());
        assert_eq!(publics.take(address(1), now + HOUR / 4), Err(HOUR * 3 / 4));
        assert!(publics.take(address(2), now).is_ok());
        publics.give_back(address(1));
        assert!(publics.take(address(1), now).is_ok(), "what was not written does not count");
        assert!(publics.take(address(1), now + HOUR).is_ok(), "an hour later");
        let [one, same]: [IpAddr; 2] = ["2001:db8:1:1::1", "2001:db8:1:2::1"].map(|a| a.parse().unwrap());
        let later = now + HOUR;
        assert!(publics.take(one, later).is_ok() && publics.take(same, later).is_ok());
        assert!(publics.take(one, later).is_err(), "a household is one source");
    }

    #[test]
    fn who_sends_for_the_first_time_gets_through_where_others_flood_and_room_comes_back_by_and_by() {
        let publics = Anonymous::new(1_000, 100, 0);
        let now = Instant::now();
        let flood = (0..1_000).filter(|_| publics.take(address(1), now).is_ok()).count();
        assert_eq!(flood, 50, "half of it is for who has sent nothing yet");
        assert!(publics.take(address(2), now).is_ok());
        let many = (10..1_000).filter(|n| publics.take(address(*n), now).is_ok()).count();
        assert_eq!(many, 49);
        let wait = publics.take(address(3), now).unwrap_err();
        assert_eq!(wait, HOUR / 100, "36 seconds, not an hour");
        assert!(publics.take(address(3), now + wait).is_ok());
    }

    #[test]
    fn nothing_of_an_hour_is_left_in_the_next() {
        let publics = Anonymous::new(5, 0, 0);
        let now = Instant::now();
        publics.take(address(1), now).unwrap();
        let (key, hash) = {
            let state = publics.state.lock();
            (*state.key, state.hash(address(1)))
        };
        publics.take(address(2), now + HOUR).unwrap();
        let state = publics.state.lock();
        assert_ne!(*state.key, key);
        assert_ne!(state.hash(address(1)), hash);
        assert_eq!(state.sources.count(&hash, now + HOUR), 0);
    }

    #[test]
    fn what_was_received_is_asked_about_and_sent_again_often_but_not_without_end() {
        let publics = Anonymous::new(1, 1, 0);
        let now = Instant::now();
        assert!((0..REPEATS_MAX).all(|_| publics.repeat(address(1), now).is_ok()));
        assert!(publics.repeat(address(1), now).is_err());
        assert!(publics.repeat(address(2), now).is_ok());
        assert!(publics.take(address(1), now).is_ok(), "reports are counted apart");
    }

    #[test]
    fn a_source_reads_so_much_an_hour_and_reports_all_the_same() {
        let publics = Anonymous::new(1, 1, 3);
        let now = Instant::now();
        assert!((0..3).all(|_| publics.read(address(1), now).is_ok()));
        assert_eq!(publics.read(address(1), now + HOUR / 4), Err(HOUR * 3 / 4));
        assert!(publics.read(address(2), now).is_ok() && publics.take(address(1), now).is_ok());
        assert!(publics.read(address(1), now + HOUR).is_ok());
        let any = Anonymous::new(1, 1, 0);
        assert!((0..10_000).all(|_| any.read(address(1), now).is_ok()));
    }
}
