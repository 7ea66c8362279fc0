//! The one suite over every implementation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use satgas_journal::conformance::{CASES, survives_reopening};
use satgas_journal::disk::Options;
use satgas_journal::faulty::{FaultyJournal, Plan};
use satgas_journal::{Journal, MemoryJournal, SledJournal};

fn sled(folder: &Path) -> SledJournal {
    SledJournal::open(folder, Options::default()).unwrap()
}

fn assert_no_blobs(folder: &Path) {
    assert_eq!(std::fs::read_dir(folder.join("log/blobs")).unwrap().count(), 0, "sled wrote unsynced blobs");
}

#[test]
fn the_memory_journal_conforms() {
    for case in CASES {
        println!("{}", case.name);
        (case.run)(&MemoryJournal::new());
    }
}

#[test]
fn the_sled_journal_conforms_and_makes_no_blobs() {
    for case in CASES {
        println!("{}", case.name);
        let folder = tempfile::tempdir().unwrap();
        (case.run)(&sled(folder.path()));
        assert_no_blobs(folder.path());
    }
}

#[test]
fn a_faulty_journal_without_a_plan_conforms() {
    for case in CASES {
        println!("{}", case.name);
        (case.run)(&FaultyJournal::new(MemoryJournal::new(), Plan::default()));
    }
}

#[test]
fn the_sled_journal_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    survives_reopening(|| sled(folder.path()));
    assert_no_blobs(folder.path());
    assert!(!folder.path().join("log.kept").exists());
}

#[test]
fn both_implementations_make_the_same_chain() {
    let folder = tempfile::tempdir().unwrap();
    let journals: [Box<dyn Journal>; 2] = [Box::new(sled(folder.path())), Box::new(MemoryJournal::new())];
    let heads = journals.map(|journal| {
        satgas_journal::conformance::append(&*journal, &[300; 60]);
        satgas_journal::conformance::append(&*journal, &[20_000, 1])
    });
    assert_eq!(heads[0], heads[1]);
}
