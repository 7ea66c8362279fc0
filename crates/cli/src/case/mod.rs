//! `satgas case`: opens, shows and lists cases, and takes them one step on.

mod assigned;
mod identity;
mod sealing;
mod show;
pub(crate) mod steps;

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use satgas_proto::v1;
use tonic::Status;

use crate::{
    EXIT_PARTLY, as_of, codes,
    connect::{Connection, Log, unary},
    failure, pages,
    print::{self, Format, ListFormat},
    time,
};

use self::steps::{Common, Step};

/// What to do with cases.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open a case from a submission whose content is a case report
    Open(Open),
    /// Show a case and the steps allowed from where it stands
    Show(Show),
    /// List cases in the order in which they were reported
    List(List),
    /// Seal who the people of a case are, and read it again
    #[command(subcommand)]
    Identity(identity::Command),
    /// Erase the identities of a case: asked for by one person, approved by another
    #[command(subcommand)]
    Erase(sealing::Erase),
    /// Keep the identities of a case for the law
    #[command(subcommand)]
    Hold(sealing::Hold),
    /// Take a case that nobody has: only who has it reads who its people are
    Take(assigned::Take),
    /// Assign a case to a case worker, in place of another or beside them, or for a time
    Assign(assigned::Assign),
    /// End an assignment
    Unassign(assigned::Unassign),
    /// Hand all cases of a case worker over to another
    HandOver(assigned::HandOver),
    #[command(flatten)]
    Step(Step),
}

/// A case to open.
#[derive(Debug, clap::Args)]
#[group(id = "source", required = true, multiple = false, args = ["file", "json"])]
pub(crate) struct Open {
    /// File with the submission in canonical JSON; `-` for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The submission in canonical JSON
    #[arg(long, value_name = "JSON")]
    json: Option<String>,
    /// How the case is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A case to show.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Id of the case
    case_id: String,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the case is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Which cases to list.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only of areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "")]
    area: String,
    /// Only in this status, such as dalam-layanan
    #[arg(long, value_parser = codes::parse::<v1::CaseStatus>)]
    status: Option<v1::CaseStatus>,
    /// Only those that are assigned to this subject
    #[arg(long, value_name = "SUBJECT", default_value = "")]
    assigned_to: String,
    #[command(flatten)]
    as_of: as_of::Args,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Does it.
pub(crate) async fn run(command: Command, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    match command {
        Command::Open(args) => open(args, server, &log).await,
        Command::Show(args) => {
            let case = get(&args.case_id, args.as_of.moment(&log)?, server).await?;
            show::print(args.format, &case, &log)
        }
        Command::List(args) => list(args, server, &log).await,
        Command::Identity(command) => identity::run(command, server, &log).await,
        Command::Erase(command) => sealing::erase(command, server, &log).await,
        Command::Hold(command) => sealing::hold(command, server, &log).await,
        Command::Take(args) => assigned::take(args, server, &log).await,
        Command::Assign(args) => assigned::assign(args, server, &log).await,
        Command::Unassign(args) => assigned::unassign(args, server, &log).await,
        Command::HandOver(args) => assigned::hand_over(args, server, &log).await,
        Command::Step(step) => advance(step, server, &log).await,
    }
}

async fn open(args: Open, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let text = match (&args.file, args.json) {
        (Some(path), _) => read(path).with_context(|| path.display().to_string())?,
        (None, json) => json.unwrap_or_default(),
    };
    let mut submission: v1::Submission = serde_json::from_str(&text).context("this is no submission")?;
    if submission.submission_id.is_empty() {
        submission.submission_id = uuid::Uuid::now_v7().to_string();
    }
    let id = submission.submission_id.clone();
    let request = v1::OpenCaseRequest { submission: Some(submission), identities: Vec::new() };
    let response = server.cases().open_case(unary(request)).await;
    let v1::OpenCaseResponse { receipt, case } =
        response.with_context(|| format!("case {id} (give it this submissionId when you try again)"))?.into_inner();
    let receipt = receipt.unwrap_or_default();
    if let Some(case) = &case {
        show::print(args.format, case, log)?;
    }
    Ok(match receipt.status() {
        v1::ReceiptStatus::Accepted | v1::ReceiptStatus::AlreadyKnown => ExitCode::SUCCESS,
        v1::ReceiptStatus::Conflict => {
            eprintln!("satgas: conflict with the record at position {}; both are kept", receipt.conflicts_with);
            ExitCode::from(EXIT_PARTLY)
        }
        v1::ReceiptStatus::Rejected
        | v1::ReceiptStatus::Unspecified
        | v1::ReceiptStatus::Quarantined
        | v1::ReceiptStatus::QuarantineRefused => {
            for v1::Violation { field, reason } in receipt.violations {
                eprintln!("satgas: {field}: {reason}");
            }
            if !receipt.refused_because.is_empty() {
                eprintln!("satgas: a supervisor refused this report: {}", receipt.refused_because);
            }
            ExitCode::from(EXIT_PARTLY)
        }
    })
}

