//! Rounds with a disk, a clock or a network that fails, and what was kept afterwards.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rand::{RngExt, seq::IndexedRandom as _};
use satgas_faults::Word;
use satgas_proto::v1::{Event, event_service_client::EventServiceClient};

use crate::{
    bad::Bad,
    follow,
    proxy::Proxy,
    round::{Load, Run},
    server::{House, Verified, files},
    work,
};

/// Between two looks at the page.
const LOOK: Duration = Duration::from_millis(2);
/// A fault that is not met by then will not be.
const MET_MAX: Duration = Duration::from_secs(60);
/// Slow means so many times as long.
const SLOW: i64 = 10;

/// A house whose disk and clock can be made bad.
fn bad(house: House, scratch: &Path) -> Result<(House, Bad)> {
    let bad = Bad::new(scratch)?;
    Ok((House { bad: Some(bad.clone()), ..house }, bad))
}

/// A run with work of a first round behind it.
async fn begun(house: House, seed: u64, load: Load) -> Result<Run> {
    let mut run = Run::begin(house, seed).await?;
    let at_work = run.set_to_work(load.turns(seed, 0), run.signpost.route());
    run.finish(at_work).await?;
    Ok(run)
}

/// Reads, writes and syncs take ten times as long, and the server is killed meanwhile.
pub(crate) async fn slow_disk(house: House, scratch: &Path, seed: u64, rounds: u64) -> Result<String> {
    let (house, bad) = bad(house, scratch)?;
    let mut run = Run::begin(house, seed).await?;
    bad.set(Word::Slow, SLOW)?;
    for round in 0..rounds {
        run.kill_round(round, Load::USUAL).await?;
    }
    let (held, syncs) = (bad.get(Word::HeldMicros)? / 1_000, bad.get(Word::Syncs)?);
    ensure!(held > 0 && syncs > 0, "the disk was not slow");
    Ok(format!("{rounds} rounds, {} records, {syncs} syncs, held up for {held} ms", run.told.records))
}

