//! One frame: the unit the log is stored, checked and salvaged in.
//!
//! A frame holds consecutive records of one commit, or a piece of one long record. It describes itself, so that it can be
//! found and checked in raw bytes without the storage engine around it. All numbers are little-endian.
//!
//! | offset  | bytes | field |
//! |---------|-------|-------|
//! | 0       | 4     | magic `F5 53 47 4A`; the first byte occurs in no UTF-8 text |
//! | 4       | 1     | version, 1 |
//! | 5       | 1     | flags, below |
//! | 6       | 2     | part: 0, or which piece of a long record this is |
//! | 8       | 8     | first: position of the record the body's first byte belongs to |
//! | 16      | 4     | count: how many records **end** in this frame |
//! | 20      | 4     | n, the body's length |
//! | 24      | 32    | chain hash of the frame before, zeros in the first frame of a log |
//! | 56      | n     | body: the content, or what the codec made of it |
//! | 56 + n  | 32    | chain hash: BLAKE3 of everything before it |
//! | 88 + n  | 4     | CRC-32C of everything before it, so that a reader need not hash |
//!
//! | flag | meaning |
//! |------|---------|
//! | bit 0 | last frame of its commit |
//! | bit 1 | the record goes on in the next frame |
//! | bit 2 | the body begins inside a record |
//! | bits 4-5 | codec of the body: 0 is none, 1 is one Zstandard frame that tells its content's length; 2 and 3 are not known yet |
//! | others | zero |
//!
//! The content is records in wire framing, or a piece of that. Pieces are never compressed.
//!
//! A record that does not fit one body has its frames to itself: part 0 with bit 1, parts with bits 1 and 2, a last part with
//! bit 2; the count is 1 in the last part and 0 in those before. The key of a frame is its first position and its part, both
//! big-endian, so keys sort in log order.
//!
//! The whole frame takes at most [`FRAME_BYTES_MAX`]: a leaf of the storage engine with sixteen of them is still written into
//! its synced file and not as a blob beside it.

use std::borrow::Cow;

use crate::records::{framing, skip};
use crate::{Hash, codec};

/// The longest frame.
pub const FRAME_BYTES_MAX: usize = 7 * 1024;
/// The longest body.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES - TRAILER_BYTES;
/// The longest content of a frame, however short its body is. Bounds what a reader allocates for one.
pub const CONTENT_BYTES_MAX: usize = 64 * 1024;
/// The newest version this program reads, and the one it writes.
pub const VERSION: u8 = 1;
/// The four bytes every frame begins with.
pub const MAGIC: [u8; 4] = [0xF5, b'S', b'G', b'J'];

const HEADER_BYTES: usize = 56;
const TRAILER_BYTES: usize = 36;

const LAST: u8 = 1 << 0;
const CONTINUES: u8 = 1 << 1;
const CONTINUED: u8 = 1 << 2;
const ZSTD: u8 = 1 << 4;

/// Where a frame stands in the log. Keys sort in log order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// Position of the record the body's first byte belongs to.
    pub first: u64,
    /// Which piece of a long record; otherwise 0.
    pub part: u16,
}

/// A key as it is stored.
pub type KeyBytes = [u8; 10];

impl Key {
    /// The key as it is stored: it sorts as bytes in log order.
    pub fn to_bytes(self) -> KeyBytes {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.first.to_be_bytes());
        bytes[8..].copy_from_slice(&self.part.to_be_bytes());
        bytes
    }

    /// The key stored as `bytes`, if that is one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let (first, part) = bytes.split_first_chunk()?;
        Some(Key { first: u64::from_be_bytes(*first), part: u16::from_be_bytes(part.try_into().ok()?) })
    }
}

/// What a frame says, without its hash. Decoding and encoding again gives the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Where it stands.
    pub key: Key,
    /// Whether it is the last of its commit.
    pub last: bool,
    /// Whether its record goes on in the next frame.
    pub continues: bool,
    /// Whether its body begins inside a record.
    pub continued: bool,
    /// How many records end in it.
    pub count: u32,
    /// Chain hash of the frame before.
    pub previous: Hash,
    /// Whether the body is compressed.
    pub compressed: bool,
    /// The content as it is stored; [`Frame::content`] tells what it is.
    pub body: &'a [u8],
}

/// Why bytes are not a sound frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// They end too early, go on too long, or give an impossible length.
    #[error("its length is wrong")]
    Length,
    /// They do not begin like a frame.
    #[error("it does not begin like a frame")]
    Magic,
    /// A newer program wrote them.
    #[error("it has version {0}, unknown to this program")]
    Version(u8),
    /// Flags or a codec that this version does not have.
    #[error("its flags {0:#04x} are unknown")]
    Flags(u8),
    /// The CRC does not match.
    #[error("its CRC does not match")]
    Crc,
    /// It stands where no record can: before the first position, or past the last that there is.
    #[error("its position is none that a record can have")]
    Position,
    /// Its body is no Zstandard frame, or holds more than a frame may.
    #[error("its body cannot be decompressed")]
    Codec,
    /// The CRC matches but the hash does not: somebody edited the frame.
    #[error("its hash does not match its content")]
    Hash,
}

