//! Deliveries at another time than now.

use super::*;

/// May be kept for a day.
const FINAL: &str = "private, max-age=86400, immutable";

/// A delivery that was booked at `NOW_US` and moved a minute later: the scene,
/// its path, and the positions of the two writes.
async fn moved() -> (Scene, String, [u64; 2]) {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/deliveries/{}", scene.delivery(&user).await);
    let booked = scene.head();
    let later = scene.at(NOW_US + 60_000_000);
    let body = Some(json!({"dropoff": {"lat": 40.5}}));
    let moved = later.call("PATCH", &path, &[("if-match", "*")], body).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let moved = scene.head();
    (later, path, [booked, moved])
}

#[tokio::test]
async fn the_past_is_shown_as_it_was_and_may_be_kept() {
    let (scene, path, [booked, moved]) = moved().await;
    let now = scene.get(&path).await;
    for known_at in [
        format!("{booked}"),
        "2026-11-21T00:00:59.999Z".to_owned(),
        "2026-11-21T01:00:30%2B01:00".to_owned(),
    ] {
        let then = scene.get(&format!("{path}?known_at={known_at}")).await;
        assert_eq!((then.status, then.at("/revision")), (200, json!(0)));
        assert_eq!(then.at("/dropoff/lat"), json!(40.461));
        assert_eq!(then.at("/sequence"), json!(2));
        assert_eq!(then.header("cache-control"), FINAL);
        let as_of = then.header("stream-position").to_owned();
        assert!(as_of.parse::<u64>().unwrap() <= booked, "{as_of}");
        let same = scene.get(&format!("{path}?known_at={as_of}")).await;
        assert_eq!(same.at("/sequence"), json!(2));
        assert_ne!(then.header("etag"), now.header("etag"));
        let history = scene
            .get(&format!("{path}/history?known_at={known_at}"))
            .await;
        assert_eq!(history.at("/items").as_array().unwrap().len(), 2);
        assert_eq!(history.header("cache-control"), FINAL);
    }
    let head = scene.get(&format!("{path}?known_at={moved}")).await;
    assert_eq!(head.header("cache-control"), FINAL);
    assert_eq!(head.body, now.body);
    let as_of = scene
        .get(&format!("{path}?as_of=2026-11-21T00:00:30Z"))
        .await;
    assert_eq!(as_of.at("/revision"), json!(0));
    assert_eq!(as_of.header("cache-control"), "private, no-cache");
    assert_eq!(as_of.header("stream-position"), moved.to_string());
}

#[tokio::test]
async fn what_may_still_become_known_is_read_again() {
    let (scene, path, [booked, moved]) = moved().await;
    let now = scene.get(&path).await;
    for moment in [
        // The very moment of the last record, and the future.
        "known_at=2026-11-21T00:01:00Z".to_owned(),
        "known_at=2199-01-01T00:00:00Z".to_owned(),
        "as_of=2199-01-01T00:00:00Z".to_owned(),
    ] {
        let answer = scene.get(&format!("{path}?{moment}")).await;
        assert_eq!(answer.body, now.body, "{moment}");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        let position: u64 = answer.header("stream-position").parse().unwrap();
        assert!(
            position > booked && position <= moved,
            "{moment}: {position}"
        );
    }
}

#[tokio::test]
async fn a_reader_of_the_past_is_answered_as_any_other() {
    let (scene, path, [booked, _]) = moved().await;
    for path in [
        format!("{path}?known_at={booked}"),
        format!("{path}/history?known_at={booked}&as_of=2026-11-21T00:00:00Z"),
    ] {
        let read = scene.get(&path).await;
        let head = scene.call("HEAD", &path, &[], None).await;
        let tag = [("if-none-match", read.header("etag"))];
        let again = scene.call("GET", &path, &tag, None).await;
        assert_eq!((head.status, again.status), (200, 304));
        for answer in [&head, &again] {
            assert!(answer.body.is_empty());
            for name in ["etag", "cache-control", "stream-position"] {
                assert_eq!(answer.header(name), read.header(name), "{name}");
            }
        }
    }
    // What was so once is nothing to base an edit on.
    let past = scene.get(&format!("{path}?known_at={booked}")).await;
    let body = Some(json!({"dropoff": {"lat": 40.6}}));
    let tag = [("if-match", past.header("etag"))];
    let refused = scene.call("PATCH", &path, &tag, body).await;
    assert_eq!(refused.problem(412).0, "precondition-failed");
}

#[tokio::test]
async fn by_its_external_id_a_delivery_has_the_same_past() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let mut body = order(&user);
    body["external_id"] = json!("order-1");
    let booked = scene.post("/v1/deliveries", body).await;
    assert_eq!(booked.status, 201);
    let own = format!("/v1/deliveries/{}", booked.text("/id"));
    let head = scene.head();
    let named = scene
        .get(&format!(
            "/v1/deliveries/ext:order-1?user_id={user}&known_at={head}"
        ))
        .await;
    let read = scene.get(&format!("{own}?known_at={head}")).await;
    assert_eq!((named.status, named.body), (200, read.body));
}

#[tokio::test]
async fn before_there_was_anything_it_is_said_when_it_began() {
    let (scene, path, _) = moved().await;
    for (moment, says) in [
        ("known_at=0", "begins at 2026-11-21T00:00:00.000000Z"),
        ("known_at=2026-11-20T23:59:59Z", "was known then"),
        (
            "as_of=2026-11-20T23:59:59Z",
            "happened at 2026-11-21T00:00:00.000000Z",
        ),
    ] {
        for path in [&path, &format!("{path}/history")] {
            let answer = scene.get(&format!("{path}?{moment}")).await;
            assert_eq!(answer.problem(404).0, "not-found");
            assert!(answer.text("/detail").contains(says), "{answer:?}");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    let nobody = "/v1/deliveries/dlv_00000000-0000-7000-8000-00000000ffff?known_at=1";
    assert_eq!(scene.get(nobody).await.problem(404).0, "not-found");
}

#[tokio::test]
async fn a_moment_that_is_none_is_refused_with_what_is() {
    let (scene, path, [_, head]) = moved().await;
    for (query, pointers) in [
        ("as_of=yesterday", &["/as_of"][..]),
        ("as_of=7", &["/as_of"]),
        ("as_of=", &["/as_of"]),
        ("known_at=", &["/known_at"]),
        ("known_at=-1", &["/known_at"]),
        ("as_of=2026-11-21&known_at=1.5", &["/as_of", "/known_at"]),
        ("known_at=1&known_at=2", &["/known_at"]),
        ("at=1", &["/at"]),
    ] {
        for path in [&path, &format!("{path}/history")] {
            let answer = scene.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.problem(422).1, pointers, "{query}");
        }
    }
    let plus = scene
        .get(&format!("{path}?as_of=2026-11-21T00:00:00+01:00"))
        .await;
    assert!(plus.text("/errors/0/detail").contains("%2B"), "{plus:?}");
    // Only a delivery and its history have a past.
    let status = format!("{path}/status?as_of=2026-11-21T00:00:00Z");
    assert_eq!(scene.get(&status).await.problem(422).1, ["/as_of"]);
    for beyond in [(head + 1).to_string(), "99999999999999999999999".to_owned()] {
        let answer = scene.get(&format!("{path}?known_at={beyond}")).await;
        assert_eq!(answer.problem(422).1, ["/known_at"]);
        assert_eq!(answer.text("/errors/0/code"), "beyond-head");
        assert_eq!(answer.at("/errors/0/limit"), json!(head));
    }
}
