//! The views' folder goes away under a busy server, and nothing can be put into its place for a while.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tests::poll_until;
use tokio::sync::Semaphore;

use super::while_it_runs::healed;
use crate::rebuilds::fill;
use crate::scene::{airpost, chance, scratch, text, verify};
use crate::story::Crowd;

/// How many customers write at once.
const CUSTOMERS: usize = 2;

/// How long it may take until it shows that the folder is gone.
const SHOWN_AFTER_MAX: Duration = Duration::from_secs(30);

/// Puts a file into the place of a folder that somebody may be using.
fn replace_by_a_file(folder: &Path) {
    while !folder.is_file() {
        // The server may make something in it at this moment.
        let _removed = std::fs::remove_dir_all(folder);
        let _written = std::fs::write(folder, "something else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_that_were_removed_under_a_busy_server_come_back_as_soon_as_they_can() {
    let (data, mut chance) = (scratch(), chance());
    let deliveries = fill(data.path()).await;
    let delivery = deliveries.first().expect("there are some");
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let before = client.read(delivery).await;
    let writing = Crowd::new(CUSTOMERS).write(&client, &mut chance, &Arc::new(Semaphore::new(0)));

    let views = data.path().join("views");
    replace_by_a_file(&views);
    // It wants to write there.
    let rebuild = "/v1/projections/delivery_history/rebuild";
    let _asked = client.post(rebuild).send().await;
    let look = async || {
        let told = client.get("/readyz").send().await.json();
        (text(&told, "/reader") == "retrying").then_some(told)
    };
    let told = poll_until(SHOWN_AFTER_MAX, "it to show", look).await;
    assert!(text(&told, "/detail").contains("tried again"), "{told}");
    assert_eq!(client.read(delivery).await, before);

    std::fs::remove_file(&views).expect("it can be removed");
    healed(&client).await;
    assert_eq!(client.read(delivery).await, before);
    server.stop_only().await;
    let mut crowd = Crowd::rest(writing).await;
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    crowd.check_what_is_new(&client).await;
    crowd.finish(&client, &mut chance).await;
    crowd.check(&client).await;
    server.stop().await;
    let _said = verify(data.path()).await;
}

#[tokio::test]
async fn a_folder_that_is_removed_while_nobody_writes_is_missed_and_made_again() {
    let data = scratch();
    let deliveries = fill(data.path()).await;
    let delivery = deliveries.first().expect("there are some");
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    healed(&client).await;
    let before = client.read(delivery).await;

    let views = data.path().join("views");
    std::fs::remove_dir_all(&views).expect("it can be removed");
    let look = async || views.is_dir().then_some(());
    poll_until(SHOWN_AFTER_MAX, "the folder to be missed", look).await;
    healed(&client).await;
    assert_eq!(client.read(delivery).await, before);
    // What a stop compares lies where a start will look for it.
    server.stop().await;
}
