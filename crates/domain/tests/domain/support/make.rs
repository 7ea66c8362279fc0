//! What stories are made of: a small town, its records, its cases. All invented.

use satgas_domain::time::Instant;
use satgas_proto::v1::{
    self, amendment::Replacement, case_command::Step, event::Body, registry_entry::Entry, submission::Content,
    submission::Reporter, task_force::Home,
};

use super::at;

/// The kelurahan with the schools.
pub(crate) const SATU: &str = "53.71.04.1001";
/// Its neighbour in the same kecamatan, without a school.
pub(crate) const DUA: &str = "53.71.04.1002";
/// A kelurahan of another kecamatan.
pub(crate) const TIGA: &str = "53.71.03.1010";
/// Two schools in `SATU`.
pub(crate) const SCHOOL: &str = "90000001";
pub(crate) const OTHER_SCHOOL: &str = "90000002";
/// An office in `DUA`.
pub(crate) const OFFICE: &str = "kantor-01";
/// When everything of the town was recorded; everything is valid from the day before.
pub(crate) const EARLY: &str = "2027-01-02T08:00:00";
const FIRST_DAY: &str = "2027-01-01";

pub(crate) fn area(code: &str, name: &str) -> v1::RegistryEntry {
    entry(Entry::Area(v1::Area {
        code: code.into(),
        name: name.into(),
        valid_from: FIRST_DAY.into(),
        ..Default::default()
    }))
}

pub(crate) fn entry(entry: Entry) -> v1::RegistryEntry {
    v1::RegistryEntry { entry: Some(entry), ..Default::default() }
}

pub(crate) fn institution(id: &str, kind: v1::InstitutionKind, area_code: &str) -> v1::Institution {
    v1::Institution {
        institution_id: id.into(),
        name: "SMP Contoh 01".into(),
        kind: kind.into(),
        area_code: area_code.into(),
        valid_from: FIRST_DAY.into(),
        valid_until: String::new(),
    }
}

pub(crate) fn school(id: &str, area_code: &str) -> v1::RegistryEntry {
    entry(Entry::Institution(institution(id, v1::InstitutionKind::Sekolah, area_code)))
}

pub(crate) fn task_force(id: &str, home: Home, formed_on: &str, dissolved_on: &str) -> v1::RegistryEntry {
    entry(Entry::TaskForce(v1::TaskForce {
        task_force_id: id.into(),
        home: Some(home),
        kind: "Satgas".into(),
        legal_basis: String::new(),
        formed_on: formed_on.into(),
        dissolved_on: dissolved_on.into(),
    }))
}

pub(crate) fn of_area(code: &str) -> Home {
    Home::AreaCode(code.into())
}

/// A member, with the first and last day of each training.
pub(crate) fn member(id: &str, joined_on: &str, left_on: &str, trainings: &[(&str, &str)]) -> v1::RegistryEntry {
    let training = |(from, until): &(&str, &str)| v1::Training {
        topic: "Pendampingan".into(),
        valid_from: (*from).into(),
        valid_until: (*until).into(),
    };
    entry(Entry::Member(v1::Member {
        member_id: id.into(),
        task_force_id: "tf-1".into(),
        joined_on: joined_on.into(),
        left_on: left_on.into(),
        trainings: trainings.iter().map(training).collect(),
    }))
}

/// A kota of two kecamatan and three kelurahan, two schools, an office; a task force each in `SATU`, `DUA` and `SCHOOL`.
pub(crate) fn town() -> Vec<Body> {
    let entries = [
        area("53.71", "Kota"),
        area("53.71.03", "Kecamatan Tiga"),
        area("53.71.04", "Kecamatan Empat"),
        area(SATU, "Satu"),
        area(DUA, "Dua"),
        area(TIGA, "Tiga"),
        school(SCHOOL, SATU),
        school(OTHER_SCHOOL, SATU),
        entry(Entry::Institution(institution(OFFICE, v1::InstitutionKind::Kantor, DUA))),
        task_force("tf-1", of_area(SATU), FIRST_DAY, ""),
        task_force("tf-2", of_area(DUA), FIRST_DAY, ""),
        task_force("tf-s", Home::InstitutionId(SCHOOL.into()), FIRST_DAY, ""),
    ];
    entries.map(Body::Registered).to_vec()
}

/// The n-th id.
pub(crate) fn id(n: u32) -> String {
    format!("01970f3e-8b1c-7000-8000-{n:012x}")
}

/// A submission of `SATU`; see [`by`] for others.
pub(crate) fn submission(n: u32, occurred: &str, content: Content) -> v1::Submission {
    v1::Submission {
        submission_id: id(n),
        device_id: "hp-01".into(),
        device_sequence: u64::from(n),
        occurred_at: Some(at(occurred).to_proto()),
        reporter: Some(Reporter::AreaCode(SATU.into())),
        content: Some(content),
    }
}

/// The same submission by another area, or by an institution.
pub(crate) fn by(reporter: &str, mut s: v1::Submission) -> v1::Submission {
    let is_area = reporter.contains('.');
    s.reporter =
        Some(if is_area { Reporter::AreaCode(reporter.into()) } else { Reporter::InstitutionId(reporter.into()) });
    s
}

