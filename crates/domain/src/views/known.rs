//! What was known at a moment: every question goes through here, one about now as much as one about the past.

use satgas_proto::v1;

use super::{Views, corrections, records::Version};
use crate::{
    case::Case,
    id::{Level, SubmissionId, is_within},
    registry::{Area, Institution, Registry, Scope, TaskForce},
    rules::RuleSet,
    time::{Calendar, Day, Instant, Period},
};

/// A moment that questions are asked as of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Everything up to this position is known.
    pub position: u64,
    /// The time by which deadlines are judged.
    pub now: Instant,
    /// Hash of the log's chain at the end of the frame that holds the position: for those who check the answer.
    pub head_hash: [u8; 32],
}

/// What was known at a moment.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub(super) views: &'a Views,
    moment: Moment,
}

impl<'a> Known<'a> {
    pub(super) fn new(views: &'a Views, moment: Moment) -> Self {
        Self { views, moment }
    }

    /// The moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// Everything up to this position is known.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.moment.position
    }

    /// The time by which deadlines are judged.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.moment.now
    }

    /// The log's calendar.
    #[must_use]
    pub fn calendar(&self) -> &'a Calendar {
        self.views.calendar()
    }

    /// The local date.
    pub(super) fn today(&self) -> Day {
        self.calendar().day(self.now())
    }

    /// The local month.
    #[must_use]
    pub fn current_month(&self) -> Period {
        Period::month(self.calendar().month(self.now()))
    }

    /// The rules valid on a day.
    pub(super) fn rules_on(&self, day: Day) -> &'a RuleSet {
        self.views.rule_sets.on(day, self.position())
    }

    /// The rules valid today: those that warnings are made by.
    #[must_use]
    pub fn rules_now(&self) -> &'a RuleSet {
        self.rules_on(self.today())
    }

    /// The rules that a period is evaluated under.
    #[must_use]
    pub fn rules_of(&self, period: &Period) -> &'a RuleSet {
        self.rules_on(period.first.first_day())
    }

    /// All rule sets; the one valid today is marked.
    #[must_use]
    pub fn rule_sets(&self) -> Vec<v1::ListedRuleSet> {
        self.views.rule_sets.list(self.today(), self.position())
    }

    /// What figures under some rules are made of.
    #[must_use]
    pub fn basis(&self, rules: &RuleSet) -> v1::Basis {
        v1::Basis {
            position: self.position(),
            head_hash: self.moment.head_hash.to_vec().into(),
            as_of: Some(self.now().to_proto()),
            rule_set: rules.name.clone(),
            sample_data: self.views.sample_data,
        }
    }

    /// Whether a public report of this id had come.
    #[must_use]
    pub fn has_report(&self, id: SubmissionId) -> bool {
        self.views.public.find(id).is_some_and(|report| report.position() <= self.position())
    }

    pub(super) fn registry(&self) -> &'a Registry {
        &self.views.registry
    }

    /// Whether any area lies within a prefix; the empty one holds everything, even nothing.
    #[must_use]
    pub fn has_within(&self, prefix: &str) -> bool {
        prefix.is_empty() || self.areas_within(prefix).next().is_some()
    }

    /// Areas of all levels within a prefix, by code.
    pub(super) fn areas_within(&self, prefix: &'a str) -> impl Iterator<Item = (u32, &'a Area)> + use<'a> {
        let (registry, until) = (self.registry(), self.position());
        let areas = registry.areas_within(prefix).map(|index| (index, registry.area(index)));
        areas.filter(move |(_, area)| area.history.first().position <= until)
    }

    /// Kelurahan within a prefix, by code.
    pub(super) fn kelurahan_within(&self, prefix: &'a str) -> impl Iterator<Item = u32> + use<'a> {
        self.areas_within(prefix).filter(|(_, area)| area.level == Level::Kelurahan).map(|(index, _)| index)
    }

    /// Institutions that stand in an area on a day.
    pub(super) fn institutions_in(
        &self,
        area: u32,
        day: Day,
    ) -> impl Iterator<Item = (u32, &'a Institution)> + use<'a> {
        let (registry, until) = (self.registry(), self.position());
        let ever = registry.area(area).institutions.iter().map(|index| (*index, registry.institution(*index)));
        ever.filter(move |(_, i)| i.history.on(day, until).is_some_and(|stated| stated.state.area == area))
    }

    /// The task forces of a home that were registered.
    pub(super) fn task_forces_of(&self, home: Scope) -> impl Iterator<Item = (u32, &'a TaskForce)> + use<'a> {
        let (registry, until) = (self.registry(), self.position());
        let all = registry.task_forces_of(home).iter().map(|index| (*index, registry.task_force(*index)));
        all.filter(move |(_, task_force)| task_force.history.first().position <= until)
    }

    /// The area of a scope on a day.
    pub(super) fn area_on(&self, scope: Scope, day: Day) -> u32 {
        self.registry().area_on(scope, day, self.position())
    }

    pub(super) fn code(&self, area: u32) -> &'a str {
        &self.registry().area(area).code
    }

    fn is_area_within(&self, area: u32, prefix: &str) -> bool {
        is_within(self.code(area), prefix)
    }

    /// The version of a record that stood.
    pub(super) fn standing(&self, record: u32) -> Option<&'a Version> {
        self.views.records.standing(record, self.position())
    }

    /// Areas within a prefix as they are today, in any order.
    pub fn areas(&self, prefix: &'a str) -> impl Iterator<Item = v1::Area> + use<'a> {
        let (today, until) = (self.today(), self.position());
        self.areas_within(prefix).filter_map(move |(_, area)| {
            let (on, latest) =
                (&area.history.on(today, until)?.state.message, &area.history.known(until)?.state.message);
            let (valid_from, valid_until) = (latest.valid_from.clone(), latest.valid_until.clone());
            Some(v1::Area { valid_from, valid_until, ..on.clone() })
        })
    }

    /// Institutions that stand today in areas within a prefix, in any order.
    pub fn institutions(&self, prefix: &'a str) -> impl Iterator<Item = v1::Institution> + use<'a> {
        let (today, until) = (self.today(), self.position());
        self.registry().all().1.iter().filter_map(move |institution| {
            let history = &institution.history;
            let (on, latest) = (&history.on(today, until)?.state.message, &history.known(until)?.state.message);
            let (valid_from, valid_until) = (latest.valid_from.clone(), latest.valid_until.clone());
            is_within(&on.area_code, prefix).then(|| v1::Institution { valid_from, valid_until, ..on.clone() })
        })
    }

    /// Task forces whose home lies today within a prefix, in any order.
    pub fn task_forces(&self, prefix: &'a str) -> impl Iterator<Item = &'a v1::TaskForce> + use<'a> {
        let (known, today) = (*self, self.today());
        self.registry().all().2.iter().filter_map(move |task_force| {
            let latest = task_force.history.known(known.position())?;
            known.is_area_within(known.area_on(task_force.home, today), prefix).then_some(&latest.state.message)
        })
    }

    /// The institution that is the home of a task force; `None` where that is an area, or nothing is known of it.
    #[must_use]
    pub fn home_institution(&self, task_force_id: &str) -> Option<&'a str> {
        let registry = self.registry();
        match registry.task_force(registry.find_task_force(task_force_id)?).home {
            Scope::Institution(institution) => Some(&registry.institution(institution).id),
            Scope::Area(_) => None,
        }
    }

    /// Members of task forces whose home lies today within a prefix, in any order.
    pub fn members(&self, prefix: &'a str) -> impl Iterator<Item = &'a v1::Member> + use<'a> {
        let (known, today) = (*self, self.today());
        self.registry().all().3.iter().filter_map(move |member| {
            let latest = member.history.known(known.position())?;
            let home = known.registry().task_force(member.task_force).home;
            known.is_area_within(known.area_on(home, today), prefix).then_some(&latest.state.message)
        })
    }

    /// Open conflicts by position after `after`, within an area prefix.
    pub fn conflicts(&self, prefix: &'a str, after: u64) -> impl Iterator<Item = v1::Conflict> + use<'a> {
        let known = *self;
        let from = after.saturating_add(1);
        self.views
            .conflicts
            .range(from..)
            .filter(move |(_, c)| known.is_open(c) && known.is_area_within(c.area, prefix))
            .map(move |(position, c)| v1::Conflict {
                position: *position,
                stands_position: c.stands,
                cause: c.cause,
                submission: Some(c.submission.clone()),
                can_be_taken: known.views.can_be_taken(c, known.position()),
            })
    }

    /// An open conflict, and who it belongs to: area and institution, the latter empty when an area reported.
    #[must_use]
    pub fn conflict(&self, position: u64) -> Option<(v1::Conflict, String, String)> {
        let conflict = self.conflicts("", position.checked_sub(1)?).next().filter(|c| c.position == position)?;
        let area = self.code(self.views.conflicts.get(&position)?.area).to_owned();
        let institution = match &conflict.submission.as_ref()?.reporter {
            Some(v1::submission::Reporter::InstitutionId(id)) => id.clone(),
            _ => String::new(),
        };
        Some((conflict, area, institution))
    }

    /// Whether a conflict had arisen and was not decided.
    fn is_open(&self, conflict: &corrections::Conflict) -> bool {
        conflict.since <= self.position() && conflict.resolved.is_none_or(|resolved| resolved > self.position())
    }

    /// How many of the conflicts at some positions were open.
    pub(super) fn open_conflicts(&self, positions: &[u64]) -> u64 {
        positions.iter().filter_map(|at| self.views.conflicts.get(at)).filter(|c| self.is_open(c)).count() as u64
    }

    /// What waits for its target, by position after `after`, within an area prefix.
    pub fn held(&self, prefix: &'a str, after: u64) -> impl Iterator<Item = v1::Held> + use<'a> {
        let known = *self;
        let waiting = self.views.held.range(after.saturating_add(1)..).filter(move |(position, h)| {
            let waits = h.freed.is_none_or(|freed| freed > known.position());
            **position <= known.position() && waits && known.is_area_within(h.area, prefix)
        });
        waiting.map(|(position, h)| v1::Held {
            position: *position,
            waits_for_id: h.waits_for.to_string(),
            submission: Some(h.submission.clone()),
        })
    }

    /// Records that were kept apart, by position after `after`, within an area prefix and perhaps of one token.
    pub fn quarantined(
        &self,
        prefix: &'a str,
        token_id: &'a str,
        after: u64,
    ) -> impl Iterator<Item = v1::QuarantinedRecord> + use<'a> {
        self.views.quarantine.list(prefix, token_id, after, self.position())
    }

    /// Ids of case reports that were ever kept apart: data of a case, although there may be none yet.
    pub fn quarantined_reports(&self) -> impl Iterator<Item = SubmissionId> + use<'a> {
        self.views.quarantine.case_reports()
    }

    /// Position of the event that an accepted record became.
    #[must_use]
    pub fn position_of(&self, id: SubmissionId) -> Option<u64> {
        let record = self.views.records.get(self.views.records.find(id)?);
        (record.position <= self.position()).then_some(record.position)
    }

    /// A case as it stood.
    #[must_use]
    pub fn case(&self, id: SubmissionId) -> Option<v1::Case> {
        let case = self.case_by_index(self.views.cases.find(id)?)?;
        Some(self.case_message(&case))
    }

    /// A case as it stood, if it is within an area prefix.
    #[must_use]
    pub fn case_within(&self, id: SubmissionId, prefix: &str) -> Option<v1::Case> {
        let index = self.views.cases.find(id)?;
        let case = self.case_by_index(index)?;
        self.is_area_within(self.views.cases.get(index).area, prefix).then(|| self.case_message(&case))
    }

    /// Cases after one of them, in the order in which they were reported; from the first where none is named.
    pub fn cases_after(
        &self,
        after: Option<SubmissionId>,
        prefix: &'a str,
        status: Option<v1::CaseStatus>,
    ) -> impl Iterator<Item = v1::Case> + use<'a> {
        let known = *self;
        let first = after.and_then(|id| self.views.cases.find(id)).map_or(0, |index| index + 1);
        let end = u32::try_from(self.views.cases.all().len()).unwrap_or(u32::MAX);
        (first..end).filter(move |index| known.is_area_within(known.views.cases.get(*index).area, prefix)).filter_map(
            move |index| {
                let case = known.case_by_index(index)?;
                let wanted = status.is_none_or(|status| case.status() == status);
                wanted.then(|| known.case_message(&case))
            },
        )
    }

    fn case_message(&self, case: &Case) -> v1::Case {
        let institution = match case.scope {
            Scope::Area(_) => "",
            Scope::Institution(institution) => &self.registry().institution(institution).id,
        };
        let rules = self.rules_on(self.calendar().day(case.reported));
        let due = rules.response_due(self.calendar(), case.reported, case.risk());
        let sealing = self.views.sealings().get(case.id);
        v1::Case {
            sealing: sealing.and_then(|sealing| sealing.to_proto(self.position(), self.now())),
            assignees: sealing.map(|sealing| sealing.assignees(self.position(), self.now())).unwrap_or_default(),
            ..case.to_proto(self.code(case.area), institution, due)
        }
    }
}
