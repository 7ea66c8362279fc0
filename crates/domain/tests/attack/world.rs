//! Invented cases in an invented kota, and what is true of them.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use satgas_domain::id::is_within;
use satgas_proto::v1::{self, AgeGroup, ElectronicViolence, Offender, Place, Sex, Violence};

/// Cases, each in a kelurahan.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) kelurahan: Vec<String>,
    pub(crate) cases: Vec<(String, v1::CaseReport)>,
}

impl World {
    /// A kota with so many kelurahan in each kecamatan, codes with gaps, and so many cases, most of them in a few places and of a few kinds.
    pub(crate) fn of(rng: &mut ChaCha8Rng, kecamatan: &[usize], cases: usize) -> Self {
        let of_one = |(index, count): (usize, &usize)| {
            (0..*count).map(move |n| format!("53.71.{:02}.{}", 2 * index + 1, 1_001 + 3 * n)).collect::<Vec<_>>()
        };
        let kelurahan = kecamatan.iter().enumerate().flat_map(of_one).collect();
        let mut world = Self { kelurahan, cases: Vec::new() };
        world.cases = world.more(rng, cases);
        world
    }

    /// So many more cases.
    pub(crate) fn more(&self, rng: &mut ChaCha8Rng, count: usize) -> Vec<(String, v1::CaseReport)> {
        let case = |_| {
            let at = skewed(rng, self.kelurahan.len());
            (self.kelurahan[at].clone(), report(rng))
        };
        (0..count).map(case).collect()
    }

    /// How many cases of an area count in a column; all of them in the one without a code.
    pub(crate) fn truth(&self, area: &str, column: &str) -> u32 {
        let cases = self.cases.iter().filter(|(at, report)| is_within(at, area) && counts(report, column));
        u32::try_from(cases.count()).expect("cases are few")
    }
}

/// The lower the more often.
fn skewed(rng: &mut ChaCha8Rng, len: usize) -> usize {
    rng.random_range(0..len).min(rng.random_range(0..len))
}

fn report(rng: &mut ChaCha8Rng) -> v1::CaseReport {
    let code = |rng: &mut ChaCha8Rng, len: usize| i32::try_from(skewed(rng, len) + 1).expect("codes are small");
    let mut violence = vec![code(rng, 7)];
    while rng.random_bool(0.3) {
        violence.push(code(rng, 7));
    }
    violence.sort_unstable();
    violence.dedup();
    let sexual = violence.contains(&Violence::Seksual.into());
    let electronic = if sexual && rng.random_bool(0.5) { vec![code(rng, 3)] } else { Vec::new() };
    v1::CaseReport {
        violence,
        electronic,
        place: code(rng, 7),
        victim_age: code(rng, 7),
        victim_sex: code(rng, 2),
        offender: code(rng, 10),
        ..Default::default()
    }
}

/// Whether a report counts in a column, by the column's code alone.
fn counts(report: &v1::CaseReport, column: &str) -> bool {
    let child = matches!(report.victim_age(), AgeGroup::AgeGroup05 | AgeGroup::AgeGroup612 | AgeGroup::AgeGroup1317);
    column.split('/').all(|part| match part {
        "" => true,
        "ANAK" => child,
        "PEREMPUAN" => !child && report.victim_sex() == Sex::Perempuan,
        "LAKI_LAKI" => !child && report.victim_sex() == Sex::LakiLaki,
        part if part.starts_with("AGE_") => report.victim_age().as_str_name() == part,
        part if part.starts_with("SEX_") => report.victim_sex().as_str_name() == part,
        part if part.starts_with("VIOLENCE_") => report.violence().any(|v: Violence| v.as_str_name() == part),
        part if part.starts_with("ELECTRONIC_") => {
            report.electronic().any(|e: ElectronicViolence| e.as_str_name() == part)
        }
        part if part.starts_with("PLACE_") => Place::as_str_name(&report.place()) == part,
        part => Offender::as_str_name(&report.offender()) == part,
    })
}
