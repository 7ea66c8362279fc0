//! A crossed table as it came, its codes in the order in which people read them.
//!
//! Invariant: no sum is made here. Every figure, sums too, is a cell of the server's, and a cell that did not come has no case.

use std::collections::{BTreeSet, HashMap};

use anyhow::ensure;
use satgas_proto::v1::{self, Dimension};

use crate::codes::Code;

/// Stands in a cell's codes for the sum over a dimension.
pub(crate) const SUM: &str = "";
/// Dimensions that a table has at most: rows, columns, blocks.
const DIMENSIONS_MAX: usize = 3;

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Cross {
    /// As it came.
    pub(crate) answer: v1::CrossTableResponse,
    /// The dimensions, in the order in which they were asked for.
    pub(crate) dimensions: Vec<Dimension>,
    codes: Vec<Vec<String>>,
    cases: HashMap<Vec<String>, u64>,
}

impl Cross {
    /// Puts a server's answer in order.
    ///
    /// # Errors
    /// When it is no table: no dimension, too many, or a cell that has not one code for each.
    pub(crate) fn of(answer: v1::CrossTableResponse) -> anyhow::Result<Self> {
        let dimensions: Vec<Dimension> = answer.dimensions().collect();
        let count = dimensions.len();
        ensure!((1..=DIMENSIONS_MAX).contains(&count), "the server answered with {count} dimensions instead of 1 to 3");
        let fits = answer.cells.iter().all(|cell| cell.codes.len() == count);
        ensure!(fits, "the server answered with a cell that has not one code for each dimension");
        let cases = answer.cells.iter().map(|cell| (cell.codes.clone(), cell.cases)).collect();
        let codes = dimensions.iter().enumerate().map(|(at, &dimension)| codes(&answer.cells, at, dimension)).collect();
        Ok(Self { answer, dimensions, codes, cases })
    }

    /// The codes of a dimension that have a case, without the sum, in the order of the code list; none of a dimension that there is not.
    pub(crate) fn codes(&self, dimension: usize) -> &[String] {
        self.codes.get(dimension).map_or(&[], Vec::as_slice)
    }

    /// Cases in a cell, by one code for each dimension.
    pub(crate) fn cases(&self, codes: &[&str]) -> u64 {
        let codes: Vec<String> = codes.iter().map(|&code| code.to_owned()).collect();
        self.cases.get(&codes).copied().unwrap_or(0)
    }

    /// Whether a case may stand in several cells, so that a sum is less than its parts.
    pub(crate) fn overlaps(&self) -> bool {
        use Dimension::{Electronic, Service, Violence};
        self.dimensions.iter().any(|dimension| matches!(dimension, Violence | Electronic | Service))
    }
}

fn codes(cells: &[v1::TableCell], at: usize, dimension: Dimension) -> Vec<String> {
    let codes: BTreeSet<&String> = cells.iter().map(|cell| &cell.codes[at]).filter(|code| *code != SUM).collect();
    let mut codes: Vec<String> = codes.into_iter().cloned().collect();
    // A stable sort: what has no place in the list follows it by its text.
    codes.sort_by_key(|code| place(dimension, code).unwrap_or(i32::MAX));
    codes
}

/// Where a code stands in its list.
fn place(dimension: Dimension, code: &str) -> Option<i32> {
    let of = |list: &[&str]| list.iter().position(|&known| known == code).and_then(|at| i32::try_from(at).ok());
    match dimension {
        Dimension::Violence => number::<v1::Violence>(code),
        Dimension::Electronic => number::<v1::ElectronicViolence>(code),
        Dimension::Place => number::<v1::Place>(code),
        Dimension::Age => number::<v1::AgeGroup>(code),
        Dimension::Sex => number::<v1::Sex>(code),
        Dimension::Service => number::<v1::Service>(code),
        Dimension::Offender => number::<v1::Offender>(code),
        Dimension::Disability => of(&["YA", "TIDAK"]),
        Dimension::VictimGroup => of(&["ANAK", "PEREMPUAN", "LAKI_LAKI"]),
        Dimension::Month | Dimension::Year | Dimension::Kecamatan | Dimension::Unspecified => None,
    }
}

fn number<C: Code>(name: &str) -> Option<i32> {
    C::all().find(|code| code.proto_name() == name).map(Into::into)
}

/// A code as people read it: "bantuan hukum"; `none` for what was not given at all; months and areas as they are.
pub(crate) fn label(dimension: Dimension, code: &str, none: &str) -> String {
    if code.ends_with("_UNSPECIFIED") {
        return none.to_owned();
    }
    let of_list = match dimension {
        Dimension::Violence => of_name::<v1::Violence>(code),
        Dimension::Electronic => of_name::<v1::ElectronicViolence>(code),
        Dimension::Place => of_name::<v1::Place>(code),
        Dimension::Age => years(code),
        Dimension::Sex => of_name::<v1::Sex>(code),
        Dimension::Service => of_name::<v1::Service>(code),
        Dimension::Offender => of_name::<v1::Offender>(code),
        Dimension::Disability | Dimension::VictimGroup => Some(code.to_lowercase().replace('_', " ")),
        Dimension::Month | Dimension::Year | Dimension::Kecamatan | Dimension::Unspecified => None,
    };
    of_list.unwrap_or_else(|| code.to_owned())
}

