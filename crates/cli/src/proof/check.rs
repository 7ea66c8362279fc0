//! `satgas check-proof`: whether a file proves what it says, with the key alone and without any server.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use prost::Message as _;
use satgas_proof::{
    Checkpoint, PublicKey,
    file::{Entry, ExportProof, FileHash, Proof, RecordProof, read},
    merkle::Hash,
};
use satgas_proto::v1;

use super::{read_bounded, read_checkpoint};
use crate::print::{self, Format};

/// What to check, and with which key.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The proof, as `satgas prove` or `satgas export evaluations` wrote it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key that must have signed it: the line that `satgas heads`, `satgas backup` or whoever runs the server told, not one from the file
    #[arg(long, value_name = "KEY")]
    key: PublicKey,
    /// A checkpoint that was kept before: the log of the proof must go on from it
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// The exported file, when it does not lie beside the proof under its own name
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Checks. Reads files and nothing else.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let named = || args.file.display().to_string();
    let proof = read(&read_bounded(&args.file)?).with_context(named)?;
    let known = args.since.as_deref().map(|kept| {
        let known = Checkpoint::open(&read_checkpoint(kept)?, &args.key);
        known.with_context(|| format!("the checkpoint that was kept, {}", kept.display()))
    });
    let known = known.transpose()?;
    match &proof {
        Proof::Record(proof) => {
            let checkpoint = proof.check(&args.key, known.as_ref()).with_context(named)?;
            report_record(args, proof, &checkpoint, known.as_ref())?;
        }
        Proof::Export(proof) => {
            let beside = args.file.with_file_name(Path::new(&proof.file).file_name().unwrap_or_default());
            let export = args.export.clone().unwrap_or(beside);
            let checkpoint = proof.check(hash_of(&export)?, &args.key, known.as_ref()).with_context(named)?;
            report_export(args, proof, &export, &checkpoint, known.as_ref())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// SHA-256 of a file.
pub(crate) fn hash_of(path: &Path) -> anyhow::Result<Hash> {
    let unreadable = || format!("the exported file {} cannot be read: name it with --export", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let (mut hash, mut buffer) = (FileHash::default(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer).with_context(unreadable)? {
            0 => return Ok(hash.finish()),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn report_record(
    args: &Args,
    proof: &RecordProof,
    checkpoint: &Checkpoint,
    known: Option<&Checkpoint>,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let event = match &proof.entry {
        Entry::Record(record) => {
            Some(v1::Event::decode(record.as_slice()).context("the record is no event of this version")?)
        }
        Entry::Leaf(_) => None,
    };
    let leaf = print::hex(&proof.entry.leaf(), 64);
    if args.format == Format::Json {
        let mut object = summary("record", checkpoint, known);
        object["position"] = proof.position.into();
        object["leaf_hash"] = leaf.into();
        object["event"] = serde_json::to_value(&event)?;
        writeln!(out, "{object}")?;
        return Ok(());
    }
    writeln!(out, "ok: the record is at position {} of the log, as the server signed it", proof.position)?;
    say_head(&mut out, checkpoint, known)?;
    writeln!(out, "leaf        {leaf}")?;
    match event {
        Some(event) => writeln!(out, "record      {}", serde_json::to_string(&event)?)?,
        None => writeln!(out, "record      not in the file: whoever has it can hold its hash against the leaf")?,
    }
    writeln!(
        out,
        "It proves that this record was in the log, at this place, when the server signed; not that what it says is true."
    )?;
    Ok(())
}

fn report_export(
    args: &Args,
    proof: &ExportProof,
    export: &Path,
    checkpoint: &Checkpoint,
    known: Option<&Checkpoint>,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if args.format == Format::Json {
        let mut object = summary("export", checkpoint, known);
        object["file"] = export.display().to_string().into();
        object["sha256"] = print::hex(&proof.sha256, 64).into();
        writeln!(out, "{object}")?;
        return Ok(());
    }
    writeln!(out, "ok: {} is the file that was exported, on a head that the server signed", export.display())?;
    say_head(&mut out, checkpoint, known)?;
    writeln!(out, "sha256      {}", print::hex(&proof.sha256, 64))?;
    let position = proof.position;
    writeln!(
        out,
        "It proves which log the figures claim to stand on, and that the file is as it was when the proof was written. It does not prove the \
         figures: the server signs no table. To check them, count again: `satgas restore --from BACKUP --to FOLDER --position {position}`, \
         `satgas verify --data FOLDER` must show the same root, and after `satgas serve --data FOLDER` the same export the same figures \
         (docs/proof.md)."
    )?;
    Ok(())
}

fn say_head(out: &mut impl io::Write, checkpoint: &Checkpoint, known: Option<&Checkpoint>) -> io::Result<()> {
    writeln!(out, "log         {}", checkpoint.log_id)?;
    writeln!(out, "checkpoint  {} records, root {}", checkpoint.size, print::hex(&checkpoint.root, 64))?;
    match known {
        Some(known) => {
            writeln!(out, "since       {} records: nothing of them was altered, removed or reordered", known.size)
        }
        None => writeln!(
            out,
            "since       not asked: a checkpoint that was kept elsewhere, given with --since, shows that no history was rewritten"
        ),
    }
}

fn summary(of: &str, checkpoint: &Checkpoint, known: Option<&Checkpoint>) -> serde_json::Value {
    serde_json::json!({
        "proof": of,
        "log_id": checkpoint.log_id,
        "size": checkpoint.size,
        "root": print::hex(&checkpoint.root, 64),
        "since": known.map(|known| known.size),
    })
}
