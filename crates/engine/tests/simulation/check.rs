//! What must hold of every history, said without the engine: from what callers sent and heard, and from the log that is left.
//!
//! - What was acknowledged is in the log where its receipt says, whole, once, and was durable when the receipt came.
//! - The same content under the same id has one position for ever, whoever sends it and however often; other content under it is kept beside it.
//! - Who was told that nothing was written left nothing behind; of a message that nobody answered all is there or nothing.
//! - What was sent after an answer lies behind what was answered; what one client sent in a row lies in its order.
//! - A step is taken on the version that it expects; one that is refused as stale names a version that the case had while it was asked.
//! - Nobody reads a gap, a repeat, or what is not durable.
//! - Nothing is in the log that nobody sent, and no deadline is missed twice.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use satgas_domain::{case::Refusal, time::Instant};
use satgas_proto::v1::{self, ReceiptStatus, event::Body, registry_entry::Entry, submission::Content};

use crate::{
    history::{Answer, Attempt, History, Sent, Stamp},
    reader::{self, Reader, View},
};

/// Checks a history against its log, of which the first `before` events were there when it began.
pub(crate) fn check(history: &History, readers: &[Reader], log: &[v1::Event], before: u64) {
    let known = Known::of(history, log, before);
    known.nothing_is_in_the_log_that_nobody_sent();
    known.every_id_stands_for_what_came_first();
    known.time_never_goes_back_and_no_deadline_is_missed_twice();
    known.cases_advance_by_one();
    for attempt in &history.attempts {
        if let Some((stamp, answer)) = &attempt.answered {
            known.answer_holds(attempt, *stamp, answer);
        }
    }
    known.what_was_written_was_not_denied();
    known.later_lies_behind();
    known.bursts_keep_their_order_and_messages_are_whole();
    for look in &history.looks {
        assert_eq!(
            known.version(&look.case_id, look.position),
            look.version,
            "the views at {}: {look:?}",
            look.position
        );
    }
    for reader in readers {
        known.reader_saw_everything_once(reader);
    }
}

/// Content as a key: what is sent, encoded.
type Key = Vec<u8>;

fn key(sent: &Sent) -> Key {
    let (tag, mut encoded) = match sent {
        Sent::Record(record) => (0, record.encode_to_vec()),
        Sent::Step(step) => (1, step.encode_to_vec()),
        Sent::Area(code) => (2, code.clone().into_bytes()),
    };
    encoded.push(tag);
    encoded
}

/// What an event holds that somebody sent.
fn held(event: &v1::Event) -> Option<Sent> {
    match event.body.as_ref().expect("an event has a body") {
        Body::Submitted(record) => Some(Sent::Record(record.clone())),
        Body::Conflicting(conflict) => Some(Sent::Record(conflict.submission.clone().expect("what conflicts"))),
        Body::CaseAdvanced(step) => Some(Sent::Step(step.command.clone().expect("a step"))),
        Body::Registered(v1::RegistryEntry { entry: Some(Entry::Area(area)), .. }) => {
            Some(Sent::Area(area.code.clone()))
        }
        Body::DeadlineMissed(_) => None,
        other => panic!("nobody sent {other:?}"),
    }
}

struct Known<'a> {
    history: &'a History,
    log: &'a [v1::Event],
    before: u64,
    /// Where each content stands.
    places: BTreeMap<Key, u64>,
    attempts: BTreeMap<Key, Vec<&'a Attempt>>,
    /// Where each id of a record was taken first.
    taken: BTreeMap<String, u64>,
    /// Positions at which a case came to its versions, from 1 on.
    versions: BTreeMap<String, Vec<u64>>,
}

impl<'a> Known<'a> {
    fn of(history: &'a History, log: &'a [v1::Event], before: u64) -> Self {
        let (mut places, mut taken, mut versions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::<_, Vec<u64>>::new());
        for (event, position) in log.iter().zip(1..) {
            assert_eq!(event.position, position, "positions have no gaps");
            let Some(sent) = (position > before).then(|| held(event)).flatten() else { continue };
            if let Some(first) = places.insert(key(&sent), position) {
                panic!("the same is in the log twice, at {first} and {position}: {sent:?}");
            }
            if let Sent::Record(record) = &sent {
                taken.entry(record.submission_id.clone()).or_insert(position);
            }
            match event.body.as_ref() {
                Some(Body::Submitted(v1::Submission {
                    submission_id, content: Some(Content::CaseReport(_)), ..
                })) => {
                    versions.entry(submission_id.clone()).or_default().push(position);
                }
                Some(Body::CaseAdvanced(step)) => {
                    let case_id = step.command.as_ref().expect("a step").case_id.clone();
                    versions.entry(case_id).or_default().push(position);
                }
                _ => {}
            }
        }
        let mut attempts = BTreeMap::<_, Vec<_>>::new();
        for attempt in &history.attempts {
            attempts.entry(key(&attempt.what)).or_default().push(attempt);
        }
        Self { history, log, before, places, attempts, taken, versions }
    }

