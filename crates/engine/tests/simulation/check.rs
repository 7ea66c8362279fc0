//! What must hold of every history, said without the engine: from what callers sent and heard, and from the log that is left.
//!
//! - What was acknowledged is in the log where its receipt says, whole, once, and was durable when the receipt came.
//! - The same content under the same id has one position for ever, whoever sends it and however often; other content under it is kept beside it.
//! - Who was told that nothing was written left nothing behind; of a message that nobody answered all is there or nothing.
//! - What was sent after an answer lies behind what was answered; what one client sent in a row lies in its order.
//! - A step is taken on the version that it expects; one that is refused as stale names a version that the case had while it was asked.
//! - Nobody reads a gap, a repeat, or what is not durable.
//! - Nothing is in the log that nobody sent, and no deadline is missed twice.
//!
//! What must hold of people's data, decisions and releases is said in [`ledger`](crate::ledger).

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use satgas_domain::{case::Refusal, time::Instant};
use satgas_proto::v1::{self, ReceiptStatus, event::Body, registry_entry::Entry, submission::Content};

use crate::{
    commands::{Command, Refused},
    history::{Answer, Attempt, History, Sent, Stamp},
    ledger::Ledger,
    reader::{self, Reader, View},
};

/// Checks a history against its log, of which the first `before` events were there when it began, and `texts` is what is sealed in it. Returns
/// what was sent that is in the log, by position.
pub(crate) fn check(
    history: &History,
    readers: &[Reader],
    log: &[v1::Event],
    texts: &BTreeMap<u64, String>,
    before: u64,
) -> BTreeMap<u64, Sent> {
    let known = Known::of(history, log, texts, before);
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
    known.commands_became_what_they_say();
    let purposes: BTreeSet<&str> = history.tries.iter().map(|one| one.purpose.as_str()).collect();
    assert!(known.ledger.readings().all(|purpose| purposes.contains(purpose)), "a reading that nobody asked for");
    for one in &history.tries {
        known.ledger.shown(one, texts, log);
    }
    known.held
}

/// Content as a key: what is sent, encoded.
type Key = Vec<u8>;

fn key(sent: &Sent) -> Key {
    let (tag, mut encoded) = match sent {
        Sent::Record(record) => (0, record.encode_to_vec()),
        Sent::Step(step) => (1, step.encode_to_vec()),
        Sent::Area(code) => (2, code.clone().into_bytes()),
        Sent::Late(record) => (3, record.encode_to_vec()),
        Sent::Command(command) => (4, command.key().into_bytes()),
    };
    encoded.push(tag);
    encoded
}

/// What an event holds that somebody sent; `text` is what is sealed in it, where that can be known.
fn held(event: &v1::Event, text: Option<&str>, commands: &BTreeMap<&str, Vec<&Attempt>>) -> Option<Sent> {
    let id: &str = match event.body.as_ref().expect("an event has a body") {
        Body::Submitted(record) => return Some(Sent::Record(v1::Submission::clone(record))),
        Body::Conflicting(conflict) => return Some(Sent::Record(conflict.submission.clone().expect("what conflicts"))),
        Body::Quarantined(kept) => return Some(Sent::Late(kept.submission.clone().expect("what is kept apart"))),
        Body::CaseAdvanced(step) => return Some(Sent::Step(step.command.clone().expect("a step"))),
        Body::Registered(v1::RegistryEntry { entry: Some(Entry::Area(area)), .. }) => {
            return Some(Sent::Area(area.code.clone()));
        }
        Body::DeadlineMissed(_) | Body::IdentityErased(_) | Body::IdentityRead(_) => return None,
        Body::QuarantineDecided(decided) => {
            let decision = decided.decision.as_ref().expect("a decision");
            if decision.verdict() == v1::QuarantineVerdict::Resent {
                return None;
            }
            &decision.command_id
        }
        // Left for the reporter with the decision before it.
        Body::PublicReportMessage(message) if message.command_id.is_empty() => return None,
        Body::ConflictResolved(resolution) => &resolution.command_id,
        Body::ReleasePublished(release) => &release.release_id,
        body => satgas_domain::sealed::command_of(body).unwrap_or_else(|| panic!("nobody sent {body:?}")),
    };
    let became = |attempt: &&&Attempt| match &attempt.what {
        Sent::Command(command) => command.became(event, text),
        _ => false,
    };
    let sent: Vec<&&Attempt> = commands.get(id).into_iter().flatten().filter(became).collect();
    // Where the key is gone, who was told that it was taken knows best.
    let told = |attempt: &&&&Attempt| match &attempt.answered {
        Some((_, Answer::Receipt(receipt))) => receipt.position == event.position,
        Some((_, answer)) => matches!(answer, Answer::Taken),
        None => false,
    };
    let first = sent.iter().find(told).or(sent.first()).unwrap_or_else(|| panic!("nobody sent {event:?}"));
    Some(first.what.clone())
}

