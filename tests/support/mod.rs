//! A server in process with a clock that stands still, clients that play a history against it, and readers of its log.

pub(crate) mod answers;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{
    self, case_service_client::CaseServiceClient, event_service_client::EventServiceClient,
    registry_service_client::RegistryServiceClient, submission_service_client::SubmissionServiceClient,
};
use satgas_server::{Config, ManualClock, Server};
use tokio::sync::watch;
use tonic::{Code, Status, transport::Channel};

use crate::door::{CITY, Door, Tokens};
use crate::reference::{
    history::{Action, Wave},
    steps,
};

/// A server on a folder of its own, on an ephemeral port of loopback.
pub(crate) struct Running {
    server: Server,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
    tokens: Tokens,
}

impl Running {
    /// Starts a server on an empty folder at `now`.
    pub(crate) async fn start(now: Timestamp) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(ManualClock::new(now));
        let server = serve(folder.path().join("data"), &clock).await?;
        let channel = plain(format!("http://{}", server.address())).await?;
        let tokens = Tokens::issue(&channel, &folder.path().join("data/keys"), CITY).await?;
        Ok(Self { server, clock, folder, tokens })
    }

    /// Shuts the server down and starts it again on the same folder, with its checkpoints or without.
    pub(crate) async fn restart(self, keep_checkpoints: bool) -> anyhow::Result<Self> {
        self.server.shutdown().await?;
        let data = self.folder.path().join("data");
        let checkpoints = data.join("checkpoints");
        if !keep_checkpoints && checkpoints.exists() {
            std::fs::remove_dir_all(&checkpoints)?;
        }
        let server = serve(data, &self.clock).await?;
        Ok(Self { server, ..self })
    }

    /// Ends the server.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        Ok(self.server.shutdown().await?)
    }

    /// Has the server record the deadlines that passed unmet by its clock, and says how many it recorded.
    pub(crate) async fn judge_deadlines(&self) -> anyhow::Result<usize> {
        Ok(self.server.judge_deadlines().await?)
    }

    /// Sets the server's clock.
    pub(crate) fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }

    /// A phone with a token of its own, which reports for everybody in the city.
    pub(crate) async fn phone(&self) -> anyhow::Result<Phone> {
        use v1::{Role, assignment::Own};
        let channel = plain(self.url()).await?;
        let assignment = v1::Assignment { role: Role::Satgas.into(), own: Some(Own::AreaCode(CITY.to_owned())) };
        let operator = self.tokens.of(Role::Operator);
        let (token_id, secret) = crate::door::issue(&channel, operator, assignment, 400 * 86_400).await?;
        Ok(Phone { token_id, door: Door::with(channel, &secret) })
    }

    /// Ends a phone's token.
    pub(crate) async fn revoke(&self, phone: &Phone) -> anyhow::Result<()> {
        let request = v1::RevokeTokenRequest { token_id: phone.token_id.clone(), reason: "contoh".to_owned() };
        v1::identity_service_client::IdentityServiceClient::new(self.connect().await?).revoke_token(request).await?;
        Ok(())
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Door> {
        self.way().connect().await
    }

    /// How to connect, for a task of its own.
    pub(crate) fn way(&self) -> Way {
        Way { url: self.url(), tokens: self.tokens.clone() }
    }

    /// Where the server listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }
}

/// A phone, and the token that it has.
pub(crate) struct Phone {
    token_id: String,
    pub(crate) door: Door,
}

async fn serve(data: PathBuf, clock: &Arc<ManualClock>) -> anyhow::Result<Server> {
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    // The history says when deadlines are judged.
    let config = Config { listen, data, deadlines_every_s: 0, ..Config::default() };
    Ok(Server::start(config, Arc::<ManualClock>::clone(clock)).await?)
}

async fn plain(url: String) -> anyhow::Result<Channel> {
    Ok(Channel::from_shared(url)?.connect().await?)
}

/// How to connect to a server.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    url: String,
    tokens: Tokens,
}

impl Way {
    async fn connect(&self) -> anyhow::Result<Door> {
        Ok(Door::by_role(plain(self.url.clone()).await?, self.tokens.clone()))
    }
}

