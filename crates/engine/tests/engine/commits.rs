//! Many submissions, few commits; each answer after its commit.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
use satgas_engine::{Clock, Folded, Options, WriteError};
use satgas_journal::{
    Journal, MemoryJournal,
    faulty::{FaultyJournal, Plan},
};
use satgas_proto::v1::{self, ReceiptStatus};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_while_one_commit_is_written_becomes_the_next_commit() {
    let (journal, gate) = Watched::new(Arc::new(MemoryJournal::new()));
    let engine = open_town(journal, &Options::default()).await;
    gate.appends();
    gate.close();
    let first = engine.enqueue(vec![visit(1, 10)]).await.unwrap();
    gate.wait_for_append().await;
    let mut tickets = Vec::new();
    for n in 2..=200 {
        tickets.push(engine.enqueue(vec![visit(n, 10)]).await.unwrap());
    }
    gate.open();
    let first = first.receipts().await.unwrap()[0].position;
    for (position, ticket) in (first + 1..).zip(tickets) {
        assert_eq!(fate(&ticket.receipts().await.unwrap()[0]), (ReceiptStatus::Accepted, position));
    }
    assert_eq!(gate.appends(), [1, 199]);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_submits_does_not_wait_for_views_that_are_held_up() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (tell, looking) = tokio::sync::oneshot::channel();
    let holder = engine.clone();
    // As long as somebody looks at the views, nothing is folded into them; a checkpoint that is written looks for long.
    let holding = tokio::task::spawn_blocking(move || {
        let hold = |_: &Folded| {
            tell.send(()).expect("somebody waits");
            held.recv().expect("released");
        };
        tokio::runtime::Handle::current().block_on(holder.query(0, hold)).expect("the views are there");
    });
    looking.await.unwrap();
    let folded = *engine.folded().borrow();
    for n in 1..=100 {
        accepted(&engine, visit(n, 10)).await;
    }
    assert!(*engine.folded().borrow() <= folded + 1, "the views did not move meanwhile");
    release.send(()).unwrap();
    holding.await.unwrap();
    assert_eq!(engine.query(engine.head().position, |folded| folded.views.record_count()).await.unwrap(), 100);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_or_seen_before_its_append_has_returned() {
    let (journal, gate) = Watched::new(Arc::new(MemoryJournal::new()));
    let engine = open_town(journal, &Options::default()).await;
    let head = engine.head();
    engine.query(head.position, |_| ()).await.unwrap();
    gate.close();
    let submitting = {
        let engine = engine.clone();
        tokio::spawn(async move { accepted(&engine, visit(1, 10)).await })
    };
    gate.wait_for_append().await;
    assert!(!submitting.is_finished());
    assert_eq!(engine.head(), head);
    assert_eq!(*engine.folded().borrow(), head.position, "the views have not seen it either");
    assert_eq!(submitted(&log(&engine).await), Vec::<String>::new());
    gate.open();
    assert_eq!(submitting.await.unwrap(), head.position + 1);
    assert_eq!(submitted(&log(&engine).await), [id(1)]);
    stop(engine).await;
}

#[tokio::test]
async fn one_bad_submission_does_not_fail_its_neighbours() {
    let (journal, gate) = Watched::new(Arc::new(MemoryJournal::new()));
    let engine = open_town(journal, &Options::default()).await;
    gate.appends();
    let mut stranger = visit(3, 10);
    stranger.reporter = Some(v1::submission::Reporter::AreaCode("53.71.04.9999".into()));
    let batch = vec![visit(1, 10), bad_visit(2), stranger, visit(4, 10), v1::Submission::default()];
    let receipts = engine.enqueue(batch).await.unwrap().receipts().await.unwrap();
    let statuses: Vec<_> = receipts.iter().map(v1::Receipt::status).collect();
    use ReceiptStatus::{Accepted, Rejected};
    assert_eq!(statuses, [Accepted, Rejected, Rejected, Accepted, Rejected]);
    assert_eq!(receipts[3].position, receipts[0].position + 1, "no position is lost to a bad one");
    assert_eq!(receipts[4].violations.len(), 6);
    assert_eq!(gate.appends(), [2]);
    stop(engine).await;
}

#[tokio::test]
async fn a_record_over_64_kib_is_refused_with_all_else_that_is_wrong() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    let mut large = visit_record(10);
    large.notes = "x".repeat(64 * 1024);
    let receipt = submit(&engine, submission(1, SATU, v1::submission::Content::SchoolVisit(large))).await;
    assert_eq!(receipt.status(), ReceiptStatus::Rejected);
    let fields: Vec<_> = receipt.violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["school_visit.notes", "submission"]);
    assert!(receipt.violations[1].reason.contains("65536 bytes"), "{receipt:?}");
    stop(engine).await;
}

