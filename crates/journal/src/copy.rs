//! Handing out frames as they are stored, for whoever keeps a copy of the log.

use bytes::{Bytes, BytesMut};

use crate::frame::{Frame, Key};
use crate::{Fault, ReadError};

/// What a copy is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// Where the frame before the first one ends.
    pub(crate) after: u64,
    /// Where the last one ends at the latest; not beyond the head.
    pub(crate) last: u64,
    /// No further frame is begun once there are so many bytes.
    pub(crate) max_bytes: usize,
}

impl Wanted {
    /// The key of the first frame.
    pub(crate) fn start(self) -> Key {
        Key { first: self.after + 1, part: 0 }
    }
}

/// Puts `frames`, which begin at [`Wanted::start`] or behind it, one after the other. Ends between records.
pub(crate) fn join<I>(wanted: Wanted, frames: I) -> Result<Bytes, ReadError>
where
    I: IntoIterator<Item = Result<(Key, Bytes), String>>,
{
    let mut frames = frames.into_iter();
    let mut next = wanted.start();
    let mut copy = BytesMut::new();
    while next.part > 0 || (next.first <= wanted.last && (copy.is_empty() || copy.len() < wanted.max_bytes)) {
        let fault = |what: String| Fault::new(next.first, what);
        let stored = frames.next().ok_or_else(|| fault("the frame is missing".into()))?;
        let (key, bytes) = stored.map_err(|cause| ReadError::Storage { after: next.first - 1, cause })?;
        let frame = Frame::decode(&bytes).map_err(|damage| fault(damage.to_string()))?;
        if frame.key != key || key != next {
            return Err(fault("another frame stands in its place".into()).into());
        }
        next = match frame.continues {
            true => Key { first: key.first, part: key.part + 1 },
            false => Key { first: frame.end() + 1, part: 0 },
        };
        copy.extend_from_slice(&bytes);
    }
    Ok(copy.freeze())
}
