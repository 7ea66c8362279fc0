//! What can go wrong, by what is asked for. Each variant says what the caller can do.

use satgas_journal as journal;

/// Why an engine was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] journal::ReadError),
    /// The first event of a new log could not be written.
    #[error(transparent)]
    Append(#[from] journal::AppendError),
    /// An event in the log is none: the log was written by something else, or by a later version.
    #[error("the event at position {position} cannot be decoded: was the log written by a later version?")]
    Event {
        /// Its position.
        position: u64,
    },
    /// The time zone is not known.
    #[error("the time zone is not known: {0}")]
    TimeZone(#[from] jiff::Error),
    /// The folder of checkpoints cannot be used.
    #[error("the folder of checkpoints cannot be used: {0}")]
    Checkpoints(std::io::Error),
    /// The vault cannot be opened.
    #[error("the vault cannot be opened: {0}")]
    Vault(#[from] crate::vault::VaultError),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Why nothing was written. None of these leaves anything behind: sending the same again is safe.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Too much waits already: try again after the given time.
    #[error("the queue is full: try again in a moment")]
    QueueFull,
    /// Larger than anything that is taken: make it smaller.
    #[error("the request is larger than {limit} bytes: send less at a time")]
    TooLarge {
        /// The most that is taken at once.
        limit: usize,
    },
    /// The server is stopping: try again when it is back.
    #[error("the server is stopping: try again when it is back")]
    Closed,
    /// The disk is full: try again when there is room.
    #[error("the disk is full, nothing is taken until there is room: {0}")]
    DiskFull(String),
    /// Whether the same was taken before cannot be read from the log, so nothing was written: check the log with `satgas verify`.
    #[error("the log cannot be read at position {position}, check it: {cause}")]
    Unreadable {
        /// Where it may have been taken before.
        position: u64,
        /// Why it cannot be read.
        cause: String,
    },
    /// Writing failed: whether this was written is unknown until the restart, and sending the same again then tells.
    #[error("writing to the log failed, the server must be restarted: {0}")]
    Failed(String),
}

impl From<&journal::AppendError> for WriteError {
    fn from(error: &journal::AppendError) -> Self {
        match error {
            journal::AppendError::DiskFull { .. } => Self::DiskFull(error.to_string()),
            journal::AppendError::TooLarge { limit, .. } => Self::TooLarge { limit: *limit },
            journal::AppendError::WrongPosition { .. }
            | journal::AppendError::Failed { .. }
            | journal::AppendError::Poisoned { .. } => Self::Failed(error.to_string()),
        }
    }
}

/// Why a query was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The position asked for was never given out by this log.
    #[error("position {position} lies beyond the log's end at {head}")]
    BeyondHead {
        /// What was asked for.
        position: u64,
        /// The last position.
        head: u64,
    },
    /// The moment asked for has not come.
    #[error("the moment asked for lies in the future")]
    Future,
    /// The moment asked for lies before the log's first event.
    #[error("the moment asked for lies before the log was opened")]
    BeforeLog,
    /// The log cannot be read for it; the log of the server says why.
    #[error("the log cannot be read for this moment of the past")]
    Unreadable,
    /// The server is stopping.
    #[error("the server is stopping: try again when it is back")]
    Closed,
}

/// Why events were not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The position asked for was never given out by this log.
    #[error("position {position} lies beyond the log's end at {head}")]
    BeyondHead {
        /// What was asked for.
        position: u64,
        /// The last position.
        head: u64,
    },
    /// The log could not be read.
    #[error(transparent)]
    Journal(journal::ReadError),
    /// An event in the log is none.
    #[error("an event after position {0} cannot be decoded")]
    Event(u64),
    /// The server is stopping.
    #[error("the server is stopping: try again when it is back")]
    Closed,
}

impl From<journal::ReadError> for ReadError {
    fn from(error: journal::ReadError) -> Self {
        match error {
            journal::ReadError::BeyondHead { after, head } => Self::BeyondHead { position: after, head },
            other => Self::Journal(other),
        }
    }
}
