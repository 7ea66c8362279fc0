//! Reading a backup, and finding a point in time in it. What is handed out was checked: signature, hashes, chain, times.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use satgas_journal::{
    Head,
    frame::{self, Frame, Key},
    walk::Walk,
};

use crate::{
    Io, Log, MANIFEST, io,
    manifest::{Manifest, ManifestError},
    note::{NoteError, PublicKey},
    segment::{Scan, Segment, last_recorded_at},
};

/// Why a backup is not read. Nothing of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The folder holds none.
    #[error("{0} holds no backup, as it has no {MANIFEST}: name the folder that `satgas backup --to` wrote")]
    NoBackup(PathBuf),
    /// The manifest cannot be used.
    #[error("the backup in {folder} cannot be used: {error}; take it from another copy of the backup")]
    Manifest {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        error: ManifestError,
    },
    /// The key that was given is none.
    #[error("the key: {0}")]
    Key(NoteError),
    /// It was signed with another key than the one that was given.
    #[error("the backup in {folder} is not signed with the key that was given, but says that it is with {found}")]
    AnotherKey {
        /// The folder.
        folder: PathBuf,
        /// What the manifest says.
        found: String,
    },
    /// A segment is not there.
    #[error("the segment {file} is missing from {folder}: put it back from another copy of the backup")]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The segment's file.
        file: String,
    },
    /// A segment is not what the manifest says.
    #[error(
        "the segment {file} in {folder} was altered or is damaged ({what}): put it back from another copy of the backup"
    )]
    Altered {
        /// The folder.
        folder: PathBuf,
        /// The segment's file.
        file: String,
        /// How that shows.
        what: String,
    },
    /// The position is not in the backup.
    #[error("position {position} is not in the backup, which has 1 to {last}")]
    NoPosition {
        /// What was asked for.
        position: u64,
        /// The last one.
        last: u64,
    },
    /// The time is not in the backup.
    #[error("{time} is not in the backup, which reaches from {first} to {last}")]
    NoTime {
        /// What was asked for.
        time: Timestamp,
        /// When the first record was recorded.
        first: Timestamp,
        /// When the backup was taken.
        last: Timestamp,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] Io),
    /// What was read could not be taken on.
    #[error("{0}")]
    Sink(String),
}

/// Up to where a log is wanted: whole commits only, so that the chain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it.
    End,
    /// Up to the last commit that ends at or before this position.
    Position(u64),
    /// Up to the last commit that was recorded at or before this time.
    Time(Timestamp),
}

/// Takes a frame, and with the last one of a commit the head there. An error, in words, ends the reading.
pub type Sink<'a> = dyn FnMut(Key, &[u8], Option<Head>) -> Result<(), String> + 'a;

/// A backup that is read.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    manifest: Manifest,
    key: PublicKey,
}

impl Reader {
    /// Opens the backup in a folder and checks what was signed, with a key that is given, or else with the one that the backup names.
    pub fn open(folder: &Path, key: Option<&str>) -> Result<Self, ReadError> {
        let refused = |error| match error {
            // What cannot be read now is not damaged.
            ManifestError::Io(error) => ReadError::Io(error),
            error => ReadError::Manifest { folder: folder.to_owned(), error },
        };
        let manifest = Manifest::read(folder).map_err(refused)?;
        let manifest = manifest.ok_or_else(|| ReadError::NoBackup(folder.to_owned()))?;
        let named: PublicKey =
            manifest.key.parse().map_err(|error: NoteError| refused(ManifestError::Damaged(error.to_string())))?;
        let key: PublicKey = match key {
            Some(key) => key.parse().map_err(ReadError::Key)?,
            None => named.clone(),
        };
        if key != named {
            return Err(ReadError::AnotherKey { folder: folder.to_owned(), found: manifest.key });
        }
        let reader = Self { folder: folder.to_owned(), manifest, key };
        Log::ALL.into_iter().try_for_each(|log| reader.head(log).map(|_| ()))?;
        Ok(reader)
    }

    /// The signed head of a log.
    pub fn head(&self, log: Log) -> Result<Head, ReadError> {
        let refused = |error| ReadError::Manifest { folder: self.folder.clone(), error };
        self.manifest.head(log, &self.key).map_err(refused)
    }

    /// Id of the log.
    #[must_use]
    pub fn log_id(&self) -> &str {
        &self.manifest.log_id
    }

