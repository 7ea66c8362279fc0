//! CSV files of the registry: rows become entries, and whatever is wrong is named by line and column.

use std::collections::HashMap;

use csv::StringRecord;
use satgas_proto::v1::{self, CsvKind, Violation, registry_entry::Entry, task_force::Home};
use tonic::Status;

use crate::status;

/// Bytes that a file may have.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A good row.
pub(crate) struct Row {
    pub(crate) line: u32,
    pub(crate) entry: v1::RegistryEntry,
}

/// The rows of a file: those that can be read, and those that cannot.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) entries: Vec<Row>,
    pub(crate) refused: Vec<v1::RefusedRow>,
    /// Which entry a member is, since a member may have several rows.
    members: HashMap<String, usize>,
}

/// Columns of a kind: those that must be there, and those that may.
fn columns(kind: CsvKind) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match kind {
        CsvKind::Unspecified => None,
        CsvKind::Areas => Some((&["code", "name", "valid_from"], &["valid_until", "succeeds_codes", "effective_on"])),
        CsvKind::Schools => {
            Some((&["institution_id", "name", "area_code", "valid_from"], &["valid_until", "effective_on"]))
        }
        CsvKind::Members => Some((
            &["member_id", "task_force_id", "joined_on"],
            &["left_on", "training_topic", "training_valid_from", "training_valid_until"],
        )),
        CsvKind::TaskForces => Some((
            &["task_force_id", "kind", "formed_on"],
            &["area_code", "institution_id", "legal_basis", "dissolved_on"],
        )),
    }
}

/// Reads a file. A file that cannot be read at all is an error; a bad row is not.
pub(crate) fn parse(kind: CsvKind, file: &[u8]) -> Result<Rows, Status> {
    let (required, optional) = columns(kind).ok_or_else(|| status::invalid_field("kind", "is missing"))?;
    if file.len() > FILE_BYTES_MAX {
        return Err(status::invalid_field("csv", "is larger than 16 MiB: split the file"));
    }
    let file = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
    let header = file.split(|b| *b == b'\n').next().unwrap_or_default();
    let delimiter = if header.contains(&b';') && !header.contains(&b',') { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(file);
    let header =
        reader.headers().map_err(|error| status::invalid_field("csv", &format!("has no readable header: {error}")))?;
    let named: HashMap<String, usize> = header.iter().enumerate().map(|(i, name)| (name.to_lowercase(), i)).collect();
    check_header(header, required, optional)?;

    let width = header.len();
    let mut rows = Rows::default();
    for record in reader.records() {
        match record {
            Ok(record) if record.iter().all(str::is_empty) => {}
            Ok(record) => {
                let line = line_of(file, record.position());
                let fields = Fields { named: &named, record: &record };
                if record.len() == width {
                    add(&mut rows, kind, line, &fields);
                } else {
                    let reason = format!("has {} columns, the header has {width}", record.len());
                    rows.refused.push(refused(line, "row", &reason));
                }
            }
            Err(error) => {
                let line = line_of(file, error.position());
                rows.refused.push(refused(line, "row", "is not readable as UTF-8 CSV"));
            }
        }
    }
    Ok(rows)
}

/// The line on which a record begins. The reader's position lies before the empty lines that it skips.
fn line_of(file: &[u8], position: Option<&csv::Position>) -> u32 {
    let Some(position) = position else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(file.len());
    let skipped = file[start..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n').count();
    u32::try_from(position.line()).unwrap_or(u32::MAX).saturating_add(u32::try_from(skipped).unwrap_or(u32::MAX))
}

/// Checks the header. Columns are named by number: what stands in a file without a header may be about a person.
fn check_header(header: &StringRecord, required: &[&'static str], optional: &[&'static str]) -> Result<(), Status> {
    let names: Vec<String> = header.iter().map(str::to_lowercase).collect();
    let known: Vec<&str> = required.iter().chain(optional).copied().collect();
    let mut violations = Vec::new();
    let mut add = |reason: String| violations.push(Violation { field: "csv".to_owned(), reason });
    for column in required.iter().filter(|column| !names.iter().any(|name| name == *column)) {
        add(format!("lacks the column {column}"));
    }
    for (index, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            add(format!("has a name over column {} that is none of {}", index + 1, known.join(", ")));
        } else if let Some(first) = names[..index].iter().position(|earlier| earlier == name) {
            add(format!("has the column {name} twice, as columns {} and {}", first + 1, index + 1));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(status::invalid(violations)) }
}

fn refused(line: u32, field: &str, reason: &str) -> v1::RefusedRow {
    v1::RefusedRow { line, violations: vec![Violation { field: field.to_owned(), reason: reason.to_owned() }] }
}

/// The fields of a row by column name; a column that is not there is empty.
struct Fields<'a> {
    named: &'a HashMap<String, usize>,
    record: &'a StringRecord,
}

impl Fields<'_> {
    fn get(&self, column: &str) -> String {
        self.named.get(column).and_then(|index| self.record.get(*index)).unwrap_or_default().to_owned()
    }
}

