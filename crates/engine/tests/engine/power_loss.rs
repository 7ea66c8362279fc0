//! The power fails, and of the checkpoints there is what the disk had taken: files that are missing, empty, cut short, in part those of
//! before; drafts that were never renamed; and of two generations any files of each. Whatever it is, the log says what the state is.
//!
//! That the log itself outlives it is tested beside the journal on disk.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_domain::{parts::Sizes, views::Views};
use satgas_engine::Options;
use satgas_journal::{Journal, MemoryJournal};
use satgas_proto::v1::{self, ReceiptStatus};

use crate::{
    support::*,
    views::{History, Picture, picture, play},
};

const SECTOR_BYTES: usize = 512;
const SEED: u64 = 5371;
/// Images in which anything befell any of the files, besides those in which one thing befell one of them.
const DRAWN: usize = 250;
/// What becomes of one file.
const FATES: [&str; 6] = ["missing", "empty", "cut short", "in part zeros", "in part what was before", "not renamed"];

/// The files of a folder, by name.
type Image = BTreeMap<String, Vec<u8>>;

fn look(folder: &Path) -> Image {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry"));
    let named = |entry: fs::DirEntry| (entry.file_name().into_string().expect("a name"), fs::read(entry.path()));
    entries.map(named).map(|(name, bytes)| (name, bytes.expect("it is read"))).collect()
}

fn lay_out(image: &Image, folder: &Path) {
    image.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).expect("it is written"));
}

/// What a file is, whatever its number.
fn kind(name: &str) -> &str {
    name.rsplit_once('-').expect("a number").0
}

/// What lay where a file lies now: its own bytes of before, or those of the last that was like it.
fn before<'a>(name: &str, former: &'a Image) -> &'a [u8] {
    let alike = || former.iter().rfind(|(other, _)| kind(other) == kind(name)).map(|(_, bytes)| bytes);
    former.get(name).or_else(alike).map_or(&[], Vec::as_slice)
}

/// Has a file of an image meet its fate.
fn befall(image: &mut Image, name: &str, fate: &str, former: &Image, random: &mut ChaCha8Rng) {
    let Some(mut bytes) = image.remove(name) else { return };
    match fate {
        "missing" => return,
        "empty" => bytes.clear(),
        "cut short" => bytes.truncate(random.random_range(0..bytes.len().max(1))),
        "in part zeros" | "in part what was before" => {
            let before = if fate == "in part zeros" { &[] } else { before(name, former) };
            let certain = random.random_range(0..bytes.len().div_ceil(SECTOR_BYTES).max(1));
            for (index, sector) in bytes.chunks_mut(SECTOR_BYTES).enumerate() {
                if index == certain || random.random_bool(0.3) {
                    let old = before.iter().skip(index * SECTOR_BYTES).chain(std::iter::repeat(&0));
                    sector.iter_mut().zip(old).for_each(|(new, old)| *new = *old);
                }
            }
        }
        _ => {
            let (stem, _) = name.rsplit_once('.').expect("an extension");
            image.insert(format!("{stem}.draft"), bytes);
            return;
        }
    }
    image.insert(name.to_owned(), bytes);
}

/// A log, what was answered on the way, and the checkpoints as they were after each of its lives.
struct Lived {
    journal: Arc<dyn Journal>,
    answered: Vec<(v1::Submission, v1::Receipt)>,
    generations: Vec<Image>,
    /// Folded from the log and nothing else.
    views: Views,
    next: u32,
}

impl Lived {
    async fn thrice() -> Self {
        let (folder, journal) = (scratch(), Arc::new(MemoryJournal::new()));
        let (mut history, mut answered, mut generations) = (History::of(31), Vec::new(), Vec::new());
        stop(open_town(journal.clone(), &options(folder.path())).await).await;
        for _ in 0..3 {
            let engine = open(journal.clone(), &options(folder.path()));
            answered.extend(play(&engine, &mut history, 8).await);
            stop(engine).await;
            generations.push(look(folder.path()));
        }
        let views = Views::new("Asia/Makassar").expect("the zone is bundled");
        Self { journal, answered, generations, views, next: 3_000_000 }
    }

