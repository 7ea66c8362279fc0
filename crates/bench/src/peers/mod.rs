//! This server beside UmaDB and PostgreSQL, on the same work.
//!
//! Every step is taken by one server after the other, each started for it on what it has and stopped again, so that none disturbs another;
//! who is first changes from step to step. All three get the same records over loopback, with their own clients' way of doing things, and
//! answer when a record is durable.

mod compare;
mod contender;
mod page;
mod plot;
mod postgres;
mod tree;
mod umadb;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

use self::{
    compare::{Better, Comparison, Goal, What, Who, limit},
    contender::{BATCH, Contender, Satgas},
    postgres::Postgres,
    umadb::UmaDb,
};
use crate::{
    city::City,
    fan_out,
    figures::{Figures, Scenario, Unit},
    load,
    machine::{self, Others},
    page::Circumstances,
    plan::{Format, Plan, Scale},
};

/// Writers of batches.
const BATCH_WRITERS: usize = 16;
/// How long a server is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(2);
/// Records of one filling: what the client holds at once.
const FILL_RECORDS: usize = 100_000;
/// Disk that a record takes in all three logs, with checkpoints and copies, and in this server's alone.
const DISK_BYTES: u64 = 3_000;
const DISK_BYTES_ALONE: u64 = 500;
/// 30 MB.
const IDLE_MIB: f64 = 28.6;
/// Parts of a hundred of the processors: when others take more, the machine was not the servers' own and nothing is written down.
const OTHERS_PERCENT_MAX: f64 = 20.0;
/// Events of a new log that are no records: that it was opened, and its first rules.
const SETTING_UP: usize = 10;
/// What was hoped for of batches.
const FASTER_BATCHES: Option<Goal> = Some(Goal::Times(1.5));
const MIB: f64 = 1_048_576.0;
/// Records of a log up to which the others are measured beside this server: larger logs of theirs take more disk than there may be.
const PEERS_RECORDS_MAX: u64 = 10_000_000;

/// What a run came to.
struct Outcome<'a> {
    plan: &'a Plan,
    circumstances: &'a Circumstances,
    /// Why PostgreSQL was not measured, when it was not.
    missing: Option<String>,
    /// On logs that were empty in the beginning.
    comparison: Comparison,
    /// The machine's, and those of this server alone.
    figures: Figures,
    /// On logs that had so many records in the beginning.
    grown: Vec<(u64, Comparison)>,
    /// The most of the processors that others took in a round.
    others_percent_most: f64,
}

/// Measures as the plan says, prints, and writes page and picture when the run says enough.
pub(crate) async fn run(plan: &Plan, circumstances: &Circumstances) -> Result<()> {
    let missing = postgres::missing(&plan.postgres);
    if let Some(why) = &missing {
        eprintln!("POSTGRESQL IS NOT MEASURED: {why}");
    }
    let (comparison, figures, grown) = (Comparison::default(), Figures::default(), Vec::new());
    let mut outcome = Outcome { plan, circumstances, missing, comparison, figures, grown, others_percent_most: 0.0 };
    fs::create_dir_all(&plan.scratch).with_context(|| format!("{} cannot be made", plan.scratch.display()))?;
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}", plan.rounds);
        let others = Others::watch()?;
        let mut field = Field::new(plan, outcome.field()).await?;
        field.round(round, &mut outcome.comparison, &mut outcome.figures).await?;
        outcome.disturbed(others.percent()?);
        field.fan_out(&mut outcome.figures).await?;
    }
    for &records in &plan.records {
        eprintln!("on {} records", Unit::PerSecond.show(records as f64));
        let alone = records > PEERS_RECORDS_MAX;
        let (who, bytes) = if alone { (&Who::ALL[..1], DISK_BYTES_ALONE) } else { (outcome.field(), DISK_BYTES) };
        machine::ensure_free(&plan.scratch, records, records.saturating_mul(bytes))?;
        let mut field = Field::new(plan, who).await?;
        field.fill(usize::try_from(records)?).await?;
        let mut comparison = Comparison::default();
        let others = Others::watch()?;
        // The machine's figures of this size are in the limit; those of the rounds stay by themselves.
        field.round(1, &mut comparison, &mut Figures::default()).await?;
        outcome.disturbed(others.percent()?);
        outcome.grown.push((records, comparison));
    }
    outcome.print();
    if cfg!(debug_assertions) {
        eprintln!("this is not a release build: the figures mean nothing");
    } else if outcome.others_percent_most > OTHERS_PERCENT_MAX {
        let most = outcome.others_percent_most;
        eprintln!(
            "NOTHING IS WRITTEN DOWN: others took {most:.0} % of the processors in a round: the figures mean nothing"
        );
    } else if plan.writes_comparison() {
        page::write(&outcome)?;
    }
    Ok(())
}

