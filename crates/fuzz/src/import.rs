//! Files that people bring: the registry's CSV, records as JSON lines and CSV, exports of forms with their mappings.

use satgas_cli::fuzz::{Read, Reading, read};
use satgas_proto::v1::{self, CsvKind, RegistryEntry, registry_entry::Entry, task_force::Home};
use satgas_server::fuzz::registry_csv;

use crate::{input::Input, town};

/// Bytes of a file of one run.
const BYTES_MAX: usize = 32 * 1024;
/// Stands for what tells of a person: where it comes in with a cell, no reason repeats it.
pub(crate) const SECRET: &str = "Rahasia9";
/// A mapping that reads each kind of field.
pub(crate) const MAPPING: &str = r#"
time_zone = "Asia/Makassar"
device_id = { value = "formulir" }
occurred_at = { column = "waktu", format = "%d/%m/%Y %H:%M" }
area_code = { column = "kelurahan", choices = { satu = "53.71.04.1001" } }
[school_visit]
school_id = "sekolah"
purpose = { column = "tujuan", choices = { sos = "sosialisasi" } }
topics = "topik"
notes = "catatan"
[school_visit.reach]
pupils_female = "siswi"
[[school_visit.follow_ups]]
action = "tindak"
due_on = "batas"
[[school_visit.follow_ups_done]]
visit_id = "kunjungan"
number = "nomor"
done_on = "selesai"
"#;

/// The first byte says what the others are.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let kind = input.u8() % 8;
    if input.0.len() > BYTES_MAX {
        return;
    }
    match kind {
        0 => registry(CsvKind::Areas, input.0),
        1 => registry(CsvKind::Schools, input.0),
        2 => registry(CsvKind::Members, input.0),
        3 => registry(CsvKind::TaskForces, input.0),
        4 => records(Reading::Jsonl, input.0),
        5 => records(Reading::Csv, input.0),
        6 => export(MAPPING, input.0),
        _ => mapped(input),
    }
}

/// A mapping and an export, a piece each.
fn mapped(mut input: Input<'_>) {
    let mapping = input.piece();
    if let Ok(mapping) = std::str::from_utf8(mapping) {
        records(Reading::Export(mapping), input.0);
    }
}

/// What is read of the registry is the same when it is written as CSV and read again, and fits the town or does not.
fn registry(kind: CsvKind, file: &[u8]) {
    let rows = match registry_csv(kind, file) {
        Ok(rows) => rows,
        Err(status) => return assert!(!status.message().contains(SECRET), "a file without a header has records there"),
    };
    let lines = file.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() + 1;
    let is_line = |line: u32| line > 0 && usize::try_from(line).is_ok_and(|line| line <= lines);
    for row in &rows.refused {
        assert!(is_line(row.line), "line {} of {lines}", row.line);
        assert!(row.violations.iter().all(|v| !v.reason.contains(SECRET) && !v.field.contains(SECRET)));
        town::refused(&row.violations);
    }
    assert!(rows.entries.iter().all(|(line, _)| is_line(*line)));
    assert!(rows.entries.len() + rows.refused.len() <= lines, "a row has one fate");
    let entries: Vec<RegistryEntry> = rows.entries.into_iter().map(|(_, entry)| entry).collect();
    if entries.is_empty() {
        return;
    }
    let again = registry_csv(kind, &written(&entries)).expect("what was written here has a header");
    let again: Vec<RegistryEntry> = again.entries.into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(again, entries, "what is read again is the same");
    town::registry(&entries[..entries.len().min(50)]);
}

