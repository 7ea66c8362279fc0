//! School visits and monthly reports in the flat columns of a CSV file, as a spreadsheet makes them.

use std::{collections::BTreeMap, io::BufRead, str::FromStr};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use satgas_proto::v1::{self, submission};

use super::{
    lines::{Line, checked, row_number},
    rejected::{Original, Reason, Refused},
};
use crate::{
    codes::{self, Code},
    time,
};

/// Columns of every record.
const COMMON: &[&str] = &[
    "record",
    "submission_id",
    "device_id",
    "device_sequence",
    "occurred_at",
    "area_code",
    "institution_id",
    "risk_signals",
    "follow_ups_done",
];
/// Columns of a school visit only.
const VISIT: &[&str] = &[
    "school_id",
    "purpose",
    "topics",
    "pupils_female",
    "pupils_male",
    "teachers_female",
    "teachers_male",
    "parents_female",
    "parents_male",
    "follow_ups",
    "notes",
];
/// Columns of a monthly report only.
const REPORT: &[&str] = &["task_force_id", "month", "activities", "members_present", "obstacles"];

/// Stands in a refused row that had not as many cells as the header, with the numbers of both; those beyond stand under it with their places.
const MISFIT: &str = "satgas_cells";

/// Reads a CSV file row by row until `take` has had enough.
///
/// # Errors
/// When the file cannot be read, is no CSV, or its header names a column that is not known.
pub(super) fn read(mut input: impl BufRead, zone: &TimeZone, mut take: impl FnMut(Line) -> bool) -> anyhow::Result<()> {
    let beginning = input.fill_buf()?;
    let first_line = beginning.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default().to_vec();
    let delimiter = delimiter(&first_line);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(input);
    let header = reader.headers().context("the header line")?.clone();
    check(&header)?;
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record).context("the CSV file cannot be read on")?;
        if !more {
            return Ok(());
        }
        let number = row_number(record.position(), &first_line);
        let end_offset = reader.position().byte();
        let record = submission_of(number, &header, &record, zone);
        if !take(Line { number, end_offset, record, row: None }) {
            return Ok(());
        }
    }
}

/// The separator that the first line has more of.
fn delimiter(first_line: &[u8]) -> u8 {
    let count = |wanted: u8| first_line.iter().filter(|&&byte| byte == wanted).count();
    if count(b';') > count(b',') { b';' } else { b',' }
}

fn check(header: &csv::StringRecord) -> anyhow::Result<()> {
    let known = || COMMON.iter().chain(VISIT).chain(REPORT).copied();
    let mut seen: Vec<&str> = Vec::new();
    for column in header {
        if !known().any(|name| name == column) {
            bail!("the column `{column}` is not known; known are: {}", known().collect::<Vec<_>>().join(", "));
        }
        if seen.contains(&column) {
            bail!("the column `{column}` is there twice");
        }
        seen.push(column);
    }
    match ["record", "submission_id"].into_iter().find(|column| !seen.contains(column)) {
        Some(missing) => bail!("the column `{missing}` is missing"),
        None => Ok(()),
    }
}

fn submission_of(
    line: u64,
    header: &csv::StringRecord,
    record: &csv::StringRecord,
    zone: &TimeZone,
) -> Result<v1::Submission, Refused> {
    let mut cells: BTreeMap<String, String> =
        header.iter().zip(record).map(|(column, cell)| (column.to_owned(), cell.to_owned())).collect();
    if record.len() != header.len() {
        let reason = format!("the row has {} cells, the header {}", record.len(), header.len());
        // Cells may stand in wrong columns, and some in none: the row must not pass for a whole one when it is sent again as it is.
        let beyond = (1..).zip(record).skip(header.len());
        cells.extend(beyond.map(|(place, cell)| (format!("{MISFIT}_{place}"), cell.to_owned())));
        cells.insert(MISFIT.to_owned(), format!("{} of {}", record.len(), header.len()));
        return Err(Refused { line, reasons: vec![Reason::new("", reason)], original: Original::Row(cells) });
    }
    checked(line, self::record(line, cells, zone)?)
}

/// The record that a row stands for.
///
/// # Errors
/// Every column that is wrong, and the row as it came.
pub(super) fn record(line: u64, cells: BTreeMap<String, String>, zone: &TimeZone) -> Result<v1::Submission, Refused> {
    let mut row = Row { cells: cells.clone(), reasons: Vec::new() };
    let submission = row.submission(zone);
    row.refuse_leftovers();
    if row.reasons.is_empty() {
        return Ok(submission);
    }
    Err(Refused { line, reasons: row.reasons, original: Original::Row(cells) })
}

/// Cells that were not looked at yet, and what was wrong with those that were.
struct Row {
    cells: BTreeMap<String, String>,
    reasons: Vec<Reason>,
}

impl Row {
    fn submission(&mut self, zone: &TimeZone) -> v1::Submission {
        let content = match self.text("record").as_str() {
            "school_visit" => Some(submission::Content::SchoolVisit(self.visit())),
            "monitoring_report" => Some(submission::Content::MonitoringReport(self.report())),
            other => {
                self.refuse("record", format!("`{other}` is neither school_visit nor monitoring_report"));
                self.cells.clear();
                return v1::Submission::default();
            }
        };
        v1::Submission {
            submission_id: self.text("submission_id"),
            device_id: self.text("device_id"),
            device_sequence: self.number("device_sequence"),
            occurred_at: self.time("occurred_at", zone),
            reporter: self.reporter(),
            content,
        }
    }

