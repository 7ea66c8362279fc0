//! What a supervisor's decision on a conflict does.

use satgas_proto::v1::{self, ConflictCause, ConflictDecision, amendment::Replacement, submission::Content};

use super::{
    ledger::{Conflict, Ledger, kind, reporter},
    time::instant,
};

/// A version that can be taken: of which record, by its index, and what it becomes.
struct Taken {
    record: usize,
    replacement: Replacement,
    occurred: Option<jiff::Timestamp>,
}

impl Ledger {
    /// Takes a decision. One that had to be refused is a defect of the log and changes nothing.
    pub(crate) fn decide(&mut self, position: u64, resolution: &v1::ConflictResolution) {
        let of = resolution.conflict_position;
        let Some(index) = self.conflicts.iter().position(|conflict| conflict.position == of) else {
            self.defects.push(format!("the decision at {position} is on {of}, which is no open conflict"));
            return;
        };
        match resolution.decision() {
            ConflictDecision::Keep => drop(self.conflicts.remove(index)),
            ConflictDecision::Take => match self.version_of(&self.conflicts[index]) {
                Some(taken) => {
                    let conflict = self.conflicts.remove(index);
                    self.put(position, taken, &conflict.submission.submission_id);
                }
                None => self.defects.push(format!("the decision at {position} takes {of}, which cannot be taken")),
            },
            ConflictDecision::Unspecified => self.defects.push(format!("the decision at {position} says nothing")),
        }
    }

    /// Takes a decision on a record that was kept apart; one on nothing that waits is a defect of the log.
    pub(crate) fn decide_quarantined(&mut self, position: u64, decided: &v1::QuarantineDecided) {
        let decision = decided.decision.clone().unwrap_or_default();
        let of = decision.quarantined_position;
        match (self.quarantined.remove(&of), decision.verdict()) {
            (Some(submission), v1::QuarantineVerdict::Admit | v1::QuarantineVerdict::Resent) => {
                self.admitted = Some(submission);
            }
            (Some(_), v1::QuarantineVerdict::Refuse) => {}
            (_, verdict) => self.defects.push(format!("the decision at {position} on {of} is {verdict:?}")),
        }
    }

    /// What was admitted is the next event, as it was kept.
    pub(crate) fn follow_admission(&mut self, event: &v1::Event) {
        use v1::event::Body;
        let Some(admitted) = self.admitted.take() else { return };
        let follows = match &event.body {
            Some(Body::Submitted(submission)) => **submission == admitted,
            Some(Body::Conflicting(conflicting)) => conflicting.submission.as_ref() == Some(&admitted),
            _ => false,
        };
        if !follows {
            self.defects.push(format!("the event at {} is not the record that was admitted before it", event.position));
        }
    }

    /// Whether the version that a conflict kept aside can be taken.
    pub(crate) fn can_be_taken(&self, conflict: &Conflict) -> bool {
        self.version_of(conflict).is_some()
    }

    fn version_of(&self, conflict: &Conflict) -> Option<Taken> {
        let submission = &conflict.submission;
        let (replacement, occurred, corrects) = version(submission)?;
        let has = match conflict.cause {
            ConflictCause::SameIdOtherContent => &submission.submission_id,
            ConflictCause::AlreadyAmended | ConflictCause::Retracted => corrects?,
            ConflictCause::TargetDoesNotFit | ConflictCause::CaseReportRetracted | ConflictCause::Unspecified => {
                return None;
            }
        };
        let record = self.records.iter().position(|record| record.versions.contains(has))?;
        let known = &self.records[record];
        let fits = known.reporter == reporter(submission) && kind(&known.replacement) == kind(&replacement);
        fits.then_some(Taken { record, replacement, occurred })
    }

    /// Makes a version the current one, whatever was current before.
    fn put(&mut self, position: u64, taken: Taken, id: &str) {
        let record = &mut self.records[taken.record];
        record.current_position = position;
        record.replacement = taken.replacement;
        if let Some(occurred) = taken.occurred {
            record.occurred = occurred;
        }
        record.withdrawn = false;
        if !record.versions.iter().any(|version| version == id) {
            record.versions.push(id.to_owned());
        }
        record.current = id.to_owned();
        self.release(id);
    }
}

/// What a submission would make of a record, when it would have occurred, and the version that it corrects, if it names one.
/// A retraction is no version.
fn version(submission: &v1::Submission) -> Option<(Replacement, Option<jiff::Timestamp>, Option<&String>)> {
    let own = |replacement| Some((replacement, Some(instant(submission.occurred_at.as_ref())), None));
    match submission.content.as_ref().expect("a submission has content") {
        Content::MonitoringReport(report) => own(Replacement::MonitoringReport(report.clone())),
        Content::SchoolVisit(visit) => own(Replacement::SchoolVisit(visit.clone())),
        Content::ExposureSignal(signal) => own(Replacement::ExposureSignal(signal.clone())),
        Content::CaseReport(report) => own(Replacement::CaseReport(report.clone())),
        Content::Amendment(amendment) => {
            let occurred = amendment.occurred_at.as_ref().map(|occurred| instant(Some(occurred)));
            let replacement = amendment.replacement.clone().expect("an amendment has a replacement");
            Some((replacement, occurred, Some(&amendment.corrects_id)))
        }
        Content::Retraction(_) => None,
    }
}
