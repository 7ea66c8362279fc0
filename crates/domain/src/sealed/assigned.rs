//! To whom a case is assigned: the case workers who may read who its people are.
//!
//! A case worker takes a case that nobody has, and gives up their own; everything else is a supervisor's: a second one, a hand-over when
//! somebody moves, an exception that ends by itself.

use satgas_proto::v1;
use serde::{Deserialize, Serialize};

use super::{Refusal, Stamp, decide::invalid, is_same_subject, person};
use crate::time::{DAY_NS, Instant};

/// The longest exception.
const EXCEPTION_NS_MAX: i64 = 31 * DAY_NS;
/// The role that decides, as events name it.
const SUPERVISOR: &str = "supervisor";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Assigned {
    subject: String,
    since: Stamp,
    until: Option<Instant>,
    #[serde(with = "crate::stored")]
    by: v1::Actor,
    /// Position of the event that ended it.
    ended: Option<u64>,
}

/// All assignments of a case that ever were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Assignments(Vec<Assigned>);

impl Assignments {
    /// Those that stood at a time, by what was known at a position.
    fn standing(&self, now: Instant, until: u64) -> impl Iterator<Item = &Assigned> {
        self.0.iter().filter(move |assigned| {
            let ended = assigned.ended.is_some_and(|position| position <= until);
            assigned.since.position <= until && !ended && assigned.until.is_none_or(|end| now < end)
        })
    }

    pub(super) fn is_to(&self, subject: &str, now: Instant, until: u64) -> bool {
        self.standing(now, until).any(|assigned| is_same_subject(&assigned.subject, subject))
    }

    pub(super) fn to_proto(&self, now: Instant, until: u64) -> Vec<v1::Assignee> {
        let show = |assigned: &Assigned| v1::Assignee {
            subject: assigned.subject.clone(),
            since: Some(assigned.since.recorded.to_proto()),
            until: assigned.until.map(Instant::to_proto),
            by: Some(assigned.by.clone()),
        };
        self.standing(now, until).map(show).collect()
    }

    pub(super) fn decide_assigned(&self, e: &v1::CaseAssigned, now: Instant) -> Result<(), Refusal> {
        let by = e.by.clone().unwrap_or_default();
        let until = e.until.as_ref().and_then(Instant::from_proto);
        if until.is_some_and(|until| until <= now || until > now.plus_ns(EXCEPTION_NS_MAX)) {
            return Err(invalid("until", "is not within the next 31 days"));
        }
        if by.role == SUPERVISOR {
            let hands_over = e.instead_of.is_empty() || self.is_to(&e.instead_of, now, u64::MAX);
            return if hands_over {
                Ok(())
            } else {
                Err(Refusal::NotAllowed("the case is not assigned to whom it is taken from"))
            };
        }
        if !is_same_subject(person(&by), &e.subject) || !e.instead_of.is_empty() || until.is_some() {
            return Err(Refusal::NotAllowed(
                "a case worker only takes a case for good and for themselves: ask a supervisor",
            ));
        }
        match self.standing(now, u64::MAX).next() {
            Some(_) => Err(Refusal::NotAllowed("the case is assigned already: a supervisor can assign it to one more")),
            None => Ok(()),
        }
    }

    pub(super) fn decide_unassigned(&self, e: &v1::CaseUnassigned, now: Instant) -> Result<(), Refusal> {
        let by = e.by.clone().unwrap_or_default();
        if by.role != SUPERVISOR && !is_same_subject(person(&by), &e.subject) {
            return Err(Refusal::NotAllowed("a case worker only gives up their own cases: ask a supervisor"));
        }
        let stands = self.is_to(&e.subject, now, u64::MAX);
        if stands { Ok(()) } else { Err(Refusal::NotAllowed("the case is not assigned to that subject")) }
    }

    pub(super) fn assign(&mut self, e: &v1::CaseAssigned, at: Stamp) {
        // One subject has one assignment: the latest says until when.
        self.end(&e.subject, at.position);
        self.end(&e.instead_of, at.position);
        let until = e.until.as_ref().and_then(Instant::from_proto);
        let by = e.by.clone().unwrap_or_default();
        self.0.push(Assigned { subject: e.subject.clone(), since: at, until, by, ended: None });
    }

    pub(super) fn end(&mut self, subject: &str, position: u64) {
        for assigned in self.0.iter_mut().filter(|assigned| is_same_subject(&assigned.subject, subject)) {
            assigned.ended.get_or_insert(position);
        }
    }
}
