//! `EventService`: the log, page by page and as it grows. Sends the log's own bytes, or those of the caller's class.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::encoding;
use satgas_engine::{Cursor, Engine, Filter, Page, ReadError};
use satgas_proto::{
    encoded::{Encoded, event_service_server::EventService},
    v1::{self, StreamNotice, subscribe_request::Start},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    metrics::Subscriber,
    sight::Sight,
    status,
    stream::{BoxStream, Gone, Sink, Streams},
    submission::{known_code, page_size},
};

/// Bytes of events in one message, about.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Bytes of events in one page: below the four megabytes that clients take unless told otherwise.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Events in one message of a stream.
const MESSAGE_EVENTS: usize = 10_000;
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) struct Events {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
}

#[tonic::async_trait]
impl EventService for Events {
    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<Encoded>, Status> {
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let size = page_size(r.page_size, 1_000, 10_000)?;
        let mut cursor = self.cursor(&sight, r.after_position, r.filter)?;
        let page = cursor.read(PAGE_BYTES, size).await.map_err(|error| status::read(&error))?;
        let mut tail = BytesMut::new();
        put(2, page.position, &mut tail);
        put(3, cursor.head(), &mut tail);
        Ok(Response::new(encoded(page, tail)))
    }

    type SubscribeStream = BoxStream<Encoded>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let sight = Sight::beside(&request)?;
        let r = request.into_inner();
        let heartbeat = heartbeat(r.heartbeat_interval)?;
        let start = match r.start {
            None => 0,
            Some(Start::AfterPosition(position)) => position,
            Some(Start::FromNow(_)) => self.engine.head().position,
        };
        let cursor = self.cursor(&sight, start, r.filter)?;
        let stop = self.streams.stop.clone();
        let place = self.streams.subscribers.enter(start);
        let spoke = Instant::now();
        let subscription = Subscription { cursor, handed_over: start, place, heartbeat, spoke };
        self.streams.open(move |sink| subscription.run(sink, stop)).map(Response::new)
    }
}

impl Events {
    fn cursor(&self, sight: &Sight, after: u64, asked: Option<v1::EventFilter>) -> Result<Cursor, Status> {
        let filter = filter(asked)?;
        let cursor = match sight.lens() {
            Some(lens) => self.engine.cursor_through(lens, after, filter),
            None => self.engine.cursor(after, filter),
        };
        cursor.map_err(|error| status::read(&error))
    }
}

fn filter(filter: Option<v1::EventFilter>) -> Result<Filter, Status> {
    let v1::EventFilter { area_prefix, kinds, institution_id } = filter.unwrap_or_default();
    for kind in &kinds {
        known_code::<v1::EventKind>("filter.kinds", *kind)?;
    }
    Ok(Filter { area_prefix, kinds, institution_id })
}

fn heartbeat(asked: Option<pbjson_types::Duration>) -> Result<Duration, Status> {
    let Some(asked) = asked else { return Ok(HEARTBEAT) };
    let interval =
        u64::try_from(asked.seconds).ok().zip(u32::try_from(asked.nanos).ok()).map(|(s, n)| Duration::new(s, n));
    interval
        .filter(|interval| (Duration::from_secs(1)..=Duration::from_secs(300)).contains(interval))
        .ok_or_else(|| status::invalid_field("heartbeat_interval", "is not 1 s to 5 min"))
}

fn put(field: u32, value: u64, buffer: &mut BytesMut) {
    if value != 0 {
        encoding::uint64::encode(field, &value, buffer);
    }
}

/// The page's events followed by the fields after them.
fn encoded(page: Page, tail: BytesMut) -> Encoded {
    let mut pieces: Vec<Bytes> = page.bodies;
    pieces.push(tail.freeze());
    Encoded(pieces)
}

fn message(page: Page, notice: StreamNotice) -> Encoded {
    let mut tail = BytesMut::new();
    put(2, page.position, &mut tail);
    put(3, u64::try_from(i32::from(notice)).unwrap_or_default(), &mut tail);
    encoded(page, tail)
}

