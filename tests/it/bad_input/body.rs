//! Bodies that are refused: no JSON, wrong members, values out of range or out of place.

use serde_json::json;

use super::Stage;
use crate::scene::text;

const JSON: &str = "application/json";

#[tokio::test]
async fn what_is_no_json_is_400() {
    let stage = Stage::set().await;
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deep_member = format!("{{\"name\": {deep}}}");
    let bodies: [&[u8]; 7] = [
        b"",
        b"{",
        b"{\"name\": }",
        b"{\"name\": \"A\"} extra",
        b"{\"name\": \"\xFF\"}",
        deep.as_bytes(),
        deep_member.as_bytes(),
    ];
    let user = format!("/v1/users/{}", stage.user);
    for body in bodies {
        for path in ["/v1/users", "/v1/deliveries"] {
            stage
                .refuses(stage.client.post(path).body(JSON, body), 400, &[])
                .await;
        }
        for path in [&stage.order.path(), &user] {
            let request = stage
                .client
                .patch(path)
                .header("if-match", "*")
                .body(JSON, body);
            stage.refuses(request, 400, &[]).await;
        }
    }
    stage.leave().await;
}

#[tokio::test]
async fn a_body_that_is_json_but_no_object_is_422_at_its_root() {
    let stage = Stage::set().await;
    for body in [json!([]), json!("text"), json!(1), json!(null)] {
        stage.refuses_user(body.clone(), &[""]).await;
        stage.refuses_delivery(body, &[""]).await;
    }
    stage.leave().await;
}

#[tokio::test]
async fn wrong_types_unknown_and_missing_fields_are_422_and_all_are_named() {
    let stage = Stage::set().await;
    stage.refuses_user(json!({}), &["/name", "/email"]).await;
    stage
        .refuses_user(
            json!({"name": 5, "email": true, "nmae": "x"}),
            &["/name", "/email", "/nmae"],
        )
        .await;
    stage
        .refuses_user(
            json!({"name": "", "email": "no address"}),
            &["/name", "/email"],
        )
        .await;
    stage
        .refuses_user(
            json!({"name": "A", "email": "a@example.org", "phone": "12"}),
            &["/phone"],
        )
        .await;
    stage
        .refuses_delivery(json!({}), &["/user_id", "/pickup", "/dropoff", "/package"])
        .await;
    for member in ["user_id", "pickup", "dropoff", "package"] {
        stage
            .refuses_delivery(stage.delivery_without(member), &[&format!("/{member}")])
            .await;
        stage
            .refuses_delivery(
                stage.delivery_with(member, json!(7)),
                &[&format!("/{member}")],
            )
            .await;
    }
    stage
        .refuses_delivery(stage.delivery_with("color", json!("red")), &["/color"])
        .await;
    let place = json!({"lat": "40", "long": -79.0});
    stage
        .refuses_delivery(
            stage.delivery_with("pickup", place),
            &["/pickup/lat", "/pickup/lon", "/pickup/long"],
        )
        .await;
    let package = json!({"tag": "QR-9", "size": "huge", "mass_g": -1});
    stage
        .refuses_delivery(
            stage.delivery_with("package", package),
            &["/package/size", "/package/mass_g"],
        )
        .await;
    stage.leave().await;
}

#[tokio::test]
async fn values_outside_their_range_are_422_at_their_place() {
    let stage = Stage::set().await;
    for (place, pointers) in [
        (json!({"lat": 90.001, "lon": 0}), &["/dropoff/lat"][..]),
        (json!({"lat": -91, "lon": 0}), &["/dropoff/lat"]),
        (json!({"lat": 0, "lon": 180.5}), &["/dropoff/lon"]),
        (
            json!({"lat": 1e300, "lon": -1e300}),
            &["/dropoff/lat", "/dropoff/lon"],
        ),
    ] {
        stage
            .refuses_delivery(stage.delivery_with("dropoff", place), pointers)
            .await;
    }
    for id in ["", "a b", "ü", &"x".repeat(129)] {
        stage
            .refuses_delivery(
                stage.delivery_with("external_id", json!(id)),
                &["/external_id"],
            )
            .await;
    }
    for kind in ["", "PIN", "nonsense"] {
        stage
            .refuses_delivery(
                stage.delivery_with("confirmation", json!(kind)),
                &["/confirmation"],
            )
            .await;
    }
    stage.leave().await;
}

#[tokio::test]
async fn a_window_or_a_deadline_in_the_past_or_upside_down_is_422() {
    let stage = Stage::set().await;
    let past = json!({"not_before": "2020-01-01T10:00:00Z", "not_after": "2020-01-01T11:00:00Z"});
    let upside_down =
        json!({"not_before": "2199-01-01T11:00:00Z", "not_after": "2199-01-01T10:00:00Z"});
    let no_time = json!({"not_before": "tomorrow", "not_after": "2199-01-01T10:00:00Z"});
    for (window, pointer) in [
        (past.clone(), "/pickup_window/not_after"),
        (upside_down, "/pickup_window/not_after"),
        (no_time, "/pickup_window/not_before"),
    ] {
        stage
            .refuses_delivery(stage.delivery_with("pickup_window", window), &[pointer])
            .await;
    }
    let late = stage.delivery_with("deliver_by", json!("2020-01-01T11:00:00Z"));
    stage.refuses_delivery(late, &["/deliver_by"]).await;
    let patch = stage
        .client
        .patch(&stage.order.path())
        .header("if-match", "*");
    let patch = patch.json(&json!({"pickup_window": past}));
    stage
        .refuses(patch, 422, &["/pickup_window/not_after"])
        .await;
    stage.leave().await;
}

#[tokio::test]
async fn an_unknown_user_or_an_id_of_the_wrong_kind_in_a_body_is_422_at_the_user() {
    let stage = Stage::set().await;
    let unknown = stage
        .user
        .replace(|c: char| c.is_ascii_hexdigit() && c != 'e', "0");
    for user in [
        unknown,
        stage.order.id.clone(),
        "usr_".to_owned(),
        "4711".to_owned(),
    ] {
        stage
            .refuses_delivery(stage.delivery_with("user_id", json!(user)), &["/user_id"])
            .await;
    }
    stage.leave().await;
}

#[tokio::test]
async fn an_email_address_that_is_taken_is_409_and_says_which_field() {
    let stage = Stage::set().await;
    let taken = stage
        .client
        .read(&format!("/v1/users/{}", stage.user))
        .await;
    let email = text(&taken, "/email");
    for email in [email.to_owned(), email.to_uppercase(), format!(" {email} ")] {
        let request = stage
            .client
            .post("/v1/users")
            .json(&json!({"name": "Another", "email": email}));
        let answer = stage.refuses(request, 409, &["/email"]).await;
        assert_eq!(answer.json()["code"], "email-taken");
    }
    stage.leave().await;
}
