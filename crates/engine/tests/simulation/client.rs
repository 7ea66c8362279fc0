//! What clients do: send what is new, send it again until it is answered, send it once more, send other things under known ids.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
};

use satgas_domain::id::SubmissionId;
use satgas_engine::{Engine, Handed};
use satgas_proto::v1::{self, amendment::Replacement, case_command::Step, submission::Content};

use crate::{
    commands::{Command, ended_right},
    concerns::{self, Companion, Concerns, Wanted},
    history::{Answer, History, Look, Sent},
    make::{self, OTHER_SCHOOL, TIGA},
    readings::{self, Reading},
    tasks::pause,
    world::World,
};

/// All clients, and what they know of each other's doings. Outlives restarts, as what a phone has stored does.
pub(crate) struct Clients {
    clients: Vec<Client>,
    records: Vec<v1::Submission>,
    steps: Vec<v1::CaseCommand>,
    cases: Vec<u32>,
    concerns: Concerns,
    areas: u32,
    next: u32,
}

#[derive(Default)]
struct Client {
    acts_left: usize,
    /// What was begun and is not answered yet.
    begun: Option<Act>,
}

/// Something that a client does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Submit(v1::Submission),
    /// A record, by somebody whose right has ended.
    Late(v1::Submission),
    /// Messages of several records, sent one behind the other before the first is answered.
    Burst(Vec<Vec<v1::Submission>>),
    Step(v1::CaseCommand),
    Register(String),
    Command(Command),
    Read(Reading),
    /// A command on something that must be found first.
    Find(Wanted),
    /// Several at once, before any of them is answered.
    Together(Vec<Act>),
}

