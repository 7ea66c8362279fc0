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
