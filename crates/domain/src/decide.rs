//! Whether a well-formed message fits what is known: the writer's decisions.
//!
//! Each `decide_*` is a pure question to [`WriteState`]; [`WriteState::apply`] folds the event that follows, so that the next
//! decision is made against committed and pending events alike.

use satgas_proto::v1::{
    self,
    amendment::Replacement,
    event::Body,
    submission::{Content, Reporter},
};
use serde::{Deserialize, Serialize};

use crate::{
    Map,
    case::{Case, Cases, Refusal},
    event,
    id::{Level, SubmissionId},
    public::{self, Reports},
    quarantine::{self, Quarantine},
    registry::{Registry, Scope, Validity},
    release::Releases,
    rules::RuleSets,
    sealed::{self, Sealing, Sealings},
    time::{Calendar, Day, Instant, Month},
    validate::{self, Violations},
};

/// How far a client's clock may be ahead.
const SKEW_NS: i64 = 300 * 1_000_000_000;
/// How far ahead a follow-up may be due: two years.
const FOLLOW_UP_DAYS_MAX: i32 = 731;

/// Who an event belongs to, as its head says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The reporter.
    pub scope: Scope,
    /// The kelurahan: the reporter's own, or where the institution stands.
    pub area: u32,
}

/// Who an event about seals belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// To who its case belongs to.
    To(Origin),
    /// To a public report in an area, or in none.
    ToReportIn(String),
}

/// What the writer decides against.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WriteState {
    registry: Registry,
    rule_sets: RuleSets,
    cases: Cases,
    /// Corrections of case reports by the version that they correct: the correction's id, and whether it tells of sexual violence
    /// against a child.
    corrected_reports: Map<SubmissionId, Vec<(SubmissionId, bool)>>,
    /// Conflicts that were decided, and the position of the decision.
    resolved: Map<u64, u64>,
    sealings: Sealings,
    quarantine: Quarantine,
    reports: Reports,
    /// What was published, without the tables.
    releases: Releases,
}

impl WriteState {
    /// What is registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The rule sets.
    #[must_use]
    pub fn rule_sets(&self) -> &RuleSets {
        &self.rule_sets
    }

    /// The cases.
    #[must_use]
    pub fn cases(&self) -> &Cases {
        &self.cases
    }

    /// Decides on a submission. Adds to what [`validate::submission`] found already, so that the client hears everything at once.
    pub fn decide_submission(
        &self,
        calendar: &Calendar,
        s: &v1::Submission,
        mut v: Violations,
        now: Instant,
    ) -> Result<Origin, Vec<v1::Violation>> {
        let occurred = s.occurred_at.as_ref().and_then(Instant::from_proto);
        if occurred.is_some_and(|at| at > now.plus_ns(SKEW_NS)) {
            v.add("occurred_at", "lies in the future: check the device's clock");
        }
        let origin = self.origin(&mut v, calendar, s.reporter.as_ref(), occurred);
        let mut check = Check { state: self, calendar, v, origin, now };
        match &s.content {
            Some(Content::MonitoringReport(r)) => check.monitoring_report(r, occurred),
            Some(Content::SchoolVisit(r)) => check.school_visit(r, occurred),
            Some(Content::ExposureSignal(r)) => check.exposure_signal(r),
            Some(Content::CaseReport(r)) => check.case_report(r),
            Some(Content::Amendment(a)) => check.amendment(a),
            Some(Content::Retraction(_)) | None => {}
        }
        match origin {
            Some(origin) if check.v.is_empty() => Ok(origin),
            _ => Err(check.v.into_vec()),
        }
    }

    fn origin(
        &self,
        v: &mut Violations,
        calendar: &Calendar,
        reporter: Option<&Reporter>,
        occurred: Option<Instant>,
    ) -> Option<Origin> {
        let (field, origin, valid) = match reporter? {
            Reporter::AreaCode(code) => {
                let Some(area) = self.registry.find_area(code) else {
                    v.add("area_code", "is not a registered area");
                    return None;
                };
                if self.registry.area(area).level != Level::Kelurahan {
                    v.add("area_code", "is not a kelurahan");
                    return None;
                }
                ("area_code", Origin { scope: Scope::Area(area), area }, self.valid(Scope::Area(area)))
            }
            Reporter::InstitutionId(id) => {
                let Some(index) = self.registry.find_institution(id) else {
                    v.add("institution_id", "is not a registered institution");
                    return None;
                };
                let scope = Scope::Institution(index);
                let day = occurred.map_or(Day(i32::MAX), |at| calendar.day(at));
                let area = self.registry.area_on(scope, day, u64::MAX);
                ("institution_id", Origin { scope, area }, self.valid(scope))
            }
        };
        if occurred.is_some_and(|at| at < calendar.start(valid.from)) {
            v.add("occurred_at", format!("lies before the {field}'s registration"));
        }
        if occurred.is_some_and(|at| is_after(calendar, at, valid)) {
            v.add("occurred_at", format!("lies after the last day of the {field}"));
        }
        Some(origin)
    }

