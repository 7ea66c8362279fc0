//! The head of the log's Merkle tree, signed: a checkpoint as C2SP describes it (<https://c2sp.org/tlog-checkpoint>).
//!
//! ```text
//! satgas/<log id>/records
//! 8200
//! <base64 of the 32 bytes of the root>
//!
//! — satgas/<log id>/records <base64 of the key's id and the signature>
//! ```

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;

use crate::{
    merkle::Hash,
    note::{self, NoteError, PublicKey},
};

/// The first line of a log's checkpoints, and the name of the key that signs them.
#[must_use]
pub fn origin(log_id: &str) -> String {
    format!("satgas/{log_id}/records")
}

/// How many records a log has, and the root of the tree over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Id of the log.
    pub log_id: String,
    /// Records: those at positions 1 to this one.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        note::sign(&self.to_string(), key, &origin(&self.log_id))
    }

    /// Reads a note that was signed with the key of a log, which may be named as for its backups.
    ///
    /// # Errors
    /// When it is no checkpoint, that key did not sign it, or it is about another log.
    pub fn open(signed: &str, key: &PublicKey) -> Result<Self, NoteError> {
        let claimed = Self::read_unchecked(signed)?;
        // Said first, as it is what a person must mend: the right file with the wrong key, or the wrong file.
        if claimed.log_id != key.log_id() {
            return Err(NoteError::AnotherLog);
        }
        note::open(signed, &key.of_checkpoints())?.parse()
    }

    /// What a note claims, whoever signed it, if anybody did.
    ///
    /// # Errors
    /// When it is no checkpoint.
    pub fn read_unchecked(signed: &str) -> Result<Self, NoteError> {
        if signed.len() > note::NOTE_BYTES_MAX {
            return Err(NoteError::Form);
        }
        let at = signed.rfind("\n\n").ok_or(NoteError::Form)?;
        signed[..=at].parse()
    }
}

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", origin(&self.log_id), self.size, STANDARD.encode(self.root))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let parse = || {
            let mut lines = text.lines();
            let log_id = lines.next()?.strip_prefix("satgas/")?.strip_suffix("/records")?;
            let size = lines.next()?.parse().ok()?;
            let root: Hash = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
            let checkpoint = Self { log_id: log_id.to_owned(), size, root };
            // What is written otherwise than we write it is not ours. An id with a slash could be read in two ways.
            (checkpoint.to_string() == text && !log_id.is_empty() && !log_id.contains(['/', ' ', '+']))
                .then_some(checkpoint)
        };
        parse().ok_or(NoteError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint { log_id: "0191-contoh".to_owned(), size: 8_200, root: [5; 32] }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn a_checkpoint_is_read_with_the_key_of_its_log_by_either_name() {
        let note = checkpoint().sign(&key());
        let of_backups = PublicKey::of("0191-contoh", &key());
        assert_eq!(Checkpoint::open(&note, &of_backups), Ok(checkpoint()));
        assert_eq!(Checkpoint::open(&note, &of_backups.of_checkpoints()), Ok(checkpoint()));
        assert!(note.starts_with("satgas/0191-contoh/records\n8200\nBQUFBQUF"), "{note}");
    }

    #[test]
    fn each_thing_that_can_be_wrong_with_it_has_its_name() {
        let note = checkpoint().sign(&key());
        let open = |note: &str, log: &str, byte: u8| {
            Checkpoint::open(note, &PublicKey::of(log, &SigningKey::from_bytes(&[byte; 32])))
        };
        assert_eq!(open(&note, "0191-contoh", 8), Err(NoteError::NotSigned));
        assert_eq!(open(&note, "0191-lain", 7), Err(NoteError::AnotherLog));
        assert_eq!(open(&note.replace("\n8200\n", "\n8201\n"), "0191-contoh", 7), Err(NoteError::Altered));
        assert_eq!(open(&note.replace("\n8200\n", "\n08200\n"), "0191-contoh", 7), Err(NoteError::Form));
        // The end of the chain, signed with the same key, is no checkpoint.
        let chain = note::sign("satgas/0191-contoh/chain/records\n1\nBQ==\n", &key(), "satgas/0191-contoh");
        assert_eq!(open(&chain, "0191-contoh", 7), Err(NoteError::Form));
    }
}
