//! A country's records on their way into the server: registered, streamed over several connections, some cases taken on.
//!
//! Invariant: records are made while they are sent, so that memory does not grow with their number; every one must be accepted, and the
//! whole ends within [`LOAD_MAX`] or fails.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use satgas_proto::v1::{
    AdvanceCaseRequest, AssessCase, CaseCommand, ReceiptStatus, RecordService, Risk, Service, SubmitBatchRequest,
    case_command::Step, case_service_client::CaseServiceClient, submission_service_client::SubmissionServiceClient,
};
use tokio::task::JoinSet;

use super::{
    country::Country,
    history::{History, command_id},
};
use crate::door::Door;
use crate::{city, follow};

/// A load that takes longer has failed.
const LOAD_MAX: Duration = Duration::from_secs(45 * 60);
/// Entries of a registration.
const ENTRIES: usize = 10_000;
/// Records of a message: far below what a server takes.
const PER_MESSAGE: u64 = 256;
/// Messages of a stream that may wait on the client's side.
const MESSAGES_WAITING: usize = 4;

/// Registers the country. The number of entries.
pub(crate) async fn register(channel: &Door, country: &Country) -> Result<u64> {
    let mut entries = country.registry();
    let mut count = 0;
    loop {
        let some: Vec<_> = entries.by_ref().take(ENTRIES).collect();
        if some.is_empty() {
            return Ok(count);
        }
        count += some.len() as u64;
        follow::register(channel.clone(), some).await?;
    }
}

/// What came of a load.
pub(crate) struct Loaded {
    /// From the first message to the last receipt.
    pub(crate) took: Duration,
    /// When half of the records had been acknowledged: a moment that the log knows as its middle.
    pub(crate) half_at: Timestamp,
}

/// Streams all records of a history, over as many streams as there are channels.
pub(crate) async fn stream(channels: Vec<Door>, history: &History, records: u64) -> Result<Loaded> {
    let (started, streams) = (Instant::now(), channels.len() as u64);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let half_at = Arc::new(OnceLock::new());
    let mut tasks = JoinSet::new();
    for (channel, first) in channels.into_iter().zip(0..) {
        let (history, acknowledged, half_at) = (history.clone(), Arc::clone(&acknowledged), Arc::clone(&half_at));
        let note = move |receipts: u64| {
            let before = acknowledged.fetch_add(receipts, Ordering::Relaxed);
            if before + receipts >= records / 2 {
                half_at.get_or_init(city::now);
            }
        };
        // Blocks of records in turn, so that all streams move through the two years together.
        let blocks = (first..records.div_ceil(PER_MESSAGE)).step_by(usize::try_from(streams)?);
        let messages = blocks.map(move |block| {
            let numbers = block * PER_MESSAGE..((block + 1) * PER_MESSAGE).min(records);
            SubmitBatchRequest { submissions: numbers.map(|number| history.record(number)).collect() }
        });
        tasks.spawn(one(channel, messages, note));
    }
    let all = async {
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(LOAD_MAX, all).await.context("the records were not all taken within 45 minutes")??;
    let count = acknowledged.load(Ordering::Relaxed);
    ensure!(count == records, "{count} receipts for {records} records");
    let half_at = *half_at.get().context("half of the records were never acknowledged")?;
    Ok(Loaded { took: started.elapsed(), half_at })
}

async fn one(
    channel: Door,
    messages: impl Iterator<Item = SubmitBatchRequest> + Send + 'static,
    note: impl Fn(u64),
) -> Result<()> {
    let (send, receive) = tokio::sync::mpsc::channel(MESSAGES_WAITING);
    let sending = tokio::spawn(async move {
        for message in messages {
            // A receiver that is gone means a broken stream, which the receipts below tell.
            if send.send(message).await.is_err() {
                break;
            }
        }
    });
    let messages = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = SubmissionServiceClient::new(channel).submit_batch(messages).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        for receipt in &answer.receipts {
            ensure!(receipt.status() == ReceiptStatus::Accepted, "a new record was not accepted: {receipt:?}");
        }
        note(answer.receipts.len() as u64);
    }
    Ok(sending.await?)
}

/// Assesses the latest cases and answers them; as many at once as there are channels. The number of steps.
pub(crate) async fn steps(channels: Vec<Door>, history: &History, cases: usize) -> Result<u64> {
    let cases: Vec<(String, Timestamp)> = history.cases().take(cases).collect();
    let mut tasks = JoinSet::new();
    for (channel, some) in channels.into_iter().zip(cases.chunks(cases.len().div_ceil(64).max(1))) {
        tasks.spawn(handle(channel, some.to_vec()));
    }
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done??;
    }
    Ok(count)
}

async fn handle(channel: Door, cases: Vec<(String, Timestamp)>) -> Result<u64> {
    let mut client = CaseServiceClient::new(channel);
    let mut count = 0;
    for (case_id, reported_at) in cases {
        let steps = [
            Step::Assess(AssessCase { risk: Risk::Sedang.into() }),
            Step::RecordService(RecordService { service: Service::Psikologis.into() }),
        ];
        for (expected_version, step) in (1..).zip(steps) {
            let hours = i64::try_from(expected_version)?;
            let at = reported_at.saturating_add(SignedDuration::from_hours(hours))?;
            let command = CaseCommand {
                command_id: command_id(),
                case_id: case_id.clone(),
                expected_version,
                occurred_at: Some(pbjson_types::Timestamp { seconds: at.as_second(), nanos: 0 }),
                step: Some(step),
            };
            client.advance_case(AdvanceCaseRequest { command: Some(command) }).await?;
            count += 1;
        }
    }
    Ok(count)
}
