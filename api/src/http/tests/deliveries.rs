//! Deliveries: booked, read, listed, rescheduled, cancelled.

use super::*;

mod past;

#[tokio::test]
async fn a_booking_is_answered_with_the_scheduled_delivery() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let mut body = order(&user);
    body["metadata"] = json!({"b": "2", "a": "1"});
    body["package"]["dimensions_mm"] = json!({"length": 300, "width": 200, "height": 100});
    body["package"]["flags"] = json!(["fragile"]);
    body["pickup_window"] =
        json!({"not_before": "2199-01-01T00:00:00Z", "not_after": "2199-01-01T01:00:00Z"});
    let created = scene.post("/v1/deliveries", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let path = format!("/v1/deliveries/{}", created.text("/id"));
    assert_eq!(created.header("location"), path);
    assert_eq!(created.header("stream-position"), scene.head().to_string());
    assert!(created.header("etag").starts_with("\"2-1."));
    let read = scene.get(&path).await;
    assert_eq!(
        (&read.body, read.header("etag")),
        (&created.body, created.header("etag"))
    );
    let delivery = read.json();
    for (field, value) in [
        ("status", json!("scheduled")),
        ("stage", json!("Created")),
        ("condition", json!("nominal")),
        ("external_id", Value::Null),
        (
            "pickup",
            json!({"lat": 40.459, "lon": -79.782, "address": "1 Main St"}),
        ),
        (
            "dropoff",
            json!({"lat": 40.461, "lon": -79.779, "address": null}),
        ),
        ("confirmation", json!("none")),
        ("expedited", json!(false)),
        ("metadata", json!({"a": "1", "b": "2"})),
        ("drone_id", Value::Null),
        ("mission_id", Value::Null),
        ("eta", Value::Null),
        ("attempt", json!(0)),
        ("revision", json!(0)),
        ("sequence", json!(2)),
    ] {
        assert_eq!(delivery[field], value, "{field}");
    }
    assert_eq!(
        delivery["pickup_window"]["not_after"],
        "2199-01-01T01:00:00.000000Z"
    );
    assert_eq!(delivery["package"]["flags"], json!(["fragile"]));
    assert_eq!(
        delivery["milestones"]["created_at"],
        "2026-11-21T00:00:00.000000Z"
    );
    assert_eq!(delivery["milestones"]["picked_up_at"], Value::Null);
    assert_eq!(delivery["links"]["history"], format!("{path}/history"));
}

#[tokio::test]
async fn every_fault_of_an_order_is_named_and_nothing_written() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let head = scene.head();
    let body = json!({
        "user_id": user.replace("usr_", "dlv_"),
        "colour": "red",
        "pickup": {"lat": 91, "lon": "x", "address": ""},
        "dropoff": {},
        "pickup_window": {"not_before": "2199-01-01T01:00:00Z", "not_after": "2199-01-01T00:00:00Z"},
        "package": {"tag": "a b", "size": "huge", "mass_g": 0, "id": "pkg_1"},
        "confirmation": "handshake",
        "external_id": "a b",
        "metadata": {"": "x", "k": 1},
        "notify": [{"channel": "email"}],
        "expedited": "yes",
    });
    let refused = scene.post("/v1/deliveries", body).await;
    let pointers = [
        "/user_id",
        "/colour",
        "/pickup/lat",
        "/pickup/lon",
        "/pickup/address",
        "/dropoff/lat",
        "/dropoff/lon",
        "/pickup_window/not_after",
        "/package/tag",
        "/package/size",
        "/package/mass_g",
        "/package/id",
        "/confirmation",
        "/external_id",
        "/metadata/",
        "/metadata/k",
        "/notify",
        "/expedited",
    ];
    assert_eq!(
        refused.problem(422),
        (
            "invalid-request".to_owned(),
            pointers.map(str::to_owned).to_vec()
        )
    );
    assert_eq!(scene.head(), head);
}

#[tokio::test]
async fn what_was_asked_for_as_a_confirmation_is_kept_also_in_fabrikams_words() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    for (asked, kept) in [
        ("none", "none"),
        ("pin", "pin"),
        ("tag_scan", "tag_scan"),
        ("photo", "photo"),
        ("signature", "signature"),
        ("FingerPrint", "signature"),
        ("Picture", "photo"),
        ("Voice", "pin"),
    ] {
        let mut body = order(&user);
        body["confirmation"] = json!(asked);
        body["expedited"] = json!(true);
        let booked = scene.post("/v1/deliveries", body).await;
        assert_eq!(
            (booked.status, booked.at("/confirmation")),
            (201, json!(kept))
        );
        assert_eq!(booked.at("/expedited"), json!(true));
        let history = scene
            .get(&format!("{}/history", booked.header("location")))
            .await;
        assert_eq!(history.at("/items/0/data/confirmation"), json!(kept));
        assert_eq!(history.at("/items/0/data/expedited"), json!(true));
    }
}

