//! Opening: restore the newest checkpoints that fit the log, fold what came after them, start the threads that work on.

use std::sync::{Arc, OnceLock, mpsc::sync_channel};

use parking_lot::{Mutex, RwLock};
use prost::Message as _;
use satgas_domain::{
    event,
    parts::Sizes,
    time::{Calendar, Instant},
    views::{self, Views},
};
use satgas_journal::{Chunk, Head, Journal, Records};
use satgas_proof::{Tree, merkle};
use satgas_proto::v1::{self, event::Body};
use tokio::sync::{Semaphore, watch};

use crate::{
    Clock, Engine, Folded, OpenError, Options, Shared,
    checkpoint::Checkpoints,
    fold::{self, Fold, Kept, Told},
    meter::Meter,
    proofs,
    queue::{Receiver, queue},
    tail::Tail,
    vault::Vault,
    writer::{self, Decided, Writable, Writer},
};

/// Bytes of the log that are decoded at a time: so few that their memory is used again and again instead of given back and asked for anew.
const REPLAY_BYTES: usize = 64 * 1024;
/// Chunks that may wait, decoded, to be folded.
const CHUNKS_WAITING: usize = 16;

/// What works for an engine: each on a thread of its own, or in turns.
pub(crate) struct Workers {
    pub(crate) writer: Writer,
    pub(crate) queue: Receiver,
    pub(crate) fold: Fold,
    pub(crate) told: Told,
}

pub(crate) fn open<E: From<OpenError> + Send>(
    open_journal: impl FnOnce() -> Result<Arc<dyn Journal>, E> + Send,
    clock: Arc<dyn Clock>,
    options: &Options,
) -> Result<Engine, E> {
    let (engine, Workers { writer, queue, fold, told }) = prepare(open_journal, clock, options)?;
    let spawn = |name: &str| std::thread::Builder::new().name(format!("satgas-{name}"));
    let folding = spawn("fold").spawn(move || fold.run(&told)).map_err(OpenError::Thread)?;
    let writing = spawn("writer").spawn(move || writer.run(queue)).map_err(OpenError::Thread)?;
    engine.shared.threads.lock().extend([folding, writing]);
    engine.finish_erasures();
    Ok(engine)
}

/// An engine for which nobody works yet, and its workers.
pub(crate) fn prepare<E: From<OpenError> + Send>(
    open_journal: impl FnOnce() -> Result<Arc<dyn Journal>, E> + Send,
    clock: Arc<dyn Clock>,
    options: &Options,
) -> Result<(Engine, Workers), E> {
    let mut checkpoints = match &options.checkpoints {
        Some(folder) => {
            let of = |name, version| Checkpoints::new(folder, name, version).map_err(OpenError::Checkpoints);
            let (views, writer) = (of("views", views::VERSION)?, of("writer", writer::VERSION)?);
            Some(Kept { views, writer, tree: of("tree", proofs::VERSION)?, writer_parts: Vec::new() })
        }
        None => None,
    };
    let (journal, restored) = beside(open_journal, |is_of_log| restore(is_of_log, checkpoints.as_mut()))?;
    Ok(on_journal(journal, clock, options, checkpoints, restored)?)
}

/// Tells of a head whether it is one of the log; nothing when there is no log after all.
type IsOfLog<'a> = dyn Fn(Head) -> Option<bool> + Sync + 'a;

/// Opens the journal, and meanwhile restores what asks of heads whether they are its.
fn beside<E: Send, R: Send>(
    open_journal: impl FnOnce() -> Result<Arc<dyn Journal>, E> + Send,
    restore: impl FnOnce(&IsOfLog<'_>) -> R,
) -> Result<(Arc<dyn Journal>, R), E> {
    type Awaited = OnceLock<Option<Arc<dyn Journal>>>;
    /// Whoever waits for a journal is told that there is none, whatever keeps it from opening.
    struct Announced<'a>(&'a Awaited);
    impl Drop for Announced<'_> {
        fn drop(&mut self) {
            self.0.get_or_init(|| None);
        }
    }
    let announced = Awaited::new();
    let is_of_log = |head: Head| {
        let journal = announced.wait().as_ref()?;
        Some(matches!(journal.frame_hash(head.position), Ok(Some(known)) if known == head.hash))
    };
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            let _told = Announced(&announced);
            let journal = open_journal()?;
            announced.get_or_init(|| Some(Arc::clone(&journal)));
            Ok(journal)
        });
        let restored = restore(&is_of_log);
        let journal = opening.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))?;
        Ok((journal, restored))
    })
}

