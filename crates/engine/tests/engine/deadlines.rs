//! Deadlines that pass unmet are recorded once, when they fall due and not when something is moved into the past.

use std::sync::Arc;

use satgas_engine::{Engine, ManualClock, Options};
use satgas_journal::MemoryJournal;
use satgas_proto::v1::{self, submission::Content};

use crate::support::*;

const REPORTED: &str = "2028-05-02T08:59:00";

/// A case that was reported and heard of at nine, when deadlines had been judged.
async fn reported_at_nine() -> (Engine, Arc<ManualClock>) {
    let clock = noon();
    let engine = open_at(Arc::new(MemoryJournal::new()), clock.clone(), &Options::default());
    engine.register(town(), false).await.expect("the town is written");
    clock.set(time("2028-05-02T09:00:00"));
    let report = Content::CaseReport(case_record(v1::AgeGroup::AgeGroup2544));
    accepted(&engine, submission_on(1, SATU, REPORTED, report)).await;
    engine.judge_deadlines().await.expect("judged");
    (engine, clock)
}

async fn assess_as_high(engine: &Engine) {
    let step = v1::CaseCommand { occurred_at: proto(REPORTED), ..command(50, 1, 1, assess(v1::Risk::Tinggi)) };
    engine.advance(step).await.expect("the case is new");
}

#[tokio::test]
async fn a_risk_assessed_when_its_deadline_had_gone_by_makes_no_missed_deadline() {
    let (engine, clock) = reported_at_nine().await;
    clock.set(time("2028-05-02T11:30:00"));
    assert_eq!(engine.judge_deadlines().await.unwrap(), 0, "a case that is not assessed has three days");
    assess_as_high(&engine).await;
    clock.set(time("2028-05-02T12:00:00"));
    assert_eq!(engine.judge_deadlines().await.unwrap(), 0, "at 9:59, when it would have been due, it was not");
    stop(engine).await;
}

#[tokio::test]
async fn a_first_response_that_fell_due_is_recorded_once() {
    let (engine, clock) = reported_at_nine().await;
    assess_as_high(&engine).await;
    for (now, recorded) in [("2028-05-02T09:58:59", 0), ("2028-05-02T09:59:00", 1), ("2028-05-02T10:00:00", 0)] {
        clock.set(time(now));
        assert_eq!(engine.judge_deadlines().await.unwrap(), recorded, "{now}");
    }
    stop(engine).await;
}

#[tokio::test]
async fn a_follow_up_that_was_due_before_its_case_was_reported_as_a_correction_says_is_not_missed() {
    let (engine, clock) = reported_at_nine().await;
    let at = |n, version, step| v1::CaseCommand { occurred_at: proto(REPORTED), ..command(n, 1, version, step) };
    engine.advance(at(50, 1, assess(v1::Risk::Rendah))).await.expect("the case is new");
    let follow_up = v1::FollowUp { number: 1, action: "Kunjungan".into(), due_on: "2028-05-10".into() };
    let plan = v1::case_command::Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up) });
    engine.advance(at(51, 2, plan)).await.expect("planned");
    clock.set(time("2028-05-12T08:00:00"));
    let mut corrected = amends(2, 1, v1::amendment::Replacement::CaseReport(case_record(v1::AgeGroup::AgeGroup2544)));
    if let Some(Content::Amendment(amendment)) = &mut corrected.content {
        amendment.occurred_at = proto("2028-05-11T08:00:00");
    }
    accepted(&engine, corrected).await;
    engine.judge_deadlines().await.expect("judged");
    let missed = log(&engine).await.into_iter().filter_map(|event| match event.body {
        Some(v1::event::Body::DeadlineMissed(missed)) if missed.item_id == id(1) => Some(missed),
        _ => None,
    });
    assert_eq!(missed.collect::<Vec<_>>(), [], "on 10 May there was no case yet, as is known now");
    stop(engine).await;
}
