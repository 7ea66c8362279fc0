//! The folder `keys/` of the data folder: the key that signs tokens, and the token that the operator begins with. Only the owner reads
//! them.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};

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
    /// The file is no key.
    #[error("{0} is no Ed25519 key in PKCS#8: put the right file there, or remove it and issue all tokens anew")]
    NoKey(PathBuf),
}

/// The folder of the keys.
pub(crate) struct Keys {
    folder: PathBuf,
    pub(super) signing: SigningKey,
}

impl Keys {
    /// Opens the folder; makes it and the key if they are not there.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, KeyError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| KeyError::Io { path, error }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io(&folder))?;
        let path = folder.join("signing.pem");
        let signing = match fs::read_to_string(&path) {
            Ok(pem) => SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::NoKey(path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = SigningKey::from_bytes(&rand::random());
                let pem = key.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key always encodes");
                write_secret(&path, pem.as_bytes()).map_err(io(&path))?;
                key
            }
            Err(error) => return Err(io(&path)(error)),
        };
        Ok(Self { folder, signing })
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
