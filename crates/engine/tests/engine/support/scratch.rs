//! Folders for tests that write thousands of files.

use std::path::Path;

/// A folder where syncing costs nothing: no disk is to be tested there.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}
