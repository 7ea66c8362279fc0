//! What is sealed, held and erased of a case: which identities, under which key, who may read them, and whether they still can be read.
//!
//! The same state serves the writer, which decides on it, and the views, which show it. Nothing in here says who anybody is.
//!
//! Invariants:
//! - All seals of a case are under one key, so that destroying it erases them all.
//! - An erasure needs two persons, and no hold that stands on the case or on one that it is merged with. Once it is approved it is carried out: no hold, seal or reading comes between.
//! - Who reads has the case assigned, whatever their role may do otherwise.
//! - Nobody but a case worker puts an identity before one that somebody else sealed, and what was sealed before stays readable.
//! - What a public report says is sealed like an identity, under the report's id, and held and erased like one; see [`public`](crate::public).
//! - What was erased stays erased: nothing is sealed for the case again.
//! - Nothing is forgotten but marked, with the position that marked it, so that the past is answered from the same state.

mod assigned;
mod decide;
mod show;

use satgas_proto::v1::{self, event::Body};
use serde::{Deserialize, Serialize};

use self::assigned::Assignments;
pub(crate) use self::decide::reason;
pub use self::decide::{About, Ask, Refusal, actor_of, identity, invalid, well_formed};
use crate::{Map, id::SubmissionId, time::Instant};

/// Bytes that name the key of a case.
pub type KeyId = [u8; 16];

/// An identity that was sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sealed {
    kind: i32,
    /// Who sealed it; nobody in logs of before that was recorded.
    #[serde(with = "crate::stored")]
    by: v1::Actor,
    at: Stamp,
}

/// When and where something was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) position: u64,
    pub(crate) recorded: Instant,
}

/// A legal hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hold {
    id: SubmissionId,
    reason: String,
    until: Option<Instant>,
    placed: Stamp,
    /// Position of the event that lifted it.
    lifted: Option<u64>,
}

/// A request to erase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Request {
    /// Who asked.
    #[serde(with = "crate::stored")]
    by: v1::Actor,
    reason: String,
    at: Stamp,
    declined: Option<Declined>,
}

/// That it is not carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Declined {
    /// Whether by the person who asked.
    withdrawn: bool,
    reason: String,
    at: Stamp,
}

/// What is sealed, held and erased of one case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sealing {
    key_id: Option<KeyId>,
    seals: Vec<Sealed>,
    holds: Vec<Hold>,
    /// In log order; only the last may be open.
    requests: Vec<Request>,
    assignments: Assignments,
    approved: Option<Stamp>,
    erased: Option<Stamp>,
}

impl Sealing {
    /// The key that the identities are sealed under, once there is one.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        self.key_id
    }

    /// Position of the latest seal of a kind.
    #[must_use]
    pub fn latest(&self, kind: v1::IdentityKind) -> Option<u64> {
        self.seals.iter().rev().find(|sealed| sealed.kind == i32::from(kind)).map(|sealed| sealed.at.position)
    }

    /// Whether a seal of a kind stands at a position.
    fn has(&self, kind: v1::IdentityKind, position: u64) -> bool {
        self.seals.iter().any(|sealed| sealed.kind == i32::from(kind) && sealed.at.position == position)
    }

    /// How many identities were sealed, earlier ones included. That a case began with a public report is not told by this number.
    #[must_use]
    pub fn seal_count(&self) -> u32 {
        let of_persons = self.seals.iter().filter(|sealed| sealed.kind != i32::from(v1::IdentityKind::PublicReport));
        u32::try_from(of_persons.count()).unwrap_or(u32::MAX)
    }

    /// Whether an erasure was approved, and so is or must be carried out.
    #[must_use]
    pub fn must_be_erased(&self) -> bool {
        self.approved.is_some()
    }

    /// Whether the erasure was carried out and recorded.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.erased.is_some()
    }

    /// Whether the case is assigned to a person at a time.
    #[must_use]
    pub fn is_assigned_to(&self, subject: &str, now: Instant) -> bool {
        self.assignments.is_to(subject, now, u64::MAX)
    }

    /// Those that the case was assigned to at a time, by what was known at a position.
    #[must_use]
    pub fn assignees(&self, until: u64, now: Instant) -> Vec<v1::Assignee> {
        self.assignments.to_proto(now, until)
    }

    /// The request that waits for a second person.
    fn open_request(&self) -> Option<&Request> {
        self.requests.last().filter(|request| request.declined.is_none())
    }

    /// A hold that stands at a time, by what was known at a position.
    fn standing(&self, now: Instant, until: u64) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| {
            let placed = hold.placed.position <= until;
            let lifted = hold.lifted.is_some_and(|position| position <= until);
            placed && !lifted && hold.until.is_none_or(|end| now < end)
        })
    }
}

/// What is sealed of all cases that anything is sealed, held or erased of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sealings(Map<SubmissionId, Sealing>);

/// What takes an event back: the case, and what was known of it before.
#[derive(Debug)]
pub struct Before(SubmissionId, Option<Box<Sealing>>);

impl Sealings {
    /// Of a case.
    #[must_use]
    pub fn get(&self, case: SubmissionId) -> Option<&Sealing> {
        self.0.get(&case)
    }

    /// Of every case of which there is anything.
    pub fn all(&self) -> impl Iterator<Item = (SubmissionId, &Sealing)> {
        self.0.iter().map(|(id, sealing)| (*id, sealing))
    }

