//! The checks of tokens and codes without the log of accesses and the task that fetches keys.

use ed25519_dalek::SigningKey;
use satgas_domain::time::Instant;
use satgas_proto::v1::Role;

use super::{Issuer, Keys, SECRET_BYTES_MAX, enrolment, openid, token};

const SECOND_NS: i64 = 1_000_000_000;

/// Checks tokens as a server does that has one issuer beside itself.
pub struct Door {
    signer: token::Signer,
    issuer: Issuer,
}

impl Door {
    /// A server with this Ed25519 key.
    #[must_use]
    pub fn new(key: [u8; 32], issuer: Issuer) -> Self {
        Self { signer: token::Signer::new(&Keys::of(SigningKey::from_bytes(&key))), issuer }
    }

    /// A token of this server; times in seconds since 1970.
    #[must_use]
    pub fn issue(&self, token_id: &str, issued_at_s: i64, expires_at_s: i64) -> String {
        self.signer.sign(token_id, Instant(issued_at_s * SECOND_NS), Instant(expires_at_s * SECOND_NS))
    }

    /// The id and the end (seconds since 1970) of a token of this server.
    #[must_use]
    pub fn own(&self, secret: &str) -> Option<(String, i64)> {
        let (id, ends) = (secret.len() <= SECRET_BYTES_MAX).then(|| self.signer.check(secret))??;
        Some((id, ends.0.div_euclid(SECOND_NS)))
    }

    /// The id and role of who holds a token of the other issuer, at `now_s`, when the issuer publishes this document of keys.
    #[must_use]
    pub fn foreign(&self, keys: &[u8], secret: &str, now_s: i64) -> Option<(String, Role)> {
        if secret.len() > SECRET_BYTES_MAX {
            return None;
        }
        let header = openid::header(secret)?;
        let key = openid::pick(&openid::read_keys(keys)?, header.kid.as_deref(), header.alg)?;
        let holder = self.issuer.holder(secret, header.alg, &key, Instant(now_s * SECOND_NS))?;
        Some((holder.token_id.to_string(), holder.caller.role))
    }
}

/// The hash that a typed code is known by; `None` if it cannot be one.
#[must_use]
pub fn enrolment_hash(typed: &str) -> Option<[u8; 32]> {
    enrolment::hash(typed)
}