impl Outcome<'_> {
    /// Who is measured.
    fn field(&self) -> &'static [Who] {
        if self.missing.is_none() { &Who::ALL } else { &Who::ALL[..2] }
    }

    /// Says how much of the processors others took in a round.
    fn disturbed(&mut self, percent: f64) {
        self.figures.add(Scenario::Machine, "processors taken by others", Unit::Percent, None, percent);
        self.others_percent_most = self.others_percent_most.max(percent);
    }

    fn print(&self) {
        match self.plan.format {
            Format::Table => println!("{}", page::text(self)),
            Format::Json => {
                let grown = |(records, comparison): &(u64, Comparison)| serde_json::json!({ "records": records, "compared": comparison.to_json() });
                let object = serde_json::json!({
                    "machine": self.circumstances.machine,
                    "load_average": self.circumstances.load_average,
                    "day": self.circumstances.day,
                    "rounds": self.plan.rounds,
                    "quick": self.plan.quick,
                    "not_measured": self.missing,
                    "compared": self.comparison.to_json(),
                    "figures": self.figures.to_json(),
                    "growth": self.grown.iter().map(grown).collect::<Vec<_>>(),
                });
                println!("{object:#}");
            }
        }
    }
}

/// What one server is to do while it runs.
#[derive(Clone, Copy, Debug)]
enum Step {
    Idle,
    Appends(usize),
    Batches,
    Streamed,
    Deliveries,
    CatchUp,
}

const STEPS: [Step; 9] = [
    Step::Idle,
    Step::Appends(1),
    Step::Appends(16),
    Step::Appends(64),
    Step::Appends(256),
    Step::Batches,
    Step::Streamed,
    Step::Deliveries,
    Step::CatchUp,
];

/// The servers of a round, each on a log of its own.
struct Field<'a> {
    plan: &'a Plan,
    scale: Scale,
    city: City,
    satgas: Satgas,
    umadb: UmaDb,
    postgres: Option<Postgres>,
    /// Who is measured, this server first.
    who: &'static [Who],
    /// Records acknowledged so far, by server.
    written: [usize; Who::ALL.len()],
    /// Steps taken so far.
    turn: usize,
}

/// What is the same for all servers in a step.
struct Turn<'a> {
    round: u32,
    scale: Scale,
    scratch: &'a Path,
    city: &'a mut City,
    comparison: &'a mut Comparison,
    /// Measured just before appends.
    machine: Option<Machine>,
    written: &'a mut usize,
}

/// What the machine reaches when there is nothing to do.
#[derive(Clone, Copy, Debug)]
struct Machine {
    /// Of a plain file.
    syncs_per_second: f64,
    /// Through client, transport and server of this project, by as many callers as there are writers.
    empty_calls_per_second: f64,
}

impl<'a> Field<'a> {
    async fn new(plan: &'a Plan, who: &'static [Who]) -> Result<Self> {
        let city = City::new();
        let satgas = Satgas::new(plan, &city).await?;
        let umadb = UmaDb::new(plan)?;
        let postgres = if who.contains(&Who::PostgreSql) { Some(Postgres::new(plan).await?) } else { None };
        Ok(Self { plan, scale: plan.scale(), city, satgas, umadb, postgres, who, written: [0; 3], turn: 0 })
    }

    /// Takes all steps.
    async fn round(&mut self, round: u32, comparison: &mut Comparison, figures: &mut Figures) -> Result<()> {
        for step in STEPS {
            eprintln!(" {step:?}");
            let machine = match step {
                Step::Appends(writers) => Some(self.machine(writers, figures).await?),
                _ => None,
            };
            let mut order = self.who.to_vec();
            order.rotate_left(self.turn % self.who.len());
            self.turn += 1;
            for who in order {
                let written = &mut self.written[who as usize];
                let city = &mut self.city;
                let scratch = &self.plan.scratch;
                let turn = Turn { round, scale: self.scale, scratch, city, comparison, machine, written };
                match (who, &mut self.postgres) {
                    (Who::Satgas, _) => turn.take(&mut self.satgas, step).await,
                    (Who::UmaDb, _) => turn.take(&mut self.umadb, step).await,
                    (Who::PostgreSql, Some(postgres)) => turn.take(postgres, step).await,
                    (Who::PostgreSql, None) => Ok(()),
                }
                .with_context(|| format!("{}, {step:?}", who.name()))?;
            }
        }
        Ok(())
    }

