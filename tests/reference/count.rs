//! How each figure of one kelurahan or institution is counted, each by its sentence in the page.

use jiff::{Timestamp, civil::Date};
use satgas_proto::v1::{self, amendment::Replacement, submission::Reporter, task_force::Home};

use super::{
    Subject,
    figures::{Figures, Item},
    ledger::{Case, Ledger, Record},
    rules::report_deadline,
    time::{DAY, Period, date_before, day, day_or_none, end_of, last_of_month, month_code},
};

/// Counts the figures of one kelurahan or institution.
pub(crate) fn figures(
    ledger: &Ledger,
    subject: &Subject,
    period: &Period,
    rules: &v1::RuleSet,
    now: Timestamp,
) -> Figures {
    let count = Count { ledger, subject, period, rules, now, cut: now.min(period.end) };
    let mut figures = Figures::default();
    count.reporting(&mut figures);
    count.coverage(&mut figures);
    count.discipline(&mut figures);
    count.response(&mut figures);
    count.training(&mut figures);
    count.activity(&mut figures);
    count.cases(&mut figures);
    count.conflicts(&mut figures);
    figures
}

/// What is counted: one subject in one period as of one time.
struct Count<'a> {
    ledger: &'a Ledger,
    subject: &'a Subject,
    period: &'a Period,
    rules: &'a v1::RuleSet,
    now: Timestamp,
    cut: Timestamp,
}

