//! What may have been authorized unheard: it is asked again under the same key until there is an
//! answer, and never forgotten.

use super::*;
use crate::scene::list;

/// How long an answer may take: no time scale shortens that of another service.
const ANSWER_WAIT: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// The keys of the requests so far, each once.
fn keys(billing: &Billing) -> BTreeSet<String> {
    billing.asked().into_iter().map(|asked| asked.key).collect()
}

#[tokio::test]
async fn given_a_billing_service_that_hangs_when_ten_seconds_are_over_then_the_same_is_asked_again_and_charged_once()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([Bills::Hanging], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let booked = book(&client, &mut chance, "").await.expect(201);
    let operation = over(&client, &monitor(&booked)).await;
    assert_eq!(text(&operation, "/status"), "succeeded");
    let took = instant(&operation, "/updated_at") - instant(&operation, "/created_at");
    assert!(took >= ANSWER_WAIT, "nobody waited for an answer: {took}");
    assert_eq!(billing.requests(), 2);
    assert_eq!(keys(&billing).len(), 1, "{:?}", billing.asked());
    let charges = billing.charges();
    assert_eq!(charges.len(), 1, "{charges:?}");
    assert!(!charges.iter().any(Charge::is_voided), "{charges:?}");
    server.stop().await;
}

#[tokio::test]
async fn while_as_many_payments_hang_as_are_asked_for_at_once_other_operations_go_on() {
    /// As many as the service asks for at once.
    const HANGING: usize = 64;
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let standing = book(&client, &mut chance, "wait=20").await.expect(201);
    billing.now(Bills::Hanging);
    let mut paths = Vec::new();
    for _ in 0..=HANGING {
        let booked = book(&client, &mut chance, "").await.expect(201);
        paths.push(monitor(&booked));
    }
    poll_until(SOON, "all places to be taken", || async {
        (billing.hanging() == HANGING).then_some(())
    })
    .await;

    // A cancellation is over, although what was paid waits for its turn to be taken back.
    let delivery = standing.required_header("location");
    let cancel = client.delete(delivery).header("prefer", "wait=20");
    let cancelled = cancel.send().await.expect(200);
    assert_eq!(text(&cancelled.json(), "/status"), "cancelled");
    for path in &paths {
        assert_eq!(text(&client.read(path).await, "/status"), "running");
    }

    billing.now(Bills::Well);
    for path in &paths {
        assert_eq!(text(&over(&client, path).await, "/status"), "succeeded");
    }
    poll_until(
        SOON,
        "the cancelled one's payment to be taken back",
        || async {
            let charges = billing.charges();
            charges.iter().any(Charge::is_voided).then_some(())
        },
    )
    .await;
    let charges = billing.charges();
    assert_eq!(charges.len(), paths.len() + 1, "{charges:?}");
    let voided: Vec<_> = charges.iter().filter(|it| it.is_voided()).collect();
    assert_eq!(voided.len(), 1, "{voided:?}");
    assert!(delivery.ends_with(&voided[0].delivery), "{voided:?}");
    server.stop().await;
}

#[tokio::test]
async fn whatever_trouble_the_billing_service_has_after_it_may_have_charged_the_booking_is_charged_once_and_stands()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let stories = [
        // Another try comes too early, and once more.
        vec![Bills::Busy, Bills::Busy],
        vec![Bills::Says(409)],
        vec![Bills::Says(425), Bills::Says(409)],
        vec![
            Bills::Unheard,
            Bills::NotNow,
            Bills::Unheard,
            Bills::TooMany,
        ],
        vec![Bills::Garbled, Bills::Gone],
    ];
    for (number, story) in stories.into_iter().enumerate() {
        let (before, attempts) = (billing.requests(), story.len() + 1);
        billing.plan(story.clone(), Bills::Well);
        let booked = book(&client, &mut chance, "").await.expect(201);
        let operation = over(&client, &monitor(&booked)).await;
        assert_eq!(text(&operation, "/status"), "succeeded", "{story:?}");
        assert_eq!(billing.requests() - before, attempts, "{story:?}");
        assert_eq!(keys(&billing).len(), number + 1, "{:?}", billing.asked());
        let charges = billing.charges();
        assert_eq!(charges.len(), number + 1, "{story:?}: {charges:?}");
        assert!(!charges.iter().any(Charge::is_voided), "{charges:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn given_a_charge_that_nobody_heard_of_and_a_4xx_then_it_is_not_asked_again_and_a_person_is_told()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let statuses = [401, 403, 404, 422];
    for (number, status) in statuses.into_iter().enumerate() {
        billing.plan([Bills::Unheard, Bills::Says(status)], Bills::Well);
        let booked = book(&client, &mut chance, "").await.expect(201);
        let operation = over(&client, &monitor(&booked)).await;
        assert_eq!(text(&operation, "/status"), "failed", "after a {status}");
        let detail = text(&operation, "/problem/detail");
        assert!(detail.contains("somebody looks"), "{detail}");
        let task = poll_until(SOON, "a task", || async {
            let page = client.read("/v1/tasks?kind=operation").await;
            let mut tasks = list(&page, "/items").iter();
            let is_of = |task: &&Value| text(task, "/operation_id") == text(&operation, "/id");
            tasks.find(is_of).cloned()
        })
        .await;
        assert_eq!(text(&task, "/reason"), "payment_unknown");
        assert_eq!(billing.requests(), 2 * (number + 1), "after a {status}");
        assert_eq!(
            billing.charges().len(),
            number + 1,
            "there is something to look at"
        );
    }
    server.stop().await;
}
