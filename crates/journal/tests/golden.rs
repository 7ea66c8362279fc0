//! Version 1 of the frame, byte for byte. The files are never edited: whoever changes the format adds a version.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use satgas_journal::frame::{Frame, Key};

/// The frame in the file, as hexadecimal digits in lines.
fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn check(name: &str, expected: Frame<'_>) {
    let bytes = golden(name);
    let (frame, hash) = Frame::decode_and_hash(&bytes).unwrap();
    assert_eq!(frame, expected, "{name}");
    let mut again = Vec::new();
    assert_eq!(frame.encode(&mut again), hash);
    assert_eq!(again, bytes, "{name} is not encoded as it was");
}

fn single() -> Frame<'static> {
    Frame {
        key: Key { first: 1, part: 0 },
        last: true,
        continues: false,
        continued: false,
        count: 1,
        previous: [0; 32],
        compressed: false,
        body: b"\x0A\x04satu",
    }
}

#[test]
fn a_frame_of_one_record_is_as_it_was() {
    check("v1_one_record.hex", single());
}

#[test]
fn a_frame_of_several_records_is_as_it_was() {
    let body = b"\x0A\x03dua\x0A\x00\x0A\x04tiga";
    let previous = std::array::from_fn(|index| u8::try_from(index).unwrap());
    check(
        "v1_three_records.hex",
        Frame { key: Key { first: 0x0102_0304_0506, part: 0 }, last: false, count: 3, previous, body, ..single() },
    );
}

#[test]
fn a_compressed_frame_is_as_it_was_and_so_is_what_it_holds() {
    let bytes = golden("v1_compressed.hex");
    let (frame, hash) = Frame::decode_and_hash(&bytes).unwrap();
    let body = frame.body;
    check("v1_compressed.hex", Frame { key: Key { first: 8, part: 0 }, count: 3, compressed: true, body, ..single() });
    let record = [b"\x0A\x64".as_slice(), &[b'a'; 100]].concat();
    // Other versions of the codec may make other bodies of it, and must read this one.
    assert_eq!(frame.content().unwrap().as_ref(), record.repeat(3));
    assert_ne!(hash, [0; 32]);
}

#[test]
fn the_pieces_of_a_long_record_are_as_they_were() {
    // As the writer cuts it, each piece would be full; the format does not ask for that.
    let piece = Frame {
        key: Key { first: 2, part: 0 },
        last: false,
        continues: true,
        count: 0,
        previous: [0xEE; 32],
        body: b"\x0A\x09pan",
        ..single()
    };
    check("v1_long_record_begin.hex", piece);
    let middle = Frame { key: Key { first: 2, part: 1 }, continued: true, body: b"jan", ..piece };
    check("v1_long_record_middle.hex", middle);
    let end = Frame {
        key: Key { first: 2, part: 2 },
        last: true,
        continues: false,
        continued: true,
        count: 1,
        body: b"g.2",
        ..piece
    };
    check("v1_long_record_end.hex", end);
}
