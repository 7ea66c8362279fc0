//! Indicators and figures of one kelurahan or institution, counted by hand at the edges of months.

use satgas_domain::views::Subject;
use satgas_proto::v1::{self, IndicatorKind, case_command::Step, registry_entry::Entry, submission::Content};

use crate::support::*;

const NOW: &str = "2028-06-01T12:00:00";
const LAST_OF_LEAP_DAY: &str = "2028-02-29T23:59:59.999";
const FIRST_OF_MARCH: &str = "2028-03-01T00:00:00";

fn reports(n: u32, month: &str, recorded: &str, log: &mut Log) {
    log.then_goes_on(submission(n, recorded, Content::MonitoringReport(report("tf-1", month))), recorded);
}

fn satu(log: &Log, kind: IndicatorKind, period: &str, now: &str) -> Fraction {
    log.fraction(kind, kelurahan(SATU), period, now)
}

#[test]
fn a_month_is_expected_from_the_instant_on_at_which_its_deadline_passes() {
    let mut log = given([]);
    reports(1, "2028-01", "2028-02-03T08:00:00", &mut log);
    let completeness = |period, now| satu(&log, IndicatorKind::ReportingCompleteness, period, now);
    assert_eq!(completeness("2028-02", "2028-03-05T23:59:59.999"), None);
    assert_eq!(completeness("2028-02", "2028-03-06T00:00:00"), Some((0, 1)));
    assert_eq!(completeness("2028-Q1", "2028-03-05T23:59:59.999"), Some((1, 1)));
    assert_eq!(completeness("2028-Q1", "2028-03-06T00:00:00"), Some((1, 2)));
    assert_eq!(completeness("2028-Q1", NOW), Some((1, 3)));
    assert_eq!(completeness("2027", NOW), Some((0, 12)));
}

#[test]
fn a_report_is_in_time_until_the_last_instant_before_the_deadline() {
    let mut log = given([]);
    reports(1, "2028-01", "2028-02-05T23:59:59.999", &mut log);
    reports(2, "2028-02", "2028-03-06T00:00:00", &mut log);
    let both = |period| {
        let of = |kind| satu(&log, kind, period, NOW);
        (of(IndicatorKind::ReportingCompleteness), of(IndicatorKind::ReportingTimeliness))
    };
    assert_eq!(both("2028-01"), (Some((1, 1)), Some((1, 1))));
    assert_eq!(both("2028-02"), (Some((1, 1)), Some((0, 1))));
}

#[test]
fn a_late_correction_does_not_make_a_report_late() {
    let mut log = given([]);
    reports(1, "2028-01", "2028-02-02T08:00:00", &mut log);
    let better = v1::MonitoringReport { members_present: 9, ..report("tf-1", "2028-01") };
    let replacement = v1::amendment::Replacement::MonitoringReport(better);
    log.then_goes_on(submission(2, "2028-04-01T08:00:00", amends(1, replacement)), NOW);
    assert_eq!(satu(&log, IndicatorKind::ReportingTimeliness, "2028-01", NOW), Some((1, 1)));
}

#[test]
fn a_task_force_is_expected_to_report_on_the_months_in_which_it_existed_for_a_day() {
    for (formed, dissolved, expected) in [
        ("2028-02-29", "", Some((0, 1))),
        ("2028-02-15", "", Some((0, 1))),
        ("2028-03-01", "", None),
        ("2027-06-01", "2028-02-01", Some((0, 1))),
        ("2027-06-01", "2028-01-31", None),
    ] {
        let mut log = given([]);
        log.then_goes_on(task_force("tf-3", of_area(TIGA), formed, dissolved), NOW);
        let completeness =
            log.fraction(IndicatorKind::ReportingCompleteness, kelurahan(TIGA), "2028-02", "2028-03-06T00:00:00");
        assert_eq!(completeness, expected, "{formed} to {dissolved:?}");
    }
}

#[test]
fn a_visit_counts_for_the_local_month_in_which_it_happened() {
    let mut log = given([]);
    log.then_goes_on(submission(1, LAST_OF_LEAP_DAY, Content::SchoolVisit(visit(&[]))), NOW);
    let other = v1::SchoolVisit { school_id: OTHER_SCHOOL.into(), ..visit(&[]) };
    log.then_goes_on(submission(2, FIRST_OF_MARCH, Content::SchoolVisit(other.clone())), NOW);
    // Twice the same school is one school.
    log.then_goes_on(submission(3, "2028-03-31T23:59:59.999", Content::SchoolVisit(other)), NOW);
    let coverage = |period| satu(&log, IndicatorKind::SchoolCoverage, period, NOW);
    assert_eq!(coverage("2028-02"), Some((1, 2)));
    assert_eq!(coverage("2028-03"), Some((1, 2)));
    assert_eq!(coverage("2028-Q1"), Some((2, 2)));
    assert_eq!(coverage("2028-04"), Some((0, 2)));
}

