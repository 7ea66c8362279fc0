//! Amendments, retractions and conflicts, by the rules of `docs/evaluation.md`.

use satgas_domain::views::Fate;
use satgas_proto::v1::{self, ConflictCause, IndicatorKind, amendment::Replacement, event::Body, submission::Content};

use crate::support::*;

const NOW: &str = "2028-02-20T12:00:00";
const DAY: &str = "2028-02-10T09:00:00";

fn visited(pupils_female: i32) -> v1::SchoolVisit {
    v1::SchoolVisit { reach: Some(v1::Reach { pupils_female, ..v1::Reach::default() }), ..visit(&[]) }
}

fn visits(n: u32, pupils: i32) -> v1::Submission {
    submission(n, DAY, Content::SchoolVisit(visited(pupils)))
}

fn amends_visit(n: u32, corrects: u32, pupils: i32) -> v1::Submission {
    submission(n, DAY, amends(corrects, Replacement::SchoolVisit(visited(pupils))))
}

/// Visits and pupils reached of `SATU` in February.
fn reached(log: &Log) -> (u64, u64) {
    let activity = log.evaluation(kelurahan(SATU), "2028-02", NOW).activity.expect("always there");
    (activity.visits, activity.pupils_reached)
}

#[test]
fn rule_1_an_amendment_of_the_current_version_takes_effect_and_becomes_the_current_version() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    let first = log.then_goes_on(amends_visit(2, 1, 20), NOW);
    assert_eq!((reached(&log), log.views.fate(first)), ((1, 20), Fate::InEffect));
    log.then_goes_on(amends_visit(3, 2, 30), NOW);
    assert_eq!(reached(&log), (1, 30));
    assert_eq!((log.conflicts(), log.held()), (vec![], vec![]));
}

#[test]
fn rule_1_an_amendment_moves_a_record_only_when_it_says_when() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    let moved = v1::Amendment {
        occurred_at: Some(at("2028-01-31T23:59:59.999").to_proto()),
        ..amendment(1, Replacement::SchoolVisit(visited(10)))
    };
    log.then_goes_on(submission(2, DAY, Content::Amendment(moved)), NOW);
    assert_eq!(reached(&log), (0, 0));
    // The next one says nothing of the time: the record stays where the last one put it.
    log.then_goes_on(amends_visit(3, 2, 11), NOW);
    let january = log.evaluation(kelurahan(SATU), "2028-01", NOW).activity.unwrap();
    assert_eq!((january.visits, january.pupils_reached), (1, 11));
}

#[test]
fn rule_2_a_second_amendment_of_one_version_is_a_conflict_with_the_first() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    let first = log.then_goes_on(amends_visit(2, 1, 20), NOW);
    let second = log.then_goes_on(amends_visit(3, 1, 99), NOW);
    assert_eq!(log.conflicts(), [(second, ConflictCause::AlreadyAmended)]);
    assert_eq!(log.views.fate(second), Fate::Conflict(first), "what stands is the amendment in effect");
    assert_eq!(reached(&log), (1, 20));
}

#[test]
fn rule_2_an_amendment_of_a_withdrawn_record_is_a_conflict() {
    let mut log = given([]);
    let record = log.then_goes_on(visits(1, 10), NOW);
    log.then_goes_on(submission(2, DAY, retracts(1)), NOW);
    let late = log.then_goes_on(amends_visit(3, 1, 20), NOW);
    assert_eq!(log.conflicts(), [(late, ConflictCause::Retracted)]);
    assert_eq!(log.views.fate(late), Fate::Conflict(record));
    assert_eq!(reached(&log), (0, 0));
}

#[test]
fn rule_2_an_amendment_by_another_reporter_or_of_another_kind_does_not_fit() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    let stranger = log.then_goes_on(by(DUA, amends_visit(2, 1, 99)), NOW);
    let other_kind = submission(3, DAY, amends(1, Replacement::ExposureSignal(signal('a', &[SCHOOL]))));
    let other_kind = log.then_goes_on(other_kind, NOW);
    let cause = ConflictCause::TargetDoesNotFit;
    assert_eq!(log.conflicts(), [(stranger, cause), (other_kind, cause)]);
    assert_eq!(reached(&log), (1, 10));
    let fits = log.then_goes_on(amends_visit(4, 1, 12), NOW);
    assert_eq!((log.views.fate(fits), reached(&log)), (Fate::InEffect, (1, 12)), "the version is still current");
}

