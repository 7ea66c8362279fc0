//! Everything that waits is bounded, and everything that waits is answered.

use std::sync::{Arc, mpsc};

use satgas_engine::{Engine, Options, WriteError};
use satgas_journal::{Journal, MemoryJournal};
use satgas_proto::v1::{self, ReceiptStatus};
use tokio::runtime::Handle;

use crate::support::*;

/// An engine whose queue holds a handful of visits, and the gate before its journal.
async fn small() -> (Engine, Arc<Gate>, Arc<dyn Journal>) {
    let inner: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let (journal, gate) = Watched::new(Arc::clone(&inner));
    let engine = open_town(journal, &Options { queue_bytes_max: 4_000, ..Options::default() }).await;
    (engine, gate, inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_told_at_once_and_takes_more_when_it_has_emptied() {
    let (engine, gate, _) = small().await;
    gate.close();
    let (full, mut told_full) = tokio::sync::mpsc::unbounded_channel();
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (engine, full) = (engine.clone(), full.clone());
            tokio::spawn(async move {
                let answer = engine.submit(visit(n, 10)).await;
                if matches!(answer, Err(WriteError::QueueFull)) {
                    full.send(n).expect("the story listens");
                }
                answer
            })
        })
        .collect();
    told_full.recv().await.expect("some are told while nothing is written");
    gate.open();
    let mut accepted_ids = Vec::new();
    for (n, task) in (0..).zip(tasks) {
        match task.await.unwrap() {
            Ok(receipt) => {
                assert_eq!(receipt.status(), ReceiptStatus::Accepted);
                accepted_ids.push(id(n));
            }
            Err(WriteError::QueueFull) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let mut written = submitted(&log(&engine).await);
    written.sort_unstable();
    assert_eq!(written, accepted_ids, "who was refused left nothing behind");
    accepted(&engine, visit(100, 10)).await;
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_waits_for_room_instead() {
    let (engine, gate, _) = small().await;
    gate.close();
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.enqueue(vec![visit(n, 10)]).await?.receipts().await })
        })
        .collect();
    gate.wait_for_append().await;
    gate.open();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap()[0].status(), ReceiptStatus::Accepted);
    }
    stop(engine).await;
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_is_taken_and_a_record_larger_than_it_is_not() {
    let (engine, _, _) = small().await;
    let batch = (0..50).map(|n| visit(n, 10)).collect();
    let receipts = engine.enqueue(batch).await.unwrap().receipts().await.unwrap();
    assert!(receipts.iter().all(|r| r.status() == ReceiptStatus::Accepted));
    let mut record = visit_record(10);
    record.notes = "x".repeat(5_000);
    let large = submission(100, SATU, satgas_proto::v1::submission::Content::SchoolVisit(record));
    let refused = engine.submit(large).await;
    assert!(matches!(refused, Err(WriteError::TooLarge { .. })), "{refused:?}");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_answers_everything_that_stands_in_the_queue() {
    let inner: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let (journal, gate) = Watched::new(Arc::clone(&inner));
    let engine = open_town(journal, &Options::default()).await;
    gate.close();
    let mut tickets = Vec::new();
    for n in 0..50 {
        tickets.push(engine.enqueue(vec![visit(n, 10), amends_visit(1_000 + n, n, 20)]).await.unwrap());
    }
    gate.wait_for_append().await;
    let stopping = tokio::spawn(stop(engine.clone()));
    gate.open();
    for ticket in tickets {
        let receipts = ticket.receipts().await.unwrap();
        assert!(receipts.iter().all(|r| r.status() == ReceiptStatus::Accepted), "{receipts:?}");
    }
    stopping.await.unwrap();
    assert_eq!(inner.head().position, 12 + 100);
    assert_eq!(engine.query(112, |f| f.views.record_count()).await.unwrap(), 50, "the fold came to its end");
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_taken_reads_go_on_and_a_second_one_returns() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    accepted(&engine, visit(1, 10)).await;
    let mut cursor = engine.cursor(engine.head().position, satgas_engine::Filter::default()).unwrap();
    stop(engine.clone()).await;
    let closed = engine.submit(visit(2, 10)).await;
    assert!(matches!(closed, Err(WriteError::Closed)), "{closed:?}");
    let closed = engine.enqueue(vec![visit(2, 10)]).await.err();
    assert!(matches!(closed, Some(WriteError::Closed)), "{closed:?}");
    let closed = engine.register(vec![area("53.72")], false).await;
    assert!(matches!(closed, Err(WriteError::Closed)), "{closed:?}");
    assert_eq!(submitted(&log(&engine).await), [id(1)]);
    assert!(!cursor.wait().await, "a subscriber is told that nothing more comes");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_ran_ahead_of_the_fold_as_far_as_it_may_waits_and_goes_on() {
    let options = Options { fold_bytes_max: 1, ..Options::default() };
    let engine = open_town(Arc::new(MemoryJournal::new()), &options).await;
    let (looks, is_looked_at) = mpsc::channel();
    let (seen, is_seen) = mpsc::channel();
    let (own, runtime) = (engine.clone(), Handle::current());
    let look = tokio::task::spawn_blocking(move || {
        // While somebody looks, nothing is folded.
        runtime.block_on(own.query(0, |_| {
            looks.send(()).expect("the story listens");
            is_seen.recv().expect("it lasts")
        }))
    });
    is_looked_at.recv().expect("somebody looks");
    // One commit is with the fold, one waits for it, and one is durable and answered before the writer waits with it.
    for n in 1..=3 {
        accepted(&engine, visit(n, 10)).await;
    }
    let later: Vec<_> = (4..=20).map(|n| tokio::spawn(answered(engine.clone(), visit(n, 10)))).collect();
    seen.send(()).expect("somebody looks still");
    look.await.unwrap().unwrap();
    for receipt in later {
        assert_eq!(receipt.await.unwrap().status(), ReceiptStatus::Accepted);
    }
    let records = engine.query(engine.head().position, |folded| folded.views.record_count()).await;
    assert_eq!(records.unwrap(), 20, "what waited was folded, once");
    stop(engine).await;
}

async fn answered(engine: Engine, submission: v1::Submission) -> v1::Receipt {
    submit(&engine, submission).await
}
