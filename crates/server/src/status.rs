//! Errors become gRPC statuses here and nowhere else.
//!
//! A status says whether to mend, to retry or to give up: `INVALID_ARGUMENT` with each field, `ABORTED` and `FAILED_PRECONDITION` with
//! the present state, `RESOURCE_EXHAUSTED` and `UNAVAILABLE` with the time to wait. What is inside the server is logged, not sent.

use std::{collections::HashMap, time::Duration};

use satgas_domain::{case::Refusal, sealed};
use satgas_engine::{CaseError, QueryError, ReadError, ResolveError, SealError, WriteError, vault::VaultError};
use satgas_proto::v1::Violation;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::access::AccessError;

const DOMAIN: &str = "satgas.v1";
/// Why a call may be refused or fail, as callers are told: all that stands in this file.
pub(crate) const REASONS: [&str; 30] = [
    "ACCESS_LOG_BUSY",
    "ACCESS_LOG_FAILED",
    "ANOTHER_HISTORY",
    "BAD_CODE",
    "BAD_TOKEN",
    "COPY_STOPPED",
    "DISK_FULL",
    "ENDED_BY_ISSUER",
    "ERASED",
    "HELD",
    "ID_TAKEN",
    "JOURNAL_POISONED",
    "LOG_UNREADABLE",
    "NEEDS_TOKEN",
    "NOT_ALLOWED",
    "NOT_ASSIGNED",
    "NOT_YOURS",
    "NOT_YOUR_ROLE",
    "QUARANTINE_FULL",
    "QUEUE_FULL",
    "SAME_PERSON",
    "STALE_VERSION",
    "STALLED",
    "STEP_NOT_ALLOWED",
    "STOPPING",
    "TOKEN_ENDED",
    "TOO_MANY_REFUSALS",
    "TOO_MANY_STREAMS",
    "TOO_MUCH",
    "VAULT_UNUSABLE",
];
/// Stands for every other: what is not well-formed, is not there, or lies beyond the log.
pub(crate) const OTHER: &str = "OTHER";
/// Bytes of violations in one answer: they travel in headers, of which clients take 8 to 16 KiB.
const VIOLATIONS_BYTES_MAX: usize = 3 * 1024;
/// How long a client waits before it tries again when the queue was full.
const RETRY: Duration = Duration::from_millis(250);
/// How long a client waits before it tries again when the disk is full or the server stops.
const RETRY_LATER: Duration = Duration::from_secs(30);
/// How long a source waits that had too many calls refused.
const RETRY_REFUSED: Duration = Duration::from_secs(60);

/// Every refused field at once, as far as the headers of an answer hold them.
pub(crate) fn invalid(mut violations: Vec<Violation>) -> Status {
    let mut bytes = 0;
    let fits = |v: &&Violation| {
        bytes += v.field.len() + v.reason.len() + 8;
        bytes <= VIOLATIONS_BYTES_MAX
    };
    let fitting = violations.iter().take_while(fits).count();
    if fitting < violations.len() {
        let reason = format!("{} more fields are refused: mend these first", violations.len() - fitting);
        violations.truncate(fitting);
        violations.push(Violation { field: String::new(), reason });
    }
    let mut message = "the request is refused:".to_owned();
    for violation in violations.iter().take(3) {
        message.push_str(&format!(" {} {};", violation.field, violation.reason));
    }
    if violations.len() > 3 {
        message.push_str(&format!(" and {} more;", violations.len() - 3));
    }
    message.pop();
    let violations = violations.into_iter().map(|v| FieldViolation::new(v.field, v.reason));
    Status::with_error_details(
        Code::InvalidArgument,
        message,
        ErrorDetails::with_bad_request(violations.collect::<Vec<_>>()),
    )
}

/// One refused field.
pub(crate) fn invalid_field(field: &str, reason: &str) -> Status {
    invalid(vec![Violation { field: field.to_owned(), reason: reason.to_owned() }])
}

