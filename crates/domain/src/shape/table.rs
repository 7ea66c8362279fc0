//! What each class of readers gets of each event: which kinds, how exact their place, and every field of every message in them.
//!
//! Deny by default: what is not named here is not sent. docs/access.md is generated from here, and a test holds the rows against the
//! vocabulary, so that a new field needs a decision before anything passes.

use satgas_proto::v1::EventKind;

use crate::policy::Grant;

/// Roles that get the same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Task forces of a kelurahan or in an institution, of their own only: what they reported themselves as it is, and of what case workers do that
    /// their case goes on. They are the child's neighbours and teachers: they need to know that help came, not which, nor what a court said.
    TaskForce,
    /// The agency's dashboards: what the task forces of the city do, and of cases that there are some.
    Dashboard,
}

/// The classes in the order of the table's columns.
pub const CLASSES: [Class; 2] = [Class::TaskForce, Class::Dashboard];

impl Class {
    /// The class of who was granted something; none gets things as they are stored.
    #[must_use]
    pub fn of(grant: Grant) -> Option<Self> {
        match grant {
            Grant::Own => Some(Self::TaskForce),
            // Whom nothing was granted gets nothing more than that.
            Grant::Shaped | Grant::Anybody | Grant::No => Some(Self::Dashboard),
            Grant::Cases | Grant::All => None,
        }
    }

    /// Roles of the class that have a stream, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskForce => "satgas, institution",
            Self::Dashboard => "dashboard",
        }
    }

    pub(super) fn column(self) -> usize {
        self as usize
    }
}

/// How exact the place of an event is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The kelurahan, and the institution.
    Exact,
    /// The kecamatan, and no institution.
    Kecamatan,
    /// The kota or kabupaten, and no institution.
    Kota,
}

/// What is sent of a kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Nothing, not even that there was one.
    Nothing,
    /// That there was one: kind, day and place.
    Fact(Place),
    /// What the rows of its fields say.
    Fields(Place),
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// As it is; a message by the rows of its own fields.
    Keep,
    /// Not sent.
    Withhold,
    /// A number: not sent when it is above 0 and below the threshold of small counts.
    Few,
    /// A moment: the first instant of its local day.
    Day,
    /// The code of an area: as exact as the kind's place.
    Place,
    /// Tells where: only where the kind's place is exact.
    IfExact,
}

use Place::{Exact, Kecamatan, Kota};
use Sending::{Fact, Fields, Nothing};
use Treatment::{Day, Few, IfExact, Keep, Place as Coarser, Withhold};