pub(crate) fn read(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}

async fn get(case_id: &str, as_of: Option<v1::AsOf>, server: &Connection) -> anyhow::Result<v1::Case> {
    let request = v1::GetCaseRequest { case_id: case_id.to_owned(), min_position: 0, as_of };
    let response = server.cases().get_case(unary(request)).await?.into_inner();
    response.case.with_context(|| format!("the server answered without the case {case_id}"))
}

async fn list(args: List, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let as_of = args.as_of.moment(log)?;
    let mut client = server.cases();
    let cases = pages::all(async |page_token| {
        let request = v1::ListCasesRequest {
            area_prefix: args.area.clone(),
            status: args.status.map_or(0, Into::into),
            page_size: 1_000,
            page_token,
            min_position: 0,
            as_of,
            assigned_to: args.assigned_to.clone(),
        };
        let page = client.list_cases(unary(request)).await?.into_inner();
        Ok((page.cases, page.next_page_token))
    });
    let cases = cases.await?;
    print::list(args.format, &cases, &show::table(&cases, log), log.sample_data)?;
    Ok(ExitCode::SUCCESS)
}

async fn advance(step: Step, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let (common, step) = step.into_parts();
    let command = command(&common, step, server, log).await?;
    let request = v1::AdvanceCaseRequest { command: Some(command.clone()) };
    let response = server.cases().advance_case(unary(request)).await;
    let v1::AdvanceCaseResponse { receipt, case } =
        response.map_err(|status| outcome_unknown(status, &command))?.into_inner();
    if receipt.is_some_and(|receipt| receipt.status() == v1::ReceiptStatus::AlreadyKnown) {
        writeln!(io::stderr(), "satgas: this step was taken before; nothing changed")?;
    }
    show::print(common.format, &case.unwrap_or_default(), log)
}

async fn command(
    common: &Common,
    step: v1::case_command::Step,
    server: &Connection,
    log: &Log,
) -> anyhow::Result<v1::CaseCommand> {
    let occurred_at = match &common.at {
        Some(text) => time::parse(text, &log.zone).map_err(anyhow::Error::msg).context("--at")?,
        None => time::now(),
    };
    let expected_version = match common.expect {
        Some(version) => version,
        None => get(&common.case_id, None, server).await?.version,
    };
    let command_id = common.command_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    Ok(v1::CaseCommand {
        command_id,
        case_id: common.case_id.clone(),
        expected_version,
        occurred_at: Some(time::to_proto(occurred_at)),
        step: Some(step),
    })
}

/// Nobody knows whether a step was taken whose answer did not come; the same command again is safe, a new one is not.
fn outcome_unknown(status: Status, command: &v1::CaseCommand) -> anyhow::Error {
    if !failure::may_pass(&status) {
        return status.into();
    }
    let at = command.occurred_at.as_ref().and_then(time::from_proto).unwrap_or_default();
    let v1::CaseCommand { command_id, expected_version, .. } = command;
    anyhow::Error::from(status).context(format!(
        "it is not known whether the step was taken; to make sure, repeat it with --command-id {command_id} --expect \
         {expected_version} --at {at}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_an_answer_can_be_repeated_as_the_same_command() {
        let command = v1::CaseCommand {
            command_id: "c-1".into(),
            expected_version: 4,
            occurred_at: Some(pbjson_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Default::default()
        };
        let lost = outcome_unknown(Status::unavailable("gone"), &command).to_string();
        assert!(lost.ends_with("--command-id c-1 --expect 4 --at 1970-01-01T00:00:00Z"), "{lost}");
        let refused = outcome_unknown(Status::not_found("no such case"), &command);
        assert!(refused.is::<Status>());
    }
}
