//! `--as-of`: a moment of the past, as a position of the log or as a time.

use anyhow::Context as _;
use jiff::{Timestamp, civil, tz::TimeZone};
use satgas_proto::v1::{self, as_of::At};

use crate::{connect::Log, time};

/// Adds `--as-of` to a command that asks.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Answer as it would have been answered then: a position of the log such as 1200, a time, or a day (its end) such as 2026-10-05
    #[arg(long, value_name = "POSITION|TIME")]
    as_of: Option<String>,
}

impl Args {
    /// As the vocabulary carries it; days and times without an offset are local to the log.
    pub(crate) fn moment(&self, log: &Log) -> anyhow::Result<Option<v1::AsOf>> {
        self.as_of.as_deref().map(|text| moment(text, &log.zone).context("--as-of")).transpose()
    }
}

/// A position, a time, or the end of a day.
pub(crate) fn moment(text: &str, zone: &TimeZone) -> anyhow::Result<v1::AsOf> {
    let at = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        At::Position(text.parse().context("is no position")?)
    } else if !text.contains([' ', 'T', 't'])
        && let Ok(day) = text.parse::<civil::Date>()
    {
        At::Time(time::to_proto(end_of(day, zone)?))
    } else {
        At::Time(time::to_proto(time::parse(text, zone).map_err(anyhow::Error::msg)?))
    };
    Ok(v1::AsOf { at: Some(at) })
}

/// The last nanosecond of a day.
fn end_of(day: civil::Date, zone: &TimeZone) -> anyhow::Result<Timestamp> {
    let next = day.tomorrow().context("has no day after it")?;
    let start = zone.to_timestamp(next.at(0, 0, 0, 0))?;
    Ok(Timestamp::from_nanosecond(start.as_nanosecond() - 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<At> {
        moment(text, &TimeZone::get("Asia/Makassar").unwrap()).ok().and_then(|moment| moment.at)
    }

    fn time_of(text: &str) -> Option<At> {
        text.parse().ok().map(|instant| At::Time(time::to_proto(instant)))
    }

    #[test]
    fn digits_are_a_position_and_a_day_is_meant_to_its_end() {
        assert_eq!(at("1200"), Some(At::Position(1200)));
        assert_eq!(at("2026-10-05"), time_of("2026-10-05T15:59:59.999999999Z"));
        assert_eq!(at("2026-10-05 10:00"), time_of("2026-10-05T02:00:00Z"));
        assert_eq!(at("5 October"), None);
        assert_eq!(at(""), None);
    }
}
