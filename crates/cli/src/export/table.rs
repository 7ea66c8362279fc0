//! What flat files hold: named, typed fields, and rows of values that may be absent.

use jiff::Timestamp;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name, in the words of the API.
    pub(super) name: String,
    /// What its values are.
    pub(super) kind: Kind,
    /// Whether no value of it is ever absent.
    pub(super) required: bool,
}

impl Field {
    /// A column in which every row has a value.
    pub(super) fn required(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, required: true }
    }

    /// A column in which values may be absent.
    pub(super) fn optional(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, required: false }
    }
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers from 0.
    Count,
    /// Numbers.
    Real,
    /// Yes or no.
    Flag,
    /// Points in time, kept to the microsecond.
    Time,
    /// Text that often comes again, such as a code.
    Text,
    /// Text that is different in every row.
    Document,
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Of a [`Kind::Count`].
    Count(u64),
    /// Of a [`Kind::Real`].
    Real(f64),
    /// Of a [`Kind::Flag`].
    Flag(bool),
    /// Of a [`Kind::Time`].
    Time(Timestamp),
    /// Of a [`Kind::Text`] or [`Kind::Document`].
    Text(String),
    /// There is none: not 0, not empty.
    Absent,
}

impl Value {
    /// Text; absent when it is empty, as unset text is on the wire.
    pub(super) fn text(text: impl Into<String>) -> Self {
        match text.into() {
            text if text.is_empty() => Self::Absent,
            text => Self::Text(text),
        }
    }

    /// A count, when there is one.
    pub(super) fn count(count: Option<u64>) -> Self {
        count.map_or(Self::Absent, Self::Count)
    }

    /// A number, when there is one.
    pub(super) fn real(number: Option<f64>) -> Self {
        number.map_or(Self::Absent, Self::Real)
    }

    /// A time, when it is set and in a calendar.
    pub(super) fn time(time: Option<&pbjson_types::Timestamp>) -> Self {
        time.and_then(crate::time::from_proto).map_or(Self::Absent, Self::Time)
    }

    /// As a cell of a CSV file; an absent one is empty.
    pub(super) fn into_csv(self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Time(time) => time.to_string(),
            Self::Text(text) => text,
            Self::Absent => String::new(),
        }
    }
}
