//! What the steps found, and the closing table.
//!
//! The last line is `N passed, M failed`: N tests passed; M is the failed tests, plus one for every step that failed without
//! naming a failed test.

use std::fmt;
use std::time::{Duration, Instant};

/// Tests counted in the output of `cargo test`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds one line of output. Only the closing line of a test binary says anything:
    /// `test result: ok. 3 passed; 0 failed; 0 ignored; ..`.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line.trim().strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((n, "passed")) => self.passed += n.parse::<u64>().unwrap_or(0),
                Some((n, "failed")) => self.failed += n.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// What one step found.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    /// Why the step failed, in words that say what to do.
    pub(crate) failure: Option<String>,
    /// What the reader must know although the step passed.
    pub(crate) note: Option<String>,
    pub(crate) tests: Tally,
}

impl From<anyhow::Result<Finding>> for Finding {
    fn from(result: anyhow::Result<Finding>) -> Self {
        result.unwrap_or_else(|error| Finding { failure: Some(format!("{error:#}")), ..Finding::default() })
    }
}

struct Entry {
    step: &'static str,
    took: Duration,
    finding: Finding,
}

/// The steps that ran, in the order they ran.
#[derive(Default)]
pub(crate) struct Report {
    entries: Vec<Entry>,
}

impl Report {
    /// Runs a step under a headline and keeps what it found.
    pub(crate) fn time(&mut self, step: &'static str, run: impl FnOnce() -> anyhow::Result<Finding>) {
        println!("\n== {step}");
        let start = Instant::now();
        let finding = Finding::from(run());
        if let Some(failure) = &finding.failure {
            println!("{step} failed: {failure}");
        }
        self.entries.push(Entry { step, took: start.elapsed(), finding });
    }

    /// Tests that passed.
    pub(crate) fn passed(&self) -> u64 {
        self.entries.iter().map(|entry| entry.finding.tests.passed).sum()
    }

    /// Tests that failed, plus the steps that failed without naming a failed test.
    pub(crate) fn failed(&self) -> u64 {
        self.entries
            .iter()
            .map(|Entry { finding, .. }| finding.tests.failed.max(u64::from(finding.failure.is_some())))
            .sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nstep     result  seconds")?;
        for Entry { step, took, finding } in &self.entries {
            let result = if finding.failure.is_some() { "FAILED" } else { "ok" };
            write!(f, "{step:<8} {result:<6} {:>8.1}", took.as_secs_f64())?;
            for remark in finding.failure.iter().chain(&finding.note) {
                // A failure may quote a whole error output, which stands above in full.
                write!(f, "  {}", remark.lines().next().unwrap_or_default())?;
            }
            writeln!(f)?;
        }
        writeln!(f, "{} passed, {} failed", self.passed(), self.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.add_line(line));
        tally
    }

    fn report(findings: impl IntoIterator<Item = anyhow::Result<Finding>>) -> Report {
        let mut report = Report::default();
        findings.into_iter().for_each(|finding| report.time("step", || finding));
        report
    }

    fn last_line(report: &Report) -> String {
        report.to_string().lines().last().unwrap().to_owned()
    }

    #[test]
    fn the_closing_lines_of_all_test_binaries_are_added_up() {
        let output = "running 3 tests\n\
            test a ... ok\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            \n\
            test result: FAILED. 40 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";
        assert_eq!(tally(output), Tally { passed: 43, failed: 2 });
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        assert_eq!(tally("5 passed; 5 failed\nthe test result: ok. 1 passed; 0 failed\n"), Tally::default());
    }

    #[test]
    fn a_run_without_failures_closes_with_zero_failed() {
        let tests = Tally { passed: 7, failed: 0 };
        let report = report([Ok(Finding::default()), Ok(Finding { tests, ..Finding::default() })]);
        assert_eq!(last_line(&report), "7 passed, 0 failed");
    }

    #[test]
    fn a_step_that_cannot_run_counts_as_failed_and_says_why() {
        let report = report([Err(anyhow::anyhow!("npm cannot be started"))]);
        assert_eq!(last_line(&report), "0 passed, 1 failed");
        assert!(report.to_string().contains("FAILED      0.0  npm cannot be started"), "{report}");
    }

    #[test]
    fn failed_tests_are_not_counted_a_second_time_as_a_failed_step() {
        let tests = Tally { passed: 7, failed: 2 };
        let report = report([Ok(Finding { failure: Some("tests failed".to_owned()), tests, ..Finding::default() })]);
        assert_eq!(last_line(&report), "7 passed, 2 failed");
    }

    #[test]
    fn a_test_binary_that_dies_without_a_closing_line_still_fails_the_run() {
        let tests = Tally { passed: 7, failed: 0 };
        let report = report([Ok(Finding { failure: Some("signal 6".to_owned()), tests, ..Finding::default() })]);
        assert_eq!(last_line(&report), "7 passed, 1 failed");
    }
}
