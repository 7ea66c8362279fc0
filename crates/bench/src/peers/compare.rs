//! What three servers did in the same rounds, side by side: medians, spreads, ratios, and whether what was hoped for was reached.
//!
//! Invariant: a ratio is taken within a round, between values that were measured minutes apart at most, and the median is that of the
//! ratios. Medians of different rounds are never divided: the machine's own speed moves between them.

use crate::figures::{Spread, Unit};

/// A server that is measured. Its number is its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// This server.
    Satgas,
    /// UmaDB.
    UmaDb,
    /// PostgreSQL.
    PostgreSql,
}

impl Who {
    /// All, in the order of their columns.
    pub(crate) const ALL: [Self; 3] = [Self::Satgas, Self::UmaDb, Self::PostgreSql];
    const PEERS: [Self; 2] = [Self::UmaDb, Self::PostgreSql];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Satgas => "satgas",
            Self::UmaDb => "UmaDB",
            Self::PostgreSql => "PostgreSQL",
        }
    }
}

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// The higher one.
    More,
    /// The lower one.
    Less,
}

/// What was hoped for of this server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// So many times the better peer, or more.
    Times(f64),
    /// Less than so many times the better peer.
    BelowTimes(f64),
    /// So many times the better peer at most.
    AtMostTimes(f64),
    /// So many times UmaDB or more, or else such a share of the limit.
    TimesUmaDbOrOfLimit(f64, f64),
    /// Less than so much.
    Below(f64),
    /// So much at most.
    AtMost(f64),
}

impl Goal {
    fn show(self, unit: Unit) -> String {
        match self {
            Self::Times(times) => format!("≥ {times} × better peer"),
            Self::BelowTimes(times) => format!("< {times} × better peer"),
            Self::AtMostTimes(times) => format!("≤ {times} × better peer"),
            Self::TimesUmaDbOrOfLimit(times, share) => {
                format!("≥ {times} × UmaDB, or ≥ {:.0} % of the limit", 100.0 * share)
            }
            Self::Below(limit) => format!("< {} {}", unit.show(limit), unit.symbol()),
            Self::AtMost(limit) => format!("≤ {} {}", unit.show(limit), unit.symbol()),
        }
    }
}

/// One thing that was measured of each server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct What<'a> {
    /// What it is, which no other has as its name.
    pub(crate) name: &'a str,
    /// What it is counted in.
    pub(crate) unit: Unit,
    /// Which way is up.
    pub(crate) better: Better,
    /// What was hoped for.
    pub(crate) goal: Option<Goal>,
}

/// The values of one round.
#[derive(Clone, Copy, Debug, Default)]
struct Values {
    round: u32,
    of: [Option<f64>; Who::ALL.len()],
    /// The most that this server could reach in that round, as far as the machine, the client and the transport go.
    limit: Option<f64>,
}

impl Values {
    fn to(&self, who: Who) -> Option<f64> {
        ratio(self.of[Who::Satgas as usize]?, self.of[who as usize]?)
    }

    fn beside_better_peer(&self, better: Better) -> Option<f64> {
        let peers = Who::PEERS.into_iter().filter_map(|peer| self.of[peer as usize]);
        let best = match better {
            Better::More => peers.max_by(f64::total_cmp),
            Better::Less => peers.min_by(f64::total_cmp),
        };
        ratio(self.of[Who::Satgas as usize]?, best?)
    }

    fn of_limit(&self) -> Option<f64> {
        ratio(self.of[Who::Satgas as usize]?, self.limit?)
    }
}

/// Of something that is there: nothing is so many times zero.
fn ratio(of: f64, to: f64) -> Option<f64> {
    (to > 0.0).then_some(of / to)
}

/// The values of all rounds of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it is.
    pub(crate) name: String,
    unit: Unit,
    /// Which way is up.
    pub(crate) better: Better,
    goal: Option<Goal>,
    rounds: Vec<Values>,
}

impl Row {
    /// What one server did in all rounds.
    pub(crate) fn of(&self, who: Who) -> Option<Spread> {
        self.spread(|values| values.of[who as usize])
    }

    /// A value as it is written.
    pub(crate) fn show(&self, value: f64) -> String {
        format!("{} {}", self.unit.show(value), self.unit.symbol())
    }

