//! Where the master key comes from: a file, the environment, the output of a command (for a key management service), or, when nothing is
//! configured, a file in the data folder that is made when it is needed first.

use std::{
    env,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use satgas_engine::vault::{self, MasterError, MasterKey, Masters};

use zeroize::Zeroizing;

use crate::Config;

/// Variable with a master key. Not a key of the configuration, which may stand in a file that many read.
const VARIABLE: &str = "SATGAS_MASTER_KEY";

/// Bytes of what a command prints that are read; a key is far shorter.
const PRINTED_BYTES_MAX: usize = 4_096;
/// Between two looks at whether it has ended.
const BREATH: Duration = Duration::from_millis(20);

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// It cannot be used.
    #[error(transparent)]
    Master(#[from] MasterError),
    /// The command did not give one.
    #[error("`master_key_command` {what}")]
    Command {
        /// What it did instead.
        what: String,
    },
    /// More than one source is configured.
    #[error("the master key is configured twice: give one of `master_key_file`, `master_key_command` and {VARIABLE}")]
    Twice,
}

/// Where the vault lies.
pub(crate) fn vault_folder(config: &Config) -> PathBuf {
    config.vault.clone().unwrap_or_else(|| config.data.join("keys/cases"))
}

/// Where the master key lies when none is configured.
pub(crate) fn default_file(data: &Path) -> PathBuf {
    data.join("keys/master.key")
}

/// A master key that a rotation is about to put in the default file's place.
pub(crate) fn next_file(data: &Path) -> PathBuf {
    data.join("keys/master.key.next")
}

/// Reads what is configured.
pub(crate) fn options(config: &Config) -> Result<vault::Options, MasterKeyError> {
    Ok(vault::Options { folder: vault_folder(config), masters: masters(config)? })
}

/// The master keys: the one in force first, then those that a rotation has not done with.
pub(crate) fn masters(config: &Config) -> Result<Masters, MasterKeyError> {
    let mut known = Vec::new();
    let (default, next) = (default_file(&config.data), next_file(&config.data));
    match configured(config)? {
        Some(master) => known.push(master),
        None if default.exists() => known.push(MasterKey::read(&default)?),
        // A rotation was cut short right before its end, and has destroyed the former one.
        None if next.exists() => known.push(MasterKey::read(&next)?),
        None => return Ok(Masters::made_at(default)),
    }
    for former in config.master_key_former_file.iter().chain(next.exists().then_some(&next)) {
        known.push(MasterKey::read(former)?);
    }
    Ok(Masters::known(known))
}

/// Whether the master key is the data folder's own.
pub(crate) fn is_default(config: &Config) -> bool {
    config.master_key_file.is_none() && config.master_key_command.is_empty() && env::var_os(VARIABLE).is_none()
}

fn configured(config: &Config) -> Result<Option<MasterKey>, MasterKeyError> {
    let variable = env::var(VARIABLE).ok().map(vault_text);
    match (&config.master_key_file, config.master_key_command.as_slice(), variable) {
        (None, [], None) => Ok(None),
        (Some(path), [], None) => Ok(Some(MasterKey::read(path)?)),
        (None, [], Some(text)) => Ok(Some(MasterKey::parse(&text, VARIABLE)?)),
        (None, [program, arguments @ ..], None) => {
            let deadline = Duration::from_secs(config.master_key_command_deadline_s.max(1));
            from_command(program, arguments, deadline).map(Some)
        }
        _ => Err(MasterKeyError::Twice),
    }
}

fn vault_text(text: String) -> Zeroizing<String> {
    Zeroizing::new(text)
}

fn from_command(program: &str, arguments: &[String], deadline: Duration) -> Result<MasterKey, MasterKeyError> {
    let failed = |what: String| MasterKeyError::Command { what };
    let late = || failed(format!("does not end within {deadline:?}"));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut running = Running(command.spawn().map_err(|error| failed(format!("cannot be run: {error}")))?);
    let printed = running.printed(deadline).ok_or_else(late)?;
    let printed = printed.map_err(|error| failed(format!("cannot be read: {error}")))?;
    // It has closed its output, so it is about to end, or never will.
    let status = running.ended(BREATH * 100).ok_or_else(late)?;
    let status = status.map_err(|error| failed(format!("cannot be waited for: {error}")))?;
    if !status.success() {
        return Err(failed(format!("ended with {status}")));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| failed("printed no text".to_owned()))?;
    Ok(MasterKey::parse(text, "master_key_command")?)
}

/// A command that runs; ended by force when this is dropped before it ends by itself.
struct Running(Child);

impl Running {
    /// All that it prints, which may be the key: it is wiped, and no error repeats it. `None` when that takes too long.
    fn printed(&mut self, deadline: Duration) -> Option<io::Result<Zeroizing<Vec<u8>>>> {
        let out = self.0.stdout.take()?;
        let (done, printed) = mpsc::channel();
        // Reading cannot be given up: a thread does it, and is left behind if somebody whom the command started holds the pipe open.
        std::thread::spawn(move || {
            // Room for all that is taken, so that no part of a key stays behind where the buffer was before it grew.
            let mut bytes = Zeroizing::new(Vec::with_capacity(PRINTED_BYTES_MAX));
            let read = out.take(PRINTED_BYTES_MAX as u64).read_to_end(&mut bytes);
            // Who waits no more needs no answer.
            let _ = done.send(read.map(|_| bytes));
        });
        printed.recv_timeout(deadline).ok()
    }

    fn ended(&mut self, patience: Duration) -> Option<io::Result<ExitStatus>> {
        let begun = Instant::now();
        loop {
            match self.0.try_wait() {
                Ok(None) if begun.elapsed() < patience => std::thread::sleep(BREATH),
                Ok(None) => return None,
                Ok(Some(status)) => return Some(Ok(status)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and mostly has.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
