//! The fold by itself: events into the views, without a journal or a network around them.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use prost::Message as _;
use satgas_domain::{event, views::Views};
use satgas_proto::v1::{Event, LogOpened, event::Body, submission::Reporter};

use crate::{city::City, machine::Memory};

const TIME_ZONE: &str = "Asia/Makassar";

/// Visits folded, and the time without and with decoding.
pub(crate) struct Folded {
    /// Visits.
    pub(crate) visits: usize,
    /// Applying decoded events.
    pub(crate) apply: Duration,
    /// Decoding and applying, as a server does that starts without a checkpoint; there on two threads, here on one.
    pub(crate) decode_and_apply: Duration,
}

/// Folds a city and `count` visits twice.
pub(crate) fn measure(city: &mut City, count: usize) -> Result<Folded> {
    let (registry, visits) = log(city, count);
    let stored: Vec<Vec<u8>> = visits.iter().map(Event::encode_to_vec).collect();

    let mut views = begun(&registry)?;
    let started = Instant::now();
    for event in &visits {
        views.apply(event);
    }
    let apply = started.elapsed();
    drop(views);

    let mut views = begun(&registry)?;
    let started = Instant::now();
    for bytes in &stored {
        views.apply(&Event::decode(bytes.as_slice())?);
    }
    let decode_and_apply = started.elapsed();
    ensure!(views.record_count() == count, "a visit did not count");
    Ok(Folded { visits: count, apply, decode_and_apply })
}

/// Visits that are made at a time, so that making them takes no memory that grows.
const MADE_AT_ONCE: usize = 10_000;

/// Bytes that the views of `count` visits take, each: what a server needs for its views alone. Told by another process like this one.
pub(crate) fn weigh(count: usize) -> Result<f64> {
    let told = Command::new(std::env::current_exe()?).arg("--weigh-views").arg(count.to_string()).output()?;
    ensure!(told.status.success(), "the views were not weighed: {}", String::from_utf8_lossy(&told.stderr));
    Ok(String::from_utf8(told.stdout)?.trim().parse()?)
}

/// Bytes by which this process grows with the views of `count` visits, each.
pub(crate) fn memory(city: &mut City, count: usize) -> Result<f64> {
    let (registry, warming) = log(city, MADE_AT_ONCE);
    let mut views = begun(&registry)?;
    let mut next = u64::try_from(registry.len())? + 1;
    let mut fold = |visits: Vec<Event>| {
        for visit in visits {
            views.apply(&Event { position: next, ..visit });
            next += 1;
        }
    };
    fold(warming);
    let before = Memory::of(std::process::id())?.resident;
    for _ in 0..count.div_ceil(MADE_AT_ONCE) {
        fold(log(city, MADE_AT_ONCE).1);
    }
    let grown = Memory::of(std::process::id())?.resident.saturating_sub(before);
    Ok(grown as f64 / (views.record_count() - MADE_AT_ONCE) as f64)
}

fn begun(registry: &[Event]) -> Result<Views> {
    let mut views = Views::new(TIME_ZONE)?;
    registry.iter().for_each(|event| views.apply(event));
    Ok(views)
}

/// The events that a server would have written: those of the registry, then those of the visits.
fn log(city: &mut City, count: usize) -> (Vec<Event>, Vec<Event>) {
    let opened = LogOpened { log_id: String::new(), sample_data: true, time_zone: TIME_ZONE.to_owned() };
    let registered = city.registry().into_iter().map(Body::Registered);
    let bodies: Vec<Body> = std::iter::once(Body::LogOpened(opened)).chain(registered).collect();
    let visits: Vec<Body> = city.visits(count).into_iter().map(|visit| Body::Submitted(visit.into())).collect();
    let first_visit = bodies.len();
    let mut events: Vec<Event> =
        bodies.into_iter().chain(visits).zip(1..).map(|(body, position)| event_of(body, position)).collect();
    let visits = events.split_off(first_visit);
    (events, visits)
}

fn event_of(body: Body, position: u64) -> Event {
    let submission = if let Body::Submitted(submission) = &body { Some(submission) } else { None };
    let area_code = match submission.and_then(|submission| submission.reporter.as_ref()) {
        Some(Reporter::AreaCode(code)) => code.clone(),
        _ => String::new(),
    };
    Event {
        position,
        recorded_at: submission.and_then(|submission| submission.occurred_at),
        kind: event::kind(&body).into(),
        area_code,
        body: Some(body),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visit_of_the_invented_city_counts_in_the_fold() {
        assert_eq!(measure(&mut City::new(), 300).unwrap().visits, 300);
    }
}
