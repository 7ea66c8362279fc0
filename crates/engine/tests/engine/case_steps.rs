//! Steps of cases through the engine.

use std::sync::Arc;

use satgas_domain::case::Refusal;
use satgas_engine::{CaseError, Options};
use satgas_journal::MemoryJournal;
use satgas_proto::v1::{self, CaseStatus, ReceiptStatus};

use crate::support::*;

#[tokio::test]
async fn a_step_answers_with_the_case_as_it_then_stands() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    accepted(&engine, case(1)).await;
    let (receipt, case) = engine.advance(command(50, 1, 1, assess(v1::Risk::Tinggi))).await.unwrap();
    assert_eq!(fate(&receipt), (ReceiptStatus::Accepted, engine.head().position));
    assert_eq!((case.version, case.status()), (2, CaseStatus::Diasesmen));
    stop(engine).await;
}

#[tokio::test]
async fn the_same_step_again_is_known_and_another_under_its_id_is_refused() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    accepted(&engine, case(1)).await;
    let step = || command(50, 1, 1, assess(v1::Risk::Tinggi));
    let first = engine.advance(step()).await.unwrap().0.position;
    let again = engine.advance(step()).await.unwrap().0;
    assert_eq!(fate(&again), (ReceiptStatus::AlreadyKnown, first));
    let other = engine.advance(command(50, 1, 2, assess(v1::Risk::Rendah))).await;
    assert!(matches!(other, Err(CaseError::IdTaken { position }) if position == first), "{other:?}");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_steps_on_one_version_one_is_taken_and_the_others_hear_of_the_new_version() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    accepted(&engine, case(1)).await;
    let steps: Vec<_> = (50..66)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.advance(command(n, 1, 1, assess(v1::Risk::Tinggi))).await })
        })
        .collect();
    let mut taken = 0;
    for step in steps {
        match step.await.unwrap() {
            Ok(_) => taken += 1,
            Err(CaseError::Refused(Refusal::StaleVersion { current: 2 })) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 1);
    stop(engine).await;
}

#[tokio::test]
async fn a_refused_step_says_where_the_case_stands_and_writes_nothing() {
    let engine = open_town(Arc::new(MemoryJournal::new()), &Options::default()).await;
    accepted(&engine, case(1)).await;
    let head = engine.head();
    let refused = engine.advance(command(50, 1, 1, serve(v1::Service::Kesehatan))).await;
    let Err(CaseError::Refused(Refusal::NotAllowed { current: 1, status: CaseStatus::Dilaporkan, allowed, .. })) =
        refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(allowed, ["assess", "offer_referral", "merge"]);
    let unknown = engine.advance(command(51, 9, 1, assess(v1::Risk::Tinggi))).await;
    assert!(matches!(unknown, Err(CaseError::Refused(Refusal::UnknownCase))), "{unknown:?}");
    assert_eq!(engine.head(), head);
    stop(engine).await;
}
