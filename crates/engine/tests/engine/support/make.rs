//! A small town, its records and its cases. All invented.

use jiff::Timestamp;
use satgas_domain::time::Instant;
use satgas_proto::v1::{
    self, amendment::Replacement, case_command::Step, registry_entry::Entry, submission::Content, submission::Reporter,
    task_force::Home,
};

/// The kelurahan with the school, its neighbour, and one of another kecamatan.
pub(crate) const SATU: &str = "53.71.04.1001";
pub(crate) const DUA: &str = "53.71.04.1002";
pub(crate) const TIGA: &str = "53.71.03.1010";
/// Schools in `SATU` and `TIGA`.
pub(crate) const SCHOOL: &str = "90000001";
pub(crate) const OTHER_SCHOOL: &str = "90000002";
const FIRST_DAY: &str = "2027-01-01";
/// A working day in the past.
pub(crate) const DAY: &str = "2028-04-20T09:00:00";

/// A local time.
pub(crate) fn time(local: &str) -> Timestamp {
    format!("{local}+08:00").parse().expect("a story's time exists")
}

pub(crate) fn proto(local: &str) -> Option<pbjson_types::Timestamp> {
    Some(Instant::from_jiff(time(local)).to_proto())
}

fn entry(entry: Entry) -> v1::RegistryEntry {
    v1::RegistryEntry { entry: Some(entry), ..Default::default() }
}

pub(crate) fn area(code: &str) -> v1::RegistryEntry {
    entry(Entry::Area(v1::Area {
        code: code.into(),
        name: "Wilayah Contoh".into(),
        valid_from: FIRST_DAY.into(),
        ..Default::default()
    }))
}

pub(crate) fn school(id: &str, name: &str, area_code: &str) -> v1::RegistryEntry {
    entry(Entry::Institution(v1::Institution {
        institution_id: id.into(),
        name: name.into(),
        kind: v1::InstitutionKind::Sekolah.into(),
        area_code: area_code.into(),
        valid_from: FIRST_DAY.into(),
        valid_until: String::new(),
    }))
}

fn task_force(id: &str, area_code: &str) -> v1::RegistryEntry {
    entry(Entry::TaskForce(v1::TaskForce {
        task_force_id: id.into(),
        home: Some(Home::AreaCode(area_code.into())),
        kind: "Satgas".into(),
        formed_on: FIRST_DAY.into(),
        ..v1::TaskForce::default()
    }))
}

/// The town: eleven entries.
pub(crate) fn town() -> Vec<v1::RegistryEntry> {
    vec![
        area("53.71"),
        area("53.71.03"),
        area("53.71.04"),
        area(SATU),
        area(DUA),
        area(TIGA),
        school(SCHOOL, "SMP Contoh 01", SATU),
        school(OTHER_SCHOOL, "SMP Contoh 02", TIGA),
        task_force("tf-1", SATU),
        task_force("tf-2", DUA),
        task_force("tf-3", TIGA),
    ]
}

/// The n-th id.
pub(crate) fn id(n: u32) -> String {
    format!("01970f3e-8b1c-7000-8000-{n:012x}")
}

/// The n-th submission, of an area or, without dots in the reporter, an institution.
pub(crate) fn submission(n: u32, reporter: &str, content: Content) -> v1::Submission {
    submission_on(n, reporter, DAY, content)
}

pub(crate) fn submission_on(n: u32, reporter: &str, occurred: &str, content: Content) -> v1::Submission {
    let is_area = reporter.contains('.');
    let reporter = reporter.to_owned();
    v1::Submission {
        submission_id: id(n),
        device_id: "hp-01".into(),
        device_sequence: 1,
        occurred_at: proto(occurred),
        reporter: Some(if is_area { Reporter::AreaCode(reporter) } else { Reporter::InstitutionId(reporter) }),
        content: Some(content),
    }
}

pub(crate) fn visit_record(pupils: i32) -> v1::SchoolVisit {
    v1::SchoolVisit {
        school_id: SCHOOL.into(),
        purpose: v1::VisitPurpose::Sosialisasi.into(),
        reach: Some(v1::Reach { pupils_female: pupils, ..v1::Reach::default() }),
        ..v1::SchoolVisit::default()
    }
}

/// The n-th submission: a visit of `SATU` that reached so many pupils.
pub(crate) fn visit(n: u32, pupils: i32) -> v1::Submission {
    submission(n, SATU, Content::SchoolVisit(visit_record(pupils)))
}

/// A visit that is refused: a negative count.
pub(crate) fn bad_visit(n: u32) -> v1::Submission {
    visit(n, -1)
}

pub(crate) fn amends(n: u32, corrects: u32, replacement: Replacement) -> v1::Submission {
    let amendment = v1::Amendment {
        corrects_id: id(corrects),
        reason: "Salah ketik".into(),
        occurred_at: None,
        replacement: Some(replacement),
    };
    submission(n, SATU, Content::Amendment(amendment))
}

pub(crate) fn amends_visit(n: u32, corrects: u32, pupils: i32) -> v1::Submission {
    amends(n, corrects, Replacement::SchoolVisit(visit_record(pupils)))
}

pub(crate) fn retracts(n: u32, target: u32) -> v1::Submission {
    let retraction = v1::Retraction { retracts_id: id(target), reason: "Tercatat dua kali".into() };
    submission(n, SATU, Content::Retraction(retraction))
}

pub(crate) fn case_record(age: v1::AgeGroup) -> v1::CaseReport {
    v1::CaseReport {
        violence: vec![v1::Violence::Seksual.into()],
        place: v1::Place::Daring.into(),
        victim_age: age.into(),
        victim_sex: v1::Sex::Perempuan.into(),
        offender: v1::Offender::TidakDiketahui.into(),
        ..v1::CaseReport::default()
    }
}

/// The n-th submission: `SATU` reports a case of an adult.
pub(crate) fn case(n: u32) -> v1::Submission {
    submission(n, SATU, Content::CaseReport(case_record(v1::AgeGroup::AgeGroup2544)))
}

pub(crate) fn assess(risk: v1::Risk) -> Step {
    Step::Assess(v1::AssessCase { risk: risk.into() })
}

pub(crate) fn serve(service: v1::Service) -> Step {
    Step::RecordService(v1::RecordService { service: service.into() })
}

/// The n-th id, as a step of the case reported as submission `case`.
pub(crate) fn command(n: u32, case: u32, version: u64, step: Step) -> v1::CaseCommand {
    v1::CaseCommand {
        command_id: id(n),
        case_id: id(case),
        expected_version: version,
        occurred_at: proto("2028-04-20T10:00:00"),
        step: Some(step),
    }
}
