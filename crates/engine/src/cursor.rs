//! A subscriber is a cursor over the log: read after it, send, wait for the head to move. There is no second, live queue, so there is no
//! hand-over between old and new, no gap and no repeat.
//!
//! A cursor reads the log's own bytes, or looks through a [`Lens`]. A filter is asked of what comes out of the lens: it cannot be used to
//! find out what the lens keeps back.

use std::sync::Arc;

use bytes::Bytes;
use satgas_domain::id::is_within;

use crate::{
    ReadError, Shared, blocking,
    lens::Lens,
    piece::{Mark, Piece},
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

    fn matches(&self, event: &Mark) -> bool {
        (self.area_prefix.is_empty() || (!event.area_code.is_empty() && is_within(&event.area_code, &self.area_prefix)))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (self.institution_id.is_empty() || *self.institution_id == *event.institution_id)
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
        let position =
            if mutated!("a subscriber comes back one too early") { position.saturating_sub(1) } else { position };
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
        if mutated!("a page that is cut short loses an event") && page.count == count_max && page.position < self.head()
        {
            page.position += 1;
        }
        self.position = page.position;
        Ok(page)
    }

    /// What follows the cursor as it is stored: from the tail, or from the journal.
    async fn stored(&self, bytes_max: usize) -> Result<Vec<Piece>, ReadError> {
        if let Some(pieces) = self.shared.tail.read(self.position, bytes_max) {
            return Ok(pieces);
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
        let marks = piece.marks()?;
        let mut run: Option<std::ops::Range<usize>> = None;
        let mut room = true;
        for mark in &marks[marks.partition_point(|mark| mark.position <= page.position)..] {
            let len = mark.range.len();
            if left.count == 0 || (left.bytes < len && page.count > 0) {
                room = false;
                break;
            }
            if self.filter.matches(mark) {
                left.bytes = left.bytes.saturating_sub(len);
                left.count -= 1;
                page.count += 1;
                match &mut run {
                    Some(run) if run.end == mark.range.start => run.end = mark.range.end,
                    run => page.bodies.extend(run.replace(mark.range.clone()).map(|range| piece.body.slice(range))),
                }
            }
            page.position = mark.position;
        }
        page.bodies.extend(run.map(|range| piece.body.slice(range)));
        if room {
            page.position = page.position.max(piece.last);
        }
        Ok(room)
    }
}

struct Limits {
    bytes: usize,
    count: usize,
}
