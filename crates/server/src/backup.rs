//! `BackupService`: the logs as they are stored, up to a head that is signed. Nothing is decoded on the way out; whoever takes a copy checks
//! the chain.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use satgas_backup::{
    Log,
    note::{LogHead, PublicKey},
};
use satgas_domain::time::Instant;
use satgas_engine::Engine;
use satgas_journal::{Hash, Head, ReadError};
use satgas_proto::v1::{self, LogKind, backup_service_server::BackupService, copy_log_response::Part};
use tonic::{Request, Response, Status};

use crate::{
    access::AccessLog,
    identity::HeadKey,
    status,
    stream::{BoxStream, Sink, Streams},
};

/// Bytes of frames in one message, about: reading them does not keep the disk for long, nor the client's connection.
const MESSAGE_BYTES: usize = 256 * 1024;
/// While records arrive, a copy rests so many times as long as its last message took: a task force waits for its receipt, a backup for
/// nobody.
const RESTS: u32 = 7;
/// The longest rest, so that a slow line is not made slower still.
const REST_MAX: Duration = Duration::from_millis(50);

pub(crate) struct Backups {
    pub(crate) engine: Engine,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) key: HeadKey,
    pub(crate) streams: Streams,
}

/// Where a copy of the log of records ends, and a moment before which everything that was recorded lies before that end.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) at: Instant,
    pub(crate) head: Head,
}

/// One of the two logs.
#[derive(Clone)]
enum Source {
    Records(Engine),
    Access(Arc<AccessLog>),
}

impl Source {
    fn copy(&self, after: u64, last: u64) -> Result<Bytes, ReadError> {
        match self {
            Self::Records(engine) => engine.copy(after, last, MESSAGE_BYTES),
            Self::Access(access) => access.copy(after, last, MESSAGE_BYTES),
        }
    }

    fn frame_hash(&self, position: u64) -> Result<Option<Hash>, ReadError> {
        match self {
            Self::Records(engine) => engine.frame_hash(position),
            Self::Access(access) => access.frame_hash(position),
        }
    }
}

#[tonic::async_trait]
impl BackupService for Backups {
    type CopyLogStream = BoxStream<v1::CopyLogResponse>;

    async fn copy_log(&self, request: Request<v1::CopyLogRequest>) -> Result<Response<Self::CopyLogStream>, Status> {
        let bound = request.extensions().get::<Bound>().copied();
        let r = request.into_inner();
        let (source, log, Bound { at, head }) = match (r.log(), bound) {
            (LogKind::Records, Some(bound)) => (Source::Records(self.engine.clone()), Log::Records, bound),
            (LogKind::Access, _) => {
                let bound = Bound { at: self.engine.now(), head: self.access.head() };
                (Source::Access(Arc::clone(&self.access)), Log::Access, bound)
            }
            _ => return Err(status::invalid_field("log", "is none that can be copied")),
        };
        let after = r.after_position;
        let hash = match after {
            0 => Head::EMPTY.hash,
            _ => {
                r.after_hash.as_ref().try_into().map_err(|_| status::invalid_field("after_hash", "is not 32 bytes"))?
            }
        };
        let there = source.clone();
        let there = blocking(move || there.frame_hash(after)).await?;
        if after > head.position || there != Some(hash) {
            return Err(status::another_history(log.name(), after, head.position));
        }
        let signed = LogHead { log_id: self.engine.log_id().to_owned(), log, head };
        let first = v1::SignedHead {
            note: signed.sign(&self.key.0),
            key: PublicKey::of(&signed.log_id, &self.key.0).to_string(),
            at: Some(at.to_proto()),
        };
        let copy = Copy { engine: self.engine.clone(), source, after, last: head.position };
        self.streams.open(move |sink| async move { copy.send(first, &sink).await.err() }).map(Response::new)
    }
}

/// What is still to be copied.
struct Copy {
    engine: Engine,
    source: Source,
    after: u64,
    last: u64,
}

impl Copy {
    /// Puts the head into the sink, and then all frames.
    async fn send(mut self, head: v1::SignedHead, sink: &Sink<v1::CopyLogResponse>) -> Result<(), Status> {
        let message = |part| v1::CopyLogResponse { part: Some(part) };
        let gone = |_| status::copy_stopped();
        sink.send(message(Part::Head(head))).await.map_err(gone)?;
        while self.after < self.last {
            let (began, recorded) = (tokio::time::Instant::now(), self.engine.head().position);
            let (source, after, last) = (self.source.clone(), self.after, self.last);
            let frames = blocking(move || source.copy(after, last)).await?;
            self.after = end_of(&frames).ok_or_else(|| Status::data_loss("the log cannot be copied there"))?;
            sink.send(message(Part::Frames(frames))).await.map_err(gone)?;
            if self.engine.head().position > recorded {
                tokio::time::sleep((began.elapsed() * RESTS).min(REST_MAX)).await;
            }
        }
        Ok(())
    }
}

/// Position of the last record in whole frames.
fn end_of(frames: &[u8]) -> Option<u64> {
    use satgas_journal::frame::{Frame, split_first};
    let (mut rest, mut end) = (frames, None);
    while !rest.is_empty() {
        let (frame, behind) = split_first(rest).ok()?;
        if behind.is_empty() {
            end = Frame::decode(frame).ok().map(|frame| frame.end());
        }
        rest = behind;
    }
    end
}

/// Reads off the runtime's threads.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Status> {
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| status::stopping())?;
    read.map_err(|error| {
        tracing::error!(%error, "a log cannot be copied");
        Status::data_loss("the log cannot be read there: the operator must run `satgas verify`")
    })
}
