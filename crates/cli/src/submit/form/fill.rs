//! A row of an export as a record: every field from its source, every problem at once.

use std::str::FromStr;

use jiff::tz::TimeZone;
use satgas_proto::v1::{self, submission};

use super::{
    header::Header,
    identity::{self, Identity},
    mapping::{
        ActivityFields, Entry, FollowUpDoneFields, FollowUpFields, Holds, Mapping, ReachFields, ReportFields,
        VisitFields,
    },
    repeats::{Member, Repeat, Repeats},
    source::{Origin, Source},
    values::{self, CodeList},
};
use crate::{codes::Code, submit::rejected::Reason, time};

/// A record, and where the entries of its lists come from that are rows of repeats.
pub(super) struct Filled {
    /// The record.
    pub(super) submission: v1::Submission,
    /// Paths of entries, and which rows these are.
    pub(super) origins: Vec<(String, String)>,
}

/// A row, and what was wrong with the fields filled so far.
struct Row<'a> {
    header: &'a Header,
    cells: &'a csv::ByteRecord,
    repeats: &'a Repeats,
    /// The row of a repeat that is being read, instead of the export's own.
    part: Option<(&'a Repeat, &'a Member)>,
    origins: Vec<(String, String)>,
    /// Of times without an offset.
    zone: &'a TimeZone,
    reasons: Vec<Reason>,
}

/// The record that a row stands for.
///
/// # Errors
/// Every field that cannot be filled.
pub(super) fn submission(
    mapping: &Mapping,
    header: &Header,
    repeats: &Repeats,
    cells: &csv::ByteRecord,
    zone: &TimeZone,
) -> Result<Filled, Vec<Reason>> {
    let mut row = Row { header, cells, repeats, part: None, origins: Vec::new(), zone, reasons: Vec::new() };
    let submission = row.submission(mapping);
    if row.reasons.is_empty() { Ok(Filled { submission, origins: row.origins }) } else { Err(row.reasons) }
}

impl<'a> Row<'a> {
    fn submission(&mut self, mapping: &'a Mapping) -> v1::Submission {
        let record = if mapping.school_visit.is_some() { "school_visit" } else { "monitoring_report" };
        let identity = self.identity(record);
        let (submission_id, own_sequence) =
            identity.map_or_else(Default::default, |identity| (identity.submission_id, identity.sequence));
        v1::Submission {
            submission_id,
            device_id: self.device(&mapping.device_id),
            device_sequence: match &mapping.device_sequence {
                Some(source) => self.number("device_sequence", Some(source)),
                None => own_sequence,
            },
            occurred_at: self.time("occurred_at", &mapping.occurred_at),
            reporter: self.reporter(mapping),
            content: match (&mapping.school_visit, &mapping.monitoring_report) {
                (Some(fields), _) => Some(submission::Content::SchoolVisit(self.visit(fields))),
                (None, fields) => {
                    fields.as_ref().map(|fields| submission::Content::MonitoringReport(self.report(fields)))
                }
            },
        }
    }

    /// From the first column with an id. An id that an edit changes will do only for a row that was not edited: else the edit would
    /// stand as a second record beside the first, and nobody would see it.
    fn identity(&mut self, record: &str) -> Option<Identity> {
        let header = self.header;
        let first = |row: &Self, places: &[usize]| {
            let filled = |place: &usize| !row.cell(*place).is_empty();
            places.iter().copied().find(filled)
        };
        let stable = first(self, &header.stable_ids);
        let edited = first(self, &header.edited).is_some();
        let Some(place) = stable.or_else(|| first(self, &header.version_ids)) else {
            self.refuse("submission_id", "the row has no id of the form's instance; take it from the export");
            return None;
        };
        if stable.is_none() && edited {
            let reason = "the row is an edited version and does not name its first one; export it with meta/rootUuid";
            self.refuse("submission_id", reason);
            return None;
        }
        let text = std::str::from_utf8(self.cell(place)).ok();
        let identity = text.and_then(|text| identity::of(record, text));
        if identity.is_none() {
            self.refuse("submission_id", "the instance's id is longer than 200 characters or no text");
        }
        identity
    }

