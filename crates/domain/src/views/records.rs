//! Records as the fold keeps them: what counts of each version, by index, and nothing else.

use std::{hash::BuildHasher as _, num::NonZero};

use hashbrown::HashTable;
use satgas_proto::v1::{self, amendment::Replacement, submission};
use serde::{Deserialize, Serialize};

use super::blocks::{Block, Blocks};
use crate::{
    Map,
    id::{SubmissionId, parse_hash},
    registry::{Registry, Scope},
    time::{Day, Instant, Month},
};

/// A follow-up of a visit that a record says was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) visit: SubmissionId,
    pub(super) number: u32,
    pub(super) on: Day,
}

/// Follow-ups that a record agrees, and those that it says were done. Most records have none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FollowUps {
    agreed: Box<[(u32, Day)]>,
    done: Box<[Done]>,
}

/// What counts of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Content {
    Monitoring { task_force: u32, month: Month, follow_ups: Option<Box<FollowUps>> },
    Visit { school: u32, pupils: u32, follow_ups: Option<Box<FollowUps>> },
    Signal(Box<Signal>),
    CaseReport,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Signal {
    pub(super) fingerprint: [u8; 32],
    pub(super) schools: Box<[u32]>,
}

impl Content {
    /// Of a submission that is a record.
    pub(super) fn submitted(registry: &Registry, content: &submission::Content) -> Option<Self> {
        match content {
            submission::Content::MonitoringReport(r) => Self::monitoring(registry, r),
            submission::Content::SchoolVisit(r) => Self::visit(registry, r),
            submission::Content::ExposureSignal(r) => Self::signal(registry, r),
            submission::Content::CaseReport(_) => Some(Self::CaseReport),
            submission::Content::Amendment(_) | submission::Content::Retraction(_) => None,
        }
    }

    /// Of what an amendment puts in the record's place.
    pub(super) fn replacement(registry: &Registry, replacement: &Replacement) -> Option<Self> {
        match replacement {
            Replacement::MonitoringReport(r) => Self::monitoring(registry, r),
            Replacement::SchoolVisit(r) => Self::visit(registry, r),
            Replacement::ExposureSignal(r) => Self::signal(registry, r),
            Replacement::CaseReport(_) => Some(Self::CaseReport),
        }
    }

    fn monitoring(registry: &Registry, r: &v1::MonitoringReport) -> Option<Self> {
        Some(Self::Monitoring {
            task_force: registry.find_task_force(&r.task_force_id)?,
            month: Month::parse(&r.month)?,
            follow_ups: follow_ups(&[], &r.follow_ups_done),
        })
    }

    fn visit(registry: &Registry, r: &v1::SchoolVisit) -> Option<Self> {
        let reach = r.reach.as_ref()?;
        Some(Self::Visit {
            school: registry.find_institution(&r.school_id)?,
            pupils: reach.pupils_female.unsigned_abs() + reach.pupils_male.unsigned_abs(),
            follow_ups: follow_ups(&r.follow_ups, &r.follow_ups_done),
        })
    }

    fn signal(registry: &Registry, r: &v1::ExposureSignal) -> Option<Self> {
        let schools = r.school_ids.iter().filter_map(|id| registry.find_institution(id)).collect();
        Some(Self::Signal(Box::new(Signal { fingerprint: parse_hash(&r.group_fingerprint)?, schools })))
    }

    fn follow_ups(&self) -> Option<&FollowUps> {
        match self {
            Self::Monitoring { follow_ups, .. } | Self::Visit { follow_ups, .. } => follow_ups.as_deref(),
            Self::Signal(_) | Self::CaseReport => None,
        }
    }

    /// Follow-ups that it agrees: number and last day.
    pub(super) fn agreed(&self) -> &[(u32, Day)] {
        self.follow_ups().map_or(&[], |follow_ups| &follow_ups.agreed)
    }

    /// Follow-ups that it says were done.
    pub(super) fn done(&self) -> &[Done] {
        self.follow_ups().map_or(&[], |follow_ups| &follow_ups.done)
    }

