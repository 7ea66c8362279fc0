//! What the demo prints when the year is over. Everything is DATA CONTOH.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
};

use satgas_proto::v1::{self, WarningKind, evaluation::Subject};
use satgas_server::Verified;
use serde::Serialize;

use super::{
    Played,
    folder::Folder,
    kupang::{KOTA, parent},
    year::{END, PERIOD, local_text},
};
use crate::print::{Align, SAMPLE, Table, banner, hex, shorten};

/// Warnings of one kind that the table shows; all of them are a command away.
const WARNINGS_SHOWN: usize = 5;

/// Prints tables for people.
pub(crate) fn tables(out: &mut impl Write, played: &Played, verified: &Verified) -> io::Result<()> {
    banner(out, true)?;
    let basis = &played.outcome.basis;
    writeln!(
        out,
        "Evaluation {PERIOD} of {}, as of {}, rule set {}, position {}, head {}\n",
        KOTA.name,
        local_text(END.timestamp()),
        basis.rule_set,
        basis.position,
        hex(&basis.head_hash, 16),
    )?;
    evaluations(played).write(out)?;
    writeln!(out, "\nEarly warnings ({SAMPLE}): {}", played.outcome.warnings.len())?;
    warnings(played).write(out)?;
    writeln!(out, "\nWhat was sent ({SAMPLE})")?;
    counts(out, played, verified)
}

fn evaluations(played: &Played) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("code", Left),
        ("name", Left),
        ("score", Right),
        ("reports", Right),
        ("in time", Right),
        ("schools", Right),
        ("follow-ups", Right),
        ("responses", Right),
        ("trained", Right),
        ("visits", Right),
        ("pupils", Right),
        ("signals", Right),
        ("silent d", Right),
        ("cases", Right),
        ("open", Right),
        ("overdue", Right),
    ]);
    for total in &played.outcome.totals {
        let code = code_of(total);
        for evaluation in &played.outcome.kelurahan {
            if parent(code_of(evaluation)) == code {
                table.row(cells(evaluation, false));
            }
        }
        table.row(cells(total, true));
        if code != KOTA.code {
            table.gap();
        }
    }
    table
}

fn code_of(evaluation: &v1::Evaluation) -> &str {
    match &evaluation.subject {
        Some(Subject::AreaCode(code)) => code,
        Some(Subject::InstitutionId(_)) | None => "",
    }
}

/// One line. Cases of a single kelurahan are few enough to point at people, so only totals show them.
fn cells(evaluation: &v1::Evaluation, is_total: bool) -> Vec<String> {
    let name = if is_total { format!("= {}", evaluation.name) } else { evaluation.name.clone() };
    let score = evaluation.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
    let mut cells = vec![code_of(evaluation).to_owned(), name, score];
    cells.extend(
        evaluation
            .indicators
            .iter()
            .map(|i| if i.applicable { format!("{}/{}", i.numerator, i.denominator) } else { "-".to_owned() }),
    );
    let activity = evaluation.activity.unwrap_or_default();
    let silent = activity.days_since_last_activity.map_or_else(|| "-".to_owned(), |days| days.to_string());
    cells.extend([activity.visits, activity.pupils_reached, activity.exposure_signals].map(|count| count.to_string()));
    cells.push(silent);
    let cases = evaluation.cases.unwrap_or_default();
    let shown = |count: u64| if is_total { count.to_string() } else { String::new() };
    cells.extend([cases.reported, cases.open, cases.overdue].map(shown));
    cells
}

fn kind_text(kind: WarningKind) -> &'static str {
    match kind {
        WarningKind::Unspecified => "other",
        WarningKind::GroupSpreads => "group spreads",
        WarningKind::ResponseOverdue => "response overdue",
        WarningKind::FollowUpOverdue => "follow-up overdue",
        WarningKind::SchoolRepeatedSignals => "school with repeated signals",
        WarningKind::TaskForceSilent => "task force silent",
    }
}

fn warnings(played: &Played) -> Table {
    let mut table =
        Table::new([("kind", Align::Left), ("since", Align::Left), ("areas", Align::Left), ("about", Align::Left)]);
    let mut shown: BTreeMap<WarningKind, usize> = BTreeMap::new();
    for warning in &played.outcome.warnings {
        let count = shown.entry(warning.kind()).or_default();
        *count += 1;
        if *count <= WARNINGS_SHOWN {
            table.row(warning_cells(warning));
        }
    }
    for (kind, count) in shown {
        if count > WARNINGS_SHOWN {
            let more = format!("and {} more", count - WARNINGS_SHOWN);
            table.row(vec![kind_text(kind).to_owned(), more, String::new(), String::new()]);
        }
    }
    table
}