    fn at(&self, position: u64) -> &v1::Event {
        let index = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        index.and_then(|index| self.log.get(index)).unwrap_or_else(|| panic!("{position} is not in the log"))
    }

    fn place(&self, sent: &Sent) -> Option<u64> {
        self.places.get(&key(sent)).copied()
    }

    /// The version of a case when the event at a position had been recorded.
    fn version(&self, case_id: &str, position: u64) -> Option<u64> {
        let reached = self.versions.get(case_id)?.partition_point(|at| *at <= position);
        (reached > 0).then_some(reached as u64)
    }

    fn nothing_is_in_the_log_that_nobody_sent(&self) {
        for (content, position) in &self.places {
            let attempts = self.attempts.get(content);
            let first = attempts.unwrap_or_else(|| panic!("nobody sent what is at {position}"))[0];
            assert!(first.sent.head < *position, "what is at {position} was there before it was sent");
        }
    }

    fn every_id_stands_for_what_came_first(&self) {
        let mut first = BTreeMap::new();
        for event in self.log.iter().filter(|event| event.position > self.before) {
            let Some(sent) = held(event) else { continue };
            let stands = *first.entry(sent.id().to_owned()).or_insert(event.position);
            match &event.body {
                Some(Body::Conflicting(conflict)) => {
                    assert_eq!(conflict.stands_position, stands, "what the conflict at {} is about", event.position);
                    assert!(stands < event.position, "a conflict needs something that stands");
                }
                _ => assert_eq!(stands, event.position, "an id was taken twice: {sent:?}"),
            }
        }
    }

    fn time_never_goes_back_and_no_deadline_is_missed_twice(&self) {
        let (mut last, mut missed) = (None, BTreeSet::new());
        for event in self.log {
            let recorded = event.recorded_at.as_ref().and_then(Instant::from_proto).expect("a time");
            assert!(last <= Some(recorded), "time goes back at {}", event.position);
            last = Some(recorded);
            if let Some(Body::DeadlineMissed(deadline)) = &event.body {
                let due = deadline.due_at.as_ref().and_then(Instant::from_proto).expect("it was due");
                let which = (deadline.kind, &deadline.item_id, &deadline.detail, due);
                assert!(missed.insert(which), "a deadline is missed twice: {deadline:?}");
                assert!(due <= recorded, "a deadline is missed before it is due: {deadline:?}");
            }
        }
    }

    fn cases_advance_by_one(&self) {
        for (case_id, positions) in &self.versions {
            for (version, position) in (1..).zip(positions) {
                match &self.at(*position).body {
                    Some(Body::CaseAdvanced(step)) => {
                        let expected = step.command.as_ref().map(|command| command.expected_version + 1);
                        assert_eq!((step.version, expected), (version, Some(version)), "case {case_id} at {position}");
                    }
                    _ => assert_eq!(version, 1, "case {case_id} begins at {position}"),
                }
            }
        }
    }

