//! An engine without threads: its writer and its fold work when they are given a turn.
//!
//! A turn is what the thread of the same name does between two looks for more work, and it is the same function. Whoever gives the turns,
//! from one thread and by a seed, plays an interleaving of writer, fold and callers, and plays it again.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::Receiver},
};

use satgas_journal::Journal;

use crate::{
    Clock, Engine, OpenError, Options,
    fold::{self, Message},
    open::{self, Workers},
};

/// An engine whose writer and fold work in turns. Dropping it is a crash: whoever waits for an answer hears that the engine is closed,
/// and no checkpoint is written.
pub struct Stepped {
    engine: Engine,
    workers: Workers,
    messages: Receiver<Message>,
    /// What the writer handed to the fold. Taken out of the channel after each of the writer's turns: one that is full would hold it for ever.
    handed: VecDeque<Message>,
}

impl Stepped {
    /// Opens an engine over a journal as [`Engine::open`] does, and starts nothing.
    pub fn open(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, options: &Options) -> Result<Self, OpenError> {
        let (engine, workers, messages) = open::prepare(journal, clock, options)?;
        engine.finish_erasures();
        Ok(Self { engine, workers, messages, handed: VecDeque::new() })
    }

    /// The engine, as its callers have it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The writer's turn: decides and commits all that waits, and answers. False when nothing waits, and while so many commits wait for
    /// the fold that the writer's thread would.
    pub fn write(&mut self) -> bool {
        if self.handed.len() >= fold::WAITING_MAX {
            return false;
        }
        let Some(lot) = self.workers.queue.try_take() else { return false };
        self.workers.writer.turn(lot, &mut self.workers.queue);
        self.handed.extend(self.messages.try_iter());
        true
    }

    /// The fold's turn: takes one commit into the views, or writes the writer's checkpoint. False when nothing waits.
    pub fn fold(&mut self) -> bool {
        let Some(message) = self.handed.pop_front() else { return false };
        self.workers.fold.turn(message);
        true
    }

    /// Stops as [`Engine::shutdown`] does: takes no more, answers what waits, and writes checkpoints.
    pub fn shutdown(mut self) {
        self.engine.shutdown();
        while self.write() || self.fold() {}
        self.workers.writer.end();
        self.handed.extend(self.messages.try_iter());
        while self.fold() {}
        self.workers.fold.end();
    }
}
