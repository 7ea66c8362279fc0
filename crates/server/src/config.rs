//! Configuration: defaults, then a file, then the environment, then flags, each over the one before.

mod check;
mod wrong;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
    value::Value,
};
use serde::{Deserialize, Serialize};

pub use self::wrong::Wrong;
use crate::Issuer;

/// How a server is set up. Every key may stand in a TOML file, in the environment as `SATGAS_` and the key in capitals, or be a flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address to listen on. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Data folder: the log, its checkpoints and a lock.
    pub data: PathBuf,
    /// Time zone of a new log, in which months and days are counted. A log that exists keeps its own.
    pub time_zone: String,
    /// Whether a new log is of invented data (DATA CONTOH). A log that exists keeps its own.
    pub sample_data: bool,
    /// Seconds that a shutdown waits for calls in flight.
    pub shutdown_deadline_s: u64,
    /// MiB of submissions that may wait to be written.
    pub queue_mib: usize,
    /// MiB of the log that are cached in memory.
    pub cache_mib: u64,
    /// MiB of the latest events that are kept in memory for subscribers.
    pub tail_mib: usize,
    /// MiB of the latest events that are kept for all subscribers of a class of roles in the shape in which it gets them, and as much of history.
    pub shaped_mib: usize,
    /// Numbers of people below this, and above 0, are small: dashboards are told "few". At least 2.
    pub small_numbers_below: u32,
    /// MiB that must be free on the disk for anything to be written.
    pub disk_free_min_mib: u64,
    /// Events between two checkpoints.
    pub checkpoint_every: u64,
    /// Seconds between two looks at whether a deadline has passed unmet; 0 never looks.
    pub deadlines_every_s: u64,
    /// Streams that may be open at once.
    pub streams_max: usize,
    /// Seconds after which a subscriber that takes nothing is disconnected.
    pub stall_s: u64,
    /// Folder of the cases' keys, which may lie on another disk; `keys/cases` in the data folder when not given.
    pub vault: Option<PathBuf>,
    /// File with the master key, 32 bytes in base64, that only its owner may read. The key itself may be in `SATGAS_MASTER_KEY`. When neither is
    /// given, nor a command, the server makes `keys/master.key` in the data folder.
    pub master_key_file: Option<PathBuf>,
    /// Command and arguments that print the master key, such as a client of a key management service.
    pub master_key_command: Vec<String>,
    /// Seconds that the command may take.
    pub master_key_command_deadline_s: u64,
    /// File with the master key before the present one, until a rotation is done.
    pub master_key_former_file: Option<PathBuf>,
    /// Certificate chain of the server, PEM. With it and `tls_key` the server speaks TLS only.
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    pub tls_key: Option<PathBuf>,
    /// Authority, PEM, whose certificates clients must show; none: clients show none.
    pub tls_client_authority: Option<PathBuf>,
    /// Connections that may be open at once. It must stay well below the files that the system lets the process open.
    pub connections_max: usize,
    /// Connections that one source address (an IPv6 network counts as one) may have open at once. All that comes through a proxy is of one source.
    pub connections_per_source_max: usize,
    /// Seconds within which a request must have come whole; a long one has a second more for each 16 KiB of it. Batches may take as long as
    /// they like.
    pub request_deadline_s: u64,
    /// Calls of one source address that may be refused in a minute. Beyond that they are told so, and are not in the access log any more.
    pub refusals_per_minute: u32,
    /// Records that one holder of tokens may hand in within an hour; 0 for any number. Beyond that it is told when to go on.
    pub records_per_hour: u32,
    /// Identities that one holder of tokens may read within an hour; 0 for any number.
    pub readings_per_hour: u32,
    /// Answers with data of single cases that one holder of tokens may have within an hour; 0 for any number.
    pub case_answers_per_hour: u32,
    /// Public reports, and messages added to them, that are taken of one source network within an hour; 0 for any number.
    pub public_reports_per_source_per_hour: u32,
    /// Public reports, and messages added to them, that are taken of all within an hour; 0 for any number. Half of it is for sources that have
    /// sent nothing in the hour.
    pub public_reports_per_hour: u32,
    /// Lists and pages of statistical releases that one source network may read without a token within an hour; 0 for any number.
    pub public_readings_per_source_per_hour: u32,
    /// How the server's own log on standard error is written: `text` for people, `json` for programs.
    pub log_format: LogFormat,
    /// Address on which Prometheus finds the server's figures, at `/metrics`; none: nowhere. On loopback, unless `metrics_beyond_loopback`.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether the figures may be read from other machines. Whoever reaches that address reads them: no token is asked for.
    pub metrics_beyond_loopback: bool,
    /// Collector of OpenTelemetry traces, OTLP over gRPC, such as `http://127.0.0.1:4317`; none: no traces.
    pub otlp_endpoint: Option<String>,
    /// Calls of 1,000 that are traced, where their caller does not say.
    pub otlp_calls_per_1000: u32,
    /// OpenID Connect issuers whose tokens are taken besides the server's own; in the file only.
    pub issuers: Vec<Issuer>,
}

