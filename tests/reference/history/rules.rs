//! Rule sets out of the air, that a history records on its way and that are tried as drafts.

use rand::{
    RngExt as _,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, IndicatorKind};

/// A rule set with a name of its own and every rule drawn anew.
pub(crate) fn rule_set(name: &str, valid_from: &[String], rng: &mut ChaCha8Rng) -> v1::RuleSet {
    let mut kinds = [
        IndicatorKind::ReportingCompleteness,
        IndicatorKind::ReportingTimeliness,
        IndicatorKind::SchoolCoverage,
        IndicatorKind::FollowUpDiscipline,
        IndicatorKind::ResponseWithinTarget,
        IndicatorKind::Training,
    ];
    kinds.shuffle(rng);
    let named = rng.random_range(1..=kinds.len());
    let mut weights: Vec<v1::IndicatorWeight> = Vec::new();
    for kind in &kinds[..named] {
        weights.push(v1::IndicatorWeight { indicator: (*kind).into(), weight: f64::from(rng.random_range(1..40_u32)) });
    }
    let mut working_weekdays: Vec<u32> = (1..=7).collect();
    working_weekdays.shuffle(rng);
    working_weekdays.truncate(rng.random_range(1..=7));
    let holidays = (0..rng.random_range(0..4)).map(|_| valid_from.choose(rng).cloned().unwrap_or_default()).collect();
    let hours = |hours: i64| Some(pbjson_types::Duration { seconds: hours * 3_600, nanos: 0 });
    let band = |name: &str, score_min: f64| v1::Band { name: name.into(), score_min };
    v1::RuleSet {
        name: name.to_owned(),
        valid_from: valid_from.choose(rng).cloned().unwrap_or_default(),
        weights,
        report_days: rng.random_range(1..30),
        response_high: hours(rng.random_range(1..48)),
        response_medium: hours(rng.random_range(1..200)),
        response_low_working_days: rng.random_range(1..10),
        working_weekdays,
        holidays,
        signal_window_days: rng.random_range(10..150),
        spread_schools_min: rng.random_range(2..5),
        repeated_signals_min: rng.random_range(2..4),
        silent_days: rng.random_range(10..80),
        bands: if rng.random_bool(0.5) {
            vec![band("baik", 70.5), band("cukup", 40.0), band("kurang", 0.0)]
        } else {
            vec![]
        },
    }
}
