//! What a frozen payload struct looks like, in words that change with it.
//!
//! postcard writes no names and no types: fields that are swapped or renamed
//! read wrongly and without an error. So the shape of every payload is told as
//! a text, `MissionWordV1 { mission: [u8; 16], word: u8 }`, found by letting
//! serde build a value while noting what it asks for. A log keeps a hash of the
//! text beside the schema, and a release with another shape is found out.

use std::fmt::{self, Write as _};

use serde::de::value::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

use super::Payload;

/// The shape of the payload of one event type and schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The type's number.
    pub event_type: u16,
    /// The schema.
    pub schema: u16,
    /// The type's name, which is not part of the shape.
    pub name: &'static str,
    /// The struct, its fields in order, their types: the same text exactly as
    /// long as bytes mean the same.
    pub text: String,
}

/// The shapes of all schemas of a type, the first one first. For
/// [`stored_events`](super::stored_events) alone.
pub(crate) fn shapes_of<P: Payload>(event_type: u16, name: &'static str) -> Vec<Shape> {
    if P::SCHEMA == 0 {
        return Vec::new();
    }
    let mut shapes = shapes_of::<P::Previous>(event_type, name);
    shapes.push(Shape {
        event_type,
        schema: P::SCHEMA,
        name,
        text: text_of::<P>(),
    });
    shapes
}

fn text_of<P: Payload>() -> String {
    traced::<P>().expect("a frozen payload holds nothing but what `Payload` allows")
}

fn traced<'de, T: serde::Deserialize<'de>>() -> Result<String, Error> {
    let mut text = String::new();
    T::deserialize(Tracer { text: &mut text })?;
    Ok(text)
}

/// Notes what is asked for, and gives the least value of it.
struct Tracer<'t> {
    text: &'t mut String,
}

/// Methods for what is one value of its own: what it is called, and the least of it.
macro_rules! values {
    ($($method:ident $visit:ident $least:expr, $name:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.text.push_str($name);
            visitor.$visit($least)
        }
    )+};
}

/// Methods for what no frozen payload may hold.
macro_rules! refused {
    ($($method:ident($($argument:ty),*) $name:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, Error> {
            Err(Error::custom(concat!("a frozen payload holds no ", $name)))
        }
    )+};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    values! {
        deserialize_bool visit_bool false, "bool";
        deserialize_u8 visit_u8 0, "u8";
        deserialize_u16 visit_u16 0, "u16";
        deserialize_u32 visit_u32 0, "u32";
        deserialize_u64 visit_u64 0, "u64";
        deserialize_u128 visit_u128 0, "u128";
        deserialize_i8 visit_i8 0, "i8";
        deserialize_i16 visit_i16 0, "i16";
        deserialize_i32 visit_i32 0, "i32";
        deserialize_i64 visit_i64 0, "i64";
        deserialize_i128 visit_i128 0, "i128";
        deserialize_string visit_string String::new(), "String";
    }

    refused! {
        deserialize_any() "value that says itself what it is";
        deserialize_ignored_any() "value that is ignored";
        deserialize_identifier() "names";
        deserialize_f32() "floats";
        deserialize_f64() "floats";
        deserialize_char() "characters";
        deserialize_str() "borrowed text";
        deserialize_bytes() "borrowed bytes";
        deserialize_byte_buf() "byte buffers";
        deserialize_map() "maps";
        deserialize_unit() "unit";
        deserialize_unit_struct(&'static str) "unit structs";
        deserialize_newtype_struct(&'static str) "newtypes";
        deserialize_tuple_struct(&'static str, usize) "tuple structs";
        deserialize_enum(&'static str, &'static [&'static str]) "enums";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text.push_str("Option<");
        let value = visitor.visit_some(Tracer { text: self.text })?;
        self.text.push('>');
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text.push('[');
        let mut element = Elements::of(1);
        let value = visitor.visit_seq(&mut element)?;
        self.text.push_str(&element.texts.concat());
        self.text.push(']');
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut elements = Elements::of(length);
        let value = visitor.visit_seq(&mut elements)?;
        let first = elements.texts.first().cloned().unwrap_or_default();
        if elements.texts.iter().any(|text| *text != first) {
            return Err(Error::custom("a frozen payload holds no tuples"));
        }
        write!(self.text, "[{first}; {length}]").map_err(Error::custom)?;
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut elements = Elements::of(fields.len());
        let value = visitor.visit_seq(&mut elements)?;
        let fields = fields.iter().zip(&elements.texts);
        let fields: Vec<_> = fields
            .map(|(field, text)| format!(" {field}: {text}"))
            .collect();
        let (fields, end) = (fields.join(","), if fields.is_empty() { "" } else { " " });
        write!(self.text, "{name} {{{fields}{end}}}").map_err(Error::custom)?;
        Ok(value)
    }

    fn is_human_readable(&self) -> bool {
        // As postcard says: what serialises itself otherwise for people must not do so here.
        false
    }
}

/// The elements of a sequence or the fields of a struct, each with its text.
struct Elements {
    left: usize,
    texts: Vec<String>,
}

impl Elements {
    const fn of(left: usize) -> Self {
        Self {
            left,
            texts: Vec::new(),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Elements {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let mut text = String::new();
        let value = seed.deserialize(Tracer { text: &mut text })?;
        self.texts.push(text);
        Ok(Some(value))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            event_type,
            schema,
            name,
            text,
        } = self;
        write!(f, "{event_type} {schema} {name}: {text}")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Inner {
        _id: [u8; 16],
    }

    #[derive(Deserialize)]
    struct Outer {
        _small: u8,
        _large: Option<i64>,
        _many: Vec<Inner>,
        _words: Vec<Option<String>>,
    }

    #[derive(Deserialize)]
    struct Swapped {
        _large: Option<i64>,
        _small: u8,
    }

    #[derive(Deserialize)]
    struct Holding<T> {
        _value: T,
    }

    #[derive(Deserialize)]
    enum Word {
        _One,
    }

    #[test]
    fn a_shape_names_the_struct_its_fields_and_their_types_down_to_the_last() {
        assert_eq!(
            traced::<Outer>().unwrap(),
            "Outer { _small: u8, _large: Option<i64>, _many: [Inner { _id: [u8; 16] }], _words: [Option<String>] }"
        );
        assert_eq!(
            traced::<Swapped>().unwrap(),
            "Swapped { _large: Option<i64>, _small: u8 }"
        );
    }

    #[test]
    fn what_a_frozen_payload_must_not_hold_has_no_shape() {
        assert!(traced::<Holding<Word>>().is_err());
        assert!(traced::<Holding<char>>().is_err());
        assert!(traced::<Holding<(u8, u16)>>().is_err());
        assert!(traced::<Holding<std::collections::BTreeMap<u8, u8>>>().is_err());
        assert!(traced::<Holding<Inner>>().is_ok());
    }
}
