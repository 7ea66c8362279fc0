//! `satgas evaluate`: how the task forces of areas or an institution do in a period.
//!
//! Invariant: nothing is added up here. Subtotals and totals are evaluations of their own, asked of the server.

mod sheet;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ValueEnum;
use satgas_proto::v1::{self, AreaLevel, evaluation::Subject, get_evaluation_request};

use crate::{
    as_of, codes,
    connect::{Connection, unary},
    print::{self, ListFormat},
};

pub(crate) use self::sheet::{fraction, score};

/// How often all levels are read again until they show the same position.
const READS_MAX: u32 = 4;

/// Whom, when, and how to print it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Period: 2026 (year), 2026-S1 (semester), 2026-Q1 (quarter) or 2026-01 (month) [default: the current month]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    period: String,
    /// Only areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// An institution instead of areas
    #[arg(long, value_name = "ID", conflicts_with_all = ["area", "level", "sort"])]
    institution: Option<String>,
    /// kelurahan, kecamatan or kota
    #[arg(long, default_value = "kelurahan", value_parser = codes::parse::<AreaLevel>)]
    level: AreaLevel,
    /// Order
    #[arg(long, value_enum, default_value_t = Order::Code, allow_hyphen_values = true)]
    sort: Order,
    /// How it is printed. JSON and CSV hold the level asked for; the table adds the levels above
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
    #[command(flatten)]
    as_of: as_of::Args,
    /// Answer only when the server has taken in everything up to this log position
    #[arg(long, value_name = "POSITION", default_value_t = 0, hide_default_value = true)]
    min_position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// By area code, with subtotals
    Code,
    /// Lowest score first
    Score,
    /// Highest score first
    #[value(name = "-score")]
    ScoreDescending,
    /// By name
    Name,
    /// Longest silent first
    Silent,
}

impl From<Order> for v1::EvaluationOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Code => Self::Unspecified,
            Order::Score => Self::ScoreAscending,
            Order::ScoreDescending => Self::ScoreDescending,
            Order::Name => Self::Name,
            Order::Silent => Self::SilentLongest,
        }
    }
}

/// Evaluations of the level asked for, and of those above it.
#[derive(Debug, Default)]
struct Levels {
    asked: Vec<v1::Evaluation>,
    kecamatan: Vec<v1::Evaluation>,
    kota: Vec<v1::Evaluation>,
}

/// Evaluates and prints.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let levels = match &args.institution {
        Some(id) => Levels { asked: vec![institution(id, &args, server).await?], ..Levels::default() },
        None => areas(&args, server).await?,
    };
    let zone = server.log().await?.zone;
    let sample_data = levels.asked.iter().any(|evaluation| basis(evaluation).sample_data);
    match args.format {
        ListFormat::Table => {
            let mut out = io::stdout().lock();
            print::banner(&mut out, sample_data)?;
            writeln!(out, "{}", sheet::heading(&levels, &zone))?;
            sheet::table(&levels, args.sort == Order::Code).write(&mut out)?;
        }
        format => print::list(format, &levels.asked, &sheet::flat(&levels.asked), sample_data)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn institution(id: &str, args: &Args, server: &Connection) -> anyhow::Result<v1::Evaluation> {
    let request = v1::GetEvaluationRequest {
        subject: Some(get_evaluation_request::Subject::InstitutionId(id.to_owned())),
        period: args.period.clone(),
        min_position: args.min_position,
        as_of: args.as_of.ask(server).await?,
    };
    let response = server.evaluations().get_evaluation(unary(request)).await?.into_inner();
    response.evaluation.ok_or_else(|| anyhow::anyhow!("the server answered without the evaluation"))
}

/// Reads the level asked for, and for a table those above, of one and the same position if the log lets it.
async fn areas(args: &Args, server: &Connection) -> anyhow::Result<Levels> {
    let with_above = args.format == ListFormat::Table;
    let mut min_position = args.min_position;
    let mut reads = 0;
    loop {
        reads += 1;
        let mut levels = Levels { asked: list(args, args.level, min_position, server).await?, ..Levels::default() };
        if with_above && args.level == AreaLevel::Kelurahan {
            levels.kecamatan = list(args, AreaLevel::Kecamatan, min_position, server).await?;
        }
        if with_above && args.level != AreaLevel::Kota {
            levels.kota = list(args, AreaLevel::Kota, min_position, server).await?;
        }
        let positions = levels.positions();
        if positions.0 == positions.1 || reads == READS_MAX {
            return Ok(levels);
        }
        min_position = positions.1;
    }
}

async fn list(
    args: &Args,
    level: AreaLevel,
    min_position: u64,
    server: &Connection,
) -> anyhow::Result<Vec<v1::Evaluation>> {
    let mut client = server.evaluations();
    let mut evaluations = Vec::new();
    let mut page_token = String::new();
    let as_of = args.as_of.ask(server).await?;
    loop {
        let request = v1::ListEvaluationsRequest {
            period: args.period.clone(),
            area_prefix: args.area.clone(),
            level: level.into(),
            order: v1::EvaluationOrder::from(args.sort).into(),
            page_size: 1_000,
            page_token,
            min_position,
            as_of,
        };
        let page = client.list_evaluations(unary(request)).await?.into_inner();
        evaluations.extend(page.evaluations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(evaluations);
        }
    }
}

impl Levels {
    fn all(&self) -> impl Iterator<Item = &v1::Evaluation> {
        self.asked.iter().chain(&self.kecamatan).chain(&self.kota)
    }

    /// The lowest and the highest position that the figures are made of.
    fn positions(&self) -> (u64, u64) {
        let positions = || self.all().map(|evaluation| basis(evaluation).position);
        (positions().min().unwrap_or(0), positions().max().unwrap_or(0))
    }
}

fn basis(evaluation: &v1::Evaluation) -> v1::Basis {
    evaluation.basis.clone().unwrap_or_default()
}

/// Area code or institution id of an evaluation.
pub(crate) fn code(evaluation: &v1::Evaluation) -> &str {
    match &evaluation.subject {
        Some(Subject::AreaCode(code) | Subject::InstitutionId(code)) => code,
        None => "-",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_order_may_begin_with_a_minus() {
        let args = |line: &[&str]| Line::try_parse_from([&["evaluate"], line].concat()).unwrap().args;
        assert_eq!(args(&["--sort", "-score"]).sort, Order::ScoreDescending);
        assert_eq!(args(&["--sort=-score", "--level", "Kota"]).level, AreaLevel::Kota);
    }

    #[test]
    fn an_institution_is_not_asked_for_together_with_areas() {
        assert!(Line::try_parse_from(["evaluate", "--institution", "x", "--area", "53.71"]).is_err());
        assert!(Line::try_parse_from(["evaluate", "--institution", "x"]).is_ok());
    }
}
