//! The one writer: decides submissions against the state, appends all that wait as one commit, syncs once, acknowledges.
//!
//! Invariants:
//! - The state holds what is committed and what is pending; when an append is refused, what was pending is taken back, so that state
//!   and log never differ.
//! - An answer that rests on a pending event is sent after the append has returned, and never otherwise.

mod taken;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use satgas_domain::{
    case::Refusal,
    decide::{Belongs, Origin, Undo, WriteState},
    event,
    id::SubmissionId,
    parts::{PartId, Parted, Sizes},
    public, quarantine,
    registry::{Change, Scope},
    release,
    sealed::Refusal as SealRefusal,
    time::{Calendar, Instant},
    validate,
    views::Missed,
};
use satgas_journal::{AppendError, Head, Journal, Records};
use satgas_proto::v1::{self, ReceiptStatus, Violation, event::Body};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use self::taken::{Known, taken};
use crate::{
    CaseError, Clock, Registered, WriteError,
    fold::{Message, Teller},
    ids::{self, ContentHash, Ids, Marked},
    meter::Meter,
    public::Asked,
    publish,
    queue::Receiver,
    sealed::{self, SealError},
    submit::Prepared,
    tail::Tail,
};

/// Number of the write state's layout and meaning.
pub(crate) const VERSION: u32 = 12;
/// Contents that one id may stand for: each is read when another comes, and nobody corrects a record so often by sending it under its old id.
const CONTENTS_MAX: usize = 64;
/// Bytes of records after which a commit takes no more jobs.
const COMMIT_BYTES: usize = 2 * 1024 * 1024;

/// An answer of the writer.
pub(crate) type Reply<T> = Result<T, WriteError>;

/// Whether records are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writable {
    /// They are.
    #[default]
    Yes,
    /// None until there is room on the disk.
    DiskFull,
    /// None until the engine is opened anew: whether the last commit is in the log is unknown.
    Failed,
}

/// What is asked of the writer.
pub(crate) enum Job {
    Submit {
        submissions: Vec<Prepared>,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Reply<Vec<Outcome>>>,
    },
    Register {
        entries: Vec<v1::RegistryEntry>,
        skip_bad: bool,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Reply<Registered>>,
    },
    RecordRules {
        recorded: Box<v1::RuleSetRecorded>,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Reply<Outcome>>,
    },
    PublishRelease {
        release: Box<v1::ReleasePublished>,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Reply<Outcome>>,
    },
    ResolveConflict {
        resolution: Box<v1::ConflictResolution>,
        /// Area and institution that the conflict belongs to.
        origin: (String, String),
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Reply<Outcome>>,
    },
    DecideQuarantined {
        decided: Box<v1::QuarantineDecided>,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Reply<Outcome>>,
    },
    /// Deadlines that were missed. The answer is the position of the last event.
    RecordMissed {
        missed: Vec<Missed>,
        answer: oneshot::Sender<Reply<u64>>,
    },
    /// Something about sealed identities. An expected version of 0 fits any.
    Seal {
        body: Box<Body>,
        expected_version: u64,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Result<Outcome, SealError>>,
    },
    /// Something about a public report.
    Public {
        asked: Box<Asked>,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Result<Outcome, SealError>>,
    },
    /// Asks for an answer when everything before it is done.
    Settle {
        answer: oneshot::Sender<()>,
    },
    Advance {
        command: Box<v1::CaseCommand>,
        room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Result<Outcome, CaseError>>,
    },
}

/// What became of a submission or command.
#[derive(Debug)]
pub(crate) enum Outcome {
    Accepted(u64),
    Known(u64),
    Conflict {
        position: u64,
        stands: u64,
    },
    Rejected(Vec<Violation>),
    /// Kept apart, and waiting for a supervisor.
    Quarantined(u64),
    /// Was kept apart, and a supervisor refused it, for this reason.
    QuarantineRefused(u64, String),
    /// Nothing was written: too much waits for a supervisor.
    QuarantineFull,
    /// Nothing was written: a second person must decide.
    SamePerson,
}

impl Outcome {
    pub(crate) fn position(&self) -> u64 {
        match self {
            Self::Accepted(position)
            | Self::Known(position)
            | Self::Conflict { position, .. }
            | Self::Quarantined(position)
            | Self::QuarantineRefused(position, _) => *position,
            Self::Rejected(_) | Self::QuarantineFull | Self::SamePerson => 0,
        }
    }
}

impl From<quarantine::Refusal> for Outcome {
    fn from(refusal: quarantine::Refusal) -> Self {
        match refusal {
            quarantine::Refusal::Invalid(violations) => Self::Rejected(violations),
            quarantine::Refusal::SamePerson => Self::SamePerson,
        }
    }
}

