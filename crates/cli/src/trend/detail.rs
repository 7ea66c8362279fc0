//! One trend in full: each indicator with its interval, and both changes with theirs.

use std::io;

use jiff::tz::TimeZone;
use satgas_proto::v1::{self, IndicatorKind};

use super::{
    Against, arrow, change, code, rank,
    sheet::{heading, of_kind, percent, period},
};
use crate::{
    codes::Code as _,
    evaluate::{KINDS, fraction, indicator, score},
    print::{Align, Table},
};

/// What the intervals are.
const LEGEND: &str = "Changes are percentage points. In [ ] what they lie between at 95 % (Wilson, Newcombe); not clear: the interval holds 0, \
                      the numbers are too small to speak of a change.";

/// Writes it.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write(out: &mut impl io::Write, trend: &v1::Trend, zone: &TimeZone) -> io::Result<()> {
    let evaluation = trend.evaluation.clone().unwrap_or_default();
    writeln!(out, "{} {}", code(trend), evaluation.name)?;
    writeln!(out, "{}\n", heading(Some(trend), Against::Previous, zone))?;
    writeln!(
        out,
        "score {}  rank in the kota {}  in the kecamatan {}",
        score(evaluation.score),
        rank(trend.rank_in_kota),
        rank(trend.rank_in_kecamatan),
    )?;
    for (against, other, difference) in [
        ("the period before", &trend.previous, trend.score_change_previous),
        ("a year earlier", &trend.year_before, trend.score_change_year_before),
    ] {
        let other_score = score(other.as_ref().and_then(|evaluation| evaluation.score));
        writeln!(out, "  {}, {against}: {other_score}, change {}", period(other.as_ref()), change(difference))?;
    }
    writeln!(out)?;
    table(trend, &evaluation).write(out)?;
    writeln!(out, "\n{LEGEND}")
}

fn table(trend: &v1::Trend, evaluation: &v1::Evaluation) -> Table {
    let titles = [
        ("indicator".to_owned(), Align::Left),
        (period(Some(evaluation)), Align::Left),
        (period(trend.previous.as_ref()), Align::Left),
        ("change".to_owned(), Align::Left),
        (period(trend.year_before.as_ref()), Align::Left),
        ("change".to_owned(), Align::Left),
    ];
    let mut table = Table::of(titles);
    for kind in KINDS {
        let of_kind = of_kind(trend, kind).copied().unwrap_or_default();
        let shown = |other: &Option<v1::Evaluation>| of_period(other.as_ref(), kind);
        let mut now = of_period(Some(evaluation), kind);
        if let Some((low, high)) = of_kind.low.zip(of_kind.high) {
            now.push_str(&format!("  [{:.0}% to {:.0}%]", low * 100.0, high * 100.0));
        }
        table.row(vec![
            kind.label(),
            now,
            shown(&trend.previous),
            changed(of_kind.previous),
            shown(&trend.year_before),
            changed(of_kind.year_before),
        ]);
    }
    table
}

/// "7/8  88%", or "n/a".
fn of_period(evaluation: Option<&v1::Evaluation>, kind: IndicatorKind) -> String {
    let Some(indicator) = evaluation.and_then(|evaluation| indicator(evaluation, kind)) else { return "-".to_owned() };
    match percent(indicator) {
        Some(percent) => format!("{} {percent:>3.0}%", fraction(indicator)),
        None => fraction(indicator),
    }
}

/// "↑ +63 [15 to 83]", with "not clear" behind it where the interval holds 0; "-" where there is nothing to compare.
fn changed(change: Option<v1::IndicatorChange>) -> String {
    let Some(change) = change else { return "-".to_owned() };
    let v1::IndicatorChange { difference, low, high, is_clear } = change;
    let [difference, low, high] = [difference, low, high].map(|part| part * 100.0);
    let unclear = if is_clear { "" } else { " not clear" };
    format!("{} {difference:+.0} [{low:.0} to {high:.0}]{unclear}", arrow(Some(&change)).trim_end_matches('?'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trend::tests::trend;

    #[test]
    fn every_change_stands_with_its_interval_and_says_when_it_is_not_clear() {
        let mut out = Vec::new();
        write(&mut out, &trend("53.71.04.1001"), &TimeZone::UTC).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().find(|line| line.starts_with("school coverage")).unwrap();
        for expected in ["7/8  88%  [53% to 98%]", "2/8  25%", "↑ +62 [15 to 83]  8/8", "↓ -12 [-47 to 20] not clear"]
        {
            assert!(line.contains(expected), "{expected} in {line}");
        }
        assert!(text.contains("rank in the kota 3/51  in the kecamatan -"), "{text}");
        assert!(text.contains("2025-Q1, a year earlier: 100.00, change -12.50"), "{text}");
    }
}
