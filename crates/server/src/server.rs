//! A running server.

#[cfg(test)]
mod unrecorded;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prost::Message as _;
use satgas_domain::time::Calendar;
use satgas_engine::{Clock, Engine, Histogram, Options, Writable};
use satgas_journal::{Fault, Journal, Verified, disk};
use satgas_proto::{
    DESCRIPTORS, encoded,
    v1::{
        self,
        audit_service_server::AuditServiceServer,
        backup_service_server::BackupServiceServer,
        case_service_server::{self, CaseServiceServer},
        erasure_service_server::{self, ErasureServiceServer},
        evaluation_service_server::{self, EvaluationServiceServer},
        event_service_server,
        identity_service_server::IdentityServiceServer,
        proof_service_server::{self, ProofServiceServer},
        public_report_service_server::{self, PublicReportServiceServer},
        registry_service_server::{self, RegistryServiceServer},
        release_service_server,
        rule_service_server::{self, RuleServiceServer},
        statistics_service_server::{self, StatisticsServiceServer},
        submission_service_server::{self, SubmissionServiceServer},
        warning_service_server::{self, WarningServiceServer},
    },
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    AccessOpenError, Config, EnsureError, FolderError, IssuerError, KeyError, TlsError, TraceError,
    access::AccessLog,
    audit::Audit,
    authorize::{Authorized, DoorLayer, Gate},
    backup::Backups,
    case::CaseApi,
    evaluation::Evaluations,
    event::Events,
    folder::{Folder, open_journal},
    frozen::Shelf,
    identity::{Anonymous, Failures, HeadKey, Identity, IdentityApi, Keys, Quotas},
    listen::{Limits, Served, connections},
    master::{self, MasterKeyError},
    metrics::{self, Calls, Figures, Subscribers, Watch},
    proof::Proofs,
    public::PublicReports,
    registry::RegistryApi,
    release::Releases,
    rules::Rules,
    sealed::Erasures,
    sight::Sights,
    statistics::Statistics,
    stream::{Places, Streams},
    submission::Submissions,
    tls::{Files, Tls},
    trace::Traces,
    warning::Warnings,
};

