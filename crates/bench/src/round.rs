//! One round: a fresh log, filled and measured step by step.
//!
//! The steps run in the order of [`Scenario`], so that those which need a filled log come after those which fill it. Where those
//! were not chosen, the log is filled for it first.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use satgas_proto::v1::{EvaluationOrder, ListEvaluationsRequest};

use crate::{
    city::City,
    door::Door,
    fan_out,
    figures::{Figures, Goal, Scenario, Unit},
    fold, follow, load, machine,
    plan::{Plan, Scale},
    proof,
    served::{House, Served},
};

/// Writers at once, and the appends a second that were hoped for.
const WRITERS: [(usize, Option<Goal>); 4] = [
    (1, Some(Goal::AtLeast(2_300.0))),
    (16, None),
    (64, Some(Goal::AtLeast(28_000.0))),
    (256, Some(Goal::AtLeast(38_000.0))),
];
/// Streams, records a message, and the records a second that were hoped for.
const STREAMS: [(usize, usize, Option<Goal>); 4] =
    [(1, 1, None), (1, 64, Some(Goal::AtLeast(250_000.0))), (8, 1, None), (8, 64, Some(Goal::AtLeast(250_000.0)))];
/// Records of a message while the log is only filled.
const FILL_PER_MESSAGE: usize = 64;
/// Streams while the log is only filled.
const FILL_STREAMS: usize = 8;
/// Records of one filling: what the client holds at once.
const FILL_RECORDS: usize = 100_000;
/// Writers and rate while evaluations are listed.
const PACED_WRITERS: usize = 64;
const PACED_PER_SECOND: f64 = 5_000.0;
const STALLED_SUBSCRIBERS: usize = 100;
const MIB: f64 = 1_048_576.0;

/// A round in progress.
pub(crate) struct Round<'a> {
    plan: &'a Plan,
    scale: Scale,
    city: City,
    house: House,
    /// Taken while the server is stopped, and only then.
    served: Option<Served>,
    figures: &'a mut Figures,
    /// Visits acknowledged so far.
    written: usize,
}

/// Runs the chosen scenarios once.
pub(crate) async fn run(plan: &Plan, mut chosen: Vec<Scenario>, figures: &mut Figures) -> Result<()> {
    let house = House::new(&plan.satgas, &plan.scratch)?;
    let mut round = Round { plan, scale: plan.scale(), city: City::new(), house, served: None, figures, written: 0 };
    chosen.sort_unstable();
    if chosen.first() == Some(&Scenario::Machine) {
        round.syncs()?;
    }
    if chosen != [Scenario::Fold] {
        round.open().await?;
    }
    for scenario in chosen {
        eprintln!(" {}", scenario.name());
        round.measure(scenario).await.with_context(|| format!("scenario {}", scenario.name()))?;
    }
    if let Some(served) = round.served.take() {
        served.stop().await?;
    }
    Ok(())
}

