//! `satgas prove`: that a record is at its place in the log, as a file that is checked without the server.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use prost::Message as _;
use satgas_proof::{
    Checkpoint,
    file::{Entry, RecordProof},
    merkle,
};
use satgas_proto::v1::{self, get_inclusion_proof_request::Record};
use tonic::Code;

use super::{hashes, opened, read_checkpoint, since};
use crate::{
    connect::{Connection, unary},
    export::Draft,
};

/// Which record, and against what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The record: its position in the log, or the id of its submission
    #[arg(value_name = "POSITION|RECORD")]
    record: String,
    /// Prove it in the log of so many records, such as the position that an evaluation stands on [default: all that there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    size: Option<u64>,
    /// Also prove that the log goes on from this checkpoint, which was kept before (see `satgas heads`)
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Leave the record out, though the token may read it: its hash alone goes into the file
    #[arg(long)]
    without_record: bool,
    /// File to write, such as record.tlog-proof [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Proves.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let draft = args.to.as_ref().map(|to| Draft::beside(to, args.force)).transpose()?;
    let known = args.since.as_deref().map(|kept| {
        let known = Checkpoint::read_unchecked(&read_checkpoint(kept)?);
        known.with_context(|| format!("{}", kept.display()))
    });
    let known = known.transpose()?;
    let record = match args.record.parse() {
        Ok(position) => Record::Position(position),
        Err(_) => Record::SubmissionId(args.record.clone()),
    };
    let request = v1::GetInclusionProofRequest { record: Some(record), size: args.size.unwrap_or_default() };
    let answer = server.proofs().get_inclusion_proof(unary(request)).await?.into_inner();
    let (checkpoint, key, note) = opened(answer.checkpoint)?;
    let since = match &known {
        Some(known) => since(server, known, &checkpoint).await?,
        None => None,
    };
    let leaf = answer.leaf_hash.as_ref().try_into().context("the server sent a hash that is not 32 bytes")?;
    let entry = match args.without_record {
        true => Entry::Leaf(leaf),
        false => entry(server, answer.position, leaf).await?,
    };
    let proof = RecordProof { entry, position: answer.position, hashes: hashes(&answer.hashes)?, since, note };
    proof.check(&key, known.as_ref()).context("the server's proof")?;
    match draft {
        None => io::stdout().lock().write_all(proof.to_text().as_bytes())?,
        Some(draft) => {
            draft.file().write_all(proof.to_text().as_bytes())?;
            draft.publish()?;
        }
    }
    if let Entry::Leaf(_) = proof.entry {
        eprintln!(
            "satgas: the file has the record's hash and not the record; whoever has the record can hold it against that"
        );
    }
    eprintln!("satgas: position {} in the log of {} records; signed with {key}", proof.position, checkpoint.size);
    Ok(ExitCode::SUCCESS)
}

/// The record as it is stored, for whoever may read it, and otherwise its hash.
async fn entry(server: &Connection, position: u64, leaf: merkle::Hash) -> anyhow::Result<Entry> {
    let request = v1::ReadRequest { after_position: position - 1, page_size: 1, ..Default::default() };
    let event = match server.events().read(unary(request)).await {
        Ok(page) => page.into_inner().events.into_iter().next().filter(|event| event.position == position),
        Err(status) if status.code() == Code::PermissionDenied => None,
        Err(status) => return Err(status.into()),
    };
    // Shaped for a role, it is not what is stored.
    let Some(event) = event.filter(|event| event.shaping.is_none()) else { return Ok(Entry::Leaf(leaf)) };
    let record = event.encode_to_vec();
    if merkle::leaf(&record) != leaf {
        bail!(
            "the record that the server sent is not the one that it proves: it is of a later version than this program, or it altered one of \
             both; use the program of the server's version, or --without-record"
        );
    }
    Ok(Entry::Record(record))
}
