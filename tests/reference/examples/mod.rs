//! Examples counted by hand: given these events, at this time, the page says this. They hold the reference itself to the page.

mod comparing;
mod counting;
mod deadlines;
mod decisions;
mod edges;
mod evidence;
mod states;
mod tables;
mod trends;

use jiff::Timestamp;
use satgas_proto::v1::{
    self, ConflictCause, ConflictDecision, case_command::Step, registry_entry::Entry, submission::Content,
    submission::Reporter,
};

use super::{Ledger, Subject, time::message};

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
            log.registered(Entry::Area(v1::Area {
                code: code.into(),
                name: name.into(),
                valid_from: "2027-01-01".into(),
                ..Default::default()
            }));
        }
        log.registered(Entry::Institution(school(AREA)));
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

    fn registered(&mut self, entry: Entry) {
        self.entered("2027-01-01T00:00:00", "", entry);
    }

    /// An entry of the registry that holds from a day on, or from the same day as the latest state when that is empty.
    fn entered(&mut self, recorded: &str, effective_on: &str, entry: Entry) {
        let entry = v1::RegistryEntry { entry: Some(entry), effective_on: effective_on.into() };
        self.push(recorded, v1::event::Body::Registered(entry));
    }

    fn task_force(&mut self, id: &str, home: v1::task_force::Home, formed_on: &str, dissolved_on: &str) {
        self.registered(Entry::TaskForce(v1::TaskForce {
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

    /// A submission of a kelurahan or, by its id, of an institution.
    fn submitted_by(&mut self, area: &str, id: &str, occurred: &str, recorded: &str, content: Content) -> u64 {
        self.push(recorded, v1::event::Body::Submitted(Box::new(submission(area, id, occurred, content))))
    }

    /// Other content under an id that is known; returns the position of the conflict.
    fn conflicting(&mut self, reporter: &str, id: &str, at: &str, content: Content) -> u64 {
        let conflicting = v1::ConflictingSubmission {
            submission: Some(submission(reporter, id, at, content)),
            cause: ConflictCause::SameIdOtherContent.into(),
            stands_position: 0,
        };
        self.push(at, v1::event::Body::Conflicting(Box::new(conflicting)))
    }

    /// A decision on the conflict at a position; returns its own.
    fn decided(&mut self, at: &str, conflict_position: u64, decision: ConflictDecision) -> u64 {
        let resolution = v1::ConflictResolution {
            command_id: String::new(),
            conflict_position,
            decision: decision.into(),
            reason: "Contoh".into(),
        };
        self.push(at, v1::event::Body::ConflictResolved(resolution))
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

    fn ledger(&self) -> Ledger {
        Ledger::of(&self.0)
    }

    /// Position and cause of each open conflict.
    fn conflicts(&self) -> Vec<(u64, ConflictCause)> {
        self.ledger().open_conflicts().iter().map(|conflict| (conflict.position, conflict.cause)).collect()
    }

    fn evaluation(&self, code: &str, period: &str, now: &str) -> v1::Evaluation {
        self.ledger().evaluate(&Subject::Area(code.into()), period, local(now))
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

/// The school, where it stands.
fn school(area_code: &str) -> v1::Institution {
    v1::Institution {
        institution_id: SCHOOL.into(),
        name: "SMP Contoh 01".into(),
        kind: v1::InstitutionKind::Sekolah.into(),
        area_code: area_code.into(),
        valid_from: "2027-01-01".into(),
        valid_until: String::new(),
    }
}

/// A submission of a kelurahan, or of an institution when its id is given.
fn submission(by: &str, id: &str, occurred: &str, content: Content) -> v1::Submission {
    let reporter = if by.contains('.') { Reporter::AreaCode(by.into()) } else { Reporter::InstitutionId(by.into()) };
    v1::Submission {
        submission_id: id.into(),
        occurred_at: Some(message(local(occurred))),
        reporter: Some(reporter),
        content: Some(content),
        ..v1::Submission::default()
    }
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
