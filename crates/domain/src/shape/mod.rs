//! What a class of readers gets to see, made from what is stored.
//!
//! Invariants:
//! - What the table ([`KINDS`], [`FIELDS`]) does not name does not pass: fields are copied one by one because a row says so.
//! - Shaping what is shaped changes nothing.
//! - What a message says is missing from it does not depend on what was missing: only on the class, the kind and on what is sent.
//!
//! A shape knows no caller. Who belongs to a class is the caller's business, and so is what is the caller's own.

mod figures;
mod table;
mod walk;

use prost::Message as _;

use self::walk::{Messages, Walk};
pub use self::{
    figures::warnings_prefix,
    table::{CLASSES, Class, FIELDS, FieldRow, KINDS, KindRow, Place, Sending, Treatment},
};
use crate::{
    event::{Head, Malformed},
    time::Calendar,
};

/// Numbers below this, and above 0, are small, unless the configuration says otherwise.
pub const SMALL_BELOW: u32 = 5;

/// The shape of one class.
#[derive(Debug)]
pub struct Shape {
    class: Class,
    small_below: u64,
    calendar: Calendar,
    messages: Messages,
}

impl Shape {
    /// The shape of a class. Numbers below `small_below` and above 0 are small; days are those of the calendar.
    #[must_use]
    pub fn new(class: Class, small_below: u32, calendar: Calendar) -> Self {
        Self { class, small_below: u64::from(small_below.max(2)), calendar, messages: Messages::of(class) }
    }

    /// An encoded event in this shape; `None` when nothing of it is sent.
    pub fn event(&self, event: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let kind = Head::peek(event)?.kind;
        let row = KINDS.iter().find(|(of_row, ..)| i32::from(*of_row) == kind);
        let Some((_, body, sending)) = row else { return Ok(None) };
        let (place, whole) = match sending[self.class.column()] {
            Sending::Nothing => return Ok(None),
            Sending::Fact(place) => (place, false),
            Sending::Fields(place) => (place, true),
        };
        let mut walk = Walk::new(self, place, (!whole).then_some(*body));
        let mut shaped = Vec::with_capacity(event.len());
        let head_len = walk.event(event, &mut shaped)?;
        let shaping = walk.missing();
        if shaping.withheld.is_empty() && shaping.few.is_empty() && shaping.coarser.is_empty() {
            return Ok(Some(shaped));
        }
        let body = shaped.split_off(head_len);
        prost::encoding::message::encode(walk::SHAPING, &shaping, &mut shaped);
        shaped.extend_from_slice(&body);
        Ok(Some(shaped))
    }

    /// Whether a number is above 0 and too small to be told.
    fn is_small(&self, number: u64) -> bool {
        number > 0 && number < self.small_below
    }
}

/// Cuts the code of an area to what a place allows.
fn cut(code: &str, place: Place) -> &str {
    let segments = match place {
        Place::Exact => return code,
        Place::Kecamatan => 3,
        Place::Kota => 2,
    };
    code.match_indices('.').nth(segments - 1).map_or(code, |(end, _)| &code[..end])
}

impl Shape {
    /// The first instant of the local day of a moment; `None` of what is no moment.
    fn day_of(&self, time: &pbjson_types::Timestamp) -> Option<pbjson_types::Timestamp> {
        let time = crate::time::Instant::from_proto(time)?;
        Some(self.calendar.start(self.calendar.day(time)).to_proto())
    }

    /// The same of an encoded moment.
    fn day_of_encoded(&self, time: &[u8]) -> Result<Option<pbjson_types::Timestamp>, Malformed> {
        Ok(self.day_of(&pbjson_types::Timestamp::decode(time)?))
    }
}
