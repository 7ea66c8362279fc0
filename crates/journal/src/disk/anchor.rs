//! The head anchor: the last acknowledged head, kept beside sled's folder.
//!
//! sled drops a damaged tail as if it had never been finished. The anchor is the second witness: a log that ends before it, or
//! has another frame there, has lost something that was acknowledged.
//!
//! It is written after every durable commit but not synced, so it survives the death of the process and is a lower bound
//! after the death of the machine. Two slots are written in turn, in different sectors, so that a torn write leaves the
//! other one.
//!
//! | offset in slot | bytes | field |
//! |----------------|-------|-------|
//! | 0              | 4     | magic `F5 53 47 48` |
//! | 4              | 8     | position, little-endian |
//! | 12             | 32    | chain hash of the frame that ends there |
//! | 44             | 4     | CRC-32C of the 44 bytes before, little-endian |

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Head;

const MAGIC: [u8; 4] = [0xF5, b'S', b'G', b'H'];
const SLOT_BYTES: usize = 48;
/// Slots begin in different blocks, whatever the disk's block size up to this.
const SLOT_DISTANCE_BYTES: u64 = 4096;

/// The open anchor file.
pub(super) struct Anchor {
    file: File,
    /// Which slot is written next.
    next: u64,
}

impl Anchor {
    /// Opens and locks the anchor at `path`, making the file if it is missing, and says what it holds: [`Head::EMPTY`] if
    /// nothing. `None` if another process, or this one, has it open: whoever holds the anchor holds the journal.
    pub(super) fn open(path: &Path) -> io::Result<Option<(Anchor, Head)>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (newest, head) = newest_slot(&file)?;
        Ok(Some((Anchor { file, next: 1 - newest }, head)))
    }

    /// What the anchor at `path` holds, without taking it: [`Head::EMPTY`] where it cannot be read.
    pub(super) fn read(path: &Path) -> Head {
        File::open(path).and_then(|file| newest_slot(&file)).map_or(Head::EMPTY, |(_, head)| head)
    }

    /// Overwrites the older slot with `head`.
    pub(super) fn write(&mut self, head: Head) -> io::Result<()> {
        self.file.write_all_at(&encode(head), self.next * SLOT_DISTANCE_BYTES)?;
        self.next = 1 - self.next;
        Ok(())
    }
}

fn encode(head: Head) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..4].copy_from_slice(&MAGIC);
    slot[4..12].copy_from_slice(&head.position.to_le_bytes());
    slot[12..44].copy_from_slice(&head.hash);
    let crc = crc32c::crc32c(&slot[..44]);
    slot[44..].copy_from_slice(&crc.to_le_bytes());
    slot
}

/// Which slot was written last, and what it holds.
fn newest_slot(file: &File) -> io::Result<(u64, Head)> {
    let slots = [read_slot(file, 0)?, read_slot(file, 1)?];
    Ok(if slots[1].position > slots[0].position { (1, slots[1]) } else { (0, slots[0]) })
}

/// What the slot holds; a slot that is missing, torn or damaged holds nothing.
fn read_slot(file: &File, slot: u64) -> io::Result<Head> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Head::EMPTY),
        other => other?,
    }
    let position = u64::from_le_bytes(bytes[4..12].try_into().expect("eight bytes"));
    let hash = bytes[12..44].try_into().expect("thirty-two bytes");
    let head = Head { position, hash };
    Ok(if encode(head) == bytes { head } else { Head::EMPTY })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(position: u64) -> Head {
        Head { position, hash: [7; 32] }
    }

    fn open(path: &Path) -> (Anchor, Head) {
        Anchor::open(path).unwrap().expect("nobody else holds it")
    }

    #[test]
    fn the_last_head_written_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        let mut last = Head::EMPTY;
        for position in 1..5 {
            let (mut anchor, found) = open(&path);
            assert_eq!(found, last);
            anchor.write(head(position * 10)).unwrap();
            last = head(position * 10 + 1);
            anchor.write(last).unwrap();
        }
        assert_eq!(open(&path).1, last);
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        let (mut anchor, _) = open(&path);
        (1..=3).for_each(|position| anchor.write(head(position)).unwrap());
        // The first write to an empty file goes to slot 1, so the third one went there too.
        anchor.file.write_all_at(&[0xEE], SLOT_DISTANCE_BYTES + 20).unwrap();
        drop(anchor);
        let (mut anchor, found) = open(&path);
        assert_eq!(found, head(2));
        anchor.write(head(4)).unwrap();
        drop(anchor);
        assert_eq!(open(&path).1, head(4));
    }

    #[test]
    fn only_one_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        let first = open(&path);
        assert!(Anchor::open(&path).unwrap().is_none());
        drop(first);
        open(&path);
    }
}
