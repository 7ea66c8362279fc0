//! The power fails while a commit is being written: what the disk then holds is what was synced before, and any part of what was written
//! since.
//!
//! sled writes within `insert`, `apply_batch` and `flush`; nothing is synced before our own `sync`. So the files as they were after the last sync and as
//! they are before the next one are both at hand, and every sector in which they differ may have reached the disk or not. File lengths,
//! new files and the last sector cut in two are part of that. Each such disk is opened as after a restart.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sled::IVec;

use super::{Options, SledJournal, files, recover};
use crate::{
    Head, Journal as _, OpenError, Records,
    commit::cut,
    conformance::{content, expect_records},
};

const SECTOR_BYTES: usize = 512;
/// Disks that are made of each commit.
const DISKS: u64 = 5;
const COMMITS: usize = 48;

/// All files of a journal, by name.
type Disk = BTreeMap<PathBuf, Vec<u8>>;

fn look(folder: &Path) -> Disk {
    let (mut folders, mut disk) = (vec![folder.to_owned()], Disk::new());
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if let Ok(bytes) = fs::read(entry.path()) {
                // sled removes files beside us: one that is gone is one that is not there.
                disk.insert(entry.path().strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    disk
}

fn lay_out(disk: &Disk, folder: &Path) {
    for (name, bytes) in disk {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// A disk after the power failed: each sector is the old one or the new one.
fn torn(synced: &Disk, written: &Disk, random: &mut ChaCha8Rng) -> Disk {
    let mut disk = synced.clone();
    let kept = f64::from(random.random_range(0..=4_u8)) / 4.0;
    for (name, new) in written {
        let old = synced.get(name).map_or(&[][..], Vec::as_slice);
        if new == old {
            continue;
        }
        if !synced.contains_key(name) && random.random_bool(0.3) {
            continue;
        }
        let mut bytes = new.clone();
        for (index, sector) in bytes.chunks_mut(SECTOR_BYTES).enumerate() {
            let start = (index * SECTOR_BYTES).min(old.len());
            let before = &old[start..(start + sector.len()).min(old.len())];
            let reached = random.random_bool(kept);
            // Seldom a sector itself is torn.
            let from = if reached && random.random_bool(0.02) { random.random_range(0..sector.len()) } else { 0 };
            if !reached || from > 0 {
                sector[from..].fill(0);
                let same = before.len().min(sector.len());
                if from < same {
                    sector[from..same].copy_from_slice(&before[from..same]);
                }
            }
        }
        // The length is written with the sync, too.
        if new.len() > old.len() && random.random_bool(0.4) {
            bytes.truncate(random.random_range(old.len()..=new.len()));
        }
        disk.insert(name.clone(), bytes);
    }
    for name in synced.keys().filter(|name| !written.contains_key(*name)) {
        if random.random_bool(0.5) {
            disk.remove(name);
        }
    }
    disk
}

/// What became of the disks of a run.
#[derive(Debug, Default)]
struct Outcomes {
    without: u32,
    with: u32,
    refused: u32,
}

/// Opens a disk. It must hold all that was acknowledged, and the commit that was under way whole or not at all.
fn check(disk: &Disk, lengths: &[usize], acknowledged: usize, outcomes: &mut Outcomes, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    lay_out(disk, folder.path());
    let fits = |journal: &SledJournal, outcomes: &mut Outcomes| {
        let found = usize::try_from(journal.head().position).unwrap();
        assert!(found == acknowledged || found == lengths.len(), "disk {seed}: {found} of {acknowledged}");
        expect_records(journal, &lengths[..found], 1 << 20);
        *(if found == acknowledged { &mut outcomes.without } else { &mut outcomes.with }) += 1;
    };
    match SledJournal::open(folder.path(), Options::default()) {
        Ok(journal) => fits(&journal, outcomes),
        // sled may refuse its own file; then nothing that was acknowledged may be lost to a salvage.
        Err(OpenError::Sled { .. } | OpenError::AcknowledgedMissing { .. } | OpenError::TailDamaged { .. }) => {
            outcomes.refused += 1;
            let fresh = tempfile::tempdir().unwrap();
            let recovered = recover(folder.path(), fresh.path(), &mut |_| ()).unwrap();
            assert!(recovered.is_proven(), "disk {seed}: {recovered:?}");
            let journal = SledJournal::open(fresh.path(), Options::default()).unwrap();
            fits(&journal, &mut Outcomes::default());
        }
        Err(error) => panic!("disk {seed}: {error}"),
    }
}

fn records_of(at: u64, lengths: &[usize]) -> Records {
    let mut records = Records::new();
    for (position, len) in (at + 1..).zip(lengths) {
        records.push(&content(position, *len));
    }
    records
}

#[test]
fn whatever_the_power_takes_everything_acknowledged_is_there_and_a_commit_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(5371);
    let (mut lengths, mut head, mut outcomes) = (Vec::new(), Head::EMPTY, Outcomes::default());
    let mut journal = SledJournal::open(folder.path(), Options::default()).unwrap();
    for commit in 0..COMMITS {
        if commit % 12 == 11 {
            // What a start writes is under the same rule.
            drop(journal);
            journal = SledJournal::open(folder.path(), Options::default()).unwrap();
        }
        let acknowledged = lengths.len();
        let sizes: Vec<usize> = match commit % 4 {
            0 => vec![random.random_range(1..600)],
            1 => vec![300; random.random_range(2..60)],
            2 => vec![random.random_range(6_000..30_000), 10],
            _ => vec![random.random_range(1..90); 9],
        };
        let synced = look(folder.path());
        let mut frames = Vec::new();
        let next = cut(head, &records_of(head.position, &sizes), |key, frame| frames.push((key, IVec::from(frame))));
        journal.write(frames).unwrap();
        let written = look(folder.path());
        lengths.extend(sizes);
        for disk in 0..DISKS {
            let seed = commit as u64 * DISKS + disk;
            let torn = torn(&synced, &written, &mut ChaCha8Rng::seed_from_u64(seed));
            check(&torn, &lengths, acknowledged, &mut outcomes, seed);
        }
        journal.sync().unwrap();
        journal.writer.lock().anchor.write(next).unwrap();
        *journal.head.write() = next;
        head = next;
        let blobs = files::is_empty(&folder.path().join(files::LOG).join(files::BLOBS)).unwrap();
        assert!(blobs, "sled wrote beside its synced file");
    }
    println!("{outcomes:?}");
    assert!(outcomes.with > 0 && outcomes.without > 0, "both kinds of end must be met: {outcomes:?}");
}