struct Known<'a> {
    history: &'a History,
    log: &'a [v1::Event],
    texts: &'a BTreeMap<u64, String>,
    before: u64,
    ledger: Ledger,
    /// What was sent that is in the log, by position.
    held: BTreeMap<u64, Sent>,
    /// Where each content stands.
    places: BTreeMap<Key, u64>,
    attempts: BTreeMap<Key, Vec<&'a Attempt>>,
    /// Where each id of a record was taken first.
    taken: BTreeMap<String, u64>,
    /// Positions at which a case came to its versions, from 1 on.
    versions: BTreeMap<String, Vec<u64>>,
}

impl<'a> Known<'a> {
    fn of(history: &'a History, log: &'a [v1::Event], texts: &'a BTreeMap<u64, String>, before: u64) -> Self {
        let mut commands = BTreeMap::<_, Vec<_>>::new();
        for attempt in history.attempts.iter().filter(|attempt| matches!(attempt.what, Sent::Command(_))) {
            commands.entry(attempt.what.id()).or_default().push(attempt);
        }
        let ledger = Ledger::of(log, before);
        let mut all_held = BTreeMap::new();
        let (mut places, mut taken, mut versions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::<_, Vec<u64>>::new());
        for (event, position) in log.iter().zip(1..) {
            assert_eq!(event.position, position, "positions have no gaps");
            let text = texts.get(&position).map(String::as_str);
            let Some(sent) = (position > before).then(|| held(event, text, &commands)).flatten() else { continue };
            all_held.insert(position, sent.clone());
            if let Some(first) = places.insert(key(&sent), position) {
                panic!("the same is in the log twice, at {first} and {position}: {sent:?}");
            }
            if let Sent::Record(record) = &sent {
                taken.entry(record.submission_id.clone()).or_insert(position);
            }
            match event.body.as_ref() {
                Some(Body::Submitted(record)) if matches!(record.content, Some(Content::CaseReport(_))) => {
                    versions.entry(record.submission_id.clone()).or_default().push(position);
                }
                Some(Body::CaseAdvanced(step)) => {
                    let case_id = step.command.as_ref().expect("a step").case_id.clone();
                    versions.entry(case_id).or_default().push(position);
                }
                Some(Body::IdentitySealed(sealed)) => {
                    versions.entry(sealed.case_id.clone()).or_default().push(position);
                }
                _ => {}
            }
        }
        let mut attempts = BTreeMap::<_, Vec<_>>::new();
        for attempt in &history.attempts {
            attempts.entry(key(&attempt.what)).or_default().push(attempt);
        }
        Self { history, log, texts, before, ledger, held: all_held, places, attempts, taken, versions }
    }

    fn at(&self, position: u64) -> &v1::Event {
        let index = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        index.and_then(|index| self.log.get(index)).unwrap_or_else(|| panic!("{position} is not in the log"))
    }

    fn place(&self, sent: &Sent) -> Option<u64> {
        self.places.get(&key(sent)).copied()
    }

    /// Where each content stands that stands for itself, and does not follow from a decision on it.
    fn sent_places(&self) -> impl Iterator<Item = (&Key, &u64)> {
        self.places.iter().filter(|(_, position)| !self.ledger.follows(**position))
    }

    /// The version of a case when the event at a position had been recorded.
    fn version(&self, case_id: &str, position: u64) -> Option<u64> {
        let reached = self.versions.get(case_id)?.partition_point(|at| *at <= position);
        (reached > 0).then_some(reached as u64)
    }

