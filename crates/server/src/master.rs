//! Where the master key comes from: a file, the environment, the output of a command (for a key management service), or, when nothing is
//! configured, a file in the data folder that is made when it is needed first.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use satgas_engine::vault::{self, MasterError, MasterKey, Masters};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::Config;

/// Variable with a master key. Not a key of the configuration, which may stand in a file that many read.
const VARIABLE: &str = "SATGAS_MASTER_KEY";

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
    // In a thread of its own: who asks may be in a runtime that must not be blocked on from within.
    let run = std::thread::scope(|scope| scope.spawn(|| run(program, arguments, deadline)).join());
    let run = run.unwrap_or_else(|_| Err(io::Error::other("running it panicked")));
    let output = run.map_err(|error| failed(format!("cannot be run: {error}")))?;
    let output = output.ok_or_else(|| failed(format!("does not end within {deadline:?}")))?;
    // What it printed may be the key: it is wiped, and no error repeats it.
    let printed = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| failed("printed no text".to_owned()))?;
    Ok(MasterKey::parse(text, "master_key_command")?)
}

/// Runs a command to its end; `None` when it took too long and was ended by force. Blocks.
fn run(program: &str, arguments: &[String], deadline: Duration) -> io::Result<Option<Output>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut command = Command::new(program);
        // What it says on standard error is for whoever looks at ours. `output` would keep it.
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let running = command.spawn()?;
        tokio::time::timeout(deadline, running.wait_with_output()).await.ok().transpose()
    })
}
