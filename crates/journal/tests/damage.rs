//! Damage to a journal's files is found, or it hit nothing that matters.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use satgas_journal::conformance::{append, content, expect_records};
use satgas_journal::disk::{Options, verify_folder};
use satgas_journal::frame;
use satgas_journal::{Fault, Journal, OpenError, SledJournal};

fn open(folder: &Path) -> Result<SledJournal, OpenError> {
    SledJournal::open(folder, Options::default())
}

fn verify(folder: &Path) -> Result<u64, Fault> {
    verify_folder(folder, Options::default(), &mut |_| ()).map(|verified| verified.records)
}

/// sled's database in a closed journal. One of sled's threads may hold its lock for a moment after the journal was dropped.
fn behind_its_back(folder: &Path) -> sled::Db {
    for _ in 0..1_000_000 {
        match sled::open(folder.join("log")) {
            Err(error) if error.to_string().contains("could not acquire lock") => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
    panic!("sled's lock is held for good");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A journal of several sessions, so that part of it is behind sled's snapshot and part is replayed, and its lengths.
fn build(folder: &Path) -> Vec<usize> {
    let mut lengths = Vec::new();
    for session in 0..3_usize {
        let journal = open(folder).unwrap();
        for commit in 0..40 {
            let sizes = match commit % 4 {
                0 => vec![300],
                1 => vec![40 + commit; 30],
                2 => vec![9000 + session, 5],
                _ => vec![700; 20],
            };
            append(&journal, &sizes);
            lengths.extend(sizes);
        }
    }
    lengths
}

/// Flips one bit of sled's file at each of `places`, in a fresh copy of the journal. Returns the fault, or `None` after
/// having read back every record unharmed.
fn flip(original: &Path, lengths: &[usize], places: &[usize]) -> Option<Fault> {
    let folder = tempfile::tempdir().unwrap();
    copy(original, folder.path());
    let db = folder.path().join("log/db");
    let mut bytes = fs::read(&db).unwrap();
    places.iter().for_each(|&at| bytes[at] ^= 0x04);
    fs::write(&db, bytes).unwrap();
    let fault = verify(folder.path()).err();
    match &fault {
        Some(fault) => assert!((1..=lengths.len() as u64).contains(&fault.position), "bytes {places:?}: {fault}"),
        None => expect_records(&open(folder.path()).unwrap(), lengths, 100_000),
    }
    fault
}

#[test]
fn a_flipped_byte_anywhere_is_found_or_hit_dead_space() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = build(folder.path());
    let len = usize::try_from(fs::metadata(folder.path().join("log/db")).unwrap().len()).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(53_71);
    let flips = 60;
    let found = (0..flips).filter(|_| flip(folder.path(), &lengths, &[random.random_range(0..len)]).is_some()).count();
    println!("{flips} flips in {len} bytes: {found} found, {} in dead space", flips - found);
    assert!(found > 0 && found < flips, "the test must meet both kinds of place");
}

#[test]
fn a_flipped_byte_of_a_frame_is_always_found() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = build(folder.path());
    let raw = fs::read(folder.path().join("log/db")).unwrap();
    let mut copies: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    frame::find(&raw).for_each(|(at, frame)| copies.entry(frame).or_default().push(at));
    let total: usize = copies.values().map(Vec::len).sum();
    println!("{} frames, found {total} times", copies.len());
    let frames = open(folder.path()).unwrap().verify(&mut |_| ()).unwrap().frames;
    assert_eq!(copies.len() as u64, frames, "salvage must find every frame whole in the raw file");

    let frames: Vec<_> = copies.iter().collect();
    let mut random = ChaCha8Rng::seed_from_u64(2026);
    let mut named = 0;
    for _ in 0..40 {
        // sled writes a page anew when it changes; which copy is the one in use cannot be seen from outside, so all are hit.
        let (frame, copies) = frames[random.random_range(0..frames.len())];
        let inside = random.random_range(0..frame.len());
        let places: Vec<usize> = copies.iter().map(|at| at + inside).collect();
        let fault = flip(folder.path(), &lengths, &places);
        let fault = fault.unwrap_or_else(|| panic!("byte {inside} of the frames at {copies:?} was not found"));
        let first = u64::from_le_bytes(frame[8..16].try_into().unwrap());
        // What sled drops behind a damaged message may begin before the frame, never after it.
        assert!(fault.position <= first, "byte {inside} of the frame of position {first}: {fault}");
        named += u32::from(fault.position == first);
    }
    println!("40 frames hit, {named} named by their very position");
    assert!(named >= 36, "nearly all faults name the frame that was hit, {named} of 40 did");
}

#[test]
fn a_log_cut_short_is_refused_and_a_copy_of_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = build(folder.path());
    let db = folder.path().join("log/db");
    let mut bytes = fs::read(&db).unwrap();
    // A frame of the last session, the first one of which sled has not seen in a snapshot.
    let (at, _) = frame::find(&bytes).filter(|(_, frame)| frame.len() > 300).last().unwrap();
    bytes[at + 100] ^= 1;
    fs::write(&db, &bytes).unwrap();

    let refused = open(folder.path()).unwrap_err();
    let OpenError::AcknowledgedMissing { missing, anchored, found } = refused else {
        panic!("{refused}");
    };
    assert_eq!(anchored, lengths.len() as u64);
    assert!(missing == found + 1 && found < anchored);
    assert!(refused.to_string().contains(&format!("from position {missing} on are missing")));
    assert_eq!(fs::read(folder.path().join("log.kept/db")).unwrap(), bytes);
    // Trying again neither hides the loss nor replaces the copy.
    assert!(matches!(open(folder.path()), Err(OpenError::AcknowledgedMissing { .. })));
    assert_eq!(fs::read(folder.path().join("log.kept/db")).unwrap(), bytes);
}

