//! Events of neighbouring positions, in the bytes in which they are sent, for many cursors.
//!
//! What a filter asks of an event is read once and shared: a thousand cursors that each look for their own area read no event again.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::{Buf as _, Bytes};
use satgas_domain::event;
use satgas_journal::Chunk;

use crate::ReadError;

/// Events of neighbouring positions as they are sent. Some of the positions may have none. Clones share everything.
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
    pub(crate) read: usize,
    marks: Arc<OnceLock<Box<[Mark]>>>,
}

/// What a filter asks of an event, and where it lies.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) position: u64,
    /// In the piece's body, framing included.
    pub(crate) range: Range<usize>,
    pub(crate) kind: i32,
    pub(crate) area_code: Box<str>,
    pub(crate) institution_id: Box<str>,
}

impl Piece {
    /// A piece of the positions `first` to `last`.
    pub(crate) fn new(first: u64, last: u64, count: usize, body: Bytes, read: usize) -> Self {
        Self { first, last, count, body, read, marks: Arc::default() }
    }

    /// Its events, in order.
    ///
    /// # Errors
    /// When one of them cannot be read: the position before it.
    pub(crate) fn marks(&self) -> Result<&[Mark], ReadError> {
        if let Some(marks) = self.marks.get() {
            return Ok(marks);
        }
        let marks = self.read_marks()?;
        Ok(self.marks.get_or_init(|| marks))
    }

    fn read_marks(&self) -> Result<Box<[Mark]>, ReadError> {
        let (mut marks, mut offset, mut before) = (Vec::with_capacity(self.count), 0, self.first - 1);
        while offset < self.body.len() {
            let (range, event) = framed(&self.body, offset).ok_or(ReadError::Event(before))?;
            let head = event::Head::peek(event).map_err(|_| ReadError::Event(before))?;
            let (area_code, institution_id) = (head.area_code.into(), head.institution_id.into());
            before = head.position;
            offset = range.end;
            marks.push(Mark { position: head.position, range, kind: head.kind, area_code, institution_id });
        }
        Ok(marks.into())
    }
}

impl From<Chunk> for Piece {
    fn from(chunk: Chunk) -> Self {
        let count = usize::try_from(chunk.count).unwrap_or(usize::MAX);
        Self::new(chunk.first, chunk.last(), count, chunk.body.clone(), chunk.body.len())
    }
}

/// Where the framed event at an offset lies, and the event; `None` when there is no whole one.
fn framed(body: &[u8], offset: usize) -> Option<(Range<usize>, &[u8])> {
    let mut rest = body.get(offset + 1..)?;
    let len = usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?;
    let start = body.len() - rest.remaining();
    let end = start.checked_add(len)?;
    Some((offset..end, body.get(start..end)?))
}
