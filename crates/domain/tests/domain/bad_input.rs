//! Bad input: every violation at once, each by the path of its field.

use satgas_proto::v1::{self, amendment::Replacement, submission::Content, submission::Reporter};

use crate::support::*;

const NOW: &str = "2028-02-29T12:00:00";

fn refuse<const N: usize>(s: v1::Submission, fields: [&str; N]) -> Answered {
    given([]).when(s, NOW).then(refused(fields))
}

fn visited(change: impl FnOnce(&mut v1::SchoolVisit)) -> v1::Submission {
    let mut visit = visit(&[]);
    change(&mut visit);
    submission(1, NOW, Content::SchoolVisit(visit))
}

fn reported(change: impl FnOnce(&mut v1::MonitoringReport)) -> v1::Submission {
    let mut report = report("tf-1", "2028-02");
    change(&mut report);
    submission(1, NOW, Content::MonitoringReport(report))
}

fn signalled(change: impl FnOnce(&mut v1::ExposureSignal)) -> v1::Submission {
    let mut signal = signal('a', &[SCHOOL]);
    change(&mut signal);
    submission(1, NOW, Content::ExposureSignal(signal))
}

fn case(change: impl FnOnce(&mut v1::CaseReport)) -> v1::Submission {
    let mut report = case_report();
    change(&mut report);
    submission(1, NOW, Content::CaseReport(report))
}

#[test]
fn an_unknown_area_or_institution_is_refused() {
    refuse(by("53.71.04.9999", visited(|_| {})), ["area_code"]).because("is not a registered area");
    refuse(by("90009999", visited(|_| {})), ["institution_id"]).because("is not a registered institution");
    refuse(visited(|v| v.school_id = "90009999".into()), ["school_visit.school_id"]);
    refuse(reported(|r| r.task_force_id = "tf-9".into()), ["monitoring_report.task_force_id"]);
    refuse(case(|c| c.school_id = "90009999".into()), ["case_report.school_id"]);
    let schools = ["90009998", SCHOOL, "90009999"].map(str::to_owned).to_vec();
    refuse(signalled(|s| s.school_ids = schools), ["exposure_signal.school_ids[0]", "exposure_signal.school_ids[2]"]);
}

#[test]
fn an_area_above_the_kelurahan_reports_nothing() {
    refuse(by("53.71.04", visited(|_| {})), ["area_code"]).because("is not a kelurahan");
}

#[test]
fn an_office_is_no_school() {
    refuse(visited(|v| v.school_id = OFFICE.into()), ["school_visit.school_id"]).because("is not a school");
}

#[test]
fn another_areas_task_force_is_not_reported_for() {
    refuse(reported(|r| r.task_force_id = "tf-2".into()), ["monitoring_report.task_force_id"])
        .because("does not belong to the reporter");
    refuse(by(SCHOOL, reported(|_| {})), ["monitoring_report.task_force_id"]);
}

#[test]
fn a_date_in_the_future_beyond_the_skew_is_refused() {
    let late = submission(1, "2028-02-29T12:05:00.000000001", Content::SchoolVisit(visit(&[])));
    refuse(late, ["occurred_at"]).because("lies in the future");
    refuse(
        reported(|r| r.follow_ups_done = vec![done(9, 1, "2028-03-01")]),
        ["monitoring_report.follow_ups_done[0].done_on"],
    );
    let mut moved = amendment(9, Replacement::SchoolVisit(visit(&[])));
    moved.occurred_at = Some(at("2028-02-29T12:05:01").to_proto());
    refuse(submission(1, NOW, Content::Amendment(moved)), ["amendment.occurred_at"]);
}

#[test]
fn a_date_before_the_registration_is_refused() {
    let early = submission(1, "2026-12-31T23:59:59.999", Content::ExposureSignal(signal('a', &[SCHOOL])));
    refuse(early, ["occurred_at"]).because("lies before the area_code's registration");
    let mut moved = amendment(9, Replacement::ExposureSignal(signal('a', &[SCHOOL])));
    moved.occurred_at = Some(at("2026-12-31T23:59:59.999").to_proto());
    refuse(submission(1, NOW, Content::Amendment(moved)), ["amendment.occurred_at"]);
}

