//! The figures of one kelurahan or institution, and their sum over several.

use jiff::Timestamp;
use satgas_proto::v1::{self, DeadlineKind, IndicatorKind};

use super::{
    ledger::Ledger,
    time::{instant, message},
};

/// One thing of an indicator's denominator.
pub(crate) struct Item {
    /// The kelurahan that it is counted in; empty when an institution is evaluated by itself.
    pub(crate) area_code: String,
    pub(crate) item_id: String,
    pub(crate) detail: String,
    pub(crate) counts: bool,
    pub(crate) due: Option<Timestamp>,
    /// Positions of the events that put it there.
    pub(crate) because: Vec<u64>,
    /// Positions of the events that were looked at for the numerator.
    pub(crate) evidence: Vec<u64>,
}

impl Item {
    /// Something that has no due time.
    pub(crate) fn new(item_id: &str, counts: bool) -> Self {
        Self {
            area_code: String::new(),
            item_id: item_id.to_owned(),
            detail: String::new(),
            counts,
            due: None,
            because: Vec::new(),
            evidence: Vec::new(),
        }
    }

    /// Something that was due.
    pub(crate) fn due(item_id: &str, detail: String, due: Timestamp, counts: bool) -> Self {
        Self { detail, due: Some(due), ..Self::new(item_id, counts) }
    }

    /// With the events behind it.
    pub(crate) fn by(mut self, because: Vec<u64>, evidence: Vec<u64>) -> Self {
        (self.because, self.evidence) = (because, evidence);
        for positions in [&mut self.because, &mut self.evidence] {
            positions.sort_unstable();
            positions.dedup();
        }
        self
    }
}

/// All figures of a subject in a period.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) completeness: Vec<Item>,
    pub(crate) timeliness: Vec<Item>,
    pub(crate) coverage: Vec<Item>,
    pub(crate) discipline: Vec<Item>,
    pub(crate) response: Vec<Item>,
    pub(crate) training: Vec<Item>,
    pub(crate) visits: u64,
    pub(crate) pupils_reached: u64,
    pub(crate) exposure_signals: u64,
    pub(crate) days_since_last_activity: Option<u32>,
    pub(crate) reported: u64,
    pub(crate) open: u64,
    pub(crate) closed: u64,
    pub(crate) overdue: u64,
    pub(crate) in_shelter: u64,
    pub(crate) first_responses_s: Vec<u64>,
    pub(crate) open_conflicts: u64,
}

impl Figures {
    /// Adds the figures of another subject.
    pub(crate) fn add(&mut self, other: Self) {
        self.completeness.extend(other.completeness);
        self.timeliness.extend(other.timeliness);
        self.coverage.extend(other.coverage);
        self.discipline.extend(other.discipline);
        self.response.extend(other.response);
        self.training.extend(other.training);
        self.visits += other.visits;
        self.pupils_reached += other.pupils_reached;
        self.exposure_signals += other.exposure_signals;
        self.days_since_last_activity = match (self.days_since_last_activity, other.days_since_last_activity) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.reported += other.reported;
        self.open += other.open;
        self.closed += other.closed;
        self.overdue += other.overdue;
        self.in_shelter += other.in_shelter;
        self.first_responses_s.extend(other.first_responses_s);
        self.open_conflicts += other.open_conflicts;
    }

    /// Says of every item that it is counted in a kelurahan.
    pub(crate) fn counted_in(mut self, area_code: &str) -> Self {
        let lists = [
            &mut self.completeness,
            &mut self.timeliness,
            &mut self.coverage,
            &mut self.discipline,
            &mut self.response,
            &mut self.training,
        ];
        for item in lists.into_iter().flatten() {
            item.area_code = area_code.to_owned();
        }
        self
    }

    /// What an indicator's denominator is made of.
    pub(crate) fn items(&self, kind: IndicatorKind) -> &[Item] {
        match kind {
            IndicatorKind::ReportingCompleteness => &self.completeness,
            IndicatorKind::ReportingTimeliness => &self.timeliness,
            IndicatorKind::SchoolCoverage => &self.coverage,
            IndicatorKind::FollowUpDiscipline => &self.discipline,
            IndicatorKind::ResponseWithinTarget => &self.response,
            IndicatorKind::Training => &self.training,
            IndicatorKind::Unspecified => &[],
        }
    }

