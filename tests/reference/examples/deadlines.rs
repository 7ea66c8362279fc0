//! Deadlines that passed unmet: which are to be recorded, when, and what a log that records them wrongly is told.

use satgas_proto::v1::{self, DeadlineKind, IndicatorKind, case_command::Step, submission::Content, task_force::Home};

use super::{
    super::missed::{Judged, Missed, check},
    AREA, Log, NEXT_AREA, Subject, case_report, close, local, message, report, report_content, service, visit,
};

/// Kind, item and detail of everything that is to be recorded by a time, with the rules that set it.
fn missed(log: &Log, now: &str) -> Vec<(DeadlineKind, String, String, String)> {
    let missed = log.ledger().missed_by(local(now));
    missed.into_iter().map(|(it, rules)| (it.kind(), it.item_id, it.detail, rules)).collect()
}

/// The same without the reports of task forces.
fn missed_else(log: &Log, now: &str) -> Vec<(String, String)> {
    let all = missed(log, now).into_iter().filter(|(kind, ..)| *kind != DeadlineKind::Report);
    all.map(|(_, item, detail, _)| (item, detail)).collect()
}

fn named(items: &[(&str, &str)]) -> Vec<(String, String)> {
    items.iter().map(|(item, detail)| ((*item).into(), (*detail).into())).collect()
}

impl Log {
    /// Records everything that is missed by now and was not recorded, as a server would that never judged before.
    fn judged(&mut self, at: &str) -> Judged {
        self.judged_since("2027-01-01T00:00:00", at)
    }

    /// The same of a server that judged last at `last`.
    fn judged_since(&mut self, last: &str, at: &str) -> Judged {
        let (known_position, now, last) = (self.0.len() as u64, local(at), local(last));
        let before = super::super::missed::recorded(&self.0);
        for (item, rule_set) in self.ledger().missed_by(now) {
            if item.due > last && !before.contains(&item) {
                self.missed(at, known_position, &item, &rule_set);
            }
        }
        Judged { last, known_position, at: now, head: self.0.len() as u64 }
    }

    fn missed(&mut self, at: &str, known_position: u64, item: &Missed, rule_set: &str) -> u64 {
        let missed = v1::DeadlineMissed {
            kind: item.kind().into(),
            item_id: item.item_id.clone(),
            detail: item.detail.clone(),
            due_at: Some(message(item.due)),
            known_position,
            rule_set: rule_set.into(),
        };
        self.push(at, v1::event::Body::DeadlineMissed(missed))
    }
}

fn done(number: u32, done_on: &str) -> v1::FollowUpDone {
    v1::FollowUpDone { visit_id: "v1".into(), number, done_on: done_on.into() }
}

#[test]
fn a_report_is_missed_from_its_deadline_on_and_only_of_months_in_which_the_task_force_existed() {
    let mut log = Log::given();
    log.task_force("tf-1", Home::AreaCode(AREA.into()), "2028-01-31", "2028-02-01");
    log.task_force("tf-2", Home::AreaCode(NEXT_AREA.into()), "2028-03-01", "");
    log.task_force("tf-s", Home::AreaCode(NEXT_AREA.into()), "2028-03-01", "");
    let months = |log: &Log, now: &str| {
        let months = missed(log, now).into_iter().map(|(_, item, month, rules)| format!("{item} {month} {rules}"));
        months.collect::<Vec<_>>()
    };
    assert_eq!(months(&log, "2028-02-05T23:59:59.999"), [""; 0]);
    assert_eq!(months(&log, "2028-02-06T00:00:00"), ["tf-1 2028-01 bawaan-1"]);
    assert_eq!(months(&log, "2028-04-01T00:00:00"), ["tf-1 2028-01 bawaan-1", "tf-1 2028-02 bawaan-1"]);
    log.submitted_by(AREA, "r1", "2028-03-01T08:00:00", "2028-03-05T23:59:59.999", report_content("2028-02"));
    log.submitted_by(AREA, "r2", "2028-02-01T08:00:00", "2028-02-06T00:00:00", report_content("2028-01"));
    assert_eq!(months(&log, "2028-04-01T00:00:00"), ["tf-1 2028-01 bawaan-1"], "one came in time, one at the deadline");
}

