//! Lists of the people who keep the service going: page by page, filtered, conditional.

use super::*;

/// Everything in a list, page by page, by the links.
async fn followed(scene: &Scene, path: &str) -> Vec<Value> {
    let (mut items, mut path) = (Vec::new(), path.to_owned());
    loop {
        let answer = scene.get(&path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        items.extend(answer.at("/items").as_array().unwrap().iter().cloned());
        let Some(next) = answer.at("/next").as_str().map(str::to_owned) else {
            assert!(!answer.headers.contains_key("link"), "{answer:?}");
            return items;
        };
        let link = answer.header("link");
        let target = link
            .strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""));
        let target = target.unwrap_or_else(|| panic!("{link}"));
        assert!(target.ends_with(&next), "{link}");
        target.clone_into(&mut path);
    }
}

fn ids(items: &[Value]) -> Vec<String> {
    let ids = items.iter().map(|item| item["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// The list as of everything that was written.
async fn fresh(scene: &Scene, path: &str) -> Answer {
    let head = scene.head().to_string();
    scene
        .call("GET", path, &[("min-position", &head)], None)
        .await
}

/// The service a minute later, with other ids than those that it has given already.
async fn a_minute_later(scene: &Scene) -> Scene {
    let later = scene.at(NOW_US + 60_000_000);
    for _ in 0..20 {
        later.get("/livez").await;
    }
    later
}

#[tokio::test]
async fn a_dispatcher_sees_the_deliveries_of_all_users_newest_first() {
    let scene = Scene::new();
    let (ada, eve) = (
        scene.user("ada@example.org").await,
        scene.user("eve@example.org").await,
    );
    let mut booked = Vec::new();
    for user in [&ada, &eve, &ada, &eve, &ada] {
        booked.insert(0, scene.delivery(user).await);
    }
    let whole = fresh(&scene, "/v1/deliveries").await;
    assert_eq!(ids(whole.at("/items").as_array().unwrap()), booked);
    assert_eq!(whole.header("stream-position"), scene.head().to_string());
    assert_eq!(whole.header("cache-control"), "private, no-cache");
    let one = scene.get(&format!("/v1/deliveries/{}", booked[0])).await;
    assert_eq!(whole.at("/items/0"), one.json());

    assert_eq!(
        ids(&followed(&scene, "/v1/deliveries?limit=2").await),
        booked
    );
    let of_ada = format!("/v1/deliveries?user_id={ada}&limit=1");
    assert_eq!(
        ids(&followed(&scene, &of_ada).await),
        [&booked[0], &booked[2], &booked[4]].map(String::clone)
    );

    let tag = whole.header("etag");
    let again = scene
        .call("GET", "/v1/deliveries", &[("if-none-match", tag)], None)
        .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn a_dispatcher_finds_deliveries_by_status_and_by_when_they_were_booked() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let first = scene.delivery(&ada).await;
    let second = a_minute_later(&scene).await.delivery(&ada).await;
    let cancel = json!({"reason": "mistake"});
    let cancelled = scene
        .post(&format!("/v1/deliveries/{first}/cancel"), cancel)
        .await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    for (query, expected) in [
        ("status=cancelled", vec![&first]),
        ("status=scheduled", vec![&second]),
        ("status=cancelled,scheduled", vec![&second, &first]),
        ("status=complete", vec![]),
        ("created_after=2026-11-21T00:00:30Z", vec![&second]),
        ("created_before=2026-11-21T00:00:30Z", vec![&first]),
        (
            "status=scheduled&created_before=2026-11-21T00:00:30Z",
            vec![],
        ),
        ("user_id=usr_00000000-0000-7000-8000-00000000ffff", vec![]),
    ] {
        let found = fresh(&scene, &format!("/v1/deliveries?{query}")).await;
        let found = ids(found.at("/items").as_array().unwrap());
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said_at_its_parameter() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    for _ in 0..2 {
        scene.delivery(&ada).await;
    }
    let faulty = scene
        .get("/v1/deliveries?status=flying&limit=201&user_id=ada&x=1")
        .await;
    let (code, mut pointers) = faulty.problem(422);
    pointers.sort_unstable();
    assert_eq!(
        (code.as_str(), pointers),
        (
            "invalid-request",
            ["/limit", "/status", "/user_id", "/x"]
                .map(str::to_owned)
                .to_vec()
        )
    );
    let next = fresh(&scene, "/v1/deliveries?limit=1").await.text("/next");
    for query in [
        format!("status=scheduled&cursor={next}"),
        "cursor=abc".to_owned(),
    ] {
        let answer = scene.get(&format!("/v1/deliveries?{query}")).await;
        assert_eq!(answer.problem(400).0, "bad-cursor", "{query}");
    }
    let refused = scene.call("PUT", "/v1/deliveries", &[], None).await;
    assert_eq!(refused.problem(405).0, "method-not-allowed");
    assert_eq!(refused.header("allow"), "POST, GET, HEAD, OPTIONS");
}
