//! A faulty journal fails as planned, and otherwise like a real one.

use satgas_journal::conformance::{append, expect_records};
use satgas_journal::faulty::{FaultyJournal, Plan};
use satgas_journal::{AppendError, Head, Journal, MemoryJournal, ReadError, Records};

fn one() -> Records {
    let mut records = Records::new();
    records.push(b"record");
    records
}

#[test]
fn a_lost_append_poisons_and_is_not_there_after_a_restart() {
    let journal = FaultyJournal::new(MemoryJournal::new(), Plan { lost_append: Some(2), ..Plan::default() });
    let head = append(&journal, &[8]);
    assert!(matches!(journal.append(1, &one()), Err(AppendError::Failed { .. })));
    assert!(matches!(journal.append(1, &one()), Err(AppendError::Poisoned { .. })));
    assert_eq!(journal.head(), head);
    assert_eq!(journal.into_inner().head(), head);
}

#[test]
fn a_lost_answer_hides_the_commit_until_a_restart() {
    let journal = FaultyJournal::new(MemoryJournal::new(), Plan { lost_answer: Some(2), ..Plan::default() });
    append(&journal, &[8]);
    assert!(matches!(journal.append(1, &one()), Err(AppendError::Failed { .. })));
    expect_records(&journal, &[8], 1000);
    assert_eq!(journal.frame_hash(2).unwrap(), None);
    assert_eq!(journal.into_inner().head().position, 2);
}

#[test]
fn a_full_disk_passes() {
    let journal = FaultyJournal::new(MemoryJournal::new(), Plan { disk_full: Some(1..=2), ..Plan::default() });
    for _ in 0..2 {
        assert!(matches!(journal.append(0, &one()), Err(AppendError::DiskFull { .. })));
    }
    assert_eq!(journal.head(), Head::EMPTY);
    append(&journal, &[8]);
    expect_records(&journal, &[8], 1000);
}

#[test]
fn lost_reads_pass() {
    let journal = FaultyJournal::new(MemoryJournal::new(), Plan { lost_reads: Some(2..=2), ..Plan::default() });
    append(&journal, &[8]);
    assert!(journal.read(0, 1000).is_ok());
    assert!(matches!(journal.read(0, 1000), Err(ReadError::Storage { after: 0, .. })));
    assert!(journal.read(0, 1000).is_ok());
}
