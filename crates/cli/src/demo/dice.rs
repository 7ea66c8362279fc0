//! The seeded randomness of the demo. Nothing else decides anything by chance, so one seed makes one year.

use std::ops::RangeInclusive;

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::year::Minute;

/// One stream of chances. Each part of the story rolls its own dice, so that a change to one part leaves the others as they were.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The dice of part `stream` of the story of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// True so many times in a hundred.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// True so many times in a thousand.
    pub(crate) fn permille(&mut self, permille: u32) -> bool {
        self.0.random_range(0..1_000) < permille
    }

    /// A number of the range.
    pub(crate) fn number(&mut self, range: RangeInclusive<i32>) -> i32 {
        self.0.random_range(range)
    }

    /// One of the items, which are not none.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.0.random_range(0..items.len())]
    }

    /// Up to `count` different items, in the order in which they stand.
    pub(crate) fn some<T: Clone>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut left = count.min(items.len());
        let mut chosen = Vec::with_capacity(left);
        for (index, item) in items.iter().enumerate() {
            if self.0.random_range(0..items.len() - index) < left {
                chosen.push(item.clone());
                left -= 1;
            }
        }
        chosen
    }

    /// An id as a device makes it at this minute: a UUID version 7 whose time is the story's.
    pub(crate) fn id(&mut self, at: Minute) -> String {
        let mut random = [0; 10];
        self.0.fill_bytes(&mut random);
        let millis = at.timestamp().as_millisecond().unsigned_abs() + self.0.random_range(0..60_000);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
    }

    /// 64 hexadecimal digits, like a keyed hash.
    pub(crate) fn hash(&mut self) -> String {
        let mut halves = [[0; 16]; 2];
        for half in &mut halves {
            self.0.fill_bytes(half);
        }
        halves.map(|half| Uuid::from_bytes(half).simple().to_string()).concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_seven_that_bears_the_time_of_the_story() {
        let at = Minute::on(10, 500);
        let id = Uuid::parse_str(&Dice::new(1, 1).id(at)).unwrap();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, _) = id.get_timestamp().unwrap().to_unix();
        let begun = u64::try_from(at.timestamp().as_second()).unwrap();
        assert!((begun..begun + 60).contains(&seconds));
    }

    #[test]
    fn dice_fall_alike_for_one_seed_and_stream_and_otherwise_for_another() {
        let roll = |seed, stream| Dice::new(seed, stream).hash();
        assert_eq!(roll(1, 1), roll(1, 1));
        assert_ne!(roll(1, 1), roll(2, 1));
        assert_ne!(roll(1, 1), roll(1, 2));
    }

    #[test]
    fn some_are_different_items_in_order() {
        let mut dice = Dice::new(1, 1);
        for count in 0..8 {
            let chosen = dice.some(&[1, 2, 3, 4, 5], count);
            assert_eq!(chosen.len(), count.min(5));
            assert!(chosen.is_sorted_by(|a, b| a < b));
        }
    }
}
