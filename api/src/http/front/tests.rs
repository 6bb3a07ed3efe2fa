//! What every answer has in common.

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderName, HeaderValue};
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::http::problem::PROBLEM_JSON;

fn settings() -> FrontSettings {
    FrontSettings {
        public_url: None,
        headers_bytes_max: 1024,
        request_time: Duration::from_millis(20),
        environment: Environment::fixed(0),
        head: Arc::new(|| 42),
    }
}

async fn boom() {
    panic!("secret of the handler");
}

fn routes() -> Router {
    Router::new()
        .route(
            "/things",
            get(async || "things").post(async || (StatusCode::CREATED, "made")),
        )
        .route(
            "/things/{id}",
            get(async || StatusCode::NOT_MODIFIED).delete(async || StatusCode::NO_CONTENT),
        )
        .route("/boom", get(boom))
        .route("/forever", get(std::future::pending::<()>))
        .route(
            "/read",
            post(async |body: axum::body::Bytes| body.len().to_string()),
        )
        .route(
            "/foreign",
            get(async || (StatusCode::IM_A_TEAPOT, "internal words")),
        )
        .route(
            "/own",
            get(async || ([(CACHE_CONTROL, "immutable"), (STREAM_POSITION, "7")], "")),
        )
}

fn request(method: &str, uri: &str) -> Request {
    Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::empty())
        .unwrap()
}

async fn ask(request: Request) -> Response<Body> {
    front(routes(), settings()).oneshot(request).await.unwrap()
}

async fn json_of(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

async fn body_of(response: Response<Body>) -> bytes::Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn an_unknown_address_is_a_problem_with_all_its_members() {
    let mut unknown = request("GET", "/nothing");
    unknown
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("airpost.test:8080"));
    let response = ask(unknown).await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let request_id = response.headers()["request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let problem = json_of(response).await;
    assert_eq!(
        problem["type"],
        "http://airpost.test:8080/problems/not-found"
    );
    assert_eq!(problem["instance"], format!("urn:uuid:{request_id}"));
    assert_eq!(
        (&problem["status"], &problem["code"], &problem["retryable"]),
        (&json!(404), &json!("not-found"), &json!(false))
    );
}

#[tokio::test]
async fn a_configured_address_beats_what_the_client_says() {
    let settings = FrontSettings {
        public_url: Some("https://x.test".into()),
        ..settings()
    };
    let mut unknown = request("GET", "/nothing");
    unknown
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("evil.test"));
    let response = front(routes(), settings).oneshot(unknown).await.unwrap();
    assert_eq!(
        json_of(response).await["type"],
        "https://x.test/problems/not-found"
    );
}

#[tokio::test]
async fn a_host_that_is_none_makes_the_type_relative() {
    for host in ["user@x.test", "a b", ""] {
        let mut unknown = request("GET", "/nothing");
        unknown
            .headers_mut()
            .insert(HOST, HeaderValue::from_str(host).unwrap());
        assert_eq!(
            json_of(ask(unknown).await).await["type"],
            "/problems/not-found",
            "{host:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    for (method, uri, allow) in [
        ("DELETE", "/things", "GET, HEAD, POST, OPTIONS"),
        ("PROPFIND", "/things/1", "GET, HEAD, DELETE, OPTIONS"),
        ("GET", "/read", "POST, OPTIONS"),
    ] {
        let response = ask(request(method, uri)).await;
        assert_eq!(response.status(), 405, "{method} {uri}");
        assert_eq!(response.headers()[ALLOW], allow, "{method} {uri}");
        assert_eq!(json_of(response).await["code"], "method-not-allowed");
    }
}

#[tokio::test]
async fn options_lists_the_methods() {
    let response = ask(request("OPTIONS", "/things")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()[ALLOW]),
        (204, &HeaderValue::from_static("GET, HEAD, POST, OPTIONS"))
    );
    assert!(
        response.headers().get(CONTENT_TYPE).is_none()
            && response.headers().get(CONTENT_LENGTH).is_none()
    );
    assert_eq!(ask(request("OPTIONS", "/nothing")).await.status(), 404);
}

