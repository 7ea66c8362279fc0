//! One id, one submission, for ever.

use std::sync::Arc;

use satgas_engine::Options;
use satgas_journal::{Journal, MemoryJournal};
use satgas_proto::v1::{self, ConflictCause, ReceiptStatus};

use crate::support::*;

use ReceiptStatus::{Accepted, AlreadyKnown, Conflict};

async fn memory() -> satgas_engine::Engine {
    open_town(Arc::new(MemoryJournal::new()), &Options::default()).await
}

#[tokio::test]
async fn the_same_submission_again_gets_its_first_position_and_is_written_once() {
    let engine = memory().await;
    let position = accepted(&engine, visit(1, 10)).await;
    accepted(&engine, visit(2, 10)).await;
    let head = engine.head();
    for _ in 0..3 {
        assert_eq!(fate(&submit(&engine, visit(1, 10)).await), (AlreadyKnown, position));
    }
    assert_eq!(engine.head(), head);
    stop(engine).await;
}

#[tokio::test]
async fn the_same_submission_twice_within_one_batch_is_one() {
    let engine = memory().await;
    let ticket = engine.enqueue(vec![visit(1, 10), visit(2, 20), visit(1, 10)]).await.unwrap();
    let receipts = ticket.receipts().await.unwrap();
    let first = receipts[0].position;
    let fates: Vec<_> = receipts.iter().map(fate).collect();
    assert_eq!(fates, [(Accepted, first), (Accepted, first + 1), (AlreadyKnown, first)]);
    assert_eq!(submitted(&log(&engine).await), [id(1), id(2)]);
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_race_with_one_submission_one_is_accepted_and_all_hear_of_one_position() {
    let engine = memory().await;
    let racers: Vec<_> = (0..32)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move { fate(&submit(&engine, visit(1, 10)).await) })
        })
        .collect();
    let mut fates = Vec::new();
    for racer in racers {
        fates.push(racer.await.unwrap());
    }
    assert_eq!(fates.iter().filter(|(status, _)| *status == Accepted).count(), 1);
    assert_eq!(fates.iter().filter(|(status, _)| *status == AlreadyKnown).count(), 31);
    assert!(fates.iter().all(|(_, position)| *position == fates[0].1));
    stop(engine).await;
}

#[tokio::test]
async fn an_id_stands_for_64_contents_and_what_was_taken_under_it_is_still_known() {
    let engine = memory().await;
    let first = accepted(&engine, visit(1, 1)).await;
    for pupils in 2..=64 {
        assert_eq!(submit(&engine, visit(1, pupils)).await.status(), Conflict);
    }
    let refused = submit(&engine, visit(1, 65)).await;
    assert_eq!((refused.status(), refused.position), (ReceiptStatus::Rejected, 0));
    assert_eq!(refused.violations[0].field, "submission_id");
    assert_eq!(fate(&submit(&engine, visit(1, 1)).await), (AlreadyKnown, first));
    assert_eq!(submit(&engine, visit(2, 65)).await.status(), Accepted, "under an id of its own");
    stop(engine).await;
}

#[tokio::test]
async fn other_content_under_a_known_id_is_kept_beside_it_and_listed() {
    let engine = memory().await;
    let stands = accepted(&engine, visit(1, 10)).await;
    let receipt = submit(&engine, visit(1, 99)).await;
    assert_eq!((receipt.status(), receipt.conflicts_with), (Conflict, stands));
    let other = submit(&engine, visit(1, 55)).await;
    assert_eq!((other.status(), other.conflicts_with), (Conflict, stands), "the third is told of the first");
    let listed =
        engine.query(other.position, |f| f.known(engine.now()).conflicts("", 0).collect::<Vec<_>>()).await.unwrap();
    let cause = ConflictCause::SameIdOtherContent.into();
    let expected = [(receipt.position, 99), (other.position, 55)].map(|(position, pupils)| v1::Conflict {
        position,
        stands_position: stands,
        cause,
        submission: Some(visit(1, pupils)),
        can_be_taken: true,
    });
    assert_eq!(listed, expected);
    assert_eq!(submitted(&log(&engine).await), [id(1), id(1), id(1)], "all of them are in the log");
    stop(engine).await;
}

