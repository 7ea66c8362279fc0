//! Frames of the log, and what is salvaged from raw bytes.

use satgas_journal::{
    Hash, Head, Journal, MemoryJournal, Records,
    disk::{look_in, salvage},
    frame::{BODY_BYTES_MAX, CONTENT_BYTES_MAX, Damage, FRAME_BYTES_MAX, Frame, Key, find},
    walk::Walk,
};

use crate::input::Input;

/// Records of one run are kept to a size that runs quickly.
const RECORDS_MAX: usize = 64;
/// Parts that a raw file is made of.
const PARTS_MAX: usize = 32;

/// The first byte says how the others are read.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.u8() % 4 {
        0 => raw(input.0),
        1 => made(input),
        2 => written(input),
        _ => salvaged(input),
    }
}

/// Bytes as they came.
fn raw(bytes: &[u8]) {
    match Frame::decode(bytes) {
        Ok(frame) => sound(bytes, &frame),
        Err(_) => assert!(Frame::decode_and_hash(bytes).is_err(), "the stricter check takes no more"),
    }
    let mut end = 0;
    for (offset, found) in find(bytes) {
        assert!(offset >= end && found.len() <= FRAME_BYTES_MAX, "frames neither overlap nor are too long");
        assert_eq!(found, &bytes[offset..offset + found.len()]);
        end = offset + found.len();
        sound(found, &Frame::decode(found).expect("what is found is sound"));
    }
    look_in(bytes);
    salvage(bytes, Head::EMPTY, |_| ());
}

/// What holds of every frame that is taken.
fn sound(bytes: &[u8], frame: &Frame<'_>) {
    let mut again = Vec::new();
    let hash = frame.encode(&mut again);
    let chained = bytes.len() - 36;
    assert_eq!(again[..chained], bytes[..chained], "the same frame is the same bytes");
    match Frame::decode_and_hash(bytes) {
        Ok((same, stored)) => {
            assert_eq!((&same, stored), (frame, hash));
            assert_eq!(again, bytes, "a frame that is verified is the one that would be written");
        }
        Err(damage) => assert_eq!(damage, Damage::Hash),
    }
    assert!(frame.end() >= frame.key.first.saturating_sub(1), "a frame ends where its records do");
    if let Ok(content) = frame.content() {
        assert!(content.len() <= CONTENT_BYTES_MAX.max(BODY_BYTES_MAX), "{} bytes", content.len());
    }
    // A log that consists of this frame, and one that it follows.
    let _ = Walk::after(Head::EMPTY).step(frame.key, bytes);
    if let Some(position) = frame.key.first.checked_sub(1) {
        let before = Head { position, hash: frame.previous };
        let mut walk = Walk::after(before);
        if walk.step(frame.key, bytes).is_ok() && frame.last {
            assert_eq!(walk.committed(), Head { position: frame.end(), hash });
        }
    }
}

