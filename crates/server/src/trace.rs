//! Traces of calls for an OpenTelemetry collector, where one is configured.
//!
//! A span says which method, how it ended, how long each part took, and how many records at which position it made: nothing of a record, of
//! who calls, or of where. All that leaves the server is made in this file; lines of the server's log are no part of it.
//!
//! Invariants:
//! - A call never waits for the collector: spans go into a bounded queue, and one that finds it full is dropped.
//! - Of a caller's own trace its ids and whether it is recorded are taken, and nothing else: `tracestate` could carry anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::HeaderMap;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData},
};
use parking_lot::Mutex;
use satgas_domain::policy::Rpc;
use tonic::transport::ClientTlsConfig;

use crate::Config;

/// Spans that may wait for the collector.
const WAITING_MAX: usize = 4_096;
/// How long the collector may take for a batch.
const EXPORT_DEADLINE: Duration = Duration::from_secs(5);
/// How long a shutdown waits for the last batch.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Between two lines of the log about a collector that does not answer.
const PAUSE: Duration = Duration::from_secs(60);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Whoever is on the way could read along.
    #[error(
        "otlp_endpoint is {0}: traces leave this machine over https:// only; name a collector on this machine, such as \
         http://127.0.0.1:4317, or one with TLS"
    )]
    Open(String),
    /// It is no address of a collector.
    #[error("otlp_endpoint is {0}, which is no address of a collector, such as http://127.0.0.1:4317: {1}")]
    Endpoint(String, String),
}

/// Where spans go. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    told: Mutex<Option<std::time::Instant>>,
}

impl Traces {
    /// Prepares to send traces where the configuration says; nothing when it names no collector. Whether one answers shows itself later:
    /// records are taken without it. Must be called within a runtime.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, TraceError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        check_endpoint(endpoint)?;
        let failed = |error: &dyn std::fmt::Display| TraceError::Endpoint(endpoint.clone(), error.to_string());
        let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_DEADLINE);
        if endpoint.starts_with("https://") {
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        let counts = Arc::<Counts>::default();
        let exporter = exporter.build().map_err(|error| failed(&error))?;
        let exporter = Counted { exporter, counts: Arc::clone(&counts) };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_scheduled_delay(Duration::from_secs(1))
            .build();
        let resource = Resource::builder_empty()
            .with_service_name("satgas")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let ratio = f64::from(config.otlp_calls_per_1000.min(1_000)) / 1_000.0;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .build();
        let tracer = provider.tracer("satgas");
        Ok(Some(Self { provider, tracer, counts }))
    }

    /// Begins the span of a call, within the trace of its caller if that says so.
    pub(crate) fn begin(&self, rpc: Rpc, headers: &HeaderMap) -> Span {
        let parent = match headers.get("traceparent").and_then(|parent| parse(parent.to_str().ok()?)) {
            Some(caller) => Context::new().with_remote_span_context(caller),
            None => Context::new(),
        };
        let (service, method) = rpc.path().split_once('/').unwrap_or_default();
        let attributes = [
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", format!("satgas.v1.{service}")),
            KeyValue::new("rpc.method", method),
        ];
        let span = SpanBuilder::from_name(rpc.path()).with_kind(SpanKind::Server).with_attributes(attributes);
        Span { span: self.tracer.build_with_context(span, &parent), tracer: self.tracer.clone() }
    }

    /// What became of spans: its name, and how many.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 2] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("sent", of(&self.counts.sent)), ("failed", of(&self.counts.failed))]
    }

    /// Sends what waits, and nothing after it. Blocks, for a bounded time.
    pub(crate) fn shutdown(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_WORD) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Traces go where nobody on the way reads them.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), TraceError> {
    let failed = |error: &dyn std::fmt::Display| TraceError::Endpoint(endpoint.to_owned(), error.to_string());
    let uri: hyper::Uri = endpoint.parse().map_err(|error| failed(&error))?;
    let host = uri.host().ok_or_else(|| failed(&"it names no host"))?.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_here => Ok(()),
        Some("http") => Err(TraceError::Open(endpoint.to_owned())),
        _ => Err(failed(&"it begins with neither http:// nor https://")),
    }
}

