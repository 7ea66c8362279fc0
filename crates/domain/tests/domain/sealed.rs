//! Sealed identities, holds and erasures, as they are decided and shown.

use satgas_domain::{
    id::SubmissionId,
    sealed::{Ask, Refusal},
};
use satgas_proto::v1::{self, ErasureStatus, IdentityKind, event::Body, submission::Content};

use crate::support::*;

const CASE: u32 = 1;
const NOW: &str = "2028-05-01T12:00:00";
const REASON: &str = "Perkara nomor 12/Pid.Sus/2028";

fn reported() -> Log {
    given([Body::Submitted(Box::new(submission(CASE, "2028-04-20T09:00:00", Content::CaseReport(case_report()))))])
}

fn by(who: &str) -> Option<v1::Actor> {
    Some(v1::Actor { id: who.into(), role: "supervisor".into(), ..Default::default() })
}

fn sealed_under(n: u32, key: u8, kind: IdentityKind, version: u64) -> Body {
    Body::IdentitySealed(v1::IdentitySealed {
        command_id: id(n),
        case_id: id(CASE),
        version,
        kind: kind.into(),
        seal: Some(v1::Seal { key_id: vec![key; 16].into(), ..Default::default() }),
        content_tag: vec![0; 16].into(),
        by: worker("satu"),
    })
}

fn sealed_by(n: u32, kind: IdentityKind, version: u64, by: Option<v1::Actor>) -> Body {
    match sealed(n, kind, version) {
        Body::IdentitySealed(e) => Body::IdentitySealed(v1::IdentitySealed { by, ..e }),
        other => other,
    }
}

fn sealed(n: u32, kind: IdentityKind, version: u64) -> Body {
    sealed_under(n, 7, kind, version)
}

fn read(kind: IdentityKind, sealed_position: u64, purpose: &str) -> Body {
    Body::IdentityRead(v1::IdentityRead {
        case_id: id(CASE),
        kind: kind.into(),
        purpose: purpose.into(),
        by: by("satu"),
        sealed_position,
    })
}

fn worker(who: &str) -> Option<v1::Actor> {
    Some(v1::Actor { role: "case_worker".into(), ..by(who).unwrap_or_default() })
}

/// An assignment; the role of who makes it is a supervisor's unless they take the case themselves.
fn assigned(n: u32, subject: &str, instead_of: &str, until: Option<&str>, by: Option<v1::Actor>) -> Body {
    Body::CaseAssigned(v1::CaseAssigned {
        command_id: id(n),
        case_id: id(CASE),
        subject: subject.into(),
        instead_of: instead_of.into(),
        until: until.map(|until| at(until).to_proto()),
        reason: "Pembagian tugas contoh".into(),
        by,
    })
}

fn taken_by(n: u32, who: &str) -> Body {
    assigned(n, who, "", None, worker(who))
}

fn unassigned(n: u32, subject: &str, by: Option<v1::Actor>) -> Body {
    let (command_id, case_id, subject) = (id(n), id(CASE), subject.into());
    Body::CaseUnassigned(v1::CaseUnassigned { command_id, case_id, subject, reason: "Pindah tugas".into(), by })
}

fn declined(n: u32, who: &str) -> Body {
    let (command_id, case_id) = (id(n), id(CASE));
    Body::ErasureDeclined(v1::ErasureDeclined {
        command_id,
        case_id,
        reason: "Keluarga berubah pikiran".into(),
        by: by(who),
    })
}

fn held(n: u32, until: Option<&str>) -> Body {
    let until = until.map(|until| at(until).to_proto());
    Body::HoldPlaced(v1::HoldPlaced {
        command_id: id(n),
        case_id: id(CASE),
        reason: REASON.into(),
        until,
        by: by("satu"),
    })
}

fn lifted(n: u32, hold: u32) -> Body {
    let (command_id, case_id, hold_id) = (id(n), id(CASE), id(hold));
    Body::HoldLifted(v1::HoldLifted { command_id, case_id, hold_id, reason: "Perkara selesai".into(), by: by("satu") })
}

fn requested(n: u32, who: &str) -> Body {
    let (command_id, case_id) = (id(n), id(CASE));
    Body::ErasureRequested(v1::ErasureRequested {
        command_id,
        case_id,
        reason: "Permintaan keluarga".into(),
        by: by(who),
    })
}