    /// Folds an event that was decided. `None` when it is not one of these.
    pub fn apply(&mut self, body: &Body, position: u64, recorded: Instant) -> Option<Before> {
        if matches!(body, Body::IdentityRead(_)) {
            return None;
        }
        let case = SubmissionId::parse(case_of(body)?).ok()?;
        let before = self.0.get(&case).cloned().map(Box::new);
        self.0.entry(case).or_default().apply(body, Stamp { position, recorded });
        Some(Before(case, before))
    }

    /// Takes an event back.
    pub(crate) fn undo(&mut self, Before(case, before): Before) {
        match before {
            Some(before) => self.0.insert(case, *before),
            None => self.0.remove(&case),
        };
    }
}

impl Sealing {
    fn apply(&mut self, body: &Body, at: Stamp) {
        match body {
            Body::IdentitySealed(sealed) => {
                let key_id = sealed.seal.as_ref().and_then(|seal| seal.key_id.as_ref().try_into().ok());
                self.key_id = self.key_id.or(key_id);
                let by = sealed.by.clone().unwrap_or_default();
                self.seals.push(Sealed { kind: sealed.kind, by, at });
            }
            Body::PublicReportReceived(received) => {
                self.key_id = received.seal.as_ref().and_then(|seal| seal.key_id.as_ref().try_into().ok());
                let kind = v1::IdentityKind::PublicReport.into();
                self.seals.push(Sealed { kind, by: v1::Actor::default(), at });
            }
            Body::HoldPlaced(placed) => {
                if let Ok(id) = SubmissionId::parse(&placed.command_id) {
                    let until = placed.until.as_ref().and_then(Instant::from_proto);
                    let reason = placed.reason.clone();
                    self.holds.push(Hold { id, reason, until, placed: at, lifted: None });
                }
            }
            Body::HoldLifted(lifted) => {
                if let Some(hold) = self.holds.iter_mut().find(|hold| hold.id.to_string() == lifted.hold_id) {
                    hold.lifted = Some(at.position);
                }
            }
            Body::ErasureRequested(requested) => {
                let by = requested.by.clone().unwrap_or_default();
                self.requests.push(Request { by, reason: requested.reason.clone(), at, declined: None });
            }
            Body::ErasureDeclined(declined) => {
                let by = declined.by.clone().unwrap_or_default();
                if let Some(request) = self.requests.last_mut() {
                    let withdrawn = person(&by) == person(&request.by);
                    request.declined = Some(Declined { withdrawn, reason: declined.reason.clone(), at });
                }
            }
            Body::CaseAssigned(assigned) => self.assignments.assign(assigned, at),
            Body::CaseUnassigned(e) => self.assignments.end(&e.subject, at.position),
            Body::ErasureApproved(_) => self.approved = Some(at),
            Body::IdentityErased(_) => self.erased = Some(at),
            _ => {}
        }
    }
}

/// Who an actor is, over all tokens of the same person: the subject, and the token's own id where it has none.
#[must_use]
pub fn person(actor: &v1::Actor) -> &str {
    if actor.subject.is_empty() { &actor.id } else { &actor.subject }
}

/// Whether two actors are one: the same token, or tokens of the same person.
#[must_use]
pub fn is_same_person(one: &v1::Actor, other: &v1::Actor) -> bool {
    one.id == other.id || is_same_subject(person(one), person(other))
}

/// Whether two subjects are one. Servers write them in small letters; logs of before have them as they were given.
pub(crate) fn is_same_subject(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The case or public report that one of these events is about; `None` for any other event.
#[must_use]
pub fn case_of(body: &Body) -> Option<&str> {
    Some(match body {
        Body::IdentitySealed(e) => &e.case_id,
        Body::IdentityRead(e) => &e.case_id,
        Body::HoldPlaced(e) => &e.case_id,
        Body::HoldLifted(e) => &e.case_id,
        Body::ErasureRequested(e) => &e.case_id,
        Body::ErasureApproved(e) => &e.case_id,
        Body::IdentityErased(e) => &e.case_id,
        Body::ErasureDeclined(e) => &e.case_id,
        Body::CaseAssigned(e) => &e.case_id,
        Body::CaseUnassigned(e) => &e.case_id,
        Body::PublicReportReceived(e) => &e.report_id,
        Body::PublicReportTriaged(e) => &e.report_id,
        Body::PublicReportMessage(e) => &e.report_id,
        _ => return None,
    })
}

/// The id of the command that such an event answers; `None` where there is none.
#[must_use]
pub fn command_of(body: &Body) -> Option<&str> {
    Some(match body {
        Body::IdentitySealed(e) => &e.command_id,
        Body::HoldPlaced(e) => &e.command_id,
        Body::HoldLifted(e) => &e.command_id,
        Body::ErasureRequested(e) => &e.command_id,
        Body::ErasureApproved(e) => &e.command_id,
        Body::ErasureDeclined(e) => &e.command_id,
        Body::CaseAssigned(e) => &e.command_id,
        Body::CaseUnassigned(e) => &e.command_id,
        Body::PublicReportReceived(e) => &e.report_id,
        Body::PublicReportTriaged(e) => &e.command_id,
        Body::PublicReportMessage(e) => &e.command_id,
        _ => return None,
    })
}