/// What became of a command, which is recorded or not.
pub(crate) enum Done {
    Recorded(ReceiptStatus, u64),
    IdTaken(u64),
    Refused(Vec<Violation>),
    SamePerson,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted(position) => Self::Recorded(ReceiptStatus::Accepted, position),
            Outcome::Known(position) => Self::Recorded(ReceiptStatus::AlreadyKnown, position),
            Outcome::Conflict { stands, .. } => Self::IdTaken(stands),
            Outcome::Rejected(violations) => Self::Refused(violations),
            Outcome::SamePerson => Self::SamePerson,
            // Only records are kept apart.
            Outcome::Quarantined(_) | Outcome::QuarantineRefused(..) | Outcome::QuarantineFull => {
                Self::Refused(Vec::new())
            }
        }
    }
}

/// What the writer decides against: folded from the log, with checkpoints.
#[derive(Serialize, Deserialize)]
pub(crate) struct Decided {
    pub(crate) state: WriteState,
    pub(crate) ids: Ids,
    /// When the last event was recorded: time never goes back within the log.
    pub(crate) recorded: Option<Instant>,
}

impl Decided {
    /// Of an empty log, to be written in parts of some sizes.
    pub(crate) fn in_parts_of(sizes: Sizes) -> Self {
        Self { state: WriteState::default(), ids: Ids::in_parts_of(sizes.positions), recorded: None }
    }

    /// Folds an event of the log.
    pub(crate) fn apply(&mut self, calendar: &Calendar, event: &v1::Event) {
        self.state.apply(calendar, event);
        if let Some(id) = event.body.as_ref().and_then(taken) {
            self.ids.insert(id.into(), event.position);
        }
        self.recorded = event.recorded_at.as_ref().and_then(Instant::from_proto).max(self.recorded);
    }

    /// Completes what was read from a checkpoint.
    pub(crate) fn restored(self) -> Self {
        Self { ids: self.ids.restored(), ..self }
    }

    /// Takes back the last events that were pending.
    fn take_back(
        &mut self,
        undo: impl DoubleEndedIterator<Item = Undo>,
        ids: impl DoubleEndedIterator<Item = TakenId>,
    ) {
        undo.rev().for_each(|undo| self.state.undo(undo));
        ids.rev().for_each(|(position, id, _)| self.ids.remove(id, position));
    }
}

impl Parted for Decided {
    type Part = ids::Part;

    fn put(&mut self, id: PartId, part: ids::Part) -> bool {
        self.ids.put(id, part)
    }

    fn is_complete(&self) -> bool {
        self.ids.is_complete()
    }
}

/// An id that a pending event takes: the event's position, and what the id stands for.
type TakenId = (u64, Marked, ContentHash);

/// A record that was kept apart and fits what is known now.
struct Admissible {
    origin: Origin,
    id: Marked,
    known: Known,
    record: Prepared,
}

/// Events of the commit that is being made, and how to take them back.
struct Pending {
    records: Records,
    events: Vec<v1::Event>,
    undo: Vec<Undo>,
    ids: Vec<TakenId>,
}

impl Pending {
    /// Nothing yet, with room for as many events as another commit had: a buffer that grows is copied each time.
    fn like(events: usize, bytes: usize) -> Self {
        Self {
            records: Records::with_capacity(events, bytes),
            events: Vec::with_capacity(events),
            undo: Vec::new(),
            ids: Vec::with_capacity(events),
        }
    }
}

/// An answer that waits for the commit.
enum Answer {
    Submit(oneshot::Sender<Reply<Vec<Outcome>>>, Reply<Vec<Outcome>>, OwnedSemaphorePermit),
    Record(oneshot::Sender<Reply<Outcome>>, Reply<Outcome>, OwnedSemaphorePermit),
    RecordMissed(oneshot::Sender<Reply<u64>>, u64),
    Settle(oneshot::Sender<()>),
    Seal(oneshot::Sender<Result<Outcome, SealError>>, Result<Outcome, SealError>, OwnedSemaphorePermit),
    Advance(oneshot::Sender<Result<Outcome, CaseError>>, Result<Outcome, CaseError>, OwnedSemaphorePermit),
}

pub(crate) struct Writer {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) calendar: Calendar,
    pub(crate) decided: Decided,
    pub(crate) head: Head,
    pub(crate) published: watch::Sender<Head>,
    pub(crate) writable: watch::Sender<Writable>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) folds: Teller,
    pub(crate) checkpoint_every: u64,
    pub(crate) checkpointed: u64,
    pending: Pending,
    now: Instant,
}

