//! What a figure was counted from, and what made it differ from the same figure at an earlier moment.

use std::collections::BTreeMap;

use satgas_proto::v1::{self, IndicatorKind};

use super::{Subject, Views, evaluate::indicator, indicators::Items};
use crate::{
    id::Level,
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

impl Views {
    /// Explains one indicator of a subject, or `None` if the subject is not registered.
    #[must_use]
    pub fn explain(
        &self,
        subject: Subject<'_>,
        period: &Period,
        kind: IndicatorKind,
        now: Instant,
    ) -> Option<Explained> {
        let items = self.items(subject, period, Some(kind), now)?;
        let counts = items.iter().filter(|(_, item)| item.counts).count() as u64;
        let window = self.window(period, now, None);
        Some(Explained {
            indicator: indicator(kind.into(), (counts, items.len() as u64)),
            weight: window.rules.weight(kind),
            cut: window.cut,
            items: items.into_iter().map(|(_, item)| item).collect(),
        })
    }

    fn items(
        &self,
        subject: Subject<'_>,
        period: &Period,
        only: Option<IndicatorKind>,
        now: Instant,
    ) -> Option<Vec<(IndicatorKind, v1::Item)>> {
        let window = self.window(period, now, None);
        let mut kept = Kept { only, area_code: String::new(), items: Vec::new() };
        match subject {
            Subject::Area(code) => {
                self.registry.find_area(code)?;
                for kelurahan in self.registry.areas_within(code, Level::Kelurahan) {
                    kept.area_code.clone_from(&self.registry.area(kelurahan).message.code);
                    self.count_items(Scope::Area(kelurahan), &window, &mut kept);
                }
            }
            Subject::Institution(id) => {
                let institution = self.registry.find_institution(id)?;
                self.count_items(Scope::Institution(institution), &window, &mut kept);
            }
        }
        Some(kept.items)
    }

    /// How an area's evaluation differs from what it was in `then`, at that time; `None` when it does not, or is not registered.
    #[must_use]
    pub fn change_since(
        &self,
        (then, then_now): (&Self, Instant),
        code: &str,
        period: &Period,
        now: Instant,
    ) -> Option<v1::EvaluationChange> {
        let subject = Subject::Area(code);
        let (before, after) = (then.evaluate(subject, period, then_now), self.evaluate(subject, period, now)?);
        let (old, new) =
            (then.items(subject, period, None, then_now).unwrap_or_default(), self.items(subject, period, None, now)?);
        let items = changes(old, new);
        // The basis always differs; of it only the rules are part of what is compared.
        let figures = |e: &v1::Evaluation| {
            let rule_set = e.basis.as_ref().map(|basis| basis.rule_set.clone());
            (rule_set, v1::Evaluation { basis: None, ..e.clone() })
        };
        if items.is_empty() && before.as_ref().map(figures) == Some(figures(&after)) {
            return None;
        }
        let mut causes: Vec<u64> = items
            .iter()
            .flat_map(|change| [&change.then, &change.now])
            .flatten()
            .flat_map(|item| item.because_positions.iter().chain(&item.evidence_positions))
            .copied()
            .filter(|position| *position > then.position())
            .collect();
        causes.sort_unstable();
        causes.dedup();
        Some(v1::EvaluationChange { then: before, now: Some(after), items, cause_positions: causes })
    }
}

/// What came, went or changed, by indicator and item.
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
    both.into_iter()
        .filter(|(_, (then, now))| then != now)
        .map(|((kind, ..), (then, now))| v1::ItemChange { indicator: kind.into(), then, now })
        .collect()
}
