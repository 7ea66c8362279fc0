//! The page through which a server under test gets a bad disk and a wrong clock; `crates/faults` says how that works.

use std::{
    env,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use satgas_faults::{PAGE_BYTES, VARIABLE, Word};

/// The library's file. Cargo names it after the crate and puts it where the crates' other libraries are.
const LIBRARY: &str = "libsatgas_faults.so";

/// A page. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    library: PathBuf,
    page: PathBuf,
    file: Arc<File>,
}

impl Bad {
    /// A page in a folder, on which nothing is wrong yet.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let page = folder.join("faults.page");
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&page)?;
        file.set_len(PAGE_BYTES as u64)?;
        Ok(Self { library: library()?, page, file: Arc::new(file) })
    }

    pub(crate) fn load_into(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env(VARIABLE, &self.page);
    }

    pub(crate) fn set(&self, word: Word, value: i64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_ne_bytes(), word.offset())?)
    }

    pub(crate) fn get(&self, word: Word) -> Result<i64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, word.offset())?;
        Ok(i64::from_ne_bytes(bytes))
    }
}

/// Beside this program or among the libraries it was linked from.
fn library() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().context("a program lies in a folder")?;
    let places = [folder.join("deps").join(LIBRARY), folder.join(LIBRARY)];
    let found = places.iter().find(|place| place.is_file()).cloned();
    found.with_context(|| format!("{LIBRARY} is not at {}: `cargo xtask torture` builds it", places[0].display()))
}
