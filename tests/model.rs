//! The seeded model test: random histories are played against a server by several clients at once, and every figure that the
//! server gives is compared with the slow reference over the same log at the same time.
//!
//! It also holds the server to these: views rebuilt from zero equal the live ones; a subscriber that comes and goes sees every
//! position once and in order; what was acknowledged is in the log exactly once; nothing is in the log that had to be refused; every
//! deadline that passed unmet is recorded once and rightly.
//!
//! `SATGAS_MODEL_SEEDS` widens it: `200` plays the seeds 0 to 199, `17..18` only the seed 17.

mod decided;
mod door;
mod late;
mod lists;
mod pasts;
mod reference;
mod support;

use std::{collections::BTreeSet, ops::Range};

use crate::door::Door;
use anyhow::{Context as _, anyhow, ensure};
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, event::Body, rule_service_client::RuleServiceClient};
use tokio::sync::watch;

use reference::{
    Ledger, Subject, compare,
    history::{CLIENTS, History, Wave},
    missed::{self, Judged},
};
use support::{Outcome, Running, answers, answers::Moment};

const SEEDS: Range<u64> = 0..25;
/// Seeds that are played side by side.
const SIDE_BY_SIDE: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn on_random_histories_every_answer_of_the_server_is_the_reference_s() -> anyhow::Result<()> {
    let mut waiting = seeds()?;
    let mut playing = tokio::task::JoinSet::new();
    loop {
        while playing.len() < SIDE_BY_SIDE
            && let Some(seed) = waiting.next()
        {
            playing.spawn(async move { check_seed(seed).await.with_context(|| format!("seed {seed}")) });
        }
        let Some(played) = playing.join_next().await else { return Ok(()) };
        played??;
    }
}

/// The seeds to play: the default ones, or those of the environment.
fn seeds() -> anyhow::Result<Range<u64>> {
    let Ok(wanted) = std::env::var("SATGAS_MODEL_SEEDS") else { return Ok(SEEDS) };
    let (from, until) = wanted.split_once("..").unwrap_or(("0", &wanted));
    Ok(from.parse()?..until.parse()?)
}

/// Plays one history, with comparisons on the way and after it, and restarts the server.
async fn check_seed(seed: u64) -> anyhow::Result<()> {
    let history = History::of(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5a75_6a61);
    let running = Running::start(history.start).await?;
    let channel = running.connect().await?;
    let phone = running.phone().await?;
    let (end, followers) = followers(&running, seed);
    let mut judged = Judgings { noted: Vec::new(), last: history.start };
    let outcome = play(&history, &running, &channel, &mut rng, &mut judged).await?;

    let events = support::read_all(&channel, 33).await?;
    end.send_replace(Some(head(&events)));
    check_log(&events)?;
    check_receipts(&events, &outcome)?;
    check_followers(&events, followers).await?;

    let last = history.waves.last().context("a history has waves")?.at;
    pass_time(&history, &running, &channel, last, &mut rng, &mut judged).await?;
    let now = last + SignedDuration::from_hours(24 * 60);
    running.set_clock(now);
    judge(&running, &channel, now, &mut judged).await?;
    let events = support::read_all(&channel, 1_000).await?;
    missed::check(&events, &judged.noted).map_err(|difference| anyhow!("deadlines: {difference}"))?;
    check_answers(&channel, &events, &history.periods, now).await?;
    lists::check(&channel, &events, &history.periods, now, &mut rng).await?;
    pasts::check(&channel, &events, &history.periods, now, &mut rng).await?;
    decided::check(&channel, &history.periods, now, &mut rng).await?;
    late::check(&running, &phone, &channel, &history.periods, now, &mut rng).await?;

    let events = support::read_all(&channel, 1_000).await?;
    let defects = Ledger::of(&events).defects().join(", ");
    ensure!(defects.is_empty(), "what had to be refused is in the log: {defects}");
    check_restarts(running, &channel, &events, &history.periods, now).await
}

/// When deadlines were judged.
struct Judgings {
    /// Those during which nobody wrote.
    noted: Vec<Judged>,
    /// The last of all.
    last: Timestamp,
}

/// Plays all waves; after some of them deadlines are judged, or everything is compared for a few periods.
async fn play(
    history: &History,
    running: &Running,
    channel: &Door,
    rng: &mut ChaCha8Rng,
    judged: &mut Judgings,
) -> anyhow::Result<Outcome> {
    let mut channels = Vec::new();
    for _ in 0..CLIENTS {
        channels.push(running.connect().await?);
    }
    let mut outcome = Outcome::default();
    for wave in &history.waves {
        running.set_clock(wave.at);
        outcome.extend(play_wave(running, &channels, wave, rng.random_bool(0.2), judged).await?);
        if rng.random_bool(0.08) {
            record_rules(channel, history, rng).await?;
        }
        if rng.random_bool(0.3) {
            judge(running, channel, wave.at, judged).await?;
        }
        if rng.random_bool(0.15) {
            let events = support::read_all(channel, 1_000).await?;
            check_answers(channel, &events, &few(&history.periods, rng), wave.at).await?;
        }
    }
    Ok(outcome)
}

