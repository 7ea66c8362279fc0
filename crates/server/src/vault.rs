//! What an operator does with the vault of a data folder that no server uses: rotate the master key, back it up, restore it, and show that
//! an erased case's identities open no more.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message as _;
use satgas_domain::{event, id::SubmissionId, sealed};
use satgas_engine::vault::{self, Copied, MasterError, MasterId, MasterKey, Masters, Of, Rotated, Vault, VaultError};
use satgas_journal::{Journal, disk};
use satgas_proto::v1::{self, EventKind, event::Body};

use crate::{
    Config, FolderError,
    folder::{Folder, open_journal},
    master::{self, MasterKeyError},
};

/// Bytes of the log that are read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Why the vault was not worked on.
#[derive(Debug, thiserror::Error)]
pub enum VaultCommandError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The master key cannot be used.
    #[error(transparent)]
    Key(#[from] MasterKeyError),
    /// The vault cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The log cannot be opened.
    #[error("the log cannot be opened: {0}")]
    Journal(#[from] satgas_journal::OpenError),
    /// The log cannot be read.
    #[error("the log cannot be read: {0}; run `satgas verify`")]
    Log(String),
    /// A folder cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// The text is no case id.
    #[error("`{0}` is no case id")]
    CaseId(String),
    /// The new master key must be somewhere else than the present one.
    #[error("the master key is configured: say with --new-file where the new one lies or shall be made")]
    NoNewFile,
}

impl From<MasterError> for VaultCommandError {
    fn from(error: MasterError) -> Self {
        Self::Key(error.into())
    }
}

/// What a rotation did.
#[derive(Debug)]
pub struct Rotation {
    /// The new master key's id.
    pub id: MasterId,
    /// The file that it lies in.
    pub file: PathBuf,
    /// Keys that were wrapped anew, or had been already.
    pub keys: Rotated,
    /// Whether the former master key was destroyed; where it was configured, that is the operator's to do.
    pub former_destroyed: bool,
}

fn take(config: &Config, doing: &str) -> Result<Folder, FolderError> {
    let mut folder = Folder::take(&config.data)?;
    folder.sign(doing).map_err(|error| FolderError::Io { folder: config.data.clone(), error })?;
    Ok(folder)
}

fn open(config: &Config, masters: Masters) -> Result<Vault, VaultError> {
    Vault::open(vault::Options { folder: master::vault_folder(config), masters })
}

/// Wraps every case's key by a new master key: the one in `new_file`, made if it is not there, or one that takes the place of the data
/// folder's own. Done again after it was cut short, it goes on. Blocks.
pub fn rotate_master_key(config: &Config, new_file: Option<&Path>) -> Result<Rotation, VaultCommandError> {
    let _folder = take(config, "rotating the master key")?;
    let next = master::next_file(&config.data);
    let file = match new_file {
        Some(file) => file,
        None if master::is_default(config) => &next,
        None => return Err(VaultCommandError::NoNewFile),
    };
    let masters = master::masters(config)?;
    let new = if file.exists() { MasterKey::read(file)? } else { MasterKey::make(file)? };
    let keys = open(config, masters)?.rotate(&new)?;
    if new_file.is_some() {
        return Ok(Rotation { id: new.id(), file: file.to_owned(), keys, former_destroyed: false });
    }
    // Every key is under the new one: the former goes first, its name then means the new one.
    let default = master::default_file(&config.data);
    vault::succeed(&default, &next)?;
    Ok(Rotation { id: new.id(), file: default, keys, former_destroyed: true })
}

/// Copies the vault, wrapped as it is, to a folder, and takes the keys of erased cases out of it. A server may be running. Blocks.
pub fn back_up_vault(config: &Config, to: &Path) -> Result<Copied, VaultCommandError> {
    let folder = master::vault_folder(config);
    if !folder.is_dir() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        return Err(VaultCommandError::Io(folder, missing));
    }
    // Not opened: that would destroy what a running server is writing at this moment.
    Ok(Vault::running(folder).copy_to(to)?)
}

/// Takes the keys that the vault has lost from a copy, but for those of cases that the log says are erased. Blocks.
pub fn restore_vault(config: &Config, from: &Path) -> Result<Copied, VaultCommandError> {
    let folder = take(config, "restoring the vault")?;
    let log = Log::read(config, &folder)?;
    Ok(open(config, Masters::default())?.restore_from(from, |case| log.is_erased(case))?)
}

/// What was found of an erased case.
#[derive(Debug, Default)]
pub struct Erasure {
    /// Whether the log says that it was erased.
    pub recorded: bool,
    /// Seals of the case in the log.
    pub seals: usize,
    /// Keys, of whichever case, that were tried on each of them.
    pub keys_tried: usize,
    /// Key files of other or unnamed cases that no master key at hand unwraps, and so could not be tried.
    pub keys_not_tried: usize,
    /// Files that hold a key of the case, by their name, by the key's id, or because it opens a seal.
    pub found: Vec<PathBuf>,
    /// What could not be looked into: archives and other files that are no keys, links, devices. Any of them may hold a key.
    pub not_looked_into: Vec<PathBuf>,
}