    fn nothing_is_in_the_log_that_nobody_sent(&self) {
        for (content, position) in self.sent_places() {
            let attempts = self.attempts.get(content);
            let first = attempts.unwrap_or_else(|| panic!("nobody sent what is at {position}"))[0];
            assert!(first.sent.head < *position, "what is at {position} was there before it was sent");
        }
    }

    fn every_id_stands_for_what_came_first(&self) {
        let mut first = BTreeMap::new();
        for event in self.log.iter().filter(|event| event.position > self.before) {
            let Some(sent) = self.held.get(&event.position) else { continue };
            // What was kept apart has taken no id, and the case that a report becomes has the report's.
            if matches!(sent, Sent::Late(_)) || (matches!(sent, Sent::Record(_)) && self.ledger.is_report(sent.id())) {
                continue;
            }
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
                    Some(Body::IdentitySealed(sealed)) => {
                        assert_eq!(sealed.version, version, "case {case_id} at {position}");
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
                let counts_at = |position: u64| {
                    let Sent::Late(record) = &attempt.what else { return stands_at(position) };
                    assert!(position <= stamp.head, "acknowledged before it was durable: {}", whole());
                    assert_eq!(self.place(&Sent::Record(record.clone())), Some(position), "it counts: {}", whole());
                };
                match receipt.status() {
                    ReceiptStatus::Accepted | ReceiptStatus::Conflict => is_new(receipt.position),
                    ReceiptStatus::AlreadyKnown => counts_at(receipt.position),
                    ReceiptStatus::Rejected => assert!(is_bad(&attempt.what), "refused: {}", whole()),
                    ReceiptStatus::Quarantined if matches!(attempt.what, Sent::Late(_)) => stands_at(receipt.position),
                    ReceiptStatus::QuarantineRefused => {
                        let refused = self.ledger.decided(receipt.position);
                        let told = refused
                            .is_some_and(|(at, verdict)| at <= stamp.head && verdict == v1::QuarantineVerdict::Refuse);
                        assert!(told, "nobody had refused it: {}", whole());
                    }
                    _ => panic!("{}", whole()),
                }
                if matches!(attempt.what, Sent::Record(_)) {
                    self.status_fits(receipt, stamp.head);
                }
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
                // Of a report whose id is a case's, or that was erased, nothing more is told.
                if *position > 0 {
                    let by = self.held.get(position).expect("something that was sent");
                    let is_blind = is_sealed(self.at(*position)) && !self.texts.contains_key(position);
                    let differs = is_blind || key(by) != key(&attempt.what);
                    assert!(by.id() == attempt.what.id() && differs, "not taken at {position}: {}", whole());
                }
            }
            Answer::Denied(refused) => self.denial_holds(attempt, stamp, refused),
            Answer::Taken => {
                assert!(self.place(&attempt.what).is_some_and(|at| at <= stamp.head), "not taken: {}", whole());
            }
            Answer::Registered(0, _) => {
                assert!(self.place(&attempt.what).is_some_and(|at| at <= stamp.head), "not registered: {}", whole());
            }
            Answer::Registered(_, position) => is_new(*position),
            Answer::Nothing | Answer::Partly | Answer::Unknown => {}
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
        there.and_then(|at| self.held.get(at)).is_none_or(|target| corrects(target).is_some())
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

    fn denial_holds(&self, attempt: &Attempt, stamp: Stamp, refused: &Refused) {
        let Sent::Command(command) = &attempt.what else { panic!("{attempt:?}") };
        match (command, refused) {
            (_, Refused::Seals(refusal)) => {
                self.ledger.refusal_holds(command.case().unwrap_or_default(), refusal, stamp.head);
            }
            (Command::Decide(decided), Refused::Violations(_)) => {
                let of = decided.decision.as_ref().map_or(0, |decision| decision.quarantined_position);
                let told = self.ledger.decided(of).is_some_and(|(at, _)| at <= stamp.head);
                assert!(told, "it was not decided on: {attempt:?}");
            }
            (Command::Resolve(resolution), Refused::Violations(violations)) => {
                let decided = |v: &v1::Violation| v.reason.contains("was decided already");
                let told = self.ledger.resolved(resolution.conflict_position).is_some_and(|at| at <= stamp.head);
                assert!(told || !violations.iter().any(decided), "it was not decided: {attempt:?}");
            }
            (Command::Release(release), Refused::Violations(_)) => {
                let draft = release.draft.clone().unwrap_or_default();
                let told = self.ledger.overlapping(&draft).is_some_and(|at| at <= stamp.head);
                assert!(told || !draft.corrects_id.is_empty(), "nothing was published: {attempt:?}");
            }
            _ => panic!("{attempt:?}"),
        }
    }

    /// A release has the figures of who was told that it is new; a decision on a report has what it leaves for its reporter behind it.
    fn commands_became_what_they_say(&self) {
        for (position, sent) in &self.held {
            let Sent::Command(command) = sent else { continue };
            let attempts = &self.attempts[&key(sent)];
            match (command, self.at(*position).body.as_ref()) {
                (Command::Release(_), Some(Body::ReleasePublished(published))) => {
                    let told = |attempt: &&&Attempt| {
                        attempt.answered.as_ref().is_some_and(|(_, answer)| new_position(answer) == Some(*position))
                    };
                    let first = attempts.iter().find(told);
                    let counted = |attempt: &&Attempt| match &attempt.what {
                        Sent::Command(Command::Release(release)) => release.areas == published.areas,
                        _ => false,
                    };
                    let same = first.map_or_else(|| attempts.iter().any(&counted), &counted);
                    assert!(same, "{position} was published with other figures: {published:?}");
                }
                (Command::Triage { request, answer, .. }, _) => {
                    let opens = matches!(&request.decision, Some(v1::triage_report_request::Decision::OpenCase(_)));
                    let behind = position + 1 + u64::from(opens);
                    let left = self.log.get(usize::try_from(behind - 1).expect("a short log")).filter(|event| {
                        matches!(&event.body, Some(Body::PublicReportMessage(message)) if message.command_id.is_empty())
                    });
                    assert_eq!(left.is_some(), answer.is_some(), "what {position} leaves for the reporter");
                    let text = left.and_then(|_| self.texts.get(&behind));
                    assert!(text.is_none() || text == answer.as_ref(), "{position} leaves another text");
                }
                _ => {}
            }
        }
    }

    /// What is in the log was written by an attempt that was told so, or that was not told anything.
    fn what_was_written_was_not_denied(&self) {
        for (content, position) in self.sent_places() {
            let wrote = |attempt: &&&Attempt| match &attempt.answered {
                None | Some((_, Answer::Unknown | Answer::Partly | Answer::Taken)) => true,
                // The first is told the same as those that come later.
                Some((_, Answer::Receipt(receipt))) if receipt.status() == ReceiptStatus::Quarantined => true,
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
        for (content, position) in self.sent_places() {
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
            // What was kept apart, too, may have come or not by other ways.
            let is_late = |record: &v1::Submission| self.attempts.contains_key(&key(&Sent::Late(record.clone())));
            let once = self.attempts[&key(&attempt.what)].len() == 1
                && !matches!(&attempt.what, Sent::Record(record) if is_late(record));
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
        Answer::Refused(_) | Answer::Denied(_) | Answer::Taken => 0,
        Answer::Nothing | Answer::Partly | Answer::Unknown => 0,
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

/// Whether an event says something that only a key shows.
fn is_sealed(event: &v1::Event) -> bool {
    matches!(event.body, Some(Body::IdentitySealed(_) | Body::PublicReportReceived(_) | Body::PublicReportMessage(_)))
}

/// The record that is sent.
fn record(what: &Sent) -> Option<&Content> {
    match what {
        Sent::Record(record) | Sent::Late(record) => record.content.as_ref(),
        _ => None,
    }
}

/// The id of what a record corrects.
fn corrects(what: &Sent) -> Option<&str> {
    match record(what)? {
        Content::Amendment(amendment) => Some(&amendment.corrects_id),
        Content::Retraction(retraction) => Some(&retraction.retracts_id),
        _ => None,
    }
}

/// A record that must be refused, however the log stands.
fn is_bad(what: &Sent) -> bool {
    match record(what) {
        Some(Content::SchoolVisit(visit)) => visit.reach.as_ref().is_some_and(|reach| reach.pupils_female < 0),
        _ => false,
    }
}
