//! The caller's side of the queue: what is asked of the writer, and what it answers.

use prost::Message as _;
use satgas_domain::{
    case::Refusal,
    id::SubmissionId,
    quarantine,
    validate::{self, RECORD_BYTES_MAX, Violations},
    views::Fate,
};
use satgas_proto::v1::{self, ReceiptStatus, Violation, submission::Content};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    Engine, QueryError, WriteError,
    ids::{ContentHash, Marked},
    writer::{Done, Job, Outcome, Reply},
};

/// A submission, encoded and checked by itself.
pub(crate) struct Prepared {
    pub(crate) submission: Box<v1::Submission>,
    /// Its id, where that is one.
    pub(crate) id: Option<Marked>,
    pub(crate) encoded: Vec<u8>,
    pub(crate) content: ContentHash,
    pub(crate) violations: Violations,
    /// The right of its reporter, where that has ended.
    pub(crate) ended: Option<v1::EndedRight>,
}

/// A record as it is handed in.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The record.
    pub submission: v1::Submission,
    /// The right that its reporter had, where that has ended: then it is kept apart, and counts nowhere until a supervisor admits it.
    pub ended: Option<v1::EndedRight>,
}

impl From<v1::Submission> for Handed {
    fn from(submission: v1::Submission) -> Self {
        Self { submission, ended: None }
    }
}

impl Prepared {
    pub(crate) fn new(Handed { submission, ended }: Handed) -> Self {
        let encoded = submission.encode_to_vec();
        let mut violations = Violations::default();
        validate::submission(&mut violations, &submission);
        if encoded.len() > RECORD_BYTES_MAX {
            violations.add("submission", format!("is larger than {RECORD_BYTES_MAX} bytes"));
        }
        if let Some(right) = &ended {
            quarantine::within_right(&mut violations, &submission, right);
        }
        let id = SubmissionId::parse(&submission.submission_id).ok().map(Marked::from);
        Self { content: ContentHash::of(&encoded), submission: Box::new(submission), id, encoded, violations, ended }
    }
}

/// What registering did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registered {
    /// How many entries met which fate; all zero when a bad entry stopped it.
    pub summary: v1::RegistrySummary,
    /// Each bad entry: its index and what is wrong.
    pub refused: Vec<(usize, Vec<Violation>)>,
}

/// Why a case was not advanced.
#[derive(Debug)]
pub enum CaseError {
    /// The step was refused.
    Refused(Refusal),
    /// The command's id is known with other content: make a new id for a new step.
    IdTaken {
        /// Where the id was taken.
        position: u64,
    },
    /// Nothing was written.
    Write(WriteError),
}

/// Why a conflict was not decided.
#[derive(Debug)]
pub enum ResolveError {
    /// The decision is not well-formed, does not fit, or was made already.
    Refused(Vec<Violation>),
    /// The command's id is known with other content: make a new id for a new decision.
    IdTaken {
        /// Where the id was taken.
        position: u64,
    },
    /// Who handed a record in cannot admit it: a second person must.
    SamePerson,
    /// Nothing was written.
    Write(WriteError),
}

impl From<WriteError> for ResolveError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<WriteError> for CaseError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<QueryError> for WriteError {
    fn from(_: QueryError) -> Self {
        Self::Closed
    }
}

/// Submissions that stand in the queue, in order.
pub struct Ticket {
    engine: Engine,
    /// Id of each, and whether it is an amendment or retraction.
    sent: Vec<(String, bool)>,
    reply: oneshot::Receiver<Reply<Vec<Outcome>>>,
}

