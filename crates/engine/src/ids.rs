//! Every id that was ever taken, and where: the same id with the same content is the same submission, for ever.
//!
//! The id itself and its content stand in the log, so only a mark of the id and the position are kept in memory: twelve bytes and a control
//! byte an id. Whoever finds positions here reads there which id it was, see `Writer::look_up`. In shards, so that growing one
//! never stops the writer for long.
//!
//! An id that is in the log stays for ever, so what was taken at so many positions is a part that is written down once.

use std::{collections::BTreeMap, fmt, num::NonZero};

use hashbrown::HashTable;
use satgas_domain::{id::SubmissionId, parts::PartId};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// Hash of an encoded submission or command: the first 64 bits of its BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentHash(u64);

impl ContentHash {
    pub(crate) fn of(encoded: &[u8]) -> Self {
        Self(first_bits(encoded))
    }
}

/// The first 64 bits of the BLAKE3 of some bytes.
fn first_bits(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes"))
}

/// Bytes of a mark: 56 bits of the id's BLAKE3. Nobody can make many ids of one mark, and two by chance cost a look into the log.
const MARK: usize = 7;
/// Bytes of a position: a million records a second for twelve days would not fill them.
const POSITION: usize = 5;
const ENTRY: usize = MARK + POSITION;

/// A mark and a position, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry([u8; ENTRY]);

impl Entry {
    fn new(mark: u64, position: u64) -> Self {
        let mut bytes = [0; ENTRY];
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

/// An id with its mark, which takes a hash to make: once where the id comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) id: SubmissionId,
    mark: u64,
}

impl From<SubmissionId> for Marked {
    fn from(id: SubmissionId) -> Self {
        Self { id, mark: first_bits(&id.bits().to_be_bytes()) & ((1 << (8 * MARK)) - 1) }
    }
}

/// The table takes its seven control bits from the top and the rest from below, so the mark stands in both.
fn spread(mark: u64) -> u64 {
    mark << 8 | mark & 0xFF
}

const SHARDS: usize = 256;

fn shard(mark: u64) -> usize {
    usize::try_from(mark >> 32 & 0xFF).expect("eight bits")
}

/// Ids that were taken at so many positions, written as one string of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part(Vec<[u8; ENTRY]>);

impl Part {
    /// Shard by shard, as it is written: read in this order, each shard is filled at once.
    pub(crate) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|entry| shard(Entry(*entry).mark()));
        self
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.as_flattened().len()
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.0.iter().copied().map(Entry)
    }

    /// What a sorted part has of a shard.
    fn of_shard(&self, number: usize) -> &[[u8; ENTRY]] {
        let shard = |bytes: &[u8; ENTRY]| shard(Entry(*bytes).mark());
        let from = self.0.partition_point(|entry| shard(entry) < number);
        let until = self.0.partition_point(|entry| shard(entry) <= number);
        &self.0[from..until]
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_flattened())
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Part;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{ENTRY} bytes an id")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Part, E> {
                match bytes.as_chunks() {
                    (entries, []) => Ok(Part(entries.to_vec())),
                    _ => Err(E::invalid_length(bytes.len(), &self)),
                }
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The ids.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ids {
    #[serde(skip, default = "shards")]
    shards: Vec<HashTable<Entry>>,
    /// Positions whose ids make a part.
    positions: NonZero<u32>,
    /// Parts that were handed out to be written down.
    parts: u32,
    /// Of those, the ones that were put back by whoever read them, until they are entered.
    #[serde(skip)]
    put: BTreeMap<u32, Part>,
    /// What was taken at later positions, ascending.
    later: Part,
}

fn shards() -> Vec<HashTable<Entry>> {
    (0..SHARDS).map(|_| HashTable::new()).collect()
}

impl Ids {
    /// None, to be written in parts of so many positions.
    pub(crate) fn in_parts_of(positions: u32) -> Self {
        let positions = NonZero::new(positions).unwrap_or(NonZero::<u32>::MIN);
        Self { shards: shards(), positions, parts: 0, put: BTreeMap::new(), later: Part::default() }
    }

    /// The last position of so many parts.
    fn last_of(&self, parts: u32) -> u64 {
        u64::from(parts) * u64::from(self.positions.get())
    }

    /// Takes out the parts that are whole when the log goes up to a position. What is left keeps no room for them.
    pub(crate) fn take_parts(&mut self, head: u64) -> Vec<(PartId, Part)> {
        let mut taken = Vec::new();
        let mut rest = self.later.0.as_slice();
        while self.last_of(self.parts + 1) <= head {
            let last = self.last_of(self.parts + 1);
            let (part, behind) = rest.split_at(rest.partition_point(|entry| Entry(*entry).position() <= last));
            let lost = usize::from(!part.is_empty() && mutated!("the last id of a part is lost"));
            taken.push((PartId { of: 0, number: self.parts }, Part(part[..part.len() - lost].to_vec())));
            rest = behind;
            self.parts += 1;
        }
        if !taken.is_empty() {
            let lost = if mutated!("what is taken behind a whole part is lost") { rest.len() } else { 0 };
            self.later.0 = rest[lost..].to_vec();
        }
        taken
    }

