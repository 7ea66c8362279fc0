//! The steps of `cargo xtask test`. They do not depend on one another: all run, whatever the ones before found.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::report::{Finding, Tally};
use crate::workspace::{self, Workspace};
use crate::{layers, tools};

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Formatting of the Rust sources
    Fmt,
    /// `buf lint` on the vocabulary in proto/
    Buf,
    /// Licences, bans and sources of the dependencies; advisories where their database can be reached
    Deny,
    /// Lints, warnings as errors
    Clippy,
    /// Documentation builds, broken links as errors
    Doc,
    /// What each crate must not depend on
    Layers,
    /// Installs what the example clients in other languages need
    Clients,
    /// Unit, integration and end-to-end tests
    Test,
}

impl Step {
    /// Cheap ones first.
    pub(crate) const IN_ORDER: [Self; 8] =
        [Self::Fmt, Self::Buf, Self::Deny, Self::Clippy, Self::Doc, Self::Layers, Self::Clients, Self::Test];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Buf => "buf",
            Self::Deny => "deny",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Layers => "layers",
            Self::Clients => "clients",
            Self::Test => "test",
        }
    }

    pub(crate) fn run(self, workspace: &Workspace) -> Result<Finding> {
        match self {
            Self::Fmt => passes(&mut workspace.cargo(["fmt", "--all", "--check"])),
            Self::Buf => passes(tools::buf(workspace)?.arg("lint")),
            Self::Deny => deny(workspace),
            Self::Clippy => passes(&mut workspace.cargo([
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ])),
            Self::Doc => passes(
                workspace.cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"),
            ),
            Self::Layers => layers::check(workspace),
            Self::Clients => clients(workspace),
            Self::Test => test(workspace),
        }
    }
}

fn passes(command: &mut Command) -> Result<Finding> {
    workspace::run(command)?;
    Ok(Finding::default())
}

fn deny(workspace: &Workspace) -> Result<Finding> {
    let deny = tools::cargo_deny(workspace)?;
    let check = |what: &[&str]| {
        let mut command = workspace.command(&deny);
        command.args(["--workspace", "--locked", "check", "--hide-inclusion-graph"]).args(what);
        command
    };
    workspace::run(&mut check(&["bans", "licenses", "sources"]))?;
    if let Err(why) = workspace::read(workspace.command(&deny).args(["fetch", "db"])) {
        println!("{why:#}");
        return Ok(Finding {
            note: Some("advisories: not checked, database not reachable".to_owned()),
            ..Finding::default()
        });
    }
    passes(&mut check(&["--disable-fetch", "advisories"]))
}

fn clients(workspace: &Workspace) -> Result<Finding> {
    tools::python_client(workspace)?;
    passes(tools::buf(workspace)?.arg("--version"))
}

fn test(workspace: &Workspace) -> Result<Finding> {
    let mut tests = Tally::default();
    let mut command = workspace.cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    let status = workspace::run_watched(&mut command, |line| tests.add_line(line))?;
    let failure = match workspace::ensure_success(&command, status) {
        Err(_) if tests.failed > 0 => Some(format!("{} tests failed", tests.failed)),
        Err(error) => Some(error.to_string()),
        Ok(()) if tests == Tally::default() => {
            Some("no test was run: a gate without tests lets everything pass".into())
        }
        Ok(()) => None,
    };
    Ok(Finding { failure, tests, note: None })
}
