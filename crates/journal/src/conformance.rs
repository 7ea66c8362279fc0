//! What every journal must do, as functions that panic if one does not.
//!
//! [`CASES`] want a fresh journal each; [`survives_reopening`] wants to open the same one again and again.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::frame::{BODY_BYTES_MAX, Frame, split_first};
use crate::walk::Walk;
use crate::{AppendError, Chunk, Head, Journal, RECORD_BYTES_MAX, ReadError, Records};

/// One case: its name says what must hold.
pub struct Case {
    /// A sentence.
    pub name: &'static str,
    /// Runs it on a fresh journal and panics if it does not hold.
    pub run: fn(&dyn Journal),
}

/// Every case.
pub const CASES: &[Case] = &[
    Case { name: "a_fresh_journal_is_empty", run: a_fresh_journal_is_empty },
    Case { name: "what_is_appended_is_read_back_in_order", run: what_is_appended_is_read_back_in_order },
    Case { name: "an_append_at_another_position_changes_nothing", run: an_append_at_another_position_changes_nothing },
    Case { name: "appending_nothing_writes_nothing", run: appending_nothing_writes_nothing },
    Case { name: "reads_can_start_anywhere_and_are_bounded", run: reads_can_start_anywhere_and_are_bounded },
    Case { name: "records_of_every_length_come_back", run: records_of_every_length_come_back },
    Case { name: "a_read_beyond_the_head_is_refused", run: a_read_beyond_the_head_is_refused },
    Case { name: "every_commit_ends_at_a_frame_hash", run: every_commit_ends_at_a_frame_hash },
    Case { name: "a_copy_is_the_frames_of_the_chain", run: a_copy_is_the_frames_of_the_chain },
    Case { name: "verify_counts_what_was_appended", run: verify_counts_what_was_appended },
    Case { name: "too_long_a_record_is_refused", run: too_long_a_record_is_refused },
    Case { name: "readers_beside_the_writer_see_whole_prefixes", run: readers_beside_the_writer_see_whole_prefixes },
];

/// Appends records of `lengths` as one commit. What they hold depends on their position.
pub fn append(journal: &dyn Journal, lengths: &[usize]) -> Head {
    let at = journal.head().position;
    let mut records = Records::new();
    for (position, &len) in (at + 1..).zip(lengths) {
        records.push(&content(position, len));
    }
    journal.append(at, &records).expect("an append at the head succeeds")
}

/// The record of `len` bytes that [`append`] puts at `position`: every other one is such that it can be compressed.
pub fn content(position: u64, len: usize) -> Vec<u8> {
    let mut seed = blake3::Hasher::new();
    seed.update(&position.to_le_bytes());
    let mut content = vec![0; if position.is_multiple_of(2) { len } else { len.min(32) }];
    seed.finalize_xof().fill(&mut content);
    content.into_iter().cycle().take(len).collect()
}

/// Checks that the journal holds records of exactly these `lengths`, as [`append`] makes them, reading `max_bytes` at a time.
pub fn expect_records(journal: &dyn Journal, lengths: &[usize], max_bytes: usize) {
    let mut after = 0;
    let mut lengths = lengths.iter();
    loop {
        let chunk = journal.read(after, max_bytes).expect("a sound journal can be read");
        check_chunk(&chunk, after, max_bytes);
        for (position, record) in chunk.records() {
            let &len = lengths.next().expect("no more records than were appended");
            assert!(record == content(position, len), "record {position} differs");
        }
        if chunk.is_empty() {
            break;
        }
        after = chunk.last();
    }
    assert_eq!(lengths.len(), 0, "records are missing at the end");
    assert_eq!(after, journal.head().position);
}

/// Whatever implements the journal: what was appended is there when it is opened again, with the same head, chain and
/// content, and the chain goes on. `open` must open the same journal each time, empty at first.
pub fn survives_reopening<J: Journal>(mut open: impl FnMut() -> J) {
    let mut lengths = Vec::new();
    let mut head = Head::EMPTY;
    for round in 0..5 {
        let journal = open();
        assert_eq!(journal.head(), head, "round {round}");
        expect_records(&journal, &lengths, 4096);
        let more = [10 + round, 3 * BODY_BYTES_MAX + round, 0, 300];
        append(&journal, &more[..2]);
        head = append(&journal, &more[2..]);
        lengths.extend(more);
        assert_eq!(journal.verify(&mut |_| ()).expect("the log is sound").head, head);
    }
    assert_eq!(open().verify(&mut |_| ()).expect("the log is sound").head, head);
}