/// Plays one wave, and perhaps has deadlines judged while it is under way.
async fn play_wave(
    running: &Running,
    channels: &[Door],
    wave: &Wave,
    judges: bool,
    judgings: &mut Judgings,
) -> anyhow::Result<Outcome> {
    let playing = support::play(channels, wave);
    if !judges {
        return playing.await;
    }
    let (played, judged) = tokio::join!(playing, running.judge_deadlines());
    judged?;
    judgings.last = wave.at;
    played
}

/// Has deadlines judged while nobody writes, and notes what was known and how long the log was then.
async fn judge(running: &Running, channel: &Door, now: Timestamp, judged: &mut Judgings) -> anyhow::Result<()> {
    let known_position = head(&support::read_all(channel, 1_000).await?);
    let recorded = running.judge_deadlines().await?;
    let head = head(&support::read_all(channel, 1_000).await?);
    ensure!(head == known_position + recorded as u64, "{recorded} recorded from {known_position} to {head}");
    judged.noted.push(Judged { last: judged.last, known_position, at: now, head });
    judged.last = now;
    Ok(())
}

/// Records a rule set for all that is to come, or for what was, or for both.
async fn record_rules(channel: &Door, history: &History, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let name = format!("contoh-{}", rng.random::<u32>());
    let rules = reference::history::rules::rule_set(&name, &first_days(&history.periods), rng);
    let request = v1::RecordRuleSetRequest { rule_set: Some(rules), reason: "Keputusan contoh".to_owned() };
    let mut client = RuleServiceClient::new(channel.clone());
    let first = client.record_rule_set(request.clone()).await?.into_inner();
    let again = client.record_rule_set(request).await?.into_inner();
    ensure!(!first.already_known && again.already_known && again.position == first.position, "{first:?}, {again:?}");
    Ok(())
}

/// First days of the months among the periods.
fn first_days(periods: &[String]) -> Vec<String> {
    let months = periods.iter().filter(|period| period.len() == 7 && !period.contains(['Q', 'S']));
    months.map(|month| format!("{month}-01")).collect()
}

/// Lets time pass with nothing new from anybody: deadlines pass all the same, and some are recorded as missed. Some of the times are the very instant at which a
/// signal is 90 days old or a record 45.
async fn pass_time(
    history: &History,
    running: &Running,
    channel: &Door,
    last: Timestamp,
    rng: &mut ChaCha8Rng,
    judged: &mut Judgings,
) -> anyhow::Result<()> {
    let events = support::read_all(channel, 1_000).await?;
    let until = last + SignedDuration::from_hours(24 * 59);
    let mut instants = Vec::new();
    for (_, submission) in events.iter().filter_map(submission_of) {
        let occurred = reference::time::instant(submission.occurred_at.as_ref());
        instants.extend([45, 90].map(|days| occurred + SignedDuration::from_hours(24 * days)));
    }
    instants.retain(|&instant| last < instant && instant < until);
    let mut times: Vec<Timestamp> = instants.sample(rng, 4).copied().collect();
    times.extend((0..2).map(|_| last + SignedDuration::from_hours(rng.random_range(1..24 * 50))));
    times.sort();
    for now in times {
        running.set_clock(now);
        if rng.random_bool(0.4) {
            judge(running, channel, now, judged).await?;
        }
        let events = support::read_all(channel, 1_000).await?;
        check_answers(channel, &events, &few(&history.periods, rng), now).await?;
    }
    Ok(())
}

fn few(periods: &[String], rng: &mut ChaCha8Rng) -> Vec<String> {
    periods.sample(rng, 2).cloned().collect()
}

fn head(events: &[v1::Event]) -> u64 {
    events.last().map_or(0, |event| event.position)
}

/// Positions are 1, 2, 3 and so on, time does not go back, and a case's version grows by one with each step.
fn check_log(events: &[v1::Event]) -> anyhow::Result<()> {
    for (event, expected) in events.iter().zip(1..) {
        ensure!(event.position == expected, "position {} stands where {expected} belongs", event.position);
    }
    for pair in events.windows(2) {
        let time = |event: &v1::Event| reference::time::instant(event.recorded_at.as_ref());
        ensure!(time(&pair[0]) <= time(&pair[1]), "the log's time goes back at {}", pair[1].position);
    }
    let steps: Vec<(&str, u64)> = events
        .iter()
        .filter_map(|event| match &event.body {
            Some(Body::CaseAdvanced(advanced)) => {
                advanced.command.as_ref().map(|step| (&*step.case_id, advanced.version))
            }
            _ => None,
        })
        .collect();
    for (index, (case_id, version)) in steps.iter().enumerate() {
        let before = steps[..index].iter().filter(|(other, _)| other == case_id).count() as u64;
        ensure!(*version == before + 2, "step {} of case {case_id} has version {version}", before + 1);
    }
    Ok(())
}

