//! The server's own log, on standard error.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use serde::Serialize;
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How the server's log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

impl From<satgas_server::LogFormat> for LogFormat {
    fn from(format: satgas_server::LogFormat) -> Self {
        match format {
            satgas_server::LogFormat::Text => Self::Text,
            satgas_server::LogFormat::Json => Self::Json,
        }
    }
}

/// Starts logging, at `info` unless `RUST_LOG` says otherwise, and never what is stored. A second call changes nothing.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::registry().with(filter).with(filter_fn(|line| !tells_what_is_stored(line)));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(colours);
    // It fails only where logging was started before, and then it goes on as it was.
    let _ = match format {
        LogFormat::Text => log.with(lines).try_init(),
        LogFormat::Json => {
            // Whoever reads JSON a line reads a panic, too.
            std::panic::set_hook(Box::new(|panicked| tracing::error!("{panicked}")));
            log.with(lines.json()).try_init()
        }
    };
}

/// sled's lines for its own developers hold the bytes that it writes and reads.
fn tells_what_is_stored(line: &Metadata<'_>) -> bool {
    line.target().split("::").next() == Some("sled") && *line.level() > Level::INFO
}