    fn device(&mut self, source: &'a Source) -> String {
        let text = self.text("device_id", Some(source));
        match source.origin {
            Origin::Constant(_) => text,
            Origin::Column(_) if text.is_empty() => {
                self.refuse_source("device_id", source, "is empty; give a constant if not every row has one");
                text
            }
            Origin::Column(_) => identity::device(&text),
        }
    }

    fn reporter(&mut self, mapping: &'a Mapping) -> Option<submission::Reporter> {
        let area = self.text("area_code", mapping.area_code.as_ref());
        let institution = self.text("institution_id", mapping.institution_id.as_ref());
        match (area.is_empty(), institution.is_empty()) {
            (false, true) => Some(submission::Reporter::AreaCode(area)),
            (true, false) => Some(submission::Reporter::InstitutionId(institution)),
            (false, false) => {
                self.refuse("area_code", "area_code and institution_id are both filled; only one of them reports");
                None
            }
            (true, true) => {
                // A cell that could not be read was refused already.
                let refused = |reason: &Reason| matches!(&*reason.field, "area_code" | "institution_id");
                if !self.reasons.iter().any(refused) {
                    self.refuse("area_code", "neither area_code nor institution_id is filled; one of them reports");
                }
                None
            }
        }
    }

    fn visit(&mut self, fields: &'a VisitFields) -> v1::SchoolVisit {
        v1::SchoolVisit {
            school_id: self.text("school_visit.school_id", Some(&fields.school_id)),
            purpose: self.code::<v1::VisitPurpose>("school_visit.purpose", &fields.purpose),
            topics: self.codes::<v1::Topic>("school_visit.topics", fields.topics.as_ref()),
            reach: Some(self.reach(&fields.reach)),
            risk_signals: self.codes::<v1::RiskSignal>("school_visit.risk_signals", fields.risk_signals.as_ref()),
            follow_ups: self.follow_ups(&fields.follow_ups),
            follow_ups_done: self.follow_ups_done("school_visit", &fields.follow_ups_done),
            notes: self.text("school_visit.notes", fields.notes.as_ref()),
        }
    }

    fn reach(&mut self, fields: &'a ReachFields) -> v1::Reach {
        let [pupils_female, pupils_male, teachers_female, teachers_male, parents_female, parents_male] =
            fields.by_name().map(|(name, source)| self.number(&format!("school_visit.reach.{name}"), source));
        v1::Reach { pupils_female, pupils_male, teachers_female, teachers_male, parents_female, parents_male }
    }

    fn report(&mut self, fields: &'a ReportFields) -> v1::MonitoringReport {
        let signals = "monitoring_report.risk_signals";
        v1::MonitoringReport {
            task_force_id: self.text("monitoring_report.task_force_id", Some(&fields.task_force_id)),
            month: self.month("monitoring_report.month", &fields.month),
            activities: self.activities(&fields.activities),
            members_present: self.number("monitoring_report.members_present", fields.members_present.as_ref()),
            obstacles: self.text("monitoring_report.obstacles", fields.obstacles.as_ref()),
            risk_signals: self.codes::<v1::RiskSignal>(signals, fields.risk_signals.as_ref()),
            follow_ups_done: self.follow_ups_done("monitoring_report", &fields.follow_ups_done),
        }
    }

    fn activities(&mut self, places: &'a [ActivityFields]) -> Vec<v1::Activity> {
        let list = "monitoring_report.activities";
        self.entries(list, places, |row, path, place, _| v1::Activity {
            kind: row.code::<v1::ActivityKind>(&format!("{path}.kind"), &place.kind),
            count: row.number(&format!("{path}.count"), Some(&place.count)),
            participants: row.number(&format!("{path}.participants"), place.participants.as_ref()),
        })
    }

