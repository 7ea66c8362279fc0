//! Questions about the past, explanations and comparisons, held to the reference over what was in the log then.

use crate::door::Door;
use anyhow::{Context as _, anyhow, ensure};
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{
    self, AreaLevel, EvaluatedBody, IndicatorKind, as_of::At, evaluation_service_client::EvaluationServiceClient,
    rule_service_client::RuleServiceClient,
};

use crate::{
    check_answers_of, few, first_days, head,
    reference::{self, Ledger, compare},
    subjects,
    support::answers::{self, Moment},
};

/// Moments of each history that are asked about.
const PASTS: usize = 3;
const KINDS: [IndicatorKind; 6] = [
    IndicatorKind::ReportingCompleteness,
    IndicatorKind::ReportingTimeliness,
    IndicatorKind::SchoolCoverage,
    IndicatorKind::FollowUpDiscipline,
    IndicatorKind::ResponseWithinTarget,
    IndicatorKind::Training,
];

/// Whose evaluations are compared.
const COMPARED: [(AreaLevel, EvaluatedBody); 5] = [
    (AreaLevel::Kelurahan, EvaluatedBody::Unspecified),
    (AreaLevel::Kelurahan, EvaluatedBody::Kelurahan),
    (AreaLevel::Kelurahan, EvaluatedBody::Institution),
    (AreaLevel::Kecamatan, EvaluatedBody::Institution),
    (AreaLevel::Institution, EvaluatedBody::Unspecified),
];

/// A moment of the past: how it is asked for, what was in the log, and the time by which deadlines are judged.
struct Past<'a> {
    moment: Moment,
    events: &'a [v1::Event],
    now: Timestamp,
}

/// Asks about some moments of the past by position and by time, and compares them with each other and with now.
pub(crate) async fn check(
    channel: &Door,
    events: &[v1::Event],
    periods: &[String],
    now: Timestamp,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<()> {
    let mut pasts = Vec::new();
    for _ in 0..PASTS {
        pasts.push(at_position(events, rng.random_range(1..=events.len())));
        pasts.push(at_time(events, now, rng));
    }
    for past in &pasts {
        let periods = few(periods, rng);
        check_answers_of(channel, past.events, &periods, past.now, &past.moment).await?;
        check_explanations(channel, past, &periods).await?;
    }
    let today = Past { moment: Moment::now(head(events)), events, now };
    check_explanations(channel, &today, &few(periods, rng)).await?;
    for past in pasts.iter().chain([&today]) {
        let period = periods.choose(rng).context("a history has periods")?;
        let draft = reference::history::rules::rule_set("rancangan", &first_days(periods), rng);
        check_draft(channel, past, period, draft).await?;
    }
    for then in &pasts {
        let period = periods.choose(rng).context("a history has periods")?;
        check_comparison(channel, then, &today, period, *COMPARED.choose(rng).context("there are some")?).await?;
    }
    check_refusals(channel, events, now).await
}

fn recorded(event: &v1::Event) -> Timestamp {
    reference::time::instant(event.recorded_at.as_ref())
}

fn at_position(events: &[v1::Event], count: usize) -> Past<'_> {
    let events = &events[..count];
    let as_of = Some(v1::AsOf { at: Some(At::Position(count as u64)) });
    Past { moment: Moment { min_position: 0, as_of }, events, now: recorded(&events[count - 1]) }
}

/// A time from the first event on: often the very instant of an event, or the nanosecond before it.
fn at_time<'a>(events: &'a [v1::Event], now: Timestamp, rng: &mut ChaCha8Rng) -> Past<'a> {
    let chosen = recorded(events.choose(rng).expect("a log has its first event"));
    let time = match rng.random_range(0..4) {
        0 => chosen,
        1 => (chosen - SignedDuration::from_nanos(1)).max(recorded(&events[0])),
        2 => (chosen + SignedDuration::from_hours(rng.random_range(1..500))).min(now),
        _ => now,
    };
    let count = events.iter().filter(|event| recorded(event) <= time).count();
    let as_of = Some(v1::AsOf { at: Some(At::Time(reference::time::message(time))) });
    Past { moment: Moment { min_position: 0, as_of }, events: &events[..count], now: time }
}

