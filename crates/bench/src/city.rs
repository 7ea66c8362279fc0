//! An invented city of Kota Kupang's size, and the visits that its task forces submit.

use std::time::SystemTime;

use pbjson_types::Timestamp;
use prost::Message as _;
use satgas_proto::v1::{
    Area, FollowUp, Institution, InstitutionKind, Reach, RegistryEntry, RiskSignal, SchoolVisit, Submission, TaskForce,
    Topic, VisitPurpose, registry_entry::Entry, submission,
};
use uuid::Uuid;

/// Kelurahan in each of the six kecamatan: 51 together.
const KELURAHAN: [u32; 6] = [12, 8, 10, 7, 9, 5];
const SCHOOLS_PER_KELURAHAN: usize = 2;
const SINCE: &str = "2020-01-01";
/// Bytes of an encoded visit.
pub(crate) const VISIT_BYTES: usize = 300;
/// Visits that share a time and dates: reading the calendar for each would only slow the preparation down.
const VISITS_PER_MOMENT: usize = 10_000;

/// Kelurahan codes and school ids of the city, in order.
pub(crate) struct City {
    kelurahan: Vec<String>,
    schools: Vec<String>,
    next_device_sequence: u64,
}

impl City {
    /// The same city each time.
    pub(crate) fn new() -> Self {
        let codes = |(kecamatan, count): (usize, &u32)| {
            (1..=*count).map(move |number| format!("53.71.{:02}.{}", kecamatan + 1, 1_000 + number)).collect::<Vec<_>>()
        };
        let kelurahan: Vec<String> = KELURAHAN.iter().enumerate().flat_map(codes).collect();
        let schools = (0..kelurahan.len() * SCHOOLS_PER_KELURAHAN).map(|n| format!("{}", 99_000_001 + n)).collect();
        Self { kelurahan, schools, next_device_sequence: 1 }
    }

    /// Number of kelurahan.
    pub(crate) fn kelurahan_count(&self) -> usize {
        self.kelurahan.len()
    }

    /// Codes of the kelurahan.
    pub(crate) fn areas(&self) -> &[String] {
        &self.kelurahan
    }

    /// Everything to register, each entry after those it refers to.
    pub(crate) fn registry(&self) -> Vec<RegistryEntry> {
        let area = |code: &str, name: String| {
            Entry::Area(Area { code: code.to_owned(), name, valid_from: SINCE.to_owned(), ..Default::default() })
        };
        let mut entries = vec![area("53.71", "Kota Contoh".to_owned())];
        for kecamatan in 1..=KELURAHAN.len() {
            entries.push(area(&format!("53.71.{kecamatan:02}"), format!("Kecamatan Contoh {kecamatan:02}")));
        }
        for (index, code) in self.kelurahan.iter().enumerate() {
            entries.push(area(code, format!("Kelurahan Contoh {:02}", index + 1)));
            entries.push(Entry::TaskForce(TaskForce {
                task_force_id: format!("satgas-{:02}", index + 1),
                home: Some(satgas_proto::v1::task_force::Home::AreaCode(code.clone())),
                kind: "Satgas PPA".to_owned(),
                formed_on: SINCE.to_owned(),
                ..Default::default()
            }));
        }
        entries.extend(self.schools.iter().enumerate().map(|(index, id)| {
            Entry::Institution(Institution {
                institution_id: id.clone(),
                name: format!("SMP Contoh {:02}", index + 1),
                kind: InstitutionKind::Sekolah.into(),
                area_code: self.kelurahan[index / SCHOOLS_PER_KELURAHAN].clone(),
                valid_from: SINCE.to_owned(),
                ..Default::default()
            })
        }));
        entries.into_iter().map(|entry| RegistryEntry { entry: Some(entry), ..Default::default() }).collect()
    }

    /// Makes visits of [`VISIT_BYTES`] each, of all task forces in turn, with ids that were never used before.
    pub(crate) fn visits(&mut self, count: usize) -> Vec<Submission> {
        let mut visits = Vec::with_capacity(count);
        while visits.len() < count {
            let moment = Moment::now();
            for _ in 0..VISITS_PER_MOMENT.min(count - visits.len()) {
                visits.push(self.visit(&moment));
            }
        }
        visits
    }