#[tokio::test]
async fn what_only_a_use_case_can_know_is_a_fault_at_its_place_too() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let stranger = order("usr_00000000-0000-7000-8000-00000000ffff");
    assert_eq!(
        scene.post("/v1/deliveries", stranger).await.problem(422).1,
        ["/user_id"]
    );
    let mut late = order(&user);
    late["deliver_by"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(
        scene.post("/v1/deliveries", late).await.problem(422).1,
        ["/deliver_by"]
    );
    let mut past = order(&user);
    past["pickup_window"] =
        json!({"not_before": "2020-01-01T00:00:00Z", "not_after": "2020-01-01T01:00:00Z"});
    assert_eq!(
        scene.post("/v1/deliveries", past).await.problem(422).1,
        ["/pickup_window/not_after"]
    );
}

const STRANGER: &str = "usr_00000000-0000-7000-8000-00000000ffff";

#[tokio::test]
async fn what_only_the_clock_and_the_log_know_is_told_beside_all_other_faults() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let past = json!("2026-11-21T00:00:00Z");
    let window = json!({"not_before": "2020-01-01T00:00:00Z", "not_after": past});
    let bad_place = json!({"lat": 91, "lon": 0});
    for (user, changes, pointers) in [
        (
            user.as_str(),
            json!({"pickup_window": window, "deliver_by": past}),
            vec!["/pickup_window/not_after", "/deliver_by"],
        ),
        (
            STRANGER,
            json!({"deliver_by": past}),
            vec!["/user_id", "/deliver_by"],
        ),
        (
            user.as_str(),
            json!({"pickup": bad_place, "deliver_by": past}),
            vec!["/pickup/lat", "/deliver_by"],
        ),
        (
            STRANGER,
            json!({"pickup": bad_place, "pickup_window": window, "deliver_by": past, "colour": "red"}),
            vec![
                "/user_id",
                "/pickup/lat",
                "/pickup_window/not_after",
                "/deliver_by",
                "/colour",
            ],
        ),
    ] {
        let mut body = order(user);
        let changes = changes.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(changes);
        let refused = scene.post("/v1/deliveries", body).await;
        let mut found = refused.problem(422).1;
        found.sort_unstable();
        let mut expected = pointers;
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn an_order_that_was_taken_is_taken_again_when_its_times_have_passed() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let mut body = order(&user);
    body["external_id"] = json!("order-1");
    body["deliver_by"] = json!("2026-11-21T00:00:01Z");
    let first = scene.post("/v1/deliveries", body.clone()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let later = scene.at(NOW_US + 2_000_000);
    let again = later.post("/v1/deliveries", body.clone()).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    body["external_id"] = json!("order-2");
    let other = later.post("/v1/deliveries", body).await;
    assert_eq!(other.problem(422).1, ["/deliver_by"]);

    let path = first.header("location");
    let any = [("if-match", "*")];
    let same = json!({"deliver_by": "2026-11-21T00:00:01Z"});
    let same = later.call("PATCH", path, &any, Some(same)).await;
    assert_eq!((same.status, &same.body), (200, &first.body));
}

#[tokio::test]
async fn every_fault_of_a_patch_is_named_with_those_that_show_beside_the_plan() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/deliveries/{}", scene.delivery(&user).await);
    let any = [("if-match", "*")];
    let past = "2026-11-21T00:00:00Z";
    for (patch, pointers) in [
        (
            json!({"pickup_window": {"not_before": past, "not_after": past}, "deliver_by": past, "dropoff": {"lat": 91}}),
            vec!["/pickup_window/not_after", "/deliver_by", "/dropoff/lat"],
        ),
        (
            json!({"pickup_window": {}, "deliver_by": past}),
            vec![
                "/deliver_by",
                "/pickup_window/not_before",
                "/pickup_window/not_after",
            ],
        ),
        (
            json!({"pickup_window": {"not_before": "soon"}}),
            vec!["/pickup_window/not_before", "/pickup_window/not_after"],
        ),
        (
            json!({"pickup_window": {"not_before": "2199-01-01T00:00:00Z", "not_after": "2198-01-01T00:00:00Z"},
                "dropoff": {"x": 1}}),
            vec!["/pickup_window/not_after", "/dropoff/x"],
        ),
    ] {
        let refused = scene.call("PATCH", &path, &any, Some(patch)).await;
        let mut found = refused.problem(422).1;
        found.sort_unstable();
        let mut expected = pointers;
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn one_external_id_is_one_delivery() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let mut body = order(&user);
    body["external_id"] = json!("order-1");
    let first = scene.post("/v1/deliveries", body.clone()).await;
    let head = scene.head();
    let again = scene.post("/v1/deliveries", body.clone()).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    body["package"]["mass_g"] = json!(501);
    let other = scene.post("/v1/deliveries", body).await;
    assert_eq!(other.problem(409).0, "external-id-taken");
    assert_eq!(other.text("/href"), first.header("location"));
    assert_eq!(scene.head(), head);

    let path = format!("/v1/deliveries/ext:order-1?user_id={user}");
    assert_eq!(scene.get(&path).await.body, first.body);
    assert_eq!(
        scene.get("/v1/deliveries/ext:order-1").await.problem(404).0,
        "not-found"
    );
    assert_eq!(
        scene
            .get(&format!("/v1/deliveries/ext:none?user_id={user}"))
            .await
            .status,
        404
    );
    assert_eq!(
        scene
            .get("/v1/deliveries/ext:order-1?user_id=x")
            .await
            .problem(422)
            .1,
        ["/user_id"]
    );
}

#[tokio::test]
async fn a_reschedule_changes_what_it_names_and_nothing_else() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/deliveries/{}", scene.delivery(&user).await);
    let any = [("if-match", "*")];
    let change = json!({"dropoff": {"lat": 40.5}, "deliver_by": "2199-01-01T00:00:00+01:00"});
    let moved = scene.call("PATCH", &path, &any, Some(change)).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    assert_eq!(
        moved.at("/dropoff"),
        json!({"lat": 40.5, "lon": -79.779, "address": null})
    );
    assert_eq!(moved.text("/deliver_by"), "2198-12-31T23:00:00.000000Z");
    assert_eq!(
        (moved.text("/stage"), moved.at("/revision")),
        ("Rescheduled".into(), json!(1))
    );
    let cleared = scene
        .call(
            "PATCH",
            &path,
            &any,
            Some(json!({"pickup": {"address": null}, "deliver_by": null})),
        )
        .await;
    assert_eq!(
        (cleared.at("/pickup/address"), cleared.at("/deliver_by")),
        (Value::Null, Value::Null)
    );

    let half = json!({"pickup_window": {"not_before": "2199-01-01T00:00:00Z"}});
    assert_eq!(
        scene
            .call("PATCH", &path, &any, Some(half))
            .await
            .problem(422)
            .1,
        ["/pickup_window/not_after"]
    );
    let wrong = json!({"pickup": null, "user_id": user, "dropoff": {"lat": 91, "x": 1}});
    let faults = scene
        .call("PATCH", &path, &any, Some(wrong))
        .await
        .problem(422)
        .1;
    assert_eq!(
        faults,
        ["/pickup", "/user_id", "/dropoff/lat", "/dropoff/x"]
    );

    let stale = scene
        .call(
            "PATCH",
            &path,
            &[("if-match", moved.header("etag"))],
            Some(json!({})),
        )
        .await;
    assert_eq!(stale.problem(412).0, "precondition-failed");
    assert_eq!(stale.at("/current/sequence"), cleared.at("/sequence"));
}

