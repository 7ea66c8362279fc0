//! Releases as they go out. A release never changes: its tables are encoded when somebody first asks for them, and all answers share the bytes.

use std::{collections::HashMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use prost::encoding;
use satgas_proto::v1;

/// Bytes of tables that are kept. A country's are about one megabyte; when there is no room, all are encoded anew as they are asked for.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The tables of a release, as fields of `GetReleaseResponse`.
#[derive(Debug)]
pub(crate) struct Frozen {
    columns: Bytes,
    areas: Bytes,
    /// Where each area ends in the bytes of all.
    ends: Vec<usize>,
}

impl Frozen {
    pub(crate) fn of(release: &v1::ReleasePublished) -> Self {
        let (mut columns, mut areas) = (BytesMut::new(), BytesMut::new());
        encoding::message::encode_repeated(2, &release.columns, &mut columns);
        let end = |area| {
            encoding::message::encode(3, area, &mut areas);
            areas.len()
        };
        let ends = release.areas.iter().map(end).collect();
        Self { columns: columns.freeze(), areas: areas.freeze(), ends }
    }

    /// What follows the release itself in an answer: its columns, the areas of a page that begins behind `first` others, and the token of the
    /// next page.
    pub(crate) fn page(&self, first: usize, size: usize) -> [Bytes; 3] {
        let after = self.ends.len().min(first.saturating_add(size));
        let end_of = |areas: usize| areas.checked_sub(1).map_or(0, |last| self.ends[last]);
        let areas = if first < after { self.areas.slice(end_of(first)..end_of(after)) } else { Bytes::new() };
        let mut token = BytesMut::new();
        if first < after && after < self.ends.len() {
            encoding::string::encode(4, &after.to_string(), &mut token);
        }
        [self.columns.clone(), areas, token.freeze()]
    }

    fn bytes(&self) -> usize {
        self.columns.len() + self.areas.len() + self.ends.len() * size_of::<usize>()
    }
}

/// The tables that were asked for so far, by the release's id.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<String, Arc<Frozen>>,
    bytes: usize,
}

impl Shelf {
    pub(crate) fn find(&self, release_id: &str) -> Option<Arc<Frozen>> {
        self.0.lock().by_id.get(release_id).map(Arc::clone)
    }

    /// Keeps the tables of a release. Of two that encoded it at the same time the first is kept.
    pub(crate) fn keep(&self, release_id: String, frozen: Frozen) -> Arc<Frozen> {
        let mut kept = self.0.lock();
        if let Some(known) = kept.by_id.get(&release_id) {
            return Arc::clone(known);
        }
        let bytes = frozen.bytes();
        if kept.bytes + bytes > BYTES_MAX {
            *kept = Kept::default();
        }
        let frozen = Arc::new(frozen);
        if bytes <= BYTES_MAX {
            kept.bytes += bytes;
            kept.by_id.insert(release_id, Arc::clone(&frozen));
        }
        frozen
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn release() -> v1::ReleasePublished {
        let area = |n: u64| v1::ReleasedArea { code: format!("53.71.{n:02}"), cases: 5 + n, counts: vec![n, 0, 300] };
        let column = v1::ReleaseColumn { table: v1::ReleaseTable::Place.into(), code: "PLACE_DARING".to_owned() };
        v1::ReleasePublished { columns: vec![column], areas: (1..=5).map(area).collect(), ..Default::default() }
    }

    #[test]
    fn a_page_is_the_answer_to_the_byte_and_shares_what_was_encoded_once() {
        let (release, shelf) = (release(), Shelf::default());
        let frozen = shelf.keep("a".to_owned(), Frozen::of(&release));
        for (first, size, token) in
            [(0, 2, "2"), (2, 2, "4"), (4, 2, ""), (0, 5, ""), (0, 9, ""), (5, 2, ""), (99, 2, "")]
        {
            let page = frozen.page(first, size);
            let answer = v1::GetReleaseResponse {
                release: None,
                columns: release.columns.clone(),
                areas: release.areas.iter().skip(first).take(size).cloned().collect(),
                next_page_token: token.to_owned(),
            };
            assert_eq!(page.concat(), answer.encode_to_vec(), "{size} behind {first}");
            let own = frozen.areas.as_ptr_range();
            assert!(page[1].is_empty() || own.contains(&page[1].as_ptr()), "no bytes of its own");
        }
        let again = shelf.find("a").unwrap();
        assert_eq!(again.areas.as_ptr(), frozen.areas.as_ptr());
        assert!(Arc::ptr_eq(&shelf.keep("a".to_owned(), Frozen::of(&release)), &frozen), "the first is kept");
        assert!(shelf.find("b").is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let shelf = Shelf::default();
        let large = || Frozen { columns: Bytes::from(vec![0; BYTES_MAX / 3]), areas: Bytes::new(), ends: Vec::new() };
        for id in 0..9 {
            shelf.keep(id.to_string(), large());
            assert!(shelf.0.lock().bytes <= BYTES_MAX && shelf.find(&id.to_string()).is_some());
        }
        shelf.keep("larger".to_owned(), Frozen { columns: Bytes::from(vec![0; BYTES_MAX + 1]), ..large() });
        assert!(shelf.find("larger").is_none());
    }
}
