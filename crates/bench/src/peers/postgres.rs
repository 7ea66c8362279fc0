//! PostgreSQL as a cluster of its own, made, started and stopped here, and a client of it.
//!
//! It refuses to run as root, so its processes run as another user then. It listens on loopback, as the others do, trusts whoever is there
//! and lives for minutes. Nothing is tuned but the number of connections; that it syncs before it answers is asked for and checked.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use prost::Message as _;
use rustix::process::Signal;
use satgas_proto::v1::Submission;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement, binary_copy::BinaryCopyOutStream, connect, types::Type};
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use super::{
    compare::Who,
    contender::{BATCH, Contender, KIND},
    umadb::free_port,
};
use crate::{
    city::area,
    follow,
    load::{self, Achieved, WARM_UP_CALLS},
    machine,
    plan::Plan,
    served,
};

const VERSION: &str = "15.";
const START_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// More than there are writers.
const CONNECTIONS: usize = 300;
/// Connections with a batch each where batches go as fast as they are let in.
const BATCHES_IN_FLIGHT: usize = 64;
/// Users that a program may run as that refuses to be root, the first that exists.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Positions come from the primary key, which has an index. Nothing refuses a record that is there already, which this server does: UmaDB
/// is not asked to either.
const TABLE: &str = "CREATE TABLE events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    id uuid NOT NULL,
    kind text NOT NULL,
    area text NOT NULL,
    body bytea NOT NULL
)";
const APPEND: &str = "INSERT INTO events (id, kind, area, body) VALUES ($1, $2, $3, $4) RETURNING position";
const APPEND_BATCH: &str = "INSERT INTO events (id, kind, area, body)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])";
/// Tells subscribers, who then read what they have not: only where there are any, since it makes commits wait for one another.
const APPEND_AND_NOTIFY: &str = "WITH appended AS (
    INSERT INTO events (id, kind, area, body) VALUES ($1, $2, $3, $4) RETURNING position
) SELECT position, pg_notify('events', '') FROM appended";
const READ_AFTER: &str = "SELECT position, body FROM events WHERE position > $1 ORDER BY position";
const READ_ALL: &str = "COPY (SELECT position, recorded_at, id, kind, area, body FROM events ORDER BY position)
    TO STDOUT (FORMAT binary)";

/// A cluster in a folder of its own.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
    user: Option<User>,
    child: Option<Child>,
    port: u16,
    /// What an empty cluster takes: catalogues and the first segment of its log.
    empty_bytes: u64,
}

/// Somebody whom a program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    id: u32,
    group: u32,
}

/// One record as parameters of a statement.
struct Record {
    id: Uuid,
    area: String,
    body: Vec<u8>,
}

/// A connection with the statement that it is for.
#[derive(Clone)]
struct Session {
    client: Arc<Client>,
    statement: Statement,
}

/// Why it cannot be measured here, if it cannot.
pub(crate) fn missing(programs: &Path) -> Option<String> {
    let postgres = programs.join("postgres");
    let version = match Command::new(&postgres).arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => {
            return Some(format!(
                "{} is not there: install PostgreSQL 15, or name its folder with --postgres",
                postgres.display()
            ));
        }
    };
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let right = number.is_some_and(|number| number.starts_with(VERSION));
    (!right).then(|| format!("{} is {version:?}, not PostgreSQL {VERSION}", postgres.display()))
}

impl Postgres {
    /// Makes a cluster with an empty table of events, and stops it again.
    pub(crate) async fn new(plan: &Plan) -> Result<Self> {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let user = if rustix::process::geteuid().is_root() { Some(somebody_else()?) } else { None };
        let mut cluster = Self { programs: plan.postgres.clone(), folder, user, child: None, port: 0, empty_bytes: 0 };
        if let Some(User { id, group }) = user {
            // Theirs alone; the folder above is only passed through.
            fs::set_permissions(cluster.folder.path(), fs::Permissions::from_mode(0o711))?;
            fs::create_dir(cluster.data())?;
            chown(cluster.data(), Some(id), Some(group))?;
        }
        let mut init = cluster.program("initdb")?;
        init.args(["--username", "bench", "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--pgdata"]);
        let output = init.arg(cluster.data()).stdin(Stdio::null()).output().context("initdb cannot be started")?;
        ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        cluster.start().await?;
        let client = cluster.client().await?;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let row = client.query_one(&format!("SHOW {setting}"), &[]).await?;
            ensure!(row.get::<_, &str>(0) == "on", "PostgreSQL's {setting} is not on");
        }
        client.batch_execute(TABLE).await?;
        drop(client);
        cluster.stop().await?;
        cluster.empty_bytes = machine::disk_bytes(&cluster.data())?;
        Ok(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of its programs, as the user that it runs as.
    fn program(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.programs.join(name));
        // A folder that this user may be in.
        command.current_dir(self.folder.path());
        if let Some(User { id, group }) = self.user {
            command.uid(id).gid(group);
        }
        Ok(command)
    }

