//! A backup of a data folder that no server has: the same frames and signed heads as [`BackupService`](crate::backup) streams, read from the
//! logs themselves. For a machine whose server does not start, or is not to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use prost::Message as _;
use satgas_backup::{
    About, Backup, BackupError, Disk, Done, Log,
    note::{LogHead, PublicKey},
};
use satgas_engine::Clock;
use satgas_journal::{Head, Journal as _, OpenError, ReadError, SledJournal, disk};
use satgas_proto::v1::{self, access_event::Body};

use crate::{
    AccessOpenError, FolderError, KeyError,
    access::AccessLog,
    backup::MESSAGE_BYTES,
    folder::{Folder, open_journal},
    identity::{HeadKey, Keys},
};

/// Why a data folder was not backed up. The backup is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum OfflineBackupError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A server has it.
    #[error("{0}; or leave --data out: then the backup is taken from the server while it runs")]
    Served(FolderError),
    /// There is no key to sign with.
    #[error(
        "there is no {0}, which signs where a backup ends: a server makes it at its first start; put it back from its copy, or start the \
         server once"
    )]
    NoKey(PathBuf),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The log of records does not open.
    #[error(
        "the log cannot be opened: {0}; `satgas recover` saves what is whole into a new folder, which can be backed up"
    )]
    Journal(#[from] OpenError),
    /// The access log does not open.
    #[error(
        "the access log cannot be opened: {0}; `satgas recover` saves what is whole into a new folder, which can be backed up"
    )]
    Access(#[from] AccessOpenError),
    /// A log cannot be read.
    #[error("the log cannot be read: {0}; `satgas verify` says where it is damaged")]
    Read(#[from] ReadError),
    /// The log does not begin as every log does.
    #[error("the log does not begin with its opening: is this a data folder?")]
    Beginning,
    /// The backup cannot be written, or is another log's.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The work did not come to its end.
    #[error("the backup did not come to its end: {0}")]
    Work(#[from] tokio::task::JoinError),
}

/// What was backed up.
#[derive(Debug)]
pub struct OfflineBackup {
    /// What was added, and where each log ends.
    pub done: Done,
    /// Public half of the key that signed the heads.
    pub key: String,
    /// Why the data folder has no record of the backup, if it has none: the backup is whole all the same.
    pub unrecorded: Option<String>,
}

/// What is open of a data folder.
struct Opened {
    /// Ours until the end.
    _folder: Folder,
    records: SledJournal,
    access: AccessLog,
    key: HeadKey,
    log_id: String,
    time_zone: String,
}

/// Backs up the data folder `data` into `backup`, or what is new of it. `progress` is told the position reached.
pub async fn back_up_folder(
    data: &Path,
    backup: Backup<Disk>,
    clock: Arc<dyn Clock>,
    progress: impl FnMut(u64) + Send + 'static,
) -> Result<OfflineBackup, OfflineBackupError> {
    let path = data.to_owned();
    let copied = tokio::task::spawn_blocking(move || {
        let opened = open(&path, Arc::clone(&clock))?;
        let copied = copy(&opened, backup, clock.as_ref(), progress);
        // An access log that is open has a writer, which must be ended.
        if copied.is_err() {
            opened.access.shutdown();
        }
        copied.map(|(done, key)| (opened, done, key))
    });
    let (opened, done, key) = copied.await??;
    let [records, access] = done.heads.map(|head| head.position);
    // By nobody's token: whoever has the folder needs none.
    let confirmed = v1::BackupConfirmed { records_position: records, access_position: access, ..Default::default() };
    let recorded = opened.access.record(Body::BackupConfirmed(confirmed)).await;
    tokio::task::spawn_blocking(move || opened.access.shutdown()).await?;
    Ok(OfflineBackup { done, key, unrecorded: recorded.err().map(|error| error.to_string()) })
}

fn open(data: &Path, clock: Arc<dyn Clock>) -> Result<Opened, OfflineBackupError> {
    // A mistyped folder must not become one.
    if !data.join("journal").is_dir() || !data.join("access").is_dir() {
        return Err(FolderError::NoLog(data.to_owned()).into());
    }
    let mut folder = Folder::take(data).map_err(|error| match error {
        FolderError::InUse { .. } => OfflineBackupError::Served(error),
        error => error.into(),
    })?;
    folder.sign("backing up").map_err(|error| FolderError::Io { folder: data.to_owned(), error })?;
    let heads = Keys::heads_file(&folder.keys());
    if !heads.is_file() {
        return Err(OfflineBackupError::NoKey(heads));
    }
    let keys = Keys::open(folder.keys())?;
    let records = open_journal(&folder, disk::Options::default())?;
    let first = records.record(1)?.ok_or(OfflineBackupError::Beginning)?;
    let Some(v1::event::Body::LogOpened(v1::LogOpened { log_id, time_zone, .. })) =
        v1::Event::decode(first).ok().and_then(|event| event.body)
    else {
        return Err(OfflineBackupError::Beginning);
    };
    let access = AccessLog::open(&folder.access(), keys.id(), clock)?;
    Ok(Opened { _folder: folder, records, access, key: keys.heads(), log_id, time_zone })
}

/// Copies both logs up to their ends. The key that signed them.
fn copy(
    opened: &Opened,
    mut backup: Backup<Disk>,
    clock: &dyn Clock,
    mut progress: impl FnMut(u64),
) -> Result<(Done, String), OfflineBackupError> {
    let taken_at = clock.now();
    let key = PublicKey::of(&opened.log_id, &opened.key.0).to_string();
    for log in Log::ALL {
        let head = match log {
            Log::Records => opened.records.head(),
            Log::Access => opened.access.head(),
        };
        let Head { position: mut after, hash } = backup.head(log)?;
        let signed = LogHead { log_id: opened.log_id.clone(), log, head };
        backup.begin(log, &signed.sign(&opened.key.0), &key)?;
        let there = match log {
            Log::Records => opened.records.frame_hash(after),
            Log::Access => opened.access.frame_hash(after),
        };
        if there? != Some(hash) {
            return Err(backup.diverged(log).into());
        }
        while after < head.position {
            let frames = match log {
                Log::Records => opened.records.copy(after, head.position, MESSAGE_BYTES),
                Log::Access => opened.access.copy(after, head.position, MESSAGE_BYTES),
            };
            after = backup.take(&frames?)?;
            if log == Log::Records {
                progress(after);
            }
        }
        backup.end()?;
    }
    let done = backup.finish(About { taken_at, time_zone: opened.time_zone.clone() })?;
    Ok((done, key))
}