#[test]
fn rule_2_the_checks_are_made_in_order() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    log.then_goes_on(amends_visit(2, 1, 20), NOW);
    log.then_goes_on(submission(3, DAY, retracts(1)), NOW);
    let stale = log.then_goes_on(by(DUA, amends_visit(4, 1, 0)), NOW);
    let withdrawn = log.then_goes_on(by(DUA, amends_visit(5, 2, 0)), NOW);
    assert_eq!(log.conflicts(), [(stale, ConflictCause::AlreadyAmended), (withdrawn, ConflictCause::Retracted)]);
}

#[test]
fn rule_3_an_amendment_waits_for_its_target_and_takes_effect_when_it_arrives() {
    let mut log = given([]);
    let waiting = log.then_goes_on(amends_visit(2, 1, 20), NOW);
    assert_eq!((log.held(), log.views.fate(waiting)), (vec![(waiting, id(1))], Fate::Held));
    assert_eq!(reached(&log), (0, 0));
    log.then_goes_on(visits(1, 10), NOW);
    assert_eq!((log.held(), log.views.fate(waiting), reached(&log)), (vec![], Fate::InEffect, (1, 20)));
}

#[test]
fn rule_3_a_chain_that_arrives_backwards_is_set_free_link_by_link() {
    let mut log = given([]);
    for (n, corrects, pupils) in [(4, 3, 40), (3, 2, 30), (2, 1, 20)] {
        log.then_goes_on(amends_visit(n, corrects, pupils), NOW);
    }
    assert_eq!(log.held().len(), 3);
    log.then_goes_on(visits(1, 10), NOW);
    assert_eq!((log.held(), log.conflicts(), reached(&log)), (vec![], vec![], (1, 40)));
}

#[test]
fn rule_3_those_that_wait_for_one_id_are_tried_in_log_order_each_with_what_it_frees() {
    let mut log = given([]);
    let rival = amends_visit(3, 1, 99);
    log.then_goes_on(amends_visit(2, 1, 20), NOW);
    let rival = log.then_goes_on(rival, NOW);
    let follower = log.then_goes_on(amends_visit(4, 2, 40), NOW);
    log.then_goes_on(visits(1, 10), NOW);
    assert_eq!(log.conflicts(), [(rival, ConflictCause::AlreadyAmended)]);
    assert_eq!(log.views.fate(rival), Fate::Conflict(follower), "the follower was set free before the rival was tried");
    assert_eq!(reached(&log), (1, 40));
}

#[test]
fn rule_4_a_retraction_by_any_version_withdraws_and_a_second_one_changes_nothing() {
    for named in [1, 2, 3] {
        let mut log = given([]);
        log.then_goes_on(visits(1, 10), NOW);
        log.then_goes_on(amends_visit(2, 1, 20), NOW);
        log.then_goes_on(amends_visit(3, 2, 30), NOW);
        log.then_goes_on(submission(4, DAY, retracts(named)), NOW);
        assert_eq!(reached(&log), (0, 0), "by version {named}");
        let again = log.then_goes_on(submission(5, DAY, retracts(1)), NOW);
        assert_eq!((reached(&log), log.views.fate(again)), ((0, 0), Fate::InEffect));
        assert_eq!(log.conflicts(), []);
    }
}

#[test]
fn rule_4_a_retraction_by_another_reporter_does_not_fit() {
    let mut log = given([]);
    let record = log.then_goes_on(visits(1, 10), NOW);
    let stranger = log.then_goes_on(by(SCHOOL, submission(2, DAY, retracts(1))), NOW);
    assert_eq!(log.conflicts(), [(stranger, ConflictCause::TargetDoesNotFit)]);
    assert_eq!((log.views.fate(stranger), reached(&log)), (Fate::Conflict(record), (1, 10)));
}