    fn visit(&mut self, moment: &Moment) -> Submission {
        let sequence = self.next_device_sequence;
        self.next_device_sequence += 1;
        let turn = usize::try_from(sequence).unwrap_or(0);
        let school = turn % self.schools.len();
        let reached = i32::try_from(turn % 180).unwrap_or(0);
        let visit = SchoolVisit {
            school_id: self.schools[school].clone(),
            purpose: VisitPurpose::Sosialisasi.into(),
            topics: vec![Topic::KeamananDigital.into(), Topic::Ksbe.into(), Topic::SaluranPelaporan.into()],
            reach: Some(Reach {
                pupils_female: reached,
                pupils_male: reached + 3,
                teachers_female: 4,
                teachers_male: 2,
                ..Default::default()
            }),
            risk_signals: vec![RiskSignal::GrupDigital.into()],
            follow_ups: vec![FollowUp {
                number: 1,
                action: "pertemuan dengan orang tua".to_owned(),
                due_on: moment.due_on.clone(),
            }],
            ..Default::default()
        };
        let submission = Submission {
            submission_id: Uuid::now_v7().to_string(),
            device_id: format!("hp-{:02}", school / SCHOOLS_PER_KELURAHAN + 1),
            device_sequence: sequence,
            occurred_at: Some(moment.occurred_at),
            reporter: Some(submission::Reporter::AreaCode(self.kelurahan[school / SCHOOLS_PER_KELURAHAN].clone())),
            content: Some(submission::Content::SchoolVisit(visit)),
        };
        padded(submission)
    }
}

/// The area that a record is from.
pub(crate) fn area(record: &Submission) -> &str {
    match &record.reporter {
        Some(submission::Reporter::AreaCode(code)) => code,
        _ => "",
    }
}

/// A time at which visits happened, and the day by which what was agreed at them is due.
struct Moment {
    occurred_at: Timestamp,
    due_on: String,
}

impl Moment {
    fn now() -> Self {
        let now = now();
        Self {
            occurred_at: Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() },
            due_on: today().saturating_add(jiff::Span::new().days(30)).to_string(),
        }
    }
}

/// The system clock's time.
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemTime::now()).expect("the system clock stands within jiff's years")
}

/// The day by the system clock, in UTC.
pub(crate) fn today() -> jiff::civil::Date {
    now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date()
}

/// Code of the year as a period.
pub(crate) fn year() -> String {
    today().year().to_string()
}

/// Fills the notes up to [`VISIT_BYTES`], or one byte less where a length prefix jumps just there.
fn padded(mut submission: Submission) -> Submission {
    let missing = VISIT_BYTES.saturating_sub(submission.encoded_len());
    set_notes(&mut submission, missing);
    // The notes brought their own key and longer length prefixes around them.
    let surplus = submission.encoded_len().saturating_sub(VISIT_BYTES);
    set_notes(&mut submission, missing.saturating_sub(surplus));
    submission
}

fn set_notes(submission: &mut Submission, length: usize) {
    if let Some(submission::Content::SchoolVisit(visit)) = &mut submission.content {
        visit.notes = "catatan kunjungan ".chars().cycle().take(length).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_city_has_as_many_kelurahan_as_kota_kupang() {
        assert_eq!(City::new().kelurahan_count(), 51);
    }

    #[test]
    fn a_visit_is_as_long_as_announced_whatever_its_number_and_no_id_comes_twice() {
        let mut city = City::new();
        let mut visits = city.visits(20_000);
        assert!(visits.iter().all(|visit| visit.encoded_len().abs_diff(VISIT_BYTES) <= 1));
        visits.sort_unstable_by(|a, b| a.submission_id.cmp(&b.submission_id));
        visits.dedup_by(|a, b| a.submission_id == b.submission_id);
        assert_eq!(visits.len(), 20_000);
    }
}
