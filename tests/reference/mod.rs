//! The slow reference: every figure of `docs/evaluation.md` counted from the list of events, written from that page alone.
//!
//! It keeps nothing between two questions, and each question goes over all events, records and cases with plain loops. It is
//! there to be compared with the server's folds; where both agree on many histories, neither is likely to be wrong.
//!
//! A [`Ledger`] is what a list of events says; questions are asked of it with a time, so that one ledger serves many of them.

mod cases;
pub(crate) mod compare;
mod count;
mod decisions;
mod examples;
mod figures;
pub(crate) mod history;
mod ledger;
pub(crate) mod lists;
pub(crate) mod missed;
mod registry;
pub(crate) mod rules;
pub(crate) mod steps;
pub(crate) mod tables;
pub(crate) mod time;
pub(crate) mod trends;
mod warnings;

use jiff::{Timestamp, civil::Date};
use satgas_proto::v1;

use figures::Figures;
pub(crate) use ledger::Ledger;
use time::Period;

/// Who is evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// An area of any level, by its official code: its kelurahan's own task forces.
    Area(String),
    /// The institutions that stand in an area of any level.
    InstitutionsIn(String),
    /// An institution, by its id.
    Institution(String),
}

/// An open conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenConflict {
    pub(crate) position: u64,
    pub(crate) cause: v1::ConflictCause,
    pub(crate) can_be_taken: bool,
}

impl Ledger {
    /// Evaluates a subject for a period as of `now`, under the rules valid on the period's first day. Of the basis only the rule
    /// set is set.
    pub(crate) fn evaluate(&self, subject: &Subject, period: &str, now: Timestamp) -> v1::Evaluation {
        self.evaluate_under(&self.rules_of(period), subject, period, now)
    }

    /// The same under a draft.
    pub(crate) fn evaluate_under(
        &self,
        rules: &v1::RuleSet,
        subject: &Subject,
        period: &str,
        now: Timestamp,
    ) -> v1::Evaluation {
        let period = Period::parse(period, &self.zone);
        let sum = self.figures(rules, subject, &period, now);
        let indicators = sum.indicators();
        let score = score(&indicators, rules);
        let named = match subject {
            Subject::Area(code) | Subject::InstitutionsIn(code) => v1::evaluation::Subject::AreaCode(code.clone()),
            Subject::Institution(id) => v1::evaluation::Subject::InstitutionId(id.clone()),
        };
        v1::Evaluation {
            subject: Some(named),
            name: self.name(subject, self.day_of_cut(&period, now)),
            period: Some(period.to_message()),
            score,
            band: rules::band(rules, score),
            indicators,
            activity: Some(sum.activity()),
            cases: Some(sum.case_figures()),
            missed: Some(sum.missed()),
            open_conflicts: sum.open_conflicts,
            basis: Some(v1::Basis { rule_set: rules.name.clone(), ..v1::Basis::default() }),
            body: body(subject).into(),
            shaping: None,
        }
    }

    /// The items of an indicator, by kelurahan, id and detail. The events behind them are not named.
    pub(crate) fn items(
        &self,
        subject: &Subject,
        period: &str,
        kind: v1::IndicatorKind,
        now: Timestamp,
    ) -> Vec<v1::Item> {
        let unnamed = |item| v1::Item { because_positions: vec![], evidence_positions: vec![], ..item };
        self.explained(subject, period, kind, now).into_iter().map(unnamed).collect()
    }

    /// The same with the events behind them.
    pub(crate) fn explained(
        &self,
        subject: &Subject,
        period: &str,
        kind: v1::IndicatorKind,
        now: Timestamp,
    ) -> Vec<v1::Item> {
        let sum = self.figures(&self.rules_of(period), subject, &Period::parse(period, &self.zone), now);
        figures::messages(self, kind, sum.items(kind))
    }

    /// The early warnings that stand at `now`, the most urgent first. Only what the page lays down is filled in: kind, subject,
    /// fingerprint, since, and for a group that spreads also its schools, areas and latest signal.
    pub(crate) fn warnings(&self, now: Timestamp) -> Vec<v1::Warning> {
        warnings::of(self, now)
    }

