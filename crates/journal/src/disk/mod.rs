//! The log on sled.
//!
//! # What lies in the folder
//!
//! | name        | content |
//! |-------------|---------|
//! | `log/`      | sled's folder: `db` with the segments, `conf`, `snap.*`, and `blobs/`, which must stay empty |
//! | `head`      | the anchor: the last acknowledged head, in two checked slots |
//! | `log.kept/` | only after an open that was refused: `log/` as it was before, and the file `refused` |
//! | `log.aside/` | only after what was put back was refused, too: `log/` as the first such open left it |
//!
//! # The order of a commit
//!
//! 1. Refuse on a stale position, a limit or a full disk; nothing has happened yet.
//! 2. Hand the frames to sled: one by itself as one message of its log, several as one batch. After a crash sled recovers all of
//!    them or none. (A batch costs a message more, which it writes and syncs by itself: 0.1 ms.)
//! 3. `flush`: sled hands its buffers to the operating system. On Linux it calls only `sync_file_range`, which neither
//!    empties the disk's cache nor writes the file's length.
//! 4. `sync_data` on sled's file through our own handle. Now the commit is durable.
//! 5. Write the anchor, move the head, acknowledge.
//!
//! A failure in 2 to 4 leaves the outcome unknown and poisons the journal. sled keeps its first write error until it is
//! opened again: it refuses every later write and flush, and reads of pages whose newest version is not yet in the file fail
//! too. Older records stay readable. (Seen on a file system that was truly full: of 9,400 records the last 250 could not be
//! read until space was freed and the journal opened again; then all were there.) Step 1 is what keeps that from happening.
//! After a failed `sync_data` the operating system may count unwritten pages as written: opening again shows them though the
//! disk has them not, so after such a failure the machine itself should be restarted, not only the server.
//!
//! # What opening does
//!
//! sled takes a damaged message for a torn write: it drops everything behind it **and overwrites it**, silently. So the
//! files are copied before sled opens them (sharing blocks where the file system can) and the copy is kept if the
//! anchor or the chain at the end then shows that something is missing. A read that failed once is such damage: so the next opening
//! puts the copy back before sled sees anything, if its frames reach as far as those that are there and as the anchor. When that is
//! refused, too, the files themselves are damaged. Frames in them are whole and describe themselves, so they can be salvaged.

mod anchor;
mod files;
mod load;
mod look;
mod open;
mod raw;
mod recover;

use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use sled::{Batch, Db, IVec};

use crate::commit::{admit, cut};
use crate::copy::{self, Wanted};
use crate::frame::{Frame, Key, chain_hash};
use crate::read::{Request, join};
use crate::{AppendError, Chunk, Fault, Hash, Head, Histogram, Journal, OpenError, ReadError, Records, Verified, walk};
use anchor::Anchor;

pub use load::Loader;
pub use look::{Seen, anchor_file, look};
#[cfg(feature = "fuzz")]
pub use raw::look_in;
#[cfg(feature = "fuzz")]
pub use recover::salvage;
pub use recover::{RecoverError, Recovered, recover};

/// How a [`SledJournal`] is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for sled's cache of pages, in bytes. sled takes about twice this, and its own default is 1 GiB.
    pub cache_bytes_max: u64,
    /// Bytes that must stay free on the file system; a commit that would go below is refused.
    pub free_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { cache_bytes_max: 64 * 1024 * 1024, free_bytes_min: 64 * 1024 * 1024 }
    }
}

/// Bounds of the times that a sync takes, in nanoseconds: 50 µs, which a disk with a battery takes, to 5 s, which a failing one does.
const SYNC_BOUNDS_NS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// A journal in a folder, open in at most one process.
pub struct SledJournal {
    path: PathBuf,
    db: Db,
    /// sled's file once more, for `sync_data`.
    file: File,
    options: Options,
    free_bytes: FreeBytes,
    head: RwLock<Head>,
    writer: Mutex<Writer>,
    syncs: Arc<Histogram>,
}

/// Tells how many bytes are free where the path is.
type FreeBytes = Box<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

struct Writer {
    anchor: Anchor,
    poisoned: Option<String>,
}

