//! What all lists have in common: which piece of them is wanted, and where the
//! next one is.

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use domain::delivery::Status;
use eventstore::Position;
use serde_json::{Value, json};

use super::answer::json as json_answer;
use super::conditional::{EntityTag, Preconditions};
use super::fields::{Fields, decimal, parsed};
use super::problem::{Problem, quote};
use super::{Api, cursor};
use crate::cursor::{Issued, encode};

/// How many items a page has where the client does not say.
const LIMIT_DEFAULT: usize = 50;

/// Most items on one page.
pub(super) const LIMIT_MAX: usize = 200;

/// Which piece of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// At most so many items, between 1 and [`LIMIT_MAX`].
    pub(super) limit: usize,
    /// Where it goes on, as the client sent it.
    cursor: Option<String>,
}

impl Piece {
    /// Reads `limit` and `cursor`.
    pub(super) fn read(query: &mut Fields<'_>) -> Self {
        let limit = query.optional("limit", decimal(1..=LIMIT_MAX));
        let as_it_is = parsed(|text| Ok::<_, std::convert::Infallible>(text.to_owned()));
        Self {
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            cursor: query.optional("cursor", as_it_is),
        }
    }

    /// Where the piece before ended, of the list that `scope` names with
    /// everything of the request that its cursors only fit with.
    ///
    /// # Errors
    /// `bad-cursor` (400) for a text that this list has not handed out.
    pub(super) fn after<T>(
        &self,
        api: &Api,
        scope: &str,
        place: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = &self.cursor else {
            return Ok(None);
        };
        let bytes = cursor::decode(scope, api.views.log(), text)?;
        place(&bytes).map(Some).ok_or_else(cursor::bad)
    }
}

/// A request for a list.
#[derive(Debug)]
pub(super) struct Asked<'r> {
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
}

/// A piece of a list, put together.
#[derive(Debug)]
pub(super) struct Listed<'l> {
    /// Names the list, as for [`Piece::after`].
    pub(super) scope: &'l str,
    /// The items, in their order.
    pub(super) items: Vec<Value>,
    /// Where it goes on, if it may.
    pub(super) next: Option<Vec<u8>>,
}

impl Asked<'_> {
    /// The answer: the items, as of a position, with the cursor of the next
    /// ones, or that the client has them already.
    pub(super) fn answer(
        &self,
        api: &Api,
        position: Position,
        listed: Listed<'_>,
    ) -> Result<Response, Problem> {
        let issued = Issued::now(api.views.log(), position);
        let next = listed.next;
        let next = next.map(|place| encode(listed.scope, issued, &place));
        let body = json!({ "items": listed.items, "next": next });
        let tag = EntityTag::of_bytes(body.to_string().as_bytes());
        let preconditions = Preconditions::of(self.method, self.headers)?;
        let mut response = preconditions.answer(tag, || json_answer(StatusCode::OK, &body));
        let link =
            next.and_then(|next| HeaderValue::try_from(link_to(self.uri, "cursor", &next)).ok());
        response.headers_mut().extend(link.map(|link| (LINK, link)));
        Ok(response)
    }
}

/// One status, or several between commas.
pub(super) fn read_statuses(text: &str) -> Result<Vec<Status>, String> {
    let words = Status::ALL.iter().map(|status| status.word());
    read_some(text, words, Status::from_word)
}

/// One of some words, or several between commas.
///
/// # Errors
/// All words, and the first that is none of them.
pub(in crate::http) fn read_some<T>(
    text: &str,
    words: impl Iterator<Item = &'static str>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    let read = text.split(',').map(|word| read(word).ok_or(word));
    read.collect::<Result<_, _>>().map_err(|word| {
        let words: Vec<_> = words.collect();
        format!(
            "expected some of {}, with commas between them; found {}",
            words.join(", "),
            quote(word)
        )
    })
}

/// The same list from a cursor on, which the parameter `name` bears.
pub(super) fn link_to(uri: &Uri, name: &str, next: &str) -> String {
    let is_of_another = |parameter: &&str| {
        let (of, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        !parameter.is_empty() && of != name
    };
    let parameters = uri.query().unwrap_or_default().split('&');
    let cursor = format!("{name}={next}");
    let query: Vec<&str> = parameters
        .filter(is_of_another)
        .chain([cursor.as_str()])
        .collect();
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
            link_to(&uri, "cursor", "xyz"),
            "</v1/users/usr_1/deliveries?limit=2&status=complete&cursor=xyz>; rel=\"next\""
        );
        let plain: Uri = "/v1/users/usr_1/deliveries".parse().unwrap();
        assert_eq!(
            link_to(&plain, "after", "xyz"),
            "</v1/users/usr_1/deliveries?after=xyz>; rel=\"next\""
        );
    }
}
