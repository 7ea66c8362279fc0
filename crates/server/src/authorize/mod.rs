//! Who may do what, enforced: every service stands behind an [`Authorized`] that decides on the decoded request, narrows it to what is the
//! caller's own, and records who read whose data before the answer goes out.
//!
//! Invariants:
//! - A call reaches a service through [`door`](door::door) and its [`Authorized`] only. What the policy has no row for is refused at the door.
//! - An RPC without a decision does not compile: each wrapper implements the generated trait.
//! - A token is looked at twice: at the door, where nothing of the message has come yet, and with each decision on the message, which may come
//!   long after; and once more before data of cases goes out.
//! - Refused is the same whether the thing exists or not: a case that is not the caller's own is as unknown to it as one that is not there.
//! - What must be recorded and cannot be is not answered.

mod audit;
mod backup;
mod case;
mod door;
mod erasure;
mod evaluation;
mod event;
mod identity;
mod proof;
mod public;
mod registry;
mod release;
mod rules;
mod statistics;
mod stream;
mod submission;
mod warning;

use std::{net::IpAddr, sync::Arc, time::Duration};

use hyper::HeaderMap;
use satgas_domain::{
    id::SubmissionId,
    policy::{self, Caller, Permit, Reach, Refusal, Resource, Rpc},
    registry::Scope,
    time::Instant,
};
use satgas_engine::{Engine, Folded};
use satgas_proto::v1::{self, AccessRefusal, access_event::Body};
use tonic::{Code, Request, Status};

#[cfg(test)]
pub(crate) use self::door::Door;
pub(crate) use self::door::DoorLayer;
use crate::{
    access::AccessLog,
    identity::{Anonymous, Failures, Holder, Identity, Metered, Quotas, Reserved, Underway, Wait},
    listen::Peer,
    sight::{Sight, Sights},
    status,
};

/// Characters of what a caller may say that a call is for.
const PURPOSE_MAX: usize = 200;

/// A service behind its decisions.
pub(crate) struct Authorized<S> {
    pub(crate) inner: S,
    pub(crate) gate: Arc<Gate>,
}

/// What decisions need.
pub(crate) struct Gate {
    pub(crate) engine: Engine,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) failures: Arc<Failures>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) publics: Anonymous,
    pub(crate) sights: Sights,
}

impl Gate {
    /// The pass of a call that came through the door.
    pub(crate) fn pass<T>(self: &Arc<Self>, request: &Request<T>, rpc: Rpc) -> Pass {
        let holder = request.extensions().get::<Holder>().cloned().unwrap_or_else(Holder::anybody);
        self.pass_of(holder, rpc, request.metadata().as_ref(), request.extensions().get())
    }

    /// The pass of who makes a call, by its headers and where it comes from.
    fn pass_of(self: &Arc<Self>, holder: Holder, rpc: Rpc, headers: &HeaderMap, peer: Option<&Peer>) -> Pass {
        // Without a token nobody answers for what is said: nothing of it is written down.
        let purpose = headers.get("satgas-purpose").filter(|_| !holder.token_id.is_empty());
        let purpose = purpose.and_then(|purpose| purpose.to_str().ok());
        let purpose = purpose.unwrap_or_default().chars().take(PURPOSE_MAX).collect();
        let source = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
        Pass { gate: Arc::clone(self), rpc, holder, source, purpose }
    }

    /// Whether a token that was good until a moment has ended by now. Each call asks for it, so that it costs one look.
    fn has_ended(&self, token_id: &str, expires_at: Instant) -> bool {
        let now = self.engine.now();
        !token_id.is_empty() && self.access.look(|state| state.has_ended(token_id, expires_at, now))
    }

    /// Areas and institutions in whose name a record is made: for an institution, the area where it stands now and the one where it stood
    /// then, whose office may have written the record before the institution moved.
    async fn names_of(&self, submission: &v1::Submission, then: Instant) -> Result<Vec<(String, String)>, Status> {
        use v1::submission::Reporter;
        let institution = match &submission.reporter {
            None => return Ok(Vec::new()),
            Some(Reporter::AreaCode(area)) => return Ok(vec![(area.clone(), String::new())]),
            Some(Reporter::InstitutionId(institution)) => institution.clone(),
        };
        let times = [self.engine.now(), then];
        let look = |folded: &Folded| {
            times.map(|at| area_on(folded, at, &institution).map(str::to_owned).unwrap_or_default()).to_vec()
        };
        let areas = self.engine.query(0, look).await.map_err(status::query)?;
        Ok(areas.into_iter().map(|area| (area, institution.clone())).collect())
    }

