//! Cases counted by area and column, over all levels of the division.

use std::collections::BTreeMap;

use satgas_proto::v1;

use super::columns::{ALL, COLUMNS, Figures, columns_of};
use crate::id::is_within;

/// Segments of the code of a kelurahan or desa.
const SEGMENTS: usize = 4;

/// Areas of a release, of all levels: each inner one is the sum of those inside. Codes have gaps, so the areas are those that are
/// registered, and those above them.
#[derive(Clone, Debug)]
pub struct Areas {
    codes: Vec<String>,
    /// Of each area those directly inside, by code.
    children: Vec<Vec<u32>>,
    parents: Vec<Option<u32>>,
    by_code: BTreeMap<String, u32>,
}

impl Areas {
    /// The areas within a prefix, from the codes of the kelurahan. The root is the smallest area, down to a kota, that holds them all and
    /// lies within the prefix; areas come before those inside them.
    #[must_use]
    pub fn within<'a>(prefix: &str, kelurahan: impl IntoIterator<Item = &'a str>) -> Self {
        let mut leaves: Vec<&str> = kelurahan.into_iter().filter(|code| is_within(code, prefix)).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let root = root_of(prefix, &leaves);
        let mut areas = Self {
            codes: Vec::with_capacity(leaves.len() + leaves.len() / 8 + 1),
            children: Vec::new(),
            parents: Vec::new(),
            by_code: BTreeMap::new(),
        };
        areas.add(&root, None);
        for leaf in leaves {
            let ends = leaf.match_indices('.').map(|(end, _)| end).chain([leaf.len()]);
            let mut parent = 0;
            for code in ends.map(|end| &leaf[..end]).filter(|code| is_within(code, &root) && *code != root) {
                parent = match areas.by_code.get(code) {
                    Some(known) => *known,
                    None => areas.add(code, Some(parent)),
                };
            }
        }
        areas
    }

    fn add(&mut self, code: &str, parent: Option<u32>) -> u32 {
        let index = u32::try_from(self.codes.len()).expect("a country has fewer than four billion areas");
        self.codes.push(code.to_owned());
        self.children.push(Vec::new());
        self.parents.push(parent);
        self.by_code.insert(code.to_owned(), index);
        if let Some(parent) = parent {
            self.children[parent as usize].push(index);
        }
        index
    }

    /// Number of areas.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there is none: never, the root is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The codes of the areas, each behind that of the area it lies in.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().map(String::as_str)
    }

    pub(super) fn code(&self, area: u32) -> &str {
        &self.codes[area as usize]
    }

    pub(super) fn children(&self, area: u32) -> &[u32] {
        &self.children[area as usize]
    }

    pub(super) fn find(&self, code: &str) -> Option<u32> {
        self.by_code.get(code).copied()
    }
}

/// The root of some areas: as far below the prefix as all of them lie in one area, down to a kota.
fn root_of(prefix: &str, leaves: &[&str]) -> String {
    let mut root = prefix;
    let Some(first) = leaves.first() else { return root.to_owned() };
    for segments in 1..=SEGMENTS - 2 {
        let end = first.match_indices('.').nth(segments - 1).map_or(first.len(), |(end, _)| end);
        let above = &first[..end];
        if is_within(above, root) && leaves.iter().all(|leaf| is_within(leaf, above)) {
            root = above;
        }
    }
    root.to_owned()
}

/// Cases of each area, in each column.
#[derive(Clone, Debug)]
pub struct Counts(Vec<Figures>);

impl Counts {
    /// None yet.
    #[must_use]
    pub fn none(areas: &Areas) -> Self {
        Self(vec![[0; COLUMNS + 1]; areas.len()])
    }

    /// Counts a case of a kelurahan; one that is none of the areas is not counted.
    pub fn add(&mut self, areas: &Areas, kelurahan: &str, report: &v1::CaseReport) {
        let columns = columns_of(report);
        let mut next = areas.find(kelurahan);
        while let Some(area) = next {
            let figures = &mut self.0[area as usize];
            for column in columns.iter().copied().chain([ALL]) {
                figures[column] += 1;
            }
            next = areas.parents[area as usize];
        }
    }

    pub(super) fn of(&self, area: u32) -> &Figures {
        &self.0[area as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_smallest_area_that_holds_all_down_to_a_kota() {
        let root = |prefix, leaves: &[&str]| Areas::within(prefix, leaves.iter().copied()).codes[0].clone();
        assert_eq!(root("", &["53.71.04.1001", "53.71.03.1010"]), "53.71");
        assert_eq!(root("", &["53.71.04.1001"]), "53.71");
        assert_eq!(root("", &["53.71.04.1001", "53.72.01.2001"]), "53");
        assert_eq!(root("", &["53.71.04.1001", "11.01.01.2001"]), "");
        assert_eq!(root("53.71.04", &["53.71.04.1001", "53.71.04.1002"]), "53.71.04");
    }

    #[test]
    fn a_case_counts_in_its_kelurahan_and_in_every_area_above() {
        let areas = Areas::within("", ["53.71.04.1001", "53.71.03.1010", "11.01.01.2001"]);
        let mut counts = Counts::none(&areas);
        counts.add(&areas, "53.71.04.1001", &v1::CaseReport::default());
        counts.add(&areas, "99.99.99.9999", &v1::CaseReport::default());
        let all = |code| counts.of(areas.find(code).unwrap())[ALL];
        assert_eq!(["", "53", "53.71", "53.71.04", "53.71.04.1001"].map(all), [1; 5]);
        assert_eq!(["11", "53.71.03", "53.71.03.1010"].map(all), [0; 3]);
    }
}
