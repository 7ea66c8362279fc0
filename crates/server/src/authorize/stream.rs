//! Streams that end with the token that they were opened with.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use satgas_domain::time::Instant;
use tokio_stream::Stream;
use tonic::Status;

use super::{Gate, Pass};
use crate::{status, stream::BoxStream};

/// How often the injected clock is looked at for the end of a token.
const LOOK: Duration = Duration::from_millis(500);

impl Pass {
    /// The stream, until its token ends: then `UNAUTHENTICATED`.
    pub(crate) fn until_end<T: Send + 'static>(
        &self,
        inner: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<T> {
        let ended = ended(std::sync::Arc::clone(&self.gate), self.holder.token_id.to_string(), self.holder.expires_at);
        let mut ended = Box::pin(ended);
        let mut inner = Box::pin(inner);
        let mut over = false;
        Box::pin(stream::poll_fn(move |context| {
            use std::{future::Future as _, task::Poll};
            if over {
                return Poll::Ready(None);
            }
            if ended.as_mut().poll(context).is_ready() {
                over = true;
                return Poll::Ready(Some(Err(status::token_ended())));
            }
            inner.poll_next_unpin(context)
        }))
    }
}

/// Waits until a token is revoked or has expired.
async fn ended(gate: std::sync::Arc<Gate>, token_id: String, expires_at: Instant) {
    let mut revocations = gate.access.revocations();
    loop {
        revocations.borrow_and_update();
        if gate.has_ended(&token_id, expires_at) {
            return;
        }
        tokio::select! {
            changed = revocations.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
