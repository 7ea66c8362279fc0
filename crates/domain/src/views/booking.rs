//! Where the effects of records are booked: by reporter and month, and under whatever else they are looked for by.
//!
//! A list of records holds every record that was ever booked in it; whoever reads it asks each record whether the version that was known
//! at the position still belongs there. Only a cell's counts are of now, and say up to which position back they are true.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{
    Views,
    lists::{Links, List, Months},
    records::{Change, Content, Version},
};
use crate::{
    id::SubmissionId,
    registry::Scope,
    time::{Day, Instant, Month},
};

/// One month of a scope.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) counts: Counts,
    /// Position of the last event that changed the counts: they are those of every position from here on.
    pub(super) changed_at: u64,
    pub(super) records: List,
}

/// What is counted of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) visits: u32,
    pub(super) pupils: u32,
    pub(super) signals: u32,
    /// Latest occurred.
    pub(super) last: Option<Instant>,
}

impl Counts {
    pub(super) fn add(&mut self, version: &Version) {
        match &version.content {
            Content::Visit { pupils, .. } => {
                self.visits += 1;
                self.pupils = self.pupils.saturating_add(*pupils);
            }
            Content::Signal(_) => self.signals += 1,
            Content::Monitoring { .. } | Content::CaseReport => {}
        }
        self.last = self.last.max(Some(version.occurred));
    }
}

/// What is booked under an area or institution.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub(super) months: Months<Cell>,
    /// Follow-ups of its visits.
    pub(super) due: DueDays,
    pub(super) cases: Vec<u32>,
    /// Positions of its conflicts.
    pub(super) conflicts: Vec<u64>,
    /// Of a school: visits by anybody by month.
    pub(super) visited: Months<List>,
    /// Of a school: exposure signals that name it.
    pub(super) signals: List,
}

/// Days that are kept together.
const SPAN: i32 = 32;

/// A follow-up that falls due: on which day, of which record, and its number there.
type Due = (Day, u32, u32);

/// Follow-ups by due day, of a day in the order in which they were agreed: day, record and number. In spans of days, so that one that falls
/// due before others moves no more than those of its span; by the number of the span.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct DueDays(Vec<(i32, Vec<Due>)>);

impl DueDays {
    fn add(&mut self, due: Day, record: u32, number: u32) {
        let span = due.0.div_euclid(SPAN);
        let at = self.0.binary_search_by_key(&span, |(span, _)| *span).unwrap_or_else(|at| {
            self.0.insert(at, (span, Vec::new()));
            at
        });
        let within = &mut self.0[at].1;
        let behind = within.partition_point(|(day, ..)| *day <= due);
        within.insert(behind, (due, record, number));
    }

    fn add_once(&mut self, due: Day, record: u32, number: u32) {
        if !self.range(due..due.next()).any(|known| known == (due, record, number)) {
            self.add(due, record, number);
        }
    }

    /// Those of some days, the last not included.
    pub(super) fn range(&self, days: Range<Day>) -> impl Iterator<Item = Due> + '_ {
        let first = self.0.partition_point(|(span, _)| *span < days.start.0.div_euclid(SPAN));
        let later = self.0[first..].iter().flat_map(move |(_, within)| {
            let from = within.partition_point(|(day, ..)| *day < days.start);
            &within[from..]
        });
        later.copied().take_while(move |(day, ..)| *day < days.end)
    }
}

impl Views {
    /// Books a record that has just come.
    pub(super) fn book_new(&mut self, id: SubmissionId, scope: Scope, version: Version) {
        let index = u32::try_from(self.records.len()).expect("fewer than 2^32 records");
        self.enlist(index, scope, &version, true);
        let position = self.position;
        let cell = self.ledger_mut(scope).months.entry(version.month);
        cell.counts.add(&version);
        cell.changed_at = position;
        self.touch_effects(scope, &version);
        self.records.add(id, position, self.recorded, scope, version);
        for (number, record) in self.done_early.remove(&id).unwrap_or_default() {
            self.links.push_once(self.done.entry((index, number)).or_default(), record);
        }
    }

    /// Changes a record and books what it is now.
    pub(super) fn rebook(&mut self, index: u32, change: Change) {
        let scope = self.records.get(index).scope;
        let before = self.records.standing(index, self.position).cloned();
        let after = change.version.clone();
        self.records.change(index, change);
        if let Some(version) = &after {
            self.enlist(index, scope, version, false);
        }
        for version in [&before, &after].into_iter().flatten() {
            self.count_again(scope, version.month);
            self.touch_effects(scope, version);
        }
    }

