//! Errors as people read them: what happened, which field is why, and whether trying again helps.

use std::error::Error as _;

use tonic::{Code as GrpcCode, Status};
use tonic_types::{ErrorInfo, StatusExt as _};

use crate::case::steps;

/// The error in words, for standard error.
pub(crate) fn sentence(error: &anyhow::Error, server_url: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        if let Some(status) = cause.downcast_ref::<Status>() {
            parts.push(describe(status, server_url));
            break;
        }
        let part = cause.to_string();
        // Many errors repeat their cause's words in their own.
        if !parts.last().is_some_and(|last| last.ends_with(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

/// A refused or failed call in words.
pub(crate) fn describe(status: &Status, server_url: &str) -> String {
    if let Some(cause) = unreachable_cause(status) {
        return format!("no server answers at {server_url} ({cause}); is `satgas serve` running?");
    }
    if let Some(text) = status.get_details_error_info().and_then(|info| by_reason(&info, status.message())) {
        return text;
    }
    let bad = status.get_details_bad_request().filter(|bad| !bad.field_violations.is_empty());
    let mut text = match bad {
        Some(bad) => {
            let lines = bad.field_violations.iter().map(|v| format!("\n  {}: {}", v.field, v.description));
            format!("refused, mend what is named:{}", lines.collect::<String>())
        }
        None => headline(status),
    };
    if let Some(delay) = status.get_details_retry_info().and_then(|retry| retry.retry_delay) {
        text.push_str(&format!("\nTry again in {:.1} s.", delay.as_secs_f64()));
    }
    text
}

/// The same on one line, for a notice that it is tried again.
pub(crate) fn brief(status: &Status) -> String {
    unreachable_cause(status).unwrap_or_else(|| status.message().lines().next().unwrap_or("no reason given").to_owned())
}

/// Whether the same call may succeed later without anybody doing anything here.
pub(crate) fn may_pass(status: &Status) -> bool {
    match status.code() {
        GrpcCode::Unavailable
        | GrpcCode::ResourceExhausted
        | GrpcCode::DeadlineExceeded
        | GrpcCode::Cancelled
        | GrpcCode::Unknown => true,
        // With a cause it is the connection that broke; without one the server says so itself.
        GrpcCode::Internal => status.source().is_some(),
        _ => false,
    }
}

/// Why the server could not be reached, when that is what failed.
fn unreachable_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    let transport = cause.is::<tonic::transport::Error>();
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    transport.then(|| cause.to_string())
}

fn by_reason(info: &ErrorInfo, message: &str) -> Option<String> {
    let of = |key: &str| info.metadata.get(key).map_or("unknown", String::as_str);
    Some(match info.reason.as_str() {
        "STEP_NOT_ALLOWED" => format!(
            "this step does not fit: {}. The case is at version {} and is {}. Allowed from here: {}",
            // The rest of the message names the allowed steps by their fields; here they are named by their subcommands.
            message.split("; allowed from here").next().unwrap_or(message),
            of("current_version"),
            steps::status_words(of("status")),
            steps::in_words(of("allowed_steps").split(',')),
        ),
        "STALE_VERSION" => format!(
            "somebody took a step before you: the case is at version {} now. Look at it again (`satgas case show`), then decide",
            of("current_version"),
        ),
        "NEEDS_TOKEN" => {
            "the server must know who asks: name a token's file with --token-file, or put the token into SATGAS_TOKEN".into()
        }
        "BAD_TOKEN" => {
            "the token cannot be used: it is none of this server's, has expired or was revoked. Ask the operator for a new one".into()
        }
        "DISK_FULL" => "the server's disk is full: nothing new is taken, reading goes on. Free space there, then try again".into(),
        "JOURNAL_POISONED" => {
            "the server could not write its log and takes nothing more until it is restarted. Restart it, then try again".into()
        }
        _ => return None,
    })
}

fn headline(status: &Status) -> String {
    let message = status.message();
    match status.code() {
        GrpcCode::InvalidArgument => format!("refused, mend what is named: {message}"),
        GrpcCode::NotFound => format!("not found: {message}"),
        GrpcCode::FailedPrecondition => format!("refused as things stand: {message}"),
        GrpcCode::OutOfRange => format!("out of range: {message}"),
        GrpcCode::Aborted => format!("overtaken by somebody else, look again and decide: {message}"),
        GrpcCode::AlreadyExists => format!("there already: {message}"),
        GrpcCode::PermissionDenied | GrpcCode::Unauthenticated => format!("not allowed: {message}"),
        GrpcCode::Unimplemented => format!("the server is too old for this: {message}"),
        GrpcCode::ResourceExhausted => format!("not now: {message}"),
        GrpcCode::DeadlineExceeded => format!("the server did not answer in time, try again later: {message}"),
        GrpcCode::Unavailable | GrpcCode::Cancelled => {
            format!("the server cannot answer now, try again later: {message}")
        }
        _ => format!("the server failed, its own log says why: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::Context as _;
    use tonic_types::ErrorDetails;

    use super::*;

    const URL: &str = "http://127.0.0.1:5371";

    #[test]
    fn a_refused_step_says_where_the_case_stands_and_what_is_allowed() {
        let metadata = [
            ("current_version", "3"),
            ("status", "CASE_STATUS_DALAM_LAYANAN"),
            ("allowed_steps", "record_service,plan_follow_up"),
        ];
        let info =
            ErrorDetails::with_error_info("STEP_NOT_ALLOWED", "satgas", metadata.map(|(k, v)| (k.into(), v.into())));
        let status = Status::with_error_details(
            GrpcCode::FailedPrecondition,
            "it is open; allowed from here (version 3): x",
            info,
        );
        assert_eq!(
            describe(&status, URL),
            "this step does not fit: it is open. The case is at version 3 and is dalam layanan. Allowed from here: service, plan"
        );
    }

    #[test]
    fn every_violated_field_is_named_with_its_reason() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("school_visit.reach.pupils_female", "must be 0 to 10,000");
        details.add_bad_request_violation("occurred_at", "lies in the future");
        let status = Status::with_error_details(GrpcCode::InvalidArgument, "2 fields", details);
        let text = describe(&status, URL);
        assert!(text.contains("\n  school_visit.reach.pupils_female: must be 0 to 10,000"), "{text}");
        assert!(text.contains("\n  occurred_at: lies in the future"), "{text}");
        assert!(!may_pass(&status));
    }

    #[test]
    fn a_full_queue_says_how_long_to_wait() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(GrpcCode::ResourceExhausted, "queue full", details);
        assert!(describe(&status, URL).ends_with("Try again in 1.5 s."));
        assert!(may_pass(&status));
    }

    #[test]
    fn a_context_stands_in_front_of_what_the_server_said() {
        let error = Err::<(), _>(Status::not_found("no such case")).context("case x").unwrap_err();
        assert_eq!(sentence(&error, URL), "case x: not found: no such case");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_by_its_url() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let connection = crate::connect::Connection::to(&url).unwrap();
        let text = sentence(&connection.log().await.unwrap_err(), &url);
        assert!(text.starts_with(&format!("no server answers at {url} (")), "{text}");
    }
}
