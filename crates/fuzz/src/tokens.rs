//! Tokens of the server and of an issuer, the issuer's documents of keys, and enrolment codes. The keys are real, and known here only.
//!
//! The property is always the same: what was not issued is not taken.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use satgas_proto::v1::Role;
use satgas_server::{
    Issuer, RoleRule,
    fuzz::{Door, enrolment_hash},
};
use serde_json::{Value, json};

use crate::input::Input;

const OWN_KEY: [u8; 32] = [7; 32];
const ISSUERS_KEY: [u8; 32] = [8; 32];
const STRANGERS_KEY: [u8; 32] = [9; 32];
const ISSUER: &str = "https://masuk.contoh.id";
const AUDIENCE: &str = "satgas-kupang";
/// Seconds since 1970.
pub(crate) const NOW_S: i64 = 1_800_000_000;
/// A code, as it is printed.
pub(crate) const CODE: &str = "7KQ2M-X4T9B";

pub(crate) static DOOR: LazyLock<Door> = LazyLock::new(|| Door::new(OWN_KEY, issuer()));
/// Tokens that the server issued, with their ids.
static OWN: LazyLock<[(String, &str); 2]> = LazyLock::new(|| {
    ["01970f3e-8b1c-7000-8000-000000000001", "t"].map(|id| (DOOR.issue(id, NOW_S - 60, NOW_S + 3_600), id))
});
/// A token that the issuer issued.
static FOREIGN: LazyLock<String> = LazyLock::new(|| signed(&foreign_header(), &foreign_claims(), ISSUERS_KEY));
/// What the issuer publishes.
pub(crate) static KEYS: LazyLock<Vec<u8>> = LazyLock::new(|| document(&json!([jwk("a", ISSUERS_KEY)])));

fn issuer() -> Issuer {
    let rule = |value: &str, role: &str, own: Option<&str>| RoleRule {
        claim: "groups".into(),
        value: value.into(),
        role: role.into(),
        own_claim: own.map(Into::into),
        all_areas: false,
    };
    Issuer {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        keys: "not fetched".into(),
        keys_authority: None,
        roles: vec![rule("lurah", "satgas", Some("area")), rule("dinas", "supervisor", None)],
    }
}

/// The tokens that are valid.
pub(crate) fn valid() -> Vec<String> {
    OWN.iter().map(|(secret, _)| secret.clone()).chain([FOREIGN.clone()]).collect()
}

pub(crate) fn foreign_header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": "a"})
}

pub(crate) fn foreign_claims() -> Value {
    let times = (NOW_S + 600, NOW_S - 60);
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "akun-1", "groups": ["dinas"], "exp": times.0, "nbf": times.1})
}

fn public(key: [u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(&key).verifying_key().to_bytes()
}

pub(crate) fn jwk(kid: &str, key: [u8; 32]) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": BASE64.encode(public(key))})
}

pub(crate) fn document(keys: &Value) -> Vec<u8> {
    json!({"keys": keys}).to_string().into_bytes()
}

/// The parts of a token that are signed.
fn message(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", BASE64.encode(header), BASE64.encode(claims))
}

fn signed_bytes(header: &[u8], claims: &[u8], key: [u8; 32]) -> String {
    let der = SigningKey::from_bytes(&key).to_pkcs8_der().expect("an Ed25519 key always encodes");
    let message = message(header, claims);
    let key = EncodingKey::from_ed_der(der.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).expect("an Ed25519 key signs");
    format!("{message}.{signature}")
}

fn signed(header: &Value, claims: &Value, key: [u8; 32]) -> String {
    signed_bytes(header.to_string().as_bytes(), claims.to_string().as_bytes(), key)
}

/// The first byte says what the others are.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.u8() % 6 {
        0 => as_it_came(input.0),
        1 => forged(input),
        2 => own_key(input),
        3 => issuers_key(input),
        4 => keys(input.0),
        _ => code(input.0),
    }
}

/// A text is taken only if it is, letter for letter, a token that was issued.
fn only_issued(text: &str) {
    let own = OWN.iter().find(|(secret, _)| secret == text);
    assert_eq!(DOOR.own(text).map(|(id, _)| id), own.map(|(_, id)| (*id).to_owned()), "{text}");
    let foreign = DOOR.foreign(&KEYS, text, NOW_S);
    assert_eq!(foreign.is_some(), text == *FOREIGN, "{text}");
    assert!(foreign.is_none_or(|(id, role)| id.starts_with("oidc-") && role == Role::Supervisor));
}

fn as_it_came(bytes: &[u8]) {
    only_issued(&String::from_utf8_lossy(bytes));
}

/// Headers and claims of any kind with what a stranger can sign them with: nothing, any bytes, another token's signature, a key of their own,
/// and public keys as shared secrets.
fn forged(mut input: Input<'_>) {
    let way = input.u8();
    let (header, claims) = (input.piece(), input.piece());
    let message = message(header, claims);
    let shared = |secret: &[u8], algorithm| {
        crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), algorithm).expect("any bytes are a secret")
    };
    let of = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    let pem = |key| format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(public(key)));
    let signature = match way % 10 {
        0 => String::new(),
        1 => BASE64.encode(input.0),
        2 => of(&OWN[0].0),
        3 => of(&FOREIGN),
        4 => shared(&public(OWN_KEY), Algorithm::HS256),
        5 => shared(&public(ISSUERS_KEY), Algorithm::HS256),
        6 => shared(pem(OWN_KEY).as_bytes(), Algorithm::HS384),
        7 => shared(BASE64.encode(public(ISSUERS_KEY)).as_bytes(), Algorithm::HS512),
        8 => shared(input.0, Algorithm::HS256),
        _ => of(&signed_bytes(header, claims, STRANGERS_KEY)),
    };
    only_issued(&format!("{message}.{signature}"));
    only_issued(&message);
}