    fn visit(&mut self) -> v1::SchoolVisit {
        let reach = v1::Reach {
            pupils_female: self.number("pupils_female"),
            pupils_male: self.number("pupils_male"),
            teachers_female: self.number("teachers_female"),
            teachers_male: self.number("teachers_male"),
            parents_female: self.number("parents_female"),
            parents_male: self.number("parents_male"),
        };
        v1::SchoolVisit {
            school_id: self.text("school_id"),
            purpose: self.list("purpose", codes::parse::<v1::VisitPurpose>).pop().map_or(0, Into::into),
            topics: self.codes::<v1::Topic>("topics"),
            reach: Some(reach),
            risk_signals: self.codes::<v1::RiskSignal>("risk_signals"),
            follow_ups: self.list("follow_ups", follow_up),
            follow_ups_done: self.list("follow_ups_done", follow_up_done),
            notes: self.text("notes"),
        }
    }

    fn report(&mut self) -> v1::MonitoringReport {
        v1::MonitoringReport {
            task_force_id: self.text("task_force_id"),
            month: self.text("month"),
            activities: self.list("activities", activity),
            members_present: self.number("members_present"),
            obstacles: self.text("obstacles"),
            risk_signals: self.codes::<v1::RiskSignal>("risk_signals"),
            follow_ups_done: self.list("follow_ups_done", follow_up_done),
        }
    }

    fn reporter(&mut self) -> Option<submission::Reporter> {
        match (self.text("area_code"), self.text("institution_id")) {
            (area, institution) if institution.is_empty() => Some(submission::Reporter::AreaCode(area)),
            (area, institution) if area.is_empty() => Some(submission::Reporter::InstitutionId(institution)),
            _ => {
                self.refuse("area_code", "give either area_code or institution_id, not both");
                None
            }
        }
    }

    fn text(&mut self, column: &str) -> String {
        self.cells.remove(column).unwrap_or_default()
    }

    /// An empty cell is 0.
    fn number<N: FromStr + Default>(&mut self, column: &str) -> N {
        let text = self.text(column);
        if text.is_empty() {
            return N::default();
        }
        text.parse().unwrap_or_else(|_| {
            self.refuse(column, format!("`{text}` is no whole number that fits"));
            N::default()
        })
    }

    fn time(&mut self, column: &str, zone: &TimeZone) -> Option<pbjson_types::Timestamp> {
        let parsed = time::parse(&self.text(column), zone);
        parsed.map(time::to_proto).map_err(|reason| self.refuse(column, reason)).ok()
    }

    fn codes<C: Code>(&mut self, column: &str) -> Vec<i32> {
        self.list(column, codes::parse::<C>).into_iter().map(Into::into).collect()
    }

    fn list<T>(&mut self, column: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let text = self.text(column);
        let parts = text.split('|').map(str::trim).filter(|part| !part.is_empty());
        let mut items = Vec::new();
        for part in parts {
            match parse(part) {
                Ok(item) => items.push(item),
                Err(reason) => self.refuse(column, reason),
            }
        }
        items
    }

    /// A cell under a column of another kind of record is a mistake, not something to drop.
    fn refuse_leftovers(&mut self) {
        for (column, cell) in std::mem::take(&mut self.cells) {
            if column.starts_with(MISFIT) {
                self.refuse(
                    &column,
                    "is left of a row that had not as many cells as the header: mend the row, then take this out",
                );
            } else if !cell.is_empty() {
                self.refuse(&column, "does not belong to this kind of record");
            }
        }
    }

    fn refuse(&mut self, column: &str, reason: impl Into<String>) {
        self.reasons.push(Reason::new(column, reason));
    }
}

fn follow_up(text: &str) -> Result<v1::FollowUp, String> {
    let parsed = text.splitn(3, ':').collect::<Vec<_>>();
    let [number, due_on, action] = parsed[..] else {
        return Err(format!("`{text}` is not NUMBER:YYYY-MM-DD:action"));
    };
    Ok(v1::FollowUp { number: part(number, text)?, action: action.trim().to_owned(), due_on: due_on.trim().to_owned() })
}

fn follow_up_done(text: &str) -> Result<v1::FollowUpDone, String> {
    let parsed = text.split_once('#').and_then(|(visit, rest)| Some((visit, rest.split_once(':')?)));
    let Some((visit_id, (number, done_on))) = parsed else {
        return Err(format!("`{text}` is not VISIT_ID#NUMBER:YYYY-MM-DD"));
    };
    let (visit_id, done_on) = (visit_id.trim().to_owned(), done_on.trim().to_owned());
    Ok(v1::FollowUpDone { visit_id, number: part(number, text)?, done_on })
}

fn activity(text: &str) -> Result<v1::Activity, String> {
    let parsed = text.split(':').collect::<Vec<_>>();
    let [kind, count, participants] = parsed[..] else {
        return Err(format!("`{text}` is not KIND:COUNT:PARTICIPANTS"));
    };
    let kind = codes::parse::<v1::ActivityKind>(kind)?.into();
    Ok(v1::Activity { kind, count: part(count, text)?, participants: part(participants, text)? })
}

fn part<N: FromStr>(number: &str, whole: &str) -> Result<N, String> {
    number.trim().parse().map_err(|_| format!("`{}` in `{whole}` is no whole number that fits", number.trim()))
}

#[cfg(test)]
mod tests;