    /// The indicators in the order of the enum.
    pub(crate) fn indicators(&self) -> Vec<v1::Indicator> {
        let kinds = [
            IndicatorKind::ReportingCompleteness,
            IndicatorKind::ReportingTimeliness,
            IndicatorKind::SchoolCoverage,
            IndicatorKind::FollowUpDiscipline,
            IndicatorKind::ResponseWithinTarget,
            IndicatorKind::Training,
        ];
        let indicator = |kind: IndicatorKind| {
            let items = self.items(kind);
            v1::Indicator {
                kind: kind.into(),
                applicable: !items.is_empty(),
                numerator: items.iter().filter(|item| item.counts).count() as u64,
                denominator: items.len() as u64,
            }
        };
        kinds.map(indicator).to_vec()
    }

    /// Deadlines that passed unmet.
    pub(crate) fn missed(&self) -> v1::MissedFigures {
        let unmet = |items: &[Item]| items.iter().filter(|item| !item.counts).count() as u64;
        v1::MissedFigures {
            reports: unmet(&self.timeliness),
            follow_ups: unmet(&self.discipline),
            responses: unmet(&self.response),
        }
    }

    /// What is shown of the activity.
    pub(crate) fn activity(&self) -> v1::ActivityFigures {
        v1::ActivityFigures {
            visits: self.visits,
            pupils_reached: self.pupils_reached,
            exposure_signals: self.exposure_signals,
            days_since_last_activity: self.days_since_last_activity,
        }
    }

    /// What is shown of the cases.
    pub(crate) fn case_figures(&self) -> v1::CaseFigures {
        let mut sorted = self.first_responses_s.clone();
        sorted.sort_unstable();
        v1::CaseFigures {
            reported: self.reported,
            open: self.open,
            closed: self.closed,
            overdue: self.overdue,
            in_shelter: self.in_shelter,
            first_response_median_s: nearest_rank(&sorted, 50),
            first_response_p90_s: nearest_rank(&sorted, 90),
        }
    }
}

/// Element ceil(percent n / 100) of a sorted list, counted from 1.
fn nearest_rank(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (percent * sorted.len()).div_ceil(100);
    if sorted.is_empty() { None } else { Some(sorted[rank - 1]) }
}

/// The items of an indicator as messages, by area, id and detail; each with the events behind it and the one that recorded its
/// deadline as missed.
pub(crate) fn messages(ledger: &Ledger, kind: IndicatorKind, items: &[Item]) -> Vec<v1::Item> {
    let deadline = match kind {
        IndicatorKind::ReportingCompleteness | IndicatorKind::ReportingTimeliness => Some(DeadlineKind::Report),
        IndicatorKind::FollowUpDiscipline => Some(DeadlineKind::FollowUp),
        IndicatorKind::ResponseWithinTarget => Some(DeadlineKind::Response),
        _ => None,
    };
    let missed_position = |item: &Item| {
        let names_it = |missed: &v1::DeadlineMissed| {
            Some(missed.kind()) == deadline
                && missed.item_id == item.item_id
                && missed.detail == item.detail
                && Some(instant(missed.due_at.as_ref())) == item.due
        };
        ledger.missed.iter().find(|(_, missed)| names_it(missed)).map_or(0, |(position, _)| *position)
    };
    let item = |item: &Item| v1::Item {
        area_code: item.area_code.clone(),
        item_id: item.item_id.clone(),
        detail: item.detail.clone(),
        counts: item.counts,
        due_at: item.due.map(message),
        because_positions: item.because.clone(),
        evidence_positions: item.evidence.clone(),
        missed_position: missed_position(item),
    };
    let mut messages: Vec<v1::Item> = items.iter().map(item).collect();
    messages.sort_by_key(|item| (item.area_code.clone(), item.item_id.clone(), item.detail.clone()));
    messages
}
