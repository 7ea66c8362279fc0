//! How much may be done within a while: by a source whose calls are refused, so that guessing gets slower and the access log is not filled by
//! one loop; and by the holder of a good token, so that a stolen one does not read or write without end.
//!
//! Sources are kept as hashes under a key that is only in memory, and what is past is forgotten within a window: no address outlasts its calls.
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
use tokio::sync::watch;

use crate::listen::Peer;

/// Keys that are remembered. Beyond that those with the least are forgotten, of them the oldest: who comes from many addresses does not wipe
/// out what is known of who guesses from one.
const KEYS_MAX: usize = 65_536;
/// How many of them are forgotten at once, so that a flood does not look through all of them for each call.
const FORGOTTEN: usize = KEYS_MAX / 8;
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What was done by each key since its window began.
pub(super) struct Limit<K> {
    max: u32,
    window: Duration,
    done: Mutex<All<K>>,
}

struct All<K> {
    by_key: HashMap<K, Done>,
    /// When what is past was last forgotten.
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Done {
    since: Instant,
    count: u32,
    /// When a refusal was last worth a record.
    told: Option<Instant>,
}

/// Who has reached a limit waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// How long.
    pub(crate) time: Duration,
    /// Whether the refusal is to be recorded: once a minute of each key, so that the record of refusals does not grow with them.
    pub(crate) record: bool,
}

impl<K: Clone + Eq + Hash> Limit<K> {
    pub(super) fn new(max: u32, window: Duration) -> Self {
        Self { max, window, done: Mutex::new(All { by_key: HashMap::new(), swept: None }) }
    }

    /// Looks at what a key did within its window.
    fn with<T>(&self, key: &K, now: Instant, look: impl FnOnce(&mut Done) -> T) -> T {
        let mut all = self.done.lock();
        if all.swept.is_none_or(|swept| now.duration_since(swept) >= self.window) {
            all.by_key.retain(|_, done| !done.is_past(self.window, now));
            all.swept = Some(now);
        }
        if all.by_key.len() >= KEYS_MAX && !all.by_key.contains_key(key) {
            make_room(&mut all.by_key, self.window, now);
        }
        let fresh = Done { since: now, count: 0, told: None };
        let done = all.by_key.entry(key.clone()).or_insert(fresh);
        if done.is_past(self.window, now) {
            *done = fresh;
        }
        look(done)
    }

    /// Counts `more` of a key that has not reached the limit; the last ones may go beyond it.
    pub(super) fn take(&self, key: &K, more: u32, now: Instant) -> Result<(), Wait> {
        self.with(key, now, |done| {
            if done.count < self.max {
                done.count = done.count.saturating_add(more);
                return Ok(());
            }
            let time = self.window.saturating_sub(now.duration_since(done.since));
            let record = done.told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
            if record {
                done.told = Some(now);
            }
            Err(Wait { time, record })
        })
    }

    /// Takes back what was counted and did not happen.
    pub(super) fn give_back(&self, key: &K, less: u32) {
        if let Some(done) = self.done.lock().by_key.get_mut(key) {
            done.count = done.count.saturating_sub(less);
        }
    }

    /// How much a key did within its window.
    pub(super) fn count(&self, key: &K, now: Instant) -> u32 {
        let all = self.done.lock();
        all.by_key.get(key).filter(|done| !done.is_past(self.window, now)).map_or(0, |done| done.count)
    }

    /// Whether a key has reached the limit.
    pub(super) fn is_reached(&self, key: &K, now: Instant) -> bool {
        let all = self.done.lock();
        all.by_key.get(key).is_some_and(|done| done.count >= self.max && !done.is_past(self.window, now))
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
pub(crate) struct Failures {
    limit: Limit<[u8; 16]>,
    key: [u8; 32],
}

impl Failures {
    pub(crate) fn new(per_minute_max: u32) -> Self {
        Self { limit: Limit::new(per_minute_max, Duration::from_secs(60)), key: rand::random() }
    }

    /// Counts a refused call. False when the source had had as many in this minute as it may.
    pub(crate) fn note(&self, source: IpAddr, now: Instant) -> bool {
        self.limit.take(&self.hash(source), 1, now).is_ok()
    }

    /// Whether a source has had as many refused calls in this minute as it may.
    pub(crate) fn is_over(&self, source: IpAddr, now: Instant) -> bool {
        self.limit.is_reached(&self.hash(source), now)
    }

    /// A network as it is kept.
    fn hash(&self, source: IpAddr) -> [u8; 16] {
        let hash = match Peer(source).network() {
            IpAddr::V4(v4) => blake3::keyed_hash(&self.key, &v4.octets()),
            IpAddr::V6(v6) => blake3::keyed_hash(&self.key, &v6.octets()),
        };
        *hash.as_bytes().first_chunk().expect("32 bytes hold 16")
    }
}

/// What a holder of tokens may do only so often within an hour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metered {
    /// Records that go into the log: of task forces, and steps and orders of all others.
    Record,
    /// Identities that are asked for.
    Reading,
    /// Answers with data of single cases, each of which is recorded.
    Answer,
}

/// What each holder, by its subject, did within the hour.
pub(crate) struct Quotas {
    records: Option<Limit<Arc<str>>>,
    readings: Option<Limit<Arc<str>>>,
    answers: Option<Limit<Arc<str>>>,
}

impl Quotas {
    /// So many within an hour; 0 for any number.
    pub(crate) fn new(records: u32, readings: u32, answers: u32) -> Self {
        let limit = |max: u32| (max > 0).then(|| Limit::new(max, Duration::from_secs(3_600)));
        Self { records: limit(records), readings: limit(readings), answers: limit(answers) }
    }

