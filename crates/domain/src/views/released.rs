//! Statistical releases: what there is to count for one, and what was published.

use std::ops::Range;

use satgas_proto::v1;

use super::known::Known;
use crate::{
    release::{Areas, Counts, Release, Releases},
    time::Period,
};

impl<'a> Known<'a> {
    /// Everything that was published, up to now.
    #[must_use]
    pub fn releases(&self) -> &'a Releases {
        &self.views.releases
    }

    /// The areas of a release of what lies within a prefix.
    #[must_use]
    pub fn release_areas(&self, prefix: &str) -> Areas {
        Areas::within(prefix, self.kelurahan_within("").map(|index| self.code(index)))
    }

    /// Counts some of the cases of a period, by index, as statistics do: those that are not merged, by when they were reported.
    pub fn count_release(&self, areas: &Areas, counts: &mut Counts, period: &Period, cases: Range<u32>) {
        let (calendar, last) = (self.calendar(), self.case_count());
        let (start, end) = (calendar.start(period.first.first_day()), calendar.start(period.after().first_day()));
        for index in cases.start..cases.end.min(last) {
            let Some(case) = self.case_by_index(index) else { continue };
            if start <= case.reported && case.reported < end && !case.is_merged() {
                counts.add(areas, self.code(case.area), &case.report);
            }
        }
    }

    /// A release in a list.
    #[must_use]
    pub fn listed_release(&self, release: &Release) -> v1::ListedRelease {
        let message = &release.message;
        let corrected_by = self.releases().corrected_by(&message.release_id);
        v1::ListedRelease {
            release_id: message.release_id.clone(),
            draft: message.draft.clone(),
            published_at: Some(release.published.to_proto()),
            position: release.position,
            known_position: message.known_position,
            // What earlier versions published of it besides would tell of withheld numbers.
            share: message.share.map(|share| v1::ReleaseShare { withheld_to_protect: 0, ..share }),
            corrected_by_id: corrected_by.map(|by| by.message.release_id.clone()).unwrap_or_default(),
            sample_data: self.is_sample_data(),
        }
    }

    /// Whether everything in the log is invented.
    #[must_use]
    pub fn is_sample_data(&self) -> bool {
        self.views.sample_data
    }
}