/// Bytes that a request of submissions may have.
const SUBMISSION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that a request of the registry may have: a CSV file and its envelope.
const REGISTRY_BYTES_MAX: usize = 17 * 1024 * 1024;
/// A report of the public: a text of 4,000 characters and what is known of three people.
const REPORT_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a request may have that anybody can make without a token, and others of the same services.
const OPEN_BYTES_MAX: usize = 4 * 1024;
/// Streams that one connection may have open at once.
const STREAMS_PER_CONNECTION: u32 = 256;
/// Bytes of the headers of one call; a longer token is none of ours.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// A connection that does not answer this long is dead.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long connections may take to close once every call on them has ended.
const LINGER: Duration = Duration::from_secs(2);
const MIB: usize = 1024 * 1024;
const NS_PER_S: i64 = 1_000_000_000;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal cannot be opened.
    #[error("the log cannot be opened: {0}")]
    Journal(#[from] satgas_journal::OpenError),
    /// The master key cannot be used.
    #[error("the identities cannot be unsealed: {0}")]
    MasterKey(#[from] MasterKeyError),
    /// The log cannot be read into the views.
    #[error("the log cannot be used: {0}")]
    Engine(#[from] satgas_engine::OpenError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's words.
        error: std::io::Error,
    },
    /// It would be open to the network without TLS.
    #[error(
        "{0} is not loopback, and without TLS whoever is on the way reads along: name a certificate and its key with \
         --tls-certificate and --tls-key, or listen on 127.0.0.1 and put a TLS proxy in front"
    )]
    Insecure(SocketAddr),
    /// The figures would be open to the network.
    #[error(
        "metrics_listen is {0}, which is not loopback, and whoever reaches it reads the figures: listen on 127.0.0.1, or say \
         metrics_beyond_loopback = true where only Prometheus reaches that address"
    )]
    MetricsOpen(SocketAddr),
    /// The address of the figures cannot be listened on.
    #[error("cannot listen on {address} for metrics: {error}; choose another metrics_listen")]
    MetricsListen {
        /// The address.
        address: SocketAddr,
        /// The operating system's words.
        error: std::io::Error,
    },
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// TLS cannot be offered.
    #[error("TLS cannot be offered: {0}")]
    Tls(#[from] TlsError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The access log cannot be opened.
    #[error("the access log cannot be opened: {0}")]
    Access(#[from] AccessOpenError),
    /// An issuer of the configuration cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// There is no operator, and none can be made.
    #[error(transparent)]
    Operator(#[from] EnsureError),
    /// The log does not begin as every log does.
    #[error("the log does not begin with its opening: {0}")]
    Beginning(String),
    /// The descriptors built into the binary do not decode.
    #[error("reflection cannot be offered: {0}")]
    Reflection(String),
}

/// Why a shutdown was not in order. Everything acknowledged is durable all the same.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// Calls were still in flight when the deadline passed; they were cut.
    #[error("calls were still in flight after {0:?} and were cut")]
    Deadline(Duration),
    /// Serving ended with an error.
    #[error("serving ended with an error: {0}")]
    Serve(String),
}

/// A server: an engine over a data folder, on a port.
pub struct Server {
    address: SocketAddr,
    engine: Engine,
    stop: CancellationToken,
    streams: TaskTracker,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    deadline: Duration,
    folder: Folder,
    access: Arc<AccessLog>,
    traces: Option<Traces>,
    operator_token: PathBuf,
    is_operator_new: bool,
    speaks_tls: bool,
    sample_data: bool,
}

/// What was opened in the data folder.
struct Opened {
    folder: Folder,
    engine: Engine,
    /// How long the disk takes to sync a commit.
    syncs: Arc<Histogram>,
    access: Arc<AccessLog>,
    keys: Keys,
}

impl Server {
    /// Opens the data folder, binds the address and serves.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let tls = check_ways(&config)?;
        let traces = Traces::open(&config)?;
        // The address first: whoever cannot listen has no business with the data.
        let failed = |error| StartError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let metrics_listener = match config.metrics_listen {
            Some(address) => Some(bind_metrics(address).await?),
            None => None,
        };
        let data = config.data.clone();
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&opening, clock, address)).await;
        let Opened { folder, engine, syncs, access, keys } = opened.map_err(|error| {
            let error = std::io::Error::other(error);
            FolderError::Io { folder: data, error }
        })??;
        let log = log_opened(&engine).await?;
        let sample_data = log.sample_data;
        let gate = Arc::new(Gate {
            engine: engine.clone(),
            access: Arc::clone(&access),
            identity: Arc::new(Identity::new(Arc::clone(&access), &keys, &config.issuers)?),
            failures: Arc::new(Failures::new(config.refusals_per_minute)),
            quotas: Arc::new(Quotas::new(
                config.records_per_hour,
                config.readings_per_hour,
                config.case_answers_per_hour,
            )),
            publics: Anonymous::new(
                config.public_reports_per_source_per_hour,
                config.public_reports_per_hour,
                config.public_readings_per_source_per_hour,
            ),
            sights: sights(&config, &log)?,
        });
        access.end_streams(engine.head().position).await.map_err(EnsureError::from)?;
        let is_operator_new = gate.identity.ensure_operator(&keys, engine.now()).await?;
        let operator_token = keys.operator_token();
        if is_operator_new {
            tracing::info!(file = %operator_token.display(), "there was no operator: its token was written");
        }

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let streams = Streams {
            tasks: tasks.clone(),
            stop: stop.clone(),
            places: Places::new(config.streams_max),
            stall: Duration::from_secs(config.stall_s.max(1)),
            subscribers: Subscribers::default(),
        };
        if config.deadlines_every_s > 0 {
            let every = Duration::from_secs(config.deadlines_every_s);
            tasks.spawn(watch_deadlines(engine.clone(), every, stop.clone()));
        }
        let patience = Duration::from_secs(config.request_deadline_s.max(1));
        let watch = Arc::new(Watch { calls: Calls::default(), traces: traces.clone() });
        let routes = routes(&gate, log, keys.heads(), &streams).await?;
        let limits = Limits { all: config.connections_max.max(1), of_source: config.connections_per_source_max.max(1) };
        let speaks_tls = tls.is_some();
        let connections_served = Served::new(limits);
        if let Some(metrics) = metrics_listener {
            let figures = Figures {
                engine: engine.clone(),
                syncs,
                access: Arc::clone(&access),
                watch: Arc::clone(&watch),
                connections: connections_served.clone(),
                subscribers: streams.subscribers.clone(),
                places: streams.places.clone(),
                tls: tls.clone(),
                data: config.data.clone(),
                started_at: engine.now().0 / NS_PER_S,
            };
            tasks.spawn(metrics::serve(metrics, Arc::new(figures), tasks.clone(), stop.clone()));
        }
        if let Some(tls) = &tls {
            tokio::spawn(Arc::clone(tls).follow(stop.clone()));
        }
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .http2_max_header_list_size(HEADERS_BYTES_MAX)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            // Nothing of a call is read before it is let in.
            .layer(DoorLayer { gate, patience, watch })
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                connections(listener, tls, connections_served, stop.clone()),
                stop.clone().cancelled_owned(),
            );
        tracing::info!(%address, position = engine.head().position, "serving");
        let deadline = Duration::from_secs(config.shutdown_deadline_s);
        let serving = tokio::spawn(serving);
        Ok(Self {
            address,
            engine,
            stop,
            streams: tasks,
            serving,
            deadline,
            folder,
            access,
            traces,
            operator_token,
            is_operator_new,
            speaks_tls,
            sample_data,
        })
    }

    /// Where the operator's first token lies, and whether it was written by this start.
    #[must_use]
    pub fn operator_token(&self) -> (&Path, bool) {
        (&self.operator_token, self.is_operator_new)
    }

    /// Whether clients must speak TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.speaks_tls
    }

    /// Whether all that it keeps is invented.
    #[must_use]
    pub fn is_sample_data(&self) -> bool {
        self.sample_data
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads and checks the whole log while serving.
    pub async fn verify(&self) -> Result<Verified, Fault> {
        let engine = self.engine.clone();
        let verified = tokio::task::spawn_blocking(move || engine.verify(&mut |_| {})).await;
        verified.unwrap_or_else(|error| Err(Fault { position: 0, what: format!("the check did not end: {error}") }))
    }

    /// Records the deadlines that have passed unmet by the server's clock, and how many: for those who set it not to look by itself.
    pub async fn judge_deadlines(&self) -> Result<usize, satgas_engine::WriteError> {
        self.engine.judge_deadlines().await
    }

    /// Ends in order within the deadline: no new work, calls in flight answered, subscribers told where to resume, checkpoints written.
    pub async fn shutdown(self) -> Result<(), ShutdownError> {
        let Self { engine, stop, streams, mut serving, deadline, folder, access, traces, .. } = self;
        stop.cancel();
        streams.close();
        // Calls in flight are answered, streams are told where to resume.
        let answered = tokio::time::timeout(deadline, streams.wait()).await;
        let result = match tokio::time::timeout(LINGER, &mut serving).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(ShutdownError::Serve(error.to_string())),
            Ok(Err(error)) => Err(ShutdownError::Serve(error.to_string())),
            Err(_) => {
                tracing::warn!("clients that did not take what was sent to them were cut");
                serving.abort();
                Ok(())
            }
        };
        let result = result.and(answered.map_err(|_| ShutdownError::Deadline(deadline)));
        let shut = move || {
            access.shutdown();
            engine.shutdown();
            if let Some(traces) = traces {
                traces.shutdown();
            }
        };
        if tokio::task::spawn_blocking(shut).await.is_err() {
            tracing::error!("the engine did not stop in order");
        }
        drop(folder);
        tracing::info!("stopped");
        result
    }
}

