//! `satgas config`: looks at a server's settings before a start does.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::bail;
use clap::Subcommand;
use satgas_server::{Config, ConfigError, Wrong};

use crate::print::Format;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check the file, the environment, and the files that they name; says what to write instead
    Check {
        #[command(flatten)]
        file: File,
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print all settings as a server would have them now, in TOML
    Show(File),
}

/// Where the settings are.
#[derive(Debug, clap::Args)]
pub(crate) struct File {
    /// Configuration file (TOML) of the server; without one the defaults and the environment
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// No flag of `serve`.
#[derive(serde::Serialize)]
struct NoFlags {}

impl File {
    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), NoFlags {})
    }
}

/// Does it.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { file, format } => check(&file, format),
        Command::Show(file) => {
            io::stdout().write_all(file.load()?.to_toml().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(file: &File, format: Format) -> anyhow::Result<ExitCode> {
    let wrong = match file.load() {
        Ok(config) => config.problems(),
        Err(ConfigError::Refused(wrong)) => wrong,
        Err(error) => return Err(error.into()),
    };
    let stray = Config::stray_variables();
    match format {
        Format::Json => {
            let objects = |all: &[Wrong]| -> Vec<_> {
                all.iter().map(|w| serde_json::json!({ "place": w.place, "what": w.what })).collect()
            };
            let word = if wrong.is_empty() { "ok" } else { "refused" };
            let object = serde_json::json!({ "config": word, "wrong": objects(&wrong), "stray": objects(&stray) });
            writeln!(io::stdout(), "{object}")?;
        }
        Format::Text => {
            for stray in &stray {
                eprintln!("satgas: {stray}");
            }
            if !wrong.is_empty() {
                let lines: String = wrong.iter().map(|wrong| format!("\n  {wrong}")).collect();
                bail!("the configuration is refused:{lines}");
            }
            writeln!(io::stdout(), "ok: the configuration makes a server")?;
        }
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
