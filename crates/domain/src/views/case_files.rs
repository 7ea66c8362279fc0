//! What happened to each case, so that it can be shown as it was known at any position.

use std::borrow::Cow;

use satgas_proto::v1;
use serde::{Deserialize, Serialize};

use super::{Views, known::Known};
use crate::{case::Case, time::Instant};

/// The report of a case as it was reported or corrected.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    since: u64,
    #[serde(with = "crate::stored")]
    report: v1::CaseReport,
    occurred: Instant,
}

/// A step that the case took.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    position: u64,
    recorded: Instant,
    version: u64,
    #[serde(with = "crate::stored")]
    command: v1::CaseCommand,
}

/// Everything that happened to a case, in log order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CaseFile {
    /// When its report was recorded.
    pub(super) known_since: Instant,
    /// Position of the last event.
    pub(super) changed_at: u64,
    /// When its first response is due, while there is none in time.
    awaited: Option<Instant>,
    /// The original and its corrections; nothing while there is no correction.
    reports: Vec<Report>,
    steps: Vec<Step>,
    /// Positions at which an identity was sealed, and the case's version after it.
    seals: Vec<(u64, u64)>,
}

impl CaseFile {
    pub(super) fn new(position: u64, recorded: Instant) -> Self {
        let (reports, steps, seals) = Default::default();
        Self { known_since: recorded, changed_at: position, awaited: None, reports, steps, seals }
    }

    /// Notes a correction of what the case says before it.
    pub(super) fn corrected(&mut self, before: &Case, position: u64, report: &v1::CaseReport, occurred: Instant) {
        if self.reports.is_empty() {
            let original = Report { since: before.position, report: before.report.clone(), occurred: before.reported };
            self.reports.push(original);
        }
        self.changed_at = position;
        self.reports.push(Report { since: position, report: report.clone(), occurred });
    }

    pub(super) fn step(&mut self, position: u64, recorded: Instant, version: u64, command: &v1::CaseCommand) {
        self.changed_at = position;
        self.steps.push(Step { position, recorded, version, command: command.clone() });
    }

    pub(super) fn sealed(&mut self, position: u64, version: u64) {
        self.changed_at = position;
        self.seals.push((position, version));
    }

    /// Position of the last event up to a position.
    pub(super) fn last_up_to(&self, until: u64) -> u64 {
        let steps = self.steps.iter().map(|step| step.position);
        steps.chain(self.reports.iter().map(|report| report.since)).filter(|at| *at <= until).max().unwrap_or_default()
    }

    /// The case as it was known at a position that lies at or after its report.
    fn case_at(&self, now: &Case, until: u64) -> Case {
        let first = self.reports.first();
        let (report, occurred) =
            first.map_or((&now.report, now.reported), |original| (&original.report, original.occurred));
        let mut case = Case::reported(now.id, now.scope, now.area, now.position, report.clone(), occurred);
        for step in self.steps.iter().take_while(|step| step.position <= until) {
            case.apply(&step.command, step.version, step.position, step.recorded);
        }
        let sealed = self.seals.iter().take_while(|(position, _)| *position <= until).last();
        case.version = case.version.max(sealed.map_or(0, |(_, version)| *version));
        if let Some(latest) = self.reports.iter().rev().find(|report| report.since <= until) {
            (case.report, case.reported) = (latest.report.clone(), latest.occurred);
        }
        case
    }
}

impl<'a> Known<'a> {
    /// A case by index; `None` when it had not been reported.
    pub(super) fn case_by_index(&self, index: u32) -> Option<Cow<'a, Case>> {
        let (case, file) = (self.views.cases.get(index), &self.views.case_files[index as usize]);
        if case.position > self.position() {
            None
        } else if file.changed_at <= self.position() {
            Some(Cow::Borrowed(case))
        } else {
            Some(Cow::Owned(file.case_at(case, self.position())))
        }
    }
}

impl Views {
    /// Keeps the cases that have had no response in time in order, after a change of one.
    pub(super) fn await_response(&mut self, index: u32) {
        let case = self.cases.get(index);
        let due = self.response_due(case);
        let unmet = !case.is_merged() && case.first_response.is_none_or(|(at, _)| at > due);
        let due = unmet.then_some(due);
        let before = std::mem::replace(&mut self.case_files[index as usize].awaited, due);
        if before != due {
            before.map(|before| self.awaited.remove(&(before, index)));
            due.map(|due| self.awaited.insert((due, index)));
        }
    }

    /// Sets all due times anew, when rules have changed.
    pub(super) fn await_all_responses(&mut self) {
        for index in 0..u32::try_from(self.cases.all().len()).expect("fewer than 2^32 cases") {
            self.await_response(index);
        }
    }

    /// When the first response to a case is due by the rules of the day on which it was reported.
    pub(super) fn response_due(&self, case: &Case) -> Instant {
        let rules = self.rule_sets.on(self.calendar().day(case.reported), u64::MAX);
        rules.response_due(self.calendar(), case.reported, case.risk())
    }
}
