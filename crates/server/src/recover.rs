//! Salvaging a data folder whose log does not open any more into a fresh one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use satgas_journal::disk::{self, RecoverError, Recovered};

use crate::{
    folder::{Folder, FolderError},
    rights,
};

/// Why a data folder was not salvaged.
#[derive(Debug, thiserror::Error)]
pub enum RecoverFolderError {
    /// One of the folders cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The log was not salvaged.
    #[error(transparent)]
    Log(#[from] RecoverError),
    /// The access log was not salvaged.
    #[error("the access log: {0}")]
    Access(RecoverError),
    /// The keys were not copied.
    #[error("the keys in {path} cannot be copied: {error}")]
    Keys {
        /// The folder.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
}

/// What was salvaged of a data folder.
#[derive(Debug)]
pub struct RecoveredFolder {
    /// The log of records.
    pub log: Recovered,
    /// The access log: tokens, and who saw what. None of a folder from before there was one.
    pub access: Option<Recovered>,
    /// Whether keys lay in the folder and were copied.
    pub keys: bool,
}

/// Salvages the data folder `from` into a new one, `to`: both logs from their raw files, and a copy of the keys; checkpoints are made anew by
/// the server. Nothing of `from` is changed but its lock. `progress` is told the position reached. Blocks.
pub fn recover(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<RecoveredFolder, RecoverFolderError> {
    if !from.join("journal").is_dir() {
        return Err(FolderError::NoLog(from.to_owned()).into());
    }
    let failed = |error| FolderError::Io { folder: to.to_owned(), error };
    rights::make_folder(to).map_err(failed)?;
    if fs::read_dir(to).map_err(failed)?.next().is_some() {
        return Err(RecoverError::NotEmpty(to.to_owned()).into());
    }
    let (old, new) = (Folder::take(from)?, Folder::take(to)?);
    let log = disk::recover(&old.journal(), &new.journal(), progress)?;
    let access = old.access().is_dir().then(|| disk::recover(&old.access(), &new.access(), &mut |_| {}));
    let access = access.transpose().map_err(RecoverFolderError::Access)?;
    let keys = old.keys().is_dir();
    if keys {
        copy(&old.keys(), &new.keys()).map_err(|error| RecoverFolderError::Keys { path: old.keys(), error })?;
    }
    Ok(RecoveredFolder { log, access, keys })
}

/// Copies a folder with its files' rights.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    rights::make_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::File::open(&target)?.sync_all()?;
        }
    }
    fs::File::open(to)?.sync_all()
}
