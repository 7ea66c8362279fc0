//! Who plays: invented schools, offices, task forces and members, in the real kelurahan of Kota Kupang.
//!
//! A task force has a temperament, so that the evaluations at the end differ for reasons that can be found in the log. No name here
//! is a real one; school ids begin with 999 and so are no NPSN.

use jiff::civil::date;
use satgas_proto::v1::{self, InstitutionKind, registry_entry::Entry, task_force};

use super::{
    dice::Dice,
    kupang::{KECAMATAN, KELURAHAN, KOTA, parent},
    year::{DAYS, Minute, Slot, date_text, day_number},
};

const STREAM: u64 = 1;
const VALID_FROM: &str = "2025-01-01";
const TRAINING_DAYS: i32 = 2 * 365;
/// The kelurahan, by their place in the table, whose task force is formed on 2025-11-15.
const FORMED_LATE: (usize, i32) = (10, 137);
/// The one whose task force is dissolved after 2026-02-28.
const DISSOLVED: (usize, i32) = (25, 242);
/// How many schools have a team of their own.
const SCHOOL_TEAMS: usize = 4;
const OFFICES: usize = 3;

/// What a task force is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temperament {
    /// Does it all, and in time.
    Diligent,
    /// Does most of it.
    Steady,
    /// Does it, too late.
    Tardy,
    /// Does some of it, now and then.
    Patchy,
    /// Does little, and from some day on nothing.
    Silent,
}

/// A temperament in figures, each in a hundred unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Visits to schools, in a thousand days.
    pub(crate) visits: u32,
    /// Monthly reports in time.
    pub(crate) reports_in_time: u32,
    /// Monthly reports too late; the others are missing.
    pub(crate) reports_late: u32,
    /// Follow-ups done when they were due.
    pub(crate) follow_ups_kept: u32,
    /// Follow-ups done later; the others are forgotten.
    pub(crate) follow_ups_late: u32,
    /// Cases answered within their target.
    pub(crate) responses_in_time: u32,
    /// Members with a training.
    pub(crate) trained: u32,
    /// Months in which the device is without a network for a while.
    pub(crate) offline: u32,
}

impl Temperament {
    /// How the 51 task forces of the kelurahan are made up.
    const MIX: [(Self, usize); 5] =
        [(Self::Diligent, 12), (Self::Steady, 18), (Self::Tardy, 10), (Self::Patchy, 7), (Self::Silent, 4)];

    /// In figures.
    pub(crate) const fn habits(self) -> Habits {
        let [
            visits,
            reports_in_time,
            reports_late,
            follow_ups_kept,
            follow_ups_late,
            responses_in_time,
            trained,
            offline,
        ] = match self {
            Self::Diligent => [430, 95, 4, 93, 6, 95, 92, 8],
            Self::Steady => [330, 82, 12, 80, 17, 82, 72, 15],
            Self::Tardy => [230, 28, 62, 55, 41, 60, 55, 25],
            Self::Patchy => [110, 45, 20, 45, 42, 48, 35, 35],
            Self::Silent => [40, 30, 15, 25, 30, 30, 20, 10],
        };
        Habits {
            visits,
            reports_in_time,
            reports_late,
            follow_ups_kept,
            follow_ups_late,
            responses_in_time,
            trained,
            offline,
        }
    }
}

/// An invented school.
#[derive(Clone, Debug)]
pub(crate) struct School {
    /// Its id, which is no NPSN.
    pub(crate) id: String,
    /// Its name, "SMP Contoh 01" and so on.
    pub(crate) name: String,
    /// The kelurahan where it stands.
    pub(crate) area: &'static str,
}

/// Where a task force works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In a kelurahan.
    Area,
    /// In this institution.
    Institution(String),
}

/// A task force. Days are counted as in [`year`](super::year).
#[derive(Clone, Debug)]
pub(crate) struct Team {
    /// Its id.
    pub(crate) id: String,
    /// Where it works.
    pub(crate) home: Home,
    /// Its kelurahan, or where its institution stands.
    pub(crate) area: &'static str,
    /// What it is like.
    pub(crate) temperament: Temperament,
    /// The day it is formed.
    pub(crate) formed: i32,
    /// The last day on which it exists.
    pub(crate) dissolved: Option<i32>,
    /// The day from which on nothing is heard of it.
    pub(crate) silent_from: i32,
    kind: &'static str,
    legal_basis: &'static str,
    members: i32,
}

