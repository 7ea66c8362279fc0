//! What a statistical release withholds: the yearly tables of an invented city and of a country, and what the public can work out of them.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use satgas_domain::release::{Areas, Counts, Draft, audit, withheld_to_protect};
use satgas_proto::v1::{CaseReport, ReleaseDraft, Violence};

use crate::{
    city::City,
    figures::{Figures, Goal, Scenario, Unit},
    nation::Country,
    plan::Plan,
};

/// Cases of a year: the city as many as were counted in 2024, the country in proportion to villages and people.
const CITY_CASES: u64 = 359;
const COUNTRY_CASES: u64 = 30_000;

/// Measures both once.
pub(crate) fn run(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let country = match &plan.areas {
        Some(path) => Country::read(path)?,
        None => Country::invented(),
    };
    measure("city", City::new().areas(), CITY_CASES, figures)?;
    measure("country", &country.villages, COUNTRY_CASES, figures)
}

fn measure(name: &str, villages: &[String], cases: u64, figures: &mut Figures) -> Result<()> {
    let areas = Areas::within("", villages.iter().map(String::as_str));
    let mut counts = Counts::none(&areas);
    let mut random = Random(7);
    for _ in 0..cases {
        let village = &villages[random.skewed(villages.len())];
        counts.add(&areas, village, &report(&mut random));
    }
    let asked = ReleaseDraft { period: "2025".to_owned(), note: "Data contoh".to_owned(), ..Default::default() };
    let draft = Draft::parse(&asked).ok().context("the draft is well-formed")?;
    let began = Instant::now();
    let released = draft.publish(&areas, &counts, &[])?;
    let withheld_in = began.elapsed();
    let began = Instant::now();
    let audited = audit(&areas, &released)?;
    let audited_in = began.elapsed();
    let share = released.share.context("a release says its share")?;
    let narrowest = audited.narrowest.context("something is withheld")?;
    ensure!(audited.withheld == share.withheld, "the audit counts other numbers");
    let mut add = |what: &str, unit, goal, value| {
        figures.add(Scenario::Releases, &format!("{name}: {what}"), unit, goal, value);
    };
    add("numbers of the tables", Unit::Count, None, share.cells as f64);
    add("withheld", Unit::Percent, None, 100.0 * share.withheld as f64 / share.cells as f64);
    let to_protect = 100.0 * withheld_to_protect(&areas, &counts, &released) as f64 / share.cells as f64;
    add("withheld to protect others", Unit::Percent, None, to_protect);
    add("areas with a published number", Unit::Count, None, released.areas.len() as f64);
    add(
        "time to decide what is withheld",
        Unit::Milliseconds,
        Some(Goal::Below(5_000.0)),
        withheld_in.as_secs_f64() * 1e3,
    );
    add("time to work out the bounds", Unit::Milliseconds, None, audited_in.as_secs_f64() * 1e3);
    add("withheld numbers recovered", Unit::Count, Some(Goal::Below(1.0)), audited.recovered as f64);
    add("narrowest bounds", Unit::Count, Some(Goal::AtLeast(5.0)), f64::from(narrowest));
    Ok(())
}

/// A case, most of them of a few kinds.
fn report(random: &mut Random) -> CaseReport {
    let mut code = |len: usize| i32::try_from(random.skewed(len) + 1).unwrap_or(1);
    let mut violence = vec![code(7), code(7)];
    violence.sort_unstable();
    violence.dedup();
    let electronic = if violence.contains(&Violence::Seksual.into()) { vec![code(3)] } else { Vec::new() };
    let (place, victim_age, victim_sex, offender) = (code(7), code(7), code(2), code(10));
    CaseReport { violence, electronic, place, victim_age, victim_sex, offender, ..Default::default() }
}

/// The same numbers each time: a linear congruence is random enough for invented cases.
struct Random(u64);

impl Random {
    fn below(&mut self, len: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % len as u64).unwrap_or(0)
    }

    /// The lower the more often.
    fn skewed(&mut self, len: usize) -> usize {
        self.below(len).min(self.below(len))
    }
}
