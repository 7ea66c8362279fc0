//! Who looks through a lens sees what it makes of each event, and each event is shaped once however many look.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use prost::Message as _;
use satgas_domain::event::Malformed;
use satgas_engine::{Engine, Filter, Lens, Options, ReadError};
use satgas_journal::MemoryJournal;
use satgas_proto::v1::{self, EventKind};

use crate::support::*;

/// Pages that end within pieces, at their ends, and beyond them.
const LIMITS: [(usize, usize); 5] = [(0, 1), (1 << 20, 1), (700, 3), (20_000, 50), (1 << 20, usize::MAX)];
/// More than anything here takes.
const ROOM: usize = 1 << 22;

/// What the tests' lens makes of an event: no registry, and everything else in another area.
fn moved(event: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let event = v1::Event::decode(event)?;
    let is_registry = matches!(event.kind(), EventKind::Area | EventKind::Institution | EventKind::TaskForce);
    let area_code = if event.area_code.is_empty() { String::new() } else { "53.71".to_owned() };
    Ok((!is_registry).then(|| v1::Event { area_code, ..event }.encode_to_vec()))
}

/// A lens, and how many events went through it.
fn counted(bytes_max: usize) -> (Lens, Arc<AtomicUsize>) {
    let shaped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&shaped);
    let lens = Lens::new(bytes_max, move |event| {
        count.fetch_add(1, Ordering::Relaxed);
        moved(event)
    });
    (lens, shaped)
}

fn expected(log: &[v1::Event]) -> Vec<v1::Event> {
    let through = |event: &v1::Event| moved(&event.encode_to_vec()).expect("an event");
    log.iter().filter_map(through).map(|bytes| v1::Event::decode(bytes.as_slice()).expect("an event")).collect()
}

/// An engine with some hundred visits in commits of three.
async fn told(options: &Options) -> Engine {
    let engine = open_town(Arc::new(MemoryJournal::new()), options).await;
    for n in 0..120 {
        let batch = (0..3).map(|k| visit(3 * n + k, 10)).collect();
        engine.enqueue(batch).await.expect("there is room").receipts().await.expect("it is written");
    }
    engine
}

fn tail(tail_bytes_max: usize) -> Options {
    Options { tail_bytes_max, ..Options::default() }
}

#[tokio::test]
async fn whoever_resumes_anywhere_sees_the_same_as_who_read_from_the_start() {
    for (tail_bytes_max, bytes_max) in [(0, ROOM), (20_000, ROOM), (ROOM, ROOM), (20_000, 0)] {
        let engine = told(&tail(tail_bytes_max)).await;
        let (lens, _) = counted(bytes_max);
        let (all, head) = (expected(&log(&engine).await), engine.head().position);
        for (page_bytes, page_events) in LIMITS {
            for after in [0, 1, 11, 12, 13, 127, 128, 129, 200, head - 1, head] {
                let mut cursor = engine.cursor_through(&lens, after, Filter::default()).unwrap();
                let seen = read_on(&mut cursor, page_bytes, page_events).await;
                let rest: Vec<_> = all.iter().filter(|event| event.position > after).cloned().collect();
                assert_eq!(seen, rest, "after {after}, by {page_bytes} bytes and {page_events} events");
                assert_eq!(cursor.position(), head);
            }
        }
        stop(engine).await;
    }
}

#[tokio::test]
async fn a_filter_is_asked_of_what_the_lens_made() {
    let engine = told(&tail(20_000)).await;
    let (lens, _) = counted(ROOM);
    let count = async |filter: Filter| {
        let mut cursor = engine.cursor_through(&lens, 0, filter).unwrap();
        read_on(&mut cursor, 1 << 20, usize::MAX).await.len()
    };
    let area = |prefix: &str| Filter { area_prefix: prefix.into(), ..Filter::default() };
    assert_eq!(count(area(SATU)).await, 0, "no event is of the kelurahan any more");
    assert_eq!(count(area("53.71")).await, 360);
    let of_areas = Filter { kinds: vec![EventKind::Area.into()], ..Filter::default() };
    assert_eq!(count(of_areas).await, 0);
    stop(engine).await;
}

/// Follows from a position until `end`, and counts what comes.
async fn follow(engine: Engine, lens: Lens, after: u64, end: u64) -> usize {
    let mut cursor = engine.cursor_through(&lens, after, Filter::default()).expect("within the log");
    let mut seen = 0;
    while cursor.position() < end {
        assert!(cursor.wait().await, "the engine runs");
        seen += decode(cursor.read(30_000, 1_000).await.expect("the log is read")).len();
    }
    seen
}

