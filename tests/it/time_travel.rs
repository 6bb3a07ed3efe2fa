//! What had happened and what was known: two questions, which a late line answers differently.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;
use tests::{Answer, Client, Recording, poll_until};

use crate::scene::{
    FLIGHTS, History, Order, airpost, at, chance, instant, list, number, report, scratch, settled,
    text,
};

/// A gap is passed after a second: the fact that makes it comes later still.
const HASTY: [&str; 2] = ["--gap-wait-s", "1"];

/// How long a gap of a second may take to be passed on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Told late: that the drone had arrived at the pick-up.
const LATE: &str = "drone.arrived.v1";

/// A recorded flight, one of whose lines came after its end.
struct ToldLate {
    order: Order,
    /// The fact that came late.
    late: Value,
    /// The position before it came, and when that was, by the service's clock.
    position_before: u64,
    known_before: DateTime<Utc>,
}

impl ToldLate {
    async fn fly(client: &Client, flight: &Recording) -> Self {
        let order = Order::place(client, flight, &mut chance()).await;
        let mut events = order.events();
        let late = events
            .iter()
            .position(|event| text(event, "/type") == LATE)
            .expect("a drone arrives at the pick-up");
        let late = events.remove(late);
        report(client, &events).await;
        let path = order.path();
        let complete = poll_until(PATIENCE, "the gap to be passed", || async {
            let answer = client.get(&path).send().await.expect(200);
            let is_complete = text(&answer.json(), "/status") == "complete";
            is_complete.then_some(answer)
        });
        let complete = complete.await;
        let known_before = instant(&complete.json(), "/updated_at");
        let position_before = position_of(&complete);
        report(client, std::slice::from_ref(&late)).await;
        Self {
            order,
            late,
            position_before,
            known_before,
        }
    }

    /// Between the arrival at the pick-up and the loading that follows it.
    fn between(&self) -> String {
        rfc3339(instant(&self.late, "/time") + TimeDelta::seconds(5))
    }
}

