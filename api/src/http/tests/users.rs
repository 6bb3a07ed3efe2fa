//! Users: created, read, edited, suspended.

use super::*;

#[tokio::test]
async fn a_new_user_is_told_where_it_is_and_is_there_at_once() {
    let scene = Scene::new();
    let body = json!({"name": "Ada", "email": "ada@example.org", "phone": "+4930123456"});
    let created = scene.post("/v1/users", body).await;
    assert_eq!(created.status, 201);
    let path = created.header("location").to_owned();
    assert_eq!(path, format!("/v1/users/{}", created.text("/id")));
    assert_eq!(created.header("stream-position"), scene.head().to_string());
    let read = scene.get(&path).await;
    assert_eq!(
        (read.status, read.header("etag")),
        (200, created.header("etag"))
    );
    assert_eq!(read.body, created.body);
    let mut expected = json!({
        "id": created.at("/id"), "name": "Ada", "email": "ada@example.org", "phone": "+4930123456", "locale": null,
        "status": "active", "live_deliveries": 0, "next_eta": null, "action_required": false, "sequence": 1,
        "created_at": "2026-11-21T00:00:00.000000Z", "updated_at": "2026-11-21T00:00:00.000000Z",
    });
    expected["updated_at"] = read.at("/updated_at");
    assert_eq!(read.json(), expected);
    let head = scene.call("HEAD", &path, &[], None).await;
    assert_eq!(
        (head.status, head.header("etag"), head.body.len()),
        (200, read.header("etag"), 0)
    );
}

#[tokio::test]
async fn a_taken_address_is_a_conflict_at_its_field_and_can_be_looked_up() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let again = scene
        .post(
            "/v1/users",
            json!({"name": "B", "email": " ADA@example.org "}),
        )
        .await;
    assert_eq!(
        again.problem(409),
        ("email-taken".to_owned(), vec!["/email".to_owned()])
    );
    let found = scene.get("/v1/users?email=ADA@example.org").await;
    assert_eq!((found.status, found.text("/items/0/id")), (200, user));
    assert_eq!(
        scene.get("/v1/users?email=no@example.org").await.json(),
        json!({"items": [], "next": null})
    );
    assert_eq!(scene.get("/v1/users").await.problem(422).1, ["/email"]);
}

#[tokio::test]
async fn an_edit_is_made_on_the_state_that_was_seen_or_not_at_all() {
    let scene = Scene::new();
    let path = format!("/v1/users/{}", scene.user("ada@example.org").await);
    let seen = scene.get(&path).await.header("etag").to_owned();
    let body = Some(json!({"name": "Grace", "phone": "+4930123456"}));
    assert_eq!(
        scene
            .call("PATCH", &path, &[], body.clone())
            .await
            .problem(428)
            .0,
        "precondition-required"
    );
    let merge = [
        ("if-match", seen.as_str()),
        ("content-type", "application/merge-patch+json"),
    ];
    let edited = scene.call("PATCH", &path, &merge, body.clone()).await;
    assert_eq!(
        (edited.status, edited.text("/name"), edited.text("/phone")),
        (200, "Grace".into(), "+4930123456".into())
    );
    assert_ne!(edited.header("etag"), seen);

    let stale = scene
        .call("PATCH", &path, &[("if-match", &seen)], body)
        .await;
    assert_eq!(stale.problem(412).0, "precondition-failed");
    assert_eq!(stale.at("/current"), edited.json());
    assert_eq!(stale.header("etag"), edited.header("etag"));

    let cleared = scene
        .call(
            "PATCH",
            &path,
            &[("if-match", "*")],
            Some(json!({"phone": null})),
        )
        .await;
    assert_eq!(
        (cleared.at("/phone"), cleared.text("/name")),
        (Value::Null, "Grace".into())
    );
    let replaced = Some(json!({"name": "Eve", "email": "eve@example.org"}));
    let replaced = scene
        .call(
            "PUT",
            &path,
            &[("if-match", cleared.header("etag"))],
            replaced,
        )
        .await;
    assert_eq!(
        (replaced.status, replaced.text("/email")),
        (200, "eve@example.org".into())
    );
}

#[tokio::test]
async fn an_edit_is_not_hindered_by_deliveries_booked_meanwhile() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/users/{user}");
    let seen = scene.get(&path).await.header("etag").to_owned();
    scene.delivery(&user).await;
    let now = scene.get(&path).await;
    assert_eq!(now.at("/live_deliveries"), 1);
    assert_ne!(now.header("etag"), seen, "the representation has changed");
    let edited = scene
        .call(
            "PATCH",
            &path,
            &[("if-match", &seen)],
            Some(json!({"name": "Grace"})),
        )
        .await;
    assert_eq!(edited.status, 200);
}

#[tokio::test]
async fn a_suspended_user_books_nothing_until_reinstated() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let reason = json!({"reason": "unpaid"});
    let suspended = scene
        .post(&format!("/v1/users/{user}/suspend"), reason.clone())
        .await;
    assert_eq!(
        (suspended.status, suspended.text("/status")),
        (200, "suspended".into())
    );
    assert_eq!(
        scene
            .post("/v1/deliveries", order(&user))
            .await
            .problem(409)
            .0,
        "user-suspended"
    );
    let reinstated = scene
        .post(&format!("/v1/users/{user}/reinstate"), reason)
        .await;
    assert_eq!(reinstated.text("/status"), "active");
    scene.delivery(&user).await;
    let missing = scene
        .post(&format!("/v1/users/{user}/suspend"), json!({}))
        .await;
    assert_eq!(missing.problem(422).1, ["/reason"]);
}

#[tokio::test]
async fn ids_that_are_not_of_a_user_are_not_found() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&user).await;
    for id in [
        "usr_00000000-0000-7000-8000-00000000ffff",
        &delivery,
        "me",
        "%00",
        "%ff",
        "usr_",
    ] {
        for (method, path) in [
            ("GET", ""),
            ("GET", "/deliveries"),
            ("PATCH", ""),
            ("PUT", ""),
            ("POST", "/suspend"),
        ] {
            let body = (method != "GET").then(|| json!({"name": "B"}));
            let answer = scene
                .call(
                    method,
                    &format!("/v1/users/{id}{path}"),
                    &[("if-match", "*")],
                    body,
                )
                .await;
            assert_eq!(answer.problem(404).0, "not-found", "{method} {id}{path}");
        }
    }
}

#[tokio::test]
async fn a_reader_with_the_current_copy_is_told_so() {
    let scene = Scene::new();
    let path = format!("/v1/users/{}", scene.user("ada@example.org").await);
    let seen = scene.get(&path).await.header("etag").to_owned();
    let again = scene
        .call("GET", &path, &[("if-none-match", &seen)], None)
        .await;
    assert_eq!(
        (again.status, again.header("etag"), again.body.len()),
        (304, seen.as_str(), 0)
    );
    assert_eq!(again.header("cache-control"), "private, no-cache");
}
