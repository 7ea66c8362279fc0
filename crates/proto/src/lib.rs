//! The vocabulary of satgas, generated from `proto/satgas/v1`: what clients see and what the log stores are the same messages.
//!
//! With the feature `grpc` the clients and servers of the services come along; without it the crate is messages only.

/// Package `satgas.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "generated; its documentation is the comments of the proto files"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/satgas.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/satgas.v1.serde.rs"));
}

pub mod follow_up;
mod redacted;

#[cfg(feature = "grpc")]
pub mod codec;
#[cfg(feature = "grpc")]
pub mod encoded;
#[cfg(feature = "grpc")]
pub mod lists;

/// The encoded `FileDescriptorSet` of the package, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