    fn follow_ups(&mut self, places: &'a [FollowUpFields]) -> Vec<v1::FollowUp> {
        let list = "school_visit.follow_ups";
        let mut numbered: Vec<(u32, String)> = Vec::new();
        self.entries(list, places, |row, path, place, rank| {
            let number = match &place.number {
                Some(source) => row.number(&format!("{path}.number"), Some(source)),
                None => rank,
            };
            let origin = row.origin().unwrap_or_else(|| "the row itself".to_owned());
            if let Some((_, before)) = numbered.iter().find(|(known, _)| *known == number) {
                row.refuse(&format!("{path}.number"), format!("{origin}: the number is there before, in {before}"));
            }
            numbered.push((number, origin));
            v1::FollowUp {
                number,
                action: row.text(&format!("{path}.action"), Some(&place.action)),
                due_on: row.day(&format!("{path}.due_on"), &place.due_on),
            }
        })
    }

    fn follow_ups_done(&mut self, record: &str, places: &'a [FollowUpDoneFields]) -> Vec<v1::FollowUpDone> {
        let list = format!("{record}.follow_ups_done");
        self.entries(&list, places, |row, path, place, _| {
            let visit = row.text(&format!("{path}.visit_id"), Some(&place.visit_id));
            v1::FollowUpDone {
                visit_id: row.taken(&format!("{path}.visit_id"), &place.visit_id, values::visit_id(&visit)),
                number: row.number(&format!("{path}.number"), Some(&place.number)),
                done_on: row.day(&format!("{path}.done_on"), &place.done_on),
            }
        })
    }

