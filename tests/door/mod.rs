//! The way in for tests: real tokens, issued by the server under test over its public API, and a channel that sends with each call the one
//! of a role that may make it.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{
    self, Role, assignment::Own, identity_service_client::IdentityServiceClient, registry_entry::Entry,
    registry_service_client::RegistryServiceClient,
};
use tonic::{
    body::Body,
    codegen::{
        Service,
        http::{HeaderValue, Request, Response, header::AUTHORIZATION},
    },
    transport::{Channel, Error, channel::ResponseFuture},
};

/// Where all areas of the tests lie.
pub(crate) const CITY: &str = "53.71";
/// The roles that tests act in, each with a token.
pub(crate) const ROLES: [Role; 6] =
    [Role::Satgas, Role::CaseWorker, Role::Dashboard, Role::Evaluator, Role::Supervisor, Role::Operator];

/// An area of an invented town.
pub(crate) fn town_area(code: &str) -> v1::RegistryEntry {
    entry(Entry::Area(v1::Area {
        code: code.to_owned(),
        name: "Contoh".to_owned(),
        valid_from: "2025-01-01".to_owned(),
        ..Default::default()
    }))
}

/// An invented school.
pub(crate) fn town_school(id: &str, area: &str) -> v1::RegistryEntry {
    entry(Entry::Institution(v1::Institution {
        institution_id: id.to_owned(),
        name: "SMP Contoh 01".to_owned(),
        kind: v1::InstitutionKind::Sekolah.into(),
        area_code: area.to_owned(),
        valid_from: "2025-01-01".to_owned(),
        valid_until: String::new(),
    }))
}

fn entry(entry: Entry) -> v1::RegistryEntry {
    v1::RegistryEntry { entry: Some(entry), ..Default::default() }
}

/// Registers a town, all of it.
pub(crate) async fn register(door: &Door, entries: Vec<v1::RegistryEntry>) -> anyhow::Result<()> {
    let request = v1::RegisterRequest { entries, skip_bad: false };
    let refused = RegistryServiceClient::new(door.clone()).register(request).await?.into_inner().refused;
    ensure!(refused.is_empty(), "{refused:?}");
    Ok(())
}

/// The secret of each role's token.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(Arc<HashMap<i32, String>>);

impl Tokens {
    /// Has a token issued for each role. `keys` is the folder with the operator's first one, `area` where records are entered for.
    pub(crate) async fn issue(channel: &Channel, keys: &Path, area: &str) -> anyhow::Result<Self> {
        let operator = std::fs::read_to_string(keys.join("operator.token"))?.trim().to_owned();
        let mut secrets = HashMap::new();
        for role in ROLES {
            let own = (role == Role::Satgas).then(|| Own::AreaCode(area.to_owned()));
            let assignment = v1::Assignment { role: role.into(), own };
            // The same person after each restart of a server.
            let subject = format!("petugas-{}", role.as_str_name().to_lowercase());
            let issued = issue_to(&subject, channel, &operator, assignment, 400 * 86_400).await?;
            secrets.insert(i32::from(role), issued.1);
        }
        Ok(Self(Arc::new(secrets)))
    }

    /// The secret of a role's token.
    pub(crate) fn of(&self, role: Role) -> &str {
        self.0.get(&i32::from(role)).map_or("", String::as_str)
    }

    /// The role in which a command of the command line is run.
    pub(crate) fn of_command(&self, args: &[&str]) -> &str {
        self.of(match args {
            ["submit", ..] | ["case", "open", ..] => Role::Satgas,
            ["case", "list" | "show" | "erase" | "hold" | "assign" | "unassign" | "hand-over", ..] => Role::Supervisor,
            ["case" | "report", ..] => Role::CaseWorker,
            ["rules", "record", ..] => Role::Evaluator,
            ["token" | "backup", ..] => Role::Operator,
            _ => Role::Supervisor,
        })
    }
}

/// Has a token issued that says nothing of who holds it: its id and secret.
pub(crate) async fn issue(
    channel: &Channel,
    operator: &str,
    assignment: v1::Assignment,
    lifetime_s: i64,
) -> anyhow::Result<(String, String)> {
    issue_to("", channel, operator, assignment, lifetime_s).await
}

/// Has a token issued to a subject: its id and secret.
pub(crate) async fn issue_to(
    subject: &str,
    channel: &Channel,
    operator: &str,
    assignment: v1::Assignment,
    lifetime_s: i64,
) -> anyhow::Result<(String, String)> {
    let mut request = tonic::Request::new(v1::IssueTokenRequest {
        assignment: Some(assignment),
        purpose: "contoh".to_owned(),
        lifetime: Some(pbjson_types::Duration { seconds: lifetime_s, nanos: 0 }),
        subject: subject.to_owned(),
    });
    request.metadata_mut().insert("authorization", format!("Bearer {operator}").parse()?);
    let issued = IdentityServiceClient::new(channel.clone()).issue_token(request).await?.into_inner();
    Ok((issued.token.context("a token")?.token_id, issued.secret))
}

/// A channel that sends a token with each call: always the same one, or that of a role that may make the call.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    channel: Channel,
    tokens: Pick,
}

#[derive(Clone, Debug)]
enum Pick {
    Fixed(Arc<str>),
    ByRole(Tokens),
}

impl Door {
    pub(crate) fn by_role(channel: Channel, tokens: Tokens) -> Self {
        Self { channel, tokens: Pick::ByRole(tokens) }
    }

    pub(crate) fn with(channel: Channel, secret: &str) -> Self {
        Self { channel, tokens: Pick::Fixed(secret.into()) }
    }

    /// The same connection, always with this token.
    pub(crate) fn instead(self, secret: &str) -> Self {
        Self::with(self.channel, secret)
    }
}

/// A role that may make a call.
fn role(path: &str) -> Role {
    match path.trim_start_matches("/satgas.v1.") {
        "SubmissionService/Submit" | "SubmissionService/SubmitBatch" | "CaseService/OpenCase" => Role::Satgas,
        "CaseService/AdvanceCase" | "CaseService/RecordIdentity" | "CaseService/UnsealIdentity" => Role::CaseWorker,
        path if path.starts_with("PublicReportService/") => Role::CaseWorker,
        "RuleService/RecordRuleSet" => Role::Evaluator,
        path if path.starts_with("IdentityService/") || path.starts_with("BackupService/") => Role::Operator,
        _ => Role::Supervisor,
    }
}

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> ResponseFuture {
        let secret = match &self.tokens {
            Pick::Fixed(secret) => secret,
            Pick::ByRole(tokens) => tokens.of(role(request.uri().path())),
        };
        if let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {secret}"))
            && !secret.is_empty()
        {
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        self.channel.call(request)
    }
}
