//! `satgas serve`: runs the server until it is told to stop.
//!
//! The first SIGINT or SIGTERM stops it in order: submissions in flight are answered, streams are told where to resume. The
//! second one ends the process at once; what was acknowledged is on disk either way.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use satgas_server::{Config, Server, SystemClock};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    failure,
    logging::{self, LogFormat},
    print::SAMPLE,
};

/// How to serve. Everything has a default; rising order: defaults, configuration file, environment (SATGAS_LISTEN,
/// SATGAS_DATA and so on), these flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// The settings that a flag can change, by their names in the configuration.
#[derive(Debug, Serialize, clap::Args)]
struct Flags {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:5371]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Folder that keeps the log [default: satgas-data]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Time zone in which a new log counts days and months [default: Asia/Makassar]
    #[arg(long, value_name = "ZONE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// A new log is one of invented data (DATA CONTOH)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_data: Option<bool>,
    /// Folder of the keys that identities are sealed under, which may lie on another disk [default: keys/cases in the data folder]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    vault: Option<PathBuf>,
    /// File with the master key that wraps them, 32 bytes in base64, readable by its owner only [default: the data folder's own, made when
    /// it is needed first]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key_file: Option<PathBuf>,
    /// Certificate chain (PEM); with it and its key the server speaks TLS only
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    /// Authority (PEM) whose certificates clients must show
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_authority: Option<PathBuf>,
    /// How long a stop in order may take, in seconds [default: 10]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shutdown_deadline_s: Option<u64>,
    /// How the server's own log on standard error is written [default: text]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
    /// Address and port at which Prometheus finds the server's figures, at /metrics [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_listen: Option<SocketAddr>,
    /// Collector of OpenTelemetry traces, such as http://127.0.0.1:4317 [default: no traces]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_endpoint: Option<String>,
}

/// Serves until a signal.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut format = args.flags.log_format.unwrap_or_default();
    match serve(&args, &mut format).await {
        // Whoever reads JSON a line reads why the server did not start, too.
        Err(error) if format == LogFormat::Json => {
            logging::start(format);
            tracing::error!("{}", failure::sentence(&error, ""));
            Ok(ExitCode::FAILURE)
        }
        ended => ended.map(|()| ExitCode::SUCCESS),
    }
}

async fn serve(args: &Args, format: &mut LogFormat) -> anyhow::Result<()> {
    // Listened to before the server starts: a signal that comes while it starts is not lost.
    let mut stop = Stop::listen()?;
    let config = Config::load(args.config.as_deref(), &args.flags)?;
    *format = config.log_format.into();
    logging::start(*format);
    // Huge pages that are touched in a few places are memory that nobody uses: 70 MB instead of 20 of an idle server.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on: the server takes more memory");
    }
    let data = config.data.clone();
    let server = Server::start(config, Arc::new(SystemClock)).await.context("the server cannot start")?;
    announce(&server, &data, *format)?;
    stop.signalled().await;
    tracing::info!("stopping; a second signal ends the process at once");
    tokio::select! {
        done = server.shutdown() => done.context("the server did not stop in order"),
        signal_number = stop.signalled() => std::process::exit(128 + signal_number),
    }
}

/// The one line on standard output: whoever started the process waits for it. Where the first token lies is for people.
fn announce(server: &Server, data: &std::path::Path, format: LogFormat) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mark = if server.is_sample_data() { format!(" ({SAMPLE})") } else { String::new() };
    let scheme = if server.speaks_tls() { "https" } else { "http" };
    writeln!(out, "satgas serves {scheme}://{} from {}{mark}", server.address(), data.display())?;
    // The log says it, too; there it is JSON where that is wanted.
    if let (file, true) = server.operator_token()
        && format == LogFormat::Text
    {
        eprintln!("The operator's first token lies in {0}: satgas --token-file {0} token issue ...", file.display());
    }
    out.flush()
}

/// The signals that ask a process to stop.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one and tells its number.
    async fn signalled(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_flag_that_is_not_given_overrides_nothing() {
        let line = Line::parse_from(["serve", "--listen", "127.0.0.1:0", "--sample-data"]);
        let given = serde_json::to_value(&line.args.flags).unwrap();
        assert_eq!(given, serde_json::json!({ "listen": "127.0.0.1:0", "sample_data": true }));
    }
}
