//! Indicators, figures, amendments and warnings.

use satgas_proto::v1::{self, ConflictCause, WarningKind, case_command::Step, submission::Content};

use super::{
    super::rules::{before_all, working_days_after},
    AREA, Log, NEXT_AREA, SCHOOL, ZONE, amendment, case_report, close, local, month_amendment, report, report_content,
    retraction, service, signal, visit,
};

#[test]
fn a_month_is_expected_only_when_its_deadline_has_passed() {
    let mut log = Log::given();
    log.submitted("r1", "2028-02-29T23:59:59.999", report_content("2028-02"));
    assert_eq!(log.fractions("2028-02", "2028-03-05T23:59:59.999")[0], (0, 0));
    assert_eq!(log.fractions("2028-02", "2028-03-06T00:00:00")[0], (1, 1));
}

#[test]
fn a_report_received_at_the_deadline_is_complete_and_late() {
    let mut log = Log::given();
    log.submitted_by(AREA, "r1", "2028-02-20T08:00:00", "2028-03-06T00:00:00", report_content("2028-02"));
    log.submitted_by(AREA, "r2", "2028-01-20T08:00:00", "2028-03-06T00:00:00", report_content("2028-01"));
    let fractions = log.fractions("2028-Q1", "2028-03-31T12:00:00");
    assert_eq!((fractions[0], fractions[1]), ((2, 2), (0, 2)));
}

#[test]
fn a_task_force_that_existed_on_one_day_of_a_month_is_expected_to_report_on_it() {
    let mut log = Log::given();
    log.task_force("tf-1", v1::task_force::Home::AreaCode(AREA.into()), "2028-01-31", "2028-03-01");
    assert_eq!(log.fractions("2028", "2028-12-31T00:00:00")[0], (0, 3));
}

#[test]
fn an_amendment_moves_a_report_to_another_month_without_making_it_late() {
    let mut log = Log::given();
    log.submitted("r1", "2028-03-02T08:00:00", report_content("2028-01"));
    log.submitted("a1", "2028-03-20T08:00:00", month_amendment("r1", "2028-02"));
    assert_eq!(log.fractions("2028-01", "2028-04-01T00:00:00")[0..2], [(0, 1), (0, 1)]);
    assert_eq!(log.fractions("2028-02", "2028-04-01T00:00:00")[0..2], [(1, 1), (1, 1)]);
}

#[test]
fn a_visit_covers_the_school_of_another_kelurahan_and_counts_for_its_reporter() {
    let mut log = Log::given();
    let content = Content::SchoolVisit(visit(&[]));
    log.submitted_by(NEXT_AREA, "v1", "2028-03-31T23:59:59.999", "2028-04-01T09:00:00", content);
    let now = "2028-04-02T00:00:00";
    assert_eq!(log.fractions("2028-Q1", now)[2], (1, 1));
    assert_eq!(log.fractions("2028-Q2", now)[2], (0, 1));
    let own = log.evaluation(AREA, "2028-Q1", now).activity.unwrap();
    let other = log.evaluation(NEXT_AREA, "2028-Q1", now).activity.unwrap();
    assert_eq!((own.visits, own.pupils_reached, own.days_since_last_activity), (0, 0, None));
    assert_eq!((other.visits, other.pupils_reached, other.days_since_last_activity), (1, 20, Some(0)));
}

#[test]
fn a_follow_up_may_be_done_by_anybody_and_before_its_visit_arrives() {
    let mut log = Log::given();
    let done = |number, done_on: &str| v1::FollowUpDone { visit_id: "v1".into(), number, done_on: done_on.into() };
    let mut other = report("tf-2", "2028-02");
    other.follow_ups_done = vec![done(1, "2028-02-29"), done(2, "2028-03-01")];
    log.submitted_by(NEXT_AREA, "r1", "2028-03-01T08:00:00", "2028-03-01T08:00:00", Content::MonitoringReport(other));
    let content = Content::SchoolVisit(visit(&["2028-02-29", "2028-02-29", "2028-03-31"]));
    log.submitted_by(AREA, "v1", "2028-02-10T08:00:00", "2028-03-02T08:00:00", content);
    assert_eq!(log.fractions("2028-Q1", "2028-03-31T23:59:59.999")[3], (1, 2));
    assert_eq!(log.fractions("2028-Q1", "2028-04-01T00:00:00")[3], (1, 3));
    let overdue = log.ledger().warnings(local("2028-04-01T00:00:00"));
    let overdue: Vec<&str> = overdue
        .iter()
        .filter(|warning| warning.kind() == WarningKind::FollowUpOverdue)
        .map(|warning| warning.subject_id.as_str())
        .collect();
    assert_eq!(overdue, ["v1#3"]);
}

