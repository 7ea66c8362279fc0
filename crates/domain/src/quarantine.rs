//! Records that arrived after their reporter's right to report had ended: kept apart, counted nowhere, until a supervisor decides.
//!
//! The same state serves the writer, which decides on it, and the views, which list it.
//!
//! Invariants:
//! - Nothing that was taken in is let go: a record waits, was admitted, was refused, or came again with a right. Each of these is an event.
//! - What waits is bounded, for each token and for all together, so that somebody who found a phone cannot fill the log.
//! - Whoever admits a record is another person than who handed it in.
//! - An admitted record is the next event after its admission, by the ordinary way of a record: nothing else here ever counts.

use std::collections::BTreeMap;

use prost::Message as _;
use satgas_proto::v1::{self, QuarantineVerdict, event::Body};
use serde::{Deserialize, Serialize};

use crate::{
    Map, event,
    id::{SubmissionId, is_within},
    sealed::{is_same_person, person},
    time::Instant,
    validate::{self, Violations},
};

/// What may wait of the records that one token handed in: far more than a phone has after weeks without a network.
pub const OF_ONE_TOKEN_MAX: Load = Load { records: 2_000, bytes: 4 << 20 };
/// What may wait of all tokens together.
pub const OF_ALL_MAX: Load = Load { records: 20_000, bytes: 32 << 20 };

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Records.
    pub records: u64,
    /// Their encoded bytes.
    pub bytes: u64,
}

impl Load {
    fn of(submission: &v1::Submission) -> Self {
        Self { records: 1, bytes: submission.encoded_len() as u64 }
    }

    fn plus(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self { records: self.records.saturating_sub(other.records), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    fn fits(self, max: Self) -> bool {
        self.records <= max.records && self.bytes <= max.bytes
    }
}

/// A record that was kept apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    arrived: Instant,
    /// Area and institution that it belongs to, the latter empty when an area reported.
    origin: (String, String),
    #[serde(with = "crate::stored")]
    kept: v1::Quarantined,
    decided: Option<Decided>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Decided {
    position: u64,
    #[serde(with = "crate::stored")]
    message: v1::QuarantineDecided,
}

impl Kept {
    /// Code of the area and id of the institution that it belongs to; the latter is empty when an area reported.
    #[must_use]
    pub fn origin(&self) -> &(String, String) {
        &self.origin
    }

    /// The record.
    #[must_use]
    pub fn submission(&self) -> v1::Submission {
        self.kept.submission.clone().unwrap_or_default()
    }

    /// Whether it waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.decided.is_none()
    }

    /// Why a supervisor refused it, if one did.
    #[must_use]
    pub fn refused_because(&self) -> Option<&str> {
        let decision = self.decided.as_ref()?.message.decision.as_ref()?;
        (decision.verdict() == QuarantineVerdict::Refuse).then_some(decision.reason.as_str())
    }

    fn id(&self) -> Option<SubmissionId> {
        SubmissionId::parse(&self.kept.submission.as_ref()?.submission_id).ok()
    }

    fn load(&self) -> Load {
        self.kept.submission.as_ref().map(Load::of).unwrap_or_default()
    }

    fn right(&self) -> v1::EndedRight {
        self.kept.right.clone().unwrap_or_default()
    }

    /// Whether who decides is who handed it in, or whose right it was: over all tokens of a person.
    fn is_of_person(&self, by: &Option<v1::Actor>) -> bool {
        let Some(by) = by else { return false };
        let right = self.right();
        let token_of_right = [&by.id, person(by)].contains(&&*right.token_id);
        token_of_right || is_same_person(&right.by.unwrap_or_default(), by)
    }

    fn is_of(&self, token: &str) -> bool {
        let right = self.right();
        token.is_empty() || right.token_id == token || right.by.is_some_and(|by| by.id == token)
    }
}

/// All records that were ever kept apart, by position.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Quarantine {
    kept: BTreeMap<u64, Kept>,
    /// Positions of the records under each id.
    by_id: Map<SubmissionId, Vec<u64>>,
    /// What waits, by the token that handed it in.
    waiting: Map<String, Load>,
    waiting_in_all: Load,
}

/// Why a decision on a record is not taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// It is not well-formed, or there is no such record to decide on.
    Invalid(Vec<v1::Violation>),
    /// Who handed the record in does not admit it: a second person must.
    SamePerson,
}

/// What takes an event back.
#[derive(Debug)]
pub enum Undo {
    /// The record at this position was kept apart.
    Kept(u64),
    /// The record at this position was decided on.
    Decided(u64),
}

impl Quarantine {
    /// The record that was kept apart at a position.
    #[must_use]
    pub fn get(&self, position: u64) -> Option<&Kept> {
        self.kept.get(&position)
    }

    /// The very same record where it was kept apart; another content under its id is another record.
    #[must_use]
    pub fn find(&self, id: SubmissionId, submission: &v1::Submission) -> Option<(u64, &Kept)> {
        let positions = self.by_id.get(&id)?;
        let mut kept = positions.iter().filter_map(|position| Some((*position, self.kept.get(position)?)));
        kept.find(|(_, kept)| kept.kept.submission.as_ref() == Some(submission))
    }

    /// How many contents were kept apart under an id.
    #[must_use]
    pub fn contents(&self, id: &str) -> usize {
        SubmissionId::parse(id).ok().and_then(|id| self.by_id.get(&id)).map_or(0, Vec::len)
    }

    /// Whether another record of a token may wait.
    #[must_use]
    pub fn has_room(&self, token_id: &str, submission: &v1::Submission) -> bool {
        let more = Load::of(submission);
        let of_token = self.waiting.get(token_id).copied().unwrap_or_default();
        of_token.plus(more).fits(OF_ONE_TOKEN_MAX) && self.waiting_in_all.plus(more).fits(OF_ALL_MAX)
    }

