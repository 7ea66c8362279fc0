//! An engine with a small town in it, and what stories do with one.

mod journal;
mod make;
mod scratch;

use std::{path::Path, sync::Arc};

use prost::Message as _;
use satgas_engine::{Clock, Cursor, Engine, Filter, ManualClock, Options, Page};
use satgas_journal::{Journal, SledJournal, disk};
use satgas_proto::v1::{self, ReceiptStatus};

pub(crate) use journal::{Gate, Watched};
pub(crate) use make::*;
pub(crate) use scratch::scratch;

/// A clock that stands at noon of the first of May 2028.
pub(crate) fn noon() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(time("2028-05-01T12:00:00")))
}

/// Opens an engine over a journal, with the clock at [`noon`].
pub(crate) fn open(journal: Arc<dyn Journal>, options: &Options) -> Engine {
    open_at(journal, noon(), options)
}

pub(crate) fn open_at(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, options: &Options) -> Engine {
    Engine::open(journal, clock, options).expect("the log opens")
}

/// Opens an engine over an empty journal and registers the town.
pub(crate) async fn open_town(journal: Arc<dyn Journal>, options: &Options) -> Engine {
    let engine = open(journal, options);
    let registered = engine.register(town(), false).await.expect("the town is written");
    assert_eq!(registered.refused, [], "the town is well-formed");
    engine
}

pub(crate) fn sled(folder: &Path) -> Arc<SledJournal> {
    Arc::new(SledJournal::open(folder, disk::Options::default()).expect("the folder opens"))
}

/// Shuts an engine down and waits until it is.
pub(crate) async fn stop(engine: Engine) {
    tokio::task::spawn_blocking(move || engine.shutdown()).await.expect("the shutdown ends");
}

/// Submits and wants a receipt.
pub(crate) async fn submit(engine: &Engine, submission: v1::Submission) -> v1::Receipt {
    engine.submit(submission).await.expect("something is answered")
}

/// Status and position of a receipt.
pub(crate) fn fate(receipt: &v1::Receipt) -> (ReceiptStatus, u64) {
    (receipt.status(), receipt.position)
}

/// Submits, insists that it is accepted, and tells its position.
pub(crate) async fn accepted(engine: &Engine, submission: v1::Submission) -> u64 {
    let receipt = submit(engine, submission).await;
    assert_eq!(receipt.status(), ReceiptStatus::Accepted, "{receipt:?}");
    receipt.position
}

/// Reads on with a cursor until the head, by pages of these limits.
pub(crate) async fn read_on(cursor: &mut Cursor, bytes_max: usize, count_max: usize) -> Vec<v1::Event> {
    let mut events = Vec::new();
    while cursor.position() < cursor.head() {
        let before = cursor.position();
        let page = cursor.read(bytes_max, count_max).await.expect("the log is read");
        assert!(page.position > before, "a page before the head moves on");
        assert!(page.count <= count_max);
        events.extend(decode(page));
    }
    events
}

/// Decodes a page as a client would: its pieces, joined, are one message.
pub(crate) fn decode(page: Page) -> Vec<v1::Event> {
    let joined: Vec<u8> = page.bodies.iter().flatten().copied().collect();
    let events = v1::ReadResponse::decode(joined.as_slice()).expect("a page is a response").events;
    assert_eq!(events.len(), page.count, "a page counts its events");
    events
}

/// The whole log.
pub(crate) async fn log(engine: &Engine) -> Vec<v1::Event> {
    let mut cursor = engine.cursor(0, Filter::default()).expect("there is a beginning");
    read_on(&mut cursor, 1 << 20, usize::MAX).await
}

/// Ids of the submissions that the log holds, conflicting ones included, in order.
pub(crate) fn submitted(log: &[v1::Event]) -> Vec<String> {
    use v1::event::Body;
    log.iter()
        .filter_map(|event| match event.body.as_ref()? {
            Body::Submitted(s) => Some(s.submission_id.clone()),
            Body::Conflicting(c) => c.submission.as_ref().map(|s| s.submission_id.clone()),
            _ => None,
        })
        .collect()
}
