//! Files of records, read from bytes without a thread and without a server.

use jiff::tz::TimeZone;
use satgas_proto::v1::Submission;

use super::{
    form::{self, Form},
    lines::{Line, read_json},
    rows,
};

/// What bytes are read as.
#[derive(Clone, Copy, Debug)]
pub enum Reading<'a> {
    /// A record a line, or a line of a file of rejected records.
    Jsonl,
    /// School visits and monthly reports in columns.
    Csv,
    /// An export of a form, by the text of a mapping without repeats.
    Export(&'a str),
}

/// One line.
#[derive(Debug)]
pub struct Read {
    /// Its number, from 1.
    pub number: u64,
    /// Where it ends, in bytes from the beginning.
    pub end_offset: u64,
    /// The record, or why it is none.
    pub record: Result<Submission, Refusal>,
}

/// A line that is no record.
#[derive(Debug)]
pub struct Refusal {
    /// Fields, and what is wrong with them.
    pub reasons: Vec<(String, String)>,
    /// The line of the file of rejected records; nothing for a row of an export, which is written as CSV.
    pub written: Option<String>,
}

/// Reads all lines. Times without an offset are local to Asia/Makassar.
///
/// # Errors
/// When the file, or the mapping, cannot be read at all.
pub fn read(bytes: &[u8], reading: Reading<'_>) -> anyhow::Result<Vec<Read>> {
    let zone = TimeZone::get("Asia/Makassar")?;
    let mut all = Vec::new();
    let take = |line: Line| {
        all.push(line);
        true
    };
    match reading {
        Reading::Jsonl => read_json(bytes, &zone, take)?,
        Reading::Csv => rows::read(bytes, &zone, take)?,
        Reading::Export(mapping) => form::read(bytes, &Form::without_repeats(mapping)?, &zone, take)?,
    }
    let read = |Line { number, end_offset, record, .. }: Line| {
        let record = record.map_err(|refused| Refusal {
            written: serde_json::to_string(&refused).ok(),
            reasons: refused.reasons.into_iter().map(|reason| (reason.field, reason.reason)).collect(),
        });
        Read { number, end_offset, record }
    };
    Ok(all.into_iter().map(read).collect())
}
