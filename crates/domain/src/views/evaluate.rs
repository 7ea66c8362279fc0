//! Evaluations: `docs/evaluation.md` in code.
//!
//! A [`Window`] holds what is the same for every subject of a query; a [`Tally`] adds up one subject, or all that an area is the sum of.
//! What the indicators count stands in `indicators.rs`.

use std::ops::Range;

use satgas_proto::v1::{self, IndicatorKind, evaluation};

use super::{
    booking::{Cell, Counts, Ledger},
    known::Known,
    records::Content,
};
use crate::{
    case::Case,
    id::Level,
    registry::Scope,
    rules::RuleSet,
    time::{DAY_NS, Day, Instant, Month, Period},
};

/// Which records end the silence of a task force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All of them.
    Everything,
    /// Monthly reports and visits: for readers who must not learn where a case or a signal was reported.
    BesideCases,
}

impl Heard {
    fn hears(self, content: &Content) -> bool {
        self == Self::Everything || matches!(content, Content::Monitoring { .. } | Content::Visit { .. })
    }
}

/// Whose figures an area's evaluation adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Those of the kelurahan's own task forces.
    #[default]
    Kelurahan,
    /// Those of the institutions that stand in the area.
    Institutions,
}

/// Whom to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// An area of any level, by code.
    Area(&'a str, Body),
    /// An institution, by id.
    Institution(&'a str),
}

/// Which evaluations to list.
#[derive(Clone, Debug)]
pub struct ListQuery<'a> {
    /// The period.
    pub period: Period,
    /// Only areas within this prefix.
    pub prefix: &'a str,
    /// The level of the areas; none for each institution that stands in them.
    pub level: Option<Level>,
    /// Whose figures an area's evaluation adds up.
    pub body: Body,
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
    /// Months whose report is due by now, with the deadline.
    pub(super) months: Vec<(Month, Instant)>,
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
    pub(super) fn days_past(&self) -> Range<Day> {
        self.first_day..self.last_day.next().min(self.today)
    }
}

impl<'a> Known<'a> {
    /// Evaluates one subject, or `None` if it was not registered.
    #[must_use]
    pub fn evaluate(&self, subject: Subject<'_>, period: &Period) -> Option<v1::Evaluation> {
        let (scope, body) = self.find(subject)?;
        Some(self.evaluate_scope(scope, body, period, &self.window(period, None)))
    }

    /// The subject's index, if it was registered.
    pub(super) fn find(&self, subject: Subject<'_>) -> Option<(Scope, Body)> {
        let until = self.position();
        match subject {
            Subject::Area(code, body) => {
                let area = self.registry().find_area(code)?;
                let known = self.registry().area(area).history.first().position <= until;
                known.then_some((Scope::Area(area), body))
            }
            Subject::Institution(id) => {
                let institution = self.registry().find_institution(id)?;
                let known = self.registry().institution(institution).history.first().position <= until;
                known.then_some((Scope::Institution(institution), Body::Institutions))
            }
        }
    }

    /// Those that a query asks for, by code or id. They can be evaluated a few at a time: what is known at a moment does not change.
    #[must_use]
    pub fn listed(&self, query: &ListQuery<'a>) -> Vec<Scope> {
        let window = self.window(&query.period, query.draft);
        match query.level {
            Some(level) => self
                .areas_within(query.prefix)
                .filter(|(_, area)| area.level == level)
                .filter(|(index, _)| self.exists_within(Scope::Area(*index), &window))
                .map(|(index, _)| Scope::Area(index))
                .collect(),
            None => {
                let areas = self.kelurahan_within(query.prefix);
                let mut standing: Vec<u32> = areas
                    .flat_map(|area| self.institutions_in(area, window.cut_day).map(|(index, _)| index))
                    .filter(|index| self.exists_within(Scope::Institution(*index), &window))
                    .collect();
                standing.sort_by_key(|index| &self.registry().institution(*index).id);
                standing.into_iter().map(Scope::Institution).collect()
            }
        }
    }

