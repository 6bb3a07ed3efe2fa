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
    assert_eq!(list.header("cache-control"), "no-store");
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
    assert!(asked.text("/id").starts_with("op_"), "{asked:?}");
    assert_eq!(asked.text("/kind"), "rebuild");
    assert_eq!(asked.text("/projection"), "delivery_status");

    let over = scene.ended(&path).await;
    assert_eq!(over.text("/status"), "succeeded");
    assert_eq!(over.at("/result/href"), "/v1/projections");
    for nothing in ["/step", "/progress", "/problem", "/updated_at"] {
        assert_eq!(over.at(nothing), Value::Null, "{nothing}");
    }
    assert!(!over.headers.contains_key("retry-after"));
    assert_eq!(over.header("cache-control"), "no-store");
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
        ("Respond-Async; a=b, wait=999", 200, vec!["wait=25"]),
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
                .starts_with("/v1/operations/op_")
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
        format!("/v1/operations/op_{id}"),
        format!("/v1/operations/{id}"),
        format!("/v1/operations/dlv_{id}"),
        "/v1/operations/op_".to_owned(),
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

#[tokio::test]
async fn a_view_that_stands_still_is_said_to_and_why() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let damaged = domain::id::DeliveryId::from_uuid(Uuid::from_u128(9));
    scene.damage(StreamName::delivery(damaged)).await;
    let halted = async {
        while scene.view("user").await["halted"] == Value::Null {
            tokio::task::yield_now().await;
        }
    };
    let halted = tokio::time::timeout(Duration::from_secs(20), halted).await;
    assert!(
        halted.is_ok(),
        "a view that cannot read a record stands still"
    );
    let view = scene.view("user").await;
    assert_eq!(view["state"], "halted");
    assert!(view["halted"].is_string(), "{view}");
    assert_eq!(scene.get("/v1/projections").await.at("/ready"), false);

    let wait = [
        ("min-position", &*scene.head().to_string()),
        ("prefer", "wait=30"),
    ];
    // What stands still is not waited for by lists that are not read from it.
    let listed = scene.call("GET", "/v1/deliveries", &wait, None).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    assert_eq!(listed.header("stream-position"), scene.head().to_string());
    let view = scene.view("delivery_status").await;
    assert_eq!(
        (&view["state"], &view["parked_streams"]),
        (&json!("degraded"), &json!(1))
    );

    // Built anew it comes as far as it was, and stands still there again.
    let wait = [("prefer", "wait=20")];
    let built = scene.call("POST", REBUILD, &wait, None).await;
    assert_eq!(built.status, 200, "{built:?}");
    assert_eq!(scene.get(&format!("/v1/users/{user}")).await.status, 200);
}

#[tokio::test]
async fn a_delivery_with_a_record_that_cannot_be_read_is_shown_as_before_it_and_no_other_is() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let (whole, damaged) = (scene.delivery(&user).await, scene.delivery(&user).await);
    let before = scene.get(&format!("/v1/deliveries/{damaged}")).await;
    let id = damaged.parse().expect("a delivery's id");
    scene.damage(StreamName::delivery(id)).await;
    let degraded_since = format!("since={}", scene.head());
    let waits = async {
        while scene.view("delivery_status").await["state"] != "degraded" {
            tokio::task::yield_now().await;
        }
    };
    let waits = tokio::time::timeout(Duration::from_secs(20), waits).await;
    assert!(waits.is_ok(), "what cannot be read waits before the views");

    let after = scene.get(&format!("/v1/deliveries/{damaged}")).await;
    assert_eq!((after.status, &after.body), (200, &before.body));
    assert_eq!(after.header("degraded"), degraded_since);
    assert_eq!(
        after.header("stream-position"),
        (scene.head() - 1).to_string()
    );
    let history = scene
        .get(&format!("/v1/deliveries/{damaged}/history"))
        .await;
    assert_eq!(history.status, 200, "{history:?}");
    assert_eq!(history.header("degraded"), degraded_since);

    let other = scene.get(&format!("/v1/deliveries/{whole}")).await;
    assert_eq!(other.status, 200);
    assert!(!other.headers.contains_key("degraded"), "{other:?}");
    assert_eq!(other.header("stream-position"), scene.head().to_string());
}
