//! What a step of a case needs beyond its place in the table.

use satgas_domain::case::Refusal;
use satgas_proto::v1::{
    self, CaseStatus, ReferralStatus, amendment::Replacement, case_command::Step, submission::Content,
};

use crate::support::*;

const NOW: &str = "2028-02-10T12:00:00";
const REPORTED: &str = "2028-02-01T08:00:00";
const TAKEN: &str = "2028-02-02T08:00:00";

/// Case 1 as reported, assessed.
fn assessed(report: v1::CaseReport) -> Log {
    let mut log = given([]);
    log.then_goes_on(submission(1, REPORTED, Content::CaseReport(report)), NOW);
    log.then_goes_on(command(101, 1, 1, TAKEN, assess(v1::Risk::Rendah)), NOW);
    log
}

fn go_on(log: &mut Log, step: Step) {
    let version = log.case(&id(1)).version;
    let n = 200 + u32::try_from(version).expect("a story has few steps");
    log.then_goes_on(command(n, 1, version, TAKEN, step), NOW);
}

/// What a further step of case 1 is answered.
fn ask(log: &Log, step: Step) -> Answered {
    log.when(command(300, 1, log.case(&id(1)).version, TAKEN, step), NOW)
}

fn mediation() -> Step {
    serve(v1::Service::Mediasi)
}

