//! Which numbers of a release are published. docs/releases.md argues, rule by rule, that the others cannot be worked out.
//!
//! Invariants, for the areas directly inside one area, its *block*:
//! - A published number, and a number that follows from published ones by subtraction, is at or above the threshold.
//! - Areas whose number of cases is withheld are none, or at least two, and nothing else of them or of what lies inside is published.
//!   Together they are a row of the block like any other.
//! - A column is published for all rows of a block or for none, and for none when it is withheld of the area that the block is of.
//! - What a correction publishes was published before, and has changed not at all or by at least the threshold.
//!
//! What is withheld in addition is chosen by the order of the codes, never by size: a choice by size would tell the size.

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

/// Decides what of some tables is published. `None` when there are fewer cases than the threshold, so that nothing is.
#[must_use]
pub fn suppress(
    areas: &Areas,
    counts: &Counts,
    earlier: &[Earlier],
    threshold: u32,
    tables: &[ReleaseTable],
) -> Option<Suppressed> {
    if counts.of(0)[ALL] < threshold || earlier.iter().any(|earlier| earlier.shown[0].is_none()) {
        return None;
    }
    let families = FAMILIES.into_iter().filter(|family| tables.contains(&family.table)).collect();
    let shown = vec![None; areas.len()];
    let mut all = Suppression { areas, counts, earlier, threshold, families, shown, is_open: false };
    let root = [all.row(0)];
    let columns = all.columns(Columns::MAX, &root, true);
    all.shown[0] = Some(columns);
    // Areas come before those inside them.
    for area in 0..u32::try_from(areas.len()).unwrap_or(u32::MAX) {
        if let Some(columns) = all.shown[area as usize] {
            all.block(area, columns);
        }
    }
    Some(Suppressed { shown: all.shown })
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
        let mut is_open: Vec<bool> = children.iter().map(passes).collect();
        let Some(first) = is_open.iter().position(|open| !open) else { return children.to_vec() };
        // One area alone would follow by subtraction, and so would a few cases of several.
        for at in (0..children.len()).map(|step| (first + step) % children.len()) {
            let closed: Vec<u32> = children.iter().zip(&is_open).filter(|(_, open)| !**open).map(|(c, _)| *c).collect();
            if closed.len() >= 2 && self.sum(&closed).passes(self.threshold, |figures| figures[ALL]) {
                break;
            }
            is_open[at] = false;
        }
        children.iter().zip(is_open).filter(|(_, open)| *open).map(|(child, _)| *child).collect()
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
        let mut shown: Vec<bool> = family.columns().map(passes).collect();
        let Some(first) = shown.iter().position(|shown| !shown) else { return bits(family, &shown) };
        for at in (0..family.len).map(|step| (first + step) % family.len) {
            let withheld = shown.iter().filter(|shown| !**shown).count();
            let rest = |f: &Figures| {
                let of_shown = family.columns().zip(&shown).filter(|(_, shown)| **shown).map(|(column, _)| f[column]);
                f[family.of] - of_shown.sum::<u32>()
            };
            if withheld >= 2 && rows.iter().all(|row| row.passes(self.threshold, rest)) {
                break;
            }
            shown[at] = false;
        }
        bits(family, &shown)
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
