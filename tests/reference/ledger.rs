//! What the log says once every event was taken in log order: the registry, the records in their current version, the cases, and
//! what is in conflict or waits. Built anew from the first event each time it is asked for.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use satgas_proto::v1::{self, amendment::Replacement, submission::Content, submission::Reporter};

use super::{
    registry::Stated,
    time::{date_of, instant},
};

/// A record in its current version.
pub(crate) struct Record {
    pub(crate) reporter: Reporter,
    /// The record's id, then each version that was in effect once.
    pub(crate) versions: Vec<String>,
    /// The version that is in effect.
    pub(crate) current: String,
    /// Where the record stands in the log.
    pub(crate) position: u64,
    /// Where the amendment, or the decision, stands that put the version into effect; the record's own position without any.
    pub(crate) current_position: u64,
    pub(crate) received: Timestamp,
    pub(crate) occurred: Timestamp,
    pub(crate) replacement: Replacement,
    pub(crate) withdrawn: bool,
}

impl Record {
    pub(crate) fn id(&self) -> &str {
        &self.versions[0]
    }

    /// What the record says of a follow-up of a visit.
    fn done_of<'a>(&'a self, visit_id: &'a str, number: u32) -> impl Iterator<Item = &'a v1::FollowUpDone> {
        let done: &[v1::FollowUpDone] = match &self.replacement {
            Replacement::MonitoringReport(report) => &report.follow_ups_done,
            Replacement::SchoolVisit(visit) => &visit.follow_ups_done,
            Replacement::ExposureSignal(_) | Replacement::CaseReport(_) => &[],
        };
        done.iter().filter(move |done| done.visit_id == visit_id && done.number == number)
    }

    /// The events that say what stands: the original, and what put the current version into effect.
    pub(crate) fn positions(&self) -> Vec<u64> {
        vec![self.position, self.current_position]
    }
}

/// A case: its report is a record, its steps are in version order.
pub(crate) struct Case {
    pub(crate) case_id: String,
    pub(crate) area_code: String,
    pub(crate) institution_id: Option<String>,
    pub(crate) steps: Vec<Recorded>,
}

/// A step of a case, where and when it was recorded.
pub(crate) struct Recorded {
    pub(crate) position: u64,
    pub(crate) recorded: Timestamp,
    pub(crate) command: v1::CaseCommand,
}

/// A submission that waits for an id.
pub(crate) struct Waiting {
    pub(crate) position: u64,
    pub(crate) waits_for_id: String,
    submission: v1::Submission,
}

/// A submission that only a person can decide on.
pub(crate) struct Conflict {
    pub(crate) position: u64,
    pub(crate) cause: v1::ConflictCause,
    pub(crate) reporter: Reporter,
    /// Where the reporting institution stood when the submission occurred, as known when the conflict arose; empty for an area's.
    pub(crate) stood_in: String,
    /// The version that was kept aside.
    pub(crate) submission: v1::Submission,
}

/// All that the log says.
pub(crate) struct Ledger {
    pub(crate) zone: TimeZone,
    pub(crate) areas: Vec<Stated<v1::Area>>,
    pub(crate) institutions: Vec<Stated<v1::Institution>>,
    pub(crate) task_forces: Vec<v1::TaskForce>,
    /// Where the latest entry of each institution, task force and member stands, by kind and id.
    pub(crate) latest_entry: BTreeMap<(&'static str, String), u64>,
    /// When each task force was first registered, by its id.
    pub(crate) first_registered: BTreeMap<String, Timestamp>,
    pub(crate) members: Vec<v1::Member>,
    pub(crate) records: Vec<Record>,
    pub(crate) cases: Vec<Case>,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) held: Vec<Waiting>,
    /// Recorded rule sets, in log order.
    pub(crate) rule_sets: Vec<v1::RuleSet>,
    /// Deadlines that were recorded as missed, each with its position.
    pub(crate) missed: Vec<(u64, v1::DeadlineMissed)>,
    /// Records that were kept apart and are not decided on, by position.
    pub(crate) quarantined: BTreeMap<u64, v1::Submission>,
    /// A record that was admitted by the event before.
    pub(crate) admitted: Option<v1::Submission>,
    /// What should not be in the log, in words.
    pub(crate) defects: Vec<String>,
}

impl Ledger {
    /// Takes every event in log order.
    pub(crate) fn of(events: &[v1::Event]) -> Self {
        let mut ledger = Self {
            zone: TimeZone::UTC,
            areas: Vec::new(),
            institutions: Vec::new(),
            task_forces: Vec::new(),
            latest_entry: BTreeMap::new(),
            first_registered: BTreeMap::new(),
            members: Vec::new(),
            records: Vec::new(),
            cases: Vec::new(),
            conflicts: Vec::new(),
            held: Vec::new(),
            rule_sets: Vec::new(),
            missed: Vec::new(),
            quarantined: BTreeMap::new(),
            admitted: None,
            defects: Vec::new(),
        };
        for event in events {
            ledger.take(event);
        }
        ledger.conflicts.sort_by_key(|conflict| conflict.position);
        ledger.held.sort_by_key(|held| held.position);
        ledger
    }