    fn spread(&self, of: impl Fn(&Values) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.rounds.iter().filter_map(of).collect::<Vec<_>>())
    }

    /// Whether the median reached the goal; nothing where it could not be told, because a server was not measured.
    fn is_met(&self) -> Option<bool> {
        let median = |of: &dyn Fn(&Values) -> Option<f64>| self.spread(of).map(|spread| spread.median);
        let better_peer = || median(&|values: &Values| values.beside_better_peer(self.better));
        let own = || median(&|values: &Values| values.of[Who::Satgas as usize]);
        match self.goal? {
            Goal::Times(times) => Some(better_peer()? >= times),
            Goal::BelowTimes(times) => Some(better_peer()? < times),
            Goal::AtMostTimes(times) => Some(better_peer()? <= times),
            Goal::TimesUmaDbOrOfLimit(times, share) => {
                let to_umadb = median(&|values: &Values| values.to(Who::UmaDb)).map(|ratio| ratio >= times);
                let of_limit = median(&Values::of_limit).map(|of| of >= share);
                // One of them is enough, and neither is missed before it was measured.
                match (to_umadb, of_limit) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }
            }
            Goal::Below(limit) => Some(own()? < limit),
            Goal::AtMost(limit) => Some(own()? <= limit),
        }
    }

    fn cells(&self) -> [String; 9] {
        let value = |who| self.of(who).map_or_else(dash, |spread| self.with_spread(spread));
        let times = |spread: Option<Spread>| spread.map_or_else(dash, |spread| format!("{:.2}", spread.median));
        let of_limit = self.spread(Values::of_limit);
        let met = match self.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None if self.goal.is_some() => "not measured",
            None => "",
        };
        [
            self.name.clone(),
            value(Who::Satgas),
            value(Who::UmaDb),
            value(Who::PostgreSql),
            times(self.spread(|values| values.to(Who::UmaDb))),
            times(self.spread(|values| values.to(Who::PostgreSql))),
            of_limit.map_or_else(dash, |spread| format!("{:.0} %", 100.0 * spread.median)),
            self.goal.map(|goal| goal.show(self.unit)).unwrap_or_default(),
            met.to_owned(),
        ]
    }

    fn with_spread(&self, Spread { least, median, most }: Spread) -> String {
        let median = self.show(median);
        if self.rounds.len() < 2 {
            return median;
        }
        format!("{median} ({} to {})", self.unit.show(least), self.unit.show(most))
    }
}

fn dash() -> String {
    "–".to_owned()
}

/// All that was compared, in the order in which it was first measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    rows: Vec<Row>,
}

impl Comparison {
    /// Adds what a server did in a round. The first value says unit and goal.
    pub(crate) fn add(&mut self, round: u32, what: What<'_>, who: Who, value: f64) {
        eprintln!("  {}: {}: {} {}", what.name, who.name(), what.unit.show(value), what.unit.symbol());
        self.values(round, what).of[who as usize] = Some(value);
    }

    /// Adds the most that was possible in a round.
    pub(crate) fn add_limit(&mut self, round: u32, what: What<'_>, limit: f64) {
        self.values(round, what).limit = Some(limit);
    }

    fn values(&mut self, round: u32, what: What<'_>) -> &mut Values {
        let at = self.rows.iter().position(|row| row.name == what.name).unwrap_or_else(|| {
            let What { name, unit, better, goal } = what;
            self.rows.push(Row { name: name.to_owned(), unit, better, goal, rounds: Vec::new() });
            self.rows.len() - 1
        });
        let rounds = &mut self.rows[at].rounds;
        let at = rounds.iter().position(|values| values.round == round).unwrap_or_else(|| {
            rounds.push(Values { round, ..Values::default() });
            rounds.len() - 1
        });
        &mut rounds[at]
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many goals there are, how many are met, and how many could not be told.
    pub(crate) fn goals(&self) -> (usize, usize, usize) {
        let goals = self.rows.iter().filter(|row| row.goal.is_some());
        let of = |wanted| goals.clone().filter(|row| row.is_met() == wanted).count();
        (goals.clone().count(), of(Some(true)), of(None))
    }

    /// As one JSON array.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let object = |row: &Row| {
            let values = |who: Who| row.rounds.iter().map(|values| values.of[who as usize]).collect::<Vec<_>>();
            let [name, _, _, _, to_umadb, to_postgresql, of_limit, goal, met] = row.cells();
            serde_json::json!({
                "what": name,
                "unit": row.unit.symbol(),
                "satgas": values(Who::Satgas),
                "umadb": values(Who::UmaDb),
                "postgresql": values(Who::PostgreSql),
                "to_umadb": to_umadb,
                "to_postgresql": to_postgresql,
                "of_limit": of_limit,
                "goal": goal,
                "met": met,
            })
        };
        self.rows.iter().map(object).collect()
    }

    /// As a Markdown table.
    pub(crate) fn to_markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut header = vec!["what".to_owned()];
        header.extend(Who::ALL.map(|who| who.name().to_owned()));
        header.extend(Who::PEERS.map(|peer| format!("to {}", peer.name())));
        header.extend(["of limit", "goal", "met"].map(str::to_owned));
        let mut table = row(&header);
        table.push_str("|---|---:|---:|---:|---:|---:|---:|---|---|\n");
        table.extend(self.rows.iter().map(|measured| row(&measured.cells())));
        table
    }
}