#[test]
fn a_school_is_not_visited_before_it_exists_or_after_it_is_gone() {
    let mut log = given([]);
    let mut gone = institution("90000003", v1::InstitutionKind::Sekolah, SATU);
    (gone.valid_from, gone.valid_until) = ("2028-02-10".into(), "2028-02-20".into());
    log.then_goes_on(entry(v1::registry_entry::Entry::Institution(gone)), NOW);
    let on = |day: &str| {
        let visit = v1::SchoolVisit { school_id: "90000003".into(), ..visit(&[]) };
        submission(1, day, Content::SchoolVisit(visit))
    };
    log.when(on("2028-02-09T23:59:59.999"), NOW).then(refused(["school_visit.school_id"]));
    log.when(on("2028-02-10T00:00:00"), NOW).then(taken(SATU, ""));
    log.when(on("2028-02-20T23:59:59.999"), NOW).then(taken(SATU, ""));
    log.when(on("2028-02-21T00:00:00"), NOW).then(refused(["school_visit.school_id"]));
}

#[test]
fn a_month_that_had_not_begun_or_in_which_the_task_force_did_not_exist_is_not_reported_on() {
    refuse(reported(|r| r.month = "2028-03".into()), ["monitoring_report.month"]).because("had not begun");
    refuse(reported(|r| r.month = "2026-12".into()), ["monitoring_report.month"]).because("did not exist");
}

#[test]
fn a_follow_up_is_due_on_the_day_of_the_visit_or_within_two_years() {
    let due = |days: [&str; 2]| visited(|v| v.follow_ups = visit(&days).follow_ups);
    given([]).when(due(["2028-02-29", "2030-03-01"]), NOW).then(taken(SATU, ""));
    refuse(
        due(["2028-02-28", "2030-03-02"]),
        ["school_visit.follow_ups[0].due_on", "school_visit.follow_ups[1].due_on"],
    );
}

#[test]
fn negative_and_absurd_counts_are_refused() {
    let reach = v1::Reach {
        pupils_female: -1,
        pupils_male: 10_001,
        teachers_female: i32::MIN,
        teachers_male: i32::MAX,
        parents_female: -5,
        parents_male: 1_000_000,
    };
    refuse(
        visited(|v| v.reach = Some(reach)),
        [
            "school_visit.reach.pupils_female",
            "school_visit.reach.pupils_male",
            "school_visit.reach.teachers_female",
            "school_visit.reach.teachers_male",
            "school_visit.reach.parents_female",
            "school_visit.reach.parents_male",
        ],
    );
    let kind = v1::ActivityKind::Rapat.into();
    let activities = vec![
        v1::Activity { kind, count: 0, participants: -1 },
        v1::Activity { kind, count: 1_001, participants: 100_001 },
    ];
    refuse(
        reported(|r| {
            r.activities = activities;
            r.members_present = 10_001;
        }),
        [
            "monitoring_report.activities[0].count",
            "monitoring_report.activities[0].participants",
            "monitoring_report.activities[1].count",
            "monitoring_report.activities[1].participants",
            "monitoring_report.members_present",
        ],
    );
    refuse(signalled(|s| s.estimated_members = 1_000_001), ["exposure_signal.estimated_members"]);
}

#[test]
fn text_over_its_limit_and_control_characters_are_refused() {
    refuse(visited(|v| v.notes = "x".repeat(2_001)), ["school_visit.notes"]).because("longer than 2000 characters");
    refuse(reported(|r| r.obstacles = "é".repeat(2_001)), ["monitoring_report.obstacles"]);
    refuse(visited(|v| v.notes = "bel\u{7}".into()), ["school_visit.notes"]).because("control character");
    refuse(
        visited(|v| v.follow_ups = vec![v1::FollowUp { action: "x".repeat(501), ..follow_up(1, "2028-03-01") }]),
        ["school_visit.follow_ups[0].action"],
    );
    let mut long = retracts(9);
    if let Content::Retraction(r) = &mut long {
        r.reason = "x".repeat(501);
    }
    refuse(submission(1, NOW, long), ["retraction.reason"]);
    refuse(v1::Submission { device_id: "d".repeat(65), ..visited(|_| {}) }, ["device_id"]);
}

