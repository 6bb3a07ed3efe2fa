//! Which faults are found, and where they point.

use axum::http::Uri;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn faults_of<T: fmt::Debug>(
    body: Value,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Vec<(String, &'static str)> {
    let problem = super::read(Document::from_value(body), read).unwrap_err();
    problem
        .faults()
        .iter()
        .map(|fault| (fault.pointer().to_owned(), fault.code()))
        .collect()
}

fn pairs(expected: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    expected
        .iter()
        .map(|(pointer, code)| ((*pointer).to_owned(), *code))
        .collect()
}

fn size(number: u8) -> &'static str {
    if number == 1 { "small" } else { "large" }
}

fn read_place(fields: &mut Fields<'_>) -> Option<(f64, f64)> {
    let lat = fields.required("lat", number(-90.0..=90.0));
    let lon = fields.required("lon", number(-180.0..=180.0));
    Some((lat?, lon?))
}

#[test]
fn a_request_without_fault_is_read() {
    let body = json!({"name": "Ada", "mass_g": 450.0, "place": {"lat": 40, "lon": -79.5}, "tags": ["a", "b"], "fast": true, "size": "small", "note": null});
    let read = super::read(Document::from_value(body), |fields| {
        let name = fields.required("name", text(1..=3));
        let mass = fields.required("mass_g", integer(1..=500_u32));
        let place = fields.required("place", object(read_place));
        let tags = fields.required("tags", list(2, text(1..=9)));
        let fast = fields.optional("fast", boolean);
        let size = fields.required("size", known(&[1, 2], size));
        let note = fields.optional("note", text(1..=9));
        Some((name?, mass?, place?, tags?, fast, size?, note))
    });
    let tags = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(
        read.unwrap(),
        (
            "Ada".to_owned(),
            450,
            (40.0, -79.5),
            tags,
            Some(true),
            1,
            None
        )
    );
}

#[test]
fn all_faults_are_listed_in_the_order_of_the_body() {
    let body = json!({"extra": 1, "place": {"lon": 181, "alt": 3}, "name": "", "tags": ["a", 2, "b", ""], "size": "huge", "mass_g": 0.5});
    let faults = faults_of(body, |fields| {
        let mass = fields.required("mass_g", integer(1..=500_u32));
        let name = fields.required("name", text(1..=3));
        let email = fields.required("email", parsed(str::parse::<u32>));
        let place = fields.required("place", object(read_place));
        let tags = fields.required("tags", list(9, text(1..=9)));
        let size = fields.required("size", known(&[1, 2], size));
        Some((mass?, name?, email?, place?, tags?, size?))
    });
    let expected = pairs(&[
        ("/extra", "unknown"),
        ("/place/lon", "range"),
        ("/place/alt", "unknown"),
        ("/place/lat", "required"),
        ("/name", "length"),
        ("/tags/1", "type"),
        ("/tags/3", "length"),
        ("/size", "value"),
        ("/mass_g", "type"),
        ("/email", "required"),
    ]);
    assert_eq!(faults, expected);
}

#[test]
fn pointers_escape_slash_and_tilde() {
    assert_eq!(
        faults_of(json!({"a/b~c": 1}), |_| Some(())),
        pairs(&[("/a~1b~0c", "unknown")])
    );
}

#[test]
fn a_body_that_is_no_object_has_one_fault_at_its_root() {
    for body in [json!([]), json!(null), json!("x"), json!(1)] {
        assert_eq!(faults_of(body, read_place), pairs(&[("", "type")]));
    }
}

