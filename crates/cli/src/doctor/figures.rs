//! What the server's figures show at this moment. docs/watching.md says what each is; alerts see them over time, which one look cannot.

use std::{io, net::SocketAddr, time::Duration};

use satgas_server::doctor::{self, Finding};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::time;

const DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// Events that queries may be behind for a moment, under load.
const LAG_MAX: f64 = 50_000.0;
/// How long a subscriber that is behind may take nothing.
const PROGRESS_AGE_MAX_S: f64 = 15.0;
/// A sync that takes longer, on average since the start, makes everybody wait.
const SYNC_SLOW_S: f64 = 0.02;

/// Reads the figures at an address, if there is one, and judges them.
pub(super) async fn ask(address: Option<SocketAddr>, is_expected: bool) -> Vec<Finding> {
    let Some(address) = address else {
        return vec![Finding::skipped(
            "figures",
            "no metrics_listen is configured: queue, lag and subscribers are not seen",
        )];
    };
    let read = tokio::time::timeout(DEADLINE, read(address)).await;
    match read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(text) => judge(&text, time::now().as_second()),
        Err(error) => {
            let what = format!("nothing answers at http://{address}/metrics: {error}");
            let remedy = "set metrics_listen in the server's configuration, and restart it";
            vec![if is_expected {
                Finding::problem("figures", what, remedy)
            } else {
                Finding::skipped("figures", what)
            }]
        }
    }
}

async fn read(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(head.lines().next().unwrap_or("no answer").to_owned()));
    }
    Ok(body.to_owned())
}

/// `now` in seconds since 1970.
fn judge(text: &str, now: i64) -> Vec<Finding> {
    let figure = |name: &str| {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok();
        text.lines().find_map(value)
    };
    let Some(lag) = figure("satgas_fold_lag_events") else {
        let what = "what answers there is no satgas server";
        return vec![Finding::problem("figures", what, "name the right address with --metrics")];
    };
    let or_0 = |name: &str| figure(name).unwrap_or_default();
    let mut findings = Vec::new();
    if or_0("satgas_writable{state=\"failed\"}") > 0.0 {
        findings.push(Finding::problem(
            "writer",
            "writing the log failed: nothing is taken",
            "look at the disk, then restart the server",
        ));
    }
    if or_0("satgas_writable{state=\"disk_full\"}") > 0.0 {
        findings.push(Finding::problem(
            "writer",
            "the disk is full: nothing is taken",
            "free space; the server goes on by itself",
        ));
    }
    if lag > LAG_MAX {
        let what = format!("queries are {lag} events behind the log");
        findings.push(Finding::warning(
            "fold",
            what,
            "look again in a minute: if it grows, the machine is too slow for the load",
        ));
    }
    let (behind, age) = (or_0("satgas_subscriber_lag_events"), or_0("satgas_subscriber_progress_age_seconds"));
    if age > PROGRESS_AGE_MAX_S {
        let what = format!("a subscriber is {behind} events behind and took nothing for {age:.0} s");
        let remedy = "look at the dashboard's machine or its network; after stall_s it is disconnected, and told where to resume";
        findings.push(Finding::warning("subscribers", what, remedy));
    }
    let (waiting, room) = (or_0("satgas_queue_bytes"), or_0("satgas_queue_bytes_max"));
    if waiting > 0.8 * room {
        let what = format!("{waiting} of {room} bytes wait for the writer: clients are about to be told to come back");
        findings.push(Finding::warning("queue", what, "look at how long a sync takes, and at who sends so much"));
    }
    for (log, name) in [("the log", "satgas_sync_seconds"), ("the access log", "satgas_access_sync_seconds")] {
        let (sum, count) = (or_0(&format!("{name}_sum")), or_0(&format!("{name}_count")));
        if count > 0.0 && sum / count > SYNC_SLOW_S {
            let ms = 1e3 * sum / count;
            let what = format!("the disk took {ms:.0} ms for a commit of {log}, on average since the start");
            let remedy = "use a solid-state disk, and keep other heavy writers off it";
            findings.push(Finding::warning("disk sync", what, remedy));
        }
    }
    if or_0("satgas_refusals_total{reason=\"ACCESS_LOG_FAILED\"}") > 0.0 {
        let what = "the access log could not be written, and calls that it must record were not answered";
        let remedy = "make room on the disk; when there is room, look at the disk (`dmesg`) and restart the server";
        findings.push(Finding::warning("access log", what, remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("figures", "writer, queue, fold and subscribers keep up"));
    }
    // A server of before it was counted says nothing.
    if let Some(at) = figure("satgas_backup_timestamp_seconds") {
        findings.extend(backup(at, now));
    }
    findings
}

/// Judges when a backup was last confirmed, in seconds since 1970; 0 for never.
#[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
fn backup(at: f64, now: i64) -> Option<Finding> {
    let age = now as f64 - at;
    let what = match at > 0.0 {
        true => format!("the server was last told of a whole backup {:.0} hours ago", age / 3_600.0),
        false => "the server was never told of a whole backup".to_owned(),
    };
    let remedy = "`systemctl list-timers` and `journalctl -u satgas-backup` say whether it runs, and why not; `--backup DIR` looks at the \
                  backup itself";
    (age > doctor::BACKUP_AGE_MAX_S as f64).then(|| Finding::warning("backups", what, remedy))
}

#[cfg(test)]
mod tests {
    use satgas_server::doctor::Level;

    use super::*;

    const WELL: &str = "# TYPE satgas_fold_lag_events gauge\nsatgas_fold_lag_events 0\nsatgas_queue_bytes_max 100\n";

    const NOW: i64 = 1_773_100_800;

    fn found(more: &str) -> Vec<(&'static str, Level)> {
        judge(&format!("{WELL}{more}"), NOW).iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn each_figure_that_is_bad_is_told_under_its_name() {
        assert_eq!(found(""), [("figures", Level::Ok)]);
        assert_eq!(found("satgas_writable{state=\"failed\"} 1\n"), [("writer", Level::Problem)]);
        assert_eq!(found("satgas_writable{state=\"disk_full\"} 1\n"), [("writer", Level::Problem)]);
        assert_eq!(found("satgas_subscriber_progress_age_seconds 16\n"), [("subscribers", Level::Warning)]);
        assert_eq!(found("satgas_queue_bytes 81\n"), [("queue", Level::Warning)]);
        assert_eq!(
            found("satgas_sync_seconds_sum 3\nsatgas_sync_seconds_count 100\n"),
            [("disk sync", Level::Warning)]
        );
        assert_eq!(
            found("satgas_access_sync_seconds_sum 3\nsatgas_access_sync_seconds_count 100\n"),
            [("disk sync", Level::Warning)]
        );
        assert_eq!(found("satgas_refusals_total{reason=\"ACCESS_LOG_FAILED\"} 1\n"), [("access log", Level::Warning)]);
        let backed_up = |hours: i64| found(&format!("satgas_backup_timestamp_seconds {}\n", NOW - hours * 3_600));
        assert_eq!(backed_up(26), [("figures", Level::Ok)]);
        assert_eq!(backed_up(27), [("figures", Level::Ok), ("backups", Level::Warning)]);
        assert_eq!(found("satgas_backup_timestamp_seconds 0\n"), backed_up(27));
        let slow = judge("satgas_fold_lag_events 50001\n", NOW);
        assert_eq!((slow[0].check, slow[0].level), ("fold", Level::Warning));
        assert_eq!(judge("go_goroutines 7\n", NOW)[0].level, Level::Problem);
    }
}
