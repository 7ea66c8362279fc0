//! The fold that every query reads.
//!
//! [`Views::apply`] takes events in log order; all else only looks. `docs/evaluation.md` says how every figure is counted.
//!
//! Invariants: the same events give the same answers. The effects of a record are booked under its current version and nowhere else:
//! whoever changes a record takes its effects out first and books them again after. A check of a checkpoint restored against a
//! rebuild from zero is part of the tests.

mod evaluate;
mod explain;
mod indicators;
mod records;
mod warnings;

use std::collections::BTreeMap;

use satgas_proto::v1::{self, ConflictCause, amendment::Replacement, event::Body, submission};
use serde::{Deserialize, Serialize};

use self::records::{Content, Record, Records};
pub use self::{
    evaluate::{ListQuery, Subject},
    explain::Explained,
};
use crate::{
    Map,
    case::Cases,
    decide::{reported_case, scope_of},
    id::{SubmissionId, is_within},
    registry::{Registry, Scope},
    rules::RuleSets,
    time::{Calendar, Day, Instant, Month},
};

/// Number of this fold's layout and meaning: a checkpoint of another is not read but rebuilt.
pub const VERSION: u32 = 2;

/// One month of a scope.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cell {
    visits: u64,
    pupils: u64,
    signals: u64,
    /// Latest occurred of its records.
    last: Option<Instant>,
    records: Vec<u32>,
}

/// What is booked under an area or institution.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ledger {
    months: BTreeMap<Month, Cell>,
    /// Follow-ups of its visits by due day: record and number.
    due: BTreeMap<Day, Vec<(u32, u32)>>,
    cases: Vec<u32>,
    conflicts: u64,
    /// Of a school: visits by anybody by month.
    visited: BTreeMap<Month, Vec<u32>>,
    /// Of a school: exposure signals that name it.
    signals: Vec<u32>,
}

/// A version that was kept aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// Position of the version that stands; 0 when there is none.
    pub stands: u64,
    cause: i32,
    #[serde(with = "crate::stored")]
    submission: v1::Submission,
    area: u32,
}

/// An amendment or retraction whose target has not arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// What it waits for.
    pub waits_for: SubmissionId,
    #[serde(with = "crate::stored")]
    submission: v1::Submission,
    area: u32,
}

/// What became of a submission in the fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It counts, or did what it says.
    InEffect,
    /// It waits for its target.
    Held,
    /// It was kept aside; the position is that of the version that stands, or 0.
    Conflict(u64),
}

/// Everything that is known, folded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Views {
    time_zone: String,
    #[serde(skip)]
    calendar: Option<Calendar>,
    sample_data: bool,
    position: u64,
    rule_sets: RuleSets,
    registry: Registry,
    records: Records,
    cases: Cases,
    areas: Vec<Ledger>,
    institutions: Vec<Ledger>,
    /// Standing monitoring reports by task force and month.
    reports: Vec<BTreeMap<Month, Vec<u32>>>,
    /// Days on which follow-ups of visits were done and the records that say so, by visit and number.
    done: Map<(SubmissionId, u32), Vec<(Day, u32)>>,
    /// Standing exposure signals by fingerprint.
    groups: BTreeMap<[u8; 32], Vec<u32>>,
    /// Amendments in effect: the record that they correct.
    versions: Map<SubmissionId, u32>,
    /// The current version of each record that was amended, and its position.
    current: Map<u32, (SubmissionId, u64)>,
    conflicts: BTreeMap<u64, Conflict>,
    held: BTreeMap<u64, Held>,
    /// Positions of what waits, by what it waits for.
    waiting: Map<SubmissionId, Vec<u64>>,
    /// Position of the last event that may have changed an area's evaluation, by area.
    changed_at: Vec<u64>,
}