fn warning_cells(warning: &v1::Warning) -> Vec<String> {
    let since = warning.since.as_ref().and_then(|at| jiff::Timestamp::from_second(at.seconds).ok());
    let about = match warning.kind() {
        WarningKind::GroupSpreads => {
            let group = shorten(&warning.group_fingerprint, 13);
            format!("{} schools, group {group}", warning.institution_ids.len())
        }
        WarningKind::SchoolRepeatedSignals => warning.institution_ids.join(" "),
        _ => warning.subject_id.clone(),
    };
    vec![
        kind_text(warning.kind()).to_owned(),
        since.map(local_text).unwrap_or_default(),
        shorten(&warning.area_codes.join(" "), 60),
        about,
    ]
}

fn counts(out: &mut impl Write, played: &Played, verified: &Verified) -> io::Result<()> {
    let (counts, outcome) = (&played.counts, &played.outcome);
    writeln!(
        out,
        "{} records in the log: {} of the registry, {} accepted, {} steps of cases, {} in conflict, {} deadlines missed, 1 opening",
        verified.records, counts.registered, counts.accepted, counts.steps, counts.conflicts, played.missed
    )?;
    writeln!(
        out,
        "{} came twice, {} were refused until mended, {} steps were refused, {} came before their target, {} still wait for it",
        counts.duplicates, counts.rejected, counts.refused_steps, counts.held, outcome.held
    )?;
    writeln!(
        out,
        "{} sent by {} clients in {:.1} s: {:.0} appended a second; a call was answered in {:.1} ms (p50), {:.1} ms (p99)",
        counts.sent(),
        played.clients,
        played.playing.as_secs_f64(),
        played.append_per_s,
        played.latency_p50.as_secs_f64() * 1_000.0,
        played.latency_p99.as_secs_f64() * 1_000.0,
    )?;
    writeln!(
        out,
        "verified: {} records in {} commits, {} bytes, head {} {}",
        verified.records,
        verified.commits,
        verified.bytes,
        verified.head.position,
        hex(&verified.head.hash, 64)
    )
}

/// Prints commands that are true for this server and its data.
pub(crate) fn how_to_go_on(
    out: &mut impl Write,
    address: SocketAddr,
    folder: &Folder,
    played: &Played,
) -> anyhow::Result<()> {
    let satgas = std::env::current_exe().map_or_else(|_| "satgas".to_owned(), |path| shown_path(&path));
    let with_server = format!("{satgas} --server http://{address}");
    let spare = serde_json::to_string(&played.spare)?;
    writeln!(
        out,
        "\nThe server goes on at http://{address} ({SAMPLE}), and so does its clock, from {}.",
        local_text(END.timestamp())
    )?;
    writeln!(
        out,
        "Who may do what is in docs/access.md. Tokens for each role ({SAMPLE}) lie in {}:\n",
        shown_path(played.tokens.folder())
    )?;
    for (file, what) in played.tokens.files() {
        writeln!(out, "  {file:<20} {what}")?;
    }
    writeln!(out, "\nCtrl-C ends it. In another terminal:\n")?;
    let token = |name: &str| shown_path(&played.tokens.folder().join(name));
    writeln!(out, "  export SATGAS_TOKEN_FILE={}", token("supervisor.token"))?;
    writeln!(out, "  {with_server} evaluate --period {PERIOD} --level kecamatan")?;
    writeln!(out, "  {with_server} warnings --kind group-spreads")?;
    writeln!(out, "  {with_server} events --after {} --follow", played.outcome.basis.position.saturating_sub(5))?;
    writeln!(out, "  {with_server} watch --period 2026-07")?;
    writeln!(out, "  echo '{spare}' | {with_server} --token-file {} submit --file -", token("satgas.token"))?;
    if folder.stays() {
        writeln!(out, "\nAfter Ctrl-C:\n\n  {satgas} verify --data {}", shown_path(folder.path()))?;
    } else {
        writeln!(out, "\nThe data go with the server. To keep and verify them, next time:\n")?;
        writeln!(out, "  {satgas} demo --data kupang-contoh --exit && {satgas} verify --data kupang-contoh")?;
    }
    Ok(())
}

