//! Shapes of what is worked out from the log: evaluations, trends and warnings for dashboards, cases for task forces.
//!
//! Case figures of a kelurahan, an institution or a kecamatan are a handful in a year, so dashboards get them of a whole kota only. What
//! rests on them as well goes with them: the score is made of the indicators that are shown, or it could be solved for the others. Sums
//! are rounded down to whole thresholds, since the difference of two moments would tell what one event added.

use satgas_proto::v1::{self, IndicatorKind, WarningKind, evaluation::Subject};

use super::{
    Shape, cut,
    table::{Class, Place},
};
use crate::{
    id::Level,
    rules::RuleSet,
    time::Period,
    views::{Known, indicator_trends, is_change, score_change},
};

/// Figures of cases that dashboards get of a kota and of nothing smaller.
const OF_CASES: [IndicatorKind; 2] = [IndicatorKind::FollowUpDiscipline, IndicatorKind::ResponseWithinTarget];
/// A median of response times is told in whole hours.
const HOUR_S: u64 = 3_600;

impl Shape {
    /// An evaluation as this class gets it. `known` is the moment that it was made at.
    pub fn evaluation(&self, known: &Known<'_>, evaluation: &mut v1::Evaluation) {
        if self.class == Class::TaskForce {
            return without_shelter(evaluation);
        }
        let period = evaluation.period.as_ref().and_then(|period| Period::parse(&period.code));
        let rules = period.map_or_else(|| known.rules_now(), |period| known.rules_of(&period));
        let level = match &evaluation.subject {
            Some(Subject::AreaCode(code)) => Level::of(code),
            Some(Subject::InstitutionId(_)) | None => None,
        };
        let mut missing = v1::Shaping::default();
        if let Some(activity) = &mut evaluation.activity {
            self.round(&mut activity.pupils_reached, "activity.pupils_reached", &mut missing);
        }
        if level == Some(Level::Kota) {
            self.kota(evaluation, &mut missing);
        } else {
            below_kota(evaluation, level, &mut missing);
        }
        score_of_shown(evaluation, rules, &mut missing);
        evaluation.shaping = Some(missing);
    }

    /// A trend as this class gets it: its evaluations shaped, and what they rest on worked out from those.
    pub fn trend(&self, known: &Known<'_>, trend: &mut v1::Trend) {
        let (Some(now), Some(previous), Some(year_before)) =
            (&mut trend.evaluation, &mut trend.previous, &mut trend.year_before)
        else {
            return;
        };
        for evaluation in [&mut *now, &mut *previous, &mut *year_before] {
            self.evaluation(known, evaluation);
        }
        if self.class == Class::TaskForce {
            return;
        }
        trend.indicators = indicator_trends(now, previous, year_before);
        trend.score_change_previous = score_change(now, previous);
        trend.score_change_year_before = score_change(now, year_before);
        // A kota has none. Below it a rank is by the score that rests on the cases as well.
        (trend.rank_in_kota, trend.rank_in_kecamatan) = (None, None);
        let withheld = names(&["rank_in_kota", "rank_in_kecamatan"]);
        trend.shaping = Some(v1::Shaping { withheld, ..Default::default() });
    }

    /// How an evaluation changed, as this class gets it; false when nothing of the change is left. Dashboards get none at all.
    #[must_use]
    pub fn change(&self, change: &mut v1::EvaluationChange) -> bool {
        if self.class != Class::TaskForce {
            return true;
        }
        change.then.iter_mut().chain(&mut change.now).for_each(without_shelter);
        is_change(change)
    }

    /// Whether this class is told which event changed an evaluation. Of what lies in one's own area that tells nothing more.
    #[must_use]
    pub fn tells_causes(&self) -> bool {
        self.class == Class::TaskForce
    }