/// A kind of event, the name of its body's field, and what each class gets of it.
pub type KindRow = (EventKind, &'static str, [Sending; CLASSES.len()]);

/// Kinds of events, in the order of the enum.
///
/// A school is told from the kelurahan that it stands in, so an exposure signal goes to dashboards with the kecamatan. A city has a case
/// every other day and a kelurahan one in half a year, so of whatever can be of a case dashboards get the kota. Corrections, conflicts
/// and deadlines can be of a case as well, and a place that tells which of them are would tell where the case is.
pub const KINDS: &[KindRow] = &[
    (EventKind::LogOpened, "log_opened", [Fields(Exact), Fields(Exact)]),
    (EventKind::Area, "registered", [Fields(Exact), Fields(Exact)]),
    (EventKind::Institution, "registered", [Fields(Exact), Fields(Exact)]),
    (EventKind::TaskForce, "registered", [Fields(Exact), Fields(Exact)]),
    (EventKind::Member, "registered", [Fields(Exact), Nothing]),
    (EventKind::MonitoringReport, "submitted", [Fields(Exact), Fields(Exact)]),
    (EventKind::SchoolVisit, "submitted", [Fields(Exact), Fields(Exact)]),
    (EventKind::ExposureSignal, "submitted", [Fields(Exact), Fields(Kecamatan)]),
    (EventKind::CaseReport, "submitted", [Fields(Exact), Fact(Kota)]),
    (EventKind::Amendment, "submitted", [Fields(Exact), Fact(Kota)]),
    (EventKind::Retraction, "submitted", [Fields(Exact), Fact(Kota)]),
    (EventKind::Conflict, "conflicting", [Fields(Exact), Fact(Kota)]),
    (EventKind::CaseStep, "case_advanced", [Fields(Exact), Fact(Kota)]),
    (EventKind::RuleSet, "rule_set_recorded", [Fields(Exact), Fields(Exact)]),
    (EventKind::DeadlineMissed, "deadline_missed", [Fields(Exact), Fact(Kota)]),
    (EventKind::ConflictResolved, "conflict_resolved", [Fields(Exact), Fact(Kota)]),
    (EventKind::IdentitySealed, "identity_sealed", [Fields(Exact), Nothing]),
    (EventKind::IdentityRead, "identity_read", [Nothing, Nothing]),
    (EventKind::HoldPlaced, "hold_placed", [Nothing, Nothing]),
    (EventKind::HoldLifted, "hold_lifted", [Nothing, Nothing]),
    (EventKind::ErasureRequested, "erasure_requested", [Nothing, Nothing]),
    (EventKind::ErasureApproved, "erasure_approved", [Nothing, Nothing]),
    (EventKind::IdentityErased, "identity_erased", [Fields(Exact), Nothing]),
    // What waits for a supervisor is nobody's yet, and what was refused never is; what was admitted comes as the record that it is.
    (EventKind::Quarantined, "quarantined", [Nothing, Nothing]),
    (EventKind::QuarantineDecided, "quarantine_decided", [Nothing, Nothing]),
    (EventKind::CaseAssigned, "case_assigned", [Nothing, Nothing]),
    (EventKind::CaseUnassigned, "case_unassigned", [Nothing, Nothing]),
    (EventKind::ErasureDeclined, "erasure_declined", [Nothing, Nothing]),
    // Whoever is told that somebody in a place has reported looks for who it was. What becomes a case comes as the case report that it is.
    (EventKind::PublicReportReceived, "public_report_received", [Nothing, Nothing]),
    (EventKind::PublicReportTriaged, "public_report_triaged", [Nothing, Nothing]),
    // Anybody may read a release.
    (EventKind::Release, "release_published", [Fields(Exact), Fields(Exact)]),
    (EventKind::PublicReportMessage, "public_report_message", [Nothing, Nothing]),
];

/// A message, some of its fields, and what becomes of them for each class.
pub type FieldRow = (&'static str, &'static [&'static str], [Treatment; CLASSES.len()]);

/// Every field of every message in an event. Fields that are treated alike share a row.
pub const FIELDS: &[FieldRow] = &[
    ("Event", &["position", "kind", "shaping"], [Keep, Keep]),
    ("Event", &["recorded_at"], [Keep, Day]),
    ("Event", &["area_code"], [Keep, Coarser]),
    ("Event", &["institution_id"], [Keep, IfExact]),
    ("Event", &["log_opened", "registered", "submitted", "rule_set_recorded"], [Keep, Keep]),
    ("Event", &["conflicting", "case_advanced", "deadline_missed", "conflict_resolved"], [Keep, Withhold]),
    ("Event", &["identity_sealed", "identity_erased"], [Keep, Withhold]),
    ("Event", &["identity_read", "hold_placed", "hold_lifted"], [Withhold, Withhold]),
    ("Event", &["erasure_requested", "erasure_approved", "erasure_declined"], [Withhold, Withhold]),
    ("Event", &["quarantined", "quarantine_decided", "case_assigned", "case_unassigned"], [Withhold, Withhold]),
    ("Event", &["public_report_received", "public_report_triaged"], [Withhold, Withhold]),
    ("Event", &["public_report_message"], [Withhold, Withhold]),
    ("Event", &["release_published"], [Keep, Keep]),
    // It says nothing, so that it is not named where it is missing.
    ("Event", &["salt"], [Withhold, Withhold]),
    ("LogOpened", &["log_id", "sample_data", "time_zone"], [Keep, Keep]),
    // The registry, which is public but for its members.
    ("RegistryEntry", &["area", "institution", "task_force", "effective_on"], [Keep, Keep]),
    ("RegistryEntry", &["member"], [Keep, Withhold]),
    ("Area", &["code", "name", "valid_from", "valid_until", "succeeds_codes"], [Keep, Keep]),
    ("Institution", &["institution_id", "name", "kind", "area_code", "valid_from", "valid_until"], [Keep, Keep]),
    ("TaskForce", &["task_force_id", "area_code", "institution_id", "kind"], [Keep, Keep]),
    ("TaskForce", &["legal_basis", "formed_on", "dissolved_on"], [Keep, Keep]),
    ("Member", &["member_id", "task_force_id", "joined_on", "left_on", "trainings"], [Keep, Withhold]),
    ("Training", &["topic", "valid_from", "valid_until"], [Keep, Withhold]),
    // Records. An id made by a device holds the moment at which it was made, and its number tells one phone's records.
    ("Submission", &["submission_id", "device_id", "device_sequence"], [Keep, Withhold]),
    ("Submission", &["occurred_at"], [Keep, Day]),
    ("Submission", &["area_code", "institution_id"], [Keep, IfExact]),
    ("Submission", &["monitoring_report", "school_visit", "exposure_signal"], [Keep, Keep]),
    ("Submission", &["case_report", "amendment", "retraction"], [Keep, Withhold]),
    ("MonitoringReport", &["task_force_id", "month", "activities", "members_present"], [Keep, Keep]),
    // A school's team reports on its school: a sign of risk beside it is a sign about few children.
    ("MonitoringReport", &["obstacles", "risk_signals", "follow_ups_done"], [Keep, Withhold]),
    ("Activity", &["kind", "count"], [Keep, Keep]),
    ("Activity", &["participants"], [Keep, Few]),
    // The school is kept, so whatever would tell that somebody there needs help is not, and never only when there is something.
    ("SchoolVisit", &["school_id", "topics", "reach"], [Keep, Keep]),
    ("SchoolVisit", &["purpose", "risk_signals", "follow_ups", "follow_ups_done", "notes"], [Keep, Withhold]),
    ("Reach", &["pupils_female", "pupils_male", "teachers_female"], [Keep, Few]),
    ("Reach", &["teachers_male", "parents_female", "parents_male"], [Keep, Few]),
    ("FollowUp", &["number", "action", "due_on"], [Keep, Withhold]),
    ("FollowUpDone", &["visit_id", "number", "done_on"], [Keep, Withhold]),
    ("ExposureSignal", &["platform", "contents"], [Keep, Keep]),
    ("ExposureSignal", &["estimated_members"], [Keep, Few]),
    ("ExposureSignal", &["group_fingerprint", "school_ids", "evidence"], [Keep, Withhold]),
    ("Evidence", &["sha256", "media_type", "custody_place", "content"], [Keep, Withhold]),
    ("CaseReport", &["violence", "electronic", "extortion", "place"], [Keep, Withhold]),
    ("CaseReport", &["victim_age", "victim_sex", "victim_disability"], [Keep, Withhold]),
    ("CaseReport", &["offender", "school_id"], [Keep, Withhold]),
    ("Amendment", &["corrects_id", "reason", "occurred_at"], [Keep, Withhold]),
    ("Amendment", &["monitoring_report", "school_visit", "exposure_signal", "case_report"], [Keep, Withhold]),
    ("Retraction", &["retracts_id", "reason"], [Keep, Withhold]),
    ("ConflictingSubmission", &["submission", "cause", "stands_position"], [Keep, Withhold]),
    ("ConflictResolution", &["command_id", "conflict_position", "decision", "reason"], [Keep, Withhold]),
    ("DeadlineMissed", &["kind", "item_id", "detail", "due_at"], [Keep, Withhold]),
    ("DeadlineMissed", &["known_position", "rule_set"], [Keep, Withhold]),
    // Steps of a case: the task force that reported it learns that it goes on, not what is in a step, and of the shelter and the courts
    // not which.
    ("CaseAdvanced", &["command", "version"], [Keep, Withhold]),
    ("CaseCommand", &["command_id", "case_id", "expected_version", "occurred_at"], [Keep, Withhold]),
    ("CaseCommand", &["assess", "record_service", "plan_follow_up", "complete_follow_up"], [Keep, Withhold]),
    ("CaseCommand", &["offer_referral", "accept_referral", "reject_referral", "revoke_referral"], [Keep, Withhold]),
    ("CaseCommand", &["admit_to_shelter", "discharge_from_shelter"], [Withhold, Withhold]),
    ("CaseCommand", &["record_legal_stage", "record_verdict"], [Withhold, Withhold]),
    ("CaseCommand", &["close", "reopen", "merge"], [Keep, Withhold]),
    ("AssessCase", &["risk"], [Keep, Withhold]),
    ("RecordService", &["service"], [Withhold, Withhold]),
    ("PlanFollowUp", &["follow_up"], [Withhold, Withhold]),
    ("CompleteFollowUp", &["number"], [Withhold, Withhold]),
    ("OfferReferral", &["to_institution_id", "reason"], [Withhold, Withhold]),
    ("RejectReferral", &["reason"], [Withhold, Withhold]),
    ("RevokeReferral", &["reason"], [Withhold, Withhold]),
    ("RecordLegalStage", &["stage"], [Withhold, Withhold]),
    ("RecordVerdict", &["guilty", "prison_months"], [Withhold, Withhold]),
    ("CloseCase", &["outcome"], [Withhold, Withhold]),
    ("ReopenCase", &["reason"], [Withhold, Withhold]),
    ("MergeCase", &["into_case_id"], [Withhold, Withhold]),
    // Rules, which every role may list.
    ("RuleSetRecorded", &["rule_set", "reason"], [Keep, Keep]),
    ("RuleSet", &["name", "valid_from", "weights", "report_days"], [Keep, Keep]),
    ("RuleSet", &["response_high", "response_medium", "response_low_working_days"], [Keep, Keep]),
    ("RuleSet", &["working_weekdays", "holidays", "signal_window_days", "spread_schools_min"], [Keep, Keep]),
    ("RuleSet", &["repeated_signals_min", "silent_days", "bands"], [Keep, Keep]),
    ("IndicatorWeight", &["indicator", "weight"], [Keep, Keep]),
    ("Band", &["name", "score_min"], [Keep, Keep]),
    // Identities: that one is sealed or erased. Ciphertext is for a mirror of the log, which a supervisor makes; and a command's id is for
    // nobody else to send again.
    ("IdentitySealed", &["case_id", "version", "kind"], [Keep, Withhold]),
    ("IdentitySealed", &["command_id", "seal", "content_tag", "by"], [Withhold, Withhold]),
    ("Seal", &["algorithm", "key_id", "nonce", "ciphertext"], [Withhold, Withhold]),
    ("IdentityRead", &["case_id", "kind", "purpose", "by", "sealed_position"], [Withhold, Withhold]),
    ("HoldPlaced", &["command_id", "case_id", "reason", "until", "by"], [Withhold, Withhold]),
    ("HoldLifted", &["command_id", "case_id", "hold_id", "reason", "by"], [Withhold, Withhold]),
    ("ErasureRequested", &["command_id", "case_id", "reason", "by"], [Withhold, Withhold]),
    ("ErasureApproved", &["command_id", "case_id", "by"], [Withhold, Withhold]),
    ("ErasureDeclined", &["command_id", "case_id", "reason", "by"], [Withhold, Withhold]),
    ("IdentityErased", &["case_id", "seals"], [Keep, Withhold]),
    ("CaseAssigned", &["command_id", "case_id", "subject", "instead_of"], [Withhold, Withhold]),
    ("CaseAssigned", &["until", "reason", "by"], [Withhold, Withhold]),
    ("CaseUnassigned", &["command_id", "case_id", "subject", "reason", "by"], [Withhold, Withhold]),
    // Records that wait for a supervisor, and what is decided on them.
    ("Quarantined", &["submission", "right"], [Withhold, Withhold]),
    ("EndedRight", &["token_id", "began_at", "ended_at", "end", "by"], [Withhold, Withhold]),
    ("QuarantineDecided", &["decision", "by"], [Withhold, Withhold]),
    ("QuarantineDecision", &["command_id", "quarantined_position", "verdict", "reason"], [Withhold, Withhold]),
    // Public reports, which are for case workers alone.
    ("PublicReportReceived", &["report_id", "code_hash", "categories", "seal", "content_tag"], [Withhold, Withhold]),
    ("PublicReportTriaged", &["command_id", "report_id", "version", "verdict"], [Withhold, Withhold]),
    ("PublicReportTriaged", &["reason", "by", "content_tag"], [Withhold, Withhold]),
    ("PublicReportMessage", &["command_id", "report_id", "version"], [Withhold, Withhold]),
    ("PublicReportMessage", &["seal", "content_tag", "by"], [Withhold, Withhold]),
    // Releases, which anybody may read.
    ("ReleasePublished", &["release_id", "draft", "known_position", "columns", "areas", "share"], [Keep, Keep]),
    ("ReleaseDraft", &["period", "area_prefix", "threshold", "tables", "corrects_id", "note"], [Keep, Keep]),
    ("ReleaseColumn", &["table", "code"], [Keep, Keep]),
    ("ReleasedArea", &["code", "cases", "counts"], [Keep, Keep]),
    ("ReleaseShare", &["cells", "withheld", "withheld_to_protect"], [Keep, Keep]),
    ("Actor", &["id", "role", "subject"], [Withhold, Withhold]),
    ("Shaping", &["withheld", "few", "coarser"], [Keep, Keep]),
];
