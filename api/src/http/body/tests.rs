//! What is taken, what is refused, and what becomes of the rest.

use std::collections::VecDeque;

use super::*;

/// A body of given frames that never ends if `open`.
struct Frames {
    frames: VecDeque<&'static [u8]>,
    open: bool,
}

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.frames.pop_front() {
            Some(b"broken") => Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into()))),
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes))))),
            None if self.open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

fn frames(frames: &[&'static [u8]]) -> Body {
    Body::new(Frames {
        frames: frames.iter().copied().collect(),
        open: false,
    })
}

fn stalled(first: &'static [u8]) -> Body {
    Body::new(Frames {
        frames: [first].into(),
        open: true,
    })
}

fn reader() -> BodyReader {
    BodyReader::new(&HttpLimits {
        body_bytes_max: 8,
        body_idle_ms: 10,
        bodies_mib_max: 1,
        ..HttpLimits::default()
    })
}

fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect()
}

async fn kind_of(headers: HeaderMap, body: Body) -> ProblemKind {
    reader().read(&headers, body).await.unwrap_err().kind()
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_whole() {
    let whole = reader()
        .read(&HeaderMap::new(), frames(&[b"1234", b"", b"5678"]))
        .await
        .unwrap();
    assert_eq!(whole.bytes, "12345678");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    assert_eq!(
        kind_of(HeaderMap::new(), frames(&[b"1234", b"56789"])).await,
        ProblemKind::ContentTooLarge
    );
    assert_eq!(
        kind_of(headers(&[(CONTENT_LENGTH, "9")]), stalled(b"")).await,
        ProblemKind::ContentTooLarge
    );
}

#[tokio::test]
async fn a_body_that_stands_still_or_breaks_off_is_refused() {
    assert_eq!(
        kind_of(HeaderMap::new(), stalled(b"12")).await,
        ProblemKind::RequestTimeout
    );
    assert_eq!(
        kind_of(HeaderMap::new(), frames(&[b"12", b"broken"])).await,
        ProblemKind::MalformedRequest
    );
}

#[tokio::test]
async fn all_bodies_together_have_a_budget_that_comes_back() {
    let reader = reader().with_bytes_max(2 * 1024 * 1024);
    let half: &'static [u8] = vec![0; 600 * 1024].leak();
    let first = reader
        .read(&HeaderMap::new(), frames(&[half]))
        .await
        .unwrap();
    let second = reader
        .clone()
        .read(&HeaderMap::new(), frames(&[half]))
        .await
        .unwrap_err();
    assert_eq!(second.kind(), ProblemKind::Overloaded);
    drop(first);
    assert!(
        reader
            .read(&HeaderMap::new(), frames(&[half]))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn json_is_read_from_a_body_of_its_type() {
    let typed = headers(&[(CONTENT_TYPE, "application/json; charset=UTF-8")]);
    let document = reader()
        .read_json(&typed, frames(&[b"[1", b",2]"]), &[JSON])
        .await
        .unwrap();
    assert_eq!(document.value(), &serde_json::json!([1, 2]));
    let untyped = reader()
        .read_json(&HeaderMap::new(), frames(&[b"{}"]), &[JSON])
        .await
        .unwrap_err();
    assert_eq!(untyped.kind(), ProblemKind::UnsupportedMediaType);
}

#[test]
fn a_type_is_taken_with_parameters_but_not_in_another_charset() {
    for value in [
        "application/json",
        "Application/JSON",
        "application/json;charset=\"utf-8\"",
        "application/json; x=y",
    ] {
        assert_eq!(
            content_type(
                &headers(&[(CONTENT_TYPE, value)]),
                &Body::from("{}"),
                &[JSON]
            ),
            Ok(JSON),
            "{value}"
        );
    }
    for value in [
        "",
        "text/plain",
        "application/json; charset=latin1",
        "application/jsonx",
        "application",
    ] {
        let problem = content_type(
            &headers(&[(CONTENT_TYPE, value)]),
            &Body::from("{}"),
            &[JSON],
        )
        .unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::UnsupportedMediaType, "{value}");
    }
    let twice = {
        let mut headers = headers(&[(CONTENT_TYPE, JSON)]);
        headers.append(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers
    };
    assert!(content_type(&twice, &Body::from("{}"), &[JSON]).is_err());
}

#[test]
fn an_encoded_body_is_refused() {
    let lines = |value| headers(&[(CONTENT_TYPE, JSON), (CONTENT_ENCODING, value)]);
    assert!(content_type(&lines("gzip"), &Body::from("{}"), &[JSON]).is_err());
    assert!(content_type(&lines("identity"), &Body::from("{}"), &[JSON]).is_ok());
}

#[tokio::test]
async fn what_the_handler_left_is_read_and_dropped() {
    let (remains, mut lent) = Remains::of(frames(&[b"12", b"34"]));
    assert!(!remains.is_begun());
    assert_eq!(
        lent.frame().await.unwrap().unwrap().into_data().unwrap(),
        "12"
    );
    drop(lent);
    assert!(remains.is_begun() && !remains.is_ended());
    let rest = remains.0.clone().unwrap();
    remains.drop_rest().await;
    assert!(rest.ended.load(Ordering::Relaxed));
}

#[tokio::test]
async fn dropping_ends_when_too_much_comes() {
    let megabyte: &'static [u8] = vec![0; 1024 * 1024].leak();
    let (remains, lent) = Remains::of(frames(&[megabyte; 34]));
    drop(lent);
    let rest = remains.0.clone().unwrap();
    remains.drop_rest().await;
    assert!(
        !rest.ended.load(Ordering::Relaxed),
        "more than the limit was read"
    );
}

#[test]
fn a_body_that_is_missing_is_told_so_and_not_that_it_has_no_type() {
    let missing = content_type(&HeaderMap::new(), &Body::empty(), &[JSON]).unwrap_err();
    assert_eq!(missing.kind(), ProblemKind::MalformedBody);
    assert!(missing.detail().contains("no body"), "{missing:?}");
    let untyped = content_type(&HeaderMap::new(), &Body::from("{}"), &[JSON]).unwrap_err();
    assert_eq!(untyped.kind(), ProblemKind::UnsupportedMediaType);
}
