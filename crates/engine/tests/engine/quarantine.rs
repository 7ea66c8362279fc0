//! Records whose reporter's right had ended when they arrived: kept, not counted, decided on once.

use std::sync::Arc;

use satgas_domain::quarantine::OF_ONE_TOKEN_MAX;
use satgas_engine::{Engine, Handed, Options, ResolveError, WriteError};
use satgas_journal::{
    MemoryJournal,
    faulty::{FaultyJournal, Plan},
};
use satgas_proto::v1::{self, QuarantineVerdict, ReceiptStatus, event::Body};

use crate::support::*;

use QuarantineVerdict::{Admit, Refuse};
use ReceiptStatus::{Accepted, AlreadyKnown, QuarantineRefused, Quarantined, Rejected};

async fn memory() -> Engine {
    open_town(Arc::new(MemoryJournal::new()), &Options::default()).await
}

/// A right that ended before the records of these stories arrive, and after they happened.
fn right() -> v1::EndedRight {
    v1::EndedRight {
        token_id: "lama".into(),
        began_at: proto("2028-01-01T00:00:00"),
        ended_at: proto("2028-04-25T00:00:00"),
        end: v1::RightEnd::Revoked.into(),
        by: Some(v1::Actor { id: "lama".into(), role: "satgas".into(), ..Default::default() }),
    }
}

fn late(submission: v1::Submission) -> Handed {
    Handed { submission, ended: Some(right()) }
}

async fn hand_in(engine: &Engine, submission: v1::Submission) -> v1::Receipt {
    engine.submit(late(submission)).await.expect("something is answered")
}

async fn decide(
    engine: &Engine,
    command: u32,
    quarantined_position: u64,
    verdict: QuarantineVerdict,
) -> Result<v1::Receipt, ResolveError> {
    let decision = v1::QuarantineDecision {
        command_id: id(command),
        quarantined_position,
        verdict: verdict.into(),
        reason: "Keputusan contoh".into(),
    };
    let by = Some(v1::Actor { id: "pengawas".into(), role: "supervisor".into(), ..Default::default() });
    engine.decide_quarantined(v1::QuarantineDecided { decision: Some(decision), by }).await
}

/// Visits of the first kelurahan in April, as known at a position or now.
async fn visits(engine: &Engine, position: Option<u64>) -> u64 {
    let period = satgas_domain::time::Period::parse("2028-04").expect("a month");
    let subject = satgas_domain::views::Subject::Area(SATU, satgas_domain::views::EvaluatedBody::Kelurahan);
    let as_of = position.map(satgas_engine::AsOf::Position);
    let head = engine.head().position;
    let look = |known: satgas_domain::views::Known<'_>| known.evaluate(subject, &period).and_then(|e| e.activity);
    engine.look(head, as_of, look).await.expect("it can be asked").expect("it is registered").visits
}

/// Positions of what waits, or was ever kept, as known now.
async fn kept(engine: &Engine, decided_too: bool) -> Vec<u64> {
    let look = |known: satgas_domain::views::Known<'_>| {
        let records = known.quarantined("", "", 0).filter(|record| decided_too || record.decided.is_none());
        records.map(|record| record.position).collect()
    };
    engine.look(engine.head().position, None, look).await.expect("it can be asked")
}

#[tokio::test]
async fn a_late_record_is_kept_and_counts_from_its_admission_on() {
    let engine = memory().await;
    let receipt = hand_in(&engine, visit(1, 10)).await;
    assert_eq!(fate(&receipt), (Quarantined, engine.head().position));
    assert_eq!(fate(&hand_in(&engine, visit(1, 10)).await), fate(&receipt), "sent again it is the same one");
    assert_eq!((visits(&engine, None).await, kept(&engine, false).await), (0, vec![receipt.position]));

    let admitted = decide(&engine, 50, receipt.position, Admit).await.unwrap();
    let record = admitted.position + 1;
    assert_eq!((fate(&admitted), engine.head().position), ((Accepted, receipt.position + 1), record));
    assert_eq!(fate(&decide(&engine, 50, receipt.position, Admit).await.unwrap()), (AlreadyKnown, admitted.position));
    assert_eq!(fate(&hand_in(&engine, visit(1, 10)).await), (AlreadyKnown, record), "the phone hears of it");
    assert_eq!(fate(&submit(&engine, visit(1, 10)).await), (AlreadyKnown, record));
    assert_eq!((visits(&engine, None).await, kept(&engine, false).await), (1, vec![]));
    assert_eq!(visits(&engine, Some(receipt.position)).await, 0, "as it was known before");
    assert_eq!(kept(&engine, true).await, [receipt.position], "what was decided can still be listed");
    stop(engine).await;
}

