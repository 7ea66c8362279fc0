//! Tools that do not come with the toolchain, each at one pinned version: `buf` through npm, `cargo-deny`, `cargo-fuzz` and what benchmarks
//! compare with through cargo, the example client's packages through pip.
//!
//! An outdated or missing tool is installed; a tool that cannot be installed fails its step, never passes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::{self, Workspace};

const CARGO_DENY_VERSION: &str = "0.20.2";
const CARGO_FUZZ_VERSION: &str = "0.13.2";
const PROTOX_VERSION: &str = "0.10.0";
const UMADB_VERSION: &str = "0.7.8";

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
    if is_installed(workspace, &tool, CARGO_DENY_VERSION) {
        return Ok(tool);
    }
    // It runs for seconds, so a debug build without debug information is the quickest way to have it.
    let mut install = install(workspace, "cargo-deny", CARGO_DENY_VERSION, &workspace.tools());
    install.args(["--debug", "--force"]).env("CARGO_PROFILE_DEV_DEBUG", "0");
    workspace::run(&mut install)
        .context("cargo-deny could not be installed: the crate registry and a C compiler are needed, once")?;
    Ok(tool)
}

/// Path of `cargo-fuzz`, at the pinned version.
pub(crate) fn cargo_fuzz(workspace: &Workspace) -> Result<PathBuf> {
    let tool = workspace.tools().join("bin/cargo-fuzz");
    if is_installed(workspace, &tool, CARGO_FUZZ_VERSION) {
        return Ok(tool);
    }
    // It only starts others.
    let mut install = install(workspace, "cargo-fuzz", CARGO_FUZZ_VERSION, &workspace.tools());
    install.args(["--debug", "--force"]).env("CARGO_PROFILE_DEV_DEBUG", "0");
    workspace::run(&mut install).context("cargo-fuzz could not be installed: the crate registry is needed, once")?;
    Ok(tool)
}

/// Installs the packages of the example client in Python, at the versions and with the hashes in its requirements.txt.
pub(crate) fn python_client(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.root().join("examples/clients/python/requirements.txt");
    let pinned = fs::read_to_string(&requirements).context("requirements.txt of the client in Python")?;
    let folder = workspace.tools().join("python-client");
    let installed = folder.join("installed-from-requirements.txt");
    if is_current(&installed, &pinned) {
        return Ok(());
    }
    let needed = "the example client in Python could not be installed: Python 3.10 or newer with venv, and its package \
                  registry, are needed, once for each change of requirements.txt";
    workspace::run(workspace.command("python3").args(["-m", "venv", "--clear"]).arg(&folder)).context(needed)?;
    let mut install = workspace.command(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r"]);
    workspace::run(install.arg(&requirements)).context(needed)?;
    Ok(fs::write(installed, pinned)?)
}

/// Path of `umadb`, the server that the benchmark compares with, as it is published and built in its own release profile.
pub(crate) fn umadb(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target().join("peers");
    let server = root.join("bin/umadb");
    if is_installed(workspace, &server, UMADB_VERSION) {
        return Ok(server);
    }
    let mut install = install(workspace, "umadb", UMADB_VERSION, &root);
    install.arg("--force").env("PROTOC", protox(workspace)?);
    workspace::run(&mut install)
        .context("UmaDB could not be installed: the crate registry and a C compiler are needed, once")?;
    Ok(server)
}

/// Path of `protox`, which does what a build asks of `protoc` when it is named in `PROTOC`.
fn protox(workspace: &Workspace) -> Result<PathBuf> {
    // It does not tell its version: cargo knows whether it is there.
    let mut install = install(workspace, "protox", PROTOX_VERSION, &workspace.tools());
    install.args(["--features", "bin", "--debug"]).env("CARGO_PROFILE_DEV_DEBUG", "0");
    workspace::run(&mut install).context("protox could not be installed: the crate registry is needed, once")?;
    Ok(workspace.tools().join("bin/protox"))
}

/// Whether a tool is there that says that it is of this version.
fn is_installed(workspace: &Workspace, tool: &Path, version: &str) -> bool {
    let said = workspace::read(workspace.command(tool).arg("--version"));
    said.is_ok_and(|said| said.split_whitespace().nth(1) == Some(version))
}

/// Installs a published package below `root`, with the versions that it was published with.
fn install(workspace: &Workspace, package: &str, version: &str, root: &Path) -> Command {
    let mut install = workspace.cargo(["install", "--locked", package, "--version", version, "--root"]);
    install.arg(root).env_remove("CARGO_TARGET_DIR");
    install
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
