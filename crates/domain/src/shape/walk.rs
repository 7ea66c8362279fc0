//! Walks an encoded event field by field and copies what the rows of its class let pass.

use std::collections::BTreeMap;

use prost::{
    Message as _,
    encoding::{self, DecodeContext, WireType},
};
use satgas_proto::v1;

use super::{
    Shape,
    table::{Class, FIELDS, Place, Treatment},
};
use crate::{Map, event::Malformed};

/// Field number of `Event.shaping`.
pub(super) const SHAPING: u32 = 6;
/// What an event has besides what it tells: nobody misses it.
const SALT: &str = "salt";
/// The package of the vocabulary, as it stands in front of the names of messages.
const PACKAGE: &str = "satgas.v1";

/// The rows of one class by the numbers of the fields, with the event's message first.
#[derive(Debug)]
pub(super) struct Messages(Vec<Rows>);

#[derive(Debug, Default)]
struct Rows(BTreeMap<u32, Row>);

#[derive(Debug)]
struct Row {
    name: String,
    treatment: Treatment,
    /// The message that the field holds, when it is one with rows of its own.
    message: Option<usize>,
    is_repeated: bool,
    /// The choice that the field is part of.
    one_of: Option<i32>,
}

impl Messages {
    /// Looks up the numbers of all fields that the table names.
    pub(super) fn of(class: Class) -> Self {
        let names: Vec<&str> = names();
        let described = described();
        let rows = names.iter().map(|name| {
            let fields = described.get(*name).map(|message| message.field.as_slice()).unwrap_or_default();
            let named = FIELDS.iter().filter(|(message, ..)| message == name);
            let rows = named.flat_map(|(_, fields, treatments)| fields.iter().map(move |field| (*field, treatments)));
            let rows = rows.filter_map(|(field, treatments)| {
                let field = fields.iter().find(|described| described.name() == field)?;
                let of_type = field.type_name().strip_prefix(&format!(".{PACKAGE}.")).unwrap_or_default();
                let row = Row {
                    name: field.name().to_owned(),
                    treatment: treatments[class.column()],
                    message: names.iter().position(|name| *name == of_type),
                    is_repeated: field.label() == prost_types::field_descriptor_proto::Label::Repeated,
                    one_of: field.oneof_index.filter(|_| !field.proto3_optional()),
                };
                Some((u32::try_from(field.number()).ok()?, row))
            });
            Rows(rows.collect())
        });
        Self(rows.collect())
    }
}

/// Names of the messages that have rows, each once, in the order of the table.
fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in FIELDS {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names
}

fn described() -> Map<String, prost_types::DescriptorProto> {
    let files = prost_types::FileDescriptorSet::decode(satgas_proto::DESCRIPTORS).expect("the build encoded it").file;
    let files = files.into_iter().filter(|file| file.package() == PACKAGE);
    files.flat_map(|file| file.message_type).map(|message| (message.name().to_owned(), message)).collect()
}

/// One event on its way.
pub(super) struct Walk<'s> {
    shape: &'s Shape,
    place: Place,
    /// The body's field, when only the fact is told.
    fact_of: Option<&'static str>,
    /// Names of the fields on the way to the message that is walked, each with a dot.
    path: String,
    missing: v1::Shaping,
}

impl<'s> Walk<'s> {
    pub(super) fn new(shape: &'s Shape, place: Place, fact_of: Option<&'static str>) -> Self {
        Self { shape, place, fact_of, path: String::new(), missing: v1::Shaping::default() }
    }

    /// What is missing from what was walked.
    pub(super) fn missing(self) -> v1::Shaping {
        self.missing
    }

    /// Copies an event. The length of what stands before its body.
    pub(super) fn event(&mut self, event: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut head_len = None;
        self.fields(0, event, out, &mut |out| {
            head_len.get_or_insert(out.len());
        })?;
        if let Some(body) = self.fact_of {
            self.missing.withheld.push(body.to_owned());
        }
        Ok(head_len.unwrap_or(out.len()))
    }

    /// Copies the fields of a message that pass. `before` is told of each message in it before it is written.
    fn fields(
        &mut self,
        index: usize,
        message: &[u8],
        out: &mut Vec<u8>,
        before: &mut dyn FnMut(&Vec<u8>),
    ) -> Result<(), Malformed> {
        let shape = self.shape;
        let Some(rows) = shape.messages.0.get(index) else { return Ok(()) };
        let (mut chosen, mut times): (Vec<i32>, Map<u32, usize>) = (Vec::new(), Map::default());
        let mut rest = message;
        while !rest.is_empty() {
            let field = Field::take(&mut rest)?;
            // No row: not sent.
            let Some(row) = rows.0.get(&field.number) else { continue };
            let nth = *times.entry(field.number).and_modify(|times| *times += 1).or_default();
            if index == 0 && field.number == SHAPING {
                self.missing.few.extend(v1::Shaping::decode(field.bytes()?)?.few);
                continue;
            }
            if row.message.is_some() && index == 0 && self.fact_of.is_some() {
                continue;
            }
            let written = out.len();
            match (row.treatment, row.message) {
                (Treatment::Keep, Some(message)) => {
                    before(out);
                    self.message(row, nth, &field, message, out)?;
                    chosen.extend(row.one_of);
                }
                _ => self.value(row, nth, &field, out)?,
            }
            if out.len() > written {
                chosen.extend(row.one_of);
            }
        }
        self.name_missing(rows, &chosen);
        Ok(())
    }

