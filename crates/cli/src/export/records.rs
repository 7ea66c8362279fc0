//! `satgas export records`: the log's events as one file.
//!
//! Invariants: the file holds each event once, in order, up to a position that stood when the export began; what comes later is left to
//! the next one. Memory holds a page of the log and, for Parquet, a group of rows, however long the log is.

mod event;

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use indicatif::ProgressBar;
use satgas_proto::v1::{self, AreaLevel};

use super::{
    draft::{Draft, Target, target},
    rows::Rows,
};
use crate::{
    backoff::{Backoff, Patience},
    codes::{self, Code as _},
    connect::{Connection, Log, unary},
    evaluate::basis,
    events::{Order, write_json},
    print::{self, hex},
    progress, time,
};

/// Of the columns of a Parquet file; a column that changes its name or meaning raises it.
const SCHEMA_VERSION: u32 = 1;

/// Which records, and where they go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File to write; its ending, .jsonl or .parquet, chooses what it is
    #[arg(long, value_name = "FILE", value_parser = target::<Kind>)]
    to: Target<Kind>,
    /// Only of areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// Only of these kinds, such as school-visit,case-report
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = codes::parse::<v1::EventKind>)]
    kinds: Vec<v1::EventKind>,
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0, hide_default_value = true)]
    after: u64,
    /// Only events up to this position [default: the log's end]
    #[arg(long, value_name = "POSITION")]
    until: Option<u64>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    patience: Patience,
}

/// What a file of records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Jsonl,
    Parquet,
}

impl Args {
    fn filter(&self) -> v1::EventFilter {
        v1::EventFilter {
            area_prefix: self.area.clone(),
            kinds: self.kinds.iter().map(|&kind| kind.into()).collect(),
            institution_id: String::new(),
        }
    }

    /// The last position to export.
    fn end(&self, head: &Head) -> anyhow::Result<u64> {
        let end = self.until.unwrap_or(head.position).min(head.position);
        if self.until.is_some_and(|until| until <= self.after) {
            bail!("no position is after --after {} and not after --until {end}; give a larger --until", self.after);
        }
        if self.after > head.position {
            bail!("the log ends at position {}, before --after {}; give a smaller one", head.position, self.after);
        }
        Ok(end)
    }

    /// What a Parquet file says of itself.
    fn facts(&self, head: &Head, end: u64, log: &Log) -> Vec<(&'static str, String)> {
        let kinds: Vec<String> = self.kinds.iter().map(|kind| kind.word()).collect();
        vec![
            ("schema", "satgas.v1.Event".to_owned()),
            ("schema_version", SCHEMA_VERSION.to_string()),
            ("sample_data", log.sample_data.to_string()),
            ("head_position", head.position.to_string()),
            ("head_hash", head.hash.clone()),
            ("after_position", self.after.to_string()),
            ("until_position", end.to_string()),
            ("area_prefix", self.area.clone()),
            ("kinds", kinds.join(",")),
            ("time_zone", log.zone.iana_name().unwrap_or_default().to_owned()),
            ("exported_at", time::now().to_string()),
        ]
    }
}

/// Where the log stood when the export began.
#[derive(Debug)]
struct Head {
    position: u64,
    /// Of the log's chain there, in hexadecimal; empty while no area is registered, since evaluations carry it.
    hash: String,
}

/// Reads and writes.
pub(crate) async fn run(args: &Args, server: &Connection) -> anyhow::Result<()> {
    let draft = Draft::beside(&args.to.path, args.force)?;
    let log = server.log().await?;
    let head = head(&log, server).await?;
    let end = args.end(&head)?;
    let bar = progress::bar(Some(end - args.after));
    let mut sink = Sink::to(args.to.kind, draft.file(), args.facts(&head, end, &log))?;
    let outcome = copy(args, end, (server, &log), &mut sink, &bar).await;
    bar.finish_and_clear();
    let count = outcome?;
    sink.finish().with_context(|| not_written(args))?;
    draft.publish()?;
    report(args, count, end, &head, log.sample_data)
}

/// The head with its hash: a position and the hash there must come out of one answer.
async fn head(log: &Log, server: &Connection) -> anyhow::Result<Head> {
    let request = v1::ListEvaluationsRequest {
        level: AreaLevel::Kota.into(),
        page_size: 1,
        min_position: log.head_position,
        ..Default::default()
    };
    let page = server.evaluations().list_evaluations(unary(request)).await?.into_inner();
    Ok(match page.evaluations.first().map(basis) {
        Some(v1::Basis { position, head_hash, .. }) => Head { position, hash: hex(&head_hash, 64) },
        None => Head { position: log.head_position, hash: String::new() },
    })
}

