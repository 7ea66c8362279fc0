//! Areas, institutions, task forces and members: what is registered, and whether an entry fits.
//!
//! Things are numbered in the order in which they were registered and never go away, so an index stays valid for ever. An entry
//! states the whole of a thing; registering it again with other content changes it, with the same content does nothing. Nothing that was
//! stated is forgotten: every question can be asked as of a position of the log, and of areas and institutions for a day.

mod history;

use std::collections::{BTreeMap, HashSet};

use satgas_proto::v1::{self, registry_entry::Entry, task_force::Home};
use serde::{Deserialize, Serialize};

use crate::{
    Map,
    id::{Level, is_within},
    time::{Calendar, Day, Instant},
    validate::{self, Violations},
};

pub use self::history::{History, Stated};

/// Who a record belongs to: an area or an institution, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// An area.
    Area(u32),
    /// An institution.
    Institution(u32),
}

/// An area.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Area {
    /// Its code.
    pub code: String,
    /// Its level.
    pub level: Level,
    /// What was stated.
    pub history: History<AreaState>,
    /// Institutions that ever stood in it.
    pub institutions: Vec<u32>,
    /// Task forces whose home it is.
    pub task_forces: Vec<u32>,
}

/// What was stated about an area.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AreaState {
    /// As registered.
    #[serde(with = "crate::stored")]
    pub message: v1::Area,
    /// The days on which it exists.
    pub valid: Validity,
}

/// An institution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Institution {
    /// Its id.
    pub id: String,
    /// What was stated.
    pub history: History<InstitutionState>,
    /// Task forces whose home it is.
    pub task_forces: Vec<u32>,
}

/// What was stated about an institution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstitutionState {
    /// As registered.
    #[serde(with = "crate::stored")]
    pub message: v1::Institution,
    /// Where it stands.
    pub area: u32,
    /// The days on which it exists.
    pub valid: Validity,
}

impl InstitutionState {
    /// Whether it is a school.
    #[must_use]
    pub fn is_school(&self) -> bool {
        self.message.kind() == v1::InstitutionKind::Sekolah
    }
}

/// First and last day on which a thing exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// First day.
    pub from: Day,
    /// Last day.
    pub until: Option<Day>,
}

impl Validity {
    fn parse(from: &str, until: &str) -> Option<Self> {
        Some(Self { from: Day::parse(from)?, until: Day::parse(until) })
    }

    /// Whether the thing exists on a day.
    #[must_use]
    pub fn holds_on(&self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| until >= day)
    }

    /// Whether the thing exists at some time from `start` to before `end`.
    #[must_use]
    pub fn overlaps(&self, calendar: &Calendar, start: Instant, end: Instant) -> bool {
        calendar.start(self.from) < end && self.until.is_none_or(|until| calendar.start(until.next()) > start)
    }
}

/// A task force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskForce {
    /// Its id.
    pub id: String,
    /// Where it works.
    pub home: Scope,
    /// When it was first registered.
    pub known_since: Instant,
    /// What was stated.
    pub history: History<TaskForceState>,
    /// Its members, past ones included.
    pub members: Vec<u32>,
}

/// What was stated about a task force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskForceState {
    /// As registered.
    #[serde(with = "crate::stored")]
    pub message: v1::TaskForce,
    /// First day.
    pub formed: Day,
    /// Last day.
    pub dissolved: Option<Day>,
}

impl TaskForceState {
    /// Whether it existed on at least one day from `first` to `last`.
    #[must_use]
    pub fn existed(&self, first: Day, last: Day) -> bool {
        self.formed <= last && self.dissolved.is_none_or(|d| d >= first)
    }
}

/// A member of a task force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The member's id.
    pub id: String,
    /// The task force.
    pub task_force: u32,
    /// What was stated.
    pub history: History<MemberState>,
}

/// What was stated about a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberState {
    /// As registered.
    #[serde(with = "crate::stored")]
    pub message: v1::Member,
    /// First day.
    pub joined: Day,
    /// Last day.
    pub left: Option<Day>,
    /// First and last day of each training's validity.
    pub trainings: Vec<(Day, Day)>,
}

