//! A run: new segments behind those that are there, then a manifest that names them.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use satgas_journal::{
    Head,
    frame::{self, Frame},
    walk::Walk,
};

use crate::{
    Io, LOCK, Log, MANIFEST, PART,
    files::Files,
    io, is_ours,
    manifest::{Manifest, ManifestError, Part},
    note::{LogHead, NoteError, PublicKey},
    segment::{Scan, Segment},
};

/// Bytes after which what was written is synced. Whoever writes to the same disk waits behind what is not: the server does, when it is its own.
const UNSYNCED_MAX: usize = 128 * 1024;

/// Why a run did not come to its end. The backup is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder holds something else.
    #[error("{folder} is no backup: `{found}` lies in it; name a new folder or an empty one")]
    NotABackup {
        /// The folder.
        folder: PathBuf,
        /// What lies in it.
        found: String,
    },
    /// Another run has it.
    #[error("another run is writing into {0}: wait until it is done")]
    Busy(PathBuf),
    /// What is there cannot be gone on from.
    #[error(
        "the backup in {folder} cannot be gone on from: {error}; keep it, and begin another in a new folder (`satgas restore --check` says \
         what can still be restored)"
    )]
    Manifest {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        error: ManifestError,
    },
    /// A segment that the manifest names is not there, or is shorter or longer.
    #[error(
        "the segment {file} of the backup in {folder} is missing or altered: put it back from another copy, or begin another backup in a \
         new folder"
    )]
    Segment {
        /// The folder.
        folder: PathBuf,
        /// The segment's file.
        file: String,
    },
    /// The server's head is not signed as it must be.
    #[error("the server's signed head cannot be used: {0}")]
    Note(NoteError),
    /// The backup is of another log.
    #[error("the backup in {folder} is of the log {known}, and the server has {found}: name another folder")]
    AnotherLog {
        /// The folder.
        folder: PathBuf,
        /// The backup's.
        known: String,
        /// The server's.
        found: String,
    },
    /// The server signs with another key.
    #[error(
        "the server signs with another key than the one that the backup in {folder} began with: if it was restored, or given a new key, begin \
         another backup in a new folder; if not, ask who answers there"
    )]
    AnotherKey {
        /// The folder.
        folder: PathBuf,
    },
    /// The server's log ends before the backup, or is another one from some point on.
    #[error(
        "the server's log does not go on from the backup in {folder}: {why}; if the server was restored to an earlier point, begin another \
         backup in a new folder, and keep this one"
    )]
    Diverged {
        /// The folder.
        folder: PathBuf,
        /// How that shows.
        why: String,
    },
    /// What came is not the log.
    #[error("what the server sent is not its log: {0}; nothing of it is in the backup")]
    Stream(String),
    /// A file or folder cannot be used.
    #[error("the backup could not be written, and is as it was before: {0}")]
    Io(#[from] Io),
}

/// What a manifest says besides.
#[derive(Clone, Debug)]
pub struct About {
    /// The server's time when it signed the head of the log.
    pub taken_at: Timestamp,
    /// Time zone in which the log counts days.
    pub time_zone: String,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Done {
    /// Records, bytes and segments that were added, of each log as in [`Log::ALL`].
    pub added: [Added; 2],
    /// Where each log ends now.
    pub heads: [Head; 2],
}

/// What was added of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub segments: usize,
}

/// A backup that is being written: for each log [`begin`](Self::begin), [`take`](Self::take) as often as there is something, and
/// [`end`](Self::end); then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Backup<F> {
    folder: PathBuf,
    files: F,
    segment_bytes_max: u64,
    /// As it is on disk.
    former: Option<(Manifest, PublicKey)>,
    /// What the server signs with, and the id of its log.
    signer: Option<PublicKey>,
    running: Option<Run>,
    ended: Vec<Ended>,
    /// Held until the end.
    _lock: File,
}

/// One log that is being taken.
#[derive(Debug)]
struct Run {
    signed: LogHead,
    note: String,
    walk: Walk,
    segment: Option<Open>,
    sealed: Vec<Segment>,
}

/// A segment that is being written.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    scan: Scan,
    unsynced: usize,
}

/// One log that was taken.
#[derive(Debug)]
struct Ended {
    signed: LogHead,
    note: String,
    sealed: Vec<Segment>,
}

