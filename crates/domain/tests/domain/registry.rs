//! What may be registered, and what registering does.

use satgas_domain::registry::Change;
use satgas_proto::v1::{self, registry_entry::Entry, task_force::Home};

use crate::support::*;

const NOW: &str = "2028-02-29T12:00:00";

#[test]
fn a_new_entry_creates_the_same_again_does_nothing_and_another_changes() {
    let mut log = given([]);
    let fresh = school("90000007", TIGA);
    log.when(fresh.clone(), NOW).then(Answer::Registers(Change::Created));
    log.then_goes_on(fresh.clone(), NOW);
    log.when(fresh, NOW).then(Answer::Registers(Change::Unchanged));
    log.when(school("90000007", DUA), NOW).then(Answer::Registers(Change::Changed));
    log.when(area(SATU, "Satu"), NOW).then(Answer::Registers(Change::Unchanged));
    log.when(area(SATU, "Satu Baru"), NOW).then(Answer::Registers(Change::Changed));
    log.when(member("m-1", "2027-01-01", "", &[]), NOW).then(Answer::Registers(Change::Created));
}

#[test]
fn an_area_needs_its_parent_but_a_kota_does_not() {
    let log = given([]);
    log.when(area("53.72", "Kota Lain"), NOW).then(Answer::Registers(Change::Created));
    log.when(area("53.72.01", "Kecamatan"), NOW).then(refused(["area.code"])).because("parent");
    log.when(area("53.71.05.1001", "Kelurahan"), NOW).then(refused(["area.code"])).because("parent");
}

#[test]
fn an_institution_stands_in_a_registered_kelurahan() {
    let log = given([]);
    log.when(school("90000007", "53.71.04.9999"), NOW).then(refused(["institution.area_code"]));
    log.when(school("90000007", "53.71.04"), NOW).then(refused(["institution.area_code"]));
}

#[test]
fn a_task_force_has_a_registered_home_that_never_changes() {
    let log = given([]);
    let formed = |home| task_force("tf-9", home, "2028-01-01", "");
    log.when(formed(of_area("53.71.04.9999")), NOW).then(refused(["task_force.area_code"]));
    log.when(formed(of_area("53.71.04")), NOW).then(refused(["task_force.area_code"]));
    log.when(formed(Home::InstitutionId("90009999".into())), NOW).then(refused(["task_force.institution_id"]));
    log.when(task_force("tf-1", of_area(DUA), "2027-01-01", ""), NOW)
        .then(refused(["task_force.home"]))
        .because("dissolve this task force and form another");
    log.when(task_force("tf-1", of_area(SATU), "2027-01-01", "2028-01-31"), NOW)
        .then(Answer::Registers(Change::Changed));
}

#[test]
fn a_member_belongs_to_a_registered_task_force_and_does_not_move() {
    let mut log = given([]);
    log.then_goes_on(member("m-1", "2027-01-01", "", &[]), NOW);
    let moved = |to: &str| {
        entry(Entry::Member(v1::Member {
            member_id: "m-1".into(),
            task_force_id: to.into(),
            joined_on: "2027-01-01".into(),
            ..v1::Member::default()
        }))
    };
    log.when(moved("tf-9"), NOW).then(refused(["member.task_force_id"])).because("is not registered");
    log.when(moved("tf-2"), NOW).then(refused(["member.task_force_id"])).because("cannot be changed");
}

#[test]
fn a_bad_entry_hears_of_every_violation_at_once() {
    let log = given([]);
    log.when(v1::RegistryEntry::default(), NOW).then(refused(["entry"]));
    log.when(entry(Entry::Area(v1::Area::default())), NOW).then(refused(["area.code", "area.name", "area.valid_from"]));
    log.when(entry(Entry::Institution(v1::Institution { kind: 9, ..v1::Institution::default() })), NOW).then(refused(
        [
            "institution.institution_id",
            "institution.name",
            "institution.kind",
            "institution.valid_from",
            "institution.area_code",
        ],
    ));
    log.when(entry(Entry::TaskForce(v1::TaskForce::default())), NOW).then(refused([
        "task_force.task_force_id",
        "task_force.home",
        "task_force.kind",
        "task_force.formed_on",
    ]));
    log.when(member("nama orang", "2028-02-30", "2028", &[("2028-01-01", "")]), NOW).then(refused([
        "member.member_id",
        "member.joined_on",
        "member.left_on",
        "member.trainings[0].valid_until",
    ]));
}

#[test]
fn nothing_ends_before_it_begins() {
    let log = given([]);
    log.when(task_force("tf-9", of_area(SATU), "2028-02-02", "2028-02-01"), NOW)
        .then(refused(["task_force.dissolved_on"]));
    log.when(task_force("tf-9", of_area(SATU), "2028-02-02", "2028-02-02"), NOW)
        .then(Answer::Registers(Change::Created));
    log.when(member("m-1", "2028-02-02", "2028-02-01", &[("2028-02-02", "2028-02-01")]), NOW)
        .then(refused(["member.left_on", "member.trainings[0].valid_until"]));
}

#[test]
fn a_school_that_moved_counts_where_it_stands_now() {
    let mut log = given([]);
    log.then_goes_on(school(OTHER_SCHOOL, TIGA), NOW);
    let coverage = |code| {
        let subject = kelurahan(code);
        log.fraction(v1::IndicatorKind::SchoolCoverage, subject, "2028-02", NOW)
    };
    assert_eq!((coverage(SATU), coverage(TIGA)), (Some((0, 1)), Some((0, 1))));
}
