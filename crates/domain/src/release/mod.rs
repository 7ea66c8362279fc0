//! Statistical releases: which tables of a period are published, and what of them is withheld so that nobody can work out a small count.
//!
//! docs/releases.md says what is protected against whom, and why. [`Areas`] and [`Counts`] hold what is counted, [`suppress()`] decides
//! what is published, [`audit()`] works out what the public can make of it, and [`Releases`] is what was published so far.
//!
//! Invariants: a release never changes. Of areas within one another only one period is published that a month lies in, and what corrects
//! a release has its period, areas and tables, so that no two releases add up to a third.

mod bounds;
mod columns;
mod count;
mod suppress;

use satgas_proto::v1::{self, ReleaseTable, Violation};
use serde::{Deserialize, Serialize};

pub use self::{
    bounds::{Audit, Bounds, Irregular, audit},
    count::{Areas, Counts},
    suppress::{Earlier, Suppressed, Unpublishable, suppress},
};
use self::{
    columns::{ALL, COLUMNS, FAMILIES},
    suppress::bit,
};
use crate::{
    id::is_within,
    time::{Calendar, Instant, Period},
    validate::{self, Violations},
};

/// Counts below this are withheld unless the draft says otherwise.
pub const THRESHOLD: u32 = 5;
const THRESHOLD_MIN: u32 = 3;
const THRESHOLD_MAX: u32 = 100;
/// Corrections of one release: each is counted against all before it.
const CORRECTIONS_MAX: usize = 8;
const TABLES: [ReleaseTable; 4] =
    [ReleaseTable::Victims, ReleaseTable::Violence, ReleaseTable::Place, ReleaseTable::Offender];

/// A draft with its defaults filled in, well-formed by itself.
#[derive(Clone, Debug)]
pub struct Draft {
    message: v1::ReleaseDraft,
    /// The period.
    pub period: Period,
    tables: Vec<ReleaseTable>,
}

impl Draft {
    /// Looks at what is asked for, and fills in what was left out.
    pub fn parse(draft: &v1::ReleaseDraft) -> Result<Self, Vec<Violation>> {
        let mut v = Violations::default();
        let period = Period::parse(&draft.period);
        v.require(period.is_some(), "period", "is not a period such as 2026, 2026-S1, 2026-Q1 or 2026-01");
        if draft.area_prefix.split('.').count() > 3 {
            v.add("area_prefix", "is a kelurahan's: nothing inside it could be published; name its kecamatan or kota");
        }
        let threshold = if draft.threshold == 0 { THRESHOLD } else { draft.threshold };
        if !(THRESHOLD_MIN..=THRESHOLD_MAX).contains(&threshold) {
            v.add("threshold", "is not 3 to 100: counts below 3 single out a child");
        }
        let mut tables: Vec<ReleaseTable> = draft.tables().collect();
        if tables.contains(&ReleaseTable::Unspecified)
            || draft.tables.iter().any(|t| ReleaseTable::try_from(*t).is_err())
        {
            v.add("tables", "holds one that is not of the list: victims, violence, place, offender");
        }
        if (1..tables.len()).any(|at| tables[..at].contains(&tables[at])) {
            v.add("tables", "holds one twice");
        }
        if tables.is_empty() {
            tables = TABLES.to_vec();
        }
        tables.sort_unstable();
        if !draft.corrects_id.is_empty() {
            v.id("corrects_id", &draft.corrects_id);
        }
        v.text("note", &draft.note, 1, 500);
        match period {
            Some(period) if v.is_empty() => {
                let message = v1::ReleaseDraft {
                    period: period.code(),
                    threshold,
                    tables: tables.iter().map(|table| (*table).into()).collect(),
                    ..draft.clone()
                };
                Ok(Self { message, period, tables })
            }
            _ => Err(v.into_vec()),
        }
    }

    /// The draft, with its defaults.
    #[must_use]
    pub fn message(&self) -> &v1::ReleaseDraft {
        &self.message
    }

