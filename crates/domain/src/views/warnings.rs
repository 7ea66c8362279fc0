//! Early warnings, worked out from all that is known as of a time.

use std::collections::BTreeSet;

use satgas_proto::v1::{self, WarningKind};

use super::{Ledger, Views};
use crate::{
    id::{format_hash, is_within},
    registry::Scope,
    rules::RuleSet,
    time::Instant,
};

/// Positions that a warning names at most.
const POSITIONS_MAX: usize = 100;

impl Views {
    /// The warnings that stand at `now` and concern an area within the prefix: by kind, then since, then id.
    #[must_use]
    pub fn warnings(&self, prefix: &str, now: Instant) -> Vec<v1::Warning> {
        let rules = self.rules_now(now);
        let mut warnings = Vec::new();
        self.spreading_groups(rules, now, &mut warnings);
        self.overdue_cases(rules, now, &mut warnings);
        self.overdue_visit_follow_ups(now, &mut warnings);
        self.schools_with_repeated_signals(rules, now, &mut warnings);
        self.silent_task_forces(rules, now, &mut warnings);
        warnings.retain(|w| w.area_codes.iter().any(|code| is_within(code, prefix)));
        let since = |w: &v1::Warning| w.since.as_ref().map_or((0, 0), |t| (t.seconds, t.nanos));
        warnings.sort_by(|a, b| (a.kind, since(a), &a.warning_id).cmp(&(b.kind, since(b), &b.warning_id)));
        warnings
    }

    /// The rules that warnings are made by: those of the day.
    #[must_use]
    pub fn rules_now(&self, now: Instant) -> &RuleSet {
        self.rule_sets.on(self.calendar().day(now))
    }

    /// Of exposure signals by record index: those within the window, by occurred.
    fn recent(&self, rules: &RuleSet, signals: &[u32], now: Instant) -> Vec<u32> {
        let from = now.plus_ns(-rules.signal_window_ns);
        let occurred = |index: &u32| self.records.get(*index).occurred;
        let mut recent: Vec<u32> =
            signals.iter().copied().filter(|s| occurred(s) > from && occurred(s) <= now).collect();
        recent.sort_by_key(|s| (occurred(s), *s));
        recent
    }

    fn spreading_groups(&self, rules: &RuleSet, now: Instant, warnings: &mut Vec<v1::Warning>) {
        for (fingerprint, signals) in &self.groups {
            let recent = self.recent(rules, signals, now);
            let schools: BTreeSet<u32> = recent.iter().flat_map(|s| self.schools_of(*s)).copied().collect();
            if schools.len() >= rules.spread_schools_min {
                let fingerprint = format_hash(fingerprint);
                warnings.push(v1::Warning {
                    warning_id: format!("group_spreads:{fingerprint}"),
                    group_fingerprint: fingerprint,
                    ..self.signal_warning(WarningKind::GroupSpreads, &recent, &schools)
                });
            }
        }
    }

    fn schools_with_repeated_signals(&self, rules: &RuleSet, now: Instant, warnings: &mut Vec<v1::Warning>) {
        for (index, ledger) in (0_u32..).zip(&self.institutions) {
            let recent = self.recent(rules, &ledger.signals, now);
            if recent.len() >= rules.repeated_signals_min {
                let id = &self.registry.institution(index).message.institution_id;
                warnings.push(v1::Warning {
                    warning_id: format!("school_repeated_signals:{id}"),
                    ..self.signal_warning(WarningKind::SchoolRepeatedSignals, &recent, &BTreeSet::from([index]))
                });
            }
        }
    }

    fn schools_of(&self, signal: u32) -> &[u32] {
        match &self.records.get(signal).content {
            super::Content::Signal(signal) => &signal.schools,
            _ => &[],
        }
    }

    fn signal_warning(&self, kind: WarningKind, recent: &[u32], schools: &BTreeSet<u32>) -> v1::Warning {
        let occurred = |index: Option<&u32>| index.map(|s| self.records.get(*s).occurred.to_proto());
        let institutions: BTreeSet<&str> =
            schools.iter().map(|s| self.registry.institution(*s).message.institution_id.as_str()).collect();
        let areas: BTreeSet<&str> = schools.iter().map(|s| self.code(self.registry.institution(*s).area)).collect();
        v1::Warning {
            kind: kind.into(),
            area_codes: areas.into_iter().map(str::to_owned).collect(),
            institution_ids: institutions.into_iter().map(str::to_owned).collect(),
            since: occurred(recent.first()),
            latest: occurred(recent.last()),
            positions: recent.iter().take(POSITIONS_MAX).map(|s| self.records.get(*s).position).collect(),
            ..Default::default()
        }
    }

