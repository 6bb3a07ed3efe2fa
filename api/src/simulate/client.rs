//! The service's public door, from outside.

use std::time::Duration;

use anyhow::{Context, bail};
use domain::id::DeliveryId;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

/// How often a request is sent again when the service could not take it.
const TRIES_MAX: u32 = 6;

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// The first wait before sending again; doubled each time.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How often a status is asked for while it is awaited.
const STATUS_EVERY: Duration = Duration::from_millis(100);

/// A client of the service's public door.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client of the service at this address.
    ///
    /// # Errors
    /// If it is no address that can be spoken to.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let base = Url::parse(url)
            .with_context(|| format!("{url} is no URL: give one such as http://127.0.0.1:8080"))?;
        if base.scheme() != "http" {
            bail!("{url}: only http is spoken here");
        }
        let http = reqwest::Client::builder().timeout(ANSWER_WAIT).build()?;
        Ok(Self { http, base })
    }

    /// Posts a JSON document and gives the JSON answer.
    ///
    /// # Errors
    /// If the service does not answer, or not with success.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = self.base.join(path)?;
        let response = self
            .http
            .post(url)
            .json(body)
            .send()
            .await
            .with_context(|| self.silence())?;
        json_of(response).await
    }

    /// Posts drone events; again, if the service could not take them: that is safe.
    pub(super) async fn post_events(
        &self,
        events: impl Iterator<Item = &Value>,
    ) -> anyhow::Result<()> {
        let lines: Vec<String> = events.map(Value::to_string).collect();
        let lines = lines.join("\n");
        let url = self.base.join("/v1/drone-events")?;
        let mut wait = RETRY_AFTER;
        for tries_left in (0..TRIES_MAX).rev() {
            let request = self
                .http
                .post(url.clone())
                .header("content-type", "application/x-ndjson");
            match request.body(lines.clone()).send().await {
                Ok(response) if !may_be_tried_again(response.status()) => {
                    return all_taken(&json_of(response).await?);
                }
                Ok(response) if tries_left == 0 => {
                    bail!("drone events: the service answered {}", response.status())
                }
                Err(error) if tries_left == 0 => return Err(error).with_context(|| self.silence()),
                Ok(_) | Err(_) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
        bail!("drone events: the service did not take them")
    }

    /// The delivery's status, as soon as it is a final one, or whatever it is after `wait`.
    pub(super) async fn await_outcome(
        &self,
        id: DeliveryId,
        wait: Duration,
    ) -> anyhow::Result<String> {
        const FINAL: [&str; 5] = ["complete", "returned", "cancelled", "failed", "rejected"];
        let url = self.base.join(&format!("/v1/deliveries/{id}/status"))?;
        let looks = wait.as_millis() / STATUS_EVERY.as_millis();
        let mut status = String::new();
        for _ in 0..looks {
            let response = self
                .http
                .get(url.clone())
                .send()
                .await
                .with_context(|| self.silence())?;
            text_at("/status", &json_of(response).await?).clone_into(&mut status);
            if FINAL.contains(&status.as_str()) {
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

fn may_be_tried_again(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn all_taken(answer: &Value) -> anyhow::Result<()> {
    match answer.pointer("/rejected/0") {
        Some(first) => bail!("the service refused a drone event: {first}"),
        None => Ok(()),
    }
}

/// A text in an answer; empty if it is not there.
pub(super) fn text_at<'a>(pointer: &str, answer: &'a Value) -> &'a str {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

async fn json_of(response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body: Value = response.json().await.context("the answer is not JSON")?;
    if !status.is_success() {
        bail!("the service answered {status}: {body}");
    }
    Ok(body)
}
