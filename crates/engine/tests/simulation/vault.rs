//! The vault of a simulated machine: real files, what a crash leaves among them, and somebody who has an old copy of them.
//!
//! Its keys are drawn by the operating system and differ when a seed is played again. Nothing that is done depends on them: all keys and seals
//! are of one length, and the trace has none of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use satgas_domain::id::SubmissionId;
use satgas_engine::vault::{self, CaseKey, Clear, MasterKey, Masters, Of};
use satgas_proto::v1::{self, event::Body};

use crate::{scratch::scratch, world::World};

/// What messages of reporters and of the agency are sealed as.
const OF_REPORTER: i32 = 101;
const OF_AGENCY: i32 = 102;

pub(crate) struct Keys {
    folder: tempfile::TempDir,
    masters: Masters,
    /// Every key that ever lay in the vault when somebody copied it.
    copies: BTreeMap<PathBuf, Vec<u8>>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { folder: scratch(), masters: Masters::known(vec![MasterKey::generate()]), copies: BTreeMap::new() }
    }

    pub(crate) fn options(&self) -> vault::Options {
        vault::Options { folder: self.folder.path().to_owned(), masters: self.masters.clone() }
    }

    fn path(&self, case_id: &str, ending: &str) -> PathBuf {
        self.folder.path().join(format!("{case_id}.{ending}"))
    }

    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).expect("the vault");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|of| of == ending));
        paths.sort();
        paths
    }

    /// Somebody copies the vault.
    fn copy(&mut self) {
        for path in self.files("key") {
            let bytes = fs::read(&path).expect("a key");
            self.copies.insert(path, bytes);
        }
    }

    /// What a restart may find: a key that was not written to its end, and keys that somebody has put back from a copy, with the marks of
    /// those that were destroyed gone.
    pub(crate) fn restart(&mut self, world: &World) {
        self.copy();
        if world.chance(0.2)
            && let Some(key) = self.files("key").first()
        {
            let bytes = fs::read(key).expect("a key");
            fs::write(key.with_extension("draft"), &bytes[..world.below(bytes.len())]).expect("it is written");
            world.note("a key is left half written");
        }
        if world.chance(0.3) {
            self.files("erased").iter().for_each(|mark| fs::remove_file(mark).expect("a mark"));
            for (path, bytes) in self.copies.iter().filter(|(path, _)| !path.exists()) {
                fs::write(path, bytes).expect("it is written");
            }
            world.note(format_args!("the vault is put back from a copy of {} keys", self.copies.len()));
        }
    }

    pub(crate) fn holds_no_key_of(&self, case_id: &str) {
        assert!(!self.path(case_id, "key").exists(), "the key of the erased {case_id} lies in the vault");
    }

    /// Of a case whose erasure was approved no key is left once an engine was opened, and nothing of a write.
    pub(crate) fn holds_no_key_of_the_erased(&self, log: &[v1::Event]) {
        erased(log).iter().for_each(|case_id| self.holds_no_key_of(case_id));
        let left = [self.files("draft"), self.files("former")].concat();
        assert!(left.is_empty(), "parts of keys lie in the vault: {left:?}");
    }

    /// What is sealed in the log, by position, where its key is still there. Nothing in the vault opens a seal of the erased, and
    /// everything else opens.
    pub(crate) fn opened(&self, log: &[v1::Event]) -> BTreeMap<u64, String> {
        let erased = erased(log);
        let files = vault::key_files(self.folder.path(), &self.masters).expect("the vault is read");
        let keys: BTreeMap<String, CaseKey> = files
            .into_iter()
            .map(|file| (file.case.expect("a case's key").to_string(), file.key.expect("it unwraps")))
            .collect();
        let Some(Body::LogOpened(opened)) = &log[0].body else { panic!("a log begins with its opening") };
        let mut texts = BTreeMap::new();
        for event in log {
            let Some((case_id, kind, seal)) = seal(event) else { continue };
            let of = Of { log_id: &opened.log_id, case: SubmissionId::parse(case_id).expect("an id"), kind };
            if erased.contains(case_id) {
                assert!(keys.values().all(|key| !key.opens(of, seal)), "an erased identity can be read: {case_id}");
                continue;
            }
            let key = keys.get(case_id).unwrap_or_else(|| panic!("the key of {case_id} is lost"));
            texts.insert(event.position, text(key, of, event, seal));
        }
        texts
    }
}

/// Cases and reports whose erasure was approved.
pub(crate) fn erased(log: &[v1::Event]) -> BTreeSet<String> {
    let approved = |event: &v1::Event| match &event.body {
        Some(Body::ErasureApproved(approved)) => Some(approved.case_id.clone()),
        _ => None,
    };
    log.iter().filter_map(approved).collect()
}

/// Whose seal an event holds, what it is sealed as, and the seal.
fn seal(event: &v1::Event) -> Option<(&str, i32, &v1::Seal)> {
    let (id, kind, seal) = match event.body.as_ref()? {
        Body::IdentitySealed(e) => (&e.case_id, e.kind, &e.seal),
        Body::PublicReportReceived(e) => (&e.report_id, v1::IdentityKind::PublicReport.into(), &e.seal),
        Body::PublicReportMessage(e) => (&e.report_id, if e.by.is_some() { OF_AGENCY } else { OF_REPORTER }, &e.seal),
        _ => return None,
    };
    Some((id, kind, seal.as_ref().expect("it is sealed")))
}

fn text(key: &CaseKey, of: Of<'_>, event: &v1::Event, seal: &v1::Seal) -> String {
    const OPENS: &str = "the case's key opens it";
    match event.body {
        Some(Body::IdentitySealed(_)) => {
            let clear: Clear = key.open(of, seal).expect(OPENS);
            clear.identity().full_name.clone()
        }
        Some(Body::PublicReportReceived(_)) => {
            let clear: Clear<v1::PublicReportText> = key.open(of, seal).expect(OPENS);
            clear.message().text.clone()
        }
        _ => {
            let clear: Clear<v1::PublicMessageText> = key.open(of, seal).expect(OPENS);
            clear.message().text.clone()
        }
    }
}
