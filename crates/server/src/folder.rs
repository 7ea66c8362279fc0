//! The data folder: `lock`, `journal/`, `checkpoints/`, `access/`, `keys/`. One process has it at a time, and only its user may enter it:
//! cases lie in it in the clear.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use satgas_journal::{Fault, Journal as _, SledJournal, Verified, disk};
use satgas_proof::{
    Tree,
    merkle::{self, TILE, Tile},
};

use crate::rights;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("the data folder {folder} is in use by {by}: stop that one first, or choose another folder with --data")]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who has it, as that one wrote it down.
        by: String,
    },
    /// It cannot be made or written.
    #[error("the data folder {folder} cannot be used: {error}{}", remedy(error))]
    Io {
        /// The folder.
        folder: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// Others on the machine may enter it.
    #[error(
        "the data folder {0} is open to others on this machine, and cases lie in it: take their rights away with `chmod 700 {0}`"
    )]
    Open(PathBuf),
    /// A restore into it did not come to its end.
    #[error("a restore into {0} did not come to its end: remove the folder, and restore again")]
    Unfinished(PathBuf),
    /// There is no log in it.
    #[error("there is no log in {0}: is it the right folder?")]
    NoLog(PathBuf),
}

/// What to do about an error of the operating system, where that is plain.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; run this as the user that the folder belongs to, or, where a new one is made, as one that may write there"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; its disk is mounted for reading only: look at it (`dmesg`), and mount it for writing"
        }
        io::ErrorKind::StorageFull => "; make room on that disk, or use a larger one",
        _ => "",
    }
}

/// A data folder that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    pub(crate) fn take(path: &Path) -> Result<Self, FolderError> {
        let failed = |error| FolderError::Io { folder: path.to_owned(), error };
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
            // Somebody made it for us, and it holds nothing yet. Where it is not ours to close, `close` says what is wrong.
            let _ = rights::close_folder(path);
        }
        rights::make_folder(path).map_err(failed)?;
        let lock_path = path.join("lock");
        let mut lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut folder = Self { path: path.to_owned(), lock };
        if folder.mark().exists() {
            return Err(FolderError::Unfinished(path.to_owned()));
        }
        folder.sign("starting").map_err(failed)?;
        Ok(folder)
    }

    /// Holds a folder that is there, without writing anything into it.
    pub(crate) fn hold(path: &Path) -> Result<File, FolderError> {
        let failed = |error| FolderError::Io { folder: path.to_owned(), error };
        let mut lock = match File::open(path.join("lock")) {
            // No server ever used it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return File::open(path).map_err(failed),
            opened => opened.map_err(failed)?,
        };
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Makes sure that nobody else on the machine may enter the folder, and makes the folders in it.
    ///
    /// Refused rather than narrowed: whoever opened it meant something by it, and must learn that it must not be. The owner's group may be
    /// one of its own that makes the backups, so that is only told.
    pub(crate) fn close(&self) -> Result<(), FolderError> {
        let failed = |error| FolderError::Io { folder: self.path.clone(), error };
        if rights::of_others(&self.path, rights::OTHERS).map_err(failed)? != 0 {
            return Err(FolderError::Open(self.path.clone()));
        }
        if rights::of_others(&self.path, rights::GROUP).map_err(failed)? != 0 {
            tracing::warn!(folder = %self.path.display(), "the data folder is open to its group, and cases lie in it");
        }
        for folder in [self.journal(), self.checkpoints(), self.access()] {
            rights::make_folder(&folder).map_err(failed)?;
        }
        Ok(())
    }

    /// What is written into it is not whole from here on: until it is, nobody can take it.
    pub(crate) fn is_unfinished(&self) -> io::Result<()> {
        File::create(self.mark())?.sync_all()?;
        File::open(&self.path)?.sync_all()
    }

    /// What is written into it is whole, and on disk.
    pub(crate) fn is_whole(&self) -> io::Result<()> {
        fs::remove_file(self.mark())?;
        File::open(&self.path)?.sync_all()
    }

    /// Lies in a folder that is not whole.
    fn mark(&self) -> PathBuf {
        self.path.join("restoring")
    }

    /// Writes down who has the folder, for those who come later.
    pub(crate) fn sign(&mut self, doing: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        writeln!(self.lock, "process {} ({doing})", std::process::id())
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    pub(crate) fn access(&self) -> PathBuf {
        self.path.join("access")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }
}

/// Who has a folder, as that one wrote it into the lock.
fn in_use(path: &Path, lock: &mut File) -> FolderError {
    let mut by = String::new();
    match lock.read_to_string(&mut by) {
        Ok(_) => {
            let by = if by.trim().is_empty() { "another process".to_owned() } else { by.trim().to_owned() };
            FolderError::InUse { folder: path.to_owned(), by }
        }
        Err(error) => FolderError::Io { folder: path.to_owned(), error },
    }
}

/// Why a log was not verified, or did not stand up to it.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The log is damaged; names the first position that cannot be trusted.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The access log is damaged.
    #[error("the access log: {0}")]
    Access(Fault),
}

/// A log that holds to the last byte.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// What was counted.
    pub log: Verified,
    /// Root of the Merkle tree over its records: that of a checkpoint of as many.
    pub root: [u8; 32],
}

/// Bytes of records that are read at a time for the tree.
const READ_BYTES: usize = 1024 * 1024;

/// Reads and checks the whole log of a folder that nobody has, and its access log. What was counted is of the log. `progress` is told the position reached from time to time. Blocks.
pub fn verify(data: &Path, mut progress: impl FnMut(u64)) -> Result<Checked, VerifyError> {
    if !data.join("journal").is_dir() {
        return Err(FolderError::NoLog(data.to_owned()).into());
    }
    let mut folder = Folder::take(data)?;
    folder.sign("verifying").map_err(|error| FolderError::Io { folder: data.to_owned(), error })?;
    let (journal, log) = disk::open_verified(folder.journal(), disk::Options::default(), &mut progress)?;
    let root = root(&journal, log.head.position)?;
    drop(journal);
    // A folder from before there was one has none.
    if folder.access().is_dir() {
        disk::verify_folder(folder.access(), disk::Options::default(), &mut |_| {}).map_err(VerifyError::Access)?;
    }
    Ok(Checked { log, root })
}

/// The root of the tree over all records up to a position.
fn root(journal: &SledJournal, last: u64) -> Result<[u8; 32], Fault> {
    let (mut tree, mut after) = (Tree::default(), 0);
    while after < last {
        let unreadable = |cause: String| Fault { position: after + 1, what: cause };
        let chunk = journal.read(after, READ_BYTES).map_err(|error| unreadable(error.to_string()))?;
        if chunk.is_empty() {
            return Err(unreadable("the record is missing".to_owned()));
        }
        chunk.records().for_each(|(_, record)| tree.push(merkle::leaf(&record)));
        after = chunk.last();
    }
    // No tile is cut: the last one lies in the tree, and any of its own leaves will do.
    let tail = Tile { index: tree.size() / TILE, leaves: tree.kept().1.to_vec() };
    tree.root(tree.size(), &[tail]).map_err(|error| Fault { position: last, what: error.to_string() })
}

/// Opens the journal of a folder.
pub(crate) fn open_journal(folder: &Folder, options: disk::Options) -> Result<SledJournal, satgas_journal::OpenError> {
    SledJournal::open(folder.journal(), options)
}
