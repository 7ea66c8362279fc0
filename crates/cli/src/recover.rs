//! `satgas recover`: salvages a data folder that does not open any more into a new one, and says what is proven to be there.

use std::{
    io::{self, Write},
    ops::RangeInclusive,
    path::PathBuf,
    process::ExitCode,
};

use satgas_server::Recovered;

use crate::{
    EXIT_PARTLY,
    print::{self, Format},
    progress,
};

/// What to salvage, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder that does not open any more; refused while a server uses it, and left as it is
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// New data folder, empty or not there yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Salvages the folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bar = progress::counting();
    let recovered = satgas_server::recover(&args.from, &args.to, &mut |position| bar.set_position(position));
    bar.finish_and_clear();
    let recovered = recovered?;
    let logs = [("log", Some(&recovered.log)), ("access log", recovered.access.as_ref())];
    let logs: Vec<(&str, &Recovered)> = logs.into_iter().filter_map(|(name, log)| Some((name, log?))).collect();
    let mut out = io::stdout().lock();
    match args.format {
        Format::Text => {
            logs.iter().try_for_each(|(name, log)| tell(&mut out, name, log))?;
            let keys = if recovered.keys { "copied" } else { "none lay in the folder" };
            writeln!(out, "keys        {keys}")?;
            writeln!(out, "Start the server on the new folder: satgas serve --data {}", args.to.display())?;
        }
        Format::Json => {
            let logs: serde_json::Map<_, _> =
                logs.iter().map(|(name, log)| (name.replace(' ', "_"), to_json(log))).collect();
            writeln!(out, "{}", serde_json::Value::Object(logs))?;
        }
    }
    let proven = logs.iter().all(|(_, log)| log.is_proven());
    Ok(if proven { ExitCode::SUCCESS } else { ExitCode::from(EXIT_PARTLY) })
}

fn tell(out: &mut impl Write, name: &str, log: &Recovered) -> io::Result<()> {
    let head = log.verified.head;
    let hash = print::hex(&head.hash, 16);
    writeln!(out, "{name:<11} records 1 to {}, read back, head {hash}", head.position)?;
    match log.missing() {
        Some(missing) => writeln!(out, "  MISSING   records {}, which had been acknowledged", range(&missing))?,
        None if log.is_proven() => {
            writeln!(out, "  complete  up to record {}, acknowledged last", log.anchored.position)?
        }
        None => writeln!(out, "  UNKNOWN   how much had been acknowledged: the file that says so cannot be read")?,
    }
    let pieces = [
        ("unreached", &log.unreached, "lie whole in the old files, but something before them is gone"),
        ("left out", &log.other_branch, "lie in the old files, but were never acknowledged or are not whole"),
    ];
    for (word, ranges, why) in pieces {
        for positions in ranges {
            writeln!(out, "  {word:<9} records {}: {why}", range(positions))?;
        }
    }
    Ok(())
}

fn range(positions: &RangeInclusive<u64>) -> String {
    format!("{} to {}", positions.start(), positions.end())
}

fn to_json(log: &Recovered) -> serde_json::Value {
    let pair = |positions: &RangeInclusive<u64>| serde_json::json!([positions.start(), positions.end()]);
    let pairs = |all: &[RangeInclusive<u64>]| all.iter().map(pair).collect::<serde_json::Value>();
    serde_json::json!({
        "head": { "position": log.verified.head.position, "hash": print::hex(&log.verified.head.hash, 64) },
        "acknowledged": log.anchored.position,
        "proven": log.is_proven(),
        "missing": log.missing().as_ref().map(pair),
        "unreached": pairs(&log.unreached),
        "left_out": pairs(&log.other_branch),
    })
}