    fn answer_holds(&self, attempt: &Attempt, stamp: Stamp, answer: &Answer) {
        let whole = || format!("{attempt:?}");
        let stands_at = |position: u64| {
            assert!(position <= stamp.head, "acknowledged before it was durable: {}", whole());
            assert_eq!(self.place(&attempt.what), Some(position), "acknowledged where it does not stand: {}", whole());
        };
        let is_new = |position: u64| {
            stands_at(position);
            assert!(attempt.sent.head < position, "new, and there before: {}", whole());
        };
        match answer {
            Answer::Receipt(receipt) => {
                assert_eq!(receipt.submission_id, attempt.what.id());
                match receipt.status() {
                    ReceiptStatus::Accepted | ReceiptStatus::Conflict => is_new(receipt.position),
                    ReceiptStatus::AlreadyKnown => stands_at(receipt.position),
                    ReceiptStatus::Rejected => assert!(is_bad(&attempt.what), "refused: {}", whole()),
                    _ => panic!("{}", whole()),
                }
                self.status_fits(receipt, stamp.head);
                let may_wait = || self.may_wait(&attempt.what, attempt.sent.head);
                assert!(!receipt.held || may_wait(), "held, though what it waits for was there: {}", whole());
            }
            Answer::Stepped(receipt, version) => {
                match receipt.status() {
                    ReceiptStatus::Accepted => is_new(receipt.position),
                    _ => stands_at(receipt.position),
                }
                let Sent::Step(command) = &attempt.what else { panic!("{}", whole()) };
                assert!(*version > command.expected_version, "the case as it was before: {}", whole());
                assert!(Some(*version) <= self.version(&command.case_id, stamp.head), "not durable yet: {}", whole());
            }
            Answer::Refused(refusal) => self.refusal_holds(attempt, stamp, refusal),
            Answer::IdTaken(position) => {
                assert!(*position <= stamp.head, "taken by what is not durable: {}", whole());
                let by = held(self.at(*position)).expect("something that was sent");
                assert!(by.id() == attempt.what.id() && by != attempt.what, "not taken at {position}: {}", whole());
            }
            Answer::Registered(0, _) => {
                assert!(self.place(&attempt.what).is_some_and(|at| at <= stamp.head), "not registered: {}", whole());
            }
            Answer::Registered(_, position) => is_new(*position),
            Answer::Nothing | Answer::Unknown => {}
        }
    }

    /// What a receipt says of the event that it names.
    fn status_fits(&self, receipt: &v1::Receipt, head: u64) {
        let body = || self.at(receipt.position).body.as_ref();
        match receipt.status() {
            ReceiptStatus::Accepted => assert!(matches!(body(), Some(Body::Submitted(_))), "{receipt:?}"),
            ReceiptStatus::Conflict => match body() {
                Some(Body::Conflicting(conflict)) => assert_eq!(receipt.conflicts_with, conflict.stands_position),
                // A correction that fits no more may meet what came behind it.
                _ => assert!((1..=head).contains(&receipt.conflicts_with), "{receipt:?}"),
            },
            _ => {}
        }
    }

    /// Whether a correction may wait at a position: not when it corrects a record that was there. (What corrects a correction waits until
    /// that one is in effect, which may be never.)
    fn may_wait(&self, correction: &Sent, position: u64) -> bool {
        let Some(target) = corrects(correction) else { return false };
        let there = self.taken.get(target).filter(|at| **at <= position);
        there.and_then(|at| held(self.at(*at))).is_none_or(|target| corrects(&target).is_some())
    }

    fn refusal_holds(&self, attempt: &Attempt, stamp: Stamp, refusal: &Refusal) {
        let Sent::Step(command) = &attempt.what else { panic!("{attempt:?}") };
        let had = |version: u64| {
            (self.version(&command.case_id, attempt.sent.head).unwrap_or(0)..)
                .take_while(|v| Some(*v) <= self.version(&command.case_id, stamp.head))
                .any(|v| v == version)
        };
        match refusal {
            Refusal::StaleVersion { current } => {
                assert_ne!(*current, command.expected_version, "{attempt:?}");
                assert!(had(*current), "a version that the case did not have: {attempt:?}");
            }
            Refusal::NotAllowed { current, .. } => {
                assert_eq!(*current, command.expected_version, "{attempt:?}");
                assert!(had(*current), "a version that the case did not have: {attempt:?}");
            }
            Refusal::UnknownCase => {
                assert_eq!(self.version(&command.case_id, attempt.sent.head), None, "{attempt:?}");
            }
            Refusal::Invalid(_) => panic!("{attempt:?}"),
        }
    }

    /// What is in the log was written by an attempt that was told so, or that was not told anything.
    fn what_was_written_was_not_denied(&self) {
        for (content, position) in &self.places {
            let wrote = |attempt: &&&Attempt| match &attempt.answered {
                None | Some((_, Answer::Unknown)) => true,
                Some((_, answer)) => new_position(answer) == Some(*position),
            };
            let writers: Vec<_> = self.attempts[content].iter().filter(wrote).collect();
            assert!(
                !writers.is_empty(),
                "{position} was written, but all were told otherwise: {:?}",
                self.attempts[content]
            );
            let told = writers
                .iter()
                .filter(|attempt| attempt.answered.as_ref().is_some_and(|(_, a)| new_position(a).is_some()));
            assert!(told.count() <= 1, "two were told that theirs is new: {writers:?}");
        }
    }

