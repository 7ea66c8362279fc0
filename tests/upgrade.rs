//! Yesterday's data opens today. `tests/upgrade` has a data folder of each version that wrote records, with what that version said of it, made by
//! `tests/upgrade/make.sh` and never edited. Its keys are of no other server, and everything in it is invented.

mod door;
mod process;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use process::{Served, ask, satgas};
use serde_json::Value;

const CASE: &str = "0198c0de-0000-7000-8000-000000000021";
/// Nothing is recorded by itself, so that the log ends where it ended.
const STILL: [(&str, &str); 1] = [("SATGAS_DEADLINES_EVERY_S", "0")];

/// The folders of former versions.
fn versions() -> anyhow::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade");
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let versions: Vec<PathBuf> = entries.into_iter().filter(|path| path.is_dir()).collect();
    ensure!(!versions.is_empty(), "there is no data of a former version to open");
    Ok(versions)
}

/// Unpacks the data folder of a version below `to`.
fn unpack(version: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let unpacked = Command::new("tar").arg("-xzpf").arg(version.join("data.tar.gz")).arg("-C").arg(to).status()?;
    ensure!(unpacked.success(), "tar cannot unpack {}", version.display());
    Ok(to.join("data"))
}

/// Each JSON value of a text: one, or one a line.
fn values(text: &str) -> anyhow::Result<Vec<Value>> {
    Ok(serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()?)
}

/// What a version said, kept beside its data.
fn said(version: &Path, file: &str) -> anyhow::Result<Vec<Value>> {
    values(&fs::read_to_string(version.join(file)).context(file.to_owned())?)
}

/// Where the log of a version ended.
fn head(version: &Path) -> anyhow::Result<String> {
    let last = said(version, "events.jsonl")?.pop().context("a version without events proves nothing")?;
    Ok(last["position"].as_str().context("a position")?.to_owned())
}

#[test]
fn data_of_former_versions_is_sound_and_its_log_ends_where_it_did() -> anyhow::Result<()> {
    for version in versions()? {
        let folder = tempfile::tempdir()?;
        let data = unpack(&version, folder.path())?;
        let verified = satgas(&["verify", "--format", "json", "--data"]).arg(&data).output()?;
        ensure!(verified.status.success(), "{}: {verified:?}", version.display());
        let (now, then) = (values(&String::from_utf8(verified.stdout)?)?, said(&version, "verified.json")?);
        ensure!(now[0]["head"] == then[0]["head"] && now[0]["records"] == then[0]["records"], "{now:?}, then {then:?}");
        ensure!(now[0]["head"]["position"] == head(&version)?.parse::<u64>()?, "{now:?}");
    }
    Ok(())
}

#[test]
fn every_record_and_every_figure_of_former_versions_is_as_it_was_with_their_checkpoints_and_without()
-> anyhow::Result<()> {
    for version in versions()? {
        for keep_checkpoints in [true, false] {
            let folder = tempfile::tempdir()?;
            let data = unpack(&version, folder.path())?;
            if !keep_checkpoints {
                fs::remove_dir_all(data.join("checkpoints"))?;
            }
            let served = Served::start_with(&data, &[], &STILL)?;
            let head = head(&version)?;
            let same = |command: &[&str], file: &str| -> anyhow::Result<()> {
                let now = values(&served.ask(command)?.good()?)?;
                let then = said(&version, file)?;
                ensure!(now == then, "{}, {file}, then {then:#?}, now {now:#?}", version.display());
                Ok(())
            };
            same(&["events", "--format", "jsonl"], "events.jsonl")?;
            let period = ["evaluate", "--period", "2026-03", "--format", "json", "--as-of", &head];
            same(&period, "evaluation.json")?;
            same(&["case", "show", CASE, "--format", "json", "--as-of", &head], "case.json")?;
        }
    }
    Ok(())
}

#[test]
fn identities_that_former_versions_sealed_are_read_and_their_records_are_known_and_built_upon() -> anyhow::Result<()> {
    for version in versions()? {
        let folder = tempfile::tempdir()?;
        let data = unpack(&version, folder.path())?;
        let served = Served::start_with(&data, &[], &STILL)?;

        let worker = ["token", "issue", "--role", "case-worker", "--for", "contoh", "--subject", "petugas-2", "--to"];
        let token = folder.path().join("worker.token");
        let token = token.to_str().context("a path in UTF-8")?;
        ask(&served.url, &served.operator()?, &[&worker[..], &[token]].concat())?.good()?;
        let worker = fs::read_to_string(token)?;
        let unseal = ["case", "identity", "unseal", CASE, "--kind", "victim", "--purpose", "Pendampingan contoh"];
        let identity = ask(&served.url, worker.trim(), &unseal)?.good()?;
        ensure!(identity.contains("Anak Contoh"), "{}: {identity}", version.display());

        let events = said(&version, "events.jsonl")?;
        let visit = events.iter().map(|event| &event["submitted"]).find(|record| record["schoolVisit"].is_object());
        let mut visit = visit.context("a visit")?.clone();
        let file = folder.path().join("visits.jsonl");
        let again = visit.to_string();
        visit["submissionId"] = "0198c0de-0000-7000-8000-0000000000f1".into();
        fs::write(&file, format!("{again}\n{visit}\n"))?;
        let receipts = served.ask(&["submit", "--file", file.to_str().context("a path in UTF-8")?])?.good()?;
        let count = |what: &str| receipts.lines().find_map(|line| line.strip_prefix(what)).map(str::trim);
        ensure!((count("accepted"), count("already known")) == (Some("1"), Some("1")), "{receipts}");

        ensure!(served.terminate()? == Some(0), "it stops in order");
        let verified = satgas(&["verify", "--data"]).arg(&data).output()?;
        ensure!(verified.status.success(), "{}: {verified:?}", version.display());
    }
    Ok(())
}
