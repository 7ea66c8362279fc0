//! What the fuzz targets drive: the very functions that calls and files go through, which nobody else sees. In no release: only
//! `crates/fuzz` asks for the feature.

use satgas_proto::v1::{CsvKind, RefusedRow, RegistryEntry};
use tonic::Status;

use crate::csv_import;
pub use crate::identity::fuzz::{Door, enrolment_hash};

/// What a registry's file holds: entries with their lines, and rows that are refused.
#[derive(Debug)]
pub struct RegistryRows {
    /// Lines from 1, and what stands there.
    pub entries: Vec<(u32, RegistryEntry)>,
    /// Rows that cannot be read.
    pub refused: Vec<RefusedRow>,
}

/// Reads a file of the registry as `ImportCsv` does.
///
/// # Errors
/// When it cannot be read at all.
pub fn registry_csv(kind: CsvKind, file: &[u8]) -> Result<RegistryRows, Box<Status>> {
    let rows = csv_import::parse(kind, file).map_err(Box::new)?;
    let entries = rows.entries.into_iter().map(|row| (row.line, row.entry)).collect();
    Ok(RegistryRows { entries, refused: rows.refused })
}