impl Count<'_> {
    fn reporting(&self, figures: &mut Figures) {
        for task_force in self.task_forces() {
            for &first in &self.period.months {
                let deadline = report_deadline(self.rules, first, &self.ledger.zone);
                if !exists_within(task_force, first, last_of_month(first)) || deadline > self.now {
                    continue;
                }
                let id = &task_force.task_force_id;
                let reports = self.ledger.reports(id, first);
                let in_time = reports.iter().any(|report| report.received < deadline);
                let item = |counts| {
                    let evidence = reports.iter().flat_map(|report| report.positions()).collect();
                    Item::due(id, month_code(first), deadline, counts).by(self.entry("task force", id), evidence)
                };
                figures.completeness.push(item(!reports.is_empty()));
                figures.timeliness.push(item(in_time));
            }
        }
    }

    fn coverage(&self, figures: &mut Figures) {
        let Subject::Area(code) = self.subject else { return };
        let d = date_before(self.cut, &self.ledger.zone);
        for institution in &self.ledger.institutions {
            let then = institution.on(d);
            let is_school = then.kind() == v1::InstitutionKind::Sekolah && then.area_code == *code;
            let validity = institution.validity();
            if is_school && validity.overlaps(self.period.start, self.cut, &self.ledger.zone) {
                let id = institution.id();
                let evidence = self.visits_to(id);
                figures.coverage.push(Item::new(id, !evidence.is_empty()).by(self.entry("institution", id), evidence));
            }
        }
    }

    /// The events that say that a school was visited within the period.
    fn visits_to(&self, school_id: &str) -> Vec<u64> {
        let visits = self.ledger.standing().filter(|record| {
            matches!(&record.replacement, Replacement::SchoolVisit(visit) if visit.school_id == school_id)
                && self.period.contains(record.occurred)
        });
        visits.flat_map(Record::positions).collect()
    }

    /// The latest entry of something in the registry.
    fn entry(&self, kind: &'static str, id: &str) -> Vec<u64> {
        vec![self.ledger.latest_entry[&(kind, id.to_owned())]]
    }

    fn discipline(&self, figures: &mut Figures) {
        for record in self.records() {
            let Replacement::SchoolVisit(visit) = &record.replacement else { continue };
            for follow_up in &visit.follow_ups {
                let due_on = day(&follow_up.due_on);
                if self.came_due(due_on) {
                    let done = self.ledger.says_done(record.id(), follow_up.number, Some(due_on));
                    let due = end_of(due_on, &self.ledger.zone);
                    let item = Item::due(record.id(), follow_up.number.to_string(), due, done);
                    let evidence = self.ledger.naming(record.id(), follow_up.number);
                    figures.discipline.push(item.by(record.positions(), evidence));
                }
            }
        }
        for case in self.own_cases() {
            for planned in case.planned() {
                if self.came_due(planned.due_on) {
                    let due = end_of(planned.due_on, &self.ledger.zone);
                    let done = planned.completed_at.is_some_and(|completed| completed < due);
                    let item = Item::due(&case.case_id, planned.number.to_string(), due, done);
                    let evidence = case.completed_in(planned.number).into_iter().collect();
                    figures.discipline.push(item.by(vec![planned.position], evidence));
                }
            }
        }
    }

    /// Whether a due day is one of the period's and has passed.
    fn came_due(&self, due_on: Date) -> bool {
        let zone = &self.ledger.zone;
        self.period.contains_day(due_on, zone) && end_of(due_on, zone) <= self.now
    }

    fn response(&self, figures: &mut Figures) {
        for case in self.own_cases() {
            let due = self.ledger.response_due(case, self.rules);
            if self.period.contains(due) && due <= self.now {
                let met = case.first_response().is_some_and(|response| response <= due);
                let item = Item::due(&case.case_id, String::new(), due, met);
                let mut because = self.ledger.report_of(case).positions();
                because.extend(case.assessed_in());
                figures.response.push(item.by(because, case.responded_in().into_iter().collect()));
            }
        }
    }

    fn training(&self, figures: &mut Figures) {
        let d = date_before(self.cut, &self.ledger.zone);
        for task_force in self.task_forces().filter(|task_force| exists_within(task_force, d, d)) {
            for member in &self.ledger.members {
                let left = day_or_none(&member.left_on).is_some_and(|left_on| left_on < d);
                if member.task_force_id != task_force.task_force_id || day(&member.joined_on) > d || left {
                    continue;
                }
                let mut trainings = member.trainings.iter();
                let valid = trainings.any(|training| day(&training.valid_from) <= d && d <= day(&training.valid_until));
                let entry = self.entry("member", &member.member_id);
                // Both put the member there: the one says whose home it is, the other who belongs to it.
                let because = [self.entry("task force", &task_force.task_force_id), entry.clone()].concat();
                figures.training.push(Item::new(&member.member_id, valid).by(because, entry));
            }
        }
    }

    fn activity(&self, figures: &mut Figures) {
        for record in self.records().filter(|record| self.period.contains(record.occurred)) {
            match &record.replacement {
                Replacement::SchoolVisit(visit) => {
                    figures.visits += 1;
                    figures.pupils_reached += pupils(visit);
                }
                Replacement::ExposureSignal(_) => figures.exposure_signals += 1,
                Replacement::MonitoringReport(_) | Replacement::CaseReport(_) => {}
            }
        }
        let latest = self.records().map(|record| record.occurred).filter(|&occurred| occurred < self.cut).max();
        figures.days_since_last_activity = latest.map(|latest| {
            let days = self.cut.duration_since(latest).as_secs() / DAY.as_secs();
            u32::try_from(days).expect("the latest activity lies before the cut, and not millions of years")
        });
    }

    fn cases(&self, figures: &mut Figures) {
        for case in self.own_cases() {
            let reported_at = self.ledger.reported_at(case);
            if self.period.contains(reported_at) {
                figures.reported += 1;
                if let Some(response) = case.first_response() {
                    let seconds = response.duration_since(reported_at).as_secs().max(0);
                    figures.first_responses_s.push(seconds.unsigned_abs());
                }
            }
            if self.ledger.open_at(case, self.cut) {
                figures.open += 1;
                if self.overdue(case) {
                    figures.overdue += 1;
                }
            }
            let closed_at = case.closed_at(self.cut);
            if reported_at < self.cut && closed_at.is_some_and(|closed_at| self.period.contains(closed_at)) {
                figures.closed += 1;
            }
            if case.in_shelter_at(self.cut) {
                figures.in_shelter += 1;
            }
        }
    }

    /// Whether an open case lacks its response or a follow-up at the cut.
    fn overdue(&self, case: &Case) -> bool {
        let before_cut = |time: Option<Timestamp>| time.is_some_and(|time| time < self.cut);
        if self.ledger.response_due(case, self.rules) <= self.cut && !before_cut(case.first_response()) {
            return true;
        }
        let zone = &self.ledger.zone;
        case.planned().iter().any(|plan| end_of(plan.due_on, zone) <= self.cut && !before_cut(plan.completed_at))
    }

    fn conflicts(&self, figures: &mut Figures) {
        for conflict in &self.ledger.conflicts {
            let inside = match (&conflict.reporter, self.subject) {
                (Reporter::AreaCode(code), Subject::Area(subject)) => code == subject,
                (Reporter::InstitutionId(id), Subject::Institution(subject)) => id == subject,
                (Reporter::InstitutionId(_), Subject::Area(subject)) => conflict.stood_in == *subject,
                (Reporter::AreaCode(_), Subject::Institution(_)) | (_, Subject::InstitutionsIn(_)) => false,
            };
            if inside {
                figures.open_conflicts += 1;
            }
        }
    }

    /// The standing records that the subject reported.
    fn records(&self) -> impl Iterator<Item = &Record> {
        self.ledger.standing().filter(|record| reported_by(&record.reporter, self.subject))
    }

    /// The subject's cases, without those merged into another.
    fn own_cases(&self) -> impl Iterator<Item = &Case> {
        self.ledger.cases.iter().filter(|case| {
            let own = match self.subject {
                Subject::Area(code) => case.area_code == *code,
                Subject::Institution(id) => case.institution_id.as_ref() == Some(id),
                Subject::InstitutionsIn(_) => false,
            };
            own && !case.merged()
        })
    }

    /// The task forces whose home is the subject.
    fn task_forces(&self) -> impl Iterator<Item = &v1::TaskForce> {
        self.ledger.task_forces.iter().filter(|task_force| home_of(task_force) == *self.subject)
    }
}