impl<F: Files> Backup<F> {
    /// Takes a folder for a run, makes it if it is not there, and removes what an interrupted run left. A segment is closed behind the
    /// commit that makes it reach `segment_bytes_max`.
    pub fn open(folder: &Path, mut files: F, segment_bytes_max: u64) -> Result<Self, BackupError> {
        let found = names(folder)?;
        if let Some(found) = found.iter().find(|name| !is_ours(name)) {
            return Err(BackupError::NotABackup { folder: folder.to_owned(), found: found.clone() });
        }
        // What lies in it is case data: nobody else's.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io(folder))?;
        let lock = lock(folder)?;
        let refused = |error| match error {
            // What cannot be read now is not damaged.
            ManifestError::Io(error) => BackupError::Io(error),
            error => BackupError::Manifest { folder: folder.to_owned(), error },
        };
        let former = Manifest::read(folder).map_err(refused)?.map(|manifest| keyed(manifest).map_err(refused));
        let former = former.transpose()?;
        let mut named = HashSet::from([MANIFEST.to_owned(), LOCK.to_owned()]);
        for segment in
            former.iter().flat_map(|(manifest, _)| Log::ALL.map(|log| &manifest.part(log).segments)).flatten()
        {
            let there = fs::metadata(folder.join(&segment.file)).is_ok_and(|about| about.len() == segment.bytes);
            if !there {
                return Err(BackupError::Segment { folder: folder.to_owned(), file: segment.file.clone() });
            }
            named.insert(segment.file.clone());
        }
        for left in found.into_iter().filter(|name| !named.contains(name)) {
            let path = folder.join(left);
            files.remove(&path).map_err(io(&path))?;
        }
        let folder = folder.to_owned();
        Ok(Self {
            folder,
            files,
            segment_bytes_max,
            former,
            signer: None,
            running: None,
            ended: Vec::new(),
            _lock: lock,
        })
    }

    /// Where a log ends in the backup: ask for what comes after.
    pub fn head(&self, log: Log) -> Result<Head, BackupError> {
        let Some((manifest, key)) = &self.former else { return Ok(Head::EMPTY) };
        manifest.head(log, key).map_err(|error| BackupError::Manifest { folder: self.folder.clone(), error })
    }

    /// Begins with a log, up to a head that the server signed.
    pub fn begin(&mut self, log: Log, note: &str, key: &str) -> Result<Head, BackupError> {
        let key: PublicKey = key.parse().map_err(BackupError::Note)?;
        let signed = LogHead::open(note, &key).map_err(BackupError::Note)?;
        let folder = || self.folder.clone();
        if let Some((manifest, _)) = self.former.as_ref().filter(|(manifest, _)| manifest.log_id != signed.log_id) {
            let (known, found) = (manifest.log_id.clone(), signed.log_id);
            return Err(BackupError::AnotherLog { folder: folder(), known, found });
        }
        let known = self.former.as_ref().map(|(_, key)| key).or(self.signer.as_ref());
        if known.is_some_and(|known| *known != key) {
            return Err(BackupError::AnotherKey { folder: folder() });
        }
        if signed.log != log {
            return Err(BackupError::Stream(format!("it is {} and not {log}", signed.log)));
        }
        let (own, head) = (self.head(log)?, signed.head);
        if head.position < own.position || (head.position == own.position && head.hash != own.hash) {
            let why = format!("{log} ends at {} there, and at {} in the backup", head.position, own.position);
            return Err(BackupError::Diverged { folder: folder(), why });
        }
        self.signer = Some(key);
        let (note, walk) = (note.to_owned(), Walk::after(own));
        self.running = Some(Run { signed, note, walk, segment: None, sealed: Vec::new() });
        Ok(head)
    }

    /// What to say when a log has another commit where it ends in the backup, or none.
    #[must_use]
    pub fn diverged(&self, log: Log) -> BackupError {
        let why = format!("{log} has another commit where the backup ends");
        BackupError::Diverged { folder: self.folder.clone(), why }
    }

    /// Takes whole frames, in order. The position reached.
    pub fn take(&mut self, frames: &[u8]) -> Result<u64, BackupError> {
        let Some(mut run) = self.running.take() else { return Err(out_of_turn()) };
        let mut rest = frames;
        // What was checked and is not written yet.
        let mut checked = 0;
        while !rest.is_empty() {
            let (bytes, behind) = frame::split_first(rest).map_err(|damage| BackupError::Stream(damage.to_string()))?;
            let frame = Frame::decode(bytes).map_err(|damage| BackupError::Stream(damage.to_string()))?;
            run.walk.step(frame.key, bytes).map_err(|fault| self.fault(&run, fault))?;
            if run.walk.position() - 1 > run.signed.head.position {
                return Err(BackupError::Stream("it goes on behind its signed head".to_owned()));
            }
            let segment = match &mut run.segment {
                Some(segment) => segment,
                none => none.insert(self.new_segment(run.signed.log, frame.key.first)?),
            };
            segment.scan.take(&frame, bytes).map_err(BackupError::Stream)?;
            checked += bytes.len();
            rest = behind;
            if frame.last && segment.scan.bytes() >= self.segment_bytes_max {
                let from = frames.len() - rest.len() - checked;
                self.write(segment, &frames[from..from + checked])?;
                checked = 0;
                self.seal(&mut run)?;
            }
        }
        if let Some(segment) = &mut run.segment {
            self.write(segment, &frames[frames.len() - checked..])?;
        }
        let position = run.walk.position() - 1;
        self.running = Some(run);
        Ok(position)
    }

    /// Ends a log, which must have reached its signed head.
    pub fn end(&mut self) -> Result<(), BackupError> {
        let Some(mut run) = self.running.take() else { return Err(out_of_turn()) };
        if run.walk.committed() != run.signed.head {
            let Head { position, .. } = run.walk.committed();
            let wanted = run.signed.head.position;
            return Err(BackupError::Stream(format!("{} ends at {position} and not at {wanted}", run.signed.log)));
        }
        self.seal(&mut run)?;
        let Run { signed, note, sealed, .. } = run;
        self.ended.push(Ended { signed, note, sealed });
        Ok(())
    }