/// Makes sure that nothing is open to the network that must not be. TLS by the configuration, if there is any.
pub(crate) fn check_ways(config: &Config) -> Result<Option<Arc<Tls>>, StartError> {
    let tls = tls(config)?;
    if tls.is_none() && !config.listen.ip().is_loopback() {
        return Err(StartError::Insecure(config.listen));
    }
    match config.metrics_listen {
        Some(metrics) if !metrics.ip().is_loopback() && !config.metrics_beyond_loopback => {
            Err(StartError::MetricsOpen(metrics))
        }
        _ => Ok(tls),
    }
}

/// TLS by the configuration; none when no certificate is named.
fn tls(config: &Config) -> Result<Option<Arc<Tls>>, StartError> {
    let client_authority = config.tls_client_authority.clone();
    match (config.tls_certificate.clone(), config.tls_key.clone()) {
        (None, None) if client_authority.is_none() => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(Arc::new(Tls::open(Files { certificate, key, client_authority })?))),
        _ => Err(TlsError::Half.into()),
    }
}

/// What each class of roles sees.
fn sights(config: &Config, log: &v1::LogOpened) -> Result<Sights, StartError> {
    let calendar = Calendar::new(&log.time_zone).map_err(|error| StartError::Beginning(error.to_string()))?;
    Ok(Sights::new(config.small_numbers_below, &calendar, config.shaped_mib * MIB))
}

