//! Walking a log frame by frame and checking that each follows from the one before.

use crate::frame::{Damage, Frame, Key};
use crate::records::{framing, skip};
use crate::{Fault, Hash, Head, Verified};

/// A walk over consecutive frames. It starts at a commit boundary and knows what the next frame must look like.
#[derive(Clone, Debug)]
pub struct Walk {
    start: u64,
    /// What the next frame's key must be.
    next: Key,
    hash: Hash,
    /// Bytes of a long record that are still to come; 0 between records.
    missing: usize,
    /// Where the last whole commit ended.
    committed: Head,
    commits: u64,
    frames: u64,
    bytes: u64,
}

impl Walk {
    /// A walk that begins behind `head`, which must be the end of a commit; [`Head::EMPTY`] for the whole log.
    pub fn after(head: Head) -> Self {
        Walk {
            start: head.position,
            next: Key { first: head.position + 1, part: 0 },
            hash: head.hash,
            missing: 0,
            committed: head,
            commits: 0,
            frames: 0,
            bytes: 0,
        }
    }

    /// The position the next frame must begin at: the first one that is not yet known to be good.
    pub fn position(&self) -> u64 {
        self.next.first
    }

    /// The end of the last whole commit so far.
    pub fn committed(&self) -> Head {
        self.committed
    }

    /// Checks the next frame: it is sound, stands under the right key, follows the chain and holds what it counts. After a
    /// fault the walk is where it was.
    pub fn step(&mut self, key: Key, bytes: &[u8]) -> Result<(), Fault> {
        let (frame, hash) = Frame::decode_and_hash(bytes).map_err(|damage: Damage| self.fault(damage.to_string()))?;
        if frame.key != key {
            return Err(self.fault("a frame is stored under another frame's key"));
        }
        if key != self.next {
            return Err(self.fault(format!("a frame of position {} part {} follows", key.first, key.part)));
        }
        if frame.previous != self.hash {
            return Err(self.fault("the chain is broken: the frame does not follow the one before"));
        }
        let missing = self.content(&frame)?;
        self.missing = missing;
        self.hash = hash;
        self.frames += 1;
        self.bytes += bytes.len() as u64;
        self.next = match frame.continues {
            true => Key { first: key.first, part: key.part + 1 },
            false => Key { first: frame.end() + 1, part: 0 },
        };
        if frame.last {
            self.commits += 1;
            self.committed = Head { position: frame.end(), hash };
        }
        Ok(())
    }

    /// Ends the walk at the end of the log, where a commit must end too.
    pub fn finish(self) -> Result<Verified, Fault> {
        if self.committed.position + 1 != self.next.first || self.missing > 0 {
            let what = "the log ends inside a commit";
            return Err(Fault::new(self.committed.position + 1, what));
        }
        Ok(Verified {
            records: self.committed.position - self.start,
            commits: self.commits,
            frames: self.frames,
            bytes: self.bytes,
            head: self.committed,
        })
    }

    /// Checks the body against the flags and the count. Returns how many bytes of the record are still to come.
    fn content(&self, frame: &Frame<'_>) -> Result<usize, Fault> {
        let wrong = || self.fault("the body does not hold the records the frame counts");
        let split = frame.continued || frame.continues;
        if frame.continued != (self.missing > 0) || (frame.continues && frame.last) || frame.key.part == u16::MAX {
            return Err(self.fault("a long record's pieces do not follow each other"));
        }
        if !split {
            let content = frame.content().map_err(|damage| self.fault(damage.to_string()))?;
            let whole = frame.count > 0 && skip(&content, frame.count) == Some(content.len());
            return if whole { Ok(0) } else { Err(wrong()) };
        }
        let total = match frame.continued {
            true => self.missing,
            false => framing(frame.body).map(|(header, len)| header + len).ok_or_else(wrong)?,
        };
        let missing = total.checked_sub(frame.body.len()).ok_or_else(wrong)?;
        let ends_here = missing == 0;
        if frame.body.is_empty() || ends_here == frame.continues || frame.count != u32::from(ends_here) {
            return Err(wrong());
        }
        Ok(missing)
    }

    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::new(self.position(), what)
    }
}