#[test]
fn what_the_server_learns_of_when_it_is_due_or_later_is_not_recorded() {
    let mut log = Log::given();
    let follow_ups = Content::SchoolVisit(visit(&["2028-02-28", "2028-02-29", "2028-03-01"]));
    log.submitted_by(AREA, "v1", "2028-02-20T08:00:00", "2028-03-01T00:00:00", follow_ups);
    // Received when the second was just due, so only the third was known before.
    assert_eq!(missed_else(&log, "2028-03-02T00:00:00"), named(&[("v1", "3")]));
    assert_eq!(missed_else(&log, "2028-03-01T23:59:59.999"), []);
    let figures = log.evaluation(AREA, "2028-Q1", "2028-03-02T00:00:00").missed.unwrap();
    assert_eq!(figures.follow_ups, 3, "an evaluation counts all three");
    let late = v1::TaskForce {
        task_force_id: "late".into(),
        home: Some(Home::AreaCode(AREA.into())),
        formed_on: "2028-01-01".into(),
        ..Default::default()
    };
    log.entered("2028-03-06T00:00:00", "", super::Entry::TaskForce(late));
    let late = |now: &str| missed(&log, now).into_iter().filter(|it| it.1 == "late").map(|it| it.2).collect::<Vec<_>>();
    assert_eq!(late("2028-04-06T00:00:00"), ["2028-03"], "registered when February was due");
}

#[test]
fn a_follow_up_that_was_missed_and_later_shown_to_be_done_in_time_counts_and_its_event_stays() {
    let mut log = Log::given();
    log.submitted("v1", "2028-02-20T08:00:00", Content::SchoolVisit(visit(&["2028-02-29"])));
    let judged = log.judged("2028-03-01T00:00:00");
    let position = log.0.len() as u64;
    assert_eq!(missed_else(&log, "2028-03-01T00:00:00"), named(&[("v1", "1")]));
    let item = |log: &Log| {
        let area = Subject::Area(AREA.into());
        let now = local("2028-03-05T00:00:00");
        log.ledger().items(&area, "2028-02", IndicatorKind::FollowUpDiscipline, now)[0].clone()
    };
    let due = Some(message(local("2028-03-01T00:00:00")));
    assert_eq!((item(&log).counts, item(&log).missed_position, item(&log).due_at), (false, position, due));
    let late = v1::MonitoringReport { follow_ups_done: vec![done(1, "2028-02-29")], ..report("tf-1", "2028-02") };
    log.submitted("r1", "2028-03-04T08:00:00", Content::MonitoringReport(late));
    assert_eq!(missed_else(&log, "2028-03-05T00:00:00"), []);
    assert_eq!((item(&log).counts, item(&log).missed_position), (true, position));
    assert_eq!(log.evaluation(AREA, "2028-02", "2028-03-05T00:00:00").missed.unwrap().follow_ups, 0);
    let again = log.judged_since("2028-03-01T00:00:00", "2028-03-05T00:00:00");
    assert_eq!(check(&log.0, &[judged, again]), Ok(()));
}

#[test]
fn a_follow_up_of_a_case_is_missed_when_the_case_was_open_and_it_was_not_completed_before_its_time() {
    let mut log = Log::given();
    let plan = |number: u32, due_on: &str| {
        let follow_up = v1::FollowUp { number, action: "Contoh".into(), due_on: due_on.into() };
        Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up) })
    };
    for case in ["c1", "c2", "c3"] {
        log.submitted(case, "2028-03-01T08:00:00", case_report());
        log.step(case, "2028-03-01T09:00:00", service());
        log.step(case, "2028-03-01T10:00:00", plan(1, "2028-03-10"));
    }
    log.step("c1", "2028-03-11T00:00:00", Step::CompleteFollowUp(v1::CompleteFollowUp { number: 1 }));
    log.step("c2", "2028-03-10T23:59:59.999", close());
    log.step("c3", "2028-03-11T00:00:00", close());
    assert_eq!(missed_else(&log, "2028-03-10T23:59:59.999"), []);
    assert_eq!(missed_else(&log, "2028-03-11T00:00:00"), named(&[("c1", "1"), ("c3", "1")]));
    log.step("c3", "2028-03-12T00:00:00", Step::Merge(v1::MergeCase { into_case_id: "c1".into() }));
    assert_eq!(missed_else(&log, "2028-03-13T00:00:00"), named(&[("c1", "1")]));
}