fn with_reason(
    code: Code,
    message: String,
    reason: &str,
    metadata: impl IntoIterator<Item = (&'static str, String)>,
) -> Status {
    let metadata: HashMap<String, String> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, metadata))
}

fn retry(code: Code, message: String, reason: &str, after: Duration) -> Status {
    let mut details = ErrorDetails::with_retry_info(Some(after));
    details.set_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}

/// A request that the gRPC library could not read is the sender's to mend; the library calls it internal, or out of range.
pub(crate) fn unreadable(status: Status) -> Status {
    let message = status.message();
    let broken = status.code() == Code::Internal && message.contains("failed to decode Protobuf message");
    let too_large = status.code() == Code::OutOfRange && message.contains("decoded message length too large");
    if broken || too_large {
        return Status::invalid_argument(format!("the request cannot be read, send it in another form: {message}"));
    }
    status
}

/// No area of the registry lies within a prefix that was asked for.
pub(crate) fn no_area_within() -> Status {
    invalid_field("area_prefix", "is such that no registered area's code begins with these segments")
}

/// The thing asked for is not there.
pub(crate) fn not_found(what: &str) -> Status {
    Status::not_found(format!("there is no such {what}"))
}

/// Too many streams are open.
pub(crate) fn too_many_streams() -> Status {
    let message = "too many streams are open: try again later".to_owned();
    retry(Code::ResourceExhausted, message, "TOO_MANY_STREAMS", RETRY_LATER)
}

/// A subscriber did not keep up.
pub(crate) fn stalled(resume_position: u64) -> Status {
    let message = format!("the stream was not read for too long: resume after position {resume_position}");
    with_reason(Code::ResourceExhausted, message, "STALLED", [("resume_position", resume_position.to_string())])
}

/// A copy of a log does not end where the log has a commit's end with that hash.
pub(crate) fn another_history(log: &str, after: u64, head: u64) -> Status {
    let message = format!(
        "the copy that ends at {after} is not one of this server's {log}, which reaches to {head}: the server was restored to an earlier \
         point, or it is another one; begin another copy, in a new folder"
    );
    with_reason(Code::FailedPrecondition, message, "ANOTHER_HISTORY", [("head_position", head.to_string())])
}

/// Whoever takes a copy does not keep up, or the server stops.
pub(crate) fn copy_stopped() -> Status {
    let message = "the copy was not taken for too long, or the server stops: take it again".to_owned();
    retry(Code::Unavailable, message, "COPY_STOPPED", RETRY)
}

/// The server stops while a batch is being sent.
pub(crate) fn stopping() -> Status {
    let message = "the server is stopping: send what has no receipt again when it is back".to_owned();
    retry(Code::Unavailable, message, "STOPPING", RETRY)
}

/// The end of a request did not come.
pub(crate) fn too_slow() -> Status {
    Status::deadline_exceeded("the request did not come whole in time: send it again")
}

/// A call that needs a token came without one.
pub(crate) fn needs_token() -> Status {
    let message = "this call needs a token: send it as `authorization: Bearer ...`".to_owned();
    with_reason(Code::Unauthenticated, message, "NEEDS_TOKEN", [])
}

/// A token that cannot be used; why is nobody's business who has no right one.
pub(crate) fn bad_token() -> Status {
    let message = "the token cannot be used: it is none of this server's, has expired or was revoked".to_owned();
    with_reason(Code::Unauthenticated, message, "BAD_TOKEN", [])
}

/// A stream outlived its token.
pub(crate) fn token_ended() -> Status {
    let message = "the token has expired or was revoked meanwhile: go on with a new one".to_owned();
    with_reason(Code::Unauthenticated, message, "TOKEN_ENDED", [])
}

