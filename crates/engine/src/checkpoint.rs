//! Checkpoints of folds: state and the head that it stands at, in one file that is there whole or not at all.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic `SGCP` |
//! | 4 | version of the fold, little-endian |
//! | 8 | position, little-endian |
//! | 32 | chain hash of the log at that position |
//! | n | state, postcard |
//! | 32 | BLAKE3 of all before |
//!
//! A checkpoint is a convenience: whatever is wrong with one, it is left aside and the state is folded from the log.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use satgas_journal::{Head, Journal};
use serde::de::DeserializeOwned;

const MAGIC: [u8; 4] = *b"SGCP";
const HEADER: usize = 48;
const HASH: usize = 32;
/// Checkpoints of one fold that are kept.
const KEPT: usize = 2;

/// The checkpoints of one fold in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    name: &'static str,
    version: u32,
}

impl Checkpoints {
    pub(crate) fn new(folder: &Path, name: &'static str, version: u32) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), name, version })
    }

    /// Writes a checkpoint and lets go of older ones.
    pub(crate) fn write(&self, head: Head, state: &[u8]) -> io::Result<()> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&self.version.to_le_bytes());
        header.extend_from_slice(&head.position.to_le_bytes());
        header.extend_from_slice(&head.hash);
        let hash = blake3::Hasher::new().update(&header).update(state).finalize();

        let path = self.folder.join(format!("{}-{:020}.checkpoint", self.name, head.position));
        let draft = path.with_extension("draft");
        let mut file = File::create(&draft)?;
        file.write_all(&header)?;
        file.write_all(state)?;
        file.write_all(hash.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(&self.folder)?.sync_all()?;
        for old in self.list()?.into_iter().skip(KEPT) {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole, of this version of the fold, and of this log.
    pub(crate) fn newest<S: DeserializeOwned>(&self, journal: &dyn Journal) -> Option<(Head, S)> {
        let paths = self.list().unwrap_or_default();
        paths.iter().find_map(|path| match self.read(path, journal) {
            Ok(found) => Some(found),
            Err(why) => {
                tracing::warn!(fold = self.name, why, "a checkpoint is left aside");
                None
            }
        })
    }

    fn read<S: DeserializeOwned>(&self, path: &Path, journal: &dyn Journal) -> Result<(Head, S), &'static str> {
        let bytes = fs::read(path).map_err(|_| "it cannot be read")?;
        let state_end = bytes.len().checked_sub(HASH).filter(|end| *end >= HEADER).ok_or("it is cut short")?;
        let (content, hash) = bytes.split_at(state_end);
        if blake3::hash(content).as_bytes() != hash {
            return Err("it is damaged");
        }
        let (header, state) = content.split_at(HEADER);
        let field = |from: usize, to: usize| &header[from..to];
        if field(0, 4) != MAGIC || field(4, 8) != self.version.to_le_bytes() {
            return Err("it is of another version");
        }
        let position = u64::from_le_bytes(field(8, 16).try_into().map_err(|_| "it is cut short")?);
        let hash: [u8; 32] = field(16, 48).try_into().map_err(|_| "it is cut short")?;
        match journal.frame_hash(position) {
            Ok(Some(known)) if known == hash => {}
            _ => return Err("it is of another log"),
        }
        let state = postcard::from_bytes(state).map_err(|_| "its state cannot be decoded")?;
        Ok((Head { position, hash }, state))
    }

    /// Paths, newest first.
    fn list(&self) -> io::Result<Vec<PathBuf>> {
        let prefix = format!("{}-", self.name);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let mine = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix));
            if mine && path.extension().is_some_and(|e| e == "checkpoint") {
                paths.push(path);
            }
        }
        paths.sort_unstable_by(|a, b| b.cmp(a));
        Ok(paths)
    }
}
