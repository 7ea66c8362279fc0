//! `satgas submit`: sends the records of a file, each with a receipt, however often the connection breaks.
//!
//! A thread reads and parses ([`lines`]), [`send`] keeps a bounded window of records that have no receipt yet, and
//! [`rejected`] writes what was refused in a form that can be mended and sent again. Memory does not grow with the file. [`form`] reads
//! what KoboToolbox and ODK export.

mod form;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;
mod lines;
mod rejected;
mod rows;
mod send;
mod summary;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::{
    EXIT_PARTLY,
    backoff::{Backoff, Patience},
    connect::Connection,
    print::Format,
    progress, time,
    token::LATE,
};

use self::{form::Form, lines::Reading, rejected::Rejections, send::Sending, summary::Tally};

/// The long help.
pub(crate) const LONG_ABOUT: &str = "\
Send records from a file

The file holds one record a line in canonical JSON (.jsonl), or school visits and monthly reports as CSV (.csv). Every record \
carries a submission_id that was made before sending (`satgas new-id` prints them): sending a file again records nothing twice, \
and what was cut off in the middle is simply sent again. Lines that cannot be read and records that are rejected go to \
FILE.rejected.jsonl with their reasons; mend them there and submit that file.

CSV columns; a header line names them in any order, separated by commas or semicolons. Lists are separated by `|`.
  both:             record (school_visit or monitoring_report), submission_id, device_id, device_sequence, occurred_at,
                    area_code or institution_id, risk_signals, follow_ups_done (VISIT_ID#NUMBER:YYYY-MM-DD)
  school visit:     school_id, purpose, topics, pupils_female, pupils_male, teachers_female, teachers_male, parents_female,
                    parents_male, follow_ups (NUMBER:YYYY-MM-DD:action), notes
  monitoring report: task_force_id, month (YYYY-MM), activities (KIND:COUNT:PARTICIPANTS), members_present, obstacles
Codes are written as their Indonesian labels, such as sosialisasi or keamanan-digital.

With --mapping, the file is a CSV export of a form of KoboToolbox or ODK, and the mapping says which of its columns gives which \
field. The id of a record is made from the form instance's own, so the whole export can be sent again each week. Rejected rows go to \
FILE.rejected.csv; mend them there and submit that file with the same mapping. docs/forms in the source tree has forms and \
mappings to begin with.

A token that has expired or was revoked still hands in records of its own time. The server keeps them apart (`quarantined`) until a \
supervisor admits or refuses them; sending the file again later tells what became of them.

Exit codes: 0 everything is recorded, 1 it could not be finished, 2 some records were rejected, are in conflict or wait for a \
supervisor.";

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File to send; `-` for standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// What the file is [default: csv for .csv, else jsonl]
    #[arg(long = "as", value_enum, value_name = "KIND", conflicts_with = "mapping")]
    kind: Option<Kind>,
    /// The file is a CSV export of a form; this TOML file says which of its columns gives which field
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// File with the rows of a group that repeats, where it is none that the mapping names beside the export; may be repeated
    #[arg(long, value_name = "NAME=FILE", requires = "mapping", value_parser = named_file)]
    repeat: Vec<(String, PathBuf)>,
    /// Where rejected records go [default: FILE.rejected.jsonl, with --mapping FILE.rejected.csv]
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    patience: Patience,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A record a line in canonical JSON, or a line of a file of rejected records
    Jsonl,
    /// School visits and monthly reports in columns
    Csv,
}

impl Args {
    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    fn kind(&self) -> Kind {
        let csv = self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        self.kind.unwrap_or(if csv { Kind::Csv } else { Kind::Jsonl })
    }

    /// How the file is read; a mapping is looked at here, before anything is sent.
    fn reading(&self) -> anyhow::Result<Reading> {
        Ok(match (&self.mapping, self.kind()) {
            (Some(mapping), _) => Reading::Export(Form::of(mapping, self.folder(), &self.repeat)?),
            (None, Kind::Jsonl) => Reading::Jsonl,
            (None, Kind::Csv) => Reading::Csv,
        })
    }

    /// Where what belongs to the file lies.
    fn folder(&self) -> &Path {
        let folder = if self.is_stdin() { None } else { self.file.parent() };
        folder.unwrap_or(Path::new(""))
    }

    fn rejected_path(&self) -> PathBuf {
        if let Some(path) = &self.rejected {
            return path.clone();
        }
        let mut name = if self.is_stdin() { "stdin".into() } else { self.file.clone().into_os_string() };
        name.push(if self.mapping.is_some() { ".rejected.csv" } else { ".rejected.jsonl" });
        name.into()
    }
}

/// "tindak_lanjut=rows.csv".
fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write it as NAME=FILE, such as tindak_lanjut=rows.csv".to_owned()),
    }
}

/// Sends the file.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let rejected_path = args.rejected_path();
    if rejected_path == args.file {
        bail!("rejected records cannot be written over the file that is being sent; name another with --rejected");
    }
    let reading = args.reading()?;
    let (input, bytes) = open(&args)?;
    let log = server.log().await?;
    if let Some(ended) = &log.token_ended_at {
        let ended = time::show(Some(ended), &log.zone);
        eprintln!("satgas: the token has ended, at {ended}; {LATE}");
    }
    let bar = progress::bar(bytes);
    let mut tally = Tally::default();
    let mut rejections = Rejections::to(rejected_path);
    let lines = lines::read(input, reading, log.zone.clone());
    let sending = Sending::new(server, lines, &mut tally, &mut rejections, &bar);
    let outcome = sending.run(Backoff::new(args.patience)).await;
    bar.finish_and_clear();
    rejections.finish()?;
    let mapping = args.mapping.as_deref();
    summary::print(args.format, &args.file, &tally, rejections.path(), mapping, log.sample_data)?;
    if tally.is_empty() {
        outcome?;
    } else {
        outcome
            .context("stopped before the end; what has a receipt is recorded, so the same command can be run again")?;
    }
    Ok(if tally.all_good() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_PARTLY) })
}

/// The input, and its size when it has one.
fn open(args: &Args) -> anyhow::Result<(Box<dyn io::Read + Send>, Option<u64>)> {
    if args.is_stdin() {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = std::fs::File::open(&args.file).with_context(|| args.file.display().to_string())?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
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

    fn args(line: &[&str]) -> Args {
        Line::parse_from([&["submit"], line].concat()).args
    }

    #[test]
    fn rejected_records_go_beside_the_file() {
        assert_eq!(args(&["--file", "a/visits.csv"]).rejected_path(), Path::new("a/visits.csv.rejected.jsonl"));
        assert_eq!(args(&["--file", "-"]).rejected_path(), Path::new("stdin.rejected.jsonl"));
        let export = args(&["--file", "visits.csv", "--mapping", "m.toml"]);
        assert_eq!(export.rejected_path(), Path::new("visits.csv.rejected.csv"));
    }

    #[test]
    fn a_csv_file_is_known_by_its_name_and_standard_input_by_a_flag() {
        assert_eq!(args(&["--file", "visits.CSV"]).kind(), Kind::Csv);
        assert_eq!(args(&["--file", "visits.jsonl"]).kind(), Kind::Jsonl);
        assert_eq!(args(&["--file", "-", "--as", "csv"]).kind(), Kind::Csv);
    }
}
