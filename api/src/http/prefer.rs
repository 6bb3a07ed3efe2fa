//! Preferences (RFC 7240): what a client would like, and may not get.

use std::num::IntErrorKind;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

// What a client waits for.
mod freshness;
mod seen;

pub(super) use freshness::{Freshness, WAIT_DEFAULT};
pub(super) use seen::{behind, wait_for_seen};

/// The longest time that is waited for anything, seconds.
const WAIT_S_MAX: u64 = 30;

/// The preference for an answer that comes before the end.
pub(super) const RESPOND_ASYNC: &str = "respond-async";

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Names what was honoured.
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preferences that are known here. Unknown ones are ignored, as they must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Preferences {
    /// How long to wait for an answer, at most 30 s.
    pub(super) wait: Option<Duration>,
    /// The answer may come before what was asked for is done.
    pub(super) respond_async: bool,
    /// The answer to a change needs no body.
    pub(super) minimal: bool,
}

impl Preferences {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut preferences = Self::default();
        let mut is_minimal = None;
        let lines = headers
            .get_all(PREFER)
            .iter()
            .filter_map(|line| line.to_str().ok());
        for preference in lines.flat_map(|line| line.split(',')) {
            // What follows a semicolon belongs to the preference; none of ours has any.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            // The first of a name counts.
            if name.eq_ignore_ascii_case("wait") && preferences.wait.is_none() {
                preferences.wait = seconds(value).map(Duration::from_secs);
            } else if name.eq_ignore_ascii_case(RESPOND_ASYNC) {
                preferences.respond_async = true;
            } else if name.eq_ignore_ascii_case("return") {
                let _ = is_minimal.get_or_insert(value.eq_ignore_ascii_case("minimal"));
            }
        }
        preferences.minimal = is_minimal.unwrap_or_default();
        preferences
    }

    /// The answer to a change, without its body if that is preferred.
    pub(super) fn apply_return(self, mut response: Response) -> Response {
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("Accept, Prefer"));
        if self.minimal && response.status().is_success() {
            response.headers_mut().remove(CONTENT_TYPE);
            response.headers_mut().remove(CONTENT_LENGTH);
            response.headers_mut().insert(
                PREFERENCE_APPLIED,
                HeaderValue::from_static("return=minimal"),
            );
            *response.body_mut() = Body::empty();
        }
        response
    }
}

/// A time to wait, of however many digits: no more than is waited for anyway.
fn seconds(text: &str) -> Option<u64> {
    match text.parse::<u64>() {
        Ok(seconds) => Some(seconds.min(WAIT_S_MAX)),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(WAIT_S_MAX),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferences(lines: &[&'static str]) -> Preferences {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_static(line));
        }
        Preferences::of(&headers)
    }

    #[test]
    fn known_preferences_are_found_among_others() {
        let found = preferences(&[
            "Respond-Async; a=b, wait=10; x=y",
            "Return = \"minimal\", wait=20",
        ]);
        assert_eq!(
            found,
            Preferences {
                wait: Some(Duration::from_secs(10)),
                respond_async: true,
                minimal: true
            }
        );
        for long in ["wait=999", "wait=18446744073709551616"] {
            let wait = preferences(&[long]).wait;
            assert_eq!(wait, Some(Duration::from_secs(WAIT_S_MAX)), "{long}");
        }
        // The first of a name counts (RFC 7240, section 2).
        assert!(preferences(&["return=minimal", "return=representation"]).minimal);
        assert!(!preferences(&["return=representation, return=minimal"]).minimal);
        for nothing in [
            "",
            "wait",
            "wait=soon",
            "wait=-1",
            "return=representation",
            ",;=",
        ] {
            assert_eq!(
                preferences(&[nothing]),
                Preferences::default(),
                "{nothing:?}"
            );
        }
    }
}
