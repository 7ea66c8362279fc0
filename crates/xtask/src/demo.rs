//! `cargo xtask demo`: the shortest way from a checkout to something to look at.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Builds the release binary and becomes `satgas demo`: this process is replaced, so Ctrl-C, the exit code and the terminal
/// are the demo's own. Returns only if that fails.
pub(crate) fn become_demo(workspace: &Workspace, args: &[OsString]) -> Result<ExitCode> {
    let mut run = workspace.cargo(["run", "--release", "--locked", "--bin", "satgas", "--", "demo"]);
    Err(run.args(args).exec()).context("cargo cannot be started")
}
