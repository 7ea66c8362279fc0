//! The histories are worth playing: between them they hold everything that the page speaks of.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use satgas_proto::v1::{self, event::Body};

use super::{Action, History, ZONE, people::KELURAHAN};
use crate::reference::{Subject, conflicts, evaluate, held, steps, time::message, warnings};

/// The log of a server that refuses nothing but what it knows: repeats are dropped, other content under a known id conflicts.
fn naive_log(history: &History) -> Vec<v1::Event> {
    let mut bodies = vec![(
        history.start,
        Body::LogOpened(v1::LogOpened { time_zone: ZONE.to_owned(), ..v1::LogOpened::default() }),
    )];
    let mut known: BTreeMap<String, v1::Submission> = BTreeMap::new();
    for wave in &history.waves {
        for action in wave.clients.iter().flatten() {
            for body in naive_bodies(action, &mut known) {
                bodies.push((wave.at, body));
            }
        }
    }
    let event = |((at, body), position): ((Timestamp, Body), u64)| v1::Event {
        position,
        recorded_at: Some(message(at)),
        body: Some(body),
        ..v1::Event::default()
    };
    bodies.into_iter().zip(1..).map(event).collect()
}

fn naive_bodies(action: &Action, known: &mut BTreeMap<String, v1::Submission>) -> Vec<Body> {
    let submissions = match action {
        Action::Register(entries) => return entries.iter().cloned().map(Body::Registered).collect(),
        Action::Step(plan) if !known.contains_key(&plan.case_id) => return Vec::new(),
        Action::Step(plan) => {
            let any = super::StepPlan { wild: true, ..plan.clone() };
            let command = steps::choose(&any, &v1::Case::default());
            return vec![Body::CaseAdvanced(v1::CaseAdvanced { command, version: 0 })];
        }
        Action::Submit(submission) | Action::OpenCase(submission) => vec![submission.clone()],
        Action::SubmitBatch(batch) => batch.clone(),
    };
    let mut bodies = Vec::new();
    for submission in submissions {
        match known.get(&submission.submission_id) {
            Some(before) if *before == submission => {}
            Some(_) => bodies.push(Body::Conflicting(v1::ConflictingSubmission {
                submission: Some(submission),
                cause: v1::ConflictCause::SameIdOtherContent.into(),
                stands_position: 0,
            })),
            None if submission.submission_id.contains("uuid") => {}
            None => {
                known.insert(submission.submission_id.clone(), submission.clone());
                bodies.push(Body::Submitted(submission));
            }
        }
    }
    bodies
}

#[test]
fn a_seed_always_makes_the_same_history() {
    assert_eq!(format!("{:?}", History::of(7)), format!("{:?}", History::of(7)));
    assert_ne!(format!("{:?}", History::of(7)), format!("{:?}", History::of(8)));
}

#[test]
fn twelve_histories_hold_every_conflict_warning_and_figure() {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..12 {
        let history = History::of(seed);
        let events = naive_log(&history);
        let now = history.waves[history.waves.len() - 1].at + SignedDuration::from_hours(24 * 20);
        for (_, cause) in conflicts(&events) {
            *seen.entry(cause.as_str_name().to_owned()).or_default() += 1;
        }
        for warning in warnings(&events, now) {
            *seen.entry(warning.kind().as_str_name().to_owned()).or_default() += 1;
        }
        *seen.entry("held".to_owned()).or_default() += held(&events).len() as u64;
        let whole = history.periods.iter().map(|period| ("53.71", period));
        let without_school = history.periods.iter().map(|period| (KELURAHAN[5], period));
        for (code, period) in whole.chain(without_school) {
            let evaluation = evaluate(&events, &Subject::Area(code.to_owned()), period, now);
            for indicator in &evaluation.indicators {
                let name = v1::IndicatorKind::try_from(indicator.kind).unwrap().as_str_name();
                let full = indicator.applicable && indicator.numerator == indicator.denominator;
                let partial = indicator.numerator > 0 && !full;
                *seen.entry(format!("{name} partial")).or_default() += u64::from(partial);
                *seen.entry(format!("{name} empty")).or_default() += u64::from(!indicator.applicable);
            }
            let cases = evaluation.cases.unwrap();
            for (name, figure) in [
                ("open", cases.open),
                ("closed", cases.closed),
                ("overdue", cases.overdue),
                ("in shelter", cases.in_shelter),
                ("responses", cases.first_response_p90_s.unwrap_or(0)),
            ] {
                *seen.entry(name.to_owned()).or_default() += figure;
            }
        }
    }
    let missing: Vec<&String> = seen.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name).collect();
    assert!(missing.is_empty(), "no history holds {missing:?}; seen: {seen:#?}");
    assert_eq!(seen.len(), 5 + 5 + 1 + 12 + 5, "seen: {seen:#?}");
}
