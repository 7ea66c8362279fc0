//! Sends the story to the server over gRPC and holds every answer against what the script wants.
//!
//! The clock moves to a wave's time, all its calls go out over the clients at once, and the next wave waits for the last answer. An
//! answer that the script does not want ends the demo.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, stream};
use satgas_proto::v1::{self, ReceiptStatus};
use satgas_server::{ManualClock, Server};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    script::{Answer, Call, Counts, Wave},
    tokens::Tokens,
    year::{date_text, local_text},
};
use crate::connect::{Connection, unary};

/// Records in one message of a batch.
const BATCH_RECORDS: usize = 25;

/// The clients, and what they have been told so far.
#[derive(Debug)]
pub(crate) struct Player {
    clients: Vec<Client>,
    /// What the server answered.
    pub(crate) counts: Counts,
    /// Deadlines that the server recorded as missed.
    pub(crate) missed: u64,
    /// The highest position in any receipt.
    pub(crate) position: u64,
    /// How long each call with a single answer took.
    latencies: Vec<Duration>,
    /// How long it all took.
    pub(crate) playing: Duration,
}

/// One connection, used in turn by those whose work is played.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Keeps the registry, and sees what there is to see.
    pub(crate) supervisor: Connection,
    /// Enters the records of all task forces.
    pub(crate) office: Connection,
    /// Leads the cases.
    pub(crate) case_worker: Connection,
}

/// What one call came to.
#[derive(Debug, Default)]
struct Answered {
    counts: Counts,
    position: u64,
    took: Option<Duration>,
}

/// What the server says to a record or step.
#[derive(Debug)]
enum Said {
    Receipt(v1::Receipt),
    Refusal(Status),
}

impl Player {
    /// So many clients of the server, each with a connection of its own.
    pub(crate) fn to(url: &str, clients: usize, tokens: &Tokens) -> anyhow::Result<Self> {
        let client = |_| tokens.client(&Connection::to(url)?);
        let clients = (0..clients).map(client).collect::<anyhow::Result<Vec<_>>>()?;
        let (counts, latencies) = (Counts::default(), Vec::new());
        Ok(Self { clients, counts, missed: 0, position: 0, latencies, playing: Duration::ZERO })
    }

    /// The first client, as who sees everything.
    pub(crate) fn supervisor(&self) -> &Connection {
        &self.clients[0].supervisor
    }

    /// Registers what is so before the year begins.
    pub(crate) async fn register(&mut self, entries: Vec<v1::RegistryEntry>) -> anyhow::Result<()> {
        let answered = register(self.supervisor(), entries).await.context("the registry before the year")?;
        self.note(answered);
        Ok(())
    }

