//! A country of Indonesia's size: 514 kabupaten and kota, 7,285 kecamatan, 83,762 villages, each with a task force, and a school for every
//! second village. Everything but the numbers is invented; of a file only the codes are taken, never a name.
//!
//! Invariant: codes have gaps, as official ones do, and come in order.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use satgas_proto::v1::{
    Area, Institution, InstitutionKind, RegistryEntry, TaskForce, registry_entry::Entry, task_force::Home,
};

const REGENCIES: usize = 514;
const DISTRICTS: usize = 7_285;
const VILLAGES: usize = 83_762;
/// The first kabupaten is of Kota Kupang's size, so that its list compares with that of the invented city.
const FIRST_REGENCY: [usize; 6] = [12, 8, 10, 7, 9, 5];
/// Kabupaten and kota of a province: more make their codes longer than two digits.
const REGENCIES_PER_PROVINCE: usize = 14;
const VILLAGES_PER_SCHOOL: usize = 2;
const SINCE: &str = "2020-01-01";
/// The lowest school id; ids have eight digits.
const FIRST_SCHOOL: usize = 10_000_001;

/// Its areas, by code.
pub(crate) struct Country {
    regencies: Vec<String>,
    districts: Vec<String>,
    /// Codes of the villages.
    pub(crate) villages: Vec<String>,
}

impl Country {
    /// The same country each time.
    pub(crate) fn invented() -> Self {
        let mut country = Self { regencies: Vec::new(), districts: Vec::new(), villages: Vec::new() };
        let districts = shares(DISTRICTS - FIRST_REGENCY.len(), REGENCIES - 1);
        let first: usize = FIRST_REGENCY.iter().sum();
        let mut villages = FIRST_REGENCY.into_iter().chain(shares(VILLAGES - first, DISTRICTS - FIRST_REGENCY.len()));
        for (index, count) in std::iter::once(FIRST_REGENCY.len()).chain(districts).enumerate() {
            let (province, number) = (index / REGENCIES_PER_PROVINCE, index % REGENCIES_PER_PROVINCE);
            let regency = format!("{}.{:02}", 11 + province, with_gaps(number));
            for district in 0..count {
                let code = format!("{regency}.{:02}", with_gaps(district));
                let within = villages.next().unwrap_or(0);
                country.villages.extend((0..within).map(|village| format!("{code}.{}", 2_000 + with_gaps(village))));
                country.districts.push(code);
            }
            country.regencies.push(regency);
        }
        country
    }

    /// The country of a CSV file, plain or compressed, whose first column has codes of two, three and four segments.
    ///
    /// # Errors
    /// When it cannot be read or has no villages.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let compressed = path.extension().is_some_and(|extension| extension == "gz");
        let input: Box<dyn Read> = if compressed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        let mut country = Self { regencies: Vec::new(), districts: Vec::new(), villages: Vec::new() };
        for line in BufReader::new(input).lines() {
            let line = line.with_context(|| format!("{} cannot be read on", path.display()))?;
            let code = line.split(',').next().unwrap_or_default();
            if !code.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                continue;
            }
            match code.split('.').count() {
                2 => country.regencies.push(code.to_owned()),
                3 => country.districts.push(code.to_owned()),
                4 => country.villages.push(code.to_owned()),
                _ => {}
            }
        }
        for codes in [&mut country.regencies, &mut country.districts, &mut country.villages] {
            codes.sort_unstable();
            codes.dedup();
        }
        ensure!(country.villages.len() > 100, "{} has fewer than a hundred villages", path.display());
        Ok(country)
    }

    /// What it has, in words.
    pub(crate) fn describe(&self) -> String {
        let Self { regencies, districts, villages } = self;
        format!(
            "{} kabupaten and kota, {} kecamatan, {} villages, {} schools",
            regencies.len(),
            districts.len(),
            villages.len(),
            self.school_count()
        )
    }

    /// Everything to register, each entry after those it refers to.
    pub(crate) fn registry(&self) -> impl Iterator<Item = RegistryEntry> {
        let area = |(code, kind): (&String, &str)| {
            let name = format!("{kind} Contoh {code}");
            Entry::Area(Area { code: code.clone(), name, valid_from: SINCE.to_owned(), ..Default::default() })
        };
        let of = |codes: &'_ [String], kind| codes.iter().map(move |code| area((code, kind))).collect::<Vec<_>>();
        let areas = [of(&self.regencies, "Kabupaten"), of(&self.districts, "Kecamatan"), of(&self.villages, "Desa")];
        let task_force = |(index, code): (usize, &String)| {
            Entry::TaskForce(TaskForce {
                task_force_id: task_force_id(index),
                home: Some(Home::AreaCode(code.clone())),
                kind: "Satgas PPA".to_owned(),
                formed_on: SINCE.to_owned(),
                ..Default::default()
            })
        };
        let school = |index: usize| {
            Entry::Institution(Institution {
                institution_id: school_id(index),
                name: format!("SMP Contoh {index}"),
                kind: InstitutionKind::Sekolah.into(),
                area_code: self.villages[index * VILLAGES_PER_SCHOOL].clone(),
                valid_from: SINCE.to_owned(),
                ..Default::default()
            })
        };
        let task_forces = self.villages.iter().enumerate().map(task_force);
        let entries = areas.into_iter().flatten().chain(task_forces).chain((0..self.school_count()).map(school));
        entries.map(|entry| RegistryEntry { entry: Some(entry), ..Default::default() })
    }

    /// The school that a village's task force visits.
    pub(crate) fn school_of(&self, village: usize) -> String {
        school_id((village / VILLAGES_PER_SCHOOL).min(self.school_count() - 1))
    }

    /// The kabupaten or kota whose number of villages is nearest to this, and that number.
    pub(crate) fn regency_with(&self, villages: usize) -> (String, usize) {
        let groups = self.villages.chunk_by(|a, b| regency(a) == regency(b));
        let nearest = groups.min_by_key(|group| group.len().abs_diff(villages)).unwrap_or_default();
        (nearest.first().map(|code| regency(code).to_owned()).unwrap_or_default(), nearest.len())
    }

    fn school_count(&self) -> usize {
        self.villages.len() / VILLAGES_PER_SCHOOL
    }
}

