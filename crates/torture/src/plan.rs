//! What was asked for.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};

/// Tortures the real server and checks what it kept.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask torture")]
pub struct Plan {
    /// Stop to kill after so many minutes, however many rounds there were
    #[arg(long, value_name = "N")]
    pub minutes: Option<u64>,
    /// Rounds in which the server is killed [default: 200, or 5 when short]
    #[arg(long, value_name = "R")]
    pub rounds: Option<u64>,
    /// The same seed makes the same plan
    #[arg(long, value_name = "S", default_value_t = 5371)]
    pub seed: u64,
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,..")]
    pub only: Vec<Scenario>,
    /// As short as the one among the tests
    #[arg(long)]
    pub short: bool,
    /// The binary
    #[arg(long, value_name = "FILE")]
    pub satgas: PathBuf,
    /// Folder for the servers' data
    #[arg(long, value_name = "DIR")]
    pub scratch: PathBuf,
}

/// One way to torture the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Killed at random under load
    Kill,
    /// Connections cut and silent, and killed
    Network,
    /// A disk that is ten times as slow, and killed
    SlowDisk,
    /// No space in the middle of writing
    NoSpace,
    /// Syncs that fail
    SyncErrors,
    /// Reads that fail, at the start and later
    ReadErrors,
    /// The wall clock ahead and back
    ClockJumps,
    /// Bits of the stopped folder flipped
    FlippedBits,
    /// A disk that is really full; mounting it needs the right to
    FullDisk,
    /// Four times as many calls as the server can take
    Overload,
    /// Slow, huge, endless and idle connections beside somebody who works
    Hostile,
}

impl Scenario {
    const ALL: [Self; 11] = [
        Self::Kill,
        Self::Network,
        Self::SlowDisk,
        Self::NoSpace,
        Self::SyncErrors,
        Self::ReadErrors,
        Self::ClockJumps,
        Self::FlippedBits,
        Self::FullDisk,
        Self::Overload,
        Self::Hostile,
    ];

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Plan {
    /// What is to be done, in order.
    #[must_use]
    pub fn scenarios(&self) -> Vec<Scenario> {
        let chosen = |scenario: &Scenario| match self.only.as_slice() {
            // Tests run without the right to mount a disk.
            [] => !(self.short && *scenario == Scenario::FullDisk),
            only => only.contains(scenario),
        };
        Scenario::ALL.into_iter().filter(chosen).collect()
    }

    /// How many rounds or milliseconds: a short run does with fewer.
    pub(crate) fn either(&self, long: u64, short: u64) -> u64 {
        if self.short { short } else { long }
    }

    /// When no new round begins any more.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60))
    }
}