fn on_journal(
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    options: &Options,
    checkpoints: Option<Kept>,
    restored: Restored,
) -> Result<(Engine, Workers), OpenError> {
    if journal.head().position == 0 {
        begin_log(journal.as_ref(), clock.as_ref(), options)?;
    }
    let opened = log_opened(journal.as_ref())?;
    let folds = restored.complete(options.parts, &opened.time_zone)?;
    let calendar = Calendar::new(&opened.time_zone)?;
    let folded = replay(journal.as_ref(), &calendar, folds)?;
    let vault = options.vault.clone().map(Vault::open).transpose()?.map(Arc::new);
    let sealed = (opened.log_id, vault);
    Ok(assemble(journal, clock, options, checkpoints, calendar, sealed, folded))
}

fn begin_log(journal: &dyn Journal, clock: &dyn Clock, options: &Options) -> Result<(), OpenError> {
    Calendar::new(&options.time_zone)?;
    let opened = v1::LogOpened {
        log_id: uuid::Uuid::now_v7().to_string(),
        sample_data: options.sample_data,
        time_zone: options.time_zone.clone(),
    };
    let body = Body::LogOpened(opened);
    let event = v1::Event {
        position: 1,
        recorded_at: Some(Instant::from_jiff(clock.now()).to_proto()),
        kind: event::kind(&body).into(),
        body: Some(body),
        ..Default::default()
    };
    let mut records = Records::new();
    records.push(&event.encode_to_vec());
    journal.append(0, &records)?;
    Ok(())
}

fn log_opened(journal: &dyn Journal) -> Result<v1::LogOpened, OpenError> {
    let first = journal.record(1)?.unwrap_or_default();
    match v1::Event::decode(first).map(|event| event.body) {
        Ok(Some(Body::LogOpened(opened))) => Ok(opened),
        _ => Err(OpenError::Event { position: 1 }),
    }
}

/// All that is folded from the log, and where the checkpoints stood that it was begun from.
struct Folds {
    views_at: u64,
    views: Views,
    decided_at: u64,
    decided: Decided,
    tree: Tree,
}

/// What the newest checkpoints of the log hold.
#[derive(Default)]
struct Restored {
    views: Option<(u64, Result<Views, jiff::Error>)>,
    decided: Option<(u64, Decided)>,
    tree: Option<Tree>,
}

impl Restored {
    /// Begins anew with what there is no checkpoint of.
    fn complete(self, sizes: Sizes, time_zone: &str) -> Result<Folds, OpenError> {
        let (views_at, views) = match self.views {
            Some((at, views)) => (at, views?),
            None => (0, Views::in_parts_of(sizes, time_zone)?),
        };
        let (decided_at, decided) = self.decided.unwrap_or_else(|| (0, Decided::in_parts_of(sizes)));
        Ok(Folds { views_at, views, decided_at, decided, tree: self.tree.unwrap_or_default() })
    }
}

/// Reads the newest checkpoints. The views' takes longest: the others are read beside it.
fn restore(is_of_log: &IsOfLog<'_>, kept: Option<&mut Kept>) -> Restored {
    let Some(Kept { views, writer, tree, .. }) = kept else { return Restored::default() };
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let writer = writer.newest::<Decided>(is_of_log);
            let tree = tree.newest::<proofs::Kept>(is_of_log);
            (
                writer.map(|(head, decided)| (head.position, decided.restored())),
                tree.and_then(|(head, tree)| proofs::restored(tree, head.position)),
            )
        });
        let views = views.newest::<Views>(is_of_log).map(|(head, views)| (head.position, views.restored()));
        let (decided, tree) = others.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
        Restored { views, decided, tree }
    })
}

