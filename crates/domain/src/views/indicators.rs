//! What the indicators count: every item of each denominator, one by one.
//!
//! There is one walk over the items, and two that it is taken for: a tally only counts, an explanation keeps each item with the events
//! behind it. So an explanation adds up to its figure whatever happens here.

use satgas_proto::v1::{self, IndicatorKind};

use super::{
    deadlines::{self, Deadline},
    evaluate::{Fraction, Window},
    known::Known,
    records::Content,
};
use crate::{
    id::SubmissionId,
    registry::Scope,
    time::{Day, Instant, Month},
};

/// Takes the items of the indicators.
pub(super) trait Items {
    /// An item of an indicator's denominator: whether it counts in the numerator, too, and what there is to say about it.
    fn item(&mut self, kind: IndicatorKind, counts: bool, item: impl FnOnce() -> v1::Item);
}

/// Fractions in the order of the enum.
impl Items for [Fraction; 6] {
    fn item(&mut self, kind: IndicatorKind, counts: bool, _: impl FnOnce() -> v1::Item) {
        let (numerator, denominator) = &mut self[kind as usize - IndicatorKind::ReportingCompleteness as usize];
        *denominator += 1;
        *numerator += u64::from(counts);
    }
}

impl<'a> Known<'a> {
    /// Hands over the items of one kelurahan or institution.
    pub(super) fn count_items(&self, scope: Scope, window: &Window<'_>, items: &mut impl Items) {
        self.count_task_forces(scope, window, items);
        if let Scope::Area(area) = scope {
            self.count_schools(area, window, items);
        }
        self.count_visit_follow_ups(scope, window, items);
        self.count_cases(scope, window, items);
    }

    fn count_task_forces(&self, scope: Scope, window: &Window<'_>, items: &mut impl Items) {
        for (index, task_force) in self.task_forces_of(scope) {
            let Some(stated) = task_force.history.known(self.position()) else { continue };
            for (month, deadline) in &window.months {
                if !stated.state.existed(month.first_day(), month.last_day()) {
                    continue;
                }
                let received: Vec<u32> = self.reports_of(index, *month).collect();
                let in_time = received.iter().any(|r| self.views.records.get(*r).received < *deadline);
                let item = || v1::Item {
                    item_id: task_force.id.clone(),
                    detail: month.code(),
                    due_at: Some(deadline.to_proto()),
                    because_positions: vec![stated.position],
                    evidence_positions: self.positions_of(received.iter().copied()),
                    missed_position: self.missed_at(&Deadline::Report(index, *month, *deadline)),
                    ..Default::default()
                };
                items.item(IndicatorKind::ReportingCompleteness, !received.is_empty(), item);
                items.item(IndicatorKind::ReportingTimeliness, in_time, item);
            }
            let day = window.cut_day;
            if !stated.state.existed(day, day) {
                continue;
            }
            for member in task_force.members.iter().map(|member| self.registry().member(*member)) {
                let known = member.history.known(self.position());
                let Some(known) = known.filter(|known| known.state.belongs_on(day)) else { continue };
                items.item(IndicatorKind::Training, known.state.is_trained_on(day), || v1::Item {
                    item_id: member.id.clone(),
                    because_positions: vec![stated.position, known.position],
                    evidence_positions: vec![known.position],
                    ..Default::default()
                });
            }
        }
    }

