//! Tokens of OpenID Connect issuers: checked with the keys that the issuer publishes, and mapped to roles by configuration.
//!
//! Invariants:
//! - Only the algorithms of [`ALGORITHMS`], and only with a key of their own family: an issuer's public key is never a shared secret.
//! - A subject is known by a hash of issuer and subject: the log of accesses holds no account name.
//! - Keys are fetched by one task of the issuer's, beside all calls: every few minutes, and when a token names one that is not known, but
//!   not oftener than every few seconds. Meanwhile those that are known count; who names another waits for a moment and no longer.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, jwk};
use satgas_domain::{policy, time::Instant};
use satgas_proto::v1::{self, Role, assignment::Own};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{FOREIGN, Holder, fetch};

/// What tokens of issuers may be signed with.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
];
/// Keys are fetched again so often.
const OLD: Duration = Duration::from_secs(300);
/// Keys that could not be fetched for so long are used no more.
const TOO_OLD: Duration = Duration::from_secs(24 * 3_600);
/// At least so long is between two fetches.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a token waits for its key to be fetched: an issuer that answers has answered by then, pause included.
const WAIT: Duration = Duration::from_secs(4);
const SECOND_NS: i64 = 1_000_000_000;
/// Hexadecimal digits of the hash that stands for a subject.
pub(super) const HASH_DIGITS: usize = 32;
/// How far an issuer's clock may be ahead.
const AHEAD_NS: i64 = 60 * SECOND_NS;

/// An OpenID Connect issuer whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its name, as it stands in `iss`.
    pub issuer: String,
    /// What must stand in `aud`: this server's name at the issuer.
    pub audience: String,
    /// Its keys (a JSON web key set): the path of a file, or a URL; http:// within this machine only.
    pub keys: String,
    /// Authority of the keys' server (PEM), when the system does not know it.
    #[serde(default)]
    pub keys_authority: Option<PathBuf>,
    /// Which claim means which role; the first one that fits counts.
    pub roles: Vec<RoleRule>,
}

/// A claim that means a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// Name of the claim: a text, or a list of texts.
    pub claim: String,
    /// The text that it must be or hold.
    pub value: String,
    /// The role, such as "supervisor".
    pub role: String,
    /// Name of the claim with the area's code (satgas) or the institution's id (institution).
    #[serde(default)]
    pub own_claim: Option<String>,
    /// Whether that claim may be `*` and then stands for all areas: whoever writes the account's data writes that, too.
    #[serde(default)]
    pub all_areas: bool,
}

/// Why an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// A role is none.
    #[error("the issuer {issuer} maps a claim to `{role}`, which is no role")]
    Role {
        /// The issuer.
        issuer: String,
        /// What stands for a role.
        role: String,
    },
    /// Two have one name, or one has that of this server.
    #[error("the issuer {0} is named twice, or is this server itself")]
    Twice(String),
    /// Its keys' URL cannot be used.
    #[error("the keys of the issuer {issuer} cannot be fetched: {error}")]
    Keys {
        /// The issuer.
        issuer: String,
        /// Why.
        error: fetch::FetchError,
    },
}

/// An issuer, with the keys it has.
pub(super) struct OpenId {
    config: Issuer,
    keys: watch::Receiver<Keys>,
    /// Asks for the keys to be fetched before it is time.
    wanted: Arc<Notify>,
    /// Ends with the issuer.
    _fetching: AbortOnDropHandle<()>,
}

/// What the last fetch left; each fetch is told, whether it brought any or not.
type Keys = Option<(jwk::JwkSet, Moment)>;

impl OpenId {
    pub(super) fn all(issuers: &[Issuer]) -> Result<Vec<Self>, IssuerError> {
        let mut all: Vec<Self> = Vec::new();
        for config in issuers {
            let issuer = config.issuer.clone();
            if issuer == super::token::ISSUER || all.iter().any(|other| other.config.issuer == issuer) {
                return Err(IssuerError::Twice(issuer));
            }
            if let Some(rule) = config.roles.iter().find(|rule| role(&rule.role).is_none()) {
                return Err(IssuerError::Role { issuer, role: rule.role.clone() });
            }
            let source = fetch::Source::new(&config.keys, config.keys_authority.as_deref());
            let source = source.map_err(|error| IssuerError::Keys { issuer, error })?;
            all.push(Self::new(config.clone(), source));
        }
        Ok(all)
    }

    fn new(config: Issuer, source: fetch::Source) -> Self {
        let (fetched, keys) = watch::channel(None);
        let wanted = Arc::new(Notify::new());
        let fetching = fetch_keys(config.issuer.clone(), source, fetched, Arc::clone(&wanted));
        Self { config, keys, wanted, _fetching: AbortOnDropHandle::new(tokio::spawn(fetching)) }
    }

    pub(super) fn is_named(&self, issuer: &str) -> bool {
        self.config.issuer == issuer
    }

    /// Who holds a token of this issuer, if it may be used at `now`.
    pub(super) async fn holder(&self, secret: &str, now: Instant) -> Option<Holder> {
        let header = header(secret)?;
        let key = self.key(header.kid.as_deref(), header.alg).await?;
        self.config.holder(secret, header.alg, &key, now)
    }

