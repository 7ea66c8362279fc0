//! What anybody can work out from a release: of each number that is withheld the least and the most that it can be.
//!
//! Uses what is published and nothing else. The bounds are exact for the form that [`suppress`](super::suppress()) gives a release, and
//! that form is checked here once more; docs/releases.md derives them, and a test compares them with those of a linear program.

use satgas_proto::v1;

use super::{
    columns::{ALL, COLUMNS, FAMILIES, Family, Figures, Kind},
    count::Areas,
    suppress::{Columns, bit, covered},
};

/// The least and the most that a number can be.
pub type Bounds = (u32, u32);

/// What can be worked out of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Numbers that are withheld.
    pub withheld: u64,
    /// Those of them whose least is their most.
    pub recovered: u64,
    /// The narrowest of their bounds: the most less the least. `None` when nothing is withheld.
    pub narrowest: Option<u32>,
    /// Of each area, in the order of the areas, the bounds of each column of the release and, last, of its cases.
    pub bounds: Vec<Vec<Bounds>>,
}

/// The release has not the form that the bounds are known of: it may not be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the area {code:?} is not withheld in the form that protects: {why}")]
pub struct Irregular {
    /// The area whose block it is.
    pub code: String,
    /// What is not as it should be.
    pub why: &'static str,
}

/// A row as the public sees it: an area or, last, those that are withheld together.
struct Row {
    figures: Figures,
    of: Vec<u32>,
}

/// Works out the bounds of everything that a release withholds.
pub fn audit(areas: &Areas, published: &v1::ReleasePublished) -> Result<Audit, Irregular> {
    let columns: Vec<usize> = published.columns.iter().filter_map(super::column_of).collect();
    let mut shown: Vec<Option<(Columns, Figures)>> = vec![None; areas.len()];
    for area in &published.areas {
        let Some(index) = areas.find(&area.code) else { continue };
        let (mut bits, mut figures) = (0, [0; COLUMNS + 1]);
        figures[ALL] = u32::try_from(area.cases).unwrap_or(u32::MAX);
        for (column, count) in columns.iter().zip(&area.counts).filter(|(_, count)| **count > 0) {
            bits |= bit(*column);
            figures[*column] = u32::try_from(*count).unwrap_or(u32::MAX);
        }
        shown[index as usize] = Some((bits, figures));
    }
    let families: Vec<Family> = FAMILIES.into_iter().filter(|f| columns.contains(&f.first)).collect();
    let mut all = vec![[(0, 0); COLUMNS + 1]; areas.len()];
    let Some(root) = &shown[0] else { return Err(irregular(areas, 0, "its number of cases is not published")) };
    all[0] = of_root(&families, root.0, &root.1);
    let is_open = families
        .iter()
        .filter(|family| family.kind == Kind::Some)
        .all(|family| family.columns().filter(|column| root.0 & bit(*column) == 0).count() >= 2);
    for area in 0..u32::try_from(areas.len()).unwrap_or(u32::MAX) {
        let (children, above) = (areas.children(area), all[area as usize]);
        match (&shown[area as usize], children) {
            (_, []) => {}
            (Some(_), [only]) => all[*only as usize] = above,
            (Some(parent), _) => {
                block(areas, area, &shown, parent, &families, is_open, &above, &mut all)?;
            }
            // Nothing inside is published: it may all be in any one of them, or in none.
            (None, _) => children.iter().for_each(|child| {
                let bounds = if children.len() == 1 { above } else { above.map(|(_, most)| (0, most)) };
                all[*child as usize] = bounds;
            }),
        }
    }
    let mut audit = Audit::default();
    for (bounds, shown) in all.iter().zip(&shown) {
        let is_shown = |column: usize| shown.as_ref().is_some_and(|(bits, _)| column == ALL || bits & bit(column) != 0);
        for column in columns.iter().copied().chain([ALL]).filter(|column| !is_shown(*column)) {
            let (least, most) = bounds[column];
            audit.withheld += 1;
            audit.recovered += u64::from(least == most);
            audit.narrowest = Some(audit.narrowest.map_or(most - least, |narrowest| narrowest.min(most - least)));
        }
        audit.bounds.push(columns.iter().copied().chain([ALL]).map(|column| bounds[column]).collect());
    }
    Ok(audit)
}

