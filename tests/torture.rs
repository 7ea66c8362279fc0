//! A short torture: the same as `cargo xtask torture --short`, against the binary of the tests. docs/torture.md says what it checks.

use std::path::PathBuf;

use satgas_torture::{Plan, Scenario};

async fn short(only: &[Scenario]) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let plan = Plan {
        minutes: None,
        rounds: None,
        seed: 5371,
        only: only.to_vec(),
        short: true,
        satgas: PathBuf::from(env!("CARGO_BIN_EXE_satgas")),
        scratch: scratch.path().to_owned(),
    };
    satgas_torture::run(&plan).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_under_load_the_server_keeps_what_it_acknowledged() -> anyhow::Result<()> {
    short(&[Scenario::Kill, Scenario::Network]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_full_or_failing_disk_and_with_a_jumping_clock_nothing_acknowledged_is_lost() -> anyhow::Result<()> {
    use Scenario::{ClockJumps, FlippedBits, NoSpace, ReadErrors, SlowDisk, SyncErrors};
    short(&[SlowDisk, NoSpace, SyncErrors, ReadErrors, ClockJumps, FlippedBits]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overloaded_or_annoyed_the_server_refuses_in_time_and_goes_on() -> anyhow::Result<()> {
    short(&[Scenario::Overload, Scenario::Hostile]).await
}