#[test]
fn what_sled_dropped_because_a_read_failed_is_put_back_by_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = build(folder.path());
    let (db, kept) = (folder.path().join("log/db"), folder.path().join("log.kept/db"));
    let bytes = fs::read(&db).unwrap();
    let mut misread = bytes.clone();
    let (at, _) = frame::find(&bytes).filter(|(_, frame)| frame.len() > 300).last().unwrap();
    misread[at + 100] ^= 1;
    fs::write(&db, &misread).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::AcknowledgedMissing { .. })));
    // The disk had it right all the time: only sled was told something else.
    fs::write(&kept, &bytes).unwrap();
    expect_records(&open(folder.path()).unwrap(), &lengths, 100_000);
    // Once it is open, nothing is left that could ever be put back over what is written from now on.
    let beside = ["log.kept", "log.aside", "log.copying", "log.dropped"].map(|name| folder.path().join(name).exists());
    assert_eq!(beside, [false; 4]);
    append(&open(folder.path()).unwrap(), &[77]);
    expect_records(&open(folder.path()).unwrap(), &[&lengths[..], &[77]].concat(), 100_000);
}

#[test]
fn a_copy_that_reaches_less_far_than_the_log_is_not_put_back() {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap(), &[8]);
    let earlier = tempfile::tempdir().unwrap();
    copy(&folder.path().join("log"), earlier.path());
    append(&open(folder.path()).unwrap(), &[9]);
    copy(earlier.path(), &folder.path().join("log.kept"));
    fs::write(folder.path().join("log.kept/refused"), []).unwrap();
    // Also where the anchor, which a power loss may leave behind, knows of the first record only.
    fs::remove_file(folder.path().join("head")).unwrap();
    expect_records(&open(folder.path()).unwrap(), &[8, 9], 100_000);
    assert!(!folder.path().join("log.kept").exists());
}

#[test]
fn putting_a_copy_back_can_be_cut_short_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = build(folder.path());
    let at = |name: &str| folder.path().join(name);
    // The log went aside, and nothing is in its place yet; a part of another copy lies about.
    copy(&at("log"), &at("log.kept"));
    fs::write(at("log.kept/refused"), []).unwrap();
    fs::create_dir(at("log.copying")).unwrap();
    fs::write(at("log.copying/db"), b"a part").unwrap();
    fs::rename(at("log"), at("log.aside")).unwrap();
    expect_records(&open(folder.path()).unwrap(), &lengths, 100_000);
    // What is in its place was refused, too, and is replaced once more.
    copy(&at("log"), &at("log.kept"));
    fs::write(at("log.kept/refused"), []).unwrap();
    copy(&at("log"), &at("log.aside"));
    fs::write(at("log/db"), b"no database").unwrap();
    expect_records(&open(folder.path()).unwrap(), &lengths, 100_000);
    assert!(!at("log.kept").exists() && !at("log.aside").exists());
}

#[test]
fn without_its_anchor_a_shorter_log_opens_because_nothing_tells_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap(), &[8]);
    copy(folder.path(), earlier.path());
    append(&open(folder.path()).unwrap(), &[8]);

    fs::copy(folder.path().join("head"), earlier.path().join("head")).unwrap();
    let refused = open(earlier.path()).unwrap_err();
    assert!(matches!(refused, OpenError::AcknowledgedMissing { missing: 2, anchored: 2, found: 1 }), "{refused}");
    fs::remove_file(earlier.path().join("head")).unwrap();
    assert_eq!(open(earlier.path()).unwrap().head().position, 1);
}

#[test]
fn a_log_with_another_history_is_refused() {
    let ours = tempfile::tempdir().unwrap();
    let theirs = tempfile::tempdir().unwrap();
    append(&open(ours.path()).unwrap(), &[8]);
    append(&open(theirs.path()).unwrap(), &[9]);
    fs::copy(ours.path().join("head"), theirs.path().join("head")).unwrap();
    let refused = open(theirs.path()).unwrap_err();
    assert!(matches!(refused, OpenError::AcknowledgedMissing { missing: 1, .. }), "{refused}");
}

