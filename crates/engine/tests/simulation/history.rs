//! What was asked of the engine and what it answered, as the callers saw it: all that the checks know beside the log itself.

use satgas_domain::case::Refusal;
use satgas_engine::{CaseError, WriteError};
use satgas_proto::v1;

use crate::{
    commands::{Command, Refused},
    readings::{Shown, Try},
    world::World,
};

/// What is sent to be recorded.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a history is short")]
pub(crate) enum Sent {
    Record(v1::Submission),
    /// A record by somebody whose right had ended.
    Late(v1::Submission),
    Step(v1::CaseCommand),
    /// The code of a new area.
    Area(String),
    Command(Command),
}

impl Sent {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Record(submission) | Self::Late(submission) => &submission.submission_id,
            Self::Command(command) => command.id(),
            Self::Step(command) => &command.command_id,
            Self::Area(code) => code,
        }
    }
}

/// A moment, and the last position that was durable then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) moment: u64,
    pub(crate) head: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Receipt(v1::Receipt),
    /// The receipt, and the case's version as it was told.
    Stepped(v1::Receipt, u64),
    /// Why the step was refused.
    Refused(Refusal),
    /// Position at which the id was taken by something else.
    IdTaken(u64),
    /// Why the command was refused.
    Denied(Refused),
    /// It was taken, or was known; where is not told.
    Taken,
    /// How many areas were created, and the position of the last.
    Registered(u32, u64),
    /// Nothing was written.
    Nothing,
    /// The first part may be written, and the rest is not.
    Partly,
    /// Whether it was written is not known.
    Unknown,
}

impl Answer {
    pub(crate) fn of_error(world: &World, error: &WriteError) -> Self {
        world.note(error);
        match error {
            WriteError::Failed(_) | WriteError::Closed => Self::Unknown,
            WriteError::QueueFull
            | WriteError::QuarantineFull
            | WriteError::TooLarge { .. }
            | WriteError::DiskFull(_)
            | WriteError::Unreadable { .. } => Self::Nothing,
        }
    }

    pub(crate) fn of_case_error(world: &World, error: CaseError) -> Self {
        match error {
            CaseError::Refused(refusal) => Self::Refused(refusal),
            CaseError::IdTaken { position } => Self::IdTaken(position),
            CaseError::Write(error) => Self::of_error(world, &error),
        }
    }
}

/// One thing that was sent, once.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What was sent in one piece, or one behind the other before any answer was awaited, has the same number.
    pub(crate) burst: usize,
    /// The message within the burst: one is written whole or not at all.
    pub(crate) message: usize,
    pub(crate) what: Sent,
    pub(crate) sent: Stamp,
    pub(crate) answered: Option<(Stamp, Answer)>,
}

/// A case as the views showed it at their position.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) position: u64,
    pub(crate) case_id: String,
    /// None when it was not there.
    pub(crate) version: Option<u64>,
}

/// Everything, in the order in which it happened.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) looks: Vec<Look>,
    pub(crate) tries: Vec<Try>,
    bursts: usize,
}

impl History {
    /// Notes that something is being sent. Returns its number.
    pub(crate) fn sent(world: &World, (burst, message): (usize, usize), what: Sent) -> usize {
        let sent = stamp(world);
        world.note(format_args!("sent {} of {}", kind(&what), what.id()));
        let mut history = world.history.lock();
        history.attempts.push(Attempt { burst, message, what, sent, answered: None });
        history.attempts.len() - 1
    }

    pub(crate) fn answered(world: &World, attempt: usize, answer: Answer) {
        let stamp = stamp(world);
        let mut history = world.history.lock();
        let attempt = &mut history.attempts[attempt];
        world.note(format_args!("{} is answered {answer:?}", attempt.what.id()));
        attempt.answered = Some((stamp, answer));
    }

    pub(crate) fn shown(world: &World, index: usize, shown: Shown) {
        let stamp = stamp(world);
        world.note(format_args!("shown {shown:?}"));
        world.history.lock().tries[index].answered = Some((stamp, shown));
    }

    pub(crate) fn next_burst(world: &World) -> usize {
        let mut history = world.history.lock();
        history.bursts += 1;
        history.bursts
    }
}

pub(crate) fn stamp(world: &World) -> Stamp {
    Stamp { moment: world.moment(), head: world.durable() }
}

fn kind(what: &Sent) -> String {
    match what {
        Sent::Record(v1::Submission { content: Some(v1::submission::Content::CaseReport(_)), .. }) => "a case".into(),
        Sent::Record(_) => "a record".into(),
        Sent::Late(_) => "a late record".into(),
        Sent::Step(_) => "a step".into(),
        Sent::Area(_) => "an area".into(),
        Sent::Command(command) => command.to_string(),
    }
}
