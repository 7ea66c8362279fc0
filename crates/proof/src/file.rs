//! The files that proofs travel in.
//!
//! A proof of a record is a `tlog-proof` of C2SP (<https://c2sp.org/tlog-proof>), which other programs check as it is. Its `extra` line holds, in
//! base64, what the format has no place for:
//!
//! ```text
//! record <base64 of the event as it is stored>      or: leaf <base64 of its leaf hash>
//! since <size of an earlier checkpoint>             may be missing
//! <base64 of a hash of the consistency proof>       so many as there are
//! ```
//!
//! What goes beside an export names the file and the head that its figures stand on:
//!
//! ```text
//! satgas/export-proof@v1
//! file <name>
//! sha256 <base64 of the file's hash>
//! position <log position of the figures>
//! since <size> and hashes, as above
//!
//! <checkpoint of that position>
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{
    checkpoint::Checkpoint,
    merkle::{self, HASHES_MAX, Hash},
    note::{NoteError, PublicKey},
};

/// The longest file that is looked at, in bytes: a record of the largest size, twice in base64, and a checkpoint.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

const OF_RECORD: &str = "c2sp.org/tlog-proof@v1";
const OF_EXPORT: &str = "satgas/export-proof@v1";

/// Why a file proves nothing, by what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is longer than any proof.
    #[error("it is larger than {FILE_BYTES_MAX} bytes: no proof is")]
    TooLarge,
    /// It is no proof, or was cut or edited.
    #[error("it is no proof as `satgas prove` or `satgas export evaluations` writes it: {0}")]
    Form(&'static str),
    /// Its checkpoint cannot be used.
    #[error("its checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The record, its place or the way to the root is not what the checkpoint says.
    #[error(
        "the record is not at position {position} of the log that the checkpoint of {size} records describes: the record was altered or \
         moved, or the proof is for another checkpoint"
    )]
    NotIncluded {
        /// Where it is claimed to be.
        position: u64,
        /// Records of the checkpoint.
        size: u64,
    },
    /// Figures of another position than that of the checkpoint.
    #[error(
        "the figures stand on position {position}, and the checkpoint beside them is of {size}: it is for another head"
    )]
    AnotherHead {
        /// Of the figures.
        position: u64,
        /// Records of the checkpoint.
        size: u64,
    },
    /// The export is not the file that the proof is of.
    #[error("the file is not the one that was exported: it was altered, or is another one")]
    AnotherFile,
    /// What was kept is of another log.
    #[error("the checkpoint that was kept is of another log: {known}, and this one is of {found}")]
    AnotherLog {
        /// Of what was kept.
        known: String,
        /// Of what is checked.
        found: String,
    },
    /// The log has become shorter.
    #[error("the history is truncated: {known} records were known, and this checkpoint has {size}")]
    Truncated {
        /// Records of what was kept.
        known: u64,
        /// Records of what is checked.
        size: u64,
    },
    /// The log is another one than it was.
    #[error(
        "the history is forked: the log of {size} records does not go on from the {known} that were known: records were altered, removed or \
         reordered. Keep both checkpoints: two that are signed and do not fit are the evidence"
    )]
    Forked {
        /// Records of what was kept.
        known: u64,
        /// Records of what is checked.
        size: u64,
    },
    /// The file cannot tell.
    #[error(
        "the file does not prove that it goes on from the {known} records of the checkpoint that was kept: make it with `--since` and that checkpoint"
    )]
    NoConsistency {
        /// Records of what was kept.
        known: u64,
    },
}

/// The record that a proof is of, or its hash for whoever may not see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The event as it is stored.
    Record(Vec<u8>),
    /// Its leaf hash.
    Leaf(Hash),
}

impl Entry {
    /// The leaf hash.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        match self {
            Self::Record(record) => merkle::leaf(record),
            Self::Leaf(leaf) => *leaf,
        }
    }
}

