//! Names the first difference between what the server answers and what the reference counts.

use satgas_proto::v1::{self, EvaluatedBody, IndicatorKind, WarningKind};

use super::{OpenConflict, time::instant};

/// How far two computed numbers may lie apart.
const TOLERANCE: f64 = 1e-12;

/// The first difference between two evaluations of one subject, in words. Of the basis only the rule set is compared.
pub(crate) fn evaluation(server: &v1::Evaluation, reference: &v1::Evaluation) -> Result<(), String> {
    same("subject", &server.subject, &reference.subject)?;
    same("name", &server.name, &reference.name)?;
    same("period", &server.period, &reference.period)?;
    same("the number of indicators", &server.indicators.len(), &reference.indicators.len())?;
    for (server, reference) in server.indicators.iter().zip(&reference.indicators) {
        let name = IndicatorKind::try_from(reference.kind).unwrap_or_default().as_str_name();
        same(&format!("the kind of {name}"), &server.kind, &reference.kind)?;
        let fraction = |indicator: &v1::Indicator| format!("{}/{}", indicator.numerator, indicator.denominator);
        same(name, &fraction(server), &fraction(reference))?;
        same(&format!("whether {name} applies"), &server.applicable, &reference.applicable)?;
    }
    let (mine, theirs) = (server.activity.unwrap_or_default(), reference.activity.unwrap_or_default());
    same("visits", &mine.visits, &theirs.visits)?;
    same("pupils reached", &mine.pupils_reached, &theirs.pupils_reached)?;
    same("exposure signals", &mine.exposure_signals, &theirs.exposure_signals)?;
    same("days since the last activity", &mine.days_since_last_activity, &theirs.days_since_last_activity)?;
    let (mine, theirs) = (server.cases.unwrap_or_default(), reference.cases.unwrap_or_default());
    same("cases reported", &mine.reported, &theirs.reported)?;
    same("cases open", &mine.open, &theirs.open)?;
    same("cases closed", &mine.closed, &theirs.closed)?;
    same("cases overdue", &mine.overdue, &theirs.overdue)?;
    same("victims in the shelter", &mine.in_shelter, &theirs.in_shelter)?;
    same("median first response", &mine.first_response_median_s, &theirs.first_response_median_s)?;
    same("p90 first response", &mine.first_response_p90_s, &theirs.first_response_p90_s)?;
    let (mine, theirs) = (server.missed.unwrap_or_default(), reference.missed.unwrap_or_default());
    same("reports missed", &mine.reports, &theirs.reports)?;
    same("follow-ups missed", &mine.follow_ups, &theirs.follow_ups)?;
    same("responses missed", &mine.responses, &theirs.responses)?;
    // Of the kelurahan's own is also what is left unspecified.
    let of_institutions = |evaluation: &v1::Evaluation| evaluation.body() == EvaluatedBody::Institution;
    same("whether it is of institutions", &of_institutions(server), &of_institutions(reference))?;
    same("open conflicts", &server.open_conflicts, &reference.open_conflicts)?;
    let rule_set = |evaluation: &v1::Evaluation| evaluation.basis.as_ref().map(|basis| basis.rule_set.clone());
    same("rule set", &rule_set(server), &rule_set(reference))?;
    // Last, since a wrong score follows from a wrong indicator, which says more.
    same("score", &server.score.map(f64::to_bits), &reference.score.map(f64::to_bits)).map_err(|_| {
        let fraction = |it: &v1::Indicator| format!("{}/{}", it.numerator, it.denominator);
        let fractions: Vec<String> = reference.indicators.iter().map(fraction).collect();
        format!("score: the server says {:?}, the reference {:?}, of {fractions:?}", server.score, reference.score)
    })?;
    same("band", &server.band, &reference.band)
}

