//! The columns of a sheet of figures, in the words of the offices that print it.

use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder};
use satgas_proto::v1::{self, IndicatorKind};

use crate::evaluate::{KINDS, indicator};

/// Seconds of an hour.
const HOUR_S: f64 = 3_600.0;

/// A column of figures.
pub(super) struct Column {
    /// What it stands under together with its neighbours.
    pub(super) group: &'static str,
    /// Its own title.
    pub(super) title: &'static str,
    /// In characters.
    pub(super) width: f64,
    /// How its figures are written.
    pub(super) number: &'static str,
    figure: Figure,
}

enum Figure {
    Numerator(IndicatorKind),
    Denominator(IndicatorKind),
    Share(IndicatorKind),
    Of(fn(&v1::Evaluation) -> Option<f64>),
}

impl Column {
    /// The figure of an evaluation; none where it is undefined.
    pub(super) fn figure(&self, evaluation: &v1::Evaluation) -> Option<f64> {
        let applying = |kind| indicator(evaluation, kind).filter(|indicator| indicator.applicable);
        match self.figure {
            Figure::Numerator(kind) => applying(kind).map(|indicator| indicator.numerator as f64),
            Figure::Denominator(kind) => applying(kind).map(|indicator| indicator.denominator as f64),
            Figure::Share(kind) => {
                let defined = applying(kind).filter(|indicator| indicator.denominator > 0);
                defined.map(|indicator| indicator.numerator as f64 / indicator.denominator as f64)
            }
            Figure::Of(figure) => figure(evaluation),
        }
    }
}

/// All of them, from left to right.
pub(super) fn columns() -> Vec<Column> {
    let mut columns = vec![of("", "Skor", 7.5, "0.00", |evaluation| evaluation.score)];
    for kind in KINDS {
        let column = |title, width, number, figure| Column { group: name_of(kind), title, width, number, figure };
        columns.push(column("Terpenuhi", 6.0, "#,##0", Figure::Numerator(kind)));
        columns.push(column("Dari", 6.0, "#,##0", Figure::Denominator(kind)));
        // A total of 100.0% is bold and must still fit.
        columns.push(column("Persen", 8.0, "0.0%", Figure::Share(kind)));
    }
    columns.extend(activity_columns());
    columns.extend(case_columns());
    columns.extend(missed_columns());
    columns.push(of("", "Konflik data terbuka", 6.0, "#,##0", |evaluation| Some(evaluation.open_conflicts as f64)));
    columns
}

fn activity_columns() -> [Column; 4] {
    fn activity(evaluation: &v1::Evaluation) -> v1::ActivityFigures {
        evaluation.activity.unwrap_or_default()
    }
    let group = "Kegiatan";
    [
        of(group, "Kunjungan sekolah", 7.0, "#,##0", |e| Some(activity(e).visits as f64)),
        of(group, "Murid terjangkau", 9.0, "#,##0", |e| Some(activity(e).pupils_reached as f64)),
        of(group, "Sinyal paparan", 6.0, "#,##0", |e| Some(activity(e).exposure_signals as f64)),
        of(group, "Hari sejak kegiatan terakhir", 6.0, "#,##0", |e| {
            activity(e).days_since_last_activity.map(f64::from)
        }),
    ]
}

fn case_columns() -> [Column; 7] {
    fn cases(evaluation: &v1::Evaluation) -> v1::CaseFigures {
        evaluation.cases.unwrap_or_default()
    }
    let group = "Kasus";
    [
        of(group, "Dilaporkan", 6.0, "#,##0", |e| Some(cases(e).reported as f64)),
        of(group, "Terbuka", 6.0, "#,##0", |e| Some(cases(e).open as f64)),
        of(group, "Ditutup", 6.0, "#,##0", |e| Some(cases(e).closed as f64)),
        of(group, "Lewat tenggat", 6.0, "#,##0", |e| Some(cases(e).overdue as f64)),
        of(group, "Di penampungan", 6.0, "#,##0", |e| Some(cases(e).in_shelter as f64)),
        of(group, "Respons pertama, median (jam)", 7.5, "#,##0.0", |e| cases(e).first_response_median_s.map(hours)),
        of(group, "Respons pertama, P90 (jam)", 7.5, "#,##0.0", |e| cases(e).first_response_p90_s.map(hours)),
    ]
}

fn missed_columns() -> [Column; 3] {
    fn missed(evaluation: &v1::Evaluation, figure: fn(v1::MissedFigures) -> u64) -> Option<f64> {
        evaluation.missed.map(|missed| figure(missed) as f64)
    }
    let group = "Tenggat terlewat";
    [
        of(group, "Laporan bulanan", 6.0, "#,##0", |e| missed(e, |figures| figures.reports)),
        of(group, "Tindak lanjut", 6.0, "#,##0", |e| missed(e, |figures| figures.follow_ups)),
        of(group, "Respons pertama", 6.0, "#,##0", |e| missed(e, |figures| figures.responses)),
    ]
}

fn hours(seconds: u64) -> f64 {
    seconds as f64 / HOUR_S
}

fn of(
    group: &'static str,
    title: &'static str,
    width: f64,
    number: &'static str,
    figure: fn(&v1::Evaluation) -> Option<f64>,
) -> Column {
    Column { group, title, width, number, figure: Figure::Of(figure) }
}

fn name_of(kind: IndicatorKind) -> &'static str {
    match kind {
        IndicatorKind::ReportingCompleteness => "Kelengkapan laporan",
        IndicatorKind::ReportingTimeliness => "Ketepatan waktu laporan",
        IndicatorKind::SchoolCoverage => "Cakupan sekolah",
        IndicatorKind::FollowUpDiscipline => "Tindak lanjut tepat waktu",
        IndicatorKind::ResponseWithinTarget => "Respons sesuai target",
        IndicatorKind::Training => "Anggota terlatih",
        IndicatorKind::Unspecified => "",
    }
}

/// How cells look.
pub(super) struct Look {
    /// The sheet's title.
    pub(super) title: Format,
    /// The lines under it.
    pub(super) note: Format,
    /// Titles of groups of columns.
    pub(super) group: Format,
    /// Titles of columns, upright so that columns stay narrow.
    pub(super) upright: Format,
    /// Codes and names.
    pub(super) text: Format,
    /// Those of a total.
    pub(super) total: Format,
}

impl Look {
    /// Of every sheet.
    pub(super) fn new() -> Self {
        let head = boxed().set_bold().set_text_wrap().set_align(FormatAlign::Center).set_background_color(HEAD);
        Self {
            title: Format::new().set_bold().set_font_size(14),
            note: Format::new().set_font_size(10),
            group: head.clone().set_align(FormatAlign::VerticalCenter),
            upright: head.set_rotation(90),
            text: boxed(),
            total: boxed().set_bold().set_background_color(TOTAL),
        }
    }

    /// Of a figure.
    pub(super) fn number(column: &Column, total: bool) -> Format {
        Self::figure(column.number, total)
    }

    /// Of a number of cases.
    pub(super) fn count(total: bool) -> Format {
        Self::figure("#,##0", total)
    }

    fn figure(number: &str, total: bool) -> Format {
        let format = boxed().set_num_format(number);
        if total { format.set_bold().set_background_color(TOTAL) } else { format }
    }
}

const HEAD: Color = Color::RGB(0xD9_E2_F3);
const TOTAL: Color = Color::RGB(0xF2_F2_F2);

fn boxed() -> Format {
    Format::new().set_border(FormatBorder::Thin).set_border_color(Color::RGB(0x99_99_99))
}
