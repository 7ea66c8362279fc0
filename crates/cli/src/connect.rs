//! The way to the server: one channel, the clients over it, and what every command must know of the log behind it.
//!
//! Invariant: the public services are all that a command uses; nothing here knows more than any other client could.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use satgas_proto::v1::{
    self, case_service_client::CaseServiceClient, erasure_service_client::ErasureServiceClient,
    evaluation_service_client::EvaluationServiceClient, event, event_service_client::EventServiceClient,
    registry_service_client::RegistryServiceClient, rule_service_client::RuleServiceClient,
    statistics_service_client::StatisticsServiceClient, submission_service_client::SubmissionServiceClient,
    warning_service_client::WarningServiceClient,
};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

/// The largest answer taken. A page of events holds at most 10,000 records, most of them far below a kilobyte.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const CALL_DEADLINE: Duration = Duration::from_secs(60);

/// A channel to the server. It connects with the first call, and again by itself after it was cut.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    channel: Channel,
}

macro_rules! clients {
    ($($name:ident: $client:ident),* $(,)?) => {$(
        /// A client of the service.
        pub(crate) fn $name(&self) -> $client<Channel> {
            $client::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
        }
    )*};
}

impl Connection {
    /// Prepares a channel to `url`; nothing is sent yet.
    ///
    /// # Errors
    /// When `url` is none that can be connected to.
    pub(crate) fn to(url: &str) -> anyhow::Result<Self> {
        if !url.starts_with("http://") {
            bail!("the server's URL `{url}` must begin with http://, such as http://127.0.0.1:5371");
        }
        let endpoint = Endpoint::from_shared(url.to_owned()).with_context(|| format!("`{url}` is no URL"))?;
        let channel = endpoint
            .connect_timeout(CONNECT_DEADLINE)
            // Without this a client that only listens would not notice that the server's machine is gone.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .connect_lazy();
        Ok(Self { channel })
    }

    clients! {
        cases: CaseServiceClient,
        erasures: ErasureServiceClient,
        evaluations: EvaluationServiceClient,
        events: EventServiceClient,
        registry: RegistryServiceClient,
        rules: RuleServiceClient,
        statistics: StatisticsServiceClient,
        submissions: SubmissionServiceClient,
        warnings: WarningServiceClient,
    }

    /// Reads how the log was opened, and where it ends.
    ///
    /// # Errors
    /// When the call fails, or the log does not begin as every log does.
    pub(crate) async fn log(&self) -> anyhow::Result<Log> {
        let request = v1::ReadRequest { after_position: 0, filter: None, page_size: 1 };
        let page = self.events().read(unary(request)).await?.into_inner();
        let Some(event::Body::LogOpened(opened)) = page.events.into_iter().next().and_then(|event| event.body) else {
            bail!("the server's log does not begin with its opening");
        };
        let zone = TimeZone::get(&opened.time_zone)
            .with_context(|| format!("the log counts days in `{}`, which is not known here", opened.time_zone))?;
        Ok(Log { sample_data: opened.sample_data, zone, head_position: page.head_position })
    }
}

/// What every command must know of the log that it asks.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Whether all of it is invented.
    pub(crate) sample_data: bool,
    /// The time zone in which it counts days.
    pub(crate) zone: TimeZone,
    /// Its last position.
    pub(crate) head_position: u64,
}

/// A request that is answered once, within a deadline.
pub(crate) fn unary<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_DEADLINE);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_its_scheme_is_refused_with_an_example() {
        let error = Connection::to("127.0.0.1:5371").unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:5371"), "{error}");
    }
}
