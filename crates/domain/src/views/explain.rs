//! What a figure was counted from, and what made it differ from the same figure at an earlier moment.

use std::collections::BTreeMap;

use satgas_proto::v1::{self, IndicatorKind, evaluation};

use super::{
    evaluate::{Body, Subject, indicator},
    indicators::Items,
    known::Known,
};
use crate::{
    id::SubmissionId,
    registry::Scope,
    time::{Instant, Period},
};

/// An indicator with every item that it was counted from.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The fraction.
    pub indicator: v1::Indicator,
    /// Its weight in the score.
    pub weight: f64,
    /// Up to when things count.
    pub cut: Instant,
    /// The items, by kelurahan and in a fixed order within it.
    pub items: Vec<v1::Item>,
}

/// Keeps the items of all indicators, or of one.
struct Kept {
    only: Option<IndicatorKind>,
    /// The kelurahan that is being walked.
    area_code: String,
    items: Vec<(IndicatorKind, v1::Item)>,
}

impl Items for Kept {
    fn item(&mut self, kind: IndicatorKind, counts: bool, item: impl FnOnce() -> v1::Item) {
        if self.only.is_none_or(|only| only == kind) {
            self.items.push((kind, v1::Item { area_code: self.area_code.clone(), counts, ..item() }));
        }
    }
}

impl Known<'_> {
    /// Explains one indicator of a subject, or `None` if the subject was not registered.
    #[must_use]
    pub fn explain(&self, subject: Subject<'_>, period: &Period, kind: IndicatorKind) -> Option<Explained> {
        let (scope, body) = self.find(subject)?;
        let items = self.items(scope, body, period, Some(kind));
        let counts = items.iter().filter(|(_, item)| item.counts).count() as u64;
        let window = self.window(period, None);
        Some(Explained {
            indicator: indicator(kind.into(), (counts, items.len() as u64)),
            weight: window.rules.weight(kind),
            cut: window.cut,
            items: items.into_iter().map(|(_, item)| item).collect(),
        })
    }

    fn items(
        &self,
        scope: Scope,
        body: Body,
        period: &Period,
        only: Option<IndicatorKind>,
    ) -> Vec<(IndicatorKind, v1::Item)> {
        let window = self.window(period, None);
        let mut kept = Kept { only, area_code: String::new(), items: Vec::new() };
        for (area, part) in self.parts(scope, body, &window) {
            kept.area_code = area.map(|area| self.code(area).to_owned()).unwrap_or_default();
            self.count_items(part, &window, &mut kept);
        }
        kept.items
    }

    /// How the evaluation of a subject differs from what it was `then`; `None` when it does not.
    #[must_use]
    pub fn change_since(
        &self,
        then: &Known<'_>,
        subject: Scope,
        body: Body,
        period: &Period,
    ) -> Option<v1::EvaluationChange> {
        let after = self.evaluate_scope(subject, body, period, &self.window(period, None));
        let was_known = match &after.subject {
            Some(evaluation::Subject::AreaCode(code)) => then.find(Subject::Area(code, body)).is_some(),
            Some(evaluation::Subject::InstitutionId(id)) => then.find(Subject::Institution(id)).is_some(),
            None => false,
        };
        let before = was_known.then(|| then.evaluate_scope(subject, body, period, &then.window(period, None)));
        let old = if was_known { then.items(subject, body, period, None) } else { Vec::new() };
        let items = changes(old, self.items(subject, body, period, None));
        let cause_positions = self.causes(&items, then.position());
        let change = v1::EvaluationChange { then: before, now: Some(after), items, cause_positions };
        is_change(&change).then_some(change)
    }

    /// Positions after `since` of what changed items: the events behind them, and the latest change of what they are about.
    fn causes(&self, changes: &[v1::ItemChange], since: u64) -> Vec<u64> {
        let mut causes = Vec::new();
        for change in changes {
            for item in [&change.then, &change.now].into_iter().flatten() {
                causes.extend(item.because_positions.iter().chain(&item.evidence_positions));
                self.changes_of(change.indicator(), item, since, &mut causes);
            }
        }
        causes.retain(|position| *position > since && *position <= self.position());
        causes.sort_unstable();
        causes.dedup();
        causes
    }

    /// Adds what became of that which an item is about, and of the records behind it: a withdrawal leaves no other trace in the figures.
    fn changes_of(&self, kind: IndicatorKind, item: &v1::Item, since: u64, causes: &mut Vec<u64>) {
        let (views, until) = (self.views, self.position());
        let registry = self.registry();
        match kind {
            IndicatorKind::ReportingCompleteness | IndicatorKind::ReportingTimeliness => {
                let task_force = registry.find_task_force(&item.item_id).map(|index| registry.task_force(index));
                causes.extend(task_force.and_then(|t| t.history.known(until)).map(|stated| stated.position));
            }
            IndicatorKind::SchoolCoverage => {
                let school = registry.find_institution(&item.item_id).map(|index| registry.institution(index));
                causes.extend(school.and_then(|s| s.history.known(until)).map(|stated| stated.position));
            }
            IndicatorKind::Training => {
                let member = registry.find_member(&item.item_id).map(|index| registry.member(index));
                causes.extend(member.and_then(|m| m.history.known(until)).map(|stated| stated.position));
                let task_force = member.map(|member| registry.task_force(member.task_force));
                causes.extend(task_force.and_then(|t| t.history.known(until)).map(|stated| stated.position));
            }
            IndicatorKind::FollowUpDiscipline | IndicatorKind::ResponseWithinTarget => {
                let id = SubmissionId::parse(&item.item_id).ok();
                let case = id.and_then(|id| views.cases.find(id));
                causes.extend(case.map(|index| views.case_files[index as usize].last_up_to(until)));
                causes.extend(
                    id.and_then(|id| views.records.find(id))
                        .into_iter()
                        .flat_map(|record| views.records.changed_after(record, since)),
                );
            }
            IndicatorKind::Unspecified => {}
        }
        let behind = item.because_positions.iter().chain(&item.evidence_positions);
        for record in behind.filter_map(|position| views.records.find_position(*position)) {
            causes.extend(views.records.changed_after(record, since));
        }
    }
}

