//! What the clients of a history have made so far, and what they do next.

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, amendment::Replacement, submission::Content, submission::Reporter, task_force::Home};

use super::{
    Action, CLIENTS, DecisionPlan, StepPlan, Wave,
    content::{Agreed, KINDS, Kind},
    edges,
    people::{KELURAHAN, People},
    somewhere, uuid,
};
use crate::reference::time::date_of;

/// A record that some client made, sent or not.
struct Made {
    id: String,
    kind: Kind,
    reporter: Reporter,
    task_force: usize,
    occurred: Timestamp,
}

/// The state of a history while it is made.
pub(crate) struct World {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) zone: TimeZone,
    pub(crate) people: People,
    pub(crate) agreed: Vec<Agreed>,
    records: Vec<Made>,
    /// Ids of records and amendments, each with the index of its record.
    versions: Vec<(String, usize)>,
    /// Everything that was made, for repeats and conflicts.
    made: Vec<v1::Submission>,
    /// What is sent in a later wave: its index, the client and the submission.
    later: Vec<(usize, usize, v1::Submission)>,
    sequences: [u64; CLIENTS],
}

impl World {
    /// A world in which nothing happened yet.
    pub(crate) fn new(mut rng: ChaCha8Rng, zone: TimeZone, first: Date, last: Date) -> Self {
        let people = People::new(&mut rng, first, last);
        Self {
            rng,
            zone,
            people,
            agreed: Vec::new(),
            records: Vec::new(),
            versions: Vec::new(),
            made: Vec::new(),
            later: Vec::new(),
            sequences: [0; CLIENTS],
        }
    }

    /// Every entry of the registry.
    pub(crate) fn register_all(&mut self) -> Vec<v1::RegistryEntry> {
        self.people.entries()
    }

    /// What all clients do at `at`.
    pub(crate) fn wave(&mut self, index: usize, at: Timestamp) -> Wave {
        let mut clients = vec![Vec::new(); CLIENTS];
        for (client, actions) in clients.iter_mut().enumerate() {
            for _ in 0..self.rng.random_range(1..8) {
                actions.extend(self.action(index, client, at));
            }
        }
        let (due, later) = self.later.drain(..).partition(|(wave, _, _)| *wave <= index);
        self.later = later;
        let due: Vec<(usize, usize, v1::Submission)> = due;
        for (client, actions) in clients.iter_mut().enumerate() {
            let batch: Vec<v1::Submission> = due
                .iter()
                .filter(|(_, owner, _)| *owner == client)
                .map(|(_, _, submission)| submission.clone())
                .collect();
            if !batch.is_empty() {
                actions.push(Action::SubmitBatch(batch));
            }
        }
        Wave { at, clients }
    }

    fn action(&mut self, wave: usize, client: usize, at: Timestamp) -> Option<Action> {
        match self.rng.random_range(0..100) {
            0..41 => self.record(wave, client, at),
            41..55 => self.amendment(wave, client, at),
            55..60 => self.retraction(client, at),
            60..83 => self.step(at),
            83..86 => self.repeat(),
            86..90 => self.other_content(),
            90..92 => self.invalid(client, at),
            92..96 => Some(Action::Decide(self.decision(at))),
            _ => Some(Action::Register(self.people.change(&mut self.rng))),
        }
    }

    fn record(&mut self, wave: usize, client: usize, at: Timestamp) -> Option<Action> {
        let total: u32 = KINDS.iter().map(|(_, weight)| weight).sum();
        let mut dice = self.rng.random_range(0..total);
        let mut kind = Kind::Report;
        for (next, weight) in KINDS {
            kind = next;
            if dice < weight {
                break;
            }
            dice -= weight;
        }
        let id = uuid(&mut self.rng, at);
        let occurred = self.moment(at);
        let task_force = self.some_task_force(occurred);
        let reporter = self.home(task_force);
        let content = self.content(kind, &id, task_force, occurred, at);
        self.versions.push((id.clone(), self.records.len()));
        self.records.push(Made { id: id.clone(), kind, reporter: reporter.clone(), task_force, occurred });
        let submission = self.submission(client, id, occurred, reporter, as_content(content));
        self.send(wave, client, submission)
    }

