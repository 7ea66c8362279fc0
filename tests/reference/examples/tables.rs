//! Cross tables counted by hand.

use satgas_proto::v1::{self, AgeGroup, Dimension, ElectronicViolence, Service, Sex, Violence, case_command::Step};

use super::{super::tables::Asked, Content, Entry, Log, NEXT_AREA, SCHOOL, amendment, local, message, school};

const NOW: &str = "2028-08-01T00:00:00";

fn case(violence: &[Violence], age: AgeGroup, sex: Sex) -> v1::CaseReport {
    v1::CaseReport {
        violence: violence.iter().map(|kind| (*kind).into()).collect(),
        victim_age: age.into(),
        victim_sex: sex.into(),
        place: v1::Place::Daring.into(),
        offender: v1::Offender::PacarTeman.into(),
        ..v1::CaseReport::default()
    }
}

/// Three cases: a girl of two kinds of violence in January, a woman of one at the very end of March, a boy in April elsewhere.
fn given() -> Log {
    let mut log = Log::given();
    for (code, name) in [("53.71.05", "Kecamatan lain"), ("53.71.05.1001", "Tiga")] {
        let valid_from = "2027-01-01".to_owned();
        log.registered(Entry::Area(v1::Area {
            code: code.into(),
            name: name.into(),
            valid_from,
            ..Default::default()
        }));
    }
    let girl = v1::CaseReport {
        electronic: vec![ElectronicViolence::Perekaman.into(), ElectronicViolence::Transmisi.into()],
        ..case(&[Violence::Seksual, Violence::Psikis], AgeGroup::AgeGroup1317, Sex::Perempuan)
    };
    log.submitted("c1", "2028-01-01T00:00:00", Content::CaseReport(girl));
    for given in [Service::Psikologis, Service::Psikologis, Service::Kesehatan] {
        log.step("c1", "2028-01-02T00:00:00", Step::RecordService(v1::RecordService { service: given.into() }));
    }
    let woman = case(&[Violence::Fisik], AgeGroup::AgeGroup1824, Sex::Perempuan);
    log.submitted_by(NEXT_AREA, "c2", "2028-03-31T23:59:59.999", "2028-04-02T00:00:00", Content::CaseReport(woman));
    let boy = case(&[Violence::Psikis], AgeGroup::AgeGroup05, Sex::LakiLaki);
    let at = "2028-04-01T00:00:00";
    log.submitted_by("53.71.05.1001", "c3", at, at, Content::CaseReport(boy));
    log
}

fn table(log: &Log, first: &str, last: &str, prefix: &str, dimensions: &[Dimension]) -> v1::CrossTableResponse {
    let asked = Asked {
        first_period: first.into(),
        last_period: last.into(),
        area_prefix: prefix.into(),
        dimensions: dimensions.to_vec(),
    };
    log.ledger().cross_table(&asked, local(NOW))
}

fn cells(table: &v1::CrossTableResponse) -> Vec<(String, u64)> {
    table.cells.iter().map(|cell| (cell.codes.join(" x "), cell.cases)).collect()
}

fn counted(log: &Log, dimension: Dimension) -> Vec<(String, u64)> {
    cells(&table(log, "2028", "", "", &[dimension]))
}

fn expected(cells: &[(&str, u64)]) -> Vec<(String, u64)> {
    cells.iter().map(|(codes, cases)| ((*codes).to_owned(), *cases)).collect()
}

#[test]
fn a_case_counts_once_in_each_cell_that_it_belongs_to_and_once_in_a_sum() {
    let log = given();
    let violence = [("", 3), ("VIOLENCE_FISIK", 1), ("VIOLENCE_PSIKIS", 2), ("VIOLENCE_SEKSUAL", 1)];
    assert_eq!(counted(&log, Dimension::Violence), expected(&violence));
    let electronic = [
        ("", 3),
        ("ELECTRONIC_VIOLENCE_PEREKAMAN", 1),
        ("ELECTRONIC_VIOLENCE_TRANSMISI", 1),
        ("ELECTRONIC_VIOLENCE_UNSPECIFIED", 2),
    ];
    assert_eq!(counted(&log, Dimension::Electronic), expected(&electronic));
    let services = [("", 3), ("SERVICE_KESEHATAN", 1), ("SERVICE_PSIKOLOGIS", 1), ("SERVICE_UNSPECIFIED", 2)];
    assert_eq!(counted(&log, Dimension::Service), expected(&services));
    assert_eq!(counted(&log, Dimension::VictimGroup), expected(&[("", 3), ("ANAK", 2), ("PEREMPUAN", 1)]));
    assert_eq!(counted(&log, Dimension::Disability), expected(&[("", 3), ("TIDAK", 3)]));
    assert_eq!(counted(&log, Dimension::Month), expected(&[("", 3), ("2028-01", 1), ("2028-03", 1), ("2028-04", 1)]));
    assert_eq!(counted(&log, Dimension::Kecamatan), expected(&[("", 3), ("53.71.04", 2), ("53.71.05", 1)]));
}

