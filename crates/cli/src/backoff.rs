//! Waiting before a connection is tried again: longer each time, as long as the server asks for, and not for ever.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::failure;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// How long a broken connection is tried again.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Patience {
    /// Give up when the server has been out of reach for so many seconds
    #[arg(long = "give-up-after", value_name = "SECONDS", default_value_t = 600)]
    give_up_after_s: u64,
}

/// The waits between tries.
#[derive(Debug)]
pub(crate) struct Backoff {
    patience: Duration,
    next: Duration,
    failing_since: Option<Instant>,
}

impl Backoff {
    /// Nothing has failed yet.
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience: Duration::from_secs(patience.give_up_after_s), next: FIRST, failing_since: None }
    }

    /// It works: the next failure is the first one again.
    pub(crate) fn succeeded(&mut self) {
        (self.next, self.failing_since) = (FIRST, None);
    }

    /// Says on standard error what failed, and waits.
    ///
    /// # Errors
    /// `status` itself when trying again cannot help, or patience is at its end.
    pub(crate) async fn wait(&mut self, status: Status) -> Result<(), Status> {
        if !failure::may_pass(&status) {
            return Err(status);
        }
        let now = Instant::now();
        let since = *self.failing_since.get_or_insert(now);
        let asked = status.get_details_retry_info().and_then(|retry| retry.retry_delay).unwrap_or_default();
        let delay = self.next.max(asked);
        if (now + delay).duration_since(since) > self.patience {
            return Err(status);
        }
        eprintln!("satgas: {}; trying again in {:.1} s", failure::brief(&status), delay.as_secs_f64());
        tokio::time::sleep(delay).await;
        self.next = (self.next * 2).min(LONGEST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_pass_is_not_waited_for() {
        let mut backoff = Backoff::new(Patience { give_up_after_s: 600 });
        assert!(backoff.wait(Status::invalid_argument("no")).await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_asks_for_more_than_the_patience_is_not_asked_again() {
        let details = tonic_types::ErrorDetails::with_retry_info(Some(Duration::from_secs(3_000)));
        let status = Status::with_error_details(tonic::Code::ResourceExhausted, "later", details);
        let mut backoff = Backoff::new(Patience { give_up_after_s: 600 });
        assert_eq!(backoff.wait(status).await.unwrap_err().message(), "later");
    }

    #[tokio::test]
    async fn patience_that_is_shorter_than_the_wait_gives_up_at_once() {
        let mut backoff = Backoff::new(Patience { give_up_after_s: 0 });
        assert_eq!(backoff.wait(Status::unavailable("gone")).await.unwrap_err().message(), "gone");
    }
}
