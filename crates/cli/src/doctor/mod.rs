//! `satgas doctor`: says in words what is wrong with a server and what to do, on the machine that has its data and from what it answers.

mod figures;
mod server;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use satgas_server::{
    Config, SystemClock,
    doctor::{self, Finding, Level},
};
use serde::Serialize;

use crate::{
    connect,
    print::{Format, plain},
};

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Configuration file (TOML) of the server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// Folder of the backups, whose last one is to be young
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// Address of the server's figures [default: metrics_listen of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Only ask the server: its data lie on another machine
    #[arg(long)]
    only_server: bool,
    /// How the findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Serialize, clap::Args)]
struct Flags {
    /// Data folder [default: satgas-data]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
}

/// Looks, and prints what was found. Fails when something is a problem.
pub(crate) async fn run(args: Args, way: connect::Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(args.config.as_deref(), &args.flags)?;
    let way = way.or_listening_at(config.listen, config.tls_certificate.is_some());
    let metrics = args.metrics.or(config.metrics_listen);
    // Whoever has the folder says that it is served; on another machine somebody asked for the server.
    let is_expected = args.only_server || doctor::is_served(&config.data);
    let mut findings = Vec::new();
    if !args.only_server {
        let backup = args.backup.clone();
        let local = move || doctor::examine(&config, backup.as_deref(), &SystemClock);
        findings = tokio::task::spawn_blocking(local).await.context("the examination did not end")?;
    }
    findings.extend(server::ask(&way, is_expected).await);
    findings.extend(figures::ask(metrics, is_expected).await);
    print(args.format, &findings)?;
    let has_problem = findings.iter().any(|finding| finding.level == Level::Problem);
    Ok(if has_problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(format: Format, findings: &[Finding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    match format {
        Format::Text => {
            for Finding { check, level, what, remedy } in findings {
                writeln!(out, "{:<8} {check:<12} {}", level.word(), plain(what))?;
                if !remedy.is_empty() {
                    writeln!(out, "{:22}to do: {}", "", plain(remedy))?;
                }
            }
            let count = |level| findings.iter().filter(|finding| finding.level == level).count();
            writeln!(out, "problems: {}, warnings: {}", count(Level::Problem), count(Level::Warning))
        }
        Format::Json => {
            let of = |f: &Finding| {
                let Finding { check, level, what, remedy } = f;
                serde_json::json!({ "check": check, "level": level.word(), "what": what, "remedy": remedy })
            };
            let worst = if worst == Level::Skipped { Level::Ok } else { worst };
            let all: Vec<_> = findings.iter().map(of).collect();
            writeln!(out, "{}", serde_json::json!({ "doctor": worst.word(), "findings": all }))
        }
    }
}
