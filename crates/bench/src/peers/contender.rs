//! What every server that is compared can be asked to do, and this server doing it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use satgas_proto::v1::Submission;

use super::compare::Who;
use crate::{
    city::City,
    door::Door,
    follow,
    load::{self, Achieved},
    machine,
    plan::Plan,
    served::{House, Served},
};

/// Records of a batch.
pub(crate) const BATCH: usize = 100;
/// Connections over which batches go.
pub(crate) const BATCH_CONNECTIONS: usize = 8;

/// A server with a log of its own. Every record has an id, a kind, an area and [`crate::city::VISIT_BYTES`] bytes; what a step needs is made
/// before its time is taken.
pub(crate) trait Contender {
    /// Which one it is.
    fn who(&self) -> Who;
    /// Starts it on what it has. From the start of its process until it takes calls.
    async fn start(&mut self) -> Result<Duration>;
    /// Stops it in order.
    async fn stop(&mut self) -> Result<()>;
    /// The id of its first process.
    fn pid(&self) -> Result<u32>;
    /// Has it write what it would write later, so that it counts.
    async fn settle(&self) -> Result<()>;
    /// Appends the records, one a call; as many writers, each of which waits until its record is durable.
    async fn appends(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved>;
    /// Appends the records in batches of [`BATCH`]; as many writers, each of which waits until its batch is durable.
    async fn batches(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved>;
    /// Appends the records in batches of [`BATCH`] as fast as its interface lets them in.
    async fn streamed(&self, visits: Vec<Submission>) -> Result<Achieved>;
    /// Reads everything from the beginning. Events, and the time it took.
    async fn catch_up(&self) -> Result<(u64, Duration)>;
    /// One writer appends the records one after the other: from each call to the event at a subscriber.
    async fn deliveries(&self, visits: Vec<Submission>) -> Result<Histogram<u64>>;
    /// Bytes on disk of the log alone, with what it needs to be read.
    async fn log_bytes(&self) -> Result<u64>;
    /// Bytes on disk of everything.
    fn all_bytes(&self) -> Result<u64>;
}

/// What a record is for those who do not know the vocabulary.
pub(crate) const KIND: &str = "SchoolVisit";

/// This server.
pub(crate) struct Satgas {
    house: House,
    /// Taken while the server is stopped, and only then.
    served: Option<Served>,
    connections: usize,
}

impl Satgas {
    /// On an empty log, with the city registered, stopped again.
    pub(crate) async fn new(plan: &Plan, city: &City) -> Result<Self> {
        let house = House::new(&plan.satgas, &plan.scratch)?;
        let mut satgas = Self { house, served: None, connections: plan.connections };
        satgas.start().await?;
        follow::register(satgas.channel().await?, city.registry()).await?;
        satgas.stop().await?;
        Ok(satgas)
    }

    pub(crate) fn served(&self) -> Result<&Served> {
        self.served.as_ref().context("the server is stopped")
    }

    async fn channel(&self) -> Result<Door> {
        load::connect(self.served()?, 1, 1).await?.pop().context("one caller has one channel")
    }

    /// Empty calls by so many callers over as many connections as writers have.
    pub(crate) async fn empty_calls(&self, callers: usize, calls: usize) -> Result<Achieved> {
        load::empty_calls(load::connect(self.served()?, callers, self.connections).await?, calls).await
    }
}

impl Contender for Satgas {
    fn who(&self) -> Who {
        Who::Satgas
    }

    async fn start(&mut self) -> Result<Duration> {
        let served = self.house.serve()?;
        let took = served.start_took;
        self.served = Some(served);
        Ok(took)
    }

    async fn stop(&mut self) -> Result<()> {
        self.served.take().context("the server is stopped")?.stop().await
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.served()?.pid())
    }

    /// What was acknowledged is written already.
    async fn settle(&self) -> Result<()> {
        Ok(())
    }

    async fn appends(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved> {
        load::appends(load::connect(self.served()?, writers, self.connections).await?, visits).await
    }

    async fn batches(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved> {
        load::batches(load::connect(self.served()?, writers, BATCH_CONNECTIONS).await?, visits, BATCH).await
    }

    async fn streamed(&self, visits: Vec<Submission>) -> Result<Achieved> {
        let channels = load::connect(self.served()?, BATCH_CONNECTIONS, BATCH_CONNECTIONS).await?;
        load::streams(channels, visits, BATCH).await
    }

    async fn catch_up(&self) -> Result<(u64, Duration)> {
        follow::catch_up_undecoded(self.channel().await?).await
    }

    async fn deliveries(&self, visits: Vec<Submission>) -> Result<Histogram<u64>> {
        follow::append_to_subscriber(self.channel().await?, self.channel().await?, visits).await
    }

    async fn log_bytes(&self) -> Result<u64> {
        machine::disk_bytes(&self.house.data().join("journal"))
    }

    fn all_bytes(&self) -> Result<u64> {
        machine::disk_bytes(&self.house.data())
    }
}
