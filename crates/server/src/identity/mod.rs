//! Who calls: tokens of this server and of OpenID Connect issuers, checked before anything else is done for a call.
//!
//! Invariants:
//! - A token counts only while the access log says so: unknown, expired and revoked ones are the same to whoever holds them.
//! - A token counts under the key that it was issued under: exchanging the key ends all of them.
//! - What a check found out is kept by the token's hash and holds for the signature alone; expiry and revocation are looked at each time.

mod anonymous;
mod enrolment;
mod fetch;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;
mod keys;
mod limits;
mod openid;
mod service;
mod token;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use satgas_domain::{policy, time::Instant};
use satgas_proto::v1::{self, access_event::Body};

pub(crate) use self::{
    anonymous::Anonymous,
    keys::{HeadKey, Keys},
    limits::{Failures, Metered, Quotas, Reserved, Underway, Wait},
    service::IdentityApi,
};
pub use self::{
    fetch::FetchError,
    keys::KeyError,
    openid::{Issuer, IssuerError, RoleRule},
};
use crate::access::{AccessError, AccessLog, State, end, person};

/// Bytes of the longest token that is looked at.
const SECRET_BYTES_MAX: usize = 4 * 1024;
/// How ids begin that stand for the subjects of other issuers.
const FOREIGN: &str = "oidc-";
/// Checked signatures that are kept.
const CHECKED_MAX: usize = 16_384;
/// How long the operator's first token is valid.
const OPERATOR_TOKEN_NS: i64 = 365 * satgas_domain::time::DAY_NS;

/// Whoever a call comes from.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// Id of the token; empty without one.
    pub(crate) token_id: Arc<str>,
    /// Who holds the token: all tokens of one person have the same.
    pub(crate) subject: Arc<str>,
    /// Role and scope.
    pub(crate) caller: policy::Caller,
    /// When the token ends; the end of time without one.
    pub(crate) expires_at: Instant,
    /// Whether it has ended already: then it hands in records of its own time, and nothing else.
    pub(crate) ended: bool,
}

impl Holder {
    /// Who calls without a token.
    pub(crate) fn anybody() -> Self {
        let (token_id, subject) = Default::default();
        Self { token_id, subject, caller: policy::Caller::ANYBODY, expires_at: Instant(i64::MAX), ended: false }
    }

    /// As it is written into the log: the id of the token, its subject and its role, never a name.
    pub(crate) fn actor(&self) -> v1::Actor {
        let role = self.caller.role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
        let subject = if self.subject == self.token_id { String::new() } else { self.subject.to_string() };
        v1::Actor { id: self.token_id.to_string(), role, subject }
    }

    /// Role and scope as they go over the wire.
    fn assignment(&self) -> v1::Assignment {
        use v1::assignment::Own;
        let own = match &self.caller.reach {
            policy::Reach::Everywhere => None,
            policy::Reach::Area(code) if code.is_empty() => Some(Own::AreaCode(policy::ALL_AREAS.to_owned())),
            policy::Reach::Area(code) => Some(Own::AreaCode(code.clone())),
            policy::Reach::Institution(id) => Some(Own::InstitutionId(id.clone())),
        };
        v1::Assignment { role: self.caller.role.into(), own }
    }
}

/// Id and end of a token whose signature was right.
type Checked = (Arc<str>, Instant);

/// Checks and issues tokens.
pub(crate) struct Identity {
    access: Arc<AccessLog>,
    signer: token::Signer,
    issuers: Vec<openid::OpenId>,
    /// By hash of the whole token.
    checked: Mutex<HashMap<[u8; 32], Checked>>,
}

impl Identity {
    pub(crate) fn new(access: Arc<AccessLog>, keys: &Keys, issuers: &[Issuer]) -> Result<Self, IssuerError> {
        Ok(Self { issuers: openid::OpenId::all(issuers)?, ..Self::of_server(access, keys) })
    }

    /// The same, that takes the server's own tokens only.
    pub(crate) fn of_server(access: Arc<AccessLog>, keys: &Keys) -> Self {
        Self { access, signer: token::Signer::new(keys), issuers: Vec::new(), checked: Mutex::default() }
    }

    /// Who holds a token that was issued here or by an issuer that is known, if it may be used at `now`. One of this server that has ended is
    /// marked so; what is left of its rights is the policy's to say.
    pub(crate) async fn holder(&self, secret: &str, now: Instant) -> Option<Holder> {
        if secret.len() > SECRET_BYTES_MAX {
            return None;
        }
        // What a token says of its issuer only chooses whose key it is checked with.
        let claims = || jsonwebtoken::dangerous::insecure_decode_claims::<serde_json::Value>(secret).ok();
        if !self.issuers.is_empty()
            && let Some(claims) = claims()
            && let Some(issuer) = claims.get("iss").and_then(serde_json::Value::as_str)
            && let Some(foreign) = self.issuers.iter().find(|known| known.is_named(issuer))
        {
            let holder = foreign.holder(secret, now).await?;
            return (!self.access.look(|state| state.is_revoked(&holder.token_id))).then_some(holder);
        }
        self.own_holder(secret, now)
    }

