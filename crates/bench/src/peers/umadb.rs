//! UmaDB as a child process, and a client of it.
//!
//! Its published client is not used: it brings a TLS library and a compiler of protocol files with it, for five messages. They are
//! written down here, and go over the same transport as this server's.

use std::{
    fs::File,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use prost::{Message, bytes::Bytes};
use rustix::process::Signal;
use satgas_proto::v1::Submission;
use tonic::{
    Request, Streaming,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{
    compare::Who,
    contender::{BATCH, BATCH_CONNECTIONS, Contender, KIND},
};
use crate::{
    city::area,
    door::Door,
    follow,
    load::{self, Achieved},
    machine,
    plan::Plan,
    served,
};

/// A server that has not answered by then will not.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two attempts to reach a server that is starting.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Calls in flight where it has no stream to append on.
const CALLS_IN_FLIGHT: usize = 64;

/// What is appended.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(string, tag = "1")]
    event_type: String,
    #[prost(string, repeated, tag = "2")]
    tags: Vec<String>,
    #[prost(bytes = "bytes", tag = "3")]
    data: Bytes,
    #[prost(string, tag = "4")]
    uuid: String,
}

#[derive(Clone, PartialEq, Message)]
struct AppendRequest {
    #[prost(message, repeated, tag = "1")]
    events: Vec<Event>,
}

#[derive(Clone, PartialEq, Message)]
struct Position {
    #[prost(uint64, optional, tag = "1")]
    position: Option<u64>,
}

/// What two requests have in common: to read from a position on, and to follow after one. Nothing else of them is given.
#[derive(Clone, PartialEq, Message)]
struct After {
    #[prost(uint64, optional, tag = "2")]
    position: Option<u64>,
}

/// Events of a stream, left in their bytes.
#[derive(Clone, PartialEq, Message)]
struct Events {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    events: Vec<Bytes>,
}

/// A child of the benchmark on a folder of its own.
pub(crate) struct UmaDb {
    binary: PathBuf,
    folder: tempfile::TempDir,
    child: Option<Child>,
    url: String,
    connections: usize,
}

impl UmaDb {
    /// On an empty folder, not started yet.
    pub(crate) fn new(plan: &Plan) -> Result<Self> {
        ensure!(
            plan.umadb.is_file(),
            "{} is not there: `cargo xtask bench --peers` installs it, or name one with --umadb",
            plan.umadb.display()
        );
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let (child, url) = (None, String::new());
        Ok(Self { binary: plan.umadb.clone(), folder, child, url, connections: plan.connections })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Connections of their own, and for each of the callers one of them. No token is sent with a call.
    async fn connect(&self, callers: usize, connections: usize) -> Result<Vec<Door>> {
        let mut open = Vec::new();
        for _ in 0..connections.min(callers).max(1) {
            open.push(Door::with(channel(&self.url).await?, ""));
        }
        Ok((0..callers).map(|caller| open[caller % open.len()].clone()).collect())
    }

    /// Appends requests, which all have as many events.
    async fn append(&self, channels: Vec<Door>, requests: Vec<AppendRequest>) -> Result<Achieved> {
        load::warm_up(&channels).await?;
        let clients = channels.into_iter().map(Grpc::new).collect();
        load::callers(clients, requests, |client, request| async move {
            append(client, request).await?;
            Ok(())
        })
        .await
    }
}

async fn channel(url: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
    endpoint.connect().await.context("UmaDB cannot be reached")
}

/// Appends and returns the last position.
async fn append(mut client: Grpc<Door>, request: AppendRequest) -> Result<u64> {
    client.ready().await?;
    let path = PathAndQuery::from_static("/umadb.v1.DCB/Append");
    let codec = ProstCodec::<AppendRequest, Position>::default();
    let answer = client.unary(Request::new(request), path, codec).await?.into_inner();
    answer.position.context("an append without a position")
}

async fn stream(door: Door, path: &'static str, after: After) -> Result<Streaming<Events>> {
    let mut client = Grpc::new(door);
    client.ready().await?;
    let codec = ProstCodec::<After, Events>::default();
    Ok(client.server_streaming(Request::new(after), PathAndQuery::from_static(path), codec).await?.into_inner())
}

fn event(visit: &Submission) -> Event {
    Event {
        event_type: KIND.to_owned(),
        tags: vec![area(visit).to_owned()],
        data: visit.encode_to_vec().into(),
        uuid: visit.submission_id.clone(),
    }
}

fn requests(visits: &[Submission], events: usize) -> Vec<AppendRequest> {
    visits.chunks(events).map(|chunk| AppendRequest { events: chunk.iter().map(event).collect() }).collect()
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl Contender for UmaDb {
    fn who(&self) -> Who {
        Who::UmaDb
    }

    async fn start(&mut self) -> Result<Duration> {
        std::fs::create_dir_all(self.data())?;
        let port = free_port()?;
        self.url = format!("http://127.0.0.1:{port}");
        let log = || File::options().create(true).append(true).open(self.folder.path().join("server.log"));
        let started = Instant::now();
        let child = Command::new(&self.binary)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--db-path"])
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.binary.display()))?;
        let child = self.child.insert(child);
        while started.elapsed() < START_MAX {
            if channel(&self.url).await.is_ok() {
                return Ok(started.elapsed());
            }
            if let Some(status) = child.try_wait()? {
                bail!("UmaDB ended with {status} before it took calls");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("UmaDB took no calls within {} s", START_MAX.as_secs())
    }

    async fn stop(&mut self) -> Result<()> {
        served::stop(self.child.as_mut().context("UmaDB is stopped")?, Signal::TERM).await?;
        self.child = None;
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("UmaDB is stopped")?.id())
    }

    /// What was acknowledged is written already.
    async fn settle(&self) -> Result<()> {
        Ok(())
    }

    async fn appends(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved> {
        self.append(self.connect(writers, self.connections).await?, requests(&visits, 1)).await
    }

    async fn batches(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved> {
        let channels = self.connect(writers, BATCH_CONNECTIONS).await?;
        let mut achieved = self.append(channels, requests(&visits, BATCH)).await?;
        achieved.count *= BATCH as u64;
        Ok(achieved)
    }

    /// It has no stream to append on: many calls at once.
    async fn streamed(&self, visits: Vec<Submission>) -> Result<Achieved> {
        self.batches(CALLS_IN_FLIGHT, visits).await
    }

    async fn catch_up(&self) -> Result<(u64, Duration)> {
        let door = self.connect(1, 1).await?.pop().context("one caller has one channel")?;
        let started = Instant::now();
        let mut stream = stream(door, "/umadb.v1.DCB/Read", After { position: None }).await?;
        let mut events = 0;
        tokio::time::timeout(follow::CATCH_UP_MAX, async {
            while let Some(message) = stream.message().await? {
                events += message.events.len() as u64;
            }
            Ok((events, started.elapsed()))
        })
        .await?
    }

    async fn deliveries(&self, visits: Vec<Submission>) -> Result<Histogram<u64>> {
        let writer = Grpc::new(self.connect(1, 1).await?.pop().context("one caller has one channel")?);
        let reader = self.connect(1, 1).await?.pop().context("one caller has one channel")?;
        let mut requests = requests(&visits, 1).into_iter();
        let first = requests.next().context("a delivery needs a record")?;
        let after = append(writer.clone(), first).await?;
        let mut stream = stream(reader, "/umadb.v1.DCB/Subscribe", After { position: Some(after) }).await?;
        let count = requests.len();
        let reading = tokio::spawn(async move {
            let mut arrivals = Vec::with_capacity(count);
            while arrivals.len() < count {
                let message = stream.message().await?.context("the stream ended")?;
                let now = Instant::now();
                for event in message.events {
                    arrivals.push((Position::decode(event)?.position.context("an event without a position")?, now));
                }
            }
            Ok::<_, anyhow::Error>(arrivals)
        });
        let mut calls = Vec::with_capacity(count);
        for request in requests {
            let called = Instant::now();
            calls.push((append(writer.clone(), request).await?, called));
        }
        follow::delays(calls, tokio::time::timeout(follow::CATCH_UP_MAX, reading).await???)
    }

    async fn log_bytes(&self) -> Result<u64> {
        self.all_bytes()
    }

    fn all_bytes(&self) -> Result<u64> {
        machine::disk_bytes(&self.data())
    }
}

impl Drop for UmaDb {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            served::end(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::City;

    #[test]
    fn an_event_has_the_whole_record_its_area_and_its_id() {
        let visit = City::new().visits(1).pop().unwrap();
        let event = event(&visit);
        assert_eq!(Submission::decode(event.data.clone()), Ok(visit.clone()));
        assert_eq!((event.tags, event.uuid), (vec![area(&visit).to_owned()], visit.submission_id.clone()));
        assert!(!area(&visit).is_empty());
    }

    #[test]
    fn no_record_is_lost_when_batches_are_made() {
        let visits = City::new().visits(250);
        let sizes: Vec<_> = requests(&visits, 100).iter().map(|request| request.events.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
    }
}
