//! Who is in a list of evaluations, and what the lists of the registry show.

use jiff::Timestamp;
use satgas_proto::v1::{self, AreaLevel, EvaluatedBody};

use super::{
    Subject,
    ledger::Ledger,
    time::{Period, date_of},
};

/// How many segments a code has.
pub(crate) fn segments(code: &str) -> usize {
    code.split('.').count()
}

/// Whether a code begins with the whole segments of a prefix; with an empty one every code does.
pub(crate) fn is_inside(code: &str, prefix: &str) -> bool {
    prefix.is_empty() || code == prefix || code.starts_with(&format!("{prefix}."))
}

impl Ledger {
    /// Those of a level inside an area that exist within a period, by code or id.
    pub(crate) fn listed(
        &self,
        level: AreaLevel,
        body: EvaluatedBody,
        prefix: &str,
        period: &str,
        now: Timestamp,
    ) -> Vec<Subject> {
        let period = Period::parse(period, &self.zone);
        let wanted = match level {
            AreaLevel::Kota => 2,
            AreaLevel::Kecamatan => 3,
            AreaLevel::Kelurahan | AreaLevel::Unspecified => 4,
            AreaLevel::Institution => return self.listed_institutions(prefix, &period, now),
        };
        let mut listed = Vec::new();
        for area in &self.areas {
            let code = area.code().to_owned();
            let exists = area.validity().overlaps(period.start, period.end, &self.zone);
            if segments(&code) == wanted && is_inside(&code, prefix) && exists {
                let of_institutions = body == EvaluatedBody::Institution;
                listed.push(if of_institutions { Subject::InstitutionsIn(code) } else { Subject::Area(code) });
            }
        }
        listed.sort();
        listed
    }

    fn listed_institutions(&self, prefix: &str, period: &Period, now: Timestamp) -> Vec<Subject> {
        let d = self.day_of_cut(period, now);
        let mut listed = Vec::new();
        for institution in &self.institutions {
            let exists = institution.validity().overlaps(period.start, period.end, &self.zone);
            if exists && is_inside(&institution.on(d).area_code, prefix) {
                listed.push(Subject::Institution(institution.id().to_owned()));
            }
        }
        listed.sort();
        listed
    }

    /// The first instant of a period.
    pub(crate) fn start_of_period(&self, period: &str) -> Timestamp {
        Period::parse(period, &self.zone).start
    }

    /// Every area as it holds on the day of `now`, by code; its dates are those of the latest state.
    pub(crate) fn areas_on(&self, now: Timestamp) -> Vec<v1::Area> {
        let today = date_of(now, &self.zone);
        let state = |area: &super::registry::Stated<v1::Area>| v1::Area {
            valid_from: area.latest().valid_from.clone(),
            valid_until: area.latest().valid_until.clone(),
            ..area.on(today).clone()
        };
        let mut areas: Vec<v1::Area> = self.areas.iter().map(state).collect();
        areas.sort_by_key(|area| area.code.clone());
        areas
    }

    /// Every institution as it holds on the day of `now`, by id; its dates are those of the latest state.
    pub(crate) fn institutions_on(&self, now: Timestamp) -> Vec<v1::Institution> {
        let today = date_of(now, &self.zone);
        let state = |institution: &super::registry::Stated<v1::Institution>| v1::Institution {
            valid_from: institution.latest().valid_from.clone(),
            valid_until: institution.latest().valid_until.clone(),
            ..institution.on(today).clone()
        };
        let mut institutions: Vec<v1::Institution> = self.institutions.iter().map(state).collect();
        institutions.sort_by_key(|institution| institution.institution_id.clone());
        institutions
    }
}
