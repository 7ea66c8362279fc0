//! Rights of files and folders: what is the server's is read by its user alone.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

/// Rights of the owner's group.
pub(crate) const GROUP: u32 = 0o070;
/// Rights of everybody else on the machine.
pub(crate) const OTHERS: u32 = 0o007;

/// Makes a folder that only its owner may enter, and those above it that are missing. Whatever the umask is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a folder that is there already its owner's alone.
pub(crate) fn close_folder(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Who besides the owner may do something with a file or folder, of those in `whom`; 0 for nobody.
pub(crate) fn of_others(path: &Path, whom: u32) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & whom)
}
