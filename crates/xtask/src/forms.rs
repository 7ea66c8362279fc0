//! `cargo xtask forms`: the example forms in `docs/forms` as XLSX files, which KoboToolbox and ODK take, from the CSV files that
//! people read and review.
//!
//! Invariant: the same sources give the same bytes, so a file changes only with what it says. A test reads the committed files back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook};

use crate::workspace::Workspace;

/// Folders under `docs/forms`, each the sources of the XLSX file beside it.
const FORMS: [&str; 2] = ["kunjungan-sekolah", "laporan-bulanan"];
/// The sheets of an XLSForm, each from a CSV file of its name.
const SHEETS: [&str; 3] = ["survey", "choices", "settings"];

/// Writes every form anew.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    for form in FORMS {
        let path = folder(workspace).join(form).with_extension("xlsx");
        let part = path.with_extension("xlsx.part");
        fs::write(&part, workbook(&folder(workspace).join(form))?).with_context(|| part.display().to_string())?;
        fs::rename(&part, &path)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join("docs/forms")
}

/// The bytes of a form's XLSX file.
fn workbook(sources: &Path) -> Result<Vec<u8>> {
    let mut workbook = Workbook::new();
    // Any fixed time: the clock's would give other bytes with each run.
    let created = ExcelDateTime::from_ymd(2026, 3, 1)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    for sheet in SHEETS {
        let worksheet = workbook.add_worksheet().set_name(sheet)?;
        worksheet.set_freeze_panes(1, 0)?;
        let heading = Format::new().set_bold();
        for (row, cells) in (0..).zip(rows(sources, sheet)?) {
            for (column, cell) in (0..).zip(&cells) {
                match cell.as_str() {
                    "" => continue,
                    // Numbers as well: a version or a code of digits is a text to a form.
                    text if row == 0 => worksheet.write_string_with_format(row, column, text, &heading)?,
                    text => worksheet.write_string(row, column, text)?,
                };
            }
        }
        worksheet.autofit();
    }
    Ok(workbook.save_to_buffer()?)
}

/// The rows of a sheet's source, its header first.
fn rows(sources: &Path, sheet: &str) -> Result<Vec<Vec<String>>> {
    let path = sources.join(sheet).with_extension("csv");
    let reader = csv::ReaderBuilder::new().has_headers(false).from_path(&path);
    let mut reader = reader.with_context(|| path.display().to_string())?;
    let rows = reader.records().map(|record| Ok(record?.iter().map(str::to_owned).collect()));
    rows.collect::<Result<_>>().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::Reader as _;

    use super::*;

    fn read_back(xlsx: Vec<u8>, sheet: &str) -> Vec<Vec<String>> {
        let mut workbook = calamine::Xlsx::new(Cursor::new(xlsx)).unwrap();
        let range = workbook.worksheet_range(sheet).unwrap();
        range.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn every_committed_form_says_what_its_sources_say() {
        let workspace = Workspace::from_cargo().unwrap();
        for form in FORMS {
            let sources = folder(&workspace).join(form);
            let committed = fs::read(sources.with_extension("xlsx")).unwrap();
            for sheet in SHEETS {
                let said = read_back(committed.clone(), sheet);
                assert_eq!(said, rows(&sources, sheet).unwrap(), "{form}, {sheet}: run `cargo xtask forms`");
            }
        }
    }

    #[test]
    fn the_same_sources_give_the_same_bytes() {
        let workspace = Workspace::from_cargo().unwrap();
        let sources = folder(&workspace).join(FORMS[0]);
        assert!(workbook(&sources).unwrap() == workbook(&sources).unwrap());
    }
}
