//! Tokens of an OpenID Connect issuer on loopback, with keys that it exchanges.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{Jwk, JwkSet},
};
use rcgen::KeyPair;
use satgas_proto::v1::{self, Role, assignment::Own, identity_service_client::IdentityServiceClient};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
};
use tonic::{Code, Status};

use crate::{
    door::Door,
    house::{OWN, ensure_code},
    process::Served,
};

const ISSUER: &str = "https://masuk.contoh";

/// Publishes keys over HTTP, and signs with them.
struct Issuer {
    url: String,
    published: Arc<Mutex<String>>,
    /// Whether it takes requests and never answers.
    hangs: Arc<AtomicBool>,
    /// How many requests there were.
    asked: watch::Receiver<usize>,
}

struct Key {
    id: &'static str,
    algorithm: Algorithm,
    signing: EncodingKey,
    public: Jwk,
}

impl Key {
    fn new(id: &'static str, algorithm: Algorithm) -> anyhow::Result<Self> {
        let (signing, mut public) = if algorithm == Algorithm::ES256 {
            let signing = EncodingKey::from_ec_pem(KeyPair::generate()?.serialize_pem().as_bytes())?;
            let public = Jwk::from_encoding_key(&signing, algorithm)?;
            (signing, public)
        } else {
            let key = SigningKey::from_bytes(&rand::random());
            let public = DecodingKey::from_ed_der(key.verifying_key().as_bytes());
            let public = Jwk::from_decoding_key(&public, Some(algorithm))?;
            (EncodingKey::from_ed_der(key.to_pkcs8_der()?.as_bytes()), public)
        };
        public.common.key_id = Some(id.to_owned());
        Ok(Self { id, algorithm, signing, public })
    }

    fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        Ok(jsonwebtoken::encode(&header, claims, &self.signing)?)
    }
}

impl Issuer {
    async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/keys", listener.local_addr()?);
        let published = Arc::new(Mutex::new(String::new()));
        let hangs = Arc::new(AtomicBool::new(false));
        let (ask, asked) = watch::channel(0);
        let (serving, hanging) = (Arc::clone(&published), Arc::clone(&hangs));
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                ask.send_modify(|asked| *asked += 1);
                if hanging.load(Ordering::SeqCst) {
                    unanswered.push(stream);
                    continue;
                }
                let body = serving.lock().map(|body| body.clone()).unwrap_or_default();
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok() {
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                    // A client that has gone needs no answer.
                    let _ = stream.write_all((head + &body).as_bytes()).await;
                }
            }
        });
        Ok(Self { url, published, hangs, asked })
    }

    fn publish(&self, keys: &[&Key]) -> anyhow::Result<()> {
        let keys = keys.iter().map(|key| key.public.clone()).collect();
        let set = serde_json::to_string(&JwkSet { keys })?;
        *self.published.lock().map_err(|_| anyhow::anyhow!("a task panicked"))? = set;
        Ok(())
    }
}

fn config(keys: &str) -> String {
    format!(
        "[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"satgas-kupang\"\nkeys = \"{keys}\"\n\
         [[issuers.roles]]\nclaim = \"groups\"\nvalue = \"p3a\"\nrole = \"supervisor\"\n\
         [[issuers.roles]]\nclaim = \"groups\"\nvalue = \"kelurahan\"\nrole = \"satgas\"\nown_claim = \"area\"\n\
         [[issuers.roles]]\nclaim = \"groups\"\nvalue = \"impor\"\nrole = \"satgas\"\nown_claim = \"area\"\nall_areas = true\n"
    )
}

fn start(folder: &std::path::Path, keys: &str) -> anyhow::Result<Served> {
    let file = folder.join("satgas.toml");
    std::fs::write(&file, config(keys))?;
    Served::start(&folder.join("data"), &["--config", file.to_str().context("UTF-8")?])
}

async fn ask(served: &Served, secret: &str) -> anyhow::Result<Result<v1::WhoAmIResponse, Status>> {
    let door = Door::with(served.channel().await?, secret);
    let answer = IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await;
    Ok(answer.map(tonic::Response::into_inner))
}

