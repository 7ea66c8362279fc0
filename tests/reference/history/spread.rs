//! The histories are worth playing: between them they hold everything that the page speaks of.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use satgas_proto::v1::{self, AreaLevel, ConflictDecision, EvaluatedBody, event::Body};

use super::{Action, History, ZONE, people::KELURAHAN};
use crate::reference::{
    Ledger, Subject,
    missed::{self, Judged},
    steps,
    time::message,
};

/// The log of a server that refuses only what the reference calls a defect: repeats are dropped, other content under a known id
/// conflicts, and after every third wave deadlines are judged.
struct Naive {
    events: Vec<v1::Event>,
    known: BTreeMap<String, v1::Submission>,
    judged: Vec<Judged>,
}

impl Naive {
    fn log(history: &History) -> Self {
        let mut naive = Self { events: Vec::new(), known: BTreeMap::new(), judged: Vec::new() };
        let opened = v1::LogOpened { time_zone: ZONE.to_owned(), ..v1::LogOpened::default() };
        naive.push(history.start, Body::LogOpened(opened));
        for (index, wave) in history.waves.iter().enumerate() {
            for action in wave.clients.iter().flatten() {
                naive.act(wave.at, action);
            }
            if index % 3 == 0 {
                naive.judge(wave.at);
            }
        }
        naive
    }

    /// Appends an event, unless it is a defect.
    fn push(&mut self, at: Timestamp, body: Body) {
        let position = self.events.len() as u64 + 1;
        let recorded_at = Some(message(at));
        self.events.push(v1::Event { position, recorded_at, body: Some(body), ..v1::Event::default() });
        if !Ledger::of(&self.events).defects().is_empty() {
            self.events.pop();
        }
    }

    fn act(&mut self, at: Timestamp, action: &Action) {
        match action {
            Action::Register(entries) => {
                for entry in entries {
                    self.push(at, Body::Registered(entry.clone()));
                }
            }
            Action::Step(plan) => {
                let any = super::StepPlan { wild: true, ..plan.clone() };
                let command = steps::choose(&any, &v1::Case::default());
                if Ledger::of(&self.events).cases.iter().any(|case| case.case_id == plan.case_id) {
                    self.push(at, Body::CaseAdvanced(v1::CaseAdvanced { command, version: 0 }));
                }
            }
            Action::Decide(plan) => {
                let open = Ledger::of(&self.events).open_conflicts().into_iter().map(|it| v1::Conflict {
                    position: it.position,
                    can_be_taken: it.can_be_taken,
                    ..v1::Conflict::default()
                });
                if let Some(resolution) = steps::decide(plan, &open.collect::<Vec<_>>()) {
                    self.push(at, Body::ConflictResolved(resolution));
                }
            }
            Action::Submit(submission) | Action::OpenCase(submission) => self.submit(at, submission),
            Action::SubmitBatch(batch) => batch.iter().for_each(|submission| self.submit(at, submission)),
        }
    }

    fn submit(&mut self, at: Timestamp, submission: &v1::Submission) {
        match self.known.get(&submission.submission_id) {
            Some(before) if before == submission => {}
            Some(_) => {
                let conflicting = v1::ConflictingSubmission {
                    submission: Some(submission.clone()),
                    cause: v1::ConflictCause::SameIdOtherContent.into(),
                    stands_position: 0,
                };
                self.push(at, Body::Conflicting(Box::new(conflicting)));
            }
            None if submission.submission_id.contains("uuid") => {}
            None => {
                let before = self.events.len();
                self.push(at, Body::Submitted(Box::new(submission.clone())));
                if self.events.len() > before {
                    self.known.insert(submission.submission_id.clone(), submission.clone());
                }
            }
        }
    }

    fn judge(&mut self, at: Timestamp) {
        let known_position = self.events.len() as u64;
        let before = missed::recorded(&self.events);
        let last = self.judged.last().map_or(Timestamp::UNIX_EPOCH, |judged| judged.at);
        for (item, rule_set) in Ledger::of(&self.events).missed_by(at) {
            if item.due > last && !before.contains(&item) {
                let event = v1::DeadlineMissed {
                    kind: item.kind().into(),
                    item_id: item.item_id,
                    detail: item.detail,
                    due_at: Some(message(item.due)),
                    known_position,
                    rule_set,
                };
                self.push(at, Body::DeadlineMissed(event));
            }
        }
        self.judged.push(Judged { last, known_position, at, head: self.events.len() as u64 });
    }
}

#[test]
fn a_seed_always_makes_the_same_history() {
    assert_eq!(format!("{:?}", History::of(7)), format!("{:?}", History::of(7)));
    assert_ne!(format!("{:?}", History::of(7)), format!("{:?}", History::of(8)));
}

/// How often each thing was seen.
#[derive(Default)]
struct Seen(BTreeMap<String, u64>);

