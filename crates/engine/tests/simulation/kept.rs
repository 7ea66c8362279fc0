//! The checkpoints of a simulated machine: real files, and what a stop leaves of them.
//!
//! Whatever that is, views and writer must be those of the log. And where nothing befell the files, they must be used: an engine that left
//! them aside would be right, too, and slow for ever.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::{scratch::scratch, world::World};

const SECTOR_BYTES: usize = 512;

pub(crate) struct Kept {
    folder: tempfile::TempDir,
    random: ChaCha8Rng,
    /// What lay under each name when the machine stopped last.
    former: BTreeMap<PathBuf, Vec<u8>>,
    /// Whether anything befell the files that was not made good since.
    damaged: bool,
    /// Whether the folder cannot be written to now.
    away: bool,
    /// Where the log ended when the engine was opened.
    opened_at: u64,
}

impl Kept {
    /// What befalls them is drawn from `random`, apart from everything else: it changes nothing about who comes first.
    pub(crate) fn new(random: ChaCha8Rng) -> Self {
        Self { folder: scratch(), random, former: BTreeMap::new(), damaged: false, away: false, opened_at: 0 }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("checkpoints")
    }

    /// A moment passes, in which the folder may be gone, or be there again.
    pub(crate) fn pass(&mut self, world: &World) {
        if self.random.random_bool(world.plan.come_and_go) {
            self.come_or_go(world);
        }
    }

    fn come_or_go(&mut self, world: &World) {
        world.note(if self.away { "checkpoints can be written" } else { "checkpoints cannot be written" });
        let (here, away) = (self.folder(), self.folder.path().join("away"));
        let (from, to) = if self.away { (away, here) } else { (here, away) };
        fs::rename(from, to).expect("the folder is moved");
        self.away = !self.away;
    }

    /// Nothing befalls the folder any more.
    pub(crate) fn come_back(&mut self, world: &World) {
        if self.away {
            self.come_or_go(world);
        }
    }

    /// The engine was opened with the log ending at a position.
    pub(crate) fn opened(&mut self, at: u64) {
        self.opened_at = at;
    }

    /// The engine was shut down in order with the log ending at a position. What it wrote there is whole, with all that it names.
    pub(crate) fn shut_down(&mut self, world: &World, at: u64) {
        self.come_back(world);
        if at > self.opened_at && self.newest() == at {
            self.damaged = false;
        }
        self.copy();
    }

    /// The machine stopped: files are cut short, missing, in part those of before, or back although they were removed.
    pub(crate) fn crashed(&mut self, world: &World) {
        self.come_back(world);
        let before = std::mem::take(&mut self.former);
        self.copy();
        let victims = if self.random.random_bool(0.4) { self.random.random_range(1..=3) } else { 0 };
        for _ in 0..victims {
            self.befall(world, &before);
        }
        // What is gone now may come back with a later stop.
        for (path, bytes) in before {
            self.former.entry(path).or_insert(bytes);
        }
    }

    fn befall(&mut self, world: &World, before: &BTreeMap<PathBuf, Vec<u8>>) {
        let paths = files(&self.folder());
        let Some(path) = pick(&mut self.random, &paths).cloned() else { return };
        self.damaged = true;
        let mut bytes = fs::read(&path).expect("it is read");
        let cut = bytes.len() * self.random.random_range(0..8) / 8;
        let (draft, name) = (path.with_extension("draft"), name(&path));
        let what = ["cut", "half written", "missing", "not renamed", "zeroed", "another", "another", "put back"];
        let what = *pick(&mut self.random, &what).expect("there are some");
        world.note(format_args!("{name} is {what}"));
        match what {
            "cut" => fs::write(path, &bytes[..cut]),
            "half written" => fs::write(draft, &bytes[..cut]),
            "missing" => fs::remove_file(path),
            "not renamed" => fs::rename(path, draft),
            "zeroed" => {
                let sector = self.random.random_range(0..bytes.len() / SECTOR_BYTES + 1) * SECTOR_BYTES;
                bytes.iter_mut().skip(sector).take(SECTOR_BYTES).for_each(|byte| *byte = 0);
                fs::write(path, bytes)
            }
            "another" => {
                let alike: Vec<_> = paths.iter().filter(|other| kind(other) == kind(&path)).collect();
                let other = *pick(&mut self.random, &alike).expect("it is like itself");
                fs::read(other).and_then(|other| fs::write(path, other))
            }
            _ => {
                let gone: Vec<_> = before.iter().filter(|(path, _)| !path.exists()).collect();
                pick(&mut self.random, &gone).map_or(Ok(()), |(path, bytes)| fs::write(path, bytes))
            }
        }
        .expect("the file is written");
    }

    fn copy(&mut self) {
        self.former =
            files(&self.folder()).into_iter().map(|path| (path.clone(), fs::read(path).expect("it is read"))).collect();
    }

    pub(crate) fn parts(&self) -> usize {
        files(&self.folder()).iter().filter(|path| path.extension().is_some_and(|of| of == "part")).count()
    }

    /// Position up to which nothing of the log has to be read again.
    pub(crate) fn reach(&self) -> u64 {
        if self.damaged { 0 } else { self.newest() }
    }

    /// Position at which there is a checkpoint of everything.
    fn newest(&self) -> u64 {
        let paths = files(&self.folder());
        let newest = |of: &str| {
            let position = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix(of)?.parse().ok();
            paths.iter().filter(|path| path.extension().is_some_and(|of| of == "checkpoint")).filter_map(position).max()
        };
        let newest: Option<Vec<u64>> = ["views-", "writer-", "tree-"].into_iter().map(newest).collect();
        newest.and_then(|newest| newest.into_iter().min()).unwrap_or_default()
    }
}

fn pick<'a, T>(random: &mut ChaCha8Rng, among: &'a [T]) -> Option<&'a T> {
    among.get(random.random_range(0..among.len().max(1)))
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a name")
}

/// What a file is, whatever its number.
fn kind(path: &Path) -> (&str, Option<&OsStr>) {
    (name(path).rsplit_once('-').expect("a number").0, path.extension())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}
