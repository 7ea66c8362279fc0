//! Sealed identities: the part of `CaseService` that records and reads them, and `ErasureService`.
//!
//! Identities in the clear are taken out of a request at once and are wiped when they are done with. Nothing here logs a request.

use std::collections::BTreeSet;

use satgas_engine::{Engine, vault::Clear};
use satgas_proto::v1::{self, erasure_service_server::ErasureService, event::Body};
use tonic::{Request, Response, Status};

use crate::{identity::Holder, status, stream::Streams};

/// Identities that may come with a case that is opened: each kind a few times.
const IDENTITIES_MAX: usize = 10;

/// Who a call comes from, as it is written into the log.
pub(crate) fn caller<T>(request: &Request<T>) -> v1::Actor {
    request.extensions().get::<Holder>().cloned().unwrap_or_else(Holder::anybody).actor()
}

/// Seals an identity and records the seal.
pub(crate) async fn record(
    engine: &Engine,
    request: Request<v1::RecordIdentityRequest>,
) -> Result<v1::RecordIdentityResponse, Status> {
    let by = caller(&request);
    let mut command = request.into_inner();
    let identity = command.identity.take().map(Clear::from);
    let identity = identity.ok_or_else(|| status::invalid_field("identity", "is missing"))?;
    if command.expected_version == 0 {
        return Err(status::invalid_field("expected_version", "is missing: versions are counted from 1"));
    }
    let case_id = command.case_id.clone();
    let receipt = engine.record_identity(command, identity, by).await.map_err(status::sealed)?;
    let sealing = engine.sealing_shown(&case_id).await.map_err(status::sealed)?;
    let case = satgas_domain::id::SubmissionId::parse(&case_id).ok();
    let look = |folded: &satgas_engine::Folded| case.and_then(|id| folded.known(engine.now()).case(id));
    let version = engine.query(receipt.position, look).await.map_err(status::query)?.map_or(0, |case| case.version);
    Ok(v1::RecordIdentityResponse { receipt: Some(receipt), version, sealing: Some(sealing) })
}

/// Checks how many identities come with a case.
pub(crate) fn check_count(identities: &[v1::IdentityToSeal]) -> Result<(), Status> {
    if identities.len() > IDENTITIES_MAX {
        return Err(status::invalid_field("identities", &format!("are more than {IDENTITIES_MAX}")));
    }
    Ok(())
}

/// Identities that came with a case: looked at before anything is written, so that a bad one stops all of it.
pub(crate) struct WithCase(Vec<(v1::RecordIdentityRequest, Clear)>);

impl WithCase {
    pub(crate) fn of(case_id: &str, identities: Vec<v1::IdentityToSeal>) -> Result<Self, Status> {
        check_count(&identities)?;
        let mut taken = Vec::with_capacity(identities.len());
        let mut v = satgas_domain::validate::Violations::default();
        for (index, v1::IdentityToSeal { command_id, kind, identity }) in identities.into_iter().enumerate() {
            let clear = Clear::from(identity.unwrap_or_default());
            let case_id = case_id.to_owned();
            let sealed = v1::IdentitySealed { command_id, case_id, kind, ..Default::default() };
            let wrong = satgas_domain::sealed::well_formed(&Body::IdentitySealed(sealed.clone()));
            v.within(&format!("identities[{index}]"), |v| {
                wrong.into_iter().for_each(|wrong| v.add(&wrong.field, wrong.reason));
                v.within("identity", |v| satgas_domain::sealed::identity(v, clear.identity()));
            });
            let v1::IdentitySealed { command_id, case_id, .. } = sealed;
            let command = v1::RecordIdentityRequest { command_id, case_id, kind, expected_version: 0, identity: None };
            taken.push((command, clear));
        }
        if v.is_empty() { Ok(Self(taken)) } else { Err(status::invalid(v.into_vec())) }
    }

    /// Seals them. With a case that is new there is no version that anybody could have looked at; with one that was there before, it must be
    /// the one that this very request has left.
    pub(crate) async fn record(self, engine: &Engine, by: &v1::Actor, case_is_new: bool) -> Result<(), Status> {
        let mut sealed = BTreeSet::new();
        for (mut command, identity) in self.0 {
            command.expected_version = if case_is_new { 0 } else { 1 + sealed.len() as u64 };
            let receipt = engine.record_identity(command, identity, by.clone()).await.map_err(status::sealed)?;
            sealed.insert(receipt.position);
        }
        Ok(())
    }
}

