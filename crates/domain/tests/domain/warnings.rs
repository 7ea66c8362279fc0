//! Early warnings, on both sides of every threshold.

use satgas_proto::v1::{self, WarningKind, submission::Content};

use crate::support::*;

const NOW: &str = "2028-06-01T12:00:00";

fn signals(log: &mut Log, n: u32, occurred: &str, fingerprint: char, schools: &[&str]) -> u64 {
    log.then_goes_on(submission(n, occurred, Content::ExposureSignal(signal(fingerprint, schools))), NOW)
}

#[test]
fn a_group_spreads_when_it_is_seen_at_two_schools_within_90_days() {
    let mut log = given([]);
    let first = signals(&mut log, 1, "2028-03-01T00:00:00", 'a', &[SCHOOL]);
    signals(&mut log, 2, "2028-03-02T00:00:00", 'b', &[OTHER_SCHOOL]);
    signals(&mut log, 3, "2028-03-03T00:00:00", 'a', &[SCHOOL]);
    assert_eq!(log.warned(WarningKind::GroupSpreads, "2028-03-10T00:00:00"), Vec::<String>::new());
    let last = signals(&mut log, 4, "2028-03-20T00:00:00", 'a', &[OTHER_SCHOOL]);
    let group = format!("group_spreads:{}", "a".repeat(64));
    let spreads = |now| log.warned(WarningKind::GroupSpreads, now);
    assert_eq!(spreads("2028-03-19T23:59:59.999"), Vec::<String>::new(), "not before it happened");
    assert_eq!(spreads("2028-03-20T00:00:00"), [group.as_str()]);
    // 90 days after 3 March the last signal at the first school falls out of the window.
    assert_eq!(spreads("2028-05-31T23:59:59.999"), [group.as_str()]);
    assert_eq!(spreads("2028-06-01T00:00:00"), Vec::<String>::new());

    let warnings = log.known("2028-03-20T00:00:00").warnings("");
    let warning = &warnings[0];
    assert_eq!(warning.kind(), WarningKind::GroupSpreads, "the most urgent comes first");
    assert_eq!(warning.institution_ids, [SCHOOL, OTHER_SCHOOL]);
    assert_eq!(warning.area_codes, [SATU]);
    assert_eq!((warning.positions.first(), warning.positions.last()), (Some(&first), Some(&last)));
    assert_eq!(warning.since, Some(at("2028-03-01T00:00:00").to_proto()));
    assert_eq!(warning.latest, Some(at("2028-03-20T00:00:00").to_proto()));
}

#[test]
fn one_signal_that_names_two_schools_is_enough_and_a_withdrawn_one_is_none() {
    let mut log = given([]);
    signals(&mut log, 1, "2028-03-01T00:00:00", 'a', &[SCHOOL, OTHER_SCHOOL]);
    assert_eq!(log.warned(WarningKind::GroupSpreads, "2028-03-02T00:00:00").len(), 1);
    log.then_goes_on(submission(2, "2028-03-02T00:00:00", retracts(1)), NOW);
    assert_eq!(log.warned(WarningKind::GroupSpreads, "2028-03-02T00:00:00"), Vec::<String>::new());
}

#[test]
fn a_school_repeats_with_the_second_signal_within_90_days() {
    let mut log = given([]);
    signals(&mut log, 1, "2028-03-01T00:00:00", 'a', &[SCHOOL]);
    let repeated = |log: &Log, now| log.warned(WarningKind::SchoolRepeatedSignals, now);
    assert_eq!(repeated(&log, "2028-03-02T00:00:00"), Vec::<String>::new());
    signals(&mut log, 2, "2028-05-29T23:59:59.999", 'b', &[SCHOOL]);
    let school = format!("school_repeated_signals:{SCHOOL}");
    assert_eq!(repeated(&log, "2028-05-29T23:59:59.999"), [school.as_str()]);
    assert_eq!(repeated(&log, "2028-05-30T00:00:00"), Vec::<String>::new(), "the first is 90 days old");
}

