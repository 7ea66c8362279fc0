//! What somebody without a token can send to a server, while somebody with one works: who works must not notice.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use satgas_proto::v1::{SubmitRequest, submission_service_client::SubmissionServiceClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::{
    client::within,
    door::Door,
    round::Run,
    server::{House, Verified},
    work::Author,
};

/// The beginning of every connection: the preface of HTTP/2 and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Types and flags of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// Hostile connections at once where one does not say otherwise: what one source may have is 200.
const CONNECTIONS: usize = 100;
/// And in all, in one way: more would only use up the machine's ports.
const CONNECTIONS_MAX: u64 = 2_000;
/// Between two calls of the one who works.
const PACE: Duration = Duration::from_millis(10);
/// How often it calls at least.
const CALLS_MIN: u64 = 3;
/// How long each of them may take at most, on a busy machine too.
const NOTICED: Duration = Duration::from_secs(2);
/// Sockets that the driver needs beside the hostile ones.
const SPARE_FILES: u64 = 200;
/// What the server's memory may grow by.
const GROWTH_MAX: u64 = 128 * 1_048_576;
const MIB: f64 = 1_048_576.0;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames here are short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call that anybody may make, as literals: the shortest way to write them.
fn call_headers() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let mut literal = |name: &[u8], value: &str| {
        block.extend(name);
        block.push(u8::try_from(value.len()).expect("a short value"));
        block.extend(value.as_bytes());
    };
    literal(&[0x04], "/satgas.v1.IdentityService/Enrol");
    literal(&[0x01], "contoh");
    literal(&[0x0f, 0x10], "application/grpc");
    literal(b"\x00\x02te", "trailers");
    block
}

/// A way to be a nuisance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Headers a byte at a time.
    SlowHeaders,
    /// A message a byte at a time.
    SlowFrames,
    /// Frames of 16 MiB.
    HugeFrames,
    /// A message that is announced with 4 GiB.
    HugeMessage,
    /// Headers without end.
    HeaderFlood,
    /// Calls begun and taken back at once.
    RapidReset,
    /// Pings without a pause.
    PingFlood,
}

impl Way {
    const ALL: [Self; 7] = [
        Self::SlowHeaders,
        Self::SlowFrames,
        Self::HugeFrames,
        Self::HugeMessage,
        Self::HeaderFlood,
        Self::RapidReset,
        Self::PingFlood,
    ];

    /// What is said first, what is said again and again, and the pause between.
    fn says(self) -> (Vec<u8>, Vec<u8>, Duration) {
        let slowly = Duration::from_millis(100);
        let call = frame(HEADERS, END_HEADERS, 1, &call_headers());
        let message = |announced: u32| {
            let mut begun = vec![0];
            begun.extend(announced.to_be_bytes());
            frame(DATA, 0, 1, &begun)
        };
        match self {
            Self::SlowHeaders => {
                let mut begun = frame(HEADERS, 0, 1, &call_headers());
                begun.truncate(12);
                (begun, vec![0x83], slowly)
            }
            Self::SlowFrames => ([call, message(1_000)].concat(), frame(DATA, 0, 1, b"x"), slowly),
            Self::HugeFrames => {
                let mut begun = call;
                begun.extend([0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]);
                (begun, vec![b'x'; 65_536], Duration::ZERO)
            }
            Self::HugeMessage => {
                ([call, message(u32::MAX)].concat(), frame(DATA, 0, 1, &[b'x'; 8_192]), Duration::ZERO)
            }
            Self::HeaderFlood => {
                let mut more = Vec::new();
                for _ in 0..200 {
                    more.extend(b"\x00\x08x-contoh\x40");
                    more.extend([b'x'; 64]);
                }
                (frame(HEADERS, 0, 1, &call_headers()), frame(CONTINUATION, 0, 1, &more), Duration::ZERO)
            }
            Self::RapidReset | Self::PingFlood => (Vec::new(), frame(PING, 0, 0, &[0; 8]), Duration::ZERO),
        }
    }
}

/// A connection from an address of loopback.
async fn connect(address: SocketAddr, from: [u8; 4]) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(from)), 0))?;
    Ok(socket.connect(address).await?)
}

