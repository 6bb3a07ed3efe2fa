//! How a key is read.

use super::*;

fn read(lines: &[&'static str]) -> Result<Option<String>, Problem> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static(line));
    }
    key(&headers)
}

#[test]
fn a_key_is_the_same_with_quotes_and_without() {
    assert_eq!(read(&[]), Ok(None));
    for line in [
        "8e03978e-40d5",
        "\"8e03978e-40d5\"",
        " \"8e03978e-40d5\" ;a=b",
    ] {
        assert_eq!(
            read(&[line]),
            Ok(Some("8e03978e-40d5".to_owned())),
            "{line}"
        );
    }
    let escaped = read(&[r#""a \"b\" \\ c""#]);
    assert_eq!(escaped, Ok(Some(r#"a "b" \ c"#.to_owned())));
}

#[test]
fn what_is_no_key_is_refused() {
    for line in [
        "", "\"\"", "a b", "a,b", "\"a", "\"a\"b", "a\"b\"", r#""a\b""#, "a;b",
    ] {
        let problem = read(&[line]).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::MalformedHeader, "{line:?}");
    }
    assert!(read(&["a", "b"]).is_err());
    for (length, is_taken) in [(255, true), (256, false)] {
        let key = "k".repeat(length);
        assert_eq!(read_key(&key).is_some(), is_taken);
        assert_eq!(read_key(&format!("\"{key}\"")).is_some(), is_taken);
    }
}

#[test]
fn another_address_query_or_body_is_another_request() {
    let hashes = [
        ("/v1/users", "{}"),
        ("/v1/users?a=b", "{}"),
        ("/v1/users/1", "{}"),
        ("/v1/users", "{} "),
        ("/v1/users", ""),
    ]
    .map(|(address, body)| hash(&Uri::from_static(address), body.as_bytes()));
    let different: std::collections::HashSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len());
}
