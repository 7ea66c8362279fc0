//! Evaluations as a table for people, and as flat columns for spreadsheets.

use jiff::tz::TimeZone;
use satgas_proto::v1::{self, IndicatorKind};

use super::{Levels, basis, code};
use crate::{
    codes::Code as _,
    print::{Align, SAMPLE, Table, hex, shorten},
    time,
    told::figure,
};

/// Characters of a name; longer ones would push the figures off the screen.
const NAME_CHARS_MAX: usize = 22;
/// Every indicator, in the order in which they are shown.
pub(crate) const KINDS: [IndicatorKind; 6] = [
    IndicatorKind::ReportingCompleteness,
    IndicatorKind::ReportingTimeliness,
    IndicatorKind::SchoolCoverage,
    IndicatorKind::FollowUpDiscipline,
    IndicatorKind::ResponseWithinTarget,
    IndicatorKind::Training,
];

/// The line above the table: which period, and what the figures are made of.
pub(super) fn heading(levels: &Levels, zone: &TimeZone) -> String {
    let Some(first) = levels.asked.first() else { return "nothing to evaluate".to_owned() };
    let latest = levels.all().max_by_key(|evaluation| basis(evaluation).position).unwrap_or(first);
    let v1::Basis { head_hash, as_of, rule_set, .. } = basis(latest);
    let period = first.period.clone().unwrap_or_default();
    let (lowest, highest) = levels.positions();
    // The log moved on while the levels were read: subtotals may be ahead of their parts, and that is said.
    let position = if lowest == highest { highest.to_string() } else { format!("{lowest} to {highest}") };
    format!(
        "{} (from {}, before {})  as of {}  position {position}  head {}  rule set {rule_set}",
        period.code,
        time::show_day(period.start.as_ref(), zone),
        time::show_day(period.end.as_ref(), zone),
        time::show(as_of.as_ref(), zone),
        hex(&head_hash, 16),
    )
}

/// The table; `grouped` sets each kecamatan's subtotal under its kelurahan.
pub(super) fn table(levels: &Levels, grouped: bool) -> Table {
    let mut table = Table::new([
        ("code", Align::Left),
        ("name", Align::Left),
        ("score", Align::Right),
        ("reported", Align::Right),
        ("in time", Align::Right),
        ("schools", Align::Right),
        ("follow-ups", Align::Right),
        ("response", Align::Right),
        ("trained", Align::Right),
        ("visits", Align::Right),
        ("pupils", Align::Right),
        ("silent", Align::Right),
        ("cases", Align::Right),
        ("open", Align::Right),
        ("overdue", Align::Right),
        ("missed", Align::Right),
    ]);
    if grouped {
        for group in levels.asked.chunk_by(|a, b| parent(a) == parent(b)) {
            group.iter().for_each(|evaluation| table.row(row(evaluation)));
            let subtotal = levels.kecamatan.iter().filter(|above| code(above) == parent(&group[0]));
            for evaluation in subtotal {
                table.row(total_row(evaluation));
                table.gap();
            }
        }
    } else {
        levels.asked.iter().for_each(|evaluation| table.row(row(evaluation)));
        add_totals(&mut table, &levels.kecamatan);
    }
    add_totals(&mut table, &levels.kota);
    table
}

fn add_totals(table: &mut Table, totals: &[v1::Evaluation]) {
    if !totals.is_empty() {
        table.gap();
        totals.iter().for_each(|evaluation| table.row(total_row(evaluation)));
    }
}

/// Code of the area above.
fn parent(evaluation: &v1::Evaluation) -> &str {
    code(evaluation).rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn total_row(evaluation: &v1::Evaluation) -> Vec<String> {
    let mut cells = row(evaluation);
    cells[1] = format!("= {}", cells[1]);
    cells
}

fn row(evaluation: &v1::Evaluation) -> Vec<String> {
    let activity = evaluation.activity.unwrap_or_default();
    let cases = evaluation.cases.unwrap_or_default();
    let mut cells =
        vec![code(evaluation).to_owned(), shorten(&evaluation.name, NAME_CHARS_MAX), score(evaluation.score)];
    let shaping = evaluation.shaping.as_ref();
    cells.extend(KINDS.map(|kind| {
        let told = indicator(evaluation, kind).map_or_else(|| "-".to_owned(), with_percent);
        figure(shaping, &format!("indicators.{}", kind.word().replace('-', "_")), told)
    }));
    let silent = activity.days_since_last_activity.map_or_else(|| "-".to_owned(), |days| format!("{days} d"));
    cells.push(activity.visits.to_string());
    cells.push(figure(shaping, "activity.pupils_reached", activity.pupils_reached));
    cells.push(figure(shaping, "activity.days_since_last_activity", silent));
    cells.push(figure(shaping, "cases.reported", cases.reported));
    cells.push(figure(shaping, "cases.open", cases.open));
    cells.push(figure(shaping, "cases.overdue", cases.overdue));
    cells.push(missed(evaluation));
    cells
}

/// "2r 1f 3a": monthly reports, follow-ups and first answers that were missed, each when there are any; "-" when none.
fn missed(evaluation: &v1::Evaluation) -> String {
    let v1::MissedFigures { reports, follow_ups, responses } = evaluation.missed.unwrap_or_default();
    let kinds = [(reports, 'r'), (follow_ups, 'f'), (responses, 'a')];
    let some = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count}{kind}"));
    let cell = some.collect::<Vec<_>>().join(" ");
    if cell.is_empty() { "-".to_owned() } else { cell }
}

