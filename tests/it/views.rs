//! Views can be deleted at any time: what GET answers afterwards is the same, byte for byte.

use std::collections::HashMap;
use std::path::Path;

use tests::{Answer, Client, Faults, Recording};

use crate::scene::{
    FLIGHTS, Order, airpost, at, chance, list, report, scratch, settled, text, verify,
};

/// An answer as far as it comes from the log.
#[derive(Debug, PartialEq)]
struct Told {
    path: String,
    status: u16,
    etag: Option<String>,
    body: String,
}

impl Told {
    fn new(path: &str, answer: &Answer) -> Self {
        Self {
            path: path.to_owned(),
            status: answer.status(),
            etag: answer.header("etag").map(str::to_owned),
            body: String::from_utf8_lossy(answer.bytes()).into_owned(),
        }
    }
}

/// Deliveries in every kind of state that this log can hold, of two users.
async fn write_history(client: &Client) -> Vec<Order> {
    let mut chance = chance();
    let mut orders = Vec::new();
    for flight in FLIGHTS.map(Recording::load) {
        let complete = Order::place(client, &flight, &mut chance).await;
        let events = Faults::usual().applied_to(complete.events(), &mut chance);
        report(client, &events).await;
        let user = complete.user.clone();
        let returned = Order::place_for(client, &user, &flight, &mut chance)
            .await
            .not_released();
        report(client, &returned.events()).await;
        let under_way = Order::place_for(client, &user, &flight, &mut chance).await;
        report(
            client,
            under_way
                .events()
                .get(..7)
                .expect("a flight has more events"),
        )
        .await;
        let cancelled = Order::place_for(client, &user, &flight, &mut chance).await;
        let cancel = client.post(&format!("{}/cancel", cancelled.path()));
        let _ = cancel
            .json(&serde_json::json!({"reason": "customer_request"}))
            .send()
            .await
            .expect(202);
        let waiting = Order::place_for(client, &user, &flight, &mut chance).await;
        let rename = client
            .patch(&format!("/v1/users/{user}"))
            .header("if-match", "*");
        let _ = rename
            .json(&serde_json::json!({"name": "Grace Hopper"}))
            .send()
            .await
            .expect(200);
        orders.extend([complete, returned, under_way, cancelled, waiting]);
    }
    orders
}

/// Everything that GET tells about `orders`, page by page where there are pages.
async fn everything(client: &Client, orders: &[Order]) -> Vec<Told> {
    let mut told = Vec::new();
    for order in orders {
        let external_id = text(&order.request, "/external_id");
        for path in [
            order.path(),
            format!("{}/status", order.path()),
            format!("{}/history", order.path()),
            format!("/v1/deliveries/ext:{external_id}?user_id={}", order.user),
            format!("/v1/users/{}", order.user),
        ] {
            let answer = client.get(&path).send().await.expect(200);
            told.push(Told::new(&path, &answer));
        }
        told.extend(pages(client, &order.user).await);
    }
    told
}

async fn pages(client: &Client, user: &str) -> Vec<Told> {
    let (mut told, mut cursor) = (Vec::new(), None);
    loop {
        let path = match &cursor {
            None => format!("/v1/users/{user}/deliveries?limit=2"),
            Some(cursor) => format!("/v1/users/{user}/deliveries?limit=2&cursor={cursor}"),
        };
        let answer = client.get(&path).send().await.expect(200);
        told.push(Told::new(&path, &answer));
        let page = answer.json();
        assert!(list(&page, "/items").len() <= 2);
        match at(&page, "/next").as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return told,
        }
    }
}

/// What GET tells after the server was stopped and `change` was made to its data folder.
async fn told_after(change: impl AsyncFnOnce(&Path), data: &Path, orders: &[Order]) -> Vec<Told> {
    change(data).await;
    let server = airpost().serve(data).await;
    let told = everything(&server.client(), orders).await;
    server.stop().await;
    told
}

#[tokio::test]
async fn answers_are_byte_equal_after_a_restart_a_deletion_of_the_views_and_a_rebuild() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let orders = write_history(&server.client()).await;
    settled(&server.client()).await;
    let live = everything(&server.client(), &orders).await;
    server.stop().await;

    let restarted = told_after(async |_| {}, folder.path(), &orders).await;
    let deleted = told_after(delete_views, folder.path(), &orders).await;
    verify(folder.path()).await;
    let rebuilt = told_after(rebuild, folder.path(), &orders).await;

    assert_eq!(restarted, deleted);
    assert_eq!(restarted, rebuilt);
    // The last known position lives in memory only, so a restart may change the status page.
    let from_the_log = |told: &[Told]| -> Vec<String> {
        let pages = told.iter().filter(|told| !told.path.ends_with("/status"));
        pages.map(|told| format!("{told:?}")).collect()
    };
    assert_eq!(from_the_log(&live), from_the_log(&restarted));
}

async fn delete_views(data: &Path) {
    std::fs::remove_dir_all(data.join("views")).expect("the views lie in a folder of their own");
}

async fn rebuild(data: &Path) {
    let output = airpost()
        .run(["rebuild".as_ref(), "--data".as_ref(), data.as_os_str()])
        .await;
    assert_eq!(
        output.code,
        Some(0),
        "rebuild said:\n{}{}",
        output.stdout,
        output.stderr
    );
}

#[tokio::test]
async fn a_current_tag_spares_the_body() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    for order in write_history(&client).await {
        for path in [
            order.path(),
            format!("{}/history", order.path()),
            format!("/v1/users/{}", order.user),
        ] {
            let answer = client.get(&path).send().await.expect(200);
            let tag = answer.required_header("etag");
            let unchanged = client
                .get(&path)
                .header("if-none-match", tag)
                .send()
                .await
                .expect(304);
            assert_eq!(unchanged.bytes(), b"");
            assert_eq!(unchanged.required_header("etag"), tag);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_equal_tag_means_equal_bytes_before_and_after_changes_and_a_restart() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let orders = write_history(&client).await;
    let mut told = everything(&client, &orders).await;
    let answers_at_once = told.len();
    let [first, ..] = &*orders else {
        panic!("no history was written");
    };
    let user = format!("/v1/users/{}", first.user);
    let _ = client
        .patch(&user)
        .header("if-match", "*")
        .json(&serde_json::json!({"name": "Rear Admiral Hopper"}))
        .send()
        .await
        .expect(200);
    told.extend(everything(&client, &orders).await);
    server.stop().await;
    told.extend(told_after(async |_| {}, folder.path(), &orders).await);

    let mut bodies = HashMap::new();
    for Told {
        path, etag, body, ..
    } in told
    {
        let Some(etag) = etag else { continue };
        let under_the_tag = bodies.entry((path, etag)).or_insert_with(|| body.clone());
        assert_eq!(*under_the_tag, body);
    }
    let users: Vec<_> = bodies.keys().filter(|(path, _)| *path == user).collect();
    assert_eq!(users.len(), 2, "a change gives another tag: {users:?}");
    assert!(
        bodies.len() > answers_at_once / 2,
        "most answers have a tag"
    );
}
