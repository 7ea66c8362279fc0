//! A backup in a folder: the log and the access log as they are chained, for whoever keeps them apart from the server.
//!
//! Only this crate knows how a backup lies in a folder. It knows neither the network nor what a record means, beyond the time that stands at
//! the beginning of each: frames come in from whoever fetched them, and go out to whoever restores them.
//!
//! # What lies in the folder
//!
//! | name | content |
//! |------|---------|
//! | `records-00000000000000000001.frames` | a segment: whole commits of the log as they are stored, one frame after the other; named by its first position |
//! | `access-00000000000000000001.frames` | the same of the access log |
//! | `manifest.json` | which segments there are, with their SHA-256; where both logs end, signed by the server |
//! | `*.part` | what is being written; the next run removes it |
//! | `lock` | held by the run that writes |
//!
//! # Invariants
//!
//! - A segment that the manifest names is never written again. A run adds segments behind the last one.
//! - Segments are on disk, file and name, before a manifest names them; the manifest takes the place of the former one at once. So a run
//!   that ends at any byte leaves the backup as it was before, and the next run goes on from there.
//! - Every frame is checked against the chain when it comes in, and the chain must end at the head that the server signed. Reading checks
//!   signature, hashes and chain again.

mod files;
mod manifest;
pub mod note;
mod read;
mod segment;
mod write;

use std::{fmt, path::PathBuf};

pub use self::{
    files::{Disk, Files},
    read::{Cut, ReadError, Reader, Sink},
    write::{About, Added, Backup, BackupError, Done},
};

/// Bytes at which a segment is closed, behind the commit that reaches them.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The file that says what there is.
const MANIFEST: &str = "manifest.json";
/// The file that is locked while a run writes.
const LOCK: &str = "lock";
/// What the names of files end in that are being written.
const PART: &str = ".part";
/// What the names of segments end in.
const FRAMES: &str = ".frames";

/// One of the two logs of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// The log of records.
    Records,
    /// The access log: tokens, and who saw what.
    Access,
}

impl Log {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Records, Self::Access];

    /// Its name in files and signatures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Access => "access",
        }
    }

    /// The log of such a name.
    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|log| log.name() == name)
    }

    /// Name of the segment that begins at a position.
    fn segment(self, first: u64) -> String {
        format!("{}-{first:020}{FRAMES}", self.name())
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a file's name is one that only a backup writes.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(PART).unwrap_or(name);
    let segment = || {
        let (log, first) = name.strip_suffix(FRAMES)?.split_once('-')?;
        (Log::of(log).is_some() && first.len() == 20).then(|| first.bytes().all(|byte| byte.is_ascii_digit()))
    };
    name == MANIFEST || name == LOCK || segment().unwrap_or(false)
}

/// A file or folder, and what the operating system said of it.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {cause}{}", remedy(cause))]
pub struct Io {
    /// The file or folder.
    pub path: PathBuf,
    /// The operating system's words.
    pub cause: std::io::Error,
}

/// What to do about an error of the operating system, where that is plain.
fn remedy(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match cause.kind() {
        ErrorKind::PermissionDenied => "; run this as the user that the folder belongs to",
        ErrorKind::ReadOnlyFilesystem => {
            "; its disk is mounted for reading only: look at it (`dmesg`), and mount it for writing"
        }
        ErrorKind::StorageFull => "; make room on that disk, or use a larger one",
        _ => "",
    }
}

/// For `map_err`: names the path.
fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Io + use<> {
    let path = path.to_owned();
    move |cause| Io { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_backup_writes_is_ours() {
        for name in [&Log::Records.segment(1), "access-00000000000000000007.frames.part", "manifest.json.part", "lock"]
        {
            assert!(is_ours(name), "{name}");
        }
        for name in ["records-1.frames", "thesis.part", "log-00000000000000000007.frames", "manifest.json.bak", ""] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
