//! Torture: the real binary as a process of its own, under load, killed and starved and misled, and what it kept held against what its clients
//! know. It uses the public API and the command line only. docs/torture.md says what is done and what was seen.

mod bad;
mod client;
#[path = "../../../tests/door/mod.rs"]
mod door;
mod faults;
mod follow;
mod history;
mod hostile;
mod overload;
mod plan;
mod proxy;
mod round;
mod route;
mod server;
mod work;

use std::time::Duration;

use anyhow::{Context as _, Result};

pub use crate::plan::{Plan, Scenario};
use crate::{
    round::{Load, Run},
    server::House,
};

/// Rounds between two comparisons with views that were built anew.
const REBUILD_EVERY: u64 = 20;

/// Runs what the plan says, and prints what came of it. The first breach ends it with an error.
pub async fn run(plan: &Plan) -> Result<()> {
    std::fs::create_dir_all(&plan.scratch)?;
    println!("seed {}", plan.seed);
    for scenario in plan.scenarios() {
        let started = std::time::Instant::now();
        let told = run_one(plan, scenario).await;
        let told = told.with_context(|| format!("{} with --seed {}", scenario.name(), plan.seed))?;
        println!("{:<12} ok in {:.1} s: {told}", scenario.name(), started.elapsed().as_secs_f64());
    }
    Ok(())
}

async fn run_one(plan: &Plan, scenario: Scenario) -> Result<String> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let house = House::new(&plan.satgas, folder.path().join("data"));
    let (scratch, seed) = (folder.path(), plan.seed);
    match scenario {
        Scenario::Kill => kill(plan, house, scratch).await,
        Scenario::Network => faults::network(house, seed, plan.either(20, 1)).await,
        Scenario::SlowDisk => faults::slow_disk(house, scratch, seed, plan.either(10, 1)).await,
        Scenario::NoSpace => faults::no_space(house, scratch, seed, plan.either(10, 1)).await,
        Scenario::SyncErrors => faults::sync_errors(house, scratch, seed, plan.either(10, 1)).await,
        Scenario::ReadErrors => faults::read_errors(house, scratch, seed, plan.either(20, 4)).await,
        Scenario::ClockJumps => faults::clock_jumps(house, scratch, seed, plan.either(10, 1)).await,
        Scenario::FlippedBits => faults::flipped_bits(house, scratch, seed, plan.either(60, 4)).await,
        Scenario::FullDisk => faults::full_disk(house, scratch, seed).await,
        Scenario::Overload => overload::overload(house, scratch, seed, plan.short).await,
        Scenario::Hostile => {
            let time = Duration::from_millis(plan.either(5_000, 400));
            let idle = if plan.short { 700 } else { 10_000 };
            hostile::hostile(house, seed, time, idle).await
        }
    }
}

async fn kill(plan: &Plan, house: House, scratch: &std::path::Path) -> Result<String> {
    let deadline = plan.deadline();
    let mut run = Run::begin(house, plan.seed).await?;
    let mut done = 0;
    let rounds = plan.rounds.unwrap_or(plan.either(200, 5));
    while done < rounds && deadline.is_none_or(|deadline| std::time::Instant::now() < deadline) {
        run.kill_round(done, Load::USUAL).await?;
        done += 1;
        if done % REBUILD_EVERY == 0 {
            run.compare_with_rebuilt(scratch).await?;
            println!("  {done} rounds, {} records", run.told.records);
        }
    }
    if done % REBUILD_EVERY != 0 {
        run.compare_with_rebuilt(scratch).await?;
    }
    let told = run.told;
    Ok(format!(
        "{done} rounds, {} kills, {} acknowledged, {} unanswered, {} calls without an answer, {} records, {} times equal to views built anew",
        told.kills, told.acknowledged, told.unanswered, told.not_taken, told.records, told.rebuilds
    ))
}
