//! Checkpoints of folds: state and the head that it stands at, there whole or not at all.
//!
//! What a fold only ever adds to is written in parts, each once, in a file of its own; see [`satgas_domain::parts`]. So a checkpoint of
//! millions of records costs what is new of them. The file of the checkpoint itself:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic `SGCP` |
//! | 4 | version of the fold, little-endian |
//! | 8 | position, little-endian |
//! | 32 | chain hash of the log at that position |
//! | n | the parts that belong to it and the BLAKE3 of each one's file, then the rest of the state; postcard |
//! | 32 | BLAKE3 of all before |
//!
//! A checkpoint is a convenience: whatever is wrong with one or a part of it, it is left aside and the state is folded from the log.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write as _},
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
};

use satgas_domain::parts::{PartId, Parted};
use satgas_journal::{Hash, Head};
use serde::{Serialize, de::DeserializeOwned};

const MAGIC: [u8; 4] = *b"SGCP";
const HEADER: usize = 48;
const HASH: usize = 32;
/// The newest checkpoints of one fold that are kept: the second is there for when the first is damaged. Their older parts are the same files.
const NEWEST: usize = 2;
/// Threads that read parts, at most: more would wait for memory.
const READERS_MAX: usize = 4;

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
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    name: &'static str,
    version: u32,
    /// Parts that were read or written, and the hash of each one's file.
    parts: BTreeMap<PartId, Hash>,
}

impl Checkpoints {
    pub(crate) fn new(folder: &Path, name: &'static str, version: u32) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), name, version, parts: BTreeMap::new() })
    }

    /// Writes a checkpoint of a state, with those of its whole parts that are not there yet, and lets go of older ones. Goes to the file as
    /// it is encoded: a second copy in memory would be as large as the state.
    pub(crate) fn write(
        &mut self,
        head: Head,
        state: &impl Serialize,
        parts: impl IntoIterator<Item = (PartId, impl Serialize)>,
    ) -> io::Result<()> {
        self.write_with(head, parts, |out| encode(state, out))
    }

    /// The same with a state that is encoded already.
    pub(crate) fn write_encoded(
        &mut self,
        head: Head,
        state: &[u8],
        parts: impl IntoIterator<Item = (PartId, impl Serialize)>,
    ) -> io::Result<()> {
        self.write_with(head, parts, |out| out.write_all(state))
    }

    fn write_with(
        &mut self,
        head: Head,
        parts: impl IntoIterator<Item = (PartId, impl Serialize)>,
        write_state: impl FnOnce(&mut Hashed) -> io::Result<()>,
    ) -> io::Result<()> {
        for (id, part) in parts {
            if !self.parts.contains_key(&id) {
                let mut path = self.part(id);
                if mutated!("a part is not written where one of its name lies") && path.exists() {
                    path.set_extension("elsewhere");
                }
                let hash = write_file(&path, |out| encode(&part, out))?;
                self.parts.insert(id, hash);
            }
        }
        let path = self.folder.join(format!("{}-{:020}.checkpoint", self.name, head.position));
        write_file(&path, |out| {
            out.write_all(&MAGIC)?;
            out.write_all(&self.version.to_le_bytes())?;
            out.write_all(&head.position.to_le_bytes())?;
            out.write_all(&head.hash)?;
            encode(&self.parts, out)?;
            write_state(out)?;
            let hash = out.hasher.finalize();
            out.file.write_all(hash.as_bytes())
        })?;
        // The names of its parts are on the disk with its own.
        File::open(&self.folder)?.sync_all()?;
        self.let_go_of_others(head)
    }

    /// Removes what a checkpoint that was just written has made needless: all but the one before it, those of positions that the log has
    /// not reached, parts that it does not name (an older one of this log has some of the same), and what was left half written.
    fn let_go_of_others(&self, head: Head) -> io::Result<()> {
        let (later, reached): (Vec<_>, Vec<_>) =
            self.list()?.into_iter().partition(|(position, _)| *position > head.position);
        let older = reached.into_iter().skip(NEWEST);
        let named: HashSet<PathBuf> = self.parts.keys().map(|id| self.part(*id)).collect();
        let unnamed = self.files("part")?.filter(|path| !named.contains(path));
        let checkpoints = later.into_iter().chain(older).map(|(_, path)| path);
        checkpoints.chain(unnamed).chain(self.files("draft")?).try_for_each(fs::remove_file)
    }

