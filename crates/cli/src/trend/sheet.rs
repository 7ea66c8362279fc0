//! Trends as a table for people, and as flat columns for spreadsheets.

use std::io;

use jiff::tz::TimeZone;
use satgas_proto::v1::{self, IndicatorKind};

use super::{Against, arrow, change, code, rank};
use crate::{
    codes::Code as _,
    evaluate::{KINDS, basis, indicator, score},
    print::{Align, SAMPLE, Table, hex, shorten},
    time,
};

/// Characters of a name; longer ones would push the figures off the screen.
const NAME_CHARS_MAX: usize = 22;
/// What the marks of the table say.
const LEGEND: &str = "↑ ↓ = against that period, each indicator as a percentage; ? the numbers are too small to speak of a change (95 %)";

/// Writes the table under a heading.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write(
    out: &mut impl io::Write,
    trends: &[v1::Trend],
    against: Against,
    zone: &TimeZone,
) -> io::Result<()> {
    writeln!(out, "{}", heading(trends.first(), against, zone))?;
    table(trends, against).write(out)?;
    writeln!(out, "\n{LEGEND}")
}

/// Which periods, and what the figures are made of.
pub(super) fn heading(trend: Option<&v1::Trend>, against: Against, zone: &TimeZone) -> String {
    let Some(trend) = trend else { return "nothing to evaluate".to_owned() };
    let evaluation = trend.evaluation.clone().unwrap_or_default();
    let v1::Basis { position, head_hash, as_of, rule_set, .. } = basis(&evaluation);
    let other = match against {
        Against::Previous => &trend.previous,
        Against::YearBefore => &trend.year_before,
    };
    format!(
        "{} against {}  as of {}  position {position}  head {}  rule set {rule_set}",
        period(Some(&evaluation)),
        period(other.as_ref()),
        time::show(as_of.as_ref(), zone),
        hex(&head_hash, 16),
    )
}

/// The code of the period that an evaluation is of.
pub(super) fn period(evaluation: Option<&v1::Evaluation>) -> String {
    let period = evaluation.and_then(|evaluation| evaluation.period.as_ref());
    period.map_or_else(|| "-".to_owned(), |period| period.code.clone())
}

fn table(trends: &[v1::Trend], against: Against) -> Table {
    let right = |title: &'static str| (title, Align::Right);
    let mut table = Table::new([
        ("code", Align::Left),
        ("name", Align::Left),
        right("score"),
        right("change"),
        right("in kota"),
        right("in kecamatan"),
        right("reported"),
        right("in time"),
        right("schools"),
        right("follow-ups"),
        right("response"),
        right("trained"),
    ]);
    trends.iter().for_each(|trend| table.row(row(trend, against)));
    table
}

fn row(trend: &v1::Trend, against: Against) -> Vec<String> {
    let evaluation = trend.evaluation.clone().unwrap_or_default();
    let mut cells = vec![
        code(trend).to_owned(),
        shorten(&evaluation.name, NAME_CHARS_MAX),
        score(evaluation.score),
        change(match against {
            Against::Previous => trend.score_change_previous,
            Against::YearBefore => trend.score_change_year_before,
        }),
        rank(trend.rank_in_kota),
        rank(trend.rank_in_kecamatan),
    ];
    cells.extend(KINDS.map(|kind| cell(trend, &evaluation, kind, against)));
    cells
}

/// " 88% ↑?": the percentage, and the arrow in a field of its own width so that percentages line up.
fn cell(trend: &v1::Trend, evaluation: &v1::Evaluation, kind: IndicatorKind, against: Against) -> String {
    let Some(percent) = indicator(evaluation, kind).and_then(percent) else { return "n/a   ".to_owned() };
    let of_kind = of_kind(trend, kind);
    let change = of_kind.and_then(|indicator| match against {
        Against::Previous => indicator.previous.as_ref(),
        Against::YearBefore => indicator.year_before.as_ref(),
    });
    format!("{percent:.0}% {:<2}", arrow(change))
}

/// How an indicator of a kind has changed.
pub(super) fn of_kind(trend: &v1::Trend, kind: IndicatorKind) -> Option<&v1::IndicatorTrend> {
    trend.indicators.iter().find(|indicator| indicator.kind() == kind)
}

/// The percentage of an indicator that applies.
pub(super) fn percent(indicator: &v1::Indicator) -> Option<f64> {
    let defined = indicator.applicable && indicator.denominator > 0;
    defined.then(|| indicator.numerator as f64 * 100.0 / indicator.denominator as f64)
}

/// One row each with every figure in a column of its own. Absent figures are empty cells.
pub(super) fn flat(trends: &[v1::Trend]) -> Table {
    let named = columns(&v1::Trend::default());
    let mut table = Table::of(named.into_iter().map(|(name, _)| (name, Align::Left)));
    trends.iter().for_each(|trend| table.row(columns(trend).into_iter().map(|(_, cell)| cell).collect()));
    table
}

