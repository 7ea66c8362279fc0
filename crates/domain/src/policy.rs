//! Who may do what: one table over (RPC, role), and the decision that reads it.
//!
//! Invariants:
//! - What the table does not grant is refused. Who calls without a token is [`Role::Public`].
//! - A scope matches whole segments of a code: "53.71.0" is not within anything that "53.71.03" is.
//! - An RPC without a row is refused by the server, and fails the test that holds the table against the vocabulary.
//!
//! The roles and what they read and write are those of the agency's own division of work; docs/access.md is generated from here.

use satgas_proto::v1::{self, EventKind, Role, WarningKind};

use crate::id::{Level, is_within};

/// What a role may do with an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Nothing.
    No,
    /// What belongs to the own area or institution.
    Own,
    /// Everything in the city in the shape of the role, in which no single case or person is told of; warnings that are not of a case.
    Shaped,
    /// Only what is of single cases: events of [`CASES`], warnings that are of a case.
    Cases,
    /// Everything.
    All,
    /// Everything, and without a token.
    Anybody,
}

use Grant::{All, Anybody, Cases, No, Own, Shaped};

/// The roles in the order of the table's columns.
pub const ROLES: [Role; 8] = [
    Role::Satgas,
    Role::Institution,
    Role::CaseWorker,
    Role::Dashboard,
    Role::Evaluator,
    Role::Supervisor,
    Role::Operator,
    Role::Public,
];

macro_rules! table {
    ($($rpc:ident $path:literal [$($grant:ident)*];)*) => {
        /// An RPC of the vocabulary.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is documented in proto/satgas/v1")]
        pub enum Rpc { $($rpc,)* }

        impl Rpc {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$rpc,)*];

            /// Service and method without the package, such as "CaseService/GetCase".
            #[must_use]
            pub fn path(self) -> &'static str {
                match self { $(Self::$rpc => $path,)* }
            }

            /// The RPC of such a path.
            #[must_use]
            pub fn from_path(path: &str) -> Option<Self> {
                match path { $($path => Some(Self::$rpc),)* _ => None }
            }

            fn row(self) -> [Grant; ROLES.len()] {
                match self { $(Self::$rpc => [$($grant),*],)* }
            }
        }
    };
}

