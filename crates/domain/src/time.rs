//! Instants, local days and months, and the periods of an evaluation.
//!
//! Nothing here reads a clock. Local means the time zone of the log, so days and months need a [`Calendar`].

use jiff::{
    civil,
    tz::{Offset, TimeZone},
};
use pbjson_types::Timestamp;
use satgas_proto::v1;
use serde::{Deserialize, Serialize};

/// Nanoseconds of a day of 24 hours.
pub const DAY_NS: i64 = 86_400_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
/// 2000-01-01 and 2200-01-01 in seconds: what lies outside is a broken clock, and inside nothing overflows.
const SECONDS: std::ops::Range<i64> = 946_684_800..7_258_118_400;
const YEARS: std::ops::Range<i16> = 2000..2200;

/// An instant in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(pub i64);

impl Instant {
    /// From a timestamp between the years 2000 and 2200; `None` otherwise.
    #[must_use]
    pub fn from_proto(time: &Timestamp) -> Option<Self> {
        let well_formed = SECONDS.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
        well_formed.then(|| Self(time.seconds * SECOND_NS + i64::from(time.nanos)))
    }

    /// From a clock's reading.
    #[must_use]
    pub fn from_jiff(time: jiff::Timestamp) -> Self {
        Self(i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX))
    }

    /// As a protobuf timestamp.
    #[must_use]
    pub fn to_proto(self) -> Timestamp {
        let nanos = i32::try_from(self.0.rem_euclid(SECOND_NS)).expect("a remainder of 10^9 fits in 32 bits");
        Timestamp { seconds: self.0.div_euclid(SECOND_NS), nanos }
    }

    /// Later by so many nanoseconds.
    #[must_use]
    pub fn plus_ns(self, ns: i64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).expect("64 bits of nanoseconds lie within jiff's range")
    }
}

/// A local calendar day: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

const EPOCH: civil::Date = civil::date(1970, 1, 1);

impl Day {
    /// Parses "YYYY-MM-DD", 2000 to 2199.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date: civil::Date = (text.len() == 10).then(|| text.parse().ok()).flatten()?;
        YEARS.contains(&date.year()).then(|| Self::from_civil(date))
    }

    fn from_civil(date: civil::Date) -> Self {
        Self((date - EPOCH).get_days())
    }

    fn to_civil(self) -> civil::Date {
        EPOCH + jiff::Span::new().days(self.0)
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The month it lies in.
    #[must_use]
    pub fn month(self) -> Month {
        let date = self.to_civil();
        Month::new(date.year(), date.month())
    }

    /// "YYYY-MM-DD".
    #[must_use]
    pub fn text(self) -> String {
        self.to_civil().to_string()
    }

    /// Day of the week, 0 for Monday.
    #[must_use]
    pub fn weekday(self) -> usize {
        // 1970-01-01 was a Thursday.
        usize::try_from((self.0 + 3).rem_euclid(7)).expect("0 to 6")
    }
}

/// A local calendar month: year x 12 + month - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Month(pub i32);

impl Month {
    fn new(year: i16, month: i8) -> Self {
        Self(i32::from(year) * 12 + i32::from(month) - 1)
    }