    fn code(&self, area: u32) -> &str {
        &self.registry.area(area).message.code
    }

    fn institution_ids(&self, scope: Scope) -> Vec<String> {
        match scope {
            Scope::Area(_) => Vec::new(),
            Scope::Institution(institution) => {
                vec![self.registry.institution(institution).message.institution_id.clone()]
            }
        }
    }

    fn due_warning(
        &self,
        kind: WarningKind,
        scope: Scope,
        area: u32,
        subject: String,
        since: Instant,
        position: u64,
    ) -> v1::Warning {
        let name = match kind {
            WarningKind::ResponseOverdue => "response_overdue",
            WarningKind::FollowUpOverdue => "follow_up_overdue",
            _ => "task_force_silent",
        };
        v1::Warning {
            warning_id: format!("{name}:{subject}"),
            kind: kind.into(),
            area_codes: vec![self.code(area).to_owned()],
            institution_ids: self.institution_ids(scope),
            subject_id: subject,
            since: Some(since.to_proto()),
            latest: Some(since.to_proto()),
            positions: if position > 0 { vec![position] } else { Vec::new() },
            ..Default::default()
        }
    }

    fn overdue_cases(&self, rules: &RuleSet, now: Instant, warnings: &mut Vec<v1::Warning>) {
        for case in self.cases.all() {
            if case.is_merged() || case.reported >= now || case.closed_at(now).is_some() {
                continue;
            }
            let due = self.response_due(case, rules);
            if due <= now && case.first_response.is_none() {
                let id = case.id.to_string();
                warnings.push(self.due_warning(
                    WarningKind::ResponseOverdue,
                    case.scope,
                    case.area,
                    id,
                    due,
                    case.position,
                ));
            }
            for f in case.follow_ups.iter().filter(|f| f.completed.is_none()) {
                let due = self.calendar().start(f.due.next());
                if due <= now {
                    let subject = format!("{}#{}", case.id, f.message.number);
                    warnings.push(self.due_warning(
                        WarningKind::FollowUpOverdue,
                        case.scope,
                        case.area,
                        subject,
                        due,
                        f.position,
                    ));
                }
            }
        }
    }

    fn overdue_visit_follow_ups(&self, now: Instant, warnings: &mut Vec<v1::Warning>) {
        let today = self.calendar().day(now);
        for (scope, ledger) in self.ledgers() {
            for (due, agreed) in ledger.due.range(..today) {
                for (visit, number) in agreed {
                    let visit = self.records.get(*visit);
                    if self.done.get(&(visit.id, *number)).is_some_and(|days| !days.is_empty()) {
                        continue;
                    }
                    let subject = format!("{}#{number}", visit.id);
                    let due = self.calendar().start(due.next());
                    let area = self.registry.area_of(scope);
                    warnings.push(self.due_warning(
                        WarningKind::FollowUpOverdue,
                        scope,
                        area,
                        subject,
                        due,
                        visit.position,
                    ));
                }
            }
        }
    }

    fn silent_task_forces(&self, rules: &RuleSet, now: Instant, warnings: &mut Vec<v1::Warning>) {
        let (today, month) = (self.calendar().day(now), self.calendar().month(now));
        for task_force in self.registry.all().2 {
            if !task_force.existed(today, today) {
                continue;
            }
            let ledger = match task_force.home {
                Scope::Area(area) => &self.areas[area as usize],
                Scope::Institution(institution) => &self.institutions[institution as usize],
            };
            let formed = self.calendar().start(task_force.formed);
            let last = self.last_activity(ledger, month, now.plus_ns(1)).map_or(formed, |last| last.max(formed));
            if now.0 - last.0 >= rules.silent_ns {
                let area = self.registry.area_of(task_force.home);
                let since = last.plus_ns(rules.silent_ns);
                let subject = task_force.message.task_force_id.clone();
                warnings.push(self.due_warning(WarningKind::TaskForceSilent, task_force.home, area, subject, since, 0));
            }
        }
    }

    fn ledgers(&self) -> impl Iterator<Item = (Scope, &Ledger)> {
        let areas = (0..).map(Scope::Area).zip(&self.areas);
        areas.chain((0..).map(Scope::Institution).zip(&self.institutions))
    }
}
