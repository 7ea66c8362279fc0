//! What a log claims about itself, and how anybody checks it: signed notes, a Merkle tree over records, proofs, and the files they travel in.
//!
//! Only this crate knows how a claim is signed and how it is proven. It has no IO, no clock and no async, and knows neither what a record
//! means nor how it is stored: bytes and hashes come in, and an answer goes out. So whoever checks a proof needs no server, and whoever
//! checks with another program follows the same published formats:
//!
//! | | format |
//! |---|---|
//! | [`note`] | signed notes, <https://c2sp.org/signed-note> |
//! | [`merkle`] | the tree and the proofs of RFC 6962, with SHA-256 |
//! | [`checkpoint`] | <https://c2sp.org/tlog-checkpoint> |
//! | [`file`](mod@file) | <https://c2sp.org/tlog-proof>, and what goes beside an export |
//!
//! Invariants:
//! - What is written otherwise than this crate writes it is refused: one claim has one text.
//! - Nothing that comes from outside is followed further than its length allows: sizes and numbers of hashes are bounded before they are used.

pub mod checkpoint;
pub mod file;
pub mod merkle;
pub mod note;

pub use self::{
    checkpoint::Checkpoint,
    merkle::{Hash, Tree},
    note::{NoteError, PublicKey},
};
