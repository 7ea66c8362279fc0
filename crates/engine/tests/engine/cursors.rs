//! A subscriber is a cursor: every position once, in order, whatever it reads from and however little at a time.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_domain::id::is_within;
use satgas_engine::{Engine, Filter, Options, ReadError};
use satgas_journal::{Journal, MemoryJournal};
use satgas_proto::v1::{self, EventKind, submission::Content};

use crate::support::*;

/// Bytes and events of a page, from the least to more than there is.
const LIMITS: [(usize, usize); 6] = [(0, 1), (1, 1_000), (1 << 20, 1), (300, 3), (2_000, 7), (1 << 20, usize::MAX)];

/// A log of several commits, kinds, areas and institutions. The tail holds all, some, or none of it.
async fn told(journal: Arc<dyn Journal>, tail_bytes_max: usize) -> Engine {
    let engine = open_town(journal, &Options { tail_bytes_max, ..Options::default() }).await;
    for n in 0..10 {
        let visit = || Content::SchoolVisit(visit_record(10));
        let batch = vec![
            visit_of(10 * n, SATU, visit()),
            visit_of(10 * n + 1, TIGA, visit()),
            visit_of(10 * n + 2, SCHOOL, visit()),
            visit_of(10 * n + 3, OTHER_SCHOOL, visit()),
            case(10 * n + 4),
        ];
        engine.enqueue(batch).await.expect("there is room").receipts().await.expect("it is written");
        let step = command(10 * n + 5, 10 * n + 4, 1, assess(v1::Risk::Tinggi));
        engine.advance(step).await.expect("the case is new");
    }
    engine
}

fn visit_of(n: u32, reporter: &str, content: Content) -> v1::Submission {
    submission(n, reporter, content)
}

async fn every_position_comes_once_and_in_order(journal: Arc<dyn Journal>, tail_bytes_max: usize) {
    let engine = told(journal, tail_bytes_max).await;
    let all = log(&engine).await;
    let head = engine.head().position;
    assert!(all.iter().map(|e| e.position).eq(1..=head));
    for (bytes_max, count_max) in LIMITS {
        for after in [0, 1, 11, 12, 13, 40, head - 1, head] {
            let mut cursor = engine.cursor(after, Filter::default()).expect("within the log");
            let events = read_on(&mut cursor, bytes_max, count_max).await;
            let rest = &all[usize::try_from(after).expect("a short log")..];
            assert_eq!(events, rest, "after {after}, by {bytes_max} bytes and {count_max} events");
            assert_eq!(cursor.position(), head);
            let page = cursor.read(bytes_max, count_max).await.expect("the head is readable");
            assert_eq!((page.count, page.position), (0, head), "an empty page at the head");
        }
    }
    stop(engine).await;
}

#[tokio::test]
async fn every_position_comes_once_and_in_order_from_the_tail_in_memory() {
    every_position_comes_once_and_in_order(Arc::new(MemoryJournal::new()), 1 << 20).await;
}

#[tokio::test]
async fn every_position_comes_once_and_in_order_from_the_journal() {
    every_position_comes_once_and_in_order(Arc::new(MemoryJournal::new()), 0).await;
}

#[tokio::test]
async fn every_position_comes_once_and_in_order_across_journal_and_tail() {
    every_position_comes_once_and_in_order(Arc::new(MemoryJournal::new()), 2_000).await;
}

#[tokio::test]
async fn every_position_comes_once_and_in_order_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    every_position_comes_once_and_in_order(sled(&folder.path().join("journal")), 2_000).await;
}

#[tokio::test]
async fn a_cursor_beyond_the_head_is_refused() {
    let engine = told(Arc::new(MemoryJournal::new()), 0).await;
    let head = engine.head().position;
    assert!(engine.cursor(head, Filter::default()).is_ok());
    for position in [head + 1, u64::MAX] {
        let refused = engine.cursor(position, Filter::default()).err();
        assert!(
            matches!(refused, Some(ReadError::BeyondHead { position: p, head: h }) if (p, h) == (position, head)),
            "{refused:?}"
        );
    }
    stop(engine).await;
}

fn matches(filter: &Filter, event: &v1::Event) -> bool {
    let area = filter.area_prefix.is_empty()
        || (!event.area_code.is_empty() && is_within(&event.area_code, &filter.area_prefix));
    let kind = filter.kinds.is_empty() || filter.kinds.contains(&event.kind);
    area && kind && (filter.institution_id.is_empty() || filter.institution_id == event.institution_id)
}

