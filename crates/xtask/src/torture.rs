//! `cargo xtask torture`: tortures the binary with the driver in crates/torture.

use std::{ffi::OsString, os::unix::process::CommandExt, process::ExitCode};

use anyhow::{Context, Result};

use crate::workspace::{self, Workspace};

/// Builds the server as it is shipped, then the driver and its library of faults, and becomes the driver. Built apart, so that what the
/// driver asks of shared packages cannot change the server. Returns only if that fails.
pub(crate) fn become_driver(workspace: &Workspace, args: &[OsString]) -> Result<ExitCode> {
    workspace::run(&mut workspace.cargo(["build", "--release", "--locked", "--bin", "satgas"]))?;
    let mut run = workspace.cargo(["run", "--release", "--locked", "--package", "satgas-torture", "--"]);
    run.arg("--satgas").arg(workspace.target().join("release/satgas"));
    run.arg("--scratch").arg(workspace.target().join("torture"));
    Err(run.args(args).exec()).context("cargo cannot be started")
}
