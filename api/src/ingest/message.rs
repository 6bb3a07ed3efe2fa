//! A drone event as it comes over a broker, where nobody waits for an answer.
//!
//! The subject says whose it is, and publish permissions hang on it: an event
//! that speaks for another fleet or drone than its subject names is refused.

use std::borrow::Cow;

use domain::id::{DroneId, FleetId};
use domain::refusals::{
    KEPT_BYTES_MAX, KEPT_HEADER_BYTES_MAX, MessageForm, Refused, RefusedMessage,
};
use domain::text::Text;
use domain::time::Timestamp;
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::wire::{self, DroneEvent, EVENT_BYTES_MAX, Receipt};
use crate::http::json::Document;
use crate::http::problem::Problem;

/// What the name of a header begins with that is an attribute of the event.
const ATTRIBUTE_PREFIX: &str = "ce-";
/// The header that says of which form a message is.
const CONTENT_TYPE: &str = "content-type";
/// The content type of one event as JSON.
const STRUCTURED: &str = "application/cloudevents+json";
/// What the content types of all other forms of whole events begin with.
const OTHER_FORMS: &str = "application/cloudevents";

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where it was sent to: `drone.v1.<fleet>.<drone_id>.<kind>`.
    pub subject: &'a str,
    /// Its `Content-Type` and its `ce-` headers, by name in lower case and value. What
    /// [`Message::is_of_event`] says of is no other.
    pub headers: Vec<(String, String)>,
    /// Its content.
    pub data: &'a [u8],
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What is the matter with it.
    pub why: Refused,
    /// The same in words.
    pub explanation: String,
}

impl Unread {
    /// With these words.
    #[must_use]
    pub fn new(why: Refused, explanation: impl Into<String>) -> Self {
        Self {
            why,
            explanation: explanation.into(),
        }
    }

    /// As the problem says that the same event would be refused with over HTTP.
    #[must_use]
    pub fn of_problem(why: Refused, problem: &Problem) -> Self {
        if problem.faults().is_empty() {
            return Self::new(why, problem.detail());
        }
        let faults = problem.faults().iter();
        let faults = faults.map(|fault| format!("{}: {}", fault.pointer(), fault.detail()));
        Self::new(why, faults.collect::<Vec<_>>().join("; "))
    }
}

impl<'a> Message<'a> {
    /// Whether a header belongs to the event, by its name in lower case.
    #[must_use]
    pub fn is_of_event(name: &str) -> bool {
        name == CONTENT_TYPE || name.starts_with(ATTRIBUTE_PREFIX)
    }

    /// A message that was refused before, as far as it is kept.
    #[must_use]
    pub fn of_refused(refused: &'a RefusedMessage) -> Self {
        Self {
            subject: refused.subject.as_str(),
            headers: refused.headers.clone(),
            data: &refused.data,
        }
    }

    /// Reads the event.
    ///
    /// # Errors
    /// [`Unread`], with every fault of the event.
    pub fn read(&self, receipt: Receipt) -> Result<DroneEvent, Unread> {
        let form = self.form();
        // As over HTTP, where headers are no part of an event as one text.
        let event_bytes = match form {
            MessageForm::Structured => self.data.len(),
            MessageForm::Binary | MessageForm::Other => self.size_bytes(),
        };
        if event_bytes > EVENT_BYTES_MAX {
            return Err(Unread::new(
                Refused::TooLarge,
                format!(
                    "the event is larger than the {EVENT_BYTES_MAX} bytes that are taken; leave out what is not needed"
                ),
            ));
        }
        let malformed = |problem| Unread::of_problem(Refused::Malformed, &problem);
        let event = match form {
            MessageForm::Structured => {
                let document = Document::parse(self.data).map_err(malformed)?;
                let text = std::str::from_utf8(self.data).unwrap_or_default();
                wire::read(document, text, receipt).map_err(malformed)?
            }
            MessageForm::Binary => {
                let text = self.as_structured()?;
                let document = Document::parse(text.as_bytes()).map_err(malformed)?;
                wire::read(document, &text, receipt).map_err(malformed)?
            }
            MessageForm::Other => {
                return Err(Unread::new(
                    Refused::UnknownForm,
                    format!(
                        "expected one event as {STRUCTURED}, or its attributes as ce- headers and its data as the \
                         content; send the events of a batch each in a message of its own"
                    ),
                ));
            }
        };
        self.check_subject(&event)?;
        Ok(event)
    }

    /// The same message as what is kept of it.
    #[must_use]
    pub fn refused(&self, unread: &Unread, received_at: Timestamp) -> RefusedMessage {
        let mut left = KEPT_HEADER_BYTES_MAX;
        let headers = self.headers.iter();
        let headers = headers.take_while(|(name, value)| {
            let fits = left.checked_sub(name.len() + value.len());
            left = fits.unwrap_or_default();
            fits.is_some()
        });
        let kept = self.data.get(..KEPT_BYTES_MAX).unwrap_or(self.data);
        RefusedMessage {
            digest: self.digest(),
            why: unread.why,
            explanation: text_of(&unread.explanation),
            subject: text_of(self.subject),
            form: self.form(),
            headers: headers.cloned().collect(),
            data: kept.to_vec(),
            size_bytes: u64::try_from(self.size_bytes()).unwrap_or(u64::MAX),
            received_at,
        }
    }

