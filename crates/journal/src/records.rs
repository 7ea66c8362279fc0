//! Records in wire framing, on their way in ([`Records`]) and out ([`Chunk`]).
//!
//! A record is framed as field 1 of a protobuf message, length-delimited: `0x0A`, its length as a varint, its bytes. Any
//! sequence of framed records is therefore itself a valid message with `repeated Event events = 1` and goes to a subscriber
//! without being copied record by record. A record of no bytes is a record.

use bytes::{BufMut, Bytes, BytesMut};

/// Field number 1, wire type 2.
const TAG: u8 = 0x0A;

/// The records of one commit, framed as they are pushed.
#[derive(Debug, Default)]
pub struct Records {
    body: BytesMut,
    /// Offset in the body at which each record's framing ends.
    ends: Vec<usize>,
}

impl Records {
    /// No records.
    pub fn new() -> Self {
        Records::default()
    }

    /// No records, with room for `records` of them that take `bytes` together, framing included.
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        Records { body: BytesMut::with_capacity(bytes), ends: Vec::with_capacity(records) }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.push_with(record.len(), |body| body.put_slice(record));
    }

    /// Adds a record of exactly `len` bytes that `encode` appends to the buffer, which already holds other records.
    ///
    /// # Panics
    /// If `encode` appends another number of bytes: the framing, and with it every later record, would be wrong.
    pub fn push_with(&mut self, len: usize, encode: impl FnOnce(&mut BytesMut)) {
        self.body.put_u8(TAG);
        put_varint(&mut self.body, len);
        let start = self.body.len();
        encode(&mut self.body);
        assert_eq!(self.body.len() - start, len, "a record must take the length it announced");
        self.ends.push(self.body.len());
    }

    /// Takes all records out again and keeps the memory.
    pub fn clear(&mut self) {
        self.body.clear();
        self.ends.clear();
    }

    /// Takes the records behind the first `len` out again.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.body.truncate(self.ends.last().copied().unwrap_or_default());
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All records, framed.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Offsets in [`Records::bytes`] at which the records end.
    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// The records, without framing, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let framed = &self.body[start..end];
            start = end;
            let (header, _) = framing(framed).expect("pushed records are framed");
            &framed[header..]
        })
    }

    /// The records as a reader gets them, the first one at position `first`. Nothing is copied.
    ///
    /// # Panics
    /// If there are more than `u32::MAX` records, four hundred times what a commit may hold.
    pub fn freeze(self, first: u64) -> Chunk {
        let count = u32::try_from(self.ends.len()).expect("a commit holds fewer than 2^32 records");
        Chunk { first, count, body: self.body.freeze() }
    }
}

/// Consecutive records as they come out of the journal. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Position of the first record; one past the reader's position when there is none.
    pub first: u64,
    /// How many records there are.
    pub count: u32,
    /// The records in wire framing.
    pub body: Bytes,
}

impl Chunk {
    /// No records after position `after`.
    pub fn empty(after: u64) -> Self {
        Chunk { first: after + 1, count: 0, body: Bytes::new() }
    }

    /// Position of the last record, from which to read on. Without records, the position the reader had.
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records with their positions, without framing, sharing the chunk's bytes.
    ///
    /// # Panics
    /// While iterating, if the body is not what its count says. The journal never returns such a chunk.
    pub fn records(&self) -> impl Iterator<Item = (u64, Bytes)> + use<> {
        let mut rest = self.body.clone();
        (self.first..self.first + u64::from(self.count)).map(move |position| {
            let (header, len) = framing(&rest).expect("a chunk holds as many records as it counts");
            let mut record = rest.split_to(header + len);
            (position, record.split_off(header))
        })
    }

    /// This chunk and the records that follow it as one, in bytes of its own.
    ///
    /// # Panics
    /// If they do not follow it.
    #[must_use]
    pub fn joined(&self, next: &Chunk) -> Chunk {
        assert_eq!(next.first, self.last() + 1, "joined records must follow each other");
        let mut body = BytesMut::with_capacity(self.body.len() + next.body.len());
        body.put_slice(&self.body);
        body.put_slice(&next.body);
        Chunk { first: self.first, count: self.count + next.count, body: body.freeze() }
    }

