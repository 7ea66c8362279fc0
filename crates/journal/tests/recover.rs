//! What the storage engine refuses is salvaged from its raw files, and what cannot be is named.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use satgas_journal::conformance::{append, expect_records};
use satgas_journal::disk::{Options, RecoverError, Recovered, recover};
use satgas_journal::{AppendError, Head, Journal, OpenError, SledJournal, frame};

fn open(folder: &Path) -> Result<SledJournal, OpenError> {
    SledJournal::open(folder, Options::default())
}

fn salvage(from: &Path, to: &Path) -> Result<Recovered, RecoverError> {
    recover(from, to, &mut |_| ())
}

/// A journal of several sessions with commits of one and of many frames. Its lengths and its head.
fn build(folder: &Path) -> (Vec<usize>, Head) {
    let mut lengths = Vec::new();
    let mut head = Head::EMPTY;
    for session in 0..3_usize {
        let journal = open(folder).unwrap();
        for commit in 0..30 {
            let sizes = match commit % 3 {
                0 => vec![300],
                1 => vec![9000 + session, 5],
                _ => vec![700; 20],
            };
            head = append(&journal, &sizes);
            lengths.extend(sizes);
        }
    }
    (lengths, head)
}

/// Changes the bytes of sled's file.
fn edit(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let db = folder.join("log/db");
    let mut bytes = fs::read(&db).unwrap();
    change(&mut bytes);
    fs::write(db, bytes).unwrap();
}

/// Where all copies of the frame that holds a position begin, and how long it is.
fn copies(raw: &[u8], position: u64) -> (Vec<usize>, usize) {
    let holds = |bytes: &[u8]| {
        let frame = frame::Frame::decode(bytes).unwrap();
        (frame.key.first..=frame.end()).contains(&position)
    };
    let found: Vec<_> = frame::find(raw).filter(|(_, bytes)| holds(bytes)).collect();
    (found.iter().map(|(at, _)| *at).collect(), found[0].1.len())
}

#[test]
fn a_journal_that_sled_refuses_is_salvaged_whole_and_goes_on() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lengths, head) = build(from.path());
    // Snapshot and configuration gone, and every segment's header overwritten: nothing is left that sled could go by.
    edit(from.path(), |bytes| {
        let frames: Vec<usize> = frame::find(bytes).map(|(at, _)| at).collect();
        let headers = (0..bytes.len()).step_by(512 * 1024).filter(|at| !frames.contains(at));
        headers.for_each(|at| bytes[at..at + 16].fill(0xEE));
    });
    for entry in fs::read_dir(from.path().join("log")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("snap") {
            fs::write(entry.path(), b"torn").unwrap();
        }
    }
    let before = fs::read(from.path().join("log/db")).unwrap();
    let tried = tempfile::tempdir().unwrap();
    fs::create_dir(tried.path().join("log")).unwrap();
    for name in ["head", "log/db", "log/conf"] {
        fs::copy(from.path().join(name), tried.path().join(name)).unwrap();
    }
    assert!(open(tried.path()).is_err(), "the story is about a journal that is refused");

    let recovered = salvage(from.path(), to.path()).unwrap();
    assert!(recovered.is_proven(), "{recovered:?}");
    assert_eq!((recovered.verified.head, recovered.anchored), (head, head));
    assert!(recovered.unreached.is_empty() && recovered.other_branch.is_empty(), "{recovered:?}");
    assert_eq!(fs::read(from.path().join("log/db")).unwrap(), before, "the old files are as they were");

    let journal = open(to.path()).unwrap();
    expect_records(&journal, &lengths, 100_000);
    assert_eq!(journal.frame_hash(head.position).unwrap(), Some(head.hash), "the chain is the very same");
    append(&journal, &[1, 2, 3]);
}

#[test]
fn what_is_gone_is_named_and_what_lies_behind_it_too() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lengths, head) = build(from.path());
    let position = head.position / 2;
    edit(from.path(), |bytes| {
        let (places, len) = copies(bytes, position);
        places.iter().for_each(|at| bytes[at + len / 2] ^= 1);
    });
    let recovered = salvage(from.path(), to.path()).unwrap();
    let have = recovered.verified.head.position;
    assert!(have < position, "the commit of the damaged frame is not there");
    assert_eq!(recovered.missing(), Some(have + 1..=head.position));
    assert!(!recovered.is_proven());
    let unreached = recovered.unreached.last().unwrap();
    assert!(*unreached.start() > position && *unreached.end() == head.position, "{recovered:?}");
    let journal = open(to.path()).unwrap();
    expect_records(&journal, &lengths[..usize::try_from(have).unwrap()], 100_000);
}

#[test]
fn a_commit_that_is_not_whole_is_left_out() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = open(from.path()).unwrap();
    append(&journal, &[10]);
    append(&journal, &[20_000]);
    drop(journal);
    edit(from.path(), |bytes| {
        let last = frame::find(bytes).filter(|(_, bytes)| frame::Frame::decode(bytes).unwrap().last);
        let last: Vec<usize> = last.filter(|(_, bytes)| bytes.len() > 200).map(|(at, _)| at).collect();
        last.iter().for_each(|at| bytes[at + 70] ^= 1);
    });
    let recovered = salvage(from.path(), to.path()).unwrap();
    assert_eq!((recovered.verified.head.position, recovered.missing()), (1, Some(2..=2)));
    assert_eq!(recovered.other_branch, [2..=2], "its pieces are told");
}

#[test]
fn of_two_continuations_the_acknowledged_one_is_taken() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = tempfile::tempdir().unwrap();
    for folder in [from.path(), other.path()] {
        append(&open(folder).unwrap(), &[10, 20]);
    }
    let head = append(&open(from.path()).unwrap(), &[30]);
    // The other one even reaches further, as after a commit that failed and was taken back.
    append(&open(other.path()).unwrap(), &[31, 41, 51]);
    fs::copy(other.path().join("log/db"), from.path().join("log/db.of.a.failed.start")).unwrap();

    let recovered = salvage(from.path(), to.path()).unwrap();
    assert_eq!(recovered.verified.head, head);
    assert_eq!(recovered.other_branch, [3..=5]);
    assert!(recovered.is_proven());
}

#[test]
fn without_an_anchor_the_furthest_is_taken_and_nothing_is_called_proven() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, head) = build(from.path());
    fs::remove_file(from.path().join("head")).unwrap();
    let recovered = salvage(from.path(), to.path()).unwrap();
    assert_eq!((recovered.verified.head, recovered.anchored), (head, Head::EMPTY));
    assert!(recovered.missing().is_none() && !recovered.is_proven());
}

#[test]
fn a_folder_that_is_not_empty_and_one_without_files_are_refused() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(matches!(salvage(from.path(), to.path()), Err(RecoverError::NoFiles(_))));
    append(&open(from.path()).unwrap(), &[10]);
    fs::write(to.path().join("letter.txt"), b"mine").unwrap();
    assert!(matches!(salvage(from.path(), to.path()), Err(RecoverError::NotEmpty(_))));
    assert!(matches!(salvage(from.path(), from.path()), Err(RecoverError::NotEmpty(_))));
    let journal = open(from.path()).unwrap();
    assert!(matches!(journal.append(0, &satgas_journal::Records::new()), Err(AppendError::WrongPosition { .. })));
}