    /// A warning as this class gets it. One of signals names the kecamatan of the schools, and no school.
    pub fn warning(&self, warning: &mut v1::Warning) {
        let of_signals = matches!(warning.kind(), WarningKind::GroupSpreads | WarningKind::SchoolRepeatedSignals);
        if self.class != Class::Dashboard || !of_signals {
            return;
        }
        let kind = warning.kind().as_str_name().trim_start_matches("WARNING_KIND_").to_lowercase();
        let first = warning.positions.iter().min().copied().unwrap_or_default();
        warning.warning_id = format!("{kind}:#{first}");
        for code in &mut warning.area_codes {
            *code = cut(code, Place::Kecamatan).to_owned();
        }
        warning.area_codes.dedup();
        warning.institution_ids.clear();
        warning.group_fingerprint.clear();
        warning.positions.clear();
        warning.since = warning.since.as_ref().and_then(|since| self.day_of(since));
        warning.latest = warning.latest.as_ref().and_then(|latest| self.day_of(latest));
        warning.shaping = Some(v1::Shaping {
            withheld: names(&["institution_ids", "group_fingerprint", "positions"]),
            coarser: names(&["warning_id", "area_codes", "since", "latest"]),
            few: Vec::new(),
        });
    }

    /// A case as this class gets it: to a task force where it stands, not what is done in it. A dashboard gets none at all.
    pub fn case(&self, case: &mut v1::Case) {
        for given in &mut case.services {
            given.service = v1::Service::Unspecified.into();
        }
        for follow_up in case.follow_ups.iter_mut().filter_map(|follow_up| follow_up.follow_up.as_mut()) {
            follow_up.action.clear();
        }
        if let Some(sealing) = &mut case.sealing {
            self.sealing(sealing);
        }
        *case = v1::Case {
            referred_to_institution_id: String::new(),
            in_shelter: false,
            legal_stage: v1::LegalStage::Unspecified.into(),
            verdict: None,
            outcome: v1::CaseOutcome::Unspecified.into(),
            merged_into_case_id: String::new(),
            // They would tell of the shelter.
            allowed_steps: Vec::new(),
            assignees: Vec::new(),
            shaping: Some(v1::Shaping { withheld: names(CASE_WITHHELD), ..Default::default() }),
            ..std::mem::take(case)
        };
    }

    /// What is sealed of a case and whether it was erased; who sealed it, what a court holds and who asked for an erasure is not for a task
    /// force.
    pub fn sealing(&self, sealing: &mut v1::CaseSealing) {
        // That a case began with a public report would make a reporter looked for.
        sealing.identities.retain(|identity| identity.kind() != v1::IdentityKind::PublicReport);
        for identity in &mut sealing.identities {
            identity.by = None;
            identity.earlier.clear();
        }
        sealing.holds.clear();
        sealing.erasure_requested_by = None;
        sealing.erasure_reason.clear();
        if sealing.erasure() != v1::ErasureStatus::Erased {
            sealing.erasure = v1::ErasureStatus::Unspecified.into();
            sealing.erasure_at = None;
        }
    }

    /// The figures of a kota: small ones are few, the others rounded.
    fn kota(&self, evaluation: &mut v1::Evaluation, missing: &mut v1::Shaping) {
        if let Some(cases) = &mut evaluation.cases {
            cases.first_response_p90_s = None;
            missing.withheld.push("cases.first_response_p90_s".to_owned());
            missing.coarser.push("cases.first_response_median_s".to_owned());
            cases.first_response_median_s = cases
                .first_response_median_s
                .filter(|_| cases.reported >= self.small_below)
                .map(|median| median.div_ceil(HOUR_S) * HOUR_S);
            self.round(&mut cases.reported, "cases.reported", missing);
            self.round(&mut cases.open, "cases.open", missing);
            self.round(&mut cases.closed, "cases.closed", missing);
            self.round(&mut cases.overdue, "cases.overdue", missing);
            self.round(&mut cases.in_shelter, "cases.in_shelter", missing);
        }
        let small: Vec<IndicatorKind> = evaluation
            .indicators
            .iter()
            .filter(|indicator| OF_CASES.contains(&indicator.kind()) && self.is_small(indicator.denominator))
            .map(v1::Indicator::kind)
            .collect();
        for kind in small {
            hide(evaluation, kind, &mut missing.few);
        }
    }