    /// Counts below this are withheld.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        self.message.threshold
    }

    /// Decides what is published and says so. All of it is public: how many of the withheld numbers are large is not in it, which would tell
    /// of two withheld neighbours how their cases are divided (see [`withheld_to_protect`]).
    ///
    /// # Errors
    /// When nothing of it can be published.
    pub fn publish(
        &self,
        areas: &Areas,
        counts: &Counts,
        earlier: &[Earlier],
    ) -> Result<v1::ReleasePublished, Unpublishable> {
        let shown = suppress(areas, counts, earlier, self.threshold(), &self.tables)?.shown;
        let families = || FAMILIES.into_iter().filter(|family| self.tables.contains(&family.table));
        let columns: Vec<usize> = families().flat_map(columns::Family::columns).collect();
        let mut share = v1::ReleaseShare::default();
        let mut published = Vec::new();
        for (area, shown) in (0..).zip(&shown) {
            let figures = counts.of(area);
            share.cells += columns.len() as u64 + 1;
            let is_shown = |column: usize| shown.is_some_and(|bits| column == ALL || bits & bit(column) != 0);
            share.withheld += columns.iter().copied().chain([ALL]).filter(|column| !is_shown(*column)).count() as u64;
            if shown.is_none() {
                continue;
            }
            let count = |column: &usize| if is_shown(*column) { u64::from(figures[*column]) } else { 0 };
            let mut counts: Vec<u64> = columns.iter().map(count).collect();
            if counts.iter().all(|count| *count == 0) {
                counts.clear();
            }
            published.push(v1::ReleasedArea { code: areas.code(area).to_owned(), cases: figures[ALL].into(), counts });
        }
        published.sort_unstable_by(|a, b| a.code.cmp(&b.code));
        Ok(v1::ReleasePublished {
            draft: Some(self.message.clone()),
            columns: families()
                .flat_map(|family| family.columns().map(move |column| (family.table, column)))
                .map(|(table, column)| v1::ReleaseColumn { table: table.into(), code: columns::code(column) })
                .collect(),
            areas: published,
            share: Some(share),
            ..Default::default()
        })
    }
}

/// How many numbers a release withholds though they are not small, so that others cannot be worked out. For the agency's eyes.
#[must_use]
pub fn withheld_to_protect(areas: &Areas, counts: &Counts, published: &v1::ReleasePublished) -> u64 {
    let threshold = published.draft.as_ref().map_or(THRESHOLD, |draft| draft.threshold);
    let columns: Vec<usize> = published.columns.iter().filter_map(column_of).collect();
    let large = |figures: &columns::Figures| {
        columns.iter().chain([&ALL]).filter(|column| figures[**column] >= threshold).count() as u64
    };
    let all: u64 = (0..).take(areas.len()).map(|area| large(counts.of(area))).sum();
    let shown = |area: &v1::ReleasedArea| 1 + area.counts.iter().filter(|count| **count > 0).count() as u64;
    all - published.areas.iter().map(shown).sum::<u64>().min(all)
}

/// Which column a column of a release is.
fn column_of(column: &v1::ReleaseColumn) -> Option<usize> {
    (0..COLUMNS).find(|known| columns::code(*known) == column.code)
}

/// A release that was published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Release {
    /// What was published. The writer keeps no areas.
    #[serde(with = "crate::stored")]
    pub message: v1::ReleasePublished,
    /// Position of the event.
    pub position: u64,
    /// When it was published.
    pub published: Instant,
    period: Period,
}

impl Release {
    fn draft(&self) -> &v1::ReleaseDraft {
        self.message.draft.as_ref().expect("a release that was published has one")
    }
}

/// Everything that was published, in that order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Releases(Vec<Release>);

impl Releases {
    /// Those that were published up to a position.
    pub fn until(&self, position: u64) -> impl Iterator<Item = &Release> {
        self.0.iter().take_while(move |release| release.position <= position)
    }

    /// A release by its id.
    #[must_use]
    pub fn find(&self, release_id: &str) -> Option<&Release> {
        self.0.iter().find(|release| release.message.release_id == release_id)
    }

    /// The release that corrects another.
    #[must_use]
    pub fn corrected_by(&self, release_id: &str) -> Option<&Release> {
        self.0.iter().find(|release| release.draft().corrects_id == release_id)
    }

    /// What a draft corrects: the release that it names, and those that this one corrects in turn.
    #[must_use]
    pub fn corrected(&self, draft: &v1::ReleaseDraft) -> Vec<&Release> {
        let mut chain = Vec::new();
        let mut next = self.find(&draft.corrects_id);
        while let Some(release) = next {
            chain.push(release);
            next = self.find(&release.draft().corrects_id);
        }
        chain
    }