    /// The code of the area where an institution stands; empty when it is not known.
    async fn area_of(&self, institution: &str) -> Result<String, Status> {
        let now = self.engine.now();
        let look = |folded: &Folded| area_on(folded, now, institution).map(str::to_owned);
        Ok(self.engine.query(0, look).await.map_err(status::query)?.unwrap_or_default())
    }
}

/// Code of the area where an institution stands on the day of a moment.
fn area_on<'a>(folded: &'a Folded, at: Instant, institution: &str) -> Option<&'a str> {
    let registry = folded.views.registry();
    let scope = Scope::Institution(registry.find_institution(institution)?);
    Some(&registry.area(registry.area_on(scope, folded.views.calendar().day(at), u64::MAX)).code)
}

/// One call: who makes it, and what.
pub(crate) struct Pass {
    pub(crate) gate: Arc<Gate>,
    rpc: Rpc,
    pub(crate) holder: Holder,
    source: IpAddr,
    purpose: String,
}

impl Pass {
    /// Whether the call may be made on what it names.
    pub(crate) async fn decide<'a>(&'a self, resource: Resource<'a>) -> Result<Permit<'a>, Status> {
        self.goes_on().await?;
        match policy::decide(&self.holder.caller, self.rpc, resource) {
            Ok(permit) => Ok(permit),
            Err(refusal) => Err(self.refuse(recorded(refusal)).await),
        }
    }

    /// Whether the token has ended since it was let in at the door. One that had ended then was let in for what it may still do.
    fn has_ended_since(&self) -> bool {
        !self.holder.ended && self.gate.has_ended(&self.holder.token_id, self.holder.expires_at)
    }

    /// Refuses what comes of a token that has ended since the door.
    async fn goes_on(&self) -> Result<(), Status> {
        if self.has_ended_since() { Err(self.refuse(AccessRefusal::TokenEnded).await) } else { Ok(()) }
    }

    /// Hands on what became of a call that asks for the token once more where it is recorded; that it had ended by then is a refusal.
    pub(crate) async fn unless_ended<T>(&self, outcome: Result<T, Status>) -> Result<T, Status> {
        match outcome {
            Err(ended) if ended.code() == Code::Unauthenticated => Err(self.refuse(AccessRefusal::TokenEnded).await),
            outcome => outcome,
        }
    }

    /// Narrows an area prefix to what is the caller's own; what the answer must be limited to.
    pub(crate) async fn narrow(&self, prefix: &mut String) -> Result<&Reach, Status> {
        let asked = prefix.clone();
        *prefix = self.decide(Resource::Within(&asked)).await?.prefix.to_owned();
        Ok(self.permit().await?.reach)
    }

