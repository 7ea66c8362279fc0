//! Held against another implementation of the same formats: `signed_note` and `tlog_tiles`, ports of the tools of the Go module log. Each side
//! makes notes and proofs, and the other one checks them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_proof::{
    Checkpoint, PublicKey, Tree,
    merkle::{self, Hash, TILE, Tile},
};
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{
    HashReader, check_record, check_tree, prove_record, prove_tree, record_hash, stored_hashes, tree_hash,
};

const LOG: &str = "019a0000-contoh";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn public() -> PublicKey {
    PublicKey::of(LOG, &key()).of_checkpoints()
}

/// A number of leaves or hashes as an index.
fn at(number: u64) -> usize {
    usize::try_from(number).expect("these trees are small")
}

/// The hashes that the other implementation keeps.
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[at(*index)]).collect())
    }
}

/// The same log in both.
struct Both {
    leaves: Vec<Hash>,
    tree: Tree,
    stored: Stored,
}

impl Both {
    fn of(count: u64) -> Self {
        let mut both = Self { leaves: Vec::new(), tree: Tree::default(), stored: Stored(Vec::new()) };
        for number in 0..count {
            let record = format!("record {number}");
            let leaf = merkle::leaf(record.as_bytes());
            assert_eq!(leaf, record_hash(record.as_bytes()).0);
            both.tree.push(leaf);
            both.leaves.push(leaf);
            let more = stored_hashes(number, record.as_bytes(), &both.stored).expect("it has all before");
            both.stored.0.extend(more);
        }
        both
    }

    fn tiles(&self, indices: impl IntoIterator<Item = u64>) -> Vec<Tile> {
        let mut tiles = Vec::new();
        for index in indices {
            let start = at(index * TILE);
            let end = self.leaves.len().min(start + at(TILE));
            tiles.push(Tile { index, leaves: self.leaves[start..end].to_vec() });
        }
        tiles
    }

    fn root(&self, size: u64) -> Hash {
        self.tree.root(size, &self.tiles(Tree::cut_tile(size))).expect("the tree has so many leaves")
    }
}

fn theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(|hash| tlog_tiles::Hash(*hash)).collect()
}

fn ours(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| hash.0).collect()
}

#[test]
fn each_checks_the_proofs_of_the_other_for_trees_of_any_size() {
    let mut dice = ChaCha8Rng::seed_from_u64(7);
    let both = Both::of(3_000);
    for _ in 0..2_000 {
        // Small and large sizes alike.
        let most = 1 << dice.random_range(0..12u32);
        let size = dice.random_range(1..=most.min(3_000u64));
        let (index, from) = (dice.random_range(0..size), dice.random_range(1..=size));
        let (root, old) = (both.root(size), both.root(from));
        assert_eq!(root, tree_hash(size, &both.stored).unwrap().0);

        let tiles = both.tiles(Tree::cut_tile(size).into_iter().chain([index / TILE]));
        let proof = both.tree.prove_inclusion(index, size, &tiles).unwrap();
        let leaf = both.leaves[at(index)];
        let (their_root, their_leaf) = (tlog_tiles::Hash(root), tlog_tiles::Hash(leaf));
        check_record(&theirs(&proof), size, their_root, index, their_leaf).unwrap();
        let made_there = ours(&prove_record(size, index, &both.stored).unwrap());
        assert!(merkle::includes(leaf, index, (size, root), &made_there));
        assert_eq!(made_there, proof);

        let tiles = both.tiles(Tree::cut_tile(size).into_iter().chain(Tree::cut_tile(from)));
        let proof = both.tree.prove_consistency(from, size, &tiles).unwrap();
        check_tree(&theirs(&proof), size, their_root, from, tlog_tiles::Hash(old)).unwrap();
        let made_there = ours(&prove_tree(size, from, &both.stored).unwrap());
        assert!(merkle::extends((from, old), (size, root), &made_there));
        assert_eq!(made_there, proof);
    }
}

#[test]
fn both_refuse_the_same_proofs() {
    let mut dice = ChaCha8Rng::seed_from_u64(8);
    let both = Both::of(700);
    let mut refused = 0;
    for _ in 0..2_000 {
        let size = dice.random_range(2..=700u64);
        let (index, from) = (dice.random_range(0..size), dice.random_range(1..size));
        let (root, old) = (both.root(size), both.root(from));
        let leaf = both.leaves[at(index)];
        let spoil = |dice: &mut ChaCha8Rng, mut proof: Vec<Hash>| {
            match dice.random_range(0..4) {
                0 => proof.push([1; 32]),
                1 => drop(proof.pop()),
                2 if proof.len() > 1 => proof.swap(0, 1),
                _ => proof.iter_mut().take(1).for_each(|hash| hash[0] ^= 1),
            }
            proof
        };
        let inclusion = spoil(&mut dice, ours(&prove_record(size, index, &both.stored).unwrap()));
        let there = check_record(&theirs(&inclusion), size, tlog_tiles::Hash(root), index, tlog_tiles::Hash(leaf));
        assert_eq!(merkle::includes(leaf, index, (size, root), &inclusion), there.is_ok(), "{index} of {size}");
        refused += u32::from(there.is_err());
        let consistency = spoil(&mut dice, ours(&prove_tree(size, from, &both.stored).unwrap()));
        let there = check_tree(&theirs(&consistency), size, tlog_tiles::Hash(root), from, tlog_tiles::Hash(old));
        assert_eq!(merkle::extends((from, old), (size, root), &consistency), there.is_ok(), "{from} to {size}");
        refused += u32::from(there.is_err());
    }
    assert!(refused > 3_900, "{refused} of 4,000 were spoilt");
}

#[test]
fn each_opens_the_checkpoints_that_the_other_signed() {
    let checkpoint = Checkpoint { log_id: LOG.to_owned(), size: 8_200, root: [5; 32] };
    let signed = checkpoint.sign(&key());
    let verifier = StandardVerifier::new(&public().to_string()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let note = Note::from_bytes(signed.as_bytes()).unwrap();
    let (verified, unverified) = note.verify(&known).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    assert_eq!(note.to_bytes(), signed.as_bytes());
    let there = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((there.origin(), there.size(), there.hash().0), (public().name(), 8_200, [5; 32]));

    // The same key there signs the same bytes.
    let (name, told) = (public().name().to_owned(), public().to_string());
    let id = told.split('+').nth(1).unwrap();
    let secret = STANDARD.encode([&[1], &key().to_bytes()[..]].concat());
    let signer = StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id}+{secret}")).unwrap();
    let mut note = Note::new(checkpoint.to_string().as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    assert_eq!((signer.name(), note.to_bytes()), (name.as_str(), signed.clone().into_bytes()));

    let altered = signed.replace("\n8200\n", "\n8201\n");
    assert!(Note::from_bytes(altered.as_bytes()).unwrap().verify(&known).is_err());
    assert!(Checkpoint::open(&altered, &public()).is_err());
}
