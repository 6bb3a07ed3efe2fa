//! The pages that the `type` of a problem leads to.

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::body::JSON;
use super::negotiate::choose;
use super::problem::{Problem, ProblemKind};

const HTML: &str = "text/html";

/// Pages change with the program only.
const CACHING: &str = "public, max-age=86400";

/// `GET /problems` and `GET /problems/{slug}`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/problems", get(list))
        .route("/problems/{slug}", get(page))
}

async fn list(headers: HeaderMap) -> Result<Response, Problem> {
    Ok(match choose(&headers, &[HTML, JSON])? {
        HTML => html(
            "Problems",
            &ProblemKind::ALL
                .iter()
                .map(|kind| entry(*kind))
                .collect::<String>(),
        ),
        _ => json_page(
            &json!({ "items": ProblemKind::ALL.iter().map(|kind| described(*kind)).collect::<Vec<_>>() }),
        ),
    })
}

async fn page(Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let kind = ProblemKind::from_slug(&slug).ok_or_else(|| {
        Problem::not_found("there is no problem of this name; /problems lists them all")
    })?;
    Ok(match choose(&headers, &[HTML, JSON])? {
        HTML => html(kind.title(), &text(kind)),
        _ => json_page(&described(kind)),
    })
}

fn described(kind: ProblemKind) -> serde_json::Value {
    json!({
        "code": kind.slug(),
        "status": kind.status().as_u16(),
        "title": kind.title(),
        "retryable": kind.is_retryable(),
        "explanation": kind.explanation(),
    })
}

fn entry(kind: ProblemKind) -> String {
    let (slug, title) = (kind.slug(), kind.title());
    format!(
        "<h2><a href=\"/problems/{slug}\">{title}</a></h2>\n{}",
        text(kind)
    )
}

fn text(kind: ProblemKind) -> String {
    let retry = if kind.is_retryable() {
        "The same request may succeed later."
    } else {
        "The same request will not succeed as it is."
    };
    format!(
        "<p>Status {}, code <code>{}</code>. {retry}</p>\n<p>{}</p>\n",
        kind.status().as_u16(),
        kind.slug(),
        kind.explanation()
    )
}

fn html(title: &str, content: &str) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} – Airpost</title>\n</head>\n<body>\n<h1>{title}</h1>\n{content}</body>\n</html>\n"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, CACHING),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    (headers, page).into_response()
}

fn json_page(value: &serde_json::Value) -> Response {
    (
        [(CONTENT_TYPE, JSON), (CACHE_CONTROL, CACHING)],
        value.to_string(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(uri: &str, accept: &str) -> (u16, String, String) {
        let request = Request::builder()
            .uri(uri)
            .header("accept", accept)
            .body(Body::empty())
            .unwrap();
        let response = routes::<()>().oneshot(request).await.unwrap();
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            content_type.unwrap_or_default(),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn every_type_leads_to_a_page_that_explains_it() {
        for kind in ProblemKind::ALL {
            let uri = format!("/problems/{}", kind.slug());
            let (status, content_type, body) = ask(&uri, "text/html,*/*;q=0.8").await;
            assert_eq!(
                (status, content_type.as_str()),
                (200, "text/html; charset=utf-8"),
                "{uri}"
            );
            assert!(
                body.contains(kind.title()) && body.contains(kind.explanation()),
                "{uri}"
            );
            let (_, content_type, body) = ask(&uri, "application/json").await;
            assert_eq!(content_type, JSON);
            assert!(body.contains(kind.slug()), "{body}");
        }
        let (_, _, all) = ask("/problems", "*/*").await;
        assert!(
            ProblemKind::ALL
                .iter()
                .all(|kind| all.contains(kind.slug()))
        );
    }

    #[test]
    fn no_text_needs_escaping_in_html() {
        for kind in ProblemKind::ALL {
            assert!(
                !format!("{}{}", kind.title(), kind.explanation()).contains(['<', '>', '&']),
                "{kind:?}"
            );
        }
    }

    #[tokio::test]
    async fn another_name_or_form_is_not_there() {
        assert_eq!(ask("/problems/none-such", "*/*").await.0, 404);
        assert_eq!(ask("/problems/not-found", "image/png").await.0, 406);
    }
}
