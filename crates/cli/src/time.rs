//! Times as people write and read them: in the log's own time zone.

use jiff::{Timestamp, civil, tz::TimeZone};

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the one place of the command line that reads the wall clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A time as a person types it: "2026-03-05T10:00:00+08:00", or without an offset in `zone`: "2026-03-05 10:00",
/// "2026-03-05".
///
/// # Errors
/// A sentence that says what is taken.
pub(crate) fn parse(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let local = text.parse::<civil::DateTime>().map_err(|_| {
        format!("`{text}` is no time: write it as 2026-03-05T10:00:00+08:00, or in local time as \"2026-03-05 10:00\"")
    })?;
    zone.to_timestamp(local).map_err(|error| format!("`{text}`: {error}"))
}

/// As the vocabulary carries it.
pub(crate) fn to_proto(instant: Timestamp) -> pbjson_types::Timestamp {
    let nanos = i32::try_from(instant.as_nanosecond().rem_euclid(1_000_000_000)).unwrap_or(0);
    let seconds = i64::try_from(instant.as_nanosecond().div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    pbjson_types::Timestamp { seconds, nanos }
}

/// From the wire; `None` for what no calendar has.
pub(crate) fn from_proto(time: &pbjson_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// "2026-03-05 10:00:00" in `zone`, "-" when unset.
pub(crate) fn show(time: Option<&pbjson_types::Timestamp>, zone: &TimeZone) -> String {
    format(time, zone, "%Y-%m-%d %H:%M:%S")
}

/// "2026-03-05" in `zone`, "-" when unset.
pub(crate) fn show_day(time: Option<&pbjson_types::Timestamp>, zone: &TimeZone) -> String {
    format(time, zone, "%Y-%m-%d")
}

fn format(time: Option<&pbjson_types::Timestamp>, zone: &TimeZone, pattern: &str) -> String {
    let zoned = time.and_then(from_proto).map(|instant| instant.to_zoned_datetime(zone.clone()));
    zoned.map_or_else(|| "-".to_owned(), |zoned| zoned.strftime(pattern).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn makassar() -> TimeZone {
        TimeZone::get("Asia/Makassar").unwrap()
    }

    #[test]
    fn a_time_without_an_offset_is_local_to_the_log() {
        let local = parse("2026-03-05 10:00", &makassar()).unwrap();
        assert_eq!(local, parse("2026-03-05T02:00:00Z", &makassar()).unwrap());
        assert_eq!(show(Some(&to_proto(local)), &makassar()), "2026-03-05 10:00:00");
    }

    #[test]
    fn a_day_alone_is_its_local_midnight() {
        let midnight = parse("2026-03-05", &makassar()).unwrap();
        assert_eq!(midnight.to_string(), "2026-03-04T16:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_answered_with_an_example() {
        assert!(parse("tomorrow", &makassar()).unwrap_err().contains("2026-03-05 10:00"));
    }

    #[test]
    fn a_time_before_1970_keeps_its_fraction() {
        let before: Timestamp = "1969-12-31T23:59:59.25Z".parse().unwrap();
        assert_eq!(from_proto(&to_proto(before)), Some(before));
        assert_eq!(to_proto(before).nanos, 250_000_000);
    }
}
