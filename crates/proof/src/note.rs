//! Signed notes as C2SP describes them (<https://c2sp.org/signed-note>): a text, an empty line, and signatures with Ed25519.
//!
//! ```text
//! <line>
//! <line>
//!
//! — <name of the key> <base64 of the key's id and the signature>
//! ```
//!
//! A text says in its first line what it claims and of which log, so that no claim is ever taken for another one: the end of a chain is
//! `satgas/<log id>/chain/records`, the root of a tree `satgas/<log id>/records`.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Ed25519 in a signed note.
const ALGORITHM: u8 = 1;
/// What every line of a signature begins with: an em dash.
const DASH: &str = "\u{2014} ";
/// What the names of our keys begin with.
const OURS: &str = "satgas/";
/// The longest note that is looked at, in bytes: some hundred signatures of witnesses.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Why a note says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed head.
    #[error("it is no signed head of a log, or it was cut or written otherwise than it was signed")]
    Form,
    /// The text is no key.
    #[error("it is no key such as satgas/<log id>+<8 hexadecimal digits>+<base64>")]
    Key,
    /// Another key signed it, or nobody.
    #[error("it is not signed with that key: another server signed it, or nobody did")]
    NotSigned,
    /// It bears a signature of that key, which is of another text.
    #[error("it was altered after it was signed: its signature is of another text")]
    Altered,
    /// It bears more than one signature of that key.
    #[error("it bears that key's signature more than once: a server signs once, so somebody added a line")]
    SignedTwice,
    /// It is about another log than the one whose key it is.
    #[error("it is about another log than the one that the key is of")]
    AnotherLog,
}

/// A text with a signature behind it. The text ends with a line break and has no empty line.
#[must_use]
pub fn sign(text: &str, key: &SigningKey, name: &str) -> String {
    let public = PublicKey { name: name.to_owned(), key: key.verifying_key() };
    let signature = [&public.id()[..], &key.sign(text.as_bytes()).to_bytes()].concat();
    format!("{text}\n{DASH}{name} {}\n", STANDARD.encode(signature))
}

/// The text of a note that a key signed, by the name that the key has. Signatures of others are passed over. Every line ends with a line break
/// and nothing else.
///
/// # Errors
/// When it is no note, or that key did not sign this text.
pub fn open<'a>(note: &'a str, key: &PublicKey) -> Result<&'a str, NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Form);
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Form)?;
    let (text, signatures) = (&note[..=at], &note[at + 2..]);
    let mut opened = Err(NoteError::NotSigned);
    for line in signatures.split_inclusive('\n') {
        let line = line.strip_suffix('\n').filter(|line| !line.ends_with('\r')).ok_or(NoteError::Form)?;
        let (name, signature) = line.strip_prefix(DASH).and_then(|line| line.split_once(' ')).ok_or(NoteError::Form)?;
        let bytes = STANDARD.decode(signature).map_err(|_| NoteError::Form)?;
        let (id, signature) = bytes.split_first_chunk().ok_or(NoteError::Form)?;
        if name != key.name || *id != key.id() {
            continue;
        }
        let signature = Signature::from_slice(signature).map_err(|_| NoteError::Altered)?;
        key.key.verify_strict(text.as_bytes(), &signature).map_err(|_| NoteError::Altered)?;
        opened = if opened.is_err() { Ok(text) } else { return Err(NoteError::SignedTwice) };
    }
    opened
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
        Self { name: format!("{OURS}{log_id}"), key: key.verifying_key() }
    }

    /// The same key under the name by which it signs the checkpoints of the log of records. C2SP has a key of a log named like its origin.
    #[must_use]
    pub fn of_checkpoints(&self) -> Self {
        Self { name: crate::checkpoint::origin(self.log_id()), key: self.key }
    }

    /// Its name, such as "satgas/LOG_ID".
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The log that it signs for.
    #[must_use]
    pub fn log_id(&self) -> &str {
        let named = self.name.strip_prefix(OURS).unwrap_or_default();
        named.split('/').next().unwrap_or_default()
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

    const NAME: &str = "satgas/0191-contoh";
    const TEXT: &str = "satgas/0191-contoh/chain/records\n8200\nhash\n";

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    fn public(byte: u8) -> PublicKey {
        PublicKey::of("0191-contoh", &key(byte))
    }

    #[test]
    fn what_was_signed_is_read_with_the_key_that_is_told_in_one_line() {
        let note = sign(TEXT, &key(7), NAME);
        let told: PublicKey = public(7).to_string().parse().unwrap();
        assert_eq!(open(&note, &told), Ok(TEXT));
        assert_eq!(note.lines().count(), 5, "{note}");
        assert_eq!(told.log_id(), "0191-contoh");
        assert_eq!(told.of_checkpoints().log_id(), "0191-contoh");
    }

    #[test]
    fn an_unknown_key_and_an_altered_text_are_told_apart() {
        let note = sign(TEXT, &key(7), NAME);
        assert_eq!(open(&note, &public(8)), Err(NoteError::NotSigned));
        assert_eq!(open(&note, &public(7).of_checkpoints()), Err(NoteError::NotSigned), "another name, another key");
        assert_eq!(open(&note.replace("8200", "8201"), &public(7)), Err(NoteError::Altered));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(open(&changed, &public(7)).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn signatures_of_witnesses_are_passed_over() {
        let note = sign(TEXT, &key(7), NAME);
        let witnessed = format!("{note}\u{2014} witness.example {}\n", STANDARD.encode([9; 76]));
        assert_eq!(open(&witnessed, &public(7)), Ok(TEXT));
        for bad in ["", "\n\n", TEXT, &format!("{note}no signature\n"), &"x\n\n".repeat(40_000)] {
            assert!(open(bad, &public(7)).is_err(), "{}", bad.len());
        }
    }

    #[test]
    fn a_line_that_was_added_or_carried_as_another_text_is_refused() {
        let note = sign(TEXT, &key(7), NAME);
        let signature = note.lines().last().unwrap();
        assert_eq!(open(&format!("{note}{signature}\n"), &public(7)), Err(NoteError::SignedTwice));
        for bad in [note.trim_end().to_owned(), note.replace('\n', "\r\n"), format!("{}\r\n", note.trim_end())] {
            assert_eq!(open(&bad, &public(7)), Err(NoteError::Form), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let good = public(7).to_string();
        for bad in ["", "satgas/x", &good[1..], &good.replace('+', "-"), &good[..good.len() - 4]] {
            assert_eq!(bad.parse::<PublicKey>(), Err(NoteError::Key), "{bad}");
        }
    }
}