/// Everything acknowledged is in the log where its receipt says, nothing is there twice, and a refused one is not there.
fn check_receipts(events: &[v1::Event], outcome: &Outcome) -> anyhow::Result<()> {
    let submissions: Vec<(u64, &v1::Submission)> = events.iter().filter_map(submission_of).collect();
    for (submission, receipt) in &outcome.receipts {
        let id = &submission.submission_id;
        let found: Vec<u64> =
            submissions.iter().filter(|(_, kept)| *kept == submission).map(|(position, _)| *position).collect();
        let expected = if receipt.position == 0 { vec![] } else { vec![receipt.position] };
        ensure!(found == expected, "{id} is at {found:?}, and its receipt is {receipt:?}");
        let rejected = receipt.status() == v1::ReceiptStatus::Rejected;
        ensure!(rejected == (receipt.position == 0), "{id} got the receipt {receipt:?}");
        ensure!(rejected != receipt.violations.is_empty(), "{id} got the receipt {receipt:?}");
    }
    for (command, receipt) in &outcome.steps {
        let is_it = |event: &&v1::Event| match &event.body {
            Some(Body::CaseAdvanced(advanced)) => advanced.command.as_ref() == Some(command),
            _ => false,
        };
        let found: Vec<u64> = events.iter().filter(is_it).map(|event| event.position).collect();
        ensure!(found == [receipt.position], "step {} is at {found:?}, not {}", command.command_id, receipt.position);
    }
    for (resolution, receipt) in &outcome.decisions {
        let is_it = |event: &&v1::Event| event.body == Some(Body::ConflictResolved(resolution.clone()));
        let found: Vec<u64> = events.iter().filter(is_it).map(|event| event.position).collect();
        ensure!(found == [receipt.position], "{resolution:?} is at {found:?}, not {}", receipt.position);
    }
    let accepted = outcome.receipts.len() + outcome.steps.len();
    let refused = outcome.refused.len();
    ensure!(accepted > 2 * refused, "{accepted} taken, {refused} refused, so little is tested: {:?}", outcome.refused);
    Ok(())
}

fn submission_of(event: &v1::Event) -> Option<(u64, &v1::Submission)> {
    match event.body.as_ref()? {
        Body::Submitted(submission) => Some((event.position, submission)),
        Body::Conflicting(conflicting) => Some((event.position, conflicting.submission.as_ref()?)),
        _ => None,
    }
}

type Follower = (Option<v1::EventFilter>, tokio::task::JoinHandle<anyhow::Result<Vec<u64>>>);

/// Starts subscribers that come and go: of everything, of an area, of some kinds, of an institution.
fn followers(running: &Running, seed: u64) -> (watch::Sender<Option<u64>>, Vec<Follower>) {
    let (end, ends) = watch::channel(None);
    let filters = [
        None,
        Some(v1::EventFilter { area_prefix: "53.71.04".into(), ..v1::EventFilter::default() }),
        Some(v1::EventFilter {
            kinds: vec![v1::EventKind::SchoolVisit.into(), v1::EventKind::Amendment.into()],
            ..v1::EventFilter::default()
        }),
        Some(v1::EventFilter { institution_id: "90000001".into(), ..v1::EventFilter::default() }),
    ];
    let follow = |(filter, salt): (Option<v1::EventFilter>, u64)| {
        let following = support::follow(running.way(), filter.clone(), seed.wrapping_add(salt << 32), ends.clone());
        (filter, tokio::spawn(following))
    };
    let followers = filters.into_iter().zip(1..).map(follow).collect();
    (end, followers)
}

/// Each subscriber saw each event that its filter lets through once and in order.
async fn check_followers(events: &[v1::Event], followers: Vec<Follower>) -> anyhow::Result<()> {
    for (filter, follower) in followers {
        let lets_through =
            |event: &&v1::Event| filter.as_ref().is_none_or(|filter| support::lets_through(filter, event));
        let expected: Vec<u64> = events.iter().filter(lets_through).map(|event| event.position).collect();
        let seen = follower.await??;
        ensure!(seen == expected, "a subscriber with {filter:?} saw {seen:?} instead of {expected:?}");
    }
    Ok(())
}