/// What so many writers could reach at most, each of which waits for one call at a time: a call takes as long as an empty one among so many
/// callers, and after it the disk syncs once. Calls and syncs a second in, appends a second out.
pub(crate) fn limit(writers: usize, empty_calls_per_second: f64, syncs_per_second: f64) -> f64 {
    let writers = writers as f64;
    writers / (writers / empty_calls_per_second + 1.0 / syncs_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: What<'static> =
        What { name: "appends", unit: Unit::PerSecond, better: Better::More, goal: Some(Goal::Times(2.0)) };

    fn comparison(what: What<'_>, rounds: &[[f64; 3]]) -> Comparison {
        let mut comparison = Comparison::default();
        for (round, values) in (1..).zip(rounds) {
            for (who, value) in Who::ALL.into_iter().zip(values).filter(|(_, value)| value.is_finite()) {
                comparison.add(round, what, who, *value);
            }
        }
        comparison
    }

    fn last_row(comparison: &Comparison) -> String {
        comparison.to_markdown().lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn ratios_are_those_of_the_rounds_and_not_of_the_medians() {
        // The machine was twice as fast in the second round: the ratio is 2 in each, while the medians would give another one.
        let comparison = comparison(RATE, &[[200.0, 100.0, 50.0], [400.0, 200.0, 100.0], [600.0, 300.0, 1.0]]);
        assert_eq!(
            last_row(&comparison),
            "| appends | 400 /s (200 to 600) | 200 /s (100 to 300) | 50 /s (1 to 100) | 2.00 | 4.00 | – | ≥ 2 × better peer | yes |"
        );
        let uneven = self::comparison(RATE, &[[100.0, 10.0, 1.0], [10.0, 10.0, 1.0], [90.0, 30.0, 1.0]]);
        // Ratios 10, 1, 3; the medians 90 and 10 would say 9.
        assert!(last_row(&uneven).contains("| 3.00 | 90.00 |"), "{}", last_row(&uneven));
    }

    #[test]
    fn the_better_peer_decides_and_for_less_that_is_the_lower_one() {
        assert_eq!(comparison(RATE, &[[200.0, 90.0, 150.0]]).goals(), (1, 0, 0));
        let delay = What { better: Better::Less, goal: Some(Goal::BelowTimes(0.6)), ..RATE };
        assert_eq!(comparison(delay, &[[1.0, 9.0, 1.5]]).goals(), (1, 0, 0));
        assert_eq!(comparison(delay, &[[1.0, 9.0, 2.0]]).goals(), (1, 1, 0));
        assert_eq!(comparison(delay, &[[0.6, 1.0, 1.0]]).goals(), (1, 0, 0), "a limit is missed when it is reached");
        let bytes = What { goal: Some(Goal::AtMostTimes(0.5)), ..delay };
        assert_eq!(comparison(bytes, &[[1.0, 2.0, 3.0]]).goals(), (1, 1, 0));
    }

    #[test]
    fn a_peer_that_was_not_measured_leaves_its_cells_empty_and_the_other_decides() {
        let comparison = comparison(RATE, &[[200.0, 90.0, f64::NAN]]);
        assert_eq!(last_row(&comparison), "| appends | 200 /s | 90 /s | – | 2.22 | – | – | ≥ 2 × better peer | yes |");
        let alone = self::comparison(RATE, &[[200.0, f64::NAN, f64::NAN]]);
        assert_eq!(alone.goals(), (1, 0, 1));
        assert!(last_row(&alone).ends_with("| not measured |"));
    }

    #[test]
    fn twice_umadb_or_a_share_of_the_limit_is_enough() {
        let what = What { goal: Some(Goal::TimesUmaDbOrOfLimit(2.0, 0.8)), ..RATE };
        let with_limit = |own: f64, limit: f64| {
            let mut comparison = comparison(what, &[[own, 100.0, 1_000.0]]);
            comparison.add_limit(1, what, limit);
            comparison
        };
        assert_eq!(with_limit(200.0, 1_000.0).goals(), (1, 1, 0), "twice UmaDB, whatever PostgreSQL does");
        assert_eq!(with_limit(160.0, 200.0).goals(), (1, 1, 0), "80 % of the limit");
        assert_eq!(with_limit(159.0, 200.0).goals(), (1, 0, 0));
        assert!(last_row(&with_limit(159.0, 200.0)).contains("| 80 % |"), "79.5 % is shown rounded, and missed");
        assert_eq!(comparison(what, &[[150.0, 100.0, 1.0]]).goals(), (1, 0, 1), "without a limit it cannot be told");
    }

    #[test]
    fn values_of_a_round_stay_together_in_whatever_order_they_come() {
        let mut comparison = Comparison::default();
        for (round, who, value) in
            [(1, Who::UmaDb, 1.0), (2, Who::Satgas, 9.0), (1, Who::Satgas, 3.0), (2, Who::UmaDb, 3.0)]
        {
            comparison.add(round, RATE, who, value);
        }
        assert!(last_row(&comparison).contains("| 3.00 | – |"), "{}", last_row(&comparison));
    }

    #[test]
    fn the_limit_of_one_writer_is_a_call_and_a_sync_one_after_the_other() {
        assert!((limit(1, 4_000.0, 2_000.0) - 1.0 / (1.0 / 4_000.0 + 1.0 / 2_000.0)).abs() < 1e-9);
        // Many writers share a sync: what is left is the rate of calls.
        let many = limit(256, 32_000.0, 2_000.0);
        assert!((30_000.0..32_000.0).contains(&many), "{many}");
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let comparison = comparison(RATE, &[[200.0, 0.0, 0.0]]);
        assert_eq!(comparison.goals(), (1, 0, 1));
    }
}
