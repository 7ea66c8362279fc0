//! Cross tables of cases, each cell counted by going over all cases once more.

use jiff::Timestamp;
use satgas_proto::v1::{self, AgeGroup, Dimension, Sex, amendment::Replacement, case_command::Step};

use super::{
    ledger::{Case, Ledger},
    lists::is_inside,
    time::{Period, date_of, message, month_code},
};

/// What a table asks for: from the beginning of one period to the end of another, inside an area, by one to three dimensions.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) first_period: String,
    pub(crate) last_period: String,
    pub(crate) area_prefix: String,
    pub(crate) dimensions: Vec<Dimension>,
}

impl Ledger {
    /// The table, without its basis. An empty first period is the year of `now`, an empty last one is the first.
    pub(crate) fn cross_table(&self, asked: &Asked, now: Timestamp) -> v1::CrossTableResponse {
        let this_year = date_of(now, &self.zone).year().to_string();
        let first = if asked.first_period.is_empty() { &this_year } else { &asked.first_period };
        let last = if asked.last_period.is_empty() { first } else { &asked.last_period };
        let (from, until) = (Period::parse(first, &self.zone).start, Period::parse(last, &self.zone).end);
        let mut counted = Vec::new();
        for case in &self.cases {
            let reported_at = self.reported_at(case);
            let inside = is_inside(&case.area_code, &asked.area_prefix);
            if !case.merged() && from <= reported_at && reported_at < until && inside {
                counted.push(case);
            }
        }
        let code = if first == last { first.clone() } else { format!("{first}/{last}") };
        v1::CrossTableResponse {
            dimensions: asked.dimensions.iter().map(|dimension| (*dimension).into()).collect(),
            cells: self.cells(&counted, &asked.dimensions),
            basis: None,
            period: Some(v1::Period { code, start: Some(message(from)), end: Some(message(until)) }),
        }
    }

    /// Every combination of codes and sums that any case belongs to, by codes.
    fn cells(&self, counted: &[&Case], dimensions: &[Dimension]) -> Vec<v1::TableCell> {
        let mut combinations: Vec<Vec<String>> = vec![Vec::new()];
        for dimension in dimensions {
            let mut codes = vec![String::new()];
            for case in counted {
                codes.extend(self.codes(case, *dimension));
            }
            codes.sort();
            codes.dedup();
            let longer = combinations
                .iter()
                .flat_map(|begun| codes.iter().map(|code| begun.iter().chain([code]).cloned().collect()));
            combinations = longer.collect();
        }
        combinations.sort();
        let mut cells = Vec::new();
        for codes in combinations {
            let belongs = |case: &&&Case| {
                let mut each = codes.iter().zip(dimensions);
                each.all(|(code, dimension)| code.is_empty() || self.codes(case, *dimension).contains(code))
            };
            let cases = counted.iter().filter(belongs).count() as u64;
            if cases > 0 {
                cells.push(v1::TableCell { codes, cases });
            }
        }
        cells
    }

    /// The codes of a dimension under which a case counts.
    fn codes(&self, case: &Case, dimension: Dimension) -> Vec<String> {
        let record = self.report_of(case);
        let Replacement::CaseReport(report) = &record.replacement else {
            unreachable!("a version of a case report is a case report")
        };
        let reported_on = date_of(record.occurred, &self.zone);
        let one = |code: &str| vec![code.to_owned()];
        match dimension {
            Dimension::Violence => {
                or_none(report.violence().map(|kind| kind.as_str_name()).collect(), "VIOLENCE_UNSPECIFIED")
            }
            Dimension::Electronic => {
                let kinds = report.electronic().map(|kind| kind.as_str_name()).collect();
                or_none(kinds, "ELECTRONIC_VIOLENCE_UNSPECIFIED")
            }
            Dimension::Service => or_none(services(case), "SERVICE_UNSPECIFIED"),
            Dimension::Place => one(report.place().as_str_name()),
            Dimension::Age => one(report.victim_age().as_str_name()),
            Dimension::Sex => one(report.victim_sex().as_str_name()),
            Dimension::Disability => one(if report.victim_disability { "YA" } else { "TIDAK" }),
            Dimension::Offender => one(report.offender().as_str_name()),
            Dimension::VictimGroup => one(victim_group(report)),
            Dimension::Month => vec![month_code(reported_on)],
            Dimension::Year => vec![reported_on.year().to_string()],
            Dimension::Kecamatan => {
                let segments: Vec<&str> = case.area_code.split('.').take(3).collect();
                vec![segments.join(".")]
            }
            Dimension::Unspecified => unreachable!("no test asks for it"),
        }
    }
}

fn or_none(kinds: Vec<&'static str>, none: &str) -> Vec<String> {
    let kinds = if kinds.is_empty() { vec![none] } else { kinds };
    kinds.into_iter().map(str::to_owned).collect()
}

fn services(case: &Case) -> Vec<&'static str> {
    let given = case.taken().filter_map(|(_, step)| match step {
        Step::RecordService(given) => Some(given.service().as_str_name()),
        _ => None,
    });
    given.collect()
}

fn victim_group(report: &v1::CaseReport) -> &'static str {
    match (report.victim_age(), report.victim_sex()) {
        (AgeGroup::AgeGroup05 | AgeGroup::AgeGroup612 | AgeGroup::AgeGroup1317, _) => "ANAK",
        (_, Sex::Perempuan) => "PEREMPUAN",
        (_, Sex::LakiLaki) => "LAKI_LAKI",
        (_, Sex::Unspecified) => unreachable!("the server takes no report without the victim's sex"),
    }
}
