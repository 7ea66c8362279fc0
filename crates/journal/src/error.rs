//! What can go wrong, one enum per family of operations. Each message says what to do about it.

use std::io;
use std::path::PathBuf;

/// Why an append did not happen, or may not have happened.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written: somebody else moved the head. Read on from it and decide again.
    #[error("expected the head at position {expected}, it is at {head}: read up to the head and decide again")]
    WrongPosition {
        /// The position the caller took for the head.
        expected: u64,
        /// The position of the head.
        head: u64,
    },
    /// Nothing was written, and never will be: make the record or the commit smaller.
    #[error("{what} of {bytes} bytes is longer than the limit of {limit} bytes: make it smaller")]
    TooLarge {
        /// "a record" or "a commit".
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Nothing was written. Reads go on, and appends work again as soon as there is room.
    #[error("{free} bytes are free where {needed} must be: free some space, then try again")]
    DiskFull {
        /// Bytes free on the file system.
        free: u64,
        /// Bytes that must be free before a commit is taken.
        needed: u64,
    },
    /// This commit's outcome is unknown, and the journal is poisoned from here on. Open it again: the commit is then there
    /// whole or not at all.
    #[error("{what} failed, so it is unknown whether the commit is durable: restart ({cause})")]
    Failed {
        /// The step that failed.
        what: &'static str,
        /// The storage engine's or the operating system's words.
        cause: String,
    },
    /// Nothing was written: an earlier append failed with an unknown outcome. Open the journal again.
    #[error("an earlier append failed, so nothing more is taken: restart ({cause})")]
    Poisoned {
        /// What failed then.
        cause: String,
    },
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The caller's position is from another log, or from a part of this one that is gone: start again from a known one.
    #[error("position {after} is beyond the head at {head}: this position does not belong to this log")]
    BeyondHead {
        /// The position asked for.
        after: u64,
        /// The position of the head.
        head: u64,
    },
    /// The log is damaged. Reading before the position still works; verify, then salvage or restore.
    #[error(transparent)]
    Damaged(#[from] Fault),
    /// The storage could not be read. Trying again may help; if it does not, restart and verify.
    #[error("cannot read after position {after}: {cause}")]
    Storage {
        /// The position asked for.
        after: u64,
        /// The storage engine's or the operating system's words.
        cause: String,
    },
}

/// The first position of a log that cannot be trusted, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the log is damaged at position {position}: {what}")]
pub struct Fault {
    /// First position that cannot be trusted.
    pub position: u64,
    /// What is wrong there.
    pub what: String,
}

impl Fault {
    pub(crate) fn new(position: u64, what: impl Into<String>) -> Self {
        Fault { position, what: what.into() }
    }
}

/// Why a journal was not opened. What the storage engine may have changed meanwhile lies beside it as it was before, where there was room.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the journal in {path} is open in another process: stop that one first")]
    Locked {
        /// The journal's folder.
        path: PathBuf,
    },
    /// The last commit is not sound.
    #[error(
        "the end of the journal is damaged at position {position} ({what}): start again, which puts back what lay there before; if that is refused, \
         too, salvage with `satgas recover`, or restore"
    )]
    TailDamaged {
        /// First position that cannot be trusted.
        position: u64,
        /// What is wrong there.
        what: String,
    },
    /// Records that were acknowledged are gone, or others stand in their place.
    #[error(
        "acknowledged records from position {missing} on are missing (acknowledged up to {anchored}, found up to {found}): \
         start again, which puts back what lay there before; if that is refused, too, salvage with `satgas recover`, or restore; \
         remove the file `head` only to accept the loss"
    )]
    AcknowledgedMissing {
        /// The first position that is missing or differs.
        missing: u64,
        /// The last position known to have been acknowledged.
        anchored: u64,
        /// The last position in the log.
        found: u64,
    },
    /// The storage engine put values outside its synced file, so a power loss could take them.
    #[error(
        "{path} holds files, but its content is never synced: salvage the journal into a fresh folder with `satgas recover`"
    )]
    BlobsPresent {
        /// The folder that must be empty.
        path: PathBuf,
    },
    /// The folder holds something else.
    #[error("{path} is not a journal ({what}): check the path")]
    NotAJournal {
        /// The folder.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A newer program wrote this log.
    #[error("the journal has frames of version {version}, this program reads up to {known}: use the newer program")]
    UnknownVersion {
        /// The version found.
        version: u8,
        /// The newest version known.
        known: u8,
    },
    /// There is no room for the little that opening writes.
    #[error("the disk of {path} is full: free some space, then start again")]
    DiskFull {
        /// The journal's folder.
        path: PathBuf,
    },
    /// The storage engine does not open the folder.
    #[error(
        "the storage engine does not open the journal ({cause}): start again, which puts back what lay there before; if that is refused, too, \
         salvage with `satgas recover`, or restore"
    )]
    Sled {
        /// The storage engine's words.
        cause: String,
    },
    /// The operating system refused.
    #[error("cannot open {path}: {cause}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}
