//! The figures of all rounds, what was hoped for, and how they are shown.

use std::fmt;

use clap::ValueEnum;

/// A group of measurements that can be chosen by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// What the machine can do: syncs of a plain file, empty calls
    Machine,
    /// What it costs a call to be let in
    Access,
    /// Records folded in process
    Fold,
    /// Durable submissions, one call each
    Append,
    /// From the submission to a subscriber
    Latency,
    /// Durable submissions in streams
    Stream,
    /// The Merkle tree over the records, and proofs of it
    Proof,
    /// Bytes on disk
    Disk,
    /// A backup beside records that arrive, and restoring it
    Backup,
    /// Starting on a filled log
    Restart,
    /// A subscriber that begins at the beginning
    CatchUp,
    /// Evaluations while records arrive
    Evaluate,
    /// Evaluations as of moments of the past
    Past,
    /// Subscribers that do not read
    Stalled,
    /// Thousands of live subscribers
    FanOut,
    /// What a statistical release withholds, of a city and of a country; measured only when it is chosen
    Releases,
    /// A country of 83,762 villages with two years of records; measured only when it is chosen
    Nation,
}

impl Scenario {
    /// Its name as it is chosen.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Per second.
    PerSecond,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Records a commit.
    Records,
    /// Bytes a record.
    Bytes,
    /// 2^20 bytes.
    MiB,
    /// So many times something else.
    Times,
    /// Parts of a hundred.
    Percent,
    /// Numbers of a table, or cases.
    Count,
}

impl Unit {
    /// As it stands behind a figure.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Records => "records",
            Self::Count => "",
            Self::Bytes => "B",
            Self::MiB => "MiB",
            Self::Times => "×",
            Self::Percent => "%",
        }
    }

    /// A figure with as many digits as mean something.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond | Self::Bytes | Self::Count => grouped(value),
            Self::Milliseconds | Self::Seconds | Self::Times => format!("{value:.2}"),
            Self::Microseconds | Self::Records | Self::MiB | Self::Percent => format!("{value:.1}"),
        }
    }
}

/// What was hoped for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// So much or more.
    AtLeast(f64),
    /// Less than so much.
    Below(f64),
}

impl Goal {
    /// Whether a value meets it.
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::Below(limit) => value < limit,
        }
    }

    fn show(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {}", unit.show(least)),
            Self::Below(limit) => format!("< {}", unit.show(limit)),
        }
    }
}

/// What the values of several rounds come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The least of them.
    pub(crate) least: f64,
    /// The middle one; of two middle ones the mean.
    pub(crate) median: f64,
    /// The most of them.
    pub(crate) most: f64,
}

impl Spread {
    /// Of these values; of none there is none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { least, median, most })
    }
}

/// One thing that was measured, once a round.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    scenario: Scenario,
    what: String,
    unit: Unit,
    goal: Option<Goal>,
    values: Vec<f64>,
}

impl Figure {
    fn spread(&self) -> Spread {
        Spread::of(&self.values).expect("a figure begins with the value of a round")
    }

    /// Scenario, what, median with unit, least to most, goal, and whether the median met it.
    fn cells(&self) -> [String; 6] {
        let Spread { least, median, most } = self.spread();
        let spread = match self.values.len() {
            1 => String::new(),
            _ => format!("{} to {}", self.unit.show(least), self.unit.show(most)),
        };
        let (goal, met) = self.goal.map_or_else(Default::default, |goal| {
            let met = if goal.is_met(median) { "yes" } else { "NO" };
            (goal.show(self.unit), met.to_owned())
        });
        let median = format!("{} {}", self.unit.show(median), self.unit.symbol());
        [self.scenario.name(), self.what.clone(), median, spread, goal, met]
    }
}

/// All figures, in the order in which they were first measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    figures: Vec<Figure>,
}

const HEADER: [&str; 6] = ["scenario", "what", "median", "spread", "goal", "met"];