#[test]
fn the_target_follows_the_latest_risk_and_the_first_response_is_the_earliest() {
    let mut log = Log::given();
    log.submitted("c1", "2028-03-10T10:00:00", case_report());
    log.step("c1", "2028-03-10T18:00:00", service());
    let now = "2028-04-10T00:00:00";
    assert_eq!(log.fractions("2028-03", now)[4], (1, 1));
    log.step("c1", "2028-03-10T10:30:00", Step::Assess(v1::AssessCase { risk: v1::Risk::Sedang.into() }));
    assert_eq!(log.fractions("2028-03", now)[4], (0, 1));
    log.step("c1", "2028-03-10T16:00:00", service());
    assert_eq!(log.fractions("2028-03", now)[4], (1, 1));
    let cases = log.evaluation(AREA, "2028-03", now).cases.unwrap();
    assert_eq!(cases.first_response_median_s, Some(6 * 3600));
}

#[test]
fn three_working_days_skip_saturday_and_sunday_and_keep_the_clock_time() {
    let zone = jiff::tz::TimeZone::get(ZONE).unwrap();
    let after = |time: &str| working_days_after(&before_all(), local(time), &zone);
    assert_eq!(after("2028-03-03T23:59:59.999"), local("2028-03-08T23:59:59.999"), "from a Friday");
    assert_eq!(after("2028-03-05T00:00:00"), local("2028-03-08T00:00:00"), "from a Sunday");
    assert_eq!(after("2028-02-28T09:00:00"), local("2028-03-02T09:00:00"), "over the leap day");
}

#[test]
fn a_case_is_closed_by_the_last_step_that_was_taken_before_the_cut() {
    let mut log = Log::given();
    log.submitted("c1", "2028-03-10T10:00:00", case_report());
    log.step("c1", "2028-03-11T10:00:00", close());
    log.step("c1", "2028-04-01T00:00:00", Step::Reopen(v1::ReopenCase { reason: "Contoh".into() }));
    let march = log.evaluation(AREA, "2028-03", "2028-05-01T00:00:00").cases.unwrap();
    assert_eq!((march.reported, march.open, march.closed, march.overdue), (1, 0, 1, 0));
    let april = log.evaluation(AREA, "2028-04", "2028-05-01T00:00:00").cases.unwrap();
    assert_eq!((april.reported, april.open, april.closed, april.overdue), (0, 1, 0, 1));
}

#[test]
fn a_merged_case_never_counts() {
    let mut log = Log::given();
    log.submitted("c1", "2028-03-10T10:00:00", case_report());
    log.step("c1", "2028-04-11T10:00:00", Step::Merge(v1::MergeCase { into_case_id: "c0".into() }));
    let evaluation = log.evaluation(AREA, "2028-03", "2028-05-01T00:00:00");
    assert_eq!(evaluation.cases.unwrap(), v1::CaseFigures::default());
    assert_eq!(evaluation.indicators[4].denominator, 0);
    assert_eq!(evaluation.activity.unwrap().days_since_last_activity, Some(21), "its report is still an activity");
}

#[test]
fn the_score_leaves_out_what_does_not_apply_and_an_area_is_a_sum() {
    let mut log = Log::given();
    log.submitted("r1", "2028-02-01T08:00:00", report_content("2028-01"));
    let now = "2028-02-10T00:00:00";
    // Completeness 1/1 of 20, timeliness 1/1 of 10, coverage 0/1 of 25.
    assert_eq!(log.evaluation(AREA, "2028-01", now).score, Some(54.55));
    assert_eq!(log.evaluation(NEXT_AREA, "2028-01", now).score, Some(0.0));
    // Summed: 1/2 of 20, 1/2 of 10, 0/1 of 25.
    assert_eq!(log.evaluation("53.71", "2028-01", now).score, Some(27.27));
}

