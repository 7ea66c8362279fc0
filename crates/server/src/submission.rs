//! `SubmissionService`: records from task forces and institutions.

use futures_util::{StreamExt as _, stream};
use prost::Message;
use satgas_engine::{Engine, Handed};
use satgas_proto::v1::{self, ReceiptStatus};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::{identity::Reserved, look::look_within, sealed::caller, sight::OwnInstitution, status, stream::Streams};

/// Records that one message of a batch may have.
const BATCH_MAX: usize = 1_000;
/// Messages of a batch that may be on their way to the disk at once.
const IN_FLIGHT: usize = 256;
/// Bytes of one page: below the four megabytes that clients take unless told otherwise.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

pub(crate) struct Submissions {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

impl Submissions {
    /// Takes one record, with the right of its reporter where that has ended.
    pub(crate) async fn take(&self, record: Handed) -> Result<v1::Receipt, Status> {
        let _call = self.streams.tasks.token();
        submit(&self.engine, record).await
    }

    /// Lists what was kept apart.
    pub(crate) async fn list_quarantined(
        &self,
        request: Request<v1::ListQuarantinedRequest>,
    ) -> Result<Response<v1::ListQuarantinedResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        let records: Vec<_> = look_within(&self.engine, r.min_position, r.as_of, &r.area_prefix, |known| {
            let records = known.quarantined(&r.area_prefix, &r.token_id, r.after_position);
            records.filter(|record| r.include_decided || record.decided.is_none()).take(size + 1).collect()
        })
        .await?;
        let (records, next_after_position) = page(records, size, |record: &v1::QuarantinedRecord| record.position);
        Ok(Response::new(v1::ListQuarantinedResponse { records, next_after_position }))
    }

    /// Decides on what was kept apart.
    pub(crate) async fn decide_quarantined(
        &self,
        request: Request<v1::DecideQuarantinedRequest>,
    ) -> Result<Response<v1::DecideQuarantinedResponse>, Status> {
        let _call = self.streams.tasks.token();
        let by = Some(caller(&request));
        let decision = request.into_inner().decision.ok_or_else(|| status::invalid_field("decision", "is missing"))?;
        let decided = v1::QuarantineDecided { decision: Some(decision), by };
        let receipt = self.engine.decide_quarantined(decided).await.map_err(status::resolution)?;
        Ok(Response::new(v1::DecideQuarantinedResponse { receipt: Some(receipt) }))
    }

    /// Lists what only a person can decide.
    pub(crate) async fn list_conflicts(
        &self,
        request: Request<v1::ListConflictsRequest>,
    ) -> Result<Response<v1::ListConflictsResponse>, Status> {
        let own = OwnInstitution::beside(&request)?;
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        let conflicts: Vec<_> = look_within(&self.engine, r.min_position, r.as_of, &r.area_prefix, |known| {
            let conflicts = known.conflicts(&r.area_prefix, r.after_position);
            conflicts.filter(|conflict| own.reported(conflict.submission.as_ref())).take(size + 1).collect()
        })
        .await?;
        let (conflicts, next_after_position) = page(conflicts, size, |c: &v1::Conflict| c.position);
        Ok(Response::new(v1::ListConflictsResponse { conflicts, next_after_position }))
    }

    /// Decides a conflict.
    pub(crate) async fn resolve_conflict(
        &self,
        request: Request<v1::ResolveConflictRequest>,
    ) -> Result<Response<v1::ResolveConflictResponse>, Status> {
        let _call = self.streams.tasks.token();
        let resolution =
            request.into_inner().resolution.ok_or_else(|| status::invalid_field("resolution", "is missing"))?;
        let receipt = self.engine.resolve_conflict(resolution).await.map_err(status::resolution)?;
        Ok(Response::new(v1::ResolveConflictResponse { receipt: Some(receipt) }))
    }

    /// Lists what waits for its target.
    pub(crate) async fn list_held(
        &self,
        request: Request<v1::ListHeldRequest>,
    ) -> Result<Response<v1::ListHeldResponse>, Status> {
        let own = OwnInstitution::beside(&request)?;
        let r = request.into_inner();
        let size = page_size(r.page_size, 100, 1_000)?;
        let held: Vec<_> = look_within(&self.engine, r.min_position, r.as_of, &r.area_prefix, |known| {
            let held = known.held(&r.area_prefix, r.after_position);
            held.filter(|held| own.reported(held.submission.as_ref())).take(size + 1).collect()
        })
        .await?;
        let (held, next_after_position) = page(held, size, |h: &v1::Held| h.position);
        Ok(Response::new(v1::ListHeldResponse { held, next_after_position }))
    }
}

