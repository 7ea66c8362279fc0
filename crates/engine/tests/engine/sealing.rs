//! Sealed identities through the engine: what is acknowledged can be read again, nothing is shown that was not recorded, and of an erased
//! case no key is left, wherever it was cut short.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use satgas_domain::{id::SubmissionId, sealed::Refusal};
use satgas_engine::{
    Engine, Options, SealError,
    vault::{self, Clear, MasterKey, Masters, VaultError},
};
use satgas_journal::{
    Journal, MemoryJournal,
    faulty::{FaultyJournal, Plan},
};
use satgas_proto::v1::{self, ErasureStatus, IdentityKind, ReceiptStatus, event::Body};

use crate::support::*;

const NAME: &str = "Melati Contoh Rahasia";
const PURPOSE: &str = "Pendampingan di rumah sakit";
const VICTIM: IdentityKind = IdentityKind::Victim;
/// The appends of these stories: the log's opening, the town, the case, who takes it, then what the story does.
const FIRST: u64 = 5;

/// A folder with a vault, and its master key.
struct Keys {
    folder: tempfile::TempDir,
    master: MasterKey,
}

impl Keys {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), master: MasterKey::generate() }
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("cases")
    }

    fn options(&self) -> Options {
        let masters = Masters::known(vec![self.master.clone()]);
        let checkpoints = Some(self.folder.path().join("checkpoints"));
        Options { checkpoints, vault: Some(vault::Options { folder: self.folder(), masters }), ..Options::default() }
    }

    fn key(&self, case: u32) -> PathBuf {
        self.folder().join(format!("{}.key", id(case)))
    }
}

/// An engine with the town and case 1, which `satu` has.
async fn with_case(journal: Arc<dyn Journal>, keys: &Keys) -> Engine {
    let engine = open_town(journal, &keys.options()).await;
    accepted(&engine, case(1)).await;
    take(&engine, "satu").await.expect("nobody has it");
    engine
}

/// A case worker takes case 1.
async fn take(engine: &Engine, who: &str) -> Result<v1::Receipt, SealError> {
    let by = Some(by(who));
    let (command_id, case_id) = (id(900), id(1));
    let taken = v1::CaseAssigned { command_id, case_id, subject: who.into(), by, ..Default::default() };
    engine.record_about_seals(Body::CaseAssigned(taken)).await
}

fn person(name: &str) -> Clear {
    v1::PersonIdentity { full_name: name.into(), ..Default::default() }.into()
}

async fn seal(engine: &Engine, n: u32, version: u64, name: &str) -> Result<v1::Receipt, SealError> {
    let command = v1::RecordIdentityRequest {
        command_id: id(n),
        case_id: id(1),
        expected_version: version,
        kind: VICTIM.into(),
        identity: None,
    };
    engine.record_identity(command, person(name)).await
}

fn by(who: &str) -> v1::Actor {
    v1::Actor { id: who.into(), role: "case_worker".into(), ..Default::default() }
}

async fn unseal(engine: &Engine) -> Result<String, SealError> {
    let request = v1::UnsealIdentityRequest { case_id: id(1), kind: VICTIM.into(), purpose: PURPOSE.into() };
    engine.unseal_identity(request, by("satu")).await.map(|unsealed| unsealed.identity.show().full_name)
}

async fn request(engine: &Engine, n: u32) -> Result<v1::Receipt, SealError> {
    let reason = "Permintaan keluarga".into();
    let requested = v1::ErasureRequested { command_id: id(n), case_id: id(1), reason, by: Some(by("satu")) };
    engine.record_about_seals(Body::ErasureRequested(requested)).await
}

async fn approve(engine: &Engine, n: u32) -> Result<v1::Receipt, SealError> {
    engine.approve_erasure(v1::ErasureApproved { command_id: id(n), case_id: id(1), by: Some(by("dua")) }).await
}

