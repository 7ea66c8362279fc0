//! The way to the server: one channel, the clients over it, and what every command must know of the log behind it.
//!
//! Invariants:
//! - The public services are all that a command uses; nothing here knows more than any other client could.
//! - A token comes from a file or the environment, never from the command line, which every user of the machine can read; and it is not
//!   sent where whoever is on the way can read it.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use satgas_proto::v1::{
    self, audit_service_client::AuditServiceClient, backup_service_client::BackupServiceClient,
    case_service_client::CaseServiceClient, erasure_service_client::ErasureServiceClient,
    evaluation_service_client::EvaluationServiceClient, event_service_client::EventServiceClient,
    identity_service_client::IdentityServiceClient, proof_service_client::ProofServiceClient,
    public_report_service_client::PublicReportServiceClient, registry_service_client::RegistryServiceClient,
    release_service_client::ReleaseServiceClient, rule_service_client::RuleServiceClient,
    statistics_service_client::StatisticsServiceClient, submission_service_client::SubmissionServiceClient,
    warning_service_client::WarningServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri},
};
use tonic_health::pb::health_client::HealthClient;

use crate::secret::read_secret;

/// The largest answer taken. A page of events holds at most 10,000 records, most of them far below a kilobyte.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Where a server listens that nothing else was said to.
const DEFAULT_URL: &str = "http://127.0.0.1:5371";
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const CALL_DEADLINE: Duration = Duration::from_secs(60);

/// How to reach the server, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server to ask
    #[arg(long, global = true, value_name = "URL", env = "SATGAS_SERVER_URL", default_value = DEFAULT_URL)]
    pub(crate) server: String,
    /// File with the token that says who asks; without one the environment's SATGAS_TOKEN
    #[arg(long, global = true, value_name = "FILE", env = "SATGAS_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificate of the authority that the server's certificate is from (PEM), when the system does not know it
    #[arg(long, global = true, value_name = "FILE", env = "SATGAS_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate to show to the server (PEM), for a server that wants one
    #[arg(long, global = true, value_name = "FILE", env = "SATGAS_CLIENT_CERTIFICATE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", env = "SATGAS_CLIENT_KEY", requires = "client_certificate")]
    client_key: Option<PathBuf>,
}

impl Args {
    /// Prepares a channel; nothing is sent yet.
    ///
    /// # Errors
    /// When a file cannot be read, or the URL is none that can be connected to.
    pub(crate) fn connect(&self) -> anyhow::Result<Connection> {
        let secret = match &self.token_file {
            Some(file) => Some(read_secret(file)?),
            None => std::env::var("SATGAS_TOKEN").ok().filter(|secret| !secret.is_empty()),
        };
        let connection = Connection::over(&self.server, self.tls()?)?;
        match secret {
            None => Ok(connection),
            Some(_) if !is_private(&self.server) => bail!(
                "a token over `{}` could be read by whoever is on the way: use https://, or a server on this machine",
                self.server
            ),
            Some(secret) => connection.with_token(&secret),
        }
    }

    /// The same, but the server that listens at an address of its configuration, where none was named.
    pub(crate) fn or_listening_at(mut self, listen: SocketAddr, speaks_tls: bool) -> Self {
        if self.server == DEFAULT_URL {
            let host = match listen.ip() {
                ip if ip.is_unspecified() => "localhost".to_owned(),
                IpAddr::V6(ip) => format!("[{ip}]"),
                ip => ip.to_string(),
            };
            let scheme = if speaks_tls { "https" } else { "http" };
            self.server = format!("{scheme}://{host}:{}", listen.port());
        }
        self
    }

    /// Whether a token was given.
    pub(crate) fn has_token(&self) -> bool {
        self.token_file.is_some() || std::env::var_os("SATGAS_TOKEN").is_some_and(|token| !token.is_empty())
    }

    fn tls(&self) -> anyhow::Result<ClientTlsConfig> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca_file {
            Some(file) => tls.ca_certificate(Certificate::from_pem(read_text(file)?)),
            None => tls.with_enabled_roots(),
        };
        if let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) {
            tls = tls.identity(Identity::from_pem(read_text(certificate)?, read_secret(key)?));
        }
        Ok(tls)
    }
}