fn approved(n: u32, who: &str) -> Body {
    Body::ErasureApproved(v1::ErasureApproved { command_id: id(n), case_id: id(CASE), by: by(who) })
}

fn erased() -> Body {
    Body::IdentityErased(v1::IdentityErased { case_id: id(CASE), seals: 1 })
}

impl Log {
    fn decides(&self, body: &Body, expected_version: u64, now: &str) -> Result<(), Refusal> {
        self.state.decide_sealing(Ask { body, expected_version, now: at(now) }).map(|_| ())
    }

    /// Insists that each is taken, and folds it.
    fn and_then(mut self, bodies: impl IntoIterator<Item = Body>) -> Self {
        for body in bodies {
            assert_eq!(self.decides(&body, 0, NOW), Ok(()), "{body:?}");
            self.tell(body, NOW);
        }
        self
    }

    fn assignees(&self, position: u64, now: &str) -> Vec<String> {
        let id = SubmissionId::parse(&id(CASE)).expect("an id");
        let case = self.known_at(position, now).case(id).expect("it was reported");
        case.assignees.into_iter().map(|assignee| assignee.subject).collect()
    }

    fn sealing(&self, now: &str) -> v1::CaseSealing {
        let id = SubmissionId::parse(&id(CASE)).expect("an id");
        self.known(now).case(id).expect("it was reported").sealing.unwrap_or_default()
    }
}

fn why(decision: Result<(), Refusal>) -> &'static str {
    match decision {
        Err(Refusal::NotAllowed(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_seal_takes_the_case_one_version_on_and_shows_that_it_is_there() {
    let log = reported();
    assert_eq!(log.case(&id(CASE)).sealing, None);
    let log = log.and_then([sealed(50, IdentityKind::Reporter, 2), sealed(51, IdentityKind::Victim, 3)]);
    let case = log.case(&id(CASE));
    let kinds: Vec<_> = case.sealing.unwrap().identities.iter().map(|i| (i.kind(), i.erased)).collect();
    assert_eq!((case.version, kinds), (3, vec![(IdentityKind::Victim, false), (IdentityKind::Reporter, false)]));
}

#[test]
fn a_seal_on_a_version_that_is_gone_is_stale() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2)]);
    let again = sealed(51, IdentityKind::Victim, 3);
    assert_eq!(log.decides(&again, 1, NOW), Err(Refusal::StaleVersion { current: 2 }));
    assert_eq!(log.decides(&again, 2, NOW), Ok(()));
}

#[test]
fn steps_and_seals_share_the_versions_of_a_case_and_the_past_shows_each() {
    let mut log = reported();
    let report = log.known(NOW).position();
    let step = command(60, CASE, 1, "2028-04-21T09:00:00", assess(v1::Risk::Tinggi));
    let stepped = log.then_goes_on(step, NOW);
    let seal = log.tell(sealed(50, IdentityKind::Victim, 3), NOW);
    let case_id = SubmissionId::parse(&id(CASE)).unwrap();
    let at_position = |log: &Log, position| {
        let case = log.known_at(position, NOW).case(case_id).unwrap();
        (case.version, case.sealing.is_some())
    };
    assert_eq!(at_position(&log, report), (1, false));
    assert_eq!(at_position(&log, stepped), (2, false));
    assert_eq!(at_position(&log, seal), (3, true));
}

