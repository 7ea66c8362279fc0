//! Rule sets: weights, deadlines, targets and thresholds of evaluations and warnings. They are data, recorded as events.

use std::collections::BTreeSet;

use pbjson_types::Duration;
use satgas_proto::v1::{self, IndicatorKind, Risk, Violation};
use serde::{Deserialize, Serialize};

use crate::{
    time::{Calendar, DAY_NS, Day, Instant},
    validate::{self, Violations},
};

/// Name of the rule set that is there before any is recorded.
pub const BUILT_IN: &str = "bawaan-1";
const SECOND_NS: i64 = 1_000_000_000;

/// What `docs/evaluation.md` sets in italics. Every figure names the rule set that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleSet {
    /// Name and version.
    pub name: String,
    /// First day on which it is valid.
    pub valid_from: Day,
    /// Weights of the indicators in the order of the enum.
    pub weights: [f64; 6],
    /// Days after a month's end within which its report is in time.
    pub report_days: i32,
    /// Target of the first response to a case of high risk.
    pub response_high_ns: i64,
    /// Target of the first response to a case of medium risk.
    pub response_medium_ns: i64,
    /// Target of the first response to a case of low risk, or not assessed, in working days.
    pub response_low_working_days: u32,
    /// Whether each day of the week is worked, Monday first.
    pub working_weekdays: [bool; 7],
    /// Public holidays: no working days.
    pub holidays: BTreeSet<Day>,
    /// How far back signals count for a warning.
    pub signal_window_ns: i64,
    /// Schools at which one group makes a warning.
    pub spread_schools_min: usize,
    /// Signals that make a warning of one school.
    pub repeated_signals_min: usize,
    /// How long a task force may be silent.
    pub silent_ns: i64,
    /// Bands of the score: lowest score and name, the highest first.
    pub bands: Vec<(f64, String)>,
}

impl RuleSet {
    /// Takes rules that stand in a field, or says everything that is wrong with them.
    pub fn parse(message: &v1::RuleSet, field: &str) -> Result<Self, Vec<Violation>> {
        let mut v = Violations::default();
        v.within(field, |v| validate::rule_set(v, message));
        if !v.is_empty() {
            return Err(v.into_vec());
        }
        Ok(Self::valid(message).expect("what it is made of was validated"))
    }

    fn valid(m: &v1::RuleSet) -> Option<Self> {
        let mut weights = [0.0; 6];
        for weight in &m.weights {
            *weights.get_mut(nth(weight.indicator())?)? = weight.weight;
        }
        let mut working_weekdays = [false; 7];
        for weekday in &m.working_weekdays {
            *working_weekdays.get_mut(usize::try_from(*weekday).ok()?.checked_sub(1)?)? = true;
        }
        let nanos = |d: &Option<Duration>| d.as_ref().and_then(duration_ns);
        Some(Self {
            name: m.name.clone(),
            valid_from: Day::parse(&m.valid_from)?,
            weights,
            report_days: i32::try_from(m.report_days).ok()?,
            response_high_ns: nanos(&m.response_high)?,
            response_medium_ns: nanos(&m.response_medium)?,
            response_low_working_days: m.response_low_working_days,
            working_weekdays,
            holidays: m.holidays.iter().filter_map(|day| Day::parse(day)).collect(),
            signal_window_ns: i64::from(m.signal_window_days) * DAY_NS,
            spread_schools_min: usize::try_from(m.spread_schools_min).ok()?,
            repeated_signals_min: usize::try_from(m.repeated_signals_min).ok()?,
            silent_ns: i64::from(m.silent_days) * DAY_NS,
            bands: m.bands.iter().map(|band| (band.score_min, band.name.clone())).collect(),
        })
    }

    /// When the first response is due to a case that was reported at `reported`. A case that is not assessed is held to the longest
    /// target: assessing can only shorten it, so leaving a case unassessed never excuses it.
    #[must_use]
    pub fn response_due(&self, calendar: &Calendar, reported: Instant, risk: Risk) -> Instant {
        match risk {
            Risk::Tinggi => reported.plus_ns(self.response_high_ns),
            Risk::Sedang => reported.plus_ns(self.response_medium_ns),
            Risk::Rendah | Risk::Unspecified => {
                let mut day = calendar.day(reported);
                let mut counted = 0;
                while counted < self.response_low_working_days {
                    day = day.next();
                    counted += u32::from(self.works_on(day));
                }
                calendar.same_time_on(reported, day)
            }
        }
    }

    fn works_on(&self, day: Day) -> bool {
        self.working_weekdays[day.weekday()] && !self.holidays.contains(&day)
    }

    /// Weight of an indicator.
    #[must_use]
    pub fn weight(&self, kind: IndicatorKind) -> f64 {
        nth(kind).and_then(|nth| self.weights.get(nth)).copied().unwrap_or_default()
    }

