//! Reports of the public: received, followed up by their code, read, decided on, answered.
//!
//! The order of the steps is that of [`sealed`](crate::sealed): the report's key is durable before the event that needs it, and who reads is
//! recorded before anything is opened. A report that becomes a case has the case's id, and so the case's key.

use prost::Message as _;
use satgas_domain::{
    id::SubmissionId,
    public::{self, CodeHash, Report},
    sealed::{self as domain_sealed, KeyId, Refusal, Sealing},
    time::Instant,
    validate::Violations,
};
use satgas_proto::v1::{self, event::Body};
use tokio::sync::oneshot;

use crate::{
    Engine, SealError, WriteError, blocking,
    vault::{CaseKey, Clear, Vault},
    writer::{Job, Outcome},
};

/// What seals are bound to besides the report: a message of the reporter does not open as one of the agency.
const OF_REPORTER: i32 = 101;
const OF_AGENCY: i32 = 102;

/// What is asked of the writer about a public report.
pub(crate) struct Asked {
    pub(crate) body: Body,
    /// Of a report that is received, the code of its kelurahan, or empty.
    pub(crate) area_code: String,
    /// Version that the report must have, where the agency acts.
    pub(crate) expected_version: u64,
    /// The case that it becomes.
    pub(crate) case: Option<v1::Submission>,
    /// What is left for its reporter.
    pub(crate) answer: Option<v1::PublicReportMessage>,
}

impl Asked {
    fn of(body: Body) -> Self {
        Self { body, area_code: String::new(), expected_version: 0, case: None, answer: None }
    }

    fn encoded_len(&self) -> usize {
        let case = self.case.as_ref().map_or(0, prost::Message::encoded_len);
        self.body.encoded_len() + case + self.answer.as_ref().map_or(0, prost::Message::encoded_len)
    }
}

/// A report as it was read.
#[derive(Debug)]
pub struct ReportRead {
    /// What is not sealed of it.
    pub report: v1::PublicReport,
    /// What it says.
    pub content: Clear<v1::PublicReportText>,
    /// The messages added to it, oldest first.
    pub messages: Vec<MessageRead>,
    /// Position of the event that records this reading.
    pub read_position: u64,
}

/// A message as it was read.
#[derive(Debug)]
pub struct MessageRead {
    /// The message.
    pub message: Clear<v1::PublicMessageText>,
    /// When it was added.
    pub added_at: Option<pbjson_types::Timestamp>,
    /// Who of the agency left it.
    pub by: Option<v1::Actor>,
}

/// How a report stands, for its reporter.
#[derive(Debug)]
pub struct FollowedUp {
    /// The report.
    pub report_id: SubmissionId,
    /// In one word.
    pub status: v1::PublicReportStatus,
    /// When it came.
    pub received: Instant,
    /// What was left for the reporter.
    pub answers: Vec<Clear<v1::PublicMessageText>>,
    /// How many messages the reporter has added.
    pub messages: usize,
}

/// What is known of a report before anything is done with it.
struct Standing {
    key_id: Option<KeyId>,
    must_be_erased: bool,
    position: u64,
    /// Positions of its messages, and whether each is the reporter's.
    messages: Vec<(u64, bool)>,
}

impl Standing {
    fn of(folded: &crate::Folded, report: &Report) -> Self {
        let sealing = folded.views.sealings().get(report.id());
        Self {
            key_id: sealing.and_then(Sealing::key_id),
            must_be_erased: sealing.is_some_and(Sealing::must_be_erased),
            position: report.position(),
            messages: report.messages().collect(),
        }
    }
}

impl Engine {
    /// Whether a report of this id was received: sending it again costs nothing.
    pub async fn has_report(&self, report_id: &str) -> Result<bool, SealError> {
        let look = |folded: &crate::Folded| folded.views.public_reports().find_text(report_id).is_some();
        Ok(self.query(self.head().position, look).await?)
    }