fn check_chunk(chunk: &Chunk, after: u64, max_bytes: usize) {
    assert_eq!(chunk.first, after + 1, "a chunk follows the reader's position");
    assert!(chunk.count <= 1 || chunk.body.len() <= max_bytes, "a chunk of several records keeps the limit");
    let framed: usize = chunk.records().map(|(_, record)| record.len()).sum();
    assert!(framed <= chunk.body.len());
}

fn a_fresh_journal_is_empty(journal: &dyn Journal) {
    assert_eq!(journal.head(), Head::EMPTY);
    assert_eq!(journal.read(0, 1000).expect("position 0 can be read"), Chunk::empty(0));
    assert_eq!(journal.frame_hash(0).expect("position 0 exists"), Some(Head::EMPTY.hash));
    let verified = journal.verify(&mut |_| ()).expect("an empty log is sound");
    assert_eq!((verified.records, verified.head), (0, Head::EMPTY));
}

fn what_is_appended_is_read_back_in_order(journal: &dyn Journal) {
    let first = append(journal, &[5, 0, 300]);
    let second = append(journal, &[17]);
    assert_eq!((first.position, second.position), (3, 4));
    assert_ne!(first.hash, second.hash);
    assert_eq!(journal.head(), second);
    expect_records(journal, &[5, 0, 300, 17], usize::MAX);
}

fn an_append_at_another_position_changes_nothing(journal: &dyn Journal) {
    let head = append(journal, &[8, 8]);
    let mut records = Records::new();
    records.push(b"too late");
    for expected in [0, 1, 3, u64::MAX] {
        let refused = journal.append(expected, &records);
        assert!(matches!(refused, Err(AppendError::WrongPosition { head: 2, .. })), "{refused:?}");
    }
    assert_eq!(journal.head(), head);
    expect_records(journal, &[8, 8], 1000);
}

fn appending_nothing_writes_nothing(journal: &dyn Journal) {
    let head = append(journal, &[8]);
    assert_eq!(journal.append(1, &Records::new()).expect("nothing is always taken"), head);
    assert_eq!(journal.verify(&mut |_| ()).expect("the log is sound").commits, 1);
}

fn reads_can_start_anywhere_and_are_bounded(journal: &dyn Journal) {
    let lengths = [300; 100];
    append(journal, &lengths[..60]);
    append(journal, &lengths[60..]);
    for max_bytes in [0, 1, 303, 1000, BODY_BYTES_MAX, 20_000, usize::MAX] {
        expect_records(journal, &lengths, max_bytes);
    }
    for after in 0..100 {
        let chunk = journal.read(after, 1000).expect("a sound journal can be read");
        check_chunk(&chunk, after, 1000);
        let (position, record) = chunk.records().next().expect("a record follows");
        assert_eq!((position, &record[..]), (after + 1, &content(after + 1, 300)[..]));
    }
}

fn records_of_every_length_come_back(journal: &dyn Journal) {
    let edge = BODY_BYTES_MAX;
    let lengths =
        [0, 1, 127, 128, edge - 4, edge - 3, edge - 2, edge, 2 * edge - 3, 2 * edge, 5 * edge, RECORD_BYTES_MAX];
    append(journal, &lengths);
    lengths.iter().for_each(|&len| {
        append(journal, &[len]);
    });
    append(journal, &[edge * 2, 1, edge * 2]);
    let all = [&lengths[..], &lengths[..], &[edge * 2, 1, edge * 2]].concat();
    for max_bytes in [0, edge, 3 * edge, usize::MAX] {
        expect_records(journal, &all, max_bytes);
    }
    assert_eq!(journal.verify(&mut |_| ()).expect("the log is sound").records, all.len() as u64);
}

