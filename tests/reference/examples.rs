//! Examples counted by hand: given these events, at this time, the page says this. They hold the reference itself to the page.

use jiff::Timestamp;
use satgas_proto::v1::{self, ConflictCause, WarningKind, case_command::Step, submission::Content};

use super::{
    Subject, conflicts, evaluate, held,
    rules::{before_all, working_days_after},
    time::message,
    warnings,
};

const AREA: &str = "53.71.04.1001";
const NEXT_AREA: &str = "53.71.04.1002";
const SCHOOL: &str = "90000001";
const ZONE: &str = "Asia/Makassar";

/// A log written by hand. Times are local, "2028-03-01T00:00:00".
struct Log(Vec<v1::Event>);

impl Log {
    /// A log with two kelurahan, one school, and one task force in each of the three since 2027.
    fn given() -> Self {
        let mut log = Self(Vec::new());
        let opened = v1::LogOpened { time_zone: ZONE.into(), ..v1::LogOpened::default() };
        log.push("2027-01-01T00:00:00", v1::event::Body::LogOpened(opened));
        for (code, name) in [("53.71", "Kota"), ("53.71.04", "Kecamatan"), (AREA, "Satu"), (NEXT_AREA, "Dua")] {
            log.registered(v1::registry_entry::Entry::Area(v1::Area {
                code: code.into(),
                name: name.into(),
                valid_from: "2027-01-01".into(),
                ..Default::default()
            }));
        }
        log.registered(v1::registry_entry::Entry::Institution(v1::Institution {
            institution_id: SCHOOL.into(),
            name: "SMP Contoh 01".into(),
            kind: v1::InstitutionKind::Sekolah.into(),
            area_code: AREA.into(),
            valid_from: "2027-01-01".into(),
            valid_until: String::new(),
        }));
        log.task_force("tf-1", v1::task_force::Home::AreaCode(AREA.into()), "2027-01-01", "");
        log.task_force("tf-2", v1::task_force::Home::AreaCode(NEXT_AREA.into()), "2027-01-01", "");
        log.task_force("tf-s", v1::task_force::Home::InstitutionId(SCHOOL.into()), "2027-01-01", "");
        log
    }

    fn push(&mut self, recorded: &str, body: v1::event::Body) -> u64 {
        let position = self.0.len() as u64 + 1;
        let recorded_at = Some(message(local(recorded)));
        self.0.push(v1::Event { position, recorded_at, body: Some(body), ..v1::Event::default() });
        position
    }

    fn registered(&mut self, entry: v1::registry_entry::Entry) {
        self.push(
            "2027-01-01T00:00:00",
            v1::event::Body::Registered(v1::RegistryEntry { entry: Some(entry), ..Default::default() }),
        );
    }

    fn task_force(&mut self, id: &str, home: v1::task_force::Home, formed_on: &str, dissolved_on: &str) {
        self.registered(v1::registry_entry::Entry::TaskForce(v1::TaskForce {
            task_force_id: id.into(),
            home: Some(home),
            formed_on: formed_on.into(),
            dissolved_on: dissolved_on.into(),
            ..v1::TaskForce::default()
        }));
    }

    /// A submission of the first kelurahan that is recorded when it occurs.
    fn submitted(&mut self, id: &str, at: &str, content: Content) -> u64 {
        self.submitted_by(AREA, id, at, at, content)
    }

    fn submitted_by(&mut self, area: &str, id: &str, occurred: &str, recorded: &str, content: Content) -> u64 {
        let submission = v1::Submission {
            submission_id: id.into(),
            occurred_at: Some(message(local(occurred))),
            reporter: Some(v1::submission::Reporter::AreaCode(area.into())),
            content: Some(content),
            ..v1::Submission::default()
        };
        self.push(recorded, v1::event::Body::Submitted(submission))
    }

    fn step(&mut self, case_id: &str, at: &str, step: Step) {
        let command = v1::CaseCommand {
            case_id: case_id.into(),
            occurred_at: Some(message(local(at))),
            step: Some(step),
            ..v1::CaseCommand::default()
        };
        self.push(at, v1::event::Body::CaseAdvanced(v1::CaseAdvanced { command: Some(command), version: 0 }));
    }

    fn evaluation(&self, code: &str, period: &str, now: &str) -> v1::Evaluation {
        evaluate(&self.0, &Subject::Area(code.into()), period, local(now))
    }

