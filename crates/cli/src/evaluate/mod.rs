//! `satgas evaluate`: how the task forces of areas or an institution do in a period.
//!
//! Invariant: nothing is added up here. Subtotals and totals are evaluations of their own, asked of the server.

mod levels;
mod sheet;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ValueEnum;
use satgas_proto::v1::{self, AreaLevel, EvaluatedBody, evaluation::Subject, get_evaluation_request};

use crate::{
    as_of, codes,
    connect::{Connection, Log, unary},
    print::{self, ListFormat},
};

pub(crate) use self::{
    levels::{Levels, Selection},
    sheet::{KINDS, fraction, indicator, score},
};

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
    #[arg(long, value_name = "ID", conflicts_with_all = ["area", "level", "sort", "body"])]
    institution: Option<String>,
    /// kelurahan, kecamatan or kota; institution lists each institution in the areas
    #[arg(long, default_value = "kelurahan", value_parser = codes::parse::<AreaLevel>)]
    level: AreaLevel,
    #[command(flatten)]
    body: Body,
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

impl Args {
    fn selection(&self, as_of: Option<v1::AsOf>) -> Selection {
        Selection {
            period: self.period.clone(),
            area: self.area.clone(),
            level: self.level,
            body: self.body.asked(),
            above: self.format == ListFormat::Table,
            order: self.sort.into(),
            min_position: self.min_position,
            as_of,
        }
    }
}

/// Adds `--body` to a command that asks for figures of areas.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Body {
    /// Whose figures an area shows: those of the kelurahan's own task forces, or, with institution, the sums of the institutions in it
    #[arg(long, default_value = "kelurahan", value_parser = codes::parse::<EvaluatedBody>)]
    body: EvaluatedBody,
}

impl Body {
    /// As the vocabulary carries it.
    pub(crate) fn asked(self) -> EvaluatedBody {
        self.body
    }
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

/// Evaluates and prints.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let levels = match &args.institution {
        Some(id) => Levels { asked: vec![institution(id, &args, &log, server).await?], ..Levels::default() },
        None => args.selection(args.as_of.moment(&log)?).read(server, READS_MAX).await?,
    };
    let zone = log.zone;
    let sample_data = levels.asked.iter().any(|evaluation| basis(evaluation).sample_data);
    match args.format {
        ListFormat::Table => {
            let mut out = io::stdout().lock();
            print::banner(&mut out, sample_data)?;
            writeln!(out, "{}", sheet::heading(&levels, &zone))?;
            let grouped = args.sort == Order::Code && args.level != AreaLevel::Institution;
            sheet::table(&levels, grouped).write(&mut out)?;
            if let Some(legend) = sheet::legend(&levels) {
                writeln!(out, "\n{legend}")?;
            }
        }
        format => print::list(format, &levels.asked, &sheet::flat(&levels.asked), sample_data)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn institution(id: &str, args: &Args, log: &Log, server: &Connection) -> anyhow::Result<v1::Evaluation> {
    let request = v1::GetEvaluationRequest {
        subject: Some(get_evaluation_request::Subject::InstitutionId(id.to_owned())),
        period: args.period.clone(),
        min_position: args.min_position,
        as_of: args.as_of.moment(log)?,
        ..Default::default()
    };
    let response = server.evaluations().get_evaluation(unary(request)).await?.into_inner();
    response.evaluation.ok_or_else(|| anyhow::anyhow!("the server answered without the evaluation"))
}

/// What the figures are made of.
pub(crate) fn basis(evaluation: &v1::Evaluation) -> v1::Basis {
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
