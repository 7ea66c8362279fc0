//! Views are folds of the log: delete them, damage them, restore them, and nothing visible changes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_domain::{
    id::Level,
    time::{Instant, Period},
    views::{EvaluatedBody, ListQuery, Moment, Views},
};
use satgas_engine::{Engine, Options};
use satgas_journal::{Head, Journal, MemoryJournal};
use satgas_proto::v1::{self, amendment::Replacement, case_command::Step, submission::Content};

use crate::support::*;

/// All that a client can see.
#[derive(Debug, PartialEq)]
pub(crate) struct Picture {
    head: Head,
    seen: Seen,
    records: usize,
    changed: Vec<(String, u64)>,
}

/// All that a client can see as of a moment.
#[derive(Debug, PartialEq)]
struct Seen {
    evaluations: Vec<v1::Evaluation>,
    warnings: Vec<v1::Warning>,
    cases: Vec<v1::Case>,
    conflicts: Vec<v1::Conflict>,
    held: Vec<v1::Held>,
    institutions: Vec<v1::Institution>,
}

fn seen(views: &Views, position: u64) -> Seen {
    let now = Instant::from_jiff(time("2028-05-01T12:00:00"));
    // The head is compared by itself: no figure depends on its hash.
    let known = views.at(Moment { position, now, head_hash: [0; 32] });
    let mut evaluations = Vec::new();
    for code in ["2027", "2028", "2028-Q1", "2028-01", "2028-02", "2028-03", "2028-04"] {
        let period = Period::parse(code).expect("a period");
        for level in [Some(Level::Kota), Some(Level::Kecamatan), Some(Level::Kelurahan), None] {
            for body in [EvaluatedBody::Kelurahan, EvaluatedBody::Institutions] {
                let query = ListQuery { period: period.clone(), prefix: "", level, body, draft: None };
                evaluations.extend(known.evaluations(&query, &known.listed(&query)));
            }
        }
    }
    Seen {
        evaluations,
        warnings: known.warnings(""),
        cases: known.cases_after(None, "", None).collect(),
        conflicts: known.conflicts("", 0).collect(),
        held: known.held("", 0).collect(),
        institutions: known.institutions("").collect(),
    }
}

pub(crate) async fn picture(engine: &Engine) -> Picture {
    let looked = engine.query(engine.head().position, |folded| Picture::of(&folded.views, folded.head));
    looked.await.expect("the head is reached")
}

impl Picture {
    /// What views show that stand at a head.
    pub(crate) fn of(views: &Views, head: Head) -> Self {
        let mut changed: Vec<_> = views.changed_after(0, "").map(|(code, at)| (code.to_owned(), at)).collect();
        changed.sort_unstable();
        Self { head, seen: seen(views, head.position), records: views.record_count(), changed }
    }
}

/// Random submissions about few things, so that they meet: repeats, conflicts, corrections, signals of few groups, cases.
pub(crate) struct History {
    rng: ChaCha8Rng,
    next: u32,
    sent: Vec<v1::Submission>,
}

