//! `cargo xtask package`: a Debian package of the release binary, with its units, manual pages, completions, settings and handbooks.
//!
//! Invariant: manual pages and completions are printed by the very binary that is packed. `dpkg-deb` builds the package and
//! `systemd-analyze` judges the units; without them there is no package.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::workspace::{self, Workspace};

/// The highest exposure that `systemd-analyze security` may give to a unit, in tenths: below 2 is what it calls OK.
const EXPOSURE_MAX: &str = "20";
const UNITS: [&str; 7] = [
    "satgas.service",
    "satgas-backup.service",
    "satgas-backup.timer",
    "satgas-heads.service",
    "satgas-heads.timer",
    "satgas-vault-backup.service",
    "satgas-vault-backup.timer",
];
/// Where each shell looks for what it completes.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/satgas"),
    ("zsh", "usr/share/zsh/vendor-completions/_satgas"),
    ("fish", "usr/share/fish/vendor_completions.d/satgas.fish"),
];
/// Settings that an update leaves as the operator made them.
const SETTINGS: [&str; 3] = ["satgas.toml", "backup.env", "heads.env"];
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// Folders that are packed as they are, and where they go: what handbooks tell people to use.
const FOLDERS: [(&str, &str); 4] = [
    ("ops/prometheus", "usr/share/satgas/prometheus"),
    ("ops/grafana", "usr/share/satgas/grafana"),
    ("docs/forms", "usr/share/doc/satgas/forms"),
    ("examples/clients", "usr/share/doc/satgas/examples"),
];

/// What to pack.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pack this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Folder for the package [default: target/package]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Builds the package and says where it is.
pub(crate) fn build(workspace: &Workspace, args: &Args) -> Result<()> {
    for unit in UNITS.iter().filter(|unit| unit.ends_with(".service")) {
        let mut judge = workspace.command("systemd-analyze");
        judge.args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_MAX]);
        workspace::read(judge.arg(workspace.root().join("ops/systemd").join(unit)))?;
    }
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => {
            workspace::run(&mut workspace.cargo(["build", "--release", "--locked"]))?;
            workspace.target().join("release/satgas")
        }
    };
    let to = args.to.clone().unwrap_or_else(|| workspace.target().join("package"));
    let package = pack(workspace, &binary, &to)?;
    println!("{} ({} KiB)", package.display(), fs::metadata(&package)?.len() / 1024);
    Ok(())
}

/// Packs a binary: the path of the package.
fn pack(workspace: &Workspace, binary: &Path, to: &Path) -> Result<PathBuf> {
    let stage = to.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    let tree = Tree { root: &stage };
    let told = workspace::read(Command::new(binary).arg("--version"))?;
    let version = told.split_whitespace().nth(1).context("the binary does not tell its version")?.to_owned();
    let architecture = workspace::read(workspace.command("dpkg").arg("--print-architecture"))?.trim().to_owned();

    tree.put("usr/bin/satgas", &fs::read(binary)?, 0o755)?;
    for unit in UNITS {
        tree.copy(&workspace.root().join("ops/systemd").join(unit), &format!("usr/lib/systemd/system/{unit}"))?;
    }
    for settings in SETTINGS {
        tree.copy(&workspace.root().join("ops/debian").join(settings), &format!("etc/satgas/{settings}"))?;
    }
    for (shell, path) in COMPLETIONS {
        let script = workspace::read(Command::new(binary).args(["completions", shell]))?;
        tree.put(path, script.as_bytes(), 0o644)?;
    }
    pack_manual(binary, &tree)?;
    pack_documents(workspace, &tree)?;
    pack_control(workspace, &tree, &version, &architecture, &depends(&fs::read(binary)?))?;

    let package = to.join(format!("satgas_{version}_{architecture}.deb"));
    let mut build = workspace.command("dpkg-deb");
    build.args(["--root-owner-group", "-Zxz", "--build"]).arg(&stage).arg(&package);
    workspace::read(&mut build)?;
    Ok(package)
}

/// The manual pages that the binary writes, compressed as Debian wants them.
fn pack_manual(binary: &Path, tree: &Tree<'_>) -> Result<()> {
    let folder = tree.root.join("usr/share/man/man1");
    workspace::read(Command::new(binary).args(["man", "--to"]).arg(&folder))?;
    let pages = files(&folder)?;
    ensure!(!pages.is_empty(), "the binary writes no manual page");
    for page in pages {
        // Without a name and a time in it, so that the same page gives the same bytes.
        workspace::read(Command::new("gzip").args(["-9", "--no-name"]).arg(folder.join(page)))?;
    }
    Ok(())
}