/// How a subscription ends.
enum End {
    Stopped,
    Closed,
    Stalled,
    Failed(ReadError),
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Closed => Self::Closed,
            Gone::Stalled => Self::Stalled,
        }
    }
}

struct Subscription {
    cursor: Cursor,
    /// Everything up to here was handed over or did not match. Behind the cursor while a message waits for room.
    handed_over: u64,
    place: Subscriber,
    heartbeat: Duration,
    /// When the last message was handed over.
    spoke: Instant,
}

impl Subscription {
    async fn run(mut self, sink: Sink<Encoded>, stop: CancellationToken) -> Option<Status> {
        match self.follow(&sink, &stop).await {
            End::Stopped => {
                drop(self.say(&sink, StreamNotice::ShuttingDown).await);
                None
            }
            End::Closed => None,
            End::Stalled => {
                self.place.stalled();
                Some(status::stalled(self.handed_over))
            }
            End::Failed(error) => Some(status::read(&error)),
        }
    }

    /// Sends what there is, says that this was all, and goes on with what comes.
    async fn follow(&mut self, sink: &Sink<Encoded>, stop: &CancellationToken) -> End {
        let mut caught_up = false;
        loop {
            if let Err(end) = self.send_to_head(sink, stop).await {
                return end;
            }
            if !caught_up {
                caught_up = true;
                if let Err(gone) = self.say(sink, StreamNotice::CaughtUp).await {
                    return gone.into();
                }
            }
            if let Err(end) = self.wait(sink, stop).await {
                return end;
            }
        }
    }

    /// Sends what lies before the head as it is now.
    async fn send_to_head(&mut self, sink: &Sink<Encoded>, stop: &CancellationToken) -> Result<(), End> {
        let head = self.cursor.head();
        while self.cursor.position() < head {
            if stop.is_cancelled() {
                return Err(End::Stopped);
            }
            let page = self.cursor.read(MESSAGE_BYTES, MESSAGE_EVENTS).await.map_err(End::Failed)?;
            let (position, matched) = (page.position, page.count > 0);
            if matched {
                self.spoke = Instant::now();
                sink.send(message(page, StreamNotice::Unspecified)).await?;
            }
            self.handed_over = position;
            self.place.has(position);
            if !matched && self.spoke.elapsed() >= self.heartbeat {
                self.say(sink, StreamNotice::Heartbeat).await?;
            } else if !matched {
                // A long log of others' events must not keep this thread.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Waits until it is its turn and there is more, and says meanwhile that it is still there.
    async fn wait(&mut self, sink: &Sink<Encoded>, stop: &CancellationToken) -> Result<(), End> {
        let turn = Instant::now() + sink.turn();
        loop {
            let due = self.spoke + self.heartbeat;
            let more = async {
                tokio::time::sleep_until(turn).await;
                self.cursor.wait().await
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::Stopped),
                () = sink.closed() => return Err(End::Closed),
                () = tokio::time::sleep_until(due) => self.say(sink, StreamNotice::Heartbeat).await?,
                more = more => return if more { Ok(()) } else { Err(End::Stopped) },
            }
        }
    }

    async fn say(&mut self, sink: &Sink<Encoded>, notice: StreamNotice) -> Result<(), Gone> {
        self.spoke = Instant::now();
        sink.send(message(Page { position: self.handed_over, ..Page::default() }, notice)).await
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_response_made_of_pieces_decodes_as_the_message() {
        let event = |position| v1::Event { position, area_code: "53.71.04.1001".to_owned(), ..Default::default() };
        let body = |position| {
            Bytes::from(v1::ReadResponse { events: vec![event(position)], ..Default::default() }.encode_to_vec())
        };
        let page = Page { bodies: vec![body(1), body(2)], count: 2, position: 300 };
        let bytes = message(page, StreamNotice::CaughtUp).0.concat();
        let expected = v1::SubscribeResponse {
            events: vec![event(1), event(2)],
            resume_position: 300,
            notice: StreamNotice::CaughtUp.into(),
        };
        assert_eq!(v1::SubscribeResponse::decode(bytes.as_slice()), Ok(expected));
    }
}
