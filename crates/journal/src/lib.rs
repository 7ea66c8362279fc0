//! The durable, ordered, hash-chained log. Opaque bytes, no domain knowledge.
//!
//! Invariants, held by every implementation:
//!
//! - Positions are `u64`, start at 1, have no gaps, and are given by the one writer; 0 means "before everything".
//! - A commit is all or nothing. When [`Journal::append`] returns a head, every record up to it is durable; nothing
//!   beyond [`Journal::head`] is ever visible to a reader.
//! - An append whose outcome is unknown poisons the journal: it refuses every further append until it is opened again, and
//!   whoever opens it sees either the whole commit or nothing of it.
//! - Every frame of the log carries the hash of the one before it, so the hash in a [`Head`] fixes the whole log up to it.
//! - What a reader gets is wire-ready: a [`Chunk`]'s body is the encoding of a message with `repeated Event events = 1`.
//!
//! [`disk::SledJournal`] is the real one, [`memory::MemoryJournal`] the one for tests and trials, and
//! [`faulty::FaultyJournal`] wraps either to fail on purpose. [`conformance`] is the one suite all of them pass.

mod codec;
mod commit;
pub mod conformance;
mod copy;
pub mod disk;
mod error;
pub mod faulty;
pub mod frame;
mod histogram;
pub mod memory;
mod read;
mod records;
pub mod walk;

use std::sync::Arc;

use bytes::Bytes;

pub use disk::SledJournal;
pub use error::{AppendError, Fault, OpenError, ReadError};
pub use histogram::Histogram;
pub use memory::MemoryJournal;
pub use records::{Chunk, Records};

/// Longest record in bytes, without its framing.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Longest commit in bytes, with the framing of its records. Bounds the memory and the single sync of one append.
pub const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A BLAKE3 chain hash: it fixes the frame it belongs to and, through the previous hash in it, everything before.
pub type Hash = [u8; 32];

/// The end of a log: the position of its last record, and the chain hash of the frame that record ends in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Position of the last record; 0 when there is none.
    pub position: u64,
    /// Chain hash of the last frame; all zeros when there is none.
    pub hash: Hash,
}

impl Head {
    /// The head of a log without records.
    pub const EMPTY: Head = Head { position: 0, hash: [0; 32] };
}

/// What a complete walk over a sound log counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Records in the log.
    pub records: u64,
    /// Commits in the log.
    pub commits: u64,
    /// Frames in the log.
    pub frames: u64,
    /// Bytes of all frames together.
    pub bytes: u64,
    /// Where the walk ended.
    pub head: Head,
}

/// An ordered log with one writer and many readers. Reads never wait for an append.
pub trait Journal: Send + Sync + 'static {
    /// The last durable record.
    fn head(&self) -> Head;

    /// Appends `records` as one commit after the record at `expected`, which must be the head. The records are durable when
    /// this returns `Ok`. Appending nothing returns the head and writes nothing.
    fn append(&self, expected: u64, records: &Records) -> Result<Head, AppendError>;

    /// Consecutive records that follow `after`, never beyond the head. At least one if there is one; beyond that first
    /// record, at most `max_bytes` of body. Empty when `after` is the head.
    fn read(&self, after: u64, max_bytes: usize) -> Result<Chunk, ReadError>;

    /// The record at a position, from 1; `None` when there is none yet.
    fn record(&self, position: u64) -> Result<Option<Bytes>, ReadError> {
        Ok(self.read(position.saturating_sub(1), 0)?.records().next().map(|(_, record)| record))
    }

    /// Frames as they are stored, one after the other, from the one that follows the end of a frame at `after` up to one that ends at
    /// `last` or before the head. At least one if there is one; none is begun once there are `max_bytes`. Ends between records, not always
    /// between commits.
    fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError>;

    /// The chain hash of the frame that ends exactly at `position`, to bind a checkpoint to this log. Every commit ends at
    /// such a position, so each head ever returned by [`Journal::append`] has one. `None` in the middle of a frame and
    /// beyond the head; all zeros for position 0.
    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError>;

    /// Reads and checks every frame up to the head, reporting the position reached from time to time. The fault names the
    /// first position that cannot be trusted.
    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault>;
}

impl<J: Journal + ?Sized> Journal for Arc<J> {
    fn head(&self) -> Head {
        (**self).head()
    }

    fn append(&self, expected: u64, records: &Records) -> Result<Head, AppendError> {
        (**self).append(expected, records)
    }

    fn read(&self, after: u64, max_bytes: usize) -> Result<Chunk, ReadError> {
        (**self).read(after, max_bytes)
    }

    fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        (**self).copy(after, last, max_bytes)
    }

    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        (**self).frame_hash(position)
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault> {
        (**self).verify(progress)
    }
}
