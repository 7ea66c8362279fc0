//! `satgas trend`: evaluations beside those of the period before and of a year earlier.
//!
//! Invariant: no difference, interval or rank is reckoned here. What the server does not call clear is marked wherever it is shown.

mod detail;
mod sheet;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ValueEnum;
use satgas_proto::v1::{self, AreaLevel};

use crate::{
    as_of, codes,
    connect::{Connection, Log, unary},
    evaluate::{self, Body},
    pages,
    print::{self, ListFormat},
};

/// Which areas, when, and how to print it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Period: 2026 (year), 2026-S1 (semester), 2026-Q1 (quarter) or 2026-01 (month) [default: the current month]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    period: String,
    /// Only areas whose code begins with these segments, such as 53.71.04. A whole code of the level shows that area in detail
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// kelurahan, kecamatan or kota; institution lists each institution in the areas
    #[arg(long, default_value = "kelurahan", value_parser = codes::parse::<AreaLevel>)]
    level: AreaLevel,
    #[command(flatten)]
    body: Body,
    /// What the table's changes and arrows compare with
    #[arg(long, value_enum, default_value_t = Against::Previous)]
    against: Against,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How it is printed. JSON and CSV hold both comparisons
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// What a period is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// The period before
    Previous,
    /// The same period a year earlier
    YearBefore,
}

/// Asks and prints.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let trends = ask(&args, server, &log).await?;
    if args.format != ListFormat::Table {
        print::list(args.format, &trends, &sheet::flat(&trends), log.sample_data)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    match &*trends {
        [] => writeln!(out, "nothing to evaluate")?,
        [only] if code(only) == args.area => detail::write(&mut out, only, &log.zone)?,
        all => sheet::write(&mut out, all, args.against, &log.zone)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(args: &Args, server: &Connection, log: &Log) -> anyhow::Result<Vec<v1::Trend>> {
    let request = v1::ListTrendsRequest {
        period: args.period.clone(),
        area_prefix: args.area.clone(),
        level: args.level.into(),
        body: args.body.asked().into(),
        page_size: 1_000,
        as_of: args.as_of.moment(log)?,
        ..Default::default()
    };
    let mut client = server.evaluations();
    let trends = pages::all(async |page_token| {
        let request = v1::ListTrendsRequest { page_token, ..request.clone() };
        let page = client.list_trends(unary(request)).await?.into_inner();
        Ok((page.trends, page.next_page_token))
    });
    Ok(trends.await?)
}

/// Area code or institution id.
fn code(trend: &v1::Trend) -> &str {
    trend.evaluation.as_ref().map_or("-", evaluate::code)
}

/// "3/51", or "-" where there is no rank.
fn rank(rank: Option<v1::Rank>) -> String {
    rank.map_or_else(|| "-".to_owned(), |v1::Rank { rank, of }| format!("{rank}/{of}"))
}

/// "+4.20", or "-" where there is nothing to compare.
fn change(change: Option<f64>) -> String {
    change.map_or_else(|| "-".to_owned(), |change| format!("{change:+.2}"))
}

/// The direction of a change: `↑`, `↓` or `=`, with `?` behind it where the numbers are too small to speak of one.
fn arrow(change: Option<&v1::IndicatorChange>) -> &'static str {
    match change {
        None => "",
        Some(change) if change.difference == 0.0 => "=",
        Some(change) => match (change.difference > 0.0, change.is_clear) {
            (true, true) => "↑",
            (true, false) => "↑?",
            (false, true) => "↓",
            (false, false) => "↓?",
        },
    }
}

/// An evaluation beside two others, for tests.
#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;
    use satgas_proto::v1::IndicatorKind;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn evaluation(code: &str, period: &str, numerator: u64) -> v1::Evaluation {
        v1::Evaluation {
            subject: Some(v1::evaluation::Subject::AreaCode(code.into())),
            name: "Kelurahan Contoh".into(),
            period: Some(v1::Period { code: period.into(), ..Default::default() }),
            indicators: vec![v1::Indicator {
                kind: IndicatorKind::SchoolCoverage.into(),
                applicable: true,
                numerator,
                denominator: 8,
            }],
            score: Some(12.5 * numerator as f64),
            basis: Some(v1::Basis { position: 7, rule_set: "bawaan-1".into(), ..Default::default() }),
            ..Default::default()
        }
    }

    /// Coverage rose from 2 of 8 to 7 of 8, which is clear, and fell from 8 of 8 a year ago, which is not.
    pub(crate) fn trend(code: &str) -> v1::Trend {
        let change = |difference, low, high, is_clear| Some(v1::IndicatorChange { difference, low, high, is_clear });
        v1::Trend {
            evaluation: Some(evaluation(code, "2026-Q1", 7)),
            previous: Some(evaluation(code, "2025-Q4", 2)),
            year_before: Some(evaluation(code, "2025-Q1", 8)),
            indicators: vec![v1::IndicatorTrend {
                kind: IndicatorKind::SchoolCoverage.into(),
                low: Some(0.529),
                high: Some(0.978),
                previous: change(0.625, 0.15, 0.83, true),
                year_before: change(-0.125, -0.47, 0.2, false),
            }],
            score_change_previous: Some(62.5),
            score_change_year_before: Some(-12.5),
            rank_in_kota: Some(v1::Rank { rank: 3, of: 51 }),
            rank_in_kecamatan: None,
            shaping: None,
        }
    }

    #[test]
    fn an_arrow_says_where_to_and_whether_that_means_anything() {
        let change = |difference, is_clear| v1::IndicatorChange { difference, is_clear, ..Default::default() };
        let arrows =
            [change(0.4, true), change(0.1, false), change(-0.4, true), change(-0.1, false), change(0.0, false)];
        assert_eq!(arrows.each_ref().map(|change| arrow(Some(change))), ["↑", "↑?", "↓", "↓?", "="]);
        assert_eq!(arrow(None), "");
    }

    #[test]
    fn the_comparison_of_the_table_is_chosen_and_the_period_before_is_the_first() {
        let args = |line: &[&str]| Line::parse_from([&["trend"], line].concat()).args;
        assert_eq!(args(&[]).against, Against::Previous);
        let of_institutions = args(&["--against", "year-before", "--body", "institution"]);
        assert_eq!(of_institutions.against, Against::YearBefore);
        assert_eq!(of_institutions.body.asked(), v1::EvaluatedBody::Institution);
    }
}