/// Is a nuisance on one connection until the server ends it or the time is up. How many bytes it took.
async fn annoy(address: SocketAddr, way: Way, until: Instant) -> Result<u64> {
    let mut stream = connect(address, [127, 0, 0, 9]).await?;
    let (first, again, pause) = way.says();
    let mut sent = 0;
    stream.write_all(&[HELLO, &first].concat()).await?;
    let mut answers = vec![0; 4_096];
    for turn in 0_u32.. {
        if Instant::now() >= until {
            return Ok(sent);
        }
        let again = match way {
            Way::RapidReset => {
                let number = turn.wrapping_mul(2) + 1;
                let begun = frame(HEADERS, END_HEADERS, number, &call_headers());
                [begun, frame(RST_STREAM, 0, number, &[0, 0, 0, 8])].concat()
            }
            _ => again.clone(),
        };
        stream.write_all(&again).await?;
        sent += again.len() as u64;
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
        // What the server says is taken, so that it cannot be that which holds it up.
        match stream.try_read(&mut answers) {
            Ok(0) => anyhow::bail!("ended"),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent)
}

/// Who works: a record every few milliseconds, each on disk before the next. Ends when told so, with the latencies.
fn work(door: Door, mut author: Author, stop: Arc<AtomicBool>) -> JoinHandle<Result<Histogram<u64>>> {
    tokio::spawn(async move {
        let mut latencies = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        let mut client = SubmissionServiceClient::new(door);
        // A few at least, however short the nuisance was.
        while !stop.load(Relaxed) || latencies.len() < CALLS_MIN {
            let request = SubmitRequest { submission: Some(author.visit()) };
            let called = Instant::now();
            within(client.submit(request)).await.context("who works was not served")?;
            latencies.saturating_record(u64::try_from(called.elapsed().as_micros())?);
            tokio::time::sleep(PACE).await;
        }
        Ok(latencies)
    })
}

/// Who works beside something else: its calls, and how long they took, in a few words.
async fn beside<T>(run: &Run, part: u64, other: impl Future<Output = Result<T>>) -> Result<(T, String)> {
    let stop = Arc::new(AtomicBool::new(false));
    let working = work(run.signpost.route().door().await?, Author::new(part, 0, 0), Arc::clone(&stop));
    let done = other.await;
    stop.store(true, Relaxed);
    let latencies = working.await??;
    let ms = |micros: u64| micros as f64 / 1_000.0;
    let (p99, most) = (ms(latencies.value_at_quantile(0.99)), ms(latencies.max()));
    ensure!(latencies.max() < u64::try_from(NOTICED.as_micros())?, "a call of who works took {most:.0} ms");
    Ok((done?, format!("{} calls, p99 {p99:.1} ms, most {most:.1} ms", latencies.len())))
}

/// All ways, one after the other, each for a while.
pub(crate) async fn hostile(house: House, seed: u64, time: Duration, idle: usize) -> Result<String> {
    // What is refused is recorded, up to the limit that a server has unless told otherwise.
    let house = house
        .with("SATGAS_REFUSALS_PER_MINUTE", 60)
        .with("SATGAS_REQUEST_DEADLINE_S", 2)
        .with("SATGAS_CHECKPOINT_EVERY", 500_000);
    let mut run = Run::begin(house, seed).await?;
    let address: SocketAddr = run.served.as_ref().context("the server runs")?.address.parse()?;
    let memory = |run: &Run| run.served.as_ref().context("the server runs")?.memory();
    let before = memory(&run)?.1;
    let mut told = Vec::new();
    for (part, way) in (1..).zip(Way::ALL) {
        let annoying = async {
            let until = Instant::now() + time;
            let mut tasks = JoinSet::new();
            let (mut ended, mut connections, mut sent) = (0_u64, 0_u64, 0_u64);
            while Instant::now() < until || !tasks.is_empty() {
                while tasks.len() < CONNECTIONS && connections < CONNECTIONS_MAX && Instant::now() < until {
                    tasks.spawn(annoy(address, way, until));
                    connections += 1;
                }
                match tasks.join_next().await {
                    Some(done) => match done? {
                        Ok(bytes) => sent += bytes,
                        Err(_) => ended += 1,
                    },
                    None => break,
                }
            }
            anyhow::Ok((connections, ended, sent))
        };
        let ((connections, ended, _), worked) =
            beside(&run, seed ^ part, annoying).await.with_context(|| format!("{way:?}"))?;
        told.push(format!("{way:?}: {connections} connections, {ended} ended by the server; {worked}"));
    }
    let ((open, closed), worked) = beside(&run, seed ^ 99, idle_connections(&run, address, idle, time)).await?;
    told.push(format!("{idle} idle connections: {open} kept, {closed} turned away; {worked}"));
    let grown = memory(&run)?.1.saturating_sub(before);
    told.push(format!("memory grew by {:.0} MiB", grown as f64 / MIB));
    run.end(true).await?;
    ensure!(matches!(run.house.verify()?, Verified::Holds(_)), "the log does not hold");
    let told = told.join("\n    ");
    ensure!(grown < GROWTH_MAX, "memory is not bounded: {told}");
    Ok(told)
}

/// Opens connections from three addresses that say hello and nothing more, and then one that works. How many were kept and turned away.
async fn idle_connections(run: &Run, address: SocketAddr, count: usize, time: Duration) -> Result<(usize, usize)> {
    allow_files(count as u64 + SPARE_FILES)?;
    let mut open = Vec::new();
    for number in 0..count {
        let from = u8::try_from(10 + number % 3)?;
        let mut stream = connect(address, [127, 0, 0, from]).await?;
        // A server that has turned it away already is as good as one that does so later.
        let _ = stream.write_all(HELLO).await;
        open.push(stream);
    }
    // A new connection finds a place while they are there.
    let started = Instant::now();
    let mut author = Author::new(run.seed() ^ 98, 0, 0);
    while started.elapsed() < time {
        let mut client = SubmissionServiceClient::new(run.signpost.route().door().await?);
        let request = SubmitRequest { submission: Some(author.visit()) };
        within(client.submit(request)).await.context("a new connection is not served beside idle ones")?;
    }
    let total = open.len();
    let mut kept = 0;
    for mut stream in open {
        // The server's settings lie there; then its end, where it has turned the connection away.
        let mut all = vec![0; 1_024];
        let mut is_open = true;
        while let Ok(read) = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut all)).await {
            if !matches!(read, Ok(1..)) {
                is_open = false;
                break;
            }
        }
        kept += usize::from(is_open);
    }
    ensure!(kept > 0 && kept < total, "{kept} of {total} idle connections are kept");
    Ok((kept, total - kept))
}

/// Lets this process have so many files.
fn allow_files(count: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        let most = limit.maximum.unwrap_or(u64::MAX);
        ensure!(most >= count, "the system lets this process have {most} files, and {count} are needed");
        setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum: limit.maximum })?;
    }
    Ok(())
}
