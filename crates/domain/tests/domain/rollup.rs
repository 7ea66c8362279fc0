//! Areas above the kelurahan are sums, and lists of evaluations are ordered.

use satgas_domain::{
    id::Level,
    time::Period,
    views::{EvaluatedBody, ListQuery, Subject, sort},
};
use satgas_proto::v1::{self, EvaluationOrder, IndicatorKind, evaluation, submission::Content};

use crate::support::*;

const NOW: &str = "2028-03-31T12:00:00";

/// Three kelurahan that did different things in February.
fn february() -> Log {
    let mut log = given([]);
    log.then_goes_on(task_force("tf-3", of_area(TIGA), "2027-01-01", ""), NOW);
    let reports = |n, code: &str, task_force: &str| {
        by(code, submission(n, "2028-03-01T08:00:00", Content::MonitoringReport(report(task_force, "2028-02"))))
    };
    log.then_goes_on(reports(1, SATU, "tf-1"), "2028-03-01T08:00:00");
    log.then_goes_on(reports(2, DUA, "tf-2"), NOW);
    log.then_goes_on(submission(3, "2028-02-20T08:00:00", Content::SchoolVisit(visit(&["2028-02-25"]))), NOW);
    // Responses after 600 s and 1,200 s in one kelurahan, 7,200 s in another.
    for (n, code, served) in [(10, SATU, "08:10:00"), (11, SATU, "08:20:00"), (12, DUA, "10:00:00")] {
        log.then_goes_on(by(code, submission(n, "2028-02-10T08:00:00", Content::CaseReport(case_report()))), NOW);
        let served = format!("2028-02-10T{served}");
        log.then_goes_on(command(n + 100, n, 1, &served, assess(v1::Risk::Tinggi)), NOW);
        log.then_goes_on(command(n + 200, n, 2, &served, serve(v1::Service::Kesehatan)), NOW);
    }
    log
}

#[test]
fn every_numerator_denominator_and_count_is_the_sum_over_the_kelurahan_inside() {
    let log = february();
    let of = |code| log.evaluation(kelurahan(code), "2028-02", NOW);
    for (above, inside) in [("53.71.04", &[SATU, DUA][..]), ("53.71.03", &[TIGA]), ("53.71", &[SATU, DUA, TIGA])] {
        let (sum, parts): (_, Vec<_>) = (of(above), inside.iter().map(|code| of(code)).collect());
        for (index, indicator) in sum.indicators.iter().enumerate() {
            let added = parts.iter().map(|p| &p.indicators[index]);
            let added = added.fold((0, 0), |(n, d), i| (n + i.numerator, d + i.denominator));
            assert_eq!((indicator.numerator, indicator.denominator), added, "{above} {:?}", indicator.kind());
        }
        let figures = |e: &v1::Evaluation| {
            let (a, c) = (e.activity.unwrap(), e.cases.unwrap());
            [a.visits, a.pupils_reached, a.exposure_signals, c.reported, c.open, c.closed, c.overdue, c.in_shelter]
        };
        for (index, figure) in figures(&sum).into_iter().enumerate() {
            assert_eq!(figure, parts.iter().map(|p| figures(p)[index]).sum::<u64>(), "{above} figure {index}");
        }
        let days = |e: &v1::Evaluation| e.activity.unwrap().days_since_last_activity;
        assert_eq!(days(&sum), parts.iter().filter_map(days).min(), "{above}");
    }
}

#[test]
fn the_score_of_an_area_comes_from_the_sums_and_is_no_mean_of_scores() {
    let log = february();
    let score = |code| log.evaluation(kelurahan(code), "2028-02", NOW).score;
    // 20 x 1/1 + 10 x 1/1 + 25 x 1/2 + 20 x 0/1 + 15 x 2/2 = 57.5 of 90.
    assert_eq!(score(SATU), Some(63.89));
    // 20 x 1/1 + 10 x 0/1 + 15 x 0/1 = 20 of 45.
    assert_eq!(score(DUA), Some(44.44));
    // 20 x 2/2 + 10 x 1/2 + 25 x 1/2 + 20 x 0/1 + 15 x 2/3 = 47.5 of 90.
    assert_eq!(score("53.71.04"), Some(52.78));
    // 20 x 2/3 + 10 x 1/3 + 25 x 1/2 + 20 x 0/1 + 15 x 2/3 = 39.1667 of 90.
    assert_eq!(score("53.71"), Some(43.52));
}

