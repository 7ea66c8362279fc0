//! An attack on releases: everything that is public is written down as a linear system, and for each number that is withheld a solver looks
//! for the least and the most that it can be. A test shows that the attack works on what is only withheld because it is small.
//!
//! The attacker knows how tables add up and nothing of how they were withheld: it shares no code with the algorithm.

#[path = "../../../cli/src/demo/kupang.rs"]
mod kupang;
mod linear;
mod world;

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use satgas_domain::release::{Areas, Counts, Draft, Earlier, Unpublishable, audit, withheld_to_protect};
use satgas_proto::v1::{self, ReleaseTable};

use crate::{
    linear::{Attack, Bounds},
    world::World,
};

const THRESHOLD: u32 = 5;
/// A solver's answer is as good as the number when it is this near.
const NEAR: f64 = 1e-6;

fn draft(tables: &[ReleaseTable]) -> Draft {
    let draft = v1::ReleaseDraft {
        period: "2026".to_owned(),
        threshold: THRESHOLD,
        tables: tables.iter().map(|table| (*table).into()).collect(),
        note: "Data contoh".to_owned(),
        ..Default::default()
    };
    Draft::parse(&draft).expect("the draft is one")
}

fn counts(world: &World, areas: &Areas) -> Counts {
    let mut counts = Counts::none(areas);
    world.cases.iter().for_each(|(area, report)| counts.add(areas, area, report));
    counts
}

/// What a release of the tables says of a world.
fn published(world: &World, tables: &[ReleaseTable]) -> (Areas, v1::ReleasePublished) {
    let areas = Areas::within("", world.kelurahan.iter().map(String::as_str));
    let released = draft(tables).publish(&areas, &counts(world, &areas), &[]).expect("there are enough cases");
    (areas, released)
}

/// Attacks a release. Each target's bounds hold the truth, and are the narrowest that there are.
fn attack(world: &World, released: &v1::ReleasePublished, every: usize) -> BTreeMap<(String, String), Bounds> {
    let attack = Attack::on(&world.kelurahan, released);
    let targets: Vec<_> = attack.withheld().into_iter().step_by(every).collect();
    let bounds = targets.into_iter().map(|target| {
        let bounds = attack.bounds(&target);
        let truth = f64::from(world.truth(&target.0, &target.1));
        assert!(bounds.0 - NEAR <= truth && truth <= bounds.1 + NEAR, "{target:?} is {truth}, and not {bounds:?}");
        (target, bounds)
    });
    bounds.collect()
}

fn narrowest(found: &BTreeMap<(String, String), Bounds>) -> f64 {
    found.values().map(|(least, most)| most - least).fold(f64::INFINITY, f64::min)
}

const EACH: [&[ReleaseTable]; 4] =
    [&[ReleaseTable::Victims], &[ReleaseTable::Violence], &[ReleaseTable::Place], &[ReleaseTable::Offender]];

#[test]
fn no_withheld_number_of_any_table_can_be_worked_out_or_narrowed_below_the_threshold() {
    let (mut withheld, mut inner) = (0, 0);
    for seed in 0..6 {
        let world =
            World::of(&mut ChaCha8Rng::seed_from_u64(seed), &[4, 3, 5], 40 + 70 * usize::try_from(seed).expect("few"));
        for tables in EACH {
            let (_, released) = published(&world, tables);
            let found = attack(&world, &released, 1);
            let narrow = narrowest(&found);
            assert!(narrow >= f64::from(THRESHOLD) - NEAR, "seed {seed}, {tables:?}: {narrow}");
            withheld += found.len();
            inner += released.areas.iter().filter(|a| !a.counts.is_empty() && a.code.len() > 5).count();
        }
    }
    assert!(withheld > 500, "only {withheld} numbers were attacked");
    assert!(inner > 10, "only {inner} areas inside the kota show a table: there was little to subtract");
}

