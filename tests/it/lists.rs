//! Lists of what goes on come from the log alone: a restart, and views that are
//! built anew, change nothing in them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Client, Program, Recording, poll_until};

use crate::scene::{
    FLIGHTS, Order, airpost, at, chance, list, report, scratch, settled, text, verify,
};

/// Every list over all users, in pages so short that there are several.
const LISTS: [&str; 11] = [
    "/v1/deliveries?limit=2",
    "/v1/deliveries?limit=2&status=complete",
    "/v1/deliveries?limit=2&status=in_transit,at_dropoff,cancelled",
    "/v1/deliveries?limit=1&status=failed,scheduled",
    "/v1/tasks?limit=1",
    "/v1/tasks?status=acknowledged",
    "/v1/tasks?status=all&limit=2",
    "/v1/dead-letters",
    "/v1/statistics?limit=1",
    "/v1/statistics?by=day",
    "/v1/statistics?by=day&from=2026-01-01T00:00:00Z",
];

/// How long anything may take that the service does by itself.
const SOON: Duration = Duration::from_mins(1);

/// A page of a list as it was answered.
#[derive(Debug, PartialEq)]
struct Page {
    path: String,
    etag: String,
    body: String,
}

/// Deliveries that came to different ends or to none, and one drone that
/// reported what cannot be, to which somebody has seen the first time. Gives
/// where the log ended then.
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
    until_left_on_board(client, FLIGHTS.len()).await;
    let tasks = client
        .get("/v1/tasks")
        .header("min-position", &log_end(client).await);
    let tasks = tasks
        .header("prefer", "wait=30")
        .send()
        .await
        .expect(200)
        .json();
    let first = text(
        list(&tasks, "/items")
            .last()
            .expect("a drone reported what cannot be"),
        "/id",
    );
    let seen_to = client.post(&format!("/v1/tasks/{first}/acknowledge"));
    let _ = seen_to
        .json(&json!({"note": "the recipient has it"}))
        .send()
        .await
        .expect(200);
    let cancelled = Order::place(client, &Recording::load(FLIGHTS[0]), &mut chance).await;
    let cancel = client.post(&format!("{}/cancel", cancelled.path()));
    let cancel = cancel.json(&json!({"reason": "customer_request"}));
    let _ = cancel.send().await.expect(202);
    settled(client).await.to_string()
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
    let server = hurried().serve(folder.path()).await;
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
        .filter(|page| page.path.starts_with("/v1/tasks?limit=1"));
    let unconfirmed = tasks.filter(|page| {
        let page: Value = page.body.parse().expect("a page is JSON");
        text(&page, "/items/0/reason") == "release_not_confirmed"
    });
    assert_eq!(
        unconfirmed.count(),
        FLIGHTS.len() - 1,
        "one for each such release that nobody has seen to"
    );
    assert!(!live.1.is_empty(), "no drone is known");

    assert_eq!(told_after(folder.path(), &position).await, live);
    std::fs::remove_dir_all(folder.path().join("views")).expect("the views have a folder");
    assert_eq!(told_after(folder.path(), &position).await, live);
    verify(folder.path()).await;
}

/// A flight whose package was let go nobody knows where: what somebody has to
/// look at. Gives the tasks about it: that the drone ended with the package, and
/// before that what it said.
async fn an_odd_flight(client: &Client) -> [Value; 2] {
    let order = Order::place(client, &Recording::load(FLIGHTS[0]), &mut chance()).await;
    let mut events = order.events();
    for event in &mut events {
        let data = event.get_mut("data").and_then(Value::as_object_mut);
        let data = data.expect("an event has data");
        if data.contains_key("confirmed") {
            data.remove("position");
        }
    }
    report(client, &events).await;
    until_left_on_board(client, 1).await;
    let tasks = tasks(client, "").await;
    let reasons: Vec<_> = tasks.iter().map(|task| text(task, "/reason")).collect();
    assert_eq!(reasons, ["ended_with_package", "release_without_position"]);
    for task in &tasks {
        assert_eq!(text(task, "/delivery_id"), order.id);
        assert_eq!(text(task, "/status"), "open");
    }
    tasks.try_into().expect("there are two")
}

/// A service that waits for nothing for long but for drones.
fn hurried() -> Program {
    airpost()
        .with_setting("AIRPOST_TIME_SCALE", "50")
        .with_setting("AIRPOST_MISSION_ANSWER_S", "86400")
}

/// Waits until so many packages are noted as left on board: nobody told in time where they went.
async fn until_left_on_board(client: &Client, expected: usize) {
    poll_until(SOON, "packages left on board", || async {
        let tasks = tasks(client, "").await;
        let left = |task: &&Value| text(task, "/reason") == "ended_with_package";
        (tasks.iter().filter(left).count() == expected).then_some(())
    })
    .await;
}

/// The tasks of a status, as of the end of the log.
async fn tasks(client: &Client, query: &str) -> Vec<Value> {
    let asked = client.get(&format!("/v1/tasks{query}"));
    let asked = asked.header("min-position", &log_end(client).await);
    let answer = asked.header("prefer", "wait=30").send().await.expect(200);
    list(&answer.json(), "/items").to_vec()
}

/// Where the log ends: what any answer that asks no view says.
async fn log_end(client: &Client) -> String {
    let answer = client.get("/v1/users?email=nobody@example.org");
    let answer = answer.send().await.expect(200);
    answer.required_header("stream-position").to_owned()
}

#[tokio::test]
async fn given_an_odd_flight_when_somebody_has_seen_to_it_then_it_is_not_open_ever_after() {
    let folder = scratch();
    let server = hurried().serve(folder.path()).await;
    let client = server.client();
    let [left, task] = an_odd_flight(&client).await;
    let path = text(&task, "/links/self").to_owned();
    let seen_to = client.post(&format!("{path}/acknowledge"));
    let seen_to = seen_to.json(&json!({"note": "the recipient has it"}));
    let answer = seen_to.send().await.expect(200);
    let (told, tag) = (answer.json(), answer.required_header("etag").to_owned());
    assert_eq!(text(&told, "/status"), "acknowledged");
    assert_eq!(text(&told, "/acknowledged_by/kind"), "operator");
    let position = answer.required_header("stream-position").to_owned();
    server.stop().await;

    for views_are_deleted in [false, true] {
        if views_are_deleted {
            let views = folder.path().join("views");
            std::fs::remove_dir_all(views).expect("the views have a folder");
        }
        let server = airpost().serve(folder.path()).await;
        let client = server.client();
        assert_eq!(tasks(&client, "").await, std::slice::from_ref(&left));
        assert_eq!(
            tasks(&client, "?status=acknowledged").await,
            std::slice::from_ref(&told)
        );
        let read = client.get(&path).send().await.expect(200);
        assert_eq!(
            (read.json(), read.required_header("etag")),
            (told.clone(), tag.as_str())
        );
        let again = client
            .post(&format!("{path}/acknowledge"))
            .send()
            .await
            .expect(200);
        assert_eq!(again.json(), told, "the first word stays");
        assert_eq!(again.required_header("stream-position"), position);
        server.stop().await;
    }
    verify(folder.path()).await;
}
