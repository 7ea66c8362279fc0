//! The latest records, kept in memory in the bytes in which they were written, for the subscribers that keep up.
//!
//! Small commits are joined: a thousand subscribers that each come for the last hundred of them would otherwise take each by itself.

use std::collections::VecDeque;

use parking_lot::Mutex;
use satgas_journal::Chunk;

use crate::piece::Piece;

/// Bytes up to which commits are joined. What is joined is copied once for each commit that comes to it.
const JOINED_BYTES: usize = 16 * 1024;

/// The latest records.
pub(crate) struct Tail {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    chunks: VecDeque<(Chunk, Piece)>,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    /// Adds the next commit and lets go of the oldest.
    pub(crate) fn push(&self, commit: Chunk) {
        let mut kept = self.kept.lock();
        kept.bytes += commit.body.len();
        let joined = match kept.chunks.back() {
            Some((last, _)) if last.body.len() + commit.body.len() <= JOINED_BYTES => {
                let joined = last.joined(&commit);
                kept.chunks.pop_back();
                joined
            }
            _ => commit,
        };
        let piece = Piece::from(joined.clone());
        kept.chunks.push_back((joined, piece));
        while kept.bytes > self.bytes_max
            && let Some((oldest, _)) = kept.chunks.pop_front()
        {
            kept.bytes -= oldest.body.len();
        }
    }

    /// What follows `after`, in whole pieces, one at least, of about `bytes_max` together; the first may begin before it. `None` when the
    /// first of it is not here.
    pub(crate) fn read(&self, after: u64, bytes_max: usize) -> Option<Vec<Piece>> {
        let kept = self.kept.lock();
        let start = kept.find(after)?;
        let mut bytes = 0;
        let within = |(chunk, _): &&(Chunk, Piece)| {
            let fits = bytes == 0 || bytes < bytes_max;
            bytes += chunk.body.len();
            fits
        };
        Some(kept.chunks.range(start..).take_while(within).map(|(_, piece)| piece.clone()).collect())
    }

    /// The chunk with the record behind `after`; `None` when it is not here.
    pub(crate) fn chunk(&self, after: u64) -> Option<Chunk> {
        let kept = self.kept.lock();
        kept.chunks.get(kept.find(after)?).map(|(chunk, _)| chunk.clone())
    }
}

impl Kept {
    /// Where the record behind `after` lies; `None` when it was let go of, or is still to come.
    fn find(&self, after: u64) -> Option<usize> {
        let (first, last) = (&self.chunks.front()?.0, &self.chunks.back()?.0);
        let known = first.first <= after + 1 && after < last.last();
        known.then(|| self.chunks.partition_point(|(chunk, _)| chunk.last() <= after))
    }
}
