//! The Merkle tree of RFC 6962 over the records of a log, with SHA-256, and proofs about it.
//!
//! A leaf is the hash of a byte 0 and a record, an inner node the hash of a byte 1 and its two children; the left half of a tree is the
//! largest full tree that is smaller. So the tree of the first n records is fixed by them alone, and lies in every later one.
//!
//! A [`Tree`] keeps the roots of all full tiles of [`TILE`] leaves, the nodes above them, and the leaves of the last tile: 64 bytes for
//! 256 records, 2.5 MB for ten million. What is asked about other leaves takes those of one tile or two, made again from their records.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash: of a leaf, of a node, of a tree.
pub type Hash = [u8; 32];

/// Leaves of a tile.
pub const TILE: u64 = 256;
/// No proof is longer: a tree has at most 64 levels, and a consistency proof may bring one hash more.
pub const HASHES_MAX: usize = 65;

/// The hash of a record, given as it is stored.
#[must_use]
pub fn leaf(record: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(record).finalize().into()
}

/// The root of the tree without records.
#[must_use]
pub fn empty() -> Hash {
    Sha256::new().finalize().into()
}

/// The root over leaves.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            node(&root_of(left), &root_of(right))
        }
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Leaves of one tile, from its first on: all of them, or as many as the tree has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Number of the tile: its first leaf is that of position `TILE * index + 1`.
    pub index: u64,
    /// Its leaves.
    pub leaves: Vec<Hash>,
}

/// Why a tree does not prove something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// It is asked about more leaves than there are.
    #[error("the tree has {0} leaves")]
    Beyond(u64),
    /// The leaves of a tile were not given, or are not those that the tree was made of.
    #[error("the records of tile {0} are not those that the tree was made of")]
    Tile(u64),
}

/// The tree of a log that grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Roots of the full tiles; above them, of each two of the level below.
    levels: Vec<Vec<Hash>>,
    /// Leaves of the last tile, while it is not full.
    tail: Vec<Hash>,
}

impl Tree {
    /// A tree from what [`Tree::kept`] told: the roots of full tiles, and the leaves behind them. `None` when these are too many.
    #[must_use]
    pub fn of_kept(tiles: Vec<Hash>, tail: Vec<Hash>) -> Option<Self> {
        let mut tree = Self { levels: Vec::new(), tail };
        tiles.into_iter().for_each(|root| tree.add(root));
        ((tree.tail.len() as u64) < TILE).then_some(tree)
    }