/// Records who reads an identity, and tells it.
pub(crate) async fn unseal(
    engine: &Engine,
    request: Request<v1::UnsealIdentityRequest>,
) -> Result<v1::UnsealIdentityResponse, Status> {
    let by = caller(&request);
    let unsealed = engine.unseal_identity(request.into_inner(), by).await.map_err(status::sealed)?;
    Ok(v1::UnsealIdentityResponse {
        sealed_at: unsealed.sealed_at,
        sealed_by: unsealed.sealed_by,
        sealed_position: unsealed.sealed_position,
        read_position: unsealed.read_position,
        identity: Some(unsealed.identity.show()),
    })
}

/// `ErasureService`.
pub(crate) struct Erasures {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

impl Erasures {
    /// Records it; the receipt, and how the case then stands.
    async fn record(
        &self,
        case_id: &str,
        body: Body,
    ) -> Result<(Option<v1::Receipt>, Option<v1::CaseSealing>), Status> {
        let receipt = self.engine.record_about_seals(body).await.map_err(status::sealed)?;
        Ok((Some(receipt), self.shown(case_id).await?))
    }

    async fn shown(&self, case_id: &str) -> Result<Option<v1::CaseSealing>, Status> {
        self.engine.sealing_shown(case_id).await.map(Some).map_err(status::sealed)
    }
}

#[tonic::async_trait]
impl ErasureService for Erasures {
    async fn request_erasure(
        &self,
        request: Request<v1::RequestErasureRequest>,
    ) -> Result<Response<v1::RequestErasureResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(caller(&request));
        let v1::RequestErasureRequest { command_id, case_id, reason } = request.into_inner();
        let requested = v1::ErasureRequested { command_id, case_id: case_id.clone(), reason, by };
        let (receipt, sealing) = self.record(&case_id, Body::ErasureRequested(requested)).await?;
        Ok(Response::new(v1::RequestErasureResponse { receipt, sealing }))
    }

    async fn approve_erasure(
        &self,
        request: Request<v1::ApproveErasureRequest>,
    ) -> Result<Response<v1::ApproveErasureResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(caller(&request));
        let v1::ApproveErasureRequest { command_id, case_id } = request.into_inner();
        let approved = v1::ErasureApproved { command_id, case_id: case_id.clone(), by };
        let receipt = self.engine.approve_erasure(approved).await.map_err(status::sealed)?;
        let sealing = self.shown(&case_id).await?;
        Ok(Response::new(v1::ApproveErasureResponse { receipt: Some(receipt), sealing }))
    }

    async fn decline_erasure(
        &self,
        request: Request<v1::DeclineErasureRequest>,
    ) -> Result<Response<v1::DeclineErasureResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(caller(&request));
        let v1::DeclineErasureRequest { command_id, case_id, reason } = request.into_inner();
        let declined = v1::ErasureDeclined { command_id, case_id: case_id.clone(), reason, by };
        let (receipt, sealing) = self.record(&case_id, Body::ErasureDeclined(declined)).await?;
        Ok(Response::new(v1::DeclineErasureResponse { receipt, sealing }))
    }

    async fn place_hold(
        &self,
        request: Request<v1::PlaceHoldRequest>,
    ) -> Result<Response<v1::PlaceHoldResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(caller(&request));
        let v1::PlaceHoldRequest { command_id, case_id, reason, until } = request.into_inner();
        let placed = v1::HoldPlaced { command_id, case_id: case_id.clone(), reason, until, by };
        let (receipt, sealing) = self.record(&case_id, Body::HoldPlaced(placed)).await?;
        Ok(Response::new(v1::PlaceHoldResponse { receipt, sealing }))
    }

    async fn lift_hold(&self, request: Request<v1::LiftHoldRequest>) -> Result<Response<v1::LiftHoldResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(caller(&request));
        let v1::LiftHoldRequest { command_id, case_id, hold_id, reason } = request.into_inner();
        let lifted = v1::HoldLifted { command_id, case_id: case_id.clone(), hold_id, reason, by };
        let (receipt, sealing) = self.record(&case_id, Body::HoldLifted(lifted)).await?;
        Ok(Response::new(v1::LiftHoldResponse { receipt, sealing }))
    }
}
