//! Areas and institutions over time: each day counts as it was, and each moment as it was known.

use satgas_domain::{
    id::Level,
    registry::Change,
    time::Period,
    views::{EvaluatedBody, ListQuery, Subject},
};
use satgas_proto::v1::{self, IndicatorKind, evaluation, registry_entry::Entry, submission::Content};

use crate::support::*;

const NOW: &str = "2028-06-30T12:00:00";

fn from(day: &str, entry: v1::RegistryEntry) -> v1::RegistryEntry {
    v1::RegistryEntry { effective_on: day.into(), ..entry }
}

fn schools(log: &Log, code: &str, period: &str, now: &str) -> Fraction {
    log.fraction(IndicatorKind::SchoolCoverage, kelurahan(code), period, now)
}

#[test]
fn a_school_that_moved_counts_in_each_period_where_it_stood_at_its_end() {
    let mut log = given([]);
    let before = log.then_goes_on(submission(1, "2028-04-01T08:00:00", Content::SchoolVisit(visit(&[]))), NOW);
    log.then_goes_on(from("2028-05-15", school(SCHOOL, TIGA)), NOW);
    let at_end_of = |period| (schools(&log, SATU, period, NOW), schools(&log, TIGA, period, NOW));
    assert_eq!(at_end_of("2028-04"), (Some((1, 2)), None), "April is as it was");
    assert_eq!(at_end_of("2028-Q2"), (Some((0, 1)), Some((1, 1))), "it has moved within the quarter");
    assert_eq!(schools(&log, TIGA, "2028-05", "2028-05-15T00:00:00"), None, "on the day before it had not moved");
    assert_eq!(schools(&log, TIGA, "2028-05", "2028-05-15T00:00:00.001"), Some((0, 1)));
    // What was known before the move was recorded stays what was known.
    let known = log.known_at(before, NOW).evaluate(kelurahan(SATU), &Period::parse("2028-Q2").unwrap()).unwrap();
    assert_eq!(known.indicators[2].denominator, 2);
}

#[test]
fn a_correction_holds_from_the_day_of_the_state_that_it_corrects() {
    let mut log = given([]);
    log.then_goes_on(from("2028-05-15", school(SCHOOL, TIGA)), NOW);
    // The move had been to another kelurahan than was entered.
    log.then_goes_on(school(SCHOOL, DUA), NOW);
    assert_eq!(schools(&log, SATU, "2028-04", NOW), Some((0, 2)));
    assert_eq!((schools(&log, TIGA, "2028-05", NOW), schools(&log, DUA, "2028-05", NOW)), (None, Some((0, 1))));
    log.when(school(SCHOOL, DUA), NOW).then(Answer::Registers(Change::Unchanged));
    log.when(from("2028-05-15", school(SCHOOL, DUA)), NOW).then(Answer::Registers(Change::Unchanged));
    log.when(from("2028-05-16", school(SCHOOL, DUA)), NOW).then(Answer::Registers(Change::Changed));
}

#[test]
fn what_is_stated_from_an_earlier_day_on_replaces_what_was_to_come() {
    let mut log = given([]);
    log.then_goes_on(from("2028-05-15", school(SCHOOL, TIGA)), NOW);
    log.then_goes_on(from("2028-03-01", school(SCHOOL, DUA)), NOW);
    let stands = |period| [SATU, DUA, TIGA].map(|code| schools(&log, code, period, NOW).map_or(0, |(_, of)| of));
    assert_eq!((stands("2028-02"), stands("2028-03"), stands("2028-06")), ([2, 0, 0], [1, 1, 0], [1, 1, 0]));
}

#[test]
fn the_same_entries_again_change_nothing_though_each_of_them_would() {
    let mut log = given([]);
    let entries =
        [school(SCHOOL, SATU), from("2028-03-01", school(SCHOOL, DUA)), from("2028-05-15", school(SCHOOL, TIGA))];
    assert_eq!(log.entered(&entries), (2, 1, 0));
    for entry in &entries[1..] {
        log.then_goes_on(entry.clone(), NOW);
    }
    assert_eq!(log.entered(&entries), (0, 3, 0), "sent again as it was");
    let corrected = [entries[0].clone(), entries[1].clone(), from("2028-05-16", school(SCHOOL, TIGA))];
    assert_eq!(log.entered(&corrected), (3, 0, 0), "the move was a day later");
}

#[test]
fn a_file_from_before_a_move_is_refused_instead_of_taking_the_move_back() {
    let mut log = given([]);
    log.then_goes_on(from("2028-05-15", school(SCHOOL, TIGA)), NOW);
    assert_eq!(log.entered(&[school(SCHOOL, SATU), school(OTHER_SCHOOL, SATU)]), (0, 1, 1));
    assert_eq!(log.entered(&[from("2028-06-01", school(SCHOOL, SATU))]), (1, 0, 0), "it moves back, and says when");
    assert_eq!(log.entered(&[from("2028-05-15", school(SCHOOL, SATU))]), (1, 0, 0), "it never moved");
}

#[test]
fn a_day_is_stated_for_areas_and_institutions_that_are_known() {
    let log = given([]);
    let refused_for = |entry| log.when(from("2028-05-15", entry), NOW).then(refused(["effective_on"]));
    refused_for(school("90000009", SATU));
    refused_for(task_force("tf-1", of_area(SATU), "2027-02-01", ""));
    refused_for(member("m-1", "2028-01-01", "", &[]));
    log.when(from("15 Mei", school(SCHOOL, SATU)), NOW).then(refused(["effective_on"]));
}

