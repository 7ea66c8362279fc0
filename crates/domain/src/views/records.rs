//! Records as the fold keeps them: what counts, by index, and nothing else.

use hashbrown::HashTable;
use satgas_proto::v1;
use serde::{Deserialize, Serialize};

use crate::{
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

/// What counts of a record's current version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Content {
    Monitoring { task_force: u32, month: Month, done: Box<[Done]> },
    Visit { school: u32, pupils: u32, follow_ups: Box<[(u32, Day)]>, done: Box<[Done]> },
    Signal(Box<Signal>),
    CaseReport,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Signal {
    pub(super) fingerprint: [u8; 32],
    pub(super) schools: Box<[u32]>,
}

impl Content {
    pub(super) fn monitoring(registry: &Registry, r: &v1::MonitoringReport) -> Option<Self> {
        Some(Self::Monitoring {
            task_force: registry.find_task_force(&r.task_force_id)?,
            month: Month::parse(&r.month)?,
            done: done(&r.follow_ups_done),
        })
    }

    pub(super) fn visit(registry: &Registry, r: &v1::SchoolVisit) -> Option<Self> {
        let reach = r.reach.as_ref()?;
        Some(Self::Visit {
            school: registry.find_institution(&r.school_id)?,
            pupils: reach.pupils_female.unsigned_abs() + reach.pupils_male.unsigned_abs(),
            follow_ups: r.follow_ups.iter().filter_map(|f| Some((f.number, Day::parse(&f.due_on)?))).collect(),
            done: done(&r.follow_ups_done),
        })
    }

    pub(super) fn signal(registry: &Registry, r: &v1::ExposureSignal) -> Option<Self> {
        let schools = r.school_ids.iter().filter_map(|id| registry.find_institution(id)).collect();
        Some(Self::Signal(Box::new(Signal { fingerprint: parse_hash(&r.group_fingerprint)?, schools })))
    }

    pub(super) fn done(&self) -> &[Done] {
        match self {
            Self::Monitoring { done, .. } | Self::Visit { done, .. } => done,
            Self::Signal(_) | Self::CaseReport => &[],
        }
    }

    pub(super) fn is_kind_of(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

fn done(done: &[v1::FollowUpDone]) -> Box<[Done]> {
    done.iter()
        .filter_map(|d| {
            Some(Done { visit: SubmissionId::parse(&d.visit_id).ok()?, number: d.number, on: Day::parse(&d.done_on)? })
        })
        .collect()
}

/// An accepted record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: SubmissionId,
    pub(super) position: u64,
    pub(super) occurred: Instant,
    /// Local month of `occurred`: where its effects are booked.
    pub(super) month: Month,
    pub(super) received: Instant,
    pub(super) scope: Scope,
    pub(super) retracted: bool,
    pub(super) content: Content,
}

/// All records in log order, found by id through a table of indexes: five bytes a record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Records {
    records: Vec<Record>,
    #[serde(skip)]
    index: HashTable<u32>,
    #[serde(skip)]
    hasher: foldhash::fast::RandomState,
}

impl Records {
    pub(super) fn push(&mut self, record: Record) -> u32 {
        let index = u32::try_from(self.records.len()).expect("fewer than 2^32 records");
        self.records.push(record);
        self.enter(index);
        index
    }

    fn enter(&mut self, index: u32) {
        use std::hash::BuildHasher as _;
        let (records, hasher) = (&self.records, &self.hasher);
        let hash = |index: &u32| hasher.hash_one(records[*index as usize].id);
        self.index.insert_unique(hash(&index), index, hash);
    }

    /// Makes the table anew after the records were read from a checkpoint.
    pub(super) fn reindex(&mut self) {
        for index in 0..u32::try_from(self.records.len()).expect("fewer than 2^32 records") {
            self.enter(index);
        }
    }

    pub(super) fn find(&self, id: SubmissionId) -> Option<u32> {
        use std::hash::BuildHasher as _;
        self.index.find(self.hasher.hash_one(id), |index| self.records[*index as usize].id == id).copied()
    }

    pub(super) fn get(&self, index: u32) -> &Record {
        &self.records[index as usize]
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut Record {
        &mut self.records[index as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}