    fn valid(&self, scope: Scope) -> Validity {
        match scope {
            Scope::Area(area) => self.registry.area(area).history.latest().state.valid,
            Scope::Institution(institution) => self.registry.institution(institution).history.latest().state.valid,
        }
    }

    /// Decides whether a conflict can still be decided.
    pub fn decide_resolution(&self, r: &v1::ConflictResolution) -> Result<(), Vec<v1::Violation>> {
        let mut v = Violations::default();
        validate::conflict_resolution(&mut v, r);
        if let Some(position) = self.resolved.get(&r.conflict_position) {
            v.add("conflict_position", format!("was decided already, by the event at position {position}"));
        }
        if v.is_empty() { Ok(()) } else { Err(v.into_vec()) }
    }

    /// Decides on a step of a case: who it belongs to, and the case's version after it.
    pub fn decide_case(&self, c: &v1::CaseCommand, now: Instant) -> Result<(Origin, u64), Refusal> {
        let mut v = Violations::default();
        validate::case_command(&mut v, c);
        let case = self.cases.find_text(&c.case_id);
        if let Some(at) = c.occurred_at.as_ref().and_then(Instant::from_proto) {
            if at > now.plus_ns(SKEW_NS) {
                v.add("occurred_at", "lies in the future: check the device's clock");
            }
            if case.is_some_and(|case| at < case.reported) {
                v.add("occurred_at", "lies before the case was reported");
            }
        }
        if let Some(v1::case_command::Step::OfferReferral(o)) = &c.step
            && self.registry.find_institution(&o.to_institution_id).is_none()
        {
            v.within("offer_referral", |v| v.add("to_institution_id", "is not a registered institution"));
        }
        if !v.is_empty() {
            return Err(Refusal::Invalid(v.into_vec()));
        }
        let case = case.ok_or(Refusal::UnknownCase)?;
        case.decide(c, &self.cases, self.tells_of_a_child(case.id))?;
        Ok((Origin { scope: case.scope, area: case.area }, case.version + 1))
    }

    /// What was kept apart.
    #[must_use]
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// What was published, without the tables.
    #[must_use]
    pub fn releases(&self) -> &Releases {
        &self.releases
    }

    /// What is sealed of the cases.
    #[must_use]
    pub fn sealings(&self) -> &Sealings {
        &self.sealings
    }

    /// Decides on something about sealed identities: who it belongs to, and the case's version before it.
    pub fn decide_sealing(&self, ask: sealed::Ask<'_>) -> Result<(Belongs, u64), sealed::Refusal> {
        Ok(match ask.decide(&self.cases, &self.reports, &self.sealings)? {
            sealed::About::Case(case) => (Belongs::To(Origin { scope: case.scope, area: case.area }), case.version),
            sealed::About::Report(report) => (Belongs::ToReportIn(report.area_code().to_owned()), 0),
        })
    }

    /// Decides on something about a public report: the code of its area, or nothing, and the report's version before it.
    pub fn decide_public(&self, ask: public::Ask<'_>) -> Result<(String, u64), sealed::Refusal> {
        ask.decide(&self.registry, &self.reports, &self.sealings)
    }

    /// What is sealed of a case.
    #[must_use]
    pub fn sealing(&self, case: SubmissionId) -> Option<&Sealing> {
        self.sealings.get(case)
    }

    /// Whether any correction of a case report, in effect or waiting, tells of sexual violence against a child. What was said once bars
    /// mediation until a supervisor decides, so an order of arrival can never open it.
    fn tells_of_a_child(&self, version: SubmissionId) -> bool {
        let mut versions = vec![version];
        let mut seen = 0;
        while let Some(version) = versions.get(seen).copied() {
            seen += 1;
            for (correction, child) in self.corrected_reports.get(&version).into_iter().flatten() {
                if *child {
                    return true;
                }
                if !versions.contains(correction) {
                    versions.push(*correction);
                }
            }
        }
        false
    }

