//! Reports of the public: what is known of each besides what it says, which is sealed.
//!
//! The same state serves the writer, which decides on it, and the views, which show it.
//!
//! Invariants:
//! - A report is found by the hash of its follow-up code only; whether a code is right is told in the same time whatever is wrong with it.
//! - What is sealed of a report, held and erased stands with that of the cases, under the report's id: a report that is taken up becomes the
//!   case of that id, and so goes on under the same key, holds and erasure.
//! - Its reporter is told one word, which says nothing of what was done, and what was left for them.
//! - What is added to a report is bounded.

mod decide;
mod show;

use satgas_proto::v1::{self, PublicReportVerdict, event::Body};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

pub use self::decide::{Ask, message_text, report_text, well_formed};
use crate::{Map, event, id::SubmissionId, sealed::Stamp, time::Instant};

/// Messages that a reporter may add to a report.
pub const MESSAGES_MAX: usize = 20;
/// Messages that may be left for a reporter.
pub const ANSWERS_MAX: usize = 50;
/// Bytes of a code's hash by which its report is looked up; the others are compared.
const LOCATOR: usize = 16;

/// Hash of a follow-up code.
pub type CodeHash = [u8; 32];

/// A report of the public.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    id: SubmissionId,
    at: Stamp,
    version: u64,
    /// Code of the kelurahan that it names, or empty.
    area_code: String,
    #[serde(with = "crate::stored")]
    categories: v1::CaseReport,
    code_hash: CodeHash,
    /// Position of its latest reading.
    read: Option<u64>,
    /// The latest decision.
    triaged: Option<Triaged>,
    messages: Vec<Message>,
}

/// A decision on a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Triaged {
    at: Stamp,
    #[serde(with = "crate::stored")]
    event: v1::PublicReportTriaged,
}

/// A message that was added to a report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Message {
    at: Stamp,
    of_reporter: bool,
}

impl Report {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SubmissionId {
        self.id
    }

    /// Position of the event that it came with.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at.position
    }

    /// When it came.
    #[must_use]
    pub fn received(&self) -> Instant {
        self.at.recorded
    }

    /// Code of the kelurahan that it names, or empty.
    #[must_use]
    pub fn area_code(&self) -> &str {
        &self.area_code
    }

    /// Positions of the messages that were added, and whether each is the reporter's; oldest first.
    pub fn messages(&self) -> impl Iterator<Item = (u64, bool)> + '_ {
        self.messages.iter().map(|message| (message.at.position, message.of_reporter))
    }

    /// How many messages its reporter has added.
    #[must_use]
    pub fn message_count(&self) -> usize {
        self.messages.iter().filter(|message| message.of_reporter).count()
    }

    /// What was decided last.
    #[must_use]
    pub fn verdict(&self) -> PublicReportVerdict {
        self.triaged.as_ref().map_or(PublicReportVerdict::Unspecified, |triaged| triaged.event.verdict())
    }

    /// Whether somebody must look at it: nothing was decided, or its reporter has added something that nobody has looked at since.
    #[must_use]
    pub fn waits(&self) -> bool {
        let of = |of_reporter| self.messages().filter(move |(_, of)| *of == of_reporter).map(|(at, _)| at).max();
        let done = [self.read, self.triaged.as_ref().map(|triaged| triaged.at.position), of(false)];
        self.triaged.is_none() || of(true) > done.into_iter().flatten().max()
    }
}

/// All reports, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reports {
    all: Vec<Report>,
    by_id: Map<SubmissionId, u32>,
    by_code: Map<[u8; LOCATOR], u32>,
}

/// What takes an event back: the report that was changed, as it was before; none for one that was added.
#[derive(Debug)]
pub struct Before(Option<Box<Report>>);

impl Reports {
    /// A report by its id.
    #[must_use]
    pub fn find(&self, id: SubmissionId) -> Option<&Report> {
        self.by_id.get(&id).map(|index| &self.all[*index as usize])
    }

    /// A report by the text of its id.
    #[must_use]
    pub fn find_text(&self, id: &str) -> Option<&Report> {
        self.find(SubmissionId::parse(id).ok()?)
    }

    /// The report of a code. Half of the hash looks it up; the other half is compared in a time that does not depend on it, also when there is
    /// nothing to compare it with.
    #[must_use]
    pub fn find_by_code(&self, hash: &CodeHash) -> Option<&Report> {
        let found = self.by_code.get(&locator(hash)).map(|index| &self.all[*index as usize]);
        let stands = found.map_or([0; 32], |report| report.code_hash);
        let is_same = bool::from(stands[LOCATOR..].ct_eq(&hash[LOCATOR..]));
        found.filter(|_| is_same)
    }

    /// Reports that came after a position.
    pub fn after(&self, position: u64) -> impl Iterator<Item = &Report> {
        let first = self.all.partition_point(|report| report.at.position <= position);
        self.all[first..].iter()
    }

    /// Folds an event that was decided. `None` when it changes no report.
    pub fn apply(&mut self, event: &v1::Event) -> Option<Before> {
        let at = Stamp { position: event.position, recorded: event::recorded(event) };
        let body = event.body.as_ref()?;
        let id = match body {
            Body::PublicReportReceived(received) => return self.add(received, &event.area_code, at),
            Body::PublicReportTriaged(triaged) => &triaged.report_id,
            Body::PublicReportMessage(message) => &message.report_id,
            Body::IdentityRead(read) if read.kind() == v1::IdentityKind::PublicReport => &read.case_id,
            _ => return None,
        };
        let index = *self.by_id.get(&SubmissionId::parse(id).ok()?)?;
        let report = &mut self.all[index as usize];
        let before = Before(Some(Box::new(report.clone())));
        match body {
            Body::PublicReportTriaged(event) => {
                report.version = event.version;
                report.triaged = Some(Triaged { at, event: event.clone() });
            }
            Body::PublicReportMessage(message) => {
                report.version = message.version;
                report.messages.push(Message { at, of_reporter: message.by.is_none() });
            }
            _ => report.read = Some(at.position),
        }
        Some(before)
    }

    fn add(&mut self, received: &v1::PublicReportReceived, area_code: &str, at: Stamp) -> Option<Before> {
        let id = SubmissionId::parse(&received.report_id).ok()?;
        let code_hash: CodeHash = received.code_hash.as_ref().try_into().ok()?;
        let index = u32::try_from(self.all.len()).expect("fewer than 2^32 reports");
        self.all.push(Report {
            id,
            at,
            version: 1,
            area_code: area_code.to_owned(),
            categories: received.categories.clone().unwrap_or_default(),
            code_hash,
            read: None,
            triaged: None,
            messages: Vec::new(),
        });
        self.by_id.insert(id, index);
        self.by_code.insert(locator(&code_hash), index);
        Some(Before(None))
    }

    /// Takes an event back.
    pub(crate) fn undo(&mut self, Before(before): Before) {
        match before {
            Some(before) => {
                if let Some(index) = self.by_id.get(&before.id) {
                    self.all[*index as usize] = *before;
                }
            }
            None => {
                if let Some(report) = self.all.pop() {
                    self.by_id.remove(&report.id);
                    self.by_code.remove(&locator(&report.code_hash));
                }
            }
        }
    }
}

fn locator(hash: &CodeHash) -> [u8; LOCATOR] {
    *hash.first_chunk().expect("32 bytes hold 16")
}
