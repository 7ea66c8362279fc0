//! `given(events).when(command, now).then(answer)`, over the very state and views that the server folds.

mod make;

use satgas_domain::{
    case::Refusal,
    decide::WriteState,
    registry::{Change, Scope},
    time::{Calendar, Instant, Period},
    validate::{self, Violations},
    views::{EvaluatedBody, Known, Moment, Subject, Views},
};
use satgas_proto::v1::{self, IndicatorKind, event::Body};

pub(crate) use make::*;

/// The time zone of all stories.
pub(crate) const ZONE: &str = "Asia/Makassar";

/// A local time such as "2028-02-29T23:59:59.999".
pub(crate) fn at(local: &str) -> Instant {
    Instant::from_jiff(format!("{local}+08:00").parse().expect("a story's time exists"))
}

/// An area, by its own task forces.
pub(crate) fn kelurahan(code: &str) -> Subject<'_> {
    Subject::Area(code, EvaluatedBody::Kelurahan)
}

/// What is asked of the domain.
pub(crate) enum Ask {
    Submit(Box<v1::Submission>),
    Register(v1::RegistryEntry),
    Advance(v1::CaseCommand),
}

impl From<v1::Submission> for Ask {
    fn from(s: v1::Submission) -> Self {
        Self::Submit(Box::new(s))
    }
}

impl From<v1::RegistryEntry> for Ask {
    fn from(e: v1::RegistryEntry) -> Self {
        Self::Register(e)
    }
}

impl From<v1::CaseCommand> for Ask {
    fn from(c: v1::CaseCommand) -> Self {
        Self::Advance(c)
    }
}

/// What the domain answers.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// A submission is taken, as this area's and this institution's (or none).
    Taken { area: String, institution: String },
    /// It is refused for these fields, in order.
    Refused(Vec<String>),
    /// A registry entry does this.
    Registers(Change),
    /// A case goes on to this version.
    Advances { version: u64 },
    /// A case does not go on.
    Stays(Refusal),
}

pub(crate) fn taken(area: &str, institution: &str) -> Answer {
    Answer::Taken { area: area.to_owned(), institution: institution.to_owned() }
}

pub(crate) fn refused<const N: usize>(fields: [&str; N]) -> Answer {
    Answer::Refused(fields.map(str::to_owned).to_vec())
}

/// A log, with the state and the views that it folds to.
pub(crate) struct Log {
    pub(crate) state: WriteState,
    pub(crate) views: Views,
    pub(crate) calendar: Calendar,
    head: u64,
}

/// A log in which a small town is registered (see [`town`]) and then these events happened, each recorded at `EARLY`.
pub(crate) fn given(bodies: impl IntoIterator<Item = Body>) -> Log {
    let mut log = Log {
        state: WriteState::default(),
        views: Views::new(ZONE).expect("the zone is bundled"),
        calendar: Calendar::new(ZONE).expect("the zone is bundled"),
        head: 0,
    };
    for body in town().into_iter().chain(bodies) {
        log.tell(body, EARLY);
    }
    log
}

/// The answer to what was asked, to be looked at.
pub(crate) struct Answered {
    answer: Answer,
    /// The reasons of a refusal by field, in order.
    pub(crate) reasons: Vec<String>,
}

impl Answered {
    #[track_caller]
    pub(crate) fn then(self, expected: Answer) -> Self {
        assert_eq!(self.answer, expected, "reasons: {:?}", self.reasons);
        self
    }

    /// Some reason says this.
    #[track_caller]
    pub(crate) fn because(self, part: &str) -> Self {
        assert!(self.reasons.iter().any(|reason| reason.contains(part)), "{:?} says nothing of {part:?}", self.reasons);
        self
    }
}

impl Log {
    /// Decides and changes nothing.
    pub(crate) fn when(&self, ask: impl Into<Ask>, now: &str) -> Answered {
        let mut reasons = Vec::new();
        let mut refused = |violations: Vec<v1::Violation>| {
            let fields = violations.iter().map(|v| v.field.clone()).collect();
            reasons = violations.into_iter().map(|v| v.reason).collect();
            Answer::Refused(fields)
        };
        let answer = match ask.into() {
            Ask::Submit(s) => {
                let mut v = Violations::default();
                validate::submission(&mut v, &s);
                match self.state.decide_submission(&self.calendar, &s, v, at(now)) {
                    Ok(origin) => {
                        let registry = self.state.registry();
                        let institution = match origin.scope {
                            Scope::Area(area) => {
                                assert_eq!(area, origin.area, "a record of an area belongs to that area");
                                ""
                            }
                            Scope::Institution(index) => registry.institution(index).id.as_str(),
                        };
                        taken(&registry.area(origin.area).code, institution)
                    }
                    Err(violations) => refused(violations),
                }
            }
            Ask::Register(entry) => match self.state.registry().decide(&entry) {
                Ok(change) => Answer::Registers(change),
                Err(violations) => refused(violations),
            },
            Ask::Advance(command) => match self.state.decide_case(&command, at(now)) {
                Ok((_, version)) => Answer::Advances { version },
                Err(Refusal::Invalid(violations)) => refused(violations),
                Err(refusal) => {
                    if let Refusal::NotAllowed { why, .. } = &refusal {
                        reasons = vec![(*why).to_owned()];
                    }
                    Answer::Stays(refusal)
                }
            },
        };
        Answered { answer, reasons }
    }

