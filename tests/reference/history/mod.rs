//! Random histories: from a seed, what several clients do over some months, with everything that goes wrong in the field.
//!
//! A history is a list of waves. All actions of a wave happen at one time of the server's clock; each client does its own in order
//! and the clients run side by side. Times cluster where counting goes wrong: at the ends of months, quarters and years in local
//! time, at the deadlines of reports, on the leap day.

mod changes;
mod content;
mod people;
pub(crate) mod rules;
mod spread;
mod world;

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rand::{Rng as _, RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1;

use super::{
    rules::{before_all, report_deadline},
    time::{month_after, start_of},
};
use world::World;

/// The time zone of every history.
pub(crate) const ZONE: &str = "Asia/Makassar";

/// How many clients act side by side.
pub(crate) const CLIENTS: usize = 4;

/// What one client does in one go.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Registers entries.
    Register(Vec<v1::RegistryEntry>),
    /// Submits one record.
    Submit(v1::Submission),
    /// Submits records over one stream.
    SubmitBatch(Vec<v1::Submission>),
    /// Opens a case.
    OpenCase(v1::Submission),
    /// Takes a case one step on.
    Step(StepPlan),
    /// Decides on a conflict.
    Decide(DecisionPlan),
}

/// A decision that is made when the conflicts are known: which there are depends on how the clients were interleaved.
#[derive(Clone, Debug)]
pub(crate) struct DecisionPlan {
    pub(crate) command_id: String,
    /// Decide what must be refused.
    pub(crate) wild: bool,
    /// Send the same command a second time.
    pub(crate) repeated: bool,
    /// Seed of the choices that are left.
    pub(crate) dice: u64,
}

/// A step that is chosen when the case is known: which are allowed depends on how the clients were interleaved.
#[derive(Clone, Debug)]
pub(crate) struct StepPlan {
    pub(crate) command_id: String,
    pub(crate) case_id: String,
    pub(crate) other_case_id: String,
    pub(crate) occurred_at: Timestamp,
    /// When the step is sent: none is taken later than this.
    pub(crate) sent_at: Timestamp,
    /// Take any step, allowed or not.
    pub(crate) wild: bool,
    /// Decide on the version before the current one.
    pub(crate) stale: bool,
    /// Send the same command a second time.
    pub(crate) repeated: bool,
    /// Seed of the choices that are left.
    pub(crate) dice: u64,
}

/// What happens at one time.
#[derive(Clone, Debug)]
pub(crate) struct Wave {
    pub(crate) at: Timestamp,
    /// The actions of each client.
    pub(crate) clients: Vec<Vec<Action>>,
}

/// What several clients do over some months.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) start: Timestamp,
    pub(crate) waves: Vec<Wave>,
    /// Codes of the periods that the history touches, and one each before and after it.
    pub(crate) periods: Vec<String>,
}

impl History {
    /// Makes the history of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let zone = TimeZone::get(ZONE).expect("the zone is in the bundled database");
        let starts = [(2027, 11, 20), (2028, 1, 15), (2027, 5, 20), (2028, 8, 25), (2027, 12, 28)];
        let (year, month, day) = starts[rng.random_range(0..starts.len())];
        let first = Date::constant(year, month, day);
        let last = first.checked_add(rng.random_range(95..150).days()).expect("far from the ends of time");
        let times = wave_times(&mut rng, first, last, &zone);
        let start = start_of(first, &zone);
        let mut world = World::new(rng, zone, first, last);
        let mut waves = vec![registry_wave(start, world.register_all())];
        for (index, &at) in times.iter().enumerate() {
            waves.push(world.wave(index, at));
        }
        Self { start, waves, periods: periods(first, last) }
    }
}

/// The first wave registers everything, so that later ones meet no unknown area by chance.
fn registry_wave(at: Timestamp, entries: Vec<v1::RegistryEntry>) -> Wave {
    let mut clients = vec![Vec::new(); CLIENTS];
    clients[0].push(Action::Register(entries));
    Wave { at, clients }
}

/// About twenty times between two days, most of them at an edge.
fn wave_times(rng: &mut ChaCha8Rng, first: Date, last: Date, zone: &TimeZone) -> Vec<Timestamp> {
    let mut edges = edges(first, last, zone);
    edges.shuffle(rng);
    edges.truncate(14);
    let (from, until) = (start_of(first, zone), start_of(last, zone));
    for _ in 0..8 {
        edges.push(somewhere(rng, from, until));
    }
    edges.retain(|&edge| from < edge && edge < until);
    edges.sort();
    edges.dedup();
    edges
}

/// Instants at which a month or a report's deadline passes, the millisecond before each, and noon of the leap day.
pub(crate) fn edges(first: Date, last: Date, zone: &TimeZone) -> Vec<Timestamp> {
    let mut edges = Vec::new();
    let mut month = first.first_of_month();
    while month <= last {
        for edge in [start_of(month, zone), report_deadline(&before_all(), month, zone)] {
            edges.push(edge);
            edges.push(edge - SignedDuration::from_millis(1));
        }
        if (month.year(), month.month()) == (2028, 2) {
            edges.push(start_of(month.last_of_month(), zone) + SignedDuration::from_hours(12));
        }
        month = month_after(month);
    }
    edges
}

/// Some instant of `[from, until]`, at whole milliseconds.
pub(crate) fn somewhere(rng: &mut ChaCha8Rng, from: Timestamp, until: Timestamp) -> Timestamp {
    let span_ms = until.as_millisecond() - from.as_millisecond();
    from + SignedDuration::from_millis(rng.random_range(0..=span_ms.max(0)))
}

/// Every month from the one before `first` to the one after `last`, and the quarters, semesters and years in which they lie.
fn periods(first: Date, last: Date) -> Vec<String> {
    let mut codes = Vec::new();
    let mut month = first.first_of_month().checked_sub(1.month()).expect("far from the ends of time");
    while month <= month_after(last.first_of_month()) {
        let (year, number) = (month.year(), month.month());
        codes.push(format!("{year}-{number:02}"));
        codes.push(format!("{year}-Q{}", (number + 2) / 3));
        codes.push(format!("{year}-S{}", (number + 5) / 6));
        codes.push(format!("{year}"));
        month = month_after(month);
    }
    codes.sort();
    codes.dedup();
    codes
}

/// A version 7 UUID of a time with the history's own chance.
pub(crate) fn uuid(rng: &mut ChaCha8Rng, at: Timestamp) -> String {
    let mut chance = [0; 10];
    rng.fill_bytes(&mut chance);
    let millis = u64::try_from(at.as_millisecond()).expect("histories lie after 1970");
    uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid().hyphenated().to_string()
}
