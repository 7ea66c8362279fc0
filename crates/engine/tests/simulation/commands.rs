//! What is asked of the engine beside records and steps: about identities, holds and erasures, reports of the public, decisions of supervisors,
//! and releases. Each is a command with an id, so that it may be sent again.

use std::fmt;

use satgas_domain::id::SubmissionId;
use satgas_engine::{
    Engine, ResolveError, SealError, WriteError,
    vault::{Clear, VaultError},
};
use satgas_proto::v1::{self, event::Body, triage_report_request::Decision};

use crate::{
    history::Answer,
    make::{self, SATU},
    world::World,
};

pub(crate) const WORKERS: [&str; 2] = ["petugas-1", "petugas-2"];
pub(crate) const SUPERVISORS: [&str; 2] = ["pengawas-1", "pengawas-2"];
/// Whose identity is sealed in these histories.
pub(crate) const KIND: v1::IdentityKind = v1::IdentityKind::Victim;

/// A command. What it says in the clear is in none of the messages, as it is when the server hands it over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// Seals an identity.
    Seal {
        request: v1::RecordIdentityRequest,
        name: String,
        by: v1::Actor,
    },
    /// An assignment, a hold or its end, a request to erase or that it was declined.
    About(Body),
    Approve(v1::ErasureApproved),
    /// A report of the public.
    Report {
        request: v1::SendReportRequest,
        text: String,
    },
    /// A message of a reporter.
    Message {
        report_id: String,
        message_id: String,
        text: String,
    },
    /// A message for a reporter.
    Answer {
        request: v1::AnswerReportRequest,
        text: String,
        by: v1::Actor,
    },
    Triage {
        request: v1::TriageReportRequest,
        answer: Option<String>,
        by: v1::Actor,
    },
    /// A decision on a record that was kept apart.
    Decide(v1::QuarantineDecided),
    /// A decision on a conflict.
    Resolve(v1::ConflictResolution),
    Release(v1::ReleasePublished),
}

pub(crate) fn by(who: &str) -> v1::Actor {
    let role = if SUPERVISORS.contains(&who) { "supervisor" } else { "case_worker" };
    v1::Actor { id: who.into(), role: role.into(), ..v1::Actor::default() }
}

/// The n-th id that does not tell when it was made.
pub(crate) fn timeless_id(n: u32) -> String {
    format!("019254d3-8000-7000-8000-{n:012x}")
}

/// The hash of the follow-up code of a report.
pub(crate) fn code_hash(report_id: &str) -> [u8; 32] {
    *blake3::hash(report_id.as_bytes()).as_bytes()
}

fn is_secret(message: &str) -> Clear<v1::PublicMessageText> {
    v1::PublicMessageText { text: message.to_owned() }.into()
}

impl Command {
    pub(crate) fn id(&self) -> &str {
        let of_body = |body| satgas_domain::sealed::command_of(body).expect("a command has an id");
        match self {
            Self::Seal { request, .. } => &request.command_id,
            Self::About(body) => of_body(body),
            Self::Approve(approved) => &approved.command_id,
            Self::Report { request, .. } => &request.report_id,
            Self::Message { message_id, .. } => message_id,
            Self::Answer { request, .. } => &request.command_id,
            Self::Triage { request, .. } => &request.command_id,
            Self::Decide(decided) => &decided.decision.as_ref().expect("a decision").command_id,
            Self::Resolve(resolution) => &resolution.command_id,
            Self::Release(release) => &release.release_id,
        }
    }

    /// Gives a decision another id.
    pub(crate) fn set_id(&mut self, id: String) {
        match self {
            Self::Decide(decided) => decided.decision.as_mut().expect("a decision").command_id = id,
            Self::Resolve(resolution) => resolution.command_id = id,
            other => panic!("{other:?} is no decision"),
        }
    }

    /// The case or report that it is about.
    pub(crate) fn case(&self) -> Option<&str> {
        match self {
            Self::Seal { request, .. } => Some(&request.case_id),
            Self::About(body) => satgas_domain::sealed::case_of(body),
            Self::Approve(approved) => Some(&approved.case_id),
            Self::Report { request, .. } => Some(&request.report_id),
            Self::Message { report_id, .. } => Some(report_id),
            Self::Answer { request, .. } => Some(&request.report_id),
            Self::Triage { request, .. } => Some(&request.report_id),
            Self::Decide(_) | Self::Resolve(_) | Self::Release(_) => None,
        }
    }

    /// Whether a key is needed for it, which an erasure destroys.
    pub(crate) fn needs_key(&self) -> bool {
        !matches!(self, Self::About(_) | Self::Approve(_) | Self::Decide(_) | Self::Resolve(_) | Self::Release(_))
    }