    /// The disk and the calls, in the minute in which they are to be compared with.
    async fn machine(&mut self, callers: usize, figures: &mut Figures) -> Result<Machine> {
        let syncs_per_second = machine::fdatasync_rate(&self.plan.scratch, self.scale.sync_time)?;
        self.satgas.start().await?;
        let empty_calls_per_second = self.satgas.empty_calls(callers, self.scale.calls(callers)).await?.rate();
        self.satgas.stop().await?;
        let mut add = |what: String, value| figures.add(Scenario::Machine, &what, Unit::PerSecond, None, value);
        add(format!("fdatasync of a plain file, 4 KiB appended, before {callers} at once"), syncs_per_second);
        add(format!("empty calls of this server, {callers} at once"), empty_calls_per_second);
        Ok(Machine { syncs_per_second, empty_calls_per_second })
    }

    /// Gives every log so many records.
    async fn fill(&mut self, records: usize) -> Result<()> {
        let records = records.next_multiple_of(BATCH);
        for &who in self.who {
            eprintln!(" {} is filled", who.name());
            let (city, written) = (&mut self.city, &mut self.written[who as usize]);
            match (who, &mut self.postgres) {
                (Who::Satgas, _) => fill(&mut self.satgas, city, records, written).await?,
                (Who::UmaDb, _) => fill(&mut self.umadb, city, records, written).await?,
                (Who::PostgreSql, Some(postgres)) => fill(postgres, city, records, written).await?,
                (Who::PostgreSql, None) => {}
            }
        }
        Ok(())
    }

    /// Measures how this server serves many, which the others are not asked to.
    async fn fan_out(&mut self, figures: &mut Figures) -> Result<()> {
        self.satgas.start().await?;
        fan_out::measure_all(self.satgas.served()?, &mut self.city, self.scale.fan_out_time, figures).await?;
        self.satgas.stop().await
    }
}

async fn fill<C: Contender>(contender: &mut C, city: &mut City, records: usize, written: &mut usize) -> Result<()> {
    contender.start().await?;
    while *written < records {
        let visits = city.visits(FILL_RECORDS.min(records - *written));
        *written += usize::try_from(contender.streamed(visits).await?.count)?;
    }
    contender.stop().await
}