impl Figures {
    /// Adds the value of a round. The first round says the goal.
    pub(crate) fn add(&mut self, scenario: Scenario, what: &str, unit: Unit, goal: Option<Goal>, value: f64) {
        eprintln!("  {what}: {} {}", unit.show(value), unit.symbol());
        match self.figures.iter_mut().find(|figure| figure.scenario == scenario && figure.what == what) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure { scenario, what: what.to_owned(), unit, goal, values: vec![value] }),
        }
    }

    /// How many goals there are, and how many of them the medians miss.
    pub(crate) fn goals(&self) -> (usize, usize) {
        let goals = self.figures.iter().filter_map(|figure| Some((figure.goal?, figure.spread().median)));
        let missed = goals.clone().filter(|(goal, median)| !goal.is_met(*median)).count();
        (goals.count(), missed)
    }

    /// As one JSON array.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let object = |figure: &Figure| {
            serde_json::json!({
                "scenario": figure.scenario.name(),
                "what": figure.what,
                "unit": figure.unit.symbol(),
                "median": figure.spread().median,
                "values": figure.values,
                "goal": figure.goal.map(|goal| goal.show(figure.unit)),
                "met": figure.goal.map(|goal| goal.is_met(figure.spread().median)),
            })
        };
        self.figures.iter().map(object).collect()
    }

    /// As a Markdown table.
    pub(crate) fn to_markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut table = row(&HEADER.map(str::to_owned));
        table.push_str("|---|---|---:|---:|---:|---|\n");
        table.extend(self.figures.iter().map(|figure| row(&figure.cells())));
        table
    }
}

/// As a table for a terminal.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEADER.map(str::to_owned)];
        rows.extend(self.figures.iter().map(Figure::cells));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for row in &rows {
            let line: Vec<String> = row
                .iter()
                .zip(widths)
                .enumerate()
                .map(
                    |(column, (cell, width))| {
                        if (2..5).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                    },
                )
                .collect();
            writeln!(f, "{}", line.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A whole number with commas between the thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digit.is_ascii_digit() && (digits.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(values: &[f64]) -> Figures {
        let mut figures = Figures::default();
        for value in values {
            figures.add(Scenario::Append, "appends", Unit::PerSecond, Some(Goal::AtLeast(2_300.0)), *value);
        }
        figures
    }

    #[test]
    fn the_median_and_not_the_best_round_decides_whether_a_goal_is_met() {
        let figures = rates(&[9_000.0, 2_000.0, 2_100.0]);
        assert_eq!(figures.goals(), (1, 1));
        assert_eq!(
            figures.to_markdown().lines().last(),
            Some("| append | appends | 2,100 /s | 2,000 to 9,000 | ≥ 2,300 | NO |")
        );
    }

    #[test]
    fn two_rounds_have_their_mean_as_median() {
        assert_eq!(rates(&[2_300.0, 2_301.0]).to_json()[0]["median"], 2_300.5);
    }

    #[test]
    fn a_spread_does_not_depend_on_the_order_of_the_rounds() {
        let expected = Some(Spread { least: 1.0, median: 3.0, most: 11.0 });
        assert_eq!(Spread::of(&[11.0, 1.0, 3.0]), expected);
        assert_eq!(Spread::of(&[3.0, 11.0, 1.0]), expected);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn one_round_has_no_spread() {
        assert!(rates(&[2_500.0]).to_markdown().ends_with("| append | appends | 2,500 /s |  | ≥ 2,300 | yes |\n"));
    }

    #[test]
    fn a_limit_is_missed_when_it_is_reached() {
        assert!(!Goal::Below(1.0).is_met(1.0));
        assert!(Goal::Below(1.0).is_met(0.99));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [7.0, 999.0, 1_000.0, 1_234_567.0, -1_000.0].map(grouped),
            ["7", "999", "1,000", "1,234,567", "-1,000"]
        );
    }
}
