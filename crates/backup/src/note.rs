//! The head of a log, signed by its server: a [signed note](satgas_proof::note) as C2SP describes it (<https://c2sp.org/signed-note>), in the form of a checkpoint
//! (<https://c2sp.org/tlog-checkpoint>): origin, number of records, hash.
//!
//! ```text
//! satgas/<log id>/chain/records
//! 8200
//! <base64 of the 32 bytes of the chain hash>
//!
//! — satgas/<log id> <base64 of the key's id and the signature>
//! ```
//!
//! The hash is that of the chain, not the root of a Merkle tree: the origin says so, so that neither is ever taken for the other.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use satgas_journal::{Hash, Head};
use satgas_proof::note;
pub use satgas_proof::note::{NoteError, PublicKey};

use crate::Log;

/// Which log, and where it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Id of the log of records, by which both logs of a server are known.
    pub log_id: String,
    /// Which of the two.
    pub log: Log,
    /// Its end.
    pub head: Head,
}

impl LogHead {
    /// The signed note.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        note::sign(&self.to_string(), key, PublicKey::of(&self.log_id, key).name())
    }

    /// Reads a note that was signed with a key.
    ///
    /// # Errors
    /// When it is none, or that key did not sign it.
    pub fn open(signed: &str, key: &PublicKey) -> Result<Self, NoteError> {
        let head: Self = note::open(signed, key)?.parse()?;
        // A key signs for the log that it is named after and for no other.
        if key.log_id() == head.log_id { Ok(head) } else { Err(NoteError::NotSigned) }
    }
}

/// The text that is signed.
impl fmt::Display for LogHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log_id, log, head } = self;
        writeln!(f, "satgas/{log_id}/chain/{log}\n{}\n{}", head.position, STANDARD.encode(head.hash))
    }
}

impl FromStr for LogHead {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let parse = || {
            let mut lines = text.lines();
            let (log_id, log) = lines.next()?.strip_prefix("satgas/")?.split_once("/chain/")?;
            let position = lines.next()?.parse().ok()?;
            let hash: Hash = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
            let head = Self { log_id: log_id.to_owned(), log: Log::of(log)?, head: Head { position, hash } };
            // What is written otherwise than we write it is not ours.
            (head.to_string() == text).then_some(head)
        };
        parse().ok_or(NoteError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0191-contoh";

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn head() -> LogHead {
        LogHead { log_id: ID.to_owned(), log: Log::Records, head: Head { position: 8_200, hash: [5; 32] } }
    }

    #[test]
    fn what_was_signed_is_read_with_the_key_that_is_told_in_one_line() {
        let note = head().sign(&key());
        let public: PublicKey = PublicKey::of(ID, &key()).to_string().parse().unwrap();
        assert_eq!(LogHead::open(&note, &public), Ok(head()));
        assert!(note.starts_with("satgas/0191-contoh/chain/records\n8200\nBQUFBQUF"), "{note}");
        assert_eq!(note.lines().count(), 5, "{note}");
    }

    #[test]
    fn another_key_another_log_and_any_changed_byte_are_refused() {
        let note = head().sign(&key());
        let public = PublicKey::of(ID, &key());
        let other = PublicKey::of(ID, &SigningKey::from_bytes(&[8; 32]));
        assert_eq!(LogHead::open(&note, &other), Err(NoteError::NotSigned));
        let elsewhere = PublicKey::of("another", &key());
        assert_eq!(LogHead::open(&note, &elsewhere), Err(NoteError::NotSigned));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(LogHead::open(&changed, &public).is_err(), "byte {at}");
            }
        }
    }
}
