//! Deadlines that passed unmet: what is to be recorded, and what was.

use satgas_proto::v1::{self, DeadlineKind};
use serde::{Deserialize, Serialize};

use super::{Views, known::Known};
use crate::{
    case::Case,
    id::SubmissionId,
    registry::Scope,
    time::{Calendar, DAY_NS, Day, Instant, Month},
};

/// The most days after a month's end that a report may be due by a rule set, and some.
const REPORT_NS_MAX: i64 = 100 * DAY_NS;

/// Something that was due.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Deadline {
    /// A task force's report on a month.
    Report(u32, Month, Instant),
    /// A follow-up of a visit or case, by number.
    FollowUp(SubmissionId, u32, Instant),
    /// The first response to a case.
    Response(SubmissionId, Instant),
}

impl Deadline {
    fn due(&self) -> Instant {
        match self {
            Self::Report(_, _, due) | Self::FollowUp(_, _, due) | Self::Response(_, due) => *due,
        }
    }
}

/// A missed deadline that is to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The kelurahan that it belongs to.
    pub area_code: String,
    /// The institution that it belongs to, or empty.
    pub institution_id: String,
    /// What was missed.
    pub missed: v1::DeadlineMissed,
}

/// The first instant at which a follow-up is overdue.
pub(super) fn follow_up_due(calendar: &Calendar, day: Day) -> Instant {
    calendar.start(day.next())
}

impl Views {
    /// Folds a deadline that was recorded as missed.
    pub(super) fn deadline_missed(&mut self, event: &v1::Event, missed: &v1::DeadlineMissed) {
        if let Some(deadline) = self.deadline(missed) {
            self.last_missed = self.last_missed.max(Some(deadline.due()));
            self.missed.entry(deadline).or_insert(event.position);
        }
        if let Some(area) = self.registry.find_area(&event.area_code) {
            self.touch(area);
        }
    }

    /// The latest due time of all deadlines that were recorded as missed. They are recorded in the order in which they were due.
    #[must_use]
    pub fn last_missed(&self) -> Option<Instant> {
        self.last_missed
    }

    fn deadline(&self, missed: &v1::DeadlineMissed) -> Option<Deadline> {
        let due = missed.due_at.as_ref().and_then(Instant::from_proto)?;
        match missed.kind() {
            DeadlineKind::Report => {
                let task_force = self.registry.find_task_force(&missed.item_id)?;
                Some(Deadline::Report(task_force, Month::parse(&missed.detail)?, due))
            }
            DeadlineKind::FollowUp => {
                let id = SubmissionId::parse(&missed.item_id).ok()?;
                Some(Deadline::FollowUp(id, missed.detail.parse().ok()?, due))
            }
            DeadlineKind::Response => Some(Deadline::Response(SubmissionId::parse(&missed.item_id).ok()?, due)),
            DeadlineKind::Unspecified => None,
        }
    }

    /// When the deadline that passes next may be judged: nothing is missed before. Deadlines of days pass at local midnight.
    #[must_use]
    pub fn next_deadline(&self, after: Instant) -> Instant {
        let midnight = self.calendar().start(self.calendar().day(after).next());
        let response = self.awaited.range((after.plus_ns(1), 0)..).next().map(|(due, _)| *due);
        response.map_or(midnight, |response| response.min(midnight))
    }
}

