//! Codes that phones exchange for tokens.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{self, Role, assignment::Own, identity_service_client::IdentityServiceClient};
use tonic::{Code, Status};

use crate::{
    door::Door,
    house::{House, OWN, ensure_code},
    process::Served,
};

async fn code(served: &Served, code_lifetime_s: i64) -> anyhow::Result<String> {
    let operator = Door::with(served.channel().await?, &served.operator()?);
    let own = Some(Own::AreaCode(OWN.to_owned()));
    let request = v1::CreateEnrolmentRequest {
        assignment: Some(v1::Assignment { role: Role::Satgas.into(), own }),
        purpose: "telepon contoh".to_owned(),
        lifetime: None,
        code_lifetime: Some(pbjson_types::Duration { seconds: code_lifetime_s, nanos: 0 }),
        subject: String::new(),
    };
    Ok(IdentityServiceClient::new(operator).create_enrolment(request).await?.into_inner().code)
}

/// As a phone does it: without a token.
async fn enrol(served: &Served, code: &str) -> anyhow::Result<Result<v1::EnrolResponse, Status>> {
    let mut phone = IdentityServiceClient::new(served.channel().await?);
    let answer = phone.enrol(v1::EnrolRequest { code: code.to_owned() }).await;
    Ok(answer.map(tonic::Response::into_inner))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_exchanged_once_for_a_token_of_its_assignment() -> anyhow::Result<()> {
    let house = House::open().await?;
    let code = code(&house.served, 600).await?;
    let enrolled = enrol(&house.served, &code.to_lowercase()).await??;
    let door = house.with(&enrolled.secret).await?;
    let who = IdentityServiceClient::new(door).who_am_i(v1::WhoAmIRequest {}).await?.into_inner();
    let assignment = who.assignment.context("an assignment")?;
    ensure!(assignment.role() == Role::Satgas && assignment.own == Some(Own::AreaCode(OWN.to_owned())));
    ensure_code(&enrol(&house.served, &code).await?, Code::Unauthenticated).context("a second time")?;
    for wrong in ["", "contoh", "0000000000", "00000-00000", &"0".repeat(1_000)] {
        ensure_code(&enrol(&house.served, wrong).await?, Code::Unauthenticated)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_phones_that_have_the_same_code_one_gets_in() -> anyhow::Result<()> {
    let house = House::open().await?;
    let code = code(&house.served, 600).await?;
    let mut phones = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (channel, code) = (house.served.channel().await?, code.clone());
        phones.spawn(async move { IdentityServiceClient::new(channel).enrol(v1::EnrolRequest { code }).await.is_ok() });
    }
    ensure!(phones.join_all().await.into_iter().filter(|got_in| *got_in).count() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_too_old_or_of_a_revoked_maker_is_refused() -> anyhow::Result<()> {
    let house = House::open().await?;
    let short = code(&house.served, 1).await?;
    // A stream's heartbeats tell the time, so that nothing here sleeps.
    let watched = house.door(Role::Dashboard, None).await?;
    let request = v1::SubscribeRequest {
        heartbeat_interval: Some(pbjson_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    let mut client = v1::event_service_client::EventServiceClient::new(watched);
    let mut stream = client.subscribe(request).await?.into_inner();
    let mut heartbeats = 0;
    while heartbeats < 2 {
        let message = stream.message().await?.context("it goes on")?;
        heartbeats += u8::from(message.notice() == v1::StreamNotice::Heartbeat);
    }
    ensure_code(&enrol(&house.served, &short).await?, Code::Unauthenticated).context("too old")?;

    let (id, secret) = house.token(Role::Operator, None, 600).await?;
    let own = Some(Own::AreaCode(OWN.to_owned()));
    let request = v1::CreateEnrolmentRequest {
        assignment: Some(v1::Assignment { role: Role::Satgas.into(), own }),
        purpose: "contoh".to_owned(),
        ..Default::default()
    };
    let mut second = IdentityServiceClient::new(house.with(&secret).await?);
    let code = second.create_enrolment(request).await?.into_inner().code;
    let revoke = v1::RevokeTokenRequest { token_id: id, reason: "contoh".to_owned() };
    let operator = house.served.operator()?;
    IdentityServiceClient::new(house.with(&operator).await?).revoke_token(revoke).await?;
    ensure_code(&enrol(&house.served, &code).await?, Code::Unauthenticated).context("of a revoked maker")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_codes_is_not_even_told_when_one_is_right() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start_with(&folder.path().join("data"), &[], &[("SATGAS_REFUSALS_PER_MINUTE", "3")])?;
    let right = code(&served, 600).await?;
    for _ in 0..3 {
        ensure_code(&enrol(&served, "00000-00000").await?, Code::Unauthenticated)?;
    }
    ensure_code(&enrol(&served, &right).await?, Code::ResourceExhausted)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_a_code_with_its_picture_and_exchanges_it() -> anyhow::Result<()> {
    let house = House::open().await?;
    let args = ["token", "enrol", "--role", "satgas", "--area", OWN, "--for", "telepon contoh"];
    let out = house.served.ask(&args)?.good()?;
    ensure!(out.contains('█'), "{out}");
    let code = out.lines().last().context("a code")?.to_owned();
    let file = house.folder.path().join("phone.token");
    let mut exchange = crate::process::satgas(&["token", "exchange", "--to"])
        .arg(&file)
        .env("SATGAS_SERVER_URL", &house.served.url)
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut exchange.stdin.take().context("a pipe")?, code.as_bytes())?;
    ensure!(exchange.wait()?.success());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file)?.permissions()) & 0o777;
    ensure!(mode == 0o600, "{mode:o}");
    let secret = std::fs::read_to_string(&file)?;
    let who = crate::process::ask(&house.served.url, secret.trim(), &["token", "whoami"])?.good()?;
    ensure!(who.contains("satgas") && who.contains(OWN), "{who}");
    Ok(())
}