    fn take(&mut self, event: &v1::Event) {
        use v1::event::Body;
        self.follow_admission(event);
        match event.body.as_ref().expect("every event has a body") {
            Body::LogOpened(opened) => {
                self.zone = TimeZone::get(&opened.time_zone).expect("the log names a time zone that exists");
            }
            Body::Registered(entry) => self.register(event, entry),
            Body::RuleSetRecorded(recorded) => {
                self.rule_sets.push(recorded.rule_set.clone().expect("a recorded rule set is there"));
            }
            Body::Submitted(submission) => self.submit(event, submission),
            Body::Conflicting(conflicting) => {
                let submission = conflicting.submission.as_ref().expect("a conflict keeps the submission");
                self.add_conflict(event.position, conflicting.cause(), submission);
            }
            Body::CaseAdvanced(advanced) => {
                let command = advanced.command.as_ref().expect("a step keeps its command");
                let mut cases = self.cases.iter_mut();
                let case = cases.find(|case| case.case_id == command.case_id).expect("only a known case advances");
                case.steps.push(Recorded {
                    position: event.position,
                    recorded: instant(event.recorded_at.as_ref()),
                    command: command.clone(),
                });
            }
            Body::DeadlineMissed(missed) => self.missed.push((event.position, missed.clone())),
            Body::ConflictResolved(resolution) => self.decide(event.position, resolution),
            // Counts nowhere until the record itself follows its admission.
            Body::Quarantined(kept) => {
                let submission = kept.submission.clone().expect("what is kept apart is a submission");
                self.quarantined.insert(event.position, submission);
            }
            Body::QuarantineDecided(decided) => self.decide_quarantined(event.position, decided),
            // No figure depends on who anybody is, nor on a report before it is a case.
            Body::PublicReportReceived(_)
            | Body::PublicReportTriaged(_)
            | Body::PublicReportMessage(_)
            | Body::IdentitySealed(_)
            | Body::IdentityRead(_)
            | Body::HoldPlaced(_)
            | Body::HoldLifted(_)
            | Body::ErasureRequested(_)
            | Body::ErasureApproved(_)
            | Body::ErasureDeclined(_)
            | Body::ReleasePublished(_)
            | Body::CaseAssigned(_)
            | Body::CaseUnassigned(_)
            | Body::IdentityErased(_) => {}
        }
    }

    fn submit(&mut self, event: &v1::Event, submission: &v1::Submission) {
        let replacement = match submission.content.as_ref().expect("a submission has content") {
            Content::Amendment(_) | Content::Retraction(_) => {
                self.correct(event.position, submission);
                return;
            }
            Content::MonitoringReport(report) => Replacement::MonitoringReport(report.clone()),
            Content::SchoolVisit(visit) => Replacement::SchoolVisit(visit.clone()),
            Content::ExposureSignal(signal) => Replacement::ExposureSignal(signal.clone()),
            Content::CaseReport(report) => {
                self.open_case(submission);
                Replacement::CaseReport(report.clone())
            }
        };
        self.check_reporter(event.position, submission);
        self.records.push(Record {
            reporter: reporter(submission),
            versions: vec![submission.submission_id.clone()],
            current: submission.submission_id.clone(),
            position: event.position,
            current_position: event.position,
            received: instant(event.recorded_at.as_ref()),
            occurred: instant(submission.occurred_at.as_ref()),
            replacement,
            withdrawn: false,
        });
        self.release(&submission.submission_id);
    }

    /// Records of a time at which their reporter did not exist are refused.
    fn check_reporter(&mut self, position: u64, submission: &v1::Submission) {
        let validity = match reporter(submission) {
            Reporter::AreaCode(code) => self.areas.iter().find(|area| area.code() == code).map(|area| area.validity()),
            Reporter::InstitutionId(id) => {
                let mut institutions = self.institutions.iter();
                institutions.find(|institution| institution.id() == id).map(|institution| institution.validity())
            }
        };
        let occurred = instant(submission.occurred_at.as_ref());
        if validity.is_none_or(|validity| !validity.takes(occurred, &self.zone)) {
            self.defects.push(format!("the record at {position} is of a time at which its reporter did not exist"));
        }
    }

    fn open_case(&mut self, submission: &v1::Submission) {
        let (area_code, institution_id) = match reporter(submission) {
            Reporter::AreaCode(code) => (code, None),
            Reporter::InstitutionId(id) => (self.stood_in(&id, submission), Some(id)),
        };
        self.cases.push(Case {
            case_id: submission.submission_id.clone(),
            area_code,
            institution_id,
            steps: Vec::new(),
        });
    }