fn refusal<T: std::fmt::Debug>(result: Result<T, SealError>) -> Refusal {
    match result {
        Err(SealError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

async fn erasure(engine: &Engine) -> ErasureStatus {
    engine.sealing_shown(&id(1)).await.expect("it is told").erasure()
}

/// Every byte of every file of a folder.
fn bytes_of(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).expect("it is read") {
        let path = entry.expect("it is read").path();
        if path.is_dir() { bytes.extend(bytes_of(&path)) } else { bytes.extend(fs::read(path).expect("it is read")) }
    }
    bytes
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[tokio::test]
async fn who_does_not_have_the_case_reads_nothing_hears_nothing_and_nothing_is_written() {
    let keys = Keys::new();
    let engine = with_case(Arc::new(MemoryJournal::new()), &keys).await;
    let other = async |case: u32| {
        let request = v1::UnsealIdentityRequest { case_id: id(case), kind: VICTIM.into(), purpose: PURPOSE.into() };
        refusal(engine.unseal_identity(request, by("dua")).await)
    };
    assert_eq!(other(1).await, Refusal::NotAssigned, "before there is anything");
    seal(&engine, 50, 1, NAME).await.unwrap();
    let head = engine.head();
    assert_eq!((other(1).await, other(2).await), (Refusal::NotAssigned, Refusal::NotAssigned), "nor of no case");
    assert_eq!(engine.head(), head);
    stop(engine).await;
}

#[tokio::test]
async fn what_was_sealed_is_read_after_a_restart_and_lies_nowhere_in_the_clear() {
    let (keys, data) = (Keys::new(), tempfile::tempdir().unwrap());
    let engine = with_case(sled(data.path()), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    assert_eq!(unseal(&engine).await.unwrap(), NAME);
    stop(engine).await;
    let engine = open(sled(data.path()), &keys.options());
    assert_eq!(unseal(&engine).await.unwrap(), NAME);
    let events = log(&engine).await;
    stop(engine).await;
    let raw = [bytes_of(data.path()), bytes_of(keys.folder.path())].concat();
    assert!(holds(&raw, PURPOSE.as_bytes()), "what is not sealed is found, so the search works");
    for part in NAME.split(' ').filter(|part| *part != "Contoh") {
        assert!(!holds(&raw, part.as_bytes()), "{part}");
    }
    let reads = events.iter().filter(|event| matches!(event.body, Some(Body::IdentityRead(_)))).count();
    assert_eq!(reads, 2);
}

#[tokio::test]
async fn the_same_command_is_sealed_once_and_another_under_its_id_is_refused_after_a_restart_too() {
    let (keys, journal) = (Keys::new(), Arc::new(MemoryJournal::new()));
    let mut engine = with_case(journal.clone(), &keys).await;
    let first = seal(&engine, 50, 1, NAME).await.unwrap().position;
    for _ in 0..2 {
        let again = seal(&engine, 50, 1, NAME).await.unwrap();
        assert_eq!(fate(&again), (ReceiptStatus::AlreadyKnown, first));
        let other = seal(&engine, 50, 1, "Orang Lain Contoh").await;
        assert!(matches!(other, Err(SealError::IdTaken { position }) if position == first), "{other:?}");
        stop(engine).await;
        engine = open(journal.clone(), &keys.options());
    }
    stop(engine).await;
}

#[tokio::test]
async fn without_its_checkpoints_the_engine_still_knows_what_was_sealed() {
    let (keys, journal) = (Keys::new(), Arc::new(MemoryJournal::new()));
    let engine = with_case(journal.clone(), &keys).await;
    let first = seal(&engine, 50, 1, NAME).await.unwrap().position;
    let shown = engine.sealing_shown(&id(1)).await.unwrap();
    stop(engine).await;
    fs::remove_dir_all(keys.folder.path().join("checkpoints")).unwrap();
    let engine = open(journal, &keys.options());
    assert_eq!(engine.sealing_shown(&id(1)).await.unwrap(), shown);
    assert_eq!(fate(&seal(&engine, 50, 1, NAME).await.unwrap()), (ReceiptStatus::AlreadyKnown, first));
    stop(engine).await;
}

#[tokio::test]
async fn a_key_is_durable_before_its_seal_so_a_lost_append_leaves_a_key_that_opens_nothing() {
    let keys = Keys::new();
    let plan = Plan { lost_append: Some(FIRST), ..Plan::default() };
    let faulty = Arc::new(FaultyJournal::new(MemoryJournal::new(), plan));
    let engine = with_case(faulty.clone(), &keys).await;
    assert!(matches!(seal(&engine, 50, 1, NAME).await, Err(SealError::Write(_))));
    let made = fs::read(keys.key(1)).expect("the key was made first");
    stop(engine).await;
    let journal = Arc::into_inner(faulty).expect("the engine let go of it").into_inner();
    let engine = open(Arc::new(journal), &keys.options());
    assert_eq!(refusal(unseal(&engine).await), Refusal::NotSealed);
    assert_eq!(seal(&engine, 50, 1, NAME).await.unwrap().status(), ReceiptStatus::Accepted);
    assert_eq!(fs::read(keys.key(1)).unwrap(), made, "the key of before is used");
    assert_eq!(unseal(&engine).await.unwrap(), NAME);
    stop(engine).await;
}

#[tokio::test]
async fn a_seal_whose_answer_was_lost_is_known_and_read_after_the_restart() {
    let keys = Keys::new();
    let plan = Plan { lost_answer: Some(FIRST), ..Plan::default() };
    let faulty = Arc::new(FaultyJournal::new(MemoryJournal::new(), plan));
    let engine = with_case(faulty.clone(), &keys).await;
    assert!(matches!(seal(&engine, 50, 1, NAME).await, Err(SealError::Write(_))));
    stop(engine).await;
    let journal = Arc::into_inner(faulty).expect("the engine let go of it").into_inner();
    let engine = open(Arc::new(journal), &keys.options());
    assert_eq!(seal(&engine, 50, 1, NAME).await.unwrap().status(), ReceiptStatus::AlreadyKnown);
    assert_eq!(unseal(&engine).await.unwrap(), NAME);
    stop(engine).await;
}

#[tokio::test]
async fn when_the_key_cannot_be_written_nothing_is_recorded() {
    let keys = Keys::new();
    let engine = with_case(Arc::new(MemoryJournal::new()), &keys).await;
    let head = engine.head();
    fs::remove_dir(keys.folder()).unwrap();
    fs::write(keys.folder(), "not a folder").unwrap();
    assert!(matches!(seal(&engine, 50, 1, NAME).await, Err(SealError::Vault(VaultError::Io { .. }))));
    assert_eq!(engine.head(), head);
    stop(engine).await;
}

#[tokio::test]
async fn a_key_that_was_lost_is_never_replaced_by_another() {
    let keys = Keys::new();
    let engine = with_case(Arc::new(MemoryJournal::new()), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    let (key, head) = (fs::read(keys.key(1)).unwrap(), engine.head());
    fs::remove_file(keys.key(1)).unwrap();
    assert!(matches!(seal(&engine, 51, 2, NAME).await, Err(SealError::Vault(VaultError::NoKey(_)))));
    assert_eq!(engine.head(), head);
    fs::write(keys.key(1), key).unwrap();
    assert_eq!(unseal(&engine).await.unwrap(), NAME);
    stop(engine).await;
}

#[tokio::test]
async fn a_reading_that_cannot_be_recorded_shows_nothing() {
    let keys = Keys::new();
    let plan = Plan { disk_full: Some(FIRST + 1..=FIRST + 1), ..Plan::default() };
    let engine = with_case(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    assert!(matches!(unseal(&engine).await, Err(SealError::Write(_))));
    assert_eq!(unseal(&engine).await.unwrap(), NAME, "there is room again");
    let last = log(&engine).await.pop().unwrap();
    let Some(Body::IdentityRead(read)) = last.body else { panic!("{last:?}") };
    assert_eq!((read.kind(), read.by, read.purpose.as_str()), (VICTIM, Some(by("satu")), PURPOSE));
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_seals_on_one_version_one_is_taken() {
    let keys = Keys::new();
    let engine = with_case(Arc::new(MemoryJournal::new()), &keys).await;
    let seals: Vec<_> = (50..66)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move { seal(&engine, n, 1, NAME).await })
        })
        .collect();
    let mut taken = 0;
    for seal in seals {
        match seal.await.unwrap() {
            Ok(_) => taken += 1,
            Err(SealError::Refused(Refusal::StaleVersion { current: 2 })) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((taken, unseal(&engine).await.unwrap().as_str()), (1, NAME));
    stop(engine).await;
}

#[tokio::test]
async fn an_erased_identity_opens_no_more_and_its_keys_bytes_are_gone_from_the_file() {
    let keys = Keys::new();
    let engine = with_case(Arc::new(MemoryJournal::new()), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    // A second name for the same bytes on disk: what they hold can be seen after the first name has gone.
    let same_bytes = keys.folder.path().join("same");
    fs::hard_link(keys.key(1), &same_bytes).unwrap();
    let length = fs::read(&same_bytes).unwrap().len();
    request(&engine, 60).await.unwrap();
    assert_eq!(
        refusal(
            engine
                .approve_erasure(v1::ErasureApproved { command_id: id(61), case_id: id(1), by: Some(by("satu")) })
                .await
        ),
        Refusal::SamePerson
    );
    approve(&engine, 62).await.unwrap();
    assert_eq!(erasure(&engine).await, ErasureStatus::Erased);
    assert!(!keys.key(1).exists());
    assert_eq!(fs::read(&same_bytes).unwrap(), vec![0; length]);
    assert_eq!(refusal(unseal(&engine).await), Refusal::Erased);
    assert_eq!(refusal(seal(&engine, 63, 2, NAME).await), Refusal::Erased);
    assert!(!keys.key(1).exists(), "no new key was made");
    stop(engine).await;
}

#[tokio::test]
async fn an_approval_that_was_not_written_destroys_nothing() {
    let keys = Keys::new();
    let plan = Plan { disk_full: Some(FIRST + 2..=FIRST + 2), ..Plan::default() };
    let engine = with_case(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    request(&engine, 60).await.unwrap();
    assert!(matches!(approve(&engine, 61).await, Err(SealError::Write(_))));
    assert_eq!((erasure(&engine).await, unseal(&engine).await.unwrap().as_str()), (ErasureStatus::Requested, NAME));
    stop(engine).await;
}

#[tokio::test]
async fn an_erasure_that_could_not_be_recorded_goes_on_when_it_is_approved_again() {
    let keys = Keys::new();
    let plan = Plan { disk_full: Some(FIRST + 3..=FIRST + 3), ..Plan::default() };
    let engine = with_case(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    request(&engine, 60).await.unwrap();
    assert!(matches!(approve(&engine, 61).await, Err(SealError::Write(_))));
    assert_eq!((erasure(&engine).await, keys.key(1).exists()), (ErasureStatus::Approved, false));
    assert_eq!(refusal(unseal(&engine).await), Refusal::Erased);
    assert_eq!(approve(&engine, 61).await.unwrap().status(), ReceiptStatus::AlreadyKnown);
    assert_eq!(erasure(&engine).await, ErasureStatus::Erased);
    stop(engine).await;
}

/// Waits until the views show the erasure as carried out.
async fn finished(engine: &Engine) {
    let mut folded = engine.folded();
    while erasure(engine).await != ErasureStatus::Erased {
        let moved = tokio::time::timeout(std::time::Duration::from_secs(30), folded.changed()).await;
        moved.expect("the erasure is recorded").expect("the engine runs");
    }
}

#[tokio::test]
async fn a_crash_after_the_approval_is_made_good_at_the_next_opening() {
    // The answer of the approval is lost and with it the journal: the key is still there, as after a crash right then.
    let keys = Keys::new();
    let plan = Plan { lost_answer: Some(FIRST + 2), ..Plan::default() };
    let faulty = Arc::new(FaultyJournal::new(MemoryJournal::new(), plan));
    let engine = with_case(faulty.clone(), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    request(&engine, 60).await.unwrap();
    assert!(matches!(approve(&engine, 61).await, Err(SealError::Write(_))));
    assert!(keys.key(1).exists());
    stop(engine).await;
    let journal = Arc::new(Arc::into_inner(faulty).expect("the engine let go of it").into_inner());
    let engine = open(journal.clone(), &keys.options());
    assert!(!keys.key(1).exists(), "gone before anybody is answered");
    finished(&engine).await;
    assert_eq!(refusal(unseal(&engine).await), Refusal::Erased);
    stop(engine).await;
    let erased =
        |events: Vec<v1::Event>| events.iter().filter(|e| matches!(e.body, Some(Body::IdentityErased(_)))).count();
    let engine = open(journal, &keys.options());
    assert_eq!(erased(log(&engine).await), 1);
    stop(engine).await;
}

#[tokio::test]
async fn a_crash_after_the_key_was_destroyed_is_made_good_at_the_next_opening() {
    let keys = Keys::new();
    let plan = Plan { lost_append: Some(FIRST + 3), ..Plan::default() };
    let faulty = Arc::new(FaultyJournal::new(MemoryJournal::new(), plan));
    let engine = with_case(faulty.clone(), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    request(&engine, 60).await.unwrap();
    assert!(matches!(approve(&engine, 61).await, Err(SealError::Write(_))));
    assert!(!keys.key(1).exists());
    stop(engine).await;
    let journal = Arc::into_inner(faulty).expect("the engine let go of it").into_inner();
    let engine = open(Arc::new(journal), &keys.options());
    finished(&engine).await;
    stop(engine).await;
}

#[tokio::test]
async fn a_vault_that_comes_back_from_a_copy_loses_the_keys_of_erased_cases_again() {
    let (keys, journal) = (Keys::new(), Arc::new(MemoryJournal::new()));
    let engine = with_case(journal.clone(), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    let copy = fs::read(keys.key(1)).unwrap();
    request(&engine, 60).await.unwrap();
    approve(&engine, 61).await.unwrap();
    stop(engine).await;
    // Everything lost, the mark of the erasure too, and restored from a copy of before it.
    fs::remove_dir_all(keys.folder()).unwrap();
    fs::create_dir(keys.folder()).unwrap();
    fs::write(keys.key(1), copy).unwrap();
    let engine = open(journal, &keys.options());
    assert!(!keys.key(1).exists());
    assert_eq!(refusal(unseal(&engine).await), Refusal::Erased);
    stop(engine).await;
}

#[tokio::test]
async fn the_log_holds_no_hash_that_a_guessed_name_could_be_tried_on() {
    let keys = Keys::new();
    let engine = with_case(Arc::new(MemoryJournal::new()), &keys).await;
    seal(&engine, 50, 1, NAME).await.unwrap();
    let other = Keys::new();
    let elsewhere = with_case(Arc::new(MemoryJournal::new()), &other).await;
    seal(&elsewhere, 50, 1, NAME).await.unwrap();
    let of = |event: v1::Event| match event.body {
        Some(Body::IdentitySealed(sealed)) => (sealed.content_tag, sealed.seal.unwrap_or_default().ciphertext),
        other => panic!("{other:?}"),
    };
    let (here, there) = (log(&engine).await.pop().map(of).unwrap(), log(&elsewhere).await.pop().map(of).unwrap());
    assert_ne!(here.0, there.0, "the same name under another key has another tag");
    assert_ne!(here.1, there.1);
    assert_eq!((here.0.len(), here.1.len()), (16, 256 + 16));
    stop(engine).await;
    stop(elsewhere).await;
}

#[test]
fn a_rotation_wraps_every_key_anew_and_goes_on_after_it_was_cut_short() {
    let keys = Keys::new();
    let new = MasterKey::generate();
    let masters = |known: &[&MasterKey]| Masters::known(known.iter().map(|master| (*master).clone()).collect());
    let open = |masters| vault::Vault::open(vault::Options { folder: keys.folder(), masters }).unwrap();
    let case = |n: u32| SubmissionId::parse(&id(n)).unwrap();
    let before = open(masters(&[&keys.master]));
    let ids: Vec<_> = (1..6).map(|n| before.key_or_new(case(n)).unwrap().id()).collect();
    let same_bytes = keys.folder.path().join("same");
    fs::hard_link(keys.key(5), &same_bytes).unwrap();
    let (old_first, old_last) = (fs::read(keys.key(1)).unwrap(), fs::read(keys.key(5)).unwrap());
    assert_eq!(before.rotate(&new).unwrap(), vault::Rotated { wrapped: 5, already: 0 });
    assert_eq!(
        fs::read(&same_bytes).unwrap(),
        vec![0; old_last.len()],
        "the key under the old master is gone from disk"
    );
    // One key as it was before, and what a crash in the middle of writing leaves.
    fs::write(keys.key(1), &old_first).unwrap();
    fs::write(keys.key(1).with_extension("draft"), &old_first[..20]).unwrap();
    fs::write(keys.key(2).with_extension("former"), &old_first).unwrap();
    let both = open(masters(&[&new, &keys.master]));
    let found: Vec<_> = (1..6).map(|n| both.key(case(n)).unwrap().id()).collect();
    assert_eq!(found, ids, "under both every key is read at every moment");
    assert_eq!(both.rotate(&new).unwrap(), vault::Rotated { wrapped: 1, already: 4 });
    let after = open(masters(&[&new]));
    let found: Vec<_> = (1..6).map(|n| after.key(case(n)).unwrap().id()).collect();
    assert_eq!(found, ids);
    assert!(!holds(&bytes_of(&keys.folder()), &old_first[53..]), "nothing under the old master is left");
    let old = open(masters(&[&keys.master]));
    assert!(matches!(old.key(case(1)), Err(VaultError::OtherMaster(id)) if id == new.id()));
}

#[test]
fn a_damaged_or_exchanged_key_is_not_taken_for_one() {
    let keys = Keys::new();
    let masters = Masters::known(vec![keys.master.clone()]);
    let vault = vault::Vault::open(vault::Options { folder: keys.folder(), masters }).unwrap();
    let case = |n: u32| SubmissionId::parse(&id(n)).unwrap();
    for n in [1, 2] {
        vault.key_or_new(case(n)).unwrap();
    }
    let good = fs::read(keys.key(1)).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(keys.key(1), &bad).unwrap();
        let taken = vault.key_or_new(case(1));
        assert!(matches!(taken, Err(VaultError::Damaged(_) | VaultError::OtherMaster(_))), "byte {at}: {taken:?}");
    }
    fs::copy(keys.key(2), keys.key(1)).unwrap();
    assert!(matches!(vault.key(case(1)), Err(VaultError::Damaged(_))));
}

#[test]
fn a_master_key_is_made_once_and_never_when_keys_under_another_are_there() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, cases) = (folder.path().join("keys/master.key"), folder.path().join("keys/cases"));
    let open = |masters| vault::Vault::open(vault::Options { folder: cases.clone(), masters }).unwrap();
    let case = |n: u32| SubmissionId::parse(&id(n)).unwrap();
    let first = open(Masters::made_at(path.clone()));
    assert!(!path.exists(), "not before it is needed");
    let made = first.key_or_new(case(1)).unwrap().id();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read = MasterKey::read(&path).unwrap();
    assert_eq!(open(Masters::known(vec![read])).key(case(1)).unwrap().id(), made);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(MasterKey::read(&path), Err(vault::MasterError::Open(_))));
    fs::remove_file(&path).unwrap();
    let lost = open(Masters::made_at(path.clone())).key_or_new(case(2));
    assert!(matches!(lost, Err(VaultError::Master(vault::MasterError::Lost(_)))), "{lost:?}");
    assert!(!path.exists());
}

#[test]
fn a_copy_of_the_vault_brings_back_what_was_lost_but_nothing_that_was_erased() {
    let (keys, copy) = (Keys::new(), tempfile::tempdir().unwrap());
    let masters = Masters::known(vec![keys.master.clone()]);
    let open = || vault::Vault::open(vault::Options { folder: keys.folder(), masters: masters.clone() }).unwrap();
    let case = |n: u32| SubmissionId::parse(&id(n)).unwrap();
    let vault = open();
    let ids: Vec<_> = (1..4).map(|n| vault.key_or_new(case(n)).unwrap().id()).collect();
    let copied = |copied, already, erased| vault::Copied { copied, already, erased };
    assert_eq!(vault.copy_to(copy.path()).unwrap(), copied(3, 0, 0));
    vault.destroy(case(1)).unwrap();
    assert_eq!(vault.copy_to(copy.path()).unwrap(), copied(0, 2, 1), "a later copy takes the key out of the folder");
    assert_eq!(vault::key_files(copy.path(), &masters).unwrap().len(), 2);
    // All lost; the log knows that case 2 was erased, nothing else does.
    fs::remove_dir_all(keys.folder()).unwrap();
    let vault = open();
    assert_eq!(vault.restore_from(copy.path(), |erased| erased == case(2)).unwrap(), copied(1, 0, 1));
    assert_eq!(vault.key(case(3)).unwrap().id(), ids[2]);
    assert!(matches!(vault.key_or_new(case(2)), Err(VaultError::Erased)));
}
