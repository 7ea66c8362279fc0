//! The key of a case, and how it lies on disk: wrapped by a master key.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic `SGCK` |
//! | 1 | version, 1 |
//! | 8 | id of the master key |
//! | 16 | id of the key, random |
//! | 24 | nonce, random |
//! | 48 | the key and its tag: XChaCha20-Poly1305 under the master key, over the case's id and all before the nonce |

use std::{fmt, fs, path::Path};

use chacha20poly1305::{
    Key, XNonce,
    aead::{Aead as _, Generate as _, Payload},
};
use satgas_domain::{id::SubmissionId, sealed::KeyId};
use zeroize::{Zeroize as _, Zeroizing};

use super::{MasterId, MasterKey, Masters, VaultError, files::at};

const MAGIC: [u8; 5] = *b"SGCK\x01";
const SIZE: usize = 5 + 8 + 16 + 24 + 48;

/// The key of a case. Wiped from memory when it is dropped.
pub struct CaseKey {
    id: KeyId,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for CaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaseKey(not shown)")
    }
}

impl CaseKey {
    pub(super) fn generate() -> Self {
        let mut random = Key::generate();
        let key = Zeroizing::new(random.into());
        random.as_mut_slice().zeroize();
        // Random, so that it tells nothing of the key, the case or the time.
        let nonce = XNonce::generate();
        let (id, _) = nonce.split_first_chunk().expect("24 bytes hold 16");
        Self { id: *id, key }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// A key for one purpose.
    pub(super) fn derive(&self, purpose: &'static str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, self.key.as_ref()))
    }
}

/// A wrapped key.
pub(super) struct Wrapped {
    pub(super) master: MasterId,
    pub(super) key_id: KeyId,
    nonce: [u8; 24],
    sealed: [u8; 48],
}

impl Wrapped {
    pub(super) fn new(key: &CaseKey, case: SubmissionId, master: &MasterKey) -> Self {
        let nonce = XNonce::generate();
        let aad = aad(case, master.id(), key.id);
        let sealed = master.cipher().encrypt(&nonce, Payload { msg: key.key.as_ref(), aad: &aad });
        let sealed = sealed.expect("a key is far shorter than what the cipher takes");
        let sealed = sealed.as_slice().try_into().expect("32 bytes and a tag of 16");
        Self { master: master.id(), key_id: key.id, nonce: nonce.into(), sealed }
    }

    pub(super) fn unwrap(&self, case: SubmissionId, masters: &Masters, path: &Path) -> Result<CaseKey, VaultError> {
        let master = masters.find(self.master).ok_or(VaultError::OtherMaster(self.master))?;
        let aad = aad(case, self.master, self.key_id);
        let payload = Payload { msg: &self.sealed, aad: &aad };
        let opened = master.cipher().decrypt((&self.nonce).into(), payload);
        let opened = Zeroizing::new(opened.map_err(|_| VaultError::Damaged(path.to_owned()))?);
        let key = opened.as_slice().try_into().map_err(|_| VaultError::Damaged(path.to_owned()))?;
        Ok(CaseKey { id: self.key_id, key: Zeroizing::new(key) })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &self.master.0, &self.key_id, &self.nonce, &self.sealed].concat()
    }

    pub(super) fn read(path: &Path) -> Result<Self, VaultError> {
        // Whatever lies in a folder is looked at, of any size.
        if fs::metadata(path).map_err(at(path))?.len() != SIZE as u64 {
            return Err(VaultError::Damaged(path.to_owned()));
        }
        let bytes = fs::read(path).map_err(at(path))?;
        let field = |from: usize, to: usize| &bytes[from..to];
        if bytes.len() != SIZE || field(0, 5) != MAGIC {
            return Err(VaultError::Damaged(path.to_owned()));
        }
        let damaged = |_| VaultError::Damaged(path.to_owned());
        Ok(Self {
            master: MasterId(field(5, 13).try_into().map_err(damaged)?),
            key_id: field(13, 29).try_into().map_err(damaged)?,
            nonce: field(29, 53).try_into().map_err(damaged)?,
            sealed: field(53, SIZE).try_into().map_err(damaged)?,
        })
    }
}

/// What a wrapped key is bound to: a file under another case's name does not open.
fn aad(case: SubmissionId, master: MasterId, key_id: KeyId) -> Vec<u8> {
    [MAGIC.as_slice(), &case.bits().to_be_bytes(), &master.0, &key_id].concat()
}
