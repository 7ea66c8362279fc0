//! `satgas watch`: a line for each evaluation that changes.
//!
//! Invariant: what was printed is what is kept. After the connection broke, the first picture of the new one is compared with it,
//! so a change in between is printed and nothing is printed twice.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
};

use jiff::tz::TimeZone;
use satgas_proto::v1;
use tonic::Status;

use crate::{
    backoff::{Backoff, Patience},
    codes::{self, Code as _},
    connect::Connection,
    evaluate::{Body, code, fraction, score},
    print::{self, SAMPLE, StreamFormat},
    time,
};

/// What to follow.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Period, such as 2026, 2026-S1, 2026-Q1 or 2026-01 [default: the current month, moving on with time]
    #[arg(long, value_name = "PERIOD", default_value = "", hide_default_value = true)]
    period: String,
    /// Only areas whose code begins with these segments, such as 53.71.04
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    area: String,
    /// kelurahan, kecamatan or kota; institution follows each institution in the areas
    #[arg(long, default_value = "kelurahan", value_parser = codes::parse::<v1::AreaLevel>)]
    level: v1::AreaLevel,
    #[command(flatten)]
    body: Body,
    /// Stop after so many changes
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop after the first change
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// How a change is printed
    #[arg(long, value_enum, default_value_t = StreamFormat::Text)]
    format: StreamFormat,
    #[command(flatten)]
    patience: Patience,
}

