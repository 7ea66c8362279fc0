//! The steps of a case as subcommands.

use clap::Subcommand;
use satgas_proto::v1::{self, case_command::Step as ProtoStep};

use crate::{
    codes::{self, Code},
    print::Format,
};

/// What every step needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Id of the case
    pub(super) case_id: String,
    /// Version of the case on which you decided; refused if it is another by now [default: the one it has when the command starts]
    #[arg(long, value_name = "VERSION")]
    pub(super) expect: Option<u64>,
    /// When the step was taken, in the log's local time or with an offset [default: now]
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
    /// Id of the command, to repeat one whose answer did not come [default: a new one]
    #[arg(long, value_name = "UUID")]
    pub(super) command_id: Option<String>,
    /// How the case is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// One step.
#[derive(Debug, Subcommand)]
pub(crate) enum Step {
    /// Assess the risk
    Assess {
        #[command(flatten)]
        common: Common,
        /// tinggi, sedang or rendah
        #[arg(long, value_parser = codes::parse::<v1::Risk>)]
        risk: v1::Risk,
    },
    /// Record a service that was given
    Service {
        #[command(flatten)]
        common: Common,
        /// Such as psikologis or bantuan-hukum
        #[arg(long, value_parser = codes::parse::<v1::Service>)]
        service: v1::Service,
    },
    /// Plan a follow-up
    Plan {
        #[command(flatten)]
        common: Common,
        /// Its number, new in this case
        #[arg(long)]
        number: u32,
        /// What is to be done; no names
        #[arg(long)]
        action: String,
        /// The last day to do it, YYYY-MM-DD
        #[arg(long, value_name = "DATE")]
        due: String,
    },
    /// Complete a planned follow-up
    Complete {
        #[command(flatten)]
        common: Common,
        /// Its number
        #[arg(long)]
        number: u32,
    },
    /// Offer the case to another office
    Refer {
        #[command(flatten)]
        common: Common,
        /// Id of the institution that shall take it
        #[arg(long, value_name = "INSTITUTION")]
        to: String,
        /// Why; no names
        #[arg(long)]
        reason: String,
    },
    /// Accept the offered case
    Accept {
        #[command(flatten)]
        common: Common,
    },
    /// Reject the offered case
    Reject {
        #[command(flatten)]
        common: Common,
        /// Why; no names
        #[arg(long)]
        reason: String,
    },
    /// Take an offer back
    Revoke {
        #[command(flatten)]
        common: Common,
        /// Why; no names
        #[arg(long)]
        reason: String,
    },
    /// Admit the victim to the shelter
    Admit {
        #[command(flatten)]
        common: Common,
    },
    /// Discharge the victim from the shelter
    Discharge {
        #[command(flatten)]
        common: Common,
    },
    /// Record a stage of the legal process
    Legal {
        #[command(flatten)]
        common: Common,
        /// Such as penyidikan or persidangan
        #[arg(long, value_parser = codes::parse::<v1::LegalStage>)]
        stage: v1::LegalStage,
    },
    /// Record a verdict
    #[command(group = clap::ArgGroup::new("finding").required(true).args(["guilty", "not_guilty"]))]
    Verdict {
        #[command(flatten)]
        common: Common,
        /// The defendant was found guilty
        #[arg(long)]
        guilty: bool,
        /// The defendant was acquitted
        #[arg(long)]
        not_guilty: bool,
        /// Prison term in months
        #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "not_guilty")]
        months: i32,
    },
    /// Close the case
    Close {
        #[command(flatten)]
        common: Common,
        /// How it ended, such as tujuan-tercapai
        #[arg(long, value_parser = codes::parse::<v1::CaseOutcome>)]
        outcome: v1::CaseOutcome,
    },
    /// Reopen a closed case
    Reopen {
        #[command(flatten)]
        common: Common,
        /// Why; no names
        #[arg(long)]
        reason: String,
    },
    /// Merge this case, a duplicate, into another; final
    Merge {
        #[command(flatten)]
        common: Common,
        /// Id of the case that goes on
        #[arg(long, value_name = "CASE")]
        into: String,
    },
}

