//! Defects that are put in on purpose, so that a test can show that it finds them. Only with the feature `mutations`, which the engine's own tests
//! ask for and no release has: without it [`mutated!`] is `false`.
//!
//! A defect is known by a sentence that says what the engine then does. It holds on the thread that planted it.

use std::cell::Cell;

thread_local! {
    static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A defect that is planted on this thread until this is dropped.
#[derive(Debug)]
pub struct Planted(());

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}

/// Plants a defect, in the place of one that was planted before.
#[must_use]
pub fn plant(defect: &'static str) -> Planted {
    PLANTED.set(Some(defect));
    Planted(())
}

/// Whether this defect is planted on this thread.
#[must_use]
pub fn is(defect: &str) -> bool {
    PLANTED.get() == Some(defect)
}
