//! Tokens that must not count, and what happens to streams when theirs stop counting.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use satgas_proto::v1::{
    self, Role, evaluation_service_client::EvaluationServiceClient, event_service_client::EventServiceClient,
    identity_service_client::IdentityServiceClient,
};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use crate::{
    house::{House, ensure_code, refused},
    process::Served,
};

/// How long an end may take to be noticed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn who_am_i(house: &House, secret: &str) -> anyhow::Result<Result<v1::WhoAmIResponse, Status>> {
    let answer = IdentityServiceClient::new(house.with(secret).await?).who_am_i(v1::WhoAmIRequest {}).await;
    Ok(answer.map(tonic::Response::into_inner))
}

/// Claims as the server makes them, of a token that exists.
fn claims(id: &str) -> Value {
    json!({ "iss": "satgas", "aud": "satgas", "jti": id, "iat": 1_773_100_800, "exp": 4_000_000_000_i64 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_server_did_not_make_for_this_is_refused() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (id, good) = house.token(Role::Supervisor, None, 3_600).await?;
    ensure!(who_am_i(&house, &good).await?.is_ok());

    let pem = std::fs::read(house.folder.path().join("data/keys/signing.pem"))?;
    let key = EncodingKey::from_ed_pem(&pem)?;
    let sign = |claims: &Value| jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &key);
    ensure!(who_am_i(&house, &sign(&claims(&id))?).await?.is_ok(), "what is below fails for its own reason only");
    let with = |field: &str, value: Value| {
        let mut claims = claims(&id);
        claims[field] = value;
        sign(&claims)
    };
    let without = |field: &str| {
        let mut claims = claims(&id);
        claims.as_object_mut().map(|claims| claims.remove(field));
        sign(&claims)
    };
    let mut bad = vec![
        ("another audience", with("aud", json!("another"))?),
        ("another issuer", with("iss", json!("another"))?),
        ("an id that was never issued", with("jti", json!("01999d0c-8b1c-7000-8000-000000000001"))?),
        ("ended by its own words", with("exp", json!(1_773_100_801))?),
        ("without an audience", without("aud")?),
        ("without an issuer", without("iss")?),
        ("without an end", without("exp")?),
        ("nothing", String::new()),
        ("no token", "contoh".to_owned()),
        ("longer than any", "x".repeat(8 * 1024)),
    ];
    let other_pem = another_key();
    let other = EncodingKey::from_ed_pem(other_pem.as_bytes())?;
    bad.push(("signed by another key", jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims(&id), &other)?));
    let payload = good.split('.').nth(1).context("a payload")?;
    // {"alg":"none","typ":"JWT"}
    bad.push(("not signed", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")));
    bad.push(("its signature cut off", format!("{}.", good.rsplit_once('.').context("a signature")?.0)));
    for (what, secret) in public_key_forms(&pem)? {
        let confused = EncodingKey::from_secret(&secret);
        bad.push((what, jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(&id), &confused)?));
    }
    let mut critical = Header::new(Algorithm::EdDSA);
    critical.crit = Some(vec!["contoh".to_owned()]);
    bad.push(("a header that must be understood", jsonwebtoken::encode(&critical, &claims(&id), &key)?));
    for (what, secret) in bad {
        let answer = who_am_i(&house, &secret).await?;
        ensure_code(&answer, Code::Unauthenticated).context(what)?;
    }
    Ok(())
}

fn another_key() -> String {
    use ed25519_dalek::pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding};
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    key.to_pkcs8_pem(LineEnding::LF).expect("a key encodes").to_string()
}

