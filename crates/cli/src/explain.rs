//! `satgas explain`: what an indicator was counted from, item by item, with the events behind each.
//!
//! Invariant: nothing is counted here but the items that came; when they do not add up to the figure, that is said.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::ensure;
use satgas_proto::v1::{self, EvaluatedBody, IndicatorKind, explain_indicator_request::Subject};

use crate::{
    as_of, codes,
    connect::{Connection, Log, unary},
    evaluate::{Body, fraction, score},
    print::{self, Align, ListFormat, Table, hex},
    time,
};

/// Of whom, of when, and what.
#[derive(Debug, clap::Args)]
#[group(id = "whom", required = true, multiple = false, args = ["area", "institution"])]
pub(crate) struct Args {
    /// Code of an area of any level, such as 53.71.04.1001
    #[arg(long, value_name = "CODE")]
    area: Option<String>,
    /// An institution instead of an area
    #[arg(long, value_name = "ID", conflicts_with = "body")]
    institution: Option<String>,
    /// Period: 2026 (year), 2026-S1 (semester), 2026-Q1 (quarter) or 2026-01 (month) [default: the current month]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    period: String,
    /// Indicator, such as school-coverage
    #[arg(long, value_parser = codes::parse::<IndicatorKind>)]
    indicator: IndicatorKind,
    #[command(flatten)]
    body: Body,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How it is printed; JSON is the whole answer
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Explains and prints.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let explained = ask(&args, server, &log).await?;
    let indicator = explained.indicator.unwrap_or_default();
    let counted = explained.items.iter().filter(|item| item.counts).count() as u64;
    ensure!(
        (counted, explained.items.len() as u64) == (indicator.numerator, indicator.denominator),
        "the server's explanation does not add up to its figure: do not rely on it, and tell the operator"
    );
    match args.format {
        ListFormat::Table => {
            let mut out = io::stdout().lock();
            print::banner(&mut out, log.sample_data)?;
            heading(&mut out, &explained, &log)?;
            table(&explained.items, &log).write(&mut out)?;
            writeln!(out, "\n{counted} of {} count", explained.items.len())?;
        }
        ListFormat::Csv => print::list(args.format, &explained.items, &table(&explained.items, &log), log.sample_data)?,
        ListFormat::Json => {
            print::banner(&mut io::stderr().lock(), log.sample_data)?;
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &explained)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All pages of the explanation, as of one position.
async fn ask(args: &Args, server: &Connection, log: &Log) -> anyhow::Result<v1::ExplainIndicatorResponse> {
    let mut client = server.evaluations();
    let (subject, body) = match (&args.area, &args.institution) {
        (Some(code), _) => (Subject::AreaCode(code.clone()), args.body.asked()),
        (None, id) => (Subject::InstitutionId(id.clone().unwrap_or_default()), EvaluatedBody::Unspecified),
    };
    let mut request = v1::ExplainIndicatorRequest {
        subject: Some(subject),
        period: args.period.clone(),
        indicator: args.indicator.into(),
        body: body.into(),
        as_of: args.as_of.moment(log)?,
        ..Default::default()
    };
    let mut whole = client.explain_indicator(unary(request.clone())).await?.into_inner();
    while !whole.next_page_token.is_empty() {
        request.page_token = std::mem::take(&mut whole.next_page_token);
        let page = client.explain_indicator(unary(request.clone())).await?.into_inner();
        whole.items.extend(page.items);
        whole.next_page_token = page.next_page_token;
    }
    Ok(whole)
}

fn heading(out: &mut impl io::Write, explained: &v1::ExplainIndicatorResponse, log: &Log) -> io::Result<()> {
    let evaluation = explained.evaluation.clone().unwrap_or_default();
    let indicator = explained.indicator.unwrap_or_default();
    let (period, basis) = (evaluation.period.unwrap_or_default(), evaluation.basis.unwrap_or_default());
    writeln!(
        out,
        "{} of {}, {}: {} (weight {} in a score of {})",
        codes::label::<IndicatorKind>(indicator.kind),
        evaluation.name,
        period.code,
        fraction(&indicator),
        explained.weight,
        score(evaluation.score),
    )?;
    writeln!(
        out,
        "from {}, counted before {}  as of {}  position {}  head {}  rule set {}\n",
        time::show_day(period.start.as_ref(), &log.zone),
        time::show(explained.cut.as_ref(), &log.zone),
        time::show(basis.as_of.as_ref(), &log.zone),
        basis.position,
        hex(&basis.head_hash, 16),
        basis.rule_set,
    )
}

fn table(items: &[v1::Item], log: &Log) -> Table {
    let mut table = Table::new([
        ("counts", Align::Left),
        ("area", Align::Left),
        ("item", Align::Left),
        ("detail", Align::Left),
        ("due", Align::Left),
        ("because of", Align::Left),
        ("evidence", Align::Left),
        ("missed", Align::Left),
    ]);
    for item in items {
        table.row(vec![
            if item.counts { "yes" } else { "no" }.to_owned(),
            item.area_code.clone(),
            item.item_id.clone(),
            item.detail.clone(),
            time::show(item.due_at.as_ref(), &log.zone),
            positions(&item.because_positions),
            positions(&item.evidence_positions),
            // Recorded or not: 0 is no position.
            positions(&[item.missed_position].into_iter().filter(|&position| position > 0).collect::<Vec<_>>()),
        ]);
    }
    table
}

/// "#12 #840", or "-".
pub(crate) fn positions(positions: &[u64]) -> String {
    if positions.is_empty() {
        return "-".to_owned();
    }
    positions.iter().map(|position| format!("#{position}")).collect::<Vec<_>>().join(" ")
}
