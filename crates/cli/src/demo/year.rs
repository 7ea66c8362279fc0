//! The year that is played: local minutes of it, the moments at which records reach the server, and its months.
//!
//! Kota Kupang keeps UTC+8 all year, so a local minute is an instant without any table.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, date},
    tz::Offset,
};

const OFFSET: Offset = Offset::constant(8);
const DAY_MIN: i32 = 24 * 60;

/// The first day.
pub(crate) const START: Date = date(2025, 7, 1);
/// How many days things happen on: to 2026-06-30.
pub(crate) const DAYS: i32 = 365;
/// The last day on which what happened still arrives: 2026-07-09.
const LAST_ARRIVAL_DAY: i32 = DAYS + 8;
/// The period that is shown at the end: the last semester of the year, over and with all its deadlines passed.
pub(crate) const PERIOD: &str = "2026-S1";
/// When the city is evaluated: 2026-07-10 08:00.
pub(crate) const END: Minute = Minute::on(DAYS + 9, 8 * 60);

/// A local minute, counted from the first day's midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minute(i32);

impl Minute {
    /// So many minutes after the midnight that begins a day; days are counted from 0 and may lie before the year.
    pub(crate) const fn on(day: i32, minute: i32) -> Self {
        Self(day * DAY_MIN + minute)
    }

    /// Later by so many minutes.
    pub(crate) const fn plus(self, minutes: i32) -> Self {
        Self(self.0 + minutes)
    }

    /// The day that it lies on.
    pub(crate) const fn day(self) -> i32 {
        self.0.div_euclid(DAY_MIN)
    }

    /// As an instant.
    pub(crate) fn timestamp(self) -> Timestamp {
        let local = day_of(self.day()).at(0, 0, 0, 0) + self.0.rem_euclid(DAY_MIN).minutes();
        OFFSET.to_timestamp(local).expect("the year lies within jiff's range")
    }

    /// As a message.
    pub(crate) fn proto(self) -> pbjson_types::Timestamp {
        pbjson_types::Timestamp { seconds: self.timestamp().as_second(), nanos: 0 }
    }
}

/// The date of a day.
fn day_of(day: i32) -> Date {
    START + day.days()
}

/// The date of a day, "YYYY-MM-DD".
pub(crate) fn date_text(day: i32) -> String {
    day_of(day).to_string()
}

/// The number of a date.
pub(crate) fn day_number(date: Date) -> i32 {
    (date - START).get_days()
}

/// An instant in local time, "YYYY-MM-DD HH:MM".
pub(crate) fn local_text(time: Timestamp) -> String {
    OFFSET.to_datetime(time).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A moment at which records reach the server. There are four a day; what depends on an order arrives in different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(i32);

impl Slot {
    const MINUTES: [i32; 4] = [8 * 60, 13 * 60, 18 * 60, 22 * 60];
    const A_DAY: i32 = 4;
    /// The last one of the story.
    pub(crate) const LAST: Self = Self(LAST_ARRIVAL_DAY * Self::A_DAY + Self::A_DAY - 1);

    /// The first one at or after a minute.
    pub(crate) fn at_or_after(minute: Minute) -> Self {
        let first = Self(minute.day() * Self::A_DAY);
        (0..=Self::A_DAY).map(|n| first.plus(n)).find(|slot| slot.minute() >= minute).unwrap_or(first)
    }

    /// Later by so many.
    pub(crate) const fn plus(self, slots: i32) -> Self {
        Self(self.0 + slots)
    }

    /// When it is.
    pub(crate) fn minute(self) -> Minute {
        let of_day = usize::try_from(self.0.rem_euclid(Self::A_DAY)).expect("0 to 3");
        Minute::on(self.0.div_euclid(Self::A_DAY), Self::MINUTES[of_day])
    }
}

/// A month of the year.
#[derive(Clone, Debug)]
pub(crate) struct Month {
    /// "YYYY-MM".
    pub(crate) code: String,
    /// Its first day.
    pub(crate) first: i32,
    /// The first day after it.
    pub(crate) after: i32,
}

/// The twelve months.
pub(crate) fn months() -> Vec<Month> {
    (0..12)
        .map(|n| {
            let first = START + n.months();
            Month {
                code: first.strftime("%Y-%m").to_string(),
                first: day_number(first),
                after: day_number(START + (n + 1).months()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_ends_on_the_last_day_of_june_and_is_evaluated_ten_days_later() {
        assert_eq!(date_text(DAYS - 1), "2026-06-30");
        assert_eq!(END.timestamp().to_string(), "2026-07-10T00:00:00Z");
        assert_eq!(local_text(END.timestamp()), "2026-07-10 08:00");
        assert!(Slot::LAST.minute() < END);
    }

    #[test]
    fn a_record_arrives_with_the_next_slot_even_if_that_is_tomorrow() {
        assert_eq!(Slot::at_or_after(Minute::on(3, 0)).minute(), Minute::on(3, 8 * 60));
        assert_eq!(Slot::at_or_after(Minute::on(3, 8 * 60)).minute(), Minute::on(3, 8 * 60));
        assert_eq!(Slot::at_or_after(Minute::on(3, 8 * 60 + 1)).minute(), Minute::on(3, 13 * 60));
        assert_eq!(Slot::at_or_after(Minute::on(3, 23 * 60)).minute(), Minute::on(4, 8 * 60));
    }

    #[test]
    fn the_months_follow_each_other_without_a_gap() {
        let months = months();
        assert_eq!((months[0].code.as_str(), months[11].code.as_str()), ("2025-07", "2026-06"));
        assert_eq!((months[0].first, months[11].after), (0, DAYS));
        assert!(months.windows(2).all(|pair| pair[0].after == pair[1].first));
    }
}