    /// Seals a report under a new key and records it: how it stands. The request's own content is left empty. The same
    /// report again is known; under its id nothing else is taken.
    pub async fn receive_report(
        &self,
        request: v1::SendReportRequest,
        content: Clear<v1::PublicReportText>,
    ) -> Result<v1::PublicReportStatus, SealError> {
        let context = request.encode_to_vec();
        let v1::SendReportRequest { report_id, code_hash, area_code, categories, .. } = request;
        let drafted = v1::PublicReportReceived { report_id, code_hash, categories, ..Default::default() };
        let mut v = Violations::default();
        v.within("content", |v| public::report_text(v, content.message()));
        let found = public::well_formed(&Body::PublicReportReceived(drafted.clone()));
        let found: Vec<_> = found.into_iter().chain(v.into_vec()).collect();
        if !found.is_empty() {
            return Err(Refusal::Invalid(found).into());
        }
        let id =
            SubmissionId::parse(&drafted.report_id).map_err(|reason| domain_sealed::invalid("report_id", reason))?;
        let key = match self.report_to_come(id, &drafted, &area_code).await? {
            Some(standing) if standing.must_be_erased => return Err(SealError::IdTaken { position: 0 }),
            Some(standing) => self.case_key(id, standing.key_id).await?,
            None => self.case_key(id, None).await?,
        };
        let of = self.of(id, v1::IdentityKind::PublicReport.into());
        let content_tag = key.tag_with(of, &context, &content).to_vec().into();
        let seal = Some(key.seal(of, &content));
        drop((key, content));
        let received = v1::PublicReportReceived { seal, content_tag, ..drafted };
        let outcome = self.ask(Asked { area_code, ..Asked::of(Body::PublicReportReceived(received)) }).await?;
        let status = |folded: &crate::Folded| {
            let report = folded.views.public_reports().find(id);
            report.map(|report| folded.views.report_status(report)).unwrap_or_default()
        };
        Ok(self.query(outcome.position(), status).await?)
    }

    /// A report that is known under an id; or nothing, when the one that is to come fits.
    async fn report_to_come(
        &self,
        id: SubmissionId,
        drafted: &v1::PublicReportReceived,
        area_code: &str,
    ) -> Result<Option<Standing>, SealError> {
        let look = |folded: &crate::Folded| {
            let reports = folded.views.public_reports();
            match reports.find(id) {
                Some(report) => Ok(Some(Standing::of(folded, report))),
                // Under the id of a case its key would be taken.
                None if folded.known(self.now()).case(id).is_some() => Err(SealError::IdTaken { position: 0 }),
                None => {
                    reports.may_be_received(folded.views.registry(), drafted, area_code)?;
                    Ok(None)
                }
            }
        };
        self.query(self.head().position, look).await?
    }

    /// Whether there is a report with such a code.
    pub async fn has_code(&self, hash: CodeHash) -> Result<bool, SealError> {
        let look = |folded: &crate::Folded| folded.views.public_reports().find_by_code(&hash).is_some();
        Ok(self.query(self.head().position, look).await?)
    }

    /// How the report of a code stands, and what was left for its reporter; none when there is no such code.
    pub async fn follow_up(&self, hash: CodeHash) -> Result<Option<FollowedUp>, SealError> {
        let look = |folded: &crate::Folded| {
            let report = folded.views.public_reports().find_by_code(&hash)?;
            let found = FollowedUp {
                report_id: report.id(),
                status: folded.views.report_status(report),
                received: report.received(),
                answers: Vec::new(),
                messages: report.message_count(),
            };
            Some((found, Standing::of(folded, report)))
        };
        let Some((found, standing)) = self.query(self.head().position, look).await? else { return Ok(None) };
        if standing.must_be_erased || standing.messages.iter().all(|(_, of_reporter)| *of_reporter) {
            return Ok(Some(found));
        }
        let id = found.report_id;
        let left: Vec<u64> = standing.messages.iter().filter(|(_, of)| !of).map(|(position, _)| *position).collect();
        let (engine, vault) = (self.clone(), self.vault()?);
        let opened = blocking::run(move || {
            let key = vault.key(id)?;
            left.iter().map(|position| engine.open_message(&key, id, *position).map(|read| read.message)).collect()
        });
        let answers: Result<Vec<_>, SealError> = opened.await.ok_or(WriteError::Closed)?;
        Ok(Some(FollowedUp { answers: answers?, ..found }))
    }

    /// Adds a reporter's message to their report. The same again is known.
    pub async fn add_message(
        &self,
        id: SubmissionId,
        message_id: String,
        message: Clear<v1::PublicMessageText>,
    ) -> Result<(), SealError> {
        check_message("message", &message)?;
        let drafted =
            v1::PublicReportMessage { command_id: message_id, report_id: id.to_string(), ..Default::default() };
        let found = public::well_formed(&Body::PublicReportMessage(drafted.clone()));
        if !found.is_empty() {
            return Err(Refusal::Invalid(found).into());
        }
        let key = self.report_key(id).await?;
        let sealed = self.seal_message(&key, id, drafted, b"", &message);
        drop((key, message));
        let outcome = self.ask(Asked::of(Body::PublicReportMessage(sealed))).await?;
        Ok(self.reach(outcome.position()).await?)
    }

