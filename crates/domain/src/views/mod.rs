//! The fold that every query reads.
//!
//! [`Views::apply`] takes events in log order; all else only looks, and looks at what was known at a position: see [`Known`]. Nothing that
//! the log said is taken out of the views again, it is only marked as ended, so that a question about the past is answered from the same
//! state as one about now. `docs/evaluation.md` says how every figure is counted.
//!
//! Invariants: the same events give the same answers, whether they are asked now or later as of then. A check of a checkpoint restored
//! against a rebuild from zero, and of the past against the views of a log cut off there, is part of the tests.

mod blocks;
mod booking;
mod case_files;
mod corrections;
mod deadlines;
mod evaluate;
mod explain;
mod indicators;
mod known;
mod lists;
mod parts;
mod records;
mod released;
mod statistics;
mod trend;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};

use satgas_proto::v1::{self, event::Body, submission};
use serde::{Deserialize, Serialize};

use self::{
    booking::Ledger,
    case_files::CaseFile,
    corrections::{Conflict, Held},
    deadlines::Deadline,
    lists::{Links, List, Months},
    records::{Content, Records, Version},
};
pub use self::{
    corrections::Fate,
    deadlines::Missed,
    evaluate::{Body as EvaluatedBody, ListQuery, Subject, sort},
    explain::Explained,
    known::{Known, Moment},
    parts::{Part, WholePart},
    statistics::CrossTable,
    trend::{Placed, Ranks, subject_code},
    warnings::in_order,
};
pub(crate) use self::{
    explain::is_change,
    trend::{indicator_trends, score_change},
};
use crate::{
    Map,
    case::Cases,
    decide::{reported_case, scope_of},
    event,
    id::{SubmissionId, is_within},
    parts::Sizes,
    public::{Report, Reports},
    quarantine::Quarantine,
    registry::{Registry, Scope},
    release::Releases,
    rules::RuleSets,
    sealed::Sealings,
    time::{Calendar, Day, Instant},
};

/// Number of this fold's layout and meaning: a checkpoint of another is not read but rebuilt. The engine's test `layout` knows which layout has
/// which number.
pub const VERSION: u32 = 12;

/// Everything that is known and was known, folded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Views {
    time_zone: String,
    #[serde(skip)]
    calendar: Option<Calendar>,
    sample_data: bool,
    position: u64,
    /// When the event at that position was recorded.
    recorded: Instant,
    rule_sets: RuleSets,
    registry: Registry,
    records: Records,
    cases: Cases,
    /// What happened to each case, by its index.
    case_files: Vec<CaseFile>,
    areas: Vec<Ledger>,
    institutions: Vec<Ledger>,
    /// Of every list of records.
    links: Links,
    /// Monitoring reports by task force and month.
    reports: Vec<Months<List>>,
    /// Records that say that a follow-up of a visit was done, by the visit's record and number.
    done: Map<(u32, u32), List>,
    /// The same of visits that have not come yet: number and record.
    done_early: Map<SubmissionId, Vec<(u32, u32)>>,
    /// Exposure signals by fingerprint.
    groups: BTreeMap<[u8; 32], List>,
    /// Amendments in effect: the record that they correct.
    versions: Map<SubmissionId, u32>,
    conflicts: BTreeMap<u64, Conflict>,
    held: BTreeMap<u64, Held>,
    /// Positions of what waits, by what it waits for.
    waiting: Map<SubmissionId, Vec<u64>>,
    /// Deadlines that were recorded as missed, and where.
    missed: Map<Deadline, u64>,
    last_missed: Option<Instant>,
    /// Cases without a first response in time, by when it is due.
    awaited: BTreeSet<(Instant, u32)>,
    /// Position of the last event that may have changed an area's evaluation, by area.
    changed_at: Vec<u64>,
    /// What is sealed of the cases.
    sealings: Sealings,
    quarantine: Quarantine,
    public: Reports,
    releases: Releases,
}

impl Views {
    /// Empty views of a log in a time zone of the IANA database.
    pub fn new(time_zone: &str) -> Result<Self, jiff::Error> {
        Self::in_parts_of(Sizes::default(), time_zone)
    }

