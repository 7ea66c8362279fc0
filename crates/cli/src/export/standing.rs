//! What the figures of a file stand on: said in every file, the same way.

use jiff::{Timestamp, tz::TimeZone};
use satgas_proto::v1;

use crate::{print::hex, time};

/// What must be said of figures, whatever they are.
pub(super) struct Standing {
    /// The period.
    pub(super) period: v1::Period,
    /// What the areas' codes begin with; empty for all.
    pub(super) area: String,
    /// What all of them are made of.
    pub(super) basis: v1::Basis,
    /// The log's time zone.
    pub(super) zone: TimeZone,
    /// When this was exported.
    pub(super) exported_at: Timestamp,
}

impl Standing {
    /// The facts that go into a Parquet file beside its schema's name and version.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let v1::Basis { position, head_hash, as_of, rule_set, sample_data } = &self.basis;
        let as_of = as_of.as_ref().and_then(time::from_proto);
        vec![
            ("sample_data", sample_data.to_string()),
            ("head_position", position.to_string()),
            ("head_hash", hex(head_hash, 64)),
            ("as_of", as_of.map(|time| time.to_string()).unwrap_or_default()),
            ("rule_set", rule_set.clone()),
            ("period", self.period.code.clone()),
            ("area_prefix", self.area.clone()),
            ("exported_at", self.exported_at.to_string()),
        ]
    }
}
