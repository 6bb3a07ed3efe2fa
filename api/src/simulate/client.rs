//! The service's public door, from outside.

use std::time::Duration;

use anyhow::{Context, bail};
use domain::id::DeliveryId;
use reqwest::header::{ETAG, IF_MATCH, LINK};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::tls::Trust;

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How long a stream may be silent; the service says something more often.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// The first wait before asking again; doubled each time.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The longest wait before asking again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);

/// How long it is asked again, unless more patience is asked for.
const PATIENCE: Duration = Duration::from_secs(12);

/// How often a status is asked for while it is awaited.
const STATUS_EVERY: Duration = Duration::from_millis(100);

/// A client of the service's public door.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    patience: Duration,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Question {
    method: Method,
    path: String,
    body: Option<(&'static str, String)>,
    /// What the service knows it by when it is asked again.
    key: Option<String>,
    /// The entity tag of what it is to change, as it was seen.
    seen: Option<String>,
}

/// What the service answered, whether it did what was asked for or not.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// The entity tag of what it shows.
    pub(super) tag: Option<String>,
    /// Where it is said what comes of what was asked for.
    pub(super) operation: Option<String>,
    /// Whether it was asked only once: then the service cannot have done before what is asked for.
    pub(super) is_first: bool,
}

impl Question {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            key: None,
            seen: None,
        }
    }

    /// Something to be done once, however often it is asked for under this key.
    pub(super) fn post(path: impl Into<String>, body: &Value, key: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            body: Some(("application/json", body.to_string())),
            key: Some(key.into()),
            seen: None,
        }
    }

    /// A change of what was seen under this entity tag, to be made once under this key.
    pub(super) fn patch(
        path: impl Into<String>,
        body: &Value,
        (key, seen): (String, String),
    ) -> Self {
        Self {
            method: Method::PATCH,
            seen: Some(seen),
            ..Self::post(path, body, key)
        }
    }

    /// Drone events, a line each, which are known by their own ids.
    pub(super) fn tell<'e>(events: impl IntoIterator<Item = &'e Value>) -> Self {
        let lines: Vec<_> = events.into_iter().map(Value::to_string).collect();
        Self {
            method: Method::POST,
            path: "/v1/drone-events".to_owned(),
            body: Some(("application/x-ndjson", lines.join("\n"))),
            key: None,
            seen: None,
        }
    }
}

impl Answer {
    /// The body, if the service did what was asked for.
    ///
    /// # Errors
    /// What it said instead.
    pub(super) fn success(self) -> anyhow::Result<Value> {
        let Self { status, body, .. } = self;
        if !status.is_success() {
            bail!("the service answered {status}: {}", told(&body));
        }
        Ok(body)
    }
}

impl Client {
    /// A client of the service at this address.
    ///
    /// # Errors
    /// If it is no address that can be spoken to.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let base = Url::parse(url)
            .with_context(|| format!("{url} is no URL: give one such as http://127.0.0.1:8080"))?;
        // What stands before a port reads as a scheme.
        if !url.contains("://") {
            bail!("{url} is no URL: write http://{url}");
        }
        if base.scheme() != "http" {
            bail!("{url}: only http is spoken here");
        }
        let http = Trust::nobody().client().read_timeout(SILENCE_MAX).build()?;
        let patience = PATIENCE;
        Ok(Self {
            http,
            base,
            patience,
        })
    }

    /// The same client, which asks again for so long where the service does not answer:
    /// long enough for it to be started anew.
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks once.
    ///
    /// # Errors
    /// If no answer comes, or none that is JSON.
    pub(super) async fn ask_once(&self, question: &Question) -> anyhow::Result<Answer> {
        let Question {
            method,
            path,
            body,
            key,
            seen,
        } = question;
        let url = self.base.join(path)?;
        let mut request = self.http.request(method.clone(), url).timeout(ANSWER_WAIT);
        if let Some(key) = key {
            request = request.header("idempotency-key", format!("\"{key}\""));
        }
        if let Some(seen) = seen {
            request = request.header(IF_MATCH, seen);
        }
        if let Some((content_type, body)) = body {
            request = request
                .header("content-type", *content_type)
                .body(body.clone());
        }
        let response = request.send().await.with_context(|| self.silence())?;
        let status = response.status();
        let header = |name| {
            response
                .headers()
                .get(name)?
                .to_str()
                .ok()
                .map(str::to_owned)
        };
        let (tag, link) = (header(ETAG), header(LINK));
        let operation = link.as_deref().and_then(monitor).map(str::to_owned);
        let body = response.json().await.context("the answer is not JSON")?;
        let is_first = true;
        Ok(Answer {
            status,
            body,
            tag,
            operation,
            is_first,
        })
    }

    /// Asks until there is an answer that is more than "not now", each time under the same key.
    ///
    /// # Errors
    /// If patience ends before.
    pub(super) async fn ask(&self, question: &Question) -> anyhow::Result<Answer> {
        let (mut wait, mut waited) = (RETRY_AFTER, Duration::ZERO);
        loop {
            let is_first = waited.is_zero();
            match self.ask_once(question).await {
                Ok(answer) if !may_be_asked_again(answer.status) => {
                    return Ok(Answer { is_first, ..answer });
                }
                Ok(Answer { status, body, .. }) if waited >= self.patience => {
                    bail!(
                        "{}: the service answers {status}: {}",
                        question.path,
                        told(&body)
                    )
                }
                Err(error) if waited >= self.patience => return Err(error),
                Ok(_) | Err(_) => tokio::time::sleep(wait).await,
            }
            waited += wait;
            wait = (wait * 2).min(RETRY_AFTER_MAX);
        }
    }

    /// What a gauge of the service's metrics shows, if it has that gauge.
    pub(super) async fn gauge(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let metrics = self.http.get(self.base.join("/metrics")?);
        let answer = metrics.timeout(ANSWER_WAIT).send().await;
        let shown = answer.with_context(|| self.silence())?.text().await?;
        let value = shown
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        Ok(value)
    }

    /// Posts a JSON document and gives the JSON answer. Where no answer comes it is posted again,
    /// under the same key.
    ///
    /// # Errors
    /// If the service does not answer, or not with success.
    pub async fn post(&self, path: &str, body: &Value, key: &str) -> anyhow::Result<Value> {
        self.ask(&Question::post(path, body, key)).await?.success()
    }

    /// Posts drone events; again, if the service could not take them: that is safe.
    ///
    /// # Errors
    /// If the service does not take them all.
    pub(super) async fn tell<'e>(
        &self,
        events: impl IntoIterator<Item = &'e Value>,
    ) -> anyhow::Result<()> {
        let answer = self.ask(&Question::tell(events)).await?;
        match answer.success()?.pointer("/rejected/0") {
            Some(first) => bail!("the service refused a drone event: {first}"),
            None => Ok(()),
        }
    }

    /// Opens a stream of events.
    ///
    /// # Errors
    /// If the service does not answer, or not with a stream.
    pub(super) async fn stream(&self, path: &str) -> anyhow::Result<Response> {
        let request = self.http.get(self.base.join(path)?);
        let response = request
            .header("accept", "text/event-stream")
            .send()
            .await
            .with_context(|| self.silence())?;
        Ok(response.error_for_status()?)
    }

    /// The delivery's status, as soon as it is a final one, or whatever it is after `wait`.
    pub(super) async fn await_outcome(
        &self,
        id: DeliveryId,
        wait: Duration,
    ) -> anyhow::Result<String> {
        let question = Question::get(format!("/v1/deliveries/{id}/status"));
        let looks = wait.as_millis() / STATUS_EVERY.as_millis();
        let mut status = String::new();
        for _ in 0..looks {
            let answer = self.ask_once(&question).await?.success()?;
            text_at("/status", &answer).clone_into(&mut status);
            if is_final(&status) {
                break;
            }
            tokio::time::sleep(STATUS_EVERY).await;
        }
        Ok(status)
    }

    fn silence(&self) -> String {
        format!(
            "no answer from {}: is the service running there?",
            self.base
        )
    }
}

