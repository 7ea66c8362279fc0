//! Who reads what is sealed, and what they were shown.

use satgas_domain::sealed::Refusal;
use satgas_engine::{Engine, FollowedUp};
use satgas_proto::v1;

use crate::{
    commands::{KIND, Refused, Trouble, by, code_hash},
    history::{Answer, History, Stamp, stamp},
    world::World,
};

/// What somebody wants to read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    /// The identity of a case, in a case worker's hands.
    Identity { case_id: String, who: &'static str },
    /// A report and its messages, in a case worker's hands.
    Report { report_id: String, who: &'static str },
    /// How a report stands, in its reporter's hands.
    FollowUp { report_id: String },
}

impl Reading {
    pub(crate) fn of(&self) -> &str {
        match self {
            Self::Identity { case_id: id, .. }
            | Self::Report { report_id: id, .. }
            | Self::FollowUp { report_id: id } => id,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// A text, with what was added to it, where it was sealed if that was told, and the position of the event that records the reading.
    Texts {
        texts: Vec<String>,
        sealed: Option<u64>,
        read: u64,
    },
    /// What was left for the reporter, and how many messages they have added.
    Answers {
        texts: Vec<String>,
        messages: usize,
    },
    /// No report has the code.
    NoSuchCode,
    Denied(Refusal),
    /// Nothing was shown; whether the reading was recorded is not known.
    Nothing,
}

/// One try to read something.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) what: Reading,
    /// In no other try.
    pub(crate) purpose: String,
    pub(crate) sent: Stamp,
    pub(crate) answered: Option<(Stamp, Shown)>,
}

/// Reads something. The answer says whether to ask again.
pub(crate) async fn read(world: &World, engine: &Engine, what: &Reading) -> Answer {
    let sent = stamp(world);
    let purpose = format!("Pendampingan contoh ke-{}", sent.moment);
    world.note(format_args!("{what:?} for {purpose}"));
    let index = {
        let mut history = world.history.lock();
        history.tries.push(Try { what: what.clone(), purpose: purpose.clone(), sent, answered: None });
        history.tries.len() - 1
    };
    let (shown, answer) = match show(engine, what, purpose).await {
        Ok(shown) => (shown, Answer::Taken),
        Err(Trouble::Refused(Refused::Seals(refusal))) => (Shown::Denied(refusal), Answer::Taken),
        Err(Trouble::Unreadable) => (Shown::Nothing, Answer::Nothing),
        Err(Trouble::Write(error)) => (Shown::Nothing, Answer::of_error(world, &error)),
        Err(trouble) => panic!("{trouble:?}"),
    };
    History::shown(world, index, shown);
    answer
}

async fn show(engine: &Engine, what: &Reading, purpose: String) -> Result<Shown, Trouble> {
    match what.clone() {
        Reading::Identity { case_id, who } => {
            let request = v1::UnsealIdentityRequest { case_id, kind: KIND.into(), purpose, sealed_position: 0 };
            let read = engine.unseal_identity(request, by(who)).await?;
            let texts = vec![read.identity.identity().full_name.clone()];
            Ok(Shown::Texts { texts, sealed: Some(read.sealed_position), read: read.read_position })
        }
        Reading::Report { report_id, who } => {
            let request = v1::ReadPublicReportRequest { report_id, purpose };
            let read = engine.read_report(request, by(who)).await?;
            let messages = read.messages.iter().map(|message| message.message.message().text.clone());
            let texts = std::iter::once(read.content.message().text.clone()).chain(messages).collect();
            Ok(Shown::Texts { texts, sealed: None, read: read.read_position })
        }
        Reading::FollowUp { report_id } => Ok(match engine.follow_up(code_hash(&report_id)).await? {
            None => Shown::NoSuchCode,
            Some(FollowedUp { report_id: found, answers, messages, .. }) => {
                assert_eq!(found.to_string(), report_id, "the code of another report");
                let texts = answers.iter().map(|answer| answer.message().text.clone()).collect();
                Shown::Answers { texts, messages }
            }
        }),
    }
}
