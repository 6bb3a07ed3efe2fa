//! A payment for nothing is taken back once, whatever the billing service does wrong on the way.

use tests::Asked;

use super::*;
use crate::scene::list;

/// How often a payment was taken back, as far as the service heard.
const VOIDED: &str = "airpost_effects_total{effect=\"void_payment\",outcome=\"done\"}";

/// What the billing service was asked to take back, in order.
fn voids(billing: &Billing) -> Vec<Asked> {
    let mut asked = billing.asked();
    asked.retain(|asked| asked.method == "DELETE");
    asked
}

#[tokio::test]
async fn given_a_booking_that_stands_when_it_is_cancelled_then_its_payment_is_taken_back_once_whatever_goes_wrong()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let stories = [
        vec![],
        vec![Bills::NotNow],
        vec![Bills::Unheard],
        vec![Bills::Hanging],
        vec![Bills::Busy, Bills::Says(425)],
        vec![Bills::Gone, Bills::TooMany],
    ];
    for (number, story) in stories.into_iter().enumerate() {
        let booked = book(&client, &mut chance, "wait=20").await.expect(201);
        let delivery = booked.required_header("location");
        assert_eq!(text(&booked.json(), "/status"), "scheduled");
        let (before, attempts) = (voids(&billing).len(), story.len() + 1);
        billing.plan(story.clone(), Bills::Well);
        let cancel = client.delete(delivery).header("prefer", "wait=20");
        let cancelled = cancel.send().await.expect(200);
        assert_eq!(text(&cancelled.json(), "/status"), "cancelled");
        shows(&client, VOIDED, &(number + 1).to_string()).await;

        let charges = billing.charges();
        assert_eq!(charges.len(), number + 1, "{story:?}: {charges:?}");
        let charge = charges.iter().find(|it| delivery.ends_with(&it.delivery));
        let charge = charge.expect("the cancelled one was charged");
        let asked = voids(&billing).split_off(before);
        assert_eq!(asked.len(), attempts, "{story:?}: {asked:?}");
        assert!(asked.iter().all(|it| *it == asked[0]), "{asked:?}");
        assert!(
            asked[0]
                .path
                .ends_with(&format!("/{}", charge.authorization))
        );
        assert_eq!(charge.voided_under, [asked[0].key.clone()].into());
    }
    let open = client.read("/v1/tasks").await;
    assert_eq!(at(&open, "/items"), &json!([]), "nobody has to look at it");
    server.stop().await;
}

#[tokio::test]
async fn given_a_payment_whose_voiding_is_called_wrong_then_it_is_not_asked_again_and_a_person_is_told()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    // A wrong address says 404 and 410 as well: they are no sign that nothing is left to be undone.
    let statuses = [401, 402, 404, 410, 422];
    for (number, status) in statuses.into_iter().enumerate() {
        let booked = book(&client, &mut chance, "wait=20").await.expect(201);
        billing.plan([Bills::NotNow, Bills::Says(status)], Bills::Well);
        let _ = client
            .delete(booked.required_header("location"))
            .send()
            .await;
        poll_until(SOON, "a task", || async {
            let page = client.read("/v1/tasks?kind=operation").await;
            let tasks = list(&page, "/items");
            let told = tasks.iter().all(|it| text(it, "/reason") == "void_refused");
            (told && tasks.len() == number + 1).then_some(())
        })
        .await;
        assert_eq!(voids(&billing).len(), 2 * (number + 1), "after a {status}");
    }
    assert_eq!(
        billing.requests(),
        3 * statuses.len(),
        "{:?}",
        billing.asked()
    );
    assert!(!billing.charges().iter().any(Charge::is_voided));
    server.stop().await;
}

#[tokio::test]
async fn given_a_booking_that_stands_when_no_drone_comes_then_its_payment_is_taken_back_once() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let booked = book(&client, &mut chance, "wait=20").await.expect(201);
    let delivery = booked.required_header("location");
    billing.plan([Bills::NotNow, Bills::Unheard], Bills::Well);
    shows(&client, VOIDED, "1").await;
    assert_eq!(text(&client.read(delivery).await, "/status"), "rejected");
    assert_eq!(voids(&billing).len(), 3);
    let charges = billing.charges();
    assert_eq!(charges.len(), 1, "{charges:?}");
    assert_eq!(charges[0].voided_under.len(), 1, "{charges:?}");
    server.stop().await;
}

/// What the log says of operations that wait for a billing service that is not there.
fn unbilled(server: &Server) -> Vec<String> {
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("--billing-url"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn given_a_payment_to_take_back_when_the_service_is_started_without_billing_then_it_says_how_many_wait_and_the_next_start_goes_on()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let mut booked = Vec::new();
    for _ in 0..3 {
        booked.push(book(&client, &mut chance, "wait=20").await.expect(201));
    }
    billing.now(Bills::NotNow);
    for cancelled in &booked[..2] {
        let delivery = cancelled.required_header("location");
        let _ = client.delete(delivery).send().await.expect(202);
    }
    poll_until(SOON, "attempts at both", || async {
        (voids(&billing).len() > 3).then_some(())
    })
    .await;
    assert_eq!(unbilled(&server), [""; 0]);
    server.stop().await;

    let without = airpost().with_setting("AIRPOST_TIME_SCALE", TIME_SCALE);
    let server = without.serve(data.path()).await;
    // One that was being asked for when the service stopped is found to wait a little later.
    let said = poll_until(SOON, "both to be told of", || async {
        let last = unbilled(&server).pop()?;
        last.trim_end().ends_with("operations=2").then_some(last)
    });
    let said = said.await;
    assert!(said.contains("WARN"), "{said:?}");
    assert!(unbilled(&server).len() <= 2, "{}", server.log());
    server.stop().await;
    assert!(!billing.charges().iter().any(Charge::is_voided));

    billing.now(Bills::Well);
    let (server, client) = serve(&billing, data.path()).await;
    shows(&client, VOIDED, "2").await;
    let charges = billing.charges();
    let voided = charges.iter().filter(|charge| charge.is_voided());
    assert_eq!((charges.len(), voided.count()), (3, 2), "{charges:?}");
    assert_eq!(unbilled(&server), [""; 0]);
    server.stop().await;
}