    /// Copies a message within a message.
    fn message(
        &mut self,
        row: &Row,
        nth: usize,
        field: &Field<'_>,
        message: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let mut inner = Vec::with_capacity(field.value.len());
        let outer = self.path.len();
        self.path.push_str(&row.name);
        if row.is_repeated {
            self.path.push_str(&format!("[{nth}]"));
        }
        self.path.push('.');
        self.fields(message, field.bytes()?, &mut inner, &mut |_| ())?;
        self.path.truncate(outer);
        encoding::encode_key(field.number, WireType::LengthDelimited, out);
        encoding::encode_varint(inner.len() as u64, out);
        out.extend_from_slice(&inner);
        Ok(())
    }

    /// Copies a value, or what is left of it.
    fn value(&mut self, row: &Row, nth: usize, field: &Field<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match row.treatment {
            Treatment::Withhold => {}
            Treatment::Keep => out.extend_from_slice(field.whole),
            Treatment::IfExact if self.place == Place::Exact => out.extend_from_slice(field.whole),
            Treatment::IfExact => {}
            Treatment::Few if self.shape.is_small(field.number_in()?) => {
                let index = if row.is_repeated { format!("[{nth}]") } else { String::new() };
                self.missing.few.push(format!("{}{}{index}", self.path, row.name));
            }
            Treatment::Few => out.extend_from_slice(field.whole),
            Treatment::Day => {
                if let Some(day) = self.shape.day_of_encoded(field.bytes()?)? {
                    encoding::message::encode(field.number, &day, out);
                }
            }
            Treatment::Place => {
                let code = std::str::from_utf8(field.bytes()?).map_err(|_| Malformed)?;
                encoding::string::encode(field.number, &super::cut(code, self.place).to_owned(), out);
            }
        }
        Ok(())
    }

    /// Names what is missing from a message. Of a choice that something was sent of, nothing is.
    fn name_missing(&mut self, rows: &Rows, chosen: &[i32]) {
        // The events of a list are alike: the first stands for all, and whether there are others shows anyway.
        if self.path.contains('[') && !self.path.ends_with("[0].") {
            return;
        }
        let path = self.path.replace("[0]", "");
        for row in rows.0.values().filter(|row| !(path.is_empty() && row.name == SALT)) {
            let name = || format!("{path}{}", row.name);
            let is_chosen = row.one_of.is_some_and(|one_of| chosen.contains(&one_of));
            // The body of a fact is named by itself.
            let is_fact = path.is_empty() && self.fact_of.is_some() && row.one_of.is_some();
            match row.treatment {
                Treatment::Withhold if !is_chosen && !is_fact => self.missing.withheld.push(name()),
                Treatment::IfExact if self.place != Place::Exact => self.missing.withheld.push(name()),
                Treatment::Day => self.missing.coarser.push(name()),
                Treatment::Place if self.place != Place::Exact => self.missing.coarser.push(name()),
                _ => {}
            }
        }
    }
}

/// One field as it is encoded.
struct Field<'a> {
    number: u32,
    wire: WireType,
    /// Key and value.
    whole: &'a [u8],
    /// The value, with its length where it has one.
    value: &'a [u8],
}

impl<'a> Field<'a> {
    fn take(rest: &mut &'a [u8]) -> Result<Self, Malformed> {
        let whole = *rest;
        let (number, wire) = encoding::decode_key(rest)?;
        let value = *rest;
        encoding::skip_field(wire, number, rest, DecodeContext::default())?;
        let len = |of: &[u8]| of.len() - rest.len();
        Ok(Self { number, wire, whole: &whole[..len(whole)], value: &value[..len(value)] })
    }

    /// The bytes of a text, of bytes or of a message.
    fn bytes(&self) -> Result<&'a [u8], Malformed> {
        if self.wire != WireType::LengthDelimited {
            return Err(Malformed);
        }
        let mut rest = self.value;
        encoding::decode_varint(&mut rest)?;
        Ok(rest)
    }

    /// The number; numbers that are told as few are never negative.
    fn number_in(&self) -> Result<u64, Malformed> {
        if self.wire != WireType::Varint {
            return Err(Malformed);
        }
        let mut rest = self.value;
        Ok(encoding::decode_varint(&mut rest)?)
    }
}
