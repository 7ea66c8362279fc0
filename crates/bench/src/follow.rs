//! Subscribers: one that catches up, one that is awaited, a hundred that do not read; and evaluations asked for meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use prost::bytes::Bytes;
use satgas_proto::v1::{
    AsOf, ListEvaluationsRequest, RegisterRequest, RegistryEntry, StreamNotice, Submission, SubmitRequest,
    SubscribeRequest, SubscribeResponse, as_of, evaluation_service_client::EvaluationServiceClient,
    event_service_client::EventServiceClient, registry_service_client::RegistryServiceClient,
    submission_service_client::SubmissionServiceClient, subscribe_request::Start,
};
use tonic::{Request, Streaming, codegen::http::uri::PathAndQuery, transport::Endpoint};
use tonic_prost::ProstCodec;

use crate::{
    door::Door,
    load::{self, latencies, micros},
    served::Served,
};

/// A subscription that takes longer to catch up is stuck.
pub(crate) const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// Bytes that a stalled subscriber's own side takes before the server must hold on.
const STALLED_WINDOW_BYTES: u32 = 65_535;
/// Between two looks at the server's memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `SubscribeResponse` for a client that takes events as bytes, such as one that stores or forwards them.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Undecoded {
    /// Events as they are stored.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) events: Vec<Bytes>,
    /// A notice, when it is one.
    #[prost(enumeration = "StreamNotice", tag = "3")]
    pub(crate) notice: i32,
}

/// Registers all entries or fails.
pub(crate) async fn register(channel: Door, entries: Vec<RegistryEntry>) -> Result<()> {
    let request = RegisterRequest { entries, skip_bad: false };
    let answer = RegistryServiceClient::new(channel).register(request).await?.into_inner();
    ensure!(answer.refused.is_empty(), "the registry was refused: {:?}", answer.refused);
    Ok(())
}

/// Reads from the beginning to the end as the generated client does, events decoded. Events, and the time it took.
pub(crate) async fn catch_up(channel: Door) -> Result<(u64, Duration)> {
    let started = Instant::now();
    let stream = EventServiceClient::new(channel).subscribe(SubscribeRequest::default()).await?.into_inner();
    counted(stream, started, |message: &SubscribeResponse| (message.events.len(), message.notice())).await
}

/// As [`catch_up`], but leaves each event in its bytes.
pub(crate) async fn catch_up_undecoded(channel: Door) -> Result<(u64, Duration)> {
    let started = Instant::now();
    let stream = subscribe_undecoded(channel, SubscribeRequest::default()).await?;
    counted(stream, started, |message: &Undecoded| (message.events.len(), message.notice())).await
}

/// Subscribes and leaves each event in its bytes.
pub(crate) async fn subscribe_undecoded(channel: Door, request: SubscribeRequest) -> Result<Streaming<Undecoded>> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = PathAndQuery::from_static("/satgas.v1.EventService/Subscribe");
    let codec = ProstCodec::<SubscribeRequest, Undecoded>::default();
    Ok(client.server_streaming(Request::new(request), path, codec).await?.into_inner())
}

/// Counts events until the stream says that it caught up.
async fn counted<M>(
    mut stream: Streaming<M>,
    started: Instant,
    look: impl Fn(&M) -> (usize, StreamNotice),
) -> Result<(u64, Duration)> {
    let mut events = 0;
    tokio::time::timeout(CATCH_UP_MAX, async {
        while let Some(message) = stream.message().await? {
            let (more, notice) = look(&message);
            events += more as u64;
            if notice == StreamNotice::CaughtUp {
                return Ok((events, started.elapsed()));
            }
        }
        bail!("the stream ended before it caught up")
    })
    .await?
}