#[test]
fn a_response_that_an_assessment_moves_into_the_past_did_not_fall_due_and_is_not_recorded() {
    let mut log = Log::given();
    log.submitted("c1", "2028-03-10T10:00:00", case_report());
    // A Friday: three working days later is Wednesday.
    assert_eq!(missed_else(&log, "2028-03-15T09:59:59.999"), []);
    let first = log.judged("2028-03-15T10:00:00");
    let recorded = log.0.len() as u64;
    let area = Subject::Area(AREA.into());
    let missed_position = |log: &Log| {
        let now = local("2028-03-20T00:00:00");
        log.ledger().items(&area, "2028-03", IndicatorKind::ResponseWithinTarget, now)[0].missed_position
    };
    assert_eq!(missed_position(&log), recorded);
    log.step("c1", "2028-03-16T10:00:00", Step::Assess(v1::AssessCase { risk: v1::Risk::Sedang.into() }));
    let mut all = Log(log.0.clone());
    let second = log.judged_since("2028-03-15T10:00:00", "2028-03-16T10:00:00");
    assert_eq!((log.0.len() as u64, missed_position(&log)), (recorded + 1, 0), "of the time by which it is due now");
    assert_eq!(check(&log.0, &[first, second]), Ok(()));
    let too_much = Judged { last: second.last, ..all.judged("2028-03-16T10:00:00") };
    let told = check(&all.0, &[first, too_much]).expect_err("one was recorded that had not fallen due");
    assert!(told.contains("did not fall due since"), "{told}");
}

#[test]
fn a_response_at_the_due_time_meets_it_and_a_close_before_it_ends_it() {
    let mut log = Log::given();
    for case in ["c1", "c2", "c3", "c4"] {
        log.submitted(case, "2028-03-10T10:00:00", case_report());
    }
    log.step("c1", "2028-03-15T10:00:00", service());
    log.step("c2", "2028-03-15T10:00:00.001", service());
    log.step("c3", "2028-03-15T09:59:59.999", close());
    log.step("c4", "2028-03-15T10:00:00", close());
    assert_eq!(missed_else(&log, "2028-03-16T00:00:00"), named(&[("c2", ""), ("c4", "")]));
}

#[test]
fn a_log_that_records_too_much_too_little_twice_or_by_other_rules_is_told() {
    let mut log = Log::given();
    log.submitted("v1", "2028-02-20T08:00:00", Content::SchoolVisit(visit(&["2028-02-29", "2028-03-20"])));
    let known = log.0.len() as u64;
    let judged = log.judged("2028-03-10T00:00:00");
    assert_eq!(check(&log.0, &[judged]), Ok(()));
    let told = |log: &Log, judged: &[Judged]| check(&log.0, judged).expect_err("a log with a defect");
    let without_last = Log(log.0[..log.0.len() - 1].to_vec());
    assert!(told(&without_last, &[judged]).contains("is not recorded by"), "the judging left one out");
    let nothing = Log(log.0[..usize::try_from(known).unwrap()].to_vec());
    assert_eq!(check(&nothing.0, &[]), Ok(()), "nothing was judged yet");
    assert!(told(&nothing, &[judged]).contains("is not recorded by"));
    let too_early = Judged { head: known, ..judged };
    assert!(told(&log, &[too_early]).contains("is not recorded by"), "it was recorded when that judging was over");
    let item = super::super::missed::recorded(&log.0).into_iter().next_back().unwrap();
    let with = |change: &dyn Fn(&mut Log) -> u64| {
        let mut log = Log(log.0.clone());
        change(&mut log);
        told(&log, &[])
    };
    let twice = with(&|log| log.missed("2028-03-11T00:00:00", known, &item, ""));
    assert!(twice.contains("and again at"), "{twice}");
    let mut early = item.clone();
    early.detail = "2".into();
    early.due = local("2028-03-21T00:00:00");
    let too_much = with(&|log| log.missed("2028-03-20T23:59:59.999", known, &early, ""));
    assert!(too_much.contains("was not missed by what was known"), "{too_much}");
    let rules = with(&|log| log.missed("2028-03-21T00:00:00", known, &early, "bawaan-1"));
    assert!(rules.contains("names the rules"), "{rules}");
}