pub(crate) fn report(task_force_id: &str, month: &str) -> v1::MonitoringReport {
    let activity = v1::Activity { kind: v1::ActivityKind::Rapat.into(), count: 2, participants: 14 };
    v1::MonitoringReport {
        task_force_id: task_force_id.into(),
        month: month.into(),
        activities: vec![activity],
        members_present: 7,
        ..v1::MonitoringReport::default()
    }
}

/// A visit to `SCHOOL` at which follow-ups numbered from 1 were agreed, due on these days.
pub(crate) fn visit(due_on: &[&str]) -> v1::SchoolVisit {
    let follow_up = |(number, due_on): (u32, &&str)| follow_up(number, due_on);
    v1::SchoolVisit {
        school_id: SCHOOL.into(),
        purpose: v1::VisitPurpose::Sosialisasi.into(),
        topics: vec![v1::Topic::Ksbe.into()],
        reach: Some(v1::Reach { pupils_female: 12, pupils_male: 8, teachers_female: 3, ..v1::Reach::default() }),
        follow_ups: (1..).zip(due_on).map(follow_up).collect(),
        ..v1::SchoolVisit::default()
    }
}

pub(crate) fn follow_up(number: u32, due_on: &str) -> v1::FollowUp {
    v1::FollowUp { number, action: "Bicara dengan guru piket".into(), due_on: due_on.into() }
}

pub(crate) fn done(visit: u32, number: u32, done_on: &str) -> v1::FollowUpDone {
    v1::FollowUpDone { visit_id: id(visit), number, done_on: done_on.into() }
}

/// A signal of the group with this fingerprint at these schools.
pub(crate) fn signal(fingerprint: char, schools: &[&str]) -> v1::ExposureSignal {
    v1::ExposureSignal {
        platform: v1::Platform::Whatsapp.into(),
        group_fingerprint: fingerprint.to_string().repeat(64),
        school_ids: schools.iter().map(|s| (*s).to_owned()).collect(),
        estimated_members: 300,
        contents: vec![v1::ContentKind::Video.into()],
        evidence: Vec::new(),
    }
}

/// Sexual violence against an adult.
pub(crate) fn case_report() -> v1::CaseReport {
    v1::CaseReport {
        violence: vec![v1::Violence::Seksual.into()],
        place: v1::Place::Daring.into(),
        victim_age: v1::AgeGroup::AgeGroup2544.into(),
        victim_sex: v1::Sex::Perempuan.into(),
        offender: v1::Offender::TidakDiketahui.into(),
        ..v1::CaseReport::default()
    }
}

/// The same against a child.
pub(crate) fn child_case_report() -> v1::CaseReport {
    v1::CaseReport { victim_age: v1::AgeGroup::AgeGroup1317.into(), ..case_report() }
}

pub(crate) fn amendment(corrects: u32, replacement: Replacement) -> v1::Amendment {
    v1::Amendment {
        corrects_id: id(corrects),
        reason: "Salah ketik".into(),
        occurred_at: None,
        replacement: Some(replacement),
    }
}

pub(crate) fn amends(corrects: u32, replacement: Replacement) -> Content {
    Content::Amendment(amendment(corrects, replacement))
}

pub(crate) fn retracts(target: u32) -> Content {
    Content::Retraction(v1::Retraction { retracts_id: id(target), reason: "Tercatat dua kali".into() })
}

/// A step of the case reported as the n-th submission.
pub(crate) fn command(n: u32, case: u32, version: u64, occurred: &str, step: Step) -> v1::CaseCommand {
    command_at(n, case, version, at(occurred), step)
}

pub(crate) fn command_at(n: u32, case: u32, version: u64, occurred: Instant, step: Step) -> v1::CaseCommand {
    v1::CaseCommand {
        command_id: id(n),
        case_id: id(case),
        expected_version: version,
        occurred_at: Some(occurred.to_proto()),
        step: Some(step),
    }
}

pub(crate) fn assess(risk: v1::Risk) -> Step {
    Step::Assess(v1::AssessCase { risk: risk.into() })
}

pub(crate) fn serve(service: v1::Service) -> Step {
    Step::RecordService(v1::RecordService { service: service.into() })
}

pub(crate) fn plan(number: u32, due_on: &str) -> Step {
    Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up(number, due_on)) })
}

pub(crate) fn complete(number: u32) -> Step {
    Step::CompleteFollowUp(v1::CompleteFollowUp { number })
}

pub(crate) fn offer(to: &str) -> Step {
    Step::OfferReferral(v1::OfferReferral { to_institution_id: to.into(), reason: "Di luar wilayah".into() })
}

pub(crate) fn close() -> Step {
    Step::Close(v1::CloseCase { outcome: v1::CaseOutcome::TujuanTercapai.into() })
}

pub(crate) fn reopen() -> Step {
    Step::Reopen(v1::ReopenCase { reason: "Laporan baru".into() })
}

pub(crate) fn merge_into(case: u32) -> Step {
    Step::Merge(v1::MergeCase { into_case_id: id(case) })
}
