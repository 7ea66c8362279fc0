//! Whether a message is well-formed, judged by itself. What it says about areas, schools and cases is judged in
//! [`decide`](crate::decide).
//!
//! Every violation is found at once and named by its field path. A reason says what is taken and never repeats what was sent.

use std::collections::HashSet;

use pbjson_types::{Duration, Timestamp};
use satgas_proto::v1::{self, Violation, amendment::Replacement, case_command::Step, submission};

use crate::{
    id::{SubmissionId, is_token, parse_hash},
    rules::duration_ns,
    time::{Day, Instant, Month},
};

/// Bytes that one encoded submission or command may have.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// What was found in a message, as fields of the one that it lies in.
#[must_use]
pub fn within(field: &str, found: Vec<Violation>) -> Vec<Violation> {
    found.into_iter().map(|v| Violation { field: format!("{field}.{}", v.field), ..v }).collect()
}

/// The violations found so far, and the path of the message that is being looked at.
#[derive(Clone, Debug, Default)]
pub struct Violations {
    found: Vec<Violation>,
    path: String,
}

impl Violations {
    /// Notes that a field of the present message is refused; the empty field is the present one itself.
    pub fn add(&mut self, field: &str, reason: impl Into<String>) {
        let field = match (self.path.as_str(), field) {
            (path, "") => path.to_owned(),
            ("", field) => field.to_owned(),
            (path, field) => format!("{path}.{field}"),
        };
        self.found.push(Violation { field, reason: reason.into() });
    }