#[test]
fn a_task_force_seals_only_what_nobody_else_has_sealed_and_a_correction_hides_nothing() {
    let of = |role: &str, subject: &str, token: &str| {
        Some(v1::Actor { id: token.into(), role: role.into(), subject: subject.into() })
    };
    let offender = IdentityKind::AllegedOffender;
    let log = reported().and_then([
        sealed_by(50, offender, 2, of("satgas", "anggota-1", "lama")),
        sealed_by(51, offender, 3, of("satgas", "anggota-1", "baru")),
    ]);
    let own = log.known(NOW).position();
    for other in [of("satgas", "anggota-2", "lama"), of("institution", "", "tiga")] {
        let refused = log.decides(&sealed_by(52, offender, 4, other.clone()), 0, NOW);
        assert!(why(refused).contains("tell the case worker"), "{other:?}");
        assert_eq!(log.decides(&sealed_by(52, IdentityKind::Victim, 4, other), 0, NOW), Ok(()), "of another kind");
    }
    let log = log.and_then([sealed_by(53, offender, 4, worker("dua")), taken_by(54, "satu"), held(55, None)]);
    let refused = log.decides(&sealed_by(56, offender, 5, of("satgas", "anggota-1", "baru")), 0, NOW);
    assert!(why(refused).contains("tell the case worker"), "its own was corrected");
    assert_eq!(log.decides(&sealed_by(56, offender, 5, worker("tiga")), 0, NOW), Ok(()), "held or not");

    let shown = log.sealing(NOW).identities;
    let earlier: Vec<_> = shown[0].earlier.iter().map(|seal| (seal.sealed_position, seal.by.clone())).collect();
    assert_eq!((shown.len(), shown[0].sealed_position, &shown[0].by), (1, own + 1, &worker("dua")));
    let [first, second] = ["lama", "baru"].map(|token| of("satgas", "anggota-1", token));
    assert_eq!(earlier, [(own - 1, first), (own, second.clone())]);
    let case_id = SubmissionId::parse(&id(CASE)).unwrap();
    let then = log.known_at(own, NOW).case(case_id).unwrap().sealing.unwrap().identities;
    assert_eq!((then[0].sealed_position, &then[0].by, then[0].earlier.len()), (own, &second, 1), "as it was known");
    let purpose = "Pendampingan di rumah sakit";
    for position in own - 1..=own + 1 {
        assert_eq!(log.decides(&read(offender, position, purpose), 0, NOW), Ok(()));
        assert_eq!(log.decides(&read(IdentityKind::Victim, position, purpose), 0, NOW), Err(Refusal::NotSealed));
    }
    assert_eq!(log.decides(&read(offender, own + 2, purpose), 0, NOW), Err(Refusal::NotSealed), "nobody's seal");
}

#[test]
fn what_was_sealed_before_it_was_recorded_by_whom_is_nobodys_to_seal_over() {
    let log = reported().and_then([sealed_by(50, IdentityKind::Victim, 2, None)]);
    let own = v1::Actor { role: "satgas".into(), ..worker("satu").unwrap() };
    assert!(why(log.decides(&sealed_by(51, IdentityKind::Victim, 3, Some(own)), 0, NOW)).contains("case worker"));
    assert_eq!(log.decides(&sealed_by(51, IdentityKind::Victim, 3, worker("satu")), 0, NOW), Ok(()));
    assert_eq!(log.sealing(NOW).identities[0].by, None);
}

#[test]
fn of_many_corrections_the_latest_hundred_are_shown() {
    let seals = (0..102).map(|n| sealed(50 + n, IdentityKind::Victim, 2 + u64::from(n)));
    let log = reported().and_then(seals);
    let shown = log.sealing(NOW).identities.remove(0);
    let position = log.known(NOW).position();
    let positions: Vec<u64> = shown.earlier.iter().map(|seal| seal.sealed_position).collect();
    assert_eq!((shown.sealed_position, positions), (position, (position - 100..position).collect()));
}

#[test]
fn all_identities_of_a_case_are_under_one_key() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2)]);
    let other = sealed_under(51, 8, IdentityKind::Reporter, 3);
    assert!(why(log.decides(&other, 0, NOW)).contains("another key"));
}

#[test]
fn a_reading_needs_a_purpose_and_something_to_read() {
    let mut log = reported().and_then([taken_by(49, "satu")]);
    let purpose = "Pendampingan di rumah sakit";
    assert_eq!(log.decides(&read(IdentityKind::Victim, 0, purpose), 0, NOW), Err(Refusal::NotSealed));
    let position = log.tell(sealed(50, IdentityKind::Victim, 2), NOW);
    assert_eq!(log.decides(&read(IdentityKind::Victim, position, purpose), 0, NOW), Ok(()));
    assert_eq!(log.decides(&read(IdentityKind::Reporter, position, purpose), 0, NOW), Err(Refusal::NotSealed));
    let nothing_said = ["..........", "12/3/2026 45", "Pendampingan\ndi rumah", "Pendampingan\u{1b}[2J"];
    for bad in ["", "perlu", "          ", &"x".repeat(501)].into_iter().chain(nothing_said) {
        let Err(Refusal::Invalid(found)) = log.decides(&read(IdentityKind::Victim, position, bad), 0, NOW) else {
            panic!("{bad:?} is a purpose");
        };
        assert_eq!(found[0].field, "purpose");
    }
}

