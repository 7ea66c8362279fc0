//! What clients do beside sending records: the work of case workers, supervisors and reporters.

use satgas_engine::Engine;
use satgas_proto::v1::{self, event::Body, triage_report_request::Decision};

use crate::{
    client::Act,
    commands::{self, Command, KIND, SUPERVISORS, WORKERS, by, timeless_id},
    make,
    readings::Reading,
    world::World,
};

const REASON: &str = "Alasan contoh yang cukup";

/// What clients know of each other's doings with people's data. Outlives restarts.
#[derive(Default)]
pub(crate) struct Concerns {
    /// Everything that was sent, to be sent again.
    pub(crate) commands: Vec<Command>,
    pub(crate) late: Vec<v1::Submission>,
    /// Ids of the reports.
    reports: Vec<String>,
    /// Ids of cases and reports of which anything was sealed.
    sealed: Vec<String>,
    /// Who took which case.
    taken: Vec<(String, &'static str)>,
    /// What is to be erased, and who asked for it.
    asked: Vec<(String, &'static str)>,
    /// Cases and holds on them.
    holds: Vec<(String, String)>,
    releases: Vec<String>,
    count: u32,
}

/// What must be looked up before it can be sent.
#[expect(clippy::large_enum_variant, reason = "there are a few of them at a time")]
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// A decision on a record that waits.
    Decision,
    /// A decision on an open conflict.
    Resolution,
    /// A triage of a report, or an answer, on the version that it is seen at.
    Version(Command),
}

/// The latest more often than the others: what is done one after the other meets.
fn one<T: Clone>(world: &World, among: &[T]) -> Option<T> {
    let last = among.last()?;
    Some(if world.chance(0.5) { last.clone() } else { world.pick(among) })
}

impl Concerns {
    /// Something to do, as far as there is anything to do it with. `next` is an id that nobody has used, `cases` are reported ones.
    pub(crate) fn act(&mut self, world: &World, next: &str, cases: &[u32]) -> Option<Act> {
        if !self.commands.is_empty() && world.chance(0.15) {
            let command = world.pick(&self.commands);
            let is_fixed = matches!(command, Command::About(_) | Command::Approve(_)) && world.chance(0.5);
            return Some(Act::Command(if is_fixed || world.chance(0.5) { command } else { command.altered() }));
        }
        let case = one(world, cases).map(make::id);
        match world.below(20) {
            0 => Some(Act::Find(Wanted::Resolution)),
            1 | 2 => Some(Act::Find(Wanted::Decision)),
            3 => {
                let (case_id, who) = (case?, world.pick(&WORKERS));
                self.taken.push((case_id.clone(), who));
                self.command(take(next, case_id, who))
            }
            4..=6 => {
                let (case_id, who) = (case?, world.pick(&WORKERS));
                self.sealed.push(case_id.clone());
                let request = v1::RecordIdentityRequest {
                    command_id: next.into(),
                    case_id,
                    expected_version: 0,
                    kind: KIND.into(),
                    identity: None,
                };
                self.command(Command::Seal { request, name: format!("Anak Contoh {next}"), by: by(who) })
            }
            7 | 8 => self.reading(world, case),
            9..=12 => self.erasure(world, next),
            13 => self.hold(world, next),
            14 | 15 => {
                let report_id = timeless_id(self.next());
                self.reports.push(report_id.clone());
                self.sealed.push(report_id.clone());
                self.command(commands::report(&report_id))
            }
            16 => {
                let (report_id, n) = (one(world, &self.reports)?, self.next());
                let text = format!("Pesan contoh {n}");
                self.command(Command::Message { report_id, message_id: timeless_id(n), text })
            }
            17 | 18 => self.about_report(world, next),
            _ => self.release(world, next),
        }
    }

