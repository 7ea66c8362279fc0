//! Deadlines that pass unmet are told once, when they have passed, of what was known before.

use satgas_domain::time::Instant;
use satgas_proto::v1::{self, DeadlineKind, case_command::Step, event::Body, submission::Content};

use crate::support::*;

/// Kind, item and detail of what fell due after `from` and up to `now`, reports of the town's task forces left out.
fn missed(log: &Log, from: &str, now: &str) -> Vec<(DeadlineKind, String, String)> {
    let missed = log.known(now).missed_since(at(from)).into_iter().map(|m| m.missed);
    let others = missed.filter(|m| m.kind() != DeadlineKind::Report);
    others.map(|m| (m.kind(), m.item_id, m.detail)).collect()
}

fn follow_up(n: u32, number: &str) -> (DeadlineKind, String, String) {
    (DeadlineKind::FollowUp, id(n), number.into())
}

fn response(n: u32) -> (DeadlineKind, String, String) {
    (DeadlineKind::Response, id(n), String::new())
}

#[test]
fn a_follow_up_of_a_visit_is_missed_when_its_last_day_is_over_and_nothing_says_that_it_was_done() {
    let mut log = given([]);
    let due = visit(&["2028-02-29", "2028-03-01"]);
    log.then_goes_on(submission(1, "2028-02-20T08:00:00", Content::SchoolVisit(due)), "2028-02-20T09:00:00");
    let from = "2028-02-21T00:00:00";
    assert_eq!(missed(&log, from, "2028-02-29T23:59:59.999"), []);
    assert_eq!(missed(&log, from, "2028-03-01T00:00:00"), [follow_up(1, "1")], "a leap year's February has 29 days");
    assert_eq!(missed(&log, "2028-03-01T00:00:00", "2028-03-02T00:00:00"), [follow_up(1, "2")]);
    let told = v1::MonitoringReport {
        follow_ups_done: vec![v1::FollowUpDone { visit_id: id(1), number: 2, done_on: "2028-03-01".into() }],
        ..report("tf-1", "2028-02")
    };
    log.then_goes_on(submission(2, "2028-03-01T20:00:00", Content::MonitoringReport(told)), "2028-03-01T20:00:00");
    assert_eq!(missed(&log, "2028-03-01T00:00:00", "2028-03-02T00:00:00"), []);
}

#[test]
fn what_was_learnt_too_late_to_watch_is_not_told() {
    let mut log = given([]);
    let due = visit(&["2028-02-29"]);
    log.then_goes_on(submission(1, "2028-02-20T08:00:00", Content::SchoolVisit(due)), "2028-03-01T00:00:00");
    assert_eq!(missed(&log, "2028-02-20T00:00:00", "2028-03-05T00:00:00"), []);
}

#[test]
fn a_response_is_missed_at_its_very_target_and_told_once() {
    let mut log = given([]);
    let noon = "2028-02-21T12:00:00";
    log.then_goes_on(submission(1, noon, Content::CaseReport(case_report())), noon);
    let assess = Step::Assess(v1::AssessCase { risk: v1::Risk::Tinggi.into() });
    log.then_goes_on(command(2, 1, 1, noon, assess), noon);
    assert_eq!(log.views.next_deadline(at(noon)), at("2028-02-21T13:00:00"), "one hour for a high risk");
    assert_eq!(missed(&log, noon, "2028-02-21T12:59:59.999"), []);
    assert_eq!(missed(&log, noon, "2028-02-21T13:00:00"), [response(1)]);
    let told = log.known("2028-02-21T13:00:00").missed_since(at(noon)).remove(0).missed;
    log.tell(Body::DeadlineMissed(told), "2028-02-21T13:00:00");
    assert_eq!(missed(&log, noon, "2028-02-21T14:00:00"), []);
    assert_eq!(log.views.last_missed(), Some(at("2028-02-21T13:00:00")));
}

#[test]
fn a_report_is_missed_five_days_after_the_month() {
    let log = given([]);
    let reports = |now: &str| {
        let from: Instant = at("2028-02-07T00:00:00");
        let missed = log.known(now).missed_since(from).into_iter().map(|m| (m.area_code, m.missed));
        missed.map(|(area, m)| (area, m.item_id, m.detail, m.rule_set)).collect::<Vec<_>>()
    };
    assert_eq!(reports("2028-03-05T23:59:59.999"), []);
    let february = |area: &str, task_force: &str| {
        (area.to_owned(), task_force.to_owned(), "2028-02".to_owned(), "bawaan-1".to_owned())
    };
    let expected = [february(SATU, "tf-1"), february(DUA, "tf-2"), february(SATU, "tf-s")];
    assert_eq!(reports("2028-03-06T00:00:00"), expected);
}
