//! What must hold of people's data, decisions and releases: the rules of the log, folded here once more and by themselves.
//!
//! - Nothing is read, sealed, held or said about an identity whose erasure was approved; it took two persons, and no hold stood.
//! - What was approved is carried out, once, and never takes more or less with it than was sealed.
//! - Who reads is in the log before anything is shown, once for each reading; what is shown is what was sealed there.
//! - A record that was kept apart is decided on once. Admitted or sent again with the right it is the next event; refused it never counts.
//! - A report has one decision at a time; what it becomes stands behind the decision, in the same commit.
//! - A conflict is decided once. A release has what was counted when it was published, and no other overlaps with it.

use std::collections::{BTreeMap, BTreeSet};

use satgas_domain::sealed::Refusal;
use satgas_proto::v1::{self, PublicReportVerdict, QuarantineVerdict, event::Body};

use crate::readings::{Reading, Shown, Try};

/// A case or report with seals.
#[derive(Default)]
struct Person {
    /// Positions of its seals of identities, and of its report.
    sealed: Vec<u64>,
    report: Option<u64>,
    holds: BTreeSet<String>,
    /// Who has asked for the erasure.
    requested: Option<String>,
    approved: Option<u64>,
    erased: Option<u64>,
}

/// A report of the public.
struct Report {
    version: u64,
    verdict: PublicReportVerdict,
    /// Positions of its messages, and whether each is the reporter's.
    messages: Vec<(u64, bool)>,
}

/// What the log says of people, decisions and releases.
#[derive(Default)]
pub(crate) struct Ledger {
    persons: BTreeMap<String, Person>,
    reports: BTreeMap<String, Report>,
    /// Records that were kept apart, by position, and where and how they were decided on.
    kept: BTreeMap<u64, (v1::Submission, Option<(u64, QuarantineVerdict)>)>,
    /// Where conflicts were decided, by their position.
    resolved: BTreeMap<u64, u64>,
    /// Positions of records that nobody sent as such: they were admitted, or a report became one.
    followed: BTreeSet<u64>,
    /// Positions of readings by their purpose.
    read: BTreeMap<String, u64>,
    releases: BTreeMap<String, (u64, v1::ReleaseDraft)>,
}

/// Whether two releases have a month and an area in common: the first quarter has March in it, and the city has its kecamatan in it.
fn overlap(one: &v1::ReleaseDraft, other: &v1::ReleaseDraft) -> bool {
    let is_march = |draft: &v1::ReleaseDraft| draft.period != "2028-04";
    is_march(one) == is_march(other)
}

impl Ledger {
    /// Folds a log, of which the first `before` events are of the town.
    pub(crate) fn of(log: &[v1::Event], before: u64) -> Self {
        let mut ledger = Self::default();
        for (index, event) in log.iter().enumerate().filter(|(_, event)| event.position > before) {
            ledger.fold(event, log.get(index + 1));
        }
        ledger.what_was_kept_apart_counts_only_as_it_was_decided(log);
        ledger
    }

    fn person(&mut self, id: &str) -> &mut Person {
        self.persons.entry(id.to_owned()).or_default()
    }

    /// The case or report of something that an erasure ends.
    fn living(&mut self, id: &str, position: u64) -> &mut Person {
        let person = self.person(id);
        assert!(person.approved.is_none(), "{id} was to be erased, and {position} is about it");
        person
    }