/// Every indicator of everybody: the items add up to the figure, nothing is named twice, and every event named was there.
async fn check_explanations(channel: &Door, past: &Past<'_>, periods: &[String]) -> anyhow::Result<()> {
    let ledger = Ledger::of(past.events);
    for subject in subjects(past.events) {
        for period in periods {
            let expected = ledger.evaluate(&subject, period, past.now);
            for kind in KINDS {
                let explained = answers::explanation(channel, &subject, period, kind, &past.moment).await?;
                check_explanation(&explained, past, kind)
                    .with_context(|| format!("{} of {subject:?} in {period}", kind.as_str_name()))?;
                let items = ledger.explained(&subject, period, kind, past.now);
                compare::items(&explained.items, &items)
                    .map_err(|difference| anyhow!("{} of {subject:?} in {period}: {difference}", kind.as_str_name()))?;
                let indicator = expected.indicators.iter().find(|indicator| indicator.kind() == kind);
                ensure!(indicator == explained.indicator.as_ref(), "{subject:?} in {period}: {explained:?}");
            }
        }
    }
    Ok(())
}

fn check_explanation(
    explained: &v1::ExplainIndicatorResponse,
    past: &Past<'_>,
    kind: IndicatorKind,
) -> anyhow::Result<()> {
    let indicator = explained.indicator.context("an indicator is explained")?;
    let evaluation = explained.evaluation.as_ref().context("it is part of an evaluation")?;
    ensure!(evaluation.indicators.contains(&indicator), "the evaluation has another figure");
    let counts = explained.items.iter().filter(|item| item.counts).count() as u64;
    let sum = (counts, explained.items.len() as u64);
    ensure!(sum == (indicator.numerator, indicator.denominator), "{sum:?} does not add up to {indicator:?}");
    let head = head(past.events);
    for item in &explained.items {
        ensure!(!item.item_id.is_empty() && !item.because_positions.is_empty(), "{item:?} says nothing");
        ensure!(!item.counts || !item.evidence_positions.is_empty(), "{item:?} counts without evidence");
        let named = item.because_positions.iter().chain(&item.evidence_positions);
        ensure!(named.clone().all(|position| (1..=head).contains(position)), "{item:?} names what was not there");
        if kind == IndicatorKind::ReportingTimeliness && item.counts {
            let due = reference::time::instant(item.due_at.as_ref());
            let in_time = |position: &&u64| recorded(&past.events[usize::try_from(**position).unwrap_or(1) - 1]) < due;
            ensure!(item.evidence_positions.iter().any(|position| in_time(&position)), "{item:?} came late");
        }
    }
    let mut keys: Vec<_> = explained.items.iter().map(|item| (&item.area_code, &item.item_id, &item.detail)).collect();
    keys.sort_unstable();
    let all = keys.len();
    keys.dedup();
    ensure!(keys.len() == all, "an item is counted twice in {:?}", explained.items);
    Ok(())
}

/// Under a draft everybody is what the reference makes of it, beside what they are, and nothing is recorded.
async fn check_draft(channel: &Door, past: &Past<'_>, period: &str, draft: v1::RuleSet) -> anyhow::Result<()> {
    let request = v1::WhatIfRequest {
        draft: Some(draft.clone()),
        period: period.to_owned(),
        level: v1::AreaLevel::Kelurahan.into(),
        min_position: past.moment.min_position,
        as_of: past.moment.as_of,
        ..Default::default()
    };
    let answered = RuleServiceClient::new(channel.clone()).what_if(request).await?.into_inner();
    let ledger = Ledger::of(past.events);
    let kelurahan = ledger.listed(AreaLevel::Kelurahan, EvaluatedBody::Unspecified, "", period, past.now);
    ensure!(answered.evaluations.len() == kelurahan.len(), "{} of {kelurahan:?}", answered.evaluations.len());
    for (both, subject) in answered.evaluations.iter().zip(&kelurahan) {
        let recorded = both.recorded.as_ref().context("the recorded evaluation")?;
        let under = both.draft.as_ref().context("the draft evaluation")?;
        let what = format!("{subject:?} in {period}");
        compare::evaluation(recorded, &ledger.evaluate(subject, period, past.now))
            .map_err(|difference| anyhow!("{what}: recorded {difference}"))?;
        compare::evaluation(under, &ledger.evaluate_under(&draft, subject, period, past.now))
            .map_err(|difference| anyhow!("{what}: draft {difference}"))?;
    }
    Ok(())
}

