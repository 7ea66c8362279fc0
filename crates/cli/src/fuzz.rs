//! What the fuzz targets drive: files of records as `satgas submit` reads them. In no release: only `crates/fuzz` asks for the feature.

pub use crate::submit::fuzz::{Read, Reading, Refusal, read};
