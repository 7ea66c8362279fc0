//! `cargo xtask fuzz`: libFuzzer on the targets of crates/fuzz, each for a while.
//!
//! Needs a nightly compiler for the sanitizers, and says so when there is none; `cargo xtask test` replays the corpus without.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::{
    report::{Finding, Report, Tally},
    tools,
    workspace::{self, Workspace},
};

/// What is asked of arbitrary bytes; the names are those of `fuzz/fuzz_targets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Frames of the log, and salvaging them from raw bytes
    Frame,
    /// Files of the registry and of records: CSV, JSON lines, exports of forms
    Import,
    /// Every message that a client can send
    Requests,
    /// Tokens, documents of keys, enrolment codes
    Tokens,
}

#[derive(Args)]
pub(crate) struct Fuzz {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run only this target
    #[arg(long, value_enum)]
    target: Option<Target>,
}

/// The longest input in bytes.
const INPUT_BYTES_MAX: u32 = 16 * 1024;
/// One allocation of more is a finding: an input of a few bytes was believed.
const ALLOCATION_MIB_MAX: u32 = 64;
/// All memory of more is a finding.
const MEMORY_MIB_MAX: u32 = 1024;
/// One input that takes longer is a finding.
const INPUT_SECONDS_MAX: u32 = 10;

/// Fuzzes; whatever is found is kept below the target folder and told.
pub(crate) fn run(workspace: &Workspace, Fuzz { seconds, target }: &Fuzz) -> Result<Report> {
    let nightly = nightly(workspace)?;
    let cargo_fuzz = tools::cargo_fuzz(workspace)?;
    // The versions that are tested are the ones that are shipped: cargo adds libFuzzer's, and drops what is not needed here.
    fs::copy(workspace.root().join("Cargo.lock"), workspace.root().join("fuzz/Cargo.lock"))?;
    let runs = Runs { workspace, cargo_fuzz, nightly, seconds: *seconds };
    let mut report = Report::default();
    for chosen in Target::value_variants().iter().filter(|one| target.is_none_or(|wanted| wanted == **one)) {
        report.time(name_of(*chosen), || runs.one(name_of(*chosen)));
    }
    Ok(report)
}

fn name_of(target: Target) -> &'static str {
    match target {
        Target::Frame => "frame",
        Target::Import => "import",
        Target::Requests => "requests",
        Target::Tokens => "tokens",
    }
}

struct Runs<'a> {
    workspace: &'a Workspace,
    cargo_fuzz: PathBuf,
    nightly: String,
    seconds: u32,
}

impl Runs<'_> {
    fn one(&self, target: &str) -> Result<Finding> {
        let folder = self.workspace.target().join("fuzz");
        let [corpus, seeds, found] = ["corpus", "seeds", "artifacts"].map(|name| folder.join(name).join(target));
        for folder in [&corpus, &seeds, &found] {
            fs::create_dir_all(folder)?;
        }
        let mut command = self.cargo_fuzz();
        command.args(["run", target, "--target-dir"]).arg(folder.join("build"));
        // What is new goes into the first folder; the others are read only.
        command.args([&corpus, &seeds, &self.regressions().join(target)]);
        command.env("SATGAS_FUZZ_SEEDS", &seeds);
        command.arg("--");
        command.arg(format!("-artifact_prefix={}/", found.display()));
        command.arg(format!("-max_total_time={}", self.seconds));
        command.arg(format!("-max_len={INPUT_BYTES_MAX}"));
        command.arg(format!("-malloc_limit_mb={ALLOCATION_MIB_MAX}"));
        command.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        command.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
        command.arg("-print_final_stats=1");
        if let Err(error) = workspace::run(&mut command) {
            bail!(
                "{error}; what was found lies in {}: mend it, and put it into fuzz/regressions/{target}",
                found.display()
            );
        }
        Ok(Finding { tests: Tally { passed: 1, failed: 0 }, ..Finding::default() })
    }

    fn regressions(&self) -> PathBuf {
        self.workspace.root().join("fuzz/regressions")
    }

    /// `cargo fuzz` with the nightly toolchain, whatever this was started with.
    fn cargo_fuzz(&self) -> Command {
        let mut command = self.workspace.command(&self.cargo_fuzz);
        command.current_dir(self.workspace.root().join("fuzz"));
        command.env("RUSTUP_TOOLCHAIN", &self.nightly).env_remove("CARGO").env_remove("CARGO_TARGET_DIR");
        command
    }
}

/// The name of a nightly toolchain that is installed.
fn nightly(workspace: &Workspace) -> Result<String> {
    let what = "fuzzing needs a nightly compiler, for its sanitizers: install one with `rustup toolchain install nightly --profile minimal`";
    let listed = workspace.command("rustup").args(["toolchain", "list"]).stderr(Stdio::null()).output();
    let listed = listed.with_context(|| format!("rustup cannot be started; {what}"))?;
    ensure!(listed.status.success(), "rustup cannot list its toolchains; {what}");
    pick(&String::from_utf8(listed.stdout)?).with_context(|| what.to_owned())
}

/// The undated nightly if there is one, otherwise the last of the dated ones.
fn pick(listed: &str) -> Option<String> {
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let nightly = names.filter(|name| name.starts_with("nightly"));
    nightly.max_by_key(|name| (!name.starts_with("nightly-2"), *name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nightly_is_chosen_among_the_toolchains_that_are_there() {
        let listed = "stable-x (active, default)\nnightly-2026-01-01-x\nnightly-2026-03-01-x\n";
        assert_eq!(pick(listed).as_deref(), Some("nightly-2026-03-01-x"));
        assert_eq!(pick(&format!("{listed}nightly-x\n")).as_deref(), Some("nightly-x"));
        assert_eq!(pick("stable-x (default)\n1.95.0-x\n"), None);
    }

    #[test]
    fn every_target_is_there_for_the_fuzzer_too() {
        let fuzz = Workspace::from_cargo().unwrap().root().join("fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        for target in Target::value_variants().iter().map(|target| name_of(*target)) {
            assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target}");
            assert!(fuzz.join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
            assert!(fuzz.join("regressions").join(target).is_dir(), "{target}");
        }
    }
}
