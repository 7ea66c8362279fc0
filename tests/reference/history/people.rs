//! The registry of a history: two kecamatan, six kelurahan, schools, offices, task forces and their members. One kelurahan has
//! neither a school nor a task force.

use jiff::{ToSpan as _, civil::Date};
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, registry_entry::Entry, task_force::Home};

use super::changes::{LONG_AGO, now, within};

/// The kelurahan of every history. The last one has no school and no task force.
pub(crate) const KELURAHAN: [&str; 6] =
    ["53.71.04.1001", "53.71.04.1002", "53.71.04.1005", "53.71.05.1001", "53.71.05.1003", "53.71.05.1004"];

const KECAMATAN: [&str; 2] = ["53.71.04", "53.71.05"];
const KOTA: &str = "53.71";

/// Who is there.
pub(crate) struct People {
    pub(crate) areas: Vec<v1::Area>,
    pub(crate) institutions: Vec<v1::Institution>,
    pub(crate) task_forces: Vec<v1::TaskForce>,
    pub(crate) members: Vec<v1::Member>,
    pub(crate) first: Date,
    pub(crate) last: Date,
}

impl People {
    /// Makes the registry of a history from `first` to `last`.
    pub(crate) fn new(rng: &mut ChaCha8Rng, first: Date, last: Date) -> Self {
        let mut people = Self {
            areas: areas(),
            institutions: Vec::new(),
            task_forces: Vec::new(),
            members: Vec::new(),
            first,
            last,
        };
        people.found_institutions(rng);
        people.form_task_forces(rng);
        people.join_members(rng);
        people
    }

    /// The schools.
    pub(crate) fn schools(&self) -> Vec<v1::Institution> {
        let is_school = |institution: &&v1::Institution| institution.kind() == v1::InstitutionKind::Sekolah;
        self.institutions.iter().filter(is_school).cloned().collect()
    }

    /// Whether a task force and the area or institution in which it works existed on a day.
    pub(crate) fn existed(&self, task_force: usize, day: &str) -> bool {
        let task_force = &self.task_forces[task_force];
        let home = match task_force.home.as_ref().expect("a history's task forces have homes") {
            Home::AreaCode(code) => {
                let home = self.areas.iter().find(|area| area.code == *code);
                home.map(|home| (&home.valid_from, &home.valid_until))
            }
            Home::InstitutionId(id) => {
                let home = self.institutions.iter().find(|institution| institution.institution_id == *id);
                home.map(|home| (&home.valid_from, &home.valid_until))
            }
        };
        within(&task_force.formed_on, &task_force.dissolved_on, day)
            && home.is_some_and(|(from, until)| within(from, until, day))
    }

    /// Every entry, each after those it refers to.
    pub(crate) fn entries(&self) -> Vec<v1::RegistryEntry> {
        let mut entries: Vec<v1::RegistryEntry> =
            self.areas.iter().cloned().map(|entry| now(Entry::Area(entry))).collect();
        entries.extend(self.institutions.iter().cloned().map(|entry| now(Entry::Institution(entry))));
        entries.extend(self.task_forces.iter().cloned().map(|entry| now(Entry::TaskForce(entry))));
        entries.extend(self.members.iter().cloned().map(|entry| now(Entry::Member(entry))));
        entries
    }

    fn found_institutions(&mut self, rng: &mut ChaCha8Rng) {
        for number in 1..=5 {
            self.institution(
                rng,
                &format!("9000000{number}"),
                &format!("SMP Contoh 0{number}"),
                v1::InstitutionKind::Sekolah,
            );
        }
        self.institution(rng, "kantor-01", "Kantor Contoh 01", v1::InstitutionKind::Kantor);
        self.institution(rng, "lembaga-01", "Lembaga Contoh 01", v1::InstitutionKind::Lainnya);
    }

    fn institution(&mut self, rng: &mut ChaCha8Rng, id: &str, name: &str, kind: v1::InstitutionKind) {
        let valid_until = if rng.random_bool(0.15) { some_day(rng, self.first, self.last) } else { String::new() };
        self.institutions.push(v1::Institution {
            institution_id: id.to_owned(),
            name: name.to_owned(),
            kind: kind.into(),
            area_code: KELURAHAN[rng.random_range(0..5)].to_owned(),
            valid_from: self.long_ago_or_lately(rng),
            valid_until,
        });
    }

