//! The life of a case: reported > assessed > in service > closed; referred, merged, reopened.
//!
//! The same state serves the writer, which decides on it, and the views, which show it.

use pbjson_types::Timestamp;
use satgas_proto::v1::{self, CaseStatus, ReferralStatus, Risk, case_command::Step};
use serde::{Deserialize, Serialize};

use crate::{
    Map,
    id::SubmissionId,
    registry::Scope,
    time::{Day, Instant},
    validate::step_name,
};

/// Why a step is refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// There is no such case.
    UnknownCase,
    /// The case has moved on since the step was decided: look at it again.
    StaleVersion {
        /// The case's version.
        current: u64,
    },
    /// The step does not fit where the case stands.
    NotAllowed {
        /// The case's version.
        current: u64,
        /// Where it stands.
        status: CaseStatus,
        /// What is allowed from here.
        allowed: Vec<&'static str>,
        /// Why this step is not.
        why: &'static str,
    },
    /// The step is not well-formed, or names what does not exist.
    Invalid(Vec<v1::Violation>),
}

/// A planned follow-up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowUp {
    /// As planned.
    #[serde(with = "crate::stored")]
    pub message: v1::FollowUp,
    /// Last day to do it.
    pub due: Day,
    /// When it was completed, and the position of the event that says so.
    pub completed: Option<(Instant, u64)>,
    /// Position of the event that planned it.
    pub position: u64,
    /// When that event was recorded.
    pub known_since: Instant,
}

/// A case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// Its id.
    pub id: SubmissionId,
    /// The reporter: an area or an institution.
    pub scope: Scope,
    /// The kelurahan it belongs to.
    pub area: u32,
    /// Position of its report.
    pub position: u64,
    /// 1 when reported, one more with each step.
    pub version: u64,
    /// Where it stands.
    status: i32,
    risk: i32,
    /// Position of the event that assessed the risk; 0 when none has.
    pub risk_position: u64,
    /// What was reported, with its corrections.
    #[serde(with = "crate::stored")]
    pub report: v1::CaseReport,
    /// When it was reported.
    pub reported: Instant,
    /// When help first reached the victim, and the position of the event that says so.
    pub first_response: Option<(Instant, u64)>,
    services: Vec<(i32, Instant)>,
    /// What was planned.
    pub follow_ups: Vec<FollowUp>,
    referred_to: String,
    referral: i32,
    /// Admissions (true) and discharges to and from the shelter, in version order.
    pub shelter: Vec<(bool, Instant)>,
    /// Closings (true) and reopenings, in version order.
    pub closings: Vec<(bool, Instant)>,
    legal_stage: i32,
    verdict: Option<(bool, i32)>,
    outcome: i32,
    merged_into: Option<SubmissionId>,
    updated: Instant,
}

