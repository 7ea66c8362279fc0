//! Measures the real server: a release build of `satgas serve` as a process of its own, over loopback gRPC.
//!
//! `cargo xtask bench` builds and starts this. Every step is bounded in count and time, every process that is started is ended by its
//! id, and only acknowledged records count. How each figure comes about is written on the page that a whole run writes ([`page`]).

mod city;
#[path = "../../../tests/door/mod.rs"]
mod door;
mod fan_out;
mod figures;
mod fold;
mod follow;
mod load;
mod machine;
mod nation;
mod page;
mod peers;
mod plan;
mod proof;
mod releases;
mod round;
mod served;

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use crate::{
    city::City,
    figures::{Figures, Scenario},
    nation::Growth,
    page::Circumstances,
    plan::{Format, Plan},
};

/// The server's: what the views take here is what they take there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads of the client; the server has its own.
const CLIENT_THREADS: usize = 2;

fn main() -> ExitCode {
    match run(&Plan::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> Result<()> {
    if let Some(visits) = plan.weigh_views {
        println!("{}", fold::memory(&mut City::new(), visits)?);
        return Ok(());
    }
    ensure!(
        plan.rounds > 0 || (plan.peers && !plan.records.is_empty()),
        "no rounds are for --peers --records only: say how many"
    );
    let circumstances = Circumstances {
        machine: machine::describe(),
        load_average: machine::load_average(),
        day: city::today().to_string(),
    };
    eprintln!("{}; load average {}", circumstances.machine, circumstances.load_average);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CLIENT_THREADS)
        .enable_all()
        .build()
        .context("the client's threads cannot be started")?;
    if plan.peers {
        return runtime.block_on(peers::run(plan, &circumstances));
    }
    let mut figures = Figures::default();
    let mut scenarios = plan.scenarios();
    let nation = scenarios.contains(&Scenario::Nation);
    scenarios.retain(|scenario| *scenario != Scenario::Nation);
    if scenarios.contains(&Scenario::Releases) {
        releases::run(plan, &mut figures)?;
        scenarios.retain(|scenario| *scenario != Scenario::Releases);
    }
    if !scenarios.is_empty() {
        for number in 1..=plan.rounds {
            eprintln!("round {number} of {}", plan.rounds);
            runtime.block_on(round::run(plan, scenarios.clone(), &mut figures))?;
        }
    }
    let growth = if nation { runtime.block_on(nation::run(plan, &mut figures))? } else { Growth::default() };
    print(plan, &circumstances, &figures, &growth);
    if cfg!(debug_assertions) {
        eprintln!("this is not a release build: the figures mean nothing");
    } else if plan.writes_page() {
        page::write(&plan.page, plan, &circumstances, &figures)?;
        eprintln!("{} is written", plan.page.display());
    }
    Ok(())
}

fn print(plan: &Plan, circumstances: &Circumstances, figures: &Figures, growth: &Growth) {
    match plan.format {
        Format::Table => {
            let (goals, missed) = figures.goals();
            println!("{}; load average {}", circumstances.machine, circumstances.load_average);
            print!("{figures}");
            println!("{} of {goals} goals met", goals - missed);
            print!("{growth}");
        }
        Format::Json => {
            let object = serde_json::json!({
                "machine": circumstances.machine,
                "load_average": circumstances.load_average,
                "day": circumstances.day,
                "rounds": plan.rounds,
                "quick": plan.quick,
                "figures": figures.to_json(),
                "growth": growth.to_json(),
            });
            println!("{object:#}");
        }
    }
}