impl History {
    pub(crate) fn of(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), next: 1, sent: Vec::new() }
    }

    fn occurred(&mut self) -> String {
        let (month, day, hour) =
            (self.rng.random_range(1..=4), self.rng.random_range(1..=29), self.rng.random_range(0..24));
        format!("2028-{month:02}-{day:02}T{hour:02}:59:59.999")
    }

    fn record(&mut self) -> Content {
        let reporter_month = format!("2028-{:02}", self.rng.random_range(1..=4));
        match self.rng.random_range(0..5) {
            0 => Content::MonitoringReport(v1::MonitoringReport {
                task_force_id: "tf-1".into(),
                month: reporter_month,
                follow_ups_done: vec![self.follow_up_done()],
                ..v1::MonitoringReport::default()
            }),
            1 | 2 => {
                let mut visit = visit_record(self.rng.random_range(0..50));
                visit.school_id = self.school();
                visit.follow_ups = vec![v1::FollowUp {
                    number: 1,
                    action: "Bicara dengan guru piket".into(),
                    due_on: "2028-04-30".into(),
                }];
                Content::SchoolVisit(visit)
            }
            3 => Content::ExposureSignal(v1::ExposureSignal {
                platform: v1::Platform::Whatsapp.into(),
                group_fingerprint: ["a", "b", "c"][self.rng.random_range(0..3)].repeat(64),
                school_ids: vec![self.school()],
                ..v1::ExposureSignal::default()
            }),
            _ => Content::CaseReport(case_record(v1::AgeGroup::AgeGroup1317)),
        }
    }

    fn school(&mut self) -> String {
        [SCHOOL, OTHER_SCHOOL][self.rng.random_range(0..2)].into()
    }

    fn follow_up_done(&mut self) -> v1::FollowUpDone {
        let visit_id = id(self.rng.random_range(1..=self.next));
        v1::FollowUpDone { visit_id, number: 1, done_on: "2028-04-29".into() }
    }

    /// A submission, and often one that was sent before, or about one, or about one that is still to come.
    fn submission(&mut self) -> v1::Submission {
        let n = self.next;
        let target = self.rng.random_range(1..=n + 3);
        let content = match self.rng.random_range(0..10) {
            0 if !self.sent.is_empty() => {
                let index = self.rng.random_range(0..self.sent.len());
                return self.sent[index].clone();
            }
            1 if !self.sent.is_empty() => {
                let index = self.rng.random_range(0..self.sent.len());
                let mut other = self.sent[index].clone();
                other.device_sequence += 1;
                return other;
            }
            2..=4 => {
                let replacement = match self.record() {
                    Content::MonitoringReport(r) => Replacement::MonitoringReport(r),
                    Content::SchoolVisit(r) => Replacement::SchoolVisit(r),
                    Content::ExposureSignal(r) => Replacement::ExposureSignal(r),
                    _ => Replacement::CaseReport(case_record(v1::AgeGroup::AgeGroup2544)),
                };
                amends(n, target, replacement).content.expect("just made")
            }
            5 => retracts(n, target).content.expect("just made"),
            _ => self.record(),
        };
        self.next += 1;
        let reporters: &[&str] =
            if matches!(content, Content::MonitoringReport(_)) { &[SATU] } else { &[SATU, SATU, TIGA, SCHOOL] };
        let reporter = reporters[self.rng.random_range(0..reporters.len())];
        let occurred = self.occurred();
        submission_on(n, reporter, &occurred, content)
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        among.get(self.rng.random_range(0..among.len().max(1)))
    }

    fn decision(&mut self, conflict: &v1::Conflict) -> v1::ConflictResolution {
        let take = conflict.can_be_taken && self.rng.random_bool(0.8);
        self.next += 1;
        v1::ConflictResolution {
            command_id: id(2_000_000 + self.next),
            conflict_position: conflict.position,
            decision: if take { v1::ConflictDecision::Take } else { v1::ConflictDecision::Keep }.into(),
            reason: "Keputusan contoh".into(),
        }
    }

    /// A step of some case, as it stands.
    fn step(&mut self, cases: &[v1::Case]) -> Option<v1::CaseCommand> {
        let case = cases.get(self.rng.random_range(0..cases.len().max(1)))?;
        let step = match self.rng.random_range(0..4) {
            0 => assess(v1::Risk::Sedang),
            1 => serve(v1::Service::Psikologis),
            2 => Step::AdmitToShelter(v1::AdmitToShelter {}),
            _ => Step::Close(v1::CloseCase { outcome: v1::CaseOutcome::TujuanTercapai.into() }),
        };
        self.next += 1;
        Some(v1::CaseCommand {
            command_id: id(1_000_000 + self.next),
            case_id: case.case_id.clone(),
            expected_version: case.version,
            occurred_at: Some(Instant::from_jiff(time("2028-05-01T08:00:00")).to_proto()),
            step: Some(step),
        })
    }
}