    /// Leaves a message for a reporter: the receipt.
    pub async fn answer_report(
        &self,
        request: v1::AnswerReportRequest,
        answer: Clear<v1::PublicMessageText>,
        by: v1::Actor,
    ) -> Result<v1::Receipt, SealError> {
        check_message("answer", &answer)?;
        let v1::AnswerReportRequest { command_id, report_id, expected_version, .. } = request;
        let id = parse(&report_id)?;
        let context = domain_sealed::person(&by).as_bytes().to_vec();
        let drafted =
            v1::PublicReportMessage { command_id: command_id.clone(), report_id, by: Some(by), ..Default::default() };
        let key = self.report_key(id).await?;
        let sealed = self.seal_message(&key, id, drafted, &context, &answer);
        drop((key, answer));
        let asked = Asked { expected_version, ..Asked::of(Body::PublicReportMessage(sealed)) };
        let outcome = self.ask(asked).await?;
        self.receipt(command_id, &outcome).await
    }

    /// Decides on a report, opens the case that it becomes and leaves a message for its reporter, all of it or nothing: the receipt. The
    /// request's own answer is left empty.
    pub async fn triage_report(
        &self,
        request: v1::TriageReportRequest,
        answer: Option<Clear<v1::PublicMessageText>>,
        by: v1::Actor,
    ) -> Result<v1::Receipt, SealError> {
        use v1::triage_report_request::Decision;
        if let Some(answer) = &answer {
            check_message("answer", answer)?;
        }
        let id = parse(&request.report_id)?;
        let mut context = request.encode_to_vec();
        context.extend_from_slice(domain_sealed::person(&by).as_bytes());
        let v1::TriageReportRequest { command_id, report_id, expected_version, decision, .. } = request;
        let (verdict, reason, case) = match decision {
            Some(Decision::OpenCase(case)) => {
                check_case(&report_id, &case)?;
                (v1::PublicReportVerdict::TakeUp, String::new(), Some(case))
            }
            Some(Decision::Dismiss(reason)) => (v1::PublicReportVerdict::Dismiss, reason, None),
            None => Default::default(),
        };
        let verdict = verdict.into();
        let key = self.report_key(id).await?;
        let by = Some(by);
        let left = |answer: &Clear<_>| {
            let drafted =
                v1::PublicReportMessage { report_id: report_id.clone(), by: by.clone(), ..Default::default() };
            self.seal_message(&key, id, drafted, b"", answer)
        };
        let left = answer.as_ref().map(left);
        let empty = Clear::from(v1::PublicMessageText::default());
        let tag = key.tag_with(self.of(id, OF_AGENCY), &context, answer.as_ref().unwrap_or(&empty));
        drop((key, answer));
        let content_tag = tag.to_vec().into();
        let triaged = v1::PublicReportTriaged {
            command_id: command_id.clone(),
            report_id,
            verdict,
            reason,
            by,
            content_tag,
            version: 0,
        };
        let asked = Asked { expected_version, case, answer: left, ..Asked::of(Body::PublicReportTriaged(triaged)) };
        let outcome = self.ask(asked).await?;
        self.receipt(command_id, &outcome).await
    }

    /// Records who reads a report and what for, and then opens it with its messages.
    pub async fn read_report(
        &self,
        request: v1::ReadPublicReportRequest,
        by: v1::Actor,
    ) -> Result<ReportRead, SealError> {
        let v1::ReadPublicReportRequest { report_id, purpose } = request;
        let id = parse(&report_id)?;
        let kind = v1::IdentityKind::PublicReport.into();
        let mut read = v1::IdentityRead { case_id: report_id, kind, purpose, by: Some(by), sealed_position: 0 };
        let found = domain_sealed::well_formed(&Body::IdentityRead(read.clone()));
        if !found.is_empty() {
            return Err(Refusal::Invalid(found).into());
        }
        let standing = self.report_standing(id).await?;
        read.sealed_position = standing.position;
        let outcome = if mutated!("who reads a report is not recorded") {
            Outcome::Known(standing.position)
        } else {
            self.record(Body::IdentityRead(read), 0).await?
        };
        let look = |folded: &crate::Folded| {
            let report = folded.views.public_reports().find(id);
            report.map(|report| folded.views.report_shown(report, self.now()))
        };
        let report = self.query(outcome.position(), look).await?.ok_or(Refusal::UnknownReport)?;
        let (engine, vault) = (self.clone(), self.vault()?);
        let opened = blocking::run(move || engine.open_report(&vault, id, &standing)).await;
        let (content, messages) = opened.ok_or(WriteError::Closed)??;
        Ok(ReportRead { report, content, messages, read_position: outcome.position() })
    }

    /// What is shown of a report at its latest.
    pub async fn report_shown(&self, report_id: &str) -> Result<v1::PublicReport, SealError> {
        let now = self.now();
        let look = |folded: &crate::Folded| {
            let report = folded.views.public_reports().find_text(report_id);
            report.map(|report| folded.views.report_shown(report, now))
        };
        Ok(self.query(0, look).await?.ok_or(Refusal::UnknownReport)?)
    }

