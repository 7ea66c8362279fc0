//! Sealing an identity, or what the public reports, under its case's key, and opening it again.
//!
//! What is sealed is the length of the encoded message (4 bytes, little-endian), the message, and zeros up to a multiple of 256 bytes, or of
//! 1,024 for a text: the length of a name would tell something of it.

use std::fmt;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, Payload},
};
use satgas_domain::{id::SubmissionId, sealed::KeyId};
use satgas_proto::v1;
use zeroize::{Zeroize as _, Zeroizing};

use super::CaseKey;

/// `Seal.algorithm` of XChaCha20-Poly1305: nonces of 192 bits may be random without a count of them.
const XCHACHA20_POLY1305: u32 = 1;
const SEAL: &str = "satgas.v1 2026-11 key that seals identities";
const TAG: &str = "satgas.v1 2026-11 key that tells commands apart";

/// A message that is sealed.
pub trait Secret: prost::Message + Default {
    /// What it is sealed in is a multiple of this many bytes long.
    const PAD: usize;

    /// Overwrites its texts in memory.
    fn wipe(&mut self);
}

impl Secret for v1::PersonIdentity {
    const PAD: usize = 256;

    fn wipe(&mut self) {
        let Self { full_name, parents, address, phone, born_on, other } = self;
        for text in [full_name, parents, address, phone, born_on, other] {
            text.zeroize();
        }
    }
}

impl Secret for v1::PublicReportText {
    const PAD: usize = 1_024;

    fn wipe(&mut self) {
        let Self { text, contact, victim, reporter, alleged_offender } = self;
        text.zeroize();
        contact.zeroize();
        [victim, reporter, alleged_offender].into_iter().flatten().for_each(Secret::wipe);
    }
}

impl Secret for v1::PublicMessageText {
    const PAD: usize = 1_024;

    fn wipe(&mut self) {
        self.text.zeroize();
    }
}

/// Something sealed, in the clear: an identity, unless it is said otherwise. Wiped from memory when it is dropped.
pub struct Clear<M: Secret = v1::PersonIdentity>(M);

impl<M: Secret> From<M> for Clear<M> {
    fn from(message: M) -> Self {
        Self(message)
    }
}

impl<M: Secret> fmt::Debug for Clear<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clear(not shown)")
    }
}

impl<M: Secret> Drop for Clear<M> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl Clear {
    /// The identity.
    #[must_use]
    pub fn identity(&self) -> &v1::PersonIdentity {
        &self.0
    }
}

impl<M: Secret> Clear<M> {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &M {
        &self.0
    }

    /// The message, for the one answer that shows it.
    #[must_use]
    pub fn show(mut self) -> M {
        std::mem::take(&mut self.0)
    }

    fn padded(&self) -> Zeroizing<Vec<u8>> {
        let length = self.0.encoded_len();
        // As large as it gets from the beginning: a buffer that grows leaves copies behind.
        let mut padded = Zeroizing::new(Vec::with_capacity((4 + length).next_multiple_of(M::PAD)));
        padded.extend_from_slice(&u32::try_from(length).expect("it has some ten thousand bytes").to_le_bytes());
        self.0.encode(&mut *padded).expect("a vector takes what it is given");
        let size = padded.len().next_multiple_of(M::PAD);
        padded.resize(size, 0);
        padded
    }

    fn from_padded(padded: &[u8]) -> Option<Self> {
        let (length, rest) = padded.split_first_chunk()?;
        let encoded = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        M::decode(encoded).ok().map(Self)
    }
}

/// Whose identity a seal is, and of which log: a seal that is put elsewhere does not open.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// The log's id.
    pub log_id: &'a str,
    /// The case.
    pub case: SubmissionId,
    /// The kind, an `IdentityKind`.
    pub kind: i32,
}

impl Of<'_> {
    /// Every part is of a fixed length but the last.
    fn aad(&self, key_id: &[u8]) -> Vec<u8> {
        let (case, kind) = (self.case.bits().to_be_bytes(), self.kind.to_be_bytes());
        [&case, kind.as_slice(), key_id, self.log_id.as_bytes()].concat()
    }
}

/// A seal does not open: it is under another key, of another case, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open: it is under another key, of another case, or was changed")]
pub struct NotOpened;