impl Erasure {
    /// Whether the case's identities are gone, as far as these folders show.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.recorded && self.seals > 0 && self.found.is_empty()
    }
}

/// Tries every key in the vault and in the given copies of it on every seal of a case. Blocks.
pub fn verify_erased(config: &Config, case_id: &str, copies: &[PathBuf]) -> Result<Erasure, VaultCommandError> {
    let case = SubmissionId::parse(case_id).map_err(|_| VaultCommandError::CaseId(case_id.to_owned()))?;
    let folder = take(config, "looking for the keys of an erased case")?;
    let log = Log::read(config, &folder)?;
    let masters = master::masters(config)?;
    let seals: Vec<&v1::IdentitySealed> = log.seals.iter().filter(|sealed| sealed.case_id == case_id).collect();
    let mut found = Erasure { recorded: log.is_erased(case), seals: seals.len(), ..Erasure::default() };
    for folder in std::iter::once(&master::vault_folder(config)).chain(copies) {
        let Inside { folders, mut others } = inside(folder)?;
        for folder in folders {
            for file in vault::key_files(&folder, &masters)? {
                others.remove(&file.path);
                log.look(&mut found, case, &seals, file);
            }
        }
        found.not_looked_into.extend(others);
    }
    Ok(found)
}

/// What the log says about sealed identities.
struct Log {
    id: String,
    seals: Vec<v1::IdentitySealed>,
    erased: Vec<String>,
}

impl Log {
    fn read(config: &Config, folder: &Folder) -> Result<Self, VaultCommandError> {
        if !folder.journal().is_dir() {
            return Err(FolderError::NoLog(config.data.clone()).into());
        }
        let journal = open_journal(folder, disk::Options::default())?;
        let mut log = Self { id: String::new(), seals: Vec::new(), erased: Vec::new() };
        let mut after = 0;
        while after < journal.head().position {
            let chunk = journal.read(after, CHUNK_BYTES).map_err(|error| VaultCommandError::Log(error.to_string()))?;
            for (position, bytes) in chunk.records() {
                log.take(&bytes).map_err(|_| VaultCommandError::Log(format!("position {position} is no event")))?;
            }
            after = chunk.last();
        }
        Ok(log)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), event::Malformed> {
        // Most of the log is something else: only heads are read of it.
        let kind = EventKind::try_from(event::Head::peek(bytes)?.kind).unwrap_or_default();
        let wanted = [
            EventKind::LogOpened,
            EventKind::IdentitySealed,
            EventKind::PublicReportReceived,
            EventKind::ErasureApproved,
            EventKind::IdentityErased,
        ];
        if !wanted.contains(&kind) {
            return Ok(());
        }
        match v1::Event::decode(bytes)?.body {
            Some(Body::LogOpened(opened)) => self.id = opened.log_id,
            Some(Body::IdentitySealed(sealed)) => self.seals.push(sealed),
            Some(Body::PublicReportReceived(received)) => {
                let (case_id, kind) = (received.report_id, v1::IdentityKind::PublicReport.into());
                self.seals.push(v1::IdentitySealed { case_id, kind, seal: received.seal, ..Default::default() });
            }
            Some(body) => self.erased.extend(sealed::case_of(&body).map(str::to_owned)),
            None => {}
        }
        Ok(())
    }

    /// Whether the case was erased, or its erasure was approved.
    fn is_erased(&self, case: SubmissionId) -> bool {
        let case = case.to_string();
        self.erased.contains(&case)
    }

    fn look(&self, found: &mut Erasure, case: SubmissionId, seals: &[&v1::IdentitySealed], file: vault::KeyFile) {
        let named = file.case == Some(case);
        let known = |sealed: &&v1::IdentitySealed| {
            sealed.seal.as_ref().is_some_and(|seal| file.key_id.is_some_and(|id| seal.key_id == id.as_slice()))
        };
        let identified = seals.iter().any(known);
        let opens = match &file.key {
            Ok(key) => {
                found.keys_tried += 1;
                seals.iter().any(|sealed| {
                    let of = Of { log_id: &self.id, case, kind: sealed.kind };
                    sealed.seal.as_ref().is_some_and(|seal| key.opens(of, seal))
                })
            }
            Err(_) => {
                found.keys_not_tried += usize::from(!named && !identified);
                false
            }
        };
        if named || identified || opens {
            found.found.push(file.path);
        }
    }
}

/// What a folder holds, at any depth.
#[derive(Default)]
struct Inside {
    /// Itself and all folders in it; links are not followed, as they may lead anywhere.
    folders: Vec<PathBuf>,
    /// Everything else that is not empty, keys among it.
    others: BTreeSet<PathBuf>,
}

fn inside(folder: &Path) -> Result<Inside, VaultCommandError> {
    let (mut inside, mut next) = (Inside::default(), vec![folder.to_owned()]);
    while let Some(folder) = next.pop() {
        let failed = |error| VaultCommandError::Io(folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                next.push(entry.path());
            } else if !kind.is_file() || entry.metadata().map_err(failed)?.len() > 0 {
                inside.others.insert(entry.path());
            }
        }
        inside.folders.push(folder);
    }
    Ok(inside)
}
