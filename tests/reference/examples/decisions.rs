//! Decisions on conflicts: what is taken, what can only be kept, and what was known before and after.

use satgas_proto::v1::{self, ConflictCause, ConflictDecision::Keep, ConflictDecision::Take, amendment::Replacement};

use super::{
    AREA, Log, NEXT_AREA, amendment, case_report, local, month_amendment, report_content, retraction, signal, visit,
};

const NOW: &str = "2028-08-01T00:00:00";

fn can_be_taken(log: &Log) -> Vec<bool> {
    log.ledger().open_conflicts().iter().map(|conflict| conflict.can_be_taken).collect()
}

/// Whether a standing report of the first kelurahan is there on each of the months January to April.
fn reported(log: &Log) -> [u64; 4] {
    ["2028-01", "2028-02", "2028-03", "2028-04"].map(|month| log.fractions(month, NOW)[0].0)
}

#[test]
fn other_content_that_is_taken_becomes_the_record_with_its_own_time_and_stays_received_when_it_was() {
    let mut log = Log::given();
    log.submitted("s1", "2028-02-01T08:00:00", signal("f", &["x"]));
    let conflict = log.conflicting(AREA, "s1", "2028-03-31T23:59:59.999", signal("g", &["x"]));
    let signals = |log: &Log, period: &str| log.evaluation(AREA, period, NOW).activity.unwrap().exposure_signals;
    assert_eq!(log.conflicts(), [(conflict, ConflictCause::SameIdOtherContent)]);
    assert_eq!((signals(&log, "2028-02"), signals(&log, "2028-03")), (1, 0));
    log.decided("2028-04-02T08:00:00", conflict, Take);
    assert_eq!(log.conflicts(), []);
    assert_eq!((signals(&log, "2028-02"), signals(&log, "2028-03")), (0, 1));
    assert_eq!(log.evaluation(AREA, "2028-03", NOW).open_conflicts, 0);
    let before = super::Log(log.0[..log.0.len() - 1].to_vec());
    assert_eq!(before.evaluation(AREA, "2028-03", NOW).open_conflicts, 1, "as it was known before the decision");
    assert_eq!((signals(&before, "2028-02"), signals(&before, "2028-03")), (1, 0));
}

#[test]
fn a_record_that_was_kept_apart_counts_from_its_admission_on_and_a_refused_one_never() {
    let mut log = Log::given();
    let kept = |log: &mut Log, id: &str, month: &str| {
        let submission = super::submission(AREA, id, "2028-02-01T08:00:00", report_content(month));
        let kept = v1::Quarantined { submission: Some(submission), right: None };
        log.push("2028-05-01T08:00:00", v1::event::Body::Quarantined(Box::new(kept)))
    };
    let decided = |log: &mut Log, quarantined_position: u64, verdict: v1::QuarantineVerdict| {
        let decision = v1::QuarantineDecision { quarantined_position, verdict: verdict.into(), ..Default::default() };
        let decided = v1::QuarantineDecided { decision: Some(decision), by: None };
        log.push("2028-05-02T08:00:00", v1::event::Body::QuarantineDecided(decided));
    };
    let (first, second) = (kept(&mut log, "r1", "2028-01"), kept(&mut log, "r2", "2028-02"));
    assert_eq!((reported(&log), log.ledger().quarantined.len()), ([0; 4], 2));
    decided(&mut log, first, v1::QuarantineVerdict::Admit);
    log.submitted_by(AREA, "r1", "2028-02-01T08:00:00", "2028-05-02T08:00:00", report_content("2028-01"));
    decided(&mut log, second, v1::QuarantineVerdict::Refuse);
    assert_eq!((reported(&log), log.ledger().quarantined.len()), ([1, 0, 0, 0], 0));
    assert_eq!(log.ledger().defects().len(), 0);
    decided(&mut log, second, v1::QuarantineVerdict::Admit);
    assert_eq!(log.ledger().defects().len(), 1, "it was decided");
}