    /// Those that a query asks for, and those that it asked for at an earlier moment: what has ended since is still to be compared.
    #[must_use]
    pub fn listed_since(&self, then: &Self, query: &ListQuery<'a>) -> Vec<Scope> {
        let mut listed = self.listed(query);
        listed.extend(then.listed(query));
        let registry = self.registry();
        listed.sort_by_key(|scope| match scope {
            Scope::Area(area) => &registry.area(*area).code,
            Scope::Institution(institution) => &registry.institution(*institution).id,
        });
        listed.dedup();
        listed
    }

    /// Whether an area or institution exists at some time of a period.
    pub(super) fn exists_within(&self, scope: Scope, window: &Window<'_>) -> bool {
        let valid = match scope {
            Scope::Area(area) => self.registry().area(area).history.known(self.position()).map(|s| s.state.valid),
            Scope::Institution(institution) => {
                self.registry().institution(institution).history.known(self.position()).map(|s| s.state.valid)
            }
        };
        valid.is_some_and(|valid| valid.overlaps(self.calendar(), window.start, window.end))
    }

    /// Evaluates some of those that a query asks for, in their order.
    #[must_use]
    pub fn evaluations(&self, query: &ListQuery<'a>, listed: &[Scope]) -> Vec<v1::Evaluation> {
        let window = self.window(&query.period, query.draft);
        listed.iter().map(|scope| self.evaluate_scope(*scope, query.body, &query.period, &window)).collect()
    }

    pub(super) fn evaluate_scope(
        &self,
        scope: Scope,
        body: Body,
        period: &Period,
        window: &Window<'_>,
    ) -> v1::Evaluation {
        let mut tally = Tally::default();
        for (_, part) in self.parts(scope, body, window) {
            self.tally(part, window, &mut tally);
        }
        self.evaluation(scope, body, period, window, tally)
    }

    /// What the figures of a subject are sums over, each with the kelurahan that it is counted in.
    pub(super) fn parts(&self, scope: Scope, body: Body, window: &Window<'_>) -> Vec<(Option<u32>, Scope)> {
        let Scope::Area(area) = scope else { return vec![(None, scope)] };
        let kelurahan = self.kelurahan_within(self.code(area));
        match body {
            Body::Kelurahan => kelurahan.map(|area| (Some(area), Scope::Area(area))).collect(),
            Body::Institutions => kelurahan
                .flat_map(|area| self.institutions_in(area, window.cut_day).map(move |(index, _)| (area, index)))
                .map(|(area, index)| (Some(area), Scope::Institution(index)))
                .collect(),
        }
    }