/// Id of a village's task force.
pub(crate) fn task_force_id(village: usize) -> String {
    format!("satgas-{village:05}")
}

fn school_id(school: usize) -> String {
    format!("{:08}", FIRST_SCHOOL + school)
}

/// The first two segments of a code.
fn regency(code: &str) -> &str {
    let end = code.match_indices('.').nth(1).map_or(code.len(), |(at, _)| at);
    &code[..end]
}

/// Numbers from 1 on with every fifth left out.
fn with_gaps(index: usize) -> usize {
    index + index / 4 + 1
}

/// So many things in so many parts, the first parts one larger where it does not come out even.
fn shares(things: usize, parts: usize) -> impl Iterator<Item = usize> {
    (0..parts).map(move |part| things / parts + usize::from(part < things % parts))
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, io::Write as _};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn the_invented_country_has_as_many_areas_as_indonesia_and_no_code_twice() {
        let country = Country::invented();
        let Country { regencies, districts, villages } = &country;
        assert_eq!((regencies.len(), districts.len(), villages.len()), (REGENCIES, DISTRICTS, VILLAGES));
        let codes: HashSet<&String> = regencies.iter().chain(districts).chain(villages).collect();
        assert_eq!(codes.len(), REGENCIES + DISTRICTS + VILLAGES);
        assert_eq!(country.regency_with(51), ("11.01".to_owned(), 51));
        assert!(villages[0] == "11.01.01.2001" && villages[4] == "11.01.01.2006", "a gap after the fourth");
    }

    #[test]
    fn every_entry_comes_after_those_it_refers_to() {
        let mut known = HashSet::new();
        for entry in Country::invented().registry() {
            let (id, refers_to) = match entry.entry.unwrap() {
                Entry::Area(area) if area.code.len() < 6 => (area.code, None),
                Entry::Area(area) => (area.code.clone(), area.code.rsplit_once('.').map(|(above, _)| above.to_owned())),
                Entry::Institution(school) => (school.institution_id, Some(school.area_code)),
                Entry::TaskForce(TaskForce { task_force_id, home: Some(Home::AreaCode(code)), .. }) => {
                    (task_force_id, Some(code))
                }
                other => panic!("{other:?}"),
            };
            assert!(refers_to.is_none_or(|id| known.contains(&id)), "{id}");
            assert!(known.insert(id));
        }
    }

    #[test]
    fn codes_are_taken_from_a_compressed_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("areas.csv.gz");
        let mut file = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        writeln!(
            file,
            "code,name,level,parent\n53,Contoh,province,\n53.71,Contoh,regency,53\n53.71.04,C,district,53.71"
        )
        .unwrap();
        (1..=120).for_each(|n| writeln!(file, "53.71.04.{},Nama,village,53.71.04", 1_000 + n).unwrap());
        file.finish().unwrap();
        let country = Country::read(&path).unwrap();
        assert_eq!(country.describe(), "1 kabupaten and kota, 1 kecamatan, 120 villages, 60 schools");
        let named = |entry: RegistryEntry| format!("{entry:?}").contains("Nama");
        assert!(!country.registry().any(named));
    }
}
