//! Ids that were taken, and what they stand for: marks are kept in memory, the rest is read where they point.

use prost::Message as _;
use satgas_domain::{event, id::SubmissionId, sealed::command_of};
use satgas_proto::v1::{self, event::Body};

use super::{Reply, Writer};
use crate::{
    WriteError,
    ids::{ContentHash, Marked},
    publish, sealed,
};

/// What is known of an id.
pub(super) enum Known {
    /// Nothing.
    New,
    /// This very content, at a position.
    Same(u64),
    /// Other content only, the first of it at a position.
    Other(u64),
}

/// The id of a submission or command that an event takes.
pub(super) fn taken(body: &Body) -> Option<SubmissionId> {
    let id = match body {
        Body::Submitted(s) => &s.submission_id,
        Body::Conflicting(c) => &c.submission.as_ref()?.submission_id,
        Body::CaseAdvanced(step) => &step.command.as_ref()?.command_id,
        Body::ConflictResolved(resolution) => &resolution.command_id,
        // What was kept apart has not taken its id: it may never count.
        Body::QuarantineDecided(decided) => &decided.decision.as_ref()?.command_id,
        Body::ReleasePublished(release) => &release.release_id,
        body => command_of(body)?,
    };
    SubmissionId::parse(id).ok()
}

/// What the id that an event takes stands for; `encoded` is the event's body.
fn content(body: &Body, encoded: &[u8]) -> Option<ContentHash> {
    Some(match body {
        Body::Submitted(_) | Body::ConflictResolved(_) | Body::QuarantineDecided(_) => ContentHash::of(encoded),
        Body::Conflicting(c) => ContentHash::of(&c.submission.as_ref()?.encode_to_vec()),
        Body::CaseAdvanced(step) => ContentHash::of(&step.command.as_ref()?.encode_to_vec()),
        Body::ReleasePublished(release) => publish::content_of(release),
        body => sealed::content_of(body),
    })
}

impl Writer {
    /// What is known of an id: its marks are kept in memory, the rest is read where they point.
    pub(super) fn look_up(&self, id: Marked, content: ContentHash) -> Reply<Known> {
        let mut other = None;
        for position in self.decided.ids.positions(id) {
            let is_pending = position > self.head.position;
            if mutated!("no id is known") || (is_pending && mutated!("ids of the same commit are not known")) {
                continue;
            }
            match self.taken_at(position)? {
                (taken, stood) if taken == id.id && stood == content => return Ok(Known::Same(position)),
                (taken, _) if taken == id.id => other = other.or(Some(position)),
                // Another id with the same mark.
                _ => {}
            }
        }
        Ok(other.map_or(Known::New, Known::Other))
    }

    /// The id that was taken at a position, pending or in the log, and what it stands for.
    fn taken_at(&self, position: u64) -> Reply<(SubmissionId, ContentHash)> {
        let unreadable = |cause: &str| {
            tracing::error!(
                position,
                cause,
                "the log cannot be read where an id was taken: check it with satgas verify"
            );
            WriteError::Unreadable { position, cause: cause.to_owned() }
        };
        if position > self.head.position {
            let pending = self.pending.ids.binary_search_by_key(&position, |(at, ..)| *at);
            let (_, id, content) = self.pending.ids[pending.map_err(|_| unreadable("it is not pending"))?];
            return Ok((id.id, content));
        }
        let kept = self.tail.chunk(position - 1);
        let record = match kept.and_then(|chunk| chunk.records().find(|(at, _)| *at == position)) {
            Some((_, record)) => Some(record),
            None => self.journal.record(position).map_err(|error| unreadable(&error.to_string()))?,
        };
        let bytes = record.ok_or_else(|| unreadable("it is not there"))?;
        let event = v1::Event::decode(bytes.as_ref()).map_err(|error| unreadable(&error.to_string()))?;
        let (_, _, encoded) = event::Head::split(&bytes).map_err(|error| unreadable(&error.to_string()))?;
        let body = event.body.as_ref();
        let found = body.and_then(|body| taken(body).zip(content(body, encoded)));
        found.ok_or_else(|| unreadable("it takes no id"))
    }
}