    /// Asks, insists that it is taken, and folds the event. Returns its position.
    #[track_caller]
    pub(crate) fn then_goes_on(&mut self, ask: impl Into<Ask>, now: &str) -> u64 {
        let ask = ask.into();
        let body = match &ask {
            Ask::Submit(s) => Body::Submitted(Box::new(v1::Submission::clone(s))),
            Ask::Register(entry) => Body::Registered(entry.clone()),
            Ask::Advance(c) => {
                Body::CaseAdvanced(v1::CaseAdvanced { command: Some(c.clone()), version: c.expected_version + 1 })
            }
        };
        let answered = self.when(ask, now);
        assert!(
            matches!(answered.answer, Answer::Taken { .. } | Answer::Registers(_) | Answer::Advances { .. }),
            "a story goes on only with what is taken: {:?} {:?}",
            answered.answer,
            answered.reasons
        );
        self.tell(body, now)
    }

    /// Folds an event that was decided elsewhere.
    pub(crate) fn tell(&mut self, body: Body, recorded: &str) -> u64 {
        self.head += 1;
        let kind = satgas_domain::event::kind(&body).into();
        let recorded_at = Some(at(recorded).to_proto());
        let event = v1::Event { position: self.head, recorded_at, kind, body: Some(body), ..v1::Event::default() };
        self.state.apply(&self.calendar, &event);
        self.views.apply(&event);
        self.head
    }

    /// Entries of one request: how many would be written, how many change nothing, how many are refused.
    pub(crate) fn entered(&self, entries: &[v1::RegistryEntry]) -> (usize, u32, usize) {
        let decided = self.state.registry().decide_all(entries);
        (decided.accepted.len(), decided.unchanged, decided.refused.len())
    }

    /// What is known at a time, with everything that was told.
    pub(crate) fn known(&self, now: &str) -> Known<'_> {
        self.known_at(self.head, now)
    }

    /// What was known when the event at a position had just been recorded.
    pub(crate) fn known_at(&self, position: u64, now: &str) -> Known<'_> {
        self.views.at(Moment { position, now: at(now), head_hash: [7; 32] })
    }

    pub(crate) fn case(&self, case_id: &str) -> v1::Case {
        let id = satgas_domain::id::SubmissionId::parse(case_id).expect("a story's id is one");
        self.known(EARLY).case(id).expect("the story reported it")
    }

    pub(crate) fn evaluation(&self, subject: Subject<'_>, period: &str, now: &str) -> v1::Evaluation {
        let period = Period::parse(period).expect("a story's period is one");
        self.known(now).evaluate(subject, &period).expect("the story registered the subject")
    }

    /// Numerator and denominator of one indicator; `None` where it is not applicable.
    pub(crate) fn fraction(&self, kind: IndicatorKind, subject: Subject<'_>, period: &str, now: &str) -> Fraction {
        let evaluation = self.evaluation(subject, period, now);
        let indicator = evaluation.indicators.iter().find(|i| i.kind() == kind).expect("every indicator is there");
        assert_eq!(indicator.applicable, indicator.denominator > 0, "not applicable means a denominator of 0");
        indicator.applicable.then_some((indicator.numerator, indicator.denominator))
    }

    /// Position and cause of each open conflict.
    pub(crate) fn conflicts(&self) -> Vec<(u64, v1::ConflictCause)> {
        self.known(EARLY).conflicts("", 0).map(|c| (c.position, c.cause())).collect()
    }

    /// Position of each waiting submission and what it waits for.
    pub(crate) fn held(&self) -> Vec<(u64, String)> {
        self.known(EARLY).held("", 0).map(|h| (h.position, h.waits_for_id)).collect()
    }

    /// Subjects of the warnings of a kind, or their ids where a warning has no subject.
    pub(crate) fn warned(&self, kind: v1::WarningKind, now: &str) -> Vec<String> {
        let warnings = self.known(now).warnings("").into_iter().filter(|w| w.kind() == kind);
        warnings.map(|w| if w.subject_id.is_empty() { w.warning_id } else { w.subject_id }).collect()
    }
}

/// Numerator and denominator of an indicator, where it applies.
pub(crate) type Fraction = Option<(u64, u64)>;
