//! Where a field's content comes from: a column of the export, or a constant of the mapping.
//!
//! In the mapping `"kunjungan/tujuan"` is a column; a table adds how its cells are read: `{ column = "kunjungan/tujuan", choices =
//! { sos = "sosialisasi" } }`; `{ value = "hp-kantor" }` is a constant.

use std::{collections::BTreeMap, fmt};

use jiff::tz::TimeZone;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Choices that a reason lists; a form with all schools of a city has hundreds.
const LISTED_MAX: usize = 12;

/// Where a field's content comes from, and how it is read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The place itself.
    pub(super) origin: Origin,
    /// What a form's choice names stand for; without, they are taken as they are. An empty text stands for nothing.
    pub(super) choices: Option<BTreeMap<String, String>>,
    /// How a day or time is written, in strftime's letters.
    pub(super) format: Option<String>,
    /// The zone of times without an offset, where this column's differs from the mapping's.
    pub(super) zone: Option<TimeZone>,
}

/// A column or a constant.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A column by the form's own name for it, groups before it separated by `/`.
    Column(String),
    /// The same for every row.
    Constant(String),
}

/// A source as a table of the mapping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    column: Option<String>,
    value: Option<String>,
    choices: Option<BTreeMap<String, String>>,
    format: Option<String>,
    time_zone: Option<String>,
}

impl Source {
    /// A column whose cells are taken as they are.
    pub(super) fn column(name: impl Into<String>) -> Self {
        Self { origin: Origin::Column(name.into()), choices: None, format: None, zone: None }
    }

    /// The column's name, unless it is a constant.
    pub(super) fn column_name(&self) -> Option<&str> {
        match &self.origin {
            Origin::Column(name) => Some(name),
            Origin::Constant(_) => None,
        }
    }

    /// What a choice name stands for.
    ///
    /// # Errors
    /// What is taken; never the cell itself.
    pub(super) fn choice<'a>(&'a self, name: &'a str) -> Result<&'a str, String> {
        let Some(choices) = &self.choices else { return Ok(name) };
        choices.get(name).map(String::as_str).ok_or_else(|| {
            let mut known = choices.keys().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
            if choices.len() > LISTED_MAX {
                known.push_str(&format!(" and {} more", choices.len() - LISTED_MAX));
            }
            format!("has a choice that the mapping does not know; it knows: {known}")
        })
    }
}

impl TryFrom<Table> for Source {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let Table { column, value, choices, format, time_zone } = table;
        let origin = match (column, value) {
            (Some(column), None) => Origin::Column(column),
            (None, Some(value)) if choices.is_none() && format.is_none() && time_zone.is_none() => {
                Origin::Constant(value)
            }
            (None, Some(_)) => {
                return Err("`value` is a constant: it takes no `choices`, `format` or `time_zone`".into());
            }
            _ => return Err("give either `column` or `value`".into()),
        };
        let zone = time_zone.map(|name| zone(&name)).transpose()?;
        Ok(Self { origin, choices, format, zone })
    }
}

/// A time zone by its name.
///
/// # Errors
/// A sentence with an example.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("`{name}` is no known time zone; write it as Asia/Makassar or UTC"))
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = Source;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a column's name, { column = \"…\" } or { value = \"…\" }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Source, E> {
        Ok(Source::column(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        Source::try_from(table).map_err(de::Error::custom)
    }
}
