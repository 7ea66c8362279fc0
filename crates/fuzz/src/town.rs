//! A small invented town that what is well-formed is decided against, and folded into: three kelurahan, a school, an office, a task force, a
//! member, and a case.

use std::sync::LazyLock;

use prost::Message as _;
use satgas_domain::{
    decide::WriteState,
    event,
    shape::{CLASSES, SMALL_BELOW, Shape},
    time::{Calendar, DAY_NS, Instant, Period},
    validate::{self, Violations},
    views::{EvaluatedBody, Moment, Subject, Views},
};
use satgas_proto::v1::{
    self, Violation, event::Body, registry_entry::Entry, submission::Content, submission::Reporter, task_force::Home,
};

const ZONE: &str = "Asia/Makassar";
/// A kelurahan with a school.
pub(crate) const AREA: &str = "53.71.04.1001";
pub(crate) const SCHOOL: &str = "90000001";
pub(crate) const OFFICE: &str = "kantor-01";
pub(crate) const TASK_FORCE: &str = "tf-1";
/// The id of the case's report, and so of the case.
pub(crate) const CASE: &str = "01970f3e-8b1c-7000-8000-000000000001";
/// Everything was registered at this time, in seconds since 1970: 2027-01-02T00:00:00Z.
const REGISTERED_S: i64 = 1_798_848_000;
/// Violations that any message may have: what is looked at of it is bounded, and so is what is said of it.
const VIOLATIONS_MAX: usize = 1_000;

struct Town {
    state: WriteState,
    views: Views,
    calendar: Calendar,
    shapes: [Shape; 2],
    head: u64,
}

static TOWN: LazyLock<Town> = LazyLock::new(Town::new);

/// When records are handed in: a hundred days later.
pub(crate) fn now() -> Instant {
    Instant(REGISTERED_S * 1_000_000_000).plus_ns(100 * DAY_NS)
}

/// What is registered.
pub(crate) fn entries() -> Vec<v1::RegistryEntry> {
    let area = |code: &str| {
        Entry::Area(v1::Area {
            code: code.into(),
            name: "Contoh".into(),
            valid_from: "2027-01-01".into(),
            ..Default::default()
        })
    };
    let institution = |id: &str, kind: v1::InstitutionKind| {
        Entry::Institution(v1::Institution {
            institution_id: id.into(),
            name: "Contoh 01".into(),
            kind: kind.into(),
            area_code: AREA.into(),
            valid_from: "2027-01-01".into(),
            valid_until: String::new(),
        })
    };
    let task_force = v1::TaskForce {
        task_force_id: TASK_FORCE.into(),
        home: Some(Home::AreaCode(AREA.into())),
        kind: "Satgas".into(),
        formed_on: "2027-01-01".into(),
        ..Default::default()
    };
    let training = v1::Training {
        topic: "Pendampingan".into(),
        valid_from: "2027-01-01".into(),
        valid_until: "2027-12-31".into(),
    };
    let member = v1::Member {
        member_id: "m-1".into(),
        task_force_id: TASK_FORCE.into(),
        joined_on: "2027-01-01".into(),
        left_on: String::new(),
        trainings: vec![training],
    };
    let entries = [
        area("53.71"),
        area("53.71.04"),
        area(AREA),
        institution(SCHOOL, v1::InstitutionKind::Sekolah),
        institution(OFFICE, v1::InstitutionKind::Kantor),
        Entry::TaskForce(task_force),
        Entry::Member(member),
    ];
    entries.map(|entry| v1::RegistryEntry { entry: Some(entry), ..Default::default() }).into()
}

/// A submission of the kelurahan.
pub(crate) fn submitted(id: &str, content: Content) -> v1::Submission {
    v1::Submission {
        submission_id: id.into(),
        device_id: "hp-01".into(),
        device_sequence: 1,
        occurred_at: Some(Instant(REGISTERED_S * 1_000_000_000).plus_ns(DAY_NS).to_proto()),
        reporter: Some(Reporter::AreaCode(AREA.into())),
        content: Some(content),
    }
}

/// Sexual violence against a child.
pub(crate) fn case_report() -> v1::CaseReport {
    v1::CaseReport {
        violence: vec![v1::Violence::Seksual.into()],
        place: v1::Place::Daring.into(),
        victim_age: v1::AgeGroup::AgeGroup1317.into(),
        victim_sex: v1::Sex::Perempuan.into(),
        offender: v1::Offender::TidakDiketahui.into(),
        ..Default::default()
    }
}

impl Town {
    fn new() -> Self {
        let calendar = || Calendar::new(ZONE).expect("the zone is bundled");
        let mut town = Self {
            state: WriteState::default(),
            views: Views::new(ZONE).expect("the zone is bundled"),
            calendar: calendar(),
            shapes: CLASSES.map(|class| Shape::new(class, SMALL_BELOW, calendar())),
            head: 0,
        };
        let report = Body::Submitted(submitted(CASE, Content::CaseReport(case_report())).into());
        for body in entries().into_iter().map(Body::Registered).chain([report]) {
            let event = town.event(body, Instant(REGISTERED_S * 1_000_000_000));
            town.state.apply(&town.calendar, &event);
            town.views.apply(&event);
            town.head += 1;
        }
        assert!(town.state.cases().find_text(CASE).is_some(), "the town has a case");
        town
    }