#[test]
fn a_school_is_covered_by_a_visit_of_anybody_while_the_visit_is_the_visitors() {
    let mut log = given([]);
    log.then_goes_on(by(TIGA, submission(1, LAST_OF_LEAP_DAY, Content::SchoolVisit(visit(&[])))), NOW);
    assert_eq!(satu(&log, IndicatorKind::SchoolCoverage, "2028-02", NOW), Some((1, 2)));
    let visits = |code| log.evaluation(kelurahan(code), "2028-02", NOW).activity.unwrap().visits;
    assert_eq!((visits(SATU), visits(TIGA)), (0, 1));
}

#[test]
fn coverage_does_not_apply_without_a_school_nor_to_an_institution() {
    let log = given([]);
    assert_eq!(log.fraction(IndicatorKind::SchoolCoverage, kelurahan(DUA), "2028-02", NOW), None, "an office only");
    assert_eq!(log.fraction(IndicatorKind::SchoolCoverage, Subject::Institution(SCHOOL), "2028-02", NOW), None);
}

#[test]
fn a_school_is_registered_in_a_period_when_it_existed_within_it_before_the_cut() {
    let with = |from: &str, until: &str, now: &str| {
        let mut log = given([]);
        let school = v1::Institution {
            valid_from: from.into(),
            valid_until: until.into(),
            ..institution("90000003", v1::InstitutionKind::Sekolah, TIGA)
        };
        log.then_goes_on(entry(Entry::Institution(school)), NOW);
        log.fraction(IndicatorKind::SchoolCoverage, kelurahan(TIGA), "2028-02", now)
    };
    assert_eq!(with("2027-01-01", "2028-01-31", NOW), None);
    assert_eq!(with("2027-01-01", "2028-02-01", NOW), Some((0, 1)));
    assert_eq!(with("2028-02-29", "", NOW), Some((0, 1)));
    assert_eq!(with("2028-03-01", "", NOW), None);
    assert_eq!(with("2028-02-20", "", "2028-02-20T00:00:00"), None, "before the cut, not at it");
    assert_eq!(with("2028-02-20", "", "2028-02-20T00:00:00.001"), Some((0, 1)));
}

#[test]
fn a_follow_up_of_a_visit_is_judged_when_its_day_is_over() {
    let mut log = given([]);
    let agreed = visit(&["2028-02-28", "2028-02-29", "2028-03-01"]);
    log.then_goes_on(submission(1, "2028-02-10T09:00:00", Content::SchoolVisit(agreed)), NOW);
    // By another task force's report, one on its last day and one a day late.
    let dones = vec![done(1, 1, "2028-02-28"), done(1, 2, "2028-03-01")];
    let report = v1::MonitoringReport { follow_ups_done: dones, ..report("tf-2", "2028-02") };
    log.then_goes_on(by(DUA, submission(2, "2028-03-02T09:00:00", Content::MonitoringReport(report))), NOW);
    let discipline = |period, now| satu(&log, IndicatorKind::FollowUpDiscipline, period, now);
    assert_eq!(discipline("2028-02", LAST_OF_LEAP_DAY), Some((1, 1)));
    assert_eq!(discipline("2028-02", FIRST_OF_MARCH), Some((1, 2)));
    assert_eq!(discipline("2028-03", "2028-03-01T23:59:59.999"), None);
    assert_eq!(discipline("2028-Q1", "2028-03-02T00:00:00"), Some((1, 3)));
}

#[test]
fn a_follow_up_may_be_told_done_before_its_visit_arrives_and_after_its_visit_was_corrected() {
    let mut log = given([]);
    let report = v1::MonitoringReport { follow_ups_done: vec![done(1, 1, "2028-02-20")], ..report("tf-1", "2028-02") };
    log.then_goes_on(submission(2, "2028-02-25T09:00:00", Content::MonitoringReport(report)), NOW);
    log.then_goes_on(submission(1, "2028-02-10T09:00:00", Content::SchoolVisit(visit(&["2028-02-19"]))), NOW);
    let discipline = |log: &Log| satu(log, IndicatorKind::FollowUpDiscipline, "2028-02", NOW);
    assert_eq!(discipline(&log), Some((0, 1)));
    let replacement = v1::amendment::Replacement::SchoolVisit(visit(&["2028-02-20"]));
    log.then_goes_on(submission(3, "2028-03-01T09:00:00", amends(1, replacement)), NOW);
    assert_eq!(discipline(&log), Some((1, 1)));
}