    fn fold(&mut self, event: &v1::Event, next: Option<&v1::Event>) {
        let position = event.position;
        match event.body.as_ref().expect("an event has a body") {
            Body::IdentitySealed(e) => self.living(&e.case_id, position).sealed.push(position),
            Body::IdentityRead(e) => {
                let person = self.living(&e.case_id, position);
                let sealed = person.sealed.contains(&e.sealed_position) || person.report == Some(e.sealed_position);
                assert!(sealed, "{position} reads what is not sealed: {e:?}");
                let first = self.read.insert(e.purpose.clone(), position);
                assert_eq!(first, None, "one reading is in the log twice, at {position} too");
            }
            Body::HoldPlaced(e) => {
                self.living(&e.case_id, position).holds.insert(e.command_id.clone());
            }
            Body::HoldLifted(e) => {
                let stood = self.living(&e.case_id, position).holds.remove(&e.hold_id);
                assert!(stood, "{position} lifts a hold that does not stand");
            }
            Body::ErasureRequested(e) => {
                let person = self.living(&e.case_id, position);
                assert!(person.holds.is_empty() && person.requested.is_none(), "{position} cannot be asked for");
                person.requested = e.by.as_ref().map(|by| by.id.clone());
            }
            Body::ErasureDeclined(e) => {
                let person = self.living(&e.case_id, position);
                assert!(person.requested.take().is_some(), "{position} declines what nobody asked for");
            }
            Body::ErasureApproved(e) => {
                let person = self.living(&e.case_id, position);
                assert!(person.holds.is_empty(), "{position} erases what is held");
                let second = e.by.as_ref().map(|by| by.id.clone());
                assert!(person.requested.is_some() && person.requested != second, "{position} takes two persons");
                person.approved = Some(position);
            }
            Body::IdentityErased(e) => {
                let person = self.person(&e.case_id);
                assert!(person.approved.is_some() && person.erased.is_none(), "{position} erases without an approval");
                assert_eq!(e.seals as usize, person.sealed.len(), "what {position} erased");
                person.erased = Some(position);
            }
            Body::PublicReportReceived(e) => {
                self.living(&e.report_id, position).report = Some(position);
                let report = Report { version: 1, verdict: PublicReportVerdict::Unspecified, messages: Vec::new() };
                assert!(self.reports.insert(e.report_id.clone(), report).is_none(), "{position} is a report twice");
            }
            Body::PublicReportMessage(e) => {
                self.living(&e.report_id, position);
                let report = self.reports.get_mut(&e.report_id).expect("a report that is there");
                assert_eq!(e.version, report.version + 1, "the version that {position} makes");
                report.version = e.version;
                report.messages.push((position, e.by.is_none()));
            }
            Body::PublicReportTriaged(e) => self.triage(e, position, next),
            Body::Quarantined(kept) => {
                let record = kept.submission.clone().expect("a record");
                self.kept.insert(position, (record, None));
            }
            Body::QuarantineDecided(e) => self.decide(e, position, next),
            Body::ConflictResolved(e) => {
                let first = self.resolved.insert(e.conflict_position, position);
                assert_eq!(first, None, "the conflict at {} is decided twice", e.conflict_position);
                assert!(e.conflict_position < position, "{position} decides what is not there");
            }
            Body::ReleasePublished(e) => self.publish(e, position),
            _ => {}
        }
    }

    fn triage(&mut self, e: &v1::PublicReportTriaged, position: u64, next: Option<&v1::Event>) {
        self.living(&e.report_id, position);
        let report = self.reports.get_mut(&e.report_id).expect("a report that is there");
        assert_eq!(e.version, report.version + 1, "the version that {position} makes");
        let again = report.verdict == PublicReportVerdict::TakeUp || report.verdict == e.verdict();
        assert!(!again, "{position} decides again on {}", e.report_id);
        (report.version, report.verdict) = (e.version, e.verdict());
        if e.verdict() == PublicReportVerdict::TakeUp {
            let case = next.and_then(counted).filter(|record| record.submission_id == e.report_id);
            assert!(case.is_some(), "the case that {position} opens is not there: {next:?}");
            self.followed.insert(position + 1);
        }
    }

    fn decide(&mut self, e: &v1::QuarantineDecided, position: u64, next: Option<&v1::Event>) {
        let decision = e.decision.as_ref().expect("a decision");
        let kept = self.kept.get_mut(&decision.quarantined_position).expect("a record that was kept apart");
        assert_eq!(kept.1, None, "{position} decides again on {}", decision.quarantined_position);
        kept.1 = Some((position, decision.verdict()));
        if decision.verdict() != QuarantineVerdict::Refuse {
            assert_eq!(next.and_then(counted), Some(&kept.0), "what {position} admits");
        }
        if decision.verdict() == QuarantineVerdict::Admit {
            let own = e.by.as_ref().is_some_and(|by| by.id == "lama");
            assert!(!own, "{position} is admitted by who handed it in");
            self.followed.insert(position + 1);
        }
    }

