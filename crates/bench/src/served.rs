//! The real server as a child process: started, asked for its memory, stopped in order, verified. Ended by its id, whatever happens.

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

use tokio::sync::OnceCell;
use tonic::transport::Endpoint;

use satgas_proto::v1::Role;

use crate::{
    door::Tokens,
    machine::{self, Memory},
};

/// How long a start may take; a start folds the whole log when there is no checkpoint.
const START_MAX: Duration = Duration::from_secs(600);
/// How long a stop may take: the server's own deadline and the last checkpoint.
const STOP_MAX: Duration = Duration::from_secs(180);

/// A folder with a log, and the binary that serves it.
pub(crate) struct House {
    satgas: PathBuf,
    folder: tempfile::TempDir,
}

/// An export that takes longer has failed.
const EXPORT_MAX: Duration = Duration::from_secs(30 * 60);

/// A running server.
pub(crate) struct Served {
    child: Child,
    /// Kept open: a server whose output nobody holds would fail to write to it.
    _stdout: ChildStdout,
    /// Address of the server, "http://127.0.0.1:port".
    pub(crate) url: String,
    /// From the start of the process to its ready line.
    pub(crate) start_took: Duration,
    data: PathBuf,
    tokens: OnceCell<Tokens>,
}

/// What `satgas backup` or `satgas restore` did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    /// Records of the log.
    pub(crate) records: u64,
    /// Bytes of segments.
    pub(crate) bytes: u64,
    /// As the command measured it.
    pub(crate) took: Duration,
}

/// What `satgas verify` counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// Records in the log.
    pub(crate) records: u64,
    /// Commits, each one sync.
    pub(crate) commits: u64,
}

impl House {
    /// An empty folder below `scratch`, removed in the end.
    pub(crate) fn new(satgas: &Path, scratch: &Path) -> Result<Self> {
        fs::create_dir_all(scratch).with_context(|| format!("{} cannot be made", scratch.display()))?;
        Ok(Self { satgas: satgas.to_owned(), folder: tempfile::tempdir_in(scratch)? })
    }

    /// Leaves the folder behind.
    pub(crate) fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Where the server keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder on the same file system for other files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the server on a free port and waits for its ready line.
    pub(crate) fn serve(&self) -> Result<Served> {
        let log = self.folder.path().join("server.log");
        let started = Instant::now();
        let mut child = Command::new(&self.satgas)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            // One holder drives the whole load.
            .env("SATGAS_RECORDS_PER_HOUR", "0")
            .env("SATGAS_CASE_ANSWERS_PER_HOUR", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.satgas.display()))?;
        match ready_line(&mut child) {
            Ok((line, stdout)) => {
                let start_took = started.elapsed();
                let url = address(&line).with_context(|| format!("no address in the ready line {line:?}"))?;
                let (data, tokens) = (self.data(), OnceCell::new());
                Ok(Served { child, _stdout: stdout, url, start_took, data, tokens })
            }
            Err(error) => {
                end(&mut child);
                Err(error.context(fs::read_to_string(&log).unwrap_or_default()))
            }
        }
    }

    /// Checks the whole log, which no server may use meanwhile.
    pub(crate) fn verify(&self) -> Result<Counted> {
        let output =
            Command::new(&self.satgas).args(["verify", "--format", "json", "--data"]).arg(self.data()).output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "the log does not hold: {printed}{}", String::from_utf8_lossy(&output.stderr));
        let counted: serde_json::Value = serde_json::from_str(&printed).context("satgas verify printed no JSON")?;
        let count = |name: &str| counted[name].as_u64().with_context(|| format!("satgas verify tells no {name}"));
        Ok(Counted { records: count("records")?, commits: count("commits")? })
    }

    /// Restores a backup into a new folder.
    pub(crate) fn restore(&self, from: &Path, to: &Path) -> Result<Moved> {
        let mut restore = Command::new(&self.satgas);
        restore.args(["restore", "--format", "json", "--from"]).arg(from).arg("--to").arg(to);
        let output = restore.output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "nothing was restored: {}", String::from_utf8_lossy(&output.stderr));
        let told: serde_json::Value = serde_json::from_str(&printed).context("satgas restore printed no JSON")?;
        moved(&told, &told["log"]["position"])
    }

    /// Removes all checkpoints, so that the next start folds the whole log. Returns how many bytes they took.
    pub(crate) fn remove_checkpoints(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.data())? {
            let path = entry?.path();
            if path.is_dir() && holds_checkpoints(&path)? {
                bytes += machine::disk_bytes(&path)?;
                fs::remove_dir_all(&path)?;
            }
        }
        ensure!(bytes > 0, "the data folder holds no checkpoints");
        Ok(bytes)
    }
}

