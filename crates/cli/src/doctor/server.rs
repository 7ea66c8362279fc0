//! What the server answers to anybody, and to the token at hand.

use std::time::Duration;

use jiff::Timestamp;
use satgas_proto::v1::{self, Role};
use satgas_server::doctor::Finding;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use crate::{
    connect::{self, Connection, unary},
    failure, time,
};

/// How long before its end a token is told.
const TOKEN_SOON: Duration = Duration::from_hours(14 * 24);

/// Asks whether the server is well, and whether tokens are about to end.
pub(super) async fn ask(way: &connect::Args, is_expected: bool) -> Vec<Finding> {
    let connection = match way.connect() {
        Ok(connection) => connection,
        Err(error) => {
            let what = failure::sentence(&error, &way.server);
            return vec![Finding::problem(
                "server",
                what,
                "mend how the server is reached: --server, --token-file, --ca-file",
            )];
        }
    };
    let mut findings = Vec::new();
    match health(&connection).await {
        Ok(finding) => findings.push(finding),
        Err(status) => {
            let what = failure::describe(&status, &way.server);
            let remedy = "start it, and read its log when it does not stay up";
            findings.push(match is_expected {
                true => Finding::problem("server", what, remedy),
                false => Finding::warning("server", what, remedy),
            });
            return findings;
        }
    }
    if !way.has_token() {
        findings
            .push(Finding::skipped("tokens", "no token was given: with the operator's, those that end soon are told"));
        return findings;
    }
    match tokens(&connection).await {
        Ok(finding) => findings.push(finding),
        Err(error) => {
            let what = failure::sentence(&error, &way.server);
            findings.push(Finding::problem(
                "tokens",
                what,
                "ask the operator for a new token; for the operator: `satgas token recover`",
            ));
        }
    }
    findings
}

async fn health(connection: &Connection) -> Result<Finding, tonic::Status> {
    let ask = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        Ok::<_, tonic::Status>(connection.health().check(unary(request)).await?.into_inner().status())
    };
    let all = ask("").await?;
    let writes = ask("satgas.v1.SubmissionService").await?;
    Ok(if all != ServingStatus::Serving {
        let what = "it answers, and writing its log failed: it takes nothing more until it is restarted";
        Finding::problem(
            "server",
            what,
            "look at its disk (`dmesg`), then restart it; what was acknowledged is on the disk",
        )
    } else if writes != ServingStatus::Serving {
        let what = "it answers questions, and records nothing: its disk is full";
        Finding::problem("server", what, "free space where the data folder lies; it goes on by itself")
    } else {
        Finding::ok("server", "it answers, and takes records")
    })
}

async fn tokens(connection: &Connection) -> anyhow::Result<Finding> {
    let own = connection.identity().who_am_i(unary(v1::WhoAmIRequest {})).await?.into_inner();
    let now = time::now();
    if own.ended_at.is_some() {
        return Ok(Finding::problem("tokens", "the token in use has ended", "ask the operator for a new one"));
    }
    if is_soon(own.expires_at.as_ref(), now) {
        let end = own.expires_at.as_ref().and_then(time::from_proto).map(|end: Timestamp| end.to_string());
        let what = format!("the token in use ends on {}", end.unwrap_or_default());
        return Ok(Finding::warning(
            "tokens",
            what,
            "`satgas token issue` makes the next one; put it into its place before that",
        ));
    }
    if own.assignment.map(|assignment| assignment.role()) != Some(Role::Operator) {
        return Ok(Finding::ok(
            "tokens",
            "the token in use is good for more than 14 days; the operator's would tell of others",
        ));
    }
    let (mut soon, mut page_token) = (0, String::new());
    loop {
        let request = v1::ListTokensRequest { include_ended: false, page_size: 1_000, page_token };
        let page = connection.identity().list_tokens(unary(request)).await?.into_inner();
        soon += page.tokens.iter().filter(|token| is_soon(token.expires_at.as_ref(), now)).count();
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    Ok(match soon {
        0 => Finding::ok("tokens", "none ends within 14 days"),
        soon => {
            let remedy =
                "`satgas token list` shows which; issue the next ones, so that nobody stands before a closed door";
            Finding::warning("tokens", format!("{soon} end within 14 days"), remedy)
        }
    })
}

/// Whether a token ends soon, or has.
fn is_soon(end: Option<&pbjson_types::Timestamp>, now: Timestamp) -> bool {
    let left = end.and_then(time::from_proto).map(|end| end.duration_since(now));
    left.is_some_and(|left| left.is_negative() || left.unsigned_abs() < TOKEN_SOON)
}
