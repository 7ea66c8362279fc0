//! What sealing costs on this machine and disk: the cryptography by itself, a new key with its syncs, and whole calls of the engine over
//! a log on disk, one after the other and from sixteen callers at once.
//!
//! `cargo run --release -p satgas-engine --example seal_cost [FOLDER]`; the folder should be on the disk to be measured.

use std::{
    hint::black_box,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use satgas_domain::id::SubmissionId;
use satgas_engine::{
    Engine, Options, SystemClock,
    vault::{self, Clear, MasterKey, Masters, Of, Vault},
};
use satgas_journal::{SledJournal, disk};
use satgas_proto::v1::{self, event::Body, registry_entry::Entry, submission::Content, submission::Reporter};

const AREA: &str = "53.71.04.1001";
const CALLS: usize = 300;
const CALLERS: usize = 16;
const ROUNDS: u32 = 20_000;

#[tokio::main]
async fn main() {
    let base = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let folder = tempfile::tempdir_in(base).expect("a folder to write to");
    let masters = Masters::known(vec![MasterKey::generate()]);
    cryptography(&vault(folder.path().join("cryptography"), &masters));
    new_keys(&vault(folder.path().join("keys"), &masters));
    let journal = SledJournal::open(folder.path().join("journal"), disk::Options::default()).expect("a new log");
    let vault = Some(vault::Options { folder: folder.path().join("cases"), masters });
    let options = Options { vault, ..Options::default() };
    let engine = Engine::open(Arc::new(journal), Arc::new(SystemClock), &options).expect("a new log opens");
    calls(&engine).await;
    tokio::task::spawn_blocking(move || engine.shutdown()).await.expect("the engine stops");
}

fn vault(folder: PathBuf, masters: &Masters) -> Vault {
    Vault::open(vault::Options { folder, masters: masters.clone() }).expect("a new vault")
}

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn person() -> Clear {
    let identity = v1::PersonIdentity {
        full_name: "Anak Contoh".into(),
        parents: "Bapak Contoh, Ibu Contoh".into(),
        address: "Jalan Contoh 17".into(),
        ..Default::default()
    };
    identity.into()
}

fn cryptography(vault: &Vault) {
    let case = SubmissionId::parse(&id()).expect("a new id");
    let key = vault.key_or_new(case).expect("a new key");
    let of = Of { log_id: "contoh", case, kind: 1 };
    let identity = person();
    let seal = key.seal(of, &identity);
    per_call("seal", || drop(black_box(key.seal(of, &identity))));
    per_call("keyed tag", || drop(black_box(key.tag(of, "contoh", &identity).to_vec())));
    per_call("open", || drop(black_box(key.open::<v1::PersonIdentity>(of, &seal))));
    per_call("read and unwrap a key", || drop(black_box(vault.key(case))));
}

fn per_call(what: &str, mut call: impl FnMut()) {
    let started = Instant::now();
    (0..ROUNDS).for_each(|_| call());
    println!("{what:<44} {:>9.1} us", started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

fn new_keys(vault: &Vault) {
    let mut times = times();
    for _ in 0..CALLS {
        let case = SubmissionId::parse(&id()).expect("a new id");
        let started = Instant::now();
        vault.key_or_new(case).expect("a new key");
        record(&mut times, started.elapsed());
    }
    tell("new key, durable", &times);
}

async fn calls(engine: &Engine) {
    let (mut opened, mut sealed, mut again, mut read) = (times(), times(), times(), times());
    register(engine).await;
    let mut cases = Vec::new();
    for _ in 0..CALLS {
        let started = Instant::now();
        cases.push(report(engine).await);
        record(&mut opened, started.elapsed());
    }
    for (histogram, version) in [(&mut sealed, 1), (&mut again, 2)] {
        for case in &cases {
            let started = Instant::now();
            seal(engine, case, version).await;
            record(histogram, started.elapsed());
        }
    }
    for case in &cases {
        take(engine, case).await;
        let started = Instant::now();
        unseal(engine, case).await;
        record(&mut read, started.elapsed());
    }
    tell("engine: case without an identity, for scale", &opened);
    tell("engine: first identity of a case, new key", &sealed);
    tell("engine: another identity of the case", &again);
    tell("engine: unseal, its record included", &read);
    unseal_together(engine, &cases).await;
}

async fn unseal_together(engine: &Engine, cases: &[String]) {
    let started = Instant::now();
    let callers = cases.chunks(CALLS.div_ceil(CALLERS)).map(<[String]>::to_vec).map(|cases| {
        let engine = engine.clone();
        tokio::spawn(async move {
            for case in cases {
                unseal(&engine, &case).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("a caller ends");
    }
    let per_second = f64::from(u32::try_from(CALLS).expect("a few")) / started.elapsed().as_secs_f64();
    println!("{:<44} {per_second:>9.0} /s", format!("engine: unseal, {CALLERS} callers"));
}

async fn register(engine: &Engine) {
    let area = |code: &str| v1::RegistryEntry {
        entry: Some(Entry::Area(v1::Area {
            code: code.into(),
            name: "Wilayah Contoh".into(),
            valid_from: "2025-01-01".into(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let entries = vec![area("53.71"), area("53.71.04"), area(AREA)];
    let registered = engine.register(entries, false).await.expect("it is written");
    assert!(registered.refused.is_empty(), "{registered:?}");
}

async fn report(engine: &Engine) -> String {
    let submission_id = id();
    let submission = v1::Submission {
        submission_id: submission_id.clone(),
        device_id: "contoh".into(),
        device_sequence: 1,
        occurred_at: Some(engine.now().to_proto()),
        reporter: Some(Reporter::AreaCode(AREA.into())),
        content: Some(Content::CaseReport(v1::CaseReport {
            violence: vec![v1::Violence::Seksual.into()],
            place: v1::Place::Daring.into(),
            victim_age: v1::AgeGroup::AgeGroup1317.into(),
            victim_sex: v1::Sex::Perempuan.into(),
            offender: v1::Offender::TidakDiketahui.into(),
            ..Default::default()
        })),
    };
    let receipt = engine.submit(submission).await.expect("it is written");
    assert_eq!(receipt.status(), v1::ReceiptStatus::Accepted, "{receipt:?}");
    submission_id
}

async fn seal(engine: &Engine, case: &str, version: u64) {
    let command = v1::RecordIdentityRequest {
        command_id: id(),
        case_id: case.to_owned(),
        expected_version: version,
        kind: v1::IdentityKind::Victim.into(),
        identity: None,
    };
    engine.record_identity(command, person(), case_worker()).await.expect("it is sealed");
}

fn case_worker() -> v1::Actor {
    v1::Actor { id: "contoh".into(), role: "case_worker".into(), ..Default::default() }
}

/// Only who has a case reads who its people are.
async fn take(engine: &Engine, case: &str) {
    let by = case_worker();
    let subject = by.id.clone();
    let taken =
        v1::CaseAssigned { command_id: id(), case_id: case.to_owned(), subject, by: Some(by), ..Default::default() };
    engine.record_about_seals(Body::CaseAssigned(taken)).await.expect("nobody has it");
}

async fn unseal(engine: &Engine, case: &str) {
    let request = v1::UnsealIdentityRequest {
        case_id: case.to_owned(),
        kind: v1::IdentityKind::Victim.into(),
        purpose: "Pendampingan pemeriksaan".into(),
        sealed_position: 0,
    };
    drop(black_box(engine.unseal_identity(request, case_worker()).await.expect("it opens")));
}

fn times() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

fn record(times: &mut Histogram<u64>, took: Duration) {
    times.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)).expect("the histogram grows");
}

fn tell(what: &str, times: &Histogram<u64>) {
    let (p50, p99) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
    println!("{what:<44} p50 {p50:>6} us  p99 {p99:>6} us");
}
