//! What became of a file.

use std::{
    io::{self, Write as _},
    path::Path,
};

use satgas_proto::v1::{Receipt, ReceiptStatus};

use super::rejected::Reason;
use crate::print::{self, Format};

/// Conflicts that are listed one by one; `satgas conflicts` lists all.
const CONFLICTS_LISTED_MAX: usize = 20;
/// Rows of repeats without a record that are named one by one.
const ORPHANS_LISTED_MAX: usize = 100;

/// Counts of receipts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// New, and on disk.
    pub(super) accepted: u64,
    /// Were there before.
    pub(super) already_known: u64,
    /// Kept beside another version.
    pub(super) conflicts: u64,
    /// Of all of these, how many wait for their target.
    pub(super) held: u64,
    /// Refused, here or by the server.
    pub(super) rejected: u64,
    /// Rows of repeats whose record is not in the export.
    pub(super) orphans: u64,
    /// The last position that a receipt named.
    pub(super) last_position: u64,
    listed: Vec<Conflict>,
    listed_orphans: Vec<String>,
}

#[derive(Debug)]
struct Conflict {
    line: u64,
    submission_id: String,
    conflicts_with: u64,
}

impl Tally {
    /// Counts a receipt for the record of a line.
    pub(super) fn count(&mut self, line: u64, receipt: &Receipt) {
        match receipt.status() {
            ReceiptStatus::Accepted => self.accepted += 1,
            ReceiptStatus::AlreadyKnown => self.already_known += 1,
            ReceiptStatus::Conflict => {
                self.conflicts += 1;
                if self.listed.len() < CONFLICTS_LISTED_MAX {
                    let Receipt { submission_id, conflicts_with, .. } = receipt.clone();
                    self.listed.push(Conflict { line, submission_id, conflicts_with });
                }
            }
            ReceiptStatus::Rejected | ReceiptStatus::Unspecified => self.rejected += 1,
        }
        self.held += u64::from(receipt.held);
        self.last_position = self.last_position.max(receipt.position);
    }

    /// Counts a row of a repeat whose record is not in the export; the reasons say where it is.
    pub(super) fn orphan(&mut self, reasons: &[Reason]) {
        self.orphans += 1;
        if self.listed_orphans.len() < ORPHANS_LISTED_MAX {
            let lines = reasons.iter().map(|Reason { field, reason }| format!("{field} {reason}"));
            self.listed_orphans.extend(lines);
        }
    }

    /// Whether nothing became of anything yet.
    pub(super) fn is_empty(&self) -> bool {
        self.accepted + self.already_known + self.conflicts + self.rejected == 0
    }

    /// Whether everything is recorded and stands.
    pub(super) fn all_good(&self) -> bool {
        self.conflicts == 0 && self.rejected == 0 && self.orphans == 0
    }

    /// For the progress bar.
    pub(super) fn brief(&self) -> String {
        let Self { accepted, already_known, conflicts, rejected, .. } = self;
        format!("{accepted} accepted, {already_known} known, {conflicts} in conflict, {rejected} rejected")
    }
}

/// Prints the summary.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn print(
    format: Format,
    file: &Path,
    tally: &Tally,
    rejected_file: Option<&Path>,
    mapping: Option<&Path>,
    sample_data: bool,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let Tally { accepted, already_known, conflicts, held, rejected, last_position, orphans, listed, listed_orphans } =
        tally;
    if format == Format::Json {
        let object = serde_json::json!({
            "file": file, "accepted": accepted, "already_known": already_known, "conflicts": conflicts, "held": held,
            "rejected": rejected, "rejected_file": rejected_file, "orphans": orphans, "orphans_listed": listed_orphans,
            "last_position": last_position, "sample_data": sample_data,
        });
        return Ok(writeln!(out, "{object}")?);
    }
    print::banner(&mut out, sample_data)?;
    writeln!(out, "{}", file.display())?;
    writeln!(out, "accepted       {accepted:>9}")?;
    writeln!(out, "already known  {already_known:>9}")?;
    writeln!(out, "conflict       {conflicts:>9}")?;
    writeln!(out, "rejected       {rejected:>9}")?;
    writeln!(out, "of these held  {held:>9}  (their target has not arrived yet)")?;
    writeln!(out, "last position  {last_position:>9}")?;
    for Conflict { line, submission_id, conflicts_with } in listed {
        writeln!(out, "conflict: line {line}, {submission_id}, with the record at position {conflicts_with}")?;
    }
    for orphan in listed_orphans {
        writeln!(out, "orphan: {orphan}")?;
    }
    if *orphans > 0 {
        writeln!(
            out,
            "{orphans} rows of repeats belong to no row of the export and were not sent; they are where they were"
        )?;
    }
    if let Some(path) = rejected_file {
        let path = path.display();
        write!(out, "rejected records and their reasons: {path}; mend them there, then: satgas submit --file {path}")?;
        match mapping {
            Some(mapping) => writeln!(out, " --mapping {}", mapping.display())?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receipt_is_counted_once_and_a_held_one_beside() {
        let mut tally = Tally::default();
        let statuses = [
            (ReceiptStatus::Accepted, true, 4),
            (ReceiptStatus::AlreadyKnown, false, 2),
            (ReceiptStatus::Conflict, false, 5),
            (ReceiptStatus::Rejected, false, 0),
        ];
        for (status, held, position) in statuses {
            tally.count(1, &Receipt { status: status.into(), held, position, ..Default::default() });
        }
        let counts = (tally.accepted, tally.already_known, tally.conflicts, tally.rejected, tally.held);
        assert_eq!(counts, (1, 1, 1, 1, 1));
        assert_eq!(tally.last_position, 5);
        assert!(!tally.all_good());
    }
}