fn pack_documents(workspace: &Workspace, tree: &Tree<'_>) -> Result<()> {
    let documents = workspace.root().join("docs");
    for name in files(&documents)?.into_iter().filter(|name| name.ends_with(".md")) {
        tree.copy(&documents.join(&name), &format!("usr/share/doc/satgas/{name}"))?;
    }
    for name in ["README.md", "SECURITY.md", "CHANGELOG.md"] {
        tree.copy(&workspace.root().join(name), &format!("usr/share/doc/satgas/{name}"))?;
    }
    for (folder, path) in FOLDERS {
        tree.copy_folder(&workspace.root().join(folder), path)?;
    }
    tree.copy(&workspace.root().join("LICENSE"), "usr/share/doc/satgas/copyright")
}

fn pack_control(
    workspace: &Workspace,
    tree: &Tree<'_>,
    version: &str,
    architecture: &str,
    depends: &str,
) -> Result<()> {
    let packed = tree.files()?;
    let sums = {
        let mut command = Command::new("md5sum");
        workspace::read(command.args(&packed).current_dir(tree.root))?
    };
    let mut bytes = 0;
    for file in &packed {
        bytes += fs::metadata(tree.root.join(file))?.len();
    }
    let control = format!(
        "Package: satgas\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: satgas\nSection: net\nPriority: optional\n\
         Depends: {depends}\nInstalled-Size: {}\n\
         Description: records, evaluates and streams the work of task forces against sexual violence\n \
         A gRPC server with its log, its keys and its command line in one binary. The handbook\n \
         for operators is /usr/share/doc/satgas/handbook.md.\n",
        bytes / 1024,
    );
    let conffiles: String = SETTINGS.iter().map(|settings| format!("/etc/satgas/{settings}\n")).collect();
    tree.put("DEBIAN/control", control.as_bytes(), 0o644)?;
    tree.put("DEBIAN/conffiles", conffiles.as_bytes(), 0o644)?;
    tree.put("DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
    for script in SCRIPTS {
        let text = fs::read(workspace.root().join("ops/debian").join(script)).context(script)?;
        tree.put(&format!("DEBIAN/{script}"), &text, 0o755)?;
    }
    Ok(())
}

/// What the binary needs besides the package: the C library in the version whose symbols it names. A static one needs none.
fn depends(binary: &[u8]) -> String {
    let mut needed = BTreeSet::new();
    const PREFIX: &[u8] = b"GLIBC_2.";
    for (at, _) in binary.windows(PREFIX.len()).enumerate().filter(|(_, found)| *found == PREFIX) {
        let digits: String =
            binary[at + PREFIX.len()..].iter().take_while(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect();
        needed.extend(digits.parse::<u32>());
    }
    let always = "adduser, systemd (>= 250)";
    needed.last().map_or_else(|| always.to_owned(), |minor| format!("libc6 (>= 2.{minor}), libgcc-s1, {always}"))
}

/// The tree of files that becomes the package.
struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    fn put(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs::File::create(&path)?.write_all(bytes)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    }

    fn copy(&self, from: &Path, path: &str) -> Result<()> {
        self.put(path, &fs::read(from).with_context(|| from.display().to_string())?, 0o644)
    }

    /// A folder with those in it; what may be run stays so. What tools leave beside the sources is left out.
    fn copy_folder(&self, from: &Path, path: &str) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("a name in UTF-8")?;
            let (from, path) = (entry.path(), format!("{path}/{name}"));
            if name.starts_with(['.', '_']) {
                continue;
            } else if from.is_dir() {
                self.copy_folder(&from, &path)?;
            } else {
                let is_program = fs::metadata(&from)?.permissions().mode() & 0o100 != 0;
                self.put(&path, &fs::read(&from)?, if is_program { 0o755 } else { 0o644 })?;
            }
        }
        Ok(())
    }

    /// All files in it, in order, as paths below its root.
    fn files(&self) -> Result<Vec<String>> {
        let mut find = Command::new("find");
        find.args([".", "-type", "f", "-printf", "%P\\n"]).current_dir(self.root).stdin(Stdio::null());
        let mut found: Vec<String> = workspace::read(&mut find)?.lines().map(str::to_owned).collect();
        found.sort_unstable();
        Ok(found)
    }
}