#[test]
fn a_response_is_overdue_from_its_target_until_the_first_response() {
    let mut log = given([]);
    let report = log.then_goes_on(submission(1, "2028-03-01T08:00:00", Content::CaseReport(case_report())), NOW);
    log.then_goes_on(command(101, 1, 1, "2028-03-01T08:00:00", assess(v1::Risk::Tinggi)), NOW);
    let overdue = |log: &Log, now| log.warned(WarningKind::ResponseOverdue, now);
    assert_eq!(overdue(&log, "2028-03-01T08:59:59.999"), Vec::<String>::new());
    assert_eq!(overdue(&log, "2028-03-01T09:00:00"), [id(1)]);
    let warning = log.known("2028-03-01T09:00:00").warnings("").remove(0);
    assert_eq!((warning.since, warning.positions), (Some(at("2028-03-01T09:00:00").to_proto()), vec![report]));
    log.then_goes_on(command(102, 1, 2, "2028-03-02T08:00:00", serve(v1::Service::Kesehatan)), NOW);
    assert_eq!(overdue(&log, "2028-03-03T00:00:00"), Vec::<String>::new());
}

#[test]
fn a_closed_or_merged_case_warns_of_nothing() {
    for end in [close(), merge_into(2)] {
        let mut log = given([]);
        log.then_goes_on(submission(1, "2028-03-01T08:00:00", Content::CaseReport(case_report())), NOW);
        log.then_goes_on(submission(2, "2028-05-31T08:00:00", Content::CaseReport(case_report())), NOW);
        log.then_goes_on(command(101, 1, 1, "2028-03-01T08:00:00", assess(v1::Risk::Tinggi)), NOW);
        assert_eq!(log.warned(WarningKind::ResponseOverdue, NOW), [id(1)]);
        log.then_goes_on(command(102, 1, 2, "2028-03-02T08:00:00", end), NOW);
        assert_eq!(log.warned(WarningKind::ResponseOverdue, NOW), Vec::<String>::new());
    }
}

#[test]
fn a_follow_up_of_a_visit_is_overdue_when_its_day_is_over_until_it_is_done_even_late() {
    let mut log = given([]);
    log.then_goes_on(submission(1, "2028-02-10T09:00:00", Content::SchoolVisit(visit(&["2028-02-29"]))), NOW);
    let overdue = |log: &Log, now| log.warned(WarningKind::FollowUpOverdue, now);
    assert_eq!(overdue(&log, "2028-02-29T23:59:59.999"), Vec::<String>::new());
    assert_eq!(overdue(&log, "2028-03-01T00:00:00"), [format!("{}#1", id(1))]);
    let late = v1::MonitoringReport { follow_ups_done: vec![done(1, 1, "2028-03-20")], ..report("tf-1", "2028-03") };
    log.then_goes_on(submission(2, "2028-03-20T09:00:00", Content::MonitoringReport(late)), NOW);
    assert_eq!(overdue(&log, "2028-03-21T00:00:00"), Vec::<String>::new());
}

#[test]
fn a_follow_up_of_an_open_case_is_overdue_when_its_day_is_over_until_it_is_completed() {
    let mut log = given([]);
    log.then_goes_on(submission(1, "2028-02-10T09:00:00", Content::CaseReport(case_report())), NOW);
    log.then_goes_on(command(101, 1, 1, "2028-02-10T09:00:00", assess(v1::Risk::Rendah)), NOW);
    log.then_goes_on(command(102, 1, 2, "2028-02-10T09:00:00", plan(4, "2028-02-29")), NOW);
    let overdue = |log: &Log, now| log.warned(WarningKind::FollowUpOverdue, now);
    assert_eq!(overdue(&log, "2028-02-29T23:59:59.999"), Vec::<String>::new());
    assert_eq!(overdue(&log, "2028-03-01T00:00:00"), [format!("{}#4", id(1))]);
    log.then_goes_on(command(103, 1, 3, "2028-03-05T09:00:00", complete(4)), NOW);
    assert_eq!(overdue(&log, "2028-03-06T00:00:00"), Vec::<String>::new());
}

