//! Makes the command of a planned step from the case as it is found, and a planned decision from the conflicts as they are found.

use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, ConflictDecision, case_command::Step};

use super::{
    history::{DecisionPlan, StepPlan, ZONE},
    time::{date_of, day, end_of, instant, message},
};

/// Every step by its field name, each with how often it comes.
const STEPS: [(&str, u32); 15] = [
    ("assess", 6),
    ("record_service", 6),
    ("plan_follow_up", 7),
    ("complete_follow_up", 9),
    ("offer_referral", 2),
    ("accept_referral", 3),
    ("reject_referral", 2),
    ("revoke_referral", 2),
    ("admit_to_shelter", 4),
    ("discharge_from_shelter", 5),
    ("record_legal_stage", 2),
    ("record_verdict", 1),
    ("close", 7),
    ("reopen", 5),
    ("merge", 1),
];

/// Chooses a step: an allowed one, or any one when the plan is wild. `None` when nothing is allowed.
pub(crate) fn choose(plan: &StepPlan, case: &v1::Case) -> Option<v1::CaseCommand> {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.dice);
    let open: Vec<(&str, u32)> = STEPS
        .into_iter()
        .filter(|(name, _)| plan.wild || case.allowed_steps.iter().any(|allowed| allowed == name))
        .collect();
    let total: u32 = open.iter().map(|(_, weight)| weight).sum();
    if total == 0 {
        return None;
    }
    let mut dice = rng.random_range(0..total);
    let mut chosen = open[0].0;
    for (name, weight) in open {
        chosen = name;
        if dice < weight {
            break;
        }
        dice -= weight;
    }
    let step = step(chosen, plan, case, &mut rng);
    let mut occurred_at = plan.occurred_at;
    if let Some(due) = due(&step, case)
        && due <= plan.sent_at
        && rng.random_bool(0.4)
    {
        occurred_at = if rng.random_bool(0.6) { due } else { due - SignedDuration::from_millis(1) };
    }
    Some(v1::CaseCommand {
        command_id: plan.command_id.clone(),
        case_id: plan.case_id.clone(),
        expected_version: if plan.stale { case.version.saturating_sub(1) } else { case.version },
        occurred_at: Some(message(occurred_at)),
        step: Some(step),
    })
}

/// The very instant at which what the step does was due.
fn due(step: &Step, case: &v1::Case) -> Option<Timestamp> {
    match step {
        Step::RecordService(_) | Step::AdmitToShelter(_) => case.response_due_at.as_ref().map(|due| instant(Some(due))),
        Step::CompleteFollowUp(done) => {
            let mut planned = case.follow_ups.iter().filter_map(|planned| planned.follow_up.as_ref());
            let zone = TimeZone::get(ZONE).expect("the zone is in the bundled database");
            planned.find(|plan| plan.number == done.number).map(|plan| end_of(day(&plan.due_on), &zone))
        }
        _ => None,
    }
}

fn step(name: &str, plan: &StepPlan, case: &v1::Case, rng: &mut ChaCha8Rng) -> Step {
    let reason = "Alasan contoh".to_owned();
    match name {
        "assess" => Step::Assess(v1::AssessCase { risk: rng.random_range(1..4) }),
        "record_service" => Step::RecordService(v1::RecordService { service: rng.random_range(1..12) }),
        "plan_follow_up" => Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up(plan, case, rng)) }),
        "complete_follow_up" => Step::CompleteFollowUp(v1::CompleteFollowUp { number: planned_number(case, rng) }),
        "offer_referral" => {
            Step::OfferReferral(v1::OfferReferral { to_institution_id: "kantor-01".to_owned(), reason })
        }
        "accept_referral" => Step::AcceptReferral(v1::AcceptReferral {}),
        "reject_referral" => Step::RejectReferral(v1::RejectReferral { reason }),
        "revoke_referral" => Step::RevokeReferral(v1::RevokeReferral { reason }),
        "admit_to_shelter" => Step::AdmitToShelter(v1::AdmitToShelter {}),
        "discharge_from_shelter" => Step::DischargeFromShelter(v1::DischargeFromShelter {}),
        "record_legal_stage" => Step::RecordLegalStage(v1::RecordLegalStage { stage: rng.random_range(1..7) }),
        "record_verdict" => Step::RecordVerdict(v1::RecordVerdict { guilty: true, prison_months: 120 }),
        "close" => Step::Close(v1::CloseCase { outcome: rng.random_range(1..6) }),
        "reopen" => Step::Reopen(v1::ReopenCase { reason }),
        _ => Step::Merge(v1::MergeCase { into_case_id: plan.other_case_id.clone() }),
    }
}

fn follow_up(plan: &StepPlan, case: &v1::Case, rng: &mut ChaCha8Rng) -> v1::FollowUp {
    let numbers = case.follow_ups.iter().filter_map(|planned| planned.follow_up.as_ref()).map(|plan| plan.number);
    let zone = TimeZone::get(ZONE).expect("the zone is in the bundled database");
    let from = date_of(plan.occurred_at, &zone);
    let due_on = from.checked_add(rng.random_range(0..25).days()).expect("far from the ends of time");
    let due_on = if rng.random_bool(0.3) { from.last_of_month() } else { due_on };
    v1::FollowUp {
        number: numbers.max().unwrap_or(0) + 1,
        action: "Tindakan contoh".to_owned(),
        due_on: due_on.to_string(),
    }
}

/// A follow-up that is not completed, when there is one.
fn planned_number(case: &v1::Case, rng: &mut ChaCha8Rng) -> u32 {
    let open: Vec<u32> = case
        .follow_ups
        .iter()
        .filter(|planned| planned.completed_at.is_none())
        .filter_map(|planned| planned.follow_up.as_ref())
        .map(|plan| plan.number)
        .collect();
    if open.is_empty() { 1 } else { open[rng.random_range(0..open.len())] }
}

/// Decides on one of the open conflicts: mostly takes what can be taken. When the plan is wild the decision is one that must be
/// refused. `None` when there is nothing to decide on.
pub(crate) fn decide(plan: &DecisionPlan, open: &[v1::Conflict]) -> Option<v1::ConflictResolution> {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.dice);
    let conflict = open.choose(&mut rng)?;
    let take = conflict.can_be_taken && rng.random_bool(0.75);
    let decision = if take { ConflictDecision::Take } else { ConflictDecision::Keep };
    let mut resolution = v1::ConflictResolution {
        command_id: plan.command_id.clone(),
        conflict_position: conflict.position,
        decision: decision.into(),
        reason: "Keputusan contoh".to_owned(),
    };
    if plan.wild {
        match rng.random_range(0..4) {
            // The log's first event is no conflict.
            0 => resolution.conflict_position = 1,
            1 => resolution.decision = ConflictDecision::Unspecified.into(),
            2 => resolution.reason = String::new(),
            _ => {
                resolution.conflict_position = open.iter().find(|it| !it.can_be_taken)?.position;
                resolution.decision = ConflictDecision::Take.into();
            }
        }
    }
    Some(resolution)
}
