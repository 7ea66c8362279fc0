//! Master keys: 32 bytes that wrap the keys of all cases. The vault never writes one but the first, where none was configured.

use std::{
    fmt,
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{XChaCha20Poly1305, aead::Generate as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::VaultError;

/// Longest text that may hold a master key.
const TEXT_BYTES_MAX: u64 = 4_096;

/// Why a master key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// It is not 32 bytes in base64.
    #[error("the master key from {0} is not 32 bytes in base64")]
    Malformed(String),
    /// Others may read it.
    #[error("the master key {0} may be read by others: take their rights away with `chmod 600`")]
    Open(PathBuf),
    /// It cannot be read or made.
    #[error("the master key {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// There are keys, but not the master key that wrapped them: making another would not open them.
    #[error("the vault has keys, but the master key {0} that wrapped them is not there: restore it from its backup")]
    Lost(PathBuf),
    /// None was configured, and none may be made.
    #[error("no master key is configured")]
    None,
}

/// Names a master key without telling anything of it: the beginning of a hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterId(pub(super) [u8; 8]);

impl fmt::Display for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A master key. Wiped from memory when it is dropped.
#[derive(Clone)]
pub struct MasterKey {
    id: MasterId,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

impl MasterKey {
    fn new(key: Zeroizing<[u8; 32]>) -> Self {
        let hash = blake3::derive_key("satgas.v1 2026-11 id of a master key", key.as_ref());
        let (id, _) = hash.split_first_chunk().expect("32 bytes hold 8");
        Self { id: MasterId(*id), key }
    }

    /// A random one.
    #[must_use]
    pub fn generate() -> Self {
        let mut random = chacha20poly1305::Key::generate();
        let key = Zeroizing::new(random.into());
        random.as_mut_slice().zeroize();
        Self::new(key)
    }

    /// From base64; `source` says where it comes from.
    pub fn parse(text: &str, source: &str) -> Result<Self, MasterError> {
        let malformed = || MasterError::Malformed(source.to_owned());
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).map_err(|_| malformed())?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| malformed())?;
        Ok(Self::new(Zeroizing::new(key)))
    }

    /// Reads it from a file that only its owner may read.
    pub fn read(path: &Path) -> Result<Self, MasterError> {
        let failed = |error| MasterError::Io { path: path.to_owned(), error };
        let file = std::fs::File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(MasterError::Open(path.to_owned()));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(TEXT_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Makes a random one and writes it to a file that must not be there yet. It is durable when this returns.
    pub fn make(path: &Path) -> Result<Self, MasterError> {
        let failed = |error| MasterError::Io { path: path.to_owned(), error };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let made = Self::generate();
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let text = Zeroizing::new(BASE64_STANDARD.encode(made.key.as_ref()));
        io::Write::write_all(&mut file, text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(made)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> MasterId {
        self.id
    }

    pub(super) fn cipher(&self) -> XChaCha20Poly1305 {
        use chacha20poly1305::KeyInit as _;
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

/// The master keys that a vault knows.
#[derive(Clone, Debug, Default)]
pub struct Masters {
    /// The first wraps what is new; all of them unwrap.
    known: Vec<MasterKey>,
    /// Where one is made when there is none.
    made_at: Option<PathBuf>,
}

impl Masters {
    /// These, of which the first wraps what is new.
    #[must_use]
    pub fn known(known: Vec<MasterKey>) -> Self {
        Self { known, made_at: None }
    }

    /// None yet: one is made at this path when it is needed first.
    #[must_use]
    pub fn made_at(path: PathBuf) -> Self {
        Self { known: Vec::new(), made_at: Some(path) }
    }

    /// The one of a name.
    pub(super) fn find(&self, id: MasterId) -> Option<&MasterKey> {
        self.known.iter().find(|master| master.id == id)
    }

    /// The one that wraps what is new; made if there may be one and no key was ever wrapped.
    pub(super) fn current(
        &mut self,
        none_wrapped: impl FnOnce() -> Result<bool, VaultError>,
    ) -> Result<&MasterKey, VaultError> {
        if self.known.is_empty() {
            let path = self.made_at.as_ref().ok_or(MasterError::None)?;
            if !none_wrapped()? {
                return Err(MasterError::Lost(path.clone()).into());
            }
            let made = MasterKey::make(path)?;
            tracing::warn!(
                path = %path.display(),
                id = %made.id,
                "a master key was made: back it up now, apart from the data; without it no sealed identity can be read"
            );
            self.known.push(made);
        }
        self.known.first().ok_or_else(|| MasterError::None.into())
    }
}