/// A path as it is typed into a shell, from here when it lies below.
fn shown_path(path: &Path) -> String {
    let below = std::env::current_dir().ok().and_then(|here| Some(path.strip_prefix(here).ok()?.to_owned()));
    // A bare name would be looked for in the PATH, or be empty.
    let text = below.map_or_else(|| path.display().to_string(), |below| format!("./{}", below.display()));
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// All of it as one object. `evaluations`, `totals` and `warnings` are the same for the same seed, to the byte.
#[derive(Debug, Serialize)]
struct Document<'a> {
    sample_data: bool,
    seed: u64,
    period: &'a str,
    areas: usize,
    records: u64,
    duplicates: u64,
    conflicts: u64,
    rejected: u64,
    refused_steps: u64,
    held: u64,
    deadlines_missed: u64,
    evaluations: Vec<v1::Evaluation>,
    totals: Vec<v1::Evaluation>,
    warnings: Vec<v1::Warning>,
    head: Head,
    append_per_s: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    verify: &'a str,
}

#[derive(Debug, Serialize)]
struct Head {
    position: u64,
    hash: String,
}

/// Prints one JSON object.
pub(crate) fn json(out: &mut impl Write, played: &Played, verified: &Verified) -> anyhow::Result<()> {
    let (counts, outcome) = (&played.counts, &played.outcome);
    let document = Document {
        sample_data: true,
        seed: played.seed,
        period: PERIOD,
        areas: outcome.kelurahan.len(),
        records: verified.records,
        duplicates: counts.duplicates,
        conflicts: counts.conflicts,
        rejected: counts.rejected,
        refused_steps: counts.refused_steps,
        held: outcome.held,
        deadlines_missed: played.missed,
        evaluations: without_basis(&outcome.kelurahan),
        totals: without_basis(&outcome.totals),
        warnings: without_positions(&outcome.warnings),
        head: Head { position: verified.head.position, hash: hex(&verified.head.hash, 64) },
        append_per_s: (played.append_per_s * 10.0).round() / 10.0,
        latency_p50_ms: millis(played.latency_p50),
        latency_p99_ms: millis(played.latency_p99),
        verify: "ok",
    };
    serde_json::to_writer(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn millis(took: std::time::Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// The figures alone: what they are made of names a head that no other log has.
fn without_basis(evaluations: &[v1::Evaluation]) -> Vec<v1::Evaluation> {
    evaluations.iter().map(|evaluation| v1::Evaluation { basis: None, ..evaluation.clone() }).collect()
}

/// Positions depend on which client of a wave came first.
fn without_positions(warnings: &[v1::Warning]) -> Vec<v1::Warning> {
    warnings.iter().map(|warning| v1::Warning { positions: Vec::new(), ..warning.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_only_when_a_shell_would_stumble_over_it() {
        assert_eq!(shown_path(Path::new("/srv/kupang-contoh")), "/srv/kupang-contoh");
        assert_eq!(shown_path(Path::new("/srv/two words")), "'/srv/two words'");
        let below = std::env::current_dir().unwrap().join("satgas");
        assert_eq!(shown_path(&below), "./satgas");
    }

    #[test]
    fn the_cases_of_a_single_kelurahan_are_not_shown() {
        let evaluation = v1::Evaluation {
            cases: Some(v1::CaseFigures { reported: 1, open: 1, ..Default::default() }),
            ..v1::Evaluation::default()
        };
        assert!(cells(&evaluation, false).ends_with(&[String::new(), String::new(), String::new()]));
        assert!(cells(&evaluation, true).ends_with(&["1".to_owned(), "1".to_owned(), "0".to_owned()]));
    }

    #[test]
    fn what_depends_on_who_came_first_is_left_out() {
        let warning = v1::Warning { positions: vec![3, 4], subject_id: "a".to_owned(), ..v1::Warning::default() };
        assert!(without_positions(&[warning])[0].positions.is_empty());
        let evaluation = v1::Evaluation { basis: Some(v1::Basis::default()), ..v1::Evaluation::default() };
        assert!(without_basis(&[evaluation])[0].basis.is_none());
    }
}
