//! The mapping file: which column of an export gives which field of the vocabulary.
//!
//! Its keys are the fields of `Submission` in `proto/satgas/v1/record.proto`, in the same nesting. What can be wrong with it is found
//! before the first row is read; a key that is not known is refused by its name.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use satgas_proto::v1;
use serde::Deserialize;

use super::{
    repeats::RepeatSource,
    source::{Origin, Source, zone},
    values::{self, CodeList},
};

/// A mapping as it is written down.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// Zone of times without an offset; the log's own by default.
    time_zone: Option<String>,
    /// Separator of the export's columns; found in its header line by default.
    pub(super) delimiter: Option<char>,
    /// Columns with an id that stays through edits, the first with content counts; known ones by default.
    pub(super) instance_id: Option<Vec<String>>,
    /// The device; a column is kept as a hash only.
    pub(super) device_id: Source,
    /// A number by default made from the instance id.
    pub(super) device_sequence: Option<Source>,
    /// When it happened.
    pub(super) occurred_at: Source,
    /// The reporting kelurahan.
    pub(super) area_code: Option<Source>,
    /// The reporting institution.
    pub(super) institution_id: Option<Source>,
    /// Groups that repeat, by their names in the form.
    #[serde(default)]
    pub(super) repeats: BTreeMap<String, RepeatSource>,
    /// Columns of a school visit.
    pub(super) school_visit: Option<VisitFields>,
    /// Columns of a monthly report.
    pub(super) monitoring_report: Option<ReportFields>,
}

/// Sources of a school visit's fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VisitFields {
    pub(super) school_id: Source,
    pub(super) purpose: Source,
    pub(super) topics: Option<Source>,
    #[serde(default)]
    pub(super) reach: ReachFields,
    pub(super) risk_signals: Option<Source>,
    #[serde(default)]
    pub(super) follow_ups: Vec<FollowUpFields>,
    #[serde(default)]
    pub(super) follow_ups_done: Vec<FollowUpDoneFields>,
    pub(super) notes: Option<Source>,
}

/// Sources of the people reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReachFields {
    pub(super) pupils_female: Option<Source>,
    pub(super) pupils_male: Option<Source>,
    pub(super) teachers_female: Option<Source>,
    pub(super) teachers_male: Option<Source>,
    pub(super) parents_female: Option<Source>,
    pub(super) parents_male: Option<Source>,
}

/// One place of a form for a follow-up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowUpFields {
    /// The group that repeats, of which each row is one; without, it is one place of the form.
    pub(super) repeat: Option<String>,
    /// By default its place in the mapping, or among the repeat's rows, from 1.
    pub(super) number: Option<Source>,
    pub(super) action: Source,
    pub(super) due_on: Source,
}

/// One place of a form for a follow-up that was done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowUpDoneFields {
    /// As of a follow-up.
    pub(super) repeat: Option<String>,
    pub(super) visit_id: Source,
    pub(super) number: Source,
    pub(super) done_on: Source,
}

/// Sources of a monthly report's fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportFields {
    pub(super) task_force_id: Source,
    pub(super) month: Source,
    #[serde(default)]
    pub(super) activities: Vec<ActivityFields>,
    pub(super) members_present: Option<Source>,
    pub(super) obstacles: Option<Source>,
    pub(super) risk_signals: Option<Source>,
    #[serde(default)]
    pub(super) follow_ups_done: Vec<FollowUpDoneFields>,
}

/// One place of a form for activities of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivityFields {
    /// As of a follow-up.
    pub(super) repeat: Option<String>,
    pub(super) kind: Source,
    pub(super) count: Source,
    pub(super) participants: Option<Source>,
}

/// An entry of a list of the vocabulary, wherever it comes from.
pub(super) trait Entry {
    /// The repeat of which each row is one; none for one place of the form.
    fn repeat(&self) -> Option<&str>;
    /// What it tells; empty in all of it, it is left out.
    fn sources(&self) -> [Option<&Source>; 3];
}

impl Entry for FollowUpFields {
    fn repeat(&self) -> Option<&str> {
        self.repeat.as_deref()
    }

    fn sources(&self) -> [Option<&Source>; 3] {
        // A number alone says nothing: forms count it up by themselves.
        [Some(&self.action), Some(&self.due_on), None]
    }
}

impl Entry for FollowUpDoneFields {
    fn repeat(&self) -> Option<&str> {
        self.repeat.as_deref()
    }

    fn sources(&self) -> [Option<&Source>; 3] {
        [&self.visit_id, &self.number, &self.done_on].map(Some)
    }
}

impl Entry for ActivityFields {
    fn repeat(&self) -> Option<&str> {
        self.repeat.as_deref()
    }

