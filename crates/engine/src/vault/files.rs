//! Small files that are there whole or not at all, and whose bytes are gone when they are destroyed.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::VaultError;

const DRAFT: &str = "draft";
const FORMER: &str = "former";

/// Puts the path into an error.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> VaultError {
    let path = path.to_owned();
    move |error| VaultError::Io { path: path.clone(), error }
}

/// Makes a folder that nobody else may enter.
pub(super) fn make_folder(folder: &Path) -> Result<(), VaultError> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
    sync_folder_of(folder)
}

/// A file that is being written.
pub(super) fn draft(path: &Path) -> PathBuf {
    path.with_extension(DRAFT)
}

/// A file that is being replaced.
pub(super) fn former(path: &Path) -> PathBuf {
    path.with_extension(FORMER)
}

/// Whether a name is of something that a crash left.
pub(super) fn is_leftover(name: &str) -> bool {
    [DRAFT, FORMER].iter().any(|ending| name.rsplit_once('.').is_some_and(|(_, of_name)| of_name == *ending))
}

/// Writes a new file. It and its name are durable when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let draft = write_draft(path, bytes)?;
    rename(&draft, path)
}

/// Gives a file another name in its folder, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), VaultError> {
    fs::rename(from, to).map_err(at(from))?;
    sync_folder_of(to)
}

/// Replaces a file, and destroys what was in it. The new one is durable before the old one goes.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let draft = write_draft(path, bytes)?;
    // A second name, so that the old bytes can still be reached and overwritten when the first name means the new ones.
    let former = former(path);
    fs::hard_link(path, &former).map_err(at(&former))?;
    fs::rename(&draft, path).map_err(at(path))?;
    sync_folder_of(path)?;
    shred(&former)
}

fn write_draft(path: &Path, bytes: &[u8]) -> Result<PathBuf, VaultError> {
    let draft = draft(path);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(at(&draft))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(&draft))?;
    Ok(draft)
}

/// Overwrites a file in place, and only then takes its name away. Both are durable when this returns.
pub(super) fn shred(path: &Path) -> Result<(), VaultError> {
    let mut file = OpenOptions::new().write(true).open(path).map_err(at(path))?;
    let length = file.metadata().map_err(at(path))?.len();
    let zeros = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.write_all(&zeros).and_then(|()| file.sync_all()).map_err(at(path))?;
    fs::remove_file(path).map_err(at(path))?;
    sync_folder_of(path)
}

fn sync_folder_of(path: &Path) -> Result<(), VaultError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}