/// What became of everything that the clients sent.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Each submission that got a receipt.
    pub(crate) receipts: Vec<(v1::Submission, v1::Receipt)>,
    /// Each step that got a receipt.
    pub(crate) steps: Vec<(v1::CaseCommand, v1::Receipt)>,
    /// Each decision on a conflict that got a receipt.
    pub(crate) decisions: Vec<(v1::ConflictResolution, v1::Receipt)>,
    /// Everything that was refused, in the server's words.
    pub(crate) refused: Vec<String>,
}

impl Outcome {
    /// Adds what became of another client's doings.
    pub(crate) fn extend(&mut self, other: Self) {
        self.receipts.extend(other.receipts);
        self.steps.extend(other.steps);
        self.decisions.extend(other.decisions);
        self.refused.extend(other.refused);
    }

    /// Notes a refusal; an answer that is no refusal of the thing sent is an error.
    fn refuse(&mut self, status: &Status) -> anyhow::Result<()> {
        match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::Aborted | Code::NotFound => {
                self.refused.push(format!("{:?}: {}", status.code(), status.message()));
                Ok(())
            }
            _ => bail!("the server answered {status:?}"),
        }
    }
}

/// Plays one wave: each client in a task and on a connection of its own.
pub(crate) async fn play(channels: &[Door], wave: &Wave) -> anyhow::Result<Outcome> {
    let mut clients = tokio::task::JoinSet::new();
    for (channel, actions) in channels.iter().zip(&wave.clients) {
        clients.spawn(act(channel.clone(), actions.clone()));
    }
    let mut outcome = Outcome::default();
    while let Some(client) = clients.join_next().await {
        outcome.extend(client??);
    }
    Ok(outcome)
}

async fn act(channel: Door, actions: Vec<Action>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for action in actions {
        match action {
            Action::Register(entries) => register(&channel, entries, &mut outcome).await?,
            Action::Submit(submission) => submit(&channel, submission, &mut outcome).await?,
            Action::SubmitBatch(batch) => submit_batch(&channel, batch, &mut outcome).await?,
            Action::OpenCase(submission) => open_case(&channel, submission, &mut outcome).await?,
            Action::Step(plan) => step(&channel, &plan, &mut outcome).await?,
            Action::Decide(plan) => decide(&channel, &plan, &mut outcome).await?,
        }
    }
    Ok(outcome)
}

async fn register(channel: &Door, entries: Vec<v1::RegistryEntry>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let request = v1::RegisterRequest { entries, skip_bad: false };
    match RegistryServiceClient::new(channel.clone()).register(request).await {
        Ok(_) => Ok(()),
        Err(status) => outcome.refuse(&status),
    }
}

async fn submit(channel: &Door, submission: v1::Submission, outcome: &mut Outcome) -> anyhow::Result<()> {
    let request = v1::SubmitRequest { submission: Some(submission.clone()) };
    match SubmissionServiceClient::new(channel.clone()).submit(request).await {
        Ok(response) => {
            let receipt = response.into_inner().receipt.context("an answer without a receipt")?;
            outcome.receipts.push((submission, receipt));
            Ok(())
        }
        Err(status) => outcome.refuse(&status),
    }
}

async fn submit_batch(channel: &Door, batch: Vec<v1::Submission>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let messages: Vec<v1::SubmitBatchRequest> =
        batch.chunks(3).map(|part| v1::SubmitBatchRequest { submissions: part.to_vec() }).collect();
    let mut client = SubmissionServiceClient::new(channel.clone());
    let mut answers = client.submit_batch(tokio_stream::iter(messages)).await?.into_inner();
    let mut receipts = Vec::new();
    while let Some(answer) = answers.message().await? {
        receipts.extend(answer.receipts);
    }
    ensure!(receipts.len() == batch.len(), "{} records of a batch got {} receipts", batch.len(), receipts.len());
    outcome.receipts.extend(batch.into_iter().zip(receipts));
    Ok(())
}

async fn open_case(channel: &Door, submission: v1::Submission, outcome: &mut Outcome) -> anyhow::Result<()> {
    let request = v1::OpenCaseRequest { submission: Some(submission.clone()), identities: Vec::new() };
    match CaseServiceClient::new(channel.clone()).open_case(request).await {
        Ok(response) => {
            let receipt = response.into_inner().receipt.context("an answer without a receipt")?;
            outcome.receipts.push((submission, receipt));
            Ok(())
        }
        Err(status) => outcome.refuse(&status),
    }
}

