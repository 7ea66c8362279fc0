//! The comparisons see what differs: each is given an answer and the same answer with one thing changed.

use satgas_proto::v1::{self, AreaLevel, Dimension, EvaluatedBody, IndicatorKind, submission::Content};

use super::{
    super::{OpenConflict, compare, tables::Asked},
    AREA, Log, Subject, case_report, local, report_content, visit,
};

const NOW: &str = "2028-05-10T00:00:00";

fn given() -> Log {
    let mut log = Log::given();
    log.submitted("r1", "2028-04-01T08:00:00", report_content("2028-03"));
    log.submitted("v1", "2028-03-01T08:00:00", Content::SchoolVisit(visit(&["2028-03-10"])));
    log
}

fn told(what: &str, compared: Result<(), String>) {
    let difference = compared.expect_err("something was changed");
    assert!(difference.contains(what), "{difference}");
}

#[test]
fn an_evaluation_that_misses_fewer_or_is_of_others_differs() {
    let of = |subject| given().ledger().evaluate(&subject, "2028-03", local(NOW));
    let evaluation = of(Subject::Area(AREA.into()));
    assert_eq!(compare::evaluation(&evaluation, &evaluation), Ok(()));
    let without_body = v1::Evaluation { body: EvaluatedBody::Unspecified.into(), ..evaluation.clone() };
    assert_eq!(compare::evaluation(&without_body, &evaluation), Ok(()), "left unspecified it is the kelurahan's own");
    told("follow-ups missed", compare::evaluation(&v1::Evaluation { missed: None, ..evaluation.clone() }, &evaluation));
    let institutions = v1::Evaluation { body: EvaluatedBody::Institution.into(), ..evaluation.clone() };
    told("institutions", compare::evaluation(&institutions, &evaluation));
}

#[test]
fn an_item_without_its_due_time_its_event_or_its_area_differs() {
    let area = Subject::Area("53.71".into());
    let items = given().ledger().explained(&area, "2028-03", IndicatorKind::FollowUpDiscipline, local(NOW));
    assert_eq!(items.len(), 1);
    assert_eq!(compare::items(&items, &items), Ok(()));
    for change in [
        |item: &mut v1::Item| item.due_at = None,
        |item: &mut v1::Item| item.missed_position = 9,
        |item: &mut v1::Item| item.area_code.clear(),
        |item: &mut v1::Item| item.counts = !item.counts,
        |item: &mut v1::Item| item.detail.clear(),
        |item: &mut v1::Item| item.because_positions.clear(),
        |item: &mut v1::Item| item.evidence_positions.push(3),
    ] {
        let mut changed = items.clone();
        change(&mut changed[0]);
        told("item 0", compare::items(&changed, &items));
    }
    told("none", compare::items(&[], &items));
}

#[test]
fn a_conflict_that_could_be_taken_differs_from_one_that_cannot() {
    let cause = v1::ConflictCause::AlreadyAmended;
    let listed = |can_be_taken| v1::Conflict { position: 4, cause: cause.into(), can_be_taken, ..Default::default() };
    let open = [OpenConflict { position: 4, cause, can_be_taken: true }];
    assert_eq!(compare::conflicts(&[listed(true)], &open), Ok(()));
    told("that can be taken", compare::conflicts(&[listed(false)], &open));
    told("none", compare::conflicts(&[], &open));
}

#[test]
fn trends_may_lie_a_rounding_apart_and_no_more() {
    let log = given();
    let trends = log.ledger().trends(AreaLevel::Kelurahan, EvaluatedBody::Kelurahan, AREA, "2028-03", local(NOW));
    let trend = &trends[0];
    let moved = |by: f64| {
        let mut moved = trend.clone();
        moved.indicators[0].low = moved.indicators[0].low.map(|low| low + by);
        moved
    };
    assert_eq!(compare::trend(trend, trend), Ok(()));
    assert_eq!(compare::trend(&moved(5e-13), trend), Ok(()));
    told("low of", compare::trend(&moved(2e-12), trend));
    let changed = |change: &dyn Fn(&mut v1::Trend)| {
        let mut changed = trend.clone();
        change(&mut changed);
        compare::trend(&changed, trend)
    };
    told("rank in the kota", changed(&|it| it.rank_in_kota = None));
    told("score change", changed(&|it| it.score_change_previous = Some(54.5)));
    told("the period before", changed(&|it| it.previous = None));
    told("in a year", changed(&|it| it.indicators[0].year_before = None));
    let unclear = |change: v1::IndicatorChange| v1::IndicatorChange { is_clear: !change.is_clear, ..change };
    told("clearness", changed(&|it| it.indicators[0].previous = it.indicators[0].previous.map(unclear)));
}

#[test]
fn a_table_with_another_count_or_order_differs() {
    let mut log = given();
    log.submitted("c1", "2028-04-01T08:00:00", case_report());
    let asked = Asked {
        first_period: "2028".into(),
        last_period: String::new(),
        area_prefix: String::new(),
        dimensions: vec![Dimension::Month],
    };
    let table = log.ledger().cross_table(&asked, local(NOW));
    assert_eq!(compare::table(&table, &table), Ok(()));
    let changed = |change: &dyn Fn(&mut v1::CrossTableResponse)| {
        let mut changed = table.clone();
        change(&mut changed);
        compare::table(&changed, &table)
    };
    told("cell 1", changed(&|it| it.cells[1].cases += 1));
    told("cell 0", changed(&|it| it.cells.reverse()));
    told("period", changed(&|it| it.period = None));
}
