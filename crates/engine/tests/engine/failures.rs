//! Appends that fail: nothing is acknowledged that is not there, nothing stays behind of what is not.

use std::{collections::BTreeMap, fs, sync::Arc};

use satgas_domain::case::Refusal;
use satgas_engine::{CaseError, Engine, OpenError, Options, WriteError};
use satgas_journal::{
    Journal, MemoryJournal,
    faulty::{FaultyJournal, Plan},
};
use satgas_proto::v1::{self, ReceiptStatus, amendment::Replacement};

use crate::support::*;

/// Appends of every log here before the story begins: its first event and the town.
const BEFORE: u64 = 2;

/// An engine with the town, and the story's n-th append on finds the disk full, so many times.
async fn disk_full(nth: u64, times: u64) -> (Engine, Arc<Gate>) {
    let first = BEFORE + nth;
    let plan = Plan { disk_full: Some(first..=first + times - 1), ..Plan::default() };
    let (journal, gate) = Watched::new(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)));
    (open_town(journal, &Options::default()).await, gate)
}

fn is_full<T: std::fmt::Debug>(result: Result<T, WriteError>) {
    assert!(matches!(result, Err(WriteError::DiskFull(_))), "{result:?}");
}

fn is_full_step(result: &Result<(v1::Receipt, v1::Case), CaseError>) {
    assert!(matches!(result, Err(CaseError::Write(WriteError::DiskFull(_)))), "{result:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_reads_go_on_and_the_same_is_accepted_when_there_is_room() {
    let (engine, _) = disk_full(2, 3).await;
    let first = accepted(&engine, visit(1, 10)).await;
    let head = engine.head();
    for _ in 0..3 {
        is_full(engine.submit(visit(2, 10)).await);
        assert_eq!((engine.head(), submitted(&log(&engine).await)), (head, vec![id(1)]));
        assert_eq!(engine.query(first, |f| f.views.record_count()).await.unwrap(), 1);
    }
    assert_eq!(accepted(&engine, visit(2, 10)).await, first + 1, "no position is lost");
    let meter = engine.meter();
    assert_eq!(meter.failures().collect::<Vec<_>>(), [("disk_full", 3), ("too_large", 0), ("failed", 0)]);
    let counted: Vec<_> = meter.outcomes().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("accepted", 2), ("not_written", 3)]);
    // The town's import is a commit, too.
    assert_eq!(meter.records().counts().1, 3);
    stop(engine).await;
}

#[tokio::test]
async fn what_cannot_be_looked_up_in_the_log_is_neither_taken_nor_refused_and_its_neighbours_are() {
    // Opening reads the log; the reads after that are those of what is sent again.
    let plan = Plan { lost_reads: Some(3..=3), ..Plan::default() };
    let options = Options { tail_bytes_max: 0, ..Options::default() };
    let engine = open_town(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)), &options).await;
    let first = accepted(&engine, visit(1, 10)).await;
    accepted(&engine, visit(2, 20)).await;
    let (unknown, neighbour) = tokio::join!(engine.submit(visit(1, 10)), engine.submit(visit(3, 30)));
    assert!(matches!(unknown, Err(WriteError::Unreadable { position, .. }) if position == first), "{unknown:?}");
    assert_eq!(neighbour.unwrap().status(), ReceiptStatus::Accepted);
    assert_eq!(fate(&submit(&engine, visit(1, 10)).await), (ReceiptStatus::AlreadyKnown, first));
    assert_eq!(submitted(&log(&engine).await), [id(1), id(2), id(3)]);
    stop(engine).await;
}

