//! A small HTTP client: requests and answers, with assertions that print what the server said.

use std::fmt;
use std::time::Duration;

use api::tls::Trust;
use reqwest::Method;
use serde_json::Value;

/// Longer than any answer may take; a request that exceeds it has hung.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// A client of one server. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// No answer came: the connection was refused, reset, or closed too early.
/// Whether the request took effect is unknown.
#[derive(Debug)]
pub struct Unanswered(reqwest::Error);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer came: {:?}", self.0)
    }
}

/// A request in the making; nothing is sent before [`Request::send`] or [`Request::try_send`].
#[derive(Debug)]
#[must_use]
pub struct Request {
    what: String,
    builder: reqwest::RequestBuilder,
}

/// What the server answered: status, headers and body, read to the end.
#[derive(Debug, Clone)]
pub struct Answer {
    what: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Client {
    /// A client of the server at `base`, for instance `http://127.0.0.1:8080`.
    ///
    /// # Panics
    /// When the HTTP library cannot be set up.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = Trust::nobody()
            .client()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIME_MAX)
            .build()
            .expect("a client without proxy can be made");
        Self {
            base: base.to_owned(),
            http,
        }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// POST.
    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    /// PUT.
    pub fn put(&self, path: &str) -> Request {
        self.request("PUT", path)
    }

    /// PATCH.
    pub fn patch(&self, path: &str) -> Request {
        self.request("PATCH", path)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Request {
        self.request("DELETE", path)
    }

    /// A request with any method.
    ///
    /// # Panics
    /// When `method` is no HTTP token.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let method =
            Method::from_bytes(method.as_bytes()).expect("a scenario names an HTTP method");
        let what = format!("{method} {path}");
        Request {
            what,
            builder: self.http.request(method, format!("{}{path}", self.base)),
        }
    }

    /// The representation at `path`, which must be there.
    ///
    /// # Panics
    /// When no answer comes or it is not 200.
    pub async fn read(&self, path: &str) -> Value {
        self.get(path).send().await.expect(200).json()
    }
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Gives the request a JSON body, as `application/json`.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Gives the request a body of any type.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.builder = self
            .builder
            .header("content-type", content_type)
            .body(body.into());
        self
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send(self) -> Answer {
        let what = self.what.clone();
        self.try_send()
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends the request and reads the whole answer, to a server that may be gone.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn try_send(self) -> Result<Answer, Unanswered> {
        let response = self.builder.send().await.map_err(Unanswered)?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let headers = headers.collect();
        let body = response.bytes().await.map_err(Unanswered)?.to_vec();
        Ok(Answer {
            what: self.what,
            status,
            headers,
            body,
        })
    }
}

impl Answer {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body as it came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a header that must be there.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    #[track_caller]
    pub fn required_header(&self, name: &str) -> &str {
        self.header(name)
            .unwrap_or_else(|| panic!("no {name} header in\n{self}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}):\n{self}"))
    }

    /// This answer, whose status must be `status`.
    ///
    /// # Panics
    /// When it is another; what the server said is printed.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "expected {status}, got\n{self}");
        self
    }

    /// The problem document of this answer, which must be a refusal with `status` in RFC 9457 form.
    ///
    /// # Panics
    /// When it is not: another status or media type, or a member of the document missing or of a wrong shape.
    #[track_caller]
    pub fn expect_problem(&self, status: u16) -> Value {
        assert!(
            self.status == status,
            "expected a problem with {status}, got\n{self}"
        );
        let media_type = self.header("content-type").unwrap_or_default();
        assert!(
            media_type.starts_with("application/problem+json"),
            "not problem+json:\n{self}"
        );
        let problem = self.json();
        for member in ["type", "title", "detail", "instance", "code"] {
            let text = problem
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default();
            assert!(!text.is_empty(), "the problem has no `{member}`:\n{self}");
        }
        assert!(
            problem.get("status") == Some(&Value::from(status)),
            "the problem says another status:\n{self}"
        );
        assert!(
            problem.get("retryable").is_some_and(Value::is_boolean),
            "`retryable` is no boolean:\n{self}"
        );
        problem
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} answered {}", self.what, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {value}")?;
        }
        write!(f, "{}", String::from_utf8_lossy(&self.body))
    }
}
