//! The way back in: whoever owns the data folder owns the server, so a new operator's token can always be made on its machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use satgas_domain::time::Instant;
use satgas_engine::Clock;

use crate::{
    AccessOpenError, EnsureError, FolderError, KeyError,
    access::AccessLog,
    folder::Folder,
    identity::{Identity, Keys},
};

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The folder cannot be used, or a server uses it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The access log cannot be opened.
    #[error("the access log cannot be opened: {0}")]
    Access(#[from] AccessOpenError),
    /// It cannot be recorded or written.
    #[error(transparent)]
    Operator(#[from] EnsureError),
}

/// A token that was recovered.
#[derive(Debug)]
pub struct RecoveredToken {
    /// Its id.
    pub token_id: String,
    /// The file with its secret.
    pub file: PathBuf,
}

/// Issues a new token for the operator of a data folder that no server uses, records that, and ends the one that it replaces. With
/// `new_key` the key that signs tokens is exchanged first, which ends every token.
pub async fn recover_operator(
    data: &Path,
    new_key: bool,
    clock: Arc<dyn Clock>,
) -> Result<RecoveredToken, OperatorError> {
    let now = Instant::from_jiff(clock.now());
    let path = data.to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&path, new_key, clock)).await;
    let (folder, keys, access) = opened.unwrap_or_else(|error| {
        let error = std::io::Error::other(error);
        Err(FolderError::Io { folder: data.to_owned(), error }.into())
    })?;
    let token_id = Identity::of_server(Arc::clone(&access), &keys).recover_operator(&keys, now).await;
    let file = keys.operator_token();
    // What was recorded is durable; that the writer could not be joined changes nothing.
    let _ = tokio::task::spawn_blocking(move || access.shutdown()).await;
    drop(folder);
    Ok(RecoveredToken { token_id: token_id?, file })
}

fn open(data: &Path, new_key: bool, clock: Arc<dyn Clock>) -> Result<(Folder, Keys, Arc<AccessLog>), OperatorError> {
    // A mistyped folder must not become one.
    if !data.join("access").is_dir() {
        return Err(FolderError::NoLog(data.to_owned()).into());
    }
    let mut folder = Folder::take(data)?;
    let io = |error| FolderError::Io { folder: data.to_owned(), error };
    folder.sign("recovering the operator's token").map_err(io)?;
    let mut keys = Keys::open(folder.keys())?;
    if new_key {
        keys.exchange()?;
    }
    let access = Arc::new(AccessLog::open(&folder.access(), keys.id(), clock)?);
    Ok((folder, keys, access))
}
