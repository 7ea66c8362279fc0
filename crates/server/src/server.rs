//! A running server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use satgas_engine::{Clock, Engine, Options, Writable};
use satgas_journal::{Fault, Verified, disk};
use satgas_proto::{
    DESCRIPTORS, encoded,
    v1::{
        case_service_server::{self, CaseServiceServer},
        erasure_service_server::{self, ErasureServiceServer},
        evaluation_service_server::{self, EvaluationServiceServer},
        event_service_server,
        registry_service_server::{self, RegistryServiceServer},
        rule_service_server::{self, RuleServiceServer},
        statistics_service_server::{self, StatisticsServiceServer},
        submission_service_server::{self, SubmissionServiceServer},
        warning_service_server::{self, WarningServiceServer},
    },
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::server::TcpIncoming};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    Config, FolderError,
    case::CaseApi,
    evaluation::Evaluations,
    event::Events,
    folder::{Folder, open_journal},
    master::{self, KeyError},
    registry::RegistryApi,
    rules::Rules,
    sealed::Erasures,
    statistics::Statistics,
    status,
    stream::Streams,
    submission::Submissions,
    warning::Warnings,
};

/// Bytes that a request of submissions may have.
const SUBMISSION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that a request of the registry may have: a CSV file and its envelope.
const REGISTRY_BYTES_MAX: usize = 17 * 1024 * 1024;
/// Streams that one connection may have open at once.
const STREAMS_PER_CONNECTION: u32 = 1_024;
/// A connection that does not answer this long is dead.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long connections may take to close once every call on them has ended.
const LINGER: Duration = Duration::from_secs(2);
const MIB: usize = 1024 * 1024;

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
    Key(#[from] KeyError),
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
}

impl Server {
    /// Opens the data folder, binds the address and serves.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        // The address first: whoever cannot listen has no business with the data.
        let failed = |error| StartError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let data = config.data.clone();
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&opening, clock, address)).await;
        let (folder, engine) = opened.map_err(|error| {
            let error = std::io::Error::other(error);
            FolderError::Io { folder: data, error }
        })??;

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let streams = Streams {
            tasks: tasks.clone(),
            stop: stop.clone(),
            places: Arc::new(Semaphore::new(config.streams_max.clamp(1, Semaphore::MAX_PERMITS))),
            stall: Duration::from_secs(config.stall_s.max(1)),
        };
        if config.deadlines_every_s > 0 {
            let every = Duration::from_secs(config.deadlines_every_s);
            tasks.spawn(watch_deadlines(engine.clone(), every, stop.clone()));
        }
        let routes = routes(&engine, &streams).await?;
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        tracing::info!(%address, position = engine.head().position, "serving");
        let deadline = Duration::from_secs(config.shutdown_deadline_s);
        let serving = tokio::spawn(serving);
        Ok(Self { address, engine, stop, streams: tasks, serving, deadline, folder })
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
        let Self { engine, stop, streams, mut serving, deadline, folder, .. } = self;
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
        if tokio::task::spawn_blocking(move || engine.shutdown()).await.is_err() {
            tracing::error!("the engine did not stop in order");
        }
        drop(folder);
        tracing::info!("stopped");
        result
    }
}

fn open(config: &Config, clock: Arc<dyn Clock>, address: SocketAddr) -> Result<(Folder, Engine), StartError> {
    let mut folder = Folder::take(&config.data)?;
    let journal = open_journal(
        &folder,
        disk::Options {
            cache_bytes_max: config.cache_mib * MIB as u64,
            free_bytes_min: config.disk_free_min_mib * MIB as u64,
        },
    )?;
    let options = Options {
        checkpoints: Some(folder.checkpoints()),
        time_zone: config.time_zone.clone(),
        sample_data: config.sample_data,
        queue_bytes_max: config.queue_mib.max(1) * MIB,
        tail_bytes_max: config.tail_mib * MIB,
        checkpoint_every: config.checkpoint_every,
        vault: Some(master::options(config)?),
    };
    let engine = Engine::open(Arc::new(journal), clock, &options)?;
    folder
        .sign(&format!("serving on {address}"))
        .map_err(|error| FolderError::Io { folder: config.data.clone(), error })?;
    Ok((folder, engine))
}

async fn routes(engine: &Engine, streams: &Streams) -> Result<Routes, StartError> {
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
    let events = Events { engine: engine.clone(), streams: streams.clone() };
    let evaluations = Evaluations { engine: engine.clone(), streams: streams.clone() };
    let registry = RegistryServiceServer::new(RegistryApi { engine: engine.clone(), streams: streams.clone() });
    let routes = Routes::new(SubmissionServiceServer::new(submissions).max_decoding_message_size(SUBMISSION_BYTES_MAX))
        .add_service(registry.max_decoding_message_size(REGISTRY_BYTES_MAX))
        .add_service(CaseServiceServer::new(CaseApi { engine: engine.clone(), streams: streams.clone() }))
        .add_service(ErasureServiceServer::new(Erasures { engine: engine.clone(), streams: streams.clone() }))
        .add_service(encoded::event_service_server::EventServiceServer::new(events))
        .add_service(EvaluationServiceServer::new(evaluations))
        .add_service(RuleServiceServer::new(Rules { engine: engine.clone(), streams: streams.clone() }))
        .add_service(StatisticsServiceServer::new(Statistics { engine: engine.clone() }))
        .add_service(WarningServiceServer::new(Warnings { engine: engine.clone() }))
        .add_service(health_service)
        .add_service(reflection);
    Ok(Routes::from(routes.into_axum_router().layer(axum::middleware::map_response(readable))))
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
        registry_service_server::SERVICE_NAME,
        rule_service_server::SERVICE_NAME,
    ] {
        health.set_service_status(service, serving(writable == Writable::Yes)).await;
    }
    for service in [
        event_service_server::SERVICE_NAME,
        evaluation_service_server::SERVICE_NAME,
        statistics_service_server::SERVICE_NAME,
        warning_service_server::SERVICE_NAME,
    ] {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
}

/// Gives an answer to an unreadable request the status that its sender can act on.
async fn readable(response: axum::response::Response) -> axum::response::Response {
    match tonic::Status::from_header_map(response.headers()) {
        Some(refused) => status::unreadable(refused).into_http(),
        None => response,
    }
}