/// Claims that are signed with the server's own key, as by another program that shares it: taken only if they are meant for this server.
fn own_key(mut input: Input<'_>) {
    let (header, claims) = (input.piece(), input.piece());
    let secret = signed_bytes(header, claims, OWN_KEY);
    assert!(DOOR.foreign(&KEYS, &secret, NOW_S).is_none(), "the issuer has another key");
    if let Some((id, ends)) = DOOR.own(&secret) {
        let (header, claims) = (object(header), object(claims));
        assert_eq!(header["alg"], "EdDSA");
        assert_eq!((&claims["iss"], &claims["aud"], &claims["jti"]), (&json!("satgas"), &json!("satgas"), &json!(id)));
        assert_eq!(claims["exp"], json!(ends));
    }
}

/// Claims that the issuer signed: taken only if they are meant for this server, now, and mean a role.
fn issuers_key(mut input: Input<'_>) {
    let (header, claims) = (input.piece(), input.piece());
    let secret = signed_bytes(header, claims, ISSUERS_KEY);
    assert!(DOOR.own(&secret).is_none(), "the server has another key");
    let Some((id, role)) = DOOR.foreign(&KEYS, &secret, NOW_S) else { return };
    let (header, claims) = (object(header), object(claims));
    assert_eq!(header["alg"], "EdDSA");
    assert!(header["kid"].is_null() || header["kid"] == "a");
    let holds = |claim: &str, text: &str| match &claims[claim] {
        Value::Array(texts) => texts.iter().any(|one| one == text),
        one => one == text,
    };
    assert!(holds("iss", ISSUER) && holds("aud", AUDIENCE), "{claims}");
    assert!(claims["exp"].as_i64().is_some_and(|ends| ends > NOW_S), "{claims}");
    let has_begun = |begins: &Value| begins.as_i64().is_some_and(|begins| begins <= NOW_S + 60);
    assert!(claims.get("nbf").is_none_or(has_begun), "{claims}");
    assert!(claims["sub"].is_string() && id.starts_with("oidc-") && id.len() == 37);
    match role {
        Role::Supervisor => assert!(holds("groups", "dinas")),
        Role::Satgas => assert!(holds("groups", "lurah") && claims["area"].is_string()),
        other => panic!("no rule makes anybody {other:?}"),
    }
}

fn object(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("what was taken is JSON")
}

/// A document of keys: the issuer's token is taken only if its very key is in it, and nothing that was signed with a shared secret.
fn keys(document: &[u8]) {
    let text = String::from_utf8_lossy(document);
    if DOOR.foreign(document, &FOREIGN, NOW_S).is_some() {
        let keys = object(document)["keys"].clone();
        let x = Value::String(BASE64.encode(public(ISSUERS_KEY)));
        let has = keys.as_array().is_some_and(|keys| keys.iter().any(|key| key["x"] == x && key["kty"] == "OKP"));
        assert!(has, "the key is not in {text}");
    }
    // Anybody can sign with what the document itself says.
    let claims = foreign_claims().to_string();
    for (name, algorithm) in [("HS256", Algorithm::HS256), ("HS512", Algorithm::HS512)] {
        let message = message(json!({"alg": name}).to_string().as_bytes(), claims.as_bytes());
        let secrets = [&b""[..], b"rahasia", &public(ISSUERS_KEY), document];
        for secret in secrets {
            let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), algorithm);
            let secret = format!("{message}.{}", signature.expect("any bytes are a secret"));
            assert!(DOOR.foreign(document, &secret, NOW_S).is_none(), "a shared secret counted with {text}");
        }
    }
    // A signature of another length or family is no signature, whatever the keys are.
    for name in ["ES256", "ES384", "RS256", "PS512", "none"] {
        let message = message(json!({"alg": name}).to_string().as_bytes(), claims.as_bytes());
        for len in [0, 64, 96, 256] {
            let secret = format!("{message}.{}", BASE64.encode(vec![0; len]));
            assert!(DOOR.foreign(document, &secret, NOW_S).is_none(), "zeros of {len} bytes counted with {text}");
        }
    }
}

/// A code is known only if it has the same ten characters, however they are typed.
fn code(bytes: &[u8]) {
    let typed = String::from_utf8_lossy(bytes);
    let spelt: String = typed
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .map(|c| match c.to_ascii_uppercase() {
            'I' | 'L' => '1',
            'O' => '0',
            other => other,
        })
        .collect();
    let hash = enrolment_hash(&typed);
    assert_eq!(hash, enrolment_hash(&spelt).filter(|_| typed.len() <= 64), "what is left out means nothing");
    let is_code = spelt == CODE.replace('-', "") && typed.len() <= 64;
    assert_eq!(hash.is_some() && hash == enrolment_hash(CODE), is_code, "{typed}");
    assert!(hash.is_none() || (spelt.len() == 10 && spelt.is_ascii()));
}
