//! Proofs by themselves: what the Merkle tree costs a record, how large a proof is, and how long it takes to check.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prost::Message;
use satgas_proof::{
    Checkpoint, PublicKey, Tree,
    file::{Entry, Proof, RecordProof, Since, read},
    merkle::{self, Hash, TILE, Tile},
};

use crate::city::City;

/// Proofs made and checked of each tree.
const PROOFS: u64 = 2_000;

/// What the tree took for records of the city.
pub(crate) struct Grown {
    /// Records.
    pub(crate) records: usize,
    /// Hashing them and adding them to the tree, as the fold does.
    pub(crate) took: Duration,
}

/// Hashes visits of the city into a tree.
pub(crate) fn grow(city: &mut City, count: usize) -> Result<Grown> {
    let stored: Vec<Vec<u8>> = city.visits(count).iter().map(Message::encode_to_vec).collect();
    let mut tree = Tree::default();
    let started = Instant::now();
    for record in &stored {
        tree.push(merkle::leaf(record));
    }
    let took = started.elapsed();
    ensure!(tree.size() == count as u64, "a record is missing from the tree");
    Ok(Grown { records: count, took })
}

/// Proofs of one tree.
pub(crate) struct Proven {
    /// The longest file of a record without the record itself, and with what shows that the log goes on from half of it.
    pub(crate) bytes_most: usize,
    /// Of one proof: from the tree's own hashes, with the hashes of its tiles at hand.
    pub(crate) make: Duration,
    /// Of one file: reading it, the signature, the way to the root, and the way from the half.
    pub(crate) check: Duration,
}

/// Proves records of a tree of `size`, evenly spread over it, and checks each from its file.
pub(crate) fn prove(size: u64) -> Result<Proven> {
    let mut tree = Tree::default();
    (0..size).map(leaf).for_each(|leaf| tree.push(leaf));
    let (key, half) = (ed25519_dalek::SigningKey::from_bytes(&[7; 32]), size / 2 + 77);
    let checkpoint = |size| {
        let root = tree.root(size, &tiles([Tree::cut_tile(size), None], &tree))?;
        anyhow::Ok(Checkpoint { log_id: "0199aaaa-0000-7000-8000-000000000000".to_owned(), size, root })
    };
    let (now, known) = (checkpoint(size)?, checkpoint(half)?);
    let public = PublicKey::of(&now.log_id, &key);
    let (mut files, mut make) = (Vec::new(), Duration::ZERO);
    for index in (0..PROOFS).map(|number| number * (size / PROOFS)) {
        let of_record = tiles([Some(index / TILE), Tree::cut_tile(size)], &tree);
        let of_both = tiles([Tree::cut_tile(half), Tree::cut_tile(size)], &tree);
        let started = Instant::now();
        let hashes = tree.prove_inclusion(index, size, &of_record)?;
        let since = Since { size: half, hashes: tree.prove_consistency(half, size, &of_both)? };
        let note = now.sign(&key);
        make += started.elapsed();
        let entry = Entry::Leaf(leaf(index));
        files.push(RecordProof { entry, position: index + 1, hashes, since: Some(since), note }.to_text());
    }
    let started = Instant::now();
    for file in &files {
        let Proof::Record(proof) = read(file.as_bytes())? else { anyhow::bail!("it is of a record") };
        proof.check(&public, Some(&known))?;
    }
    let count = u32::try_from(files.len())?;
    let check = started.elapsed() / count;
    let bytes_most = files.iter().map(String::len).max().context("a proof")?;
    Ok(Proven { bytes_most, make: make / count, check })
}

/// The leaf of a record that is only counted: what it holds changes nothing about a proof.
fn leaf(index: u64) -> Hash {
    merkle::leaf(&index.to_be_bytes())
}

fn tiles(indices: [Option<u64>; 2], tree: &Tree) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    for index in indices.into_iter().flatten() {
        if tiles.iter().all(|tile| tile.index != index) {
            let leaves = (index * TILE..tree.size().min((index + 1) * TILE)).map(leaf).collect();
            tiles.push(Tile { index, leaves });
        }
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_is_measured_is_one() {
        assert_eq!(grow(&mut City::new(), 300).unwrap().records, 300);
        let proven = prove(5_000).unwrap();
        assert!(proven.bytes_most > 1_000 && proven.bytes_most < 10_000, "{}", proven.bytes_most);
    }
}