#[test]
fn who_reads_has_the_case_and_a_refusal_tells_nothing_of_it() {
    let purpose = "Pendampingan di rumah sakit";
    let mut log = reported();
    let reading = |position| read(IdentityKind::Victim, position, purpose);
    assert_eq!(log.decides(&reading(0), 0, NOW), Err(Refusal::NotAssigned), "nothing is sealed");
    let position = log.tell(sealed(50, IdentityKind::Victim, 2), NOW);
    assert_eq!(log.decides(&reading(position), 0, NOW), Err(Refusal::NotAssigned));
    log = log.and_then([taken_by(51, "satu")]);
    assert_eq!(log.decides(&reading(position), 0, NOW), Ok(()));
    log = log.and_then([requested(52, "satu"), approved(53, "dua"), erased(), unassigned(54, "satu", worker("satu"))]);
    assert_eq!(log.decides(&reading(position), 0, NOW), Err(Refusal::NotAssigned), "nor that it was erased");
}

#[test]
fn a_case_worker_takes_what_nobody_has_and_a_supervisor_assigns_everything_else() {
    let log = reported();
    for (body, words) in [
        (assigned(50, "dua", "", None, worker("satu")), "for themselves"),
        (assigned(50, "satu", "", Some("2028-05-02T12:00:00"), worker("satu")), "for good"),
        (assigned(50, "satu", "dua", None, by("pengawas")), "not assigned to whom"),
        (unassigned(50, "satu", by("pengawas")), "not assigned to that"),
    ] {
        assert!(why(log.decides(&body, 0, NOW)).contains(words), "{body:?}");
    }
    let log = log.and_then([taken_by(51, "satu")]);
    let taken = log.known(NOW).position();
    assert!(why(log.decides(&taken_by(52, "dua"), 0, NOW)).contains("already"));
    assert!(why(log.decides(&unassigned(52, "satu", worker("dua")), 0, NOW)).contains("their own"));
    let log = log.and_then([assigned(53, "dua", "", None, by("pengawas"))]);
    assert_eq!(log.assignees(log.known(NOW).position(), NOW), ["satu", "dua"]);
    let log = log.and_then([assigned(54, "tiga", "satu", None, by("pengawas"))]);
    assert_eq!(log.assignees(log.known(NOW).position(), NOW), ["dua", "tiga"], "handed over");
    assert_eq!(log.assignees(taken, NOW), ["satu"], "as it was known before");
    let log = log.and_then([unassigned(55, "dua", worker("dua")), unassigned(56, "tiga", by("pengawas"))]);
    assert!(log.assignees(log.known(NOW).position(), NOW).is_empty());
    assert_eq!(log.decides(&taken_by(57, "empat"), 0, NOW), Ok(()), "nobody has it");
}

#[test]
fn an_exception_ends_by_itself_and_is_not_for_long() {
    let log = reported()
        .and_then([taken_by(50, "satu"), assigned(51, "dua", "", Some("2028-05-02T12:00:00"), by("pengawas"))]);
    let position = log.known(NOW).position();
    assert_eq!(log.assignees(position, "2028-05-02T11:59:59.999"), ["satu", "dua"]);
    assert_eq!(log.assignees(position, "2028-05-02T12:00:00"), ["satu"]);
    for bad in [NOW, "2028-04-30T12:00:00", "2028-06-02T12:00:00"] {
        let body = assigned(52, "tiga", "", Some(bad), by("pengawas"));
        let Err(Refusal::Invalid(found)) = log.decides(&body, 0, NOW) else { panic!("{bad} is taken") };
        assert_eq!(found[0].field, "until");
    }
}

#[test]
fn an_assignment_says_to_whom_and_why() {
    let log = reported();
    let refused = |body: Body| match log.decides(&body, 0, NOW) {
        Err(Refusal::Invalid(found)) => found.into_iter().map(|v| v.field).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(assigned(50, "nama orang", "", None, by("pengawas"))), ["subject"]);
    assert_eq!(refused(assigned(50, "dua", "dua", None, by("pengawas"))), ["instead_of"]);
    let unexplained = |by| match assigned(50, "satu", "", None, by) {
        Body::CaseAssigned(e) => Body::CaseAssigned(v1::CaseAssigned { reason: String::new(), ..e }),
        other => other,
    };
    assert_eq!(refused(unexplained(by("pengawas"))), ["reason"]);
    assert_eq!(refused(unexplained(by("satu"))), ["reason"], "a supervisor who is a case worker by another token");
    assert_eq!(log.decides(&unexplained(worker("satu")), 0, NOW), Ok(()), "taking says it");
}