/// Names of the files in a folder, in order.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().into_string().ok().context("a name in UTF-8")?);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that stands in for the binary: it takes minutes to build one.
    fn stand_in(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("satgas");
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    const WHOLE: &str = "case $1 in --version) echo satgas 1.2.3;; completions) echo \"for $2\";;\n\
                         man) mkdir -p $3; echo page >$3/satgas.1; echo page >$3/satgas-serve.1;; esac\n";

    #[test]
    fn a_package_has_the_binary_its_units_pages_settings_and_what_makes_users_and_folders() {
        let workspace = Workspace::from_cargo().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let package = pack(&workspace, &stand_in(folder.path(), WHOLE), folder.path()).unwrap();
        let ask = |what: &str| workspace::read(Command::new("dpkg-deb").arg(what).arg(&package)).unwrap();

        let contents = ask("--contents");
        let line = |path: &str| contents.lines().find(|line| line.ends_with(path)).unwrap_or_else(|| panic!("{path}"));
        assert!(line(" ./usr/bin/satgas").starts_with("-rwxr-xr-x root/root"), "{contents}");
        for unit in UNITS {
            assert!(line(&format!(" ./usr/lib/systemd/system/{unit}")).starts_with("-rw-r--r-- root/root"));
        }
        for path in COMPLETIONS.map(|(_, path)| path) {
            line(&format!(" ./{path}"));
        }
        for path in
            ["man/man1/satgas.1.gz", "man/man1/satgas-serve.1.gz", "doc/satgas/handbook.md", "doc/satgas/copyright"]
        {
            line(&format!(" ./usr/share/{path}"));
        }
        // What handbooks tell people to use.
        for path in ["satgas/prometheus/satgas.rules.yml", "satgas/grafana/satgas.json", "doc/satgas/SECURITY.md"] {
            line(&format!(" ./usr/share/{path}"));
        }
        for path in ["forms/kunjungan-sekolah.xlsx", "forms/kunjungan-sekolah.toml", "examples/python/client.py"] {
            line(&format!(" ./usr/share/doc/satgas/{path}"));
        }
        assert!(line("/examples/shell/client.sh").starts_with("-rwxr-xr-x root/root"), "{contents}");
        let control = ask("--info");
        assert!(control.contains("Version: 1.2.3") && control.contains("Depends: adduser"), "{control}");
        for script in SCRIPTS {
            assert!(control.contains(script), "{control}");
        }
        let control = folder.path().join("control");
        workspace::read(Command::new("dpkg-deb").arg("--control").arg(&package).arg(&control)).unwrap();
        let conffiles = fs::read_to_string(control.join("conffiles")).unwrap();
        assert_eq!(conffiles, "/etc/satgas/satgas.toml\n/etc/satgas/backup.env\n/etc/satgas/heads.env\n");
        let sums = fs::read_to_string(control.join("md5sums")).unwrap();
        assert!(sums.lines().any(|line| line.ends_with("  usr/bin/satgas")) && !sums.contains("DEBIAN"), "{sums}");
    }

    #[test]
    fn a_binary_that_writes_no_manual_is_not_packed() {
        let workspace = Workspace::from_cargo().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let old =
            stand_in(folder.path(), "case $1 in --version) echo satgas 1.2.3;; *) echo unknown >&2; exit 64;; esac\n");
        assert!(pack(&workspace, &old, folder.path()).unwrap_err().to_string().contains("unknown"));
    }

    #[test]
    fn the_newest_symbol_of_the_c_library_says_which_one_is_needed() {
        assert!(depends(b"..GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0").starts_with("libc6 (>= 2.34), libgcc-s1"));
        assert!(!depends(b"static").contains("libc6"));
    }

    #[test]
    fn every_unit_that_is_packed_exists_and_no_other_does() {
        let workspace = Workspace::from_cargo().unwrap();
        let mut packed = UNITS.map(str::to_owned).to_vec();
        packed.sort_unstable();
        assert_eq!(files(&workspace.root().join("ops/systemd")).unwrap(), packed);
    }
}