    pub(super) fn is_kind_of(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

fn follow_ups(agreed: &[v1::FollowUp], done: &[v1::FollowUpDone]) -> Option<Box<FollowUps>> {
    let done = done.iter().filter_map(|d| {
        Some(Done { visit: SubmissionId::parse(&d.visit_id).ok()?, number: d.number, on: Day::parse(&d.done_on)? })
    });
    let agreed = agreed.iter().filter_map(|f| Some((f.number, Day::parse(&f.due_on)?)));
    let follow_ups = FollowUps { agreed: agreed.collect(), done: done.collect() };
    (!follow_ups.agreed.is_empty() || !follow_ups.done.is_empty()).then(|| Box::new(follow_ups))
}

/// What can change about a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) occurred: Instant,
    /// Local month of `occurred`: where its effects are booked.
    pub(super) month: Month,
    pub(super) content: Content,
}

/// An accepted record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: SubmissionId,
    pub(super) position: u64,
    pub(super) received: Instant,
    pub(super) scope: Scope,
    /// Whether there is more than the original: told by the changes, so that a record that was written down stays as it is.
    #[serde(skip)]
    changed: bool,
    pub(super) original: Version,
}

/// A change of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Change {
    /// Position of the event with which it took effect.
    pub(super) since: u64,
    /// Position of the amendment, withdrawal or decision itself.
    pub(super) position: u64,
    /// Id of the version; that of the version before when it was withdrawn.
    pub(super) id: SubmissionId,
    /// The version; none when the record was withdrawn.
    pub(super) version: Option<Version>,
}

/// What a record was at a position.
#[derive(Clone, Copy)]
pub(super) struct AsKnown<'a> {
    /// The version that stands; none of a record that was withdrawn.
    pub(super) version: Option<&'a Version>,
    /// Its id, and the position of the event that it came with.
    pub(super) id: SubmissionId,
    pub(super) position: u64,
}

const ADDED: &str = "an index is that of a record that was added";
const SHARDS: usize = 256;
/// Threads that make an index, at most: more would wait for memory.
const THREADS_MAX: usize = 4;

/// A table takes its buckets from the low bits of the hash and its control bits from the top, so the shard lies between.
fn shard(hash: u64) -> usize {
    usize::try_from(hash >> 40).unwrap_or_default() % SHARDS
}

/// Records as they are read from a part.
pub(super) type RecordBlock = Block<Record>;

fn at(records: &Blocks<Record>, index: u32) -> &Record {
    records.get(index as usize).expect(ADDED)
}

/// Indexes of records by id. In shards, so that growing one never stops the fold for long, and that they can be filled beside each other.
#[derive(Clone, Debug)]
struct Index {
    shards: Vec<HashTable<u32>>,
    hasher: foldhash::fast::RandomState,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: vec![HashTable::new(); SHARDS], hasher: foldhash::fast::RandomState::default() }
    }
}

impl Index {
    fn enter(&mut self, records: &Blocks<Record>, index: u32) {
        let Self { shards, hasher } = self;
        let hash_of = |index: &u32| hasher.hash_one(at(records, *index).id);
        let hash = hash_of(&index);
        shards[shard(hash)].insert_unique(hash, index, hash_of);
    }

    fn find(&self, records: &Blocks<Record>, id: SubmissionId) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.shards[shard(hash)].find(hash, |index| at(records, *index).id == id).copied()
    }

    /// Of so many records that a table filled in their order would be one miss of the processor's cache after the other: they are sorted
    /// by shard, each thread some of them, and then filled in, each thread some of the shards.
    fn of(records: &Blocks<Record>) -> Self {
        let mut new = Self::default();
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        let (share, hasher) = (records.len().div_ceil(threads), &new.hasher);
        let sort = |thread: usize| {
            // Hashes are spread evenly; a shard with some more than its share and an eighth grows once.
            let mut sorted: Vec<_> = (0..SHARDS).map(|_| Vec::with_capacity(share / SHARDS * 9 / 8 + 16)).collect();
            for index in thread * share..((thread + 1) * share).min(records.len()) {
                let index = u32::try_from(index).expect("fewer than 2^32 records");
                let hash = hasher.hash_one(at(records, index).id);
                sorted[shard(hash)].push((hash, index));
            }
            sorted
        };
        let fill = |sorted: &[Vec<Vec<(u64, u32)>>], first: usize, shards: &mut [HashTable<u32>]| {
            for (number, shard) in (first..).zip(shards) {
                let own = || sorted.iter().map(|sorted| &sorted[number]);
                shard.reserve(own().map(Vec::len).sum(), |_| unreachable!("an empty table has nothing to move"));
                for (hash, index) in own().flatten() {
                    shard.insert_unique(*hash, *index, |_| unreachable!("there is room for all"));
                }
            }
        };
        std::thread::scope(|scope| {
            let sorting: Vec<_> = (0..threads).map(|thread| scope.spawn(move || sort(thread))).collect();
            let sorted = sorting.into_iter().map(|sorting| sorting.join().expect("sorting does not panic"));
            let (sorted, share) = (&sorted.collect::<Vec<_>>(), SHARDS.div_ceil(threads));
            std::thread::scope(|scope| {
                for (number, shards) in new.shards.chunks_mut(share).enumerate() {
                    scope.spawn(move || fill(sorted, number * share, shards));
                }
            });
        });
        new
    }
}

