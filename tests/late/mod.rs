//! Records that a phone hands in after its token has ended: they count nowhere, admitted ones count like any other, and the past stays as it
//! was.

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{
    self, QuarantineVerdict, ReceiptStatus, as_of::At, submission_service_client::SubmissionServiceClient,
};
use tonic::Code;

use crate::door::Door;
use crate::{
    check_answers, check_answers_of, few, head,
    reference::{history::uuid, time::instant},
    submission_of,
    support::{self, Phone, Running, answers::Moment},
};

/// Records of each history that come late.
const LATE: usize = 6;

/// Ends the phone's token, hands in what it still has, and decides on it, comparing answers with the reference on the way.
pub(crate) async fn check(
    running: &Running,
    phone: &Phone,
    channel: &Door,
    periods: &[String],
    now: Timestamp,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<()> {
    running.revoke(phone).await?;
    let before = support::read_all(channel, 1_000).await?;
    let kept = hand_in(phone, &before, now, rng).await?;
    let events = support::read_all(channel, 1_000).await?;
    ensure!(events.len() == before.len() + kept.len(), "each of {} is an event", kept.len());
    check_answers(channel, &events, &few(periods, rng), now).await?;
    for (position, submission) in &kept {
        let verdict = if rng.random_bool(0.7) { QuarantineVerdict::Admit } else { QuarantineVerdict::Refuse };
        decide(channel, *position, verdict, now, rng).await?;
        let events = support::read_all(channel, 1_000).await?;
        let again = submit(phone, submission).await?.context("it was taken before")?;
        let expected = match verdict {
            QuarantineVerdict::Admit => (ReceiptStatus::AlreadyKnown, head(&events)),
            _ => (ReceiptStatus::QuarantineRefused, *position),
        };
        ensure!((again.status(), again.position) == expected, "{verdict:?}: {again:?}");
        check_answers(channel, &events, &few(periods, rng), now).await?;
    }
    let as_of = Some(v1::AsOf { at: Some(At::Position(head(&before))) });
    let then = instant(before.last().context("a log has its first event")?.recorded_at.as_ref());
    check_answers_of(channel, &before, &few(periods, rng), then, &Moment { min_position: 0, as_of }).await
}

/// Hands in records like those of the log under new ids, or other content under a known id: where each was kept.
async fn hand_in(
    phone: &Phone,
    events: &[v1::Event],
    now: Timestamp,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<Vec<(u64, v1::Submission)>> {
    let known: Vec<&v1::Submission> = events.iter().filter_map(submission_of).map(|(_, s)| s).collect();
    let mut kept = Vec::new();
    for _ in 0..LATE {
        let Some(like) = known.choose(rng) else { break };
        let submission_id = if rng.random_bool(0.7) { uuid(rng, now) } else { like.submission_id.clone() };
        let device_id = format!("hp-lama-{}", rng.random::<u32>());
        let late = v1::Submission { submission_id, device_id, ..(*like).clone() };
        // What happened before the token was issued, or is not of its registry any more, stays on the phone.
        if let Some(receipt) = submit(phone, &late).await? {
            ensure!(receipt.status() == ReceiptStatus::Quarantined, "{receipt:?}");
            kept.push((receipt.position, late));
        }
    }
    Ok(kept)
}

async fn submit(phone: &Phone, submission: &v1::Submission) -> anyhow::Result<Option<v1::Receipt>> {
    let request = v1::SubmitRequest { submission: Some(submission.clone()) };
    match SubmissionServiceClient::new(phone.door.clone()).submit(request).await {
        Ok(response) => response.into_inner().receipt.context("an answer without a receipt").map(Some),
        Err(status) if status.code() == Code::InvalidArgument => Ok(None),
        Err(status) => Err(status.into()),
    }
}

async fn decide(
    channel: &Door,
    quarantined_position: u64,
    verdict: QuarantineVerdict,
    now: Timestamp,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<()> {
    let (command_id, reason) = (uuid(rng, now), "Keputusan contoh".to_owned());
    let decision = v1::QuarantineDecision { command_id, quarantined_position, verdict: verdict.into(), reason };
    let request = v1::DecideQuarantinedRequest { decision: Some(decision) };
    let mut client = SubmissionServiceClient::new(channel.clone());
    for expected in [ReceiptStatus::Accepted, ReceiptStatus::AlreadyKnown] {
        let receipt = client.decide_quarantined(request.clone()).await?.into_inner().receipt.unwrap_or_default();
        ensure!(receipt.status() == expected, "{receipt:?}");
    }
    Ok(())
}
