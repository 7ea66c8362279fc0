//! Evaluations beside those of other periods, and how much a difference means.
//!
//! Source of the intervals: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
//! Medicine 17 (1998), 873-890: method 10, of two Wilson intervals.

use std::collections::BTreeSet;

use satgas_proto::v1::{self, evaluation::Subject};

use super::{
    evaluate::{ListQuery, Window},
    known::Known,
};
use crate::{
    Map,
    id::Level,
    registry::Scope,
    time::{Month, Period},
};

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A score, and where it belongs.
#[derive(Clone, Debug)]
pub struct Placed {
    subject: Scope,
    kota: String,
    /// None above the kelurahan.
    kecamatan: Option<String>,
    score: Option<f64>,
}

/// Ranks among those of the same level in the same kota and kecamatan.
#[derive(Debug, Default)]
pub struct Ranks(Map<Scope, (Option<v1::Rank>, Option<v1::Rank>)>);

impl Ranks {
    /// Ranks by score.
    #[must_use]
    pub fn of(placed: &[Placed]) -> Self {
        let mut scores: Map<&str, Vec<f64>> = Map::default();
        for p in placed {
            let groups = [Some(&p.kota), p.kecamatan.as_ref()].into_iter().flatten();
            for group in groups {
                scores.entry(group).or_default().extend(p.score);
            }
        }
        scores.values_mut().for_each(|scores| scores.sort_by(f64::total_cmp));
        let rank = |group: &str, score: f64| {
            let scores = scores.get(group)?;
            let higher = scores.len() - scores.partition_point(|other| *other <= score);
            let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            Some(v1::Rank { rank: number(higher + 1), of: number(scores.len()) })
        };
        let ranks = placed.iter().filter_map(|p| {
            let score = p.score?;
            let in_kecamatan = p.kecamatan.as_ref().and_then(|kecamatan| rank(kecamatan, score));
            Some((p.subject, (rank(&p.kota, score), in_kecamatan)))
        });
        Self(ranks.collect())
    }
}

impl<'a> Known<'a> {
    /// The kota and kabupaten within which some of those that a query asks for are ranked. A kota is not ranked.
    #[must_use]
    pub fn ranked_within(&self, query: &ListQuery<'_>, listed: &[Scope]) -> BTreeSet<String> {
        if query.level == Some(Level::Kota) {
            return BTreeSet::new();
        }
        let day = self.window(&query.period, query.draft).cut_day;
        listed.iter().map(|subject| segments(self.code(self.area_on(*subject, day)), 2).to_owned()).collect()
    }

    /// Scores of some of those that a query asks for, to be ranked together with all others of their kota.
    #[must_use]
    pub fn placed(&self, query: &ListQuery<'a>, listed: &[Scope]) -> Vec<Placed> {
        let window = self.window(&query.period, query.draft);
        let place = |subject: &Scope| {
            let code = self.code(self.area_on(*subject, window.cut_day));
            let kecamatan = (query.level != Some(Level::Kecamatan)).then(|| segments(code, 3).to_owned());
            let score = self.evaluate_scope(*subject, query.body, &query.period, &window).score;
            Placed { subject: *subject, kota: segments(code, 2).to_owned(), kecamatan, score }
        };
        listed.iter().map(place).collect()
    }

    /// Trends of some of those that a query asks for, in their order.
    #[must_use]
    pub fn trends(&self, query: &ListQuery<'a>, listed: &[Scope], ranks: &Ranks) -> Vec<v1::Trend> {
        let period = &query.period;
        let back = |months: i32| Period { first: Month(period.first.0 - months), months: period.months };
        let (previous, year_before) = (back(period.months), back(12));
        let windows = [period, &previous, &year_before].map(|period| (period, self.window(period, query.draft)));
        let trend = |subject: &Scope| {
            let [evaluation, previous, year_before] =
                windows.each_ref().map(|(period, window): &(&Period, Window<'_>)| {
                    self.evaluate_scope(*subject, query.body, period, window)
                });
            let (in_kota, in_kecamatan) = ranks.0.get(subject).copied().unwrap_or_default();
            v1::Trend {
                indicators: indicator_trends(&evaluation, &previous, &year_before),
                score_change_previous: score_change(&evaluation, &previous),
                score_change_year_before: score_change(&evaluation, &year_before),
                evaluation: Some(evaluation),
                previous: Some(previous),
                year_before: Some(year_before),
                rank_in_kota: in_kota,
                rank_in_kecamatan: in_kecamatan,
                shaping: None,
            }
        };
        listed.iter().map(trend).collect()
    }
}