table! {
    //                                                       satgas inst case_w dashb  eval superv operator public
    Submit             "SubmissionService/Submit"             [Own  Own  No     No       No   No   No   No];
    SubmitBatch        "SubmissionService/SubmitBatch"        [Own  Own  No     No       No   No   No   No];
    ListConflicts      "SubmissionService/ListConflicts"      [Own  Own  No     No       No   All  No   No];
    ResolveConflict    "SubmissionService/ResolveConflict"    [No   No   No     No       No   All  No   No];
    ListQuarantined    "SubmissionService/ListQuarantined"    [No   No   No     No       No   All  No   No];
    DecideQuarantined  "SubmissionService/DecideQuarantined"  [No   No   No     No       No   All  No   No];
    ListHeld           "SubmissionService/ListHeld"           [Own  Own  No     No       No   All  No   No];
    OpenCase           "CaseService/OpenCase"                 [Own  Own  All    No       No   No   No   No];
    AdvanceCase        "CaseService/AdvanceCase"              [No   No   All    No       No   No   No   No];
    GetCase            "CaseService/GetCase"                  [Own  Own  All    No       No   All  No   No];
    ListCases          "CaseService/ListCases"                [Own  Own  All    No       No   All  No   No];
    RecordIdentity     "CaseService/RecordIdentity"           [Own  Own  All    No       No   No   No   No];
    // Which cases, and whose assignments, is decided on the log. A supervisor assigns, and sees everything but who people are.
    AssignCase         "CaseService/AssignCase"               [No   No   All    No       No   All  No   No];
    UnassignCase       "CaseService/UnassignCase"             [No   No   All    No       No   All  No   No];
    UnsealIdentity     "CaseService/UnsealIdentity"           [No   No   All    No       No   No   No   No];
    RequestErasure     "ErasureService/RequestErasure"        [No   No   No     No       No   All  No   No];
    ApproveErasure     "ErasureService/ApproveErasure"        [No   No   No     No       No   All  No   No];
    DeclineErasure     "ErasureService/DeclineErasure"        [No   No   No     No       No   All  No   No];
    PlaceHold          "ErasureService/PlaceHold"             [No   No   No     No       No   All  No   No];
    LiftHold           "ErasureService/LiftHold"              [No   No   No     No       No   All  No   No];
    // Anybody reports, and whoever has the code follows up. A supervisor sees that there is a report and what became of it, never what it says.
    SendReport         "PublicReportService/SendReport"       [Anybody Anybody Anybody Anybody Anybody Anybody Anybody Anybody];
    FollowUp           "PublicReportService/FollowUp"         [Anybody Anybody Anybody Anybody Anybody Anybody Anybody Anybody];
    ListPublicReports  "PublicReportService/ListPublicReports" [No  No   All    No       No   All  No   No];
    ReadPublicReport   "PublicReportService/ReadPublicReport" [No   No   All    No       No   No   No   No];
    TriageReport       "PublicReportService/TriageReport"     [No   No   All    No       No   No   No   No];
    AnswerReport       "PublicReportService/AnswerReport"     [No   No   All    No       No   No   No   No];
    Read               "EventService/Read"                    [Own  Own  Cases  Shaped   No   All  No   No];
    Subscribe          "EventService/Subscribe"               [Own  Own  Cases  Shaped   No   All  No   No];
    GetEvaluation      "EvaluationService/GetEvaluation"      [Own  Own  No     Shaped   All  All  No   No];
    ListEvaluations    "EvaluationService/ListEvaluations"    [Own  No   No     Shaped   All  All  No   No];
    // Explanations and comparisons name the cases behind a figure by their ids; dashboards get figures only.
    ExplainIndicator   "EvaluationService/ExplainIndicator"   [Own  Own  No     No       All  All  No   No];
    ListTrends         "EvaluationService/ListTrends"         [Own  No   No     Shaped   All  All  No   No];
    CompareEvaluations "EvaluationService/CompareEvaluations" [Own  No   No     No       All  All  No   No];
    WatchEvaluations   "EvaluationService/WatchEvaluations"   [Own  No   No     Shaped   All  All  No   No];
    Register           "RegistryService/Register"             [No   No   No     No       No   All  No   No];
    ImportCsv          "RegistryService/ImportCsv"            [No   No   No     No       No   All  No   No];
    // The division of the country and its schools are public facts, and a report may name a school elsewhere.
    ListAreas          "RegistryService/ListAreas"            [All  All  All    All      All  All  No   No];
    ListInstitutions   "RegistryService/ListInstitutions"     [All  All  All    All      All  All  No   No];
    ListTaskForces     "RegistryService/ListTaskForces"       [Own  Own  No     All      All  All  No   No];
    ListMembers        "RegistryService/ListMembers"          [Own  Own  No     No       No   All  No   No];
    RecordRuleSet      "RuleService/RecordRuleSet"            [No   No   No     No       All  No   No   No];
    ListRuleSets       "RuleService/ListRuleSets"             [All  All  All    All      All  All  No   No];
    WhatIf             "RuleService/WhatIf"                   [No   No   No     No       All  All  No   No];
    CrossTable         "StatisticsService/CrossTable"         [No   No   No     No       All  All  No   No];
    PreviewRelease     "ReleaseService/PreviewRelease"        [No   No   No     No       No   All  No   No];
    PublishRelease     "ReleaseService/PublishRelease"        [No   No   No     No       No   All  No   No];
    // What was published is for anybody.
    ListReleases       "ReleaseService/ListReleases"          [Anybody Anybody Anybody Anybody Anybody Anybody Anybody Anybody];
    GetRelease         "ReleaseService/GetRelease"            [Anybody Anybody Anybody Anybody Anybody Anybody Anybody Anybody];
    ListWarnings       "WarningService/ListWarnings"          [Own  Own  Cases  Shaped   No   All  No   No];
    IssueToken         "IdentityService/IssueToken"           [No   No   No     No       No   No   All  No];
    ListTokens         "IdentityService/ListTokens"           [No   No   No     No       No   All  All  No];
    RevokeToken        "IdentityService/RevokeToken"          [No   No   No     No       No   No   All  No];
    EndOwnToken        "IdentityService/EndOwnToken"          [All  All  All    All      All  All  All  No];
    CreateEnrolment    "IdentityService/CreateEnrolment"      [No   No   No     No       No   No   All  No];
    Enrol              "IdentityService/Enrol"                [Anybody Anybody Anybody Anybody Anybody Anybody Anybody Anybody];
    WhoAmI             "IdentityService/WhoAmI"               [All  All  All    All      All  All  All  No];
    // Case ids alone, for the notice of a breach; the operator is who is called at night.
    ListAccess         "AuditService/ListAccess"              [No   No   No     No       No   All  All  No];
    // The logs as they are stored, identities sealed: whoever runs the server has them on its disk. Recorded as having seen every case.
    CopyLog            "BackupService/CopyLog"                [No   No   No     No       No   No   All  No];
    // Whoever takes copies tells that they are kept.
    ConfirmBackup      "BackupService/ConfirmBackup"          [No   No   No     No       No   No   All  No];
    // Hashes and a number of records: whoever keeps heads outside needs no token that tells more. A leaf's way is for those who report figures.
    GetCheckpoint      "ProofService/GetCheckpoint"           [No   No   No     All      All  All  All  No];
    GetConsistencyProof "ProofService/GetConsistencyProof"    [No   No   No     All      All  All  All  No];
    GetInclusionProof  "ProofService/GetInclusionProof"       [No   No   No     No       All  All  No   No];
}

