//! `satgas heads`: keeps the log's signed checkpoints outside the server, each held against the last one before it is kept.
//!
//! | in the folder | |
//! |---|---|
//! | `00000000000000008200.checkpoint` | a checkpoint, named by its number of records; never written again |
//! | `key` | the key of the first one: another one is refused |
//! | `refused-00000000000000008100-1f0c93d2.checkpoint` | one that was signed and does not fit, with the beginning of its hash: the evidence, never written over by another |
//! | `lock` | held by the run that writes |

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use satgas_proof::{
    Checkpoint, NoteError, PublicKey,
    file::{FileHash, ProofError, check_since},
};
use satgas_proto::v1;
use tokio::task::block_in_place;
use tonic::Status;

use super::{opened, read_checkpoint, since};
use crate::{
    connect::{Connection, unary},
    failure, print, token,
};

const ENDING: &str = ".checkpoint";
/// Digits of a number of records in a name: so they sort as they follow one another.
const DIGITS: usize = 20;

/// Where to, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of the checkpoints: a new one, or one that is gone on with
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The key that the server must sign with [default: the one in the folder, or for a new folder the server's]
    #[arg(long, value_name = "KEY")]
    key: Option<PublicKey>,
    /// Go on, and ask again after so long: 15m, 1h, 1d [default: once]
    #[arg(long, value_name = "TIME", value_parser = every)]
    every: Option<Duration>,
}

fn every(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_secs(token::duration(text)?.seconds.unsigned_abs()))
}

/// Keeps one checkpoint, or one after the other until something does not fit.
pub(crate) async fn run(args: Args, server: &Connection, url: &str) -> anyhow::Result<ExitCode> {
    let folder = block_in_place(|| Folder::open(&args.to))?;
    loop {
        let outcome = keep(&args, &folder, server).await;
        let Some(every) = args.every else { return outcome.map(|()| ExitCode::SUCCESS) };
        match outcome {
            Ok(()) => {}
            // A server that is down tells nothing of its history; it is asked again at the next time.
            Err(error) => match error.downcast_ref::<Status>() {
                Some(status) if failure::may_pass(status) => eprintln!("satgas: {}", failure::describe(status, url)),
                _ => return Err(error),
            },
        }
        tokio::time::sleep(every).await;
    }
}

async fn keep(args: &Args, folder: &Folder, server: &Connection) -> anyhow::Result<()> {
    let answer = server.proofs().get_checkpoint(unary(v1::GetCheckpointRequest { size: 0 })).await?.into_inner();
    let signed = answer.checkpoint.context("the server sent no checkpoint: is it of this version?")?;
    let known_key = block_in_place(|| folder.key())?;
    let key = match (&args.key, &known_key) {
        (Some(given), Some(known)) if given.of_checkpoints() != *known => {
            bail!(
                "{} was begun with {known}, and another key was given: name another folder with --to",
                folder.path.display()
            )
        }
        (Some(given), _) => given.of_checkpoints(),
        (None, Some(known)) => known.clone(),
        (None, None) => opened(Some(signed.clone()))?.1.of_checkpoints(),
    };
    let now = match Checkpoint::open(&signed.note, &key) {
        Ok(now) => now,
        Err(error) => {
            block_in_place(|| folder.keep_refused(&signed.note))?;
            let why = match error {
                NoteError::NotSigned => {
                    format!("an unknown key signed the head; {} is kept with {key}", folder.path.display())
                }
                error => format!("the head: {error}"),
            };
            bail!(
                "{why}. If the server was given a new key or was restored, begin a new folder and keep this one; if not, ask who answers there"
            );
        }
    };
    let last = block_in_place(|| folder.last(&key))?;
    if let Some(last) = &last
        && let Err(error) = since(server, last, &now).await
    {
        if error.downcast_ref::<ProofError>().is_some() {
            block_in_place(|| folder.keep_refused(&signed.note))?;
            return Err(error.context(format!(
                "the server's log does not go on from what {} keeps; the head that it signed is kept there as evidence",
                folder.path.display()
            )));
        }
        return Err(error);
    }
    block_in_place(|| {
        if known_key.is_none() {
            folder.write("key", &format!("{key}\n"))?;
        }
        if last.as_ref().is_none_or(|last| last.size < now.size) {
            folder.write(&format!("{:0DIGITS$}{ENDING}", now.size), &signed.note)?;
        }
        anyhow::Ok(())
    })?;
    let mut out = io::stdout().lock();
    let from = last.map_or_else(|| "the first that is kept".to_owned(), |last| format!("goes on from {}", last.size));
    writeln!(out, "{} records, {from}; signed with {key}", now.size)?;
    Ok(())
}

/// The folder of checkpoints, held while it is written.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let unusable = || format!("{} cannot be used", path.display());
        DirBuilder::new().recursive(true).mode(0o755).create(path).with_context(unusable)?;
        let lock =
            File::options().write(true).create(true).truncate(false).open(path.join("lock")).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another `satgas heads` writes to {}: wait for it, or end it", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(unusable),
        }
    }

    /// The key that its checkpoints are signed with.
    fn key(&self) -> anyhow::Result<Option<PublicKey>> {
        match fs::read_to_string(self.path.join("key")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => {
                let named = || format!("the key in {}", self.path.display());
                let key: PublicKey = read.with_context(named)?.parse().with_context(named)?;
                Ok(Some(key.of_checkpoints()))
            }
        }
    }

    /// The checkpoint with the most records.
    fn last(&self, key: &PublicKey) -> anyhow::Result<Option<Checkpoint>> {
        let unusable = || format!("{} cannot be read", self.path.display());
        let mut newest: Option<(u64, PathBuf)> = None;
        for entry in fs::read_dir(&self.path).with_context(unusable)? {
            let entry = entry.with_context(unusable)?;
            let name = entry.file_name();
            let size = name.to_str().and_then(|name| name.strip_suffix(ENDING)).filter(|size| size.len() == DIGITS);
            if let Some(size) = size.and_then(|size| size.parse().ok())
                && newest.as_ref().is_none_or(|(known, _)| *known < size)
            {
                newest = Some((size, entry.path()));
            }
        }
        let Some((size, path)) = newest else { return Ok(None) };
        let named = || format!("{}, which was kept before", path.display());
        let kept = Checkpoint::open(&read_checkpoint(&path)?, key).with_context(named)?;
        if kept.size != size {
            bail!("{} is of {} records: it was renamed or altered", path.display(), kept.size);
        }
        check_since(&kept, &kept, None)?;
        Ok(Some(kept))
    }

    /// Keeps a head that does not fit, as it was signed.
    fn keep_refused(&self, note: &str) -> anyhow::Result<()> {
        let size = Checkpoint::read_unchecked(note).map_or(0, |claimed| claimed.size);
        let mut hash = FileHash::default();
        hash.update(note.as_bytes());
        self.write(&format!("refused-{size:0DIGITS$}-{}{ENDING}", print::hex(&hash.finish(), 8)), note)
    }

    /// Writes a file that is there whole or not at all, and on disk when this returns.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let unwritten = || format!("{name} could not be written to {}", self.path.display());
        let mut file =
            tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(&self.path).with_context(unwritten)?;
        file.write_all(text.as_bytes()).with_context(unwritten)?;
        file.as_file().sync_all().with_context(unwritten)?;
        file.persist(self.path.join(name)).with_context(unwritten)?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).with_context(unwritten)
    }
}
