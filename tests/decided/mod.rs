//! Decisions on the conflicts that a history has left open: what each changes, what was known before it, and which are refused.

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use satgas_proto::v1::{self, ConflictDecision, ReceiptStatus, as_of::At};
use tonic::Code;

use crate::door::Door;
use crate::{
    check_answers, check_answers_of, few, head,
    reference::{history::uuid, time::instant},
    support::{
        self,
        answers::{self, Moment},
    },
};

/// Conflicts of each history that are decided after it.
const DECIDED: usize = 4;

/// Decides some conflicts while nobody else writes, and compares every answer after each decision with the reference, and after
/// the last one every answer as of the position before the first.
pub(crate) async fn check(
    channel: &Door,
    periods: &[String],
    now: Timestamp,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<()> {
    let before = support::read_all(channel, 1_000).await?;
    for _ in 0..DECIDED {
        let open = answers::conflicts(channel, &Moment::default()).await?;
        let Some(conflict) = open.choose(rng) else { break };
        let resolution = resolution(conflict, now, rng);
        let receipt = answers::decision(channel, resolution.clone()).await?;
        let events = support::read_all(channel, 1_000).await?;
        let accepted = receipt.status() == ReceiptStatus::Accepted && receipt.position == head(&events);
        ensure!(accepted, "{resolution:?} got the receipt {receipt:?}, and the log ends at {}", head(&events));
        let again = answers::decision(channel, resolution.clone()).await?;
        let known = again.status() == ReceiptStatus::AlreadyKnown && again.position == receipt.position;
        ensure!(known, "the same command again got the receipt {again:?}");
        let other = v1::ConflictResolution { command_id: uuid(rng, now), ..resolution };
        check_refused(channel, other).await?;
        check_answers(channel, &events, &few(periods, rng), now).await?;
    }
    check_wrong(channel, now, rng).await?;
    let as_of = Some(v1::AsOf { at: Some(At::Position(head(&before))) });
    let then = instant(before.last().context("a log has its first event")?.recorded_at.as_ref());
    check_answers_of(channel, &before, &few(periods, rng), then, &Moment { min_position: 0, as_of }).await
}

/// A decision on a conflict that may be made.
fn resolution(conflict: &v1::Conflict, now: Timestamp, rng: &mut ChaCha8Rng) -> v1::ConflictResolution {
    let take = conflict.can_be_taken && rng.random_bool(0.8);
    v1::ConflictResolution {
        command_id: uuid(rng, now),
        conflict_position: conflict.position,
        decision: if take { ConflictDecision::Take } else { ConflictDecision::Keep }.into(),
        reason: "Keputusan contoh".to_owned(),
    }
}

/// Decisions that nobody may make, each wrong in one way.
async fn check_wrong(channel: &Door, now: Timestamp, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let open = answers::conflicts(channel, &Moment::default()).await?;
    let Some(conflict) = open.first() else { return Ok(()) };
    let good = v1::ConflictResolution { decision: ConflictDecision::Keep.into(), ..resolution(conflict, now, rng) };
    let mut wrong = vec![
        v1::ConflictResolution { conflict_position: 1, ..good.clone() },
        v1::ConflictResolution { conflict_position: u64::MAX, ..good.clone() },
        v1::ConflictResolution { decision: ConflictDecision::Unspecified.into(), ..good.clone() },
        v1::ConflictResolution { reason: String::new(), ..good.clone() },
        v1::ConflictResolution { reason: "x".repeat(1_001), ..good.clone() },
        v1::ConflictResolution { command_id: "bukan-uuid".to_owned(), ..good.clone() },
    ];
    if let Some(conflict) = open.iter().find(|conflict| !conflict.can_be_taken) {
        let decision = ConflictDecision::Take.into();
        wrong.push(v1::ConflictResolution { conflict_position: conflict.position, decision, ..good });
    }
    for resolution in wrong {
        check_refused(channel, resolution).await?;
    }
    Ok(())
}

/// A decision is refused in a way that tells the client not to try it again, and nothing is recorded.
async fn check_refused(channel: &Door, resolution: v1::ConflictResolution) -> anyhow::Result<()> {
    let before = head(&support::read_all(channel, 1_000).await?);
    let what = format!("{resolution:?}");
    match answers::decision(channel, resolution).await {
        Ok(receipt) => bail!("{what} got the receipt {receipt:?}"),
        Err(status) => {
            let code = status.code();
            let said = matches!(code, Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound);
            ensure!(said, "{what}: {status:?}");
        }
    }
    let after = head(&support::read_all(channel, 1_000).await?);
    ensure!(before == after, "{what} was refused, and {} events were recorded", after - before);
    Ok(())
}