fn read_text(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Whether nobody on the way can read what goes to a URL.
pub(crate) fn is_private(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    url.starts_with("https://") || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Adds the token to every call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

/// A channel to the server. It connects with the first call, and again by itself after it was cut.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    channel: Channel,
    bearer: Bearer,
}

macro_rules! clients {
    ($($name:ident: $client:ident),* $(,)?) => {$(
        /// A client of the service.
        pub(crate) fn $name(&self) -> $client<InterceptedService<Channel, Bearer>> {
            let service = InterceptedService::new(self.channel.clone(), self.bearer.clone());
            $client::new(service).max_decoding_message_size(ANSWER_BYTES_MAX)
        }
    )*};
}

impl Connection {
    /// Prepares a channel to `url` without a token; nothing is sent yet.
    ///
    /// # Errors
    /// When `url` is none that can be connected to.
    pub(crate) fn to(url: &str) -> anyhow::Result<Self> {
        Self::over(url, ClientTlsConfig::new().with_enabled_roots())
    }

    fn over(url: &str, tls: ClientTlsConfig) -> anyhow::Result<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("the server's URL `{url}` must begin with http:// or https://, such as http://127.0.0.1:5371");
        }
        let mut endpoint = Endpoint::from_shared(url.to_owned()).with_context(|| format!("`{url}` is no URL"))?;
        if url.starts_with("https://") {
            endpoint = endpoint.tls_config(tls).context("the certificates cannot be used")?;
        }
        let channel = endpoint
            .connect_timeout(CONNECT_DEADLINE)
            // Without this a client that only listens would not notice that the server's machine is gone.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .connect_lazy();
        Ok(Self { channel, bearer: Bearer::default() })
    }

    /// The same channel, with a token.
    ///
    /// # Errors
    /// When the text is no token.
    pub(crate) fn with_token(&self, secret: &str) -> anyhow::Result<Self> {
        let mut bearer: MetadataValue<Ascii> =
            format!("Bearer {}", secret.trim()).parse().context("the token file holds no token")?;
        bearer.set_sensitive(true);
        Ok(Self { channel: self.channel.clone(), bearer: Bearer(Some(bearer)) })
    }

    clients! {
        audit: AuditServiceClient,
        backups: BackupServiceClient,
        cases: CaseServiceClient,
        erasures: ErasureServiceClient,
        evaluations: EvaluationServiceClient,
        events: EventServiceClient,
        identity: IdentityServiceClient,
        proofs: ProofServiceClient,
        registry: RegistryServiceClient,
        reports: PublicReportServiceClient,
        releases: ReleaseServiceClient,
        rules: RuleServiceClient,
        statistics: StatisticsServiceClient,
        submissions: SubmissionServiceClient,
        warnings: WarningServiceClient,
    }

    /// A client of the health service, which asks for no token.
    pub(crate) fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// Asks what every client must know of the log.
    ///
    /// # Errors
    /// When the call fails, or the log counts days in a zone that is not known here.
    pub(crate) async fn log(&self) -> anyhow::Result<Log> {
        let answer = self.identity().who_am_i(unary(v1::WhoAmIRequest {})).await?.into_inner();
        let zone = TimeZone::get(&answer.time_zone)
            .with_context(|| format!("the log counts days in `{}`, which is not known here", answer.time_zone))?;
        let v1::WhoAmIResponse { sample_data, head_position, ended_at, assignment, .. } = answer;
        let role = assignment.map(|assignment| assignment.role()).unwrap_or_default();
        let shows_all = role == v1::Role::Supervisor;
        Ok(Log { sample_data, zone, head_position, shows_all, token_ended_at: ended_at })
    }
}

/// What every command must know of the log that it asks.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Whether all of it is invented.
    pub(crate) sample_data: bool,
    /// The time zone in which it counts days.
    pub(crate) zone: TimeZone,
    /// Its last position.
    pub(crate) head_position: u64,
    /// When the token in use ended, if it has: then the server takes records of before and nothing else.
    pub(crate) token_ended_at: Option<pbjson_types::Timestamp>,
    /// Whether the caller's role gets every event of it. To others positions that they do not get are missing.
    pub(crate) shows_all: bool,
}

/// A request that is answered once, within a deadline.
pub(crate) fn unary<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_DEADLINE);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_over_tls_or_within_this_machine_only() {
        for url in ["https://satgas.example", "http://127.0.0.1:5371", "http://[::1]:5371", "http://localhost:1"] {
            assert!(is_private(url), "{url}");
        }
        for url in ["http://192.0.2.1:5371", "http://satgas.example", "http://localhost.example"] {
            assert!(!is_private(url), "{url}");
        }
    }

    #[test]
    fn a_url_without_its_scheme_is_refused_with_an_example() {
        let error = Connection::to("127.0.0.1:5371").unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:5371"), "{error}");
    }
}