    fn later_lies_behind(&self) {
        let answered = |attempt: &Attempt| {
            let (stamp, answer) = attempt.answered.as_ref()?;
            position(answer).map(|position| (stamp.moment, position))
        };
        let mut answers: Vec<_> = self.history.attempts.iter().filter_map(answered).collect();
        answers.sort_unstable();
        for index in 1..answers.len() {
            answers[index].1 = answers[index].1.max(answers[index - 1].1);
        }
        for (content, position) in &self.places {
            let first = self.attempts[content][0];
            let before = answers.partition_point(|(moment, _)| *moment < first.sent.moment);
            let last = before.checked_sub(1).map_or(0, |index| answers[index].1);
            assert!(last < *position, "{position} was sent after {last} was answered: {first:?}");
        }
    }

    fn bursts_keep_their_order_and_messages_are_whole(&self) {
        let mut last = (0, 0);
        for attempt in &self.history.attempts {
            let new = attempt.answered.as_ref().and_then(|(_, answer)| new_position(answer));
            let Some(position) = new else { continue };
            if last.0 == attempt.burst {
                assert!(last.1 < position, "sent later, and before it in the log: {attempt:?}");
            }
            // Bursts of several clients may lie between each other, but each is noted in its own order.
            last = (attempt.burst, position);
        }
        let mut messages = BTreeMap::<_, Vec<bool>>::new();
        for attempt in &self.history.attempts {
            let once = self.attempts[&key(&attempt.what)].len() == 1;
            let is_untold = matches!(&attempt.answered, None | Some((_, Answer::Unknown)));
            if once && is_untold && !is_bad(&attempt.what) && matches!(attempt.what, Sent::Record(_)) {
                let message = messages.entry((attempt.burst, attempt.message)).or_default();
                message.push(self.place(&attempt.what).is_some());
            }
        }
        for (message, there) in messages {
            assert!(there.iter().all(|is| *is == there[0]), "message {message:?} is there in part: {there:?}");
        }
    }

    fn reader_saw_everything_once(&self, reader: &Reader) {
        let is_asked_for = |event: &&v1::Event| match reader.view {
            View::All => true,
            View::Area => event.area_code == reader::AREA || event.area_code.starts_with(&format!("{}.", reader::AREA)),
            View::Lens => reader::is_shown(event.position),
        };
        let expected: Vec<&v1::Event> =
            self.log.iter().filter(|event| event.position <= reader.position).filter(is_asked_for).collect();
        let positions = |events: &mut dyn Iterator<Item = u64>| events.collect::<Vec<_>>();
        assert_eq!(
            positions(&mut reader.events.iter().map(|event| event.position)),
            positions(&mut expected.iter().map(|event| event.position)),
            "a subscriber to {:?} at {} saw a gap or a repeat",
            reader.view,
            reader.position
        );
        assert!(reader.events.iter().eq(expected), "a subscriber to {:?} saw what is not in the log", reader.view);
    }
}

/// Where an answer says that something stands.
fn position(answer: &Answer) -> Option<u64> {
    let position = match answer {
        Answer::Receipt(receipt) | Answer::Stepped(receipt, _) => receipt.position,
        Answer::Registered(_, position) | Answer::IdTaken(position) => *position,
        Answer::Refused(_) | Answer::Nothing | Answer::Unknown => 0,
    };
    (position > 0).then_some(position)
}

/// Where an answer says that something was written.
fn new_position(answer: &Answer) -> Option<u64> {
    let is_new = match answer {
        Answer::Receipt(receipt) => matches!(receipt.status(), ReceiptStatus::Accepted | ReceiptStatus::Conflict),
        Answer::Stepped(receipt, _) => receipt.status() == ReceiptStatus::Accepted,
        Answer::Registered(created, _) => *created > 0,
        _ => false,
    };
    position(answer).filter(|_| is_new)
}

/// The id of what a record corrects.
fn corrects(what: &Sent) -> Option<&str> {
    match what {
        Sent::Record(v1::Submission { content: Some(Content::Amendment(amendment)), .. }) => {
            Some(&amendment.corrects_id)
        }
        Sent::Record(v1::Submission { content: Some(Content::Retraction(retraction)), .. }) => {
            Some(&retraction.retracts_id)
        }
        _ => None,
    }
}

/// A record that must be refused, however the log stands.
fn is_bad(what: &Sent) -> bool {
    match what {
        Sent::Record(v1::Submission { content: Some(Content::SchoolVisit(visit)), .. }) => {
            visit.reach.as_ref().is_some_and(|reach| reach.pupils_female < 0)
        }
        _ => false,
    }
}
