//! Days, months, periods and deadlines in the log's time zone, worked out by plain steps over the calendar.

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use satgas_proto::v1;

/// A day of 24 hours.
pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Reads a time of a message. One that is missing from the log is a defect of the server, so it ends the test.
pub(crate) fn instant(time: Option<&pbjson_types::Timestamp>) -> Timestamp {
    let time = time.expect("every time that the reference reads is required in the log");
    Timestamp::new(time.seconds, time.nanos).expect("the log holds only times that exist")
}

/// Writes a time of a message.
pub(crate) fn message(time: Timestamp) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// Reads a day, "YYYY-MM-DD".
pub(crate) fn day(text: &str) -> Date {
    text.parse().expect("the log holds only days that exist")
}

/// Reads a day that may be empty.
pub(crate) fn day_or_none(text: &str) -> Option<Date> {
    if text.is_empty() { None } else { Some(day(text)) }
}

/// The first instant of a local day.
pub(crate) fn start_of(day: Date, zone: &TimeZone) -> Timestamp {
    day.to_zoned_datetime(zone.clone()).expect("days of a log are far from the ends of time").timestamp()
}

/// The first instant after a local day.
pub(crate) fn end_of(day: Date, zone: &TimeZone) -> Timestamp {
    start_of(next(day), zone)
}

/// The day after.
pub(crate) fn next(day: Date) -> Date {
    day.checked_add(1.day()).expect("days of a log are far from the ends of time")
}

/// The local date on which an instant lies.
pub(crate) fn date_of(time: Timestamp, zone: &TimeZone) -> Date {
    time.to_zoned_datetime(zone.clone()).date()
}

/// The local date of the last nanosecond before an instant.
pub(crate) fn date_before(time: Timestamp, zone: &TimeZone) -> Date {
    date_of(time - SignedDuration::from_nanos(1), zone)
}

/// A month, quarter, semester or year of local time.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(crate) code: String,
    /// First day of every month inside, in order.
    pub(crate) months: Vec<Date>,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

impl Period {
    /// Reads "2026", "2026-S1", "2026-Q1" or "2026-01".
    pub(crate) fn parse(code: &str, zone: &TimeZone) -> Self {
        let year: i16 = code[..4].parse().expect("a period begins with its year");
        let (first, count) = match &code[4..] {
            "" => (1, 12),
            "-S1" => (1, 6),
            "-S2" => (7, 6),
            "-Q1" => (1, 3),
            "-Q2" => (4, 3),
            "-Q3" => (7, 3),
            "-Q4" => (10, 3),
            month => (month[1..].parse().expect("a period that is nothing else is a month"), 1),
        };
        let months: Vec<Date> = (first..first + count).map(|month| Date::constant(year, month, 1)).collect();
        let start = start_of(months[0], zone);
        let end = start_of(month_after(months[months.len() - 1]), zone);
        Self { code: code.to_owned(), months, start, end }
    }

    /// Whether an instant lies in the period.
    pub(crate) fn contains(&self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether a day is one of the period's.
    pub(crate) fn contains_day(&self, day: Date, zone: &TimeZone) -> bool {
        self.contains(start_of(day, zone))
    }

    /// The message of the period.
    pub(crate) fn to_message(&self) -> v1::Period {
        v1::Period { code: self.code.clone(), start: Some(message(self.start)), end: Some(message(self.end)) }
    }
}

/// First day of the month after the one that begins on `first`.
pub(crate) fn month_after(first: Date) -> Date {
    first.checked_add(1.month()).expect("days of a log are far from the ends of time")
}

/// Last day of the month that begins on `first`.
pub(crate) fn last_of_month(first: Date) -> Date {
    first.last_of_month()
}

/// "2026-03" of the month in which a day lies.
pub(crate) fn month_code(day: Date) -> String {
    format!("{}-{:02}", day.year(), day.month())
}
