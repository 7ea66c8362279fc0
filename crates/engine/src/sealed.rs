//! Sealed identities: recorded, read, held, erased. The order of the steps is what this file is about.
//!
//! Crash order:
//! - Sealing: the case's key is durable, then the event is appended. A crash between them leaves a key that opens nothing.
//! - Reading: the event that says who reads and why is durable, then the seal is opened. When it cannot be written, nothing is shown.
//! - Erasing: the approval is durable, then the key is destroyed, then the event that says so is appended. A crash between them is made
//!   good at the next opening, from the log alone: what was approved is destroyed, even if the vault's folder came back from a copy.

use std::sync::Arc;

use prost::Message as _;
use satgas_domain::{
    id::SubmissionId,
    sealed::{self, Refusal, Sealing},
    time::Instant,
    validate::Violations,
};
use satgas_proto::v1::{self, ReceiptStatus, event::Body};
use tokio::sync::oneshot;

use crate::{
    Engine, QueryError, WriteError, blocking,
    ids::ContentHash,
    vault::{self, CaseKey, Clear, NotOpened, Of, Vault, VaultError},
    writer::{Job, Outcome},
};

/// Why something about sealed identities was not done.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It was refused: nothing was written.
    #[error("it was refused")]
    Refused(Refusal),
    /// The command's id is known with other content: make a new id for a new command.
    #[error("the command's id was used for something else")]
    IdTaken {
        /// Where the id was taken.
        position: u64,
    },
    /// Nothing was written, or it is not known.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The vault did not give, make or destroy the key. What was asked for was not done; asking again is safe.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// This engine has no vault.
    #[error("there is no vault: identities can neither be sealed nor read")]
    NoVault,
    /// The log cannot be read there, or holds no seal there.
    #[error("the seal cannot be read from the log")]
    Unreadable,
    /// The seal does not open.
    #[error(transparent)]
    NotOpened(#[from] NotOpened),
}

impl From<QueryError> for SealError {
    fn from(_: QueryError) -> Self {
        Self::Write(WriteError::Closed)
    }
}

impl From<Refusal> for SealError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An identity that was read.
#[derive(Debug)]
pub struct Unsealed {
    /// The identity.
    pub identity: Clear,
    /// When it was sealed.
    pub sealed_at: Option<pbjson_types::Timestamp>,
    /// Who sealed it.
    pub sealed_by: Option<v1::Actor>,
    /// Position of the event that sealed it.
    pub sealed_position: u64,
    /// Position of the event that records this reading.
    pub read_position: u64,
}

/// What is known of a case before anything is done with its seals.
pub(crate) struct Standing {
    key_id: Option<sealed::KeyId>,
    latest: Option<u64>,
    must_be_erased: bool,
    seals: u32,
}

impl Engine {
    /// Seals an identity under the case's key and records the seal: the receipt. An `expected_version` of 0 fits any version. The same command
    /// of the same person again is known; to anybody else its id is taken, whatever they send under it.
    pub async fn record_identity(
        &self,
        command: v1::RecordIdentityRequest,
        identity: Clear,
        by: v1::Actor,
    ) -> Result<v1::Receipt, SealError> {
        let v1::RecordIdentityRequest { command_id, case_id, expected_version, kind, .. } = command;
        let drafted = v1::IdentitySealed { command_id: command_id.clone(), case_id, kind, ..Default::default() };
        let mut v = Violations::default();
        v.within("identity", |v| sealed::identity(v, identity.identity()));
        let (found, body) = (v.into_vec(), Body::IdentitySealed(drafted.clone()));
        let found: Vec<_> = sealed::well_formed(&body).into_iter().chain(found).collect();
        if !found.is_empty() {
            return Err(Refusal::Invalid(found).into());
        }
        let case = parse(&drafted.case_id)?;
        let standing = self.standing(case, drafted.kind).await?;
        if standing.must_be_erased {
            return Err(Refusal::Erased.into());
        }
        // Before the event: an identity that was acknowledged can be read again, whatever happens next.
        let key = self.case_key(case, standing.key_id).await?;
        let of = self.of(case, drafted.kind);
        let tag = key.tag(of, sealed::person(&by), &identity);
        let seal = Some(key.seal(of, &identity));
        drop((key, identity));
        let sealed = v1::IdentitySealed { seal, content_tag: tag.to_vec().into(), by: Some(by), ..drafted };
        let outcome = self.record(Body::IdentitySealed(sealed), expected_version).await?;
        self.receipt(command_id, &outcome).await
    }