    /// Of its headers and its content.
    fn size_bytes(&self) -> usize {
        let of_headers = self.headers.iter();
        let of_headers = of_headers.map(|(name, value)| name.len() + value.len());
        of_headers.sum::<usize>() + self.data.len()
    }

    fn digest(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let headers = self.headers.iter().flat_map(|(name, value)| [name, value]);
        for part in std::iter::once(self.subject).chain(headers.map(String::as_str)) {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(self.data);
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        digest
    }

    fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
    }

    /// Without its parameters, in lower case.
    fn media_type(&self) -> Option<String> {
        let value = self.header(CONTENT_TYPE)?;
        let media_type = value.split(';').next().unwrap_or_default();
        Some(media_type.trim().to_ascii_lowercase())
    }

    /// As the binding of `CloudEvents` to NATS says: a content type of events decides, and without
    /// one whether there are attributes among the headers. A message without any header is one text.
    fn form(&self) -> MessageForm {
        match self.media_type() {
            Some(media_type) if media_type == STRUCTURED => MessageForm::Structured,
            Some(media_type) if media_type.starts_with(OTHER_FORMS) => MessageForm::Other,
            Some(_) | None if self.header("ce-specversion").is_some() => MessageForm::Binary,
            Some(_) => MessageForm::Other,
            None => MessageForm::Structured,
        }
    }

    /// The text that says the same in the structured form.
    fn as_structured(&self) -> Result<String, Unread> {
        let malformed = |what: String| Unread::new(Refused::Malformed, what);
        // By itself, so that nothing in it can end the member that it becomes.
        serde_json::from_slice::<IgnoredAny>(self.data)
            .map_err(|error| malformed(format!("the content is not JSON: {error}")))?;
        let data = std::str::from_utf8(self.data);
        let data = data.map_err(|error| malformed(format!("the content is no text: {error}")))?;
        let attributes = self.headers.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix(ATTRIBUTE_PREFIX)?, value.as_str()))
        });
        let media_type = self.media_type();
        let content_type = media_type.as_deref().map(|it| ("datacontenttype", it));
        let mut text = String::from("{");
        for (name, value) in attributes.chain(content_type) {
            let value = unquoted(value);
            let decoded = percent_decode_str(&value).decode_utf8();
            let decoded = decoded
                .map_err(|_| malformed(format!("/{name}: the header's value is not UTF-8")))?;
            let (name, value) = (Value::from(name), Value::from(decoded.as_ref()));
            text.extend([
                name.to_string(),
                ":".to_owned(),
                value.to_string(),
                ",".to_owned(),
            ]);
        }
        text.extend(["\"data\":", data, "}"]);
        Ok(text)
    }

    fn check_subject(&self, event: &DroneEvent) -> Result<(), Unread> {
        let (sender, kind) = match event {
            DroneEvent::Telemetry(telemetry) => (&telemetry.sender, wire::TELEMETRY),
            DroneEvent::Fact { sender, fact } => (sender, fact.kind.as_str()),
        };
        let expected = subject_of(&sender.fleet, &sender.drone, kind);
        if self.subject == expected {
            return Ok(());
        }
        Err(Unread::new(
            Refused::Misaddressed,
            format!("the event belongs on the subject {expected}, and was sent to another one"),
        ))
    }
}

/// The subject of a drone's events of a kind. A full stop in a name is written `%2E` there, since
/// it would end it: so no two drones share a subject.
#[must_use]
pub fn subject_of(fleet: &FleetId, drone: &DroneId, kind: &str) -> String {
    let word = |name: &str| name.replace('.', "%2E");
    format!(
        "drone.v1.{}.{}.{kind}",
        word(fleet.as_str()),
        word(drone.as_str())
    )
}

/// Whose events a subject is for, as far as it says so: the fleet may publish there, whatever the
/// message says.
#[must_use]
pub fn sender_in(subject: &str) -> (Option<FleetId>, Option<DroneId>) {
    let name = |word: &str| word.replace("%2E", ".");
    let mut words = subject.split('.').skip(2);
    let fleet = words.next().and_then(|it| FleetId::new(name(it)).ok());
    let drone = words.next().and_then(|it| DroneId::new(name(it)).ok());
    // With more or fewer words behind it, that is another word of the sender's own.
    let drone = drone.filter(|_| words.count() == 1);
    (fleet, drone)
}

/// A header's value without the quotation marks around it, and without the backslashes that are
/// written within these.
fn unquoted(value: &str) -> Cow<'_, str> {
    let Some(quoted) = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')) else {
        return Cow::Borrowed(value);
    };
    let (mut text, mut chars) = (String::with_capacity(quoted.len()), quoted.chars());
    while let Some(next) = chars.next() {
        text.extend(if next == '\\' {
            chars.next()
        } else {
            Some(next)
        });
    }
    Cow::Owned(text)
}

/// As much of some words as a text may have.
fn text_of<const CHARS_MAX: usize>(words: &str) -> Text<CHARS_MAX> {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let cut: String = words.chars().take(CHARS_MAX).map(printable).collect();
    Text::new(cut).unwrap_or_else(|_blank| {
        Text::new("(blank)").expect("a few letters are a text of any bound")
    })
}

#[cfg(test)]
mod tests;