impl Ticket {
    /// Waits until all of them are durable or refused: a receipt each, in order.
    pub async fn receipts(self) -> Result<Vec<v1::Receipt>, WriteError> {
        let outcomes = self.reply.await.map_err(|_| WriteError::Closed)??;
        let mut receipts = Vec::with_capacity(outcomes.len());
        for ((submission_id, corrects), outcome) in self.sent.into_iter().zip(outcomes) {
            let mut receipt = v1::Receipt { submission_id, ..Default::default() };
            match outcome {
                Outcome::Accepted(position) => {
                    receipt.position = position;
                    receipt.set_status(ReceiptStatus::Accepted);
                    if corrects && self.engine.mark_fate(&mut receipt, position).await? {
                        receipt.set_status(ReceiptStatus::Conflict);
                    }
                }
                Outcome::Known(position) => {
                    receipt.position = position;
                    receipt.set_status(ReceiptStatus::AlreadyKnown);
                    // What was acknowledged since may have decided what becomes of it.
                    self.engine.mark_fate(&mut receipt, self.engine.head().position).await?;
                }
                Outcome::Conflict { position, stands } => {
                    receipt.position = position;
                    receipt.conflicts_with = stands;
                    receipt.set_status(ReceiptStatus::Conflict);
                }
                Outcome::Rejected(violations) => {
                    receipt.violations = violations;
                    receipt.set_status(ReceiptStatus::Rejected);
                }
                Outcome::Quarantined(position) => {
                    receipt.position = position;
                    receipt.set_status(ReceiptStatus::Quarantined);
                }
                Outcome::QuarantineRefused(position, reason) => {
                    receipt.position = position;
                    receipt.refused_because = reason;
                    receipt.set_status(ReceiptStatus::QuarantineRefused);
                }
                // What came before it in the message is recorded, and gets the same receipt when all of it is sent again.
                Outcome::QuarantineFull => return Err(WriteError::QuarantineFull),
                // Of a decision only.
                Outcome::SamePerson => receipt.set_status(ReceiptStatus::Rejected),
            }
            receipts.push(receipt);
        }
        Ok(receipts)
    }
}

impl Engine {
    /// Submits one record and waits until it is durable or refused. A full queue is an error.
    pub async fn submit(&self, record: impl Into<Handed>) -> Result<v1::Receipt, WriteError> {
        let prepared = vec![Prepared::new(record.into())];
        let room = self.room_now(size(&prepared))?;
        let receipts = self.hand_over(prepared, room)?.receipts().await?;
        receipts.into_iter().next().ok_or(WriteError::Closed)
    }

    /// Puts submissions into the queue, in order; waits while it is full.
    pub async fn enqueue(&self, records: Vec<impl Into<Handed>>) -> Result<Ticket, WriteError> {
        let prepared: Vec<_> = records.into_iter().map(|record| Prepared::new(record.into())).collect();
        let room = self.room(size(&prepared)).await?;
        self.hand_over(prepared, room)
    }

    fn hand_over(&self, submissions: Vec<Prepared>, room: OwnedSemaphorePermit) -> Result<Ticket, WriteError> {
        let corrects = |s: &v1::Submission| matches!(s.content, Some(Content::Amendment(_) | Content::Retraction(_)));
        let sent = submissions.iter().map(|p| (p.submission.submission_id.clone(), corrects(&p.submission))).collect();
        let (answer, reply) = oneshot::channel();
        self.send(Job::Submit { submissions, room, answer })?;
        Ok(Ticket { engine: self.clone(), sent, reply })
    }

    /// Room in the queue, or `QueueFull`.
    pub(crate) fn room_now(&self, bytes: usize) -> Result<OwnedSemaphorePermit, WriteError> {
        let limit = self.shared.queue_bytes_max;
        let too_large = WriteError::TooLarge { limit: limit as usize };
        let permits = u32::try_from(bytes).ok().filter(|bytes| *bytes <= limit).ok_or(too_large)?;
        self.shared.room.clone().try_acquire_many_owned(permits).map_err(|error| match error {
            tokio::sync::TryAcquireError::NoPermits => WriteError::QueueFull,
            tokio::sync::TryAcquireError::Closed => WriteError::Closed,
        })
    }