/// Submits one record; a rejected one is an error.
pub(crate) async fn submit(engine: &Engine, record: impl Into<Handed>) -> Result<v1::Receipt, Status> {
    let receipt = engine.submit(record).await.map_err(|error| status::write(&error))?;
    if receipt.status() == ReceiptStatus::Rejected {
        return Err(status::invalid(receipt.violations));
    }
    Ok(receipt)
}

/// Checks how many records a message of a batch has. Before anything else is done with them: each costs a decision.
pub(crate) fn check_count(submissions: &[v1::Submission]) -> Result<(), Status> {
    if submissions.is_empty() || submissions.len() > BATCH_MAX {
        return Err(status::invalid_field("submissions", &format!("is not 1 to {BATCH_MAX} records")));
    }
    Ok(())
}

/// Receipts of a batch in order, and how many records of each message went into the log. Reading ahead is bounded: when the client takes
/// no receipts, nothing more is read from it.
pub(crate) fn receipts<B>(
    engine: Engine,
    streams: &Streams,
    batch: B,
) -> impl Stream<Item = Result<(v1::SubmitBatchResponse, u32), Status>> + Send + use<B>
where
    B: Stream<Item = Result<(Vec<Handed>, Reserved), Status>> + Send,
{
    let (stop, call) = (streams.stop.clone(), streams.tasks.token());
    batch
        .take_until(stop.clone().cancelled_owned())
        .then(move |message| {
            let engine = engine.clone();
            async move {
                let (records, reserved) = message.map_err(status::unreadable)?;
                let before = engine.head().position;
                match engine.enqueue(records).await {
                    Ok(ticket) => Ok((ticket, reserved, before)),
                    Err(error) => {
                        reserved.used(0);
                        Err(status::write(&error))
                    }
                }
            }
        })
        .map(|enqueued| async move {
            let (ticket, reserved, before) = enqueued?;
            let receipts = ticket.receipts().await.map_err(|error| status::write(&error))?;
            let recorded = recorded(&receipts, before);
            reserved.used(recorded);
            Ok((v1::SubmitBatchResponse { receipts }, recorded))
        })
        .buffered(IN_FLIGHT)
        .chain(stream::once(async move { (call, stop.is_cancelled()).1 }).filter_map(|stopped| async move {
            // A batch that the server cut short must not look complete.
            stopped.then(|| Err(status::stopping()))
        }))
}

/// How many of some records went into the log behind a position: one that waits in quarantine already has the receipt of before.
pub(crate) fn recorded<'a>(receipts: impl IntoIterator<Item = &'a v1::Receipt>, before: u64) -> u32 {
    use ReceiptStatus::{Accepted, Conflict, Quarantined};
    let recorded = |receipt: &&v1::Receipt| {
        matches!(receipt.status(), Accepted | Conflict | Quarantined) && receipt.position > before
    };
    u32::try_from(receipts.into_iter().filter(recorded).count()).unwrap_or(u32::MAX)
}

/// Checks a page size: 0 is the default.
pub(crate) fn page_size(asked: u32, default: usize, max: usize) -> Result<usize, Status> {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => Ok(default),
        size if size <= max => Ok(size),
        _ => Err(status::invalid_field("page_size", &format!("is more than {max}"))),
    }
}

/// Checks that a code of a request is of its code list.
pub(crate) fn known_code<T: TryFrom<i32>>(field: &str, code: i32) -> Result<(), Status> {
    T::try_from(code).map(|_| ()).map_err(|_| status::invalid_field(field, "is not a value of its code list"))
}

/// Cuts a list that was read one too long to its page, by number and by bytes; where the next page goes on, or 0.
pub(crate) fn page<T: Message>(mut list: Vec<T>, size: usize, position: impl Fn(&T) -> u64) -> (Vec<T>, u64) {
    let mut bytes = 0;
    let too_many = list.iter().position(|item| {
        bytes += item.encoded_len();
        bytes > PAGE_BYTES
    });
    let size = size.min(too_many.map_or(list.len(), |at| at.max(1)));
    let more = list.len() > size;
    list.truncate(size);
    let next = if more { list.last().map_or(0, position) } else { 0 };
    (list, next)
}
