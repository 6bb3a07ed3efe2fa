//! JSON of a request as a value, with what a plain parser would not tell:
//! where reading stopped, and which members come twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problem::{Fault, Faults, Problem, ProblemKind};

/// How deep arrays and objects may lie in one another, levels.
pub const DEPTH_MAX: usize = 32;

/// A body that is well-formed JSON.
///
/// An object with a member that comes twice is well-formed, but what is meant
/// is not known (RFC 8259, section 4): it is a fault of the content, which
/// [`Document::into_parts`] hands out to be listed beside the others. Of such
/// members the last stays in the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    value: Value,
    faults: Faults,
}

impl Document {
    /// Reads a body whole.
    ///
    /// # Errors
    /// `malformed-body` (400) with line and column: not UTF-8, not JSON, or
    /// nested deeper than [`DEPTH_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let malformed = |detail| Problem::new(ProblemKind::MalformedBody, detail);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(malformed(
                "the body is empty; send a JSON object".to_owned(),
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (line, column) = line_and_column(bytes, error.valid_up_to());
            malformed(format!(
                "the body is not UTF-8 at line {line} column {column}; send JSON in UTF-8"
            ))
        })?;
        let walk = RefCell::new(Walk::default());
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Node {
            walk: &walk,
            depth: 0,
        }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| malformed(format!("the body is not JSON as it is taken here: {error}")))?;
        Ok(Self {
            value,
            faults: walk.into_inner().faults,
        })
    }

    /// A value that no text was read for.
    #[must_use]
    pub fn from_value(value: Value) -> Self {
        Self {
            value,
            faults: Faults::default(),
        }
    }

    /// What the body says.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The items of an array, each a document of its own: pointers begin at
    /// the item. Gives the document back if it is no array.
    ///
    /// # Errors
    /// The document, if it is no array.
    pub fn into_items(self) -> Result<Vec<Self>, Self> {
        let Value::Array(values) = self.value else {
            return Err(self);
        };
        let mut items: Vec<Self> = values.into_iter().map(Self::from_value).collect();
        for fault in self.faults.listed() {
            let place = fault
                .pointer()
                .strip_prefix('/')
                .and_then(|rest| rest.split_once('/'));
            let place = place.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)));
            if let Some((item, rest)) =
                place.and_then(|(index, rest)| Some((items.get_mut(index)?, rest)))
            {
                item.faults
                    .add(Fault::new(format!("/{rest}"), fault.code(), fault.detail()));
            }
        }
        Ok(items)
    }

    /// What the body says, and the members that come twice.
    #[must_use]
    pub fn into_parts(self) -> (Value, Faults) {
        (self.value, self.faults)
    }
}

/// The text of a member's value in a text that is a well-formed object, as it stands there.
#[must_use]
pub fn member_as_sent<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = object.trim_start().strip_prefix('{')?;
    loop {
        let (key, after) = next_value(rest)?;
        let (value, after) = next_value(after.trim_start().strip_prefix(':')?)?;
        if serde_json::from_str::<String>(key).is_ok_and(|key| key == name) {
            return Some(value);
        }
        rest = after.trim_start().strip_prefix(',')?;
    }
}

/// The texts of the items of a text that is a well-formed array, as they stand there.
pub fn items_as_sent(array: &str) -> impl Iterator<Item = &str> {
    let mut rest = array.trim_start().strip_prefix('[');
    std::iter::from_fn(move || {
        let (item, after) = next_value(rest?)?;
        rest = after.trim_start().strip_prefix(',');
        Some(item)
    })
}

/// The value that a text begins with, and what comes after it.
fn next_value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    text.split_at_checked(values.byte_offset())
}

/// Both from 1; columns count bytes, as the JSON parser's do.
fn line_and_column(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let mut lines = before.split(|byte| *byte == b'\n').rev();
    let column = lines.next().map_or(0, <[u8]>::len) + 1;
    (lines.count() + 1, column)
}

/// Where reading is, and what it found.
#[derive(Default)]
struct Walk {
    path: Vec<String>,
    faults: Faults,
}

impl Walk {
    fn note_repeated(&mut self, name: &str) {
        let mut pointer = String::new();
        for token in &self.path {
            pointer.push('/');
            pointer.push_str(&super::problem::escape(token));
        }
        pointer.push('/');
        pointer.push_str(&super::problem::escape(name));
        self.faults.add(Fault::new(
            pointer,
            "repeated",
            "this member comes more than once; send it once",
        ));
    }
}

struct Node<'w> {
    walk: &'w RefCell<Walk>,
    depth: usize,
}