/// A holder would end what another issuer's account is known by here.
pub(crate) fn ended_by_issuer() -> Status {
    let message =
        "this token is of another issuer: sign out there; an operator can shut the account out of this server"
            .to_owned();
    with_reason(Code::FailedPrecondition, message, "ENDED_BY_ISSUER", [])
}

/// A code that cannot be exchanged.
pub(crate) fn bad_code() -> Status {
    let message = "the code cannot be exchanged: it is unknown, was used or is too old; ask for a new one".to_owned();
    with_reason(Code::Unauthenticated, message, "BAD_CODE", [])
}

/// The role may not do this at all.
pub(crate) fn not_your_role() -> Status {
    let message = "the token's role may not make this call; docs/access.md says which may".to_owned();
    with_reason(Code::PermissionDenied, message, "NOT_YOUR_ROLE", [])
}

/// The role may do this, but not there. The same whether there is such a place or not.
pub(crate) fn not_yours() -> Status {
    let message = "the token is for another area or institution than the one that is named".to_owned();
    with_reason(Code::PermissionDenied, message, "NOT_YOURS", [])
}

/// Too many calls of one source were refused.
pub(crate) fn too_many_refusals() -> Status {
    let message = "too many calls from this address were refused: try again in a minute".to_owned();
    retry(Code::ResourceExhausted, message, "TOO_MANY_REFUSALS", RETRY_REFUSED)
}

/// A holder did as much within the hour as it may.
pub(crate) fn too_much(wait: Duration) -> Status {
    let message =
        "as much was done with this token within the hour as one holder may: keep what is left and go on later; \
                   an operator can raise the limit"
            .to_owned();
    retry(Code::ResourceExhausted, message, "TOO_MUCH", wait)
}

/// What must be recorded was not, so nothing is answered.
pub(crate) fn access(error: &AccessError) -> Status {
    match error {
        AccessError::Refused => not_yours(),
        AccessError::Busy => retry(Code::ResourceExhausted, error.to_string(), "ACCESS_LOG_BUSY", RETRY),
        AccessError::Failed(_) => {
            let message = "the access log cannot be written, and what nobody records is not answered".to_owned();
            retry(Code::Unavailable, message, "ACCESS_LOG_FAILED", RETRY_LATER)
        }
    }
}

/// Nothing was written.
pub(crate) fn write(error: &WriteError) -> Status {
    let message = error.to_string();
    match error {
        WriteError::QueueFull => retry(Code::ResourceExhausted, message, "QUEUE_FULL", RETRY),
        // Waiting does not help: a person must decide first.
        WriteError::QuarantineFull => with_reason(Code::FailedPrecondition, message, "QUARANTINE_FULL", []),
        WriteError::TooLarge { .. } => Status::invalid_argument(message),
        WriteError::Closed => stopping(),
        WriteError::DiskFull(_) => {
            let message =
                "the server's disk is full: nothing is taken until there is room, keep the record and try again"
                    .to_owned();
            retry(Code::Unavailable, message, "DISK_FULL", RETRY_LATER)
        }
        WriteError::Unreadable { .. } => {
            let message =
                "the log cannot be read where this may have been taken before: nothing was written, keep it and try again later"
                    .to_owned();
            retry(Code::Unavailable, message, "LOG_UNREADABLE", RETRY_LATER)
        }
        WriteError::Failed(_) => {
            let message =
                "writing to the log failed: the server must be restarted; sending the same again afterwards is safe"
                    .to_owned();
            retry(Code::Unavailable, message, "JOURNAL_POISONED", RETRY_LATER)
        }
    }
}

