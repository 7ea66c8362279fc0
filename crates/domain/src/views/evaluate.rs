//! Evaluations: `docs/evaluation.md` in code.
//!
//! A [`Window`] holds what is the same for every subject of a query; a [`Tally`] adds up one subject, or all kelurahan of an area. What
//! the indicators count stands in `indicators.rs`.

use std::ops::RangeInclusive;

use satgas_proto::v1::{self, IndicatorKind, evaluation};

use super::{Ledger, Views};
use crate::{
    case::Case,
    id::Level,
    registry::Scope,
    rules::RuleSet,
    time::{DAY_NS, Day, Instant, Month, Period},
};

/// Whom to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// An area of any level, by code.
    Area(&'a str),
    /// An institution, by id.
    Institution(&'a str),
}

/// Which evaluations to list, and how.
#[derive(Clone, Debug)]
pub struct ListQuery<'a> {
    /// The period.
    pub period: Period,
    /// Only areas within this prefix.
    pub prefix: &'a str,
    /// Their level.
    pub level: Level,
    /// Their order.
    pub order: v1::EvaluationOrder,
    /// The time as of which deadlines are judged.
    pub now: Instant,
    /// Rules to judge by instead of the recorded ones.
    pub draft: Option<&'a RuleSet>,
}

/// What is the same for every subject.
pub(super) struct Window<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) cut: Instant,
    pub(super) now: Instant,
    pub(super) today: Day,
    pub(super) first_day: Day,
    pub(super) last_day: Day,
    pub(super) first_month: Month,
    pub(super) last_month: Month,
    pub(super) cut_month: Month,
    pub(super) cut_day: Day,
    /// Months whose report is due by now, with first and last day and the deadline.
    pub(super) months: Vec<(Month, Day, Day, Instant)>,
}

/// Numerator and denominator.
pub(super) type Fraction = (u64, u64);

#[derive(Default)]
struct Tally {
    /// In the order of the enum.
    fractions: [Fraction; 6],
    visits: u64,
    pupils: u64,
    signals: u64,
    last: Option<Instant>,
    reported: u64,
    open: u64,
    closed: u64,
    overdue: u64,
    in_shelter: u64,
    response_times_s: Vec<u64>,
    conflicts: u64,
}

/// An indicator; one without a denominator does not apply.
pub(super) fn indicator(kind: i32, (numerator, denominator): Fraction) -> v1::Indicator {
    v1::Indicator { kind, applicable: denominator > 0, numerator, denominator }
}

impl Window<'_> {
    /// The days of the period on which something could be due that has passed: due times are the start of the day after.
    pub(super) fn days_past(&self) -> Option<RangeInclusive<Day>> {
        let last = self.last_day.min(Day(self.today.0 - 1));
        (self.first_day <= last).then_some(self.first_day..=last)
    }
}

impl Views {
    /// Evaluates one subject, or `None` if it is not registered. The basis lacks the head's hash, which only the log knows.
    #[must_use]
    pub fn evaluate(&self, subject: Subject<'_>, period: &Period, now: Instant) -> Option<v1::Evaluation> {
        let window = self.window(period, now, None);
        match subject {
            Subject::Area(code) => Some(self.evaluate_area(self.registry.find_area(code)?, period, &window)),
            Subject::Institution(id) => {
                let index = self.registry.find_institution(id)?;
                let mut tally = Tally::default();
                self.tally(Scope::Institution(index), &window, &mut tally);
                let institution = &self.registry.institution(index).message;
                let subject = evaluation::Subject::InstitutionId(institution.institution_id.clone());
                Some(self.evaluation(subject, &institution.name, period, &window, tally))
            }
        }
    }

    /// Evaluates all areas that a query asks for, in its order.
    #[must_use]
    pub fn list(&self, query: &ListQuery<'_>) -> Vec<v1::Evaluation> {
        let window = self.window(&query.period, query.now, query.draft);
        let areas = self.registry.areas_within(query.prefix, query.level);
        let mut list: Vec<_> = areas.map(|area| self.evaluate_area(area, &query.period, &window)).collect();
        sort(&mut list, query.order);
        list
    }

