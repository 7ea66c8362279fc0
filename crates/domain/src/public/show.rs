//! What is shown of a report: to its reporter one word, to case workers and supervisors what is not sealed.

use satgas_proto::v1::{self, CaseStatus, PublicReportStatus, PublicReportVerdict};

use super::Report;
use crate::{
    case::Cases,
    sealed::{Sealing, Sealings},
    time::Instant,
};

impl Report {
    /// How it stands, as its reporter is told. Dismissed, ended as a case and erased are one and the same.
    #[must_use]
    pub fn status(&self, cases: &Cases, sealings: &Sealings) -> PublicReportStatus {
        if sealings.get(self.id).is_some_and(Sealing::must_be_erased) {
            return PublicReportStatus::Closed;
        }
        match self.verdict() {
            PublicReportVerdict::Dismiss => PublicReportStatus::Closed,
            PublicReportVerdict::TakeUp => {
                let case = cases.find(cases.goes_on_in(self.id)).map(|index| cases.get(index).status());
                if case == Some(CaseStatus::Ditutup) { PublicReportStatus::Closed } else { PublicReportStatus::TakenUp }
            }
            PublicReportVerdict::Unspecified if self.read.is_some() || self.messages().any(|(_, own)| !own) => {
                PublicReportStatus::LookedAt
            }
            PublicReportVerdict::Unspecified => PublicReportStatus::Received,
        }
    }

    /// What is not sealed of it.
    #[must_use]
    pub fn to_proto(&self, cases: &Cases, sealings: &Sealings, now: Instant) -> v1::PublicReport {
        let triaged = self.triaged.as_ref();
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let last = self.messages.iter().rev().find(|message| message.of_reporter);
        v1::PublicReport {
            report_id: self.id.to_string(),
            version: self.version,
            position: self.at.position,
            received_at: Some(self.at.recorded.to_proto()),
            area_code: self.area_code.clone(),
            categories: Some(self.categories.clone()),
            status: self.status(cases, sealings).into(),
            verdict: self.verdict().into(),
            reason: triaged.map(|triaged| triaged.event.reason.clone()).unwrap_or_default(),
            triaged_by: triaged.and_then(|triaged| triaged.event.by.clone()),
            triaged_at: triaged.map(|triaged| triaged.at.recorded.to_proto()),
            messages: count(self.message_count()),
            answers: count(self.messages.len() - self.message_count()),
            last_message_at: last.map(|message| message.at.recorded.to_proto()),
            sealing: sealings.get(self.id).and_then(|sealing| sealing.to_proto(u64::MAX, now)),
        }
    }
}