/// Looks the case up, chooses a step that the plan's dice allow, and sends it once or twice.
async fn step(channel: &Door, plan: &crate::reference::history::StepPlan, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut client = CaseServiceClient::new(channel.clone());
    let request = v1::GetCaseRequest { case_id: plan.case_id.clone(), ..Default::default() };
    let case = match client.get_case(request).await {
        Ok(response) => response.into_inner().case.context("an answer without a case")?,
        Err(status) => return outcome.refuse(&status),
    };
    let Some(command) = steps::choose(plan, &case) else { return Ok(()) };
    for _ in 0..=u8::from(plan.repeated) {
        let request = v1::AdvanceCaseRequest { command: Some(command.clone()) };
        match client.advance_case(request).await {
            Ok(response) => {
                let receipt = response.into_inner().receipt.context("an answer without a receipt")?;
                outcome.steps.push((command.clone(), receipt));
            }
            Err(status) => outcome.refuse(&status)?,
        }
    }
    Ok(())
}

/// Looks the conflicts up, decides on one of them, and sends the decision once or twice.
async fn decide(
    channel: &Door,
    plan: &crate::reference::history::DecisionPlan,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let open = answers::conflicts(channel, &answers::Moment::default()).await?;
    let Some(resolution) = steps::decide(plan, &open) else { return Ok(()) };
    for _ in 0..=u8::from(plan.repeated) {
        match answers::decision(channel, resolution.clone()).await {
            Ok(receipt) => {
                ensure!(!plan.wild, "a decision that had to be refused was taken: {resolution:?}");
                outcome.decisions.push((resolution.clone(), receipt));
            }
            Err(status) => outcome.refuse(&status)?,
        }
    }
    Ok(())
}

/// Reads the whole log in pages of `page_size`.
pub(crate) async fn read_all(channel: &Door, page_size: u32) -> anyhow::Result<Vec<v1::Event>> {
    let mut client = EventServiceClient::new(channel.clone());
    let mut events = Vec::new();
    let mut after_position = 0;
    loop {
        let request = v1::ReadRequest { after_position, filter: None, page_size };
        let page = client.read(request).await?.into_inner();
        events.extend(page.events);
        if page.next_after_position >= page.head_position {
            return Ok(events);
        }
        ensure!(page.next_after_position > after_position, "a page of the log does not move on from {after_position}");
        after_position = page.next_after_position;
    }
}

/// Follows the log over connections that break at random, until `end` names the last position; returns each position seen.
pub(crate) async fn follow(
    way: Way,
    filter: Option<v1::EventFilter>,
    seed: u64,
    mut end: watch::Receiver<Option<u64>>,
) -> anyhow::Result<Vec<u64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = Vec::new();
    let mut resume = 0;
    loop {
        let request = v1::SubscribeRequest {
            start: Some(v1::subscribe_request::Start::AfterPosition(resume)),
            filter: filter.clone(),
            heartbeat_interval: Some(pbjson_types::Duration { seconds: 1, nanos: 0 }),
        };
        let mut client = EventServiceClient::new(way.connect().await?);
        let mut stream = client.subscribe(request).await?.into_inner();
        for _ in 0..rng.random_range(1..20) {
            let message = tokio::select! {
                message = stream.message() => message?,
                // What is left may all be filtered out: a new subscription says so at once.
                changed = end.changed() => { changed?; break }
            };
            let Some(message) = message else { break };
            ensure!(message.resume_position >= resume, "resume goes back: {} to {}", resume, message.resume_position);
            resume = message.resume_position;
            seen.extend(message.events.iter().map(|event| event.position));
            if end.borrow().is_some_and(|end| resume >= end) {
                return Ok(seen);
            }
        }
    }
}

/// Whether a filter lets an event through, read from the filter's own words.
pub(crate) fn lets_through(filter: &v1::EventFilter, event: &v1::Event) -> bool {
    let prefix = &filter.area_prefix;
    let inside = prefix.is_empty() || event.area_code == *prefix || event.area_code.starts_with(&format!("{prefix}."));
    let kind = filter.kinds.is_empty() || filter.kinds.contains(&event.kind);
    inside && kind && (filter.institution_id.is_empty() || event.institution_id == filter.institution_id)
}