impl Node<'_> {
    fn child<E: Error>(&self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!(
                "nested deeper than {DEPTH_MAX} levels"
            )));
        }
        Ok(Node {
            walk: self.walk,
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            self.walk.borrow_mut().path.push(array.len().to_string());
            let item = items.next_element_seed(self.child()?)?;
            self.walk.borrow_mut().path.pop();
            match item {
                Some(item) => array.push(item),
                None => return Ok(Value::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.walk.borrow_mut().path.push(name.clone());
            let value = members.next_value_seed(self.child()?)?;
            self.walk.borrow_mut().path.pop();
            if object.contains_key(&name) {
                self.walk.borrow_mut().note_repeated(&name);
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn detail_of(body: &[u8]) -> String {
        let problem = Document::parse(body).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::MalformedBody);
        problem.detail().to_owned()
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let ours = Document::parse(&body).map(|document| document.value);
            let theirs = serde_json::from_slice::<Value>(&body);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn a_body_keeps_its_values_and_their_order() {
        let text = r#"{"z": [1, -2, 2.5, true, null, "ä"], "a": {"b": 18446744073709551615}}"#;
        let document = Document::parse(text.as_bytes()).unwrap();
        assert_eq!(
            document.value(),
            &json!({"z": [1, -2, 2.5, true, null, "ä"], "a": {"b": u64::MAX}})
        );
        assert_eq!(
            document
                .value()
                .as_object()
                .unwrap()
                .keys()
                .collect::<Vec<_>>(),
            ["z", "a"]
        );
        assert!(document.into_parts().1.is_empty());
    }

    #[test]
    fn what_is_malformed_is_refused_with_line_and_column() {
        assert!(detail_of(b"{\"a\": 1,\n  \"b\" 2}").contains("line 2 column 7"));
        assert!(detail_of(b"{} x").contains("trailing characters at line 1 column 4"));
        assert!(detail_of(b"{\"a\":\n \"\xff\"}").contains("not UTF-8 at line 2 column 3"));
        assert!(detail_of(b" \n").contains("empty"));
        assert!(detail_of(br#""\ud800""#).contains("line 1"));
        assert!(detail_of(b"1e999").contains("out of range"));
    }

    #[test]
    fn thirty_two_levels_are_taken_and_no_more() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Document::parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert!(
            detail_of(nested(DEPTH_MAX + 1).as_bytes())
                .contains("nested deeper than 32 levels at line 1")
        );
        assert!(detail_of("[".repeat(1_000_000).as_bytes()).contains("nested deeper"));
        let objects = format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33));
        assert!(detail_of(objects.as_bytes()).contains("nested deeper"));
    }

    #[test]
    fn the_items_of_an_array_are_documents_with_their_own_faults() {
        let document = Document::parse(br#"[{"a": 1}, {"b": {"c": 1, "c": 2}}]"#).unwrap();
        let items = document.into_items().unwrap();
        assert_eq!(items[0], Document::from_value(json!({"a": 1})));
        let (value, faults) = items[1].clone().into_parts();
        assert_eq!(value, json!({"b": {"c": 2}}));
        assert_eq!(faults.listed()[0].pointer(), "/b/c");
        assert!(Document::from_value(json!({})).into_items().is_err());
    }

    proptest! {
        #[test]
        fn what_was_sent_is_found_as_it_stands_there(
            texts in proptest::collection::vec("( )?(-?[1-9]{1,3}(\\.5)?|\"[a-z\\]}, ]{0,4}\"|true|null|\\[1, \\{\\}\\]|\\{\"data\": 2 \\})", 0..6),
            blank in prop::sample::select(vec!["", " ", "\n\t"]),
        ) {
            let list = format!("{blank}[{}{blank}]", texts.join(&format!("{blank},")));
            let items: Vec<_> = items_as_sent(&list).collect();
            let as_sent: Vec<_> = texts.iter().map(|text| text.trim_start()).collect();
            prop_assert_eq!(items, as_sent);
            let members = texts.iter().zip(0..);
            let members: Vec<_> = members.map(|(text, n)| format!("{blank}\"\\u0061{n}\"{blank}:{text}")).collect();
            let object = format!("{blank}{{{}{blank}}}", members.join(","));
            for (text, n) in texts.iter().zip(0..) {
                prop_assert_eq!(member_as_sent(&object, &format!("a{n}")), Some(text.trim_start()));
            }
            prop_assert_eq!(member_as_sent(&object, "data"), None);
        }
    }

    #[test]
    fn every_member_that_comes_twice_is_named() {
        let document =
            Document::parse(br#"{"a": {"b/": 1, "b/": 2}, "c": [{}, {"d": 1, "d": 1}], "a": 3}"#)
                .unwrap();
        let (value, faults) = document.into_parts();
        assert_eq!(value["a"], 3);
        let pointers: Vec<_> = faults.listed().iter().map(Fault::pointer).collect();
        assert_eq!(pointers, ["/a/b~1", "/c/1/d", "/a"]);
    }
}