/// Copies page by page, over as many connections as it takes, and tells how many events there were.
async fn copy(
    args: &Args,
    end: u64,
    (server, log): (&Connection, &Log),
    sink: &mut Sink<'_>,
    bar: &ProgressBar,
) -> anyhow::Result<u64> {
    let filter = args.filter();
    let mut client = server.events();
    let mut backoff = Backoff::new(args.patience);
    let mut order = Order::after(args.after, &filter, log.shows_all);
    let (mut resume, mut count) = (args.after, 0);
    while resume < end {
        let request = v1::ReadRequest { after_position: resume, filter: Some(filter.clone()), page_size: 10_000 };
        let page = match client.read(unary(request)).await {
            Ok(page) => page.into_inner(),
            Err(status) => {
                let waited = backoff.wait(status).await.map_err(anyhow::Error::from);
                waited
                    .map_err(|error| if resume > args.after { error.context(halted(args, resume)) } else { error })?;
                continue;
            }
        };
        backoff.succeeded();
        if page.next_after_position <= resume {
            bail!("the server's pages do not move on after position {resume}");
        }
        resume = page.next_after_position;
        for event in page.events.into_iter().take_while(|event| event.position <= end) {
            order.take(event.position)?;
            sink.write(event).with_context(|| not_written(args))?;
            count += 1;
        }
        bar.set_position(resume.min(end) - args.after);
        bar.set_message(format!("{count} events"));
    }
    Ok(count)
}

/// What to do when the server went away for good.
fn halted(args: &Args, resume: u64) -> String {
    let file = args.to.path.display();
    format!(
        "the export stopped after position {resume} and {file} was not written; run the same command again once the server \
         answers, or export in parts: up to there with --until {resume}, the rest into another file with --after {resume}"
    )
}

fn not_written(args: &Args) -> String {
    format!("{} was not written", args.to.path.display())
}

fn report(args: &Args, count: u64, end: u64, head: &Head, sample_data: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    print::banner(&mut out, sample_data)?;
    let (file, from) = (args.to.path.display(), args.after + 1);
    match count {
        0 => writeln!(out, "{file}: no event of positions {from} to {end} matches, so the file holds none")?,
        _ => writeln!(out, "{file}: {count} events of positions {from} to {end}")?,
    }
    if args.until.is_some_and(|until| until > end) {
        writeln!(out, "the log ended at position {end}, before --until")?;
    }
    if !head.hash.is_empty() {
        writeln!(out, "log position {}, head {}", head.position, head.hash.get(..16).unwrap_or_default())?;
    }
    Ok(())
}

/// Where events go.
enum Sink<'a> {
    /// One canonical JSON object a line, as `satgas events` prints it.
    Lines(BufWriter<&'a File>),
    /// A row each.
    Rows(Box<Rows<&'a File>>),
}

impl<'a> Sink<'a> {
    fn to(kind: Kind, file: &'a File, facts: Vec<(&str, String)>) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Jsonl => Self::Lines(BufWriter::with_capacity(1 << 18, file)),
            Kind::Parquet => Self::Rows(Box::new(Rows::new(file, "event", &event::fields(), facts)?)),
        })
    }

    fn write(&mut self, event: v1::Event) -> anyhow::Result<()> {
        match self {
            Self::Lines(out) => write_json(out, &event),
            Self::Rows(rows) => rows.push(event::row(event)?),
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Lines(mut out) => Ok(out.flush()?),
            Self::Rows(rows) => rows.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &[&str]) -> Args {
        Line::parse_from([&["records", "--to", "log.jsonl"], line].concat()).args
    }

    fn end(line: &[&str]) -> anyhow::Result<u64> {
        args(line).end(&Head { position: 40, hash: String::new() })
    }

    #[test]
    fn the_export_ends_where_it_is_told_or_where_the_log_ended() {
        assert_eq!(end(&[]).unwrap(), 40);
        assert_eq!(end(&["--after", "40"]).unwrap(), 40);
        assert_eq!(end(&["--until", "30"]).unwrap(), 30);
        assert_eq!(end(&["--until", "50"]).unwrap(), 40);
    }

    #[test]
    fn positions_between_which_nothing_can_lie_are_refused() {
        assert!(end(&["--after", "41"]).unwrap_err().to_string().contains("ends at position 40"));
        assert!(end(&["--after", "30", "--until", "30"]).unwrap_err().to_string().contains("larger --until"));
    }

    #[test]
    fn kinds_are_separated_by_commas() {
        let filter = args(&["--kinds", "school-visit,case-report"]).filter();
        assert_eq!(filter.kinds, [v1::EventKind::SchoolVisit, v1::EventKind::CaseReport].map(i32::from));
        assert!(Line::try_parse_from(["records", "--to", "a.jsonl", "--kinds", "visit"]).is_err());
    }

    #[test]
    fn lines_are_canonical_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let file = File::create(&path).unwrap();
        let mut sink = Sink::to(Kind::Jsonl, &file, Vec::new()).unwrap();
        for position in 1..=2 {
            sink.write(v1::Event { position, kind: v1::EventKind::Area.into(), ..Default::default() }).unwrap();
        }
        sink.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected =
            "{\"position\":\"1\",\"kind\":\"EVENT_KIND_AREA\"}\n{\"position\":\"2\",\"kind\":\"EVENT_KIND_AREA\"}\n";
        assert_eq!(text, expected);
    }
}