    fn own_holder(&self, secret: &str, now: Instant) -> Option<Holder> {
        let (token_id, ends) = self.checked(secret)?;
        self.access.look(|state| {
            let token = state.token(&token_id)?;
            let expires_at = state.ending(token).0.min(ends);
            let ended = !state.is_valid(token, now) || expires_at <= now;
            let caller = policy::Caller::of(token.assignment.as_ref()?).ok()?;
            let subject = person(token).into();
            Some(Holder { token_id: Arc::clone(&token_id), subject, caller, expires_at, ended })
        })
    }

    /// The right to report that somebody had when something happened, and has no more: of the token in use and of all others of the same
    /// person. `speaks` says whether a role and scope may report it. When none fits the time, the one that ended last, for the refusal to
    /// name.
    pub(crate) fn ended_right(
        &self,
        holder: &Holder,
        occurred: Option<Instant>,
        now: Instant,
        speaks: impl Fn(&policy::Caller) -> bool,
    ) -> Option<v1::EndedRight> {
        let gave = |token: &v1::Token| {
            let caller = token.assignment.as_ref().and_then(|assignment| policy::Caller::of(assignment).ok());
            caller.is_some_and(|caller| speaks(&caller))
        };
        let fits = |token: &v1::Token, ended: Instant| {
            let began = token.issued_at.as_ref().and_then(Instant::from_proto);
            occurred.is_some_and(|at| began.is_some_and(|began| began <= at) && at < ended)
        };
        let (token, (ended_at, how)) = self.access.look(|state| {
            let tokens = state.tokens_of(&holder.subject);
            let ended = tokens.filter(|token| !state.is_valid(token, now) && gave(token));
            let endings = ended.map(|token| (token, state.ending(token)));
            let last = endings.max_by_key(|(token, (ended, _))| (fits(token, *ended), *ended));
            last.map(|(token, ending)| (token.clone(), ending))
        })?;
        Some(v1::EndedRight {
            token_id: token.token_id,
            began_at: token.issued_at,
            ended_at: Some(ended_at.to_proto()),
            end: how.into(),
            by: Some(holder.actor()),
        })
    }

    fn checked(&self, secret: &str) -> Option<Checked> {
        let hash = *blake3::hash(secret.as_bytes()).as_bytes();
        if let Some(checked) = self.checked.lock().get(&hash) {
            return Some(checked.clone());
        }
        let (token_id, ends) = self.signer.check(secret)?;
        let found = (Arc::from(token_id), ends);
        let mut checked = self.checked.lock();
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(hash, found.clone());
        Some(found)
    }