impl Views {
    /// Empty views of a log in a time zone of the IANA database.
    pub fn new(time_zone: &str) -> Result<Self, jiff::Error> {
        Ok(Self {
            calendar: Some(Calendar::new(time_zone)?),
            time_zone: time_zone.to_owned(),
            sample_data: false,
            position: 0,
            rule_sets: RuleSets::default(),
            registry: Registry::default(),
            records: Records::default(),
            cases: Cases::default(),
            areas: Vec::new(),
            institutions: Vec::new(),
            reports: Vec::new(),
            done: Map::default(),
            groups: BTreeMap::new(),
            versions: Map::default(),
            current: Map::default(),
            conflicts: BTreeMap::new(),
            held: BTreeMap::new(),
            waiting: Map::default(),
            changed_at: Vec::new(),
        })
    }

    /// Completes views that were read from a checkpoint.
    pub fn restored(mut self) -> Result<Self, jiff::Error> {
        self.calendar = Some(Calendar::new(&self.time_zone)?);
        self.records.reindex();
        Ok(self)
    }

    /// The log's calendar.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        self.calendar.as_ref().expect("made with the views and after each restore")
    }

    /// Position of the last event folded.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the data are invented.
    #[must_use]
    pub fn is_sample_data(&self) -> bool {
        self.sample_data
    }

    /// The rule sets.
    #[must_use]
    pub fn rule_sets(&self) -> &RuleSets {
        &self.rule_sets
    }

    /// What is registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How many records were accepted.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Open conflicts by position after `after`, within an area prefix.
    pub fn conflicts<'a>(&'a self, prefix: &'a str, after: u64) -> impl Iterator<Item = v1::Conflict> + 'a {
        self.conflicts.range(after.saturating_add(1)..).filter(|(_, c)| self.is_area_within(c.area, prefix)).map(
            |(position, c)| v1::Conflict {
                position: *position,
                stands_position: c.stands,
                cause: c.cause,
                submission: Some(c.submission.clone()),
                can_be_taken: false,
            },
        )
    }

    /// What waits for its target, by position after `after`, within an area prefix.
    pub fn held<'a>(&'a self, prefix: &'a str, after: u64) -> impl Iterator<Item = v1::Held> + 'a {
        self.held.range(after.saturating_add(1)..).filter(|(_, h)| self.is_area_within(h.area, prefix)).map(
            |(position, h)| v1::Held {
                position: *position,
                waits_for_id: h.waits_for.to_string(),
                submission: Some(h.submission.clone()),
            },
        )
    }

    /// What became of the submission at a position.
    #[must_use]
    pub fn fate(&self, position: u64) -> Fate {
        match self.conflicts.get(&position) {
            Some(conflict) => Fate::Conflict(conflict.stands),
            None if self.held.contains_key(&position) => Fate::Held,
            None => Fate::InEffect,
        }
    }

    /// A case as it stands.
    #[must_use]
    pub fn case(&self, id: SubmissionId) -> Option<v1::Case> {
        self.cases.find(id).map(|index| self.case_at(index))
    }

    /// Cases from an index on, in the order in which they were reported: index and message.
    pub fn cases_from<'a>(
        &'a self,
        first: u32,
        prefix: &'a str,
        status: Option<v1::CaseStatus>,
    ) -> impl Iterator<Item = (u32, v1::Case)> + 'a {
        let end = u32::try_from(self.cases.all().len()).unwrap_or(u32::MAX);
        (first..end)
            .filter(move |index| {
                let case = self.cases.get(*index);
                self.is_area_within(case.area, prefix) && status.is_none_or(|status| case.status() == status)
            })
            .map(|index| (index, self.case_at(index)))
    }

    fn case_at(&self, index: u32) -> v1::Case {
        let case = self.cases.get(index);
        let institution = match case.scope {
            Scope::Area(_) => "",
            Scope::Institution(institution) => &self.registry.institution(institution).message.institution_id,
        };
        let rules = self.rule_sets.on(self.calendar().day(case.reported));
        let due = rules.response_due(self.calendar(), case.reported, case.risk());
        case.to_proto(&self.registry.area(case.area).message.code, institution, due)
    }

    fn ledger(&self, scope: Scope) -> &Ledger {
        match scope {
            Scope::Area(area) => &self.areas[area as usize],
            Scope::Institution(institution) => &self.institutions[institution as usize],
        }
    }

    fn is_area_within(&self, area: u32, prefix: &str) -> bool {
        is_within(&self.registry.area(area).message.code, prefix)
    }

    /// Kelurahan within a prefix whose evaluation may have changed after a position: code, and the last position that changed it.
    pub fn changed_after<'a>(&'a self, position: u64, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> + 'a {
        let changed = (0..).zip(&self.changed_at).filter(move |(_, at)| **at > position);
        changed
            .map(|(area, at)| (self.registry.area(area).message.code.as_str(), *at))
            .filter(|(code, _)| is_within(code, prefix))
    }

    /// Folds the next event.
    pub fn apply(&mut self, event: &v1::Event) {
        self.position = event.position;
        let recorded = event.recorded_at.as_ref().and_then(Instant::from_proto).unwrap_or(Instant(0));
        match &event.body {
            Some(Body::LogOpened(opened)) => self.sample_data = opened.sample_data,
            Some(Body::Registered(entry)) => self.registered(entry),
            Some(Body::Submitted(s)) => {
                self.submitted(event, s, recorded);
            }
            Some(Body::Conflicting(c)) => {
                if let Some(s) = &c.submission {
                    self.conflict(event.position, s, c.cause(), c.stands_position);
                }
            }
            Some(Body::CaseAdvanced(step)) => self.advanced(event.position, step),
            Some(Body::RuleSetRecorded(recorded)) => {
                self.rule_sets.record(recorded, event.position);
                // Rules may change every figure.
                self.changed_at.fill(event.position);
            }
            Some(Body::DeadlineMissed(_) | Body::ConflictResolved(_)) | None => {}
        }
    }

    fn registered(&mut self, entry: &v1::RegistryEntry) {
        let before = match &entry.entry {
            // A moved institution leaves the area that it stood in.
            Some(v1::registry_entry::Entry::Institution(i)) => {
                self.registry.find_institution(&i.institution_id).map(|index| self.registry.institution(index).area)
            }
            _ => None,
        };
        let scope = self.registry.apply(entry, self.position);
        let (areas, institutions, task_forces, _) = self.registry.all();
        self.areas.resize_with(areas.len(), Ledger::default);
        self.institutions.resize_with(institutions.len(), Ledger::default);
        self.reports.resize_with(task_forces.len(), BTreeMap::new);
        self.changed_at.resize(self.areas.len(), 0);
        if let Some(area) = before {
            self.touch(area);
        }
        if let Some(scope) = scope {
            self.touch(self.registry.area_of(scope));
        }
    }

    fn advanced(&mut self, position: u64, step: &v1::CaseAdvanced) {
        let Some(command) = &step.command else { return };
        let Some(index) = SubmissionId::parse(&command.case_id).ok().and_then(|id| self.cases.find(id)) else { return };
        self.cases.get_mut(index).apply(command, step.version, position);
        self.touch(self.cases.get(index).area);
    }

    fn submitted(&mut self, event: &v1::Event, s: &v1::Submission, received: Instant) -> Option<()> {
        let id = SubmissionId::parse(&s.submission_id).ok()?;
        let content = match s.content.as_ref()? {
            submission::Content::MonitoringReport(r) => Content::monitoring(&self.registry, r)?,
            submission::Content::SchoolVisit(r) => Content::visit(&self.registry, r)?,
            submission::Content::ExposureSignal(r) => Content::signal(&self.registry, r)?,
            submission::Content::CaseReport(r) => {
                let case = reported_case(&self.registry, event, s, r)?;
                let (scope, area) = (case.scope, case.area);
                let index = self.cases.add(case);
                self.areas[area as usize].cases.push(index);
                if let Scope::Institution(institution) = scope {
                    self.institutions[institution as usize].cases.push(index);
                }
                Content::CaseReport
            }
            submission::Content::Amendment(_) | submission::Content::Retraction(_) => {
                self.settle_all(vec![(event.position, s.clone())]);
                return Some(());
            }
        };
        let occurred = s.occurred_at.as_ref().and_then(Instant::from_proto)?;
        let scope = scope_of(&self.registry, s)?;
        let month = self.calendar().month(occurred);
        let record =
            Record { id, position: event.position, occurred, month, received, scope, retracted: false, content };
        let index = self.records.push(record);
        self.book(index, true);
        if !self.waiting.is_empty() {
            let freed = self.free(id);
            self.settle_all(freed);
        }
        Some(())
    }

    /// Settles corrections and withdrawals, the last of the list first, each with what it sets free before the next.
    fn settle_all(&mut self, mut list: Vec<(u64, v1::Submission)>) {
        list.reverse();
        while let Some((position, s)) = list.pop() {
            if let Some(id) = self.settle(position, s) {
                let freed = self.free(id);
                list.extend(freed.into_iter().rev());
            }
        }
    }

    /// Takes what waits for an id out of those held, in log order.
    fn free(&mut self, id: SubmissionId) -> Vec<(u64, v1::Submission)> {
        let positions = self.waiting.remove(&id).unwrap_or_default();
        positions
            .into_iter()
            .filter_map(|position| self.held.remove(&position).map(|held| (position, held.submission)))
            .collect()
    }

    /// Settles one correction or withdrawal. Returns its id if it is a version now.
    fn settle(&mut self, position: u64, s: v1::Submission) -> Option<SubmissionId> {
        let (target, amendment) = match s.content.as_ref()? {
            submission::Content::Amendment(a) => (&a.corrects_id, Some(a)),
            submission::Content::Retraction(r) => (&r.retracts_id, None),
            _ => return None,
        };
        let target = SubmissionId::parse(target).ok()?;
        let Some(index) = self.records.find(target).or_else(|| self.versions.get(&target).copied()) else {
            let area = self.registry.area_of(scope_of(&self.registry, &s)?);
            self.waiting.entry(target).or_default().push(position);
            self.held.insert(position, Held { waits_for: target, submission: s, area });
            self.touch(area);
            return None;
        };
        let record = self.records.get(index);
        let (current, stands) = self.current.get(&index).copied().unwrap_or((record.id, record.position));
        let same_reporter = scope_of(&self.registry, &s) == Some(record.scope);
        let cause = match amendment {
            Some(_) if target != current => ConflictCause::AlreadyAmended,
            Some(_) if record.retracted => ConflictCause::Retracted,
            Some(a) => {
                let fits = self.replacement(a).is_some_and(|content| content.is_kind_of(&record.content));
                if same_reporter && fits {
                    return self.amend(index, position, &s.submission_id, a);
                }
                ConflictCause::TargetDoesNotFit
            }
            None if !same_reporter => ConflictCause::TargetDoesNotFit,
            None if matches!(record.content, Content::CaseReport) => ConflictCause::CaseReportRetracted,
            None => {
                self.retract(index);
                return None;
            }
        };
        self.conflict(position, &s, cause, stands);
        None
    }

    fn replacement(&self, a: &v1::Amendment) -> Option<Content> {
        match a.replacement.as_ref()? {
            Replacement::MonitoringReport(r) => Content::monitoring(&self.registry, r),
            Replacement::SchoolVisit(r) => Content::visit(&self.registry, r),
            Replacement::ExposureSignal(r) => Content::signal(&self.registry, r),
            Replacement::CaseReport(_) => Some(Content::CaseReport),
        }
    }

    fn amend(&mut self, index: u32, position: u64, id: &str, a: &v1::Amendment) -> Option<SubmissionId> {
        let id = SubmissionId::parse(id).ok()?;
        let content = self.replacement(a)?;
        let occurred = a.occurred_at.as_ref().and_then(Instant::from_proto);
        self.book(index, false);
        let month = occurred.map(|at| self.calendar().month(at));
        let record = self.records.get_mut(index);
        record.content = content;
        record.occurred = occurred.unwrap_or(record.occurred);
        record.month = month.unwrap_or(record.month);
        let (root, reported) = (record.id, record.occurred);
        self.book(index, true);
        self.versions.insert(id, index);
        self.current.insert(index, (id, position));
        if let (Some(Replacement::CaseReport(report)), Some(case)) = (&a.replacement, self.cases.find(root)) {
            let known = self.cases.get_mut(case);
            known.report = report.clone();
            known.reported = reported;
            self.touch(self.cases.get(case).area);
        }
        Some(id)
    }

    fn retract(&mut self, index: u32) {
        if !self.records.get(index).retracted {
            self.book(index, false);
            self.records.get_mut(index).retracted = true;
        }
    }

    fn conflict(&mut self, position: u64, s: &v1::Submission, cause: ConflictCause, stands: u64) {
        let Some(scope) = scope_of(&self.registry, s) else { return };
        let area = self.registry.area_of(scope);
        self.conflicts.insert(position, Conflict { stands, cause: cause.into(), submission: s.clone(), area });
        self.areas[area as usize].conflicts += 1;
        if let Scope::Institution(institution) = scope {
            self.institutions[institution as usize].conflicts += 1;
        }
        self.touch(area);
    }

    /// Books the effects of a record's current version, or takes them out.
    fn book(&mut self, index: u32, add: bool) {
        let record = self.records.get(index);
        let (scope, month, occurred) = (record.scope, record.month, record.occurred);
        let ledger = match scope {
            Scope::Area(area) => &mut self.areas[area as usize],
            Scope::Institution(institution) => &mut self.institutions[institution as usize],
        };
        let mut also_touched = None;
        let cell = ledger.months.entry(month).or_default();
        let step = |count: &mut u64, by: u64| *count = if add { *count + by } else { *count - by };
        match &record.content {
            Content::Monitoring { task_force, month, .. } => {
                enlist(self.reports[*task_force as usize].entry(*month).or_default(), index, add);
            }
            Content::Visit { school, pupils, follow_ups, .. } => {
                step(&mut cell.visits, 1);
                step(&mut cell.pupils, u64::from(*pupils));
                for (number, due) in follow_ups {
                    enlist(ledger.due.entry(*due).or_default(), (index, *number), add);
                }
                also_touched = Some(self.registry.institution(*school).area);
            }
            Content::Signal(signal) => {
                step(&mut cell.signals, 1);
                enlist(self.groups.entry(signal.fingerprint).or_default(), index, add);
            }
            Content::CaseReport => {}
        }
        enlist(&mut cell.records, index, add);
        cell.last = if add {
            cell.last.max(Some(occurred))
        } else {
            cell.records.iter().map(|other| self.records.get(*other).occurred).max()
        };
        match &record.content {
            Content::Visit { school, .. } => {
                enlist(self.institutions[*school as usize].visited.entry(month).or_default(), index, add);
            }
            Content::Signal(signal) => {
                for school in &signal.schools {
                    enlist(&mut self.institutions[*school as usize].signals, index, add);
                }
            }
            Content::Monitoring { .. } | Content::CaseReport => {}
        }
        let done = record.content.done();
        for d in done {
            enlist(self.done.entry((d.visit, d.number)).or_default(), (d.on, index), add);
        }
        let visits: Vec<SubmissionId> = done.iter().map(|d| d.visit).collect();
        for visit in visits {
            if let Some(visit) = self.records.find(visit) {
                self.touch(self.registry.area_of(self.records.get(visit).scope));
            }
        }
        if let Some(area) = also_touched {
            self.touch(area);
        }
        self.touch(self.registry.area_of(scope));
    }

    fn touch(&mut self, area: u32) {
        self.changed_at[area as usize] = self.position;
    }
}

/// Adds an item to a list or takes one equal item out.
fn enlist<T: PartialEq>(list: &mut Vec<T>, item: T, add: bool) {
    if add {
        list.push(item);
    } else if let Some(at) = list.iter().rposition(|known| *known == item) {
        list.remove(at);
    }
}
