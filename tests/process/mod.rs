//! The real binary as a process: a server that is ended with its test, and commands that ask it.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context as _, ensure};
use tonic::transport::Channel;

use crate::door::{CITY, Door, Tokens};

/// Settings of a server that records nothing by itself.
pub(crate) const QUIET: [(&str, &str); 1] = [("SATGAS_DEADLINES_EVERY_S", "0")];

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Files under a folder that hold some bytes.
pub(crate) fn holding(folder: &Path, bytes: &[u8]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(holding(&path, bytes)?);
        } else if std::fs::read(&path)?.windows(bytes.len()).any(|window| window == bytes) {
            found.push(path);
        }
    }
    Ok(found)
}

/// A server process, killed when it is dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) url: String,
    data: std::path::PathBuf,
    tokens: std::sync::OnceLock<Tokens>,
}

impl Served {
    /// Starts a server on a free port and waits until it is ready.
    pub(crate) fn start(data: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(data, flags, &[])
    }

    /// The same with settings in the environment.
    pub(crate) fn start_with(data: &Path, flags: &[&str], settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_logging(data, flags, settings, Stdio::null())
    }

    /// The same, and its own log goes somewhere.
    pub(crate) fn start_logging(
        data: &Path,
        flags: &[&str],
        settings: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> anyhow::Result<Self> {
        // Tests make many calls that are meant to be refused, and one holder hands in what many do.
        let mut child = satgas(&["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(flags)
            .env("SATGAS_REFUSALS_PER_MINUTE", "100000")
            .env("SATGAS_RECORDS_PER_HOUR", "0")
            .env("SATGAS_READINGS_PER_HOUR", "0")
            .env("SATGAS_CASE_ANSWERS_PER_HOUR", "0")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let out = child.stdout.take().context("its output is piped")?;
        let tokens = std::sync::OnceLock::new();
        let mut served = Self { child, url: String::new(), data: data.to_owned(), tokens };
        let ready = BufReader::new(out).lines().map_while(Result::ok).find(|line| line.contains("satgas serves http"));
        let ready = ready.context("it ended without a ready line")?;
        let url = ready.split_whitespace().find(|word| word.starts_with("http"));
        served.url = url.context("no address in the ready line")?.to_owned();
        Ok(served)
    }

    /// A channel that makes each call in a role that may make it.
    pub(crate) async fn connect(&self) -> anyhow::Result<Door> {
        Ok(Door::by_role(self.channel().await?, self.tokens().await?))
    }

    /// A channel without a token.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Channel::from_shared(self.url.clone())?.connect().await?)
    }

    /// The tokens of all roles, issued when they are first asked for.
    pub(crate) async fn tokens(&self) -> anyhow::Result<Tokens> {
        if let Some(tokens) = self.tokens.get() {
            return Ok(tokens.clone());
        }
        let tokens = Tokens::issue(&self.channel().await?, &self.data.join("keys"), CITY).await?;
        Ok(self.tokens.get_or_init(|| tokens).clone())
    }

    /// The operator's first token.
    pub(crate) fn operator(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.data.join("keys/operator.token"))?.trim().to_owned())
    }

    /// Runs a command that asks this server, in a role that may.
    pub(crate) fn ask(&self, args: &[&str]) -> anyhow::Result<Answer> {
        ask(&self.url, self.all_tokens()?.of_command(args), args)
    }

    /// The same from a test that has no runtime, or from a thread of one that has.
    fn all_tokens(&self) -> anyhow::Result<Tokens> {
        if let Some(tokens) = self.tokens.get() {
            return Ok(tokens.clone());
        }
        std::thread::scope(|scope| {
            let issuing =
                || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.tokens());
            scope.spawn(issuing).join().map_err(|_| anyhow::anyhow!("issuing tokens panicked"))?
        })
    }

    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn terminate(mut self) -> anyhow::Result<Option<i32>> {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(stopped.success(), "the signal was not sent");
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }
}

impl Answer {
    /// What was printed by a command that succeeded.
    pub(crate) fn good(self) -> anyhow::Result<String> {
        ensure!(self.code == Some(0), "{self:?}");
        Ok(self.out)
    }
}

/// Runs a command that asks the server of a URL with a token.
pub(crate) fn ask(url: &str, secret: &str, args: &[&str]) -> anyhow::Result<Answer> {
    Ok(satgas(args).env("SATGAS_SERVER_URL", url).env("SATGAS_TOKEN", secret).output()?.into())
}

/// The binary with arguments.
pub(crate) fn satgas(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_satgas"));
    command.args(args);
    command
}
