//! The head of a log, signed by its server: a signed note as C2SP describes it (<https://c2sp.org/signed-note>), in the form of a checkpoint
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
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use satgas_journal::{Hash, Head};
use sha2::{Digest as _, Sha256};

use crate::Log;

/// Ed25519 in a signed note.
const ALGORITHM: u8 = 1;
/// What every line of a signature begins with: an em dash.
const DASH: &str = "\u{2014} ";

/// Why a note says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed head.
    #[error("it is no signed head of a log")]
    Form,
    /// The text is no key.
    #[error("it is no key such as satgas/<log id>+<8 hexadecimal digits>+<base64>")]
    Key,
    /// Another key signed it, or nobody.
    #[error("it is not signed with that key")]
    NotSigned,
}

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
        let text = self.to_string();
        let public = PublicKey::of(&self.log_id, key);
        let signature = [&public.id()[..], &key.sign(text.as_bytes()).to_bytes()].concat();
        format!("{text}\n{DASH}{} {}\n", public.name, STANDARD.encode(signature))
    }

    /// Reads a note that was signed with a key.
    ///
    /// # Errors
    /// When it is none, or that key did not sign it.
    pub fn open(note: &str, key: &PublicKey) -> Result<Self, NoteError> {
        let (body, signatures) = note.split_once("\n\n").ok_or(NoteError::Form)?;
        let text = format!("{body}\n");
        let mut signed = signatures.lines().filter_map(|line| line.strip_prefix(DASH)?.split_once(' '));
        let is_by_key = |(name, signature): (&str, &str)| {
            let bytes = STANDARD.decode(signature).ok().filter(|_| name == key.name)?;
            let (id, signature) = bytes.split_first_chunk()?;
            let signature = Signature::from_slice(signature).ok().filter(|_| *id == key.id())?;
            key.key.verify_strict(text.as_bytes(), &signature).ok()
        };
        if !signed.any(|line| is_by_key(line).is_some()) {
            return Err(NoteError::NotSigned);
        }
        let head: Self = text.parse()?;
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

/// The public half of the key that a server signs heads with, written as C2SP describes it: name, id, key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// The public half of the key that signs the heads of a log.
    #[must_use]
    pub fn of(log_id: &str, key: &SigningKey) -> Self {
        Self { name: format!("satgas/{log_id}"), key: key.verifying_key() }
    }

    /// The log that it signs for.
    #[must_use]
    pub fn log_id(&self) -> &str {
        self.name.strip_prefix("satgas/").unwrap_or_default()
    }

    /// The beginning of a hash of name and key.
    fn id(&self) -> [u8; 4] {
        let hash = Sha256::new().chain_update(&self.name).chain_update([b'\n', ALGORITHM]).chain_update(self.key);
        let hash = hash.finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ALGORITHM], &self.key.as_bytes()[..]].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for PublicKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let parse = || {
            let mut parts = text.trim().splitn(3, '+');
            let (name, _id, key) = (parts.next()?, parts.next()?, STANDARD.decode(parts.next()?).ok()?);
            let (algorithm, key) = key.split_first()?;
            let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
            let public = Self { name: name.to_owned(), key };
            (*algorithm == ALGORITHM && public.to_string() == text.trim()).then_some(public)
        };
        parse().ok_or(NoteError::Key)
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
                // Only the last line break means nothing.
                assert!(LogHead::open(&changed, &public).is_err() || at + 1 == note.len(), "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let good = PublicKey::of(ID, &key()).to_string();
        for bad in ["", "satgas/x", &good[1..], &good.replace('+', "-"), &good[..good.len() - 4]] {
            assert_eq!(bad.parse::<PublicKey>(), Err(NoteError::Key), "{bad}");
        }
    }
}
