//! `IdentityService`: tokens and codes. Who may ask is decided before.

use std::sync::Arc;

use satgas_domain::{policy, time::Instant};
use satgas_engine::Engine;
use satgas_proto::v1::{self, access_event::Body, identity_service_server::IdentityService};
use tonic::{Request, Response, Status};

use super::{Holder, Identity, Wanted, enrolment};
use crate::{
    access::{AccessError, AccessLog, State},
    look::first_index,
    status,
    submission::page_size,
};

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = satgas_domain::time::DAY_NS;
/// Characters of a purpose or reason.
const TEXT_MAX: usize = 200;

pub(crate) struct IdentityApi {
    pub(crate) engine: Engine,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) identity: Arc<Identity>,
    /// How the log was opened.
    pub(crate) log: v1::LogOpened,
}

fn holder<T>(request: &Request<T>) -> Holder {
    request.extensions().get::<Holder>().cloned().unwrap_or_else(Holder::anybody)
}

fn check_text(field: &str, text: &str) -> Result<(), Status> {
    if text.is_empty() || text.chars().count() > TEXT_MAX {
        return Err(status::invalid_field(field, "is not 1 to 200 characters"));
    }
    if !text.chars().any(char::is_alphabetic) {
        return Err(status::invalid_field(field, "has no letter: say what for"));
    }
    // It is shown on other people's screens, in one line.
    if text.chars().any(char::is_control) {
        return Err(status::invalid_field(field, "has a control character, such as a line break"));
    }
    Ok(())
}

/// Nanoseconds of an asked duration between a second and a maximum.
fn lifetime(field: &str, asked: Option<pbjson_types::Duration>, default: i64, max: i64) -> Result<i64, Status> {
    let Some(asked) = asked else { return Ok(default) };
    let ns = asked.seconds.checked_mul(SECOND_NS).and_then(|ns| ns.checked_add(i64::from(asked.nanos)));
    ns.filter(|ns| (SECOND_NS..=max).contains(ns))
        .ok_or_else(|| status::invalid_field(field, &format!("is not 1 s to {} h", max / (3_600 * SECOND_NS))))
}

fn check_assignment(assignment: Option<v1::Assignment>) -> Result<v1::Assignment, Status> {
    let assignment = assignment.ok_or_else(|| status::invalid_field("assignment", "is missing"))?;
    match policy::Caller::of(&assignment) {
        Ok(_) => Ok(assignment),
        Err((field, reason)) => Err(status::invalid_field(&format!("assignment.{field}"), reason)),
    }
}

impl IdentityApi {
    /// Valid tokens of a subject, or of whom a token's id stands for.
    fn tokens_of(&self, subject: &str) -> Vec<v1::Token> {
        let now = self.engine.now();
        let valid = |state: &State| {
            let person = state.stands_for(subject);
            state.tokens_of(&person).filter(|token| state.is_valid(token, now)).cloned().collect()
        };
        self.access.look(valid)
    }

    /// Records what a holder orders, unless its token has ended by the moment at which the access log takes it: whoever has just been shut
    /// out makes no new way in.
    async fn record_by(&self, holder: &Holder, body: Body) -> Result<(), Status> {
        let (token_id, expires_at) = (Arc::clone(&holder.token_id), holder.expires_at);
        let order = move |state: &State, now: Instant| (!state.has_ended(&token_id, expires_at, now)).then_some(body);
        match self.access.decide(order).await {
            Ok(_) => Ok(()),
            Err(AccessError::Refused) => Err(status::token_ended()),
            Err(error) => Err(status::access(&error)),
        }
    }

