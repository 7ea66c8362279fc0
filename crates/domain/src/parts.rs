//! State in parts, for those who write it down.
//!
//! Most of what a fold keeps is only ever added to, and what is whole of it never changes again. Such a part is written once; the rest,
//! which is small beside it, each time. Parts need no order, so they can be read beside each other.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// How much makes a part. Whoever reads what was written in parts of another size goes on with that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Records in a part: a power of two, at most 2^18.
    pub records: u32,
    /// Links of records to what they are listed under, in a part: a power of two, at most 2^18.
    pub links: u32,
    /// Positions of the log whose ids make a part.
    pub positions: u32,
}

impl Default for Sizes {
    /// Some megabytes of records, two of links, and less than one of ids.
    fn default() -> Self {
        Self { records: 1 << 15, links: 1 << 18, positions: 1 << 16 }
    }
}

/// Which part of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartId {
    /// Of which of the things in the state that only grow.
    pub of: u8,
    /// Which of its parts, counted from 0.
    pub number: u32,
}

/// A state that is written down without its whole parts: they are written apart, and put into what was read.
pub trait Parted: DeserializeOwned {
    /// A part as it is read.
    type Part: DeserializeOwned + Send;

    /// Puts a part in its place. False when that is not its place, or it is not whole.
    fn put(&mut self, id: PartId, part: Self::Part) -> bool;

    /// Whether every part is in its place.
    fn is_complete(&self) -> bool;
}
