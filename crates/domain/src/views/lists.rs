//! Lists that only grow: millions of short ones, in as little memory as they need.
//!
//! All lists share one pool of links. A list is the number of its latest link, and each link knows the one before: eight bytes an item,
//! and four a list.

use serde::{Deserialize, Serialize};

use super::blocks::{Block, Blocks};
use crate::time::Month;

/// A list of record indexes: the number of its latest link, counted from 1; 0 when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct List(u32);

/// A link: a record, and the number of the link before.
pub(super) type Link = (u32, u32);

/// The links of all lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Links(Blocks<Link>);

/// Links as they are read from a part.
pub(super) type LinkBlock = Block<Link>;

impl Links {
    /// None, in blocks of a size.
    pub(super) fn in_blocks_of(size: u32) -> Self {
        Self(Blocks::of(size))
    }

    /// Adds a record to a list.
    pub(super) fn push(&mut self, list: &mut List, record: u32) {
        self.0.push((record, list.0));
        list.0 = u32::try_from(self.0.len()).expect("fewer than 2^32 bookings");
    }

    /// Adds a record to a list unless it is there.
    pub(super) fn push_once(&mut self, list: &mut List, record: u32) {
        if !self.of(*list).any(|known| known == record) {
            self.push(list, record);
        }
    }

    /// Links in their blocks, for whoever writes them down.
    pub(super) fn blocks(&self) -> &Blocks<Link> {
        &self.0
    }

    pub(super) fn blocks_mut(&mut self) -> &mut Blocks<Link> {
        &mut self.0
    }

    /// The records of a list, the latest first.
    pub(super) fn of(&self, list: List) -> impl Iterator<Item = u32> + Clone + '_ {
        let mut next = list.0;
        std::iter::from_fn(move || {
            let (record, before) = self.0.get((next as usize).checked_sub(1)?)?;
            next = *before;
            Some(*record)
        })
    }
}

/// Something for each of some months, in their order. Most come at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Months<T>(Vec<(Month, T)>);

impl<T> Default for Months<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> Months<T> {
    fn find(&self, month: Month) -> Result<usize, usize> {
        self.0.binary_search_by_key(&month, |(month, _)| *month)
    }

    pub(super) fn get(&self, month: Month) -> Option<&T> {
        self.find(month).ok().map(|at| &self.0[at].1)
    }

    /// What is kept for a month, empty at first.
    pub(super) fn entry(&mut self, month: Month) -> &mut T {
        let at = match self.find(month) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (month, T::default()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// From one month to another, both included.
    pub(super) fn range(&self, first: Month, last: Month) -> impl DoubleEndedIterator<Item = (Month, &T)> + Clone {
        let from = self.find(first).unwrap_or_else(|at| at);
        let until = self.find(last).map_or_else(|at| at, |at| at + 1).max(from);
        self.0[from..until].iter().map(|(month, kept)| (*month, kept))
    }

    /// Up to a month, that included.
    pub(super) fn up_to(&self, last: Month) -> impl DoubleEndedIterator<Item = (Month, &T)> + Clone {
        self.range(Month(i32::MIN), last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_share_their_links_and_keep_to_themselves() {
        let (mut links, mut a, mut b) = (Links::in_blocks_of(2), List::default(), List::default());
        for (list, record) in [(&mut a, 7), (&mut b, 8)] {
            links.push(list, record);
        }
        links.push(&mut a, 9);
        links.push_once(&mut a, 7);
        let records = |list| links.of(list).collect::<Vec<_>>();
        assert_eq!((records(a), records(b), records(List::default())), (vec![9, 7], vec![8], vec![]));
    }

    #[test]
    fn months_come_in_their_order_however_they_were_entered() {
        let mut months = Months::<u32>::default();
        for month in [5, 3, 9, 5] {
            *months.entry(Month(month)) += 1;
        }
        let between = |first, last| months.range(Month(first), Month(last)).map(|(m, n)| (m.0, *n)).collect::<Vec<_>>();
        assert_eq!(between(0, 20), [(3, 1), (5, 2), (9, 1)]);
        assert_eq!((between(4, 8), between(6, 8), between(8, 4)), (vec![(5, 2)], vec![], vec![]));
        assert_eq!((months.get(Month(9)), months.get(Month(4))), (Some(&1), None));
        assert_eq!(months.up_to(Month(5)).next_back(), Some((Month(5), &2)));
    }
}
