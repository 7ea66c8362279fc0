//! Rows as spreadsheets make them, good and bad.

use super::*;

const HEADER: &str = "record,submission_id,device_id,device_sequence,occurred_at,area_code,institution_id,risk_signals,\
follow_ups_done,school_id,purpose,topics,pupils_female,pupils_male,follow_ups,notes,task_force_id,month,activities,\
members_present";
const VISIT_ID: &str = "0198c0de-0000-7000-8000-000000000001";

fn read_rows(text: &str) -> Vec<Result<v1::Submission, Refused>> {
    let mut records = Vec::new();
    let zone = TimeZone::get("Asia/Makassar").unwrap();
    read(text.as_bytes(), &zone, |line| {
        records.push(line.record);
        true
    })
    .unwrap();
    records
}

fn header_error(text: &str) -> String {
    read(text.as_bytes(), &TimeZone::UTC, |_| true).unwrap_err().to_string()
}

fn visit_row() -> String {
    format!(
        "school_visit,{VISIT_ID},hp-1,4,2026-03-05 10:00,53.71.04.1001,,grup-digital|perundungan,,99900001,sosialisasi,\
         ksbe | keamanan digital,12,15,1:2026-04-01:Rapat: orang tua,\"dua kelas, satu jam\",,,,"
    )
}

#[test]
fn a_row_becomes_the_school_visit_that_it_tells_of() {
    let rows = read_rows(&format!("{HEADER}\n{}\n", visit_row()));
    let submission = rows[0].as_ref().unwrap();
    assert_eq!(submission.submission_id, VISIT_ID);
    assert_eq!(submission.occurred_at.as_ref().unwrap().seconds, 1_772_676_000);
    let Some(submission::Content::SchoolVisit(visit)) = &submission.content else { panic!("{submission:?}") };
    assert_eq!(visit.topics, [v1::Topic::Ksbe, v1::Topic::KeamananDigital].map(i32::from));
    assert_eq!(visit.reach.as_ref().unwrap().pupils_male, 15);
    let agreed = v1::FollowUp { number: 1, action: "Rapat: orang tua".into(), due_on: "2026-04-01".into() };
    assert_eq!(visit.follow_ups, [agreed]);
    assert_eq!(visit.notes, "dua kelas, satu jam");
}

#[test]
fn a_row_becomes_the_monthly_report_that_it_tells_of() {
    let row = format!(
        "monitoring_report,0198c0de-0000-7000-8000-000000000002,hp-1,5,2026-04-02,53.71.04.1001,,,\
         {VISIT_ID}#1:2026-03-30,,,,,,,,sg-1001,2026-03,rapat:2:30|patroli:4:8,9"
    );
    let rows = read_rows(&format!("{HEADER}\n{row}\n"));
    let submission = rows[0].as_ref().unwrap();
    let Some(submission::Content::MonitoringReport(report)) = &submission.content else { panic!("{submission:?}") };
    let done = v1::FollowUpDone { visit_id: VISIT_ID.into(), number: 1, done_on: "2026-03-30".into() };
    assert_eq!(report.follow_ups_done, [done]);
    let patrols = v1::Activity { kind: v1::ActivityKind::Patroli.into(), count: 4, participants: 8 };
    assert_eq!(report.activities[1], patrols);
    assert_eq!(report.members_present, 9);
}

#[test]
fn semicolons_and_a_byte_order_mark_are_read_as_well() {
    let text = "\u{feff}record;submission_id;occurred_at;area_code\nschool_visit;a;2026-03-05;53.71.04.1001\n";
    assert_eq!(read_rows(text)[0].as_ref().unwrap().submission_id, "a");
}

#[test]
fn everything_that_is_wrong_with_a_row_is_named_at_once() {
    let row =
        visit_row().replace(",12,15,", ",twelve,15,").replace("sosialisasi", "belajar").replace(",,,,", ",,sg-1,,");
    let refused = read_rows(&format!("{HEADER}\n{row}\n")).remove(0).unwrap_err();
    let fields: Vec<&str> = refused.reasons.iter().map(|reason| reason.field.as_str()).collect();
    assert_eq!((refused.line, fields), (2, vec!["pupils_female", "purpose", "month"]));
}

#[test]
fn a_row_with_too_few_cells_is_refused_and_its_neighbour_read() {
    let rows = read_rows(&format!("{HEADER}\nschool_visit,x\n{}\n", visit_row()));
    assert!(rows[0].as_ref().unwrap_err().reasons[0].reason.contains("2 cells"));
    assert!(rows[1].is_ok());
}

#[test]
fn a_line_is_counted_as_an_editor_does_however_lines_end() {
    for end in ["\n", "\r\n"] {
        let rows = read_rows(&format!("{HEADER}{end}{}{end}x{end}", visit_row()));
        assert_eq!(rows[1].as_ref().unwrap_err().line, 3, "{end:?}");
    }
}

#[test]
fn a_refused_row_is_read_again_once_it_is_mended() {
    let zone = TimeZone::get("Asia/Makassar").unwrap();
    let bad = visit_row().replace("sosialisasi", "belajar");
    let refused = read_rows(&format!("{HEADER}\n{bad}\n")).remove(0).unwrap_err();
    let Original::Row(mut cells) = refused.original else { panic!("a row stays a row") };
    cells.insert("purpose".into(), "sosialisasi".into());
    let mended = record(1, cells, &zone).unwrap();
    let good = read_rows(&format!("{HEADER}\n{}\n", visit_row())).remove(0).unwrap();
    assert_eq!(mended, good);
}

#[test]
fn an_unknown_a_missing_and_a_double_column_stop_the_file() {
    assert!(header_error("record,submission_id,nama\n").contains("`nama` is not known"));
    assert!(header_error("record\n").contains("`submission_id` is missing"));
    assert!(header_error("record,submission_id,record\n").contains("there twice"));
}

#[test]
fn a_refused_row_of_too_many_or_too_few_cells_is_not_taken_before_somebody_mends_it() {
    // A comma in a note without quotation marks moves every cell behind it.
    let torn = visit_row().replace("\"dua kelas, satu jam\"", "dua kelas, satu jam");
    let cut = visit_row().replace("\"dua kelas, satu jam\",,,,", "dua kelas");
    for row in [torn, cut] {
        let refused = read_rows(&format!("{HEADER}\n{row}\n")).remove(0).unwrap_err();
        let Original::Row(mut cells) = refused.original else { panic!("{refused:?}") };
        let again = record(2, cells.clone(), &TimeZone::UTC).unwrap_err();
        assert!(again.reasons.iter().any(|reason| reason.field == "satgas_cells"), "{again:?}");
        assert_eq!(again.original, Original::Row(cells.clone()), "no cell is lost");
        cells.retain(|column, _| !column.starts_with("satgas_cells"));
        cells.extend(
            [("notes", "dua kelas, satu jam"), ("task_force_id", "")].map(|(c, cell)| (c.to_owned(), cell.to_owned())),
        );
        let mended = record(2, cells, &TimeZone::UTC);
        assert!(mended.is_ok(), "mended, it is taken: {mended:?}");
    }
}