/// Bounds of the root: a withheld column may have none or all of what is left.
fn of_root(families: &[Family], shown: Columns, figures: &Figures) -> [Bounds; COLUMNS + 1] {
    let mut bounds = [(0, 0); COLUMNS + 1];
    bounds[ALL] = (figures[ALL], figures[ALL]);
    for family in families {
        let left = left(*family, shown, figures, bounds[family.of].1);
        let withheld = family.columns().filter(|column| shown & bit(*column) == 0).count();
        for column in family.columns() {
            bounds[column] = match shown & bit(column) {
                0 if family.kind == Kind::One && withheld == 1 => (left, left),
                0 => (0, left),
                _ => (figures[column], figures[column]),
            };
        }
    }
    bounds
}

/// What a row has left for its withheld columns: those that add up share it, of others each may have it.
fn left(family: Family, shown: Columns, figures: &Figures, of: u32) -> u32 {
    match family.kind {
        Kind::One => {
            let published = family.columns().filter(|column| shown & bit(*column) != 0);
            of.saturating_sub(published.map(|column| figures[column]).sum())
        }
        Kind::Some | Kind::Any => of,
    }
}

#[expect(clippy::too_many_arguments, reason = "what is known of a block, and where its bounds go")]
fn block(
    areas: &Areas,
    area: u32,
    shown: &[Option<(Columns, Figures)>],
    parent: &(Columns, Figures),
    families: &[Family],
    is_open: bool,
    above: &[Bounds; COLUMNS + 1],
    all: &mut [[Bounds; COLUMNS + 1]],
) -> Result<(), Irregular> {
    let irregular = |why| Err(irregular(areas, area, why));
    let children = areas.children(area);
    let closed: Vec<u32> = children.iter().copied().filter(|child| shown[*child as usize].is_none()).collect();
    let mut bits = None;
    let mut rows = Vec::new();
    let mut rest = parent.1;
    for child in children {
        let Some((of_child, figures)) = shown[*child as usize] else { continue };
        if *bits.get_or_insert(of_child) != of_child || of_child & !parent.0 != 0 {
            return irregular("a column is published of some of its rows and not of others, or not of the whole");
        }
        rest.iter_mut().zip(figures).for_each(|(rest, figure)| *rest = rest.saturating_sub(figure));
        rows.push(Row { figures, of: vec![*child] });
    }
    let Some(bits) = bits else {
        closed.iter().for_each(|child| all[*child as usize] = above.map(|(_, most)| (0, most)));
        return Ok(());
    };
    match closed.len() {
        0 => {}
        1 => return irregular("a single area inside is withheld"),
        _ => rows.push(Row { figures: rest, of: closed }),
    }
    for row in &rows {
        let mut bounds = [(0, 0); COLUMNS + 1];
        bounds[ALL] = (row.figures[ALL], row.figures[ALL]);
        for family in families {
            let of_all = family.of == ALL || bits & bit(family.of) != 0;
            let size = |row: &Row| left(*family, bits, &row.figures, row.figures[family.of]);
            let total: u32 = if of_all { rows.iter().map(size).sum() } else { 0 };
            if family.kind == Kind::Some
                && !is_open
                && bits_of(*family, bits) != 0
                && !covered(*family, bits, &row.figures)
            {
                return irregular("a withheld form of violence follows from those that are published");
            }
            for column in family.columns() {
                let (least, most) = above[column];
                bounds[column] = if bits & bit(column) != 0 {
                    (row.figures[column], row.figures[column])
                } else if of_all {
                    ((size(row) + least).saturating_sub(total), size(row).min(most))
                } else {
                    // What it is a part of is withheld: no more than that can be.
                    let (of_least, of_most) = (bounds[family.of].0, bounds[family.of].1);
                    let elsewhere = above[family.of].1.saturating_sub(of_least);
                    (least.saturating_sub(elsewhere), most.min(of_most))
                };
            }
        }
        match row.of.as_slice() {
            [child] => all[*child as usize] = bounds,
            several => several.iter().for_each(|child| all[*child as usize] = bounds.map(|(_, most)| (0, most))),
        }
    }
    Ok(())
}

fn bits_of(family: Family, shown: Columns) -> Columns {
    family.columns().map(bit).fold(0, |all, column| all | column) & shown
}

fn irregular(areas: &Areas, area: u32, why: &'static str) -> Irregular {
    Irregular { code: areas.code(area).to_owned(), why }
}
