//! Lists of what goes on come from the log alone: a restart, and views that are
//! built anew, change nothing in them.

use std::path::Path;

use serde_json::{Value, json};
use tests::{Client, Recording};

use crate::scene::{FLIGHTS, Order, airpost, at, chance, list, report, scratch, text, verify};

/// Every list over all users, in pages so short that there are several.
const LISTS: [&str; 9] = [
    "/v1/deliveries?limit=2",
    "/v1/deliveries?limit=2&status=complete",
    "/v1/deliveries?limit=2&status=in_transit,at_dropoff,cancelled",
    "/v1/deliveries?limit=1&status=failed,scheduled",
    "/v1/tasks?limit=1",
    "/v1/dead-letters",
    "/v1/statistics?limit=1",
    "/v1/statistics?by=day",
    "/v1/statistics?by=day&from=2026-01-01T00:00:00Z",
];

/// A page of a list as it was answered.
#[derive(Debug, PartialEq)]
struct Page {
    path: String,
    etag: String,
    body: String,
}

/// Deliveries that came to different ends or to none, and one drone that
/// reported what cannot be. Gives where the log ended then.
async fn write_history(client: &Client) -> String {
    let mut chance = chance();
    for flight in FLIGHTS.map(Recording::load) {
        let complete = Order::place(client, &flight, &mut chance).await;
        report(client, &complete.events()).await;
        let under_way = Order::place(client, &flight, &mut chance).await;
        let events = under_way.events();
        let begun = events.get(..7).expect("a flight has more events");
        report(client, begun).await;
        let _waiting = Order::place(client, &flight, &mut chance).await;
        let odd = Order::place(client, &flight, &mut chance).await;
        let mut events = odd.events();
        for event in &mut events {
            let data = event.get_mut("data").and_then(Value::as_object_mut);
            let data = data.expect("an event has data");
            if data.contains_key("confirmed") {
                data.insert("confirmed".to_owned(), json!(false));
            }
        }
        report(client, &events).await;
    }
    let cancelled = Order::place(client, &Recording::load(FLIGHTS[0]), &mut chance).await;
    let cancel = client.post(&format!("{}/cancel", cancelled.path()));
    let cancel = cancel.json(&json!({"reason": "customer_request"}));
    let answer = cancel.send().await.expect(202);
    answer.required_header("stream-position").to_owned()
}

/// All pages of all lists, seen at least to a position.
async fn told(client: &Client, position: &str) -> Vec<Page> {
    let mut told = Vec::new();
    for path in LISTS {
        let mut path = path.to_owned();
        loop {
            let asked = client.get(&path).header("min-position", position);
            let answer = asked.header("prefer", "wait=30").send().await.expect(200);
            let page = answer.json();
            told.push(Page {
                path: path.clone(),
                etag: answer.required_header("etag").to_owned(),
                body: page.to_string(),
            });
            if at(&page, "/next").is_null() {
                break;
            }
            let link = answer.required_header("link");
            let target = link.strip_prefix('<').and_then(|link| link.split_once('>'));
            let (target, _) = target.expect("a link is in angle brackets");
            target.clone_into(&mut path);
        }
    }
    told
}

/// What the log tells of each drone.
async fn fleet(client: &Client, position: &str) -> Vec<Vec<Value>> {
    let asked = client.get("/v1/drones?limit=200");
    let asked = asked.header("min-position", position);
    let answer = asked.header("prefer", "wait=30").send().await.expect(200);
    let page = answer.json();
    let drones = list(&page, "/items").iter();
    let told = drones.map(|drone| {
        let members = [
            "/id",
            "/fleet_id",
            "/activity",
            "/since",
            "/known_since",
            "/fact_received_at",
        ];
        members.map(|member| at(drone, member).clone()).to_vec()
    });
    told.collect()
}

/// The same after the server was stopped and something was done to its folder.
async fn told_after(data: &Path, position: &str) -> (Vec<Page>, Vec<Vec<Value>>) {
    let server = airpost().serve(data).await;
    let client = server.client();
    let told = (
        told(&client, position).await,
        fleet(&client, position).await,
    );
    server.stop().await;
    told
}

#[tokio::test]
async fn lists_are_byte_equal_after_a_restart_and_a_deletion_of_the_views() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let position = write_history(&client).await;
    let live = (
        told(&client, &position).await,
        fleet(&client, &position).await,
    );
    server.stop().await;
    verify(folder.path()).await;

    let tasks = live
        .0
        .iter()
        .filter(|page| page.path.starts_with("/v1/tasks"));
    let unconfirmed = tasks.filter(|page| {
        let page: Value = page.body.parse().expect("a page is JSON");
        text(&page, "/items/0/reason") == "release_not_confirmed"
    });
    assert_eq!(
        unconfirmed.count(),
        FLIGHTS.len(),
        "one for each such release"
    );
    assert!(!live.1.is_empty(), "no drone is known");

    assert_eq!(told_after(folder.path(), &position).await, live);
    std::fs::remove_dir_all(folder.path().join("views")).expect("the views have a folder");
    assert_eq!(told_after(folder.path(), &position).await, live);
    verify(folder.path()).await;
}
