//! Areas and institutions that change: on which day what holds, and who is listed.

use satgas_proto::v1::{self, AreaLevel, EvaluatedBody, InstitutionKind, submission::Content, task_force::Home};

use super::{
    AREA, Entry, Log, NEXT_AREA, SCHOOL, Subject, case_report, local, month_amendment, report_content, school, signal,
    visit,
};

const NOW: &str = "2028-08-01T00:00:00";

fn coverage(log: &Log, area: &str, period: &str, now: &str) -> (u64, u64) {
    let coverage = log.evaluation(area, period, now).indicators[2];
    (coverage.numerator, coverage.denominator)
}

/// A log in which the school stands in the other kelurahan from 15 February on, as was recorded on 20 May.
fn moved() -> Log {
    let mut log = Log::given();
    log.submitted("v1", "2028-01-10T08:00:00", Content::SchoolVisit(visit(&[])));
    log.entered("2028-05-20T08:00:00", "2028-02-15", Entry::Institution(school(NEXT_AREA)));
    log
}

#[test]
fn a_school_that_moved_in_mid_quarter_is_covered_where_it_stood_on_the_last_day() {
    let log = moved();
    assert_eq!(coverage(&log, AREA, "2028-01", NOW), (1, 1));
    assert_eq!(coverage(&log, NEXT_AREA, "2028-01", NOW), (0, 0));
    assert_eq!(coverage(&log, AREA, "2028-Q1", NOW), (0, 0));
    assert_eq!(coverage(&log, NEXT_AREA, "2028-Q1", NOW), (1, 1));
    // Day d of a cut at the start of 15 February is the 14th.
    assert_eq!(coverage(&log, AREA, "2028-Q1", "2028-02-15T00:00:00"), (1, 1));
    assert_eq!(coverage(&log, NEXT_AREA, "2028-Q1", "2028-02-15T00:00:00.001"), (1, 1));
    assert!(log.ledger().defects().is_empty());
}

#[test]
fn a_correction_holds_from_the_same_day_and_an_earlier_day_takes_out_the_later_states() {
    let mut log = moved();
    log.entered("2028-05-21T08:00:00", "", Entry::Institution(school("53.71.04.1009")));
    assert_eq!(coverage(&log, AREA, "2028-01", NOW), (1, 1), "before 15 February it stays so");
    assert_eq!(coverage(&log, NEXT_AREA, "2028-Q1", NOW), (0, 0), "from then on it never stood there");
    log.entered("2028-05-22T08:00:00", "2028-01-20", Entry::Institution(school(NEXT_AREA)));
    assert_eq!(coverage(&log, NEXT_AREA, "2028-01", NOW), (1, 1));
    assert_eq!(coverage(&log, NEXT_AREA, "2028", NOW), (1, 1));
}

#[test]
fn a_kind_counts_as_of_its_day_and_the_last_day_of_existence_as_the_latest_state_gives_it() {
    let mut log = Log::given();
    let office = v1::Institution { kind: InstitutionKind::Kantor.into(), ..school(AREA) };
    log.entered("2028-05-20T08:00:00", "2028-03-01", Entry::Institution(office.clone()));
    assert_eq!(coverage(&log, AREA, "2028-02", NOW), (0, 1));
    assert_eq!(coverage(&log, AREA, "2028-03", NOW), (0, 0));
    let ended = v1::Institution { valid_until: "2028-01-31".into(), ..office };
    log.entered("2028-05-21T08:00:00", "", Entry::Institution(ended));
    assert_eq!(coverage(&log, AREA, "2028-01", NOW), (0, 1));
    assert_eq!(coverage(&log, AREA, "2028-02", NOW), (0, 0), "it was a school then, and had ended");
}

