//! What counting costs a commit: the time of everything that the journal and the engine count of one, without the commit.
//!
//! `cargo run --release -p satgas-engine --example meter_cost`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use satgas_engine::Histogram;

/// As many bounds as the longest of the engine's own.
const BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192];
const COMMITS: u32 = 5_000_000;

fn main() {
    let [syncs, commits, records] = [(); 3].map(|()| Histogram::new(BOUNDS));
    let began = Instant::now();
    for n in 0..COMMITS {
        // Two intervals are timed, and three values are counted.
        let (of_sync, of_commit) = (Instant::now(), Instant::now());
        syncs.observe_time(black_box(of_sync.elapsed()));
        commits.observe_time(black_box(of_commit.elapsed()));
        records.observe(black_box(u64::from(n % 300)));
    }
    let each = began.elapsed() / COMMITS;
    println!("{each:?} a commit, {} counted", syncs.counts().1 + commits.counts().1 + records.counts().1);
    assert!(each < Duration::from_micros(100), "counting must not be felt beside a sync of 100 µs and more");
}
