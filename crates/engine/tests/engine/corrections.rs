//! What receipts say of amendments and retractions.

use std::sync::Arc;

use satgas_engine::{Options, Stepped};
use satgas_journal::MemoryJournal;
use satgas_proto::v1::{self, ReceiptStatus, submission::Content};

use crate::support::*;

async fn memory() -> satgas_engine::Engine {
    open_town(Arc::new(MemoryJournal::new()), &Options::default()).await
}

#[tokio::test]
async fn a_correction_of_what_has_not_arrived_is_accepted_held_and_takes_effect_on_arrival() {
    let engine = memory().await;
    let amendment = submit(&engine, amends_visit(2, 1, 20)).await;
    assert_eq!((amendment.status(), amendment.held), (ReceiptStatus::Accepted, true));
    let retraction = submit(&engine, retracts(4, 3)).await;
    assert_eq!((retraction.status(), retraction.held), (ReceiptStatus::Accepted, true));
    let held = |position| {
        engine.query(position, |f| f.known(engine.now()).held("", 0).map(|h| h.waits_for_id).collect::<Vec<_>>())
    };
    assert_eq!(held(retraction.position).await.unwrap(), [id(1), id(3)]);
    let arrived = accepted(&engine, visit(1, 10)).await;
    assert_eq!(held(arrived).await.unwrap(), [id(3)]);
    let again = submit(&engine, amends_visit(2, 1, 20)).await;
    assert_eq!((fate(&again), again.held), ((ReceiptStatus::AlreadyKnown, amendment.position), false));
    stop(engine).await;
}

#[tokio::test]
async fn a_correction_of_what_is_there_is_not_held_even_within_one_batch() {
    let engine = memory().await;
    let batch = vec![visit(1, 10), amends_visit(2, 1, 20), retracts(3, 2)];
    let receipts = engine.enqueue(batch).await.unwrap().receipts().await.unwrap();
    assert!(receipts.iter().all(|r| r.status() == ReceiptStatus::Accepted && !r.held), "{receipts:?}");
    stop(engine).await;
}

#[tokio::test]
async fn a_correction_that_cannot_take_effect_is_a_conflict_with_what_stands() {
    let engine = memory().await;
    let record = accepted(&engine, visit(1, 10)).await;
    let first = accepted(&engine, amends_visit(2, 1, 20)).await;
    let second = submit(&engine, amends_visit(3, 1, 30)).await;
    assert_eq!((second.status(), second.conflicts_with, second.held), (ReceiptStatus::Conflict, first, false));
    let again = submit(&engine, amends_visit(3, 1, 30)).await;
    assert_eq!(
        (fate(&again), again.conflicts_with),
        ((ReceiptStatus::AlreadyKnown, second.position), first),
        "sent again it is known, and still in conflict"
    );
    let mut stranger = amends_visit(4, 2, 40);
    stranger.reporter = Some(v1::submission::Reporter::AreaCode(DUA.into()));
    let stranger = submit(&engine, stranger).await;
    assert_eq!((stranger.status(), stranger.conflicts_with), (ReceiptStatus::Conflict, first));
    let report = accepted(&engine, case(5)).await;
    let withdrawn = submit(&engine, retracts(6, 5)).await;
    assert_eq!((withdrawn.status(), withdrawn.conflicts_with), (ReceiptStatus::Conflict, report));
    assert!(record < first);
    stop(engine).await;
}

#[tokio::test]
async fn a_held_correction_that_lost_its_race_is_told_as_a_conflict_when_it_is_sent_again() {
    let engine = memory().await;
    let first = accepted(&engine, amends_visit(2, 1, 20)).await;
    let rival = submit(&engine, amends_visit(3, 1, 30)).await;
    assert!(rival.held);
    accepted(&engine, visit(1, 10)).await;
    let again = submit(&engine, amends_visit(3, 1, 30)).await;
    assert_eq!((again.status(), again.held, again.conflicts_with), (ReceiptStatus::AlreadyKnown, false, first));
    stop(engine).await;
}

#[tokio::test]
async fn a_held_correction_that_is_sent_again_is_told_what_all_that_was_acknowledged_made_of_it() {
    let journal = Arc::new(MemoryJournal::new());
    stop(open_town(Arc::clone(&journal) as _, &Options::default()).await).await;
    let mut stepped = Stepped::open(journal, noon(), &Options::default()).expect("the log opens");
    for (submission, held) in [(amends_visit(2, 1, 20), true), (visit(1, 10), false), (amends_visit(2, 1, 20), false)] {
        let engine = stepped.engine().clone();
        let answer = tokio::spawn(async move { submit(&engine, submission).await });
        tokio::task::yield_now().await;
        // The fold is slow: the record is acknowledged before the views have it.
        stepped.write();
        tokio::task::yield_now().await;
        if !answer.is_finished() {
            while stepped.fold() {}
        }
        let receipt = answer.await.unwrap();
        assert_eq!(receipt.held, held, "{receipt:?}");
    }
    stepped.shutdown();
}

#[tokio::test]
async fn a_query_sees_what_was_written_up_to_the_position_that_it_demands() {
    let engine = memory().await;
    for n in 1..=20 {
        let report = Content::SchoolVisit(visit_record(1));
        let position = accepted(&engine, submission(n, SATU, report)).await;
        let seen = engine.query(position, |f| (f.views.record_count(), f.head.position)).await.unwrap();
        assert_eq!(seen, (n as usize, position));
    }
    let beyond = engine.head().position + 1;
    let refused = engine.query(beyond, |_| ()).await;
    let expected = satgas_engine::QueryError::BeyondHead { position: beyond, head: beyond - 1 };
    assert_eq!(refused, Err(expected));
    stop(engine).await;
}
