//! Cutting one commit into frames.

use crate::frame::{BODY_BYTES_MAX, CONTENT_BYTES_MAX, Frame, Key};
use crate::{AppendError, COMMIT_BYTES_MAX, Head, RECORD_BYTES_MAX, Records, codec};

/// Refuses what no implementation may take: a stale position, a record or a commit over its limit.
pub(crate) fn admit(head: Head, expected: u64, records: &Records) -> Result<(), AppendError> {
    if expected != head.position {
        return Err(AppendError::WrongPosition { expected, head: head.position });
    }
    let within = |what, bytes, limit| {
        if bytes > limit { Err(AppendError::TooLarge { what, bytes, limit }) } else { Ok(()) }
    };
    within("a commit", records.bytes().len(), COMMIT_BYTES_MAX)?;
    records.iter().try_for_each(|record| within("a record", record.len(), RECORD_BYTES_MAX))
}

/// How many times shorter than its content a body is expected to be, before a frame of the commit has shown it.
const RATIO_EXPECTED: usize = 4;

/// Cuts admitted records into frames that follow `head`, hands each to `each` in log order, and returns the new head.
/// Frames are filled greedily and cut between records; a record that does not fit a body has its frames to itself.
pub(crate) fn cut(head: Head, records: &Records, mut each: impl FnMut(Key, &[u8])) -> Head {
    let mut writer = Writer { head, part: 0, scratch: Vec::new(), each: &mut each };
    let ends = records.ends();
    let mut content_max = (BODY_BYTES_MAX * RATIO_EXPECTED).min(CONTENT_BYTES_MAX);
    let mut from = 0;
    let mut start = 0;
    while from < ends.len() {
        let bytes = |to: usize| &records.bytes()[start..ends[to - 1]];
        let within = |max: usize| from + ends[from..].partition_point(|&end| end - start <= max);
        let plain = within(BODY_BYTES_MAX);
        let to = if let Some((to, body)) = compressed(&mut content_max, plain.max(from + 1), within, bytes) {
            writer.frame(&body, true, to - from, Pieces::NONE, to == ends.len());
            to
        } else if plain > from {
            writer.frame(bytes(plain), false, plain - from, Pieces::NONE, plain == ends.len());
            plain
        } else {
            writer.long_record(bytes(from + 1), from + 1 == ends.len());
            from + 1
        };
        from = to;
        start = ends[to - 1];
    }
    writer.head
}

/// Records up to an index, at least `least`, and a body that they fit when they are compressed; `None` when they are better left as they are.
/// `content_max` is how much content is tried, and becomes what has shown to fit.
fn compressed<'a>(
    content_max: &mut usize,
    least: usize,
    within: impl Fn(usize) -> usize,
    bytes: impl Fn(usize) -> &'a [u8],
) -> Option<(usize, Vec<u8>)> {
    loop {
        let to = within(*content_max).max(least);
        let content = bytes(to);
        if content.len() > CONTENT_BYTES_MAX {
            return None;
        }
        let body = codec::compress(content);
        let len = body.as_ref().map_or(content.len(), Vec::len);
        // A sixteenth less: the next records may be of another kind.
        *content_max = (content.len() * BODY_BYTES_MAX / len * 15 / 16).clamp(BODY_BYTES_MAX, CONTENT_BYTES_MAX);
        if len <= BODY_BYTES_MAX {
            return body.map(|body| (to, body));
        }
        if to == least {
            return None;
        }
    }
}

struct Writer<'a, Each> {
    head: Head,
    part: u16,
    scratch: Vec<u8>,
    each: &'a mut Each,
}

struct Pieces {
    continued: bool,
    continues: bool,
}

impl Pieces {
    /// Whole records.
    const NONE: Self = Self { continued: false, continues: false };
}