impl Turn<'_> {
    /// Starts the server, has it take the step, and stops it.
    async fn take<C: Contender>(mut self, contender: &mut C, step: Step) -> Result<()> {
        let who = contender.who();
        let start_took = contender.start().await?;
        match step {
            Step::Idle => {
                tokio::time::sleep(IDLE).await;
                self.memory("memory, idle, as good as empty", Some(Goal::Below(IDLE_MIB)), contender)?;
            }
            Step::Appends(writers) => self.appends(writers, contender).await?,
            Step::Batches => {
                let visits = self.batched();
                let achieved = contender.batches(BATCH_WRITERS, visits).await?;
                self.rate(&format!("batches of {BATCH}, {BATCH_WRITERS} writers"), FASTER_BATCHES, who, &achieved);
            }
            Step::Streamed => {
                let visits = self.batched();
                let before = machine::written_bytes(self.scratch)?;
                let achieved = contender.streamed(visits).await?;
                self.rate(&format!("batches of {BATCH}, as fast as they are let in"), FASTER_BATCHES, who, &achieved);
                self.written_to_disk("batches", &achieved, before, contender).await?;
            }
            Step::Deliveries => {
                let visits = self.city.visits(self.scale.latency_records);
                *self.written += visits.len();
                let delays = contender.deliveries(visits).await?;
                for (name, quantile, goal) in [("p50", 0.5, Some(Goal::BelowTimes(0.6))), ("p99", 0.99, None)] {
                    let name = format!("append to subscriber, 1 writer: {name}");
                    let value = load::quantile_ms(&delays, quantile);
                    self.less(&name, Unit::Milliseconds, goal, who, value);
                }
            }
            Step::CatchUp => {
                self.less(
                    "start on the filled log",
                    Unit::Seconds,
                    Some(Goal::Below(2.0)),
                    who,
                    start_took.as_secs_f64(),
                );
                self.catch_up(contender).await?;
            }
        }
        contender.stop().await?;
        if matches!(step, Step::CatchUp) {
            let all = contender.all_bytes()? as f64 / *self.written as f64;
            self.less("whole data folder on disk after a stop, a record", Unit::Bytes, None, who, all);
        }
        Ok(())
    }

    async fn appends<C: Contender>(&mut self, writers: usize, contender: &C) -> Result<()> {
        let who = contender.who();
        let name = if writers == 1 { "1 writer".to_owned() } else { format!("{writers} writers") };
        let visits = self.city.visits(self.scale.compared_appends(writers));
        let before = machine::written_bytes(self.scratch)?;
        let achieved = contender.appends(writers, visits).await?;
        let what = What {
            name: &format!("{name}: durable appends"),
            unit: Unit::PerSecond,
            better: Better::More,
            goal: Some(Goal::TimesUmaDbOrOfLimit(2.0, 0.8)),
        };
        *self.written += usize::try_from(achieved.count)?;
        self.comparison.add(self.round, what, who, achieved.rate());
        let Machine { syncs_per_second, empty_calls_per_second } = self.machine.context("appends need a limit")?;
        self.comparison.add_limit(self.round, what, limit(writers, empty_calls_per_second, syncs_per_second));
        if writers == 1 {
            let syncs = syncs_per_second / achieved.rate();
            self.less("1 writer: time of an append, in fdatasyncs", Unit::Times, Some(Goal::AtMost(2.0)), who, syncs);
        }
        let p99 = load::quantile_ms(&achieved.latencies, 0.99);
        self.less(&format!("{name}: p99"), Unit::Milliseconds, None, who, p99);
        self.written_to_disk(&name, &achieved, before, contender).await?;
        self.memory(&format!("{name}: memory afterwards"), None, contender)
    }

    /// What was written to the disk since, for each record that was acknowledged meanwhile.
    async fn written_to_disk<C: Contender>(
        &mut self,
        name: &str,
        achieved: &load::Achieved,
        before: Option<u64>,
        contender: &C,
    ) -> Result<()> {
        contender.settle().await?;
        if let (Some(before), Some(after)) = (before, machine::written_bytes(self.scratch)?) {
            let name = format!("{name}: written to disk, a record");
            self.less(&name, Unit::Bytes, None, contender.who(), (after - before) as f64 / achieved.count as f64);
        }
        Ok(())
    }

    async fn catch_up<C: Contender>(&mut self, contender: &C) -> Result<()> {
        let who = contender.who();
        let (events, took) = contender.catch_up().await?;
        // This server's log has a city in it besides.
        let most = *self.written + if who == Who::Satgas { self.city.registry().len() + SETTING_UP } else { 0 };
        let whole = (*self.written..=most).contains(&usize::try_from(events)?);
        ensure!(whole, "{events} events were read of {} records", self.written);
        let what = What {
            name: "catch-up, events left as bytes",
            unit: Unit::PerSecond,
            better: Better::More,
            goal: Some(Goal::Times(2.0)),
        };
        self.comparison.add(self.round, what, who, events as f64 / took.as_secs_f64());
        let log = contender.log_bytes().await? as f64 / *self.written as f64;
        self.less("log on disk, a record", Unit::Bytes, Some(Goal::AtMostTimes(0.6)), who, log);
        self.memory("memory after a start on the filled log and a catch-up", None, contender)
    }

    fn batched(&mut self) -> Vec<satgas_proto::v1::Submission> {
        self.city.visits(self.scale.compared_batched(BATCH))
    }

    fn rate(&mut self, name: &str, goal: Option<Goal>, who: Who, achieved: &load::Achieved) {
        *self.written += usize::try_from(achieved.count).unwrap_or(usize::MAX);
        let what = What { name, unit: Unit::PerSecond, better: Better::More, goal };
        self.comparison.add(self.round, what, who, achieved.rate());
    }

    fn memory<C: Contender>(&mut self, name: &str, goal: Option<Goal>, contender: &C) -> Result<()> {
        let memory = tree::memory(contender.pid()?)? as f64 / MIB;
        self.less(name, Unit::MiB, goal, contender.who(), memory);
        Ok(())
    }

    fn less(&mut self, name: &str, unit: Unit, goal: Option<Goal>, who: Who, value: f64) {
        self.comparison.add(self.round, What { name, unit, better: Better::Less, goal }, who, value);
    }
}
