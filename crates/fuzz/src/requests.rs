//! Every message that a client can send, and the event that is stored.

use std::fmt;

use prost::Message;
use satgas_domain::{
    policy, public,
    release::Draft,
    rules::RuleSet,
    sealed,
    time::Period,
    validate::{self, Violations},
    views::CrossTable,
};
use satgas_proto::{follow_up::Code, v1};
use serde::{Serialize, de::DeserializeOwned};

use crate::town;

/// Longer messages are refused before they are decoded, or are many of what is here.
const BYTES_MAX: usize = 64 * 1024;

/// A message by its name, and what is asked of its bytes.
type Asked = (&'static str, fn(&[u8]));

/// A message with nothing to be asked beside what is asked of all, or with `=> look`.
macro_rules! messages {
    ($($name:ident $(=> $look:expr)?,)*) => {
        &[$((stringify!($name), |bytes| {
            let message = decoded::<v1::$name>(bytes);
            $(if let Some(message) = message { let look: fn(&v1::$name) = $look; look(&message); return; })?
            let _ = message;
        })),*]
    };
}

/// The messages. What is new comes last: the corpus chooses by number.
pub const MESSAGES: &[Asked] = messages![
    SubmitRequest => |r| r.submission.iter().for_each(town::submission),
    SubmitBatchRequest => |r| r.submissions.iter().take(10).for_each(town::submission),
    RegisterRequest => |r| town::registry(&r.entries[..r.entries.len().min(50)]),
    AdvanceCaseRequest => |r| r.command.iter().for_each(town::case_command),
    OpenCaseRequest => |r| {
        r.submission.iter().for_each(town::submission);
        r.identities.iter().filter_map(|sealed| sealed.identity.as_ref()).for_each(identity);
    },
    RecordIdentityRequest => |r| r.identity.iter().for_each(identity),
    RecordRuleSetRequest => |r| {
        let recorded = v1::RuleSetRecorded { rule_set: r.rule_set.clone(), reason: r.reason.clone() };
        bounded(|v| validate::rule_set_recorded(v, &recorded));
        r.rule_set.iter().for_each(rule_set);
    },
    WhatIfRequest => |r| {
        r.draft.iter().for_each(rule_set);
        period(&r.period);
    },
    ResolveConflictRequest => |r| r.resolution.iter().for_each(|r| bounded(|v| validate::conflict_resolution(v, r))),
    DecideQuarantinedRequest => |r| r.decision.iter().for_each(|d| bounded(|v| validate::quarantine_decision(v, d))),
    CrossTableRequest => |r| {
        let year = Period::parse("2027").expect("a year is a period");
        if let Err(violations) = CrossTable::asked_for(r, &year) { town::refused(&violations) }
    },
    IssueTokenRequest => |r| r.assignment.iter().for_each(assignment),
    CreateEnrolmentRequest => |r| r.assignment.iter().for_each(assignment),
    GetEvaluationRequest => |r| period(&r.period),
    ListEvaluationsRequest => |r| period(&r.period),
    Event => |event| {
        if let Some(body) = &event.body {
            let violations = sealed::well_formed(body);
            if !violations.is_empty() { town::refused(&violations) }
        }
        town::stored(event);
    },
    ImportCsvRequest, ReadRequest, SubscribeRequest, ListAreasRequest, ListInstitutionsRequest, ListTaskForcesRequest,
    ListMembersRequest, ListConflictsRequest, ListHeldRequest, ListQuarantinedRequest, ListWarningsRequest,
    GetCaseRequest, ListCasesRequest, AssignCaseRequest, UnassignCaseRequest, UnsealIdentityRequest,
    RequestErasureRequest, ApproveErasureRequest, DeclineErasureRequest, PlaceHoldRequest, LiftHoldRequest,
    ListTokensRequest, RevokeTokenRequest, EndOwnTokenRequest, EnrolRequest, WhoAmIRequest, ListRuleSetsRequest,
    ListAccessRequest, ExplainIndicatorRequest, ListTrendsRequest, CompareEvaluationsRequest,
    WatchEvaluationsRequest, CopyLogRequest, ConfirmBackupRequest,
    SendReportRequest => |r| {
        let received = v1::PublicReportReceived {
            report_id: r.report_id.clone(),
            code_hash: r.code_hash.clone(),
            categories: r.categories.clone(),
            ..Default::default()
        };
        let violations = public::well_formed(&v1::event::Body::PublicReportReceived(received));
        if !violations.is_empty() { town::refused(&violations) }
        r.content.iter().for_each(|content| bounded(|v| public::report_text(v, content)));
    },
    FollowUpRequest => |r| {
        r.message.iter().for_each(|message| bounded(|v| public::message_text(v, message)));
        if let Ok(code) = r.code.parse::<Code>() {
            assert_eq!(code.to_string().parse(), Ok(code), "a code is read as it was printed");
        }
    },
    ListPublicReportsRequest,
    ReadPublicReportRequest,
    TriageReportRequest => |r| {
        if let Some(v1::triage_report_request::Decision::OpenCase(case)) = &r.decision { town::submission(case) }
    },
    AnswerReportRequest => |r| r.answer.iter().for_each(|answer| bounded(|v| public::message_text(v, answer))),
    PreviewReleaseRequest => |r| r.draft.iter().for_each(draft),
    PublishReleaseRequest => |r| r.draft.iter().for_each(draft),
    ListReleasesRequest => |r| period(&r.period),
    GetReleaseRequest,
    GetCheckpointRequest,
    GetInclusionProofRequest,
    GetConsistencyProofRequest,
];

/// The first byte chooses the message.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let (_, ask) = MESSAGES[usize::from(choice) % MESSAGES.len()];
    if bytes.len() <= BYTES_MAX {
        ask(bytes);
    }
}

