//! What the clients know, and the checker that holds it against the log.
//!
//! The rules, each of which [`check`] names when it is broken:
//! - Positions begin at 1 and have no gap and no repeat.
//! - What was acknowledged stands in the log exactly once, at the position of its receipt, with the bytes that were sent.
//! - What was refused does not stand there. What was never answered stands there once or not at all, and whole.
//! - Nothing stands there that nobody sent.
//! - Order: what was acknowledged before another was sent stands before it.
//! - A case's versions are 1, 2, 3 and so on.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use satgas_proto::v1::{Event, Receipt, ReceiptStatus, event::Body};

/// One thing that a client wants recorded.
#[derive(Clone, Debug)]
struct Fact {
    id: String,
    /// When it was first sent, on the clients' common counter.
    sent: u64,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Not answered.
    Unknown,
    /// Acknowledged at a moment of the common counter; the position is 0 where the answer does not tell it.
    Acknowledged { at: u64, position: u64, place: Place },
    /// Refused.
    Refused,
}

/// How a fact stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// For itself.
    Stands,
    /// Beside another one with the same id or in its place.
    Aside,
    /// The answer does not tell.
    Either,
}

/// Everything that the clients of a run have sent and been told.
#[derive(Debug, Default)]
pub(crate) struct History {
    facts: Vec<Fact>,
    /// Facts by their id and bytes; without bytes it is an identity, whose seal nobody can foretell.
    by_content: HashMap<(String, Vec<u8>), usize>,
    moment: u64,
    acknowledged: u64,
    wrong: Vec<String>,
}

/// A fact of the history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FactId(usize);

impl History {
    /// Notes that something is being sent, for the first time or again.
    pub(crate) fn sent(&mut self, id: &str, content: Vec<u8>) -> FactId {
        self.moment += 1;
        let (moment, facts) = (self.moment, &mut self.facts);
        let index = *self.by_content.entry((id.to_owned(), content)).or_insert_with(|| {
            facts.push(Fact { id: id.to_owned(), sent: moment, outcome: Outcome::Unknown });
            facts.len() - 1
        });
        FactId(index)
    }

    /// Notes the receipt for it.
    pub(crate) fn receipt(&mut self, fact: FactId, receipt: &Receipt) {
        let id = self.facts[fact.0].id.clone();
        if receipt.submission_id != id {
            self.wrong.push(format!("the receipt for {id} names {}", receipt.submission_id));
        }
        match receipt.status() {
            ReceiptStatus::Accepted => self.acknowledged(fact, receipt.position, Place::Stands),
            // A second correction of one version stands in the log for itself; other content under a known id stands beside it.
            ReceiptStatus::Conflict | ReceiptStatus::AlreadyKnown => {
                self.acknowledged(fact, receipt.position, Place::Either);
            }
            // All that is sent is well-formed.
            status => self.wrong.push(format!("{id} was answered with {status:?}: {:?}", receipt.violations)),
        }
    }

    /// Notes that an identity was sealed.
    pub(crate) fn sealed(&mut self, fact: FactId) {
        self.acknowledged(fact, 0, Place::Stands);
    }

    /// Notes that it was refused for good.
    pub(crate) fn refused(&mut self, fact: FactId) {
        self.moment += 1;
        let known = &mut self.facts[fact.0];
        if matches!(known.outcome, Outcome::Acknowledged { .. }) {
            self.wrong.push(format!("{} was refused after it had been acknowledged", known.id));
        } else {
            known.outcome = Outcome::Refused;
        }
    }

    /// Notes something else that must not be.
    pub(crate) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    fn acknowledged(&mut self, fact: FactId, position: u64, place: Place) {
        self.moment += 1;
        let at = self.moment;
        let known = &mut self.facts[fact.0];
        match known.outcome {
            Outcome::Unknown => {
                known.outcome = Outcome::Acknowledged { at, position, place };
                self.acknowledged += 1;
            }
            Outcome::Acknowledged { position: before, .. } if before == position => {}
            before => self.wrong.push(format!("{} was answered with {position} after {before:?}", known.id)),
        }
    }

    /// How many facts were acknowledged so far.
    pub(crate) fn acknowledgements(&self) -> u64 {
        self.acknowledged
    }

    /// How many facts were never answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.facts.iter().filter(|fact| fact.outcome == Outcome::Unknown).count()
    }
}

/// Id, bytes and place of what a client sent.
type OfClient<'a> = (&'a str, Vec<u8>, Place);

