//! The server's own tokens: JSON web tokens signed with Ed25519.
//!
//! A token holds nothing but its id and its end. What it may do stands in the access log, so that no two truths can differ and revoking
//! takes effect at once. The algorithm is fixed: what a token's header says about it is compared, never followed.

use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use satgas_domain::time::Instant;
use serde::{Deserialize, Serialize};

/// Who issues, and for whom: tokens of other kinds of servers are none of ours even if they were signed with our key.
pub(super) const ISSUER: &str = "satgas";
const AUDIENCE: &str = "satgas";
const SECOND_NS: i64 = 1_000_000_000;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    jti: String,
    /// Seconds since 1970.
    iat: i64,
    exp: i64,
}

/// Signs and checks tokens.
pub(super) struct Signer {
    key_id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Signer {
    pub(super) fn new(keys: &super::Keys) -> Self {
        let key = &keys.signing;
        let der = key.to_pkcs8_der().expect("an Ed25519 key always encodes");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // The end is held against the injected clock.
        validation.validate_exp = false;
        Self {
            key_id: keys.id(),
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            decoding: DecodingKey::from_ed_der(key.verifying_key().as_bytes()),
            validation,
        }
    }

    /// Id of the key.
    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The secret of a token.
    pub(super) fn sign(&self, token_id: &str, issued_at: Instant, expires_at: Instant) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            jti: token_id.to_owned(),
            iat: issued_at.0.div_euclid(SECOND_NS),
            exp: expires_at.0.div_euclid(SECOND_NS),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.encoding)
            .expect("the key is an Ed25519 key and the claims are strings and numbers")
    }

    /// The id of a token that was signed here, and its end; whether it is still valid is for the access log to say.
    pub(super) fn check(&self, secret: &str) -> Option<(String, Instant)> {
        let token = jsonwebtoken::decode::<Claims>(secret, &self.decoding, &self.validation).ok()?;
        // What the header calls critical must be understood; this server never writes any.
        if token.header.crit.is_some() {
            return None;
        }
        let claims = token.claims;
        Some((claims.jti, Instant(claims.exp.checked_mul(SECOND_NS)?)))
    }
}