    /// The same, to be written in parts of some sizes.
    pub fn in_parts_of(sizes: Sizes, time_zone: &str) -> Result<Self, jiff::Error> {
        Ok(Self {
            calendar: Some(Calendar::new(time_zone)?),
            time_zone: time_zone.to_owned(),
            sample_data: false,
            position: 0,
            recorded: Instant(0),
            rule_sets: RuleSets::default(),
            registry: Registry::default(),
            records: Records::in_blocks_of(sizes.records),
            cases: Cases::default(),
            case_files: Vec::new(),
            areas: Vec::new(),
            institutions: Vec::new(),
            links: Links::in_blocks_of(sizes.links),
            reports: Vec::new(),
            done: Map::default(),
            done_early: Map::default(),
            groups: BTreeMap::new(),
            versions: Map::default(),
            conflicts: BTreeMap::new(),
            held: BTreeMap::new(),
            waiting: Map::default(),
            missed: Map::default(),
            last_missed: None,
            awaited: BTreeSet::new(),
            changed_at: Vec::new(),
            sealings: Sealings::default(),
            quarantine: Quarantine::default(),
            public: Reports::default(),
            releases: Releases::default(),
        })
    }

    /// Completes views that were read from a checkpoint.
    pub fn restored(mut self) -> Result<Self, jiff::Error> {
        self.calendar = Some(Calendar::new(&self.time_zone)?);
        self.records.restored();
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

    /// When the last event folded was recorded.
    #[must_use]
    pub fn recorded(&self) -> Instant {
        self.recorded
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

    /// What was known at a moment that has come.
    #[must_use]
    pub fn at(&self, moment: Moment) -> Known<'_> {
        Known::new(self, moment)
    }

    /// Kelurahan within a prefix whose evaluation may have changed after a position: code, and the last position that changed it.
    pub fn changed_after<'a>(&'a self, position: u64, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> + 'a {
        let changed = (0..).zip(&self.changed_at).filter(move |(_, at)| **at > position);
        changed
            .map(|(area, at)| (self.registry.area(area).code.as_str(), *at))
            .filter(|(code, _)| is_within(code, prefix))
    }

    /// Folds the next event.
    pub fn apply(&mut self, event: &v1::Event) {
        self.position = event.position;
        self.recorded = event::recorded(event);
        match &event.body {
            Some(Body::LogOpened(opened)) => self.sample_data = opened.sample_data,
            Some(Body::Registered(entry)) => self.registered(entry),
            Some(Body::Submitted(s)) => {
                self.submitted(event, s);
            }
            Some(Body::Conflicting(c)) => {
                if let Some(s) = &c.submission {
                    self.conflict(event.position, s, c.cause(), c.stands_position);
                }
            }
            Some(Body::CaseAdvanced(step)) => self.advanced(step),
            Some(Body::RuleSetRecorded(recorded)) => {
                self.rule_sets.record(recorded, event.position);
                self.await_all_responses();
                // Rules may change every figure.
                self.changed_at.fill(event.position);
            }
            Some(Body::ReleasePublished(release)) => {
                self.releases.record(release.clone(), event.position, self.recorded);
            }
            Some(Body::DeadlineMissed(missed)) => self.deadline_missed(event, missed),
            Some(Body::ConflictResolved(resolution)) => self.resolved(resolution),
            // No figure depends on a report that is no case.
            Some(body @ Body::PublicReportReceived(_)) => {
                self.sealing_changed(body);
                self.public.apply(event);
            }
            Some(Body::PublicReportTriaged(_) | Body::PublicReportMessage(_) | Body::IdentityRead(_)) => {
                self.public.apply(event);
            }
            None => {}
            Some(
                body @ (Body::IdentitySealed(_)
                | Body::HoldPlaced(_)
                | Body::HoldLifted(_)
                | Body::ErasureRequested(_)
                | Body::ErasureApproved(_)
                | Body::ErasureDeclined(_)
                | Body::CaseAssigned(_)
                | Body::CaseUnassigned(_)
                | Body::IdentityErased(_)),
            ) => self.sealing_changed(body),
            Some(Body::Quarantined(_) | Body::QuarantineDecided(_)) => {
                self.quarantine.apply(event);
            }
        }
    }

    fn registered(&mut self, entry: &v1::RegistryEntry) {
        use v1::{registry_entry::Entry, task_force::Home};
        self.registry.apply(entry, self.position, self.recorded);
        let (areas, institutions, task_forces, _) = self.registry.all();
        self.areas.resize_with(areas.len(), Ledger::default);
        self.institutions.resize_with(institutions.len(), Ledger::default);
        self.reports.resize_with(task_forces.len(), Months::default);
        self.changed_at.resize(self.areas.len(), 0);
        let of_institution = |id: &str| self.registry.find_institution(id).map(Scope::Institution);
        let scope = match &entry.entry {
            Some(Entry::Area(a)) => self.registry.find_area(&a.code).map(Scope::Area),
            Some(Entry::Institution(i)) => of_institution(&i.institution_id),
            Some(Entry::TaskForce(t)) => match &t.home {
                Some(Home::AreaCode(code)) => self.registry.find_area(code).map(Scope::Area),
                Some(Home::InstitutionId(id)) => of_institution(id),
                None => None,
            },
            Some(Entry::Member(m)) => {
                let task_force = self.registry.find_task_force(&m.task_force_id);
                task_force.map(|index| self.registry.task_force(index).home)
            }
            None => None,
        };
        match scope {
            Some(Scope::Area(area)) => self.touch(area),
            // A moved institution leaves the area that it stood in.
            Some(Scope::Institution(institution)) => {
                let stood = self.registry.institution(institution).history.all().map(|stated| stated.state.area);
                for area in stood.collect::<Vec<_>>() {
                    self.touch(area);
                }
            }
            None => {}
        }
    }