    /// Puts a manifest in place that names what both logs added.
    pub fn finish(mut self, about: About) -> Result<Done, BackupError> {
        let ended = std::mem::take(&mut self.ended);
        let [records, access]: [Ended; 2] = ended.try_into().map_err(|_| out_of_turn())?;
        let Some(key) = self.signer.take().filter(|_| [records.signed.log, access.signed.log] == Log::ALL) else {
            return Err(out_of_turn());
        };
        let added = [&records, &access].map(|ended| Added {
            records: ended.sealed.iter().map(|segment| segment.last + 1 - segment.first).sum(),
            bytes: ended.sealed.iter().map(|segment| segment.bytes).sum(),
            segments: ended.sealed.len(),
        });
        let heads = [records.signed.head, access.signed.head];
        let signed = records.signed.clone();
        let parts = [records, access].map(|Ended { signed, note, sealed }| {
            let former = self.former.as_ref().map(|(manifest, _)| manifest.part(signed.log).segments.clone());
            Part { head: note, segments: former.unwrap_or_default().into_iter().chain(sealed).collect() }
        });
        let manifest = Manifest::new(&signed, &key, (about.taken_at, about.time_zone), parts);
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::Stream(error.to_string()))?;
        text.push(b'\n');
        self.place(&text)?;
        Ok(Done { added, heads })
    }

    fn place(&mut self, text: &[u8]) -> Result<(), Io> {
        let path = self.folder.join(MANIFEST);
        let part = self.folder.join(format!("{MANIFEST}{PART}"));
        let mut file = self.files.create(&part).map_err(io(&part))?;
        self.files.write(&mut file, text).map_err(io(&part))?;
        self.files.sync(&file).map_err(io(&part))?;
        self.files.rename(&part, &path).map_err(io(&path))?;
        self.files.sync_folder(&self.folder).map_err(io(&self.folder))
    }

    fn new_segment(&mut self, log: Log, first: u64) -> Result<Open, Io> {
        let path = self.folder.join(log.segment(first));
        let part = part_of(&path);
        let file = self.files.create(&part).map_err(io(&part))?;
        Ok(Open { file, path, scan: Scan::default(), unsynced: 0 })
    }

    fn write(&mut self, segment: &mut Open, bytes: &[u8]) -> Result<(), Io> {
        for bytes in bytes.chunks(UNSYNCED_MAX) {
            self.files.write(&mut segment.file, bytes).map_err(io(&segment.path))?;
            segment.unsynced += bytes.len();
            if segment.unsynced >= UNSYNCED_MAX {
                self.files.sync(&segment.file).map_err(io(&segment.path))?;
                segment.unsynced = 0;
            }
        }
        Ok(())
    }

    /// Closes the segment that is being written, if one is, and gives it its name.
    fn seal(&mut self, run: &mut Run) -> Result<(), BackupError> {
        let Some(Open { file, path, scan, .. }) = run.segment.take() else { return Ok(()) };
        self.files.sync(&file).map_err(io(&path))?;
        self.files.rename(&part_of(&path), &path).map_err(io(&path))?;
        self.files.sync_folder(&self.folder).map_err(io(&self.folder))?;
        run.sealed.push(scan.end(run.signed.log).map_err(BackupError::Stream)?);
        Ok(())
    }

    /// A first frame that does not follow the backup's last one means another history; any other, a broken stream.
    fn fault(&self, run: &Run, fault: satgas_journal::Fault) -> BackupError {
        let is_first = run.segment.is_none() && run.sealed.is_empty();
        match is_first && run.walk.position() > 1 {
            true => BackupError::Diverged { folder: self.folder.clone(), why: fault.to_string() },
            false => BackupError::Stream(fault.to_string()),
        }
    }
}

fn part_of(path: &Path) -> PathBuf {
    path.with_added_extension(PART.trim_start_matches('.'))
}

fn out_of_turn() -> BackupError {
    BackupError::Stream("both logs must be taken, one after the other, each from its signed head on".to_owned())
}

/// A manifest with its key, once the heads of both logs hold.
fn keyed(manifest: Manifest) -> Result<(Manifest, PublicKey), ManifestError> {
    let key: PublicKey = manifest.key.parse().map_err(|error: NoteError| ManifestError::Damaged(error.to_string()))?;
    for log in Log::ALL {
        manifest.head(log, &key)?;
    }
    Ok((manifest, key))
}

/// Names of what lies in a folder, which may not be there.
fn names(folder: &Path) -> Result<Vec<String>, Io> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io(folder))?,
    };
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).map_err(io(folder))
    };
    entries.map(name).collect()
}

fn lock(folder: &Path) -> Result<File, BackupError> {
    let path = folder.join(LOCK);
    let lock = File::options().write(true).create(true).truncate(false).open(&path).map_err(io(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(BackupError::Busy(folder.to_owned())),
        Err(TryLockError::Error(cause)) => Err(Io { path, cause }.into()),
    }
}
