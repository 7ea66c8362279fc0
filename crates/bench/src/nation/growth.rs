//! How figures grow with the log: one row for each size.

use std::fmt;

/// Rows of named figures, as they are shown.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    rows: Vec<Row>,
}

/// The figures of one size.
#[derive(Debug, Default)]
pub(crate) struct Row {
    cells: Vec<(&'static str, String)>,
}

impl Row {
    fn to_json(&self) -> serde_json::Value {
        let cells = self.cells.iter().map(|(title, figure)| ((*title).to_owned(), figure.as_str().into()));
        serde_json::Value::Object(cells.collect())
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, title: &'static str, figure: String) {
        self.cells.push((title, figure));
    }
}

impl Growth {
    /// Adds a size.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// As one JSON array of objects.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.rows.iter().map(Row::to_json).collect()
    }
}

/// As a Markdown table, which goes into the notes of the page of figures as it is.
impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.rows.first() else { return Ok(()) };
        let titles: Vec<&str> = first.cells.iter().map(|(title, _)| *title).collect();
        writeln!(f, "\n| {} |\n|{}", titles.join(" | "), "---:|".repeat(titles.len()))?;
        self.rows.iter().try_for_each(|row| {
            let cells: Vec<&str> = row.cells.iter().map(|(_, figure)| figure.as_str()).collect();
            writeln!(f, "| {} |", cells.join(" | "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_a_row_under_common_titles() {
        let mut growth = Growth::default();
        assert_eq!(growth.to_string(), "");
        for (records, load) in [("1,000,000", "9.00 s"), ("10,000,000", "95.00 s")] {
            let mut row = Row::default();
            row.add("records", records.to_owned());
            row.add("load", load.to_owned());
            growth.add(row);
        }
        assert_eq!(
            growth.to_string(),
            "\n| records | load |\n|---:|---:|\n| 1,000,000 | 9.00 s |\n| 10,000,000 | 95.00 s |\n"
        );
        assert_eq!(growth.to_json()[1]["load"], "95.00 s");
    }
}