/// Folds what follows the checkpoints into all states. One thread reads, hashes into the tree, decodes and folds what the writer decides
/// against; this one folds the views, which takes as long.
fn replay(journal: &dyn Journal, calendar: &Calendar, kept: Folds) -> Result<Folds, OpenError> {
    let Folds { views_at, mut views, decided_at, mut decided, mut tree } = kept;
    std::thread::scope(|scope| {
        let (send, decoded) = sync_channel::<Vec<v1::Event>>(CHUNKS_WAITING);
        let reading = scope.spawn(move || {
            let (folded, head) = (views_at.min(decided_at), journal.head().position);
            let mut after = folded.min(tree.size());
            while after < head {
                let chunk = journal.read(after, REPLAY_BYTES)?;
                after = chunk.last();
                let known = tree.size();
                for (_, record) in chunk.records().skip_while(|(position, _)| *position <= known) {
                    tree.push(merkle::leaf(&record));
                }
                // A tree without a checkpoint is made from the bytes alone.
                if after <= folded {
                    continue;
                }
                let events = decode(&chunk)?;
                for event in events.iter().filter(|event| event.position > decided_at) {
                    decided.apply(calendar, event);
                }
                if send.send(events).is_err() {
                    break;
                }
            }
            Ok::<_, OpenError>((decided, tree))
        });
        let one_more = u64::from(views_at > 0 && mutated!("behind a checkpoint an event is left out"));
        for event in decoded.into_iter().flatten().filter(|event| event.position > views_at + one_more) {
            views.apply(&event);
        }
        let (decided, tree) = reading.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))?;
        Ok(Folds { views_at, views, decided_at, decided, tree })
    })
}

fn decode(chunk: &Chunk) -> Result<Vec<v1::Event>, OpenError> {
    let mut events = Vec::with_capacity(usize::try_from(chunk.count).unwrap_or_default());
    for (position, bytes) in chunk.records() {
        let event = v1::Event::decode(bytes.as_ref()).ok().filter(|event| event.position == position);
        events.push(event.ok_or(OpenError::Event { position })?);
    }
    Ok(events)
}

fn assemble(
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    options: &Options,
    checkpoints: Option<Kept>,
    calendar: Calendar,
    (log_id, vault): (String, Option<Arc<Vault>>),
    Folds { views_at, views, decided_at, decided, tree }: Folds,
) -> (Engine, Workers) {
    let head = journal.head();
    let checkpoint_every = if checkpoints.is_some() { options.checkpoint_every.max(1) } else { u64::MAX };
    let queue_bytes_max = u32::try_from(options.queue_bytes_max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let (jobs, queue) = queue();
    let (folds, told) = fold::way(options.fold_bytes_max);
    let (head_sender, head_receiver) = watch::channel(head);
    let (writable_sender, writable_receiver) = watch::channel(Writable::Yes);
    let (folded_sender, folded_receiver) = watch::channel(head.position);
    let meter = Arc::new(Meter::new(decided.recorded));
    let tail = Arc::new(Tail::new(options.tail_bytes_max));
    let views = Arc::new(RwLock::new(Folded { views, head }));
    let tree = Arc::new(RwLock::new(tree));

    let writer = Writer::new(
        Arc::clone(&journal),
        Arc::clone(&clock),
        calendar,
        decided,
        head_sender,
        writable_sender,
        Arc::clone(&meter),
        Arc::clone(&tail),
        folds,
        checkpoint_every,
        decided_at,
    );
    let fold = Fold {
        views: Arc::clone(&views),
        tree: Arc::clone(&tree),
        published: folded_sender,
        checkpoints,
        checkpoint_every,
        checkpointed: views_at,
    };
    let shared = Shared {
        journal,
        clock,
        jobs,
        room: Arc::new(Semaphore::new(queue_bytes_max as usize)),
        queue_bytes_max,
        head: head_receiver,
        writable: writable_receiver,
        meter,
        tail,
        views,
        tree,
        log_id,
        vault,
        judged: tokio::sync::Mutex::default(),
        folded: folded_receiver,
        threads: Mutex::default(),
    };
    (Engine { shared: Arc::new(shared) }, Workers { writer, queue, fold, told })
}