    /// Whether who asks may read a report, by what is known now: any case worker one that is no case, of a case those that have it.
    pub async fn may_read_report(&self, report_id: &str, subject: &str) -> Result<bool, SealError> {
        let Ok(id) = SubmissionId::parse(report_id) else { return Ok(true) };
        let is_case = |folded: &crate::Folded| folded.known(self.now()).case(id).is_some();
        Ok(!self.query(self.head().position, is_case).await? || self.is_assigned(id, subject).await?)
    }

    /// Opens a report and its messages. Blocks.
    fn open_report(
        &self,
        vault: &Vault,
        id: SubmissionId,
        standing: &Standing,
    ) -> Result<(Clear<v1::PublicReportText>, Vec<MessageRead>), SealError> {
        let key = vault.key(id)?;
        let Some(Body::PublicReportReceived(received)) = self.event_at(standing.position)?.body else {
            return Err(SealError::Unreadable);
        };
        let of = self.of(id, v1::IdentityKind::PublicReport.into());
        let content = key.open(of, &received.seal.unwrap_or_default())?;
        let messages = standing.messages.iter().map(|(position, _)| self.open_message(&key, id, *position));
        Ok((content, messages.collect::<Result<_, _>>()?))
    }

    fn open_message(&self, key: &CaseKey, id: SubmissionId, position: u64) -> Result<MessageRead, SealError> {
        let event = self.event_at(position)?;
        let Some(Body::PublicReportMessage(added)) = event.body else { return Err(SealError::Unreadable) };
        let of = self.of(id, kind_of(&added));
        let message = key.open(of, &added.seal.unwrap_or_default())?;
        Ok(MessageRead { message, added_at: event.recorded_at, by: added.by })
    }

    fn event_at(&self, position: u64) -> Result<v1::Event, SealError> {
        let record = self.shared.journal.record(position).map_err(|error| {
            tracing::error!(%error, "the log cannot be read for a public report");
            SealError::Unreadable
        })?;
        v1::Event::decode(record.ok_or(SealError::Unreadable)?).map_err(|_| SealError::Unreadable)
    }

    /// Seals a message; the same of the same person under the same id has the same tag.
    fn seal_message(
        &self,
        key: &CaseKey,
        id: SubmissionId,
        drafted: v1::PublicReportMessage,
        context: &[u8],
        message: &Clear<v1::PublicMessageText>,
    ) -> v1::PublicReportMessage {
        let of = self.of(id, kind_of(&drafted));
        let content_tag = key.tag_with(of, context, message).to_vec().into();
        v1::PublicReportMessage { seal: Some(key.seal(of, message)), content_tag, ..drafted }
    }

    /// The key of a report that is there and not erased.
    async fn report_key(&self, id: SubmissionId) -> Result<CaseKey, SealError> {
        let standing = self.report_standing(id).await?;
        if standing.must_be_erased {
            return Err(Refusal::Erased.into());
        }
        self.case_key(id, standing.key_id).await
    }

    async fn report_standing(&self, id: SubmissionId) -> Result<Standing, SealError> {
        let look =
            |folded: &crate::Folded| folded.views.public_reports().find(id).map(|report| Standing::of(folded, report));
        Ok(self.query(self.head().position, look).await?.ok_or(Refusal::UnknownReport)?)
    }

    async fn ask(&self, asked: Asked) -> Result<Outcome, SealError> {
        let room = self.room_now(asked.encoded_len() + std::mem::size_of::<Asked>())?;
        let (answer, reply) = oneshot::channel();
        self.send(Job::Public { asked: Box::new(asked), room, answer })?;
        reply.await.map_err(|_| WriteError::Closed)?
    }
}

fn kind_of(message: &v1::PublicReportMessage) -> i32 {
    if message.by.is_some() { OF_AGENCY } else { OF_REPORTER }
}

fn parse(report_id: &str) -> Result<SubmissionId, Refusal> {
    SubmissionId::parse(report_id).map_err(|reason| domain_sealed::invalid("report_id", reason))
}

fn check_message(field: &str, message: &Clear<v1::PublicMessageText>) -> Result<(), Refusal> {
    let mut v = Violations::default();
    v.within(field, |v| public::message_text(v, message.message()));
    if v.is_empty() { Ok(()) } else { Err(Refusal::Invalid(v.into_vec())) }
}

/// The case that a report becomes has the report's id: so it goes on under the report's key, holds and erasure.
fn check_case(report_id: &str, case: &v1::Submission) -> Result<(), Refusal> {
    if case.submission_id != report_id {
        return Err(domain_sealed::invalid(
            "open_case.submission_id",
            "is not the report's id, which the case goes on under",
        ));
    }
    match case.content {
        Some(v1::submission::Content::CaseReport(_)) => Ok(()),
        _ => Err(domain_sealed::invalid("open_case.content", "is not a case report")),
    }
}
