//! Conditional requests (RFC 9110, section 13): entity tags, `If-None-Match`
//! for readers and `If-Match` for editors.

// What ties a tag to one life of the log.
mod era;

use std::fmt;

use axum::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::problem::{Problem, ProblemKind};
use crate::application::Precondition;
pub(crate) use era::Era;

/// The most tags that one header may list; what comes after is not looked at.
const TAGS_MAX: usize = 100;

/// The strong tag of one representation: equal tags mean equal bytes.
///
/// Its text is `"<sequence>-<version>"` or `"<sequence>-<version>-<digest>"`;
/// on its way out a mark of the log's epoch is put behind it.
/// The sequence is the last event's in the stream of what is shown; the
/// version is the representation's and grows when its bytes change for the
/// same events; the digest covers what is shown beside the stream's own
/// state, such as counters of other streams or a live position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag {
    sequence: u64,
    version: u16,
    digest: Option<u64>,
}

impl EntityTag {
    /// The tag of a representation that shows nothing but a stream's state.
    #[must_use]
    pub const fn new(sequence: u64, version: u16) -> Self {
        Self {
            sequence,
            version,
            digest: None,
        }
    }

    /// The tag of a representation that also shows `derived`, the bytes of
    /// whatever does not come from the stream itself.
    #[must_use]
    pub fn with_derived(self, derived: &[u8]) -> Self {
        let hash = blake3::hash(derived);
        let digest = hash
            .as_bytes()
            .iter()
            .take(8)
            .fold(0, |digest, byte| (digest << 8) | u64::from(*byte));
        Self {
            digest: Some(digest),
            ..self
        }
    }

    /// The tag of bytes that come from many streams, such as a page of a list.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::new(0, 1).with_derived(bytes)
    }

    /// The last event's sequence in the stream of what is shown.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }

    /// The tag as a header's value.
    ///
    /// # Panics
    /// Never: digits and hyphens make a header value.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        HeaderValue::try_from(format!("\"{self}\""))
            .expect("digits and hyphens make a header value")
    }
}

impl fmt::Display for EntityTag {
    /// The text between the quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sequence, self.version)?;
        self.digest
            .map_or(Ok(()), |digest| write!(f, "-{digest:016x}"))
    }
}

/// The header `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum IfNoneMatch {
    Any,
    Tags(Vec<String>),
}

/// What a request says about the state it expects.
///
/// Dates (`If-Modified-Since`, `If-Unmodified-Since`) are ignored: nothing
/// here has a `Last-Modified`, and RFC 9110, section 13.1.3 and 13.1.4, then
/// asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`.
    seen: Precondition,
    if_none_match: Option<IfNoneMatch>,
    reads_only: bool,
}

impl Preconditions {
    /// Reads them out of a request.
    ///
    /// # Errors
    /// `malformed-header` (400) for an `If-Match` that is no list of tags: an
    /// editor who forgot the quotes must not overwrite anything, nor be told
    /// that it has changed. A malformed `If-None-Match` is ignored, since the
    /// full answer is always right.
    pub fn of(method: &Method, headers: &HeaderMap) -> Result<Self, Problem> {
        let seen = match header_tags(headers, &IF_MATCH) {
            None => Precondition::None,
            Some(Ok(Listed::Any)) => Precondition::Exists,
            // None of them is there if no listed tag is one of ours.
            Some(Ok(Listed::Tags(tags))) => {
                Precondition::Sequence(tags.iter().filter_map(strong_sequence).collect())
            }
            Some(Err(Malformed)) => {
                return Err(Problem::new(
                    ProblemKind::MalformedHeader,
                    "If-Match is not a list of entity tags; send the ETag as it was received, with its quotes, or *",
                ));
            }
        };
        let if_none_match = match header_tags(headers, &IF_NONE_MATCH) {
            None | Some(Err(Malformed)) => None,
            Some(Ok(Listed::Any)) => Some(IfNoneMatch::Any),
            Some(Ok(Listed::Tags(tags))) => Some(IfNoneMatch::Tags(
                tags.into_iter().map(|tag| tag.opaque).collect(),
            )),
        };
        Ok(Self {
            seen,
            if_none_match,
            reads_only: matches!(*method, Method::GET | Method::HEAD),
        })
    }

    /// What a change is based on, where it must say so.
    ///
    /// # Errors
    /// `precondition-required` (428) if it does not.
    pub fn required(&self) -> Result<&Precondition, Problem> {
        match &self.seen {
            Precondition::None => Err(Problem::new(
                ProblemKind::PreconditionRequired,
                "say which state this change is based on: send the ETag of what you read as If-Match, or If-Match: *",
            )),
            seen @ (Precondition::Exists | Precondition::Sequence(_)) => Ok(seen),
        }
    }

    /// What a change is based on, where it may say so.
    ///
    /// Of a tag only the sequence counts here. What the sequence does not cover (the version of
    /// the representation, the digest of what is derived from other streams) is nothing that the
    /// editor could change, and nothing that their change could overwrite: a user's name may be
    /// edited although a delivery of theirs was booked meanwhile. So it is stricter than needed
    /// for no one, and whoever has seen the stream's last event may change it.
    #[must_use]
    pub const fn seen(&self) -> &Precondition {
        &self.seen
    }

