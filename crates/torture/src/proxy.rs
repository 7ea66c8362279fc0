//! A network between clients and server that loses connections: cut in the middle of whatever goes over them, or silent for a while.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use rand::RngExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::work;

/// Bytes of a connection until the next cut or silence, at most.
const BYTES_MAX: u64 = 60_000;
/// How long a connection may be silent before it goes on; some are longer than clients wait for a sign of life.
const SILENCE_MAX_MS: u64 = 300;

/// A proxy in front of a server. Ends with this.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    ends: AbortHandle,
    told: Arc<Mutex<Told>>,
}

/// What it did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) connections: u64,
    pub(crate) cuts: u64,
    pub(crate) silences: u64,
}

impl Proxy {
    /// Takes connections, and passes them on to wherever the server is.
    pub(crate) async fn new(server: watch::Receiver<Option<String>>, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let told = Arc::<Mutex<Told>>::default();
        let counted = Arc::clone(&told);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let Ok((client, _)) = listener.accept().await else { return };
                let Some(url) = server.borrow().clone() else { continue };
                let (counted, address) = (Arc::clone(&counted), url.replace("http://", ""));
                note(&counted, |told| told.connections += 1);
                connections.spawn(async move {
                    // Either side may go at any time: that is what this is for.
                    let _ = pass(client, &address, seed, number, &counted).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, ends: accepting.abort_handle(), told })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn told(&self) -> Told {
        *self.told.lock().expect("nobody panics while counting")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ends.abort();
    }
}

fn note(told: &Mutex<Told>, count: impl FnOnce(&mut Told)) {
    count(&mut told.lock().expect("nobody panics while counting"));
}

async fn pass(client: TcpStream, server: &str, seed: u64, number: u64, told: &Mutex<Told>) -> Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    // When one direction is cut, the other goes with it.
    tokio::select! {
        cut = direction(client_reads, server_writes, seed, number * 2, told) => cut,
        cut = direction(server_reads, client_writes, seed, number * 2 + 1, told) => cut,
    }
}

async fn direction(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    seed: u64,
    number: u64,
    told: &Mutex<Told>,
) -> Result<()> {
    let mut random = work::random(seed, number, 0xC7);
    let mut buffer = vec![0; 4096];
    loop {
        let mut left = random.random_range(1..BYTES_MAX);
        while left > 0 {
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = from.read(&mut buffer[..room]).await?;
            if count == 0 {
                return Ok(());
            }
            to.write_all(&buffer[..count]).await?;
            left -= count as u64;
        }
        if random.random_bool(0.6) {
            note(told, |told| told.cuts += 1);
            return Ok(());
        }
        note(told, |told| told.silences += 1);
        tokio::time::sleep(Duration::from_millis(random.random_range(1..SILENCE_MAX_MS))).await;
    }
}
