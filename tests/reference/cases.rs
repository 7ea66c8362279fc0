//! What is asked of a case: when a response is due, when it came, whether the case is open, what was planned and completed.

use jiff::{Timestamp, civil::Date};
use satgas_proto::v1::{self, case_command::Step};

use super::{
    ledger::{Case, Ledger, Recorded},
    rules,
    time::{day, instant},
};

/// A follow-up planned in a case.
pub(crate) struct Planned {
    pub(crate) number: u32,
    pub(crate) due_on: Date,
    /// When the step that planned it was recorded.
    pub(crate) recorded: Timestamp,
    /// Where that step stands in the log.
    pub(crate) position: u64,
    pub(crate) completed_at: Option<Timestamp>,
}

impl Case {
    /// Each step with the time at which it was taken, in version order.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (Timestamp, &Step)> {
        self.steps.iter().map(|taken| {
            let step = taken.command.step.as_ref().expect("a command has a step");
            (instant(taken.command.occurred_at.as_ref()), step)
        })
    }

    /// Whether the case is a duplicate that was merged into another.
    pub(crate) fn merged(&self) -> bool {
        self.taken().any(|(_, step)| matches!(step, Step::Merge(_)))
    }

    /// The latest assessed risk.
    pub(crate) fn risk(&self) -> v1::Risk {
        let mut risk = v1::Risk::Unspecified;
        for (_, step) in self.taken() {
            if let Step::Assess(assess) = step {
                risk = assess.risk();
            }
        }
        risk
    }

    /// When a service or the shelter first reached the victim.
    pub(crate) fn first_response(&self) -> Option<Timestamp> {
        let responses =
            self.taken().filter(|(_, step)| matches!(step, Step::RecordService(_) | Step::AdmitToShelter(_)));
        responses.map(|(at, _)| at).min()
    }

    /// The time of the close that holds at `at`, or `None` when the case is not closed then.
    pub(crate) fn closed_at(&self, at: Timestamp) -> Option<Timestamp> {
        let mut closed = None;
        for (taken_at, step) in self.taken() {
            match step {
                Step::Close(_) if taken_at < at => closed = Some(taken_at),
                Step::Reopen(_) if taken_at < at => closed = None,
                _ => {}
            }
        }
        closed
    }

    /// Whether the victim is in the shelter at `at`.
    pub(crate) fn in_shelter_at(&self, at: Timestamp) -> bool {
        let mut inside = false;
        for (taken_at, step) in self.taken() {
            match step {
                Step::AdmitToShelter(_) if taken_at < at => inside = true,
                Step::DischargeFromShelter(_) if taken_at < at => inside = false,
                _ => {}
            }
        }
        inside
    }

    /// The follow-ups planned, in version order.
    pub(crate) fn planned(&self) -> Vec<Planned> {
        let mut planned = Vec::new();
        for taken in &self.steps {
            if let Some(Step::PlanFollowUp(plan)) = &taken.command.step {
                let follow_up = plan.follow_up.as_ref().expect("a plan names a follow-up");
                planned.push(Planned {
                    number: follow_up.number,
                    due_on: day(&follow_up.due_on),
                    recorded: taken.recorded,
                    position: taken.position,
                    completed_at: self.completed(follow_up.number),
                });
            }
        }
        planned
    }

    fn completed(&self, number: u32) -> Option<Timestamp> {
        let mut completions =
            self.taken().filter(|(_, step)| matches!(step, Step::CompleteFollowUp(done) if done.number == number));
        completions.next().map(|(at, _)| at)
    }
}

impl Case {
    /// Where the latest assessment stands in the log, if there is one.
    pub(crate) fn assessed_in(&self) -> Option<u64> {
        let is_one = |taken: &&Recorded| matches!(taken.command.step, Some(Step::Assess(_)));
        self.steps.iter().filter(is_one).map(|taken| taken.position).next_back()
    }

    /// Where the step stands in the log that first reached the victim; of equally early ones the one taken first.
    pub(crate) fn responded_in(&self) -> Option<u64> {
        let first = self.first_response()?;
        let is_it = |taken: &&Recorded| {
            let responds = matches!(taken.command.step, Some(Step::RecordService(_) | Step::AdmitToShelter(_)));
            responds && instant(taken.command.occurred_at.as_ref()) == first
        };
        self.steps.iter().find(is_it).map(|taken| taken.position)
    }

    /// Where the step stands in the log that completed a follow-up.
    pub(crate) fn completed_in(&self, number: u32) -> Option<u64> {
        let completes = |taken: &&Recorded| matches!(&taken.command.step, Some(Step::CompleteFollowUp(done)) if done.number == number);
        self.steps.iter().find(completes).map(|taken| taken.position)
    }
}

impl Ledger {
    /// When the report of a case occurred.
    pub(crate) fn reported_at(&self, case: &Case) -> Timestamp {
        self.report_of(case).occurred
    }

    /// Whether a case was reported before `at` and is not closed at `at`.
    pub(crate) fn open_at(&self, case: &Case, at: Timestamp) -> bool {
        self.reported_at(case) < at && case.closed_at(at).is_none()
    }

    /// When the first response to a case is due by some rules.
    pub(crate) fn response_due(&self, case: &Case, rules: &v1::RuleSet) -> Timestamp {
        rules::response_due(rules, case.risk(), self.reported_at(case), &self.zone)
    }
}
