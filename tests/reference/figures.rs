//! The figures of one kelurahan or institution, and their sum over several.

use jiff::{Timestamp, civil::Date};
use satgas_proto::v1::{self, amendment::Replacement, submission::Reporter, task_force::Home};

use super::{
    Subject,
    ledger::{Case, Ledger, Record},
    rules::report_deadline,
    time::{DAY, Period, date_before, day, day_or_none, end_of, last_of_month, start_of},
};

/// A fraction: numerator and denominator.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fraction {
    numerator: u64,
    denominator: u64,
}

impl Fraction {
    /// Counts one case of the denominator, and of the numerator when it is `met`.
    fn count(&mut self, met: bool) {
        self.denominator += 1;
        if met {
            self.numerator += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.numerator += other.numerator;
        self.denominator += other.denominator;
    }
}

/// All figures of a subject in a period.
#[derive(Default)]
pub(crate) struct Figures {
    completeness: Fraction,
    timeliness: Fraction,
    coverage: Fraction,
    discipline: Fraction,
    response: Fraction,
    training: Fraction,
    visits: u64,
    pupils_reached: u64,
    exposure_signals: u64,
    days_since_last_activity: Option<u32>,
    reported: u64,
    open: u64,
    closed: u64,
    overdue: u64,
    in_shelter: u64,
    first_responses_s: Vec<u64>,
    pub(crate) open_conflicts: u64,
}

impl Figures {
    /// Counts the figures of one kelurahan or institution.
    pub(crate) fn of(ledger: &Ledger, subject: &Subject, period: &Period, rules: &v1::RuleSet, now: Timestamp) -> Self {
        let count = Count { ledger, subject, period, rules, now, cut: now.min(period.end) };
        let mut figures = Self::default();
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

    /// Adds the figures of another kelurahan.
    pub(crate) fn add(&mut self, other: Self) {
        self.completeness.add(other.completeness);
        self.timeliness.add(other.timeliness);
        self.coverage.add(other.coverage);
        self.discipline.add(other.discipline);
        self.response.add(other.response);
        self.training.add(other.training);
        self.visits += other.visits;
        self.pupils_reached += other.pupils_reached;
        self.exposure_signals += other.exposure_signals;
        self.days_since_last_activity = match (self.days_since_last_activity, other.days_since_last_activity) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.reported += other.reported;
        self.open += other.open;
        self.closed += other.closed;
        self.overdue += other.overdue;
        self.in_shelter += other.in_shelter;
        self.first_responses_s.extend(other.first_responses_s);
        self.open_conflicts += other.open_conflicts;
    }

    /// The indicators in the order of the enum.
    pub(crate) fn indicators(&self) -> Vec<v1::Indicator> {
        use v1::IndicatorKind as Kind;
        let fractions = [
            (Kind::ReportingCompleteness, self.completeness),
            (Kind::ReportingTimeliness, self.timeliness),
            (Kind::SchoolCoverage, self.coverage),
            (Kind::FollowUpDiscipline, self.discipline),
            (Kind::ResponseWithinTarget, self.response),
            (Kind::Training, self.training),
        ];
        let indicator = |(kind, fraction): (Kind, Fraction)| v1::Indicator {
            kind: kind.into(),
            applicable: fraction.denominator > 0,
            numerator: fraction.numerator,
            denominator: fraction.denominator,
        };
        fractions.into_iter().map(indicator).collect()
    }

    /// What is shown of the activity.
    pub(crate) fn activity(&self) -> v1::ActivityFigures {
        v1::ActivityFigures {
            visits: self.visits,
            pupils_reached: self.pupils_reached,
            exposure_signals: self.exposure_signals,
            days_since_last_activity: self.days_since_last_activity,
        }
    }

    /// What is shown of the cases.
    pub(crate) fn case_figures(&self) -> v1::CaseFigures {
        let mut sorted = self.first_responses_s.clone();
        sorted.sort_unstable();
        v1::CaseFigures {
            reported: self.reported,
            open: self.open,
            closed: self.closed,
            overdue: self.overdue,
            in_shelter: self.in_shelter,
            first_response_median_s: nearest_rank(&sorted, 50),
            first_response_p90_s: nearest_rank(&sorted, 90),
        }
    }
}

/// Element ceil(percent n / 100) of a sorted list, counted from 1.
fn nearest_rank(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (percent * sorted.len()).div_ceil(100);
    if sorted.is_empty() { None } else { Some(sorted[rank - 1]) }
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
                let received = self.reports_received(&task_force.task_force_id, first);
                figures.completeness.count(!received.is_empty());
                figures.timeliness.count(received.iter().any(|&received| received < deadline));
            }
        }
    }

    /// When each standing report of a task force on a month was received.
    fn reports_received(&self, task_force_id: &str, first: Date) -> Vec<Timestamp> {
        let mut received = Vec::new();
        for record in self.ledger.standing() {
            if let Replacement::MonitoringReport(report) = &record.replacement
                && report.task_force_id == task_force_id
                && day(&format!("{}-01", report.month)) == first
            {
                received.push(record.received);
            }
        }
        received
    }

    fn coverage(&self, figures: &mut Figures) {
        let Subject::Area(code) = self.subject else { return };
        for institution in &self.ledger.institutions {
            if institution.kind() != v1::InstitutionKind::Sekolah || institution.area_code != *code {
                continue;
            }
            let zone = &self.ledger.zone;
            let begun = start_of(day(&institution.valid_from), zone) < self.cut;
            let ended =
                day_or_none(&institution.valid_until).is_some_and(|last| end_of(last, zone) <= self.period.start);
            if begun && !ended {
                figures.coverage.count(self.visited(&institution.institution_id));
            }
        }
    }

    fn visited(&self, school_id: &str) -> bool {
        self.ledger.standing().any(|record| {
            matches!(&record.replacement, Replacement::SchoolVisit(visit) if visit.school_id == school_id)
                && self.period.contains(record.occurred)
        })
    }

    fn discipline(&self, figures: &mut Figures) {
        for record in self.records() {
            let Replacement::SchoolVisit(visit) = &record.replacement else { continue };
            for follow_up in &visit.follow_ups {
                let due_on = day(&follow_up.due_on);
                if self.came_due(due_on) {
                    let done = self.ledger.says_done(record.id(), follow_up.number, Some(due_on));
                    figures.discipline.count(done);
                }
            }
        }
        for case in self.own_cases() {
            for planned in case.planned() {
                if self.came_due(planned.due_on) {
                    let due = end_of(planned.due_on, &self.ledger.zone);
                    figures.discipline.count(planned.completed_at.is_some_and(|completed| completed < due));
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
                figures.response.count(case.first_response().is_some_and(|response| response <= due));
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
                figures.training.count(valid);
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
                (Reporter::AreaCode(_), Subject::Institution(_)) => false,
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
            };
            own && !case.merged()
        })
    }

    /// The task forces whose home is the subject.
    fn task_forces(&self) -> impl Iterator<Item = &v1::TaskForce> {
        self.ledger.task_forces.iter().filter(|task_force| home_of(task_force) == *self.subject)
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