impl Seen {
    fn add(&mut self, name: impl Into<String>, count: u64) {
        *self.0.entry(name.into()).or_default() += count;
    }

    /// What is open, waits and is warned of, and every figure of the whole and of the kelurahan without a school.
    fn figures(&mut self, history: &History, events: &[v1::Event], now: Timestamp) {
        let ledger = Ledger::of(events);
        for conflict in ledger.open_conflicts() {
            self.add(conflict.cause.as_str_name(), 1);
            self.add("can be taken", u64::from(conflict.can_be_taken));
        }
        for warning in ledger.warnings(now) {
            self.add(warning.kind().as_str_name(), 1);
        }
        self.add("held", ledger.waiting().len() as u64);
        let whole = history.periods.iter().map(|period| ("53.71", period));
        let without_school = history.periods.iter().map(|period| (KELURAHAN[5], period));
        for (code, period) in whole.chain(without_school) {
            let evaluation = ledger.evaluate(&Subject::Area(code.to_owned()), period, now);
            for indicator in &evaluation.indicators {
                let name = indicator.kind().as_str_name();
                let full = indicator.applicable && indicator.numerator == indicator.denominator;
                self.add(format!("{name} partial"), u64::from(indicator.numerator > 0 && !full));
                self.add(format!("{name} empty"), u64::from(!indicator.applicable));
            }
            let cases = evaluation.cases.expect("every evaluation has cases");
            self.add("open", cases.open);
            self.add("closed", cases.closed);
            self.add("overdue", cases.overdue);
            self.add("in shelter", cases.in_shelter);
            self.add("responses", cases.first_response_p90_s.unwrap_or(0));
            let institutions = ledger.evaluate(&Subject::InstitutionsIn(code.to_owned()), period, now);
            let missed = institutions.missed.expect("every evaluation has them");
            self.add("reports missed by institutions", missed.reports);
            self.add("follow-ups missed by institutions", missed.follow_ups);
            self.add("responses missed by institutions", missed.responses);
        }
    }

    /// What is decided and missed.
    fn events(&mut self, events: &[v1::Event]) {
        for (index, event) in events.iter().enumerate() {
            match event.body.as_ref().expect("every event has a body") {
                Body::DeadlineMissed(missed) => self.add(missed.kind().as_str_name(), 1),
                Body::ConflictResolved(resolution) if resolution.decision() == ConflictDecision::Keep => {
                    self.add("kept", 1);
                }
                Body::ConflictResolved(resolution) => {
                    let (before, after) = (Ledger::of(&events[..index]), Ledger::of(&events[..=index]));
                    let of = |it: &&crate::reference::OpenConflict| it.position == resolution.conflict_position;
                    let cause =
                        before.open_conflicts().iter().find(of).expect("only an open conflict is decided").cause;
                    self.add(format!("{} taken", cause.as_str_name()), 1);
                    let standing = |ledger: &Ledger| ledger.standing().count();
                    self.add("stands again", u64::from(standing(&after) > standing(&before)));
                }
                _ => {}
            }
        }
    }

    /// What changes of areas and institutions.
    fn registry(&mut self, history: &History, events: &[v1::Event], now: Timestamp) {
        let ledger = Ledger::of(events);
        let (mut listed, mut coverage) = (Vec::new(), Vec::new());
        for period in &history.periods {
            listed.push(ledger.listed(AreaLevel::Kelurahan, EvaluatedBody::Unspecified, "", period, now).len());
            coverage.push(
                KELURAHAN.map(|code| {
                    ledger.evaluate(&Subject::Area(code.to_owned()), period, now).indicators[2].denominator
                }),
            );
        }
        self.add("split", u64::from(listed.iter().any(|count| *count != KELURAHAN.len())));
        coverage.dedup();
        self.add("schools that move, begin or end", coverage.len() as u64 - 1);
    }
}

#[test]
fn twelve_histories_hold_every_conflict_decision_warning_figure_and_missed_deadline() {
    let mut seen = Seen::default();
    for seed in 0..12 {
        let history = History::of(seed);
        let naive = Naive::log(&history);
        let now = history.waves[history.waves.len() - 1].at + SignedDuration::from_hours(24 * 20);
        assert_eq!(missed::check(&naive.events, &naive.judged), Ok(()), "seed {seed}");
        seen.figures(&history, &naive.events, now);
        seen.events(&naive.events);
        seen.registry(&history, &naive.events, now);
    }
    let missing: Vec<&String> = seen.0.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name).collect();
    assert!(missing.is_empty(), "no history holds {missing:?}; seen: {:#?}", seen.0);
    // Causes and "can be taken", warnings, held, indicators, cases, missed by institutions; deadlines, decisions; registry.
    assert_eq!(seen.0.len(), 6 + 5 + 1 + 12 + 5 + 3 + 3 + 1 + 3 + 1 + 2, "seen: {:#?}", seen.0);
}
