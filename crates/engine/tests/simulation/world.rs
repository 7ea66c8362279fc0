//! What one seed draws: the plan, every choice, the time; and the trace of what was done.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_domain::parts::Sizes;
use satgas_engine::Clock;

use crate::{
    client::Clients, disk::Platter, history::History, kept::Kept, make, reader::Readers, tasks::Tasks, vault::Keys,
};

/// How likely what is in a seed, and how large.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    /// What each client does.
    pub(crate) acts: usize,
    /// How much of it is about people's data, decisions and releases, and not about records.
    pub(crate) concerns: f64,
    pub(crate) readers: usize,
    pub(crate) checkpoint_every: Option<u64>,
    /// How much makes a part of a checkpoint.
    pub(crate) parts: Sizes,
    pub(crate) queue_bytes_max: usize,
    pub(crate) tail_bytes_max: usize,
    pub(crate) fold_bytes_max: usize,
    /// Chances by turn or by call.
    pub(crate) disk_full: f64,
    pub(crate) failed_sync: f64,
    pub(crate) failed_read: f64,
    pub(crate) crash: f64,
    pub(crate) crash_in_append: f64,
    pub(crate) stop: f64,
    /// That checkpoints cannot be written from now on, or can be again.
    pub(crate) come_and_go: f64,
    /// Turns of others within an append.
    pub(crate) interrupt: f64,
    /// How often the writer and the fold are chosen, where a task that can go on counts one.
    pub(crate) writer: usize,
    pub(crate) fold: usize,
    /// Restarts, wanted or not, after which nothing fails any more.
    pub(crate) restarts: usize,
}

impl Plan {
    fn draw(random: &mut ChaCha8Rng, apart: &mut ChaCha8Rng) -> Self {
        let mut pick = |among: &[f64]| among[random.random_range(0..among.len())];
        let (disk_full, failed_sync) = (pick(&[0.0, 0.1, 0.3]), pick(&[0.0, 0.0, 0.05, 0.15]));
        let (failed_read, interrupt) = (pick(&[0.0, 0.0, 0.05]), pick(&[0.0, 0.5, 0.8]));
        let (crash, crash_in_append, stop) = (pick(&[0.0, 0.01, 0.03]), pick(&[0.0, 0.05]), pick(&[0.0, 0.005]));
        let concerns = pick(&[0.0, 0.4, 0.8]);
        let mut size = |among: &[u32]| among[apart.random_range(0..among.len())];
        let parts = Sizes { records: size(&[1, 2, 4]), links: size(&[2, 4, 8]), positions: size(&[3, 8, 20]) };
        let mut pick = |among: &[usize]| among[random.random_range(0..among.len())];
        Self {
            clients: pick(&[1, 2, 3, 4]),
            acts: pick(&[3, 6, 9, 16]),
            concerns,
            readers: pick(&[1, 2, 3]),
            checkpoint_every: [None, None, Some(3), Some(12)][pick(&[0, 1, 2, 3])],
            parts,
            queue_bytes_max: pick(&[3_000, 1 << 20, 1 << 20]),
            tail_bytes_max: pick(&[0, 1_500, 1 << 20]),
            fold_bytes_max: [1, 700, 16 << 20][apart.random_range(0..3)],
            disk_full,
            failed_sync,
            failed_read,
            crash,
            crash_in_append,
            stop,
            come_and_go: [0.0, 0.0, 0.02][apart.random_range(0..3)],
            interrupt,
            writer: pick(&[1, 1, 3]),
            fold: pick(&[1, 1, 3]),
            restarts: pick(&[1, 2, 3]),
        }
    }
}

/// One simulated world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) time: Arc<Time>,
    pub(crate) platter: Mutex<Platter>,
    pub(crate) tasks: Tasks,
    pub(crate) keys: Mutex<Keys>,
    pub(crate) kept: Mutex<Kept>,
    pub(crate) clients: Mutex<Clients>,
    pub(crate) readers: Mutex<Readers>,
    pub(crate) history: Mutex<History>,
    random: Mutex<ChaCha8Rng>,
    trace: Mutex<Trace>,
    moments: AtomicU64,
    waits: AtomicUsize,
}

/// Everything that was done, in a line each.
struct Trace {
    hasher: blake3::Hasher,
    printed: bool,
}

impl World {
    pub(crate) fn new(seed: u64, printed: bool) -> Arc<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Of its own, so that what befalls checkpoints changes nothing about who comes first.
        let mut apart = random.clone();
        apart.set_stream(1);
        let plan = Plan::draw(&mut random, &mut apart);
        let world = Self {
            clients: Mutex::new(Clients::new(plan.clients, plan.acts)),
            readers: Mutex::new(Readers::new(plan.readers)),
            plan,
            time: Arc::new(Time(AtomicI64::new(make::time("2028-05-01T12:00:00").as_microsecond()))),
            platter: Mutex::new(Platter::of_the_town()),
            tasks: Tasks::default(),
            keys: Mutex::new(Keys::new()),
            kept: Mutex::new(Kept::new(apart)),
            history: Mutex::default(),
            random: Mutex::new(random),
            trace: Mutex::new(Trace { hasher: blake3::Hasher::new(), printed }),
            moments: AtomicU64::new(0),
            waits: AtomicUsize::new(0),
        };
        world.note(format_args!("{:?}", world.plan));
        Arc::new(world)
    }

    pub(crate) fn chance(&self, likely: f64) -> bool {
        likely > 0.0 && self.random.lock().random_bool(likely)
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.random.lock().random_range(0..end)
    }

    pub(crate) fn pick<T: Clone>(&self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    /// Writes into the trace.
    pub(crate) fn note(&self, line: impl fmt::Display) {
        let (line, mut trace) = (line.to_string(), self.trace.lock());
        trace.hasher.update(line.as_bytes());
        trace.hasher.update(b"\n");
        if trace.printed {
            eprintln!("{line}");
        }
    }

    /// Hash of the trace so far.
    pub(crate) fn trace(&self) -> String {
        self.trace.lock().hasher.finalize().to_hex().to_string()
    }

    /// A moment that comes after all those that were asked for before.
    pub(crate) fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed)
    }

    /// The writer waited for the fold.
    pub(crate) fn waited(&self) {
        self.note("the writer waited for the fold");
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waits(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }

    /// Position of the last record that a crash cannot take.
    pub(crate) fn durable(&self) -> u64 {
        self.platter.lock().durable()
    }

    /// Polls one of the tasks that can go on, if there is one.
    pub(crate) fn poll_one(&self) {
        let runnable = self.tasks.runnable();
        if !runnable.is_empty() {
            let index = self.pick(&runnable);
            self.note(format_args!("{} goes on", self.tasks.name(index)));
            self.tasks.poll(index);
        }
    }

    /// The clock moves on, or jumps; sometimes back, as when a machine's clock is set.
    pub(crate) fn pass_time(&self) {
        const SECOND: i64 = 1_000_000;
        let by = self.pick(&[
            1,
            SECOND,
            60 * SECOND,
            3_600 * SECOND,
            26 * 3_600 * SECOND,
            9 * 86_400 * SECOND,
            -SECOND,
            -3_600 * SECOND,
        ]);
        let now = self.time.0.fetch_add(by, Ordering::Relaxed) + by;
        self.note(format_args!("it is {now}"));
    }
}

/// A clock that is set by the world.
pub(crate) struct Time(AtomicI64);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::Relaxed)).expect("near 2028")
    }
}
