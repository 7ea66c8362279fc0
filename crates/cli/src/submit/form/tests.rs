//! Exports as KoboToolbox and ODK Central write them, good and bad.

use satgas_proto::v1::{self, Submission, submission::Content};

use super::*;

const MAPPING: &str = r#"
time_zone = "Asia/Makassar"
device_id = { value = "kobo-contoh" }
occurred_at = "kunjungan/tanggal"
area_code = { column = "lokasi/kelurahan", choices = { kel_1001 = "53.71.04.1001" } }

[school_visit]
school_id = "lokasi/sekolah"
purpose = { column = "kunjungan/tujuan", choices = { sos = "sosialisasi", pantau = "pemantauan" } }
topics = { column = "kunjungan/topik", choices = { digital = "keamanan-digital", gawai = "keamanan-digital", ksbe = "ksbe", tidak_ada = "" } }
notes = "catatan"
reach.pupils_female = "jangkauan/siswi"

[[school_visit.follow_ups]]
action = "tl/aksi_1"
due_on = "tl/tenggat_1"
[[school_visit.follow_ups]]
action = "tl/aksi_2"
due_on = "tl/tenggat_2"
"#;

const INSTANCE: &str = "4e30afbf-d6cf-4fd7-ac59-77c30ece4b6b";
const KOBO: &str = "kunjungan/tanggal;kunjungan/tujuan;kunjungan/topik;lokasi/kelurahan;lokasi/sekolah;jangkauan/siswi;tl/aksi_1;\
tl/tenggat_1;tl/aksi_2;tl/tenggat_2;catatan;nama_pengisi;_uuid;_submission_time";

fn form(mapping: &str) -> Form {
    Form { mapping: Box::new(Mapping::parse(mapping).unwrap()), files: Files::default() }
}

fn kobo_row() -> String {
    format!(
        "2026-03-05;sos;digital ksbe gawai tidak_ada;kel_1001;99900001;12;;;Rapat orang tua;2026-04-01;\"dua kelas\r\nsatu jam\";\
         Orang Contoh;{INSTANCE};2026-03-05T02:10:00"
    )
}

fn lines_of(mapping: &str, text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    read(text.as_bytes(), &form(mapping), &TimeZone::UTC, |line| {
        lines.push(line);
        true
    })
    .unwrap();
    lines
}

fn read_one(mapping: &str, header: &str, row: &str) -> Result<Submission, Refused> {
    lines_of(mapping, &format!("{header}\n{row}\n")).remove(0).record
}

fn reasons(refused: &Refused) -> Vec<String> {
    refused.reasons.iter().map(|reason| format!("{}: {}", reason.field, reason.reason)).collect()
}

fn refused_mapping(mapping: &str) -> String {
    format!("{:#}", Mapping::parse(mapping).unwrap_err())
}

#[test]
fn a_row_of_kobo_becomes_the_visit_that_it_tells_of() {
    let submission = read_one(MAPPING, KOBO, &kobo_row()).unwrap();
    assert_eq!(submission.device_id, "kobo-contoh");
    assert_eq!(submission.submission_id, identity::of("school_visit", INSTANCE).unwrap().submission_id);
    // Midnight in Kupang, the zone of the mapping.
    assert_eq!(submission.occurred_at.as_ref().unwrap().seconds, 1_772_640_000);
    let Some(Content::SchoolVisit(visit)) = &submission.content else { panic!("{submission:?}") };
    assert_eq!(visit.topics, [v1::Topic::KeamananDigital, v1::Topic::Ksbe].map(i32::from));
    assert_eq!(visit.reach.as_ref().unwrap().pupils_female, 12);
    // The first place of the form was left empty; the second keeps its number.
    let agreed = v1::FollowUp { number: 2, action: "Rapat orang tua".into(), due_on: "2026-04-01".into() };
    assert_eq!(visit.follow_ups, [agreed]);
    assert_eq!(visit.notes, "dua kelas\nsatu jam");
}

