//! Two years of a country's records, ending now: monthly reports, visits to schools with follow-ups that are done later, exposure
//! signals, cases.
//!
//! Invariant: a record follows from its number alone, its id too, so that any may be made at any time and none is kept.

use std::sync::Arc;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::Offset};
use satgas_proto::v1::{
    Activity, ActivityKind, AgeGroup, CaseReport, ContentKind, ExposureSignal, FollowUp, FollowUpDone,
    MonitoringReport, Offender, Place, Platform, Reach, RiskSignal, SchoolVisit, Sex, Submission, Topic, Violence,
    VisitPurpose, submission,
};
use uuid::Uuid;

use super::country::{Country, task_force_id};

/// How long the history is.
const DAYS: i64 = 730;
const DAY_S: i64 = 86_400;
/// Coprime to the number of villages: neighbouring records come from far-apart villages, and each village as often.
const STRIDE: u64 = 48_271;
/// Of a thousand records.
const CASES_PERMILLE: u64 = 5;
const SIGNALS_PERMILLE: u64 = 50;
/// Monthly reports of a thousand records at most: no task force reports on a month more often than it should, on average.
const REPORTS_PERMILLE_MAX: u64 = 400;
const MONTHS: u64 = 24;

/// The records of a country.
#[derive(Clone)]
pub(crate) struct History {
    country: Arc<Country>,
    records: u64,
    reports_permille: u64,
    end: Timestamp,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Report,
    Visit,
    Signal,
    Case,
}

impl History {
    /// So many records up to `end`.
    pub(crate) fn new(country: Arc<Country>, records: u64, end: Timestamp) -> Self {
        let expected = country.villages.len() as u64 * MONTHS;
        let reports_permille = (expected * 1_000 / records.max(1)).min(REPORTS_PERMILLE_MAX);
        Self { country, records, reports_permille, end }
    }

    /// A record by its number, from 0. The later, the higher the number; numbers from `records` on happen now.
    pub(crate) fn record(&self, number: u64) -> Submission {
        let village = self.village(number);
        let content = match self.kind(number) {
            Kind::Report => submission::Content::MonitoringReport(self.report(number, village)),
            Kind::Visit => submission::Content::SchoolVisit(self.visit(number, village)),
            Kind::Signal => submission::Content::ExposureSignal(self.signal(number, village)),
            Kind::Case => submission::Content::CaseReport(self.case(number, village)),
        };
        let occurred_at = self.occurred(number);
        Submission {
            submission_id: self.id(number),
            device_id: format!("hp-{village:05}"),
            device_sequence: number + 1,
            occurred_at: Some(pbjson_types::Timestamp { seconds: occurred_at.as_second(), nanos: 0 }),
            reporter: Some(submission::Reporter::AreaCode(self.country.villages[village].clone())),
            content: Some(content),
        }
    }

    /// Cases that were reported long enough ago for steps to follow, with their times, the latest first.
    pub(crate) fn cases(&self) -> impl Iterator<Item = (String, Timestamp)> + '_ {
        let cases = (0..self.records * 99 / 100).rev().filter(|&number| self.kind(number) == Kind::Case);
        cases.map(|number| (self.id(number), self.occurred(number)))
    }

    fn kind(&self, number: u64) -> Kind {
        let draw = mixed(number) % 1_000;
        let upto = [CASES_PERMILLE, SIGNALS_PERMILLE, self.reports_permille];
        match draw {
            draw if draw < upto[0] => Kind::Case,
            draw if draw < upto[0] + upto[1] => Kind::Signal,
            draw if draw < upto[0] + upto[1] + upto[2] => Kind::Report,
            _ => Kind::Visit,
        }
    }

    fn village(&self, number: u64) -> usize {
        let count = self.country.villages.len() as u64;
        usize::try_from(number % count * STRIDE % count).unwrap_or(0)
    }

    fn occurred(&self, number: u64) -> Timestamp {
        let span_s = DAYS * DAY_S;
        let records = i64::try_from(self.records.max(1)).unwrap_or(i64::MAX);
        let left = records - i64::try_from(number).unwrap_or(i64::MAX).min(records);
        // At most 730 days times ten million: far from overflowing.
        Timestamp::from_second(self.end.as_second() - left * span_s / records).unwrap_or(self.end)
    }

    fn day(&self, number: u64) -> Date {
        // Kupang's days, without asking a time zone ten million times.
        Offset::constant(8).to_datetime(self.occurred(number)).date()
    }

    /// A version 7 of the record's own time and number, and of this history's end: two runs make other ids.
    fn id(&self, number: u64) -> String {
        let millis = u64::try_from(self.occurred(number).as_millisecond()).unwrap_or(0);
        let end = u64::try_from(self.end.as_microsecond()).unwrap_or(0);
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&mixed(number ^ mixed(end)).to_be_bytes());
        bytes[8..].copy_from_slice(&mixed(!number).to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().to_string()
    }

    fn report(&self, number: u64, village: usize) -> MonitoringReport {
        let month = self.day(number).saturating_sub(1.month()).strftime("%Y-%m").to_string();
        let activity = |kind: ActivityKind, participants| Activity { kind: kind.into(), count: 1, participants };
        MonitoringReport {
            task_force_id: task_force_id(village),
            month,
            activities: vec![activity(ActivityKind::Rapat, 12), activity(ActivityKind::Sosialisasi, 40)],
            members_present: 9,
            risk_signals: vec![RiskSignal::Perundungan.into()],
            follow_ups_done: self.done(number).into_iter().collect(),
            ..Default::default()
        }
    }

    fn visit(&self, number: u64, village: usize) -> SchoolVisit {
        let reached = i32::try_from(number % 180).unwrap_or(0);
        SchoolVisit {
            school_id: self.country.school_of(village),
            purpose: VisitPurpose::Sosialisasi.into(),
            topics: vec![Topic::KeamananDigital.into(), Topic::Ksbe.into()],
            reach: Some(Reach {
                pupils_female: reached,
                pupils_male: reached + 3,
                teachers_female: 4,
                ..Default::default()
            }),
            follow_ups: vec![FollowUp {
                number: 1,
                action: "pertemuan dengan orang tua".to_owned(),
                due_on: self.day(number).saturating_add(30.days()).to_string(),
            }],
            follow_ups_done: self.done(number).into_iter().collect(),
            ..Default::default()
        }
    }

    /// What was agreed at the same village's record of one round before, when that was a visit.
    fn done(&self, number: u64) -> Option<FollowUpDone> {
        let before = number.checked_sub(self.country.villages.len() as u64)?;
        let done_on = self.day(number).to_string();
        (self.kind(before) == Kind::Visit).then(|| FollowUpDone { visit_id: self.id(before), number: 1, done_on })
    }

    fn signal(&self, number: u64, village: usize) -> ExposureSignal {
        // Three signals a group.
        let group = mixed(mixed(number) % (self.records * SIGNALS_PERMILLE / 3_000).max(1));
        ExposureSignal {
            platform: Platform::Whatsapp.into(),
            group_fingerprint: format!("{group:016x}").repeat(4),
            school_ids: vec![self.country.school_of(village)],
            estimated_members: 120,
            contents: vec![ContentKind::Gambar.into(), ContentKind::Tautan.into()],
            ..Default::default()
        }
    }

    fn case(&self, number: u64, village: usize) -> CaseReport {
        let violence = if number.is_multiple_of(3) { Violence::Fisik } else { Violence::Seksual };
        CaseReport {
            violence: vec![violence.into()],
            place: Place::RumahTangga.into(),
            victim_age: AgeGroup::AgeGroup1317.into(),
            victim_sex: Sex::Perempuan.into(),
            offender: Offender::TidakDiketahui.into(),
            school_id: self.country.school_of(village),
            ..Default::default()
        }
    }
}

