//! `satgas restore`: a new data folder from a backup, as it was at a point in time, and nothing that the chain does not prove.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use satgas_backup::{Cut, Reader};
use satgas_proto::v1::as_of::At;
use satgas_server::Restored;

use crate::{
    as_of,
    print::{self, Format},
    progress, time,
};

/// From where, to where, and when.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of the backup; nothing in it is changed
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// New data folder, empty or not there yet
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    to: Option<PathBuf>,
    /// Read the backup from its first byte to its last, and write nothing
    #[arg(long, conflicts_with = "to")]
    check: bool,
    /// As the log was at this time, such as "2026-03-05 10:00", or at the end of a day [default: as it was last backed up]
    #[arg(long, value_name = "TIME", conflicts_with = "position")]
    until: Option<String>,
    /// As the log was at this position; a commit that reaches beyond it is left out
    #[arg(long, value_name = "N")]
    position: Option<u64>,
    /// The key that must have signed the backup, as `satgas backup` printed it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Restores.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let backup = Reader::open(&args.from, args.key.as_deref())?;
    let zone = TimeZone::get(backup.time_zone())
        .with_context(|| format!("the log counts days in `{}`, which is not known here", backup.time_zone()))?;
    let cut = cut(args, &zone)?;
    let bar = progress::counting();
    let restored = satgas_server::restore(&backup, args.to.as_deref(), cut, &mut |position| bar.set_position(position));
    bar.finish_and_clear();
    report(args, &backup, &zone, &restored?, started.elapsed())?;
    Ok(ExitCode::SUCCESS)
}

fn cut(args: &Args, zone: &TimeZone) -> anyhow::Result<Cut> {
    match (args.position, &args.until) {
        (Some(position), _) => Ok(Cut::Position(position)),
        (None, Some(text)) => {
            let at = as_of::moment(text, zone).context("--until")?.at;
            let Some(At::Time(at)) = at else {
                anyhow::bail!(
                    "--until: `{text}` is no time: write it as \"2026-03-05 10:00\", or give a position with --position"
                );
            };
            Ok(Cut::Time(time::from_proto(&at).context("--until")?))
        }
        (None, None) => Ok(Cut::End),
    }
}

fn report(args: &Args, backup: &Reader, zone: &TimeZone, restored: &Restored, took: Duration) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let Restored { log, backed_up, access } = restored;
    match args.format {
        Format::Text => {
            writeln!(out, "log         records 1 to {}, head {}", log.position, print::hex(&log.hash, 16))?;
            if log != backed_up {
                writeln!(out, "            left out: {} to {}", log.position + 1, backed_up.position)?;
            }
            writeln!(out, "access log  records 1 to {}", access.position)?;
            let taken_at = time::to_proto(backup.taken_at());
            writeln!(out, "backed up   {} ({})", time::show(Some(&taken_at), zone), backup.time_zone())?;
            let checked = if args.key.is_some() {
                "the key that was given"
            } else {
                "compare it with what `satgas backup` printed"
            };
            writeln!(out, "signed      {} ({checked})", backup.key())?;
            writeln!(out, "took        {:.2} s", took.as_secs_f64())?;
            match &args.to {
                None => writeln!(out, "ok: every byte of the backup holds")?,
                Some(to) => writeln!(
                    out,
                    "Bring the keys of cases back with `satgas vault restore`, then start the server: satgas serve --data {}",
                    to.display()
                )?,
            }
        }
        Format::Json => {
            let head = |head: &satgas_server::Head| serde_json::json!({ "position": head.position, "hash": print::hex(&head.hash, 64) });
            let object = serde_json::json!({
                "log_id": backup.log_id(),
                "log": head(log),
                "backed_up": head(backed_up),
                "access": head(access),
                "taken_at": backup.taken_at().to_string(),
                "key": backup.key().to_string(),
                "bytes": backup.bytes(),
                "took_s": took.as_secs_f64(),
            });
            writeln!(out, "{object}")?;
        }
    }
    Ok(())
}