/// The public key in the forms in which somebody could have it.
fn public_key_forms(pem: &[u8]) -> anyhow::Result<[(&'static str, Vec<u8>); 2]> {
    use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, spki::der::pem::LineEnding};
    let key = ed25519_dalek::SigningKey::from_pkcs8_pem(std::str::from_utf8(pem)?)?.verifying_key();
    let public = key.to_public_key_pem(LineEnding::LF)?;
    Ok([("HS256 with the public key's bytes", key.to_bytes().to_vec()), ("HS256 with its PEM", public.into_bytes())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purpose_or_reason_that_would_write_on_others_screens_is_refused() -> anyhow::Result<()> {
    let house = House::open().await?;
    let operator = house.served.operator()?;
    let mut client = IdentityServiceClient::new(house.with(&operator).await?);
    for text in ["a\u{1b}[2Jb", "satu\ndua", "satu\u{9b}dua", "\0", "...", "12/7"] {
        let assignment = Some(v1::Assignment { role: Role::Supervisor.into(), own: None });
        let issue =
            v1::IssueTokenRequest { assignment: assignment.clone(), purpose: text.to_owned(), ..Default::default() };
        ensure_code(&client.issue_token(issue).await, Code::InvalidArgument)?;
        let enrol = v1::CreateEnrolmentRequest { assignment, purpose: text.to_owned(), ..Default::default() };
        ensure_code(&client.create_enrolment(enrol).await, Code::InvalidArgument)?;
        let revoke = v1::RevokeTokenRequest { token_id: "oidc-contoh".to_owned(), reason: text.to_owned() };
        ensure_code(&client.revoke_token(revoke).await, Code::InvalidArgument)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_in_one_call_are_none() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (_, good) = house.token(Role::Supervisor, None, 3_600).await?;
    let mut request = Request::new(v1::WhoAmIRequest {});
    for _ in 0..2 {
        request.metadata_mut().append("authorization", format!("Bearer {good}").parse()?);
    }
    let mut client = IdentityServiceClient::new(house.served.channel().await?);
    ensure_code(&client.who_am_i(request).await, Code::Unauthenticated)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_when_it_expires_and_its_stream_with_it() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (_, secret) = house.token(Role::Dashboard, None, 3).await?;
    let door = house.with(&secret).await?;
    let mut stream = EventServiceClient::new(door).subscribe(v1::SubscribeRequest::default()).await?.into_inner();
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => anyhow::bail!("it ended without a word"),
                Err(status) => return Ok(status),
            }
        }
    });
    let status = ended.await.context("the stream outlives its token")??;
    ensure!(status.code() == Code::Unauthenticated, "{status:?}");
    ensure_code(&who_am_i(&house, &secret).await?, Code::Unauthenticated)
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_ends_the_next_call_and_every_open_stream_at_once_and_for_ever() -> anyhow::Result<()> {
    let house = House::open().await?;
    let (id, secret) = house.token(Role::Supervisor, None, 3_600).await?;
    let door = house.with(&secret).await?;
    let mut events =
        EventServiceClient::new(door.clone()).subscribe(v1::SubscribeRequest::default()).await?.into_inner();
    let watch = v1::WatchEvaluationsRequest::default();
    let mut watched = EvaluationServiceClient::new(door).watch_evaluations(watch).await?.into_inner();
    events.message().await?.context("events")?;
    watched.message().await?.context("evaluations")?;

    let revoke = v1::RevokeTokenRequest { token_id: id, reason: "contoh".to_owned() };
    let operator = house.served.operator()?;
    IdentityServiceClient::new(house.with(&operator).await?).revoke_token(revoke).await?;
    ensure_code(&who_am_i(&house, &secret).await?, Code::Unauthenticated)?;
    let begun = Instant::now();
    let ended = async {
        let events = loop {
            if let Err(status) = events.message().await {
                break status;
            }
        };
        let watched = loop {
            if let Err(status) = watched.message().await {
                break status;
            }
        };
        (events, watched)
    };
    let (events, watched) = tokio::time::timeout(PATIENCE, ended).await.context("a stream goes on")?;
    ensure!(events.code() == Code::Unauthenticated && watched.code() == Code::Unauthenticated);
    ensure!(begun.elapsed() < Duration::from_secs(5), "at once");

    let House { served, folder, .. } = house;
    ensure!(served.terminate()? == Some(0));
    let served = Served::start(&folder.path().join("data"), &[])?;
    let door = crate::door::Door::with(served.channel().await?, &secret);
    let after = IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await;
    ensure_code(&after, Code::Unauthenticated)?;
    let door = crate::door::Door::with(served.channel().await?, &operator);
    IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await.context("the others stay")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_long_are_refused_and_the_server_goes_on() -> anyhow::Result<()> {
    let house = House::open().await?;
    let operator = house.served.operator()?;
    let mut request = Request::new(v1::WhoAmIRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {}", "x".repeat(200 * 1024)).parse()?);
    let mut client = IdentityServiceClient::new(house.served.channel().await?);
    refused(client.who_am_i(request).await)?;
    ensure!(who_am_i(&house, &operator).await?.is_ok());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_refused_too_often_is_told_so_and_good_tokens_go_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start_with(&folder.path().join("data"), &[], &[("SATGAS_REFUSALS_PER_MINUTE", "5")])?;
    let ask = async |secret: &str| {
        let door = crate::door::Door::with(served.channel().await?, secret);
        anyhow::Ok(IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await)
    };
    for _ in 0..5 {
        ensure_code(&ask("contoh").await?, Code::Unauthenticated)?;
    }
    ensure_code(&ask("contoh").await?, Code::ResourceExhausted)?;
    ensure!(ask(&served.operator()?).await?.is_ok());
    Ok(())
}
