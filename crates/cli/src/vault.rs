//! `satgas vault`: what an operator does with the keys of sealed identities, on the machine that has them.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Subcommand;
use satgas_server::{Config, Copied, Rotation};
use serde::Serialize;

/// What to do with the vault.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Wrap every case's key by a new master key, while no server uses the data folder; the log is not touched
    Rotate {
        #[command(flatten)]
        place: Place,
        /// File with the new master key, made if it is not there; needed where the master key is configured
        #[arg(long, value_name = "FILE")]
        new_file: Option<PathBuf>,
    },
    /// Copy the cases' keys, wrapped as they are, and take those of erased cases out of the copy; a server may be running
    Backup {
        #[command(flatten)]
        place: Place,
        /// Folder of the copy; it must be kept apart from the backups of the log
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Take keys that the vault has lost from a copy, but never those of erased cases, while no server uses the data folder
    Restore {
        #[command(flatten)]
        place: Place,
        /// Folder of the copy
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
}

/// Where the data and the vault lie.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Configuration file (TOML) of the server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Serialize, clap::Args)]
struct Flags {
    /// Data folder [default: satgas-data]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Folder of the cases' keys [default: keys/cases in the data folder]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    vault: Option<PathBuf>,
}

impl Place {
    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config.as_deref(), &self.flags)?)
    }
}

/// Does it.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    crate::logging::start(crate::logging::LogFormat::default());
    let mut out = io::stdout().lock();
    match command {
        Command::Rotate { place, new_file } => {
            let rotation = satgas_server::rotate_master_key(&place.config()?, new_file.as_deref())?;
            tell_rotation(&mut out, &rotation)?;
        }
        Command::Backup { place, to } => {
            let Copied { copied, already, erased } = satgas_server::back_up_vault(&place.config()?, &to)?;
            writeln!(out, "keys copied     {copied}, there already {already}, of erased cases destroyed {erased}")?;
            writeln!(out, "Keep {} apart from the backups of the log and from the master key.", to.display())?;
        }
        Command::Restore { place, from } => {
            let Copied { copied, already, erased } = satgas_server::restore_vault(&place.config()?, &from)?;
            writeln!(out, "keys restored   {copied}, there already {already}, of erased cases refused {erased}")?;
            if copied + already + erased == 0 {
                eprintln!("satgas: no key lies in {}: is it the copy that `satgas vault backup` made?", from.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_rotation(out: &mut impl io::Write, rotation: &Rotation) -> io::Result<()> {
    let Rotation { id, file, keys, former_destroyed } = rotation;
    writeln!(out, "keys            {} wrapped anew, {} had been already", keys.wrapped, keys.already)?;
    writeln!(out, "master key      {id} in {}", file.display())?;
    if *former_destroyed {
        writeln!(
            out,
            "The former master key is destroyed. Back up the new one apart from the data, and destroy the backups of the former."
        )
    } else {
        writeln!(
            out,
            "Configure this one now, back it up apart from the data, and destroy the former one with its backups."
        )
    }
}

/// Shows that the identities of an erased case open no more, and where they would.
pub(crate) fn verify_erased(
    config: Option<PathBuf>,
    data: PathBuf,
    vault: Option<PathBuf>,
    case_id: &str,
    backups: &[PathBuf],
    others_hold_no_keys: bool,
) -> anyhow::Result<ExitCode> {
    let place = Place { config, flags: Flags { data: Some(data), vault } };
    let found = satgas_server::verify_erased(&place.config()?, case_id, backups)?;
    let mut out = io::stdout().lock();
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    writeln!(out, "erased          {}", yes_no(found.recorded))?;
    writeln!(out, "seals           {}", found.seals)?;
    writeln!(out, "keys tried      {}", found.keys_tried)?;
    if found.keys_not_tried > 0 {
        writeln!(out, "not tried       {}: under a master key that is not at hand", found.keys_not_tried)?;
    }
    for path in &found.found {
        writeln!(out, "KEY FOUND       {}", path.display())?;
    }
    for path in &found.not_looked_into {
        writeln!(out, "not looked into {}", path.display())?;
    }
    if found.holds() && !found.not_looked_into.is_empty() && !others_hold_no_keys {
        let files = "an archive, a link or another file may hold a key. Unpack archives and give the folders that links lead to, or look \
                     otherwise and say --others-hold-no-keys";
        writeln!(out, "NOT SHOWN: no key was found, but not everything was looked into: {files}")?;
        return Ok(ExitCode::FAILURE);
    }
    if found.holds() {
        writeln!(out, "ok: no key in these folders is the case's or opens a seal of it")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "NOT ERASED: the case's identities are not shown to be gone")?;
    Ok(ExitCode::FAILURE)
}
