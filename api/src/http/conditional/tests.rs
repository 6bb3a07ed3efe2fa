//! What readers and editors are told.

use proptest::prelude::*;

use super::*;

fn preconditions(method: &Method, lines: &[(HeaderName, &str)]) -> Result<Preconditions, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    Preconditions::of(method, &headers)
}

fn verdict(method: &Method, name: HeaderName, value: &str, current: EntityTag) -> Verdict {
    preconditions(method, &[(name, value)])
        .unwrap()
        .evaluate(current)
}

const CURRENT: EntityTag = EntityTag::new(7, 1);

proptest! {
    #[test]
    fn every_tag_of_ours_is_recognised_by_reader_and_editor(sequence: u64, version: u16, derived: Option<[u8; 3]>) {
        let mut tag = EntityTag::new(sequence, version);
        if let Some(derived) = derived {
            tag = tag.with_derived(&derived);
        }
        let text = tag.header_value();
        let text = text.to_str().unwrap();
        prop_assert_eq!(verdict(&Method::GET, IF_NONE_MATCH, text, tag), Verdict::NotModified);
        prop_assert_eq!(verdict(&Method::PATCH, IF_MATCH, text, tag), Verdict::Proceed);
        let moved = EntityTag::new(sequence.wrapping_add(1), version);
        prop_assert_eq!(verdict(&Method::GET, IF_NONE_MATCH, text, moved), Verdict::Proceed);
        prop_assert_eq!(verdict(&Method::PATCH, IF_MATCH, text, moved), Verdict::Failed);
    }

    #[test]
    fn no_header_makes_reading_panic(value in "[ -~]{0,40}") {
        for name in [IF_MATCH, IF_NONE_MATCH] {
            let _ = preconditions(&Method::GET, &[(name, &value)]);
        }
    }
}

#[test]
fn a_reader_with_the_current_tag_is_told_so() {
    for value in [
        "\"7-1\"",
        "W/\"7-1\"",
        "\"x\", \"7-1\"",
        ", \"a,b\" ,,\"7-1\",",
        "*",
    ] {
        assert_eq!(
            verdict(&Method::GET, IF_NONE_MATCH, value, CURRENT),
            Verdict::NotModified,
            "{value}"
        );
        assert_eq!(
            verdict(&Method::HEAD, IF_NONE_MATCH, value, CURRENT),
            Verdict::NotModified,
            "{value}"
        );
        assert_eq!(
            verdict(&Method::POST, IF_NONE_MATCH, value, CURRENT),
            Verdict::Failed,
            "{value}"
        );
    }
    for value in ["\"6-1\"", "\"7-2\"", "\"7\"", "7-1", "", "\"7-1"] {
        assert_eq!(
            verdict(&Method::GET, IF_NONE_MATCH, value, CURRENT),
            Verdict::Proceed,
            "{value}"
        );
    }
}

#[test]
fn an_editor_matches_by_the_sequence_of_a_strong_tag() {
    let derived = CURRENT.with_derived(b"3 live deliveries");
    for value in [
        "\"7-1\"",
        "\"7-9\"",
        "\"7-1-00000000000000ff\"",
        "\"x\", \"7-1\"",
        "*",
    ] {
        assert_eq!(
            verdict(&Method::PATCH, IF_MATCH, value, derived),
            Verdict::Proceed,
            "{value}"
        );
    }
    for value in [
        "W/\"7-1\"",
        "\"8-1\"",
        "\"7\"",
        "\"07-1\"",
        "\"+7-1\"",
        "\"7-1-ff\"",
        "\"7-1-00000000000000ff-1\"",
    ] {
        assert_eq!(
            verdict(&Method::PATCH, IF_MATCH, value, derived),
            Verdict::Failed,
            "{value}"
        );
    }
}

#[test]
fn an_editor_who_forgot_the_quotes_is_told_so() {
    for value in ["7-1", "\"7-1", "\"7-1\" \"8-1\"", "", ",", "*, \"7-1\" x"] {
        let problem = preconditions(&Method::PUT, &[(IF_MATCH, value)]).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::MalformedHeader, "{value}");
    }
}

#[test]
fn lines_of_one_header_are_one_list() {
    let lines = [(IF_MATCH, "\"6-1\""), (IF_MATCH, "\"7-1\"")];
    assert_eq!(
        preconditions(&Method::PATCH, &lines)
            .unwrap()
            .evaluate(CURRENT),
        Verdict::Proceed
    );
}

#[test]
fn a_failed_if_match_beats_a_known_copy() {
    let lines = [(IF_NONE_MATCH, "*"), (IF_MATCH, "\"6-1\"")];
    assert_eq!(
        preconditions(&Method::GET, &lines)
            .unwrap()
            .evaluate(CURRENT),
        Verdict::Failed
    );
}

#[test]
fn a_change_must_say_what_it_is_based_on() {
    let problem = preconditions(&Method::PATCH, &[])
        .unwrap()
        .required()
        .unwrap_err();
    assert_eq!(problem.kind(), ProblemKind::PreconditionRequired);
    assert_eq!(
        preconditions(&Method::PATCH, &[(IF_MATCH, "*")])
            .unwrap()
            .required(),
        Ok(&Precondition::Exists)
    );
}

#[test]
fn every_answer_to_a_reader_has_the_tag() {
    for (value, status) in [("\"7-1\"", 304), ("\"6-1\"", 200)] {
        let response = preconditions(&Method::GET, &[(IF_NONE_MATCH, value)])
            .unwrap()
            .answer(CURRENT, || StatusCode::OK.into_response());
        assert_eq!(
            (response.status().as_u16(), &response.headers()[ETAG]),
            (status, &CURRENT.header_value())
        );
    }
}

#[test]
fn a_digest_tells_representations_of_one_sequence_apart() {
    assert_ne!(CURRENT.with_derived(b"1"), CURRENT.with_derived(b"2"));
    assert_ne!(CURRENT.with_derived(b"1"), CURRENT);
    assert_eq!(CURRENT.with_derived(b"1").sequence(), 7);
}
