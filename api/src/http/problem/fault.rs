//! The faults of a request, each with a pointer to what is wrong.

use serde_json::{Map, Value, json};

/// The most faults that an answer lists; the rest is counted.
pub const FAULTS_MAX: usize = 100;

/// The most characters of somebody else's text that a fault repeats.
const QUOTE_CHARS_MAX: usize = 64;

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pointer: String,
    code: &'static str,
    detail: String,
    limit: Option<Value>,
}

impl Fault {
    /// A fault at `pointer` (RFC 6901; for a query parameter `/` and its
    /// name; empty for the whole body).
    #[must_use]
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
            limit: None,
        }
    }

    /// Names the limit that was passed.
    #[must_use]
    pub fn with_limit(mut self, limit: impl Into<Value>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// Where it is.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What it is, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What it is, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("pointer".to_owned(), json!(self.pointer));
        object.insert("code".to_owned(), json!(self.code));
        object.insert("detail".to_owned(), json!(self.detail));
        if let Some(limit) = &self.limit {
            object.insert("limit".to_owned(), limit.clone());
        }
        Value::Object(object)
    }
}

/// All faults of a request; bounded, whatever was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    listed: Vec<Fault>,
    omitted: usize,
}

impl Faults {
    /// Adds one. Beyond [`FAULTS_MAX`] it is only counted.
    pub fn add(&mut self, fault: Fault) {
        if self.listed.len() < FAULTS_MAX {
            self.listed.push(fault);
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// How many there are, listed or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.listed.len().saturating_add(self.omitted)
    }

    /// How many are not listed.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// The ones that are listed.
    #[must_use]
    pub fn listed(&self) -> &[Fault] {
        &self.listed
    }

    /// Lists only the first ones; the others are counted.
    pub(super) fn list_only(&mut self, faults_max: usize) {
        let more = self.listed.len().saturating_sub(faults_max);
        self.listed.truncate(faults_max);
        self.omitted = self.omitted.saturating_add(more);
    }

    /// Puts them in the order of `body`; what is missing in an object comes
    /// after what is there.
    pub(crate) fn sort_as_in(&mut self, body: &Value) {
        self.listed
            .sort_by_cached_key(|fault| place(body, &fault.pointer));
    }

    pub(super) fn to_json(&self) -> Value {
        self.listed.iter().map(Fault::to_json).collect()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        let mut faults = Self::default();
        faults.add(fault);
        faults
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(iter: I) -> Self {
        let mut faults = Self::default();
        iter.into_iter().for_each(|fault| faults.add(fault));
        faults
    }
}

/// Where a pointer leads: the place at each level.
fn place(body: &Value, pointer: &str) -> Vec<usize> {
    let mut places = Vec::new();
    let mut here = Some(body);
    for token in pointer.split('/').skip(1) {
        let name = unescape(token);
        let (place, next) = match here {
            Some(Value::Object(members)) => (
                members.keys().position(|key| *key == name),
                members.get(&name),
            ),
            Some(Value::Array(items)) => {
                let index = name.parse::<usize>().ok();
                (index, index.and_then(|index| items.get(index)))
            }
            _ => (None, None),
        };
        places.push(place.unwrap_or(usize::MAX));
        here = next;
    }
    places
}

/// A member's name as a token of a pointer (RFC 6901, section 3).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Somebody else's text, fit to be repeated: bounded and without control characters.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(QUOTE_CHARS_MAX)
        .collect();
    if text.chars().count() > QUOTE_CHARS_MAX {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pointer_leads_back_to_the_member_it_was_made_of(name in ".*", other in ".*") {
            prop_assume!(name != other);
            let body = json!({ &other: 1, &name: 2 });
            let pointer = format!("/{}", escape(&name));
            prop_assert_eq!(body.pointer(&pointer), Some(&json!(2)));
            prop_assert_eq!(place(&body, &pointer), vec![1]);
        }

        #[test]
        fn a_quotation_is_bounded(text in ".*") {
            prop_assert!(quote(&text).chars().count() <= QUOTE_CHARS_MAX + 3);
        }
    }

    #[test]
    fn faults_come_in_the_order_of_the_body_and_what_is_missing_last() {
        let body = json!({"b": {"y": 1, "x": 2}, "a": [1, 2, 3]});
        let mut faults: Faults = ["/c", "/a/10", "/a/2", "/b/z", "/b/x", "/b/y", "/b"]
            .into_iter()
            .map(|pointer| Fault::new(pointer, "type", ""))
            .collect();
        faults.sort_as_in(&body);
        let order: Vec<_> = faults.listed().iter().map(Fault::pointer).collect();
        assert_eq!(order, ["/b", "/b/y", "/b/x", "/b/z", "/a/2", "/a/10", "/c"]);
    }

    #[test]
    fn faults_beyond_the_limit_are_counted() {
        let faults: Faults = (0..250)
            .map(|n| Fault::new(format!("/{n}"), "unknown", ""))
            .collect();
        assert_eq!(
            (faults.listed().len(), faults.omitted(), faults.count()),
            (100, 150, 250)
        );
    }
}
