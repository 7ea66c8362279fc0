//! A country by simulation: 83,762 villages with two years of records in one log, and what the server takes for it.
//!
//! Each size has a log of its own, in a folder that is removed. Every step is bounded in time: registering and loading 45 minutes, a start
//! 10, a stop 3, each question 20 seconds. The records are stamped with the time at which the server learns them, which is today: no
//! moment a year ago can be asked for, so the moment at which half of the two years was loaded stands for it.

mod country;
mod growth;
mod history;
mod loading;
mod questions;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use satgas_proto::v1::{AsOf, EvaluationOrder, ListEvaluationsRequest, as_of::At};

use self::{growth::Row, history::History, loading::Loaded, questions::Asker};
use crate::{
    city,
    door::Door,
    figures::{Figures, Goal, Scenario, Unit},
    follow, load, machine,
    plan::Plan,
    served::{House, Served},
};

pub(crate) use self::{country::Country, growth::Growth};

/// Streams that load the log.
const STREAMS: usize = 8;
/// Cases that are assessed and answered, and how many at once.
const CASES_HANDLED: usize = 5_000;
const HANDLERS: usize = 64;
/// How often each question is asked at most.
const EVALUATIONS: usize = 2_000;
const LISTS: usize = 300;
const PAGES: usize = 100;
const PAST: usize = 500;
/// The village that is asked about next lies so many further on: coprime to their number, so all take their turn.
const VILLAGE_STEP: usize = 7_919;
/// The list that is asked for while records come in.
const KELURAHAN: usize = 51;
const PAGE: u32 = 1_000;
const PACED_WRITERS: usize = 64;
const PACED_PER_SECOND: f64 = 5_000.0;
const RECENT: u64 = 10_000;
const MIB: f64 = 1_048_576.0;
/// What was hoped for, by the title of its column and in the unit of that.
const GOALS: [(&str, Goal); 10] = [
    ("a month p99", Goal::Below(1.0)),
    ("a year p99", Goal::Below(1.0)),
    ("near first", Goal::Below(50.0)),
    ("half first", Goal::Below(2_000.0)),
    ("by time first", Goal::Below(2_000.0)),
    ("51 at 5,000/s p99", Goal::Below(2.0)),
    ("export parquet", Goal::Below(300.0)),
    ("export jsonl", Goal::Below(300.0)),
    ("rebuilt a second", Goal::AtLeast(1_000_000.0)),
    ("memory", Goal::Below(3_072.0)),
];
/// Disk for the registry and its checkpoints, and for a record: its place in the log, the copy while opening, checkpoints, and an export.
const DISK_BYTES: u64 = 2 << 30;
const DISK_BYTES_PER_RECORD: u64 = 2_200;

/// Runs every size once.
pub(crate) async fn run(plan: &Plan, figures: &mut Figures) -> Result<Growth> {
    let country = Arc::new(match &plan.areas {
        Some(path) => Country::read(path)?,
        None => Country::invented(),
    });
    let mut growth = Growth::default();
    for records in plan.sizes() {
        eprintln!("{} records of {}", Unit::Bytes.show(records as f64), country.describe());
        machine::ensure_free(&plan.scratch, records, DISK_BYTES + records * DISK_BYTES_PER_RECORD)?;
        let mut house = House::new(&plan.satgas, &plan.scratch)?;
        if plan.keep {
            house.keep();
            eprintln!("its log is kept in {}", house.data().display());
        }
        let end = city::now();
        let history = History::new(Arc::clone(&country), records, end);
        let mut nation = Nation {
            plan,
            country: Arc::clone(&country),
            history,
            records,
            house,
            served: None,
            figures,
            row: Row::default(),
        };
        nation.measure().await.with_context(|| format!("a country with {records} records"))?;
        growth.add(nation.row);
    }
    Ok(growth)
}

/// One size in progress.
struct Nation<'a> {
    plan: &'a Plan,
    country: Arc<Country>,
    history: History,
    records: u64,
    house: House,
    /// Taken while the server is stopped, and only then.
    served: Option<Served>,
    figures: &'a mut Figures,
    row: Row,
}

