//! `satgas case identity`: seals who the people of a case are, and reads it again.
//!
//! An identity comes from a file or standard input, never from the arguments, which every user of the machine can read; and what is wrong
//! with it is said without repeating it.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use satgas_proto::v1;

use super::{get, read, sealing};
use crate::{
    codes,
    connect::{Connection, Log, unary},
    print::{self, Format},
    time,
};

/// What to do with identities.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Seal an identity under the case's key
    Record(Record),
    /// Read an identity; who reads it and what for is recorded before it is shown
    Unseal(Unseal),
}

/// An identity to seal.
#[derive(Debug, clap::Args)]
pub(crate) struct Record {
    /// Id of the case
    case_id: String,
    /// victim, reporter or alleged-offender
    #[arg(long, value_parser = codes::parse::<v1::IdentityKind>)]
    kind: v1::IdentityKind,
    /// File with the identity as JSON: fullName, parents, address, phone, bornOn, other; `-` for standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Version of the case on which you decided; refused if it is another by now [default: the one it has when the command starts]
    #[arg(long, value_name = "VERSION")]
    expect: Option<u64>,
    /// Id of the command, to repeat one whose answer did not come [default: a new one]
    #[arg(long, value_name = "UUID")]
    command_id: Option<String>,
}

/// An identity to read.
#[derive(Debug, clap::Args)]
pub(crate) struct Unseal {
    /// Id of the case
    case_id: String,
    /// victim, reporter or alleged-offender
    #[arg(long, value_parser = codes::parse::<v1::IdentityKind>)]
    kind: v1::IdentityKind,
    /// What for, 10 to 500 characters; recorded with who you are; no names
    #[arg(long)]
    purpose: String,
    /// Event that sealed it, as `satgas case show` prints it, to read what was sealed before a correction [default: the latest]
    #[arg(long, value_name = "POSITION", default_value_t = 0, hide_default_value = true)]
    sealed_at: u64,
    /// How the identity is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Does it.
pub(super) async fn run(command: Command, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    match command {
        Command::Record(args) => record(args, server, log).await,
        Command::Unseal(args) => unseal(args, server, log).await,
    }
}

async fn record(args: Record, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let text = read(&args.file).with_context(|| args.file.display().to_string())?;
    let identity: v1::PersonIdentity = match serde_json::from_str(&text) {
        Ok(identity) => identity,
        // The parser's own words repeat what it met.
        Err(error) => bail!(
            "{}: no identity as JSON at line {}, column {}: the fields are fullName, parents, address, phone, bornOn and other",
            args.file.display(),
            error.line(),
            error.column()
        ),
    };
    let expected_version = match args.expect {
        Some(version) => version,
        None => get(&args.case_id, None, server).await?.version,
    };
    let command_id = args.command_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let request = v1::RecordIdentityRequest {
        command_id: command_id.clone(),
        case_id: args.case_id.clone(),
        expected_version,
        kind: args.kind.into(),
        identity: Some(identity),
    };
    let response = server.cases().record_identity(unary(request)).await.with_context(|| {
        format!("to make sure that it was sealed, repeat it with --command-id {command_id} --expect {expected_version}")
    });
    let v1::RecordIdentityResponse { version, sealing: now, .. } = response?.into_inner();
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    writeln!(out, "case            {}\nversion         {version}", args.case_id)?;
    sealing::write(&mut out, &now.unwrap_or_default(), log)?;
    Ok(ExitCode::SUCCESS)
}

async fn unseal(args: Unseal, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let Unseal { case_id, kind, purpose, sealed_at: sealed_position, .. } = args;
    let request = v1::UnsealIdentityRequest { case_id, kind: kind.into(), purpose, sealed_position };
    let answer = server.cases().unseal_identity(unary(request)).await?.into_inner();
    let identity = answer.identity.unwrap_or_default();
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&identity)?)?,
        Format::Text => {
            print::banner(&mut out, log.sample_data)?;
            let v1::PersonIdentity { full_name, parents, address, phone, born_on, other } = &identity;
            let fields = [
                ("full name", full_name),
                ("parents", parents),
                ("address", address),
                ("phone", phone),
                ("born on", born_on),
                ("other", other),
            ];
            for (name, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
                writeln!(out, "{name:<15} {text}")?;
            }
            let by = sealing::by(answer.sealed_by.as_ref());
            writeln!(out, "sealed          {}{by}", time::show(answer.sealed_at.as_ref(), &log.zone))?;
            writeln!(out, "this reading    event {}", answer.read_position)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