impl Writer {
    #[expect(clippy::too_many_arguments, reason = "a thread's whole world, given once")]
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        calendar: Calendar,
        decided: Decided,
        published: watch::Sender<Head>,
        writable: watch::Sender<Writable>,
        meter: Arc<Meter>,
        tail: Arc<Tail>,
        folds: Teller,
        checkpoint_every: u64,
        checkpointed: u64,
    ) -> Self {
        let head = journal.head();
        Self {
            journal,
            clock,
            calendar,
            decided,
            head,
            published,
            writable,
            meter,
            tail,
            folds,
            checkpoint_every,
            checkpointed,
            pending: Pending::like(0, 0),
            now: Instant(0),
        }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self, mut queue: Receiver) {
        while let Some(lot) = queue.take() {
            self.turn(lot, &mut queue);
        }
        self.end();
    }

    /// Decides, commits and answers a lot.
    pub(crate) fn turn(&mut self, mut lot: VecDeque<Job>, queue: &mut Receiver) {
        if mutated!("a lot is decided from its end") {
            lot.make_contiguous().reverse();
        }
        while let Some(job) = lot.pop_front() {
            self.serve(job, &mut lot, queue);
        }
        if self.head.position - self.checkpointed >= self.checkpoint_every {
            self.checkpoint();
        }
    }

    /// What is left to do when there is no more.
    pub(crate) fn end(&mut self) {
        self.checkpoint();
    }

    /// Makes one commit of the first job and what follows it in the lot, as far as that fits.
    fn serve(&mut self, first: Job, lot: &mut VecDeque<Job>, queue: &mut Receiver) {
        let mut answers = Vec::with_capacity(lot.len() + 1);
        let mut next = Some(first);
        self.begin();
        while let Some(job) = next.take() {
            match job {
                Job::Submit { submissions, room, answer } => {
                    let outcomes = self.submit_all(submissions);
                    answers.push(Answer::Submit(answer, outcomes, room));
                }
                Job::RecordRules { recorded, room, answer } => {
                    let outcome = Ok(self.record_rules(*recorded));
                    answers.push(Answer::Record(answer, outcome, room));
                }
                Job::PublishRelease { release, room, answer } => {
                    let outcome = self.publish_release(*release);
                    answers.push(Answer::Record(answer, outcome, room));
                }
                Job::ResolveConflict { resolution, origin, room, answer } => {
                    let outcome = self.resolve_conflict(*resolution, &origin);
                    answers.push(Answer::Record(answer, outcome, room));
                }
                Job::DecideQuarantined { decided, room, answer } => {
                    let outcome = self.decide_quarantined(*decided);
                    answers.push(Answer::Record(answer, outcome, room));
                }
                Job::RecordMissed { missed, answer } => {
                    let last = missed.into_iter().fold(0, |_, missed| self.record_missed(missed));
                    answers.push(Answer::RecordMissed(answer, last));
                }
                Job::Settle { answer } => answers.push(Answer::Settle(answer)),
                Job::Advance { command, room, answer } => {
                    let outcome = self.advance(*command);
                    answers.push(Answer::Advance(answer, outcome, room));
                }
                Job::Seal { body, expected_version, room, answer } => {
                    let outcome = self.seal(*body, expected_version);
                    answers.push(Answer::Seal(answer, outcome, room));
                }
                Job::Public { asked, room, answer } => {
                    let outcome = self.public(*asked);
                    answers.push(Answer::Seal(answer, outcome, room));
                }
                Job::Register { entries, skip_bad, room, answer } => {
                    // What was decided so far is a commit of its own, so that a large import fails or succeeds by itself.
                    self.finish(std::mem::take(&mut answers), queue);
                    let result = self.register(&entries, skip_bad);
                    drop((answer.send(result), room));
                    return;
                }
            }
            if self.pending.records.bytes().len() < COMMIT_BYTES {
                next = lot.pop_front();
            }
        }
        self.finish(answers, queue);
    }

    /// Begins a commit: all its events are recorded at one time, which never goes back.
    fn begin(&mut self) {
        let now = Instant::from_jiff(self.clock.now());
        self.now = self.decided.recorded.map_or(now, |last| now.max(last));
        if mutated!("time goes back with the clock") {
            self.now = now;
        }
    }

    fn next_position(&self) -> u64 {
        self.head.position + self.pending.events.len() as u64 + 1
    }

    /// Decides the records of one message. When one of them cannot be decided, none of them is written.
    fn submit_all(&mut self, submissions: Vec<Prepared>) -> Reply<Vec<Outcome>> {
        let before = &self.pending;
        let (events, undo, ids) = (before.events.len(), before.undo.len(), before.ids.len());
        let outcomes: Reply<_> = submissions.into_iter().map(|s| self.submit(s)).collect();
        if outcomes.is_err() && !mutated!("of a message that fails the first records are written") {
            self.pending.records.truncate(events);
            self.pending.events.truncate(events);
            self.decided.take_back(self.pending.undo.drain(undo..), self.pending.ids.drain(ids..));
        }
        outcomes
    }

    fn submit(&mut self, prepared: Prepared) -> Reply<Outcome> {
        let Prepared { submission, id, encoded, content, violations, ended } = prepared;
        // What is not well-formed was never accepted, so it cannot be known.
        let id_of_well_formed = id.filter(|_| violations.is_empty());
        let known = id_of_well_formed.map_or(Ok(Known::New), |id| self.look_up(id, content))?;
        if let Known::Same(position) = known {
            return Ok(Outcome::Known(position));
        }
        if let (Known::Other(_), Some(id)) = (&known, id)
            && self.decided.ids.positions(id).len() >= CONTENTS_MAX
        {
            return Ok(Outcome::Rejected(vec![used_up()]));
        }
        let waits = match id_of_well_formed.and_then(|id| self.kept_apart(id.id, &submission)) {
            Some(Outcome::Quarantined(position)) if ended.is_none() => Some(position),
            Some(outcome) => return Ok(outcome),
            None => None,
        };
        let decision = self.decided.state.decide_submission(&self.calendar, &submission, violations, self.now);
        let (origin, id) = match (decision, id) {
            (Ok(origin), Some(id)) => (origin, id),
            (Ok(_), None) => return Ok(Outcome::Rejected(Vec::new())),
            (Err(violations), _) => return Ok(Outcome::Rejected(violations)),
        };
        if let Some(right) = ended
            && !mutated!("a late record counts at once")
        {
            return Ok(self.keep_apart(origin, submission, right));
        }
        if let Some(position) = waits {
            // Whoever has the right has sent it: there is nothing left to decide.
            self.push_body(origin, Body::QuarantineDecided(resent(position)));
        }
        Ok(self.accept(origin, id, &known, submission, &encoded, content))
    }

    /// Accepts a record that fits; other content under a known id is kept beside what stands.
    fn accept(
        &mut self,
        origin: Origin,
        id: Marked,
        known: &Known,
        submission: Box<v1::Submission>,
        encoded: &[u8],
        content: ContentHash,
    ) -> Outcome {
        let outcome = match *known {
            Known::Other(stands) => {
                let cause = v1::ConflictCause::SameIdOtherContent.into();
                let submission = Some(*submission);
                let conflicting = v1::ConflictingSubmission { submission, cause, stands_position: stands };
                Outcome::Conflict { position: self.push_body(origin, Body::Conflicting(conflicting.into())), stands }
            }
            Known::New | Known::Same(_) => {
                let names = self.names_of(origin);
                Outcome::Accepted(self.push(names, event::SUBMITTED, encoded, Body::Submitted(submission)))
            }
        };
        self.take_id(id, content, outcome.position());
        outcome
    }

    /// What became of the very same record when it was kept apart, unless it counts by now.
    fn kept_apart(&self, id: SubmissionId, submission: &v1::Submission) -> Option<Outcome> {
        let (position, kept) = self.decided.state.quarantine().find(id, submission)?;
        match kept.refused_because() {
            Some(_) if mutated!("a refused record counts when it comes again") => None,
            Some(reason) => Some(Outcome::QuarantineRefused(position, reason.to_owned())),
            None => kept.waits().then_some(Outcome::Quarantined(position)),
        }
    }

    /// Keeps a record apart whose reporter's right had ended.
    fn keep_apart(&mut self, origin: Origin, submission: Box<v1::Submission>, right: v1::EndedRight) -> Outcome {
        let by = right.by.as_ref().map_or("", |by| &by.id);
        if self.decided.state.quarantine().contents(&submission.submission_id) >= CONTENTS_MAX {
            return Outcome::Rejected(vec![used_up()]);
        }
        if !self.decided.state.quarantine().has_room(by, &submission) {
            return Outcome::QuarantineFull;
        }
        let kept = v1::Quarantined { submission: Some(*submission), right: Some(right) };
        Outcome::Quarantined(self.push_body(origin, Body::Quarantined(kept.into())))
    }

    /// Records a supervisor's decision and, when it admits the record, the record behind it, in the same commit.
    fn decide_quarantined(&mut self, decided: v1::QuarantineDecided) -> Reply<Outcome> {
        let content = ContentHash::of(&decided.encode_to_vec());
        let decision = decided.decision.clone().unwrap_or_default();
        let Ok(id) = SubmissionId::parse(&decision.command_id).map(Marked::from) else {
            let refused = self.decided.state.quarantine().decide(&decided).err();
            return Ok(refused.map_or(Outcome::Rejected(Vec::new()), Outcome::from));
        };
        match self.look_up(id, content)? {
            Known::Same(position) => return Ok(Outcome::Known(position)),
            Known::Other(stands) => return Ok(Outcome::Conflict { position: stands, stands }),
            Known::New => {}
        }
        let kept = match self.decided.state.quarantine().decide(&decided) {
            Ok(kept) => kept,
            Err(refused) => return Ok(refused.into()),
        };
        let ((area_code, institution_id), submission) = (kept.origin().clone(), kept.submission());
        let admitted = match decision.verdict() {
            v1::QuarantineVerdict::Admit => match self.admissible(submission)? {
                Ok(admissible) => Some(admissible),
                // The registry has changed since it arrived: it goes on waiting.
                Err(violations) => return Ok(Outcome::Rejected(violations)),
            },
            _ => None,
        };
        let position = self.push_encoding(&area_code, &institution_id, Body::QuarantineDecided(decided));
        self.take_id(id, content, position);
        if let Some(Admissible { origin, id, known, record }) = admitted
            && !mutated!("an admitted record is not written")
        {
            self.accept(origin, id, &known, record.submission, &record.encoded, record.content);
        }
        Ok(Outcome::Accepted(position))
    }

    /// Looks whether a record that was kept apart still fits, before anything is written.
    fn admissible(&self, submission: v1::Submission) -> Reply<Result<Admissible, Vec<Violation>>> {
        let mut record = Prepared::new(submission.into());
        let violations = std::mem::take(&mut record.violations);
        let state = &self.decided.state;
        let origin = match state.decide_submission(&self.calendar, &record.submission, violations, self.now) {
            Ok(origin) => origin,
            Err(violations) => return Ok(Err(violations)),
        };
        let Some(id) = record.id else { return Ok(Err(Vec::new())) };
        let known = self.look_up(id, record.content)?;
        Ok(Ok(Admissible { origin, id, known, record }))
    }

    fn advance(&mut self, command: v1::CaseCommand) -> Result<Outcome, CaseError> {
        let content = ContentHash::of(&command.encode_to_vec());
        let id = SubmissionId::parse(&command.command_id).ok().map(Marked::from);
        match id.map(|id| self.look_up(id, content)).transpose()? {
            Some(Known::Same(position)) => return Ok(Outcome::Known(position)),
            Some(Known::Other(position)) => return Err(CaseError::IdTaken { position }),
            Some(Known::New) | None => {}
        }
        let (origin, version) = self.decided.state.decide_case(&command, self.now).map_err(CaseError::Refused)?;
        let id = id.ok_or(CaseError::Refused(Refusal::Invalid(Vec::new())))?;
        let step = v1::CaseAdvanced { command: Some(command), version };
        let position = self.push_body(origin, Body::CaseAdvanced(step));
        self.take_id(id, content, position);
        Ok(Outcome::Accepted(position))
    }

    fn seal(&mut self, mut body: Body, expected_version: u64) -> Result<Outcome, SealError> {
        let command = taken(&body).map(|id| (Marked::from(id), sealed::content_of(&body)));
        match command.map(|(id, content)| self.look_up(id, content)).transpose()? {
            Some(Known::Same(position)) => return Ok(Outcome::Known(position)),
            Some(Known::Other(position)) => return Err(SealError::IdTaken { position }),
            Some(Known::New) | None => {}
        }
        let ask = sealed::ask(&body, expected_version, self.now);
        let (belongs, version) = self.decided.state.decide_sealing(ask)?;
        if let Body::IdentitySealed(sealed) = &mut body {
            sealed.version = version + 1;
        }
        let position = match belongs {
            Belongs::To(origin) => self.push_body(origin, body),
            Belongs::ToReportIn(area_code) => self.push_encoding(&area_code, "", body),
        };
        if let Some((id, content)) = command {
            self.take_id(id, content, position);
        }
        Ok(Outcome::Accepted(position))
    }

    /// Records something about a public report and, in the same commit, the case that it becomes and what is left for its reporter.
    fn public(&mut self, asked: Asked) -> Result<Outcome, SealError> {
        let Asked { mut body, area_code, expected_version, case, answer } = asked;
        let command = taken(&body).map(|id| (Marked::from(id), sealed::content_of(&body)));
        match command.map(|(id, content)| self.look_up(id, content)).transpose()? {
            Some(Known::Same(position)) => return Ok(Outcome::Known(position)),
            Some(Known::Other(position)) => return Err(SealError::IdTaken { position }),
            Some(Known::New) | None => {}
        }
        let ask = public::Ask { body: &body, area_code: &area_code, expected_version };
        let (area_code, version) = self.decided.state.decide_public(ask)?;
        let opened = match case {
            None => None,
            Some(case) => {
                let refused = |found| SealRefusal::Invalid(validate::within("open_case", found));
                Some(self.admissible(case)?.map_err(refused)?)
            }
        };
        match &mut body {
            Body::PublicReportTriaged(triaged) => triaged.version = version + 1,
            Body::PublicReportMessage(message) => message.version = version + 1,
            _ => {}
        }
        let position = self.push_encoding(&area_code, "", body);
        if let Some((id, content)) = command {
            self.take_id(id, content, position);
        }
        if let Some(Admissible { origin, id, record, .. }) = opened
            && !mutated!("a report that is taken up becomes no case")
        {
            // The id is the report's, which stands for the case from now on.
            self.accept(origin, id, &Known::New, record.submission, &record.encoded, record.content);
        }
        if let Some(answer) = answer
            && !mutated!("what a decision leaves for a reporter is lost")
        {
            let left = v1::PublicReportMessage { version: version + 2, ..answer };
            self.push_encoding(&area_code, "", Body::PublicReportMessage(left));
        }
        Ok(Outcome::Accepted(position))
    }

    fn record_rules(&mut self, recorded: v1::RuleSetRecorded) -> Outcome {
        match self.decided.state.rule_sets().decide(&recorded) {
            Ok(Some(position)) => Outcome::Known(position),
            Err(violations) => Outcome::Rejected(violations),
            Ok(None) => Outcome::Accepted(self.push_encoding("", "", Body::RuleSetRecorded(recorded))),
        }
    }

    /// Publishes a release. Asked for again it is the one that was published, whatever was counted meanwhile.
    fn publish_release(&mut self, release: v1::ReleasePublished) -> Reply<Outcome> {
        let content = publish::content_of(&release);
        let Ok(id) = SubmissionId::parse(&release.release_id).map(Marked::from) else {
            return Ok(Outcome::Rejected(release::well_formed(&release).err().unwrap_or_default()));
        };
        match self.look_up(id, content)? {
            Known::Same(_) if mutated!("a release that is asked for again is refused") => {}
            Known::Same(position) => return Ok(Outcome::Known(position)),
            Known::Other(stands) => return Ok(Outcome::Conflict { position: stands, stands }),
            Known::New => {}
        }
        let releases = self.decided.state.releases();
        let decide = |draft| releases.decide(&self.calendar, &draft, self.now);
        let decided = release::well_formed(&release)
            .and_then(|draft| decide(draft).map_err(|found| validate::within("draft", found)));
        if let Err(violations) = decided {
            return Ok(Outcome::Rejected(violations));
        }
        let area_code = release.draft.as_ref().map(|draft| draft.area_prefix.clone()).unwrap_or_default();
        let position = self.push_encoding(&area_code, "", Body::ReleasePublished(release));
        self.take_id(id, content, position);
        Ok(Outcome::Accepted(position))
    }

    fn resolve_conflict(&mut self, resolution: v1::ConflictResolution, origin: &(String, String)) -> Reply<Outcome> {
        let content = ContentHash::of(&resolution.encode_to_vec());
        let Ok(id) = SubmissionId::parse(&resolution.command_id).map(Marked::from) else {
            return Ok(Outcome::Rejected(Vec::new()));
        };
        match self.look_up(id, content)? {
            Known::Same(position) => return Ok(Outcome::Known(position)),
            Known::Other(stands) => return Ok(Outcome::Conflict { position: stands, stands }),
            Known::New => {}
        }
        if let Err(violations) = self.decided.state.decide_resolution(&resolution) {
            return Ok(Outcome::Rejected(violations));
        }
        let (area_code, institution_id) = origin;
        let position = self.push_encoding(area_code, institution_id, Body::ConflictResolved(resolution));
        self.take_id(id, content, position);
        Ok(Outcome::Accepted(position))
    }

    fn record_missed(&mut self, missed: Missed) -> u64 {
        let Missed { area_code, institution_id, missed } = missed;
        self.push_encoding(&area_code, &institution_id, Body::DeadlineMissed(missed))
    }

    fn register(&mut self, entries: &[v1::RegistryEntry], skip_bad: bool) -> Reply<Registered> {
        let decided = self.decided.state.registry().decide_all(entries);
        let mut registered = Registered { refused: decided.refused, ..Registered::default() };
        if !registered.refused.is_empty() && !skip_bad {
            return Ok(registered);
        }
        let changes =
            |change| u32::try_from(decided.accepted.iter().filter(|(c, _)| *c == change).count()).unwrap_or(u32::MAX);
        registered.summary.created = changes(Change::Created);
        registered.summary.changed = changes(Change::Changed);
        registered.summary.unchanged = decided.unchanged;
        self.begin();
        for (_, entry) in decided.accepted {
            if self.pending.undo.is_empty() {
                let before = self.decided.state.registry().clone();
                self.pending.undo.push(Undo::Registered(Box::new(before)));
            }
            registered.summary.position = self.push_entry(entry.clone());
            if self.pending.records.bytes().len() >= COMMIT_BYTES {
                self.commit()?;
            }
        }
        self.commit()?;
        Ok(registered)
    }

    fn push_entry(&mut self, entry: v1::RegistryEntry) -> u64 {
        use v1::{registry_entry::Entry, task_force::Home};
        let registry = self.decided.state.registry();
        let home = |home: &Option<Home>| match home {
            Some(Home::AreaCode(code)) => (code.clone(), String::new()),
            Some(Home::InstitutionId(id)) => (area_of_institution(registry, id), id.clone()),
            None => Default::default(),
        };
        let (area_code, institution_id) = match &entry.entry {
            Some(Entry::Area(a)) => (a.code.clone(), String::new()),
            Some(Entry::Institution(i)) => (i.area_code.clone(), i.institution_id.clone()),
            Some(Entry::TaskForce(t)) => home(&t.home),
            Some(Entry::Member(m)) => home(
                &registry
                    .find_task_force(&m.task_force_id)
                    .and_then(|index| registry.task_force(index).history.latest().state.message.home.clone()),
            ),
            None => Default::default(),
        };
        self.push_encoding(&area_code, &institution_id, Body::Registered(entry))
    }

    /// Area and institution of an origin, as an event bears them.
    fn names_of(&self, origin: Origin) -> (String, String) {
        let registry = self.decided.state.registry();
        let institution_id = match origin.scope {
            Scope::Area(_) => String::new(),
            Scope::Institution(index) => registry.institution(index).id.clone(),
        };
        (registry.area(origin.area).code.clone(), institution_id)
    }

    fn push_body(&mut self, origin: Origin, body: Body) -> u64 {
        let (area_code, institution_id) = self.names_of(origin);
        self.push_encoding(&area_code, &institution_id, body)
    }

    /// Adds an event whose body is not encoded yet.
    fn push_encoding(&mut self, area_code: &str, institution_id: &str, body: Body) -> u64 {
        let mut encoded = Vec::new();
        body.encode(&mut encoded);
        let (field, bytes) = split_body(&encoded);
        self.push((area_code.to_owned(), institution_id.to_owned()), field, bytes, body)
    }

    /// Adds an event to the commit and to the state. Returns its position.
    fn push(&mut self, (area_code, institution_id): (String, String), field: u32, encoded: &[u8], body: Body) -> u64 {
        let kind = event::kind(&body).into();
        let position = self.next_position();
        let recorded_at = self.now.to_proto();
        let head = event::Head { position, recorded_at, kind, area_code: &area_code, institution_id: &institution_id };
        let salt = match event::wants_salt(&body) {
            true => Bytes::copy_from_slice(&rand::random::<[u8; event::SALT_BYTES]>()),
            false => Bytes::new(),
        };
        let len = head.encoded_len(field, encoded.len()) + event::salt_encoded_len(&salt);
        self.pending.records.push_with(len, |buffer| {
            head.encode(field, encoded, buffer);
            event::encode_salt(&salt, buffer);
        });
        let event = v1::Event {
            position,
            recorded_at: Some(recorded_at),
            kind,
            area_code,
            institution_id,
            shaping: None,
            body: Some(body),
            salt,
        };
        let undo = self.decided.state.apply(&self.calendar, &event);
        if !matches!(undo, Undo::Nothing) {
            self.pending.undo.push(undo);
        }
        self.pending.events.push(event);
        position
    }

    fn take_id(&mut self, id: Marked, content: ContentHash, position: u64) {
        self.decided.ids.insert(id, position);
        self.pending.ids.push((position, id, content));
    }

    /// Commits what is pending and answers.
    fn finish(&mut self, answers: Vec<Answer>, queue: &mut Receiver) {
        let durable = self.head.position;
        let (folded, failed) = match self.append() {
            Ok(message) => (message, None),
            Err(_) if mutated!("what could not be written is acknowledged") => (None, None),
            Err(error) => (None, Some(error)),
        };
        queue.answering(answers.len());
        for answer in answers {
            match answer {
                Answer::Submit(answer, outcomes, _room) => {
                    // That a supervisor refused it may rest on a decision of the same commit.
                    let is_refusal = |o: &Outcome| {
                        matches!(o, Outcome::QuarantineRefused(..))
                            && !mutated!("a late record is refused for a decision that was not written")
                    };
                    let rests = |o: &Outcome| o.position() > durable || is_refusal(o);
                    let rests = outcomes.as_ref().is_ok_and(|outcomes| outcomes.iter().any(rests));
                    let lost = failed.clone().filter(|_| rests);
                    let reply = lost.map_or(outcomes, Err);
                    self.meter.answered(&reply);
                    drop(answer.send(reply));
                }
                Answer::Record(answer, outcome, _room) => {
                    // A refusal may rest on an event of the same commit.
                    let is_refusal = |o: &Outcome| {
                        matches!(o, Outcome::Rejected(_) | Outcome::SamePerson)
                            && !mutated!("a decision is refused for one that was not written")
                    };
                    let rests = |o: &Outcome| o.position() > durable || is_refusal(o);
                    let lost = failed.clone().filter(|_| outcome.as_ref().is_ok_and(rests));
                    drop(answer.send(lost.map_or(outcome, Err)));
                }
                Answer::RecordMissed(answer, last) => drop(answer.send(failed.clone().map_or(Ok(last), Err))),
                Answer::Settle(answer) => drop(answer.send(())),
                Answer::Seal(answer, outcome, _room) => {
                    let lost = failed.clone().filter(|_| sealed::rests_on_pending(&outcome, durable));
                    drop(answer.send(lost.map_or(outcome, |error| Err(error.into()))));
                }
                Answer::Advance(answer, outcome, _room) => {
                    let lost = failed.clone().filter(|_| rests_on_pending(&outcome, durable));
                    drop(answer.send(lost.map_or(outcome, |error| Err(error.into()))));
                }
            }
        }
        self.hand_to_fold(folded);
    }

    fn commit(&mut self) -> Result<(), WriteError> {
        let folded = self.append()?;
        self.hand_to_fold(folded);
        Ok(())
    }

    /// Appends what is pending as one commit, durable when this returns, and shows it to readers; or takes it back.
    fn append(&mut self) -> Result<Option<Message>, WriteError> {
        if self.pending.events.is_empty() {
            return Ok(None);
        }
        let next = Pending::like(self.pending.events.len(), self.pending.records.bytes().len());
        let Pending { records, events, undo, ids } = std::mem::replace(&mut self.pending, next);
        let started = std::time::Instant::now();
        if mutated!("subscribers are shown a commit before it is durable") {
            let position = self.head.position + events.len() as u64;
            let mut early = Records::new();
            records.iter().for_each(|record| early.push(record));
            self.tail.push(early.freeze(self.head.position + 1));
            self.published.send_replace(Head { position, ..self.head });
        }
        match self.journal.append(self.head.position, &records) {
            Ok(head) => {
                self.meter.committed(events.len(), started.elapsed(), self.now);
                let stored = records.freeze(self.head.position + 1);
                self.tail.push(stored.clone());
                self.head = head;
                self.decided.recorded = Some(self.now);
                if mutated!("nobody is woken by a commit") {
                    self.published.send_if_modified(|published| {
                        *published = head;
                        false
                    });
                } else {
                    self.published.send_replace(head);
                }
                self.say(Writable::Yes);
                Ok(Some(Message::Commit { events, stored, head }))
            }
            Err(error) => {
                if !mutated!("what could not be written is not taken back") {
                    self.decided.take_back(undo.into_iter(), ids.into_iter());
                }
                self.meter.failed(&error);
                tracing::debug!(%error, "a commit was refused");
                match error {
                    AppendError::TooLarge { .. } => {}
                    AppendError::DiskFull { .. } => self.say(Writable::DiskFull),
                    AppendError::WrongPosition { .. } | AppendError::Failed { .. } | AppendError::Poisoned { .. } => {
                        self.say(Writable::Failed);
                    }
                }
                Err(WriteError::from(&error))
            }
        }
    }

    /// Tells, and logs, when records are no longer taken, and when they are again.
    fn say(&self, writable: Writable) {
        if self.writable.send_if_modified(|now| std::mem::replace(now, writable) != writable) {
            match writable {
                Writable::Yes => tracing::info!("records are taken again"),
                Writable::DiskFull => tracing::error!("the disk is full: records are refused until there is room"),
                Writable::Failed => tracing::error!("writing failed: records are refused until the restart"),
            }
        }
    }

    fn hand_to_fold(&mut self, folded: Option<Message>) {
        if let Some(message) = folded
            && self.folds.tell(message).is_err()
        {
            tracing::error!("the fold has stopped: queries stand still until the restart");
        }
    }

    /// Hands the state to the fold's thread to be written.
    fn checkpoint(&mut self) {
        if self.checkpoint_every == u64::MAX || self.head.position == self.checkpointed {
            return;
        }
        let parts = self.decided.ids.take_parts(self.head.position);
        match postcard::to_stdvec(&self.decided) {
            Ok(state) => {
                self.checkpointed = self.head.position;
                self.hand_to_fold(Some(Message::WriterState { state, parts, head: self.head }));
            }
            Err(error) => tracing::error!(%error, "the writer's state cannot be encoded"),
        }
    }
}