    /// Room in the queue, when there is; a request larger than the whole queue waits for the whole queue.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, WriteError> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.shared.queue_bytes_max);
        self.shared.room.clone().acquire_many_owned(permits).await.map_err(|_| WriteError::Closed)
    }

    pub(crate) fn send(&self, job: Job) -> Result<(), WriteError> {
        self.shared.jobs.push(job).map_err(|_| WriteError::Closed)
    }

    /// Adds to a receipt what the fold made of its submission, up to `min_position` at least. True if it is in conflict.
    async fn mark_fate(&self, receipt: &mut v1::Receipt, min_position: u64) -> Result<bool, WriteError> {
        let fate = self.query(min_position, |folded| folded.views.fate(receipt.position)).await?;
        match fate {
            Fate::InEffect | Fate::Resolved => Ok(false),
            Fate::Held => {
                receipt.held = true;
                Ok(false)
            }
            Fate::Conflict(stands) => {
                receipt.conflicts_with = stands;
                Ok(true)
            }
        }
    }

    /// Registers entries: all or, unless `skip_bad`, none. Entries of more bytes than a commit takes are written in several commits;
    /// when one of these fails, those before it stand, and registering the same again completes it. Returns when the views have them:
    /// who registers an area and asks about it next must not hear that it does not exist.
    pub async fn register(&self, entries: Vec<v1::RegistryEntry>, skip_bad: bool) -> Result<Registered, WriteError> {
        let room = self
            .room(entries.iter().map(|entry| entry.encoded_len() + std::mem::size_of::<v1::RegistryEntry>()).sum())
            .await?;
        let (answer, reply) = oneshot::channel();
        self.send(Job::Register { entries, skip_bad, room, answer })?;
        let registered = reply.await.map_err(|_| WriteError::Closed)??;
        self.reach(registered.summary.position).await?;
        Ok(registered)
    }

    /// Records a rule set: its position and whether it was known, or what is wrong with it. Returns when the views have it.
    pub async fn record_rules(
        &self,
        recorded: v1::RuleSetRecorded,
    ) -> Result<Result<(u64, bool), Vec<Violation>>, WriteError> {
        let room = self.room_now(recorded.encoded_len() + std::mem::size_of::<v1::RuleSetRecorded>())?;
        let (answer, reply) = oneshot::channel();
        self.send(Job::RecordRules { recorded: Box::new(recorded), room, answer })?;
        let outcome = reply.await.map_err(|_| WriteError::Closed)??;
        self.reach(outcome.position()).await?;
        Ok(match Done::from(outcome) {
            Done::Recorded(status, position) => Ok((position, status == ReceiptStatus::AlreadyKnown)),
            Done::IdTaken(position) => Ok((position, true)),
            Done::Refused(violations) => Err(violations),
            // Of a decision only.
            Done::SamePerson => Err(Vec::new()),
        })
    }

    /// Decides a conflict: the receipt, or why it is refused. Returns when the views have the decision.
    pub async fn resolve_conflict(&self, resolution: v1::ConflictResolution) -> Result<v1::Receipt, ResolveError> {
        let command_id = resolution.command_id.clone();
        let origin = self.conflict_to_resolve(&resolution).await?;
        let room = self.room_now(resolution.encoded_len() + std::mem::size_of::<v1::ConflictResolution>())?;
        let (answer, reply) = oneshot::channel();
        self.send(Job::ResolveConflict { resolution: Box::new(resolution), origin, room, answer })?;
        self.decision(command_id, reply).await
    }

    /// Decides on a quarantined record: the receipt, or why it is refused. Returns when the views have the decision and what it admits.
    pub async fn decide_quarantined(&self, decided: v1::QuarantineDecided) -> Result<v1::Receipt, ResolveError> {
        let decision = decided.decision.clone().unwrap_or_default();
        let room = self.room_now(decided.encoded_len() + std::mem::size_of::<v1::QuarantineDecided>())?;
        let (answer, reply) = oneshot::channel();
        self.send(Job::DecideQuarantined { decided: Box::new(decided), room, answer })?;
        let receipt = self.decision(decision.command_id.clone(), reply).await?;
        // The record that was admitted is the event behind the decision.
        let admitted = u64::from(decision.verdict() == v1::QuarantineVerdict::Admit);
        self.reach(receipt.position + admitted).await.map_err(WriteError::from)?;
        Ok(receipt)
    }

    /// The receipt of a supervisor's decision. Returns when the views have it.
    pub(crate) async fn decision(
        &self,
        command_id: String,
        reply: oneshot::Receiver<Reply<Outcome>>,
    ) -> Result<v1::Receipt, ResolveError> {
        match Done::from(reply.await.map_err(|_| WriteError::Closed)??) {
            Done::Recorded(status, position) => {
                self.reach(position).await.map_err(WriteError::from)?;
                Ok(v1::Receipt { submission_id: command_id, status: status.into(), position, ..Default::default() })
            }
            Done::IdTaken(position) => Err(ResolveError::IdTaken { position }),
            Done::SamePerson => Err(ResolveError::SamePerson),
            Done::Refused(violations) => Err(ResolveError::Refused(violations)),
        }
    }

    /// Area and institution of a conflict that the decision fits; nothing when it was decided already, which the writer knows.
    async fn conflict_to_resolve(&self, r: &v1::ConflictResolution) -> Result<(String, String), ResolveError> {
        let mut v = Violations::default();
        validate::conflict_resolution(&mut v, r);
        if !v.is_empty() {
            return Err(ResolveError::Refused(v.into_vec()));
        }
        let look = |folded: &crate::Folded| {
            let known = folded.known(self.now());
            (known.conflict(r.conflict_position), folded.views.fate(r.conflict_position))
        };
        let head = self.head().position;
        match self.query(head, look).await.map_err(WriteError::from)? {
            (Some((conflict, area_code, institution_id)), _) => {
                if r.decision() == v1::ConflictDecision::Take && !conflict.can_be_taken {
                    v.add("decision", "cannot be to take it: it does not fit the record's reporter and kind, so it can only be kept aside");
                    return Err(ResolveError::Refused(v.into_vec()));
                }
                Ok((area_code, institution_id))
            }
            (None, Fate::Resolved) => Ok(Default::default()),
            (None, _) => {
                v.add("conflict_position", "is not the position of a conflict");
                Err(ResolveError::Refused(v.into_vec()))
            }
        }
    }

    /// Takes a case one step on. Answers with the receipt and the case as it then stands.
    pub async fn advance(&self, command: v1::CaseCommand) -> Result<(v1::Receipt, v1::Case), CaseError> {
        let (command_id, case_id) = (command.command_id.clone(), SubmissionId::parse(&command.case_id));
        let room = self.room_now(command.encoded_len() + std::mem::size_of::<v1::CaseCommand>())?;
        let (answer, reply) = oneshot::channel();
        self.send(Job::Advance { command: Box::new(command), room, answer })?;
        let (status, position) = match Done::from(reply.await.map_err(|_| WriteError::Closed)??) {
            Done::Recorded(status, position) => (status, position),
            Done::IdTaken(position) => return Err(CaseError::IdTaken { position }),
            Done::Refused(violations) => return Err(CaseError::Refused(Refusal::Invalid(violations))),
            Done::SamePerson => return Err(CaseError::Refused(Refusal::Invalid(Vec::new()))),
        };
        let receipt = v1::Receipt { submission_id: command_id, status: status.into(), position, ..Default::default() };
        let case = self
            .query(position, |folded| case_id.ok().and_then(|id| folded.known(self.now()).case(id)))
            .await
            .map_err(WriteError::from)?;
        case.map(|case| (receipt, case)).ok_or(CaseError::Refused(Refusal::UnknownCase))
    }
}

fn size(prepared: &[Prepared]) -> usize {
    // What a waiting submission takes besides its bytes is a few times them at most; the queue is bounded by encoded bytes.
    let each = std::mem::size_of::<Prepared>() + std::mem::size_of::<v1::Submission>();
    prepared.iter().map(|p| p.encoded.len() + each).sum()
}
