//! How values of a type lie one after the other where they are stored, asked of the type itself.
//!
//! A type is read from a source that has one of everything and notes what is asked of it: names and types of fields, in their order, and the
//! variants of enums. That depends on no history, and on no hash table's order.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor, value::Error,
    },
};

/// What is stored of a type. It is read until each variant of each enum was met.
pub(super) fn of<'de, T: Deserialize<'de>>() -> String {
    let mut notes = Notes::default();
    loop {
        T::deserialize(&mut notes).expect("there is one of everything");
        notes.text.push('\n');
        if notes.variants.values().all(|(next, of)| next >= of) {
            return notes.text;
        }
    }
}

/// Bytes that any protobuf message can be read from: a field that none has. Messages inside the state know by themselves how to grow.
const ANY_MESSAGE: [u8; 3] = [0xF8, 0x7F, 0];

#[derive(Default)]
struct Notes {
    text: String,
    /// Of each enum, by its name and variants: how many of these were met, and how many there are.
    variants: BTreeMap<(&'static str, &'static [&'static str]), (usize, usize)>,
    /// Which element of a sequence is read now.
    element: usize,
}

impl Notes {
    fn note(&mut self, what: &str) {
        self.text.push_str(what);
        self.text.push(' ');
    }

    fn between<R>(&mut self, opens: &str, work: impl FnOnce(&mut Self) -> R, closes: &str) -> R {
        self.note(opens);
        let done = work(self);
        self.note(closes);
        done
    }
}

/// One after the other, so many.
struct Elements<'a> {
    notes: &'a mut Notes,
    names: Option<&'static [&'static str]>,
    next: usize,
    count: usize,
}

impl<'a> Elements<'a> {
    fn of(notes: &'a mut Notes, count: usize) -> Self {
        Self { notes, names: None, next: 0, count }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.next == self.count {
            return Ok(None);
        }
        if let Some(names) = self.names {
            self.notes.text.push_str(names[self.next]);
            self.notes.text.push(':');
        }
        self.notes.element = self.next;
        self.next += 1;
        seed.deserialize(&mut *self.notes).map(Some)
    }
}

/// A sequence: one element, and of bytes as many as make a message.
struct Sequence<'a>(Elements<'a>);

impl<'de> SeqAccess<'de> for Sequence<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let before = self.0.notes.text.len();
        let element = self.0.next_element_seed(seed)?;
        if self.0.notes.text[before..] == *"u8 " {
            self.0.count = ANY_MESSAGE.len();
        }
        Ok(element)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.notes.note("=>");
        seed.deserialize(&mut *self.notes)
    }
}

/// One variant of an enum.
struct Variant<'a>(&'a mut Notes, u32);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let index: serde::de::value::U32Deserializer<Error> = self.1.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_struct("", fields, visitor)
    }
}

/// Values that are noted by their type's name.
macro_rules! values {
    ($($method:ident $visit:ident $name:literal $value:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.note($name);
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Notes {
    type Error = Error;

    values! {
        deserialize_bool visit_bool "bool" true;
        deserialize_i8 visit_i8 "i8" 1;
        deserialize_i16 visit_i16 "i16" 1;
        deserialize_i32 visit_i32 "i32" 1;
        deserialize_i64 visit_i64 "i64" 1;
        deserialize_i128 visit_i128 "i128" 1;
        deserialize_u16 visit_u16 "u16" 1;
        deserialize_u32 visit_u32 "u32" 1;
        deserialize_u64 visit_u64 "u64" 1;
        deserialize_u128 visit_u128 "u128" 1;
        deserialize_f32 visit_f32 "f32" 1.0;
        deserialize_f64 visit_f64 "f64" 1.0;
        deserialize_char visit_char "char" 'a';
        deserialize_str visit_str "str" "";
        deserialize_string visit_str "str" "";
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note("u8");
        visitor.visit_u8(ANY_MESSAGE[self.element % ANY_MESSAGE.len()])
    }

    /// As many bytes as the type says that it expects.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let expected = (&visitor as &dyn Expected).to_string();
        self.note(&format!("bytes, {expected},"));
        let count = expected.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
        visitor.visit_bytes(&vec![1; count])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.between("option(", |notes| visitor.visit_some(notes), ")")
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.note(name);
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.note(name);
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.between("[", |notes| visitor.visit_seq(Sequence(Elements::of(notes, 1))), "]")
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.between("(", |notes| visitor.visit_seq(Elements::of(notes, len)), ")")
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(name);
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.between("map{", |notes| visitor.visit_map(Elements::of(notes, 1)), "}")
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(name);
        let read = |notes: &mut Notes| {
            visitor.visit_seq(Elements { names: Some(fields), ..Elements::of(notes, fields.len()) })
        };
        self.between("{", read, "}")
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (next, of) = self.variants.entry((name, variants)).or_insert((0, variants.len()));
        let index = *next % *of;
        *next += 1;
        self.note(&format!("{name}, {index} of {variants:?}:"));
        let index = u32::try_from(index).map_err(Error::custom)?;
        visitor.visit_enum(Variant(self, index))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("names are not stored"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("what is stored does not tell its type"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }
}
