//! TLS: with certificates made here, exchanged while the server runs, and with clients that must show one.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use satgas_proto::v1::{self, identity_service_client::IdentityServiceClient};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::{
    door::Door,
    process::{Served, satgas},
};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// A certificate and its key, PEM.
    fn certify(&self, name: &str) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn write(folder: &Path, authority: &Authority) -> anyhow::Result<()> {
    let (certificate, key) = authority.certify("localhost")?;
    fs::write(folder.join("chain.pem"), certificate)?;
    fs::write(folder.join("key.pem"), key)?;
    Ok(fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600))?)
}

async fn connect(served: &Served, authority: &Authority, identity: Option<Identity>) -> anyhow::Result<Channel> {
    let address: SocketAddr = served.url.trim_start_matches("https://").parse()?;
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority.pem)).domain_name("localhost");
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let channel = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?.connect().await?;
    Ok(channel)
}

async fn who_am_i(served: &Served, channel: Channel) -> anyhow::Result<v1::WhoAmIResponse> {
    let door = Door::with(channel, &served.operator()?);
    Ok(IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await?.into_inner())
}

fn start(folder: &Path, more: &[&str]) -> anyhow::Result<Served> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (chain, key) = (path("chain.pem"), path("key.pem"));
    let flags = [&["--tls-certificate", &chain, "--tls-key", &key], more].concat();
    Served::start(&folder.join("data"), &flags)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_in_force_without_a_restart_and_a_broken_one_changes_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (first, second) = (Authority::new()?, Authority::new()?);
    write(folder.path(), &first)?;
    let served = start(folder.path(), &[])?;
    ensure!(served.url.starts_with("https://"), "{}", served.url);
    let before = connect(&served, &first, None).await?;
    who_am_i(&served, before.clone()).await?;
    ensure!(connect(&served, &second, None).await.is_err(), "an authority that has nothing to do with it");

    let hang_up = || -> anyhow::Result<()> {
        ensure!(Command::new("kill").args(["-HUP", &served.child.id().to_string()]).status()?.success());
        Ok(())
    };
    fs::write(folder.path().join("chain.pem"), "broken")?;
    hang_up()?;
    who_am_i(&served, connect(&served, &first, None).await?).await?;

    write(folder.path(), &second)?;
    hang_up()?;
    let changed = async {
        loop {
            if let Ok(channel) = connect(&served, &second, None).await {
                return who_am_i(&served, channel).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.context("the old certificate stays")??;
    who_am_i(&served, before).await.context("connections that are open go on")?;
    ensure!(connect(&served, &first, None).await.is_err(), "new ones get the new certificate");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_quick_while_hundreds_of_others_are_not_done() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    write(folder.path(), &authority)?;
    let served = start(folder.path(), &[])?;
    let address: SocketAddr = served.url.trim_start_matches("https://").parse()?;
    let silent: Result<Vec<_>, _> = (0..300).map(|_| std::net::TcpStream::connect(address)).collect();
    // A silent one is let go of after five seconds: this one does not wait for that.
    let connecting = tokio::time::timeout(Duration::from_secs(4), connect(&served, &authority, None));
    let channel = connecting.await.context("it is kept out")??;
    who_am_i(&served, channel).await?;
    drop(silent?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_must_show_a_certificate_one_of_another_authority_does_not_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (servers, clients, others) = (Authority::new()?, Authority::new()?, Authority::new()?);
    write(folder.path(), &servers)?;
    let authority = folder.path().join("clients.pem");
    fs::write(&authority, &clients.pem)?;
    let served = start(folder.path(), &["--tls-client-authority", authority.to_str().context("UTF-8")?])?;
    let identity = |authority: &Authority| {
        anyhow::Ok(authority.certify("contoh")?).map(|(certificate, key)| Identity::from_pem(certificate, key))
    };
    let ask = async |identity: Option<Identity>| who_am_i(&served, connect(&served, &servers, identity).await?).await;
    ask(Some(identity(&clients)?)).await?;
    ensure!(ask(None).await.is_err(), "none");
    ensure!(ask(Some(identity(&others)?)).await.is_err(), "another authority's");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_speaks_tls_and_keeps_its_token_off_open_lines() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    write(folder.path(), &authority)?;
    let ca = folder.path().join("authority.pem");
    fs::write(&ca, &authority.pem)?;
    let served = start(folder.path(), &[])?;
    let url = served.url.replace("127.0.0.1", "localhost");
    let operator = served.operator()?;
    let mut command = satgas(&["--server", &url, "token", "whoami"]);
    let answer = command.env("SATGAS_TOKEN", &operator).env("SATGAS_CA_FILE", &ca).output()?;
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    ensure!(String::from_utf8_lossy(&answer.stdout).contains("operator"));

    let mut open = satgas(&["--server", "http://192.0.2.1:5371", "token", "whoami"]);
    let answer = open.env("SATGAS_TOKEN", &operator).output()?;
    ensure!(String::from_utf8_lossy(&answer.stderr).contains("use https://"), "{answer:?}");
    Ok(())
}

#[test]
fn a_private_key_that_others_may_read_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), &Authority::new()?)?;
    let key = folder.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--tls-certificate",
        "chain.pem",
        "--tls-key",
        "key.pem",
        "--data",
        "data",
    ];
    let answer = satgas(&args).current_dir(folder.path()).output()?;
    let error = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.code() == Some(1) && error.contains("chmod 600"), "{error}");
    // A group that speaks TLS may read it.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
    ensure!(start(folder.path(), &[])?.terminate()? == Some(0));
    Ok(())
}

#[test]
fn beyond_loopback_nothing_is_served_without_tls() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let data = folder.path().join("data");
        let answer = satgas(&["serve", "--listen", listen, "--data"]).arg(&data).output()?;
        let error = String::from_utf8_lossy(&answer.stderr);
        ensure!(answer.status.code() == Some(1) && error.contains("--tls-certificate"), "{error}");
        ensure!(!data.exists(), "nothing was made");
    }
    let answer = satgas(&["serve", "--tls-key", "key.pem", "--data"]).arg(folder.path().join("data")).output()?;
    ensure!(String::from_utf8_lossy(&answer.stderr).contains("TLS needs both"), "{answer:?}");
    Ok(())
}
