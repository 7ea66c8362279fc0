//! `satgas export`: evaluations, statistics and records as files for offices, spreadsheets and analysts.
//!
//! Invariants: a file is there whole or not at all, whatever ends the export. Everything in one file stands on one log position,
//! which the file names. No figure is added up here.

mod draft;
mod evaluations;
mod figures;
mod records;
mod rows;
mod standing;
mod statistics;
mod table;
mod workbook;

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::draft::Draft;
use crate::connect::Connection;

/// What to export.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The evaluations of a period: a workbook to print, CSV, or Parquet
    Evaluations(evaluations::Args),
    /// Cases crossed in the categories of Simfoni PPA: a workbook to print, CSV, or Parquet
    Statistics(statistics::Args),
    /// The events of the log: JSON lines, or Parquet
    Records(records::Args),
}

/// Exports. A signal ends it in order: the unfinished file is removed.
pub(crate) async fn run(command: Command, server: &Connection) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let export = async {
        match command {
            Command::Evaluations(args) => evaluations::run(&args, server).await,
            Command::Statistics(args) => statistics::run(&args, server).await,
            Command::Records(args) => records::run(&args, server).await,
        }
    };
    tokio::select! {
        outcome = export => outcome.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => bail!("stopped before the end, so no file was written; run the same command again"),
        _ = terminate.recv() => bail!("told to stop before the end, so no file was written; run the same command again"),
    }
}
