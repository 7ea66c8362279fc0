//! Many live subscribers at once, and how long after it was due a record reaches them.
//!
//! A record carries the moment at which it was due to be submitted, and a delivery is late by the time since then: a writer that was held up does
//! not make the deliveries look quicker. What did not arrive within [`GRACE`] after the last record counts as later than everything else.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use pbjson_types::Timestamp;
use prost::Message;
use satgas_proto::v1::{EventFilter, StreamNotice, Submission, SubscribeRequest, subscribe_request::Start};
use tokio::{task::JoinSet, time::Instant};
use tonic::Streaming;

use crate::{
    city::{City, area},
    door::Door,
    figures::{Figures, Goal, Scenario, Unit},
    follow::{self, Undecoded},
    load::{self, latencies, micros},
    served::Served,
};

/// Records a second, and writers that submit them.
const PER_SECOND: u32 = 1_000;
const WRITERS: usize = 64;
/// Below what the server lets one connection have.
const STREAMS_PER_CONNECTION: usize = 200;
/// Subscriptions that are opened at once.
const OPENING: usize = 64;
/// Subscribers whose deliveries are timed, about; of the others the events are counted.
const TIMED: usize = 250;
/// How long the last deliveries may take.
const GRACE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How many subscribers, what they follow, and in which time they should get it.
const MEASURED: [(usize, Follows, Option<Goal>); 3] = [
    (5_000, Follows::Everything, Some(Goal::Below(250.0))),
    (5_000, Follows::OneArea, Some(Goal::Below(250.0))),
    (500, Follows::Everything, None),
];

/// Measures all of them, one after the other, on a server that serves nobody else.
pub(crate) async fn measure_all(
    served: &Served,
    city: &mut City,
    time: Duration,
    figures: &mut Figures,
) -> Result<usize> {
    let mut written = 0;
    for (subscribers, follows, goal) in MEASURED {
        let FanOut { records, took, delivered, due, server_time, delays } =
            measure(served, city, subscribers, follows, time).await?;
        written += records;
        let each = match follows {
            Follows::Everything => "of everything",
            Follows::OneArea => "of one kelurahan each",
        };
        let mut add = |what: &str, unit, goal, value| {
            let what = format!("{subscribers} subscribers {each}: {what}");
            figures.add(Scenario::FanOut, &what, unit, goal, value);
        };
        let seconds = took.as_secs_f64();
        add("delivery p50", Unit::Milliseconds, None, load::quantile_ms(&delays, 0.5));
        add("delivery p99", Unit::Milliseconds, goal, load::quantile_ms(&delays, 0.99));
        add("records, of 1,000 wanted", Unit::PerSecond, None, records as f64 / seconds);
        add("arrived of what was due", Unit::Percent, None, 100.0 * delivered as f64 / due as f64);
        add(
            "server's processor time, a delivery",
            Unit::Microseconds,
            None,
            server_time.as_secs_f64() * 1e6 / delivered as f64,
        );
        let memory = served.memory()?.resident as f64 / 1_048_576.0;
        add("server memory", Unit::MiB, None, memory);
    }
    Ok(written)
}

/// What the subscribers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// Each one kelurahan, all of them in turn.
    OneArea,
    /// Everything.
    Everything,
}

/// What came of it.
struct FanOut {
    records: usize,
    /// From the first submission to the last receipt.
    took: Duration,
    /// Events that reached subscribers, and that should have.
    delivered: u64,
    due: u64,
    /// Processor time of the server meanwhile.
    server_time: Duration,
    /// From when a record was due to its arrival.
    delays: Histogram<u64>,
}

/// An event of which only the moment of the record in it is of interest.
#[derive(Clone, PartialEq, Message)]
struct Timed {
    #[prost(message, optional, tag = "12")]
    submitted: Option<Due>,
}

#[derive(Clone, PartialEq, Message)]
struct Due {
    #[prost(message, optional, tag = "4")]
    occurred_at: Option<Timestamp>,
}

/// What all subscribers count together.
struct Tally {
    arrived: AtomicU64,
    delays: Mutex<Histogram<u64>>,
}

