//! From a file to records, line by line, in a thread of its own so that a slow pipe never holds up a receipt.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read},
    thread,
};

use jiff::tz::TimeZone;
use prost::Message as _;
use satgas_proto::v1::Submission;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    form::{self, ExportRow, Form},
    rejected::{Original, Reason, Refused},
    rows,
};

/// Longer lines are not read into memory.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Larger records are refused here; the server's own limit is far below.
const RECORD_BYTES_MAX: usize = 256 << 10;
/// Parsed lines that wait to be taken.
const QUEUE_LINES: usize = 64;

/// One line of the file.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Where it ends, in bytes from the beginning.
    pub(super) end_offset: u64,
    /// The record, or why it is none.
    pub(super) record: Result<Submission, Refused>,
    /// The row of an export that it comes from: that, and not the record, is what can be mended and sent again.
    pub(super) row: Option<ExportRow>,
}

/// What a file is read as.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// A record a line in canonical JSON, or a line of a file of rejected records.
    Jsonl,
    /// School visits and monthly reports in columns.
    Csv,
    /// What a form collected.
    Export(Form),
}

/// Lines as they are read; an error of the file itself is the last item.
pub(super) type Lines = mpsc::Receiver<anyhow::Result<Line>>;

/// Starts reading. Times without an offset are local to `zone`.
pub(super) fn read(input: Box<dyn Read + Send>, reading: Reading, zone: TimeZone) -> Lines {
    let (queue, lines) = mpsc::channel(QUEUE_LINES);
    // Not awaited at the end: it may be blocked on a pipe, and it holds nothing that must be put in order.
    thread::spawn(move || {
        let input = BufReader::with_capacity(1 << 16, input);
        let take = |line| queue.blocking_send(line).is_ok();
        let outcome = match &reading {
            Reading::Jsonl => read_json(input, &zone, |line| take(Ok(line))),
            Reading::Csv => rows::read(input, &zone, |line| take(Ok(line))),
            Reading::Export(form) => form::read(input, form, &zone, |line| take(Ok(line))),
        };
        if let Err(error) = outcome {
            take(Err(error));
        }
    });
    lines
}

pub(super) fn read_json(
    mut input: impl BufRead,
    zone: &TimeZone,
    mut take: impl FnMut(Line) -> bool,
) -> anyhow::Result<()> {
    let (mut number, mut end_offset) = (0, 0);
    let mut text = Vec::new();
    loop {
        let bytes = read_line(&mut input, &mut text)?;
        if bytes == 0 {
            return Ok(());
        }
        number += 1;
        end_offset += bytes;
        if text.trim_ascii().is_empty() {
            continue;
        }
        let record = if text.len() > LINE_BYTES_MAX {
            Err(refuse(number, Reason::new("", "the line is longer than 1 MiB"), Value::Null))
        } else {
            parse(number, &text, zone)
        };
        if !take(Line { number, end_offset, record, row: None }) {
            return Ok(());
        }
    }
}

/// Reads a line into `text`, of an endless one only the beginning, and tells how many bytes it had.
fn read_line(input: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<u64> {
    text.clear();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let mut bytes = u64::try_from(input.take(limit).read_until(b'\n', text)?).unwrap_or(u64::MAX);
    if bytes < limit || text.ends_with(b"\n") {
        return Ok(bytes);
    }
    loop {
        let buffer = input.fill_buf()?;
        let (skip, ended) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(skip);
        bytes += u64::try_from(skip).unwrap_or(u64::MAX);
        if ended {
            return Ok(bytes);
        }
    }
}

fn parse(line: u64, text: &[u8], zone: &TimeZone) -> Result<Submission, Refused> {
    let as_text = || Value::String(String::from_utf8_lossy(text).trim().to_owned());
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| refuse(line, Reason::new("", format!("not JSON: {error}")), as_text()))?;
    match unwrap(value) {
        Ok(Found::Row(cells)) => checked(line, rows::record(line, cells, zone)?),
        Ok(Found::Submission(value)) => {
            let submission = serde_json::from_value(value.clone())
                .map_err(|error| refuse(line, Reason::new("", format!("not a submission: {error}")), value))?;
            checked(line, submission)
        }
        Err((reason, value)) => Err(refuse(line, reason, value)),
    }
}

/// What a line holds.
enum Found {
    Submission(Value),
    Row(BTreeMap<String, String>),
}

/// A line of a file of rejected records holds the record inside.
fn unwrap(value: Value) -> Result<Found, (Reason, Value)> {
    let Value::Object(mut object) = value else { return Ok(Found::Submission(value)) };
    if !object.contains_key("reasons") {
        return Ok(Found::Submission(Value::Object(object)));
    }
    if let Some(row) = object.remove("row") {
        return serde_json::from_value(row.clone())
            .map(Found::Row)
            .map_err(|error| (Reason::new("row", format!("not an object of texts: {error}")), row));
    }
    match object.remove("submission") {
        Some(Value::String(text)) => serde_json::from_str(&text)
            .map(Found::Submission)
            .map_err(|error| (Reason::new("", format!("not JSON: {error}")), Value::String(text))),
        Some(submission) => Ok(Found::Submission(submission)),
        None => Err((Reason::new("submission", "missing beside `reasons`"), Value::Null)),
    }
}