    fn evaluate_area(&self, index: u32, period: &Period, window: &Window<'_>) -> v1::Evaluation {
        let area = self.registry.area(index);
        let mut tally = Tally::default();
        for kelurahan in self.registry.areas_within(&area.message.code, Level::Kelurahan) {
            self.tally(Scope::Area(kelurahan), window, &mut tally);
        }
        self.evaluation(
            evaluation::Subject::AreaCode(area.message.code.clone()),
            &area.message.name,
            period,
            window,
            tally,
        )
    }

    pub(super) fn window<'a>(&'a self, period: &Period, now: Instant, draft: Option<&'a RuleSet>) -> Window<'a> {
        let calendar = self.calendar();
        let rules = draft.unwrap_or_else(|| self.rule_sets.on(period.first.first_day()));
        let (first_day, after) = (period.first.first_day(), period.after().first_day());
        let (start, end) = (calendar.start(first_day), calendar.start(after));
        let cut = end.min(now);
        let last = cut.plus_ns(-1);
        let months = period.each_month().filter_map(|month| {
            let next = month.next().first_day();
            let deadline = calendar.start(Day(next.0 + rules.report_days));
            (deadline <= now).then_some((month, month.first_day(), Day(next.0 - 1), deadline))
        });
        Window {
            rules,
            start,
            end,
            cut,
            now,
            today: calendar.day(now),
            first_day,
            last_day: Day(after.0 - 1),
            first_month: period.first,
            last_month: Month(period.after().0 - 1),
            cut_month: calendar.month(last),
            cut_day: calendar.day(last),
            months: months.collect(),
        }
    }

    fn tally(&self, scope: Scope, window: &Window<'_>, tally: &mut Tally) {
        let ledger = self.ledger(scope);
        self.count_items(scope, window, &mut tally.fractions);
        self.tally_activity(ledger, window, tally);
        self.tally_cases(ledger, window, tally);
        tally.conflicts += ledger.conflicts;
    }

    fn tally_activity(&self, ledger: &Ledger, window: &Window<'_>, tally: &mut Tally) {
        for cell in ledger.months.range(window.first_month..=window.last_month).map(|(_, cell)| cell) {
            tally.visits += cell.visits;
            tally.pupils += cell.pupils;
            tally.signals += cell.signals;
        }
        tally.last = tally.last.max(self.last_activity(ledger, window.cut_month, window.cut));
    }

    /// Latest occurred of a standing record before `before`, which lies in or directly after `month`.
    pub(super) fn last_activity(&self, ledger: &Ledger, month: Month, before: Instant) -> Option<Instant> {
        ledger.months.range(..=month).rev().find_map(|(_, cell)| {
            let last = cell.last?;
            if last < before {
                return Some(last);
            }
            cell.records.iter().map(|record| self.records.get(*record).occurred).filter(|at| *at < before).max()
        })
    }

    fn tally_cases(&self, ledger: &Ledger, window: &Window<'_>, tally: &mut Tally) {
        let within = |at: Instant| window.start <= at && at < window.end;
        for index in &ledger.cases {
            let case = self.cases.get(*index);
            if case.is_merged() {
                continue;
            }
            if within(case.reported) {
                tally.reported += 1;
                if let Some((at, _)) = case.first_response {
                    tally.response_times_s.push(u64::try_from((at.0 - case.reported.0) / 1_000_000_000).unwrap_or(0));
                }
            }
            tally.in_shelter += u64::from(case.in_shelter_at(window.cut));
            if case.reported >= window.cut {
                continue;
            }
            match case.closed_at(window.cut) {
                Some(at) => tally.closed += u64::from(within(at)),
                None => {
                    tally.open += 1;
                    tally.overdue += u64::from(self.is_overdue(case, window.rules, window.cut));
                }
            }
        }
    }

