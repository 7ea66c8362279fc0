//! The rule set: weights, deadlines, targets and thresholds of evaluations and warnings.

use std::collections::BTreeSet;

use satgas_proto::v1::Risk;
use serde::{Deserialize, Serialize};

use crate::time::{Calendar, DAY_NS, Day, Instant};

const HOUR_NS: i64 = 3_600_000_000_000;

/// What `docs/evaluation.md` sets in italics. Every figure names the rule set that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleSet {
    /// Name and version.
    pub name: String,
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
}

impl Default for RuleSet {
    fn default() -> Self {
        Self {
            name: "bawaan-1".to_owned(),
            weights: [20.0, 10.0, 25.0, 20.0, 15.0, 10.0],
            report_days: 5,
            response_high_ns: HOUR_NS,
            response_medium_ns: 6 * HOUR_NS,
            response_low_working_days: 3,
            holidays: BTreeSet::new(),
            signal_window_ns: 90 * DAY_NS,
            spread_schools_min: 2,
            repeated_signals_min: 2,
            silent_ns: 45 * DAY_NS,
        }
    }
}

impl RuleSet {
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
                    if !day.is_weekend() && !self.holidays.contains(&day) {
                        counted += 1;
                    }
                }
                calendar.same_time_on(reported, day)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