/// Entries of one kind as a CSV file.
fn written(entries: &[RegistryEntry]) -> Vec<u8> {
    let mut file = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let header: &[&str] = match &entries[0].entry {
        Some(Entry::Area(_)) => &["code", "name", "valid_from", "valid_until", "succeeds_codes", "effective_on"],
        Some(Entry::Institution(_)) => {
            &["institution_id", "name", "area_code", "valid_from", "valid_until", "effective_on"]
        }
        Some(Entry::TaskForce(_)) => {
            &["task_force_id", "kind", "formed_on", "area_code", "institution_id", "legal_basis", "dissolved_on"]
        }
        _ => &[
            "member_id",
            "task_force_id",
            "joined_on",
            "left_on",
            "training_topic",
            "training_valid_from",
            "training_valid_until",
        ],
    };
    let mut write = |row: &[&str]| file.write_record(row).expect("memory takes everything");
    write(header);
    for RegistryEntry { entry, effective_on } in entries {
        match entry {
            Some(Entry::Area(a)) => {
                let succeeds = a.succeeds_codes.join(" ");
                write(&[&a.code, &a.name, &a.valid_from, &a.valid_until, &succeeds, effective_on]);
            }
            Some(Entry::Institution(i)) => {
                write(&[&i.institution_id, &i.name, &i.area_code, &i.valid_from, &i.valid_until, effective_on]);
            }
            Some(Entry::TaskForce(t)) => {
                let (area, institution) = match &t.home {
                    Some(Home::AreaCode(code)) => (&**code, ""),
                    Some(Home::InstitutionId(id)) => ("", &**id),
                    None => ("", ""),
                };
                write(&[&t.task_force_id, &t.kind, &t.formed_on, area, institution, &t.legal_basis, &t.dissolved_on]);
            }
            Some(Entry::Member(m)) => {
                let none = [v1::Training::default()];
                for t in if m.trainings.is_empty() { &none[..] } else { &m.trainings } {
                    let training = [&*t.topic, &*t.valid_from, &*t.valid_until];
                    write(&[&[&*m.member_id, &*m.task_force_id, &*m.joined_on, &*m.left_on], &training[..]].concat());
                }
            }
            None => {}
        }
    }
    file.into_inner().expect("memory takes everything")
}

/// Records have ids, survive being written as JSON, and are taken by the server or refused; what is refused can be written down, and is the
/// same when that is read.
fn records(reading: Reading<'_>, file: &[u8]) {
    let Ok(lines) = read(file, reading) else { return };
    let (mut number, mut end) = (0, 0);
    for Read { number: here, end_offset, record } in lines {
        assert!(here >= number && end_offset >= end, "lines come in order");
        assert!(usize::try_from(end_offset).is_ok_and(|end| end <= file.len()), "and lie in the file");
        (number, end) = (here, end_offset);
        match record {
            Ok(submission) => {
                assert!(!submission.submission_id.is_empty());
                let json = serde_json::to_string(&submission).expect("a record has a canonical form");
                let again = one(&json).record.expect("a record is read again");
                assert_eq!(again, submission, "{json}");
                town::submission(&submission);
            }
            Err(refusal) => {
                assert!(!refusal.reasons.is_empty() && refusal.reasons.iter().all(|(_, reason)| !reason.is_empty()));
                let Some(written) = refusal.written else {
                    assert!(matches!(reading, Reading::Export(_)), "what is no row of an export is written down");
                    continue;
                };
                refused_again(&written);
            }
        }
    }
}

/// What was written down without being mended is refused again, and is then the same.
fn refused_again(written: &str) {
    let kept = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        (line["submission"].take(), line["row"].take())
    };
    let before = kept(written);
    match one(written).record {
        // A text is read as JSON once more, so that a mended one is taken.
        _ if before.0.is_string() => {}
        Ok(_) => panic!("a refused record was taken although nobody mended it"),
        Err(again) => assert_eq!(kept(&again.written.expect("it was no export")), before),
    }
}

/// The only line of a file.
fn one(line: &str) -> Read {
    let mut lines = read(line.as_bytes(), Reading::Jsonl).expect("memory can be read");
    assert_eq!(lines.len(), 1, "one line is one record");
    lines.remove(0)
}

/// Rows of an export; what tells of a person stays in its cell.
fn export(mapping: &str, file: &[u8]) {
    records(Reading::Export(mapping), file);
    let header = file.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let in_header = String::from_utf8_lossy(header).contains(SECRET);
    let Ok(lines) = read(file, Reading::Export(mapping)) else { return };
    for refusal in lines.iter().filter_map(|line| line.record.as_ref().err()) {
        let tells = refusal.reasons.iter().any(|(field, reason)| field.contains(SECRET) || reason.contains(SECRET));
        assert!(in_header || !tells, "a reason repeats a cell");
    }
}
