//! How the views are, and building one anew, as an operator sees it.

use std::time::Duration;

use super::*;

const REBUILD: &str = "/v1/projections/delivery_status/rebuild";

impl Scene {
    /// The view of that name in the list.
    async fn view(&self, name: &str) -> Value {
        let list = self.get("/v1/projections").await;
        assert_eq!(list.status, 200, "{list:?}");
        let items = list.at("/items").as_array().cloned().unwrap_or_default();
        let found = items.into_iter().find(|item| item["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {list:?}"))
    }

    /// The operation at an address once it is over.
    async fn ended(&self, path: &str) -> Answer {
        loop {
            let answer = self.get(path).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if ["succeeded", "failed"].contains(&&*answer.text("/status")) {
                return answer;
            }
            assert_eq!(answer.header("retry-after"), "1");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn given_views_that_follow_each_is_listed_with_its_version_position_and_lag() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let written = scene.delivery(&user).await;
    let caught_up = [
        ("min-position", &*scene.head().to_string()),
        ("prefer", "wait=30"),
    ];
    let listed = scene.call("GET", "/v1/deliveries", &caught_up, None).await;
    assert_eq!(listed.text("/items/0/id"), written);

    let list = scene.get("/v1/projections").await;
    assert_eq!(list.status, 200);
    assert_eq!(list.header("cache-control"), "private, no-cache");
    assert!(list.headers.contains_key("etag"), "{list:?}");
    let known = [("if-none-match", "*")];
    let again = scene.call("GET", "/v1/projections", &known, None).await;
    assert_eq!(again.status, 304, "{again:?}");
    assert_eq!(list.at("/head"), scene.head());
    assert_eq!(list.at("/ready"), true);
    assert_eq!(list.at("/next"), Value::Null);
    let view = scene.view("delivery_status").await;
    assert_eq!(
        view,
        json!({
            "name": "delivery_status",
            "version": view["version"],
            "position": scene.head(),
            "lag_positions": 0,
            "lag_ms": 0,
            "state": "following",
            "halted": null,
            "checked": true,
            "parked_streams": 0,
            "skipped_records": 0,
            "drifted": 0,
            "rebuilding": null,
            "rebuild": null,
            "links": {"rebuild": REBUILD},
        })
    );
    assert_eq!(scene.get("/v1/projections?state=halted").await.status, 422);
    assert_eq!(scene.post("/v1/projections", json!({})).await.status, 405);
}

#[tokio::test]
async fn a_rebuild_is_an_operation_that_can_be_asked_for_until_it_is_over_and_after() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&user).await;
    let before = scene.get(&format!("/v1/deliveries/{delivery}")).await;

    let asked = scene.call("POST", REBUILD, &[], None).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let path = asked.header("location").to_owned();
    assert_eq!(asked.header("content-location"), path);
    assert_eq!(asked.header("cache-control"), "no-store");
    assert_eq!(path, format!("/v1/operations/{}", asked.text("/id")));
    assert!(asked.text("/id").starts_with("opn_"), "{asked:?}");
    assert_eq!(asked.text("/kind"), "rebuild");
    assert_eq!(asked.text("/projection"), "delivery_status");

    let over = scene.ended(&path).await;
    assert_eq!(over.text("/status"), "succeeded");
    assert_eq!(over.at("/result/href"), "/v1/projections");
    for nothing in ["/step", "/progress", "/problem", "/updated_at"] {
        assert_eq!(over.at(nothing), Value::Null, "{nothing}");
    }
    assert!(!over.headers.contains_key("retry-after"));
    assert_eq!(over.header("cache-control"), "private, no-cache");
    let known = [("if-none-match", over.header("etag"))];
    assert_eq!(scene.call("GET", &path, &known, None).await.status, 304);
    let view = scene.view("delivery_status").await;
    assert_eq!(view["rebuild"], over.json());
    assert_eq!(view["state"], "following");

    let after = scene.get(&format!("/v1/deliveries/{delivery}")).await;
    assert_eq!((before.status, before.body), (after.status, after.body));
    assert_eq!(before.headers["etag"], after.headers["etag"]);
}

#[tokio::test]
async fn asking_again_once_it_is_over_is_another_rebuild() {
    let scene = Scene::new();
    let prefer = [("prefer", "wait=20")];
    let first = scene.call("POST", REBUILD, &prefer, None).await;
    let second = scene.call("POST", REBUILD, &prefer, None).await;
    assert_eq!((first.status, second.status), (200, 200), "{first:?}");
    assert_ne!(first.text("/id"), second.text("/id"));
    for over in [&first, &second] {
        let path = format!("/v1/operations/{}", over.text("/id"));
        assert_eq!(scene.get(&path).await.json(), over.json());
    }
}