#[tokio::test]
async fn of_a_message_with_a_record_that_cannot_be_looked_up_nothing_is_written() {
    let plan = Plan { lost_reads: Some(3..=3), ..Plan::default() };
    let options = Options { tail_bytes_max: 0, ..Options::default() };
    let engine = open_town(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)), &options).await;
    let first = accepted(&engine, visit(1, 10)).await;
    let message = || vec![case(2), visit(3, 30), visit(1, 10), visit(4, 40)];
    let neighbour = engine.submit(visit(5, 50));
    let (unknown, neighbour) =
        tokio::join!(async { engine.enqueue(message()).await.expect("there is room").receipts().await }, neighbour);
    assert!(matches!(unknown, Err(WriteError::Unreadable { position, .. }) if position == first), "{unknown:?}");
    let next = neighbour.unwrap().position;
    assert_eq!((next, submitted(&log(&engine).await)), (first + 1, vec![id(1), id(5)]));
    let none = engine.advance(command(50, 2, 1, assess(v1::Risk::Tinggi))).await;
    assert!(matches!(none, Err(CaseError::Refused(Refusal::UnknownCase))), "{none:?}");
    let again = engine.enqueue(message()).await.expect("there is room").receipts().await.unwrap();
    let fates = [(2, next + 1), (3, next + 2), (1, first), (4, next + 3)].map(|(n, position)| (id(n), position));
    assert_eq!(again.into_iter().map(|receipt| (receipt.submission_id, receipt.position)).collect::<Vec<_>>(), fates);
    stop(engine).await;
}

#[tokio::test]
async fn what_was_taken_back_is_no_conflict_for_other_content() {
    let (engine, _) = disk_full(1, 1).await;
    is_full(engine.submit(visit(1, 10)).await);
    accepted(&engine, visit(1, 99)).await;
    assert_eq!(submit(&engine, visit(1, 10)).await.status(), ReceiptStatus::Conflict);
    stop(engine).await;
}

#[tokio::test]
async fn a_conflict_that_was_taken_back_is_one_again_when_it_is_sent_again() {
    let (engine, _) = disk_full(2, 1).await;
    let stands = accepted(&engine, visit(1, 10)).await;
    is_full(engine.submit(visit(1, 99)).await);
    let again = submit(&engine, visit(1, 99)).await;
    assert_eq!((fate(&again), again.conflicts_with), ((ReceiptStatus::Conflict, stands + 1), stands));
    stop(engine).await;
}

#[tokio::test]
async fn a_case_whose_report_was_taken_back_does_not_exist() {
    let (engine, _) = disk_full(1, 1).await;
    is_full(engine.submit(case(1)).await);
    let unknown = engine.advance(command(50, 1, 1, assess(v1::Risk::Tinggi))).await;
    assert!(matches!(unknown, Err(CaseError::Refused(Refusal::UnknownCase))), "{unknown:?}");
    accepted(&engine, case(1)).await;
    engine.advance(command(50, 1, 1, assess(v1::Risk::Tinggi))).await.unwrap();
    stop(engine).await;
}

#[tokio::test]
async fn a_step_that_was_taken_back_leaves_the_case_at_its_version() {
    let (engine, _) = disk_full(2, 1).await;
    accepted(&engine, case(1)).await;
    is_full_step(&engine.advance(command(50, 1, 1, assess(v1::Risk::Tinggi))).await);
    let (receipt, case) = engine.advance(command(50, 1, 1, assess(v1::Risk::Tinggi))).await.unwrap();
    assert_eq!((receipt.status(), case.version), (ReceiptStatus::Accepted, 2));
    stop(engine).await;
}

#[tokio::test]
async fn a_correction_that_was_taken_back_does_not_bar_mediation() {
    let (engine, _) = disk_full(3, 1).await;
    accepted(&engine, case(1)).await;
    engine.advance(command(50, 1, 1, assess(v1::Risk::Rendah))).await.unwrap();
    let child = || amends(2, 1, Replacement::CaseReport(case_record(v1::AgeGroup::AgeGroup1317)));
    is_full(engine.submit(child()).await);
    engine.advance(command(51, 1, 2, serve(v1::Service::Mediasi))).await.unwrap();
    accepted(&engine, child()).await;
    let barred = engine.advance(command(52, 1, 3, serve(v1::Service::Mediasi))).await;
    assert!(matches!(barred, Err(CaseError::Refused(Refusal::NotAllowed { .. }))), "{barred:?}");
    stop(engine).await;
}