impl Team {
    /// Whether it exists and still does anything on a day.
    pub(crate) fn works_on(&self, day: i32) -> bool {
        self.formed <= day && day < self.silent_from && self.dissolved.is_none_or(|last| day <= last)
    }

    /// Whether it exists on any day from `first` to the one before `after`.
    pub(crate) fn exists_within(&self, first: i32, after: i32) -> bool {
        self.formed < after && self.dissolved.is_none_or(|last| last >= first)
    }

    /// Who its records are from.
    pub(crate) fn reporter(&self) -> v1::submission::Reporter {
        match &self.home {
            Home::Area => v1::submission::Reporter::AreaCode(self.area.to_owned()),
            Home::Institution(id) => v1::submission::Reporter::InstitutionId(id.clone()),
        }
    }

    /// One of its devices.
    pub(crate) fn device(&self, number: u32) -> String {
        match &self.home {
            Home::Area => format!("hp-{}-{number}", self.area),
            Home::Institution(id) => format!("hp-{id}-{number}"),
        }
    }

    fn entry(&self, dissolved: Option<i32>) -> v1::RegistryEntry {
        let home = match &self.home {
            Home::Area => task_force::Home::AreaCode(self.area.to_owned()),
            Home::Institution(id) => task_force::Home::InstitutionId(id.clone()),
        };
        entry(Entry::TaskForce(v1::TaskForce {
            task_force_id: self.id.clone(),
            home: Some(home),
            kind: self.kind.to_owned(),
            legal_basis: self.legal_basis.to_owned(),
            formed_on: date_text(self.formed),
            dissolved_on: dissolved.map(date_text).unwrap_or_default(),
        }))
    }
}

/// Everybody, and what becomes of the registry within the year.
#[derive(Debug)]
pub(crate) struct Cast {
    /// The schools, by id.
    pub(crate) schools: Vec<School>,
    /// Ids of the offices that cases are referred to.
    pub(crate) offices: Vec<String>,
    /// The task forces.
    pub(crate) teams: Vec<Team>,
    /// What is registered before the year begins, each entry after those it refers to.
    pub(crate) registered: Vec<v1::RegistryEntry>,
    /// What is registered within the year, and when.
    pub(crate) changes: Vec<(Slot, Vec<v1::RegistryEntry>)>,
}

impl Cast {
    /// The cast of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, STREAM);
        let schools = schools(&mut dice);
        let offices = (1..=OFFICES).map(|n| format!("kantor-contoh-{n:02}")).collect();
        let mut teams = area_teams(&mut dice);
        teams.extend(school_teams(&mut dice, &schools));
        let mut cast = Self { schools, offices, teams, registered: Vec::new(), changes: Vec::new() };
        cast.register_places();
        cast.register_teams(&mut dice);
        cast
    }

    /// The schools that a kelurahan's task force visits: its own, or where there is none those of its kecamatan.
    pub(crate) fn schools_near(&self, area: &str) -> Vec<&School> {
        let own: Vec<_> = self.schools.iter().filter(|school| school.area == area).collect();
        if own.is_empty() {
            self.schools.iter().filter(|school| parent(school.area) == parent(area)).collect()
        } else {
            own
        }
    }

    fn register_places(&mut self) {
        let area = |a: &super::kupang::Area| {
            entry(Entry::Area(v1::Area {
                code: a.code.to_owned(),
                name: a.name.to_owned(),
                valid_from: VALID_FROM.to_owned(),
                ..Default::default()
            }))
        };
        self.registered.push(area(&KOTA));
        self.registered.extend(KECAMATAN.iter().chain(&KELURAHAN).map(area));
        for school in &self.schools {
            self.registered.push(institution(&school.id, &school.name, InstitutionKind::Sekolah, school.area));
        }
        for (index, id) in self.offices.iter().enumerate() {
            let name = format!("Kantor Contoh {:02}", index + 1);
            let area = KELURAHAN[index * KELURAHAN.len() / OFFICES].code;
            self.registered.push(institution(id, &name, InstitutionKind::Kantor, area));
        }
    }

    fn register_teams(&mut self, dice: &mut Dice) {
        for team in &self.teams {
            let members: Vec<_> = (1..=team.members).map(|number| member(dice, team, number)).collect();
            let mut entries = vec![team.entry(None)];
            entries.extend(members.iter().cloned().map(|m| entry(Entry::Member(m))));
            if team.formed < 0 {
                self.registered.extend(entries);
            } else {
                self.changes.push((morning_of(team.formed), entries));
            }
            if let Some(last) = team.dissolved {
                self.changes.push((morning_of(last), vec![team.entry(Some(last))]));
            }
            self.changes.extend(members.into_iter().filter_map(|m| change_of(dice, team, m)));
        }
    }
}

