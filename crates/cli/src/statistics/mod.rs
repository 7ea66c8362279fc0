//! `satgas statistics`: cases in the categories of Simfoni PPA, crossed.
//!
//! Invariant: what is printed is what the server counted, its sums too.

mod cross;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use jiff::tz::TimeZone;
use satgas_proto::v1::{self, Dimension};

use crate::{
    as_of,
    codes::{self, Code as _},
    connect::{Connection, Log, unary},
    print::{self, Align, ListFormat, SAMPLE, Table, hex},
    time,
};

pub(crate) use self::cross::{Cross, SUM, label};

/// Which cases, and what they are counted by.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// What cases are counted by, one to three: the first down, the second across, the third in blocks; such as violence,age
    #[arg(long, value_name = "DIMENSION,..", required = true, value_delimiter = ',', value_parser = codes::parse::<Dimension>)]
    pub(crate) by: Vec<Dimension>,
    /// Period in which they were reported, or the first of several: 2026, 2026-S1, 2026-Q1 or 2026-01 [default: the current year]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    pub(crate) from: String,
    /// Only of a kota or kecamatan, by its code, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub(crate) area: String,
    #[command(flatten)]
    pub(crate) as_of: as_of::Args,
}

impl Selection {
    /// Asks for the table of the periods up to `last`, which is the first alone when it is empty.
    ///
    /// # Errors
    /// When the call fails or its answer is no table.
    pub(crate) async fn ask(&self, last: &str, server: &Connection, log: &Log) -> anyhow::Result<Cross> {
        let request = v1::CrossTableRequest {
            first_period: self.from.clone(),
            last_period: last.to_owned(),
            area_prefix: self.area.clone(),
            dimensions: self.by.iter().map(|&dimension| dimension.into()).collect(),
            min_position: 0,
            as_of: self.as_of.moment(log)?,
        };
        Cross::of(server.statistics().cross_table(unary(request)).await?.into_inner())
    }
}