#[test]
fn three_dimensions_have_every_sum_over_one_two_and_all_of_them() {
    let log = given();
    let dimensions = [Dimension::Violence, Dimension::VictimGroup, Dimension::Kecamatan];
    let table = table(&log, "2028-01", "2028-03", "", &dimensions);
    let expected = expected(&[
        (" x  x ", 2),
        (" x  x 53.71.04", 2),
        (" x ANAK x ", 1),
        (" x ANAK x 53.71.04", 1),
        (" x PEREMPUAN x ", 1),
        (" x PEREMPUAN x 53.71.04", 1),
        ("VIOLENCE_FISIK x  x ", 1),
        ("VIOLENCE_FISIK x  x 53.71.04", 1),
        ("VIOLENCE_FISIK x PEREMPUAN x ", 1),
        ("VIOLENCE_FISIK x PEREMPUAN x 53.71.04", 1),
        ("VIOLENCE_PSIKIS x  x ", 1),
        ("VIOLENCE_PSIKIS x  x 53.71.04", 1),
        ("VIOLENCE_PSIKIS x ANAK x ", 1),
        ("VIOLENCE_PSIKIS x ANAK x 53.71.04", 1),
        ("VIOLENCE_SEKSUAL x  x ", 1),
        ("VIOLENCE_SEKSUAL x  x 53.71.04", 1),
        ("VIOLENCE_SEKSUAL x ANAK x ", 1),
        ("VIOLENCE_SEKSUAL x ANAK x 53.71.04", 1),
    ]);
    assert_eq!(cells(&table), expected, "the boy's case is of April");
    let period = table.period.unwrap();
    assert_eq!(period.code, "2028-01/2028-03");
    assert_eq!(period.start, Some(message(local("2028-01-01T00:00:00"))));
    assert_eq!(period.end, Some(message(local("2028-04-01T00:00:00"))));
}

#[test]
fn a_part_of_the_city_a_part_of_the_time_and_the_current_year() {
    let log = given();
    let sum = |first: &str, last: &str, prefix: &str| cells(&table(&log, first, last, prefix, &[Dimension::Year]));
    assert_eq!(sum("", "", ""), expected(&[("", 3), ("2028", 3)]));
    assert_eq!(sum("2028-03", "", ""), expected(&[("", 1), ("2028", 1)]));
    assert_eq!(sum("2028-Q1", "2028-Q2", "53.71.05"), expected(&[("", 1), ("2028", 1)]));
    assert_eq!(sum("2027", "", ""), []);
}

#[test]
fn a_case_counts_by_its_current_report_and_a_merged_one_not_at_all() {
    let mut log = given();
    let man = case(&[Violence::Penelantaran], AgeGroup::AgeGroup60Up, Sex::LakiLaki);
    let replacement = v1::amendment::Replacement::CaseReport(man);
    log.submitted("a1", "2028-05-01T08:00:00", amendment("c1", Some("2027-12-31T23:59:59.999"), replacement));
    let cells_2027 = cells(&table(&log, "2027", "", "", &[Dimension::VictimGroup, Dimension::Violence]));
    assert_eq!(cells_2027[0], (" x ".to_owned(), 1));
    assert_eq!(cells_2027[3], ("LAKI_LAKI x VIOLENCE_PENELANTARAN".to_owned(), 1));
    log.step("c3", "2028-05-02T08:00:00", Step::Merge(v1::MergeCase { into_case_id: "c2".into() }));
    assert_eq!(counted(&log, Dimension::Violence), expected(&[("", 1), ("VIOLENCE_FISIK", 1)]));
}

#[test]
fn a_victim_is_a_child_up_to_17_and_else_a_woman_or_a_man() {
    let mut log = Log::given();
    let ages = [AgeGroup::AgeGroup05, AgeGroup::AgeGroup612, AgeGroup::AgeGroup1317, AgeGroup::AgeGroup1824];
    for (index, age) in ages.into_iter().enumerate() {
        for (sex, letter) in [(Sex::Perempuan, 'p'), (Sex::LakiLaki, 'l')] {
            let report = Content::CaseReport(case(&[Violence::Fisik], age, sex));
            log.submitted(&format!("{letter}{index}"), "2028-05-01T08:00:00", report);
        }
    }
    let groups = [("", 8), ("ANAK", 6), ("LAKI_LAKI", 1), ("PEREMPUAN", 1)];
    assert_eq!(counted(&log, Dimension::VictimGroup), expected(&groups));
}

#[test]
fn a_case_of_an_institution_is_of_the_kecamatan_in_which_it_stood_when_the_case_was_reported() {
    let mut log = given();
    let boy = case(&[Violence::Psikis], AgeGroup::AgeGroup612, Sex::LakiLaki);
    log.submitted_by(SCHOOL, "c4", "2028-05-01T08:00:00", "2028-05-01T08:00:00", Content::CaseReport(boy));
    log.entered("2028-06-01T08:00:00", "2028-01-01", Entry::Institution(school("53.71.05.1001")));
    assert_eq!(counted(&log, Dimension::Kecamatan), expected(&[("", 4), ("53.71.04", 3), ("53.71.05", 1)]));
}