    /// What the caller may do with this RPC at all.
    pub(crate) async fn permit(&self) -> Result<Permit<'_>, Status> {
        self.decide(Resource::Unnamed).await
    }

    /// How much the caller gets to see of what it may see.
    pub(crate) fn sight(&self) -> Sight {
        self.gate.sights.of(policy::grant(self.rpc, self.holder.caller.role))
    }

    /// Whether a record may be made in its reporter's name: now, or with a right that has ended, which then goes with the record. One
    /// without a reporter is for the validation to refuse. A single record whose token ended on its way is late like any other; a batch ends.
    pub(crate) async fn reports(&self, submission: &v1::Submission) -> Result<Option<v1::EndedRight>, Status> {
        let just_ended = self.has_ended_since();
        match self.rpc {
            Rpc::Submit if just_ended => self.comes_late().await?,
            _ if just_ended => return Err(self.refuse(AccessRefusal::TokenEnded).await),
            _ => {}
        }
        let occurred = submission.occurred_at.as_ref().and_then(Instant::from_proto);
        let named = self.gate.names_of(submission, occurred.unwrap_or(self.now())).await?;
        let speaks = |caller: &Caller| {
            let may = |resource| policy::decide(caller, self.rpc, resource).is_ok();
            named.iter().any(|(area, institution)| may(Resource::ReportedBy { area, institution }))
        };
        if !self.holder.ended && !just_ended && (named.is_empty() || speaks(&self.holder.caller)) {
            return Ok(None);
        }
        let ended = |caller: &Caller| named.is_empty() || speaks(caller);
        match self.gate.identity.ended_right(&self.holder, occurred, self.now(), ended) {
            Some(right) => Ok(Some(right)),
            None => Err(self.refuse(AccessRefusal::NotOwn).await),
        }
    }

    /// Lets a call in whose token has ended: recorded, and counted like a refusal, so that a found phone cannot go on for long.
    pub(crate) async fn comes_late(&self) -> Result<(), Status> {
        if !self.gate.failures.note(self.source, std::time::Instant::now()) {
            return Err(status::too_many_refusals());
        }
        let record = v1::AccessRecorded { refusal: AccessRefusal::TokenEnded.into(), ..self.access() };
        self.gate.access.record(Body::AccessRecorded(record)).await.map(|_| ()).map_err(|error| status::access(&error))
    }

    /// Whom what is done counts for: the person, with all tokens. What comes with a token that has ended is counted by itself: whoever found an old
    /// phone does not use up what the person may do with the new one. No subject has a colon.
    fn counts_for(&self) -> Arc<str> {
        match self.holder.ended {
            true => format!("ended:{}", self.holder.token_id).into(),
            false => Arc::clone(&self.holder.subject),
        }
    }

    /// Counts what the holder of a good token does, or refuses it when it has done as much within the hour as it may.
    pub(crate) async fn meter(&self, what: Metered) -> Result<(), Status> {
        match self.gate.quotas.take(&self.counts_for(), what, 1, std::time::Instant::now()) {
            Ok(()) => Ok(()),
            Err(wait) => Err(self.must_wait(wait).await),
        }
    }

    /// Counts records before they are on their way to the log, where a call that is broken off cannot hold them back.
    pub(crate) async fn reserve(&self, count: usize) -> Result<Reserved, Status> {
        self.reserve_behind(count, &Underway::default()).await
    }

    /// The same for a message of a stream. At the limit it waits for the messages before it: what of them was known already is given back.
    pub(crate) async fn reserve_behind(&self, count: usize, underway: &Underway) -> Result<Reserved, Status> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let mut record = false;
        loop {
            let now = std::time::Instant::now();
            match Reserved::new(&self.gate.quotas, &self.counts_for(), count, underway, now) {
                Ok(reserved) => return Ok(reserved),
                Err(wait) => {
                    record |= wait.record;
                    if !underway.one_less().await {
                        return Err(self.must_wait(Wait { record, ..wait }).await);
                    }
                }
            }
        }
    }

    /// Makes a call that writes so many records when it succeeds, and none otherwise.
    pub(crate) async fn writes<T>(
        &self,
        count: usize,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let reserved = self.reserve(count).await?;
        let outcome = call.await;
        if outcome.is_err() {
            reserved.used(0);
        }
        outcome
    }

    /// The refusal of a holder that has reached a limit. It is no guess: its address may go on.
    async fn must_wait(&self, wait: Wait) -> Status {
        let refused = status::too_much(wait.time);
        if wait.record { self.record_refusal(AccessRefusal::TooMuch, refused).await } else { refused }
    }

    /// Whether the call may be made on an area or institution that it names.
    pub(crate) async fn names(&self, area: Option<&str>, institution: Option<&str>) -> Result<Permit<'_>, Status> {
        let (area, institution) = match (area, institution) {
            (Some(area), _) => (area.to_owned(), ""),
            (None, Some(institution)) => (self.gate.area_of(institution).await?, institution),
            // Named nothing: what is missing is for the service to say.
            (None, None) => return self.permit().await,
        };
        match policy::decide(&self.holder.caller, self.rpc, Resource::Of { area: &area, institution }) {
            Ok(_) => self.permit().await,
            Err(refusal) => Err(self.refuse(recorded(refusal)).await),
        }
    }

    /// Whether something belongs to what the caller may see with this RPC.
    pub(crate) fn reaches(&self, area: &str, institution: &str) -> bool {
        policy::decide(&self.holder.caller, self.rpc, Resource::Of { area, institution }).is_ok()
    }

    /// Records cases in an answer before it goes out, as far as the holder may have as many answers.
    pub(crate) async fn saw(&self, cases: CaseIds) -> Result<(), Status> {
        if cases.0.is_empty() {
            return Ok(());
        }
        self.goes_on().await?;
        self.meter(Metered::Answer).await?;
        self.was_told(cases).await
    }

    /// Records cases that the answer to a step tells of. The step was taken, so that it is answered however many answers there were.
    pub(crate) async fn was_told(&self, cases: CaseIds) -> Result<(), Status> {
        let record = v1::AccessRecorded { case_ids: cases.0.into(), ..self.access() };
        self.gate.access.record(Body::AccessRecorded(record)).await.map(|_| ()).map_err(|error| status::access(&error))
    }

    /// Hands on what became of a call about a case once it is recorded: a refusal tells of the case as well, its version, its status, its
    /// holds. Only of a request that does not fit or a case that is not there is there nothing to tell.
    pub(crate) async fn told<T>(&self, case_id: &str, outcome: Result<T, Status>) -> Result<T, Status> {
        match &outcome {
            Err(refused) if matches!(refused.code(), Code::NotFound | Code::InvalidArgument) => {}
            _ => self.was_told(CaseIds::of([case_id])).await?,
        }
        outcome
    }

    /// Records which events are sent; the position of the record.
    pub(crate) async fn saw_events(&self, range: v1::EventRange) -> Result<u64, Status> {
        self.goes_on().await?;
        self.meter(Metered::Answer).await?;
        let record = v1::AccessRecorded { range: Some(range), ..self.access() };
        self.gate.access.record(Body::AccessRecorded(record)).await.map_err(|error| status::access(&error))
    }

    pub(crate) fn access(&self) -> v1::AccessRecorded {
        v1::AccessRecorded {
            token_id: self.holder.token_id.to_string(),
            role: self.holder.caller.role.into(),
            rpc: format!("satgas.v1.{}", self.rpc.path()),
            purpose: self.purpose.clone(),
            ..Default::default()
        }
    }

    /// Refuses the call, recorded; the status says nothing about whether what was asked for exists.
    pub(crate) async fn refuse(&self, why: AccessRefusal) -> Status {
        let refused = match why {
            AccessRefusal::NoToken => status::needs_token(),
            AccessRefusal::BadToken | AccessRefusal::Unspecified => status::bad_token(),
            AccessRefusal::BadCode => status::bad_code(),
            AccessRefusal::Role => status::not_your_role(),
            AccessRefusal::NotOwn => status::not_yours(),
            AccessRefusal::TokenEnded => status::token_ended(),
            AccessRefusal::TooMuch => status::too_much(Duration::ZERO),
            AccessRefusal::IdTaken => status::id_taken(0, "command"),
        };
        self.refuse_as(why, refused).await
    }

    /// Refuses with a status of the caller's choice, recorded all the same.
    pub(crate) async fn refuse_as(&self, why: AccessRefusal, refused: Status) -> Status {
        if !self.gate.failures.note(self.source, std::time::Instant::now()) {
            return status::too_many_refusals();
        }
        self.record_refusal(why, refused).await
    }

    async fn record_refusal(&self, why: AccessRefusal, refused: Status) -> Status {
        let record = v1::AccessRecorded { refusal: why.into(), ..self.access() };
        match self.gate.access.record(Body::AccessRecorded(record)).await {
            Ok(_) => refused,
            Err(error) => status::access(&error),
        }
    }

    /// Whether the source of the call has had too many refused.
    pub(crate) fn is_suspect(&self) -> bool {
        self.gate.failures.is_over(self.source, std::time::Instant::now())
    }

    pub(crate) fn now(&self) -> Instant {
        self.gate.engine.now()
    }
}

/// Ids of cases, 16 bytes each.
pub(crate) struct CaseIds(Vec<u8>);

impl CaseIds {
    /// Takes those that can be a case's.
    pub(crate) fn of<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut packed = Vec::new();
        for id in ids {
            if let Ok(id) = SubmissionId::parse(id) {
                packed.extend_from_slice(&id.bits().to_be_bytes());
            }
        }
        Self(packed)
    }
}

fn recorded(refusal: Refusal) -> AccessRefusal {
    match refusal {
        Refusal::Role => AccessRefusal::Role,
        Refusal::NotOwn => AccessRefusal::NotOwn,
    }
}