/// Shows that a log goes on from an earlier checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Records of the earlier one.
    pub size: u64,
    /// The consistency proof.
    pub hashes: Vec<Hash>,
}

/// Checks that one checkpoint goes on from another that was kept.
///
/// # Errors
/// What is wrong, by its name.
pub fn check_since(known: &Checkpoint, now: &Checkpoint, proof: Option<&Since>) -> Result<(), ProofError> {
    if known.log_id != now.log_id {
        return Err(ProofError::AnotherLog { known: known.log_id.clone(), found: now.log_id.clone() });
    }
    let (size, known_size) = (now.size, known.size);
    if size < known_size {
        return Err(ProofError::Truncated { known: known_size, size });
    }
    let none = Since { size, hashes: Vec::new() };
    let proof = if size == known_size { Some(&none) } else { proof.filter(|proof| proof.size == known_size) };
    let proof = proof.ok_or(ProofError::NoConsistency { known: known_size })?;
    match merkle::extends((known_size, known.root), (size, now.root), &proof.hashes) {
        true => Ok(()),
        false => Err(ProofError::Forked { known: known_size, size }),
    }
}

/// A proof that a record is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProof {
    /// The record.
    pub entry: Entry,
    /// Its position in the log, from 1.
    pub position: u64,
    /// The inclusion proof.
    pub hashes: Vec<Hash>,
    /// From which earlier checkpoint the log is shown to go on.
    pub since: Option<Since>,
    /// The signed checkpoint.
    pub note: String,
}

impl RecordProof {
    /// The checkpoint, once signature and inclusion hold, and that it goes on from one that was kept.
    ///
    /// # Errors
    /// What is wrong, by its name.
    pub fn check(&self, key: &PublicKey, known: Option<&Checkpoint>) -> Result<Checkpoint, ProofError> {
        let now = Checkpoint::open(&self.note, key)?;
        let index = self.position.checked_sub(1).ok_or(ProofError::Form("positions begin at 1"))?;
        if !merkle::includes(self.entry.leaf(), index, (now.size, now.root), &self.hashes) {
            return Err(ProofError::NotIncluded { position: self.position, size: now.size });
        }
        known.map_or(Ok(()), |known| check_since(known, &now, self.since.as_ref()))?;
        Ok(now)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut extra = match &self.entry {
            Entry::Record(record) => format!("record {}\n", STANDARD.encode(record)),
            Entry::Leaf(leaf) => format!("leaf {}\n", STANDARD.encode(leaf)),
        };
        extra.push_str(&since_text(self.since.as_ref()));
        let index = self.position.saturating_sub(1);
        let hashes = lines_of(&self.hashes);
        format!("{OF_RECORD}\nextra {}\nindex {index}\n{hashes}\n{}", STANDARD.encode(extra), self.note)
    }
}

/// What binds an export to the head that it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportProof {
    /// Name of the file, without folders.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: Hash,
    /// Log position of its figures.
    pub position: u64,
    /// From which earlier checkpoint the log is shown to go on.
    pub since: Option<Since>,
    /// The signed checkpoint of that position.
    pub note: String,
}

impl ExportProof {
    /// The checkpoint, once the signature holds, it is that of the figures, and the export is the file of which this was written.
    ///
    /// # Errors
    /// What is wrong, by its name.
    pub fn check(&self, sha256: Hash, key: &PublicKey, known: Option<&Checkpoint>) -> Result<Checkpoint, ProofError> {
        let now = Checkpoint::open(&self.note, key)?;
        if now.size != self.position {
            return Err(ProofError::AnotherHead { position: self.position, size: now.size });
        }
        if sha256 != self.sha256 {
            return Err(ProofError::AnotherFile);
        }
        known.map_or(Ok(()), |known| check_since(known, &now, self.since.as_ref()))?;
        Ok(now)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { file, sha256, position, since, note } = self;
        let (sha256, since) = (STANDARD.encode(sha256), since_text(since.as_ref()));
        format!("{OF_EXPORT}\nfile {file}\nsha256 {sha256}\nposition {position}\n{since}\n{note}")
    }
}