    /// Tries an amendment or a retraction against what is known at this moment.
    fn correct(&mut self, position: u64, submission: &v1::Submission) {
        let target = target_of(submission).to_owned();
        let Some(index) = self.records.iter().position(|record| record.versions.contains(&target)) else {
            self.held.push(Waiting { position, waits_for_id: target, submission: submission.clone() });
            return;
        };
        let verdict = match &submission.content {
            Some(Content::Amendment(amendment)) => self.amend(index, position, submission, amendment),
            Some(Content::Retraction(_)) => self.retract(index, submission),
            _ => unreachable!("only amendments and retractions correct"),
        };
        match verdict {
            Err(cause) => self.add_conflict(position, cause, submission),
            Ok(Some(version)) => self.release(&version),
            Ok(None) => {}
        }
    }

    /// Puts an amendment into effect and returns the id that becomes known, or the cause of a conflict.
    fn amend(
        &mut self,
        index: usize,
        position: u64,
        submission: &v1::Submission,
        amendment: &v1::Amendment,
    ) -> Result<Option<String>, v1::ConflictCause> {
        let record = &mut self.records[index];
        let replacement = amendment.replacement.as_ref().expect("an amendment has a replacement");
        if record.current != amendment.corrects_id {
            return Err(v1::ConflictCause::AlreadyAmended);
        }
        if record.withdrawn {
            return Err(v1::ConflictCause::Retracted);
        }
        if record.reporter != reporter(submission) || kind(&record.replacement) != kind(replacement) {
            return Err(v1::ConflictCause::TargetDoesNotFit);
        }
        record.versions.push(submission.submission_id.clone());
        record.current.clone_from(&submission.submission_id);
        record.current_position = position;
        record.replacement = replacement.clone();
        if amendment.occurred_at.is_some() {
            record.occurred = instant(amendment.occurred_at.as_ref());
        }
        Ok(Some(submission.submission_id.clone()))
    }

    fn retract(&mut self, index: usize, submission: &v1::Submission) -> Result<Option<String>, v1::ConflictCause> {
        let record = &mut self.records[index];
        if record.reporter != reporter(submission) {
            return Err(v1::ConflictCause::TargetDoesNotFit);
        }
        if matches!(record.replacement, Replacement::CaseReport(_)) {
            return Err(v1::ConflictCause::CaseReportRetracted);
        }
        record.withdrawn = true;
        Ok(None)
    }

    /// Tries again all that waited for an id, in log order, each with what it sets free before the next.
    pub(crate) fn release(&mut self, known_id: &str) {
        let (mut free, still): (Vec<Waiting>, Vec<Waiting>) =
            self.held.drain(..).partition(|waiting| waiting.waits_for_id == known_id);
        self.held = still;
        free.sort_by_key(|waiting| waiting.position);
        for waiting in free {
            self.correct(waiting.position, &waiting.submission);
        }
    }

    fn add_conflict(&mut self, position: u64, cause: v1::ConflictCause, submission: &v1::Submission) {
        let reporter = reporter(submission);
        let stood_in = match &reporter {
            Reporter::InstitutionId(id) => self.stood_in(id, submission),
            Reporter::AreaCode(_) => String::new(),
        };
        self.conflicts.push(Conflict { position, cause, reporter, stood_in, submission: submission.clone() });
    }

    /// Kelurahan in which an institution stood when a submission occurred, as registered now.
    fn stood_in(&self, institution_id: &str, submission: &v1::Submission) -> String {
        self.stands_in(institution_id, date_of(instant(submission.occurred_at.as_ref()), &self.zone))
    }

    /// The records that were not withdrawn.
    pub(crate) fn standing(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| !record.withdrawn)
    }

    /// The report of a case.
    pub(crate) fn report_of(&self, case: &Case) -> &Record {
        self.records.iter().find(|record| record.id() == case.case_id).expect("a case begins with its report")
    }

    /// Whether any standing report or visit says that a follow-up of a visit was done, and by `until` when that is given.
    pub(crate) fn says_done(&self, visit_id: &str, number: u32, until: Option<Date>) -> bool {
        self.standing().any(|record| {
            let mut done = record.done_of(visit_id, number);
            done.any(|done| until.is_none_or(|last| super::time::day(&done.done_on) <= last))
        })
    }

    /// The events that say that a follow-up of a visit was done, whenever it was.
    pub(crate) fn naming(&self, visit_id: &str, number: u32) -> Vec<u64> {
        let naming = self.standing().filter(|record| record.done_of(visit_id, number).next().is_some());
        naming.flat_map(Record::positions).collect()
    }
}

/// Who reports.
pub(crate) fn reporter(submission: &v1::Submission) -> Reporter {
    submission.reporter.clone().expect("a submission has a reporter")
}

fn target_of(submission: &v1::Submission) -> &str {
    match &submission.content {
        Some(Content::Amendment(amendment)) => &amendment.corrects_id,
        Some(Content::Retraction(retraction)) => &retraction.retracts_id,
        _ => unreachable!("only amendments and retractions have a target"),
    }
}

/// Which kind of record it is.
pub(crate) fn kind(replacement: &Replacement) -> std::mem::Discriminant<Replacement> {
    std::mem::discriminant(replacement)
}
