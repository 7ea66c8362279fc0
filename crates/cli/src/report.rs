//! `satgas report`: reports of the public. Anybody sends one and follows it up by its code; case workers read, answer and decide.
//!
//! What a report says comes from a file or standard input, never from the arguments, which every user of the machine can read.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use satgas_proto::{follow_up::Code, v1};
use uuid::Uuid;

use crate::{
    case::read,
    codes,
    connect::{Connection, Log, is_private, unary},
    pages,
    print::{self, Align, ListFormat, Table},
    time,
};

/// How often a report is sent when its answer does not come: the same report each time.
const TRIES: u32 = 4;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// What to do with reports.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a report; needs no token. Its follow-up code is printed once
    Send(Send),
    /// Show how a report stands, by its code; needs no token
    Follow(Follow),
    /// List reports
    List(List),
    /// Read what a report says; who reads it and what for is recorded before it is shown
    Read(Read),
    /// Leave a message for a reporter
    Answer(Answer),
    /// Decide on a report: it becomes a case, or is dismissed
    Triage(Triage),
}

/// A report to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// File with the report as JSON: text, contact, victim, reporter, allegedOffender; `-` for standard input [default: ask for the text]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Official code of the kelurahan, if it is known, such as 53.71.04.1001
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    area: String,
    /// Form of violence, if it is known; may be repeated
    #[arg(long, value_parser = codes::parse::<v1::Violence>)]
    violence: Vec<v1::Violence>,
}

/// A report to follow up.
#[derive(Debug, clap::Args)]
pub(crate) struct Follow {
    /// The code; `-` for standard input, where other users of this machine do not see it
    code: String,
    /// File with a message to add; `-` for standard input
    #[arg(long, value_name = "FILE")]
    add: Option<PathBuf>,
}

/// Which reports to list.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only of areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "")]
    area: String,
    /// Also those that were decided on
    #[arg(long)]
    all: bool,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// A report to read.
#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    /// Id of the report
    report_id: String,
    /// What for, 10 to 500 characters; recorded with who you are; no names
    #[arg(long)]
    purpose: String,
}

/// A message to leave.
#[derive(Debug, clap::Args)]
pub(crate) struct Answer {
    /// Id of the report
    report_id: String,
    /// File with the message; `-` for standard input. Whoever has the code reads it: no names, no place
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    on: On,
}

/// A decision.
#[derive(Debug, clap::Args)]
#[group(id = "decision", required = true, multiple = false, args = ["open_case", "dismiss"])]
pub(crate) struct Triage {
    /// Id of the report
    report_id: String,
    /// File with the case report as a submission in canonical JSON, its submissionId the report's; `-` for standard input
    #[arg(long, value_name = "FILE")]
    open_case: Option<PathBuf>,
    /// Why it is dismissed, 10 to 500 characters; no names
    #[arg(long, value_name = "REASON")]
    dismiss: Option<String>,
    /// File with a message to leave for the reporter. Whoever has the code reads it: no names, no place
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    #[command(flatten)]
    on: On,
}

/// What it is decided on.
#[derive(Debug, clap::Args)]
struct On {
    /// Version of the report on which you decided, as `satgas report list` prints it; refused if it is another by now
    #[arg(long, value_name = "VERSION")]
    expect: u64,
    /// Id of the command, to repeat one whose answer did not come [default: a new one]
    #[arg(long, value_name = "UUID")]
    command_id: Option<String>,
}

impl On {
    fn command_id(&self) -> String {
        self.command_id.clone().unwrap_or_else(|| Uuid::now_v7().to_string())
    }
}

/// Does it.
pub(crate) async fn run(command: Command, server: &Connection, url: &str) -> anyhow::Result<ExitCode> {
    match command {
        Command::Send(args) => send(args, server, url).await,
        Command::Follow(args) => follow(args, server, url).await,
        Command::List(args) => list(args, server, &server.log().await?).await,
        Command::Read(args) => show(args, server, &server.log().await?).await,
        Command::Answer(args) => answer(args, server).await,
        Command::Triage(args) => triage(args, server).await,
    }
}

