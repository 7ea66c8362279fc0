//! What the year came to, asked from the server as any client would, and held against what was sent.

use anyhow::{Context as _, ensure};
use satgas_proto::v1::{self, AreaLevel};

use super::{kupang::KELURAHAN, script::Counts, year::PERIOD};
use crate::connect::{Connection, unary};

/// Items asked for at once.
const PAGE: u32 = 1_000;

/// The city after the year.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Evaluations of the kelurahan, by code.
    pub(crate) kelurahan: Vec<v1::Evaluation>,
    /// Evaluations of the kecamatan, by code, and of the city.
    pub(crate) totals: Vec<v1::Evaluation>,
    /// The warnings that stand, the most urgent first.
    pub(crate) warnings: Vec<v1::Warning>,
    /// What all of it is made of.
    pub(crate) basis: v1::Basis,
    /// Open conflicts.
    pub(crate) conflicts: u64,
    /// Corrections and withdrawals that wait for their target.
    pub(crate) held: u64,
}

impl Outcome {
    /// Asks for it once the server's views have reached a position.
    pub(crate) async fn ask(client: &Connection, min_position: u64) -> anyhow::Result<Self> {
        let kelurahan = evaluations(client, AreaLevel::Kelurahan, min_position).await?;
        let mut totals = evaluations(client, AreaLevel::Kecamatan, min_position).await?;
        totals.extend(evaluations(client, AreaLevel::Kota, min_position).await?);
        let (warnings, basis) = warnings(client, min_position).await?;
        let conflicts = conflicts(client, min_position).await?;
        let held = held(client, min_position).await?;
        Ok(Self { kelurahan, totals, warnings, basis, conflicts, held })
    }

    /// Checks that the server kept what it acknowledged and nothing else.
    pub(crate) fn check(&self, counts: &Counts, missed: u64, held_for_ever: u64) -> anyhow::Result<()> {
        // The opening of the log is an event of its own.
        let events = counts.events() + missed + 1;
        ensure!(
            self.basis.position == events,
            "{events} events are known of and the log ends at {}: does anybody else write to this server?",
            self.basis.position
        );
        ensure!(self.conflicts == counts.conflicts, "{} conflicts and {} are listed", counts.conflicts, self.conflicts);
        ensure!(self.held == held_for_ever, "{held_for_ever} corrections wait for ever and {} are listed", self.held);
        ensure!(self.kelurahan.len() == KELURAHAN.len(), "{} kelurahan are evaluated", self.kelurahan.len());
        ensure!(self.basis.sample_data, "the log does not say that its data are invented");
        Ok(())
    }
}

async fn evaluations(client: &Connection, level: AreaLevel, min_position: u64) -> anyhow::Result<Vec<v1::Evaluation>> {
    let request = v1::ListEvaluationsRequest {
        period: PERIOD.to_owned(),
        level: level.into(),
        page_size: PAGE,
        min_position,
        ..v1::ListEvaluationsRequest::default()
    };
    // A city has fewer areas of any level than a page holds.
    Ok(client.evaluations().list_evaluations(unary(request)).await?.into_inner().evaluations)
}

async fn warnings(client: &Connection, min_position: u64) -> anyhow::Result<(Vec<v1::Warning>, v1::Basis)> {
    let (mut warnings, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            v1::ListWarningsRequest { page_size: PAGE, page_token, min_position, ..v1::ListWarningsRequest::default() };
        let page = client.warnings().list_warnings(unary(request)).await?.into_inner();
        warnings.extend(page.warnings);
        if page.next_page_token.is_empty() {
            return Ok((warnings, page.basis.context("the warnings do not say what they are made of")?));
        }
        page_token = page.next_page_token;
    }
}

async fn conflicts(client: &Connection, min_position: u64) -> anyhow::Result<u64> {
    let (mut count, mut after_position) = (0, 0);
    loop {
        let request = v1::ListConflictsRequest { page_size: PAGE, after_position, min_position, ..Default::default() };
        let page = client.submissions().list_conflicts(unary(request)).await?.into_inner();
        count += page.conflicts.len() as u64;
        if page.next_after_position == 0 {
            return Ok(count);
        }
        after_position = page.next_after_position;
    }
}

async fn held(client: &Connection, min_position: u64) -> anyhow::Result<u64> {
    let (mut count, mut after_position) = (0, 0);
    loop {
        let request = v1::ListHeldRequest { page_size: PAGE, after_position, min_position, ..Default::default() };
        let page = client.submissions().list_held(unary(request)).await?.into_inner();
        count += page.held.len() as u64;
        if page.next_after_position == 0 {
            return Ok(count);
        }
        after_position = page.next_after_position;
    }
}