/// Plays on with a history and returns what was sent, with the receipts.
pub(crate) async fn play(engine: &Engine, history: &mut History, waves: usize) -> Vec<(v1::Submission, v1::Receipt)> {
    let mut answered = Vec::new();
    for wave in 0..waves {
        let batch: Vec<_> = (0..12).map(|_| history.submission()).collect();
        history.sent.extend(batch.iter().cloned());
        let receipts = engine.enqueue(batch.clone()).await.expect("room").receipts().await.expect("written");
        answered.extend(batch.into_iter().zip(receipts));
        let Seen { cases, conflicts, .. } = picture(engine).await.seen;
        for _ in 0..3 {
            if let Some(step) = history.step(&cases) {
                // Some do not fit: a step before it moved the case on.
                drop(engine.advance(step).await);
            }
        }
        if let Some(conflict) = history.pick(&conflicts) {
            engine.resolve_conflict(history.decision(conflict)).await.expect("an open conflict is decided");
        }
        if let Some(area) = history.pick(&[SATU, TIGA]).filter(|_| wave % 4 == 0) {
            let effective_on = format!("2028-{:02}-15", history.rng.random_range(1..=4));
            let moved = v1::RegistryEntry { effective_on, ..school(SCHOOL, "SMP Contoh 01", area) };
            engine.register(vec![moved], false).await.expect("a school moves");
        }
    }
    answered
}

/// A played log and what it looked like while it lived.
struct Played {
    journal: Arc<dyn Journal>,
    folder: tempfile::TempDir,
    answered: Vec<(v1::Submission, v1::Receipt)>,
    live: Picture,
}

impl Played {
    async fn of(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let engine = open_town(Arc::clone(&journal), &checkpointing(folder.path())).await;
        let mut answered = play(&engine, &mut History::of(seed), 25).await;
        // The last event is one that would be seen if it were folded twice.
        let last = visit(900_000, 10);
        answered.push((last.clone(), submit(&engine, last).await));
        let live = picture(&engine).await;
        assert!(
            !live.seen.conflicts.is_empty() && !live.seen.held.is_empty() && !live.seen.cases.is_empty(),
            "the history is rich"
        );
        assert!(!live.seen.warnings.is_empty());
        stop(engine).await;
        Self { journal, folder, answered, live }
    }

    /// Opens again, compares all that can be seen and all that the writer knows. Returns where the fold began to read.
    async fn is_the_same(&self, options: &Options) -> Option<u64> {
        let (journal, gate) = Watched::new(Arc::clone(&self.journal));
        let engine = open(journal, options);
        // Opening reads the first event by itself, with no limit to speak of.
        let began = gate.reads().into_iter().find(|(_, bytes_max)| *bytes_max > 0).map(|(after, _)| after);
        assert_eq!(picture(&engine).await, self.live);
        for (submission, first) in &self.answered {
            let again = submit(&engine, submission.clone()).await;
            assert_eq!(again.position, first.position, "{submission:?}");
            let expected = if first.position == 0 { first.status() } else { v1::ReceiptStatus::AlreadyKnown };
            assert_eq!(again.status(), expected);
        }
        assert_eq!(engine.head(), self.live.head, "sending all of it again wrote nothing");
        stop(engine).await;
        began
    }

    fn checkpoints(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    }

    /// Changes every checkpoint, and opens.
    async fn with_checkpoints(&self, change: impl Fn(&mut Vec<u8>)) -> Option<u64> {
        let kept: Vec<_> = self.checkpoints().into_iter().map(|path| (fs::read(&path).expect("read"), path)).collect();
        assert!(!kept.is_empty());
        for (bytes, path) in &kept {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            fs::write(path, bytes).expect("written");
        }
        let began = self.is_the_same(&checkpointing(self.folder.path())).await;
        for path in self.checkpoints() {
            fs::remove_file(path).expect("removed");
        }
        for (bytes, path) in kept {
            fs::write(path, bytes).expect("written");
        }
        began
    }
}

