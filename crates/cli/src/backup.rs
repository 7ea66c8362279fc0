//! `satgas backup`: what is new of both logs, from a running server into a folder. The server streams frames, and everything else is done
//! here: so the machine with the backup needs no way in from the server, which can neither change nor remove what is there. With `--data` it
//! reads the logs of a server that is stopped.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use satgas_backup::{About, Backup, Disk, Done, Log, SEGMENT_BYTES_MAX};
use satgas_proto::v1::{self, copy_log_response::Part};
use satgas_server::{Head, OfflineBackup, SystemClock};
use tokio::task::block_in_place;

use crate::{
    connect::{self, Connection, unary},
    print::{self, Format},
    progress, time,
};

/// How far a run stands back behind other processes.
const NICE: i32 = 10;
/// How long a run rests, as a multiple of how long it wrote: on the server's own disk, every write holds up those of the server.
const REST: u32 = 6;
/// A run rests no longer than this: one that waits for a slow disk must not look to the server like one that has gone.
const REST_MAX: Duration = Duration::from_millis(250);

/// Where to, and how fast.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of the backup: a new one, or one that is gone on with
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Take it from this data folder, which no server has at the time, instead of from a running server
    #[arg(long, value_name = "DIR", conflicts_with = "mib_per_second")]
    data: Option<PathBuf>,
    /// Take at most so many MiB a second [default: rest six times as long as each write takes, 0.25 s at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    mib_per_second: Option<u32>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Backs up.
pub(crate) async fn run(args: Args, way: &connect::Args) -> anyhow::Result<ExitCode> {
    // On the server's own machine, those who write to it come first. Where the system does not allow it, it is as fast as it is.
    let _ = rustix::process::nice(NICE);
    // The folder first: what cannot be written needs no asking.
    let open = || block_in_place(|| Backup::open(&args.to, Disk, SEGMENT_BYTES_MAX));
    match &args.data {
        Some(data) => from_folder(&args, data, open()?).await?,
        None => {
            let server = way.connect()?;
            from_server(&args, &server, open()?).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Backs up a data folder that no server has.
async fn from_folder(args: &Args, data: &Path, backup: Backup<Disk>) -> anyhow::Result<()> {
    let started = Instant::now();
    let bar = progress::counting();
    let told = bar.clone();
    let clock = Arc::new(SystemClock);
    let outcome = satgas_server::back_up_folder(data, backup, clock, move |position| told.set_position(position)).await;
    bar.finish_and_clear();
    let OfflineBackup { done, key, unrecorded } = outcome?;
    report(args, &done, &key, started.elapsed())?;
    if let Some(why) = unrecorded {
        eprintln!("satgas: the backup is whole; the server's figures will not show it: {why}");
    }
    Ok(())
}

/// Backs up a running server.
async fn from_server(args: &Args, server: &Connection, mut backup: Backup<Disk>) -> anyhow::Result<()> {
    let log = server.log().await?;
    let started = Instant::now();
    let pace = Pace { bytes_per_second: args.mib_per_second.map(|mib| f64::from(mib) * 1_048_576.0), started };
    let bar = progress::counting();
    let mut copied = 0;
    let mut signed = Vec::new();
    for which in Log::ALL {
        let head = take(which, &mut backup, server, &pace, &mut copied, &bar).await?;
        signed.push(head);
    }
    let head = signed.first().context("two logs were taken")?;
    let taken_at = head.at.as_ref().and_then(time::from_proto).context("the server does not tell its time")?;
    let time_zone = log.zone.iana_name().unwrap_or("UTC").to_owned();
    let done = block_in_place(|| backup.finish(About { taken_at, time_zone }))?;
    bar.finish_and_clear();
    report(args, &done, &head.key, started.elapsed())?;
    confirm(&done, server).await;
    Ok(())
}

/// Takes what is new of one log. The head that the server signed.
async fn take(
    which: Log,
    backup: &mut Backup<Disk>,
    server: &Connection,
    pace: &Pace,
    copied: &mut u64,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<v1::SignedHead> {
    let own = backup.head(which)?;
    let kind = match which {
        Log::Records => v1::LogKind::Records,
        Log::Access => v1::LogKind::Access,
    };
    let after_hash = own.hash.to_vec().into();
    let request = v1::CopyLogRequest { log: kind.into(), after_position: own.position, after_hash };
    let mut stream = server.backups().copy_log(request).await?.into_inner();
    let Some(Part::Head(head)) = stream.message().await?.and_then(|message| message.part) else {
        bail!("the server did not begin with its signed head: is it of this version?");
    };
    backup.begin(which, &head.note, &head.key)?;
    while let Some(message) = stream.message().await? {
        let Some(Part::Frames(frames)) = message.part else {
            bail!("the server sent something else than its log: is it of this version?");
        };
        let writing = Instant::now();
        let position = block_in_place(|| backup.take(&frames))?;
        let wrote = writing.elapsed();
        *copied += frames.len() as u64;
        if which == Log::Records {
            bar.set_position(position - own.position);
        }
        pace.rest(*copied, wrote).await;
    }
    block_in_place(|| backup.end())?;
    Ok(head)
}

/// Tells the server that the backup is whole, for its figures. It is whole without that, so a server that takes no note is no failure.
async fn confirm(done: &Done, server: &Connection) {
    let end = |head: &Head| Some(v1::CopyEnd { position: head.position, hash: head.hash.to_vec().into() });
    let [records, access] = &done.heads;
    let request = v1::ConfirmBackupRequest { records: end(records), access: end(access) };
    if let Err(status) = server.backups().confirm_backup(unary(request)).await {
        let why = status.message();
        eprintln!(
            "satgas: the backup is whole; the server's figures do not show it, as the server took no note of it: {why}"
        );
    }
}

/// Keeps to a number of bytes a second; without one, leaves the disk to others for most of the time.
struct Pace {
    bytes_per_second: Option<f64>,
    started: Instant,
}

impl Pace {
    async fn rest(&self, copied: u64, wrote: Duration) {
        let rest = match self.bytes_per_second {
            Some(rate) => Duration::from_secs_f64(copied as f64 / rate).saturating_sub(self.started.elapsed()),
            None => (wrote * REST).min(REST_MAX),
        };
        tokio::time::sleep(rest).await;
    }
}

fn report(args: &Args, done: &Done, key: &str, took: Duration) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let bytes: u64 = done.added.iter().map(|added| added.bytes).sum();
    let lines = Log::ALL.iter().zip(done.added).zip(done.heads);
    match args.format {
        Format::Text => {
            for ((log, added), head) in lines {
                let hash = print::hex(&head.hash, 16);
                writeln!(out, "{:<8} {} new, up to {} {hash}", log.name(), added.records, head.position)?;
            }
            let mib = bytes as f64 / 1_048_576.0;
            writeln!(out, "written  {mib:.1} MiB in {:.2} s", took.as_secs_f64())?;
            writeln!(out, "signed   {key}")?;
            writeln!(
                out,
                "Keep the line of the key elsewhere: `satgas restore --key` checks with it. The keys of cases are not in here: see \
                 `satgas vault backup`."
            )?;
        }
        Format::Json => {
            let mut object = serde_json::json!({ "bytes": bytes, "took_s": took.as_secs_f64(), "key": key });
            for ((log, added), head) in lines {
                object[log.name()] = serde_json::json!({
                    "added": added.records,
                    "segments": added.segments,
                    "bytes": added.bytes,
                    "head": { "position": head.position, "hash": print::hex(&head.hash, 64) },
                });
            }
            writeln!(out, "{object}")?;
        }
    }
    Ok(())
}