    fn address(&self) -> String {
        format!("host=127.0.0.1 port={} user=bench dbname=postgres", self.port)
    }

    async fn client(&self) -> Result<Client> {
        let (client, connection) = connect(&self.address(), NoTls).await.context("PostgreSQL cannot be reached")?;
        // Ends with the client.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Connections with the statement prepared: one for each writer, as a session does one thing at a time.
    async fn sessions(&self, writers: usize, statement: &str) -> Result<Vec<Session>> {
        let mut sessions = Vec::with_capacity(writers);
        for _ in 0..writers {
            let client = self.client().await?;
            for _ in 0..WARM_UP_CALLS {
                client.simple_query("SELECT 1").await?;
            }
            let statement = client.prepare(statement).await?;
            sessions.push(Session { client: Arc::new(client), statement });
        }
        Ok(sessions)
    }
}

impl Session {
    /// Appends a record and returns its position.
    async fn append(self, Record { id, area, body }: Record) -> Result<u64> {
        let row = self.client.query_one(&self.statement, &[&id, &KIND, &area, &body]).await?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }

    async fn append_batch(self, records: Vec<Record>) -> Result<()> {
        let count = records.len() as u64;
        let ids: Vec<Uuid> = records.iter().map(|record| record.id).collect();
        let kinds = vec![KIND; records.len()];
        let areas: Vec<&str> = records.iter().map(|record| record.area.as_str()).collect();
        let bodies: Vec<&[u8]> = records.iter().map(|record| record.body.as_slice()).collect();
        let appended = self.client.execute(&self.statement, &[&ids, &kinds, &areas, &bodies]).await?;
        ensure!(appended == count, "{appended} rows for {count} records");
        Ok(())
    }
}

fn records(visits: &[Submission]) -> Result<Vec<Record>> {
    let record = |visit: &Submission| {
        let id = Uuid::parse_str(&visit.submission_id)?;
        Ok(Record { id, area: area(visit).to_owned(), body: visit.encode_to_vec() })
    };
    visits.iter().map(record).collect()
}

/// A user who is not root.
fn somebody_else() -> Result<User> {
    let users = fs::read_to_string("/etc/passwd").context("the users of this machine cannot be read")?;
    let user = USERS.into_iter().find_map(|name| find(&users, name));
    user.with_context(|| {
        format!("PostgreSQL does not run as root, and there is none of the users {}", USERS.join(", "))
    })
}

fn find(users: &str, name: &str) -> Option<User> {
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
    Some(User { id: fields.get(2)?.parse().ok()?, group: fields.get(3)?.parse().ok()? })
}

impl Contender for Postgres {
    fn who(&self) -> Who {
        Who::PostgreSql
    }

