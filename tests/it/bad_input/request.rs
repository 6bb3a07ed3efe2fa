//! Requests that are refused for what they ask, whatever their body: address, method, type, size, state.

use serde_json::json;

use super::Stage;
use crate::scene::{lines, report, settled, text};

const JSON: &str = "application/json";

#[tokio::test]
async fn an_id_that_is_unknown_malformed_or_of_the_wrong_kind_in_a_path_is_404() {
    let stage = Stage::set().await;
    let client = &stage.client;
    let unknown = "00000000-0000-7000-8000-000000000000";
    let (delivery, user) = (&stage.order.id, &stage.user);
    let ids = [
        format!("dlv_{unknown}"),
        user.clone(),
        "dlv_1".to_owned(),
        "%00".to_owned(),
        "ext:none".to_owned(),
    ];
    for id in ids {
        for path in ["", "/status", "/history"] {
            stage
                .refuses(client.get(&format!("/v1/deliveries/{id}{path}")), 404, &[])
                .await;
        }
        let change = client
            .patch(&format!("/v1/deliveries/{id}"))
            .header("if-match", "*");
        stage
            .refuses(
                change.json(&json!({"deliver_by": "2199-01-01T00:00:00Z"})),
                404,
                &[],
            )
            .await;
        let cancel = client.post(&format!("/v1/deliveries/{id}/cancel"));
        stage
            .refuses(
                cancel.json(&json!({"reason": "customer_request"})),
                404,
                &[],
            )
            .await;
    }
    for id in [format!("usr_{unknown}"), delivery.clone(), "me".to_owned()] {
        stage
            .refuses(client.get(&format!("/v1/users/{id}")), 404, &[])
            .await;
        stage
            .refuses(client.get(&format!("/v1/users/{id}/deliveries")), 404, &[])
            .await;
        let change = client
            .patch(&format!("/v1/users/{id}"))
            .header("if-match", "*");
        stage
            .refuses(change.json(&json!({"name": "B"})), 404, &[])
            .await;
    }
    let of_delivery = delivery.strip_prefix("dlv_").unwrap_or_default();
    for id in [
        format!("tsk_delivery-{of_delivery}-1"),
        format!("tsk_delivery-{of_delivery}-99"),
        format!("tsk_delivery-{unknown}-1"),
        format!("tsk_{of_delivery}-1"),
        delivery.clone(),
        "%00".to_owned(),
    ] {
        let task = format!("/v1/tasks/{id}");
        stage.refuses(client.get(&task), 404, &[]).await;
        let acknowledge = client.post(&format!("{task}/acknowledge"));
        stage.refuses(acknowledge, 404, &[]).await;
    }
    stage.refuses(client.get("/v1/drones/none"), 404, &[]).await;
    stage.refuses(client.get("/v1/nothing"), 404, &[]).await;
    stage.refuses(client.get("/"), 404, &[]).await;
    stage.leave().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_not_applied() {
    // A body is read on for 16 MiB after its refusal, so that the client sees the answer:
    // with this limit for a batch, more than that need not be sent.
    let stage = Stage::set_with(&["--batch-bytes-max", "4194304"]).await;
    let name = "x".repeat(1024 * 1024);
    for path in ["/v1/users", "/v1/deliveries"] {
        let body = json!({"name": name, "email": "large@example.org"});
        stage
            .refuses(stage.client.post(path).json(&body), 413, &[])
            .await;
    }
    let event = stage.order.facts().remove(0);
    let too_large = format!("{event}\n{}\n", "x".repeat(5 * 1024 * 1024));
    let too_many = lines(&vec![json!({}); 10_001]);
    for lines in [too_large, too_many] {
        let batch = stage
            .client
            .post("/v1/drone-events")
            .body("application/x-ndjson", lines);
        stage.refuses(batch, 413, &[]).await;
    }
    stage.leave().await;
}

#[tokio::test]
async fn a_wrong_method_is_405_and_lists_the_right_ones() {
    let stage = Stage::set().await;
    let user = format!("/v1/users/{}", stage.user);
    for (method, path, allowed) in [
        ("DELETE", "/v1/users", "POST"),
        ("PUT", "/v1/deliveries", "POST"),
        ("POST", user.as_str(), "PATCH"),
        ("POST", &stage.order.path(), "PATCH"),
        ("PUT", &format!("{}/history", stage.order.path()), "GET"),
        ("GET", &format!("{}/cancel", stage.order.path()), "POST"),
        ("GET", "/v1/drone-events", "POST"),
        ("POST", "/livez", "GET"),
    ] {
        let answer = stage
            .refuses(stage.client.request(method, path), 405, &[])
            .await;
        let allow = answer.required_header("allow");
        assert!(
            allow.split(',').any(|known| known.trim() == allowed),
            "{method} {path}: Allow: {allow}"
        );
    }
    stage.leave().await;
}

#[tokio::test]
async fn a_wrong_content_type_is_415_and_an_impossible_accept_406() {
    let stage = Stage::set().await;
    let client = &stage.client;
    let event = stage.order.events().remove(0).to_string();
    for content_type in ["text/plain", "application/xml", "multipart/form-data"] {
        for path in ["/v1/users", "/v1/deliveries", "/v1/drone-events"] {
            stage
                .refuses(
                    client.post(path).body(content_type, event.clone()),
                    415,
                    &[],
                )
                .await;
        }
    }
    stage
        .refuses(client.post("/v1/drone-events").body(JSON, event), 415, &[])
        .await;
    let patch = client
        .patch(&stage.order.path())
        .header("if-match", "*")
        .body("application/json-patch+json", "[]");
    stage.refuses(patch, 415, &[]).await;
    stage
        .refuses(
            client
                .get(&stage.order.path())
                .header("accept", "image/png"),
            406,
            &[],
        )
        .await;
    stage.leave().await;
}

#[tokio::test]
async fn a_change_without_or_with_an_old_base_is_428_or_412_and_shows_the_current_one() {
    let stage = Stage::set().await;
    let user = format!("/v1/users/{}", stage.user);
    for (path, body) in [
        (user, json!({"name": "B"})),
        (
            stage.order.path(),
            json!({"deliver_by": "2199-01-01T00:00:00Z"}),
        ),
    ] {
        stage
            .refuses(stage.client.patch(&path).json(&body), 428, &[])
            .await;
        let current = stage.client.get(&path).send().await.expect(200);
        let old = stage
            .client
            .patch(&path)
            .header("if-match", "\"no such tag\"")
            .json(&body);
        let answer = stage.refuses(old, 412, &[]).await;
        assert_eq!(answer.header("etag"), current.header("etag"));
        assert_eq!(
            text(&answer.json(), "/current/id"),
            text(&current.json(), "/id")
        );
    }
    stage.leave().await;
}

#[tokio::test]
async fn a_bad_page_is_refused() {
    let stage = Stage::set().await;
    for (query, pointer) in [
        ("status=closed", "/status"),
        ("limit=0", "/limit"),
        ("kind=odd", "/kind"),
    ] {
        let tasks = stage.client.get(&format!("/v1/tasks?{query}"));
        stage.refuses(tasks, 422, &[pointer]).await;
    }
    stage
        .refuses(stage.client.get("/v1/tasks?cursor=nonsense"), 400, &[])
        .await;
    let path = format!("/v1/users/{}/deliveries", stage.user);
    for limit in ["0", "201", "-1", "many"] {
        stage
            .refuses(
                stage.client.get(&format!("{path}?limit={limit}")),
                422,
                &["/limit"],
            )
            .await;
    }
    stage
        .refuses(
            stage.client.get(&format!("{path}?status=flying")),
            422,
            &["/status"],
        )
        .await;
    stage
        .refuses(
            stage.client.get(&format!("{path}?color=red")),
            422,
            &["/color"],
        )
        .await;
    stage
        .refuses(
            stage.client.get(&format!("{path}?cursor=nonsense")),
            400,
            &[],
        )
        .await;
    stage.leave().await;
}

#[tokio::test]
async fn an_external_id_means_one_delivery() {
    let stage = Stage::set().await;
    let again = stage
        .client
        .post("/v1/deliveries")
        .json(&stage.order.request)
        .send()
        .await
        .expect(200);
    assert_eq!(text(&again.json(), "/id"), stage.order.id);
    let mut other = stage.order.request.clone();
    other["package"]["mass_g"] = json!(1);
    let answer = stage
        .refuses(stage.client.post("/v1/deliveries").json(&other), 409, &[])
        .await;
    assert!(
        answer.json().to_string().contains(&stage.order.id),
        "no link to the delivery: {answer}"
    );
    stage.leave().await;
}

#[tokio::test]
async fn what_the_state_does_not_allow_is_409_and_names_the_state() {
    let mut stage = Stage::set().await;
    report(&stage.client, &stage.order.events()).await;
    stage.head = settled(&stage.client).await;
    let cancel = stage.client.post(&format!("{}/cancel", stage.order.path()));
    let patch = stage
        .client
        .patch(&stage.order.path())
        .header("if-match", "*");
    let patch = patch.json(&json!({"deliver_by": "2199-01-01T00:00:00Z"}));
    for request in [cancel.json(&json!({"reason": "customer_request"})), patch] {
        let answer = stage.refuses(request, 409, &[]).await;
        assert!(
            text(&answer.json(), "/detail").contains("complete"),
            "{answer}"
        );
    }
    stage.leave().await;
}
