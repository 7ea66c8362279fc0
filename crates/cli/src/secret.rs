//! Files of secrets: only their owner reads them.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::Context as _;

/// Writes a new file that only its owner reads.
pub(crate) fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let written = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{secret}")
    };
    written().with_context(|| format!("{} cannot be written", path.display()))
}