    fn form_task_forces(&mut self, rng: &mut ChaCha8Rng) {
        let mut homes: Vec<Home> = KELURAHAN[..5].iter().map(|code| Home::AreaCode((*code).to_owned())).collect();
        homes.push(homes[0].clone());
        for institution in &self.institutions {
            if rng.random_bool(0.6) {
                homes.push(Home::InstitutionId(institution.institution_id.clone()));
            }
        }
        for (number, home) in homes.into_iter().enumerate() {
            let dissolved_on = if rng.random_bool(0.12) { some_day(rng, self.first, self.last) } else { String::new() };
            self.task_forces.push(v1::TaskForce {
                task_force_id: format!("satgas-{number:02}"),
                home: Some(home),
                kind: "TPPK".to_owned(),
                legal_basis: "Aturan contoh".to_owned(),
                formed_on: self.long_ago_or_lately(rng),
                dissolved_on,
            });
        }
        for task_force in &mut self.task_forces {
            if !task_force.dissolved_on.is_empty() && task_force.dissolved_on < task_force.formed_on {
                task_force.dissolved_on.clear();
            }
        }
        for institution in &mut self.institutions {
            if !institution.valid_until.is_empty() && institution.valid_until < institution.valid_from {
                institution.valid_until.clear();
            }
        }
    }

    fn join_members(&mut self, rng: &mut ChaCha8Rng) {
        for task_force in &self.task_forces {
            for _ in 0..rng.random_range(0..4) {
                let joined_on = self.long_ago_or_lately(rng);
                let left_on = some_day(rng, self.first, self.last);
                let leaves = rng.random_bool(0.2) && left_on > joined_on;
                let trainings = (0..rng.random_range(0..3)).map(|_| training(rng, self.first, self.last)).collect();
                self.members.push(v1::Member {
                    member_id: format!("anggota-{:02}", self.members.len()),
                    task_force_id: task_force.task_force_id.clone(),
                    joined_on,
                    left_on: if leaves { left_on } else { String::new() },
                    trainings,
                });
            }
        }
    }

    fn long_ago_or_lately(&self, rng: &mut ChaCha8Rng) -> String {
        if rng.random_bool(0.75) { "2026-01-01".to_owned() } else { some_day(rng, self.first, self.last) }
    }
}

/// The areas, each after the one it lies in.
fn areas() -> Vec<v1::Area> {
    let mut areas = vec![area(KOTA, "Kota Contoh")];
    areas.extend(KECAMATAN.map(|code| area(code, &format!("Kecamatan Contoh {}", &code[6..]))));
    for (index, code) in KELURAHAN.iter().enumerate() {
        // Names run against the codes, so that an order by name is not one by code.
        areas.push(area(code, &format!("Kelurahan Contoh {}", KELURAHAN.len() - index)));
    }
    areas
}

fn area(code: &str, name: &str) -> v1::Area {
    v1::Area { code: code.to_owned(), name: name.to_owned(), valid_from: LONG_AGO.to_string(), ..v1::Area::default() }
}

/// Some day between two, in half of all cases the first or last one of a month.
pub(crate) fn some_day(rng: &mut ChaCha8Rng, first: Date, last: Date) -> String {
    let span = (last - first).get_days();
    let day = first.checked_add(rng.random_range(0..=span).days()).expect("far from the ends of time");
    let days = [day, day, day.first_of_month(), day.last_of_month()];
    days.choose(rng).expect("there are four").to_string()
}

/// A training that is valid for some days around the history.
pub(crate) fn training(rng: &mut ChaCha8Rng, first: Date, last: Date) -> v1::Training {
    let early = first.checked_sub(60.days()).expect("far from the ends of time");
    let mut days = [some_day(rng, early, last), some_day(rng, early, last)];
    days.sort();
    let [valid_from, valid_until] = days;
    v1::Training { topic: "Topik contoh".to_owned(), valid_from, valid_until }
}