    /// Folds an event that is about to be written. What it returns takes it back, should the write be refused; of several events, the
    /// last first.
    pub fn apply(&mut self, calendar: &Calendar, event: &v1::Event) -> Undo {
        match &event.body {
            // Whoever registers keeps the registry as it was: one copy for all entries.
            Some(Body::Registered(entry)) => {
                self.registry.apply(entry, event.position, event::recorded(event));
            }
            Some(Body::Submitted(s)) => match &s.content {
                Some(Content::CaseReport(report)) => {
                    if let Some(case) = reported_case(&self.registry, calendar, event, s, report) {
                        self.cases.add(case);
                        return Undo::CaseAdded;
                    }
                }
                Some(Content::Amendment(a)) => {
                    if let Some(Replacement::CaseReport(r)) = &a.replacement {
                        return self.report_corrected(&a.corrects_id, s, r);
                    }
                }
                _ => {}
            },
            // Another content of a report or of its correction may be taken by a supervisor: what it says bars mediation, too.
            Some(Body::Conflicting(conflicting)) => {
                if let Some(s) = &conflicting.submission
                    && let Some(report) = event::case_report(s)
                {
                    return self.report_corrected(&s.submission_id, s, report);
                }
            }
            Some(Body::CaseAdvanced(step)) => {
                if let Some(command) = &step.command
                    && let Some(index) = SubmissionId::parse(&command.case_id).ok().and_then(|id| self.cases.find(id))
                {
                    let before = Box::new(self.cases.get(index).clone());
                    self.cases.get_mut(index).apply(command, step.version, event.position, event::recorded(event));
                    return Undo::CaseChanged(index, before);
                }
            }
            Some(Body::RuleSetRecorded(recorded)) => {
                self.rule_sets.record(recorded, event.position);
                return Undo::RuleSetRecorded;
            }
            Some(Body::ReleasePublished(release)) => {
                let release = v1::ReleasePublished { areas: Vec::new(), ..release.clone() };
                self.releases.record(release, event.position, event::recorded(event));
                return Undo::ReleasePublished;
            }
            Some(Body::ConflictResolved(resolution)) => {
                self.resolved.insert(resolution.conflict_position, event.position);
                return Undo::ConflictResolved(resolution.conflict_position);
            }
            Some(
                Body::IdentitySealed(_)
                | Body::HoldPlaced(_)
                | Body::HoldLifted(_)
                | Body::ErasureRequested(_)
                | Body::ErasureApproved(_)
                | Body::ErasureDeclined(_)
                | Body::CaseAssigned(_)
                | Body::CaseUnassigned(_)
                | Body::IdentityErased(_),
            ) => return self.apply_sealing(event),
            Some(Body::Quarantined(_) | Body::QuarantineDecided(_)) => {
                return self.quarantine.apply(event).map_or(Undo::Nothing, Undo::Quarantine);
            }
            Some(Body::PublicReportReceived(_)) => {
                let sealing = self.apply_sealing(event);
                let report = self.reports.apply(event).map_or(Undo::Nothing, Undo::Report);
                return Undo::Both(Box::new(sealing), Box::new(report));
            }
            Some(Body::PublicReportTriaged(_) | Body::PublicReportMessage(_) | Body::IdentityRead(_)) => {
                return self.reports.apply(event).map_or(Undo::Nothing, Undo::Report);
            }
            Some(Body::LogOpened(_) | Body::DeadlineMissed(_)) | None => {}
        }
        Undo::Nothing
    }

    fn apply_sealing(&mut self, event: &v1::Event) -> Undo {
        let Some(body) = &event.body else { return Undo::Nothing };
        let Some(before) = self.sealings.apply(body, event.position, event::recorded(event)) else {
            return Undo::Nothing;
        };
        let Body::IdentitySealed(sealed) = body else { return Undo::Sealing(before, None) };
        let index = SubmissionId::parse(&sealed.case_id).ok().and_then(|id| self.cases.find(id));
        let version = index.map(|index| {
            let case = self.cases.get_mut(index);
            (index, std::mem::replace(&mut case.version, sealed.version))
        });
        Undo::Sealing(before, version)
    }

    fn report_corrected(&mut self, version: &str, s: &v1::Submission, report: &v1::CaseReport) -> Undo {
        let (Ok(version), Ok(id)) = (SubmissionId::parse(version), SubmissionId::parse(&s.submission_id)) else {
            return Undo::Nothing;
        };
        let child = crate::case::is_sexual_violence_against_a_child(report);
        self.corrected_reports.entry(version).or_default().push((id, child));
        Undo::ReportCorrected(version)
    }