    /// Records who reads an identity and what for, and then opens the seal: the latest of its kind, or the one at a position.
    pub async fn unseal_identity(
        &self,
        request: v1::UnsealIdentityRequest,
        by: v1::Actor,
    ) -> Result<Unsealed, SealError> {
        let v1::UnsealIdentityRequest { case_id, kind, purpose, sealed_position } = request;
        let mut read = v1::IdentityRead { case_id, kind, purpose, by: Some(by), sealed_position };
        let found = sealed::well_formed(&Body::IdentityRead(read.clone()));
        if !found.is_empty() {
            return Err(Refusal::Invalid(found).into());
        }
        if read.kind() == v1::IdentityKind::PublicReport {
            return Err(sealed_with_its_report().into());
        }
        let case = parse(&read.case_id)?;
        // The writer decides it again; looked at first, it keeps everything else from being told to somebody whom it does not concern.
        if !self.is_assigned(case, read.by.as_ref().map_or("", sealed::person)).await? {
            return Err(Refusal::NotAssigned.into());
        }
        let standing = self.standing(case, kind).await?;
        if standing.must_be_erased {
            return Err(Refusal::Erased.into());
        }
        if sealed_position == 0 {
            read.sealed_position = standing.latest.ok_or(Refusal::NotSealed)?;
        }
        let position = read.sealed_position;
        let outcome = if mutated!("who reads an identity is not recorded") {
            Outcome::Known(position)
        } else {
            self.record(Body::IdentityRead(read), 0).await?
        };
        let (engine, vault) = (self.clone(), self.vault()?);
        let opened = blocking::run(move || engine.open_seal(&vault, case, kind, position)).await;
        let unsealed = opened.ok_or(SealError::Unreadable)??;
        Ok(Unsealed { read_position: outcome.position(), ..unsealed })
    }

    /// Opens the seal at a position; where its reading is recorded is the caller's to say.
    fn open_seal(&self, vault: &Vault, case: SubmissionId, kind: i32, position: u64) -> Result<Unsealed, SealError> {
        let record = self.shared.journal.record(position).map_err(|error| {
            tracing::error!(%error, "the log cannot be read for a seal");
            SealError::Unreadable
        })?;
        let bytes = record.ok_or(SealError::Unreadable)?;
        let event = v1::Event::decode(bytes).map_err(|_| SealError::Unreadable)?;
        let Some(Body::IdentitySealed(sealed)) = event.body else { return Err(SealError::Unreadable) };
        let identity = vault.key(case)?.open(self.of(case, kind), &sealed.seal.unwrap_or_default())?;
        let (sealed_at, sealed_by) = (event.recorded_at, sealed.by);
        Ok(Unsealed { identity, sealed_at, sealed_by, sealed_position: position, read_position: 0 })
    }

    /// Records a hold, its end, a request to erase or that it was declined, or an assignment: the receipt.
    pub async fn record_about_seals(&self, body: Body) -> Result<v1::Receipt, SealError> {
        let command_id = sealed::command_of(&body).unwrap_or_default().to_owned();
        let outcome = self.record(body, 0).await?;
        self.receipt(command_id, &outcome).await
    }

    /// Approves an erasure and carries it out: when this returns, the key is destroyed and the log says so. Asked again after a failure, it
    /// goes on where it stopped.
    pub async fn approve_erasure(&self, approved: v1::ErasureApproved) -> Result<v1::Receipt, SealError> {
        let (command_id, case) = (approved.command_id.clone(), SubmissionId::parse(&approved.case_id));
        let outcome = self.record(Body::ErasureApproved(approved), 0).await?;
        let receipt = self.receipt(command_id, &outcome).await?;
        let case = case.map_err(|_| Refusal::UnknownCase)?;
        self.carry_out_erasure(case).await?;
        Ok(receipt)
    }