fn holds_checkpoints(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.path().extension().is_some_and(|extension| extension == "checkpoint") {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Served {
    /// Its memory.
    pub(crate) fn memory(&self) -> Result<Memory> {
        Memory::of(self.child.id())
    }

    /// Exports all records into a file, whose ending says as what: how long that took, and the most memory of the program that wrote it.
    pub(crate) async fn export(&self, satgas: &Path, file: &Path) -> Result<(Duration, u64)> {
        let tokens = self.tokens().await?;
        let started = Instant::now();
        let mut child = Command::new(satgas)
            .args(["export", "records", "--server", &self.url, "--to"])
            .arg(file)
            .env("SATGAS_TOKEN", tokens.of(Role::Supervisor))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut peak = 0;
        loop {
            // The peak of a process that has ended is gone, so it is read again and again until then.
            peak = Memory::of(child.id()).map_or(peak, |memory| memory.peak.max(peak));
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the export ended with {status}");
                return Ok((started.elapsed(), peak));
            }
            if started.elapsed() > EXPORT_MAX {
                end(&mut child);
                bail!("the export did not end within {} s", EXPORT_MAX.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Backs the server up into a folder.
    pub(crate) async fn backup(&self, satgas: &Path, to: &Path) -> Result<Moved> {
        let tokens = self.tokens().await?;
        fs::create_dir_all(to.parent().context("a backup lies in a folder")?)?;
        let printed = to.with_extension("json");
        let child = Command::new(satgas)
            .args(["backup", "--format", "json", "--server", &self.url, "--to"])
            .arg(to)
            .env("SATGAS_TOKEN", tokens.of(Role::Operator))
            .stdin(Stdio::null())
            .stdout(File::create(&printed)?)
            .spawn()?;
        let mut child = Ended(child);
        let started = Instant::now();
        loop {
            if let Some(status) = child.0.try_wait()? {
                ensure!(status.success(), "the backup ended with {status}");
                break;
            }
            ensure!(started.elapsed() < EXPORT_MAX, "the backup did not end within {} s", EXPORT_MAX.as_secs());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let told: serde_json::Value = serde_json::from_slice(&fs::read(&printed)?)?;
        moved(&told, &told["records"]["added"])
    }

    /// A token for each role, issued when they are first asked for.
    pub(crate) async fn tokens(&self) -> Result<Tokens> {
        let issue = async || {
            let channel = Endpoint::from_shared(self.url.clone())?.connect().await?;
            Tokens::issue(&channel, &self.data.join("keys"), "*").await
        };
        Ok(self.tokens.get_or_try_init(issue).await?.clone())
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        stop(&mut self.child, Signal::TERM).await
    }

    /// The processor time that it has taken.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        machine::processor_time(self.child.id())
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Asks a server to stop and waits until it has.
pub(crate) async fn stop(child: &mut Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the server has no process id")?;
    kill_process(pid, signal).context("the server cannot be asked to stop")?;
    let deadline = Instant::now() + STOP_MAX;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the server ended with {status}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("the server did not stop within {} s", STOP_MAX.as_secs())
}

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a child that may have ended already.
pub(crate) fn end(child: &mut Child) {
    // Both fail only where the child is gone, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

/// A child that goes when nobody waits for it any more.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn moved(told: &serde_json::Value, records: &serde_json::Value) -> Result<Moved> {
    let count = |value: &serde_json::Value| value.as_u64().with_context(|| format!("no number of {told}"));
    let took = told["took_s"].as_f64().context("no time")?;
    Ok(Moved { records: count(records)?, bytes: count(&told["bytes"])?, took: Duration::from_secs_f64(took) })
}

/// Waits for the first line on the child's standard output, which it prints when it serves.
fn ready_line(child: &mut Child) -> Result<(String, ChildStdout)> {
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
    let (line, stdout) = receive.recv_timeout(START_MAX).context("the server did not get ready in time")??;
    ensure!(!line.is_empty(), "the server ended before it was ready");
    Ok((line, stdout))
}

fn address(line: &str) -> Option<String> {
    let word = line.split_whitespace().find(|word| word.starts_with("http://"))?;
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_ready_line() {
        let line = "satgas serves http://127.0.0.1:40123 from /data\n";
        assert_eq!(address(line).as_deref(), Some("http://127.0.0.1:40123"));
        assert_eq!(address("something else\n"), None);
    }

    #[test]
    fn only_a_folder_with_checkpoints_counts_as_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!holds_checkpoints(folder.path()).unwrap());
        File::create(folder.path().join("views-1.checkpoint")).unwrap();
        assert!(holds_checkpoints(folder.path()).unwrap());
    }
}
