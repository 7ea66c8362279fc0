//! Compressing what a frame holds. The contexts are kept by each thread: making one takes longer than a frame.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::frame::{CONTENT_BYTES_MAX, Damage};

/// The fastest of Zstandard's ordinary levels: the writer compresses between two syncs.
const LEVEL: i32 = 1;
/// Shorter contents are left as they are: what Zstandard adds eats what it saves.
const CONTENT_BYTES_MIN: usize = 128;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The content compressed, if that saves an eighth or more: less is not worth the reader's time.
pub(crate) fn compress(content: &[u8]) -> Option<Vec<u8>> {
    if content.len() < CONTENT_BYTES_MIN {
        return None;
    }
    let body = COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Some(Compressor::new(LEVEL).ok()?);
        }
        kept.as_mut()?.compress(content).ok()
    })?;
    (body.len() <= content.len() - content.len() / 8).then_some(body)
}

/// What a compressed body held.
pub(crate) fn decompress(body: &[u8]) -> Result<Vec<u8>, Damage> {
    let told = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
    let len = told.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= CONTENT_BYTES_MAX);
    let len = len.ok_or(Damage::Codec)?;
    let content = DECOMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Some(Decompressor::new()?);
        }
        kept.as_mut().map_or_else(|| Ok(Vec::new()), |decompressor| decompressor.decompress(body, len))
    });
    content.map_err(|_: std::io::Error| Damage::Codec).and_then(|content| match content.len() == len {
        true => Ok(content),
        false => Err(Damage::Codec),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back_and_what_gains_nothing_is_left() {
        let content = b"kelurahan ".repeat(500);
        let body = compress(&content).unwrap();
        assert!(body.len() < 200);
        assert_eq!(decompress(&body), Ok(content));
        assert_eq!(compress(&[7; CONTENT_BYTES_MIN - 1]), None);
        let mut random = [0; 4_000];
        blake3::Hasher::new().finalize_xof().fill(&mut random);
        assert_eq!(compress(&random), None);
    }

    #[test]
    fn a_body_that_lies_about_its_length_or_is_none_is_refused() {
        let body = compress(&[7; 4_000]).unwrap();
        assert_eq!(decompress(&body[..body.len() - 1]), Err(Damage::Codec));
        assert_eq!(decompress(b""), Err(Damage::Codec));
        assert_eq!(decompress(b"no frame at all"), Err(Damage::Codec));
        let too_long = zstd::bulk::compress(&vec![7; CONTENT_BYTES_MAX + 1], LEVEL).unwrap();
        assert_eq!(decompress(&too_long), Err(Damage::Codec), "nothing is allocated for it");
    }
}
