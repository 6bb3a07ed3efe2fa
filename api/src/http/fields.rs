//! A body or a query, read field by field, so that all faults are found at
//! once and each is named by its pointer.
//!
//! ```
//! use api::http::fields::{self, text};
//! use api::http::json::Document;
//!
//! let body = Document::parse(br#"{"name": "", "nmae": 1}"#).unwrap();
//! let read = fields::read(body, |fields| {
//!     let name = fields.required("name", text(1..=100));
//!     let phone = fields.optional("phone", text(1..=16));
//!     Some((name?, phone))
//! });
//! assert_eq!(read.unwrap_err().faults().len(), 2);
//! ```
//!
//! The closure reads every field first and uses `?` only then: a field that is
//! not asked for is taken for an unknown one.

use std::cell::RefCell;
use std::fmt;

use serde_json::{Map, Value};

use super::json::Document;
use super::problem::{Fault, Faults, Problem, escape, quote};

mod query;
mod read;

pub use query::read_query;
pub use read::{boolean, decimal, entries, integer, known, list, number, object, parsed, text};

/// Reads a body that must be an object.
///
/// # Errors
/// `invalid-request` (422) with every fault: of the members, members that are
/// missing, unknown or come twice. What comes twice is named once, as that.
pub fn read<T>(
    document: Document,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<T, Problem> {
    let (value, repeated) = document.into_parts();
    let faults = RefCell::new(repeated);
    let root = Member {
        value: &value,
        at: At::Root,
        source: Source::Body,
        faults: &faults,
    };
    let content = object(read)(&root);
    conclude(content, faults.into_inner(), &value)
}

fn conclude<T>(content: Option<T>, mut faults: Faults, value: &Value) -> Result<T, Problem> {
    match content {
        Some(content) if faults.is_empty() => Ok(content),
        Some(_) | None => {
            if faults.is_empty() {
                faults.add(Fault::new(
                    "",
                    "value",
                    "this is not a request that is taken here",
                ));
            }
            faults.sort_as_in(value);
            Err(Problem::invalid(faults))
        }
    }
}

/// What a merge patch (RFC 7396) says about one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Nothing: it stays as it is.
    #[default]
    Keep,
    /// `null`: it goes.
    Clear,
    /// A new value.
    Set(T),
}

impl<T> Patch<T> {
    /// What becomes of `current`.
    pub fn apply(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// Where the fields come from: decides what they are called in a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Body,
    Query,
}

/// The way to a value, written out as a pointer only when there is a fault.
#[derive(Clone, Copy, Debug)]
enum At<'a> {
    Root,
    Name(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root => Ok(()),
            At::Name(parent, name) => write!(f, "{parent}/{}", escape(name)),
            At::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// A value and the way to it: what the functions of this module read.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    value: &'a Value,
    at: At<'a>,
    source: Source,
    faults: &'a RefCell<Faults>,
}

impl Member<'_> {
    /// The value as it is.
    #[must_use]
    pub fn value(&self) -> &Value {
        self.value
    }

    /// Reports a fault here. Returns `None`, so that a reader can end with it.
    pub fn fault<T>(&self, code: &'static str, detail: impl Into<String>) -> Option<T> {
        self.report(Fault::new(self.at.to_string(), code, detail))
    }

    /// Reports a fault here that names the limit which was passed.
    pub fn over_limit<T>(
        &self,
        code: &'static str,
        detail: impl Into<String>,
        limit: impl Into<Value>,
    ) -> Option<T> {
        self.report(Fault::new(self.at.to_string(), code, detail).with_limit(limit))
    }

    fn report<T>(&self, fault: Fault) -> Option<T> {
        self.faults.borrow_mut().add(fault);
        None
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.fault("type", format!("expected {expected}, found {found}"))
    }
}

/// The members of one object, or the parameters of a query.
#[derive(Debug)]
pub struct Fields<'a> {
    members: &'a Map<String, Value>,
    at: At<'a>,
    source: Source,
    known: Vec<&'static str>,
    unknown_ignored: bool,
    faults: &'a RefCell<Faults>,
}

impl<'a> Fields<'a> {
    /// Fields that are not asked for are no fault: for languages that grow by addition.
    pub fn ignore_unknown(&mut self) {
        self.unknown_ignored = true;
    }

    /// A field that must be there and not `null`.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Member<'_>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name);
        match self.members.get(name) {
            None => {
                let what = self.source.noun();
                self.fault(
                    name,
                    "required",
                    format!("this {what} is missing; it is required"),
                )
            }
            Some(Value::Null) => self.fault(name, "required", "this is null; a value is required"),
            Some(value) => self.read(name, value, read),
        }
    }

    /// A field that may be absent or `null`.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Member<'_>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name);
        match self.members.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.read(name, value, read),
        }
    }

    /// A field of a merge patch that may be cleared.
    pub fn patched<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Member<'_>) -> Option<T>,
    ) -> Patch<T> {
        self.known.push(name);
        match self.members.get(name) {
            None => Patch::Keep,
            Some(Value::Null) => Patch::Clear,
            Some(value) => self.read(name, value, read).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// A field of a merge patch that may be changed but not cleared: `None` keeps it.
    pub fn replaced<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Member<'_>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name);
        match self.members.get(name) {
            None => None,
            Some(Value::Null) => self.fault(
                name,
                "required",
                "this cannot be removed; send a value or leave it out",
            ),
            Some(value) => self.read(name, value, read),
        }
    }

    /// Whether a field is there, even as `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Reports a fault of one of the fields that only shows beside the others.
    /// Returns `None`, so that a reader can end with it.
    pub fn fault<T>(&self, name: &str, code: &'static str, detail: impl Into<String>) -> Option<T> {
        self.faults.borrow_mut().add(Fault::new(
            At::Name(&self.at, name).to_string(),
            code,
            detail,
        ));
        None
    }

    /// Reports a fault that names its own place, for what only shows beside several fields.
    pub fn report(&self, fault: Fault) {
        self.faults.borrow_mut().add(fault);
    }

    fn read<T>(
        &self,
        name: &str,
        value: &Value,
        read: impl FnOnce(&Member<'_>) -> Option<T>,
    ) -> Option<T> {
        read(&Member {
            value,
            at: At::Name(&self.at, name),
            source: self.source,
            faults: self.faults,
        })
    }

    fn of(
        members: &'a Map<String, Value>,
        at: At<'a>,
        source: Source,
        faults: &'a RefCell<Faults>,
    ) -> Self {
        Self {
            members,
            at,
            source,
            known: Vec::new(),
            unknown_ignored: false,
            faults,
        }
    }

    /// Reports what was not asked for.
    fn finish(&self) {
        if self.unknown_ignored {
            return;
        }
        let what = self.source.noun();
        for name in self
            .members
            .keys()
            .filter(|name| !self.known.contains(&name.as_str()))
        {
            let detail = if self.known.is_empty() {
                format!("no {what} is taken here; leave it out")
            } else {
                format!("no such {what}; known are {}", self.known.join(", "))
            };
            // A long name is cut in the pointer as well: an answer repeats
            // only so much of what was sent.
            let shown: String = name.chars().take(Self::NAME_CHARS_MAX).collect();
            self.fault::<()>(&shown, "unknown", detail);
        }
    }

    /// The most characters of an unknown field's name in a pointer.
    const NAME_CHARS_MAX: usize = 200;
}

impl Source {
    fn noun(self) -> &'static str {
        match self {
            Self::Body => "field",
            Self::Query => "query parameter",
        }
    }
}

#[cfg(test)]
mod tests;