    /// Takes an event back.
    pub fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Registered(before) => self.registry = *before,
            Undo::RuleSetRecorded => self.rule_sets.remove_last(),
            Undo::ReleasePublished => self.releases.remove_last(),
            Undo::CaseAdded => self.cases.remove_last(),
            Undo::CaseChanged(index, before) => *self.cases.get_mut(index) = *before,
            Undo::Sealing(before, version) => {
                self.sealings.undo(before);
                if let Some((index, version)) = version {
                    self.cases.get_mut(index).version = version;
                }
            }
            Undo::Quarantine(undo) => self.quarantine.undo(&undo),
            Undo::Report(before) => self.reports.undo(before),
            Undo::Both(one, other) => {
                self.undo(*other);
                self.undo(*one);
            }
            Undo::ConflictResolved(position) => {
                self.resolved.remove(&position);
            }
            Undo::ReportCorrected(version) => {
                if let Some(corrections) = self.corrected_reports.get_mut(&version) {
                    corrections.pop();
                }
            }
        }
    }
}

/// What takes an event back out of the write state.
#[derive(Debug)]
pub enum Undo {
    /// It changed nothing.
    Nothing,
    /// Entries were registered: the registry before them.
    Registered(Box<Registry>),
    /// A rule set was recorded.
    RuleSetRecorded,
    /// A release was published.
    ReleasePublished,
    /// A case was added.
    CaseAdded,
    /// A case was changed: the case before.
    CaseChanged(u32, Box<Case>),
    /// A case report of this version was corrected.
    ReportCorrected(SubmissionId),
    /// The conflict at this position was decided.
    ConflictResolved(u64),
    /// A record was kept apart, or decided on.
    Quarantine(quarantine::Undo),
    /// A public report came or was changed.
    Report(public::Before),
    /// Two things changed.
    Both(Box<Undo>, Box<Undo>),
    /// Something about sealed identities: what was known of them before and, where it advanced a case, the case's version before.
    Sealing(sealed::Before, Option<(u32, u64)>),
}

/// The reporter of a submission that was decided.
pub(crate) fn scope_of(registry: &Registry, s: &v1::Submission) -> Option<Scope> {
    match s.reporter.as_ref()? {
        Reporter::AreaCode(code) => registry.find_area(code).map(Scope::Area),
        Reporter::InstitutionId(id) => registry.find_institution(id).map(Scope::Institution),
    }
}

/// The case that a decided case report opens.
pub(crate) fn reported_case(
    registry: &Registry,
    calendar: &Calendar,
    event: &v1::Event,
    s: &v1::Submission,
    report: &v1::CaseReport,
) -> Option<Case> {
    let scope = scope_of(registry, s)?;
    let id = SubmissionId::parse(&s.submission_id).ok()?;
    let reported = s.occurred_at.as_ref().and_then(Instant::from_proto)?;
    let area = registry.area_on(scope, calendar.day(reported), u64::MAX);
    Some(Case::reported(id, scope, area, event.position, report.clone(), reported))
}

/// Whether a time lies after the last day of something.
fn is_after(calendar: &Calendar, at: Instant, valid: Validity) -> bool {
    valid.until.is_some_and(|until| at >= calendar.start(until.next()))
}

/// Checks of a record against what is registered.
struct Check<'a> {
    state: &'a WriteState,
    calendar: &'a Calendar,
    v: Violations,
    origin: Option<Origin>,
    now: Instant,
}