/// How many events are shaped when so many follow: first history, then what comes while they do.
async fn shaped_for(subscribers: u64, tail_bytes_max: usize) -> usize {
    const LIVE: u32 = 40;
    let engine = told(&tail(tail_bytes_max)).await;
    let (lens, shaped) = counted(ROOM);
    let head = engine.head().position;
    let end = head + u64::from(LIVE);
    // All from the start, or some blocks could have had no reader.
    let following: Vec<_> =
        (0..subscribers).map(|_| tokio::spawn(follow(engine.clone(), lens.clone(), 0, end))).collect();
    for n in 0..LIVE {
        accepted(&engine, visit(1_000 + n, 10)).await;
    }
    let wanted = expected(&log(&engine).await).len();
    for follower in following {
        assert_eq!(follower.await.expect("a subscriber ends"), wanted);
    }
    stop(engine).await;
    shaped.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_subscribers_cost_as_much_shaping_as_one() {
    let alone = shaped_for(1, ROOM).await;
    // All but the log's opening are in the tail, to whose pieces the first block of history is not cut: some of it are shaped in both.
    let all = 12 + 360 + 40;
    assert!((all..all + 128).contains(&alone), "{alone} events were shaped of {all}");
    assert_eq!(shaped_for(50, ROOM).await, alone);
}

#[tokio::test]
async fn a_block_of_history_is_shaped_once_for_all_who_read_it_wherever_they_start() {
    let engine = told(&tail(0)).await;
    let head = engine.head().position;
    for subscribers in [1, 50] {
        let (lens, shaped) = counted(ROOM);
        let following: Vec<_> = (0..subscribers)
            .map(|n| tokio::spawn(follow(engine.clone(), lens.clone(), (7 * n) % head, head)))
            .collect();
        for follower in following {
            assert!(follower.await.expect("a subscriber ends") > 0);
        }
        assert_eq!(shaped.load(Ordering::Relaxed), usize::try_from(head).unwrap(), "{subscribers} subscribers");
    }
    stop(engine).await;
}

#[tokio::test]
async fn what_was_let_go_of_is_shaped_again_and_the_same() {
    let engine = told(&tail(0)).await;
    let (lens, shaped) = counted(0);
    let all = expected(&log(&engine).await);
    for _ in 0..2 {
        let mut cursor = engine.cursor_through(&lens, 0, Filter::default()).unwrap();
        assert_eq!(read_on(&mut cursor, 1 << 20, usize::MAX).await, all);
    }
    assert_eq!(shaped.load(Ordering::Relaxed), 2 * usize::try_from(engine.head().position).unwrap());
    stop(engine).await;
}

#[tokio::test]
async fn the_last_block_is_made_anew_when_the_log_has_grown_beyond_it() {
    let engine = told(&tail(0)).await;
    let (lens, _) = counted(ROOM);
    let mut cursor = engine.cursor_through(&lens, 0, Filter::default()).unwrap();
    let before = read_on(&mut cursor, 1 << 20, usize::MAX).await.len();
    for n in 0..3 {
        accepted(&engine, visit(2_000 + n, 10)).await;
        assert_eq!(read_on(&mut cursor, 1 << 20, usize::MAX).await.len(), 1);
    }
    let mut late = engine.cursor_through(&lens, 0, Filter::default()).unwrap();
    assert_eq!(read_on(&mut late, 1 << 20, usize::MAX).await.len(), before + 3);
    stop(engine).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_shaped_is_an_error_and_never_sent_as_it_is() {
    for tail_bytes_max in [0, ROOM] {
        let engine = told(&tail(tail_bytes_max)).await;
        let lens = Lens::new(ROOM, |event| if event[1] == 14 { Err(Malformed) } else { moved(event) });
        let mut cursor = engine.cursor_through(&lens, 0, Filter::default()).unwrap();
        // Twice, for what failed is not kept as if it were nothing.
        for _ in 0..2 {
            let mut failed = None;
            while failed.is_none() && cursor.position() < cursor.head() {
                match cursor.read(1_000, 10).await {
                    Ok(page) => assert!(decode(page).iter().all(|event| event.position < 14)),
                    Err(error) => failed = Some(error),
                }
            }
            assert!(matches!(failed, Some(ReadError::Event(13))), "{failed:?}");
        }
        stop(engine).await;
    }
}
