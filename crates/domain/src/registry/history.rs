//! What was stated about a thing, and when: the states that hold from a day on, as they were known at any position of the log.

use serde::{Deserialize, Serialize};

use crate::time::Day;

/// A state that was stated once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stated<T> {
    /// Position of the event that stated it.
    pub position: u64,
    /// The first day on which it holds.
    from: Day,
    /// The state.
    pub state: T,
}

/// Everything that was stated about a thing, in log order.
///
/// What is stated later holds for all days from its own on, so the state of a day is the last one stated that begins up to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History<T>(Vec<Stated<T>>);

impl<T> History<T> {
    /// Of a thing that is new: it was so from the beginning.
    pub(super) fn new(position: u64, state: T) -> Self {
        Self(vec![Stated { position, from: Day(i32::MIN), state }])
    }

    /// States what holds from a day on; without one, corrects the latest state.
    pub(super) fn state(&mut self, position: u64, from: Option<Day>, state: T) {
        let from = from.unwrap_or(self.latest().from);
        self.0.push(Stated { position, from, state });
    }

    /// What was stated first.
    #[must_use]
    pub fn first(&self) -> &Stated<T> {
        self.0.first().expect("a history begins with a state")
    }

    /// What was stated last: it holds on the latest days.
    #[must_use]
    pub fn latest(&self) -> &Stated<T> {
        self.0.last().expect("a history begins with a state")
    }

    /// Whether stating this again, from that day on or as a correction, would change nothing.
    pub(super) fn says(&self, from: Option<Day>, is_so: impl Fn(&T) -> bool) -> bool {
        let latest = self.latest();
        from.is_none_or(|from| from == latest.from) && is_so(&latest.state)
    }

    /// The first day of the latest state, when what is said held before it and not from it on.
    pub(super) fn held_until(&self, is_so: impl Fn(&T) -> bool) -> Option<Day> {
        let states = self.in_effect();
        let (latest, earlier) = states.split_last()?;
        (!is_so(&latest.state) && earlier.iter().any(|stated| is_so(&stated.state))).then_some(latest.from)
    }

    /// Whether each day has the same state as in another history.
    pub(super) fn holds_as(&self, other: &Self, same: impl Fn(&T, &T) -> bool) -> bool {
        let (mine, theirs) = (self.in_effect(), other.in_effect());
        mine.len() == theirs.len()
            && mine
                .iter()
                .zip(theirs)
                .all(|(mine, theirs)| mine.from == theirs.from && same(&mine.state, &theirs.state))
    }

    /// The states that hold by all that was stated, in the order of their days.
    fn in_effect(&self) -> Vec<&Stated<T>> {
        let mut states: Vec<&Stated<T>> = Vec::new();
        for stated in &self.0 {
            while states.last().is_some_and(|before| before.from >= stated.from) {
                states.pop();
            }
            states.push(stated);
        }
        states
    }

    /// The latest state that was known at a position; `None` when nothing was.
    #[must_use]
    pub fn known(&self, until: u64) -> Option<&Stated<T>> {
        self.0.iter().rev().find(|stated| stated.position <= until)
    }

    /// The state of a day by what was known at a position; `None` when nothing was.
    #[must_use]
    pub fn on(&self, day: Day, until: u64) -> Option<&Stated<T>> {
        self.0.iter().rev().find(|stated| stated.position <= until && stated.from <= day)
    }

    /// All states that were ever stated.
    pub fn all(&self) -> impl Iterator<Item = &Stated<T>> {
        self.0.iter()
    }
}
