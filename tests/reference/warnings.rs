//! The early warnings, each kind by its sentence in the page.

use jiff::{SignedDuration, Timestamp};
use satgas_proto::v1::{self, WarningKind, amendment::Replacement};

use super::{
    count::{exists_within, home_of, reported_by},
    ledger::{Ledger, Record},
    rules,
    time::{DAY, date_of, day, end_of, message, start_of},
};

/// So many days of 24 hours.
fn days(count: u32) -> SignedDuration {
    DAY * i32::try_from(count).expect("rules count few days")
}

/// A warning before it is a message: what the order is made of.
struct Found {
    kind: WarningKind,
    since: Timestamp,
    subject: String,
    message: v1::Warning,
}

/// The warnings that stand at `now`: by kind, then since, then subject.
pub(crate) fn of(ledger: &Ledger, now: Timestamp) -> Vec<v1::Warning> {
    let rules = &rules::on(&ledger.rule_sets, date_of(now, &ledger.zone));
    let mut found = Vec::new();
    group_spreads(ledger, rules, now, &mut found);
    response_overdue(ledger, rules, now, &mut found);
    visit_follow_up_overdue(ledger, now, &mut found);
    case_follow_up_overdue(ledger, now, &mut found);
    school_repeated_signals(ledger, rules, now, &mut found);
    task_force_silent(ledger, rules, now, &mut found);
    found.sort_by_key(|warning| (warning.kind as i32, warning.since, warning.subject.clone()));
    found.into_iter().map(|warning| warning.message).collect()
}

/// A warning of `kind` about the subject `subject`, which is named in the message when it is a case, visit or task force.
fn about(kind: WarningKind, subject: String, since: Timestamp) -> Found {
    let message = v1::Warning {
        kind: kind.into(),
        subject_id: subject.clone(),
        since: Some(message(since)),
        ..v1::Warning::default()
    };
    Found { kind, since, subject, message }
}

/// The standing exposure signals within the window.
fn signals<'a>(ledger: &'a Ledger, rules: &v1::RuleSet, now: Timestamp) -> Vec<(&'a Record, &'a v1::ExposureSignal)> {
    let mut signals = Vec::new();
    for record in ledger.standing() {
        if let Replacement::ExposureSignal(signal) = &record.replacement
            && now - days(rules.signal_window_days) < record.occurred
            && record.occurred <= now
        {
            signals.push((record, signal));
        }
    }
    signals
}

fn group_spreads(ledger: &Ledger, rules: &v1::RuleSet, now: Timestamp, found: &mut Vec<Found>) {
    let today = date_of(now, &ledger.zone);
    let signals = signals(ledger, rules, now);
    let mut fingerprints: Vec<&String> = signals.iter().map(|(_, signal)| &signal.group_fingerprint).collect();
    fingerprints.sort();
    fingerprints.dedup();
    for fingerprint in fingerprints {
        let mut schools = Vec::new();
        let mut times = Vec::new();
        for (record, signal) in &signals {
            if signal.group_fingerprint == *fingerprint {
                schools.extend(signal.school_ids.iter().cloned());
                times.push(record.occurred);
            }
        }
        schools.sort();
        schools.dedup();
        times.sort();
        if schools.len() < rules.spread_schools_min as usize {
            continue;
        }
        let mut areas: Vec<String> = schools.iter().map(|school| ledger.stands_in(school, today)).collect();
        areas.retain(|area| !area.is_empty());
        areas.sort();
        areas.dedup();
        let mut warning = about(WarningKind::GroupSpreads, fingerprint.clone(), times[0]);
        warning.message.subject_id = String::new();
        warning.message.group_fingerprint.clone_from(fingerprint);
        warning.message.latest = Some(message(times[times.len() - 1]));
        warning.message.institution_ids = schools;
        warning.message.area_codes = areas;
        found.push(warning);
    }
}

fn response_overdue(ledger: &Ledger, rules: &v1::RuleSet, now: Timestamp, found: &mut Vec<Found>) {
    for case in &ledger.cases {
        let due = ledger.response_due(case, rules);
        if !case.merged() && ledger.open_at(case, now) && due <= now && case.first_response().is_none() {
            found.push(about(WarningKind::ResponseOverdue, case.case_id.clone(), due));
        }
    }
}

fn visit_follow_up_overdue(ledger: &Ledger, now: Timestamp, found: &mut Vec<Found>) {
    for record in ledger.standing() {
        let Replacement::SchoolVisit(visit) = &record.replacement else { continue };
        for follow_up in &visit.follow_ups {
            let due = end_of(day(&follow_up.due_on), &ledger.zone);
            if due <= now && !ledger.says_done(record.id(), follow_up.number, None) {
                let subject = format!("{}#{}", record.id(), follow_up.number);
                found.push(about(WarningKind::FollowUpOverdue, subject, due));
            }
        }
    }
}

fn case_follow_up_overdue(ledger: &Ledger, now: Timestamp, found: &mut Vec<Found>) {
    for case in &ledger.cases {
        if case.merged() || !ledger.open_at(case, now) {
            continue;
        }
        for planned in case.planned() {
            let due = end_of(planned.due_on, &ledger.zone);
            if due <= now && planned.completed_at.is_none() {
                let subject = format!("{}#{}", case.case_id, planned.number);
                found.push(about(WarningKind::FollowUpOverdue, subject, due));
            }
        }
    }
}

fn school_repeated_signals(ledger: &Ledger, rules: &v1::RuleSet, now: Timestamp, found: &mut Vec<Found>) {
    let signals = signals(ledger, rules, now);
    let mut schools: Vec<&String> = signals.iter().flat_map(|(_, signal)| &signal.school_ids).collect();
    schools.sort();
    schools.dedup();
    for school in schools {
        let mut times = Vec::new();
        for (record, signal) in &signals {
            if signal.school_ids.contains(school) {
                times.push(record.occurred);
            }
        }
        times.sort();
        if times.len() >= rules.repeated_signals_min as usize {
            let mut warning = about(WarningKind::SchoolRepeatedSignals, school.clone(), times[0]);
            warning.message.subject_id = String::new();
            warning.message.institution_ids = vec![school.clone()];
            found.push(warning);
        }
    }
}

fn task_force_silent(ledger: &Ledger, rules: &v1::RuleSet, now: Timestamp, found: &mut Vec<Found>) {
    let today = date_of(now, &ledger.zone);
    let limit = days(rules.silent_days);
    for task_force in &ledger.task_forces {
        if !exists_within(task_force, today, today) {
            continue;
        }
        let home = home_of(task_force);
        let mut last = start_of(day(&task_force.formed_on), &ledger.zone);
        for record in ledger.standing() {
            if reported_by(&record.reporter, &home) && record.occurred <= now {
                last = last.max(record.occurred);
            }
        }
        if last + limit <= now {
            found.push(about(WarningKind::TaskForceSilent, task_force.task_force_id.clone(), last + limit));
        }
    }
}