    fn sources(&self) -> [Option<&Source>; 3] {
        [Some(&self.kind), Some(&self.count), self.participants.as_ref()]
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    Text,
    Number,
    Code(CodeList),
    Codes(CodeList),
    Time,
    Day,
    Month,
}

/// A field of the vocabulary and where it comes from.
pub(super) struct Field<'a> {
    /// Its path, as the server names it in a violation.
    pub(super) path: String,
    /// Where it comes from.
    pub(super) source: &'a Source,
    /// The repeat whose rows have it, or the export's own.
    pub(super) repeat: Option<&'a str>,
    holds: Holds,
}

impl Mapping {
    /// Reads and checks a mapping file.
    ///
    /// # Errors
    /// Everything that is wrong with it, or where it stops being one.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| format!("the mapping {}", path.display()))
    }

    /// As [`Mapping::read`], from its text.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mapping: Self = toml::from_str(text)?;
        let problems = mapping.problems();
        if problems.is_empty() { Ok(mapping) } else { bail!("mend what is named:\n  {}", problems.join("\n  ")) }
    }

    /// The zone of times without an offset.
    pub(super) fn zone(&self, of_log: &TimeZone) -> TimeZone {
        self.time_zone.as_deref().and_then(|name| zone(name).ok()).unwrap_or_else(|| of_log.clone())
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.school_visit.is_some() == self.monitoring_report.is_some() {
            problems.push("give exactly one of [school_visit] and [monitoring_report]".into());
        }
        if self.area_code.is_none() && self.institution_id.is_none() {
            problems
                .push("area_code: say which kelurahan reports, here or under institution_id which institution".into());
        }
        if self.instance_id.as_ref().is_some_and(Vec::is_empty) {
            problems.push("instance_id: name at least one column, or leave the key out".into());
        }
        if self.delimiter.is_some_and(|delimiter| !delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r')) {
            problems.push("delimiter: give one character such as \";\"".into());
        }
        problems
            .extend(self.time_zone.as_deref().and_then(|name| zone(name).err()).map(|why| format!("time_zone: {why}")));
        problems.extend(self.repeat_problems());
        for field in self.fields() {
            problems.extend(field.problem().map(|why| format!("{}: {why}", field.path)));
        }
        problems
    }

    /// Repeats that are used and not there, or there and not used: either is a slip of the pen.
    fn repeat_problems(&self) -> Vec<String> {
        let fields = self.fields();
        let used = |name: &str| fields.iter().any(|field| field.repeat == Some(name));
        let mut problems = Vec::new();
        for (name, source) in &self.repeats {
            problems.extend(source.problem().map(|why| format!("repeats.{name}.{why}")));
            if !used(name) {
                problems.push(format!("repeats.{name}: nothing is filled from it; give a list `repeat = \"{name}\"`"));
            }
        }
        let unknown = fields.iter().find(|field| field.repeat.is_some_and(|name| !self.repeats.contains_key(name)));
        problems.extend(unknown.map(|field| format!("{}: its repeat is none of [repeats]", field.path)));
        problems
    }

    /// Every field that the mapping fills.
    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        let mut fields = Fields { all: Vec::new(), repeat: None };
        fields.add("device_id", Some(&self.device_id), Holds::Text);
        fields.add("device_sequence", self.device_sequence.as_ref(), Holds::Number);
        fields.add("occurred_at", Some(&self.occurred_at), Holds::Time);
        fields.add("area_code", self.area_code.as_ref(), Holds::Text);
        fields.add("institution_id", self.institution_id.as_ref(), Holds::Text);
        if let Some(visit) = &self.school_visit {
            fields.add_visit(visit);
        }
        if let Some(report) = &self.monitoring_report {
            fields.add_report(report);
        }
        fields.all
    }
}

