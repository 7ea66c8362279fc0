//! Whether something about sealed identities may be recorded.

use satgas_proto::v1::{self, Violation, event::Body};

use super::{Sealed, Sealing, Sealings, case_of, is_same_person, is_same_subject, person};
use crate::{
    case::{Case, Cases},
    id::{SubmissionId, is_token},
    public::{Report, Reports},
    time::{Day, Instant},
    validate::Violations,
};

/// The role that leads cases, as events name it.
const CASE_WORKER: &str = "case_worker";

/// Why it is not.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// There is no such case.
    UnknownCase,
    /// There is no such public report.
    UnknownReport,
    /// The case has moved on since it was decided: look at it again.
    StaleVersion {
        /// The case's version.
        current: u64,
    },
    /// The case, or one that it is merged with, is held: nothing of it is erased until the hold is lifted or ends.
    Held {
        /// The case that the hold was placed on.
        case_id: String,
        /// The hold.
        hold_id: String,
        /// Its reason.
        reason: String,
    },
    /// The identities were erased, or are about to be.
    Erased,
    /// No identity of this kind was ever sealed.
    NotSealed,
    /// Who asked for an erasure cannot approve it.
    SamePerson,
    /// The case is not assigned to who asks; whether there is anything to read is not said.
    NotAssigned,
    /// It does not fit what is known of the case.
    NotAllowed(&'static str),
    /// It is not well-formed.
    Invalid(Vec<Violation>),
}

/// What a decision is made on.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What would be recorded.
    pub body: &'a Body,
    /// Version that the case must have; 0 for any.
    pub expected_version: u64,
    /// The time.
    pub now: Instant,
}