    pub(super) fn window<'w>(&self, period: &Period, draft: Option<&'w RuleSet>) -> Window<'w>
    where
        'a: 'w,
    {
        let (calendar, now) = (self.calendar(), self.now());
        let rules = draft.unwrap_or_else(|| self.rules_of(period));
        let (first_day, after) = (period.first.first_day(), period.after().first_day());
        let (start, end) = (calendar.start(first_day), calendar.start(after));
        let cut = end.min(now);
        let last = cut.plus_ns(-1);
        let months = period.each_month().filter_map(|month| {
            let next = month.next().first_day();
            let deadline = calendar.start(Day(next.0 + rules.report_days));
            (deadline <= now).then_some((month, deadline))
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
        let ledger = self.views.ledger(scope);
        self.count_items(scope, window, &mut tally.fractions);
        self.tally_activity(ledger, window, tally);
        self.tally_cases(ledger, window, tally);
        tally.conflicts += self.open_conflicts(&ledger.conflicts);
    }

    fn tally_activity(&self, ledger: &Ledger, window: &Window<'_>, tally: &mut Tally) {
        for (month, cell) in ledger.months.range(window.first_month, window.last_month) {
            let counts = self.counts(month, cell);
            tally.visits += u64::from(counts.visits);
            tally.pupils += u64::from(counts.pupils);
            tally.signals += u64::from(counts.signals);
        }
        tally.last = tally.last.max(self.last_activity(ledger, window.cut_month, window.cut, Heard::Everything));
    }

    /// The counts of a cell: those of now when they were the same then.
    fn counts(&self, month: Month, cell: &Cell) -> Counts {
        if cell.changed_at <= self.position() {
            cell.counts
        } else {
            self.views.counts_at(cell, month, self.position())
        }
    }

    /// Latest occurred of a standing record that is heard and lies before `before`, which lies in or directly after `month`.
    pub(super) fn last_activity(
        &self,
        ledger: &Ledger,
        month: Month,
        before: Instant,
        heard: Heard,
    ) -> Option<Instant> {
        ledger.months.up_to(month).rev().find_map(|(month, cell)| {
            let last = self.counts(month, cell).last?;
            if heard == Heard::Everything && last < before {
                return Some(last);
            }
            let standing = self.views.links.of(cell.records).filter_map(|record| self.standing(record));
            let counts = standing.filter(|v| v.month == month && v.occurred < before && heard.hears(&v.content));
            counts.map(|v| v.occurred).max()
        })
    }

    fn tally_cases(&self, ledger: &Ledger, window: &Window<'_>, tally: &mut Tally) {
        let within = |at: Instant| window.start <= at && at < window.end;
        for index in &ledger.cases {
            let Some(case) = self.case_by_index(*index).filter(|case| !case.is_merged()) else { continue };
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
                    tally.overdue += u64::from(self.is_overdue(&case, window.rules, window.cut));
                }
            }
        }
    }

    /// Whether a case had at `time` a response or follow-up overdue.
    fn is_overdue(&self, case: &Case, rules: &RuleSet, time: Instant) -> bool {
        let due = rules.response_due(self.calendar(), case.reported, case.risk());
        let response = due <= time && case.first_response.is_none_or(|(at, _)| at >= time);
        response
            || case
                .follow_ups
                .iter()
                .any(|f| self.calendar().start(f.due.next()) <= time && f.completed.is_none_or(|(at, _)| at >= time))
    }

    fn evaluation(
        &self,
        scope: Scope,
        body: Body,
        period: &Period,
        window: &Window<'_>,
        mut tally: Tally,
    ) -> v1::Evaluation {
        tally.response_times_s.sort_unstable();
        let score = window.rules.score(&tally.fractions);
        let (subject, name, body) = self.subject(scope, body, window.cut_day);
        let missed = |kind: IndicatorKind| {
            let (met, due) = tally.fractions[kind as usize - IndicatorKind::ReportingCompleteness as usize];
            due - met
        };
        v1::Evaluation {
            subject: Some(subject),
            name,
            body: body.into(),
            missed: Some(v1::MissedFigures {
                reports: missed(IndicatorKind::ReportingTimeliness),
                follow_ups: missed(IndicatorKind::FollowUpDiscipline),
                responses: missed(IndicatorKind::ResponseWithinTarget),
            }),
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
            basis: Some(self.basis(window.rules)),
            shaping: None,
        }
    }

    /// Who is evaluated, by what it is called on a day.
    fn subject(&self, scope: Scope, body: Body, day: Day) -> (evaluation::Subject, String, v1::EvaluatedBody) {
        let until = self.position();
        match scope {
            Scope::Area(index) => {
                let area = self.registry().area(index);
                let name = area.history.on(day, until).map(|stated| stated.state.message.name.clone());
                let body = match body {
                    Body::Kelurahan => v1::EvaluatedBody::Kelurahan,
                    Body::Institutions => v1::EvaluatedBody::Institution,
                };
                (evaluation::Subject::AreaCode(area.code.clone()), name.unwrap_or_default(), body)
            }
            Scope::Institution(index) => {
                let institution = self.registry().institution(index);
                let name = institution.history.on(day, until).map(|stated| stated.state.message.name.clone());
                let subject = evaluation::Subject::InstitutionId(institution.id.clone());
                (subject, name.unwrap_or_default(), v1::EvaluatedBody::Unspecified)
            }
        }
    }
}

/// The element at rank ceil(p n / 100) of a sorted list, counted from 1.
fn nearest_rank(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Puts evaluations that come by code into an order.
pub fn sort(list: &mut [v1::Evaluation], order: v1::EvaluationOrder) {
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