#[test]
fn the_same_row_from_odk_central_is_the_same_record() {
    let header =
        KOBO.replace('/', "-").replace(';', ",").replace("_uuid", "KEY").replace("_submission_time", "SubmissionDate");
    let row = kobo_row().replace(';', ",").replace(INSTANCE, &format!("uuid:{INSTANCE}"));
    let kobo = read_one(MAPPING, KOBO, &kobo_row()).unwrap();
    assert_eq!(read_one(MAPPING, &header, &row).unwrap(), kobo);
    let byte_order_mark = format!("\u{feff}{header}");
    assert_eq!(read_one(MAPPING, &byte_order_mark, &row).unwrap(), kobo);
}

#[test]
fn the_order_of_columns_and_another_time_of_arrival_change_nothing() {
    let turned = |line: &str| line.split(';').rev().collect::<Vec<_>>().join(";");
    let row = kobo_row().replace("T02:10:00", "T02:10:00.517Z");
    let kobo = read_one(MAPPING, KOBO, &kobo_row()).unwrap();
    assert_eq!(read_one(MAPPING, &turned(KOBO), &turned(&row)).unwrap(), kobo);
}

#[test]
fn an_edit_keeps_its_id_where_the_export_names_the_first_version() {
    let header = format!("{KOBO};meta/rootUuid;meta/deprecatedID");
    let edited = kobo_row().replace(INSTANCE, "99999999-d6cf-4fd7-ac59-77c30ece4b6b").replace(";12;", ";13;");
    let first = read_one(MAPPING, &header, &format!("{};uuid:{INSTANCE};", kobo_row())).unwrap();
    let second = read_one(MAPPING, &header, &format!("{edited};uuid:{INSTANCE};uuid:{INSTANCE}")).unwrap();
    assert_eq!(first.submission_id, second.submission_id);
    assert_ne!(first, second);
    assert_eq!(first.device_sequence, second.device_sequence);
}

#[test]
fn an_edit_that_does_not_name_its_first_version_is_refused_and_not_recorded_twice() {
    let header = format!("{KOBO};meta/deprecatedID");
    let refused = read_one(MAPPING, &header, &format!("{};uuid:{INSTANCE}", kobo_row())).unwrap_err();
    assert!(refused.reasons[0].reason.contains("rootUuid"), "{refused:?}");
}

#[test]
fn everything_that_is_wrong_with_a_row_is_named_at_once_and_no_cell_is_repeated() {
    let row = kobo_row()
        .replace("2026-03-05;", "Rahasia;")
        .replace(";sos;", ";Rahasia;")
        .replace(" ksbe ", " Rahasia ")
        .replace("kel_1001", "Rahasia")
        .replace(";12;", ";Rahasia;")
        .replace("2026-04-01", "Rahasia");
    let refused = read_one(MAPPING, KOBO, &row).unwrap_err();
    let fields: Vec<&str> = refused.reasons.iter().map(|reason| reason.field.as_str()).collect();
    let expected = [
        "occurred_at",
        "area_code",
        "school_visit.purpose",
        "school_visit.topics",
        "school_visit.reach.pupils_female",
        "school_visit.follow_ups[1].due_on",
    ];
    assert_eq!((refused.line, fields), (2, expected.to_vec()));
    let reasons = reasons(&refused).join("; ");
    assert!(!reasons.contains("Rahasia"), "{reasons}");
    assert!(reasons.contains("school_visit.purpose: column `kunjungan/tujuan` has a choice"), "{reasons}");
    assert!(reasons.contains("it knows: pantau, sos"), "{reasons}");
}

#[test]
fn a_column_that_is_not_mapped_is_neither_kept_nor_shown() {
    let lines = lines_of(MAPPING, &format!("{KOBO}\n{}\n", kobo_row()));
    let row = lines[0].row.as_ref().unwrap();
    assert!(!row.columns().iter().any(|column| column == "nama_pengisi"));
    assert!(row.cells().iter().all(|cell| cell != b"Orang Contoh"));
    assert!(!format!("{row:?}").contains(INSTANCE));
}

