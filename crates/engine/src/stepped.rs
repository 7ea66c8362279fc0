//! An engine without threads: its writer and its fold work when they are given a turn.
//!
//! A turn is what the thread of the same name does between two looks for more work, and it is the same function. Whoever gives the turns,
//! from one thread and by a seed, plays an interleaving of writer, fold and callers, and plays it again.

use std::sync::Arc;

use parking_lot::Mutex;
use satgas_journal::Journal;

use crate::{
    Clock, Engine, OpenError, Options,
    fold::{Fold, Told},
    open::{self, Workers},
    queue::Receiver,
    writer::Writer,
};

/// An engine whose writer and fold work in turns. Dropping it is a crash: whoever waits for an answer hears that the engine is closed,
/// and no checkpoint is written.
pub struct Stepped {
    engine: Engine,
    writer: Writer,
    queue: Receiver,
    folding: Arc<Mutex<Folding>>,
}

/// The fold, and what it is told.
struct Folding {
    fold: Fold,
    told: Told,
}

impl Folding {
    fn turn(&mut self) -> bool {
        let Some(message) = self.told.try_next() else { return false };
        self.fold.turn(message);
        true
    }
}

impl Stepped {
    /// Opens an engine over a journal as [`Engine::open`] does, and starts nothing.
    pub fn open(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, options: &Options) -> Result<Self, OpenError> {
        let (engine, workers) = open::prepare(|| Ok::<_, OpenError>(journal), clock, options)?;
        let Workers { mut writer, queue, fold, told } = workers;
        let folding = Arc::new(Mutex::new(Folding { fold, told }));
        let meanwhile = Arc::clone(&folding);
        writer.folds.instead_of_waiting(move || meanwhile.lock().turn());
        engine.finish_erasures();
        Ok(Self { engine, writer, queue, folding })
    }

    /// The engine, as its callers have it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The writer's turn: decides and commits all that waits, and answers. False when nothing waits. Where too much waits for the fold, so
    /// that the writer's thread would wait, the fold is given turns within this one.
    pub fn write(&mut self) -> bool {
        let Some(lot) = self.queue.try_take() else { return false };
        self.writer.turn(lot, &mut self.queue);
        true
    }

    /// The fold's turn: takes one commit into the views, or writes the writer's checkpoint. False when nothing waits.
    pub fn fold(&mut self) -> bool {
        self.folding.lock().turn()
    }

    /// Stops as [`Engine::shutdown`] does: takes no more, answers what waits, and writes checkpoints.
    pub fn shutdown(mut self) {
        self.engine.shutdown();
        while self.write() || self.fold() {}
        self.writer.end();
        while self.fold() {}
        self.folding.lock().fold.end();
    }
}
