//! Files of secrets: only their owner reads them.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};

/// Reads a file that only its owner may read.
///
/// # Errors
/// When it cannot be read, or others may read it too.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("{} cannot be read", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    if file.metadata().with_context(unreadable)?.permissions().mode() & 0o077 != 0 {
        bail!("{0} may be read by others on this machine: take their rights away with `chmod 600 {0}`", path.display());
    }
    let mut secret = String::new();
    file.read_to_string(&mut secret).with_context(unreadable)?;
    Ok(secret)
}

/// Makes an empty file that only its owner reads, in the place of one that may be there.
///
/// # Errors
/// When the file cannot be made.
pub(crate) fn create_private(path: &Path) -> anyhow::Result<File> {
    let made = || {
        // One that is there keeps its rights when it is written over.
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    };
    made().with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes a new file that only its owner reads.
pub(crate) fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let written = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{secret}")
    };
    written().with_context(|| format!("{} cannot be written", path.display()))
}
