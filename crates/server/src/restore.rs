//! A new data folder from a backup, up to a point in time.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use satgas_backup::{Cut, Log, ReadError, Reader};
use satgas_journal::{Fault, Head, Journal as _, OpenError, SledJournal, disk};

use crate::{
    folder::{Folder, FolderError},
    rights,
};

/// Why nothing was restored. The backup was not touched, and the new folder was emptied again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The new folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The new folder is none.
    #[error(
        "{0} is not empty, and a restore never writes over what is there: name a new folder with --to; to put it in the place of a data \
         folder, stop the server and move that one away first"
    )]
    NotEmpty(PathBuf),
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] ReadError),
    /// There is no whole commit up to there.
    #[error("no commit of the log had ended then: the first one ends behind it")]
    NothingYet,
    /// A journal cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was written does not read back.
    #[error("what was written does not read back: {0}; is the disk sound?")]
    ReadBack(Fault),
}

/// What was restored, or would be.
#[derive(Debug)]
pub struct Restored {
    /// The end of the log of records.
    pub log: Head,
    /// Where it ends in the backup.
    pub backed_up: Head,
    /// The end of the access log, which is never cut.
    pub access: Head,
}

/// Restores a backup into a new data folder, `to`: the log of records up to `cut`, and all of the access log. Without `to` it only checks the
/// backup, every byte of it. `progress` is told the position reached. Blocks.
///
/// The access log is not cut, as what was seen stays seen, and what was revoked stays revoked.
pub fn restore(
    backup: &Reader,
    to: Option<&Path>,
    cut: Cut,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let backed_up = backup.head(Log::Records)?;
    let Some(to) = to else {
        let log = backup.read(Log::Records, cut, &mut |key, _, _| {
            progress(key.first);
            Ok(())
        })?;
        let access = backup.read(Log::Access, Cut::End, &mut |_, _, _| Ok(()))?;
        return Ok(Restored { log, backed_up, access });
    };
    let failed = |error| FolderError::Io { folder: to.to_owned(), error };
    let is_empty = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed(error).into()),
    };
    if !is_empty {
        return Err(RestoreError::NotEmpty(to.to_owned()));
    }
    let folder = Folder::take(to)?;
    let restored = fill(backup, &folder, cut, progress);
    match restored {
        Ok((log, access)) => {
            folder.is_whole().map_err(failed)?;
            Ok(Restored { log, backed_up, access })
        }
        Err(error) => {
            drop(folder);
            // It held nothing but what came from the backup. Where it cannot be removed, its mark keeps a server from using it.
            let _ = fs::remove_dir_all(to);
            Err(error)
        }
    }
}

fn fill(
    backup: &Reader,
    folder: &Folder,
    cut: Cut,
    progress: &mut dyn FnMut(u64),
) -> Result<(Head, Head), RestoreError> {
    folder.is_unfinished().map_err(|error| FolderError::Io { folder: folder.journal(), error })?;
    folder.close()?;
    let log = load(backup, Log::Records, cut, &folder.journal(), progress)?;
    if log == Head::EMPTY {
        return Err(RestoreError::NothingYet);
    }
    let access = load(backup, Log::Access, Cut::End, &folder.access(), &mut |_| {})?;
    Ok((log, access))
}

/// Writes a log into a fresh journal, and reads it back.
fn load(
    backup: &Reader,
    log: Log,
    cut: Cut,
    folder: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Head, RestoreError> {
    rights::make_folder(folder).map_err(|error| FolderError::Io { folder: folder.to_owned(), error })?;
    let journal = SledJournal::open(folder, disk::Options::default())?;
    let mut loader = disk::Loader::new(&journal);
    let head = backup.read(log, cut, &mut |key, frame, commit| {
        loader.push(key, frame);
        let Some(head) = commit else { return Ok(()) };
        progress(head.position);
        loader.commit(head)
    })?;
    loader.finish().map_err(ReadError::Sink)?;
    let verified = journal.verify(&mut |_| {}).map_err(RestoreError::ReadBack)?;
    if verified.head != head {
        let what = "it ends elsewhere".to_owned();
        return Err(RestoreError::ReadBack(Fault { position: verified.head.position, what }));
    }
    Ok(head)
}