/// What something about seals is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// A case.
    Case(&'a Case),
    /// A public report that is no case.
    Report(&'a Report),
}

/// Who did what an event says.
#[must_use]
pub fn actor_of(body: &Body) -> Option<&v1::Actor> {
    match body {
        Body::IdentitySealed(e) => e.by.as_ref(),
        Body::IdentityRead(e) => e.by.as_ref(),
        Body::HoldPlaced(e) => e.by.as_ref(),
        Body::HoldLifted(e) => e.by.as_ref(),
        Body::ErasureRequested(e) => e.by.as_ref(),
        Body::ErasureApproved(e) => e.by.as_ref(),
        Body::ErasureDeclined(e) => e.by.as_ref(),
        Body::CaseAssigned(e) => e.by.as_ref(),
        Body::CaseUnassigned(e) => e.by.as_ref(),
        Body::PublicReportTriaged(e) => e.by.as_ref(),
        Body::PublicReportMessage(e) => e.by.as_ref(),
        _ => None,
    }
}

impl Ask<'_> {
    /// Decides against the cases, the public reports and what is known of their seals: what it is about.
    pub fn decide<'c>(
        &self,
        cases: &'c Cases,
        reports: &'c Reports,
        sealings: &Sealings,
    ) -> Result<About<'c>, Refusal> {
        let found = well_formed(self.body);
        if !found.is_empty() {
            return Err(Refusal::Invalid(found));
        }
        let id = case_of(self.body).unwrap_or_default();
        let nothing = Sealing::default();
        let Some(case) = cases.find_text(id) else {
            let report = reports.find_text(id).ok_or(Refusal::UnknownCase)?;
            let sealing = sealings.get(report.id()).unwrap_or(&nothing);
            let not_held = || self.not_held(report.id(), cases, sealings);
            return self.fits_report(sealing, not_held).map(|()| About::Report(report));
        };
        let sealing = sealings.get(case.id).unwrap_or(&nothing);
        let not_held = || self.not_held(case.id, cases, sealings);
        self.fits(case, sealing, not_held).map(|()| About::Case(case))
    }

    /// Of a report that is no case: any case worker reads it, and it is held and erased like a case.
    fn fits_report(&self, sealing: &Sealing, not_held: impl Fn() -> Result<(), Refusal>) -> Result<(), Refusal> {
        match self.body {
            Body::IdentitySealed(_) | Body::CaseAssigned(_) | Body::CaseUnassigned(_) => Err(Refusal::UnknownCase),
            Body::IdentityRead(read) if read.kind() != v1::IdentityKind::PublicReport => Err(Refusal::NotAssigned),
            _ => self.fits_sealing(sealing, not_held),
        }
    }

    fn fits(&self, case: &Case, sealing: &Sealing, not_held: impl Fn() -> Result<(), Refusal>) -> Result<(), Refusal> {
        match self.body {
            // Work on a case goes on when nobody knows any more who its people were.
            Body::CaseAssigned(assigned) => return sealing.assignments.decide_assigned(assigned, self.now),
            Body::CaseUnassigned(ended) => return sealing.assignments.decide_unassigned(ended, self.now),
            Body::IdentityRead(read) => {
                // Before everything else, so that a refusal tells nothing of the case.
                let reader = read.by.as_ref().map_or("", person);
                if !sealing.is_assigned_to(reader, self.now) {
                    return Err(Refusal::NotAssigned);
                }
            }
            _ => {}
        }
        self.fits_sealing(sealing, not_held)?;
        if let Body::IdentitySealed(sealed) = self.body { self.seal(case, sealing, sealed) } else { Ok(()) }
    }

    fn fits_sealing(&self, sealing: &Sealing, not_held: impl Fn() -> Result<(), Refusal>) -> Result<(), Refusal> {
        if sealing.is_erased() || (sealing.must_be_erased() && !matches!(self.body, Body::IdentityErased(_))) {
            return Err(Refusal::Erased);
        }
        match self.body {
            Body::IdentitySealed(_) => Ok(()),
            Body::IdentityRead(read) if sealing.has(read.kind(), read.sealed_position) => Ok(()),
            Body::IdentityRead(_) => Err(Refusal::NotSealed),
            Body::HoldPlaced(placed) => {
                let until = placed.until.as_ref().and_then(Instant::from_proto);
                if until.is_some_and(|until| until <= self.now) {
                    return Err(invalid("until", "lies in the past"));
                }
                Ok(())
            }
            Body::HoldLifted(lifted) => {
                let stands = sealing.standing(self.now, u64::MAX).any(|hold| hold.id.to_string() == lifted.hold_id);
                if stands { Ok(()) } else { Err(Refusal::NotAllowed("no such hold stands")) }
            }
            Body::ErasureRequested(_) => not_held().and_then(|()| request(sealing)),
            Body::ErasureApproved(approved) => approve(sealing, approved, not_held),
            Body::ErasureDeclined(_) if sealing.open_request().is_some() => Ok(()),
            Body::ErasureDeclined(_) => Err(Refusal::NotAllowed("no erasure that was asked for waits")),
            Body::IdentityErased(_) if sealing.must_be_erased() => Ok(()),
            Body::IdentityErased(_) => Err(Refusal::NotAllowed("the erasure was not approved")),
            _ => Err(Refusal::NotAllowed("it is nothing about sealed identities")),
        }
    }

    fn seal(&self, case: &Case, sealing: &Sealing, sealed: &v1::IdentitySealed) -> Result<(), Refusal> {
        if self.expected_version != 0 && self.expected_version != case.version {
            return Err(Refusal::StaleVersion { current: case.version });
        }
        if case.is_merged() {
            return Err(Refusal::NotAllowed("the case was merged into another: go on there"));
        }
        // Who is told of a case may not put another name over the one that help rests on.
        let by = sealed.by.clone().unwrap_or_default();
        let of_another = |known: &Sealed| known.kind == sealed.kind && person(&known.by) != person(&by);
        if by.role != CASE_WORKER && sealing.seals.iter().any(of_another) {
            return Err(Refusal::NotAllowed(
                "somebody else has sealed this identity: tell the case worker what is wrong with it, who records it",
            ));
        }
        let key_id = sealed.seal.as_ref().map(|seal| seal.key_id.as_ref());
        match sealing.key_id() {
            Some(known) if key_id != Some(known.as_slice()) => {
                Err(Refusal::NotAllowed("the case's identities are sealed under another key"))
            }
            _ => Ok(()),
        }
    }

    /// A hold follows its case into the one that it is merged with, and back: what a court asks for may lie under the key of either.
    fn not_held(&self, case: SubmissionId, cases: &Cases, sealings: &Sealings) -> Result<(), Refusal> {
        let goes_on_in = cases.goes_on_in(case);
        let held = sealings.all().filter_map(|(id, sealing)| Some((id, sealing.standing(self.now, u64::MAX).next()?)));
        let held = held.filter(|(id, _)| cases.goes_on_in(*id) == goes_on_in);
        // Its own before another's, and else the oldest.
        match held.min_by_key(|(id, hold)| (*id != case, hold.placed.position)) {
            Some((id, hold)) => Err(Refusal::Held {
                case_id: id.to_string(),
                hold_id: hold.id.to_string(),
                reason: hold.reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn request(sealing: &Sealing) -> Result<(), Refusal> {
    if sealing.open_request().is_some() {
        return Err(Refusal::NotAllowed("the erasure was asked for already: a second person must approve it"));
    }
    if sealing.seals.is_empty() { Err(Refusal::NotSealed) } else { Ok(()) }
}

fn approve(
    sealing: &Sealing,
    approved: &v1::ErasureApproved,
    not_held: impl Fn() -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Some(request) = sealing.open_request() else {
        return Err(Refusal::NotAllowed("nobody asked for an erasure"));
    };
    // The hold first: whoever is told of one need not send for a second person.
    not_held()?;
    match &approved.by {
        Some(by) if !by.id.is_empty() && !is_same_person(by, &request.by) => Ok(()),
        _ => Err(Refusal::SamePerson),
    }
}

/// Refuses a field.
#[must_use]
pub fn invalid(field: &str, reason: &str) -> Refusal {
    Refusal::Invalid(vec![Violation { field: field.to_owned(), reason: reason.to_owned() }])
}

/// Looks at what is to be recorded by itself: every field that is refused.
#[must_use]
pub fn well_formed(body: &Body) -> Vec<Violation> {
    let mut v = Violations::default();
    let id = |v: &mut Violations, field: &str, text: &str| {
        if let Err(reason) = SubmissionId::parse(text) {
            v.add(field, reason);
        }
    };
    id(&mut v, "case_id", case_of(body).unwrap_or_default());
    if let Some(command) = super::command_of(body) {
        id(&mut v, "command_id", command);
    }
    let known = |kind: i32| v1::IdentityKind::try_from(kind).is_ok_and(|kind| kind != v1::IdentityKind::Unspecified);
    match body {
        // What a public report says is sealed with it, once.
        Body::IdentitySealed(e) if !known(e.kind) || e.kind() == v1::IdentityKind::PublicReport => {
            v.add("kind", "is not a kind of identity");
        }
        Body::IdentityRead(e) => {
            if !known(e.kind) {
                v.add("kind", "is not a kind of identity");
            }
            reason(&mut v, "purpose", &e.purpose);
        }
        Body::HoldPlaced(e) => {
            reason(&mut v, "reason", &e.reason);
            if e.until.as_ref().is_some_and(|until| Instant::from_proto(until).is_none()) {
                v.add("until", "is not a time of the years 2000 to 2199");
            }
        }
        Body::HoldLifted(e) => {
            id(&mut v, "hold_id", &e.hold_id);
            reason(&mut v, "reason", &e.reason);
        }
        Body::ErasureRequested(e) => reason(&mut v, "reason", &e.reason),
        Body::ErasureDeclined(e) => reason(&mut v, "reason", &e.reason),
        Body::CaseAssigned(e) => {
            subject(&mut v, "subject", &e.subject);
            if !e.instead_of.is_empty() {
                subject(&mut v, "instead_of", &e.instead_of);
                v.require(!is_same_subject(&e.instead_of, &e.subject), "instead_of", "is the same as subject");
            }
            // A case worker who takes a case that nobody has says so by taking it. A supervisor gives a reason, also for assigning it to
            // themselves by another of their tokens.
            let takes = |by: &v1::Actor| by.role == CASE_WORKER && is_same_subject(person(by), &e.subject);
            if !e.reason.is_empty() || !e.by.as_ref().is_some_and(takes) {
                reason(&mut v, "reason", &e.reason);
            }
            if e.until.as_ref().is_some_and(|until| Instant::from_proto(until).is_none()) {
                v.add("until", "is not a time of the years 2000 to 2199");
            }
        }
        Body::CaseUnassigned(e) => {
            subject(&mut v, "subject", &e.subject);
            reason(&mut v, "reason", &e.reason);
        }
        _ => {}
    }
    v.into_vec()
}

fn subject(v: &mut Violations, field: &str, text: &str) {
    v.require(is_token(text, 64), field, "is not 1 to 64 of the characters a-z, A-Z, 0-9, '.', '_' and '-'");
}

/// Letters that a reason has at least.
const LETTERS_MIN: usize = 5;

/// Ten characters, and a word among them: less says nothing that a supervisor could hold against what was read.
pub(crate) fn reason(v: &mut Violations, field: &str, text: &str) {
    if !(10..=500).contains(&text.trim().chars().count()) {
        v.add(field, "is not 10 to 500 characters long");
    } else if text.chars().filter(|c| c.is_alphabetic()).count() < LETTERS_MIN {
        v.add(field, format!("has fewer than {LETTERS_MIN} letters: say what for"));
    }
    // It is shown on other people's screens, in one line.
    if text.chars().any(char::is_control) {
        v.add(field, "has a control character, such as a line break");
    }
}

/// Looks at an identity. No reason repeats anything of it.
pub fn identity(v: &mut Violations, identity: &v1::PersonIdentity) {
    let v1::PersonIdentity { full_name, parents, address, phone, born_on, other } = identity;
    let texts = [
        ("full_name", full_name, 200),
        ("parents", parents, 400),
        ("address", address, 500),
        ("phone", phone, 100),
        ("born_on", born_on, 10),
        ("other", other, 2_000),
    ];
    if texts.iter().all(|(_, text, _)| text.trim().is_empty()) {
        v.add("", "is empty");
    }
    for (field, text, max) in texts {
        if text.chars().count() > max {
            v.add(field, format!("is longer than {max} characters"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            v.add(field, "has a control character other than a line break or tab");
        }
    }
    if !born_on.is_empty() && Day::parse(born_on).is_none() {
        v.add("born_on", "is not a date, YYYY-MM-DD");
    }
}
