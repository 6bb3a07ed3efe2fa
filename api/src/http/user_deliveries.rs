//! `/v1/users/{id}/deliveries`: a user's deliveries, newest first, page by page.

use axum::Router;
use axum::extract::State;
use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::delivery::Status;
use domain::id::{ExternalId, UserId};
use domain::time::Timestamp;
use eventstore::EventStore;
use projections::{PAGE_ITEMS_MAX, PageKey, UserDeliveriesPage, UserDeliveriesQuery};
use serde_json::{Value, json};

use super::answer::{failed, json as json_answer, unanswered};
use super::conditional::{EntityTag, Preconditions};
use super::fields::{Fields, decimal, parsed, read_query};
use super::path::{PathId, unknown};
use super::prefer::Freshness;
use super::problem::Problem;
use super::representation::delivery as representation;
use super::{Api, cursor};

/// How many items a page has where the client does not say.
const LIMIT_DEFAULT: usize = 50;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/users/{id}/deliveries", get(list))
}

async fn list(
    State(api): State<Api>,
    id: PathId,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let user: UserId = id.parse("user")?;
    let preconditions = Preconditions::of(&method, &headers)?;
    if !exists(&api, user)? {
        return Err(unknown("user"));
    }
    let asked = read_query(&uri, read_filter)?;
    let scope = asked.scope(user);
    let query = asked.query(&scope, api.views.log())?;
    let page = freshness
        .ask(&api.views, |views| views.user_deliveries(user, &query))
        .await?;
    let issued = cursor::Issued::now(api.views.log(), page.position);
    let next = page
        .content
        .next
        .map(|key| cursor::encode(&scope, issued, &key.to_bytes()));
    let body = json!({ "items": items(&api, &query, &page.content)?, "next": next });
    let tag = EntityTag::of_bytes(body.to_string().as_bytes());
    let mut response = preconditions.answer(tag, || json_answer(StatusCode::OK, &body));
    let link = next.and_then(|next| HeaderValue::try_from(link_to(&uri, &next)).ok());
    response.headers_mut().extend(link.map(|link| (LINK, link)));
    Ok(page.stamp(response))
}

/// By the log itself, so that the list alone hangs on a view.
fn exists(api: &Api, user: UserId) -> Result<bool, Problem> {
    let status = api.application.user_status(user);
    Ok(status.map_err(|error| failed(&error.into()))?.is_some())
}

/// The deliveries of a page as they are now; what has left the filter
/// meanwhile is left out.
fn items(
    api: &Api,
    query: &UserDeliveriesQuery,
    page: &UserDeliveriesPage,
) -> Result<Vec<Value>, Problem> {
    let mut items = Vec::with_capacity(page.items.len());
    for listed in &page.items {
        let row = api
            .views
            .delivery(listed.id)
            .map_err(|error| unanswered(&error))?;
        let row =
            row.filter(|row| query.statuses.is_empty() || query.statuses.contains(&row.status));
        items.extend(row.as_ref().map(representation::delivery));
    }
    Ok(items)
}

/// What a client asks for.
struct Filter {
    statuses: Vec<Status>,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
    external_id: Option<ExternalId>,
    limit: usize,
    cursor: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_filter(query: &mut Fields<'_>) -> Option<Filter> {
    let limit = query.optional("limit", decimal(1..=PAGE_ITEMS_MAX));
    Some(Filter {
        statuses: query
            .optional("status", parsed(read_statuses))
            .unwrap_or_default(),
        created_after: query.optional("created_after", parsed(str::parse::<Timestamp>)),
        created_before: query.optional("created_before", parsed(str::parse::<Timestamp>)),
        external_id: query.optional("external_id", parsed(str::parse::<ExternalId>)),
        limit: limit.unwrap_or(LIMIT_DEFAULT),
        cursor: query.optional(
            "cursor",
            parsed(|text| Ok::<_, std::convert::Infallible>(text.to_owned())),
        ),
    })
}

/// One status, or several between commas.
fn read_statuses(text: &str) -> Result<Vec<Status>, String> {
    let statuses: Option<Vec<Status>> = text.split(',').map(Status::from_word).collect();
    statuses.ok_or_else(|| {
        let words: Vec<_> = Status::ALL.iter().map(|status| status.word()).collect();
        format!(
            "expected some of {}, with commas between them",
            words.join(", ")
        )
    })
}

impl Filter {
    /// What a cursor fits with: the list and the filter, but not the length
    /// of a page, which may change on the way.
    fn scope(&self, user: UserId) -> String {
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.word()).collect();
        let bound = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        format!(
            "deliveries of {user}, status {}, after {}, before {}, named {}",
            statuses.join(","),
            bound(self.created_after),
            bound(self.created_before),
            self.external_id.as_ref().map_or("", ExternalId::as_str),
        )
    }

    fn query(self, scope: &str, log: &dyn EventStore) -> Result<UserDeliveriesQuery, Problem> {
        let after = match &self.cursor {
            None => None,
            Some(text) => {
                let bytes = cursor::decode(scope, log, text)?;
                Some(PageKey::from_bytes(&bytes).ok_or_else(cursor::bad)?)
            }
        };
        let Self {
            statuses,
            created_after,
            created_before,
            external_id,
            limit,
            ..
        } = self;
        Ok(UserDeliveriesQuery {
            statuses,
            created_after,
            created_before,
            external_id,
            limit,
            after,
        })
    }
}

/// The same list from a cursor on.
fn link_to(uri: &Uri, next: &str) -> String {
    let parameters = uri.query().unwrap_or_default().split('&');
    let kept =
        parameters.filter(|parameter| !parameter.is_empty() && !parameter.starts_with("cursor="));
    let cursor = format!("cursor={next}");
    let query: Vec<&str> = kept.chain([cursor.as_str()]).collect();
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_to_the_next_page_keeps_the_filter() {
        let uri: Uri = "/v1/users/usr_1/deliveries?limit=2&cursor=abc&status=complete"
            .parse()
            .unwrap();
        assert_eq!(
            link_to(&uri, "xyz"),
            "</v1/users/usr_1/deliveries?limit=2&status=complete&cursor=xyz>; rel=\"next\""
        );
        let plain: Uri = "/v1/users/usr_1/deliveries".parse().unwrap();
        assert_eq!(
            link_to(&plain, "xyz"),
            "</v1/users/usr_1/deliveries?cursor=xyz>; rel=\"next\""
        );
    }
}