#[test]
fn what_is_kept_changes_nothing_and_is_decided_for_good() {
    let mut log = Log::given();
    log.submitted("r1", "2028-02-01T08:00:00", report_content("2028-01"));
    let conflict = log.conflicting(AREA, "r1", "2028-02-01T08:00:00", report_content("2028-02"));
    log.decided("2028-04-02T08:00:00", conflict, Keep);
    assert_eq!((reported(&log), log.conflicts()), ([1, 0, 0, 0], vec![]));
    log.decided("2028-04-03T08:00:00", conflict, Take);
    assert_eq!(reported(&log), [1, 0, 0, 0]);
    assert_eq!(log.ledger().defects().len(), 1, "it was decided");
}

#[test]
fn the_second_of_two_corrections_is_taken_and_frees_what_waited_for_it() {
    let mut log = Log::given();
    log.submitted("r1", "2028-02-01T08:00:00", report_content("2028-01"));
    log.submitted("a1", "2028-02-02T08:00:00", month_amendment("r1", "2028-02"));
    let rival = log.submitted("b1", "2028-02-03T08:00:00", month_amendment("r1", "2028-03"));
    let first = log.submitted("c1", "2028-02-04T08:00:00", month_amendment("b1", "2028-04"));
    let second = log.submitted("d1", "2028-02-05T08:00:00", month_amendment("b1", "2028-01"));
    assert_eq!((reported(&log), log.ledger().waiting().len()), ([0, 1, 0, 0], 2));
    assert_eq!((log.conflicts(), can_be_taken(&log)), (vec![(rival, ConflictCause::AlreadyAmended)], vec![true]));
    log.decided("2028-02-06T08:00:00", rival, Take);
    assert_eq!(reported(&log), [0, 0, 0, 1], "what waited for it came into effect at once");
    assert_eq!(log.ledger().waiting(), []);
    assert_eq!(log.conflicts(), [(second, ConflictCause::AlreadyAmended)], "and the next one came too late: {first}");
    log.submitted("e1", "2028-02-07T08:00:00", month_amendment("a1", "2028-02"));
    assert_eq!(log.conflicts().len(), 2, "the version that was current before is not any more");
    log.submitted("f1", "2028-02-08T08:00:00", month_amendment("c1", "2028-02"));
    assert_eq!(reported(&log), [0, 1, 0, 0]);
    assert!(log.ledger().defects().is_empty());
}

#[test]
fn a_withdrawn_record_stands_again_with_what_is_taken() {
    let mut log = Log::given();
    log.submitted("r1", "2028-02-01T08:00:00", report_content("2028-01"));
    log.submitted("w1", "2028-02-02T08:00:00", retraction("r1"));
    let late = log.submitted("a1", "2028-02-03T08:00:00", month_amendment("r1", "2028-02"));
    assert_eq!((reported(&log), log.conflicts()), ([0; 4], vec![(late, ConflictCause::Retracted)]));
    log.decided("2028-02-04T08:00:00", late, Take);
    assert_eq!(reported(&log), [0, 1, 0, 0]);
    assert_eq!(log.fractions("2028-02", NOW)[1], (1, 1), "received with the original, on 1 February");
    log.submitted("w2", "2028-02-05T08:00:00", retraction("a1"));
    assert_eq!(reported(&log), [0; 4], "it can be withdrawn by the new version's id");
}

#[test]
fn a_taken_correction_moves_the_record_only_when_it_gives_a_time() {
    let mut log = Log::given();
    let visit = || Replacement::SchoolVisit(visit(&[]));
    log.submitted("v1", "2028-01-10T08:00:00", super::Content::SchoolVisit(super::visit(&[])));
    log.submitted("a1", "2028-05-01T08:00:00", amendment("v1", Some("2028-02-10T08:00:00"), visit()));
    let without = log.submitted("b1", "2028-05-02T08:00:00", amendment("v1", None, visit()));
    let with = log.submitted("b2", "2028-05-03T08:00:00", amendment("v1", Some("2028-03-10T08:00:00"), visit()));
    let visits = |log: &Log| {
        ["2028-01", "2028-02", "2028-03"].map(|month| log.evaluation(AREA, month, NOW).activity.unwrap().visits)
    };
    log.decided("2028-05-04T08:00:00", without, Take);
    assert_eq!(visits(&log), [0, 1, 0]);
    log.decided("2028-05-05T08:00:00", with, Take);
    assert_eq!(visits(&log), [0, 0, 1]);
}

