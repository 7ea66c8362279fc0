//! Tools that do not come with the toolchain, each at one pinned version: `buf` through npm, `cargo-deny` through cargo.
//!
//! An outdated or missing tool is installed; a tool that cannot be installed fails its step, never passes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::{self, Workspace};

const CARGO_DENY_VERSION: &str = "0.20.2";

/// The lock file that node_modules was installed from, kept inside it.
const INSTALLED_LOCK: &str = "node_modules/.installed-from-package-lock.json";

/// `buf`, at the version in package-lock.json.
pub(crate) fn buf(workspace: &Workspace) -> Result<Command> {
    install_node_modules(workspace)?;
    Ok(workspace.command(workspace.root().join("node_modules/.bin/buf")))
}

fn install_node_modules(workspace: &Workspace) -> Result<()> {
    let lock = fs::read_to_string(workspace.root().join("package-lock.json")).context("package-lock.json")?;
    ensure!(
        !records_origins(&lock),
        "package-lock.json records where packages were downloaded from: remove it and run `npm install`, which heeds .npmrc"
    );
    let installed = workspace.root().join(INSTALLED_LOCK);
    if is_current(&installed, &lock) {
        return Ok(());
    }
    // Install scripts stay off: buf's binary comes as a package of its own and needs none.
    workspace::run(workspace.command("npm").args(["ci", "--ignore-scripts"])).context(
        "buf could not be installed: `npm` (of Node.js 18 or newer) and its registry are needed, once for each change of \
         package-lock.json",
    )?;
    Ok(fs::write(installed, lock)?)
}

fn is_current(installed: &Path, lock: &str) -> bool {
    fs::read_to_string(installed).is_ok_and(|installed| installed == lock)
}

/// Whether a package-lock.json ties the checks to the machine or mirror that it was written on.
fn records_origins(lock: &str) -> bool {
    lock.contains("\"resolved\"")
}

/// Path of `cargo-deny`, at the pinned version.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let tool = workspace.tools().join("bin/cargo-deny");
    let wanted = format!("cargo-deny {CARGO_DENY_VERSION}");
    let current = workspace::read(workspace.command(&tool).arg("--version"));
    if current.is_ok_and(|version| version.trim() == wanted) {
        return Ok(tool);
    }
    // It runs for seconds, so a debug build without debug information is the quickest way to have it.
    let mut install = workspace.cargo(["install", "--locked", "--debug", "--force", "cargo-deny", "--version"]);
    install.arg(CARGO_DENY_VERSION).arg("--root").arg(workspace.tools());
    install.env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("CARGO_TARGET_DIR");
    workspace::run(&mut install)
        .context("cargo-deny could not be installed: the crate registry and a C compiler are needed, once")?;
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_with_download_addresses_is_noticed() {
        assert!(records_origins(r#"{"node_modules/a": {"version": "1.0.0", "resolved": "somewhere"}}"#));
        assert!(!records_origins(r#"{"node_modules/a": {"version": "1.0.0", "integrity": "sha512-"}}"#));
    }

    #[test]
    fn node_modules_count_as_missing_until_installed_from_this_very_lock_file() {
        let nowhere = Path::new("no/such/folder/lock.json");
        assert!(!is_current(nowhere, "{}"));
    }
}
