//! `AuditService`: whose data a token could have seen.
//!
//! The access log names the cases of single answers by id, and pages and streams of events by their range. A range is resolved against the
//! log of records when it is asked about: the events in it are read again, and the cases that they tell of are the ones that were seen.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use prost::Message as _;
use satgas_domain::{id::SubmissionId, policy::TELLING_OF_CASES, sealed, time::Instant, views::Known};
use satgas_engine::{Engine, Filter};
use satgas_proto::v1::{
    self, AccessRefusal, access_event::Body, audit_service_server::AuditService, event, submission::Content,
};
use tonic::{Request, Response, Status};

use crate::{access::AccessLog, status, submission::page_size};

/// Bytes and events that are read of a range at once.
const PAGE_BYTES: usize = 1024 * 1024;
const PAGE_EVENTS: usize = 10_000;

pub(crate) struct Audit {
    pub(crate) engine: Engine,
    pub(crate) access: Arc<AccessLog>,
}

/// When something was seen first and last.
type Seen = BTreeMap<u128, (Instant, Instant)>;

/// What the access log says about one token in a time.
#[derive(Default)]
struct Found {
    seen: Seen,
    /// Ranges with when they were sent.
    ranges: Vec<(v1::EventRange, Instant, Instant)>,
    rpcs: BTreeMap<String, (u64, u64)>,
    /// Whether the log has anything of it, at whatever time: those of other issuers are known by that alone.
    is_known: bool,
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_access(
        &self,
        request: Request<v1::ListAccessRequest>,
    ) -> Result<Response<v1::ListAccessResponse>, Status> {
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        let from = moment("from", r.from.as_ref())?.unwrap_or(Instant(i64::MIN));
        let to = moment("to", r.to.as_ref())?.unwrap_or(self.engine.now());
        if r.token_id.is_empty() {
            return Err(status::invalid_field("token_id", "is missing"));
        }
        let known = self.access.look(|state| state.token(&r.token_id).is_some());
        let access = Arc::clone(&self.access);
        let found = tokio::task::spawn_blocking(move || find(&access, &r.token_id, from, to)).await;
        let mut found = found.map_err(|_| status::stopping())?.map_err(|error| {
            tracing::error!(%error, "the access log cannot be read");
            Status::data_loss("the access log cannot be read")
        })?;
        // A mistyped id must not look like a token that saw nothing.
        if !known && !found.is_known {
            return Err(status::not_found("token"));
        }
        for (range, first, last) in std::mem::take(&mut found.ranges) {
            for case in self.cases_in(&range).await? {
                note(&mut found.seen, case, first, last);
            }
        }
        self.keep_cases(&mut found.seen).await?;
        Ok(Response::new(answer(found, &r.page_token, size)))
    }
}

impl Audit {
    /// Ids that events of a range tell of, and ids that may be such.
    async fn cases_in(&self, range: &v1::EventRange) -> Result<Vec<u128>, Status> {
        let filter = Filter {
            area_prefix: range.area_prefix.clone(),
            kinds: TELLING_OF_CASES.iter().map(|kind| i32::from(*kind)).collect(),
            institution_id: range.institution_id.clone(),
        };
        let (mut ids, mut decided) = (Vec::new(), Vec::new());
        self.each(filter, range.after_position, range.up_to_position, |event| {
            ids.extend(ids_of(event));
            if let Some(event::Body::ConflictResolved(resolved)) = &event.body {
                decided.push(resolved.conflict_position);
            }
            if let Some(event::Body::QuarantineDecided(event)) = &event.body {
                decided.extend(event.decision.as_ref().map(|decision| decision.quarantined_position));
            }
        })
        .await?;
        // A decision names what it is about by its position only.
        for position in decided {
            let after = position.saturating_sub(1);
            self.each(Filter::default(), after, position, |event| ids.extend(ids_of(event))).await?;
        }
        Ok(ids.iter().filter_map(|id| bits(id)).collect())
    }