#[test]
fn a_version_of_another_reporter_or_kind_or_of_no_record_can_only_be_kept() {
    let mut log = Log::given();
    log.submitted("r1", "2028-02-01T08:00:00", report_content("2028-01"));
    log.submitted("w1", "2028-02-01T08:00:00", retraction("nobody"));
    let at = "2028-02-02T08:00:00";
    let kept = [
        log.conflicting(NEXT_AREA, "r1", at, report_content("2028-02")),
        log.conflicting(AREA, "r1", at, signal("f", &["x"])),
        log.conflicting(AREA, "r1", at, retraction("r1")),
        log.conflicting(AREA, "w1", at, report_content("2028-02")),
        log.submitted_by(NEXT_AREA, "a1", at, at, month_amendment("r1", "2028-02")),
    ];
    let taken = [
        log.conflicting(AREA, "r1", at, month_amendment("whatever", "2028-03")),
        log.conflicting(AREA, "r1", at, report_content("2028-02")),
    ];
    assert_eq!(can_be_taken(&log), [false, false, false, false, false, true, true]);
    for position in kept {
        log.decided("2028-02-03T08:00:00", position, Take);
    }
    assert_eq!((log.ledger().defects().len(), reported(&log)), (5, [1, 0, 0, 0]));
    log.decided("2028-02-03T08:00:00", taken[0], Take);
    assert_eq!(reported(&log), [0, 0, 1, 0], "the replacement of a correction under the record's id");
    log.decided("2028-02-03T08:00:00", taken[1], Take);
    assert_eq!((reported(&log), log.conflicts().len()), ([0, 1, 0, 0], 5), "and then the other under the same id");
}

#[test]
fn the_same_id_can_be_taken_as_soon_as_its_amendment_has_come_into_effect() {
    let mut log = Log::given();
    log.submitted("a1", "2028-02-01T08:00:00", month_amendment("r1", "2028-02"));
    let other = log.conflicting(AREA, "a1", "2028-02-02T08:00:00", month_amendment("r1", "2028-03"));
    assert_eq!(can_be_taken(&log), [false], "it waits, and there is no such record");
    log.submitted("r1", "2028-02-03T08:00:00", report_content("2028-01"));
    assert_eq!((can_be_taken(&log), reported(&log)), (vec![true], [0, 1, 0, 0]));
    log.submitted("b1", "2028-02-04T08:00:00", month_amendment("a1", "2028-04"));
    log.decided("2028-02-05T08:00:00", other, Take);
    assert_eq!(reported(&log), [0, 0, 1, 0], "whatever was current before");
    log.submitted("c1", "2028-02-06T08:00:00", month_amendment("a1", "2028-01"));
    assert_eq!(reported(&log), [1, 0, 0, 0], "its id is the current version again");
}

#[test]
fn a_case_report_that_is_taken_moves_the_case_in_time_and_not_to_another_area() {
    let mut log = Log::given();
    log.submitted("c1", "2028-03-10T08:00:00", case_report());
    let other = v1::CaseReport { extortion: true, ..v1::CaseReport::default() };
    let conflict = log.conflicting(AREA, "c1", "2028-04-10T08:00:00", super::Content::CaseReport(other));
    log.decided("2028-04-11T08:00:00", conflict, Take);
    let reported = |month: &str| log.evaluation(AREA, month, NOW).cases.unwrap().reported;
    assert_eq!((reported("2028-03"), reported("2028-04")), (0, 1));
    // Three working days after Monday 10 April.
    let overdue = |now: &str| log.ledger().warnings(local(now)).iter().filter(|it| it.subject_id == "c1").count();
    assert_eq!((overdue("2028-04-13T07:59:59.999"), overdue("2028-04-13T08:00:00")), (0, 1));
}