fn segments(code: &str, count: usize) -> &str {
    code.match_indices('.').nth(count - 1).map_or(code, |(end, _)| &code[..end])
}

pub(crate) fn score_change(later: &v1::Evaluation, earlier: &v1::Evaluation) -> Option<f64> {
    Some(((later.score? - earlier.score?) * 100.0).round() / 100.0)
}

pub(crate) fn indicator_trends(
    now: &v1::Evaluation,
    previous: &v1::Evaluation,
    year_before: &v1::Evaluation,
) -> Vec<v1::IndicatorTrend> {
    let others = previous.indicators.iter().zip(&year_before.indicators);
    let trend = |(now, (previous, year_before)): (&v1::Indicator, (&v1::Indicator, &v1::Indicator))| {
        let (low, high) = wilson(now).map(|(_, low, high)| (low, high)).unzip();
        v1::IndicatorTrend {
            kind: now.kind,
            low,
            high,
            previous: change(now, previous),
            year_before: change(now, year_before),
        }
    };
    now.indicators.iter().zip(others).map(trend).collect()
}

/// A fraction and its Wilson interval; none without a denominator.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn wilson(indicator: &v1::Indicator) -> Option<(f64, f64, f64)> {
    if indicator.denominator == 0 {
        return None;
    }
    let n = indicator.denominator as f64;
    let p = indicator.numerator as f64 / n;
    let spread = Z * Z / n;
    let centre = (p + spread / 2.0) / (1.0 + spread);
    let half = Z / (1.0 + spread) * (p * (1.0 - p) / n + spread / (4.0 * n)).sqrt();
    Some((p, (centre - half).max(0.0), (centre + half).min(1.0)))
}

fn change(later: &v1::Indicator, earlier: &v1::Indicator) -> Option<v1::IndicatorChange> {
    let ((p1, l1, u1), (p2, l2, u2)) = (wilson(later)?, wilson(earlier)?);
    let difference = p1 - p2;
    let low = difference - (p1 - l1).hypot(u2 - p2);
    let high = difference + (u1 - p1).hypot(p2 - l2);
    Some(v1::IndicatorChange { difference, low, high, is_clear: low > 0.0 || high < 0.0 })
}

/// The code of an evaluation's area, or the id of its institution.
#[must_use]
pub fn subject_code(evaluation: &v1::Evaluation) -> &str {
    match &evaluation.subject {
        Some(Subject::AreaCode(code) | Subject::InstitutionId(code)) => code,
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(numerator: u64, denominator: u64) -> v1::Indicator {
        v1::Indicator { kind: 1, applicable: denominator > 0, numerator, denominator }
    }

    /// Newcombe's own examples (1998, table II, method 10): 56/70 - 48/80, 9/10 - 3/10, 10/10 - 0/20.
    #[test]
    fn the_intervals_are_those_of_the_published_examples() {
        for (later, earlier, low, high) in
            [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 20), 0.6791, 1.0)]
        {
            let change = change(&fraction(later.0, later.1), &fraction(earlier.0, earlier.1)).unwrap();
            assert!((change.low - low).abs() < 5e-5 && (change.high - high).abs() < 5e-5, "{change:?}");
            assert!(change.is_clear);
        }
        assert!(!change(&fraction(1, 1), &fraction(0, 1)).unwrap().is_clear, "one of one says nothing");
        assert_eq!(change(&fraction(1, 1), &fraction(0, 0)), None);
    }

    #[test]
    fn equal_scores_share_a_rank() {
        let placed = |index, score| Placed {
            subject: Scope::Area(index),
            kota: "53.71".to_owned(),
            kecamatan: Some("53.71.01".to_owned()),
            score,
        };
        let ranks = Ranks::of(&[placed(0, Some(50.0)), placed(1, Some(80.0)), placed(2, Some(50.0)), placed(3, None)]);
        let rank = |index| ranks.0.get(&Scope::Area(index)).and_then(|(kota, _)| kota.map(|r| (r.rank, r.of)));
        assert_eq!([rank(0), rank(1), rank(2), rank(3)], [Some((2, 3)), Some((1, 3)), Some((2, 3)), None]);
    }
}