/// What to count, and how to print it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// The last of several periods, such as 2026-06 [default: the first alone]
    #[arg(
        long,
        alias = "until",
        value_name = "PERIOD",
        default_value = "",
        hide_default_value = true,
        requires = "from"
    )]
    to: String,
    /// How it is printed. CSV has a row for each cell; a code that is empty is a sum
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Counts and prints.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let cross = args.selection.ask(&args.to, server, &log).await?;
    let mut out = io::stdout().lock();
    if args.format == ListFormat::Table {
        print::banner(&mut out, log.sample_data)?;
        write(&mut out, &cross, &log.zone)?;
        return Ok(ExitCode::SUCCESS);
    }
    print::banner(&mut io::stderr().lock(), log.sample_data)?;
    if args.format == ListFormat::Csv {
        flat(&cross).write_csv(out)?;
    } else {
        serde_json::to_writer_pretty(&mut out, &cross.answer)?;
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The tables for people: one, or one for each code of the third dimension.
fn write(out: &mut impl Write, cross: &Cross, zone: &TimeZone) -> io::Result<()> {
    writeln!(out, "{}", heading(cross, zone))?;
    match cross.dimensions.get(2) {
        None => {
            writeln!(out)?;
            table(cross, None).write(out)?;
        }
        Some(&third) => {
            for code in cross.codes(2).iter().map(String::as_str).chain([SUM]) {
                writeln!(out, "\n{}: {}", words(third), or_sum(third, code))?;
                table(cross, Some(code)).write(out)?;
            }
        }
    }
    if cross.overlaps() {
        writeln!(out, "\na case counts under each of its kinds, and once in a sum")?;
    }
    Ok(())
}

fn heading(cross: &Cross, zone: &TimeZone) -> String {
    let v1::Period { code, start, end } = cross.answer.period.clone().unwrap_or_default();
    let v1::Basis { position, head_hash, as_of, .. } = cross.answer.basis.clone().unwrap_or_default();
    format!(
        "cases reported in {code} (from {}, before {})  as of {}  position {position}  head {}",
        time::show_day(start.as_ref(), zone),
        time::show_day(end.as_ref(), zone),
        time::show(as_of.as_ref(), zone),
        hex(&head_hash, 16),
    )
}

/// The first dimension down, the second across, at a code of the third.
fn table(cross: &Cross, third: Option<&str>) -> Table {
    let across = cross.dimensions.get(1).copied();
    let columns = cross.codes(1).iter().map(String::as_str).chain(across.map(|_| SUM));
    let columns: Vec<&str> = columns.collect();
    let titles = match across {
        None => vec!["cases".to_owned()],
        Some(across) => columns.iter().map(|code| or_sum(across, code)).collect(),
    };
    let down = cross.dimensions[0];
    let first = across.map_or_else(|| words(down), |across| format!("{} \\ {}", words(down), words(across)));
    let titles = titles.into_iter().map(|title| (title, Align::Right));
    let mut table = Table::of([(first, Align::Left)].into_iter().chain(titles));
    for code in cross.codes(0).iter().map(String::as_str).chain([SUM]) {
        let figures = match across {
            None => vec![cross.cases(&[code])],
            Some(_) => {
                let cell = |column: &&str| cross.cases(&[&[code, *column][..], third.as_slice()].concat());
                columns.iter().map(cell).collect()
            }
        };
        let figures = figures.into_iter().map(|cases| cases.to_string());
        table.row([or_sum(down, code)].into_iter().chain(figures).collect());
    }
    table
}

fn or_sum(dimension: Dimension, code: &str) -> String {
    if code == SUM { "sum".to_owned() } else { label(dimension, code, "(none)") }
}

fn words(dimension: Dimension) -> String {
    dimension.label()
}

/// A row for each cell, with what the figures are made of.
fn flat(cross: &Cross) -> Table {
    let v1::Basis { position, head_hash, as_of, rule_set, sample_data } =
        cross.answer.basis.clone().unwrap_or_default();
    let as_of = as_of.as_ref().and_then(time::from_proto).map(|time| time.to_string()).unwrap_or_default();
    let period = cross.answer.period.clone().unwrap_or_default().code;
    let sample = if sample_data { SAMPLE } else { "" };
    let names = cross.dimensions.iter().map(|&dimension| column(dimension));
    let others = ["cases", "period", "as_of", "position", "head_hash", "rule_set", "data"].map(str::to_owned);
    let mut table = Table::of(names.chain(others).map(|name| (name, Align::Left)));
    for cell in &cross.answer.cells {
        let cases = cell.cases.to_string();
        let facts = [&cases, &period, &as_of, &position.to_string(), &hex(&head_hash, 64), &rule_set, sample];
        table.row(cell.codes.iter().cloned().chain(facts.map(str::to_owned)).collect());
    }
    table
}

/// A dimension's name as a column's: "victim_group".
pub(crate) fn column(dimension: Dimension) -> String {
    dimension.word().replace('-', "_")
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    pub(crate) use super::cross::tests::answer;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn printed(dimensions: &[Dimension]) -> String {
        let mut out = Vec::new();
        write(&mut out, &Cross::of(answer(dimensions)).unwrap(), &TimeZone::UTC).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_dimension_goes_down_with_its_sum() {
        let text = printed(&[Dimension::Violence]);
        let body: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(body[..4], ["violence  cases", "fisik         1", "seksual       2", "sum           2"], "{text}");
        assert!(text.contains("once in a sum"), "{text}");
    }

    #[test]
    fn the_second_goes_across_and_the_third_in_blocks_that_end_with_the_sum_of_all() {
        let text = printed(&[Dimension::Violence, Dimension::Age, Dimension::Service]);
        let titles: Vec<&str> = text.lines().filter(|line| line.starts_with("service: ")).collect();
        assert_eq!(titles, ["service: psikologis", "service: (none)", "service: sum"]);
        let last: Vec<&str> = text.lines().skip_while(|line| *line != "service: sum").collect();
        assert_eq!(last[1].split_whitespace().collect::<Vec<_>>(), ["violence", "\\", "age", "6-12", "13-17", "sum"]);
        assert_eq!(last[3].split_whitespace().collect::<Vec<_>>(), ["seksual", "1", "1", "2"]);
        assert_eq!(last[4].split_whitespace().collect::<Vec<_>>(), ["sum", "1", "1", "2"]);
    }

    #[test]
    fn the_csv_has_a_row_for_each_cell_and_its_sums_have_no_code() {
        let mut out = Vec::new();
        flat(&Cross::of(answer(&[Dimension::Age, Dimension::Service])).unwrap()).write_csv(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("age,service,cases,period,as_of,position,head_hash,rule_set,data\n,,2,2026-Q1,"),
            "{text}"
        );
        assert!(text.contains("\nAGE_GROUP_6_12,SERVICE_UNSPECIFIED,1,"), "{text}");
    }

    #[test]
    fn dimensions_are_typed_as_words_and_a_wrong_one_is_answered_with_all() {
        let parse = |line: &[&str]| Line::try_parse_from([&["statistics"], line].concat());
        let args = parse(&["--by", "violence,victim-group", "--from", "2026-01", "--to", "2026-06"]).unwrap().args;
        assert_eq!(args.selection.by, [Dimension::Violence, Dimension::VictimGroup]);
        let error = parse(&["--by", "school"]).unwrap_err().to_string();
        assert!(error.contains("victim-group"), "{error}");
        assert!(parse(&[]).is_err() && parse(&["--by", "age", "--to", "2026-06"]).is_err());
    }
}