#[test]
fn a_short_row_and_one_that_is_no_text_are_refused_and_their_neighbour_is_read() {
    let mut text = format!("{KOBO}\nx;y\n").into_bytes();
    text.extend(kobo_row().replace("Rapat", "Rap@t").bytes().map(|byte| if byte == b'@' { 0xE9 } else { byte }));
    text.extend(format!("\n{}\n", kobo_row()).bytes());
    let mut records = Vec::new();
    read(&*text, &form(MAPPING), &TimeZone::UTC, |line| {
        records.push((line.number, line.record));
        true
    })
    .unwrap();
    assert!(records[0].1.as_ref().unwrap_err().reasons[0].reason.contains("2 cells"));
    assert!(reasons(records[1].1.as_ref().unwrap_err())[0].contains("UTF-8"));
    assert!(records[2].1.is_ok());
    // The second row has a line break within it.
    assert_eq!(records.iter().map(|record| record.0).collect::<Vec<_>>(), [2, 3, 5]);
}

#[test]
fn a_line_is_counted_as_an_editor_does_however_lines_end() {
    for end in ["\n", "\r\n"] {
        let row = kobo_row().replace("\r\n", end);
        let lines = lines_of(MAPPING, &format!("{KOBO}{end}{row}{end}{row}{end}"));
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 4], "{end:?}");
    }
}

#[test]
fn a_quotation_mark_that_is_never_closed_stops_the_file() {
    let text = format!("{KOBO}\n\"{}", "x".repeat(3 * sheet::ROW_BYTES_MAX));
    let error = read(text.as_bytes(), &form(MAPPING), &TimeZone::UTC, |_| true).unwrap_err();
    assert!(format!("{error:#}").contains("quotation mark"), "{error:#}");
}

#[test]
fn a_report_has_an_activity_for_each_kind_that_was_done() {
    let mapping = r#"
device_id = "deviceid"
device_sequence = "_id"
occurred_at = { column = "akhir", format = "%d/%m/%Y %H:%M", time_zone = "UTC" }
institution_id = { value = "99900001" }
[monitoring_report]
task_force_id = { value = "sg-contoh" }
month = "bulan"
members_present = "hadir"
risk_signals = "tanda"
[[monitoring_report.activities]]
kind = { value = "rapat" }
count = "rapat/kali"
participants = "rapat/orang"
[[monitoring_report.activities]]
kind = { value = "patroli" }
count = "patroli/kali"
participants = "patroli/orang"
[[monitoring_report.follow_ups_done]]
visit_id = "selesai/kunjungan"
number = { value = "1" }
done_on = "selesai/tanggal"
"#;
    let header = "_id,akhir,bulan,hadir,tanda,rapat/kali,rapat/orang,patroli/kali,patroli/orang,selesai/kunjungan,\
                  selesai/tanggal,deviceid,KEY";
    let row =
        format!("7,02/04/2026 01:00,2026-03-01,9,grup_digital,2,30,0,,uuid:{INSTANCE},2026-03-30,collect:Xyz,uuid:a-b");
    let submission = read_one(mapping, header, &row).unwrap();
    assert_eq!((submission.device_sequence, submission.device_id), (7, identity::device("collect:Xyz")));
    assert_eq!(submission.occurred_at.unwrap().seconds, 1_775_091_600);
    let Some(Content::MonitoringReport(report)) = submission.content else { panic!("a report") };
    assert_eq!((report.month.as_str(), report.members_present), ("2026-03", 9));
    let held = v1::Activity { kind: v1::ActivityKind::Rapat.into(), count: 2, participants: 30 };
    assert_eq!(report.activities, [held]);
    assert_eq!(report.risk_signals, [i32::from(v1::RiskSignal::GrupDigital)]);
    assert_eq!(report.follow_ups_done[0].visit_id, identity::of("school_visit", INSTANCE).unwrap().submission_id);
}

