//! Recorded flights, from the order to the answer of GET.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tests::{Chance, Client, Faults, Recording};

use crate::scene::{
    FLIGHTS, Order, WENT_WELL, airpost, at, chance, expected_of, instant, report, scratch, text,
};

/// Seeds of the runs with faults.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=50;

/// A pause of the sender that no gap may outlive, so that a slow machine changes no result.
const PATIENT: [&str; 2] = ["--gap-wait-s", "600"];

#[tokio::test]
async fn a_recorded_flight_completes_its_delivery_and_tells_each_step_at_the_time_of_its_fact() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    for flight in FLIGHTS.map(Recording::load) {
        let order = Order::place(&client, &flight, &mut chance).await;

        report(&client, &order.events()).await;

        assert_eq!(text(&order.read(&client).await, "/status"), "complete");
        let history = order.history(&client).await;
        assert_eq!(history.types(), WENT_WELL);
        assert_eq!(history.flown(), expected_of(&order.events()));
        for (sequence, item) in (1_u64..).zip(&history.items) {
            assert_eq!(item["sequence"], sequence);
            assert_eq!(item["inferred"], false, "{item}");
        }
        assert_went_well(&client, &order).await;
    }
    server.stop().await;
}

/// The three views that tell of the delivery agree.
async fn assert_went_well(client: &Client, order: &Order) {
    let delivery = order.read(client).await;
    assert_eq!(text(&delivery, "/user_id"), order.user);
    assert_eq!(text(&delivery, "/drone_id"), order.mission.drone);
    assert_eq!(text(&delivery, "/mission_id"), order.mission.mission);
    assert_eq!(text(&delivery, "/stage"), "Completed");
    let status = client.read(&format!("{}/status", order.path())).await;
    assert_eq!(text(&status, "/status"), "complete");
    assert_eq!(at(&status, "/sequence"), at(&delivery, "/sequence"));
    let user = client.read(&format!("/v1/users/{}", order.user)).await;
    assert_eq!(at(&user, "/live_deliveries"), 0);
}

#[tokio::test]
async fn duplicated_displaced_and_lost_events_change_neither_status_nor_times() {
    let (folder, mut identities) = (scratch(), chance());
    let server = airpost().serve_with(folder.path(), &PATIENT).await;
    let client = server.client();
    for flight in FLIGHTS.map(Recording::load) {
        for seed in SEEDS {
            let order = Order::place(&client, &flight, &mut identities).await;
            let mut chance = Chance::new(seed);
            let events = Faults::usual().applied_to(order.events(), &mut chance);

            // Cut where the seed says, so that what is displaced comes in another request.
            for part in cut(&events, &mut chance) {
                report(&client, part).await;
            }

            assert_as_if_without_faults(&client, &order, &format!("seed {seed}")).await;
        }
    }
    server.stop().await;
}

/// The events in pieces of 1 to 40, as chance will have it.
fn cut<'e>(events: &'e [Value], chance: &mut Chance) -> Vec<&'e [Value]> {
    let mut rest = events;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let most = u64::try_from(rest.len())
            .expect("a flight is small")
            .min(40);
        let now = usize::try_from(1 + chance.below(most)).expect("a flight is small");
        let (part, later) = rest.split_at(now);
        parts.push(part);
        rest = later;
    }
    parts
}

/// Status, history and milestones are those of the flight without faults.
async fn assert_as_if_without_faults(client: &Client, order: &Order, run: &str) {
    let delivery = order.read(client).await;
    assert_eq!(text(&delivery, "/status"), "complete", "{run}");
    let history = order.history(client).await;
    assert_eq!(history.types(), WENT_WELL, "{run}");
    assert_eq!(history.flown(), expected_of(&order.events()), "{run}");
    let mut milestones = milestones_of(&delivery);
    let mut facts: Vec<_> = expected_of(&order.events())
        .into_iter()
        .map(|(_, time)| time)
        .collect();
    milestones.sort();
    facts.sort();
    assert_eq!(milestones, facts, "{run}");
}

/// The times of the milestones that drones brought about.
fn milestones_of(delivery: &Value) -> Vec<DateTime<Utc>> {
    let milestones = delivery["milestones"]
        .as_object()
        .expect("a delivery has milestones");
    let flown = milestones.iter().filter(|(name, time)| {
        !["created_at", "scheduled_at"].contains(&name.as_str()) && !time.is_null()
    });
    flown
        .map(|(name, _)| instant(delivery, &format!("/milestones/{name}")))
        .collect()
}

#[tokio::test]
async fn a_package_that_is_not_released_returns_and_is_never_told_complete() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    for flight in FLIGHTS.map(Recording::load) {
        let order = Order::place(&client, &flight, &mut chance)
            .await
            .not_released();

        report(&client, &order.events()).await;

        assert_eq!(text(&order.read(&client).await, "/status"), "returned");
        let history = order.history(&client).await;
        let mut told = WENT_WELL.to_vec();
        told.truncate(WENT_WELL.len() - 1);
        // At the recipient's nobody took it.
        told.extend(["AttemptFailed", "ReturnStarted", "Returned"]);
        assert_eq!(history.types(), told);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_flight_told_in_many_requests_across_restarts_ends_the_same() {
    const ROUNDS: usize = 8;
    let (folder, mut chance) = (scratch(), chance());
    let mut server = airpost().serve_with(folder.path(), &PATIENT).await;
    for round in 0..ROUNDS {
        let [first, second, third] = FLIGHTS;
        let number = [first, second, third]
            .into_iter()
            .cycle()
            .nth(round)
            .expect("a cycle never ends");
        let order = Order::place(&server.client(), &Recording::load(number), &mut chance).await;
        let events = Faults::usual().applied_to(order.events(), &mut chance);
        for part in cut(&events, &mut chance) {
            report(&server.client(), part).await;
            if chance.happens(150) {
                server.stop().await;
                server = airpost().serve_with(folder.path(), &PATIENT).await;
            }
        }
        assert_as_if_without_faults(&server.client(), &order, &format!("round {round}")).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn telling_a_flight_once_more_is_acknowledged_and_changes_nothing() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(269), &mut chance).await;
    let facts = order.facts();
    let first = report(&client, &facts).await;
    assert_eq!(first.duplicates, 0);
    let before = client.get(&order.path()).send().await.expect(200);

    let second = report(&client, &facts).await;

    assert_eq!((second.accepted, second.duplicates), (0, first.accepted));
    let after = client.get(&order.path()).send().await.expect(200);
    assert_eq!(before.bytes(), after.bytes());
    assert_eq!(before.header("etag"), after.header("etag"));
    server.stop().await;
}

#[tokio::test]
async fn the_three_content_types_of_drone_events_mean_the_same() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    for way in ["one", "batch", "lines"] {
        let order = Order::place(&client, &Recording::load(268), &mut chance).await;
        let events = order.events();
        let bodies: Vec<(&str, String)> = match way {
            "one" => events
                .iter()
                .map(|event| ("application/cloudevents+json", event.to_string()))
                .collect(),
            "batch" => vec![(
                "application/cloudevents-batch+json",
                Value::from(events).to_string(),
            )],
            _ => vec![("application/x-ndjson", crate::scene::lines(&events))],
        };
        for (content_type, body) in bodies {
            let _ = client
                .post("/v1/drone-events")
                .body(content_type, body)
                .send()
                .await
                .expect(200);
        }
        assert_eq!(
            text(&order.read(&client).await, "/status"),
            "complete",
            "{way}"
        );
        assert_eq!(
            order.history(&client).await.flown(),
            expected_of(&order.events()),
            "{way}"
        );
    }
    server.stop().await;
}
