//! The page of figures, `docs/benchmarks.md`: written anew by each whole run, except for the comparison with other
//! servers, which has a run of its own, and for what people noted below its last heading.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{city::VISIT_BYTES, figures::Figures, plan::Plan};

/// Where the part begins that only a run beside other servers writes, and only when there is something of it.
const PEERS: &str = "## Beside other servers";
/// Where the part begins that a run leaves as it is.
const NOTES: &str = "## Notes";

/// What the figures were measured on and when.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    /// The machine.
    pub(crate) machine: String,
    /// The load average of the minute before the run.
    pub(crate) load_average: String,
    /// The day, "YYYY-MM-DD".
    pub(crate) day: String,
}

/// Writes the page. Notes that are there stay.
pub(crate) fn write(path: &Path, plan: &Plan, circumstances: &Circumstances, figures: &Figures) -> Result<()> {
    let [_, peers, notes] = parts(&fs::read_to_string(path).unwrap_or_default());
    save(path, [page(plan, circumstances, figures), peers, notes])
}

/// Writes the part that compares. The rest stays as it is.
pub(crate) fn write_peers(path: &Path, text: &str) -> Result<()> {
    let [page, _, notes] = parts(&fs::read_to_string(path).unwrap_or_default());
    save(path, [page, format!("{PEERS}\n\n{text}\n"), notes])
}

fn save(path: &Path, parts: [String; 3]) -> Result<()> {
    let parts = parts.map(|part| part.trim_end().to_owned());
    let there: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    fs::write(path, there.join("\n\n") + "\n").with_context(|| format!("{} cannot be written", path.display()))
}

/// The figures of this server, those beside others, and the notes of a page as it is.
fn parts(page: &str) -> [String; 3] {
    let begin = |heading: &str| page.find(&format!("\n{heading}\n")).map(|at| at + 1);
    let notes = begin(NOTES).unwrap_or(page.len());
    let peers = begin(PEERS).filter(|at| *at < notes).unwrap_or(notes);
    let kept = if notes < page.len() { &page[notes..] } else { NOTES };
    [&page[..peers], &page[peers..notes], kept].map(str::to_owned)
}

