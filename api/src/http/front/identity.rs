//! Who a request is: its id and its place in a trace.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::application::{ClientRequest, KeyedCommand};
use crate::environment::Environment;

/// The header with a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The header with a request's place in a trace (W3C Trace Context).
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is accepted, characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The id of a request, its client's or ours, and the trace it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIdentity {
    /// As the header says it, which a clone shares; both are of visible characters.
    id: HeaderValue,
    uuid: Uuid,
    request: ClientRequest,
    traceparent: Option<HeaderValue>,
}

impl RequestIdentity {
    /// Takes the client's id if it is 1 to 128 letters, digits and `._~:+/=-`,
    /// and makes one otherwise.
    pub(super) fn of(headers: &HeaderMap, environment: &Environment) -> Self {
        let given = headers
            .get(REQUEST_ID)
            .and_then(|value| Some((value, value.to_str().ok()?)))
            .filter(|(_, text)| is_sane(text));
        let fresh = environment.new_id();
        let (id, uuid) = given.map_or_else(
            || (header_of(fresh), fresh),
            |(value, text)| (value.clone(), uuid_of(text)),
        );
        let traceparent = headers
            .get(TRACEPARENT)
            .filter(|value| value.to_str().is_ok_and(is_traceparent));
        Self {
            id,
            uuid,
            request: fresh.into(),
            traceparent: traceparent.cloned(),
        }
    }

    /// The id as it is echoed and logged.
    #[must_use]
    pub fn text(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// The id as a UUID: itself if it is one, else derived from it (version 5).
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// What its effects are known by: an id that no other request has, whatever
    /// its client says, but for repetitions under a key.
    #[must_use]
    pub fn fresh(&self) -> ClientRequest {
        self.request
    }

    /// The same request, as one with its repetitions.
    pub(in crate::http) fn keyed(mut self, keyed: KeyedCommand) -> Self {
        self.request.keyed = Some(keyed);
        self
    }

    /// The trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent
            .as_ref()
            .and_then(|value| value.to_str().ok()?.split('-').nth(1))
    }

    pub(super) fn request_id_value(&self) -> HeaderValue {
        self.id.clone()
    }

    pub(super) fn traceparent_value(&self) -> Option<HeaderValue> {
        self.traceparent.clone()
    }
}

fn header_of(id: Uuid) -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).expect("digits and hyphens make a header value")
}

fn is_sane(text: &str) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._~:+/=-".contains(&b))
}

fn uuid_of(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()))
}

/// Version 00: `00-<32 hex>-<16 hex>-<2 hex>`, lower case, neither id all zero.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_set = |part: &str| part.bytes().any(|b| b != b'0');
    matches!(parts.as_slice(), ["00", trace, parent, flags]
        if is_hex(trace, 32) && is_set(trace) && is_hex(parent, 16) && is_set(parent) && is_hex(flags, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: HeaderName, value: &str) -> RequestIdentity {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        RequestIdentity::of(&headers, &Environment::fixed(0))
    }

    #[test]
    fn a_sane_id_is_kept_and_another_replaced() {
        assert_eq!(identity(REQUEST_ID, "abc-1").text(), "abc-1");
        for value in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert_eq!(
                identity(REQUEST_ID, value).uuid().get_version_num(),
                7,
                "{value:?} was kept"
            );
        }
    }

    #[test]
    fn an_id_that_is_no_uuid_gives_the_same_one_each_time() {
        let given = "0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55";
        assert_eq!(identity(REQUEST_ID, given).uuid().to_string(), given);
        assert_eq!(
            identity(REQUEST_ID, "abc").uuid(),
            identity(REQUEST_ID, "abc").uuid()
        );
        assert_ne!(
            identity(REQUEST_ID, "abc").uuid(),
            identity(REQUEST_ID, "abd").uuid()
        );
    }

    #[test]
    fn a_repeated_id_does_not_make_two_requests_one() {
        let environment = Environment::fixed(0);
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc"));
        let [one, other] = [(); 2].map(|()| RequestIdentity::of(&headers, &environment));
        assert_eq!(one.text(), other.text());
        assert_ne!(one.fresh(), other.fresh());
    }

    #[test]
    fn a_trace_is_kept_if_it_is_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            identity(TRACEPARENT, good).trace_id(),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        for value in [
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf9-00f067aa0ba902b7-01",
            "x",
        ] {
            assert_eq!(identity(TRACEPARENT, value).trace_id(), None, "{value}");
        }
    }
}
