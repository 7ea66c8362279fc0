//! `BackupService`: the logs as they are stored, up to a head that is signed. Nothing is decoded on the way out; whoever takes a copy checks
//! the chain.

use std::sync::Arc;

use bytes::Bytes;
use satgas_backup::{
    Log,
    note::{LogHead, PublicKey},
};
use satgas_domain::time::Instant;
use satgas_engine::Engine;
use satgas_journal::{Hash, Head, ReadError};
use satgas_proto::v1::{
    self, LogKind, access_event::Body, backup_service_server::BackupService, copy_log_response::Part,
};
use tonic::{Request, Response, Status};

use crate::{
    access::AccessLog,
    identity::HeadKey,
    status,
    stream::{BoxStream, Sink, Streams},
};

/// Bytes of frames in one message, about: reading and checking them takes a third of a millisecond on each side, and who submits meanwhile
/// waits no longer.
pub(crate) const MESSAGE_BYTES: usize = 32 * 1024;

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

/// Id of the token that tells of a backup.
#[derive(Clone)]
pub(crate) struct Confirmer(pub(crate) String);

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
        is_of(&source, log, (after, &r.after_hash), head.position, "after_hash").await?;
        let signed = LogHead { log_id: self.engine.log_id().to_owned(), log, head };
        let first = v1::SignedHead {
            note: signed.sign(&self.key.0),
            key: PublicKey::of(&signed.log_id, &self.key.0).to_string(),
            at: Some(at.to_proto()),
        };
        let last = head.position;
        self.streams
            .open(move |sink| async move { send(&sink, first, source, after, last).await.err() })
            .map(Response::new)
    }

    async fn confirm_backup(
        &self,
        request: Request<v1::ConfirmBackupRequest>,
    ) -> Result<Response<v1::ConfirmBackupResponse>, Status> {
        let token_id = request.extensions().get::<Confirmer>().map(|confirmer| confirmer.0.clone()).unwrap_or_default();
        let v1::ConfirmBackupRequest { records: Some(records), access: Some(access) } = request.into_inner() else {
            return Err(status::invalid_field("records", "is needed, and `access` as well: where each copy ends"));
        };
        if records.position == 0 {
            return Err(status::invalid_field(
                "records.position",
                "is 0: every log has a first record, and a copy of it has it",
            ));
        }
        let source = Source::Records(self.engine.clone());
        let head = self.engine.head().position;
        is_of(&source, Log::Records, (records.position, &records.hash), head, "records.hash").await?;
        let source = Source::Access(Arc::clone(&self.access));
        let head = self.access.head().position;
        is_of(&source, Log::Access, (access.position, &access.hash), head, "access.hash").await?;
        let confirmed =
            v1::BackupConfirmed { token_id, records_position: records.position, access_position: access.position };
        self.access.record(Body::BackupConfirmed(confirmed)).await.map_err(|error| status::access(&error))?;
        let confirmed_at = self.access.look(|state| state.last_backup().at);
        let confirmed_at = Some(pbjson_types::Timestamp { seconds: confirmed_at, nanos: 0 });
        Ok(Response::new(v1::ConfirmBackupResponse { confirmed_at }))
    }
}

/// Refuses the end of a copy that is not one of a log, which ends at `head` itself. The end is a position and the chain hash there.
async fn is_of(
    source: &Source,
    log: Log,
    (position, hash): (u64, &[u8]),
    head: u64,
    field: &str,
) -> Result<(), Status> {
    let hash: Hash = match position {
        0 => Head::EMPTY.hash,
        _ => hash.try_into().map_err(|_| status::invalid_field(field, "is not 32 bytes"))?,
    };
    let there = source.clone();
    let there = blocking(move || there.frame_hash(position)).await?;
    match position <= head && there == Some(hash) {
        true => Ok(()),
        false => Err(status::another_history(log.name(), position, head)),
    }
}

/// Puts the head into the sink, and then all frames.
async fn send(
    sink: &Sink<v1::CopyLogResponse>,
    head: v1::SignedHead,
    source: Source,
    mut after: u64,
    last: u64,
) -> Result<(), Status> {
    let message = |part| v1::CopyLogResponse { part: Some(part) };
    let gone = |_| status::copy_stopped();
    sink.send(message(Part::Head(head))).await.map_err(gone)?;
    while after < last {
        let from = source.clone();
        let frames = blocking(move || from.copy(after, last)).await?;
        after = end_of(&frames).ok_or_else(|| Status::data_loss("the log cannot be copied there"))?;
        sink.send(message(Part::Frames(frames))).await.map_err(gone)?;
    }
    Ok(())
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