impl<Each: FnMut(Key, &[u8])> Writer<'_, Each> {
    fn long_record(&mut self, framed: &[u8], last: bool) {
        let pieces = framed.len().div_ceil(BODY_BYTES_MAX);
        for (index, piece) in framed.chunks(BODY_BYTES_MAX).enumerate() {
            let ends_here = index + 1 == pieces;
            let sides = Pieces { continued: index > 0, continues: !ends_here };
            self.frame(piece, false, usize::from(ends_here), sides, last && ends_here);
        }
    }

    fn frame(&mut self, body: &[u8], compressed: bool, count: usize, sides: Pieces, last: bool) {
        let frame = Frame {
            key: Key { first: self.head.position + 1, part: self.part },
            last,
            continues: sides.continues,
            continued: sides.continued,
            count: u32::try_from(count).expect("a body holds fewer records than bytes"),
            previous: self.head.hash,
            compressed,
            body,
        };
        let hash = frame.encode(&mut self.scratch);
        (self.each)(frame.key, &self.scratch);
        self.head = Head { position: frame.end(), hash };
        self.part = if sides.continues { self.part + 1 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Records of random bytes, which no codec makes shorter.
    fn frames(sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let record = |size: &usize| {
            let mut record = vec![0; *size];
            random.fill_bytes(&mut record);
            record
        };
        cut_into_frames(sizes.iter().map(record).collect::<Vec<_>>().as_slice())
    }

    fn cut_into_frames(all: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut records = Records::new();
        all.iter().for_each(|record| records.push(record));
        let mut frames = Vec::new();
        cut(Head { position: 9, hash: [1; 32] }, &records, |_, frame| frames.push(frame.to_vec()));
        frames
    }

    fn shape(frames: &[Vec<u8>]) -> Vec<(u64, u16, u32, bool)> {
        let decoded = frames.iter().map(|bytes| Frame::decode(bytes).unwrap());
        decoded.map(|frame| (frame.key.first, frame.key.part, frame.count, frame.last)).collect()
    }

    #[test]
    fn small_records_share_frames_and_only_the_last_frame_ends_the_commit() {
        let frames = frames(&[300; 60]);
        assert_eq!(shape(&frames), [(10, 0, 23, false), (33, 0, 23, false), (56, 0, 14, true)]);
        assert!(frames.iter().all(|bytes| bytes.len() <= crate::frame::FRAME_BYTES_MAX));
    }

    #[test]
    fn records_that_are_alike_are_compressed_and_more_of_them_share_a_frame() {
        // Twelve bytes of each are its own.
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let record = |_| {
            let mut record = vec![0x20; 300];
            random.fill_bytes(&mut record[100..112]);
            record
        };
        let records: Vec<Vec<u8>> = (0..2_000).map(record).collect();
        let frames = cut_into_frames(&records);
        assert!(frames.iter().all(|bytes| bytes.len() <= crate::frame::FRAME_BYTES_MAX));
        let stored: usize = frames.iter().map(Vec::len).sum();
        assert!(stored * 8 < 2_000 * 300, "{stored} bytes in {} frames", frames.len());
        let mut content = Vec::new();
        for bytes in &frames {
            let frame = Frame::decode(bytes).unwrap();
            assert!(frame.compressed);
            content.extend_from_slice(&frame.content().unwrap());
        }
        let mut again = Records::new();
        records.iter().for_each(|record| again.push(record));
        assert_eq!(content, again.bytes());
    }

    #[test]
    fn records_of_two_kinds_in_one_commit_fit_their_frames() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut noise = || {
            let mut record = vec![0; 2_000];
            random.fill_bytes(&mut record);
            record
        };
        let records: Vec<Vec<u8>> = (0..400).map(|n| if n / 40 % 2 == 0 { vec![7; 300] } else { noise() }).collect();
        let frames = cut_into_frames(&records);
        assert!(frames.iter().all(|bytes| bytes.len() <= crate::frame::FRAME_BYTES_MAX));
        let count: u32 = frames.iter().map(|bytes| Frame::decode(bytes).unwrap().count).sum();
        assert_eq!(count, 400);
    }

    #[test]
    fn a_long_record_has_its_frames_to_itself() {
        let frames = frames(&[10, 2 * BODY_BYTES_MAX, 10]);
        let expected = [(10, 0, 1, false), (11, 0, 0, false), (11, 1, 0, false), (11, 2, 1, false), (12, 0, 1, true)];
        assert_eq!(shape(&frames), expected);
    }

    #[test]
    fn the_longest_record_that_fits_is_not_split() {
        // Tag and a varint of two bytes stand before it.
        assert_eq!(shape(&frames(&[BODY_BYTES_MAX - 3])), [(10, 0, 1, true)]);
        assert_eq!(shape(&frames(&[BODY_BYTES_MAX - 2])), [(10, 0, 0, false), (10, 1, 1, true)]);
    }

    #[test]
    fn what_is_over_a_limit_is_refused_before_anything_is_cut() {
        let mut records = Records::new();
        records.push(&vec![0; RECORD_BYTES_MAX]);
        assert!(admit(Head::EMPTY, 0, &records).is_ok());
        records.push(&vec![0; RECORD_BYTES_MAX + 1]);
        assert!(matches!(admit(Head::EMPTY, 0, &records), Err(AppendError::TooLarge { what: "a record", .. })));
        (0..8).for_each(|_| records.push(&vec![0; RECORD_BYTES_MAX]));
        assert!(matches!(admit(Head::EMPTY, 0, &records), Err(AppendError::TooLarge { what: "a commit", .. })));
        assert!(matches!(admit(Head::EMPTY, 1, &records), Err(AppendError::WrongPosition { expected: 1, head: 0 })));
    }
}