#[test]
fn a_follow_up_of_a_case_is_completed_before_the_day_after_its_due_day() {
    for (completed, expected) in [(LAST_OF_LEAP_DAY, Some((1, 1))), (FIRST_OF_MARCH, Some((0, 1)))] {
        let mut log = given([]);
        log.then_goes_on(submission(1, "2028-02-10T09:00:00", Content::CaseReport(case_report())), NOW);
        let steps = [assess(v1::Risk::Rendah), plan(1, "2028-02-29"), complete(1)];
        for ((n, version), step) in (101..).zip(1..).zip(steps) {
            log.then_goes_on(command(n, 1, version, completed, step), NOW);
        }
        assert_eq!(satu(&log, IndicatorKind::FollowUpDiscipline, "2028-02", NOW), expected);
    }
}

/// A log with case 1 reported then, of this risk, first served then.
fn served(reported: &str, risk: v1::Risk, first_service: &str) -> Log {
    let mut log = given([]);
    log.then_goes_on(submission(1, reported, Content::CaseReport(case_report())), NOW);
    log.then_goes_on(command(101, 1, 1, reported, assess(risk)), NOW);
    log.then_goes_on(command(102, 1, 2, first_service, serve(v1::Service::Kesehatan)), NOW);
    log
}

#[test]
fn a_response_counts_for_the_period_in_which_it_is_due_and_up_to_the_target_itself() {
    let within = |log: &Log, period, now| satu(log, IndicatorKind::ResponseWithinTarget, period, now);
    let log = served("2028-02-29T23:30:00", v1::Risk::Tinggi, "2028-03-01T00:30:00");
    assert_eq!(within(&log, "2028-02", NOW), None);
    assert_eq!(within(&log, "2028-03", NOW), Some((1, 1)));
    let log = served("2028-02-29T23:30:00", v1::Risk::Tinggi, "2028-03-01T00:30:00.001");
    assert_eq!(within(&log, "2028-03", NOW), Some((0, 1)));
    assert_eq!(within(&log, "2028-03", "2028-03-01T00:29:59.999"), None, "nobody is blamed before the target");
    assert_eq!(within(&log, "2028-03", "2028-03-01T00:30:00"), Some((0, 1)));
    let log = served("2028-02-29T17:59:59.999", v1::Risk::Sedang, "2028-02-29T23:59:59.999");
    assert_eq!(within(&log, "2028-02", NOW), Some((1, 1)));
    let log = served("2028-02-29T18:00:00", v1::Risk::Sedang, "2028-02-29T23:59:59.999");
    assert_eq!((within(&log, "2028-02", NOW), within(&log, "2028-03", NOW)), (None, Some((1, 1))));
}

#[test]
fn low_risk_and_no_assessment_have_three_working_days() {
    // 24 February 2028 is a Thursday: Friday, Monday, Tuesday the 29th.
    for (reported, period) in [("2028-02-24T10:00:00", "2028-02"), ("2028-02-25T10:00:00", "2028-03")] {
        let mut log = given([]);
        log.then_goes_on(submission(1, reported, Content::CaseReport(case_report())), NOW);
        assert_eq!(satu(&log, IndicatorKind::ResponseWithinTarget, period, NOW), Some((0, 1)), "{reported}");
        log.then_goes_on(command(101, 1, 1, reported, assess(v1::Risk::Rendah)), NOW);
        assert_eq!(satu(&log, IndicatorKind::ResponseWithinTarget, period, NOW), Some((0, 1)), "{reported}");
    }
}

#[test]
fn the_first_response_is_the_earliest_service_or_admission_whenever_it_was_recorded() {
    let mut log = served("2028-02-10T08:00:00", v1::Risk::Tinggi, "2028-02-10T12:00:00");
    let within = |log: &Log| satu(log, IndicatorKind::ResponseWithinTarget, "2028-02", NOW);
    assert_eq!(within(&log), Some((0, 1)));
    let admit = Step::AdmitToShelter(v1::AdmitToShelter {});
    log.then_goes_on(command(103, 1, 3, "2028-02-10T08:45:00", admit), NOW);
    assert_eq!(within(&log), Some((1, 1)));
    assert_eq!(log.evaluation(kelurahan(SATU), "2028-02", NOW).cases.unwrap().first_response_median_s, Some(2_700));
}