/// Everybody who can be evaluated: each area of each level, the institutions in it, and each institution.
fn subjects(events: &[v1::Event]) -> Vec<Subject> {
    let mut subjects = BTreeSet::new();
    for event in events {
        if let Some(Body::Registered(entry)) = &event.body {
            match &entry.entry {
                Some(v1::registry_entry::Entry::Area(area)) => {
                    subjects.insert(Subject::Area(area.code.clone()));
                    subjects.insert(Subject::InstitutionsIn(area.code.clone()));
                }
                Some(v1::registry_entry::Entry::Institution(it)) => {
                    subjects.insert(Subject::Institution(it.institution_id.clone()));
                }
                _ => {}
            }
        }
    }
    subjects.into_iter().collect()
}

/// Compares every answer of the server at `now` with the reference over `events`, which is the whole log.
async fn check_answers(channel: &Door, events: &[v1::Event], periods: &[String], now: Timestamp) -> anyhow::Result<()> {
    check_answers_of(channel, events, periods, now, &Moment::now(head(events))).await
}

/// Compares every answer of the server about a moment with the reference over the events up to it, at its time.
async fn check_answers_of(
    channel: &Door,
    events: &[v1::Event],
    periods: &[String],
    now: Timestamp,
    moment: &Moment,
) -> anyhow::Result<()> {
    let head = head(events);
    let at = format!("at position {head} as of {now}");
    let ledger = Ledger::of(events);
    for subject in subjects(events) {
        for period in periods {
            let served = answers::evaluation(channel, &subject, period, moment).await?;
            let what = format!("{subject:?} in {period} {at}");
            let expected = ledger.evaluate(&subject, period, now);
            compare::evaluation(&served, &expected).map_err(|difference| anyhow!("{what}: {difference}"))?;
            let basis = served.basis.with_context(|| format!("{what}: no basis"))?;
            let right =
                basis.position == head && basis.as_of == Some(reference::time::message(now)) && !basis.sample_data;
            ensure!(right, "{what}: the basis is {basis:?}");
        }
    }
    let warnings = answers::warnings(channel, moment).await?;
    compare::warnings(&warnings, &ledger.warnings(now)).map_err(|difference| anyhow!("{at}: {difference}"))?;
    let conflicts = answers::conflicts(channel, moment).await?;
    compare::conflicts(&conflicts, &ledger.open_conflicts()).map_err(|difference| anyhow!("{at}: {difference}"))?;
    let held = answers::held(channel, moment).await?;
    compare::held(&held, &ledger.waiting()).map_err(|difference| anyhow!("{at}: {difference}"))?;
    for (position, submission) in conflicts
        .iter()
        .map(|it| (it.position, &it.submission))
        .chain(held.iter().map(|it| (it.position, &it.submission)))
    {
        let kept = events.iter().filter_map(submission_of).find(|(kept, _)| *kept == position).map(|(_, kept)| kept);
        ensure!(kept == submission.as_ref(), "{at}: the submission listed for {position} is not the log's");
    }
    Ok(())
}

/// Restarts the server with its checkpoints and without: every answer stays as it was, to the last field.
async fn check_restarts(
    mut running: Running,
    channel: &Door,
    events: &[v1::Event],
    periods: &[String],
    now: Timestamp,
) -> anyhow::Result<()> {
    let before = all_answers(channel, events, periods).await?;
    for keep_checkpoints in [true, false] {
        running = running.restart(keep_checkpoints).await?;
        let channel = running.connect().await?;
        let after = all_answers(&channel, events, periods).await?;
        let how = if keep_checkpoints { "with its checkpoints" } else { "from zero" };
        compare::lists("answer", &after, &before).map_err(|difference| {
            anyhow!("restarted {how} at {now}, the answers differ from those before (named reference): {difference}")
        })?;
    }
    running.stop().await
}

/// Everything the server says, in words, with nothing left out.
async fn all_answers(channel: &Door, events: &[v1::Event], periods: &[String]) -> anyhow::Result<Vec<String>> {
    let moment = &Moment::now(head(events));
    let mut all = Vec::new();
    let log = support::read_all(channel, 100).await?;
    all.extend(log.iter().map(|event| format!("{event:?}")));
    for subject in subjects(events) {
        for period in periods {
            all.push(format!("{:?}", answers::evaluation(channel, &subject, period, moment).await?));
        }
    }
    all.extend(answers::warnings(channel, moment).await?.iter().map(|warning| format!("{warning:?}")));
    all.extend(answers::conflicts(channel, moment).await?.iter().map(|conflict| format!("{conflict:?}")));
    all.extend(answers::held(channel, moment).await?.iter().map(|held| format!("{held:?}")));
    Ok(all)
}