    fn wanted(
        &self,
        assignment: Option<v1::Assignment>,
        purpose: String,
        subject: String,
        asked: Option<pbjson_types::Duration>,
        issued_by: &str,
    ) -> Result<Wanted, Status> {
        let assignment = check_assignment(assignment)?;
        check_text("purpose", &purpose)?;
        if !subject.is_empty() && !satgas_domain::id::is_token(&subject, 64) {
            let taken = "is not 1 to 64 of the characters a-z, A-Z, 0-9, '.', '_' and '-'";
            return Err(status::invalid_field("subject", taken));
        }
        let subject = self.access.look(|state| state.stands_for(&subject));
        let lifetime_ns = lifetime("lifetime", asked, 90 * DAY_NS, 400 * DAY_NS)?;
        Ok(Wanted { assignment, purpose, subject, lifetime_ns, issued_by: issued_by.to_owned() })
    }
}

#[tonic::async_trait]
impl IdentityService for IdentityApi {
    async fn issue_token(
        &self,
        request: Request<v1::IssueTokenRequest>,
    ) -> Result<Response<v1::IssueTokenResponse>, Status> {
        let by = holder(&request);
        let r = request.into_inner();
        let wanted = self.wanted(r.assignment, r.purpose, r.subject, r.lifetime, &by.token_id)?;
        let now = self.engine.now();
        let issued = wanted.issued(self.identity.key_id(), now);
        let id = issued.token_id.clone();
        self.record_by(&by, Body::TokenIssued(issued)).await?;
        let (token, secret) = self.identity.issued(&id, now);
        Ok(Response::new(v1::IssueTokenResponse { token: Some(token), secret }))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        let first = first_index(&r.page_token)?;
        let now = self.engine.now();
        let (tokens, next) = self.access.look(|state| {
            let mut matching =
                state.tokens_from(first).filter(|(_, token)| r.include_ended || state.is_valid(token, now));
            let tokens: Vec<v1::Token> = matching.by_ref().take(size).map(|(_, token)| token.clone()).collect();
            (tokens, matching.next().map(|(index, _)| index))
        });
        let next_page_token = next.map(|index| index.to_string()).unwrap_or_default();
        Ok(Response::new(v1::ListTokensResponse { tokens, next_page_token }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let by = holder(&request);
        let v1::RevokeTokenRequest { token_id, reason } = request.into_inner();
        check_text("reason", &reason)?;
        // One that another issuer's subjects are known by was never issued here; a mistyped id must not look as if it had an effect.
        let foreign = token_id.starts_with(super::FOREIGN);
        let known = self.access.look(|state| state.token(&token_id).is_some());
        if !known && !foreign {
            return Err(status::not_found("token"));
        }
        let revoked_by = by.token_id.to_string();
        let revoked = v1::TokenRevoked { token_id: token_id.clone(), reason, revoked_by };
        self.record_by(&by, Body::TokenRevoked(revoked)).await?;
        Ok(Response::new(v1::RevokeTokenResponse { still_valid: self.tokens_of(&token_id) }))
    }

    async fn end_own_token(
        &self,
        request: Request<v1::EndOwnTokenRequest>,
    ) -> Result<Response<v1::EndOwnTokenResponse>, Status> {
        let holder = holder(&request);
        let asked = request.into_inner().token_id;
        let token_id = if asked.is_empty() { holder.token_id.to_string() } else { asked };
        // It would shut out the account for ever, with all of the issuer's tokens of it.
        if token_id.starts_with(super::FOREIGN) {
            return Err(status::ended_by_issuer());
        }
        // Whether somebody else's token exists is not told.
        if token_id != *holder.token_id
            && !self.tokens_of(&holder.subject).iter().any(|token| token.token_id == token_id)
        {
            return Err(status::not_found("token"));
        }
        let (reason, revoked_by) = ("ended by its holder".to_owned(), holder.token_id.to_string());
        let revoked = v1::TokenRevoked { token_id, reason, revoked_by };
        self.record_by(&holder, Body::TokenRevoked(revoked)).await?;
        Ok(Response::new(v1::EndOwnTokenResponse {}))
    }

    async fn create_enrolment(
        &self,
        request: Request<v1::CreateEnrolmentRequest>,
    ) -> Result<Response<v1::CreateEnrolmentResponse>, Status> {
        let by = holder(&request);
        let r = request.into_inner();
        let wanted = self.wanted(r.assignment, r.purpose, r.subject, r.lifetime, &by.token_id)?;
        let code_ns = lifetime("code_lifetime", r.code_lifetime, 900 * SECOND_NS, DAY_NS)?;
        let (code, enrolment_id) = (enrolment::new_code(), uuid::Uuid::now_v7().to_string());
        let hash = enrolment::hash(&code).expect("a new code has the form of one");
        let expires_at = Some(self.engine.now().plus_ns(code_ns).to_proto());
        let created = v1::EnrolmentCreated {
            enrolment_id: enrolment_id.clone(),
            code_hash: hash.to_vec().into(),
            assignment: Some(wanted.assignment),
            purpose: wanted.purpose,
            lifetime: Some(duration(wanted.lifetime_ns)),
            expires_at,
            created_by: wanted.issued_by,
            subject: wanted.subject,
        };
        self.record_by(&by, Body::EnrolmentCreated(created)).await?;
        Ok(Response::new(v1::CreateEnrolmentResponse { enrolment_id, code, expires_at }))
    }

    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolResponse>, Status> {
        let hash = enrolment::hash(&request.get_ref().code).ok_or_else(status::bad_code)?;
        let token_id = uuid::Uuid::now_v7().to_string();
        let (id, key_id) = (token_id.clone(), self.identity.key_id());
        let exchange = move |state: &crate::access::State, now: Instant| {
            let created = state.enrolment(&hash, now)?;
            // Whoever stole the right to make codes, or the key that signs tokens, loses those that it made.
            if state.is_revoked(&created.created_by) {
                return None;
            }
            let lifetime = created.lifetime.unwrap_or_default();
            let lifetime_ns = lifetime.seconds * SECOND_NS + i64::from(lifetime.nanos);
            let token = v1::TokenIssued {
                token_id: id,
                assignment: created.assignment.clone(),
                purpose: created.purpose.clone(),
                expires_at: Some(now.plus_ns(lifetime_ns).to_proto()),
                issued_by: created.created_by.clone(),
                subject: created.subject.clone(),
                key_id,
            };
            let enrolment_id = created.enrolment_id.clone();
            Some(Body::Enrolled(v1::Enrolled { enrolment_id, token: Some(token) }))
        };
        match self.access.decide(exchange).await {
            Ok(_) => {
                let (token, secret) = self.identity.issued(&token_id, self.engine.now());
                Ok(Response::new(v1::EnrolResponse { token: Some(token), secret }))
            }
            Err(AccessError::Refused) => Err(status::bad_code()),
            Err(error) => Err(status::access(&error)),
        }
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let holder = holder(&request);
        Ok(Response::new(v1::WhoAmIResponse {
            token_id: holder.token_id.to_string(),
            assignment: Some(holder.assignment()),
            subject: holder.subject.to_string(),
            expires_at: Some(holder.expires_at.to_proto()),
            ended_at: holder.ended.then(|| holder.expires_at.to_proto()),
            // A found phone learns of nothing else that its holder has.
            tokens: if holder.ended { Vec::new() } else { self.tokens_of(&holder.subject) },
            sample_data: self.log.sample_data,
            time_zone: self.log.time_zone.clone(),
            // How much is written meanwhile is nothing for those who are not here any more.
            head_position: if holder.ended { 0 } else { self.engine.head().position },
        }))
    }
}

fn duration(ns: i64) -> pbjson_types::Duration {
    let nanos = i32::try_from(ns.rem_euclid(SECOND_NS)).expect("a remainder of 10^9 fits in 32 bits");
    pbjson_types::Duration { seconds: ns.div_euclid(SECOND_NS), nanos }
}