/// Follows until enough changes were seen.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    print::banner(&mut io::stderr().lock(), log.sample_data)?;
    let left = if args.once { 1 } else { args.count.unwrap_or(u64::MAX) };
    let mut watch = Watch { known: BTreeMap::new(), complete: false, left, format: args.format, zone: log.zone };
    let mut backoff = Backoff::new(args.patience);
    while watch.left > 0 {
        if let Err(error) = session(&args, server, &mut watch, &mut backoff).await {
            watch.complete |= !watch.known.is_empty();
            backoff.wait(error.downcast::<Status>()?).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One stream, until enough changes were seen or it ends.
async fn session(args: &Args, server: &Connection, watch: &mut Watch, backoff: &mut Backoff) -> anyhow::Result<()> {
    let request = v1::WatchEvaluationsRequest {
        period: args.period.clone(),
        area_prefix: args.area.clone(),
        level: args.level.into(),
        body: args.body.asked().into(),
    };
    let mut stream = server.evaluations().watch_evaluations(request).await?.into_inner();
    while watch.left > 0 {
        let Some(message) = stream.message().await? else {
            return Err(Status::unavailable("the server ended the stream").into());
        };
        backoff.succeeded();
        watch.take(message, &mut io::stdout().lock())?;
    }
    Ok(())
}

/// What is known, and what is still wanted.
struct Watch {
    known: BTreeMap<String, v1::Evaluation>,
    /// Whether the first picture of the first connection is over: only from then on is anything a change.
    complete: bool,
    left: u64,
    format: StreamFormat,
    zone: TimeZone,
}

impl Watch {
    fn take(&mut self, message: v1::WatchEvaluationsResponse, out: &mut impl Write) -> anyhow::Result<()> {
        let cause_position = message.cause_position;
        let Some(evaluation) = message.evaluation.clone() else {
            self.picture_is_complete();
            return Ok(());
        };
        if cause_position > 0 {
            self.picture_is_complete();
        }
        let key = code(&evaluation).to_owned();
        let before = self.known.insert(key, evaluation.clone());
        let changes = differences(before.as_ref(), &evaluation);
        // Figures may fall back to what was printed while a connection was down: then nothing has changed.
        if !self.complete || changes.is_empty() || self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        match self.format {
            StreamFormat::Text => {
                let line = line(before.as_ref(), &evaluation, &changes, cause_position, &self.zone);
                writeln!(out, "{line}")?;
            }
            StreamFormat::Jsonl => writeln!(out, "{}", serde_json::to_string(&message)?)?,
        }
        Ok(out.flush()?)
    }

    fn picture_is_complete(&mut self) {
        if !self.complete {
            self.complete = true;
            eprintln!("satgas: watching {} evaluations", self.known.len());
        }
    }
}

fn line(
    before: Option<&v1::Evaluation>,
    after: &v1::Evaluation,
    changes: &[String],
    cause_position: u64,
    zone: &TimeZone,
) -> String {
    let basis = after.basis.clone().unwrap_or_default();
    let mark = if basis.sample_data { format!("{SAMPLE}  ") } else { String::new() };
    // Found on reconnecting: the cause lies somewhere up to the position of the new picture.
    let cause = if cause_position > 0 { format!("#{cause_position}") } else { format!("up to #{}", basis.position) };
    let old = before.map_or_else(|| "new".to_owned(), |before| score(before.score));
    format!(
        "{mark}{}  {}  {}  {old} > {}  {}  {cause}",
        time::show(basis.as_of.as_ref(), zone),
        code(after),
        after.name,
        score(after.score),
        changes.join(", "),
    )
}

/// Everything that a person would see change; the basis alone moves with every event and is none.
fn differences(before: Option<&v1::Evaluation>, after: &v1::Evaluation) -> Vec<String> {
    let Some(before) = before else { return vec!["first figures".to_owned()] };
    let mut changes = Vec::new();
    let period = |evaluation: &v1::Evaluation| evaluation.period.as_ref().map(|p| p.code.clone()).unwrap_or_default();
    note(&mut changes, "period", period(before), period(after));
    for indicator in &after.indicators {
        let old = before.indicators.iter().find(|old| old.kind == indicator.kind).map(fraction);
        note(&mut changes, &indicator.kind().label(), old.unwrap_or_else(|| "n/a".to_owned()), fraction(indicator));
    }
    let (old, new) = (before.activity.unwrap_or_default(), after.activity.unwrap_or_default());
    note(&mut changes, "visits", old.visits, new.visits);
    note(&mut changes, "pupils", old.pupils_reached, new.pupils_reached);
    note(&mut changes, "exposure signals", old.exposure_signals, new.exposure_signals);
    let silent = |figures: v1::ActivityFigures| figures.days_since_last_activity.map_or("-".into(), |d| d.to_string());
    note(&mut changes, "silent days", silent(old), silent(new));
    let (old, new) = (before.cases.unwrap_or_default(), after.cases.unwrap_or_default());
    note(&mut changes, "cases", old.reported, new.reported);
    note(&mut changes, "open", old.open, new.open);
    note(&mut changes, "closed", old.closed, new.closed);
    note(&mut changes, "overdue", old.overdue, new.overdue);
    note(&mut changes, "in shelter", old.in_shelter, new.in_shelter);
    let seconds = |figure: Option<u64>| figure.map_or_else(|| "-".to_owned(), |s| format!("{s} s"));
    let median = |cases: v1::CaseFigures| seconds(cases.first_response_median_s);
    note(&mut changes, "median response", median(old), median(new));
    let p90 = |cases: v1::CaseFigures| seconds(cases.first_response_p90_s);
    note(&mut changes, "p90 response", p90(old), p90(new));
    note(&mut changes, "conflicts", before.open_conflicts, after.open_conflicts);
    note(&mut changes, "name", before.name.as_str(), after.name.as_str());
    changes
}

fn note<T: PartialEq + std::fmt::Display>(changes: &mut Vec<String>, what: &str, old: T, new: T) {
    if old != new {
        changes.push(format!("{what} {old} > {new}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(visits: u64, cause_position: u64) -> v1::WatchEvaluationsResponse {
        let evaluation = v1::Evaluation {
            subject: Some(v1::evaluation::Subject::AreaCode("53.71.04.1001".into())),
            name: "Kelurahan Contoh".into(),
            activity: Some(v1::ActivityFigures { visits, ..Default::default() }),
            basis: Some(v1::Basis { position: 40 + visits, sample_data: true, ..Default::default() }),
            ..Default::default()
        };
        v1::WatchEvaluationsResponse { evaluation: Some(evaluation), cause_position }
    }

    fn watch() -> Watch {
        let zone = TimeZone::UTC;
        Watch { known: BTreeMap::new(), complete: false, left: 2, format: StreamFormat::Text, zone }
    }

    fn printed(watch: &mut Watch, messages: impl IntoIterator<Item = v1::WatchEvaluationsResponse>) -> Vec<String> {
        let mut out = Vec::new();
        for message in messages {
            watch.take(message, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn the_first_picture_is_no_change_and_the_next_message_is_one() {
        let lines = printed(&mut watch(), [message(1, 0), message(2, 42)]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("DATA CONTOH") && lines[0].ends_with("visits 1 > 2  #42"), "{lines:?}");
    }

    #[test]
    fn after_a_reconnect_only_what_differs_is_printed() {
        let mut watch = watch();
        printed(&mut watch, [message(1, 0), message(2, 42)]);
        assert!(printed(&mut watch, [message(2, 0)]).is_empty());
        let lines = printed(&mut watch, [message(3, 0)]);
        assert!(lines[0].ends_with("visits 2 > 3  up to #43"), "{lines:?}");
    }

    #[test]
    fn a_moved_position_alone_is_no_change() {
        let mut other = message(1, 99);
        other.evaluation.as_mut().unwrap().basis.as_mut().unwrap().position = 99;
        assert!(printed(&mut watch(), [message(1, 0), other]).is_empty());
    }

    #[test]
    fn no_more_changes_are_printed_than_were_asked_for() {
        let lines = printed(&mut watch(), (0..9).map(|visits| message(visits, visits)));
        assert_eq!(lines.len(), 2);
    }
}
