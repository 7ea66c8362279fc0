//! The events behind the items of an explanation, found by hand.

use satgas_proto::v1::{
    self, ConflictDecision, IndicatorKind, case_command::Step, registry_entry::Entry, submission::Content,
    task_force::Home,
};

use super::{
    AREA, Log, NEXT_AREA, SCHOOL, Subject, case_report, local, month_amendment, report, report_content, school,
    service, visit,
};

const NOW: &str = "2028-08-01T00:00:00";

/// Because and evidence of each item of an indicator of the first kelurahan.
fn behind(log: &Log, kind: IndicatorKind, period: &str) -> Vec<(Vec<u64>, Vec<u64>)> {
    let items = log.ledger().explained(&Subject::Area(AREA.into()), period, kind, local(NOW));
    items.into_iter().map(|item| (item.because_positions, item.evidence_positions)).collect()
}

#[test]
fn a_month_is_there_by_the_latest_entry_of_its_task_force_and_shown_by_every_report_on_it() {
    let mut log = Log::given();
    log.task_force("tf-1", Home::AreaCode(AREA.into()), "2027-01-02", "");
    let entry = log.0.len() as u64;
    let first = log.submitted("r1", "2028-02-01T08:00:00", report_content("2028-01"));
    let moved = log.submitted("r2", "2028-02-02T08:00:00", report_content("2027-12"));
    let between = log.submitted("a1", "2028-02-03T08:00:00", month_amendment("r2", "2027-11"));
    let amended = log.submitted("a2", "2028-05-04T08:00:00", month_amendment("a1", "2028-01"));
    let late = log.submitted("r3", "2028-05-05T08:00:00", report_content("2028-01"));
    let expected = vec![(vec![entry], vec![first, moved, amended, late])];
    assert_eq!(behind(&log, IndicatorKind::ReportingCompleteness, "2028-01"), expected);
    assert_eq!(behind(&log, IndicatorKind::ReportingTimeliness, "2028-01"), expected, "and not by {between}");
}

#[test]
fn a_version_that_was_taken_is_shown_by_the_decision_that_put_it_into_effect() {
    let mut log = Log::given();
    let original = log.submitted("r1", "2028-02-01T08:00:00", report_content("2028-01"));
    let aside = log.conflicting(AREA, "r1", "2028-02-02T08:00:00", report_content("2028-02"));
    let decision = log.decided("2028-02-03T08:00:00", aside, ConflictDecision::Take);
    let evidence = behind(&log, IndicatorKind::ReportingCompleteness, "2028-02").remove(0).1;
    assert_eq!(evidence, [original, decision]);
}

#[test]
fn a_school_is_there_by_its_latest_entry_and_shown_by_the_visits_of_the_period() {
    let mut log = Log::given();
    let early = log.submitted("v0", "2028-02-29T23:59:59.999", Content::SchoolVisit(visit(&[])));
    let at = "2028-03-10T08:00:00";
    let by_others = log.submitted_by(NEXT_AREA, "v1", at, at, Content::SchoolVisit(visit(&[])));
    log.entered("2028-04-01T08:00:00", "2028-04-01", Entry::Institution(school(NEXT_AREA)));
    let moved = log.0.len() as u64;
    assert_eq!(behind(&log, IndicatorKind::SchoolCoverage, "2028-03"), [(vec![moved], vec![by_others])]);
    assert_eq!(behind(&log, IndicatorKind::SchoolCoverage, "2028-02"), [(vec![moved], vec![early])]);
}

#[test]
fn a_follow_up_is_there_by_what_agreed_it_and_shown_by_all_that_name_it_and_a_case_by_its_latest_assessment() {
    let mut log = Log::given();
    let agreed = log.submitted("v1", "2028-03-01T08:00:00", Content::SchoolVisit(visit(&["2028-03-10"])));
    let done = v1::FollowUpDone { visit_id: "v1".into(), number: 1, done_on: "2028-03-11".into() };
    let naming = v1::MonitoringReport { follow_ups_done: vec![done], ..report("tf-1", "2028-03") };
    let late = log.submitted("r1", "2028-04-01T08:00:00", Content::MonitoringReport(naming));
    let reported = log.submitted("c1", "2028-03-02T08:00:00", case_report());
    let assess = |risk: v1::Risk| Step::Assess(v1::AssessCase { risk: risk.into() });
    log.step("c1", "2028-03-02T09:00:00", assess(v1::Risk::Tinggi));
    log.step("c1", "2028-03-02T10:00:00", assess(v1::Risk::Sedang));
    let assessed = log.0.len() as u64;
    log.step("c1", "2028-03-02T12:00:00", service());
    log.step("c1", "2028-03-02T11:00:00", service());
    let first = log.0.len() as u64;
    let follow_up = v1::FollowUp { number: 4, action: "Contoh".into(), due_on: "2028-03-20".into() };
    log.step("c1", "2028-03-03T08:00:00", Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up) }));
    let planned = log.0.len() as u64;
    log.step("c1", "2028-03-30T08:00:00", Step::CompleteFollowUp(v1::CompleteFollowUp { number: 4 }));
    let completed = log.0.len() as u64;
    let follow_ups = [(vec![planned], vec![completed]), (vec![agreed], vec![late])];
    assert_eq!(behind(&log, IndicatorKind::FollowUpDiscipline, "2028-03"), follow_ups);
    let response = [(vec![reported, assessed], vec![first])];
    assert_eq!(behind(&log, IndicatorKind::ResponseWithinTarget, "2028-03"), response);
}

#[test]
fn a_member_is_there_by_the_entries_of_member_and_task_force_and_shown_by_its_own() {
    let mut log = Log::given();
    let (member_id, task_force_id) = ("m1".into(), "tf-1".into());
    let joined_on = "2027-02-01".into();
    log.registered(Entry::Member(v1::Member { member_id, task_force_id, joined_on, ..Default::default() }));
    let member = log.0.len() as u64;
    log.task_force("tf-1", Home::AreaCode(AREA.into()), "2027-01-02", "");
    let task_force = log.0.len() as u64;
    assert_eq!(behind(&log, IndicatorKind::Training, "2028-01"), [(vec![member, task_force], vec![member])]);
    assert_eq!(
        log.ledger().items(&Subject::Institution(SCHOOL.into()), "2028-01", IndicatorKind::Training, local(NOW)),
        []
    );
}