/// An event as the checker looks at it; `None` for one that is no client's.
fn of_client(event: &Event) -> Result<Option<OfClient<'_>>, String> {
    Ok(match &event.body {
        Some(Body::Submitted(s)) => Some((s.submission_id.as_str(), s.encode_to_vec(), Place::Stands)),
        Some(Body::Conflicting(c)) => {
            let submission = c.submission.as_ref().ok_or("a conflict without a submission")?;
            Some((submission.submission_id.as_str(), submission.encode_to_vec(), Place::Aside))
        }
        Some(Body::CaseAdvanced(a)) => {
            let command = a.command.as_ref().ok_or("a step without a command")?;
            Some((command.command_id.as_str(), command.encode_to_vec(), Place::Stands))
        }
        Some(Body::IdentitySealed(s)) => Some((s.command_id.as_str(), Vec::new(), Place::Stands)),
        // The server's own, and what was registered before the clients began.
        Some(Body::LogOpened(_) | Body::Registered(_) | Body::DeadlineMissed(_)) => None,
        other => return Err(format!("an event that nobody asked for: {other:?}")),
    })
}

/// Holds the history against the whole log. Every breach in a sentence; none is as it should be.
pub(crate) fn check(history: &History, log: &[Event]) -> Vec<String> {
    let mut breaches = history.wrong.clone();
    let mut found: HashMap<usize, u64> = HashMap::new();
    let mut standing = HashSet::new();
    let mut versions: HashMap<&str, u64> = HashMap::new();
    for (event, expected) in log.iter().zip(1..) {
        let at = event.position;
        if at != expected {
            breaches.push(format!("position {at} stands where {expected} should"));
        }
        if let Err(breach) = version(event, &mut versions) {
            breaches.push(format!("position {at}: {breach}"));
        }
        let (id, content, place) = match of_client(event) {
            Ok(None) => continue,
            Ok(Some(known)) => known,
            Err(what) => {
                breaches.push(format!("position {at}: {what}"));
                continue;
            }
        };
        let Some(index) = history.by_content.get(&(id.to_owned(), content)) else {
            breaches.push(format!("position {at}: {id} was never sent with these bytes"));
            continue;
        };
        if let Some(before) = found.insert(*index, at) {
            breaches.push(format!("position {at}: {id} stands at {before} already"));
        }
        if place == Place::Stands && !standing.insert(id.to_owned()) {
            breaches.push(format!("position {at}: {id} stands twice with different bytes"));
        }
        match history.facts[*index].outcome {
            Outcome::Refused => breaches.push(format!("position {at}: {id} was refused")),
            Outcome::Acknowledged { place: told, .. } if told != Place::Either && told != place => {
                breaches.push(format!("position {at}: {id} is {place:?} and was answered as {told:?}"));
            }
            Outcome::Acknowledged { .. } | Outcome::Unknown => {}
        }
    }
    breaches.extend(missing(history, &found));
    breaches.extend(disorder(history, &found));
    breaches
}

/// Each event of a case is its next version.
fn version<'a>(event: &'a Event, versions: &mut HashMap<&'a str, u64>) -> Result<(), String> {
    let (case, version) = match &event.body {
        Some(Body::CaseAdvanced(a)) => (a.command.as_ref().map_or("", |c| c.case_id.as_str()), a.version),
        Some(Body::IdentitySealed(s)) => (s.case_id.as_str(), s.version),
        _ => return Ok(()),
    };
    let before = versions.insert(case, version).unwrap_or(1);
    if version == before + 1 { Ok(()) } else { Err(format!("version {version} of case {case} follows {before}")) }
}

fn missing(history: &History, found: &HashMap<usize, u64>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (index, fact) in history.facts.iter().enumerate() {
        let Outcome::Acknowledged { position, .. } = fact.outcome else { continue };
        match found.get(&index) {
            None => breaches.push(format!("{} was acknowledged at {position} and is lost", fact.id)),
            Some(at) if position != 0 && *at != position => {
                breaches.push(format!("{} was acknowledged at {position} and stands at {at}", fact.id));
            }
            Some(_) => {}
        }
    }
    breaches
}

