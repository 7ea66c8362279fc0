//! Events as one class of readers gets them, shaped once for all of them.
//!
//! Invariants:
//! - A chunk of the tail and a block of history are each shaped by the first cursor that comes to them; those that come while it is at it
//!   wait for it, those that come later share the bytes. Where one has grown since, only what is new is shaped.
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

use crate::{ReadError, Shared, blocking, piece::Piece};

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
            let piece = match shared.tail.chunk(after) {
                Some(chunk) => self.chunk(chunk, after).await?,
                None => self.block(shared, after).await?,
            };
            read += piece.read;
            after = piece.last;
            pieces.push(piece);
        }
        Ok(pieces)
    }

    async fn chunk(&self, chunk: Chunk, after: u64) -> Result<Piece, ReadError> {
        let (first, last) = (chunk.first, chunk.last());
        let shape = |begun: Option<Piece>| {
            let chunk = chunk.clone();
            self.blocking(move |lens| lens.shape(&[chunk], first, last, begun))
        };
        self.0.live.get(first, after, shape).await
    }

    async fn block(&self, shared: &Arc<Shared>, after: u64) -> Result<Piece, ReadError> {
        let first = after - after % BLOCK_EVENTS + 1;
        let read = |begun: Option<Piece>| {
            let journal = Arc::clone(&shared.journal);
            let last = (first + BLOCK_EVENTS - 1).min(shared.head.borrow().position);
            let from = begun.as_ref().map_or(first, |begun| begun.last + 1);
            self.blocking(move |lens| lens.shape(&chunks(journal.as_ref(), from, last)?, first, last, begun))
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

    /// Shapes what lies up to `last` behind what was shaped of it before.
    fn shape(&self, chunks: &[Chunk], first: u64, last: u64, begun: Option<Piece>) -> Result<Piece, ReadError> {
        let begun = begun.unwrap_or_else(|| Piece::new(first, first - 1, 0, Bytes::new(), 0));
        let (mut count, mut read) = (begun.count, begun.read);
        let events = chunks.iter().flat_map(Chunk::records);
        let new =
            events.skip_while(|(position, _)| *position <= begun.last).take_while(|(position, _)| *position <= last);
        let mut body =
            Vec::with_capacity(begun.body.len() + chunks.iter().map(|chunk| chunk.body.len()).sum::<usize>());
        body.extend_from_slice(&begun.body);
        for (position, event) in new {
            let shaped = (self.0.shape)(&event).map_err(|Malformed| ReadError::Event(position.saturating_sub(1)))?;
            if let Some(shaped) = shaped {
                encoding::encode_key(1, WireType::LengthDelimited, &mut body);
                encoding::encode_varint(shaped.len() as u64, &mut body);
                body.extend_from_slice(&shaped);
                count += 1;
            }
            read += event.len();
        }
        Ok(Piece::new(first, last, count, body.into(), read))
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
    /// The piece that begins at `first` and reaches beyond `after`: the one that is kept, or being made, or a new one, which `make` is given
    /// the beginning of where that is known.
    async fn get<F: Future<Output = Result<Piece, ReadError>>>(
        &self,
        first: u64,
        after: u64,
        make: impl Fn(Option<Piece>) -> F,
    ) -> Result<Piece, ReadError> {
        loop {
            let (slot, begun) = self.kept.lock().slot(first, after);
            let made = slot.get_or_try_init(|| async {
                let piece = make(begun).await?;
                self.kept.lock().weigh(first, &slot, piece.body.len(), self.bytes_max);
                Ok::<_, ReadError>(piece)
            });
            let piece = made.await?;
            // It may have been made when the log was shorter: then the next round makes it anew.
            if piece.last > after {
                return Ok(piece.clone());
            }
        }
    }
}

impl Kept {
    /// The slot of a piece; a new one when there is none, or what is in it ends too early, with what that is.
    fn slot(&mut self, first: u64, after: u64) -> (Arc<OnceCell<Piece>>, Option<Piece>) {
        let mut begun = None;
        if let Some(slot) = self.slots.get(&first) {
            if slot.piece.get().is_none_or(|piece| piece.last > after) {
                return (Arc::clone(&slot.piece), None);
            }
            begun = slot.piece.get().cloned();
            // What grows is among the newest.
            if let Some(place) = self.order.iter().rposition(|key| *key == first) {
                self.order.remove(place);
            }
            self.let_go(first);
        }
        let slot = Slot { piece: Arc::default(), bytes: PIECE_BYTES };
        let piece = Arc::clone(&slot.piece);
        self.bytes += slot.bytes;
        self.slots.insert(first, slot);
        self.order.push_back(first);
        (piece, begun)
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