impl Round<'_> {
    async fn measure(&mut self, scenario: Scenario) -> Result<()> {
        match scenario {
            Scenario::Machine => self.empty_calls().await,
            Scenario::Access => self.access().await,
            Scenario::Fold => self.fold(),
            Scenario::Append => self.appends().await,
            Scenario::Latency => self.latency().await,
            Scenario::Stream => self.streams().await,
            Scenario::Proof => self.proofs().await,
            Scenario::Disk => self.disk().await,
            Scenario::Backup => self.backup().await,
            Scenario::Restart => self.restart().await,
            Scenario::CatchUp => self.catch_up().await,
            Scenario::Evaluate => self.evaluate().await,
            Scenario::Past => self.past().await,
            Scenario::Stalled => self.stalled().await,
            Scenario::FanOut => self.fan_out().await,
            Scenario::Releases => anyhow::bail!("a release is counted without a server"),
            Scenario::Nation => anyhow::bail!("a country has a log of its own"),
        }
    }

    fn add(&mut self, scenario: Scenario, what: &str, unit: Unit, goal: Option<Goal>, value: f64) {
        self.figures.add(scenario, what, unit, goal, value);
    }

    fn served(&self) -> Result<&Served> {
        self.served.as_ref().context("the server is stopped")
    }

    async fn channels(&self, callers: usize) -> Result<Vec<Door>> {
        load::connect(self.served()?, callers, self.plan.connections).await
    }

    async fn channel(&self) -> Result<Door> {
        self.channels(1).await?.pop().context("one caller has one channel")
    }

    /// Starts the server on the new folder and registers the city.
    async fn open(&mut self) -> Result<()> {
        self.start()?;
        follow::register(self.channel().await?, self.city.registry()).await
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

    /// Fills the log until there are as many records as a scenario needs.
    async fn fill(&mut self) -> Result<()> {
        while self.written < self.scale.log_records {
            let visits = self.city.visits(FILL_RECORDS.min(self.scale.log_records - self.written));
            self.written += visits.len();
            load::streams(self.channels(FILL_STREAMS).await?, visits, FILL_PER_MESSAGE).await?;
        }
        Ok(())
    }

    fn syncs(&mut self) -> Result<()> {
        let rate = machine::fdatasync_rate(self.house.folder(), self.scale.sync_time)?;
        self.add(Scenario::Machine, "plain file: append 4 KiB and fdatasync", Unit::PerSecond, None, rate);
        Ok(())
    }

    async fn empty_calls(&mut self) -> Result<()> {
        let idle = self.served()?.memory()?.resident as f64 / MIB;
        self.add(Scenario::Machine, "server memory, idle, 51 kelurahan", Unit::MiB, None, idle);
        for (callers, _) in WRITERS {
            let achieved = load::empty_calls(self.channels(callers).await?, self.scale.calls(callers)).await?;
            self.add(
                Scenario::Machine,
                &format!("empty calls, {callers} at once"),
                Unit::PerSecond,
                None,
                achieved.rate(),
            );
        }
        Ok(())
    }

    /// Both kinds of calls in the same minute: their difference is what the door and the policy cost. With many callers all cores are busy,
    /// so that a call's share of them is its processor time, the client's included.
    async fn access(&mut self) -> Result<()> {
        let cores = std::thread::available_parallelism()?.get() as f64;
        for callers in [1, 64] {
            let count = self.scale.calls(callers);
            let empty = load::empty_calls(self.channels(callers).await?, count).await?;
            let admitted = load::admitted_calls(self.channels(callers).await?, count).await?;
            let busy = if callers == 1 { 1.0 } else { cores };
            let microseconds = |achieved: &load::Achieved| busy * 1e6 / achieved.rate();
            let mut add = |what: &str, value| {
                let what = format!("{callers} at once: {what}");
                self.figures.add(Scenario::Access, &what, Unit::Microseconds, None, value);
            };
            add("a call without a token", microseconds(&empty));
            add("a call with a token", microseconds(&admitted));
            add("authentication and policy, a call", microseconds(&admitted) - microseconds(&empty));
        }
        Ok(())
    }

    fn fold(&mut self) -> Result<()> {
        let bytes = fold::weigh(self.scale.held_records)?;
        let folded = fold::measure(&mut self.city, self.scale.fold_records)?;
        let rate = |took: Duration| folded.visits as f64 / took.as_secs_f64();
        let goal = Some(Goal::AtLeast(1_000_000.0));
        self.add(Scenario::Fold, "records folded", Unit::PerSecond, goal, rate(folded.apply));
        self.add(Scenario::Fold, "records decoded and folded", Unit::PerSecond, None, rate(folded.decode_and_apply));
        self.add(Scenario::Fold, "memory of the views, a record", Unit::Bytes, None, bytes);
        Ok(())
    }

    /// The log is counted before and after each number of writers: all that was committed between is theirs.
    async fn appends(&mut self) -> Result<()> {
        for (writers, goal) in WRITERS.into_iter().filter(|(writers, _)| self.plan.measures(*writers)) {
            self.stop().await?;
            let before = self.house.verify()?;
            self.start()?;
            let visits = self.city.visits(self.scale.appends(writers));
            let achieved = load::appends(self.channels(writers).await?, visits).await?;
            self.written += usize::try_from(achieved.count)?;
            let peak = self.served()?.memory()?.peak as f64 / MIB;
            self.stop().await?;
            let after = self.house.verify()?;
            let records = after.records - before.records;
            anyhow::ensure!(records == achieved.count, "{records} records for {} receipts", achieved.count);
            let per_commit = records as f64 / (after.commits - before.commits) as f64;
            let name = if writers == 1 { "1 writer".to_owned() } else { format!("{writers} writers") };
            let mut add = |what: &str, unit, goal, value| {
                self.figures.add(Scenario::Append, &format!("{name}: {what}"), unit, goal, value);
            };
            add("durable appends", Unit::PerSecond, goal, achieved.rate());
            add("latency p50", Unit::Milliseconds, None, load::quantile_ms(&achieved.latencies, 0.5));
            add("latency p99", Unit::Milliseconds, None, load::quantile_ms(&achieved.latencies, 0.99));
            add("records a sync", Unit::Records, None, per_commit);
            add("server memory, most", Unit::MiB, None, peak);
            self.start()?;
        }
        Ok(())
    }

    async fn latency(&mut self) -> Result<()> {
        let visits = self.city.visits(self.scale.latency_records);
        self.written += visits.len();
        let (writer, reader) = (self.channel().await?, self.channel().await?);
        let latencies = follow::append_to_subscriber(writer, reader, visits).await?;
        let mut add = |what: &str, goal, quantile| {
            let what = format!("append to subscriber, 1 writer: {what}");
            self.figures.add(
                Scenario::Latency,
                &what,
                Unit::Milliseconds,
                goal,
                load::quantile_ms(&latencies, quantile),
            );
        };
        add("p50", Some(Goal::Below(1.0)), 0.5);
        add("p99", None, 0.99);
        Ok(())
    }

    async fn streams(&mut self) -> Result<()> {
        for (streams, per_message, goal) in STREAMS {
            let visits = self.city.visits(self.scale.streamed(per_message));
            let channels = load::connect(self.served()?, streams, streams).await?;
            let achieved = load::streams(channels, visits, per_message).await?;
            self.written += usize::try_from(achieved.count)?;
            let streams = if streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") };
            let what = format!("{streams}, {per_message} a message");
            self.add(Scenario::Stream, &what, Unit::PerSecond, goal, achieved.rate());
        }
        self.fill().await?;
        let peak = self.served()?.memory()?.peak as f64 / MIB;
        self.add(Scenario::Stream, "server memory, most, after all streams", Unit::MiB, None, peak);
        Ok(())
    }

    /// What the tree costs is the time that it takes on a core for as many records as a server takes in a second, in parts of that second.
    async fn proofs(&mut self) -> Result<()> {
        let grown = proof::grow(&mut self.city, self.scale.fold_records)?;
        let each = grown.took.as_secs_f64() / grown.records as f64;
        self.add(Scenario::Proof, "records of 300 B hashed into the tree, 1 thread", Unit::PerSecond, None, 1.0 / each);
        let visits = self.city.visits(self.scale.appends(256));
        let appended = load::appends(self.channels(256).await?, visits).await?;
        let visits = self.city.visits(self.scale.streamed(64));
        let streamed = load::streams(load::connect(self.served()?, 8, 8).await?, visits, 64).await?;
        self.written += usize::try_from(appended.count + streamed.count)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        for (name, rate) in [("256 writers", appended.rate()), ("8 streams, 64 a message", streamed.rate())] {
            self.add(Scenario::Proof, &format!("{name}: records recorded"), Unit::PerSecond, None, rate);
            let what = format!("{name}: the tree's share of the processors' time");
            self.add(Scenario::Proof, &what, Unit::Percent, Some(Goal::Below(5.0)), 100.0 * each * rate / cores);
        }
        for records in self.scale.proven_records {
            let proven = proof::prove(records)?;
            let of = format!("proof in a log of {records} records");
            let microseconds = |took: Duration| took.as_secs_f64() * 1e6;
            self.add(Scenario::Proof, &format!("{of}: file, at most"), Unit::Bytes, None, proven.bytes_most as f64);
            self.add(Scenario::Proof, &format!("{of}: made"), Unit::Microseconds, None, microseconds(proven.make));
            self.add(Scenario::Proof, &format!("{of}: checked"), Unit::Microseconds, None, microseconds(proven.check));
        }
        Ok(())
    }

    async fn disk(&mut self) -> Result<()> {
        self.fill().await?;
        self.stop().await?;
        let records = self.house.verify()?.records as f64;
        let all = machine::disk_bytes(&self.house.data())? as f64;
        let log = machine::disk_bytes(&self.house.data().join("journal"))? as f64;
        self.add(Scenario::Disk, "log, a record of 300 B", Unit::Bytes, None, log / records);
        self.add(Scenario::Disk, "whole data folder with checkpoints, a record", Unit::Bytes, None, all / records);
        self.start()?;
        Ok(())
    }

    /// The same records at the same rate, first alone and then while whole backups are taken one after the other.
    async fn backup(&mut self) -> Result<()> {
        self.fill().await?;
        let folder = self.house.folder().join("backups");
        let place = |number: usize| folder.join(number.to_string());
        let run = self.served()?.backup(&self.plan.satgas, &place(0)).await?;
        let per_second = |count: u64| count as f64 / run.took.as_secs_f64();
        self.add(Scenario::Backup, "whole backup, nobody else at work", Unit::PerSecond, None, per_second(run.records));
        let what = "whole backup, nobody else at work, MiB a second";
        self.add(Scenario::Backup, what, Unit::MiB, None, per_second(run.bytes) / MIB);

        let mut p99 = [0.0; 2];
        for (backing_up, p99) in [false, true].into_iter().zip(&mut p99) {
            let visits = self.city.visits(self.scale.paced_records);
            self.written += visits.len();
            let writers = load::paced(self.channels(PACED_WRITERS).await?, visits, PACED_PER_SECOND);
            let achieved = match backing_up {
                false => writers.await?,
                true => self.beside_backups(writers, place).await?,
            };
            *p99 = load::quantile_ms(&achieved.latencies, 0.99);
            let with = if backing_up { "while backups are taken" } else { "alone" };
            let what = format!("append of 64 writers, 5,000 a second, {with}: p99");
            self.add(Scenario::Backup, &what, Unit::Milliseconds, None, *p99);
        }
        let what = "append p99 while backups are taken, of alone";
        self.add(Scenario::Backup, what, Unit::Times, Some(Goal::Below(1.5)), p99[1] / p99[0]);

        let run = self.served()?.backup(&self.plan.satgas, &place(0)).await?;
        self.add(Scenario::Backup, "records of the next run", Unit::Records, None, run.records as f64);
        self.stop().await?;
        let restored = self.house.restore(&place(0), &folder.join("restored"))?;
        let rate = restored.records as f64 / restored.took.as_secs_f64();
        let goal = Some(Goal::AtLeast(500_000.0));
        self.add(Scenario::Backup, "records restored, checked and read back", Unit::PerSecond, goal, rate);
        std::fs::remove_dir_all(&folder)?;
        self.start()?;
        Ok(())
    }

    /// Takes whole backups, one after the other, until the writers are done.
    async fn beside_backups(
        &self,
        writers: impl Future<Output = Result<load::Achieved>>,
        place: impl Fn(usize) -> std::path::PathBuf,
    ) -> Result<load::Achieved> {
        let served = self.served()?;
        let whole = std::cell::Cell::new(0);
        let backups = async {
            for number in 1.. {
                served.backup(&self.plan.satgas, &place(number)).await?;
                std::fs::remove_dir_all(place(number))?;
                whole.set(number);
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::select! {
            achieved = writers => {
                anyhow::ensure!(whole.get() > 0, "no backup became whole while the writers were at work");
                achieved
            }
            failed = backups => {
                failed?;
                anyhow::bail!("backups ended by themselves")
            }
        }
    }

    async fn restart(&mut self) -> Result<()> {
        self.fill().await?;
        self.stop().await?;
        let with = self.start()?;
        self.stop().await?;
        self.house.remove_checkpoints()?;
        let without = self.start()?;
        let records = format!("{:.1} M records", self.written as f64 / 1e6);
        let seconds = |took: Duration| took.as_secs_f64();
        let what = format!("start on {records}, checkpoints of an orderly stop");
        self.add(Scenario::Restart, &what, Unit::Seconds, None, seconds(with));
        let what = format!("start on {records}, no checkpoints");
        self.add(Scenario::Restart, &what, Unit::Seconds, None, seconds(without));
        let rebuilt = self.written as f64 / seconds(without);
        self.add(Scenario::Restart, "records read, decoded and folded at a start", Unit::PerSecond, None, rebuilt);
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<()> {
        self.fill().await?;
        let goal = Some(Goal::AtLeast(500_000.0));
        let rate = |(events, took): (u64, Duration)| events as f64 / took.as_secs_f64();
        let undecoded = rate(follow::catch_up_undecoded(self.channel().await?).await?);
        self.add(Scenario::CatchUp, "1 subscriber, events left as bytes", Unit::PerSecond, goal, undecoded);
        let decoded = rate(follow::catch_up(self.channel().await?).await?);
        self.add(Scenario::CatchUp, "1 subscriber, events decoded", Unit::PerSecond, goal, decoded);
        Ok(())
    }

    async fn evaluate(&mut self) -> Result<()> {
        self.fill().await?;
        let kelurahan = self.city.kelurahan_count();
        for (name, period) in [("month", String::new()), ("year", crate::city::year())] {
            let visits = self.city.visits(self.scale.paced_records);
            self.written += visits.len();
            let (lists, writers) = (self.channel().await?, self.channels(PACED_WRITERS).await?);
            let request =
                ListEvaluationsRequest { period, order: EvaluationOrder::ScoreAscending.into(), ..Default::default() };
            let list = (request, kelurahan);
            let (latencies, rate) = follow::evaluations(lists, writers, visits, PACED_PER_SECOND, list).await?;
            let mut add = |what: &str, unit, value| {
                let what = format!("list of {kelurahan} for a {name}: {what}");
                self.figures.add(Scenario::Evaluate, &what, unit, None, value);
            };
            add("p50", Unit::Milliseconds, load::quantile_ms(&latencies, 0.5));
            add("p99", Unit::Milliseconds, load::quantile_ms(&latencies, 0.99));
            add("appends meanwhile, of 5,000 wanted", Unit::PerSecond, rate);
        }
        Ok(())
    }

    /// Each first question about a moment folds the views of then; the same moment again finds them kept.
    async fn past(&mut self) -> Result<()> {
        self.fill().await?;
        let kelurahan = self.city.kelurahan_count();
        let head = follow::listed_at(self.channel().await?, None, kelurahan).await?;
        for (name, position) in
            [("10,000 records ago", head.saturating_sub(10_000).max(1)), ("half the log ago", head / 2)]
        {
            for which in ["first", "again"] {
                let channel = self.channel().await?;
                let called = Instant::now();
                let answered = follow::listed_at(channel, Some(position), kelurahan).await?;
                let took = called.elapsed();
                anyhow::ensure!(answered == position, "answered as of {answered} instead of {position}");
                let what = format!("list of {kelurahan} for a year, as of {name}: {which}");
                self.add(Scenario::Past, &what, Unit::Milliseconds, None, took.as_secs_f64() * 1_000.0);
            }
        }
        let most = self.served()?.memory()?.peak as f64 / MIB;
        self.add(Scenario::Past, "server memory, most", Unit::MiB, None, most);
        Ok(())
    }

    async fn fan_out(&mut self) -> Result<()> {
        self.stop().await?;
        self.start()?;
        let served = self.served.as_ref().context("the server is stopped")?;
        self.written += fan_out::measure_all(served, &mut self.city, self.scale.fan_out_time, self.figures).await?;
        Ok(())
    }

    async fn stalled(&mut self) -> Result<()> {
        self.fill().await?;
        // Started anew: memory that an earlier step left free would hide growth.
        self.stop().await?;
        self.start()?;
        let before = self.served()?.memory()?.resident as f64 / MIB;
        self.add(Scenario::Stalled, "server memory, idle, on the filled log", Unit::MiB, None, before);
        let mut stalled = follow::Stalled::default();
        // The first may fill memory that the start left free; the second cannot.
        for which in ["first", "second"] {
            let grown = stalled.add(self.served()?, STALLED_SUBSCRIBERS, self.scale.stalled_time).await?;
            let what = format!("{which} {STALLED_SUBSCRIBERS} stalled subscribers: memory grown by");
            self.add(Scenario::Stalled, &what, Unit::MiB, Some(Goal::Below(200.0)), grown as f64 / MIB);
        }
        Ok(())
    }
}