#[test]
fn of_a_year_of_the_51_kelurahan_of_kota_kupang_nothing_withheld_is_worked_out() {
    let kelurahan = kupang::KELURAHAN.iter().map(|area| area.code.to_owned()).collect();
    let mut world = World { kelurahan, cases: Vec::new() };
    world.cases = world.more(&mut ChaCha8Rng::seed_from_u64(1), 359);
    for tables in EACH {
        let (areas, released) = published(&world, tables);
        let audited = audit(&areas, &released).unwrap();
        assert_eq!((audited.recovered, audited.narrowest.unwrap() >= THRESHOLD), (0, true), "{tables:?}");
        let narrow = narrowest(&attack(&world, &released, 37));
        assert!(narrow >= f64::from(THRESHOLD) - NEAR, "{tables:?}: {narrow}");
    }
}

#[test]
fn all_tables_together_give_no_more_away_than_each_alone() {
    for (seed, cases) in [(11, 120), (12, 400)] {
        let world = World::of(&mut ChaCha8Rng::seed_from_u64(seed), &[3, 3], cases);
        let (_, released) = published(&world, &[]);
        let narrow = narrowest(&attack(&world, &released, 5));
        assert!(narrow >= f64::from(THRESHOLD) - NEAR, "seed {seed}: {narrow}");
    }
}

#[test]
fn the_bounds_that_the_server_checks_are_those_that_a_solver_finds() {
    for seed in 20..24 {
        let world = World::of(
            &mut ChaCha8Rng::seed_from_u64(seed),
            &[3, 4, 2],
            60 + 90 * usize::try_from(seed - 20).expect("few"),
        );
        for tables in EACH {
            let (areas, released) = published(&world, tables);
            let audited = audit(&areas, &released).unwrap();
            assert_eq!(audited.recovered, 0);
            let found = attack(&world, &released, 1);
            assert_eq!(audited.withheld, found.len() as u64);
            assert!((f64::from(audited.narrowest.unwrap()) - narrowest(&found)).abs() < NEAR, "seed {seed} {tables:?}");
            let codes: Vec<&str> = released.columns.iter().map(|c| c.code.as_str()).chain([""]).collect();
            for ((area, column), (least, most)) in &found {
                let of_area = areas.codes().position(|code| code == area).unwrap();
                let of_column = codes.iter().position(|code| code == column).unwrap();
                let (low, high) = audited.bounds[of_area][of_column];
                let same = (f64::from(low) - least).abs() < NEAR && (f64::from(high) - most).abs() < NEAR;
                assert!(same, "seed {seed}, {area} {column}: {low} to {high}, but a solver finds {least} to {most}");
            }
        }
    }
}

#[test]
fn what_is_only_withheld_because_it_is_small_is_worked_out_by_the_attack() {
    let mut recovered = 0;
    for seed in 30..33 {
        let world = World::of(&mut ChaCha8Rng::seed_from_u64(seed), &[4, 3, 5], 150);
        let (_, mut released) = published(&world, &[ReleaseTable::Victims]);
        // All that is at or above the threshold, and nothing done for the rest.
        let areas = Areas::within("", world.kelurahan.iter().map(String::as_str));
        released.areas = areas
            .codes()
            .filter_map(|code| {
                let shown = |column: &str| match world.truth(code, column) {
                    count if count < THRESHOLD => 0,
                    count => u64::from(count),
                };
                let counts = released.columns.iter().map(|column| shown(&column.code)).collect();
                let cases = shown("");
                (cases > 0).then(|| v1::ReleasedArea { code: code.to_owned(), cases, counts })
            })
            .collect();
        recovered += attack(&world, &released, 1).values().filter(|(least, most)| most - least < NEAR).count();
    }
    assert!(recovered >= 10, "the attack only recovered {recovered}");
}