impl<'a> Frame<'a> {
    /// Position of the last record that ends in this frame; `first - 1` if none does. A frame that was decoded has one.
    pub fn end(&self) -> u64 {
        self.key.first + u64::from(self.count) - 1
    }

    /// Records in wire framing, or a piece of that: the body, or what it was before it was compressed.
    pub fn content(&self) -> Result<Cow<'a, [u8]>, Damage> {
        if self.compressed { codec::decompress(self.body).map(Cow::Owned) } else { Ok(Cow::Borrowed(self.body)) }
    }

    /// The first record that begins in this frame, without framing; of one that goes on in the next frame only its beginning. `None`
    /// when none begins in it.
    pub fn first_record(&self) -> Result<Option<Vec<u8>>, Damage> {
        self.record(0)
    }

    /// The same of the last record that begins in this frame.
    pub fn last_record(&self) -> Result<Option<Vec<u8>>, Damage> {
        self.record(self.count.saturating_sub(1))
    }

    /// The record with so many others before it.
    fn record(&self, before: u32) -> Result<Option<Vec<u8>>, Damage> {
        if self.continued {
            return Ok(None);
        }
        let content = self.content()?;
        let start = skip(&content, before).ok_or(Damage::Length)?;
        let (header, len) = framing(&content[start..]).ok_or(Damage::Length)?;
        let bytes = &content[start + header..];
        Ok(Some(bytes[..len.min(bytes.len())].to_vec()))
    }

    /// Writes the frame to `out`, replacing what was there, and returns its chain hash.
    ///
    /// # Panics
    /// If the body is longer than [`BODY_BYTES_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) -> Hash {
        assert!(self.body.len() <= BODY_BYTES_MAX, "a frame's body is cut to fit");
        let body_len = u32::try_from(self.body.len()).expect("bounded by BODY_BYTES_MAX");
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.last, LAST)
            | flag(self.continues, CONTINUES)
            | flag(self.continued, CONTINUED)
            | flag(self.compressed, ZSTD);
        out.clear();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, flags]);
        out.extend_from_slice(&self.key.part.to_le_bytes());
        out.extend_from_slice(&self.key.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&body_len.to_le_bytes());
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(self.body);
        let hash = *blake3::hash(out).as_bytes();
        out.extend_from_slice(&hash);
        out.extend_from_slice(&crc32c::crc32c(out).to_le_bytes());
        hash
    }

    /// Reads the frame that `bytes` are, checking the CRC but not the hash: damage is noticed, an edited frame is not.
    pub fn decode(bytes: &'a [u8]) -> Result<Frame<'a>, Damage> {
        let len = length(bytes)?;
        if bytes.len() != len {
            return Err(Damage::Length);
        }
        let (content, crc) = bytes.split_at(len - 4);
        if crc32c::crc32c(content).to_le_bytes() != *crc {
            return Err(Damage::Crc);
        }
        let flags = bytes[5];
        let pieces_and_codec = flags & (CONTINUES | CONTINUED) != 0 && flags & ZSTD != 0;
        if flags & !(LAST | CONTINUES | CONTINUED | ZSTD) != 0 || pieces_and_codec {
            return Err(Damage::Flags(flags));
        }
        let key = Key { first: u64::from_le_bytes(array(bytes, 8)), part: u16::from_le_bytes(array(bytes, 6)) };
        let (continues, count) = (flags & CONTINUES != 0, u32::from_le_bytes(array(bytes, 16)));
        // What follows the frame has a key, too. Whoever looks for frames in raw bytes counts on it.
        let has_next = key.first.checked_add(u64::from(count)).is_some() && !(continues && key.part == u16::MAX);
        if key.first == 0 || !has_next {
            return Err(Damage::Position);
        }
        Ok(Frame {
            key,
            last: flags & LAST != 0,
            continues,
            continued: flags & CONTINUED != 0,
            count,
            previous: array(bytes, 24),
            compressed: flags & ZSTD != 0,
            body: &bytes[HEADER_BYTES..len - TRAILER_BYTES],
        })
    }

    /// Reads the frame that `bytes` are, checking CRC and hash, and returns it with its chain hash.
    pub fn decode_and_hash(bytes: &'a [u8]) -> Result<(Frame<'a>, Hash), Damage> {
        let frame = Frame::decode(bytes)?;
        let stored = chain_hash(bytes);
        if blake3::hash(&bytes[..bytes.len() - TRAILER_BYTES]) != stored {
            return Err(Damage::Hash);
        }
        Ok((frame, stored))
    }
}