    /// What the log says.
    async fn expected(&mut self) -> Picture {
        let engine = open(Arc::clone(&self.journal), &Options::default());
        let mut cursor = engine.cursor(self.views.position(), satgas_engine::Filter::default()).expect("it was there");
        read_on(&mut cursor, 1 << 20, usize::MAX).await.iter().for_each(|event| self.views.apply(event));
        let head = engine.head();
        stop(engine).await;
        Picture::of(&self.views, head)
    }

    /// Opens what the power left. Views and writer are those of the log, take more, and leave checkpoints that are whole again.
    async fn goes_on_from(&mut self, image: &Image, expected: &Picture) -> Picture {
        let folder = scratch();
        lay_out(image, folder.path());
        let engine = open(Arc::clone(&self.journal), &options(folder.path()));
        assert_eq!(picture(&engine).await, *expected);
        let all = self.answered.iter().map(|(submission, _)| submission.clone()).collect();
        let again = engine.enqueue(all).await.expect("room").receipts().await.expect("answered");
        for (again, (submission, first)) in again.iter().zip(&self.answered) {
            let known = if first.position == 0 { first.status() } else { ReceiptStatus::AlreadyKnown };
            assert_eq!(fate(again), (known, first.position), "{submission:?}");
        }
        assert_eq!(engine.head(), self.journal.head(), "sending all of it again wrote nothing");
        assert_eq!(engine.head().position, self.views.position(), "nor did the opening");
        self.next += 1;
        let new = visit(self.next, 10);
        let receipt = submit(&engine, new.clone()).await;
        assert_eq!(receipt.status(), ReceiptStatus::Accepted);
        self.answered.push((new, receipt));
        stop(engine).await;

        let expected = self.expected().await;
        let (journal, gate) = Watched::new(Arc::clone(&self.journal));
        let engine = open(journal, &options(folder.path()));
        let read: Vec<_> = gate.reads().into_iter().filter(|(_, bytes_max)| *bytes_max > 0).collect();
        assert_eq!(read, [], "the checkpoints that were written then are whole");
        assert_eq!(picture(&engine).await, expected);
        stop(engine).await;
        expected
    }
}

fn options(folder: &Path) -> Options {
    Options {
        checkpoints: Some(folder.to_owned()),
        checkpoint_every: 40,
        parts: Sizes { records: 32, links: 64, positions: 64 },
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_power_leaves_of_checkpoints_the_state_is_that_of_the_log() {
    let mut lived = Lived::thrice().await;
    let generations = lived.generations.clone();
    let [_, former, newest] = &generations[..] else { panic!("three lives") };
    for of in ["views-0", "views-1", "writer-0"] {
        let parts = newest.keys().filter(|name| kind(name) == of).count();
        assert!(parts > 1, "{of} has {parts} parts: {:?}", newest.keys());
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut expected = lived.expected().await;
    let mut images = 0;
    for name in newest.keys() {
        for fate in FATES {
            // Heard of only when it fails.
            println!("seed {SEED}, image {images}: {name} is {fate}");
            let mut image = newest.clone();
            befall(&mut image, name, fate, former, &mut random);
            expected = lived.goes_on_from(&image, &expected).await;
            images += 1;
        }
    }
    for _ in 0..DRAWN {
        let newer = random.random_range(1..generations.len());
        let (older, newer) = (&generations[random.random_range(0..newer)], &generations[newer]);
        let (mut image, mut fates) = (older.clone(), Vec::new());
        // Of what was removed, written and written anew, any may have reached the disk.
        let reached = f64::from(random.random_range(0..=4_u8)) / 4.0;
        image.retain(|name, _| newer.contains_key(name) || !random.random_bool(reached));
        image.extend(newer.clone().into_iter().filter(|_| random.random_bool(reached)));
        let names: Vec<_> = image.keys().cloned().collect();
        for _ in 0..random.random_range(0..4) {
            let (name, fate) =
                (&names[random.random_range(0..names.len())], FATES[random.random_range(0..FATES.len())]);
            befall(&mut image, name, fate, older, &mut random);
            fates.push((name, fate));
        }
        println!("seed {SEED}, image {images}: {reached} of the newer reached the disk, {fates:?}");
        expected = lived.goes_on_from(&image, &expected).await;
        images += 1;
    }
    println!("{images} images");
}
