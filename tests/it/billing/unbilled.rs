//! A service that was started without the billing service that payments were asked of.

use super::*;
use crate::scene::list;

#[tokio::test]
async fn given_a_payment_asked_for_when_the_service_is_started_without_billing_then_the_booking_is_over_at_its_deadline()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::NotNow).await;
    let (server, client) = serve(&billing, data.path()).await;
    let user = new_user(&client, &mut chance).await;
    let request = Order::request(&user, &Recording::load(268), &mut chance);
    let post = client.post("/v1/deliveries").json(&request);
    let booked = post.send().await.expect(201);
    let path = monitor(&booked);
    poll_until(SOON, "an attempt", || async {
        (billing.requests() > 0).then_some(())
    })
    .await;
    server.stop().await;

    let without = airpost()
        .with_setting("AIRPOST_TIME_SCALE", TIME_SCALE)
        .with_setting("AIRPOST_PAYMENT_WAIT_S", "1");
    let server = without.serve(data.path()).await;
    let client = server.client();
    let operation = over(&client, &path).await;
    assert_eq!(text(&operation, "/status"), "timed_out");
    assert_eq!(text(&operation, "/problem/reason"), "payment_unavailable");
    // What said 503 may have stood in front of a service that charged it.
    let detail = text(&operation, "/problem/detail");
    assert!(detail.contains("somebody looks"), "{detail}");
    // A list may be a moment behind the operation, which is read in the log.
    let page = poll_until(SOON, "a task", || async {
        let page = client.read("/v1/tasks?kind=operation").await;
        (!list(&page, "/items").is_empty()).then_some(page)
    });
    let page = page.await;
    let tasks: Vec<_> = list(&page, "/items").iter().collect();
    assert_eq!(tasks.len(), 1, "{page}");
    assert_eq!(text(tasks[0], "/reason"), "payment_unknown");
    // The package and its tag are free for another.
    let mut again = request.clone();
    again["external_id"] = Value::Null;
    let post = client.post("/v1/deliveries").json(&again);
    let booked = post.send().await.expect(201);
    assert_eq!(text(&booked.json(), "/status"), "scheduled");
    server.stop().await;
}
