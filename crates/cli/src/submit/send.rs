//! Sends records in chunks over one stream and waits for a receipt for each.
//!
//! Invariant: a record leaves the window only with its receipt. When the connection breaks, whatever has none is sent again on the
//! next one; the server knows a record by its id, so nothing is recorded twice.

use std::collections::VecDeque;

use anyhow::bail;
use indicatif::ProgressBar;
use prost::Message as _;
use satgas_proto::v1::{Receipt, ReceiptStatus, Submission, SubmitBatchRequest, SubmitBatchResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{
    form::ExportRow,
    lines::{Line, Lines, original},
    rejected::{Original, Reason, Refused, Rejections},
    summary::Tally,
};
use crate::{backoff::Backoff, connect::Connection};

/// Records a message: small ones cost a bad network the least.
const CHUNK_RECORDS: usize = 64;
/// Bytes a message, far below what a server takes.
const CHUNK_BYTES: usize = 1 << 20;
/// Records that may wait for their receipt.
const WINDOW_RECORDS: usize = 1_024;
/// Bytes that may wait for their receipt.
const WINDOW_BYTES: usize = 8 << 20;

/// A file on its way.
pub(super) struct Sending<'a> {
    server: &'a Connection,
    lines: Lines,
    all_read: bool,
    window: VecDeque<Pending>,
    window_bytes: usize,
    tally: &'a mut Tally,
    rejections: &'a mut Rejections,
    bar: &'a ProgressBar,
}

/// A record without a receipt.
struct Pending {
    line: u64,
    end_offset: u64,
    bytes: usize,
    submission: Submission,
    row: Option<ExportRow>,
}

impl<'a> Sending<'a> {
    /// Nothing sent yet.
    pub(super) fn new(
        server: &'a Connection,
        lines: Lines,
        tally: &'a mut Tally,
        rejections: &'a mut Rejections,
        bar: &'a ProgressBar,
    ) -> Self {
        let window = VecDeque::with_capacity(WINDOW_RECORDS);
        Self { server, lines, all_read: false, window, window_bytes: 0, tally, rejections, bar }
    }

    /// Sends until every record has its receipt.
    ///
    /// # Errors
    /// When the file cannot be read on, the server refuses the stream itself, or patience is at its end.
    pub(super) async fn run(mut self, mut backoff: Backoff) -> anyhow::Result<()> {
        while !self.finished() {
            if let Err(error) = self.session(&mut backoff).await {
                backoff.wait(error.downcast::<Status>()?).await?;
            }
        }
        Ok(())
    }

    /// Sends and receives over one stream until all is done or the stream breaks.
    async fn session(&mut self, backoff: &mut Backoff) -> anyhow::Result<()> {
        let (requests, outbox) = mpsc::channel(1);
        let mut requests = Some(requests);
        let mut client = self.server.submissions();
        let call = client.submit_batch(ReceiverStream::new(outbox));
        tokio::pin!(call);
        let mut answers = None;
        // How many records of the window, from its front, went out on this stream.
        let mut sent = 0;
        let mut broken = false;
        let mut read = Vec::with_capacity(CHUNK_RECORDS);
        while !self.finished() {
            if broken || self.all_read && sent == self.window.len() {
                // The end of the requests lets the server finish its answers.
                requests = None;
            }
            tokio::select! {
                count = self.lines.recv_many(&mut read, CHUNK_RECORDS), if !self.all_read && self.has_room() => {
                    self.all_read = count == 0;
                    for line in read.drain(..) {
                        self.take_in(line?)?;
                    }
                }
                permit = room(requests.as_ref()), if requests.is_some() && sent < self.window.len() => match permit {
                    Some(permit) => {
                        let submissions = self.chunk(sent);
                        sent += submissions.len();
                        permit.send(SubmitBatchRequest { submissions });
                    }
                    // The stream is broken; why comes with the answers.
                    None => broken = true,
                },
                opened = &mut call, if answers.is_none() => answers = Some(opened?.into_inner()),
                answer = next(answers.as_mut()), if answers.is_some() => {
                    let Some(SubmitBatchResponse { receipts }) = answer? else {
                        return Err(Status::unavailable("the server ended the stream before the last receipt").into());
                    };
                    for receipt in receipts {
                        if sent == 0 {
                            bail!("the server sent a receipt for a record that was not sent");
                        }
                        self.settle(receipt)?;
                        sent -= 1;
                    }
                    self.bar.set_message(self.tally.brief());
                    backoff.succeeded();
                }
            }
        }
        Ok(())
    }

    fn finished(&self) -> bool {
        self.all_read && self.window.is_empty()
    }

    fn has_room(&self) -> bool {
        self.window.len() < WINDOW_RECORDS && self.window_bytes < WINDOW_BYTES
    }

    fn take_in(&mut self, line: Line) -> anyhow::Result<()> {
        match line.record {
            Ok(submission) => {
                let Line { number: line, end_offset, row, .. } = line;
                let bytes = submission.encoded_len() + row.as_ref().map_or(0, ExportRow::bytes);
                self.window_bytes += bytes;
                self.window.push_back(Pending { line, end_offset, bytes, submission, row });
            }
            // There is no row to mend: it is told, and stays in its own file.
            Err(Refused { original: Original::Orphan, reasons, .. }) => self.tally.orphan(&reasons),
            Err(refused) => {
                self.tally.rejected += 1;
                self.rejections.write(&refused)?;
            }
        }
        Ok(())
    }

    /// The next records to send, at least one, after the first `sent`.
    fn chunk(&self, sent: usize) -> Vec<Submission> {
        let mut bytes = 0;
        let fits = |pending: &&Pending| {
            let first = bytes == 0;
            bytes += pending.bytes.max(1);
            first || bytes <= CHUNK_BYTES
        };
        let unsent = self.window.iter().skip(sent).take(CHUNK_RECORDS);
        unsent.take_while(fits).map(|pending| pending.submission.clone()).collect()
    }

    /// Takes the oldest record out of the window with its receipt.
    fn settle(&mut self, receipt: Receipt) -> anyhow::Result<()> {
        let pending = self.window.pop_front().expect("as many records were sent as stand at the front of the window");
        if receipt.submission_id != pending.submission.submission_id {
            bail!("the server's receipts are out of order at line {}", pending.line);
        }
        self.window_bytes -= pending.bytes;
        self.tally.count(pending.line, &receipt);
        if receipt.status() == ReceiptStatus::Rejected {
            let reasons: Vec<Reason> = receipt.violations.into_iter().map(Reason::from).collect();
            let original = pending.row.map_or_else(|| original(&pending.submission), Original::Export);
            self.rejections.write(&Refused { line: pending.line, reasons, original })?;
        }
        self.bar.set_position(pending.end_offset);
        Ok(())
    }
}

/// Room for one more message; `None` when the stream is broken.
async fn room(requests: Option<&mpsc::Sender<SubmitBatchRequest>>) -> Option<mpsc::Permit<'_, SubmitBatchRequest>> {
    requests?.reserve().await.ok()
}

/// The next message, once the stream is open.
async fn next<M>(stream: Option<&mut Streaming<M>>) -> Result<Option<M>, Status> {
    match stream {
        Some(stream) => stream.message().await,
        None => std::future::pending().await,
    }
}
