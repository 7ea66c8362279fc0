//! Submissions that are taken.

use satgas_proto::v1::{self, amendment::Replacement, submission::Content};

use crate::support::*;

const NOW: &str = "2028-02-29T12:00:00";

#[test]
fn every_kind_of_record_of_an_area_is_taken_as_that_areas() {
    let log = given([]);
    let evidence = v1::Evidence {
        sha256: "e".repeat(64),
        media_type: "image/jpeg".into(),
        custody_place: "Lemari bukti 3".into(),
        content: Vec::new().into(),
    };
    let contents = [
        Content::MonitoringReport(v1::MonitoringReport {
            risk_signals: vec![v1::RiskSignal::GrupDigital.into()],
            follow_ups_done: vec![done(9, 1, "2028-02-29")],
            ..report("tf-1", "2028-02")
        }),
        Content::SchoolVisit(visit(&["2028-03-07", "2030-02-28"])),
        Content::ExposureSignal(v1::ExposureSignal {
            evidence: vec![evidence],
            ..signal('a', &[SCHOOL, OTHER_SCHOOL])
        }),
        Content::CaseReport(v1::CaseReport {
            electronic: vec![v1::ElectronicViolence::Transmisi.into()],
            extortion: true,
            school_id: SCHOOL.into(),
            ..child_case_report()
        }),
        amends(9, Replacement::MonitoringReport(report("tf-1", "2028-02"))),
        amends(9, Replacement::SchoolVisit(visit(&[]))),
        amends(9, Replacement::ExposureSignal(signal('a', &[SCHOOL]))),
        amends(9, Replacement::CaseReport(case_report())),
        retracts(9),
    ];
    for (n, content) in (11..).zip(contents) {
        log.when(submission(n, NOW, content), NOW).then(taken(SATU, ""));
    }
}

#[test]
fn a_record_of_an_institution_is_taken_as_its_own_in_the_area_where_it_stands() {
    let log = given([]);
    let own = Content::MonitoringReport(report("tf-s", "2028-02"));
    log.when(by(SCHOOL, submission(1, NOW, own)), NOW).then(taken(SATU, SCHOOL));
    log.when(by(OFFICE, submission(2, NOW, Content::CaseReport(case_report()))), NOW).then(taken(DUA, OFFICE));
}

#[test]
fn a_visit_may_be_made_to_a_school_of_another_area() {
    given([]).when(by(TIGA, submission(1, NOW, Content::SchoolVisit(visit(&[])))), NOW).then(taken(TIGA, ""));
}

#[test]
fn a_correction_may_come_before_what_it_corrects() {
    let log = given([]);
    log.when(submission(1, NOW, retracts(77)), NOW).then(taken(SATU, ""));
}

#[test]
fn a_correction_may_move_a_record_to_an_earlier_day() {
    let moved = v1::Amendment {
        occurred_at: Some(at("2027-01-01T00:00:00").to_proto()),
        ..amendment(9, Replacement::SchoolVisit(visit(&["2027-01-01"])))
    };
    given([]).when(submission(1, NOW, Content::Amendment(moved)), NOW).then(taken(SATU, ""));
}

#[test]
fn the_first_instant_of_the_registration_and_five_minutes_ahead_are_still_taken() {
    let log = given([]);
    let visit = || Content::SchoolVisit(visit(&[]));
    log.when(submission(1, "2027-01-01T00:00:00", visit()), NOW).then(taken(SATU, ""));
    log.when(submission(1, "2028-02-29T12:05:00", visit()), NOW).then(taken(SATU, ""));
}

#[test]
fn every_limit_itself_is_taken() {
    let log = given([]);
    let full = v1::MonitoringReport {
        activities: vec![
            v1::Activity { kind: v1::ActivityKind::Rapat.into(), count: 1_000, participants: 100_000 };
            50
        ],
        members_present: 10_000,
        obstacles: "é".repeat(2_000),
        follow_ups_done: vec![done(9, 1_000, "2028-02-29"); 50],
        ..report("tf-1", "2028-02")
    };
    log.when(submission(1, NOW, Content::MonitoringReport(full)), NOW).then(taken(SATU, ""));
    let crowd = v1::SchoolVisit {
        reach: Some(v1::Reach { pupils_female: 10_000, parents_male: 10_000, ..v1::Reach::default() }),
        notes: "Baris satu\n\tbaris dua".into(),
        ..visit(&[])
    };
    log.when(submission(2, NOW, Content::SchoolVisit(crowd)), NOW).then(taken(SATU, ""));
    let large = v1::ExposureSignal { estimated_members: 1_000_000, ..signal('f', &[SCHOOL]) };
    log.when(submission(3, NOW, Content::ExposureSignal(large)), NOW).then(taken(SATU, ""));
}