    fn next(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    #[expect(clippy::unnecessary_wraps, reason = "so that it stands behind what may not be there")]
    pub(crate) fn command(&mut self, command: Command) -> Option<Act> {
        self.commands.push(command.clone());
        Some(Act::Command(command))
    }

    fn reading(&self, world: &World, case: Option<String>) -> Option<Act> {
        let who = world.pick(&WORKERS);
        let report = one(world, &self.reports);
        Some(Act::Read(match (world.below(3), report) {
            (0, Some(report_id)) => Reading::Report { report_id, who },
            (1, Some(report_id)) => Reading::FollowUp { report_id },
            // Most know what is theirs.
            _ => match one(world, &self.taken).filter(|_| world.chance(0.8)) {
                Some((case_id, who)) => Reading::Identity { case_id, who },
                None => Reading::Identity { case_id: case?, who },
            },
        }))
    }

    fn erasure(&mut self, world: &World, next: &str) -> Option<Act> {
        let (command_id, mut case_id) = (next.to_owned(), one(world, &self.sealed)?);
        let (mut who, reason, what) = (world.pick(&SUPERVISORS), REASON.to_owned(), world.below(8));
        if what < 3 {
            self.asked.push((case_id.clone(), who));
        } else if let Some((asked, first)) = one(world, &self.asked).filter(|_| world.chance(0.9)) {
            case_id = asked;
            if world.chance(0.9) {
                who = if first == SUPERVISORS[0] { SUPERVISORS[1] } else { SUPERVISORS[0] };
            }
        }
        let who = Some(by(who));
        self.command(match what {
            0..=2 => {
                let requested = v1::ErasureRequested { command_id, case_id, reason, by: who };
                Command::About(Body::ErasureRequested(requested))
            }
            3 => {
                let declined = v1::ErasureDeclined { command_id, case_id, reason, by: who };
                Command::About(Body::ErasureDeclined(declined))
            }
            _ => Command::Approve(v1::ErasureApproved { command_id, case_id, by: who }),
        })
    }

    fn hold(&mut self, world: &World, next: &str) -> Option<Act> {
        let (command_id, who) = (next.to_owned(), Some(by(world.pick(&SUPERVISORS))));
        let reason = REASON.to_owned();
        if let Some((case_id, hold_id)) = one(world, &self.holds).filter(|_| world.chance(0.7)) {
            let lifted = v1::HoldLifted { command_id, case_id, hold_id, reason, by: who };
            return self.command(Command::About(Body::HoldLifted(lifted)));
        }
        let case_id = one(world, &self.sealed)?;
        self.holds.push((case_id.clone(), next.to_owned()));
        let placed = v1::HoldPlaced { command_id, case_id, reason, until: None, by: who };
        self.command(Command::About(Body::HoldPlaced(placed)))
    }

    fn about_report(&self, world: &World, next: &str) -> Option<Act> {
        let (report_id, by) = (one(world, &self.reports)?, by(world.pick(&WORKERS)));
        let (command_id, text) = (next.to_owned(), format!("Jawaban contoh {next}"));
        if world.chance(0.4) {
            let request = v1::AnswerReportRequest { command_id, report_id, expected_version: 0, answer: None };
            return Some(Act::Find(Wanted::Version(Command::Answer { request, text, by })));
        }
        let decision = Some(if world.chance(0.6) {
            Decision::OpenCase(commands::case_of_report(&report_id))
        } else {
            Decision::Dismiss(REASON.into())
        });
        let request = v1::TriageReportRequest { command_id, report_id, expected_version: 0, decision, answer: None };
        let answer = world.chance(0.5).then_some(text);
        Some(Act::Find(Wanted::Version(Command::Triage { request, answer, by })))
    }

    fn release(&mut self, world: &World, next: &str) -> Option<Act> {
        let corrects_id = one(world, &self.releases).filter(|_| world.chance(0.5)).unwrap_or_default();
        let draft = v1::ReleaseDraft {
            period: world.pick(&["2028-03", "2028-04", "2028-Q1"]).into(),
            area_prefix: world.pick(&["53.71", "53.71.04"]).into(),
            threshold: 5,
            tables: vec![v1::ReleaseTable::Victims.into()],
            corrects_id,
            note: "Rilis contoh".into(),
        };
        self.releases.push(next.to_owned());
        let cases = 5 + world.below(40) as u64;
        let areas = vec![v1::ReleasedArea { code: draft.area_prefix.clone(), cases, counts: Vec::new() }];
        let draft = Some(draft);
        self.command(Command::Release(v1::ReleasePublished {
            release_id: next.into(),
            draft,
            areas,
            ..Default::default()
        }))
    }
}

/// A case worker takes a case.
fn take(next: &str, case_id: String, who: &str) -> Command {
    let (command_id, subject, by) = (next.to_owned(), who.to_owned(), Some(by(who)));
    Command::About(Body::CaseAssigned(v1::CaseAssigned { command_id, case_id, subject, by, ..Default::default() }))
}

/// A command on what was found, and what may be sent beside it at the same time: only one of the two can be right.
pub(crate) struct Found {
    pub(crate) command: Command,
    pub(crate) companion: Option<Companion>,
}

#[expect(clippy::large_enum_variant, reason = "there are a few of them at a time")]
pub(crate) enum Companion {
    /// Another decision, still under the same id.
    Command(Command),
    /// The record that is decided on, once more.
    Late(v1::Submission),
}

/// Looks up what is wanted, and makes a command of it; none when there is nothing of the kind.
pub(crate) async fn find(world: &World, engine: &Engine, wanted: Wanted, command_id: String) -> Option<Found> {
    let now = engine.now();
    match wanted {
        Wanted::Decision => {
            let look = |folded: &satgas_engine::Folded| {
                let waits = |record: &v1::QuarantinedRecord| record.decided.is_none();
                folded
                    .known(now)
                    .quarantined("", "", 0)
                    .filter(waits)
                    .map(|record| (record.position, record.submission))
                    .collect::<Vec<_>>()
            };
            let positions = engine.query(0, look).await.expect("no position is asked for");
            let (quarantined_position, record) = one(world, &positions)?;
            let verdict = world.pick(&[v1::QuarantineVerdict::Admit, v1::QuarantineVerdict::Refuse]).into();
            let reason = REASON.to_owned();
            let decision = Some(v1::QuarantineDecision { command_id, quarantined_position, verdict, reason });
            let decided = v1::QuarantineDecided { decision, by: Some(by(world.pick(&SUPERVISORS))) };
            let command = Command::Decide(decided);
            let again = record.map(Companion::Late).filter(|_| world.chance(0.5));
            let companion = again.or_else(|| Some(Companion::Command(command.altered())));
            Some(Found { command, companion })
        }
        Wanted::Resolution => {
            let look = |folded: &satgas_engine::Folded| {
                folded.known(now).conflicts("", 0).map(|c| (c.position, c.can_be_taken)).collect::<Vec<_>>()
            };
            let conflicts = engine.query(0, look).await.expect("no position is asked for");
            let (conflict_position, can_be_taken) = one(world, &conflicts)?;
            let takes = can_be_taken && world.chance(0.6);
            let decision = if takes { v1::ConflictDecision::Take } else { v1::ConflictDecision::Keep }.into();
            let reason = REASON.to_owned();
            let command = Command::Resolve(v1::ConflictResolution { command_id, conflict_position, decision, reason });
            let companion = Some(Companion::Command(command.altered()));
            Some(Found { command, companion })
        }
        Wanted::Version(mut command) => {
            let report_id = command.case().expect("it is about a report").to_owned();
            let version = engine.report_shown(&report_id).await.map_or(1, |report| report.version);
            let expected = if world.chance(0.1) { version + 1 } else { version };
            match &mut command {
                Command::Answer { request, .. } => request.expected_version = expected,
                Command::Triage { request, .. } => request.expected_version = expected,
                other => panic!("{other:?}"),
            }
            Some(Found { command, companion: None })
        }
    }
}