    /// Weighted mean of the fractions that apply, in the order of the enum, 0 to 100; none when none applies.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    #[must_use]
    pub fn score(&self, fractions: &[(u64, u64)]) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for ((numerator, denominator), weight) in fractions.iter().zip(self.weights) {
            if *denominator > 0 {
                sum += weight * *numerator as f64 / *denominator as f64;
                weights += weight;
            }
        }
        (weights > 0.0).then(|| (100.0 * sum / weights * 100.0).round() / 100.0)
    }

    /// Name of the band of a score, or nothing.
    #[must_use]
    pub fn band(&self, score: Option<f64>) -> &str {
        let band = score.and_then(|score| self.bands.iter().find(|(least, _)| *least <= score));
        band.map_or("", |(_, name)| name)
    }
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::valid(&built_in()).expect("the built-in rules are valid")
    }
}

/// Place of an indicator in the order of the enum.
fn nth(kind: IndicatorKind) -> Option<usize> {
    (kind as usize).checked_sub(IndicatorKind::ReportingCompleteness as usize)
}

/// Nanoseconds of a duration above 0 and up to a year.
pub(crate) fn duration_ns(d: &Duration) -> Option<i64> {
    let ns = d.seconds.checked_mul(SECOND_NS)?.checked_add(i64::from(d.nanos))?;
    (ns > 0 && ns <= 365 * DAY_NS && (0..1_000_000_000).contains(&d.nanos)).then_some(ns)
}

/// The rules that are there before any are recorded.
#[must_use]
pub fn built_in() -> v1::RuleSet {
    let weights = [20.0, 10.0, 25.0, 20.0, 15.0, 10.0];
    let hours = |hours: i64| Some(Duration { seconds: hours * 3_600, nanos: 0 });
    v1::RuleSet {
        name: BUILT_IN.to_owned(),
        valid_from: "2000-01-01".to_owned(),
        weights: (IndicatorKind::ReportingCompleteness as i32..)
            .zip(weights)
            .map(|(indicator, weight)| v1::IndicatorWeight { indicator, weight })
            .collect(),
        report_days: 5,
        response_high: hours(1),
        response_medium: hours(6),
        response_low_working_days: 3,
        working_weekdays: vec![1, 2, 3, 4, 5],
        holidays: Vec::new(),
        signal_window_days: 90,
        spread_schools_min: 2,
        repeated_signals_min: 2,
        silent_days: 45,
        bands: Vec::new(),
    }
}

/// A rule set and the event that recorded it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Recorded {
    #[serde(with = "crate::stored")]
    message: v1::RuleSetRecorded,
    rules: RuleSet,
    /// 0 for the built-in one.
    position: u64,
}

/// All rule sets, in the order in which they were recorded; the built-in one first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleSets(Vec<Recorded>);

impl Default for RuleSets {
    fn default() -> Self {
        let message = v1::RuleSetRecorded { rule_set: Some(built_in()), reason: String::new() };
        Self(vec![Recorded { message, rules: RuleSet::default(), position: 0 }])
    }
}

impl RuleSets {
    /// The rules valid on a day by what was known at a position: those with the latest beginning up to the day, and of equals the last
    /// recorded. Before all: the built-in ones.
    #[must_use]
    pub fn on(&self, day: Day, until: u64) -> &RuleSet {
        let valid = self.0.iter().filter(|recorded| recorded.position <= until && recorded.rules.valid_from <= day);
        valid.max_by_key(|recorded| recorded.rules.valid_from).map_or(&self.0[0].rules, |recorded| &recorded.rules)
    }

    /// Decides on recording a rule set: `Ok(None)` when it is new, its position when it was recorded before.
    pub fn decide(&self, message: &v1::RuleSetRecorded) -> Result<Option<u64>, Vec<Violation>> {
        let mut v = Violations::default();
        validate::rule_set_recorded(&mut v, message);
        if !v.is_empty() {
            return Err(v.into_vec());
        }
        let name = message.rule_set.as_ref().map_or("", |rules| &rules.name);
        match self.0.iter().find(|recorded| recorded.rules.name == name) {
            None => Ok(None),
            Some(known) if known.message == *message => Ok(Some(known.position)),
            Some(known) if known.message.rule_set == message.rule_set => {
                v.add("reason", "is another than the one that these rules were recorded with, which stands");
                Err(v.into_vec())
            }
            Some(_) => {
                v.within("rule_set", |v| v.add("name", "was recorded with other rules: give these another name"));
                Err(v.into_vec())
            }
        }
    }

    /// Folds a rule set that was decided and stands at a position.
    pub fn record(&mut self, message: &v1::RuleSetRecorded, position: u64) {
        if let Some(rules) = message.rule_set.as_ref().and_then(RuleSet::valid) {
            self.0.push(Recorded { message: message.clone(), rules, position });
        }
    }

    /// Takes the last one out again.
    pub(crate) fn remove_last(&mut self) {
        self.0.pop();
    }