#[test]
fn amendments_wait_for_their_version_and_two_of_one_version_conflict() {
    let mut log = Log::given();
    let second = log.submitted("a2", "2028-03-01T08:00:00", month_amendment("a1", "2028-03"));
    let rival = log.submitted("b2", "2028-03-01T09:00:00", month_amendment("a1", "2028-04"));
    let first = log.submitted("a1", "2028-03-01T10:00:00", month_amendment("r1", "2028-02"));
    let lost = log.submitted("x1", "2028-03-01T11:00:00", month_amendment("b2", "2028-05"));
    assert_eq!(log.ledger().waiting().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [second, rival, first, lost]);
    log.submitted("r1", "2028-03-01T12:00:00", report_content("2028-01"));
    assert_eq!(log.conflicts(), [(rival, ConflictCause::AlreadyAmended)]);
    assert_eq!(log.ledger().waiting(), [(lost, "b2".to_owned())], "the id of an amendment in conflict is no version");
    assert_eq!(log.fractions("2028-03", "2028-05-01T00:00:00")[0], (1, 1));
}

#[test]
fn a_withdrawn_record_takes_no_amendment_and_a_stale_amendment_is_told_first() {
    let mut log = Log::given();
    log.submitted("r1", "2028-03-01T08:00:00", report_content("2028-02"));
    log.submitted("a1", "2028-03-01T09:00:00", month_amendment("r1", "2028-02"));
    log.submitted("w1", "2028-03-01T10:00:00", retraction("r1"));
    log.submitted("w2", "2028-03-01T10:30:00", retraction("a1"));
    let stale = log.submitted("b1", "2028-03-01T11:00:00", month_amendment("r1", "2028-02"));
    let gone = log.submitted("b2", "2028-03-01T12:00:00", month_amendment("a1", "2028-02"));
    assert_eq!(log.conflicts(), [(stale, ConflictCause::AlreadyAmended), (gone, ConflictCause::Retracted)]);
    assert_eq!(log.fractions("2028-02", "2028-05-01T00:00:00")[0], (0, 1));
    assert_eq!(log.evaluation("53.71", "2028-02", "2028-05-01T00:00:00").open_conflicts, 2);
}

#[test]
fn a_correction_by_another_reporter_does_not_fit_and_a_case_report_is_not_withdrawn() {
    let mut log = Log::given();
    log.submitted("c1", "2028-03-01T08:00:00", case_report());
    let at = "2028-03-02T08:00:00";
    let stranger = log.submitted_by(NEXT_AREA, "w1", at, at, retraction("c1"));
    let withdrawal = log.submitted("w2", at, retraction("c1"));
    let other_kind = log.submitted("a1", at, month_amendment("c1", "2028-02"));
    assert_eq!(
        log.conflicts(),
        [
            (stranger, ConflictCause::TargetDoesNotFit),
            (withdrawal, ConflictCause::CaseReportRetracted),
            (other_kind, ConflictCause::TargetDoesNotFit),
        ]
    );
}

#[test]
fn a_corrected_report_moves_the_case_to_the_time_when_it_happened() {
    let mut log = Log::given();
    log.submitted("c1", "2028-03-31T23:59:59.999", case_report());
    let replacement = v1::amendment::Replacement::CaseReport(v1::CaseReport::default());
    log.submitted("a1", "2028-04-02T08:00:00", amendment("c1", Some("2028-04-01T00:00:00"), replacement));
    let now = "2028-05-01T00:00:00";
    assert_eq!(log.evaluation(AREA, "2028-03", now).cases.unwrap().reported, 0);
    assert_eq!(log.evaluation(AREA, "2028-04", now).cases.unwrap().reported, 1);
}

#[test]
fn a_group_spreads_from_two_schools_on_and_a_task_force_is_silent_after_45_days() {
    let mut log = Log::given();
    log.submitted("s1", "2028-01-01T08:00:00", signal("f", &[SCHOOL]));
    log.submitted("s2", "2028-03-01T08:00:00", signal("f", &["90000002"]));
    let kinds = |now: &str| {
        let warnings = log.ledger().warnings(local(now));
        warnings.iter().map(|warning| (warning.kind(), warning.subject_id.clone())).collect::<Vec<_>>()
    };
    let silent = |id: &str| (WarningKind::TaskForceSilent, id.to_owned());
    let spreads = (WarningKind::GroupSpreads, String::new());
    assert_eq!(kinds("2028-03-31T07:59:59.999"), [spreads, silent("tf-2"), silent("tf-s")]);
    assert_eq!(kinds("2028-03-31T08:00:00"), [silent("tf-2"), silent("tf-s")], "the first signal is 90 days old");
    assert_eq!(kinds("2028-04-15T08:00:00"), [silent("tf-2"), silent("tf-s"), silent("tf-1")]);
}
