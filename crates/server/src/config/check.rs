//! Settings that are each well-formed and make no server together: what `satgas config check` finds before a start does.

use satgas_domain::time::Calendar;

use super::{Config, Wrong, wrong};
use crate::{master, server, trace};

/// Variables of the environment that are no settings of the server: those of the command line, and the master key.
const OTHER_VARIABLES: [&str; 8] = [
    "SATGAS_CA_FILE",
    "SATGAS_CLIENT_CERTIFICATE",
    "SATGAS_CLIENT_KEY",
    "SATGAS_FAULTS",
    "SATGAS_MASTER_KEY",
    "SATGAS_SERVER_URL",
    "SATGAS_TOKEN",
    "SATGAS_TOKEN_FILE",
];

impl Config {
    /// What keeps a server with these settings from starting, or from doing what they say. Reads the files that are named, and runs
    /// `master_key_command` if there is one.
    #[must_use]
    pub fn problems(&self) -> Vec<Wrong> {
        let mut problems = Vec::new();
        let mut wrong = |what: String| problems.push(Wrong { place: String::new(), what });
        if Calendar::new(&self.time_zone).is_err() {
            wrong(format!("time_zone is \"{}\", which is not known: write such as \"Asia/Makassar\"", self.time_zone));
        }
        for (key, value, least) in [
            ("queue_mib", self.queue_mib as u64, 1),
            ("small_numbers_below", self.small_numbers_below.into(), 2),
            ("streams_max", self.streams_max as u64, 1),
            ("stall_s", self.stall_s, 1),
            ("connections_max", self.connections_max as u64, 1),
            ("connections_per_source_max", self.connections_per_source_max as u64, 1),
            ("request_deadline_s", self.request_deadline_s, 1),
            ("refusals_per_minute", self.refusals_per_minute.into(), 1),
            ("checkpoint_every", self.checkpoint_every, 1),
        ] {
            if value < least {
                wrong(format!("{key} is {value}, and must be {least} at least"));
            }
        }
        if self.connections_per_source_max > self.connections_max {
            let (one, all) = (self.connections_per_source_max, self.connections_max);
            wrong(format!(
                "connections_per_source_max is {one}, and one source has no more than all: connections_max is {all}"
            ));
        }
        if self.otlp_calls_per_1000 > 1_000 {
            wrong(format!(
                "otlp_calls_per_1000 is {}, and of 1,000 calls no more are traced",
                self.otlp_calls_per_1000
            ));
        }
        if let Err(error) = server::check_ways(self) {
            wrong(error.to_string());
        }
        if let Some(Err(error)) = self.otlp_endpoint.as_deref().map(trace::check_endpoint) {
            wrong(error.to_string());
        }
        if let Err(error) = master::masters(self) {
            wrong(error.to_string());
        }
        problems
    }

    /// Variables of the environment that look like settings and are none: the server would not notice them.
    #[must_use]
    pub fn stray_variables() -> Vec<Wrong> {
        let known = wrong::defaults();
        let stray = |name: &str| -> Option<Wrong> {
            let key = name.strip_prefix("SATGAS_")?.to_lowercase();
            if known.contains_key(&key) || OTHER_VARIABLES.contains(&name) {
                return None;
            }
            let nearest = known.keys().map(|other| (wrong::distance(&key, other), other)).min();
            let meant = nearest.filter(|(distance, _)| *distance <= 2);
            let meant = meant.map(|(_, key)| format!("; did you mean SATGAS_{}?", key.to_uppercase()));
            let what = format!("is no setting, and nothing reads it{}", meant.unwrap_or_default());
            Some(Wrong { place: name.to_owned(), what })
        };
        std::env::vars_os().filter_map(|(name, _)| stray(name.to_str()?)).collect()
    }
}
