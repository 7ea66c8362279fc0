//! The seeded year: everything that reaches the server, when, and what the server should answer.
//!
//! The story is a list of waves. The clock moves only between waves, and within a wave no record depends on another one: a repeat,
//! a correction, a conflicting version and the next step of a case always come in a later wave than what they are about. So
//! whatever order the clients of a wave overtake each other in, every figure comes out the same.

mod cases;
mod fate;
mod signals;
mod work;

use std::collections::BTreeMap;

use satgas_proto::v1;

use super::{
    cast::Cast,
    dice::Dice,
    year::{Minute, Slot},
};

/// What the server should answer to a record or step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Accepted.
    Accepted,
    /// Accepted, and waiting for its target.
    Held,
    /// Known already: the original receipt.
    AlreadyKnown,
    /// Kept beside what stands.
    Conflict,
    /// Refused, naming this field.
    Rejected(&'static str),
    /// A step that is refused, for this reason of the error's details.
    Refused(&'static str),
}

/// One call to the server.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// One record.
    Submit(v1::Submission, Answer),
    /// The records of one device that was without a network.
    Batch(Vec<(v1::Submission, Answer)>),
    /// A reported case.
    Open(v1::Submission, Answer),
    /// A step of a case.
    Advance(v1::CaseCommand, Answer),
    /// Registry entries, all of which are news.
    Register(Vec<v1::RegistryEntry>),
}

/// Calls that depend on no order among themselves.
#[derive(Clone, Debug)]
pub(crate) struct Wave {
    /// When they reach the server.
    pub(crate) slot: Slot,
    /// The calls.
    pub(crate) calls: Vec<Call>,
}

/// How many records met which fate: as the script wants it, or as the server answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Registry entries.
    pub(crate) registered: u64,
    /// Accepted records, waiting ones included.
    pub(crate) accepted: u64,
    /// Of the accepted ones, those that waited for their target when they came.
    pub(crate) held: u64,
    /// Steps of cases.
    pub(crate) steps: u64,
    /// Records and steps that were known already.
    pub(crate) duplicates: u64,
    /// Records kept beside what stands.
    pub(crate) conflicts: u64,
    /// Refused records.
    pub(crate) rejected: u64,
    /// Refused steps of cases.
    pub(crate) refused_steps: u64,
}

impl Counts {
    /// Notes an answer to a record, or to a step of a case.
    pub(crate) fn note(&mut self, answer: Answer, is_step: bool) {
        match answer {
            Answer::Accepted if is_step => self.steps += 1,
            Answer::Accepted => self.accepted += 1,
            Answer::Held => {
                self.accepted += 1;
                self.held += 1;
            }
            Answer::AlreadyKnown => self.duplicates += 1,
            Answer::Conflict => self.conflicts += 1,
            Answer::Rejected(_) => self.rejected += 1,
            Answer::Refused(_) => self.refused_steps += 1,
        }
    }

    /// Adds others to these.
    pub(crate) fn add(&mut self, others: &Self) {
        self.registered += others.registered;
        self.accepted += others.accepted;
        self.held += others.held;
        self.steps += others.steps;
        self.duplicates += others.duplicates;
        self.conflicts += others.conflicts;
        self.rejected += others.rejected;
        self.refused_steps += others.refused_steps;
    }

    /// Events that these made, the log's opening not counted.
    pub(crate) fn events(&self) -> u64 {
        self.registered + self.accepted + self.steps + self.conflicts
    }

    /// Records, steps and entries that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.events() + self.duplicates + self.rejected + self.refused_steps
    }
}

impl Call {
    /// Adds what this call should come to.
    pub(crate) fn count(&self, counts: &mut Counts) {
        match self {
            Self::Submit(_, answer) | Self::Open(_, answer) => counts.note(*answer, false),
            Self::Advance(_, answer) => counts.note(*answer, true),
            Self::Batch(records) => records.iter().for_each(|(_, answer)| counts.note(*answer, false)),
            Self::Register(entries) => counts.registered += entries.len() as u64,
        }
    }
}

/// The story.
#[derive(Debug)]
pub(crate) struct Script {
    /// The waves, in their order.
    pub(crate) waves: Vec<Wave>,
    /// Corrections and withdrawals whose target never comes.
    pub(crate) held_for_ever: u64,
    /// The fingerprint of the group that spreads.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests follow the group by it"))]
    pub(crate) group_fingerprint: String,
    /// A visit that was not played: it may be submitted to try the server out.
    pub(crate) spare: v1::Submission,
}

impl Script {
    /// The story of a seed with its cast. `scale` multiplies visits, signals and cases.
    pub(crate) fn of(seed: u64, cast: &Cast, scale: u32) -> Self {
        let mut book = Book::default();
        for (slot, entries) in &cast.changes {
            book.call(*slot, Call::Register(entries.clone()));
        }
        work::write(&mut book, seed, cast, scale);
        signals::write(&mut book, seed, cast, scale);
        let group_fingerprint = signals::write_group(&mut book, seed, cast);
        cases::write(&mut book, seed, cast, scale);
        let spare = work::spare_visit(&mut book, seed, cast);
        Self { held_for_ever: book.held_for_ever, group_fingerprint, spare, waves: book.into_waves() }
    }

    /// What it should come to, the registry before the year not counted.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.waves.iter().flat_map(|wave| &wave.calls).for_each(|call| call.count(&mut counts));
        counts
    }
}

/// The story while it is being written.
#[derive(Debug, Default)]
struct Book {
    calls: BTreeMap<Slot, Vec<Call>>,
    batches: BTreeMap<(Slot, String), Vec<(v1::Submission, Answer)>>,
    sequences: BTreeMap<String, u64>,
    held_for_ever: u64,
}

/// How a record reaches the server.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    slot: Slot,
    /// Together with what else its device kept while it had no network.
    in_batch: bool,
}

impl Book {
    /// Adds a call, unless it would come after the story's end; says whether it did.
    fn call(&mut self, slot: Slot, call: Call) -> bool {
        let in_time = slot <= Slot::LAST;
        if in_time {
            self.calls.entry(slot).or_default().push(call);
        }
        in_time
    }

    /// Adds a record; says whether it comes in time.
    fn record(&mut self, arrival: Arrival, submission: v1::Submission, answer: Answer) -> bool {
        if arrival.in_batch && arrival.slot <= Slot::LAST {
            self.batches.entry((arrival.slot, submission.device_id.clone())).or_default().push((submission, answer));
            return true;
        }
        let is_case = matches!(submission.content, Some(v1::submission::Content::CaseReport(_)));
        let call = if is_case { Call::Open(submission, answer) } else { Call::Submit(submission, answer) };
        self.call(arrival.slot, call)
    }

    /// A record as a device makes it.
    fn submission(
        &mut self,
        dice: &mut Dice,
        device: &str,
        reporter: v1::submission::Reporter,
        at: Minute,
        content: v1::submission::Content,
    ) -> v1::Submission {
        let sequence = self.sequences.entry(device.to_owned()).or_default();
        *sequence += 1;
        v1::Submission {
            submission_id: dice.id(at),
            device_id: device.to_owned(),
            device_sequence: *sequence,
            occurred_at: Some(at.proto()),
            reporter: Some(reporter),
            content: Some(content),
        }
    }

    fn into_waves(mut self) -> Vec<Wave> {
        for ((slot, _), records) in self.batches {
            self.calls.entry(slot).or_default().push(Call::Batch(records));
        }
        self.calls.into_iter().map(|(slot, calls)| Wave { slot, calls }).collect()
    }
}

#[cfg(test)]
mod tests;