    fn publish(&mut self, e: &v1::ReleasePublished, position: u64) {
        let draft = e.draft.clone().expect("a draft");
        if draft.corrects_id.is_empty() {
            let first = self.overlapping(&draft);
            assert_eq!(first, None, "{position} overlaps with what was published");
        } else {
            let (_, corrected) = self.releases.get(&draft.corrects_id).expect("what is corrected");
            assert_eq!((&corrected.period, &corrected.area_prefix), (&draft.period, &draft.area_prefix));
            let twice = self.releases.values().any(|(_, other)| other.corrects_id == draft.corrects_id);
            assert!(!twice, "{position} corrects what is corrected");
        }
        let first = self.releases.insert(e.release_id.clone(), (position, draft));
        assert_eq!(first, None, "{position} is published twice");
    }

    /// Position of the first release that has a month and an area in common with a draft.
    pub(crate) fn overlapping(&self, draft: &v1::ReleaseDraft) -> Option<u64> {
        self.releases.values().filter(|(_, other)| overlap(other, draft)).map(|(at, _)| *at).min()
    }

    /// A record that waits or was refused counts nowhere; one that was admitted or came again stands once, behind its decision.
    fn what_was_kept_apart_counts_only_as_it_was_decided(&self, log: &[v1::Event]) {
        for (record, decided) in self.kept.values() {
            let counts = log.iter().filter(|event| counted(event) == Some(record)).map(|event| event.position);
            let counts: Vec<u64> = counts.collect();
            let expected = match decided {
                Some((at, QuarantineVerdict::Admit | QuarantineVerdict::Resent)) => vec![at + 1],
                _ => Vec::new(),
            };
            assert_eq!(counts, expected, "{} was kept apart, decided as {decided:?}", record.submission_id);
        }
    }

    /// Whether the record at a position follows from the event before it, and nobody sent it as such.
    pub(crate) fn follows(&self, position: u64) -> bool {
        self.followed.contains(&position)
    }

    /// Whether a case has this id because a report has it.
    pub(crate) fn is_report(&self, id: &str) -> bool {
        self.reports.contains_key(id)
    }

