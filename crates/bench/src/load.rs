//! Load on the server: calls of many callers, one after the other for each, and streams of submissions.
//!
//! Everything is made before the time is taken, and only what was acknowledged as new counts: any other answer fails the run.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use satgas_proto::v1::{
    Receipt, ReceiptStatus, Submission, SubmitBatchRequest, SubmitRequest, WhoAmIRequest,
    identity_service_client::IdentityServiceClient, submission_service_client::SubmissionServiceClient,
};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{door::Door, served::Served};

/// A run that takes longer stops where it is, and what was acknowledged until then counts.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Empty calls that each caller makes before the time is taken: the stated warm-up.
pub(crate) const WARM_UP_CALLS: usize = 20;
/// Messages of a stream that may wait on the client's side.
const MESSAGES_WAITING: usize = 64;

/// Latencies in microseconds, up to a minute, with three significant digits.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order and three digits are allowed")
}

/// A latency's microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A quantile in milliseconds.
pub(crate) fn quantile_ms(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1_000.0
}

/// What a load achieved.
pub(crate) struct Achieved {
    /// Answers that count.
    pub(crate) count: u64,
    /// From the first call to the last answer.
    pub(crate) took: Duration,
    /// Of each answer, in microseconds.
    pub(crate) latencies: Histogram<u64>,
}

impl Achieved {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }
}

/// Opens connections of their own and gives each of the callers one of them, in turn.
pub(crate) async fn connect(served: &Served, callers: usize, connections: usize) -> Result<Vec<Door>> {
    let mut open = Vec::new();
    let tokens = served.tokens().await?;
    for _ in 0..connections.min(callers).max(1) {
        let channel = Endpoint::from_shared(served.url.clone())?.tcp_nodelay(true).connect().await;
        open.push(Door::by_role(channel.context("the server cannot be reached")?, tokens.clone()));
    }
    Ok((0..callers).map(|caller| open[caller % open.len()].clone()).collect())
}

/// Submits the visits one by one; as many writers, each of which waits for its answer before it goes on.
pub(crate) async fn appends(channels: Vec<Door>, visits: Vec<Submission>) -> Result<Achieved> {
    warm_up(&channels).await?;
    let writers = channels.into_iter().map(SubmissionServiceClient::new).collect();
    let requests = visits.into_iter().map(|visit| SubmitRequest { submission: Some(visit) }).collect();
    callers(writers, requests, |mut writer, request| async move {
        let receipt = writer.submit(request).await?.into_inner().receipt;
        accepted(&receipt.context("an answer without a receipt")?)
    })
    .await
}

/// Empty calls: what the same client, transport and server reach when there is nothing to do.
pub(crate) async fn empty_calls(channels: Vec<Door>, count: usize) -> Result<Achieved> {
    warm_up(&channels).await?;
    let clients = channels.into_iter().map(HealthClient::new).collect();
    callers(clients, vec![HealthCheckRequest::default(); count], |mut client, request| async move {
        client.check(request).await?;
        Ok(())
    })
    .await
}

/// The smallest calls that need a token: what an empty call costs, and to be let in.
pub(crate) async fn admitted_calls(channels: Vec<Door>, count: usize) -> Result<Achieved> {
    warm_up(&channels).await?;
    let clients = channels.into_iter().map(IdentityServiceClient::new).collect();
    callers(clients, vec![WhoAmIRequest::default(); count], |mut client, request| async move {
        client.who_am_i(request).await?;
        Ok(())
    })
    .await
}