    /// An entry for each place of the form and each row of a repeat that is not left empty. `fill` gets its path and its rank: the place
    /// in the mapping or among the repeat's rows, from 1.
    fn entries<F: Entry, T>(
        &mut self,
        list: &str,
        places: &'a [F],
        mut fill: impl FnMut(&mut Self, &str, &'a F, u32) -> T,
    ) -> Vec<T> {
        let mut entries = Vec::new();
        for (rank, place) in (1_u32..).zip(places) {
            let sources = place.sources();
            let Some(name) = place.repeat() else {
                if !self.is_blank(sources) {
                    entries.push(fill(self, &format!("{list}[{}]", rank - 1), place, rank));
                }
                continue;
            };
            let (repeat, rows) = self.repeats.of(name, self.cells);
            for (rank, row) in (1_u32..).zip(rows) {
                self.part = repeat.map(|repeat| (repeat, row));
                let path = format!("{list}[{}]", entries.len());
                let origin = self.origin().unwrap_or_default();
                if let Some(problem) = &row.problem {
                    self.refuse(&path, format!("{origin}: {problem}"));
                } else if !self.is_blank(sources) {
                    entries.push(fill(self, &path, place, rank));
                    self.origins.push((path, origin));
                }
                self.part = None;
            }
        }
        entries
    }

    /// Which row of which repeat is being read: "tindak_lanjut.csv line 7".
    fn origin(&self) -> Option<String> {
        self.part.map(|(repeat, row)| repeat.origin(row))
    }

    /// A place of the form that was left empty: nothing in any of its columns, or 0.
    fn is_blank<const N: usize>(&self, sources: [Option<&Source>; N]) -> bool {
        let columns = sources.into_iter().flatten().filter_map(Source::column_name);
        let mut cells = columns.map(|name| self.cell_of(name));
        cells.all(|cell| cell.is_empty() || cell == b"0")
    }

    fn text(&mut self, path: &str, source: Option<&'a Source>) -> String {
        let Some(source) = source else { return String::new() };
        let text = self.raw(path, source);
        if text.is_empty() {
            return String::new();
        }
        // A spreadsheet's line ends are no part of what was written.
        self.taken(path, source, source.choice(text).map(|text| text.replace("\r\n", "\n")))
    }

    fn number<N: FromStr + Default>(&mut self, path: &str, source: Option<&'a Source>) -> N {
        let Some(source) = source else { return N::default() };
        let text = self.raw(path, source);
        self.taken(path, source, values::number(text))
    }

    fn code<C: Code>(&mut self, path: &str, source: &'a Source) -> i32 {
        self.numbers(path, source, Holds::Code(CodeList::of::<C>())).pop().unwrap_or_default()
    }

    fn codes<C: Code>(&mut self, path: &str, source: Option<&'a Source>) -> Vec<i32> {
        source.map_or_else(Vec::new, |source| self.numbers(path, source, Holds::Codes(CodeList::of::<C>())))
    }

    /// The numbers of all choices in a cell. Two choices of a form may stand for one code, and one for none.
    fn numbers(&mut self, path: &str, source: &'a Source, holds: Holds) -> Vec<i32> {
        let (Holds::Code(list) | Holds::Codes(list)) = holds else { return Vec::new() };
        let text = self.raw(path, source);
        let mut numbers = Vec::new();
        for word in holds.words(text) {
            let label = self.taken(path, source, if word.is_empty() { Ok("") } else { source.choice(word) });
            if label.is_empty() {
                continue;
            }
            let number = self.taken(path, source, list.number(label));
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }

    fn time(&mut self, path: &str, source: &'a Source) -> Option<pbjson_types::Timestamp> {
        let read = |text: &str, zone: &TimeZone, format: Option<&str>| {
            values::time(text, zone, format).map(|instant| Some(time::to_proto(instant)))
        };
        self.timely(path, source, read)
    }

    fn day(&mut self, path: &str, source: &'a Source) -> String {
        self.timely(path, source, values::day)
    }

    fn month(&mut self, path: &str, source: &'a Source) -> String {
        self.timely(path, source, values::month)
    }

    fn timely<T: Default>(
        &mut self,
        path: &str,
        source: &'a Source,
        read: impl Fn(&str, &TimeZone, Option<&str>) -> Result<T, String>,
    ) -> T {
        let text = self.raw(path, source);
        if text.is_empty() {
            // Said once, here or for the cell that could not be read.
            if !self.reasons.iter().any(|reason| reason.field == path) {
                self.refuse_source(path, source, "is empty");
            }
            return T::default();
        }
        let zone = source.zone.as_ref().unwrap_or(self.zone);
        self.taken(path, source, read(text, zone, source.format.as_deref()))
    }

    /// What stands in a source, as it is.
    fn raw(&mut self, path: &str, source: &'a Source) -> &'a str {
        let name = match &source.origin {
            Origin::Constant(text) => return text,
            Origin::Column(name) => name,
        };
        match std::str::from_utf8(self.cell_of(name)) {
            Ok(text) => text,
            Err(_) => {
                self.refuse_source(path, source, "is no text in UTF-8; save the export in UTF-8");
                ""
            }
        }
    }

    /// What stands in a column of the mapping, in the row that is being read.
    fn cell_of(&self, column: &str) -> &'a [u8] {
        match self.part {
            Some((repeat, row)) => repeat.cell(row, column),
            None => self.header.place(column).map_or(&[], |place| self.cell(place)),
        }
    }

    fn cell(&self, place: usize) -> &'a [u8] {
        self.cells.get(place).unwrap_or_default()
    }

    /// What was read, or nothing beside the reason.
    fn taken<T: Default>(&mut self, path: &str, source: &Source, read: Result<T, String>) -> T {
        read.unwrap_or_else(|why| {
            self.refuse_source(path, source, &why);
            T::default()
        })
    }

    fn refuse_source(&mut self, path: &str, source: &Source, why: &str) {
        let reason = match source.column_name() {
            Some(name) => format!("column `{name}` {why}"),
            None => format!("the mapping's constant {why}"),
        };
        let reason = match self.origin() {
            Some(origin) => format!("{origin}: {reason}"),
            None => reason,
        };
        self.refuse(path, reason);
    }

    fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        let reason = Reason::new(path, reason);
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}
