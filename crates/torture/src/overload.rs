//! More than the server can take: what it still does, how it refuses, what memory it takes, and how soon it is well again.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use satgas_faults::Word;
use satgas_proto::v1::{
    ReceiptStatus, Submission, SubmitRequest, submission::Content, submission_service_client::SubmissionServiceClient,
};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    bad::Bad,
    client::within,
    door::Door,
    round::Run,
    server::{House, Verified},
    work::Author,
};

/// Connections of the load; the server lets a connection have 256 calls at once.
const CONNECTIONS: usize = 24;
/// Callers at once while the capacity is measured: the best of these counts.
const CALLERS: [usize; 3] = [64, 128, 256];
/// How long one of them waits that was refused.
const BREATH: Duration = Duration::from_millis(20);
/// Calls of the overload that may be waited for at once: beyond that the driver itself could not go on.
const IN_FLIGHT_MAX: usize = CONNECTIONS * 256;
/// So many times the capacity is offered.
const TIMES: f64 = 4.0;
/// MiB of records that may wait in the server, and characters of four bytes in the notes of each: some 120 fill it.
const QUEUE_MIB: u64 = 1;
const NOTES_CHARS: usize = 2_000;
/// How much longer each sync takes. The disk has to be what the server waits for: driver and server share the processors of one machine, and
/// where these are the limit, a driver that offers more only takes them away from the server.
const SYNC_MICROS: i64 = 150_000;
/// The same in a build without optimisation.
const SYNC_MICROS_SHORT: i64 = 250_000;
const MIB: f64 = 1_048_576.0;

/// What came of a load.
#[derive(Debug)]
struct Tally {
    accepted: AtomicU64,
    refused: AtomicU64,
    /// Refused without saying when to try again.
    without_retry: AtomicU64,
    /// Any other failure.
    failed: AtomicU64,
    refusals: std::sync::Mutex<Histogram<u64>>,
}

impl Tally {
    fn new() -> Arc<Self> {
        let refusals = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order");
        let zero = AtomicU64::default;
        Arc::new(Self {
            accepted: zero(),
            refused: zero(),
            without_retry: zero(),
            failed: zero(),
            refusals: refusals.into(),
        })
    }

    /// Whether it was taken.
    async fn call(&self, door: Door, submission: Submission) -> bool {
        let called = Instant::now();
        let request = SubmitRequest { submission: Some(submission) };
        match within(SubmissionServiceClient::new(door).submit(request)).await {
            Ok(answer) => {
                let status = answer.into_inner().receipt.map(|receipt| receipt.status());
                let counted = if status == Some(ReceiptStatus::Accepted) { &self.accepted } else { &self.failed };
                counted.fetch_add(1, Relaxed);
                status == Some(ReceiptStatus::Accepted)
            }
            Err(status) if status.code() == Code::ResourceExhausted => {
                self.refused.fetch_add(1, Relaxed);
                if status.get_error_details().retry_info().is_none() {
                    self.without_retry.fetch_add(1, Relaxed);
                }
                let micros = u64::try_from(called.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.refusals.lock().expect("nobody panics while counting").saturating_record(micros);
                false
            }
            Err(_) => {
                self.failed.fetch_add(1, Relaxed);
                false
            }
        }
    }

    fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }
}

/// Makes records as fast as they are wanted.
struct Source(std::sync::Mutex<Author>);

impl Source {
    fn next(&self) -> Submission {
        let mut submission = self.0.lock().expect("nobody panics while making a record").visit();
        if let Some(Content::SchoolVisit(visit)) = &mut submission.content {
            visit.notes = "\u{1d54f}".repeat(NOTES_CHARS);
        }
        submission
    }
}

async fn doors(run: &Run, count: usize) -> Result<Vec<Door>> {
    let mut doors = Vec::new();
    for _ in 0..count {
        doors.push(run.signpost.route().door().await?);
    }
    Ok(doors)
}

/// As many as the server takes a second when each caller waits for its answer.
async fn capacity(doors: &[Door], source: &Arc<Source>, callers: usize, time: Duration) -> Result<f64> {
    let (tally, stop) = (Tally::new(), Arc::new(AtomicBool::new(false)));
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for caller in 0..callers {
        let (door, tally) = (doors[caller % doors.len()].clone(), Arc::clone(&tally));
        let (source, stop) = (Arc::clone(source), Arc::clone(&stop));
        tasks.spawn(async move {
            while !stop.load(Relaxed) {
                if !tally.call(door.clone(), source.next()).await {
                    tokio::time::sleep(BREATH).await;
                }
            }
        });
    }
    tokio::time::sleep(time).await;
    stop.store(true, Relaxed);
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    ensure!(tally.failed.load(Relaxed) == 0, "calls failed while the capacity was measured");
    Ok(tally.accepted() as f64 / started.elapsed().as_secs_f64())
}

