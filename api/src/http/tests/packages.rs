//! Packages: registered, read, declared anew, kept for a delivery.

use domain::claim::TagClaimEvent;
use domain::codec::StoredEvent as _;
use domain::id::{DeliveryId, PackageId, Tag};
use domain::package::PackageEvent;

use super::*;

const MINE: &str = "/v1/packages/pkg_01a1fed6-75fc-7732-a85e-b2f2620684ce";

fn declared() -> Value {
    json!({"tag": "QR-1", "size": "small", "mass_g": 500})
}

/// Has a delivery keep the package, as the process of its scheduling would.
async fn keep(scene: &Scene, id: &str) -> DeliveryId {
    let delivery = DeliveryId::from_uuid(Uuid::from_u128(7));
    let id: PackageId = id.parse().unwrap();
    let reserved = PackageEvent::PackageReserved { delivery }.encode();
    let kind = (reserved.event_type, reserved.schema);
    let name = StreamName::package(id);
    scene.decided(name, kind, reserved.payload).await;
    delivery
}

/// Has a delivery let its package go, as that process does at the end.
async fn let_go(scene: &Scene, id: &str, tag: &Tag, delivery: &str) {
    let delivery: DeliveryId = delivery.parse().unwrap();
    let id: PackageId = id.parse().unwrap();
    let package = PackageEvent::PackageReleased { delivery }.encode();
    let claim = TagClaimEvent::TagReleased { delivery }.encode();
    for (name, event) in [
        (StreamName::package(id), package),
        (StreamName::tag_claim(tag), claim),
    ] {
        let kind = (event.event_type, event.schema);
        scene.decided(name, kind, event.payload).await;
    }
}