/// Opens so many subscriptions from now on, waits until each has caught up, and submits for so long.
async fn measure(
    served: &Served,
    city: &mut City,
    subscribers: usize,
    follows: Follows,
    time: Duration,
) -> Result<FanOut> {
    let records = city.visits(usize::try_from(time.as_millis() * u128::from(PER_SECOND) / 1_000)?);
    let doors = load::connect(served, subscribers, subscribers.div_ceil(STREAMS_PER_CONNECTION)).await?;
    let areas = city.areas();
    let filters: Vec<EventFilter> = (0..subscribers)
        .map(|subscriber| match follows {
            Follows::Everything => EventFilter::default(),
            Follows::OneArea => {
                EventFilter { area_prefix: areas[subscriber % areas.len()].clone(), ..EventFilter::default() }
            }
        })
        .collect();
    let timed = |subscriber: usize| subscriber.is_multiple_of(subscribers.div_ceil(TIMED));
    let from: Vec<String> = records.iter().map(|record| area(record).to_owned()).collect();

    let tally = Arc::new(Tally { arrived: AtomicU64::new(0), delays: Mutex::new(latencies()) });
    let mut streams = Vec::with_capacity(subscribers);
    let mut opening = JoinSet::new();
    for (subscriber, (door, filter)) in doors.into_iter().zip(filters.clone()).enumerate() {
        if opening.len() == OPENING {
            streams.push(opening.join_next().await.context("a subscription is being opened")???);
        }
        opening.spawn(async move { Ok::<_, anyhow::Error>((subscriber, open(door, filter).await?)) });
    }
    while let Some(opened) = opening.join_next().await {
        streams.push(opened??);
    }
    let mut reading = JoinSet::new();
    for (subscriber, stream) in streams {
        reading.spawn(read(stream, Arc::clone(&tally), timed(subscriber)));
    }

    let writers = load::connect(served, WRITERS, 4).await?;
    let server_time = served.processor_time()?;
    let started = Instant::now();
    let submitted = submit(writers, records).await?;
    let took = started.elapsed();
    let (due, due_timed) = due(&from[..submitted], &filters, timed);
    let last = Instant::now();
    while tally.arrived.load(Ordering::Relaxed) < due && last.elapsed() < GRACE {
        if let Some(ended) = reading.try_join_next() {
            ended??;
            bail!("a subscription ended");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let delivered = tally.arrived.load(Ordering::Relaxed);
    let server_time = served.processor_time()?.saturating_sub(server_time);
    reading.shutdown().await;
    ensure!(delivered <= due, "{delivered} deliveries where {due} were due");
    let mut delays = tally.delays.lock().expect("nobody panics with the delays in hand").clone();
    let missing = due_timed.saturating_sub(delays.len());
    delays.saturating_record_n(u64::MAX, missing);
    Ok(FanOut { records: submitted, took, delivered, due, server_time, delays })
}

/// How many deliveries are due of records from these areas, and how many of them at subscribers that take the time.
fn due(from: &[String], filters: &[EventFilter], timed: impl Fn(usize) -> bool) -> (u64, u64) {
    let (mut all, mut of_timed) = (0, 0);
    for (subscriber, filter) in filters.iter().enumerate() {
        let matches = |area: &&String| filter.area_prefix.is_empty() || **area == filter.area_prefix;
        let count = from.iter().filter(matches).count() as u64;
        all += count;
        of_timed += if timed(subscriber) { count } else { 0 };
    }
    (all, of_timed)
}

/// Opens a subscription and waits until it has caught up.
async fn open(door: Door, filter: EventFilter) -> Result<Streaming<Undecoded>> {
    let start = Some(Start::FromNow(Default::default()));
    let request = SubscribeRequest { start, filter: Some(filter), heartbeat_interval: None };
    let mut stream = follow::subscribe_undecoded(door, request).await?;
    let first = stream.message().await?.context("the stream ended")?;
    ensure!(first.notice() == StreamNotice::CaughtUp, "a stream from now on begins with the notice that it caught up");
    Ok(stream)
}

/// Counts what arrives, and times it where asked to, until it is ended.
async fn read(mut stream: Streaming<Undecoded>, tally: Arc<Tally>, timed: bool) -> Result<()> {
    while let Some(message) = stream.message().await? {
        let now = SystemTime::now();
        tally.arrived.fetch_add(message.events.len() as u64, Ordering::Relaxed);
        if timed {
            let mut delays = tally.delays.lock().expect("nobody panics with the delays in hand");
            for event in message.events {
                let due = Timed::decode(event)?.submitted.and_then(|record| record.occurred_at);
                let due = moment(due.context("an event that is no record")?)?;
                delays.saturating_record(micros(now.duration_since(due).unwrap_or_default()));
            }
        }
    }
    bail!("the stream ended")
}

/// Submits the records, each when it is due or as soon after as a writer is free, and returns how many it could before its time was up: the
/// first ones.
async fn submit(doors: Vec<Door>, records: Vec<Submission>) -> Result<usize> {
    let (started, began) = (Instant::now(), SystemTime::now());
    let offset = |turn: usize| Duration::from_secs_f64(turn as f64 / f64::from(PER_SECOND));
    let mut due = Vec::with_capacity(records.len());
    for (turn, mut record) in records.into_iter().enumerate() {
        record.occurred_at = Some(timestamp(began + offset(turn))?);
        due.push(((started + offset(turn)).into_std(), record));
    }
    let achieved = load::when_due(doors, due).await?;
    Ok(usize::try_from(achieved.count)?)
}

fn timestamp(moment: SystemTime) -> Result<Timestamp> {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Timestamp { seconds: since.as_secs().try_into()?, nanos: since.subsec_nanos().try_into()? })
}

fn moment(Timestamp { seconds, nanos }: Timestamp) -> Result<SystemTime> {
    Ok(SystemTime::UNIX_EPOCH + Duration::new(seconds.try_into()?, nanos.try_into()?))
}

#[cfg(test)]
mod tests {
    use satgas_proto::v1::{Event, event::Body};

    use super::*;

    #[test]
    fn a_subscriber_of_one_area_is_due_the_records_of_that_area_only() {
        let mut city = City::new();
        let from: Vec<_> = city.visits(city.areas().len() * 4).iter().map(|record| area(record).to_owned()).collect();
        let all = vec![EventFilter::default(); 3];
        let count = from.len() as u64;
        assert_eq!(due(&from, &all, |subscriber| subscriber == 1), (3 * count, count));
        let own: Vec<_> =
            city.areas().iter().cloned().map(|area_prefix| EventFilter { area_prefix, ..Default::default() }).collect();
        assert_eq!(due(&from, &own, |_| true), (count, count), "each record is due to one of them");
    }

    #[test]
    fn the_moment_that_a_record_was_due_is_read_from_the_event_it_became() {
        let due = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        let record = Submission { occurred_at: Some(timestamp(due).unwrap()), ..City::new().visits(1).remove(0) };
        let event = Event { position: 7, body: Some(Body::Submitted(record.into())), ..Event::default() };
        let timed = Timed::decode(event.encode_to_vec().as_slice()).unwrap();
        assert_eq!(moment(timed.submitted.unwrap().occurred_at.unwrap()).unwrap(), due);
    }
}