#[tokio::test]
async fn head_mirrors_get_without_a_body() {
    for uri in ["/things", "/nothing", "/boom"] {
        let get = ask(request("GET", uri)).await;
        let head = ask(request("HEAD", uri)).await;
        assert_eq!(head.status(), get.status());
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CACHE_CONTROL, VARY] {
            assert_eq!(
                head.headers().get(&name),
                get.headers().get(&name),
                "{uri} {name}"
            );
        }
        assert!(!body_of(get).await.is_empty());
        assert!(body_of(head).await.is_empty());
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_that_tells_nothing() {
    let response = ask(request("GET", "/boom")).await;
    assert_eq!(response.status(), 500);
    let text = json_of(response).await.to_string();
    assert!(
        text.contains("internal-error") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_timed_out() {
    let response = ask(request("GET", "/forever")).await;
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (503, &HeaderValue::from_static("1"))
    );
    assert_eq!(json_of(response).await["code"], "timed-out");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_the_clients_delay() {
    let stalled = Body::from_stream(futures_util::stream::pending::<
        Result<bytes::Bytes, Infallible>,
    >());
    let request = Request::builder()
        .method("POST")
        .uri("/read")
        .body(stalled)
        .unwrap();
    let response = ask(request).await;
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["connection"]
        ),
        (408, &HeaderValue::from_static("close"))
    );
}

#[tokio::test]
async fn an_error_of_foreign_making_is_a_problem_without_its_words() {
    let response = ask(request("GET", "/foreign")).await;
    let text = json_of(response).await.to_string();
    assert!(
        text.contains("malformed-request") && !text.contains("internal words"),
        "{text}"
    );
}

#[tokio::test]
async fn too_many_header_bytes_are_refused() {
    let mut large = request("GET", "/things");
    large
        .headers_mut()
        .insert("x-large", HeaderValue::from_str(&"x".repeat(1024)).unwrap());
    assert_eq!(ask(large).await.status(), 431);
    let long = request("GET", &format!("/{}", "x".repeat(9000)));
    assert_eq!(ask(long).await.status(), 414);
}

#[tokio::test]
async fn every_answer_has_the_common_headers() {
    for (method, uri, caching) in [
        ("GET", "/things", "private, no-cache"),
        ("POST", "/things", "no-store"),
        ("GET", "/things/1", "private, no-cache"),
        ("DELETE", "/things/1", "no-store"),
        ("GET", "/nothing", "no-store"),
        ("OPTIONS", "/things", "no-store"),
    ] {
        let mut asked = request(method, uri);
        asked
            .headers_mut()
            .insert("request-id", HeaderValue::from_static("mine"));
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        asked
            .headers_mut()
            .insert("traceparent", HeaderValue::from_static(trace));
        let response = ask(asked).await;
        let header = |name: &'static str| {
            response.headers()[HeaderName::from_static(name)]
                .to_str()
                .unwrap()
        };
        assert_eq!(header("cache-control"), caching, "{method} {uri}");
        assert_eq!(
            (header("request-id"), header("traceparent")),
            ("mine", trace)
        );
        assert_eq!(
            (
                header("x-content-type-options"),
                header("stream-position"),
                header("vary")
            ),
            ("nosniff", "42", "Accept")
        );
    }
}

#[tokio::test]
async fn what_a_handler_says_of_caching_and_position_stays() {
    let response = ask(request("GET", "/own")).await;
    assert_eq!(
        (
            &response.headers()[CACHE_CONTROL],
            &response.headers()[STREAM_POSITION]
        ),
        (
            &HeaderValue::from_static("immutable"),
            &HeaderValue::from_static("7")
        )
    );
}

#[tokio::test]
async fn a_full_gate_refuses_at_once() {
    let gated = |places| {
        routes().layer(axum::middleware::from_fn_with_state(
            Arc::new(Semaphore::new(places)),
            gate,
        ))
    };
    let response = front(gated(0), settings())
        .oneshot(request("GET", "/things"))
        .await
        .unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (503, &HeaderValue::from_static("1"))
    );
    let service = front(gated(1), settings());
    for _ in 0..3 {
        assert_eq!(
            service
                .clone()
                .oneshot(request("GET", "/things"))
                .await
                .unwrap()
                .status(),
            200
        );
    }
}

#[test]
fn requests_are_counted_by_route_and_never_by_address() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            ask(request("GET", "/things/4711")).await;
            ask(request("GET", "/nothing/4711?token=secret")).await;
            ask(request("MADEUP", "/things")).await;
        });
    });
    let text = recorder.handle().render();
    for line in [
        "airpost_http_requests_total{method=\"GET\",route=\"/things/{id}\",status=\"304\"} 1",
        "airpost_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "airpost_http_requests_total{method=\"other\",route=\"/things\",status=\"405\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("4711") && !text.contains("secret"));
}
