//! Records that were refused, with their reasons, in a file that can be mended and sent again.
//!
//! One JSON object a line: `{"line":N,"reasons":[{"field","reason"}],"submission":{...}}`. A row of a CSV file that is no record
//! yet stands as `"row":{column: cell}` instead; a line that is not even JSON as a string in `"submission"`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use satgas_proto::v1;
use serde::Serialize;
use serde_json::Value;

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
    file: Option<BufWriter<File>>,
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
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = File::create(&self.path).with_context(|| self.path.display().to_string())?;
                self.file.insert(BufWriter::new(file))
            }
        };
        serde_json::to_writer(&mut *file, refused)?;
        Ok(file.write_all(b"\n")?)
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }

    /// Where the file is, when there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.is_some().then_some(&*self.path)
    }
}
