//! Looking for frames in the raw database file, without sled: what names the position when sled does not open its own file.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    ops::Range,
    path::Path,
};

use super::files;
use crate::{
    Fault, Hash,
    frame::{self, FRAME_BYTES_MAX, Frame, Key, MAGIC},
};

/// Bytes of the file that are looked at at a time.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;

/// What the raw file holds.
#[derive(Default)]
struct Found {
    /// Whole frames: where the chain goes on from each, by key and previous hash.
    whole: HashMap<(Key, Hash), (Key, Hash)>,
    /// First position of the lowest frame of which a damaged copy was seen.
    damaged: Option<u64>,
}

/// Names the position of a fault better, where the raw file shows it: sled gives up, or drops what follows, up to a page before the
/// record that is damaged. `last` is the last position that the log is known to have had.
pub(super) fn sharpen(journal: &Path, fault: Fault, last: u64) -> Fault {
    // An open that was refused may have changed the file; how it was before is in the copy.
    let kept = journal.join(files::KEPT).join(files::DB);
    let database = if kept.is_file() { kept } else { journal.join(files::LOG).join(files::DB) };
    let Ok(found) = look(&database) else { return fault };
    let whole = found.whole();
    let seen = match found.damaged {
        Some(position) if position <= whole => position,
        _ => whole + 1,
    };
    if (fault.position..=last).contains(&seen) {
        return Fault::new(
            seen,
            format!("its frame is damaged; records 1 to {whole} are whole in the raw file ({})", fault.what),
        );
    }
    Fault { what: format!("{}; records 1 to {whole} are whole in the raw file", fault.what), ..fault }
}

/// The last record up to which the chain is whole in a raw file.
pub(super) fn whole(database: &Path) -> io::Result<u64> {
    Ok(look(database)?.whole())
}

fn look(database: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    windows(database, |window| found.look_at(window.bytes, window.sure))?;
    Ok(found)
}

/// A part of a raw file.
pub(super) struct Window<'a> {
    /// Where it begins in the file.
    pub(super) at: u64,
    pub(super) bytes: &'a [u8],
    /// What begins before this lies whole in the window.
    pub(super) sure: usize,
}

/// Looks at a file part by part. A frame may lie across two parts: the end of each is looked at again with the next.
pub(super) fn windows(path: &Path, mut look: impl FnMut(Window<'_>)) -> io::Result<()> {
    let mut file = File::open(path)?;
    let (mut bytes, mut at) = (Vec::with_capacity(WINDOW_BYTES + FRAME_BYTES_MAX), 0);
    loop {
        let read = file.by_ref().take(WINDOW_BYTES as u64).read_to_end(&mut bytes)?;
        let keep_from = bytes.len().saturating_sub(FRAME_BYTES_MAX);
        look(Window { at, bytes: &bytes, sure: if read == 0 { bytes.len() } else { keep_from } });
        if read == 0 {
            return Ok(());
        }
        bytes.drain(..keep_from);
        at += keep_from as u64;
    }
}

impl Found {
    /// The last position of the chain from its beginning.
    fn whole(&self) -> u64 {
        let (mut next, mut hash) = (Key { first: 1, part: 0 }, [0; 32]);
        while let Some((after, own)) = self.whole.get(&(next, hash)) {
            (next, hash) = (*after, *own);
        }
        next.first - 1
    }

    /// Damaged copies are told from cut ones only when they begin before `sure`.
    fn look_at(&mut self, raw: &[u8], sure: usize) {
        let mut sound = Vec::new();
        for (offset, bytes) in frame::find(raw) {
            sound.push(offset..offset + bytes.len());
            if let Ok((frame, hash)) = Frame::decode_and_hash(bytes) {
                let next = match frame.continues {
                    true => Key { first: frame.key.first, part: frame.key.part + 1 },
                    false => Key { first: frame.end() + 1, part: 0 },
                };
                self.whole.insert((frame.key, frame.previous), (next, hash));
            }
        }
        // What begins like a frame and is none is a damaged copy, unless it stands in a sound one: records may hold any bytes.
        let is_sound = |offset: usize| {
            let before = sound.partition_point(|range: &Range<usize>| range.start <= offset);
            before > 0 && sound[before - 1].contains(&offset)
        };
        for offset in offsets(raw, MAGIC).filter(|offset| *offset < sure && !is_sound(*offset)) {
            if let Some(position) =
                raw.get(offset + 8..offset + 16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
            {
                self.damaged = Some(self.damaged.map_or(position, |known| known.min(position)));
            }
        }
    }
}

/// How far the chain reaches in raw bytes from its beginning, and the lowest position of a damaged frame in them: what names a fault.
#[cfg(feature = "fuzz")]
pub fn look_in(raw: &[u8]) -> (u64, Option<u64>) {
    let mut found = Found::default();
    found.look_at(raw, raw.len());
    (found.whole(), found.damaged)
}

fn offsets(raw: &[u8], magic: [u8; 4]) -> impl Iterator<Item = usize> {
    raw.windows(magic.len()).enumerate().filter(move |(_, bytes)| *bytes == magic).map(|(offset, _)| offset)
}
