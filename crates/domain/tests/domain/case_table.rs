//! Every step from every situation of a case: one table says what is allowed, and every cell of it is tried.

use satgas_domain::case::Refusal;
use satgas_proto::v1::{self, CaseStatus, case_command::Step, submission::Content};

use crate::support::*;

const NOW: &str = "2028-02-10T12:00:00";
const REPORTED: &str = "2028-02-01T08:00:00";
const TAKEN: &str = "2028-02-02T08:00:00";

/// The situations, in the order of the table's columns: how a case got there after it was reported.
const SITUATIONS: [&str; 9] = [
    "reported",
    "assessed",
    "in service",
    "closed",
    "merged",
    "referral offered",
    "in shelter",
    "follow-up open",
    "legal stage known",
];

/// A row for each step: `x` where it is allowed.
const TABLE: [(&str, [u8; 9]); 15] = [
    //                            rep ass ser clo mer off she fol leg
    ("assess", *b"xxx--xxxx"),
    ("record_service", *b"-xx--xxxx"),
    ("plan_follow_up", *b"-xx--xxxx"),
    ("complete_follow_up", *b"-------x-"),
    ("offer_referral", *b"xxx---xxx"),
    ("accept_referral", *b"-----x---"),
    ("reject_referral", *b"-----x---"),
    ("revoke_referral", *b"-----x---"),
    ("admit_to_shelter", *b"-xx--x-xx"),
    ("discharge_from_shelter", *b"------x--"),
    ("record_legal_stage", *b"-xxx-xxxx"),
    ("record_verdict", *b"--------x"),
    ("close", *b"-xx-----x"),
    ("reopen", *b"---x-----"),
    ("merge", *b"xxx----xx"),
];

fn step(name: &str) -> Step {
    let reason = || "Alasan contoh".to_owned();
    match name {
        "assess" => assess(v1::Risk::Tinggi),
        "record_service" => serve(v1::Service::Psikologis),
        "plan_follow_up" => plan(2, "2028-03-01"),
        "complete_follow_up" => complete(1),
        "offer_referral" => offer(OFFICE),
        "accept_referral" => Step::AcceptReferral(v1::AcceptReferral {}),
        "reject_referral" => Step::RejectReferral(v1::RejectReferral { reason: reason() }),
        "revoke_referral" => Step::RevokeReferral(v1::RevokeReferral { reason: reason() }),
        "admit_to_shelter" => Step::AdmitToShelter(v1::AdmitToShelter {}),
        "discharge_from_shelter" => Step::DischargeFromShelter(v1::DischargeFromShelter {}),
        "record_legal_stage" => {
            Step::RecordLegalStage(v1::RecordLegalStage { stage: v1::LegalStage::Penyidikan.into() })
        }
        "record_verdict" => Step::RecordVerdict(v1::RecordVerdict { guilty: true, prison_months: 120 }),
        "close" => close(),
        "reopen" => reopen(),
        "merge" => merge_into(2),
        other => panic!("no step is called {other}"),
    }
}

/// A log with case 1 in the situation, and case 2 to merge into.
fn in_situation(situation: &str) -> Log {
    let mut log = given([]);
    for n in [1, 2] {
        log.then_goes_on(submission(n, REPORTED, Content::CaseReport(case_report())), NOW);
    }
    let way: &[&str] = match situation {
        "reported" => &[],
        "assessed" => &["assess"],
        "in service" => &["assess", "record_service"],
        "closed" => &["assess", "close"],
        "merged" => &["merge"],
        "referral offered" => &["assess", "offer_referral"],
        "in shelter" => &["assess", "admit_to_shelter"],
        "follow-up open" => &["assess"],
        "legal stage known" => &["assess", "record_legal_stage"],
        other => panic!("no situation is called {other}"),
    };
    let mut steps: Vec<Step> = way.iter().map(|name| step(name)).collect();
    if situation == "follow-up open" {
        steps.push(plan(1, "2028-03-01"));
    }
    for ((n, version), step) in (101..).zip(1..).zip(steps) {
        log.then_goes_on(command(n, 1, version, TAKEN, step), NOW);
    }
    log
}

fn status_after(before: CaseStatus, step: &str) -> CaseStatus {
    match step {
        "assess" if before == CaseStatus::Dilaporkan => CaseStatus::Diasesmen,
        "record_service" | "admit_to_shelter" => CaseStatus::DalamLayanan,
        "close" => CaseStatus::Ditutup,
        // The closed case of the table was never served.
        "reopen" => CaseStatus::Diasesmen,
        "merge" => CaseStatus::Digabung,
        _ => before,
    }
}

#[test]
fn every_step_from_every_situation_is_allowed_or_refused_as_the_table_says() {
    for (column, situation) in SITUATIONS.iter().enumerate() {
        let allowed: Vec<&str> =
            TABLE.iter().filter(|(_, cells)| cells[column] == b'x').map(|(step, _)| *step).collect();
        assert_eq!(in_situation(situation).case(&id(1)).allowed_steps, allowed, "{situation}: what the case says");
        for (name, cells) in TABLE {
            let mut log = in_situation(situation);
            let before = log.case(&id(1));
            let asked = command(200, 1, before.version, TAKEN, step(name));
            if cells[column] == b'x' {
                log.when(asked.clone(), NOW).then(Answer::Advances { version: before.version + 1 });
                log.then_goes_on(asked, NOW);
                let after = log.case(&id(1));
                assert_eq!(after.version, before.version + 1, "{name} when {situation}");
                assert_eq!(after.status(), status_after(before.status(), name), "{name} when {situation}");
            } else {
                let Err(refusal) = log.state.decide_case(&asked, at(NOW)) else {
                    panic!("{name} is allowed when {situation}");
                };
                let Refusal::NotAllowed { current, status, allowed: told, why } = refusal else {
                    panic!("{name} when {situation}: {refusal:?}");
                };
                assert_eq!((current, status), (before.version, before.status()), "{name} when {situation}");
                assert_eq!(told, allowed, "{name} when {situation}: what is allowed instead");
                assert!(!why.is_empty());
            }
        }
    }
}

#[test]
fn a_stale_version_is_told_before_anything_else_about_the_step() {
    for situation in SITUATIONS {
        let log = in_situation(situation);
        let current = log.case(&id(1)).version;
        for (name, _) in TABLE {
            for expected in [current + 1, current.wrapping_sub(1)].into_iter().filter(|v| *v > 0) {
                log.when(command(200, 1, expected, TAKEN, step(name)), NOW)
                    .then(Answer::Stays(Refusal::StaleVersion { current }));
            }
        }
    }
}
