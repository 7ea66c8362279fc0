//! The event around a fact: its kind, its head, and its bytes.

use bytes::{BufMut, Bytes};
use pbjson_types::Timestamp;
use prost::{
    DecodeError,
    encoding::{self, DecodeContext, WireType},
};
use satgas_proto::v1::{
    self, EventKind, amendment::Replacement, event::Body, registry_entry::Entry, submission::Content,
};

use crate::time::Instant;

/// Field number of `Event.submitted`.
pub const SUBMITTED: u32 = 12;

/// Kind of a submission by its content.
#[must_use]
pub fn submission_kind(s: &v1::Submission) -> EventKind {
    match &s.content {
        Some(Content::MonitoringReport(_)) => EventKind::MonitoringReport,
        Some(Content::SchoolVisit(_)) => EventKind::SchoolVisit,
        Some(Content::ExposureSignal(_)) => EventKind::ExposureSignal,
        Some(Content::CaseReport(_)) => EventKind::CaseReport,
        Some(Content::Amendment(_)) => EventKind::Amendment,
        Some(Content::Retraction(_)) => EventKind::Retraction,
        None => EventKind::Unspecified,
    }
}

/// The case report that a submission is, or that it puts in the place of one.
#[must_use]
pub fn case_report(s: &v1::Submission) -> Option<&v1::CaseReport> {
    match s.content.as_ref()? {
        Content::CaseReport(report) => Some(report),
        Content::Amendment(amendment) => match amendment.replacement.as_ref()? {
            Replacement::CaseReport(report) => Some(report),
            _ => None,
        },
        _ => None,
    }
}

/// Kind of an event by its body.
#[must_use]
pub fn kind(body: &Body) -> EventKind {
    match body {
        Body::LogOpened(_) => EventKind::LogOpened,
        Body::Registered(e) => match &e.entry {
            Some(Entry::Area(_)) => EventKind::Area,
            Some(Entry::Institution(_)) => EventKind::Institution,
            Some(Entry::TaskForce(_)) => EventKind::TaskForce,
            Some(Entry::Member(_)) => EventKind::Member,
            None => EventKind::Unspecified,
        },
        Body::Submitted(s) => submission_kind(s),
        Body::Conflicting(_) => EventKind::Conflict,
        Body::CaseAdvanced(_) => EventKind::CaseStep,
        Body::RuleSetRecorded(_) => EventKind::RuleSet,
        Body::DeadlineMissed(_) => EventKind::DeadlineMissed,
        Body::ConflictResolved(_) => EventKind::ConflictResolved,
        Body::IdentitySealed(_) => EventKind::IdentitySealed,
        Body::IdentityRead(_) => EventKind::IdentityRead,
        Body::HoldPlaced(_) => EventKind::HoldPlaced,
        Body::HoldLifted(_) => EventKind::HoldLifted,
        Body::ErasureRequested(_) => EventKind::ErasureRequested,
        Body::ErasureApproved(_) => EventKind::ErasureApproved,
        Body::IdentityErased(_) => EventKind::IdentityErased,
        Body::Quarantined(_) => EventKind::Quarantined,
        Body::QuarantineDecided(_) => EventKind::QuarantineDecided,
        Body::CaseAssigned(_) => EventKind::CaseAssigned,
        Body::CaseUnassigned(_) => EventKind::CaseUnassigned,
        Body::ErasureDeclined(_) => EventKind::ErasureDeclined,
        Body::PublicReportReceived(_) => EventKind::PublicReportReceived,
        Body::PublicReportTriaged(_) => EventKind::PublicReportTriaged,
        Body::PublicReportMessage(_) => EventKind::PublicReportMessage,
        Body::ReleasePublished(_) => EventKind::Release,
    }
}

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Field number of `Event.salt`.
const SALT: u32 = 40;

/// Whether a fact has no random bytes of its own: an id that its sender made, or those of a seal. Whoever is given the hash of its event could
/// find the event by trying, so a salt goes with it.
#[must_use]
pub fn wants_salt(body: &Body) -> bool {
    matches!(
        body,
        Body::Registered(_)
            | Body::RuleSetRecorded(_)
            | Body::DeadlineMissed(_)
            | Body::IdentityRead(_)
            | Body::IdentityErased(_)
    )
}

/// Bytes that [`encode_salt`] writes.
#[must_use]
pub fn salt_encoded_len(salt: &Bytes) -> usize {
    if salt.is_empty() { 0 } else { encoding::bytes::encoded_len(SALT, salt) }
}

/// Writes the salt of an event behind its body.
pub fn encode_salt(salt: &Bytes, buffer: &mut impl BufMut) {
    if !salt.is_empty() {
        encoding::bytes::encode(SALT, salt, buffer);
    }
}

/// When an event was recorded.
#[must_use]
pub fn recorded(event: &v1::Event) -> Instant {
    event.recorded_at.as_ref().and_then(Instant::from_proto).unwrap_or(Instant(0))
}

/// These bytes are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no event")]
pub struct Malformed;