    /// The key that a token names, of the algorithm's family.
    async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut keys = self.keys.clone();
        let known = |keys: &Keys| keys.as_ref().and_then(|(set, _)| pick(set, id, algorithm));
        if let Some(key) = known(&keys.borrow_and_update()) {
            return Some(key);
        }
        self.wanted.notify_one();
        // What a fetch brings that began before this token came may be older than its key.
        let fetched = async {
            for _ in 0..2 {
                keys.changed().await.ok()?;
                if let Some(key) = known(&keys.borrow_and_update()) {
                    return Some(key);
                }
            }
            None
        };
        tokio::time::timeout(WAIT, fetched).await.ok().flatten()
    }
}

/// The header of a token of an algorithm that is taken.
pub(super) fn header(secret: &str) -> Option<Header> {
    // What the header calls critical must be understood, and nothing beyond the standard's own is.
    let header = jsonwebtoken::decode_header(secret).ok()?;
    (ALGORITHMS.contains(&header.alg) && header.crit.is_none()).then_some(header)
}

impl Issuer {
    /// Who holds a token that is signed with this key, if it may be used at `now`.
    pub(super) fn holder(&self, secret: &str, algorithm: Algorithm, key: &DecodingKey, now: Instant) -> Option<Holder> {
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The end is held against the injected clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Value>(secret, key, &validation).ok()?.claims;
        let moment = |claim: &str| claims.get(claim).and_then(Value::as_i64).and_then(|s| s.checked_mul(SECOND_NS));
        let expires_at = Instant(moment("exp")?);
        // A beginning that cannot be read is not one that has come.
        let begins = if claims.get("nbf").is_some() { moment("nbf")? } else { i64::MIN };
        if expires_at <= now || begins > now.plus_ns(AHEAD_NS).0 {
            return None;
        }
        let caller = self.roles.iter().find_map(|rule| rule.caller(&claims))?;
        let subject = format!("{}\0{}", self.issuer, claims.get("sub")?.as_str()?);
        let token_id = format!("{FOREIGN}{}", &blake3::hash(subject.as_bytes()).to_hex()[..HASH_DIGITS]);
        let token_id: std::sync::Arc<str> = token_id.into();
        Some(Holder { subject: token_id.clone(), token_id, caller, expires_at, ended: false })
    }
}

/// Fetches an issuer's keys for as long as somebody uses them.
async fn fetch_keys(issuer: String, source: fetch::Source, fetched: watch::Sender<Keys>, wanted: Arc<Notify>) {
    loop {
        let bytes = source.fetch().await;
        match bytes.and_then(|bytes| read_keys(&bytes).ok_or(fetch::FetchError::NoKeys)) {
            Ok(set) => fetched.send_replace(Some((set, Moment::now()))),
            Err(error) => {
                tracing::warn!(issuer, %error, "the issuer's keys were not fetched; those that are known go on");
                fetched.send_modify(|keys| drop(keys.take_if(|(_, since)| since.elapsed() >= TOO_OLD)));
                None
            }
        };
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            () = wanted.notified() => {}
            () = tokio::time::sleep(OLD - PAUSE) => {}
        }
    }
}

/// The keys of a document.
pub(super) fn read_keys(document: &[u8]) -> Option<jwk::JwkSet> {
    serde_json::from_slice(document).ok()
}

pub(super) fn pick(set: &jwk::JwkSet, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let named = |key: &&jwk::Jwk| id.is_none() || key.common.key_id.as_deref() == id;
    let signs = |key: &&jwk::Jwk| {
        key.common.public_key_use.as_ref().is_none_or(|r#use| *r#use == jwk::PublicKeyUse::Signature)
            && key.common.key_algorithm.is_none_or(|of_key| {
                // Both are written as in the standard.
                serde_json::to_value(of_key).ok() == serde_json::to_value(algorithm).ok()
            })
    };
    let key = set.keys.iter().filter(named).find(signs)?;
    let decoding = DecodingKey::from_jwk(key).ok()?;
    let is_of_family = match (&key.algorithm, algorithm) {
        (jwk::AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA) => {
            decoding.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == 32)
        }
        (jwk::AlgorithmParameters::EllipticCurve(_), Algorithm::ES256 | Algorithm::ES384) => true,
        (jwk::AlgorithmParameters::RSA(_), algorithm) => {
            !matches!(algorithm, Algorithm::EdDSA | Algorithm::ES256 | Algorithm::ES384)
        }
        _ => false,
    };
    is_of_family.then_some(decoding)
}

impl RoleRule {
    /// Who the claims make of their holder by this rule.
    fn caller(&self, claims: &Value) -> Option<policy::Caller> {
        let fits = match claims.get(&self.claim)? {
            Value::String(text) => *text == self.value,
            Value::Array(texts) => texts.iter().any(|text| text.as_str() == Some(&self.value)),
            _ => false,
        };
        let role = role(&self.role).filter(|_| fits)?;
        let own = self.own_claim.as_ref().and_then(|claim| claims.get(claim)?.as_str()).map(str::to_owned);
        let own = own.filter(|own| self.all_areas || own != policy::ALL_AREAS);
        let own = match role {
            Role::Satgas => own.map(Own::AreaCode),
            Role::Institution => own.map(Own::InstitutionId),
            _ => None,
        };
        policy::Caller::of(&v1::Assignment { role: role.into(), own }).ok()
    }
}

/// A role by its name in the configuration, such as "case_worker".
fn role(name: &str) -> Option<Role> {
    let role = Role::from_str_name(&format!("ROLE_{}", name.to_ascii_uppercase()))?;
    (!matches!(role, Role::Unspecified | Role::Public)).then_some(role)
}