#[test]
fn a_member_that_comes_twice_is_a_fault_beside_the_others() {
    let document = Document::parse(br#"{"lat": 1, "lon": 2, "lat": 91}"#).unwrap();
    let problem = super::read(document, read_place).unwrap_err();
    let codes: Vec<_> = problem
        .faults()
        .iter()
        .map(|fault| (fault.pointer(), fault.code()))
        .collect();
    assert_eq!(codes, [("/lat", "repeated"), ("/lat", "range")]);
}

#[test]
fn an_unknown_field_is_told_what_is_known() {
    let problem = super::read(
        Document::from_value(json!({"lat": 1, "lon": 2, "lng": 2})),
        read_place,
    )
    .unwrap_err();
    assert_eq!(
        problem.faults()[0].detail(),
        "no such field; known are lat, lon"
    );
}

#[test]
fn a_limit_that_was_passed_is_named() {
    let problem = super::read(Document::from_value(json!({"name": "four"})), |fields| {
        fields.required("name", text(1..=3))
    })
    .unwrap_err();
    let json = problem.to_json(None);
    assert_eq!(json["errors"][0]["limit"], 3);
}

#[test]
fn characters_are_counted_and_not_bytes() {
    let read = |name: &str| {
        super::read(Document::from_value(json!({ "name": name })), |fields| {
            fields.required("name", text(1..=3))
        })
    };
    assert!(read("äöü").is_ok());
    assert!(read("a\u{0}b").is_err());
    assert!(read("a\nb").is_ok());
}

#[test]
fn a_merge_patch_tells_absent_from_null() {
    let read = |body| {
        super::read(Document::from_value(body), |fields| {
            let phone = fields.patched("phone", text(1..=3));
            let name = fields.replaced("name", text(1..=3));
            Some((phone, name))
        })
    };
    assert_eq!(read(json!({})), Ok((Patch::Keep, None)));
    assert_eq!(read(json!({"phone": null})), Ok((Patch::Clear, None)));
    assert_eq!(
        read(json!({"phone": "1", "name": "x"})),
        Ok((Patch::Set("1".to_owned()), Some("x".to_owned())))
    );
    assert_eq!(
        read(json!({"name": null})).unwrap_err().faults()[0].pointer(),
        "/name"
    );
    assert_eq!(
        read(json!({"phone": 1})).unwrap_err().faults()[0].code(),
        "type"
    );
    assert_eq!(Patch::Clear.apply(Some(1)), None);
    assert_eq!(Patch::Keep.apply(Some(1)), Some(1));
    assert_eq!(Patch::Set(2).apply(Some(1)), Some(2));
}

#[test]
fn a_list_is_bounded() {
    let faults = faults_of(json!({"a": [1, 2, 3]}), |fields| {
        fields.required("a", list(2, integer(0..=9_u8)))
    });
    assert_eq!(faults, pairs(&[("/a", "length")]));
}

#[test]
fn integers_beyond_any_range_are_out_of_range() {
    for found in [
        json!(-1),
        json!(256),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
    ] {
        let faults = faults_of(json!({"n": found}), |fields| {
            fields.required("n", integer(0..=255_u8))
        });
        assert_eq!(faults.len(), 1, "{found}");
    }
}

fn read_page(query: &str) -> Result<(Option<u32>, Option<bool>), Problem> {
    let uri: Uri = format!("/v1/users{query}").parse().unwrap();
    read_query(&uri, |fields| {
        let limit = fields.optional("limit", decimal(1..=200_u32));
        let late = fields.optional("late", boolean);
        Some((limit, late))
    })
}

#[test]
fn a_query_is_read_like_a_body() {
    assert_eq!(read_page(""), Ok((None, None)));
    assert_eq!(read_page("?"), Ok((None, None)));
    assert_eq!(
        read_page("?limit=200&late=true"),
        Ok((Some(200), Some(true)))
    );
    for (query, pointer, code) in [
        ("?limit=201", "/limit", "range"),
        ("?limit=99999999999999999999", "/limit", "range"),
        ("?limit=+1", "/limit", "type"),
        ("?limit=", "/limit", "type"),
        ("?limit=1&limit=2", "/limit", "repeated"),
        ("?lmit=1", "/lmit", "unknown"),
        ("?late=yes", "/late", "type"),
        ("?=1", "/", "unknown"),
    ] {
        let problem = read_page(query).unwrap_err();
        assert_eq!(problem.kind().slug(), "invalid-request", "{query}");
        assert_eq!(
            (problem.faults()[0].pointer(), problem.faults()[0].code()),
            (pointer, code),
            "{query}"
        );
    }
}

proptest! {
    #[test]
    fn no_body_makes_reading_panic_or_lists_more_than_the_limit(names in proptest::collection::vec(".{0,300}", 0..300)) {
        let body: Map<String, Value> = names.into_iter().map(|name| (name, json!(1))).collect();
        let count = body.len();
        let read = super::read(Document::from_value(Value::Object(body)), |_| Some(()));
        match read {
            Ok(()) => prop_assert_eq!(count, 0),
            Err(problem) => prop_assert_eq!(problem.faults().len(), count.min(crate::http::problem::FAULTS_MAX)),
        }
    }
}
