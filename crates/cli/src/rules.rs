//! `satgas rules` and `satgas what-if`: the rules that figures are made by, and what they would be under others.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use jiff::tz::TimeZone;
use satgas_proto::v1::{self, AreaLevel, IndicatorKind};

use crate::{
    as_of, codes,
    connect::{Connection, unary},
    evaluate::{basis, code, fraction, score},
    pages,
    print::{self, Align, ListFormat, Table},
    time,
};

/// List, show or record.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the rule sets; the one in force is marked
    List(List),
    /// Print a rule set as JSON: the draft of the next one
    Show(Show),
    /// Record a rule set for all to see; it never changes after that
    Record(Record),
}

/// Which rule sets to list.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Which rule set to show.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Its name [default: the one in force]
    name: Option<String>,
}

/// A rule set to record.
#[derive(Debug, clap::Args)]
pub(crate) struct Record {
    /// File with the rule set in canonical JSON, as `satgas rules show` prints it
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Why: the decree, the meeting
    #[arg(long)]
    reason: String,
}

/// What a period would be under other rules.
#[derive(Debug, clap::Args)]
pub(crate) struct WhatIf {
    /// File with the draft in canonical JSON, as `satgas rules show` prints it
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Period: 2026 (year), 2026-S1 (semester), 2026-Q1 (quarter) or 2026-01 (month) [default: the current month]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    period: String,
    /// Only areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// kelurahan, kecamatan or kota
    #[arg(long, default_value = "kelurahan", value_parser = codes::parse::<AreaLevel>)]
    level: AreaLevel,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Lists, shows or records.
pub(crate) async fn run(command: Command, server: &Connection) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list(args, server).await,
        Command::Show(args) => show(args, server).await,
        Command::Record(args) => record(args, server).await,
    }
}

async fn all(as_of: Option<v1::AsOf>, server: &Connection) -> anyhow::Result<Vec<v1::ListedRuleSet>> {
    let request = v1::ListRuleSetsRequest { min_position: 0, as_of };
    Ok(server.rules().list_rule_sets(unary(request)).await?.into_inner().rule_sets)
}

async fn list(args: List, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let all = all(args.as_of.moment(&log)?, server).await?;
    let mut table = Table::new([
        ("in force", Align::Left),
        ("name", Align::Left),
        ("valid from", Align::Left),
        ("position", Align::Right),
        ("reason", Align::Left),
    ]);
    for listed in &all {
        let rules = listed.rule_set.clone().unwrap_or_default();
        let in_force = if listed.in_force { "yes" } else { "no" }.to_owned();
        table.row(vec![in_force, rules.name, rules.valid_from, listed.position.to_string(), listed.reason.clone()]);
    }
    print::list(args.format, &all, &table, log.sample_data)?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: Show, server: &Connection) -> anyhow::Result<ExitCode> {
    let all = all(None, server).await?;
    let wanted = |listed: &&v1::ListedRuleSet| match &args.name {
        None => listed.in_force,
        Some(name) => listed.rule_set.as_ref().is_some_and(|rules| rules.name == *name),
    };
    let found = all.iter().find(wanted).and_then(|listed| listed.rule_set.as_ref());
    let rules = found.context("there is no such rule set: `satgas rules list` names them")?;
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, rules)?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}

async fn record(args: Record, server: &Connection) -> anyhow::Result<ExitCode> {
    let request = v1::RecordRuleSetRequest { rule_set: Some(read(&args.file)?), reason: args.reason };
    let log = server.log().await?;
    let recorded = server.rules().record_rule_set(unary(request)).await?.into_inner();
    let how = if recorded.already_known { "was recorded before" } else { "is recorded" };
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    writeln!(out, "the rule set {how} at position {}", recorded.position)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<v1::RuleSet> {
    let named = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(named)?;
    serde_json::from_str(&text).with_context(|| format!("{} is no rule set; begin with `satgas rules show`", named()))
}

/// Evaluates under the draft and prints both.
pub(crate) async fn what_if(args: WhatIf, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let request = v1::WhatIfRequest {
        draft: Some(read(&args.rules)?),
        period: args.period.clone(),
        area_prefix: args.area.clone(),
        level: args.level.into(),
        as_of: args.as_of.moment(&log)?,
        ..Default::default()
    };
    let mut client = server.rules();
    let all = pages::all(async |page_token| {
        let request = v1::WhatIfRequest { page_token, ..request.clone() };
        let page = client.what_if(unary(request)).await?.into_inner();
        Ok((page.evaluations, page.next_page_token))
    });
    let all = all.await?;
    if args.format == ListFormat::Table {
        let mut out = io::stdout().lock();
        print::banner(&mut out, log.sample_data)?;
        writeln!(out, "{}", heading(&all, &log.zone))?;
        table(&all).write(&mut out)?;
    } else {
        print::list(args.format, &all, &table(&all), log.sample_data)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which period, under which rules each time, and what both are made of.
fn heading(all: &[v1::WhatIfEvaluation], zone: &TimeZone) -> String {
    let first = all.first().and_then(|both| both.recorded.as_ref().zip(both.draft.as_ref()));
    let Some((recorded, draft)) = first else { return "nothing to evaluate".to_owned() };
    let v1::Basis { position, head_hash, as_of, rule_set, .. } = basis(recorded);
    format!(
        "{}  recorded: rule set {rule_set}  draft: rule set {}  as of {}  position {position}  head {}",
        recorded.period.clone().unwrap_or_default().code,
        basis(draft).rule_set,
        time::show(as_of.as_ref(), zone),
        print::hex(&head_hash, 16),
    )
}

/// A row for each area: the scores, their difference, and each indicator that differs.
fn table(all: &[v1::WhatIfEvaluation]) -> Table {
    let mut table = Table::new([
        ("code", Align::Left),
        ("name", Align::Left),
        ("recorded", Align::Right),
        ("draft", Align::Right),
        ("difference", Align::Right),
        ("because of", Align::Left),
    ]);
    for both in all {
        let recorded = both.recorded.clone().unwrap_or_default();
        let draft = both.draft.clone().unwrap_or_default();
        let difference = recorded.score.zip(draft.score).map(|(before, after)| format!("{:+.2}", after - before));
        let changed = recorded.indicators.iter().zip(&draft.indicators).filter(|(before, after)| before != after);
        let because: Vec<String> = changed
            .map(|(before, after)| {
                format!("{} {} -> {}", codes::label::<IndicatorKind>(after.kind), fraction(before), fraction(after))
            })
            .collect();
        table.row(vec![
            code(&draft).to_owned(),
            draft.name.clone(),
            score(recorded.score),
            score(draft.score),
            difference.unwrap_or_else(|| "-".to_owned()),
            because.join(", "),
        ]);
    }
    table
}
