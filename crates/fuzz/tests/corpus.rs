//! What fuzzing begins with and what it found, asked again on any toolchain: `cargo xtask test` runs no fuzzer.

use std::{
    collections::BTreeSet,
    fs, panic,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use satgas_fuzz::{MESSAGES, TARGETS, seeds};

/// What was found once, a folder a target.
fn regressions(target: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions").join(target);
    let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let read = |path: PathBuf| Ok((path.display().to_string(), fs::read(path)?));
    files.map(|file| read(file?.path())).collect()
}

/// The most address space that this process ever had, in MiB: untouched memory counts as well.
fn peak_mib() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).context("the system tells it")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// One test for all, so that what is measured is theirs.
#[test]
fn every_seed_and_everything_that_was_found_keeps_the_properties_in_little_memory() -> anyhow::Result<()> {
    let (before, mut broken) = (peak_mib()?, Vec::new());
    for (target, run) in TARGETS {
        let seeds = seeds::of(target);
        ensure!(seeds.len() >= 30, "{target} has {} seeds", seeds.len());
        for (name, bytes) in seeds.into_iter().chain(regressions(target)?) {
            if panic::catch_unwind(|| run(&bytes)).is_err() {
                broken.push(format!("{target}/{name}"));
            }
        }
    }
    ensure!(broken.is_empty(), "{broken:?}");
    let more = peak_mib()? - before;
    ensure!(more < 512, "{more} MiB: a bomb of gigabytes was believed");
    Ok(())
}

#[test]
fn what_begins_all_runs_is_the_same_each_time_small_and_without_doubles() -> anyhow::Result<()> {
    let mut bytes = 0;
    for (target, _) in TARGETS {
        let seeds = seeds::of(target);
        ensure!(seeds == seeds::of(target));
        let names: BTreeSet<&String> = seeds.iter().map(|(name, _)| name).collect();
        ensure!(names.len() == seeds.len(), "two seeds of {target} have one name");
        bytes += seeds.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        bytes += regressions(target)?.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    }
    ensure!(bytes < 200_000, "{bytes} bytes");
    Ok(())
}

#[test]
fn every_message_that_a_client_can_send_is_asked() -> anyhow::Result<()> {
    let descriptors = prost_types::FileDescriptorSet::decode(satgas_proto::DESCRIPTORS)?;
    let methods = descriptors.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
    let sent: BTreeSet<&str> = methods.filter_map(|method| method.input_type().rsplit('.').next()).collect();
    let asked: BTreeSet<&str> = MESSAGES.iter().map(|(name, _)| *name).filter(|name| *name != "Event").collect();
    ensure!(asked.len() + 1 == MESSAGES.len(), "a message stands twice in the table");
    ensure!(
        asked == sent,
        "the table of `crates/fuzz/src/requests.rs` asks others than are sent; add new ones at its end"
    );
    Ok(())
}
