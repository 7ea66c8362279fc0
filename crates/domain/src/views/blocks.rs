//! Millions of things that are only added, in blocks that never move.
//!
//! A vector that doubles copies everything it holds and keeps half of its room empty: at ten million records that is a gigabyte written
//! again while the fold stands still. A block is made once, and the operating system gives it memory as it fills.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeSeq as _,
};

/// Things in a block: a power of two, so that finding one costs a shift.
const BLOCK: usize = 1 << 15;

/// Things by index, from 0.
#[derive(Clone, Debug)]
pub(super) struct Blocks<T>(Vec<Vec<T>>);

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Blocks<T> {
    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * BLOCK + last.len())
    }

    pub(super) fn push(&mut self, thing: T) {
        match self.0.last_mut() {
            Some(last) if last.len() < BLOCK => last.push(thing),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(thing);
                self.0.push(block);
            }
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index / BLOCK)?.get(index % BLOCK)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.get_mut(index / BLOCK)?.get_mut(index % BLOCK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    /// Index of the thing with a key, when the keys ascend.
    pub(super) fn find_by_key<K: Ord>(&self, key: K, key_of: impl Fn(&T) -> K) -> Option<usize> {
        let after = self.0.partition_point(|block| block.first().is_some_and(|first| key_of(first) <= key));
        let block = after.checked_sub(1)?;
        let within = self.0[block].binary_search_by(|thing| key_of(thing).cmp(&key)).ok()?;
        Some(block * BLOCK + within)
    }
}

impl<T: Serialize> Serialize for Blocks<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        for thing in self.iter() {
            seq.serialize_element(thing)?;
        }
        seq.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Blocks<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Things<T>(Blocks<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Things<T> {
            type Value = Blocks<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
                while let Some(thing) = seq.next_element()? {
                    self.0.push(thing);
                }
                Ok(self.0)
            }
        }
        deserializer.deserialize_seq(Things(Self::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_found_by_index_and_by_key_over_the_edge_of_a_block() {
        let mut blocks = Blocks::default();
        let things = 2 * BLOCK + 3;
        for n in 0..things {
            blocks.push(n * 10);
        }
        assert_eq!(blocks.len(), things);
        for index in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, things - 1] {
            assert_eq!(blocks.get(index), Some(&(index * 10)));
            assert_eq!(blocks.find_by_key(index * 10, |n| *n), Some(index));
            assert_eq!(blocks.find_by_key(index * 10 + 1, |n| *n), None);
        }
        assert_eq!((blocks.get(things), Blocks::<u8>::default().len()), (None, 0));
        let stored = postcard::to_stdvec(&blocks).unwrap();
        assert!(postcard::from_bytes::<Blocks<usize>>(&stored).unwrap().iter().eq(blocks.iter()));
    }
}
