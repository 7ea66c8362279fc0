//! Clients that do their work whatever becomes of the server: what is not answered is sent again, under the same id and with the same bytes.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::{Context as _, Result};
use prost::Message as _;
use satgas_proto::v1::{
    AdvanceCaseRequest, CaseCommand, IdentityToSeal, OpenCaseRequest, ReceiptStatus, Submission, SubmitBatchRequest,
    SubmitRequest, case_service_client::CaseServiceClient, submission_service_client::SubmissionServiceClient,
};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    door::Door,
    history::{FactId, History},
    route::{Route, SILENCE_MAX},
    work::{Act, Turn},
};

/// The history that all clients of a run write, and how many facts were acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    history: Arc<Mutex<History>>,
    acknowledgements: Arc<watch::Sender<u64>>,
    /// Why the server took nothing, by the reasons that it gave, and how often. No reason: the answer did not come from it.
    reasons: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { history: Arc::default(), acknowledgements: Arc::new(watch::Sender::new(0)), reasons: Arc::default() }
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("nobody panics with the history in hand")
    }

    fn write<T>(&self, note: impl FnOnce(&mut History) -> T) -> T {
        let mut history = self.history();
        let noted = note(&mut history);
        let count = history.acknowledgements();
        drop(history);
        self.acknowledgements.send_if_modified(|known| std::mem::replace(known, count) != count);
        noted
    }

    /// Follows how many facts were acknowledged.
    pub(crate) fn acknowledgements(&self) -> watch::Receiver<u64> {
        self.acknowledgements.subscribe()
    }

    /// Why nothing was taken, by the server's own reasons, and how often; without a reason the connection broke.
    pub(crate) fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.lock().expect("nobody panics while counting").clone()
    }

    fn not_taken(&self, status: &Status) {
        let details = status.get_error_details();
        let reason = details.error_info().map_or_else(String::new, |info| info.reason.clone());
        *self.reasons.lock().expect("nobody panics while counting").entry(reason).or_default() += 1;
    }
}

/// What became of one try.
enum Tried<T> {
    Answered(T),
    /// It may have been done or not.
    Unknown(Status),
    /// It was not done and never will be.
    Refused(Status),
}

/// Does all the turns, one after the other.
pub(crate) async fn work(ledger: Ledger, mut route: Route, turns: Vec<Turn>) -> Result<()> {
    let mut client = Client { door: route.door().await?, route, ledger, gives_up: false };
    for turn in turns {
        client.gives_up = turn.gives_up;
        match turn.act {
            Act::Submit(submission, again) => client.submit(&submission, again).await?,
            Act::Batch(messages) => client.batch(messages).await?,
            Act::Case(report, identities, steps) => client.case(report, identities, steps).await?,
        }
    }
    Ok(())
}

struct Client {
    ledger: Ledger,
    route: Route,
    door: Door,
    gives_up: bool,
}

impl Client {
    /// Calls until there is an answer; none when this turn is given up.
    async fn until_answered<T, Answer>(&mut self, call: impl Fn(Door) -> Answer) -> Result<Option<T>, Status>
    where
        Answer: Future<Output = Result<T, Status>>,
    {
        loop {
            match tried(call(self.door.clone())).await {
                Tried::Answered(answer) => return Ok(Some(answer)),
                Tried::Refused(status) => return Err(status),
                Tried::Unknown(status) => {
                    self.ledger.not_taken(&status);
                    if self.gives_up {
                        return Ok(None);
                    }
                    self.connect_again().await?;
                }
            }
        }
    }

    async fn connect_again(&mut self) -> Result<(), Status> {
        self.route.wait().await;
        self.door = self.route.door().await.map_err(|error| Status::internal(error.to_string()))?;
        Ok(())
    }

    async fn submit(&mut self, submission: &Submission, again: usize) -> Result<()> {
        for _ in 0..=again {
            let fact = self.sent(submission);
            let request = SubmitRequest { submission: Some(submission.clone()) };
            let answer = self
                .until_answered(|door| {
                    let request = request.clone();
                    async move { SubmissionServiceClient::new(door).submit(request).await }
                })
                .await?;
            let Some(answer) = answer else { return Ok(()) };
            let receipt = answer.into_inner().receipt.context("an answer without a receipt")?;
            self.ledger.write(|history| history.receipt(fact, &receipt));
        }
        Ok(())
    }

    fn sent(&self, submission: &Submission) -> FactId {
        self.ledger.write(|history| history.sent(&submission.submission_id, submission.encode_to_vec()))
    }

    /// Sends a stream of messages; what has no receipt when it breaks is sent again on a new one.
    async fn batch(&mut self, mut messages: Vec<Vec<Submission>>) -> Result<()> {
        while !messages.is_empty() {
            match self.stream(&mut messages).await {
                Ok(()) => {}
                Err(status) if is_final(&status) => return Err(status.into()),
                Err(status) => {
                    self.ledger.not_taken(&status);
                    if self.gives_up {
                        return Ok(());
                    }
                    self.connect_again().await?;
                }
            }
        }
        Ok(())
    }

