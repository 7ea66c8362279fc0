//! The vault: one key per case, each in a file of its own, apart from the log and its backups.
//!
//! ```text
//! FOLDER/<case id>.key      the case's key, wrapped by the master key
//! FOLDER/<case id>.erased   an empty file: the case's key was destroyed, and none is ever made for it again
//! FOLDER/*.draft, *.former  what a crash left of a write; overwritten and removed at the next opening
//! ```
//!
//! Invariants:
//! - A key that is handed out for sealing is on disk, and its name in the folder is, too. So the key is durable before the event that
//!   needs it is appended; a crash between the two leaves a key that opens nothing.
//! - What is destroyed is overwritten in place and synced before its name goes, so that the bytes are gone from the file and not only from the
//!   folder. A store that keeps old pages, as the log's does, could not promise that; this is why the keys are not in it. What the
//!   hardware and a copying file system keep is said in docs/sealing.md.
//! - No function here takes or gives a name of a person, and no error repeats a key.

mod files;
pub mod master;
mod seal;
mod wrap;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use satgas_domain::{id::SubmissionId, sealed::KeyId};

use self::{files::at, wrap::Wrapped};
pub use self::{
    master::{MasterError, MasterId, MasterKey, Masters},
    seal::{Clear, NotOpened, Of, Secret},
    wrap::CaseKey,
};

/// Ending of a key's file.
const KEY: &str = "key";
/// Ending of the mark that a key was destroyed.
const ERASED: &str = "erased";

/// How a vault is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder.
    pub folder: PathBuf,
    /// The master keys.
    pub masters: Masters,
}

/// Why the vault did not give, make, wrap or destroy a key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file or folder cannot be used.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// The case has no key here: is it the right folder, was the vault restored?
    #[error("the case's key is not in the vault {0}: is it the right folder, was it restored?")]
    NoKey(PathBuf),
    /// The key of this case was destroyed.
    #[error("the case's key was destroyed")]
    Erased,
    /// The key is wrapped by a master key that was not given.
    #[error("the case's key is wrapped by the master key {0}, which was not given")]
    OtherMaster(MasterId),
    /// The file is no key, or another than its name says, or was changed.
    #[error("{0} is damaged")]
    Damaged(PathBuf),
    /// The master key cannot be used.
    #[error(transparent)]
    Master(#[from] MasterError),
}

/// What a rotation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Keys that were wrapped anew.
    pub wrapped: u64,
    /// Keys that the new master key had wrapped already, by a rotation that was cut short.
    pub already: u64,
}

/// What a copy of the vault did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Keys that were copied.
    pub copied: u64,
    /// Keys that were there already.
    pub already: u64,
    /// Keys of erased cases that were destroyed in the copy, or not taken from it.
    pub erased: u64,
}

/// A vault.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
    /// One at a time makes, wraps or destroys.
    masters: Mutex<Masters>,
}

impl Vault {
    /// Opens a vault, makes its folder if it is not there, and destroys what a crash left of a write.
    pub fn open(options: Options) -> Result<Self, VaultError> {
        let Options { folder, masters } = options;
        files::make_folder(&folder)?;
        for path in list(&folder, files::is_leftover)? {
            files::shred(&path)?;
        }
        Ok(Self { folder, masters: Mutex::new(masters) })
    }

