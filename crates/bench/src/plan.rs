//! What to run, and how much of it.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

use crate::figures::Scenario;

/// How the closing result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// One JSON object
    Json,
}

/// Measures the real server over loopback: median of several rounds, each on a fresh log.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench")]
pub(crate) struct Plan {
    /// Rounds, each on a fresh log; 0 measures with --peers --records only logs of these sizes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) rounds: u32,
    /// Measure only these; the page of figures stays as it is
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SCENARIO,..")]
    pub(crate) only: Vec<Scenario>,
    /// Measure UmaDB and PostgreSQL beside this server, and the part of the page of figures that compares them; with --records also on logs of
    /// these sizes
    #[arg(long, conflicts_with_all = ["only", "writers", "areas", "keep"])]
    pub(crate) peers: bool,
    /// Few records: checks that everything runs; its figures mean nothing and the page stays as it is
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure appends only with these numbers of writers; the page of figures stays as it is
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    pub(crate) writers: Vec<usize>,
    /// Records of a country's two years, one run for each size [default: 1,000,000]
    #[arg(long, value_delimiter = ',', value_name = "N,..", value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    pub(crate) records: Vec<u64>,
    /// CSV file, plain or .gz, whose first column has the codes of a country's areas; without, they are invented
    #[arg(long, value_name = "FILE")]
    pub(crate) areas: Option<PathBuf>,
    /// UmaDB's binary, with --peers
    #[arg(long, value_name = "FILE", default_value = "target/peers/bin/umadb")]
    pub(crate) umadb: PathBuf,
    /// Folder of PostgreSQL's programs, with --peers
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/postgresql/15/bin")]
    pub(crate) postgres: PathBuf,
    /// HTTP/2 connections that concurrent writers share
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = connections)]
    pub(crate) connections: usize,
    /// How the closing result is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// The server's binary
    #[arg(long, value_name = "FILE", default_value = "target/release/satgas")]
    pub(crate) satgas: PathBuf,
    /// Folder for the logs, on the disk to be measured; they are removed in the end
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) scratch: PathBuf,
    /// Leave a country's log where it is and say where, to look into what its server does
    #[arg(long)]
    pub(crate) keep: bool,
    /// Fold so many visits and print the bytes that they take: a process by itself has no memory left of anything else
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) weigh_views: Option<usize>,
    /// The page that a whole run writes
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.md")]
    pub(crate) page: PathBuf,
}

fn connections(text: &str) -> Result<usize, String> {
    let number = text.parse().map_err(|_| "is not a number")?;
    if (1..=64).contains(&number) { Ok(number) } else { Err("is not 1 to 64".to_owned()) }
}

impl Plan {
    /// The chosen scenarios, or all.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        // Ten million records are no part of a run that somebody waits for.
        let by_choice = [Scenario::Nation, Scenario::Releases];
        Scenario::value_variants().iter().copied().filter(|scenario| !by_choice.contains(scenario)).collect()
    }

    /// The sizes of the country's log, in records.
    pub(crate) fn sizes(&self) -> Vec<u64> {
        match (self.records.is_empty(), self.quick) {
            (false, _) => self.records.clone(),
            (true, true) => vec![20_000],
            (true, false) => vec![1_000_000],
        }
    }

    /// Whether the run says enough to be written down.
    pub(crate) fn writes_page(&self) -> bool {
        self.only.is_empty() && self.records.is_empty() && self.writers.is_empty() && !self.quick && self.rounds >= 3
    }

    /// Whether a run beside other servers says enough to be written down.
    pub(crate) fn writes_comparison(&self) -> bool {
        !self.quick && self.rounds >= 3
    }

    /// Whether appends are measured with so many writers.
    pub(crate) fn measures(&self, writers: usize) -> bool {
        self.writers.is_empty() || self.writers.contains(&writers)
    }

    /// How much to measure.
    pub(crate) fn scale(&self) -> Scale {
        if self.quick { Scale::QUICK } else { Scale::FULL }
    }
}