    /// Plays the waves, moving the clock, with a line on standard error for each month.
    pub(crate) async fn play(&mut self, waves: Vec<Wave>, server: &Server, clock: &ManualClock) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut month = String::new();
        for wave in waves {
            let minute = wave.slot.minute();
            let now = date_text(minute.day());
            if !now.starts_with(&month) || month.is_empty() {
                now[..7].clone_into(&mut month);
                let events = self.counts.events();
                eprintln!("{month}: {events} records so far, {:.1} s", begun.elapsed().as_secs_f64());
            }
            clock.set(minute.timestamp());
            self.judge(server).await?;
            self.wave(wave).await.with_context(|| format!("what arrives at {}", local_text(minute.timestamp())))?;
        }
        self.playing = begun.elapsed();
        Ok(())
    }

    /// Has the server record the deadlines that passed unmet.
    pub(crate) async fn judge(&mut self, server: &Server) -> anyhow::Result<()> {
        self.missed += server.judge_deadlines().await? as u64;
        Ok(())
    }

    async fn wave(&mut self, wave: Wave) -> anyhow::Result<()> {
        let clients = &self.clients;
        let calls = wave.calls.into_iter().zip(clients.iter().cycle());
        let mut answers =
            stream::iter(calls).map(|(call, client)| answered(client, call)).buffer_unordered(clients.len());
        let mut all = Vec::new();
        while let Some(answered) = answers.next().await {
            all.push(answered?);
        }
        drop(answers);
        all.into_iter().for_each(|answered| self.note(answered));
        Ok(())
    }

    fn note(&mut self, answered: Answered) {
        self.counts.add(&answered.counts);
        self.position = self.position.max(answered.position);
        self.latencies.extend(answered.took);
    }

    /// The time within which so many in a hundred calls with a single answer were answered; zero when there was none.
    pub(crate) fn latency(&mut self, percent: usize) -> Duration {
        self.latencies.sort_unstable();
        let rank = (self.latencies.len() * percent).div_ceil(100);
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Makes a call and checks its answer.
async fn answered(client: &Client, call: Call) -> anyhow::Result<Answered> {
    let begun = Instant::now();
    let mut answered = match call {
        Call::Batch(records) => return batch(&client.office, records).await,
        Call::Register(entries) => return register(&client.supervisor, entries).await,
        Call::Submit(submission, answer) => {
            let id = submission.submission_id.clone();
            let request = v1::SubmitRequest { submission: Some(submission) };
            let said = client.office.submissions().submit(unary(request)).await.map(|r| r.into_inner().receipt);
            check(&id, answer, false, said)?
        }
        Call::Open(submission, answer) => {
            let id = submission.submission_id.clone();
            let request = v1::OpenCaseRequest { submission: Some(submission), identities: Vec::new() };
            let said = client.office.cases().open_case(unary(request)).await.map(|r| r.into_inner().receipt);
            check(&id, answer, false, said)?
        }
        Call::Advance(command, answer) => {
            let id = command.command_id.clone();
            let request = v1::AdvanceCaseRequest { command: Some(command) };
            let said = client.case_worker.cases().advance_case(unary(request)).await.map(|r| r.into_inner().receipt);
            check(&id, answer, true, said)?
        }
    };
    answered.took = Some(begun.elapsed());
    Ok(answered)
}

async fn register(client: &Connection, entries: Vec<v1::RegistryEntry>) -> anyhow::Result<Answered> {
    let sent = entries.len() as u64;
    let request = v1::RegisterRequest { entries, skip_bad: false };
    let response = client.registry().register(unary(request)).await?.into_inner();
    let refused = &response.refused;
    ensure!(refused.is_empty(), "registry entries were refused: {refused:?}");
    let summary = response.summary.unwrap_or_default();
    let news = u64::from(summary.created) + u64::from(summary.changed);
    ensure!(news == sent, "{sent} registry entries are news, the server took {news} for it");
    let counts = Counts { registered: news, ..Counts::default() };
    Ok(Answered { counts, position: summary.position, took: None })
}

async fn batch(client: &Connection, records: Vec<(v1::Submission, Answer)>) -> anyhow::Result<Answered> {
    let (submissions, wanted): (Vec<_>, Vec<_>) = records.into_iter().unzip();
    let ids: Vec<_> = submissions.iter().map(|s| s.submission_id.clone()).collect();
    let messages: Vec<_> =
        submissions.chunks(BATCH_RECORDS).map(|chunk| v1::SubmitBatchRequest { submissions: chunk.to_vec() }).collect();
    let mut responses = client.submissions().submit_batch(unary(stream::iter(messages))).await?.into_inner();
    let mut receipts = Vec::with_capacity(ids.len());
    while let Some(response) = responses.message().await? {
        receipts.extend(response.receipts);
    }
    ensure!(receipts.len() == ids.len(), "{} records were sent and {} receipts came back", ids.len(), receipts.len());
    let mut all = Answered::default();
    for ((id, answer), receipt) in ids.iter().zip(wanted).zip(receipts) {
        ensure!(receipt.submission_id == *id, "the receipt of {id} is one of {}", receipt.submission_id);
        let answered = check(id, answer, false, Ok(Some(receipt)))?;
        all.counts.add(&answered.counts);
        all.position = all.position.max(answered.position);
    }
    Ok(all)
}

/// Holds what the server says against what the script wants.
fn check(
    id: &str,
    wanted: Answer,
    is_step: bool,
    said: Result<Option<v1::Receipt>, Status>,
) -> anyhow::Result<Answered> {
    let said = match said {
        Ok(receipt) => Said::Receipt(receipt.with_context(|| format!("{id} got no receipt"))?),
        Err(status) if is_verdict(&status) => Said::Refusal(status),
        // Not about the record: the server cannot be reached, has too much to do, or failed.
        Err(status) => return Err(anyhow::Error::from(status).context(format!("{id} got no answer"))),
    };
    ensure!(agrees(wanted, &said), "{id}: the story wants {wanted:?}, the server said {said:?}");
    let mut answered = Answered::default();
    answered.counts.note(wanted, is_step);
    if let Said::Receipt(receipt) = said {
        answered.position = receipt.position;
    }
    Ok(answered)
}

fn is_verdict(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition | Code::Aborted)
}

