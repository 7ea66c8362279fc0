//! The workbook of a crossed table: the first dimension down, the second across, a sheet for each code of the third and one for all of
//! them.
//!
//! Invariants: every sheet names its period and position, and DATA CONTOH in its title where the data are invented. No sum is made by the
//! workbook: each is the server's.

use std::io::Write;

use rust_xlsxwriter::{Workbook, Worksheet, XlsxError};
use satgas_proto::v1::Dimension;

use super::{
    columns::Look,
    names::Names,
    parts::{basis_sheet, freeze, made_of, page, properties, title},
};
use crate::{
    export::standing::Standing,
    statistics::{Cross, SUM, label},
};

/// Rows: title, what the figures are made of, a gap, what goes across, titles of columns, figures.
const ACROSS_ROW: u32 = 3;
const TITLES_ROW: u32 = 4;
const FIGURES_ROW: u32 = TITLES_ROW + 1;
/// Columns with the first dimension.
const LEADING_COLUMNS: u16 = 1;

/// Writes the workbook.
///
/// # Errors
/// When `out` cannot be written.
pub(in crate::export) fn write(cross: &Cross, standing: &Standing, out: impl Write + Send) -> anyhow::Result<()> {
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(standing, "Statistik kasus")?);
    let mut names = Names::default();
    let look = Look::new();
    match cross.dimensions.get(2) {
        None => table(workbook.add_worksheet().set_name(names.take("Statistik", ""))?, cross, None, standing, &look)?,
        Some(&third) => {
            for code in [SUM].into_iter().chain(cross.codes(2).iter().map(String::as_str)) {
                let sheet = workbook.add_worksheet().set_name(names.take(&shown(third, code), ""))?;
                table(sheet, cross, Some((third, code)), standing, &look)?;
            }
        }
    }
    let mut notes = vec![(
        "Yang dihitung",
        "Kasus yang dilaporkan dalam periode, menurut kategori Simfoni PPA; kasus gabungan dihitung sekali.".to_owned(),
    )];
    if cross.overlaps() {
        let note = "Satu kasus dihitung pada setiap jenisnya, tetapi hanya sekali dalam jumlah.";
        notes.push(("Jumlah", note.to_owned()));
    }
    basis_sheet(workbook.add_worksheet().set_name(names.take("Dasar", ""))?, standing, &notes, &look)?;
    workbook.save_to_writer(out)?;
    Ok(())
}

/// A sheet with the figures at a code of the third dimension.
fn table(
    sheet: &mut Worksheet,
    cross: &Cross,
    third: Option<(Dimension, &str)>,
    standing: &Standing,
    look: &Look,
) -> Result<(), XlsxError> {
    page(sheet, standing);
    freeze(sheet, TITLES_ROW, LEADING_COLUMNS)?;
    let by: Vec<&str> = cross.dimensions.iter().map(|&dimension| name_of(dimension)).collect();
    let mut text = format!("Statistik kasus menurut {}, {}", by.join(", "), standing.period.code);
    if let Some((dimension, code)) = third {
        text.push_str(&format!("; {}: {}", name_of(dimension), shown(dimension, code)));
    }
    sheet.write_with_format(0, 0, title(standing, &text), &look.title)?;
    sheet.write_with_format(1, 0, made_of(standing), &look.note)?;
    let across = header(sheet, cross, look)?;
    let down = cross.dimensions[0];
    let rows = cross.codes(0).iter().map(String::as_str).chain([SUM]);
    for (code, row) in rows.zip(FIGURES_ROW..) {
        let name = if code == SUM { &look.total } else { &look.text };
        sheet.write_with_format(row, 0, shown(down, code), name)?;
        for (column, at) in across.iter().zip(LEADING_COLUMNS..) {
            let codes: Vec<&str> = [code].into_iter().chain(*column).chain(third.map(|(_, code)| code)).collect();
            let total = code == SUM || *column == Some(SUM);
            sheet.write_number_with_format(row, at, cross.cases(&codes) as f64, &Look::count(total))?;
        }
    }
    Ok(())
}

/// Writes the titles and tells the codes of the columns: those of the second dimension and its sum, or the one column without a code.
fn header<'a>(sheet: &mut Worksheet, cross: &'a Cross, look: &Look) -> Result<Vec<Option<&'a str>>, XlsxError> {
    sheet.set_column_width(0, 26)?;
    sheet.merge_range(ACROSS_ROW, 0, TITLES_ROW, 0, name_of(cross.dimensions[0]), &look.group)?;
    let Some(&across) = cross.dimensions.get(1) else {
        sheet.set_column_width(LEADING_COLUMNS, 10)?;
        sheet.merge_range(ACROSS_ROW, LEADING_COLUMNS, TITLES_ROW, LEADING_COLUMNS, "Kasus", &look.group)?;
        return Ok(vec![None]);
    };
    let codes: Vec<&str> = cross.codes(1).iter().map(String::as_str).chain([SUM]).collect();
    let last = LEADING_COLUMNS + u16::try_from(codes.len()).unwrap_or(u16::MAX) - 1;
    if last > LEADING_COLUMNS {
        sheet.merge_range(ACROSS_ROW, LEADING_COLUMNS, ACROSS_ROW, last, name_of(across), &look.group)?;
    } else {
        sheet.write_with_format(ACROSS_ROW, LEADING_COLUMNS, name_of(across), &look.group)?;
    }
    for (code, at) in codes.iter().zip(LEADING_COLUMNS..) {
        sheet.set_column_width(at, 10)?;
        sheet.write_with_format(TITLES_ROW, at, shown(across, code), &look.group)?;
    }
    Ok(codes.into_iter().map(Some).collect())
}

fn shown(dimension: Dimension, code: &str) -> String {
    if code == SUM { "Jumlah".to_owned() } else { label(dimension, code, "tidak ada") }
}

/// A dimension in the words of the offices.
fn name_of(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Violence => "Bentuk kekerasan",
        Dimension::Electronic => "Kekerasan berbasis elektronik",
        Dimension::Place => "Tempat kejadian",
        Dimension::Age => "Usia korban",
        Dimension::Sex => "Jenis kelamin korban",
        Dimension::Disability => "Disabilitas korban",
        Dimension::Service => "Layanan",
        Dimension::Offender => "Pelaku",
        Dimension::VictimGroup => "Kelompok korban",
        Dimension::Month => "Bulan",
        Dimension::Year => "Tahun",
        Dimension::Kecamatan => "Kecamatan",
        Dimension::Unspecified => "",
    }
}
