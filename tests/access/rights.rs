//! Rights of files: what lies on the server's disk, and what the command line writes, is its owner's alone.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::ensure;

use crate::process::{Answer, Served, satgas};

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

fn set(path: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// What a server that must not start says.
fn serve(data: &Path) -> anyhow::Result<Answer> {
    Ok(satgas(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).output()?.into())
}

#[test]
fn a_new_data_folder_and_those_in_it_are_their_owners_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (new, made) = (folder.path().join("new"), folder.path().join("made"));
    // One that somebody made for the server before, as open as it gets.
    fs::create_dir(&made)?;
    set(&made, 0o777)?;
    for data in [new, made] {
        ensure!(Served::start(&data, &[])?.terminate()? == Some(0));
        for path in ["", "journal", "access", "checkpoints", "keys"] {
            let path = data.join(path);
            ensure!(mode(&path)? == 0o700, "{}: {:o}", path.display(), mode(&path)?);
        }
        for file in ["keys/signing.pem", "keys/heads.pem", "keys/operator.token"] {
            ensure!(mode(&data.join(file))? == 0o600, "{file}");
        }
    }
    Ok(())
}

#[test]
fn a_data_folder_or_a_signing_key_that_is_open_to_others_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    ensure!(Served::start(&data, &[])?.terminate()? == Some(0));
    set(&data, 0o755)?;
    let answer = serve(&data)?;
    ensure!(answer.code == Some(1) && answer.error.contains("chmod 700"), "{answer:?}");
    set(&data, 0o700)?;
    let key = data.join("keys/signing.pem");
    set(&key, 0o640)?;
    let answer = serve(&data)?;
    ensure!(answer.code == Some(1) && answer.error.contains("chmod 600"), "{answer:?}");
    set(&key, 0o600)?;
    // A group may be one of its own.
    set(&data, 0o750)?;
    ensure!(Served::start(&data, &[])?.terminate()? == Some(0));
    Ok(())
}

#[test]
fn a_token_file_that_others_may_read_is_refused_before_anything_is_sent() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let file = folder.path().join("operator.token");
    fs::write(&file, served.operator()?)?;
    let whoami = || -> anyhow::Result<Answer> {
        let mut command = satgas(&["token", "whoami", "--token-file"]);
        Ok(command.arg(&file).env("SATGAS_SERVER_URL", &served.url).output()?.into())
    };
    set(&file, 0o644)?;
    let answer = whoami()?;
    ensure!(answer.code == Some(1) && answer.error.contains("chmod 600"), "{answer:?}");
    set(&file, 0o600)?;
    whoami()?.good()?;
    Ok(())
}

#[test]
fn a_file_of_refused_records_is_its_owners_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let served = Served::start(&folder.path().join("data"), &[])?;
    let (file, rejected) = (folder.path().join("visits.jsonl"), folder.path().join("visits.jsonl.rejected.jsonl"));
    fs::write(&file, "no record\n")?;
    // What an older one of other rights left is no reason to be open.
    for leftover in [rejected.clone(), folder.path().join("visits.jsonl.rejected.jsonl.part")] {
        fs::write(&leftover, "")?;
        set(&leftover, 0o666)?;
    }
    let answer = served.ask(&["submit", "--file", &file.to_string_lossy()])?;
    ensure!(answer.code == Some(2), "{answer:?}");
    ensure!(mode(&rejected)? == 0o600, "{:o}", mode(&rejected)?);
    ensure!(fs::read_to_string(&rejected)?.contains("no record"));
    Ok(())
}