/// A clock that goes where it is put, back as well.
struct AnyClock(AtomicI64);

impl Clock for AnyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).expect("a story's time exists")
    }
}

#[tokio::test]
async fn the_time_of_recording_never_goes_back_when_the_clock_does() {
    let noon = time("2028-05-01T12:00:00").as_second();
    let clock = Arc::new(AnyClock(AtomicI64::new(noon)));
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let engine = open_at(Arc::clone(&journal), Arc::clone(&clock) as Arc<dyn Clock>, &Options::default());
    engine.register(town(), false).await.unwrap();
    for (n, offset) in [(1, 60), (2, -3_600), (3, 59), (4, 61)] {
        clock.0.store(noon + offset, Ordering::SeqCst);
        accepted(&engine, visit(n, 10)).await;
    }
    stop(engine).await;
    clock.0.store(noon - 7_200, Ordering::SeqCst);
    let engine = open_at(journal, clock, &Options::default());
    accepted(&engine, visit(5, 10)).await;
    engine.register(vec![area("53.72")], false).await.unwrap();
    let log = log(&engine).await;
    let times: Vec<i64> = log.iter().rev().take(6).rev().map(|e| e.recorded_at.unwrap().seconds - noon).collect();
    assert_eq!(times, [60, 60, 60, 61, 61, 61]);
    stop(engine).await;
}

#[tokio::test]
async fn an_import_is_all_or_nothing_unless_bad_entries_are_skipped() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    let head = engine.head().position;
    let entries = || vec![school("90000005", "SMP Contoh 05", DUA), school("x y", "", DUA), area("53.71.05")];
    let none = engine.register(entries(), false).await.unwrap();
    assert_eq!((none.summary, engine.head().position), (v1::RegistrySummary::default(), head));
    assert_eq!(none.refused.len(), 1);
    let fields: Vec<_> = none.refused[0].1.iter().map(|v| v.field.as_str()).collect();
    assert_eq!((none.refused[0].0, fields), (1, vec!["institution.institution_id", "institution.name"]));
    let some = engine.register(entries(), true).await.unwrap();
    assert_eq!((some.summary.created, some.summary.position, some.refused.len()), (2, head + 2, 1));
    let again = engine.register(entries(), true).await.unwrap();
    assert_eq!((again.summary.unchanged, again.summary.position), (2, 0));
    assert_eq!(engine.head().position, head + 2, "the same again is no event");
    stop(engine).await;
}

/// Schools that take about five megabytes together.
fn many_schools() -> Vec<v1::RegistryEntry> {
    // Names of 200 characters of three bytes.
    (0..8_000).map(|n| school(&format!("contoh-{n}"), &"校".repeat(200), DUA)).collect()
}

#[tokio::test]
async fn a_large_import_is_several_commits_without_a_gap() {
    let (journal, gate) = Watched::new(Arc::new(MemoryJournal::new()));
    let engine = open_town(journal, &Options::default()).await;
    let before = engine.head().position;
    gate.appends();
    let registered = engine.register(many_schools(), false).await.unwrap();
    assert_eq!((registered.summary.created, registered.summary.position), (8_000, before + 8_000));
    let appends = gate.appends();
    assert!(appends.len() > 1 && appends.iter().sum::<usize>() == 8_000, "{appends:?}");
    let log = log(&engine).await;
    assert!(log.iter().map(|e| e.position).eq(1..=before + 8_000));
    let known = engine.query(before + 8_000, |f| f.views.registry().all().1.len()).await.unwrap();
    assert_eq!(known, 8_002);
    stop(engine).await;
}

#[tokio::test]
async fn a_large_import_that_finds_the_disk_full_in_between_is_finished_by_sending_it_again() {
    // Appends: the log's first event, the town, then the import's.
    let plan = Plan { disk_full: Some(4..=4), ..Plan::default() };
    let journal = Arc::new(FaultyJournal::new(MemoryJournal::new(), plan));
    let engine = open_town(journal, &Options::default()).await;
    let failed = engine.register(many_schools(), false).await;
    assert!(matches!(failed, Err(WriteError::DiskFull(_))), "{failed:?}");
    let written = engine.head().position - 12;
    assert!(0 < written && written < 8_000, "the first commit stands: {written}");
    let rest = engine.register(many_schools(), false).await.unwrap().summary;
    assert_eq!((u64::from(rest.unchanged), u64::from(rest.created)), (written, 8_000 - written));
    assert_eq!(engine.head().position, 12 + 8_000);
    stop(engine).await;
}
