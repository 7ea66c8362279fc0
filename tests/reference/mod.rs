//! The slow reference: every figure of `docs/evaluation.md` counted from the list of events, written from that page alone.
//!
//! It keeps nothing between two questions, and each question goes over all events, records and cases with plain loops. It is
//! there to be compared with the server's folds; where both agree on many histories, neither is likely to be wrong.

mod cases;
pub(crate) mod compare;
mod examples;
mod figures;
pub(crate) mod history;
mod ledger;
pub(crate) mod rules;
pub(crate) mod steps;
pub(crate) mod time;
mod warnings;

use jiff::Timestamp;
use satgas_proto::v1;

use figures::Figures;
use ledger::Ledger;
use time::Period;

/// Who is evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An area of any level, by its official code.
    Area(String),
    /// An institution, by its id.
    Institution(String),
}

/// Evaluates a subject for a period as of `now`, from all of `events`, under the rules valid on the period's first day. Of the basis
/// only the rule set is set.
pub(crate) fn evaluate(events: &[v1::Event], subject: &Subject, period: &str, now: Timestamp) -> v1::Evaluation {
    let ledger = Ledger::of(events);
    let first = Period::parse(period, &ledger.zone).months[0];
    evaluate_under(&ledger, &rules::on(&ledger.rule_sets, first), subject, period, now)
}

/// The same under a draft.
pub(crate) fn what_if(
    events: &[v1::Event],
    draft: &v1::RuleSet,
    subject: &Subject,
    period: &str,
    now: Timestamp,
) -> v1::Evaluation {
    evaluate_under(&Ledger::of(events), draft, subject, period, now)
}

fn evaluate_under(
    ledger: &Ledger,
    rules: &v1::RuleSet,
    subject: &Subject,
    period: &str,
    now: Timestamp,
) -> v1::Evaluation {
    let period = Period::parse(period, &ledger.zone);
    let mut sum = Figures::default();
    for unit in units(ledger, subject) {
        sum.add(Figures::of(ledger, &unit, &period, rules, now));
    }
    let indicators = sum.indicators();
    let score = score(&indicators, rules);
    v1::Evaluation {
        subject: Some(match subject {
            Subject::Area(code) => v1::evaluation::Subject::AreaCode(code.clone()),
            Subject::Institution(id) => v1::evaluation::Subject::InstitutionId(id.clone()),
        }),
        name: name(ledger, subject),
        period: Some(period.to_message()),
        score,
        band: rules::band(rules, score),
        indicators,
        activity: Some(sum.activity()),
        cases: Some(sum.case_figures()),
        open_conflicts: sum.open_conflicts,
        basis: Some(v1::Basis { rule_set: rules.name.clone(), ..v1::Basis::default() }),
        ..Default::default()
    }
}

/// The early warnings that stand at `now`, the most urgent first. Only what the page lays down is filled in: kind, subject,
/// fingerprint, since, and for a group that spreads also its schools, areas and latest signal.
pub(crate) fn warnings(events: &[v1::Event], now: Timestamp) -> Vec<v1::Warning> {
    warnings::of(&Ledger::of(events), now)
}

/// Position and cause of each open conflict, by position.
pub(crate) fn conflicts(events: &[v1::Event]) -> Vec<(u64, v1::ConflictCause)> {
    Ledger::of(events).conflicts.iter().map(|conflict| (conflict.position, conflict.cause)).collect()
}

/// Position of each submission that waits and the id that it waits for, by position.
pub(crate) fn held(events: &[v1::Event]) -> Vec<(u64, String)> {
    Ledger::of(events).held.iter().map(|held| (held.position, held.waits_for_id.clone())).collect()
}

/// The kelurahan that an area is the sum of, or the one subject itself.
fn units(ledger: &Ledger, subject: &Subject) -> Vec<Subject> {
    let Subject::Area(code) = subject else { return vec![subject.clone()] };
    let inside = format!("{code}.");
    let mut units = Vec::new();
    for area in &ledger.areas {
        let is_kelurahan = area.code.split('.').count() == 4;
        if is_kelurahan && (area.code == *code || area.code.starts_with(&inside)) {
            units.push(Subject::Area(area.code.clone()));
        }
    }
    units
}

fn name(ledger: &Ledger, subject: &Subject) -> String {
    let name = match subject {
        Subject::Area(code) => ledger.areas.iter().find(|area| area.code == *code).map(|area| area.name.clone()),
        Subject::Institution(id) => {
            let found = ledger.institutions.iter().find(|institution| institution.institution_id == *id);
            found.map(|institution| institution.name.clone())
        }
    };
    name.unwrap_or_default()
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