#[test]
fn an_empty_submission_hears_of_every_missing_field_at_once() {
    refuse(
        v1::Submission::default(),
        ["submission_id", "device_id", "device_sequence", "occurred_at", "reporter", "content"],
    );
}

#[test]
fn an_empty_record_of_each_kind_hears_of_every_missing_field_at_once() {
    let empty = |content| submission(1, NOW, content);
    refuse(
        empty(Content::MonitoringReport(v1::MonitoringReport::default())),
        ["monitoring_report.task_force_id", "monitoring_report.month", "monitoring_report.task_force_id"],
    );
    refuse(
        empty(Content::SchoolVisit(v1::SchoolVisit::default())),
        ["school_visit.school_id", "school_visit.purpose", "school_visit.reach", "school_visit.school_id"],
    );
    refuse(
        empty(Content::ExposureSignal(v1::ExposureSignal::default())),
        ["exposure_signal.platform", "exposure_signal.group_fingerprint", "exposure_signal.school_ids"],
    );
    refuse(
        empty(Content::CaseReport(v1::CaseReport::default())),
        [
            "case_report.violence",
            "case_report.place",
            "case_report.victim_age",
            "case_report.victim_sex",
            "case_report.offender",
        ],
    );
    refuse(
        empty(Content::Amendment(v1::Amendment::default())),
        ["amendment.corrects_id", "amendment.reason", "amendment.replacement"],
    );
    refuse(empty(Content::Retraction(v1::Retraction::default())), ["retraction.retracts_id", "retraction.reason"]);
}

#[test]
fn a_value_outside_its_code_list_and_one_given_twice_are_refused() {
    refuse(
        visited(|v| {
            v.purpose = 99;
            v.topics = vec![1, 77, 1, 0];
            v.risk_signals = vec![-1];
        }),
        [
            "school_visit.purpose",
            "school_visit.topics[1]",
            "school_visit.topics[2]",
            "school_visit.topics[3]",
            "school_visit.risk_signals[0]",
        ],
    )
    .because("is not a value of its code list");
    refuse(
        case(|c| {
            c.violence = vec![3, 8];
            c.electronic = vec![4];
            (c.place, c.victim_age, c.victim_sex, c.offender) = (99, 99, 99, 99);
        }),
        [
            "case_report.violence[1]",
            "case_report.electronic[0]",
            "case_report.place",
            "case_report.victim_age",
            "case_report.victim_sex",
            "case_report.offender",
        ],
    );
    refuse(
        signalled(|s| {
            s.platform = 99;
            s.contents = vec![6];
            s.school_ids = vec![SCHOOL.into(), SCHOOL.into()];
        }),
        ["exposure_signal.platform", "exposure_signal.school_ids[1]", "exposure_signal.contents[0]"],
    );
}

#[test]
fn electronic_violence_is_sexual_violence() {
    let electronic = vec![v1::ElectronicViolence::Perekaman.into()];
    refuse(
        case(|c| {
            c.violence = vec![v1::Violence::Psikis.into()];
            c.electronic = electronic;
        }),
        ["case_report.violence"],
    );
}

#[test]
fn evidence_itself_is_refused_and_so_is_a_link_where_a_hash_is_taken() {
    let evidence = v1::Evidence {
        sha256: "https://contoh.invalid/x".into(),
        media_type: "gambar".into(),
        custody_place: String::new(),
        content: vec![0xFF, 0xD8, 0xFF].into(),
    };
    let fields = [
        "exposure_signal.group_fingerprint",
        "exposure_signal.evidence[0].sha256",
        "exposure_signal.evidence[0].media_type",
        "exposure_signal.evidence[0].custody_place",
        "exposure_signal.evidence[0].content",
    ];
    let answered = refuse(
        signalled(|s| {
            s.group_fingerprint = "chat.contoh.invalid/grup".into();
            s.evidence = vec![evidence];
        }),
        fields,
    )
    .because("never the evidence itself");
    assert!(answered.reasons.iter().all(|reason| !reason.contains("invalid")), "no reason repeats what was sent");
    refuse(signalled(|s| s.group_fingerprint = "A".repeat(64)), ["exposure_signal.group_fingerprint"]);
}

