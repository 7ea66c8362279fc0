//! The thread that folds commits into the views, and writes checkpoints.

use std::sync::{Arc, mpsc::Receiver};

use parking_lot::RwLock;
use satgas_journal::{Chunk, Head};
use satgas_proof::Tree;
use satgas_proto::v1;
use tokio::sync::watch;

use crate::{Folded, checkpoint::Checkpoints, proofs};

/// Commits that may wait for the fold: the writer waits when there are more.
pub(crate) const WAITING_MAX: usize = 16;

/// What the fold is told.
pub(crate) enum Message {
    /// A commit, in log order, decoded and as it is stored.
    Commit { events: Vec<v1::Event>, stored: Chunk, head: Head },
    /// The writer's state, to be written as a checkpoint.
    WriterState { state: Vec<u8>, head: Head },
}

/// Where checkpoints are kept.
pub(crate) struct Kept {
    pub(crate) views: Checkpoints,
    pub(crate) writer: Checkpoints,
    pub(crate) tree: Checkpoints,
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
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
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
            Message::WriterState { state, head } => {
                if let Some(kept) = &self.checkpoints {
                    report(kept.writer.write_encoded(head, &state));
                }
            }
        }
    }

    /// What is left to do when there is no more.
    pub(crate) fn end(&mut self) {
        self.checkpoint();
    }

    /// Writes checkpoints of the views and the tree. Queries go on meanwhile: only this thread ever writes them.
    fn checkpoint(&mut self) {
        let Some(kept) = &self.checkpoints else { return };
        let folded = self.views.read();
        let head = folded.head;
        if head.position == self.checkpointed {
            return;
        }
        report(kept.views.write(head, &folded.views));
        drop(folded);
        // It stands where the views do: only this thread moves them.
        report(kept.tree.write(head, &self.tree.read().kept()));
        self.checkpointed = head.position;
    }
}

fn report(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "a checkpoint was not written: the next start takes longer, nothing is lost");
    }
}