#[test]
fn a_case_and_a_conflict_stay_where_the_school_stood_when_they_occurred_as_was_known_then() {
    let mut log = Log::given();
    log.submitted_by(SCHOOL, "c1", "2028-02-20T08:00:00", "2028-02-20T08:00:00", case_report());
    log.entered("2028-05-20T08:00:00", "2028-02-15", Entry::Institution(school(NEXT_AREA)));
    log.submitted_by(SCHOOL, "c2", "2028-02-14T08:00:00", "2028-05-21T08:00:00", case_report());
    log.submitted_by(SCHOOL, "c3", "2028-02-15T00:00:00", "2028-05-21T08:00:00", case_report());
    log.conflicting(SCHOOL, "c1", "2028-02-14T23:59:59.999", signal("f", &[SCHOOL]));
    log.conflicting(SCHOOL, "c1", "2028-02-15T00:00:00", signal("f", &[SCHOOL]));
    let figures = |area: &str| {
        let evaluation = log.evaluation(area, "2028-02", NOW);
        (evaluation.cases.unwrap().reported, evaluation.open_conflicts)
    };
    assert_eq!((figures(AREA), figures(NEXT_AREA)), ((2, 1), (1, 1)));
    let school = log.ledger().evaluate(&Subject::Institution(SCHOOL.into()), "2028-02", local(NOW));
    assert_eq!((school.cases.unwrap().reported, school.open_conflicts), (3, 2));
}

#[test]
fn institutions_are_summed_where_they_stand_on_the_last_day_and_apart_from_the_kelurahan() {
    let mut log = moved();
    log.submitted_by(SCHOOL, "s1", "2028-02-01T08:00:00", "2028-02-01T08:00:00", signal("f", &[SCHOOL]));
    let signals = |subject: Subject, period: &str| {
        log.ledger().evaluate(&subject, period, local(NOW)).activity.unwrap().exposure_signals
    };
    let institutions = |area: &str| Subject::InstitutionsIn(area.into());
    assert_eq!((signals(institutions(AREA), "2028-Q1"), signals(institutions(NEXT_AREA), "2028-Q1")), (0, 1));
    assert_eq!((signals(institutions("53.71"), "2028-Q1"), signals(Subject::Area("53.71".into()), "2028-Q1")), (1, 0));
    let sum = log.ledger().evaluate(&institutions("53.71.04"), "2028-Q1", local(NOW));
    assert_eq!(sum.body(), EvaluatedBody::Institution);
    let fractions: Vec<_> = sum.indicators.iter().map(|it| (it.numerator, it.denominator)).collect();
    assert_eq!(fractions[0], (0, 3), "the school's own task force");
    assert_eq!(fractions[2], (0, 0), "no coverage");
    let items =
        log.ledger().items(&institutions("53.71"), "2028-01", v1::IndicatorKind::ReportingCompleteness, local(NOW));
    assert_eq!((&*items[0].area_code, &*items[0].item_id), (AREA, "tf-s"));
}

#[test]
fn a_split_kelurahan_ends_and_the_new_ones_begin_the_day_after() {
    let mut log = Log::given();
    let area = |code: &str, name: &str, from: &str, until: &str, succeeds: &[&str]| {
        Entry::Area(v1::Area {
            code: code.into(),
            name: name.into(),
            valid_from: from.into(),
            valid_until: until.into(),
            succeeds_codes: succeeds.iter().map(|code| (*code).into()).collect(),
        })
    };
    let at = "2028-02-10T08:00:00";
    log.entered(at, "", area(AREA, "Satu", "2027-01-01", "2028-02-29", &[]));
    log.entered(at, "", area("53.71.04.1021", "Satu Utara", "2028-03-01", "", &[AREA]));
    log.entered(at, "", area("53.71.04.1022", "Satu Selatan", "2028-03-01", "", &[AREA]));
    log.task_force("tf-1", Home::AreaCode(AREA.into()), "2027-01-01", "2028-02-29");
    log.task_force("tf-n", Home::AreaCode("53.71.04.1021".into()), "2028-03-01", "");
    log.submitted("r1", "2028-02-29T23:59:59.999", report_content("2028-02"));
    let ledger = log.ledger();
    assert!(ledger.defects().is_empty(), "{:?}", ledger.defects());
    let listed = |period: &str| {
        let listed = ledger.listed(AreaLevel::Kelurahan, EvaluatedBody::Unspecified, "53.71", period, local(NOW));
        listed.into_iter().map(|subject| if let Subject::Area(code) = subject { code } else { String::new() }).collect()
    };
    let (february, march, quarter): (Vec<String>, Vec<String>, Vec<String>) =
        (listed("2028-02"), listed("2028-03"), listed("2028-Q1"));
    assert_eq!(february, [AREA, NEXT_AREA]);
    assert_eq!(march, [NEXT_AREA, "53.71.04.1021", "53.71.04.1022"]);
    assert_eq!(quarter, [AREA, NEXT_AREA, "53.71.04.1021", "53.71.04.1022"]);
    // January and February of the old one, March of the new one, and three months of the other kelurahan.
    let sum = log.evaluation("53.71.04", "2028-Q1", NOW).indicators[0];
    assert_eq!((sum.numerator, sum.denominator), (1, 2 + 1 + 3));
    let gone = log.submitted("r2", "2028-03-01T00:00:00", report_content("2028-02"));
    let early = log.submitted_by("53.71.04.1021", "r3", "2028-02-29T23:59:59.999", NOW, report_content("2028-02"));
    let words = log.ledger().defects().join(", ");
    assert!(words.contains(&format!("record at {gone} ")) && words.contains(&format!("record at {early} ")), "{words}");
}

