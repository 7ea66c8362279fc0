//! Requests whose bytes must come in time: who sends a request and never its end holds nothing for long.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use satgas_domain::policy::Rpc;
use tokio::time::{Instant, Sleep};
use tonic::{body::Body, codegen::StdError};

use crate::status;

/// A slow line that goes on sending is not cut: each so many bytes give it a second more.
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// Gives the body of a request its deadline. A batch has none: it goes on for as long as its sender has records.
pub(crate) fn timely(rpc: Option<Rpc>, patience: Duration, body: Body) -> Body {
    if rpc == Some(Rpc::SubmitBatch) { body } else { Body::new(Timely::new(body, patience)) }
}

/// A body with a deadline.
struct Timely {
    inner: Body,
    begun: Instant,
    patience: Duration,
    bytes: u64,
    deadline: Pin<Box<Sleep>>,
    is_over: bool,
}

impl Timely {
    fn new(inner: Body, patience: Duration) -> Self {
        let begun = Instant::now();
        let deadline = Box::pin(tokio::time::sleep_until(begun + patience));
        Self { inner, begun, patience, bytes: 0, deadline, is_over: false }
    }

    fn took(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let deadline = self.begun + self.patience + Duration::from_secs(self.bytes / BYTES_PER_SECOND);
        self.deadline.as_mut().reset(deadline);
    }
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.took(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
            Poll::Pending if this.deadline.as_mut().poll(cx).is_ready() => {
                this.is_over = true;
                Poll::Ready(Some(Err(status::too_slow().into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.inner.size_hint()
    }
}
