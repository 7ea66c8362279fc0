//! Millions of things that are only added, in blocks that never move.
//!
//! A vector that doubles copies everything it holds and keeps half of its room empty: at ten million records that is a gigabyte written
//! again while the fold stands still. A block is made once, and the operating system gives it memory as it fills.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
};

/// Things in a block, at most.
const LARGEST: usize = 1 << 18;

/// Things by index, from 0, so many in a block: a power of two, so that finding one costs a shift.
#[derive(Clone, Debug)]
pub(super) struct Blocks<T> {
    /// The block's size is two to the power of this.
    bits: u32,
    blocks: Vec<Vec<T>>,
}

impl<T> Blocks<T> {
    /// None, in blocks of a size, which is a power of two.
    pub(super) fn of(size: u32) -> Self {
        let size = size as usize;
        assert!(size.is_power_of_two() && size <= LARGEST, "a block of {size}");
        Self { bits: size.trailing_zeros(), blocks: Vec::new() }
    }

    fn size(&self) -> usize {
        1 << self.bits
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| ((self.blocks.len() - 1) << self.bits) + last.len())
    }

    pub(super) fn push(&mut self, thing: T) {
        let size = self.size();
        match self.blocks.last_mut() {
            Some(last) if last.len() < size => last.push(thing),
            _ => {
                let mut block = Vec::with_capacity(size);
                block.push(thing);
                self.blocks.push(block);
            }
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.blocks.get(index >> self.bits)?.get(index & (self.size() - 1))
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let within = index & (self.size() - 1);
        self.blocks.get_mut(index >> self.bits)?.get_mut(within)
    }

    /// Index of the thing with a key, when the keys ascend.
    pub(super) fn find_by_key<K: Ord>(&self, key: K, key_of: impl Fn(&T) -> K) -> Option<usize> {
        let after = self.blocks.partition_point(|block| block.first().is_some_and(|first| key_of(first) <= key));
        let block = after.checked_sub(1)?;
        let within = self.blocks[block].binary_search_by(|thing| key_of(thing).cmp(&key)).ok()?;
        Some((block << self.bits) + within)
    }

    /// Blocks that are full: nothing is added to them.
    pub(super) fn whole(&self) -> impl Iterator<Item = &[T]> {
        self.blocks.iter().map(Vec::as_slice).take_while(|block| block.len() == self.size())
    }

    /// Puts a whole block where one is missing. False when none is.
    pub(super) fn put(&mut self, number: usize, Block(block): Block<T>) -> bool {
        let size = self.size();
        match self.blocks.get_mut(number) {
            Some(place) if place.is_empty() && block.len() == size => {
                *place = block;
                true
            }
            _ => false,
        }
    }

    /// Whether no block is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.blocks.iter().rev().skip(1).all(|block| block.len() == self.size())
            && self.blocks.last().is_none_or(|block| !block.is_empty())
    }
}

/// The size, how many whole blocks there are, and the last one when it is not whole.
impl<T: Serialize> Serialize for Blocks<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = self.whole().count();
        (self.bits, whole, self.blocks.get(whole).map_or(&[][..], Vec::as_slice)).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Blocks<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (bits, whole, Block(mut rest)) = <(u32, usize, Block<T>)>::deserialize(deserializer)?;
        // Whatever is found by index has one of 32 bits.
        if bits > LARGEST.trailing_zeros() || whole > u32::MAX as usize >> bits || rest.len() >= 1 << bits {
            return Err(D::Error::custom("so many blocks there never were"));
        }
        let mut blocks: Vec<_> = std::iter::repeat_with(Vec::new).take(whole).collect();
        if !rest.is_empty() {
            rest.reserve_exact((1 << bits) - rest.len());
            blocks.push(rest);
        }
        Ok(Self { bits, blocks })
    }
}

/// A block as it is read, with room for what is in it and no more.
#[derive(Debug)]
pub(super) struct Block<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Block<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Things<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Things<T> {
            type Value = Block<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {LARGEST} things")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let size = seq.size_hint().unwrap_or_default();
                if size > LARGEST {
                    return Err(A::Error::custom("a block with more than fits into one"));
                }
                let mut things = Vec::with_capacity(size);
                while let Some(thing) = seq.next_element()? {
                    if things.len() == LARGEST {
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
        let mut blocks = Blocks::of(8);
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
        assert_eq!((blocks.get(things), Blocks::<u8>::of(1).len()), (None, 0));
    }

    #[test]
    fn blocks_are_written_once_they_are_whole_and_the_rest_each_time() {
        const BLOCK: usize = 4;
        type Numbers = Blocks<usize>;
        let read = |bytes: &[u8]| postcard::from_bytes::<Block<usize>>(bytes);
        for things in 0..=2 * BLOCK + 1 {
            let mut blocks = Numbers::of(4);
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
        let too_many = postcard::to_stdvec(&vec![0; LARGEST + 1]).unwrap();
        assert!(read(&too_many).is_err());
        for (bits, whole, rest) in [(2_u32, usize::MAX, 0), (2, 0, BLOCK), (40, 0, 0)] {
            let never = postcard::to_stdvec(&(bits, whole, vec![0; rest])).unwrap();
            assert!(postcard::from_bytes::<Numbers>(&never).is_err(), "{bits}, {whole}, {rest}");
        }
    }
}
