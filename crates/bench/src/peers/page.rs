//! The part of the page of figures that compares, and its picture.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Outcome, plot};
use crate::{city::VISIT_BYTES, figures::Unit, page};

/// The picture's file, beside the page.
const PICTURE: &str = "peers.svg";

/// Writes both.
pub(super) fn write(outcome: &Outcome<'_>) -> Result<()> {
    let path = &outcome.plan.page;
    let picture = path.with_file_name(PICTURE);
    let caption = format!(
        "median of {} rounds, line from least to most; {}; {}",
        outcome.plan.rounds, outcome.circumstances.day, outcome.circumstances.machine
    );
    fs::write(&picture, plot::svg(&outcome.comparison, &caption))
        .with_context(|| format!("{} cannot be written", picture.display()))?;
    page::write_peers(path, &text(outcome))?;
    eprintln!("{} and {} are written", path.display(), picture.display());
    Ok(())
}

/// The part as it stands under its heading.
pub(super) fn text(outcome: &Outcome<'_>) -> String {
    let Outcome { plan, circumstances, missing, comparison, figures, grown, .. } = outcome;
    let (goals, met, unknown) = comparison.goals();
    let missing =
        missing.as_ref().map(|why| format!("**PostgreSQL was not measured: {why}.**\n\n")).unwrap_or_default();
    let unknown = if unknown == 0 { String::new() } else { format!(", {unknown} could not be told") };
    let records: Vec<String> = plan.records.iter().map(u64::to_string).collect();
    let records = if records.is_empty() { String::new() } else { format!(" --records {}", records.join(",")) };
    let grown: String = grown
        .iter()
        .map(|(records, comparison)| {
            let records = Unit::PerSecond.show(*records as f64);
            format!("### On logs of {records} records\n\nOne round.\n\n{}\n", comparison.to_markdown())
        })
        .collect();
    format!(
        "The same work done by this server, by UmaDB 0.7.8 and by PostgreSQL 15, measured by `cargo xtask bench --peers`, which writes this part.

- Machine: {machine}; load average before the run {load_average}
- Day: {day}
- Command: `cargo xtask bench --peers --rounds {rounds}{records}`
- Median of {rounds} rounds (least to most); {met} of {goals} goals met{unknown}

{missing}![Bars for each thing that was compared]({PICTURE})

{table}
\"to\" is this server's value divided by the other's, taken within each round, and then the median; \"better peer\" is the better one of that round.

### The machine, and this server with many subscribers

{figures}
{grown}### How it is compared

- Every step is taken by one server after the other, and who is first changes from step to step. A server is started for its step on what it
  has and stopped in order after it, so that none has to share the machine with another one's work. Each round begins with empty logs.
- A run in which others took more than a fifth of the processors in any round is not written down. What the kernel does for the servers by itself counts as
  others'.
- All three are child processes on loopback with their own defaults, and data on the same disk. A record is a school visit of {VISIT_BYTES} bytes. UmaDB
  keeps it as an event with its kind, its area as a tag and its id; PostgreSQL as a row with a position, a time, id, kind, area and
  body, and the position's index, inserted by a prepared statement, one session a writer, with `fsync`, `synchronous_commit` and `full_page_writes` on. Neither
  is asked to refuse a record that came before, to check one, to know who sends it, or to count anything: this server does all of that, so the
  comparison is in their favour.
- gRPC writers share {connections} connections, batches and streams 8. All clients are in one process with two threads on the same machine.
- **appends**: one record a call; a writer goes on when its record is durable. The limit is what so many writers could reach if nothing but the
  machine, client and transport took time: an empty call of this server among so many callers, and after it one `fdatasync` of a
  plain file, both measured in the same minute.
- **batches**: {batch} records a call (of this server, a message of a stream), 16 writers that wait for each. As fast as they are let in: 8 streams of this
  server with as many messages on their way as it takes, 64 calls at once of UmaDB, 64 sessions of PostgreSQL.
- **append to subscriber**: from the call to the event, left as bytes, at a subscriber on another connection. PostgreSQL's is told by `NOTIFY` and then
  reads.
- **catch-up**: everything from the beginning, events left as bytes: a subscription, UmaDB's `Read`, PostgreSQL's binary `COPY` in order of position.
- **on disk**: blocks of this server's log and of UmaDB's file, PostgreSQL's table with its index. The whole data folder has checkpoints of views besides,
  or a log of changes, less what an empty cluster takes.
- **written to disk**: what the disk was given from before the first call to after the last, nobody else writing, with all that still waited in memory
  and PostgreSQL's checkpoint.
- **memory**: proportional set size of all its processes; idle two seconds after a start, for this server with the registry of a city.
- **start**: from the start of the process to its ready line (this server) or its first connection.
",
        machine = circumstances.machine,
        load_average = circumstances.load_average,
        day = circumstances.day,
        rounds = plan.rounds,
        connections = plan.connections,
        batch = super::BATCH,
        table = comparison.to_markdown(),
        figures = figures.to_markdown(),
    )
}