fn morning_of(day: i32) -> Slot {
    Slot::at_or_after(Minute::on(day, 0))
}

fn entry(entry: Entry) -> v1::RegistryEntry {
    v1::RegistryEntry { entry: Some(entry), ..Default::default() }
}

fn institution(id: &str, name: &str, kind: InstitutionKind, area: &str) -> v1::RegistryEntry {
    entry(Entry::Institution(v1::Institution {
        institution_id: id.to_owned(),
        name: name.to_owned(),
        kind: kind.into(),
        area_code: area.to_owned(),
        valid_from: VALID_FROM.to_owned(),
        valid_until: String::new(),
    }))
}

/// One or two schools in most kelurahan, three in some, none in some.
fn schools(dice: &mut Dice) -> Vec<School> {
    let mut schools = Vec::new();
    for area in &KELURAHAN {
        for _ in 0..*dice.pick(&[0, 1, 1, 1, 2, 2, 2, 3]) {
            let number = schools.len() + 1;
            let (id, name) = (format!("999{number:05}"), format!("SMP Contoh {number:02}"));
            schools.push(School { id, name, area: area.code });
        }
    }
    schools
}

fn area_teams(dice: &mut Dice) -> Vec<Team> {
    let mut mix: Vec<_> =
        Temperament::MIX.iter().flat_map(|(temperament, count)| std::iter::repeat_n(*temperament, *count)).collect();
    let mut teams = Vec::with_capacity(KELURAHAN.len());
    for (index, area) in KELURAHAN.iter().enumerate() {
        let last = i32::try_from(mix.len()).expect("51 at most") - 1;
        let drawn = mix.swap_remove(usize::try_from(dice.number(0..=last)).expect("not negative"));
        let special = index == FORMED_LATE.0 || index == DISSOLVED.0;
        let temperament = if special { Temperament::Steady } else { drawn };
        let silent_from = if temperament == Temperament::Silent { dice.number(150..=290) } else { i32::MAX };
        teams.push(Team {
            id: format!("satgas-{}", area.code),
            home: Home::Area,
            area: area.code,
            temperament,
            formed: if index == FORMED_LATE.0 { FORMED_LATE.1 } else { dice.number(-170..=-30) },
            dissolved: (index == DISSOLVED.0).then_some(DISSOLVED.1),
            silent_from,
            kind: "Satgas PPA Kelurahan",
            legal_basis: "Keputusan Lurah Contoh 1/2025",
            members: dice.number(3..=8),
        });
    }
    teams
}

/// A school's team is a TPPK until its legal basis changes in January 2026, and a Pokja from then on.
fn school_teams(dice: &mut Dice, schools: &[School]) -> Vec<Team> {
    let pokja_formed = day_number(date(2026, 1, 15));
    let mut teams = Vec::new();
    for school in schools.iter().step_by((schools.len() / SCHOOL_TEAMS).max(1)).take(SCHOOL_TEAMS) {
        let tppk = Team {
            id: format!("tppk-{}", school.id),
            home: Home::Institution(school.id.clone()),
            area: school.area,
            temperament: *dice.pick(&[Temperament::Diligent, Temperament::Steady, Temperament::Tardy]),
            formed: dice.number(-170..=-30),
            dissolved: Some(pokja_formed - 1),
            silent_from: i32::MAX,
            kind: "TPPK",
            legal_basis: "Permendikbudristek 46/2023",
            members: dice.number(3..=5),
        };
        teams.push(Team {
            id: format!("pokja-{}", school.id),
            formed: pokja_formed,
            dissolved: None,
            kind: "Pokja Budaya Sekolah Aman dan Nyaman",
            legal_basis: "Permendikdasmen 6/2026",
            members: dice.number(3..=6),
            ..tppk.clone()
        });
        teams.push(tppk);
    }
    teams
}

