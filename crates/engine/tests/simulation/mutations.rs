//! That the simulation can fail: defects are planted one by one, and seeds are played until one shows it. A defect that no seed shows is one of the
//! checks.

use std::{
    collections::BTreeMap,
    panic::catch_unwind,
    sync::atomic::{AtomicUsize, Ordering},
};

use satgas_engine::mutation;

use crate::play::play;

/// Seeds within which a defect must show.
const SEEDS: u64 = 400;

/// What is planted: in the engine, and in the disk under it. Each is a sentence that stands where the defect is.
const DEFECTS: [&str; 37] = [
    // Of the writer.
    "what could not be written is acknowledged",
    "what could not be written is not taken back",
    "a decision is refused for one that was not written",
    "a late record is refused for a decision that was not written",
    "no id is known",
    "ids of the same commit are not known",
    "of a message that fails the first records are written",
    "a lot is decided from its end",
    "time goes back with the clock",
    "subscribers are shown a commit before it is durable",
    "nobody is woken by a commit",
    "a late record counts at once",
    "a refused record counts when it comes again",
    "an admitted record is not written",
    "a report that is taken up becomes no case",
    "what a decision leaves for a reporter is lost",
    "a release that is asked for again is refused",
    // Of the fold and of opening.
    "the first of several events is not folded",
    "the last event of a commit is folded twice",
    "the tree misses a record",
    "behind a checkpoint an event is left out",
    "what the writer waited with is lost",
    "what was taken counts as waiting",
    // Of checkpoints in parts.
    "a part is taken whatever its hash",
    "a part is not written where one of its name lies",
    "parts that could not be written are let go",
    "what is taken behind a whole part is lost",
    "the last id of a part is lost",
    // Of subscribers and deadlines.
    "a subscriber comes back one too early",
    "a page that is cut short loses an event",
    "deadlines are judged before they are due",
    // Of people's data.
    "the key of an erased case stays",
    "an opening does not finish erasures",
    "who reads an identity is not recorded",
    "who reads a report is not recorded",
    // Of the disk.
    "the disk loses its last commit with the power",
    "of a commit that was cut short a half is there",
];

/// The first seed that shows a defect.
fn found(defect: &'static str) -> Option<u64> {
    let _planted = mutation::plant(defect);
    (0..SEEDS).find(|seed| catch_unwind(|| play(*seed, false)).is_err())
}

#[test]
fn every_defect_that_is_planted_is_found() {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut all = BTreeMap::new();
        while let Some(defect) = DEFECTS.get(next.fetch_add(1, Ordering::Relaxed)) {
            all.insert(*defect, found(defect));
        }
        all
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let mut all = BTreeMap::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| all.extend(thread.join().expect("failures are caught")));
    });
    for (defect, seed) in &all {
        println!("{:>6} {defect}", seed.map_or("never".to_owned(), |seed| seed.to_string()));
    }
    let missed: Vec<_> = all.iter().filter(|(_, seed)| seed.is_none()).map(|(defect, _)| defect).collect();
    assert!(
        missed.is_empty(),
        "{} of {} defects are not found within {SEEDS} seeds: {missed:?}",
        missed.len(),
        all.len()
    );
}
