//! The billing service, over HTTP.
//!
//! ```text
//! POST   <url>                       {operation_id, delivery_id, user_id}  → {authorization_id, status}
//! DELETE <url>/<authorization_id>
//! ```
//! Both bear an `Idempotency-Key` that is the same for every attempt at the same thing, so that a
//! request whose answer was lost can be made again.
//!
//! Each request has a connection of its own: on one that is used again, an answer that was given
//! twice would be taken for that to the next request, and two bookings for each other's.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::{DeliveryId, OperationId, UserId};
use domain::scheduling::{Authorization, Deferral};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use super::retry_after::RetryAfter;
use crate::tls::{Trust, TrustError};

/// How long one answer may take, with everything, seconds.
pub(super) const ANSWER_WAIT_S: u32 = 10;

/// How long a connection may take to come about.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// The largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A billing service.
#[derive(Clone, Debug)]
pub struct Billing {
    http: reqwest::Client,
    url: Url,
    /// What was wrong with it when it was last asked, for the log.
    trouble: Arc<Mutex<Option<String>>>,
}

/// No billing service can be asked with these settings.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// It is no address. What was given is not repeated, since it may hold a secret.
    #[error(
        "the address of the billing service is none: give one such as https://billing.example.org/authorizations"
    )]
    NotAnAddress,
    /// It is one of something else.
    #[error(
        "the address of the billing service is not an http or https address: give one such as \
         https://billing.example.org/authorizations"
    )]
    NotHttp,
    /// Who asks would be told to everybody who reads the settings.
    #[error(
        "the address of the billing service bears a user name or a password, which are not sent: leave them out"
    )]
    Credentials,
    /// A part of the address would never be sent.
    #[error(
        "the address of the billing service ends with a fragment, which is not sent: leave out the # and what follows"
    )]
    Fragment,
    /// It is said whom to believe, and nobody is asked who they are.
    #[error(
        "it is said whose certificates are believed of the billing service, and its address does not begin with https: \
         give one that does, or leave out --billing-ca"
    )]
    NobodyToBelieve,
    /// It is not known whom to believe.
    #[error(
        "whose certificates are believed of the billing service (--billing-ca) is not known: {0}"
    )]
    Trust(#[from] TrustError),
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
    Declined,
    Voided,
    /// It does not say; when it wants to be asked again, if it said so.
    Deferred(Deferral, Option<RetryAfter>),
}

/// Why there is no answer yet.
#[derive(Debug)]
struct Setback {
    why: Deferral,
    retry_after: Option<RetryAfter>,
    /// In the log's words.
    told: String,
}

#[derive(Deserialize)]
struct Authorized {
    #[serde(default)]
    authorization_id: Option<String>,
    status: String,
}

impl Billing {
    /// The billing service at an address. Over https it is believed if one of the authorities in
    /// the PEM file vouches for it, or, without a file, one that the machine believes.
    ///
    /// # Errors
    /// [`BillingError`].
    pub fn new(url: &str, authorities: Option<&Path>) -> Result<Self, BillingError> {
        let url = address(url)?;
        let trust = match (url.scheme(), authorities) {
            ("https", Some(file)) => Trust::file(file)?,
            ("https", None) => Trust::machine()?,
            (_, Some(_)) => return Err(BillingError::NobodyToBelieve),
            (_, None) => Trust::nobody(),
        };
        let http = trust
            .client()
            .timeout(Duration::from_secs(ANSWER_WAIT_S.into()))
            .connect_timeout(CONNECT_WAIT)
            .pool_max_idle_per_host(0)
            // Who gets to see payments is said in the settings, not in the environment.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            http,
            url,
            trouble: Arc::default(),
        })
    }

    /// Has a payment authorized.
    pub(super) async fn authorize(&self, bill: Bill) -> Answer {
        self.heard(self.ask_to_authorize(bill).await)
    }

    /// Takes an authorization back.
    pub(super) async fn void(&self, operation: OperationId, authorization: &str) -> Answer {
        self.heard(self.ask_to_void(operation, authorization).await)
    }

    async fn ask_to_authorize(&self, bill: Bill) -> Result<Answer, Setback> {
        let key = format!("\"{}:authorize\"", bill.operation);
        let request = self
            .http
            .request(Method::POST, self.url.clone())
            .json(&json!({
                "operation_id": bill.operation.to_string(),
                "delivery_id": bill.delivery.to_string(),
                "user_id": bill.user.to_string(),
            }));
        let response = send(request, &key).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => authorized(response).await,
            StatusCode::PAYMENT_REQUIRED => Ok(Answer::Declined),
            status => Err(useless(status)),
        }
    }

    async fn ask_to_void(
        &self,
        operation: OperationId,
        authorization: &str,
    ) -> Result<Answer, Setback> {
        // One of an older release's log, which took names of every kind.
        if !has_address(authorization) {
            return Err(Setback {
                why: Deferral::Refused,
                retry_after: None,
                told: "an authorization_id is none that has an address".to_owned(),
            });
        }
        let (url, key) = to_void(self.url.clone(), operation, authorization);
        let request = self.http.request(Method::DELETE, url);
        let response = send(request, &key).await?;
        match response.status() {
            status if status.is_success() => Ok(Answer::Voided),
            // Also one that says that there is no such authorization: so does a wrong address,
            // and this one was given to us.
            status => Err(useless(status)),
        }
    }

    /// Takes in how a request went. An outage is one line of the log when it begins, one when it
    /// becomes another and one when it is over, however many requests it meets.
    fn heard(&self, heard: Result<Answer, Setback>) -> Answer {
        let told = heard.as_ref().err().map(|setback| setback.told.clone());
        let before = {
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *trouble, told.clone())
        };
        match &told {
            Some(why) if told != before => {
                tracing::warn!(
                    why,
                    "the billing service is of no use; payments wait and are tried again, unless it refused them at once"
                );
            }
            None if before.is_some() => tracing::info!("the billing service answers again"),
            Some(_) | None => {}
        }
        heard.unwrap_or_else(|setback| Answer::Deferred(setback.why, setback.retry_after))
    }
}

