//! Which numbers of a release are published. docs/releases.md argues, rule by rule, that the others cannot be worked out.
//!
//! Invariants, for the areas directly inside one area, its *block*:
//! - A published number, and a number that follows from published ones by subtraction, is at or above the threshold.
//! - Areas whose number of cases is withheld are none, or at least two, and nothing else of them or of what lies inside is published.
//!   Together they are a row of the block like any other.
//! - A column is published for all rows of a block or for none, and for none when it is withheld of the area that the block is of.
//! - What a correction publishes was published before, and has changed not at all or by at least the threshold.
//!
//! What is withheld in addition is chosen by the order of the codes, never by size: a choice by size would tell the size. And whatever lies
//! between two that must be withheld is withheld as well: a published one between them would tell that both must be, and so are small.

use satgas_proto::v1::{self, ReleaseTable};

use super::{
    columns::{ALL, COLUMNS, FAMILIES, Family, Figures, Kind},
    count::{Areas, Counts},
};

/// Columns, as bits.
pub(super) type Columns = u64;

/// A release that another corrects: what it was counted from, counted again over the same areas, and what it published.
#[derive(Clone, Debug)]
pub struct Earlier {
    counts: Counts,
    /// Of each area the columns that were published; `None` where not even its number of cases was.
    shown: Vec<Option<Columns>>,
}

impl Earlier {
    /// From the counts of then and the message of then.
    #[must_use]
    pub fn of(areas: &Areas, counts: Counts, published: &v1::ReleasePublished) -> Self {
        let columns: Vec<Option<usize>> = published.columns.iter().map(super::column_of).collect();
        let mut shown = vec![None; areas.len()];
        for area in &published.areas {
            let Some(index) = areas.find(&area.code) else { continue };
            let given = columns.iter().zip(&area.counts).filter(|(_, count)| **count > 0);
            shown[index as usize] =
                Some(given.filter_map(|(column, _)| *column).fold(0, |all, column| all | bit(column)));
        }
        Self { counts, shown }
    }
}

/// What of a release is published.
#[derive(Clone, Debug)]
pub struct Suppressed {
    /// Of each area the columns that are published; `None` where not even its number of cases is.
    pub(super) shown: Vec<Option<Columns>>,
}

/// A row of a block: an area, or all those together whose number of cases is withheld.
struct Row {
    now: Figures,
    earlier: Vec<Figures>,
    /// Columns that were published before; all of them where there is no before.
    before: Columns,
}

impl Row {
    /// Whether a number of this row may be published, or be worked out.
    fn passes(&self, threshold: u32, number: impl Fn(&Figures) -> u32) -> bool {
        let now = number(&self.now);
        let told_apart = |before: &Figures| !(1..threshold).contains(&now.abs_diff(number(before)));
        now >= threshold && self.earlier.iter().all(told_apart)
    }
}

/// Why nothing of a release can be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpublishable {
    /// There are too few cases.
    #[error("has fewer cases than the threshold: nothing of it can be published")]
    TooFew,
    /// The number of all cases is not what it was, and the difference is small.
    #[error(
        "has changed by fewer cases than the threshold since a release that is corrected: the difference would tell of them; correct it when \
         more have changed"
    )]
    ChangedByFew,
    /// Not all of the areas together were published before.
    #[error(
        "was published for other areas than those that it would be corrected for: what was published stays as it is"
    )]
    AnotherArea,
}

struct Suppression<'a> {
    areas: &'a Areas,
    counts: &'a Counts,
    earlier: &'a [Earlier],
    threshold: u32,
    families: Vec<Family>,
    shown: Vec<Option<Columns>>,
    /// Whether two forms of violence or more are withheld of the root: then any case may have one of these.
    is_open: bool,
}

/// Decides what of some tables is published.
///
/// # Errors
/// When not even the number of all cases can be, so that nothing is.
pub fn suppress(
    areas: &Areas,
    counts: &Counts,
    earlier: &[Earlier],
    threshold: u32,
    tables: &[ReleaseTable],
) -> Result<Suppressed, Unpublishable> {
    if counts.of(0)[ALL] < threshold {
        return Err(Unpublishable::TooFew);
    }
    if earlier.iter().any(|earlier| earlier.shown[0].is_none()) {
        return Err(Unpublishable::AnotherArea);
    }
    let families = FAMILIES.into_iter().filter(|family| tables.contains(&family.table)).collect();
    let shown = vec![None; areas.len()];
    let mut all = Suppression { areas, counts, earlier, threshold, families, shown, is_open: false };
    let root = [all.row(0)];
    if !root[0].passes(threshold, |figures| figures[ALL]) {
        return Err(Unpublishable::ChangedByFew);
    }
    let columns = all.columns(Columns::MAX, &root, true);
    all.shown[0] = Some(columns);
    // Areas come before those inside them.
    for area in 0..u32::try_from(areas.len()).unwrap_or(u32::MAX) {
        if let Some(columns) = all.shown[area as usize] {
            all.block(area, columns);
        }
    }
    Ok(Suppressed { shown: all.shown })
}

