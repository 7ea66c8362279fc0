//! Subscribers: each reads on from its position, goes away now and then, and comes back.

use std::sync::Arc;

use prost::Message as _;
use satgas_domain::event::Head;
use satgas_engine::{Cursor, Engine, Filter, Lens, ReadError};
use satgas_proto::v1;

use crate::{tasks::pause, world::World};

/// All subscribers. Outlives restarts, as a subscriber's position does.
pub(crate) struct Readers(Vec<Reader>);

/// What one subscriber was given.
pub(crate) struct Reader {
    pub(crate) view: View,
    pub(crate) position: u64,
    pub(crate) events: Vec<v1::Event>,
}

impl Reader {
    fn take(&mut self, events: Vec<v1::Event>, position: u64) {
        self.position = position;
        self.events.extend(events);
    }
}

/// What a subscriber asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    All,
    /// One kecamatan.
    Area,
    /// Through a lens that shows every other event.
    Lens,
}

/// The kecamatan that a subscriber asks for.
pub(crate) const AREA: &str = "53.71.04";

impl Readers {
    pub(crate) fn new(count: usize) -> Self {
        let views = [View::All, View::Area, View::Lens].into_iter().take(count);
        Self(views.map(|view| Reader { view, position: 0, events: Vec::new() }).collect())
    }

    pub(crate) fn all(&self) -> &[Reader] {
        &self.0
    }
}

/// Whether the lens shows the event at a position.
pub(crate) fn is_shown(position: u64) -> bool {
    position.is_multiple_of(2)
}

fn cursor(engine: &Engine, view: View, lens: &Lens, position: u64) -> Cursor {
    let opened = match view {
        View::All => engine.cursor(position, Filter::default()),
        View::Area => engine.cursor(position, Filter { area_prefix: AREA.into(), ..Filter::default() }),
        View::Lens => engine.cursor_through(lens, position, Filter::default()),
    };
    opened.expect("a position that was given lies within the log")
}

/// A subscriber, as long as the engine runs.
pub(crate) async fn live(world: Arc<World>, engine: Engine, me: usize) {
    let lens = Lens::new(2_000, |event| {
        let (head, ..) = Head::split(event)?;
        Ok(is_shown(head.position).then(|| event.to_vec()))
    });
    let (view, mut position) = {
        let readers = world.readers.lock();
        (readers.0[me].view, readers.0[me].position)
    };
    let mut reading = cursor(&engine, view, &lens, position);
    while reading.wait().await {
        let (bytes_max, count_max) = (world.pick(&[0, 300, 5_000]), world.pick(&[1, 3, 100]));
        let page = match reading.read(bytes_max, count_max).await {
            Ok(page) => page,
            Err(ReadError::Journal(_)) => {
                pause().await;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(page.position > position, "what is waited for moves the cursor");
        assert!(page.position <= world.durable(), "a subscriber sees {} before it is durable", page.position);
        position = page.position;
        let joined: Vec<u8> = page.bodies.iter().flatten().copied().collect();
        let events = v1::ReadResponse::decode(joined.as_slice()).expect("a page is a response").events;
        assert_eq!((events.len(), reading.position()), (page.count, page.position));
        world.note(format_args!("reader {me} is at {position}, given {}", page.count));
        world.readers.lock().0[me].take(events, position);
        if world.chance(0.1) {
            reading = cursor(&engine, view, &lens, position);
        }
        if world.chance(0.5) {
            pause().await;
        }
    }
}