/// How many records, calls and seconds each step takes. Every step is bounded by its count, and by time besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How long a plain file is written and synced.
    pub(crate) sync_time: Duration,
    /// Records for the fold.
    pub(crate) fold_records: usize,
    /// Visits whose views are held in memory to weigh them: so many that what a process takes anyway is nothing beside.
    pub(crate) held_records: usize,
    /// Records of the trees that are proven of.
    pub(crate) proven_records: [u64; 2],
    /// Records from a writer to a subscriber.
    pub(crate) latency_records: usize,
    /// Records that the log has at least when it is read back.
    pub(crate) log_records: usize,
    /// Records at a fixed rate while evaluations are listed, for each period.
    pub(crate) paced_records: usize,
    /// How long stalled subscribers are watched.
    pub(crate) stalled_time: Duration,
    /// How long records are sent to many live subscribers.
    pub(crate) fan_out_time: Duration,
    /// Calls and submissions are these many parts of a thousand of the full number.
    permille: usize,
}

impl Scale {
    const FULL: Self = Self {
        sync_time: Duration::from_secs(2),
        fold_records: 500_000,
        held_records: 4_000_000,
        proven_records: [1_000_000, 10_000_000],
        latency_records: 5_000,
        log_records: 1_000_000,
        paced_records: 50_000,
        stalled_time: Duration::from_secs(10),
        fan_out_time: Duration::from_secs(10),
        permille: 1_000,
    };
    const QUICK: Self = Self {
        sync_time: Duration::from_millis(200),
        fold_records: 5_000,
        held_records: 20_000,
        proven_records: [10_000, 100_000],
        latency_records: 100,
        log_records: 20_000,
        paced_records: 2_000,
        stalled_time: Duration::from_millis(500),
        fan_out_time: Duration::from_millis(500),
        permille: 10,
    };

    /// Submissions of so many writers together: 3 to 6 seconds each on two cores.
    pub(crate) fn appends(&self, writers: usize) -> usize {
        let full = match writers {
            0..=1 => 12_000,
            2..=16 => 60_000,
            17..=64 => 120_000,
            _ => 160_000,
        };
        self.part(full, writers)
    }

    /// Empty calls of so many callers together.
    pub(crate) fn calls(&self, callers: usize) -> usize {
        let full = match callers {
            0..=1 => 20_000,
            2..=16 => 100_000,
            _ => 150_000,
        };
        self.part(full, callers)
    }

    /// Records in streams with so many a message.
    pub(crate) fn streamed(&self, per_message: usize) -> usize {
        self.part(if per_message == 1 { 100_000 } else { 400_000 }, per_message)
    }

    /// Submissions of so many writers together beside other servers: 3 to 8 seconds of the slowest on two cores.
    pub(crate) fn compared_appends(&self, writers: usize) -> usize {
        let full = match writers {
            0..=1 => 5_000,
            2..=16 => 40_000,
            17..=64 => 60_000,
            _ => 80_000,
        };
        self.part(full, writers)
    }

    /// Records in batches of so many beside other servers, a whole number of batches.
    pub(crate) fn compared_batched(&self, batch: usize) -> usize {
        self.part(400_000, batch).next_multiple_of(batch)
    }

    fn part(&self, full: usize, least: usize) -> usize {
        (full * self.permille / 1_000).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_run_of_three_rounds_is_written_down() {
        let plan = |args: &[&str]| Plan::parse_from([&["bench"], args].concat()).writes_page();
        assert!(plan(&[]));
        assert!(!plan(&["--quick"]) && !plan(&["--only", "fold"]) && !plan(&["--rounds", "1"]));
    }

    #[test]
    fn a_quick_run_still_gives_every_writer_something_to_do() {
        let plan = Plan::parse_from(["bench", "--quick"]);
        assert!([1, 16, 64, 256].iter().all(|writers| plan.scale().appends(*writers) >= *writers));
    }

    #[test]
    fn batches_come_out_even_however_few_they_are() {
        for args in [&["bench"][..], &["bench", "--quick"]] {
            let records = Plan::parse_from(args).scale().compared_batched(300);
            assert!(records > 0 && records.is_multiple_of(300), "{records}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed_and_connections_are_bounded() {
        <Plan as clap::CommandFactory>::command().debug_assert();
        assert!(Plan::try_parse_from(["bench", "--connections", "0"]).is_err());
    }
}