#[tokio::test]
async fn an_entry_that_was_taken_back_is_not_registered() {
    let (engine, _) = disk_full(1, 1).await;
    let entries = || vec![area("53.71.05"), area("53.71.05.1001")];
    is_full(engine.register(entries(), false).await);
    let orphan = engine.register(vec![area("53.71.05.1001")], false).await.unwrap();
    assert_eq!(orphan.refused.len(), 1, "its parent is not there");
    assert_eq!(engine.register(entries(), false).await.unwrap().summary.created, 2);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_commit_that_fails_only_those_fail_who_rest_on_it() {
    let (engine, gate) = disk_full(3, 1).await;
    let durable = accepted(&engine, visit(1, 10)).await;
    gate.close();
    let before = engine.enqueue(vec![visit(2, 10)]).await.unwrap();
    gate.wait_for_append().await;
    let mut tickets = Vec::new();
    for submission in [visit(3, 10), visit(3, 10), visit(1, 10), bad_visit(4)] {
        tickets.push(engine.enqueue(vec![submission]).await.unwrap());
    }
    gate.open();
    before.receipts().await.unwrap();
    let mut answers = Vec::new();
    for ticket in tickets {
        answers.push(ticket.receipts().await);
    }
    let [new, repeated, known, bad] = answers.try_into().expect("four tickets");
    is_full(new);
    is_full(repeated);
    assert_eq!(fate(&known.unwrap()[0]), (ReceiptStatus::AlreadyKnown, durable));
    assert_eq!(bad.unwrap()[0].status(), ReceiptStatus::Rejected);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_step_is_refused_for_a_step_that_was_taken_back() {
    let (engine, gate) = disk_full(3, 1).await;
    accepted(&engine, case(1)).await;
    gate.close();
    let before = engine.enqueue(vec![visit(2, 10)]).await.unwrap();
    gate.wait_for_append().await;
    // Joined futures are polled in order, so all three commands stand in the queue when the gate opens.
    let (first, stale, same_id, ()) = tokio::join!(
        engine.advance(command(50, 1, 1, assess(v1::Risk::Tinggi))),
        engine.advance(command(51, 1, 1, assess(v1::Risk::Rendah))),
        engine.advance(command(50, 1, 2, assess(v1::Risk::Rendah))),
        async { gate.open() },
    );
    before.receipts().await.unwrap();
    is_full_step(&first);
    is_full_step(&stale);
    is_full_step(&same_id);
    let (_, case) = engine.advance(command(51, 1, 1, assess(v1::Risk::Rendah))).await.unwrap();
    assert_eq!(case.version, 2);
    stop(engine).await;
}

#[tokio::test]
async fn after_an_append_of_unknown_outcome_nothing_is_taken_and_reads_go_on() {
    for plan in [
        Plan { lost_append: Some(BEFORE + 2), ..Plan::default() },
        Plan { lost_answer: Some(BEFORE + 2), ..Plan::default() },
    ] {
        let engine = open_town(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)), &Options::default()).await;
        let first = accepted(&engine, visit(1, 10)).await;
        let head = engine.head();
        for n in [2, 2, 3] {
            let failed = engine.submit(visit(n, 10)).await;
            assert!(matches!(failed, Err(WriteError::Failed(_))), "{failed:?}");
        }
        let failed = engine.register(vec![area("53.72")], false).await;
        assert!(matches!(failed, Err(WriteError::Failed(_))), "{failed:?}");
        assert_eq!(fate(&submit(&engine, visit(1, 10)).await), (ReceiptStatus::AlreadyKnown, first));
        assert_eq!((engine.head(), submitted(&log(&engine).await)), (head, vec![id(1)]));
        assert_eq!(engine.query(first, |f| f.views.record_count()).await.unwrap(), 1);
        stop(engine).await;
    }
}