/// How the server's own log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5371)),
            data: PathBuf::from("satgas-data"),
            time_zone: "Asia/Makassar".to_owned(),
            sample_data: false,
            shutdown_deadline_s: 10,
            queue_mib: 32,
            cache_mib: 64,
            tail_mib: 16,
            shaped_mib: 8,
            small_numbers_below: satgas_domain::shape::SMALL_BELOW,
            disk_free_min_mib: 64,
            checkpoint_every: 500_000,
            deadlines_every_s: 1,
            streams_max: 10_000,
            stall_s: 30,
            vault: None,
            master_key_file: None,
            master_key_command: Vec::new(),
            master_key_command_deadline_s: 30,
            master_key_former_file: None,
            tls_certificate: None,
            tls_key: None,
            tls_client_authority: None,
            connections_max: 800,
            connections_per_source_max: 200,
            request_deadline_s: 20,
            refusals_per_minute: 60,
            records_per_hour: 36_000,
            readings_per_hour: 60,
            case_answers_per_hour: 10_000,
            public_reports_per_source_per_hour: 20,
            public_reports_per_hour: 200,
            public_readings_per_source_per_hour: 3_000,
            log_format: LogFormat::Text,
            metrics_listen: None,
            metrics_beyond_loopback: false,
            otlp_endpoint: None,
            otlp_calls_per_1000: 1_000,
            issuers: Vec::new(),
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("the configuration file {0} does not exist")]
    NoFile(PathBuf),
    /// Keys are unknown, or values of the wrong form: every one of them, with what to write instead.
    #[error("the configuration is refused:{}", lines(.0))]
    Refused(Vec<Wrong>),
}

/// Each on a line of its own.
fn lines(wrong: &[Wrong]) -> String {
    wrong.iter().map(|wrong| format!("\n  {wrong}")).collect()
}

impl Config {
    /// Reads the configuration. `flags` is anything that serialises to a map of some of the keys.
    pub fn load(file: Option<&Path>, flags: impl Serialize) -> Result<Self, ConfigError> {
        let defaults = wrong::defaults();
        let keys: Vec<&str> = defaults.keys().map(String::as_str).collect();
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError::NoFile(file.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let figment = figment.merge(Env::prefixed("SATGAS_").only(&keys)).merge(Serialized::defaults(flags));
        figment.extract().map_err(|error| ConfigError::Refused(wrong::all(&figment, error)))
    }

    /// All settings as a file would have them, with their values; those that have none and need none stand in a comment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let settings = Value::serialize(self).ok().and_then(Value::into_dict).unwrap_or_default();
        let mut text = String::new();
        for (key, value) in settings {
            match wrong::written(&value) {
                Some(value) => text.push_str(&format!("{key} = {value}\n")),
                None => text.push_str(&format!("# {key} is not set\n")),
            }
        }
        text
    }
}
