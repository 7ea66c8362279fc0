//! `satgas verify`: walks a whole log from its files, and says what it found or where it is broken.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use satgas_server::{Checked, VerifyError};

use crate::{
    print::{self, Format},
    progress, vault,
};

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder that keeps the log; refused while a server uses it
    #[arg(long, value_name = "DIR", env = "SATGAS_DATA", default_value = "satgas-data")]
    data: PathBuf,
    /// Show that the identities of this erased case open no more, with any key in the vault and in the given copies of it
    #[arg(long, value_name = "CASE")]
    erased: Option<String>,
    /// A copy of the vault to look through, too; may be given more than once
    #[arg(long, value_name = "DIR", requires = "erased")]
    backup: Vec<PathBuf>,
    /// The files in these folders that are no keys, such as archives, and what links in them lead to were looked at otherwise and hold no key
    #[arg(long, requires = "erased")]
    others_hold_no_keys: bool,
    /// Configuration file (TOML) of the server, which says where vault and master key lie
    #[arg(long, value_name = "FILE", requires = "erased")]
    config: Option<PathBuf>,
    /// Folder of the cases' keys [default: keys/cases in the data folder]
    #[arg(long, value_name = "DIR", requires = "erased")]
    vault: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Checks the folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(case_id) = &args.erased {
        let (config, data, vault) = (args.config.clone(), args.data.clone(), args.vault.clone());
        return vault::verify_erased(config, data, vault, case_id, &args.backup, args.others_hold_no_keys);
    }
    let bar = progress::counting();
    let started = Instant::now();
    let outcome = satgas_server::verify(&args.data, |records| bar.set_position(records));
    let took = started.elapsed();
    bar.finish_and_clear();
    match outcome {
        Ok(checked) => report(args.format, &checked, took)?,
        Err(VerifyError::Fault(fault)) => {
            if args.format == Format::Json {
                let object = serde_json::json!({ "verify": "fault", "fault": fault.to_string() });
                writeln!(io::stdout(), "{object}")?;
            }
            return Err(anyhow::Error::from(fault).context(args.data.display().to_string()));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn report(format: Format, checked: &Checked, took: Duration) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let verified = &checked.log;
    let (hash, root) = (print::hex(&verified.head.hash, 64), print::hex(&checked.root, 64));
    match format {
        Format::Text => {
            writeln!(out, "ok: every byte of the log holds")?;
            writeln!(out, "records  {}", verified.records)?;
            writeln!(out, "commits  {}", verified.commits)?;
            writeln!(out, "frames   {}", verified.frames)?;
            writeln!(out, "bytes    {}", verified.bytes)?;
            writeln!(out, "head     {} {hash}", verified.head.position)?;
            writeln!(out, "root     {root}")?;
            writeln!(out, "took     {:.2} s", took.as_secs_f64())?;
        }
        Format::Json => {
            let object = serde_json::json!({
                "verify": "ok",
                "records": verified.records,
                "commits": verified.commits,
                "frames": verified.frames,
                "bytes": verified.bytes,
                "head": { "position": verified.head.position, "hash": hash },
                "root": root,
                "took_s": took.as_secs_f64(),
            });
            writeln!(out, "{object}")?;
        }
    }
    Ok(())
}