#[test]
fn a_key_that_the_mapping_does_not_know_is_named() {
    let refused = refused_mapping(&MAPPING.replace("notes =", "catatan ="));
    assert!(refused.contains("unknown field `catatan`"), "{refused}");
    let refused = refused_mapping(&MAPPING.replace("{ value = \"kobo-contoh\" }", "{ vlaue = \"x\" }"));
    assert!(refused.contains("unknown field `vlaue`"), "{refused}");
}

#[test]
fn what_is_wrong_with_a_mapping_is_found_before_the_first_row() {
    let mapping = MAPPING
        .replace("\"sosialisasi\"", "\"belajar\"")
        .replace("\"Asia/Makassar\"", "\"WITA\"")
        .replace("notes = \"catatan\"", "notes = { column = \"catatan\", format = \"%Y\" }");
    let refused = refused_mapping(&mapping);
    for expected in ["time_zone: `WITA`", "school_visit.purpose: `belajar` is none of", "school_visit.notes: `format`"]
    {
        assert!(refused.contains(expected), "{expected} in {refused}");
    }
    let neither = &MAPPING[..MAPPING.find("[school_visit]").unwrap()];
    assert!(refused_mapping(neither).contains("exactly one of"));
}

/// The mapping with a repeat instead of its two places, and a folder with its file.
fn with_repeat(number: &str, rows: &str) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tl.csv"), rows).unwrap();
    let places = MAPPING.find("[[school_visit.follow_ups]]").unwrap();
    let mapping = format!(
        "{}[[school_visit.follow_ups]]\nrepeat = \"tl\"\n{number}action = \"aksi\"\ndue_on = \"batas/tenggat\"\n\
         [repeats.tl]\nfiles = [\"tl.csv\"]\n",
        &MAPPING[..places]
    );
    (mapping, folder)
}

fn read_with(mapping: &str, folder: &Path, text: &str) -> anyhow::Result<Vec<Line>> {
    let mapping = Box::new(Mapping::parse(mapping)?);
    let files = repeats::find(&mapping, folder, &[])?;
    let mut lines = Vec::new();
    read(text.as_bytes(), &Form { mapping, files }, &TimeZone::UTC, |line| {
        lines.push(line);
        true
    })?;
    Ok(lines)
}

fn follow_ups(line: &Line) -> Vec<(u32, String)> {
    let Ok(Submission { content: Some(Content::SchoolVisit(visit)), .. }) = &line.record else { panic!("{line:?}") };
    visit.follow_ups.iter().map(|follow_up| (follow_up.number, follow_up.action.clone())).collect()
}

#[test]
fn rows_of_a_repeat_are_numbered_as_the_tool_counts_them_and_an_empty_one_keeps_its_number() {
    let rows = format!(
        "aksi,batas-tenggat,PARENT_KEY,KEY\nKetiga,2026-04-03,uuid:{INSTANCE},uuid:{INSTANCE}/tl[3]\n\
         Pertama,2026-04-01,uuid:{INSTANCE},uuid:{INSTANCE}/tl[1]\n,,uuid:{INSTANCE},uuid:{INSTANCE}/tl[2]\n\
         Pertama,2026-04-01,uuid:{INSTANCE},uuid:{INSTANCE}/tl[1]\n"
    );
    let (mapping, folder) = with_repeat("", &rows);
    let export = format!("{}\n{}\n", KOBO.replace("_uuid", "KEY"), kobo_row());
    let lines = read_with(&mapping, folder.path(), &export).unwrap();
    assert_eq!(follow_ups(&lines[0]), [(1, "Pertama".into()), (3, "Ketiga".into())]);
}

