//! A subscriber is a cursor over the log: read after it, send, wait for the head to move. There is no second, live queue, so there is no
//! hand-over between old and new, no gap and no repeat.
//!
//! A cursor reads the log's own bytes, or looks through a [`Lens`]. A filter is asked of what comes out of the lens: it cannot be used to
//! find out what the lens keeps back.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use satgas_domain::{event, id::is_within};

use crate::{
    ReadError, Shared, blocking,
    lens::{Lens, Piece},
};

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
    /// Whether it lets everything through.
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
    lens: Option<Lens>,
}

impl Cursor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        position: u64,
        filter: Filter,
        lens: Option<Lens>,
    ) -> Result<Self, ReadError> {
        let head = shared.journal.head().position;
        if position > head {
            return Err(ReadError::BeyondHead { position, head });
        }
        Ok(Self { shared, position, filter, lens })
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
        let pieces = match &self.lens {
            Some(lens) => lens.pieces(&self.shared, self.position, bytes_max).await?,
            None => self.stored(bytes_max).await?,
        };
        let mut left = Limits { bytes: bytes_max, count: count_max };
        for piece in pieces {
            if !self.take(&piece, &mut left, &mut page)? {
                break;
            }
        }
        self.position = page.position;
        Ok(page)
    }

    /// What follows the cursor as it is stored: from the tail, or from the journal.
    async fn stored(&self, bytes_max: usize) -> Result<Vec<Piece>, ReadError> {
        if let Some(chunks) = self.shared.tail.read(self.position, bytes_max) {
            return Ok(chunks.into_iter().map(Piece::from).collect());
        }
        let (journal, after) = (Arc::clone(&self.shared.journal), self.position);
        let read = blocking::run(move || journal.read(after, bytes_max)).await;
        Ok(vec![read.ok_or(ReadError::Closed)??.into()])
    }

    /// Takes what follows the page from a piece. False when a limit was reached.
    fn take(&self, piece: &Piece, left: &mut Limits, page: &mut Page) -> Result<bool, ReadError> {
        let whole = piece.first == page.position + 1 && piece.body.len() <= left.bytes && piece.count <= left.count;
        if !whole || !self.filter.is_open() {
            return self.pick(piece, left, page);
        }
        left.bytes -= piece.body.len();
        left.count -= piece.count;
        page.count += piece.count;
        page.position = piece.last;
        if piece.count > 0 {
            page.bodies.push(piece.body.clone());
        }
        Ok(true)
    }

    /// Picks events one by one and joins neighbours into one run of bytes.
    fn pick(&self, piece: &Piece, left: &mut Limits, page: &mut Page) -> Result<bool, ReadError> {
        let body = &piece.body;
        let mut run: Option<std::ops::Range<usize>> = None;
        let (mut offset, mut room) = (0, true);
        while offset < body.len() {
            let start = offset;
            let event = framed(body, &mut offset).ok_or(ReadError::Event(page.position))?;
            let head = event::Head::peek(event).map_err(|_| ReadError::Event(page.position))?;
            if head.position <= page.position {
                continue;
            }
            if left.count == 0 || (left.bytes < offset - start && page.count > 0) {
                room = false;
                break;
            }
            if self.filter.matches(&head) {
                left.bytes = left.bytes.saturating_sub(offset - start);
                left.count -= 1;
                page.count += 1;
                match &mut run {
                    Some(run) if run.end == start => run.end = offset,
                    run => page.bodies.extend(run.replace(start..offset).map(|range| body.slice(range))),
                }
            }
            page.position = head.position;
        }
        page.bodies.extend(run.map(|range| body.slice(range)));
        if room {
            page.position = page.position.max(piece.last);
        }
        Ok(room)
    }
}

/// The framed event at an offset, which moves behind it; `None` when there is no whole one.
fn framed<'a>(body: &'a [u8], offset: &mut usize) -> Option<&'a [u8]> {
    let mut rest = body.get(*offset + 1..)?;
    let len = usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?;
    let start = body.len() - rest.remaining();
    *offset = start.checked_add(len)?;
    body.get(start..*offset)
}

struct Limits {
    bytes: usize,
    count: usize,
}