#[test]
fn lists_longer_than_their_limit_are_refused_once() {
    let activity = v1::Activity { kind: v1::ActivityKind::Rapat.into(), count: 1, participants: 1 };
    refuse(reported(|r| r.activities = vec![activity; 51]), ["monitoring_report.activities"]);
    refuse(reported(|r| r.follow_ups_done = vec![done(9, 1, "2028-02-29"); 51]), ["monitoring_report.follow_ups_done"]);
    refuse(
        visited(|v| v.follow_ups = (1..=21).map(|n| follow_up(n, "2028-03-01")).collect()),
        ["school_visit.follow_ups"],
    );
}

#[test]
fn follow_ups_have_distinct_numbers_from_1_to_1000() {
    let numbers = [1, 1, 0, 1_001];
    refuse(
        visited(|v| v.follow_ups = numbers.map(|n| follow_up(n, "2028-03-01")).to_vec()),
        ["school_visit.follow_ups[1].number", "school_visit.follow_ups[2].number", "school_visit.follow_ups[3].number"],
    );
}

#[test]
fn ids_dates_and_months_are_taken_in_their_one_form_only() {
    refuse(v1::Submission { submission_id: id(1).to_uppercase(), ..visited(|_| {}) }, ["submission_id"]);
    refuse(
        v1::Submission { submission_id: "01970f3e-8b1c-4000-8000-000000000001".into(), ..visited(|_| {}) },
        ["submission_id"],
    );
    refuse(reported(|r| r.month = "2028-2".into()), ["monitoring_report.month"]);
    refuse(
        reported(|r| r.follow_ups_done = vec![done(9, 1, "2027-02-29")]),
        ["monitoring_report.follow_ups_done[0].done_on"],
    );
    let broken = pbjson_types::Timestamp { seconds: 0, nanos: -1 };
    refuse(v1::Submission { occurred_at: Some(broken), ..visited(|_| {}) }, ["occurred_at"]);
}

#[test]
fn a_correction_or_withdrawal_does_not_name_itself() {
    refuse(submission(1, NOW, retracts(1)), ["retraction.retracts_id"]);
    refuse(submission(1, NOW, amends(1, Replacement::SchoolVisit(visit(&[])))), ["amendment.corrects_id"]);
}

#[test]
fn a_bad_replacement_is_named_within_its_amendment() {
    let bad = v1::SchoolVisit { school_id: "90009999".into(), purpose: 0, ..visit(&[]) };
    refuse(
        submission(1, NOW, amends(9, Replacement::SchoolVisit(bad))),
        ["amendment.school_visit.purpose", "amendment.school_visit.school_id"],
    );
    let stranger = Replacement::MonitoringReport(report("tf-2", "2028-02"));
    refuse(submission(1, NOW, amends(9, stranger)), ["amendment.monitoring_report.task_force_id"]);
}

#[test]
fn what_is_malformed_and_what_does_not_fit_are_told_together() {
    let s = v1::Submission {
        device_id: "tidak boleh spasi".into(),
        reporter: Some(Reporter::AreaCode("53.71.04.9999".into())),
        ..submission(
            1,
            "2028-03-31T00:00:00",
            Content::SchoolVisit(v1::SchoolVisit {
                school_id: "90009999".into(),
                purpose: 99,
                reach: Some(v1::Reach { pupils_male: -3, ..v1::Reach::default() }),
                ..visit(&[])
            }),
        )
    };
    refuse(
        s,
        [
            "device_id",
            "school_visit.purpose",
            "school_visit.reach.pupils_male",
            "occurred_at",
            "area_code",
            "school_visit.school_id",
        ],
    );
}
