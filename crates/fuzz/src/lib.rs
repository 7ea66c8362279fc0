//! What is asked of arbitrary bytes. Each target is one function that panics when a property does not hold.
//!
//! `fuzz/` drives them with libFuzzer (`cargo xtask fuzz`), `tests/corpus.rs` with the [seeds](seeds::of) and with what was found before,
//! on any toolchain. `docs/fuzzing.md` says which properties there are.

mod frame;
mod import;
mod input;
mod requests;
pub mod seeds;
mod tokens;
mod town;

/// One target: its name, and what is asked of bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 4] =
    [("frame", frame::run), ("import", import::run), ("requests", requests::run), ("tokens", tokens::run)];

/// The messages that `requests` chooses from by its first byte.
pub use requests::MESSAGES;

/// Runs one target.
///
/// # Panics
/// If there is no such target, or if a property does not hold.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    run(bytes);
}