    /// Completes ids that were read. A shard is filled from all parts before the next: filled in their order, all would be in use at once,
    /// which no processor's cache holds.
    pub(crate) fn restored(mut self) -> Self {
        let parts = std::mem::take(&mut self.put);
        for (number, shard_of_it) in self.shards.iter_mut().enumerate() {
            let own = parts.values().map(|part| part.of_shard(number));
            shard_of_it.reserve(own.clone().map(<[_]>::len).sum(), |entry| spread(entry.mark()));
            for entry in own.flatten().copied().map(Entry) {
                shard_of_it.insert_unique(spread(entry.mark()), entry, |entry| spread(entry.mark()));
            }
        }
        let later = std::mem::take(&mut self.later);
        later.entries().for_each(|entry| self.enter(entry));
        Self { later, ..self }
    }

    /// Positions at which an id was taken, ascending: none of one that is new, and seldom one of another id.
    pub(crate) fn positions(&self, Marked { mark, .. }: Marked) -> Vec<u64> {
        let entries = self.shards[shard(mark)].iter_hash(spread(mark)).filter(|entry| entry.mark() == mark);
        let mut positions: Vec<u64> = entries.map(|entry| entry.position()).collect();
        positions.sort_unstable();
        positions
    }

    pub(crate) fn insert(&mut self, Marked { mark, .. }: Marked, position: u64) {
        let entry = Entry::new(mark, position);
        self.enter(entry);
        self.later.0.push(entry.0);
    }

    fn enter(&mut self, entry: Entry) {
        let mark = entry.mark();
        self.shards[shard(mark)].insert_unique(spread(mark), entry, |entry| spread(entry.mark()));
    }

    /// Takes out an entry whose write was refused: one of the latest.
    pub(crate) fn remove(&mut self, Marked { mark, .. }: Marked, position: u64) {
        let taken = Entry::new(mark, position);
        if let Ok(entry) = self.shards[shard(mark)].find_entry(spread(mark), |entry| *entry == taken) {
            entry.remove();
        }
        if let Some(at) = self.later.0.iter().rposition(|entry| *entry == taken.0) {
            self.later.0.remove(at);
        }
    }

    /// Puts a part in its place, as [`Parted::put`](satgas_domain::parts::Parted::put) does.
    pub(crate) fn put(&mut self, PartId { of, number }: PartId, part: Part) -> bool {
        let is_within =
            |entry: Entry| entry.position() > self.last_of(number) && entry.position() <= self.last_of(number + 1);
        let fits = of == 0 && number < self.parts && part.entries().all(is_within);
        fits && self.put.insert(number, part).is_none()
    }

    /// Whether every part is in its place.
    pub(crate) fn is_complete(&self) -> bool {
        self.put.len() == self.parts as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> Marked {
        SubmissionId::parse(&format!("01970f3e-8b1c-7000-8000-0000000000{n:02x}")).unwrap().into()
    }

    #[test]
    fn an_id_is_found_at_every_position_at_which_it_was_taken() {
        let mut ids = Ids::in_parts_of(1_000);
        assert_eq!(ids.positions(id(1)), []);
        let far = (1 << 40) - 1;
        for (id, position) in [(id(1), 9), (id(1), 5), (id(2), far)] {
            ids.insert(id, position);
        }
        let stored = postcard::to_stdvec(&ids).unwrap();
        for mut ids in [ids, postcard::from_bytes::<Ids>(&stored).unwrap().restored()] {
            assert_eq!((ids.positions(id(1)), ids.positions(id(2))), (vec![5, 9], vec![far]));
            ids.remove(id(1), 9);
            ids.remove(id(2), 5);
            assert_eq!((ids.positions(id(1)), ids.positions(id(2))), (vec![5], vec![far]));
        }
    }

    #[test]
    fn ids_are_written_in_parts_and_found_again_whatever_the_order_of_the_parts() {
        const PART_POSITIONS: u64 = 1_000;
        let mut ids = Ids::in_parts_of(1_000);
        assert_eq!(ids.take_parts(PART_POSITIONS - 1), []);
        let taken = [(1, 1), (2, PART_POSITIONS), (3, PART_POSITIONS + 1), (4, 3 * PART_POSITIONS + 7)];
        for (n, position) in taken {
            ids.insert(id(n), position);
        }
        ids.insert(id(5), 3 * PART_POSITIONS + 8);
        ids.remove(id(5), 3 * PART_POSITIONS + 8);
        let parts = ids.take_parts(3 * PART_POSITIONS + 7);
        assert_eq!(
            parts.iter().map(|(id, part)| (id.number, part.0.len())).collect::<Vec<_>>(),
            [(0, 2), (1, 1), (2, 0)]
        );
        assert_eq!(ids.take_parts(3 * PART_POSITIONS + 7), [], "they are handed out once");
        let mut again: Ids = postcard::from_bytes(&postcard::to_stdvec(&ids).unwrap()).unwrap();
        for (id, part) in parts.iter().rev().cloned() {
            assert!(!again.is_complete());
            assert!(!again.put(PartId { number: 3, ..id }, part.clone()), "one that there is none of");
            assert!(
                part.0.is_empty() || !again.put(PartId { number: (id.number + 1) % 3, ..id }, part.clone()),
                "another's place"
            );
            assert!(again.put(id, part.sorted()));
        }
        assert!(again.is_complete());
        for ids in [ids, again.restored()] {
            for (n, position) in taken {
                assert_eq!(ids.positions(id(n)), [position]);
            }
            assert_eq!(ids.positions(id(5)), []);
        }
    }
}