/// A step of a case was not taken.
pub(crate) fn case(error: CaseError) -> Status {
    match error {
        CaseError::Write(error) => write(&error),
        CaseError::IdTaken { position } => id_taken(position, "step"),
        CaseError::Refused(Refusal::UnknownCase) => not_found("case"),
        CaseError::Refused(Refusal::Invalid(violations)) => invalid(violations),
        CaseError::Refused(Refusal::StaleVersion { current }) => {
            let message = format!("the case has moved on to version {current}: look at it and decide again");
            with_reason(Code::Aborted, message, "STALE_VERSION", [("current_version", current.to_string())])
        }
        CaseError::Refused(Refusal::NotAllowed { current, status, allowed, why }) => {
            let allowed = allowed.join(",");
            let message = format!(
                "{why}; allowed from here (version {current}): {}",
                if allowed.is_empty() { "nothing" } else { &allowed }
            );
            let status = status.as_str_name().to_owned();
            let metadata = [("current_version", current.to_string()), ("status", status), ("allowed_steps", allowed)];
            with_reason(Code::FailedPrecondition, message, "STEP_NOT_ALLOWED", metadata)
        }
    }
}

/// A conflict was not decided.
pub(crate) fn resolution(error: ResolveError) -> Status {
    match error {
        ResolveError::Write(error) => write(&error),
        ResolveError::Refused(violations) => invalid(violations),
        ResolveError::IdTaken { position } => id_taken(position, "decision"),
        ResolveError::SamePerson => same_person("who handed the record in cannot admit it"),
    }
}

/// Something about sealed identities was not done.
pub(crate) fn sealed(error: SealError) -> Status {
    match error {
        SealError::Write(error) => write(&error),
        SealError::IdTaken { position } => id_taken(position, "command"),
        SealError::Refused(refusal) => seal_refused(refusal),
        SealError::Vault(VaultError::Erased) => seal_refused(sealed::Refusal::Erased),
        SealError::Vault(_) | SealError::NoVault => {
            tracing::error!(%error, "the vault does not give, make or destroy a key");
            let message =
                "the vault of the cases' keys cannot be used: nothing was shown; the operator must look at it";
            retry(Code::Unavailable, message.to_owned(), "VAULT_UNUSABLE", RETRY_LATER)
        }
        SealError::Unreadable | SealError::NotOpened(_) => {
            tracing::error!(%error, "a sealed identity cannot be opened");
            Status::data_loss("the sealed identity cannot be opened: the operator must look at the vault and the log")
        }
    }
}

/// Something about a public report was not done, for who sends or follows it: nobody is told what an id or a code stands for.
pub(crate) fn public(error: SealError) -> Status {
    match error {
        SealError::IdTaken { .. } => {
            let message = "the id was used for something else: make a new id for a new report or message".to_owned();
            with_reason(Code::AlreadyExists, message, "ID_TAKEN", [])
        }
        SealError::Refused(sealed::Refusal::UnknownReport) => no_such_code(),
        SealError::Refused(sealed::Refusal::Erased) | SealError::Vault(VaultError::Erased) => {
            let message = "this report is closed: send a new one".to_owned();
            with_reason(Code::FailedPrecondition, message, "NOT_ALLOWED", [])
        }
        error => sealed(error),
    }
}

/// A follow-up code that no report has, whatever is wrong with it.
pub(crate) fn no_such_code() -> Status {
    let message = "no report has this code: compare it with what was written down".to_owned();
    with_reason(Code::NotFound, message, "BAD_CODE", [])
}

/// The public has sent as much as is taken.
pub(crate) fn too_many_reports(wait: Duration) -> Status {
    let message = "more reports came than are taken at once: keep yours and send it again later".to_owned();
    retry(Code::ResourceExhausted, message, "TOO_MUCH", wait.max(RETRY))
}

/// Somebody without a token has read as much as is answered.
pub(crate) fn too_many_readings(wait: Duration) -> Status {
    let message =
        "as much was read from this network within the hour as is answered without a token: go on later".to_owned();
    retry(Code::ResourceExhausted, message, "TOO_MUCH", wait.max(RETRY))
}

/// Who the people of a case are is for those that it is assigned to. The same whatever there is of it.
pub(crate) fn not_assigned() -> Status {
    let message = "the case is not assigned to you: take it when nobody has it, or ask a supervisor".to_owned();
    with_reason(Code::PermissionDenied, message, "NOT_ASSIGNED", [])
}

