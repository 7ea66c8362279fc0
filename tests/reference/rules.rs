//! Which rules hold when, and the rules before any were recorded, spelt out once more.

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use satgas_proto::v1::{self, IndicatorKind};

use super::time::{day, month_after, next, start_of};

/// `bawaan-1` as the page says it.
pub(crate) fn before_all() -> v1::RuleSet {
    use IndicatorKind as Kind;
    let weigh = |indicator: Kind, weight: f64| v1::IndicatorWeight { indicator: indicator.into(), weight };
    v1::RuleSet {
        name: "bawaan-1".into(),
        valid_from: "2000-01-01".into(),
        weights: vec![
            weigh(Kind::ReportingCompleteness, 20.0),
            weigh(Kind::ReportingTimeliness, 10.0),
            weigh(Kind::SchoolCoverage, 25.0),
            weigh(Kind::FollowUpDiscipline, 20.0),
            weigh(Kind::ResponseWithinTarget, 15.0),
            weigh(Kind::Training, 10.0),
        ],
        report_days: 5,
        response_high: Some(pbjson_types::Duration { seconds: 3_600, nanos: 0 }),
        response_medium: Some(pbjson_types::Duration { seconds: 21_600, nanos: 0 }),
        response_low_working_days: 3,
        working_weekdays: vec![1, 2, 3, 4, 5],
        holidays: vec![],
        signal_window_days: 90,
        spread_schools_min: 2,
        repeated_signals_min: 2,
        silent_days: 45,
        bands: vec![],
    }
}

/// Of the rule sets in log order the one that holds on a day.
pub(crate) fn on(all: &[v1::RuleSet], date: Date) -> v1::RuleSet {
    let mut found = before_all();
    for rules in all {
        let from = day(&rules.valid_from);
        if from <= date && from >= day(&found.valid_from) {
            found = rules.clone();
        }
    }
    found
}

/// Weight of an indicator; none when it is not named.
pub(crate) fn weight(rules: &v1::RuleSet, kind: IndicatorKind) -> f64 {
    rules.weights.iter().find(|weight| weight.indicator() == kind).map_or(0.0, |weight| weight.weight)
}

/// When the report on the month that begins on `first` is due.
pub(crate) fn report_deadline(rules: &v1::RuleSet, first: Date, zone: &TimeZone) -> Timestamp {
    let days = i64::from(rules.report_days);
    let due = month_after(first).checked_add(days.days()).expect("days of a log are far from the ends of time");
    start_of(due, zone)
}

/// When the first response to a case of a risk is due.
pub(crate) fn response_due(rules: &v1::RuleSet, risk: v1::Risk, occurred: Timestamp, zone: &TimeZone) -> Timestamp {
    let within = |target: &Option<pbjson_types::Duration>| {
        let target = target.as_ref().expect("recorded rules have both targets");
        occurred + SignedDuration::new(target.seconds, target.nanos)
    };
    match risk {
        v1::Risk::Tinggi => within(&rules.response_high),
        v1::Risk::Sedang => within(&rules.response_medium),
        v1::Risk::Rendah | v1::Risk::Unspecified => working_days_after(rules, occurred, zone),
    }
}

/// The same local clock time on the last of the working days after `time`.
pub(crate) fn working_days_after(rules: &v1::RuleSet, time: Timestamp, zone: &TimeZone) -> Timestamp {
    let local = time.to_zoned_datetime(zone.clone()).datetime();
    let mut date = local.date();
    let mut counted = 0;
    while counted < rules.response_low_working_days {
        date = next(date);
        let weekday = u32::try_from(date.weekday().to_monday_one_offset()).expect("1 to 7");
        let is_holiday = rules.holidays.contains(&date.to_string());
        if rules.working_weekdays.contains(&weekday) && !is_holiday {
            counted += 1;
        }
    }
    let due = date.to_datetime(local.time());
    due.to_zoned_datetime(zone.clone()).expect("days of a log are far from the ends of time").timestamp()
}

/// Name of the band that a score lies in: of those that it reaches, the one that asks the most.
pub(crate) fn band(rules: &v1::RuleSet, score: Option<f64>) -> String {
    let Some(score) = score else { return String::new() };
    let mut found: Option<&v1::Band> = None;
    for band in &rules.bands {
        let asks_more = found.is_none_or(|found| band.score_min > found.score_min);
        if band.score_min <= score && asks_more {
            found = Some(band);
        }
    }
    found.map(|band| band.name.clone()).unwrap_or_default()
}