impl Step {
    /// What it shares with every step, and itself as the vocabulary has it.
    pub(super) fn into_parts(self) -> (Common, ProtoStep) {
        match self {
            Self::Assess { common, risk } => (common, ProtoStep::Assess(v1::AssessCase { risk: risk.into() })),
            Self::Service { common, service } => {
                (common, ProtoStep::RecordService(v1::RecordService { service: service.into() }))
            }
            Self::Plan { common, number, action, due } => {
                let follow_up = Some(v1::FollowUp { number, action, due_on: due });
                (common, ProtoStep::PlanFollowUp(v1::PlanFollowUp { follow_up }))
            }
            Self::Complete { common, number } => (common, ProtoStep::CompleteFollowUp(v1::CompleteFollowUp { number })),
            Self::Refer { common, to, reason } => {
                (common, ProtoStep::OfferReferral(v1::OfferReferral { to_institution_id: to, reason }))
            }
            Self::Accept { common } => (common, ProtoStep::AcceptReferral(v1::AcceptReferral {})),
            Self::Reject { common, reason } => (common, ProtoStep::RejectReferral(v1::RejectReferral { reason })),
            Self::Revoke { common, reason } => (common, ProtoStep::RevokeReferral(v1::RevokeReferral { reason })),
            Self::Admit { common } => (common, ProtoStep::AdmitToShelter(v1::AdmitToShelter {})),
            Self::Discharge { common } => (common, ProtoStep::DischargeFromShelter(v1::DischargeFromShelter {})),
            Self::Legal { common, stage } => {
                (common, ProtoStep::RecordLegalStage(v1::RecordLegalStage { stage: stage.into() }))
            }
            Self::Verdict { common, guilty, not_guilty: _, months } => {
                (common, ProtoStep::RecordVerdict(v1::RecordVerdict { guilty, prison_months: months }))
            }
            Self::Close { common, outcome } => (common, ProtoStep::Close(v1::CloseCase { outcome: outcome.into() })),
            Self::Reopen { common, reason } => (common, ProtoStep::Reopen(v1::ReopenCase { reason })),
            Self::Merge { common, into } => (common, ProtoStep::Merge(v1::MergeCase { into_case_id: into })),
        }
    }
}

/// Each step's field name in `CaseCommand`, and the subcommand that takes it.
const WORDS: &[(&str, &str)] = &[
    ("assess", "assess"),
    ("record_service", "service"),
    ("plan_follow_up", "plan"),
    ("complete_follow_up", "complete"),
    ("offer_referral", "refer"),
    ("accept_referral", "accept"),
    ("reject_referral", "reject"),
    ("revoke_referral", "revoke"),
    ("admit_to_shelter", "admit"),
    ("discharge_from_shelter", "discharge"),
    ("record_legal_stage", "legal"),
    ("record_verdict", "verdict"),
    ("close", "close"),
    ("reopen", "reopen"),
    ("merge", "merge"),
];

/// The subcommands of steps that the server names by their fields.
pub(crate) fn in_words<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    let word = |field: &'a str| WORDS.iter().find(|(name, _)| *name == field).map_or(field, |(_, word)| word);
    let words: Vec<&str> = fields.map(str::trim).filter(|field| !field.is_empty()).map(word).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// The label of a status that the server names.
pub(crate) fn status_words(name: &str) -> String {
    v1::CaseStatus::from_str_name(name).map_or_else(|| name.to_owned(), Code::label)
}

/// The subcommand that takes a step.
pub(crate) fn word_of(step: &ProtoStep) -> &'static str {
    match step {
        ProtoStep::Assess(_) => "assess",
        ProtoStep::RecordService(_) => "service",
        ProtoStep::PlanFollowUp(_) => "plan",
        ProtoStep::CompleteFollowUp(_) => "complete",
        ProtoStep::OfferReferral(_) => "refer",
        ProtoStep::AcceptReferral(_) => "accept",
        ProtoStep::RejectReferral(_) => "reject",
        ProtoStep::RevokeReferral(_) => "revoke",
        ProtoStep::AdmitToShelter(_) => "admit",
        ProtoStep::DischargeFromShelter(_) => "discharge",
        ProtoStep::RecordLegalStage(_) => "legal",
        ProtoStep::RecordVerdict(_) => "verdict",
        ProtoStep::Close(_) => "close",
        ProtoStep::Reopen(_) => "reopen",
        ProtoStep::Merge(_) => "merge",
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        step: Step,
    }

    fn step(line: &[&str]) -> ProtoStep {
        Line::try_parse_from([&["case"], line].concat()).unwrap().step.into_parts().1
    }

    #[test]
    fn a_typed_step_becomes_the_step_of_the_vocabulary() {
        assert_eq!(step(&["assess", "id", "--risk", "Tinggi"]), ProtoStep::Assess(v1::AssessCase { risk: 1 }));
        let verdict = ProtoStep::RecordVerdict(v1::RecordVerdict { guilty: true, prison_months: 120 });
        assert_eq!(step(&["verdict", "id", "--guilty", "--months", "120"]), verdict);
        let merge = ProtoStep::Merge(v1::MergeCase { into_case_id: "other".into() });
        assert_eq!(step(&["merge", "id", "--into", "other"]), merge);
    }

    #[test]
    fn a_verdict_without_a_finding_is_refused() {
        assert!(Line::try_parse_from(["case", "verdict", "id"]).is_err());
        assert!(Line::try_parse_from(["case", "verdict", "id", "--guilty", "--not-guilty"]).is_err());
    }

    #[test]
    fn every_step_that_the_server_can_name_is_a_subcommand() {
        let command = Line::command();
        for (field, word) in WORDS {
            assert!(command.find_subcommand(word).is_some(), "{field} > {word}");
        }
        assert_eq!(WORDS.len(), command.get_subcommands().count());
    }

    #[test]
    fn no_allowed_step_is_said_in_words() {
        assert_eq!(in_words("".split(',')), "nothing");
        assert_eq!(in_words("record_service, merge".split(',')), "service, merge");
    }
}