/// Kinds of events that are of a single case.
pub const CASES: &[EventKind] = &[
    EventKind::CaseReport,
    EventKind::CaseStep,
    EventKind::IdentitySealed,
    EventKind::HoldPlaced,
    EventKind::HoldLifted,
    EventKind::ErasureRequested,
    EventKind::ErasureApproved,
    EventKind::IdentityErased,
    EventKind::CaseAssigned,
    EventKind::CaseUnassigned,
    EventKind::ErasureDeclined,
    EventKind::PublicReportReceived,
    EventKind::PublicReportTriaged,
    EventKind::PublicReportMessage,
];
/// Kinds of events that can tell something of a single case; reading them is recorded.
pub const TELLING_OF_CASES: &[EventKind] = &[
    EventKind::CaseReport,
    EventKind::CaseStep,
    EventKind::Amendment,
    EventKind::Retraction,
    EventKind::Conflict,
    EventKind::ConflictResolved,
    EventKind::DeadlineMissed,
    EventKind::IdentitySealed,
    EventKind::IdentityRead,
    EventKind::HoldPlaced,
    EventKind::HoldLifted,
    EventKind::ErasureRequested,
    EventKind::ErasureApproved,
    EventKind::IdentityErased,
    EventKind::CaseAssigned,
    EventKind::CaseUnassigned,
    EventKind::ErasureDeclined,
    EventKind::Quarantined,
    EventKind::QuarantineDecided,
    EventKind::PublicReportReceived,
    EventKind::PublicReportTriaged,
    EventKind::PublicReportMessage,
];

/// RPCs that a token may still make after it has ended, where its role may submit: what it hands in is kept apart for a supervisor.
const AFTER_THE_END: [Rpc; 3] = [Rpc::Submit, Rpc::SubmitBatch, Rpc::WhoAmI];

/// Whether a token of a role may make an RPC after it has ended.
#[must_use]
pub fn outlives_its_token(rpc: Rpc, role: Role) -> bool {
    AFTER_THE_END.contains(&rpc) && grant(Rpc::Submit, role) != No
}

/// What a role may do with an RPC.
#[must_use]
pub fn grant(rpc: Rpc, role: Role) -> Grant {
    let column = ROLES.iter().position(|of_column| *of_column == role);
    column.map_or(No, |column| rpc.row()[column])
}

/// Stands for the code of an area in the assignment of an office that enters the records of all areas, such as for an import.
pub const ALL_AREAS: &str = "*";

/// What belongs to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing by area or institution: what the role may do, it may do everywhere.
    Everywhere,
    /// What lies within an area, by whole segments of its code; within any area when it is empty.
    Area(String),
    /// What an institution reported.
    Institution(String),
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The role; `Public` without a token.
    pub role: Role,
    /// What belongs to it, where a grant is [`Grant::Own`].
    pub reach: Reach,
}

impl Caller {
    /// Who calls without a token.
    pub const ANYBODY: Self = Self { role: Role::Public, reach: Reach::Everywhere };

    /// Who may do what an assignment says. The error names the field and says what is taken.
    pub fn of(assignment: &v1::Assignment) -> Result<Self, (&'static str, &'static str)> {
        use v1::assignment::Own as Given;
        let reach = match (assignment.role(), &assignment.own) {
            (Role::Unspecified | Role::Public, _) => return Err(("role", "is not one that a token is issued for")),
            (Role::Satgas, Some(Given::AreaCode(code))) if Level::of(code).is_some() => Reach::Area(code.clone()),
            (Role::Satgas, Some(Given::AreaCode(code))) if code == ALL_AREAS => Reach::Area(String::new()),
            (Role::Satgas, _) => return Err(("area_code", "is not the code of an area, which satgas needs")),
            (Role::Institution, Some(Given::InstitutionId(id))) if crate::id::is_token(id, 32) => {
                Reach::Institution(id.clone())
            }
            (Role::Institution, _) => return Err(("institution_id", "is not the id that institution needs")),
            (_, None) => Reach::Everywhere,
            (_, Some(_)) => return Err(("own", "is not for this role: only satgas and institution have their own")),
        };
        Ok(Self { role: assignment.role(), reach })
    }
}