    /// Destroys the key of a case whose erasure was approved, and then records that it is gone.
    async fn carry_out_erasure(&self, case: SubmissionId) -> Result<(), SealError> {
        let vault = self.vault()?;
        if !mutated!("the key of an erased case stays") {
            let destroyed = blocking::run(move || vault.destroy(case)).await;
            destroyed.ok_or(WriteError::Closed)??;
        }
        let seals = self.standing(case, 0).await?.seals;
        let erased = v1::IdentityErased { case_id: case.to_string(), seals };
        match self.record(Body::IdentityErased(erased), 0).await {
            Ok(outcome) => Ok(self.reach(outcome.position()).await?),
            // Somebody else finished it meanwhile.
            Err(SealError::Refused(Refusal::Erased)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Finishes what a crash cut short, and takes away again what a copy of the vault's folder brought back. Blocks.
    pub(crate) fn finish_erasures(&self) {
        let Ok(vault) = self.vault() else { return };
        if mutated!("an opening does not finish erasures") {
            return;
        }
        let (mut unfinished, mut lost) = (Vec::new(), 0);
        for (case, sealing) in self.shared.views.read().views.sealings().all() {
            if !sealing.must_be_erased() {
                lost += u64::from(sealing.key_id().is_some() && !vault.has(case));
                continue;
            }
            if !sealing.is_erased() {
                unfinished.push((case, sealing.seal_count()));
            }
            if vault.has(case)
                && let Err(error) = vault.destroy(case)
            {
                tracing::error!(%error, "the key of an erased case cannot be destroyed: mend this and restart");
                unfinished.retain(|(other, _)| *other != case);
            }
        }
        if lost > 0 {
            let folder = vault.folder().display().to_string();
            tracing::error!(cases = lost, folder, "sealed cases have no key in the vault: restore it from its backup");
        }
        for (case, seals) in unfinished {
            let body = Body::IdentityErased(v1::IdentityErased { case_id: case.to_string(), seals });
            // Nobody waits for the answer: what cannot be written now is written at the next opening.
            match self.job(body, 0).and_then(|(job, _)| self.send(job)) {
                Ok(()) => tracing::info!("an approved erasure was carried out"),
                Err(_) => tracing::warn!("an erasure was carried out, but is not recorded yet"),
            }
        }
    }

    /// What is sealed, held and erased of a case at its latest.
    pub async fn sealing_shown(&self, case_id: &str) -> Result<v1::CaseSealing, SealError> {
        let (case, now) = (parse(case_id)?, self.now());
        let shown = |sealing: &Sealing| sealing.to_proto(u64::MAX, now);
        let look = |folded: &crate::Folded| folded.views.sealings().get(case).and_then(shown);
        Ok(self.query(0, look).await?.unwrap_or_default())
    }

    /// Whether a case is assigned to a person now; one that is not there is assigned to nobody.
    pub async fn is_assigned(&self, case: SubmissionId, subject: &str) -> Result<bool, QueryError> {
        let now = self.now();
        let look = |folded: &crate::Folded| {
            folded.views.sealings().get(case).is_some_and(|sealing| sealing.is_assigned_to(subject, now))
        };
        self.query(self.head().position, look).await
    }

    /// Those that a case is assigned to at its latest.
    pub async fn assignees(&self, case_id: &str) -> Result<Vec<v1::Assignee>, SealError> {
        let (case, now) = (parse(case_id)?, self.now());
        let look =
            |folded: &crate::Folded| folded.views.sealings().get(case).map(|sealing| sealing.assignees(u64::MAX, now));
        Ok(self.query(0, look).await?.unwrap_or_default())
    }

    async fn standing(&self, case: SubmissionId, kind: i32) -> Result<Standing, SealError> {
        let kind = v1::IdentityKind::try_from(kind).unwrap_or_default();
        let look = |folded: &crate::Folded| {
            let sealing = folded.views.sealings().get(case);
            let is_report = folded.views.public_reports().find(case).is_some();
            (is_report || folded.known(self.now()).case(case).is_some()).then(|| Standing {
                key_id: sealing.and_then(Sealing::key_id),
                latest: sealing.and_then(|sealing| sealing.latest(kind)),
                must_be_erased: sealing.is_some_and(Sealing::must_be_erased),
                seals: sealing.map_or(0, Sealing::seal_count),
            })
        };
        Ok(self.query(self.head().position, look).await?.ok_or(Refusal::UnknownCase)?)
    }

    /// The key of a case: the one that its identities are sealed under, or a new one when none is.
    pub(crate) async fn case_key(
        &self,
        case: SubmissionId,
        known: Option<sealed::KeyId>,
    ) -> Result<CaseKey, SealError> {
        let vault = self.vault()?;
        let found = blocking::run(move || match known {
            // Never a new one: what is sealed could not be read again, and nobody would notice.
            Some(_) => vault.key(case),
            None => vault.key_or_new(case),
        });
        let key = found.await.ok_or(WriteError::Closed)??;
        if vault::fits(&key, known) {
            return Ok(key);
        }
        Err(VaultError::NoKey(self.vault()?.folder().to_owned()).into())
    }

    pub(crate) fn of(&self, case: SubmissionId, kind: i32) -> Of<'_> {
        Of { log_id: &self.shared.log_id, case, kind }
    }

    pub(crate) fn vault(&self) -> Result<Arc<Vault>, SealError> {
        self.shared.vault.clone().ok_or(SealError::NoVault)
    }

    pub(crate) async fn record(&self, body: Body, expected_version: u64) -> Result<Outcome, SealError> {
        let (job, reply) = self.job(body, expected_version)?;
        self.send(job)?;
        reply.await.map_err(|_| WriteError::Closed)?
    }

    fn job(
        &self,
        body: Body,
        expected_version: u64,
    ) -> Result<(Job, oneshot::Receiver<Result<Outcome, SealError>>), WriteError> {
        let room = self.room_now(body.encoded_len() + std::mem::size_of::<Body>())?;
        let (answer, reply) = oneshot::channel();
        Ok((Job::Seal { body: Box::new(body), expected_version, room, answer }, reply))
    }

    pub(crate) async fn receipt(&self, command_id: String, outcome: &Outcome) -> Result<v1::Receipt, SealError> {
        let position = outcome.position();
        let known = matches!(outcome, Outcome::Known(_));
        let status = if known { ReceiptStatus::AlreadyKnown } else { ReceiptStatus::Accepted };
        self.reach(position).await?;
        Ok(v1::Receipt { submission_id: command_id, status: status.into(), position, ..Default::default() })
    }
}

/// What a command about seals stands for: of what is sealed the keyed tag, as sealing the same twice gives other bytes; else what the log
/// stores.
pub(crate) fn content_of(body: &Body) -> ContentHash {
    match body {
        Body::IdentitySealed(e) => return ContentHash::of(&e.content_tag),
        Body::PublicReportReceived(e) => return ContentHash::of(&e.content_tag),
        Body::PublicReportTriaged(e) => return ContentHash::of(&e.content_tag),
        Body::PublicReportMessage(e) => return ContentHash::of(&e.content_tag),
        _ => {}
    }
    let mut encoded = Vec::new();
    body.encode(&mut encoded);
    ContentHash::of(&encoded)
}

fn parse(case_id: &str) -> Result<SubmissionId, Refusal> {
    SubmissionId::parse(case_id).map_err(|reason| sealed::invalid("case_id", reason))
}

fn sealed_with_its_report() -> Refusal {
    sealed::invalid("kind", "is not a person's identity: ReadPublicReport reads what a report says")
}

/// Whether an answer may rest on what was pending when it was decided: a refusal does when it looked at the case.
pub(crate) fn rests_on_pending(outcome: &Result<Outcome, SealError>, durable: u64) -> bool {
    match outcome {
        Ok(outcome) => outcome.position() > durable,
        Err(SealError::IdTaken { position }) => *position > durable,
        Err(SealError::Refused(Refusal::Invalid(_))) => false,
        Err(_) => true,
    }
}

/// Whether a body is one that this file records.
pub(crate) fn ask(body: &Body, expected_version: u64, now: Instant) -> sealed::Ask<'_> {
    sealed::Ask { body, expected_version, now }
}
