//! The access log: who may use the server, and who read whose data. A second log beside that of the records, in `access/` of the data
//! folder, with a writer of its own.
//!
//! Invariants:
//! - What [`AccessLog::record`] and [`AccessLog::decide`] answer is on disk. Where that fails, nothing is answered at all: data that
//!   nobody recorded the reading of is not given out.
//! - [`State`] is a fold of the log; only the writer changes it, after the commit.
//! - Decisions are taken by the writer, one in a commit, against everything before: a code is exchanged once.
//! - No secret and no identity is in it: of a code its hash, of a token its id.

mod scan;
mod state;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use prost::Message as _;
use satgas_domain::time::Instant;
use satgas_engine::{Clock, Histogram};
use satgas_journal::{AppendError, Hash, Head, Journal, OpenError, ReadError, Records, SledJournal, disk};
use satgas_proto::v1::{self, access_event::Body};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::state::{State, end, person};

/// Calls that may wait for the writer.
const WAITING_MAX: usize = 4_096;
/// Records in one commit.
const COMMIT_MAX: usize = 1_024;
/// sled's cache: the log is appended to, and read from end to end.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
const CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes that must be free on the disk for anything to be recorded. Far less than the log of records leaves: where that one takes nothing
/// more, reading goes on, and the room that it left is for recording who reads.
const FREE_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// Why something was not recorded; then it must not be answered either.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// The decision was against it.
    #[error("refused")]
    Refused,
    /// Too many wait for the disk: try again.
    #[error("too many calls wait to be recorded")]
    Busy,
    /// The access log cannot be written.
    #[error("the access log cannot be written: {0}")]
    Failed(String),
}

/// Why the access log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AccessOpenError {
    /// Its journal does not open.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record in it is none.
    #[error("position {0} of the access log is no access event")]
    Malformed(u64),
    /// The operating system refused a thread.
    #[error("the access log's writer cannot be started: {0}")]
    Thread(std::io::Error),
}

type Decision = Box<dyn FnOnce(&State, Instant) -> Option<Body> + Send>;

enum Job {
    Record(Box<Body>, oneshot::Sender<Result<u64, AccessError>>),
    Decide(Decision, oneshot::Sender<Result<u64, AccessError>>),
    Stop,
}

/// The access log. Shared by everything that answers calls.
pub(crate) struct AccessLog {
    journal: Arc<dyn Journal>,
    jobs: mpsc::Sender<Job>,
    state: Arc<RwLock<State>>,
    /// Moves with each revocation.
    revocations: watch::Receiver<u64>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// How long the disk took to make commits durable, in nanoseconds; none where there is no disk.
    syncs: Option<Arc<Histogram>>,
}

impl AccessLog {
    /// Opens the log in a folder and folds it; `key_id` names the key that signs tokens. Blocks.
    pub(crate) fn open(folder: &Path, key_id: String, clock: Arc<dyn Clock>) -> Result<Self, AccessOpenError> {
        let options = disk::Options { cache_bytes_max: CACHE_BYTES, free_bytes_min: FREE_BYTES_MIN };
        let journal = SledJournal::open(folder, options)?;
        let syncs = Some(journal.syncs());
        Ok(Self { syncs, ..Self::over(Arc::new(journal), key_id, clock)? })
    }

    /// The same over a journal that is open.
    pub(crate) fn over(
        journal: Arc<dyn Journal>,
        key_id: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AccessOpenError> {
        let mut state = State::signed_by(key_id);
        scan::each(journal.as_ref(), |event| state.apply(&event))?;
        let state = Arc::new(RwLock::new(state));
        let (jobs, queue) = mpsc::channel(WAITING_MAX);
        let (revoked, revocations) = watch::channel(0);
        let writer = Writer { journal: Arc::clone(&journal), state: Arc::clone(&state), revoked, clock };
        let writer = std::thread::Builder::new()
            .name("access-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(AccessOpenError::Thread)?;
        Ok(Self { journal, jobs, state, revocations, writer: Mutex::new(Some(writer)), syncs: None })
    }

    /// Records something. Its position, once it is on disk.
    pub(crate) async fn record(&self, body: Body) -> Result<u64, AccessError> {
        self.enqueue(|done| Job::Record(Box::new(body), done)).await
    }

    /// Records what `decide` makes of the state, or nothing.
    pub(crate) async fn decide(
        &self,
        decide: impl FnOnce(&State, Instant) -> Option<Body> + Send + 'static,
    ) -> Result<u64, AccessError> {
        self.enqueue(|done| Job::Decide(Box::new(decide), done)).await
    }

    async fn enqueue(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<u64, AccessError>>) -> Job,
    ) -> Result<u64, AccessError> {
        let (done, answer) = oneshot::channel();
        self.jobs.try_send(job(done)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => AccessError::Busy,
            mpsc::error::TrySendError::Closed(_) => AccessError::Failed("the server is stopping".to_owned()),
        })?;
        answer.await.unwrap_or_else(|_| Err(AccessError::Failed("the server is stopping".to_owned())))
    }

    /// Records the end of streams that an earlier run of the server left open: nothing after `head` of the log can have been sent on them.
    /// Without it they would count as having gone on for ever.
    pub(crate) async fn end_streams(&self, head: u64) -> Result<(), AccessError> {
        for access_position in self.look(State::open_streams) {
            let ended = v1::StreamEnded { access_position, up_to_position: head };
            self.record(Body::StreamEnded(ended)).await?;
        }
        Ok(())
    }