fn member(dice: &mut Dice, team: &Team, number: i32) -> v1::Member {
    let joined = team.formed + dice.number(0..=20);
    let mut trainings = Vec::new();
    if dice.percent(team.temperament.habits().trained) {
        // Some of these run out before the year is over.
        let from = joined.max(0) - dice.number(20..=420);
        trainings.push(training("Penanganan KSBE", from));
    }
    v1::Member {
        member_id: format!("{}-{number}", team.id),
        task_force_id: team.id.clone(),
        joined_on: date_text(joined),
        left_on: String::new(),
        trainings,
    }
}

fn training(topic: &str, from: i32) -> v1::Training {
    v1::Training { topic: topic.to_owned(), valid_from: date_text(from), valid_until: date_text(from + TRAINING_DAYS) }
}

/// What becomes of a member within the year, if anything: training again, or leaving.
fn change_of(dice: &mut Dice, team: &Team, mut member: v1::Member) -> Option<(Slot, Vec<v1::RegistryEntry>)> {
    let day = dice.number(team.formed.max(0) + 40..=DAYS - 1);
    let trained = dice.percent(team.temperament.habits().trained / 4);
    let left = dice.percent(4);
    if !team.works_on(day) || !(trained || left) {
        return None;
    }
    if trained {
        member.trainings.push(training("Keamanan digital anak", day));
    } else {
        member.left_on = date_text(day);
    }
    Some((morning_of(day), vec![entry(Entry::Member(member))]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kelurahan_has_one_task_force_and_some_have_no_school() {
        let cast = Cast::of(1);
        let homes: Vec<_> = cast.teams.iter().filter(|team| team.home == Home::Area).map(|team| team.area).collect();
        assert_eq!(homes, KELURAHAN.map(|area| area.code));
        let with_school: BTreeSet<_> = cast.schools.iter().map(|school| school.area).collect();
        assert!((30..51).contains(&with_school.len()), "{}", with_school.len());
        assert!(KELURAHAN.iter().all(|area| !cast.schools_near(area.code).is_empty()));
    }

    #[test]
    fn every_entry_comes_after_those_it_refers_to() {
        let cast = Cast::of(1);
        let mut known = BTreeSet::from([""]);
        for entry in &cast.registered {
            let (id, refers_to) = match entry.entry.as_ref().unwrap() {
                Entry::Area(a) => (&a.code, parent(&a.code)),
                Entry::Institution(i) => (&i.institution_id, i.area_code.as_str()),
                Entry::TaskForce(t) => (
                    &t.task_force_id,
                    match t.home.as_ref().unwrap() {
                        task_force::Home::AreaCode(id) | task_force::Home::InstitutionId(id) => id.as_str(),
                    },
                ),
                Entry::Member(m) => (&m.member_id, m.task_force_id.as_str()),
            };
            assert!(known.contains(if id == KOTA.code { "" } else { refers_to }), "{id} refers to {refers_to}");
            assert!(known.insert(id), "{id} is registered once");
        }
    }

    #[test]
    fn a_school_team_becomes_a_pokja_in_january_without_a_day_between() {
        let cast = Cast::of(1);
        let pokja: Vec<_> = cast.teams.iter().filter(|team| team.kind.starts_with("Pokja")).collect();
        assert_eq!(pokja.len(), SCHOOL_TEAMS);
        for team in pokja {
            let tppk = cast.teams.iter().find(|t| t.home == team.home && t.kind == "TPPK").unwrap();
            assert_eq!(tppk.dissolved, Some(team.formed - 1));
            assert_eq!(date_text(team.formed), "2026-01-15");
        }
    }

    #[test]
    fn no_school_bears_a_number_that_could_be_real() {
        assert!(
            Cast::of(1)
                .schools
                .iter()
                .all(|s| s.id.len() == 8 && s.id.starts_with("999") && s.name.starts_with("SMP Contoh "))
        );
    }
}