    /// What tells it from another command: whoever sends the same again sends this again. What was counted for a release is not among it.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Release(release) => format!("{} {:?}", release.release_id, release.draft),
            other => format!("{other:?}"),
        }
    }

    /// Whether an event is what it became; `clear` is what was sealed in the event, where its key is still there.
    pub(crate) fn became(&self, event: &v1::Event, clear: Option<&str>) -> bool {
        let says = |text: &str| clear.is_none_or(|clear| clear == text);
        match (self, event.body.as_ref()) {
            (Self::Seal { request, name, by }, Some(Body::IdentitySealed(e))) => {
                let same = (&e.command_id, &e.case_id, e.kind) == (&request.command_id, &request.case_id, request.kind);
                same && e.by.as_ref() == Some(by) && says(name)
            }
            (Self::About(sent), Some(body)) => sent == body,
            (Self::Approve(sent), Some(Body::ErasureApproved(e))) => sent == e,
            (Self::Report { request, text }, Some(Body::PublicReportReceived(e))) => {
                let same = (&e.report_id, &e.code_hash, &e.categories)
                    == (&request.report_id, &request.code_hash, &request.categories);
                same && event.area_code == request.area_code && says(text)
            }
            (Self::Message { report_id, message_id, text }, Some(Body::PublicReportMessage(e))) => {
                (&e.command_id, &e.report_id, &e.by) == (message_id, report_id, &None) && says(text)
            }
            (Self::Answer { request, text, by }, Some(Body::PublicReportMessage(e))) => {
                let same = (&e.command_id, &e.report_id) == (&request.command_id, &request.report_id);
                same && e.by.as_ref() == Some(by) && says(text)
            }
            (Self::Triage { request, by, .. }, Some(Body::PublicReportTriaged(e))) => {
                let (verdict, reason) = match &request.decision {
                    Some(Decision::Dismiss(reason)) => (v1::PublicReportVerdict::Dismiss, reason.as_str()),
                    _ => (v1::PublicReportVerdict::TakeUp, ""),
                };
                let same = (&e.command_id, &e.report_id) == (&request.command_id, &request.report_id);
                same && e.by.as_ref() == Some(by) && (e.verdict(), e.reason.as_str()) == (verdict, reason)
            }
            (Self::Decide(sent), Some(Body::QuarantineDecided(e))) => sent == e,
            (Self::Resolve(sent), Some(Body::ConflictResolved(e))) => sent == e,
            (Self::Release(sent), Some(Body::ReleasePublished(e))) => {
                (&sent.release_id, &sent.draft) == (&e.release_id, &e.draft)
            }
            _ => false,
        }
    }

    /// Other content under the same id; of a release the same, counted anew.
    pub(crate) fn altered(&self) -> Self {
        const OTHER: &str = "Alasan contoh yang lain";
        let mut altered = self.clone();
        match &mut altered {
            Self::Seal { name: text, .. } | Self::Report { text, .. } | Self::Message { text, .. } => {
                text.push_str(" B")
            }
            Self::Answer { text, .. } => text.push_str(" B"),
            Self::About(Body::CaseAssigned(e)) => e.reason = OTHER.into(),
            Self::About(Body::HoldPlaced(e)) => e.reason = OTHER.into(),
            Self::About(Body::HoldLifted(e)) => e.reason = OTHER.into(),
            Self::About(Body::ErasureRequested(e)) => e.reason = OTHER.into(),
            Self::About(Body::ErasureDeclined(e)) => e.reason = OTHER.into(),
            Self::About(other) => panic!("nobody sends {other:?}"),
            Self::Approve(e) => e.by = Some(by("pengawas-3")),
            Self::Triage { request, .. } => request.decision = Some(Decision::Dismiss(OTHER.into())),
            Self::Decide(e) => e.decision.as_mut().expect("a decision").reason = OTHER.into(),
            Self::Resolve(e) => e.reason = OTHER.into(),
            Self::Release(e) => e.areas.iter_mut().for_each(|area| area.cases += 1),
        }
        altered
    }

    /// Sends it: its receipt, which a reporter does not get.
    pub(crate) async fn send(&self, engine: &Engine) -> Result<Option<v1::Receipt>, Trouble> {
        match self.clone() {
            Self::Seal { request, name, by } => {
                let person = v1::PersonIdentity { full_name: name, ..v1::PersonIdentity::default() };
                Ok(Some(engine.record_identity(request, person.into(), by).await?))
            }
            Self::About(body) => Ok(Some(engine.record_about_seals(body).await?)),
            Self::Approve(approved) => Ok(Some(engine.approve_erasure(approved).await?)),
            Self::Report { request, text } => {
                let content = v1::PublicReportText { text, ..v1::PublicReportText::default() };
                engine.receive_report(request, content.into()).await?;
                Ok(None)
            }
            Self::Message { report_id, message_id, text } => {
                let id = SubmissionId::parse(&report_id).expect("a client's id");
                engine.add_message(id, message_id, is_secret(&text)).await?;
                Ok(None)
            }
            Self::Answer { request, text, by } => Ok(Some(engine.answer_report(request, is_secret(&text), by).await?)),
            Self::Triage { request, answer, by } => {
                let answer = answer.as_deref().map(is_secret);
                Ok(Some(engine.triage_report(request, answer, by).await?))
            }
            Self::Decide(decided) => Ok(Some(engine.decide_quarantined(decided).await?)),
            Self::Resolve(resolution) => Ok(Some(engine.resolve_conflict(resolution).await?)),
            Self::Release(release) => Ok(Some(engine.publish_release(release).await?)),
        }
    }

    /// The answer, as a history keeps it.
    pub(crate) fn answer(&self, world: &World, sent: Result<Option<v1::Receipt>, Trouble>) -> Answer {
        match sent {
            Ok(Some(receipt)) => Answer::Receipt(receipt),
            Ok(None) => Answer::Taken,
            Err(Trouble::Write(error)) => match Answer::of_error(world, &error) {
                // The approval may be written, and what follows it not: it goes on where it stopped.
                Answer::Nothing if matches!(self, Self::Approve(_)) => Answer::Partly,
                answer => answer,
            },
            Err(Trouble::Unreadable) => Answer::Nothing,
            Err(Trouble::IdTaken(position)) => Answer::IdTaken(position),
            Err(Trouble::Refused(refusal)) => Answer::Denied(refusal),
        }
    }
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Trouble {
    Refused(Refused),
    IdTaken(u64),
    Write(WriteError),
    Unreadable,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refused {
    Seals(satgas_domain::sealed::Refusal),
    Violations(Vec<v1::Violation>),
    SamePerson,
}

impl From<SealError> for Trouble {
    fn from(error: SealError) -> Self {
        use satgas_domain::sealed::Refusal;
        match error {
            SealError::Refused(refusal) => Self::Refused(Refused::Seals(refusal)),
            // Destroyed while it was on its way.
            SealError::Vault(VaultError::Erased) => Self::Refused(Refused::Seals(Refusal::Erased)),
            SealError::IdTaken { position } => Self::IdTaken(position),
            SealError::Write(error) => Self::Write(error),
            SealError::Unreadable => Self::Unreadable,
            SealError::Vault(_) | SealError::NoVault | SealError::NotOpened(_) => panic!("a key is lost: {error}"),
        }
    }
}

impl From<ResolveError> for Trouble {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Refused(violations) => Self::Refused(Refused::Violations(violations)),
            ResolveError::SamePerson => Self::Refused(Refused::SamePerson),
            ResolveError::IdTaken { position } => Self::IdTaken(position),
            ResolveError::Write(error) => Self::Write(error),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seal { .. } => "an identity",
            Self::About(Body::CaseAssigned(_)) => "an assignment",
            Self::About(Body::HoldPlaced(_)) => "a hold",
            Self::About(Body::HoldLifted(_)) => "the end of a hold",
            Self::About(Body::ErasureRequested(_)) => "a request to erase",
            Self::About(_) => "that nothing is erased",
            Self::Approve(_) => "an approval",
            Self::Report { .. } => "a report",
            Self::Message { .. } => "a message",
            Self::Answer { .. } => "an answer",
            Self::Triage { .. } => "a triage",
            Self::Decide(_) => "a decision on a late record",
            Self::Resolve(_) => "a decision on a conflict",
            Self::Release(_) => "a release",
        })
    }
}

/// The right of a reporter that had ended before these histories begin, and after their records happened.
pub(crate) fn ended_right() -> v1::EndedRight {
    v1::EndedRight {
        token_id: "lama".into(),
        began_at: make::proto("2028-01-01T00:00:00"),
        ended_at: make::proto("2028-04-25T00:00:00"),
        end: v1::RightEnd::Revoked.into(),
        by: Some(v1::Actor { id: "lama".into(), role: "satgas".into(), ..v1::Actor::default() }),
    }
}

/// A report of the public.
pub(crate) fn report(report_id: &str) -> Command {
    let request = v1::SendReportRequest {
        report_id: report_id.into(),
        code_hash: code_hash(report_id).to_vec().into(),
        area_code: SATU.into(),
        categories: Some(v1::CaseReport { violence: vec![v1::Violence::Seksual.into()], ..v1::CaseReport::default() }),
        content: None,
    };
    Command::Report { request, text: format!("Laporan contoh {report_id}") }
}

/// The case that a report becomes.
pub(crate) fn case_of_report(report_id: &str) -> v1::Submission {
    v1::Submission { submission_id: report_id.into(), ..make::case(1) }
}