    /// The same chunk without what lies beyond position `last`.
    pub(crate) fn up_to(mut self, last: u64) -> Self {
        if self.last() <= last {
            return self;
        }
        let keep = u32::try_from((last + 1).saturating_sub(self.first)).expect("fewer than the chunk holds");
        let end = skip(&self.body, keep).expect("a chunk holds as many records as it counts");
        self.body.truncate(end);
        self.count = keep;
        self
    }
}

/// Offset in `body` behind its first `count` records; `None` if it does not hold that many.
pub(crate) fn skip(body: &[u8], count: u32) -> Option<usize> {
    let mut offset = 0;
    for _ in 0..count {
        let (header, len) = framing(&body[offset..])?;
        offset += header + len;
        if offset > body.len() {
            return None;
        }
    }
    Some(offset)
}

/// How many bytes of framing and of record stand at the start of `framed`, which may end before the record does.
pub(crate) fn framing(framed: &[u8]) -> Option<(usize, usize)> {
    let (&tag, rest) = framed.split_first()?;
    if tag != TAG {
        return None;
    }
    let mut len = 0;
    // Five varint bytes hold 35 bits, more than any record's length.
    for (index, &byte) in rest.iter().take(5).enumerate() {
        len |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((index + 2, len));
        }
    }
    None
}

fn put_varint(buffer: &mut BytesMut, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7F).expect("seven bits");
        value >>= 7;
        if value == 0 {
            buffer.put_u8(low);
            return;
        }
        buffer.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_field_one_repeated() {
        let mut records = Records::new();
        records.push(b"ab");
        records.push(b"");
        records.push(&[7; 300]);
        let mut wire = vec![0x0A, 2, b'a', b'b', 0x0A, 0, 0x0A, 0xAC, 0x02];
        wire.extend([7; 300]);
        assert_eq!(records.bytes(), wire);
        assert_eq!(records.iter().map(<[u8]>::len).collect::<Vec<_>>(), [2, 0, 300]);
    }

    #[test]
    fn a_chunk_gives_back_what_was_pushed_and_shares_its_bytes() {
        let mut records = Records::new();
        records.push(b"satu");
        records.push(b"dua");
        let chunk = records.freeze(41);
        assert_eq!((chunk.first, chunk.last(), chunk.count), (41, 42, 2));
        let read: Vec<_> = chunk.records().collect();
        assert_eq!(read, [(41, Bytes::from_static(b"satu")), (42, Bytes::from_static(b"dua"))]);
        assert_eq!(read[0].1.as_ptr(), chunk.body[2..].as_ptr());
        assert_eq!(chunk.clone().up_to(41).records().count(), 1);
        assert!(chunk.clone().up_to(40).is_empty());
        assert_eq!(chunk.clone().up_to(99), chunk);
    }

    #[test]
    fn chunks_that_follow_each_other_are_joined_into_the_chunk_of_all_their_records() {
        let chunk = |first, records: &[&[u8]]| {
            let mut all = Records::new();
            records.iter().for_each(|record| all.push(record));
            all.freeze(first)
        };
        let joined = chunk(7, &[b"satu", b"dua"]).joined(&chunk(9, &[b"", b"tiga"]));
        assert_eq!(joined, chunk(7, &[b"satu", b"dua", b"", b"tiga"]));
    }

    #[test]
    #[should_panic(expected = "must follow each other")]
    fn chunks_with_a_gap_between_them_are_not_joined() {
        let mut records = Records::new();
        records.push(b"satu");
        let chunk = records.freeze(7);
        let _ = chunk.joined(&Chunk { first: 9, ..chunk.clone() });
    }

    #[test]
    #[should_panic(expected = "the length it announced")]
    fn a_record_that_lies_about_its_length_is_caught() {
        Records::new().push_with(3, |body| body.put_slice(b"four"));
    }

    #[test]
    fn an_empty_chunk_keeps_the_readers_position() {
        assert_eq!(Chunk::empty(0).last(), 0);
        assert_eq!(Chunk::empty(7).last(), 7);
    }
}
