//! Proofs: made with a server's help, checked without any.
//!
//! Invariants: `check-proof` reads files and nothing else. What a server says is checked here before it is written anywhere: a file that
//! was written is a proof.

pub(crate) mod check;
pub(crate) mod heads;
pub(crate) mod prove;

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, bail};
use satgas_proof::{
    Checkpoint, PublicKey,
    file::{FILE_BYTES_MAX, ProofError, Since, check_since},
    merkle::{HASHES_MAX, Hash},
};
use satgas_proto::v1;

use crate::connect::{Connection, unary};

/// Reads a file that somebody else made, as far as a proof may be long.
pub(crate) fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = || format!("{} cannot be read", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(unreadable)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ProofError::TooLarge).with_context(|| path.display().to_string());
    }
    Ok(bytes)
}

/// Reads a checkpoint that was kept: a file of `satgas heads`, or the end of a proof.
pub(crate) fn read_checkpoint(path: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read_bounded(path)?);
    text.with_context(|| format!("{} is no checkpoint: it is no text", path.display()))
}

/// A checkpoint that the server signed, held against its own key: whether that is the right one is for whoever knows it.
pub(crate) fn opened(signed: Option<v1::SignedCheckpoint>) -> anyhow::Result<(Checkpoint, PublicKey, String)> {
    let signed = signed.context("the server sent no checkpoint: is it of this version?")?;
    let key: PublicKey = signed.key.parse().context("the server's key")?;
    let checkpoint = Checkpoint::open(&signed.note, &key).context("the server's checkpoint")?;
    Ok((checkpoint, key, signed.note))
}

/// Hashes of an answer.
pub(crate) fn hashes(sent: &[prost::bytes::Bytes]) -> anyhow::Result<Vec<Hash>> {
    if sent.len() > HASHES_MAX {
        bail!("the server sent more hashes than a proof can have");
    }
    let hash =
        |sent: &prost::bytes::Bytes| sent.as_ref().try_into().context("the server sent a hash that is not 32 bytes");
    sent.iter().map(hash).collect()
}

/// Asks for what shows that a checkpoint goes on from one that was kept, and checks it.
///
/// # Errors
/// When it does not, by the name of what is wrong.
pub(crate) async fn since(server: &Connection, known: &Checkpoint, now: &Checkpoint) -> anyhow::Result<Option<Since>> {
    // What needs no proof is refused by its name without asking.
    match check_since(known, now, None) {
        Ok(()) => return Ok(None),
        Err(ProofError::NoConsistency { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let request = v1::GetConsistencyProofRequest { from_size: known.size, to_size: now.size };
    let answer = server.proofs().get_consistency_proof(unary(request)).await?.into_inner();
    let since = Since { size: known.size, hashes: hashes(&answer.hashes)? };
    check_since(known, now, Some(&since))?;
    Ok(Some(since))
}
