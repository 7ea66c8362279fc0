//! What satgas knows: validation, decisions, folds and evaluation.
//!
//! Pure: no IO, no clock, no async, and nothing here fails for a reason from outside. Time and everything else that a decision
//! depends on is an input, so that the same log always gives the same state.
//!
//! - [`validate`]: is a message well-formed by itself?
//! - [`decide`]: does it fit the state? [`WriteState`](decide::WriteState) is the state that the writer decides against.
//! - [`policy`]: may a role do it, and where? [`quarantine`]: what becomes of a record whose right has ended?
//! - [`sealed`]: what is sealed, held and erased of a case. [`public`]: what is known of the public's reports?
//! - [`shape`]: what a class of readers gets to see of what is stored.
//! - [`release`]: what of a period is published, and what is withheld.
//! - [`views`]: the fold that every query reads, asked as of a moment through [`Known`](views::Known). [`parts`]: what of it never
//!   changes again.
//!
//! Events are trusted: they were decided before they were written, so folding them cannot fail.

pub mod case;
pub mod decide;
pub mod event;
pub mod id;
pub mod parts;
pub mod policy;
pub mod public;
pub mod quarantine;
pub mod registry;
pub mod release;
pub mod rules;
pub mod sealed;
pub mod shape;
pub mod time;
pub mod validate;
pub mod views;

mod stored;

/// Hash table with a fast, seeded hasher.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;