    fn limit(&self, what: Metered) -> Option<&Limit<Arc<str>>> {
        match what {
            Metered::Record => self.records.as_ref(),
            Metered::Reading => self.readings.as_ref(),
            Metered::Answer => self.answers.as_ref(),
        }
    }

    /// Counts what a holder is about to do, or says how long it must wait.
    pub(crate) fn take(&self, subject: &Arc<str>, what: Metered, more: u32, now: Instant) -> Result<(), Wait> {
        self.limit(what).map_or(Ok(()), |limit| limit.take(subject, more, now))
    }
}

/// Records that a holder is about to hand in. They count until it is known that they did not go into the log: a call that is broken off
/// does not take them back, as nobody knows what became of it.
#[must_use]
pub(crate) struct Reserved {
    quotas: Arc<Quotas>,
    subject: Arc<str>,
    count: u32,
    /// Of the stream that it belongs to.
    underway: Underway,
}

/// How many messages of a stream have been reserved for, of which it is not known yet what went into the log. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Underway(watch::Sender<usize>);

impl Underway {
    /// Waits until one more of them is known; at once false when there is none.
    pub(crate) async fn one_less(&self) -> bool {
        let mut count = self.0.subscribe();
        let before = *count.borrow_and_update();
        before > 0 && count.wait_for(|now| *now < before).await.is_ok()
    }
}

impl Reserved {
    pub(crate) fn new(
        quotas: &Arc<Quotas>,
        subject: &Arc<str>,
        count: u32,
        underway: &Underway,
        now: Instant,
    ) -> Result<Self, Wait> {
        quotas.take(subject, Metered::Record, count, now)?;
        underway.0.send_modify(|count| *count += 1);
        Ok(Self { quotas: Arc::clone(quotas), subject: Arc::clone(subject), count, underway: underway.clone() })
    }

    /// So many of them went into the log.
    pub(crate) fn used(self, count: u32) {
        if let Some(limit) = &self.quotas.records {
            limit.give_back(&self.subject, self.count.saturating_sub(count));
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.underway.0.send_modify(|count| *count -= 1);
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
        assert!(failures.limit.done.lock().by_key.len() <= KEYS_MAX, "and memory does not grow");
    }

    #[test]
    fn who_was_refused_is_forgotten_when_it_no_longer_counts() {
        let failures = Failures::new(2);
        let now = Instant::now();
        for address in 0..100_u32 {
            failures.note(IpAddr::from(address.to_be_bytes()), now);
        }
        failures.note(IpAddr::from([192, 0, 2, 1]), now + MINUTE);
        assert_eq!(failures.limit.done.lock().by_key.len(), 1, "the last one");
    }

    #[test]
    fn a_holder_may_do_so_much_an_hour_whichever_token_it_uses_and_then_is_told_how_long_to_wait() {
        let quotas = Arc::new(Quotas::new(10, 1, 0));
        let [one, other]: [Arc<str>; 2] = ["petugas-1", "petugas-2"].map(Into::into);
        let now = Instant::now();
        let take = |subject, what, at| quotas.take(subject, what, 1, at);
        let wait = |minutes: u32, record| Err(Wait { time: minutes * MINUTE, record });
        let known = Reserved::new(&quotas, &one, 1_000, &Underway::default(), now).unwrap();
        assert_eq!(take(&one, Metered::Record, now), wait(60, true));
        known.used(9);
        assert_eq!(take(&one, Metered::Record, now), Ok(()), "what was known already costs nothing");
        let later = now + MINUTE;
        assert_eq!(take(&one, Metered::Record, later), wait(59, true));
        assert_eq!(take(&one, Metered::Record, later), wait(59, false), "not each refusal is worth a record");
        assert_eq!(take(&one, Metered::Reading, later), Ok(()), "readings are counted apart");
        assert_eq!(take(&one, Metered::Reading, later), wait(60, true));
        assert_eq!(take(&other, Metered::Record, later), Ok(()));
        assert_eq!(take(&one, Metered::Record, now + 60 * MINUTE), Ok(()));
        assert!((0..1_000).all(|_| take(&one, Metered::Answer, now).is_ok()));
    }
}
