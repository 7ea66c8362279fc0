//! `satgas case take`, `assign`, `unassign`, `hand-over`: who leads a case, and so may read who its people are.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use satgas_proto::v1;

use super::sealing::new_id;
use crate::{
    connect::{Connection, Log, unary},
    pages, print, time,
};

/// A case that nobody has.
#[derive(Debug, clap::Args)]
pub(crate) struct Take {
    /// Id of the case
    case_id: String,
}

/// To whom, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Assign {
    /// Id of the case
    case_id: String,
    /// Subject of the case worker's tokens, as `satgas token list` shows it
    #[arg(long, value_name = "SUBJECT")]
    to: String,
    /// Who hands the case over; without, it is assigned to one more
    #[arg(long, value_name = "SUBJECT", default_value = "")]
    instead_of: String,
    /// When it ends by itself, in the log's local time or with an offset, at most 31 days from now [default: never]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why, 10 to 500 characters; no names
    #[arg(long)]
    reason: String,
}

/// From whom, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Unassign {
    /// Id of the case
    case_id: String,
    /// Subject of the case worker's tokens
    #[arg(long, value_name = "SUBJECT")]
    from: String,
    /// Why, 10 to 500 characters; no names
    #[arg(long)]
    reason: String,
}

/// From whom to whom, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct HandOver {
    /// Subject of who leaves
    #[arg(long, value_name = "SUBJECT")]
    from: String,
    /// Subject of who takes over
    #[arg(long, value_name = "SUBJECT")]
    to: String,
    /// Why, 10 to 500 characters; no names
    #[arg(long)]
    reason: String,
}

/// Takes a case that nobody has.
pub(super) async fn take(args: Take, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let subject = server.identity().who_am_i(unary(v1::WhoAmIRequest {})).await?.into_inner().subject;
    let request = v1::AssignCaseRequest { command_id: new_id(), case_id: args.case_id, subject, ..Default::default() };
    show(server.cases().assign_case(unary(request)).await?.into_inner().assignees, log)
}

/// Assigns a case.
pub(super) async fn assign(args: Assign, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let until = args.until.map(|text| time::parse(&text, &log.zone)).transpose();
    let until = until.map_err(anyhow::Error::msg).context("--until")?.map(time::to_proto);
    let request = v1::AssignCaseRequest {
        command_id: new_id(),
        case_id: args.case_id,
        subject: args.to,
        instead_of: args.instead_of,
        until,
        reason: args.reason,
    };
    show(server.cases().assign_case(unary(request)).await?.into_inner().assignees, log)
}

/// Ends an assignment.
pub(super) async fn unassign(args: Unassign, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let Unassign { case_id, from: subject, reason } = args;
    let request = v1::UnassignCaseRequest { command_id: new_id(), case_id, subject, reason };
    show(server.cases().unassign_case(unary(request)).await?.into_inner().assignees, log)
}

/// Hands all cases of somebody over, each in one event, so that none is without anybody in between.
pub(super) async fn hand_over(args: HandOver, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let mut client = server.cases();
    let cases = pages::all(async |page_token: String| {
        let assigned_to = args.from.clone();
        let request = v1::ListCasesRequest { page_size: 1_000, page_token, assigned_to, ..Default::default() };
        let page = client.list_cases(unary(request)).await?.into_inner();
        Ok((page.cases, page.next_page_token))
    });
    let cases = cases.await?;
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    let mut client = server.cases();
    for case in &cases {
        let handed_over = case.assignees.iter().find(|assignee| assignee.subject == args.from);
        let request = v1::AssignCaseRequest {
            command_id: new_id(),
            case_id: case.case_id.clone(),
            subject: args.to.clone(),
            instead_of: args.from.clone(),
            until: handed_over.and_then(|assignee| assignee.until),
            reason: args.reason.clone(),
        };
        let handed = client.assign_case(unary(request)).await;
        handed.with_context(|| format!("case {}; run it again for this one and those that follow", case.case_id))?;
        writeln!(out, "case {} is assigned to {}", case.case_id, args.to)?;
    }
    writeln!(out, "{} cases were handed over", cases.len())?;
    Ok(ExitCode::SUCCESS)
}

fn show(assignees: Vec<v1::Assignee>, log: &Log) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    if assignees.is_empty() {
        writeln!(out, "assigned        to nobody")?;
    }
    write(&mut out, &assignees, log)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to whom a case is assigned.
pub(super) fn write(out: &mut impl io::Write, assignees: &[v1::Assignee], log: &Log) -> io::Result<()> {
    let at = |moment| time::show(moment, &log.zone);
    for assignee in assignees {
        let until = assignee.until.as_ref().map_or_else(String::new, |until| format!(" until {}", at(Some(until))));
        writeln!(out, "assigned        to {} since {}{until}", assignee.subject, at(assignee.since.as_ref()))?;
    }
    Ok(())
}
