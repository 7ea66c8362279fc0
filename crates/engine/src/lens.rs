//! Events as one class of readers gets them, shaped once for all of them.
//!
//! Invariants:
//! - A commit in the tail and a block of history are each shaped by the first cursor that comes to them; those that come while it is at it
//!   wait for it, those that come later share the bytes.
//! - Blocks of history begin at fixed positions, so that cursors that stand at different ones still share them.
//! - Shaping runs on the threads that may block, under no lock: neither the writer nor other streams wait for it.
//! - What is kept is bounded by bytes. What was let go of is shaped again when somebody asks for it.

use std::{collections::VecDeque, future::Future, sync::Arc};

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use prost::encoding::{self, WireType};
use satgas_domain::event::Malformed;
use satgas_journal::{Chunk, Journal};
use tokio::sync::OnceCell;

use crate::{ReadError, Shared, blocking};

/// Events in a block of history. Large enough for reading it to be worth it, small enough to be let go of.
const BLOCK_EVENTS: u64 = 128;
/// Bytes that are read of a block at a time.
const READ_BYTES: usize = 32 * 1024;
/// Bytes that a piece counts beside its events, so that pieces of nothing are bounded, too.
const PIECE_BYTES: usize = 256;

/// Makes what is sent of an encoded event; `None` when nothing is.
type Shape = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, Malformed> + Send + Sync;

/// How a class of readers gets events, and what was shaped for it lately. Clones share both.
#[derive(Clone)]
pub struct Lens(Arc<Inner>);

struct Inner {
    shape: Box<Shape>,
    live: Shelf,
    history: Shelf,
}

impl Lens {
    /// A lens that makes what is sent of an encoded event by `shape`, and keeps about `bytes_max` of the latest commits and as much of
    /// history. Give each class one, for as long as the engine runs.
    pub fn new(
        bytes_max: usize,
        shape: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, Malformed> + Send + Sync + 'static,
    ) -> Self {
        let shelf = || Shelf { bytes_max, kept: Mutex::default() };
        Self(Arc::new(Inner { shape: Box::new(shape), live: shelf(), history: shelf() }))
    }

    /// What follows a position, up to the head and about `bytes_max` bytes of the log: one piece at least where there is something.
    pub(crate) async fn pieces(
        &self,
        shared: &Arc<Shared>,
        after: u64,
        bytes_max: usize,
    ) -> Result<Vec<Piece>, ReadError> {
        let head = shared.head.borrow().position;
        let (mut pieces, mut after, mut read) = (Vec::new(), after, 0);
        while after < head && (pieces.is_empty() || read < bytes_max) {
            let commit = shared.tail.read(after, 0).and_then(|chunks| chunks.into_iter().next());
            let piece = match commit {
                Some(commit) => self.commit(commit, after).await?,
                None => self.block(shared, after).await?,
            };
            read += piece.read;
            after = piece.last;
            pieces.push(piece);
        }
        Ok(pieces)
    }

    async fn commit(&self, commit: Chunk, after: u64) -> Result<Piece, ReadError> {
        let (first, last) = (commit.first, commit.last());
        let shape = || {
            let commit = commit.clone();
            self.blocking(move |lens| lens.shape(&[commit], first, last))
        };
        self.0.live.get(first, after, shape).await
    }

    async fn block(&self, shared: &Arc<Shared>, after: u64) -> Result<Piece, ReadError> {
        let first = after - after % BLOCK_EVENTS + 1;
        let read = || {
            let journal = Arc::clone(&shared.journal);
            let last = (first + BLOCK_EVENTS - 1).min(shared.head.borrow().position);
            self.blocking(move |lens| lens.shape(&chunks(journal.as_ref(), first, last)?, first, last))
        };
        self.0.history.get(first, after, read).await
    }

    async fn blocking(
        &self,
        work: impl FnOnce(&Self) -> Result<Piece, ReadError> + Send + 'static,
    ) -> Result<Piece, ReadError> {
        let lens = self.clone();
        blocking::run(move || work(&lens)).await.ok_or(ReadError::Closed)?
    }

