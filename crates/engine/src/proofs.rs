//! The Merkle tree over the log's records: a fold like the views, and what it proves.
//!
//! The fold's thread adds the leaves of each commit before the views' position moves, so a view that shows a position can be proven. The
//! tree keeps the roots of tiles; leaves within a tile are made again from its 256 records, read from the log off the runtime's threads,
//! and are held against the root that was kept: a record that has changed on disk since proves nothing.

use satgas_domain::parts::{PartId, Parted};
use satgas_journal::{Chunk, Journal as _};
use satgas_proof::{
    Tree,
    merkle::{self, Hash, TILE, Tile, TreeError},
};
use serde::{Deserialize, Serialize};

use crate::{Engine, QueryError, blocking};

/// Number of the tree's layout and meaning in checkpoints.
pub(crate) const VERSION: u32 = 2;
/// Bytes of records that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// How many records, and the root of the tree over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Records.
    pub size: u64,
    /// The root.
    pub root: Hash,
}

/// That a record is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The record's leaf.
    pub leaf: Hash,
    /// Hashes from its sibling up.
    pub hashes: Vec<Hash>,
    /// The tree.
    pub head: TreeHead,
}

/// That a tree goes on from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// Hashes as RFC 6962 orders them.
    pub hashes: Vec<Hash>,
    /// The larger tree.
    pub head: TreeHead,
}

/// Leaves of records, in their order.
pub(crate) fn leaves(chunk: &Chunk) -> Vec<Hash> {
    chunk.records().map(|(_, record)| merkle::leaf(&record)).collect()
}

impl Engine {
    /// The tree of the first `size` records; of all that there are when it is 0.
    ///
    /// # Errors
    /// When there are fewer, or the log cannot be read.
    pub async fn tree_head(&self, size: u64) -> Result<TreeHead, QueryError> {
        self.prove(size, |engine, size| {
            ask(engine, [Tree::cut_tile(size), None], |tree, tiles| head(tree, size, tiles))
        })
        .await
    }

    /// Proves that the record at a position, from 1, is one of the first `size`; of all when it is 0.
    ///
    /// # Errors
    /// When there are fewer, or the log cannot be read.
    pub async fn prove_inclusion(&self, position: u64, size: u64) -> Result<Inclusion, QueryError> {
        let index = position.checked_sub(1).ok_or(QueryError::BeforeLog)?;
        self.prove(size, move |engine, size| {
            if index >= size {
                return Err(QueryError::BeyondHead { position, head: size });
            }
            let own = index / TILE;
            ask(engine, [Some(own), Tree::cut_tile(size)], |tree, tiles| {
                let of_own = tiles.iter().find(|tile| tile.index == own);
                let leaf = of_own.and_then(|tile| tile.leaves.get(usize::try_from(index % TILE).ok()?));
                let leaf = *leaf.ok_or(TreeError::Tile(own))?;
                let hashes = tree.prove_inclusion(index, size, tiles)?;
                Ok(Inclusion { leaf, hashes, head: head(tree, size, tiles)? })
            })
        })
        .await
    }

    /// Proves that the tree of the first `to` records, or of all when it is 0, goes on from that of the first `from`.
    ///
    /// # Errors
    /// When there are fewer, or the log cannot be read.
    pub async fn prove_consistency(&self, from: u64, to: u64) -> Result<Consistency, QueryError> {
        self.prove(to, move |engine, to| {
            if from > to {
                return Err(QueryError::BeyondHead { position: from, head: to });
            }
            ask(engine, [Tree::cut_tile(from), Tree::cut_tile(to)], |tree, tiles| {
                let hashes = tree.prove_consistency(from, to, tiles)?;
                Ok(Consistency { hashes, head: head(tree, to, tiles)? })
            })
        })
        .await
    }

    /// Proves something of the first `size` records once the tree has taken them in, where reading may wait for the disk.
    async fn prove<T: Send + 'static>(
        &self,
        size: u64,
        prove: impl FnOnce(&Engine, u64) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let size = if size == 0 { self.head().position } else { size };
        self.reach(size).await?;
        let engine = self.clone();
        blocking::run(move || prove(&engine, size)).await.ok_or(QueryError::Closed)?
    }
}

fn head(tree: &Tree, size: u64, tiles: &[Tile]) -> Result<TreeHead, TreeError> {
    Ok(TreeHead { size, root: tree.root(size, tiles)? })
}

/// Asks the tree about two tiles. The fold waits for some hundred hashes at most: what must be read is read before, and once more where a tile
/// became full meanwhile, which happens to each of them once.
fn ask<T>(
    engine: &Engine,
    indices: [Option<u64>; 2],
    ask: impl Fn(&Tree, &[Tile]) -> Result<T, TreeError>,
) -> Result<T, QueryError> {
    loop {
        let mut tiles: Vec<Tile> = Vec::with_capacity(indices.len());
        for index in indices.into_iter().flatten() {
            if tiles.iter().all(|tile| tile.index != index) {
                tiles.push(tile(engine, index)?);
            }
        }
        let tree = engine.shared.tree.read();
        let is_full = |tile: &Tile| tree.size() >= (tile.index + 1) * TILE;
        if tiles.iter().any(|tile| (tile.leaves.len() as u64) < TILE && is_full(tile)) {
            continue;
        }
        return ask(&tree, &tiles).map_err(|error| {
            tracing::error!(%error, "the log is not what the tree was made of: check it with `satgas verify`");
            QueryError::Unreadable
        });
    }
}

/// The leaves of a tile, as far as the tree reaches.
fn tile(engine: &Engine, index: u64) -> Result<Tile, QueryError> {
    let known = engine.shared.tree.read().size();
    let (mut after, last) = (index * TILE, known.min((index + 1) * TILE));
    let mut leaves = Vec::new();
    while after < last {
        let chunk = engine.shared.journal.read(after, READ_BYTES).map_err(|error| {
            tracing::error!(%error, "the log cannot be read for a proof");
            QueryError::Unreadable
        })?;
        let wanted = usize::try_from(last - after).unwrap_or(usize::MAX);
        leaves.extend(chunk.records().take(wanted).map(|(_, record)| merkle::leaf(&record)));
        if chunk.is_empty() {
            return Err(QueryError::Unreadable);
        }
        after = chunk.last();
    }
    Ok(Tile { index, leaves })
}

/// What a checkpoint keeps of a tree: the roots of full tiles, and the leaves behind them. Forty bytes for 256 records are not worth parts.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept(Vec<Hash>, Vec<Hash>);

impl Parted for Kept {
    type Part = ();

    fn put(&mut self, _: PartId, (): ()) -> bool {
        false
    }

    fn is_complete(&self) -> bool {
        true
    }
}

/// The tree of a checkpoint, if it is one of so many records.
pub(crate) fn restored(Kept(tiles, tail): Kept, size: u64) -> Option<Tree> {
    Tree::of_kept(tiles, tail).filter(|tree| tree.size() == size)
}