impl From<DecodeError> for Malformed {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// The fields of an event that stand before its body: enough to filter a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head<'a> {
    /// Position in the log.
    pub position: u64,
    /// When the server learnt it.
    pub recorded_at: Timestamp,
    /// Kind, an `EventKind`.
    pub kind: i32,
    /// Area code, or empty.
    pub area_code: &'a str,
    /// Institution, or empty.
    pub institution_id: &'a str,
}

impl<'a> Head<'a> {
    /// Bytes that [`encode`](Self::encode) writes with a body of `body_len` bytes.
    #[must_use]
    pub fn encoded_len(&self, body_field: u32, body_len: usize) -> usize {
        let text = |field, text: &str| {
            if text.is_empty() {
                0
            } else {
                encoding::key_len(field) + encoding::encoded_len_varint(text.len() as u64) + text.len()
            }
        };
        encoding::uint64::encoded_len(1, &self.position)
            + encoding::message::encoded_len(2, &self.recorded_at)
            + encoding::int32::encoded_len(3, &self.kind)
            + text(4, self.area_code)
            + text(5, self.institution_id)
            + encoding::key_len(body_field)
            + encoding::encoded_len_varint(body_len as u64)
            + body_len
    }

    /// Writes the event: this head and a body that is encoded already, in the very bytes that `Event` would encode to. Position and
    /// kind are never 0 in an event.
    pub fn encode(&self, body_field: u32, body: &[u8], buffer: &mut impl BufMut) {
        let text = |field, text: &str, buffer: &mut _| {
            if !text.is_empty() {
                encoding::encode_key(field, WireType::LengthDelimited, buffer);
                encoding::encode_varint(text.len() as u64, buffer);
                BufMut::put_slice(buffer, text.as_bytes());
            }
        };
        encoding::uint64::encode(1, &self.position, buffer);
        encoding::message::encode(2, &self.recorded_at, buffer);
        encoding::int32::encode(3, &self.kind, buffer);
        text(4, self.area_code, buffer);
        text(5, self.institution_id, buffer);
        encoding::encode_key(body_field, WireType::LengthDelimited, buffer);
        encoding::encode_varint(body.len() as u64, buffer);
        buffer.put_slice(body);
    }

    /// Reads the head of an encoded event and nothing of its body.
    pub fn peek(event: &'a [u8]) -> Result<Self, Malformed> {
        Self::split(event).map(|(head, _, _)| head)
    }

    /// Splits an encoded event into its head, the field number of its body (0 when there is none) and the encoded body. A salt is left out.
    pub fn split(event: &'a [u8]) -> Result<(Self, u32, &'a [u8]), Malformed> {
        let mut head = Self::default();
        let mut rest = event;
        while !rest.is_empty() {
            let (field, wire) = encoding::decode_key(&mut rest)?;
            match field {
                1 => head.position = encoding::decode_varint(&mut rest)?,
                2 => encoding::message::merge(wire, &mut head.recorded_at, &mut rest, DecodeContext::default())?,
                // Enums are encoded as their 32-bit value.
                3 => head.kind = i32::try_from(encoding::decode_varint(&mut rest)?).unwrap_or_default(),
                4 => head.area_code = take_text(&mut rest)?,
                5 => head.institution_id = take_text(&mut rest)?,
                // Fields are in order, so this is the body and the head is complete, or there is none.
                SALT => return Ok((head, 0, &[])),
                _ => return Ok((head, field, take_bytes(&mut rest)?)),
            }
        }
        Ok((head, 0, rest))
    }
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let len = usize::try_from(encoding::decode_varint(rest)?).map_err(|_| Malformed)?;
    let (bytes, after) = rest.split_at_checked(len).ok_or(Malformed)?;
    *rest = after;
    Ok(bytes)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    std::str::from_utf8(take_bytes(rest)?).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_spliced_event_is_the_event_to_the_byte_and_its_head_reads_back() {
        let submission = v1::Submission { submission_id: "x".repeat(200), device_sequence: 300, ..Default::default() };
        let recorded_at = Timestamp { seconds: 1_780_000_000, nanos: 5 };
        let salts = [Bytes::new(), Bytes::from_static(&[7; SALT_BYTES]), Bytes::new()];
        for ((area, institution), salt) in [("53.71.04.1001", ""), ("", "999"), ("", "")].into_iter().zip(salts) {
            let event = v1::Event {
                position: 70_000,
                recorded_at: Some(recorded_at),
                kind: EventKind::SchoolVisit.into(),
                area_code: area.to_owned(),
                institution_id: institution.to_owned(),
                shaping: None,
                body: Some(Body::Submitted(Box::new(submission.clone()))),
                salt: salt.clone(),
            };
            let head = Head { position: 70_000, recorded_at, kind: 7, area_code: area, institution_id: institution };
            let body = submission.encode_to_vec();
            let mut spliced = Vec::new();
            head.encode(SUBMITTED, &body, &mut spliced);
            encode_salt(&salt, &mut spliced);
            assert_eq!(spliced, event.encode_to_vec());
            assert_eq!(spliced.len(), head.encoded_len(SUBMITTED, body.len()) + salt_encoded_len(&salt));
            assert_eq!(Head::split(&spliced), Ok((head, SUBMITTED, body.as_slice())));
        }
        assert!(Head::peek(&[0x22, 0x05, b'a']).is_err(), "a text longer than the event");
    }
}
