//! What Prometheus is told: how the server does, never what it keeps. docs/watching.md says what each figure means.
//!
//! Invariants:
//! - No label names a person, an area, a case, a token or an address; every label has a bounded number of values, all of them ours.
//! - Whoever reads the figures holds up nobody: what is counted on the way of a record is atomic, everything else is looked up when it is
//!   asked for.

mod calls;
mod listen;
mod subscribers;
mod text;

use std::{fs, io, path::Path, path::PathBuf, sync::Arc};

use satgas_engine::{Engine, Histogram, Writable};

use self::text::{Kind, Text};
pub(crate) use self::{
    calls::Calls,
    listen::serve,
    subscribers::{Subscriber, Subscribers},
};
use crate::{access::AccessLog, listen::Served, stream::Places, tls::Tls, trace::Traces};

/// What every call passes by.
pub(crate) struct Watch {
    pub(crate) calls: Calls,
    pub(crate) traces: Option<Traces>,
}

/// Where the figures are.
pub(crate) struct Figures {
    pub(crate) engine: Engine,
    /// How long the disk took to sync a commit, in nanoseconds.
    pub(crate) syncs: Arc<Histogram>,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) connections: Served,
    pub(crate) subscribers: Subscribers,
    /// Places for streams that are free, and how many there are.
    pub(crate) places: Places,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) data: PathBuf,
    /// Seconds since 1970.
    pub(crate) started_at: i64,
}

impl Figures {
    /// All of them, in the text format of Prometheus. Blocks: it looks at the data folder.
    pub(crate) fn text(&self) -> String {
        let mut text = Text::default();
        self.write_log(&mut text);
        self.write_readers(&mut text);
        self.write_calls(&mut text);
        self.write_access(&mut text);
        self.write_folder(&mut text);
        self.write_process(&mut text);
        text.finish()
    }

    /// The way of a record: queue, commit, sync, fold.
    fn write_log(&self, text: &mut Text) {
        use Kind::{Counter, Gauge};
        let (meter, queued) = (self.engine.meter(), self.engine.queued());
        text.histogram("satgas_sync_seconds", "How long the disk took to make a commit durable.", &self.syncs, 1e9);
        let help = "How long a commit took from its decision until it was durable.";
        text.histogram("satgas_commit_seconds", help, meter.commits(), 1e9);
        text.histogram("satgas_commit_records", "Records in a commit.", meter.records(), 1.0);
        let help = "Commits that were not written, by why.";
        text.many(Counter, "satgas_commit_failures_total", help, meter.failures().map(|(why, n)| ([("why", why)], n)));
        let help = "Records that were handed in, by what became of them.";
        let outcomes = meter.outcomes().map(|(outcome, n)| ([("outcome", outcome)], n));
        text.many(Counter, "satgas_submissions_total", help, outcomes);
        text.one(Gauge, "satgas_queue_jobs", "Messages and commands that wait for the writer.", queued.jobs);
        text.one(Gauge, "satgas_queue_bytes", "Bytes that wait for the writer.", queued.bytes);
        text.one(Gauge, "satgas_queue_bytes_max", "Bytes that may wait for the writer.", queued.bytes_max);
        let now = *self.engine.writable().borrow();
        let states = [("yes", Writable::Yes), ("disk_full", Writable::DiskFull), ("failed", Writable::Failed)];
        let states = states.map(|(name, state)| ([("state", name)], u8::from(state == now)));
        text.many(Gauge, "satgas_writable", "1 for the state in which records are taken or not.", states);
        // Folded first: what is folded lies within the head, so the lag is never below 0.
        let folded = *self.engine.folded().borrow();
        let head = self.engine.head().position;
        text.one(Gauge, "satgas_head_position", "Position of the last durable event.", head);
        text.one(Gauge, "satgas_fold_lag_events", "Durable events that queries do not see yet.", head - folded);
        let recorded_at = seconds(meter.recorded_at_ns());
        let help = "When the last event was recorded, in seconds since 1970; 0 for never.";
        text.one(Gauge, "satgas_last_event_timestamp_seconds", help, recorded_at);
    }

