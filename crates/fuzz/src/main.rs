//! Writes the seeds of all targets into a folder, a folder each: where fuzzing begins.

use std::{env, fs, path::PathBuf};

use anyhow::Context as _;
use satgas_fuzz::{TARGETS, seeds};

fn main() -> anyhow::Result<()> {
    let folder: PathBuf = env::args_os().nth(1).context("give the folder to write the seeds to")?.into();
    for (target, _) in TARGETS {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds::of(target) {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
