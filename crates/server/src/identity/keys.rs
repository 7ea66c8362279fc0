//! The folder `keys/` of the data folder: the key that signs tokens, the one that signs heads of the logs, and the token that the operator
//! begins with. Only the owner reads them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};

use crate::rights;

/// The file of the key that signs tokens.
const SIGNING: &str = "signing.pem";

/// The file of the key that signs heads of the logs. It is another one, so that exchanging that of the tokens breaks no backup.
const HEADS: &str = "heads.pem";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read or written.
    #[error("{path} cannot be used: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// Others may read it.
    #[error(
        "the key {0} may be read by others: take their rights away with `chmod 600`, and if they have read it, exchange it with \
         `satgas token recover --new-key`"
    )]
    Open(PathBuf),
    /// The file is no key.
    #[error(
        "{0} is no Ed25519 key in PKCS#8: put the right file there, or remove it: then the next start makes another one; with another \
         signing.pem all tokens end and the operator gets a new one, with another heads.pem backups are begun anew"
    )]
    NoKey(PathBuf),
}

/// The folder of the keys.
pub(crate) struct Keys {
    folder: PathBuf,
    pub(super) signing: SigningKey,
    heads: SigningKey,
}

/// The key that signs heads of the logs.
#[derive(Clone)]
pub(crate) struct HeadKey(pub(crate) SigningKey);

impl Keys {
    /// Opens the folder; makes it and the key if they are not there.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, KeyError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| KeyError::Io { path, error }
        };
        rights::make_folder(&folder).map_err(io(&folder))?;
        let (signing, heads) = (open_key(folder.join(SIGNING))?, open_key(Self::heads_file(&folder))?);
        Ok(Self { folder, signing, heads })
    }

    /// Where the key lies that signs heads of the logs.
    pub(crate) fn heads_file(folder: &Path) -> PathBuf {
        folder.join(HEADS)
    }

    /// The key that signs heads of the logs, of a folder that is only looked at; none where it is not there or cannot be read.
    pub(crate) fn heads_of(folder: &Path) -> Option<HeadKey> {
        let pem = fs::read_to_string(Self::heads_file(folder)).ok()?;
        SigningKey::from_pkcs8_pem(&pem).ok().map(HeadKey)
    }

    /// The key that signs heads of the logs.
    pub(crate) fn heads(&self) -> HeadKey {
        HeadKey(self.heads.clone())
    }

    /// A key that is in no folder.
    #[cfg(feature = "fuzz")]
    pub(super) fn of(signing: SigningKey) -> Self {
        Self { folder: PathBuf::new(), heads: signing.clone(), signing }
    }

    /// Puts a new key in the place of the present one: every token of before ends.
    pub(crate) fn exchange(&mut self) -> Result<(), KeyError> {
        self.signing = make_key(&self.folder.join(SIGNING))?;
        Ok(())
    }

    /// Names the key without telling anything of it: the beginning of a hash of its public half.
    pub(crate) fn id(&self) -> String {
        let hash = blake3::derive_key("satgas.v1 2026-11 id of a signing key", self.signing.verifying_key().as_bytes());
        blake3::Hash::from_bytes(hash).to_hex()[..16].to_owned()
    }

    /// Where the operator's first token lies.
    pub(crate) fn operator_token(&self) -> PathBuf {
        self.folder.join("operator.token")
    }

    /// Writes the operator's first token.
    pub(crate) fn write_operator_token(&self, secret: &str) -> Result<(), KeyError> {
        let path = self.operator_token();
        write_secret(&path, format!("{secret}\n").as_bytes()).map_err(|error| KeyError::Io { path, error })
    }
}

/// The key in a file that only its owner reads, made if it is not there.
fn open_key(path: PathBuf) -> Result<SigningKey, KeyError> {
    let io = |error| KeyError::Io { path: path.clone(), error };
    match fs::read_to_string(&path) {
        Ok(_) if rights::of_others(&path, rights::GROUP | rights::OTHERS).map_err(io)? != 0 => {
            Err(KeyError::Open(path))
        }
        Ok(pem) => SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::NoKey(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(&path),
        Err(error) => Err(io(error)),
    }
}

fn make_key(path: &Path) -> Result<SigningKey, KeyError> {
    let key = SigningKey::from_bytes(&rand::random());
    let pem = key.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key always encodes");
    write_secret(path, pem.as_bytes()).map_err(|error| KeyError::Io { path: path.to_owned(), error })?;
    Ok(key)
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The name is durable when its folder is.
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let first = Keys::open(keys.clone()).unwrap().signing.to_bytes();
        assert_eq!(Keys::open(keys.clone()).unwrap().signing.to_bytes(), first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&keys), mode(&keys.join("signing.pem"))), (0o700, 0o600));
    }
}
