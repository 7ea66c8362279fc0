//! The workbook that an official prints: all kecamatan and the kota on one sheet, each kecamatan's kelurahan on one of its own, and a
//! sheet that says what the figures are made of.
//!
//! Invariants: every sheet names its period and position, and DATA CONTOH in its title where the data are invented. An undefined
//! figure is an empty cell.

mod columns;
mod names;

use std::io::Write;

use jiff::Timestamp;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, Worksheet, XlsxError};
use satgas_proto::v1;

use self::{
    columns::{Column, Look, columns},
    names::Names,
};
use super::evaluations::Report;
use crate::{
    evaluate::code,
    print::{SAMPLE, hex},
    time,
};

/// Rows: title, what the figures are made of, a gap, titles of groups, titles of columns, figures.
const GROUPS_ROW: u32 = 3;
const TITLES_ROW: u32 = 4;
const FIGURES_ROW: u32 = 5;
/// Columns with the code and the name.
const LEADING_COLUMNS: u16 = 2;
const A4: u8 = 9;

/// Writes the workbook.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn write(report: &Report, out: impl Write + Send) -> anyhow::Result<()> {
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(report)?);
    let mut names = Names::default();
    let look = Look::new();
    let v1::Period { code: period, .. } = &report.period;
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
    basis_sheet(workbook.add_worksheet().set_name(names.take("Dasar", ""))?, report, &look)?;
    workbook.save_to_writer(out)?;
    Ok(())
}

/// When it was made is when it was exported: the library would take the machine's clock.
fn properties(report: &Report) -> Result<DocProperties, XlsxError> {
    let made = ExcelDateTime::from_timestamp(report.exported_at.as_second())?;
    Ok(DocProperties::new().set_title(title(report, "Evaluasi satuan tugas")).set_creation_datetime(&made))
}

fn title(report: &Report, text: &str) -> String {
    if report.basis.sample_data { format!("{SAMPLE}: {text}") } else { text.to_owned() }
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
    page(sheet, report, true)?;
    sheet.write_with_format(0, 0, title(report, text), &look.title)?;
    sheet.write_with_format(1, 0, made_of(report), &look.note)?;
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

/// One page wide on A4, landscape, with the header on every page.
fn page(sheet: &mut Worksheet, report: &Report, figures: bool) -> Result<(), XlsxError> {
    sheet.set_paper_size(A4).set_print_fit_to_pages(1, 0).set_margins(0.4, 0.4, 0.6, 0.6, 0.3, 0.3);
    let sample = if report.basis.sample_data { SAMPLE } else { "" };
    sheet.set_header(format!("&L{sample}&R&A")).set_footer("&RHalaman &P dari &N");
    sheet.set_landscape();
    if figures {
        sheet.set_repeat_rows(0, TITLES_ROW)?;
        sheet.set_freeze_panes(FIGURES_ROW, LEADING_COLUMNS)?;
    }
    Ok(())
}

/// The line under a title.
fn made_of(report: &Report) -> String {
    let v1::Basis { position, as_of, rule_set, .. } = &report.basis;
    let as_of = time::show(as_of.as_ref(), &report.zone);
    format!("Periode {}; keadaan per {as_of}; posisi log {position}; aturan {rule_set}", days(report))
}

/// The period's code with its first and last day.
fn days(report: &Report) -> String {
    let v1::Period { code, start, end } = &report.period;
    let last = end
        .as_ref()
        .and_then(time::from_proto)
        .and_then(|end| end.checked_sub(jiff::SignedDuration::from_nanos(1)).ok());
    let last = time::show_day(last.map(time::to_proto).as_ref(), &report.zone);
    format!("{code} ({} s.d. {last})", time::show_day(start.as_ref(), &report.zone))
}

fn basis_sheet(sheet: &mut Worksheet, report: &Report, look: &Look) -> Result<(), XlsxError> {
    page(sheet, report, false)?;
    sheet.set_column_width(0, 26)?.set_column_width(1, 90)?;
    sheet.write_with_format(0, 0, title(report, "Dasar angka"), &look.title)?;
    let v1::Basis { position, head_hash, as_of, rule_set, sample_data } = &report.basis;
    let zone = report.zone.iana_name().unwrap_or("-");
    let shown = |time: Option<&pbjson_types::Timestamp>| format!("{} ({zone})", time::show(time, &report.zone));
    let exported: Timestamp = report.exported_at;
    let lines = [
        ("Periode", days(report)),
        (
            "Wilayah",
            if report.area.is_empty() { "semua".to_owned() } else { format!("kode yang diawali {}", report.area) },
        ),
        ("Aturan penilaian", rule_set.clone()),
        ("Keadaan per", shown(as_of.as_ref())),
        ("Posisi log", position.to_string()),
        ("Hash log pada posisi itu", hex(head_hash, 64)),
        ("Diekspor pada", shown(Some(&time::to_proto(exported)))),
        (
            "Data",
            if *sample_data {
                format!("{SAMPLE}: seluruh data rekaan, bukan keadaan sebenarnya")
            } else {
                "data laporan".to_owned()
            },
        ),
        ("Sel kosong", "Tidak dapat diukur: tidak ada yang harus dipenuhi. Sel kosong bukan nol.".to_owned()),
        (
            "Jumlah kecamatan dan kota",
            "Dihitung oleh server dari seluruh kelurahan di dalamnya; skor bukan rata-rata skor.".to_owned(),
        ),
    ];
    for ((name, text), row) in lines.into_iter().zip(2..) {
        sheet.write_with_format(row, 0, name, &look.total)?;
        sheet.write_with_format(row, 1, text, &look.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::evaluations::tests::report;

    #[test]
    fn the_last_day_of_a_period_is_the_one_before_its_end() {
        assert_eq!(days(&report()), "2026-Q1 (2026-01-01 s.d. 2026-03-31)");
    }

    #[test]
    fn a_title_says_when_the_data_are_invented() {
        let mut report = report();
        assert_eq!(title(&report, "Dasar angka"), "DATA CONTOH: Dasar angka");
        report.basis.sample_data = false;
        assert_eq!(title(&report, "Dasar angka"), "Dasar angka");
    }

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
