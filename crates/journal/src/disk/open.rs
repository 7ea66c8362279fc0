//! Opening a folder, and the checks that must pass before anything is served from it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use sled::Db;

use super::anchor::Anchor;
use super::{Options, SYNC_BOUNDS_NS, SledJournal, Writer, files, guarded, next, raw};
use crate::frame::{Damage, Frame, Key, VERSION};
use crate::walk::Walk;
use crate::{Head, Histogram, Journal, OpenError};

/// How long to wait for sled's own lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn open(path: &Path, options: Options) -> Result<SledJournal, OpenError> {
    let new = !path.join(files::LOG).exists() && !files::was_refused(path);
    let (anchor, anchored) = claim(path, new)?;
    if files::was_refused(path) {
        put_back(path, anchored, &options);
    }
    let log = path.join(files::LOG);
    if !new && !log.exists() {
        return Err(OpenError::AcknowledgedMissing { missing: 1, anchored: anchored.position, found: 0 });
    }
    check_blobs(&log)?;
    if !new {
        keep_copy(path, &options);
    }
    let refused = |error: OpenError| {
        // sled has had the files, and may have written over what it could not read.
        if let Err(error) = files::mark_refused(path) {
            tracing::warn!(%error, "a copy of the journal will not be put back by itself");
        }
        error
    };
    let db = match open_sled(path, &options) {
        // Somebody else has the files.
        Err(locked @ OpenError::Locked { .. }) => return Err(locked),
        opened => opened.map_err(refused)?,
    };
    begin(path, options, db, anchor, anchored).map_err(refused)
}

/// Checks what sled has opened, makes it durable, and lets go of the copies.
fn begin(path: &Path, options: Options, db: Db, anchor: Anchor, anchored: Head) -> Result<SledJournal, OpenError> {
    let io = |cause| OpenError::Io { path: path.to_path_buf(), cause };
    let head = tail(&db, path)?;
    let file = OpenOptions::new().read(true).write(true).open(path.join(files::LOG).join(files::DB)).map_err(io)?;
    let journal = SledJournal {
        path: path.to_path_buf(),
        db,
        file,
        options,
        free_bytes: Box::new(files::free_bytes),
        head: RwLock::new(head),
        writer: Mutex::new(Writer { anchor, poisoned: None }),
        syncs: Arc::new(Histogram::new(SYNC_BOUNDS_NS)),
    };
    check_anchor(&journal, anchored)?;
    // What a process wrote and died before syncing is visible now, so it must be durable now.
    journal.file.sync_all().map_err(io)?;
    files::sync_names(path).map_err(io)?;
    if head != anchored {
        journal.writer.lock().anchor.write(head).map_err(io)?;
    }
    files::drop_copies(path).map_err(io)?;
    Ok(journal)
}

/// After an open that was refused: sled may have written over what it could not read, so what lay there before is put in its place, if it
/// reaches as far as what was acknowledged and as what lies there now. Where it cannot be, all is left as it is.
fn put_back(path: &Path, anchored: Head, options: &Options) {
    let copy = path.join(files::KEPT).join(files::DB);
    let put = || -> io::Result<bool> {
        let log = path.join(files::LOG).join(files::DB);
        let now = if log.is_file() { raw::whole(&log)? } else { 0 };
        let needed = fs::metadata(&copy)?.len().saturating_add(options.free_bytes_min);
        if raw::whole(&copy)? < now.max(anchored.position) || files::free_bytes(path)? < needed {
            return Ok(false);
        }
        files::put_back(path).map(|()| true)
    };
    match put() {
        Ok(true) => tracing::warn!("the last opening was refused: the log is put back as it was before"),
        Ok(false) => tracing::error!(
            "the last opening was refused, and the copy of before (log.kept) is not put back: it is not whole, or there is no room for it"
        ),
        Err(error) => {
            tracing::error!(%error, "the last opening was refused, and the copy of before (log.kept) cannot be put back")
        }
    }
}

/// Takes the folder for this process and says which head was acknowledged last. Refuses a folder of something else, one in
/// use, and one whose log is gone.
fn claim(path: &Path, new: bool) -> Result<(Anchor, Head), OpenError> {
    let io = |cause| OpenError::Io { path: path.to_path_buf(), cause };
    if new && !path.join(files::HEAD).exists() && !files::is_empty(path).map_err(io)? {
        let what = "it holds files but no log".into();
        return Err(OpenError::NotAJournal { path: path.to_path_buf(), what });
    }
    fs::create_dir_all(path).map_err(io)?;
    // sled locks its own file too, but that is too late for making a copy.
    let Some((anchor, anchored)) = Anchor::open(&path.join(files::HEAD)).map_err(io)? else {
        return Err(OpenError::Locked { path: path.to_path_buf() });
    };
    if new && anchored != Head::EMPTY {
        return Err(OpenError::AcknowledgedMissing { missing: 1, anchored: anchored.position, found: 0 });
    }
    Ok((anchor, anchored))
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
fn keep_copy(path: &Path, options: &Options) {
    if path.join(files::KEPT).exists() {
        return;
    }
    let copy = || -> io::Result<bool> {
        let needed = fs::metadata(path.join(files::LOG).join(files::DB))?.len().saturating_add(options.free_bytes_min);
        Ok(files::free_bytes(path)? >= needed && files::keep_copy(path).map(|()| true)?)
    };
    let copied = copy();
    if !matches!(copied, Ok(true)) {
        tracing::warn!(outcome = ?copied, "opening the journal without a copy of it");
    }
}

/// Opens sled. Our own lock is held already, so another holder of sled's is most likely a worker thread of an instance that
/// this process has just dropped: it lets go in a moment, which is waited for.
fn open_sled(path: &Path, options: &Options) -> Result<Db, OpenError> {
    let config = || {
        let config = sled::Config::new().path(path.join(files::LOG));
        config.cache_capacity(options.cache_bytes_max).flush_every_ms(None)
    };
    let patience = Instant::now();
    loop {
        let opened = guarded(|| config().open()).map_err(|cause| OpenError::Sled { cause })?;
        let cause = match opened {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error)) if error.kind() == io::ErrorKind::StorageFull => {
                return Err(OpenError::DiskFull { path: path.to_path_buf() });
            }
            Err(error) => error.to_string(),
        };
        // sled has no error of its own for this.
        if !cause.contains("could not acquire lock") {
            return Err(OpenError::Sled { cause });
        }
        if patience.elapsed() > LOCK_PATIENCE {
            return Err(OpenError::Locked { path: path.to_path_buf() });
        }
        std::thread::yield_now();
    }
}

/// Checks the last commit and returns the head it ends in.
fn tail(db: &Db, path: &Path) -> Result<Head, OpenError> {
    let mut commit = Vec::new();
    let mut before = Head::EMPTY;
    let mut backwards = db.iter().rev();
    while let Some(stored) = next(&mut backwards) {
        let (key, bytes) = stored.map_err(|cause| OpenError::Sled { cause })?;
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
        Damage::Magic => OpenError::NotAJournal { path: path.to_path_buf(), what: "its values are not frames".into() },
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
