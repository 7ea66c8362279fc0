//! Joining frames into a chunk for a reader. The head is always the end of a frame, so what lies beyond it is never touched.

use bytes::{Bytes, BytesMut};

use crate::frame::{Frame, Key, body_range};
use crate::records::{framing, skip};
use crate::{Chunk, Fault, ReadError};

/// What the reader asked for, and up to where it may see.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) after: u64,
    pub(crate) head: u64,
    pub(crate) max_bytes: usize,
}

impl Request {
    /// `None` if there is nothing to read, an error if the position cannot be this log's.
    pub(crate) fn check(self) -> Result<Option<Self>, ReadError> {
        if self.after > self.head {
            return Err(ReadError::BeyondHead { after: self.after, head: self.head });
        }
        Ok((self.after < self.head).then_some(self))
    }

    /// The first record that is wanted.
    fn first(self) -> u64 {
        self.after + 1
    }

    /// Keys up to this one may hold the first record's frame; the greatest of them does.
    pub(crate) fn start(self) -> Key {
        Key { first: self.first(), part: 0 }
    }
}

/// Joins `frames`, of which the first one holds the first record asked for, until the request is filled.
///
/// Frames are joined whole; only a first frame that alone exceeds the limit is cut between records. A chunk made of one
/// frame that is not compressed shares that frame's bytes. Damage behind records that can be given is reported to the next
/// read, which begins there.
pub(crate) fn join<I>(request: Request, frames: I) -> Result<Chunk, ReadError>
where
    I: IntoIterator<Item = Result<(Key, Bytes), String>>,
{
    let mut joined = Joined::new(request.start());
    let mut frames = frames.into_iter();
    while joined.next.first <= request.head {
        match joined.take(frames.next(), request.max_bytes) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if joined.count == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(joined.into_chunk(request.first()))
}

/// The records taken so far, and where the next frame must begin.
struct Joined {
    next: Key,
    /// A single body is kept as it is; a second one makes it a copy.
    single: Bytes,
    many: BytesMut,
    count: u32,
    /// Length of the whole records; behind it may be pieces of a long one.
    whole: usize,
}

impl Joined {
    fn new(next: Key) -> Self {
        Joined { next, single: Bytes::new(), many: BytesMut::new(), count: 0, whole: 0 }
    }

    /// Takes what fits of the next frame. Returns whether to go on.
    fn take(&mut self, stored: Option<Result<(Key, Bytes), String>>, max_bytes: usize) -> Result<bool, ReadError> {
        let wanted = self.next;
        let fault = |what: String| Fault::new(wanted.first, what);
        let stored = stored.ok_or_else(|| fault("the frame is missing".into()))?;
        let (key, bytes) = stored.map_err(|cause| ReadError::Storage { after: wanted.first - 1, cause })?;
        let frame = Frame::decode(&bytes).map_err(|damage| fault(damage.to_string()))?;
        // Only the first frame may begin before the record wanted.
        let inside = self.is_empty() && wanted.part == 0 && key.part == 0 && key.first < wanted.first;
        if frame.key != key || !(key == wanted || inside) {
            return Err(fault("another frame stands in its place".into()).into());
        }
        let body = match frame.compressed {
            true => frame.content().map_err(|damage| fault(damage.to_string()))?.into_owned().into(),
            false => bytes.slice(body_range(&bytes)),
        };
        if frame.continues || frame.continued {
            if !frame.continued && !self.fits_record(&body, max_bytes) {
                return Ok(false);
            }
            self.push(body, frame.count);
            let part = if frame.continues { key.part + 1 } else { 0 };
            self.next = Key { first: key.first + u64::from(frame.count), part };
            return Ok(true);
        }
        let skipped = u32::try_from(wanted.first - key.first).ok().filter(|&skipped| skipped < frame.count);
        let records = skipped.and_then(|skipped| Some((skip(&body, skipped)?, frame.count - skipped)));
        let (start, count) = records.ok_or_else(|| fault("the frame does not hold the record".into()))?;
        self.next = Key { first: frame.end() + 1, part: 0 };
        Ok(self.push_within(body.slice(start..), count, max_bytes))
    }

    fn len(&self) -> usize {
        self.single.len() + self.many.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, body: Bytes, count: u32) {
        self.count += count;
        if self.is_empty() {
            self.single = body;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&std::mem::take(&mut self.single));
            }
            self.many.extend_from_slice(&body);
        }
        if count > 0 {
            self.whole = self.len();
        }
    }

    /// Adds the records of a frame. Returns whether to go on.
    fn push_within(&mut self, body: Bytes, count: u32, max_bytes: usize) -> bool {
        if self.len() + body.len() <= max_bytes {
            self.push(body, count);
            return true;
        }
        if self.is_empty() {
            let (bytes, count) = first_records(&body, max_bytes);
            self.push(body.slice(..bytes), count);
        }
        false
    }

    /// Whether the long record that begins with `piece` is to be taken.
    fn fits_record(&self, piece: &[u8], max_bytes: usize) -> bool {
        let len = framing(piece).map_or(0, |(header, len)| header + len);
        self.is_empty() || self.len() + len <= max_bytes
    }

    fn into_chunk(self, first: u64) -> Chunk {
        let body = if self.many.is_empty() { self.single } else { self.many.freeze() };
        Chunk { first, count: self.count, body }
    }
}

/// Length and number of the first records of `body`: at least one, beyond that as many as fit.
fn first_records(body: &[u8], max_bytes: usize) -> (usize, u32) {
    let mut offset = 0;
    let mut count = 0;
    while let Some((header, len)) = framing(&body[offset..]) {
        let end = offset + header + len;
        if end > body.len() || (count > 0 && end > max_bytes) {
            break;
        }
        offset = end;
        count += 1;
    }
    (offset, count)
}