/// The line on which a row of a CSV file begins. The reader counts a line break of two bytes only with the row after it.
pub(super) fn row_number(row: Option<&csv::Position>, first_line: &[u8]) -> u64 {
    row.map_or(0, csv::Position::line) + u64::from(first_line.ends_with(b"\r\n"))
}

/// What must hold of any record before it is sent.
pub(super) fn checked(line: u64, submission: Submission) -> Result<Submission, Refused> {
    let mut reasons = Vec::new();
    if submission.submission_id.is_empty() {
        let reason =
            "missing; it is made before sending, so that sending again records nothing twice (`satgas new-id`)";
        reasons.push(Reason::new("submission_id", reason));
    }
    let bytes = submission.encoded_len();
    if bytes > RECORD_BYTES_MAX {
        reasons.push(Reason::new("", format!("the record has {bytes} bytes, far above what is taken")));
    }
    if reasons.is_empty() { Ok(submission) } else { Err(Refused { line, reasons, original: original(&submission) }) }
}

/// A record as the file of rejected ones keeps it.
pub(super) fn original(submission: &Submission) -> Original {
    Original::Submission(serde_json::to_value(submission).expect("a submission has a canonical JSON form"))
}

fn refuse(line: u64, reason: Reason, value: Value) -> Refused {
    Refused { line, reasons: vec![reason], original: Original::Submission(value) }
}

#[cfg(test)]
mod tests {
    use satgas_proto::v1::submission::{Content, Reporter};

    use super::*;

    const GOOD: &str = r#"{"submissionId":"0198c0de-0000-7000-8000-000000000001","deviceId":"hp-1","deviceSequence":"1",
        "occurredAt":"2026-03-05T02:00:00Z","areaCode":"53.71.04.1001","schoolVisit":{"schoolId":"99900001",
        "purpose":"VISIT_PURPOSE_SOSIALISASI","reach":{"pupilsFemale":12}}}"#;

    fn read_all(text: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        read_json(text.as_bytes(), &TimeZone::UTC, |line| {
            lines.push(line);
            true
        })
        .unwrap();
        lines
    }

    fn one_line(json: &str) -> String {
        json.replace('\n', "")
    }

    #[test]
    fn a_record_is_read_from_its_line_and_empty_lines_are_skipped() {
        let lines = read_all(&format!("\n{}\n  \n", one_line(GOOD)));
        assert_eq!((lines.len(), lines[0].number), (1, 2));
        let submission = lines[0].record.as_ref().unwrap();
        assert_eq!(submission.reporter, Some(Reporter::AreaCode("53.71.04.1001".into())));
        assert!(matches!(submission.content, Some(Content::SchoolVisit(_))));
    }

    #[test]
    fn a_record_without_an_id_is_refused_before_it_is_sent() {
        let lines = read_all(&one_line(GOOD).replace("0198c0de-0000-7000-8000-000000000001", ""));
        let refused = lines[0].record.as_ref().unwrap_err();
        assert_eq!(refused.reasons[0].field, "submission_id");
    }

    #[test]
    fn an_unknown_field_is_named_and_the_record_is_kept() {
        let lines = read_all(&one_line(GOOD).replace("deviceId", "deviceName"));
        let refused = lines[0].record.as_ref().unwrap_err();
        assert!(refused.reasons[0].reason.contains("deviceName"), "{refused:?}");
        assert!(
            matches!(&refused.original, Original::Submission(Value::Object(kept)) if kept.contains_key("deviceName"))
        );
    }

    #[test]
    fn a_refused_record_is_taken_again_as_it_was_written_down() {
        let submission = read_all(&one_line(GOOD)).remove(0).record.unwrap();
        let refused =
            Refused { line: 7, reasons: vec![Reason::new("occurred_at", "future")], original: original(&submission) };
        let again = read_all(&serde_json::to_string(&refused).unwrap()).remove(0).record.unwrap();
        assert_eq!(again, submission);
    }

    #[test]
    fn a_line_that_is_no_json_survives_as_text_and_is_read_once_mended() {
        let broken = one_line(GOOD).replacen('{', "", 1);
        let refused = read_all(&broken).remove(0).record.unwrap_err();
        let mended = Refused { original: Original::Submission(Value::String(one_line(GOOD))), ..refused.clone() };
        assert_eq!(refused.original, Original::Submission(Value::String(broken)));
        assert!(read_all(&serde_json::to_string(&mended).unwrap()).remove(0).record.is_ok());
    }

    #[test]
    fn an_endless_line_is_skipped_and_the_next_one_read() {
        let text = format!("{}\n{}\n", "x".repeat(3 * LINE_BYTES_MAX), one_line(GOOD));
        let lines = read_all(&text);
        assert!(lines[0].record.as_ref().unwrap_err().reasons[0].reason.contains("1 MiB"));
        assert!(lines[1].record.is_ok());
        assert_eq!(lines[1].end_offset, u64::try_from(text.len()).unwrap());
    }
}
