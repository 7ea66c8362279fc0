//! The demo's own tokens: real ones, issued by its server over the public API, kept in files beside its data.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use satgas_proto::v1::{self, Role, assignment::Own};

use super::{kupang::KOTA, player::Client};
use crate::{
    connect::{Connection, unary},
    secret::write_secret,
};

/// Longer than the year that is played.
const LIFETIME_S: i64 = 400 * 86_400;
/// File, role, and for whom.
const WHO: [(&str, Role, &str); 5] = [
    ("supervisor.token", Role::Supervisor, "sees everything, keeps the registry"),
    ("satgas.token", Role::Satgas, "an office that enters the records of all task forces of the city"),
    ("case-worker.token", Role::CaseWorker, "leads the cases"),
    ("dashboard.token", Role::Dashboard, "follows events and evaluations, no single case"),
    ("evaluator.token", Role::Evaluator, "sets the rules, sees evaluations and statistics"),
];

/// Tokens that were issued, each in a file.
#[derive(Debug)]
pub(crate) struct Tokens {
    folder: PathBuf,
    secrets: Vec<String>,
}

impl Tokens {
    /// Has them issued to the holder of the operator's token, and writes them beside it.
    pub(crate) async fn issue(url: &str, operator_token: &Path) -> anyhow::Result<Self> {
        let secret = fs::read_to_string(operator_token)
            .with_context(|| format!("{} cannot be read", operator_token.display()))?;
        let mut operator = Connection::to(url)?.with_token(&secret)?.identity();
        let folder = operator_token.parent().map_or_else(PathBuf::new, Path::to_owned);
        let mut secrets = Vec::with_capacity(WHO.len());
        for (file, role, what) in WHO {
            let own = (role == Role::Satgas).then(|| Own::AreaCode(KOTA.code.to_owned()));
            let request = v1::IssueTokenRequest {
                assignment: Some(v1::Assignment { role: role.into(), own }),
                purpose: format!("demo (DATA CONTOH): {what}"),
                lifetime: Some(pbjson_types::Duration { seconds: LIFETIME_S, nanos: 0 }),
                subject: String::new(),
            };
            let secret = operator.issue_token(unary(request)).await?.into_inner().secret;
            write_secret(&folder.join(file), &secret)?;
            secrets.push(secret);
        }
        Ok(Self { folder, secrets })
    }

    /// Those who play, over one channel.
    pub(crate) fn client(&self, channel: &Connection) -> anyhow::Result<Client> {
        let of = |role: Role| {
            let known = WHO.iter().zip(&self.secrets).find(|((_, known, _), _)| *known == role);
            channel.with_token(known.context("no token for the role")?.1)
        };
        Ok(Client { supervisor: of(Role::Supervisor)?, office: of(Role::Satgas)?, case_worker: of(Role::CaseWorker)? })
    }

    /// Where they lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Each file, and who it is for.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        WHO.into_iter().map(|(file, _, what)| (file, what))
    }
}
