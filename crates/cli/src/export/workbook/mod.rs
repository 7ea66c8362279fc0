//! The workbook that an official prints: all kecamatan and the kota on one sheet, each kecamatan's kelurahan on one of its own, and a
//! sheet that says what the figures are made of.
//!
//! Invariants: every sheet names its period and position, and DATA CONTOH in its title where the data are invented. An undefined
//! figure is an empty cell.

mod columns;
mod crossed;
mod names;
mod parts;

use std::io::Write;

use rust_xlsxwriter::{Workbook, Worksheet, XlsxError};
use satgas_proto::v1;

pub(super) use self::crossed::write as write_crossed;
use self::{
    columns::{Column, Look, columns},
    names::Names,
    parts::{basis_sheet, freeze, made_of, page, properties, title},
};
use super::evaluations::Report;
use crate::evaluate::code;

/// Rows: title, what the figures are made of, a gap, titles of groups, titles of columns, figures.
const GROUPS_ROW: u32 = 3;
const TITLES_ROW: u32 = 4;
const FIGURES_ROW: u32 = TITLES_ROW + 1;
/// Columns with the code and the name.
const LEADING_COLUMNS: u16 = 2;

/// Writes the workbook.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write(report: &Report, out: impl Write + Send) -> anyhow::Result<()> {
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(&report.standing, "Evaluasi satuan tugas")?);
    let mut names = Names::default();
    let look = Look::new();
    let v1::Period { code: period, .. } = &report.standing.period;
    let (kecamatan, kota) = (&report.levels.kecamatan, &report.levels.kota);
    if !kecamatan.is_empty() || !kota.is_empty() {
        let sheet = workbook.add_worksheet().set_name(names.take("Ringkasan", ""))?;
        let title = format!("Evaluasi satuan tugas per kecamatan, {period}");
        figures_sheet(sheet, report, &title, kecamatan, kota, &look)?;
    }
    for group in report.levels.asked.chunk_by(|a, b| parent(a) == parent(b)) {
        let above = parent(&group[0]);
        let total = kecamatan.iter().filter(|evaluation| code(evaluation) == above).cloned().collect::<Vec<_>>();
        let name = total.first().map_or(above, |evaluation| evaluation.name.as_str());
        let sheet = workbook.add_worksheet().set_name(names.take(name, above))?;
        let title = format!("Evaluasi satuan tugas, Kecamatan {name}, {period}");
        figures_sheet(sheet, report, &title, group, &total, &look)?;
    }
    let notes = [
        ("Sel kosong", "Tidak dapat diukur: tidak ada yang harus dipenuhi. Sel kosong bukan nol.".to_owned()),
        (
            "Jumlah kecamatan dan kota",
            "Dihitung oleh server dari seluruh kelurahan di dalamnya; skor bukan rata-rata skor.".to_owned(),
        ),
    ];
    basis_sheet(workbook.add_worksheet().set_name(names.take("Dasar", ""))?, &report.standing, &notes, &look)?;
    workbook.save_to_writer(out)?;
    Ok(())
}

/// Code of the area above.
fn parent(evaluation: &v1::Evaluation) -> &str {
    code(evaluation).rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn figures_sheet(
    sheet: &mut Worksheet,
    report: &Report,
    text: &str,
    parts: &[v1::Evaluation],
    totals: &[v1::Evaluation],
    look: &Look,
) -> Result<(), XlsxError> {
    let columns = columns();
    page(sheet, &report.standing);
    freeze(sheet, TITLES_ROW, LEADING_COLUMNS)?;
    sheet.write_with_format(0, 0, title(&report.standing, text), &look.title)?;
    sheet.write_with_format(1, 0, made_of(&report.standing), &look.note)?;
    header(sheet, &columns, look)?;
    let rows = parts.iter().map(|part| (part, false)).chain(totals.iter().map(|total| (total, true)));
    for ((evaluation, total), row) in rows.zip(FIGURES_ROW..) {
        let text = if total { &look.total } else { &look.text };
        sheet.write_with_format(row, 0, code(evaluation), text)?;
        let name = if total { format!("Jumlah {}", evaluation.name) } else { evaluation.name.clone() };
        sheet.write_with_format(row, 1, name, text)?;
        for (column, at) in columns.iter().zip(LEADING_COLUMNS..) {
            let format = Look::number(column, total);
            match column.figure(evaluation) {
                Some(figure) => sheet.write_number_with_format(row, at, figure, &format)?,
                None => sheet.write_blank(row, at, &format)?,
            };
        }
    }
    Ok(())
}

fn header(sheet: &mut Worksheet, columns: &[Column], look: &Look) -> Result<(), XlsxError> {
    for (text, width, at) in [("Kode", 13.5, 0), ("Wilayah", 19.0, 1)] {
        sheet.set_column_width(at, width)?;
        sheet.merge_range(GROUPS_ROW, at, TITLES_ROW, at, text, &look.group)?;
    }
    let mut first = LEADING_COLUMNS;
    for group in columns.chunk_by(|a, b| !a.group.is_empty() && a.group == b.group) {
        for (column, at) in group.iter().zip(first..) {
            sheet.set_column_width(at, column.width)?;
            sheet.write_with_format(TITLES_ROW, at, column.title, &look.upright)?;
        }
        let after = first + u16::try_from(group.len()).unwrap_or(u16::MAX);
        if group[0].group.is_empty() {
            sheet.merge_range(GROUPS_ROW, first, TITLES_ROW, first, group[0].title, &look.upright)?;
        } else {
            sheet.merge_range(GROUPS_ROW, first, GROUPS_ROW, after - 1, group[0].group, &look.group)?;
        }
        first = after;
    }
    sheet.set_row_height(GROUPS_ROW, 30)?;
    sheet.set_row_height(TITLES_ROW, 105)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::evaluations::tests::report;

    #[test]
    fn a_workbook_is_made_whatever_levels_there_are() {
        let mut report = report();
        let mut whole = Vec::new();
        write(&report, &mut whole).unwrap();
        assert!(whole.starts_with(b"PK"));
        // Of one kelurahan alone there is nothing above it.
        report.levels.asked.truncate(1);
        report.levels.kecamatan.clear();
        report.levels.kota.clear();
        write(&report, Vec::new()).unwrap();
    }
}