/// A new id for a command.
pub(crate) fn command_id() -> String {
    Uuid::now_v7().to_string()
}

/// A number whose bits depend on all of another's (SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const RECORDS: u64 = 20_000;

    fn end() -> Timestamp {
        "2026-06-15T04:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_record_follows_from_its_number_and_no_id_comes_twice() {
        let country = Arc::new(Country::invented());
        let history = History::new(Arc::clone(&country), RECORDS, end());
        assert_eq!(history.record(77), history.record(77));
        let ids: HashSet<String> = (0..RECORDS).map(|number| history.record(number).submission_id).collect();
        assert_eq!(ids.len() as u64, RECORDS);
        assert!(ids.iter().all(|id| Uuid::try_parse(id).is_ok_and(|id| id.get_version_num() == 7)));
        let again = History::new(Arc::clone(&country), RECORDS, end() + jiff::SignedDuration::from_millis(1));
        assert_ne!(history.record(77).submission_id, again.record(77).submission_id);
    }

    #[test]
    fn two_years_end_now_and_a_report_is_on_the_month_before() {
        let country = Arc::new(Country::invented());
        let history = History::new(Arc::clone(&country), RECORDS, end());
        let times: Vec<i64> = (0..=RECORDS).map(|number| history.record(number).occurred_at.unwrap().seconds).collect();
        assert!(times.is_sorted());
        assert_eq!((times[0], times[20_000]), (end().as_second() - DAYS * DAY_S, end().as_second()));
        let last = (0..RECORDS).rev().find_map(|number| match history.record(number).content {
            Some(submission::Content::MonitoringReport(report)) => Some(report.month),
            _ => None,
        });
        assert_eq!(last.as_deref(), Some("2026-05"));
    }

    #[test]
    fn every_kind_has_its_share_and_follow_ups_that_are_done_were_agreed() {
        let country = Arc::new(Country::invented());
        let count = country.villages.len() as u64 + RECORDS;
        let history = History::new(Arc::clone(&country), count, end());
        let mut kinds: HashMap<&str, u64> = HashMap::new();
        for number in 0..count {
            let (kind, done) = match history.record(number).content.unwrap() {
                submission::Content::MonitoringReport(report) => ("report", report.follow_ups_done),
                submission::Content::SchoolVisit(visit) => ("visit", visit.follow_ups_done),
                submission::Content::ExposureSignal(_) => ("signal", vec![]),
                _ => ("case", vec![]),
            };
            *kinds.entry(kind).or_default() += 1;
            for done in done {
                let agreed = history.record(number - country.villages.len() as u64);
                assert!(agreed.submission_id == done.visit_id && agreed.reporter == history.record(number).reporter);
            }
        }
        let permille = |kind: &str| kinds[kind] * 1_000 / count;
        assert!((395..=405).contains(&permille("report")) && (540..=550).contains(&permille("visit")), "{kinds:?}");
        assert!((48..=52).contains(&permille("signal")) && (4..=6).contains(&permille("case")), "{kinds:?}");
        assert!(history.cases().take(50).all(|(_, at)| at < end()));
    }
}