    /// Looks at a message within the present one.
    pub fn within(&mut self, field: &str, look: impl FnOnce(&mut Self)) {
        let outer = self.path.len();
        if outer > 0 {
            self.path.push('.');
        }
        self.path.push_str(field);
        look(self);
        self.path.truncate(outer);
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was found, in the order of the fields.
    #[must_use]
    pub fn into_vec(self) -> Vec<Violation> {
        self.found
    }

    pub(crate) fn require(&mut self, holds: bool, field: &str, reason: &str) {
        if !holds {
            self.add(field, reason);
        }
    }

    pub(crate) fn id(&mut self, field: &str, text: &str) {
        if let Err(reason) = SubmissionId::parse(text) {
            self.add(field, reason);
        }
    }

    fn token(&mut self, field: &str, text: &str, max: usize) {
        if !is_token(text, max) {
            self.add(field, format!("is not 1 to {max} of the characters a-z, A-Z, 0-9, '.', '_' and '-'"));
        }
    }

    pub(crate) fn text(&mut self, field: &str, text: &str, min: usize, max: usize) {
        // Counting characters is only needed when there are more bytes than characters allowed.
        if text.len() < min || (text.len() > max && text.chars().count() > max) {
            self.add(
                field,
                if min > 0 {
                    format!("is not {min} to {max} characters long")
                } else {
                    format!("is longer than {max} characters")
                },
            );
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.add(field, "has a control character other than a line break or tab");
        }
    }

    fn count(&mut self, field: &str, count: i32, min: i32, max: i32) {
        if !(min..=max).contains(&count) {
            self.add(field, format!("is not {min} to {max}"));
        }
    }

    fn time(&mut self, field: &str, time: Option<&Timestamp>) {
        match time {
            None => self.add(field, "is missing"),
            Some(time) if Instant::from_proto(time).is_none() => {
                self.add(field, "is not a time of the years 2000 to 2199")
            }
            Some(_) => {}
        }
    }

    fn day(&mut self, field: &str, text: &str) -> Option<Day> {
        let day = Day::parse(text);
        self.require(day.is_some(), field, "is not a date YYYY-MM-DD of the years 2000 to 2199");
        day
    }

    fn number(&mut self, field: &str, number: u32, min: u32, max: u32) {
        if !(min..=max).contains(&number) {
            self.add(field, format!("is not {min} to {max}"));
        }
    }

    fn duration(&mut self, field: &str, duration: Option<&Duration>) {
        match duration {
            None => self.add(field, "is missing"),
            Some(duration) if duration_ns(duration).is_none() => self.add(field, "is not above 0 and up to 365 days"),
            Some(_) => {}
        }
    }

    fn optional_day(&mut self, field: &str, text: &str) -> Option<Day> {
        if text.is_empty() { None } else { self.day(field, text) }
    }

    fn span(&mut self, (from_field, from): (&str, &str), (until_field, until): (&str, &str)) {
        let from = self.day(from_field, from);
        let until = self.optional_day(until_field, until);
        if let (Some(from), Some(until)) = (from, until) {
            self.require(from <= until, until_field, &format!("is before {from_field}"));
        }
    }

    fn code<T: TryFrom<i32>>(&mut self, field: &str, value: i32) {
        if value == 0 {
            self.add(field, "is missing");
        } else if T::try_from(value).is_err() {
            self.add(field, "is not a value of its code list");
        }
    }

    fn codes<T: TryFrom<i32>>(&mut self, field: &str, values: &[i32], max: usize) {
        self.at_most(field, values.len(), max);
        for (index, value) in values.iter().take(max).enumerate() {
            let twice = values[..index].contains(value);
            // Good values are many, and a path is only spelt out for a bad one.
            if *value == 0 || twice || T::try_from(*value).is_err() {
                let field = format!("{field}[{index}]");
                self.code::<T>(&field, *value);
                self.require(!twice, &field, "is given twice");
            }
        }
    }

    fn at_most(&mut self, field: &str, len: usize, max: usize) {
        if len > max {
            self.add(field, format!("has more than {max} entries"));
        }
    }

    fn each<T>(&mut self, field: &str, items: &[T], max: usize, mut look: impl FnMut(&mut Self, &T)) {
        self.at_most(field, items.len(), max);
        for (index, item) in items.iter().take(max).enumerate() {
            self.within(&format!("{field}[{index}]"), |v| look(v, item));
        }
    }
}

/// Looks at a supervisor's decision.
pub fn conflict_resolution(v: &mut Violations, r: &v1::ConflictResolution) {
    v.id("command_id", &r.command_id);
    v.require(r.conflict_position > 0, "conflict_position", "is not a position");
    v.code::<v1::ConflictDecision>("decision", r.decision);
    v.text("reason", &r.reason, 1, 1_000);
}

/// Looks at a decision on a quarantined record.
pub fn quarantine_decision(v: &mut Violations, d: &v1::QuarantineDecision) {
    v.id("command_id", &d.command_id);
    v.require(d.quarantined_position > 0, "quarantined_position", "is not a position");
    let is_one = matches!(d.verdict(), v1::QuarantineVerdict::Admit | v1::QuarantineVerdict::Refuse);
    v.require(is_one, "verdict", "is neither to admit nor to refuse");
    v.text("reason", &d.reason, 1, 1_000);
}

/// Looks at a submission.
pub fn submission(v: &mut Violations, s: &v1::Submission) {
    v.id("submission_id", &s.submission_id);
    v.token("device_id", &s.device_id, 64);
    v.require(s.device_sequence > 0, "device_sequence", "is not counted from 1");
    v.time("occurred_at", s.occurred_at.as_ref());
    if s.reporter.is_none() {
        v.add("reporter", "is missing: give area_code or institution_id");
    }
    match &s.content {
        None => v.add("content", "is missing: give one record, amendment or retraction"),
        Some(submission::Content::MonitoringReport(r)) => v.within("monitoring_report", |v| monitoring_report(v, r)),
        Some(submission::Content::SchoolVisit(r)) => v.within("school_visit", |v| school_visit(v, r)),
        Some(submission::Content::ExposureSignal(r)) => v.within("exposure_signal", |v| exposure_signal(v, r)),
        Some(submission::Content::CaseReport(r)) => v.within("case_report", |v| case_report(v, r)),
        Some(submission::Content::Amendment(a)) => v.within("amendment", |v| amendment(v, a, &s.submission_id)),
        Some(submission::Content::Retraction(r)) => v.within("retraction", |v| {
            v.id("retracts_id", &r.retracts_id);
            v.require(r.retracts_id != s.submission_id, "retracts_id", "is the retraction itself");
            v.text("reason", &r.reason, 1, 500);
        }),
    }
}

fn amendment(v: &mut Violations, a: &v1::Amendment, own_id: &str) {
    v.id("corrects_id", &a.corrects_id);
    v.require(a.corrects_id != own_id, "corrects_id", "is the amendment itself");
    v.text("reason", &a.reason, 1, 500);
    if a.occurred_at.is_some() {
        v.time("occurred_at", a.occurred_at.as_ref());
    }
    match &a.replacement {
        None => v.add("replacement", "is missing: give the whole record as it should have been"),
        Some(Replacement::MonitoringReport(r)) => v.within("monitoring_report", |v| monitoring_report(v, r)),
        Some(Replacement::SchoolVisit(r)) => v.within("school_visit", |v| school_visit(v, r)),
        Some(Replacement::ExposureSignal(r)) => v.within("exposure_signal", |v| exposure_signal(v, r)),
        Some(Replacement::CaseReport(r)) => v.within("case_report", |v| case_report(v, r)),
    }
}

fn monitoring_report(v: &mut Violations, r: &v1::MonitoringReport) {
    v.token("task_force_id", &r.task_force_id, 32);
    v.require(Month::parse(&r.month).is_some(), "month", "is not a month YYYY-MM of the years 2000 to 2199");
    v.each("activities", &r.activities, 50, |v, a| {
        v.code::<v1::ActivityKind>("kind", a.kind);
        v.count("count", a.count, 1, 1_000);
        v.count("participants", a.participants, 0, 100_000);
    });
    v.count("members_present", r.members_present, 0, 10_000);
    v.text("obstacles", &r.obstacles, 0, 2_000);
    v.codes::<v1::RiskSignal>("risk_signals", &r.risk_signals, 20);
    v.each("follow_ups_done", &r.follow_ups_done, 50, follow_up_done);
}

/// Looks at a rule set that is to be recorded.
pub fn rule_set_recorded(v: &mut Violations, r: &v1::RuleSetRecorded) {
    match &r.rule_set {
        None => v.add("rule_set", "is missing"),
        Some(rules) => v.within("rule_set", |v| rule_set(v, rules)),
    }
    v.text("reason", &r.reason, 1, 500);
}

/// Looks at a rule set.
pub fn rule_set(v: &mut Violations, r: &v1::RuleSet) {
    v.token("name", &r.name, 64);
    v.day("valid_from", &r.valid_from);
    let mut indicators = Vec::new();
    v.each("weights", &r.weights, 6, |v, w| {
        v.code::<v1::IndicatorKind>("indicator", w.indicator);
        v.require(!indicators.contains(&w.indicator), "indicator", "is given twice");
        v.require(w.weight == 0.0 || (0.001..=1_000.0).contains(&w.weight), "weight", "is not 0, or 0.001 to 1000");
        indicators.push(w.indicator);
    });
    let some = r.weights.is_empty() || r.weights.iter().all(|w| w.weight == 0.0);
    v.require(!some, "weights", "are all 0: at least one indicator must count");
    v.number("report_days", r.report_days, 1, 60);
    v.duration("response_high", r.response_high.as_ref());
    v.duration("response_medium", r.response_medium.as_ref());
    v.number("response_low_working_days", r.response_low_working_days, 1, 60);
    v.require(!r.working_weekdays.is_empty(), "working_weekdays", "is missing: name at least one day of the week");
    v.each("working_weekdays", &r.working_weekdays, 7, |v, day| {
        v.require((1..=7).contains(day), "", "is not 1 (Monday) to 7 (Sunday)");
    });
    v.each("holidays", &r.holidays, 400, |v, day| {
        v.day("", day);
    });
    v.number("signal_window_days", r.signal_window_days, 1, 730);
    v.number("spread_schools_min", r.spread_schools_min, 2, 100);
    v.number("repeated_signals_min", r.repeated_signals_min, 2, 100);
    v.number("silent_days", r.silent_days, 1, 730);
    v.each("bands", &r.bands, 10, |v, band| v.text("name", &band.name, 1, 40));
    let descending = r.bands.windows(2).all(|pair| pair[0].score_min > pair[1].score_min);
    let from_0_to_100 = r.bands.iter().all(|band| (0.0..=100.0).contains(&band.score_min))
        && r.bands.last().is_none_or(|last| last.score_min == 0.0);
    v.require(descending && from_0_to_100, "bands", "are not given from the highest, within 100, down to one from 0");
}

fn school_visit(v: &mut Violations, r: &v1::SchoolVisit) {
    v.token("school_id", &r.school_id, 32);
    v.code::<v1::VisitPurpose>("purpose", r.purpose);
    v.codes::<v1::Topic>("topics", &r.topics, 20);
    match &r.reach {
        None => v.add("reach", "is missing"),
        Some(reach) => v.within("reach", |v| {
            v.count("pupils_female", reach.pupils_female, 0, 10_000);
            v.count("pupils_male", reach.pupils_male, 0, 10_000);
            v.count("teachers_female", reach.teachers_female, 0, 10_000);
            v.count("teachers_male", reach.teachers_male, 0, 10_000);
            v.count("parents_female", reach.parents_female, 0, 10_000);
            v.count("parents_male", reach.parents_male, 0, 10_000);
        }),
    }
    v.codes::<v1::RiskSignal>("risk_signals", &r.risk_signals, 20);
    let mut numbers = Vec::new();
    v.each("follow_ups", &r.follow_ups, 20, |v, f| {
        follow_up(v, f);
        v.require(!numbers.contains(&f.number), "number", "is given twice");
        numbers.push(f.number);
    });
    v.each("follow_ups_done", &r.follow_ups_done, 50, follow_up_done);
    v.text("notes", &r.notes, 0, 2_000);
}

fn follow_up(v: &mut Violations, f: &v1::FollowUp) {
    v.require((1..=1_000).contains(&f.number), "number", "is not 1 to 1000");
    v.text("action", &f.action, 1, 500);
    v.day("due_on", &f.due_on);
}

fn follow_up_done(v: &mut Violations, f: &v1::FollowUpDone) {
    v.id("visit_id", &f.visit_id);
    v.require((1..=1_000).contains(&f.number), "number", "is not 1 to 1000");
    v.day("done_on", &f.done_on);
}

fn exposure_signal(v: &mut Violations, r: &v1::ExposureSignal) {
    const FINGERPRINT: &str =
        "is not a keyed hash of 64 lower-case hexadecimal digits; never send the link or name itself";
    v.code::<v1::Platform>("platform", r.platform);
    v.require(parse_hash(&r.group_fingerprint).is_some(), "group_fingerprint", FINGERPRINT);
    v.require(!r.school_ids.is_empty(), "school_ids", "is missing: name at least one school");
    v.at_most("school_ids", r.school_ids.len(), 50);
    let mut schools = HashSet::new();
    for (index, school) in r.school_ids.iter().take(50).enumerate() {
        let field = format!("school_ids[{index}]");
        v.token(&field, school, 32);
        v.require(schools.insert(school), &field, "is given twice");
    }
    v.count("estimated_members", r.estimated_members, 0, 1_000_000);
    v.codes::<v1::ContentKind>("contents", &r.contents, 5);
    v.each("evidence", &r.evidence, 20, |v, e| {
        v.require(
            parse_hash(&e.sha256).is_some(),
            "sha256",
            "is not a SHA-256 of 64 lower-case hexadecimal digits; never send the evidence itself",
        );
        v.require(is_media_type(&e.media_type), "media_type", "is not a media type such as image/jpeg");
        v.text("custody_place", &e.custody_place, 1, 200);
        v.require(
            e.content.is_empty(),
            "content",
            "is refused: the server takes a hash and never the evidence itself; keep it with its custodian",
        );
    });
}

fn is_media_type(text: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
    text.len() <= 100 && text.split_once('/').is_some_and(|(kind, subtype)| part(kind) && part(subtype))
}

fn case_report(v: &mut Violations, r: &v1::CaseReport) {
    v.require(!r.violence.is_empty(), "violence", "is missing: name at least one form");
    v.codes::<v1::Violence>("violence", &r.violence, 7);
    v.codes::<v1::ElectronicViolence>("electronic", &r.electronic, 3);
    let sexual = r.violence.contains(&v1::Violence::Seksual.into());
    v.require(
        r.electronic.is_empty() || sexual,
        "violence",
        "lacks VIOLENCE_SEKSUAL, which electronic-based sexual violence is",
    );
    v.code::<v1::Place>("place", r.place);
    v.code::<v1::AgeGroup>("victim_age", r.victim_age);
    v.code::<v1::Sex>("victim_sex", r.victim_sex);
    v.code::<v1::Offender>("offender", r.offender);
    if !r.school_id.is_empty() {
        v.token("school_id", &r.school_id, 32);
    }
}

/// Looks at what the public tells of a case in categories: as far as it is told. A school would stand beside one report, in the clear.
pub(crate) fn reported_categories(v: &mut Violations, r: &v1::CaseReport) {
    v.codes::<v1::Violence>("violence", &r.violence, 7);
    v.codes::<v1::ElectronicViolence>("electronic", &r.electronic, 3);
    let told = |code: i32| code != 0;
    if told(r.place) {
        v.code::<v1::Place>("place", r.place);
    }
    if told(r.victim_age) {
        v.code::<v1::AgeGroup>("victim_age", r.victim_age);
    }
    if told(r.victim_sex) {
        v.code::<v1::Sex>("victim_sex", r.victim_sex);
    }
    if told(r.offender) {
        v.code::<v1::Offender>("offender", r.offender);
    }
    v.require(r.school_id.is_empty(), "school_id", "is not taken: name the school in the text, which is sealed");
}

/// Looks at a step of a case.
pub fn case_command(v: &mut Violations, c: &v1::CaseCommand) {
    v.id("command_id", &c.command_id);
    v.id("case_id", &c.case_id);
    v.require(c.expected_version > 0, "expected_version", "is missing: versions are counted from 1");
    v.time("occurred_at", c.occurred_at.as_ref());
    let Some(step) = &c.step else {
        v.add("step", "is missing");
        return;
    };
    v.within(step_name(step), |v| match step {
        Step::Assess(s) => v.code::<v1::Risk>("risk", s.risk),
        Step::RecordService(s) => v.code::<v1::Service>("service", s.service),
        Step::PlanFollowUp(s) => match &s.follow_up {
            None => v.add("follow_up", "is missing"),
            Some(f) => v.within("follow_up", |v| follow_up(v, f)),
        },
        Step::CompleteFollowUp(s) => v.require((1..=1_000).contains(&s.number), "number", "is not 1 to 1000"),
        Step::OfferReferral(s) => {
            v.token("to_institution_id", &s.to_institution_id, 32);
            v.text("reason", &s.reason, 1, 500);
        }
        Step::RejectReferral(s) => v.text("reason", &s.reason, 1, 500),
        Step::RevokeReferral(s) => v.text("reason", &s.reason, 1, 500),
        Step::RecordLegalStage(s) => v.code::<v1::LegalStage>("stage", s.stage),
        Step::RecordVerdict(s) => v.count("prison_months", s.prison_months, 0, 1_200),
        Step::Close(s) => v.code::<v1::CaseOutcome>("outcome", s.outcome),
        Step::Reopen(s) => v.text("reason", &s.reason, 1, 500),
        Step::Merge(s) => {
            v.id("into_case_id", &s.into_case_id);
            v.require(s.into_case_id != c.case_id, "into_case_id", "is the case itself");
        }
        Step::AcceptReferral(_) | Step::AdmitToShelter(_) | Step::DischargeFromShelter(_) => {}
    });
}

/// Name of a step: its field in `CaseCommand`.
#[must_use]
pub fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Assess(_) => "assess",
        Step::RecordService(_) => "record_service",
        Step::PlanFollowUp(_) => "plan_follow_up",
        Step::CompleteFollowUp(_) => "complete_follow_up",
        Step::OfferReferral(_) => "offer_referral",
        Step::AcceptReferral(_) => "accept_referral",
        Step::RejectReferral(_) => "reject_referral",
        Step::RevokeReferral(_) => "revoke_referral",
        Step::AdmitToShelter(_) => "admit_to_shelter",
        Step::DischargeFromShelter(_) => "discharge_from_shelter",
        Step::RecordLegalStage(_) => "record_legal_stage",
        Step::RecordVerdict(_) => "record_verdict",
        Step::Close(_) => "close",
        Step::Reopen(_) => "reopen",
        Step::Merge(_) => "merge",
    }
}