#[tokio::test]
async fn a_new_package_is_told_where_it_is_and_is_there_at_once() {
    let scene = Scene::new();
    let mut body = declared();
    body["dimensions_mm"] = json!({"length": 300, "width": 200, "height": 100});
    body["flags"] = json!(["cold", "fragile", "cold"]);
    let created = scene.post("/v1/packages", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let path = format!("/v1/packages/{}", created.text("/id"));
    assert_eq!(created.header("location"), path);
    assert_eq!(created.header("stream-position"), scene.head().to_string());
    let read = scene.get(&path).await;
    assert_eq!(
        (read.status, read.header("etag"), &read.body),
        (200, created.header("etag"), &created.body)
    );
    assert_eq!(
        read.json(),
        json!({
            "id": created.at("/id"), "tag": "QR-1", "size": "small", "mass_g": 500,
            "dimensions_mm": {"length": 300, "width": 200, "height": 100}, "flags": ["fragile", "cold"],
            "delivery_id": null, "sequence": 1,
            "created_at": "2026-11-21T00:00:00.000000Z", "updated_at": "2026-11-21T00:00:00.000000Z",
            "links": {"self": path, "delivery": null},
        })
    );
    let known = [("if-none-match", read.header("etag"))];
    assert_eq!(scene.call("GET", &path, &known, None).await.status, 304);
    let unknown = scene.get(MINE).await;
    assert_eq!(unknown.problem(404).0, "not-found");
    assert_eq!(
        unknown.text("/detail"),
        "there is no such package; POST /v1/packages registers one, and an id of your own is pkg_ and a UUID in lower \
         case with hyphens"
    );
    assert_eq!(
        scene.get("/v1/packages/usr_1").await.problem(404).0,
        "not-found"
    );
}

#[tokio::test]
async fn every_fault_of_a_declaration_is_listed() {
    let scene = Scene::new();
    let body = json!({
        "tag": "a b", "size": "huge", "mass_g": 0, "dimensions_mm": {"length": 0, "width": 1},
        "flags": ["fragile", "holy"], "id": "pkg_1",
    });
    let pointers = [
        "/tag",
        "/size",
        "/mass_g",
        "/dimensions_mm/length",
        "/flags/1",
        "/id",
        "/dimensions_mm/height",
    ];
    for (method, path) in [("POST", "/v1/packages"), ("PUT", MINE)] {
        let refused = scene.call(method, path, &[], Some(body.clone())).await;
        let (code, mut found) = refused.problem(422);
        assert_eq!(code, "invalid-request");
        found.sort_unstable();
        let mut expected = pointers;
        expected.sort_unstable();
        assert_eq!(found, expected, "{method}");
    }
    assert_eq!(scene.head(), 0);
}

#[tokio::test]
async fn a_package_under_an_id_of_the_clients_own_is_registered_and_then_replaced_as_seen() {
    let scene = Scene::new();
    let put = async |headers: &[(&str, &str)], body: Value| {
        scene.call("PUT", MINE, headers, Some(body)).await
    };
    // What is not there was not seen either.
    let seen = [("if-match", "\"1-1\"")];
    assert_eq!(put(&seen, declared()).await.problem(404).0, "not-found");
    let created = put(&[("if-none-match", "*")], declared()).await;
    assert_eq!((created.status, created.header("location")), (201, MINE));
    // Saying the same again is no change, and needs no precondition.
    let head = scene.head();
    let again = put(&[], declared()).await;
    assert_eq!((again.status, &again.body), (200, &created.body));
    assert_eq!(scene.head(), head);

    let mut heavier = declared();
    heavier["mass_g"] = json!(501);
    let blind = put(&[], heavier.clone()).await;
    assert_eq!(blind.problem(428).0, "precondition-required");
    let only_new = put(&[("if-none-match", "*")], heavier.clone()).await;
    assert_eq!(only_new.problem(412).0, "precondition-failed");
    let seen = [("if-match", created.header("etag"))];
    let replaced = put(&seen, heavier.clone()).await;
    assert_eq!((replaced.status, replaced.at("/mass_g")), (200, json!(501)));
    let stale = put(&seen, declared()).await;
    assert_eq!(stale.problem(412).0, "precondition-failed");
    assert_eq!(stale.at("/current"), replaced.json());
}

#[tokio::test]
async fn a_patch_of_a_package_keeps_what_it_leaves_out() {
    let scene = Scene::new();
    let mut body = declared();
    body["flags"] = json!(["fragile"]);
    assert_eq!(scene.call("PUT", MINE, &[], Some(body)).await.status, 201);
    let patch = async |body: Value| {
        scene
            .call("PATCH", MINE, &[("if-match", "*")], Some(body))
            .await
    };
    let blind = scene.call("PATCH", MINE, &[], Some(json!({}))).await;
    assert_eq!(blind.problem(428).0, "precondition-required");
    let sides = json!({"dimensions_mm": {"width": 20}});
    assert_eq!(
        patch(sides.clone()).await.problem(422).1,
        ["/dimensions_mm/length", "/dimensions_mm/height"]
    );
    let sized = patch(json!({"dimensions_mm": {"length": 3, "width": 2, "height": 1}})).await;
    assert_eq!(sized.status, 200, "{sized:?}");
    let wider = patch(sides).await;
    assert_eq!(
        (
            wider.at("/dimensions_mm"),
            wider.text("/tag"),
            wider.at("/mass_g"),
            wider.at("/flags")
        ),
        (
            json!({"length": 3, "width": 20, "height": 1}),
            "QR-1".into(),
            json!(500),
            json!(["fragile"])
        )
    );
    let bare = patch(json!({"dimensions_mm": null, "flags": null})).await;
    assert_eq!(
        (bare.at("/dimensions_mm"), bare.at("/flags")),
        (Value::Null, json!([]))
    );
    let refused = patch(json!({"tag": null, "mass_g": 0})).await;
    assert_eq!(refused.problem(422).1, ["/tag", "/mass_g"]);
}

#[tokio::test]
async fn a_package_that_a_delivery_has_is_not_declared_otherwise() {
    let scene = Scene::new();
    assert_eq!(
        scene.call("PUT", MINE, &[], Some(declared())).await.status,
        201
    );
    let delivery = keep(&scene, MINE.rsplit('/').next().unwrap()).await;
    let kept = scene.get(MINE).await;
    assert_eq!(kept.text("/delivery_id"), delivery.to_string());
    assert_eq!(kept.at("/sequence"), json!(2));
    let head = scene.head();
    let seen = [("if-match", kept.header("etag"))];
    let mut heavier = declared();
    heavier["mass_g"] = json!(501);
    for (method, body) in [("PATCH", json!({"mass_g": 501})), ("PUT", heavier)] {
        let refused = scene.call(method, MINE, &seen, Some(body)).await;
        assert_eq!(refused.problem(409).0, "package-reserved", "{method}");
        let href = format!("/v1/deliveries/{delivery}");
        assert_eq!(refused.text("/href"), href);
    }
    let same = scene.call("PUT", MINE, &seen, Some(declared())).await;
    assert_eq!((same.status, scene.head()), (200, head));
}

#[tokio::test]
async fn what_happens_to_packages_is_not_in_the_feed() {
    let scene = Scene::new();
    assert_eq!(scene.post("/v1/packages", declared()).await.status, 201);
    let feed = scene.get("/v1/events").await;
    assert_eq!(feed.at("/items"), json!([]));
}

#[tokio::test]
async fn a_registered_package_is_ordered_by_its_id_alone() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let package = scene.post("/v1/packages", declared()).await.text("/id");
    let mut body = order(&user);
    body["package"] = json!({"id": package});
    let booked = scene.post("/v1/deliveries", body.clone()).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    let mut expected = declared();
    expected["id"] = json!(package);
    expected["dimensions_mm"] = Value::Null;
    expected["flags"] = json!([]);
    assert_eq!(booked.at("/package"), expected);

    body["package"] = json!({"id": package, "mass_g": 1, "colour": "red"});
    assert_eq!(
        scene
            .post("/v1/deliveries", body.clone())
            .await
            .problem(422)
            .1,
        ["/package/mass_g", "/package/colour"]
    );
    for id in ["pkg_01a1fed6-75fc-7732-a85e-b2f2620684ce", "usr_1"] {
        body["package"] = json!({"id": id});
        let refused = scene.post("/v1/deliveries", body.clone()).await;
        assert_eq!(refused.problem(422).1, ["/package/id"]);
    }
}