#[test]
fn a_training_counts_on_the_last_day_of_the_cut_when_it_is_valid_on_it() {
    let mut log = given([]);
    for entry in [
        member("m-1", "2027-01-01", "", &[("2027-03-01", "2028-02-29")]),
        member("m-2", "2027-01-01", "", &[("2027-03-01", "2028-02-28"), ("2028-03-01", "2029-02-28")]),
        member("m-3", "2028-02-29", "2028-02-29", &[("2028-02-29", "2028-02-29")]),
        member("m-4", "2028-03-01", "", &[]),
        member("m-5", "2027-01-01", "2028-02-28", &[]),
    ] {
        log.then_goes_on(entry, NOW);
    }
    let training = |period, now| satu(&log, IndicatorKind::Training, period, now);
    assert_eq!(training("2028-02", NOW), Some((2, 3)), "on the leap day: m-1 and m-3 of m-1, m-2, m-3");
    assert_eq!(training("2028-03", FIRST_OF_MARCH), Some((2, 3)), "the cut's last day is still the leap day");
    assert_eq!(training("2028-03", "2028-03-01T00:00:00.001"), Some((1, 3)), "m-2 of m-1, m-2, m-4");
    assert_eq!(training("2028-01", NOW), Some((2, 3)), "in January: m-1 and m-2 of m-1, m-2, m-5");
    log.then_goes_on(task_force("tf-1", of_area(SATU), "2027-01-01", "2028-02-28"), NOW);
    assert_eq!(satu(&log, IndicatorKind::Training, "2028-02", NOW), None, "a dissolved task force has no members");
}

#[test]
fn the_score_is_the_weighted_mean_of_what_applies() {
    let mut log = given([]);
    log.then_goes_on(submission(1, "2028-02-10T09:00:00", Content::SchoolVisit(visit(&[]))), NOW);
    let late = Content::MonitoringReport(report("tf-1", "2028-02"));
    log.then_goes_on(submission(2, "2028-03-06T09:00:00", late), "2028-03-06T09:00:00");
    // Completeness 1/1 of 20, timeliness 0/1 of 10, coverage 1/2 of 25: 32.5 of 55.
    assert_eq!(log.evaluation(kelurahan(SATU), "2028-02", NOW).score, Some(59.09));
    log.then_goes_on(member("m-1", "2027-01-01", "", &[("2027-03-01", "2028-12-31")]), NOW);
    // And training 1/1 of 10: 42.5 of 65.
    let evaluation = log.evaluation(kelurahan(SATU), "2028-02", NOW);
    assert_eq!(evaluation.score, Some(65.38));
    assert_eq!(evaluation.indicators.len(), 6);
    assert_eq!(log.evaluation(kelurahan(TIGA), "2028-02", NOW).score, None, "nothing applies");
    assert_eq!(evaluation.basis.unwrap().rule_set, "bawaan-1");
}

#[test]
fn days_since_the_last_activity_are_whole_days_to_the_cut() {
    let mut log = given([]);
    let signal = Content::ExposureSignal(signal('a', &[SCHOOL]));
    log.then_goes_on(submission(1, "2028-02-28T12:00:00", signal), NOW);
    let days = |period, now| log.evaluation(kelurahan(SATU), period, now).activity.unwrap().days_since_last_activity;
    assert_eq!(days("2028-02", "2028-02-28T12:00:00"), None, "not before the cut");
    assert_eq!(days("2028-02", "2028-02-29T11:59:59.999"), Some(0));
    assert_eq!(days("2028-02", "2028-02-29T12:00:00"), Some(1));
    assert_eq!(days("2028-02", NOW), Some(1), "to the end of the period");
    assert_eq!(days("2028-04", NOW), Some(62), "from any time before");
    assert_eq!(days("2028-01", NOW), None);
}

#[test]
fn what_an_institution_does_is_its_own_and_its_cases_are_its_kelurahans_too() {
    let mut log = given([]);
    log.then_goes_on(by(SCHOOL, submission(1, LAST_OF_LEAP_DAY, Content::ExposureSignal(signal('a', &[SCHOOL])))), NOW);
    log.then_goes_on(by(SCHOOL, submission(2, LAST_OF_LEAP_DAY, Content::CaseReport(case_report()))), NOW);
    let school = log.evaluation(Subject::Institution(SCHOOL), "2028-02", NOW);
    let area = log.evaluation(kelurahan(SATU), "2028-02", NOW);
    let figures = |e: &v1::Evaluation| (e.activity.unwrap().exposure_signals, e.cases.unwrap().reported);
    assert_eq!((figures(&school), figures(&area)), ((1, 1), (0, 1)));
    assert_eq!(area.activity.unwrap().days_since_last_activity, None);
}