fn position_of(answer: &Answer) -> u64 {
    let position = answer.required_header("stream-position").parse();
    position.expect("a position is a number")
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[tokio::test]
async fn a_late_line_of_a_recorded_flight_tells_what_had_happened_and_not_what_was_known() {
    let folder = scratch();
    let server = airpost().serve_with(folder.path(), &HASTY).await;
    let client = server.client();
    for flight in FLIGHTS.map(Recording::load) {
        let flown = ToldLate::fly(&client, &flight).await;
        let (path, then) = (flown.order.path(), flown.between());
        let (position, time) = (flown.position_before, rfc3339(flown.known_before));
        let arrived = "/milestones/arrived_at_pickup_at";

        // What had happened five seconds after the drone arrived: as is known now, and then.
        let happened = client.read(&format!("{path}?as_of={then}")).await;
        assert_eq!(text(&happened, "/status"), "at_pickup");
        assert_eq!(instant(&happened, arrived), instant(&flown.late, "/time"));
        for known_at in [position.to_string(), time] {
            let both = format!("{path}?as_of={then}&known_at={known_at}");
            let both = client.read(&both).await;
            assert_eq!(text(&both, "/status"), "headed_to_pickup");
            assert_eq!(at(&both, arrived), &Value::Null);

            // What was known when the flight was over: the arrival only from what followed it.
            let known = client.read(&format!("{path}?known_at={known_at}")).await;
            assert_eq!(text(&known, "/status"), "complete");
            let loaded = instant(&known, "/milestones/picked_up_at");
            assert_eq!(instant(&known, arrived), loaded);
        }
        let now = flown.order.read(&client).await;
        assert_eq!(instant(&now, arrived), instant(&flown.late, "/time"));
        assert_histories(&client, &flown).await;
    }
    server.stop().await;
}

/// The history tells the same, event by event.
async fn assert_histories(client: &Client, flown: &ToldLate) {
    let (path, then) = (flown.order.path(), flown.between());
    let path = &path;
    let history = |query: String| async move {
        let history = client.read(&format!("{path}/history?{query}")).await;
        History {
            items: list(&history, "/items").to_vec(),
        }
    };
    let position = flown.position_before;
    let whole = flown.order.history(client).await;
    let known = history(format!("known_at={position}")).await;
    assert_eq!(
        whole.items.split_last().map(|(_, first)| first),
        Some(&known.items[..])
    );
    assert_eq!(whole.types().last(), Some(&"MilestoneTimeCorrected"));
    let happened = history(format!("as_of={then}")).await;
    assert_eq!(
        happened.types(),
        [
            "Created",
            "DroneAssigned",
            "HeadedToPickup",
            "ArrivedAtPickup",
            "MilestoneTimeCorrected"
        ]
    );
    let both = history(format!("as_of={then}&known_at={position}")).await;
    assert_eq!(both.types(), ["Created", "DroneAssigned", "HeadedToPickup"]);
}

#[tokio::test]
async fn every_position_tells_for_ever_what_was_told_when_it_was_the_last() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(268), &mut chance()).await;
    let mut told = Vec::new();
    for fact in order.facts() {
        report(&client, &[fact]).await;
        for path in [order.path(), format!("{}/history", order.path())] {
            let answer = client.get(&path).send().await.expect(200);
            told.push((path, position_of(&answer), answer));
        }
    }
    let mut tags = Vec::new();
    for (path, position, then) in &told {
        let path = format!("{path}?known_at={position}");
        let now = client.get(&path).send().await.expect(200);
        assert_eq!(now.bytes(), then.bytes(), "{path}");
        assert_eq!(position_of(&now), *position);
        let caching = now.required_header("cache-control");
        assert!(caching.contains("immutable"), "{path}: {caching}");
        tags.push((path, now.required_header("etag").to_owned()));
    }
    server.stop().await;

    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    for (path, tag) in tags {
        let again = client.get(&path).header("if-none-match", &tag);
        let _ = again.send().await.expect(304);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_position_that_a_restore_gave_up_is_beyond_the_head_until_another_record_has_it() {
    let (folder, copies, restored) = (scratch(), scratch(), scratch());
    let backup = copies.path().join("backup");
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(268), &mut chance()).await;
    let kept = client.get(&order.path()).send().await.expect(200);
    let (path, kept_to) = (order.path(), position_of(&kept));
    report(&client, &order.facts()).await;
    let given_up = position_of(&client.get(&path).send().await.expect(200));
    server.stop().await;
    for words in [
        vec![
            "backup",
            "--data",
            path_text(folder.path()),
            "--to",
            path_text(&backup),
        ],
        vec![
            "restore",
            "--from",
            path_text(&backup),
            "--data",
            path_text(restored.path()),
            "--to-position",
            &kept_to.to_string(),
        ],
    ] {
        let output = airpost().run(words.iter().map(std::ffi::OsStr::new)).await;
        assert_eq!(output.code, Some(0), "{}", output.stderr);
    }

    let server = airpost().serve(restored.path()).await;
    let client = server.client();
    let at_kept = client.get(&format!("{path}?known_at={kept_to}"));
    let at_kept = at_kept.send().await.expect(200);
    assert_eq!(at_kept.bytes(), kept.bytes());
    let at_given_up = format!("{path}?known_at={given_up}");
    let refused = client.get(&at_given_up).send().await.expect_problem(422);
    assert_eq!(number(&refused, "/errors/0/limit"), kept_to);
    report(&client, &order.facts()).await;
    settled(&client).await;
    let retold = client.get(&at_given_up).send().await.expect(200);
    assert_eq!(text(&retold.json(), "/status"), "complete");
    server.stop().await;
}

fn path_text(path: &std::path::Path) -> &str {
    path.to_str().expect("a scratch folder's name is text")
}
