//! `satgas quarantine`: records that arrived after their reporter's token had ended, and what a supervisor decides on them.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use satgas_proto::v1::{self, QuarantineVerdict, ReceiptStatus, submission::Content};

use crate::{
    as_of,
    codes::{self, Code as _},
    conflicts::reporter,
    connect::{Connection, Log, unary},
    pages,
    print::{self, Align, ListFormat, Table},
    time::show,
};

/// What is done with them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List those that wait; that is recorded, as they tell of children
    List(List),
    /// Let them count from now on, as if they had just been submitted
    Admit(Decide),
    /// Keep them in the log without ever counting them
    Refuse(Decide),
}

/// Which to list.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only of areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "")]
    area: String,
    /// Only what this token gave the right to, or handed in
    #[arg(long, value_name = "ID", default_value = "")]
    token: String,
    /// Also those that were decided on
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the list is printed; json and csv for programs
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Which to decide on, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Decide {
    /// Log position of the record, as `satgas quarantine list` shows it; may be repeated
    #[arg(long, value_name = "POSITION", required_unless_present = "token", conflicts_with = "token")]
    position: Vec<u64>,
    /// All that wait of this token
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// Why; no names
    #[arg(long)]
    reason: String,
}

/// Does it.
pub(crate) async fn run(command: Command, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    match command {
        Command::List(args) => list(args, server, &log).await?,
        Command::Admit(args) => decide(args, QuarantineVerdict::Admit, server, &log).await?,
        Command::Refuse(args) => decide(args, QuarantineVerdict::Refuse, server, &log).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: List, server: &Connection, log: &Log) -> anyhow::Result<()> {
    let as_of = args.as_of.moment(log)?;
    let asked = v1::ListQuarantinedRequest {
        area_prefix: args.area,
        page_size: 1_000,
        as_of,
        token_id: args.token,
        include_decided: args.all,
        ..Default::default()
    };
    let records = all(asked, server).await?;
    print::list(args.format, &records, &table(&records, log), log.sample_data)
}

async fn all(asked: v1::ListQuarantinedRequest, server: &Connection) -> anyhow::Result<Vec<v1::QuarantinedRecord>> {
    let mut client = server.submissions();
    let records = pages::all(async |after_position| {
        let request = v1::ListQuarantinedRequest { after_position, ..asked.clone() };
        let page = client.list_quarantined(unary(request)).await?.into_inner();
        Ok((page.records, page.next_after_position))
    });
    Ok(records.await?)
}

fn table(records: &[v1::QuarantinedRecord], log: &Log) -> Table {
    let mut table = Table::new([
        ("position", Align::Right),
        ("arrived", Align::Left),
        ("occurred", Align::Left),
        ("record", Align::Left),
        ("reporter", Align::Left),
        ("token", Align::Left),
        ("right_ended", Align::Left),
        ("decided", Align::Left),
    ]);
    for record in records {
        let submission = record.submission.clone().unwrap_or_default();
        let right = record.right.clone().unwrap_or_default();
        let decision = record.decided.clone().unwrap_or_default().decision.unwrap_or_default();
        let verdict = match decision.verdict() {
            QuarantineVerdict::Unspecified => "-".to_owned(),
            verdict => format!("{} #{}", verdict.label(), record.decided_position),
        };
        table.row(vec![
            record.position.to_string(),
            show(record.arrived_at.as_ref(), &log.zone),
            show(submission.occurred_at.as_ref(), &log.zone),
            kind(&submission).to_owned(),
            reporter(&submission).to_owned(),
            right.token_id.clone(),
            format!("{} {}", codes::label::<v1::RightEnd>(right.end), show(right.ended_at.as_ref(), &log.zone)),
            verdict,
        ]);
    }
    table
}

fn kind(submission: &v1::Submission) -> &'static str {
    match &submission.content {
        Some(Content::MonitoringReport(_)) => "monitoring report",
        Some(Content::SchoolVisit(_)) => "school visit",
        Some(Content::ExposureSignal(_)) => "exposure signal",
        Some(Content::CaseReport(_)) => "case report",
        Some(Content::Amendment(_)) => "amendment",
        Some(Content::Retraction(_)) => "retraction",
        None => "-",
    }
}

async fn decide(args: Decide, verdict: QuarantineVerdict, server: &Connection, log: &Log) -> anyhow::Result<()> {
    let positions = match args.token {
        None => args.position,
        Some(token_id) => {
            let asked = v1::ListQuarantinedRequest { token_id, page_size: 1_000, ..Default::default() };
            all(asked, server).await?.into_iter().map(|record| record.position).collect()
        }
    };
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    if positions.is_empty() {
        writeln!(out, "nothing waits of this token")?;
    }
    let mut client = server.submissions();
    for quarantined_position in positions {
        let decision = v1::QuarantineDecision {
            command_id: uuid::Uuid::now_v7().to_string(),
            quarantined_position,
            verdict: verdict.into(),
            reason: args.reason.clone(),
        };
        let request = v1::DecideQuarantinedRequest { decision: Some(decision) };
        let response = client.decide_quarantined(unary(request)).await;
        let receipt = response
            .with_context(|| format!("at position {quarantined_position}; what is printed above is decided"))?
            .into_inner()
            .receipt
            .unwrap_or_default();
        match (receipt.status(), verdict) {
            (ReceiptStatus::Accepted | ReceiptStatus::AlreadyKnown, QuarantineVerdict::Admit) => {
                writeln!(out, "#{quarantined_position}: admitted, counts from position {} on", receipt.position + 1)?;
            }
            (ReceiptStatus::Accepted | ReceiptStatus::AlreadyKnown, _) => {
                writeln!(out, "#{quarantined_position}: refused, stays in the log and never counts")?;
            }
            (status, _) => bail!("at position {quarantined_position}: an unexpected receipt, {}", status.as_str_name()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &[&str]) -> Result<Command, clap::Error> {
        Line::try_parse_from([&["quarantine"], line].concat()).map(|line| line.command)
    }

    #[test]
    fn a_decision_names_positions_or_a_token_and_a_reason() {
        for line in [["admit", "--position", "9", "--position", "12"].as_slice(), &["refuse", "--token", "contoh"]] {
            assert!(parse(line).is_err(), "{line:?} has no reason");
            assert!(parse(&[line, &["--reason", "Keputusan contoh"]].concat()).is_ok(), "{line:?}");
        }
        assert!(parse(&["admit", "--reason", "Keputusan contoh"]).is_err());
        assert!(parse(&["admit", "--position", "9", "--token", "x", "--reason", "Keputusan contoh"]).is_err());
    }
}