fn add(rows: &mut Rows, kind: CsvKind, line: u32, f: &Fields<'_>) {
    let entry = match kind {
        CsvKind::Areas => Entry::Area(v1::Area {
            code: f.get("code"),
            name: f.get("name"),
            valid_from: f.get("valid_from"),
            valid_until: f.get("valid_until"),
            succeeds_codes: f.get("succeeds_codes").split_whitespace().map(str::to_owned).collect(),
        }),
        CsvKind::Schools => Entry::Institution(v1::Institution {
            institution_id: f.get("institution_id"),
            name: f.get("name"),
            kind: v1::InstitutionKind::Sekolah.into(),
            area_code: f.get("area_code"),
            valid_from: f.get("valid_from"),
            valid_until: f.get("valid_until"),
        }),
        CsvKind::TaskForces => match task_force(f) {
            Ok(task_force) => Entry::TaskForce(task_force),
            Err(reason) => {
                rows.refused.push(refused(line, "area_code", reason));
                return;
            }
        },
        CsvKind::Members => {
            add_member(rows, line, f);
            return;
        }
        CsvKind::Unspecified => return,
    };
    let entry = v1::RegistryEntry { entry: Some(entry), effective_on: f.get("effective_on") };
    rows.entries.push(Row { line, entry });
}

fn task_force(f: &Fields<'_>) -> Result<v1::TaskForce, &'static str> {
    let home = match (f.get("area_code"), f.get("institution_id")) {
        (area, institution) if institution.is_empty() && !area.is_empty() => Home::AreaCode(area),
        (area, institution) if area.is_empty() && !institution.is_empty() => Home::InstitutionId(institution),
        _ => return Err("and institution_id: give exactly one of the two"),
    };
    Ok(v1::TaskForce {
        task_force_id: f.get("task_force_id"),
        home: Some(home),
        kind: f.get("kind"),
        legal_basis: f.get("legal_basis"),
        formed_on: f.get("formed_on"),
        dissolved_on: f.get("dissolved_on"),
    })
}

/// A member may have several rows, one a training, that agree in everything else.
fn add_member(rows: &mut Rows, line: u32, f: &Fields<'_>) {
    let training = v1::Training {
        topic: f.get("training_topic"),
        valid_from: f.get("training_valid_from"),
        valid_until: f.get("training_valid_until"),
    };
    let given = training != v1::Training::default();
    let member = v1::Member {
        member_id: f.get("member_id"),
        task_force_id: f.get("task_force_id"),
        joined_on: f.get("joined_on"),
        left_on: f.get("left_on"),
        trainings: if given { vec![training] } else { Vec::new() },
    };
    let known = rows.members.get(&member.member_id).and_then(|index| match &mut rows.entries[*index].entry.entry {
        Some(Entry::Member(known)) => Some(known),
        _ => None,
    });
    match known {
        None => {
            rows.members.insert(member.member_id.clone(), rows.entries.len());
            rows.entries.push(Row {
                line,
                entry: v1::RegistryEntry { entry: Some(Entry::Member(member)), ..Default::default() },
            });
        }
        Some(known)
            if known.task_force_id == member.task_force_id
                && known.joined_on == member.joined_on
                && known.left_on == member.left_on =>
        {
            known.trainings.extend(member.trainings);
        }
        Some(_) => rows.refused.push(refused(
            line,
            "member_id",
            "stands in an earlier row with another task force or other dates",
        )),
    }
}

/// Violations by column instead of by field path.
pub(crate) fn by_column(kind: CsvKind, violations: Vec<Violation>) -> Vec<Violation> {
    let column = |field: String| {
        let leaf = field.rsplit('.').next().unwrap_or_default().to_owned();
        if kind == CsvKind::Members && field.contains("trainings[") { format!("training_{leaf}") } else { leaf }
    };
    violations.into_iter().map(|v| Violation { field: column(v.field), reason: v.reason }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(kind: CsvKind, file: &str) -> Rows {
        parse(kind, file.as_bytes()).unwrap()
    }

    #[test]
    fn a_bad_row_is_named_by_its_line_and_the_others_are_read() {
        let rows = rows(
            CsvKind::Areas,
            "code;name;valid_from\n53.71;Kota Contoh;2025-01-01\n\n53.71.01;Kecamatan Contoh\n53.71.02;\"A; B\";2025-01-01\n",
        );
        assert_eq!(rows.entries.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(rows.refused.iter().map(|row| row.line).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn rows_of_one_member_join_into_one_with_all_trainings() {
        let file = "\u{feff}member_id,task_force_id,joined_on,left_on,training_topic,training_valid_from,training_valid_until\n\
                    m1,t1,2025-01-01,,KSBE,2025-01-01,2025-12-31\n\
                    m1,t1,2025-01-01,,Pelaporan,2025-02-01,2026-01-31\n\
                    m1,t2,2025-01-01,,,,\n";
        let rows = rows(CsvKind::Members, file);
        let Some(Entry::Member(member)) = &rows.entries[0].entry.entry else { panic!("a member") };
        assert_eq!((rows.entries.len(), member.trainings.len()), (1, 2));
        assert_eq!(rows.refused[0].line, 4);
    }

    #[test]
    fn a_header_that_lacks_a_column_or_has_a_strange_one_is_refused() {
        let error = parse(CsvKind::Schools, b"institution_id,nama,area_code,valid_from\n").err().unwrap();
        assert!(error.message().contains("lacks the column name"), "{}", error.message());
        assert!(error.message().contains("column 2 that is none of"), "{}", error.message());
        assert!(!error.message().contains("nama"), "a file without a header has records there");
    }
}
