//! `satgas man` and `satgas completions`: manual pages and what shells complete, made from the tree of commands, so that they cannot say
//! anything else than `--help`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap_complete::Shell;

/// Where the manual pages go.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Folder for the pages, one for each command (satgas.1, satgas-serve.1 and so on); made when it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// For which shell.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Writes the manual pages of all commands.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let pages = || -> io::Result<()> {
        fs::create_dir_all(&args.to)?;
        clap_mangen::generate_to(crate::command(), &args.to)
    };
    pages().with_context(|| format!("the manual pages cannot be written to {}", args.to.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what a shell needs to complete commands, options and their values.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // Into memory first: the generator panics when the other end of a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "satgas", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