    /// Rounds a sum down to a whole threshold; a small one is few.
    fn round(&self, number: &mut u64, field: &str, missing: &mut v1::Shaping) {
        if self.is_small(*number) {
            missing.few.push(field.to_owned());
        }
        missing.coarser.push(field.to_owned());
        *number -= *number % self.small_below;
    }
}

/// The part of an area prefix that decides whether a warning may concern it, before it is shaped: what it is shaped to may reach further.
#[must_use]
pub fn warnings_prefix(prefix: &str) -> &str {
    cut(prefix, Place::Kecamatan)
}

/// Of a case, what a task force does not get.
const CASE_WITHHELD: &[&str] = &[
    "services.service",
    "follow_ups.follow_up.action",
    "referred_to_institution_id",
    "in_shelter",
    "legal_stage",
    "verdict",
    "outcome",
    "merged_into_case_id",
    "allowed_steps",
    "assignees",
    "sealing.identities.by",
    "sealing.identities.earlier",
    "sealing.holds",
    "sealing.erasure_requested_by",
    "sealing.erasure_reason",
];

fn names(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

/// Takes out of an evaluation how many are in the shelter: in a kelurahan or a school that is one child, and where it is.
fn without_shelter(evaluation: &mut v1::Evaluation) {
    if let Some(cases) = &mut evaluation.cases {
        cases.in_shelter = 0;
    }
    evaluation.shaping = Some(v1::Shaping { withheld: names(&["cases.in_shelter"]), ..Default::default() });
}

/// Takes out of an evaluation below the kota what tells of its cases.
fn below_kota(evaluation: &mut v1::Evaluation, level: Option<Level>, missing: &mut v1::Shaping) {
    evaluation.cases = None;
    evaluation.open_conflicts = 0;
    missing.withheld.extend(names(&["cases", "open_conflicts"]));
    for kind in OF_CASES {
        hide(evaluation, kind, &mut missing.withheld);
    }
    if let Some(activity) = &mut evaluation.activity {
        // A case report is an activity as well: a day on which nothing else happened would tell of one.
        activity.days_since_last_activity = None;
        missing.withheld.push("activity.days_since_last_activity".to_owned());
        if level != Some(Level::Kecamatan) {
            activity.exposure_signals = 0;
            missing.withheld.push("activity.exposure_signals".to_owned());
        }
    }
}

/// Takes an indicator out, and the deadlines that were missed by it.
fn hide(evaluation: &mut v1::Evaluation, kind: IndicatorKind, told: &mut Vec<String>) {
    for indicator in evaluation.indicators.iter_mut().filter(|indicator| indicator.kind() == kind) {
        *indicator = v1::Indicator { kind: kind.into(), ..Default::default() };
    }
    let name = kind.as_str_name().trim_start_matches("INDICATOR_KIND_").to_lowercase();
    told.push(format!("indicators.{name}"));
    let Some(missed) = &mut evaluation.missed else { return };
    match kind {
        IndicatorKind::FollowUpDiscipline => {
            missed.follow_ups = 0;
            told.push("missed.follow_ups".to_owned());
        }
        IndicatorKind::ResponseWithinTarget => {
            missed.responses = 0;
            told.push("missed.responses".to_owned());
        }
        _ => {}
    }
}

/// The score and band of the indicators that are shown.
fn score_of_shown(evaluation: &mut v1::Evaluation, rules: &RuleSet, missing: &mut v1::Shaping) {
    if missing.withheld.iter().chain(&missing.few).all(|field| !field.starts_with("indicators.")) {
        return;
    }
    let shown: Vec<(u64, u64)> = evaluation.indicators.iter().map(|i| (i.numerator, i.denominator)).collect();
    evaluation.score = rules.score(&shown);
    evaluation.band = rules.band(evaluation.score).to_owned();
    missing.coarser.extend(names(&["score", "band"]));
}
