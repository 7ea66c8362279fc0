//! The way back in: the operator's token is lost, or the key that signs tokens is exchanged.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{self, Role, identity_service_client::IdentityServiceClient};
use tonic::{Code, Status};

use crate::{
    door::{self, Door},
    house::ensure_code,
    process::{Served, satgas},
};

async fn ask(served: &Served, secret: &str) -> anyhow::Result<Result<v1::WhoAmIResponse, Status>> {
    let door = Door::with(served.channel().await?, secret);
    let answer = IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await;
    Ok(answer.map(tonic::Response::into_inner))
}

async fn supervisor(served: &Served) -> anyhow::Result<String> {
    let assignment = v1::Assignment { role: Role::Supervisor.into(), own: None };
    Ok(door::issue(&served.channel().await?, &served.operator()?, assignment, 3_600).await?.1)
}

async fn is_operators(served: &Served, secret: &str) -> anyhow::Result<bool> {
    Ok(ask(served, secret).await??.assignment.is_some_and(|assignment| assignment.role() == Role::Operator))
}

pub(crate) fn recover(data: &Path, more: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let answer = satgas(&["token", "recover", "--data"]).arg(data).args(more).output()?;
    Ok((answer.status.code(), String::from_utf8_lossy(&answer.stderr).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_signing_key_is_taken_away_every_token_ends_and_the_next_start_writes_one_for_the_operator()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let served = Served::start(&data, &[])?;
    let (operator, other) = (served.operator()?, supervisor(&served).await?);
    let mut client = IdentityServiceClient::new(Door::with(served.channel().await?, &operator));
    let enrolment = v1::CreateEnrolmentRequest {
        assignment: Some(v1::Assignment { role: Role::Supervisor.into(), own: None }),
        purpose: "contoh".to_owned(),
        ..Default::default()
    };
    let code = client.create_enrolment(enrolment).await?.into_inner().code;
    ensure!(served.terminate()? == Some(0));

    fs::remove_file(data.join("keys/signing.pem"))?;
    let served = Served::start(&data, &[])?;
    ensure!(served.operator()? != operator && is_operators(&served, &served.operator()?).await?);
    for former in [&operator, &other] {
        ensure_code(&ask(&served, former).await?, Code::Unauthenticated)?;
    }
    let enrolled = IdentityServiceClient::new(served.channel().await?).enrol(v1::EnrolRequest { code }).await;
    ensure_code(&enrolled, Code::Unauthenticated).context("a code that was made with a token of the former key")?;
    let listed = served.ask(&["token", "list", "--format", "csv"])?.good()?;
    ensure!(listed.lines().count() > 1 && !listed.contains("contoh,,"), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_operators_token_is_replaced_by_who_owns_the_folder_and_ends() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let served = Served::start(&data, &[])?;
    let (lost, other) = (served.operator()?, supervisor(&served).await?);
    let (code, error) = recover(&data, &[])?;
    ensure!(code == Some(1) && error.contains("is in use"), "{error}");
    ensure!(served.terminate()? == Some(0));

    fs::remove_file(data.join("keys/operator.token"))?;
    let (code, error) = recover(&data, &[])?;
    ensure!(code == Some(0) && error.contains("operator.token"), "{error}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(data.join("keys/operator.token"))?.permissions());
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    let served = Served::start(&data, &[])?;
    let recovered = served.operator()?;
    ensure!(!error.contains(&recovered), "the secret lies in its file alone");
    ensure!(is_operators(&served, &recovered).await?);
    ensure_code(&ask(&served, &lost).await?, Code::Unauthenticated).context("whoever finds it has nothing")?;
    ensure!(ask(&served, &other).await?.is_ok(), "tokens of others go on");
    let listed = served.ask(&["token", "list", "--all"])?.good()?;
    ensure!(listed.contains("the operator's token, recovered"), "it stands in the access log: {listed}");
    ensure!(served.terminate()? == Some(0));

    let (code, error) = recover(&data, &["--new-key"])?;
    ensure!(code == Some(0) && error.contains("every token"), "{error}");
    let served = Served::start(&data, &[])?;
    ensure!(is_operators(&served, &served.operator()?).await?);
    for former in [&recovered, &other] {
        ensure_code(&ask(&served, former).await?, Code::Unauthenticated)?;
    }
    Ok(())
}

#[test]
fn a_folder_without_a_log_gets_no_token() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("mistyped");
    let (code, error) = recover(&data, &[])?;
    ensure!(code == Some(1) && error.contains("is it the right folder?"), "{error}");
    ensure!(!data.exists(), "nothing was made");
    Ok(())
}