impl Case {
    /// A case that was just reported.
    #[must_use]
    pub fn reported(
        id: SubmissionId,
        scope: Scope,
        area: u32,
        position: u64,
        report: v1::CaseReport,
        reported: Instant,
    ) -> Self {
        Self {
            id,
            scope,
            area,
            position,
            version: 1,
            status: CaseStatus::Dilaporkan.into(),
            risk: 0,
            risk_position: 0,
            report,
            reported,
            first_response: None,
            services: Vec::new(),
            follow_ups: Vec::new(),
            referred_to: String::new(),
            referral: 0,
            shelter: Vec::new(),
            closings: Vec::new(),
            legal_stage: 0,
            verdict: None,
            outcome: 0,
            merged_into: None,
            updated: reported,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> CaseStatus {
        CaseStatus::try_from(self.status).unwrap_or_default()
    }

    /// The latest assessed risk.
    #[must_use]
    pub fn risk(&self) -> Risk {
        Risk::try_from(self.risk).unwrap_or_default()
    }

    /// Services given: code and when.
    pub fn services(&self) -> impl Iterator<Item = (i32, Instant)> + '_ {
        self.services.iter().copied()
    }

    /// Whether it is a duplicate that was merged into another case.
    #[must_use]
    pub fn is_merged(&self) -> bool {
        self.merged_into.is_some()
    }

    /// When it was closed, if at `time` it was.
    #[must_use]
    pub fn closed_at(&self, time: Instant) -> Option<Instant> {
        last_before(&self.closings, time)
    }

    /// Whether the victim was in the shelter at `time`.
    #[must_use]
    pub fn in_shelter_at(&self, time: Instant) -> bool {
        last_before(&self.shelter, time).is_some()
    }

    fn in_shelter(&self) -> bool {
        self.shelter.last().is_some_and(|(admitted, _)| *admitted)
    }

    fn is_offered(&self) -> bool {
        self.referral == i32::from(ReferralStatus::Ditawarkan)
    }

    /// The steps allowed from here, in the order of `CaseCommand`.
    #[must_use]
    pub fn allowed(&self) -> Vec<&'static str> {
        let status = self.status();
        let active = matches!(status, CaseStatus::Diasesmen | CaseStatus::DalamLayanan);
        let open = active || status == CaseStatus::Dilaporkan;
        let legal = active || status == CaseStatus::Ditutup;
        let open_follow_up = self.follow_ups.iter().any(|f| f.completed.is_none());
        [
            ("assess", open),
            ("record_service", active),
            ("plan_follow_up", active),
            ("complete_follow_up", active && open_follow_up),
            ("offer_referral", open && !self.is_offered()),
            ("accept_referral", open && self.is_offered()),
            ("reject_referral", open && self.is_offered()),
            ("revoke_referral", open && self.is_offered()),
            ("admit_to_shelter", active && !self.in_shelter()),
            ("discharge_from_shelter", active && self.in_shelter()),
            ("record_legal_stage", legal),
            ("record_verdict", legal && self.legal_stage != 0),
            ("close", active && !self.in_shelter() && !self.is_offered() && !open_follow_up),
            ("reopen", status == CaseStatus::Ditutup),
            ("merge", open && !self.in_shelter() && !self.is_offered()),
        ]
        .into_iter()
        .filter_map(|(step, allowed)| allowed.then_some(step))
        .collect()
    }