fn page(plan: &Plan, circumstances: &Circumstances, figures: &Figures) -> String {
    let Circumstances { machine, load_average, day } = circumstances;
    let (goals, missed) = figures.goals();
    format!(
        "# Benchmarks

What the real server does over loopback, measured by `cargo xtask bench`, which writes this page up to \"Beside other servers\". Server and client
share the machine: compare figures only within one run.

- Machine: {machine}; load average before the run {load_average}
- Day: {day}
- Command: `cargo xtask bench --rounds {rounds} --connections {connections}`
- Median of {rounds} rounds, spread from least to most; {met} of {goals} goals met

{table}
## How it is measured

Each round starts the release binary `satgas serve` as a process of its own on an empty folder and a free loopback port,
with its default configuration, and registers an invented city: 51 kelurahan with a task force each and 102 schools. The client is
another process with two threads and the generated client. A record is a school visit of {VISIT_BYTES} encoded bytes with a new id. All records are made
before the time is taken; only receipts that say *accepted* count, and any other answer fails the run. Before each measurement of calls or streams every caller makes 20
empty calls; there is no other warm-up. Concurrent writers share {connections} connections; streams have one each.

- **machine**: 4 KiB appended to a plain file on the same disk and synced with `fdatasync`, one after the other; calls of the health service by so
  many callers at once: what client, transport and server reach when there is nothing to do.
- **access**: calls of the health service, which needs no token, and `WhoAmI`, the smallest call that does, by so many callers: the difference is
  what the door and the policy cost. With 64 callers all cores are busy, and a call's share of them is its processor time, the client's included.
- **fold**: visits folded into the views in process, on one thread: decoded before, and decoded from their stored bytes. In
  a process by itself, with the server's allocator, the memory by which it grows with four million visits.
- **append**: so many writers, each of which submits one record a call and waits for its receipt. The log is verified and counted before and after:
  records a sync are the records written between, divided by the commits, each of which is one sync.
- **latency**: one writer submits one record after the other; from the call to the event at a subscriber on another connection.
- **stream**: `SubmitBatch`, sent as fast as the server takes it; from the first message to the last receipt.
- **proof**: visits hashed and added to the Merkle tree in process, on one thread, as the fold's thread does with each commit; then what the server takes
  in from 256 writers and from 8 streams, and what hashing so many takes of all cores in that time. Trees of a million and ten million leaves in
  process: 2,000 proofs each that a record is in it and that it goes on from half of it, without reading records from a log; the file without the
  record; checking is reading the file, the signature and both ways, with the key and nothing else.
- **disk**: blocks that the files take after an orderly stop, divided by the records.
- **backup**: `satgas backup` into a folder on the same disk, as a process beside the server: the whole log, as the command measures it. Then
  64 writers submit 5,000 records a second together, alone, and while whole backups are taken one after the other into new folders; latencies are
  from when a record was due, which the client's timer keeps to a millisecond. `satgas restore` of all into a new folder, with checking signature, hashes and chain, and reading back what was written.
- **restart**: from the start of the process to its ready line, after an orderly stop, with checkpoints and without.
- **catch-up**: one subscriber from the beginning to the notice that it caught up, with events left as bytes as a client does that stores or
  forwards them, and decoded by the generated client.
- **evaluate**: one client lists the evaluations of all kelurahan, lowest score first, again and again, while 64 writers submit 5,000
  records a second together.
- **past**: the list of all kelurahan for the year as of a position: the first time, for which the views of then are folded from the nearest
  checkpoint, and again, for which they are kept.
- **stalled**: 100 subscribers from the beginning, each on a connection of its own, take nothing for 10 seconds; the most memory
  the server has, less what it had before. Then 100 more: memory that the start left free cannot hide these.
- **fan-out**: so many live subscribers over connections of 200 streams each, all of which have caught up, while 64 writers submit 1,000 records a
  second together for 10 seconds; from when a record was due to be submitted to its arrival, at every twentieth subscriber of 5,000 and every second
  of 500. What has not arrived 10 seconds after the last record counts as a minute late. Events are left as bytes but for the time in them.
- **nation** (only when chosen, `--only nation --records 1000000,10000000`): each size once, on a log of its own: 514 kabupaten and kota, 7,285
  kecamatan and 83,762 villages, invented or with the codes of a file (`--areas`), a task force each, a school for every second; up to 40 %
  monthly reports, 5 % exposure signals, 0.5 % cases, the rest visits with follow-ups, two years up to now. Records are made while they are streamed
  over 8 connections, so loading shares the machine with making them. Questions are asked one after the other, each so often or for 20 seconds; *first*
  is the first question about a moment, *others* the ones after it. The server stamps records with the time at which it learns them, so this log has no
  moment a year ago; the time at which half of the two years was loaded stands for it. A run ends by itself: loading within 45 minutes, a start
  within 10, a stop within 3.
",
        rounds = plan.rounds,
        connections = plan.connections,
        met = goals - missed,
        table = figures.to_markdown(),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn circumstances() -> Circumstances {
        Circumstances { machine: "2 cores".to_owned(), load_average: "0.01".to_owned(), day: "2026-01-01".to_owned() }
    }

    #[test]
    fn a_new_run_replaces_the_figures_and_keeps_the_notes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("benchmarks.md");
        fs::write(&path, "# Benchmarks\n\nold figures\n\n## Notes\n\nWhat holds it.\n").unwrap();
        write(&path, &Plan::parse_from(["bench"]), &circumstances(), &Figures::default()).unwrap();
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.ends_with("\n\n## Notes\n\nWhat holds it.\n") && !page.contains("old figures"), "{page}");
        assert_eq!(page.matches(NOTES).count(), 1);
    }

    #[test]
    fn a_comparison_replaces_the_one_before_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("benchmarks.md");
        let old = "# Benchmarks\n\nfigures\n\n## Notes\n\nWhat holds it.\n";
        fs::write(&path, old).unwrap();
        write_peers(&path, "old ones").unwrap();
        write_peers(&path, "new ones\n").unwrap();
        let expected = "# Benchmarks\n\nfigures\n\n## Beside other servers\n\nnew ones\n\n## Notes\n\nWhat holds it.\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        write(&path, &Plan::parse_from(["bench"]), &circumstances(), &Figures::default()).unwrap();
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.ends_with("\n\n## Beside other servers\n\nnew ones\n\n## Notes\n\nWhat holds it.\n"), "{page}");
        assert_eq!(page.matches(PEERS).count(), 1);
    }
}