#[tokio::test]
async fn a_conflict_sent_again_is_known_and_still_told_as_a_conflict() {
    let engine = memory().await;
    let stands = accepted(&engine, visit(1, 10)).await;
    let aside = submit(&engine, visit(1, 99)).await.position;
    let again = submit(&engine, visit(1, 99)).await;
    assert_eq!((fate(&again), again.conflicts_with), ((AlreadyKnown, aside), stands));
    let first = submit(&engine, visit(1, 10)).await;
    assert_eq!((fate(&first), first.conflicts_with), ((AlreadyKnown, stands), 0));
    stop(engine).await;
}

#[tokio::test]
async fn a_conflict_within_one_batch_is_told_from_a_repeat() {
    let engine = memory().await;
    let batch = vec![visit(1, 10), visit(1, 99), visit(1, 99), visit(1, 10)];
    let receipts = engine.enqueue(batch).await.unwrap().receipts().await.unwrap();
    let first = receipts[0].position;
    let fates: Vec<_> = receipts.iter().map(fate).collect();
    assert_eq!(fates, [(Accepted, first), (Conflict, first + 1), (AlreadyKnown, first + 1), (AlreadyKnown, first)]);
    stop(engine).await;
}

/// Sends one, another under its id and a case step; opens again and sends all of them again.
async fn nothing_is_forgotten_over_a_restart(reopen: impl Fn() -> Arc<dyn Journal>, options: &Options) {
    let step = || command(50, 2, 1, assess(v1::Risk::Tinggi));
    let engine = open_town(reopen(), options).await;
    let stands = accepted(&engine, visit(1, 10)).await;
    let aside = submit(&engine, visit(1, 99)).await;
    assert_eq!(aside.status(), Conflict);
    accepted(&engine, case(2)).await;
    let stepped = engine.advance(step()).await.expect("the case is new").0.position;
    let head = engine.head();
    stop(engine).await;

    for restart in 0..2 {
        let engine = open(reopen(), options);
        assert_eq!(engine.head(), head, "restart {restart}");
        assert_eq!(fate(&submit(&engine, visit(1, 10)).await), (AlreadyKnown, stands));
        let again = submit(&engine, visit(1, 99)).await;
        assert_eq!((fate(&again), again.conflicts_with), ((AlreadyKnown, aside.position), stands));
        assert_eq!(fate(&engine.advance(step()).await.expect("it is known").0), (AlreadyKnown, stepped));
        assert_eq!(engine.head(), head, "nothing was written");
        stop(engine).await;
    }
}

#[tokio::test]
async fn nothing_is_forgotten_over_a_restart_from_the_log_alone() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    nothing_is_forgotten_over_a_restart(move || Arc::clone(&journal), &Options::default()).await;
}

#[tokio::test]
async fn nothing_is_forgotten_over_a_restart_from_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let options = Options { checkpoints: Some(folder.path().to_owned()), ..Options::default() };
    nothing_is_forgotten_over_a_restart(move || Arc::clone(&journal), &options).await;
}

#[tokio::test]
async fn nothing_is_forgotten_over_a_restart_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    nothing_is_forgotten_over_a_restart(move || sled(&path), &Options::default()).await;
}

#[tokio::test]
async fn a_rejected_submission_takes_no_id_and_may_be_mended() {
    let engine = memory().await;
    let head = engine.head();
    let rejected = submit(&engine, bad_visit(1)).await;
    assert_eq!((rejected.status(), rejected.position), (ReceiptStatus::Rejected, 0));
    assert_eq!(rejected.violations[0].field, "school_visit.reach.pupils_female");
    assert_eq!(engine.head(), head, "nothing of it was written");
    accepted(&engine, visit(1, 10)).await;
    stop(engine).await;
}

#[tokio::test]
async fn bad_content_under_a_known_id_is_rejected_and_no_conflict() {
    let engine = memory().await;
    accepted(&engine, visit(1, 10)).await;
    assert_eq!(submit(&engine, bad_visit(1)).await.status(), ReceiptStatus::Rejected);
    let conflicts =
        engine.query(engine.head().position, |f| f.known(engine.now()).conflicts("", 0).count()).await.unwrap();
    assert_eq!(conflicts, 0);
    stop(engine).await;
}
