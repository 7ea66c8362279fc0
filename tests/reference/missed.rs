//! Which deadlines are to be recorded as missed, and whether a log records them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use satgas_proto::v1::{self, DeadlineKind, amendment::Replacement};

use super::{
    count::exists_within,
    ledger::Ledger,
    rules::{self, report_deadline},
    time::{date_of, day, end_of, instant, last_of_month, month_after, month_code},
};

/// A deadline that passed unmet and was known before it was due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Missed {
    /// Number of the kind.
    kind: i32,
    pub(crate) item_id: String,
    pub(crate) detail: String,
    pub(crate) due: Timestamp,
}

impl Missed {
    /// What an event says was missed.
    pub(crate) fn of(event: &v1::DeadlineMissed) -> Self {
        Self {
            kind: event.kind,
            item_id: event.item_id.clone(),
            detail: event.detail.clone(),
            due: instant(event.due_at.as_ref()),
        }
    }

    /// What was due.
    pub(crate) fn kind(&self) -> DeadlineKind {
        DeadlineKind::try_from(self.kind).expect("made of a kind that is known")
    }
}

/// A judging that is over: when the one before it was, what was known, by which time deadlines were judged, and how long the log was when
/// it was over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) last: Timestamp,
    pub(crate) known_position: u64,
    pub(crate) at: Timestamp,
    pub(crate) head: u64,
}

/// Collects what is unmet.
struct Found {
    now: Timestamp,
    missed: BTreeMap<Missed, String>,
}

impl Found {
    /// Adds what is due by now and was known before it was due.
    fn add(
        &mut self,
        kind: DeadlineKind,
        item_id: &str,
        detail: String,
        due: Timestamp,
        known: Timestamp,
        rules: &str,
    ) {
        if due <= self.now && known < due {
            let item = Missed { kind: kind.into(), item_id: item_id.to_owned(), detail, due };
            self.missed.insert(item, rules.to_owned());
        }
    }
}

impl Ledger {
    /// Everything that is to be recorded as missed by `now`, whether or not it was; each with the name of the rules that set the
    /// deadline, which is empty where it was agreed.
    pub(crate) fn missed_by(&self, now: Timestamp) -> BTreeMap<Missed, String> {
        let mut found = Found { now, missed: BTreeMap::new() };
        self.reports_missed(&mut found);
        self.visit_follow_ups_missed(&mut found);
        self.case_deadlines_missed(&mut found);
        found.missed
    }

    fn reports_missed(&self, found: &mut Found) {
        for task_force in &self.task_forces {
            let id = &task_force.task_force_id;
            let known = self.first_registered[id];
            let mut month = day(&task_force.formed_on).first_of_month();
            while month <= date_of(found.now, &self.zone) {
                let rules = rules::on(&self.rule_sets, month);
                let due = report_deadline(&rules, month, &self.zone);
                let met = self.reports(id, month).iter().any(|report| report.received < due);
                if exists_within(task_force, month, last_of_month(month)) && !met {
                    found.add(DeadlineKind::Report, id, month_code(month), due, known, &rules.name);
                }
                month = month_after(month);
            }
        }
    }

    fn visit_follow_ups_missed(&self, found: &mut Found) {
        for record in self.standing() {
            let Replacement::SchoolVisit(visit) = &record.replacement else { continue };
            for follow_up in &visit.follow_ups {
                let due_on = day(&follow_up.due_on);
                if !self.says_done(record.id(), follow_up.number, Some(due_on)) {
                    let due = end_of(due_on, &self.zone);
                    let number = follow_up.number.to_string();
                    found.add(DeadlineKind::FollowUp, record.id(), number, due, record.received, "");
                }
            }
        }
    }

    fn case_deadlines_missed(&self, found: &mut Found) {
        for case in self.cases.iter().filter(|case| !case.merged()) {
            for planned in case.planned() {
                let due = end_of(planned.due_on, &self.zone);
                let met = planned.completed_at.is_some_and(|completed| completed < due);
                if self.open_at(case, due) && !met {
                    let number = planned.number.to_string();
                    found.add(DeadlineKind::FollowUp, &case.case_id, number, due, planned.recorded, "");
                }
            }
            let rules = rules::on(&self.rule_sets, date_of(self.reported_at(case), &self.zone));
            let due = self.response_due(case, &rules);
            let met = case.first_response().is_some_and(|response| response <= due);
            if case.closed_at(due).is_none() && !met {
                let known = self.report_of(case).received;
                found.add(DeadlineKind::Response, &case.case_id, String::new(), due, known, &rules.name);
            }
        }
    }
}

/// Holds a log to the page: every deadline that it records as missed was right to record by what was known at its position and
/// time, none is recorded twice, and each judging of `judged` recorded everything that fell due since the one before it, and nothing else.
pub(crate) fn check(events: &[v1::Event], judged: &[Judged]) -> Result<(), String> {
    let mut recorded: BTreeMap<Missed, u64> = BTreeMap::new();
    let mut owed = Owed::new(events);
    for event in events {
        let Some(v1::event::Body::DeadlineMissed(missed)) = &event.body else { continue };
        let (position, at) = (event.position, instant(event.recorded_at.as_ref()));
        let item = Missed::of(missed);
        if let Some(first) = recorded.insert(item.clone(), position) {
            return Err(format!("{item:?} is recorded at {first} and again at {position}"));
        }
        if missed.known_position >= position {
            return Err(format!("{item:?} at {position} was judged by position {}", missed.known_position));
        }
        match owed.at(missed.known_position, at).get(&item) {
            None => return Err(format!("{item:?} at {position} was not missed by what was known: {missed:?}")),
            Some(rules) if *rules != missed.rule_set => {
                return Err(format!("{item:?} at {position} names the rules {:?}, not {rules:?}", missed.rule_set));
            }
            Some(_) => {}
        }
    }
    for judged in judged {
        let left_out = |item: &&Missed| {
            item.due > judged.last && recorded.get(item).is_none_or(|&position| position > judged.head)
        };
        if let Some(item) = owed.at(judged.known_position, judged.at).keys().find(left_out) {
            return Err(format!("{item:?} was missed and is not recorded by {judged:?}"));
        }
        let of_this = judged.known_position + 1..=judged.head;
        let before = |(item, position): &(&Missed, &u64)| of_this.contains(position) && item.due <= judged.last;
        if let Some((item, position)) = recorded.iter().find(before) {
            return Err(format!("{item:?} at {position} did not fall due since the judging before {judged:?}"));
        }
    }
    Ok(())
}

/// What is owed at a judging, worked out once for each.
struct Owed<'a> {
    events: &'a [v1::Event],
    known: BTreeMap<(u64, Timestamp), BTreeMap<Missed, String>>,
}

impl<'a> Owed<'a> {
    fn new(events: &'a [v1::Event]) -> Self {
        Self { events, known: BTreeMap::new() }
    }

    fn at(&mut self, position: u64, at: Timestamp) -> &BTreeMap<Missed, String> {
        let events = self.events;
        self.known.entry((position, at)).or_insert_with(|| {
            let count = events.iter().filter(|event| event.position <= position).count();
            Ledger::of(&events[..count]).missed_by(at)
        })
    }
}

/// What a log has recorded as missed.
pub(crate) fn recorded(events: &[v1::Event]) -> BTreeSet<Missed> {
    let missed = events.iter().filter_map(|event| match &event.body {
        Some(v1::event::Body::DeadlineMissed(missed)) => Some(Missed::of(missed)),
        _ => None,
    });
    missed.collect()
}
