//! What holds for every resource, and how the service is.

use super::*;

#[tokio::test]
async fn every_resource_refuses_what_it_does_not_take_in_the_same_way() {
    let scene = Scene::new();
    for path in ["/v1/users", "/v1/deliveries", "/v1/drone-events"] {
        let text = [("content-type", "text/plain")];
        assert_eq!(
            scene
                .call("POST", path, &text, Some(json!("x")))
                .await
                .problem(415)
                .0,
            "unsupported-media-type"
        );
        let missing = scene.call("POST", path, &[], None).await;
        assert_eq!(missing.problem(400).0, "malformed-body");
        assert!(missing.text("/detail").contains("no body"), "{missing:?}");
        let picture = [("accept", "image/png")];
        assert_eq!(
            scene
                .call("POST", path, &picture, Some(json!({})))
                .await
                .problem(406)
                .0,
            "not-acceptable"
        );
        let strange = format!("{path}?colour=red");
        assert_eq!(
            scene.post(&strange, json!({})).await.problem(422).1,
            ["/colour"]
        );
        assert_eq!(
            scene.call("PUT", path, &[], None).await.problem(405).0,
            "method-not-allowed"
        );
        assert_eq!(scene.call("OPTIONS", path, &[], None).await.status, 204);
        assert_eq!(
            scene.get(&format!("{path}/")).await.problem(404).0,
            "not-found"
        );
    }
    for path in ["/v1/users", "/v1/deliveries"] {
        assert_eq!(
            scene.post(path, json!("{\"a\": ")).await.problem(400).0,
            "malformed-body"
        );
        assert_eq!(scene.post(path, json!([])).await.problem(422).1, [""]);
        let large = json!({"name": "x".repeat(1024 * 1024)});
        assert_eq!(
            scene.post(path, large).await.problem(413).0,
            "content-too-large"
        );
    }
    assert_eq!(scene.head(), 0, "nothing was written");
}

#[tokio::test]
async fn whoever_prefers_no_body_gets_none() {
    let scene = Scene::new();
    let body = Some(json!({"name": "Ada", "email": "ada@example.org"}));
    let created = scene
        .call("POST", "/v1/users", &[("prefer", "return=minimal")], body)
        .await;
    assert_eq!((created.status, created.body.len()), (201, 0));
    assert_eq!(
        (created.header("preference-applied"), created.header("vary")),
        ("return=minimal", "Accept, Prefer")
    );
    assert!(created.header("location").starts_with("/v1/users/usr_"));
}

#[tokio::test]
async fn a_repeated_request_id_does_not_swallow_the_second_request() {
    let scene = Scene::new();
    for email in ["ada@example.org", "bob@example.org"] {
        let body = Some(json!({"name": "A", "email": email}));
        let id = [("request-id", "0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55")];
        let created = scene.call("POST", "/v1/users", &id, body).await;
        assert_eq!(created.status, 201);
        let found = scene
            .get(&format!("/v1/users/{}", created.text("/id")))
            .await;
        assert_eq!(found.text("/email"), email);
    }
}

#[tokio::test]
async fn the_service_says_that_it_lives_is_ready_and_how_it_does() {
    let scene = Scene::new();
    scene.user("ada@example.org").await;
    let alive = scene.get("/livez").await;
    assert_eq!(
        (alive.json(), alive.header("cache-control")),
        (json!({"status": "alive"}), "no-store")
    );
    let ready = scene.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.text("/status"), ready.at("/head")),
        (200, "ready".into(), json!(scene.head()))
    );
    let metrics = scene.get("/metrics").await;
    assert_eq!(
        (metrics.status, metrics.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let page = scene
        .call(
            "GET",
            "/problems/not-found",
            &[("accept", "text/html")],
            None,
        )
        .await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert_eq!(page.header("cache-control"), "public, max-age=86400");
}

#[tokio::test]
async fn what_is_not_found_is_named_with_where_to_look() {
    let scene = Scene::new();
    for (path, what, look) in [
        ("/v1/users/usr_1", "user", "/v1/users?email="),
        ("/v1/users/usr_1/deliveries", "user", "/v1/users?email="),
        ("/v1/deliveries/dlv_1", "delivery", "/v1/deliveries"),
        ("/v1/deliveries/dlv_1/history", "delivery", "/v1/deliveries"),
        ("/v1/deliveries/dlv_1/events", "delivery", "/v1/deliveries"),
        ("/v1/drones/M100-07", "drone", "/v1/drones"),
        ("/v1/tasks/tsk_1", "task", "/v1/tasks"),
        ("/v1/operations/opn_1", "operation", "Location"),
        (
            "/v1/delivery/dlv_1",
            "\"/v1/delivery/dlv_1\"",
            "/v1/deliveries",
        ),
    ] {
        let answer = scene.get(path).await;
        assert_eq!(answer.problem(404).0, "not-found");
        let detail = answer.text("/detail");
        assert!(detail.contains(what) && detail.contains(look), "{detail}");
    }
    let rebuild = scene.post("/v1/projections/none/rebuild", json!({})).await;
    rebuild.problem(404);
    assert!(rebuild.text("/detail").contains("GET /v1/projections"));
}
