//! Everything that comes as a list: evaluations in every order, trends with ranks, cross tables, the registry.

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use rand::{
    RngExt as _,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, AreaLevel, Dimension, EvaluatedBody, EvaluationOrder};

use crate::door::Door;
use crate::{
    head,
    reference::{Ledger, compare, tables::Asked},
    support::answers::{self, Moment},
};

/// Cross tables of each history that are asked for.
const TABLES: usize = 12;

const LEVELS: [(AreaLevel, EvaluatedBody); 7] = [
    (AreaLevel::Kota, EvaluatedBody::Unspecified),
    (AreaLevel::Kecamatan, EvaluatedBody::Kelurahan),
    (AreaLevel::Kelurahan, EvaluatedBody::Unspecified),
    (AreaLevel::Kota, EvaluatedBody::Institution),
    (AreaLevel::Kecamatan, EvaluatedBody::Institution),
    (AreaLevel::Kelurahan, EvaluatedBody::Institution),
    (AreaLevel::Institution, EvaluatedBody::Unspecified),
];

const ORDERS: [EvaluationOrder; 5] = [
    EvaluationOrder::Unspecified,
    EvaluationOrder::ScoreAscending,
    EvaluationOrder::ScoreDescending,
    EvaluationOrder::Name,
    EvaluationOrder::SilentLongest,
];

const DIMENSIONS: [Dimension; 12] = [
    Dimension::Violence,
    Dimension::Electronic,
    Dimension::Place,
    Dimension::Age,
    Dimension::Sex,
    Dimension::Disability,
    Dimension::Service,
    Dimension::Offender,
    Dimension::VictimGroup,
    Dimension::Month,
    Dimension::Year,
    Dimension::Kecamatan,
];