    /// A correction of some record: mostly of its latest version, sometimes of an older one, by a stranger, of another kind.
    fn amendment(&mut self, wave: usize, client: usize, at: Timestamp) -> Option<Action> {
        let recent = self.versions.len().saturating_sub(12);
        let recent = self.rng.random_range(recent..self.versions.len().max(recent + 1));
        let any = self.rng.random_range(0..self.versions.len().max(1));
        let (target, record) = self.versions.get(if self.rng.random_bool(0.7) { recent } else { any })?.clone();
        let made = &self.records[record];
        let (mut kind, original, task_force) = (made.kind, made.id.clone(), made.task_force);
        let mut reporter = made.reporter.clone();
        if self.rng.random_bool(0.08) {
            kind = KINDS[self.rng.random_range(0..KINDS.len())].0;
        }
        if self.rng.random_bool(0.06) {
            reporter = self.home(0);
        }
        let happened = self.moment(at);
        let replacement = self.content(kind, &original, task_force, happened, at);
        let id = uuid(&mut self.rng, at);
        self.versions.push((id.clone(), record));
        let content = Content::Amendment(v1::Amendment {
            corrects_id: target,
            reason: "Perbaikan contoh".to_owned(),
            occurred_at: self.rng.random_bool(0.4).then(|| crate::reference::time::message(happened)),
            replacement: Some(replacement),
        });
        let submission = self.submission(client, id, at, reporter, content);
        self.send(wave, client, submission)
    }

    fn retraction(&mut self, client: usize, at: Timestamp) -> Option<Action> {
        let (target, record) = self.versions.choose(&mut self.rng)?.clone();
        let mut reporter = self.records[record].reporter.clone();
        if self.rng.random_bool(0.15) {
            reporter = self.home(1);
        }
        let id = uuid(&mut self.rng, at);
        let content =
            Content::Retraction(v1::Retraction { retracts_id: target, reason: "Penarikan contoh".to_owned() });
        Some(Action::Submit(self.submission(client, id, at, reporter, content)))
    }

    fn step(&mut self, at: Timestamp) -> Option<Action> {
        let cases: Vec<(String, Timestamp)> = self
            .records
            .iter()
            .filter(|made| made.kind == Kind::Case)
            .map(|made| (made.id.clone(), made.occurred))
            .collect();
        let (case_id, reported_at) = cases.choose(&mut self.rng)?.clone();
        let (other_case_id, _) = cases.choose(&mut self.rng)?.clone();
        // Half of the steps come soon after the report, where the targets of the response lie.
        let soon = reported_at + SignedDuration::from_hours(self.rng.random_range(0..9));
        let occurred_at = if self.rng.random_bool(0.5) { soon.min(at) } else { self.moment(at).max(reported_at) };
        Some(Action::Step(StepPlan {
            command_id: uuid(&mut self.rng, at),
            case_id,
            other_case_id,
            occurred_at,
            sent_at: at,
            wild: self.rng.random_bool(0.15),
            stale: self.rng.random_bool(0.05),
            repeated: self.rng.random_bool(0.08),
            dice: self.rng.random(),
        }))
    }

    fn decision(&mut self, at: Timestamp) -> DecisionPlan {
        DecisionPlan {
            command_id: uuid(&mut self.rng, at),
            wild: self.rng.random_bool(0.2),
            repeated: self.rng.random_bool(0.2),
            dice: self.rng.random(),
        }
    }

    /// The same submission once more, perhaps by another client while the first is under way.
    fn repeat(&mut self) -> Option<Action> {
        Some(Action::Submit(self.made.choose(&mut self.rng)?.clone()))
    }