/// What stands in the last column, when anything does.
pub(super) fn legend(levels: &Levels) -> Option<&'static str> {
    let any = levels.all().any(|evaluation| evaluation.missed.unwrap_or_default() != v1::MissedFigures::default());
    any.then_some("missed deadlines: r monthly reports, f follow-ups, a first answers to cases")
}

/// The indicator of a kind.
pub(crate) fn indicator(evaluation: &v1::Evaluation, kind: IndicatorKind) -> Option<&v1::Indicator> {
    evaluation.indicators.iter().find(|indicator| indicator.kind() == kind)
}

/// "68.25", or "n/a" where nothing could be measured.
pub(crate) fn score(score: Option<f64>) -> String {
    score.map_or_else(|| "n/a".to_owned(), |score| format!("{score:.2}"))
}

/// "9/12", or "n/a".
pub(crate) fn fraction(indicator: &v1::Indicator) -> String {
    let v1::Indicator { applicable, numerator, denominator, .. } = indicator;
    if *applicable { format!("{numerator}/{denominator}") } else { "n/a".to_owned() }
}

fn with_percent(indicator: &v1::Indicator) -> String {
    match (u128::from(indicator.numerator) * 200 + u128::from(indicator.denominator))
        .checked_div(u128::from(indicator.denominator) * 2)
    {
        Some(percent) if indicator.applicable => format!("{} {percent:>3}%", fraction(indicator)),
        _ => "n/a".to_owned(),
    }
}

/// One row each with every figure in a column of its own. Absent figures are empty cells, those that are not told say so.
pub(super) fn flat(evaluations: &[v1::Evaluation]) -> Table {
    let mut table = Table::new(
        [
            "subject",
            "code",
            "name",
            "period",
            "score",
            "reporting_completeness_num",
            "reporting_completeness_den",
            "reporting_timeliness_num",
            "reporting_timeliness_den",
            "school_coverage_num",
            "school_coverage_den",
            "follow_up_discipline_num",
            "follow_up_discipline_den",
            "response_within_target_num",
            "response_within_target_den",
            "training_num",
            "training_den",
            "visits",
            "pupils_reached",
            "exposure_signals",
            "days_since_last_activity",
            "cases_reported",
            "cases_open",
            "cases_closed",
            "cases_overdue",
            "in_shelter",
            "first_response_median_s",
            "first_response_p90_s",
            "open_conflicts",
            "missed_reports",
            "missed_follow_ups",
            "missed_responses",
            "body",
            "as_of",
            "position",
            "head_hash",
            "rule_set",
            "data",
        ]
        .map(|title| (title, Align::Left)),
    );
    evaluations.iter().for_each(|evaluation| table.row(flat_row(evaluation)));
    table
}

fn flat_row(evaluation: &v1::Evaluation) -> Vec<String> {
    let institution = matches!(evaluation.subject, Some(v1::evaluation::Subject::InstitutionId(_)));
    let mut cells = vec![
        if institution { "institution" } else { "area" }.to_owned(),
        code(evaluation).to_owned(),
        evaluation.name.clone(),
        evaluation.period.as_ref().map(|period| period.code.clone()).unwrap_or_default(),
        evaluation.score.map(|score| score.to_string()).unwrap_or_default(),
    ];
    for kind in KINDS {
        let figures = indicator(evaluation, kind).filter(|indicator| indicator.applicable);
        cells.push(absent_or(figures.map(|indicator| indicator.numerator)));
        cells.push(absent_or(figures.map(|indicator| indicator.denominator)));
    }
    let told = |path: &str, number: u64| figure(evaluation.shaping.as_ref(), path, number);
    let activity = evaluation.activity.unwrap_or_default();
    cells.push(activity.visits.to_string());
    cells.push(told("activity.pupils_reached", activity.pupils_reached));
    cells.push(told("activity.exposure_signals", activity.exposure_signals));
    cells.push(absent_or(activity.days_since_last_activity));
    let cases = evaluation.cases.unwrap_or_default();
    cells.push(told("cases.reported", cases.reported));
    cells.push(told("cases.open", cases.open));
    cells.push(told("cases.closed", cases.closed));
    cells.push(told("cases.overdue", cases.overdue));
    cells.push(told("cases.in_shelter", cases.in_shelter));
    cells.push(absent_or(cases.first_response_median_s));
    cells.push(absent_or(cases.first_response_p90_s));
    cells.push(told("open_conflicts", evaluation.open_conflicts));
    let missed = evaluation.missed;
    cells.push(absent_or(missed.map(|missed| missed.reports)));
    cells.push(absent_or(missed.map(|missed| told("missed.follow_ups", missed.follow_ups))));
    cells.push(absent_or(missed.map(|missed| told("missed.responses", missed.responses))));
    cells.push(body(evaluation));
    let basis = basis(evaluation);
    cells.push(basis.as_of.as_ref().and_then(time::from_proto).map(|time| time.to_string()).unwrap_or_default());
    cells.push(basis.position.to_string());
    cells.push(hex(&basis.head_hash, 64));
    cells.push(basis.rule_set);
    cells.push(if basis.sample_data { SAMPLE } else { "" }.to_owned());
    cells
}