/// Exactly those whose figures or items differ are listed, as they were and as they are, with events recorded since.
async fn check_comparison(
    channel: &Door,
    then: &Past<'_>,
    now: &Past<'_>,
    period: &str,
    (level, body): (AreaLevel, EvaluatedBody),
) -> anyhow::Result<()> {
    let request = v1::CompareEvaluationsRequest {
        period: period.to_owned(),
        then: then.moment.as_of,
        page_size: 2,
        level: level.into(),
        body: body.into(),
        ..Default::default()
    };
    let compared = answers::changes(channel, request).await?;
    let mut named: Vec<String> =
        compared.iter().map(|change| format!("{:?}", change.now.as_ref().map(|e| &e.subject))).collect();
    named.sort_unstable();
    named.dedup();
    ensure!(named.len() == compared.len(), "a subject is listed twice over the pages of a comparison in {period}");
    let (earlier, later) = (Ledger::of(then.events), Ledger::of(now.events));
    let still_listed = later.listed(level, body, "", period, now.now);
    let was_listed = earlier.listed(level, body, "", period, then.now);
    let ended = was_listed.into_iter().filter(|subject| !still_listed.contains(subject));
    for subject in still_listed.iter().cloned().chain(ended) {
        let what = format!("{subject:?} in {period} between {:?} and now", then.moment.as_of);
        let after = later.evaluate(&subject, period, now.now);
        let change = compared
            .iter()
            .find(|change| change.now.as_ref().and_then(|evaluation| evaluation.subject.clone()) == after.subject);
        let was_there = subjects(then.events).contains(&subject);
        let before = was_there.then(|| earlier.evaluate(&subject, period, then.now));
        // Another name is no other figure.
        let same = before.as_ref().is_some_and(|before| {
            let renamed = v1::Evaluation { name: before.name.clone(), ..after.clone() };
            // Nor does it change an item that its deadline was recorded as missed.
            let said = |ledger: &Ledger, kind, now| -> Vec<v1::Item> {
                let items = ledger.items(&subject, period, kind, now).into_iter();
                items.map(|item| v1::Item { missed_position: 0, ..item }).collect()
            };
            let items = |kind| said(&earlier, kind, then.now) == said(&later, kind, now.now);
            *before == renamed && KINDS.into_iter().all(items)
        });
        let Some(change) = change else {
            ensure!(same, "{what}: it differs and is not listed");
            continue;
        };
        let listed = change.now.as_ref().context("a change says how it is now")?;
        compare::evaluation(listed, &after).map_err(|difference| anyhow!("{what}: now {difference}"))?;
        ensure!(change.then.is_some() == was_there, "{what}: it was there, or was not");
        if let (Some(listed), Some(before)) = (&change.then, &before) {
            compare::evaluation(listed, before).map_err(|difference| anyhow!("{what}: then {difference}"))?;
        }
        let since = (head(then.events) + 1)..=head(now.events);
        ensure!(change.cause_positions.iter().all(|position| since.contains(position)), "{what}: {change:?}");
        ensure!(change.items.iter().all(|item| item.then != item.now), "{what}: an item that did not change");
        ensure!(!same || !change.items.is_empty(), "{what}: it is listed and does not differ");
    }
    Ok(())
}

/// What has not come or was never there is refused, and says so.
async fn check_refusals(channel: &Door, events: &[v1::Event], now: Timestamp) -> anyhow::Result<()> {
    let before = recorded(&events[0]) - SignedDuration::from_secs(1);
    let after = now + SignedDuration::from_secs(1);
    let moments = [
        At::Position(0),
        At::Position(head(events) + 1),
        At::Time(reference::time::message(before)),
        At::Time(reference::time::message(after)),
    ];
    for at in moments {
        let moment = Moment { min_position: 0, as_of: Some(v1::AsOf { at: Some(at) }) };
        let refused = answers::warnings(channel, &moment).await.err().with_context(|| format!("{at:?} is refused"))?;
        let status = refused.downcast::<tonic::Status>()?;
        ensure!(status.code() == tonic::Code::OutOfRange, "{at:?}: {status:?}");
    }
    let page_token = format!("0.{}.{}", head(events), i64::MAX);
    let request = v1::ListEvaluationsRequest { page_token, ..Default::default() };
    let refused = EvaluationServiceClient::new(channel.clone()).list_evaluations(request).await.err();
    let code = refused.context("a token of the future is refused")?.code();
    ensure!(code == tonic::Code::InvalidArgument, "{code:?}");
    let nothing = Moment { min_position: 0, as_of: Some(v1::AsOf { at: None }) };
    let refused = answers::warnings(channel, &nothing).await.err().context("no moment is refused")?;
    ensure!(refused.downcast::<tonic::Status>()?.code() == tonic::Code::InvalidArgument);
    Ok(())
}
