//! What commands print: formats, the banner of sample data, tables.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use clap::ValueEnum;

/// Stands in front of everything that is made of invented data.
pub(crate) const SAMPLE: &str = "DATA CONTOH";

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table for people.
    Table,
    /// Canonical JSON.
    Json,
    /// Comma-separated values with a header line.
    Csv,
}

/// How one thing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// JSON.
    Json,
}

/// How a stream is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamFormat {
    /// A line for people.
    Text,
    /// One canonical JSON object a line.
    Jsonl,
}

/// Prints the line that says that what follows is invented, when it is.
///
/// # Errors
/// When `out` cannot be written.
pub(crate) fn banner(out: &mut impl Write, sample_data: bool) -> io::Result<()> {
    if sample_data { writeln!(out, "{SAMPLE} (sample data: everything below is invented)") } else { Ok(()) }
}

/// How a column's cells are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Figures.
    Right,
}

/// Rows of cells under a header, set in columns of their own width, two spaces apart.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    aligns: Vec<Align>,
    rows: Vec<Row>,
}

#[derive(Debug)]
enum Row {
    Cells(Vec<String>),
    Gap,
}

impl Table {
    /// No rows yet.
    pub(crate) fn new<const N: usize>(columns: [(&'static str, Align); N]) -> Self {
        Self::of(columns.map(|(title, align)| (title.to_owned(), align)))
    }

    /// The same, of columns whose number or titles come with the answer.
    pub(crate) fn of(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        let (header, aligns) = columns.into_iter().unzip();
        Self { header, aligns, rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.header.len(), "a cell for every column");
        self.rows.push(Row::Cells(cells));
    }

    /// Sets the next row apart by an empty line.
    pub(crate) fn gap(&mut self) {
        if !matches!(self.rows.last(), Some(Row::Gap)) {
            self.rows.push(Row::Gap);
        }
    }

    /// Writes the table, for people.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let widths = self.widths();
        writeln!(out, "{}", self.line(&self.header, &widths))?;
        for row in &self.rows {
            match row {
                Row::Cells(cells) => writeln!(out, "{}", self.line(cells, &widths))?,
                Row::Gap => writeln!(out)?,
            }
        }
        Ok(())
    }

    /// Writes the rows as comma-separated values under the header.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub(crate) fn write_csv(&self, out: impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(&self.header)?;
        for row in &self.rows {
            if let Row::Cells(cells) = row {
                writer.write_record(cells)?;
            }
        }
        Ok(writer.flush()?)
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|title| title.chars().count()).collect();
        for row in &self.rows {
            if let Row::Cells(cells) = row {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = (*width).max(plain(cell).chars().count());
                }
            }
        }
        widths
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let set = |((cell, &width), align): ((&String, &usize), &Align)| match (plain(cell), align) {
            (cell, Align::Left) => format!("{cell:<width$}"),
            (cell, Align::Right) => format!("{cell:>width$}"),
        };
        let cells: Vec<String> = cells.iter().zip(widths).zip(&self.aligns).map(set).collect();
        cells.join("  ").trim_end().to_owned()
    }
}

/// A text as it may stand on a terminal: what would move the cursor, change colours or turn the direction of writing is written out. Whoever
/// writes a record, a name or a purpose writes on the screens of others.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_unsafe(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Control characters, and those of Unicode that change the direction of what stands around them.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Hexadecimal digits of a hash, at most so many.
pub(crate) fn hex(bytes: &[u8], digits_max: usize) -> String {
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits_max);
    text
}

/// `text`, cut to so many characters with a mark that something is missing.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Prints a list: `table` for people under the banner, or as CSV; `items` as one JSON array of canonical objects.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn list<T: serde::Serialize>(
    format: ListFormat,
    items: &[T],
    table: &Table,
    sample_data: bool,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        ListFormat::Table => {
            banner(&mut out, sample_data)?;
            table.write(&mut out)?;
        }
        ListFormat::Json | ListFormat::Csv => {
            // Machine formats stay parseable; a person who looks on is told beside them.
            banner(&mut io::stderr().lock(), sample_data)?;
            if format == ListFormat::Csv {
                return table.write_csv(out);
            }
            serde_json::to_writer_pretty(&mut out, items)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_areas() -> Table {
        let mut table = Table::new([("code", Align::Left), ("name", Align::Left), ("score", Align::Right)]);
        table.row(vec!["53.71.01".into(), "Alak".into(), "7.5".into()]);
        table.gap();
        table.row(vec!["53.71".into(), "Kota \"Kupang\"".into(), "100".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let mut out = Vec::new();
        two_areas().write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "code      name           score\n53.71.01  Alak             7.5\n\n53.71     Kota \"Kupang\"    100\n"
        );
    }

    #[test]
    fn a_quote_in_a_cell_survives_csv() {
        let mut out = Vec::new();
        two_areas().write_csv(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "code,name,score\n53.71.01,Alak,7.5\n53.71,\"Kota \"\"Kupang\"\"\",100\n");
    }

    #[test]
    fn a_cell_that_would_write_elsewhere_on_the_screen_is_written_out() {
        let mut table = Table::new([("for", Align::Left), ("id", Align::Left)]);
        table.row(vec!["a\u{1b}[2Jb\n\u{202e}c".into(), "1".into()]);
        table.row(vec!["Kupang é 目".into(), "2".into()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let shown = r"a\u{1b}[2Jb\u{a}\u{202e}c";
        let [title, other] = ["for", "Kupang é 目"].map(|cell| format!("{cell:<25}"));
        assert_eq!(String::from_utf8(out).unwrap(), format!("{title}  id\n{shown}  1\n{other}  2\n"));
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark() {
        assert_eq!(shorten("kelurahan", 9), "kelurahan");
        assert_eq!(shorten("kelurahan", 5), "kelu…");
    }
}
