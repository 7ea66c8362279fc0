//! Reads the access log from end to end.

use prost::Message as _;
use satgas_journal::Journal;
use satgas_proto::v1;

use super::{AccessOpenError, CHUNK_BYTES};

/// Hands over every event up to the present head, in order. Blocks.
pub(super) fn each(journal: &dyn Journal, mut take: impl FnMut(v1::AccessEvent)) -> Result<(), AccessOpenError> {
    let (head, mut after) = (journal.head().position, 0);
    while after < head {
        let chunk = journal.read(after, CHUNK_BYTES)?;
        for (position, bytes) in chunk.records() {
            take(v1::AccessEvent::decode(bytes).map_err(|_| AccessOpenError::Malformed(position))?);
        }
        after = chunk.last();
    }
    Ok(())
}
