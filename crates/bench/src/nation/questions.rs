//! Questions to a server that holds a country, each asked again and again: their latencies.
//!
//! Invariant: an answer that is not of what was asked for fails the run. Each question is asked so often, or for [`TIME_MAX`].

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use satgas_proto::v1::{
    AsOf, ExplainIndicatorRequest, GetEvaluationRequest, IndicatorKind, ListEvaluationsRequest,
    evaluation_service_client::EvaluationServiceClient, explain_indicator_request, get_evaluation_request,
};

use crate::door::Door;
use crate::load::{latencies, micros};

/// A question that takes long is asked less often.
const TIME_MAX: Duration = Duration::from_secs(20);
/// The largest answer taken: a thousand evaluations have about a megabyte.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Asks, one question after the other.
pub(crate) struct Asker {
    client: EvaluationServiceClient<Door>,
}

impl Asker {
    /// Over one connection.
    pub(crate) fn new(channel: Door) -> Self {
        Self { client: EvaluationServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX) }
    }

    /// The evaluation of one area after the other. The latencies.
    pub(crate) async fn evaluations(
        &mut self,
        codes: impl Iterator<Item = &String>,
        period: &str,
        as_of: Option<AsOf>,
    ) -> Result<Histogram<u64>> {
        let mut latencies = latencies();
        let started = Instant::now();
        for code in codes {
            if started.elapsed() > TIME_MAX {
                break;
            }
            latencies.saturating_record(micros(self.evaluation(code, period, as_of).await?.0));
        }
        Ok(latencies)
    }

    /// One evaluation: how long it took, and the position that it is made of.
    pub(crate) async fn evaluation(
        &mut self,
        code: &str,
        period: &str,
        as_of: Option<AsOf>,
    ) -> Result<(Duration, u64)> {
        let subject = get_evaluation_request::Subject::AreaCode(code.to_owned());
        let request =
            GetEvaluationRequest { subject: Some(subject), period: period.to_owned(), as_of, ..Default::default() };
        let called = Instant::now();
        let evaluation = self.client.get_evaluation(request).await?.into_inner().evaluation;
        let took = called.elapsed();
        let evaluation = evaluation.context("an answer without an evaluation")?;
        ensure!(format!("{:?}", evaluation.subject).contains(code), "an answer of another area than {code}");
        Ok((took, evaluation.basis.unwrap_or_default().position))
    }

    /// A list of a known length, so often.
    pub(crate) async fn lists(
        &mut self,
        times: usize,
        request: &ListEvaluationsRequest,
        length: usize,
    ) -> Result<Histogram<u64>> {
        let mut latencies = latencies();
        let started = Instant::now();
        for _ in 0..times {
            if started.elapsed() > TIME_MAX {
                break;
            }
            let called = Instant::now();
            let listed = self.client.list_evaluations(request.clone()).await?.into_inner().evaluations.len();
            latencies.saturating_record(micros(called.elapsed()));
            ensure!(listed == length, "{listed} evaluations instead of {length}");
        }
        Ok(latencies)
    }

    /// What the follow-up discipline of one area after the other was counted from. The latencies.
    pub(crate) async fn explanations(
        &mut self,
        codes: impl Iterator<Item = &String>,
        period: &str,
    ) -> Result<Histogram<u64>> {
        let mut latencies = latencies();
        let started = Instant::now();
        for code in codes {
            if started.elapsed() > TIME_MAX {
                break;
            }
            let request = ExplainIndicatorRequest {
                subject: Some(explain_indicator_request::Subject::AreaCode(code.clone())),
                period: period.to_owned(),
                indicator: IndicatorKind::FollowUpDiscipline.into(),
                ..Default::default()
            };
            let called = Instant::now();
            let explained = self.client.explain_indicator(request).await?.into_inner();
            latencies.saturating_record(micros(called.elapsed()));
            let denominator = explained.indicator.unwrap_or_default().denominator;
            ensure!(denominator == explained.items.len() as u64, "an explanation that does not add up");
        }
        Ok(latencies)
    }
}