    /// Numerator and denominator of each indicator of the first kelurahan.
    fn fractions(&self, period: &str, now: &str) -> Vec<(u64, u64)> {
        let evaluation = self.evaluation(AREA, period, now);
        evaluation.indicators.iter().map(|indicator| (indicator.numerator, indicator.denominator)).collect()
    }
}

fn local(time: &str) -> Timestamp {
    format!("{time}+08:00").parse().expect("an example's time exists")
}

fn report(task_force_id: &str, month: &str) -> v1::MonitoringReport {
    v1::MonitoringReport { task_force_id: task_force_id.into(), month: month.into(), ..v1::MonitoringReport::default() }
}

fn report_content(month: &str) -> Content {
    Content::MonitoringReport(report("tf-1", month))
}

fn visit(due_on: &[&str]) -> v1::SchoolVisit {
    let follow_up = |(index, due_on): (usize, &&str)| v1::FollowUp {
        number: u32::try_from(index + 1).expect("an example has few follow-ups"),
        action: "Contoh".into(),
        due_on: (*due_on).into(),
    };
    v1::SchoolVisit {
        school_id: SCHOOL.into(),
        reach: Some(v1::Reach { pupils_female: 12, pupils_male: 8, teachers_female: 3, ..v1::Reach::default() }),
        follow_ups: due_on.iter().enumerate().map(follow_up).collect(),
        ..v1::SchoolVisit::default()
    }
}

fn amendment(corrects_id: &str, occurred: Option<&str>, replacement: v1::amendment::Replacement) -> Content {
    Content::Amendment(v1::Amendment {
        corrects_id: corrects_id.into(),
        reason: "Contoh".into(),
        occurred_at: occurred.map(|occurred| message(local(occurred))),
        replacement: Some(replacement),
    })
}

fn month_amendment(corrects_id: &str, month: &str) -> Content {
    amendment(corrects_id, None, v1::amendment::Replacement::MonitoringReport(report("tf-1", month)))
}

fn retraction(retracts_id: &str) -> Content {
    Content::Retraction(v1::Retraction { retracts_id: retracts_id.into(), reason: "Contoh".into() })
}

fn signal(fingerprint: &str, schools: &[&str]) -> Content {
    Content::ExposureSignal(v1::ExposureSignal {
        group_fingerprint: fingerprint.into(),
        school_ids: schools.iter().map(|school| (*school).into()).collect(),
        ..v1::ExposureSignal::default()
    })
}

fn case_report() -> Content {
    Content::CaseReport(v1::CaseReport::default())
}

fn service() -> Step {
    Step::RecordService(v1::RecordService { service: v1::Service::Psikologis.into() })
}

fn close() -> Step {
    Step::Close(v1::CloseCase { outcome: v1::CaseOutcome::TujuanTercapai.into() })
}

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
    let overdue = warnings(&log.0, local("2028-04-01T00:00:00"));
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
    assert_eq!(held(&log.0).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [second, rival, first, lost]);
    log.submitted("r1", "2028-03-01T12:00:00", report_content("2028-01"));
    assert_eq!(conflicts(&log.0), [(rival, ConflictCause::AlreadyAmended)]);
    assert_eq!(held(&log.0), [(lost, "b2".to_owned())], "the id of an amendment in conflict is no version");
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
    assert_eq!(conflicts(&log.0), [(stale, ConflictCause::AlreadyAmended), (gone, ConflictCause::Retracted)]);
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
        conflicts(&log.0),
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
        let warnings = warnings(&log.0, local(now));
        warnings.iter().map(|warning| (warning.kind(), warning.subject_id.clone())).collect::<Vec<_>>()
    };
    let silent = |id: &str| (WarningKind::TaskForceSilent, id.to_owned());
    let spreads = (WarningKind::GroupSpreads, String::new());
    assert_eq!(kinds("2028-03-31T07:59:59.999"), [spreads, silent("tf-2"), silent("tf-s")]);
    assert_eq!(kinds("2028-03-31T08:00:00"), [silent("tf-2"), silent("tf-s")], "the first signal is 90 days old");
    assert_eq!(kinds("2028-04-15T08:00:00"), [silent("tf-2"), silent("tf-s"), silent("tf-1")]);
}
