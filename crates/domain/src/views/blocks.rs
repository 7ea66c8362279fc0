//! Millions of things that are only added, in blocks that never move.
//!
//! A vector that doubles copies everything it holds and keeps half of its room empty: at ten million records that is a gigabyte written
//! again while the fold stands still. A block is made once, and the operating system gives it memory as it fills.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

/// Things by index, from 0, so many in a block: a power of two, so that finding one costs a shift.
#[derive(Clone, Debug)]
pub(super) struct Blocks<T, const BLOCK: usize>(Vec<Vec<T>>);

impl<T, const BLOCK: usize> Default for Blocks<T, BLOCK> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const BLOCK: usize> Blocks<T, BLOCK> {
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

    /// Index of the thing with a key, when the keys ascend.
    pub(super) fn find_by_key<K: Ord>(&self, key: K, key_of: impl Fn(&T) -> K) -> Option<usize> {
        let after = self.0.partition_point(|block| block.first().is_some_and(|first| key_of(first) <= key));
        let block = after.checked_sub(1)?;
        let within = self.0[block].binary_search_by(|thing| key_of(thing).cmp(&key)).ok()?;
        Some(block * BLOCK + within)
    }

    /// Blocks that are full: nothing is added to them.
    pub(super) fn whole(&self) -> impl Iterator<Item = &[T]> {
        self.0.iter().map(Vec::as_slice).take_while(|block| block.len() == BLOCK)
    }

    /// Puts a whole block where one is missing. False when none is.
    pub(super) fn put(&mut self, number: usize, Block(block): Block<T, BLOCK>) -> bool {
        match self.0.get_mut(number) {
            Some(place) if place.is_empty() && block.len() == BLOCK => {
                *place = block;
                true
            }
            _ => false,
        }
    }

    /// Whether no block is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().rev().skip(1).all(|block| block.len() == BLOCK)
            && self.0.last().is_none_or(|block| !block.is_empty())
    }
}

/// How many whole blocks there are, and the last one when it is not whole.
impl<T: Serialize, const BLOCK: usize> Serialize for Blocks<T, BLOCK> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = self.whole().count();
        (whole, self.0.get(whole).map_or(&[][..], Vec::as_slice)).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const BLOCK: usize> Deserialize<'de> for Blocks<T, BLOCK> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (whole, Block(rest)) = <(usize, Block<T, BLOCK>)>::deserialize(deserializer)?;
        // Whatever is found by index has one of 32 bits.
        if whole > u32::MAX as usize / BLOCK || rest.len() == BLOCK {
            return Err(D::Error::custom("so many blocks there never were"));
        }
        let mut blocks: Vec<_> = std::iter::repeat_with(Vec::new).take(whole).collect();
        if !rest.is_empty() {
            blocks.push(rest);
        }
        Ok(Self(blocks))
    }
}

/// A block as it is read, with room for as much as a block has.
#[derive(Debug)]
pub(super) struct Block<T, const BLOCK: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const BLOCK: usize> Deserialize<'de> for Block<T, BLOCK> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Things<T, const BLOCK: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const BLOCK: usize> Visitor<'de> for Things<T, BLOCK> {
            type Value = Block<T, BLOCK>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {BLOCK} things")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                if seq.size_hint().is_some_and(|size| size > BLOCK) {
                    return Err(A::Error::custom("a block with more than fits into one"));
                }
                let mut things = Vec::with_capacity(BLOCK);
                while let Some(thing) = seq.next_element()? {
                    if things.len() == BLOCK {
                        return Err(A::Error::custom("a block with more than fits into one"));
                    }
                    things.push(thing);
                }
                Ok(Block(things))
            }
        }
        deserializer.deserialize_seq(Things(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_found_by_index_and_by_key_over_the_edge_of_a_block() {
        const BLOCK: usize = 8;
        let mut blocks = Blocks::<usize, BLOCK>::default();
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
        assert_eq!((blocks.get(things), Blocks::<u8, BLOCK>::default().len()), (None, 0));
    }

    #[test]
    fn blocks_are_written_once_they_are_whole_and_the_rest_each_time() {
        const BLOCK: usize = 4;
        type Numbers = Blocks<usize, BLOCK>;
        let read = |bytes: &[u8]| postcard::from_bytes::<Block<usize, BLOCK>>(bytes);
        for things in 0..=2 * BLOCK + 1 {
            let mut blocks = Numbers::default();
            (0..things).for_each(|n| blocks.push(n));
            let parts: Vec<_> = blocks.whole().map(|part| postcard::to_stdvec(part).unwrap()).collect();
            assert_eq!(parts.len(), things / BLOCK);
            let mut again: Numbers = postcard::from_bytes(&postcard::to_stdvec(&blocks).unwrap()).unwrap();
            assert_eq!(again.is_complete(), parts.is_empty());
            for (number, part) in parts.iter().enumerate().rev() {
                assert!(!again.put(number, Block(vec![1; BLOCK - 1])), "one that is not whole");
                assert!(again.put(number, read(part).unwrap()));
                assert!(!again.put(number, read(part).unwrap()), "a second one");
            }
            assert!(!again.put(parts.len(), Block(vec![1; BLOCK])), "one that nobody misses");
            assert!(again.is_complete());
            again.push(things);
            blocks.push(things);
            assert!((0..=things).all(|n| again.get(n) == Some(&n)) && again.len() == things + 1);
        }
        let too_many = postcard::to_stdvec(&[0; BLOCK + 1][..]).unwrap();
        assert!(read(&too_many).is_err());
        assert!(postcard::from_bytes::<Numbers>(&postcard::to_stdvec(&(usize::MAX, &[0; 0][..])).unwrap()).is_err());
    }
}
