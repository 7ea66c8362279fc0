//! Streams to clients: each has a task that makes its messages, a place among a bounded number, and a limit on how long a client may take
//! nothing.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::sync::{
    Semaphore,
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

use crate::{metrics::Subscribers, status};

/// A stream of responses.
pub(crate) type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// How long a client may take to make room for the last message when the server stops.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Messages that wait for the client besides the one that HTTP/2 is sending.
const WAITING: usize = 1;
/// What a message of a live stream costs, about. So long, times the streams that are open, a stream waits between two messages: what comes
/// meanwhile goes out in one. With a few of them that is less than anybody notices.
const TURN: Duration = Duration::from_micros(40);
/// The longest that a stream waits for its turn.
const TURN_MAX: Duration = Duration::from_millis(200);
/// A shorter wait is no rest for anybody.
const TURN_MIN: Duration = Duration::from_millis(2);

/// What all streams of a server share.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) places: Places,
    pub(crate) stall: Duration,
    pub(crate) subscribers: Subscribers,
}

/// The places that streams take. Clones share them.
#[derive(Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    max: usize,
}

impl Places {
    /// So many, and one at least.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(max)), max }
    }

    /// How many streams may be open.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// How many are.
    pub(crate) fn taken(&self) -> usize {
        self.max - self.free.available_permits()
    }
}

/// Why a message did not go out.
pub(crate) enum Gone {
    /// The client has gone.
    Closed,
    /// The client took nothing for too long.
    Stalled,
}

/// Where a task puts its messages.
pub(crate) struct Sink<T> {
    messages: mpsc::Sender<T>,
    stall: Duration,
    stop: CancellationToken,
    places: Places,
}

impl<T> Sink<T> {
    /// Hands a message over. What was handed over reaches a client that reads on, whatever comes after; an error means that this message
    /// was not.
    pub(crate) async fn send(&self, message: T) -> Result<(), Gone> {
        // Nearly always there is room: then neither the clock nor the stop is asked.
        match self.messages.try_reserve() {
            Ok(room) => {
                room.send(message);
                return Ok(());
            }
            Err(TrySendError::Closed(())) => return Err(Gone::Closed),
            Err(TrySendError::Full(())) => {}
        }
        let room = tokio::select! {
            room = tokio::time::timeout(self.stall, self.messages.reserve()) => room,
            () = self.stopped() => return Err(Gone::Stalled),
        };
        match room {
            Ok(Ok(room)) => {
                room.send(message);
                Ok(())
            }
            Ok(Err(_)) => Err(Gone::Closed),
            Err(_) => Err(Gone::Stalled),
        }
    }

    /// A while after the server was told to stop.
    async fn stopped(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_WORD).await;
    }

    /// How long a live stream rests after a message, so that all get their turn; nothing while there are few.
    pub(crate) fn turn(&self) -> Duration {
        let open = u32::try_from(self.places.taken()).unwrap_or(u32::MAX);
        let turn = TURN.saturating_mul(open);
        if turn < TURN_MIN { Duration::ZERO } else { turn.min(TURN_MAX) }
    }

    /// Waits until the client has gone.
    pub(crate) async fn closed(&self) {
        self.messages.closed().await;
    }
}

impl Streams {
    /// Opens a stream whose messages `make` puts into a sink. What it returns ends the stream: a status, or nothing for a good end.
    pub(crate) fn open<T, F>(&self, make: impl FnOnce(Sink<T>) -> F + Send + 'static) -> Result<BoxStream<T>, Status>
    where
        T: Send + 'static,
        F: Future<Output = Option<Status>> + Send,
    {
        let place = Arc::clone(&self.places.free).try_acquire_owned().map_err(|_| status::too_many_streams())?;
        let (messages, out) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        let sink = Sink { messages, stall: self.stall, stop: self.stop.clone(), places: self.places.clone() };
        self.tasks.spawn(async move {
            let status = make(sink).await;
            drop(place);
            // The client may have gone; then nobody wants to know.
            drop(end.send(status));
        });
        let end = stream::once(ended).filter_map(|ended| async { ended.ok().flatten().map(Err) });
        Ok(Box::pin(ReceiverStream::new(out).map(Ok).chain(end)))
    }
}
