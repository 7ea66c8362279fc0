//! The latest commits, kept in memory in the bytes in which they were written, for the subscribers that keep up.

use std::collections::VecDeque;

use parking_lot::Mutex;
use satgas_journal::Chunk;

/// The latest commits.
pub(crate) struct Tail {
    bytes_max: usize,
    commits: Mutex<Commits>,
}

#[derive(Default)]
struct Commits {
    bytes: usize,
    chunks: VecDeque<Chunk>,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, commits: Mutex::default() }
    }

    /// Adds the next commit and lets go of the oldest.
    pub(crate) fn push(&self, chunk: Chunk) {
        let mut commits = self.commits.lock();
        commits.bytes += chunk.body.len();
        commits.chunks.push_back(chunk);
        while commits.bytes > self.bytes_max
            && let Some(oldest) = commits.chunks.pop_front()
        {
            commits.bytes -= oldest.body.len();
        }
    }

    /// Commits with what follows `after`: whole ones, one at least, of about `bytes_max` together. `None` when the first of it is
    /// not here.
    pub(crate) fn read(&self, after: u64, bytes_max: usize) -> Option<Vec<Chunk>> {
        let commits = self.commits.lock();
        if commits.chunks.front()?.first > after + 1 {
            return None;
        }
        let start = commits.chunks.partition_point(|chunk| chunk.last() <= after);
        let mut bytes = 0;
        let within = |chunk: &&Chunk| {
            let fits = bytes == 0 || bytes < bytes_max;
            bytes += chunk.body.len();
            fits
        };
        Some(commits.chunks.range(start..).take_while(within).cloned().collect())
    }
}
