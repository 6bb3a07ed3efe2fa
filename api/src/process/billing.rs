//! The billing service, over HTTP.
//!
//! ```text
//! POST   <url>                       {operation_id, delivery_id, user_id}  → {authorization_id, status}
//! DELETE <url>/<authorization_id>
//! ```
//! Both bear an `Idempotency-Key` that is the same for every attempt, so that a request whose
//! answer was lost can be made again.

use std::time::Duration;

use domain::delivery::RejectReason;
use domain::id::{DeliveryId, OperationId, UserId};
use domain::scheduling::{Authorization, Deferral};
use reqwest::header::{CONTENT_LENGTH, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

/// How long one answer may take, with everything, seconds.
pub(super) const ANSWER_WAIT_S: u32 = 10;

/// How long a connection may take to come about.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// The largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The longest that a `Retry-After` is taken at its word, seconds.
const RETRY_AFTER_S_MAX: u64 = 300;

/// A billing service.
#[derive(Clone, Debug)]
pub struct Billing {
    http: reqwest::Client,
    url: Url,
}

/// An address is not that of a billing service.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// It is no address.
    #[error(
        "{url} is no address of a billing service: give one such as http://127.0.0.1:9000/authorizations; https is not spoken, so let a proxy on this machine do that"
    )]
    Url {
        /// What was given.
        url: String,
    },
    /// The client could not be made.
    #[error("the client of the billing service cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// What an authorization is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bill {
    pub(super) operation: OperationId,
    pub(super) delivery: DeliveryId,
    pub(super) user: UserId,
}

/// What the billing service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Authorized(Authorization),
    Denied(RejectReason),
    Voided,
    VoidRefused,
    /// It cannot tell now; after how long it wants to be asked again, if it said so.
    Deferred(Deferral, Option<Duration>),
}

#[derive(Deserialize)]
struct Authorized {
    #[serde(default)]
    authorization_id: Option<String>,
    status: String,
}

impl Billing {
    /// The billing service at an address.
    ///
    /// # Errors
    /// [`BillingError`].
    pub fn new(url: &str) -> Result<Self, BillingError> {
        let parsed = Url::parse(url).ok();
        let parsed = parsed.filter(|url| url.scheme() == "http" && !url.cannot_be_a_base());
        let url = parsed.ok_or_else(|| BillingError::Url {
            url: url.to_owned(),
        })?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(ANSWER_WAIT_S.into()))
            .connect_timeout(CONNECT_WAIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, url })
    }

    /// Has a payment authorized.
    pub(super) async fn authorize(&self, bill: Bill) -> Answer {
        let key = format!("\"{}:authorize\"", bill.operation);
        let request = self
            .http
            .request(Method::POST, self.url.clone())
            .json(&json!({
                "operation_id": bill.operation.to_string(),
                "delivery_id": bill.delivery.to_string(),
                "user_id": bill.user.to_string(),
            }));
        let response = match send(request, &key).await {
            Ok(response) => response,
            Err(deferred) => return deferred,
        };
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => authorized(response).await,
            StatusCode::PAYMENT_REQUIRED => Answer::Denied(RejectReason::PaymentDeclined),
            status if status.is_client_error() => {
                tracing::error!(operation = %bill.operation, %status, "the billing service refused a request as wrong");
                Answer::Denied(RejectReason::PaymentRefused)
            }
            _ => Answer::Deferred(Deferral::Unintelligible, None),
        }
    }

    /// Takes an authorization back.
    pub(super) async fn void(&self, operation: OperationId, authorization: &str) -> Answer {
        let key = format!("\"{operation}:void\"");
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(authorization);
        }
        let request = self.http.request(Method::DELETE, url);
        let response = match send(request, &key).await {
            Ok(response) => response,
            Err(deferred) => return deferred,
        };
        match response.status() {
            // What is not there any more need not be taken back.
            StatusCode::NOT_FOUND | StatusCode::GONE => Answer::Voided,
            status if status.is_success() => Answer::Voided,
            status if status.is_client_error() => {
                tracing::error!(%operation, %status, "the billing service does not take an authorization back");
                Answer::VoidRefused
            }
            _ => Answer::Deferred(Deferral::Unintelligible, None),
        }
    }
}

/// Sends a request, and takes answers apart that say nothing about it.
async fn send(request: RequestBuilder, key: &str) -> Result<Response, Answer> {
    let sent = request.header("idempotency-key", key).send().await;
    let response = sent.map_err(|error| {
        let why = if error.is_connect() {
            Deferral::Unreachable
        } else {
            Deferral::Unanswered
        };
        Answer::Deferred(why, None)
    })?;
    let why = match response.status() {
        StatusCode::TOO_MANY_REQUESTS => Deferral::Throttled,
        StatusCode::SERVICE_UNAVAILABLE => Deferral::Unavailable,
        // Something on the way gave up: whether it was done nobody knows.
        status if status.is_server_error() => Deferral::Unanswered,
        StatusCode::REQUEST_TIMEOUT => Deferral::Unanswered,
        _ => return Ok(response),
    };
    Err(Answer::Deferred(why, retry_after(&response)))
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.min(RETRY_AFTER_S_MAX)))
}

async fn authorized(mut response: Response) -> Answer {
    let told = response.headers().get(CONTENT_LENGTH);
    let told = told.and_then(|length| length.to_str().ok()?.parse().ok());
    if told.is_some_and(|length: usize| length > ANSWER_BYTES_MAX) {
        return Answer::Deferred(Deferral::Unintelligible, None);
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Answer::Deferred(Deferral::Unintelligible, None),
            Ok(None) => break,
            Err(_) => return Answer::Deferred(Deferral::Unanswered, None),
        }
    }
    let Ok(said) = serde_json::from_slice::<Authorized>(&body) else {
        return Answer::Deferred(Deferral::Unintelligible, None);
    };
    let id = said.authorization_id.map(Authorization::new);
    match (said.status.as_str(), id) {
        ("authorized", Some(Ok(authorization))) => Answer::Authorized(authorization),
        ("declined", _) => Answer::Denied(RejectReason::PaymentDeclined),
        _ => Answer::Deferred(Deferral::Unintelligible, None),
    }
}