/// What a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// Nothing, or nothing that was read yet: only the role counts.
    Unnamed,
    /// Everything within an area prefix; all areas when it is empty.
    Within(&'a str),
    /// Something of an area and perhaps of an institution that stands in it.
    Of {
        /// Code of the area.
        area: &'a str,
        /// The institution, or empty.
        institution: &'a str,
    },
    /// A record in the name of an area's task force, or of an institution that stands in an area.
    ReportedBy {
        /// Code of the area; empty when the institution is not known.
        area: &'a str,
        /// The institution, or empty.
        institution: &'a str,
    },
}

/// What was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit<'a> {
    /// The answer must be limited to this.
    pub reach: &'a Reach,
    /// The prefix to ask with, for [`Resource::Within`].
    pub prefix: &'a str,
    /// What kind of things the answer may tell.
    pub grant: Grant,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The role may not do it.
    Role,
    /// The role may do it, but not there.
    NotOwn,
}

/// Decides whether a caller may do something.
///
/// A prefix that names everything is narrowed to what is the caller's own: whoever asks for all areas means all that it may see. A prefix
/// that reaches beyond is refused: an answer about a part would look like one about the whole.
pub fn decide<'a>(caller: &'a Caller, rpc: Rpc, resource: Resource<'a>) -> Result<Permit<'a>, Refusal> {
    let grant = grant(rpc, caller.role);
    let reach = match grant {
        No => return Err(Refusal::Role),
        Own => &caller.reach,
        Shaped | Cases | All | Anybody => &Reach::Everywhere,
    };
    let asked = if let Resource::Within(prefix) = resource { prefix } else { "" };
    let prefix = match (reach, resource) {
        // A role that has its own never reaches everywhere, even if its token was made so.
        (Reach::Everywhere, _) if grant == Own => return Err(Refusal::NotOwn),
        (Reach::Area(own), Resource::Within("")) => own,
        (Reach::Area(own), Resource::Within(prefix)) if !is_within(prefix, own) => return Err(Refusal::NotOwn),
        (_, Resource::Of { area, institution }) if !reaches(reach, area, institution) => return Err(Refusal::NotOwn),
        (_, Resource::ReportedBy { area, institution }) if !speaks_for(reach, area, institution) => {
            return Err(Refusal::NotOwn);
        }
        _ => asked,
    };
    Ok(Permit { reach, prefix, grant })
}

/// Whether something of an area and perhaps an institution belongs to a reach.
#[must_use]
pub fn reaches(reach: &Reach, area: &str, institution: &str) -> bool {
    match reach {
        Reach::Everywhere => true,
        Reach::Area(own) => !area.is_empty() && is_within(area, own),
        Reach::Institution(own) => institution == own,
    }
}

/// Whether a record may be made in a reporter's name. A task force speaks for itself; an office with a kecamatan or kota enters the
/// records of all task forces in it. A reporter that nobody registered is for the decision on the record to refuse, with a better reason.
fn speaks_for(reach: &Reach, area: &str, institution: &str) -> bool {
    match reach {
        Reach::Everywhere => true,
        Reach::Institution(own) => institution == own,
        Reach::Area(own) if institution.is_empty() => is_within(area, own),
        Reach::Area(own) => Level::of(own) != Some(Level::Kelurahan) && (area.is_empty() || is_within(area, own)),
    }
}

impl Permit<'_> {
    /// Kinds of events to ask for when these were asked for: none means all, and a filter that lets nothing through is never empty.
    #[must_use]
    pub fn kinds(&self, asked: &[i32]) -> Vec<i32> {
        let allowed: &[EventKind] = match self.grant {
            Cases => CASES,
            No => &[],
            // What a shape does not send matches nothing.
            Own | Shaped | All | Anybody => return asked.to_vec(),
        };
        let allowed = allowed.iter().map(|kind| i32::from(*kind));
        let kinds: Vec<i32> = allowed.filter(|kind| asked.is_empty() || asked.contains(kind)).collect();
        if kinds.is_empty() { vec![EventKind::Unspecified.into()] } else { kinds }
    }

    /// Whether a kind of warning may be told.
    #[must_use]
    pub fn tells_of(&self, warning: WarningKind) -> bool {
        let of_a_case = matches!(warning, WarningKind::ResponseOverdue | WarningKind::FollowUpOverdue);
        match self.grant {
            No => false,
            Shaped => !of_a_case,
            Cases => of_a_case,
            Own | All | Anybody => true,
        }
    }
}
