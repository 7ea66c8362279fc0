//! `satgas conflicts`: what only a person can decide, and the decision.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use satgas_proto::v1::{self, ConflictDecision, ReceiptStatus};
use tonic::Status;

use crate::{
    as_of, codes,
    connect::{Connection, Log, unary},
    failure, pages,
    print::{self, Align, Format, ListFormat, Table},
};

/// Which conflicts to list, or which one to decide.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Decide a conflict, once and for good: the record that stands stays, or the version kept aside takes its place
    Resolve(Resolve),
}

/// Which conflicts to list.
#[derive(Debug, clap::Args)]
struct List {
    /// Only of areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "")]
    area: String,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// A decision.
#[derive(Debug, clap::Args)]
struct Resolve {
    /// Log position of the conflict, as `satgas conflicts` lists it
    #[arg(long)]
    position: u64,
    /// What stands stays; the version kept aside never counts
    #[arg(long, required_unless_present = "take", conflicts_with = "take")]
    keep: bool,
    /// The version kept aside becomes the record's
    #[arg(long)]
    take: bool,
    /// Why; no names
    #[arg(long)]
    reason: String,
    /// Id of the command, to repeat one whose answer did not come [default: a new one]
    #[arg(long, value_name = "UUID")]
    command_id: Option<String>,
    /// How the receipt is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Lists or decides.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    match args.command {
        None => list(args.list, server, &log).await,
        Some(Command::Resolve(args)) => resolve(args, server, &log).await,
    }
}

async fn list(args: List, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let as_of = args.as_of.moment(log)?;
    let mut client = server.submissions();
    let conflicts = pages::all(async |after_position| {
        let area_prefix = args.area.clone();
        let request =
            v1::ListConflictsRequest { area_prefix, page_size: 1_000, after_position, min_position: 0, as_of };
        let page = client.list_conflicts(unary(request)).await?.into_inner();
        Ok((page.conflicts, page.next_after_position))
    });
    let conflicts = conflicts.await?;
    print::list(args.format, &conflicts, &table(&conflicts), log.sample_data)?;
    Ok(ExitCode::SUCCESS)
}

fn table(conflicts: &[v1::Conflict]) -> Table {
    let mut table = Table::new([
        ("position", Align::Right),
        ("stands", Align::Right),
        ("cause", Align::Left),
        ("can_be_taken", Align::Left),
        ("submission", Align::Left),
        ("reporter", Align::Left),
    ]);
    for conflict in conflicts {
        let submission = conflict.submission.clone().unwrap_or_default();
        table.row(vec![
            conflict.position.to_string(),
            conflict.stands_position.to_string(),
            codes::label::<v1::ConflictCause>(conflict.cause),
            if conflict.can_be_taken { "yes" } else { "no" }.to_owned(),
            submission.submission_id.clone(),
            reporter(&submission).to_owned(),
        ]);
    }
    table
}

async fn resolve(args: Resolve, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let decision = if args.take { ConflictDecision::Take } else { ConflictDecision::Keep };
    let resolution = v1::ConflictResolution {
        command_id: args.command_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        conflict_position: args.position,
        decision: decision.into(),
        reason: args.reason,
    };
    let request = v1::ResolveConflictRequest { resolution: Some(resolution.clone()) };
    let response = server.submissions().resolve_conflict(unary(request)).await;
    let receipt = response.map_err(|status| outcome_unknown(status, &resolution))?.into_inner().receipt;
    let receipt = receipt.context("the server answered without a receipt")?;
    let mut out = io::stdout().lock();
    if args.format == Format::Json {
        print::banner(&mut io::stderr().lock(), log.sample_data)?;
        writeln!(out, "{}", serde_json::to_string(&receipt)?)?;
    } else {
        print::banner(&mut out, log.sample_data)?;
    }
    let sentence = match receipt.status() {
        ReceiptStatus::Accepted => format!("the decision is recorded at position {}", receipt.position),
        ReceiptStatus::AlreadyKnown => format!("this decision was recorded before, at position {}", receipt.position),
        _ => {
            let reasons = receipt.violations.iter().map(|v| format!("\n  {}: {}", v.field, v.reason));
            bail!("nothing was decided{}", reasons.collect::<String>());
        }
    };
    if args.format == Format::Text {
        let what = match decision {
            ConflictDecision::Take => "the version kept aside stands from now on",
            _ => "what stood stays",
        };
        writeln!(out, "conflict at position {}: {what}; {sentence}", args.position)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Nobody knows whether a decision was recorded whose answer did not come; the same command again is safe.
fn outcome_unknown(status: Status, resolution: &v1::ConflictResolution) -> anyhow::Error {
    if !failure::may_pass(&status) {
        return status.into();
    }
    let id = &resolution.command_id;
    anyhow::Error::from(status).context(format!(
        "it is not known whether the decision was recorded; to make sure, repeat it with --command-id {id}"
    ))
}

/// The area or institution that reported.
pub(crate) fn reporter(submission: &v1::Submission) -> &str {
    match &submission.reporter {
        Some(v1::submission::Reporter::AreaCode(id) | v1::submission::Reporter::InstitutionId(id)) => id,
        None => "-",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["conflicts"], line].concat()).map(|line| line.args)
    }

    #[test]
    fn without_a_subcommand_conflicts_are_listed() {
        assert!(parse(&["--area", "53.71"]).unwrap().command.is_none());
    }

    #[test]
    fn a_decision_is_one_of_two_and_has_a_reason() {
        let decided = ["resolve", "--position", "9", "--reason", "Keputusan contoh"];
        for flag in ["--keep", "--take"] {
            let parsed = parse(&[&decided[..], &[flag]].concat());
            assert!(parsed.is_ok(), "{flag}: {}", parsed.unwrap_err());
        }
        assert!(parse(&decided).is_err());
        assert!(parse(&[&decided[..], &["--keep", "--take"]].concat()).is_err());
        assert!(parse(&["resolve", "--position", "9", "--keep"]).is_err());
    }

    #[test]
    fn a_decision_without_an_answer_can_be_repeated_as_the_same_command() {
        let resolution = v1::ConflictResolution { command_id: "c-1".into(), ..Default::default() };
        let lost = outcome_unknown(Status::unavailable("gone"), &resolution).to_string();
        assert!(lost.ends_with("--command-id c-1"), "{lost}");
        assert!(outcome_unknown(Status::failed_precondition("decided before"), &resolution).is::<Status>());
    }
}
