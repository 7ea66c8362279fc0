//! The manifest: which segments there are, and where both logs end.

use std::{fs, io::ErrorKind, path::Path};

use jiff::Timestamp;
use satgas_journal::Head;
use serde::{Deserialize, Serialize};

use crate::{
    Io, Log, MANIFEST, io,
    note::{LogHead, NoteError, PublicKey},
    segment::Segment,
};

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;
/// Bytes that a manifest may have: some hundred thousand segments.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What `manifest.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Version of the folder's form.
    pub(crate) satgas_backup: u32,
    /// Id of the log.
    pub(crate) log_id: String,
    /// Time zone in which the log counts days.
    pub(crate) time_zone: String,
    /// The server's time when the log's head was signed: everything recorded before is in here.
    pub(crate) taken_at: Timestamp,
    /// Public half of the key that signs the heads.
    pub(crate) key: String,
    /// The log of records.
    pub(crate) records: Part,
    /// The access log.
    pub(crate) access: Part,
}

/// One log in the manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// Its signed head.
    pub(crate) head: String,
    /// Its segments, in order.
    pub(crate) segments: Vec<Segment>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] Io),
    /// It says what no manifest says.
    #[error("the manifest is damaged: {0}")]
    Damaged(String),
    /// A newer program wrote it.
    #[error("the backup has version {0}, and this program reads up to {VERSION}: use the newer program")]
    Newer(u32),
    /// A head is not signed with the key.
    #[error("the head of {log}: {error}")]
    Head {
        /// Of which log.
        log: Log,
        /// What is wrong with it.
        error: NoteError,
    },
}

impl Manifest {
    pub(crate) fn new(head: &LogHead, key: &PublicKey, about: (Timestamp, String), parts: [Part; 2]) -> Self {
        let (taken_at, time_zone) = about;
        let [records, access] = parts;
        let (log_id, key) = (head.log_id.clone(), key.to_string());
        Self { satgas_backup: VERSION, log_id, time_zone, taken_at, key, records, access }
    }

    /// Reads the manifest of a folder and checks its form; `None` when there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, ManifestError> {
        let path = folder.join(MANIFEST);
        match fs::metadata(&path) {
            Ok(about) if about.len() > BYTES_MAX => return Err(ManifestError::Damaged("it is too long".to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let text = fs::read(&path).map_err(io(&path))?;
        #[derive(Deserialize)]
        struct Version {
            satgas_backup: u32,
        }
        let damaged = |error: serde_json::Error| ManifestError::Damaged(error.to_string());
        let Version { satgas_backup: version } = serde_json::from_slice(&text).map_err(damaged)?;
        if version > VERSION {
            return Err(ManifestError::Newer(version));
        }
        if version == 0 {
            return Err(ManifestError::Damaged("it has no version".to_owned()));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(damaged)?;
        for log in Log::ALL {
            manifest.check(log).map_err(ManifestError::Damaged)?;
        }
        Ok(Some(manifest))
    }

    pub(crate) fn part(&self, log: Log) -> &Part {
        match log {
            Log::Records => &self.records,
            Log::Access => &self.access,
        }
    }

    /// The head of a log, signed with a key.
    pub(crate) fn head(&self, log: Log, key: &PublicKey) -> Result<Head, ManifestError> {
        let part = self.part(log);
        let signed = LogHead::open(&part.head, key).map_err(|error| ManifestError::Head { log, error })?;
        if signed.log_id != self.log_id || signed.log != log {
            return Err(ManifestError::Head { log, error: NoteError::NotSigned });
        }
        let last = part.segments.last().map_or(0, |segment| segment.last);
        if last != signed.head.position {
            let what = format!("{log} ends at {last}, and the head that was signed is {}", signed.head.position);
            return Err(ManifestError::Damaged(what));
        }
        Ok(signed.head)
    }

    /// Whether the segments of a log follow one another and are named as they must be.
    fn check(&self, log: Log) -> Result<(), String> {
        let mut next = 1;
        for segment in &self.part(log).segments {
            if segment.file != log.segment(segment.first) || segment.first != next || segment.last < segment.first {
                return Err(format!("{} does not follow position {} of {log}", segment.file, next - 1));
            }
            next = segment.last + 1;
        }
        Ok(())
    }
}