impl Nation<'_> {
    async fn measure(&mut self) -> Result<()> {
        self.row.add("records", Unit::Bytes.show(self.records as f64));
        self.start()?;
        let Loaded { half_at, .. } = self.load().await?;
        self.memory("after loading", None)?;
        self.stop().await?;
        let opened = self.start()?;
        self.seconds(Some("open"), "start with the checkpoints of an orderly stop", opened);
        let mut asker = Asker::new(self.channel().await?);
        let (_, head) = asker.evaluation(&self.country.villages[0], "", None).await?;
        self.now(&mut asker).await?;
        self.past(&mut asker, head, half_at).await?;
        self.memory("after questions about the past", None)?;
        self.exports(head).await?;
        self.while_records_arrive().await?;
        self.stop().await?;
        self.disk(head)?;
        self.rebuild(head).await
    }

    async fn load(&mut self) -> Result<Loaded> {
        let channels = load::connect(self.served()?, STREAMS, STREAMS).await?;
        let called = Instant::now();
        let entries = loading::register(&channels[0], &self.country).await?;
        let what = format!("registering {} entries", Unit::Bytes.show(entries as f64));
        self.seconds(None, &what, called.elapsed());
        let loaded = loading::stream(channels, &self.history, self.records).await?;
        self.seconds(Some("load"), "loading", loaded.took);
        let rate = self.records as f64 / loaded.took.as_secs_f64();
        self.add(Some("loaded a second"), "records loaded", Unit::PerSecond, rate);
        let called = Instant::now();
        let handlers = load::connect(self.served()?, HANDLERS, self.plan.connections).await?;
        let steps = loading::steps(handlers, &self.history, CASES_HANDLED).await?;
        self.seconds(None, &format!("{} steps of cases", Unit::Bytes.show(steps as f64)), called.elapsed());
        Ok(loaded)
    }

    /// Questions about now, while nothing else happens.
    async fn now(&mut self, asker: &mut Asker) -> Result<()> {
        let year = city::year();
        for (title, name, period) in [("a month p99", "month", ""), ("a year p99", "year", year.as_str())] {
            let latencies = asker.evaluations(self.villages(EVALUATIONS), period, None).await?;
            self.quantiles(Some(title), &format!("evaluation of one village for a {name}"), &latencies);
        }
        let (regency, villages) = self.country.regency_with(self.country.villages.len() / 514);
        let list = |area_prefix: &str, page_size| ListEvaluationsRequest {
            area_prefix: area_prefix.to_owned(),
            page_size,
            ..Default::default()
        };
        let latencies = asker.lists(LISTS, &list(&regency, PAGE), villages).await?;
        self.quantiles(Some("kabupaten p99"), &format!("list of the {villages} villages of one kabupaten"), &latencies);
        let page = self.country.villages.len().min(1_000);
        let latencies = asker.lists(PAGES, &list("", PAGE), page).await?;
        self.quantiles(Some("first page p99"), &format!("list of all villages, first page of {page}"), &latencies);
        let latencies = asker.explanations(self.villages(PAST), &year).await?;
        self.quantiles(None, "explanation of one village's follow-ups in a year", &latencies);
        Ok(())
    }

    /// The first question about a moment is told apart from the others: a server may have to prepare for it what they find ready.
    async fn past(&mut self, asker: &mut Asker, head: u64, half_at: jiff::Timestamp) -> Result<()> {
        let time = pbjson_types::Timestamp { seconds: half_at.as_second(), nanos: half_at.subsec_nanosecond() };
        let moments = [
            ("near first", "10,000 records ago", At::Position(head.saturating_sub(RECENT).max(1))),
            ("half first", "half the records ago", At::Position((head - self.records / 2).max(1))),
            ("by time first", "the time at which half was loaded", At::Time(time)),
        ];
        let year = city::year();
        for (title, name, at) in moments {
            let as_of = Some(AsOf { at: Some(at) });
            let (took, position) = asker.evaluation(&self.country.villages[0], &year, as_of).await?;
            ensure!(position < head, "answered as of {position}, which is no past of {head}");
            let what = format!("evaluation of one village for a year, as of {name}");
            self.add(Some(title), &format!("{what}: first"), Unit::Milliseconds, took.as_secs_f64() * 1_000.0);
            let latencies = asker.evaluations(self.villages(PAST), &year, as_of).await?;
            self.quantiles(None, &format!("{what}: others"), &latencies);
        }
        Ok(())
    }

    async fn exports(&mut self, head: u64) -> Result<()> {
        for (title, ending) in [("export parquet", "parquet"), ("export jsonl", "jsonl")] {
            let file = self.house.folder().join(format!("records.{ending}"));
            let (took, peak) = self.served()?.export(&self.plan.satgas, &file).await?;
            let rate = head as f64 / took.as_secs_f64();
            self.add(None, &format!("export of all events as {ending}"), Unit::PerSecond, rate);
            let what = format!("memory of the export as {ending}, most");
            self.add(Some(title), &what, Unit::MiB, peak as f64 / MIB);
            fs::remove_file(file)?;
        }
        self.memory("after the exports", None)
    }

    async fn while_records_arrive(&mut self) -> Result<()> {
        let (area_prefix, kelurahan) = self.country.regency_with(KELURAHAN);
        let paced = u64::try_from(self.plan.scale().paced_records)?;
        let visits = (self.records..self.records + paced).map(|number| self.history.record(number)).collect();
        let request =
            ListEvaluationsRequest { area_prefix, order: EvaluationOrder::ScoreAscending.into(), ..Default::default() };
        let writers = load::connect(self.served()?, PACED_WRITERS, self.plan.connections).await?;
        let list = (request, kelurahan);
        let (latencies, rate) =
            follow::evaluations(self.channel().await?, writers, visits, PACED_PER_SECOND, list).await?;
        let what = format!("list of {kelurahan} villages for a month while records arrive");
        self.quantiles(Some("51 at 5,000/s p99"), &what, &latencies);
        self.add(None, &format!("{what}: appends meanwhile, of 5,000 wanted"), Unit::PerSecond, rate);
        self.memory("while records arrived", None)
    }

    fn disk(&mut self, head: u64) -> Result<()> {
        let events = (head + self.plan.scale().paced_records as u64) as f64;
        let all = machine::disk_bytes(&self.house.data())? as f64;
        let log = machine::disk_bytes(&self.house.data().join("journal"))? as f64;
        self.add(Some("log a record"), "log on disk, an event", Unit::Bytes, log / events);
        self.add(None, "whole data folder with checkpoints, an event", Unit::Bytes, all / events);
        Ok(())
    }

    /// Started without checkpoints, the server folds the whole log.
    async fn rebuild(&mut self, head: u64) -> Result<()> {
        let events = head + self.plan.scale().paced_records as u64;
        self.house.remove_checkpoints()?;
        let took = self.start()?;
        self.seconds(Some("rebuild"), "start without checkpoints", took);
        let rate = events as f64 / took.as_secs_f64();
        self.add(Some("rebuilt a second"), "events read, decoded and folded at a start", Unit::PerSecond, rate);
        self.memory("rebuilt", Some(("memory", "memory, most")))?;
        self.stop().await
    }

    /// So many villages, from all over the country.
    fn villages(&self, count: usize) -> impl Iterator<Item = &String> {
        let villages = &self.country.villages;
        (0..count).map(move |turn| &villages[turn * VILLAGE_STEP % villages.len()])
    }

    fn memory(&mut self, when: &str, titles: Option<(&'static str, &'static str)>) -> Result<()> {
        let memory = self.served()?.memory()?;
        let (now, most) = titles.unzip();
        self.add(now, &format!("server memory, {when}"), Unit::MiB, memory.resident as f64 / MIB);
        self.add(most, &format!("server memory, most, {when}"), Unit::MiB, memory.peak as f64 / MIB);
        Ok(())
    }

    fn quantiles(&mut self, title: Option<&'static str>, what: &str, latencies: &Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let title = title.filter(|_| name == "p99");
            self.add(title, &format!("{what}: {name}"), Unit::Milliseconds, load::quantile_ms(latencies, quantile));
        }
    }

    fn seconds(&mut self, title: Option<&'static str>, what: &str, took: Duration) {
        self.add(title, what, Unit::Seconds, took.as_secs_f64());
    }

    /// Adds a figure, and under a title to the row of this size, with what was hoped for under it.
    fn add(&mut self, title: Option<&'static str>, what: &str, unit: Unit, value: f64) {
        let size = format!("{} M: {what}", self.records as f64 / 1e6);
        let goal = GOALS.iter().find(|(of, _)| Some(*of) == title).map(|(_, goal)| *goal);
        self.figures.add(Scenario::Nation, &size, unit, goal, value);
        if let Some(title) = title {
            self.row.add(title, format!("{} {}", unit.show(value), unit.symbol()));
        }
    }

    fn served(&self) -> Result<&Served> {
        self.served.as_ref().context("the server is stopped")
    }

    async fn channel(&self) -> Result<Door> {
        load::connect(self.served()?, 1, 1).await?.pop().context("one caller has one channel")
    }

    fn start(&mut self) -> Result<Duration> {
        let served = self.house.serve()?;
        let took = served.start_took;
        self.served = Some(served);
        Ok(took)
    }

    async fn stop(&mut self) -> Result<()> {
        self.served.take().context("the server is stopped")?.stop().await
    }
}
