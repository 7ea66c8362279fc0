//! The real server as a process of its own: started, killed, stopped in order, verified. Ended by its id, whatever happens.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::bad::Bad;

/// How long a start may take before the server is taken for stuck.
const START_MAX: Duration = Duration::from_secs(120);
/// How long a stop in order may take.
const STOP_MAX: Duration = Duration::from_secs(60);
/// What every server under test is started with: checkpoints often enough to be killed in the middle of one, limits out of the way.
const SETTINGS: [(&str, &str); 3] =
    [("SATGAS_CHECKPOINT_EVERY", "400"), ("SATGAS_REFUSALS_PER_MINUTE", "100000"), ("SATGAS_RECORDS_PER_HOUR", "0")];

/// A data folder and the binary that serves it.
#[derive(Clone, Debug)]
pub(crate) struct House {
    pub(crate) satgas: PathBuf,
    pub(crate) data: PathBuf,
    /// Settings of this server beyond the common ones, as environment variables.
    pub(crate) settings: Vec<(String, String)>,
    /// The bad disk and wrong clock that it gets.
    pub(crate) bad: Option<Bad>,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    /// Kept open: a server whose output nobody holds would fail to write to it.
    _stdout: ChildStdout,
    /// Its address, "127.0.0.1:port".
    pub(crate) address: String,
}

/// What `satgas verify` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    /// Every byte holds, and so many records are there.
    Holds(u64),
    /// Damage is named.
    Damaged(String),
}

impl House {
    pub(crate) fn new(satgas: &Path, data: PathBuf) -> Self {
        Self { satgas: satgas.to_owned(), data, settings: Vec::new(), bad: None }
    }

    /// The same house with one more setting.
    pub(crate) fn with(mut self, setting: &str, value: impl ToString) -> Self {
        self.settings.push((setting.to_owned(), value.to_string()));
        self
    }

    /// Where the server's own log goes.
    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// The end of the server's own log.
    pub(crate) fn told(&self) -> String {
        let all = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Bytes of the server's own log so far.
    pub(crate) fn told_bytes(&self) -> usize {
        fs::metadata(self.log()).map_or(0, |log| usize::try_from(log.len()).unwrap_or(usize::MAX))
    }

    /// The server's own log since it had so many bytes.
    pub(crate) fn told_since(&self, bytes: usize) -> String {
        let all = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(all.get(bytes..).unwrap_or_default()).into_owned()
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = Command::new(&self.satgas);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data).envs(SETTINGS);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        if let Some(bad) = &self.bad {
            bad.load_into(&mut command);
        }
        let log = File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command.spawn().with_context(|| format!("{} cannot be started", self.satgas.display()))
    }

    /// Starts the server and waits until it serves.
    pub(crate) fn serve(&self) -> Result<Served> {
        let mut child = self.spawn()?;
        match ready_line(&mut child, START_MAX) {
            Ok((line, stdout)) => {
                let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
                let address = url.with_context(|| format!("no address in {line:?}"))?.to_owned();
                Ok(Served { child, _stdout: stdout, address })
            }
            Err(error) => {
                end(&mut child);
                Err(error.context(self.told()))
            }
        }
    }

    /// Starts the server and kills it `after` some time, whether it serves by then or not. Whether it did.
    pub(crate) fn kill_at_start(&self, after: Duration) -> Result<bool> {
        let mut child = self.spawn()?;
        let served = ready_line(&mut child, after).is_ok();
        end(&mut child);
        Ok(served)
    }

    /// Runs `satgas verify` on the folder, which no server may use.
    pub(crate) fn verify(&self) -> Result<Verified> {
        let output =
            Command::new(&self.satgas).args(["verify", "--format", "json", "--data"]).arg(&self.data).output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            let counted: serde_json::Value = serde_json::from_str(&printed).context("satgas verify printed no JSON")?;
            return Ok(Verified::Holds(counted["records"].as_u64().context("satgas verify tells no records")?));
        }
        ensure!(output.status.code() == Some(1), "satgas verify ended with {}: {error}", output.status);
        Ok(Verified::Damaged(format!("{printed}{error}")))
    }

    /// Salvages the folder into a new one, which must hold everything that was acknowledged, and serves that from now on.
    pub(crate) fn recover(&mut self, to: PathBuf) -> Result<()> {
        let mut command = Command::new(&self.satgas);
        let output = command.args(["recover", "--from"]).arg(&self.data).arg("--to").arg(&to).output()?;
        let (printed, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "satgas recover ended with {}: {printed}{error}", output.status);
        self.data = to;
        Ok(())
    }

    /// Fails when sled put values where they are not synced.
    pub(crate) fn ensure_no_blobs(&self) -> Result<()> {
        for log in ["journal", "access"] {
            let blobs = self.data.join(log).join("log/blobs");
            let count = fs::read_dir(&blobs).map_or(0, Iterator::count);
            ensure!(count == 0, "{} has {count} files", blobs.display());
        }
        Ok(())
    }

    /// A copy of the folder, to be served or damaged in its place.
    pub(crate) fn copy(&self, to: PathBuf) -> Result<Self> {
        copy(&self.data, &to)?;
        Ok(Self { data: to, bad: None, ..self.clone() })
    }

    /// Removes all checkpoints, so that the next start folds the whole log. How many there were.
    pub(crate) fn remove_checkpoints(&self) -> Result<usize> {
        let mut removed = 0;
        for file in files(&self.data)? {
            if file.extension().is_some_and(|extension| extension == "checkpoint") {
                fs::remove_file(&file)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl Served {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The memory of the process, in bytes: now, and the most it ever had.
    pub(crate) fn memory(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
        };
        bytes("VmRSS:").zip(bytes("VmHWM:")).context("the server's status tells no memory")
    }

    /// Ends it as a crash does: nothing in it gets to know.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the server did not stop within {} s", STOP_MAX.as_secs())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a child that may have ended already.
fn end(child: &mut Child) {
    // Both fail only where the child is gone, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for the first line on the child's standard output, which it prints when it serves.
fn ready_line(child: &mut Child, patience: Duration) -> Result<(String, ChildStdout)> {
    let stdout = child.stdout.take().context("standard output was asked to be piped")?;
    let (send, receive) = mpsc::channel();
    // Ends with the child's output: at its first line or with the child.
    thread::spawn(move || {
        let mut lines = BufReader::with_capacity(256, stdout);
        let mut line = String::new();
        let read = lines.read_line(&mut line).map(|_| (line, lines.into_inner()));
        // Nobody waits any more when the start took too long.
        let _ = send.send(read);
    });
    let (line, stdout) = receive.recv_timeout(patience).context("the server did not get ready in time")??;
    ensure!(!line.is_empty(), "the server ended before it was ready");
    Ok((line, stdout))
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
