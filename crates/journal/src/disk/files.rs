//! The files around sled: names, the copy kept for an open that goes wrong, free space.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// sled's folder.
pub(super) const LOG: &str = "log";
/// The anchor.
pub(super) const HEAD: &str = "head";
/// The copy of sled's folder from before an open that was refused.
pub(super) const KEPT: &str = "log.kept";
/// An empty file in the copy: the open that it was made for was refused, and not only cut short.
const REFUSED: &str = "refused";
/// sled's folder as a refused open left it, while the copy is being put in its place.
const ASIDE: &str = "log.aside";
/// A copy that is being made.
const COPYING: &str = "log.copying";
/// What is not needed any more and is being removed.
const DROPPED: &str = "log.dropped";
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
    let copying = copy(journal, LOG)?;
    fs::rename(copying, journal.join(KEPT))
}

/// Copies the files of one of the journal's folders. Returns the folder of the copy.
fn copy(journal: &Path, folder: &str) -> io::Result<PathBuf> {
    let copying = journal.join(COPYING);
    remove(&copying)?;
    fs::create_dir(&copying)?;
    for entry in fs::read_dir(journal.join(folder))? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != REFUSED {
            fs::copy(entry.path(), copying.join(entry.file_name()))?;
        }
    }
    Ok(copying)
}

/// Says of the copy, if there is one, that the open was refused that it was made for.
pub(super) fn mark_refused(journal: &Path) -> io::Result<()> {
    let kept = journal.join(KEPT);
    if kept.is_dir() {
        File::create(kept.join(REFUSED))?;
    }
    Ok(())
}

/// Whether there is a copy of before an open that was refused.
pub(super) fn was_refused(journal: &Path) -> bool {
    journal.join(KEPT).join(REFUSED).is_file()
}

/// Puts a copy of the copy in the place of sled's folder, which goes aside until an open went well. Cut short anywhere, it can be done again.
pub(super) fn put_back(journal: &Path) -> io::Result<()> {
    let (log, aside) = (journal.join(LOG), journal.join(ASIDE));
    let copying = copy(journal, KEPT)?;
    for entry in fs::read_dir(&copying)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(&copying)?.sync_all()?;
    if aside.exists() {
        // What stands there now was put back before, and refused, too.
        remove(&log)?;
    } else if log.exists() {
        fs::rename(&log, aside)?;
    }
    fs::rename(copying, log)?;
    File::open(journal)?.sync_all()
}

/// Removes the copies after an open that went well. None of them comes back whole or in part, whenever this is cut short: they are older than
/// what is written from now on.
pub(super) fn drop_copies(journal: &Path) -> io::Result<()> {
    let dropped = journal.join(DROPPED);
    remove(&dropped)?;
    for copy in [KEPT, ASIDE].map(|name| journal.join(name)) {
        if copy.exists() {
            fs::rename(&copy, &dropped)?;
            File::open(journal)?.sync_all()?;
            remove(&dropped)?;
        }
    }
    Ok(())
}

/// Removes a folder, which need not be there.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
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