/// How the log was opened: its first event.
async fn log_opened(engine: &Engine) -> Result<v1::LogOpened, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Beginning(error.to_string());
    let mut cursor = engine.cursor(0, satgas_engine::Filter::default()).map_err(|error| failed(&error))?;
    let page = cursor.read(1, 1).await.map_err(|error| failed(&error))?;
    let bytes = page.bodies.concat();
    let events = v1::ReadResponse::decode(bytes.as_slice()).map_err(|error| failed(&error))?.events;
    match events.into_iter().next().and_then(|event| event.body) {
        Some(v1::event::Body::LogOpened(opened)) => Ok(opened),
        _ => Err(failed(&"it is another event")),
    }
}

fn open(config: &Config, clock: Arc<dyn Clock>, address: SocketAddr) -> Result<Opened, StartError> {
    let mut folder = Folder::take(&config.data)?;
    folder.close()?;
    let disk = disk::Options {
        cache_bytes_max: config.cache_mib * MIB as u64,
        free_bytes_min: config.disk_free_min_mib * MIB as u64,
    };
    let options = Options {
        checkpoints: Some(folder.checkpoints()),
        time_zone: config.time_zone.clone(),
        sample_data: config.sample_data,
        queue_bytes_max: config.queue_mib.max(1) * MIB,
        tail_bytes_max: config.tail_mib * MIB,
        checkpoint_every: config.checkpoint_every,
        vault: Some(master::options(config)?),
        ..Options::default()
    };
    let keys = Keys::open(folder.keys())?;
    let access = Arc::new(AccessLog::open(&folder.access(), keys.id(), Arc::clone(&clock))?);
    let mut syncs = None;
    let open_journal = || {
        let journal = open_journal(&folder, disk)?;
        syncs = Some(journal.syncs());
        Ok::<Arc<dyn Journal>, StartError>(Arc::new(journal))
    };
    let engine = Engine::open_beside(open_journal, clock, &options)?;
    let syncs = syncs.expect("an engine that opened has a journal that opened");
    folder
        .sign(&format!("serving on {address}"))
        .map_err(|error| FolderError::Io { folder: config.data.clone(), error })?;
    Ok(Opened { folder, engine, syncs, access, keys })
}

/// Takes the port of the metrics, and says which it is.
async fn bind_metrics(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |error| StartError::MetricsListen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "metrics are at http://{address}/metrics");
    Ok(listener)
}