    /// Hands over each matching event after one position and up to another; 0 stands for the end of the log.
    async fn each(
        &self,
        filter: Filter,
        after: u64,
        up_to: u64,
        mut take: impl FnMut(&v1::Event) + Send,
    ) -> Result<(), Status> {
        let head = self.engine.head().position;
        let last = if up_to == 0 { head } else { up_to.min(head) };
        let mut cursor = self.engine.cursor(after, filter).map_err(|error| status::read(&error))?;
        while cursor.position() < last {
            let page = cursor.read(PAGE_BYTES, PAGE_EVENTS).await.map_err(|error| status::read(&error))?;
            for piece in page.bodies {
                let events = v1::ReadResponse::decode(piece).map_err(|_| Status::data_loss("an event is none"))?.events;
                events.iter().filter(|event| event.position <= last).for_each(&mut take);
            }
        }
        Ok(())
    }

    /// Puts the case in place of a correction of its report, and drops what is of no case.
    async fn keep_cases(&self, seen: &mut Seen) -> Result<(), Status> {
        let split = |known: Known<'_>| {
            let kept_apart: HashSet<u128> = known.quarantined_reports().map(SubmissionId::bits).collect();
            let is_case = |bits: &u128| {
                kept_apart.contains(bits)
                    || SubmissionId::parse(&text(*bits))
                        .is_ok_and(|id| known.case(id).is_some() || known.has_report(id))
            };
            std::mem::take(seen).into_iter().partition::<Seen, _>(|(bits, _)| is_case(bits))
        };
        let (cases, others) = self.engine.look(0, None, split).await.map_err(status::query)?;
        *seen = cases;
        if others.is_empty() {
            return Ok(());
        }
        let reports = self.corrected_reports().await?;
        for (correction, (first, last)) in others {
            if let Some(case) = reports.get(&correction) {
                note(seen, *case, first, last);
            }
        }
        Ok(())
    }

    /// The case of each correction of a case report. A correction of a correction leads to the same case.
    async fn corrected_reports(&self) -> Result<HashMap<u128, u128>, Status> {
        use v1::amendment::Replacement;
        let mut cases = HashMap::new();
        let kinds = [v1::EventKind::Amendment, v1::EventKind::Conflict, v1::EventKind::Quarantined];
        let kinds = kinds.map(i32::from).to_vec();
        self.each(Filter { kinds, ..Filter::default() }, 0, 0, |event| {
            let submission = match &event.body {
                Some(event::Body::Submitted(submission)) => Some(submission.as_ref()),
                Some(event::Body::Conflicting(conflicting)) => conflicting.submission.as_ref(),
                Some(event::Body::Quarantined(kept)) => kept.submission.as_ref(),
                _ => None,
            };
            if let Some(submission) = submission
                && let Some(Content::Amendment(amendment)) = &submission.content
                && let Some(Replacement::CaseReport(_)) = &amendment.replacement
                && let (Some(id), Some(corrects)) = (bits(&submission.submission_id), bits(&amendment.corrects_id))
            {
                cases.insert(id, corrects);
            }
        })
        .await?;
        // Corrections may arrive before what they correct, so that chains are followed when all are known; none is longer than there are.
        let roots = cases.keys().map(|id| {
            let mut root = *id;
            for _ in 0..cases.len() {
                match cases.get(&root) {
                    Some(corrects) => root = *corrects,
                    None => break,
                }
            }
            (*id, root)
        });
        Ok(roots.collect())
    }
}

fn bits(id: &str) -> Option<u128> {
    SubmissionId::parse(id).ok().map(SubmissionId::bits)
}

fn text(bits: u128) -> String {
    uuid::Uuid::from_u128(bits).to_string()
}

fn moment(field: &str, at: Option<&pbjson_types::Timestamp>) -> Result<Option<Instant>, Status> {
    match at {
        None => Ok(None),
        Some(at) => Instant::from_proto(at).map(Some).ok_or_else(|| status::invalid_field(field, "is not a time")),
    }
}

fn note(seen: &mut Seen, case: u128, first: Instant, last: Instant) {
    let times = seen.entry(case).or_insert((first, last));
    *times = (times.0.min(first), times.1.max(last));
}

