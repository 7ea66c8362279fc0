//! The thread that folds commits into the views, and writes checkpoints.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use satgas_domain::parts::PartId;
use satgas_journal::{Chunk, Head};
use satgas_proof::Tree;
use satgas_proto::v1;
use tokio::sync::watch;

use crate::{Folded, checkpoint::Checkpoints, ids, proofs};

/// What the fold is told.
pub(crate) enum Message {
    /// A commit, in log order, decoded and as it is stored.
    Commit { events: Vec<v1::Event>, stored: Chunk, head: Head },
    /// The writer's state without its parts, encoded, to be written as a checkpoint, and the parts that are new.
    WriterState { state: Vec<u8>, parts: Vec<(PartId, ids::Part)>, head: Head },
}

impl Message {
    fn bytes(&self) -> usize {
        match self {
            Self::Commit { stored, .. } => stored.body.len(),
            Self::WriterState { state, parts, .. } => {
                state.len() + parts.iter().map(|(_, part)| part.bytes()).sum::<usize>()
            }
        }
    }
}

/// The fold has ended.
#[derive(Debug)]
pub(crate) struct Ended;

/// What waits between the writer and the fold.
struct Between {
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
    ended: bool,
}

impl Between {
    fn end(&self) {
        self.waiting.lock().ended = true;
        self.changed.notify_all();
    }
}

/// The writer's end.
pub(crate) struct Teller {
    between: Arc<Between>,
    /// A turn of the fold, in an engine that has no thread for it.
    fold: Option<FoldTurn>,
}

type FoldTurn = Box<dyn FnMut() -> bool + Send>;

/// The fold's end.
pub(crate) struct Told(Arc<Between>);

/// The way from the writer to the fold, on which so many bytes may wait.
pub(crate) fn way(bytes_max: usize) -> (Teller, Told) {
    let between = Arc::new(Between { bytes_max: bytes_max.max(1), waiting: Mutex::default(), changed: Condvar::new() });
    (Teller { between: Arc::clone(&between), fold: None }, Told(between))
}

impl Teller {
    /// Has the fold given turns where the writer would wait for its thread. A turn tells whether there was anything to do.
    pub(crate) fn instead_of_waiting(&mut self, fold: impl FnMut() -> bool + Send + 'static) {
        self.fold = Some(Box::new(fold));
    }

    /// Tells the fold. Waits while too much waits already.
    pub(crate) fn tell(&mut self, message: Message) -> Result<(), Ended> {
        let Between { bytes_max, waiting, changed } = &*self.between;
        let mut waiting = waiting.lock();
        let waits = waiting.bytes >= *bytes_max;
        while waiting.bytes >= *bytes_max && !waiting.ended {
            match &mut self.fold {
                None => changed.wait(&mut waiting),
                Some(fold) => {
                    let worked = MutexGuard::unlocked(&mut waiting, fold);
                    assert!(worked, "too much waits for the fold, and it finds nothing");
                }
            }
        }
        if waiting.ended {
            return Err(Ended);
        }
        if waits && mutated!("what the writer waited with is lost") {
            return Ok(());
        }
        waiting.bytes += message.bytes();
        waiting.messages.push_back(message);
        drop(waiting);
        changed.notify_one();
        Ok(())
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.between.end();
    }
}

impl Told {
    /// What comes next. `None` when all is taken and the writer has ended.
    fn next(&self) -> Option<Message> {
        let mut waiting = self.0.waiting.lock();
        while waiting.messages.is_empty() && !waiting.ended {
            self.0.changed.wait(&mut waiting);
        }
        self.take(&mut waiting)
    }

    /// What waits, if anything does.
    pub(crate) fn try_next(&self) -> Option<Message> {
        self.take(&mut self.0.waiting.lock())
    }

    fn take(&self, waiting: &mut Waiting) -> Option<Message> {
        let message = waiting.messages.pop_front()?;
        let was_full = waiting.bytes >= self.0.bytes_max;
        if !mutated!("what was taken counts as waiting") {
            waiting.bytes -= message.bytes();
        }
        if was_full {
            self.0.changed.notify_one();
        }
        Some(message)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Where checkpoints are kept.
pub(crate) struct Kept {
    pub(crate) views: Checkpoints,
    pub(crate) writer: Checkpoints,
    pub(crate) tree: Checkpoints,
    /// Parts of the writer's state that are not on the disk yet: it has them no more.
    pub(crate) writer_parts: Vec<(PartId, ids::Part)>,
}

pub(crate) struct Fold {
    pub(crate) views: Arc<RwLock<Folded>>,
    pub(crate) published: watch::Sender<u64>,
    /// The Merkle tree over the records.
    pub(crate) tree: Arc<RwLock<Tree>>,
    pub(crate) checkpoints: Option<Kept>,
    pub(crate) checkpoint_every: u64,
    pub(crate) checkpointed: u64,
}

impl Fold {
    /// Works until the writer has ended.
    pub(crate) fn run(mut self, told: &Told) {
        while let Some(message) = told.next() {
            self.turn(message);
        }
        self.end();
    }

    /// Takes a commit into the views, or writes the writer's state.
    pub(crate) fn turn(&mut self, message: Message) {
        match message {
            Message::Commit { events, stored, head } => {
                // Hashed before anybody waits for it, and in the tree before anybody is told of the position.
                let leaves = proofs::leaves(&stored);
                drop(stored);
                let mut tree = self.tree.write();
                let leaves_out = usize::from(leaves.len() > 1 && mutated!("the tree misses a record"));
                leaves.into_iter().skip(leaves_out).for_each(|leaf| tree.push(leaf));
                drop(tree);
                let mut folded = self.views.write();
                let skipped = usize::from(events.len() > 1 && mutated!("the first of several events is not folded"));
                for event in &events[skipped..] {
                    folded.views.apply(event);
                }
                if mutated!("the last event of a commit is folded twice") {
                    events.last().into_iter().for_each(|event| folded.views.apply(event));
                }
                folded.head = head;
                drop(folded);
                self.published.send_replace(head.position);
                if head.position - self.checkpointed >= self.checkpoint_every {
                    self.checkpoint();
                }
            }
            Message::WriterState { state, parts, head } => {
                let Some(kept) = &mut self.checkpoints else { return };
                kept.writer_parts.extend(parts.into_iter().map(|(id, part)| (id, part.sorted())));
                let written =
                    kept.writer.write_encoded(head, &state, kept.writer_parts.iter().map(|(id, part)| (*id, part)));
                if written.is_ok() || mutated!("parts that could not be written are let go") {
                    kept.writer_parts.clear();
                }
                report(written);
            }
        }
    }

    /// What is left to do when there is no more.
    pub(crate) fn end(&mut self) {
        self.checkpoint();
    }

    /// Writes checkpoints of the views and the tree. Queries go on meanwhile: only this thread ever writes them.
    fn checkpoint(&mut self) {
        let Some(kept) = &mut self.checkpoints else { return };
        let folded = self.views.read();
        let head = folded.head;
        if head.position == self.checkpointed {
            return;
        }
        report(kept.views.write(head, &folded.views, folded.views.parts()));
        drop(folded);
        // It stands where the views do: only this thread moves them.
        report(kept.tree.write(head, &self.tree.read().kept(), [] as [(PartId, ()); 0]));
        self.checkpointed = head.position;
    }
}

fn report(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "a checkpoint was not written: the next start takes longer, nothing is lost");
    }
}