#[tokio::test]
async fn a_refused_record_stays_in_the_log_never_counts_and_the_phone_hears_why() {
    let engine = memory().await;
    let position = hand_in(&engine, visit(1, 10)).await.position;
    decide(&engine, 50, position, Refuse).await.unwrap();
    for receipt in [hand_in(&engine, visit(1, 10)).await, submit(&engine, visit(1, 10)).await] {
        assert_eq!(fate(&receipt), (QuarantineRefused, position));
        assert_eq!(receipt.refused_because, "Keputusan contoh");
    }
    assert_eq!((visits(&engine, None).await, kept(&engine, true).await), (0, vec![position]));
    let again = decide(&engine, 51, position, Admit).await;
    assert!(matches!(&again, Err(ResolveError::Refused(v)) if v[0].field == "quarantined_position"), "{again:?}");
    let nothing = decide(&engine, 52, position + 1, Admit).await;
    assert!(matches!(&nothing, Err(ResolveError::Refused(v)) if v[0].field == "quarantined_position"), "{nothing:?}");
    stop(engine).await;
}

#[tokio::test]
async fn the_same_record_sent_again_with_a_right_counts_and_leaves_nothing_to_decide() {
    let engine = memory().await;
    let position = hand_in(&engine, visit(1, 10)).await.position;
    let receipt = submit(&engine, visit(1, 10)).await;
    assert_eq!(fate(&receipt), (Accepted, position + 2), "behind the event that settles what waited");
    assert_eq!((visits(&engine, None).await, kept(&engine, false).await), (1, vec![]));
    assert!(decide(&engine, 50, position, Refuse).await.is_err());
    let events = log(&engine).await;
    let settled = events.iter().find(|event| event.position == position + 1).and_then(|event| event.body.clone());
    let Some(Body::QuarantineDecided(decided)) = settled else { panic!("{settled:?}") };
    assert_eq!(decided.decision.unwrap_or_default().verdict(), QuarantineVerdict::Resent);
    stop(engine).await;
}

#[tokio::test]
async fn other_content_under_one_id_is_kept_both_and_an_admitted_one_conflicts_with_what_stands() {
    let engine = memory().await;
    let stands = accepted(&engine, visit(1, 10)).await;
    let (first, second) = (hand_in(&engine, visit(1, 20)).await, hand_in(&engine, visit(1, 30)).await);
    assert_eq!((first.status(), second.status()), (Quarantined, Quarantined));
    assert_ne!(first.position, second.position);
    let admitted = decide(&engine, 50, second.position, Admit).await.unwrap();
    let receipt = hand_in(&engine, visit(1, 30)).await;
    assert_eq!((fate(&receipt), receipt.conflicts_with), ((AlreadyKnown, admitted.position + 1), stands));
    assert_eq!((visits(&engine, None).await, kept(&engine, false).await), (1, vec![first.position]));
    stop(engine).await;
}

#[tokio::test]
async fn what_happened_outside_the_right_or_is_no_record_is_refused_and_nothing_is_written() {
    let engine = memory().await;
    let head = engine.head();
    for (occurred, words) in [("2027-12-31T23:59:59", "before"), ("2028-04-25T00:00:00", "after")] {
        let receipt = hand_in(&engine, v1::Submission { occurred_at: proto(occurred), ..visit(1, 10) }).await;
        assert_eq!(receipt.status(), Rejected, "{receipt:?}");
        assert!(receipt.violations[0].reason.contains(words), "{receipt:?}");
    }
    let receipt = hand_in(&engine, bad_visit(1)).await;
    assert_eq!((receipt.status(), engine.head()), (Rejected, head));
    stop(engine).await;
}