    /// Ids of the records that report a case.
    pub fn case_reports(&self) -> impl Iterator<Item = SubmissionId> + '_ {
        let submissions = self.kept.values().filter_map(|kept| kept.kept.submission.as_ref());
        let reports = submissions.filter(|s| matches!(s.content, Some(v1::submission::Content::CaseReport(_))));
        reports.filter_map(|s| SubmissionId::parse(&s.submission_id).ok())
    }

    /// Decides whether somebody can decide on a record: the record.
    pub fn decide(&self, decided: &v1::QuarantineDecided) -> Result<&Kept, Refusal> {
        let mut v = Violations::default();
        let nothing = v1::QuarantineDecision::default();
        let d = decided.decision.as_ref().unwrap_or(&nothing);
        validate::quarantine_decision(&mut v, d);
        match self.kept.get(&d.quarantined_position) {
            None => v.add("quarantined_position", "is not the position of a quarantined record"),
            Some(Kept { decided: Some(decided), .. }) => v.add(
                "quarantined_position",
                format!("was decided on already, by the event at position {}", decided.position),
            ),
            Some(kept) if v.is_empty() => {
                let own = d.verdict() == QuarantineVerdict::Admit && kept.is_of_person(&decided.by);
                return if own { Err(Refusal::SamePerson) } else { Ok(kept) };
            }
            Some(_) => {}
        }
        Err(Refusal::Invalid(v.into_vec()))
    }

    /// Folds an event that was decided. `None` when it is not one of these.
    pub fn apply(&mut self, event: &v1::Event) -> Option<Undo> {
        match event.body.as_ref()? {
            Body::Quarantined(kept) => {
                let origin = (event.area_code.clone(), event.institution_id.clone());
                let kept =
                    Kept { arrived: event::recorded(event), origin, kept: v1::Quarantined::clone(kept), decided: None };
                self.wait(&kept, Load::plus);
                if let Some(id) = kept.id() {
                    self.by_id.entry(id).or_default().push(event.position);
                }
                self.kept.insert(event.position, kept);
                Some(Undo::Kept(event.position))
            }
            Body::QuarantineDecided(message) => {
                let of = message.decision.as_ref()?.quarantined_position;
                let kept = self.kept.get_mut(&of)?;
                kept.decided = Some(Decided { position: event.position, message: message.clone() });
                let kept = kept.clone();
                self.wait(&kept, Load::minus);
                Some(Undo::Decided(of))
            }
            _ => None,
        }
    }

    /// Takes an event back.
    pub fn undo(&mut self, undo: &Undo) {
        match undo {
            Undo::Kept(position) => {
                if let Some(kept) = self.kept.remove(position) {
                    self.wait(&kept, Load::minus);
                    if let Some(positions) = kept.id().and_then(|id| self.by_id.get_mut(&id)) {
                        positions.retain(|known| known != position);
                    }
                }
            }
            Undo::Decided(position) => {
                if let Some(kept) = self.kept.get_mut(position) {
                    kept.decided = None;
                    let kept = kept.clone();
                    self.wait(&kept, Load::plus);
                }
            }
        }
    }

    fn wait(&mut self, kept: &Kept, change: fn(Load, Load) -> Load) {
        let token_id = kept.right().by.unwrap_or_default().id;
        let load = kept.load();
        self.waiting_in_all = change(self.waiting_in_all, load);
        let of_token = self.waiting.entry(token_id.clone()).or_default();
        *of_token = change(*of_token, load);
        if *of_token == Load::default() {
            self.waiting.remove(&token_id);
        }
    }

    /// Records within an area prefix as they were known at a position, by position after `after`. A token narrows them to what it gave the
    /// right to or handed in.
    pub fn list<'a>(
        &'a self,
        prefix: &'a str,
        token_id: &'a str,
        after: u64,
        until: u64,
    ) -> impl Iterator<Item = v1::QuarantinedRecord> + 'a {
        let from = after.saturating_add(1);
        let known = self.kept.range(from..).take_while(move |(position, _)| **position <= until);
        let asked = known.filter(move |(_, kept)| is_within(&kept.origin.0, prefix) && kept.is_of(token_id));
        asked.map(move |(position, kept)| {
            let decided = kept.decided.as_ref().filter(|decided| decided.position <= until);
            v1::QuarantinedRecord {
                position: *position,
                arrived_at: Some(kept.arrived.to_proto()),
                submission: kept.kept.submission.clone(),
                right: kept.kept.right.clone(),
                decided: decided.map(|decided| decided.message.clone()),
                decided_position: decided.map_or(0, |decided| decided.position),
            }
        })
    }
}

/// Looks whether a record is of the time of its reporter's right: what happened before or after is nobody's to report with it.
pub fn within_right(v: &mut Violations, submission: &v1::Submission, right: &v1::EndedRight) {
    let time = |time: &Option<pbjson_types::Timestamp>| time.as_ref().and_then(Instant::from_proto);
    let Some(occurred) = time(&submission.occurred_at) else { return };
    let [began, ended] = [time(&right.began_at), time(&right.ended_at)];
    if began.is_none_or(|began| occurred < began) {
        v.add(
            "occurred_at",
            "lies before the ended token's right to report began: ask for a new token and send it with that",
        );
    }
    if ended.is_none_or(|ended| occurred >= ended) {
        v.add(
            "occurred_at",
            "lies after the token's right to report had ended: ask for a new token and send it with that",
        );
    }
}