struct Fields<'a> {
    all: Vec<Field<'a>>,
    /// What those that are added now belong to.
    repeat: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, path: impl Into<String>, source: Option<&'a Source>, holds: Holds) {
        let repeat = self.repeat;
        self.all.extend(source.map(|source| Field { path: path.into(), source, repeat, holds }));
    }

    fn add_visit(&mut self, visit: &'a VisitFields) {
        self.add("school_visit.school_id", Some(&visit.school_id), Holds::Text);
        self.add("school_visit.purpose", Some(&visit.purpose), Holds::Code(CodeList::of::<v1::VisitPurpose>()));
        self.add("school_visit.topics", visit.topics.as_ref(), Holds::Codes(CodeList::of::<v1::Topic>()));
        for (name, source) in visit.reach.by_name() {
            self.add(format!("school_visit.reach.{name}"), source, Holds::Number);
        }
        let signals = Holds::Codes(CodeList::of::<v1::RiskSignal>());
        self.add("school_visit.risk_signals", visit.risk_signals.as_ref(), signals);
        for (index, place) in visit.follow_ups.iter().enumerate() {
            let path = format!("school_visit.follow_ups[{index}]");
            self.repeat = place.repeat();
            self.add(format!("{path}.number"), place.number.as_ref(), Holds::Number);
            self.add(format!("{path}.action"), Some(&place.action), Holds::Text);
            self.add(format!("{path}.due_on"), Some(&place.due_on), Holds::Day);
        }
        self.repeat = None;
        self.add_done("school_visit", &visit.follow_ups_done);
        self.add("school_visit.notes", visit.notes.as_ref(), Holds::Text);
    }

    fn add_report(&mut self, report: &'a ReportFields) {
        self.add("monitoring_report.task_force_id", Some(&report.task_force_id), Holds::Text);
        self.add("monitoring_report.month", Some(&report.month), Holds::Month);
        for (index, place) in report.activities.iter().enumerate() {
            let path = format!("monitoring_report.activities[{index}]");
            self.repeat = place.repeat();
            self.add(format!("{path}.kind"), Some(&place.kind), Holds::Code(CodeList::of::<v1::ActivityKind>()));
            self.add(format!("{path}.count"), Some(&place.count), Holds::Number);
            self.add(format!("{path}.participants"), place.participants.as_ref(), Holds::Number);
        }
        self.repeat = None;
        self.add("monitoring_report.members_present", report.members_present.as_ref(), Holds::Number);
        self.add("monitoring_report.obstacles", report.obstacles.as_ref(), Holds::Text);
        let signals = Holds::Codes(CodeList::of::<v1::RiskSignal>());
        self.add("monitoring_report.risk_signals", report.risk_signals.as_ref(), signals);
        self.add_done("monitoring_report", &report.follow_ups_done);
    }

    fn add_done(&mut self, record: &str, places: &'a [FollowUpDoneFields]) {
        for (index, place) in places.iter().enumerate() {
            let path = format!("{record}.follow_ups_done[{index}]");
            self.repeat = place.repeat();
            self.add(format!("{path}.visit_id"), Some(&place.visit_id), Holds::Text);
            self.add(format!("{path}.number"), Some(&place.number), Holds::Number);
            self.add(format!("{path}.done_on"), Some(&place.done_on), Holds::Day);
        }
        self.repeat = None;
    }
}

impl ReachFields {
    /// The fields by their names in the vocabulary.
    pub(super) fn by_name(&self) -> [(&'static str, Option<&Source>); 6] {
        [
            ("pupils_female", self.pupils_female.as_ref()),
            ("pupils_male", self.pupils_male.as_ref()),
            ("teachers_female", self.teachers_female.as_ref()),
            ("teachers_male", self.teachers_male.as_ref()),
            ("parents_female", self.parents_female.as_ref()),
            ("parents_male", self.parents_male.as_ref()),
        ]
    }
}

impl Field<'_> {
    /// What is wrong with its source, seen without a row.
    fn problem(&self) -> Option<String> {
        let Source { origin, choices, format, zone } = self.source;
        let (Holds::Code(list) | Holds::Codes(list)) = self.holds else {
            let timely = matches!(self.holds, Holds::Time | Holds::Day | Holds::Month);
            if (format.is_some() || zone.is_some()) && !timely {
                return Some("`format` and `time_zone` are for days and times".into());
            }
            if choices.is_some() && !matches!(self.holds, Holds::Text) {
                return Some("`choices` are for texts and codes".into());
            }
            return self.wrong_constant(origin);
        };
        if format.is_some() || zone.is_some() {
            return Some("`format` and `time_zone` are for days and times".into());
        }
        let labels = choices.iter().flatten().map(|(_, label)| label.as_str()).filter(|label| !label.is_empty());
        let constants = match origin {
            Origin::Constant(text) => self.holds.words(text),
            Origin::Column(_) => Vec::new(),
        };
        let found = labels.chain(constants).find_map(|label| Some((label, list.number(label).err()?)));
        found.map(|(label, why)| format!("`{label}` {why}"))
    }

    fn wrong_constant(&self, origin: &Origin) -> Option<String> {
        let Origin::Constant(text) = origin else { return None };
        let zone = TimeZone::UTC;
        let read = match self.holds {
            Holds::Number => values::number::<i64>(text).map(drop),
            Holds::Time => values::time(text, &zone, None).map(drop),
            Holds::Day => values::day(text, &zone, None).map(drop),
            Holds::Month => values::month(text, &zone, None).map(drop),
            Holds::Text | Holds::Code(_) | Holds::Codes(_) => Ok(()),
        };
        read.err().map(|why| format!("`{text}` {why}"))
    }
}

impl Holds {
    /// The choices in a text: a list is separated by spaces, as forms do.
    pub(super) fn words(self, text: &str) -> Vec<&str> {
        match self {
            Self::Codes(_) => text.split_whitespace().collect(),
            _ => vec![text],
        }
    }
}