/// The chain hash stored in a frame that was decoded before.
pub(crate) fn chain_hash(frame: &[u8]) -> Hash {
    array(frame, frame.len() - TRAILER_BYTES)
}

/// Where in a decoded frame its body is.
pub(crate) fn body_range(frame: &[u8]) -> std::ops::Range<usize> {
    HEADER_BYTES..frame.len() - TRAILER_BYTES
}

/// Whole frames in raw bytes, such as the storage engine's file, with their offsets: whatever begins like a frame and has
/// the right CRC. The same frame may be found several times, or be one that was never acknowledged.
pub fn find(raw: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        while offset < raw.len() {
            let candidate = &raw[offset..];
            if candidate.starts_with(&MAGIC)
                && let Ok(len) = length(candidate)
                && let Some(bytes) = candidate.get(..len)
                && Frame::decode(bytes).is_ok()
            {
                let at = offset;
                offset += len;
                return Some((at, bytes));
            }
            offset += 1;
        }
        None
    })
}

/// The frame that `bytes` begin with, not checked further, and what comes behind it.
pub fn split_first(bytes: &[u8]) -> Result<(&[u8], &[u8]), Damage> {
    bytes.split_at_checked(length(bytes)?).ok_or(Damage::Length)
}

/// Length of the frame that `bytes` begin with, from its header.
fn length(bytes: &[u8]) -> Result<usize, Damage> {
    if bytes.len() < HEADER_BYTES {
        return Err(Damage::Length);
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(Damage::Magic);
    }
    if bytes[4] != VERSION {
        return Err(Damage::Version(bytes[4]));
    }
    let body = usize::try_from(u32::from_le_bytes(array(bytes, 20))).map_err(|_| Damage::Length)?;
    if body > BODY_BYTES_MAX {
        return Err(Damage::Length);
    }
    Ok(HEADER_BYTES + body + TRAILER_BYTES)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let frame = Frame {
            key: Key { first: 7, part: 0 },
            last: true,
            continues: false,
            continued: false,
            count: 1,
            previous: [3; 32],
            compressed: false,
            body: &[0x0A, 1, b'x'],
        };
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes
    }

    #[test]
    fn any_flipped_byte_of_a_frame_is_noticed() {
        let bytes = sample();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert!(Frame::decode(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_edited_frame_with_a_fresh_crc_is_given_away_by_its_hash() {
        let mut bytes = sample();
        bytes[58] = b'y';
        let len = bytes.len();
        let crc = crc32c::crc32c(&bytes[..len - 4]).to_le_bytes();
        bytes[len - 4..].copy_from_slice(&crc);
        assert!(Frame::decode(&bytes).is_ok());
        assert_eq!(Frame::decode_and_hash(&bytes), Err(Damage::Hash));
    }

    #[test]
    fn a_position_that_no_record_can_have_is_refused_whatever_the_checksums_say() {
        let sample = sample();
        let sample = Frame::decode(&sample).unwrap();
        let mut bytes = Vec::new();
        let keys = [(0, 0, 1), (u64::MAX, 0, 1), (u64::MAX - 1, 0, 2), (1, u16::MAX, 0)];
        for (first, part, count) in keys {
            Frame { key: Key { first, part }, count, last: false, continues: part > 0, ..sample }.encode(&mut bytes);
            assert_eq!(Frame::decode(&bytes), Err(Damage::Position), "{first} {part} {count}");
        }
        Frame { key: Key { first: u64::MAX - 1, part: 0 }, ..sample }.encode(&mut bytes);
        assert_eq!(Frame::decode(&bytes).map(|frame| frame.end()), Ok(u64::MAX - 1));
    }

    #[test]
    fn every_truncation_and_an_extra_byte_are_refused() {
        let mut bytes = sample();
        for len in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        bytes.push(0);
        assert_eq!(Frame::decode(&bytes), Err(Damage::Length));
    }

    #[test]
    fn frames_are_found_in_raw_bytes_around_decoys() {
        let frame = sample();
        let mut raw = b"noise \xF5SGJ half a frame".to_vec();
        raw.extend(&frame);
        raw.extend(&frame);
        raw.extend(&frame[..40]);
        let found: Vec<_> = find(&raw).collect();
        assert_eq!(found, [(23, &frame[..]), (23 + frame.len(), &frame[..])]);
    }

    #[test]
    fn keys_sort_in_log_order_as_bytes() {
        let keys = [(1, 0), (1, 1), (1, 256), (2, 0), (256, 0)].map(|(first, part)| Key { first, part });
        assert!(keys.windows(2).all(|pair| pair[0].to_bytes() < pair[1].to_bytes()));
        assert_eq!(keys.map(|key| Key::from_bytes(&key.to_bytes())), keys.map(Some));
        assert_eq!(Key::from_bytes(b"short"), None);
    }
}