/// Goes through the moments in their order: whatever is sent must come to stand behind all that had been acknowledged by then.
fn disorder(history: &History, found: &HashMap<usize, u64>) -> Vec<String> {
    // A moment is either a sending or an acknowledgement, never both.
    let mut moments: Vec<(u64, bool, u64, &str)> = Vec::new();
    for (index, at) in found {
        let fact = &history.facts[*index];
        moments.push((fact.sent, true, *at, &fact.id));
        if let Outcome::Acknowledged { at: acknowledged, .. } = fact.outcome {
            moments.push((acknowledged, false, *at, &fact.id));
        }
    }
    moments.sort_unstable();
    let mut last = 0;
    let mut breaches = Vec::new();
    for (_, sending, at, id) in moments {
        if !sending {
            last = last.max(at);
        } else if at <= last {
            breaches.push(format!("{id} was sent after {last} had been acknowledged and stands at {at}"));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use satgas_proto::v1::{CaseAdvanced, CaseCommand, ConflictingSubmission, Submission};

    use super::*;

    fn submission(id: &str, sequence: u64) -> Submission {
        Submission { submission_id: id.to_owned(), device_sequence: sequence, ..Default::default() }
    }

    fn event(position: u64, body: Body) -> Event {
        Event { position, body: Some(body), ..Default::default() }
    }

    fn submitted(position: u64, id: &str) -> Event {
        event(position, Body::Submitted(Box::new(submission(id, 1))))
    }

    fn receipt(id: &str, status: ReceiptStatus, position: u64) -> Receipt {
        Receipt { submission_id: id.to_owned(), status: status.into(), position, ..Default::default() }
    }

    fn send(history: &mut History, id: &str, sequence: u64) -> FactId {
        history.sent(id, submission(id, sequence).encode_to_vec())
    }

    /// `a` acknowledged at 1, then `b` at 2, `c` never answered, `d` refused.
    fn history() -> History {
        let mut history = History::default();
        for (id, position) in [("a", 1), ("b", 2)] {
            let fact = send(&mut history, id, 1);
            history.receipt(fact, &receipt(id, ReceiptStatus::Accepted, position));
        }
        send(&mut history, "c", 1);
        let fact = send(&mut history, "d", 1);
        history.refused(fact);
        history
    }

    fn breach(history: &History, log: &[Event], part: &str) {
        let breaches = check(history, log);
        assert!(breaches.iter().any(|breach| breach.contains(part)), "{part:?} is not in {breaches:?}");
    }

    #[test]
    fn a_log_with_all_that_was_acknowledged_holds_with_or_without_what_was_not_answered() {
        let none: Vec<String> = Vec::new();
        assert_eq!(check(&history(), &[submitted(1, "a"), submitted(2, "b")]), none);
        assert_eq!(check(&history(), &[submitted(1, "a"), submitted(2, "b"), submitted(3, "c")]), none);
        assert_eq!(history().unanswered(), 1);
    }

    #[test]
    fn what_is_lost_doubled_moved_refused_or_invented_is_told() {
        breach(&history(), &[submitted(1, "a")], "b was acknowledged at 2 and is lost");
        breach(&history(), &[submitted(1, "a"), submitted(2, "b"), submitted(3, "a")], "a stands at 1 already");
        breach(&history(), &[submitted(1, "b"), submitted(2, "a")], "a was acknowledged at 1 and stands at 2");
        breach(&history(), &[submitted(1, "a"), submitted(2, "b"), submitted(3, "d")], "d was refused");
        breach(&history(), &[submitted(1, "a"), submitted(2, "b"), submitted(3, "e")], "e was never sent");
        breach(&history(), &[submitted(1, "a"), submitted(3, "b")], "position 3 stands where 2 should");
        let halved = event(3, Body::Submitted(Box::new(submission("c", 0))));
        breach(&history(), &[submitted(1, "a"), submitted(2, "b"), halved], "c was never sent with these bytes");
        breach(&history(), &[event(1, Body::HoldPlaced(Default::default()))], "nobody asked for");
    }

    #[test]
    fn what_stands_before_what_was_acknowledged_before_it_was_sent_is_told() {
        // Not answered, so that no receipt tells its position.
        breach(&history(), &[submitted(1, "c"), submitted(2, "a"), submitted(3, "b")], "c was sent after 3");
    }

    #[test]
    fn other_content_under_a_known_id_is_kept_beside_it_and_told_when_it_is_not() {
        let mut history = history();
        let fact = send(&mut history, "a", 2);
        history.receipt(fact, &receipt("a", ReceiptStatus::Conflict, 3));
        let aside = |position| {
            let other = Some(submission("a", 2));
            event(
                position,
                Body::Conflicting(Box::new(ConflictingSubmission { submission: other, ..Default::default() })),
            )
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(check(&history, &[submitted(1, "a"), submitted(2, "b"), aside(3)]), none);
        breach(&history, &[submitted(1, "a"), submitted(2, "b")], "a was acknowledged at 3 and is lost");
        let standing = event(3, Body::Submitted(Box::new(submission("a", 2))));
        breach(&history, &[submitted(1, "a"), submitted(2, "b"), standing], "a stands twice with different bytes");
    }

    #[test]
    fn an_answer_that_does_not_agree_with_an_earlier_one_is_told() {
        let mut history = History::default();
        let fact = send(&mut history, "a", 1);
        history.receipt(fact, &receipt("a", ReceiptStatus::Accepted, 1));
        history.receipt(fact, &receipt("a", ReceiptStatus::AlreadyKnown, 1));
        assert_eq!(check(&history, &[submitted(1, "a")]), Vec::<String>::new());
        history.receipt(fact, &receipt("a", ReceiptStatus::AlreadyKnown, 2));
        breach(&history, &[submitted(1, "a")], "a was answered with 2");
        history.refused(fact);
        breach(&history, &[submitted(1, "a")], "refused after it had been acknowledged");
    }

    #[test]
    fn a_case_whose_versions_jump_is_told() {
        let mut history = History::default();
        let command = CaseCommand { command_id: "s".into(), case_id: "k".into(), ..Default::default() };
        history.sent("s", command.encode_to_vec());
        let step = |version| event(1, Body::CaseAdvanced(CaseAdvanced { command: Some(command.clone()), version }));
        assert_eq!(check(&history, &[step(2)]), Vec::<String>::new());
        breach(&history, &[step(3)], "version 3 of case k follows 1");
    }
}