/// Compares every kind of list with the reference.
pub(crate) async fn check(
    channel: &Door,
    events: &[v1::Event],
    periods: &[String],
    now: Timestamp,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<()> {
    let ledger = Ledger::of(events);
    let moment = Moment::now(head(events));
    check_orders(channel, &ledger, &periods[periods.len() / 2], now, &moment).await?;
    check_orders(channel, &ledger, periods.choose(rng).context("a history has periods")?, now, &moment).await?;
    for _ in 0..2 {
        check_trends(channel, &ledger, periods.choose(rng).context("a history has periods")?, now, &moment).await?;
    }
    for _ in 0..TABLES {
        check_table(channel, &ledger, asked(periods, &ledger, rng), now, &moment).await?;
    }
    check_registry(channel, &ledger, now, &moment).await
}

/// Compares the lists of evaluations: every level, every order, and inside one kecamatan.
async fn check_orders(
    channel: &Door,
    ledger: &Ledger,
    period: &str,
    now: Timestamp,
    moment: &Moment,
) -> anyhow::Result<()> {
    for (level, body) in LEVELS {
        for area_prefix in ["", "53.71.05"] {
            let listed = ledger.listed(level, body, area_prefix, period, now);
            let by_code: Vec<_> = listed.iter().map(|subject| ledger.evaluate(subject, period, now)).collect();
            for order in ORDERS {
                let mut expected = by_code.clone();
                sort(&mut expected, order);
                let request = v1::ListEvaluationsRequest {
                    period: period.to_owned(),
                    area_prefix: area_prefix.into(),
                    level: level.into(),
                    body: body.into(),
                    order: order.into(),
                    page_size: 2,
                    page_token: String::new(),
                    min_position: moment.min_position,
                    as_of: moment.as_of,
                };
                let served = answers::evaluations(channel, request).await?;
                let level = level.as_str_name();
                let what = format!("{level} of {body:?} in {area_prefix:?} by {}", order.as_str_name());
                same_list(&served, &expected)
                    .map_err(|difference| anyhow!("list of {what} in {period} as of {now}: {difference}"))?;
            }
        }
    }
    Ok(())
}

/// Compares the trends of every level, of everybody and inside one kecamatan.
async fn check_trends(
    channel: &Door,
    ledger: &Ledger,
    period: &str,
    now: Timestamp,
    moment: &Moment,
) -> anyhow::Result<()> {
    for (level, body) in LEVELS {
        for area_prefix in ["", "53.71.05"] {
            let request = v1::ListTrendsRequest {
                period: period.to_owned(),
                area_prefix: area_prefix.into(),
                level: level.into(),
                body: body.into(),
                page_size: 3,
                page_token: String::new(),
                min_position: moment.min_position,
                as_of: moment.as_of,
            };
            let served = answers::trends(channel, request).await?;
            let expected = ledger.trends(level, body, area_prefix, period, now);
            let what = format!("trends of {} of {body:?} in {area_prefix:?}", level.as_str_name());
            let whom = |list: &[v1::Trend]| {
                let evaluations = list.iter().map(|trend| trend.evaluation.clone().unwrap_or_default());
                evaluations.map(|evaluation| format!("{:?}", evaluation.subject)).collect::<Vec<_>>()
            };
            let each =
                || served.iter().zip(&expected).try_for_each(|(served, expected)| compare::trend(served, expected));
            compare::lists("trend", &whom(&served), &whom(&expected))
                .and_then(|()| each())
                .map_err(|difference| anyhow!("{what} in {period} as of {now}: {difference}"))?;
        }
    }
    Ok(())
}

/// A table out of the air: one to three dimensions, over one period or from one to another.
fn asked(periods: &[String], ledger: &Ledger, rng: &mut ChaCha8Rng) -> Asked {
    let mut dimensions = DIMENSIONS.to_vec();
    dimensions.shuffle(rng);
    dimensions.truncate(rng.random_range(1..=3));
    if dimensions.contains(&Dimension::Month) {
        dimensions.retain(|dimension| *dimension != Dimension::Year);
    }
    let mut both: Vec<String> = periods.sample(rng, 2).cloned().collect();
    both.sort_by_key(|period| ledger.start_of_period(period));
    let last_period = if rng.random_bool(0.5) { both.pop().unwrap_or_default() } else { String::new() };
    Asked {
        first_period: if rng.random_bool(0.9) { both[0].clone() } else { String::new() },
        last_period,
        area_prefix: ["", "", "53.71", "53.71.05"].choose(rng).map(|prefix| (*prefix).to_owned()).unwrap_or_default(),
        dimensions,
    }
}

async fn check_table(
    channel: &Door,
    ledger: &Ledger,
    mut asked: Asked,
    now: Timestamp,
    moment: &Moment,
) -> anyhow::Result<()> {
    if asked.first_period.is_empty() {
        asked.last_period.clear();
    }
    let served = answers::cross_table(channel, &asked, moment).await?;
    compare::table(&served, &ledger.cross_table(&asked, now))
        .map_err(|difference| anyhow!("table of {asked:?} as of {now}: {difference}"))
}

/// Compares the areas and institutions that the registry lists.
async fn check_registry(channel: &Door, ledger: &Ledger, now: Timestamp, moment: &Moment) -> anyhow::Result<()> {
    let (areas, institutions) = answers::registry(channel, moment).await?;
    fn words<T: std::fmt::Debug>(list: &[T]) -> Vec<String> {
        list.iter().map(|it| format!("{it:?}")).collect()
    }
    compare::lists("area", &words(&areas), &words(&ledger.areas_on(now)))
        .and_then(|()| compare::lists("institution", &words(&institutions), &words(&ledger.institutions_on(now))))
        .map_err(|difference| anyhow!("registry as of {now}: {difference}"))
}

/// The first difference between two lists of evaluations: whom they name and in which order, then each figure.
fn same_list(served: &[v1::Evaluation], expected: &[v1::Evaluation]) -> Result<(), String> {
    let codes = |list: &[v1::Evaluation]| list.iter().map(|it| format!("{:?}", it.subject)).collect::<Vec<_>>();
    compare::lists("evaluation", &codes(served), &codes(expected))?;
    served.iter().zip(expected).try_for_each(|(served, expected)| compare::evaluation(served, expected))
}

/// Sorts evaluations that stand by code. The sorting is stable, so equal ones stay by code; those without a score come
/// last, one that was never active first of the silent.
fn sort(evaluations: &mut [v1::Evaluation], order: EvaluationOrder) {
    let score = |evaluation: &v1::Evaluation| evaluation.score;
    match order {
        EvaluationOrder::Unspecified => {}
        EvaluationOrder::ScoreAscending => {
            evaluations.sort_by(|a, b| score(a).unwrap_or(f64::INFINITY).total_cmp(&score(b).unwrap_or(f64::INFINITY)))
        }
        EvaluationOrder::ScoreDescending => {
            evaluations.sort_by(|a, b| score(b).unwrap_or(-1.0).total_cmp(&score(a).unwrap_or(-1.0)));
        }
        EvaluationOrder::Name => evaluations.sort_by(|a, b| a.name.cmp(&b.name)),
        EvaluationOrder::SilentLongest => {
            let days = |it: &v1::Evaluation| it.activity.and_then(|activity| activity.days_since_last_activity);
            evaluations.sort_by_key(|it| days(it).map_or(i64::MIN, |days| -i64::from(days)));
        }
    }
}