/// Offers four times the capacity for a while.
pub(crate) async fn overload(house: House, scratch: &Path, seed: u64, short: bool) -> Result<String> {
    let bad = Bad::new(scratch)?;
    let house = House { bad: Some(bad.clone()), ..house };
    let seconds = Duration::from_secs;
    let (measure, time) = if short { (seconds(1), seconds(5)) } else { (seconds(5), seconds(60)) };
    let house = house.with("SATGAS_QUEUE_MIB", QUEUE_MIB).with("SATGAS_CHECKPOINT_EVERY", 500_000);
    let mut run = Run::begin(house, seed).await?;
    let source = Arc::new(Source(Author::new(seed, 0, 0).into()));
    let doors = doors(&run, CONNECTIONS).await?;
    bad.set(Word::SyncMicros, if short { SYNC_MICROS_SHORT } else { SYNC_MICROS })?;
    // What a single caller waits when nobody else calls.
    let bystander = run.signpost.route().door().await?;
    let alone = async || {
        let called = Instant::now();
        Tally::new().call(bystander.clone(), source.next()).await.then(|| called.elapsed())
    };
    alone().await.context("the first record is not taken")?;
    let usual = alone().await.context("a record is not taken")?;
    let mut peak = 0.0_f64;
    for callers in CALLERS {
        peak = peak.max(capacity(&doors, &source, callers, measure).await?);
    }
    let served = run.served.as_ref().context("the server runs")?;
    let before = served.memory()?.1;

    let tally = Tally::new();
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    let (mut offered, mut held_back) = (0_u64, 0_u64);
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while started.elapsed() < time {
        tick.tick().await;
        while tasks.try_join_next().is_some() {}
        // Bounded by the time, so far below what a number of 64 bits holds.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls")]
        let due = (peak * TIMES * started.elapsed().as_secs_f64()) as u64;
        while offered + held_back < due {
            if tasks.len() >= IN_FLIGHT_MAX {
                held_back = due - offered;
                break;
            }
            let door = doors[usize::try_from(offered)? % doors.len()].clone();
            let (tally, submission) = (Arc::clone(&tally), source.next());
            tasks.spawn(async move { tally.call(door, submission).await });
            offered += 1;
        }
    }
    let (took, accepted) = (started.elapsed().as_secs_f64(), tally.accepted());
    // From here on nothing more is offered: how long until one record takes about as long as it did?
    let ended = Instant::now();
    let recovered = loop {
        if alone().await.is_some_and(|took| took < usual * 2) {
            break ended.elapsed();
        }
        ensure!(ended.elapsed() < seconds(30), "records still take long 30 s after the overload");
    };
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    let grown = served.memory()?.1.saturating_sub(before);
    let (refused, silent) = (tally.refused.load(Relaxed), tally.without_retry.load(Relaxed));
    let failed = tally.failed.load(Relaxed);
    let p99 = tally.refusals.lock().expect("nobody panics while counting").value_at_quantile(0.99) as f64 / 1_000.0;
    let rate = accepted as f64 / took;
    run.end(true).await?;
    let Verified::Holds(records) = run.house.verify()? else { anyhow::bail!("the log does not hold") };
    ensure!(records >= tally.accepted(), "{records} records for {} receipts", tally.accepted());
    let told = format!(
        "peak {peak:.0}/s; offered {:.0}/s ({:.1}x) for {took:.0} s: {rate:.0}/s taken ({:.0} %), {refused} refused, p99 {p99:.1} ms, \
         {silent} of them without a time to wait, {failed} failed otherwise; memory grew by {:.0} MiB; a single record as quick as before after {:.0} ms",
        offered as f64 / took,
        offered as f64 / took / peak,
        rate / peak * 100.0,
        grown as f64 / MIB,
        recovered.as_secs_f64() * 1_000.0,
    );
    ensure!(refused > 0, "nothing was refused, so the server was not overloaded: {told}");
    ensure!(silent == 0 && failed == 0, "refusals must say when to try again, and nothing else may fail: {told}");
    // A short run shares the machine with other tests, so its times are no measure of the server.
    ensure!(short || rate >= 0.8 * peak, "less than 80 % of the peak: {told}");
    ensure!(short || recovered < seconds(1), "it did not recover within a second: {told}");
    ensure!(grown < 256 * 1_048_576, "memory is not bounded: {told}");
    Ok(told)
}