/// Looks at an entry of the registry.
pub fn registry_entry(v: &mut Violations, e: &v1::RegistryEntry) {
    use v1::registry_entry::Entry;
    v.optional_day("effective_on", &e.effective_on);
    if matches!(e.entry, Some(Entry::TaskForce(_) | Entry::Member(_))) && !e.effective_on.is_empty() {
        v.add("effective_on", "is for areas and institutions: here the entry's own dates say from when and until when");
    }
    match &e.entry {
        None => v.add("entry", "is missing"),
        Some(Entry::Area(a)) => v.within("area", |v| {
            v.require(
                crate::id::Level::of(&a.code).is_some(),
                "code",
                "is not an official code such as 53.71, 53.71.04 or 53.71.04.1001",
            );
            v.text("name", &a.name, 1, 100);
            v.span(("valid_from", &a.valid_from), ("valid_until", &a.valid_until));
            v.each("succeeds_codes", &a.succeeds_codes, 20, |v, code| {
                v.require(crate::id::Level::of(code).is_some(), "", "is not an official code");
            });
        }),
        Some(Entry::Institution(i)) => v.within("institution", |v| {
            v.token("institution_id", &i.institution_id, 32);
            v.text("name", &i.name, 1, 200);
            v.code::<v1::InstitutionKind>("kind", i.kind);
            v.span(("valid_from", &i.valid_from), ("valid_until", &i.valid_until));
        }),
        Some(Entry::TaskForce(t)) => v.within("task_force", |v| {
            v.token("task_force_id", &t.task_force_id, 32);
            v.require(t.home.is_some(), "home", "is missing: give area_code or institution_id");
            v.text("kind", &t.kind, 1, 100);
            v.text("legal_basis", &t.legal_basis, 0, 200);
            v.span(("formed_on", &t.formed_on), ("dissolved_on", &t.dissolved_on));
        }),
        Some(Entry::Member(m)) => v.within("member", |v| {
            v.token("member_id", &m.member_id, 32);
            v.token("task_force_id", &m.task_force_id, 32);
            v.span(("joined_on", &m.joined_on), ("left_on", &m.left_on));
            v.each("trainings", &m.trainings, 50, |v, t| {
                v.text("topic", &t.topic, 1, 100);
                v.require(!t.valid_until.is_empty(), "valid_until", "is missing");
                v.span(("valid_from", &t.valid_from), ("valid_until", &t.valid_until));
            });
        }),
    }
}