    /// The open conflicts, by position.
    pub(crate) fn open_conflicts(&self) -> Vec<OpenConflict> {
        let open = |conflict: &ledger::Conflict| OpenConflict {
            position: conflict.position,
            cause: conflict.cause,
            can_be_taken: self.can_be_taken(conflict),
        };
        self.conflicts.iter().map(open).collect()
    }

    /// Position of each submission that waits and the id that it waits for, by position.
    pub(crate) fn waiting(&self) -> Vec<(u64, String)> {
        self.held.iter().map(|held| (held.position, held.waits_for_id.clone())).collect()
    }

    /// What should not be in the log by the page, in words: entries that say nothing new or give a day where none is taken, records
    /// of a time at which their reporter did not exist, decisions that had to be refused.
    pub(crate) fn defects(&self) -> &[String] {
        &self.defects
    }

    fn rules_of(&self, period: &str) -> v1::RuleSet {
        rules::on(&self.rule_sets, Period::parse(period, &self.zone).months[0])
    }

    fn figures(&self, rules: &v1::RuleSet, subject: &Subject, period: &Period, now: Timestamp) -> Figures {
        let mut sum = Figures::default();
        for (unit, area_code) in self.units(subject, self.day_of_cut(period, now)) {
            sum.add(count::figures(self, &unit, period, rules, now).counted_in(&area_code));
        }
        sum
    }

    /// The kelurahan or institutions that a subject is the sum of, or the one subject itself; each with the kelurahan that it is
    /// counted in.
    fn units(&self, subject: &Subject, d: Date) -> Vec<(Subject, String)> {
        match subject {
            Subject::Institution(_) => vec![(subject.clone(), String::new())],
            Subject::Area(prefix) => {
                let codes = self.areas.iter().map(|area| area.code().to_owned());
                let inside = codes.filter(|code| lists::segments(code) == 4 && lists::is_inside(code, prefix));
                inside.map(|code| (Subject::Area(code.clone()), code)).collect()
            }
            Subject::InstitutionsIn(prefix) => {
                let mut units = Vec::new();
                for institution in &self.institutions {
                    let stands_in = &institution.on(d).area_code;
                    if lists::is_inside(stands_in, prefix) {
                        units.push((Subject::Institution(institution.id().to_owned()), stands_in.clone()));
                    }
                }
                units
            }
        }
    }

    /// What a subject is called on a day.
    fn name(&self, subject: &Subject, d: Date) -> String {
        let name = match subject {
            Subject::Area(code) | Subject::InstitutionsIn(code) => {
                self.areas.iter().find(|area| area.code() == code).map(|area| area.on(d).name.clone())
            }
            Subject::Institution(id) => {
                let found = self.institutions.iter().find(|institution| institution.id() == id);
                found.map(|institution| institution.on(d).name.clone())
            }
        };
        name.unwrap_or_default()
    }
}

/// Whose figures are shown of a subject; of an institution itself there is no choice.
fn body(subject: &Subject) -> v1::EvaluatedBody {
    match subject {
        Subject::Area(_) => v1::EvaluatedBody::Kelurahan,
        Subject::InstitutionsIn(_) => v1::EvaluatedBody::Institution,
        Subject::Institution(_) => v1::EvaluatedBody::Unspecified,
    }
}

fn score(indicators: &[v1::Indicator], rules: &v1::RuleSet) -> Option<f64> {
    let mut weighted = 0.0;
    let mut weights = 0.0;
    for indicator in indicators {
        let weight = rules::weight(rules, indicator.kind());
        if indicator.applicable {
            weighted += weight * real(indicator.numerator) / real(indicator.denominator);
            weights += weight;
        }
    }
    if weights == 0.0 {
        return None;
    }
    let score = 100.0 * weighted / weights;
    Some((score * 100.0).round() / 100.0)
}

fn real(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("a test's log has far fewer than 4 billion of anything"))
}