    /// What the recorded readings were for.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &str> {
        self.read.keys().map(String::as_str)
    }

    pub(crate) fn approved(&self, id: &str) -> Option<u64> {
        self.persons.get(id)?.approved
    }

    /// Approved erasures that are not recorded as carried out.
    pub(crate) fn unfinished(&self) -> usize {
        self.persons.values().filter(|person| person.approved.is_some() && person.erased.is_none()).count()
    }

    /// Where and how the record that was kept apart at a position was decided on.
    pub(crate) fn decided(&self, position: u64) -> Option<(u64, QuarantineVerdict)> {
        self.kept.get(&position).unwrap_or_else(|| panic!("nothing was kept apart at {position}")).1
    }

    pub(crate) fn resolved(&self, conflict: u64) -> Option<u64> {
        self.resolved.get(&conflict).copied()
    }

    /// Checks what was shown to somebody. `texts` is what is sealed at each position.
    pub(crate) fn shown(&self, one: &Try, texts: &BTreeMap<u64, String>, log: &[v1::Event]) {
        let id = one.what.of();
        let recorded = self.read.get(&one.purpose).copied();
        let is_follow_up = matches!(one.what, Reading::FollowUp { .. });
        assert!(!is_follow_up || recorded.is_none(), "a reporter is recorded: {one:?}");
        let Some((stamp, shown)) = &one.answered else { return };
        let sealed = |position: &u64| texts.get(position).cloned();
        match shown {
            Shown::Texts { texts: seen, sealed: at, read } => {
                assert_eq!(recorded, Some(*read), "shown, and the reading is not in the log there: {one:?}");
                assert!(one.sent.head < *read && *read <= stamp.head, "not recorded before it was shown: {one:?}");
                let Some(Body::IdentityRead(e)) = &log[index(*read)].body else { panic!("{one:?}") };
                let (Reading::Identity { who, .. } | Reading::Report { who, .. }) = &one.what else {
                    panic!("{one:?}")
                };
                assert_eq!((e.case_id.as_str(), e.by.as_ref().map(|by| by.id.as_str())), (id, Some(*who)));
                let person = self.persons.get(id).unwrap_or_else(|| panic!("nothing was sealed: {one:?}"));
                let at = at.or(person.report).expect("it is sealed");
                assert_eq!(e.sealed_position, at, "another seal is recorded than was read: {one:?}");
                let messages = self.reports.get(id).map_or(&[][..], |report| &report.messages);
                let told = std::iter::once(at).chain(messages.iter().map(|(position, _)| *position));
                // What has been erased since cannot be compared any more.
                if person.approved.is_none() {
                    let all: Vec<String> = told.filter_map(|position| sealed(&position)).collect();
                    assert!(all.starts_with(seen), "shown is not what was sealed: {one:?}, {all:?}");
                }
            }
            Shown::Answers { texts: seen, messages } => {
                let report = self.reports.get(id).unwrap_or_else(|| panic!("no such report: {one:?}"));
                let count = |of_reporter: bool, head: u64| {
                    report.messages.iter().filter(|(at, of)| *of == of_reporter && *at <= head).count()
                };
                let is_between = |count: usize, low: usize, high: usize| (low..=high).contains(&count);
                let counted = is_between(*messages, count(true, one.sent.head), count(true, stamp.head));
                assert!(counted, "messages that were not added, or not all: {one:?}");
                match self.approved(id) {
                    Some(at) if at <= one.sent.head => assert!(seen.is_empty(), "shown after it was erased: {one:?}"),
                    Some(_) => {}
                    None => {
                        let left = is_between(seen.len(), count(false, one.sent.head), count(false, stamp.head));
                        let of_agency = report.messages.iter().filter(|(_, of)| !of);
                        let all: Vec<String> = of_agency.filter_map(|(position, _)| sealed(position)).collect();
                        assert!(left && all.starts_with(seen), "not what was left for them: {one:?}, {all:?}");
                    }
                }
            }
            Shown::NoSuchCode => {
                let there = self.persons.get(id).and_then(|person| person.report);
                assert!(there.is_none_or(|at| at > one.sent.head), "the report is there: {one:?}");
            }
            Shown::Denied(refusal) => {
                self.refusal_holds(id, refusal, stamp.head);
                let raced = matches!(refusal, Refusal::Erased);
                assert!(raced || recorded.is_none(), "refused, and recorded as read: {one:?}");
            }
            Shown::Nothing => {}
        }
    }

    /// Whether a refusal says what is durable.
    pub(crate) fn refusal_holds(&self, id: &str, refusal: &Refusal, head: u64) {
        match refusal {
            Refusal::Erased => {
                assert!(self.approved(id).is_some_and(|at| at <= head), "{id} was not to be erased by {head}");
            }
            Refusal::Held { case_id, .. } => assert_eq!(case_id, id, "held by another"),
            Refusal::UnknownReport => {
                let there = self.persons.get(id).and_then(|person| person.report);
                assert!(there.is_none_or(|at| at > 1), "{id} is known");
            }
            Refusal::Invalid(violations) => {
                // What is wrong with what these clients send is that a version, code or case was used.
                let expected = ["code_hash", "open_case"];
                let known = |v: &v1::Violation| expected.iter().any(|field| v.field.starts_with(field));
                assert!(violations.iter().all(known), "{id} is refused for {violations:?}");
            }
            _ => {}
        }
    }
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("a short log") - 1
}

/// The record that an event counts, or keeps beside the one that stands.
fn counted(event: &v1::Event) -> Option<&v1::Submission> {
    match event.body.as_ref()? {
        Body::Submitted(record) => Some(record),
        Body::Conflicting(conflict) => conflict.submission.as_ref(),
        _ => None,
    }
}
