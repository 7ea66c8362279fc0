//! What is known of a segment, counted frame by frame when it is written and again when it is read.

use jiff::Timestamp;
use prost::{
    Message as _,
    encoding::{WireType, decode_key, decode_varint},
};
use satgas_journal::frame::{Damage, Frame};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Log;

/// A segment as the manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    /// Name of its file.
    pub(crate) file: String,
    /// Position of its first record.
    pub(crate) first: u64,
    /// Position of its last one.
    pub(crate) last: u64,
    /// When its first record was recorded.
    pub(crate) first_at: Timestamp,
    /// When its last one was.
    pub(crate) last_at: Timestamp,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits as `sha256sum` prints it.
    pub(crate) sha256: String,
}

/// Counts the frames of a segment.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    first: Option<(u64, Timestamp)>,
    last: u64,
    /// The last frame in which a record begins.
    begins: Vec<u8>,
    bytes: u64,
    sha256: Sha256,
}

impl Scan {
    /// Takes the next frame, which the walk has checked.
    pub(crate) fn take(&mut self, frame: &Frame<'_>, bytes: &[u8]) -> Result<(), String> {
        if self.first.is_none() {
            let record = frame.first_record().map_err(|damage| damage.to_string())?;
            let record = record.ok_or("it begins inside a record")?;
            self.first = Some((frame.key.first, recorded_at(&record).ok_or(NO_TIME)?));
        }
        if !frame.continued {
            self.begins.clear();
            self.begins.extend_from_slice(bytes);
        }
        self.last = frame.end();
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was counted.
    pub(crate) fn end(self, log: Log) -> Result<Segment, String> {
        let (first, first_at) = self.first.ok_or("it is empty")?;
        let frame = Frame::decode(&self.begins).map_err(|damage| damage.to_string())?;
        let last_at = last_recorded_at(&frame).map_err(|damage| damage.to_string())?.ok_or(NO_TIME)?;
        let (bytes, last) = (self.bytes, self.last);
        let sha256 = self.sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Segment { file: log.segment(first), first, last, first_at, last_at, bytes, sha256 })
    }
}

const NO_TIME: &str = "a record in it does not begin with its position and its time";

/// When the last record that begins in a frame was recorded; `None` where none begins, or it does not say.
pub(crate) fn last_recorded_at(frame: &Frame<'_>) -> Result<Option<Timestamp>, Damage> {
    Ok(frame.last_record()?.and_then(|last| recorded_at(&last)))
}

/// The time that a record of either log begins with: field 2, behind its position. The record may be cut off behind that.
fn recorded_at(mut record: &[u8]) -> Option<Timestamp> {
    loop {
        match decode_key(&mut record).ok()? {
            (1, WireType::Varint) => drop(decode_varint(&mut record).ok()?),
            (2, WireType::LengthDelimited) => {
                let len = usize::try_from(decode_varint(&mut record).ok()?).ok()?;
                let at = pbjson_types::Timestamp::decode(record.get(..len)?).ok()?;
                return Timestamp::new(at.seconds, at.nanos).ok();
            }
            _ => return None,
        }
    }
}