#[tokio::test]
async fn a_filter_lets_through_what_matches_every_part_and_the_position_moves_over_the_rest() {
    let kinds = |kinds: &[EventKind]| kinds.iter().map(|k| i32::from(*k)).collect();
    let area = |prefix: &str| Filter { area_prefix: prefix.into(), ..Filter::default() };
    // With the number of events that must match.
    let filters = [
        (area("53.71"), 11 + 60),
        (area("53.71.04"), 6 + 40),
        (area("53.71.0"), 0),
        (area(SATU), 3 + 40),
        (area("53.71.04.100"), 0),
        (Filter { institution_id: SCHOOL.into(), ..Filter::default() }, 1 + 10),
        (Filter { kinds: kinds(&[EventKind::CaseStep]), ..Filter::default() }, 10),
        (Filter { kinds: kinds(&[EventKind::SchoolVisit, EventKind::CaseReport]), ..Filter::default() }, 50),
        (Filter { kinds: kinds(&[EventKind::LogOpened]), ..Filter::default() }, 1),
        (Filter { kinds: kinds(&[EventKind::Unspecified]), ..Filter::default() }, 0),
        (Filter { kinds: kinds(&[EventKind::SchoolVisit]), institution_id: SCHOOL.into(), ..area("53.71.04") }, 10),
        (Filter { kinds: kinds(&[EventKind::SchoolVisit]), institution_id: SCHOOL.into(), ..area("53.71.03") }, 0),
    ];
    for tail_bytes_max in [0, 2_000, 1 << 20] {
        let engine = told(Arc::new(MemoryJournal::new()), tail_bytes_max).await;
        let all = log(&engine).await;
        for (filter, _) in &filters {
            for (bytes_max, count_max) in LIMITS {
                let mut cursor = engine.cursor(0, filter.clone()).unwrap();
                let events = read_on(&mut cursor, bytes_max, count_max).await;
                let expected: Vec<_> = all.iter().filter(|e| matches(filter, e)).cloned().collect();
                assert_eq!(events, expected, "{filter:?} by {bytes_max} bytes and {count_max} events");
                assert_eq!(cursor.position(), engine.head().position);
            }
        }
        let counts: Vec<_> =
            filters.iter().map(|(filter, _)| all.iter().filter(|e| matches(filter, e)).count()).collect();
        assert_eq!(counts, filters.iter().map(|(_, count)| *count).collect::<Vec<_>>());
        stop(engine).await;
    }
}

/// Reads until `end` while others write, with random pages, and now and then comes back as a new subscriber.
async fn follow(engine: Engine, seed: u64, end: u64) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut cursor = engine.cursor(0, Filter::default()).expect("there is a beginning");
    let mut seen = Vec::new();
    while cursor.position() < end {
        assert!(cursor.wait().await, "the engine runs");
        let (bytes_max, count_max) = (rng.random_range(0..3_000), rng.random_range(1..20));
        let page = cursor.read(bytes_max, count_max).await.expect("the log is read");
        seen.extend(decode(page).iter().map(|e| e.position));
        if rng.random_range(0..4) == 0 {
            cursor = engine.cursor(cursor.position(), Filter::default()).expect("it was there");
        }
    }
    seen
}

async fn subscribers_follow_writers(journal: Arc<dyn Journal>, tail_bytes_max: usize) {
    const WRITERS: u32 = 4;
    const EACH: u32 = 60;
    let engine = open_town(journal, &Options { tail_bytes_max, ..Options::default() }).await;
    let end = engine.head().position + u64::from(WRITERS * EACH);
    let subscribers: Vec<_> = (0..4).map(|seed| tokio::spawn(follow(engine.clone(), seed, end))).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    accepted(&engine, visit(writer * EACH + n, 10)).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer ends");
    }
    for subscriber in subscribers {
        assert!(subscriber.await.expect("a subscriber ends").into_iter().eq(1..=end), "every position once, in order");
    }
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_come_and_go_while_others_write_see_every_position_once_and_in_order() {
    for tail_bytes_max in [0, 1_500, 1 << 20] {
        subscribers_follow_writers(Arc::new(MemoryJournal::new()), tail_bytes_max).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_see_every_position_once_and_in_order_on_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    subscribers_follow_writers(sled(&folder.path().join("journal")), 1_500).await;
}

#[tokio::test]
async fn a_log_opened_again_is_read_from_the_journal_and_then_from_the_tail() {
    let (journal, gate) = Watched::new(Arc::new(MemoryJournal::new()));
    let engine = told(Arc::clone(&journal) as Arc<dyn Journal>, 1 << 20).await;
    let before = log(&engine).await;
    stop(engine).await;
    let engine = open(journal, &Options::default());
    assert_eq!(log(&engine).await, before);
    let head = engine.head().position;
    accepted(&engine, visit(500, 10)).await;
    gate.reads();
    let mut cursor = engine.cursor(head, Filter::default()).unwrap();
    assert_eq!(read_on(&mut cursor, 1 << 20, 10).await.len(), 1);
    assert_eq!(gate.reads(), [], "who keeps up is served from memory");
    stop(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_may_resume_after_what_it_has_seen_even_while_the_writer_has_not_heard_of_it() {
    let inner: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let (journal, gate) = Watched::late(Arc::clone(&inner));
    let engine = open_town(journal, &Options::default()).await;
    gate.close();
    let ticket = engine.enqueue(vec![visit(1, 10)]).await.unwrap();
    gate.wait_for_append().await;
    let seen = inner.head().position;
    assert_eq!(engine.head().position, seen);
    assert!(engine.cursor(seen, Filter::default()).is_ok());
    gate.open();
    ticket.receipts().await.unwrap();
    stop(engine).await;
}
