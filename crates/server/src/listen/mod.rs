//! Connections as they come in, plain or over TLS, with the address that they come from.
//!
//! Invariants:
//! - A connection *arrives* until its TLS handshake, where there is one, is done and its client has said something; only then is it served.
//! - Those that arrive are bounded in number and time, and the one that has been silent longest goes for the next: a client that says
//!   nothing keeps nobody out.
//! - Those that are served are bounded, of one source and in all. One too many is closed, and none of the others is touched.

mod arrivals;
mod places;
mod stream;
mod tally;

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use self::{
    arrivals::{Arrival, Arrivals},
    places::{Place, Places},
    stream::Stream,
    tally::{Tally, Turned},
};
use crate::tls::Tls;

/// Connections that may arrive at once: in all, and of one source.
const ARRIVING_MAX: usize = 128;
const ARRIVING_OF_SOURCE_MAX: usize = 32;
/// How long a connection may take to arrive.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(5);
/// What a client says first: the preface of HTTP/2. That it is just that is for the protocol to see.
const FIRST_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
/// How long to wait when the operating system takes no more connections.
const BREATH: Duration = Duration::from_millis(50);

/// The address that a call comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// Its network, by which sources are told apart: who has one address of an IPv6 network has all of them.
    pub(crate) fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => v4.into(),
                None => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            },
            v4 @ IpAddr::V4(_) => v4,
        }
    }
}

/// How many connections are served at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) all: usize,
    /// Of one source.
    pub(crate) of_source: usize,
}

/// The connections that are served, and those that were turned away. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    places: Places,
    tally: Arc<Tally>,
}

impl Served {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { places: Places::new(limits), tally: Arc::default() }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.places.taken()
    }

    /// How many may be.
    pub(crate) fn max(&self) -> usize {
        self.places.all()
    }

    /// How many were turned away, by why.
    pub(crate) fn turned_away(&self) -> [(&'static str, u64); 4] {
        self.tally.counts()
    }
}

/// The connections of a listener, until `stop`.
pub(crate) fn connections(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    served: Served,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(64);
    let porch = Porch {
        tls,
        arrivals: Arrivals::new(Limits { all: ARRIVING_MAX, of_source: ARRIVING_OF_SOURCE_MAX }),
        served,
        ready,
    };
    tokio::spawn(accept(listener, porch, stop));
    ReceiverStream::new(connections)
}

async fn accept(listener: TcpListener, porch: Porch, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        // Without it small answers wait for the client's acknowledgement; that it cannot be set is no reason to refuse.
        let _ = stream.set_nodelay(true);
        let peer = Peer(address.ip());
        let (arrival, pushed_out) = porch.arrivals.enter(peer.network());
        if pushed_out {
            porch.served.tally.note(Turned::PushedOut);
        }
        tokio::spawn(porch.clone().receive(stream, peer, arrival));
    }
}

/// Where connections arrive.
#[derive(Clone)]
struct Porch {
    tls: Option<Arc<Tls>>,
    arrivals: Arrivals,
    served: Served,
    ready: mpsc::Sender<io::Result<Connection>>,
}

impl Porch {
    /// Hands a connection on once it has arrived.
    async fn receive(self, stream: TcpStream, peer: Peer, arrival: Arrival) {
        let arrived = tokio::select! {
            arrived = tokio::time::timeout(ARRIVAL_DEADLINE, self.arrive(stream)) => arrived,
            // Who pushed it out has counted it.
            () = arrival.pushed_out() => return,
        };
        drop(arrival);
        let (stream, first) = match arrived {
            Ok(Ok(arrived)) => arrived,
            Ok(Err(turned)) => return self.served.tally.note(turned),
            Err(_) => return self.served.tally.note(Turned::Silent),
        };
        let Some(place) = self.served.places.take(peer.network()) else { return self.served.tally.note(Turned::Full) };
        // Nobody takes it when the server stops.
        let _ = self.ready.send(Ok(Connection { stream, peer, first, read: 0, _place: place })).await;
    }

    async fn arrive(&self, stream: TcpStream) -> Result<(Stream, [u8; FIRST_BYTES]), Turned> {
        let mut stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let shaken = tls.acceptor().accept(stream).await.map_err(|_| Turned::Handshake)?;
                Stream::Tls(Box::new(shaken))
            }
        };
        let mut first = [0; FIRST_BYTES];
        stream.read_exact(&mut first).await.map_err(|_| Turned::Silent)?;
        Ok((stream, first))
    }
}

/// A connection that has arrived.
pub(crate) struct Connection {
    stream: Stream,
    peer: Peer,
    /// What was read of it while it arrived, and how much of that has been handed on.
    first: [u8; FIRST_BYTES],
    read: usize,
    _place: Place,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let first = &this.first[this.read..];
        if first.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let count = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..count]);
        this.read += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