impl SledJournal {
    /// Opens the journal in `path`, or makes one if the folder is empty or missing. Checks the last commit, the chain to the
    /// last acknowledged head and that no blobs exist.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        open::open(path.as_ref(), options)
    }

    /// The journal's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the disk took to make commits durable: the call of `sync_data`, in nanoseconds.
    pub fn syncs(&self) -> Arc<Histogram> {
        Arc::clone(&self.syncs)
    }

    fn make_durable(&self, frames: Vec<(Key, IVec)>) -> Result<(), (&'static str, String)> {
        self.write(frames)?;
        self.sync()
    }

    fn write(&self, mut frames: Vec<(Key, IVec)>) -> Result<(), (&'static str, String)> {
        let written = match frames.pop() {
            Some((key, frame)) if frames.is_empty() => self.db.insert(key.to_bytes(), frame).map(|_| ()),
            last => {
                let mut batch = Batch::default();
                frames.into_iter().chain(last).for_each(|(key, frame)| batch.insert(&key.to_bytes()[..], frame));
                self.db.apply_batch(batch)
            }
        };
        written.map_err(|cause| ("writing the commit", cause.to_string()))?;
        self.db.flush().map_err(|cause| ("flushing the commit", cause.to_string())).map(|_| ())
    }

    fn sync(&self) -> Result<(), (&'static str, String)> {
        let started = Instant::now();
        let synced = self.file.sync_data();
        self.syncs.observe_time(started.elapsed());
        synced.map_err(|cause| ("syncing the commit", cause.to_string()))
    }

    fn check_free_bytes(&self, commit_bytes: usize) -> Result<(), AppendError> {
        let needed = self.options.free_bytes_min.saturating_add(commit_bytes as u64);
        match (self.free_bytes)(&self.path) {
            Ok(free) if free < needed => Err(AppendError::DiskFull { free, needed }),
            Ok(_) => Ok(()),
            Err(error) => {
                // Not knowing is no reason to refuse: a truly full disk fails the flush.
                tracing::warn!(%error, "cannot tell how much space is free");
                Ok(())
            }
        }
    }

    /// All frames from `start` on, in log order.
    fn frames(&self, start: Key) -> impl Iterator<Item = Result<(Key, Bytes), String>> + use<> {
        let mut frames = self.db.range(start.to_bytes()..);
        std::iter::from_fn(move || next(&mut frames))
    }

    /// The last frame up to `key`, or before it.
    fn frame_up_to(&self, key: Key, inclusive: bool) -> Result<Option<(Key, Bytes)>, String> {
        let bytes = key.to_bytes();
        let mut frames = if inclusive { self.db.range(..=bytes) } else { self.db.range(..bytes) };
        next(&mut frames.by_ref().rev()).transpose()
    }
}

impl Journal for SledJournal {
    fn head(&self) -> Head {
        *self.head.read()
    }

    fn append(&self, expected: u64, records: &Records) -> Result<Head, AppendError> {
        let mut writer = self.writer.lock();
        if let Some(cause) = &writer.poisoned {
            return Err(AppendError::Poisoned { cause: cause.clone() });
        }
        let head = self.head();
        admit(head, expected, records)?;
        if records.is_empty() {
            return Ok(head);
        }
        self.check_free_bytes(records.bytes().len())?;
        // Stands if sled panics below, too.
        writer.poisoned = Some("an append did not come to its end".into());
        let mut frames = Vec::new();
        let head = cut(head, records, |key, frame| frames.push((key, IVec::from(frame))));
        if let Err((what, cause)) = self.make_durable(frames) {
            writer.poisoned = Some(format!("{what}: {cause}"));
            return Err(AppendError::Failed { what, cause });
        }
        writer.poisoned = None;
        if let Err(error) = writer.anchor.write(head) {
            // The anchor is only a lower bound; without it, less loss is noticed.
            tracing::warn!(%error, "cannot write the head anchor");
        }
        *self.head.write() = head;
        Ok(head)
    }

    fn read(&self, after: u64, max_bytes: usize) -> Result<Chunk, ReadError> {
        let Some(request) = (Request { after, head: self.head().position, max_bytes }).check()? else {
            return Ok(Chunk::empty(after));
        };
        let storage = |cause| ReadError::Storage { after, cause };
        let start = self.frame_up_to(request.start(), true).map_err(storage)?;
        let start = start.map_or(request.start(), |(key, _)| key);
        join(request, self.frames(start))
    }

    fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        let wanted = Wanted { after, last: last.min(self.head().position), max_bytes };
        copy::join(wanted, self.frames(wanted.start()))
    }

    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        let head = self.head();
        if position == 0 {
            return Ok(Some(Head::EMPTY.hash));
        }
        if position >= head.position {
            return Ok((position == head.position).then_some(head.hash));
        }
        let last = self.frame_up_to(Key { first: position, part: u16::MAX }, true);
        let last = last.map_err(|cause| ReadError::Storage { after: position, cause })?;
        let Some((_, bytes)) = last else {
            return Err(Fault::new(1, "the frame is missing").into());
        };
        let frame = Frame::decode(&bytes).map_err(|damage| Fault::new(position, damage.to_string()))?;
        Ok((frame.end() == position && !frame.continues).then(|| chain_hash(&bytes)))
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault> {
        walk::verify(self.frames(Key { first: 0, part: 0 }), self.head(), progress)
    }
}