fn listed(log: &Log, period: &str) -> Vec<(String, String)> {
    let known = log.known(NOW);
    let (period, level) = (Period::parse(period).expect("a period"), Some(Level::Kelurahan));
    let query = ListQuery { period, prefix: "53.71.04", level, body: EvaluatedBody::Kelurahan, draft: None };
    let named = |e: v1::Evaluation| match e.subject {
        Some(evaluation::Subject::AreaCode(code)) => (code, e.name),
        other => panic!("an area was asked for, not {other:?}"),
    };
    known.evaluations(&query, &known.listed(&query)).into_iter().map(named).collect()
}

/// `SATU` is split on the first of May.
fn split() -> Log {
    let mut log = given([]);
    let part = |code: &str, name: &str| v1::Area {
        code: code.into(),
        name: name.into(),
        valid_from: "2028-05-01".into(),
        valid_until: String::new(),
        succeeds_codes: vec![SATU.into()],
    };
    let Some(Entry::Area(satu)) = area(SATU, "Satu").entry else { panic!("an area") };
    let ended = v1::Area { valid_until: "2028-04-30".into(), ..satu };
    for area in [part("53.71.04.1008", "Satu Utara"), part("53.71.04.1009", "Satu Selatan"), ended] {
        log.then_goes_on(entry(Entry::Area(area)), NOW);
    }
    log
}

#[test]
fn a_split_kelurahan_is_listed_until_its_last_day_and_its_parts_from_their_first() {
    let log = split();
    let codes = |period| listed(&log, period).into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    assert_eq!(codes("2028-04"), [SATU, DUA]);
    assert_eq!(codes("2028-05"), [DUA, "53.71.04.1008", "53.71.04.1009"]);
    assert_eq!(codes("2028-Q2"), [SATU, DUA, "53.71.04.1008", "53.71.04.1009"]);
}

#[test]
fn a_kelurahan_that_ended_since_is_still_compared_with_what_it_was() {
    let mut log = given([]);
    let then = log.then_goes_on(submission(1, "2028-04-01T08:00:00", Content::SchoolVisit(visit(&[]))), NOW);
    log.then_goes_on(submission(2, "2028-04-02T08:00:00", retracts(1)), NOW);
    let Some(Entry::Area(satu)) = area(SATU, "Satu").entry else { panic!("an area") };
    let ended = v1::Area { valid_until: "2028-03-31".into(), ..satu };
    log.then_goes_on(entry(Entry::Area(ended)), NOW);
    let (then, now) = (log.known_at(then, NOW), log.known(NOW));
    let (period, level, body) = (Period::parse("2028-04").unwrap(), Some(Level::Kelurahan), EvaluatedBody::Kelurahan);
    let query = ListQuery { period: period.clone(), prefix: "", level, body, draft: None };
    let changed = |subjects: Vec<_>| {
        let changes = subjects.into_iter().filter_map(|subject| now.change_since(&then, subject, body, &period));
        changes.map(|change| change.now.unwrap().name).collect::<Vec<_>>()
    };
    assert_eq!(changed(now.listed(&query)), Vec::<String>::new(), "it is not listed any more");
    assert_eq!(changed(now.listed_since(&then, &query)), ["Satu"]);
}

#[test]
fn records_are_taken_within_the_days_of_their_area() {
    let log = split();
    let visited = |occurred| submission(1, occurred, Content::SchoolVisit(visit(&[])));
    log.when(visited("2028-04-30T23:59:59.999"), NOW).then(taken(SATU, ""));
    log.when(visited("2028-05-01T00:00:00"), NOW).then(refused(["occurred_at"]));
    log.when(by("53.71.04.1008", visited("2028-04-30T23:59:59.999")), NOW).then(refused(["occurred_at"]));
    log.when(by("53.71.04.1008", visited("2028-05-01T00:00:00")), NOW).then(taken("53.71.04.1008", ""));
}

#[test]
fn a_renamed_kelurahan_is_called_in_each_period_what_it_was_called_at_its_end() {
    let mut log = given([]);
    log.then_goes_on(from("2028-05-01", area(SATU, "Satu Baru")), NOW);
    let name = |period| listed(&log, period)[0].1.clone();
    assert_eq!((name("2028-04"), name("2028-05")), ("Satu".to_owned(), "Satu Baru".to_owned()));
}

#[test]
fn institutions_are_summed_beside_the_areas_and_never_with_them() {
    let mut log = given([]);
    log.then_goes_on(by(SCHOOL, submission(1, "2028-04-01T08:00:00", Content::SchoolVisit(visit(&[])))), NOW);
    log.then_goes_on(submission(2, "2028-04-02T08:00:00", Content::SchoolVisit(visit(&[]))), NOW);
    let visits = |subject| log.evaluation(subject, "2028-04", NOW).activity.unwrap().visits;
    let institutions = |code| Subject::Area(code, EvaluatedBody::Institutions);
    assert_eq!((visits(kelurahan("53.71")), visits(institutions("53.71"))), (1, 1));
    assert_eq!(
        (visits(institutions(SATU)), visits(institutions(DUA)), visits(Subject::Institution(SCHOOL))),
        (1, 0, 1)
    );
    let reports = log.fraction(IndicatorKind::ReportingCompleteness, institutions("53.71"), "2028-04", NOW);
    assert_eq!(reports, Some((0, 1)), "of its one task force in a school");
}