impl CaseKey {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.derive(SEAL)).into())
    }

    /// Seals a message.
    #[must_use]
    pub fn seal<M: Secret>(&self, of: Of<'_>, message: &Clear<M>) -> v1::Seal {
        let (nonce, key_id): (XNonce, KeyId) = (XNonce::generate(), self.id());
        let payload = Payload { msg: &message.padded(), aad: &of.aad(&key_id) };
        let ciphertext = self.cipher().encrypt(&nonce, payload).expect("it is shorter than what the cipher takes");
        v1::Seal {
            algorithm: XCHACHA20_POLY1305,
            key_id: key_id.to_vec().into(),
            nonce: nonce.to_vec().into(),
            ciphertext: ciphertext.into(),
        }
    }

    /// Opens a seal.
    pub fn open<M: Secret>(&self, of: Of<'_>, seal: &v1::Seal) -> Result<Clear<M>, NotOpened> {
        Clear::from_padded(&self.decrypt(of, seal)?).ok_or(NotOpened)
    }

    /// Whether this key opens a seal, whatever is in it.
    #[must_use]
    pub fn opens(&self, of: Of<'_>, seal: &v1::Seal) -> bool {
        self.decrypt(of, seal).is_ok()
    }

    fn decrypt(&self, of: Of<'_>, seal: &v1::Seal) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let nonce: [u8; 24] = seal.nonce.as_ref().try_into().map_err(|_| NotOpened)?;
        if seal.algorithm != XCHACHA20_POLY1305 {
            return Err(NotOpened);
        }
        let payload = Payload { msg: &seal.ciphertext, aad: &of.aad(&seal.key_id) };
        self.cipher().decrypt((&nonce).into(), payload).map(Zeroizing::new).map_err(|_| NotOpened)
    }

    /// Tells a command from another under the same id. Under a key of the case: the log, its backups and its subscribers hold this, and a
    /// plain hash would let each of them try whether a name that they guess is the child's. The key is the case's and not the
    /// vault's, so that what is erased cannot be guessed at either. And with the person who sends it: the server itself tells whether two
    /// tags are one, and may tell that only to who knows the name because they sent it.
    #[must_use]
    pub fn tag(&self, of: Of<'_>, person: &str, identity: &Clear) -> [u8; 16] {
        self.tag_with(of, person.as_bytes(), identity)
    }

    /// The same of any message, with what goes with it in the clear in the place of the person.
    #[must_use]
    pub fn tag_with<M: Secret>(&self, of: Of<'_>, context: &[u8], message: &Clear<M>) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.derive(TAG));
        // The context's length first: nobody's name can end where an identity begins.
        hasher.update(&of.aad(&self.id())).update(&(context.len() as u64).to_be_bytes()).update(context);
        hasher.update(&message.padded());
        *hasher.finalize().as_bytes().first_chunk().expect("32 bytes hold 16")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(n: u8) -> SubmissionId {
        SubmissionId::parse(&format!("01970f3e-8b1c-7000-8000-0000000000{n:02x}")).unwrap()
    }

    fn somebody(name: &str) -> Clear {
        v1::PersonIdentity { full_name: name.to_owned(), ..Default::default() }.into()
    }

    #[test]
    fn a_seal_opens_under_its_key_for_its_case_kind_and_log_only() {
        let (key, other) = (CaseKey::generate(), CaseKey::generate());
        let of = Of { log_id: "log", case: case(1), kind: 1 };
        let seal = key.seal(of, &somebody("Anak Contoh"));
        assert_eq!(key.open(of, &seal).unwrap().identity().full_name, "Anak Contoh");
        assert!(!other.opens(of, &seal));
        for of in [Of { case: case(2), ..of }, Of { kind: 2, ..of }, Of { log_id: "lag", ..of }] {
            assert!(!key.opens(of, &seal));
        }
        let flipped = |seal: &v1::Seal, at: usize| {
            let mut bytes = seal.ciphertext.to_vec();
            bytes[at] ^= 1;
            v1::Seal { ciphertext: bytes.into(), ..seal.clone() }
        };
        for at in [0, seal.ciphertext.len() - 1] {
            assert!(!key.opens(of, &flipped(&seal, at)));
        }
        let renamed = v1::Seal { key_id: other.id().to_vec().into(), ..seal };
        assert!(!key.opens(of, &renamed));
    }

    #[test]
    fn short_and_long_names_have_seals_of_one_length() {
        let key = CaseKey::generate();
        let of = Of { log_id: "log", case: case(1), kind: 1 };
        let length = |name: &str| key.seal(of, &somebody(name)).ciphertext.len();
        assert_eq!(length("A"), length(&"A".repeat(200)));
        assert_eq!(length("A"), 256 + 16);
        let most = v1::PersonIdentity { other: "A".repeat(2_000), ..Default::default() };
        let seal = key.seal(of, &most.clone().into());
        assert_eq!(key.open::<v1::PersonIdentity>(of, &seal).unwrap().show(), most);
    }

    #[test]
    fn the_same_command_of_the_same_person_has_the_same_tag_under_the_cases_key_and_no_other_has() {
        let (key, other) = (CaseKey::generate(), CaseKey::generate());
        let of = Of { log_id: "log", case: case(1), kind: 1 };
        let tag = key.tag(of, "satu", &somebody("Anak Contoh"));
        assert_eq!(tag, key.tag(of, "satu", &somebody("Anak Contoh")));
        for differs in [
            key.tag(of, "satu", &somebody("Anak Lain Contoh")),
            key.tag(of, "dua", &somebody("Anak Contoh")),
            key.tag(Of { kind: 2, ..of }, "satu", &somebody("Anak Contoh")),
            other.tag(of, "satu", &somebody("Anak Contoh")),
        ] {
            assert_ne!(tag, differs);
        }
    }

    #[test]
    fn what_is_printed_for_a_debugger_shows_nothing() {
        let person = v1::PersonIdentity { full_name: "Anak Contoh".into(), ..Default::default() };
        let request = v1::RecordIdentityRequest { identity: Some(person.clone()), ..Default::default() };
        let printed = format!("{person:?} {request:?} {:?} {:?}", Clear::from(person.clone()), CaseKey::generate());
        assert!(!printed.contains("Anak"), "{printed}");
    }
}