#[test]
fn an_erasure_that_was_declined_or_withdrawn_can_be_asked_for_again() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2)]);
    assert!(why(log.decides(&declined(51, "dua"), 0, NOW)).contains("waits"));
    let log = log.and_then([requested(51, "satu")]);
    let asked = log.known(NOW).position();
    let log = log.and_then([declined(52, "dua")]);
    let shown = log.sealing(NOW);
    assert_eq!((shown.erasure(), shown.erasure_reason.as_str()), (ErasureStatus::Declined, "Keluarga berubah pikiran"));
    assert!(why(log.decides(&approved(53, "dua"), 0, NOW)).contains("nobody asked"));
    assert!(why(log.decides(&declined(53, "dua"), 0, NOW)).contains("waits"));
    let case_id = SubmissionId::parse(&id(CASE)).unwrap();
    let then = log.known_at(asked, NOW).case(case_id).unwrap().sealing.unwrap();
    assert_eq!((then.erasure(), then.erasure_reason.as_str()), (ErasureStatus::Requested, "Permintaan keluarga"));
    let log = log.and_then([requested(54, "satu"), declined(55, "satu")]);
    assert_eq!(log.sealing(NOW).erasure(), ErasureStatus::Withdrawn);
    let log = log.and_then([requested(56, "satu"), approved(57, "dua"), erased()]);
    assert_eq!(log.sealing(NOW).erasure(), ErasureStatus::Erased);
    assert_eq!(log.decides(&declined(58, "dua"), 0, NOW), Err(Refusal::Erased));
}

#[test]
fn two_tokens_of_one_person_are_one_person() {
    let with_subject = |body: Body| match body {
        Body::ErasureRequested(mut e) => {
            e.by.get_or_insert_default().subject = "petugas-17".into();
            Body::ErasureRequested(e)
        }
        Body::ErasureApproved(mut e) => {
            e.by.get_or_insert_default().subject = "petugas-17".into();
            Body::ErasureApproved(e)
        }
        other => other,
    };
    let asked = with_subject(requested(51, "token-satu"));
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2), asked]);
    assert_eq!(log.decides(&with_subject(approved(52, "token-dua")), 0, NOW), Err(Refusal::SamePerson));
    assert_eq!(log.decides(&approved(52, "petugas-17"), 0, NOW), Err(Refusal::SamePerson), "the subject is the id");
    assert_eq!(log.decides(&approved(52, "token-dua"), 0, NOW), Ok(()));
}

#[test]
fn an_erasure_needs_two_persons() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2)]);
    assert!(why(log.decides(&approved(51, "dua"), 0, NOW)).contains("nobody asked"));
    let log = log.and_then([requested(52, "satu")]);
    assert!(why(log.decides(&requested(53, "dua"), 0, NOW)).contains("already"));
    assert_eq!(log.decides(&approved(54, "satu"), 0, NOW), Err(Refusal::SamePerson));
    assert!(why(log.decides(&erased(), 0, NOW)).contains("not approved"));
    let log = log.and_then([approved(54, "dua"), erased()]);
    let shown = log.sealing(NOW);
    assert_eq!((shown.erasure(), shown.identities[0].erased), (ErasureStatus::Erased, true));
}

#[test]
fn whoever_is_nobody_approves_nothing() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2), requested(52, "satu")]);
    let nobody = v1::ErasureApproved { command_id: id(53), case_id: id(CASE), by: None };
    assert_eq!(log.decides(&Body::ErasureApproved(nobody), 0, NOW), Err(Refusal::SamePerson));
}

