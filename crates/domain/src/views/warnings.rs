//! Early warnings, worked out from all that is known as of a time.

use std::collections::BTreeSet;

use satgas_proto::v1::{self, WarningKind};

use super::{
    deadlines::follow_up_due,
    evaluate::Heard,
    known::Known,
    lists::List,
    records::{Content, Signal},
};
use crate::{
    id::{format_hash, is_within},
    registry::Scope,
    rules::RuleSet,
    time::{Day, Instant},
};

/// Positions that a warning names at most.
const POSITIONS_MAX: usize = 100;

/// Puts warnings in their order: by kind, then since, then id.
pub fn in_order(warnings: &mut [v1::Warning]) {
    let since = |w: &v1::Warning| w.since.as_ref().map_or((0, 0), |t| (t.seconds, t.nanos));
    warnings.sort_by(|a, b| (a.kind, since(a), &a.warning_id).cmp(&(b.kind, since(b), &b.warning_id)));
}

impl Known<'_> {
    /// The warnings that stand and concern an area within the prefix: by kind, then since, then id.
    #[must_use]
    pub fn warnings(&self, prefix: &str) -> Vec<v1::Warning> {
        self.warnings_where(prefix, Heard::Everything)
    }

    /// The same for readers who must not learn where a case or a signal was reported: by these no task force breaks its silence, only by its
    /// monthly reports and its visits.
    #[must_use]
    pub fn warnings_beside_cases(&self, prefix: &str) -> Vec<v1::Warning> {
        self.warnings_where(prefix, Heard::BesideCases)
    }

    fn warnings_where(&self, prefix: &str, heard: Heard) -> Vec<v1::Warning> {
        let rules = self.rules_now();
        let mut warnings = Vec::new();
        self.spreading_groups(rules, &mut warnings);
        self.overdue_cases(rules, &mut warnings);
        self.overdue_visit_follow_ups(&mut warnings);
        self.schools_with_repeated_signals(rules, &mut warnings);
        self.silent_task_forces(rules, heard, &mut warnings);
        warnings.retain(|w| w.area_codes.iter().any(|code| is_within(code, prefix)));
        in_order(&mut warnings);
        warnings
    }

    /// Of exposure signals by record index: those that stand and occurred within the window, by occurred.
    fn recent(&self, rules: &RuleSet, signals: List, belongs: impl Fn(&Signal) -> bool) -> Vec<(Instant, u32)> {
        let from = self.now().plus_ns(-rules.signal_window_ns);
        let occurred = |index: u32| {
            let version = self.standing(index)?;
            let Content::Signal(signal) = &version.content else { return None };
            let counts = version.occurred > from && version.occurred <= self.now() && belongs(signal);
            counts.then_some((version.occurred, index))
        };
        let mut recent: Vec<(Instant, u32)> = self.views.links.of(signals).filter_map(occurred).collect();
        recent.sort_unstable();
        recent
    }

    fn spreading_groups(&self, rules: &RuleSet, warnings: &mut Vec<v1::Warning>) {
        for (fingerprint, signals) in &self.views.groups {
            let recent = self.recent(rules, *signals, |signal| signal.fingerprint == *fingerprint);
            let schools: BTreeSet<u32> = recent.iter().flat_map(|(_, s)| self.schools_of(*s)).copied().collect();
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

    fn schools_with_repeated_signals(&self, rules: &RuleSet, warnings: &mut Vec<v1::Warning>) {
        for (index, ledger) in (0_u32..).zip(&self.views.institutions) {
            let recent = self.recent(rules, ledger.signals, |signal| signal.schools.contains(&index));
            if recent.len() >= rules.repeated_signals_min {
                let id = &self.registry().institution(index).id;
                warnings.push(v1::Warning {
                    warning_id: format!("school_repeated_signals:{id}"),
                    ..self.signal_warning(WarningKind::SchoolRepeatedSignals, &recent, &BTreeSet::from([index]))
                });
            }
        }
    }

    fn schools_of(&self, signal: u32) -> &[u32] {
        match self.standing(signal).map(|version| &version.content) {
            Some(Content::Signal(signal)) => &signal.schools,
            _ => &[],
        }
    }

    fn signal_warning(&self, kind: WarningKind, recent: &[(Instant, u32)], schools: &BTreeSet<u32>) -> v1::Warning {
        let today = self.today();
        let occurred = |signal: Option<&(Instant, u32)>| signal.map(|(occurred, _)| occurred.to_proto());
        let institutions: BTreeSet<&str> =
            schools.iter().map(|s| self.registry().institution(*s).id.as_str()).collect();
        let areas: BTreeSet<&str> =
            schools.iter().map(|s| self.code(self.area_on(Scope::Institution(*s), today))).collect();
        let position = |(_, signal): &(Instant, u32)| self.views.records.get(*signal).position;
        v1::Warning {
            kind: kind.into(),
            area_codes: areas.into_iter().map(str::to_owned).collect(),
            institution_ids: institutions.into_iter().map(str::to_owned).collect(),
            since: occurred(recent.first()),
            latest: occurred(recent.last()),
            positions: recent.iter().take(POSITIONS_MAX).map(position).collect(),
            ..Default::default()
        }
    }

    fn institution_ids(&self, scope: Scope) -> Vec<String> {
        match scope {
            Scope::Area(_) => Vec::new(),
            Scope::Institution(institution) => {
                vec![self.registry().institution(institution).id.clone()]
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

    fn overdue_cases(&self, rules: &RuleSet, warnings: &mut Vec<v1::Warning>) {
        let now = self.now();
        for index in 0..u32::try_from(self.views.cases.all().len()).unwrap_or(u32::MAX) {
            let Some(case) = self.case_by_index(index) else { continue };
            if case.is_merged() || case.reported >= now || case.closed_at(now).is_some() {
                continue;
            }
            let mut warn = |kind, subject, since, position| {
                warnings.push(self.due_warning(kind, case.scope, case.area, subject, since, position));
            };
            let due = rules.response_due(self.calendar(), case.reported, case.risk());
            if due <= now && case.first_response.is_none() {
                warn(WarningKind::ResponseOverdue, case.id.to_string(), due, case.position);
            }
            for f in case.follow_ups.iter().filter(|f| f.completed.is_none()) {
                let due = follow_up_due(self.calendar(), f.due);
                if due <= now {
                    let subject = format!("{}#{}", case.id, f.message.number);
                    warn(WarningKind::FollowUpOverdue, subject, due, f.position);
                }
            }
        }
    }

    fn overdue_visit_follow_ups(&self, warnings: &mut Vec<v1::Warning>) {
        let today = self.today();
        for (scope, ledger) in self.views.ledgers() {
            let past = ledger.due.range(Day(i32::MIN)..today);
            for (day, visit, number) in past.filter(|agreed| self.is_agreed(*agreed)) {
                if self.done(visit, number).next().is_some() {
                    continue;
                }
                let visit = self.views.records.get(visit);
                let (subject, due) = (format!("{}#{number}", visit.id), follow_up_due(self.calendar(), day));
                let (kind, area) = (WarningKind::FollowUpOverdue, self.area_on(scope, today));
                warnings.push(self.due_warning(kind, scope, area, subject, due, visit.position));
            }
        }
    }

    fn silent_task_forces(&self, rules: &RuleSet, heard: Heard, warnings: &mut Vec<v1::Warning>) {
        let (today, now) = (self.today(), self.now());
        let month = self.calendar().month(now);
        for task_force in self.registry().all().2 {
            let Some(stated) = task_force.history.known(self.position()) else { continue };
            if !stated.state.existed(today, today) {
                continue;
            }
            let formed = self.calendar().start(stated.state.formed);
            let ledger = self.views.ledger(task_force.home);
            let last = self.last_activity(ledger, month, now.plus_ns(1), heard);
            let last = last.map_or(formed, |last| last.max(formed));
            if now.0 - last.0 >= rules.silent_ns {
                let area = self.area_on(task_force.home, today);
                let since = last.plus_ns(rules.silent_ns);
                let (kind, subject) = (WarningKind::TaskForceSilent, task_force.id.clone());
                warnings.push(self.due_warning(kind, task_force.home, area, subject, since, 0));
            }
        }
    }
}