impl MemberState {
    /// Whether it is a member on a day.
    #[must_use]
    pub fn belongs_on(&self, day: Day) -> bool {
        self.joined <= day && self.left.is_none_or(|left| left >= day)
    }

    /// Whether a training is valid on a day.
    #[must_use]
    pub fn is_trained_on(&self, day: Day) -> bool {
        self.trainings.iter().any(|(from, until)| *from <= day && day <= *until)
    }
}

/// What registering an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It was known with other content.
    Changed,
    /// It was known with the same content: no event.
    Unchanged,
}

/// What became of entries that were decided together.
#[derive(Debug, Default)]
pub struct DecidedEntries<'a> {
    /// Those that are to be written.
    pub accepted: Vec<(Change, &'a v1::RegistryEntry)>,
    /// How many change nothing.
    pub unchanged: u32,
    /// Those that are bad: index, and what is wrong.
    pub refused: Vec<(usize, Vec<v1::Violation>)>,
}

/// The field that names an entry's thing, and its value.
fn key(entry: &v1::RegistryEntry) -> (&'static str, &str) {
    match &entry.entry {
        Some(Entry::Area(a)) => ("area.code", &a.code),
        Some(Entry::Institution(i)) => ("institution.institution_id", &i.institution_id),
        Some(Entry::TaskForce(t)) => ("task_force.task_force_id", &t.task_force_id),
        Some(Entry::Member(m)) => ("member.member_id", &m.member_id),
        None => ("entry", ""),
    }
}

/// All that is registered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Registry {
    areas: Vec<Area>,
    institutions: Vec<Institution>,
    task_forces: Vec<TaskForce>,
    members: Vec<Member>,
    area_index: Map<String, u32>,
    institution_index: Map<String, u32>,
    task_force_index: Map<String, u32>,
    member_index: Map<String, u32>,
    /// Areas in the order of their codes.
    areas_by_code: BTreeMap<String, u32>,
}

const KNOWN_HOME: &str = "cannot be changed: dissolve this task force and form another";
const NOT_KELURAHAN: &str = "is not the code of a kelurahan";

impl Registry {
    /// Area by index.
    #[must_use]
    pub fn area(&self, index: u32) -> &Area {
        &self.areas[index as usize]
    }

    /// Institution by index.
    #[must_use]
    pub fn institution(&self, index: u32) -> &Institution {
        &self.institutions[index as usize]
    }

    /// Task force by index.
    #[must_use]
    pub fn task_force(&self, index: u32) -> &TaskForce {
        &self.task_forces[index as usize]
    }

    /// Member by index.
    #[must_use]
    pub fn member(&self, index: u32) -> &Member {
        &self.members[index as usize]
    }

    /// All areas, institutions, task forces and members, in the order of their indexes.
    #[must_use]
    pub fn all(&self) -> (&[Area], &[Institution], &[TaskForce], &[Member]) {
        (&self.areas, &self.institutions, &self.task_forces, &self.members)
    }

    /// Index of an area by code.
    #[must_use]
    pub fn find_area(&self, code: &str) -> Option<u32> {
        self.area_index.get(code).copied()
    }

    /// Index of an institution by id.
    #[must_use]
    pub fn find_institution(&self, id: &str) -> Option<u32> {
        self.institution_index.get(id).copied()
    }

    /// Index of a task force by id.
    #[must_use]
    pub fn find_task_force(&self, id: &str) -> Option<u32> {
        self.task_force_index.get(id).copied()
    }

    /// Index of a member by id.
    #[must_use]
    pub fn find_member(&self, id: &str) -> Option<u32> {
        self.member_index.get(id).copied()
    }