    fn advanced(&mut self, step: &v1::CaseAdvanced) {
        let Some(command) = &step.command else { return };
        let Some(index) = SubmissionId::parse(&command.case_id).ok().and_then(|id| self.cases.find(id)) else { return };
        self.cases.get_mut(index).apply(command, step.version, self.position, self.recorded);
        self.case_files[index as usize].step(self.position, self.recorded, step.version, command);
        self.await_response(index);
        self.touch(self.cases.get(index).area);
    }

    /// Counts do not change: no area is touched.
    fn sealing_changed(&mut self, body: &Body) {
        self.sealings.apply(body, self.position, self.recorded);
        if let Body::IdentitySealed(sealed) = body
            && let Some(index) = SubmissionId::parse(&sealed.case_id).ok().and_then(|id| self.cases.find(id))
        {
            self.cases.get_mut(index).version = sealed.version;
            self.case_files[index as usize].sealed(self.position, sealed.version);
        }
    }

    /// What is sealed of the cases.
    #[must_use]
    pub fn sealings(&self) -> &Sealings {
        &self.sealings
    }

    /// The reports of the public.
    #[must_use]
    pub fn public_reports(&self) -> &Reports {
        &self.public
    }

    /// What is shown of a report at its latest.
    #[must_use]
    pub fn report_shown(&self, report: &Report, now: Instant) -> v1::PublicReport {
        report.to_proto(&self.cases, &self.sealings, now)
    }

    /// How a report stands, as its reporter is told.
    #[must_use]
    pub fn report_status(&self, report: &Report) -> v1::PublicReportStatus {
        report.status(&self.cases, &self.sealings)
    }

    fn submitted(&mut self, event: &v1::Event, s: &v1::Submission) -> Option<()> {
        let id = SubmissionId::parse(&s.submission_id).ok()?;
        let submitted = s.content.as_ref()?;
        if let submission::Content::Amendment(_) | submission::Content::Retraction(_) = submitted {
            self.settle_all(vec![(event.position, s.clone())]);
            return Some(());
        }
        let content = Content::submitted(&self.registry, submitted)?;
        let occurred = s.occurred_at.as_ref().and_then(Instant::from_proto)?;
        let scope = scope_of(&self.registry, s)?;
        if let submission::Content::CaseReport(report) = submitted {
            let case = reported_case(&self.registry, self.calendar(), event, s, report)?;
            let area = case.area;
            let index = self.cases.add(case);
            self.case_files.push(CaseFile::new(event.position, self.recorded));
            self.areas[area as usize].cases.push(index);
            if let Scope::Institution(institution) = scope {
                self.institutions[institution as usize].cases.push(index);
            }
            self.await_response(index);
        }
        let version = Version { occurred, month: self.calendar().month(occurred), content };
        self.book_new(id, scope, version);
        if !self.waiting.is_empty() {
            let freed = self.free(id);
            self.settle_all(freed);
        }
        Some(())
    }

    fn ledger(&self, scope: Scope) -> &Ledger {
        match scope {
            Scope::Area(area) => &self.areas[area as usize],
            Scope::Institution(institution) => &self.institutions[institution as usize],
        }
    }

    /// The area of a scope on a day, by all that is known.
    fn area_on(&self, scope: Scope, day: Day) -> u32 {
        self.registry.area_on(scope, day, u64::MAX)
    }

    /// The area that a submission belongs to: that of the day on which it occurred.
    fn area_of(&self, scope: Scope, s: &v1::Submission) -> u32 {
        let occurred = s.occurred_at.as_ref().and_then(Instant::from_proto).unwrap_or(self.recorded);
        self.area_on(scope, self.calendar().day(occurred))
    }

    fn touch(&mut self, area: u32) {
        self.changed_at[area as usize] = self.position;
    }

    /// Notes a change of the figures of a scope: for an institution, of every area that it ever stood in.
    fn touch_scope(&mut self, scope: Scope) {
        match scope {
            Scope::Area(area) => self.touch(area),
            Scope::Institution(institution) => {
                for stated in self.registry.institution(institution).history.all() {
                    self.changed_at[stated.state.area as usize] = self.position;
                }
            }
        }
    }
}