#[test]
fn a_held_case_refuses_erasure_with_the_holds_reason_until_every_hold_is_lifted() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2), held(60, None), held(61, None)]);
    let refused = |log: &Log| match log.decides(&requested(62, "satu"), 0, NOW) {
        Err(Refusal::Held { case_id, hold_id, reason }) if case_id == id(CASE) => (hold_id, reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&log), (id(60), REASON.to_owned()));
    let log = log.and_then([lifted(63, 60)]);
    assert_eq!(refused(&log), (id(61), REASON.to_owned()));
    assert!(why(log.decides(&lifted(64, 60), 0, NOW)).contains("no such hold"));
    let log = log.and_then([lifted(65, 61)]);
    assert_eq!(log.decides(&requested(66, "satu"), 0, NOW), Ok(()));
}

/// What an event is about, as of another case.
fn of_case(case: u32, body: Body) -> Body {
    let case_id = id(case);
    match body {
        Body::IdentitySealed(e) => Body::IdentitySealed(v1::IdentitySealed { case_id, ..e }),
        Body::HoldPlaced(e) => Body::HoldPlaced(v1::HoldPlaced { case_id, ..e }),
        Body::HoldLifted(e) => Body::HoldLifted(v1::HoldLifted { case_id, ..e }),
        Body::ErasureRequested(e) => Body::ErasureRequested(v1::ErasureRequested { case_id, ..e }),
        Body::ErasureApproved(e) => Body::ErasureApproved(v1::ErasureApproved { case_id, ..e }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hold_holds_every_case_that_its_case_is_merged_with_before_or_after() {
    let report =
        |n| Body::Submitted(Box::new(submission(n, "2028-04-20T09:00:00", Content::CaseReport(case_report()))));
    let merged = |n, case, into| command(n, case, 2, "2028-04-21T09:00:00", merge_into(into));
    // 1 into 2, then 2 into 3; 4 and 5 are another pair.
    let mut log = given((1..=5).map(report))
        .and_then((1..=5).map(|case| of_case(case, sealed(50 + case, IdentityKind::Victim, 2))));
    log.then_goes_on(merged(60, 1, 2), NOW);
    log = log.and_then([of_case(1, requested(61, "satu"))]);
    log.then_goes_on(merged(62, 2, 3), NOW);
    log.then_goes_on(merged(63, 5, 4), NOW);
    for holding in 1..=3 {
        log = log.and_then([of_case(holding, held(70 + holding, None))]);
        let standing = Refusal::Held { case_id: id(holding), hold_id: id(70 + holding), reason: REASON.into() };
        assert_eq!(log.decides(&of_case(1, approved(80, "dua")), 0, NOW), Err(standing.clone()), "asked for before");
        for case in 2..=3 {
            assert_eq!(log.decides(&of_case(case, requested(80, "satu")), 0, NOW), Err(standing.clone()));
        }
        for case in 4..=5 {
            assert_eq!(log.decides(&of_case(case, requested(80, "satu")), 0, NOW), Ok(()), "another case's hold");
        }
        log = log.and_then([of_case(holding, lifted(75 + holding, 70 + holding))]);
    }
    log = log.and_then([of_case(3, held(90, None)), of_case(2, held(91, None)), of_case(1, held(92, None))]);
    for (case, hold) in [(1, 92), (2, 91), (3, 90)] {
        let refused = log.decides(&of_case(case, requested(93, "tiga")), 0, NOW);
        assert!(matches!(&refused, Err(Refusal::Held { hold_id, .. }) if *hold_id == id(hold)), "its own: {refused:?}");
    }
}

#[test]
fn a_hold_placed_after_the_request_stops_the_approval() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2), requested(51, "satu"), held(60, None)]);
    assert!(matches!(log.decides(&approved(52, "dua"), 0, NOW), Err(Refusal::Held { .. })));
    let log = log.and_then([lifted(61, 60), approved(52, "dua")]);
    assert_eq!(log.sealing(NOW).erasure(), ErasureStatus::Approved);
}

#[test]
fn a_hold_ends_by_itself_at_its_time() {
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2), held(60, Some("2028-06-01T00:00:00"))]);
    let ask = requested(61, "satu");
    assert!(matches!(log.decides(&ask, 0, "2028-05-31T23:59:59.999"), Err(Refusal::Held { .. })));
    assert_eq!(log.decides(&ask, 0, "2028-06-01T00:00:00"), Ok(()));
    assert_eq!(
        (log.sealing("2028-05-31T23:59:59.999").holds.len(), log.sealing("2028-06-01T00:00:00").holds.len()),
        (1, 0)
    );
    let late = held(62, Some("2028-05-01T11:00:00"));
    assert!(matches!(log.decides(&late, 0, NOW), Err(Refusal::Invalid(_))));
}