fn agrees(wanted: Answer, said: &Said) -> bool {
    match (wanted, said) {
        (Answer::Accepted, Said::Receipt(r)) => r.status() == ReceiptStatus::Accepted && !r.held,
        (Answer::Held, Said::Receipt(r)) => r.status() == ReceiptStatus::Accepted && r.held,
        (Answer::AlreadyKnown, Said::Receipt(r)) => r.status() == ReceiptStatus::AlreadyKnown,
        (Answer::Conflict, Said::Receipt(r)) => r.status() == ReceiptStatus::Conflict,
        (Answer::Rejected(field), Said::Receipt(r)) => {
            r.status() == ReceiptStatus::Rejected && r.violations.iter().any(|v| v.field == field)
        }
        (Answer::Rejected(field), Said::Refusal(status)) => status
            .get_details_bad_request()
            .is_some_and(|refused| refused.field_violations.iter().any(|v| v.field == field)),
        (Answer::Refused(reason), Said::Refusal(status)) => {
            status.get_details_error_info().is_some_and(|info| info.reason == reason)
        }
        (Answer::Refused(_), Said::Receipt(_)) | (_, Said::Refusal(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn receipt(status: ReceiptStatus) -> Result<Option<v1::Receipt>, Status> {
        Ok(Some(v1::Receipt { status: status.into(), position: 7, ..v1::Receipt::default() }))
    }

    #[test]
    fn a_refusal_that_was_meant_to_come_and_did_not_ends_the_demo() {
        let error =
            check("an id", Answer::Rejected("occurred_at"), false, receipt(ReceiptStatus::Accepted)).unwrap_err();
        assert!(error.to_string().contains("an id: the story wants Rejected(\"occurred_at\")"), "{error}");
    }

    #[test]
    fn a_refusal_counts_only_for_the_field_that_is_wrong() {
        let refused = |field: &str| {
            let details = ErrorDetails::with_bad_request_violation(field, "is not 0 to 10000");
            Err(Status::with_error_details(Code::InvalidArgument, "refused", details))
        };
        assert_eq!(check("an id", Answer::Rejected("count"), false, refused("count")).unwrap().counts.rejected, 1);
        assert!(check("an id", Answer::Rejected("count"), false, refused("other")).is_err());
        assert!(check("an id", Answer::Accepted, false, refused("count")).is_err());
    }

    #[test]
    fn a_server_that_fails_is_no_answer_to_a_record() {
        let error = check("an id", Answer::Rejected("count"), false, Err(Status::unavailable("gone"))).unwrap_err();
        assert!(error.chain().any(|cause| cause.is::<Status>()), "{error:#}");
    }

    #[test]
    fn an_accepted_step_counts_as_a_step_and_moves_the_position() {
        let answered = check("an id", Answer::Accepted, true, receipt(ReceiptStatus::Accepted)).unwrap();
        assert_eq!((answered.counts.steps, answered.counts.accepted, answered.position), (1, 0, 7));
    }
}
