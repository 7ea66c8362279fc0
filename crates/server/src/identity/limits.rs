//! How much may be done within a while: by a source whose calls are refused, so that guessing gets slower and the access log is not filled by
//! one loop; and by the holder of a good token, so that a stolen one does not read or write without end.
//!
//! Time is that of a clock that nobody can set.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::listen::Peer;

/// Keys that are remembered. Beyond that those with the least are forgotten, of them the oldest: who comes from many addresses does not wipe
/// out what is known of who guesses from one.
const KEYS_MAX: usize = 65_536;
/// How many of them are forgotten at once, so that a flood does not look through all of them for each call.
const FORGOTTEN: usize = KEYS_MAX / 8;

/// What was done by each key since its window began.
struct Limit<K> {
    max: u32,
    window: Duration,
    done: Mutex<HashMap<K, Done>>,
}

#[derive(Clone, Copy)]
struct Done {
    since: Instant,
    count: u32,
}

impl<K: Clone + Eq + Hash> Limit<K> {
    fn new(max: u32, window: Duration) -> Self {
        Self { max, window, done: Mutex::default() }
    }

    /// Counts `more` of a key.
    fn count(&self, key: &K, more: u32, now: Instant) {
        let mut all = self.done.lock();
        if all.len() >= KEYS_MAX && !all.contains_key(key) {
            make_room(&mut all, self.window, now);
        }
        let done = all.entry(key.clone()).or_insert(Done { since: now, count: 0 });
        if done.is_past(self.window, now) {
            *done = Done { since: now, count: 0 };
        }
        done.count = done.count.saturating_add(more);
    }

    /// How long a key that has reached the limit must wait.
    fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let all = self.done.lock();
        let done = all.get(key).filter(|done| done.count >= self.max && !done.is_past(self.window, now))?;
        Some(self.window.saturating_sub(now.duration_since(done.since)))
    }
}

impl Done {
    fn is_past(&self, window: Duration, now: Instant) -> bool {
        now.duration_since(self.since) >= window
    }
}

fn make_room<K: Clone + Eq + Hash>(all: &mut HashMap<K, Done>, window: Duration, now: Instant) {
    all.retain(|_, done| !done.is_past(window, now));
    if all.len() < KEYS_MAX {
        return;
    }
    let mut keys: Vec<(u32, Instant, K)> =
        all.iter().map(|(key, done)| (done.count, done.since, key.clone())).collect();
    let (least, ..) = keys.select_nth_unstable_by_key(FORGOTTEN, |(count, since, _)| (*count, *since));
    for (.., key) in least {
        all.remove(key);
    }
}

/// Refused calls of each source in the last minute.
pub(crate) struct Failures(Limit<IpAddr>);

impl Failures {
    pub(crate) fn new(per_minute_max: u32) -> Self {
        Self(Limit::new(per_minute_max, Duration::from_secs(60)))
    }

    /// Counts a refused call. False when the source had had as many in this minute as it may.
    pub(crate) fn note(&self, source: IpAddr, now: Instant) -> bool {
        let over = self.is_over(source, now);
        self.0.count(&Peer(source).network(), 1, now);
        !over
    }

    /// Whether a source has had as many refused calls in this minute as it may.
    pub(crate) fn is_over(&self, source: IpAddr, now: Instant) -> bool {
        self.0.wait(&Peer(source).network(), now).is_some()
    }
}

/// What a holder of tokens may do only so often within an hour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metered {
    /// Records that went into the log; what was known already costs nothing, so that a file can be sent again from its beginning.
    Record,
    /// Identities that were asked for.
    Reading,
}

/// What each holder, by its subject, did within the hour.
pub(crate) struct Quotas {
    records: Option<Limit<Arc<str>>>,
    readings: Option<Limit<Arc<str>>>,
}

impl Quotas {
    /// So many within an hour; 0 for any number.
    pub(crate) fn new(records_per_hour: u32, readings_per_hour: u32) -> Self {
        let limit = |max: u32| (max > 0).then(|| Limit::new(max, Duration::from_secs(3_600)));
        Self { records: limit(records_per_hour), readings: limit(readings_per_hour) }
    }

    fn limit(&self, what: Metered) -> Option<&Limit<Arc<str>>> {
        match what {
            Metered::Record => self.records.as_ref(),
            Metered::Reading => self.readings.as_ref(),
        }
    }

    /// How long a holder must wait that has done as much as it may.
    pub(crate) fn wait(&self, subject: &Arc<str>, what: Metered, now: Instant) -> Option<Duration> {
        self.limit(what)?.wait(subject, now)
    }

    /// Counts what a holder did.
    pub(crate) fn count(&self, subject: &Arc<str>, what: Metered, more: u32, now: Instant) {
        if let Some(limit) = self.limit(what) {
            limit.count(subject, more, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_source_has_so_many_failures_a_minute_and_others_are_not_touched() {
        let failures = Failures::new(2);
        let [one, other]: [IpAddr; 2] = ["2001:db8::1", "2001:db8:0:1::1"].map(|a| a.parse().unwrap());
        let now = Instant::now();
        assert!(failures.note(one, now) && failures.note(one, now));
        assert!(!failures.note("2001:db8::2".parse().unwrap(), now), "the same network");
        assert!(failures.is_over(one, now) && !failures.is_over(other, now));
        assert!(failures.note(one, now + MINUTE), "a minute later");
    }

    #[test]
    fn a_flood_from_many_addresses_does_not_make_a_guesser_forgotten() {
        let failures = Failures::new(2);
        let (guesser, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 0..3 {
            failures.note(guesser, now);
        }
        for address in 0..u32::try_from(2 * KEYS_MAX).unwrap() {
            failures.note(IpAddr::from(address.to_be_bytes()), now);
        }
        assert!(failures.is_over(guesser, now));
        assert!(failures.0.done.lock().len() <= KEYS_MAX, "and memory does not grow");
    }

    #[test]
    fn a_holder_may_do_so_much_an_hour_whichever_token_it_uses_and_then_is_told_how_long_to_wait() {
        let quotas = Quotas::new(10, 1);
        let [one, other]: [Arc<str>; 2] = ["petugas-1", "petugas-2"].map(Into::into);
        let now = Instant::now();
        quotas.count(&one, Metered::Record, 9, now);
        assert_eq!(quotas.wait(&one, Metered::Record, now), None);
        quotas.count(&one, Metered::Record, 1_000, now);
        let later = now + MINUTE;
        assert_eq!(quotas.wait(&one, Metered::Record, later), Some(59 * MINUTE));
        assert_eq!(quotas.wait(&one, Metered::Reading, later), None, "readings are counted apart");
        quotas.count(&one, Metered::Reading, 1, later);
        assert_eq!(quotas.wait(&one, Metered::Reading, later), Some(60 * MINUTE));
        assert_eq!(quotas.wait(&other, Metered::Record, later), None);
        assert_eq!(quotas.wait(&one, Metered::Record, now + 60 * MINUTE), None);
        let unlimited = Quotas::new(0, 0);
        unlimited.count(&one, Metered::Record, u32::MAX, now);
        assert_eq!(unlimited.wait(&one, Metered::Record, now), None);
    }
}
