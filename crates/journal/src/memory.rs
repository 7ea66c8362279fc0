//! A log in memory, with the same frames and the same chain as the one on disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::commit::{admit, cut};
use crate::copy::{self, Wanted};
use crate::frame::{Key, chain_hash};
use crate::read::{Request, join};
use crate::{AppendError, Chunk, Fault, Hash, Head, Journal, ReadError, Records, Verified, walk};

/// A journal that forgets everything when it is dropped.
#[derive(Debug)]
pub struct MemoryJournal {
    log: RwLock<Log>,
}

#[derive(Debug)]
struct Log {
    head: Head,
    frames: BTreeMap<Key, Bytes>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        MemoryJournal { log: RwLock::new(Log { head: Head::EMPTY, frames: BTreeMap::new() }) }
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        MemoryJournal::new()
    }
}

impl Journal for MemoryJournal {
    fn head(&self) -> Head {
        self.log.read().head
    }

    fn append(&self, expected: u64, records: &Records) -> Result<Head, AppendError> {
        let mut log = self.log.write();
        admit(log.head, expected, records)?;
        let head = cut(log.head, records, |key, frame| {
            log.frames.insert(key, Bytes::copy_from_slice(frame));
        });
        log.head = head;
        Ok(head)
    }

    fn read(&self, after: u64, max_bytes: usize) -> Result<Chunk, ReadError> {
        let log = self.log.read();
        let Some(request) = (Request { after, head: log.head.position, max_bytes }).check()? else {
            return Ok(Chunk::empty(after));
        };
        let start = log.frames.range(..=request.start()).next_back().map_or(request.start(), |(key, _)| *key);
        join(request, log.frames.range(start..).map(|(key, frame)| Ok((*key, frame.clone()))))
    }

    fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        let log = self.log.read();
        let wanted = Wanted { after, last: last.min(log.head.position), max_bytes };
        copy::join(wanted, log.frames.range(wanted.start()..).map(|(key, frame)| Ok((*key, frame.clone()))))
    }

    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        let log = self.log.read();
        if position == log.head.position || position == 0 {
            return Ok(Some(if position == 0 { Head::EMPTY.hash } else { log.head.hash }));
        }
        // A frame that begins with the next record follows the one that ends with this.
        let Some(_) = log.frames.get(&Key { first: position.saturating_add(1), part: 0 }) else {
            return Ok(None);
        };
        let before = log.frames.range(..Key { first: position + 1, part: 0 }).next_back();
        Ok(before.map(|(_, frame)| chain_hash(frame)))
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault> {
        let log = self.log.read();
        walk::verify(log.frames.iter().map(|(key, frame)| Ok((*key, frame))), log.head, progress)
    }
}