fn columns(trend: &v1::Trend) -> Vec<(String, String)> {
    let evaluation = trend.evaluation.clone().unwrap_or_default();
    let text = |name: &str, text: String| (name.to_owned(), text);
    let mut columns = vec![
        text("code", code(trend).to_owned()),
        text("name", evaluation.name.clone()),
        text("period", period(Some(&evaluation))),
        text("previous_period", period(trend.previous.as_ref())),
        text("year_before_period", period(trend.year_before.as_ref())),
        text("score", number(evaluation.score)),
        text("score_change_previous", number(trend.score_change_previous)),
        text("score_change_year_before", number(trend.score_change_year_before)),
    ];
    for (name, rank) in [("kota", trend.rank_in_kota), ("kecamatan", trend.rank_in_kecamatan)] {
        columns.push((format!("rank_in_{name}"), number(rank.map(|rank| rank.rank))));
        columns.push((format!("ranked_in_{name}"), number(rank.map(|rank| rank.of))));
    }
    for kind in KINDS {
        columns.extend(indicator_columns(trend, &evaluation, kind));
    }
    let basis = basis(&evaluation);
    columns.extend([
        text("as_of", basis.as_of.as_ref().and_then(time::from_proto).map(|time| time.to_string()).unwrap_or_default()),
        text("position", basis.position.to_string()),
        text("head_hash", hex(&basis.head_hash, 64)),
        text("rule_set", basis.rule_set),
        text("data", if basis.sample_data { SAMPLE } else { "" }.to_owned()),
    ]);
    columns
}

fn indicator_columns(
    trend: &v1::Trend,
    evaluation: &v1::Evaluation,
    kind: IndicatorKind,
) -> impl Iterator<Item = (String, String)> {
    let word = kind.word().replace('-', "_");
    let of_kind = of_kind(trend, kind).copied().unwrap_or_default();
    let applying = indicator(evaluation, kind).filter(|indicator| indicator.applicable);
    let mut cells = vec![
        ("num".to_owned(), number(applying.map(|indicator| indicator.numerator))),
        ("den".to_owned(), number(applying.map(|indicator| indicator.denominator))),
        ("low".to_owned(), number(of_kind.low)),
        ("high".to_owned(), number(of_kind.high)),
    ];
    for (against, change) in [("previous", of_kind.previous), ("year_before", of_kind.year_before)] {
        cells.push((format!("change_{against}"), number(change.map(|change| change.difference))));
        cells.push((format!("change_{against}_low"), number(change.map(|change| change.low))));
        cells.push((format!("change_{against}_high"), number(change.map(|change| change.high))));
        cells.push((format!("change_{against}_is_clear"), number(change.map(|change| change.is_clear))));
    }
    cells.into_iter().map(move |(name, cell)| (format!("{word}_{name}"), cell))
}

fn number<N: ToString>(number: Option<N>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trend::tests::trend;

    #[test]
    fn a_row_has_its_ranks_and_an_arrow_for_each_indicator() {
        let cells = row(&trend("53.71.04.1001"), Against::Previous);
        assert_eq!(cells[2..6], ["87.50", "+62.50", "3/51", "-"]);
        assert_eq!((cells[6].trim(), cells[8].trim()), ("n/a", "88% ↑"));
        let cells = row(&trend("53.71.04.1001"), Against::YearBefore);
        assert_eq!((cells[3].as_str(), cells[8].as_str()), ("-12.50", "88% ↓?"));
    }

    #[test]
    fn the_heading_names_both_periods_and_the_basis() {
        let text = heading(Some(&trend("53.71")), Against::YearBefore, &TimeZone::UTC);
        assert!(text.starts_with("2026-Q1 against 2025-Q1") && text.contains("position 7"), "{text}");
    }

    #[test]
    fn flat_columns_hold_both_comparisons_with_their_intervals() {
        let mut out = Vec::new();
        flat(&[trend("53.71.04.1001")]).write_csv(&mut out).unwrap();
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let header = reader.headers().unwrap().clone();
        let row = reader.records().next().unwrap().unwrap();
        let cell = |name: &str| &row[header.iter().position(|column| column == name).unwrap()];
        assert_eq!(
            (cell("school_coverage_change_previous"), cell("school_coverage_change_previous_is_clear")),
            ("0.625", "true")
        );
        assert_eq!(cell("school_coverage_change_year_before_is_clear"), "false");
        assert_eq!((cell("training_num"), cell("training_change_previous_is_clear")), ("", ""));
        assert_eq!((cell("rank_in_kota"), cell("ranked_in_kota"), cell("rank_in_kecamatan")), ("3", "51", ""));
    }
}