impl Suppression<'_> {
    /// Decides on the areas directly inside an area of which these columns are published.
    fn block(&mut self, area: u32, columns: Columns) {
        let (areas, children) = (self.areas, self.areas.children(area));
        if let [only] = children {
            // The same cases under another code.
            self.shown[*only as usize] = Some(columns);
            return;
        }
        let open = self.open(children);
        let mut rows: Vec<Row> = open.iter().map(|child| self.row(*child)).collect();
        let closed: Vec<u32> = children.iter().copied().filter(|child| !open.contains(child)).collect();
        if rows.is_empty() {
            return;
        }
        if !closed.is_empty() {
            rows.push(self.sum(&closed));
        }
        let columns = self.columns(columns, &rows, false);
        for child in open {
            debug_assert!(!areas.code(child).is_empty(), "only the root has no code");
            self.shown[child as usize] = Some(columns);
        }
    }

    /// The areas of a block whose number of cases is published.
    fn open(&self, children: &[u32]) -> Vec<u32> {
        let passes = |child: &u32| {
            let before = self.earlier.iter().all(|earlier| earlier.shown[*child as usize].is_some());
            before && self.row(*child).passes(self.threshold, |figures| figures[ALL])
        };
        let passes: Vec<bool> = children.iter().map(passes).collect();
        // One area alone would follow by subtraction, and so would a few cases of several.
        let is_enough = |open: &[bool]| {
            let closed: Vec<u32> = children.iter().zip(open).filter(|(_, open)| !**open).map(|(c, _)| *c).collect();
            self.sum(&closed).passes(self.threshold, |figures| figures[ALL])
        };
        let open = without_one_arc(&passes, is_enough);
        children.iter().zip(open).filter(|(_, open)| *open).map(|(child, _)| *child).collect()
    }

    /// The columns that are published of all rows of a block.
    fn columns(&mut self, above: Columns, rows: &[Row], is_root: bool) -> Columns {
        let mut shown = 0;
        for family in self.families.clone() {
            // Parts of what is withheld are withheld.
            if family.of != ALL && shown & bit(family.of) == 0 {
                continue;
            }
            shown |= match family.kind {
                Kind::One => self.one(family, above, rows),
                Kind::Some => self.some(family, above, rows, is_root),
                Kind::Any => self.each(family, above, rows),
            };
        }
        shown
    }

    /// Columns that add up: what is withheld of a row follows by subtraction, so it must be two columns and enough cases.
    fn one(&self, family: Family, above: Columns, rows: &[Row]) -> Columns {
        let passes = |column: usize| {
            let row = |row: &Row| row.before & bit(column) != 0 && row.passes(self.threshold, |f| f[column]);
            above & bit(column) != 0 && rows.iter().all(row)
        };
        let passes: Vec<bool> = family.columns().map(passes).collect();
        let is_enough = |shown: &[bool]| {
            let rest = |f: &Figures| {
                let of_shown = family.columns().zip(shown).filter(|(_, shown)| **shown).map(|(column, _)| f[column]);
                f[family.of] - of_shown.sum::<u32>()
            };
            rows.iter().all(|row| row.passes(self.threshold, rest))
        };
        bits(family, &without_one_arc(&passes, is_enough))
    }

    /// Columns of which a case may have any: each stands beside the cases that do not have it.
    fn each(&self, family: Family, above: Columns, rows: &[Row]) -> Columns {
        let passes = |column: usize| {
            let row = |row: &Row| {
                row.before & bit(column) != 0
                    && row.passes(self.threshold, |f| f[column])
                    && row.passes(self.threshold, |f| f[family.of] - f[column])
            };
            above & bit(column) != 0 && rows.iter().all(row)
        };
        bits(family, &family.columns().map(passes).collect::<Vec<_>>())
    }

    /// The same where a case has at least one. What is published must leave no case that can only have what is withheld, unless two
    /// columns or more are withheld everywhere, so that no single one follows.
    fn some(&mut self, family: Family, above: Columns, rows: &[Row], is_root: bool) -> Columns {
        let shown = self.each(family, above, rows);
        if is_root {
            self.is_open = family.len - shown.count_ones() as usize >= 2;
        }
        let covers = |row: &Row| covered(family, shown, &row.now);
        if self.is_open || rows.iter().all(covers) {
            return shown;
        }
        if is_root {
            self.is_open = true;
        }
        0
    }

    fn row(&self, area: u32) -> Row {
        let before = |earlier: &Earlier| earlier.shown[area as usize].unwrap_or(0);
        Row {
            now: *self.counts.of(area),
            earlier: self.earlier.iter().map(|earlier| *earlier.counts.of(area)).collect(),
            before: self.earlier.iter().map(before).fold(Columns::MAX, |all, shown| all & shown),
        }
    }

    /// Some areas together.
    fn sum(&self, areas: &[u32]) -> Row {
        let sum = |counts: &Counts| {
            let mut sum = [0; COLUMNS + 1];
            for area in areas {
                sum.iter_mut().zip(counts.of(*area)).for_each(|(sum, figure)| *sum += figure);
            }
            sum
        };
        Row {
            now: sum(self.counts),
            earlier: self.earlier.iter().map(|earlier| sum(&earlier.counts)).collect(),
            before: Columns::MAX,
        }
    }
}