/// The first difference between two lists of warnings, over what the page lays down.
pub(crate) fn warnings(server: &[v1::Warning], reference: &[v1::Warning]) -> Result<(), String> {
    let words = |warnings: &[v1::Warning]| warnings.iter().map(warning).collect::<Vec<_>>();
    let (server_words, reference_words) = (words(server), words(reference));
    lists("warning", &server_words, &reference_words)?;
    let mut ids: Vec<&str> = server.iter().map(|warning| warning.warning_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    same("the number of distinct warning ids", &ids.len(), &server.len())
}

/// A warning in the words of the page: the kind, whom it is about, since when; and of a group all that is known.
fn warning(warning: &v1::Warning) -> String {
    let kind = warning.kind();
    let since = instant(warning.since.as_ref());
    let about = match kind {
        WarningKind::GroupSpreads => {
            let latest = instant(warning.latest.as_ref());
            let (schools, areas) = (&warning.institution_ids, &warning.area_codes);
            format!("{} latest {latest} at {schools:?} in {areas:?}", warning.group_fingerprint)
        }
        WarningKind::SchoolRepeatedSignals => format!("{:?}", warning.institution_ids),
        _ => warning.subject_id.clone(),
    };
    format!("{} since {since} about {about}", kind.as_str_name())
}

/// The first difference between two lists of conflicts.
pub(crate) fn conflicts(server: &[v1::Conflict], reference: &[OpenConflict]) -> Result<(), String> {
    let words = |position, cause: v1::ConflictCause, can_be_taken| {
        format!("{position} {}{}", cause.as_str_name(), if can_be_taken { " that can be taken" } else { "" })
    };
    let server: Vec<String> = server.iter().map(|it| words(it.position, it.cause(), it.can_be_taken)).collect();
    let reference: Vec<String> = reference.iter().map(|it| words(it.position, it.cause, it.can_be_taken)).collect();
    lists("conflict", &server, &reference)
}

/// The first difference between the items of an indicator and the events behind them, whatever their order.
pub(crate) fn items(server: &[v1::Item], reference: &[v1::Item]) -> Result<(), String> {
    let words = |items: &[v1::Item]| {
        let word = |item: &v1::Item| {
            let counts = if item.counts { "counts" } else { "does not count" };
            let due = item.due_at.as_ref().map(|due| instant(Some(due)));
            let (area, id, detail) = (&item.area_code, &item.item_id, &item.detail);
            let missed = item.missed_position;
            let (because, evidence) = (sorted(&item.because_positions), sorted(&item.evidence_positions));
            format!("{area}/{id}#{detail} {counts} by {evidence:?} of {because:?}, due {due:?}, missed at {missed}")
        };
        let mut words: Vec<String> = items.iter().map(word).collect();
        words.sort();
        words
    };
    lists("item", &words(server), &words(reference))
}

fn sorted(positions: &[u64]) -> Vec<u64> {
    let mut sorted = positions.to_vec();
    sorted.sort_unstable();
    sorted
}

/// The first difference between two trends of one subject.
pub(crate) fn trend(server: &v1::Trend, reference: &v1::Trend) -> Result<(), String> {
    for (which, mine, theirs) in [
        ("the period", &server.evaluation, &reference.evaluation),
        ("the period before", &server.previous, &reference.previous),
        ("the year before", &server.year_before, &reference.year_before),
    ] {
        let (mine, theirs) = (mine.clone().unwrap_or_default(), theirs.clone().unwrap_or_default());
        evaluation(&mine, &theirs).map_err(|difference| format!("{which}: {difference}"))?;
    }
    near("score change", server.score_change_previous, reference.score_change_previous)?;
    near("score change in a year", server.score_change_year_before, reference.score_change_year_before)?;
    same("rank in the kota", &server.rank_in_kota, &reference.rank_in_kota)?;
    same("rank in the kecamatan", &server.rank_in_kecamatan, &reference.rank_in_kecamatan)?;
    same("the number of indicators", &server.indicators.len(), &reference.indicators.len())?;
    for (server, reference) in server.indicators.iter().zip(&reference.indicators) {
        let name = IndicatorKind::try_from(reference.kind).unwrap_or_default().as_str_name();
        same(&format!("the kind of {name}"), &server.kind, &reference.kind)?;
        near(&format!("low of {name}"), server.low, reference.low)?;
        near(&format!("high of {name}"), server.high, reference.high)?;
        change(&format!("{name} since the period before"), &server.previous, &reference.previous)?;
        change(&format!("{name} in a year"), &server.year_before, &reference.year_before)?;
    }
    Ok(())
}

fn change(
    what: &str,
    server: &Option<v1::IndicatorChange>,
    reference: &Option<v1::IndicatorChange>,
) -> Result<(), String> {
    let (Some(server), Some(reference)) = (server, reference) else {
        return same(what, &server.is_some(), &reference.is_some());
    };
    near(&format!("difference of {what}"), Some(server.difference), Some(reference.difference))?;
    near(&format!("low of {what}"), Some(server.low), Some(reference.low))?;
    near(&format!("high of {what}"), Some(server.high), Some(reference.high))?;
    let at_the_edge = reference.low.abs() < TOLERANCE || reference.high.abs() < TOLERANCE;
    if at_the_edge { Ok(()) } else { same(&format!("clearness of {what}"), &server.is_clear, &reference.is_clear) }
}

fn near(what: &str, server: Option<f64>, reference: Option<f64>) -> Result<(), String> {
    match (server, reference) {
        (Some(mine), Some(theirs)) if (mine - theirs).abs() <= TOLERANCE => Ok(()),
        _ => same(what, &server, &reference),
    }
}

/// The first difference between two tables.
pub(crate) fn table(server: &v1::CrossTableResponse, reference: &v1::CrossTableResponse) -> Result<(), String> {
    same("dimensions", &server.dimensions, &reference.dimensions)?;
    same("period", &server.period, &reference.period)?;
    let words =
        |cells: &[v1::TableCell]| cells.iter().map(|it| format!("{:?}: {}", it.codes, it.cases)).collect::<Vec<_>>();
    lists("cell", &words(&server.cells), &words(&reference.cells))
}

/// The first difference between two lists of what waits.
pub(crate) fn held(server: &[v1::Held], reference: &[(u64, String)]) -> Result<(), String> {
    let server: Vec<String> =
        server.iter().map(|held| format!("{} for {}", held.position, held.waits_for_id)).collect();
    let reference: Vec<String> = reference.iter().map(|(position, id)| format!("{position} for {id}")).collect();
    lists("held submission", &server, &reference)
}

/// The first place at which two lists differ.
pub(crate) fn lists(what: &str, server: &[String], reference: &[String]) -> Result<(), String> {
    for index in 0..server.len().max(reference.len()) {
        let (server, reference) = (server.get(index), reference.get(index));
        if server != reference {
            let none = "none".to_owned();
            let (server, reference) = (server.unwrap_or(&none), reference.unwrap_or(&none));
            return Err(format!("{what} {index}: the server says {server}, the reference {reference}"));
        }
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, server: &T, reference: &T) -> Result<(), String> {
    if server == reference {
        return Ok(());
    }
    Err(format!("{what}: the server says {server:?}, the reference {reference:?}"))
}
