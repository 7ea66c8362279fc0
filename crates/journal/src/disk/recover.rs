//! Salvaging: whole commits from the raw files of a journal, without the storage engine that refuses them, into a fresh journal.
//!
//! Frames describe themselves and each names the hash of the one before, so they are found wherever they lie, put in order, and proven
//! complete: what the chain reaches from its beginning has nothing missing in between. Nothing is written to the old files.
//!
//! The raw files may hold more than one continuation of the chain, where a commit failed and another took its place. The one that was
//! acknowledged wins; where the anchor does not say, the one that reaches furthest, and the other is reported.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    ops::RangeInclusive,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{Loader, Options, SledJournal, anchor::Anchor, files, raw::windows};
use crate::{
    Hash, Head, Journal as _, OpenError, Verified,
    frame::{self, Frame, Key},
    walk::Walk,
};

/// Why nothing was salvaged.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// There is nothing to read.
    #[error("{0} holds no journal's files")]
    NoFiles(PathBuf),
    /// The fresh journal must lie in an empty folder.
    #[error("{0} is not empty: choose a new folder")]
    NotEmpty(PathBuf),
    /// A file cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        cause: io::Error,
    },
    /// The fresh journal cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The fresh journal cannot be written.
    #[error("the fresh journal cannot be written: {0}")]
    Write(String),
}

/// What was salvaged, and what was not.
#[derive(Debug)]
pub struct Recovered {
    /// What the fresh journal holds, read back and checked: every record from 1 to its head.
    pub verified: Verified,
    /// The last head that the old journal acknowledged, as far as its anchor can be read; [`Head::EMPTY`] when it cannot.
    pub anchored: Head,
    /// Positions of whole frames that the chain does not reach, joined where they touch: something before them is gone.
    pub unreached: Vec<RangeInclusive<u64>>,
    /// Positions of whole frames of another continuation of the chain, which was never acknowledged.
    pub other_branch: Vec<RangeInclusive<u64>>,
}

impl Recovered {
    /// Acknowledged positions that are not in the fresh journal; none when everything is there.
    #[must_use]
    pub fn missing(&self) -> Option<RangeInclusive<u64>> {
        let (have, acknowledged) = (self.verified.head.position, self.anchored.position);
        (have < acknowledged).then(|| have + 1..=acknowledged)
    }

    /// Whether the fresh journal is proven to go on where the old one's last acknowledgement stood. False when something is missing, and
    /// when the anchor could not be read: then nothing says how much there was.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.anchored != Head::EMPTY && self.missing().is_none()
    }
}

/// Where a whole frame lies, and where it stands in the chain.
struct Place {
    file: usize,
    offset: u64,
    len: usize,
    key: Key,
    previous: Hash,
    end: u64,
}

/// Salvages the journal in `from` into a fresh one in `to`. `progress` is told the bytes read and the positions written. Blocks.
pub fn recover(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<Recovered, RecoverError> {
    if !files::is_empty(to).map_err(|cause| RecoverError::Read { path: to.to_owned(), cause })? {
        return Err(RecoverError::NotEmpty(to.to_owned()));
    }
    let paths = raw_files(from)?;
    let anchored = Anchor::read(&from.join(files::HEAD));
    let frames = Frames::look(&paths)?;
    let chain = frames.chain(anchored);
    let fresh = SledJournal::open(to, Options::default())?;
    let reached = frames.load(&chain, &paths, &fresh, progress)?;
    let verified = fresh.verify(&mut |_| {}).map_err(|fault| RecoverError::Write(fault.to_string()))?;
    let (other_branch, unreached) = frames.left(&chain[..reached]);
    Ok(Recovered { verified, anchored, unreached, other_branch })
}

/// What salvaging makes of raw bytes, as of the bytes of files, without writing it anywhere: `each` gets the end of every whole commit. Returns
/// the positions of frames of another branch, and of frames that are not reached.
#[cfg(feature = "fuzz")]
pub fn salvage(raw: &[u8], anchored: Head, mut each: impl FnMut(Head)) -> [Vec<RangeInclusive<u64>>; 2] {
    let mut frames = Frames::default();
    frames.look_at(0, 0, raw);
    let chain = frames.chain(anchored);
    let (mut walk, mut reached) = (Walk::after(Head::EMPTY), 0);
    for (index, hash) in chain.iter().enumerate() {
        let place = &frames.by_hash[hash];
        let offset = usize::try_from(place.offset).expect("an offset in a slice");
        if walk.step(place.key, &raw[offset..offset + place.len]).is_err() {
            break;
        }
        if Frames::ends_commit(place, &walk) {
            each(walk.committed());
            reached = index + 1;
        }
    }
    let (other_branch, unreached) = frames.left(&chain[..reached]);
    [other_branch, unreached]
}

/// Everything that may hold frames: sled's files, its copies, and what was moved aside.
fn raw_files(from: &Path) -> Result<Vec<PathBuf>, RecoverError> {
    let read = |path: &Path| {
        let failed = |cause| RecoverError::Read { path: path.to_owned(), cause };
        fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)
    };
    let (mut folders, mut paths) = (vec![from.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in read(&folder)? {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => paths.push(entry.path()),
                _ => {}
            }
        }
    }
    paths.sort();
    if paths.is_empty() { Err(RecoverError::NoFiles(from.to_owned())) } else { Ok(paths) }
}