/// One writer submits the visits one after the other; from each call to the event at a subscriber on another connection.
pub(crate) async fn append_to_subscriber(
    writer: Door,
    reader: Door,
    visits: Vec<Submission>,
) -> Result<Histogram<u64>> {
    let from_now = SubscribeRequest { start: Some(Start::FromNow(Default::default())), ..Default::default() };
    let mut stream = EventServiceClient::new(reader).subscribe(from_now).await?.into_inner();
    let first = stream.message().await?.context("the stream ended")?;
    ensure!(first.notice() == StreamNotice::CaughtUp, "a stream from now on begins with the notice that it caught up");
    let count = visits.len();
    let reading = tokio::spawn(async move {
        let mut arrivals = Vec::with_capacity(count);
        while arrivals.len() < count {
            let message = stream.message().await?.context("the stream ended")?;
            let now = Instant::now();
            arrivals.extend(message.events.iter().map(|event| (event.position, now)));
        }
        Ok::<_, anyhow::Error>(arrivals)
    });
    let mut writer = SubmissionServiceClient::new(writer);
    let mut calls = Vec::with_capacity(count);
    for visit in visits {
        let called = Instant::now();
        let answer = writer.submit(SubmitRequest { submission: Some(visit) }).await?.into_inner();
        calls.push((answer.receipt.context("an answer without a receipt")?.position, called));
    }
    let arrivals = tokio::time::timeout(CATCH_UP_MAX, reading).await???;
    delays(calls, arrivals)
}

/// From each call to the arrival of what it wrote. Both lists are of positions with moments, in the order of the calls; they must agree.
pub(crate) fn delays(calls: Vec<(u64, Instant)>, arrivals: Vec<(u64, Instant)>) -> Result<Histogram<u64>> {
    ensure!(calls.len() == arrivals.len(), "{} were written and {} read", calls.len(), arrivals.len());
    let mut latencies = latencies();
    for ((written, called), (read, arrived)) in calls.into_iter().zip(arrivals) {
        ensure!(written == read, "position {written} was written and {read} read in its place");
        latencies.saturating_record(micros(arrived.duration_since(called)));
    }
    Ok(latencies)
}

/// Subscribers that take nothing.
#[derive(Default)]
pub(crate) struct Stalled {
    open: Vec<tonic::Response<Streaming<SubscribeResponse>>>,
}

impl Stalled {
    /// Opens more subscriptions from the beginning, each on a connection of its own, and reads nothing. The most memory that the
    /// server had within `time`, beyond what it had before, in bytes.
    pub(crate) async fn add(&mut self, served: &Served, subscribers: usize, time: Duration) -> Result<u64> {
        let before = served.memory()?.resident;
        for _ in 0..subscribers {
            let endpoint = Endpoint::from_shared(served.url.clone())?
                .initial_stream_window_size(STALLED_WINDOW_BYTES)
                .initial_connection_window_size(STALLED_WINDOW_BYTES);
            let channel = endpoint.connect().await.context("the server cannot be reached")?;
            let channel = Door::by_role(channel, served.tokens().await?);
            self.open.push(EventServiceClient::new(channel).subscribe(SubscribeRequest::default()).await?);
        }
        let started = Instant::now();
        let mut most = before;
        while started.elapsed() < time {
            most = most.max(served.memory()?.resident);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(most - before)
    }
}

/// Asks for a list of evaluations of a known length, one list after the other, while records arrive at a fixed rate. The
/// latencies of the lists, and the records a second that were reached.
pub(crate) async fn evaluations(
    lists: Door,
    writers: Vec<Door>,
    visits: Vec<Submission>,
    per_second: f64,
    (request, length): (ListEvaluationsRequest, usize),
) -> Result<(Histogram<u64>, f64)> {
    let writing = tokio::spawn(load::paced(writers, visits, per_second));
    let mut lists = EvaluationServiceClient::new(lists);
    let mut latencies = latencies();
    while !writing.is_finished() {
        let called = Instant::now();
        let listed = lists.list_evaluations(request.clone()).await?.into_inner().evaluations.len();
        latencies.saturating_record(micros(called.elapsed()));
        ensure!(listed == length, "{listed} evaluations instead of {length}");
    }
    Ok((latencies, writing.await??.rate()))
}

/// The position that a list of all kelurahan for the year is made of: as of a position, or now.
pub(crate) async fn listed_at(lists: Door, position: Option<u64>, kelurahan: usize) -> Result<u64> {
    let as_of = position.map(|position| AsOf { at: Some(as_of::At::Position(position)) });
    let request = ListEvaluationsRequest { period: crate::city::year(), as_of, ..Default::default() };
    let listed = EvaluationServiceClient::new(lists).list_evaluations(request).await?.into_inner().evaluations;
    ensure!(listed.len() == kelurahan, "{} evaluations instead of {kelurahan}", listed.len());
    Ok(listed.into_iter().next().and_then(|evaluation| evaluation.basis).unwrap_or_default().position)
}