/// Walks over `frames`, which must be the whole log up to `head`, and reports about every thousandth frame's position.
pub(crate) fn verify<I, F>(frames: I, head: Head, progress: &mut dyn FnMut(u64)) -> Result<Verified, Fault>
where
    I: IntoIterator<Item = Result<(Key, F), String>>,
    F: AsRef<[u8]>,
{
    let mut walk = Walk::after(Head::EMPTY);
    let mut frames = frames.into_iter();
    while walk.position() <= head.position {
        let missing = || Fault::new(walk.position(), "the frame is missing");
        let (key, bytes) = frames.next().ok_or_else(missing)?.map_err(|cause| Fault::new(walk.position(), cause))?;
        walk.step(key, bytes.as_ref())?;
        if walk.frames.is_multiple_of(1024) {
            progress(walk.position() - 1);
        }
    }
    let verified = walk.finish()?;
    if verified.head != head {
        return Err(Fault::new(head.position, "the log's end differs from the head that was acknowledged"));
    }
    progress(head.position);
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Records;
    use crate::commit::cut;
    use crate::frame::BODY_BYTES_MAX;

    /// Two commits: three small records; one long record of three parts and a small one.
    fn log() -> (Head, Vec<(Key, Vec<u8>)>) {
        let mut frames = Vec::new();
        let mut records = Records::new();
        [b"a", b"b", b"c"].iter().for_each(|record| records.push(*record));
        let head = cut(Head::EMPTY, &records, |key, frame| frames.push((key, frame.to_vec())));
        records.clear();
        // What no codec makes shorter.
        let mut long = vec![0; 2 * BODY_BYTES_MAX];
        blake3::Hasher::new().finalize_xof().fill(&mut long);
        records.push(&long);
        records.push(b"d");
        let head = cut(head, &records, |key, frame| frames.push((key, frame.to_vec())));
        (head, frames)
    }

    fn check(frames: &[(Key, Vec<u8>)], head: Head) -> Result<Verified, Fault> {
        verify(frames.iter().map(|(key, frame)| Ok((*key, frame))), head, &mut |_| ())
    }

    fn forged(frame: &Frame<'_>) -> (Key, Vec<u8>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        (frame.key, bytes)
    }

    #[test]
    fn a_sound_log_is_counted() {
        let (head, frames) = log();
        let verified = check(&frames, head).unwrap();
        assert_eq!((verified.records, verified.commits, verified.frames), (5, 2, 5));
        assert_eq!(verified.head, head);
        assert_eq!(verified.bytes, frames.iter().map(|(_, frame)| frame.len() as u64).sum::<u64>());
    }

    #[test]
    fn a_missing_or_exchanged_frame_is_named_by_the_first_bad_position() {
        let (head, frames) = log();
        for gone in 0..frames.len() {
            let mut holed = frames.clone();
            let (key, _) = holed.remove(gone);
            assert_eq!(check(&holed, head).unwrap_err().position, key.first, "frame {gone}");
        }
        let mut exchanged = frames.clone();
        exchanged.swap(2, 3);
        assert_eq!(check(&exchanged, head).unwrap_err().position, 4);
    }

    #[test]
    fn a_rewritten_past_breaks_the_chain_right_after_it() {
        let (head, mut frames) = log();
        let bytes = frames[0].1.clone();
        let mut frame = Frame::decode(&bytes).unwrap();
        frame.body = &[0x0A, 1, b'x', 0x0A, 1, b'b', 0x0A, 1, b'c'];
        frames[0] = forged(&frame);
        assert_eq!(check(&frames, head).unwrap_err().position, 4);
    }

    #[test]
    fn a_frame_that_counts_what_it_does_not_hold_is_refused() {
        let (head, mut frames) = log();
        let bytes = frames[0].1.clone();
        let frame = Frame::decode(&bytes).unwrap();
        frames[0] = forged(&Frame { count: 4, ..frame });
        assert_eq!(check(&frames, head).unwrap_err().position, 1);
        frames[0] = forged(&Frame { continues: true, last: false, ..frame });
        assert_eq!(check(&frames, head).unwrap_err().position, 1);
        frames[0] = forged(&Frame { continued: true, ..frame });
        assert_eq!(check(&frames, head).unwrap_err().position, 1);
        frames[0] = forged(&Frame { compressed: true, ..frame });
        let fault = check(&frames, head).unwrap_err();
        assert_eq!((fault.position, fault.what.as_str()), (1, "its body cannot be decompressed"));
    }

    #[test]
    fn a_log_that_ends_inside_a_commit_is_refused() {
        let (_, mut frames) = log();
        frames.pop();
        let hash = crate::frame::chain_hash(&frames.last().unwrap().1);
        let fault = check(&frames, Head { position: 4, hash }).unwrap_err();
        assert_eq!((fault.position, fault.what.as_str()), (4, "the log ends inside a commit"));
    }

    #[test]
    fn another_end_than_the_acknowledged_one_is_refused() {
        let (head, frames) = log();
        assert!(check(&frames, Head { hash: [0; 32], ..head }).is_err());
    }
}
