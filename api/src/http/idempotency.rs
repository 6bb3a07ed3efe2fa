//! Requests under a key of their client's own (`Idempotency-Key`, draft 07 of
//! the HTTPAPI working group): carried out once, however often they are sent.
//!
//! No answer is kept. What the request did is noted in its own commit, and a
//! repetition is answered with what that was about, as it was right after it.

use axum::body::Body;
use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use domain::id::{DeliveryId, PackageId, UserId};
use domain::scheduling::OperationKind;
use domain::stream::Category;
use domain::taken::{CommandId, TakenCommand};
use eventstore::{Position, StreamVersion};

use super::answer::failed;
use super::front::RequestIdentity;
use super::path::{PathId, Thing, unknown};
use super::prefer::Preferences;
use super::problem::{Problem, ProblemKind};
use super::{Api, deliveries, packages, redrive, tasks, users};
use crate::application::KeyedCommand;

#[cfg(test)]
mod tests;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer is that of a request that was carried out before: `?1`.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key, characters.
const KEY_CHARS_MAX: usize = 255;

/// Whose keys they are: as long as nobody says who they are, everybody's.
const PRINCIPAL: &str = "everybody";

/// A layer that answers a repetition itself and tells the handler of a new
/// request that it is one with its repetitions.
///
/// What was carried out is looked for before the handler looks at anything, since
/// the state that the request was fit for has moved on with it; and once more if
/// the handler refuses it, since a twin may have been quicker meanwhile.
pub(super) async fn answer_once(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let takes_keys = matches!(*request.method(), Method::POST | Method::PATCH);
    let key = if takes_keys {
        key(request.headers())?
    } else {
        None
    };
    let Some(key) = key else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let named = PathId::from_request_parts(&mut parts, &api).await;
    let whole = api.bodies.read(&parts.headers, body).await?;
    let asked = Asked {
        method: parts.method.clone(),
        route: parts.extensions.get::<MatchedPath>().cloned(),
        named: named.ok(),
        headers: parts.headers.clone(),
    };
    let keyed = KeyedCommand {
        id: CommandId::of(PRINCIPAL, (asked.method.as_str(), asked.route()), &key),
        request_hash: hash(&parts.uri, &whole.bytes),
    };
    if let Some(response) = asked.replayed(&api, keyed).await? {
        return Ok(response);
    }
    let identity = parts.extensions.remove::<RequestIdentity>();
    let identity = identity.expect("the front lies around every route");
    parts.extensions.insert(identity.keyed(keyed));
    let request = Request::from_parts(parts, Body::from(whole.bytes.clone()));
    let response = next.run(request).await;
    if response.status().is_success() {
        return Ok(response);
    }
    let replayed = asked.replayed(&api, keyed).await;
    Ok(replayed
        .unwrap_or_else(|problem| Some(problem.into_response()))
        .unwrap_or(response))
}

/// What a repetition is told apart by, and what its answer takes from it.
struct Asked {
    method: Method,
    route: Option<MatchedPath>,
    /// The id in its path, if there is one.
    named: Option<PathId>,
    headers: HeaderMap,
}

impl Asked {
    fn route(&self) -> &str {
        self.route.as_ref().map_or("", MatchedPath::as_str)
    }

