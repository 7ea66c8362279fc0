//! The data folder of a demo: the one that was asked for, or one of its own that goes with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

/// The folder. One of its own is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    own: Option<TempDir>,
}

impl Folder {
    /// Takes the folder that was asked for, which is empty or not there yet, or makes one.
    pub(crate) fn take(asked: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = asked else {
            let own = tempfile::Builder::new().prefix("satgas-demo-").tempdir().context("no folder can be made")?;
            return Ok(Self { path: own.path().to_owned(), own: Some(own) });
        };
        let is_empty = match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be used as data folder", path.display()));
            }
        };
        if !is_empty {
            let path = path.display();
            bail!(
                "{path} is not empty: a demo begins with a fresh folder. Name another, or serve this one: satgas serve --data {path}"
            );
        }
        Ok(Self { path, own: None })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there after the demo.
    pub(crate) fn stays(&self) -> bool {
        self.own.is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(own) = self.own.take()
            && let Err(error) = own.close()
        {
            eprintln!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_its_own_goes_with_the_demo() {
        let folder = Folder::take(None).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("log"), b"something").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_was_asked_for_stays_and_is_refused_when_something_is_in_it() {
        let outer = Folder::take(None).unwrap();
        let asked = outer.path().join("asked");
        fs::create_dir(&asked).unwrap();
        drop(Folder::take(Some(asked.clone())).unwrap());
        assert!(asked.exists(), "it stays");
        fs::write(asked.join("log"), b"something").unwrap();
        let error = Folder::take(Some(asked)).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
    }
}