impl Ledger {
    /// The standing reports of a task force on a month.
    pub(crate) fn reports(&self, task_force_id: &str, first: Date) -> Vec<&Record> {
        let mut reports = Vec::new();
        for record in self.standing() {
            if let Replacement::MonitoringReport(report) = &record.replacement
                && report.task_force_id == task_force_id
                && day(&format!("{}-01", report.month)) == first
            {
                reports.push(record);
            }
        }
        reports
    }
}

/// Where a task force works.
pub(crate) fn home_of(task_force: &v1::TaskForce) -> Subject {
    match task_force.home.clone().expect("a task force has a home") {
        Home::AreaCode(code) => Subject::Area(code),
        Home::InstitutionId(id) => Subject::Institution(id),
    }
}

/// Whether a task force existed on any day from `first` to `last`.
pub(crate) fn exists_within(task_force: &v1::TaskForce, first: Date, last: Date) -> bool {
    let formed = day(&task_force.formed_on) <= last;
    let dissolved = day_or_none(&task_force.dissolved_on).is_some_and(|dissolved_on| dissolved_on < first);
    formed && !dissolved
}

/// Whether a subject is the reporter.
pub(crate) fn reported_by(reporter: &Reporter, subject: &Subject) -> bool {
    match (reporter, subject) {
        (Reporter::AreaCode(code), Subject::Area(subject)) => code == subject,
        (Reporter::InstitutionId(id), Subject::Institution(subject)) => id == subject,
        _ => false,
    }
}

fn pupils(visit: &v1::SchoolVisit) -> u64 {
    let reach = visit.reach.unwrap_or_default();
    let count = |pupils: i32| u64::try_from(pupils).expect("the server takes no negative count");
    count(reach.pupils_female) + count(reach.pupils_male)
}