/// A decision that needs a second person.
fn same_person(what: &str) -> Status {
    with_reason(Code::PermissionDenied, format!("{what}: a second person must"), "SAME_PERSON", [])
}

fn seal_refused(refusal: sealed::Refusal) -> Status {
    match refusal {
        sealed::Refusal::UnknownCase => not_found("case"),
        sealed::Refusal::UnknownReport => not_found("public report"),
        sealed::Refusal::NotSealed => not_found("sealed identity"),
        sealed::Refusal::Invalid(violations) => invalid(violations),
        sealed::Refusal::StaleVersion { current } => case(CaseError::Refused(Refusal::StaleVersion { current })),
        sealed::Refusal::Held { case_id, hold_id, reason } => {
            let message = format!(
                "hold {hold_id} on case {case_id} stands, nothing of it or of a case merged with it is erased: {reason}"
            );
            with_reason(Code::FailedPrecondition, message, "HELD", [("case_id", case_id), ("hold_id", hold_id)])
        }
        sealed::Refusal::Erased => {
            let message = "the identities of this case were erased, or are being erased".to_owned();
            with_reason(Code::FailedPrecondition, message, "ERASED", [])
        }
        sealed::Refusal::SamePerson => same_person("who asked for the erasure cannot approve it"),
        sealed::Refusal::NotAssigned => not_assigned(),
        sealed::Refusal::NotAllowed(why) => with_reason(Code::FailedPrecondition, why.to_owned(), "NOT_ALLOWED", []),
    }
}

/// A command's id is known with other content, or as somebody else's.
pub(crate) fn id_taken(position: u64, what: &str) -> Status {
    let message =
        format!("the command's id was used for something else at position {position}: make a new id for a new {what}");
    with_reason(Code::AlreadyExists, message, "ID_TAKEN", [("position", position.to_string())])
}

/// A query was not answered.
pub(crate) fn query(error: QueryError) -> Status {
    match error {
        QueryError::BeyondHead { .. } | QueryError::Future | QueryError::BeforeLog => {
            Status::out_of_range(error.to_string())
        }
        QueryError::Unreadable => Status::data_loss(format!("{error}: the operator must run `satgas verify`")),
        QueryError::Closed => stopping(),
    }
}

/// Events were not read.
pub(crate) fn read(error: &ReadError) -> Status {
    match error {
        ReadError::BeyondHead { .. } => Status::out_of_range(error.to_string()),
        ReadError::Closed => stopping(),
        ReadError::Journal(_) | ReadError::Event(_) => {
            tracing::error!(%error, "the log cannot be read");
            Status::data_loss("the log cannot be read there: the operator must run `satgas verify`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_that_callers_are_told_is_counted() {
        let source = include_str!("status.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let is_reason = |word: &&str| word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let mut told: Vec<&str> = source.split('"').filter(is_reason).filter(|word| *word != OTHER).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, REASONS);
        for reason in REASONS {
            assert!(source.matches(&format!("\"{reason}\"")).count() > 1, "{reason} is told by nobody");
        }
    }

    #[test]
    fn more_violations_than_headers_hold_are_counted() {
        let violation = |n: usize| Violation { field: format!("holidays[{n}]"), reason: "is not a date".to_owned() };
        let status = invalid((0..400).map(violation).collect());
        assert!(status.details().len() + status.message().len() < 6 * 1024, "{}", status.details().len());
        let told = status.get_error_details().bad_request().unwrap().field_violations.clone();
        let (last, all) = told.split_last().unwrap();
        assert_eq!(last.description, format!("{} more fields are refused: mend these first", 400 - all.len()));
        assert_eq!(invalid(vec![violation(1)]).get_error_details().bad_request().unwrap().field_violations.len(), 1);
    }
}
