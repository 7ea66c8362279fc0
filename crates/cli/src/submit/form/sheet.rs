//! A CSV file of an export, row by row, whatever separates its columns.
//!
//! Invariant: no row of more than [`ROW_BYTES_MAX`] is read into memory.

use std::{
    cell::Cell,
    io::{self, BufRead, Chain, Cursor, Read},
    rc::Rc,
};

use anyhow::Context as _;

use super::header;
use crate::submit::lines::row_number;

/// Longer rows are not read into memory.
pub(super) const ROW_BYTES_MAX: usize = 1 << 20;

/// The file.
pub(super) struct Sheet<R: BufRead> {
    /// What separates its columns.
    pub(super) delimiter: u8,
    /// The names of its columns.
    pub(super) names: Vec<String>,
    reader: csv::Reader<Bounded<Chain<Cursor<Vec<u8>>, R>>>,
    left: Rc<Cell<usize>>,
    first_line: Vec<u8>,
}

impl<R: BufRead> Sheet<R> {
    /// Reads the header line, which shows the separator when none is given.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(mut input: R, delimiter: Option<char>) -> anyhow::Result<Self> {
        let mut first_line = Vec::new();
        let limit = u64::try_from(ROW_BYTES_MAX).unwrap_or(u64::MAX);
        input.by_ref().take(limit).read_until(b'\n', &mut first_line)?;
        let delimiter = match delimiter.map(u8::try_from) {
            Some(Ok(delimiter)) => delimiter,
            _ => header::delimiter(&first_line),
        };
        let left = Rc::new(Cell::new(ROW_BYTES_MAX));
        let input = Bounded { inner: Cursor::new(first_line.clone()).chain(input), left: Rc::clone(&left) };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(input);
        let names = reader.byte_headers().context("the header line of the export")?;
        let names = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(Self { delimiter, names, reader, left, first_line })
    }

    /// Reads the next row into `cells` and tells its line; `None` after the last one.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub(super) fn next(&mut self, cells: &mut csv::ByteRecord) -> anyhow::Result<Option<u64>> {
        self.left.set(ROW_BYTES_MAX);
        let line = self.reader.position().line();
        let more = self.reader.read_byte_record(cells);
        let more = more.with_context(|| format!("the export cannot be read on after line {line}"))?;
        Ok(more.then(|| row_number(cells.position(), &self.first_line)))
    }

    /// Where the last row ended, in bytes from the beginning.
    pub(super) fn end_offset(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Why a row is none: it has not as many cells as the header.
    pub(super) fn misfit(&self, cells: &csv::ByteRecord) -> Option<String> {
        let width = self.names.len();
        (cells.len() != width).then(|| format!("the row has {} cells, the header {width}", cells.len()))
    }
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
