//! What changes of a history's registry on the way: what is corrected, what holds from a day on, a kelurahan that is split.

use jiff::{ToSpan as _, civil::Date};
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, InstitutionKind, registry_entry::Entry, task_force::Home};

use super::people::{KELURAHAN, People, some_day, training};
use crate::reference::time::{day, next};

impl People {
    /// The entries of one change, each after those it refers to: all of them or none are registered.
    pub(crate) fn change(&mut self, rng: &mut ChaCha8Rng) -> Vec<v1::RegistryEntry> {
        match rng.random_range(0..16) {
            0 => {
                let day = some_day(rng, self.first, self.last);
                let task_force = pick_mut(rng, &mut self.task_forces);
                task_force.dissolved_on = day.max(task_force.formed_on.clone());
                vec![now(Entry::TaskForce(task_force.clone()))]
            }
            1..5 => vec![self.move_institution(rng)],
            5 => {
                let day = some_day(rng, self.first, self.last);
                let institution = pick_mut(rng, &mut self.institutions);
                institution.valid_until = day.max(institution.valid_from.clone());
                vec![now(Entry::Institution(institution.clone()))]
            }
            6 => vec![self.rename_institution(rng)],
            7 => vec![self.change_kind(rng)],
            8 => vec![self.rename_area(rng)],
            9 | 10 => self.split(rng),
            11 => {
                let member = pick_mut(rng, &mut self.members);
                member.left_on = some_day(rng, self.first, self.last).max(member.joined_on.clone());
                vec![now(Entry::Member(member.clone()))]
            }
            12 | 13 => {
                let valid = training(rng, self.first, self.last);
                let member = pick_mut(rng, &mut self.members);
                member.trainings.push(valid);
                vec![now(Entry::Member(member.clone()))]
            }
            14 => vec![self.nothing_new(rng)],
            _ => vec![self.refused(rng)],
        }
    }

    /// An institution stands elsewhere: from a day on, which may lie before the history or far back in it, or it always did.
    fn move_institution(&mut self, rng: &mut ChaCha8Rng) -> v1::RegistryEntry {
        let codes: Vec<String> = self.kelurahan();
        let to = codes.choose(rng).expect("there are kelurahan").clone();
        let effective_on = self.day_or_correction(rng, 0.75);
        let institution = pick_mut(rng, &mut self.institutions);
        institution.area_code = to;
        from(effective_on, Entry::Institution(institution.clone()))
    }

    fn rename_institution(&mut self, rng: &mut ChaCha8Rng) -> v1::RegistryEntry {
        let effective_on = self.day_or_correction(rng, 0.7);
        let institution = pick_mut(rng, &mut self.institutions);
        institution.name.push_str(" Baru");
        from(effective_on, Entry::Institution(institution.clone()))
    }

    /// An institution becomes a school, or a school something else.
    fn change_kind(&mut self, rng: &mut ChaCha8Rng) -> v1::RegistryEntry {
        let effective_on = self.day_or_correction(rng, 0.7);
        // Always the last ones, so that most schools stay what they are.
        let last = self.institutions.len() - 1;
        let institution = &mut self.institutions[rng.random_range(last - 2..=last)];
        let kinds = [InstitutionKind::Sekolah, InstitutionKind::Kantor, InstitutionKind::Lainnya];
        institution.kind = (*kinds.choose(rng).expect("there are three")).into();
        from(effective_on, Entry::Institution(institution.clone()))
    }

    fn rename_area(&mut self, rng: &mut ChaCha8Rng) -> v1::RegistryEntry {
        let effective_on = self.day_or_correction(rng, 0.7);
        let area = pick_mut(rng, &mut self.areas);
        area.name = format!("{} Baru", area.name);
        from(effective_on, Entry::Area(area.clone()))
    }

    /// A kelurahan is split in two, once: it ends and so do its task forces; the new ones begin the day after with one each, and
    /// what stood in it moves.
    fn split(&mut self, rng: &mut ChaCha8Rng) -> Vec<v1::RegistryEntry> {
        let old = KELURAHAN[[1, 4][rng.random_range(0..2)]];
        if self.areas.iter().any(|area| !area.valid_until.is_empty()) {
            return vec![self.rename_area(rng)];
        }
        let last_day = some_day(rng, self.first, self.last);
        let first_day = next(day(&last_day)).to_string();
        let mut entries = Vec::new();
        let area = self.areas.iter_mut().find(|area| area.code == old).expect("it was registered");
        area.valid_until.clone_from(&last_day);
        entries.push(now(Entry::Area(area.clone())));
        for number in [1021, 1022] {
            let area = v1::Area {
                code: format!("{}.{number}", &old[..8]),
                name: format!("Kelurahan Contoh {number}"),
                valid_from: first_day.clone(),
                valid_until: String::new(),
                succeeds_codes: vec![old.to_owned()],
            };
            entries.push(now(Entry::Area(area.clone())));
            entries.extend(self.form_anew(&area.code, &first_day));
            self.areas.push(area);
        }
        for task_force in &mut self.task_forces {
            let lives = task_force.dissolved_on.is_empty() || task_force.dissolved_on > last_day;
            if task_force.home == Some(Home::AreaCode(old.to_owned())) && lives && task_force.formed_on <= last_day {
                task_force.dissolved_on.clone_from(&last_day);
                entries.push(now(Entry::TaskForce(task_force.clone())));
            }
        }
        for institution in self.institutions.iter_mut().filter(|institution| institution.area_code == old) {
            institution.area_code = format!("{}.{}", &old[..8], rng.random_range(1021..=1022));
            entries.push(from(first_day.clone(), Entry::Institution(institution.clone())));
        }
        entries
    }