    /// Standing reports of a task force on a month.
    pub(super) fn reports_of(&self, task_force: u32, month: Month) -> impl Iterator<Item = u32> + use<'a> {
        let known = *self;
        let of_month = move |content: &Content| match content {
            Content::Monitoring { task_force: of, month: on, .. } => (*of, *on) == (task_force, month),
            _ => false,
        };
        let reports = self.views.reports[task_force as usize].get(month).copied().unwrap_or_default();
        let reports = self.views.links.of(reports);
        reports.filter(move |r| known.standing(*r).is_some_and(|version| of_month(&version.content)))
    }

    fn count_schools(&self, area: u32, window: &Window<'_>, items: &mut impl Items) {
        for (index, school) in self.institutions_in(area, window.cut_day) {
            let Some(on) = school.history.on(window.cut_day, self.position()) else { continue };
            let valid = school.history.known(self.position()).map_or(on.state.valid, |latest| latest.state.valid);
            if !on.state.is_school() || !valid.overlaps(self.calendar(), window.start, window.cut) {
                continue;
            }
            let months = self.views.institutions[index as usize].visited.range(window.first_month, window.last_month);
            let visits =
                months.flat_map(|(month, visits)| self.views.links.of(*visits).map(move |visit| (month, visit)));
            let mut visits = visits
                .filter(|(month, visit)| self.is_visit_of(*visit, index, *month))
                .map(|(_, visit)| visit)
                .peekable();
            items.item(IndicatorKind::SchoolCoverage, visits.peek().is_some(), || v1::Item {
                item_id: school.id.clone(),
                because_positions: vec![
                    school.history.known(self.position()).map_or(on.position, |latest| latest.position),
                ],
                evidence_positions: self.positions_of(visits),
                ..Default::default()
            });
        }
    }

    fn is_visit_of(&self, record: u32, of: u32, month: Month) -> bool {
        let visits = |content: &Content| matches!(content, Content::Visit { school, .. } if *school == of);
        self.standing(record).is_some_and(|version| version.month == month && visits(&version.content))
    }

    fn count_visit_follow_ups(&self, scope: Scope, window: &Window<'_>, items: &mut impl Items) {
        let agreed = self.views.ledger(scope).due.range(window.days_past());
        for (due, visit, number) in agreed.filter(|agreed| self.is_agreed(*agreed)) {
            let id = self.views.records.get(visit).id;
            let done: Vec<(Day, u32)> = self.done(visit, number).collect();
            items.item(IndicatorKind::FollowUpDiscipline, done.iter().any(|(day, _)| *day <= due), || {
                let told = done.iter().map(|(_, record)| *record);
                self.follow_up(id, number, due, self.positions_of([visit].into_iter()), self.positions_of(told))
            });
        }
    }

    /// Whether a standing visit agrees a follow-up by a day.
    pub(super) fn is_agreed(&self, (due, visit, number): (Day, u32, u32)) -> bool {
        self.standing(visit).is_some_and(|version| version.content.agreed().contains(&(number, due)))
    }

    /// Days on which standing records say that a follow-up of a visit was done, and the records.
    pub(super) fn done(&self, visit: u32, number: u32) -> impl Iterator<Item = (Day, u32)> + use<'a> {
        let known = *self;
        let id = self.views.records.get(visit).id;
        let told = self.views.done.get(&(visit, number)).copied().unwrap_or_default();
        self.views.links.of(told).flat_map(move |record| {
            let done = known.standing(record).map_or(&[][..], |version| version.content.done());
            let this = done.iter().filter(move |d| (d.visit, d.number) == (id, number));
            this.map(move |d| (d.on, record))
        })
    }

    fn count_cases(&self, scope: Scope, window: &Window<'_>, items: &mut impl Items) {
        let days = window.days_past();
        for index in &self.views.ledger(scope).cases {
            let Some(case) = self.case_by_index(*index).filter(|case| !case.is_merged()) else { continue };
            for f in case.follow_ups.iter().filter(|f| days.contains(&f.due)) {
                let due = self.calendar().start(f.due.next());
                items.item(IndicatorKind::FollowUpDiscipline, f.completed.is_some_and(|(at, _)| at < due), || {
                    let evidence = f.completed.map(|(_, position)| position).into_iter().collect();
                    self.follow_up(case.id, f.message.number, f.due, vec![f.position], evidence)
                });
            }
            let due = window.rules.response_due(self.calendar(), case.reported, case.risk());
            if window.start <= due && due < window.end && due <= window.now {
                let in_time = case.first_response.is_some_and(|(at, _)| at <= due);
                items.item(IndicatorKind::ResponseWithinTarget, in_time, || v1::Item {
                    item_id: case.id.to_string(),
                    due_at: Some(due.to_proto()),
                    because_positions: self
                        .positions_of(self.views.records.find(case.id).into_iter())
                        .into_iter()
                        .chain((case.risk_position > 0).then_some(case.risk_position))
                        .collect(),
                    evidence_positions: case.first_response.map(|(_, position)| position).into_iter().collect(),
                    missed_position: self.missed_at(&Deadline::Response(case.id, due)),
                    ..Default::default()
                });
            }
        }
    }

    fn follow_up(&self, id: SubmissionId, number: u32, due: Day, because: Vec<u64>, evidence: Vec<u64>) -> v1::Item {
        let due: Instant = deadlines::follow_up_due(self.calendar(), due);
        v1::Item {
            item_id: id.to_string(),
            detail: number.to_string(),
            due_at: Some(due.to_proto()),
            because_positions: because,
            evidence_positions: evidence,
            missed_position: self.missed_at(&Deadline::FollowUp(id, number, due)),
            ..Default::default()
        }
    }

    /// Positions of records: of each the original, and the event whose version stands.
    fn positions_of(&self, records: impl Iterator<Item = u32>) -> Vec<u64> {
        let of = |index: u32| {
            let stands = self.views.records.known(index, self.position()).map(|known| known.position);
            std::iter::once(self.views.records.get(index).position).chain(stands)
        };
        let mut positions: Vec<u64> = records.flat_map(of).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}
