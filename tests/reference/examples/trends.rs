//! Intervals, changes and ranks, with figures worked out by hand or published.

use satgas_proto::v1::{self, AreaLevel, EvaluatedBody, submission::Content};

use super::{
    super::trends::{before, change, wilson, year_before},
    AREA, Entry, Log, NEXT_AREA, SCHOOL, Subject, local, report, report_content, school, visit,
};

fn near(found: f64, by_hand: f64, within: f64) {
    assert!((found - by_hand).abs() <= within, "{found} is not {by_hand}");
}

#[test]
fn wilson_s_interval_is_that_of_the_formula_worked_out_by_hand() {
    // With n = 0 both parts are z²/2d over 1 + z²/d: from 0 to z² / (d + z²) = 3.841458820694125 / 6.841458820694125.
    let (low, high) = wilson(0, 3);
    near(low, 0.0, 1e-15);
    near(high, 0.561_497_031_755_045_5, 1e-15);
    // centre (0.7 + 0.192072941) / 1.384145882 = 0.644493440; half width 1.959963985 / 1.384145882 * sqrt(0.021 + 0.009603647).
    let (low, high) = wilson(7, 10);
    near(low, 0.396_778_147_461_145_2, 1e-15);
    near(high, 0.892_208_732_593_699, 1e-15);
    // And the mirror of 0 of 3.
    let (low, high) = wilson(3, 3);
    near(low, 1.0 - 0.561_497_031_755_045_5, 1e-15);
    near(high, 1.0, 1e-15);
}

#[test]
fn a_change_has_the_interval_that_newcombe_published_for_his_examples() {
    // Newcombe 1998, table II, method 10.
    for (later, earlier, low, high) in [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ] {
        let change = change(later, earlier);
        near(change.low, low, 5.1e-5);
        near(change.high, high, 5.1e-5);
        assert_eq!(change.is_clear, low > 0.0, "{later:?} after {earlier:?}");
    }
    let change = change((0, 3), (7, 10));
    near(change.difference, -0.7, 1e-15);
    near(change.low, -0.892_208_732_593_699, 1e-15);
    near(change.high, -0.061_860_196_722_676_25, 1e-15);
    assert!(change.is_clear, "a fall, too, can be clear");
}

#[test]
fn the_period_before_goes_over_the_year_s_beginning() {
    let periods = ["2028-03", "2028-01", "2028-Q3", "2028-Q1", "2028-S2", "2028-S1", "2028"];
    assert_eq!(periods.map(before), ["2028-02", "2027-12", "2028-Q2", "2027-Q4", "2028-S1", "2027-S2", "2027"]);
    assert_eq!(periods.map(year_before)[..3], ["2027-03", "2027-01", "2027-Q3"]);
    assert_eq!(year_before("2028"), "2027");
}

/// Two kelurahan of one kecamatan and one of another; the first reported on March, the others did not.
fn given() -> Log {
    let mut log = Log::given();
    for (code, name) in [("53.71.05", "Kecamatan lain"), ("53.71.05.1001", "Tiga")] {
        let valid_from = "2028-03-31".to_owned();
        log.registered(Entry::Area(v1::Area {
            code: code.into(),
            name: name.into(),
            valid_from,
            ..Default::default()
        }));
    }
    let home = v1::task_force::Home::AreaCode("53.71.05.1001".into());
    log.task_force("tf-3", home, "2028-03-31", "");
    log.submitted("r1", "2028-04-01T08:00:00", report_content("2028-03"));
    log
}

const NOW: &str = "2028-05-10T00:00:00";

fn trends(log: &Log, level: AreaLevel, body: EvaluatedBody, prefix: &str, period: &str) -> Vec<v1::Trend> {
    log.ledger().trends(level, body, prefix, period, local(NOW))
}

fn rank(rank: u32, of: u32) -> Option<v1::Rank> {
    Some(v1::Rank { rank, of })
}

#[test]
fn equal_scores_share_a_rank_and_the_next_one_counts_all_that_are_higher() {
    let mut log = given();
    log.submitted_by(NEXT_AREA, "v1", "2028-03-10T08:00:00", "2028-03-10T08:00:00", Content::SchoolVisit(visit(&[])));
    let ranks = |level: AreaLevel, prefix: &str| {
        let trends = trends(&log, level, EvaluatedBody::Unspecified, prefix, "2028-03");
        trends.iter().map(|trend| (trend.rank_in_kota, trend.rank_in_kecamatan)).collect::<Vec<_>>()
    };
    let all = [(rank(1, 3), rank(1, 2)), (rank(2, 3), rank(2, 2)), (rank(2, 3), rank(1, 1))];
    assert_eq!(ranks(AreaLevel::Kelurahan, ""), all, "100, 0 and 0");
    assert_eq!(ranks(AreaLevel::Kelurahan, "53.71.05"), all[2..], "a part of the list is ranked in the whole");
    assert_eq!(ranks(AreaLevel::Kecamatan, ""), [(rank(1, 2), None), (rank(2, 2), None)]);
    assert_eq!(ranks(AreaLevel::Kota, ""), [(None, None)]);
}

