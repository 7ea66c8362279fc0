//! Texts of cells as values of the vocabulary.
//!
//! Invariant: a reason says what is taken and never repeats the text, which may tell of a person.

use std::str::FromStr;

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    fmt::strtime::BrokenDownTime,
    tz::TimeZone,
};

use crate::codes::{self, Code};

use super::identity;

/// A code list without its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodeList {
    parse: fn(&str) -> Option<i32>,
    words: fn() -> String,
}

impl CodeList {
    /// The list of an enum.
    pub(super) fn of<C: Code>() -> Self {
        Self { parse: |text| codes::parse::<C>(text).ok().map(Into::into), words: codes::words::<C> }
    }

    /// The number of a label.
    ///
    /// # Errors
    /// All labels.
    pub(super) fn number(self, label: &str) -> Result<i32, String> {
        (self.parse)(label).ok_or_else(|| format!("is none of: {}", (self.words)()))
    }
}

/// A whole number; an empty cell is 0.
///
/// # Errors
/// What is taken.
pub(super) fn number<N: FromStr + Default>(text: &str) -> Result<N, String> {
    if text.is_empty() { Ok(N::default()) } else { text.parse().map_err(|_| "is no whole number that fits".into()) }
}

/// A time; a day alone is its midnight, and what has no offset is local to `zone`.
///
/// # Errors
/// What is taken.
pub(super) fn time(text: &str, zone: &TimeZone, format: Option<&str>) -> Result<Timestamp, String> {
    let local = match format {
        None => {
            if let Ok(instant) = text.parse::<Timestamp>() {
                return Ok(instant);
            }
            text.parse::<DateTime>().ok()
        }
        Some(format) => {
            let broken = BrokenDownTime::parse(format, text).map_err(|_| not_as(format))?;
            if let (Some(_), Ok(instant)) = (broken.offset(), broken.to_timestamp()) {
                return Ok(instant);
            }
            broken.to_datetime().ok()
        }
    };
    let taken = "is no time such as 2026-03-05T10:00:00.000+08:00 or 2026-03-05; if the export writes it otherwise, give `format`";
    let local = local.ok_or(taken)?;
    zone.to_timestamp(local).map_err(|_| taken.into())
}

/// A day as the vocabulary writes it, "2026-03-05".
///
/// # Errors
/// What is taken.
pub(super) fn day(text: &str, zone: &TimeZone, format: Option<&str>) -> Result<String, String> {
    date(text, zone, format).map(|date| date.to_string())
}

/// A month as the vocabulary writes it, "2026-03"; any day of it stands for it.
///
/// # Errors
/// What is taken.
pub(super) fn month(text: &str, zone: &TimeZone, format: Option<&str>) -> Result<String, String> {
    if let Some(format) = format {
        let broken = BrokenDownTime::parse(format, text).map_err(|_| not_as(format))?;
        let (year, month) = broken.year().zip(broken.month()).ok_or("has a `format` without a year or month")?;
        return Ok(format!("{year:04}-{month:02}"));
    }
    // A month is a day once it has one.
    let date = date(&format!("{text}-01"), zone, None).or_else(|_| date(text, zone, None));
    let date = date.map_err(|_| "is no month such as 2026-03 and no day in one")?;
    Ok(date.strftime("%Y-%m").to_string())
}

fn date(text: &str, zone: &TimeZone, format: Option<&str>) -> Result<Date, String> {
    let taken = "is no date such as 2026-03-05; if the export writes it otherwise, give `format`";
    match format {
        Some(format) => {
            BrokenDownTime::parse(format, text).and_then(|broken| broken.to_date()).map_err(|_| not_as(format))
        }
        None => match text.parse::<Timestamp>() {
            Ok(instant) => Ok(zone.to_datetime(instant).date()),
            Err(_) => text.parse::<Date>().map_err(|_| taken.into()),
        },
    }
}

fn not_as(format: &str) -> String {
    format!("is not written as {format}")
}