#[test]
fn a_correction_tells_of_no_single_case_that_came_late() {
    for (late, seed) in [(1, 40), (3, 41), (5, 43), (9, 42)] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let world = World::of(&mut rng, &[4, 3, 5], 300);
        let (areas, first) = published(&world, &[]);
        let corrected = World { cases: [world.cases.clone(), world.more(&mut rng, late)].concat(), ..world.clone() };
        let earlier = Earlier::of(&areas, counts(&world, &areas), &first);
        let second = draft(&[]).publish(&areas, &counts(&corrected, &areas), &[earlier]);
        let Ok(second) = second else {
            // The number of all cases would tell it by itself.
            assert_eq!((late < 5, second.unwrap_err()), (true, Unpublishable::ChangedByFew), "{late} came late");
            continue;
        };
        assert!(late >= 5);
        assert!(audit(&areas, &second).unwrap().recovered == 0);
        for area in &second.areas {
            let before = first.areas.iter().find(|before| before.code == area.code).expect("was published before");
            let pairs = area.counts.iter().zip(&before.counts).map(|(now, then)| (*now, *then));
            for (now, then) in pairs.chain([(area.cases, before.cases)]).filter(|(now, _)| *now > 0) {
                assert!(then > 0, "{}: what was withheld stays withheld", area.code);
                assert!(
                    now == then || now.abs_diff(then) >= u64::from(THRESHOLD),
                    "{}: {then} became {now}",
                    area.code
                );
            }
        }
        // What came between the two releases, attacked as a release of its own.
        let between = Attack::between(&world.kelurahan, &first, &second);
        let column_of =
            |target: &(String, String)| corrected.truth(&target.0, &target.1) - world.truth(&target.0, &target.1);
        let small = between.withheld().into_iter().filter(|t| (1..THRESHOLD).contains(&column_of(t)));
        for target in small.step_by(3) {
            let (least, most) = between.bounds(&target);
            assert!(most - least > NEAR, "{late} came late, and {target:?} is worked out as {least}");
        }
    }
}

#[test]
fn what_a_release_says_of_itself_is_the_same_however_withheld_cases_are_divided() {
    let kelurahan = ["53.71.01.1001", "53.71.01.1003"].map(str::to_owned).to_vec();
    let report =
        v1::CaseReport { victim_age: 3, victim_sex: 1, violence: vec![1], place: 1, offender: 1, ..Default::default() };
    let divided = |first: usize| {
        let cases = (0..8).map(|n| (kelurahan[usize::from(n >= first)].clone(), report.clone())).collect();
        World { kelurahan: kelurahan.clone(), cases }
    };
    // Four and four are small both; of seven and one only one is. The eight are public, so whoever knew which it is knew the four.
    let (even, uneven) = (divided(4), divided(7));
    let (areas, of_even) = published(&even, &[]);
    let (_, of_uneven) = published(&uneven, &[]);
    assert_eq!(of_even, of_uneven);
    let to_protect = |world: &World| withheld_to_protect(&areas, &counts(world, &areas), &of_even);
    assert_ne!(to_protect(&even), to_protect(&uneven), "what the agency sees of it does tell");
}

#[test]
fn who_knows_the_rules_works_out_no_area_either() {
    let kelurahan: Vec<String> = (0..4).map(|n| format!("53.71.01.{}", 1_001 + 2 * n)).collect();
    let areas = Areas::within("53.71.01", kelurahan.iter().map(String::as_str));
    let report =
        v1::CaseReport { victim_age: 3, victim_sex: 1, violence: vec![1], place: 1, offender: 1, ..Default::default() };
    const MOST: u64 = 9;
    let mut worlds: BTreeMap<Vec<u64>, Vec<[u64; 4]>> = BTreeMap::new();
    for world in 0..(MOST + 1).pow(4) {
        let numbers = [0, 1, 2, 3].map(|digit| world / (MOST + 1).pow(digit) % (MOST + 1));
        let mut counts = Counts::none(&areas);
        for (code, number) in kelurahan.iter().zip(numbers) {
            (0..number).for_each(|_| counts.add(&areas, code, &report));
        }
        let Ok(released) = draft(&[ReleaseTable::Place]).publish(&areas, &counts, &[]) else { continue };
        let of = |code: &String| released.areas.iter().find(|area| area.code == *code).map_or(0, |area| area.cases);
        let public = [released.areas[0].cases].into_iter().chain(kelurahan.iter().map(of)).collect();
        worlds.entry(public).or_default().push(numbers);
    }
    for (public, worlds) in worlds.iter().filter(|(public, _)| public[0] - public[1..].iter().sum::<u64>() <= MOST) {
        for at in (0..4).filter(|at| public[at + 1] == 0) {
            let values = || worlds.iter().map(|world| world[at]);
            let (least, most) = (values().min().unwrap(), values().max().unwrap());
            assert!(most - least + 1 >= u64::from(THRESHOLD), "{public:?}: {least} to {most} at {at}");
        }
    }
}