/// An address that a billing service can have.
fn address(text: &str) -> Result<Url, BillingError> {
    let url = Url::parse(text).map_err(|_| BillingError::NotAnAddress)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BillingError::NotHttp);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BillingError::Credentials);
    }
    if url.fragment().is_some() {
        return Err(BillingError::Fragment);
    }
    Ok(url)
}

/// Whether an authorization of this name can be taken back: its name is the last segment of an
/// address, and `.` and `..` stand for another one there, a slash for two of them.
fn has_address(authorization: &str) -> bool {
    let is_odd = |c: char| c == '/' || c.is_control();
    !matches!(authorization, "" | "." | "..") && !authorization.contains(is_odd)
}

/// Where an authorization is taken back, and under which key: another one of the same operation
/// is another request. The key has it as the address does, since a header takes no more.
fn to_void(mut url: Url, operation: OperationId, authorization: &str) -> (Url, String) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(authorization);
    }
    let named = url.path_segments().and_then(|mut path| path.next_back());
    let key = format!("\"{operation}:void:{}\"", named.unwrap_or_default());
    (url, key)
}

/// Sends a request, and takes answers apart that say nothing about it.
async fn send(request: RequestBuilder, key: &str) -> Result<Response, Setback> {
    let sent = request.header("idempotency-key", key).send().await;
    let response = sent.map_err(|error| {
        let why = if error.is_connect() {
            Deferral::Unreachable
        } else {
            Deferral::Unanswered
        };
        broken(why, error)
    })?;
    let status = response.status();
    let why = match status {
        StatusCode::TOO_MANY_REQUESTS => Deferral::Throttled,
        StatusCode::SERVICE_UNAVAILABLE => Deferral::Unavailable,
        // Something on the way gave up: whether it was done nobody knows.
        status if status.is_server_error() => Deferral::Unanswered,
        // The last two also while an earlier attempt under this key is still being done.
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => {
            Deferral::Unanswered
        }
        _ => return Ok(response),
    };
    Err(Setback {
        why,
        retry_after: RetryAfter::of(response.headers()),
        told: format!("it answered {status}"),
    })
}

/// A connection that did not come about or broke, with every reason down to the first, such as
/// what is wrong with a certificate; without the address, which may say what is nobody's business.
fn broken(why: Deferral, error: reqwest::Error) -> Setback {
    Setback {
        why,
        retry_after: None,
        told: format!("{:#}", anyhow::Error::from(error.without_url())),
    }
}

/// An answer that does not say what became of the request.
fn useless(status: StatusCode) -> Setback {
    if status.is_client_error() {
        return Setback {
            why: Deferral::Refused,
            retry_after: None,
            told: format!("it calls a request wrong: {status}"),
        };
    }
    unintelligible(format!("it answered {status}"))
}

fn unintelligible(told: String) -> Setback {
    Setback {
        why: Deferral::Unintelligible,
        retry_after: None,
        told,
    }
}

async fn authorized(mut response: Response) -> Result<Answer, Setback> {
    let too_long = || unintelligible(format!("its answer is over {ANSWER_BYTES_MAX} bytes"));
    let told = response.headers().get(CONTENT_LENGTH);
    let told = told.and_then(|length| length.to_str().ok()?.parse().ok());
    if told.is_some_and(|length: usize| length > ANSWER_BYTES_MAX) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(too_long()),
            Ok(None) => break,
            Err(error) => return Err(broken(Deferral::Unanswered, error)),
        }
    }
    let said = serde_json::from_slice::<Authorized>(&body).ok();
    let said = said.ok_or_else(|| {
        unintelligible("its answer is no JSON with a status and an authorization_id".to_owned())
    })?;
    let id = said.authorization_id.map(Authorization::new);
    match (said.status.as_str(), id) {
        ("authorized", Some(Ok(authorization))) if has_address(authorization.as_str()) => {
            Ok(Answer::Authorized(authorization))
        }
        ("declined", _) => Ok(Answer::Declined),
        _ => Err(unintelligible(
            "its answer is neither authorized with an authorization_id that has an address nor declined"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests;