/// The submission id of a visit, given as such or as the id that the form's instance has.
///
/// # Errors
/// What is taken.
pub(super) fn visit_id(text: &str) -> Result<String, String> {
    match uuid::Uuid::try_parse(text) {
        // Forms make random ids, version 4: a version 7 is one of ours already.
        Ok(id) if id.get_version_num() == 7 => Ok(id.to_string()),
        _ => identity::of("school_visit", text)
            .map(|identity| identity.submission_id)
            .ok_or_else(|| "is neither a submission id nor the instance id of a visit's form".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn makassar() -> TimeZone {
        TimeZone::get("Asia/Makassar").unwrap()
    }

    #[test]
    fn a_time_keeps_its_offset_and_without_one_is_local() {
        let expected: Timestamp = "2026-03-05T02:00:00Z".parse().unwrap();
        for text in
            ["2026-03-05T10:00:00.000+08:00", "2026-03-05T02:00:00.000Z", "2026-03-05T10:00:00", "2026-03-05 10:00"]
        {
            assert_eq!(time(text, &makassar(), None), Ok(expected), "{text}");
        }
        assert_eq!(time("2026-03-05", &makassar(), None).unwrap().to_string(), "2026-03-04T16:00:00Z");
    }

    #[test]
    fn a_spreadsheets_own_writing_is_read_by_its_format() {
        let expected: Timestamp = "2026-03-05T02:00:00Z".parse().unwrap();
        assert_eq!(time("05/03/2026 10:00", &makassar(), Some("%d/%m/%Y %H:%M")), Ok(expected));
        assert_eq!(time("05/03/2026 02:00 +0000", &makassar(), Some("%d/%m/%Y %H:%M %z")), Ok(expected));
        assert_eq!(time("05/03/2026", &makassar(), Some("%d/%m/%Y")).unwrap().to_string(), "2026-03-04T16:00:00Z");
        assert_eq!(day("5/3/2026", &makassar(), Some("%d/%m/%Y")), Ok("2026-03-05".into()));
        assert_eq!(month("03/2026", &makassar(), Some("%m/%Y")), Ok("2026-03".into()));
    }

    #[test]
    fn a_day_of_a_time_is_the_zones_own() {
        assert_eq!(day("2026-03-05", &makassar(), None), Ok("2026-03-05".into()));
        assert_eq!(day("2026-03-04T20:00:00.000Z", &makassar(), None), Ok("2026-03-05".into()));
    }

    #[test]
    fn a_month_is_itself_or_any_of_its_days() {
        for text in ["2026-03", "2026-03-01", "2026-03-31"] {
            assert_eq!(month(text, &makassar(), None), Ok("2026-03".into()), "{text}");
        }
        assert!(month("Maret", &makassar(), None).is_err());
    }

    #[test]
    fn no_reason_repeats_what_was_in_the_cell() {
        let secret = "Nama Orang";
        let reasons = [
            number::<i32>(secret).unwrap_err(),
            time(secret, &makassar(), None).unwrap_err(),
            time(secret, &makassar(), Some("%d/%m/%Y")).unwrap_err(),
            day(secret, &makassar(), None).unwrap_err(),
            month(secret, &makassar(), None).unwrap_err(),
            CodeList::of::<satgas_proto::v1::Topic>().number(secret).unwrap_err(),
        ];
        assert!(reasons.iter().all(|reason| !reason.contains("Nama") && !reason.contains("Orang")), "{reasons:?}");
    }

    #[test]
    fn a_visit_is_named_by_its_own_id_or_by_its_forms() {
        let ours = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(visit_id(ours), Ok(ours.into()));
        let theirs = "uuid:4e30afbf-d6cf-4fd7-ac59-77c30ece4b6b";
        assert_eq!(visit_id(theirs), Ok(identity::of("school_visit", theirs).unwrap().submission_id));
        assert!(visit_id("").is_err());
    }
}
