//! One writer, views, cursors and an injected clock over the journal. No network.
//!
//! The way of a record: [`Engine::submit`] encodes and checks it by itself, the writer decides it against the state and
//! appends it with others as one commit, one sync makes all of them durable, they are acknowledged; the fold takes the
//! commit into the views; every [`Cursor`] wakes.
//!
//! Invariants:
//! - What was acknowledged is durable; what readers and views see was committed before.
//! - One thread decides and appends. One thread folds. Both are joined by [`Engine::shutdown`]. Each works in turns, and in an engine that
//!   is [`Stepped`] these are given from outside.
//! - Everything that waits is bounded: the queue by [`Options::queue_bytes_max`], a commit by its bytes, what is not folded yet by
//!   [`Options::fold_bytes_max`], the tail kept in memory by [`Options::tail_bytes_max`], and what was shaped by each [`Lens`]. A
//!   subscriber holds a position and nothing else.
//! - Views and indexes are folds of the log: deleting their checkpoints changes nothing but the time that opening takes.

/// Whether a defect is planted here, see [`mutation`].
#[cfg(feature = "mutations")]
macro_rules! mutated {
    ($defect:literal) => {
        $crate::mutation::is($defect)
    };
}
/// Whether a defect is planted here: never.
#[cfg(not(feature = "mutations"))]
macro_rules! mutated {
    ($defect:literal) => {
        false
    };
}

mod as_of;
mod blocking;
mod checkpoint;
pub mod clock;
mod cursor;
mod deadlines;
mod error;
mod fold;
mod ids;
mod lens;
mod meter;
#[cfg(feature = "mutations")]
pub mod mutation;
mod open;
mod piece;
mod proofs;
mod public;
mod publish;
mod queue;
mod sealed;
mod stepped;
mod submit;
mod tail;
pub mod vault;
mod writer;

use std::{path::PathBuf, sync::Arc};

use parking_lot::{Mutex, RwLock};
use satgas_domain::{parts::Sizes, views::Views};
use satgas_journal::{Head, Journal};
use tokio::sync::{Semaphore, watch};

use self::tail::Tail;
pub use satgas_journal::Histogram;

pub use self::{
    as_of::AsOf,
    clock::{Clock, ManualClock, SystemClock},
    cursor::{Cursor, Filter, Page},
    error::{OpenError, QueryError, ReadError, WriteError},
    lens::Lens,
    meter::{Meter, Queued},
    proofs::{Consistency, Inclusion, TreeHead},
    public::{FollowedUp, MessageRead, ReportRead},
    sealed::{SealError, Unsealed},
    stepped::Stepped,
    submit::{CaseError, Handed, Registered, ResolveError},
    writer::Writable,
};

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the checkpoints; `None` keeps none.
    pub checkpoints: Option<PathBuf>,
    /// Time zone of a new log, such as "Asia/Makassar". A log that exists keeps its own.
    pub time_zone: String,
    /// Whether a new log is of invented data. A log that exists keeps its own.
    pub sample_data: bool,
    /// Bytes of submissions that may wait for the writer.
    pub queue_bytes_max: usize,
    /// Bytes of the latest commits that are kept in memory for subscribers.
    pub tail_bytes_max: usize,
    /// Bytes of commits, as they are stored, that may wait to be folded into the views: the writer waits when there are more. In memory they
    /// are decoded as well and take some five times as much.
    pub fold_bytes_max: usize,
    /// Events between two checkpoints.
    pub checkpoint_every: u64,
    /// How much makes a part of a checkpoint.
    pub parts: Sizes,
    /// The vault of sealed identities; without one they can neither be sealed nor read.
    pub vault: Option<vault::Options>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            checkpoints: None,
            time_zone: "Asia/Makassar".to_owned(),
            sample_data: false,
            queue_bytes_max: 32 * 1024 * 1024,
            tail_bytes_max: 16 * 1024 * 1024,
            // A checkpoint of millions of records takes the fold a second, and who submits is not to feel it.
            fold_bytes_max: 16 * 1024 * 1024,
            checkpoint_every: 500_000,
            parts: Sizes::default(),
            vault: None,
        }
    }
}

