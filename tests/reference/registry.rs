//! What holds on a day: the states of areas and institutions, when they exist, and where institutions stand.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use satgas_proto::v1;

use super::{
    ledger::Ledger,
    time::{Period, date_before, day, day_or_none, end_of, start_of},
};

/// What was said of one area or institution: each state with the day from which it holds, in order. The first holds from the
/// beginning of time, which has no day.
pub(crate) struct Stated<T> {
    states: Vec<(Option<Date>, T)>,
}

impl<T: Clone + PartialEq> Stated<T> {
    /// The first that is said.
    pub(crate) fn new(entry: &T) -> Self {
        Self { states: vec![(None, entry.clone())] }
    }

    /// Takes what is said next: from a day on, or in place of the latest state.
    pub(crate) fn say(&mut self, entry: &T, effective_on: Option<Date>) {
        match effective_on {
            Some(from) => {
                self.states.retain(|(day, _)| day.is_none_or(|day| day < from));
                self.states.push((Some(from), entry.clone()));
            }
            None => {
                let index = self.states.len() - 1;
                self.states[index].1 = entry.clone();
            }
        }
    }

    /// Whether an entry would leave everything as it is.
    pub(crate) fn says_so_already(&self, entry: &T, effective_on: Option<Date>) -> bool {
        let (from, latest) = &self.states[self.states.len() - 1];
        latest == entry && (effective_on.is_none() || effective_on == *from)
    }

    /// The state from the latest day.
    pub(crate) fn latest(&self) -> &T {
        &self.states[self.states.len() - 1].1
    }

    /// The state that holds on a day.
    pub(crate) fn on(&self, date: Date) -> &T {
        let mut found = &self.states[0].1;
        for (from, state) in &self.states {
            if from.is_some_and(|from| from <= date) {
                found = state;
            }
        }
        found
    }
}

/// First and last day of something, by its latest state.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    from: Date,
    until: Option<Date>,
}

impl Validity {
    /// Whether it begins before one instant and has not ended at another.
    pub(crate) fn overlaps(&self, start: Timestamp, end: Timestamp, zone: &TimeZone) -> bool {
        let begun = start_of(self.from, zone) < end;
        let ended = self.until.is_some_and(|until| end_of(until, zone) <= start);
        begun && !ended
    }

    /// Whether records of an instant are taken.
    pub(crate) fn takes(&self, occurred: Timestamp, zone: &TimeZone) -> bool {
        start_of(self.from, zone) <= occurred && self.until.is_none_or(|until| occurred < end_of(until, zone))
    }
}

impl Stated<v1::Area> {
    pub(crate) fn code(&self) -> &str {
        &self.states[0].1.code
    }

    pub(crate) fn validity(&self) -> Validity {
        Validity { from: day(&self.latest().valid_from), until: day_or_none(&self.latest().valid_until) }
    }
}

impl Stated<v1::Institution> {
    pub(crate) fn id(&self) -> &str {
        &self.states[0].1.institution_id
    }

    pub(crate) fn validity(&self) -> Validity {
        Validity { from: day(&self.latest().valid_from), until: day_or_none(&self.latest().valid_until) }
    }
}

impl Ledger {
    /// Day d of the cut of a period.
    pub(crate) fn day_of_cut(&self, period: &Period, now: Timestamp) -> Date {
        date_before(now.min(period.end), &self.zone)
    }

    /// Kelurahan in which an institution stands on a day, or empty when it is not registered.
    pub(crate) fn stands_in(&self, institution_id: &str, date: Date) -> String {
        let found = self.institutions.iter().find(|known| known.id() == institution_id);
        found.map(|known| known.on(date).area_code.clone()).unwrap_or_default()
    }

    /// Takes an entry of the registry, and says what is wrong with its being in the log.
    pub(crate) fn register(&mut self, event: &v1::Event, entry: &v1::RegistryEntry) {
        use v1::registry_entry::Entry;
        let from = day_or_none(&entry.effective_on);
        let stated = entry.entry.as_ref().expect("an entry states something");
        let named = match stated {
            Entry::Area(area) => ("area", &area.code),
            Entry::Institution(institution) => ("institution", &institution.institution_id),
            Entry::TaskForce(task_force) => ("task force", &task_force.task_force_id),
            Entry::Member(member) => ("member", &member.member_id),
        };
        self.latest_entry.insert((named.0, named.1.clone()), event.position);
        let defect = match stated {
            Entry::Area(new) => match self.areas.iter_mut().find(|old| old.code() == new.code) {
                Some(old) => say(old, new, from),
                None => {
                    self.areas.push(Stated::new(new));
                    dated(from)
                }
            },
            Entry::Institution(new) => match self.institutions.iter_mut().find(|old| old.id() == new.institution_id) {
                Some(old) => say(old, new, from),
                None => {
                    self.institutions.push(Stated::new(new));
                    dated(from)
                }
            },
            Entry::TaskForce(new) => {
                let known = self.task_forces.iter().position(|old| old.task_force_id == new.task_force_id);
                let recorded = super::time::instant(event.recorded_at.as_ref());
                self.first_registered.entry(new.task_force_id.clone()).or_insert(recorded);
                let old = known.map(|known| self.task_forces.remove(known));
                self.task_forces.push(new.clone());
                if old.as_ref() == Some(new) { Some("says nothing new") } else { dated(from) }
            }
            Entry::Member(new) => {
                let known = self.members.iter().position(|old| old.member_id == new.member_id);
                let old = known.map(|known| self.members.remove(known));
                self.members.push(new.clone());
                if old.as_ref() == Some(new) { Some("says nothing new") } else { dated(from) }
            }
        };
        if let Some(defect) = defect {
            self.defects.push(format!("the entry at {} {defect}", event.position));
        }
    }
}

/// Of what is new, and of task forces and members, no day is taken.
fn dated(effective_on: Option<Date>) -> Option<&'static str> {
    effective_on.map(|_| "holds from a day on, which is refused of what it is about")
}

fn say<T: Clone + PartialEq>(old: &mut Stated<T>, new: &T, from: Option<Date>) -> Option<&'static str> {
    let defect = old.says_so_already(new, from).then_some("says nothing new");
    old.say(new, from);
    defect
}