    /// Areas within a prefix, by code.
    pub fn areas_within<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.areas_by_code
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(move |(code, _)| code.starts_with(prefix))
            .filter(move |(code, _)| is_within(code, prefix))
            .map(|(_, index)| *index)
    }

    /// The area of a scope on a day, by what was known at a position: itself, or where the institution stands.
    #[must_use]
    pub fn area_on(&self, scope: Scope, day: Day, until: u64) -> u32 {
        match scope {
            Scope::Area(area) => area,
            Scope::Institution(institution) => {
                let history = &self.institution(institution).history;
                history.on(day, until).unwrap_or(history.first()).state.area
            }
        }
    }

    /// Task forces whose home is the scope.
    #[must_use]
    pub fn task_forces_of(&self, scope: Scope) -> &[u32] {
        match scope {
            Scope::Area(area) => &self.area(area).task_forces,
            Scope::Institution(institution) => &self.institution(institution).task_forces,
        }
    }

    fn find_kelurahan(&self, code: &str) -> Option<u32> {
        self.find_area(code).filter(|index| self.area(*index).level == Level::Kelurahan)
    }

    fn find_home(&self, home: &Home) -> Option<Scope> {
        match home {
            Home::AreaCode(code) => self.find_kelurahan(code).map(Scope::Area),
            Home::InstitutionId(id) => self.find_institution(id).map(Scope::Institution),
        }
    }

    /// Decides what registering an entry does, or why it is refused.
    pub fn decide(&self, entry: &v1::RegistryEntry) -> Result<Change, Vec<v1::Violation>> {
        let mut v = Violations::default();
        validate::registry_entry(&mut v, entry);
        let from = Day::parse(&entry.effective_on);
        let known = match &entry.entry {
            None => None,
            Some(Entry::Area(a)) => {
                let parent = a.code.rsplit_once('.').map_or("", |(parent, _)| parent);
                if matches!(Level::of(&a.code), Some(Level::Kecamatan | Level::Kelurahan))
                    && self.find_area(parent).is_none()
                {
                    v.within("area", |v| v.add("code", "has a parent that is not registered: register that first"));
                }
                self.find_area(&a.code).map(|k| self.area(k).history.says(from, |known| known.message == *a))
            }
            Some(Entry::Institution(i)) => {
                if self.find_kelurahan(&i.area_code).is_none() {
                    v.within("institution", |v| v.add("area_code", format!("{NOT_KELURAHAN} that is registered")));
                }
                let known = self.find_institution(&i.institution_id);
                known.map(|k| self.institution(k).history.says(from, |known| known.message == *i))
            }
            Some(Entry::TaskForce(t)) => {
                let home = t.home.as_ref().and_then(|home| self.find_home(home));
                let known = self.find_task_force(&t.task_force_id).map(|k| self.task_force(k));
                v.within("task_force", |v| match (&t.home, home) {
                    (Some(Home::AreaCode(_)), None) => {
                        v.add("area_code", format!("{NOT_KELURAHAN} that is registered"))
                    }
                    (Some(Home::InstitutionId(_)), None) => v.add("institution_id", "is not registered"),
                    (_, Some(home)) if known.is_some_and(|k| k.home != home) => v.add("home", KNOWN_HOME),
                    _ => {}
                });
                known.map(|k| k.history.says(None, |known| known.message == *t))
            }
            Some(Entry::Member(m)) => {
                let task_force = self.find_task_force(&m.task_force_id);
                let known = self.find_member(&m.member_id).map(|k| self.member(k));
                v.within("member", |v| match task_force {
                    None => v.add("task_force_id", "is not registered"),
                    Some(task_force) if known.is_some_and(|k| k.task_force != task_force) => {
                        v.add(
                            "task_force_id",
                            "cannot be changed: let the member leave and join under another member_id",
                        );
                    }
                    Some(_) => {}
                });
                known.map(|k| k.history.says(None, |known| known.message == *m))
            }
        };
        let has_states = matches!(entry.entry, Some(Entry::Area(_) | Entry::Institution(_)));
        if has_states && from.is_some() && known.is_none() {
            v.add("effective_on", "is for a change of what is registered: leave it empty for what is new");
        }
        if !v.is_empty() {
            return Err(v.into_vec());
        }
        Ok(match known {
            None => Change::Created,
            Some(false) => Change::Changed,
            Some(true) => Change::Unchanged,
        })
    }

    /// Decides entries, each after those before it. The same thing twice with different content is refused: which one is meant?
    ///
    /// Several states of a thing that together leave it as it was, as when a file with a move is sent again, are no change. An entry without a
    /// day that says what held before the latest state comes from an older file, and is refused: it would take a move back.
    #[must_use]
    pub fn decide_all<'a>(&self, entries: &'a [v1::RegistryEntry]) -> DecidedEntries<'a> {
        let mut draft = self.clone();
        let mut decided = DecidedEntries::default();
        let mut written = HashSet::new();
        let dated: HashSet<_> = entries.iter().filter(|entry| !entry.effective_on.is_empty()).map(key).collect();
        for (index, entry) in entries.iter().enumerate() {
            if let Some(day) = draft.taken_back(entry).filter(|_| !dated.contains(&key(entry))) {
                let (field, day) = ("effective_on".to_owned(), day.text());
                let reason = format!(
                    "is missing: this held before {day}; give {day} if that was wrong, or the day from which it holds again"
                );
                decided.refused.push((index, vec![v1::Violation { field, reason }]));
                continue;
            }
            match draft.decide(entry) {
                Ok(Change::Unchanged) => decided.unchanged += 1,
                // Of one thing several states may follow each other, each with its own day.
                Ok(Change::Changed) if entry.effective_on.is_empty() && written.contains(&key(entry)) => {
                    let (field, _) = key(entry);
                    let reason = "stands earlier in the same request with other content".to_owned();
                    decided.refused.push((index, vec![v1::Violation { field: field.to_owned(), reason }]));
                }
                Ok(change) => {
                    draft.apply(entry, 0, Instant(0));
                    written.insert(key(entry));
                    decided.accepted.push((change, entry));
                }
                Err(violations) => decided.refused.push((index, violations)),
            }
        }
        let written = decided.accepted.len();
        decided.accepted.retain(|(_, entry)| !draft.is_as_in(self, entry));
        decided.unchanged += u32::try_from(written - decided.accepted.len()).unwrap_or(u32::MAX);
        decided
    }

    /// The first day of the state that an entry without a day would replace by what held before it, as an older file does.
    fn taken_back(&self, entry: &v1::RegistryEntry) -> Option<Day> {
        match &entry.entry {
            _ if !entry.effective_on.is_empty() => None,
            Some(Entry::Area(a)) => self.area(self.find_area(&a.code)?).history.held_until(|known| known.message == *a),
            Some(Entry::Institution(i)) => {
                let known = self.institution(self.find_institution(&i.institution_id)?);
                known.history.held_until(|known| known.message == *i)
            }
            Some(Entry::TaskForce(_) | Entry::Member(_)) | None => None,
        }
    }

    /// Whether the area or institution of an entry has on each day the same state as in another registry.
    fn is_as_in(&self, other: &Self, entry: &v1::RegistryEntry) -> bool {
        match &entry.entry {
            Some(Entry::Area(a)) => {
                let both = self.find_area(&a.code).zip(other.find_area(&a.code));
                both.is_some_and(|(mine, theirs)| {
                    let theirs = &other.area(theirs).history;
                    self.area(mine).history.holds_as(theirs, |a, b| a.message == b.message)
                })
            }
            Some(Entry::Institution(i)) => {
                let both = self.find_institution(&i.institution_id).zip(other.find_institution(&i.institution_id));
                both.is_some_and(|(mine, theirs)| {
                    let theirs = &other.institution(theirs).history;
                    self.institution(mine).history.holds_as(theirs, |a, b| a.message == b.message)
                })
            }
            // Of these a request has one state each, which differs.
            Some(Entry::TaskForce(_) | Entry::Member(_)) | None => false,
        }
    }

    /// Folds an entry that was decided and stands at a position.
    pub fn apply(&mut self, entry: &v1::RegistryEntry, position: u64, recorded: Instant) {
        let from = Day::parse(&entry.effective_on);
        let applied = match &entry.entry {
            Some(Entry::Area(a)) => self.apply_area(a, position, from),
            Some(Entry::Institution(i)) => self.apply_institution(i, position, from),
            Some(Entry::TaskForce(t)) => self.apply_task_force(t, position, recorded),
            Some(Entry::Member(m)) => self.apply_member(m, position),
            None => None,
        };
        debug_assert!(applied.is_some(), "an entry is decided before it is folded");
    }

    fn apply_area(&mut self, a: &v1::Area, position: u64, from: Option<Day>) -> Option<()> {
        let level = Level::of(&a.code)?;
        let state = AreaState { message: a.clone(), valid: Validity::parse(&a.valid_from, &a.valid_until)? };
        if let Some(index) = self.find_area(&a.code) {
            self.areas[index as usize].history.state(position, from, state);
            return Some(());
        }
        let index = next_index(self.areas.len());
        self.area_index.insert(a.code.clone(), index);
        self.areas_by_code.insert(a.code.clone(), index);
        let history = History::new(position, state);
        let (institutions, task_forces) = Default::default();
        self.areas.push(Area { code: a.code.clone(), level, history, institutions, task_forces });
        Some(())
    }

    fn apply_institution(&mut self, i: &v1::Institution, position: u64, from: Option<Day>) -> Option<()> {
        let area = self.find_kelurahan(&i.area_code)?;
        let valid = Validity::parse(&i.valid_from, &i.valid_until)?;
        let state = InstitutionState { message: i.clone(), area, valid };
        let index = match self.find_institution(&i.institution_id) {
            Some(index) => {
                self.institutions[index as usize].history.state(position, from, state);
                index
            }
            None => {
                let index = next_index(self.institutions.len());
                self.institution_index.insert(i.institution_id.clone(), index);
                let (id, history) = (i.institution_id.clone(), History::new(position, state));
                self.institutions.push(Institution { id, history, task_forces: Vec::new() });
                index
            }
        };
        let stood = &mut self.areas[area as usize].institutions;
        if !stood.contains(&index) {
            stood.push(index);
        }
        Some(())
    }

    fn apply_task_force(&mut self, t: &v1::TaskForce, position: u64, recorded: Instant) -> Option<()> {
        let home = self.find_home(t.home.as_ref()?)?;
        let (formed, dissolved) = (Day::parse(&t.formed_on)?, Day::parse(&t.dissolved_on));
        let state = TaskForceState { message: t.clone(), formed, dissolved };
        if let Some(index) = self.find_task_force(&t.task_force_id) {
            self.task_forces[index as usize].history.state(position, None, state);
            return Some(());
        }
        let index = next_index(self.task_forces.len());
        self.task_force_index.insert(t.task_force_id.clone(), index);
        let (id, history) = (t.task_force_id.clone(), History::new(position, state));
        self.task_forces.push(TaskForce { id, home, known_since: recorded, history, members: Vec::new() });
        match home {
            Scope::Area(area) => self.areas[area as usize].task_forces.push(index),
            Scope::Institution(institution) => self.institutions[institution as usize].task_forces.push(index),
        }
        Some(())
    }

    fn apply_member(&mut self, m: &v1::Member, position: u64) -> Option<()> {
        let task_force = self.find_task_force(&m.task_force_id)?;
        let trainings = m
            .trainings
            .iter()
            .filter_map(|t| Some((Day::parse(&t.valid_from)?, Day::parse(&t.valid_until)?)))
            .collect();
        let (joined, left) = (Day::parse(&m.joined_on)?, Day::parse(&m.left_on));
        let state = MemberState { message: m.clone(), joined, left, trainings };
        if let Some(index) = self.find_member(&m.member_id) {
            self.members[index as usize].history.state(position, None, state);
        } else {
            let index = next_index(self.members.len());
            self.member_index.insert(m.member_id.clone(), index);
            let history = History::new(position, state);
            self.members.push(Member { id: m.member_id.clone(), task_force, history });
            self.task_forces[task_force as usize].members.push(index);
        }
        Some(())
    }
}

fn next_index(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 things are registered")
}
