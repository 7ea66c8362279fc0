//! Calls: each is counted under its method and the code that it ended with, and a refused one under its reason.
//!
//! Labels are bounded and of our own making: methods of the vocabulary, codes of gRPC, reasons of `status.rs`. Nothing that a caller says
//! becomes one.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Response,
    body::{Frame, SizeHint},
    http::request::Parts,
};
use parking_lot::Mutex;
use satgas_domain::policy::Rpc;
use satgas_engine::Histogram;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;

use super::{
    Watch,
    text::{Kind, Text},
};
use crate::{status, trace::Span};

/// Codes of gRPC, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// Codes that are the server's own fault, counted from 0 on: the first one must show as a rise.
const OWN_FAULTS: [Code; 3] = [Code::Internal, Code::Unknown, Code::DataLoss];
/// Calls that last as long as their client likes: how long says nothing.
const STREAMS: [Rpc; 3] = [Rpc::Subscribe, Rpc::SubmitBatch, Rpc::WatchEvaluations];
/// Bounds of the times that calls take, in nanoseconds.
const BOUNDS_NS: &[u64] = &[
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// What was counted of calls.
#[derive(Debug)]
pub(crate) struct Calls {
    of: Vec<OfMethod>,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug)]
struct OfMethod {
    codes: [AtomicU64; CODES.len()],
    took: Histogram,
}

impl Default for Calls {
    fn default() -> Self {
        let of_method = |_: &Rpc| OfMethod { codes: Default::default(), took: Histogram::new(BOUNDS_NS) };
        let refusals = status::REASONS.into_iter().chain([status::OTHER]).map(|reason| (reason, 0)).collect();
        Self { of: Rpc::ALL.iter().map(of_method).collect(), refusals: Mutex::new(refusals) }
    }
}

impl Calls {
    fn ended(&self, rpc: Rpc, code: Code, reason: Option<&'static str>, began: Instant) {
        let of = &self.of[rpc as usize];
        of.codes[number(code)].fetch_add(1, Ordering::Relaxed);
        if !STREAMS.contains(&rpc) {
            of.took.observe_time(began.elapsed());
        }
        if let Some(reason) = reason {
            *self.refusals.lock().entry(reason).or_default() += 1;
        }
    }

    /// Writes what was counted. A method that nobody called has no line.
    pub(super) fn write(&self, text: &mut Text) {
        let all = || Rpc::ALL.iter().zip(&self.of);
        let counts = all().flat_map(|(rpc, of)| {
            let counts = CODES.iter().zip(&of.codes).map(|(code, count)| (*code, count.load(Ordering::Relaxed)));
            counts
                .filter(|(_, count)| *count > 0)
                .map(|(code, count)| ([("method", rpc.path()), ("code", code)], count))
        });
        text.many(Kind::Counter, "satgas_calls_total", "Calls that ended, by method and gRPC code.", counts);
        let failed = OWN_FAULTS.map(|code| {
            let count: u64 = self.of.iter().map(|of| of.codes[number(code)].load(Ordering::Relaxed)).sum();
            ([("code", CODES[number(code)])], count)
        });
        let help = "Calls that failed for the server's own reasons, by gRPC code.";
        text.many(Kind::Counter, "satgas_server_errors_total", help, failed);
        let took = all().filter(|(_, of)| of.took.counts().1 > 0).map(|(rpc, of)| ([("method", rpc.path())], &of.took));
        let help = "How long calls took that are answered once.";
        text.histograms("satgas_call_seconds", help, took, 1e9);
        let refusals = self.refusals.lock().clone();
        let help = "Calls that were refused or failed, by the reason that the caller was told.";
        let refusals = refusals.iter().map(|(reason, count)| ([("reason", *reason)], *count));
        text.many(Kind::Counter, "satgas_refusals_total", help, refusals);
    }
}

fn number(code: Code) -> usize {
    usize::try_from(i32::from(code)).ok().filter(|number| *number < CODES.len()).unwrap_or(2)
}

impl Watch {
    /// Begins a call: the first that is done for it.
    pub(crate) fn begin(self: &Arc<Self>, rpc: Rpc, parts: &mut Parts) -> Call {
        let span = self.traces.as_ref().map(|traces| traces.begin(rpc, &parts.headers));
        if let Some(span) = &span {
            parts.extensions.insert(span.inside());
        }
        Call { watch: Arc::clone(self), rpc, began: Instant::now(), span, ended: false }
    }
}

/// A call that goes on. One that is dropped before its status was sent was broken off by its client.
pub(crate) struct Call {
    watch: Arc<Watch>,
    rpc: Rpc,
    began: Instant,
    span: Option<Span>,
    ended: bool,
}

impl Call {
    /// Ends the call with its answer: at once, or when the last of it is on its way.
    pub(crate) fn answered(mut self, answer: Response<Body>) -> Response<Body> {
        if self.read_status(answer.headers()) {
            return answer;
        }
        answer.map(|body| Body::new(Answer { body, call: self }))
    }

    /// Ends the call when its status is among the headers or trailers; says whether it was.
    fn read_status(&mut self, headers: &HeaderMap) -> bool {
        let Some(status) = Status::from_header_map(headers) else { return false };
        let refused = status.code() != Code::Ok;
        let reason = refused.then(|| {
            let told = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
            status::REASONS.into_iter().find(|reason| *reason == told).unwrap_or(status::OTHER)
        });
        self.end(status.code(), reason);
        true
    }

    fn end(&mut self, code: Code, reason: Option<&'static str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.watch.calls.ended(self.rpc, code, reason, self.began);
        if let Some(span) = self.span.take() {
            span.end(CODES[number(code)], number(code), reason);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled, None);
    }
}

/// An answer on its way, whose status comes at its end.
struct Answer {
    body: Body,
    call: Call,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.read_status(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
