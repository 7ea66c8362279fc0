//! Cases counted in the categories of Simfoni PPA, crossed over the dimensions that are permitted.

use std::ops::Range;

use satgas_proto::v1::{self, AgeGroup, Dimension, Sex, Violation};

use super::known::Known;
use crate::{
    Map,
    case::Case,
    id::is_within,
    time::{Month, Period},
    validate::Violations,
};

/// Dimensions that one table may cross: with more, nearly every case would stand alone.
const DIMENSIONS_MAX: usize = 3;
/// Codes of the victim groups.
const GROUPS: [&str; 3] = ["ANAK", "PEREMPUAN", "LAKI_LAKI"];
/// The cell of the sum over a dimension; codes are counted from 1.
const SUM: u32 = 0;

/// A table that is being counted.
#[derive(Clone, Debug)]
pub struct CrossTable {
    dimensions: Vec<Dimension>,
    first: Period,
    last: Period,
    prefix: String,
    /// Cases by the code of each dimension.
    cells: Map<[u32; DIMENSIONS_MAX], u64>,
}

impl CrossTable {
    /// An empty table, or everything that is wrong with what is asked for. Periods that are not given are those of `this_year`.
    pub fn asked_for(request: &v1::CrossTableRequest, this_year: &Period) -> Result<Self, Vec<Violation>> {
        let mut v = Violations::default();
        let mut period = |field, code: &str, empty: &Period| match code {
            "" => Some(empty.clone()),
            code => {
                let period = Period::parse(code);
                if period.is_none() {
                    v.add(field, "is not a period such as 2026, 2026-S1, 2026-Q1 or 2026-01");
                }
                period
            }
        };
        let first = period("first_period", &request.first_period, this_year);
        let last = first.as_ref().and_then(|first| period("last_period", &request.last_period, first));
        if let (Some(first), Some(last)) = (&first, &last)
            && last.first < first.first
        {
            v.add("last_period", "begins before first_period");
        }
        if request.area_prefix.split('.').count() > 3 {
            v.add(
                "area_prefix",
                "is a kelurahan's: with so few cases a table would name the child; ask for its kecamatan",
            );
        }
        let dimensions: Vec<Dimension> =
            request.dimensions.iter().filter_map(|d| Dimension::try_from(*d).ok()).collect();
        permitted(&dimensions, request.dimensions.len(), &mut v);
        match (first, last) {
            (Some(first), Some(last)) if v.is_empty() => {
                let prefix = request.area_prefix.clone();
                Ok(Self { dimensions, first, last, prefix, cells: Map::default() })
            }
            _ => Err(v.into_vec()),
        }
    }

    /// Counts some of the cases, by index.
    pub fn count(&mut self, known: Known<'_>, cases: Range<u32>) {
        let calendar = known.calendar();
        let start = calendar.start(self.first.first.first_day());
        let end = calendar.start(self.last.after().first_day());
        for index in cases {
            let Some(case) = known.case_by_index(index) else { continue };
            let within =
                start <= case.reported && case.reported < end && is_within(known.code(case.area), &self.prefix);
            if within && !case.is_merged() {
                self.add(known, &case);
            }
        }
    }

    fn add(&mut self, known: Known<'_>, case: &Case) {
        let mut codes: [Vec<u32>; DIMENSIONS_MAX] = Default::default();
        for (codes, dimension) in codes.iter_mut().zip(&self.dimensions) {
            *codes = codes_of(known, case, *dimension);
            codes.sort_unstable();
            codes.dedup();
        }
        for codes in &mut codes {
            codes.push(SUM);
        }
        for a in &codes[0] {
            for b in &codes[1] {
                for c in &codes[2] {
                    *self.cells.entry([*a, *b, *c]).or_default() += 1;
                }
            }
        }
    }

    /// The table as a message, without its basis.
    #[must_use]
    pub fn to_proto(&self, known: Known<'_>) -> v1::CrossTableResponse {
        let mut cells: Vec<v1::TableCell> = self
            .cells
            .iter()
            .map(|(codes, cases)| {
                let named = self.dimensions.iter().zip(codes).map(|(dimension, code)| name(known, *dimension, *code));
                v1::TableCell { codes: named.collect(), cases: *cases }
            })
            .collect();
        cells.sort_by(|a, b| a.codes.cmp(&b.codes));
        let (first, last) = (self.first.to_proto(known.calendar()), self.last.to_proto(known.calendar()));
        let code = if first == last { first.code } else { format!("{}/{}", first.code, last.code) };
        v1::CrossTableResponse {
            dimensions: self.dimensions.iter().map(|d| (*d).into()).collect(),
            cells,
            basis: Some(known.basis(known.rules_of(&self.first))),
            period: Some(v1::Period { code, start: first.start, end: last.end }),
        }
    }
}