    /// Parses "YYYY-MM", 2000 to 2199.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |part: &str, len| (part.len() == len && part.bytes().all(|b| b.is_ascii_digit())).then_some(());
        digits(year, 4)?;
        digits(month, 2)?;
        let (year, month) = (year.parse::<i16>().ok()?, month.parse::<i8>().ok()?);
        (YEARS.contains(&year) && (1..=12).contains(&month)).then(|| Self::new(year, month))
    }

    /// Its first day.
    #[must_use]
    pub fn first_day(self) -> Day {
        let year = i16::try_from(self.0.div_euclid(12)).expect("a parsed month has a year below 2200");
        let month = i8::try_from(self.0.rem_euclid(12) + 1).expect("1 to 12");
        Day::from_civil(civil::date(year, month, 1))
    }

    /// Its last day.
    #[must_use]
    pub fn last_day(self) -> Day {
        Day(self.next().first_day().0 - 1)
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// "YYYY-MM".
    #[must_use]
    pub fn code(self) -> String {
        format!("{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// The log's time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    fixed: Option<Offset>,
}

impl Calendar {
    /// The calendar of a zone of the IANA database, such as "Asia/Makassar".
    pub fn new(zone: &str) -> Result<Self, jiff::Error> {
        let zone = TimeZone::get(zone)?;
        Ok(Self { fixed: zone.to_fixed_offset().ok(), zone })
    }

    fn local(&self, time: Instant) -> civil::DateTime {
        match self.fixed {
            Some(offset) => offset.to_datetime(time.to_jiff()),
            None => self.zone.to_datetime(time.to_jiff()),
        }
    }

    /// The local day of an instant.
    #[must_use]
    pub fn day(&self, time: Instant) -> Day {
        Day::from_civil(self.local(time).date())
    }

    /// The local month of an instant.
    #[must_use]
    pub fn month(&self, time: Instant) -> Month {
        let date = self.local(time).date();
        Month::new(date.year(), date.month())
    }

    /// The first instant of a day.
    #[must_use]
    pub fn start(&self, day: Day) -> Instant {
        self.instant(day.to_civil().to_datetime(civil::Time::midnight()))
    }

    /// The same local clock time as `time` on another day.
    #[must_use]
    pub fn same_time_on(&self, time: Instant, day: Day) -> Instant {
        self.instant(day.to_civil().to_datetime(self.local(time).time()))
    }

    fn instant(&self, local: civil::DateTime) -> Instant {
        // A local time that a change of the clock skips or repeats is read as the zone's rules of RFC 5545 say; that never fails.
        let zoned = self.zone.to_ambiguous_timestamp(local).compatible().expect("within jiff's range");
        Instant::from_jiff(zoned)
    }
}

/// A period of an evaluation: a month, quarter, semester or year.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// First month.
    pub first: Month,
    /// Number of months: 1, 3, 6 or 12.
    pub months: i32,
}

impl Period {
    /// Parses "2026", "2026-S1", "2026-Q1" or "2026-01".
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let Some((year, part)) = code.split_once('-') else {
            return Month::parse(&format!("{code}-01")).map(|first| Self { first, months: 12 });
        };
        let part = match part.as_bytes() {
            [b'Q', q @ b'1'..=b'4'] => Some((i32::from(q - b'1') * 3, 3)),
            [b'S', s @ b'1'..=b'2'] => Some((i32::from(s - b'1') * 6, 6)),
            _ => None,
        };
        match part {
            Some((offset, months)) => {
                Month::parse(&format!("{year}-01")).map(|january| Self { first: Month(january.0 + offset), months })
            }
            None => Month::parse(code).map(Self::month),
        }
    }

    /// One month.
    #[must_use]
    pub fn month(month: Month) -> Self {
        Self { first: month, months: 1 }
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> String {
        let (year, month) = (self.first.0.div_euclid(12), self.first.0.rem_euclid(12));
        match self.months {
            12 => format!("{year:04}"),
            6 => format!("{year:04}-S{}", month / 6 + 1),
            3 => format!("{year:04}-Q{}", month / 3 + 1),
            _ => self.first.code(),
        }
    }

    /// The first month after it.
    #[must_use]
    pub fn after(&self) -> Month {
        Month(self.first.0 + self.months)
    }

    /// Its months.
    pub fn each_month(&self) -> impl Iterator<Item = Month> + use<> {
        (self.first.0..self.after().0).map(Month)
    }

    /// As a message.
    #[must_use]
    pub fn to_proto(&self, calendar: &Calendar) -> v1::Period {
        v1::Period {
            code: self.code(),
            start: Some(calendar.start(self.first.first_day()).to_proto()),
            end: Some(calendar.start(self.after().first_day()).to_proto()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::from_jiff(text.parse().unwrap())
    }

    #[test]
    fn the_last_millisecond_of_a_month_and_the_first_of_the_next_lie_in_different_months() {
        let calendar = Calendar::new("Asia/Makassar").unwrap();
        assert_eq!(calendar.month(at("2026-02-28T23:59:59.999+08:00")).code(), "2026-02");
        assert_eq!(calendar.month(at("2026-03-01T00:00:00+08:00")).code(), "2026-03");
        assert_eq!(calendar.start(Day::parse("2028-02-29").unwrap()), at("2028-02-29T00:00:00+08:00"));
        assert_eq!(calendar.day(at("2027-12-31T16:00:00Z")), Day::parse("2028-01-01").unwrap());
    }

    #[test]
    fn a_period_is_parsed_from_the_code_that_it_prints() {
        for code in ["2026", "2026-S1", "2026-S2", "2026-Q1", "2026-Q4", "2026-01", "2026-12"] {
            assert_eq!(Period::parse(code).map(|p| p.code()).as_deref(), Some(code));
        }
        for bad in [
            "",
            "26",
            "2026-",
            "2026-0",
            "2026-13",
            "2026-00",
            "2026-Q5",
            "2026-S3",
            "2026-1",
            "1999",
            "2026-01-01",
            "2026-+1",
            "２０２６",
        ] {
            assert_eq!(Period::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_week_begins_on_monday() {
        let weekdays =
            ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"].map(|d| Day::parse(d).unwrap().weekday());
        assert_eq!(weekdays, [4, 5, 6, 0]);
    }
}
