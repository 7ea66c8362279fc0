//! gRPC services, configuration and the run loop.
//!
//! [`Server::start`] opens a data folder and serves it; [`Server::shutdown`] ends it in order: no new work is taken, what is in flight is
//! answered, subscribers are told where to resume, the engine writes its checkpoints. Everything a client sees is in
//! `proto/satgas/v1`; each service is one module here, and `status` is the one place where errors become gRPC statuses.

mod case;
mod config;
mod csv_import;
mod evaluation;
mod event;
mod folder;
mod look;
mod master;
mod reader;
mod registry;
mod rules;
mod sealed;
mod server;
mod statistics;
mod status;
mod stream;
mod submission;
mod vault;
mod warning;

pub use satgas_engine::{Clock, ManualClock, SystemClock, vault::Copied};
pub use satgas_journal::{Fault, Head, Verified};

pub use self::{
    config::{Config, ConfigError},
    folder::{FolderError, VerifyError, verify},
    master::KeyError,
    reader::Reader,
    server::{Server, ShutdownError, StartError},
    vault::{Erasure, Rotation, VaultCommandError, back_up_vault, restore_vault, rotate_master_key, verify_erased},
};
