//! Amendments, withdrawals, and what only a person can decide.

use satgas_proto::v1::{self, ConflictCause, ConflictDecision, submission};
use serde::{Deserialize, Serialize};

use super::{
    Views,
    records::{Change, Content, Version},
};
use crate::{decide::scope_of, event, id::SubmissionId, registry::Scope, time::Instant};

/// A version that was kept aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Conflict {
    /// Position of the event with which it arose.
    pub(super) since: u64,
    /// Position of the decision.
    pub(super) resolved: Option<u64>,
    /// Position of the version that stood; 0 when there was none.
    pub(super) stands: u64,
    pub(super) cause: i32,
    #[serde(with = "crate::stored")]
    pub(super) submission: v1::Submission,
    pub(super) area: u32,
}

/// An amendment or retraction whose target had not arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    /// Position of the event that set it free.
    pub(super) freed: Option<u64>,
    /// What it waits for.
    pub(super) waits_for: SubmissionId,
    #[serde(with = "crate::stored")]
    pub(super) submission: v1::Submission,
    pub(super) area: u32,
}

/// What became of a submission in the fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It counts, or did what it says.
    InEffect,
    /// It waits for its target.
    Held,
    /// It was kept aside; the position is that of the version that stands, or 0.
    Conflict(u64),
    /// It was kept aside, and a supervisor has decided on it.
    Resolved,
}

/// Something that takes the place of a record's current version.
struct Successor<'a> {
    record: u32,
    id: SubmissionId,
    content: Content,
    /// When it really happened, if that is said.
    occurred: Option<Instant>,
    /// Of a case report: what is reported.
    report: Option<&'a v1::CaseReport>,
}

impl Views {
    /// What became of the submission at a position.
    #[must_use]
    pub fn fate(&self, position: u64) -> Fate {
        match self.conflicts.get(&position) {
            Some(Conflict { resolved: None, stands, .. }) => Fate::Conflict(*stands),
            Some(_) => Fate::Resolved,
            None if self.held.get(&position).is_some_and(|held| held.freed.is_none()) => Fate::Held,
            None => Fate::InEffect,
        }
    }

    /// Settles corrections and withdrawals, the first of the list first, each with what it sets free before the next.
    pub(super) fn settle_all(&mut self, mut list: Vec<(u64, v1::Submission)>) {
        list.reverse();
        while let Some((position, s)) = list.pop() {
            if let Some(id) = self.settle(position, s) {
                let freed = self.free(id);
                list.extend(freed.into_iter().rev());
            }
        }
    }

    /// Sets free what waits for an id, in log order.
    pub(super) fn free(&mut self, id: SubmissionId) -> Vec<(u64, v1::Submission)> {
        let now = self.position;
        let positions = self.waiting.remove(&id).unwrap_or_default();
        let free = |position: u64| {
            let held = self.held.get_mut(&position)?;
            held.freed = Some(now);
            Some((position, held.submission.clone()))
        };
        positions.into_iter().filter_map(free).collect()
    }

    /// Settles one correction or withdrawal. Returns its id if it is a version now.
    fn settle(&mut self, position: u64, s: v1::Submission) -> Option<SubmissionId> {
        let (target, amendment) = match s.content.as_ref()? {
            submission::Content::Amendment(a) => (&a.corrects_id, Some(a)),
            submission::Content::Retraction(r) => (&r.retracts_id, None),
            _ => return None,
        };
        let target = SubmissionId::parse(target).ok()?;
        let scope = scope_of(&self.registry, &s)?;
        let Some(record) = self.find_record(target, self.position) else {
            let area = self.area_of(scope, &s);
            self.waiting.entry(target).or_default().push(position);
            self.held.insert(position, Held { freed: None, waits_for: target, submission: s, area });
            self.touch_scope(scope);
            return None;
        };
        let current = self.records.known(record, self.position)?;
        let same_reporter = scope == self.records.get(record).scope;
        let cause = match amendment {
            Some(_) if target != current.id => ConflictCause::AlreadyAmended,
            Some(_) if current.version.is_none() => ConflictCause::Retracted,
            Some(_) => {
                if let Some(successor) = self.successor(&s, target, self.position) {
                    return self.succeed(position, successor);
                }
                ConflictCause::TargetDoesNotFit
            }
            None if !same_reporter => ConflictCause::TargetDoesNotFit,
            None if self.records.get(record).original.content == Content::CaseReport => {
                ConflictCause::CaseReportRetracted
            }
            None => {
                if current.version.is_some() {
                    let change = Change { since: self.position, position, id: current.id, version: None };
                    self.rebook(record, change);
                }
                return None;
            }
        };
        let (_, stands) = self.records.last_version(record);
        self.conflict(position, &s, cause, stands);
        None
    }