#[test]
fn what_ends_on_a_month_s_first_day_exists_within_it_and_what_begins_on_its_last_day_too() {
    let mut log = Log::given();
    let area = |code: &str, from: &str, until: &str| {
        let (code, name) = (code.into(), "Contoh".into());
        let (valid_from, valid_until) = (from.into(), until.into());
        Entry::Area(v1::Area { code, name, valid_from, valid_until, succeeds_codes: vec![] })
    };
    log.entered("2028-01-10T08:00:00", "", area(AREA, "2027-01-01", "2028-03-01"));
    log.entered("2028-01-10T08:00:00", "", area(NEXT_AREA, "2028-02-29", ""));
    let listed = |period: &str| {
        let ledger = log.ledger();
        ledger.listed(AreaLevel::Kelurahan, EvaluatedBody::Kelurahan, "", period, local(NOW))
    };
    let (first, second) = (Subject::Area(AREA.into()), Subject::Area(NEXT_AREA.into()));
    assert_eq!(listed("2028-01"), std::slice::from_ref(&first));
    assert_eq!(listed("2028-02"), [first.clone(), second.clone()]);
    assert_eq!(listed("2028-03"), [first, second.clone()]);
    assert_eq!(listed("2028-04"), [second]);
}

#[test]
fn a_name_is_that_of_the_last_day_of_the_cut() {
    let mut log = Log::given();
    let renamed = |name: &str| {
        Entry::Area(v1::Area {
            code: AREA.into(),
            name: name.into(),
            valid_from: "2027-01-01".into(),
            ..Default::default()
        })
    };
    log.entered("2028-05-20T08:00:00", "2028-02-15", renamed("Satu Baru"));
    assert_eq!(log.evaluation(AREA, "2028-01", NOW).name, "Satu");
    assert_eq!(log.evaluation(AREA, "2028-02", NOW).name, "Satu Baru");
    assert_eq!(log.evaluation(AREA, "2028-02", "2028-02-15T00:00:00").name, "Satu");
    let in_registry = |now: &str| log.ledger().areas_on(local(now))[2].name.clone();
    assert_eq!(in_registry("2028-02-14T23:59:59.999"), "Satu");
    assert_eq!(in_registry("2028-02-15T00:00:00"), "Satu Baru");
}

#[test]
fn an_entry_that_says_nothing_new_or_dates_what_is_new_should_not_be_in_the_log() {
    let mut log = moved();
    assert_eq!(log.ledger().defects().len(), 0);
    log.entered(NOW, "", Entry::Institution(school(NEXT_AREA)));
    log.entered(NOW, "2028-02-15", Entry::Institution(school(NEXT_AREA)));
    assert_eq!(log.ledger().defects().len(), 2);
    log.entered(NOW, "2028-02-16", Entry::Institution(school(NEXT_AREA)));
    assert_eq!(log.ledger().defects().len(), 2, "a state of another day is a change");
    log.entered(
        NOW,
        "2028-02-16",
        Entry::Institution(v1::Institution { institution_id: "new".into(), ..school(AREA) }),
    );
    log.entered(NOW, "2028-02-16", Entry::Member(v1::Member { member_id: "m".into(), ..Default::default() }));
    assert_eq!(log.ledger().defects().len(), 4);
    log.submitted("a1", "2026-12-31T23:59:59.999", month_amendment("r1", "2028-02"));
    assert_eq!(log.ledger().defects().len(), 4, "an amendment is no record");
}
