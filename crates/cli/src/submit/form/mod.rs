//! CSV exports of forms that were filled in with KoboToolbox or ODK, read by a mapping.
//!
//! Invariants: only columns that the mapping names are looked at, kept or written anywhere, since a form may hold what identifies a
//! person; no reason repeats a cell; the same row gives the same submission however often and in whatever order it is exported, so
//! sending an export again records nothing twice.

mod fill;
mod header;
mod identity;
mod mapping;
mod repeats;
mod sheet;
mod source;
mod values;

use std::{
    fmt,
    io::BufRead,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;

use self::{
    header::{Header, Layout},
    mapping::Mapping,
    repeats::{Files, Repeats},
    sheet::Sheet,
};
use super::{
    lines::{Line, checked},
    rejected::{Original, Reason, Refused},
};

/// How the rows of an export become records.
#[derive(Clone, Debug)]
pub(super) struct Form {
    mapping: Box<Mapping>,
    files: Files,
}

impl Form {
    /// A form without repeats, from the text of its mapping.
    #[cfg(feature = "fuzz")]
    pub(super) fn without_repeats(mapping: &str) -> anyhow::Result<Self> {
        let mapping = Box::new(Mapping::parse(mapping)?);
        anyhow::ensure!(mapping.repeats.is_empty(), "repeats lie in files of their own");
        Ok(Self { mapping, files: Files::default() })
    }

    /// Reads a mapping file, and finds the files of its repeats: those that are `named`, the others in the export's folder.
    ///
    /// # Errors
    /// Everything that is wrong with the mapping, or which file is missing.
    pub(super) fn of(mapping: &Path, folder: &Path, named: &[(String, PathBuf)]) -> anyhow::Result<Self> {
        let mapping = Box::new(Mapping::read(mapping)?);
        let files = repeats::find(&mapping, folder, named)?;
        Ok(Self { mapping, files })
    }
}

/// What a row of an export had in the columns that are looked at.
#[derive(Clone)]
pub(super) struct ExportRow {
    layout: Arc<Layout>,
    cells: csv::ByteRecord,
    /// Paths of entries that come from rows of repeats, and which rows these are.
    origins: Vec<(String, String)>,
}

impl ExportRow {
    fn of(layout: &Arc<Layout>, record: &csv::ByteRecord) -> Self {
        let cells = layout.places.iter().map(|&place| record.get(place).unwrap_or_default()).collect();
        Self { layout: Arc::clone(layout), cells, origins: Vec::new() }
    }

    /// The export's separator.
    pub(super) fn delimiter(&self) -> u8 {
        self.layout.delimiter
    }

    /// The export's names of the columns.
    pub(super) fn columns(&self) -> &[String] {
        &self.layout.columns
    }

    /// What stands in them.
    pub(super) fn cells(&self) -> &csv::ByteRecord {
        &self.cells
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.cells.as_slice().len()
    }

    /// What gives a field, by the path that the server uses for it: "column `x`", or "tindak_lanjut.csv line 7".
    pub(super) fn origin_of(&self, field: &str) -> Option<String> {
        let within = |path: &str| field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if let Some((_, origin)) = self.origins.iter().find(|(path, _)| within(path)) {
            return Some(origin.clone());
        }
        // `topics[2]` is an entry of what one column gives.
        let list = field.strip_suffix(']').and_then(|field| field.rsplit_once('[')).map(|(list, _)| list);
        let columns = &self.layout.by_field;
        columns.get(field).or_else(|| columns.get(list?)).map(|column| format!("column `{column}`"))
    }
}

impl PartialEq for ExportRow {
    fn eq(&self, other: &Self) -> bool {
        self.columns() == other.columns() && self.cells == other.cells
    }
}

/// Cells may tell of a person: only their columns are shown.
impl fmt::Debug for ExportRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ExportRow").field("columns", &self.columns()).finish_non_exhaustive()
    }
}

/// Reads an export row by row until `take` has had enough.
///
/// # Errors
/// When a file cannot be read, is no CSV, or lacks a column that the mapping names.
pub(super) fn read(
    input: impl BufRead,
    Form { mapping, files }: &Form,
    zone_of_log: &TimeZone,
    mut take: impl FnMut(Line) -> bool,
) -> anyhow::Result<()> {
    let zone = mapping.zone(zone_of_log);
    let mut sheet = Sheet::open(input, mapping.delimiter)?;
    let repeats = Repeats::read(mapping, files, &sheet.names)?;
    let header = Header::new(&sheet.names, mapping, sheet.delimiter, repeats.parent_places())?;
    let mut cells = csv::ByteRecord::new();
    let mut last_line = 1;
    while let Some(number) = sheet.next(&mut cells)? {
        last_line = number;
        repeats.claim(&cells);
        let mut row = ExportRow::of(&header.layout, &cells);
        let record = match sheet.misfit(&cells) {
            Some(reason) => Err(vec![Reason::new("", reason)]),
            None => fill::submission(mapping, &header, &repeats, &cells, &zone).and_then(|filled| {
                row.origins = filled.origins;
                checked(number, filled.submission).map_err(|refused| refused.reasons)
            }),
        };
        let refuse = |reasons| Refused { line: number, reasons, original: Original::Export(row.clone()) };
        let record = record.map_err(refuse);
        if !take(Line { number, end_offset: sheet.end_offset(), record, row: Some(row) }) {
            return Ok(());
        }
    }
    // A file of rejected rows holds some parents only; the others' rows are no orphans.
    let orphans = if header.holds_rejected { Vec::new() } else { repeats.orphans() };
    for (file, line) in orphans {
        let reason = Reason::new(file, format!("line {line}: no row of the export is its parent"));
        let refused = Refused { line, reasons: vec![reason], original: Original::Orphan };
        if !take(Line { number: last_line, end_offset: sheet.end_offset(), record: Err(refused), row: None }) {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