/// "13-17", "60+".
fn years(name: &str) -> Option<String> {
    let group = v1::AgeGroup::all().find(|code| code.proto_name() == name)?;
    Some(group.word().replace("-up", "+"))
}

fn of_name<C: Code>(name: &str) -> Option<String> {
    C::all().find(|code| code.proto_name() == name).map(Code::label)
}

/// Tables for tests.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two cases, one of them of two kinds of violence, the other without any service, over all dimensions asked for.
    pub(crate) fn answer(dimensions: &[Dimension]) -> v1::CrossTableResponse {
        let of_case =
            |violence: &[&'static str], age: &'static str, service: &'static str, dimension: Dimension| match dimension
            {
                Dimension::Violence => violence.to_vec(),
                Dimension::Age => vec![age],
                Dimension::Service => vec![service],
                _ => vec!["2026-03"],
            };
        let cases: [&dyn Fn(Dimension) -> Vec<&'static str>; 2] = [
            &|of| of_case(&["VIOLENCE_SEKSUAL", "VIOLENCE_FISIK"], "AGE_GROUP_13_17", "SERVICE_PSIKOLOGIS", of),
            &|of| of_case(&["VIOLENCE_SEKSUAL"], "AGE_GROUP_6_12", "SERVICE_UNSPECIFIED", of),
        ];
        let mut cells: HashMap<Vec<String>, u64> = HashMap::new();
        for case in cases {
            let mut of_case = vec![vec![]];
            for &dimension in dimensions {
                let with = |codes: &Vec<String>, code: &str| [codes.clone(), vec![code.to_owned()]].concat();
                let codes = [vec![SUM], case(dimension)].concat();
                of_case = of_case.iter().flat_map(|cell| codes.iter().map(|code| with(cell, code))).collect();
            }
            of_case.into_iter().for_each(|cell| *cells.entry(cell).or_default() += 1);
        }
        let mut cells: Vec<v1::TableCell> =
            cells.into_iter().map(|(codes, cases)| v1::TableCell { codes, cases }).collect();
        cells.sort_by(|a, b| a.codes.cmp(&b.codes));
        let time = |text: &str| Some(crate::time::to_proto(text.parse().unwrap()));
        v1::CrossTableResponse {
            dimensions: dimensions.iter().map(|&dimension| dimension.into()).collect(),
            cells,
            basis: Some(v1::Basis {
                position: 7,
                head_hash: vec![0xab; 32].into(),
                as_of: time("2026-04-02T01:00:00Z"),
                rule_set: "bawaan-1".into(),
                sample_data: true,
            }),
            period: Some(v1::Period {
                code: "2026-Q1".into(),
                start: time("2025-12-31T16:00:00Z"),
                end: time("2026-03-31T16:00:00Z"),
            }),
        }
    }

    #[test]
    fn codes_stand_in_the_order_of_their_list_and_what_is_not_there_has_no_case() {
        let cross = Cross::of(answer(&[Dimension::Violence, Dimension::Age])).unwrap();
        assert_eq!(cross.codes(0), ["VIOLENCE_FISIK", "VIOLENCE_SEKSUAL"]);
        assert_eq!(cross.codes(1), ["AGE_GROUP_6_12", "AGE_GROUP_13_17"]);
        assert!(cross.codes(2).is_empty() && cross.overlaps());
        assert_eq!(cross.cases(&["VIOLENCE_SEKSUAL", SUM]), 2);
        assert_eq!(cross.cases(&["VIOLENCE_FISIK", "AGE_GROUP_6_12"]), 0);
        assert_eq!(cross.cases(&[SUM, SUM]), 2);
    }

    #[test]
    fn a_code_is_read_as_its_label_and_one_that_was_not_given_as_none() {
        assert_eq!(label(Dimension::Service, "SERVICE_BANTUAN_HUKUM", "-"), "bantuan hukum");
        assert_eq!(label(Dimension::Service, "SERVICE_UNSPECIFIED", "(none)"), "(none)");
        assert_eq!(label(Dimension::Age, "AGE_GROUP_13_17", "-"), "13-17");
        assert_eq!(label(Dimension::Age, "AGE_GROUP_60_UP", "-"), "60+");
        assert_eq!(label(Dimension::VictimGroup, "LAKI_LAKI", "-"), "laki laki");
        assert_eq!(label(Dimension::Kecamatan, "53.71.04", "-"), "53.71.04");
        assert_eq!(label(Dimension::Violence, "VIOLENCE_OF_THE_FUTURE", "-"), "VIOLENCE_OF_THE_FUTURE");
    }

    #[test]
    fn an_answer_that_is_no_table_is_refused() {
        assert!(Cross::of(v1::CrossTableResponse::default()).is_err());
        let mut short = answer(&[Dimension::Violence, Dimension::Age]);
        short.cells[0].codes.pop();
        assert!(Cross::of(short).is_err());
    }
}