    /// A task force of a new kelurahan with a member.
    fn form_anew(&mut self, area_code: &str, first_day: &str) -> [v1::RegistryEntry; 2] {
        let task_force = v1::TaskForce {
            task_force_id: format!("satgas-{:02}", self.task_forces.len()),
            home: Some(Home::AreaCode(area_code.to_owned())),
            kind: "TPPK".to_owned(),
            legal_basis: "Aturan contoh".to_owned(),
            formed_on: first_day.to_owned(),
            dissolved_on: String::new(),
        };
        let member = v1::Member {
            member_id: format!("anggota-{:02}", self.members.len()),
            task_force_id: task_force.task_force_id.clone(),
            joined_on: first_day.to_owned(),
            ..v1::Member::default()
        };
        self.task_forces.push(task_force.clone());
        self.members.push(member.clone());
        [now(Entry::TaskForce(task_force)), now(Entry::Member(member))]
    }

    /// What was said last, once more.
    fn nothing_new(&mut self, rng: &mut ChaCha8Rng) -> v1::RegistryEntry {
        match rng.random_range(0..4) {
            0 => now(Entry::Member(pick_mut(rng, &mut self.members).clone())),
            1 => now(Entry::TaskForce(pick_mut(rng, &mut self.task_forces).clone())),
            2 => now(Entry::Area(pick_mut(rng, &mut self.areas).clone())),
            _ => now(Entry::Institution(pick_mut(rng, &mut self.institutions).clone())),
        }
    }

    /// A day from which something holds, given of what takes none.
    fn refused(&mut self, rng: &mut ChaCha8Rng) -> v1::RegistryEntry {
        let day = some_day(rng, self.first, self.last);
        let entry = match rng.random_range(0..4) {
            0 => {
                let member = pick_mut(rng, &mut self.members).clone();
                Entry::Member(v1::Member { left_on: String::new(), ..member })
            }
            1 => {
                let task_force = pick_mut(rng, &mut self.task_forces).clone();
                Entry::TaskForce(v1::TaskForce { legal_basis: "Aturan lain".to_owned(), ..task_force })
            }
            2 => {
                let area = self.areas[3].clone();
                Entry::Area(v1::Area { code: "53.71.04.1090".to_owned(), ..area })
            }
            _ => {
                let institution = pick_mut(rng, &mut self.institutions).clone();
                Entry::Institution(v1::Institution { institution_id: "90000090".to_owned(), ..institution })
            }
        };
        from(day, entry)
    }

    /// A day of the history or of the weeks before it, or with the other chance none: a correction.
    fn day_or_correction(&self, rng: &mut ChaCha8Rng, chance: f64) -> String {
        let early = self.first.checked_sub(40.days()).expect("far from the ends of time");
        if rng.random_bool(chance) { some_day(rng, early, self.last) } else { String::new() }
    }

    /// Codes of the kelurahan in which institutions may stand.
    fn kelurahan(&self) -> Vec<String> {
        let codes = self.areas.iter().map(|area| area.code.clone());
        codes.filter(|code| code.split('.').count() == 4 && code != KELURAHAN[5]).collect()
    }
}

/// Whether something is there on a day by its own dates.
pub(crate) fn within(from: &str, until: &str, day: &str) -> bool {
    from <= day && (until.is_empty() || day <= until)
}

/// An entry without a day.
pub(crate) fn now(entry: Entry) -> v1::RegistryEntry {
    from(String::new(), entry)
}

fn from(effective_on: String, entry: Entry) -> v1::RegistryEntry {
    v1::RegistryEntry { entry: Some(entry), effective_on }
}

fn pick_mut<'a, T>(rng: &mut ChaCha8Rng, list: &'a mut [T]) -> &'a mut T {
    let index = rng.random_range(0..list.len());
    &mut list[index]
}

/// The first day of a history's registry.
pub(crate) const LONG_AGO: Date = Date::constant(2020, 1, 1);