    /// A vault that a server may be using at this moment: nothing in it is cleared, and no key is unwrapped.
    #[must_use]
    pub fn running(folder: PathBuf) -> Self {
        Self { folder, masters: Mutex::default() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, case: SubmissionId, ending: &str) -> PathBuf {
        path_in(&self.folder, case, ending)
    }

    /// Whether there is a key of a case.
    #[must_use]
    pub fn has(&self, case: SubmissionId) -> bool {
        self.path(case, KEY).exists()
    }

    /// The key of a case.
    pub fn key(&self, case: SubmissionId) -> Result<CaseKey, VaultError> {
        let masters = self.masters.lock();
        self.read(case, &masters)
    }

    fn read(&self, case: SubmissionId, masters: &Masters) -> Result<CaseKey, VaultError> {
        let path = self.path(case, KEY);
        match Wrapped::read(&path) {
            Ok(wrapped) => wrapped.unwrap(case, masters, &path),
            Err(VaultError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                let erased = self.path(case, ERASED).exists();
                Err(if erased { VaultError::Erased } else { VaultError::NoKey(self.folder.clone()) })
            }
            Err(error) => Err(error),
        }
    }

    /// The key of a case, made if there is none. It is durable when this returns.
    pub fn key_or_new(&self, case: SubmissionId) -> Result<CaseKey, VaultError> {
        let mut masters = self.masters.lock();
        match self.read(case, &masters) {
            Err(VaultError::NoKey(_)) => {}
            found => return found,
        }
        let none_yet = || Ok(list(&self.folder, |name| name.ends_with(".key"))?.is_empty());
        let key = CaseKey::generate();
        let wrapped = Wrapped::new(&key, case, masters.current(none_yet)?);
        files::write(&self.path(case, KEY), &wrapped.encode())?;
        Ok(key)
    }

    /// Destroys the key of a case for ever; fine when there is none. It is gone when this returns.
    pub fn destroy(&self, case: SubmissionId) -> Result<(), VaultError> {
        let _one_at_a_time = self.masters.lock();
        // The mark first: after a crash no new key hides that the old one was to go.
        destroy_in(&self.folder, case)
    }

    /// Wraps every key by a new master key. A key is readable under the old or the new one at every moment, so that after a crash a
    /// vault with both goes on; the log is not touched.
    pub fn rotate(&self, new: &MasterKey) -> Result<Rotated, VaultError> {
        let masters = self.masters.lock();
        let mut rotated = Rotated::default();
        for path in keys(&self.folder)? {
            let (case, wrapped) = (case_of(&path)?, Wrapped::read(&path)?);
            if wrapped.master == new.id() {
                rotated.already += 1;
                continue;
            }
            let key = wrapped.unwrap(case, &masters, &path)?;
            files::replace(&path, &Wrapped::new(&key, case, new).encode())?;
            rotated.wrapped += 1;
        }
        Ok(rotated)
    }

    /// Copies the wrapped keys to a folder, with the marks of those destroyed, and destroys in it the keys of erased cases that an earlier
    /// copy left there.
    pub fn copy_to(&self, folder: &Path) -> Result<Copied, VaultError> {
        let _one_at_a_time = self.masters.lock();
        files::make_folder(folder)?;
        let mut copied = Copied::default();
        for path in keys(&self.folder)? {
            match copy_key(&path, folder, &mut copied) {
                // A running server may erase a case meanwhile.
                Err(VaultError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        // Last, so that what was erased meanwhile is taken out of the copy again.
        for case in erased(&self.folder)? {
            copied.erased += u64::from(path_in(folder, case, KEY).exists());
            destroy_in(folder, case)?;
        }
        Ok(copied)
    }

    /// Takes the keys that a copy has and this vault has not. Never those of erased cases: `is_erased` asks the log, which knows them even when
    /// the vault and its marks were lost.
    pub fn restore_from(&self, folder: &Path, is_erased: impl Fn(SubmissionId) -> bool) -> Result<Copied, VaultError> {
        let _one_at_a_time = self.masters.lock();
        let mut copied = Copied::default();
        for path in keys(folder)? {
            let case = case_of(&path)?;
            if is_erased(case) || self.path(case, ERASED).exists() || path_in(folder, case, ERASED).exists() {
                copied.erased += 1;
                destroy_in(&self.folder, case)?;
            } else {
                copy_key(&path, &self.folder, &mut copied)?;
            }
        }
        Ok(copied)
    }
}

/// A file with the key of a case.
#[derive(Debug)]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// The case that its name says, if it says one.
    pub case: Option<SubmissionId>,
    /// The key's id, which is not wrapped; none in a file that is cut short.
    pub key_id: Option<KeyId>,
    /// The key, where one of the master keys unwraps it.
    pub key: Result<CaseKey, VaultError>,
}

/// Every file of a folder that is a key or should be one, whatever its name.
pub fn key_files(folder: &Path, masters: &Masters) -> Result<Vec<KeyFile>, VaultError> {
    let look = |path: PathBuf| {
        let case = case_of(&path);
        let is_named = case.is_ok() && path.extension().is_some_and(|ending| ending == KEY);
        let wrapped = Wrapped::read(&path);
        if wrapped.is_err() && !is_named {
            return None;
        }
        let key_id = wrapped.as_ref().ok().map(|wrapped| wrapped.key_id);
        let known = case.as_ref().ok().copied();
        let key = wrapped.and_then(|wrapped| wrapped.unwrap(case?, masters, &path));
        Some(KeyFile { path, case: known, key_id, key })
    };
    Ok(list(folder, |_| true)?.into_iter().filter(|path| path.is_file()).filter_map(look).collect())
}

fn copy_key(from: &Path, folder: &Path, copied: &mut Copied) -> Result<(), VaultError> {
    let bytes = Wrapped::read(from)?.encode();
    let to = path_in(folder, case_of(from)?, KEY);
    if fs::read(&to).is_ok_and(|there| there == bytes) {
        copied.already += 1;
        return Ok(());
    }
    // A copy of before a rotation is destroyed like any other key that is no longer needed.
    if to.exists() { files::replace(&to, &bytes) } else { files::write(&to, &bytes) }?;
    copied.copied += 1;
    Ok(())
}

fn destroy_in(folder: &Path, case: SubmissionId) -> Result<(), VaultError> {
    let mark = path_in(folder, case, ERASED);
    if !mark.exists() {
        files::write(&mark, &[])?;
    }
    let path = path_in(folder, case, KEY);
    for path in [files::draft(&path), files::former(&path), path] {
        if path.exists() {
            files::shred(&path)?;
        }
    }
    Ok(())
}

fn path_in(folder: &Path, case: SubmissionId, ending: &str) -> PathBuf {
    folder.join(format!("{case}.{ending}"))
}

fn case_of(path: &Path) -> Result<SubmissionId, VaultError> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    SubmissionId::parse(name).map_err(|_| VaultError::Damaged(path.to_owned()))
}

fn keys(folder: &Path) -> Result<Vec<PathBuf>, VaultError> {
    list(folder, |name| name.ends_with(".key"))
}

fn erased(folder: &Path) -> Result<Vec<SubmissionId>, VaultError> {
    list(folder, |name| name.ends_with(".erased"))?.iter().map(|path| case_of(path)).collect()
}

/// Files of a folder by their names, in order.
fn list(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, VaultError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Destroys a file, such as a former master key, and puts the one that is to follow it under its name. Neither need be there: a crash may
/// have come between.
pub fn succeed(path: &Path, next: &Path) -> Result<(), VaultError> {
    if next.exists() {
        if path.exists() {
            files::shred(path)?;
        }
        files::rename(next, path)?;
    }
    Ok(())
}

/// Whether a key's id is the one that a case's identities are sealed under.
#[must_use]
pub fn fits(key: &CaseKey, known: Option<KeyId>) -> bool {
    known.is_none_or(|known| known == key.id())
}