async fn send(args: Send, server: &Connection, url: &str) -> anyhow::Result<ExitCode> {
    keep_private(url)?;
    let code = Code::of_random(rand::random());
    let violence = args.violence.into_iter().map(i32::from).collect();
    let request = v1::SendReportRequest {
        report_id: timeless_id(),
        code_hash: code.hash().to_vec().into(),
        area_code: args.area,
        categories: Some(v1::CaseReport { violence, ..Default::default() }),
        content: Some(content(args.file.as_deref())?),
    };
    let sent = async {
        let mut tries = 1;
        loop {
            // The same id and content: however often it arrives, it is one report.
            match server.reports().send_report(unary(request.clone())).await {
                Err(lost) if lost.code() == tonic::Code::Unavailable && tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    };
    match sent.await {
        Ok(_) => println!("your report has arrived"),
        // It may have arrived: then the code finds it.
        Err(lost) if matches!(lost.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded) => {
            println!("the server's answer did not come: look later with this code whether your report has arrived");
            println!("code  {code}");
            return Err(lost.into());
        }
        Err(refused) => return Err(refused.into()),
    }
    println!("code  {code}");
    println!("write it down and keep it safe: it is shown only now, and whoever has it sees how your report stands");
    Ok(ExitCode::SUCCESS)
}

/// What the report says, from a file or asked for.
fn content(file: Option<&Path>) -> anyhow::Result<v1::PublicReportText> {
    let Some(file) = file else {
        if io::stdin().is_terminal() {
            println!("what happened? End with Ctrl-D on an empty line.");
        }
        let text = read(Path::new("-"))?.trim_end().to_owned();
        return Ok(v1::PublicReportText { text, ..Default::default() });
    };
    let text = read(file).with_context(|| file.display().to_string())?;
    // The parser's own words repeat what it met.
    serde_json::from_str(&text).or_else(|error| {
        bail!(
            "{}: no report as JSON at line {}, column {}: the fields are text, contact, victim, reporter and allegedOffender",
            file.display(),
            error.line(),
            error.column()
        )
    })
}

async fn follow(args: Follow, server: &Connection, url: &str) -> anyhow::Result<ExitCode> {
    keep_private(url)?;
    let code = if args.code == "-" { read(Path::new("-"))?.trim().to_owned() } else { args.code };
    // A typing error is told before the server is asked, and does not count as a guess there.
    code.parse::<Code>()?;
    let message = match &args.add {
        Some(file) => Some(message(file)?),
        None => None,
    };
    let message_id = if message.is_some() { timeless_id() } else { String::new() };
    let request = v1::FollowUpRequest { code, message, message_id };
    let answer = server.reports().follow_up(unary(request)).await?.into_inner();
    println!("received  {}\nstatus    {}", answer.received_on, codes::label::<v1::PublicReportStatus>(answer.status));
    if answer.messages > 0 {
        println!("messages  {}", answer.messages);
    }
    for left in &answer.answers {
        println!("\n{}", print::plain(&left.text));
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: List, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let mut client = server.reports();
    let reports = pages::all(async |after_position| {
        let request = v1::ListPublicReportsRequest {
            area_prefix: args.area.clone(),
            include_triaged: args.all,
            page_size: 1_000,
            after_position,
            min_position: 0,
        };
        let page = client.list_public_reports(unary(request)).await?.into_inner();
        Ok((page.reports, page.next_after_position))
    });
    let reports = reports.await?;
    let mut table = Table::new([
        ("report", Align::Left),
        ("version", Align::Right),
        ("received", Align::Left),
        ("area", Align::Left),
        ("status", Align::Left),
        ("verdict", Align::Left),
        ("messages", Align::Right),
    ]);
    for report in &reports {
        table.row(vec![
            report.report_id.clone(),
            report.version.to_string(),
            time::show(report.received_at.as_ref(), &log.zone),
            report.area_code.clone(),
            codes::label::<v1::PublicReportStatus>(report.status),
            codes::label::<v1::PublicReportVerdict>(report.verdict),
            report.messages.to_string(),
        ]);
    }
    print::list(args.format, &reports, &table, log.sample_data)?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: Read, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let Read { report_id, purpose } = args;
    let request = v1::ReadPublicReportRequest { report_id, purpose };
    let answer = server.reports().read_public_report(unary(request)).await?.into_inner();
    let report = answer.report.unwrap_or_default();
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    writeln!(out, "report          {}\nversion         {}", report.report_id, report.version)?;
    writeln!(out, "received        {}", time::show(report.received_at.as_ref(), &log.zone))?;
    // As JSON, in which nothing that somebody wrote moves the cursor.
    writeln!(out, "{}", serde_json::to_string_pretty(&answer.content.unwrap_or_default())?)?;
    for message in &answer.messages {
        let by = message.by.as_ref().map_or("its reporter", |by| &by.id);
        let at = time::show(message.added_at.as_ref(), &log.zone);
        writeln!(out, "\n{at}, by {by}\n{}", serde_json::to_string_pretty(&message.message)?)?;
    }
    writeln!(out, "this reading    event {}", answer.read_position)?;
    Ok(ExitCode::SUCCESS)
}

async fn answer(args: Answer, server: &Connection) -> anyhow::Result<ExitCode> {
    let (command_id, expected_version) = (args.on.command_id(), args.on.expect);
    let answer = Some(message(&args.file)?);
    let request =
        v1::AnswerReportRequest { command_id: command_id.clone(), report_id: args.report_id, expected_version, answer };
    let answer = server.reports().answer_report(unary(request)).await;
    done(answer.with_context(|| again(&command_id))?.into_inner().report)
}

async fn triage(args: Triage, server: &Connection) -> anyhow::Result<ExitCode> {
    use v1::triage_report_request::Decision;
    let (command_id, expected_version) = (args.on.command_id(), args.on.expect);
    let decision = match (&args.open_case, args.dismiss) {
        (Some(file), _) => {
            let text = read(file).with_context(|| file.display().to_string())?;
            let case = serde_json::from_str(&text).with_context(|| format!("{}: no submission", file.display()))?;
            Some(Decision::OpenCase(case))
        }
        (None, reason) => reason.map(Decision::Dismiss),
    };
    let answer = match &args.answer {
        Some(file) => Some(message(file)?),
        None => None,
    };
    let request = v1::TriageReportRequest {
        command_id: command_id.clone(),
        report_id: args.report_id,
        expected_version,
        decision,
        answer,
    };
    let answer = server.reports().triage_report(unary(request)).await;
    done(answer.with_context(|| again(&command_id))?.into_inner().report)
}

fn done(report: Option<v1::PublicReport>) -> anyhow::Result<ExitCode> {
    let report = report.unwrap_or_default();
    let status = codes::label::<v1::PublicReportStatus>(report.status);
    println!("report          {}\nversion         {}\nstatus          {status}", report.report_id, report.version);
    Ok(ExitCode::SUCCESS)
}

fn again(command_id: &str) -> String {
    format!("to make sure that it was recorded, repeat it with --command-id {command_id}")
}

fn message(file: &Path) -> anyhow::Result<v1::PublicMessageText> {
    let text = read(file).with_context(|| file.display().to_string())?.trim_end().to_owned();
    Ok(v1::PublicMessageText { text })
}

/// An id that does not tell when it was made, but for the day.
#[expect(clippy::disallowed_methods, reason = "a command reads the wall clock")]
fn timeless_id() -> String {
    let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    let midnight_ms = now_ms - now_ms % DAY_MS;
    uuid::Builder::from_unix_timestamp_millis(midnight_ms, &rand::random()).into_uuid().to_string()
}

/// What is reported must not be read on its way.
fn keep_private(url: &str) -> anyhow::Result<()> {
    if !is_private(url) {
        bail!(
            "a report over `{url}` could be read by whoever is on the way: use https://, or a server on this machine"
        );
    }
    Ok(())
}