#[tokio::test]
async fn a_tag_and_the_package_with_it_are_in_one_delivery_that_is_not_over() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let body = order(&user);
    let booked = scene.post("/v1/deliveries", body.clone()).await;
    let delivery = format!("/v1/deliveries/{}", booked.text("/id"));
    // It was registered on the way.
    let package = format!("/v1/packages/{}", booked.text("/package/id"));
    let registered = scene.get(&package).await;
    assert_eq!(registered.at("/delivery_id"), booked.at("/id"));
    assert_eq!(registered.at("/tag"), body["package"]["tag"]);

    let head = scene.head();
    let again = scene.post("/v1/deliveries", body.clone()).await;
    assert_eq!(again.problem(409).0, "tag-in-use");
    assert_eq!(again.text("/href"), delivery);
    assert_eq!(again.at("/retryable"), false);
    let mut named = order(&user);
    named["package"] = json!({"id": booked.at("/package/id")});
    let taken = scene.post("/v1/deliveries", named.clone()).await;
    assert_eq!(taken.problem(409).0, "package-reserved");
    assert_eq!(taken.text("/href"), delivery);
    assert_eq!(scene.head(), head, "a refusal wrote something");

    let cancelled = scene.call("DELETE", &delivery, &[], None).await;
    assert_eq!(cancelled.text("/status"), "cancelled", "{cancelled:?}");
    for (order, code) in [(&body, "tag-in-use"), (&named, "package-reserved")] {
        let early = scene.post("/v1/deliveries", order.clone()).await;
        assert_eq!(early.problem(409).0, code, "it is let go in a moment");
        assert_eq!(early.header("retry-after"), "1");
        assert_eq!(early.at("/retryable"), true);
        assert!(early.text("/detail").contains("is over"), "{early:?}");
    }
    let tag = Tag::new(body["package"]["tag"].as_str().unwrap()).unwrap();
    let_go(
        &scene,
        &booked.text("/package/id"),
        &tag,
        &booked.text("/id"),
    )
    .await;
    assert_eq!(scene.get(&package).await.at("/delivery_id"), Value::Null);
    let second = scene.post("/v1/deliveries", named).await;
    assert_eq!(second.status, 201, "{second:?}");
    assert_eq!(
        scene.get(&package).await.at("/delivery_id"),
        second.at("/id")
    );
    let third = scene.post("/v1/deliveries", body).await;
    assert_eq!(third.problem(409).0, "tag-in-use");
    assert_eq!(
        third.text("/href"),
        format!("/v1/deliveries/{}", second.text("/id"))
    );
}

#[tokio::test]
async fn an_order_of_a_registered_package_is_the_same_also_when_something_else_is_declared_since() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    assert_eq!(
        scene.call("PUT", MINE, &[], Some(declared())).await.status,
        201
    );
    let mut body = order(&user);
    body["external_id"] = json!("order-1");
    body["package"] = json!({"id": MINE.trim_start_matches("/v1/packages/")});
    let first = scene.post("/v1/deliveries", body.clone()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let delivery = first.text("/id");
    let cancelled = scene
        .call("DELETE", first.header("location"), &[], None)
        .await;
    assert_eq!(cancelled.text("/status"), "cancelled", "{cancelled:?}");
    let tag = "QR-1".parse().unwrap();
    let_go(
        &scene,
        MINE.trim_start_matches("/v1/packages/"),
        &tag,
        &delivery,
    )
    .await;
    let any = [("if-match", "*")];
    let heavier = json!({"mass_g": 501});
    let heavier = scene.call("PATCH", MINE, &any, Some(heavier)).await;
    assert_eq!((heavier.status, heavier.at("/mass_g")), (200, json!(501)));

    let again = scene.post("/v1/deliveries", body.clone()).await;
    assert_eq!((again.status, again.text("/id")), (200, delivery));
    body["expedited"] = json!(true);
    let other = scene.post("/v1/deliveries", body).await;
    assert_eq!(other.problem(409).0, "external-id-taken");
}