    /// All that is needed to make it again: the roots of full tiles, and the leaves behind them.
    #[must_use]
    pub fn kept(&self) -> (&[Hash], &[Hash]) {
        (self.levels.first().map_or(&[], Vec::as_slice), &self.tail)
    }

    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.kept().0.len() as u64 * TILE + self.tail.len() as u64
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.tail.push(leaf);
        if self.tail.len() as u64 == TILE {
            let root = root_of(&self.tail);
            self.tail.clear();
            self.add(root);
        }
    }

    /// Adds the root of a full tile, and every node that becomes full with it.
    fn add(&mut self, mut root: Hash) {
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(root);
            if nodes.len() % 2 == 1 {
                break;
            }
            root = node(&nodes[nodes.len() - 2], &root);
        }
    }

    /// The tile whose leaves are needed for the tree of the first `size` leaves; `None` when it ends with a tile.
    #[must_use]
    pub fn cut_tile(size: u64) -> Option<u64> {
        (!size.is_multiple_of(TILE)).then_some(size / TILE)
    }

    /// The root of the tree of the first `size` leaves, with the tile that it cuts.
    ///
    /// # Errors
    /// When there are fewer leaves, or those of the tile are others.
    pub fn root(&self, size: u64, tiles: &[Tile]) -> Result<Hash, TreeError> {
        self.check(size, tiles)?;
        if size == 0 { Ok(empty()) } else { self.range(0, size, tiles) }
    }

    /// Proves that a leaf, counted from 0, lies in the tree of the first `size` leaves, with its own tile and the one that the tree cuts.
    ///
    /// # Errors
    /// When there are fewer leaves, or those of a tile are others.
    pub fn prove_inclusion(&self, index: u64, size: u64, tiles: &[Tile]) -> Result<Vec<Hash>, TreeError> {
        self.check(size, tiles)?;
        if index >= size {
            return Err(TreeError::Beyond(size));
        }
        let (mut start, mut len, mut proof) = (0, size, Vec::new());
        while len > 1 {
            let left = split(len);
            if index - start < left {
                proof.push(self.range(start + left, len - left, tiles)?);
                len = left;
            } else {
                proof.push(self.range(start, left, tiles)?);
                (start, len) = (start + left, len - left);
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// Proves that the tree of the first `from` leaves lies in that of the first `to`, with the tiles that both cut.
    ///
    /// # Errors
    /// When there are fewer leaves, `from` is the larger, or the leaves of a tile are others.
    pub fn prove_consistency(&self, from: u64, to: u64, tiles: &[Tile]) -> Result<Vec<Hash>, TreeError> {
        self.check(to, tiles)?;
        if from > to {
            return Err(TreeError::Beyond(to));
        }
        let (mut start, mut len, mut known, mut proof) = (0, to, true, Vec::new());
        if from == 0 {
            return Ok(proof);
        }
        // Down to where the smaller tree ends; what was its own root on the way need not be told.
        while start + len != from {
            let left = split(len);
            if from - start <= left {
                proof.push(self.range(start + left, len - left, tiles)?);
                len = left;
            } else {
                proof.push(self.range(start, left, tiles)?);
                (start, len, known) = (start + left, len - left, false);
            }
        }
        if !known {
            proof.push(self.range(start, len, tiles)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// Whether it has so many leaves, and the tiles are its own.
    fn check(&self, size: u64, tiles: &[Tile]) -> Result<(), TreeError> {
        if size > self.size() {
            return Err(TreeError::Beyond(self.size()));
        }
        for tile in tiles {
            let (full, tail) = self.kept();
            let root = usize::try_from(tile.index).ok().and_then(|index| full.get(index));
            let is_own = match root {
                Some(root) => root_of(&tile.leaves) == *root,
                None => tile.index == full.len() as u64 && tail.starts_with(&tile.leaves),
            };
            if !is_own {
                return Err(TreeError::Tile(tile.index));
            }
        }
        Ok(())
    }

    /// The root over leaves that are a subtree of some tree: so they lie in one tile, or are whole tiles and at most one that is cut.
    fn range(&self, start: u64, len: u64, tiles: &[Tile]) -> Result<Hash, TreeError> {
        let index = start / TILE;
        if len < TILE {
            let tile = tiles.iter().find(|tile| tile.index == index).ok_or(TreeError::Tile(index))?;
            let within = |at: u64| usize::try_from(at % TILE).unwrap_or_default();
            let leaves = tile.leaves.get(within(start)..within(start + len - 1) + 1).ok_or(TreeError::Tile(index))?;
            return Ok(root_of(leaves));
        }
        if len.is_power_of_two() {
            let level = usize::try_from((len / TILE).ilog2()).ok().and_then(|level| self.levels.get(level));
            let node = level.zip(usize::try_from(start / len).ok()).and_then(|(level, at)| level.get(at));
            return node.copied().ok_or(TreeError::Beyond(self.size()));
        }
        let left = split(len);
        Ok(node(&self.range(start, left, tiles)?, &self.range(start + left, len - left, tiles)?))
    }
}

/// Leaves in the left half of a tree of `len`, which are at least two.
fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}

/// Whether a proof shows that a leaf, counted from 0, lies in a tree.
#[must_use]
pub fn includes(leaf: Hash, index: u64, (size, root): (u64, Hash), proof: &[Hash]) -> bool {
    if index >= size || proof.len() > HASHES_MAX {
        return false;
    }
    // Where the leaf stands at each level, and where the last node does.
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            hash = node(sibling, &hash);
            // A last node without a sibling is handed up as it is.
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at / 2, last / 2);
    }
    last == 0 && hash == root
}

/// Whether a proof shows that one tree lies in another: the larger has the same first leaves, in the same order.
#[must_use]
pub fn extends((from, from_root): (u64, Hash), (to, to_root): (u64, Hash), proof: &[Hash]) -> bool {
    if from == to || from == 0 {
        let known = if from == 0 { from_root == empty() } else { from_root == to_root };
        return proof.is_empty() && known;
    }
    if from > to || proof.len() > HASHES_MAX {
        return false;
    }
    let (mut at, mut last) = (from - 1, to - 1);
    while at % 2 == 1 {
        (at, last) = (at / 2, last / 2);
    }
    // A full smaller tree is a node of the larger one, so its root is known.
    let own = if from.is_power_of_two() { Some(&from_root) } else { None };
    let mut hashes = own.into_iter().chain(proof);
    let Some(first) = hashes.next() else { return false };
    let (mut old, mut new) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            (old, new) = (node(sibling, &old), node(sibling, &new));
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            new = node(&new, sibling);
        }
        (at, last) = (at / 2, last / 2);
    }
    last == 0 && old == from_root && new == to_root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> usize {
        usize::try_from(number).unwrap()
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf(&number.to_be_bytes())).collect()
    }

    fn tree(leaves: &[Hash]) -> Tree {
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree
    }

    fn tiles(leaves: &[Hash], of: impl IntoIterator<Item = u64>) -> Vec<Tile> {
        let tile = |index: u64| {
            let start = at(index * TILE);
            let end = leaves.len().min(start + at(TILE));
            Tile { index, leaves: leaves[start..end].to_vec() }
        };
        of.into_iter().map(tile).collect()
    }

    #[test]
    fn the_hashes_of_a_known_tree_are_the_published_ones() {
        // The trees of 0, 1 and 8 entries with which Certificate Transparency tests its logs.
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(empty()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let entries: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let leaves = entries.map(leaf);
        assert_eq!(hex(root_of(&leaves[..1])), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(root_of(&leaves)), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn every_tree_of_every_size_proves_its_leaves_and_its_beginnings_and_nothing_else() {
        let all = leaves(1_100);
        let tree = tree(&all);
        for size in [1, 2, 3, 255, 256, 257, 511, 512, 513, 700, 1_024, 1_025, 1_100] {
            let cut = Tree::cut_tile(size);
            let root = tree.root(size, &tiles(&all, cut)).unwrap();
            assert_eq!(root, root_of(&all[..at(size)]), "{size}");
            for index in [0, 1, size / 3, size / 2, size.saturating_sub(2), size - 1].map(|index| index.min(size - 1)) {
                let proof =
                    tree.prove_inclusion(index, size, &tiles(&all, cut.into_iter().chain([index / TILE]))).unwrap();
                let leaf = all[at(index)];
                assert!(includes(leaf, index, (size, root), &proof), "{index} of {size}");
                assert!(!includes(leaf, index + 1, (size, root), &proof) || size == 1);
                assert!(!includes([0; 32], index, (size, root), &proof));
                for left_out in 0..proof.len() {
                    let mut short = proof.clone();
                    short.remove(left_out);
                    assert!(!includes(leaf, index, (size, root), &short));
                }
            }
            for from in
                [1, 2, 3, 100, 128, 255, 256, 257, 512, 600, 1_024, size].into_iter().filter(|from| *from <= size)
            {
                let both = [Tree::cut_tile(from), cut].into_iter().flatten();
                let proof = tree.prove_consistency(from, size, &tiles(&all, both)).unwrap();
                let old = root_of(&all[..at(from)]);
                assert!(extends((from, old), (size, root), &proof), "{from} to {size}");
                assert!(!extends((from, [1; 32]), (size, root), &proof));
                assert!(!extends((from, old), (size, [1; 32]), &proof));
                assert!(from == size || !extends((from + 1, old), (size, root), &proof));
            }
        }
    }

    #[test]
    fn a_tree_that_was_kept_goes_on_as_if_it_had_not_been() {
        let all = leaves(2_000);
        let (mut kept, whole) = (tree(&all[..1_300]), tree(&all));
        let (tiles, tail) = kept.kept();
        kept = Tree::of_kept(tiles.to_vec(), tail.to_vec()).unwrap();
        assert_eq!(kept.size(), 1_300);
        all[1_300..].iter().for_each(|leaf| kept.push(*leaf));
        assert_eq!(kept, whole);
        assert_eq!(Tree::of_kept(Vec::new(), all), None);
    }

    #[test]
    fn leaves_that_are_not_the_trees_own_prove_nothing() {
        let all = leaves(600);
        let tree = tree(&all);
        let mut altered = tiles(&all, [0]);
        altered[0].leaves[7] = [9; 32];
        assert_eq!(tree.prove_inclusion(7, 512, &altered), Err(TreeError::Tile(0)));
        altered = tiles(&all, [2]);
        altered[0].leaves[7] = [9; 32];
        assert_eq!(tree.root(600, &altered), Err(TreeError::Tile(2)));
        assert_eq!(tree.root(600, &[]), Err(TreeError::Tile(2)), "not given");
        assert_eq!(tree.root(601, &[]), Err(TreeError::Beyond(600)));
        assert_eq!(tree.prove_inclusion(512, 512, &[]), Err(TreeError::Beyond(512)));
        assert_eq!(tree.prove_consistency(513, 512, &[]), Err(TreeError::Beyond(512)));
    }
}