impl Known<'_> {
    /// The year of the moment.
    #[must_use]
    pub fn current_year(&self) -> Period {
        let month = self.calendar().month(self.now());
        Period { first: Month(month.0 - month.0.rem_euclid(12)), months: 12 }
    }

    /// How many cases there are to count.
    #[must_use]
    pub fn case_count(&self) -> u32 {
        u32::try_from(self.views.cases.all().len()).unwrap_or(u32::MAX)
    }
}

fn permitted(dimensions: &[Dimension], asked: usize, v: &mut Violations) {
    if dimensions.len() != asked || dimensions.contains(&Dimension::Unspecified) {
        v.add("dimensions", "holds one that is not of its code list");
    }
    if !(1..=DIMENSIONS_MAX).contains(&asked) {
        v.add("dimensions", "are not 1 to 3");
    }
    if (1..dimensions.len()).any(|at| dimensions[..at].contains(&dimensions[at])) {
        v.add("dimensions", "holds one twice");
    }
    if dimensions.contains(&Dimension::Month) && dimensions.contains(&Dimension::Year) {
        v.add("dimensions", "holds both month and year: a month tells its year");
    }
}

/// The codes under which a case counts, each one more than the number of its code list.
fn codes_of(known: Known<'_>, case: &Case, dimension: Dimension) -> Vec<u32> {
    let report = &case.report;
    let each = |codes: &[i32]| if codes.is_empty() { vec![0] } else { codes.to_vec() };
    let month = || known.calendar().month(case.reported).0;
    let numbers = match dimension {
        Dimension::Violence => each(&report.violence),
        Dimension::Electronic => each(&report.electronic),
        Dimension::Place => vec![report.place],
        Dimension::Age => vec![report.victim_age],
        Dimension::Sex => vec![report.victim_sex],
        Dimension::Disability => vec![i32::from(report.victim_disability)],
        Dimension::Service => each(&case.services().map(|(service, _)| service).collect::<Vec<_>>()),
        Dimension::Offender => vec![report.offender],
        Dimension::VictimGroup => vec![victim_group(report)],
        Dimension::Month => vec![month()],
        Dimension::Year => vec![month().div_euclid(12)],
        Dimension::Kecamatan => {
            let code = known.code(case.area);
            let parent = code.rsplit_once('.').and_then(|(parent, _)| known.registry().find_area(parent));
            vec![parent.and_then(|index| i32::try_from(index).ok()).unwrap_or_default()]
        }
        Dimension::Unspecified => Vec::new(),
    };
    numbers.into_iter().map(|number| number.unsigned_abs() + 1).collect()
}

fn victim_group(report: &v1::CaseReport) -> i32 {
    match (report.victim_age(), report.victim_sex()) {
        (AgeGroup::AgeGroup05 | AgeGroup::AgeGroup612 | AgeGroup::AgeGroup1317, _) => 0,
        (_, Sex::LakiLaki) => 2,
        _ => 1,
    }
}

/// What a code is called in an answer; nothing for the sum.
fn name(known: Known<'_>, dimension: Dimension, code: u32) -> String {
    fn named<T: TryFrom<i32> + Default>(number: i32, name: fn(&T) -> &'static str) -> String {
        name(&T::try_from(number).unwrap_or_default()).to_owned()
    }
    let Some(number) = code.checked_sub(1) else { return String::new() };
    let signed = i32::try_from(number).unwrap_or(i32::MAX);
    match dimension {
        Dimension::Violence => named(signed, v1::Violence::as_str_name),
        Dimension::Electronic => named(signed, v1::ElectronicViolence::as_str_name),
        Dimension::Place => named(signed, v1::Place::as_str_name),
        Dimension::Age => named(signed, v1::AgeGroup::as_str_name),
        Dimension::Sex => named(signed, v1::Sex::as_str_name),
        Dimension::Service => named(signed, v1::Service::as_str_name),
        Dimension::Offender => named(signed, v1::Offender::as_str_name),
        Dimension::Disability => if number == 1 { "YA" } else { "TIDAK" }.to_owned(),
        Dimension::VictimGroup => GROUPS.get(number as usize).copied().unwrap_or_default().to_owned(),
        Dimension::Month => Month(signed).code(),
        Dimension::Year => format!("{number:04}"),
        Dimension::Kecamatan => known.code(number).to_owned(),
        Dimension::Unspecified => String::new(),
    }
}