#[test]
fn a_task_force_is_silent_45_days_after_the_last_record_of_its_home_or_after_it_was_formed() {
    let mut log = given([]);
    log.then_goes_on(task_force("tf-3", of_area(TIGA), "2028-03-01", ""), NOW);
    let silent = |log: &Log, now| {
        let subjects = log.warned(WarningKind::TaskForceSilent, now);
        subjects.contains(&"tf-3".to_owned())
    };
    // 45 days after 1 March is 15 April.
    assert!(!silent(&log, "2028-04-14T23:59:59.999"));
    assert!(silent(&log, "2028-04-15T00:00:00"));
    log.then_goes_on(by(TIGA, submission(1, "2028-04-10T08:00:00", Content::SchoolVisit(visit(&[])))), NOW);
    assert!(!silent(&log, "2028-05-25T07:59:59.999"));
    assert!(silent(&log, "2028-05-25T08:00:00"));
    let warnings = log.known("2028-05-26T00:00:00").warnings("53.71.03");
    assert_eq!(warnings.len(), 1, "within the kecamatan of the silent one only");
    assert_eq!(warnings[0].since, Some(at("2028-05-25T08:00:00").to_proto()));
    log.then_goes_on(task_force("tf-3", of_area(TIGA), "2028-03-01", "2028-05-25"), NOW);
    assert!(silent(&log, "2028-05-25T23:59:59.999"));
    assert!(!silent(&log, "2028-05-26T00:00:00"), "a dissolved task force may be silent");
}

#[test]
fn to_who_must_not_learn_of_cases_no_case_and_no_signal_breaks_a_silence() {
    let mut log = given([]);
    log.then_goes_on(task_force("tf-3", of_area(TIGA), "2028-03-01", ""), NOW);
    let now = "2028-05-26T00:00:00";
    let told = |log: &Log| {
        let mut warnings = log.known(now).warnings_beside_cases("53.71.03");
        warnings.retain(|warning| warning.kind() == WarningKind::TaskForceSilent);
        warnings
    };
    let silent = told(&log);
    assert_eq!(silent.len(), 1);
    log.then_goes_on(by(TIGA, submission(1, "2028-04-20T08:00:00", Content::CaseReport(case_report()))), NOW);
    assert_eq!(told(&log), silent, "not even since when");
    assert!(
        !log.warned(WarningKind::TaskForceSilent, now).contains(&"tf-3".to_owned()),
        "whoever may know of it sees that it spoke"
    );
    log.then_goes_on(by(TIGA, submission(2, "2028-04-21T08:00:00", Content::SchoolVisit(visit(&[])))), NOW);
    assert_eq!(told(&log), []);
}

#[test]
fn warnings_come_by_kind_then_by_how_long_they_stand() {
    let mut log = given([]);
    signals(&mut log, 1, "2028-03-01T00:00:00", 'a', &[SCHOOL, OTHER_SCHOOL]);
    signals(&mut log, 2, "2028-02-01T00:00:00", 'b', &[SCHOOL, OTHER_SCHOOL]);
    log.then_goes_on(submission(3, "2028-02-10T09:00:00", Content::SchoolVisit(visit(&["2028-02-12"]))), NOW);
    log.then_goes_on(submission(4, "2028-02-10T09:00:00", Content::CaseReport(case_report())), NOW);
    let warnings = log.known("2028-03-02T00:00:00").warnings("");
    let keys: Vec<_> = warnings.iter().map(|w| (w.kind, w.since.map(|t| t.seconds), w.warning_id.clone())).collect();
    assert!(keys.is_sorted());
    let kinds: std::collections::BTreeSet<i32> = keys.iter().map(|k| k.0).collect();
    assert_eq!(kinds.len(), 5, "one of each kind stands: {kinds:?}");
    assert_eq!(warnings[0].group_fingerprint, "b".repeat(64), "the older group first");
}