/// The span of a call.
pub(crate) struct Span {
    span: opentelemetry_sdk::trace::Span,
    tracer: SdkTracer,
}

impl Span {
    /// Ends it with a gRPC code, and the reason of a refusal.
    pub(crate) fn end(mut self, code: &'static str, number: usize, reason: Option<&'static str>) {
        self.span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::try_from(number).unwrap_or_default()));
        if let Some(reason) = reason {
            self.span.set_attribute(KeyValue::new("error.type", reason));
        }
        // By OpenTelemetry's own rule a server's span is an error when the server failed, not when its caller did.
        if ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"].contains(&code) {
            self.span.set_status(Status::error(code));
        }
        self.span.end();
    }

    /// For what is done within the call.
    pub(crate) fn inside(&self) -> Inside {
        Inside { caller: self.span.span_context().clone(), tracer: self.tracer.clone() }
    }
}

/// Goes with a call, so that its parts can be traced.
#[derive(Clone)]
pub(crate) struct Inside {
    caller: SpanContext,
    tracer: SdkTracer,
}

/// A part of a call; it ends when this is dropped.
pub(crate) struct Part(Option<opentelemetry_sdk::trace::Span>);

impl Part {
    /// Begins a part of a call that is traced, if it is.
    pub(crate) fn of(inside: Option<&Inside>, name: &'static str) -> Self {
        Self(inside.map(|inside| {
            let within = Context::new().with_remote_span_context(inside.caller.clone());
            inside.tracer.build_with_context(SpanBuilder::from_name(name), &within)
        }))
    }

    /// Says how many records the part wrote, and the position of the last.
    pub(crate) fn wrote(&mut self, records: u64, position: u64) {
        if let Some(span) = &mut self.0 {
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new("satgas.records", number(records)));
            span.set_attribute(KeyValue::new("satgas.position", number(position)));
        }
    }
}

/// The `traceparent` of W3C Trace Context, version 00.
fn parse(header: &str) -> Option<SpanContext> {
    let mut parts = header.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, len| part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    // Later versions may have more parts; this one has not.
    if version != "00" || parts.next().is_some() || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let caller = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    caller.is_valid().then_some(caller)
}

/// The exporter, whose failures are counted and told once a minute at most.
#[derive(Debug)]
struct Counted {
    exporter: SpanExporter,
    counts: Arc<Counts>,
}

impl opentelemetry_sdk::trace::SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        match &sent {
            Ok(()) => self.counts.sent.fetch_add(spans, Ordering::Relaxed),
            Err(error) => {
                let mut told = self.counts.told.lock();
                if told.is_none_or(|told| told.elapsed() >= PAUSE) {
                    *told = Some(std::time::Instant::now());
                    tracing::warn!(%error, "traces are lost: is the collector of otlp_endpoint running?");
                }
                self.counts.failed.fetch_add(spans, Ordering::Relaxed)
            }
        };
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_trace_is_taken_when_it_is_well_formed() {
        let caller = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert!(caller.is_sampled() && caller.is_remote());
        assert_eq!(caller.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn traces_go_to_this_machine_or_over_tls() {
        for good in ["http://127.0.0.1:4317", "http://localhost:4317", "http://[::1]:4317", "https://traces.example"] {
            assert!(check_endpoint(good).is_ok(), "{good}");
        }
        assert!(matches!(check_endpoint("http://192.0.2.1:4317"), Err(TraceError::Open(_))));
        for bad in ["", "127.0.0.1:4317", "ftp://127.0.0.1"] {
            assert!(matches!(check_endpoint(bad), Err(TraceError::Endpoint(..))), "{bad}");
        }
    }
}
