//! What every workbook has: titles that say when the data are invented, pages that print, and the sheet that says what the figures are
//! made of.

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Worksheet, XlsxError};
use satgas_proto::v1;

use super::columns::Look;
use crate::{
    export::standing::Standing,
    print::{SAMPLE, hex},
    time,
};

const A4: u8 = 9;

/// When it was made is when it was exported: the library would take the machine's clock.
pub(super) fn properties(standing: &Standing, text: &str) -> Result<DocProperties, XlsxError> {
    let made = ExcelDateTime::from_timestamp(standing.exported_at.as_second())?;
    Ok(DocProperties::new().set_title(title(standing, text)).set_creation_datetime(&made))
}

/// A title, with DATA CONTOH in front where the data are invented.
pub(super) fn title(standing: &Standing, text: &str) -> String {
    if standing.basis.sample_data { format!("{SAMPLE}: {text}") } else { text.to_owned() }
}

/// One page wide on A4, landscape.
pub(super) fn page(sheet: &mut Worksheet, standing: &Standing) {
    sheet.set_paper_size(A4).set_print_fit_to_pages(1, 0).set_margins(0.4, 0.4, 0.6, 0.6, 0.3, 0.3);
    let sample = if standing.basis.sample_data { SAMPLE } else { "" };
    sheet.set_header(format!("&L{sample}&R&A")).set_footer("&RHalaman &P dari &N");
    sheet.set_landscape();
}

/// Keeps the rows down to the titles of columns, and the columns before the figures, in sight, and the rows on every page.
pub(super) fn freeze(sheet: &mut Worksheet, titles_row: u32, leading_columns: u16) -> Result<(), XlsxError> {
    sheet.set_repeat_rows(0, titles_row)?;
    sheet.set_freeze_panes(titles_row + 1, leading_columns)?;
    Ok(())
}

/// The line under a title.
pub(super) fn made_of(standing: &Standing) -> String {
    let v1::Basis { position, as_of, rule_set, .. } = &standing.basis;
    let as_of = time::show(as_of.as_ref(), &standing.zone);
    format!("Periode {}; keadaan per {as_of}; posisi log {position}; aturan {rule_set}", days(standing))
}

/// The period's code with its first and last day.
pub(super) fn days(standing: &Standing) -> String {
    let v1::Period { code, start, end } = &standing.period;
    let last = end
        .as_ref()
        .and_then(time::from_proto)
        .and_then(|end| end.checked_sub(jiff::SignedDuration::from_nanos(1)).ok());
    let last = time::show_day(last.map(time::to_proto).as_ref(), &standing.zone);
    format!("{code} ({} s.d. {last})", time::show_day(start.as_ref(), &standing.zone))
}

/// The sheet that says what the figures are made of, and in the end what is to be known of these in particular.
pub(super) fn basis_sheet(
    sheet: &mut Worksheet,
    standing: &Standing,
    notes: &[(&str, String)],
    look: &Look,
) -> Result<(), XlsxError> {
    page(sheet, standing);
    sheet.set_column_width(0, 26)?.set_column_width(1, 90)?;
    sheet.write_with_format(0, 0, title(standing, "Dasar angka"), &look.title)?;
    let v1::Basis { position, head_hash, as_of, rule_set, sample_data } = &standing.basis;
    let zone = standing.zone.iana_name().unwrap_or("-");
    let shown = |time: Option<&pbjson_types::Timestamp>| format!("{} ({zone})", time::show(time, &standing.zone));
    let area = match &*standing.area {
        "" => "semua".to_owned(),
        area => format!("kode yang diawali {area}"),
    };
    let data = match sample_data {
        true => format!("{SAMPLE}: seluruh data rekaan, bukan keadaan sebenarnya"),
        false => "data laporan".to_owned(),
    };
    let lines = [
        ("Periode", days(standing)),
        ("Wilayah", area),
        ("Aturan penilaian", rule_set.clone()),
        ("Keadaan per", shown(as_of.as_ref())),
        ("Posisi log", position.to_string()),
        ("Hash log pada posisi itu", hex(head_hash, 64)),
        ("Diekspor pada", shown(Some(&time::to_proto(standing.exported_at)))),
        ("Data", data),
    ];
    for ((name, text), row) in lines.iter().chain(notes).zip(2..) {
        sheet.write_with_format(row, 0, *name, &look.total)?;
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
        assert_eq!(days(&report().standing), "2026-Q1 (2026-01-01 s.d. 2026-03-31)");
    }

    #[test]
    fn a_title_says_when_the_data_are_invented() {
        let mut standing = report().standing;
        assert_eq!(title(&standing, "Dasar angka"), "DATA CONTOH: Dasar angka");
        standing.basis.sample_data = false;
        assert_eq!(title(&standing, "Dasar angka"), "Dasar angka");
    }
}