impl Clients {
    pub(crate) fn new(clients: usize, acts_left: usize) -> Self {
        let clients = (0..clients).map(|_| Client { acts_left, ..Client::default() }).collect();
        Self {
            clients,
            records: Vec::new(),
            steps: Vec::new(),
            cases: Vec::new(),
            concerns: Concerns::default(),
            areas: 0,
            next: 0,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn are_done(&self) -> bool {
        self.clients.iter().all(|client| client.acts_left == 0 && client.begun.is_none())
    }

    /// What a client goes on with: what it began, else something new. None when it has done all.
    fn begin(&mut self, world: &World, me: usize) -> Option<Act> {
        if let Some(begun) = &self.clients[me].begun {
            return Some(begun.clone());
        }
        self.clients[me].acts_left = self.clients[me].acts_left.checked_sub(1)?;
        let act = self.act(world);
        self.clients[me].begun = Some(act.clone());
        Some(act)
    }

    fn next_id(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn new_record(&mut self, world: &World) -> v1::Submission {
        let n = self.next_id();
        let record = match world.below(10) {
            0 | 1 => {
                self.cases.push(n);
                make::case(n)
            }
            2 => {
                let visit = v1::SchoolVisit { school_id: OTHER_SCHOOL.into(), ..make::visit_record(7) };
                make::submission(n, TIGA, Content::SchoolVisit(visit))
            }
            3 => make::bad_visit(n),
            4 | 5 => {
                let target = 1 + u32::try_from(world.below(n as usize)).expect("few ids");
                if target == n || self.cases.contains(&target) {
                    make::visit(n, 3)
                } else if world.chance(0.5) {
                    make::retracts(n, target)
                } else {
                    make::amends(n, target, Replacement::SchoolVisit(make::visit_record(30)))
                }
            }
            _ => make::visit(n, 10),
        };
        self.records.push(record.clone());
        record
    }

    fn record(&mut self, world: &World) -> v1::Submission {
        if self.records.is_empty() || world.chance(0.65) {
            return self.new_record(world);
        }
        let mut record = world.pick(&self.records);
        if world.chance(0.4) {
            record.device_sequence += 1 + world.below(2) as u64;
            self.records.push(record.clone());
        }
        record
    }

    /// A record whose reporter's right had ended: one that nobody else has sent, or one that somebody has, or will.
    fn late(&mut self, world: &World) -> v1::Submission {
        if !self.concerns.late.is_empty() && world.chance(0.3) {
            let mut record = world.pick(&self.concerns.late);
            if world.chance(0.3) {
                record.device_sequence += 1;
            }
            return record;
        }
        let record = self.record(world);
        self.concerns.late.push(record.clone());
        record
    }

    fn act(&mut self, world: &World) -> Act {
        if world.chance(world.plan.concerns) {
            if world.chance(0.2) {
                return Act::Late(self.late(world));
            }
            let next = make::id(self.next_id());
            if let Some(act) = self.concerns.act(world, &next, &self.cases) {
                return act;
            }
        }
        match world.below(20) {
            0..=3 => {
                let messages = 1 + world.below(2);
                let mut message = || (0..1 + world.below(4)).map(|_| self.record(world)).collect();
                Act::Burst((0..messages).map(|_| message()).collect())
            }
            4 => {
                if self.areas == 0 || world.chance(0.7) {
                    self.areas += 1;
                }
                Act::Register(format!("53.71.04.2{:03}", self.areas))
            }
            5 if !self.steps.is_empty() => {
                let mut step = world.pick(&self.steps);
                if world.chance(0.4) {
                    step.step = Some(make::assess(v1::Risk::Rendah));
                }
                Act::Step(step)
            }
            6..=11 if !self.cases.is_empty() => {
                let case = world.pick(&self.cases);
                let step = match world.below(6) {
                    0 | 1 => make::assess(world.pick(&[v1::Risk::Tinggi, v1::Risk::Rendah])),
                    2 | 3 => make::serve(v1::Service::Psikologis),
                    4 => {
                        let action = "Kunjungan".into();
                        let follow_up = v1::FollowUp { number: 1, action, due_on: "2028-05-03".into() };
                        Step::PlanFollowUp(v1::PlanFollowUp { follow_up: Some(follow_up) })
                    }
                    _ => Step::Close(v1::CloseCase { outcome: v1::CaseOutcome::TujuanTercapai.into() }),
                };
                Act::Step(make::command(self.next_id(), case, 0, step))
            }
            _ => Act::Submit(self.record(world)),
        }
    }
}

/// A client's doings, as long as the engine answers.
pub(crate) async fn live(world: Arc<World>, engine: Engine, me: usize) {
    while let Some(act) = next(&world, &engine, me).await {
        if !perform(&world, &engine, &act).await {
            // Tells nothing until the engine is opened anew; nor is it asked.
            return;
        }
        world.clients.lock().clients[me].begun = None;
        if world.chance(0.5) {
            pause().await;
        }
    }
}

/// What was begun and not answered, else something new.
async fn next(world: &World, engine: &Engine, me: usize) -> Option<Act> {
    let mut act = world.clients.lock().begin(world, me)?;
    if let Act::Find(wanted) = act {
        let next = make::id(world.clients.lock().next_id());
        let found = concerns::find(world, engine, wanted, next).await;
        let mut clients = world.clients.lock();
        act = match found {
            Some(found) => {
                clients.concerns.commands.push(found.command.clone());
                let companion = found.companion.filter(|_| world.chance(0.5));
                let other = companion.map(|companion| match companion {
                    Companion::Command(mut command) => {
                        command.set_id(make::id(clients.next_id()));
                        Act::Command(command)
                    }
                    Companion::Late(record) => Act::Late(record),
                });
                let mut acts = vec![Act::Command(found.command)];
                acts.extend(other);
                if acts.len() > 1 { Act::Together(acts) } else { acts.remove(0) }
            }
            None => Act::Submit(clients.record(world)),
        };
        clients.clients[me].begun = Some(act.clone());
        return Some(act);
    }
    if let Act::Step(command) = &mut act
        && command.expected_version == 0
    {
        let version = look(world, engine, &command.case_id).await.unwrap_or(1);
        // Some know less than they think.
        command.expected_version = if world.chance(0.2) { 1 + world.below(4) as u64 } else { version };
        let mut clients = world.clients.lock();
        clients.steps.push(command.clone());
        clients.clients[me].begun = Some(act.clone());
    }
    Some(act)
}

/// The version of a case that the views show.
async fn look(world: &World, engine: &Engine, case_id: &str) -> Option<u64> {
    let id = SubmissionId::parse(case_id).expect("a client's id");
    let min_position = if world.chance(0.5) { engine.head().position } else { 0 };
    let now = engine.now();
    let looked = engine
        .query(min_position, |folded| (folded.head.position, folded.known(now).case(id).map(|case| case.version)))
        .await;
    let (position, version) = looked.expect("the head is reached");
    assert!(min_position <= position && position <= world.durable(), "views at {position} show what is not durable");
    world.history.lock().looks.push(Look { position, case_id: case_id.to_owned(), version });
    world.note(format_args!("{case_id} has version {version:?} at {position}"));
    version
}

/// Does it until it is answered. False when the engine cannot tell what became of it.
async fn perform(world: &World, engine: &Engine, act: &Act) -> bool {
    for tries in 0.. {
        let burst = History::next_burst(world);
        let answers = match act {
            Act::Submit(record) => {
                vec![submit(world, engine, (burst, 0), Sent::Record(record.clone()), record.clone().into()).await]
            }
            Act::Late(record) => vec![late(world, engine, (burst, 0), record).await],
            Act::Burst(messages) => send_all(world, engine, burst, messages).await,
            Act::Step(command) => vec![step(world, engine, burst, command.clone()).await],
            Act::Register(code) => vec![register(world, engine, burst, code).await],
            Act::Command(command) => vec![send(world, engine, (burst, 0), command).await],
            Act::Together(acts) => together(world, engine, burst, acts).await,
            Act::Read(reading) => vec![readings::read(world, engine, reading).await],
            Act::Find(wanted) => panic!("{wanted:?} was not looked up"),
        };
        if answers.iter().any(|answer| matches!(answer, Answer::Unknown)) {
            return false;
        }
        if !answers.iter().any(|answer| matches!(answer, Answer::Nothing | Answer::Partly))
            || (tries > 2 && world.chance(0.3))
        {
            return true;
        }
        pause().await;
    }
    true
}

/// Sends several, one behind the other, and waits for all.
async fn together(world: &World, engine: &Engine, burst: usize, acts: &[Act]) -> Vec<Answer> {
    type One<'a> = std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
    let mut waiting: Vec<(Option<Answer>, One<'_>)> = Vec::new();
    for (message, act) in acts.iter().enumerate() {
        let one: One<'_> = match act {
            Act::Command(command) => Box::pin(send(world, engine, (burst, message), command)),
            Act::Late(record) => Box::pin(late(world, engine, (burst, message), record)),
            other => panic!("{other:?} is not sent beside others"),
        };
        waiting.push((None, one));
    }
    poll_fn(|context| {
        for (answer, one) in waiting.iter_mut().filter(|(answer, _)| answer.is_none()) {
            if let Poll::Ready(answered) = one.as_mut().poll(context) {
                *answer = Some(answered);
            }
        }
        if waiting.iter().all(|(answer, _)| answer.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(answer, _)| answer).collect()
}

async fn late(world: &World, engine: &Engine, at: (usize, usize), record: &v1::Submission) -> Answer {
    let handed = Handed { submission: record.clone(), ended: Some(ended_right()) };
    submit(world, engine, at, Sent::Late(record.clone()), handed).await
}

async fn submit(world: &World, engine: &Engine, at: (usize, usize), sent: Sent, handed: Handed) -> Answer {
    let attempt = History::sent(world, at, sent);
    let answer = match engine.submit(handed).await {
        Ok(receipt) => Answer::Receipt(receipt),
        Err(error) => Answer::of_error(world, &error),
    };
    History::answered(world, attempt, answer.clone());
    answer
}

async fn send_all(world: &World, engine: &Engine, burst: usize, messages: &[Vec<v1::Submission>]) -> Vec<Answer> {
    let mut waiting = Vec::new();
    for (message, records) in messages.iter().enumerate() {
        let note = |record: &v1::Submission| History::sent(world, (burst, message), Sent::Record(record.clone()));
        let attempts: Vec<usize> = records.iter().map(note).collect();
        waiting.push((attempts, engine.enqueue(records.clone()).await));
    }
    let mut answers = Vec::new();
    for (attempts, ticket) in waiting {
        let receipts = match ticket {
            Ok(ticket) => ticket.receipts().await,
            Err(error) => Err(error),
        };
        match receipts {
            Ok(receipts) => {
                assert_eq!(receipts.len(), attempts.len(), "a receipt each");
                for (attempt, receipt) in attempts.into_iter().zip(receipts) {
                    History::answered(world, attempt, Answer::Receipt(receipt.clone()));
                    answers.push(Answer::Receipt(receipt));
                }
            }
            Err(error) => {
                let answer = Answer::of_error(world, &error);
                attempts.into_iter().for_each(|attempt| History::answered(world, attempt, answer.clone()));
                answers.push(answer);
            }
        }
    }
    answers
}

async fn step(world: &World, engine: &Engine, burst: usize, command: v1::CaseCommand) -> Answer {
    let attempt = History::sent(world, (burst, 0), Sent::Step(command.clone()));
    let answer = match engine.advance(command).await {
        Ok((receipt, case)) => Answer::Stepped(receipt, case.version),
        Err(error) => Answer::of_case_error(world, error),
    };
    History::answered(world, attempt, answer.clone());
    answer
}

async fn send(world: &World, engine: &Engine, at: (usize, usize), command: &Command) -> Answer {
    let attempt = History::sent(world, at, Sent::Command(command.clone()));
    let answer = command.answer(world, command.send(engine).await);
    if let (Command::Approve(approved), Answer::Receipt(_)) = (command, &answer) {
        world.keys.lock().holds_no_key_of(&approved.case_id);
    }
    History::answered(world, attempt, answer.clone());
    answer
}

async fn register(world: &World, engine: &Engine, burst: usize, code: &str) -> Answer {
    let attempt = History::sent(world, (burst, 0), Sent::Area(code.to_owned()));
    let answer = match engine.register(vec![make::area(code)], false).await {
        Ok(registered) => {
            assert_eq!(registered.refused, [], "the area fits");
            Answer::Registered(registered.summary.created, registered.summary.position)
        }
        Err(error) => Answer::of_error(world, &error),
    };
    History::answered(world, attempt, answer.clone());
    answer
}

/// Names under which clients are spawned.
pub(crate) fn name(me: usize) -> String {
    format!("client {me}")
}
