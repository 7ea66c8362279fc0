//! Every figure of an evaluation in a column of its own, for CSV and Parquet.
//!
//! Invariant: what is undefined is absent, never 0: neither side of a fraction that does not apply, nor its percentage, nor a score of
//! nothing.

use satgas_proto::v1::{self, AreaLevel};

use super::table::{Field, Kind, Value};
use crate::{
    codes::Code as _,
    evaluate::{KINDS, basis, code, indicator},
    print::{SAMPLE, hex},
};

/// The columns, in the order of [`row`].
pub(super) fn fields() -> Vec<Field> {
    cells(AreaLevel::Kelurahan, &v1::Evaluation::default()).into_iter().map(|(field, _)| field).collect()
}

/// An evaluation as a row.
pub(super) fn row(level: AreaLevel, evaluation: &v1::Evaluation) -> Vec<Value> {
    cells(level, evaluation).into_iter().map(|(_, value)| value).collect()
}

/// The percentage of an indicator that applies, to two decimals like a score.
pub(super) fn percent(indicator: &v1::Indicator) -> Option<f64> {
    let defined = indicator.applicable && indicator.denominator > 0;
    defined.then(|| (indicator.numerator as f64 * 10_000.0 / indicator.denominator as f64).round() / 100.0)
}

fn cells(level: AreaLevel, evaluation: &v1::Evaluation) -> Vec<(Field, Value)> {
    let mut cells = subject(level, evaluation);
    cells.push((Field::optional("score", Kind::Real), Value::real(evaluation.score)));
    for kind in KINDS {
        cells.extend(fraction(&kind.word().replace('-', "_"), indicator(evaluation, kind)));
    }
    cells.extend(activity(evaluation.activity.unwrap_or_default()));
    cells.extend(cases(evaluation.cases.unwrap_or_default()));
    cells.push(count("open_conflicts", evaluation.open_conflicts));
    cells.extend(missed(evaluation.missed));
    cells.extend(standing(evaluation));
    cells
}

fn subject(level: AreaLevel, evaluation: &v1::Evaluation) -> Vec<(Field, Value)> {
    let period = evaluation.period.clone().unwrap_or_default();
    vec![
        (Field::required("level", Kind::Text), Value::Text(level.word())),
        (Field::required("code", Kind::Text), Value::Text(code(evaluation).to_owned())),
        (Field::required("name", Kind::Text), Value::Text(evaluation.name.clone())),
        (Field::required("period", Kind::Text), Value::Text(period.code)),
        (Field::optional("period_start", Kind::Time), Value::time(period.start.as_ref())),
        (Field::optional("period_end", Kind::Time), Value::time(period.end.as_ref())),
    ]
}

fn fraction(word: &str, indicator: Option<&v1::Indicator>) -> [(Field, Value); 4] {
    let applying = indicator.filter(|indicator| indicator.applicable);
    let field = |side: &str, kind| Field::optional(&format!("{word}_{side}"), kind);
    [
        (Field::required(&format!("{word}_applicable"), Kind::Flag), Value::Flag(applying.is_some())),
        (field("num", Kind::Count), Value::count(applying.map(|indicator| indicator.numerator))),
        (field("den", Kind::Count), Value::count(applying.map(|indicator| indicator.denominator))),
        (field("percent", Kind::Real), Value::real(applying.and_then(percent))),
    ]
}

fn activity(figures: v1::ActivityFigures) -> [(Field, Value); 4] {
    [
        count("visits", figures.visits),
        count("pupils_reached", figures.pupils_reached),
        count("exposure_signals", figures.exposure_signals),
        maybe("days_since_last_activity", figures.days_since_last_activity.map(u64::from)),
    ]
}

fn cases(figures: v1::CaseFigures) -> [(Field, Value); 7] {
    [
        count("cases_reported", figures.reported),
        count("cases_open", figures.open),
        count("cases_closed", figures.closed),
        count("cases_overdue", figures.overdue),
        count("in_shelter", figures.in_shelter),
        maybe("first_response_median_s", figures.first_response_median_s),
        maybe("first_response_p90_s", figures.first_response_p90_s),
    ]
}

/// Deadlines that passed unmet; absent where the server does not count them.
fn missed(figures: Option<v1::MissedFigures>) -> [(Field, Value); 3] {
    [
        maybe("missed_reports", figures.map(|figures| figures.reports)),
        maybe("missed_follow_ups", figures.map(|figures| figures.follow_ups)),
        maybe("missed_responses", figures.map(|figures| figures.responses)),
    ]
}

/// What the figures are made of.
fn standing(evaluation: &v1::Evaluation) -> [(Field, Value); 5] {
    let v1::Basis { position, head_hash, as_of, rule_set, sample_data } = basis(evaluation);
    [
        (Field::optional("as_of", Kind::Time), Value::time(as_of.as_ref())),
        count("position", position),
        (Field::required("head_hash", Kind::Text), Value::Text(hex(&head_hash, 64))),
        (Field::required("rule_set", Kind::Text), Value::Text(rule_set)),
        (Field::optional("data", Kind::Text), Value::text(if sample_data { SAMPLE } else { "" })),
    ]
}

fn count(name: &str, count: u64) -> (Field, Value) {
    (Field::required(name, Kind::Count), Value::Count(count))
}

fn maybe(name: &str, count: Option<u64>) -> (Field, Value) {
    (Field::optional(name, Kind::Count), Value::count(count))
}

#[cfg(test)]
mod tests {
    use satgas_proto::v1::IndicatorKind;

    use super::*;

    fn cell(evaluation: &v1::Evaluation, name: &str) -> Value {
        let found = cells(AreaLevel::Kota, evaluation).into_iter().find(|(field, _)| field.name == name);
        found.unwrap_or_else(|| panic!("a column {name}")).1
    }

    fn two_of_three() -> v1::Evaluation {
        let coverage = v1::Indicator {
            kind: IndicatorKind::SchoolCoverage.into(),
            applicable: true,
            numerator: 2,
            denominator: 3,
        };
        let training = v1::Indicator { kind: IndicatorKind::Training.into(), ..Default::default() };
        v1::Evaluation { indicators: vec![coverage, training], ..Default::default() }
    }

    #[test]
    fn a_fraction_that_applies_keeps_both_sides_and_its_percentage() {
        let evaluation = two_of_three();
        assert_eq!(cell(&evaluation, "school_coverage_num"), Value::Count(2));
        assert_eq!(cell(&evaluation, "school_coverage_den"), Value::Count(3));
        assert_eq!(cell(&evaluation, "school_coverage_percent"), Value::Real(66.67));
        assert_eq!(cell(&evaluation, "level"), Value::Text("kota".into()));
    }

    #[test]
    fn what_is_undefined_is_absent_and_never_zero() {
        let evaluation = two_of_three();
        for name in ["training_num", "training_den", "training_percent", "score", "first_response_p90_s", "data"] {
            assert_eq!(cell(&evaluation, name), Value::Absent, "{name}");
        }
        assert_eq!(cell(&evaluation, "training_applicable"), Value::Flag(false));
        assert_eq!(cell(&evaluation, "cases_open"), Value::Count(0));
    }

    #[test]
    fn no_two_columns_have_one_name() {
        let mut names: Vec<String> = fields().into_iter().map(|field| field.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