/// All records in log order, found by id through tables of indexes: five bytes a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Records {
    records: Blocks<Record>,
    /// Of the records that were changed: how, in log order.
    changes: Map<u32, Vec<Change>>,
    #[serde(skip)]
    index: Index,
}

impl Records {
    /// None, in blocks of a size.
    pub(super) fn in_blocks_of(size: u32) -> Self {
        Self { records: Blocks::of(size), changes: Map::default(), index: Index::default() }
    }

    pub(super) fn add(
        &mut self,
        id: SubmissionId,
        position: u64,
        received: Instant,
        scope: Scope,
        original: Version,
    ) -> u32 {
        let index = u32::try_from(self.records.len()).expect("fewer than 2^32 records");
        self.records.push(Record { id, position, received, scope, changed: false, original });
        self.index.enter(&self.records, index);
        index
    }

    /// Records in their blocks, for whoever writes them down.
    pub(super) fn blocks(&self) -> &Blocks<Record> {
        &self.records
    }

    pub(super) fn blocks_mut(&mut self) -> &mut Blocks<Record> {
        &mut self.records
    }

    /// Completes records that were read: marks those that were changed, and makes the index anew.
    pub(super) fn restored(&mut self) {
        for index in self.changes.keys() {
            if let Some(record) = self.records.get_mut(*index as usize) {
                record.changed = true;
            }
        }
        self.index = Index::of(&self.records);
    }

    pub(super) fn find(&self, id: SubmissionId) -> Option<u32> {
        self.index.find(&self.records, id)
    }

    /// The record that came at a position.
    pub(super) fn find_position(&self, position: u64) -> Option<u32> {
        let index = self.records.find_by_key(position, |record| record.position)?;
        u32::try_from(index).ok()
    }

    pub(super) fn get(&self, index: u32) -> &Record {
        at(&self.records, index)
    }

    pub(super) fn change(&mut self, index: u32, change: Change) {
        self.records.get_mut(index as usize).expect(ADDED).changed = true;
        self.changes.entry(index).or_default().push(change);
    }

    fn changes(&self, index: u32) -> &[Change] {
        if self.get(index).changed { self.changes.get(&index).map_or(&[], Vec::as_slice) } else { &[] }
    }

    /// What a record was at a position; `None` when it had not come.
    pub(super) fn known(&self, index: u32, until: u64) -> Option<AsKnown<'_>> {
        let record = self.get(index);
        if record.position > until {
            return None;
        }
        let known = match self.changes(index).iter().rev().find(|change| change.since <= until) {
            None => AsKnown { version: Some(&record.original), id: record.id, position: record.position },
            Some(change) => AsKnown { version: change.version.as_ref(), id: change.id, position: change.position },
        };
        Some(known)
    }

    /// Whether a record or one of its versions had an id at a position.
    pub(super) fn had_id(&self, index: u32, id: SubmissionId, until: u64) -> bool {
        let record = self.get(index);
        let in_effect = |change: &Change| change.id == id && change.since <= until;
        (record.id == id && record.position <= until) || self.changes(index).iter().any(in_effect)
    }

    /// The version of a record that stood at a position.
    pub(super) fn standing(&self, index: u32, until: u64) -> Option<&Version> {
        self.known(index, until)?.version
    }

    /// The last version of a record, whether it was withdrawn since or not, and the position of the event that it came with.
    pub(super) fn last_version(&self, index: u32) -> (&Version, u64) {
        let record = self.get(index);
        let mut changes = self.changes(index).iter().rev();
        let changed = changes.find_map(|change| Some((change.version.as_ref()?, change.position)));
        changed.unwrap_or((&record.original, record.position))
    }

    /// Positions of what changed a record after a position.
    pub(super) fn changed_after(&self, index: u32, position: u64) -> impl Iterator<Item = u64> + '_ {
        self.changes(index).iter().filter(move |change| change.since > position).map(|change| change.position)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}