pub(crate) async fn warm_up(channels: &[Door]) -> Result<()> {
    let clients: Vec<_> = channels.iter().cloned().map(HealthClient::new).collect();
    let calls = vec![HealthCheckRequest::default(); WARM_UP_CALLS * clients.len()];
    callers(clients, calls, |mut client, call| async move {
        client.check(call).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Each caller takes the next request of one common list, calls, waits for the answer and takes the next.
pub(crate) async fn callers<Client, Request, Call, Answer>(
    clients: Vec<Client>,
    requests: Vec<Request>,
    call: Call,
) -> Result<Achieved>
where
    Client: Clone + Send + Sync + 'static,
    Request: Send + 'static,
    Call: Fn(Client, Request) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Result<()>> + Send,
{
    let requests = Arc::new(std::sync::Mutex::new(requests.into_iter()));
    let next = move || requests.lock().expect("nobody panics with the list in hand").next();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for client in clients {
        let (call, next) = (call.clone(), next.clone());
        tasks.spawn(async move {
            let mut latencies = latencies();
            while started.elapsed() < TIME_MAX
                && let Some(request) = next()
            {
                let called = Instant::now();
                call(client.clone(), request).await?;
                latencies.saturating_record(micros(called.elapsed()));
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    let mut all = latencies();
    while let Some(done) = tasks.join_next().await {
        all.add(done??)?;
    }
    Ok(Achieved { count: all.len(), took: started.elapsed(), latencies: all })
}

/// Submits the visits over as many streams as there are channels, so many a message. Latencies are not taken.
pub(crate) async fn streams(channels: Vec<Door>, visits: Vec<Submission>, per_message: usize) -> Result<Achieved> {
    warm_up(&channels).await?;
    let share = visits.len().div_ceil(channels.len()).max(1);
    let mut visits = visits.into_iter();
    let mut shares = Vec::new();
    for channel in channels {
        shares.push((channel, messages(visits.by_ref().take(share), per_message)));
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (channel, messages) in shares {
        tasks.spawn(stream(channel, messages, started));
    }
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done??;
    }
    Ok(Achieved { count, took: started.elapsed(), latencies: latencies() })
}

fn messages(visits: impl Iterator<Item = Submission>, per_message: usize) -> Vec<SubmitBatchRequest> {
    let visits: Vec<Submission> = visits.collect();
    visits.chunks(per_message).map(|chunk| SubmitBatchRequest { submissions: chunk.to_vec() }).collect()
}

/// Submits the visits in messages of `per_message`: as many writers, each with a stream of its own, on which it waits for all receipts of a
/// message before it sends the next. Latencies are those of messages.
pub(crate) async fn batches(channels: Vec<Door>, visits: Vec<Submission>, per_message: usize) -> Result<Achieved> {
    warm_up(&channels).await?;
    let share = visits.len().div_ceil(channels.len()).max(1);
    let mut visits = visits.into_iter();
    let mut writers = Vec::new();
    for channel in channels {
        let messages = messages(visits.by_ref().take(share), per_message);
        let (send, receive) = tokio::sync::mpsc::channel::<SubmitBatchRequest>(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
        let answers = SubmissionServiceClient::new(channel).submit_batch(requests).await?.into_inner();
        writers.push((send, answers, messages));
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (send, mut answers, messages) in writers {
        tasks.spawn(async move {
            let (mut count, mut latencies) = (0, latencies());
            for message in messages {
                if started.elapsed() > TIME_MAX {
                    break;
                }
                let called = Instant::now();
                let mut waiting = message.submissions.len();
                count += waiting as u64;
                send.send(message).await.ok().context("the stream is broken")?;
                while waiting > 0 {
                    let answer = answers.message().await?.context("the stream ended before its last receipt")?;
                    answer.receipts.iter().try_for_each(accepted)?;
                    waiting = waiting.checked_sub(answer.receipts.len()).context("more receipts than records")?;
                }
                latencies.saturating_record(micros(called.elapsed()));
            }
            Ok::<_, anyhow::Error>((count, latencies))
        });
    }
    let (mut count, mut all) = (0, latencies());
    while let Some(done) = tasks.join_next().await {
        let (more, latencies) = done??;
        count += more;
        all.add(latencies)?;
    }
    Ok(Achieved { count, took: started.elapsed(), latencies: all })
}

/// Sends messages as fast as they are taken and counts the receipts, until all are answered or the time is up.
async fn stream(channel: Door, messages: Vec<SubmitBatchRequest>, started: Instant) -> Result<u64> {
    let (send, receive) = tokio::sync::mpsc::channel(MESSAGES_WAITING);
    let sending = tokio::spawn(async move {
        for message in messages {
            // A receiver that is gone means a broken stream, which the receipts below tell.
            if started.elapsed() > TIME_MAX || send.send(message).await.is_err() {
                break;
            }
        }
    });
    let messages = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = SubmissionServiceClient::new(channel).submit_batch(messages).await?.into_inner();
    let mut count = 0;
    while let Some(answer) = answers.message().await? {
        answer.receipts.iter().try_for_each(accepted)?;
        count += answer.receipts.len() as u64;
    }
    sending.await?;
    Ok(count)
}

fn accepted(receipt: &Receipt) -> Result<()> {
    ensure!(receipt.status() == ReceiptStatus::Accepted, "a new record was not accepted: {receipt:?}");
    Ok(())
}

/// Submits the visits one by one at a fixed rate, as [`when_due`] does.
pub(crate) async fn paced(channels: Vec<Door>, visits: Vec<Submission>, per_second: f64) -> Result<Achieved> {
    warm_up(&channels).await?;
    let began = Instant::now();
    let due = |turn: usize| began + Duration::from_secs_f64(turn as f64 / per_second);
    when_due(channels, visits.into_iter().enumerate().map(|(turn, visit)| (due(turn), visit)).collect()).await
}

/// Submits records one by one, each at its own moment, or as soon after as a writer is free. Latencies count from that moment, so that
/// waiting for a writer that is held up counts, and waiting for the moment does not.
pub(crate) async fn when_due(channels: Vec<Door>, records: Vec<(Instant, Submission)>) -> Result<Achieved> {
    let writers = channels.into_iter().map(SubmissionServiceClient::new).collect();
    let from_due = Arc::new(std::sync::Mutex::new(latencies()));
    let recorded = Arc::clone(&from_due);
    let achieved = callers(writers, records, move |mut writer: SubmissionServiceClient<Door>, (due, record)| {
        let recorded = Arc::clone(&recorded);
        async move {
            tokio::time::sleep_until(due.into()).await;
            let receipt = writer.submit(SubmitRequest { submission: Some(record) }).await?.into_inner().receipt;
            let took = micros(due.elapsed());
            recorded.lock().expect("nobody panics with latencies in hand").saturating_record(took);
            accepted(&receipt.context("an answer without a receipt")?)
        }
    })
    .await?;
    let latencies = from_due.lock().expect("nobody panics with latencies in hand").clone();
    Ok(Achieved { latencies, ..achieved })
}
