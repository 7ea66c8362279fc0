//! The journal of a simulated machine. What was synced outlives a crash; of a commit whose sync failed or was cut short the crash leaves all
//! or nothing, as every journal promises; and whatever was taken after a failed sync is lost with it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use prost::Message as _;
use satgas_engine::{Options, Stepped, mutation};
use satgas_journal::{AppendError, Chunk, Fault, Hash, Head, Journal, MemoryJournal, ReadError, Records, Verified};
use satgas_proto::v1::{self, event::Body};

use crate::{make, tasks, world::World};

/// What is on the disk, and what the journal that is open on it knows.
pub(crate) struct Platter {
    log: Arc<MemoryJournal>,
    commits: Vec<Vec<Bytes>>,
    /// How many of the commits a crash leaves, and where they end.
    durable: (usize, Head),
    /// The commit whose sync failed.
    unsynced: Option<Vec<Bytes>>,
    poisoned: bool,
    /// Appends that still find the disk full.
    full: usize,
    /// Whether anything may fail now.
    pub(crate) faulty: bool,
    /// The earliest position from which the log was read since this was taken.
    pub(crate) read_from: Option<u64>,
    /// The machine stopped within an append.
    pub(crate) crashed: bool,
}

impl Platter {
    /// A log with the town in it, and nothing else.
    pub(crate) fn of_the_town() -> Self {
        let mut platter = Self {
            log: Arc::new(MemoryJournal::new()),
            commits: Vec::new(),
            durable: (0, Head::EMPTY),
            unsynced: None,
            poisoned: false,
            full: 0,
            faulty: false,
            read_from: None,
            crashed: false,
        };
        platter.write(town().clone());
        platter
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.1.position
    }

    pub(crate) fn log(&self) -> Arc<MemoryJournal> {
        Arc::clone(&self.log)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn write(&mut self, commit: Vec<Bytes>) {
        let expected = self.log.head().position;
        let head = self.log.append(expected, &records(&commit)).expect("what was admitted once is admitted");
        self.commits.push(commit);
        if self.unsynced.is_none() {
            self.durable = (self.commits.len(), head);
        }
    }

    /// The machine stops and starts again. `reached` tells whether a commit that was not synced had reached the disk.
    pub(crate) fn crash(&mut self, reached: bool) {
        let unsynced = self.unsynced.take();
        if mutation::is("the disk loses its last commit with the power") && self.durable.0 > 1 {
            let last = self.commits[self.durable.0 - 1].len() as u64;
            self.durable.0 -= 1;
            self.durable.1.position -= last;
        }
        if self.commits.len() > self.durable.0 {
            self.commits.truncate(self.durable.0);
            let commits = std::mem::take(&mut self.commits);
            self.log = Arc::new(MemoryJournal::new());
            commits.into_iter().for_each(|commit| self.write(commit));
        } else if let Some(mut commit) = unsynced.filter(|_| reached) {
            if mutation::is("of a commit that was cut short a half is there") {
                commit.truncate(commit.len().div_ceil(2));
            }
            self.write(commit);
        }
        (self.poisoned, self.full, self.crashed) = (false, 0, false);
    }
}

fn records(commit: &[Bytes]) -> Records {
    let mut records = Records::new();
    commit.iter().for_each(|record| records.push(record));
    records
}

/// The town's events, made once: a log of a known id, and the town registered in it.
fn town() -> &'static Vec<Bytes> {
    static TOWN: OnceLock<Vec<Bytes>> = OnceLock::new();
    TOWN.get_or_init(|| {
        let opened = v1::LogOpened {
            log_id: "01970f3e-0000-7000-8000-000000000000".into(),
            sample_data: true,
            time_zone: "Asia/Makassar".into(),
        };
        let event = v1::Event {
            position: 1,
            recorded_at: make::proto("2028-05-01T11:00:00"),
            kind: v1::EventKind::LogOpened.into(),
            body: Some(Body::LogOpened(opened)),
            ..v1::Event::default()
        };
        let journal = Arc::new(MemoryJournal::new());
        journal.append(0, &records(&[event.encode_to_vec().into()])).expect("a log begins");
        let clock = Arc::new(satgas_engine::ManualClock::new(make::time("2028-05-01T11:30:00")));
        let mut stepped = Stepped::open(journal.clone(), clock, &Options::default()).expect("it opens");
        let engine = stepped.engine().clone();
        let registered = tasks::drive(engine.register(make::town(), false), || stepped.write() || stepped.fold());
        assert_eq!(registered.expect("the town is written").refused, []);
        let all = journal.read(0, usize::MAX).expect("it is read");
        all.records().map(|(_, record)| Bytes::copy_from_slice(&record)).collect()
    })
}

/// The journal, open on a world's disk.
pub(crate) struct Disk(Arc<World>);

impl Disk {
    pub(crate) fn of(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(world)))
    }

    fn log(&self) -> Arc<MemoryJournal> {
        self.0.platter.lock().log()
    }

    /// Others work while the disk does.
    fn take_a_while(&self) {
        while self.0.chance(self.0.plan.interrupt) {
            self.0.poll_one();
        }
    }

    /// What goes wrong with an append, if anything does.
    fn fails(&self) -> Option<AppendError> {
        let (world, plan) = (&self.0, &self.0.plan);
        let mut platter = world.platter.lock();
        if platter.poisoned {
            return Some(AppendError::Poisoned { cause: "simulated".into() });
        }
        if !platter.faulty {
            return None;
        }
        if platter.full == 0 && world.chance(plan.disk_full) {
            platter.full = 1 + world.below(3);
        }
        if platter.full > 0 {
            platter.full -= 1;
            return Some(AppendError::DiskFull { free: 0, needed: 1 });
        }
        platter.crashed = world.chance(plan.crash_in_append);
        if platter.crashed || world.chance(plan.failed_sync) {
            platter.poisoned = true;
            return Some(AppendError::Failed { what: "syncing the commit", cause: "simulated".into() });
        }
        None
    }
}

impl Journal for Disk {
    fn head(&self) -> Head {
        self.log().head()
    }

    fn append(&self, expected: u64, records: &Records) -> Result<Head, AppendError> {
        let head = self.head();
        assert_eq!(expected, head.position, "the one writer knows the head");
        self.take_a_while();
        let commit: Vec<Bytes> = records.iter().map(Bytes::copy_from_slice).collect();
        if let Some(error) = self.fails() {
            self.0.note(format_args!("of {} records: {error}", commit.len()));
            if matches!(error, AppendError::Failed { .. }) {
                self.0.platter.lock().unsynced = Some(commit);
            }
            return Err(error);
        }
        self.0.note(format_args!("a commit of {} after {expected}", commit.len()));
        self.0.platter.lock().write(commit);
        let head = self.head();
        self.take_a_while();
        Ok(head)
    }

    fn read(&self, after: u64, max_bytes: usize) -> Result<Chunk, ReadError> {
        let mut platter = self.0.platter.lock();
        // A single record is asked for with no room for more.
        if max_bytes > 0 {
            platter.read_from = Some(platter.read_from.map_or(after, |from| from.min(after)));
        }
        let faulty = platter.faulty;
        drop(platter);
        if faulty && self.0.chance(self.0.plan.failed_read) {
            return Err(ReadError::Storage { after, cause: "simulated".into() });
        }
        self.log().read(after, max_bytes)
    }

    fn copy(&self, after: u64, last: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        self.log().copy(after, last, max_bytes)
    }

    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        self.log().frame_hash(position)
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault> {
        self.log().verify(progress)
    }
}