    /// When the first response to a case is due by some rules.
    pub(super) fn response_due(&self, case: &Case, rules: &RuleSet) -> Instant {
        rules.response_due(self.calendar(), case.reported, case.risk())
    }

    /// Whether a case had at `time` a response or follow-up overdue.
    fn is_overdue(&self, case: &Case, rules: &RuleSet, time: Instant) -> bool {
        let response = self.response_due(case, rules) <= time && case.first_response.is_none_or(|(at, _)| at >= time);
        response
            || case
                .follow_ups
                .iter()
                .any(|f| self.calendar().start(f.due.next()) <= time && f.completed.is_none_or(|(at, _)| at >= time))
    }

    fn evaluation(
        &self,
        subject: evaluation::Subject,
        name: &str,
        period: &Period,
        window: &Window<'_>,
        mut tally: Tally,
    ) -> v1::Evaluation {
        tally.response_times_s.sort_unstable();
        let score = score(&tally.fractions, window.rules);
        v1::Evaluation {
            subject: Some(subject),
            name: name.to_owned(),
            period: Some(period.to_proto(self.calendar())),
            indicators: (IndicatorKind::ReportingCompleteness as i32..)
                .zip(tally.fractions)
                .map(|(kind, fraction)| indicator(kind, fraction))
                .collect(),
            score,
            band: window.rules.band(score).to_owned(),
            activity: Some(v1::ActivityFigures {
                visits: tally.visits,
                pupils_reached: tally.pupils,
                exposure_signals: tally.signals,
                days_since_last_activity: tally
                    .last
                    .map(|last| u32::try_from((window.cut.0 - last.0) / DAY_NS).unwrap_or(0)),
            }),
            cases: Some(v1::CaseFigures {
                reported: tally.reported,
                open: tally.open,
                closed: tally.closed,
                overdue: tally.overdue,
                in_shelter: tally.in_shelter,
                first_response_median_s: nearest_rank(&tally.response_times_s, 50),
                first_response_p90_s: nearest_rank(&tally.response_times_s, 90),
            }),
            open_conflicts: tally.conflicts,
            basis: Some(self.basis(window.now, window.rules)),
            body: 0,
            missed: None,
        }
    }

    /// What figures of now are made of. The head's hash is for the caller to add.
    #[must_use]
    pub fn basis(&self, now: Instant, rules: &RuleSet) -> v1::Basis {
        v1::Basis {
            position: self.position,
            head_hash: Vec::new().into(),
            as_of: Some(now.to_proto()),
            rule_set: rules.name.clone(),
            sample_data: self.sample_data,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn score(fractions: &[Fraction; 6], rules: &RuleSet) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for ((numerator, denominator), weight) in fractions.iter().zip(rules.weights) {
        if *denominator > 0 {
            sum += weight * *numerator as f64 / *denominator as f64;
            weights += weight;
        }
    }
    (weights > 0.0).then(|| (100.0 * sum / weights * 100.0).round() / 100.0)
}

/// The element at rank ceil(p n / 100) of a sorted list, counted from 1.
fn nearest_rank(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

fn sort(list: &mut [v1::Evaluation], order: v1::EvaluationOrder) {
    use v1::EvaluationOrder as Order;
    // The list comes by code and the sort is stable, so equal ones stay by code; those without the figure come last.
    let silent = |e: &v1::Evaluation| e.activity.as_ref().and_then(|a| a.days_since_last_activity);
    let key = |score: Option<f64>, empty: f64| score.unwrap_or(empty);
    match order {
        Order::Unspecified => {}
        Order::ScoreAscending => list.sort_by(|a, b| key(a.score, f64::MAX).total_cmp(&key(b.score, f64::MAX))),
        Order::ScoreDescending => list.sort_by(|a, b| key(b.score, -1.0).total_cmp(&key(a.score, -1.0))),
        Order::Name => list.sort_by(|a, b| a.name.cmp(&b.name)),
        // Never active is the longest silence of all.
        Order::SilentLongest => list.sort_by_key(|e| std::cmp::Reverse(silent(e).map_or(u64::MAX, u64::from))),
    }
}