    /// Decides whether a draft can be published at a time.
    pub fn decide(&self, calendar: &Calendar, draft: &Draft, now: Instant) -> Result<(), Vec<Violation>> {
        let mut v = Violations::default();
        if calendar.start(draft.period.after().first_day()) > now {
            v.add("period", "is not over: what is published never changes, so it waits for the period's end");
        }
        let message = &draft.message;
        if message.corrects_id.is_empty() {
            let overlaps = |release: &&Release| {
                let (a, b) = (&release.period, &draft.period);
                let (of, own) = (&release.draft().area_prefix, &message.area_prefix);
                a.first < b.after() && b.first < a.after() && (is_within(of, own) || is_within(own, of))
            };
            match self.0.iter().find(overlaps) {
                Some(release)
                    if release.period == draft.period && release.draft().area_prefix == message.area_prefix =>
                {
                    let id = &release.message.release_id;
                    v.add(
                        "period",
                        format!("was published as release {id}, which never changes: correct it with corrects_id"),
                    );
                }
                Some(release) => {
                    let (id, code) = (&release.message.release_id, release.period.code());
                    let reason = "the two could be subtracted from one another";
                    v.add(
                        "period",
                        format!("overlaps with {code} of release {id}, in areas that overlap, too: {reason}"),
                    );
                }
                None => {}
            }
        } else {
            self.decide_correction(message, &mut v);
        }
        if v.is_empty() { Ok(()) } else { Err(v.into_vec()) }
    }

    fn decide_correction(&self, draft: &v1::ReleaseDraft, v: &mut Violations) {
        let Some(corrected) = self.find(&draft.corrects_id) else {
            v.add("corrects_id", "is not the id of a release");
            return;
        };
        let before = corrected.draft();
        v.require(before.period == draft.period, "period", "is not that of the release it corrects");
        v.require(before.area_prefix == draft.area_prefix, "area_prefix", "is not that of the release it corrects");
        v.require(before.tables == draft.tables, "tables", "are not those of the release it corrects");
        v.require(
            before.threshold <= draft.threshold,
            "threshold",
            "is lower than that of the release it corrects: what was withheld would be told",
        );
        if let Some(later) = self.corrected_by(&draft.corrects_id) {
            let id = &later.message.release_id;
            v.add("corrects_id", format!("is corrected already, by release {id}: correct that one"));
        }
        if self.corrected(draft).len() > CORRECTIONS_MAX {
            v.add("corrects_id", "was corrected 8 times, which is as often as a release can be");
        }
    }

    /// Folds a release that was decided.
    pub fn record(&mut self, message: v1::ReleasePublished, position: u64, published: Instant) {
        let period = message.draft.as_ref().and_then(|draft| Period::parse(&draft.period));
        if let Some(period) = period {
            self.0.push(Release { message, position, published, period });
        }
    }

    /// Takes the last one out again.
    pub(crate) fn remove_last(&mut self) {
        self.0.pop();
    }
}

/// Looks at a release that is to be recorded: that no number in it is below its threshold is checked once more, whoever made it.
pub fn well_formed(message: &v1::ReleasePublished) -> Result<Draft, Vec<Violation>> {
    let mut v = Violations::default();
    v.id("release_id", &message.release_id);
    let draft = Draft::parse(message.draft.as_ref().unwrap_or(&v1::ReleaseDraft::default()));
    let (Ok(draft), true) = (&draft, v.is_empty()) else {
        let mut all = v.into_vec();
        all.extend(validate::within("draft", draft.err().unwrap_or_default()));
        return Err(all);
    };
    let threshold = u64::from(draft.threshold());
    let small = |area: &v1::ReleasedArea| {
        area.cases < threshold || area.counts.iter().any(|count| (1..threshold).contains(count))
    };
    if message.areas.is_empty() {
        v.add("draft.period", "has fewer cases than the threshold: nothing of it can be published");
    }
    if message.areas.iter().any(small) {
        v.add("areas", "hold a number below the threshold");
    }
    if v.is_empty() { Ok(draft.clone()) } else { Err(v.into_vec()) }
}
