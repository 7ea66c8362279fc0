//! The command line: one file a command, and nothing that another client could not do over the public services. Only `serve`,
//! `verify`, `recover`, `restore`, `backup --data`, `vault`, `doctor`, `config`, `demo` and `token recover` know the server itself.
//!
//! Exit codes: 0 done; 1 failed, or `doctor` found a problem; 2 done, but some records were rejected, are in conflict or could not be salvaged; 64 the command line
//! itself is wrong.

mod as_of;
mod audit;
mod backoff;
mod backup;
mod case;
mod codes;
mod compare;
mod config;
mod conflicts;
mod connect;
mod demo;
mod doctor;
mod evaluate;
mod events;
mod explain;
mod export;
mod failure;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod held;
mod logging;
mod manual;
mod new_id;
mod pages;
mod print;
mod progress;
mod proof;
mod quarantine;
mod recover;
mod registry;
mod release;
mod report;
mod restore;
mod rules;
mod secret;
mod serve;
mod statistics;
mod submit;
mod time;
mod token;
mod told;
mod trend;
mod vault;
mod verify;
mod warnings;
mod watch;

use std::{io, num::NonZero, process::ExitCode};

use clap::{Parser, Subcommand};

/// Some records were rejected, are in conflict or could not be salvaged.
const EXIT_PARTLY: u8 = 2;
/// The command line is wrong. Not clap's 2, which scripts would take for rejected records.
const EXIT_USAGE: u8 = 64;

/// Records, evaluates and streams the work of the task forces against sexual violence.
#[derive(Debug, Parser)]
#[command(name = "satgas", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    way: connect::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Args),
    /// Play a year of invented work on a server of its own, print what came of it, and go on serving
    Demo(demo::Args),
    /// Send records from a file
    #[command(long_about = submit::LONG_ABOUT)]
    Submit(submit::Args),
    /// Print new submission ids
    NewId(new_id::Args),
    /// Import and list areas, institutions, task forces and members
    #[command(subcommand)]
    Registry(registry::Command),
    /// Open, show and list cases, and take them step by step through their life
    #[command(subcommand)]
    Case(case::Command),
    /// Send a report without a token and follow it up by its code; list, read, answer and decide on reports
    #[command(subcommand)]
    Report(report::Command),
    /// Evaluate task forces
    Evaluate(evaluate::Args),
    /// Show what an indicator was counted from, with the events behind it
    Explain(explain::Args),
    /// Set evaluations beside those of the period before and of a year earlier, with ranks and what is too small to mean anything
    Trend(trend::Args),
    /// Count cases in the categories of Simfoni PPA, crossed by up to three of them
    Statistics(statistics::Args),
    /// Preview, publish, list and show statistical releases
    #[command(subcommand)]
    Release(release::Command),
    /// Compare what was known at one moment with what was known later, and show what made the difference
    Compare(compare::Args),
    /// List, show and record the rules that figures are made by
    #[command(subcommand)]
    Rules(rules::Command),
    /// Evaluate a period under other rules, beside those in force
    WhatIf(rules::WhatIf),
    /// Follow evaluations as they change
    Watch(watch::Args),
    /// Read or follow the log
    Events(events::Args),
    /// Write evaluations, statistics or records to a file: workbook, CSV, Parquet, JSON lines
    #[command(subcommand)]
    Export(export::Command),
    /// List the early warnings that stand now
    Warnings(warnings::Args),
    /// List records that a person must decide between, and decide
    Conflicts(conflicts::Args),
    /// List records that arrived after their reporter's token had ended, and admit or refuse them
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// List corrections and withdrawals whose target has not arrived yet
    Held(held::Args),
    /// Issue, list, revoke and recover tokens, and enrol phones
    #[command(subcommand)]
    Token(token::Command),
    /// List the cases whose data a token could have seen
    Audit(audit::Args),
    /// Check a data folder from its first byte to its last, while no server uses it
    Verify(verify::Args),
    /// Copy the log and the access log from a running server, or one that is stopped, into a folder, or what is new of them since the last time
    Backup(backup::Args),
    /// Prove that a record is at its place in the log, as a file that is checked without the server
    Prove(proof::prove::Args),
    /// Check a proof with the key alone, without any server
    CheckProof(proof::check::Args),
    /// Keep the signed heads of a running server's log in a folder elsewhere, each only if it goes on from the last
    Heads(proof::heads::Args),
    /// Make a new data folder from a backup, as it was at a point in time, or only check the backup
    Restore(restore::Args),
    /// Salvage a data folder that does not open any more into a new one
    Recover(recover::Args),
    /// Say what is wrong with a server, in words, and what to do
    Doctor(doctor::Args),
    /// Check or print the server's settings
    #[command(subcommand)]
    Config(config::Command),
    /// Rotate the master key of sealed identities, back up and restore the keys of cases
    #[command(subcommand)]
    Vault(vault::Command),
    /// Print what a shell needs to complete commands and options
    Completions(manual::CompletionsArgs),
    /// Write the manual pages of all commands
    Man(manual::ManArgs),
}