#[tokio::test]
async fn a_delivery_without_a_drone_is_cancelled_at_once_and_then_is_over() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/deliveries/{}", scene.delivery(&user).await);
    let cancel = json!({"reason": "mistake", "comment": "twice"});
    let cancelled = scene.post(&format!("{path}/cancel"), cancel).await;
    assert_eq!(
        (cancelled.status, cancelled.text("/status")),
        (202, "cancelled".into())
    );
    assert_eq!(
        cancelled.at("/cancellation"),
        json!({"reason": "mistake", "comment": "twice"})
    );
    assert_eq!(cancelled.header("content-location"), path);
    let moved = scene
        .call(
            "PATCH",
            &path,
            &[("if-match", "*")],
            Some(json!({"dropoff": {"lat": 40.5}})),
        )
        .await;
    assert_eq!(moved.problem(409).0, "state-conflict");
    assert_eq!(moved.text("/current_status"), "cancelled");
    let wrong = scene
        .post(&format!("{path}/cancel"), json!({"reason": "boredom"}))
        .await;
    assert_eq!(wrong.problem(422).1, ["/reason"]);
}

#[tokio::test]
async fn delete_is_another_word_for_cancel() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/deliveries/{}", scene.delivery(&user).await);
    let deleted = scene.call("DELETE", &path, &[], None).await;
    assert_eq!(
        (deleted.status, deleted.text("/cancellation/reason")),
        (202, "customer_request".into())
    );
}