    /// Files of this fold with an extension.
    fn files(&self, extension: &'static str) -> io::Result<impl Iterator<Item = PathBuf>> {
        let paths: Vec<_> = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        let own = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.strip_prefix(self.name).is_some_and(|rest| rest.starts_with('-'))
        };
        Ok(paths.into_iter().filter(own).filter(move |path| path.extension().is_some_and(|own| own == extension)))
    }

    fn part(&self, PartId { of, number }: PartId) -> PathBuf {
        self.folder.join(format!("{}-{of}-{number:010}.part", self.name))
    }

    /// The newest checkpoint that is whole, of this version of the fold, and of this log: `is_of_log` tells of a head whether it is, and
    /// nothing when there is no log. That is asked last, so the log may be opened meanwhile.
    pub(crate) fn newest<S: Parted>(&mut self, is_of_log: impl Fn(Head) -> Option<bool>) -> Option<(Head, S)> {
        for (_, path) in self.list().unwrap_or_default() {
            let why = match self.read(&path) {
                Ok((head, state, parts)) => {
                    if is_of_log(head)? {
                        self.parts = parts;
                        return Some((head, state));
                    }
                    "it is of another log"
                }
                Err(why) => why,
            };
            tracing::warn!(fold = self.name, why, "a checkpoint is left aside");
        }
        None
    }

    fn read<S: Parted>(&self, path: &Path) -> Result<(Head, S, BTreeMap<PartId, Hash>), &'static str> {
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
        let undecodable = |_| "its state cannot be decoded";
        let (parts, state) = postcard::take_from_bytes(state).map_err(undecodable)?;
        let state = self.with_parts(&parts, || postcard::from_bytes(state).map_err(undecodable))?;
        Ok((Head { position, hash }, state, parts))
    }

    /// Reads parts beside each other, and meanwhile the state that they belong to.
    fn with_parts<S: Parted>(
        &self,
        parts: &BTreeMap<PartId, Hash>,
        state: impl FnOnce() -> Result<S, &'static str>,
    ) -> Result<S, &'static str> {
        let parts: Vec<_> = parts.iter().collect();
        let readers = thread::available_parallelism().map_or(1, NonZero::get).min(READERS_MAX).min(parts.len());
        let next = AtomicUsize::new(0);
        let unchecked = mutated!("a part is taken whatever its hash");
        thread::scope(|scope| {
            // They are kept anyway, so as many as there are may wait for the state.
            let (send, read) = channel();
            for _ in 0..readers {
                let (send, parts, next) = (send.clone(), &parts, &next);
                scope.spawn(move || {
                    let mut bytes = Vec::new();
                    while let Some((id, hash)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let part = read_part::<S::Part>(&self.part(**id), hash, unchecked, &mut bytes);
                        // Nobody receives any more when the state or another part is no good.
                        if send.send(part.map(|part| (**id, part))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            let mut state = state()?;
            for part in read {
                let (id, part) = part?;
                if !state.put(id, part) {
                    return Err("a part of it does not fit");
                }
            }
            if state.is_complete() { Ok(state) } else { Err("a part of it is missing") }
        })
    }

    /// Positions by their names and paths, newest first.
    fn list(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let position =
            |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix(self.name)?.strip_prefix('-')?.parse().ok();
        let mut list: Vec<_> = self.files("checkpoint")?.filter_map(|path| Some((position(&path)?, path))).collect();
        list.sort_unstable_by(|a, b| b.cmp(a));
        Ok(list)
    }
}

fn encode(state: &impl Serialize, out: &mut Hashed) -> io::Result<()> {
    postcard::to_io(state, out).map(|_| ()).map_err(io::Error::other)
}

/// Writes a file that is there whole, on the disk, or not at all, once its folder is synced. The BLAKE3 of what went through the hash.
fn write_file(path: &Path, content: impl FnOnce(&mut Hashed) -> io::Result<()>) -> io::Result<Hash> {
    let draft = path.with_extension("draft");
    let mut out = Hashed { file: BufWriter::new(File::create(&draft)?), hasher: blake3::Hasher::new() };
    content(&mut out)?;
    let Hashed { file, hasher } = out;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(*hasher.finalize().as_bytes())
}

fn read_part<P: DeserializeOwned>(
    path: &Path,
    hash: &Hash,
    unchecked: bool,
    bytes: &mut Vec<u8>,
) -> Result<P, &'static str> {
    bytes.clear();
    let read = File::open(path).and_then(|mut file| file.read_to_end(bytes));
    read.map_err(|_| "a part of it cannot be read")?;
    if blake3::hash(bytes).as_bytes() != hash && !unchecked {
        return Err("a part of it is damaged");
    }
    postcard::from_bytes(bytes).map_err(|_| "a part of it cannot be decoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_newest_are_kept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::new(folder.path(), "views", 1).unwrap();
        // Left by a log that is longer, and by a machine that stopped.
        for left in
            ["views-00000000000000000900.checkpoint", "views-00000000000000000900.draft", "views-0-0000000001.part"]
        {
            fs::write(folder.path().join(left), b"left").unwrap();
        }
        for position in [100, 200, 300] {
            checkpoints.write(Head { position, hash: [0; 32] }, &position, [] as [(PartId, ()); 0]).unwrap();
        }
        let kept: Vec<u64> = checkpoints.list().unwrap().into_iter().map(|(position, _)| position).collect();
        assert_eq!(kept, [300, 200]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }
}