    /// Whoever reads as the log grows.
    fn write_readers(&self, text: &mut Text) {
        use Kind::{Counter, Gauge};
        let seen = self.subscribers.seen(self.engine.head().position);
        text.one(Gauge, "satgas_subscribers", "Subscribers to events that are connected.", seen.connected);
        let help = "Events that the subscriber furthest behind has not got yet.";
        text.one(Gauge, "satgas_subscriber_lag_events", help, seen.lag_max);
        let help = "How long ago the subscriber that is behind and has been waiting longest last took something; 0 when none is behind.";
        text.one(Gauge, "satgas_subscriber_progress_age_seconds", help, seen.behind_max.as_secs_f64());
        let help = "Subscribers that were disconnected since they took nothing.";
        text.one(Counter, "satgas_subscribers_stalled_total", help, seen.stalled);
        text.one(Gauge, "satgas_streams", "Streams that are open.", self.places.taken());
        text.one(Gauge, "satgas_streams_max", "Streams that may be open at once.", self.places.max());
        text.one(Gauge, "satgas_connections", "Connections that are served.", self.connections.open());
        text.one(Gauge, "satgas_connections_max", "Connections that may be open at once.", self.connections.max());
        let help = "Connections that were turned away, by why.";
        let turned = self.connections.turned_away().map(|(why, n)| ([("why", why)], n));
        text.many(Counter, "satgas_connections_turned_away_total", help, turned);
    }

    fn write_calls(&self, text: &mut Text) {
        self.watch.calls.write(text);
        if let Some(traces) = &self.watch.traces {
            let help = "Spans for the collector of traces, by what became of them.";
            let counts = traces.counts().map(|(outcome, n)| ([("outcome", outcome)], n));
            text.many(Kind::Counter, "satgas_trace_spans_total", help, counts);
        }
        if let Some(ends) = self.tls.as_ref().and_then(|tls| tls.ends()) {
            let help = "When the certificate in force ends, in seconds since 1970.";
            text.one(Kind::Gauge, "satgas_tls_certificate_end_timestamp_seconds", help, ends);
        }
    }

    /// The access log, and the backups that it tells of.
    fn write_access(&self, text: &mut Text) {
        use Kind::Gauge;
        if let Some(syncs) = self.access.syncs() {
            let help = "How long the disk took to make a commit of the access log durable.";
            text.histogram("satgas_access_sync_seconds", help, syncs, 1e9);
        }
        let last = self.access.look(crate::access::State::last_backup);
        let help = "When a backup was last confirmed as whole, in seconds since 1970; 0 for never.";
        text.one(Gauge, "satgas_backup_timestamp_seconds", help, last.at);
        let help = "Position of the last event in that backup.";
        text.one(Gauge, "satgas_backup_position", help, last.position);
    }

    fn write_folder(&self, text: &mut Text) {
        let parts = ["journal", "access", "checkpoints"];
        // A folder that cannot be looked at now has no figure, which is not 0.
        let sizes = parts.into_iter().filter_map(|part| {
            let bytes = size_of(&self.data.join(part)).ok()?;
            Some(([("part", part)], bytes))
        });
        text.many(Kind::Gauge, "satgas_data_bytes", "Bytes on the disk, by part of the data folder.", sizes);
        if let Ok(stat) = rustix::fs::statvfs(&self.data) {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            text.one(Kind::Gauge, "satgas_disk_free_bytes", "Bytes that are free where the data folder lies.", free);
        }
    }

    fn write_process(&self, text: &mut Text) {
        use Kind::Gauge;
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1)];
        text.many(Gauge, "satgas_build_info", "1; the version is in the label.", version);
        let started = self.started_at;
        text.one(Gauge, "process_start_time_seconds", "When the server started, in seconds since 1970.", started);
        if let Some(resident) = resident_bytes() {
            text.one(Gauge, "process_resident_memory_bytes", "Memory that the server holds.", resident);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            text.one(Gauge, "process_open_fds", "Files and connections that the server has open.", files.count());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for a graph")]
fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// Bytes of the files of a folder and of those in it, as far as they are there: files may go while one looks.
pub(crate) fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&entry.path()).unwrap_or_default(),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        };
    }
    Ok(bytes)
}

/// Memory of this process; none where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