    /// The answer, if the request was carried out before.
    async fn replayed(&self, api: &Api, keyed: KeyedCommand) -> Result<Option<Response>, Problem> {
        let taken = api.application.taken(keyed.id);
        let Some((taken, position)) = taken.map_err(|error| failed(&error.into()))? else {
            return Ok(None);
        };
        if taken.request_hash != keyed.request_hash {
            return Err(Problem::new(
                ProblemKind::IdempotencyKeyReused,
                "another request was carried out under this Idempotency-Key; take a new one",
            ));
        }
        let mut response = self.shown(api, taken, position).await?;
        let is_so = HeaderValue::from_static("?1");
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, is_so);
        Ok(Some(response))
    }

    /// What a request did that was carried out at a position.
    async fn shown(
        &self,
        api: &Api,
        taken: TakenCommand,
        position: Position,
    ) -> Result<Response, Problem> {
        let preferences = Preferences::of(&self.headers);
        let (status, key) = (self.status(), taken.shown.key);
        let version = StreamVersion::new(taken.version);
        let response = match taken.shown.category {
            Category::User => {
                users::replayed(api, UserId::from_uuid(key), version, status, position).await?
            }
            Category::Package => {
                packages::replayed(api, PackageId::from_uuid(key), version, status, position)?
            }
            Category::Delivery => {
                let delivery = DeliveryId::from_uuid(key);
                let asked = (status, self.operation(), preferences);
                return deliveries::replayed(api, delivery, position, asked).await;
            }
            Category::Task => {
                let task = api.application.acknowledged_task(taken.shown);
                let task = task.map_err(|error| failed(&error.into()))?;
                tasks::acknowledged(api, task.ok_or_else(|| unknown(Thing::Task))?, position)?
            }
            // The same address was asked for, so it names the same dead letter.
            Category::DroneSession | Category::Refusals => {
                let named = self.named.as_ref().map(|id| id.parse(Thing::DeadLetter));
                let letter = named.unwrap_or_else(|| Err(unknown(Thing::DeadLetter)));
                redrive::applied(letter?, position)
            }
            Category::EmailClaim
            | Category::ExternalIdClaim
            | Category::TagClaim
            | Category::Mission
            | Category::Command
            | Category::Operation
            | Category::Dispatch => {
                tracing::error!(shown = %taken.shown, "no answer shows such a stream");
                return Err(Problem::internal());
            }
        };
        Ok(preferences.apply_return(response))
    }

    /// The status that the route answers with, where no operation goes on.
    fn status(&self) -> StatusCode {
        let creates = matches!(
            self.route(),
            "/v1/users" | "/v1/packages" | "/v1/deliveries" | "/v1/deliveries/{id}/confirmations"
        );
        if creates {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        }
    }

    /// What goes on with a delivery after a request to this route, if anything.
    fn operation(&self) -> Option<OperationKind> {
        match self.route() {
            "/v1/deliveries" => Some(OperationKind::Schedule),
            "/v1/deliveries/{id}" => Some(OperationKind::Reschedule),
            "/v1/deliveries/{id}/cancel" => Some(OperationKind::Cancel),
            "/v1/deliveries/{id}/return" => Some(OperationKind::Return),
            _ => None,
        }
    }
}

/// The hash of what was asked: the whole address, with its query, and the body
/// byte for byte. A zero byte, which no address contains, keeps them apart.
fn hash(uri: &Uri, body: &[u8]) -> [u8; 32] {
    let address = uri.path_and_query().map_or("", |address| address.as_str());
    let mut hasher = blake3::Hasher::new();
    hasher.update(address.as_bytes()).update(&[0]).update(body);
    *hasher.finalize().as_bytes()
}

/// The key of a request, if it has one: a quoted string (RFC 8941), or the same
/// characters without quotes.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    let key = line.to_str().ok().and_then(read_key);
    if lines.next().is_some() || key.is_none() {
        return Err(Problem::new(
            ProblemKind::MalformedHeader,
            format!(
                "Idempotency-Key is not one key of 1 to {KEY_CHARS_MAX} printable ASCII characters; send a UUID, \
                 or any other text in double quotes"
            ),
        ));
    }
    Ok(key)
}

fn read_key(line: &str) -> Option<String> {
    let line = line.trim();
    let key = match line.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => line
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"\\,;".contains(&b))
            .then(|| line.to_owned())?,
    };
    (1..=KEY_CHARS_MAX).contains(&key.len()).then_some(key)
}

/// What stands before the closing quote. Parameters after it are ignored.
fn unquoted(quoted: &str) -> Option<String> {
    let mut key = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            c if c == ' ' || c.is_ascii_graphic() => key.push(c),
            _ => return None,
        }
    }
    let rest = characters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with(';')).then_some(key)
}