/// All whole frames, by their own hash: the same frame found twice is one.
#[derive(Default)]
struct Frames {
    by_hash: HashMap<Hash, Place>,
}

impl Frames {
    fn look(paths: &[PathBuf]) -> Result<Self, RecoverError> {
        let mut frames = Self::default();
        for (file, path) in paths.iter().enumerate() {
            frames.look_in(file, path).map_err(|cause| RecoverError::Read { path: path.clone(), cause })?;
        }
        Ok(frames)
    }

    fn look_in(&mut self, file: usize, path: &Path) -> io::Result<()> {
        windows(path, |window| self.look_at(file, window.at, window.bytes))
    }

    /// `bytes` stand in the file from `at` on.
    fn look_at(&mut self, file: usize, at: u64, bytes: &[u8]) {
        for (offset, bytes) in frame::find(bytes) {
            let Ok((frame, hash)) = Frame::decode_and_hash(bytes) else { continue };
            self.by_hash.entry(hash).or_insert_with(|| Place {
                file,
                offset: at + offset as u64,
                len: bytes.len(),
                key: frame.key,
                previous: frame.previous,
                end: frame.end().max(frame.key.first),
            });
        }
    }

    /// The hashes of the chain from its beginning: through the acknowledged head where that was found, and on to the furthest end.
    fn chain(&self, anchored: Head) -> Vec<Hash> {
        let mut acknowledged = HashSet::new();
        let mut back = anchored.hash;
        while let Some(place) = self.by_hash.get(&back).filter(|_| acknowledged.insert(back)) {
            back = place.previous;
        }
        // From the last frames to the first, so that what follows a frame is known before it.
        let mut frames: Vec<(&Hash, &Place)> = self.by_hash.iter().collect();
        frames.sort_unstable_by_key(|(hash, place)| (std::cmp::Reverse(place.key), **hash));
        // By hash of the frame before: whether it was acknowledged, how far it leads, and which it is.
        let mut best: HashMap<Hash, (bool, u64, Hash)> = HashMap::new();
        for (hash, place) in frames {
            let reach = best.get(hash).map_or(place.end, |(_, reach, _)| *reach);
            let candidate = (acknowledged.contains(hash), reach, *hash);
            let known = best.entry(place.previous).or_insert(candidate);
            *known = candidate.max(*known);
        }
        let (mut chain, mut hash) = (Vec::new(), Head::EMPTY.hash);
        while let Some((_, _, next)) = best.get(&hash) {
            chain.push(*next);
            hash = *next;
        }
        chain
    }

    /// Writes the whole commits of the chain. Returns how many of its frames that is.
    fn load(
        &self,
        chain: &[Hash],
        paths: &[PathBuf],
        fresh: &SledJournal,
        progress: &mut dyn FnMut(u64),
    ) -> Result<usize, RecoverError> {
        let files: Vec<File> = paths
            .iter()
            .map(|path| File::open(path).map_err(|cause| RecoverError::Read { path: path.clone(), cause }))
            .collect::<Result<_, _>>()?;
        let mut walk = Walk::after(Head::EMPTY);
        let mut loader = Loader::new(fresh);
        let mut loaded = 0;
        for (index, hash) in chain.iter().enumerate() {
            let place = &self.by_hash[hash];
            let mut bytes = vec![0; place.len];
            let failed = |cause| RecoverError::Read { path: paths[place.file].clone(), cause };
            files[place.file].read_exact_at(&mut bytes, place.offset).map_err(failed)?;
            // Frames that hold what their commit cannot have were forged: the chain ends before them.
            if walk.step(place.key, &bytes).is_err() {
                break;
            }
            loader.push(place.key, &bytes);
            if Self::ends_commit(place, &walk) {
                loader.commit(walk.committed()).map_err(RecoverError::Write)?;
                loaded = index + 1;
                progress(place.end);
            }
        }
        loader.finish().map_err(RecoverError::Write)?;
        Ok(loaded)
    }

    /// Whether a commit ends with the frame that the walk has just taken.
    fn ends_commit(place: &Place, walk: &Walk) -> bool {
        walk.committed().position == place.end && walk.position() == place.end + 1
    }

    /// Positions of the frames that are not in what was loaded: those that hang on it, and those that do not.
    fn left(&self, loaded: &[Hash]) -> (Vec<RangeInclusive<u64>>, Vec<RangeInclusive<u64>>) {
        let mut reached: HashSet<Hash> = loaded.iter().copied().chain([Head::EMPTY.hash]).collect();
        let mut rest: Vec<(&Hash, &Place)> = self.by_hash.iter().filter(|(hash, _)| !reached.contains(*hash)).collect();
        rest.sort_unstable_by_key(|(hash, place)| (place.key, **hash));
        let (mut hanging, mut unreached) = (Vec::new(), Vec::new());
        for (hash, place) in rest {
            let of = if reached.contains(&place.previous) { &mut hanging } else { &mut unreached };
            if reached.contains(&place.previous) {
                reached.insert(*hash);
            }
            join(of, place.key.first..=place.end);
        }
        (hanging, unreached)
    }
}

/// Adds a range that begins at or after all those before it.
fn join(ranges: &mut Vec<RangeInclusive<u64>>, next: RangeInclusive<u64>) {
    match ranges.last_mut() {
        Some(last) if *next.start() <= last.end().saturating_add(1) => {
            *last = *last.start()..=(*last.end()).max(*next.end());
        }
        _ => ranges.push(next),
    }
}