    /// Time zone in which the log counts days.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.manifest.time_zone
    }

    /// When the backup was taken, by the server's clock.
    #[must_use]
    pub fn taken_at(&self) -> Timestamp {
        self.manifest.taken_at
    }

    /// The key that signed the heads.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        Log::ALL.iter().flat_map(|log| &self.manifest.part(*log).segments).map(|segment| segment.bytes).sum()
    }

    /// Whether every segment is there, with as many bytes as the manifest says: a look that reads none of them.
    ///
    /// # Errors
    /// Names the first that is missing or has another length.
    pub fn has_all(&self) -> Result<(), ReadError> {
        Log::ALL
            .iter()
            .flat_map(|log| &self.manifest.part(*log).segments)
            .try_for_each(|segment| self.is_there(segment))
    }

    /// Reads a log from its beginning and checks all of it. `sink` gets each frame up to the cut, and with the last frame of a commit the head
    /// there; what comes behind the last of these is of no whole commit. Returns where the cut is. Blocks.
    pub fn read(&self, log: Log, cut: Cut, sink: &mut Sink<'_>) -> Result<Head, ReadError> {
        self.check_cut(log, cut)?;
        let mut walk = Walk::after(Head::EMPTY);
        let mut at = Head::EMPTY;
        let mut is_cut = false;
        for segment in &self.manifest.part(log).segments {
            let bytes = self.segment(segment)?;
            let altered = |what: String| self.altered(segment, what);
            let mut scan = Scan::default();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (bytes, behind) = frame::split_first(rest).map_err(|damage| altered(damage.to_string()))?;
                let frame = Frame::decode(bytes).map_err(|damage| altered(damage.to_string()))?;
                walk.step(frame.key, bytes).map_err(|fault| altered(fault.to_string()))?;
                scan.take(&frame, bytes).map_err(altered)?;
                rest = behind;
                is_cut = is_cut || is_behind(cut, segment, &frame).map_err(altered)?;
                if !is_cut {
                    let head = frame.last.then(|| walk.committed());
                    sink(frame.key, bytes, head).map_err(ReadError::Sink)?;
                    at = head.unwrap_or(at);
                }
            }
            let found = scan.end(log).map_err(altered)?;
            if found != *segment {
                return Err(altered("it is not what the manifest says".to_owned()));
            }
        }
        let head = self.head(log)?;
        match self.manifest.part(log).segments.last() {
            Some(last) if walk.committed() != head => {
                Err(self.altered(last, "the log in it does not end at the head that was signed".to_owned()))
            }
            _ => Ok(at),
        }
    }

    /// A cut must lie in the log.
    fn check_cut(&self, log: Log, cut: Cut) -> Result<(), ReadError> {
        let last = self.head(log)?.position;
        match (cut, self.manifest.part(log).segments.first()) {
            (Cut::Position(position), _) if position == 0 || position > last => {
                Err(ReadError::NoPosition { position, last })
            }
            (Cut::Time(time), Some(segment)) if time < segment.first_at || time > self.taken_at() => {
                Err(ReadError::NoTime { time, first: segment.first_at, last: self.taken_at() })
            }
            _ => Ok(()),
        }
    }

    /// A segment's bytes; they are as many as the manifest says.
    fn segment(&self, segment: &Segment) -> Result<Vec<u8>, ReadError> {
        // Before it is read: what is too long is not taken into memory.
        self.is_there(segment)?;
        let path = self.folder.join(&segment.file);
        Ok(fs::read(&path).map_err(io(&path))?)
    }

    /// Whether a segment is there, with as many bytes as the manifest says.
    fn is_there(&self, segment: &Segment) -> Result<(), ReadError> {
        let path = self.folder.join(&segment.file);
        match fs::metadata(&path) {
            Ok(about) if about.len() == segment.bytes => Ok(()),
            Ok(about) => Err(self.altered(segment, format!("it has {} bytes and not {}", about.len(), segment.bytes))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(ReadError::Missing { folder: self.folder.clone(), file: segment.file.clone() })
            }
            Err(error) => Err(io(&path)(error).into()),
        }
    }

    fn altered(&self, segment: &Segment, what: String) -> ReadError {
        ReadError::Altered { folder: self.folder.clone(), file: segment.file.clone(), what }
    }
}

/// Whether a frame holds something that lies behind the cut. The times of a log never go back, and the manifest's are held against the
/// segment when it ends.
fn is_behind(cut: Cut, segment: &Segment, frame: &Frame<'_>) -> Result<bool, String> {
    match cut {
        Cut::End => Ok(false),
        Cut::Position(position) => Ok(frame.end().max(frame.key.first) > position),
        Cut::Time(time) if segment.last_at <= time => Ok(false),
        Cut::Time(time) => {
            let last = last_recorded_at(frame).map_err(|damage| damage.to_string())?;
            Ok(last.is_some_and(|last| last > time))
        }
    }
}
