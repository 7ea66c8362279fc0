//! Records that were refused, with their reasons, in a file that can be mended and sent again.
//!
//! One JSON object a line: `{"line":N,"reasons":[{"field","reason"}],"submission":{...}}`. A row of a CSV file that is no record
//! yet stands as `"row":{column: cell}` instead; a line that is not even JSON as a string in `"submission"`. Rows of a form's export
//! are written as CSV with the export's own columns, those that the mapping names, and two that say where and why.
//!
//! Invariants:
//! - The file appears under its name only when it is whole; until then it is written beside it.
//! - Only its owner reads it: records are in it as they were written.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use satgas_proto::v1;
use serde::Serialize;
use serde_json::Value;

use super::form::ExportRow;
use crate::secret::create_private;

/// Columns that are added to a form's export; no question has such a name.
const SHEET_COLUMNS: [&str; 2] = [LINE_COLUMN, "satgas_reasons"];
/// The first of them: a file that has it is one of rejected rows.
pub(super) const LINE_COLUMN: &str = "satgas_line";

/// Why a field is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// Path of the field, or the column; empty for the whole record.
    pub(super) field: String,
    /// What is wrong, and what is taken.
    pub(super) reason: String,
}

impl Reason {
    /// A reason for a field.
    pub(super) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl From<v1::Violation> for Reason {
    fn from(violation: v1::Violation) -> Self {
        Self::new(violation.field, violation.reason)
    }
}

/// What was refused, as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Original {
    /// A record, or what should have been one.
    Submission(Value),
    /// A row of a CSV file by its columns.
    Row(BTreeMap<String, String>),
    /// A row of a form's export, which is written as CSV.
    #[serde(skip)]
    Export(ExportRow),
    /// A row of a repeat whose record is not in the export: it stays where it is.
    #[serde(skip)]
    Orphan,
}

/// A refused record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Refused {
    /// Line in the file, from 1.
    pub(super) line: u64,
    /// Every reason.
    pub(super) reasons: Vec<Reason>,
    /// What was refused.
    #[serde(flatten)]
    pub(super) original: Original,
}

/// The file of refused records. It is made with the first one.
#[derive(Debug)]
pub(super) struct Rejections {
    path: PathBuf,
    file: Option<Writing>,
}

/// What is written, by what was refused first: a file has rows of an export only, or none.
#[derive(Debug)]
enum Writing {
    Lines(BufWriter<File>),
    Sheet(Box<csv::Writer<File>>),
}

impl Rejections {
    /// Nothing refused yet.
    pub(super) fn to(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Adds a refused record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&mut self, refused: &Refused) -> anyhow::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => begin(&self.part(), &refused.original)?,
        };
        match (self.file.insert(file), &refused.original) {
            (Writing::Lines(lines), _) => {
                serde_json::to_writer(&mut *lines, refused)?;
                Ok(lines.write_all(b"\n")?)
            }
            (Writing::Sheet(sheet), Original::Export(row)) => write_row(sheet, refused, row),
            (Writing::Sheet(_), _) => bail!("a record that is no row of the export was refused"),
        }
    }

    /// Writes out what is buffered and gives the file its name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        match &mut self.file {
            None => return Ok(()),
            Some(Writing::Lines(lines)) => lines.flush()?,
            Some(Writing::Sheet(sheet)) => sheet.flush()?,
        }
        fs::rename(self.part(), &self.path).with_context(|| self.path.display().to_string())
    }

    /// Where the file is, when there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.is_some().then_some(&*self.path)
    }

    /// Where it is until it is whole.
    fn part(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".part");
        name.into()
    }
}

fn begin(path: &Path, first: &Original) -> anyhow::Result<Writing> {
    let file = create_private(path)?;
    let Original::Export(row) = first else { return Ok(Writing::Lines(BufWriter::new(file))) };
    let mut sheet = csv::WriterBuilder::new().delimiter(row.delimiter()).from_writer(file);
    sheet.write_record(row.columns().iter().map(String::as_str).chain(SHEET_COLUMNS))?;
    Ok(Writing::Sheet(Box::new(sheet)))
}

fn write_row(sheet: &mut csv::Writer<File>, refused: &Refused, row: &ExportRow) -> anyhow::Result<()> {
    let reasons = refused.reasons.iter().map(|Reason { field, reason }| match row.origin_of(field) {
        // The server knows fields; who mends the row knows columns.
        Some(origin) if !reason.starts_with("column `") => format!("{field}: {origin} {reason}"),
        _ if field.is_empty() => reason.clone(),
        _ => format!("{field}: {reason}"),
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    for cell in row.cells() {
        sheet.write_field(cell)?;
    }
    sheet.write_field(refused.line.to_string())?;
    sheet.write_field(reasons)?;
    Ok(sheet.write_record(None::<&[u8]>)?)
}