/// Which of several are published, in the order of their codes as on a ring: all, or all but one arc. The arc is the shortest that has all
/// that do not pass, so what lies between two of them is withheld with them and may be of any size. It goes on at its end until there are two and
/// enough. Of what is withheld nobody can tell that all of it had to be.
fn without_one_arc(passes: &[bool], is_enough: impl Fn(&[bool]) -> bool) -> Vec<bool> {
    let len = passes.len();
    let run = |start: usize| (0..len).take_while(|step| passes[(start + step) % len]).count();
    if run(0) == len {
        return vec![true; len];
    }
    // The longest run of those that pass, the first of several as long.
    let (longest, start) =
        (0..len).map(|start| (run(start), start)).max_by_key(|(run, start)| (*run, len - start)).unwrap_or_default();
    let mut shown = vec![false; len];
    (0..longest).for_each(|step| shown[(start + step) % len] = true);
    for step in 0..longest {
        if longest - step + 2 <= len && is_enough(&shown) {
            break;
        }
        shown[(start + step) % len] = false;
    }
    shown
}

/// Whether the published columns of a row can account for all its cases.
pub(super) fn covered(family: Family, shown: Columns, figures: &Figures) -> bool {
    let published = family.columns().filter(|column| shown & bit(*column) != 0);
    published.map(|column| figures[column]).sum::<u32>() >= figures[family.of]
}

pub(super) fn bit(column: usize) -> Columns {
    1 << column
}

fn bits(family: Family, shown: &[bool]) -> Columns {
    family.columns().zip(shown).filter(|(_, shown)| **shown).fold(0, |all, (column, _)| all | bit(column))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const THRESHOLD: u32 = 5;

    /// What is public of numbers: their sum, and those that are shown.
    type Public = (u32, Vec<Option<u32>>);

    fn shown(numbers: &[u32]) -> Vec<bool> {
        let passes: Vec<bool> = numbers.iter().map(|number| *number >= THRESHOLD).collect();
        let rest =
            |shown: &[bool]| numbers.iter().zip(shown).filter(|(_, shown)| !**shown).map(|(n, _)| n).sum::<u32>();
        without_one_arc(&passes, |shown| rest(shown) >= THRESHOLD)
    }

    #[test]
    fn what_lies_between_two_that_are_small_is_withheld_with_them() {
        let of =
            |numbers: &[u32]| shown(numbers).iter().map(|shown| if *shown { '+' } else { '-' }).collect::<String>();
        assert_eq!(of(&[9, 9, 9, 9, 9]), "+++++");
        assert_eq!(of(&[9, 1, 9, 9, 9]), "+--++", "not one alone");
        assert_eq!(of(&[9, 1, 2, 9, 9]), "+---+", "nor two with few cases");
        assert_eq!(of(&[4, 9, 4, 9, 9]), "---++", "two that add up to 8 would be 4 each");
        assert_eq!(of(&[9, 9, 4, 9, 4]), "++---");
        assert_eq!(of(&[4, 9, 9, 9, 4]), "-+++-", "the last is beside the first");
        assert_eq!(of(&[1, 9, 9, 9, 0]), "--++-");
        assert_eq!(of(&[1, 0, 2]), "---");
    }

    #[test]
    fn who_knows_the_rules_finds_for_each_withheld_number_as_many_values_as_a_small_one_has() {
        for (len, most) in [(2, 20_u32), (3, 16), (4, 12), (5, 8)] {
            // All that there could be, by what is public of it: the sum, and the numbers that are shown.
            let mut worlds: BTreeMap<Public, Vec<Vec<u32>>> = BTreeMap::new();
            for world in 0..(most + 1).pow(len) {
                let numbers: Vec<u32> = (0..len).map(|digit| world / (most + 1).pow(digit) % (most + 1)).collect();
                let sum = numbers.iter().sum();
                if sum >= THRESHOLD {
                    let public = numbers.iter().zip(shown(&numbers)).map(|(n, shown)| shown.then_some(*n)).collect();
                    worlds.entry((sum, public)).or_default().push(numbers);
                }
            }
            let mut looked_at = 0;
            for ((sum, public), worlds) in &worlds {
                // Worlds with larger numbers were left out.
                if sum - public.iter().flatten().sum::<u32>() > most {
                    continue;
                }
                for at in (0..public.len()).filter(|at| public[*at].is_none()) {
                    let values = || worlds.iter().map(|world| world[at]);
                    let (least, greatest) = (values().min().unwrap(), values().max().unwrap());
                    assert!(greatest - least >= THRESHOLD - 1, "{sum} {public:?}: {least} to {greatest} at {at}");
                    looked_at += 1;
                }
            }
            assert!(looked_at > 20, "{looked_at} of {len}");
        }
    }
}
