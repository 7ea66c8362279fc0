//! `satgas new-id`: ids for records that are about to be written down, so that sending them twice records them once.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// What to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
}

/// Prints the ids, one a line.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for _ in 0..args.count {
        writeln!(out, "{}", uuid::Uuid::now_v7())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