#[test]
fn once_approved_nothing_comes_between_and_what_was_erased_stays_erased() {
    let mut log = reported().and_then([taken_by(49, "satu"), sealed(50, IdentityKind::Victim, 2)]);
    let position = log.known(NOW).position();
    log = log.and_then([requested(51, "satu"), approved(52, "dua")]);
    let purpose = "Pendampingan di rumah sakit";
    let others = || {
        [
            sealed(53, IdentityKind::Reporter, 3),
            read(IdentityKind::Victim, position, purpose),
            held(54, None),
            requested(55, "satu"),
            approved(56, "tiga"),
        ]
    };
    for body in others() {
        assert_eq!(log.decides(&body, 0, NOW), Err(Refusal::Erased), "{body:?}");
    }
    log = log.and_then([erased()]);
    for body in others().into_iter().chain([erased()]) {
        assert_eq!(log.decides(&body, 0, NOW), Err(Refusal::Erased), "{body:?}");
    }
}

#[test]
fn erasing_changes_no_count_and_the_past_still_shows_that_it_was_sealed() {
    let figures = |log: &Log| log.evaluation(kelurahan(SATU), "2028-04", NOW);
    let log = reported().and_then([sealed(50, IdentityKind::Victim, 2)]);
    let (before, position) = (figures(&log), log.known(NOW).position());
    let log = log.and_then([requested(51, "satu"), approved(52, "dua"), erased()]);
    let after = figures(&log);
    assert_eq!((before.indicators, before.activity), (after.indicators, after.activity));
    let case_id = SubmissionId::parse(&id(CASE)).unwrap();
    let then = log.known_at(position, NOW).case(case_id).unwrap().sealing.unwrap();
    assert_eq!((then.erasure(), then.identities[0].erased), (ErasureStatus::Unspecified, false));
}

#[test]
fn nothing_is_sealed_held_or_erased_of_a_case_that_is_not_there() {
    let log = given([]);
    for body in [sealed(50, IdentityKind::Victim, 2), held(51, None), requested(52, "satu"), approved(53, "dua")] {
        assert_eq!(log.decides(&body, 0, NOW), Err(Refusal::UnknownCase), "{body:?}");
    }
}

#[test]
fn an_event_that_was_not_written_is_taken_back() {
    let mut log = reported();
    let fingerprint = |log: &Log| format!("{:?} {:?}", log.state.cases().all(), log.state.sealings());
    let bodies = [
        sealed(50, IdentityKind::Victim, 2),
        held(51, None),
        lifted(52, 51),
        requested(53, "satu"),
        declined(54, "dua"),
        taken_by(55, "satu"),
        unassigned(56, "satu", worker("satu")),
    ];
    for body in bodies {
        let before = fingerprint(&log);
        let event = v1::Event {
            position: 1_000,
            recorded_at: Some(at(NOW).to_proto()),
            body: Some(body.clone()),
            ..Default::default()
        };
        let undo = log.state.apply(&log.calendar, &event);
        assert_ne!(fingerprint(&log), before, "{body:?}");
        log.state.undo(undo);
        assert_eq!(fingerprint(&log), before, "{body:?}");
        log.tell(body, NOW);
    }
}

#[test]
fn an_identity_that_is_empty_or_too_long_is_refused_without_repeating_it() {
    let look = |identity: &v1::PersonIdentity| {
        let mut v = satgas_domain::validate::Violations::default();
        satgas_domain::sealed::identity(&mut v, identity);
        v.into_vec()
    };
    let named = |full_name: &str| v1::PersonIdentity { full_name: full_name.into(), ..Default::default() };
    assert_eq!(look(&named("Anak Contoh")), []);
    assert_eq!(look(&named("  ")).len(), 1);
    let bad = v1::PersonIdentity { born_on: "kemarin".into(), phone: "\u{7}".into(), ..named(&"Contoh ".repeat(60)) };
    let found = look(&bad);
    let fields: Vec<&str> = found.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["full_name", "phone", "born_on"]);
    assert!(!format!("{found:?}").contains("Contoh") && !format!("{found:?}").contains("kemarin"));
}
