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
    /// Kept apart until a supervisor decides.
    pub(super) quarantined: u64,
    /// Were kept apart, and a supervisor refused them.
    pub(super) refused: u64,
    /// Of all of these, how many wait for their target.
    pub(super) held: u64,
    /// Refused, here or by the server.
    pub(super) rejected: u64,
    /// Rows of repeats whose record is not in the export.
    pub(super) orphans: u64,
    /// The last position that a receipt named.
    pub(super) last_position: u64,
    listed: Vec<Conflict>,
    /// Line, id and reason.
    listed_refusals: Vec<(u64, String, String)>,
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
            ReceiptStatus::Quarantined => self.quarantined += 1,
            ReceiptStatus::QuarantineRefused => {
                self.refused += 1;
                if self.listed_refusals.len() < CONFLICTS_LISTED_MAX {
                    let Receipt { submission_id, refused_because, .. } = receipt.clone();
                    self.listed_refusals.push((line, submission_id, refused_because));
                }
            }
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
        self.accepted + self.already_known + self.conflicts + self.rejected + self.quarantined + self.refused == 0
    }

    /// Whether everything is recorded and stands.
    pub(super) fn all_good(&self) -> bool {
        let others = self.orphans + self.quarantined + self.refused;
        self.conflicts + self.rejected + others == 0
    }

    /// For the progress bar.
    pub(super) fn brief(&self) -> String {
        let Self { accepted, already_known, conflicts, rejected, quarantined, .. } = self;
        let waiting = if *quarantined == 0 { String::new() } else { format!(", {quarantined} quarantined") };
        format!("{accepted} accepted, {already_known} known, {conflicts} in conflict, {rejected} rejected{waiting}")
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
    let Tally { accepted, already_known, conflicts, quarantined, refused, held, rejected, last_position, .. } = tally;
    let Tally { orphans, listed, listed_orphans, listed_refusals, .. } = tally;
    if format == Format::Json {
        let object = serde_json::json!({
            "file": file, "accepted": accepted, "already_known": already_known, "conflicts": conflicts, "held": held,
            "quarantined": quarantined, "refused": refused, "rejected": rejected, "rejected_file": rejected_file, "orphans": orphans, "orphans_listed": listed_orphans,
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
    if *quarantined > 0 {
        writeln!(out, "quarantined    {quarantined:>9}  (kept, not counted: a supervisor must admit them)")?;
    }
    if *refused > 0 {
        writeln!(out, "refused        {refused:>9}  (kept, and a supervisor decided that they do not count)")?;
    }
    writeln!(out, "of these held  {held:>9}  (their target has not arrived yet)")?;
    writeln!(out, "last position  {last_position:>9}")?;
    for Conflict { line, submission_id, conflicts_with } in listed {
        writeln!(out, "conflict: line {line}, {submission_id}, with the record at position {conflicts_with}")?;
    }
    for (line, submission_id, reason) in listed_refusals {
        writeln!(out, "refused: line {line}, {submission_id}: {reason}")?;
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
