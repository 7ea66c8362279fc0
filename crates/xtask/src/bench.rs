//! `cargo xtask bench`: measures the release binary with the driver in crates/bench.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::tools;
use crate::workspace::{self, Workspace};

/// The driver's flag for a run beside other servers.
const PEERS: &str = "--peers";

/// Builds the server as it is shipped, then the driver, and becomes the driver. Built apart, so that what the driver asks of shared
/// packages cannot change the server. Returns only if that fails.
pub(crate) fn become_driver(workspace: &Workspace, args: &[OsString]) -> Result<ExitCode> {
    workspace::run(&mut workspace.cargo(["build", "--release", "--locked", "--bin", "satgas"]))?;
    let mut run = workspace.cargo(["run", "--release", "--locked", "--package", "satgas-bench", "--"]);
    run.arg("--satgas").arg(workspace.target().join("release/satgas"));
    run.arg("--scratch").arg(workspace.target().join("bench"));
    if args.iter().any(|arg| arg == PEERS) {
        run.arg("--umadb").arg(tools::umadb(workspace)?);
    }
    Err(run.args(args).exec()).context("cargo cannot be started")
}