fn claims(more: &[(&str, Value)]) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "satgas-kupang", "sub": "orang-contoh", "exp": 4_000_000_000_i64, "groups": ["p3a", "staf"],
    });
    for (claim, value) in more {
        claims[*claim] = value.clone();
    }
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_become_roles_and_what_does_not_fit_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let issuer = Issuer::start().await?;
    let (key, ec, other) =
        (Key::new("a", Algorithm::EdDSA)?, Key::new("b", Algorithm::ES256)?, Key::new("a", Algorithm::EdDSA)?);
    issuer.publish(&[&key, &ec])?;
    let served = start(folder.path(), &issuer.url)?;
    for key in [&key, &ec] {
        let who = ask(&served, &key.sign(&claims(&[]))?).await??;
        ensure!(who.assignment.is_some_and(|a| a.role() == Role::Supervisor));
        ensure!(who.token_id.starts_with("oidc-") && !who.token_id.contains("orang"), "{}", who.token_id);
    }
    let kelurahan = claims(&[("groups", json!("kelurahan")), ("area", json!(OWN))]);
    let who = ask(&served, &key.sign(&kelurahan)?).await??;
    let assignment = who.assignment.context("an assignment")?;
    ensure!(assignment.role() == Role::Satgas && assignment.own == Some(Own::AreaCode(OWN.to_owned())));

    let public = serde_json::to_vec(&key.public)?;
    let confused = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
    let mut critical = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::EdDSA) };
    critical.crit = Some(vec!["contoh".to_owned()]);
    let import = claims(&[("groups", json!("impor")), ("area", json!("*"))]);
    let who = ask(&served, &key.sign(&import)?).await??;
    ensure!(who.assignment.and_then(|a| a.own) == Some(Own::AreaCode("*".to_owned())), "where it is configured");
    let bad = BTreeMap::from([
        ("no group that is mapped", key.sign(&claims(&[("groups", json!(["staf"]))]))?),
        ("a kelurahan without its area", key.sign(&claims(&[("groups", json!("kelurahan"))]))?),
        ("another audience", key.sign(&claims(&[("aud", json!("another"))]))?),
        ("another issuer", key.sign(&claims(&[("iss", json!("https://another.contoh"))]))?),
        ("expired", key.sign(&claims(&[("exp", json!(1_773_100_800))]))?),
        ("not yet valid", key.sign(&claims(&[("nbf", json!(3_900_000_000_i64))]))?),
        ("a beginning with a fraction", key.sign(&claims(&[("nbf", json!(3_900_000_000.5))]))?),
        ("a beginning beyond all clocks", key.sign(&claims(&[("nbf", json!(9_000_000_000_000_000_000_i64))]))?),
        ("a beginning that is none", key.sign(&claims(&[("nbf", json!("besok"))]))?),
        ("all areas", key.sign(&claims(&[("groups", json!("kelurahan")), ("area", json!("*"))]))?),
        ("a header that must be understood", jsonwebtoken::encode(&critical, &claims(&[]), &key.signing)?),
        ("another key under the same name", other.sign(&claims(&[]))?),
        (
            "HS256 with the public key",
            jsonwebtoken::encode(&confused, &claims(&[]), &EncodingKey::from_secret(&public))?,
        ),
        ("as if this server had issued it", key.sign(&claims(&[("iss", json!("satgas"))]))?),
    ]);
    for (what, secret) in bad {
        ensure_code(&ask(&served, &secret).await?, Code::Unauthenticated).context(what)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_can_be_revoked_here() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let issuer = Issuer::start().await?;
    let key = Key::new("a", Algorithm::EdDSA)?;
    issuer.publish(&[&key])?;
    let served = start(folder.path(), &issuer.url)?;
    let secret = key.sign(&claims(&[]))?;
    let token_id = ask(&served, &secret).await??.token_id;
    // A sign-out must not shut the account out for ever.
    let door = Door::with(served.channel().await?, &secret);
    let ended = IdentityServiceClient::new(door).end_own_token(v1::EndOwnTokenRequest::default()).await;
    ensure_code(&ended, Code::FailedPrecondition)?;
    ensure!(ask(&served, &secret).await?.is_ok());
    // Tokens of this server that the same person has are named, and go on.
    let issue = async |subject: &str| {
        let assignment = v1::Assignment { role: Role::Supervisor.into(), own: None };
        crate::door::issue_to(subject, &served.channel().await?, &served.operator()?, assignment, 3_600).await
    };
    let (first, _) = issue(&token_id).await?;
    let (second, secret_here) = issue(&first).await?;
    let (another, _) = issue("petugas-18").await?;
    ensure!(ask(&served, &secret_here).await??.subject == token_id, "the account, however long the chain");
    let told = served.ask(&["token", "revoke", &first, "--reason", "contoh"])?.good()?;
    ensure!(told.contains("still valid") && told.contains(&second) && !told.contains(&another), "{told}");
    let told = served.ask(&["token", "revoke", &token_id, "--reason", "contoh"])?.good()?;
    ensure!(told.contains("still valid") && told.contains(&second) && !told.contains(&another), "{told}");
    ensure!(ask(&served, &secret_here).await?.is_ok());
    let told = served.ask(&["token", "revoke", &second, "--reason", "contoh"])?.good()?;
    ensure!(told.is_empty(), "{told}");
    ensure_code(&ask(&served, &secret).await?, Code::Unauthenticated)?;
    let another = key.sign(&claims(&[("sub", json!("orang-contoh-2"))]))?;
    ensure!(ask(&served, &another).await?.is_ok());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_when_a_token_names_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let issuer = Issuer::start().await?;
    let (old, new) = (Key::new("old", Algorithm::EdDSA)?, Key::new("new", Algorithm::EdDSA)?);
    issuer.publish(&[&old])?;
    let served = start(folder.path(), &issuer.url)?;
    ask(&served, &old.sign(&claims(&[]))?).await??;
    issuer.publish(&[&new])?;
    let rotated = async {
        // The pause between two fetches has to pass.
        while ask(&served, &new.sign(&claims(&[]))?).await?.is_err() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(20), rotated).await.context("the new key is not taken")??;
    ensure_code(&ask(&served, &old.sign(&claims(&[]))?).await?, Code::Unauthenticated).context("the old key")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_hangs_holds_up_nobody_whose_key_is_known_and_is_asked_once_at_a_time() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let issuer = Issuer::start().await?;
    let (key, invented) = (Key::new("a", Algorithm::EdDSA)?, Key::new("invented", Algorithm::EdDSA)?);
    issuer.publish(&[&key])?;
    let served = start(folder.path(), &issuer.url)?;
    let known = key.sign(&claims(&[]))?;
    ask(&served, &known).await??;

    issuer.hangs.store(true, Ordering::SeqCst);
    let before = *issuer.asked.borrow();
    // Anybody can make such a token.
    let forged = invented.sign(&claims(&[]))?;
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let door = Door::with(served.channel().await?, &forged);
        strangers.spawn(async move { IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await });
    }
    let mut asked = issuer.asked.clone();
    tokio::time::timeout(Duration::from_secs(20), asked.wait_for(|asked| *asked > before)).await??;
    // The server gives a fetch ten seconds, and four to who waits for one.
    tokio::time::timeout(Duration::from_secs(3), ask(&served, &known)).await.context("a known key waits")???;
    for answer in tokio::time::timeout(Duration::from_secs(8), strangers.join_all()).await? {
        ensure_code(&answer, Code::Unauthenticated)?;
    }
    ensure!(*asked.borrow() == before + 1, "one fetch at a time");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_lie_in_a_file_and_a_url_that_is_open_to_others_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let key = Key::new("a", Algorithm::EdDSA)?;
    let file = folder.path().join("keys.json");
    std::fs::write(&file, serde_json::to_string(&JwkSet { keys: vec![key.public.clone()] })?)?;
    let served = start(folder.path(), file.to_str().context("UTF-8")?)?;
    ask(&served, &key.sign(&claims(&[]))?).await??;
    ensure!(served.terminate()? == Some(0));

    let open = folder.path().join("open.toml");
    std::fs::write(&open, config("http://masuk.contoh/keys"))?;
    let args = ["serve", "--listen", "127.0.0.1:0", "--config", open.to_str().context("UTF-8")?, "--data"];
    let answer = crate::process::satgas(&args).arg(folder.path().join("data")).output()?;
    let error = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.code() == Some(1) && error.contains("http:// within this machine"), "{error}");
    Ok(())
}