#[test]
fn who_does_not_exist_or_has_no_score_is_not_ranked() {
    let log = given();
    let february = trends(&log, AreaLevel::Kelurahan, EvaluatedBody::Unspecified, "", "2028-02");
    assert_eq!(february.len(), 2, "the third begins on the last day of March");
    assert_eq!(february[0].rank_in_kota, rank(1, 2));
    let june = trends(&log, AreaLevel::Kelurahan, EvaluatedBody::Unspecified, "53.71.05", "2028-06");
    assert_eq!((june[0].rank_in_kota, june[0].evaluation.as_ref().unwrap().score), (None, None));
    let first = trends(&log, AreaLevel::Kelurahan, EvaluatedBody::Unspecified, AREA, "2028-06");
    assert_eq!(first[0].rank_in_kota, rank(1, 1), "a school to visit is a score of 0");
}

#[test]
fn a_change_is_told_where_both_periods_have_something_to_measure() {
    let mut log = given();
    log.submitted("r0", "2027-04-01T08:00:00", report_content("2027-03"));
    let trend = trends(&log, AreaLevel::Kelurahan, EvaluatedBody::Unspecified, AREA, "2028-03").remove(0);
    let completeness = trend.indicators[0];
    near(completeness.low.unwrap(), 0.206_549_314_377_237_4, 1e-15);
    near(completeness.high.unwrap(), 1.0, 1e-15);
    // Of 1 the one after 0 of 1: the intervals are 0.2065 to 1 and 0 to 0.7935.
    let previous = completeness.previous.unwrap();
    near(previous.low, 1.0 - (2.0_f64 * 0.793_450_685_622_762_6_f64.powi(2)).sqrt(), 1e-14);
    near(previous.high, 1.0, 1e-15);
    assert!(!previous.is_clear, "one report is too little to speak of a change");
    near(completeness.year_before.unwrap().difference, 0.0, 1e-15);
    assert_eq!((trend.indicators[3].previous, trend.indicators[3].low), (None, None), "no follow-ups");
    // 1/1 of 20, 1/1 of 10, 0/1 of 25 after 0/1 each, and the same a year before.
    near(trend.score_change_previous.unwrap(), 54.55, 1e-12);
    near(trend.score_change_year_before.unwrap(), 0.0, 1e-12);
}

#[test]
fn an_institution_is_ranked_where_it_stands_on_the_last_day() {
    let mut log = given();
    let second = v1::Institution { institution_id: "90000002".into(), ..school("53.71.05.1001") };
    log.registered(Entry::Institution(second));
    log.task_force("tf-t", v1::task_force::Home::InstitutionId("90000002".into()), "2027-01-01", "");
    let content = Content::MonitoringReport(report("tf-t", "2028-03"));
    log.submitted_by("90000002", "r2", "2028-04-01T08:00:00", "2028-04-01T08:00:00", content);
    let ranks = |log: &Log, period: &str| {
        let trends = trends(log, AreaLevel::Institution, EvaluatedBody::Unspecified, "", period);
        trends.iter().map(|trend| (trend.rank_in_kota, trend.rank_in_kecamatan)).collect::<Vec<_>>()
    };
    assert_eq!(ranks(&log, "2028-03"), [(rank(2, 2), rank(1, 1)), (rank(1, 2), rank(1, 1))]);
    log.entered("2028-05-01T08:00:00", "2028-03-31", Entry::Institution(school("53.71.05.1001")));
    assert_eq!(ranks(&log, "2028-03"), [(rank(2, 2), rank(2, 2)), (rank(1, 2), rank(1, 2))]);
    assert_eq!(ranks(&log, "2028-02")[0], (rank(1, 2), rank(1, 1)));
    let listed =
        log.ledger().listed(AreaLevel::Institution, EvaluatedBody::Unspecified, "53.71.04", "2028-02", local(NOW));
    assert_eq!(listed, [Subject::Institution(SCHOOL.into())]);
    let areas = trends(&log, AreaLevel::Kecamatan, EvaluatedBody::Institution, "", "2028-03");
    assert_eq!(areas[1].rank_in_kota, rank(1, 1), "the other kecamatan has no institution any more, and no score");
}
