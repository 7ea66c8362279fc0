//! Writing frames that exist already into a fresh journal.

use sled::IVec;

use super::SledJournal;
use crate::Head;
use crate::frame::Key;

/// Bytes of commits that are written and synced together.
const LOAD_BYTES: usize = 4 * 1024 * 1024;

/// Writes frames that were checked by a [`Walk`](crate::walk::Walk) into a fresh journal, many commits a sync: nothing of them is
/// acknowledged before the end. Only whole commits are written.
#[derive(Debug)]
pub struct Loader<'a> {
    journal: &'a SledJournal,
    /// Of the commit that is being read.
    frames: Vec<(Key, IVec)>,
    /// Of whole commits that are not written yet.
    whole: Vec<(Key, IVec)>,
    bytes: usize,
    head: Head,
}

impl<'a> Loader<'a> {
    /// A loader of a journal that holds nothing, and that nobody else appends to.
    pub fn new(journal: &'a SledJournal) -> Self {
        Self { journal, frames: Vec::new(), whole: Vec::new(), bytes: 0, head: Head::EMPTY }
    }

    /// Takes the next frame of a commit.
    pub fn push(&mut self, key: Key, frame: &[u8]) {
        self.frames.push((key, frame.into()));
    }

    /// The frames since the last commit are one that ends at this head. The error says what the disk did not do.
    pub fn commit(&mut self, head: Head) -> Result<(), String> {
        self.bytes += self.frames.iter().map(|(_, frame)| frame.len()).sum::<usize>();
        self.whole.append(&mut self.frames);
        self.head = head;
        if self.bytes >= LOAD_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), String> {
        self.bytes = 0;
        let whole = std::mem::take(&mut self.whole);
        self.journal.make_durable(whole).map_err(|(what, cause)| format!("{what}: {cause}"))?;
        self.journal.writer.lock().anchor.write(self.head).map_err(|error| error.to_string())?;
        *self.journal.head.write() = self.head;
        Ok(())
    }

    /// Writes what is left. Then everything that was committed is on disk.
    pub fn finish(mut self) -> Result<(), String> {
        if self.bytes > 0 { self.write() } else { Ok(()) }
    }
}