#[test]
fn a_repeat_is_joined_by_the_index_of_its_parent_where_nothing_better_is_exported() {
    let (mapping, folder) =
        with_repeat("", "tl/aksi;tl/batas/tenggat;_parent_index\nSatu;2026-04-01;7\nDua;2026-04-02;8\n");
    let export = format!("{KOBO};_index\n{};7\n", kobo_row());
    let lines = read_with(&mapping, folder.path(), &export).unwrap();
    assert_eq!(follow_ups(&lines[0]), [(1, "Satu".into())]);
    let orphan = lines[1].record.as_ref().unwrap_err();
    assert_eq!((&orphan.original, orphan.line), (&Original::Orphan, 3));
}

#[test]
fn a_number_that_is_given_twice_is_refused_by_file_and_both_lines() {
    let rows =
        format!("no;aksi;tenggat;_submission__uuid\n1;Satu;2026-04-01;{INSTANCE}\n1;Dua;2026-04-02;{INSTANCE}\n");
    let (mapping, folder) = with_repeat("number = \"no\"\n", &rows);
    let lines = read_with(&mapping, folder.path(), &format!("{KOBO}\n{}\n", kobo_row())).unwrap();
    let reasons = reasons(lines[0].record.as_ref().unwrap_err()).join("; ");
    assert_eq!(
        reasons,
        "school_visit.follow_ups[1].number: tl.csv line 3: the number is there before, in tl.csv line 2"
    );
}

#[test]
fn a_row_of_a_repeat_that_is_too_short_refuses_its_visit_and_no_other() {
    let rows = format!("tl/aksi;_submission__uuid;tl/batas/tenggat\nSatu;{INSTANCE}\n");
    let (mapping, folder) = with_repeat("", &rows);
    let other = kobo_row().replace(INSTANCE, "99999999-d6cf-4fd7-ac59-77c30ece4b6b");
    let lines = read_with(&mapping, folder.path(), &format!("{KOBO}\n{}\n{other}\n", kobo_row())).unwrap();
    let reasons = reasons(lines[0].record.as_ref().unwrap_err()).join("; ");
    assert!(reasons.contains("tl.csv line 2: the row has 2 cells, the header 3"), "{reasons}");
    assert!(lines[1].record.is_ok());
}

#[test]
fn a_repeat_that_is_not_there_or_fills_nothing_is_a_slip_in_the_mapping() {
    let (mapping, folder) = with_repeat("", "");
    let refused = refused_mapping(&mapping.replace("repeat = \"tl\"", "repeat = \"tal\""));
    assert!(refused.contains("is none of [repeats]") && refused.contains("repeats.tl: nothing is filled"), "{refused}");
    let refused = refused_mapping(&mapping.replace("files = ", "parent = \"induk\"\nfiles = "));
    assert!(refused.contains("repeats.tl.parent_is"), "{refused}");
    std::fs::remove_file(folder.path().join("tl.csv")).unwrap();
    let error = read_with(&mapping, folder.path(), "").unwrap_err().to_string();
    assert!(error.contains("are missing") && error.contains("--repeat tl=FILE"), "{error}");
}

#[test]
fn the_columns_that_join_a_repeat_can_be_named() {
    let (mapping, folder) = with_repeat("", "aksi,tenggat,induk\nSatu,2026-04-01,7\n");
    let mapping = mapping + "parent = \"induk\"\nparent_is = \"nomor\"\n";
    let export = format!("{KOBO};nomor\n{};7\n", kobo_row());
    let lines = read_with(&mapping, folder.path(), &export).unwrap();
    assert_eq!(follow_ups(&lines[0]), [(1, "Satu".into())]);
    assert!(
        lines[0].row.as_ref().unwrap().columns().iter().any(|column| column == "nomor"),
        "a mended row finds its own"
    );
    let error = read_with(&mapping, folder.path(), &format!("{KOBO}\n{}\n", kobo_row())).unwrap_err();
    assert!(format!("{error:#}").contains("`induk` with `nomor` there"), "{error:#}");
}
