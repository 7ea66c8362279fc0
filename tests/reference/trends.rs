//! Evaluations beside those of other periods: intervals, changes and ranks.

use jiff::Timestamp;
use satgas_proto::v1::{self, AreaLevel, EvaluatedBody};

use super::{Subject, ledger::Ledger, lists::is_inside, real, time::Period};

const Z: f64 = 1.959_963_984_540_054;

/// Wilson's interval of a fraction at 95 %.
pub(crate) fn wilson(numerator: u64, denominator: u64) -> (f64, f64) {
    let d = real(denominator);
    let p = real(numerator) / d;
    let whole = 1.0 + Z * Z / d;
    let centre = (p + Z * Z / (2.0 * d)) / whole;
    let half = Z / whole * (p * (1.0 - p) / d + Z * Z / (4.0 * d * d)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The later fraction less the earlier, with Newcombe's interval. Each is a numerator and a denominator that is not 0.
pub(crate) fn change(later: (u64, u64), earlier: (u64, u64)) -> v1::IndicatorChange {
    let (p1, p2) = (real(later.0) / real(later.1), real(earlier.0) / real(earlier.1));
    let ((l1, u1), (l2, u2)) = (wilson(later.0, later.1), wilson(earlier.0, earlier.1));
    let low = p1 - p2 - ((p1 - l1).powi(2) + (u2 - p2).powi(2)).sqrt();
    let high = p1 - p2 + ((u1 - p1).powi(2) + (p2 - l2).powi(2)).sqrt();
    v1::IndicatorChange { difference: p1 - p2, low, high, is_clear: low > 0.0 || high < 0.0 }
}

/// Code of the period of the same length before this one.
pub(crate) fn before(period: &str) -> String {
    let year = year(period);
    let earlier = |number: i16, in_a_year: i16| if number == 1 { (year - 1, in_a_year) } else { (year, number - 1) };
    let number = |from: usize| period[from..].parse().expect("a period ends with a number");
    match &period[4..] {
        "" => (year - 1).to_string(),
        part if part.starts_with("-S") => {
            let (year, semester) = earlier(number(6), 2);
            format!("{year}-S{semester}")
        }
        part if part.starts_with("-Q") => {
            let (year, quarter) = earlier(number(6), 4);
            format!("{year}-Q{quarter}")
        }
        _ => {
            let (year, month) = earlier(number(5), 12);
            format!("{year}-{month:02}")
        }
    }
}

/// Code of the same period a year earlier.
pub(crate) fn year_before(period: &str) -> String {
    format!("{}{}", year(period) - 1, &period[4..])
}

fn year(period: &str) -> i16 {
    period[..4].parse().expect("a period begins with its year")
}

impl Ledger {
    /// The trends of those of a level inside an area, by code or id.
    pub(crate) fn trends(
        &self,
        level: AreaLevel,
        body: EvaluatedBody,
        prefix: &str,
        period: &str,
        now: Timestamp,
    ) -> Vec<v1::Trend> {
        let everybody = self.listed(level, body, "", period, now);
        let scores: Vec<(Subject, f64)> = everybody
            .into_iter()
            .filter_map(|subject| {
                let score = self.evaluate(&subject, period, now).score?;
                Some((subject, score))
            })
            .collect();
        let listed = self.listed(level, body, prefix, period, now);
        listed.iter().map(|subject| self.trend(subject, &scores, period, now)).collect()
    }

    fn trend(&self, subject: &Subject, scores: &[(Subject, f64)], period: &str, now: Timestamp) -> v1::Trend {
        let evaluation = self.evaluate(subject, period, now);
        let previous = self.evaluate(subject, &before(period), now);
        let year_before = self.evaluate(subject, &year_before(period), now);
        let mut indicators = Vec::new();
        for (index, indicator) in evaluation.indicators.iter().enumerate() {
            let interval = indicator.applicable.then(|| wilson(indicator.numerator, indicator.denominator));
            indicators.push(v1::IndicatorTrend {
                kind: indicator.kind,
                low: interval.map(|(low, _)| low),
                high: interval.map(|(_, high)| high),
                previous: change_of(indicator, &previous.indicators[index]),
                year_before: change_of(indicator, &year_before.indicators[index]),
            });
        }
        let less = |earlier: Option<f64>| Some(evaluation.score? - earlier?);
        let area = self.area_of(subject, period, now);
        let rank_within = |segments: usize, lowest: usize| {
            let score = evaluation.score?;
            let parts: Vec<&str> = area.split('.').collect();
            (parts.len() >= lowest).then(|| self.rank(score, scores, &parts[..segments].join("."), period, now))
        };
        v1::Trend {
            rank_in_kota: rank_within(2, 3),
            rank_in_kecamatan: rank_within(3, 4),
            score_change_previous: less(previous.score),
            score_change_year_before: less(year_before.score),
            indicators,
            evaluation: Some(evaluation),
            previous: Some(previous),
            year_before: Some(year_before),
            shaping: None,
        }
    }

    /// The place of a score among those of an area.
    fn rank(&self, score: f64, scores: &[(Subject, f64)], area: &str, period: &str, now: Timestamp) -> v1::Rank {
        let mut rank = v1::Rank { rank: 1, of: 0 };
        for (other, others_score) in scores {
            if is_inside(&self.area_of(other, period, now), area) {
                rank.of += 1;
                rank.rank += u32::from(*others_score > score);
            }
        }
        rank
    }

    /// The area itself, or that in which an institution stands on day d of the cut.
    fn area_of(&self, subject: &Subject, period: &str, now: Timestamp) -> String {
        match subject {
            Subject::Area(code) | Subject::InstitutionsIn(code) => code.clone(),
            Subject::Institution(id) => self.stands_in(id, self.day_of_cut(&Period::parse(period, &self.zone), now)),
        }
    }
}

fn change_of(later: &v1::Indicator, earlier: &v1::Indicator) -> Option<v1::IndicatorChange> {
    let fraction = |indicator: &v1::Indicator| (indicator.numerator, indicator.denominator);
    let both = later.applicable && earlier.applicable;
    both.then(|| change(fraction(later), fraction(earlier)))
}
