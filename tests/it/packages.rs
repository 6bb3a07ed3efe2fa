//! Packages: kept for a delivery until it is over, then free.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Recording, poll_until};

use crate::scene::{Order, airpost, chance, new_user, scratch, text, verify};

/// How long the end of a delivery may take to let its package go.
const LET_GO_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_is_in_one_delivery_until_that_is_over_and_then_in_another() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let flight = Recording::load(268);
    let user = new_user(&client, &mut chance).await;
    let declared = json!({"tag": "CRATE-1", "size": "small", "mass_g": flight.plan().payload_g});
    let registered = client.post("/v1/packages").json(&declared).send().await;
    let package = registered.expect(201).json();
    let mut order = Order::request(&user, &flight, &mut chance);
    order["package"] = json!({"id": text(&package, "/id")});
    let mut another = order.clone();
    another["external_id"] = Value::Null;

    let booked = client.post("/v1/deliveries").json(&order).send().await;
    let delivery = booked.expect(201).json();
    let address = format!("/v1/packages/{}", text(&package, "/id"));
    let kept = client.read(&address).await;
    assert_eq!(text(&kept, "/delivery_id"), text(&delivery, "/id"));
    let refused = client.post("/v1/deliveries").json(&another).send().await;
    let problem = refused.expect_problem(409);
    assert_eq!(text(&problem, "/code"), "package-reserved");

    let path = format!("/v1/deliveries/{}", text(&delivery, "/id"));
    let cancelled = client.delete(&path).send().await;
    assert_eq!(cancelled.status(), 202);
    let second = poll_until(LET_GO_WITHIN, "the package to be let go", async || {
        let booked = client.post("/v1/deliveries").json(&another).send().await;
        (booked.status() == 201).then(|| booked.json())
    })
    .await;
    assert_ne!(text(&second, "/id"), text(&delivery, "/id"));
    let kept = client.read(&address).await;
    assert_eq!(text(&kept, "/delivery_id"), text(&second, "/id"));
    server.stop().await;
    verify(folder.path()).await;
}