    /// Whether a subject has the form of one of another issuer, and there is such an issuer.
    pub(crate) fn may_be_foreign(&self, subject: &str) -> bool {
        let hash = subject.strip_prefix(FOREIGN).filter(|_| !self.issuers.is_empty());
        hash.is_some_and(|hash| hash.len() == openid::HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }

    /// Id of the key that signs tokens.
    fn key_id(&self) -> String {
        self.signer.key_id().to_owned()
    }

    /// Issues a token: its message and its secret.
    pub(crate) async fn issue(&self, wanted: Wanted, now: Instant) -> Result<(v1::Token, String), AccessError> {
        let issued = wanted.issued(self.key_id(), now);
        let id = issued.token_id.clone();
        self.access.record(Body::TokenIssued(issued)).await?;
        Ok(self.issued(&id, now))
    }

    /// A token that stands in the access log, and its secret.
    fn issued(&self, id: &str, now: Instant) -> (v1::Token, String) {
        let token = self.access.look(|state| state.token(id).cloned()).unwrap_or_default();
        let secret = self.signer.sign(id, now, end(token.expires_at.as_ref()));
        (token, secret)
    }

    /// Records that another key signs tokens than before, if so: with that, those of before have ended.
    async fn record_exchange(&self) -> Result<(), AccessError> {
        let exchanged = Body::KeyExchanged(v1::KeyExchanged { key_id: self.key_id() });
        match self.access.decide(|state, _| state.is_key_new().then_some(exchanged)).await {
            Ok(_) | Err(AccessError::Refused) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that there is an operator: writes a token for one when no valid one is known. Whoever owns the folder may start the
    /// server, so this is also the way back in.
    pub(crate) async fn ensure_operator(&self, keys: &Keys, now: Instant) -> Result<bool, EnsureError> {
        self.record_exchange().await?;
        let has_operator =
            |state: &State| state.tokens_from(0).any(|(_, token)| is_operators(token) && state.is_valid(token, now));
        if self.access.look(has_operator) {
            return Ok(false);
        }
        self.write_operator(keys, "the operator's first token", now).await?;
        Ok(true)
    }

    /// Writes a new token for the operator in the place of the one that the server wrote before, and ends that one: whoever found it has
    /// nothing. Its id.
    pub(crate) async fn recover_operator(&self, keys: &Keys, now: Instant) -> Result<String, EnsureError> {
        self.record_exchange().await?;
        let of_server = |state: &State| -> Vec<String> {
            let written = state.tokens_from(0).filter(|(_, token)| token.issued_by.is_empty() && is_operators(token));
            written.filter(|(_, token)| state.is_valid(token, now)).map(|(_, token)| token.token_id.clone()).collect()
        };
        let former = self.access.look(of_server);
        let token_id = self.write_operator(keys, "the operator's token, recovered", now).await?;
        for token_id in former {
            let reason = "another one was recovered in its place".to_owned();
            let revoked = v1::TokenRevoked { token_id, reason, revoked_by: String::new() };
            self.access.record(Body::TokenRevoked(revoked)).await?;
        }
        Ok(token_id)
    }

    /// Issues an operator's token and writes it to its file. Its id.
    async fn write_operator(&self, keys: &Keys, purpose: &str, now: Instant) -> Result<String, EnsureError> {
        let wanted = Wanted {
            assignment: v1::Assignment { role: v1::Role::Operator.into(), own: None },
            purpose: purpose.to_owned(),
            subject: String::new(),
            lifetime_ns: OPERATOR_TOKEN_NS,
            issued_by: String::new(),
        };
        let (token, secret) = self.issue(wanted, now).await?;
        keys.write_operator_token(&secret)?;
        Ok(token.token_id)
    }
}

fn is_operators(token: &v1::Token) -> bool {
    token.assignment.as_ref().is_some_and(|assignment| assignment.role() == v1::Role::Operator)
}

/// Why there is no operator.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// Nothing can be recorded.
    #[error("the access log takes nothing: {0}")]
    Access(String),
    /// Its file cannot be written.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<AccessError> for EnsureError {
    fn from(error: AccessError) -> Self {
        Self::Access(error.to_string())
    }
}

/// A token to issue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) assignment: v1::Assignment,
    pub(crate) purpose: String,
    /// Who will hold it; empty for nobody in particular.
    pub(crate) subject: String,
    pub(crate) lifetime_ns: i64,
    /// Id of the token that asks for it.
    pub(crate) issued_by: String,
}

impl Wanted {
    fn issued(self, key_id: String, now: Instant) -> v1::TokenIssued {
        v1::TokenIssued {
            token_id: uuid::Uuid::now_v7().to_string(),
            assignment: Some(self.assignment),
            purpose: self.purpose,
            expires_at: Some(now.plus_ns(self.lifetime_ns).to_proto()),
            issued_by: self.issued_by,
            subject: self.subject,
            key_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use satgas_engine::{Clock as _, ManualClock};

    use super::*;

    fn instant(time: &str) -> Instant {
        Instant::from_jiff(time.parse().unwrap())
    }

    /// What a server knows, that starts at a time, of when each token ends and how.
    async fn endings(folder: &Path, time: &str) -> Vec<(Instant, v1::RightEnd)> {
        let clock = Arc::new(ManualClock::new(time.parse().unwrap()));
        let keys = Keys::open(folder.join("keys")).unwrap();
        let now = Instant::from_jiff(clock.now());
        let access = Arc::new(AccessLog::open(&folder.join("access"), keys.id(), clock).unwrap());
        Identity::of_server(Arc::clone(&access), &keys).ensure_operator(&keys, now).await.unwrap();
        let endings = access.look(|state| state.tokens_from(0).map(|(_, token)| state.ending(token)).collect());
        tokio::task::spawn_blocking(move || access.shutdown()).await.unwrap();
        endings
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tokens_end_when_their_key_is_exchanged_also_for_one_that_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let signing = folder.path().join("keys/signing.pem");
        endings(folder.path(), "2026-03-10T00:00:00Z").await;
        let first = fs::read(&signing).unwrap();
        fs::remove_file(&signing).unwrap();
        endings(folder.path(), "2026-03-11T00:00:00Z").await;
        let second = fs::read(&signing).unwrap();
        let years = ["2027-03-10T00:00:00Z", "2027-03-11T00:00:00Z"].map(|end| (instant(end), v1::RightEnd::Expired));
        fs::write(&signing, first).unwrap();
        let exchanged = (instant("2026-03-12T00:00:00Z"), v1::RightEnd::KeyExchanged);
        assert_eq!(endings(folder.path(), "2026-03-12T00:00:00Z").await, [years[0], exchanged]);
        fs::write(&signing, second).unwrap();
        let exchanged = (instant("2026-03-13T00:00:00Z"), v1::RightEnd::KeyExchanged);
        assert_eq!(endings(folder.path(), "2026-03-13T00:00:00Z").await, [exchanged, years[1]]);
    }
}