/// The engine. Clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What the threads and all handles share.
struct Shared {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    jobs: queue::Sender,
    /// Bytes free in the queue.
    room: Arc<Semaphore>,
    queue_bytes_max: u32,
    /// The last durable record.
    head: watch::Receiver<Head>,
    writable: watch::Receiver<Writable>,
    meter: Arc<Meter>,
    tail: Arc<Tail>,
    views: Arc<RwLock<Folded>>,
    /// The Merkle tree over the records, never behind the views.
    tree: Arc<RwLock<satgas_proof::Tree>>,
    log_id: String,
    vault: Option<Arc<vault::Vault>>,
    judged: tokio::sync::Mutex<deadlines::Judged>,
    /// Position up to which the views are folded.
    folded: watch::Receiver<u64>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// The views and the head that they stand at.
pub struct Folded {
    /// The views.
    pub views: Views,
    /// The head of the log at the views' position.
    pub head: Head,
}

impl Engine {
    /// Opens an engine over a journal: restores checkpoints, folds what came after them, and starts the writer. Blocks.
    pub fn open(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, options: &Options) -> Result<Self, OpenError> {
        open::open(|| Ok(journal), clock, options)
    }

    /// The same with a journal that is still to be opened, which takes as long as reading the checkpoints: they are read meanwhile. Blocks.
    pub fn open_beside<E: From<OpenError> + Send>(
        open_journal: impl FnOnce() -> Result<Arc<dyn Journal>, E> + Send,
        clock: Arc<dyn Clock>,
        options: &Options,
    ) -> Result<Self, E> {
        open::open(open_journal, clock, options)
    }

    /// The last durable record. It moves before any reader can see what was appended, so whatever a client has seen lies within it.
    #[must_use]
    pub fn head(&self) -> Head {
        self.shared.journal.head()
    }

    /// Tells whether records are taken, and of every change of it.
    #[must_use]
    pub fn writable(&self) -> watch::Receiver<Writable> {
        self.shared.writable.clone()
    }

    /// Time by the engine's clock.
    #[must_use]
    pub fn now(&self) -> satgas_domain::time::Instant {
        satgas_domain::time::Instant::from_jiff(self.shared.clock.now())
    }

    /// Looks at the views once they have reached `min_position`. `look` runs under a read lock: it must not block or be slow.
    pub async fn query<R>(&self, min_position: u64, look: impl FnOnce(&Folded) -> R) -> Result<R, QueryError> {
        self.reach(min_position).await?;
        Ok(look(&self.shared.views.read()))
    }

    /// Waits until the views have folded the event at `position`, which must not lie beyond the head.
    async fn reach(&self, position: u64) -> Result<(), QueryError> {
        let mut folded = self.shared.folded.clone();
        if *folded.borrow_and_update() >= position {
            return Ok(());
        }
        let head = self.head().position;
        if position > head {
            return Err(QueryError::BeyondHead { position, head });
        }
        folded.wait_for(|folded| *folded >= position).await.map(|_| ()).map_err(|_| QueryError::Closed)
    }

    /// Tells of every advance of the views' position; for watchers.
    #[must_use]
    pub fn folded(&self) -> watch::Receiver<u64> {
        self.shared.folded.clone()
    }

    /// A cursor that stands after `position`, which must not lie beyond the head.
    pub fn cursor(&self, position: u64, filter: Filter) -> Result<Cursor, ReadError> {
        Cursor::new(Arc::clone(&self.shared), position, filter, None)
    }

    /// The same, looking through a lens: what it reads, and what the filter is asked of, is what the lens makes of the events.
    pub fn cursor_through(&self, lens: &Lens, position: u64, filter: Filter) -> Result<Cursor, ReadError> {
        Cursor::new(Arc::clone(&self.shared), position, filter, Some(lens.clone()))
    }

    /// Reads and checks the whole log. Blocks for as long as it takes.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<satgas_journal::Verified, satgas_journal::Fault> {
        self.shared.journal.verify(progress)
    }

    /// Id of the log, by which it is told from others.
    #[must_use]
    pub fn log_id(&self) -> &str {
        &self.shared.log_id
    }

    /// Frames of the log as they are stored, as [`Journal::copy`] hands them out. Blocks.
    pub fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<bytes::Bytes, satgas_journal::ReadError> {
        self.shared.journal.copy(after, last, max_bytes)
    }

    /// The chain hash of the frame that ends at a position, as [`Journal::frame_hash`] tells it. Blocks.
    pub fn frame_hash(&self, position: u64) -> Result<Option<satgas_journal::Hash>, satgas_journal::ReadError> {
        self.shared.journal.frame_hash(position)
    }

    /// Stops taking submissions, answers those in the queue, writes checkpoints and joins both threads. Blocks.
    pub fn shutdown(&self) {
        self.shared.jobs.close();
        for thread in self.shared.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
    }
}