/// What is made to fail, after how many calls, and what the server has to be afterwards.
async fn failing(house: House, scratch: &Path, seed: u64, rounds: u64, left: Word, calls: u64) -> Result<String> {
    let (house, bad) = bad(house, scratch)?;
    let mut run = begun(house, seed, Load::USUAL).await?;
    let mut failed = 0;
    for round in 1..=rounds {
        let after = work::random(seed, round, 0xFA).random_range(1..calls);
        let mut at_work = run.set_to_work(Load::USUAL.turns(seed, round), run.signpost.route());
        let before = bad.get(Word::Failed)?;
        bad.set(left, i64::try_from(after)? + 1)?;
        let met = async {
            while bad.get(Word::Failed)? == before {
                ensure!(!at_work.is_done()?, "all was done before the disk failed");
                tokio::time::sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(MET_MAX, met).await.context("the fault was not met")??;
        // The disk is well again; the server has to know by itself that it cannot go on from where it is.
        bad.set(left, 0)?;
        run.kill()?;
        run.serve().with_context(|| format!("after round {round}: {}", run.house.told()))?;
        run.finish(at_work).await.with_context(|| format!("round {round}; {}", run.house.told()))?;
        failed = bad.get(Word::Failed)?;
    }
    run.end(true).await?;
    Ok(format!("{rounds} rounds, {failed} calls failed, {} records", run.told.records))
}

/// The disk is full in the middle of writing.
pub(crate) async fn no_space(house: House, scratch: &Path, seed: u64, rounds: u64) -> Result<String> {
    failing(house, scratch, seed, rounds, Word::WritesLeft, 60).await
}

/// Syncs fail.
pub(crate) async fn sync_errors(house: House, scratch: &Path, seed: u64, rounds: u64) -> Result<String> {
    failing(house, scratch, seed, rounds, Word::SyncsLeft, 40).await
}

/// Reads fail: while the server starts it must not serve, while it runs no answer may be short or altered, and on a well disk it starts by
/// itself with all that was there.
pub(crate) async fn read_errors(house: House, scratch: &Path, seed: u64, rounds: u64) -> Result<String> {
    let (house, bad) = bad(house, scratch)?;
    let mut run = begun(house, seed, Load::USUAL).await?;
    run.end(true).await?;
    let reads = bad.get(Word::Reads)?;
    run.serve()?;
    let at_start = bad.get(Word::Reads)? - reads;
    let mut route = run.signpost.route();
    let known = follow::read_all(EventServiceClient::new(route.door().await?), None).await?;
    let (mut refused, mut served, mut put_back) = (0, 0, 0);
    for round in 0..rounds {
        run.end(false).await?;
        let after = work::random(seed, round, 0xEA).random_range(0..at_start.max(1) + 4);
        bad.set(Word::ReadsLeft, after + 1)?;
        match run.serve() {
            Err(_) => {
                refused += 1;
                // Who does not want to wait for a well disk salvages what is there, and it is all there.
                let mut salvaged = run.house.copy(scratch.join("refused"))?;
                salvaged.recover(scratch.join("salvaged"))?;
                let holds = salvaged.verify()?;
                let all = matches!(holds, Verified::Holds(records) if records >= known.len() as u64);
                ensure!(all, "round {round}: salvaged, {holds:?}");
                ["refused", "salvaged"].iter().try_for_each(|name| fs::remove_dir_all(scratch.join(name)))?;
            }
            Ok(()) => {
                served += 1;
                let door = EventServiceClient::new(run.signpost.route().door().await?);
                if let Ok(events) = follow::read_all(door, None).await {
                    ensure!(events.starts_with(&known), "round {round}: what is read differs");
                }
                run.kill()?;
            }
        }
        bad.set(Word::ReadsLeft, 0)?;
        // sled overwrites what it could not read. The copy of before is put back, which takes another start where the first was cut short.
        let told = run.house.told_bytes();
        if run.serve().is_err() {
            run.serve().with_context(|| format!("round {round}: nobody but a person can start it"))?;
        }
        put_back += u32::from(run.house.told_since(told).contains("is put back"));
        run.check().await.with_context(|| format!("round {round}"))?;
    }
    let failed = bad.get(Word::Failed)?;
    ensure!(failed > 0 && refused > 0, "no read failed, or no start did");
    ensure!(put_back > 0, "nothing had to be put back");
    run.end(true).await?;
    Ok(format!(
        "{rounds} rounds, {failed} reads failed: {refused} starts refused, each salvaged whole, {served} served on, {put_back} put back by themselves"
    ))
}

/// The wall clock jumps ahead and back while records come in.
pub(crate) async fn clock_jumps(house: House, scratch: &Path, seed: u64, rounds: u64) -> Result<String> {
    const HOURS: [i64; 7] = [1, -1, 30 * 24, -30 * 24, 7, -2, 0];
    let (house, bad) = bad(house, scratch)?;
    let mut run = begun(house, seed, Load::USUAL).await?;
    let mut jumps = 0;
    for round in 1..=rounds {
        let mut random = work::random(seed, round, 0xC1);
        let mut at_work = run.set_to_work(Load::USUAL.turns(seed, round), run.signpost.route());
        for _ in 0..4 {
            let hours = HOURS.choose(&mut random).copied().unwrap_or_default();
            bad.set(Word::ClockAhead, hours * 3_600_000_000_000)?;
            jumps += 1;
            run.wait_for(random.random_range(1..50), &mut at_work).await?;
        }
        // It starts with a clock that stands before what it has recorded.
        run.kill()?;
        bad.set(Word::ClockAhead, -24 * 3_600_000_000_000)?;
        run.serve()?;
        run.finish(at_work).await?;
    }
    let log = follow::read_all(EventServiceClient::new(run.signpost.route().door().await?), None).await?;
    let at = |event: &Event| event.recorded_at.as_ref().map(|at| (at.seconds, at.nanos));
    let back = log.windows(2).find(|pair| at(&pair[0]) > at(&pair[1]));
    ensure!(back.is_none(), "time goes back in the log: {back:?}");
    let span = log.first().and_then(at).zip(log.last().and_then(at)).map_or(0, |(first, last)| last.0 - first.0);
    ensure!(span > 1_800, "the server's clock did not jump");
    run.end(true).await?;
    Ok(format!("{jumps} jumps, {} records, {} h from the first to the last", run.told.records, span / 3_600))
}

/// Connections are cut and fall silent between the clients and the server, which is killed meanwhile.
pub(crate) async fn network(house: House, seed: u64, rounds: u64) -> Result<String> {
    let mut run = Run::begin(house, seed).await?;
    let proxy = Proxy::new(run.signpost.follow(), seed).await?;
    let behind = run.signpost.elsewhere(proxy.url());
    for round in 0..rounds {
        let mut at_work = run.set_to_work(Load::USUAL.turns(seed, round), behind.route());
        run.wait_for(work::random(seed, round, 0).random_range(1..220), &mut at_work).await?;
        run.kill()?;
        run.serve()?;
        run.finish(at_work).await.with_context(|| format!("round {round}"))?;
    }
    run.end(true).await?;
    let told = proxy.told();
    ensure!(told.cuts > 0 && told.silences > 0, "nothing was cut");
    let (records, again) = (run.told.records, run.told.not_taken);
    Ok(format!(
        "{rounds} rounds, {} connections, {} cut, {} silences, {again} calls without an answer, {records} records",
        told.connections, told.cuts, told.silences
    ))
}

/// A bit of a stopped folder's files flips: it is found, or nothing that anybody reads differs.
pub(crate) async fn flipped_bits(house: House, scratch: &Path, seed: u64, flips: u64) -> Result<String> {
    let mut run = begun(house, seed, Load::USUAL).await?;
    run.end(true).await?;
    run.serve()?;
    let known = follow::read_all(EventServiceClient::new(run.signpost.route().door().await?), None).await?;
    run.end(true).await?;
    let (mut named, mut refused, mut harmless) = (0, 0, 0);
    for flip in 0..flips {
        let copy = run.house.copy(scratch.join("flipped"))?.with("SATGAS_DEADLINES_EVERY_S", 0);
        let mut random = work::random(seed, flip, 0xB1);
        let hit = flip_one(&copy, &mut random)?;
        let damaged = matches!(copy.verify()?, Verified::Damaged(_));
        named += u32::from(damaged);
        // The verified folder may have been put right by opening it; what is served must be what was there either way.
        match copy.serve() {
            Err(_) => refused += 1,
            Ok(served) => {
                let there = run.signpost.elsewhere(served.url());
                let door = EventServiceClient::new(there.route().door().await?);
                match follow::read_all(door, None).await {
                    Ok(events) => {
                        let same = events.len() == known.len() && events == known;
                        ensure!(same, "{hit} flipped: {} of {} records, or other bytes", events.len(), known.len());
                        harmless += u32::from(!damaged);
                    }
                    Err(error) => ensure!(damaged, "{hit} flipped: not named, and reading fails: {error:#}"),
                }
                served.kill()?;
            }
        }
        fs::remove_dir_all(&copy.data)?;
    }
    Ok(format!("{flips} bits: {named} named by verify, {refused} not served, {harmless} where nothing lay"))
}

/// Flips one bit of the logs or the checkpoints, and says which.
fn flip_one(house: &House, random: &mut impl RngExt) -> Result<String> {
    let keys = house.data.join("keys");
    let files: Vec<_> = files(&house.data)?.into_iter().filter(|file| !file.starts_with(&keys)).collect();
    let mut sizes = Vec::new();
    for file in &files {
        sizes.push(fs::metadata(file)?.len());
    }
    let mut at = random.random_range(0..sizes.iter().sum::<u64>());
    for (file, size) in files.iter().zip(sizes) {
        if at < size {
            let (mut bytes, index) = (fs::read(file)?, usize::try_from(at)?);
            bytes[index] ^= 1 << random.random_range(0..8);
            fs::write(file, bytes)?;
            return Ok(format!("byte {at} of {}", file.strip_prefix(&house.data)?.display()));
        }
        at -= size;
    }
    anyhow::bail!("the folder has no files")
}

/// A file system of its own that is really full, unmounted in the end.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: std::path::PathBuf, mib: u64) -> Result<Self> {
        fs::create_dir_all(&at)?;
        let size = format!("size={mib}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "satgas-torture"]).arg(&at).output()?;
        let error = String::from_utf8_lossy(&mounted.stderr);
        ensure!(mounted.status.success(), "a small disk cannot be mounted, which needs the right to: {error}");
        Ok(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}

/// A disk that is really full, without and with the server's own reserve.
pub(crate) async fn full_disk(house: House, scratch: &Path, seed: u64) -> Result<String> {
    let mut told = Vec::new();
    for (name, reserve_mib) in [("without a reserve", 0), ("with a reserve of 4 MiB", 4)] {
        let disk = Small::mount(scratch.join("disk"), 24)?;
        let small = House { data: disk.0.join("data"), ..house.clone() }.with("SATGAS_DISK_FREE_MIN_MIB", reserve_mib);
        let mut run = begun(small, seed, Load::USUAL).await?;
        let filler = disk.0.join("filler");
        let stat = rustix::fs::statvfs(&disk.0)?;
        let leave = reserve_mib * 1_048_576 + 64 * 1024;
        fs::write(&filler, vec![1; usize::try_from((stat.f_bavail * stat.f_frsize).saturating_sub(leave))?])?;
        let mut at_work = run.set_to_work(Load::USUAL.turns(seed, 1), run.signpost.route());
        let met = async {
            while !["DISK_FULL", "JOURNAL_POISONED"].iter().any(|full| run.ledger.reasons().contains_key(*full)) {
                ensure!(!at_work.is_done()?, "all was done before the disk was full");
                tokio::time::sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(MET_MAX, met).await.context("the disk did not fill")??;
        fs::remove_file(&filler)?;
        if reserve_mib == 0 {
            run.kill()?;
            run.serve()?;
        }
        run.finish(at_work).await.with_context(|| format!("{name}; {}", run.house.told()))?;
        run.end(true).await?;
        told.push(format!("{name}: {} records", run.told.records));
        drop(run);
    }
    Ok(told.join("; "))
}