    fn shape(&self, chunks: &[Chunk], first: u64, last: u64) -> Result<Piece, ReadError> {
        let read = chunks.iter().map(|chunk| chunk.body.len()).sum();
        let (mut body, mut count) = (Vec::with_capacity(read), 0);
        let events = chunks.iter().flat_map(Chunk::records).take_while(|(position, _)| *position <= last);
        for (position, event) in events {
            let shaped = (self.0.shape)(&event).map_err(|Malformed| ReadError::Event(position.saturating_sub(1)))?;
            if let Some(shaped) = shaped {
                encoding::encode_key(1, WireType::LengthDelimited, &mut body);
                encoding::encode_varint(shaped.len() as u64, &mut body);
                body.extend_from_slice(&shaped);
                count += 1;
            }
        }
        Ok(Piece { first, last, count, body: body.into(), read })
    }
}

/// Reads the records of a block.
fn chunks(journal: &dyn Journal, first: u64, last: u64) -> Result<Vec<Chunk>, ReadError> {
    let (mut chunks, mut after) = (Vec::new(), first - 1);
    while after < last {
        let chunk = journal.read(after, READ_BYTES)?;
        if chunk.is_empty() {
            // The journal always gives one record at least where there is one.
            return Err(ReadError::Event(after));
        }
        after = chunk.last();
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// Events of neighbouring positions as they are sent. Some of the positions may have none.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Position of the first event that was looked at.
    pub(crate) first: u64,
    /// Position of the last.
    pub(crate) last: u64,
    /// How many events there are.
    pub(crate) count: usize,
    /// The events in wire framing.
    pub(crate) body: Bytes,
    /// Bytes of the log that they were made of.
    read: usize,
}

impl From<Chunk> for Piece {
    fn from(chunk: Chunk) -> Self {
        let count = usize::try_from(chunk.count).unwrap_or(usize::MAX);
        Self { first: chunk.first, last: chunk.last(), count, read: chunk.body.len(), body: chunk.body }
    }
}

/// Pieces by their first position, the ones made latest.
struct Shelf {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    slots: HashMap<u64, Slot>,
    /// The slots' keys, the oldest first.
    order: VecDeque<u64>,
}

struct Slot {
    piece: Arc<OnceCell<Piece>>,
    bytes: usize,
}

impl Shelf {
    /// The piece that begins at `first` and reaches beyond `after`: the one that is kept, or being made, or a new one.
    async fn get<F: Future<Output = Result<Piece, ReadError>>>(
        &self,
        first: u64,
        after: u64,
        make: impl Fn() -> F,
    ) -> Result<Piece, ReadError> {
        loop {
            let slot = self.kept.lock().slot(first, after);
            let made = slot.get_or_try_init(|| async {
                let piece = make().await?;
                self.kept.lock().weigh(first, &slot, piece.body.len(), self.bytes_max);
                Ok::<_, ReadError>(piece)
            });
            let piece = made.await?;
            // The last block may have been made when the log was shorter: then the next round makes it anew.
            if piece.last > after {
                return Ok(piece.clone());
            }
        }
    }
}

impl Kept {
    /// The slot of a piece; a new one when there is none, or what is in it ends too early.
    fn slot(&mut self, first: u64, after: u64) -> Arc<OnceCell<Piece>> {
        if let Some(slot) = self.slots.get(&first) {
            if slot.piece.get().is_none_or(|piece| piece.last > after) {
                return Arc::clone(&slot.piece);
            }
            self.order.retain(|key| *key != first);
            self.let_go(first);
        }
        let slot = Slot { piece: Arc::default(), bytes: PIECE_BYTES };
        let piece = Arc::clone(&slot.piece);
        self.bytes += slot.bytes;
        self.slots.insert(first, slot);
        self.order.push_back(first);
        piece
    }

    /// Counts what was made, and lets go of the oldest while there is too much. The newest stays, however large it is.
    fn weigh(&mut self, first: u64, piece: &Arc<OnceCell<Piece>>, bytes: usize, bytes_max: usize) {
        if let Some(slot) = self.slots.get_mut(&first).filter(|slot| Arc::ptr_eq(&slot.piece, piece)) {
            slot.bytes += bytes;
            self.bytes += bytes;
        }
        while self.bytes > bytes_max
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            self.let_go(oldest);
        }
    }

    fn let_go(&mut self, first: u64) {
        if let Some(slot) = self.slots.remove(&first) {
            self.bytes -= slot.bytes;
        }
    }
}