    /// Takes each message away as it is answered.
    async fn stream(&mut self, messages: &mut Vec<Vec<Submission>>) -> Result<(), Status> {
        let (send, receive) = tokio::sync::mpsc::channel(messages.len());
        let mut sent = Vec::new();
        for message in messages.iter() {
            sent.push(message.iter().map(|submission| self.sent(submission)).collect::<Vec<_>>());
            // There is room for all of them, and the receiver is in this very function.
            let _ = send.try_send(SubmitBatchRequest { submissions: message.clone() });
        }
        drop(send);
        let mut client = SubmissionServiceClient::new(self.door.clone());
        let answers = within(client.submit_batch(ReceiverStream::new(receive))).await?;
        let mut answers = answers.into_inner();
        let (mut facts, mut last) = (sent.into_iter(), 0);
        while let Some(answer) = within(answers.message()).await? {
            let facts = facts.next().unwrap_or_default();
            if facts.len() != answer.receipts.len() {
                let (sent, told) = (facts.len(), answer.receipts.len());
                self.ledger.write(|history| history.wrong(format!("{told} receipts for a message of {sent}")));
            }
            self.ledger.write(|history| {
                facts.iter().zip(&answer.receipts).for_each(|(fact, receipt)| history.receipt(*fact, receipt));
                // What is new comes to stand in the order in which it was sent.
                for receipt in answer.receipts.iter().filter(|r| r.status() == ReceiptStatus::Accepted) {
                    if receipt.position <= last {
                        history.wrong(format!(
                            "{} stands at {} behind {last} in a batch",
                            receipt.submission_id, receipt.position
                        ));
                    }
                    last = receipt.position;
                }
            });
            messages.remove(0);
        }
        if messages.is_empty() { Ok(()) } else { Err(Status::unavailable("the stream ended early")) }
    }

    async fn case(
        &mut self,
        report: Submission,
        identities: Vec<IdentityToSeal>,
        steps: Vec<(CaseCommand, u64)>,
    ) -> Result<()> {
        let fact = self.sent(&report);
        let seals: Vec<_> = identities
            .iter()
            .map(|identity| self.ledger.write(|history| history.sent(&identity.command_id, Vec::new())))
            .collect();
        let request = OpenCaseRequest { submission: Some(report), identities };
        let answer = self
            .until_answered(|door| {
                let request = request.clone();
                async move { CaseServiceClient::new(door).open_case(request).await }
            })
            .await?;
        let Some(answer) = answer else { return Ok(()) };
        let answer = answer.into_inner();
        let receipt = answer.receipt.context("an answer without a receipt")?;
        self.ledger.write(|history| {
            history.receipt(fact, &receipt);
            seals.into_iter().for_each(|seal| history.sealed(seal));
        });
        let mut version = answer.case.context("an opened case without the case")?.version;
        for (command, fewer) in steps {
            let command = CaseCommand { expected_version: version.saturating_sub(fewer), ..command };
            match self.step(command, fewer > 0).await? {
                Some(reached) => version = reached,
                None if fewer > 0 => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The case's version after the step; none when it was refused or given up.
    async fn step(&mut self, command: CaseCommand, refused: bool) -> Result<Option<u64>> {
        let fact = self.ledger.write(|history| history.sent(&command.command_id, command.encode_to_vec()));
        let request = AdvanceCaseRequest { command: Some(command) };
        let answer = self
            .until_answered(|door| {
                let request = request.clone();
                async move { CaseServiceClient::new(door).advance_case(request).await }
            })
            .await;
        match answer {
            Err(status) if refused && [Code::Aborted, Code::InvalidArgument].contains(&status.code()) => {
                self.ledger.write(|history| history.refused(fact));
                Ok(None)
            }
            Err(status) => Err(status.into()),
            Ok(None) => Ok(None),
            Ok(Some(answer)) => {
                let answer = answer.into_inner();
                let receipt = answer.receipt.context("an answer without a receipt")?;
                self.ledger.write(|history| history.receipt(fact, &receipt));
                Ok(Some(answer.case.context("a step without the case")?.version))
            }
        }
    }
}

/// An answer that does not come is none.
pub(crate) async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let silence = |_| Status::deadline_exceeded("no answer came");
    tokio::time::timeout(SILENCE_MAX, answer).await.map_err(silence)?
}

async fn tried<T>(answer: impl Future<Output = Result<T, Status>>) -> Tried<T> {
    match within(answer).await {
        Ok(answer) => Tried::Answered(answer),
        Err(status) if is_final(&status) => Tried::Refused(status),
        Err(status) => Tried::Unknown(status),
    }
}

/// Whether the server has looked at the call and refused it. Anything else may come from a connection that broke, and does not tell what was done.
pub(crate) fn is_final(status: &Status) -> bool {
    use Code::{
        Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated,
        Unimplemented,
    };
    let refused = [
        Aborted,
        AlreadyExists,
        FailedPrecondition,
        InvalidArgument,
        NotFound,
        PermissionDenied,
        Unauthenticated,
        Unimplemented,
    ];
    refused.contains(&status.code())
}