/// Whose figures an area shows; empty for an institution.
pub(crate) fn body(evaluation: &v1::Evaluation) -> String {
    match (&evaluation.subject, evaluation.body()) {
        (Some(v1::evaluation::Subject::InstitutionId(_)), _) => String::new(),
        (_, v1::EvaluatedBody::Unspecified) => v1::EvaluatedBody::Kelurahan.word(),
        (_, body) => body.word(),
    }
}

fn absent_or<N: ToString>(figure: Option<N>) -> String {
    figure.map(|figure| figure.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(area: &str, name: &str, position: u64) -> v1::Evaluation {
        let completeness = v1::Indicator {
            kind: IndicatorKind::ReportingCompleteness.into(),
            applicable: true,
            numerator: 2,
            denominator: 3,
        };
        let coverage = v1::Indicator { kind: IndicatorKind::SchoolCoverage.into(), ..Default::default() };
        v1::Evaluation {
            subject: Some(v1::evaluation::Subject::AreaCode(area.into())),
            name: name.into(),
            period: Some(v1::Period { code: "2026-Q1".into(), ..Default::default() }),
            indicators: vec![completeness, coverage],
            score: Some(66.67),
            basis: Some(v1::Basis {
                position,
                head_hash: vec![0xab; 32].into(),
                rule_set: "bawaan-1".into(),
                sample_data: true,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn city() -> Levels {
        Levels {
            asked: vec![
                evaluation("53.71.01.1001", "Kelurahan Satu", 7),
                evaluation("53.71.01.1002", "Kelurahan Dua", 7),
                evaluation("53.71.02.1001", "Kelurahan Tiga", 7),
            ],
            kecamatan: vec![evaluation("53.71.01", "Kecamatan A", 7), evaluation("53.71.02", "Kecamatan B", 7)],
            kota: vec![evaluation("53.71", "Kota Contoh", 7)],
        }
    }

    fn first_cells(table: &Table) -> Vec<String> {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 200), "{text}");
        text.lines().skip(1).map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn each_kecamatan_stands_under_its_kelurahan_and_the_city_at_the_end() {
        let expected = ["53.71.01.1001", "53.71.01.1002", "53.71.01", "", "53.71.02.1001", "53.71.02", "", "53.71"];
        assert_eq!(first_cells(&table(&city(), true)), expected);
    }

    #[test]
    fn in_another_order_the_totals_follow_after_all_kelurahan() {
        let expected = ["53.71.01.1001", "53.71.01.1002", "53.71.02.1001", "", "53.71.01", "53.71.02", "", "53.71"];
        assert_eq!(first_cells(&table(&city(), false)), expected);
    }

    #[test]
    fn an_indicator_is_its_fraction_with_a_rounded_percentage_or_not_applicable() {
        let cells = row(&city().asked[0]);
        assert_eq!(cells[2..6], ["66.67", "2/3  67%", "-", "n/a"]);
    }

    #[test]
    fn missed_deadlines_are_told_by_their_kind_and_explained_when_there_are_any() {
        let mut levels = city();
        assert_eq!((row(&levels.asked[0]).pop(), legend(&levels)), (Some("-".to_owned()), None));
        levels.asked[0].missed = Some(v1::MissedFigures { reports: 2, follow_ups: 0, responses: 1 });
        assert_eq!(row(&levels.asked[0]).pop(), Some("2r 1a".to_owned()));
        assert!(legend(&levels).is_some());
    }

    #[test]
    fn the_heading_names_what_the_figures_are_made_of() {
        let mut levels = city();
        let text = heading(&levels, &TimeZone::UTC);
        assert!(text.contains("position 7  head abababababababab  rule set bawaan-1"), "{text}");
        levels.kota[0].basis.as_mut().unwrap().position = 9;
        assert!(heading(&levels, &TimeZone::UTC).contains("position 7 to 9"));
    }

    #[test]
    fn flat_columns_keep_both_sides_of_a_fraction_and_mark_sample_data() {
        let mut out = Vec::new();
        flat(&city().asked).write_csv(&mut out).unwrap();
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let header = reader.headers().unwrap().clone();
        let row = reader.records().next().unwrap().unwrap();
        let cell = |name: &str| &row[header.iter().position(|column| column == name).unwrap()];
        assert_eq!((cell("reporting_completeness_num"), cell("reporting_completeness_den")), ("2", "3"));
        assert_eq!((cell("school_coverage_num"), cell("data")), ("", "DATA CONTOH"));
        assert_eq!((cell("missed_reports"), cell("body")), ("", "kelurahan"));
    }
}