#[test]
fn a_journal_without_its_log_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap(), &[8]);
    fs::remove_dir_all(folder.path().join("log")).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::AcknowledgedMissing { missing: 1, .. })));
    assert!(!folder.path().join("log").exists());
}

#[test]
fn the_anchor_catches_up_with_a_log_that_is_ahead_of_it() {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap(), &[8]);
    let behind = fs::read(folder.path().join("head")).unwrap();
    append(&open(folder.path()).unwrap(), &[8]);
    let level = fs::read(folder.path().join("head")).unwrap();
    // As if the process had died between the sync and the anchor.
    fs::write(folder.path().join("head"), behind).unwrap();
    assert_eq!(open(folder.path()).unwrap().head().position, 2);
    assert_eq!(fs::read(folder.path().join("head")).unwrap(), level);
}

#[test]
fn blobs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap(), &[8]);
    fs::write(folder.path().join("log/blobs/1"), b"unsynced").unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::BlobsPresent { .. })));
}

#[test]
fn a_second_opening_is_refused_while_the_first_one_lives() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Locked { .. })));
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter.txt"), b"no log").unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::NotAJournal { .. })));
    assert_eq!(verify(folder.path()).unwrap_err().position, 0);

    let foreign = tempfile::tempdir().unwrap();
    behind_its_back(foreign.path()).insert([0; 10], vec![b'x'; 200]).unwrap();
    let refused = open(foreign.path()).unwrap_err();
    assert!(matches!(refused, OpenError::NotAJournal { .. }), "{refused}");
}

#[test]
fn a_log_of_a_newer_program_is_refused_by_its_version() {
    let folder = tempfile::tempdir().unwrap();
    append(&open(folder.path()).unwrap(), &[8]);
    fs::remove_file(folder.path().join("head")).unwrap();
    let db = behind_its_back(folder.path());
    let (key, value) = db.last().unwrap().unwrap();
    let mut newer = value.to_vec();
    newer[4] = 2;
    db.insert(key, newer).unwrap();
    drop(db);
    let refused = open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::UnknownVersion { version: 2, known: 1 }), "{refused}");
}

/// A journal of two commits of one and three frames, the last frame changed or taken out behind its back.
fn with_last_frame(change: impl FnOnce(&mut Vec<u8>) -> bool) -> OpenError {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap();
    append(&journal, &[8, 8]);
    append(&journal, &[8, 9000]);
    drop(journal);
    let db = behind_its_back(folder.path());
    let (key, value) = db.pop_max().unwrap().unwrap();
    let mut value = value.to_vec();
    if change(&mut value) {
        db.insert(key, value).unwrap();
    }
    drop(db);
    open(folder.path()).unwrap_err()
}

#[test]
fn a_last_commit_that_is_not_whole_is_refused() {
    let refused = with_last_frame(|_| false);
    assert!(matches!(refused, OpenError::TailDamaged { position: 3, .. }), "{refused}");
}

#[test]
fn a_damaged_last_frame_is_refused() {
    let refused = with_last_frame(|frame| {
        frame[60] ^= 1;
        true
    });
    assert!(matches!(refused, OpenError::TailDamaged { position: 4, .. }), "{refused}");
}

#[test]
fn an_edited_last_frame_is_refused_even_if_its_checksums_are_right() {
    let refused = with_last_frame(|bytes| {
        let stored = bytes.clone();
        let frame = frame::Frame::decode(&stored).unwrap();
        let body: Vec<u8> = frame.body.iter().map(|byte| byte ^ 1).collect();
        frame::Frame { body: &body, ..frame }.encode(bytes);
        true
    });
    assert!(matches!(refused, OpenError::AcknowledgedMissing { missing: 4, .. }), "{refused}");
}

#[test]
fn a_frame_taken_out_or_edited_is_named_and_reads_before_it_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap();
    (0..6).for_each(|_| {
        append(&journal, &[8, 8]);
    });
    drop(journal);
    let db = behind_its_back(folder.path());
    db.remove(frame::Key { first: 5, part: 0 }.to_bytes()).unwrap();
    drop(db);

    let journal = open(folder.path()).unwrap();
    let fault = journal.verify(&mut |_| ()).unwrap_err();
    assert_eq!(fault.position, 5, "{fault}");
    let readable = journal.read(0, 1000).unwrap();
    assert_eq!(readable.records().last().unwrap(), (4, content(4, 8).into()));
    assert!(journal.read(4, 1000).is_err());
    assert_eq!(journal.read(6, 1000).unwrap().first, 7);
}