/// The tree of commands: what manuals and completions are made from, and documents are held against.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are errors to clap. When even this cannot be printed, nobody is listening.
            let _ = answer.print();
            return if answer.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let server_url = cli.way.server.clone();
    match execute(cli) {
        Ok(code) => code,
        Err(error) if stopped_listening(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("satgas: {}", failure::sentence(&error, &server_url));
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    // A served log has two threads of its own, the writer's and the fold's: the runtime leaves them a core.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = cores.saturating_sub(1).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        // A channel can only be made inside a runtime.
        let server = || cli.way.connect();
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Demo(args) => demo::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Submit(args) => submit::run(args, &server()?).await,
            Command::NewId(args) => new_id::run(&args),
            Command::Registry(command) => registry::run(command, &server()?).await,
            Command::Case(command) => case::run(command, &server()?).await,
            Command::Report(command) => report::run(command, &server()?, &cli.way.server).await,
            Command::Evaluate(args) => evaluate::run(args, &server()?).await,
            Command::Explain(args) => explain::run(args, &server()?).await,
            Command::Trend(args) => trend::run(args, &server()?).await,
            Command::Statistics(args) => statistics::run(args, &server()?).await,
            Command::Release(command) => release::run(command, &server()?).await,
            Command::Compare(args) => compare::run(args, &server()?).await,
            Command::Rules(command) => rules::run(command, &server()?).await,
            Command::WhatIf(args) => rules::what_if(args, &server()?).await,
            Command::Watch(args) => watch::run(args, &server()?).await,
            Command::Events(args) => events::run(args, &server()?).await,
            Command::Export(command) => export::run(command, &server()?).await,
            Command::Warnings(args) => warnings::run(args, &server()?).await,
            Command::Conflicts(args) => conflicts::run(args, &server()?).await,
            Command::Quarantine(command) => quarantine::run(command, &server()?).await,
            Command::Held(args) => held::run(args, &server()?).await,
            Command::Token(token::Command::Recover(args)) => token::recover(&args).await,
            Command::Token(command) => token::run(command, &server()?, &cli.way.server).await,
            Command::Audit(args) => audit::run(args, &server()?).await,
            Command::Verify(args) => verify::run(&args),
            Command::Backup(args) => backup::run(args, &cli.way).await,
            Command::Prove(args) => proof::prove::run(args, &server()?).await,
            Command::CheckProof(args) => proof::check::run(&args),
            Command::Heads(args) => proof::heads::run(args, &server()?, &cli.way.server).await,
            Command::Restore(args) => restore::run(&args),
            Command::Recover(args) => recover::run(&args),
            Command::Doctor(args) => doctor::run(args, cli.way.clone()).await,
            Command::Config(command) => config::run(command),
            Command::Vault(command) => vault::run(command),
            Command::Completions(args) => manual::completions(&args),
            Command::Man(args) => manual::man(&args),
        }
    })
}

/// Whether the reader of a pipe has had enough, as in `satgas events | head`.
fn stopped_listening(error: &anyhow::Error) -> bool {
    let io_kind = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<serde_json::Error>() {
        Some(json) => json.io_error_kind(),
        None => cause.downcast_ref::<io::Error>().map(io::Error::kind),
    };
    error.chain().any(|cause| io_kind(cause) == Some(io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert!(stopped_listening(&closed));
        assert!(!stopped_listening(&anyhow::anyhow!("anything else")));
    }
}