#[test]
fn median_and_p90_are_taken_over_the_joined_lists_by_nearest_rank() {
    let log = february();
    let of = |code| {
        let cases = log.evaluation(kelurahan(code), "2028-02", NOW).cases.unwrap();
        (cases.first_response_median_s, cases.first_response_p90_s)
    };
    assert_eq!(of(SATU), (Some(600), Some(1_200)));
    assert_eq!(of(DUA), (Some(7_200), Some(7_200)));
    assert_eq!(of("53.71"), (Some(1_200), Some(7_200)));
    assert_eq!(of(TIGA), (None, None));
}

#[test]
fn conflicts_of_an_institution_count_for_its_kelurahan_as_well() {
    let mut log = february();
    for (n, reporter) in [(30, SCHOOL), (31, SATU), (32, TIGA)] {
        log.then_goes_on(by(reporter, submission(n, "2028-02-10T08:00:00", retracts(12))), NOW);
    }
    let open = |subject| log.evaluation(subject, "2028-02", NOW).open_conflicts;
    assert_eq!(open(Subject::Institution(SCHOOL)), 1);
    assert_eq!(open(kelurahan(SATU)), 2);
    assert_eq!((open(kelurahan("53.71.04")), open(kelurahan("53.71"))), (2, 3));
}

fn codes(log: &Log, prefix: &str, level: Level, order: EvaluationOrder) -> Vec<String> {
    let period = Period::parse("2028-02").expect("a period");
    let known = log.known(NOW);
    let query = ListQuery { period, prefix, level: Some(level), body: EvaluatedBody::Kelurahan, draft: None };
    let mut list = known.evaluations(&query, &known.listed(&query));
    sort(&mut list, order);
    list.into_iter()
        .map(|e| match e.subject {
            Some(evaluation::Subject::AreaCode(code)) => code,
            other => panic!("an area was asked for, not {other:?}"),
        })
        .collect()
}

#[test]
fn a_list_is_of_one_level_within_whole_segments_and_in_the_order_asked_for() {
    let log = february();
    let list = |prefix, level| codes(&log, prefix, level, EvaluationOrder::Unspecified);
    assert_eq!(list("", Level::Kelurahan), [TIGA, SATU, DUA]);
    assert_eq!(list("53.71.04", Level::Kelurahan), [SATU, DUA]);
    assert_eq!(list("53.71.0", Level::Kelurahan), Vec::<String>::new());
    assert_eq!(list("53.71", Level::Kecamatan), ["53.71.03", "53.71.04"]);
    let ordered = |order| codes(&log, "", Level::Kelurahan, order);
    assert_eq!(ordered(EvaluationOrder::ScoreAscending), [TIGA, DUA, SATU]);
    assert_eq!(ordered(EvaluationOrder::ScoreDescending), [SATU, DUA, TIGA]);
    assert_eq!(ordered(EvaluationOrder::Name), [DUA, SATU, TIGA]);
    assert_eq!(ordered(EvaluationOrder::SilentLongest), [TIGA, DUA, SATU]);
}

#[test]
fn what_touched_an_area_is_told_with_the_position_that_did() {
    let mut log = february();
    let before = log.views.position();
    assert_eq!(log.views.changed_after(before, "").count(), 0);
    // A visit of one kelurahan to a school in another changes both.
    let position =
        log.then_goes_on(by(TIGA, submission(40, "2028-02-20T08:00:00", Content::SchoolVisit(visit(&[])))), NOW);
    let mut changed: Vec<_> = log.views.changed_after(before, "").collect();
    changed.sort_unstable();
    assert_eq!(changed, [(TIGA, position), (SATU, position)]);
    assert_eq!(log.views.changed_after(before, "53.71.03").collect::<Vec<_>>(), [(TIGA, position)]);
    let coverage = log.fraction(IndicatorKind::SchoolCoverage, kelurahan(SATU), "2028-02", NOW);
    assert_eq!(coverage, Some((1, 2)));
}