/// SHA-256 of a file that is read in pieces.
#[derive(Default)]
pub struct FileHash(Sha256);

impl FileHash {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of them.
    #[must_use]
    pub fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// What a file proves something of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Of a record.
    Record(RecordProof),
    /// Of an export.
    Export(ExportProof),
}

/// Reads a file. What is written otherwise than [`RecordProof::to_text`] and [`ExportProof::to_text`] write it is none; a `tlog-proof`
/// without our `extra` has no record, and proves nothing by itself.
///
/// # Errors
/// When it is no proof.
pub fn read(bytes: &[u8]) -> Result<Proof, ProofError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ProofError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ProofError::Form("it is no text"))?;
    if text.contains('\r') {
        return Err(ProofError::Form("its line breaks were changed on the way: carry it as a file, not as a text"));
    }
    if !text.ends_with('\n') {
        return Err(ProofError::Form("its end is missing"));
    }
    let (head, note) = text.split_once("\n\n").ok_or(ProofError::Form("it has no checkpoint"))?;
    let mut lines = head.split('\n');
    let proof = match lines.next() {
        Some(OF_RECORD) => Proof::Record(record(lines, note)?),
        Some(OF_EXPORT) => Proof::Export(export(lines, note)?),
        _ => return Err(ProofError::Form("its first line is that of no proof")),
    };
    let again = match &proof {
        Proof::Record(proof) => proof.to_text(),
        Proof::Export(proof) => proof.to_text(),
    };
    if again == text { Ok(proof) } else { Err(ProofError::Form("it is written otherwise")) }
}

fn record<'a>(mut lines: impl Iterator<Item = &'a str>, note: &str) -> Result<RecordProof, ProofError> {
    let extra = field(lines.next(), "extra ")?;
    let extra = STANDARD.decode(extra).ok().and_then(|extra| String::from_utf8(extra).ok());
    let extra = extra.ok_or(ProofError::Form("its extra line is not ours"))?;
    let mut of_extra = extra.lines();
    let entry = of_extra.next().ok_or(ProofError::Form("it names no record"))?;
    let entry = match entry.split_once(' ') {
        Some(("record", record)) => Entry::Record(base64(record)?),
        Some(("leaf", leaf)) => Entry::Leaf(hash(leaf)?),
        _ => return Err(ProofError::Form("it names no record")),
    };
    let since = since(of_extra.next(), of_extra)?;
    let index = number(field(lines.next(), "index ")?)?;
    let position = index.checked_add(1).ok_or(ProofError::Form("it has no such position"))?;
    Ok(RecordProof { entry, position, hashes: hashes(lines)?, since, note: note.to_owned() })
}

fn export<'a>(mut lines: impl Iterator<Item = &'a str>, note: &str) -> Result<ExportProof, ProofError> {
    let file = field(lines.next(), "file ")?.to_owned();
    // It is printed and looked for: it must neither lead elsewhere nor write over what a terminal shows.
    if file.is_empty() || file.contains(['/', '\\']) || file.contains(is_unseen) {
        return Err(ProofError::Form("its file's name is none"));
    }
    let sha256 = hash(field(lines.next(), "sha256 ")?)?;
    let position = number(field(lines.next(), "position ")?)?;
    let since = since(lines.next(), lines)?;
    Ok(ExportProof { file, sha256, position, since, note: note.to_owned() })
}

/// Whether a character is no part of a text but changes how others are shown.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn since<'a>(first: Option<&str>, lines: impl Iterator<Item = &'a str>) -> Result<Option<Since>, ProofError> {
    let Some(first) = first else { return Ok(None) };
    Ok(Some(Since { size: number(field(Some(first), "since ")?)?, hashes: hashes(lines)? }))
}

