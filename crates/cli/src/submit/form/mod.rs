//! CSV exports of forms that were filled in with KoboToolbox or ODK, read by a mapping.
//!
//! Invariants: only columns that the mapping names are looked at, kept or written anywhere, since a form may hold what identifies a
//! person; no reason repeats a cell; the same row gives the same submission however often and in whatever order it is exported, so
//! sending an export again records nothing twice.

mod fill;
mod header;
mod identity;
mod mapping;
mod source;
mod values;

use std::{
    cell::Cell,
    fmt,
    io::{self, BufRead, Read},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use self::{
    header::{Header, Layout},
    mapping::Mapping,
};
use super::{
    lines::{Line, checked, row_number},
    rejected::{Original, Reason, Refused},
};

/// Longer rows are not read into memory.
const ROW_BYTES_MAX: usize = 1 << 20;

/// How the rows of an export become records.
#[derive(Clone, Debug)]
pub(super) struct Form(Box<Mapping>);

impl Form {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn of(mapping: &Path) -> anyhow::Result<Self> {
        Ok(Self(Box::new(Mapping::read(mapping)?)))
    }
}

/// What a row of an export had in the columns that are looked at.
#[derive(Clone)]
pub(super) struct ExportRow {
    layout: Arc<Layout>,
    cells: csv::ByteRecord,
}

impl ExportRow {
    fn of(layout: &Arc<Layout>, record: &csv::ByteRecord) -> Self {
        let cells = layout.places.iter().map(|&place| record.get(place).unwrap_or_default()).collect();
        Self { layout: Arc::clone(layout), cells }
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

    /// The export's column that gives a field, by the path that the server uses for it.
    pub(super) fn column_of(&self, field: &str) -> Option<&str> {
        // `topics[2]` is an entry of what one column gives.
        let list = field.strip_suffix(']').and_then(|field| field.rsplit_once('[')).map(|(list, _)| list);
        let columns = &self.layout.by_field;
        columns.get(field).or_else(|| columns.get(list?)).map(String::as_str)
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
/// When the file cannot be read, is no CSV, or lacks a column that the mapping names.
pub(super) fn read(
    mut input: impl BufRead,
    Form(mapping): &Form,
    zone_of_log: &TimeZone,
    mut take: impl FnMut(Line) -> bool,
) -> anyhow::Result<()> {
    let zone = mapping.zone(zone_of_log);
    let mut first_line = Vec::new();
    let limit = u64::try_from(ROW_BYTES_MAX).unwrap_or(u64::MAX);
    input.by_ref().take(limit).read_until(b'\n', &mut first_line)?;
    let delimiter = delimiter(mapping, &first_line);
    let left = Rc::new(Cell::new(ROW_BYTES_MAX));
    let input = Bounded { inner: (&*first_line).chain(input), left: Rc::clone(&left) };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(input);
    let names = reader.byte_headers().context("the header line of the export")?;
    let names: Vec<String> = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let header = Header::new(&names, mapping, delimiter)?;
    let mut cells = csv::ByteRecord::new();
    loop {
        left.set(ROW_BYTES_MAX);
        let line = reader.position().line();
        let more = reader.read_byte_record(&mut cells);
        if !more.with_context(|| format!("the export cannot be read on after line {line}"))? {
            return Ok(());
        }
        let number = row_number(cells.position(), &first_line);
        let end_offset = reader.position().byte();
        let row = ExportRow::of(&header.layout, &cells);
        let record = record(number, mapping, &header, &cells, &zone);
        let refuse = |reasons| Refused { line: number, reasons, original: Original::Export(row.clone()) };
        let record = record.map_err(refuse);
        if !take(Line { number, end_offset, record, row: Some(row) }) {
            return Ok(());
        }
    }
}

/// The separator that the mapping gives or the header line shows.
fn delimiter(mapping: &Mapping, first_line: &[u8]) -> u8 {
    match mapping.delimiter.map(u8::try_from) {
        Some(Ok(delimiter)) => delimiter,
        _ => header::delimiter(first_line),
    }
}

fn record(
    line: u64,
    mapping: &Mapping,
    header: &Header,
    cells: &csv::ByteRecord,
    zone: &TimeZone,
) -> Result<satgas_proto::v1::Submission, Vec<Reason>> {
    if cells.len() != header.width {
        let reason = format!("the row has {} cells, the header {}", cells.len(), header.width);
        return Err(vec![Reason::new("", reason)]);
    }
    let submission = fill::submission(mapping, header, cells, zone)?;
    checked(line, submission).map_err(|refused| refused.reasons)
}

/// Lets no row grow without end: an unclosed quotation mark would make one of the rest of the file.
struct Bounded<R> {
    inner: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.left.get());
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a row is longer than 1 MiB; is a quotation mark not closed?"));
        }
        let bytes = self.inner.read(&mut buffer[..room])?;
        self.left.set(self.left.get() - bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
