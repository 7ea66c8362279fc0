//! What is public, as a linear system over the cases of each kelurahan.

use std::collections::{BTreeMap, BTreeSet};

use microlp::{ComparisonOp, OptimizationDirection, Problem};
use satgas_domain::id::is_within;
use satgas_proto::v1;

/// The least and the most that a number can be.
pub(crate) type Bounds = (f64, f64);
/// An area and the code of a column; the column without a code is all cases.
pub(crate) type Target = (String, String);

/// A row: some variables, how they compare, and with what.
type Row = (Vec<(usize, f64)>, ComparisonOp, f64);

/// The system.
pub(crate) struct Attack {
    kelurahan: Vec<String>,
    /// Columns that are no sum of others; a variable each in each kelurahan.
    columns: Vec<String>,
    rows: Vec<Row>,
    published: BTreeMap<Target, u64>,
    all: BTreeSet<Target>,
    most: f64,
}

impl Attack {
    /// On a release.
    pub(crate) fn on(kelurahan: &[String], released: &v1::ReleasePublished) -> Self {
        Self::with(kelurahan, &released.columns, numbers(released))
    }

    /// On the difference of two: cases that came between, by what both of them publish.
    pub(crate) fn between(kelurahan: &[String], first: &v1::ReleasePublished, second: &v1::ReleasePublished) -> Self {
        let before = numbers(first);
        let after = numbers(second).into_iter();
        let both = after.filter_map(|(target, now)| Some((target.clone(), now.checked_sub(*before.get(&target)?)?)));
        Self::with(kelurahan, &first.columns, both.collect())
    }

    fn with(kelurahan: &[String], columns: &[v1::ReleaseColumn], published: BTreeMap<Target, u64>) -> Self {
        let codes: Vec<String> = columns.iter().map(|column| column.code.clone()).collect();
        // The groups of victims are sums of their parts. Without any table there would be nothing to count all cases by.
        let is_sum = |code: &String| codes.iter().any(|part| part.starts_with(&format!("{code}/")));
        let mut parts: Vec<String> = codes.iter().filter(|code| !is_sum(code)).cloned().collect();
        parts.push(String::new());
        let mut all = BTreeSet::new();
        for code in kelurahan {
            for (end, _) in code.match_indices('.').skip(1).chain([(code.len(), "")]) {
                all.extend(codes.iter().map(|column| (code[..end].to_owned(), column.clone())));
                all.insert((code[..end].to_owned(), String::new()));
            }
        }
        let most =
            published.values().max().map_or(0.0, |most| f64::from(u32::try_from(*most).expect("counts are small")));
        let (kelurahan, columns) = (kelurahan.to_vec(), parts);
        let mut attack = Self { kelurahan, columns, rows: Vec::new(), published, all, most };
        attack.add_up();
        for ((area, column), number) in attack.published.clone() {
            let expression = attack.expression(&area, &column);
            attack.rows.push((
                expression,
                ComparisonOp::Eq,
                f64::from(u32::try_from(number).expect("counts are small")),
            ));
        }
        attack
    }

    /// How the cases of each kelurahan add up.
    fn add_up(&mut self) {
        let lists: [(&[&str], ComparisonOp); 4] = [
            (&["ANAK/", "PEREMPUAN/", "LAKI_LAKI/"], ComparisonOp::Eq),
            (&["PLACE_"], ComparisonOp::Eq),
            (&["OFFENDER_"], ComparisonOp::Eq),
            (&["VIOLENCE_"], ComparisonOp::Ge),
        ];
        for at in 0..self.kelurahan.len() {
            let cases = self.variable(at, "");
            for (prefixes, comparison) in lists {
                let of_list = |column: &&String| prefixes.iter().any(|prefix| column.starts_with(prefix));
                let columns: Vec<&String> = self.columns.iter().filter(of_list).collect();
                if !columns.is_empty() {
                    let sum = columns.iter().map(|column| (self.variable(at, column), 1.0));
                    self.rows.push((sum.chain([(cases, -1.0)]).collect(), comparison, 0.0));
                }
            }
            let within = |part: usize, whole: usize| (vec![(part, 1.0), (whole, -1.0)], ComparisonOp::Le, 0.0);
            for column in self.columns.clone() {
                if column.starts_with("VIOLENCE_") {
                    self.rows.push(within(self.variable(at, &column), cases));
                } else if column.starts_with("ELECTRONIC_") {
                    self.rows.push(within(self.variable(at, &column), self.variable(at, "VIOLENCE_SEKSUAL")));
                }
            }
        }
    }

    fn variable(&self, kelurahan: usize, column: &str) -> usize {
        kelurahan * self.columns.len()
            + self.columns.iter().position(|known| known == column).expect("a column of the table")
    }

    /// A number as a sum of variables.
    fn expression(&self, area: &str, column: &str) -> Vec<(usize, f64)> {
        let inside = (0..self.kelurahan.len()).filter(|at| is_within(&self.kelurahan[*at], area));
        let part_of =
            |known: &&String| *known == column || !column.is_empty() && known.starts_with(&format!("{column}/"));
        let parts: Vec<&String> = self.columns.iter().filter(part_of).collect();
        inside.flat_map(|at| parts.iter().map(move |part| (self.variable(at, part), 1.0))).collect()
    }

    /// Everything that is not published.
    pub(crate) fn withheld(&self) -> Vec<Target> {
        self.all.iter().filter(|target| !self.published.contains_key(*target)).cloned().collect()
    }

    /// The least and the most that a number can be. That there is no answer would mean that the system is not true.
    pub(crate) fn bounds(&self, target: &Target) -> Bounds {
        let solve = |direction| {
            let mut problem = Problem::new(direction);
            let wanted = self.expression(&target.0, &target.1);
            let coefficient = |at: usize| wanted.iter().find(|(of, _)| *of == at).map_or(0.0, |(_, factor)| *factor);
            let all = 0..self.kelurahan.len() * self.columns.len();
            let variables: Vec<_> = all.map(|at| problem.add_var(coefficient(at), (0.0, self.most))).collect();
            for (sum, comparison, right) in &self.rows {
                let sum: Vec<_> = sum.iter().map(|(at, factor)| (variables[*at], *factor)).collect();
                problem.add_constraint(sum.as_slice(), *comparison, *right);
            }
            let solved = problem.solve().expect("what is public is true");
            solved.into_solution().expect("what is public is true").objective()
        };
        (solve(OptimizationDirection::Minimize), solve(OptimizationDirection::Maximize))
    }
}

/// Everything that a release publishes.
fn numbers(released: &v1::ReleasePublished) -> BTreeMap<Target, u64> {
    let mut numbers = BTreeMap::new();
    for area in &released.areas {
        numbers.insert((area.code.clone(), String::new()), area.cases);
        let given = released.columns.iter().zip(&area.counts).filter(|(_, count)| **count > 0);
        numbers.extend(given.map(|(column, count)| ((area.code.clone(), column.code.clone()), *count)));
    }
    numbers
}