    /// All ledgers, those of areas first.
    pub(super) fn ledgers(&self) -> impl Iterator<Item = (Scope, &Ledger)> {
        let areas = (0..).map(Scope::Area).zip(&self.areas);
        areas.chain((0..).map(Scope::Institution).zip(&self.institutions))
    }

    fn ledger_mut(&mut self, scope: Scope) -> &mut Ledger {
        match scope {
            Scope::Area(area) => &mut self.areas[area as usize],
            Scope::Institution(institution) => &mut self.institutions[institution as usize],
        }
    }

    /// Enters a record into every list that one of its versions belongs to. A new one is in none of them yet.
    fn enlist(&mut self, index: u32, scope: Scope, version: &Version, is_new: bool) {
        let push = if is_new { Links::push } else { Links::push_once };
        let agree = if is_new { DueDays::add } else { DueDays::add_once };
        let (links, month) = (&mut self.links, version.month);
        let ledger = match scope {
            Scope::Area(area) => &mut self.areas[area as usize],
            Scope::Institution(institution) => &mut self.institutions[institution as usize],
        };
        push(links, &mut ledger.months.entry(month).records, index);
        for (number, due) in version.content.agreed() {
            agree(&mut ledger.due, *due, index, *number);
        }
        match &version.content {
            Content::Monitoring { task_force, month, .. } => {
                push(links, self.reports[*task_force as usize].entry(*month), index);
            }
            Content::Visit { school, .. } => {
                push(links, self.institutions[*school as usize].visited.entry(month), index);
            }
            Content::Signal(signal) => {
                push(links, self.groups.entry(signal.fingerprint).or_default(), index);
                for school in &signal.schools {
                    push(links, &mut self.institutions[*school as usize].signals, index);
                }
            }
            Content::CaseReport => {}
        }
        for done in version.content.done() {
            match self.records.find(done.visit) {
                Some(visit) => links.push_once(self.done.entry((visit, done.number)).or_default(), index),
                None => self.done_early.entry(done.visit).or_default().push((done.number, index)),
            }
        }
    }

    fn count_again(&mut self, scope: Scope, month: Month) {
        let Some(cell) = self.ledger(scope).months.get(month) else { return };
        let counts = self.counts_at(cell, month, self.position);
        let position = self.position;
        let cell = self.ledger_mut(scope).months.entry(month);
        (cell.counts, cell.changed_at) = (counts, position);
    }

    /// Counts the records of a cell as they were known at a position.
    pub(super) fn counts_at(&self, cell: &Cell, month: Month, until: u64) -> Counts {
        let mut counts = Counts::default();
        let standing = self.links.of(cell.records).filter_map(|index| self.records.standing(index, until));
        for version in standing.filter(|version| version.month == month) {
            counts.add(version);
        }
        counts
    }

    fn touch_effects(&mut self, scope: Scope, version: &Version) {
        self.touch_scope(scope);
        if let Content::Visit { school, .. } = version.content {
            self.touch_scope(Scope::Institution(school));
        }
        for done in version.content.done() {
            if let Some(visit) = self.records.find(done.visit) {
                self.touch_scope(self.records.get(visit).scope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follow_ups_come_by_day_and_of_a_day_in_the_order_in_which_they_were_agreed() {
        let mut due = DueDays::default();
        for (record, day) in (0..).zip([70, 3, 64, 3, -1, 31, 32, 64]) {
            due.add(Day(day), record, 1);
        }
        due.add_once(Day(64), 2, 1);
        due.add_once(Day(64), 2, 2);
        let between =
            |from, to| due.range(Day(from)..Day(to)).map(|(day, record, _)| (day.0, record)).collect::<Vec<_>>();
        assert_eq!(
            between(i32::MIN, i32::MAX),
            [(-1, 4), (3, 1), (3, 3), (31, 5), (32, 6), (64, 2), (64, 7), (64, 2), (70, 0)]
        );
        assert_eq!(between(3, 32), [(3, 1), (3, 3), (31, 5)]);
        assert_eq!((between(4, 31), between(33, 64), between(40, 30)), (vec![], vec![], vec![]));
    }
}
