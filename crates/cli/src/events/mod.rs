//! `satgas events`: reads the log, and follows it.
//!
//! Invariant: each position is printed once and in order, whatever happens to the connection. A new connection resumes after the
//! last position that was printed or filtered out, and a server that breaks the order is an error, never a gap. To a role that does not
//! get every event, those it does not get are missing.

mod order;
mod text;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use anyhow::bail;
use jiff::tz::TimeZone;
use satgas_proto::v1::{self, StreamNotice, subscribe_request::Start};
use tonic::Status;

use crate::{
    backoff::{Backoff, Patience},
    codes,
    connect::{Connection, unary},
    print::{self, StreamFormat},
};

pub(crate) use self::order::Order;

/// Which events.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0, hide_default_value = true)]
    after: u64,
    /// Only events that are new from now on; follows the log
    #[arg(long, conflicts_with = "after")]
    from_now: bool,
    /// Go on with new events as they come, also after the server was restarted
    #[arg(long)]
    follow: bool,
    /// Only of areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// Only of this kind, such as school-visit; may be repeated
    #[arg(long, value_name = "KIND", value_parser = codes::parse::<v1::EventKind>)]
    kind: Vec<v1::EventKind>,
    /// Only of this institution
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    institution: String,
    /// Stop after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How an event is printed
    #[arg(long, value_enum, default_value_t = StreamFormat::Text)]
    format: StreamFormat,
    #[command(flatten)]
    patience: Patience,
}

impl Args {
    fn filter(&self) -> v1::EventFilter {
        v1::EventFilter {
            area_prefix: self.area.clone(),
            kinds: self.kind.iter().map(|&kind| kind.into()).collect(),
            institution_id: self.institution.clone(),
        }
    }
}

/// Prints events until there are none, enough were seen, or for ever.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    print::banner(&mut io::stderr().lock(), log.sample_data)?;
    // From now means from the moment this was asked, or an event before the first connection stood could be missed.
    let start = if args.from_now { log.head_position } else { args.after };
    let mut reader = Reader {
        resume: start,
        order: Order::after(start, &args.filter(), log.shows_all),
        left: args.count.unwrap_or(u64::MAX),
        format: args.format,
        zone: log.zone,
        out: BufWriter::new(io::stdout()),
    };
    if !args.follow && !args.from_now {
        read(&args, server, &mut reader).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = tokio::select! {
        outcome = follow(&args, server, &mut reader) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    reader.out.flush()?;
    eprintln!("satgas: to go on from here: --after {}", reader.resume);
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// Reads pages up to the end of the log.
async fn read<W: Write>(args: &Args, server: &Connection, reader: &mut Reader<W>) -> anyhow::Result<()> {
    let mut client = server.events();
    let mut backoff = Backoff::new(args.patience);
    while reader.left > 0 {
        let page_size = u32::try_from(reader.left.min(1_000)).unwrap_or(1_000);
        let request = v1::ReadRequest { after_position: reader.resume, filter: Some(args.filter()), page_size };
        let page = match client.read(unary(request)).await {
            Ok(page) => page.into_inner(),
            Err(status) => {
                backoff.wait(status).await?;
                continue;
            }
        };
        backoff.succeeded();
        let before = reader.resume;
        reader.take(&page.events, page.next_after_position)?;
        if page.next_after_position >= page.head_position {
            break;
        }
        if reader.resume == before {
            bail!("the server's pages do not move on after position {before}");
        }
    }
    Ok(reader.out.flush()?)
}

/// Follows over as many connections as it takes.
async fn follow<W: Write>(args: &Args, server: &Connection, reader: &mut Reader<W>) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(args.patience);
    while reader.left > 0 {
        if let Err(error) = session(args, server, reader, &mut backoff).await {
            backoff.wait(error.downcast::<Status>()?).await?;
        }
    }
    Ok(())
}

async fn session<W: Write>(
    args: &Args,
    server: &Connection,
    reader: &mut Reader<W>,
    backoff: &mut Backoff,
) -> anyhow::Result<()> {
    let request = v1::SubscribeRequest {
        start: Some(Start::AfterPosition(reader.resume)),
        filter: Some(args.filter()),
        heartbeat_interval: None,
    };
    let mut stream = server.events().subscribe(request).await?.into_inner();
    while reader.left > 0 {
        let Some(message) = stream.message().await? else {
            return Err(Status::unavailable("the server ended the stream").into());
        };
        backoff.succeeded();
        reader.take(&message.events, message.resume_position)?;
        reader.out.flush()?;
        if message.notice() == StreamNotice::ShuttingDown {
            return Err(Status::unavailable("the server shuts down").into());
        }
    }
    Ok(())
}

/// Prints events and remembers where to resume.
struct Reader<W> {
    /// Everything up to here was printed or filtered out.
    resume: u64,
    order: Order,
    left: u64,
    format: StreamFormat,
    zone: TimeZone,
    out: W,
}

impl<W: Write> Reader<W> {
    fn take(&mut self, events: &[v1::Event], resume: u64) -> anyhow::Result<()> {
        for event in events {
            if self.left == 0 {
                return Ok(());
            }
            self.order.take(event.position)?;
            match self.format {
                StreamFormat::Text => writeln!(self.out, "{}", text::line(event, &self.zone))?,
                StreamFormat::Jsonl => write_json(&mut self.out, event)?,
            }
            self.resume = event.position;
            self.left -= 1;
        }
        if self.left > 0 {
            self.resume = self.resume.max(resume);
        }
        Ok(())
    }
}

/// Writes an event as one line of canonical JSON.
///
/// # Errors
/// When `out` cannot be written.
pub(crate) fn write_json(out: &mut impl Write, event: &v1::Event) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, event)?;
    Ok(out.write_all(b"\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(filter: &v1::EventFilter, left: u64) -> Reader<Vec<u8>> {
        let order = Order::after(0, filter, true);
        Reader { resume: 0, order, left, format: StreamFormat::Jsonl, zone: TimeZone::UTC, out: Vec::new() }
    }

    fn school_1() -> v1::EventFilter {
        v1::EventFilter { institution_id: "99900001".into(), ..Default::default() }
    }

    fn events(positions: impl IntoIterator<Item = u64>) -> Vec<v1::Event> {
        positions.into_iter().map(|position| v1::Event { position, ..Default::default() }).collect()
    }

    fn printed(reader: &Reader<Vec<u8>>) -> usize {
        std::str::from_utf8(&reader.out).unwrap().lines().count()
    }

    #[test]
    fn what_was_filtered_out_is_not_asked_for_again() {
        let mut reader = reader(&school_1(), u64::MAX);
        reader.take(&events([3, 7]), 20).unwrap();
        assert_eq!((reader.resume, printed(&reader)), (20, 2));
    }

    #[test]
    fn a_position_that_comes_twice_is_an_error_and_not_printed() {
        let mut reader = reader(&school_1(), u64::MAX);
        reader.take(&events([3]), 3).unwrap();
        assert!(reader.take(&events([3]), 3).is_err());
        assert_eq!(printed(&reader), 1);
    }

    #[test]
    fn when_enough_were_seen_the_rest_stays_to_be_resumed() {
        let mut reader = reader(&v1::EventFilter::default(), 2);
        reader.take(&events(1..=5), 5).unwrap();
        assert_eq!((reader.resume, printed(&reader)), (2, 2));
    }
}