/// Submits from many tasks until an append fails, opens the journal that is left again, and sends all of it again.
async fn what_was_acknowledged_is_there(inner: impl Fn() -> Arc<dyn Journal>, plan: Plan, is_written: bool) {
    const SENT: u32 = 120;
    let engine = open_town(Arc::new(FaultyJournal::new(inner(), plan)), &Options::default()).await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut receipts = Vec::new();
                for n in (task..SENT).step_by(8) {
                    receipts.push((n, engine.submit(visit(n, 10)).await));
                }
                receipts
            })
        })
        .collect();
    let mut acknowledged = BTreeMap::new();
    for task in tasks {
        for (n, answer) in task.await.expect("a task ends") {
            match answer {
                Ok(receipt) => assert_eq!(acknowledged.insert(n, fate(&receipt)), None),
                Err(WriteError::Failed(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(!acknowledged.is_empty() && acknowledged.len() < SENT as usize, "the append failed in between");
    stop(engine).await;

    let engine = open(inner(), &Options::default());
    let log_before = log(&engine).await;
    for (n, (status, position)) in &acknowledged {
        assert_eq!(*status, ReceiptStatus::Accepted);
        let event = &log_before[usize::try_from(*position).expect("a short log") - 1];
        let Some(v1::event::Body::Submitted(s)) = &event.body else { panic!("{event:?}") };
        assert_eq!(**s, visit(*n, 10), "what was acknowledged stands where its receipt says");
    }
    let found = submitted(&log_before);
    assert_eq!(found.len() > acknowledged.len(), is_written, "the lost commit is there whole, or not at all");
    for n in 0..SENT {
        let (status, position) = fate(&submit(&engine, visit(n, 10)).await);
        let expected = if found.contains(&id(n)) { ReceiptStatus::AlreadyKnown } else { ReceiptStatus::Accepted };
        assert_eq!(status, expected, "submission {n}");
        if let Some((_, first)) = acknowledged.get(&n) {
            assert_eq!(position, *first);
        }
    }
    let mut ids = submitted(&log(&engine).await);
    ids.sort_unstable();
    assert_eq!(ids, (0..SENT).map(id).collect::<Vec<_>>(), "each is in the log once");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_append_was_never_acknowledged_and_is_accepted_after_the_restart() {
    for lost in 2..6 {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let plan = Plan { lost_append: Some(BEFORE + lost), ..Plan::default() };
        what_was_acknowledged_is_there(|| Arc::clone(&journal), plan, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_was_never_acknowledged_and_is_known_after_the_restart() {
    for lost in 2..6 {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let plan = Plan { lost_answer: Some(BEFORE + lost), ..Plan::default() };
        what_was_acknowledged_is_there(|| Arc::clone(&journal), plan, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_on_disk() {
    for (plan, is_written) in [
        (Plan { lost_append: Some(BEFORE + 4), ..Plan::default() }, false),
        (Plan { lost_answer: Some(BEFORE + 4), ..Plan::default() }, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        what_was_acknowledged_is_there(|| sled(&path), plan, is_written).await;
    }
}

#[test]
fn a_journal_that_cannot_be_opened_is_told_at_once_whatever_lies_in_the_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { checkpoints: Some(folder.path().to_owned()), ..Options::default() };
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    open(Arc::clone(&journal), &options).shutdown();
    assert!(fs::read_dir(folder.path()).unwrap().count() > 0, "there are checkpoints that wait for their journal");
    let refused =
        Engine::open_beside(|| Err(OpenError::Checkpoints(std::io::Error::other("no such journal"))), noon(), &options);
    assert!(refused.err().expect("there is no journal").to_string().contains("no such journal"));
    let panicked = std::panic::catch_unwind(|| {
        let open = || -> Result<Arc<dyn Journal>, OpenError> { panic!("no journal either") };
        Engine::open_beside(open, noon(), &options).map(|_| ())
    });
    assert!(panicked.is_err(), "nobody waits for a journal that never comes");
    open(journal, &options).shutdown();
}
