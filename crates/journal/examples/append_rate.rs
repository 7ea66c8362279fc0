//! How fast commits become durable on this disk, beside the rate of a plain file on the same disk in the same run.
//!
//! `cargo run --release -p satgas-journal --example append_rate [FOLDER]`; the folder should be on the disk to be measured.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use satgas_journal::disk::Options;
use satgas_journal::{Journal, Records, SledJournal};

const RECORD_BYTES: usize = 300;
const RUN_TIME: Duration = Duration::from_secs(3);

fn main() {
    let base = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let folder = tempfile::tempdir_in(base).expect("a folder to write to");
    plain_file(&folder.path().join("plain"));
    println!(
        "records/commit  commits/s  records/s  disk B/record  blobs  mean ms  read records/s  verify records/s  reads of the last record/s"
    );
    for records_per_commit in [1, 64, 256] {
        journal(&folder.path().join(records_per_commit.to_string()), records_per_commit);
    }
}

fn plain_file(path: &Path) {
    let mut file = File::create(path).expect("a file");
    let start = Instant::now();
    let mut syncs = 0_u32;
    while start.elapsed() < RUN_TIME {
        file.write_all(&[7; RECORD_BYTES]).expect("written");
        file.sync_data().expect("synced");
        syncs += 1;
    }
    println!("plain file, {RECORD_BYTES} B and fdatasync: {:.0}/s", f64::from(syncs) / start.elapsed().as_secs_f64());
}

fn journal(path: &Path, records_per_commit: usize) {
    let journal = SledJournal::open(path, Options::default()).expect("a fresh journal");
    let mut records = Records::with_capacity(records_per_commit, records_per_commit * (RECORD_BYTES + 3));
    let start = Instant::now();
    let mut commits = 0_u32;
    let mut position = 0;
    while start.elapsed() < RUN_TIME {
        records.clear();
        for index in 0..records_per_commit as u64 {
            records.push(&record(position + index));
        }
        position = journal.append(position, &records).expect("room on the disk").position;
        commits += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let disk = fs::metadata(path.join("log/db")).expect("sled's file").len();
    let blobs = fs::read_dir(path.join("log/blobs")).expect("sled's folder").count();
    let read = rate(position, || read_all(&journal));
    let verify = rate(position, || assert!(journal.verify(&mut |_| ()).is_ok()));
    let last = rate(100_000, || (0..100_000).for_each(|_| assert!(journal.read(position - 1, 4096).is_ok())));
    println!(
        "{records_per_commit:>14} {:>10.0} {:>10.0} {:>14.0} {blobs:>6} {:>8.3} {read:>15.0} {verify:>17.0} {last:>27.0}",
        f64::from(commits) / seconds,
        position as f64 / seconds,
        disk as f64 / position as f64,
        seconds * 1000.0 / f64::from(commits),
    );
}

/// Bytes no compression helps with.
fn record(position: u64) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let mut state = position.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for eight in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        eight.copy_from_slice(&state.to_le_bytes()[..eight.len()]);
    }
    bytes
}

fn read_all(journal: &SledJournal) {
    let mut after = 0;
    while let Ok(chunk) = journal.read(after, 256 * 1024)
        && !chunk.is_empty()
    {
        after = chunk.last();
    }
}

fn rate(records: u64, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    records as f64 / start.elapsed().as_secs_f64()
}