/// The step is refused with this reason, and the refusal says where the case stands and what is allowed there.
#[track_caller]
fn assert_refused(log: &Log, step: Step, why: &str) {
    let case = log.case(&id(1));
    let asked = command(300, 1, case.version, TAKEN, step);
    match log.state.decide_case(&asked, at(NOW)) {
        Err(Refusal::NotAllowed { current, status, allowed, why: told }) => {
            assert!(told.contains(why), "{told:?} says nothing of {why:?}");
            assert_eq!((current, status), (case.version, case.status()));
            assert_eq!(allowed, case.allowed_steps);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn mediation_is_refused_for_sexual_violence_against_a_child_and_for_nobody_else() {
    let why = "mediation is refused for sexual violence against a child";
    let sexual = v1::Violence::Seksual.into();
    for age in [v1::AgeGroup::AgeGroup05, v1::AgeGroup::AgeGroup612, v1::AgeGroup::AgeGroup1317] {
        let log = assessed(v1::CaseReport { victim_age: age.into(), ..case_report() });
        assert_refused(&log, mediation(), why);
        ask(&log, serve(v1::Service::Psikologis)).then(Answer::Advances { version: 3 });
    }
    let child_beaten = v1::CaseReport { violence: vec![v1::Violence::Fisik.into()], ..child_case_report() };
    ask(&assessed(child_beaten.clone()), mediation()).then(Answer::Advances { version: 3 });
    ask(&assessed(case_report()), mediation()).then(Answer::Advances { version: 3 });
    let both = v1::CaseReport { violence: vec![v1::Violence::Fisik.into(), sexual], ..child_beaten };
    assert_refused(&assessed(both), mediation(), why);
}

#[test]
fn mediation_stays_refused_when_a_correction_says_that_it_was_no_child() {
    let mut log = assessed(child_case_report());
    log.then_goes_on(submission(2, TAKEN, amends(1, Replacement::CaseReport(case_report()))), NOW);
    assert_refused(&log, mediation(), "against a child");
}

#[test]
fn mediation_is_refused_when_only_a_correction_tells_of_a_child() {
    let mut log = assessed(case_report());
    ask(&log, mediation()).then(Answer::Advances { version: 3 });
    log.then_goes_on(submission(2, TAKEN, amends(1, Replacement::CaseReport(child_case_report()))), NOW);
    assert_refused(&log, mediation(), "against a child");
    log.then_goes_on(submission(3, TAKEN, amends(2, Replacement::CaseReport(case_report()))), NOW);
    assert_refused(&log, mediation(), "against a child");
}

#[test]
fn mediation_is_refused_when_a_correction_of_a_correction_or_one_in_conflict_tells_of_a_child() {
    let mut log = assessed(case_report());
    // The correction of the correction comes first and waits.
    log.then_goes_on(submission(3, TAKEN, amends(2, Replacement::CaseReport(child_case_report()))), NOW);
    ask(&log, mediation()).then(Answer::Advances { version: 3 });
    log.then_goes_on(submission(2, TAKEN, amends(1, Replacement::CaseReport(case_report()))), NOW);
    assert_refused(&log, mediation(), "against a child");

    let mut log = assessed(case_report());
    log.then_goes_on(submission(2, TAKEN, amends(1, Replacement::CaseReport(case_report()))), NOW);
    log.then_goes_on(submission(3, TAKEN, amends(1, Replacement::CaseReport(child_case_report()))), NOW);
    assert_eq!(log.conflicts().len(), 1);
    assert_refused(&log, mediation(), "against a child");
}

#[test]
fn a_correction_taken_back_with_its_failed_write_bars_nothing() {
    let mut log = assessed(case_report());
    let correction = submission(2, TAKEN, amends(1, Replacement::CaseReport(child_case_report())));
    let event = v1::Event {
        position: 99,
        recorded_at: Some(at(NOW).to_proto()),
        body: Some(v1::event::Body::Submitted(Box::new(correction))),
        ..v1::Event::default()
    };
    let undo = log.state.apply(&log.calendar, &event);
    assert_refused(&log, mediation(), "against a child");
    log.state.undo(undo);
    ask(&log, mediation()).then(Answer::Advances { version: 3 });
}

#[test]
fn a_report_and_a_step_taken_back_leave_the_cases_as_they_were() {
    let mut log = assessed(case_report());
    let before = log.state.cases().all().len();
    let event = |body| v1::Event {
        position: 99,
        recorded_at: Some(at(NOW).to_proto()),
        body: Some(body),
        ..v1::Event::default()
    };
    let report = submission(2, TAKEN, Content::CaseReport(case_report()));
    let first = log.state.apply(&log.calendar, &event(v1::event::Body::Submitted(Box::new(report))));
    let step = command(300, 2, 1, TAKEN, assess(v1::Risk::Tinggi));
    let second = log.state.apply(
        &log.calendar,
        &event(v1::event::Body::CaseAdvanced(v1::CaseAdvanced { command: Some(step.clone()), version: 2 })),
    );
    log.when(step.clone(), NOW).then(Answer::Stays(Refusal::StaleVersion { current: 2 }));
    log.state.undo(second);
    log.when(step.clone(), NOW).then(Answer::Advances { version: 2 });
    log.state.undo(first);
    log.when(step, NOW).then(Answer::Stays(Refusal::UnknownCase));
    assert_eq!(log.state.cases().all().len(), before);
}

#[test]
fn a_step_of_an_unknown_case_is_refused() {
    given([]).when(command(300, 9, 1, TAKEN, assess(v1::Risk::Tinggi)), NOW).then(Answer::Stays(Refusal::UnknownCase));
}

#[test]
fn a_bad_step_hears_of_every_violation_at_once() {
    let log = assessed(case_report());
    log.when(v1::CaseCommand::default(), NOW).then(refused([
        "command_id",
        "case_id",
        "expected_version",
        "occurred_at",
        "step",
    ]));
    ask(&log, assess(v1::Risk::Unspecified)).then(refused(["assess.risk"]));
    ask(&log, Step::RecordService(v1::RecordService { service: 99 })).then(refused(["record_service.service"]));
    ask(&log, Step::PlanFollowUp(v1::PlanFollowUp::default())).then(refused(["plan_follow_up.follow_up"]));
    ask(&log, plan(0, "besok")).then(refused(["plan_follow_up.follow_up.number", "plan_follow_up.follow_up.due_on"]));
    ask(&log, complete(0)).then(refused(["complete_follow_up.number"]));
    ask(&log, Step::RecordVerdict(v1::RecordVerdict { guilty: true, prison_months: -1 }))
        .then(refused(["record_verdict.prison_months"]));
    ask(&log, Step::Close(v1::CloseCase { outcome: 0 })).then(refused(["close.outcome"]));
    ask(&log, Step::Reopen(v1::ReopenCase::default())).then(refused(["reopen.reason"]));
    ask(&log, offer("90009999")).then(refused(["offer_referral.to_institution_id"])).because("not a registered");
}

#[test]
fn a_step_lies_between_the_report_and_now() {
    let log = assessed(case_report());
    let step = |occurred: &str| command(300, 1, 2, occurred, serve(v1::Service::Kesehatan));
    log.when(step("2028-02-01T07:59:59.999"), NOW).then(refused(["occurred_at"])).because("before the case");
    log.when(step(REPORTED), NOW).then(Answer::Advances { version: 3 });
    log.when(step("2028-02-10T12:05:00"), NOW).then(Answer::Advances { version: 3 });
    log.when(step("2028-02-10T12:05:00.001"), NOW).then(refused(["occurred_at"])).because("future");
}

#[test]
fn a_follow_up_has_a_number_of_its_own_and_is_completed_once() {
    let mut log = assessed(case_report());
    go_on(&mut log, plan(1, "2028-03-01"));
    go_on(&mut log, plan(2, "2028-03-01"));
    assert_refused(&log, plan(1, "2028-03-02"), "planned already");
    assert_refused(&log, complete(3), "no follow-up of this number");
    go_on(&mut log, complete(1));
    assert_refused(&log, complete(1), "completed already");
    assert_refused(&log, plan(1, "2028-03-02"), "planned already");
}

#[test]
fn a_duplicate_is_merged_into_a_case_that_goes_on() {
    let mut log = assessed(case_report());
    for n in [2, 3] {
        log.then_goes_on(submission(n, REPORTED, Content::CaseReport(case_report())), NOW);
    }
    log.then_goes_on(command(301, 3, 1, TAKEN, merge_into(2)), NOW);
    ask(&log, merge_into(1)).then(refused(["merge.into_case_id"])).because("is the case itself");
    assert_refused(&log, merge_into(9), "does not exist");
    assert_refused(&log, merge_into(3), "was itself merged");
    go_on(&mut log, merge_into(2));
    let case = log.case(&id(1));
    assert_eq!((case.status(), case.merged_into_case_id), (CaseStatus::Digabung, id(2)));
}

#[test]
fn a_case_is_not_closed_while_something_is_open() {
    let mut log = assessed(case_report());
    go_on(&mut log, Step::AdmitToShelter(v1::AdmitToShelter {}));
    assert_refused(&log, close(), "in the shelter: record the discharge");
    go_on(&mut log, Step::DischargeFromShelter(v1::DischargeFromShelter {}));
    ask(&log, close()).then(Answer::Advances { version: 5 });
    go_on(&mut log, offer(OFFICE));
    assert_refused(&log, close(), "a referral is offered");
    go_on(&mut log, Step::RevokeReferral(v1::RevokeReferral { reason: "Selesai".into() }));
    go_on(&mut log, plan(1, "2028-03-01"));
    assert_refused(&log, close(), "a follow-up is open");
    go_on(&mut log, complete(1));
    go_on(&mut log, close());
    assert_eq!(log.case(&id(1)).outcome(), v1::CaseOutcome::TujuanTercapai);
}

#[test]
fn a_reopened_case_is_in_service_if_it_ever_was_and_forgets_its_outcome() {
    let mut log = assessed(case_report());
    go_on(&mut log, serve(v1::Service::Kesehatan));
    go_on(&mut log, close());
    go_on(&mut log, reopen());
    let case = log.case(&id(1));
    assert_eq!((case.status(), case.outcome()), (CaseStatus::DalamLayanan, v1::CaseOutcome::Unspecified));
}

#[test]
fn a_referral_is_offered_again_after_it_was_rejected() {
    let mut log = assessed(case_report());
    go_on(&mut log, offer(OFFICE));
    assert_refused(&log, offer(SCHOOL), "offered already");
    go_on(&mut log, Step::RejectReferral(v1::RejectReferral { reason: "Penuh".into() }));
    assert_eq!(log.case(&id(1)).referral_status(), ReferralStatus::Ditolak);
    go_on(&mut log, offer(SCHOOL));
    go_on(&mut log, Step::AcceptReferral(v1::AcceptReferral {}));
    let case = log.case(&id(1));
    assert_eq!((case.referral_status(), case.referred_to_institution_id.as_str()), (ReferralStatus::Diterima, SCHOOL));
}

#[test]
fn a_case_tells_all_that_was_done() {
    let mut log = assessed(case_report());
    go_on(&mut log, serve(v1::Service::Kesehatan));
    go_on(&mut log, Step::RecordLegalStage(v1::RecordLegalStage { stage: v1::LegalStage::Persidangan.into() }));
    go_on(&mut log, Step::RecordVerdict(v1::RecordVerdict { guilty: true, prison_months: 120 }));
    let case = log.case(&id(1));
    assert_eq!(case.version, 5);
    assert_eq!(case.area_code, SATU);
    assert_eq!(case.services.iter().map(|s| s.service()).collect::<Vec<_>>(), [v1::Service::Kesehatan]);
    assert_eq!(case.first_response_at, Some(at(TAKEN).to_proto()));
    assert_eq!(case.legal_stage(), v1::LegalStage::Persidangan);
    assert_eq!(case.verdict, Some(v1::RecordVerdict { guilty: true, prison_months: 120 }));
}