    /// The record that had an id at a position, or an amendment in effect with it.
    fn find_record(&self, id: SubmissionId, until: u64) -> Option<u32> {
        let record = self.records.find(id).or_else(|| self.versions.get(&id).copied())?;
        self.records.had_id(record, id, until).then_some(record)
    }

    /// What a submission would put in the place of the version with an id: nothing when reporter or kind differ.
    fn successor<'s>(&self, s: &'s v1::Submission, of: SubmissionId, until: u64) -> Option<Successor<'s>> {
        let record = self.find_record(of, until)?;
        let time = |time: &Option<pbjson_types::Timestamp>| time.as_ref().and_then(Instant::from_proto);
        let (content, occurred) = match s.content.as_ref()? {
            submission::Content::Amendment(a) => {
                (Content::replacement(&self.registry, a.replacement.as_ref()?)?, time(&a.occurred_at))
            }
            content => (Content::submitted(&self.registry, content)?, time(&s.occurred_at)),
        };
        let known = self.records.get(record);
        let fits = scope_of(&self.registry, s) == Some(known.scope) && content.is_kind_of(&known.original.content);
        let id = SubmissionId::parse(&s.submission_id).ok()?;
        fits.then_some(Successor { record, id, content, occurred, report: event::case_report(s) })
    }

    /// Puts a successor in the place of its record's current version. Returns its id.
    fn succeed(&mut self, position: u64, successor: Successor<'_>) -> Option<SubmissionId> {
        let Successor { record, id, content, occurred, report } = successor;
        let occurred = occurred.unwrap_or(self.records.last_version(record).0.occurred);
        let version = Version { occurred, month: self.calendar().month(occurred), content };
        self.rebook(record, Change { since: self.position, position, id, version: Some(version) });
        let root = self.records.get(record).id;
        if id != root {
            self.versions.insert(id, record);
        }
        if let (Some(report), Some(case)) = (report, self.cases.find(root)) {
            let known = self.cases.get_mut(case);
            self.case_files[case as usize].corrected(known, self.position, report, occurred);
            known.report = report.clone();
            known.reported = occurred;
            let area = known.area;
            self.await_response(case);
            self.touch(area);
        }
        Some(id)
    }

    /// Keeps a version aside.
    pub(super) fn conflict(&mut self, position: u64, s: &v1::Submission, cause: ConflictCause, stands: u64) {
        let Some(scope) = scope_of(&self.registry, s) else { return };
        let area = self.area_of(scope, s);
        let (since, cause, submission) = (self.position, cause.into(), s.clone());
        self.conflicts.insert(position, Conflict { since, resolved: None, stands, cause, submission, area });
        self.areas[area as usize].conflicts.push(position);
        if let Scope::Institution(institution) = scope {
            self.institutions[institution as usize].conflicts.push(position);
        }
        self.touch(area);
        self.touch_scope(scope);
    }

    /// Whether the version of a conflict could take the place of the one that stood at a position.
    pub(super) fn can_be_taken(&self, conflict: &Conflict, until: u64) -> bool {
        self.taken(conflict, until).is_some()
    }

    fn taken<'s>(&self, conflict: &'s Conflict, until: u64) -> Option<Successor<'s>> {
        let s = &conflict.submission;
        let of = match (ConflictCause::try_from(conflict.cause).ok()?, s.content.as_ref()?) {
            (ConflictCause::SameIdOtherContent, _) => &s.submission_id,
            (ConflictCause::AlreadyAmended | ConflictCause::Retracted, submission::Content::Amendment(a)) => {
                &a.corrects_id
            }
            _ => return None,
        };
        self.successor(s, SubmissionId::parse(of).ok()?, until)
    }

    /// Folds a supervisor's decision.
    pub(super) fn resolved(&mut self, resolution: &v1::ConflictResolution) {
        let Some(conflict) = self.conflicts.get_mut(&resolution.conflict_position) else { return };
        conflict.resolved = Some(self.position);
        let conflict = conflict.clone();
        self.touch(conflict.area);
        if let Some(scope) = scope_of(&self.registry, &conflict.submission) {
            self.touch_scope(scope);
        }
        if resolution.decision() == ConflictDecision::Take
            && let Some(successor) = self.taken(&conflict, self.position)
            && let Some(id) = self.succeed(self.position, successor)
        {
            let freed = self.free(id);
            self.settle_all(freed);
        }
    }
}