#[tokio::test]
async fn preferences_are_honoured_as_far_as_they_fit_and_only_those_are_named() {
    let scene = Scene::new();
    for (prefer, status, applied) in [
        ("respond-async", 202, vec!["respond-async"]),
        ("wait=20", 200, vec!["wait=20"]),
        ("Respond-Async; a=b, wait=999", 200, vec!["wait=30"]),
        (
            "return=minimal, wait=9",
            200,
            vec!["return=minimal", "wait=9"],
        ),
        ("wait=soon", 202, vec![]),
    ] {
        let answer = scene
            .call("POST", REBUILD, &[("prefer", prefer)], None)
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
        let named = answer.headers.get_all("preference-applied").iter();
        let named: Vec<_> = named.map(|name| name.to_str().unwrap()).collect();
        assert_eq!(named, applied, "{prefer}");
        assert_eq!(answer.header("vary"), "Accept, Prefer");
        assert_eq!(answer.body.is_empty(), prefer.contains("minimal"));
        assert!(
            answer
                .header("content-location")
                .starts_with("/v1/operations/opn_")
        );
        assert_eq!(answer.headers.contains_key("location"), status == 202);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_is_not_understood_is_not_passed_over() {
    let scene = Scene::new();
    for path in [
        "/v1/projections/none-such/rebuild",
        "/v1/projections/DELIVERY_STATUS/rebuild",
        "/v1/projections/%FF/rebuild",
    ] {
        scene.call("POST", path, &[], None).await.problem(404);
    }
    let id = Uuid::from_u128(7);
    for path in [
        format!("/v1/operations/opn_{id}"),
        format!("/v1/operations/{id}"),
        format!("/v1/operations/dlv_{id}"),
        "/v1/operations/opn_".to_owned(),
    ] {
        scene.get(&path).await.problem(404);
    }
    let refused = scene.post(REBUILD, json!({"from": 7})).await;
    assert_eq!(refused.problem(422).1, ["/from"]);
    let refused = scene
        .call("POST", &format!("{REBUILD}?from=7"), &[], None)
        .await;
    refused.problem(422);
    scene.post(REBUILD, json!("no JSON")).await.problem(400);
    assert_eq!(scene.post(REBUILD, json!({})).await.status, 202);
    assert_eq!(scene.get(REBUILD).await.status, 405);
    assert_eq!(
        scene.view("delivery_status").await["rebuild"]["kind"],
        "rebuild"
    );
}

/// As a list is asked that shows all that is in the log.
fn caught_up(position: &str) -> [(&str, &str); 2] {
    [("min-position", position), ("prefer", "wait=30")]
}

#[tokio::test]
async fn a_view_that_can_fold_next_to_nothing_stands_still_and_is_said_to_and_why() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    scene.damage_more_than_is_parked().await;
    let halted = async {
        while scene.view("user").await["halted"] == Value::Null {
            tokio::task::yield_now().await;
        }
    };
    let halted = tokio::time::timeout(Duration::from_mins(1), halted).await;
    assert!(halted.is_ok(), "it does not park more streams than it may");
    let view = scene.view("user").await;
    assert_eq!(view["state"], "halted");
    assert!(view["halted"].is_string(), "{view}");
    assert_eq!(view["parked_streams"], projections::PARKED_STREAMS_MAX);
    assert_eq!(scene.get("/v1/projections").await.at("/ready"), false);
    assert_eq!(scene.get(&format!("/v1/users/{user}")).await.status, 200);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_degrades_what_it_concerns_and_nothing_else() {
    let scene = Scene::new();
    let (ada, bob) = (
        scene.user("ada@example.org").await,
        scene.user("bob@example.org").await,
    );
    let mut named = order(&ada);
    named["external_id"] = json!("order-7");
    let damaged = scene
        .post("/v1/deliveries", named.clone())
        .await
        .text("/id");
    scene.delivery(&ada).await;
    scene.delivery(&bob).await;
    let booked_at = scene.head();
    let before = scene.get(&format!("/v1/users/{ada}")).await;
    let id = damaged.parse().expect("a delivery's id");
    scene.damage_of(&ada, StreamName::delivery(id)).await;
    let since = format!("since={}", scene.head());
    scene.delivery(&ada).await;
    let head = scene.head().to_string();
    let listed = scene
        .call("GET", "/v1/deliveries", &caught_up(&head), None)
        .await;
    assert_eq!(listed.status, 200, "no view stands still: {listed:?}");
    assert_eq!(listed.header("degraded"), since);

    // The user is answered, counts all that is known, and says so; so do their lists.
    let user = scene.get(&format!("/v1/users/{ada}")).await;
    assert_eq!((user.status, user.at("/live_deliveries")), (200, json!(3)));
    assert_eq!(user.header("degraded"), since);
    assert_eq!(user.header("stream-position"), booked_at.to_string());
    assert_ne!(user.header("etag"), before.header("etag"));
    let found = scene.get("/v1/users?email=ada@example.org").await;
    assert_eq!(found.header("degraded"), since);
    for path in [
        format!("/v1/users/{ada}/deliveries"),
        format!("/v1/deliveries?user_id={ada}"),
        "/v1/tasks".to_owned(),
    ] {
        let list = scene.get(&path).await;
        assert_eq!(
            (list.status, list.header("degraded")),
            (200, &*since),
            "{path}"
        );
    }
    // So does an answer to a change that shows them.
    let change = json!({"name": "Ada L"});
    let edit = [("if-match", user.header("etag"))];
    let path = format!("/v1/users/{ada}");
    let changed = scene.call("PATCH", &path, &edit, Some(change)).await;
    assert_eq!((changed.status, changed.header("degraded")), (200, &*since));
    assert_eq!(changed.header("stream-position"), scene.head().to_string());

    let again = scene.post("/v1/deliveries", named).await;
    assert_eq!((again.status, again.text("/id")), (200, damaged));
    assert_eq!(again.header("degraded"), since);

    // Nobody else is concerned.
    for path in [
        format!("/v1/users/{bob}"),
        format!("/v1/users/{bob}/deliveries"),
        "/v1/dead-letters".to_owned(),
    ] {
        let other = scene.get(&path).await;
        assert_eq!(other.status, 200, "{path}: {other:?}");
        assert!(!other.headers.contains_key("degraded"), "{path}: {other:?}");
    }
}

#[tokio::test]
async fn drones_and_statistics_which_lack_a_record_say_since_when() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let damaged = scene.delivery(&user).await;
    let flown = drone_events::flight(&scene.delivery(&user).await);
    drone_events::send(&scene, &drone_events::BATCH, json!(flown[..1])).await;
    let paths = ["/v1/drones", "/v1/drones/M100-07", "/v1/statistics"];
    for path in paths {
        let whole = scene.get(path).await;
        assert_eq!(whole.status, 200, "{path}: {whole:?}");
        assert!(!whole.headers.contains_key("degraded"), "{path}: {whole:?}");
    }

    let id: domain::id::DeliveryId = damaged.parse().expect("a delivery's id");
    scene.damage_of(&user, StreamName::delivery(id)).await;
    let since = format!("since={}", scene.head());
    // At once what is current, and for ever what the views have left out.
    let drone = scene.get("/v1/drones/M100-07").await;
    assert_eq!(drone.header("degraded"), since);
    scene.damage_of(&user, StreamName::delivery(id)).await;
    scene.delivery(&user).await;
    let head = scene.head().to_string();
    for path in paths {
        let lacking = scene.call("GET", path, &caught_up(&head), None).await;
        assert_eq!(
            (lacking.status, lacking.header("degraded")),
            (200, &*since),
            "{path}: {lacking:?}"
        );
    }
}

#[tokio::test]
async fn a_delivery_with_a_record_that_cannot_be_read_is_shown_as_before_it_and_no_other_is() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let (whole, damaged) = (scene.delivery(&user).await, scene.delivery(&user).await);
    let path = format!("/v1/deliveries/{damaged}");
    let before = scene.get(&path).await;
    let id = damaged.parse().expect("a delivery's id");
    scene.damage_of(&user, StreamName::delivery(id)).await;
    let degraded_since = format!("since={}", scene.head());
    let head = scene.head().to_string();

    // Whether or not the views have reached it.
    for _ in 0..2 {
        let after = scene.get(&path).await;
        assert_eq!((after.status, &after.body), (200, &before.body));
        assert_eq!(after.header("degraded"), degraded_since);
        assert_eq!(
            after.header("stream-position"),
            (scene.head() - 1).to_string()
        );
        let listed = scene
            .call("GET", "/v1/deliveries", &caught_up(&head), None)
            .await;
        assert_eq!(listed.status, 200, "{listed:?}");
    }
    let view = scene.view("delivery_status").await;
    assert_eq!(
        (&view["state"], &view["parked_streams"]),
        (&json!("degraded"), &json!(1))
    );

    // A history is what was recorded, readable or not: it lacks nothing.
    let history = scene.get(&format!("{path}/history")).await;
    assert_eq!(history.status, 200, "{history:?}");
    assert!(!history.headers.contains_key("degraded"), "{history:?}");

    // A past that lies behind the record ends before it.
    for moment in [
        format!("known_at={head}"),
        "as_of=2030-01-01T00:00:00Z".to_owned(),
    ] {
        let past = scene.get(&format!("{path}?{moment}")).await;
        assert_eq!((past.status, &past.body), (200, &before.body), "{moment}");
        assert_eq!(past.header("degraded"), degraded_since);
        assert_ne!(
            past.headers
                .get("cache-control")
                .map(|it| it.to_str().unwrap().contains("immutable")),
            Some(true)
        );
    }
    let earlier = scene
        .get(&format!("{path}?known_at={}", scene.head() - 1))
        .await;
    assert!(!earlier.headers.contains_key("degraded"), "{earlier:?}");

    let other = scene.get(&format!("/v1/deliveries/{whole}")).await;
    assert_eq!(other.status, 200);
    assert!(!other.headers.contains_key("degraded"), "{other:?}");
    assert_eq!(other.header("stream-position"), scene.head().to_string());
}
