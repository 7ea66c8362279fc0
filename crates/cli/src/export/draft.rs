//! The file that an export becomes.
//!
//! Invariant: it is written under another name beside its place and takes the place when it is whole and on disk. Whatever ends the
//! export before, the unfinished file goes with it and what stood in the place stays.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use tempfile::{Builder, NamedTempFile};

/// Where an export goes, and what its name says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target<K> {
    /// The file.
    pub(super) path: PathBuf,
    /// What is written.
    pub(super) kind: K,
}

/// A file's name as a person types it; its ending chooses the kind.
///
/// # Errors
/// A sentence that lists the endings.
pub(super) fn target<K: ValueEnum>(text: &str) -> Result<Target<K>, String> {
    let path = PathBuf::from(text);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match K::from_str(ending, true) {
        Ok(kind) => Ok(Target { path, kind }),
        Err(_) => Err(format!("the ending says what is written; name a file that ends in {}", endings::<K>())),
    }
}

/// ".csv, .xlsx or .parquet".
fn endings<K: ValueEnum>() -> String {
    let kinds = K::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let mut endings: Vec<String> = kinds.map(|kind| format!(".{}", kind.get_name())).collect();
    match endings.pop() {
        Some(last) if !endings.is_empty() => format!("{} or {last}", endings.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// The unfinished file.
#[derive(Debug)]
pub(crate) struct Draft {
    file: NamedTempFile,
    path: PathBuf,
    force: bool,
}

impl Draft {
    /// Makes it beside its place. `force` lets it take the place of a file that is there.
    ///
    /// # Errors
    /// When the place cannot be taken, before anything is asked of the server.
    pub(crate) fn beside(path: &Path, force: bool) -> anyhow::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            bail!("there is no folder {}; make it first, or name a file in another one with --to", folder.display());
        }
        if path.is_dir() {
            bail!("{} is a folder; name a file in it with --to", path.display());
        }
        refuse_another(path, force)?;
        // Only its owner may read it, then and later: a log of cases is nobody else's by default.
        let made = Builder::new().prefix(".satgas-export-").suffix(".part").tempfile_in(folder);
        let file = made.with_context(|| {
            format!(
                "no file can be made in {}; see to it that you may write there, or name another with --to",
                folder.display()
            )
        })?;
        Ok(Self { file, path: path.to_owned(), force })
    }

    /// To write to.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Where it lies until then.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts the finished file in its place.
    ///
    /// # Errors
    /// When it cannot be brought to disk, or another file took the place in the meantime.
    pub(crate) fn publish(self) -> anyhow::Result<()> {
        let Self { file, path, force } = self;
        file.as_file().sync_all().with_context(|| format!("{} could not be brought to disk", path.display()))?;
        refuse_another(&path, force)?;
        let named = || format!("{} could not be put in its place", path.display());
        file.persist(&path).map_err(|error| error.error).with_context(named)?;
        Ok(())
    }
}

fn refuse_another(path: &Path, force: bool) -> anyhow::Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        bail!("{} is there already; name another file with --to, or replace it with --force", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
    enum Kind {
        Jsonl,
        Parquet,
    }

    #[test]
    fn the_ending_chooses_in_any_case_and_a_wrong_one_is_answered_with_all() {
        assert_eq!(target::<Kind>("a/b.Parquet").unwrap().kind, Kind::Parquet);
        for wrong in ["log.txt", "log", ".jsonl", ""] {
            assert!(target::<Kind>(wrong).unwrap_err().ends_with("ends in .jsonl or .parquet"), "{wrong}");
        }
    }

    #[test]
    fn a_draft_that_is_not_published_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let draft = Draft::beside(&folder.path().join("log.jsonl"), false).unwrap();
        draft.file().write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_stands_in_the_place_stays_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let draft = Draft::beside(&path, false).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(draft.publish().unwrap_err().to_string().contains("--force"));
        assert!(Draft::beside(&path, false).unwrap_err().to_string().contains("--force"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");

        let draft = Draft::beside(&path, true).unwrap();
        draft.file().write_all(b"ours").unwrap();
        draft.publish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Draft::beside(&folder.path().join("reports/log.jsonl"), false).unwrap_err().to_string();
        assert!(error.starts_with("there is no folder") && error.contains("reports"), "{error}");
        assert!(Draft::beside(folder.path(), true).unwrap_err().to_string().contains("is a folder"));
    }
}