/// Whether an answer to a step may rest on what was pending when it was decided: a refusal does when it looked at the case.
fn rests_on_pending(outcome: &Result<Outcome, CaseError>, durable: u64) -> bool {
    match outcome {
        Ok(outcome) => outcome.position() > durable,
        Err(CaseError::IdTaken { position }) => *position > durable,
        Err(CaseError::Refused(Refusal::Invalid(_)) | CaseError::Write(_)) => false,
        Err(CaseError::Refused(_)) => true,
    }
}

/// Why another content is not taken under an id.
fn used_up() -> Violation {
    let reason = format!("stands for {CONTENTS_MAX} contents already: send this one under a new id");
    Violation { field: "submission_id".to_owned(), reason }
}

/// That a record which waited was sent again by somebody with the right.
fn resent(position: u64) -> v1::QuarantineDecided {
    let verdict = v1::QuarantineVerdict::Resent.into();
    let decision = v1::QuarantineDecision { quarantined_position: position, verdict, ..Default::default() };
    v1::QuarantineDecided { decision: Some(decision), by: None }
}

fn area_of_institution(registry: &satgas_domain::registry::Registry, id: &str) -> String {
    let index = registry.find_institution(id);
    index
        .map(|index| registry.area(registry.institution(index).history.latest().state.area).code.clone())
        .unwrap_or_default()
}

/// Splits an encoded oneof into its field number and its content.
fn split_body(encoded: &[u8]) -> (u32, &[u8]) {
    let mut rest = encoded;
    let (field, _) = prost::encoding::decode_key(&mut rest).expect("just encoded");
    prost::encoding::decode_varint(&mut rest).expect("just encoded");
    (field, rest)
}