impl fmt::Debug for SledJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledJournal").field("path", &self.path).field("head", &self.head()).finish_non_exhaustive()
    }
}

/// Opens the journal in `path` and verifies all of it. Whatever keeps it from opening is a fault, too; its position is 0
/// where it says nothing about records (another process has it open, the folder is something else).
pub fn verify_folder(
    path: impl AsRef<Path>,
    options: Options,
    progress: &mut dyn FnMut(u64),
) -> Result<Verified, Fault> {
    open_verified(path, options, progress).map(|(_, verified)| verified)
}

/// The same, and the journal that holds.
pub fn open_verified(
    path: impl AsRef<Path>,
    options: Options,
    progress: &mut dyn FnMut(u64),
) -> Result<(SledJournal, Verified), Fault> {
    let path = path.as_ref();
    if !path.join(files::LOG).is_dir() && !files::was_refused(path) {
        return Err(Fault::new(0, format!("{} holds no journal", path.display())));
    }
    let anchored = Anchor::open(&path.join(files::HEAD)).ok().flatten().map_or(0, |(_, head)| head.position);
    let journal = SledJournal::open(path, options).map_err(|error| {
        let position = match &error {
            OpenError::TailDamaged { position, .. } => *position,
            OpenError::AcknowledgedMissing { missing, .. } => *missing,
            OpenError::Sled { .. } => 1,
            _ => return Fault::new(0, error.to_string()),
        };
        raw::sharpen(path, Fault::new(position, error.to_string()), anchored)
    })?;
    let verified = journal.verify(progress);
    let verified = verified.map_err(|fault| raw::sharpen(path, fault, journal.head().position))?;
    Ok((journal, verified))
}

/// The next of sled's entries, as a frame under its key.
fn next(entries: &mut impl Iterator<Item = sled::Result<(IVec, IVec)>>) -> Option<Result<(Key, Bytes), String>> {
    let decode = |entry: sled::Result<(IVec, IVec)>| {
        let (key, frame) = entry.map_err(|error| error.to_string())?;
        let key = Key::from_bytes(&key).ok_or("a key of the wrong length")?;
        Ok((key, Bytes::from_owner(frame)))
    };
    match guarded(|| entries.next()) {
        Ok(entry) => entry.map(decode),
        Err(cause) => Some(Err(cause)),
    }
}

/// Opens or reads with sled, which on damaged files may panic instead of returning an error. Reading changes nothing, so
/// nothing is left half done. (In a build that aborts on panics the process ends, as it would without this.)
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the storage engine panicked on its files".into())
}

#[cfg(test)]
mod power_loss;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn one(record: &[u8]) -> Records {
        let mut records = Records::new();
        records.push(record);
        records
    }

    #[test]
    fn a_full_disk_refuses_appends_until_space_is_freed_and_reads_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = SledJournal::open(folder.path(), Options::default()).unwrap();
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let probe = Arc::clone(&free);
        journal.free_bytes = Box::new(move |_| Ok(probe.load(Ordering::Relaxed)));
        journal.append(0, &one(b"before")).unwrap();

        free.store(Options::default().free_bytes_min, Ordering::Relaxed);
        assert!(matches!(journal.append(1, &one(b"full")), Err(AppendError::DiskFull { .. })));
        assert_eq!(journal.read(0, 1000).unwrap().count, 1);

        free.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(journal.append(1, &one(b"after")).unwrap().position, 2);
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_taken_and_the_commit_stays_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = SledJournal::open(folder.path(), Options::default()).unwrap();
        let head = journal.append(0, &one(b"durable")).unwrap();
        // A pipe cannot be synced.
        let (_, pipe) = std::io::pipe().unwrap();
        journal.file = File::from(std::os::fd::OwnedFd::from(pipe));

        let failed = journal.append(1, &one(b"unknown"));
        assert!(matches!(failed, Err(AppendError::Failed { what: "syncing the commit", .. })), "{failed:?}");
        assert!(matches!(journal.append(1, &one(b"refused")), Err(AppendError::Poisoned { .. })));
        assert_eq!(journal.head(), head);
        assert_eq!(journal.read(0, 1000).unwrap().count, 1);
        assert!(matches!(journal.read(2, 1000), Err(ReadError::BeyondHead { after: 2, head: 1 })));
    }
}
