//! How much a request may hold, looked at before it is decoded.
//!
//! An empty element of a list is two bytes on the wire and hundreds in memory: a request of four megabytes would take gigabytes before anybody
//! could say that it has too many records. So the elements of all lists of a request are counted in its bytes first. Responses are not
//! counted: a client chose its server.

use bytes::Buf as _;
use prost::encoding::{WireType, decode_key, decode_varint};

/// Elements that the lists of a request itself may have: an import of the registry has so many, everything else fewer.
const ELEMENTS_MAX: usize = 10_000;
/// Elements that lists further down may have together, such as follow-ups of the visits in a batch.
const NESTED_MAX: usize = 100_000;
/// Messages within messages; more than any request has.
const DEPTH_MAX: usize = 16;

/// A message that calls carry.
pub trait Listed {
    /// Which message it is, where it is a request.
    const REQUEST: Option<usize>;
}

/// A field that is a list, or a message in which lists may be.
#[derive(Debug)]
struct Field {
    number: u32,
    is_list: bool,
    /// The message that it is, or that its elements are.
    of: Option<usize>,
}

mod generated {
    use super::{Field, Listed};
    include!(concat!(env!("OUT_DIR"), "/lists.rs"));
}

/// Whether an encoded message, if it is a request, has no more elements than one may have. What cannot be read is for the decoder to refuse.
pub(crate) fn fits<M: Listed>(message: &[u8]) -> bool {
    let Some(request) = M::REQUEST else { return true };
    let mut count = Count::default();
    // An error is the decoder's to find again, unless there was too much before it.
    let _ = count.add(request, message, 0);
    count.elements <= ELEMENTS_MAX && count.nested <= NESTED_MAX
}

#[derive(Debug, Default)]
struct Count {
    elements: usize,
    nested: usize,
}

impl Count {
    fn add(&mut self, message: usize, mut bytes: &[u8], depth: usize) -> Result<(), prost::DecodeError> {
        let fields = generated::MESSAGES[message];
        while bytes.has_remaining() {
            let (number, wire_type) = decode_key(&mut bytes)?;
            let length = match wire_type {
                WireType::Varint => {
                    decode_varint(&mut bytes)?;
                    continue;
                }
                WireType::LengthDelimited => usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX),
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                // None of these messages has groups; what is in one is counted as if it were not.
                WireType::StartGroup | WireType::EndGroup => 0,
            };
            let Some((value, rest)) = bytes.split_at_checked(length) else { return Ok(()) };
            bytes = rest;
            if wire_type != WireType::LengthDelimited {
                continue;
            }
            let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
            if field.is_list {
                *(if depth == 0 { &mut self.elements } else { &mut self.nested }) += 1;
            }
            if let Some(of) = field.of
                && depth < DEPTH_MAX
            {
                self.add(of, value, depth + 1)?;
            }
            if self.elements > ELEMENTS_MAX || self.nested > NESTED_MAX {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::v1;

    fn batch(records: usize, each: &v1::Submission) -> Vec<u8> {
        v1::SubmitBatchRequest { submissions: vec![each.clone(); records] }.encode_to_vec()
    }

    #[test]
    fn a_request_with_more_elements_than_any_may_have_is_told_by_its_bytes() {
        let nothing = v1::Submission::default();
        assert!(fits::<v1::SubmitBatchRequest>(&batch(ELEMENTS_MAX, &nothing)));
        assert!(!fits::<v1::SubmitBatchRequest>(&batch(ELEMENTS_MAX + 1, &nothing)));
        let identities = vec![v1::IdentityToSeal::default(); ELEMENTS_MAX + 1];
        let open = v1::OpenCaseRequest { submission: None, identities }.encode_to_vec();
        assert!(!fits::<v1::OpenCaseRequest>(&open));
    }

    #[test]
    fn so_is_one_that_hides_them_further_down() {
        let visit = |follow_ups| {
            let visit = v1::SchoolVisit { follow_ups: vec![v1::FollowUp::default(); follow_ups], ..Default::default() };
            v1::Submission { content: Some(v1::submission::Content::SchoolVisit(visit)), ..Default::default() }
        };
        assert!(fits::<v1::SubmitBatchRequest>(&batch(1_000, &visit(NESTED_MAX / 1_000))));
        assert!(!fits::<v1::SubmitBatchRequest>(&batch(1_000, &visit(NESTED_MAX / 1_000 + 1))));
        let submit = |follow_ups| v1::SubmitRequest { submission: Some(visit(follow_ups)) }.encode_to_vec();
        assert!(fits::<v1::SubmitRequest>(&submit(NESTED_MAX)) && !fits::<v1::SubmitRequest>(&submit(NESTED_MAX + 1)));
        let holidays = vec![String::new(); NESTED_MAX + 1];
        let rule_set = Some(v1::RuleSet { holidays, ..Default::default() });
        let record = v1::RecordRuleSetRequest { rule_set, ..Default::default() }.encode_to_vec();
        assert!(!fits::<v1::RecordRuleSetRequest>(&record));
    }

    #[test]
    fn long_texts_answers_and_what_is_no_message_are_not_counted() {
        let csv = "\n\0".repeat(NESTED_MAX * 2);
        let import = v1::ImportCsvRequest { csv: csv.into(), ..Default::default() };
        assert!(fits::<v1::ImportCsvRequest>(&import.encode_to_vec()));
        let areas = v1::ListAreasResponse { areas: vec![v1::Area::default(); NESTED_MAX * 2], ..Default::default() };
        assert!(fits::<v1::ListAreasResponse>(&areas.encode_to_vec()));
        assert!(
            [&[0xff; 40][..], &[0x0a, 0xff], &[0x0b, 0x0a]].iter().all(|bytes| fits::<v1::SubmitBatchRequest>(bytes))
        );
    }
}