    fn event(&self, body: Body, recorded: Instant) -> v1::Event {
        v1::Event {
            position: self.head + 1,
            recorded_at: Some(recorded.to_proto()),
            kind: event::kind(&body).into(),
            body: Some(body),
            ..Default::default()
        }
    }

    /// What was decided is folded, by the writer and by the views, which then answer.
    fn fold(&self, body: Body) {
        let event = self.event(body, now());
        let mut state = self.state.clone();
        let undo = state.apply(&self.calendar, &event);
        state.undo(undo);
        let mut views = self.views.clone();
        views.apply(&event);
        let known = views.at(Moment { position: event.position, now: now().plus_ns(DAY_NS), head_hash: [7; 32] });
        let period = Period::parse("2027").expect("a year is a period");
        known.evaluate(Subject::Area("53.71", EvaluatedBody::Kelurahan), &period).expect("the city is registered");
        assert!(known.warnings("").len() <= 100, "a small town has few warnings");
        stored(&event);
    }
}

/// Violations are said with reasons, and they are not endless.
pub(crate) fn refused(violations: &[Violation]) {
    assert!(!violations.is_empty(), "a refusal says why");
    assert!(violations.len() <= VIOLATIONS_MAX, "{} violations", violations.len());
    assert!(violations.iter().all(|v| !v.reason.is_empty() && v.field.len() < 200 && v.reason.len() < 1_000));
}

/// A submission is refused, or taken and folded.
pub(crate) fn submission(s: &v1::Submission) {
    let mut v = Violations::default();
    validate::submission(&mut v, s);
    let well_formed = v.is_empty();
    match TOWN.state.decide_submission(&TOWN.calendar, s, v, now()) {
        Err(violations) => refused(&violations),
        Ok(_) => {
            assert!(well_formed, "what is not well-formed is not taken");
            TOWN.fold(Body::Submitted(s.clone().into()));
        }
    }
}

/// A step of a case is refused, or taken and folded.
pub(crate) fn case_command(c: &v1::CaseCommand) {
    match TOWN.state.decide_case(c, now()) {
        Err(satgas_domain::case::Refusal::Invalid(violations)) => refused(&violations),
        Err(_) => {}
        Ok((_, version)) => {
            TOWN.fold(Body::CaseAdvanced(v1::CaseAdvanced { command: Some(c.clone()), version }));
        }
    }
}

/// Entries are refused, or taken and folded, each on its own; and all after one another.
pub(crate) fn registry(entries: &[v1::RegistryEntry]) {
    let decided = TOWN.state.registry().decide_all(entries);
    let unchanged = usize::try_from(decided.unchanged).expect("fewer than there are");
    assert_eq!(decided.accepted.len() + unchanged + decided.refused.len(), entries.len(), "each entry has one fate");
    decided.refused.iter().for_each(|(_, violations)| refused(violations));
    for (_, entry) in decided.accepted.iter().take(3) {
        if TOWN.state.registry().decide(entry).is_ok() {
            TOWN.fold(Body::Registered((*entry).clone()));
        }
    }
}

/// An event in the very bytes that the log has: its head is read without decoding it, and each class gets a message or nothing.
pub(crate) fn stored(event: &v1::Event) {
    let bytes = event.encode_to_vec();
    let head = event::Head::peek(&bytes).expect("an event of our own making has a head");
    assert_eq!((head.position, head.kind), (event.position, event.kind));
    assert_eq!((head.area_code, head.institution_id), (&*event.area_code, &*event.institution_id));
    for shape in &TOWN.shapes {
        let Ok(Some(shaped)) = shape.event(&bytes) else { continue };
        let sent = v1::Event::decode(&*shaped).expect("what is sent is an event");
        assert!(sent.position == event.position && sent.kind == event.kind);
        assert_eq!(shape.event(&shaped).ok().flatten().as_ref(), Some(&shaped), "shaping twice is shaping once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    #[test]
    fn the_seeds_are_records_and_steps_that_the_town_takes() {
        for s in seeds::records() {
            let mut v = Violations::default();
            validate::submission(&mut v, &s);
            TOWN.state.decide_submission(&TOWN.calendar, &s, v, now()).expect("a good record is taken");
        }
        let steps = seeds::steps();
        let taken: Vec<_> = steps.iter().filter(|step| TOWN.state.decide_case(step, now()).is_ok()).collect();
        assert_eq!(
            taken,
            [&steps[0], &steps[3]],
            "a case that was reported is assessed, or another office is asked to take it"
        );
    }
}