    /// Looks at the state.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.read())
    }

    /// Tells of each revocation.
    pub(crate) fn revocations(&self) -> watch::Receiver<u64> {
        self.revocations.clone()
    }

    /// Reads the log from its beginning. Blocks.
    pub(crate) fn each(&self, take: impl FnMut(v1::AccessEvent)) -> Result<(), AccessOpenError> {
        scan::each(self.journal.as_ref(), take)
    }

    /// How long the disk took to make its commits durable, in nanoseconds; none where there is no disk.
    pub(crate) fn syncs(&self) -> Option<&Histogram> {
        self.syncs.as_deref()
    }

    /// Its last durable record.
    pub(crate) fn head(&self) -> Head {
        self.journal.head()
    }

    /// Its frames as they are stored, as [`Journal::copy`] hands them out. Blocks.
    pub(crate) fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        self.journal.copy(after, last, max_bytes)
    }

    /// The chain hash of the frame that ends at a position, as [`Journal::frame_hash`] tells it. Blocks.
    pub(crate) fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        self.journal.frame_hash(position)
    }

    /// Writes what waits and joins the writer. Blocks.
    pub(crate) fn shutdown(&self) {
        // A writer that is gone needs no telling.
        let _ = self.jobs.blocking_send(Job::Stop);
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the access log's writer panicked");
        }
    }
}

struct Writer {
    journal: Arc<dyn Journal>,
    state: Arc<RwLock<State>>,
    revoked: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

/// What goes into one commit.
#[derive(Default)]
struct Commit {
    bodies: Vec<Body>,
    done: Vec<oneshot::Sender<Result<u64, AccessError>>>,
    decides: bool,
}

impl Writer {
    fn run(&self, mut queue: mpsc::Receiver<Job>) {
        let mut stopping = false;
        while !stopping {
            let Some(first) = queue.blocking_recv() else { return };
            let mut commit = Commit::default();
            let mut next = Some(first);
            while let Some(job) = next {
                stopping |= self.take(job, &mut commit);
                let full = stopping || commit.decides || commit.bodies.len() >= COMMIT_MAX;
                next = if full { None } else { queue.try_recv().ok() };
            }
            self.write(commit);
        }
        queue.close();
    }

    /// Takes a job into the commit. True when it was the last one.
    fn take(&self, job: Job, commit: &mut Commit) -> bool {
        match job {
            Job::Stop => return true,
            Job::Record(body, done) => {
                commit.bodies.push(*body);
                commit.done.push(done);
            }
            Job::Decide(decide, done) => match decide(&self.state.read(), Instant::from_jiff(self.clock.now())) {
                Some(body) => {
                    // What comes after must be decided against this one, so it closes the commit.
                    commit.decides = true;
                    commit.bodies.push(body);
                    commit.done.push(done);
                }
                // Whoever does not wait any more needs no answer; here and below.
                None => drop(done.send(Err(AccessError::Refused))),
            },
        }
        false
    }

    fn write(&self, commit: Commit) {
        let before = self.journal.head().position;
        let recorded_at = Some(Instant::from_jiff(self.clock.now()).to_proto());
        let mut records = Records::new();
        let mut events = Vec::with_capacity(commit.bodies.len());
        for (position, body) in (before + 1..).zip(commit.bodies) {
            let event = v1::AccessEvent { position, recorded_at, body: Some(body) };
            records.push(&event.encode_to_vec());
            events.push(event);
        }
        match self.journal.append(before, &records) {
            Ok(_) => {
                let mut state = self.state.write();
                events.iter().for_each(|event| state.apply(event));
                drop(state);
                if events.iter().any(|event| matches!(event.body, Some(Body::TokenRevoked(_)))) {
                    self.revoked.send_modify(|revocations| *revocations += 1);
                }
                for (done, event) in commit.done.into_iter().zip(events) {
                    drop(done.send(Ok(event.position)));
                }
            }
            Err(error) => {
                tracing::error!(%error, "the access log cannot be written: nothing that must be recorded is answered");
                let failed = match error {
                    AppendError::DiskFull { .. } => "the disk is full".to_owned(),
                    _ => "the server must be restarted".to_owned(),
                };
                for done in commit.done {
                    drop(done.send(Err(AccessError::Failed(failed.clone()))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use satgas_engine::ManualClock;

    use super::*;

    fn open(folder: &Path) -> AccessLog {
        let clock = Arc::new(ManualClock::new("2026-03-10T00:00:00Z".parse().unwrap()));
        AccessLog::open(folder, String::new(), clock).unwrap()
    }

    fn issued(id: &str) -> Body {
        let expires_at = Some(pbjson_types::Timestamp { seconds: 1_790_000_000, nanos: 0 });
        Body::TokenIssued(v1::TokenIssued { token_id: id.to_owned(), expires_at, ..Default::default() })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_recorded_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        assert_eq!(log.record(issued("contoh")).await.unwrap(), 1);
        let log = tokio::task::spawn_blocking(move || (log.shutdown(), log).1).await.unwrap();
        drop(log);
        let log = open(folder.path());
        assert!(log.look(|state| state.token("contoh").is_some()));
        tokio::task::spawn_blocking(move || log.shutdown()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_that_decide_the_same_at_once_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(open(folder.path()));
        let mut rivals = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let log = Arc::clone(&log);
            rivals.spawn(async move {
                log.decide(|state, _| state.token("contoh").is_none().then(|| issued("contoh"))).await.is_ok()
            });
        }
        let won = rivals.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);
        tokio::task::spawn_blocking(move || log.shutdown()).await.unwrap();
    }
}
