//! What somebody without a token can do to a server: little, and not for long.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use satgas_proto::v1::{self, identity_service_client::IdentityServiceClient};
use tonic::{
    Code, Status,
    codegen::{
        Service as _,
        http::{HeaderMap, Request},
    },
    transport::Channel,
};

use crate::{
    house::{ensure_code, refused},
    process::Served,
};

/// How long anything here may take on a busy machine; less than the server grants a request unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(15);
/// What anybody may call, and answers with a status.
const OPEN: [&str; 2] = ["/satgas.v1.IdentityService/Enrol", "/grpc.health.v1.Health/Check"];
/// What anybody may call, and whose stream just ends.
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Begins a call with a message of which so many bytes are announced and so many come, and never ends it.
async fn begin(mut channel: Channel, path: &str, announced: u32, sent: usize) -> anyhow::Result<Status> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&announced.to_be_bytes());
    bytes.resize(bytes.len() + sent, 0);
    let endless = std::future::pending::<Option<Result<HeaderMap, std::convert::Infallible>>>();
    let body = tonic::body::Body::new(Full::new(Bytes::from(bytes)).with_trailers(endless));
    let request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers").body(body)?;
    std::future::poll_fn(|context| channel.poll_ready(context)).await?;
    let answer = tokio::time::timeout(PATIENCE, channel.call(request)).await.context("it waits for the end")??;
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return Ok(status);
    }
    let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.context("the stream goes on")??;
    Status::from_header_map(body.trailers().context("no status")?).context("no status")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_may_call_takes_a_few_kib_and_more_is_refused_before_it_has_come() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    for path in OPEN {
        let status = begin(served.channel().await?, path, 64 * 1024, 10).await.context(path)?;
        ensure!(status.code() == Code::InvalidArgument, "{path}: {status:?}");
    }
    begin(served.channel().await?, REFLECTION, 64 * 1024, 10).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_end_does_not_come_is_let_go_of() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start_with(&folder.path().join("data"), &[], &[("SATGAS_REQUEST_DEADLINE_S", "1")])?;
    for path in OPEN {
        let status = begin(served.channel().await?, path, 100, 99).await.context(path)?;
        ensure!(status.code() == Code::DeadlineExceeded, "{path}: {status:?}");
    }
    begin(served.channel().await?, REFLECTION, 100, 99).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_too_long_is_told_so() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let mut client = IdentityServiceClient::new(served.channel().await?);
    let answer = client.enrol(v1::EnrolRequest { code: "0".repeat(8 * 1024) }).await;
    ensure_code(&answer, Code::InvalidArgument)?;
    ensure!(refused(answer)?.message().contains("too large"));
    Ok(())
}