impl Check<'_> {
    fn registry(&self) -> &Registry {
        &self.state.registry
    }

    /// `occurred` is not known for a correction that keeps the original's.
    fn monitoring_report(&mut self, r: &v1::MonitoringReport, occurred: Option<Instant>) {
        let month = Month::parse(&r.month);
        let too_early = month.zip(occurred).is_some_and(|(month, at)| month > self.calendar.month(at));
        let mut unknown = None;
        let mut absent = false;
        match self.registry().find_task_force(&r.task_force_id).map(|index| self.registry().task_force(index)) {
            None => unknown = Some("is not a registered task force"),
            Some(t) if self.origin.is_some_and(|origin| origin.scope != t.home) => {
                unknown = Some("does not belong to the reporter")
            }
            Some(t) => {
                let existed = |m: Month| t.history.latest().state.existed(m.first_day(), m.last_day());
                absent = month.is_some_and(|m| !existed(m));
            }
        }
        let dones = self.done_in_the_future(&r.follow_ups_done);
        self.v.within("monitoring_report", |v| {
            if let Some(reason) = unknown {
                v.add("task_force_id", reason);
            }
            if too_early {
                v.add("month", "had not begun when it was reported on");
            }
            if absent {
                v.add("month", "is one in which the task force did not exist");
            }
            add_each(v, dones);
        });
    }

    fn school_visit(&mut self, r: &v1::SchoolVisit, occurred: Option<Instant>) {
        let day = occurred.map(|at| self.calendar.day(at));
        let school = self.school(&r.school_id, day);
        let due: Vec<_> = r
            .follow_ups
            .iter()
            .enumerate()
            .filter_map(|(index, f)| {
                let (day, due) = day.zip(Day::parse(&f.due_on))?;
                let reason = if due < day {
                    "is before the visit"
                } else if due.0 - day.0 > FOLLOW_UP_DAYS_MAX {
                    "is more than two years after the visit"
                } else {
                    return None;
                };
                Some((format!("follow_ups[{index}].due_on"), reason))
            })
            .collect();
        let dones = self.done_in_the_future(&r.follow_ups_done);
        self.v.within("school_visit", |v| {
            if let Err(reason) = school {
                v.add("school_id", reason);
            }
            add_each(v, due);
            add_each(v, dones);
        });
    }

    fn exposure_signal(&mut self, r: &v1::ExposureSignal) {
        let bad: Vec<_> = r
            .school_ids
            .iter()
            .take(50)
            .enumerate()
            .filter_map(|(index, id)| Some((format!("school_ids[{index}]"), self.school(id, None).err()?)))
            .collect();
        self.v.within("exposure_signal", |v| add_each(v, bad));
    }

    fn case_report(&mut self, r: &v1::CaseReport) {
        if r.school_id.is_empty() {
            return;
        }
        if let Err(reason) = self.school(&r.school_id, None) {
            self.v.within("case_report", |v| v.add("school_id", reason));
        }
    }

    fn amendment(&mut self, a: &v1::Amendment) {
        let occurred = a.occurred_at.as_ref().and_then(Instant::from_proto);
        let outer = std::mem::take(&mut self.v);
        match &a.replacement {
            Some(Replacement::MonitoringReport(r)) => self.monitoring_report(r, occurred),
            Some(Replacement::SchoolVisit(r)) => self.school_visit(r, occurred),
            Some(Replacement::ExposureSignal(r)) => self.exposure_signal(r),
            Some(Replacement::CaseReport(r)) => self.case_report(r),
            None => {}
        }
        let inner = std::mem::replace(&mut self.v, outer).into_vec();
        let future = occurred.is_some_and(|at| at > self.now.plus_ns(SKEW_NS));
        let valid = self.origin.map(|origin| self.state.valid(origin.scope));
        self.v.within("amendment", |v| {
            if future {
                v.add("occurred_at", "lies in the future");
            }
            if occurred.zip(valid).is_some_and(|(at, valid)| at < self.calendar.start(valid.from)) {
                v.add("occurred_at", "lies before the reporter's registration");
            }
            if occurred.zip(valid).is_some_and(|(at, valid)| is_after(self.calendar, at, valid)) {
                v.add("occurred_at", "lies after the reporter's last day");
            }
            for violation in inner {
                v.add(&violation.field, violation.reason);
            }
        });
    }

    /// A registered school, existing on the day if one is given.
    fn school(&self, id: &str, day: Option<Day>) -> Result<(), &'static str> {
        let Some(index) = self.registry().find_institution(id) else { return Err("is not a registered institution") };
        let history = &self.registry().institution(index).history;
        let school = history.on(day.unwrap_or(Day(i32::MAX)), u64::MAX).unwrap_or(history.latest());
        if !school.state.is_school() {
            return Err("is not a school");
        }
        if day.is_some_and(|day| !history.latest().state.valid.holds_on(day)) {
            return Err("did not exist on that day");
        }
        Ok(())
    }

    fn done_in_the_future(&self, dones: &[v1::FollowUpDone]) -> Vec<(String, &'static str)> {
        let today = self.calendar.day(self.now.plus_ns(SKEW_NS));
        let future = |d: &v1::FollowUpDone| Day::parse(&d.done_on).is_some_and(|day| day > today);
        dones
            .iter()
            .enumerate()
            .filter(|(_, d)| future(d))
            .map(|(index, _)| (format!("follow_ups_done[{index}].done_on"), "lies in the future"))
            .collect()
    }
}

fn add_each(v: &mut Violations, bad: Vec<(String, &'static str)>) {
    for (field, reason) in bad {
        v.add(&field, reason);
    }
}