#[test]
fn rule_4_a_case_report_is_not_withdrawn_and_the_reporter_is_checked_first() {
    let mut log = given([]);
    log.then_goes_on(submission(1, DAY, Content::CaseReport(case_report())), NOW);
    let own = log.then_goes_on(submission(2, DAY, retracts(1)), NOW);
    let stranger = log.then_goes_on(by(DUA, submission(3, DAY, retracts(1))), NOW);
    assert_eq!(
        log.conflicts(),
        [(own, ConflictCause::CaseReportRetracted), (stranger, ConflictCause::TargetDoesNotFit)]
    );
    let cases = log.evaluation(kelurahan(SATU), "2028-02", NOW).cases.unwrap();
    assert_eq!(cases.reported, 1);
}

#[test]
fn rule_4_a_retraction_waits_for_its_target_too() {
    let mut log = given([]);
    let waiting = log.then_goes_on(submission(2, DAY, retracts(1)), NOW);
    assert_eq!(log.held(), [(waiting, id(1))]);
    log.then_goes_on(visits(1, 10), NOW);
    assert_eq!((log.held(), reached(&log)), (vec![], (0, 0)));
}

#[test]
fn rule_5_other_content_under_a_known_id_never_counts() {
    let mut log = given([]);
    let stands_position = log.then_goes_on(visits(1, 10), NOW);
    let cause = ConflictCause::SameIdOtherContent;
    let conflicting =
        v1::ConflictingSubmission { submission: Some(visits(1, 99)), cause: cause.into(), stands_position };
    let aside = log.tell(Body::Conflicting(Box::new(conflicting)), NOW);
    assert_eq!((log.conflicts(), reached(&log)), (vec![(aside, cause)], (1, 10)));
    assert_eq!(log.views.fate(aside), Fate::Conflict(stands_position));
    let listed = log.known(NOW).conflicts("", 0).next().unwrap();
    assert_eq!((listed.submission, listed.stands_position), (Some(visits(1, 99)), stands_position));
}

#[test]
fn rule_5_the_id_of_an_amendment_in_conflict_or_waiting_or_of_a_retraction_is_no_version() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    log.then_goes_on(amends_visit(2, 1, 20), NOW);
    log.then_goes_on(amends_visit(3, 1, 99), NOW);
    log.then_goes_on(amends_visit(4, 77, 99), NOW);
    log.then_goes_on(submission(5, DAY, retracts(1)), NOW);
    let waiting: Vec<_> =
        [3, 4, 5].map(|target| (log.then_goes_on(amends_visit(target + 10, target, 0), NOW), id(target))).to_vec();
    assert_eq!(log.held()[1..], waiting);
    assert_eq!(log.held()[0].1, id(77));
}

#[test]
fn rule_6_an_amendment_of_a_case_report_replaces_the_report_and_its_time_and_is_no_step() {
    let mut log = given([]);
    log.then_goes_on(submission(1, "2028-02-01T00:00:00", Content::CaseReport(case_report())), NOW);
    log.then_goes_on(command(101, 1, 1, DAY, assess(v1::Risk::Tinggi)), NOW);
    let earlier = v1::Amendment {
        occurred_at: Some(at("2028-01-31T23:59:59.999").to_proto()),
        ..amendment(1, Replacement::CaseReport(child_case_report()))
    };
    log.then_goes_on(submission(2, DAY, Content::Amendment(earlier)), NOW);
    let case = log.case(&id(1));
    assert_eq!((case.version, case.area_code.as_str(), case.report), (2, SATU, Some(child_case_report())));
    assert_eq!(case.reported_at, Some(at("2028-01-31T23:59:59.999").to_proto()));
    assert_eq!(case.response_due_at, Some(at("2028-02-01T00:59:59.999").to_proto()), "the target moves along");
    let reported = |month| log.evaluation(kelurahan(SATU), month, NOW).cases.unwrap().reported;
    assert_eq!((reported("2028-01"), reported("2028-02")), (1, 0));
}

