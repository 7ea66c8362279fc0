//! Everything a developer runs: `cargo xtask test | demo | bench | torture | fuzz | package | forms | access | api`.
//!
//! `test` is the whole gate: what passes here passes in CI, because CI runs nothing else. Only cargo, npm and
//! Python are expected on the machine; every other tool is installed by the step that needs it, at a pinned version.

mod bench;
mod demo;
mod forms;
mod fuzz;
mod layers;
mod package;
mod report;
mod steps;
mod tools;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Report;
use crate::steps::Step;
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a developer runs", disable_help_subcommand = true)]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check and every test, then sum up
    Test {
        /// Run only these steps, in the usual order
        #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP,..")]
        only: Vec<Step>,
    },
    /// Build the release binary and run `satgas demo`
    Demo {
        /// Passed on to `satgas demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// Build the release binary and measure it; `--help` is the driver's
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to the driver
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// Build the release binary and torture it; `--help` is the driver's
    #[command(disable_help_flag = true)]
    Torture {
        /// Passed on to the driver
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// Fuzz what reads bytes from outside, a minute each; needs a nightly compiler
    Fuzz(fuzz::Fuzz),
    /// Write the XLSX files in docs/forms from their sources
    Forms,
    /// Write the table of roles in docs/access.md from the policy
    Access,
    /// Write docs/api.md from the comments of the proto files
    Api,
    /// Build the release binary and the Debian package around it
    Package(package::Args),
}

fn main() -> ExitCode {
    run(Xtask::parse().task).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::from_cargo()?;
    match task {
        Task::Test { only } => Ok(test(&workspace, &only)),
        Task::Demo { args } => demo::become_demo(&workspace, &args),
        Task::Bench { args } => bench::become_driver(&workspace, &args),
        Task::Torture { args } => torture::become_driver(&workspace, &args),
        Task::Fuzz(args) => Ok(told(&fuzz::run(&workspace, &args)?)),
        Task::Forms => forms::write(&workspace).map(|()| ExitCode::SUCCESS),
        Task::Access => write_docs(&workspace, "satgas-domain", "domain", "the_tables_in").map(|()| ExitCode::SUCCESS),
        Task::Api => write_docs(&workspace, "satgas-proto", "api", "the_api_reference").map(|()| ExitCode::SUCCESS),
        Task::Package(args) => package::build(&workspace, &args).map(|()| ExitCode::SUCCESS),
    }
}

/// The test that holds a document against what it is made from writes it when told so: one place knows how it looks.
fn write_docs(workspace: &Workspace, package: &str, test: &str, filter: &str) -> anyhow::Result<()> {
    let mut command = workspace.cargo(["test", "--quiet", "--package", package, "--test", test, filter]);
    workspace::run(command.env("SATGAS_WRITE_DOCS", "1"))
}

fn test(workspace: &Workspace, only: &[Step]) -> ExitCode {
    let mut report = Report::default();
    for step in Step::IN_ORDER.into_iter().filter(|step| only.is_empty() || only.contains(step)) {
        report.time(step.name(), || step.run(workspace));
    }
    told(&report)
}

fn told(report: &Report) -> ExitCode {
    print!("{report}");
    if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_gets_its_arguments_as_they_were_typed() {
        let typed = ["xtask", "demo", "--listen", "127.0.0.1:0", "--", "-x"];
        let Task::Demo { args } = Xtask::parse_from(typed).task else { panic!("demo was typed") };
        assert_eq!(args, ["--listen", "127.0.0.1:0", "--", "-x"]);
    }

    #[test]
    fn asking_the_benchmark_for_help_asks_its_driver() {
        let Task::Bench { args } = Xtask::parse_from(["xtask", "bench", "--help"]).task else {
            panic!("bench was typed")
        };
        assert_eq!(args, ["--help"]);
    }

    #[test]
    fn steps_are_named_with_commas_between() {
        let Task::Test { only } = Xtask::parse_from(["xtask", "test", "--only", "fmt,layers"]).task else {
            panic!("test was typed")
        };
        assert_eq!(only, [Step::Fmt, Step::Layers]);
    }

    #[test]
    fn a_misspelt_step_is_refused() {
        assert!(Xtask::try_parse_from(["xtask", "test", "--only", "fnt"]).is_err());
    }
}