#[test]
fn an_open_case_is_overdue_by_its_response_or_a_follow_up() {
    let mut log = given([]);
    log.then_goes_on(submission(1, "2028-02-29T22:00:00", Content::CaseReport(case_report())), NOW);
    log.then_goes_on(command(101, 1, 1, "2028-02-29T22:00:00", assess(v1::Risk::Tinggi)), NOW);
    log.then_goes_on(command(102, 1, 2, "2028-03-05T10:00:00", serve(v1::Service::Kesehatan)), NOW);
    log.then_goes_on(command(103, 1, 3, "2028-03-05T10:00:00", plan(1, "2028-03-10")), NOW);
    let figures = |now| {
        let cases = log.evaluation(kelurahan(SATU), "2028-Q1", now).cases.unwrap();
        (cases.open, cases.overdue)
    };
    assert_eq!(figures("2028-02-29T22:00:00"), (0, 0), "reported before the cut, not at it");
    assert_eq!(figures("2028-02-29T22:59:59.999"), (1, 0));
    assert_eq!(figures("2028-02-29T23:00:00"), (1, 1));
    assert_eq!(figures("2028-03-05T10:00:00"), (1, 1), "the response came at the cut, not before it");
    assert_eq!(figures("2028-03-05T10:00:00.001"), (1, 0));
    assert_eq!(figures("2028-03-10T23:59:59.999"), (1, 0));
    assert_eq!(figures("2028-03-11T00:00:00"), (1, 1));
}

#[test]
fn a_case_is_closed_in_the_period_of_its_last_close_before_the_cut() {
    let mut log = given([]);
    log.then_goes_on(submission(1, "2028-02-10T09:00:00", Content::CaseReport(case_report())), NOW);
    let steps = [
        ("2028-02-10T10:00:00", assess(v1::Risk::Rendah)),
        (LAST_OF_LEAP_DAY, close()),
        ("2028-03-15T10:00:00", reopen()),
        ("2028-04-30T23:59:59.999", close()),
    ];
    for ((n, version), (occurred, step)) in (101..).zip(1..).zip(steps) {
        log.then_goes_on(command(n, 1, version, occurred, step), NOW);
    }
    let figures = |period| {
        let cases = log.evaluation(kelurahan(SATU), period, NOW).cases.unwrap();
        (cases.reported, cases.open, cases.closed)
    };
    assert_eq!(figures("2028-02"), (1, 0, 1));
    assert_eq!(figures("2028-03"), (0, 1, 0));
    assert_eq!(figures("2028-04"), (0, 0, 1));
    assert_eq!(figures("2028-05"), (0, 0, 0));
    assert_eq!(figures("2028"), (1, 0, 1));
}

#[test]
fn a_victim_is_in_the_shelter_between_admission_and_discharge() {
    let mut log = served("2028-02-10T08:00:00", v1::Risk::Tinggi, "2028-02-10T08:30:00");
    log.then_goes_on(command(103, 1, 3, LAST_OF_LEAP_DAY, Step::AdmitToShelter(v1::AdmitToShelter {})), NOW);
    let discharge = Step::DischargeFromShelter(v1::DischargeFromShelter {});
    log.then_goes_on(command(104, 1, 4, "2028-04-01T00:00:00", discharge), NOW);
    let sheltered = |period| log.evaluation(kelurahan(SATU), period, NOW).cases.unwrap().in_shelter;
    assert_eq!([sheltered("2028-01"), sheltered("2028-02"), sheltered("2028-03"), sheltered("2028-04")], [0, 1, 1, 0]);
}

#[test]
fn a_merged_case_never_counts() {
    let mut log = served("2028-02-10T08:00:00", v1::Risk::Tinggi, "2028-02-10T12:00:00");
    log.then_goes_on(submission(2, "2028-02-09T08:00:00", Content::CaseReport(case_report())), NOW);
    log.then_goes_on(command(103, 1, 3, "2028-04-10T12:00:00", merge_into(2)), NOW);
    let cases = log.evaluation(kelurahan(SATU), "2028-02", NOW).cases.unwrap();
    assert_eq!((cases.reported, cases.open, cases.first_response_median_s), (1, 1, None));
}
