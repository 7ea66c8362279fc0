//! An engine without threads: its writer and its fold work when they are given a turn.
//!
//! A turn is what the thread of the same name does between two looks for more work, and it is the same function. Whoever gives the turns,
//! from one thread and by a seed, plays an interleaving of writer, fold and callers, and plays it again.

use std::sync::Arc;

use satgas_journal::Journal;

use crate::{
    Clock, Engine, OpenError, Options,
    open::{self, Workers},
};

/// An engine whose writer and fold work in turns. Dropping it is a crash: whoever waits for an answer hears that the engine is closed,
/// and no checkpoint is written.
pub struct Stepped {
    engine: Engine,
    workers: Workers,
}

impl Stepped {
    /// Opens an engine over a journal as [`Engine::open`] does, and starts nothing.
    pub fn open(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, options: &Options) -> Result<Self, OpenError> {
        let (engine, workers) = open::prepare(|| Ok::<_, OpenError>(journal), clock, options)?;
        engine.finish_erasures();
        Ok(Self { engine, workers })
    }

    /// The engine, as its callers have it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The writer's turn: decides and commits all that waits, and answers. False when nothing waits, and while so much waits for the fold
    /// that the writer's thread would wait, too.
    pub fn write(&mut self) -> bool {
        if self.workers.told.is_full() {
            return false;
        }
        let Some(lot) = self.workers.queue.try_take() else { return false };
        self.workers.writer.turn(lot, &mut self.workers.queue);
        true
    }

    /// The fold's turn: takes one commit into the views, or writes the writer's checkpoint. False when nothing waits.
    pub fn fold(&mut self) -> bool {
        let Some(message) = self.workers.told.try_next() else { return false };
        self.workers.fold.turn(message);
        true
    }

    /// Stops as [`Engine::shutdown`] does: takes no more, answers what waits, and writes checkpoints.
    pub fn shutdown(mut self) {
        self.engine.shutdown();
        while self.write() || self.fold() {}
        self.workers.writer.end();
        while self.fold() {}
        self.workers.fold.end();
    }
}
