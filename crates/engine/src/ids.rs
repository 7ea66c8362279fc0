//! Every id that was ever taken, and where: the same id with the same content is the same submission, for ever.
//!
//! The id itself and its content stand in the log, so only a mark of the id and the position are kept in memory: twelve bytes and a control
//! byte an id. Whoever finds positions here reads there which id it was, see `Writer::look_up`. In shards, so that growing one
//! never stops the writer for long.

use std::fmt;

use hashbrown::HashTable;
use satgas_domain::id::SubmissionId;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeSeq as _,
};

/// Hash of an encoded submission or command: the first 64 bits of its BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentHash(u64);

impl ContentHash {
    pub(crate) fn of(encoded: &[u8]) -> Self {
        let (first, _) = blake3::hash(encoded).as_bytes().split_first_chunk().map(|(a, b)| (*a, b)).expect("32 bytes");
        Self(u64::from_le_bytes(first))
    }
}

/// Bytes of a mark: 56 bits of the id's BLAKE3. Nobody can make many ids of one mark, and two by chance cost a look into the log.
const MARK: usize = 7;
/// Bytes of a position: a million records a second for twelve days would not fill them.
const POSITION: usize = 5;

/// A mark and a position, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry([u8; MARK + POSITION]);

impl Entry {
    fn new(mark: u64, position: u64) -> Self {
        let mut bytes = [0; MARK + POSITION];
        bytes[..MARK].copy_from_slice(&mark.to_le_bytes()[..MARK]);
        bytes[MARK..].copy_from_slice(&position.to_le_bytes()[..POSITION]);
        Self(bytes)
    }

    fn mark(self) -> u64 {
        let mut bytes = [0; 8];
        bytes[..MARK].copy_from_slice(&self.0[..MARK]);
        u64::from_le_bytes(bytes)
    }

    fn position(self) -> u64 {
        let mut bytes = [0; 8];
        bytes[..POSITION].copy_from_slice(&self.0[MARK..]);
        u64::from_le_bytes(bytes)
    }
}

fn mark(id: SubmissionId) -> u64 {
    let hash = blake3::hash(&id.bits().to_be_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("32 bytes");
    u64::from_le_bytes(*first) & ((1 << (8 * MARK)) - 1)
}

/// The table takes its seven control bits from the top and the rest from below, so the mark stands in both.
fn spread(mark: u64) -> u64 {
    mark << 8 | mark & 0xFF
}

const SHARDS: usize = 256;
/// Ids for which room is made before they are read: what a damaged number would ask for must fit.
const RESERVED_MAX: usize = 1 << 27;

fn shard(mark: u64) -> usize {
    usize::try_from(mark >> 32 & 0xFF).expect("eight bits")
}

/// The ids.
#[derive(Debug)]
pub(crate) struct Ids(Vec<HashTable<Entry>>);

impl Default for Ids {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| HashTable::new()).collect())
    }
}

impl Ids {
    /// Positions at which an id was taken, ascending: none of one that is new, and seldom one of another id.
    pub(crate) fn positions(&self, id: SubmissionId) -> Vec<u64> {
        let mark = mark(id);
        let entries = self.0[shard(mark)].iter_hash(spread(mark)).filter(|entry| entry.mark() == mark);
        let mut positions: Vec<u64> = entries.map(|entry| entry.position()).collect();
        positions.sort_unstable();
        positions
    }

    pub(crate) fn insert(&mut self, id: SubmissionId, position: u64) {
        self.enter(Entry::new(mark(id), position));
    }

    fn enter(&mut self, entry: Entry) {
        let mark = entry.mark();
        self.0[shard(mark)].insert_unique(spread(mark), entry, |entry| spread(entry.mark()));
    }

    /// Takes out an entry whose write was refused.
    pub(crate) fn remove(&mut self, id: SubmissionId, position: u64) {
        let mark = mark(id);
        let taken = Entry::new(mark, position);
        if let Ok(entry) = self.0[shard(mark)].find_entry(spread(mark), |entry| *entry == taken) {
            entry.remove();
        }
    }
}

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.iter().map(HashTable::len).sum()))?;
        for entry in self.0.iter().flatten() {
            seq.serialize_element(entry)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries(Ids);
        impl<'de> Visitor<'de> for Entries {
            type Value = Ids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("marks of ids")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Ids, A::Error> {
                let each = seq.size_hint().unwrap_or_default().min(RESERVED_MAX) / SHARDS;
                for shard in &mut self.0.0 {
                    // Marks are spread evenly; a shard with some more than its share grows once.
                    shard.reserve(each + each / 16, |entry| spread(entry.mark()));
                }
                while let Some(entry) = seq.next_element()? {
                    self.0.enter(entry);
                }
                Ok(self.0)
            }
        }
        deserializer.deserialize_seq(Entries(Self::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SubmissionId {
        SubmissionId::parse(&format!("01970f3e-8b1c-7000-8000-0000000000{n:02x}")).unwrap()
    }

    #[test]
    fn an_id_is_found_at_every_position_at_which_it_was_taken() {
        let mut ids = Ids::default();
        assert_eq!(ids.positions(id(1)), []);
        let far = (1 << 40) - 1;
        for (id, position) in [(id(1), 9), (id(1), 5), (id(2), far)] {
            ids.insert(id, position);
        }
        let stored = postcard::to_stdvec(&ids).unwrap();
        for mut ids in [ids, postcard::from_bytes(&stored).unwrap()] {
            assert_eq!((ids.positions(id(1)), ids.positions(id(2))), (vec![5, 9], vec![far]));
            ids.remove(id(1), 9);
            ids.remove(id(2), 5);
            assert_eq!((ids.positions(id(1)), ids.positions(id(2))), (vec![5], vec![far]));
        }
    }
}
