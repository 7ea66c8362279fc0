//! Opening a folder, and the checks that must pass before anything is served from it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use sled::Db;

use super::anchor::Anchor;
use super::{Options, SledJournal, Writer, entry, files};
use crate::frame::{Damage, Frame, Key, VERSION};
use crate::walk::Walk;
use crate::{Head, Journal, OpenError};

pub(super) fn open(path: &Path, options: Options) -> Result<SledJournal, OpenError> {
    let io = |cause| OpenError::Io { path: path.to_path_buf(), cause };
    let log = path.join(files::LOG);
    let new = !log.exists();
    if new && !path.join(files::HEAD).exists() && !files::is_empty(path).map_err(io)? {
        let what = "it holds files but no log".into();
        return Err(OpenError::NotAJournal { path: path.to_path_buf(), what });
    }
    fs::create_dir_all(path).map_err(io)?;
    let (anchor, anchored) = Anchor::open(&path.join(files::HEAD)).map_err(io)?;
    if new && anchored != Head::EMPTY {
        return Err(OpenError::AcknowledgedMissing { missing: 1, anchored: anchored.position, found: 0 });
    }
    check_blobs(&log)?;
    let copied = !new && keep_copy(path, &options);
    let db = open_sled(path, &options)?;
    let head = tail(&db, path)?;
    let file = OpenOptions::new().read(true).write(true).open(log.join(files::DB)).map_err(io)?;
    let journal = SledJournal {
        path: path.to_path_buf(),
        db,
        file,
        options,
        free_bytes: Box::new(files::free_bytes),
        head: RwLock::new(head),
        writer: Mutex::new(Writer { anchor, poisoned: None }),
    };
    check_anchor(&journal, anchored)?;
    // What a process wrote and died before syncing is visible now, so it must be durable now.
    journal.file.sync_all().map_err(io)?;
    files::sync_names(path).map_err(io)?;
    if copied {
        files::drop_copy(path).map_err(io)?;
    }
    Ok(journal)
}

fn check_blobs(log: &Path) -> Result<(), OpenError> {
    let path = log.join(files::BLOBS);
    match files::is_empty(&path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::BlobsPresent { path }),
        Err(cause) => Err(OpenError::Io { path, cause }),
    }
}

/// Copies the log before sled may overwrite what it takes for torn. A disk without room for it is no reason to stay down.
fn keep_copy(path: &Path, options: &Options) -> bool {
    let copy = || -> io::Result<bool> {
        let needed = fs::metadata(path.join(files::LOG).join(files::DB))?.len().saturating_add(options.free_bytes_min);
        Ok(files::free_bytes(path)? >= needed && files::keep_copy(path).map(|()| true)?)
    };
    let copied = copy();
    if !matches!(copied, Ok(true)) {
        tracing::warn!(outcome = ?copied, "opening the journal without a copy of it");
    }
    copied.unwrap_or(false)
}

fn open_sled(path: &Path, options: &Options) -> Result<Db, OpenError> {
    let config = sled::Config::new()
        .path(path.join(files::LOG))
        .cache_capacity(options.cache_bytes_max)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(None);
    config.open().map_err(|error| {
        let cause = error.to_string();
        // sled has no error of its own for this.
        if cause.contains("could not acquire lock") {
            OpenError::Locked { path: path.to_path_buf() }
        } else {
            OpenError::Sled { cause }
        }
    })
}

/// Checks the last commit and returns the head it ends in.
fn tail(db: &Db, path: &Path) -> Result<Head, OpenError> {
    let mut commit = Vec::new();
    let mut before = Head::EMPTY;
    for stored in db.iter().rev() {
        let (key, bytes) = entry(stored).map_err(|cause| OpenError::Sled { cause })?;
        let frame = decode(key, &bytes, path)?;
        if frame.last && !commit.is_empty() {
            before = Head { position: frame.end(), hash: crate::frame::chain_hash(&bytes) };
            break;
        }
        commit.push((key, bytes));
    }
    let mut walk = Walk::after(before);
    let damaged = |fault: crate::Fault| OpenError::TailDamaged { position: fault.position, what: fault.what };
    for (key, bytes) in commit.iter().rev() {
        walk.step(*key, bytes).map_err(damaged)?;
    }
    walk.finish().map(|verified| verified.head).map_err(damaged)
}

fn decode<'a>(key: Key, bytes: &'a Bytes, path: &Path) -> Result<Frame<'a>, OpenError> {
    Frame::decode(bytes).map_err(|damage| match damage {
        Damage::Version(version) => OpenError::UnknownVersion { version, known: VERSION },
        Damage::Magic => {
            OpenError::NotAJournal { path: path.to_path_buf(), what: "its values are not frames".into() }
        }
        other => OpenError::TailDamaged { position: key.first, what: other.to_string() },
    })
}

fn check_anchor(journal: &SledJournal, anchored: Head) -> Result<(), OpenError> {
    let found = journal.head().position;
    let missing = |missing| OpenError::AcknowledgedMissing { missing, anchored: anchored.position, found };
    if found < anchored.position {
        return Err(missing(found + 1));
    }
    match journal.frame_hash(anchored.position) {
        Ok(Some(hash)) if hash == anchored.hash => Ok(()),
        Ok(_) => Err(missing(anchored.position)),
        Err(error) => Err(OpenError::TailDamaged { position: anchored.position, what: error.to_string() }),
    }
}