/// What came, went or changed, by indicator and item.
/// Whether an evaluation differs between two moments in anything that is shown.
pub(crate) fn is_change(change: &v1::EvaluationChange) -> bool {
    // The basis always differs; of it only the rules are part of what is compared. Another name is no other figure.
    let figures = |e: &v1::Evaluation| {
        let rule_set = e.basis.as_ref().map(|basis| basis.rule_set.clone());
        (rule_set, v1::Evaluation { basis: None, name: String::new(), ..e.clone() })
    };
    !change.items.is_empty() || change.then.as_ref().map(figures) != change.now.as_ref().map(figures)
}

fn changes(old: Vec<(IndicatorKind, v1::Item)>, new: Vec<(IndicatorKind, v1::Item)>) -> Vec<v1::ItemChange> {
    let key = |kind: IndicatorKind, item: &v1::Item| {
        (kind, item.area_code.clone(), item.item_id.clone(), item.detail.clone())
    };
    let mut both: BTreeMap<_, (Option<v1::Item>, Option<v1::Item>)> = BTreeMap::new();
    for (kind, item) in old {
        let key = key(kind, &item);
        both.entry(key).or_default().0 = Some(item);
    }
    for (kind, item) in new {
        let key = key(kind, &item);
        both.entry(key).or_default().1 = Some(item);
    }
    // That a missed deadline was recorded changes nothing about the item.
    let said = |item: &Option<v1::Item>| item.as_ref().map(|item| v1::Item { missed_position: 0, ..item.clone() });
    both.into_iter()
        .filter(|(_, (then, now))| said(then) != said(now))
        .map(|((kind, ..), (then, now))| v1::ItemChange { indicator: kind.into(), then, now })
        .collect()
}