async fn routes(gate: &Arc<Gate>, log: v1::LogOpened, key: HeadKey, streams: &Streams) -> Result<Routes, StartError> {
    let engine = &gate.engine;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .map_err(|error| StartError::Reflection(error.to_string()))?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let writable = engine.writable();
    let now = *writable.borrow();
    tell_health(&health, now).await;
    streams.tasks.spawn(follow_health(health, writable, streams.stop.clone()));
    let submissions = Submissions { engine: engine.clone(), streams: streams.clone() };
    let registry = RegistryApi { engine: engine.clone(), streams: streams.clone() };
    let cases = CaseApi { engine: engine.clone(), streams: streams.clone() };
    let reports = PublicReports { engine: engine.clone(), streams: streams.clone() };
    let erasures = Erasures { engine: engine.clone(), streams: streams.clone() };
    let events = Events { engine: engine.clone(), streams: streams.clone() };
    let evaluations = Evaluations { engine: engine.clone(), streams: streams.clone() };
    let rules = Rules { engine: engine.clone(), streams: streams.clone() };
    let releases = Releases { engine: engine.clone(), streams: streams.clone(), shelf: Shelf::default() };
    let identity = IdentityApi {
        engine: engine.clone(),
        access: Arc::clone(&gate.access),
        identity: Arc::clone(&gate.identity),
        log,
    };
    let audit = Audit { engine: engine.clone(), access: Arc::clone(&gate.access) };
    let access = Arc::clone(&gate.access);
    let proofs = Proofs { engine: engine.clone(), key: key.clone() };
    let backups = Backups { engine: engine.clone(), access, key, streams: streams.clone() };
    let submissions = SubmissionServiceServer::new(behind(gate, submissions));
    let registry = RegistryServiceServer::new(behind(gate, registry));
    Ok(Routes::new(submissions.max_decoding_message_size(SUBMISSION_BYTES_MAX))
        .add_service(registry.max_decoding_message_size(REGISTRY_BYTES_MAX))
        .add_service(CaseServiceServer::new(behind(gate, cases)))
        .add_service(PublicReportServiceServer::new(behind(gate, reports)).max_decoding_message_size(REPORT_BYTES_MAX))
        .add_service(ErasureServiceServer::new(behind(gate, erasures)))
        .add_service(encoded::event_service_server::EventServiceServer::new(behind(gate, events)))
        .add_service(EvaluationServiceServer::new(behind(gate, evaluations)))
        .add_service(RuleServiceServer::new(behind(gate, rules)))
        .add_service(
            encoded::release_service_server::ReleaseServiceServer::new(behind(gate, releases))
                .max_decoding_message_size(OPEN_BYTES_MAX),
        )
        .add_service(StatisticsServiceServer::new(behind(gate, Statistics { engine: engine.clone() })))
        .add_service(WarningServiceServer::new(behind(gate, Warnings { engine: engine.clone() })))
        .add_service(IdentityServiceServer::new(behind(gate, identity)).max_decoding_message_size(OPEN_BYTES_MAX))
        .add_service(AuditServiceServer::new(behind(gate, audit)))
        .add_service(BackupServiceServer::new(behind(gate, backups)).max_decoding_message_size(OPEN_BYTES_MAX))
        .add_service(ProofServiceServer::new(behind(gate, proofs)).max_decoding_message_size(OPEN_BYTES_MAX))
        .add_service(health_service.max_decoding_message_size(OPEN_BYTES_MAX))
        .add_service(reflection.max_decoding_message_size(OPEN_BYTES_MAX)))
}

/// A service behind its decisions.
fn behind<S>(gate: &Arc<Gate>, inner: S) -> Authorized<S> {
    Authorized { inner, gate: Arc::clone(gate) }
}

/// Records deadlines that pass unmet until the server stops. What cannot be written is tried again at the next look.
async fn watch_deadlines(engine: Engine, every: Duration, stop: CancellationToken) {
    let mut looks = tokio::time::interval(every);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stop.cancelled() => return,
        }
        match engine.judge_deadlines().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "deadlines passed unmet"),
            Err(error) => tracing::warn!(%error, "missed deadlines are not recorded yet"),
        }
    }
}

/// Keeps the health service true until the server stops.
async fn follow_health(health: HealthReporter, mut writable: watch::Receiver<Writable>, stop: CancellationToken) {
    loop {
        let now = *writable.borrow_and_update();
        tell_health(&health, now).await;
        tokio::select! {
            changed = writable.changed() => if changed.is_err() {
                // The writer has gone: in order, when the server stops, or not.
                return tell_health(&health, Writable::Failed).await;
            },
            () = stop.cancelled() => return,
        }
    }
}

/// The services that write serve while records are taken; the server as a whole until it must be restarted.
async fn tell_health(health: &HealthReporter, writable: Writable) {
    let serving = |yes| if yes { ServingStatus::Serving } else { ServingStatus::NotServing };
    health.set_service_status("", serving(writable != Writable::Failed)).await;
    for service in [
        submission_service_server::SERVICE_NAME,
        case_service_server::SERVICE_NAME,
        erasure_service_server::SERVICE_NAME,
        public_report_service_server::SERVICE_NAME,
        registry_service_server::SERVICE_NAME,
        rule_service_server::SERVICE_NAME,
        release_service_server::SERVICE_NAME,
    ] {
        health.set_service_status(service, serving(writable == Writable::Yes)).await;
    }
    for service in [
        event_service_server::SERVICE_NAME,
        evaluation_service_server::SERVICE_NAME,
        proof_service_server::SERVICE_NAME,
        statistics_service_server::SERVICE_NAME,
        warning_service_server::SERVICE_NAME,
    ] {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
}
