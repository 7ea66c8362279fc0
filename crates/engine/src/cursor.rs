//! A subscriber is a cursor over the log: read after it, send, wait for the head to move. There is no second, live queue, so there is no
//! hand-over between old and new, no gap and no repeat.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use satgas_domain::{event, id::is_within};
use satgas_journal::Chunk;

use crate::{ReadError, Shared};

/// What a cursor lets through. An event must match every part that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only areas within this prefix, by whole segments.
    pub area_prefix: String,
    /// Only these kinds (`EventKind`); empty for all.
    pub kinds: Vec<i32>,
    /// Only this institution; empty for all.
    pub institution_id: String,
}

impl Filter {
    fn is_open(&self) -> bool {
        self.area_prefix.is_empty() && self.kinds.is_empty() && self.institution_id.is_empty()
    }

    fn matches(&self, head: &event::Head<'_>) -> bool {
        (self.area_prefix.is_empty() || (!head.area_code.is_empty() && is_within(head.area_code, &self.area_prefix)))
            && (self.kinds.is_empty() || self.kinds.contains(&head.kind))
            && (self.institution_id.is_empty() || self.institution_id == head.institution_id)
    }
}

/// What a cursor passed over.
#[derive(Debug, Default)]
pub struct Page {
    /// Matching events in wire framing, `repeated Event events = 1`, in order: pieces to be sent one after the other.
    pub bodies: Vec<Bytes>,
    /// How many events that is.
    pub count: usize,
    /// Everything up to here was looked at.
    pub position: u64,
}

/// A place in the log that moves on.
pub struct Cursor {
    shared: Arc<Shared>,
    position: u64,
    filter: Filter,
}

impl Cursor {
    pub(crate) fn new(shared: Arc<Shared>, position: u64, filter: Filter) -> Result<Self, ReadError> {
        let head = shared.journal.head().position;
        if position > head {
            return Err(ReadError::BeyondHead { position, head });
        }
        Ok(Self { shared, position, filter })
    }

    /// Everything up to here was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The last durable position.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.shared.head.borrow().position
    }

    /// Waits until there is something after the cursor. False when the engine stopped.
    pub async fn wait(&mut self) -> bool {
        let position = self.position;
        self.shared.head.clone().wait_for(|head| head.position > position).await.is_ok()
    }

    /// Reads on, at most to the head and by about `bytes_max` bytes and `count_max` events. An empty page at the head; a page may also
    /// be empty because nothing matched, and then its position has moved.
    pub async fn read(&mut self, bytes_max: usize, count_max: usize) -> Result<Page, ReadError> {
        let mut page = Page { position: self.position, ..Page::default() };
        if self.position >= self.head() {
            return Ok(page);
        }
        let chunks = match self.shared.tail.read(self.position, bytes_max) {
            Some(chunks) => chunks,
            None => {
                let (journal, after) = (Arc::clone(&self.shared.journal), self.position);
                let read = tokio::task::spawn_blocking(move || journal.read(after, bytes_max)).await;
                vec![read.map_err(|_| ReadError::Closed)??]
            }
        };
        let mut left = Limits { bytes: bytes_max, count: count_max };
        for chunk in chunks {
            if !self.take(&chunk, &mut left, &mut page)? {
                break;
            }
        }
        self.position = page.position;
        Ok(page)
    }

    /// Takes what follows the page from a chunk. False when a limit was reached.
    fn take(&self, chunk: &Chunk, left: &mut Limits, page: &mut Page) -> Result<bool, ReadError> {
        let events = usize::try_from(chunk.count).unwrap_or(usize::MAX);
        let whole = chunk.first == page.position + 1 && chunk.body.len() <= left.bytes && events <= left.count;
        if whole && self.filter.is_open() {
            left.bytes -= chunk.body.len();
            left.count -= events;
            page.count += events;
            page.position = chunk.last();
            page.bodies.push(chunk.body.clone());
            return Ok(true);
        }
        self.pick(chunk, left, page)
    }

    /// Picks events one by one and joins neighbours into one piece.
    fn pick(&self, chunk: &Chunk, left: &mut Limits, page: &mut Page) -> Result<bool, ReadError> {
        let malformed = |position| ReadError::Event(position);
        let (mut position, mut offset) = (chunk.first, 0);
        let mut piece: Option<std::ops::Range<usize>> = None;
        let mut room = true;
        while offset < chunk.body.len() {
            let start = offset;
            let mut rest = &chunk.body[start + 1..];
            let len = prost::encoding::decode_varint(&mut rest).map_err(|_| malformed(page.position))?;
            let len = usize::try_from(len)
                .ok()
                .filter(|len| *len <= rest.remaining())
                .ok_or_else(|| malformed(page.position))?;
            let end = chunk.body.len() - rest.remaining() + len;
            let event = &chunk.body[end - len..end];
            offset = end;
            if position > page.position {
                if left.count == 0 || (left.bytes < end - start && page.count > 0) {
                    room = false;
                    break;
                }
                let matches = self.filter.is_open()
                    || self.filter.matches(&event::Head::peek(event).map_err(|_| malformed(page.position))?);
                if matches {
                    left.bytes = left.bytes.saturating_sub(end - start);
                    left.count -= 1;
                    page.count += 1;
                    match &mut piece {
                        Some(piece) if piece.end == start => piece.end = end,
                        piece => page.bodies.extend(piece.replace(start..end).map(|range| chunk.body.slice(range))),
                    }
                }
                page.position = position;
            }
            position += 1;
        }
        page.bodies.extend(piece.map(|range| chunk.body.slice(range)));
        Ok(room)
    }
}

struct Limits {
    bytes: usize,
    count: usize,
}
