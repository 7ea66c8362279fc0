//! Every id that was ever taken, with what it stood for: the same id with the same content is the same submission, for ever.
//!
//! Kept in memory, 32 bytes and a control byte an id, in shards so that growing one never stops the writer for long.

use hashbrown::HashTable;
use satgas_domain::id::SubmissionId;
use serde::{Deserialize, Serialize};

/// Hash of an encoded submission or command: the first 64 bits of its BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContentHash(u64);

impl ContentHash {
    pub(crate) fn of(encoded: &[u8]) -> Self {
        let (first, _) = blake3::hash(encoded).as_bytes().split_first_chunk().map(|(a, b)| (*a, b)).expect("32 bytes");
        Self(u64::from_le_bytes(first))
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    id: SubmissionId,
    content: ContentHash,
    position: u64,
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing.
    New,
    /// This very content, at a position.
    Same(u64),
    /// Other content only, the first of it at a position.
    Other(u64),
}

const SHARDS: usize = 256;

/// The ids.
#[derive(Debug)]
pub(crate) struct Ids {
    shards: Vec<HashTable<Entry>>,
    hasher: foldhash::fast::RandomState,
}

impl Default for Ids {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), hasher: foldhash::fast::RandomState::default() }
    }
}

impl Ids {
    fn hash(&self, id: SubmissionId) -> u64 {
        use std::hash::BuildHasher as _;
        self.hasher.hash_one(id)
    }

    fn shard(hash: u64) -> usize {
        // The table uses the top seven bits and the low ones; these lie between.
        usize::try_from(hash >> 40 & 0xFF).expect("eight bits")
    }

    pub(crate) fn look_up(&self, id: SubmissionId, content: ContentHash) -> Known {
        let hash = self.hash(id);
        let mut other: Option<u64> = None;
        for entry in self.shards[Self::shard(hash)].iter_hash(hash).filter(|entry| entry.id == id) {
            if entry.content == content {
                return Known::Same(entry.position);
            }
            other = Some(other.map_or(entry.position, |first| first.min(entry.position)));
        }
        other.map_or(Known::New, Known::Other)
    }

    pub(crate) fn insert(&mut self, id: SubmissionId, content: ContentHash, position: u64) {
        let hash = self.hash(id);
        let Self { shards, hasher } = self;
        let rehash = |entry: &Entry| {
            use std::hash::BuildHasher as _;
            hasher.hash_one(entry.id)
        };
        shards[Self::shard(hash)].insert_unique(hash, Entry { id, content, position }, rehash);
    }

    /// Takes out an entry whose write was refused.
    pub(crate) fn remove(&mut self, id: SubmissionId, position: u64) {
        let hash = self.hash(id);
        let found =
            self.shards[Self::shard(hash)].find_entry(hash, |entry| entry.id == id && entry.position == position);
        if let Ok(entry) = found {
            entry.remove();
        }
    }

    /// Everything, for a checkpoint.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.shards.iter().flatten()
    }
}

impl Serialize for Ids {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut seq = serializer.serialize_seq(Some(self.shards.iter().map(HashTable::len).sum()))?;
        for entry in self.entries() {
            seq.serialize_element(entry)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut ids = Self::default();
        for Entry { id, content, position } in Vec::<Entry>::deserialize(deserializer)? {
            ids.insert(id, content, position);
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SubmissionId {
        SubmissionId::parse(&format!("01970f3e-8b1c-7000-8000-0000000000{n:02x}")).unwrap()
    }

    #[test]
    fn the_same_content_is_the_same_submission_and_other_content_is_a_conflict_with_the_first() {
        let (a, b, c) = (ContentHash::of(b"a"), ContentHash::of(b"b"), ContentHash::of(b"c"));
        let mut ids = Ids::default();
        assert_eq!(ids.look_up(id(1), a), Known::New);
        ids.insert(id(1), a, 5);
        ids.insert(id(1), b, 9);
        ids.insert(id(2), c, 7);
        let stored = postcard::to_stdvec(&ids).unwrap();
        for mut ids in [ids, postcard::from_bytes(&stored).unwrap()] {
            assert_eq!(ids.look_up(id(1), a), Known::Same(5));
            assert_eq!(ids.look_up(id(1), b), Known::Same(9));
            assert_eq!(ids.look_up(id(1), c), Known::Other(5));
            ids.remove(id(1), 9);
            assert_eq!(ids.look_up(id(1), b), Known::Other(5));
            assert_eq!(ids.look_up(id(2), c), Known::Same(7));
        }
    }
}