/// What a problem says to people, and which fields it is about.
fn told(problem: &Value) -> String {
    let faults = problem.get("errors").filter(|faults| !faults.is_null());
    match (problem.get("detail").and_then(Value::as_str), faults) {
        (Some(detail), Some(faults)) => format!("{detail} {faults}"),
        (Some(detail), None) => detail.to_owned(),
        (None, _) => problem.to_string(),
    }
}

/// Whether a delivery's life is over with this status.
pub(super) fn is_final(status: &str) -> bool {
    ["complete", "returned", "cancelled", "failed", "rejected"].contains(&status)
}

/// The address in a link to what goes on.
fn monitor(link: &str) -> Option<&str> {
    let (address, relation) = link.strip_prefix('<')?.split_once('>')?;
    relation.contains("rel=\"monitor\"").then_some(address)
}

fn may_be_asked_again(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// A text in an answer; empty if it is not there.
pub(super) fn text_at<'a>(pointer: &str, answer: &'a Value) -> &'a str {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Hears a request on a connection of its own, and says what is told.
    async fn hear(listener: &TcpListener, answer: &str) -> String {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            assert_ne!(connection.read_buf(&mut heard).await.unwrap(), 0);
        }
        connection.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(heard).unwrap()
    }

    #[tokio::test]
    async fn given_a_connection_that_breaks_when_it_is_asked_again_then_under_the_same_key() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(&url).unwrap();
        let question = Question::post("/v1/deliveries/1/cancel", &json!({}), "run-1-cancel");
        let answer = "HTTP/1.1 202 -\r\ncontent-length: 2\r\n\r\n{}";
        let service = async { [hear(&listener, "").await, hear(&listener, answer).await] };
        let (heard, answered) = tokio::join!(service, client.ask(&question));
        for request in &heard {
            let heads = request.to_lowercase();
            assert!(
                heads.contains("idempotency-key: \"run-1-cancel\"\r\n"),
                "{request}"
            );
        }
        let answered = answered.unwrap();
        assert_eq!((answered.status.as_u16(), answered.is_first), (202, false));
    }

    #[tokio::test]
    async fn given_an_answer_that_names_an_operation_and_an_entity_tag_then_both_are_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let named = ("key-1".to_owned(), "\"7\"".to_owned());
        let question = Question::patch("/v1/deliveries/1", &json!({}), named);
        let answer = "HTTP/1.1 200 -\r\ncontent-length: 2\r\netag: \"8\"\r\nlink: </v1/operations/opn_1>; rel=\"monitor\"\r\n\r\n{}";
        let (heard, answered) = tokio::join!(hear(&listener, answer), client.ask(&question));
        assert!(heard.starts_with("PATCH "), "{heard}");
        assert!(
            heard.to_lowercase().contains("if-match: \"7\"\r\n"),
            "{heard}"
        );
        let answered = answered.unwrap();
        assert_eq!(answered.operation.as_deref(), Some("/v1/operations/opn_1"));
        assert_eq!(answered.tag.as_deref(), Some("\"8\""));
    }
}
