//! Looking at a journal without opening it: the storage engine may change what it opens, and a look must not.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{anchor::Anchor, files, raw};

/// What the raw files of a journal show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Position of the last record that was acknowledged, as the anchor says; 0 when it says none, or cannot be read.
    pub acknowledged: u64,
    /// The chain holds from the first record up to this one: in the log, or in the copy that the next opening puts back.
    pub whole: u64,
    /// Nothing lies where the storage engine would not have synced it.
    pub synced_only: bool,
    /// A copy lies beside the log: the last opening was refused, or cut short.
    pub kept: bool,
}

/// Looks at the journal in `path`, which nobody may have open. Reads all of its file, and changes nothing. `None` when there is none.
pub fn look(path: impl AsRef<Path>) -> io::Result<Option<Seen>> {
    let path = path.as_ref();
    let log = path.join(files::LOG);
    let database = log.join(files::DB);
    if !database.is_file() {
        return Ok(None);
    }
    let mut whole = raw::whole(&database)?;
    if files::was_refused(path) {
        whole = whole.max(raw::whole(&path.join(files::KEPT).join(files::DB))?);
    }
    Ok(Some(Seen {
        acknowledged: Anchor::read(&path.join(files::HEAD)).position,
        whole,
        synced_only: files::is_empty(&log.join(files::BLOBS))?,
        kept: path.join(files::KEPT).exists(),
    }))
}

/// The file that is written after every commit: when it was last changed is when something was last recorded.
pub fn anchor_file(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().join(files::HEAD)
}