    /// Holds the conditions against what there is, in the order of RFC 9110,
    /// section 13.2.2.
    #[must_use]
    pub fn evaluate(&self, current: EntityTag) -> Verdict {
        let is_as_seen = match &self.seen {
            Precondition::None | Precondition::Exists => true,
            Precondition::Sequence(sequences) => sequences.contains(&current.sequence),
        };
        if !is_as_seen {
            return Verdict::Failed;
        }
        let is_known = match &self.if_none_match {
            None => false,
            Some(IfNoneMatch::Any) => true,
            Some(IfNoneMatch::Tags(tags)) => tags.contains(&current.to_string()),
        };
        match (is_known, self.reads_only) {
            (false, _) => Verdict::Proceed,
            (true, true) => Verdict::NotModified,
            (true, false) => Verdict::Failed,
        }
    }

    /// The answer to a reader: what there is, or 304 if they have it, or 412
    /// if they asked for another state.
    #[must_use]
    pub fn answer(
        &self,
        current: EntityTag,
        representation: impl FnOnce() -> Response,
    ) -> Response {
        let mut response = match self.evaluate(current) {
            Verdict::Proceed => representation(),
            Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
            Verdict::Failed => Problem::new(
                ProblemKind::PreconditionFailed,
                "what is there is not what If-Match names; leave the header out to read it",
            )
            .into_response(),
        };
        response.headers_mut().insert(ETAG, current.header_value());
        response
    }
}

/// What becomes of a request with conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Proceed,
    /// 304: the reader has it already.
    NotModified,
    /// 412.
    Failed,
}

/// The problem of an editor whose copy is out of date: with the current
/// representation and its tag.
#[must_use]
pub fn precondition_failed(current: EntityTag, representation: Value) -> Problem {
    Problem::new(
        ProblemKind::PreconditionFailed,
        format!(
            "it has changed since you read it and stands at sequence {} now; decide again on the basis of current",
            current.sequence
        ),
    )
    .with_header(ETAG, current.header_value())
    .with_member("current", representation)
}

/// One tag of a list.
struct ListedTag {
    weak: bool,
    opaque: String,
}

enum Listed {
    Any,
    Tags(Vec<ListedTag>),
}

/// A header is no list of entity tags.
struct Malformed;

/// All lines of a header together, since they are one list (RFC 9110, 5.3).
/// Whether a request's `If-Match` names a later state than the tag of what there is: one that its
/// client has seen on another node.
pub(super) fn names_later(asked: &HeaderMap, current: &HeaderValue) -> bool {
    let Some(Ok(Listed::Tags(tags))) = header_tags(asked, &IF_MATCH) else {
        return false;
    };
    let mut here = Vec::new();
    let parsed = current.to_str().ok();
    let parsed = parsed.and_then(|current| parse_tags(current, &mut here));
    let here = parsed.and_then(|()| here.iter().find_map(strong_sequence));
    here.is_some_and(|here| tags.iter().filter_map(strong_sequence).max() > Some(here))
}

fn header_tags(headers: &HeaderMap, name: &HeaderName) -> Option<Result<Listed, Malformed>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let mut tags = Vec::new();
    let mut is_any = false;
    for line in lines {
        let Ok(line) = line.to_str() else {
            return Some(Err(Malformed));
        };
        if line.trim() == "*" {
            is_any = true;
        } else if parse_tags(line, &mut tags).is_none() {
            return Some(Err(Malformed));
        }
    }
    match (is_any, tags.is_empty()) {
        (true, true) => Some(Ok(Listed::Any)),
        (false, false) => Some(Ok(Listed::Tags(tags))),
        (true, false) | (false, true) => Some(Err(Malformed)),
    }
}

fn parse_tags(line: &str, tags: &mut Vec<ListedTag>) -> Option<()> {
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        // Empty elements of a list are to be ignored (RFC 9110, 5.6.1.2).
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
            continue;
        }
        let weak = rest.starts_with("W/");
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (opaque, after) = quoted.split_once('"')?;
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        if tags.len() < TAGS_MAX {
            tags.push(ListedTag {
                weak,
                opaque: opaque.to_owned(),
            });
        }
        rest = after;
    }
    Some(())
}

/// The sequence in a strong tag of ours. A weak tag never matches in
/// `If-Match` (RFC 9110, 13.1.1).
fn strong_sequence(tag: &ListedTag) -> Option<u64> {
    let mut parts = tag.opaque.split('-');
    let sequence = parts.next().and_then(number)?;
    let version = parts.next().and_then(number)?;
    let digest_fits = match parts.next() {
        None => true,
        Some(digest) => {
            digest.len() == 16
                && digest
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
    };
    (!tag.weak && u16::try_from(version).is_ok() && digest_fits && parts.next().is_none())
        .then_some(sequence)
}

/// A number as we print it: no sign, no leading zero.
fn number(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests;