fn since_text(since: Option<&Since>) -> String {
    since.map_or_else(String::new, |since| format!("since {}\n{}", since.size, lines_of(&since.hashes)))
}

fn lines_of(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| STANDARD.encode(hash) + "\n").collect()
}

fn field<'a>(line: Option<&'a str>, name: &str) -> Result<&'a str, ProofError> {
    line.and_then(|line| line.strip_prefix(name)).ok_or(ProofError::Form("a line is missing"))
}

fn number(text: &str) -> Result<u64, ProofError> {
    text.parse().map_err(|_| ProofError::Form("a number is none"))
}

fn base64(text: &str) -> Result<Vec<u8>, ProofError> {
    STANDARD.decode(text).map_err(|_| ProofError::Form("something is not base64"))
}

fn hash(text: &str) -> Result<Hash, ProofError> {
    base64(text)?.try_into().map_err(|_| ProofError::Form("a hash is not 32 bytes"))
}

fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, ProofError> {
    let hashes: Vec<Hash> = lines.take(HASHES_MAX + 1).map(hash).collect::<Result<_, _>>()?;
    if hashes.len() > HASHES_MAX { Err(ProofError::Form("it has too many hashes")) } else { Ok(hashes) }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::merkle::{Tile, Tree};

    const LOG: &str = "0191-contoh";

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn public() -> PublicKey {
        PublicKey::of(LOG, &key())
    }

    /// A log of so many records, of which the one at a position may be another.
    fn leaves(count: u64, other: u64) -> Vec<Hash> {
        (1..=count)
            .map(|position| merkle::leaf(format!("record {position} {}", position == other).as_bytes()))
            .collect()
    }

    fn checkpoint(leaves: &[Hash]) -> Checkpoint {
        Checkpoint { log_id: LOG.to_owned(), size: leaves.len() as u64, root: merkle::root_of(leaves) }
    }

    /// A proof of the record at position 3, in a log that goes on from five records.
    fn proof() -> (RecordProof, Checkpoint) {
        let all = leaves(9, 0);
        let mut tree = Tree::default();
        all.iter().for_each(|leaf| tree.push(*leaf));
        let tile = [Tile { index: 0, leaves: all.clone() }];
        let proof = RecordProof {
            entry: Entry::Record(b"record 3 false".to_vec()),
            position: 3,
            hashes: tree.prove_inclusion(2, 9, &tile).unwrap(),
            since: Some(Since { size: 5, hashes: tree.prove_consistency(5, 9, &tile).unwrap() }),
            note: checkpoint(&all).sign(&key()),
        };
        (proof, checkpoint(&all[..5]))
    }

    #[test]
    fn a_proof_that_was_carried_as_a_text_is_checked_with_the_key_alone() {
        let (proof, known) = proof();
        let Proof::Record(read) = read(proof.to_text().as_bytes()).unwrap() else { panic!("of a record") };
        assert_eq!(read, proof);
        assert_eq!(read.check(&public(), Some(&known)).unwrap().size, 9);
        let blind = RecordProof { entry: Entry::Leaf(proof.entry.leaf()), ..proof };
        assert!(blind.check(&public(), None).is_ok(), "who may not see the record carries its hash");
    }

    #[test]
    fn each_way_in_which_a_history_can_be_wrong_has_its_name() {
        let (proof, known) = proof();
        let not_included = Err(ProofError::NotIncluded { position: 3, size: 9 });
        let altered = RecordProof { entry: Entry::Record(b"record 3 true".to_vec()), ..proof.clone() };
        assert_eq!(altered.check(&public(), None), not_included);
        let moved = RecordProof { position: 4, ..proof.clone() };
        assert_eq!(moved.check(&public(), None), Err(ProofError::NotIncluded { position: 4, size: 9 }));
        let another_head = RecordProof { note: checkpoint(&leaves(9, 9)).sign(&key()), ..proof.clone() };
        assert_eq!(another_head.check(&public(), None), not_included);
        let check = |known: &Checkpoint| proof.check(&public(), Some(known));
        assert_eq!(check(&checkpoint(&leaves(12, 0))), Err(ProofError::Truncated { known: 12, size: 9 }));
        let mut reordered = leaves(5, 0);
        reordered.swap(1, 2);
        for forked in [leaves(5, 2), reordered] {
            assert_eq!(check(&checkpoint(&forked)), Err(ProofError::Forked { known: 5, size: 9 }));
        }
        assert_eq!(check(&checkpoint(&leaves(9, 1))), Err(ProofError::Forked { known: 9, size: 9 }));
        assert_eq!(check(&checkpoint(&leaves(4, 0))), Err(ProofError::NoConsistency { known: 4 }));
        let elsewhere = Checkpoint { log_id: "0191-lain".to_owned(), ..known };
        assert!(matches!(check(&elsewhere), Err(ProofError::AnotherLog { .. })));
    }

    #[test]
    fn an_export_is_bound_to_its_head() {
        let all = leaves(9, 0);
        let proof = ExportProof {
            file: "q1.csv".to_owned(),
            sha256: [4; 32],
            position: 9,
            since: None,
            note: checkpoint(&all).sign(&key()),
        };
        assert_eq!(read(proof.to_text().as_bytes()), Ok(Proof::Export(proof.clone())));
        assert!(proof.check([4; 32], &public(), Some(&checkpoint(&all))).is_ok());
        assert_eq!(proof.check([5; 32], &public(), None), Err(ProofError::AnotherFile));
        for name in ["", "../q1.csv", "q1\u{1b}[2K.csv", "q1\u{202e}vsc.exe"] {
            let named = ExportProof { file: name.to_owned(), ..proof.clone() };
            assert_eq!(read(named.to_text().as_bytes()), Err(ProofError::Form("its file's name is none")), "{name:?}");
        }
        let other = ExportProof { position: 8, ..proof };
        assert_eq!(other.check([4; 32], &public(), None), Err(ProofError::AnotherHead { position: 8, size: 9 }));
    }

    #[test]
    fn what_is_no_proof_is_refused_and_no_changed_byte_goes_unseen() {
        let (proof, _) = proof();
        let text = proof.to_text();
        for bad in ["", "\n\n", OF_RECORD, &text[1..], &text.replace("index 2", "index 02"), "\u{0}\n\n"] {
            assert!(matches!(read(bad.as_bytes()), Err(ProofError::Form(_))), "{bad}");
        }
        assert!(matches!(read(&[0xff, b'\n', b'\n']), Err(ProofError::Form(_))));
        assert_eq!(read(&vec![b'a'; FILE_BYTES_MAX + 1]), Err(ProofError::TooLarge));
        let many = format!("{OF_RECORD}\nextra {}\nindex 2\n{}\n", STANDARD.encode("leaf AA==\n"), "AA==\n".repeat(90));
        assert!(matches!(read(many.as_bytes()), Err(ProofError::Form(_))));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let good = read(&bytes)
                .is_ok_and(|read| matches!(read, Proof::Record(read) if read.check(&public(), None).is_ok()));
            // What shows that it goes on from an earlier checkpoint is not asked for here.
            let changed_since =
                String::from_utf8(bytes).is_ok_and(|text| text.lines().nth(1) != proof.to_text().lines().nth(1));
            assert!(!good || changed_since, "byte {at}");
        }
        for end in 1..text.len() {
            let cut = read(&text.as_bytes()[..end]);
            assert!(
                !cut.is_ok_and(|cut| matches!(cut, Proof::Record(cut) if cut.check(&public(), None).is_ok())),
                "{end}"
            );
        }
        let windows = read(text.replace('\n', "\r\n").as_bytes()).unwrap_err().to_string();
        assert!(windows.contains("line breaks were changed"), "{windows}");
    }
}