/// The message, if it is one: the same after it was encoded, and after it was written as JSON where that is possible.
fn decoded<M>(bytes: &[u8]) -> Option<M>
where
    M: Message + Default + Serialize + DeserializeOwned + fmt::Debug,
{
    let message = M::decode(bytes).ok()?;
    let encoded = message.encode_to_vec();
    assert_eq!(encoded.len(), message.encoded_len());
    let again = M::decode(&*encoded).expect("what was encoded here is decoded");
    // As bytes: a number that is none is not equal to itself.
    assert!(again.encode_to_vec() == encoded, "what is decoded again is the same");
    // A code that is in no list, or a time of no calendar, has no JSON.
    if let Ok(json) = serde_json::to_string(&message)
        && let Ok(again) = serde_json::from_str::<M>(&json)
    {
        assert!(again.encode_to_vec() == encoded, "what is read from JSON is what was written");
    }
    // What stands in a log or a panic.
    fmt::Write::write_fmt(&mut Nowhere, format_args!("{message:?}")).expect("nothing fails there");
    Some(message)
}

/// Takes any text.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

fn bounded(look: impl FnOnce(&mut Violations)) {
    let mut v = Violations::default();
    look(&mut v);
    let violations = v.into_vec();
    if !violations.is_empty() {
        town::refused(&violations);
    }
}

fn identity(identity: &v1::PersonIdentity) {
    bounded(|v| sealed::identity(v, identity));
    assert_eq!(format!("{identity:?}"), "PersonIdentity(not shown)");
}

/// Rules are refused, or give every score a meaning.
fn draft(message: &v1::ReleaseDraft) {
    match Draft::parse(message) {
        Ok(draft) => {
            let again = Draft::parse(draft.message()).expect("a draft with its defaults is one");
            assert_eq!(again.message(), draft.message(), "defaults are filled in once");
        }
        Err(violations) => town::refused(&violations),
    }
}

fn rule_set(message: &v1::RuleSet) {
    match RuleSet::parse(message, "draft") {
        Err(violations) => town::refused(&violations),
        Ok(rules) => {
            for fractions in [[(0, 1); 6], [(1, 1); 6], [(1, 3); 6], [(0, 0); 6]] {
                let score = rules.score(&fractions);
                assert!(score.is_none_or(|score| (0.0..=100.0).contains(&score)), "{score:?}");
                assert_eq!(rules.band(score).is_empty(), score.is_none() || message.bands.is_empty());
            }
        }
    }
}

fn assignment(assignment: &v1::Assignment) {
    if let Ok(caller) = policy::Caller::of(assignment) {
        assert_eq!(caller.role, assignment.role(), "nobody gets another role than was written");
        let everywhere = matches!(caller.reach, policy::Reach::Everywhere);
        let own = matches!(caller.role, v1::Role::Satgas | v1::Role::Institution);
        assert!(everywhere != own, "a role of one place has that place");
    }
}

/// A period is written as it was read.
fn period(code: &str) {
    if let Some(period) = Period::parse(code) {
        assert_eq!(period.code(), code);
        assert!(period.each_month().count() <= 12);
    }
}
