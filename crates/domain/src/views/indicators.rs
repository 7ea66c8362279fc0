//! What the indicators count: every item of each denominator, one by one.
//!
//! There is one walk over the items, and two that it is taken for: a tally only counts, an explanation keeps each item with the events
//! behind it. So an explanation adds up to its figure whatever happens here.

use satgas_proto::v1::{self, IndicatorKind};

use super::{
    Views,
    evaluate::{Fraction, Window},
};
use crate::{
    id::SubmissionId,
    registry::Scope,
    time::{Day, Instant},
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

impl Views {
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
        for index in self.registry.task_forces_of(scope) {
            let task_force = self.registry.task_force(*index);
            for (month, first, last, deadline) in &window.months {
                if !task_force.existed(*first, *last) {
                    continue;
                }
                let received = self.reports[*index as usize].get(month).map_or(&[][..], Vec::as_slice);
                let in_time = received.iter().any(|r| self.records.get(*r).received < *deadline);
                let item = || v1::Item {
                    item_id: task_force.message.task_force_id.clone(),
                    detail: month.code(),
                    due_at: Some(deadline.to_proto()),
                    because_positions: vec![task_force.position],
                    evidence_positions: self.positions_of(received),
                    ..Default::default()
                };
                items.item(IndicatorKind::ReportingCompleteness, !received.is_empty(), item);
                items.item(IndicatorKind::ReportingTimeliness, in_time, item);
            }
            let day = window.cut_day;
            if !task_force.existed(day, day) {
                continue;
            }
            for member in task_force.members.iter().map(|member| self.registry.member(*member)) {
                if member.joined <= day && member.left.is_none_or(|left| left >= day) {
                    let trained = member.trainings.iter().any(|(from, until)| *from <= day && day <= *until);
                    items.item(IndicatorKind::Training, trained, || v1::Item {
                        item_id: member.message.member_id.clone(),
                        because_positions: vec![task_force.position, member.position],
                        evidence_positions: vec![member.position],
                        ..Default::default()
                    });
                }
            }
        }
    }

    fn count_schools(&self, area: u32, window: &Window<'_>, items: &mut impl Items) {
        let calendar = self.calendar();
        for index in &self.registry.area(area).institutions {
            let school = self.registry.institution(*index);
            let existed = calendar.start(school.valid_from) < window.cut
                && school.valid_until.is_none_or(|until| calendar.start(until.next()) > window.start);
            if !school.is_school() || !existed {
                continue;
            }
            let months = self.institutions[*index as usize].visited.range(window.first_month..=window.last_month);
            items.item(IndicatorKind::SchoolCoverage, months.clone().any(|(_, visits)| !visits.is_empty()), || {
                let visits: Vec<u32> = months.flat_map(|(_, visits)| visits).copied().collect();
                v1::Item {
                    item_id: school.message.institution_id.clone(),
                    because_positions: vec![school.position],
                    evidence_positions: self.positions_of(&visits),
                    ..Default::default()
                }
            });
        }
    }

    fn count_visit_follow_ups(&self, scope: Scope, window: &Window<'_>, items: &mut impl Items) {
        let Some(days) = window.days_past() else { return };
        for (due, agreed) in self.ledger(scope).due.range(days) {
            for (visit, number) in agreed {
                let id = self.records.get(*visit).id;
                let done = self.done.get(&(id, *number)).map_or(&[][..], Vec::as_slice);
                items.item(IndicatorKind::FollowUpDiscipline, done.iter().any(|(day, _)| day <= due), || {
                    let told: Vec<u32> = done.iter().map(|(_, record)| *record).collect();
                    let evidence = self.positions_of(&told);
                    self.follow_up(id, *number, *due, self.positions_of(&[*visit]), evidence)
                });
            }
        }
    }

    fn count_cases(&self, scope: Scope, window: &Window<'_>, items: &mut impl Items) {
        let days = window.days_past();
        for index in &self.ledger(scope).cases {
            let case = self.cases.get(*index);
            if case.is_merged() {
                continue;
            }
            let report = || self.records.find(case.id).map_or_else(Vec::new, |record| self.positions_of(&[record]));
            for f in case.follow_ups.iter().filter(|f| days.as_ref().is_some_and(|days| days.contains(&f.due))) {
                let due = self.calendar().start(f.due.next());
                items.item(IndicatorKind::FollowUpDiscipline, f.completed.is_some_and(|(at, _)| at < due), || {
                    let evidence = f.completed.map(|(_, position)| position).into_iter().collect();
                    self.follow_up(case.id, f.message.number, f.due, vec![f.position], evidence)
                });
            }
            let due = self.response_due(case, window.rules);
            if window.start <= due && due < window.end && due <= window.now {
                let in_time = case.first_response.is_some_and(|(at, _)| at <= due);
                items.item(IndicatorKind::ResponseWithinTarget, in_time, || v1::Item {
                    item_id: case.id.to_string(),
                    due_at: Some(due.to_proto()),
                    because_positions: report()
                        .into_iter()
                        .chain((case.risk_position > 0).then_some(case.risk_position))
                        .collect(),
                    evidence_positions: case.first_response.map(|(_, position)| position).into_iter().collect(),
                    ..Default::default()
                });
            }
        }
    }

    fn follow_up(&self, id: SubmissionId, number: u32, due: Day, because: Vec<u64>, evidence: Vec<u64>) -> v1::Item {
        let due: Instant = self.calendar().start(due.next());
        v1::Item {
            item_id: id.to_string(),
            detail: number.to_string(),
            due_at: Some(due.to_proto()),
            because_positions: because,
            evidence_positions: evidence,
            ..Default::default()
        }
    }

    /// Positions of records: of each the original, and the amendment whose version stands.
    fn positions_of(&self, records: &[u32]) -> Vec<u64> {
        let of = |index: &u32| {
            let amended = self.current.get(index).map(|(_, position)| *position);
            std::iter::once(self.records.get(*index).position).chain(amended)
        };
        let mut positions: Vec<u64> = records.iter().flat_map(of).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}
