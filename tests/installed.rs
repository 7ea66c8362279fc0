//! What the Debian package puts on a machine, as whoever installs it meets it: its settings, and the folders that its units are given.

mod door;
mod process;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use process::{Answer, Served, satgas, text};

fn ops(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ops").join(path)).context(path.to_owned())
}

/// The settings of the package, for a folder instead of the machine's own: the file of them.
fn settings(folder: &Path) -> anyhow::Result<PathBuf> {
    let keys = folder.join("keys");
    fs::create_dir(&keys)?;
    fs::write(keys.join("master.key"), format!("{}=\n", "A".repeat(43)))?;
    fs::set_permissions(keys.join("master.key"), fs::Permissions::from_mode(0o600))?;
    let packaged = ops("debian/satgas.toml")?;
    ensure!(packaged.contains("/etc/satgas/keys") && packaged.contains("\"/var/lib/satgas\""), "{packaged}");
    let here = packaged.replace("/etc/satgas/keys", text(&keys)).replace("/var/lib/satgas", text(&folder.join("data")));
    let file = folder.join("satgas.toml");
    fs::write(&file, here.replace("127.0.0.1:5371", "127.0.0.1:0"))?;
    Ok(file)
}

#[test]
fn the_settings_of_the_package_are_good_for_root_who_checks_them_and_for_the_unit_that_serves() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = settings(folder.path())?;
    // Before the first start, as the handbook says.
    let check = || satgas(&["config", "check", "--config", text(&file)]).env_remove("CREDENTIALS_DIRECTORY").output();
    Answer::from(check()?).good()?;

    // The unit's key is another file: systemd makes a copy that the server's user may read.
    let credentials = folder.path().join("credentials");
    fs::create_dir(&credentials)?;
    fs::rename(folder.path().join("keys/master.key"), credentials.join("master.key"))?;
    let refused: Answer = check()?.into();
    ensure!(refused.code == Some(1) && refused.error.contains("master_key_command"), "{refused:?}");
    ensure!(refused.error.contains("No such file"), "what the command said is not swallowed: {refused:?}");
    let flags = ["--config", text(&file)];
    let unit = [("CREDENTIALS_DIRECTORY", text(&credentials))];
    let served = Served::start_with(&folder.path().join("data"), &flags, &unit)?;
    fs::copy(credentials.join("master.key"), folder.path().join("keys/master.key"))?;

    // Root looks while it runs.
    let mut doctor = satgas(&["--server", &served.url, "doctor", "--config", text(&file)]);
    let looked: Answer = doctor.env_remove("CREDENTIALS_DIRECTORY").output()?.into();
    ensure!(looked.code == Some(0) && looked.out.contains("problems: 0"), "{looked:?}");
    ensure!(served.terminate()? == Some(0));
    Ok(())
}

#[test]
fn every_folder_and_user_of_the_units_is_made_by_the_package() -> anyhow::Result<()> {
    let (made, mut units) = (ops("debian/postinst")?, 0);
    let users: BTreeSet<&str> = made
        .lines()
        .find_map(|line| line.trim().strip_prefix("for user in ")?.strip_suffix("; do"))
        .context("the users")?
        .split(' ')
        .collect();
    let homes: Vec<String> = users.iter().map(|user| format!("/var/lib/{user}")).collect();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/systemd"))? {
        let path = entry?.path();
        let unit = fs::read_to_string(&path)?;
        for line in unit.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            match key {
                "User" | "Group" => ensure!(users.contains(value), "{}: {line}", path.display()),
                "ReadWritePaths" | "RequiresMountsFor" => {
                    for folder in value.split(' ') {
                        let is_made =
                            made.lines().any(|line| line.starts_with("    install -d ") && line.ends_with(folder));
                        ensure!(is_made || homes.iter().any(|home| home == folder), "{}: {folder}", path.display());
                    }
                }
                "EnvironmentFile" => {
                    let name = value.strip_prefix("/etc/satgas/").context("a file of settings")?;
                    ops(&format!("debian/{name}"))?;
                }
                "LoadCredential" => ensure!(made.contains(value.split(':').nth(1).context("a file")?), "{line}"),
                _ => continue,
            }
            units += 1;
        }
    }
    ensure!(units > 12, "only {units} lines of units were looked at");
    Ok(())
}

#[test]
fn what_the_handbook_has_typed_is_typed_as_a_user_who_may() -> anyhow::Result<()> {
    let mut looked_at = 0;
    for document in ["handbook", "upgrading", "backup", "watching"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{document}.md")))?;
        for line in text.lines().filter(|line| line.starts_with("$ ") && line.contains("satgas ")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let behind = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
            // The server's user writes in the folders that are its own, and makes none beside them.
            if let Some(to) = behind("--to").filter(|to| line.starts_with("$ sudo -u satgas ") && to.starts_with('/')) {
                let own = ["/var/lib/satgas/", "/var/backups/satgas-keys"];
                ensure!(own.iter().any(|folder| to.starts_with(folder)), "{document}: {line}");
                looked_at += 1;
            }
            // Root reads the master key, and the unit is handed it.
            if behind("--config") == Some(&"/etc/satgas/satgas.toml") {
                let is_right =
                    line.starts_with("$ sudo satgas ") || line.contains("--property=LoadCredential=master.key");
                ensure!(is_right, "{document}: {line}");
                looked_at += 1;
            }
        }
    }
    ensure!(looked_at >= 8, "only {looked_at} commands were looked at");
    Ok(())
}