/// A frame with a header of any kind, and the hash and CRC that belong to it: what somebody could write who knows the format.
fn made(mut input: Input<'_>) {
    let (flags, version) = (input.u8(), input.u8());
    let (part, first, count, len) = (input.u16(), input.u64(), input.u32(), input.u32());
    let previous: Hash = [input.u8(); 32];
    let body = &input.0[..input.0.len().min(BODY_BYTES_MAX)];
    let mut bytes = b"\xF5SGJ".to_vec();
    // Zero stands for what is right, so that most inputs get further than the header.
    bytes.extend([if version == 0 { 1 } else { version }, flags]);
    bytes.extend(part.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    let right = u32::try_from(body.len()).expect("bounded above");
    bytes.extend(if len == 0 { right } else { len }.to_le_bytes());
    bytes.extend(previous);
    bytes.extend(body);
    bytes.extend(blake3::hash(&bytes).as_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    if let Ok(frame) = Frame::decode(&bytes) {
        assert!(Frame::decode_and_hash(&bytes).is_ok(), "hash and CRC are right");
        sound(&bytes, &frame);
    }
    raw(&bytes);
}

/// Records that are written come back, in commits of their own, and the frames in between verify.
fn written(mut input: Input<'_>) {
    let journal = MemoryJournal::new();
    let (mut all, mut read_max) = (Vec::new(), usize::from(input.u16()));
    while !input.0.is_empty() && all.len() < RECORDS_MAX {
        let mut records = Records::new();
        for _ in 0..=input.u8() % 8 {
            // Repeated, so that short inputs make long records, which are compressed or cut.
            let times = usize::from(input.u8());
            let record = input.piece().repeat(times);
            records.push(&record);
            all.push(record);
        }
        let expected = journal.head().position;
        journal.append(expected, &records).expect("a commit within the limits is taken");
    }
    let verified = journal.verify(&mut |_| ()).expect("what was written is sound");
    assert_eq!((verified.records, verified.head), (all.len() as u64, journal.head()));
    let mut read: Vec<Vec<u8>> = Vec::new();
    read_max = read_max.max(1);
    while (read.len() as u64) < journal.head().position {
        let after = read.len() as u64;
        let chunk = journal.read(after, read_max).expect("every record can be read");
        assert!(!chunk.is_empty() && chunk.first == after + 1, "a reader gets on");
        read.extend(chunk.records().map(|(_, record)| record.to_vec()));
    }
    assert!(read == all, "what is read is what was written");
}

/// A raw file: frames of one log, frames of another branch, what is neither, and frames that were cut.
fn salvaged(mut input: Input<'_>) {
    let (mut raw, mut head, mut commits) = (Vec::new(), Head::EMPTY, vec![Head::EMPTY]);
    let (mut honest, mut forked) = (true, false);
    for _ in 0..PARTS_MAX {
        if input.0.is_empty() {
            break;
        }
        match input.u8() % 5 {
            0 => {
                let next = commit(&mut raw, head, &mut input);
                if next != head {
                    commits.push(next);
                }
                head = next;
            }
            1 => {
                // Takes another way from an earlier commit, or from where none was.
                let from = commits[usize::from(input.u8()) % commits.len()];
                commit(&mut raw, from, &mut input);
                forked = true;
            }
            2 => {
                let noise = input.piece();
                honest &= !noise.contains(&0xF5);
                raw.extend_from_slice(noise);
            }
            3 => {
                let keep = usize::from(input.u16()).min(raw.len());
                honest &= keep == raw.len();
                raw.truncate(keep);
            }
            _ => {
                let at = usize::from(input.u16());
                let byte = input.u8();
                if let Some(changed) = raw.get_mut(at) {
                    *changed ^= byte;
                    honest &= byte == 0;
                }
            }
        }
    }
    let mut ends = Vec::new();
    salvage(&raw, head, |end| ends.push(end));
    assert!(ends.windows(2).all(|pair| pair[0].position < pair[1].position), "commits follow each other");
    let (whole, damaged) = look_in(&raw);
    if honest {
        assert!(ends.starts_with(&commits[1..]), "every acknowledged commit is salvaged, whatever else there is");
        assert!(damaged.is_none(), "nothing is damaged");
    }
    if honest && !forked {
        assert_eq!((ends.len() + 1, whole), (commits.len(), head.position));
    }
    let twice = [&raw[..], &raw[..]].concat();
    let mut again = Vec::new();
    salvage(&twice, head, |end| again.push(end));
    assert!(again.len() >= ends.len(), "a second copy loses nothing");
}

/// Writes a commit of one frame behind `head`.
fn commit(raw: &mut Vec<u8>, head: Head, input: &mut Input<'_>) -> Head {
    let mut records = Records::new();
    let count = u32::from(input.u8() % 4) + 1;
    (0..count).for_each(|_| records.push(input.piece()));
    let body = records.bytes();
    let compressed = zstd::bulk::compress(body, 1).expect("any bytes can be compressed");
    let fits = body.len() <= BODY_BYTES_MAX;
    if !fits && (compressed.len() > BODY_BYTES_MAX || body.len() > CONTENT_BYTES_MAX) {
        return head;
    }
    let key = Key { first: head.position + 1, part: 0 };
    let (last, continues, continued, previous) = (true, false, false, head.hash);
    let body = if fits { body } else { &compressed };
    let mut frame = Vec::new();
    let hash = Frame { key, last, continues, continued, count, previous, compressed: !fits, body }.encode(&mut frame);
    raw.extend_from_slice(&frame);
    Head { position: head.position + u64::from(count), hash }
}