/// Reads what the access log says. A stream counts from its beginning to its end, and to `to` where no end is recorded.
fn find(access: &AccessLog, token: &str, from: Instant, to: Instant) -> Result<Found, crate::access::AccessOpenError> {
    let mut found = Found::default();
    let mut open: HashMap<u64, (v1::EventRange, Instant)> = HashMap::new();
    access.each(|event| {
        let at = event.recorded_at.as_ref().and_then(Instant::from_proto).unwrap_or(Instant(0));
        let within = from <= at && at < to;
        match event.body {
            Some(Body::TokenRevoked(revoked)) if revoked.token_id == token => found.is_known = true,
            Some(Body::AccessRecorded(recorded)) if recorded.token_id == token => {
                found.is_known = true;
                let is_stream = recorded.range.as_ref().is_some_and(|range| range.up_to_position == 0);
                if within {
                    let counts = found.rpcs.entry(recorded.rpc.clone()).or_default();
                    match recorded.refusal() {
                        AccessRefusal::Unspecified => counts.0 += 1,
                        _ => counts.1 += 1,
                    }
                    for id in recorded.case_ids.chunks_exact(16) {
                        note(&mut found.seen, u128::from_be_bytes(id.try_into().expect("16 bytes")), at, at);
                    }
                }
                match recorded.range {
                    // One that was opened before may have gone on into the time asked for.
                    Some(range) if is_stream && at < to => drop(open.insert(event.position, (range, at))),
                    Some(range) if within && !is_stream => found.ranges.push((range, at, at)),
                    _ => {}
                }
            }
            Some(Body::StreamEnded(ended)) => {
                if let Some((range, since)) = open.remove(&ended.access_position)
                    && at >= from
                {
                    let range = v1::EventRange { up_to_position: ended.up_to_position, ..range };
                    found.ranges.push((range, since.max(from), at.min(to)));
                }
            }
            _ => {}
        }
    })?;
    found.ranges.extend(open.into_values().map(|(range, since)| (range, since.max(from), to)));
    Ok(found)
}

fn answer(found: Found, page_token: &str, size: usize) -> v1::ListAccessResponse {
    let cases_total = found.seen.len() as u64;
    let mut after = found.seen.into_iter().map(|(bits, times)| (text(bits), times));
    let mut rest = after.by_ref().skip_while(|(id, _)| id.as_str() <= page_token);
    let cases: Vec<v1::SeenCase> = rest
        .by_ref()
        .take(size)
        .map(|(case_id, (first, last))| v1::SeenCase {
            case_id,
            first_at: Some(first.to_proto()),
            last_at: Some(last.to_proto()),
        })
        .collect();
    let more = rest.next().is_some();
    let next_page_token = cases.last().filter(|_| more).map(|case| case.case_id.clone()).unwrap_or_default();
    let rpcs = found.rpcs.into_iter().map(|(rpc, (answered, refused))| v1::RpcAccess { rpc, answered, refused });
    v1::ListAccessResponse { cases, next_page_token, rpcs: rpcs.collect(), cases_total }
}

/// Ids that an event names and that may be a case's.
fn ids_of(event: &v1::Event) -> Vec<String> {
    let of = |submission: &v1::Submission| match &submission.content {
        Some(Content::CaseReport(_)) => vec![submission.submission_id.clone()],
        Some(Content::Amendment(amendment)) => vec![amendment.corrects_id.clone()],
        Some(Content::Retraction(retraction)) => vec![retraction.retracts_id.clone()],
        _ => Vec::new(),
    };
    match &event.body {
        Some(event::Body::Submitted(submission)) => of(submission),
        Some(event::Body::Conflicting(conflicting)) => conflicting.submission.as_ref().map(of).unwrap_or_default(),
        Some(event::Body::Quarantined(kept)) => kept.submission.as_ref().map(of).unwrap_or_default(),
        Some(event::Body::CaseAdvanced(advanced)) => advanced.command.iter().map(|c| c.case_id.clone()).collect(),
        Some(event::Body::DeadlineMissed(missed)) => vec![missed.item_id.clone()],
        Some(body) => sealed::case_of(body).map(str::to_owned).into_iter().collect(),
        None => Vec::new(),
    }
}