#[tokio::test]
async fn the_history_tells_every_event_with_who_and_why() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let id = scene.delivery(&user).await;
    let history = scene.get(&format!("/v1/deliveries/{id}/history")).await;
    assert!(history.header("etag").starts_with("\"2-1."));
    let first = history.at("/items/0");
    for (pointer, value) in [
        ("/sequence", json!(1)),
        ("/type", json!("Created")),
        ("/event_time", json!("2026-11-21T00:00:00.000000Z")),
        ("/actor", json!({"kind": "customer", "id": user})),
        ("/inferred", json!(false)),
        ("/data/user_id", json!(user)),
        ("/data/dropoff/lat", json!(40.461)),
    ] {
        assert_eq!(first.pointer(pointer), Some(&value), "{first}");
    }
    assert_eq!(
        (history.text("/items/1/type"), history.at("/items/1/data")),
        ("Scheduled".into(), json!({}))
    );
    assert!(
        first["caused_by"]
            .as_array()
            .is_some_and(|causes| causes.len() == 1)
    );
}

#[tokio::test]
async fn a_users_deliveries_come_newest_first_page_by_page() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(scene.delivery(&user).await);
    }
    let cancelled = ids.remove(2);
    assert_eq!(
        scene
            .call("DELETE", &format!("/v1/deliveries/{cancelled}"), &[], None)
            .await
            .status,
        202
    );
    ids.reverse();
    let list = format!("/v1/users/{user}/deliveries");
    let (mut found, mut path) = (
        Vec::new(),
        format!("{list}?limit=2&status=scheduled,assigned"),
    );
    loop {
        let position = scene.head().to_string();
        let page = scene
            .call("GET", &path, &[("min-position", &position)], None)
            .await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.header("stream-position").parse::<u64>().unwrap() >= scene.head());
        let items = page.at("/items").as_array().cloned().unwrap();
        assert!(items.len() <= 2);
        found.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let next = page.at("/next");
        let Some(next) = next.as_str() else { break };
        path = format!("{list}?limit=2&status=scheduled,assigned&cursor={next}");
        assert_eq!(page.header("link"), format!("<{path}>; rel=\"next\""));
    }
    assert_eq!(found, ids);
}

#[tokio::test]
async fn a_bad_page_is_refused() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let other = scene.user("bob@example.org").await;
    for _ in 0..2 {
        scene.delivery(&user).await;
    }
    let list = |user: &str, query: &str| format!("/v1/users/{user}/deliveries?{query}");
    for (query, pointers) in [
        ("limit=0", &["/limit"][..]),
        ("limit=201&status=flying", &["/limit", "/status"]),
        ("created_after=today", &["/created_after"]),
        ("colour=red", &["/colour"]),
        ("limit=1&limit=2", &["/limit"]),
    ] {
        assert_eq!(
            scene.get(&list(&user, query)).await.problem(422).1,
            pointers,
            "{query}"
        );
    }
    let position = scene.head().to_string();
    let page = scene
        .call(
            "GET",
            &list(&user, "limit=1"),
            &[("min-position", &position)],
            None,
        )
        .await;
    let cursor = page.text("/next");
    assert_eq!(
        scene
            .get(&list(&user, &format!("cursor={cursor}")))
            .await
            .status,
        200,
        "another limit is fine"
    );
    for (user, query) in [
        (&other, format!("cursor={cursor}")),
        (&user, format!("cursor={cursor}&status=scheduled")),
        (&user, "cursor=nonsense".to_owned()),
    ] {
        assert_eq!(
            scene.get(&list(user, &query)).await.problem(400).0,
            "bad-cursor",
            "{query}"
        );
    }
    let waiting = [("min-position", "999999"), ("prefer", "wait=0")];
    let late = scene.call("GET", &list(&user, ""), &waiting, None).await;
    assert_eq!(
        (late.problem(503).0.as_str(), late.header("retry-after")),
        ("projection-lagging", "1")
    );
    let no_position = scene
        .call("GET", &list(&user, ""), &[("min-position", "x")], None)
        .await;
    assert_eq!(no_position.problem(400).0, "malformed-header");
}
