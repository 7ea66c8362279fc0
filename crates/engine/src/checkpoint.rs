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
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use satgas_journal::{Head, Journal};
use serde::{Serialize, de::DeserializeOwned};

const MAGIC: [u8; 4] = *b"SGCP";
const HEADER: usize = 48;
const HASH: usize = 32;
/// The newest checkpoints of one fold that are kept: the second is there for when the first is damaged.
const NEWEST: usize = 2;

/// A file whose content is hashed as it is written.
struct Hashed {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

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

    /// Writes a checkpoint of a state and lets go of older ones. Goes to the file as it is encoded: a second copy in memory would be as
    /// large as the state.
    pub(crate) fn write(&self, head: Head, state: &impl Serialize) -> io::Result<()> {
        self.write_with(head, |out| postcard::to_io(state, out).map(|_| ()).map_err(io::Error::other))
    }

    /// Writes a checkpoint of a state that is encoded already.
    pub(crate) fn write_encoded(&self, head: Head, state: &[u8]) -> io::Result<()> {
        self.write_with(head, |out| out.write_all(state))
    }

    fn write_with(&self, head: Head, write: impl FnOnce(&mut Hashed) -> io::Result<()>) -> io::Result<()> {
        let path = self.folder.join(format!("{}-{:020}.checkpoint", self.name, head.position));
        let draft = path.with_extension("draft");
        let mut out = Hashed { file: BufWriter::new(File::create(&draft)?), hasher: blake3::Hasher::new() };
        out.write_all(&MAGIC)?;
        out.write_all(&self.version.to_le_bytes())?;
        out.write_all(&head.position.to_le_bytes())?;
        out.write_all(&head.hash)?;
        write(&mut out)?;
        let Hashed { mut file, hasher } = out;
        file.write_all(hasher.finalize().as_bytes())?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(&self.folder)?.sync_all()?;
        self.let_go_of_older()
    }

    fn let_go_of_older(&self) -> io::Result<()> {
        for (_, path) in self.list()?.iter().skip(NEWEST) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole, of this version of the fold, and of this log.
    pub(crate) fn newest<S: DeserializeOwned>(&self, journal: &dyn Journal) -> Option<(Head, S)> {
        self.list().unwrap_or_default().iter().find_map(|(_, path)| match self.read(path, journal) {
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

    /// Positions by their names and paths, newest first.
    fn list(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut list = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let position =
                name.strip_suffix(".checkpoint").and_then(|name| name.strip_prefix(self.name)?.strip_prefix('-'));
            if let Some(position) = position.and_then(|position| position.parse().ok()) {
                list.push((position, path));
            }
        }
        list.sort_unstable_by(|a, b| b.cmp(a));
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), "views", 1).unwrap();
        for position in [100, 200, 300] {
            checkpoints.write(Head { position, hash: [0; 32] }, &position).unwrap();
        }
        let kept: Vec<u64> = checkpoints.list().unwrap().into_iter().map(|(position, _)| position).collect();
        assert_eq!(kept, [300, 200]);
    }
}