    /// All that were known at a position; the one valid on the day is marked.
    #[must_use]
    pub fn list(&self, day: Day, until: u64) -> Vec<v1::ListedRuleSet> {
        let in_force = &self.on(day, until).name;
        let listed = |recorded: &Recorded| v1::ListedRuleSet {
            rule_set: recorded.message.rule_set.clone(),
            reason: recorded.message.reason.clone(),
            position: recorded.position,
            in_force: recorded.rules.name == *in_force,
        };
        self.0.iter().filter(|recorded| recorded.position <= until).map(listed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, valid_from: &str) -> v1::RuleSetRecorded {
        let rules = v1::RuleSet { name: name.to_owned(), valid_from: valid_from.to_owned(), ..built_in() };
        v1::RuleSetRecorded { rule_set: Some(rules), reason: "Keputusan contoh".to_owned() }
    }

    #[test]
    fn three_working_days_skip_the_weekend_and_holidays() {
        let calendar = Calendar::new("Asia/Makassar").unwrap();
        let at = |text: &str| Instant::from_jiff(text.parse().unwrap());
        let mut rules = RuleSet::default();
        let friday = at("2026-11-20T15:30:00+08:00");
        assert_eq!(rules.response_due(&calendar, friday, Risk::Rendah), at("2026-11-25T15:30:00+08:00"));
        rules.holidays.insert(Day::parse("2026-11-24").unwrap());
        assert_eq!(rules.response_due(&calendar, friday, Risk::Unspecified), at("2026-11-26T15:30:00+08:00"));
        assert_eq!(rules.response_due(&calendar, friday, Risk::Tinggi), at("2026-11-20T16:30:00+08:00"));
        rules.working_weekdays[5] = true;
        assert_eq!(rules.response_due(&calendar, friday, Risk::Rendah), at("2026-11-25T15:30:00+08:00"));
    }

    #[test]
    fn of_the_rule_sets_valid_on_a_day_the_latest_counts() {
        let mut all = RuleSets::default();
        all.record(&named("b", "2026-07-01"), 10);
        all.record(&named("a", "2026-01-01"), 20);
        all.record(&named("c", "2026-07-01"), 30);
        let on = |day| all.on(Day::parse(day).unwrap(), u64::MAX).name.as_str();
        assert_eq!([on("2025-12-31"), on("2026-01-01"), on("2026-06-30"), on("2026-07-01")], [BUILT_IN, "a", "a", "c"]);
    }

    #[test]
    fn a_rule_set_is_recorded_once_and_never_changes() {
        let mut all = RuleSets::default();
        assert_eq!(all.decide(&named("a", "2026-01-01")), Ok(None));
        all.record(&named("a", "2026-01-01"), 7);
        assert_eq!(all.decide(&named("a", "2026-01-01")), Ok(Some(7)));
        assert_eq!(all.decide(&named("a", "2026-02-01")).unwrap_err()[0].field, "rule_set.name");
        assert_eq!(all.decide(&named(BUILT_IN, "2026-02-01")).unwrap_err()[0].field, "rule_set.name");
    }

    #[test]
    fn every_rule_out_of_its_limits_is_named_at_once() {
        let weight = |indicator: IndicatorKind, weight| v1::IndicatorWeight { indicator: indicator.into(), weight };
        let bad = v1::RuleSet {
            name: "mit leer".to_owned(),
            valid_from: "2026-13-01".to_owned(),
            weights: vec![weight(IndicatorKind::Training, f64::NAN), weight(IndicatorKind::Training, 1.0)],
            report_days: 0,
            response_high: None,
            response_medium: Some(Duration { seconds: -1, nanos: 0 }),
            response_low_working_days: 61,
            working_weekdays: vec![8],
            holidays: vec!["1 Mei".to_owned()],
            signal_window_days: 0,
            spread_schools_min: 1,
            repeated_signals_min: 1,
            silent_days: 731,
            bands: vec![v1::Band { name: String::new(), score_min: 50.0 }],
        };
        let mut fields: Vec<String> =
            RuleSet::parse(&bad, "rule_set").unwrap_err().into_iter().map(|v| v.field).collect();
        fields.dedup();
        let expected = [
            "name",
            "valid_from",
            "weights[0].weight",
            "weights[1].indicator",
            "report_days",
            "response_high",
            "response_medium",
            "response_low_working_days",
            "working_weekdays[0]",
            "holidays[0]",
            "signal_window_days",
            "spread_schools_min",
            "repeated_signals_min",
            "silent_days",
            "bands[0].name",
            "bands",
        ];
        assert_eq!(fields, expected.map(|field| format!("rule_set.{field}")));
    }

    #[test]
    fn a_score_falls_into_the_highest_band_that_it_reaches() {
        let mut rules = RuleSet::default();
        assert_eq!(rules.band(Some(90.0)), "");
        rules.bands = vec![(80.0, "baik".to_owned()), (0.0, "kurang".to_owned())];
        assert_eq!([rules.band(Some(80.0)), rules.band(Some(79.99)), rules.band(None)], ["baik", "kurang", ""]);
    }
}
