//! Subscribers that keep their position over every death of the server, and what they heard held against the log.

use std::hash::{DefaultHasher, Hasher as _};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use satgas_proto::v1::{
    Event, EventFilter, EventKind, ReadRequest, Role, StreamNotice, SubscribeRequest,
    event_service_client::EventServiceClient, subscribe_request::Start,
};
use tokio::sync::watch;
use tonic::Status;

use crate::{
    client::{is_final, within},
    route::Route,
};

/// Events of a page.
const PAGE: u32 = 500;

/// Who subscribes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To everything, as a supervisor.
    All,
    /// To visits and steps of cases only, as a supervisor.
    Filtered,
    /// To everything, in the shape that dashboards get.
    Shaped,
    /// Reads page by page, as a supervisor.
    Paged,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::All, Self::Filtered, Self::Shaped, Self::Paged];

    fn role(self) -> Role {
        if self == Self::Shaped { Role::Dashboard } else { Role::Supervisor }
    }

    fn filter(self) -> Option<EventFilter> {
        let kinds = || vec![EventKind::SchoolVisit.into(), EventKind::CaseStep.into()];
        (self == Self::Filtered).then(|| EventFilter { kinds: kinds(), ..Default::default() })
    }
}

/// A subscriber and what it heard so far.
#[derive(Debug)]
pub(crate) struct Subscriber {
    kind: Kind,
    /// After this it goes on.
    after: u64,
    /// Position and fingerprint of each event, as they came.
    heard: Vec<(u64, u64)>,
}

impl Subscriber {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, after: 0, heard: Vec::new() }
    }

    /// Listens, however often the server goes away, until it has come to the `goal`, once that is known.
    pub(crate) async fn listen(mut self, mut route: Route, mut goal: watch::Receiver<Option<u64>>) -> Result<Self> {
        loop {
            let mut door = EventServiceClient::new(route.door_of(self.kind.role()).await?);
            let heard = async {
                match self.kind {
                    Kind::Paged => self.read(&mut door).await,
                    Kind::All | Kind::Filtered | Kind::Shaped => self.subscribe(&mut door, &mut goal).await,
                }
            };
            match heard.await {
                Err(status) if is_final(&status) => return Err(status.into()),
                Ok(()) | Err(_) => {}
            }
            if goal.borrow().is_some_and(|goal| self.after >= goal) {
                return Ok(self);
            }
            route.wait().await;
        }
    }

    async fn subscribe(
        &mut self,
        door: &mut EventServiceClient<crate::door::Door>,
        goal: &mut watch::Receiver<Option<u64>>,
    ) -> Result<(), Status> {
        let request = SubscribeRequest {
            start: Some(Start::AfterPosition(self.after)),
            filter: self.kind.filter(),
            heartbeat_interval: Some(pbjson_types::Duration { seconds: 1, nanos: 0 }),
        };
        let mut stream = within(door.subscribe(request)).await?.into_inner();
        loop {
            if goal.borrow_and_update().is_some_and(|goal| self.after >= goal) {
                return Ok(());
            }
            let message = tokio::select! {
                message = within(stream.message()) => message?,
                Ok(()) = goal.changed() => continue,
            };
            let Some(message) = message else { return Ok(()) };
            self.hear(&message.events);
            self.after = self.after.max(message.resume_position);
            if message.notice() == StreamNotice::ShuttingDown {
                return Ok(());
            }
        }
    }

    async fn read(&mut self, door: &mut EventServiceClient<crate::door::Door>) -> Result<(), Status> {
        let request = ReadRequest { after_position: self.after, filter: None, page_size: PAGE };
        let page = within(door.read(request)).await?.into_inner();
        self.hear(&page.events);
        Ok(())
    }

    fn hear(&mut self, events: &[Event]) {
        self.heard.extend(events.iter().map(|event| (event.position, fingerprint(event))));
        self.after = events.last().map_or(self.after, |event| self.after.max(event.position));
    }

    /// Holds what was heard against what this subscriber would read now, from the beginning and up to where it is.
    pub(crate) async fn check(&self, route: &mut Route, log: &[Event]) -> Result<()> {
        let mut expected = match self.kind {
            Kind::All | Kind::Paged => fingerprints(log),
            Kind::Filtered | Kind::Shaped => {
                let door = route.door_of(self.kind.role()).await?;
                fingerprints(&read_all(EventServiceClient::new(door), self.kind.filter()).await?)
            }
        };
        expected.retain(|(position, _)| *position <= self.after);
        let kind = self.kind;
        ensure!(!expected.is_empty(), "subscriber {kind:?} has nothing to hear, so nothing was tested");
        let differs = self.heard.iter().zip(&expected).position(|(heard, stands)| heard != stands);
        if let Some(at) = differs {
            let ((heard, _), (stands, _)) = (self.heard[at], expected[at]);
            anyhow::bail!(
                "subscriber {kind:?} heard {heard} as event {at} where {stands} stands, or other bytes of it"
            );
        }
        let (heard, stand) = (self.heard.len(), expected.len());
        ensure!(heard == stand, "subscriber {kind:?} heard {heard} events and {stand} stand there");
        Ok(())
    }
}

/// Reads the whole log in order.
pub(crate) async fn read_all(
    mut door: EventServiceClient<crate::door::Door>,
    filter: Option<EventFilter>,
) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    let request = SubscribeRequest { filter, ..Default::default() };
    let mut stream = within(door.subscribe(request)).await?.into_inner();
    loop {
        let message = within(stream.message()).await?.context("the stream ended")?;
        let caught_up = message.notice() == StreamNotice::CaughtUp;
        events.extend(message.events);
        if caught_up {
            return Ok(events);
        }
    }
}

fn fingerprints(events: &[Event]) -> Vec<(u64, u64)> {
    events.iter().map(|event| (event.position, fingerprint(event))).collect()
}

/// Two events with the same bytes have the same one, and others hardly ever.
pub(crate) fn fingerprint(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&event.encode_to_vec());
    hasher.finish()
}