#[test]
fn an_amendment_takes_the_old_versions_effects_out() {
    let mut log = given([]);
    let first = v1::SchoolVisit { follow_ups_done: vec![done(9, 1, "2028-02-05")], ..visit(&["2028-02-12"]) };
    log.then_goes_on(submission(9, "2028-02-02T09:00:00", Content::SchoolVisit(visit(&["2028-02-05"]))), NOW);
    log.then_goes_on(submission(1, DAY, Content::SchoolVisit(first)), NOW);
    let discipline = |log: &Log| log.fraction(IndicatorKind::FollowUpDiscipline, kelurahan(SATU), "2028-02", NOW);
    assert_eq!(discipline(&log), Some((1, 2)));
    let elsewhere = v1::SchoolVisit { school_id: OTHER_SCHOOL.into(), ..visit(&[]) };
    log.then_goes_on(submission(2, DAY, amends(1, Replacement::SchoolVisit(elsewhere))), NOW);
    assert_eq!(discipline(&log), Some((0, 1)), "neither what it did nor what it agreed stands any more");
    assert_eq!(log.fraction(IndicatorKind::SchoolCoverage, kelurahan(SATU), "2028-02", NOW), Some((2, 2)));
    log.then_goes_on(submission(3, DAY, retracts(2)), NOW);
    assert_eq!(log.fraction(IndicatorKind::SchoolCoverage, kelurahan(SATU), "2028-02", NOW), Some((1, 2)));
}

#[test]
fn conflicts_and_what_waits_are_listed_within_an_area_and_after_a_position() {
    let mut log = given([]);
    let first = log.then_goes_on(amends_visit(1, 77, 0), NOW);
    let second = log.then_goes_on(by(TIGA, amends_visit(2, 78, 0)), NOW);
    let held = |prefix: &str, after| log.known(NOW).held(prefix, after).map(|h| h.position).collect::<Vec<_>>();
    assert_eq!(held("", 0), [first, second]);
    assert_eq!(held("53.71.04", 0), [first]);
    assert_eq!(held("53.71.0", 0), Vec::<u64>::new(), "a prefix is made of whole segments");
    assert_eq!(held("", first), [second]);
}

fn decides(n: u32, conflict_position: u64, decision: v1::ConflictDecision) -> Body {
    Body::ConflictResolved(v1::ConflictResolution {
        command_id: id(n),
        conflict_position,
        decision: decision.into(),
        reason: "Keputusan contoh".into(),
    })
}

#[test]
fn rule_6_the_version_that_is_taken_stands_and_what_is_kept_changes_nothing() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    log.then_goes_on(amends_visit(2, 1, 20), NOW);
    let third = log.then_goes_on(amends_visit(3, 1, 30), NOW);
    let fourth = log.then_goes_on(amends_visit(4, 1, 40), NOW);
    let open = log.tell(decides(5, fourth, v1::ConflictDecision::Keep), NOW) - 1;
    assert_eq!((reached(&log), log.views.fate(fourth)), ((1, 20), Fate::Resolved));
    log.tell(decides(6, third, v1::ConflictDecision::Take), NOW);
    assert_eq!((reached(&log), log.conflicts()), ((1, 30), vec![]));
    // Its id is the version that the next amendment has to name.
    log.then_goes_on(amends_visit(7, 3, 70), NOW);
    assert_eq!(reached(&log), (1, 70));
    assert_eq!(log.known_at(open, NOW).conflicts("", 0).count(), 2, "both were open then");
}

#[test]
fn rule_6_a_taken_version_of_a_withdrawn_record_stands_again() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    log.then_goes_on(submission(2, DAY, retracts(1)), NOW);
    let late = log.then_goes_on(amends_visit(3, 1, 30), NOW);
    assert_eq!(reached(&log), (0, 0));
    log.tell(decides(4, late, v1::ConflictDecision::Take), NOW);
    assert_eq!(reached(&log), (1, 30));
}

#[test]
fn rule_6_what_has_another_kind_or_reporter_cannot_be_taken() {
    let mut log = given([]);
    log.then_goes_on(visits(1, 10), NOW);
    log.then_goes_on(by(TIGA, amends_visit(2, 1, 20)), NOW);
    log.then_goes_on(submission(3, DAY, amends(1, Replacement::CaseReport(case_report()))), NOW);
    let can_be_taken = |log: &Log| log.known(NOW).conflicts("", 0).map(|c| c.can_be_taken).collect::<Vec<_>>();
    assert_eq!(can_be_taken(&log), [false, false]);
    let same_id = v1::ConflictingSubmission {
        submission: Some(visits(1, 11)),
        cause: ConflictCause::SameIdOtherContent.into(),
        stands_position: 13,
    };
    log.tell(Body::Conflicting(Box::new(same_id)), NOW);
    assert_eq!(can_be_taken(&log), [false, false, true]);
}
