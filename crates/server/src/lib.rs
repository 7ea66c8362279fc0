//! gRPC services, configuration and the run loop.
//!
//! [`Server::start`] opens a data folder and serves it; [`Server::shutdown`] ends it in order: no new work is taken, what is in flight is
//! answered, subscribers are told where to resume, the engine writes its checkpoints. Everything a client sees is in
//! `proto/satgas/v1`; each service is one module here, and `status` is the one place where errors become gRPC statuses.

mod access;
mod audit;
mod authorize;
mod backup;
mod case;
mod config;
mod csv_import;
pub mod doctor;
mod evaluation;
mod event;
mod folder;
mod frozen;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod identity;
mod listen;
mod look;
mod master;
mod metrics;
mod offline;
mod operator;
mod proof;
mod public;
mod recover;
mod registry;
mod release;
mod restore;
mod rights;
mod rules;
mod sealed;
mod server;
mod sight;
mod statistics;
mod status;
mod stream;
mod submission;
mod timely;
mod tls;
mod trace;
mod vault;
mod warning;

pub use satgas_engine::{Clock, ManualClock, SystemClock, vault::Copied};
pub use satgas_journal::{Fault, Head, Verified, disk::Recovered};

pub use self::{
    access::AccessOpenError,
    config::{Config, ConfigError, LogFormat, Wrong},
    folder::{Checked, FolderError, VerifyError, verify},
    identity::{EnsureError, FetchError, Issuer, IssuerError, KeyError, RoleRule},
    master::MasterKeyError,
    offline::{OfflineBackup, OfflineBackupError, back_up_folder},
    operator::{OperatorError, RecoveredToken, recover_operator},
    recover::{RecoverFolderError, RecoveredFolder, recover},
    restore::{RestoreError, Restored, restore},
    server::{Server, ShutdownError, StartError},
    tls::TlsError,
    trace::TraceError,
    vault::{Erasure, Rotation, VaultCommandError, back_up_vault, restore_vault, rotate_master_key, verify_erased},
};