impl Known<'_> {
    /// Position of the event that recorded a deadline as missed; 0 when none had.
    pub(super) fn missed_at(&self, deadline: &Deadline) -> u64 {
        let recorded = self.views.missed.get(deadline).copied();
        recorded.filter(|position| *position <= self.position()).unwrap_or_default()
    }

    /// Deadlines that passed after `from` and up to now, unmet by what is known, known before they passed, and not recorded yet: by due
    /// time. To be asked about the present.
    #[must_use]
    pub fn missed_since(&self, from: Instant) -> Vec<Missed> {
        let mut missed = Vec::new();
        self.missed_responses(from, &mut missed);
        // Everything else falls due at the beginning of a day.
        if self.calendar().day(from) < self.today() {
            self.missed_reports(from, &mut missed);
            self.missed_visit_follow_ups(from, &mut missed);
            self.missed_case_follow_ups(from, &mut missed);
        }
        missed.sort_by(|(a, _), (b, _)| (a.due(), a).cmp(&(b.due(), b)));
        missed.into_iter().map(|(_, missed)| missed).collect()
    }

    fn missed_responses(&self, from: Instant, missed: &mut Vec<(Deadline, Missed)>) {
        for (due, index) in self.views.awaited.range((from.plus_ns(1), 0)..=(self.now(), u32::MAX)) {
            let (case, file) = (self.views.cases.get(*index), &self.views.case_files[*index as usize]);
            if case.closed_at(*due).is_none() && file.known_since < *due {
                self.miss(Deadline::Response(case.id, *due), case.scope, case.area, missed);
            }
        }
    }

    fn missed_reports(&self, from: Instant, missed: &mut Vec<(Deadline, Missed)>) {
        let first = self.calendar().month(from.plus_ns(-REPORT_NS_MAX));
        let last = self.calendar().month(self.now());
        let deadlines: Vec<(Month, Instant)> = (first.0..=last.0)
            .map(|month| (Month(month), self.report_deadline(Month(month))))
            .filter(|(_, deadline)| from < *deadline && *deadline <= self.now())
            .collect();
        for (index, task_force) in (0..).zip(self.registry().all().2) {
            for (month, deadline) in &deadlines {
                let state = &task_force.history.latest().state;
                let in_time = |r: u32| self.views.records.get(r).received < *deadline;
                if state.existed(month.first_day(), month.last_day())
                    && task_force.known_since < *deadline
                    && !self.reports_of(index, *month).any(in_time)
                {
                    let area = self.area_on(task_force.home, month.last_day());
                    self.miss(Deadline::Report(index, *month, *deadline), task_force.home, area, missed);
                }
            }
        }
    }

    /// When the report on a month is due by the month's own rules.
    fn report_deadline(&self, month: Month) -> Instant {
        let rules = self.rules_on(month.first_day());
        self.calendar().start(Day(month.next().first_day().0 + rules.report_days))
    }

    fn missed_visit_follow_ups(&self, from: Instant, missed: &mut Vec<(Deadline, Missed)>) {
        let days = Day(self.calendar().day(from).0 - 1)..self.today();
        for (scope, ledger) in self.views.ledgers() {
            for agreed in ledger.due.range(days.clone()).filter(|agreed| self.is_agreed(*agreed)) {
                let (day, visit, number) = agreed;
                let (due, record) = (follow_up_due(self.calendar(), day), self.views.records.get(visit));
                let met = self.done(visit, number).any(|(done, _)| done <= day);
                if from < due && !met && record.received < due {
                    let area = self.area_on(scope, day);
                    self.miss(Deadline::FollowUp(record.id, number, due), scope, area, missed);
                }
            }
        }
    }

    fn missed_case_follow_ups(&self, from: Instant, missed: &mut Vec<(Deadline, Missed)>) {
        // A correction may say that a case was reported only after what was planned for it was due.
        let open = |case: &&Case, due| !case.is_merged() && case.reported < due && case.closed_at(due).is_none();
        for case in self.views.cases.all() {
            for f in &case.follow_ups {
                let due = follow_up_due(self.calendar(), f.due);
                let met = f.completed.is_some_and(|(at, _)| at < due);
                if from < due && due <= self.now() && !met && f.known_since < due && open(&case, due) {
                    self.miss(Deadline::FollowUp(case.id, f.message.number, due), case.scope, case.area, missed);
                }
            }
        }
    }

    fn miss(&self, deadline: Deadline, scope: Scope, area: u32, missed: &mut Vec<(Deadline, Missed)>) {
        if self.missed_at(&deadline) > 0 {
            return;
        }
        let rules_of = |day| self.rules_on(day).name.clone();
        let (kind, item_id, detail, due, rule_set) = match &deadline {
            Deadline::Report(task_force, month, due) => {
                let id = self.registry().task_force(*task_force).id.clone();
                (DeadlineKind::Report, id, month.code(), *due, rules_of(month.first_day()))
            }
            Deadline::FollowUp(id, number, due) => {
                (DeadlineKind::FollowUp, id.to_string(), number.to_string(), *due, String::new())
            }
            Deadline::Response(id, due) => {
                let reported = self.views.cases.find(*id).map_or(*due, |index| self.views.cases.get(index).reported);
                let rules = rules_of(self.calendar().day(reported));
                (DeadlineKind::Response, id.to_string(), String::new(), *due, rules)
            }
        };
        let (due_at, known_position) = (Some(due.to_proto()), self.position());
        let institution_id = match scope {
            Scope::Area(_) => String::new(),
            Scope::Institution(institution) => self.registry().institution(institution).id.clone(),
        };
        let area_code = self.code(area).to_owned();
        let event = v1::DeadlineMissed { kind: kind.into(), item_id, detail, due_at, known_position, rule_set };
        missed.push((deadline, Missed { area_code, institution_id, missed: event }));
    }
}