#[tokio::test]
async fn a_token_fills_its_own_share_only_and_a_decision_makes_room() {
    let engine = memory().await;
    let max = u32::try_from(OF_ONE_TOKEN_MAX.records).unwrap();
    let all: Vec<Handed> = (1..=max).map(|n| late(visit(n, 10))).collect();
    let receipts = engine.enqueue(all).await.unwrap().receipts().await.unwrap();
    assert!(receipts.iter().all(|receipt| receipt.status() == Quarantined));
    let full = engine.submit(late(visit(max + 1, 10))).await;
    assert!(matches!(full, Err(WriteError::QuarantineFull)), "{full:?}");
    let other = v1::EndedRight { by: Some(v1::Actor { id: "lain".into(), ..Default::default() }), ..right() };
    let others = Handed { submission: visit(max + 1, 20), ended: Some(other) };
    assert_eq!(engine.submit(others).await.unwrap().status(), Quarantined);
    decide(&engine, 9_001, receipts[0].position, Refuse).await.unwrap();
    assert_eq!(hand_in(&engine, visit(max + 1, 10)).await.status(), Quarantined, "there is room again");
    stop(engine).await;
}

#[tokio::test]
async fn what_waits_and_what_was_decided_is_the_same_after_a_restart_with_and_without_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let journal = sled(&folder.path().join("journal"));
    let options = Options { checkpoints: Some(folder.path().join("checkpoints")), ..Options::default() };
    let engine = open_town(journal.clone(), &options).await;
    let [admitted, refused, waiting] = [1, 2, 3].map(|n| visit(n, 10));
    let mut positions = Vec::new();
    for record in [&admitted, &refused, &waiting] {
        positions.push(hand_in(&engine, record.clone()).await.position);
    }
    let record = decide(&engine, 50, positions[0], Admit).await.unwrap().position + 1;
    decide(&engine, 51, positions[1], Refuse).await.unwrap();
    stop(engine).await;
    for options in [options, Options::default()] {
        let engine = open(journal.clone(), &options);
        assert_eq!(fate(&hand_in(&engine, admitted.clone()).await), (AlreadyKnown, record));
        assert_eq!(fate(&hand_in(&engine, refused.clone()).await), (QuarantineRefused, positions[1]));
        assert_eq!(fate(&hand_in(&engine, waiting.clone()).await), (Quarantined, positions[2]));
        assert_eq!((visits(&engine, None).await, kept(&engine, false).await), (1, vec![positions[2]]));
        stop(engine).await;
    }
}

#[tokio::test]
async fn an_admission_that_finds_the_disk_full_leaves_the_record_waiting() {
    // The log's opening, the town, and the record come first.
    let plan = Plan { disk_full: Some(4..=4), ..Plan::default() };
    let engine = open_town(Arc::new(FaultyJournal::new(MemoryJournal::new(), plan)), &Options::default()).await;
    let position = hand_in(&engine, visit(1, 10)).await.position;
    let refused = decide(&engine, 50, position, Admit).await;
    assert!(matches!(refused, Err(ResolveError::Write(WriteError::DiskFull(_)))), "{refused:?}");
    assert_eq!((engine.head().position, kept(&engine, false).await), (position, vec![position]));
    assert_eq!(fate(&hand_in(&engine, visit(1, 10)).await), (Quarantined, position));
    decide(&engine, 50, position, Admit).await.unwrap();
    assert_eq!(visits(&engine, None).await, 1);
    stop(engine).await;
}

#[tokio::test]
async fn a_record_of_a_kelurahan_that_was_dissolved_while_it_travelled_is_admitted() {
    let engine = memory().await;
    let position = hand_in(&engine, visit(1, 10)).await.position;
    let mut dissolved = area(SATU);
    if let Some(v1::registry_entry::Entry::Area(area)) = &mut dissolved.entry {
        area.valid_until = "2028-04-30".into();
    }
    assert_eq!(engine.register(vec![dissolved], false).await.unwrap().refused, []);
    accepted(&engine, visit(2, 10)).await;
    decide(&engine, 50, position, Admit).await.unwrap();
    assert_eq!(visits(&engine, None).await, 2);
    stop(engine).await;
}