fn a_read_beyond_the_head_is_refused(journal: &dyn Journal) {
    append(journal, &[8]);
    assert!(journal.read(1, 1000).expect("the head can be read from").is_empty());
    for after in [2, u64::MAX] {
        assert!(matches!(journal.read(after, 1000), Err(ReadError::BeyondHead { head: 1, .. })));
    }
}

fn every_commit_ends_at_a_frame_hash(journal: &dyn Journal) {
    let heads: Vec<Head> =
        [&[8, 8][..], &[2 * BODY_BYTES_MAX], &[8, 8, 8]].map(|commit| append(journal, commit)).into();
    for head in &heads {
        assert_eq!(journal.frame_hash(head.position).expect("readable"), Some(head.hash));
    }
    for inside_or_beyond in [1, 4, 5, 7, u64::MAX] {
        assert_eq!(journal.frame_hash(inside_or_beyond).expect("readable"), None, "position {inside_or_beyond}");
    }
}

fn a_copy_is_the_frames_of_the_chain(journal: &dyn Journal) {
    let commits = [&[300; 60][..], &[3 * BODY_BYTES_MAX], &[8, 2 * BODY_BYTES_MAX, 8]];
    let heads: Vec<Head> = commits.map(|commit| append(journal, commit)).into();
    let begins = [Head::EMPTY, heads[0], heads[1], heads[2]];
    for (begin, max_bytes) in begins.into_iter().flat_map(|begin| [0, 9_000, usize::MAX].map(|max| (begin, max))) {
        for end in heads.iter().filter(|end| end.position >= begin.position) {
            let mut walk = Walk::after(begin);
            while walk.position() <= end.position {
                let copy =
                    journal.copy(walk.position() - 1, end.position, max_bytes).expect("a sound journal is copied");
                assert!(!copy.is_empty(), "nothing after {}", walk.position());
                let mut rest = &copy[..];
                while !rest.is_empty() {
                    let (frame, behind) = split_first(rest).expect("whole frames");
                    walk.step(Frame::decode(frame).expect("sound").key, frame).expect("the chain goes on");
                    rest = behind;
                }
            }
            assert_eq!(walk.finish().expect("a commit ends there").head, *end);
        }
    }
    let end = heads[2].position;
    assert!(journal.copy(end, end, usize::MAX).expect("the head can be copied from").is_empty());
    assert!(journal.copy(1, end, usize::MAX).is_err(), "no frame ends there");
}

fn verify_counts_what_was_appended(journal: &dyn Journal) {
    append(journal, &[300; 60]);
    append(journal, &[1]);
    let mut reported = Vec::new();
    let verified = journal.verify(&mut |position| reported.push(position)).expect("the log is sound");
    assert_eq!((verified.records, verified.commits, verified.frames), (61, 2, 3));
    assert_eq!(verified.head, journal.head());
    assert_eq!(reported.last(), Some(&61));
}

fn too_long_a_record_is_refused(journal: &dyn Journal) {
    let mut records = Records::new();
    records.push(b"fine");
    records.push(&vec![0; RECORD_BYTES_MAX + 1]);
    let refused = journal.append(0, &records);
    assert!(matches!(refused, Err(AppendError::TooLarge { limit: RECORD_BYTES_MAX, .. })), "{refused:?}");
    assert_eq!(journal.head(), Head::EMPTY);
    append(journal, &[1]);
}

fn readers_beside_the_writer_see_whole_prefixes(journal: &dyn Journal) {
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let follow = || {
            let mut after = 0;
            loop {
                let last_round = done.load(Ordering::Acquire);
                let chunk = journal.read(after, 2000).expect("a sound journal can be read");
                check_chunk(&chunk, after, 2000);
                assert!(chunk.records().all(|(position, record)| record == content(position, 100)));
                after = chunk.last();
                if chunk.is_empty() {
                    if last_round {
                        return after;
                    }
                    std::thread::yield_now();
                }
            }
        };
        let readers = [threads.spawn(follow), threads.spawn(follow)];
        for _ in 0..50 {
            append(journal, &[100; 30]);
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            assert_eq!(reader.join().expect("the reader saw nothing wrong"), 1500);
        }
    });
}
