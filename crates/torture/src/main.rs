//! `cargo xtask torture` builds and starts this.

use std::process::ExitCode;

use clap::Parser as _;
use satgas_torture::Plan;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match satgas_torture::run(&Plan::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