    /// Why a step that is not among the allowed ones is not.
    fn why_not(&self, step: &Step) -> &'static str {
        let ends = matches!(step, Step::Close(_) | Step::Merge(_));
        match (self.status(), step) {
            (CaseStatus::Digabung, _) => "the case was merged into another: go on there",
            (CaseStatus::Dilaporkan, _) => "the case is not assessed yet",
            (CaseStatus::Ditutup, _) => "the case is closed: reopen it first",
            (_, Step::Reopen(_)) => "the case is not closed",
            (_, Step::CompleteFollowUp(_)) => "no follow-up is open",
            (_, Step::OfferReferral(_)) => "a referral is offered already",
            (_, Step::AcceptReferral(_) | Step::RejectReferral(_) | Step::RevokeReferral(_)) => {
                "no referral is offered"
            }
            (_, Step::AdmitToShelter(_)) => "the victim is in the shelter already",
            (_, Step::DischargeFromShelter(_)) => "the victim is not in the shelter",
            (_, Step::RecordVerdict(_)) => "no legal stage was recorded",
            _ if ends && self.in_shelter() => "the victim is in the shelter: record the discharge first",
            _ if ends && self.is_offered() => "a referral is offered: it must be accepted, rejected or revoked first",
            (_, Step::Close(_)) => "a follow-up is open: complete it first",
            _ => "the case does not stand where this step begins",
        }
    }

    fn refuse(&self, why: &'static str) -> Refusal {
        Refusal::NotAllowed { current: self.version, status: self.status(), allowed: self.allowed(), why }
    }

    /// Decides whether a well-formed step fits. `cases` is asked about the case that a duplicate is merged into.
    /// `told_of_a_child` says whether a correction of the report tells of sexual violence against a child.
    pub fn decide(&self, command: &v1::CaseCommand, cases: &Cases, told_of_a_child: bool) -> Result<(), Refusal> {
        if command.expected_version != self.version {
            return Err(Refusal::StaleVersion { current: self.version });
        }
        let Some(step) = &command.step else { return Err(Refusal::Invalid(Vec::new())) };
        if !self.allowed().contains(&step_name(step)) {
            return Err(self.refuse(self.why_not(step)));
        }
        match step {
            Step::RecordService(s)
                if s.service() == v1::Service::Mediasi
                    && (told_of_a_child || is_sexual_violence_against_a_child(&self.report)) =>
            {
                Err(self.refuse("mediation is refused for sexual violence against a child"))
            }
            Step::PlanFollowUp(p) => {
                let number = p.follow_up.as_ref().map_or(0, |f| f.number);
                if self.follow_ups.iter().any(|f| f.message.number == number) {
                    return Err(self.refuse("this follow-up number was planned already"));
                }
                Ok(())
            }
            Step::CompleteFollowUp(c) => match self.follow_ups.iter().find(|f| f.message.number == c.number) {
                None => Err(self.refuse("no follow-up of this number was planned")),
                Some(f) if f.completed.is_some() => Err(self.refuse("this follow-up was completed already")),
                Some(_) => Ok(()),
            },
            Step::Merge(m) => match cases.find_text(&m.into_case_id) {
                None => Err(self.refuse("the case to merge into does not exist")),
                Some(into) if into.is_merged() => {
                    Err(self.refuse("the case to merge into was itself merged: name the one that goes on"))
                }
                Some(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Folds a step that was decided.
    pub fn apply(&mut self, command: &v1::CaseCommand, version: u64, position: u64, recorded: Instant) {
        let at = command.occurred_at.as_ref().and_then(Instant::from_proto).unwrap_or(self.updated);
        self.version = version;
        self.updated = self.updated.max(at);
        let Some(step) = &command.step else { return };
        match step {
            Step::Assess(s) => {
                (self.risk, self.risk_position) = (s.risk, position);
                if self.status() == CaseStatus::Dilaporkan {
                    self.status = CaseStatus::Diasesmen.into();
                }
            }
            Step::RecordService(s) => {
                self.services.push((s.service, at));
                self.respond(at, position);
            }
            Step::PlanFollowUp(p) => {
                if let Some((message, due)) =
                    p.follow_up.as_ref().and_then(|f| Some((f.clone(), Day::parse(&f.due_on)?)))
                {
                    self.follow_ups.push(FollowUp { message, due, completed: None, position, known_since: recorded });
                }
            }
            Step::CompleteFollowUp(c) => {
                if let Some(f) = self.follow_ups.iter_mut().find(|f| f.message.number == c.number) {
                    f.completed = Some((at, position));
                }
            }
            Step::OfferReferral(o) => {
                self.referred_to.clone_from(&o.to_institution_id);
                self.referral = ReferralStatus::Ditawarkan.into();
            }
            Step::AcceptReferral(_) => self.referral = ReferralStatus::Diterima.into(),
            Step::RejectReferral(_) => self.referral = ReferralStatus::Ditolak.into(),
            Step::RevokeReferral(_) => self.referral = ReferralStatus::Dicabut.into(),
            Step::AdmitToShelter(_) => {
                self.shelter.push((true, at));
                self.respond(at, position);
            }
            Step::DischargeFromShelter(_) => self.shelter.push((false, at)),
            Step::RecordLegalStage(s) => self.legal_stage = s.stage,
            Step::RecordVerdict(s) => self.verdict = Some((s.guilty, s.prison_months)),
            Step::Close(s) => {
                self.outcome = s.outcome;
                self.status = CaseStatus::Ditutup.into();
                self.closings.push((true, at));
            }
            Step::Reopen(_) => {
                self.outcome = 0;
                let served = self.first_response.is_some();
                self.status = if served { CaseStatus::DalamLayanan } else { CaseStatus::Diasesmen }.into();
                self.closings.push((false, at));
            }
            Step::Merge(m) => {
                self.merged_into = SubmissionId::parse(&m.into_case_id).ok();
                self.status = CaseStatus::Digabung.into();
            }
        }
    }

    fn respond(&mut self, at: Instant, position: u64) {
        self.first_response = Some(self.first_response.map_or((at, position), |first| first.min((at, position))));
        self.status = CaseStatus::DalamLayanan.into();
    }

    /// As a message; the codes and the due time are the caller's to know.
    #[must_use]
    pub fn to_proto(&self, area_code: &str, institution_id: &str, response_due: Instant) -> v1::Case {
        let time = |t: Instant| -> Option<Timestamp> { Some(t.to_proto()) };
        v1::Case {
            case_id: self.id.to_string(),
            area_code: area_code.to_owned(),
            institution_id: institution_id.to_owned(),
            version: self.version,
            status: self.status,
            risk: self.risk,
            report: Some(self.report.clone()),
            reported_at: time(self.reported),
            first_response_at: self.first_response.and_then(|(at, _)| time(at)),
            response_due_at: time(response_due),
            services: self
                .services
                .iter()
                .map(|(service, at)| v1::GivenService { service: *service, given_at: time(*at) })
                .collect(),
            follow_ups: self
                .follow_ups
                .iter()
                .map(|f| v1::CaseFollowUp {
                    follow_up: Some(f.message.clone()),
                    completed_at: f.completed.and_then(|(at, _)| time(at)),
                })
                .collect(),
            referred_to_institution_id: self.referred_to.clone(),
            referral_status: self.referral,
            in_shelter: self.in_shelter(),
            legal_stage: self.legal_stage,
            verdict: self.verdict.map(|(guilty, prison_months)| v1::RecordVerdict { guilty, prison_months }),
            outcome: self.outcome,
            merged_into_case_id: self.merged_into.map(|id| id.to_string()).unwrap_or_default(),
            allowed_steps: self.allowed().into_iter().map(str::to_owned).collect(),
            updated_at: time(self.updated),
            // What is sealed, and to whom the case is assigned, is known beside it.
            sealing: None,
            assignees: Vec::new(),
            shaping: None,
        }
    }
}

/// Whether a report tells of sexual violence against a child, electronic-based violence included.
#[must_use]
pub fn is_sexual_violence_against_a_child(report: &v1::CaseReport) -> bool {
    let child = matches!(
        report.victim_age(),
        v1::AgeGroup::AgeGroup05 | v1::AgeGroup::AgeGroup612 | v1::AgeGroup::AgeGroup1317
    );
    child && (report.violence.contains(&v1::Violence::Seksual.into()) || !report.electronic.is_empty())
}

/// When the state was last entered, if the last of the changes before `time` entered it.
fn last_before(changes: &[(bool, Instant)], time: Instant) -> Option<Instant> {
    changes.iter().rev().find(|(_, at)| *at < time).and_then(|(entered, at)| entered.then_some(*at))
}

/// All cases, in the order in which they were reported.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cases {
    cases: Vec<Case>,
    index: Map<SubmissionId, u32>,
}

impl Cases {
    /// Adds a reported case and returns its index.
    pub fn add(&mut self, case: Case) -> u32 {
        let index = u32::try_from(self.cases.len()).expect("fewer than 2^32 cases");
        self.index.insert(case.id, index);
        self.cases.push(case);
        index
    }

    /// Takes the last added case out again.
    pub(crate) fn remove_last(&mut self) {
        if let Some(case) = self.cases.pop() {
            self.index.remove(&case.id);
        }
    }

    /// Index of a case.
    #[must_use]
    pub fn find(&self, id: SubmissionId) -> Option<u32> {
        self.index.get(&id).copied()
    }

    /// A case by the text of its id.
    #[must_use]
    pub fn find_text(&self, id: &str) -> Option<&Case> {
        self.find(SubmissionId::parse(id).ok()?).map(|index| self.get(index))
    }

    /// The case that one goes on in: itself, or the one at the end of its merges. That ends, as a case is merged only into one that was not.
    #[must_use]
    pub fn goes_on_in(&self, id: SubmissionId) -> SubmissionId {
        let mut last = id;
        while let Some(into) = self.find(last).and_then(|index| self.get(index).merged_into) {
            last = into;
        }
        last
    }

    /// A case by index.
    #[must_use]
    pub fn get(&self, index: u32) -> &Case {
        &self.cases[index as usize]
    }

    /// A case by index, to fold into.
    pub fn get_mut(&mut self, index: u32) -> &mut Case {
        &mut self.cases[index as usize]
    }

    /// All cases.
    #[must_use]
    pub fn all(&self) -> &[Case] {
        &self.cases
    }
}
