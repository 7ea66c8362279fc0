//! The files around sled: names, the copy kept for an open that goes wrong, free space.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// sled's folder.
pub(super) const LOG: &str = "log";
/// The anchor.
pub(super) const HEAD: &str = "head";
/// The copy of sled's folder from before an open that was refused.
pub(super) const KEPT: &str = "log.kept";
/// sled's file, inside its folder.
pub(super) const DB: &str = "db";
/// Where sled puts what it does not sync, inside its folder.
pub(super) const BLOBS: &str = "blobs";

/// Bytes that may be written to the file system that holds `path`.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the folder is missing or holds nothing.
pub(super) fn is_empty(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Copies the files of sled's folder, sharing blocks where the file system can. The copy gets its name only when it is whole.
/// An older copy is left as it is: it is closer to what was lost.
pub(super) fn keep_copy(journal: &Path) -> io::Result<()> {
    let kept = journal.join(KEPT);
    if kept.exists() {
        return Ok(());
    }
    let unfinished = journal.join("log.copying");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    for entry in fs::read_dir(journal.join(LOG))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), unfinished.join(entry.file_name()))?;
        }
    }
    fs::rename(unfinished, kept)
}

/// Removes the copy after an open that went well.
pub(super) fn drop_copy(journal: &Path) -> io::Result<()> {
    match fs::remove_dir_all(journal.join(KEPT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the names of the journal's files durable. sled syncs neither its folder nor `conf`.
pub(super) fn sync_names(journal: &Path) -> io::Result<()> {
    let log = journal.join(LOG);
    File::open(log.join("conf"))?.sync_all()?;
    for folder in [log.join(BLOBS), log, journal.to_path_buf()] {
        File::open(folder)?.sync_all()?;
    }
    match journal.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}
