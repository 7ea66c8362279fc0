//! `satgas compare`: what was known then, what is known now, and what made the difference.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use jiff::tz::TimeZone;
use satgas_proto::v1::{self, AreaLevel, IndicatorKind};

use crate::{
    as_of, codes,
    connect::{Connection, Log, unary},
    evaluate::{Body, code, fraction, score},
    explain::positions,
    print, time,
};

/// Which moments, which period, which areas.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The earlier moment: a position of the log, a time, or a day (its end) such as 2026-10-05
    #[arg(long, value_name = "POSITION|TIME")]
    then: String,
    /// The later moment [default: now]
    #[arg(long, value_name = "POSITION|TIME")]
    now: Option<String>,
    /// Period: 2026 (year), 2026-S1 (semester), 2026-Q1 (quarter) or 2026-01 (month) [default: the month of the later moment]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    period: String,
    /// Only areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// kelurahan, kecamatan or kota; institution compares each institution in the areas
    #[arg(long, default_value = "kelurahan", value_parser = codes::parse::<AreaLevel>)]
    level: AreaLevel,
    #[command(flatten)]
    body: Body,
    /// How it is printed: text for people, or one JSON object
    #[arg(long, value_enum, default_value_t = print::Format::Text)]
    format: print::Format,
}

/// Compares and prints.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let compared = ask(&args, server, &log).await?;
    let mut out = io::stdout().lock();
    if args.format == print::Format::Json {
        print::banner(&mut io::stderr().lock(), log.sample_data)?;
        serde_json::to_writer_pretty(&mut out, &compared)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    print::banner(&mut out, log.sample_data)?;
    let basis = |basis: &Option<v1::Basis>| {
        let v1::Basis { position, as_of, rule_set, .. } = basis.clone().unwrap_or_default();
        format!("position {position} at {}, rule set {rule_set}", time::show(as_of.as_ref(), &log.zone))
    };
    let period = if args.period.is_empty() { current_month(&compared, &log.zone) } else { args.period };
    writeln!(out, "{period}\nthen: {}\nnow:  {}", basis(&compared.then), basis(&compared.now))?;
    if compared.changes.is_empty() {
        writeln!(out, "\nno evaluation differs")?;
    }
    compared.changes.iter().try_for_each(|change| print_change(&mut out, change))?;
    Ok(ExitCode::SUCCESS)
}

/// The month of the later moment: the period when none is asked for.
fn current_month(compared: &v1::CompareEvaluationsResponse, zone: &TimeZone) -> String {
    let day = time::show_day(compared.now.as_ref().and_then(|now| now.as_of.as_ref()), zone);
    day.rsplit_once('-').map_or_else(String::new, |(month, _)| month.to_owned())
}

/// All pages, comparing the same two moments.
async fn ask(args: &Args, server: &Connection, log: &Log) -> anyhow::Result<v1::CompareEvaluationsResponse> {
    let moment = |text: &str| as_of::moment(text, &log.zone);
    let mut request = v1::CompareEvaluationsRequest {
        period: args.period.clone(),
        area_prefix: args.area.clone(),
        level: args.level.into(),
        body: args.body.asked().into(),
        then: Some(moment(&args.then).map_err(|error| error.context("--then"))?),
        now: args.now.as_deref().map(moment).transpose().map_err(|error| error.context("--now"))?,
        ..Default::default()
    };
    let mut client = server.evaluations();
    let mut whole = client.compare_evaluations(unary(request.clone())).await?.into_inner();
    while !whole.next_page_token.is_empty() {
        request.page_token = std::mem::take(&mut whole.next_page_token);
        let page = client.compare_evaluations(unary(request.clone())).await?.into_inner();
        whole.changes.extend(page.changes);
        whole.next_page_token = page.next_page_token;
    }
    Ok(whole)
}

fn print_change(out: &mut impl io::Write, change: &v1::EvaluationChange) -> io::Result<()> {
    let (now, then) = (change.now.clone().unwrap_or_default(), change.then.clone());
    let then_score = then.as_ref().map_or_else(|| "not registered".to_owned(), |then| score(then.score));
    writeln!(out, "\n{} {}: score {then_score} -> {}", code(&now), now.name, score(now.score))?;
    let rule_set = |evaluation: &v1::Evaluation| evaluation.basis.clone().unwrap_or_default().rule_set;
    if let Some(then) = &then {
        if rule_set(then) != rule_set(&now) {
            writeln!(out, "  rule set: {} -> {}", rule_set(then), rule_set(&now))?;
        }
        let differ = (then.activity, then.cases, then.open_conflicts) != (now.activity, now.cases, now.open_conflicts);
        if differ {
            writeln!(out, "  activity, cases or conflicts differ: --format json has them")?;
        }
    }
    for after in &now.indicators {
        let before = then.iter().flat_map(|then| &then.indicators).find(|before| before.kind == after.kind);
        if before != Some(after) {
            let before = before.map_or_else(|| "-".to_owned(), fraction);
            writeln!(out, "  {}: {before} -> {}", codes::label::<IndicatorKind>(after.kind), fraction(after))?;
        }
    }
    for item in &change.items {
        let counted = |item: &Option<v1::Item>| match item {
            None => "was not there".to_owned(),
            Some(item) if item.counts => format!("counted by {}", positions(&item.evidence_positions)),
            Some(item) if item.evidence_positions.is_empty() => "did not count".to_owned(),
            Some(item) => format!("did not count for all of {}", positions(&item.evidence_positions)),
        };
        let shown = item.now.as_ref().or(item.then.as_ref()).cloned().unwrap_or_default();
        let name = format!("{} {}", shown.item_id, shown.detail);
        let kind = codes::label::<IndicatorKind>(item.indicator);
        writeln!(out, "    {kind}: {}: {} -> {}", name.trim_end(), counted(&item.then), counted(&item.now))?;
    }
    writeln!(out, "  recorded since: {}", positions(&change.cause_positions))
}