    async fn start(&mut self) -> Result<Duration> {
        self.port = free_port()?;
        let log = File::options().create(true).append(true).open(self.folder.path().join("server.log"))?;
        let mut command = self.program("postgres")?;
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on", "synchronous_commit=on"] {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("max_connections={CONNECTIONS}")]);
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let child = self.child.insert(child);
        while started.elapsed() < START_MAX {
            if let Some(status) = child.try_wait()? {
                bail!("PostgreSQL ended with {status} before it took calls");
            }
            let address = format!("host=127.0.0.1 port={} user=bench dbname=postgres", self.port);
            if connect(&address, NoTls).await.is_ok() {
                return Ok(started.elapsed());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("PostgreSQL took no calls within {} s", START_MAX.as_secs())
    }

    /// The "fast" stop: sessions are ended and everything is written.
    async fn stop(&mut self) -> Result<()> {
        served::stop(self.child.as_mut().context("PostgreSQL is stopped")?, Signal::INT).await?;
        self.child = None;
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("PostgreSQL is stopped")?.id())
    }

    /// Rows are in its log only until a checkpoint writes them to the table.
    async fn settle(&self) -> Result<()> {
        Ok(self.client().await?.batch_execute("CHECKPOINT").await?)
    }

    async fn appends(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved> {
        let (sessions, records) = (self.sessions(writers, APPEND).await?, records(&visits)?);
        load::callers(sessions, records, |session, record| async move {
            session.append(record).await?;
            Ok(())
        })
        .await
    }

    async fn batches(&self, writers: usize, visits: Vec<Submission>) -> Result<Achieved> {
        let sessions = self.sessions(writers, APPEND_BATCH).await?;
        let batches = visits.chunks(BATCH).map(records).collect::<Result<Vec<_>>>()?;
        let mut achieved = load::callers(sessions, batches, Session::append_batch).await?;
        achieved.count *= BATCH as u64;
        Ok(achieved)
    }

    /// It has no stream whose parts are durable one by one: many sessions at once.
    async fn streamed(&self, visits: Vec<Submission>) -> Result<Achieved> {
        self.batches(BATCHES_IN_FLIGHT, visits).await
    }

    async fn catch_up(&self) -> Result<(u64, Duration)> {
        let client = self.client().await?;
        let started = Instant::now();
        let types = [Type::INT8, Type::TIMESTAMPTZ, Type::UUID, Type::TEXT, Type::TEXT, Type::BYTEA];
        let rows = BinaryCopyOutStream::new(client.copy_out(READ_ALL).await?, &types);
        let mut rows = std::pin::pin!(rows);
        let mut events = 0;
        tokio::time::timeout(follow::CATCH_UP_MAX, async {
            while let Some(row) = rows.next().await {
                row?;
                events += 1;
            }
            Ok((events, started.elapsed()))
        })
        .await?
    }

    /// The subscriber listens for notices and, at each, reads what it has not.
    async fn deliveries(&self, visits: Vec<Submission>) -> Result<Histogram<u64>> {
        let writer = self.sessions(1, APPEND_AND_NOTIFY).await?.pop().context("one writer has one session")?;
        let (reader, mut connection) = connect(&self.address(), NoTls).await?;
        let (told, mut notices) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                if matches!(message, AsyncMessage::Notification(_)) && told.send(()).is_err() {
                    break;
                }
            }
        });
        // Of a table that has just been filled the planner knows nothing, and would read all of it at each notice.
        reader.batch_execute("LISTEN events; SET enable_seqscan = off; SET enable_bitmapscan = off").await?;
        let read = reader.prepare(READ_AFTER).await?;
        let last = reader.query_one("SELECT coalesce(max(position), 0) FROM events", &[]).await?;
        let mut after: i64 = last.get(0);
        let count = visits.len();
        let reading = tokio::spawn(async move {
            let mut arrivals = Vec::with_capacity(count);
            while arrivals.len() < count {
                notices.recv().await.context("the listening connection is broken")?;
                for row in reader.query(&read, &[&after]).await? {
                    after = row.get(0);
                    arrivals.push((u64::try_from(after)?, Instant::now()));
                }
            }
            Ok::<_, anyhow::Error>(arrivals)
        });
        let mut calls = Vec::with_capacity(count);
        for record in records(&visits)? {
            let called = Instant::now();
            calls.push((writer.clone().append(record).await?, called));
        }
        follow::delays(calls, tokio::time::timeout(follow::CATCH_UP_MAX, reading).await???)
    }

    /// The table with its index. Its log of changes is written over again and again, and needed for a crash only.
    async fn log_bytes(&self) -> Result<u64> {
        let row = self.client().await?.query_one("SELECT pg_total_relation_size('events')", &[]).await?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }

    fn all_bytes(&self) -> Result<u64> {
        Ok(machine::disk_bytes(&self.data())?.saturating_sub(self.empty_bytes))
    }
}

impl Drop for Postgres {
    /// At once, but in its own way: its processes end with the first one only when that is asked, not when it is killed.
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // Fails only where it is gone, which is what is wanted.
            let _ = rustix::process::kill_process(pid, Signal::QUIT);
        }
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres-old:x:7:8::/:/bin/false\npostgres:x:101:104:,,,:/var/lib:/bin/sh\n";
        assert_eq!(find(users, "postgres"), Some(User { id: 101, group: 104 }));
        assert_eq!(find(users, "nobody"), None);
    }

    #[test]
    fn a_folder_without_the_programs_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let why = missing(folder.path()).unwrap();
        assert!(why.contains("--postgres"), "{why}");
    }
}