    /// A known id with other content.
    fn other_content(&mut self) -> Option<Action> {
        let mut submission = self.made.choose(&mut self.rng)?.clone();
        match submission.content.as_mut().expect("a history makes only submissions with content") {
            Content::MonitoringReport(report) => report.members_present += 1,
            Content::SchoolVisit(visit) => visit.notes.push_str("Lain"),
            Content::ExposureSignal(signal) => signal.estimated_members += 1,
            Content::CaseReport(report) => report.extortion = !report.extortion,
            Content::Amendment(amendment) => amendment.reason.push_str(" lain"),
            Content::Retraction(retraction) => retraction.reason.push_str(" lain"),
        }
        Some(Action::Submit(submission))
    }

    /// A submission that the server must refuse.
    fn invalid(&mut self, client: usize, at: Timestamp) -> Option<Action> {
        let id = uuid(&mut self.rng, at);
        let reporter = Reporter::AreaCode(KELURAHAN[0].to_owned());
        let content = Content::SchoolVisit(v1::SchoolVisit::default());
        let mut submission = self.submission(client, id, at, reporter, content);
        if self.rng.random_bool(0.5) {
            submission.submission_id = "bukan-uuid".to_owned();
        }
        Some(Action::Submit(submission))
    }

    fn submission(
        &mut self,
        client: usize,
        submission_id: String,
        occurred: Timestamp,
        reporter: Reporter,
        content: Content,
    ) -> v1::Submission {
        self.sequences[client] += 1;
        v1::Submission {
            submission_id,
            device_id: format!("gawai-{client}"),
            device_sequence: self.sequences[client],
            occurred_at: Some(crate::reference::time::message(occurred)),
            reporter: Some(reporter),
            content: Some(content),
        }
    }

    /// Sends now, in a later wave, or never: a phone may be lost.
    fn send(&mut self, wave: usize, client: usize, submission: v1::Submission) -> Option<Action> {
        self.made.push(submission.clone());
        match self.rng.random_range(0..100) {
            0..4 => None,
            4..25 => {
                let wave = wave + self.rng.random_range(0..5);
                self.later.push((wave, client, submission));
                None
            }
            _ if matches!(submission.content, Some(Content::CaseReport(_))) => Some(Action::OpenCase(submission)),
            _ => Some(Action::Submit(submission)),
        }
    }

    /// Index of a task force; few of those drawn did not exist then, and the server refuses their reports.
    fn some_task_force(&mut self, occurred: Timestamp) -> usize {
        let day = date_of(occurred, &self.zone).to_string();
        let mut drawn = 0;
        for _ in 0..6 {
            drawn = self.rng.random_range(0..self.people.task_forces.len());
            if self.people.existed(drawn, &day) {
                break;
            }
        }
        drawn
    }

    fn home(&self, task_force: usize) -> Reporter {
        match self.people.task_forces[task_force].home.clone().expect("a history's task forces have homes") {
            Home::AreaCode(code) => Reporter::AreaCode(code),
            Home::InstitutionId(id) => Reporter::InstitutionId(id),
        }
    }

    /// A time up to `at` at which something may have happened: now, lately, or at one of the edges of the last weeks.
    pub(crate) fn moment(&mut self, at: Timestamp) -> Timestamp {
        let day = date_of(at, &self.zone);
        let early = day.checked_sub(70.days()).expect("far from the ends of time");
        let mut edges = edges(early, day, &self.zone);
        edges.retain(|&edge| edge <= at);
        match self.rng.random_range(0..10) {
            0..2 => at,
            2..6 => *edges.choose(&mut self.rng).unwrap_or(&at),
            _ => somewhere(&mut self.rng, at - SignedDuration::from_hours(24 * 30), at),
        }
    }
}

fn as_content(replacement: Replacement) -> Content {
    match replacement {
        Replacement::MonitoringReport(report) => Content::MonitoringReport(report),
        Replacement::SchoolVisit(visit) => Content::SchoolVisit(visit),
        Replacement::ExposureSignal(signal) => Content::ExposureSignal(signal),
        Replacement::CaseReport(report) => Content::CaseReport(report),
    }
}
