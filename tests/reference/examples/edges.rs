//! The edges of time: a month's last instant, the leap day, the year's end.

use satgas_proto::v1::{submission::Content, task_force::Home};

use super::{AREA, Entry, Log, NEXT_AREA, SCHOOL, case_report, report_content, service, visit};

#[test]
fn a_visit_a_millisecond_before_midnight_is_of_the_month_that_ends_and_one_at_midnight_of_the_next() {
    let mut log = Log::given();
    log.submitted("v1", "2028-03-31T23:59:59.999", Content::SchoolVisit(visit(&[])));
    log.submitted("v2", "2028-04-01T00:00:00", Content::SchoolVisit(visit(&[])));
    log.submitted("v3", "2028-04-01T00:00:00.001", Content::SchoolVisit(visit(&[])));
    let visits = |period: &str| log.evaluation(AREA, period, "2028-08-01T00:00:00").activity.unwrap().visits;
    assert_eq!((visits("2028-03"), visits("2028-04")), (1, 2));
    assert_eq!((visits("2028-Q1"), visits("2028-Q2"), visits("2028-S1"), visits("2028")), (1, 2, 3, 3));
}

#[test]
fn a_report_received_in_the_last_millisecond_before_its_deadline_is_in_time_and_one_at_it_is_missed() {
    let mut log = Log::given();
    log.submitted_by(AREA, "r1", "2028-03-05T08:00:00", "2028-03-05T23:59:59.999", report_content("2028-02"));
    log.submitted_by(AREA, "r2", "2028-04-05T08:00:00", "2028-04-06T00:00:00", report_content("2028-03"));
    let now = "2028-04-06T00:00:00";
    assert_eq!(log.fractions("2028-02", now)[..2], [(1, 1), (1, 1)]);
    assert_eq!(log.fractions("2028-03", now)[..2], [(1, 1), (0, 1)]);
    assert_eq!(log.evaluation(AREA, "2028-02", now).missed.unwrap().reports, 0);
    assert_eq!(log.evaluation(AREA, "2028-03", now).missed.unwrap().reports, 1);
}

#[test]
fn the_report_on_a_leap_february_is_due_as_on_any_other_and_a_follow_up_of_the_leap_day_at_its_end() {
    let mut log = Log::given();
    log.submitted("v1", "2028-02-28T08:00:00", Content::SchoolVisit(visit(&["2028-02-29"])));
    // 2027: February has 28 days; 2028: 29. Both reports are due at the start of 6 March.
    assert_eq!(log.fractions("2027-02", "2027-03-05T23:59:59.999")[0], (0, 0));
    assert_eq!(log.fractions("2027-02", "2027-03-06T00:00:00")[0], (0, 1));
    assert_eq!(log.fractions("2028-02", "2028-03-05T23:59:59.999")[0], (0, 0));
    assert_eq!(log.fractions("2028-02", "2028-03-06T00:00:00")[0], (0, 1));
    assert_eq!(log.fractions("2028-02", "2028-02-29T23:59:59.999")[3], (0, 0));
    assert_eq!(log.fractions("2028-02", "2028-03-01T00:00:00")[3], (0, 1));
    assert_eq!(log.fractions("2028-03", "2028-03-01T00:00:00")[3], (0, 0), "the leap day is of February");
}

#[test]
fn december_is_due_in_january_and_belongs_to_the_year_that_has_ended() {
    let mut log = Log::given();
    log.task_force("tf-1", Home::AreaCode(AREA.into()), "2027-11-30", "");
    log.submitted("r1", "2028-01-03T08:00:00", report_content("2027-12"));
    log.submitted("c1", "2027-12-31T23:59:59.999", case_report());
    log.step("c1", "2028-01-01T00:00:00", service());
    let now = "2028-01-06T00:00:00";
    assert_eq!(log.fractions("2027", now)[..2], [(1, 2), (1, 2)], "of November and December the one");
    assert_eq!(log.fractions("2028", now)[0], (0, 0));
    assert_eq!(log.evaluation(AREA, "2027", now).cases.unwrap().reported, 1);
    assert_eq!(log.evaluation(AREA, "2027", now).cases.unwrap().first_response_median_s, Some(0), "a millisecond");
    // Reported on a Friday, so the response was due on Wednesday 5 January: of the year 2028.
    assert_eq!((log.fractions("2027", now)[4], log.fractions("2028", now)[4]), ((0, 0), (1, 1)));
}

#[test]
fn a_task_force_formed_in_mid_quarter_owes_the_months_from_its_own_on() {
    let mut log = Log::given();
    log.task_force("tf-1", Home::AreaCode(AREA.into()), "2028-02-15", "");
    let member = satgas_proto::v1::Member {
        member_id: "m".into(),
        task_force_id: "tf-1".into(),
        joined_on: "2028-02-01".into(),
        ..Default::default()
    };
    log.registered(Entry::Member(member));
    let now = "2028-04-06T00:00:00";
    assert_eq!(log.fractions("2028-Q1", now)[0], (0, 2));
    assert_eq!(log.fractions("2028-01", now)[0], (0, 0));
    assert_eq!(log.fractions("2028-Q1", "2028-02-15T00:00:00")[5], (0, 0), "day d is the day before it was formed");
    assert_eq!(log.fractions("2028-Q1", "2028-02-15T00:00:00.001")[5], (0, 1));
    assert_eq!(log.evaluation(AREA, "2028-Q1", now).missed.unwrap().reports, 2);
}

#[test]
fn school_coverage_does_not_apply_to_an_area_without_schools_and_does_not_weigh_in_its_score() {
    let mut log = Log::given();
    let report = super::report("tf-2", "2028-01");
    log.submitted_by(NEXT_AREA, "r1", "2028-02-01T08:00:00", "2028-02-01T08:00:00", Content::MonitoringReport(report));
    let visit = Content::SchoolVisit(visit(&[]));
    log.submitted_by(NEXT_AREA, "v1", "2028-01-10T08:00:00", "2028-02-01T09:00:00", visit);
    let evaluation = log.evaluation(NEXT_AREA, "2028-01", "2028-02-06T00:00:00");
    let coverage = evaluation.indicators[2];
    assert_eq!((coverage.applicable, coverage.numerator, coverage.denominator), (false, 0, 0));
    assert_eq!(evaluation.score, Some(100.0), "its own visit to another area's school is not its coverage");
    let school = log.ledger().evaluate(
        &super::Subject::Institution(SCHOOL.into()),
        "2028-01",
        super::local("2028-02-06T00:00:00"),
    );
    assert!(!school.indicators[2].applicable, "nor does it apply to an institution");
}