fn checkpointing(folder: &Path) -> Options {
    Options { checkpoints: Some(folder.to_owned()), checkpoint_every: 40, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_from_zero_views_from_checkpoints_and_live_views_are_equal() {
    for seed in 0..3 {
        let played = Played::of(seed).await;
        assert_eq!(played.is_the_same(&Options::default()).await, Some(0), "without checkpoints all is folded");
        assert_eq!(played.is_the_same(&checkpointing(played.folder.path())).await, None, "with them nothing is");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_known_at_every_position_is_what_the_views_of_then_showed() {
    for seed in 40..43 {
        let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
        play(&engine, &mut History::of(seed), 12).await;
        let (events, head) = (log(&engine).await, engine.head().position);
        let mut of_then = Views::new("Asia/Makassar").expect("the zone is bundled");
        for event in &events {
            of_then.apply(event);
            let position = event.position;
            let then = engine.query(head, |folded| seen(&folded.views, position)).await.expect("the head is reached");
            assert!(then == seen(&of_then, position), "seed {seed}, position {position}: {:?}", event.kind());
        }
        stop(engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_views_go_on_as_if_there_had_been_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    for options in [Options::default(), checkpointing(folder.path())] {
        let mut history = History::of(23);
        let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
        play(&engine, &mut history, 24).await;
        let uninterrupted = picture(&engine).await;
        stop(engine).await;

        let mut history = History::of(23);
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let mut engine = open_town(Arc::clone(&journal), &options).await;
        for _ in 0..3 {
            play(&engine, &mut history, 8).await;
            stop(engine).await;
            engine = open(Arc::clone(&journal), &options);
        }
        let mut restarted = picture(&engine).await;
        stop(engine).await;
        // Each log has an id of its own, so only the hashes differ.
        assert_eq!(restarted.head.position, uninterrupted.head.position);
        restarted.head = uninterrupted.head;
        assert_eq!(restarted, uninterrupted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_from_older_checkpoints_and_what_came_after_them_are_equal_too() {
    let played = Played::of(7).await;
    // The newest ones are as of the shutdown; without them, the ones before are folded on.
    let paths = played.checkpoints();
    for name in ["views", "writer"] {
        let of: Vec<_> = paths.iter().filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(name)).collect();
        assert_eq!(of.len(), 2, "two are kept: {of:?}");
        fs::remove_file(of[1]).unwrap();
    }
    let began = played.is_the_same(&checkpointing(played.folder.path())).await.expect("something is left to fold");
    assert!(0 < began && began < played.live.head.position, "{began}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_and_writer_may_be_restored_from_different_positions() {
    for left_out in ["views", "writer"] {
        let played = Played::of(11).await;
        for path in played.checkpoints() {
            if path.file_name().unwrap().to_string_lossy().starts_with(left_out) {
                fs::remove_file(path).unwrap();
            }
        }
        assert_eq!(played.is_the_same(&checkpointing(played.folder.path())).await, Some(0), "{left_out}");
    }
}

/// Makes the hash at the end fit again.
fn seal(bytes: &mut Vec<u8>) {
    let content = bytes.len() - 32;
    let hash = blake3::hash(&bytes[..content]);
    bytes.truncate(content);
    bytes.extend_from_slice(hash.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_is_damaged_cut_short_or_of_another_version_is_left_aside() {
    let played = Played::of(13).await;
    assert_eq!(played.with_checkpoints(seal).await, None, "a sound one is taken");
    let from_zero = Some(0);
    let damaged = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    assert_eq!(played.with_checkpoints(damaged).await, from_zero, "damaged");
    assert_eq!(played.with_checkpoints(|bytes| bytes.truncate(bytes.len() - 1)).await, from_zero, "cut short");
    assert_eq!(played.with_checkpoints(|bytes| bytes.truncate(10)).await, from_zero, "cut to nearly nothing");
    assert_eq!(played.with_checkpoints(Vec::clear).await, from_zero, "empty");
    let later = |bytes: &mut Vec<u8>| {
        bytes[4] += 1;
        seal(bytes);
    };
    assert_eq!(played.with_checkpoints(later).await, from_zero, "of another version");
    let undecodable = |bytes: &mut Vec<u8>| {
        bytes.drain(60..70);
        seal(bytes);
    };
    assert_eq!(played.with_checkpoints(undecodable).await, from_zero, "sealed but not decodable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_another_log_is_left_aside() {
    let (played, other) = (Played::of(17).await, Played::of(18).await);
    assert_ne!(played.live.seen.evaluations, other.live.seen.evaluations);
    for path in played.checkpoints() {
        fs::remove_file(path).unwrap();
    }
    for path in other.checkpoints() {
        fs::copy(&path, played.folder.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(played.is_the_same(&checkpointing(played.folder.path())).await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_many_parts_is_the_same_after_every_restart_and_a_part_that_is_no_good_is_found_out() {
    /// So many that every growing thing has whole parts: of records, of links between them, and of ids.
    const VISITS: u32 = 140_000;
    let mut played = Played::of(29).await;
    let engine = open(Arc::clone(&played.journal), &checkpointing(played.folder.path()));
    for first in (0..VISITS).step_by(2_000) {
        let visits = (first..first + 2_000).map(|n| visit(2_000_000 + n, 10)).collect();
        engine.enqueue(visits).await.expect("room").receipts().await.expect("written");
    }
    // What stands in a whole part is amended, sent again and withdrawn.
    for change in [amends_visit(3_000_001, 2_000_001, 33), visit(2_000_002, 10), retracts(3_000_002, 2_000_003)] {
        let receipt = submit(&engine, change.clone()).await;
        played.answered.push((change, receipt));
    }
    played.live = picture(&engine).await;
    stop(engine).await;
    let files = |ends: &str| {
        let all = played.checkpoints().into_iter().filter(|path| path.extension().is_some_and(|end| end == ends));
        all.collect::<Vec<_>>()
    };
    let parts = files("part");
    for of in ["views-0-", "views-1-", "writer-0-"] {
        let count = parts.iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(of)).count();
        assert!(count >= 1, "{of}: {parts:?}");
    }
    let sizes = || files("checkpoint").iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    let whole = parts.iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    assert!(sizes() < whole, "what is written each time, {}, is small beside what is written once, {whole}", sizes());
    let options = checkpointing(played.folder.path());
    assert_eq!(played.is_the_same(&options).await, None, "nothing is folded again");

    // Folded from the log whatever part is damaged or missing, and the part is written anew.
    for (of, removed) in [("views-0-", false), ("writer-0-", false), ("views-1-", true)] {
        let part = parts.iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with(of)).unwrap();
        let sound = fs::read(part).unwrap();
        let mut bytes = sound.clone();
        bytes[sound.len() / 2] ^= 1;
        if removed { fs::remove_file(part) } else { fs::write(part, bytes) }.unwrap();
        assert_eq!(played.is_the_same(&options).await, Some(0), "{of}, removed: {removed}");
        assert_eq!(fs::read(part).unwrap(), sound);
    }
    assert_eq!(played.is_the_same(&options).await, None, "what was written anew is taken");
    // A part that no checkpoint names is removed with the next one.
    let stray = played.folder.path().join("views-0-0000000099.part");
    fs::write(&stray, b"left").unwrap();
    let engine = open(Arc::clone(&played.journal), &options);
    accepted(&engine, visit(4_000_000, 10)).await;
    stop(engine).await;
    assert!(!stray.exists());
}
